//! In place of a server that is not installed: says that it is one, and answers little else.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

/// One that has started anew is another.
static RUNS: AtomicU64 = AtomicU64::new(0);

/// Ends, with its socket, when it is dropped.
pub(crate) struct FakeRedis {
    socket: PathBuf,
    over: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

/// What it says of itself.
struct Story {
    info: String,
    commands: Vec<&'static str>,
}

impl FakeRedis {
    /// `version` is `redis_version:7.0.15` or the like; `commands` are what it has, beside a few others.
    pub(crate) fn start(socket: &Path, version: &str, commands: &[&'static str]) -> FakeRedis {
        let listener = UnixListener::bind(socket).unwrap();
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let story = Arc::new(Story { info: format!("{version}\r\nrun_id:{run}\r\n"), commands: commands.to_vec() });
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let accepting = thread::spawn(move || {
            for connection in listener.incoming().map(Result::unwrap) {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                let story = Arc::clone(&story);
                // The proxy closes when it has no use for it any more.
                thread::spawn(move || answer(&connection, &story).unwrap_or(()));
            }
        });
        FakeRedis { socket: socket.to_owned(), over, accepting: Some(accepting) }
    }
}

impl Drop for FakeRedis {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = UnixStream::connect(&self.socket);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        let _ = fs::remove_file(&self.socket);
    }
}

fn answer(mut connection: &UnixStream, story: &Story) -> io::Result<()> {
    let mut requests = BufReader::new(connection);
    while let Some(request) = next_request(&mut requests)? {
        let words: Vec<&str> = request.iter().map(String::as_str).collect();
        let reply = match words.as_slice() {
            ["INFO", "server"] => bulk(&story.info),
            ["INFO", "clients" | "memory" | "persistence" | "stats" | "replication" | "keyspace"] => bulk(""),
            // Whoever may run scripts has Redis count an error under any name, and Redis 7.0 tells of all of them.
            ["INFO", ..] => bulk(&"errorstat_A:count=1\r\n".repeat(1 << 20)),
            ["COMMAND", "COUNT"] => format!(":{}\r\n", story.commands.len()),
            ["COMMAND"] => array(story.commands.iter().map(|name| command(name))),
            ["COMMAND", "INFO", names @ ..] => array(names.iter().map(|name| command(name))),
            ["ECHO", text] => bulk(text),
            ["PING"] => "+PONG\r\n".to_owned(),
            _ => "+OK\r\n".to_owned(),
        };
        connection.write_all(reply.as_bytes())?;
    }
    Ok(())
}

fn next_request(requests: &mut impl BufRead) -> io::Result<Option<Vec<String>>> {
    let mut line = String::new();
    if requests.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let number = |line: &str| line[1..].trim_end().parse::<usize>().unwrap();
    let mut words = Vec::new();
    for _ in 0..number(&line) {
        let mut head = String::new();
        requests.read_line(&mut head)?;
        let mut word = vec![0; number(&head) + 2];
        requests.read_exact(&mut word)?;
        words.push(String::from_utf8_lossy(&word).trim_end().to_owned());
    }
    Ok(Some(words))
}

/// An entry of COMMAND: any number of arguments, no flags, no keys.
fn command(name: &str) -> String {
    format!("*6\r\n{}:-1\r\n*0\r\n:0\r\n:0\r\n:0\r\n", bulk(name))
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

fn array(items: impl ExactSizeIterator<Item = String>) -> String {
    format!("*{}\r\n{}", items.len(), items.collect::<String>())
}

//! Everything that can be reloaded is replaced again and again, every other time by something broken, while clients work:
//! each reply is the right one, and no session ends.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{RedisServer, RespClient, Respgate, client_config, eventually, request, upstream_of};

const ACL: &str = "user alice on +@all ~* &*\n";
const BLOCK: &str = "commands = [\"FLUSHALL\"]";

/// How often each kind of change is made.
const ROUNDS: usize = 6;

#[test]
fn no_reply_is_lost_or_wrong_and_no_session_ends_while_everything_is_replaced_again_and_again() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl(ACL)
        .crl()
        .table(&format!("[block]\n{BLOCK}"))
        .setting("reload-interval = \"1h\"")
        .expect_log("reload")
        .expect_log("ca.crl")
        .start()
        .settled();
    let over = Arc::new(AtomicBool::new(false));
    let clients = [
        work(&gate, &over, pipelines),
        work(&gate, &over, transactions),
        work(&gate, &over, large_values),
        work(&gate, &over, subscription),
        newcomers(&gate, &over),
    ];
    let mut reloads = Reloads::of(&gate);
    for round in 0..ROUNDS {
        replace_acl(&gate, &mut reloads, round);
        replace_certificate(&gate, &mut reloads);
        replace_crl(&gate, &mut reloads, round);
        replace_config(&gate, &mut reloads, round);
    }
    assert_eq!(gate.in_force(), (reloads.number, reloads.failed));
    over.store(true, Ordering::Relaxed);
    for client in clients {
        let checked = client.join().expect("every reply is the right one");
        assert!(checked > ROUNDS, "a client that hardly worked shows nothing: {checked}");
    }
    let ends = eventually("the end of every session in the log", || {
        let log = gate.log_text();
        let [began, ended] = ["\"accepted\"", "\"event\":\"close\""].map(|word| log.matches(word).count());
        (began > 0 && ended > 0).then_some(ended)
    });
    assert!(ends > 0);
    let log = gate.log_text();
    let is_unasked = |line: &&str| line.contains("\"event\":\"close\"") && !line.contains("\"client-");
    assert_eq!(log.lines().filter(is_unasked).collect::<Vec<_>>(), [""; 0], "sessions that the proxy ended");
}

fn replace_acl(gate: &Respgate, reloads: &mut Reloads, round: usize) {
    gate.write_acl(&format!("{ACL}user guest{round} on +@read ~*\n"));
    reloads.succeed();
    gate.write_acl(&format!("{ACL}user guest on nopas\n"));
    reloads.fail(&["users.acl:2", "nopas"]);
    gate.write_acl(ACL);
    reloads.succeed();
}

fn replace_certificate(gate: &Respgate, reloads: &mut Reloads) {
    let server = gate.pki().server();
    gate.pki().renew_server();
    reloads.succeed();
    let [cert, key] = [&server.cert, &server.key].map(|path| fs::read(path).unwrap());
    fs::write(&server.cert, "-----BEGIN CERTIFICATE-----\ngarbage\n-----END CERTIFICATE-----\n").unwrap();
    reloads.fail(&["server.crt"]);
    fs::write(&server.cert, &cert).unwrap();
    fs::copy(gate.pki().client("alice").key, &server.key).unwrap();
    reloads.fail(&["server.key", "does not belong to the certificate"]);
    fs::write(&server.key, key).unwrap();
    reloads.succeed();
}

fn replace_crl(gate: &Respgate, reloads: &mut Reloads, round: usize) {
    gate.pki().write_crl(&[round as u64 + 1]);
    reloads.succeed();
    gate.pki().write_crl_text("-----BEGIN X509 CRL-----\ngarbage\n");
    reloads.fail(&["ca.crl", "has no end"]);
    gate.pki().write_crl(&[]);
    reloads.succeed();
}

fn replace_config(gate: &Respgate, reloads: &mut Reloads, round: usize) {
    let other = format!("commands = [\"FLUSHALL\", \"{}\"]", ["SWAPDB", "DEBUG"][round % 2]);
    gate.edit_config(BLOCK, &other);
    reloads.succeed();
    gate.edit_config(&other, "commands = [\"FLUSHALL\"");
    reloads.fail(&["respgate.toml"]);
    gate.edit_config("commands = [\"FLUSHALL\"", BLOCK);
    reloads.succeed();
}

/// Reloads by SIGHUP, and what became of each.
struct Reloads<'a> {
    gate: &'a Respgate,
    /// The generation in force.
    number: u64,
    failed: u64,
    /// How many lines of the log have been looked at.
    read: usize,
}

impl Reloads<'_> {
    fn of(gate: &Respgate) -> Reloads<'_> {
        let mut reloads = Reloads { gate, number: 0, failed: 0, read: 0 };
        let settled = reloads.outcome();
        reloads.number = settled.1;
        reloads
    }

    /// Reloads; the next generation is in force.
    fn succeed(&mut self) {
        self.gate.signal(Signal::HUP);
        let (done, number, said) = self.outcome();
        assert!(done, "{said}");
        assert!(number > self.number, "{said}");
        self.number = number;
    }

    /// Reloads; the old generation stays, and a line of the log says why, with these words.
    fn fail(&mut self, words: &[&str]) {
        self.gate.signal(Signal::HUP);
        let (done, number, said) = self.outcome();
        assert!(!done && number == self.number, "{said}");
        self.failed += 1;
        assert!(said.lines().any(|line| words.iter().all(|word| line.contains(word))), "{words:?} in {said}");
    }

    /// Whether a new generation is in force, the number of the one that is, and what was logged since the last time.
    fn outcome(&mut self) -> (bool, u64, String) {
        eventually("a reload", || {
            let log = self.gate.log_text();
            let complete = &log[..=log.rfind('\n')?];
            let lines: Vec<&str> = complete.lines().skip(self.read).collect();
            let (at, event) = lines.iter().enumerate().find_map(|(at, line)| Some((at, end_of_reload(line)?)))?;
            self.read += at + 1;
            Some((event["outcome"] == "done", event["generation"].as_u64().unwrap(), lines[..=at].join("\n")))
        })
    }
}

/// The last line about a reload has the number of the generation in force.
fn end_of_reload(line: &str) -> Option<Value> {
    if !line.contains("\"event\":\"reload\"") {
        return None;
    }
    let event: Value = serde_json::from_str(line).unwrap();
    event.get("generation").is_some().then_some(event)
}

/// One client that works until it is over, a step at a time; how many steps it was.
fn work<S: FnMut(&mut RespClient, usize) + Send + 'static>(
    gate: &Respgate,
    over: &Arc<AtomicBool>,
    begin: fn(&mut RespClient) -> S,
) -> JoinHandle<usize> {
    let over = Arc::clone(over);
    let mut client = gate.connect("alice");
    thread::spawn(move || {
        let mut step = begin(&mut client);
        let mut number = 0;
        while !over.load(Ordering::Relaxed) {
            step(&mut client, number);
            number += 1;
        }
        number
    })
}

fn pipelines(_: &mut RespClient) -> impl FnMut(&mut RespClient, usize) + Send + use<> {
    |client, number| {
        let value = |at: usize| format!("{number}-{at}");
        let asked = |at: usize| match at % 4 {
            0 => request(&["SET", "pipeline", &value(at)]),
            1 => request(&["GET", "pipeline"]),
            2 => request(&["ECHO", &value(at)]),
            _ => request(&["FLUSHALL"]),
        };
        client.send(&(0..100).flat_map(asked).collect::<Vec<u8>>());
        for at in 0..100 {
            let expected = match at % 4 {
                0 => "+OK".to_owned(),
                1 => bulk(&value(at - 1)),
                2 => bulk(&value(at)),
                _ => "-NOPERM this user has no permissions to run the 'flushall' command (blocked by respgate)"
                    .to_owned(),
            };
            assert_eq!(client.reply_text(), expected, "{number}, {at}");
        }
    }
}

fn transactions(_: &mut RespClient) -> impl FnMut(&mut RespClient, usize) + Send + use<> {
    |client, number| {
        assert_eq!(client.text(&["MULTI"]), "+OK");
        assert_eq!(client.text(&["SET", "{t}", &number.to_string()]), "+QUEUED");
        assert_eq!(client.text(&["INCR", "{t}count"]), "+QUEUED");
        assert_eq!(client.text(&["GET", "{t}"]), "+QUEUED");
        let expected = format!("*3\r\n+OK\r\n:{}\r\n{}", number + 1, bulk(&number.to_string()));
        assert_eq!(client.text(&["EXEC"]), expected);
    }
}

/// Large enough to be passed on before they are complete.
fn large_values(_: &mut RespClient) -> impl FnMut(&mut RespClient, usize) + Send + use<> {
    |client, number| {
        let mut value = vec![b'a' + (number % 26) as u8; 1 << 20];
        value[number % (1 << 20)] = b'#';
        let asked = request(&[&b"SET"[..], b"large", &value]);
        for piece in asked.chunks(100_000) {
            client.send(piece);
        }
        assert_eq!(client.reply_text(), "+OK");
        client.send(&request(&["GET", "large"]));
        let header = format!("${}\r\n", value.len());
        assert_eq!(client.read_exactly(header.len()), header.as_bytes());
        assert!(client.read_exactly(value.len()) == value, "{number}");
        assert_eq!(client.read_exactly(2), b"\r\n");
    }
}

/// A client that is subscribed all the time, and told by itself, as RESP3 allows.
fn subscription(client: &mut RespClient) -> impl FnMut(&mut RespClient, usize) + Send + use<> {
    assert!(client.text(&["HELLO", "3"]).starts_with('%'));
    assert!(client.text(&["SUBSCRIBE", "news"]).starts_with(">3"));
    |client, number| {
        client.send(&request(&["PUBLISH", "news", &number.to_string()]));
        let (push, reply) = (client.reply_text(), client.reply_text());
        assert_eq!(push, format!(">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n{}", bulk(&number.to_string())));
        assert_eq!(reply, ":1");
    }
}

/// Clients that come, with the ticket of the one before if it is still worth something, ask once, and go.
fn newcomers(gate: &Respgate, over: &Arc<AtomicBool>) -> JoinHandle<usize> {
    let over = Arc::clone(over);
    let config = client_config(&gate.pki().ca_cert(), Some(&gate.pki().client("alice")));
    let address = gate.address();
    thread::spawn(move || {
        let mut number = 0;
        while !over.load(Ordering::Relaxed) {
            let mut client = RespClient::tls_with(address, &config);
            let answer: io::Result<Vec<u8>> =
                client.try_send(&request(&["ECHO", &number.to_string()])).and_then(|()| client.try_reply());
            assert_eq!(String::from_utf8(answer.unwrap()).unwrap().trim_end(), bulk(&number.to_string()));
            number += 1;
        }
        number
    })
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}", text.len())
}

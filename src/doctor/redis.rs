//! Asking a Redis. Everything that is ever sent stands in [`Question`], and nothing of it could change anything.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};
use zeroize::Zeroizing;

use super::nodes::{Node, nodes};
use super::sockets::Process;
use crate::config::{Redacted, Rename, UpstreamAddress};
use crate::resp::{self, Protocol, Reply};

/// How long it may take to connect, and then to go on.
const PATIENCE: Duration = Duration::from_secs(3);
/// And all of a conversation: who answers byte by byte is none to wait for.
const LONGEST: Duration = Duration::from_secs(20);
/// No answer is longer.
const LARGEST_REPLY: usize = 16 << 20;

/// The settings that are asked for. That of the password is not among them.
const SETTINGS: &[&str] = &[
    "appendonly",
    "cluster-announce-client-port",
    "cluster-enabled",
    "cluster-port",
    "dbfilename",
    "dir",
    "enable-debug-command",
    "enable-module-command",
    "enable-protected-configs",
    "maxmemory",
    "maxmemory-policy",
    "port",
    "protected-mode",
    "replica-announce-ip",
    "replica-announce-port",
    "save",
    "tls-auth-clients",
    "tls-cluster",
    "tls-port",
    "tls-replication",
];

/// Keys that attackers of open Redis servers leave behind: public reports name them again and again
/// [redis/redis issues 3594 and 4791, antirez.com/news/96].
const KEYS_OF_ATTACKERS: &[&str] =
    &["backup1", "backup2", "backup3", "backup4", "Backup1", "Backup2", "Backup3", "Backup4", "crackit"];

/// A Redis, and what became of asking it.
#[derive(Debug, Clone)]
pub struct Redis {
    /// Where it was asked.
    pub address: UpstreamAddress,
    /// Whose socket that is, where that is known.
    pub process: Option<Process>,
    /// What became of it.
    pub answer: Answer,
    /// What it told, to everybody or to whom it let in.
    pub told: Option<Told>,
}

/// What became of asking a Redis without a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It tells everything to everybody.
    Open,
    /// It wants a password.
    Password,
    /// It answers with another error.
    Refused(String),
    /// It does not answer.
    Silent(String),
}

/// What a Redis says of itself. What it does not tell is `None`, or not there.
#[derive(Clone, Default)]
pub struct Told {
    /// INFO, line by line.
    pub info: BTreeMap<String, String>,
    /// CONFIG GET of a few parameters.
    pub settings: BTreeMap<&'static str, String>,
    /// ACL LIST. It holds hashes of passwords.
    pub users: Option<Vec<String>>,
    /// The names of its modules.
    pub modules: Option<Vec<String>>,
    /// Those keys that attackers leave which it has.
    pub keys_of_attackers: Option<Vec<&'static str>>,
    /// The nodes of its cluster, as it names them to clients.
    pub nodes: Option<Vec<Node>>,
    /// CLIENT LIST.
    pub clients: Option<Vec<String>>,
    /// The number of the connection over which it told.
    pub asker: Option<i64>,
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Told(…)")
    }
}

/// As whom to ask, and what commands are called there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Login<'a> {
    /// The user; `None` is `default`.
    pub user: Option<&'a str>,
    /// The password.
    pub password: Option<&'a Redacted>,
    /// The commands that have other names.
    pub renames: &'a [Rename],
}

/// What a Redis may be asked. Nobody else writes to it.
enum Question {
    Ping,
    Info,
    Setting(&'static str),
    Users,
    Modules,
    Exists(&'static str),
    Nodes,
    Node,
    Id,
    Clients,
}

impl Question {
    fn words(&self) -> Vec<&'static str> {
        match self {
            Question::Ping => vec!["PING"],
            Question::Info => vec!["INFO"],
            Question::Setting(name) => vec!["CONFIG", "GET", name],
            Question::Users => vec!["ACL", "LIST"],
            Question::Modules => vec!["MODULE", "LIST"],
            Question::Exists(key) => vec!["EXISTS", key],
            Question::Nodes => vec!["CLUSTER", "SLOTS"],
            Question::Node => vec!["CLUSTER", "MYID"],
            Question::Id => vec!["CLIENT", "ID"],
            Question::Clients => vec!["CLIENT", "LIST"],
        }
    }
}

/// Asks whoever is there, first without a password, and then with that of the login, if there is one.
pub fn ask(address: &UpstreamAddress, process: Option<Process>, login: Option<Login<'_>>) -> Redis {
    let renames = login.map_or(&[][..], |login| login.renames);
    let (answer, mut told) = match Conversation::begin(address, renames) {
        Ok(mut conversation) => {
            let said = match conversation.ask(&Question::Ping) {
                Ok(Reply::Error(text)) if text.starts_with("NOAUTH") => (Answer::Password, None),
                Ok(Reply::Error(text)) => (Answer::Refused(text.into_owned()), None),
                Ok(_) => (Answer::Open, Some(conversation.listen())),
                Err(error) => (Answer::Silent(error.to_string()), None),
            };
            conversation.end();
            said
        }
        Err(error) => (Answer::Silent(error.to_string()), None),
    };
    let password = login.and_then(|login| Some((login.user, login.password?)));
    if let Some((user, password)) = password
        && let Ok(mut conversation) = Conversation::begin(address, renames)
    {
        if matches!(conversation.log_in(user, password), Ok(Reply::Simple(_))) {
            told = Some(conversation.listen());
        }
        conversation.end();
    }
    Redis { address: address.clone(), process, answer, told }
}

/// A connection, one question after the other.
struct Conversation<'a> {
    stream: Stream,
    unread: Vec<u8>,
    renames: &'a [Rename],
    end: Instant,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl<'a> Conversation<'a> {
    fn begin(address: &UpstreamAddress, renames: &'a [Rename]) -> io::Result<Conversation<'a>> {
        let stream = match address {
            UpstreamAddress::Tcp(address) => Stream::Tcp(tcp(address)?),
            UpstreamAddress::Unix(path) => Stream::Unix(unix(path, PATIENCE)?),
        };
        Ok(Conversation { stream, unread: Vec::new(), renames, end: Instant::now() + LONGEST })
    }

    /// Ends it, and waits until Redis has noticed: it is no client of Redis any more.
    fn end(mut self) {
        let mut rest = [0; 1024];
        // It may be gone by itself.
        let _ = match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
        while self.read(&mut rest).is_ok_and(|count| count > 0) {}
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if Instant::now() > self.end {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it takes too long"));
        }
        match &mut self.stream {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }

    /// What it tells. Where it does not answer any more, that is all.
    fn listen(&mut self) -> Told {
        let mut told =
            Told { info: self.text(&Question::Info).map(|text| fields(&text)).unwrap_or_default(), ..Told::default() };
        for name in SETTINGS {
            if let Some(Reply::Array(pair)) = self.answer(&Question::Setting(name))
                && let [_, Reply::Bulk(value)] = pair.as_slice()
            {
                told.settings.insert(name, String::from_utf8_lossy(value).into_owned());
            }
        }
        told.users = self.answer(&Question::Users).and_then(texts);
        told.modules = self.answer(&Question::Modules).and_then(module_names);
        let has = |key: &&'static str| match self.answer(&Question::Exists(key)) {
            Some(Reply::Integer(count)) => Some((*key, count > 0)),
            _ => None,
        };
        let keys: Option<Vec<(&'static str, bool)>> = KEYS_OF_ATTACKERS.iter().map(has).collect();
        told.keys_of_attackers =
            keys.map(|keys| keys.into_iter().filter(|(_, has)| *has).map(|(key, _)| key).collect());
        if told.info.get("cluster_enabled").is_some_and(|value| value == "1") {
            let own = self.text(&Question::Node);
            told.nodes = self.answer(&Question::Nodes).and_then(|slots| nodes(slots, own.as_deref()));
        }
        told.asker = match self.answer(&Question::Id) {
            Some(Reply::Integer(number)) => Some(number),
            _ => None,
        };
        told.clients = self.text(&Question::Clients).map(|text| text.lines().map(str::to_owned).collect());
        told
    }

    fn text(&mut self, question: &Question) -> Option<String> {
        match self.answer(question)? {
            Reply::Bulk(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            _ => None,
        }
    }

    /// `None` where it does not answer.
    fn answer(&mut self, question: &Question) -> Option<Reply> {
        self.ask(question).ok()
    }

    fn ask(&mut self, question: &Question) -> io::Result<Reply> {
        let words = question.words();
        let mut arguments: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        if let Some((command, first)) = arguments.first_mut().zip(words.first()) {
            *command = self.name(first);
        }
        let mut request = Vec::new();
        resp::encode_request(&arguments, &mut request);
        self.exchange(&request)
    }

    fn log_in(&mut self, user: Option<&str>, password: &Redacted) -> io::Result<Reply> {
        let mut arguments = vec![self.name("AUTH")];
        arguments.extend(user.map(str::as_bytes));
        arguments.push(password.expose());
        // With room for all of it, so that no copy is left behind.
        const ROOM: usize = 256;
        let size = arguments.iter().map(|argument| argument.len()).sum::<usize>();
        let mut request = Zeroizing::new(Vec::with_capacity(size + ROOM));
        resp::encode_request(&arguments, &mut request);
        self.exchange(&request)
    }

    /// What a command, given in upper case, is called there.
    fn name(&self, original: &'static str) -> &'a [u8] {
        let declared = self.renames.iter().find(|rename| rename.original == original);
        declared.and_then(|rename| rename.name.as_ref()).map_or(original.as_bytes(), Redacted::expose)
    }

    fn exchange(&mut self, request: &[u8]) -> io::Result<Reply> {
        match &mut self.stream {
            Stream::Tcp(stream) => stream.write_all(request)?,
            Stream::Unix(stream) => stream.write_all(request)?,
        }
        let mut chunk = vec![0; 64 << 10];
        loop {
            match resp::decode(Protocol::Resp2, &self.unread) {
                Ok(Some((reply, taken))) => {
                    self.unread.drain(..taken);
                    return Ok(reply);
                }
                Ok(None) if self.unread.len() <= LARGEST_REPLY => {}
                Ok(None) | Err(_) => return Err(io::Error::other("it does not speak as Redis does")),
            }
            let count = self.read(&mut chunk)?;
            match chunk.get(..count) {
                Some(bytes) if !bytes.is_empty() => self.unread.extend_from_slice(bytes),
                _ => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it closes the connection")),
            }
        }
    }
}

fn tcp(address: &SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Waits no longer for a place in the queue of who listens there, nor then for each thing that is said.
fn unix(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_read_timeout(Some(patience))?;
    socket.set_write_timeout(Some(patience))?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(OwnedFd::from(socket).into())
}

/// `name:value` lines.
fn fields(text: &str) -> BTreeMap<String, String> {
    let field = |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim_end().to_owned()));
    text.lines().filter_map(field).collect()
}

fn texts(reply: Reply) -> Option<Vec<String>> {
    let Reply::Array(items) = reply else { return None };
    let text = |item: Reply| match item {
        Reply::Bulk(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        _ => None,
    };
    items.into_iter().map(text).collect()
}

/// Of `[[name, …, ver, …], …]`.
fn module_names(reply: Reply) -> Option<Vec<String>> {
    let Reply::Array(modules) = reply else { return None };
    let name = |module: Reply| {
        let Reply::Array(fields) = module else { return None };
        let is_name = |field: &Reply| matches!(field, Reply::Bulk(word) if word == b"name");
        match fields.get(fields.iter().position(is_name)? + 1) {
            Some(Reply::Bulk(name)) => Some(String::from_utf8_lossy(name).into_owned()),
            _ => None,
        }
    };
    modules.into_iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redis_whose_queue_is_full_is_not_waited_for_without_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("redis.sock");
        let stuck = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        stuck.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        stuck.listen(0).unwrap();
        let _waiting = UnixStream::connect(&path).unwrap();
        assert_eq!(unix(&path, Duration::from_millis(10)).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn nothing_that_is_sent_could_change_anything() {
        let all = [
            Question::Ping,
            Question::Info,
            Question::Setting("dir"),
            Question::Users,
            Question::Modules,
            Question::Exists("backup1"),
            Question::Nodes,
            Question::Node,
            Question::Id,
            Question::Clients,
        ];
        let known = [
            "PING",
            "INFO",
            "CONFIG GET dir",
            "ACL LIST",
            "MODULE LIST",
            "EXISTS backup1",
            "CLUSTER SLOTS",
            "CLUSTER MYID",
            "CLIENT ID",
            "CLIENT LIST",
        ];
        assert_eq!(all.map(|question| question.words().join(" ")), known);
    }

    #[test]
    fn the_password_is_no_setting_that_is_asked_for() {
        assert!(
            SETTINGS.iter().all(|name| !name.contains("pass") && !name.contains("auth") || *name == "tls-auth-clients")
        );
    }

    #[test]
    fn the_names_of_modules_are_read_from_what_it_lists() {
        let bulk = |text: &str| Reply::Bulk(text.into());
        let module = Reply::Array(vec![bulk("name"), bulk("system"), bulk("ver"), Reply::Integer(1)]);
        assert_eq!(module_names(Reply::Array(vec![module])), Some(vec!["system".to_owned()]));
        assert_eq!(module_names(Reply::Array(Vec::new())), Some(Vec::new()));
        assert_eq!(module_names(Reply::Error("NOPERM".into())), None);
    }

    #[test]
    fn who_answers_without_an_end_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let mut conversation = Conversation::begin(&UpstreamAddress::Unix(path), &[]).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.write_all(b"$100\r\nx").unwrap();
        conversation.end = Instant::now();
        assert_eq!(conversation.ask(&Question::Ping).unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}

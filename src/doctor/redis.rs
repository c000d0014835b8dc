//! Asking a Redis. Everything that is ever sent stands in [`Question`], and nothing of it could change anything.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::sockets::Process;
use crate::config::UpstreamAddress;
use crate::resp::{self, Protocol, Reply};

/// How long it may take to connect, and then to go on.
const PATIENCE: Duration = Duration::from_secs(3);
/// No answer is longer.
const LARGEST_REPLY: usize = 16 << 20;

/// A Redis, and what became of asking it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redis {
    /// Where it was asked.
    pub address: UpstreamAddress,
    /// Whose socket that is, where that is known.
    pub process: Option<Process>,
    /// What became of it.
    pub answer: Answer,
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

/// What a Redis may be asked. Nobody else writes to it.
enum Question {
    Ping,
}

impl Question {
    fn words(&self) -> Vec<&[u8]> {
        match self {
            Question::Ping => vec![b"PING"],
        }
    }
}

/// Asks whoever is there without a password.
pub fn ask(address: &UpstreamAddress, process: Option<Process>) -> Redis {
    let answer = Conversation::begin(address).and_then(|mut conversation| conversation.ask(&Question::Ping));
    let answer = match answer {
        Ok(Reply::Error(text)) if text.starts_with("NOAUTH") => Answer::Password,
        Ok(Reply::Error(text)) => Answer::Refused(text.into_owned()),
        Ok(_) => Answer::Open,
        Err(error) => Answer::Silent(error.to_string()),
    };
    Redis { address: address.clone(), process, answer }
}

/// A connection, one question after the other.
struct Conversation {
    stream: Stream,
    unread: Vec<u8>,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Conversation {
    fn begin(address: &UpstreamAddress) -> io::Result<Conversation> {
        let stream = match address {
            UpstreamAddress::Tcp(address) => Stream::Tcp(tcp(address)?),
            UpstreamAddress::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Stream::Unix(stream)
            }
        };
        Ok(Conversation { stream, unread: Vec::new() })
    }

    fn ask(&mut self, question: &Question) -> io::Result<Reply> {
        let mut request = Vec::new();
        resp::encode_request(&question.words(), &mut request);
        self.exchange(&request)
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
            let count = match &mut self.stream {
                Stream::Tcp(stream) => stream.read(&mut chunk)?,
                Stream::Unix(stream) => stream.read(&mut chunk)?,
            };
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

//! One connection to Redis, logged in as the proxy's own user.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use zeroize::Zeroizing;

use super::login;
use crate::config::{Config, Redacted, Rename, UpstreamAddress};
use crate::resp::{self, Reply};

/// Where Redis is and how to log in there.
#[derive(Debug, Clone)]
pub struct Target {
    address: UpstreamAddress,
    user: Option<String>,
    password: Option<Redacted>,
    /// For connecting and logging in together, and for one question after that.
    timeout: Duration,
    renames: Vec<Rename>,
}

impl From<&Config> for Target {
    fn from(config: &Config) -> Self {
        let settings = &config.upstream;
        Self {
            address: settings.address.clone(),
            user: settings.user.clone(),
            password: settings.password.clone(),
            timeout: settings.connect_timeout,
            renames: config.renames.clone(),
        }
    }
}

impl Target {
    /// A unix socket at which nobody has to log in.
    #[cfg(test)]
    pub(super) fn at(path: PathBuf) -> Self {
        let timeout = Duration::from_secs(10);
        Self { address: UpstreamAddress::Unix(path), user: None, password: None, timeout, renames: Vec::new() }
    }

    /// What a command, given in upper case, is called there. One that is declared to be disabled keeps its name, and
    /// Redis says that it does not know it.
    pub(super) fn name<'a>(&'a self, original: &'a str) -> &'a [u8] {
        let declared = self.renames.iter().find(|rename| rename.original == original);
        declared.and_then(|rename| rename.name.as_ref()).map_or(original.as_bytes(), Redacted::expose)
    }
}

/// A connection to Redis.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    id: Option<ClientId>,
}

/// What Redis calls a connection: from 1 on, each greater than those before it, in one run of Redis.
pub(super) type ClientId = NonZeroU64;

/// Over loopback TCP, or over a unix socket.
#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Connection {
    /// Its id, where it was asked for and the proxy's user may know it.
    pub(super) fn id(&self) -> Option<ClientId> {
        self.id
    }
}

/// Why there is no connection.
#[derive(Debug)]
pub enum ConnectError {
    /// Nobody accepts, or the connection broke.
    Io(io::Error),
    /// It took too long.
    Timeout,
    /// Redis does not let us in; its own words.
    Refused(String),
    /// What answered does not speak the Redis protocol.
    NotRedis,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Timeout => f.write_str("timed out"),
            Self::Refused(text) => write!(f, "the upstream refused: {text}"),
            Self::NotRedis => f.write_str("the upstream does not speak the Redis protocol"),
        }
    }
}

impl std::error::Error for ConnectError {}

impl ConnectError {
    /// In Redis's own words, but without what they repeat of ours: it may be the password.
    pub(super) fn refused(words: &str) -> Self {
        const REPEATING: &str = "ERR unknown command";
        Self::Refused(if words.starts_with(REPEATING) { REPEATING } else { words }.to_owned())
    }

    /// Redis is there, and has no time or no place just now.
    pub fn is_passing(&self) -> bool {
        const PASSING: [&str; 2] = ["BUSY ", "LOADING "];
        self.is_full() || matches!(self, Self::Refused(text) if PASSING.iter().any(|words| text.starts_with(words)))
    }

    /// Redis has as many clients as it takes.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Refused(text) if text.starts_with("ERR max number of clients reached"))
    }

    /// It says nothing of Redis: this process, or the system, has no file descriptor left.
    pub fn is_ours(&self) -> bool {
        const OURS: [Errno; 2] = [Errno::MFILE, Errno::NFILE];
        matches!(self, Self::Io(error) if Errno::from_io_error(error).is_some_and(|errno| OURS.contains(&errno)))
    }
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Connects and, where a password is configured, logs in, within the timeout of the target.
pub async fn connect(target: &Target) -> Result<Connection, ConnectError> {
    within(target, open(target, false)).await
}

/// The same, and asks Redis what it calls the connection: so one is of use, since Redis has answered.
pub(super) async fn connect_and_identify(target: &Target) -> Result<Connection, ConnectError> {
    within(target, open(target, true)).await
}

/// Within the timeout of the target.
pub(super) async fn within<T>(
    target: &Target,
    work: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    tokio::time::timeout(target.timeout, work).await.unwrap_or(Err(ConnectError::Timeout))
}

/// AUTH and CLIENT ID are sent at once.
async fn open(target: &Target, is_identified: bool) -> Result<Connection, ConnectError> {
    let stream = match &target.address {
        UpstreamAddress::Tcp(address) => Stream::Tcp(tcp(*address).await?),
        UpstreamAddress::Unix(path) => Stream::Unix(unix(path).await?),
    };
    let mut connection = Connection { stream, id: None };
    let mut requests = Zeroizing::new(Vec::new());
    if let Some(password) = &target.password {
        requests = login::auth(target.name("AUTH"), target.user.as_deref(), password);
    }
    if is_identified {
        resp::encode_request(&[target.name("CLIENT"), b"ID"], &mut requests);
    }
    let count = usize::from(target.password.is_some()) + usize::from(is_identified);
    if count == 0 {
        return Ok(connection);
    }
    let mut replies = login::exchange_all(&mut connection, &requests, count).await?.into_iter();
    if target.password.is_some() {
        match replies.next() {
            Some(Reply::Simple(_)) => {}
            Some(Reply::Error(text)) => return Err(ConnectError::refused(&text)),
            _ => return Err(ConnectError::NotRedis),
        }
    }
    match replies.next() {
        Some(Reply::Integer(id)) => connection.id = u64::try_from(id).ok().and_then(ClientId::new),
        Some(Reply::Error(text)) if ConnectError::refused(&text).is_full() => {
            return Err(ConnectError::refused(&text));
        }
        // The proxy's user may not ask. Whatever else it says, it speaks.
        _ => {}
    }
    Ok(connection)
}

/// What the kernel may keep of Redis's replies while a client does not read, in bytes: left to itself, it takes megabytes.
const RECEIVE_BUFFER: u32 = 256 << 10;

async fn tcp(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.set_nodelay(true)?;
    socket.connect(address).await
}

async fn unix(path: &PathBuf) -> io::Result<UnixStream> {
    UnixStream::connect(path).await
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_redis_repeats_of_a_request_is_not_kept() {
        let words = |error: ConnectError| error.to_string();
        let told = words(ConnectError::refused("ERR unknown command 'AUTH', with args beginning with: 'secret' "));
        assert!(told.ends_with("ERR unknown command"), "{told}");
        assert!(words(ConnectError::refused("WRONGPASS invalid")).ends_with("WRONGPASS invalid"));
    }

    #[test]
    fn a_redis_that_has_no_time_or_place_is_told_from_one_that_lets_nobody_in() {
        let refused = |text: &str| ConnectError::Refused(text.to_owned());
        for text in ["ERR max number of clients reached", "BUSY Redis is busy running a script.", "LOADING Redis is"] {
            assert!(refused(text).is_passing(), "{text}");
        }
        for text in ["NOAUTH Authentication required.", "WRONGPASS invalid", "NOPERM this user", "DENIED Redis is", ""]
        {
            assert!(!refused(text).is_passing(), "{text}");
        }
        assert!(!ConnectError::Timeout.is_passing());
    }
}

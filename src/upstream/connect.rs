//! One connection to Redis, logged in as the proxy's own user.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpSocket, TcpStream, UnixStream};

use super::client_id::ClientId;
use super::error::ConnectError;
use super::login::{self, Login};
use crate::config::{Config, Redacted, Rename, UpstreamAddress};
use crate::keepalive::Keepalive;
use crate::resp::{self, Reply};

/// Where Redis is and how to log in there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    address: UpstreamAddress,
    login: Option<Login>,
    /// The one that Redis knew last, where it does not know the new one yet.
    former_login: Option<Login>,
    /// Scripts run as its user, and are bound by that alone: nobody else stands in for it.
    runs_scripts: bool,
    /// For connecting and logging in together, and for one question after that.
    timeout: Duration,
    renames: Vec<Rename>,
    keepalive: Option<Keepalive>,
}

impl From<&Config> for Target {
    fn from(config: &Config) -> Self {
        let settings = &config.upstream;
        Self {
            address: settings.address.clone(),
            login: Login::of(settings),
            former_login: None,
            runs_scripts: !settings.mirror_users,
            timeout: settings.connect_timeout,
            renames: config.renames.clone(),
            keepalive: config.limits.tcp_keepalive,
        }
    }
}

impl Target {
    /// A unix socket at which nobody has to log in.
    #[cfg(test)]
    pub(super) fn at(path: PathBuf) -> Self {
        let timeout = Duration::from_secs(10);
        Self {
            address: UpstreamAddress::Unix(path),
            login: None,
            former_login: None,
            runs_scripts: false,
            timeout,
            renames: Vec::new(),
            keepalive: None,
        }
    }

    /// This one, after the last as what Redis has let us in. One that it never knew, a slip, is not gone back to.
    pub(super) fn after(self, let_in: Option<&Target>) -> Target {
        let stands_in = |former: &Login| {
            self.login.as_ref() != Some(former) && (!self.runs_scripts || login::user(Some(former)) == self.user())
        };
        let former_login = let_in.and_then(|known| known.login.clone()).filter(stands_in);
        Self { former_login, ..self }
    }

    /// As whom one is there.
    fn user(&self) -> &str {
        login::user(self.login.as_ref())
    }

    /// Whether what goes over this connection is done as whom it may be done as.
    pub(super) fn permits(&self, connection: &Connection) -> bool {
        !self.runs_scripts || *connection.user == *self.user()
    }

    /// For connecting and logging in together.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The new names that are declared, for asking what it runs under them.
    pub fn declared_names(&self) -> Vec<String> {
        let names = self.renames.iter().filter_map(|rename| rename.name.as_ref());
        names.map(|name| String::from_utf8_lossy(name.expose()).into_owned()).collect()
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
    /// When it was asked for.
    opened: Instant,
    id: Option<NonZeroU64>,
    /// As whom it is logged in.
    user: Box<str>,
    /// Redis knows the former login only.
    is_former: bool,
    /// What has come of the reply to CLIENT ID, until all of it has.
    introduction: Option<Vec<u8>>,
    /// What came behind it.
    unread: Vec<u8>,
}

/// The first words of a Redis that takes no more clients, whatever it was asked.
const FULL: &[u8] = b"-ERR max number of clients reached";

/// Over loopback TCP, or over a unix socket.
#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Connection {
    /// Its id, where it was asked for and the proxy's user may know it.
    pub(super) fn id(&self) -> Option<ClientId> {
        self.id.map(|number| ClientId { number, opened: self.opened })
    }

    /// Its number among Redis's clients, where Redis has told.
    pub fn number(&self) -> Option<u64> {
        self.id.map(NonZeroU64::get)
    }

    /// Whether Redis refused the login that is configured, and knew the one before it.
    pub(super) fn is_former(&self) -> bool {
        self.is_former
    }

    /// Takes the reply to CLIENT ID, of which nobody else is to hear. Should it say that Redis is full, that is read as the
    /// answer to whatever comes first.
    fn poll_introduction(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        /// It is a line, of a number or an error.
        const LONGEST: usize = 512;
        while let Some(text) = &mut self.introduction {
            let mut chunk = [0; LONGEST];
            let mut chunk = ReadBuf::new(&mut chunk);
            ready!(self.stream.poll_read(cx, &mut chunk))?;
            text.extend_from_slice(chunk.filled());
            let end = text.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
            if end.is_none() && !chunk.filled().is_empty() && text.len() < LONGEST {
                continue;
            }
            let line = text.get(..end.unwrap_or(0)).unwrap_or_default();
            self.id = parse_id(line);
            let is_answer = !line.starts_with(FULL);
            self.unread = text.split_off(if is_answer { line.len() } else { 0 });
            self.introduction = None;
        }
        Poll::Ready(Ok(()))
    }
}

/// Of `:<id>\r\n`.
fn parse_id(line: &[u8]) -> Option<NonZeroU64> {
    let digits = line.strip_prefix(b":")?.strip_suffix(b"\r\n")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

impl Stream {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

/// Connects and, where a password is configured, logs in, within the timeout of the target.
pub async fn connect(target: &Target) -> Result<Connection, ConnectError> {
    within(target, open(target, false)).await
}

/// The same, and asks Redis what it calls the connection.
pub(super) async fn connect_and_identify(target: &Target) -> Result<Connection, ConnectError> {
    within(target, open(target, true)).await
}

/// The same, and Redis has to answer within that time.
pub(super) async fn connect_and_ask(target: &Target) -> Result<Connection, ConnectError> {
    let answering = async {
        let mut connection = open(target, true).await?;
        let mut request = Vec::new();
        resp::encode_request(&[target.name("PING")], &mut request);
        match login::exchange(&mut connection, &request).await? {
            Reply::Error(text) if ConnectError::refused(&text).is_max_clients() => Err(ConnectError::refused(&text)),
            // Whatever else it says, it speaks.
            _ => Ok(connection),
        }
    };
    within(target, answering).await
}

/// Within the timeout of the target.
pub(super) async fn within<T>(
    target: &Target,
    work: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    tokio::time::timeout(target.timeout, work).await.unwrap_or(Err(ConnectError::Timeout))
}

/// CLIENT ID is sent together with AUTH. Where there is no AUTH, its reply is waited for by the first request.
async fn open(target: &Target, is_identified: bool) -> Result<Connection, ConnectError> {
    let opened = Instant::now();
    let stream = match &target.address {
        UpstreamAddress::Tcp(address) => Stream::Tcp(tcp(*address, target.keepalive).await?),
        UpstreamAddress::Unix(path) => Stream::Unix(unix(path).await?),
    };
    let user = target.user().into();
    let mut connection =
        Connection { stream, opened, id: None, user, is_former: false, introduction: None, unread: Vec::new() };
    let client_id = |requests: &mut Vec<u8>| {
        if is_identified {
            resp::encode_request(&[target.name("CLIENT"), b"ID"], requests);
        }
    };
    let Some(login) = &target.login else {
        let mut request = Vec::new();
        client_id(&mut request);
        // If nobody takes it any more, that is met again at the next step.
        let _ = connection.write_all(&request).await;
        connection.introduction = is_identified.then(Vec::new);
        return Ok(connection);
    };
    let log_in = async |connection: &mut Connection, login: &Login| {
        let mut requests = login.request(target.name("AUTH"));
        client_id(&mut requests);
        let mut replies = login::exchange_all(connection, &requests, 1 + usize::from(is_identified)).await?.into_iter();
        match replies.next() {
            Some(Reply::Simple(_)) => {}
            Some(Reply::Error(text)) => return Err(ConnectError::refused(&text)),
            _ => return Err(ConnectError::NotRedis),
        }
        // The proxy's user may lack the right to ask.
        if let Some(Reply::Integer(id)) = replies.next() {
            connection.id = u64::try_from(id).ok().and_then(NonZeroU64::new);
        }
        Ok(())
    };
    let outcome = log_in(&mut connection, login).await;
    match (outcome, &target.former_login) {
        (Err(error), Some(former)) if error.is_wrong_password() => {
            log_in(&mut connection, former).await.map_err(|_| error)?;
            connection.user = login::user(Some(former)).into();
            connection.is_former = true;
        }
        (outcome, _) => outcome?,
    }
    Ok(connection)
}

/// What the kernel may keep of Redis's replies while a client does not read, in bytes: left to itself, it takes megabytes.
const RECEIVE_BUFFER: u32 = 256 << 10;

async fn tcp(address: SocketAddr, keepalive: Option<Keepalive>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.set_nodelay(true)?;
    if let Some(keepalive) = keepalive {
        keepalive.set_on(&socket)?;
    }
    socket.connect(address).await
}

/// Between two attempts at a unix socket whose queue is full.
const PAUSE: Duration = Duration::from_millis(100);

/// Where Redis has as many connections to accept as it lets wait, a unix socket says so at once, and not when it has room
/// [connect(2), EAGAIN]. Over TCP the kernel waits, and here we do: Redis is busy, and not gone.
async fn unix(path: &PathBuf) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::time::sleep(PAUSE).await,
            connected => return connected,
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_introduction(cx))?;
        if this.unread.is_empty() {
            return this.stream.poll_read(cx, buffer);
        }
        let count = this.unread.len().min(buffer.remaining());
        buffer.put_slice(&this.unread[..count]);
        this.unread.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    /// Nothing is sent before the connection is known by its id: what Redis has received can be dropped by that, and PSYNC
    /// may not come while a reply is on its way.
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_introduction(cx))?;
        match &mut this.stream {
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixSocket;

    use super::*;

    /// What a session reads of a connection whose first bytes, in these pieces, answer CLIENT ID; and the id.
    async fn read(pieces: &[&str]) -> (String, Option<u64>) {
        let (stream, mut redis) = UnixStream::pair().unwrap();
        let mut connection = Connection {
            stream: Stream::Unix(stream),
            opened: Instant::now(),
            id: None,
            user: "default".into(),
            is_former: false,
            introduction: Some(Vec::new()),
            unread: Vec::new(),
        };
        let mut bytes = Vec::new();
        for piece in pieces {
            redis.write_all(piece.as_bytes()).await.unwrap();
            let patience = Duration::from_millis(20);
            let _ = tokio::time::timeout(patience, connection.read_buf(&mut bytes)).await;
        }
        drop(redis);
        connection.read_to_end(&mut bytes).await.unwrap();
        (String::from_utf8(bytes).unwrap(), connection.id.map(NonZeroU64::get))
    }

    #[tokio::test]
    async fn a_unix_socket_whose_queue_is_full_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("redis.sock");
        let listener = UnixSocket::new_stream().unwrap();
        listener.bind(&path).unwrap();
        let redis = listener.listen(1).unwrap();
        let mut queue = Vec::new();
        let full = loop {
            match UnixStream::connect(&path).await {
                Ok(client) => queue.push(client),
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        let target = Target::at(path);
        let busy_for_a_while = async {
            tokio::task::yield_now().await;
            loop {
                let _ = redis.accept().await;
            }
        };
        tokio::select! {
            biased;
            connected = connect(&target) => assert!(connected.is_ok(), "{connected:?}"),
            () = busy_for_a_while => {}
        }
    }

    #[tokio::test]
    async fn nobody_hears_of_the_reply_to_client_id_and_of_all_that_comes_behind_it_somebody_does() {
        let told = |text: &str, id| (text.to_owned(), id);
        for pieces in
            [&[":42\r\n+OK\r\n"][..], &[":4", "2\r\n+O", "K\r\n"], &[":42\r\n", "+OK\r\n"], &[":42\r", "\n+OK\r\n"]]
        {
            assert_eq!(read(pieces).await, told("+OK\r\n", Some(42)), "{pieces:?}");
        }
        assert_eq!(read(&["-NOPERM no\r\n+OK\r\n"]).await, told("+OK\r\n", None));
        assert_eq!(read(&[":0\r\n"]).await, told("", None), "to CLIENT KILL, 0 is everybody");
        let full = "-ERR max number of clients reached\r\n";
        assert_eq!(read(&[full]).await, told(full, None), "it answers whatever comes first");
        assert_eq!(read(&[]).await, told("", None));
    }
}

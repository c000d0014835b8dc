//! A blocking client that shows the bytes as they are: no library in between that would tidy them up.

use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned, SupportedProtocolVersion};

use super::{Identity, PATIENCE};

/// How long nothing has to arrive before a test says: there is no more.
const QUIET: Duration = Duration::from_millis(300);

trait Stream: Read + Write + Send {
    fn set_read_timeout(&self, timeout: Duration);
    fn shutdown_write(&mut self);
    fn is_resumed(&self) -> bool {
        false
    }
}

/// A connection over TLS or plain, and what arrived on it without being taken yet.
pub(crate) struct RespClient {
    stream: Box<dyn Stream>,
    received: Vec<u8>,
}

/// Encodes one request as an array of bulk strings.
pub(crate) fn request<A: AsRef<[u8]>>(args: &[A]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        bytes.extend_from_slice(format!("${}\r\n", arg.as_ref().len()).as_bytes());
        bytes.extend_from_slice(arg.as_ref());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

impl RespClient {
    /// Connects over TLS, with this certificate or with none, and trusts `ca_cert`.
    pub(crate) fn tls(address: SocketAddr, ca_cert: &Path, identity: Option<&Identity>) -> RespClient {
        RespClient::tls_with(address, &client_config(ca_cert, identity))
    }

    /// Connects over TLS as this configuration says; with one of its tickets, if it has any.
    pub(crate) fn tls_with(address: SocketAddr, config: &Arc<ClientConfig>) -> RespClient {
        RespClient::tls_over(TcpStream::connect(address).unwrap(), config)
    }

    /// Speaks TLS over a connection that is there already.
    pub(crate) fn tls_over(tcp: TcpStream, config: &Arc<ClientConfig>) -> RespClient {
        let connection = ClientConnection::new(Arc::clone(config), "localhost".try_into().unwrap());
        tcp.set_nodelay(true).unwrap();
        RespClient::over(StreamOwned::new(connection.unwrap(), tcp))
    }

    /// Has the server's part of the handshake; its own certificate goes out with the first request.
    pub(crate) fn half_way(address: SocketAddr, config: &Arc<ClientConfig>) -> RespClient {
        let mut tcp = TcpStream::connect(address).unwrap();
        let mut connection = ClientConnection::new(Arc::clone(config), "localhost".try_into().unwrap()).unwrap();
        connection.write_tls(&mut tcp).unwrap();
        while connection.is_handshaking() {
            connection.read_tls(&mut tcp).unwrap();
            connection.process_new_packets().unwrap();
        }
        RespClient::over(StreamOwned::new(connection, tcp))
    }

    /// Whether the handshake took up an earlier session; known after the first reply.
    pub(crate) fn is_resumed(&self) -> bool {
        self.stream.is_resumed()
    }

    pub(crate) fn plain(address: SocketAddr) -> RespClient {
        RespClient::over(TcpStream::connect(address).unwrap())
    }

    pub(crate) fn unix(socket: &Path) -> RespClient {
        RespClient::over(UnixStream::connect(socket).unwrap())
    }

    fn over(stream: impl Stream + 'static) -> RespClient {
        stream.set_read_timeout(PATIENCE);
        RespClient { stream: Box::new(stream), received: Vec::new() }
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).unwrap();
    }

    /// Sends bytes to a peer that may be about to close.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Sends one request and returns the bytes of its reply.
    pub(crate) fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Vec<u8> {
        self.send(&request(args));
        self.reply()
    }

    /// Sends one request and returns its reply as text, without the final CRLF.
    pub(crate) fn text<A: AsRef<[u8]>>(&mut self, args: &[A]) -> String {
        let reply = String::from_utf8_lossy(&self.call(args)).into_owned();
        reply.strip_suffix("\r\n").unwrap().to_owned()
    }

    /// The bytes of the next complete reply or push.
    pub(crate) fn reply(&mut self) -> Vec<u8> {
        self.try_reply().expect("a complete reply")
    }

    /// The next reply as text, without the final CRLF.
    pub(crate) fn reply_text(&mut self) -> String {
        String::from_utf8_lossy(&self.reply()).trim_end_matches("\r\n").to_owned()
    }

    /// The next reply, or why none came; the end of the stream is `UnexpectedEof`.
    pub(crate) fn try_reply(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(len) = frame_len(&self.received) {
                return Ok(self.received.drain(..len).collect());
            }
            self.fill()?;
        }
    }

    /// The next `len` bytes, whatever replies they are.
    pub(crate) fn read_exactly(&mut self, len: usize) -> Vec<u8> {
        while self.received.len() < len {
            self.fill().unwrap();
        }
        self.received.drain(..len).collect()
    }

    /// Everything that arrives until nothing has come for a while, or the stream ends.
    pub(crate) fn read_until_quiet(&mut self) -> Vec<u8> {
        self.stream.set_read_timeout(QUIET);
        while self.fill().is_ok() {}
        self.stream.set_read_timeout(PATIENCE);
        std::mem::take(&mut self.received)
    }

    /// Everything that still arrives, and how the stream ended: `Ok` is an orderly end.
    pub(crate) fn read_to_end(&mut self) -> (Vec<u8>, io::Result<()>) {
        loop {
            match self.fill() {
                Ok(()) => {}
                Err(end) if end.kind() == io::ErrorKind::UnexpectedEof => break (self.take(), Ok(())),
                Err(end) => break (self.take(), Err(end)),
            }
        }
    }

    /// Fails unless the peer ends the stream without another byte.
    pub(crate) fn expect_closed(&mut self) {
        let (rest, end) = self.read_to_end();
        assert_eq!(String::from_utf8_lossy(&rest), "", "the connection ends here");
        let still_open = |error: io::Error| error.kind() == io::ErrorKind::WouldBlock;
        assert!(!end.is_err_and(still_open), "the connection is still open");
    }

    /// Says that nothing more will be sent; replies can still arrive.
    pub(crate) fn finish_sending(&mut self) {
        self.stream.shutdown_write();
    }

    fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.received)
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut chunk = vec![0; 256 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                self.received.extend_from_slice(&chunk[..read]);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

impl Stream for StreamOwned<ClientConnection, TcpStream> {
    fn set_read_timeout(&self, timeout: Duration) {
        self.sock.set_read_timeout(Some(timeout)).unwrap();
    }

    fn shutdown_write(&mut self) {
        self.conn.send_close_notify();
        self.conn.write_tls(&mut self.sock).unwrap();
        self.sock.shutdown(std::net::Shutdown::Write).unwrap();
    }

    fn is_resumed(&self) -> bool {
        self.conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }
}

impl Stream for TcpStream {
    fn set_read_timeout(&self, timeout: Duration) {
        TcpStream::set_read_timeout(self, Some(timeout)).unwrap();
    }

    fn shutdown_write(&mut self) {
        self.shutdown(std::net::Shutdown::Write).unwrap();
    }
}

impl Stream for UnixStream {
    fn set_read_timeout(&self, timeout: Duration) {
        UnixStream::set_read_timeout(self, Some(timeout)).unwrap();
    }

    fn shutdown_write(&mut self) {
        self.shutdown(std::net::Shutdown::Write).unwrap();
    }
}

/// A client that trusts `ca_cert` and shows this certificate. It keeps tickets for its next connection.
pub(crate) fn client_config(ca_cert: &Path, identity: Option<&Identity>) -> Arc<ClientConfig> {
    client_config_of(rustls::DEFAULT_VERSIONS, ca_cert, identity)
}

/// The same in these versions of TLS.
pub(crate) fn client_config_of(
    versions: &[&'static SupportedProtocolVersion],
    ca_cert: &Path,
    identity: Option<&Identity>,
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca_cert).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(crypto_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(match identity {
        None => config.with_no_client_auth(),
        Some(Identity { cert, key }) => {
            let chain = CertificateDer::pem_file_iter(cert).unwrap().collect::<Result<_, _>>().unwrap();
            config.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap()).unwrap()
        }
    })
}

/// That of the program.
pub(crate) fn crypto_provider() -> CryptoProvider {
    #[cfg(feature = "aws-lc-rs")]
    return rustls::crypto::aws_lc_rs::default_provider();
    #[cfg(not(feature = "aws-lc-rs"))]
    rustls::crypto::ring::default_provider()
}

/// Length of the first complete frame, RESP2 or RESP3, or None while bytes are missing.
///
/// An attribute counts as part of the reply after it.
fn frame_len(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut open: u64 = 1;
    while open > 0 {
        let line_end = at + bytes.get(at..)?.windows(2).position(|pair| pair == b"\r\n")?;
        let kind = bytes[at];
        let digits = &bytes[at + 1..line_end];
        let number = || parse_number(digits);
        at = line_end + 2;
        open -= 1;
        match kind {
            b'$' | b'=' | b'!' => {
                if let Ok(len) = usize::try_from(number()) {
                    at += len + 2;
                    bytes.get(at - 1)?;
                }
            }
            b'*' | b'~' | b'>' => open += u64::try_from(number()).unwrap_or(0),
            b'%' => open += 2 * u64::try_from(number()).unwrap(),
            b'|' => open += 2 * u64::try_from(number()).unwrap() + 1,
            b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => {}
            other => panic!("not a reply: {:?}", fmt_byte(other)),
        }
    }
    Some(at)
}

fn parse_number(digits: &[u8]) -> i64 {
    std::str::from_utf8(digits).unwrap().parse().unwrap()
}

fn fmt_byte(byte: u8) -> impl Debug {
    byte.escape_ascii().to_string()
}

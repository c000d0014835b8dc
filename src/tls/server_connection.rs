//! The encrypted end of a tunnel: a connection to a server whose certificate is good.
//!
//! Of a large transfer most is what the kernel does for each call, so ciphertext is read in large pieces, and the plaintext of
//! several records is put together and written at once, by way of buffers that others use as well.

use std::fmt;
use std::io::{self, BufRead, ErrorKind, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConnection, Error, HandshakeKind};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::barren::Barren;
use super::client::in_words;
use super::client_material::ClientMaterial;
use super::read_ahead::ReadAhead;
use super::server_verifier::ServerRefusal;

/// What a server's certificate has to be for: a DNS name, or an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerName(rustls::pki_types::ServerName<'static>);

impl ServerName {
    /// `None` if it is neither.
    pub fn parse(text: &str) -> Option<ServerName> {
        rustls::pki_types::ServerName::try_from(text.to_owned()).ok().map(ServerName)
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_str())
    }
}

/// What is wrong with a server, or with the connection to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerFault {
    /// Its certificate is not good.
    Certificate(ServerRefusal),
    /// It has said with an alert that it does not want us, or our certificate.
    Rejected,
    /// No protocol version or cipher suite in common.
    Incompatible,
    /// It does not speak TLS.
    NotTls,
    /// The connection ended without a close_notify: something may be missing.
    Truncated,
    /// It broke the protocol.
    Protocol,
    /// The connection broke.
    Broken,
}

/// The same in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    /// What it is.
    pub fault: ServerFault,
    words: String,
}

impl ServerError {
    fn new(fault: ServerFault, words: impl Into<String>) -> ServerError {
        ServerError { fault, words: words.into() }
    }

    fn of_tls(error: &Error) -> ServerError {
        match error {
            Error::InvalidCertificate(reason) => {
                let refusal = ServerRefusal::of(reason);
                let words = match refusal {
                    // rustls knows which.
                    ServerRefusal::Name | ServerRefusal::Other => {
                        format!("the server's certificate is refused: {refusal}: {reason}")
                    }
                    _ => format!("the server's certificate is refused: {refusal}"),
                };
                ServerError::new(ServerFault::Certificate(refusal), words)
            }
            Error::AlertReceived(alert) => {
                let alert = in_words(&format!("{alert:?}"));
                ServerError::new(ServerFault::Rejected, format!("the server refuses with the alert {alert}"))
            }
            Error::InvalidMessage(_) => ServerError::new(ServerFault::NotTls, "the server does not speak TLS"),
            Error::PeerIncompatible(why) => {
                ServerError::new(ServerFault::Incompatible, format!("nothing in common with the server: {why:?}"))
            }
            error => ServerError::new(ServerFault::Protocol, format!("the server broke the protocol: {error}")),
        }
    }

    fn of_io(error: &io::Error) -> ServerError {
        if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            return ServerError::of_tls(error);
        }
        match error.kind() {
            ErrorKind::UnexpectedEof => ServerError::truncated(),
            _ => ServerError::new(ServerFault::Broken, format!("the connection to the server broke: {error}")),
        }
    }

    fn truncated() -> ServerError {
        ServerError::new(ServerFault::Truncated, "the server closed the connection without a close_notify")
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for ServerError {}

/// A connection to a server whose certificate is good.
pub struct ServerConnection {
    socket: TcpStream,
    tls: ClientConnection,
    name: ServerName,
    /// What has come of ciphertext and others go before.
    unread: Vec<u8>,
    /// What has been decrypted and nobody took yet.
    unwritten: Vec<u8>,
    /// What came after that, if it is no good.
    failed: Option<ServerError>,
    /// What has come that there was no plaintext of.
    barren: Barren,
}

/// What connections use in passing: one for all of a thread.
#[derive(Debug)]
pub struct Buffers {
    /// What is read from a socket.
    pub read: Box<[u8]>,
    /// What is decrypted of that.
    plaintext: Vec<u8>,
}

impl Buffers {
    /// So many bytes are read at once.
    pub fn new(size: usize) -> Buffers {
        Buffers { read: vec![0; size].into(), plaintext: Vec::new() }
    }
}

/// What came of one piece of ciphertext.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// So many bytes of plaintext.
    Bytes(usize),
    /// The server says that there will be no more.
    End,
}

/// Which end of a copy failed.
#[derive(Debug)]
pub enum CopyError {
    /// The plain one.
    Plain(io::Error),
    /// The encrypted one.
    Server(ServerError),
}

/// Goes through the handshake. A session that is resumed is held against the trust again, which rustls does not do.
///
/// # Errors
/// The server is not the one, does not want us, or there is no coming to terms.
pub async fn connect(
    socket: TcpStream,
    material: &ClientMaterial,
    name: &ServerName,
) -> Result<ServerConnection, ServerError> {
    let connector = TlsConnector::from(material.config());
    let stream =
        connector.connect(name.0.clone(), ReadAhead::off(socket)).await.map_err(|error| ServerError::of_io(&error))?;
    let (socket, mut tls) = stream.into_inner();
    let (socket, barren) = socket.into_parts();
    // It is bounded by what is given to it at once.
    tls.set_buffer_limit(None);
    let is_resumed = tls.handshake_kind() == Some(HandshakeKind::Resumed);
    let mut connection = ServerConnection {
        socket,
        tls,
        name: name.clone(),
        unread: Vec::new(),
        unwritten: Vec::new(),
        failed: None,
        barren,
    };
    // A server that speaks first may have done so already.
    let mut unwritten = Vec::new();
    connection.take_plaintext(&mut unwritten);
    connection.unwritten = unwritten;
    if is_resumed {
        connection.shown().verify(material)?;
    }
    Ok(connection)
}

/// What a server has shown.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a> {
    /// For which it is to be.
    pub(super) name: &'a ServerName,
    /// Leaf first.
    pub(super) chain: &'a [CertificateDer<'static>],
}

impl Shown<'_> {
    /// Holds it against this trust, at this moment.
    ///
    /// # Errors
    /// It is not good.
    pub(super) fn verify(self, material: &ClientMaterial) -> Result<(), ServerError> {
        let verified = material.verifier().verify(self.chain, &self.name.0, SystemTime::now());
        verified.map_err(|error| ServerError::of_tls(&error))
    }
}

impl ServerConnection {
    /// What the server has shown.
    pub(super) fn shown(&self) -> Shown<'_> {
        Shown { name: &self.name, chain: self.tls.peer_certificates().unwrap_or_default() }
    }

    /// Whether something has come that [`poll_copy_to`](Self::poll_copy_to) could not write yet.
    pub fn is_behind(&self) -> bool {
        !self.unwritten.is_empty() || !self.unread.is_empty()
    }

    /// Whether something waits for the server to take it.
    pub fn has_unsent(&self) -> bool {
        self.tls.wants_write()
    }

    /// Its socket.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Encrypts plaintext, which [`poll_flush`](Self::poll_flush) sends. There is room for all of it.
    pub fn encrypt(&mut self, plaintext: &[u8]) {
        // Into a buffer without a limit, so there is nothing that could fail.
        let _ = self.tls.writer().write_all(plaintext);
    }

    /// Says that no more plaintext comes, which `poll_flush` sends.
    pub fn end(&mut self) {
        self.tls.send_close_notify();
    }

    /// Sends what was encrypted.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ServerError>> {
        while self.tls.wants_write() {
            let mut writer = Writer { socket: &mut self.socket, cx };
            match self.tls.write_tls(&mut writer) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(ServerError::of_io(&error))),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Ends the connection in this direction. Everything has been flushed.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ServerError>> {
        Pin::new(&mut self.socket).poll_shutdown(cx).map_err(|error| ServerError::of_io(&error))
    }

    /// Reads once from the server and writes the plaintext of it, all at once. What is left of it when that cannot be written is
    /// kept for the next call.
    ///
    /// # Errors
    /// One of the ends failed.
    pub fn poll_copy_to(
        &mut self,
        cx: &mut Context<'_>,
        buffers: &mut Buffers,
        plain: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<Result<Copied, CopyError>> {
        if !self.unwritten.is_empty() {
            let written = ready!(poll_write_all(cx, &self.unwritten, plain)).map_err(CopyError::Plain)?;
            self.unwritten.drain(..written);
            self.unwritten.shrink_to_fit();
            return Poll::Ready(Ok(Copied::Bytes(written)));
        }
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(CopyError::Server(error)));
        }
        if self.has_ended() {
            return Poll::Ready(Ok(Copied::End));
        }
        let Buffers { read, plaintext } = buffers;
        plaintext.clear();
        let unread = std::mem::take(&mut self.unread);
        let decrypted = if unread.is_empty() {
            let mut read = ReadBuf::new(read);
            if let Err(error) = ready!(Pin::new(&mut self.socket).poll_read(cx, &mut read)) {
                return Poll::Ready(Err(CopyError::Server(ServerError::of_io(&error))));
            }
            if read.filled().is_empty() {
                return Poll::Ready(Err(CopyError::Server(ServerError::truncated())));
            }
            self.decrypt(cx, read.filled(), plaintext)
        } else {
            self.decrypt(cx, &unread, plaintext)
        };
        self.failed = decrypted.err();
        if plaintext.is_empty() && !self.unread.is_empty() {
            return Poll::Pending;
        }
        let written = match poll_write_all(cx, plaintext, plain) {
            Poll::Ready(written) => written.map_err(CopyError::Plain)?,
            Poll::Pending => 0,
        };
        self.unwritten.extend_from_slice(&plaintext[written..]);
        Poll::Ready(Ok(Copied::Bytes(written)))
    }

    /// Appends what these bytes are in plain, as far as they are good and no other connection goes before.
    fn decrypt(
        &mut self,
        cx: &mut Context<'_>,
        mut ciphertext: &[u8],
        plaintext: &mut Vec<u8>,
    ) -> Result<(), ServerError> {
        while !ciphertext.is_empty() && !self.has_ended() {
            if self.barren.poll_turn(cx).is_pending() {
                self.unread = ciphertext.to_vec();
                break;
            }
            let before = ciphertext;
            self.tls.read_tls(&mut ciphertext).map_err(|error| ServerError::of_io(&error))?;
            self.barren.note(&before[..before.len() - ciphertext.len()]);
            let outcome = self.tls.process_new_packets().map(drop);
            self.take_plaintext(plaintext);
            outcome.map_err(|error| ServerError::of_tls(&error))?;
            if self.barren.is_too_much() {
                return Err(ServerError::new(ServerFault::Protocol, "the server sends much that belongs to no reply"));
            }
        }
        Ok(())
    }

    fn take_plaintext(&mut self, to: &mut Vec<u8>) {
        while let Ok(record) = self.tls.reader().into_first_chunk()
            && !record.is_empty()
        {
            let length = record.len();
            to.extend_from_slice(record);
            self.tls.reader().consume(length);
            self.barren.note_plaintext(length);
        }
    }

    /// Whether the server has said that there will be no more, and all before that has been taken.
    fn has_ended(&mut self) -> bool {
        self.tls.reader().into_first_chunk().is_ok_and(<[u8]>::is_empty)
    }
}

/// Writes as much of these as is taken now; pending if that is nothing.
fn poll_write_all(
    cx: &mut Context<'_>,
    bytes: &[u8],
    plain: &mut (impl AsyncWrite + Unpin),
) -> Poll<io::Result<usize>> {
    let mut written = 0;
    while written < bytes.len() {
        match Pin::new(&mut *plain).poll_write(cx, &bytes[written..]) {
            Poll::Ready(count) => written += count?,
            Poll::Pending if written == 0 => return Poll::Pending,
            Poll::Pending => break,
        }
    }
    Poll::Ready(Ok(written))
}

impl fmt::Debug for ServerConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConnection").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What rustls writes to, as long as the socket takes it.
struct Writer<'a, 'b> {
    socket: &'a mut TcpStream,
    cx: &'a mut Context<'b>,
}

impl Writer<'_, '_> {
    fn outcome(written: Poll<io::Result<usize>>) -> io::Result<usize> {
        match written {
            Poll::Ready(written) => written,
            Poll::Pending => Err(ErrorKind::WouldBlock.into()),
        }
    }
}

impl Write for Writer<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Self::outcome(Pin::new(&mut *self.socket).poll_write(self.cx, bytes))
    }

    fn write_vectored(&mut self, bytes: &[io::IoSlice<'_>]) -> io::Result<usize> {
        Self::outcome(Pin::new(&mut *self.socket).poll_write_vectored(self.cx, bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;

    use rustls::ServerConfig;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::files::Files;
    use crate::identity::test_pki::Authority;
    use crate::tls::settings::{ClientTlsSettings, Protocols};
    use crate::tls::test_files::TestFiles;
    use crate::tls::{client_material, provider};

    /// What is copied of a server that sends so many tickets, and then `hello`.
    async fn copied_behind(tickets: usize) -> Result<Vec<u8>, ServerFault> {
        let authority = Authority::new("root");
        let files = TestFiles::new(&authority);
        let settings = ClientTlsSettings {
            ca_cert_file: files.settings.ca_cert_file.clone().expect("a CA"),
            shown: None,
            crl_files: vec![],
            server_pins: vec![],
            protocols: Protocols { tls12: true, tls13: true },
            strict_permissions: false,
        };
        let material = client_material::load(&settings, &Files::default(), SystemTime::now()).expect("good files");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let socket = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("connected");
        let name = ServerName::parse("localhost").expect("a name");
        let client = async {
            let mut connection = connect(socket, &material, &name).await.expect("a good server");
            let (mut plain, mut buffers) = (Vec::new(), Buffers::new(64 << 10));
            loop {
                match poll_fn(|cx| connection.poll_copy_to(cx, &mut buffers, &mut plain)).await {
                    Ok(Copied::Bytes(_)) => {}
                    Ok(Copied::End) => return Ok(plain),
                    Err(CopyError::Server(error)) => return Err(error.fault),
                    Err(CopyError::Plain(error)) => panic!("{error}"),
                }
            }
        };
        tokio::join!(client, serve(listener, &authority, tickets)).0
    }

    async fn serve(listener: TcpListener, authority: &Authority, tickets: usize) {
        let issued = authority.server();
        let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).expect("a key");
        let mut config = ServerConfig::builder_with_provider(provider::provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![CertificateDer::from(issued.der)], key)
            .expect("a certificate");
        config.send_tls13_tickets = tickets;
        let (socket, _) = listener.accept().await.expect("accepted");
        let mut stream = TlsAcceptor::from(Arc::new(config)).accept(socket).await.expect("a handshake");
        // A client that has had enough is gone.
        let _ = stream.write_all(b"hello").await;
        let _ = stream.shutdown().await;
    }

    #[tokio::test]
    async fn a_server_that_sends_tickets_without_end_is_left() {
        assert_eq!(copied_behind(16).await, Ok(b"hello".to_vec()));
        assert_eq!(copied_behind(1000).await, Err(ServerFault::Protocol));
    }
}

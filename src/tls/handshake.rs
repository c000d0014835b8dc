//! The TLS handshake with one client, under a deadline, and every way it can fail.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::server::Acceptor;
use rustls::{AlertDescription, PeerMisbehaved};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use super::chain::{CertificateChain, Voucher};
use super::client_stream::ClientStream;
use super::close;
use super::material::TlsMaterial;
use super::read_ahead::ReadAhead;
use super::shown;
use crate::identity::{CertificateRefusal, PeerIdentity};

/// The first byte of every TLS connection: a handshake record (RFC 8446 section 5.1).
const HANDSHAKE_RECORD: u8 = 0x16;

/// A connection whose handshake is done.
pub struct Handshaken {
    /// The encrypted stream.
    pub stream: ClientStream,
    /// The client, if it has shown a certificate; it is trusted now.
    pub peer: Option<VerifiedPeer>,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// `TLSv1.2` or `TLSv1.3`.
    pub protocol: &'static str,
    /// The cipher suite, by its IANA name.
    pub cipher: &'static str,
}

/// A client with a trusted certificate.
#[derive(Debug, Clone)]
pub struct VerifiedPeer {
    /// What it has shown, for verifying again.
    pub chain: CertificateChain,
    /// What makes it trusted.
    pub voucher: Voucher,
    /// What its certificate says.
    pub identity: Arc<PeerIdentity>,
}

/// A connection whose handshake failed.
pub struct HandshakeFailure {
    /// Why.
    pub error: HandshakeError,
    /// The certificate that the client has shown, DER. It need not be the client's: only who completes a handshake has
    /// its key.
    pub shown: Option<Vec<u8>>,
    /// The socket, if the client may still be there to read the alert, or to see an orderly end.
    socket: Option<TcpStream>,
}

impl HandshakeFailure {
    /// Closes the connection so that the alert arrives; takes up to 1 s.
    pub async fn lingering_close(self) {
        if let Some(mut socket) = self.socket {
            close::lingering_close(&mut socket, close::LINGER).await;
        }
    }
}

impl From<HandshakeError> for HandshakeFailure {
    fn from(error: HandshakeError) -> HandshakeFailure {
        HandshakeFailure { error, shown: None, socket: None }
    }
}

/// Why a handshake failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeError {
    /// The client does not speak TLS.
    Plaintext(Plaintext),
    /// The deadline passed first.
    Timeout,
    /// The client came and went without a word, as port scans and health checks do.
    Silent,
    /// The client closed the connection.
    Closed,
    /// The client showed no certificate, and one is required.
    NoCertificate,
    /// The client's certificate is not trusted.
    Certificate(CertificateRefusal),
    /// The client does not trust our certificate.
    RejectedByPeer(ClientAlert),
    /// No protocol version, cipher suite or key exchange in common.
    Incompatible,
    /// The client asks for a server by something that is no host name (SNI). That decides nothing here, but rustls
    /// refuses it.
    ServerName,
    /// The client broke the protocol.
    Protocol,
    /// The connection broke.
    Io(io::ErrorKind),
}

/// What a client that does not speak TLS seems to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plaintext {
    /// The Redis protocol: a client without `--tls`.
    Redis,
    /// HTTP.
    Http,
    /// The PROXY protocol, which is not enabled on this listener.
    ProxyProtocol,
    /// Something else.
    Unknown,
}

/// What a client had against our certificate, by the alert it sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAlert {
    /// It does not know our CA.
    UnknownCa,
    /// It found the certificate bad, for another name for instance.
    BadCertificate,
    /// It found the certificate expired.
    Expired,
    /// Another alert.
    Other,
}

impl HandshakeError {
    fn from_io(error: &io::Error) -> HandshakeError {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls {
            Some(tls) => HandshakeError::from_rustls(tls),
            None if error.kind() == io::ErrorKind::UnexpectedEof => HandshakeError::Closed,
            None => HandshakeError::Io(error.kind()),
        }
    }

    fn from_rustls(error: &rustls::Error) -> HandshakeError {
        use AlertDescription as Alert;
        if let Some(refusal) = CertificateRefusal::from_rustls(error) {
            return HandshakeError::Certificate(refusal);
        }
        match error {
            rustls::Error::NoCertificatesPresented => HandshakeError::NoCertificate,
            rustls::Error::PeerIncompatible(_) => HandshakeError::Incompatible,
            rustls::Error::PeerMisbehaved(PeerMisbehaved::ServerNameMustContainOneHostName) => {
                HandshakeError::ServerName
            }
            rustls::Error::AlertReceived(alert) => HandshakeError::RejectedByPeer(match alert {
                Alert::UnknownCA => ClientAlert::UnknownCa,
                Alert::BadCertificate | Alert::UnsupportedCertificate | Alert::CertificateUnknown => {
                    ClientAlert::BadCertificate
                }
                Alert::CertificateExpired => ClientAlert::Expired,
                _ => ClientAlert::Other,
            }),
            _ => HandshakeError::Protocol,
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HandshakeError::Plaintext(kind) => f.write_str(match kind {
                Plaintext::Redis => "the client speaks plain Redis on a TLS port (redis-cli needs --tls)",
                Plaintext::Http => "the client speaks HTTP on a TLS port",
                Plaintext::ProxyProtocol => "the client sends a PROXY protocol header, which is not enabled here",
                Plaintext::Unknown => "the client does not speak TLS",
            }),
            HandshakeError::Timeout => f.write_str("the handshake took too long"),
            HandshakeError::Silent => f.write_str("the client came and went without a word"),
            HandshakeError::Closed => f.write_str("the client closed the connection during the handshake"),
            HandshakeError::NoCertificate => f.write_str(
                "the client showed no certificate (nor does one whose key no handshake can use: see check --client-cert)",
            ),
            HandshakeError::Certificate(refusal) => refusal.fmt(f),
            HandshakeError::RejectedByPeer(rejection) => f.write_str(match rejection {
                ClientAlert::UnknownCa => "the client does not know the CA of our certificate",
                ClientAlert::BadCertificate => "the client finds our certificate bad (check its names)",
                ClientAlert::Expired => "the client finds our certificate expired",
                ClientAlert::Other => "the client ended the handshake with an alert",
            }),
            HandshakeError::Incompatible => {
                f.write_str("no protocol version or cipher suite in common with the client")
            }
            HandshakeError::ServerName => f.write_str(
                "the server name that the client sends (SNI) is no host name: a port, brackets or a blank in it, perhaps",
            ),
            HandshakeError::Protocol => f.write_str("the client broke the TLS protocol"),
            HandshakeError::Io(kind) => write!(f, "the connection broke during the handshake: {kind}"),
        }
    }
}

impl std::error::Error for HandshakeError {}

/// A client that has begun: its whole ClientHello is there.
pub struct Begun(Box<StartHandshake<ReadAhead<TcpStream>>>);

/// Waits until a client has begun, by the deadline. Until its first byte is there this costs a file descriptor and nothing
/// else.
pub async fn begin(socket: TcpStream, deadline: Instant) -> Result<Begun, HandshakeFailure> {
    timeout_at(deadline, read_hello(socket)).await.unwrap_or_else(|_elapsed| Err(HandshakeError::Timeout.into()))
}

async fn read_hello(socket: TcpStream) -> Result<Begun, HandshakeFailure> {
    let mut start = [0; 8];
    // Where nothing comes but an error, it is that the connection was reset.
    let peeked = socket.peek(&mut start).await.unwrap_or(0);
    match &start[..peeked] {
        [] => return Err(HandshakeError::Silent.into()),
        [HANDSHAKE_RECORD, ..] => {}
        other => {
            let error = HandshakeError::Plaintext(recognise(other));
            return Err(HandshakeFailure { error, shown: None, socket: Some(socket) });
        }
    }
    // Not a part of what waits for the first byte.
    let mut acceptor = Box::new(LazyConfigAcceptor::new(Acceptor::default(), ReadAhead::off(socket)));
    (&mut *acceptor).await.map(|begun| Begun(Box::new(begun))).map_err(|error| {
        let error = HandshakeError::from_io(&error);
        HandshakeFailure { error, shown: None, socket: acceptor.take_io().map(ReadAhead::into_socket) }
    })
}

/// Completes the handshake before the deadline, unless the client has gone since it began. A resumed session is held against the
/// trust again, which rustls does not do: certificates and CRLs may have expired since. On failure the caller lingers, when it has
/// room for that.
pub async fn complete(begun: Begun, material: &TlsMaterial, deadline: Instant) -> Result<Handshaken, HandshakeFailure> {
    // It has to answer what is computed for it now.
    if says_no_more(begun.0.io.socket()) {
        return Err(HandshakeError::Closed.into());
    }
    let stream = match timeout_at(deadline, negotiate(begun, material)).await {
        Ok(result) => result?,
        Err(_elapsed) => return Err(HandshakeError::Timeout.into()),
    };
    let connection = stream.connection();
    let resumed = connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
    let protocol = match connection.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "TLSv1.3",
    };
    let cipher = connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("unknown");
    let chain = connection.peer_certificates().and_then(|certificates| {
        CertificateChain::new(certificates.iter().map(|der| der.clone().into_owned()).collect())
    });
    // rustls has verified a chain unless the session was resumed, but does not say which CA its path ended in.
    let only = material.only_voucher().filter(|_| !resumed);
    let judged = |chain| match only {
        Some(voucher) => peer(chain, voucher, material),
        None => judge(chain, material, SystemTime::now()),
    };
    let shown = chain.clone();
    match chain.map(judged).transpose() {
        Ok(peer) => Ok(Handshaken { stream, peer, resumed, protocol, cipher }),
        Err(refusal) => Err(close_refused(stream, refusal, shown, deadline).await),
    }
}

/// Whether the other end has closed or reset the connection, or said that it sends nothing more, whatever of it is still unread.
fn says_no_more(socket: &TcpStream) -> bool {
    const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
    // HUP and ERR are told in any case. Where this fails, so does what follows.
    poll(&mut [PollFd::new(socket, PollFlags::RDHUP)], Some(&AT_ONCE)).is_ok_and(|ready| ready > 0)
}

async fn negotiate(begun: Begun, material: &TlsMaterial) -> Result<ClientStream, HandshakeFailure> {
    let negotiated = begun.0.into_stream(material.config()).into_fallible();
    shown::watch(negotiated).await.map(ClientStream::new).map_err(|((error, socket), shown)| {
        let error = HandshakeError::from_io(&error);
        HandshakeFailure { error, shown, socket: Some(socket.into_socket()) }
    })
}

/// Who shows this chain, if it is trusted at this moment.
///
/// # Errors
/// Why it is not.
pub fn judge(
    chain: CertificateChain,
    material: &TlsMaterial,
    now: SystemTime,
) -> Result<VerifiedPeer, CertificateRefusal> {
    let voucher = material.reverify(&chain, now)?;
    peer(chain, voucher, material)
}

fn peer(chain: CertificateChain, voucher: Voucher, material: &TlsMaterial) -> Result<VerifiedPeer, CertificateRefusal> {
    let identity = Arc::new(permitted_identity(&chain, voucher, material)?);
    Ok(VerifiedPeer { chain, voucher, identity })
}

/// What a chain says about its holder, when this is what makes it trusted.
///
/// # Errors
/// It cannot be read.
pub fn identity(chain: &CertificateChain, voucher: Voucher) -> Result<PeerIdentity, CertificateRefusal> {
    let identity = match voucher {
        Voucher::Pin => PeerIdentity::from_pinned_der(chain.leaf()),
        Voucher::Authority(authority) => PeerIdentity::from_der(chain.leaf(), Some(authority)),
    };
    identity.map_err(|_| CertificateRefusal::Malformed)
}

/// The same, but for a common name that its CAs may not give.
///
/// # Errors
/// It cannot be read.
pub fn permitted_identity(
    chain: &CertificateChain,
    voucher: Voucher,
    material: &TlsMaterial,
) -> Result<PeerIdentity, CertificateRefusal> {
    let identity = identity(chain, voucher)?;
    Ok(if material.permits_common_name(chain, voucher) { identity } else { identity.with_forbidden_cn() })
}

/// The handshake is over, so there is no alert to send but close_notify.
async fn close_refused(
    mut stream: ClientStream,
    refusal: CertificateRefusal,
    shown: Option<CertificateChain>,
    deadline: Instant,
) -> HandshakeFailure {
    // What cannot be sent by then is not worth more time.
    let _ = timeout_at(deadline, tokio::io::AsyncWriteExt::shutdown(&mut stream)).await;
    let shown = shown.map(|chain| chain.leaf().to_vec());
    HandshakeFailure { error: HandshakeError::Certificate(refusal), shown, socket: Some(stream.into_socket()) }
}

/// `start` is what has come of the first eight bytes, at least one.
fn recognise(start: &[u8]) -> Plaintext {
    // With the slash, because `GET key` is Redis.
    const REQUESTS: [&[u8]; 8] =
        [b"GET /", b"POST /", b"HEAD /", b"PUT /", b"PATCH /", b"DELETE /", b"OPTIONS ", b"PRI * HT"];
    const PROXY_V2: &[u8] = b"\r\n\r\n\0\r\n";
    if start.starts_with(b"PROXY ") || start.starts_with(PROXY_V2) {
        Plaintext::ProxyProtocol
    } else if REQUESTS.iter().any(|request| start.starts_with(request)) {
        Plaintext::Http
    } else if start.first().is_some_and(|byte| *byte == b'*' || byte.is_ascii_alphabetic()) {
        Plaintext::Redis
    } else {
        Plaintext::Unknown
    }
}

#[cfg(test)]
mod tests;

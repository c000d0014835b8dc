//! A client's end, for looking at a server: whoever answers is talked to, and nothing is believed.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, ProtocolVersion, RootCertStore, SignatureScheme,
};

use super::load_error::{LoadError, Problem};
use super::{keys, pem, provider};
use crate::files::{Content, Files};

/// Of a reply, no more is read.
const LONGEST_LINE: usize = 512;

/// A certificate to show, and its key.
#[derive(Clone)]
pub struct Credentials(Arc<CertifiedKey>);

impl Credentials {
    /// Out of two files, PEM.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn read(certificate: &Path, key: &Path) -> Result<Credentials, Vec<LoadError>> {
        let files = Files::default();
        let chain = content(&files, "--cert", certificate)?;
        let key_content = content(&files, "--key", key)?;
        Credentials::new(&chain.bytes, &key_content.bytes).map_err(|fault| match fault {
            Fault::Certificate(problems) => errors("--cert", certificate, problems),
            Fault::Key(problems) => errors("--key", key, problems),
        })
    }

    /// Out of two texts, PEM.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Credentials, String> {
        Credentials::new(certificate.as_bytes(), key.as_bytes()).map_err(|fault| match fault {
            Fault::Certificate(problems) | Fault::Key(problems) => {
                problems.iter().map(|problem| problem.in_words(Path::new("-"))).collect::<Vec<_>>().join("; ")
            }
        })
    }

    fn new(certificate: &[u8], key: &[u8]) -> Result<Credentials, Fault> {
        let problems = |errors: Vec<pem::PemError>| errors.into_iter().map(Problem::Pem).collect();
        let chain = pem::certificate_chain(certificate).map_err(|errors| Fault::Certificate(problems(errors)))?;
        let key = pem::private_key(key).map_err(|errors| Fault::Key(problems(errors)))?;
        let words = |error| match error {
            Error::InconsistentKeys(_) => "does not belong to the certificate".to_owned(),
            Error::InvalidCertificate(error) => format!("goes with a certificate that cannot be used: {error:?}"),
            // rustls says no more than that.
            _ => format!("is damaged or of a kind that is not accepted: {}", keys::ACCEPTED),
        };
        let certified = CertifiedKey::from_der(chain, key, &provider::provider());
        certified
            .map(|certified| Credentials(Arc::new(certified)))
            .map_err(|error| Fault::Key(vec![Problem::Unusable(words(error))]))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

enum Fault {
    Certificate(Vec<Problem>),
    Key(Vec<Problem>),
}

/// The authorities that a server's certificate is held against.
#[derive(Debug, Clone)]
pub struct Authorities(Arc<WebPkiServerVerifier>);

impl Authorities {
    /// Out of a file, PEM.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(path: &Path) -> Result<Authorities, Vec<LoadError>> {
        const NAME: &str = "--cacert";
        let content = content(&Files::default(), NAME, path)?;
        let (certificates, _) = pem::authorities(&content.bytes)
            .map_err(|faults| errors(NAME, path, faults.into_iter().map(Problem::Pem).collect()))?;
        let mut roots = RootCertStore::empty();
        let unusable = |error: &dyn fmt::Display| {
            errors(NAME, path, vec![Problem::Unusable(format!("holds a certificate that cannot be used: {error}"))])
        };
        for certificate in certificates {
            roots.add(certificate).map_err(|error| unusable(&error))?;
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider::provider()).build();
        verifier.map(Authorities).map_err(|error| unusable(&error))
    }
}

fn content(files: &Files, name: &'static str, path: &Path) -> Result<Arc<Content>, Vec<LoadError>> {
    files.read(path).map_err(|error| errors(name, path, vec![Problem::Read(error)]))
}

fn errors(setting: &'static str, path: &Path, problems: Vec<Problem>) -> Vec<LoadError> {
    problems.into_iter().map(|problem| LoadError { setting, path: Some(path.to_owned()), problem }).collect()
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With an alert of the server.
    Alert(String),
    /// It does not speak TLS.
    NotTls,
    /// It closed the connection without an alert.
    Closed,
    /// It said nothing for too long.
    Silent,
    /// Otherwise, in words.
    Broken(String),
}

/// What was heard of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Talk {
    /// `TLSv1.2` or `TLSv1.3`, once that was agreed.
    pub protocol: Option<&'static str>,
    /// Whether it asked for a certificate.
    pub has_asked: bool,
    /// Whether its certificate stands up to the authorities, if there were any and it showed one; if not, why.
    pub certificate: Option<Result<(), String>>,
    /// The first line of the answer to each question, without its end. Where it `end`s, there are fewer than there were
    /// questions.
    pub replies: Vec<String>,
    /// How the connection ended before the last question was answered.
    pub end: Option<End>,
}

/// Goes through a handshake as a client of `host`, asks one question after the other, and hangs up. Time limits are
/// those of the socket.
pub fn talk(
    mut socket: impl Read + Write,
    host: &str,
    credentials: Option<&Credentials>,
    authorities: Option<&Authorities>,
    questions: &[&[u8]],
) -> Talk {
    let witness = Arc::new(Witness {
        credentials: credentials.cloned(),
        authorities: authorities.cloned(),
        notes: Mutex::default(),
    });
    let mut talk = Talk::default();
    match connection(&witness, host) {
        Ok(mut connection) => {
            talk.end = converse(&mut connection, &mut socket, questions, &mut talk.replies).err();
            talk.protocol = connection.protocol_version().and_then(name);
            connection.send_close_notify();
            // It need not hear of that.
            let _ = connection.write_tls(&mut socket);
        }
        Err(error) => talk.end = Some(End::Broken(error.to_string())),
    }
    let notes = witness.notes();
    Talk { has_asked: notes.has_asked, certificate: notes.certificate.clone(), ..talk }
}

fn connection(witness: &Arc<Witness>, host: &str) -> Result<ClientConnection, Error> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| Error::General("no name of a server".to_owned()))?;
    let verifier = Arc::clone(witness);
    let resolver = Arc::clone(witness);
    let mut config = ClientConfig::builder_with_provider(provider::provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(resolver);
    config.resumption = Resumption::disabled();
    ClientConnection::new(Arc::new(config), name)
}

fn converse(
    connection: &mut ClientConnection,
    socket: &mut (impl Read + Write),
    questions: &[&[u8]],
    replies: &mut Vec<String>,
) -> Result<(), End> {
    while connection.is_handshaking() {
        go_on(connection, socket)?;
    }
    for question in questions {
        connection.writer().write_all(question).map_err(|error| End::Broken(error.to_string()))?;
        replies.push(line(connection, socket)?);
    }
    Ok(())
}

/// The next line, and all that has come behind it.
fn line(connection: &mut ClientConnection, socket: &mut (impl Read + Write)) -> Result<String, End> {
    let mut read = Vec::new();
    loop {
        let mut chunk = [0; LONGEST_LINE];
        match connection.reader().read(&mut chunk) {
            Ok(0) => return Err(End::Closed),
            Ok(count) => read.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => go_on(connection, socket)?,
            Err(error) => return Err(of_io(&error)),
        }
        if let Some(line) = first_line(&read) {
            return Ok(line);
        }
    }
}

/// The first line of these bytes, or as much of it as is ever read; `None` where it goes on.
pub fn first_line(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let line = match end {
        Some(end) => bytes.get(..end)?,
        None if bytes.len() >= LONGEST_LINE => bytes.get(..LONGEST_LINE)?,
        None => return None,
    };
    Some(String::from_utf8_lossy(line).trim_end_matches('\r').to_owned())
}

fn go_on(connection: &mut ClientConnection, socket: &mut (impl Read + Write)) -> Result<(), End> {
    while connection.wants_write() {
        // Who does not listen any more may have said why before.
        if connection.write_tls(socket).is_err() {
            break;
        }
    }
    match connection.read_tls(socket) {
        Ok(0) => Err(End::Closed),
        Ok(_) => connection.process_new_packets().map(drop).map_err(of_tls),
        Err(error) => Err(of_io(&error)),
    }
}

fn of_tls(error: Error) -> End {
    match error {
        Error::AlertReceived(alert) => End::Alert(in_words(&format!("{alert:?}"))),
        Error::InvalidMessage(_) => End::NotTls,
        error => End::Broken(error.to_string()),
    }
}

/// As RFC 8446 writes the names of alerts: `certificate_required`, `unknown_ca`.
pub(super) fn in_words(alert: &str) -> String {
    let mut name = String::new();
    let mut was_lower = false;
    for letter in alert.chars() {
        if letter.is_ascii_uppercase() && was_lower {
            name.push('_');
        }
        was_lower = letter.is_ascii_lowercase();
        name.push(letter.to_ascii_lowercase());
    }
    name
}

/// What an error of a socket says of whoever is at its other end.
pub fn of_io(error: &io::Error) -> End {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => End::Silent,
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => End::Closed,
        _ => End::Broken(error.to_string()),
    }
}

fn name(version: ProtocolVersion) -> Option<&'static str> {
    match version {
        ProtocolVersion::TLSv1_2 => Some("TLSv1.2"),
        ProtocolVersion::TLSv1_3 => Some("TLSv1.3"),
        _ => None,
    }
}

/// Shows the certificate to whoever asks, lets every server pass, and notes what a client that cares would have said.
#[derive(Debug)]
struct Witness {
    credentials: Option<Credentials>,
    authorities: Option<Authorities>,
    notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    has_asked: bool,
    certificate: Option<Result<(), String>>,
}

impl Witness {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A certificate whose holder cannot sign with its key is not his.
    fn note_signature(&self, verified: Result<HandshakeSignatureValid, Error>) -> HandshakeSignatureValid {
        if let Err(error) = verified
            && let Some(certificate) = &mut self.notes().certificate
        {
            *certificate = Err(error.to_string());
        }
        HandshakeSignatureValid::assertion()
    }
}

impl ResolvesClientCert for Witness {
    fn resolve(&self, _issuers: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.notes().has_asked = true;
        self.credentials.as_ref().map(|credentials| Arc::clone(&credentials.0))
    }

    fn has_certs(&self) -> bool {
        self.credentials.is_some()
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(Authorities(authorities)) = &self.authorities {
            let verified = authorities.verify_server_cert(leaf, intermediates, name, ocsp, now);
            self.notes().certificate = Some(verified.map(drop).map_err(|error| error.to_string()));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = provider::provider().signature_verification_algorithms;
        let verified = rustls::crypto::verify_tls12_signature(message, certificate, signature, &algorithms);
        Ok(self.note_signature(verified))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = provider::provider().signature_verification_algorithms;
        let verified = rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms);
        Ok(self.note_signature(verified))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider::provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_are_written_as_their_rfc_writes_them() {
        for (alert, name) in [
            (rustls::AlertDescription::UnknownCA, "unknown_ca"),
            (rustls::AlertDescription::CertificateRequired, "certificate_required"),
        ] {
            assert_eq!(of_tls(Error::AlertReceived(alert)), End::Alert(name.to_owned()));
        }
    }

    #[test]
    fn of_a_line_that_never_ends_a_part_is_read() {
        assert_eq!(first_line(b"+PONG\r\n+OK\r\n"), Some("+PONG".to_owned()));
        assert_eq!(first_line(b"+PONG\r"), None);
        assert_eq!(first_line(&[b'x'; 2 * LONGEST_LINE]).map(|line| line.len()), Some(LONGEST_LINE));
    }
}

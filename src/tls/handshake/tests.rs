use std::time::Duration;

use rcgen::SerialNumber;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsConnector;

use super::*;
use crate::identity::FieldName;
use crate::identity::test_pki::{Authority, Issued, client};
use crate::tls::provider;
use crate::tls::settings::{AuthClients, Protocols};
use crate::tls::test_files::TestFiles;

const LONG: Duration = Duration::from_secs(60);

fn later() -> Instant {
    Instant::now() + LONG
}

/// The whole handshake.
async fn accept(socket: TcpStream, material: &TlsMaterial, deadline: Instant) -> Result<Handshaken, HandshakeFailure> {
    complete(begin(socket, deadline).await?, material, deadline).await
}

/// A connected pair: the client's end, the server's end.
async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
    (client.expect("connected"), server.expect("accepted").0)
}

/// A client that trusts `authority` and shows these certificates.
struct Client {
    config: Arc<ClientConfig>,
}

impl Client {
    fn new(authority: &Authority, shown: Option<&Issued>) -> Client {
        Client::speaking(authority, shown, rustls::ALL_VERSIONS)
    }

    fn speaking(
        authority: &Authority,
        shown: Option<&Issued>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Client {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().into()).expect("a CA");
        let builder = ClientConfig::builder_with_provider(provider::provider())
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots);
        let config = match shown {
            Some(issued) => {
                let key = crate::tls::pem::private_key(issued.key_pem.as_bytes()).expect("a key");
                let chain = vec![CertificateDer::from(issued.der.clone())];
                builder.with_client_auth_cert(chain, PrivateKeyDer::clone_key(&key)).expect("a client certificate")
            }
            None => builder.with_no_client_auth(),
        };
        Client { config: Arc::new(config) }
    }

    /// Completes a handshake, exchanges a byte each way (tickets arrive with it), and says what became of it.
    async fn connect(&self, socket: TcpStream) -> io::Result<u8> {
        let name = ServerName::try_from("localhost").expect("a name");
        let mut stream = TlsConnector::from(Arc::clone(&self.config)).connect(name, socket).await?;
        stream.write_all(b"?").await?;
        stream.read_u8().await
    }
}

async fn serve(socket: TcpStream, material: &TlsMaterial) -> Result<Handshaken, HandshakeError> {
    match accept(socket, material, later()).await {
        Ok(mut done) => {
            // The client may have gone away after what it had to say.
            if done.stream.read_u8().await.is_ok() {
                let _ = done.stream.write_all(b"!").await;
            }
            Ok(done)
        }
        Err(failure) => {
            let error = failure.error;
            failure.lingering_close().await;
            Err(error)
        }
    }
}

/// Both ends' views of one handshake.
async fn meet(material: &TlsMaterial, client: &Client) -> (Result<Handshaken, HandshakeError>, io::Result<u8>) {
    let (client_socket, server_socket) = connection().await;
    tokio::join!(serve(server_socket, material), client.connect(client_socket))
}

async fn server_view(material: &TlsMaterial, client: &Client) -> Result<Handshaken, HandshakeError> {
    meet(material, client).await.0
}

fn cn(done: &Handshaken) -> &str {
    let identity = &done.peer.as_ref().expect("a certificate").identity;
    identity.field(FieldName::Cn).and_then(|cn| cn.only().ok().flatten()).expect("one CN")
}

fn alert(result: io::Result<u8>) -> AlertDescription {
    let error = result.expect_err("a refusal");
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::AlertReceived(alert)) => *alert,
        other => panic!("{error:?} {other:?}"),
    }
}

#[tokio::test]
async fn a_trusted_client_is_identified_over_both_versions() {
    let root = Authority::new("root");
    let material = TestFiles::new(&root).load();
    let alice = root.client("alice");
    for (version, name) in [(&rustls::version::TLS12, "TLSv1.2"), (&rustls::version::TLS13, "TLSv1.3")] {
        let client = Client::speaking(&root, Some(&alice), &[version]);
        let (server, client) = meet(&material, &client).await;
        let done = server.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(cn(&done), "alice");
        assert_eq!(done.protocol, name);
        assert!(done.cipher.starts_with("TLS"), "{}", done.cipher);
        assert!(!done.resumed);
        assert_eq!(client.expect("an answer"), b'!');
        let identity = &done.peer.as_ref().expect("a certificate").identity;
        assert!(identity.ca_spki_sha256().is_some());
    }
}

#[tokio::test]
async fn however_much_has_come_a_read_brings_one_record() {
    let root = Authority::new("root");
    let material = TestFiles::new(&root).load();
    let alice = Client::new(&root, Some(&root.client("alice")));
    let (client_socket, server_socket) = connection().await;
    let name = ServerName::try_from("localhost").expect("a name");
    let send = async {
        let mut stream = TlsConnector::from(Arc::clone(&alice.config)).connect(name, client_socket).await.expect("in");
        for _ in 0..1000 {
            stream.write_all(b"x").await.expect("sent");
            stream.flush().await.expect("sent");
        }
        stream
    };
    let (done, _client) = tokio::join!(accept(server_socket, &material, later()), send);
    let mut stream = done.unwrap_or_else(|failure| panic!("{}", failure.error)).stream;
    let mut buffer = [0; 64 << 10];
    for _ in 0..1000 {
        assert_eq!(stream.read(&mut buffer).await.expect("a record"), 1);
    }
    assert_eq!(stream.settle(), 0);
}

#[tokio::test]
async fn refused_certificates_end_the_handshake_with_the_reason_and_the_alert() {
    use AlertDescription as Alert;
    use CertificateRefusal as R;
    let (root, other) = (Authority::new("root"), Authority::new("other"));
    let mut files = TestFiles::new(&root);
    files.add_crl("ca.crl", root.crl(&[66], std::time::SystemTime::now() + LONG * 1000).pem().expect("PEM"));
    let material = files.load();
    let numbered = |serial: u64| {
        let mut params = client("alice");
        params.serial_number = Some(SerialNumber::from(serial));
        root.issue(params)
    };
    let mut expired = client("alice");
    expired.not_after = (SystemTime::now() - LONG).into();
    let mut early = client("alice");
    early.not_before = (SystemTime::now() + LONG).into();
    for (issued, refusal, expected) in [
        (numbered(66), R::Revoked, Alert::CertificateRevoked),
        (root.issue(expired), R::Expired, Alert::CertificateExpired),
        (root.issue(early), R::NotYetValid, Alert::CertificateExpired),
        (other.client("alice"), R::UnknownIssuer, Alert::UnknownCA),
        (root.server(), R::WrongPurpose, Alert::UnsupportedCertificate),
    ] {
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let client = Client::speaking(&root, Some(&issued), &[version]);
            let (server, client) = meet(&material, &client).await;
            assert_eq!(server.err(), Some(HandshakeError::Certificate(refusal)));
            assert_eq!(alert(client), expected, "{refusal:?}");
        }
    }
    assert_eq!(server_view(&material, &Client::new(&root, Some(&numbered(67)))).await.err(), None);
}

#[tokio::test]
async fn of_whoever_is_refused_the_certificate_that_was_shown_is_given() {
    let (root, other) = (Authority::new("root"), Authority::new("other"));
    let material = TestFiles::new(&root).load();
    let mut expired = client("alice");
    expired.not_after = (SystemTime::now() - LONG).into();
    for issued in [Some(root.issue(expired)), Some(other.client("alice")), None] {
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let client = Client::speaking(&root, issued.as_ref(), &[version]);
            let (client_socket, server_socket) = connection().await;
            let server = async {
                let failure = accept(server_socket, &material, later()).await.err().expect("a failure");
                assert_eq!(failure.shown, issued.as_ref().map(|issued| issued.der.clone()));
                failure.lingering_close().await;
            };
            let (_, told) = tokio::join!(server, client.connect(client_socket));
            assert!(told.is_err());
        }
    }
}

#[tokio::test]
async fn a_client_without_certificate_is_told_so() {
    let root = Authority::new("root");
    let material = TestFiles::new(&root).load();
    let (server, client) = meet(&material, &Client::new(&root, None)).await;
    assert_eq!(server.err(), Some(HandshakeError::NoCertificate));
    assert_eq!(alert(client), AlertDescription::CertificateRequired);
}

#[tokio::test]
async fn where_certificates_are_optional_a_bad_one_is_still_refused() {
    let (root, other) = (Authority::new("root"), Authority::new("other"));
    let mut files = TestFiles::new(&root);
    files.settings.auth_clients = AuthClients::Optional;
    let material = files.load();
    let without = server_view(&material, &Client::new(&root, None)).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(without.peer.is_none());
    let with = server_view(&material, &Client::new(&root, Some(&root.client("alice")))).await;
    assert_eq!(cn(&with.unwrap_or_else(|error| panic!("{error}"))), "alice");
    let bad = Client::new(&root, Some(&other.client("alice")));
    assert_eq!(
        server_view(&material, &bad).await.err(),
        Some(HandshakeError::Certificate(CertificateRefusal::UnknownIssuer))
    );
}

#[tokio::test]
async fn where_clients_are_not_asked_a_certificate_is_not_seen() {
    let root = Authority::new("root");
    let mut files = TestFiles::new(&root);
    files.settings.auth_clients = AuthClients::No;
    let done = server_view(&files.load(), &Client::new(&root, Some(&root.client("alice")))).await;
    assert!(done.unwrap_or_else(|error| panic!("{error}")).peer.is_none());
}

#[tokio::test]
async fn a_session_resumes_within_a_generation_and_not_into_the_next() {
    let root = Authority::new("root");
    let files = TestFiles::new(&root);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = Client::speaking(&root, Some(&root.client("alice")), &[version]);
        let (first, second) = (files.load(), files.load());
        let mut resumed = Vec::new();
        for material in [&first, &first, &second, &second] {
            let done = server_view(material, &client).await.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(cn(&done), "alice");
            resumed.push(done.resumed);
        }
        assert_eq!(resumed, [false, true, false, true], "{version:?}");
    }
}

#[tokio::test]
async fn a_certificate_revoked_between_two_resumptions_is_refused() {
    let root = Authority::new("root");
    let mut files = TestFiles::new(&root);
    let mut params = client("alice");
    params.serial_number = Some(SerialNumber::from(66_u64));
    let client = Client::new(&root, Some(&root.issue(params)));
    let before = files.load();
    let _ = server_view(&before, &client).await;
    assert!(server_view(&before, &client).await.is_ok_and(|done| done.resumed));

    files.add_crl("ca.crl", root.crl(&[66], SystemTime::now() + LONG * 1000).pem().expect("PEM"));
    let after = server_view(&files.load(), &client).await;
    assert_eq!(after.err(), Some(HandshakeError::Certificate(CertificateRefusal::Revoked)));
}

#[tokio::test]
async fn a_client_that_does_not_trust_us_says_why() {
    let (root, other) = (Authority::new("root"), Authority::new("other"));
    let material = TestFiles::new(&root).load();
    let view = server_view(&material, &Client::new(&other, Some(&root.client("alice")))).await;
    assert_eq!(view.err(), Some(HandshakeError::RejectedByPeer(ClientAlert::UnknownCa)));
}

#[tokio::test]
async fn versions_that_are_switched_off_are_not_spoken() {
    let root = Authority::new("root");
    let mut files = TestFiles::new(&root);
    let alice = root.client("alice");
    for (protocols, version) in [
        (Protocols { tls12: false, tls13: true }, &rustls::version::TLS12),
        (Protocols { tls12: true, tls13: false }, &rustls::version::TLS13),
    ] {
        files.settings.protocols = protocols;
        let view = server_view(&files.load(), &Client::speaking(&root, Some(&alice), &[version])).await;
        assert_eq!(view.err(), Some(HandshakeError::Incompatible));
    }
}

#[tokio::test]
async fn plaintext_is_recognised_for_what_it_is() {
    let material = TestFiles::new(&Authority::new("root")).load();
    for (said, kind) in [
        (&b"*1\r\n$4\r\nPING\r\n"[..], Plaintext::Redis),
        (b"PING\r\n", Plaintext::Redis),
        (b"GET key\r\n", Plaintext::Redis),
        (b"DELETE / HTTP/1.1\r\n", Plaintext::Http),
        (b"GET / HTTP/1.1\r\n\r\n", Plaintext::Http),
        (b"POST / HTTP/1.1\r\n\r\n", Plaintext::Http),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Plaintext::Http),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", Plaintext::ProxyProtocol),
        (b"\r\n\r\n\0\r\nQUIT\n", Plaintext::ProxyProtocol),
        (b"\x80\x2e\x01", Plaintext::Unknown),
        (b"\0", Plaintext::Unknown),
    ] {
        let (mut client, server) = connection().await;
        client.write_all(said).await.expect("sent");
        let failure = accept(server, &material, later()).await.err().expect("a failure");
        assert_eq!(failure.error, HandshakeError::Plaintext(kind), "{said:?}");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_is_not_an_attack() {
    let material = TestFiles::new(&Authority::new("root")).load();
    let (client, server) = connection().await;
    drop(client);
    assert_eq!(serve(server, &material).await.err(), Some(HandshakeError::Silent));
    let (client, server) = connection().await;
    // As a probe that is in a hurry does it: with a reset.
    client.set_zero_linger().expect("set");
    drop(client);
    assert_eq!(serve(server, &material).await.err(), Some(HandshakeError::Silent));

    let (mut client, server) = connection().await;
    client.write_all(&[HANDSHAKE_RECORD, 3, 1, 0, 100]).await.expect("sent");
    drop(client);
    assert_eq!(serve(server, &material).await.err(), Some(HandshakeError::Closed));
}

#[tokio::test]
async fn nothing_is_computed_for_a_client_that_has_gone_since_it_began() {
    let root = Authority::new("root");
    let material = TestFiles::new(&root).load();
    let config = Client::new(&root, None).config;
    for resets in [false, true] {
        let name = ServerName::try_from("localhost").expect("a name");
        let mut hello = Vec::new();
        let mut tls = rustls::ClientConnection::new(Arc::clone(&config), name).expect("a client");
        tls.write_tls(&mut hello).expect("a ClientHello");
        let (mut client, server) = connection().await;
        client.write_all(&hello).await.expect("sent");
        let begun = begin(server, later()).await.unwrap_or_else(|failure| panic!("{}", failure.error));
        let still_there = if resets {
            client.set_zero_linger().expect("set");
            drop(client);
            None
        } else {
            client.shutdown().await.expect("shut down");
            Some(client)
        };
        let failure = complete(begun, &material, later()).await.err().expect("a failure");
        assert_eq!(failure.error, HandshakeError::Closed);
        if let Some(mut client) = still_there {
            let answered = client.read(&mut [0]).await.expect("the end");
            assert_eq!(answered, 0, "nothing is answered");
        }
    }
}

#[tokio::test]
async fn garbage_in_a_handshake_record_breaks_the_protocol() {
    let material = TestFiles::new(&Authority::new("root")).load();
    let (mut client, server) = connection().await;
    client.write_all(&[HANDSHAKE_RECORD, 3, 1, 0, 4, 9, 9, 9, 9]).await.expect("sent");
    client.shutdown().await.expect("shut down");
    assert_eq!(serve(server, &material).await.err(), Some(HandshakeError::Protocol));
}

#[tokio::test]
async fn a_client_that_says_nothing_meets_the_deadline() {
    let material = TestFiles::new(&Authority::new("root")).load();
    let (_client, server) = connection().await;
    let failure = accept(server, &material, Instant::now()).await.err().expect("a failure");
    assert_eq!(failure.error, HandshakeError::Timeout);
}

#[tokio::test]
async fn a_client_that_stops_halfway_meets_the_deadline() {
    let material = TestFiles::new(&Authority::new("root")).load();
    let (mut client, server) = connection().await;
    client.write_all(&[HANDSHAKE_RECORD, 3, 1]).await.expect("sent");
    server.readable().await.expect("arrived");
    let failure = accept(server, &material, Instant::now()).await.err().expect("a failure");
    assert_eq!(failure.error, HandshakeError::Timeout);
}

#[tokio::test]
async fn a_pinned_self_signed_certificate_gets_in_with_its_key() {
    let root = Authority::new("root");
    let mut files = TestFiles::new(&root);
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = client("pinned").self_signed(&key).expect("a certificate");
    let issued = Issued { der: certificate.der().to_vec(), pem: certificate.pem(), key_pem: key.serialize_pem() };
    let spki = crate::identity::x509::Certificate::parse(&issued.der).expect("readable").spki_sha256;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = Client::speaking(&root, Some(&issued), &[version]);
        files.rule_keys.pinned = vec![];
        let stranger = server_view(&files.load(), &client).await;
        assert_eq!(stranger.err(), Some(HandshakeError::Certificate(CertificateRefusal::UnknownIssuer)));
        files.rule_keys.pinned = vec![spki];
        let done = server_view(&files.load(), &client).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(cn(&done), "pinned");
    }
}

//! Whom a tunnel takes for its server: a CA vouches for the certificate, it is for the server's name, no CRL lists it, and
//! its key is pinned where keys are. Paths, names and CRLs are rustls's; here is what it leaves open, which is when the CAs
//! themselves are good, and pins.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};
use webpki::EndEntityCert;

use super::anchors::Validity;
use super::explain::unix_seconds;
use super::provider;
use super::width::is_too_wide;
use crate::identity::Fingerprint;

/// Why a server's certificate is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerRefusal {
    /// No CA of ours has issued it.
    UnknownIssuer,
    /// It is for another name.
    Name,
    /// Its key is none of those that are pinned.
    Pin,
    /// It has ended, or a CA in its chain.
    Expired,
    /// It is not valid yet, or a CA in its chain.
    NotYetValid,
    /// It is revoked, or a CA in its chain.
    Revoked,
    /// No CRL says of it, or of a CA in its chain, that it is not revoked.
    NoRevocationList,
    /// The one that would has ended.
    RevocationListExpired,
    /// It is not for servers.
    WrongPurpose,
    /// A signature in its chain, or with its key, is wrong.
    BadSignature,
    /// So many certificates are shown that finding a path through them would take long.
    ChainTooWide,
    /// Something else about it.
    Other,
}

impl ServerRefusal {
    pub(super) fn of(error: &CertificateError) -> ServerRefusal {
        use CertificateError as E;
        match error {
            E::UnknownIssuer => ServerRefusal::UnknownIssuer,
            E::NotValidForName | E::NotValidForNameContext { .. } => ServerRefusal::Name,
            E::Expired | E::ExpiredContext { .. } => ServerRefusal::Expired,
            E::NotValidYet | E::NotValidYetContext { .. } => ServerRefusal::NotYetValid,
            E::Revoked => ServerRefusal::Revoked,
            E::UnknownRevocationStatus => ServerRefusal::NoRevocationList,
            E::ExpiredRevocationList | E::ExpiredRevocationListContext { .. } => ServerRefusal::RevocationListExpired,
            E::InvalidPurpose | E::InvalidPurposeContext { .. } => ServerRefusal::WrongPurpose,
            E::BadSignature => ServerRefusal::BadSignature,
            E::Other(other) => other.0.downcast_ref().copied().unwrap_or(ServerRefusal::Other),
            _ => ServerRefusal::Other,
        }
    }
}

impl fmt::Display for ServerRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ServerRefusal::UnknownIssuer => "no CA in tls-ca-cert-file has issued it, or one that is out of its time",
            ServerRefusal::Name => "it is for another name",
            ServerRefusal::Pin => "its key is none of server-spki-sha256",
            ServerRefusal::Expired => "it has expired, or a CA in its chain",
            ServerRefusal::NotYetValid => "it is not valid yet, or a CA in its chain",
            ServerRefusal::Revoked => "it is revoked, or a CA in its chain",
            ServerRefusal::NoRevocationList => "no CRL in tls-crl-file speaks of it, or of a CA in its chain",
            ServerRefusal::RevocationListExpired => "the CRL in tls-crl-file that would speak of it has expired",
            ServerRefusal::WrongPurpose => "its extended key usage does not allow serverAuth",
            ServerRefusal::BadSignature => {
                "a signature is wrong (tls-ca-cert-file may hold another CA of the same name)"
            }
            ServerRefusal::ChainTooWide => "the server shows more certificates than a path is looked for in",
            ServerRefusal::Other => "it is not good",
        })
    }
}

impl std::error::Error for ServerRefusal {}

/// Never changed: a reload loads another.
pub(super) struct ServerVerifier {
    authorities: Vec<(CertificateDer<'static>, Validity)>,
    /// `None` where revocation is not checked.
    lists: Option<Vec<CertificateRevocationListDer<'static>>>,
    pins: Vec<Fingerprint>,
    algorithms: WebPkiSupportedAlgorithms,
    /// Of what it says: two with the same say the same of every server.
    digest: Fingerprint,
    /// It reads all CRLs, so it is made anew only where other CAs are good.
    webpki: ArcSwap<Webpki>,
}

/// Of the CAs that are good at some time.
struct Webpki {
    /// Of each CA, whether it is.
    good: Vec<bool>,
    verifier: Arc<WebPkiServerVerifier>,
}

impl ServerVerifier {
    /// # Errors
    /// A CA or CRL that rustls cannot use, in its words.
    pub(super) fn new(
        authorities: Vec<(CertificateDer<'static>, Validity)>,
        lists: Option<Vec<CertificateRevocationListDer<'static>>>,
        pins: Vec<Fingerprint>,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Result<ServerVerifier, String> {
        let verifier = build(authorities.iter().map(|(der, _)| der), lists.as_deref())?;
        let webpki = ArcSwap::from_pointee(Webpki { good: vec![true; authorities.len()], verifier });
        let digest = digest(&authorities, lists.as_deref(), &pins);
        Ok(ServerVerifier { authorities, lists, pins, algorithms, digest, webpki })
    }

    /// Whether both would say the same of every server.
    pub(super) fn is_as(&self, other: &ServerVerifier) -> bool {
        self.digest == other.digest
    }

    /// Holds a chain, leaf first, against this trust: as in a handshake.
    pub(super) fn verify(
        &self,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: SystemTime,
    ) -> Result<(), Error> {
        let (leaf, intermediates) = chain.split_first().ok_or(Error::NoCertificatesPresented)?;
        let now = UnixTime::since_unix_epoch(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
        self.verify_server_cert(leaf, intermediates, name, &[], now).map(drop)
    }

    /// To webpki an anchor is good for ever.
    fn webpki_at(&self, now: UnixTime) -> Result<Arc<WebPkiServerVerifier>, Error> {
        let now = unix_seconds(SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_secs()));
        let is_good = |validity: Validity| validity.has_begun(now) && !validity.has_ended(now);
        let good: Vec<bool> = self.authorities.iter().map(|(_, validity)| is_good(*validity)).collect();
        let latest = self.webpki.load();
        if latest.good == good {
            return Ok(Arc::clone(&latest.verifier));
        }
        if !good.contains(&true) {
            return Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        }
        let authorities = self.authorities.iter().zip(&good).filter(|(_, good)| **good).map(|((der, _), _)| der);
        let verifier = build(authorities, self.lists.as_deref())
            .map_err(|_| Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        self.webpki.store(Arc::new(Webpki { good, verifier: Arc::clone(&verifier) }));
        Ok(verifier)
    }

    fn judge_key(&self, leaf: &CertificateDer<'_>) -> Result<(), Error> {
        if self.pins.is_empty() {
            return Ok(());
        }
        let leaf =
            EndEntityCert::try_from(leaf).map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        match self.pins.contains(&Fingerprint::of(&leaf.subject_public_key_info())) {
            true => Ok(()),
            false => Err(refused(ServerRefusal::Pin)),
        }
    }
}

fn digest(
    authorities: &[(CertificateDer<'_>, Validity)],
    lists: Option<&[CertificateRevocationListDer<'_>]>,
    pins: &[Fingerprint],
) -> Fingerprint {
    let authorities = authorities.iter().map(|(der, _)| Fingerprint::of(der)).collect::<Vec<_>>();
    let lists = lists.map(|lists| lists.iter().map(|der| Fingerprint::of(der)).collect::<Vec<_>>());
    Fingerprint::of(format!("{authorities:?} {lists:?} {pins:?}").as_bytes())
}

/// For what rustls has no word.
fn refused(refusal: ServerRefusal) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refusal))))
}

fn build<'a>(
    authorities: impl Iterator<Item = &'a CertificateDer<'static>>,
    lists: Option<&[CertificateRevocationListDer<'static>]>,
) -> Result<Arc<WebPkiServerVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone()).map_err(|error| error.to_string())?;
    }
    let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider::provider());
    let builder = match lists {
        Some(lists) => builder.with_crls(lists.iter().cloned()).enforce_revocation_expiration(),
        None => builder,
    };
    builder.build().map_err(|error| error.to_string())
}

impl fmt::Debug for ServerVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerVerifier").finish_non_exhaustive()
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if is_too_wide(intermediates) {
            return Err(refused(ServerRefusal::ChainTooWide));
        }
        let verified = self.webpki_at(now)?.verify_server_cert(leaf, intermediates, name, ocsp, now)?;
        self.judge_key(leaf)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::test_pki::Authority;
    use crate::identity::x509::Certificate;

    fn verifier(authorities: &[&Authority], pins: Vec<Fingerprint>) -> ServerVerifier {
        let authorities = authorities.iter().map(|authority| {
            let validity = Validity::of(&Certificate::parse(&authority.der()).expect("readable"));
            (CertificateDer::from(authority.der()), validity)
        });
        let algorithms = provider::provider().signature_verification_algorithms;
        ServerVerifier::new(authorities.collect(), None, pins, algorithms).expect("CAs")
    }

    #[test]
    fn crls_are_read_anew_only_where_other_cas_are_good() {
        let (old, young) = (Authority::new("old"), Authority::new("young"));
        let mut verifier = verifier(&[&old, &young], vec![]);
        verifier.authorities[0].1 = Validity::for_test(0, 100);
        verifier.authorities[1].1 = Validity::for_test(0, 200);
        let at = |verifier: &ServerVerifier, seconds| {
            verifier.webpki_at(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
        };
        let both = at(&verifier, 50).expect("both are good");
        assert!(Arc::ptr_eq(&both, &at(&verifier, 60).expect("both are good")));
        let one = at(&verifier, 150).expect("one is good");
        assert!(!Arc::ptr_eq(&both, &one));
        assert!(Arc::ptr_eq(&one, &at(&verifier, 160).expect("one is good")));
        assert!(at(&verifier, 250).is_err());
        assert!(Arc::ptr_eq(&one, &at(&verifier, 150).expect("one is good")));
    }

    #[test]
    fn two_say_the_same_where_cas_crls_and_pins_are_the_same() {
        let (one, other) = (Authority::new("one"), Authority::new("other"));
        let pin = Fingerprint::of(b"key");
        assert!(verifier(&[&one], vec![]).is_as(&verifier(&[&one], vec![])));
        assert!(!verifier(&[&one], vec![]).is_as(&verifier(&[&other], vec![])));
        assert!(!verifier(&[&one], vec![]).is_as(&verifier(&[&one, &other], vec![])));
        assert!(!verifier(&[&one], vec![]).is_as(&verifier(&[&one], vec![pin])));
        let mut listing = verifier(&[&one], vec![]);
        listing.digest = digest(&listing.authorities, Some(&[]), &[]);
        assert!(!verifier(&[&one], vec![]).is_as(&listing));
    }

    /// webpki would go all ways through them, none of which has to lead anywhere.
    #[test]
    fn more_certificates_than_a_path_has_are_refused_before_one_is_looked_for() {
        let root = Authority::new("root");
        let verifier = verifier(&[&root], vec![]);
        let judged = |namesakes: usize| {
            let others = (0..namesakes).map(|_| Authority::new("same").der());
            let chain: Vec<_> = [root.server().der].into_iter().chain(others).map(CertificateDer::from).collect();
            let name = ServerName::try_from("localhost").expect("a name");
            match verifier.verify(&chain, &name, SystemTime::now()) {
                Ok(()) => None,
                Err(Error::InvalidCertificate(error)) => Some(ServerRefusal::of(&error)),
                Err(other) => panic!("{other}"),
            }
        };
        assert_eq!(judged(2), None);
        assert_eq!(judged(3), Some(ServerRefusal::ChainTooWide));
    }
}

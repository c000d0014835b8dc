//! Who is trusted: rustls's own verifier, and three things around it that it does not do.
//!
//! A certificate that any CRL of its issuer lists is refused, while rustls asks only the first CRL of that issuer. One
//! of a CA that has expired is refused, while rustls looks at no anchor's validity. And a certificate whose key is pinned
//! is trusted without a CA. All signature work is rustls's.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use webpki::{EndEntityCert, KeyUsage};

use super::anchors::Anchors;
use super::chain::CertificateChain;
use crate::identity::Fingerprint;
use crate::identity::x509::{Certificate, Name, RevocationList};

/// The trust of one generation.
pub(super) struct Verifier {
    /// rustls's verifier over the client CAs and CRLs; `None` if only pins are configured.
    pub(super) authorities: Option<Arc<dyn ClientCertVerifier>>,
    /// The client CAs.
    pub(super) anchors: Anchors,
    /// What the provider can verify.
    pub(super) algorithms: WebPkiSupportedAlgorithms,
    /// A client must show a certificate.
    pub(super) mandatory: bool,
    /// Keys trusted for themselves, by the SHA-256 of their SubjectPublicKeyInfo.
    pub(super) pins: HashSet<Fingerprint>,
    /// Everything the CRLs list.
    pub(super) revoked: Revoked,
    /// CA certificates that are shown must not be listed either.
    pub(super) whole_chain: bool,
}

impl Verifier {
    /// Nothing but rustls reads a certificate before it is known to be from one of our CAs, or to hold a pinned key.
    pub(super) fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        if self.is_pinned(leaf)? {
            check_validity(leaf, now)?;
        } else {
            let authorities = self.authorities.as_ref().ok_or(CertificateError::UnknownIssuer)?;
            self.check_anchor(leaf, intermediates, now)?;
            authorities.verify_client_cert(leaf, intermediates, now)?;
        }
        if self.lists_as_revoked(leaf, intermediates) {
            return Err(CertificateError::Revoked.into());
        }
        Ok(())
    }

    /// Whether a CRL lists the leaf, or, if the whole chain counts, one of the CA certificates.
    pub(super) fn lists_as_revoked(&self, leaf: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> bool {
        if self.revoked.is_empty() {
            return false;
        }
        let rest = if self.whole_chain { intermediates } else { &[] };
        [leaf].into_iter().chain(rest).any(|der| Certificate::parse(der).is_ok_and(|shown| self.revoked.lists(&shown)))
    }

    /// The SubjectPublicKeyInfo of the anchor that a trusted chain ends in, as SHA-256.
    pub(super) fn anchor(&self, chain: &CertificateChain, now: UnixTime) -> Option<Fingerprint> {
        let (leaf, intermediates) = chain.parts();
        // With one CA and no pins there is nothing to find out.
        if let ([only], true) = (self.anchors.all(), self.pins.is_empty()) {
            return Some(spki_of(only));
        }
        self.path_to(&self.anchors.valid_at(unix_seconds(now)), leaf, intermediates, now)
    }

    /// Refuses a chain that ends in none of our CAs but one that is not valid now. What ends in none at all is left to
    /// rustls, and so is everything else about it.
    fn check_anchor(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let seconds = unix_seconds(now);
        let Cow::Owned(valid) = self.anchors.valid_at(seconds) else { return Ok(()) };
        let ends_in = |anchors| self.path_to(anchors, leaf, intermediates, now).is_some();
        if ends_in(&valid) || !ends_in(self.anchors.all()) {
            return Ok(());
        }
        let is_late = self.anchors.has_any_ended(seconds);
        Err(if is_late { CertificateError::Expired } else { CertificateError::NotValidYet }.into())
    }

    /// The SubjectPublicKeyInfo of that of the anchors that a chain ends in, as SHA-256. Revocation is not looked at.
    fn path_to(
        &self,
        anchors: &[TrustAnchor<'_>],
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Option<Fingerprint> {
        let leaf = EndEntityCert::try_from(leaf).ok()?;
        let usage = KeyUsage::client_auth();
        let path = leaf.verify_for_usage(self.algorithms.all, anchors, intermediates, now, usage, None, None);
        path.ok().map(|path| spki_of(path.anchor()))
    }

    /// Whether the key is pinned.
    pub(super) fn is_pinned(&self, leaf: &CertificateDer<'_>) -> Result<bool, Error> {
        if self.pins.is_empty() {
            return Ok(false);
        }
        let spki = ParsedCertificate::try_from(leaf)?.subject_public_key_info();
        Ok(self.pins.contains(&Fingerprint::of(&spki)))
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        match &self.authorities {
            // A client that goes by the names of our CAs would not show its pinned certificate.
            Some(authorities) if self.pins.is_empty() => authorities.root_hint_subjects(),
            _ => &[],
        }
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(end_entity, intermediates, now).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The serial numbers that the CRLs of each issuer list.
#[derive(Debug, Default)]
pub(super) struct Revoked {
    /// Few: one per CA.
    issuers: Vec<(Name, HashSet<String>)>,
}

impl Revoked {
    pub(super) fn add(&mut self, list: RevocationList) {
        match self.issuers.iter_mut().find(|(issuer, _)| *issuer == list.issuer) {
            Some((_, serials)) => serials.extend(list.serials),
            None => self.issuers.push((list.issuer, list.serials.into_iter().collect())),
        }
    }

    /// Whether there is a CRL of this CA.
    pub(super) fn covers(&self, authority: &Name) -> bool {
        self.issuers.iter().any(|(issuer, _)| issuer == authority)
    }

    fn is_empty(&self) -> bool {
        self.issuers.is_empty()
    }

    fn lists(&self, certificate: &Certificate) -> bool {
        self.issuers
            .iter()
            .any(|(issuer, serials)| *issuer == certificate.issuer && serials.contains(&certificate.serial))
    }
}

fn check_validity(leaf: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let certificate = Certificate::parse(leaf).map_err(|_| CertificateError::BadEncoding)?;
    let now = unix_seconds(now);
    if now > certificate.not_after {
        Err(CertificateError::Expired.into())
    } else if now < certificate.not_before {
        Err(CertificateError::NotValidYet.into())
    } else {
        Ok(())
    }
}

fn unix_seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

fn spki_of(anchor: &TrustAnchor<'_>) -> Fingerprint {
    Fingerprint::of(webpki::spki_for_anchor(anchor).as_ref())
}

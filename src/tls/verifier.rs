//! Who is trusted: webpki builds and verifies paths, and what it leaves to its caller is asked here.
//!
//! That is: `keyCertSign` of the CAs that are shown, validity and path length of the anchor, `digitalSignature` of the
//! leaf, `anyExtendedKeyUsage`, and whether the key can take part in a handshake at all. A certificate that any CRL of its
//! issuer lists is refused, while webpki asks only one of that issuer. And a certificate whose key is pinned is trusted
//! without a CA. All signature work is webpki's and rustls's.

use std::collections::HashSet;
use std::fmt;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use webpki::{
    EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter, KeyUsage, RequiredEkuNotFoundContext,
    RevocationOptions, VerifiedPath,
};

use super::anchors::{Anchors, Validity, key_of};
use super::chain::CertificateChain;
use super::keys;
use super::revocation::Revocation;
use crate::identity::x509::Certificate;
use crate::identity::{CertificateRefusal, Fingerprint};

/// The trust of one generation.
pub(super) struct Verifier {
    /// The client CAs; none if only pins are configured.
    anchors: Anchors,
    /// Their names, or none where a client that goes by them would not show its pinned certificate.
    hints: Vec<DistinguishedName>,
    /// What the provider can verify.
    algorithms: WebPkiSupportedAlgorithms,
    /// A client must show a certificate.
    mandatory: bool,
    /// Keys trusted for themselves, by the SHA-256 of their SubjectPublicKeyInfo.
    pins: HashSet<Fingerprint>,
    revocation: Revocation,
}

impl Verifier {
    pub(super) fn new(
        anchors: Anchors,
        pins: HashSet<Fingerprint>,
        revocation: Revocation,
        algorithms: WebPkiSupportedAlgorithms,
        mandatory: bool,
    ) -> Verifier {
        let hints = if pins.is_empty() { anchors.subjects() } else { Vec::new() };
        Verifier { anchors, hints, algorithms, mandatory, pins, revocation }
    }

    /// The one judgement about a chain: in a full handshake, on resumption, after a reload, and in `check`.
    ///
    /// Nothing but webpki reads a certificate before it is known to be from one of our CAs, or to hold a pinned key.
    pub(super) fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), CertificateRefusal> {
        let is_pinned = self.is_pinned(leaf)?;
        if !is_pinned {
            let walk = |revocation: Option<RevocationOptions<'_>>| self.anchor_of(leaf, intermediates, now, revocation);
            // A list that has only expired ends no live session, so whatever else is wrong has to be known.
            self.revocation.with_options(walk).or_else(|refusal| match refusal {
                CertificateRefusal::RevocationListExpired => walk(None).and(Err(refusal)),
                other => Err(other),
            })?;
        }
        let certificate = Certificate::parse(leaf).map_err(|_| CertificateRefusal::Malformed)?;
        if is_pinned {
            check_validity(Validity::of(&certificate), unix_seconds(now))?;
        } else if certificate.key_usage.is_some_and(|usage| !usage.digital_signature) {
            return Err(CertificateRefusal::WrongKeyUsage);
        }
        if !keys::is_usable(leaf, &certificate, &self.algorithms) {
            return Err(CertificateRefusal::UnsupportedAlgorithm);
        }
        if self.lists_as_revoked(leaf, intermediates) {
            return Err(CertificateRefusal::Revoked);
        }
        Ok(())
    }

    /// Whether a CRL lists the leaf, or, if the whole chain counts, one of the CA certificates.
    pub(super) fn lists_as_revoked(&self, leaf: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> bool {
        self.revocation.lists_any([leaf].into_iter().chain(intermediates).map(AsRef::as_ref))
    }

    /// The SubjectPublicKeyInfo of the anchor that a trusted chain ends in, as SHA-256.
    pub(super) fn anchor(&self, chain: &CertificateChain, now: UnixTime) -> Option<Fingerprint> {
        // With one CA and no pins there is nothing to find out.
        if let (Some(only), true) = (self.anchors.only_key(), self.pins.is_empty()) {
            return Some(only);
        }
        let (leaf, intermediates) = chain.parts();
        self.anchor_of(leaf, intermediates, now, None).ok()
    }

    /// The last second of each client CA, since 1970 UTC.
    pub(super) fn anchor_ends(&self) -> impl Iterator<Item = i64> {
        self.anchors.ends()
    }

    /// Whether the key is pinned.
    pub(super) fn is_pinned(&self, leaf: &CertificateDer<'_>) -> Result<bool, CertificateRefusal> {
        if self.pins.is_empty() {
            return Ok(false);
        }
        let parsed = ParsedCertificate::try_from(leaf).map_err(|_| CertificateRefusal::Malformed)?;
        Ok(self.pins.contains(&Fingerprint::of(&parsed.subject_public_key_info())))
    }

    /// The SubjectPublicKeyInfo of the anchor that a path ends in which is good in every respect, as SHA-256.
    fn anchor_of(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        revocation: Option<RevocationOptions<'_>>,
    ) -> Result<Fingerprint, CertificateRefusal> {
        let refusal = |error| CertificateRefusal::from_webpki(&error);
        let leaf = EndEntityCert::try_from(leaf).map_err(refusal)?;
        let judge = |path: &VerifiedPath<'_>| self.judge(path, now);
        let (algorithms, anchors) = (self.algorithms.all, self.anchors.all());
        leaf.verify_for_usage(algorithms, anchors, intermediates, now, ClientAuth, revocation, Some(&judge))
            .map(|path| key_of(path.anchor()))
            .map_err(refusal)
    }

    /// What webpki has verified, but for what it does not look at. On an error it tries the next path.
    fn judge(&self, path: &VerifiedPath<'_>, now: UnixTime) -> Result<(), webpki::Error> {
        let limits = self.anchors.limits_of(path).ok_or(webpki::Error::UnknownIssuer)?;
        check_validity(limits.validity, unix_seconds(now)).map_err(|refusal| match refusal {
            CertificateRefusal::NotYetValid => webpki::Error::CertNotValidYet { time: now, not_before: now },
            _ => webpki::Error::CertExpired { time: now, not_after: now },
        })?;
        let mut authorities: u32 = 0;
        for shown in path.intermediate_certificates() {
            authorities += 1;
            let certificate = Certificate::parse(&shown.der()).map_err(|_| webpki::Error::BadDer)?;
            if certificate.key_usage.is_some_and(|usage| !usage.certificate_sign) {
                return Err(webpki::Error::EndEntityUsedAsCa);
            }
        }
        match limits.path_length {
            Some(most) if authorities > most => Err(webpki::Error::PathLenConstraintViolated),
            _ => Ok(()),
        }
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
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(end_entity, intermediates, now)
            .map(|()| ClientCertVerified::assertion())
            .map_err(CertificateRefusal::into_rustls)
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

/// An extended key usage has to allow clientAuth or anything; where there is none, all is allowed (RFC 5280, 4.2.1.12).
struct ClientAuth;

impl ClientAuth {
    /// id-kp-clientAuth, 1.3.6.1.5.5.7.3.2.
    const CLIENT: KeyPurposeId<'static> = KeyPurposeId::new(&[0x2b, 6, 1, 5, 5, 7, 3, 2]);
    /// anyExtendedKeyUsage, 2.5.29.37.0.
    const ANY: KeyPurposeId<'static> = KeyPurposeId::new(&[0x55, 29, 37, 0]);
}

impl ExtendedKeyUsageValidator for ClientAuth {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let mut present = Vec::new();
        for purpose in purposes {
            let purpose = purpose?;
            if [ClientAuth::CLIENT, ClientAuth::ANY].contains(&purpose) {
                return Ok(());
            }
            present.push(purpose.to_decoded_oid());
        }
        if present.is_empty() {
            return Ok(());
        }
        let required = KeyUsage::client_auth();
        Err(webpki::Error::RequiredEkuNotFoundContext(RequiredEkuNotFoundContext { required, present }))
    }
}

fn check_validity(validity: Validity, now: i64) -> Result<(), CertificateRefusal> {
    if validity.has_ended(now) {
        Err(CertificateRefusal::Expired)
    } else if !validity.has_begun(now) {
        Err(CertificateRefusal::NotYetValid)
    } else {
        Ok(())
    }
}

fn unix_seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

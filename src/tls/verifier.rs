//! Who is trusted: webpki builds and verifies paths, and what it leaves to its caller is asked here.
//!
//! That is: `keyCertSign` of the CAs that are shown, validity and path length of the anchor, `digitalSignature` of the
//! leaf, `anyExtendedKeyUsage`, whether the key can take part in a handshake at all, and whether keys are in their
//! usual form. A certificate that any CRL of its issuer lists is refused, while webpki asks only one of that issuer.
//! And a certificate whose key is pinned is trusted without a CA. All signature work is webpki's and rustls's.

use std::collections::HashSet;
use std::fmt;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use webpki::{
    EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter, KeyUsage, RequiredEkuNotFoundContext,
    RevocationOptions, UnsupportedSignatureAlgorithmForPublicKeyContext, VerifiedPath,
};

use super::anchors::{Anchors, Validity, key_of};
use super::chain::Voucher;
use super::keys;
use super::revocation::{Revocation, Revoked};
use super::settings::CrlExpired;
use super::shown;
use super::width::is_too_wide;
use crate::identity::x509::{Certificate, DnsConstraints};
use crate::identity::{CertificateRefusal, Fingerprint};

/// As much of the CAs' names is sent to clients, in bytes. A handshake message holds less than 64 KiB of them, and a client
/// that is sent none shows what it has.
const MOST_HINTS: usize = 16 * 1024;

/// The trust of one generation.
pub(super) struct Verifier {
    /// The client CAs; none if only pins are configured. One realm, unless CAs share a name.
    realms: Vec<Realm>,
    /// Their names, or none where a client that goes by them would not show its pinned certificate.
    hints: Vec<DistinguishedName>,
    /// What the provider can verify.
    algorithms: WebPkiSupportedAlgorithms,
    /// A client must show a certificate.
    mandatory: bool,
    keys: Keys,
    /// What the CRLs of all CAs list.
    revoked: Revoked,
    /// What a CRL past its nextUpdate is worth.
    crl_expired: CrlExpired,
}

/// Keys that decide, each as SHA-256 of its SubjectPublicKeyInfo.
pub(super) struct Keys {
    /// Those that are trusted for themselves.
    pub(super) pins: HashSet<Fingerprint>,
    /// Those that are not trusted yet: no CA vouches for them meanwhile.
    pub(super) waiting_pins: HashSet<Fingerprint>,
    /// Those of all client CAs, of those that are revoked as well, and of the CAs that rules name. Each vouches by
    /// itself or not at all: by a certificate of it that the client shows, a path could end in another, past what keeps
    /// it in bounds and past the rule about it.
    pub(super) authorities: HashSet<Fingerprint>,
}

/// CAs of different names, and the CRLs to ask about what they have issued. webpki goes by names alone, and asks the first
/// CRL of a name, so CAs that share one are kept apart.
pub(super) struct Realm {
    pub(super) anchors: Anchors,
    pub(super) revocation: Revocation,
}

impl Verifier {
    pub(super) fn new(
        realms: Vec<Realm>,
        keys: Keys,
        revoked: Revoked,
        crl_expired: CrlExpired,
        algorithms: WebPkiSupportedAlgorithms,
        mandatory: bool,
    ) -> Verifier {
        let mut hints: Vec<DistinguishedName> = realms.iter().flat_map(|realm| realm.anchors.subjects()).collect();
        if !keys.pins.is_empty() || hints.iter().map(|name| name.as_ref().len() + 2).sum::<usize>() > MOST_HINTS {
            hints.clear();
        }
        Verifier { realms, hints, algorithms, mandatory, keys, revoked, crl_expired }
    }

    /// The judgement about a chain: in a full handshake, on resumption, in `check`, and of a live session, which a CRL
    /// that has only expired does not end.
    pub(super) fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        is_live: bool,
    ) -> Result<Voucher, CertificateRefusal> {
        match self.judge(leaf, intermediates, now, self.crl_expired) {
            // Who vouches for it, and whatever else is wrong, has to be known all the same.
            Err(expired @ CertificateRefusal::RevocationListExpired) => {
                let voucher = self.judge(leaf, intermediates, now, CrlExpired::Ignore)?;
                if is_live { Ok(voucher) } else { Err(expired) }
            }
            judged => judged,
        }
    }

    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        expired: CrlExpired,
    ) -> Result<Voucher, CertificateRefusal> {
        let is_pinned = self.is_pinned(leaf)?;
        let voucher = match is_pinned {
            true => Voucher::Pin,
            false => Voucher::Authority(self.authority_of(leaf, intermediates, now, expired)?),
        };
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
        Ok(voucher)
    }

    /// Whether a CRL lists the leaf, or, if the whole chain counts, one of the CA certificates.
    pub(super) fn lists_as_revoked(&self, leaf: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> bool {
        self.revoked.lists_any([leaf].into_iter().chain(intermediates).map(AsRef::as_ref))
    }

    /// Who vouches for every chain that is trusted, where there is only one who could.
    pub(super) fn only_voucher(&self) -> Option<Voucher> {
        match self.realms.as_slice() {
            [only] if self.keys.pins.is_empty() => only.anchors.only_key().map(Voucher::Authority),
            _ => None,
        }
    }

    /// The last second of each client CA, since 1970 UTC.
    pub(super) fn anchor_ends(&self) -> impl Iterator<Item = i64> {
        self.realms.iter().flat_map(|realm| realm.anchors.ends())
    }

    /// Whether the key is pinned.
    ///
    /// # Errors
    /// It will be, and waits until its rule is in force.
    fn is_pinned(&self, leaf: &CertificateDer<'_>) -> Result<bool, CertificateRefusal> {
        if self.keys.pins.is_empty() && self.keys.waiting_pins.is_empty() {
            return Ok(false);
        }
        let leaf = EndEntityCert::try_from(leaf).map_err(|error| CertificateRefusal::from_webpki(&error))?;
        let key = Fingerprint::of(&leaf.subject_public_key_info());
        match self.keys.waiting_pins.contains(&key) {
            true => Err(CertificateRefusal::UnknownIssuer),
            false => Ok(self.keys.pins.contains(&key)),
        }
    }

    /// The SubjectPublicKeyInfo, as SHA-256, of the client CA that a path ends in which is good in every respect.
    ///
    /// Nothing but webpki reads a certificate before it is known to be from one of our CAs, but for the log.
    fn authority_of(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        expired: CrlExpired,
    ) -> Result<Fingerprint, CertificateRefusal> {
        let refusal = |error| CertificateRefusal::from_webpki(&error);
        let leaf = EndEntityCert::try_from(leaf).map_err(refusal)?;
        if is_too_wide(intermediates) {
            return Err(CertificateRefusal::ChainTooWide);
        }
        let mut found = CertificateRefusal::UnknownIssuer;
        for realm in &self.realms {
            let walk = |revocation: Option<RevocationOptions<'_>>| {
                let judge = |path: &VerifiedPath<'_>| realm.judge(path, &self.keys.authorities, now);
                let (algorithms, anchors) = (self.algorithms.all, realm.anchors.all());
                leaf.verify_for_usage(algorithms, anchors, intermediates, now, ClientAuth, revocation, Some(&judge))
                    .map(|path| key_of(path.anchor()))
                    .map_err(refusal)
            };
            match realm.revocation.with_options(expired, walk) {
                Ok(authority) => return Ok(authority),
                // Of a namesake's realm: another one may know better.
                Err(CertificateRefusal::UnknownIssuer | CertificateRefusal::BadSignature)
                    if found != CertificateRefusal::UnknownIssuer => {}
                Err(refusal) => found = refusal,
            }
        }
        Err(found)
    }

    /// Whether the common name is within the DNS names to which the CAs that are shown, and the one that vouches, are kept.
    pub(super) fn permits_common_name(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        voucher: Voucher,
    ) -> bool {
        let Voucher::Authority(authority) = voucher else { return true };
        let Ok(leaf) = Certificate::parse(leaf) else { return false };
        let shown = intermediates.iter().filter_map(|der| Certificate::parse(der).ok()?.dns_constraints);
        let own = self.realms.iter().flat_map(|realm| realm.anchors.constraints_of(&authority)).cloned();
        shown.chain(own).all(|constraints| constraints.permits_common_names(&leaf))
    }
}

impl Realm {
    /// What webpki has verified, but for what it does not look at. On an error it tries the next path.
    fn judge(
        &self,
        path: &VerifiedPath<'_>,
        authorities: &HashSet<Fingerprint>,
        now: UnixTime,
    ) -> Result<(), webpki::Error> {
        let limits = self.anchors.limits_of(path).ok_or(webpki::Error::UnknownIssuer)?;
        check_validity(limits.validity, unix_seconds(now)).map_err(|refusal| match refusal {
            CertificateRefusal::NotYetValid => webpki::Error::CertNotValidYet { time: now, not_before: now },
            _ => webpki::Error::CertExpired { time: now, not_after: now },
        })?;
        self.revocation.judge(&path.end_entity().der())?;
        let mut constraints: Vec<DnsConstraints> = limits.dns_constraints.iter().cloned().collect();
        let mut count: u32 = 0;
        for shown in path.intermediate_certificates() {
            count += 1;
            if authorities.contains(&Fingerprint::of(&shown.subject_public_key_info())) {
                return Err(webpki::Error::UnknownIssuer);
            }
            let der = shown.der();
            let certificate = Certificate::parse(&der).map_err(|_| webpki::Error::BadDer)?;
            if !certificate.has_usual_key {
                // By its fingerprint it would be another CA than the one that was asked about above.
                let (signature_algorithm_id, public_key_algorithm_id) = Default::default();
                return Err(webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(
                    UnsupportedSignatureAlgorithmForPublicKeyContext {
                        signature_algorithm_id,
                        public_key_algorithm_id,
                    },
                ));
            }
            if certificate.key_usage.is_some_and(|usage| !usage.certificate_sign) {
                return Err(webpki::Error::EndEntityUsedAsCa);
            }
            if self.revocation.asks_about_authorities() {
                self.revocation.judge(&der)?;
            }
            constraints.extend(certificate.dns_constraints);
        }
        if !constraints.is_empty() {
            let leaf = Certificate::parse(&path.end_entity().der()).map_err(|_| webpki::Error::BadDer)?;
            if !constraints.iter().all(|constraints| constraints.permits(&leaf)) {
                return Err(webpki::Error::NameConstraintViolation);
            }
        }
        match limits.path_length {
            Some(most) if count > most => Err(webpki::Error::PathLenConstraintViolated),
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
        shown::note(end_entity);
        self.verify(end_entity, intermediates, now, false)
            .map(|_| ClientCertVerified::assertion())
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

//! A client CA, and what it has signed.

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::CertificateDer;

use super::explain;
use super::keys;
use crate::identity::Fingerprint;
use crate::identity::x509::{Certificate, Name};

/// A client CA.
#[derive(Clone)]
pub(super) struct Authority {
    pub(super) der: CertificateDer<'static>,
    pub(super) certificate: Certificate,
}

impl PartialEq for Authority {
    fn eq(&self, other: &Authority) -> bool {
        self.der == other.der
    }
}

impl Authority {
    pub(super) fn name(&self) -> &Name {
        &self.certificate.subject
    }

    pub(super) fn is_named(&self, name: &Name) -> bool {
        self.name() == name
    }

    /// SHA-256 of its SubjectPublicKeyInfo.
    pub(super) fn key(&self) -> Fingerprint {
        self.certificate.spki_sha256
    }

    /// The same CA, perhaps in another certificate.
    pub(super) fn is(&self, other: &Authority) -> bool {
        self.is_named(other.name()) && self.key() == other.key()
    }

    pub(super) fn is_root(&self, algorithms: &WebPkiSupportedAlgorithms) -> bool {
        self.has_certified(self, algorithms)
    }

    /// Whether it has issued the certificate of another one.
    pub(super) fn has_issued(&self, other: &Authority, algorithms: &WebPkiSupportedAlgorithms) -> bool {
        self.key() != other.key() && self.has_certified(other, algorithms)
    }

    /// A signature with SHA-1, which cannot be verified, is taken for that of the issuer that is named.
    fn has_certified(&self, other: &Authority, algorithms: &WebPkiSupportedAlgorithms) -> bool {
        let is_signed = |(signed, signature): (Vec<u8>, Vec<u8>)| {
            explain::is_signed_with_sha1(&other.certificate)
                || keys::has_signed(&self.der, &signed, &signature, algorithms)
        };
        self.name().canonical() == other.certificate.issuer.canonical()
            && Certificate::signature_of(&other.der).is_ok_and(is_signed)
    }
}

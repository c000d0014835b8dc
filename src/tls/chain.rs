//! The certificates a client has shown.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;

use crate::identity::Fingerprint;

/// A client's certificate chain, leaf first, never empty; cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateChain {
    certificates: Arc<[CertificateDer<'static>]>,
}

impl CertificateChain {
    /// `None` if there is no certificate.
    pub fn new(certificates: Vec<CertificateDer<'static>>) -> Option<CertificateChain> {
        if certificates.is_empty() { None } else { Some(CertificateChain { certificates: certificates.into() }) }
    }

    /// The client's own certificate, DER.
    pub fn leaf(&self) -> &[u8] {
        &self.certificates[0]
    }

    /// SHA-256 over the whole chain. Two sessions with the same one are trusted or not together.
    pub fn fingerprint(&self) -> Fingerprint {
        let concatenated: Vec<u8> = self.certificates.iter().flat_map(|der| der.iter().copied()).collect();
        Fingerprint::of(&concatenated)
    }

    pub(super) fn parts(&self) -> (&CertificateDer<'static>, &[CertificateDer<'static>]) {
        (&self.certificates[0], &self.certificates[1..])
    }
}

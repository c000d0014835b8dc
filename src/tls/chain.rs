//! The certificates a client has shown.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;

use crate::identity::Fingerprint;
use crate::identity::x509::Certificate;

/// What makes a chain trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Voucher {
    /// The CA that its path ends in, by the SHA-256 of the CA's SubjectPublicKeyInfo.
    Authority(Fingerprint),
    /// The client's key is pinned.
    Pin,
}

/// A client's certificate chain, leaf first, never empty; cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateChain {
    certificates: Arc<[CertificateDer<'static>]>,
    /// The last second of each CA certificate that can be read.
    ca_ends: Arc<[i64]>,
}

impl CertificateChain {
    /// `None` if there is no certificate.
    pub fn new(certificates: Vec<CertificateDer<'static>>) -> Option<CertificateChain> {
        let (_, intermediates) = certificates.split_first()?;
        let ca_ends = intermediates.iter().filter_map(|der| Some(Certificate::parse(der).ok()?.not_after)).collect();
        Some(CertificateChain { certificates: certificates.into(), ca_ends })
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

    pub(super) fn ca_ends(&self) -> impl Iterator<Item = i64> {
        self.ca_ends.iter().copied()
    }

    pub(super) fn parts(&self) -> (&CertificateDer<'static>, &[CertificateDer<'static>]) {
        (&self.certificates[0], &self.certificates[1..])
    }
}

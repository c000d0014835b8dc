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
    /// The last second of each certificate that can be read.
    ends: Arc<[i64]>,
}

impl CertificateChain {
    /// `None` if there is no certificate.
    pub fn new(certificates: Vec<CertificateDer<'static>>) -> Option<CertificateChain> {
        certificates.first()?;
        let ends = certificates.iter().filter_map(|der| Some(Certificate::parse(der).ok()?.not_after)).collect();
        Some(CertificateChain { certificates: certificates.into(), ends })
    }

    /// The client's own certificate, DER.
    pub fn leaf(&self) -> &[u8] {
        &self.certificates[0]
    }

    /// All of them, DER.
    pub fn certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.certificates.iter().map(|der| &**der)
    }

    /// Bytes of all of it: a client may show much beside what makes it trusted.
    pub fn memory(&self) -> usize {
        self.certificates.iter().map(|der| der.len()).sum()
    }

    /// SHA-256 over the whole chain. Two sessions with the same one are trusted or not together.
    pub fn fingerprint(&self) -> Fingerprint {
        let concatenated: Vec<u8> = self.certificates.iter().flat_map(|der| der.iter().copied()).collect();
        Fingerprint::of(&concatenated)
    }

    pub(super) fn ends(&self) -> impl Iterator<Item = i64> {
        self.ends.iter().copied()
    }

    pub(super) fn parts(&self) -> (&CertificateDer<'static>, &[CertificateDer<'static>]) {
        (&self.certificates[0], &self.certificates[1..])
    }
}

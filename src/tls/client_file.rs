//! A client's certificate out of a file, held against the trust of a listener without a handshake.

use std::path::Path;
use std::time::SystemTime;

use super::chain::{CertificateChain, Voucher};
use super::explain;
use super::handshake::{self, VerifiedPeer};
use super::load_error::{LoadError, Problem};
use super::material::TlsMaterial;
use super::pem;
use crate::files::Files;
use crate::identity::CertificateRefusal;
use crate::identity::x509::Certificate;

/// What would become of a client that shows a certificate.
pub struct Judgement {
    /// Who it would be, or why it would be refused.
    pub verdict: Result<VerifiedPeer, CertificateRefusal>,
    /// What has to be different, in words, and what will have to be soon.
    pub advice: Vec<String>,
}

/// The chain in a PEM file that `setting` names: the client's certificate, then its intermediates.
///
/// # Errors
/// It cannot be read, or is no chain.
pub fn read(path: &Path, setting: &'static str) -> Result<CertificateChain, Vec<LoadError>> {
    let error = |problem| LoadError { setting, path: Some(path.to_owned()), problem };
    let content = Files::default().read(path).map_err(|io| vec![error(Problem::Read(io))])?;
    let certificates = pem::certificate_chain(&content.bytes)
        .map_err(|errors| errors.into_iter().map(|pem| error(Problem::Pem(pem))).collect::<Vec<_>>())?;
    CertificateChain::new(certificates).ok_or_else(|| vec![error(Problem::Unusable("holds no certificate".to_owned()))])
}

/// Judges as a handshake of this moment would.
pub fn judge(chain: &CertificateChain, material: &TlsMaterial, now: SystemTime) -> Judgement {
    let verdict = handshake::judge(chain.clone(), material, now);
    let mut advice = Vec::new();
    if let Ok(certificate) = Certificate::parse(chain.leaf()) {
        if !matches!(&verdict, Ok(VerifiedPeer { voucher: Voucher::Pin, .. })) {
            advice = explain::client_certificate(&certificate, now);
        }
        advice.extend(explain::expires_soon(certificate.not_after, now).map(|when| format!("it {when}")));
    }
    Judgement { verdict, advice }
}

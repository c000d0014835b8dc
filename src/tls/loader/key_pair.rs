//! A certificate with its chain and its key, of us who show it.

use std::path::Path;
use std::time::SystemTime;

use rustls::InconsistentKeys;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::{Loader, counted};
use crate::identity::x509::Certificate;
use crate::tls::expiry::ExpiryKind;
use crate::tls::explain::{self, unix_seconds};
use crate::tls::load_error::Severity;
use crate::tls::{keys, pem, provider};

/// Whose certificate it is.
pub(super) struct Holder {
    /// Who shows it.
    pub(super) name: &'static str,
    /// To whom.
    pub(super) judges: &'static str,
    pub(super) kind: ExpiryKind,
    /// Of a CA in its chain.
    pub(super) ca_kind: ExpiryKind,
    /// Why they would refuse it.
    pub(super) objections: fn(&Certificate, SystemTime) -> Vec<String>,
}

impl<S> Loader<'_, S> {
    pub(super) fn key_pair(&mut self, holder: &Holder, cert_file: &Path, key_file: &Path) -> Option<CertifiedKey> {
        let chain = self.certificate_chain(holder, "tls-cert-file", cert_file);
        let key = self.private_key("tls-key-file", key_file);
        let (chain, key) = chain.zip(key)?;
        match CertifiedKey::from_der(chain, key, &provider::provider()) {
            Ok(certified_key) => return Some(certified_key),
            Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                let words = format!("the key does not belong to the certificate in {}", cert_file.display());
                self.unusable("tls-key-file", key_file, words);
            }
            Err(rustls::Error::InvalidCertificate(error)) => {
                self.unusable("tls-cert-file", cert_file, format!("the certificate cannot be used: {error:?}"));
            }
            // rustls says no more than that.
            Err(_) => {
                let words = format!("the key is damaged or of a kind that is not accepted: {}", keys::ACCEPTED);
                self.unusable("tls-key-file", key_file, words);
            }
        }
        None
    }

    fn certificate_chain(
        &mut self,
        holder: &Holder,
        setting: &'static str,
        path: &Path,
    ) -> Option<Vec<CertificateDer<'static>>> {
        let Holder { name: whose, judges, .. } = holder;
        let content = self.read(setting, path)?;
        let chain = self.pem(setting, path, pem::certificate_chain(&content.bytes))?;
        let certificate = self.parse(setting, path, 1, &chain[0])?;
        let reasons = (holder.objections)(&certificate, self.now);
        if certificate.version != 3 {
            self.unusable(setting, path, format!("the certificate cannot be used: {}", reasons.join("; ")));
            return None;
        }
        for reason in reasons {
            self.warn(path, format!("{judges} will refuse {whose}'s certificate: {reason}"));
        }
        self.warn_of_expiry(path, &format!("{whose}'s certificate"), certificate.not_after);
        self.expiries.note(holder.kind, path, certificate.not_after);
        for ca in chain[1..].iter().filter_map(|der| Certificate::parse(der).ok()) {
            let what = format!("the CA {} in {whose}'s chain", ca.subject.display());
            if ca.not_after < unix_seconds(self.now) {
                self.warn(path, format!("{what} has expired: {judges} will refuse the chain"));
            }
            self.warn_of_expiry(path, &what, ca.not_after);
            self.expiries.note(holder.ca_kind, path, ca.not_after);
        }
        let (count, name) = (counted(chain.len(), "certificate"), certificate.subject.display());
        let end = explain::date(certificate.not_after);
        self.note(path, Severity::Info, format!("{count}, the first of {name:?}, valid until {end}"));
        Some(chain)
    }

    fn private_key(&mut self, setting: &'static str, path: &Path) -> Option<PrivateKeyDer<'static>> {
        let content = self.read_secret(setting, path)?;
        self.pem(setting, path, pem::private_key(&content.bytes))
    }
}

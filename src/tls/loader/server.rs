//! Who the server is: its certificate, its key, and the protocols it speaks.

use std::path::Path;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, SupportedProtocolVersion};

use super::{Loader, counted};
use crate::identity::x509::Certificate;
use crate::tls::expiry::ExpiryKind;
use crate::tls::explain::{self, unix_seconds};
use crate::tls::load_error::Severity;
use crate::tls::{keys, pem, provider};

impl Loader<'_> {
    /// The server's certificate and key.
    pub(super) fn certified_key(&mut self) -> Option<CertifiedKey> {
        let settings = self.settings;
        let chain = self.certificate_chain("tls-cert-file", &settings.cert_file);
        let key = self.private_key("tls-key-file", &settings.key_file);
        let (chain, key) = chain.zip(key)?;
        match CertifiedKey::from_der(chain, key, &provider::provider()) {
            Ok(certified_key) => return Some(certified_key),
            Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                let certificate = settings.cert_file.display();
                let words = format!("the key does not belong to the certificate in {certificate}");
                self.unusable("tls-key-file", &settings.key_file, words);
            }
            Err(rustls::Error::InvalidCertificate(error)) => {
                let words = format!("the certificate cannot be used: {error:?}");
                self.unusable("tls-cert-file", &settings.cert_file, words);
            }
            // rustls says no more than that.
            Err(_) => {
                let words = format!("the key is damaged or of a kind that is not accepted: {}", keys::ACCEPTED);
                self.unusable("tls-key-file", &settings.key_file, words);
            }
        }
        None
    }

    fn certificate_chain(&mut self, setting: &'static str, path: &Path) -> Option<Vec<CertificateDer<'static>>> {
        let content = self.read(setting, path)?;
        let chain = self.pem(setting, path, pem::certificate_chain(&content.bytes))?;
        let certificate = self.parse(setting, path, 1, &chain[0])?;
        let reasons = explain::server_certificate(&certificate, self.now);
        if certificate.version != 3 {
            self.unusable(setting, path, format!("the certificate cannot be used: {}", reasons.join("; ")));
            return None;
        }
        for reason in reasons {
            self.warn(path, format!("clients will refuse the server's certificate: {reason}"));
        }
        self.warn_of_expiry(path, "the server's certificate", certificate.not_after);
        self.expiries.note(ExpiryKind::Server, path, certificate.not_after);
        for ca in chain[1..].iter().filter_map(|der| Certificate::parse(der).ok()) {
            let what = format!("the CA {} in the server's chain", ca.subject.display());
            if ca.not_after < unix_seconds(self.now) {
                self.warn(path, format!("{what} has expired: clients will refuse the chain"));
            }
            self.warn_of_expiry(path, &what, ca.not_after);
            self.expiries.note(ExpiryKind::ServerCa, path, ca.not_after);
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

    pub(super) fn versions(&mut self) -> Option<Vec<&'static SupportedProtocolVersion>> {
        let mut versions = Vec::new();
        if self.settings.protocols.tls13 {
            versions.push(&rustls::version::TLS13);
        }
        if self.settings.protocols.tls12 {
            versions.push(&rustls::version::TLS12);
        }
        if versions.is_empty() {
            let words = "names no protocol; TLSv1.2 and TLSv1.3 are known";
            self.settings_error("tls-protocols", words.to_owned());
            return None;
        }
        Some(versions)
    }
}

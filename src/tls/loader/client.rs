//! A tunnel's files: what it shows, and what the server's certificate is held against.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::sign::CertifiedKey;

use super::key_pair::Holder;
use super::{Loader, counted};
use crate::identity::x509::RevocationList;
use crate::tls::anchors::Validity;
use crate::tls::expiry::ExpiryKind;
use crate::tls::explain::{self, unix_seconds};
use crate::tls::load_error::Severity;
use crate::tls::pem;
use crate::tls::revocation::UsableList;
use crate::tls::server_verifier::ServerVerifier;
use crate::tls::settings::ClientTlsSettings;

const CA_SETTING: &str = "tls-ca-cert-file";
const CRL_SETTING: &str = "tls-crl-file";

const TUNNEL: Holder = Holder {
    name: "the tunnel",
    judges: "the server",
    kind: ExpiryKind::Tunnel,
    ca_kind: ExpiryKind::TunnelCa,
    objections: explain::client_certificate,
};

impl Loader<'_, &ClientTlsSettings> {
    /// The certificate that is shown to the server; `None` where none is, or an error is left behind.
    pub(super) fn shown_key(&mut self) -> Option<CertifiedKey> {
        let (cert_file, key_file) = self.of.shown.as_ref()?;
        self.key_pair(&TUNNEL, cert_file, key_file)
    }

    /// Who is taken for the server.
    pub(super) fn server_verifier(&mut self) -> Option<Arc<ServerVerifier>> {
        let settings = self.of;
        let path = &settings.ca_cert_file;
        let authorities = self.server_authorities(path);
        let errors_before = self.errors.len();
        let lists: Vec<_> = settings.crl_files.iter().flat_map(|path| self.server_lists(path)).collect();
        let authorities = authorities?;
        if self.errors.len() > errors_before {
            return None;
        }
        let lists = if settings.crl_files.is_empty() { None } else { Some(lists) };
        let verifier = ServerVerifier::new(authorities, lists, settings.server_pins.clone(), self.algorithms);
        verifier.map(Arc::new).map_err(|error| self.unusable(CA_SETTING, path, format!("cannot be used: {error}"))).ok()
    }

    /// The CAs of the file, and when each is good.
    fn server_authorities(&mut self, path: &Path) -> Option<Vec<(CertificateDer<'static>, Validity)>> {
        let content = self.read(CA_SETTING, path)?;
        let (certificates, _) = self.pem(CA_SETTING, path, pem::authorities(&content.bytes))?;
        let now = unix_seconds(self.now);
        let mut authorities = Vec::new();
        for (position, der) in certificates.into_iter().enumerate() {
            let certificate = self.parse(CA_SETTING, path, position + 1, &der)?;
            let (name, validity) = (certificate.subject.display(), Validity::of(&certificate));
            if validity.has_ended(now) {
                self.warn(path, format!("the CA {name} has expired: servers of it are refused"));
            } else if !validity.has_begun(now) {
                self.warn(path, format!("the CA {name} is not valid yet: until then servers of it are refused"));
            }
            self.warn_of_expiry(path, &format!("the CA {name}"), certificate.not_after);
            self.expiries.note(ExpiryKind::TunnelServerCa, path, certificate.not_after);
            authorities.push((der, validity));
        }
        self.note(path, Severity::Info, counted(authorities.len(), "server CA"));
        Some(authorities)
    }

    fn server_lists(&mut self, path: &Path) -> Vec<CertificateRevocationListDer<'static>> {
        let Some(content) = self.read(CRL_SETTING, path) else { return Vec::new() };
        let lists = self.pem(CRL_SETTING, path, pem::revocation_lists(&content.bytes)).unwrap_or_default();
        for (position, der) in lists.iter().enumerate() {
            let list = match RevocationList::parse(der) {
                Ok(list) => list,
                Err(error) => {
                    self.unusable(CRL_SETTING, path, format!("CRL {} in it is {error}", position + 1));
                    continue;
                }
            };
            let issuer = list.issuer.display();
            match UsableList::new(der.clone(), list) {
                Ok(list) if list.next_update <= unix_seconds(self.now) => {
                    let words = "has expired: servers of that CA are refused until there is a new one";
                    self.note(path, Severity::Error, format!("the CRL of {issuer} {words}"));
                    self.expiries.note(ExpiryKind::Crl, path, list.next_update);
                }
                Ok(list) => {
                    self.warn_of_expiry(path, &format!("the CRL of {issuer}"), list.next_update);
                    self.expiries.note(ExpiryKind::Crl, path, list.next_update);
                }
                Err(unsupported) => self.unusable(CRL_SETTING, path, format!("the CRL of {issuer} {unsupported}")),
            }
        }
        self.note(path, Severity::Info, counted(lists.len(), "CRL"));
        lists
    }
}

//! What the operator says about TLS on one listener, as plain data.

use std::path::{Path, PathBuf};

use crate::identity::Fingerprint;

/// The TLS settings of one listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// `tls-cert-file`: the server's certificate, then its intermediates (PEM).
    pub cert_file: PathBuf,
    /// `tls-key-file`: its private key (PEM, not encrypted).
    pub key_file: PathBuf,
    /// `tls-ca-cert-file`: the CAs whose client certificates are trusted (PEM). Needed unless clients are not asked,
    /// or have pinned keys only.
    pub ca_cert_file: Option<PathBuf>,
    /// `tls-crl-file`: revocation lists (PEM or DER). With none, revocation is not checked.
    pub crl_files: Vec<PathBuf>,
    /// `tls-auth-clients`.
    pub auth_clients: AuthClients,
    /// `tls-protocols`.
    pub protocols: Protocols,
    /// `crl-check`.
    pub crl_check: CrlCheck,
    /// `crl-expired`.
    pub crl_expired: CrlExpired,
    /// `strict-permissions`: a key file that others may read is an error and not a warning.
    pub strict_permissions: bool,
}

impl TlsSettings {
    /// Every file that is read, for watching.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        [&self.cert_file, &self.key_file]
            .into_iter()
            .chain(&self.ca_cert_file)
            .chain(&self.crl_files)
            .map(PathBuf::as_path)
    }
}

/// The TLS settings of one tunnel, where we are the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTlsSettings {
    /// `tls-ca-cert-file`: the CAs of servers (PEM).
    pub ca_cert_file: PathBuf,
    /// `tls-cert-file` and `tls-key-file`: what is shown to the server, with its intermediates, and its key (PEM); `None`
    /// where nothing is.
    pub shown: Option<(PathBuf, PathBuf)>,
    /// `tls-crl-file`: revocation lists (PEM or DER). With none, revocation is not checked; with one, every CA of the chain
    /// needs its own.
    pub crl_files: Vec<PathBuf>,
    /// `server-spki-sha256`: the server's key has to be one of these as well. Empty: any that the CAs vouch for.
    pub server_pins: Vec<Fingerprint>,
    /// `tls-protocols`.
    pub protocols: Protocols,
    /// `strict-permissions`.
    pub strict_permissions: bool,
}

impl ClientTlsSettings {
    /// Every file that is read, for watching.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let shown = self.shown.iter().flat_map(|(certificate, key)| [certificate, key]);
        [&self.ca_cert_file].into_iter().chain(shown).chain(&self.crl_files)
    }
}

/// What the certificate rules say of keys, each as SHA-256 of its SubjectPublicKeyInfo.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleKeys {
    /// Keys that are trusted whoever signed their certificate, self-signed ones above all. Only their validity is
    /// checked, and that no CRL lists them.
    pub pinned: Vec<Fingerprint>,
    /// Keys of CAs. Such a CA vouches by itself or not at all: no path that ends in another one leads through it.
    pub authorities: Vec<Fingerprint>,
}

/// Whether clients must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthClients {
    /// They must.
    Yes,
    /// They are asked; one that shows a certificate must show a good one.
    Optional,
    /// They are not asked.
    No,
}

/// The protocol versions to offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocols {
    /// TLS 1.2.
    pub tls12: bool,
    /// TLS 1.3.
    pub tls13: bool,
}

/// Which certificates of a chain must be shown by a CRL not to be revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrlCheck {
    /// All up to the trust anchor; then every CA of the chain needs a CRL.
    Chain,
    /// The client's own.
    Leaf,
}

/// What a CRL past its nextUpdate is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrlExpired {
    /// Nothing: handshakes that depend on it are refused.
    Refuse,
    /// As much as a fresh one.
    Ignore,
}

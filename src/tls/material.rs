//! From settings to what a listener needs: keys, trust and rustls's configuration, built as one.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore, ServerConfig, SupportedProtocolVersion};
use zeroize::Zeroizing;

use super::chain::CertificateChain;
use super::explain::{self, unix_seconds};
use super::pem::{self, PemError};
use super::provider;
use super::refusal::CertificateRefusal;
use super::settings::{AuthClients, CrlCheck, CrlExpired, TlsSettings};
use super::verifier::{Revoked, Verifier};
use crate::identity::Fingerprint;
use crate::identity::x509::{Certificate, Name, RevocationList};

/// No certificate, key or list file is longer; a device or a log given by mistake must not fill the memory.
const MAX_FILE: u64 = 64 * 1024 * 1024;
/// How long before a certificate or list expires it is worth a warning.
const EXPIRY_NOTICE: Duration = Duration::from_secs(14 * 24 * 3600);

/// Everything TLS of one listener in one generation. Never changed: a reload loads another.
pub struct TlsMaterial {
    config: Arc<ServerConfig>,
    /// `None` if clients are not asked for certificates.
    trust: Option<Arc<Verifier>>,
    certificate_expires_at: i64,
    crl_expires_at: Option<i64>,
    warnings: Vec<Warning>,
}

/// What is wrong with the settings or a file they name.
#[derive(Debug)]
pub struct LoadError {
    /// The setting, such as `tls-key-file`.
    pub setting: &'static str,
    /// The file, if there is one.
    pub path: Option<PathBuf>,
    /// What is wrong.
    pub problem: Problem,
}

/// What can be wrong with a file.
#[derive(Debug)]
pub enum Problem {
    /// It cannot be read.
    Read(io::Error),
    /// It is not what it should be.
    Pem(PemError),
    /// Others may read or change it, and `strict-permissions` forbids that. The mode is given.
    Permissions(u32),
    /// It cannot be used for another reason, given in words.
    Unusable(String),
}

impl LoadError {
    /// Whether the operating system or `strict-permissions` stands in the way, and not the content.
    pub fn is_permission(&self) -> bool {
        match &self.problem {
            Problem::Read(error) => error.kind() == io::ErrorKind::PermissionDenied,
            Problem::Permissions(_) => true,
            Problem::Pem(_) | Problem::Unusable(_) => false,
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.setting)?;
        if let Some(path) = &self.path {
            write!(f, " {}", path.display())?;
        }
        f.write_str(": ")?;
        match &self.problem {
            Problem::Read(error) => write!(f, "cannot be read: {error}"),
            Problem::Pem(PemError::EncryptedKey) => {
                let path = self.path.as_deref().unwrap_or(Path::new("KEY")).display();
                write!(
                    f,
                    "the private key is encrypted, and nobody is there to type its passphrase; decrypt it with: \
                     (umask 077; openssl pkey -in {path} -out {path}.plain)"
                )
            }
            Problem::Pem(error) => write!(f, "{error}"),
            Problem::Permissions(mode) => {
                let path = self.path.as_deref().unwrap_or(Path::new("FILE")).display();
                write!(f, "others have access to it (mode {mode:04o}); take it away with: chmod o= {path}")
            }
            Problem::Unusable(words) => f.write_str(words),
        }
    }
}

impl std::error::Error for LoadError {}

/// Something that works but should not stay so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The file it is about.
    pub path: PathBuf,
    /// What about it.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.message)
    }
}

/// Reads every file the settings name and builds the material of a new generation, with its own ticket keys. Reports
/// everything that is wrong, not the first.
pub fn load(settings: &TlsSettings, now: SystemTime) -> Result<TlsMaterial, Vec<LoadError>> {
    let mut loader = Loader { settings, now, errors: Vec::new(), warnings: Vec::new() };
    let certified_key = loader.certified_key();
    let trust = loader.trust();
    let versions = loader.versions();
    match (certified_key, trust, versions) {
        (Some((key, certificate_expires_at)), Some(trust), Some(versions)) if loader.errors.is_empty() => {
            let (trust, crl_expires_at) = match trust {
                Some(Trust { verifier, crl_expires_at }) => (Some(verifier), crl_expires_at),
                None => (None, None),
            };
            let config = server_config(key, trust.clone(), &versions).map_err(|error| {
                vec![LoadError { setting: "tls", path: None, problem: Problem::Unusable(error.to_string()) }]
            })?;
            Ok(TlsMaterial { config, trust, certificate_expires_at, crl_expires_at, warnings: loader.warnings })
        }
        _ => Err(loader.errors),
    }
}

impl TlsMaterial {
    /// Holds a chain against this generation's trust: issuer, validity, revocation, all as in a handshake. For
    /// resumed sessions, which rustls does not verify again, and for live ones after a reload.
    pub fn reverify(&self, chain: &CertificateChain, now: SystemTime) -> Result<(), CertificateRefusal> {
        let trust = self.trust.as_ref().ok_or(CertificateRefusal::NotAsked)?;
        let (leaf, intermediates) = chain.parts();
        trust
            .verify(leaf, intermediates, unix_time(now))
            .map_err(|error| CertificateRefusal::from_rustls(&error).unwrap_or(CertificateRefusal::Other))
    }

    /// Whether a CRL lists the chain. `true` means that [`reverify`](Self::reverify) will refuse it as revoked,
    /// `false` means nothing yet. A few microseconds instead of a hundred: of thousands of live sessions those that
    /// are revoked can be closed before the others are verified.
    pub fn lists_as_revoked(&self, chain: &CertificateChain) -> bool {
        let (leaf, intermediates) = chain.parts();
        self.trust.as_ref().is_some_and(|trust| trust.lists_as_revoked(leaf, intermediates))
    }

    /// SHA-256 of the SubjectPublicKeyInfo of the trust anchor that a verified chain ends in; `None` if it ends in
    /// none, as that of a pinned key may. Says nothing about revocation.
    pub fn anchor(&self, chain: &CertificateChain, now: SystemTime) -> Option<Fingerprint> {
        self.trust.as_ref()?.anchor(chain, unix_time(now))
    }

    /// When the server's own certificate expires, in seconds since 1970 UTC.
    pub fn certificate_expires_at(&self) -> i64 {
        self.certificate_expires_at
    }

    /// When the first of the CRLs is due for renewal, in seconds since 1970 UTC; `None` without CRLs. If expired CRLs
    /// are refused, handshakes that depend on it fail from then on.
    pub fn crl_expires_at(&self) -> Option<i64> {
        self.crl_expires_at
    }

    /// What should not stay as it is.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Whether clients are asked for certificates.
    pub fn asks_clients(&self) -> bool {
        self.trust.is_some()
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

fn server_config(
    key: CertifiedKey,
    trust: Option<Arc<Verifier>>,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(provider::provider()).with_protocol_versions(versions)?;
    let builder = match trust {
        Some(trust) => builder.with_client_cert_verifier(trust),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(key)));
    // A resumed session was verified under the same trust: tickets of this configuration open under no other, and
    // there is no other way to resume.
    config.ticketer = provider::ticketer()?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

fn unix_time(time: SystemTime) -> UnixTime {
    UnixTime::since_unix_epoch(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// What client certificates are held against.
struct Trust {
    verifier: Arc<Verifier>,
    crl_expires_at: Option<i64>,
}

/// All CRLs.
struct Lists {
    der: Vec<CertificateRevocationListDer<'static>>,
    revoked: Revoked,
    /// When the first of them is due for renewal.
    expires_at: Option<i64>,
}

/// Reads files one after another and keeps everything that is wrong with them.
struct Loader<'a> {
    settings: &'a TlsSettings,
    now: SystemTime,
    errors: Vec<LoadError>,
    warnings: Vec<Warning>,
}

impl Loader<'_> {
    /// The server's certificate and key, and when the certificate expires.
    fn certified_key(&mut self) -> Option<(CertifiedKey, i64)> {
        let settings = self.settings;
        let chain = self.certificate_chain("tls-cert-file", &settings.cert_file);
        let key = self.private_key("tls-key-file", &settings.key_file);
        let ((chain, expires_at), key) = chain.zip(key)?;
        let unusable = |setting, path: &Path, words| LoadError {
            setting,
            path: Some(path.to_owned()),
            problem: Problem::Unusable(words),
        };
        let error = match CertifiedKey::from_der(chain, key, &provider::provider()) {
            Ok(certified_key) => return Some((certified_key, expires_at)),
            Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => unusable(
                "tls-key-file",
                &settings.key_file,
                format!("the key does not belong to the certificate in {}", settings.cert_file.display()),
            ),
            Err(rustls::Error::InvalidCertificate(error)) => {
                unusable("tls-cert-file", &settings.cert_file, format!("the certificate cannot be used: {error:?}"))
            }
            Err(error) => unusable(
                "tls-key-file",
                &settings.key_file,
                format!(
                    "the key cannot be used ({error}); accepted are RSA from 2048 bits, P-256, P-384, P-521, Ed25519"
                ),
            ),
        };
        self.errors.push(error);
        None
    }

    fn certificate_chain(&mut self, setting: &'static str, path: &Path) -> Option<(Vec<CertificateDer<'static>>, i64)> {
        let content = self.read(setting, path)?;
        let chain = self.pem(setting, path, pem::certificates(&content))?;
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
        Some((chain, certificate.not_after))
    }

    fn private_key(&mut self, setting: &'static str, path: &Path) -> Option<PrivateKeyDer<'static>> {
        let content = self.read_secret(setting, path)?;
        self.pem(setting, path, pem::private_key(&content))
    }

    /// `None` after an error, `Some(None)` if clients are not asked for certificates.
    fn trust(&mut self) -> Option<Option<Trust>> {
        let settings = self.settings;
        if settings.auth_clients == AuthClients::No {
            return Some(None);
        }
        let anchors = self.anchors();
        let lists = self.revocation_lists(anchors.as_ref().map_or(&[], |(_, subjects)| subjects));
        let ((roots, _), lists) = anchors.zip(lists)?;
        let (roots, provider) = (Arc::new(roots), provider::provider());
        let authorities = if roots.is_empty() {
            None
        } else {
            let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
                .with_crls(lists.der);
            if settings.crl_check == CrlCheck::Leaf {
                builder = builder.only_check_end_entity_revocation();
            }
            if settings.crl_expired == CrlExpired::Refuse {
                builder = builder.enforce_revocation_expiration();
            }
            let built = builder.build().map_err(|error| {
                self.errors.push(LoadError {
                    setting: "tls-ca-cert-file",
                    path: settings.ca_cert_file.clone(),
                    problem: Problem::Unusable(format!("trust cannot be built from it: {error}")),
                });
            });
            Some(built.ok()?)
        };
        let verifier = Arc::new(Verifier {
            authorities,
            roots,
            algorithms: provider.signature_verification_algorithms,
            mandatory: settings.auth_clients == AuthClients::Yes,
            pins: settings.pinned_keys.iter().copied().collect(),
            revoked: lists.revoked,
            whole_chain: settings.crl_check == CrlCheck::Chain,
        });
        Some(Some(Trust { verifier, crl_expires_at: lists.expires_at }))
    }

    /// The client CAs that are valid now, and their names.
    fn anchors(&mut self) -> Option<(RootCertStore, Vec<Name>)> {
        let setting = "tls-ca-cert-file";
        let Some(path) = self.settings.ca_cert_file.as_deref() else {
            if !self.settings.pinned_keys.is_empty() {
                return Some((RootCertStore::empty(), vec![]));
            }
            self.errors.push(LoadError {
                setting,
                path: None,
                problem: Problem::Unusable(
                    "is missing; it names the CAs whose client certificates are trusted (or set tls-auth-clients no)"
                        .to_owned(),
                ),
            });
            return None;
        };
        let content = self.read(setting, path)?;
        self.warn_if_others_write(path);
        let certificates = self.pem(setting, path, pem::certificates(&content))?;
        let mut roots = RootCertStore::empty();
        let mut subjects = Vec::new();
        let errors_before = self.errors.len();
        for (position, der) in certificates.into_iter().enumerate() {
            let Some(certificate) = self.parse(setting, path, position + 1, &der) else { continue };
            let name = certificate.subject.display();
            // rustls does not look at an anchor's validity, so this is the place.
            if certificate.not_after < unix_seconds(self.now) {
                self.warn(path, format!("the CA {name} has expired and is left out"));
                continue;
            }
            self.warn_of_expiry(path, &format!("the CA {name}"), certificate.not_after);
            if !certificate.is_ca {
                self.warn(
                    path,
                    format!(
                        "{name} is not a CA certificate (no CA:TRUE), so no client certificate can be issued by it"
                    ),
                );
            }
            match roots.add(der) {
                Ok(()) => subjects.push(certificate.subject),
                Err(error) => self.unusable(setting, path, format!("the CA {name} cannot be used: {error}")),
            }
        }
        if self.errors.len() > errors_before {
            return None;
        }
        if roots.is_empty() {
            self.unusable(setting, path, "no CA in it is valid now".to_owned());
            return None;
        }
        Some((roots, subjects))
    }

    fn revocation_lists(&mut self, anchors: &[Name]) -> Option<Lists> {
        let setting = "tls-crl-file";
        let errors_before = self.errors.len();
        let mut all = Lists { der: Vec::new(), revoked: Revoked::default(), expires_at: None };
        for path in &self.settings.crl_files {
            let Some(content) = self.read(setting, path) else { continue };
            self.warn_if_others_write(path);
            let Some(lists) = self.pem(setting, path, pem::revocation_lists(&content)) else { continue };
            for (position, der) in lists.into_iter().enumerate() {
                match (RevocationList::parse(&der), webpki::BorrowedCertRevocationList::from_der(&der)) {
                    (Ok(list), Ok(_)) => {
                        self.judge_expiry(setting, path, &list);
                        all.expires_at = all.expires_at.into_iter().chain(list.next_update).min();
                        all.revoked.add(list);
                        all.der.push(der);
                    }
                    (Ok(list), Err(error)) => self.unusable(
                        setting,
                        path,
                        format!("the CRL of {} is of an unsupported kind: {error}", list.issuer.display()),
                    ),
                    (Err(error), _) => {
                        self.unusable(setting, path, format!("CRL {} in it is {error}", position + 1));
                    }
                }
            }
        }
        if let Some(path) = self.settings.crl_files.first() {
            for anchor in anchors.iter().filter(|anchor| !all.revoked.covers(anchor)) {
                let name = anchor.display();
                let message =
                    format!("there is no CRL of the CA {name}: every certificate it has issued will be refused");
                self.warn(path, message);
            }
        }
        (self.errors.len() == errors_before).then_some(all)
    }

    fn judge_expiry(&mut self, setting: &'static str, path: &Path, list: &RevocationList) {
        let issuer = list.issuer.display();
        let Some(next_update) = list.next_update else { return };
        let expired = next_update <= unix_seconds(self.now);
        match self.settings.crl_expired {
            CrlExpired::Refuse if expired => self.unusable(
                setting,
                path,
                format!("the CRL of {issuer} has expired; fetch a new one, or set crl-expired = \"ignore\""),
            ),
            CrlExpired::Ignore if expired => {
                self.warn(path, format!("the CRL of {issuer} has expired and is used all the same"));
            }
            _ => self.warn_of_expiry(path, &format!("the CRL of {issuer}"), next_update),
        }
    }

    fn versions(&mut self) -> Option<Vec<&'static SupportedProtocolVersion>> {
        let mut versions = Vec::new();
        if self.settings.protocols.tls13 {
            versions.push(&rustls::version::TLS13);
        }
        if self.settings.protocols.tls12 {
            versions.push(&rustls::version::TLS12);
        }
        if versions.is_empty() {
            self.errors.push(LoadError {
                setting: "tls-protocols",
                path: None,
                problem: Problem::Unusable("names no protocol; TLSv1.2 and TLSv1.3 are known".to_owned()),
            });
            return None;
        }
        Some(versions)
    }

    fn read(&mut self, setting: &'static str, path: &Path) -> Option<Vec<u8>> {
        read_file(path)
            .map(|(content, _)| content)
            .map_err(|error| {
                self.errors.push(LoadError { setting, path: Some(path.to_owned()), problem: Problem::Read(error) });
            })
            .ok()
    }

    fn read_secret(&mut self, setting: &'static str, path: &Path) -> Option<Zeroizing<Vec<u8>>> {
        let (content, mode) = read_file(path)
            .map_err(|error| {
                self.errors.push(LoadError { setting, path: Some(path.to_owned()), problem: Problem::Read(error) });
            })
            .ok()?;
        let content = Zeroizing::new(content);
        if mode & 0o007 != 0 {
            let error = LoadError { setting, path: Some(path.to_owned()), problem: Problem::Permissions(mode) };
            if self.settings.strict_permissions {
                self.errors.push(error);
                return None;
            }
            self.warn(
                path,
                format!("others have access to it (mode {mode:04o}); take it away with: chmod o= {}", path.display()),
            );
        }
        Some(content)
    }

    fn warn_if_others_write(&mut self, path: &Path) {
        let mode = path.metadata().map_or(0, |metadata| metadata.permissions().mode());
        if mode & 0o002 != 0 {
            self.warn(path, format!("others may change it (mode {:04o}), and with it who is trusted", mode & 0o7777));
        }
    }

    fn pem<T>(&mut self, setting: &'static str, path: &Path, result: Result<T, PemError>) -> Option<T> {
        result
            .map_err(|error| {
                self.errors.push(LoadError { setting, path: Some(path.to_owned()), problem: Problem::Pem(error) });
            })
            .ok()
    }

    fn parse(&mut self, setting: &'static str, path: &Path, position: usize, der: &[u8]) -> Option<Certificate> {
        Certificate::parse(der)
            .map_err(|error| self.unusable(setting, path, format!("certificate {position} in it is {error}")))
            .ok()
    }

    fn unusable(&mut self, setting: &'static str, path: &Path, words: String) {
        let problem = Problem::Unusable(words);
        self.errors.push(LoadError { setting, path: Some(path.to_owned()), problem });
    }

    fn warn(&mut self, path: &Path, message: String) {
        self.warnings.push(Warning { path: path.to_owned(), message });
    }

    fn warn_of_expiry(&mut self, path: &Path, what: &str, expires_at: i64) {
        let now = unix_seconds(self.now);
        let left = expires_at.saturating_sub(now);
        if (0..=unix_seconds(SystemTime::UNIX_EPOCH + EXPIRY_NOTICE)).contains(&left) {
            let (number, unit) = if left >= 2 * 86_400 { (left / 86_400, "days") } else { (left / 3600, "hours") };
            self.warn(path, format!("{what} expires in {number} {unit}"));
        }
    }
}

/// The content and the permission bits.
fn read_file(path: &Path) -> io::Result<(Vec<u8>, u32)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
    }
    let mut content = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut content)?;
    if u64::try_from(content.len()).unwrap_or(u64::MAX) > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 64 MiB"));
    }
    Ok((content, metadata.permissions().mode() & 0o7777))
}

#[cfg(test)]
mod tests;

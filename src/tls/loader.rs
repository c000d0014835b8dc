//! The files behind the settings: read, understood, and held against what rustls will make of them.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, SupportedProtocolVersion};
use zeroize::Zeroizing;

use super::anchors::Anchors;
use super::explain::{self, unix_seconds};
use super::load_error::{LoadError, Problem, Warning};
use super::pem::{self, PemError};
use super::provider;
use super::settings::{AuthClients, CrlCheck, CrlExpired, TlsSettings};
use super::verifier::{Revoked, Verifier};
use crate::identity::Fingerprint;
use crate::identity::x509::{Certificate, Name, RevocationList};

/// No certificate, key or list file is longer; a device or a log given by mistake must not fill the memory.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// All that the settings and their files come to.
pub(super) struct Loaded {
    pub(super) key: CertifiedKey,
    /// Seconds since 1970 UTC, as are all times here.
    pub(super) certificate_expires_at: i64,
    /// `None` if clients are not asked for certificates.
    pub(super) verifier: Option<Arc<Verifier>>,
    pub(super) crl_expires_at: Option<i64>,
    /// The CAs and CRLs, by the SHA-256 of their DER.
    pub(super) known: HashSet<Fingerprint>,
    pub(super) versions: Vec<&'static SupportedProtocolVersion>,
    pub(super) warnings: Vec<Warning>,
}

/// Reads every file, whatever was wrong with the one before. `in_force` are CAs and CRLs that are in use already.
pub(super) fn read_all(
    settings: &TlsSettings,
    in_force: &HashSet<Fingerprint>,
    now: SystemTime,
) -> Result<Loaded, Vec<LoadError>> {
    let mut loader = Loader { settings, in_force, now, errors: Vec::new(), warnings: Vec::new() };
    let key = loader.certified_key();
    let trust = loader.trust();
    let versions = loader.versions();
    match (key, trust, versions) {
        (Some((key, certificate_expires_at)), Some(Trust { verifier, crl_expires_at, known }), Some(versions))
            if loader.errors.is_empty() =>
        {
            let warnings = loader.warnings;
            Ok(Loaded { key, certificate_expires_at, verifier, crl_expires_at, known, versions, warnings })
        }
        _ => Err(loader.errors),
    }
}

/// Keeps everything that is wrong. A step that comes to nothing has left an error behind.
struct Loader<'a> {
    settings: &'a TlsSettings,
    in_force: &'a HashSet<Fingerprint>,
    now: SystemTime,
    errors: Vec<LoadError>,
    warnings: Vec<Warning>,
}

/// What client certificates are held against.
struct Trust {
    verifier: Option<Arc<Verifier>>,
    crl_expires_at: Option<i64>,
    known: HashSet<Fingerprint>,
}

/// All client CAs.
#[derive(Default)]
struct Authorities {
    anchors: Anchors,
    fingerprints: HashSet<Fingerprint>,
    subjects: Vec<Name>,
}

/// All CRLs.
struct Lists {
    der: Vec<CertificateRevocationListDer<'static>>,
    fingerprints: HashSet<Fingerprint>,
    revoked: Revoked,
    /// When the first of them is due for renewal.
    expires_at: Option<i64>,
}

impl Loader<'_> {
    /// The server's certificate and key, and when the certificate expires.
    fn certified_key(&mut self) -> Option<(CertifiedKey, i64)> {
        let settings = self.settings;
        let chain = self.certificate_chain("tls-cert-file", &settings.cert_file);
        let key = self.private_key("tls-key-file", &settings.key_file);
        let ((chain, expires_at), key) = chain.zip(key)?;
        match CertifiedKey::from_der(chain, key, &provider::provider()) {
            Ok(certified_key) => return Some((certified_key, expires_at)),
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
                let words = "the key is damaged or of a kind that is not accepted: RSA from 2048 bits, P-256, P-384, \
                             P-521 and Ed25519 are"
                    .to_owned();
                self.unusable("tls-key-file", &settings.key_file, words);
            }
        }
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
        for ca in chain[1..].iter().filter_map(|der| Certificate::parse(der).ok()) {
            let what = format!("the CA {} in the server's chain", ca.subject.display());
            if ca.not_after < unix_seconds(self.now) {
                self.warn(path, format!("{what} has expired: clients will refuse the chain"));
            }
            self.warn_of_expiry(path, &what, ca.not_after);
        }
        Some((chain, certificate.not_after))
    }

    fn private_key(&mut self, setting: &'static str, path: &Path) -> Option<PrivateKeyDer<'static>> {
        let content = self.read_secret(setting, path)?;
        self.pem(setting, path, pem::private_key(&content))
    }

    fn trust(&mut self) -> Option<Trust> {
        let settings = self.settings;
        if settings.auth_clients == AuthClients::No {
            return Some(Trust { verifier: None, crl_expires_at: None, known: HashSet::new() });
        }
        let authorities = self.authorities();
        let lists = self.revocation_lists(authorities.as_ref().map_or(&[], |authorities| &authorities.subjects));
        let (Authorities { anchors, fingerprints, .. }, lists) = authorities.zip(lists)?;
        let provider = provider::provider();
        let authorities = if anchors.is_empty() {
            None
        } else {
            let mut builder = WebPkiClientVerifier::builder_with_provider(anchors.store(), Arc::clone(&provider))
                .with_crls(lists.der);
            if settings.crl_check == CrlCheck::Leaf {
                builder = builder.only_check_end_entity_revocation();
            }
            if settings.crl_expired == CrlExpired::Refuse {
                builder = builder.enforce_revocation_expiration();
            }
            match builder.build() {
                Ok(authorities) => Some(authorities),
                Err(error) => {
                    let words = format!("no trust can be built from the CAs and CRLs: {error}");
                    self.settings_error("tls-ca-cert-file", words);
                    return None;
                }
            }
        };
        let verifier = Arc::new(Verifier {
            authorities,
            anchors,
            algorithms: provider.signature_verification_algorithms,
            mandatory: settings.auth_clients == AuthClients::Yes,
            pins: settings.pinned_keys.iter().copied().collect(),
            revoked: lists.revoked,
            whole_chain: settings.crl_check == CrlCheck::Chain,
        });
        let known = &fingerprints | &lists.fingerprints;
        Some(Trust { verifier: Some(verifier), crl_expires_at: lists.expires_at, known })
    }

    fn authorities(&mut self) -> Option<Authorities> {
        let setting = "tls-ca-cert-file";
        let Some(path) = self.settings.ca_cert_file.as_deref() else {
            if !self.settings.pinned_keys.is_empty() {
                return Some(Authorities::default());
            }
            let words =
                "is missing; it names the CAs whose client certificates are trusted (or set tls-auth-clients no)";
            self.settings_error(setting, words.to_owned());
            return None;
        };
        let content = self.read(setting, path)?;
        self.warn_if_others_write(path);
        let certificates = self.pem(setting, path, pem::certificates(&content))?;
        let mut authorities = Authorities::default();
        let errors_before = self.errors.len();
        for (position, der) in certificates.into_iter().enumerate() {
            let Some(certificate) = self.parse(setting, path, position + 1, &der) else { continue };
            let name = certificate.subject.display();
            if certificate.not_after < unix_seconds(self.now) {
                self.warn(path, format!("the CA {name} has expired: what it has issued is refused"));
            } else if certificate.not_before > unix_seconds(self.now) {
                self.warn(path, format!("the CA {name} is not valid yet: until then what it has issued is refused"));
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
            match authorities.anchors.add(&certificate, &der) {
                Ok(()) => {
                    authorities.fingerprints.insert(Fingerprint::of(&der));
                    authorities.subjects.push(certificate.subject);
                }
                Err(error) => self.unusable(setting, path, format!("the CA {name} cannot be used: {error}")),
            }
        }
        if self.errors.len() > errors_before {
            return None;
        }
        // As with lists: what has only expired since it was read holds nothing else up.
        let is_in_force = authorities.fingerprints.is_subset(self.in_force);
        if !is_in_force && !authorities.anchors.is_any_valid_at(unix_seconds(self.now)) {
            self.unusable(setting, path, "no CA in it is valid now".to_owned());
            return None;
        }
        Some(authorities)
    }

    fn revocation_lists(&mut self, anchors: &[Name]) -> Option<Lists> {
        let setting = "tls-crl-file";
        let errors_before = self.errors.len();
        let mut all =
            Lists { der: Vec::new(), fingerprints: HashSet::new(), revoked: Revoked::default(), expires_at: None };
        for path in &self.settings.crl_files {
            let Some(content) = self.read(setting, path) else { continue };
            self.warn_if_others_write(path);
            let Some(lists) = self.pem(setting, path, pem::revocation_lists(&content)) else { continue };
            for (position, der) in lists.into_iter().enumerate() {
                match (RevocationList::parse(&der), webpki::BorrowedCertRevocationList::from_der(&der)) {
                    (Ok(list), Ok(_)) => {
                        let fingerprint = Fingerprint::of(&der);
                        self.judge_expiry(setting, path, &list, self.in_force.contains(&fingerprint));
                        all.fingerprints.insert(fingerprint);
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

    /// A list that was good when it was first read and has expired since is no reason to keep other files from being
    /// read: it stays what it is, and handshakes that depend on it are refused.
    fn judge_expiry(&mut self, setting: &'static str, path: &Path, list: &RevocationList, is_in_force: bool) {
        let issuer = list.issuer.display();
        let Some(next_update) = list.next_update else { return };
        let expired = next_update <= unix_seconds(self.now);
        match self.settings.crl_expired {
            CrlExpired::Refuse if expired && is_in_force => self.warn(
                path,
                format!("the CRL of {issuer} has expired: handshakes that depend on it are refused; fetch a new one"),
            ),
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
            let words = "names no protocol; TLSv1.2 and TLSv1.3 are known";
            self.settings_error("tls-protocols", words.to_owned());
            return None;
        }
        Some(versions)
    }

    fn read(&mut self, setting: &'static str, path: &Path) -> Option<Vec<u8>> {
        self.read_with_mode(setting, path).map(|(content, _)| content)
    }

    fn read_secret(&mut self, setting: &'static str, path: &Path) -> Option<Zeroizing<Vec<u8>>> {
        let (content, mode) = self.read_with_mode(setting, path)?;
        let content = Zeroizing::new(content);
        if mode & 0o007 != 0 {
            let problem = Problem::Permissions(mode);
            if self.settings.strict_permissions {
                self.fail(setting, path, problem);
                return None;
            }
            self.warn(path, problem.in_words(path));
        }
        Some(content)
    }

    fn read_with_mode(&mut self, setting: &'static str, path: &Path) -> Option<(Vec<u8>, u32)> {
        read_file(path).map_err(|error| self.fail(setting, path, Problem::Read(error))).ok()
    }

    fn warn_if_others_write(&mut self, path: &Path) {
        let mode = path.metadata().map_or(0, |metadata| metadata.permissions().mode());
        if mode & 0o002 != 0 {
            self.warn(path, format!("others may change it (mode {:04o}), and with it who is trusted", mode & 0o7777));
        }
    }

    fn pem<T>(&mut self, setting: &'static str, path: &Path, result: Result<T, PemError>) -> Option<T> {
        result.map_err(|error| self.fail(setting, path, Problem::Pem(error))).ok()
    }

    fn parse(&mut self, setting: &'static str, path: &Path, position: usize, der: &[u8]) -> Option<Certificate> {
        Certificate::parse(der)
            .map_err(|error| self.unusable(setting, path, format!("certificate {position} in it is {error}")))
            .ok()
    }

    fn unusable(&mut self, setting: &'static str, path: &Path, words: String) {
        self.fail(setting, path, Problem::Unusable(words));
    }

    fn fail(&mut self, setting: &'static str, path: &Path, problem: Problem) {
        self.errors.push(LoadError { setting, path: Some(path.to_owned()), problem });
    }

    /// The setting itself is wrong, no file.
    fn settings_error(&mut self, setting: &'static str, words: String) {
        self.errors.push(LoadError { setting, path: None, problem: Problem::Unusable(words) });
    }

    fn warn(&mut self, path: &Path, message: String) {
        self.warnings.push(Warning { path: path.to_owned(), message });
    }

    fn warn_of_expiry(&mut self, path: &Path, what: &str, expires_at: i64) {
        if let Some(when) = explain::expires_soon(expires_at, self.now) {
            self.warn(path, format!("{what} {when}"));
        }
    }
}

/// The content and the permission bits.
pub(super) fn read_file(path: &Path) -> io::Result<(Vec<u8>, u32)> {
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

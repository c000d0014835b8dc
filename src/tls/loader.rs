//! The files behind the settings: read, understood, and held against what rustls will make of them.

mod authorities;
mod client;
mod key_pair;
mod lists;
mod server;
mod trust;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::SupportedProtocolVersion;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::sign::CertifiedKey;

pub(super) use self::trust::Trust;
use super::expiry::Expiries;
use super::explain;
use super::in_force::{InForce, NewTrust};
use super::load_error::{Finding, LoadError, Problem, Severity};
use super::pem::PemError;
use super::provider;
use super::server_verifier::ServerVerifier;
use super::settings::{ClientTlsSettings, Protocols, RuleKeys, TlsSettings};
use crate::files::{Content, Files};
use crate::identity::x509::Certificate;

/// All that the settings and their files come to.
pub(super) struct Loaded {
    pub(super) key: CertifiedKey,
    pub(super) trust: Trust,
    pub(super) versions: Vec<&'static SupportedProtocolVersion>,
    pub(super) findings: Vec<Finding>,
    pub(super) expiries: Expiries,
}

/// The same of a tunnel.
pub(super) struct LoadedClient {
    /// `None` where no certificate is shown.
    pub(super) key: Option<CertifiedKey>,
    pub(super) verifier: Arc<ServerVerifier>,
    pub(super) versions: Vec<&'static SupportedProtocolVersion>,
    pub(super) findings: Vec<Finding>,
    pub(super) expiries: Expiries,
}

/// Reads every file, whatever was wrong with the one before. What has expired is a finding and no error: it may have been
/// good when it was read first, and a start must not depend on the hour.
pub(super) fn read_all(
    settings: &TlsSettings,
    rule_keys: &RuleKeys,
    files: &Files,
    before: Option<&InForce>,
    new_trust: NewTrust,
    now: SystemTime,
) -> Result<Loaded, Vec<LoadError>> {
    let mut loader = Loader::new(Listener { settings, rule_keys }, settings.strict_permissions, files, now);
    let key = loader.certified_key();
    let trust = loader.trust(before, new_trust);
    let versions = loader.versions(settings.protocols);
    match (key, trust, versions) {
        (Some(key), Some(trust), Some(versions)) if loader.errors.is_empty() => {
            Ok(Loaded { key, trust, versions, findings: loader.findings, expiries: loader.expiries })
        }
        _ => Err(loader.errors),
    }
}

/// The same for a tunnel.
pub(super) fn read_client(
    settings: &ClientTlsSettings,
    files: &Files,
    now: SystemTime,
) -> Result<LoadedClient, Vec<LoadError>> {
    let mut loader = Loader::new(settings, settings.strict_permissions, files, now);
    let key = loader.shown_key();
    let verifier = loader.server_verifier();
    let versions = loader.versions(settings.protocols);
    match (verifier, versions) {
        (Some(verifier), Some(versions)) if loader.errors.is_empty() => {
            Ok(LoadedClient { key, verifier, versions, findings: loader.findings, expiries: loader.expiries })
        }
        _ => Err(loader.errors),
    }
}

/// What is said of a listener.
#[derive(Clone, Copy)]
struct Listener<'a> {
    settings: &'a TlsSettings,
    rule_keys: &'a RuleKeys,
}

/// Keeps everything that is wrong. A step that comes to nothing has left an error behind.
struct Loader<'a, S = Listener<'a>> {
    of: S,
    strict_permissions: bool,
    files: &'a Files,
    now: SystemTime,
    algorithms: WebPkiSupportedAlgorithms,
    errors: Vec<LoadError>,
    findings: Vec<Finding>,
    expiries: Expiries,
}

impl<'a, S> Loader<'a, S> {
    fn new(of: S, strict_permissions: bool, files: &'a Files, now: SystemTime) -> Self {
        let algorithms = provider::provider().signature_verification_algorithms;
        let (errors, findings, expiries) = (Vec::new(), Vec::new(), Expiries::default());
        Self { of, strict_permissions, files, now, algorithms, errors, findings, expiries }
    }

    /// Whoever can change one of these files decides who is trusted, or who the server is.
    fn read(&mut self, setting: &'static str, path: &Path) -> Option<Arc<Content>> {
        let content = self.files.read(path).map_err(|error| self.fail(setting, path, Problem::Read(error))).ok()?;
        if let Some(fault) = content.permissions.changeable() {
            self.fail(setting, path, Problem::Changeable(fault));
        }
        if let Some(message) = content.permissions.foreign() {
            self.findings.push(Finding { severity: Severity::Warning, subject: setting.to_owned(), message });
        }
        Some(content)
    }

    fn read_secret(&mut self, setting: &'static str, path: &Path) -> Option<Arc<Content>> {
        let content = self.read(setting, path)?;
        let mode = content.metadata.permissions().mode() & 0o7777;
        if mode & 0o007 != 0 && content.permissions.changeable().is_none() {
            let problem = Problem::Permissions(mode);
            if self.strict_permissions {
                self.fail(setting, path, problem);
                return None;
            }
            self.warn(path, problem.in_words(path));
        }
        Some(content)
    }

    fn pem<T>(&mut self, setting: &'static str, path: &Path, result: Result<T, Vec<PemError>>) -> Option<T> {
        result.map_err(|errors| errors.into_iter().for_each(|error| self.fail(setting, path, Problem::Pem(error)))).ok()
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
        self.note(path, Severity::Warning, message);
    }

    fn note(&mut self, path: &Path, severity: Severity, message: String) {
        self.findings.push(Finding { severity, subject: path.display().to_string(), message });
    }

    fn versions(&mut self, protocols: Protocols) -> Option<Vec<&'static SupportedProtocolVersion>> {
        let mut versions = Vec::new();
        if protocols.tls13 {
            versions.push(&rustls::version::TLS13);
        }
        if protocols.tls12 {
            versions.push(&rustls::version::TLS12);
        }
        if versions.is_empty() {
            let words = "names no protocol; TLSv1.2 and TLSv1.3 are known";
            self.settings_error("tls-protocols", words.to_owned());
            return None;
        }
        Some(versions)
    }

    fn warn_of_expiry(&mut self, path: &Path, what: &str, expires_at: i64) {
        if let Some(when) = explain::expires_soon(expires_at, self.now) {
            self.warn(path, format!("{what} {when}"));
        }
    }
}

/// `1 CRL`, `2 CRLs`.
fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

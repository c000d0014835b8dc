//! TLS settings over files in a temporary directory, for the tests of this module.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::SystemTime;

use tempfile::TempDir;

use super::in_force::NewTrust;
use super::load_error::LoadError;
use super::material::{TlsMaterial, load};
use super::settings::{AuthClients, CrlCheck, CrlExpired, Protocols, RuleKeys, TlsSettings};
use crate::files::Files;
use crate::identity::test_pki::{Authority, Issued};

pub(super) struct TestFiles {
    directory: TempDir,
    pub(super) settings: TlsSettings,
    pub(super) rule_keys: RuleKeys,
}

impl TestFiles {
    /// A server certificate of `authority`, which is also the only client CA; no CRL.
    pub(super) fn new(authority: &Authority) -> TestFiles {
        let directory = tempfile::tempdir().expect("a directory");
        let settings = TlsSettings {
            cert_file: directory.path().join("server.crt"),
            key_file: directory.path().join("server.key"),
            ca_cert_file: Some(directory.path().join("ca.crt")),
            crl_files: vec![],
            auth_clients: AuthClients::Yes,
            protocols: Protocols { tls12: true, tls13: true },
            crl_check: CrlCheck::Chain,
            crl_expired: CrlExpired::Refuse,
            strict_permissions: true,
        };
        let files = TestFiles { directory, settings, rule_keys: RuleKeys::default() };
        files.server(&authority.server());
        files.write("ca.crt", authority.pem());
        files
    }

    pub(super) fn server(&self, issued: &Issued) {
        self.write("server.crt", &issued.pem);
        self.write("server.key", &issued.key_pem);
    }

    /// Writes a file that only its owner can read.
    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("a written file");
        self.permit(name, 0o600);
        path
    }

    pub(super) fn permit(&self, name: &str, mode: u32) {
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(mode)).expect("permissions");
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a CRL and adds it to the settings.
    pub(super) fn add_crl(&mut self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.write(name, content);
        self.settings.crl_files.push(path);
    }

    pub(super) fn load(&self) -> TlsMaterial {
        self.try_load().unwrap_or_else(|errors| panic!("{errors:?}"))
    }

    pub(super) fn try_load(&self) -> Result<TlsMaterial, Vec<LoadError>> {
        load(&self.settings, &self.rule_keys, &Files::default(), None, NewTrust::default(), SystemTime::now())
    }

    /// The errors as people see them, paths cut down to file names.
    pub(super) fn errors(&self) -> Vec<String> {
        let directory = format!("{}/", self.directory.path().display());
        match self.try_load() {
            Ok(_) => vec![],
            Err(errors) => errors.iter().map(|error| error.to_string().replace(&directory, "")).collect(),
        }
    }
}

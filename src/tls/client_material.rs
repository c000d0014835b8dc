//! From a tunnel's settings to what it shows its server, and what it asks of it.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::sign::SingleCertAndKey;

use super::expiry::Expiries;
use super::load_error::{Finding, LoadError, Problem};
use super::loader::{self, LoadedClient};
use super::provider;
use super::server_verifier::ServerVerifier;
use super::settings::ClientTlsSettings;
use crate::files::Files;

/// Sessions that may be resumed, of all servers of a tunnel.
const SESSIONS: usize = 256;

/// Everything TLS of one tunnel in one generation. Never changed: a reload loads another, under which no session of this
/// one is resumed.
pub struct ClientMaterial {
    config: Arc<ClientConfig>,
    verifier: Arc<ServerVerifier>,
    findings: Vec<Finding>,
    expiries: Expiries,
}

/// Reads every file the settings name.
///
/// # Errors
/// Everything that is wrong, not the first. What has only expired is told by [`ClientMaterial::findings`].
pub fn load(settings: &ClientTlsSettings, files: &Files, now: SystemTime) -> Result<ClientMaterial, Vec<LoadError>> {
    let LoadedClient { key, verifier, versions, findings, expiries } = loader::read_client(settings, files, now)?;
    let unusable = |error: rustls::Error| {
        vec![LoadError { setting: "tls-protocols", path: None, problem: Problem::Unusable(error.to_string()) }]
    };
    let trusting = Arc::clone(&verifier);
    let builder = ClientConfig::builder_with_provider(provider::provider())
        .with_protocol_versions(&versions)
        .map_err(unusable)?
        .dangerous()
        .with_custom_certificate_verifier(trusting);
    let mut config = match key {
        Some(key) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key))),
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(ClientMaterial { config: Arc::new(config), verifier, findings, expiries })
}

impl ClientMaterial {
    /// Whether both trust the same servers.
    pub fn has_same_trust_as(&self, other: &ClientMaterial) -> bool {
        self.verifier.is_as(&other.verifier)
    }

    /// When its files have to be renewed.
    pub fn expiries(&self) -> &Expiries {
        &self.expiries
    }

    /// What there is to say about the files.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    pub(super) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    pub(super) fn verifier(&self) -> &ServerVerifier {
        &self.verifier
    }
}

impl fmt::Debug for ClientMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientMaterial").finish_non_exhaustive()
    }
}

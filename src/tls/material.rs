//! From settings to what a listener needs: keys, trust and rustls's configuration, built as one.

use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::UnixTime;
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, SupportedProtocolVersion};

use super::chain::{CertificateChain, Voucher};
use super::expiry::Expiries;
use super::in_force::{InForce, NewTrust, Subordinate};
use super::load_error::{Finding, LoadError, Problem};
use super::loader::{self, Loaded, Trust};
use super::provider;
use super::settings::{RuleKeys, TlsSettings};
use super::verifier::Verifier;
use crate::files::Files;
use crate::identity::CertificateRefusal;

/// Everything TLS of one listener in one generation. Never changed: a reload loads another.
pub struct TlsMaterial {
    config: Arc<ServerConfig>,
    /// `None` if clients are not asked for certificates.
    verifier: Option<Arc<Verifier>>,
    in_force: InForce,
    /// Those of the file that have to wait, one line each.
    waiting: Vec<Finding>,
    subordinates: Vec<Subordinate>,
    expiries: Expiries,
    findings: Vec<Finding>,
}

/// Reads every file the settings name and builds the material of a new generation, with its own ticket keys.
/// `before` is in force now; `None` at the start.
///
/// # Errors
/// Everything that is wrong, not the first. What has only expired is told by [`TlsMaterial::findings`].
pub fn load(
    settings: &TlsSettings,
    rule_keys: &RuleKeys,
    files: &Files,
    before: Option<&InForce>,
    new_trust: NewTrust,
    now: SystemTime,
) -> Result<TlsMaterial, Vec<LoadError>> {
    let Loaded { key, trust, versions, findings, expiries } =
        loader::read_all(settings, rule_keys, files, before, new_trust, now)?;
    let Trust { verifier, in_force, waiting, subordinates } = trust;
    let config = server_config(key, verifier.clone(), &versions).map_err(|error| {
        vec![LoadError { setting: "tls", path: None, problem: Problem::Unusable(error.to_string()) }]
    })?;
    Ok(TlsMaterial { config, verifier, in_force, waiting, subordinates, expiries, findings })
}

impl TlsMaterial {
    /// Holds a chain against this generation's trust: issuer, validity, revocation, all as in a handshake. For
    /// resumed sessions, which rustls does not verify again.
    ///
    /// # Errors
    /// Why it is not trusted.
    pub fn reverify(&self, chain: &CertificateChain, now: SystemTime) -> Result<Voucher, CertificateRefusal> {
        self.verify(chain, now, false)
    }

    /// Holds the chain of a live session against this generation's trust. A CRL that has only expired says nothing against
    /// it: new sessions have to wait for the next one.
    ///
    /// # Errors
    /// Why it is not trusted.
    pub fn reverify_live(&self, chain: &CertificateChain, now: SystemTime) -> Result<Voucher, CertificateRefusal> {
        self.verify(chain, now, true)
    }

    fn verify(&self, chain: &CertificateChain, now: SystemTime, is_live: bool) -> Result<Voucher, CertificateRefusal> {
        let verifier = self.verifier.as_ref().ok_or(CertificateRefusal::NotAsked)?;
        let (leaf, intermediates) = chain.parts();
        verifier.verify(leaf, intermediates, unix_time(now), is_live)
    }

    /// Whether a certificate that the chain may depend on, one it shows or a CA of ours, has ended in this span of seconds
    /// since 1970 UTC, so that the chain has to be verified again.
    pub fn has_aged(&self, chain: &CertificateChain, span: &Range<i64>) -> bool {
        let anchors = self.verifier.iter().flat_map(|verifier| verifier.anchor_ends());
        anchors.chain(chain.ends()).any(|end| span.contains(&end))
    }

    /// Whether a CRL lists the chain. `true` means that [`reverify`](Self::reverify) will refuse it, `false` means
    /// nothing yet. A few microseconds instead of a hundred: of thousands of live sessions those that
    /// are revoked can be closed before the others are verified.
    pub fn lists_as_revoked(&self, chain: &CertificateChain) -> bool {
        let (leaf, intermediates) = chain.parts();
        self.verifier.as_ref().is_some_and(|verifier| verifier.lists_as_revoked(leaf, intermediates))
    }

    /// Who vouches for every client that is trusted, where there is only one who could.
    pub fn only_voucher(&self) -> Option<Voucher> {
        self.verifier.as_ref()?.only_voucher()
    }

    /// When its files have to be renewed.
    pub fn expiries(&self) -> &Expiries {
        &self.expiries
    }

    /// What of it the next generation goes by.
    pub fn in_force(&self) -> &InForce {
        &self.in_force
    }

    /// Whether the common name of a chain that this CA vouches for is within the DNS names that its CAs are kept to.
    pub fn permits_common_name(&self, chain: &CertificateChain, voucher: Voucher) -> bool {
        let (leaf, intermediates) = chain.parts();
        self.verifier.as_ref().is_none_or(|verifier| verifier.permits_common_name(leaf, intermediates, voucher))
    }

    /// Client CAs that another CA has issued.
    pub fn subordinates(&self) -> &[Subordinate] {
        &self.subordinates
    }

    /// What of the files is not in force yet, because it lets somebody in.
    pub fn waiting(&self) -> &[Finding] {
        &self.waiting
    }

    /// What there is to say about the files.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

fn server_config(
    key: CertifiedKey,
    verifier: Option<Arc<Verifier>>,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(provider::provider()).with_protocol_versions(versions)?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
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

#[cfg(test)]
mod tests;

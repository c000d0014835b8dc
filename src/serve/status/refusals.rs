//! What was refused, as `/status` tells of it.

use serde::{Deserialize, Serialize};

use super::explain::explanation;
use super::rfc3339;
use crate::acl::UserName;
use crate::audit::refusals::Refusal;
use crate::audit::words;
use crate::generation::Generation;

/// What was refused of one kind. Described in `docs/operations.md`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalStatus {
    /// As the audit log calls it.
    pub event: String,
    /// When the first of the kind came that is counted here.
    pub since: String,
    /// When the last did.
    pub time: String,
    /// How many there were.
    pub count: u64,
    /// From where the last came.
    pub client: String,
    /// Whose it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The name that was tried, of a login.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login_user: Option<String>,
    /// What was shown, of a handshake and a connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateStatus>,
    /// The command of a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Why, in a word of the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A command that says more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<String>,
}

/// What of a certificate tells whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateStatus {
    /// In the form of RFC 4514.
    pub subject: String,
    /// Lower-case hexadecimal.
    pub serial: String,
}

impl RefusalStatus {
    /// With the command that explains it as long as this is in force.
    pub(in crate::serve) fn new(refusal: &Refusal, generation: &Generation) -> RefusalStatus {
        let Refusal { key, client, login_user, certificate, times: (since, time), count } = refusal;
        RefusalStatus {
            // All that are noted have a word there.
            event: words::audit_event(key.event, key.reason).unwrap_or_default().to_owned(),
            since: rfc3339(*since),
            time: rfc3339(*time),
            count: *count,
            client: client.to_string(),
            user: key.user.as_ref().map(UserName::to_string),
            login_user: login_user.clone(),
            certificate: certificate
                .as_ref()
                .map(|shown| CertificateStatus { subject: shown.subject.clone(), serial: shown.serial.clone() }),
            command: key.command.as_deref().map(str::to_owned),
            reason: Some(key.reason.to_owned()).filter(|reason| !reason.is_empty()),
            explain: explanation(refusal, &generation.config, &generation.policy.table),
        }
    }
}

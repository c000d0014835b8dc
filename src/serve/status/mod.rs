//! What `/status` says: a document that a door gives and `respgate status` prints.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// How the proxy is and what is in force. Described in `docs/operations.md`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Of the program.
    pub version: String,
    /// The process.
    pub pid: u32,
    /// When it was started, as RFC 3339 has it.
    pub started: String,
    /// How it is, in one word.
    pub health: String,
    /// Clients that are here, those in their handshake included.
    pub connections: usize,
    /// What decides.
    pub generation: InForce,
    /// How it came there.
    pub reloads: Reloads,
}

/// The generation of certificates, users and rules in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    /// Counted from 1.
    pub number: u64,
    /// When it was built, likewise.
    pub since: String,
}

/// How reloads have gone since the start of the process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloads {
    /// So many failed.
    pub failed: u64,
    /// The last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<FailedReload>,
}

/// A reload that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedReload {
    /// When.
    pub time: String,
    /// What gave reason for it, as in the log.
    pub cause: String,
    /// Everything that was wrong.
    pub problems: Vec<String>,
    /// Nothing of it is wrong any more: what the files say is in force.
    pub is_mended: bool,
}

/// In whole seconds, UTC.
pub(super) fn rfc3339(time: SystemTime) -> String {
    let time = OffsetDateTime::from(time);
    // It fails for years of more than four digits.
    time.replace_nanosecond(0).unwrap_or(time).format(&Rfc3339).unwrap_or_default()
}

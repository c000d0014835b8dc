//! What `/status` says: a document that a door gives, the page shows and `respgate status` prints.

mod explain;
mod problems;
mod refusals;

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::history::HistoryStatus;
use crate::metrics::UserTally;
use crate::tls::Expiry;
use crate::upstream::probe;

pub use self::refusals::{CertificateStatus, RefusalStatus};

/// How the proxy is and what is in force. Described in `docs/operations.md`. A proxy of an earlier version says less of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// When this was so.
    #[serde(default)]
    pub time: String,
    /// The machine.
    #[serde(default)]
    pub host: String,
    /// Of the program.
    pub version: String,
    /// The process.
    pub pid: u32,
    /// When it was started, as RFC 3339 has it.
    pub started: String,
    /// How it is, in one word.
    pub health: String,
    /// What somebody should look at, in words, the worst first.
    #[serde(default)]
    pub problems: Vec<String>,
    /// Clients that are here, those in their handshake included.
    pub connections: usize,
    /// What decides.
    pub generation: InForce,
    /// How it came there.
    pub reloads: Reloads,
    /// Redis.
    #[serde(default)]
    pub upstream: UpstreamStatus,
    /// Bytes that all sessions hold.
    #[serde(default)]
    pub memory: MemoryStatus,
    /// Certificates and CRLs, by when they end.
    #[serde(default)]
    pub expiries: Vec<ExpiryStatus>,
    /// Users whose rules are only tried out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shadows: Vec<String>,
    /// Users with a session, or who had one.
    #[serde(default)]
    pub users: Vec<UserStatus>,
    /// What was refused of late, the latest first.
    #[serde(default)]
    pub refusals: Vec<RefusalStatus>,
    /// The last quarter of an hour.
    #[serde(default)]
    pub history: HistoryStatus,
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
    /// The file that is waited for: until it answers, no change of a file takes effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unanswered: Option<UnansweredFile>,
}

/// A file whose file system does not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnansweredFile {
    /// When that was found.
    pub since: String,
    /// Its path.
    pub file: String,
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

/// How Redis is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamStatus {
    /// Where.
    pub address: String,
    /// It answers.
    pub is_up: bool,
    /// It refuses most commands until it has read its data.
    pub is_loading: bool,
    /// So often it was there and was found to be gone.
    pub times_lost: u64,
    /// When it was found to be away last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<UpstreamFailure>,
    /// What it says of itself, while it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said: Option<UpstreamInfo>,
}

/// Why there was no Redis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamFailure {
    /// When.
    pub time: String,
    /// Why.
    pub error: String,
}

/// Of Redis's INFO.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamInfo {
    /// `redis` or `valkey`.
    pub server: String,
    /// Its version in full.
    pub version: String,
    /// Since it was started.
    pub uptime_seconds: u64,
    /// Its clients: sessions that have a connection, and others.
    pub connected_clients: u64,
    /// What it has allocated.
    pub memory_used_bytes: u64,
    /// Its `maxmemory`; 0 is no limit.
    pub memory_max_bytes: u64,
}

impl UpstreamInfo {
    /// Of a reply to INFO. What is not in it is 0.
    pub(super) fn read(info: &str) -> UpstreamInfo {
        let (server, version) = probe::identify(info);
        let number = |name| probe::field(info, name).and_then(|value| value.parse().ok()).unwrap_or_default();
        UpstreamInfo {
            server,
            version,
            uptime_seconds: number("uptime_in_seconds"),
            connected_clients: number("connected_clients"),
            memory_used_bytes: number("used_memory"),
            memory_max_bytes: number("maxmemory"),
        }
    }
}

/// What all sessions hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryStatus {
    /// So much.
    pub held_bytes: u64,
    /// `memory-budget`.
    pub limit_bytes: u64,
}

/// When something of a file ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiryStatus {
    /// `server`, `server-ca`, `client-ca` or `crl`.
    pub kind: String,
    /// The file, without its folder.
    pub file: String,
    /// When the first certificate or CRL in it does.
    pub ends: String,
}

impl From<Expiry> for ExpiryStatus {
    fn from(Expiry { kind, file, at }: Expiry) -> ExpiryStatus {
        // The end of 9999 stands for none (RFC 5280).
        let ends = OffsetDateTime::from_unix_timestamp(at).map(in_rfc3339).unwrap_or_default();
        ExpiryStatus { kind: kind.word().to_owned(), file, ends }
    }
}

/// What one user has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserStatus {
    /// As in metrics: `no user` and `other users` are none.
    pub name: String,
    /// Live sessions.
    pub sessions: u64,
    /// Requests since the start of the process.
    pub requests: u64,
    /// Those that were refused.
    pub refused: u64,
    /// When the last session or login was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_login: Option<String>,
}

impl From<UserTally> for UserStatus {
    fn from(user: UserTally) -> UserStatus {
        let UserTally { name, sessions, requests, refused, last_login } = user;
        UserStatus { name, sessions, requests, refused, last_login: last_login.map(rfc3339) }
    }
}

/// In whole seconds, UTC.
pub(super) fn rfc3339(time: SystemTime) -> String {
    in_rfc3339(time.into())
}

fn in_rfc3339(time: OffsetDateTime) -> String {
    // It fails for years of more than four digits.
    time.replace_nanosecond(0).unwrap_or(time).format(&Rfc3339).unwrap_or_default()
}

/// Whole seconds from one such time to another; `None` where one is none.
pub(super) fn seconds_between(from: &str, to: &str) -> Option<i64> {
    let [from, to] = [from, to].map(|time| OffsetDateTime::parse(time, &Rfc3339));
    Some((to.ok()? - from.ok()?).whole_seconds())
}

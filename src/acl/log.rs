//! The log of refusals that `ACL LOG` shows.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, SystemTime};

/// Why something was refused. `Display` is the word that `ACL LOG` has for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AclLogReason {
    /// The command.
    Command,
    /// A key.
    Key,
    /// A channel.
    Channel,
    /// A database (Valkey 9.1).
    Database,
    /// A login.
    Auth,
}

/// Where it was refused. `Display` is the word that `ACL LOG` has for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AclLogContext {
    /// Outside of MULTI.
    Toplevel,
    /// Inside MULTI, or at EXEC.
    Multi,
}

/// One refusal, or several of the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AclLogRecord {
    /// Why.
    pub reason: AclLogReason,
    /// Where.
    pub context: AclLogContext,
    /// What was refused: the command's full name, a key, a channel. Of a long one the beginning.
    pub object: Vec<u8>,
    /// To whom: the user, or the name that was given at a login. Of a long one the beginning.
    pub user: Vec<u8>,
    /// How often.
    pub count: u64,
}

/// A refusal, or several of the same shortly after each other.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// Counts the entries of this process from 0.
    pub id: u64,
    /// What was refused to whom.
    pub record: AclLogRecord,
    /// The latest client it was refused to, as `key=value` pairs.
    pub client: String,
    /// When it was refused first.
    pub created: SystemTime,
    /// When it was refused last.
    pub updated: SystemTime,
}

/// The latest refusals, a bounded number of them.
#[derive(Debug, Default)]
pub struct AclLog {
    /// The latest first.
    entries: VecDeque<LogEntry>,
    next: u64,
}

impl AclLogRecord {
    /// Bytes that are kept of an object or a name.
    const KEPT: usize = 1024;

    /// One refusal.
    pub fn new(reason: AclLogReason, context: AclLogContext, object: &[u8], user: &[u8]) -> AclLogRecord {
        let kept = |bytes: &[u8]| bytes[..bytes.len().min(AclLogRecord::KEPT)].to_vec();
        AclLogRecord { reason, context, object: kept(object), user: kept(user), count: 1 }
    }

    /// Whether the other is the same again.
    pub fn is_like(&self, other: &AclLogRecord) -> bool {
        (self.reason, self.context) == (other.reason, other.context)
            && self.object == other.object
            && self.user == other.user
    }
}

impl AclLog {
    /// Entries that are kept: Redis's default (`acllog-max-len`).
    pub const LENGTH: usize = 128;
    /// Refusals this far apart are told apart (`ACL_LOG_GROUPING_MAX_TIME_DELTA`).
    const GROUPED: Duration = Duration::from_secs(60);
    /// Of so many of the latest entries, one may be the same.
    const COMPARED: usize = 10;

    /// Notes a refusal: it counts up one of the latest entries, or is a new one [addACLLogEntry].
    pub fn note(&mut self, record: AclLogRecord, client: String, now: SystemTime) {
        let same = self.entries.iter().take(AclLog::COMPARED).position(|entry| {
            let apart = now.duration_since(entry.updated).unwrap_or_else(|error| error.duration());
            apart <= AclLog::GROUPED && entry.record.is_like(&record)
        });
        let entry = match same.and_then(|position| self.entries.remove(position)) {
            Some(mut entry) => {
                entry.record.count = entry.record.count.saturating_add(record.count);
                LogEntry { client, updated: now, ..entry }
            }
            None => {
                let id = self.next;
                self.next += 1;
                LogEntry { id, record, client, created: now, updated: now }
            }
        };
        self.entries.push_front(entry);
        self.entries.truncate(AclLog::LENGTH);
    }

    /// The entries, the latest first.
    pub fn entries(&self) -> impl Iterator<Item = &LogEntry> {
        self.entries.iter()
    }

    /// Forgets all entries.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

impl fmt::Display for AclLogReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AclLogReason::Command => "command",
            AclLogReason::Key => "key",
            AclLogReason::Channel => "channel",
            AclLogReason::Database => "database",
            AclLogReason::Auth => "auth",
        })
    }
}

impl fmt::Display for AclLogContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AclLogContext::Toplevel => "toplevel",
            AclLogContext::Multi => "multi",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(object: &str) -> AclLogRecord {
        AclLogRecord::new(AclLogReason::Key, AclLogContext::Toplevel, object.as_bytes(), b"bob")
    }

    fn after(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// Object and count of every entry.
    fn shown(log: &AclLog) -> Vec<(String, u64)> {
        let object = |entry: &LogEntry| String::from_utf8(entry.record.object.clone()).unwrap();
        log.entries().map(|entry| (object(entry), entry.record.count)).collect()
    }

    #[test]
    fn the_same_again_counts_up_and_comes_first() {
        let mut log = AclLog::default();
        for object in ["a", "b", "a"] {
            log.note(record(object), String::new(), after(0));
        }
        assert_eq!(shown(&log), [("a".to_owned(), 2), ("b".to_owned(), 1)]);
    }

    #[test]
    fn the_same_after_more_than_a_minute_is_another_entry() {
        let mut log = AclLog::default();
        for seconds in [0, 60, 121] {
            log.note(record("a"), String::new(), after(seconds));
        }
        assert_eq!(shown(&log), [("a".to_owned(), 1), ("a".to_owned(), 2)]);
        let ids: Vec<u64> = log.entries().map(|entry| entry.id).collect();
        assert_eq!(ids, [1, 0]);
    }

    #[test]
    fn other_users_reasons_and_contexts_are_other_entries() {
        let mut log = AclLog::default();
        log.note(record("a"), String::new(), after(0));
        log.note(AclLogRecord { user: b"eve".to_vec(), ..record("a") }, String::new(), after(0));
        log.note(AclLogRecord { reason: AclLogReason::Channel, ..record("a") }, String::new(), after(0));
        log.note(AclLogRecord { context: AclLogContext::Multi, ..record("a") }, String::new(), after(0));
        assert_eq!(log.entries().count(), 4);
    }

    #[test]
    fn only_the_latest_entries_are_kept_and_only_the_beginning_of_an_object() {
        let mut log = AclLog::default();
        for number in 0..200 {
            log.note(record(&number.to_string()), String::new(), after(0));
        }
        assert_eq!(log.entries().count(), AclLog::LENGTH);
        assert_eq!(shown(&log)[0].0, "199");
        assert_eq!(record(&"x".repeat(5000)).object.len(), 1024);
        log.clear();
        assert_eq!(log.entries().count(), 0);
    }
}

//! The audit log: what happened, for whoever has to prove it later. It is apart from the log of operation, whose level and
//! format do not matter to it, and nobody waits for it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::audit_file::AuditFile;
use super::events::{self, ReloadCause};
use super::key_hasher::KeyHasher;
use super::limit::{Key, Limit, Sum, Sums};
use super::lines::Lines;
use super::record::Record;
use super::words::{self, Event};
use crate::acl::UserName;
use crate::config::{AuditOnFull, AuditSettings};
use crate::policy::{KeyNames, RequestKeys};

/// How long the end of the process waits for what is still to be written.
const PATIENCE: Duration = Duration::from_secs(1);

/// The audit log of the process, or none.
#[derive(Debug, Default)]
pub struct AuditLog {
    /// `None` where there is none.
    running: Option<Running>,
    /// Locked for one look-up an event.
    limit: Mutex<Limit>,
}

#[derive(Debug)]
struct Running {
    lines: Lines,
    key_hasher: KeyHasher,
    /// Requests wait while it is full.
    blocks: bool,
    /// The number of the last line that was written.
    sequence: Arc<AtomicU64>,
}

impl Running {
    /// Returns what there is no room for.
    fn put_sums(&self, sums: Sums) -> Sums {
        let mut rest = Sums::default();
        for (key, sum) in sums.by_key {
            let Some(event) = words::audit_event(key.event, key.reason) else { continue };
            let user = match key.event {
                Event::LoginAccepted | Event::LoginFailed => "login_user",
                _ => "user",
            };
            let record = Record::new(event)
                .with("network", key.network.map(|network| network.to_string()))
                .with(user, key.user.as_ref().map(UserName::as_str))
                .certificate(key.certificate.as_ref().map(|certificate| &*certificate.0))
                .with("command", key.command.as_deref())
                .with("commands", Some(&sum.commands).filter(|commands| !commands.is_empty()).map(named))
                .with("reason", key.reason);
            if !self.lines.offer_of_clients(&record.with("count", sum.count).into_line()) {
                rest.by_key.push((key, sum));
            }
        }
        let others = || Record::new(words::AUDIT_OTHERS).with("count", sums.others).into_line();
        if sums.others > 0 && !self.lines.offer_of_clients(&others()) {
            rest.others = sums.others;
        }
        rest
    }
}

impl AuditLog {
    /// Begins to write where the settings say, or goes on there. `is_strict` is `strict-permissions`.
    ///
    /// # Errors
    /// The file cannot be opened, others may change it, or it holds something else; there is no thread to be had.
    pub fn start(settings: &AuditSettings, is_strict: bool) -> io::Result<AuditLog> {
        let Some(target) = &settings.target else { return Ok(AuditLog::default()) };
        let run = fs::read_to_string("/proc/sys/kernel/random/uuid")?.trim().to_owned();
        let key_hasher = KeyHasher::new()?;
        let file = AuditFile::open(target, is_strict, run)?;
        let sequence = file.sequence();
        let lines = Lines::start("audit", file, |lost| {
            events::audit_lines_lost(lost);
            Record::new(words::AUDIT_LOST).with("count", lost).into_line()
        })?;
        let blocks = settings.on_full == AuditOnFull::Block;
        Ok(AuditLog { running: Some(Running { lines, key_hasher, blocks, sequence }), limit: Mutex::default() })
    }

    /// Opens the file anew under its name, after somebody moved the old one away.
    pub fn reopen(&self) {
        if let Some(Running { lines, .. }) = &self.running {
            lines.reopen();
        }
    }

    /// Waits until all is written, or nothing more can be, for a second at most. The log is told how many lines are lost by
    /// that.
    pub fn close(&self) {
        let lost = self.running.as_ref().map_or(0, |running| running.lines.close(PATIENCE));
        if lost > 0 {
            events::audit_lines_lost(lost);
        }
    }

    /// Whether requests have to wait because there is no room for what would be recorded of them.
    pub fn is_blocking(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.blocks && running.lines.is_full())
    }

    /// How often there was room again.
    pub fn times_freed(&self) -> u64 {
        self.running.as_ref().map_or(0, |running| running.lines.times_freed())
    }

    /// How many lines were lost.
    pub fn lost(&self) -> u64 {
        self.running.as_ref().map_or(0, |running| running.lines.lost_in_all())
    }

    /// The number of the last line that was written.
    pub fn sequence(&self) -> u64 {
        self.running.as_ref().map_or(0, |running| running.sequence.load(Ordering::Relaxed))
    }

    /// The proxy serves.
    pub fn service_started(&self) {
        self.put(words::SERVICE_STARTED, |record| {
            record.with("version", env!("CARGO_PKG_VERSION")).with("pid", std::process::id())
        });
    }

    /// The proxy has ended in good order.
    pub fn service_stopped(&self) {
        self.put(words::SERVICE_STOPPED, |record| record);
    }

    /// Somebody has changed users. What the rules are is not told: they may hold passwords.
    pub fn acl_changed(&self, user: &str, client: SocketAddr, command: &str, names: &str) {
        self.put(words::ACL_CHANGED, |record| {
            record.client(client).with("user", user).with("command", command).with("names", names)
        });
    }

    /// Another generation is in force, but for what is held up.
    pub fn config_reloaded(&self, cause: ReloadCause, generation: u64, held_up: &[String]) {
        self.put(words::CONFIG_RELOADED, |record| {
            record.with("cause", cause.name()).with("generation", generation).with("held_up", held_up.join(", "))
        });
    }

    /// Nothing of a reload could be taken: this generation is still in force.
    pub fn config_reload_failed(&self, cause: ReloadCause, generation: u64) {
        self.put(words::CONFIG_RELOAD_FAILED, |record| {
            record.with("cause", cause.name()).with("generation", generation)
        });
    }

    fn put(&self, event: &str, fill: impl FnOnce(Record) -> Record) {
        if let Some(Running { lines, .. }) = &self.running {
            lines.put(&fill(Record::new(event)).into_line());
        }
    }

    /// So many events of one kind have happened to a client. The first of the kind in a second is a line, or one of the sum
    /// where there is no room for lines.
    pub(super) fn put_of_client(&self, key: &Key, count: u64, fill: impl FnOnce(Record) -> Record) {
        let (Some(Running { lines, .. }), Some(event)) = (&self.running, words::audit_event(key.event, key.reason))
        else {
            return;
        };
        if self.limit().admit(key.clone(), count, Instant::now()) {
            let record = fill(Record::new(event)).with("command", key.command.as_deref()).with("reason", key.reason);
            if !lines.offer_of_clients(&record.with("count", 1).into_line()) {
                self.limit().take_back(
                    Sums { by_key: vec![(key.clone(), Sum { count: 1, ..Sum::default() })], others: 0 },
                    Instant::now(),
                );
            }
        }
    }

    /// The same of a request, which names these keys.
    pub(super) fn put_request(
        &self,
        key: &Key,
        count: u64,
        keys: &RequestKeys,
        names: KeyNames,
        fill: impl FnOnce(Record) -> Record,
    ) {
        if let Some(Running { key_hasher, .. }) = &self.running {
            self.put_of_client(key, count, |record| fill(record).keys(keys, names, key_hasher));
        }
    }

    /// Writes what was summed in a second that is over. Where there is no room for lines the second goes on.
    pub(super) fn put_sums(&self) {
        let Some(running) = self.running.as_ref().filter(|running| !running.lines.is_full()) else { return };
        let sums = self.limit().end_second(Instant::now());
        if let Some(sums) = sums {
            let rest = running.put_sums(sums);
            self.limit().take_back(rest, Instant::now());
        }
    }

    /// Writes what was summed so far.
    pub(super) fn put_last_sums(&self) {
        let Some(running) = &self.running else { return };
        let sums = self.limit().end();
        let Sums { by_key, others } = running.put_sums(sums);
        let lost = by_key.len() as u64 + u64::from(others > 0);
        if lost > 0 {
            events::audit_lines_lost(lost);
        }
    }

    fn limit(&self) -> MutexGuard<'_, Limit> {
        // Nothing panics while it is held.
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn named(commands: &BTreeSet<Box<str>>) -> Vec<&str> {
    commands.iter().map(|command| &**command).collect()
}

//! One function for each event of the log that the operator causes, or the system: those of clients are
//! [`client_events`](super::client_events). One schema, and never a value or a password.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tracing::{error, info, warn};

use super::chain::Head;
use super::words;
use crate::config::AuditTarget;
use crate::tls::{Expiry, explain};

/// Why something is not confirmed.
const MAY_STILL_BE_EXECUTED: &str =
    "not confirmed: Redis may still execute requests that were sent before with rights that are gone";

/// So many lines of the log were lost, because they could not be written as fast as they came.
pub fn lines_lost(lines: u64) {
    error!(event = "log", outcome = "lost", lines, "lines were lost: they could not be written as fast as they came");
}

/// The audit log cannot be written.
pub fn audit_failed(file: &AuditTarget, error: &dyn Display) {
    error!(event = "audit", outcome = "failed", %file, %error, "the audit log cannot be written: trying again");
}

/// Another process writes the audit log.
pub fn audit_waits(file: &AuditTarget) {
    warn!(event = "audit", outcome = "waits", %file, "another process writes the audit log: waiting for its end");
}

/// The audit log can be written again.
pub fn audit_goes_on(file: &AuditTarget) {
    info!(event = "audit", outcome = "done", %file, "the audit log is written again");
}

/// Others may do something with the file of the audit log, which goes on there all the same.
pub fn audit_access_fault(fault: &str) {
    error!(event = "audit", outcome = "access", "the audit log: {fault}");
}

/// The same, where that is less.
pub fn audit_access_warning(warning: &str) {
    warn!(event = "audit", outcome = "access", "the audit log: {warning}");
}

/// So many lines of the audit log were lost.
pub fn audit_lines_lost(lines: u64) {
    error!(event = "audit", outcome = "lost", lines, "lines of the audit log were lost: they could not be written");
}

/// The last line of the audit log.
pub fn audit_head(head: &Head) {
    info!(event = "audit", outcome = "head", %head, "the audit log up to here is vouched for by this");
}

/// What was learnt cannot be written.
pub fn learn_file_failed(file: &Path, error: &dyn Display) {
    let file = file.display();
    error!(event = "learn-file", outcome = "failed", %file, %error, "what was learnt cannot be written: trying again");
}

/// What was learnt can be written again.
pub fn learn_file_goes_on(file: &Path) {
    info!(event = "learn-file", outcome = "done", file = %file.display(), "what was learnt is written again");
}

/// Somebody has changed users, or tried to. What the rules are is not told: they may hold passwords.
pub fn administered(user: &str, client: SocketAddr, command: &str, names: &str, is_done: bool) {
    let outcome = if is_done { "done" } else { "failed" };
    info!(event = "acl", outcome, %client, user, command, names, "users edited");
}

/// Somebody has changed users, and what was sent before with rights that are gone may still be executed.
pub fn edit_not_confirmed(user: &str, client: SocketAddr, command: &str, names: &str, why: &dyn Display) {
    let outcome = words::NOT_CONFIRMED;
    warn!(event = "acl", outcome, %client, user, command, names, error = %why, "users edited, {MAY_STILL_BE_EXECUTED}");
}

/// What gave reason for a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReloadCause {
    /// Files have changed, or what was held up may be right now.
    Files,
    /// SIGHUP has asked for it.
    Signal,
    /// Somebody has asked for it at the admin door.
    Request,
    /// Redis has told what it is.
    Upstream,
    /// The day has come until which rules were only tried out.
    ShadowOver,
}

impl ReloadCause {
    /// In the words of the log.
    pub fn name(self) -> &'static str {
        match self {
            ReloadCause::Files => "files changed",
            ReloadCause::Signal => "signal",
            ReloadCause::Request => "request",
            ReloadCause::Upstream => "upstream",
            ReloadCause::ShadowOver => "shadow over",
        }
    }
}

/// A reload found this to be wrong.
pub fn reload_problem(cause: ReloadCause, problem: &dyn Display) {
    error!(event = "reload", outcome = "failed", cause = cause.name(), "{problem}");
}

/// A reload has left out what is wrong.
pub fn reload_held_up(cause: ReloadCause, names: &str) {
    error!(
        event = "reload",
        outcome = "failed",
        cause = cause.name(),
        "held up: {names}; everything else takes effect"
    );
}

/// Nothing is wrong any more of what a reload found to be wrong.
pub fn reload_mended() {
    info!(event = "reload", outcome = "done", "mended: what the files say is in force");
}

/// A certificate or CRL that is in force ends soon, or has ended, at this time in seconds since 1970 UTC.
pub fn expiry(expiry: &Expiry, now: i64) {
    let (kind, file, left) = (expiry.kind.word(), &expiry.file, expiry.at.saturating_sub(now));
    let what = if expiry.kind.is_crl() { "a CRL" } else { "a certificate" };
    if left < 0 {
        error!(
            event = "expiry",
            outcome = "ended",
            kind,
            file,
            "{what} in {file} has ended, and no other is in its place"
        );
    } else {
        let left = explain::in_words(left);
        warn!(event = "expiry", outcome = "soon", kind, file, "{what} in {file} ends in {left}: renew it");
    }
}

/// Nothing of a reload could be taken.
pub fn reload_kept(cause: ReloadCause, generation: u64) {
    error!(event = "reload", outcome = "failed", cause = cause.name(), generation, "kept the old one");
}

/// Certificates are being verified again, and until that is over nobody gets other rights.
pub fn reload_deferred(cause: ReloadCause) {
    warn!(
        event = "reload",
        cause = cause.name(),
        "certificates are still being verified again: the rest waits for that"
    );
}

/// A new generation is in force for every session.
pub fn reloaded(cause: ReloadCause, generation: u64) {
    info!(event = "reload", outcome = "done", cause = cause.name(), generation, "new generation");
}

/// The same, and what was sent before with rights that are gone may still be executed.
pub fn reload_not_confirmed(cause: ReloadCause, generation: u64, why: &dyn Display) {
    let outcome = words::NOT_CONFIRMED;
    warn!(event = "reload", outcome, cause = cause.name(), generation, error = %why, "new generation, {MAY_STILL_BE_EXECUTED}");
}

/// A worker has not said in time that a new generation is in force.
pub fn worker_is_slow() {
    warn!(event = "reload", "a worker is slow to put the new generation into force");
}

/// A worker has not turned for so long that its clients wait.
pub fn worker_is_stuck(worker: usize) {
    error!(event = "worker", outcome = "stuck", worker, "a worker is stuck");
}

/// It does again.
pub fn worker_turns_again(worker: usize) {
    info!(event = "worker", outcome = "turns", worker, "the worker turns again");
}

/// The service manager will take the process for stuck whatever it does.
pub fn watchdog_is_too_short(time: Duration) {
    warn!(event = "service-manager", ?time, "the watchdog is pinged once a second: too rarely for what it expects");
}

/// The service manager has not heard how the process is.
pub fn service_manager_not_told(error: &dyn Display) {
    warn!(event = "service-manager", outcome = "failed", %error, "the service manager cannot be told how the proxy is");
}

/// A watched file changes all the time.
pub fn file_does_not_settle(file: &Path) {
    let file = file.display();
    let words =
        "the file does not settle: it takes effect once it stays as it is, and client CAs that are new wait for that";
    warn!(event = "reload", %file, "{words}");
}

/// The file system of a watched file does not answer.
pub fn file_does_not_answer(file: &Path) {
    let file = file.display();
    let words =
        "the file does not answer: its file system hangs, and until it answers no change of a file takes effect";
    error!(event = "reload", outcome = "waits", %file, "{words}");
}

/// It has answered.
pub fn files_answer_again() {
    info!(event = "reload", outcome = "done", "files answer again");
}

/// The ACL file has not been written in time. It may be yet.
pub fn acl_file_is_late(file: &Path) {
    let file = file.display();
    let words = "saving the ACL file takes too long: it is not known whether it will be saved";
    error!(event = "acl", outcome = "failed", %file, "{words}");
}

/// The configuration has changed where it is not read again.
pub fn restart_is_needed(settings: &str) {
    warn!(event = "reload", settings, "settings have changed that take effect only with a restart");
}

/// A setting that could be taken a moment ago cannot be any more.
pub fn setting_not_taken(error: &dyn Display) {
    error!(event = "reload", outcome = "failed", %error, "a setting stays as it was");
}

/// Users who were edited are as the ACL file has them again.
pub fn edits_given_up() {
    warn!(event = "reload", "edits of users that were not saved are given up");
}

/// A new configuration fits users that the next start will not find.
pub fn unsaved_users_are_needed(file: &Path) {
    let file = file.display();
    let words = "the configuration fits users that are not saved: ACL SAVE, or the next start fails";
    warn!(event = "reload", %file, "{words}");
}

/// What the ACL file says now is not in force, because users were edited.
pub fn acl_file_passed_over(file: &Path) {
    let file = file.display();
    let words = "the file has changed, or its mode, but users were edited since it was read: ACL SAVE overwrites it, ACL LOAD \
                 or SIGHUP gives the edits up";
    error!(event = "reload", outcome = "refused", %file, "{words}");
}

/// ACL SAVE writes over something that was never in force.
pub fn acl_file_overwritten(file: &Path) {
    let file = file.display();
    warn!(event = "acl", %file, "the file had changed, or its mode: what it said is overwritten");
}

/// ACL SAVE has failed.
pub fn acl_file_not_saved(file: &Path, error: &dyn Display) {
    error!(event = "acl", file = %file.display(), %error, "cannot save the users");
}

//! One function for each event of the log: one schema, words of [`words`] as reasons, and never a value or a password.

use std::cell::Cell;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use super::words::{self, AddressRefusal};
use crate::policy::{Principal, UserRefusal};
use crate::session::{CloseReason, Peer, Report, SessionCore};
use crate::tls::handshake::HandshakeError;
use crate::upstream::ConnectError;

/// Events that anybody can cause, so many a second and worker; the others are counted.
#[derive(Debug)]
pub struct RateLimit {
    second: Cell<Option<Instant>>,
    admitted: Cell<u32>,
    left_out: Cell<u64>,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self { second: Cell::new(None), admitted: Cell::new(0), left_out: Cell::new(0) }
    }
}

impl RateLimit {
    const A_SECOND: u32 = 100;

    /// Whether one more event is logged, and how many were left out before it.
    pub fn admit(&self) -> Option<u64> {
        let now = Instant::now();
        if self.second.get().is_none_or(|since| now.duration_since(since) >= Duration::from_secs(1)) {
            self.second.set(Some(now));
            self.admitted.set(0);
        }
        if self.admitted.get() >= Self::A_SECOND {
            self.left_out.set(self.left_out.get() + 1);
            return None;
        }
        self.admitted.set(self.admitted.get() + 1);
        Some(self.left_out.take())
    }
}

/// So many lines of the log were lost, because they could not be written as fast as they came.
pub fn lines_lost(lines: u64) {
    error!(event = "log", outcome = "lost", lines, "lines were lost: they could not be written as fast as they came");
}

/// A client did not get through its handshake.
pub fn handshake_failed(client: SocketAddr, error: &HandshakeError, left_out: u64) {
    info!(event = "handshake", outcome = "failed", %client, reason = words::handshake(*error), %error, left_out, "handshake failed");
}

/// Scripts of this user are refused: Redis does not let us make the user that they would run as.
pub fn no_mirror(user: &str, error: &ConnectError, left_out: u64) {
    warn!(event = "mirror", outcome = "failed", user, %error, left_out, "no user for scripts at the upstream");
}

/// A balancer did not say in the PROXY protocol whom it speaks for.
pub fn announcement_refused(balancer: SocketAddr, error: &dyn Display, left_out: u64) {
    info!(
        event = "handshake",
        outcome = "failed",
        client = %balancer,
        reason = words::PROXY_HEADER,
        %error,
        left_out,
        "no usable PROXY protocol header"
    );
}

/// Nobody may connect from this address, whoever announced it.
pub fn refused_address(client: SocketAddr, balancer: Option<SocketAddr>, reason: AddressRefusal, left_out: u64) {
    info!(
        event = "connection",
        outcome = "refused",
        %client,
        balancer = balancer.map(tracing::field::display),
        reason = words::address(reason),
        left_out,
        "address not allowed"
    );
}

/// A client with a trusted certificate is nobody here.
pub fn refused_connection(peer: &Peer, reason: UserRefusal) {
    let certificate = Certificate::of(peer);
    info!(
        event = "connection",
        outcome = "refused",
        client = %peer.address,
        subject = certificate.subject,
        serial = certificate.serial,
        fingerprint = certificate.fingerprint,
        reason = words::user(reason),
        "connection refused"
    );
}

/// A client is connected, as a user or as nobody yet.
pub fn connected(peer: &Peer, principal: Option<&Principal>) {
    let certificate = Certificate::of(peer);
    info!(
        event = "connection",
        outcome = "accepted",
        client = %peer.address,
        user = user_of(principal),
        subject = certificate.subject,
        serial = certificate.serial,
        fingerprint = certificate.fingerprint,
        "connected"
    );
}

/// Bytes of one connection, decrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Volume {
    /// From the client.
    pub received: u64,
    /// To the client.
    pub sent: u64,
}

/// A connection has ended: the one line that says who, from where, why, how long and how much.
pub fn closed(core: &SessionCore, volume: Volume, reason: CloseReason, lasted: Duration) {
    let peer = core.peer();
    let certificate = Certificate::of(peer);
    let traffic = core.traffic();
    info!(
        event = "close",
        client = %peer.address,
        user = user_of(core.principal()),
        subject = certificate.subject,
        serial = certificate.serial,
        fingerprint = certificate.fingerprint,
        reason = words::close(reason),
        side = words::side(reason.fault()),
        seconds = lasted.as_secs_f64(),
        received = volume.received,
        sent = volume.sent,
        requests = traffic.requests,
        refused = traffic.refused,
        "closed"
    );
}

/// What a session has to tell: logins, refusals.
pub fn reports(core: &mut SessionCore, limit: &RateLimit) {
    let (reports, unreported) = core.take_reports();
    let client = core.peer().address;
    let user = user_of(core.principal());
    for report in reports {
        let Some(left_out) = limit.admit() else { continue };
        let left_out = left_out + unreported;
        match report {
            Report::LoggedIn { user } => info!(event = "login", outcome = "accepted", %client, user, left_out, "login"),
            Report::LoginFailed { user: name, reason } => {
                info!(event = "login", outcome = "failed", %client, user = name, reason = words::login(reason), left_out, "login failed");
            }
            Report::StrayAuth { attempted, is_ignored } => {
                let outcome = if is_ignored { "ignored" } else { "refused" };
                info!(
                    event = "login",
                    outcome,
                    %client,
                    user,
                    attempted,
                    left_out,
                    "a password where the certificate says who it is (told once a session)"
                );
            }
            Report::Refused { reason, command } => {
                info!(event = "refusal", %client, user, command, reason = words::refusal(reason), left_out, "request refused");
            }
        }
    }
}

/// Somebody has changed users, or tried to. What the rules are is not told: they may hold passwords.
pub fn administered(user: &str, client: SocketAddr, command: &str, names: &str, is_done: bool) {
    let outcome = if is_done { "done" } else { "failed" };
    info!(event = "acl", outcome, %client, user, command, names, "users edited");
}

/// A reload found this to be wrong.
pub fn reload_problem(cause: &str, problem: &dyn Display) {
    error!(event = "reload", outcome = "failed", cause, "{problem}");
}

/// A reload has left out what is wrong.
pub fn reload_held_up(cause: &str, names: &str) {
    error!(event = "reload", outcome = "failed", cause, "held up: {names}; everything else takes effect");
}

/// Nothing of a reload could be taken.
pub fn reload_kept(cause: &str, generation: u64) {
    error!(event = "reload", outcome = "failed", cause, generation, "kept the old one");
}

/// A new generation is in force for every session.
pub fn reloaded(cause: &str, generation: u64) {
    info!(event = "reload", outcome = "done", cause, generation, "new generation");
}

/// A worker has not said in time that a new generation is in force.
pub fn worker_is_slow() {
    warn!(event = "reload", "a worker is slow to put the new generation into force");
}

/// A watched file changes all the time.
pub fn file_does_not_settle(file: &Path) {
    let file = file.display();
    let words =
        "the file does not settle: it takes effect once it stays as it is, and client CAs that are new wait for that";
    warn!(event = "reload", %file, "{words}");
}

/// The configuration has changed where it is not read again.
pub fn restart_is_needed(settings: &str) {
    warn!(event = "reload", settings, "settings have changed that take effect only with a restart");
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

fn user_of(principal: Option<&Principal>) -> &str {
    principal.map_or("", |principal| principal.user.name().as_str())
}

/// The certificate's words for the log, empty without one.
#[derive(Default)]
struct Certificate<'a> {
    subject: &'a str,
    serial: &'a str,
    fingerprint: String,
}

impl<'a> Certificate<'a> {
    fn of(peer: &'a Peer) -> Self {
        peer.certificate.as_deref().map_or_else(Self::default, |identity| Self {
            subject: identity.subject(),
            serial: identity.serial(),
            fingerprint: identity.sha256().to_string(),
        })
    }
}

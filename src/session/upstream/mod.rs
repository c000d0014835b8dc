//! The connection to Redis, as a session knows it.

mod database;
mod expected;
mod mirror;
mod one_shot;
mod pending;
mod received;
mod replication;
mod replies;
mod sent;
mod subscription;
mod transaction;

use std::sync::Arc;
use std::time::Instant;

use self::database::Database;
pub(super) use self::expected::{ExpectedReply, may_block};
pub(super) use self::mirror::Mirror;
use self::one_shot::OneShot;
pub(super) use self::pending::Slot;
use self::replication::Replication;
pub(super) use self::replication::request as replication_request;
use self::replies::Replies;
pub(super) use self::sent::Sender;
use self::subscription::Subscriptions;
use self::transaction::Transaction;
pub(super) use self::transaction::{Queue, Queueing};
use super::action::ToFree;
use super::activity::Activity;
use super::client_ids::OwnId;
use crate::acl::{Effort, User};
use crate::command::ArgvBuf;
use crate::policy::SessionMode;
use crate::resp::Protocol;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum ConnectionState {
    #[default]
    Absent,
    Connecting,
    Connected,
}

/// The connection to Redis: whether it is there, what Redis has confirmed of its state, what it has been asked for since,
/// and which replies are outstanding.
///
/// What decides about rights looks at what Redis has confirmed. Where a request on its way may change that, the next one is
/// judged in each [state](Self::states) that Redis may be in, and waits if that makes a difference: the proxy's own user
/// may lack the right to any of it.
///
/// All of it dies with the connection: RESET, which leaves for a new one, begins with the default.
///
/// The core does not know which connection this is: [`connect`](Self::connect) decides that.
#[derive(Default)]
pub(super) struct UpstreamState {
    connection: ConnectionState,
    /// Redis has said something that is no refusal to serve the connection.
    is_serving: bool,
    protocol: Protocol,
    database: Database,
    transaction: Transaction,
    one_shot: OneShot,
    subscriptions: Subscriptions,
    /// CLIENT TRACKING is on, or may be turned on by EXEC.
    is_tracking: bool,
    is_monitoring: bool,
    replication: Option<Replication>,
    replies: Replies,
    mirror: Mirror,
    /// The connection's id, once it has been asked for.
    own_id: Option<OwnId>,
    /// Redis is being asked to give up what it waits for.
    is_unblocking: bool,
    /// How many of the outstanding replies, from the first on, are to what was sent before it lost rights.
    owed_to_former_rights: u64,
    /// Another user may have asked for what goes on, with rights that the present one does not have.
    has_others_requests: bool,
    measured: Option<Measured>,
}

/// One reply of which it is measured how long it takes.
#[derive(Clone, Copy)]
struct Measured {
    /// When its request was taken.
    since: Instant,
    /// How many replies it takes until it has come.
    left: u64,
}

// The connection.

impl UpstreamState {
    /// Whether nobody has asked for a connection yet.
    pub(super) fn is_absent(&self) -> bool {
        self.connection == ConnectionState::Absent
    }

    pub(super) fn is_connecting(&self) -> bool {
        self.connection == ConnectionState::Connecting
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connection == ConnectionState::Connected
    }

    /// A connection is asked for. Here it is decided that each session has one of its own, from its first request to its end
    /// or RESET.
    ///
    /// One that several sessions share would be plugged in here: a session could use it for requests that leave no state at
    /// Redis, and would have to move to one of its own before the first that does. What it takes with it is nothing
    /// then, and this value is as new; what it is owed has to have come before.
    pub(super) fn connect(&mut self) {
        self.connection = ConnectionState::Connecting;
    }

    /// There is a connection now, or none is to be had.
    pub(super) fn note_connected(&mut self, is_connected: bool) {
        self.connection = if is_connected { ConnectionState::Connected } else { ConnectionState::Absent };
        self.is_serving = false;
    }

    /// Nothing distinguishes the connection from one that has just been opened, for all that Redis has said, and nothing is
    /// outstanding.
    #[cfg(test)]
    fn is_as_new(&self) -> bool {
        self.replies.replies_are_out()
            && self.transaction.queueing() == Queueing::No
            && self.database.possible().only() == Some(0)
            && self.protocol == Protocol::Resp2
            && !self.sends_unasked()
            && !self.is_tracking
            && !self.mirror.is_there()
    }
}

// The state.

impl UpstreamState {
    /// The states that Redis may be in when it gets the next request, with the selected database where it is known:
    /// ordinarily one.
    pub(super) fn states(&self) -> impl Iterator<Item = (SessionMode, Option<u32>)> {
        let mode = SessionMode {
            in_transaction: self.transaction.may_be_open(),
            subscriber: self.subscriptions.in_band(self.protocol),
            monitoring: self.is_monitoring,
        };
        let executing = SessionMode { in_transaction: false, ..mode };
        let modes = 1 + usize::from(self.transaction.queueing() == Queueing::Undecided);
        let databases = self.database.possible().or(self.transaction.selected());
        // Asked for each request: one range costs less than iterators in iterators.
        let count = databases.len();
        (0..modes * count).map(move |state| ([mode, executing][state / count], databases.get(state % count).flatten()))
    }

    /// Whether a reply that is outstanding may still tell these states apart.
    pub(super) fn is_undecided(&self) -> bool {
        self.transaction.queueing() == Queueing::Undecided || self.database.is_undecided()
    }

    /// Whether Redis will queue the next request instead of executing it.
    pub(super) fn queueing(&self) -> Queueing {
        self.transaction.queueing()
    }

    /// Whether Redis may queue the next request.
    pub(super) fn may_queue(&self) -> bool {
        self.transaction.may_be_open()
    }

    /// What EXEC may execute.
    pub(super) fn queue(&self) -> Option<&Queue> {
        self.transaction.queue()
    }

    /// Each database that may be selected; `None` stands for any.
    pub(super) fn databases(&self) -> impl Iterator<Item = Option<u32>> {
        self.database.possible().iter()
    }

    /// The selected database, if that is certain.
    pub(super) fn database(&self) -> Option<u32> {
        self.database.possible().only()
    }

    pub(super) fn protocol(&self) -> Protocol {
        self.protocol
    }

    pub(super) fn is_replicating(&self) -> bool {
        self.replication.is_some()
    }

    /// Whether a replica may say PSYNC once more.
    pub(super) fn may_ask_to_replicate_again(&self) -> bool {
        self.replication.is_some_and(Replication::may_ask_again)
    }

    /// Redis goes on sending without being asked: messages, lines of MONITOR, or the stream of replication.
    pub(super) fn sends_unasked(&self) -> bool {
        !self.subscriptions.is_empty() || self.is_monitoring || self.is_replicating()
    }

    /// Redis executes a command that may block for long.
    pub(super) fn is_blocked(&self) -> bool {
        matches!(self.replies.pending().front(), Some(Slot::Blocking(_)))
    }

    /// What the session waits in, where Redis may take its time.
    pub(super) fn activity(&self) -> Option<Activity> {
        if let Some(Slot::Blocking(request)) = self.replies.pending().front() {
            let name = request.as_argv().iter().next().unwrap_or_default();
            Some(Activity::Blocked(name.into()))
        } else if self.is_replicating() {
            Some(Activity::Replica)
        } else if self.is_monitoring {
            Some(Activity::Monitor)
        } else {
            (!self.subscriptions.is_empty()).then_some(Activity::Subscribed)
        }
    }

    /// Redis is to be asked to give up what it waits for. Whether there is such a thing, and it has not been asked
    /// before: no other one follows.
    #[must_use]
    pub(super) fn begin_unblocking(&mut self) -> bool {
        let is_first = self.is_blocked() && !self.is_unblocking;
        self.is_unblocking |= is_first;
        is_first
    }

    /// A reply has begun to come and is not complete.
    pub(super) fn is_answering(&self) -> bool {
        self.replies.has_begun_one()
    }

    /// Whether Redis tells the session when keys change that it could read before, or is asked to: CLIENT TRACKING, which
    /// names none.
    pub(super) fn is_told_of_keys(&self) -> bool {
        self.is_tracking || self.replies.pending().slots().any(|slot| matches!(slot, Slot::Tracking(true)))
    }

    /// The requests behind what Redis goes on doing unasked, or is asked to, but for subscriptions: blocked commands and
    /// tracking are among them.
    pub(super) fn ongoing(&self) -> Vec<ArgvBuf> {
        let monitor = || ArgvBuf::from_iter(["MONITOR"]);
        let tracking = || ArgvBuf::from_iter(["CLIENT", "TRACKING", "ON"]);
        let mut ongoing: Vec<ArgvBuf> = self.is_monitoring.then(monitor).into_iter().collect();
        ongoing.extend(self.is_tracking.then(tracking));
        ongoing.extend(self.replication.map(Replication::request));
        ongoing.extend(self.replies.pending().slots().filter_map(|slot| match slot {
            Slot::Blocking(request) => Some((**request).clone()),
            Slot::Monitor => Some(monitor()),
            Slot::Tracking(true) => Some(tracking()),
            _ => None,
        }));
        ongoing
    }

    /// The requests behind all that is subscribed to, or is asked to be.
    pub(super) fn subscribed(&self) -> impl Iterator<Item = ArgvBuf> {
        let asked_for = self.replies.pending().slots().filter_map(|slot| match slot {
            Slot::Subscription { request: Some(request), .. } => Some((**request).clone()),
            _ => None,
        });
        self.subscriptions.requests().chain(asked_for)
    }

    /// Whether the present user has had the right to all that goes on.
    pub(super) fn goes_on_with_own_rights(&self) -> bool {
        !self.has_others_requests
    }

    pub(super) fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    pub(super) fn mirror_mut(&mut self) -> &mut Mirror {
        &mut self.mirror
    }

    /// The session acts for this user now, or the user has other rights.
    pub(super) fn user_changed(&mut self, user: &Arc<User>) {
        self.transaction.user_changed(user);
    }

    /// Whether it matters what the session may do and might do before: Redis is to execute something, or goes on with it.
    pub(super) fn rests_on_rights(&self) -> bool {
        !self.nothing_is_pending() || self.sends_unasked() || self.is_tracking
    }

    /// The session acts for this user now, and did for the former one, if for any.
    pub(super) fn user_replaced(&mut self, former: Option<&User>, user: &User, effort: &Effort) {
        self.mirror.outdate();
        if let Some(former) = former
            && self.rests_on_rights()
            && !user.keeps_rights_of(former, true, effort)
        {
            self.rights_lost();
            self.has_others_requests = true;
        }
        if let Some(own_id) = &self.own_id {
            own_id.is_now_of(user.name().as_str());
        }
    }

    /// What Redis has been sent was sent with rights that the session does not have any more.
    pub(super) fn rights_lost(&mut self) {
        self.owed_to_former_rights = self.replies.pending().replies_before_barrier();
    }

    /// Whether Redis may still execute something of that.
    pub(super) fn executes_with_former_rights(&self) -> bool {
        self.owed_to_former_rights > 0
    }

    /// Redis has answered so many requests. Since when it was measured how long that takes, if what was measured has come.
    #[must_use]
    pub(super) fn note_replies(&mut self, replies: u64) -> Option<Instant> {
        self.owed_to_former_rights = self.owed_to_former_rights.saturating_sub(replies);
        let measured = self.measured.as_mut()?;
        measured.left = measured.left.saturating_sub(replies);
        let since = measured.since;
        if measured.left > 0 {
            return None;
        }
        self.measured = None;
        Some(since)
    }

    /// A request has just been sent. How long its reply takes is measured, unless that is done for one already, or Redis may
    /// take its time with it, or speaks unasked.
    pub(super) fn measure_reply(&mut self, now: Instant) {
        if self.measured.is_none() && !self.has_barrier() && !self.sends_unasked() {
            self.measured = Some(Measured { since: now, left: self.replies_owed() });
        }
    }

    /// Whether Redis may still execute something of what it has been sent.
    pub(super) fn may_execute(&self) -> bool {
        self.replies_owed() > 0 || self.is_replicating()
    }

    /// Bytes of memory that it takes.
    pub(super) fn memory(&self) -> usize {
        self.replies.memory() + self.subscriptions.memory() + self.mirror.memory()
    }

    /// What takes long to free, if there is such, before this is dropped.
    pub(super) fn take_to_free(&mut self) -> Option<ToFree> {
        self.subscriptions.take_many_names()
    }
}

// What is outstanding.

impl UpstreamState {
    /// How many replies Redis owes.
    pub(super) fn replies_owed(&self) -> u64 {
        self.replies.pending().replies()
    }

    /// Bytes of answers of ours that wait for earlier replies.
    pub(super) fn waiting_answers(&self) -> usize {
        self.replies.pending().local_bytes()
    }

    /// No reply is owed, and none is half way to the client.
    pub(super) fn replies_are_out(&self) -> bool {
        self.replies.replies_are_out()
    }

    /// Nothing is outstanding.
    pub(super) fn nothing_is_pending(&self) -> bool {
        self.replies.pending().is_empty()
    }

    /// Whether a reply that is outstanding changes how the next request is to be read.
    pub(super) fn has_barrier(&self) -> bool {
        self.replies.pending().has_barrier()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::Acl;
    use crate::command::{Argv, CommandTable, Dialect};
    use crate::session::intake::Visibility;
    use crate::session::output::{Output, Queues, Side};

    /// A connection that was sent requests and answered so.
    fn after(requests: &[&[&str]], replies: &str) -> UpstreamState {
        let table = CommandTable::builtin(Dialect::Redis70);
        let acl = Acl::parse(b"user a on nopass ~* &* +@all\n", &table).unwrap();
        let sender = Sender::new(acl.user(b"a").unwrap(), table.identity());
        let mut upstream = UpstreamState::default();
        upstream.connect();
        upstream.note_connected(true);
        for request in requests {
            let request = ArgvBuf::from_iter(*request);
            let argv: Argv<'_> = request.as_argv();
            let spec = table.resolve(&argv).ok().unwrap();
            upstream.expect(spec, ExpectedReply::of(spec, &argv), Some(sender), Visibility::Shown);
        }
        let mut queues = Queues::default();
        let mut out = Output::new(replies.as_bytes(), Side::Upstream, &mut queues);
        let (taken, _) = upstream.take_replies(false, (&Arc::default(), Some("a")), &mut out).ok().unwrap();
        assert_eq!(taken, replies.len());
        upstream
    }

    #[test]
    fn it_is_as_new_until_redis_confirms_something_that_lasts() {
        const NO: &str = "-NOPERM no\r\n";
        assert!(UpstreamState::default().is_as_new());
        for (request, yes) in [
            (&["MULTI"][..], "+OK\r\n"),
            (&["SELECT", "5"], "+OK\r\n"),
            (&["MONITOR"], "+OK\r\n"),
            (&["CLIENT", "TRACKING", "ON"], "+OK\r\n"),
            (&["SUBSCRIBE", "c"], "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"),
        ] {
            assert!(!after(&[request], "").is_as_new(), "{request:?} is outstanding");
            assert!(!after(&[request], yes).is_as_new(), "{request:?}");
            assert!(after(&[request], NO).is_as_new(), "{request:?}");
        }
        assert!(after(&[&["GET", "k"]], "$-1\r\n").is_as_new());
    }

    #[test]
    fn what_goes_on_at_redis_is_what_it_confirmed_or_is_asked_for() {
        let names = |upstream: &UpstreamState| -> Vec<String> {
            let requests = upstream.ongoing().into_iter().chain(upstream.subscribed());
            requests.map(|request| request.as_argv().iter().map(String::from_utf8_lossy).collect()).collect()
        };
        assert_eq!(names(&after(&[&["CLIENT", "TRACKING", "ON"]], "")), ["CLIENTTRACKINGON"]);
        assert_eq!(names(&after(&[&["SUBSCRIBE", "a"]], "")), ["SUBSCRIBEa"]);
        assert_eq!(names(&after(&[&["SUBSCRIBE", "a"]], "-NOPERM no\r\n")), [""; 0]);
        assert_eq!(names(&after(&[&["BLPOP", "k", "0"]], "")), ["BLPOPk0"]);
        assert_eq!(names(&after(&[&["BLPOP", "k", "0"]], "*-1\r\n")), [""; 0]);
    }
}

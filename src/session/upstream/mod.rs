//! The connection to Redis, as a session knows it.

mod database;
mod mirror;
mod one_shot;
mod expected;
mod pending;
mod replies;
mod subscription;
mod transaction;

use std::sync::Arc;

use self::database::{Database, Databases};
pub(super) use self::expected::{ExpectedReply, may_block};
pub(super) use self::mirror::Mirror;
use self::one_shot::OneShot;
pub(super) use self::pending::Slot;
use self::replies::{FrameContext, Replies, ReplyEvent, Said};
use self::subscription::{Change, Subscriptions};
use self::transaction::Transaction;
pub(super) use self::transaction::{Queue, Queueing};
use super::client_ids::{ClientIds, OwnId, client_id};
use super::close::CloseReason;
use super::intake::Visibility;
use super::output::{Output, Side};
use super::wait::AfterReplies;
use crate::acl::User;
use crate::command::{ArgvBuf, CommandSpec, Role};
use crate::policy::SessionMode;
use crate::resp::{Protocol, encode_request};

/// The first words of a Redis that takes no more clients, in place of a reply to anything. It closes then, and so do we,
/// without a word: that is what clients know of a Redis that speaks TLS, and so they try again.
const MAX_CLIENTS: &[u8] = b"-ERR max number of clients reached\r\n";

/// Sent in place of a request that Redis is to refuse: no Redis knows the name.
///
/// An unknown name is refused before anything else is looked at, whatever Redis is doing and whatever the proxy's user may
/// do, and flags the transaction [rejectCommand]. EXEC comes later on the same connection, so it executes nothing, whether
/// we have seen the error by then or not. Should Redis know the name after all, its reply is no error, and the session is
/// closed.
const REFUSED: &[u8] = b"*1\r\n$16\r\nrespgate:refused\r\n";

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Link {
    #[default]
    Absent,
    Connecting,
    Ready,
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
    link: Link,
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
    /// After SYNC or PSYNC: what comes from Redis is no longer framed.
    replicating: Option<Role>,
    replies: Replies,
    mirror: Mirror,
    /// The connection's id, once it has been asked for.
    own_id: Option<OwnId>,
    /// Redis is being asked to give up what it waits for.
    is_unblocking: bool,
    /// So many replies are outstanding to what was sent with other rights than the session has now, and more of them.
    former: u64,
}

/// Of whom the requests are.
#[derive(Clone, Copy)]
pub(super) struct Sender<'a> {
    user: &'a Arc<User>,
    /// The identity of the table that the command is of.
    table: u64,
}

impl<'a> Sender<'a> {
    pub(super) fn new(user: &'a Arc<User>, table: u64) -> Self {
        Self { user, table }
    }
}

// The link.

impl UpstreamState {
    /// Whether nobody has asked for a connection yet.
    pub(super) fn is_absent(&self) -> bool {
        self.link == Link::Absent
    }

    pub(super) fn is_connecting(&self) -> bool {
        self.link == Link::Connecting
    }

    pub(super) fn is_ready(&self) -> bool {
        self.link == Link::Ready
    }

    /// A connection is asked for. Here it is decided that each session has one of its own, from its first request to its end
    /// or RESET.
    ///
    /// One that several sessions share would be plugged in here: a session could use it for requests that leave no state at
    /// Redis, and would have to move to one of its own before the first that does. What it takes with it is nothing then, and
    /// this value is as new; what it is owed has to have come before.
    pub(super) fn connect(&mut self) {
        self.link = Link::Connecting;
    }

    /// The connection is there, or is not to be had.
    pub(super) fn connected(&mut self, is_there: bool) {
        self.link = if is_there { Link::Ready } else { Link::Absent };
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
            && !self.has_ongoing()
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
        let modes = [Some(mode), (self.transaction.queueing() == Queueing::Undecided).then_some(executing)];
        let databases = self.database.possible().or(self.transaction.selected());
        modes.into_iter().flatten().flat_map(move |mode| databases.iter().map(move |database| (mode, database)))
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
        self.replicating.is_some()
    }

    /// Redis goes on sending without being asked.
    pub(super) fn has_ongoing(&self) -> bool {
        !self.subscriptions.is_empty() || self.is_monitoring || self.is_replicating()
    }

    /// Redis executes a command that may block for long.
    pub(super) fn is_blocked(&self) -> bool {
        matches!(self.replies.pending().front(), Some(Slot::Blocking(_)))
    }

    /// Redis is to be asked to give up what it waits for. Whether there is such a thing, and it has not been asked before: no
    /// other one follows.
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

    /// The requests behind all that Redis goes on doing unasked, or is asked to.
    pub(super) fn ongoing(&self) -> Vec<ArgvBuf> {
        let monitor = || ArgvBuf::from_iter(["MONITOR"]);
        let tracking = || ArgvBuf::from_iter(["CLIENT", "TRACKING", "ON"]);
        let mut ongoing: Vec<ArgvBuf> = self.subscriptions.requests().collect();
        ongoing.extend(self.is_monitoring.then(monitor));
        ongoing.extend(self.is_tracking.then(tracking));
        ongoing.extend(self.replicating.map(replication));
        ongoing.extend(self.replies.pending().slots().filter_map(|slot| match slot {
            Slot::Blocking(request) | Slot::Subscription { request: Some(request), .. } => Some((**request).clone()),
            Slot::Monitor => Some(monitor()),
            Slot::Tracking(true) => Some(tracking()),
            _ => None,
        }));
        ongoing
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

    /// The session acts for this user now, and did for the former one, if for any.
    pub(super) fn user_replaced(&mut self, former: Option<&User>, user: &User) {
        self.mirror.outdate();
        if former.is_some_and(|former| !user.keeps_rights_of(former)) {
            self.rights_lost();
        }
        if let Some(own_id) = &self.own_id {
            own_id.is_now_of(user.name().as_str());
        }
    }

    /// What Redis has been sent was sent with rights that the session does not have any more.
    pub(super) fn rights_lost(&mut self) {
        self.former = self.replies.pending().replies_before_barrier();
    }

    /// Whether Redis may still execute something of that.
    pub(super) fn executes_with_former_rights(&self) -> bool {
        self.former > 0
    }

    /// Redis has answered so many requests.
    pub(super) fn note_replies(&mut self, replies: u64) {
        self.former = self.former.saturating_sub(replies);
    }

    /// Whether Redis may still execute something of what it has been sent.
    pub(super) fn may_execute(&self) -> bool {
        self.replies_owed() > 0 || self.is_replicating()
    }

    /// Bytes of memory that it takes.
    pub(super) fn memory(&self) -> usize {
        self.replies.pending().memory() + self.subscriptions.memory() + self.mirror.memory()
    }
}

/// SYNC or PSYNC.
pub(super) fn replication(role: Role) -> ArgvBuf {
    match role {
        Role::Sync => ArgvBuf::from_iter(["SYNC"]),
        _ => ArgvBuf::from_iter(["PSYNC", "?", "-1"]),
    }
}

// What is sent.

impl UpstreamState {
    /// A permitted request is about to be sent, and this is what answers it.
    pub(super) fn expect(
        &mut self,
        spec: &CommandSpec,
        expected: ExpectedReply,
        sender: Option<Sender<'_>>,
        visibility: Visibility,
    ) {
        let queueing = self.transaction.queueing();
        self.one_shot.sent(spec, queueing);
        match spec.role() {
            Role::Multi => {
                if let Some(Sender { user, table }) = sender {
                    self.transaction.multi_sent(user, table);
                }
            }
            Role::Discard => self.transaction.discard_sent(),
            // Not queued, but answered with an error.
            Role::Watch | Role::Exec => {}
            _ => self.transaction.sent(spec),
        }
        let slot = match expected {
            ExpectedReply::Confirmations(kind, request) => {
                Slot::Subscription { kind, left: request.as_argv().len() as u64 - 1, request: Some(request) }
            }
            ExpectedReply::Cancellations { kind, named } => {
                let left = if named > 0 { named as u64 } else { self.subscriptions.count(kind).max(1) };
                Slot::Subscription { kind, left, request: None }
            }
            ExpectedReply::Exec => {
                let selects = self.transaction.exec_sent().map_or(Databases::NONE, |queue| queue.selected());
                self.database.select_sent(selects);
                Slot::Exec { selects }
            }
            ExpectedReply::Slot(Slot::Select(database)) => {
                self.transaction.select_sent(database);
                if queueing == Queueing::Yes {
                    Slot::Pass(1)
                } else {
                    self.database.select_sent(Databases::named(database));
                    Slot::Select(database)
                }
            }
            ExpectedReply::Slot(Slot::Blocking(_)) if queueing == Queueing::Yes => Slot::Pass(1),
            ExpectedReply::Slot(slot) => slot,
        };
        self.replies.expect(slot, visibility);
    }

    /// HELLO is about to be sent.
    pub(super) fn expect_hello(&mut self, protocol: Protocol, visibility: Visibility) {
        self.replies.expect(Slot::Hello(protocol), visibility);
    }

    /// A login as a mirror is about to be sent.
    pub(super) fn expect_mirror_login(&mut self) {
        self.replies.expect(Slot::MirrorLogin, Visibility::Hidden);
    }

    /// SYNC or PSYNC has been sent, and nothing was outstanding.
    pub(super) fn replicate(&mut self, role: Role) {
        self.replicating = Some(role);
    }

    /// A request is refused, and the client is to be told so in place of an error of Redis's. Whether there has to be one:
    /// the first time in a transaction, so that EXEC aborts; and where Redis keeps something in mind for the next request.
    #[must_use]
    pub(super) fn take_refusal_due(&mut self) -> bool {
        self.transaction.mark_aborted() || self.take_one_shot()
    }

    /// Redis does not get a request that is answered here. What it keeps in mind for the next one is used up.
    pub(super) fn use_up_one_shot(&mut self, out: &mut Output<'_>) {
        if self.take_one_shot() {
            self.send_to_be_refused(Box::default(), Visibility::Hidden, out);
        }
    }

    /// Inside a transaction it is for all of that, and EXEC uses it up.
    fn take_one_shot(&mut self) -> bool {
        !self.transaction.may_be_open() && self.one_shot.take()
    }

    /// Has Redis refuse a request, which aborts its transaction; the client is shown `ours` in place of the error.
    pub(super) fn send_to_be_refused(&mut self, ours: Box<[u8]>, visibility: Visibility, out: &mut Output<'_>) {
        out.send(Side::Upstream, REFUSED);
        self.replies.expect(Slot::Replace(ours), visibility);
    }

    /// Has Redis refuse an EXEC, for an argument too many: that ends a transaction and gives up what is watched all the same
    /// [execCommandAbort].
    pub(super) fn send_refused_exec(
        &mut self,
        exec: &[u8],
        ours: Box<[u8]>,
        visibility: Visibility,
        out: &mut Output<'_>,
    ) {
        self.transaction.exec_sent();
        let mut request = Vec::new();
        encode_request(&[exec, b"refused"], &mut request);
        out.send(Side::Upstream, &request);
        self.replies.expect(Slot::ReplaceExec(ours), visibility);
    }

    /// Whether EXEC would be taken for one: a monitor's is not.
    pub(super) fn takes_exec(&self) -> bool {
        self.is_ready() && !self.is_monitoring
    }
}

// What comes.

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

    /// Gives the client an answer of ours in its place.
    pub(super) fn answer(&mut self, answer: Box<[u8]>, out: &mut Output<'_>) {
        self.replies.answer(answer, out);
    }

    /// Whether Redis serves the connection, by its first words; `None` while they do not tell.
    pub(super) fn serves(&mut self, words: &[u8]) -> Option<bool> {
        if !self.is_serving {
            if words.starts_with(MAX_CLIENTS) {
                return Some(false);
            }
            self.is_serving = !MAX_CLIENTS.starts_with(words);
        }
        self.is_serving.then_some(true)
    }

    /// Takes as many replies from the input as are here, in part or in whole. Returns how many bytes they are, and what is to
    /// be done next. `user` and `client_ids` are for whom the session is known by its id.
    ///
    /// # Errors
    /// What Redis sends is no reply to anything, or it means to close.
    pub(super) fn take_replies(
        &mut self,
        is_silent: bool,
        (client_ids, user): (&Arc<ClientIds>, Option<&str>),
        out: &mut Output<'_>,
    ) -> Result<(usize, Option<AfterReplies>), CloseReason> {
        let input = out.input();
        let (mut at, mut next) = (0, None);
        while at < input.len() {
            let taken = if self.is_replicating() {
                self.replies.release(out);
                out.pass(at..input.len());
                input.len() - at
            } else {
                let context = FrameContext::new(self.protocol, self.subscriptions.in_band(self.protocol))
                    .monitoring(self.is_monitoring, is_silent);
                let (taken, event) = self.replies.step(at, context, out)?;
                match event {
                    Some(ReplyEvent::Answered { slot: Slot::MirrorLogin, said, .. }) => {
                        next = self.mirror.answered(said == Said::Refused)?;
                    }
                    Some(event) => self.apply(event, client_ids, user),
                    None => {}
                }
                taken
            };
            if taken == 0 {
                break;
            }
            at += taken;
        }
        self.replies.release(out);
        Ok((at, next))
    }

    /// What Redis has said becomes the state.
    fn apply(&mut self, event: ReplyEvent<'_>, client_ids: &Arc<ClientIds>, user: Option<&str>) {
        let (slot, said, reply) = match event {
            ReplyEvent::Answered { slot, said, reply } => (slot, said, reply),
            ReplyEvent::Subscription { kind, total, name } => {
                self.subscriptions.confirm(kind, total);
                match name {
                    Some((name, Change::Begins)) => self.subscriptions.begin(kind, name),
                    Some((name, Change::Ends)) => self.subscriptions.end(kind, name),
                    None => {}
                }
                return;
            }
        };
        let is_done = said == Said::Done;
        match slot {
            Slot::Hello(protocol) if is_done => {
                self.protocol = protocol;
                self.learn_id(reply, client_ids, user);
            }
            Slot::ClientId if is_done => self.learn_id(reply, client_ids, user),
            Slot::Monitor if is_done => self.is_monitoring = true,
            // Should it be queued, EXEC may turn it on.
            Slot::Tracking(is_on) if is_done || (said == Said::Queued && is_on) => self.is_tracking = is_on,
            Slot::Select(database) => self.database.answered(is_done.then_some(Databases::named(database))),
            Slot::Multi => self.transaction.answered(is_done.then_some(true)),
            Slot::Discard => self.transaction.answered(is_done.then_some(false)),
            Slot::ReplaceExec(_) => self.transaction.answered(Some(false)),
            Slot::Exec { selects } => {
                self.transaction.answered(Some(false));
                self.database.perhaps_selected(if is_done { selects } else { Databases::NONE });
            }
            // A refusal, or nothing that the connection keeps in mind.
            Slot::Hello(_)
            | Slot::ClientId
            | Slot::Monitor
            | Slot::Tracking(_)
            | Slot::Pass(_)
            | Slot::Blocking(_)
            | Slot::Subscription { .. }
            | Slot::MirrorLogin
            | Slot::Replace(_)
            | Slot::Local(_) => {}
        }
    }

    /// Notes the client id in a whole reply to CLIENT ID or HELLO, if it holds one.
    fn learn_id(&mut self, reply: &[u8], client_ids: &Arc<ClientIds>, user: Option<&str>) {
        let Some(id) = client_id(reply) else { return };
        // First the old place is given up: it may be the same.
        self.own_id = None;
        self.own_id = user.map(|user| OwnId::enter(client_ids, id, user));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::Acl;
    use crate::command::{Argv, CommandTable, Dialect};
    use crate::session::output::Queues;

    /// A connection that was sent requests and answered so.
    fn after(requests: &[&[&str]], replies: &str) -> UpstreamState {
        let table = CommandTable::builtin(Dialect::Redis70);
        let acl = Acl::parse(b"user a on nopass ~* &* +@all\n", &table).unwrap();
        let sender = Sender::new(acl.user(b"a").unwrap(), table.identity());
        let mut upstream = UpstreamState::default();
        upstream.connect();
        upstream.connected(true);
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
            upstream
                .ongoing()
                .iter()
                .map(|request| request.as_argv().iter().map(String::from_utf8_lossy).collect())
                .collect()
        };
        assert_eq!(names(&after(&[&["CLIENT", "TRACKING", "ON"]], "")), ["CLIENTTRACKINGON"]);
        assert_eq!(names(&after(&[&["SUBSCRIBE", "a"]], "")), ["SUBSCRIBEa"]);
        assert_eq!(names(&after(&[&["SUBSCRIBE", "a"]], "-NOPERM no\r\n")), [""; 0]);
        assert_eq!(names(&after(&[&["BLPOP", "k", "0"]], "")), ["BLPOPk0"]);
        assert_eq!(names(&after(&[&["BLPOP", "k", "0"]], "*-1\r\n")), [""; 0]);
    }

    #[test]
    fn a_connection_is_refused_by_its_first_words_only() {
        let mut upstream = UpstreamState::default();
        assert_eq!(upstream.serves(b"-ERR max"), None);
        assert_eq!(upstream.serves(MAX_CLIENTS), Some(false));
        assert_eq!(upstream.serves(b"+OK\r\n"), Some(true));
        assert_eq!(upstream.serves(MAX_CLIENTS), Some(true), "by then it is a reply");
    }
}

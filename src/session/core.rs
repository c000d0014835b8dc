//! The state of one session and what may happen to it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::action::{Action, Report, UpstreamFailure};
use super::clients::OwnId;
use super::close::CloseReason;
use super::database::Database;
use super::local::ResetBudget;
use super::mirror::Mirror;
use super::one_shot::OneShot;
use super::output::{Output, Side};
use super::pending::{Pending, Slot};
use super::reply::Route;
use super::shared::Shared;
use super::stream::Body;
use super::subscription::Subscriptions;
use super::transaction::{Queueing, Transaction};
use super::wait::{AfterDrain, Wait};
use super::window::ReplyWindow;
use crate::acl::Refusal;
use crate::command::Role;
use crate::identity::PeerIdentity;
use crate::policy::{Admission, Policy, Principal, Proof, Requester, Stance, UserRefusal};
use crate::resp::{Limits, Protocol, ReplyFramer, RequestScanner};

/// Bytes that may wait for a client before nothing more is read from Redis.
pub(super) const DOWNSTREAM_BACKLOG: usize = 128 << 10;

/// Bytes that may wait for Redis before nothing more is read from the client.
const UPSTREAM_BACKLOG: usize = 256 << 10;

/// The first words of a Redis that takes no more clients, in place of a reply to anything. It closes then, and so do we,
/// without a word: that is what clients know of a Redis that speaks TLS, and so they try again.
const REDIS_IS_FULL: &[u8] = b"-ERR max number of clients reached\r\n";

/// Who is at the other end.
#[derive(Debug)]
pub struct Peer {
    /// Where the client comes from. An IPv4 address has its own form here, never that of IPv6.
    pub address: SocketAddr,
    /// Its certificate, if it showed one.
    pub certificate: Option<Arc<PeerIdentity>>,
}

/// Bounds of every session, shared by all of a worker.
#[derive(Debug, Clone)]
pub struct SessionLimits {
    /// Bounds of a request after authentication.
    pub request: Limits,
    /// Bytes of one request that may be held for its judgement, its argument table included.
    pub request_buffer: usize,
    /// Bytes of requests that may wait while replies are outstanding.
    pub hold_buffer: usize,
    /// From the end of the handshake to a login.
    pub auth_timeout: Duration,
    /// How long a client may do nothing.
    pub idle_timeout: Option<Duration>,
    /// How long Redis may owe a reply, or take nothing of a request, without saying anything.
    pub upstream_timeout: Option<Duration>,
    /// How long replies are delivered to a client that has closed its side, or is told why it is closed.
    pub half_close_timeout: Duration,
}

/// What a session has moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests, whatever became of them.
    pub requests: u64,
    /// Requests refused.
    pub refused: u64,
}

/// The connection to Redis, as the core knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    Absent,
    Connecting,
    Ready,
}

/// Whether replies are wanted (CLIENT REPLY).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReplyMode {
    On,
    Off,
    /// Not for the next request.
    SkipNext,
}

/// What the session is doing at large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Running,
    /// Nothing more is read from the client; what is owed still goes out, until the deadline.
    Finishing {
        reason: CloseReason,
        deadline: Instant,
    },
    /// Nothing is owed any more. What Redis is still to be sent goes out, until the deadline.
    Flushing {
        reason: CloseReason,
        deadline: Instant,
    },
    /// The driver has been told to close.
    Closed,
}

/// One session. See the [module](super) for its parts.
pub struct SessionCore {
    pub(super) peer: Rc<Peer>,
    pub(super) limits: Rc<SessionLimits>,
    pub(super) principal: Option<Principal>,
    pub(super) shared: Arc<Shared>,
    /// That of the connection to Redis, once it has been asked for.
    pub(super) own_id: Option<OwnId>,
    /// The policy that the principal is of.
    pub(super) generation: u64,
    pub(super) scanner: RequestScanner,
    pub(super) body: Body,
    pub(super) pending: Pending,
    window: ReplyWindow,
    pub(super) framer: ReplyFramer,
    /// Where the frame goes of which only a part has come and been passed on.
    pub(super) open_frame: Option<Route>,
    pub(super) link: Link,
    /// Redis has said something on it that is no refusal.
    is_let_in: bool,
    /// For whom the session is there.
    pub(super) mirror: Mirror,
    pub(super) protocol: Protocol,
    pub(super) database: Database,
    pub(super) transaction: Transaction,
    pub(super) one_shot: OneShot,
    /// CLIENT TRACKING is on, or may be turned on by EXEC.
    pub(super) tracking: bool,
    pub(super) subscriptions: Subscriptions,
    pub(super) reply_mode: ReplyMode,
    pub(super) monitoring: bool,
    /// After SYNC or PSYNC: what comes from Redis is no longer framed.
    pub(super) replicating: Option<Role>,
    pub(super) stage: Stage,
    pub(super) wait: Option<Wait>,
    pub(super) traffic: Traffic,
    pub(super) resets: ResetBudget,
    /// For `ACL LOG`.
    pub(super) refusals: Vec<Refusal>,
    actions: VecDeque<Action>,
    reports: Vec<Report>,
    /// A password that was not looked at has been reported.
    pub(super) stray_auth_reported: bool,
    /// Reports that were left out because too many came at once.
    unreported: u64,
    /// Bytes that wait for each socket, as the driver last said.
    backlog_downstream: usize,
    backlog_upstream: usize,
    /// Bytes of requests that wait here.
    held: usize,
    /// The client has closed its side: what it sent before is still answered, until then.
    client_closed: Option<Instant>,
    /// When the session began, or began again.
    pub(super) started: Instant,
    /// When the client last sent something or was last sent something.
    last_active: Instant,
    /// Since when Redis owes something, or when it last said or took something since then.
    waited_since: Instant,
}

impl SessionCore {
    /// A session of `peer`, which acts for the user its certificate gives, or has to log in.
    ///
    /// # Errors
    /// Why the peer may not have a session at all.
    pub fn new(
        peer: Rc<Peer>,
        limits: Rc<SessionLimits>,
        shared: Arc<Shared>,
        policy: &Policy,
        now: Instant,
    ) -> Result<Self, UserRefusal> {
        let principal = match policy.admit(peer.certificate.as_deref(), peer.address.ip()) {
            Admission::User(principal) => Some(principal),
            Admission::Password => None,
            Admission::Refused(reason) => return Err(reason),
        };
        Ok(Self {
            peer,
            limits,
            principal,
            shared,
            own_id: None,
            generation: policy.generation,
            scanner: RequestScanner::new(),
            body: Body::Whole,
            pending: Pending::default(),
            window: ReplyWindow::default(),
            framer: ReplyFramer::new(),
            open_frame: None,
            link: Link::Absent,
            is_let_in: false,
            mirror: Mirror::default(),
            protocol: Protocol::Resp2,
            database: Database::default(),
            transaction: Transaction::default(),
            one_shot: OneShot::default(),
            tracking: false,
            subscriptions: Subscriptions::default(),
            reply_mode: ReplyMode::On,
            monitoring: false,
            replicating: None,
            stage: Stage::Running,
            wait: None,
            traffic: Traffic::default(),
            resets: ResetBudget::new(now),
            refusals: Vec::new(),
            actions: VecDeque::new(),
            reports: Vec::new(),
            stray_auth_reported: false,
            unreported: 0,
            backlog_downstream: 0,
            backlog_upstream: 0,
            held: 0,
            client_closed: None,
            started: now,
            last_active: now,
            waited_since: now,
        })
    }

    // What happened.

    /// Bytes came from the client: `out`'s input starts at the first byte that was not consumed before. Returns how many
    /// of them are consumed now.
    ///
    /// # Errors
    /// Why both connections have to be closed at once.
    pub fn handle_downstream(
        &mut self,
        policy: &Policy,
        now: Instant,
        out: &mut Output<'_>,
    ) -> Result<usize, CloseReason> {
        self.handle_policy(policy)?;
        if out.input().len() > self.held {
            self.last_active = now;
        }
        let was_owed = self.is_owed();
        let consumed = self.take_requests(policy, now, out)?;
        if !was_owed {
            self.waited_since = now;
        }
        self.held = out.input().len() - consumed;
        if self.client_closed.is_some() {
            self.end_requests(now)?;
        }
        self.cut_if_unread();
        Ok(consumed)
    }

    /// Bytes came from Redis, likewise.
    ///
    /// # Errors
    /// Why both connections have to be closed at once.
    pub fn handle_upstream(&mut self, now: Instant, out: &mut Output<'_>) -> Result<usize, CloseReason> {
        if !self.is_let_in {
            match out.input() {
                words if words.starts_with(REDIS_IS_FULL) => return Err(CloseReason::UpstreamFull),
                words => self.is_let_in = !REDIS_IS_FULL.starts_with(words),
            }
            if !self.is_let_in {
                return Ok(0);
            }
        }
        self.waited_since = now;
        let owed = self.pending.replies();
        let consumed = self.take_replies(out)?;
        self.window.note(owed.saturating_sub(self.pending.replies()), consumed as u64);
        if consumed > 0 {
            self.last_active = now;
        }
        if self.client_closed.is_some() && self.is_standing() {
            return Err(CloseReason::ClientGone);
        }
        self.settle();
        Ok(consumed)
    }

    /// A side has closed its direction.
    ///
    /// # Errors
    /// Why both connections have to be closed at once.
    pub fn handle_eof(&mut self, side: Side, now: Instant) -> Result<(), CloseReason> {
        match side {
            Side::Upstream if self.link != Link::Ready => Ok(()),
            Side::Upstream => Err(match self.stage {
                Stage::Finishing { reason, .. } | Stage::Flushing { reason, .. } => reason,
                _ => CloseReason::UpstreamGone,
            }),
            Side::Downstream => {
                self.client_closed = Some(now + self.limits.half_close_timeout);
                self.end_pause();
                if self.held > 0 && !self.is_waiting() && !self.is_standing() {
                    // What is held may be whole requests, which nobody has looked at yet.
                    return Ok(());
                }
                self.end_requests(now)
            }
        }
    }

    /// The upstream connection is there, logged in as the proxy's own user, or is not to be had.
    pub fn handle_connected(&mut self, result: Result<(), UpstreamFailure>, now: Instant, out: &mut Output<'_>) {
        if self.link != Link::Connecting {
            return;
        }
        match result {
            Ok(()) => {
                self.link = Link::Ready;
                self.is_let_in = false;
            }
            Err(UpstreamFailure::Full) => {
                self.link = Link::Absent;
                self.stage = Stage::Closed;
                self.act(Action::Close(CloseReason::UpstreamFull));
            }
            Err(UpstreamFailure::Unavailable) => {
                self.link = Link::Absent;
                self.fail(CloseReason::UpstreamUnavailable, "ERR respgate: upstream unavailable", now, out);
            }
        }
    }

    /// The policy is a new one.
    ///
    /// # Errors
    /// The right behind the session has gone.
    pub fn handle_policy(&mut self, policy: &Policy) -> Result<(), CloseReason> {
        // A session that waits for what it asked for is told before anything becomes of it.
        if self.generation == policy.generation || matches!(self.wait, Some(Wait::Administering { .. })) {
            return Ok(());
        }
        self.renew(policy, None)
    }

    /// Goes on under another policy. `own` is the number of one that this session made itself.
    pub(super) fn renew(&mut self, policy: &Policy, own: Option<u64>) -> Result<(), CloseReason> {
        let before = std::mem::replace(&mut self.generation, policy.generation);
        self.outdate_mirror();
        if self.is_named_only_now(policy) {
            return Err(CloseReason::IdentityChanged);
        }
        let (certificate, address) = (self.peer.certificate.as_deref(), self.peer.address.ip());
        if let Some(principal) = &self.principal {
            let renewed = match own {
                // What others have changed before the own edit has still to be looked at.
                Some(own) if own == policy.generation && own == before + 1 => {
                    policy.renew_editor(principal, certificate, address)
                }
                _ => policy.renew(principal, certificate, address),
            };
            let renewed = renewed.map_err(CloseReason::Revoked)?;
            let loses_keys = self.is_told_of_keys() && !renewed.user.keeps_readable_keys_of(&principal.user);
            self.transaction.user_renewed(&renewed.user);
            self.principal = Some(renewed);
            if loses_keys || !self.may_stand(policy) {
                return Err(CloseReason::StandingRightLost);
            }
        } else if let Admission::Refused(reason) = policy.admit(certificate, address) {
            return Err(CloseReason::Revoked(reason));
        }
        Ok(())
    }

    /// Whether the session has proven nothing so far, and its certificate names somebody under this policy: it would go on
    /// as whom nobody may be who comes with that certificate today.
    fn is_named_only_now(&self, policy: &Policy) -> bool {
        let has_proven = self.principal.as_ref().is_some_and(|principal| principal.proof != Proof::Nopass);
        let named = || policy.admit(self.peer.certificate.as_deref(), self.peer.address.ip());
        !has_proven && matches!(named(), Admission::User(Principal { proof: Proof::Certificate, .. }))
    }

    /// Time has passed.
    ///
    /// # Errors
    /// Why both connections have to be closed at once.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Output<'_>) -> Result<(), CloseReason> {
        match self.next_timeout() {
            Some(at) if at <= now => {}
            _ => return Ok(()),
        }
        if let Some(Wait::Throttled { until }) = self.wait
            && until <= now
        {
            self.tell_throttled(now, out);
            return Ok(());
        }
        match self.stage {
            Stage::Finishing { reason: CloseReason::ClientGone, .. } => Err(CloseReason::HalfCloseTimeout),
            Stage::Finishing { reason, .. } | Stage::Flushing { reason, .. } => Err(reason),
            Stage::Running if self.client_closed.is_some() => Err(CloseReason::HalfCloseTimeout),
            Stage::Running if self.principal.is_none() => {
                let text = "ERR respgate: authentication timed out";
                self.fail(CloseReason::AuthenticationTimeout, text, now, out);
                Ok(())
            }
            Stage::Running if self.upstream_deadline().is_some_and(|at| at <= now) => Err(CloseReason::UpstreamTimeout),
            Stage::Running => Err(CloseReason::Idle),
            Stage::Closed => Ok(()),
        }
    }

    /// The driver says how many bytes wait for a side's socket.
    pub fn handle_backlog(&mut self, side: Side, unsent: usize, now: Instant) {
        match side {
            Side::Downstream => {
                self.backlog_downstream = unsent;
                self.cut_if_unread();
            }
            Side::Upstream => {
                if unsent < self.backlog_upstream {
                    self.waited_since = now;
                }
                self.backlog_upstream = unsent;
                self.flushed();
            }
        }
    }

    /// The proxy is shutting down: the session ends as soon as nothing is owed.
    ///
    /// # Errors
    /// It ends at once.
    pub fn handle_drain(&mut self, deadline: Instant) -> Result<(), CloseReason> {
        if self.has_stream() {
            return Err(CloseReason::Drained);
        }
        if self.stage == Stage::Running {
            self.stage = Stage::Finishing { reason: CloseReason::Drained, deadline };
        }
        self.end_pause();
        self.settle();
        Ok(())
    }

    // What to do.

    /// The next thing for the driver to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// What is worth a log line, and how many more were left out.
    pub fn take_reports(&mut self) -> (Vec<Report>, u64) {
        (std::mem::take(&mut self.reports), std::mem::take(&mut self.unreported))
    }

    /// What `ACL LOG` is to show, in order.
    pub fn take_refusals(&mut self) -> Vec<Refusal> {
        std::mem::take(&mut self.refusals)
    }

    /// Whether `ACL LOG` has something to learn.
    pub fn has_refusals(&self) -> bool {
        !self.refusals.is_empty()
    }

    /// Whether there is something to log.
    pub fn has_reports(&self) -> bool {
        !self.reports.is_empty()
    }

    /// Whether bytes of a side are welcome now.
    pub fn wants(&self, side: Side) -> bool {
        match side {
            Side::Downstream => {
                self.stage == Stage::Running
                    && self.client_closed.is_none()
                    && self.backlog_upstream < UPSTREAM_BACKLOG
                    && (self.held < self.most_held() || !self.is_waiting())
            }
            Side::Upstream => self.link == Link::Ready && self.backlog_downstream < DOWNSTREAM_BACKLOG,
        }
    }

    /// Bytes of requests that may wait here. Strangers wait for their passwords only, and longer than others.
    fn most_held(&self) -> usize {
        const OF_A_STRANGER: usize = 64 << 10;
        if self.principal.is_some() { self.limits.hold_buffer } else { self.limits.hold_buffer.min(OF_A_STRANGER) }
    }

    /// Whether the upstream connection is, or should be, there.
    pub fn is_linked(&self) -> bool {
        self.link == Link::Ready
    }

    /// Whether [`handle_downstream`](Self::handle_downstream) would now do something with what is held, or with nothing.
    pub fn can_go_on(&self) -> bool {
        let drained = self.is_drained()
            && match self.wait {
                Some(Wait::Drained(AfterDrain::Reset)) => self.backlog_upstream == 0,
                Some(Wait::Drained(_) | Wait::Barrier) => true,
                _ => false,
            };
        self.stage == Stage::Running
            && self.link != Link::Connecting
            && (drained || (!self.is_waiting() && (self.held > 0 || self.client_closed.is_some())))
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn next_timeout(&self) -> Option<Instant> {
        let throttled = match self.wait {
            Some(Wait::Throttled { until }) => Some(until),
            _ => None,
        };
        [throttled, self.stage_timeout()].into_iter().flatten().min()
    }

    fn stage_timeout(&self) -> Option<Instant> {
        match self.stage {
            Stage::Finishing { deadline, .. } | Stage::Flushing { deadline, .. } => Some(deadline),
            Stage::Running if self.client_closed.is_some() => self.client_closed,
            Stage::Running if self.principal.is_none() => Some(self.started + self.limits.auth_timeout),
            Stage::Running if self.is_owed() => self.upstream_deadline(),
            Stage::Running if self.is_standing() => None,
            Stage::Running => self.limits.idle_timeout.map(|timeout| self.last_active + timeout),
            Stage::Closed => None,
        }
    }

    /// Until when Redis has to say or take something. A command that blocks may take its time, and whoever is not listened
    /// to is not silent.
    fn upstream_deadline(&self) -> Option<Instant> {
        let is_listened_to = self.backlog_downstream < DOWNSTREAM_BACKLOG;
        let takes_its_time = matches!(self.pending.front(), Some(Slot::Blocking(_)));
        let timeout = self.limits.upstream_timeout.filter(|_| self.is_owed() && is_listened_to && !takes_its_time)?;
        self.waited_since.checked_add(timeout)
    }

    /// Redis owes the client something, or has not taken what it was sent; or a request waits for it to say something that
    /// the client does not hear.
    fn is_owed(&self) -> bool {
        matches!(self.wait, Some(Wait::Drained(_))) || !self.pending.is_empty() || self.backlog_upstream > 0
    }

    /// Who the session acts for.
    pub fn principal(&self) -> Option<&Principal> {
        self.principal.as_ref()
    }

    /// Who is at the other end.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// What the session has moved.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Bytes of memory that the session holds beside what waits in buffers.
    pub fn held(&self) -> usize {
        let is_inside = self.held > 0;
        let table = if is_inside { self.scanner.memory() } else { 0 };
        table
            + self.body.memory()
            + self.wait.as_ref().map_or(0, Wait::memory)
            + self.pending.memory()
            + self.subscriptions.memory()
            + self.mirror.memory()
    }

    // Helpers of all parts.

    /// In each state that Redis may be in when it gets the next request: ordinarily one.
    pub(super) fn requesters(&self) -> impl Iterator<Item = Requester<'_>> {
        let user = self.principal.as_ref().map(|principal| &*principal.user);
        let stance = Stance {
            in_transaction: self.transaction.may_be_open(),
            subscriber: self.subscriptions.in_band(self.protocol),
            monitoring: self.monitoring,
        };
        let other = Stance { in_transaction: false, ..stance };
        let stances = [Some(stance), (self.transaction.queueing() == Queueing::Undecided).then_some(other)];
        let databases = self.database.possible().or(self.transaction.selected());
        stances
            .into_iter()
            .flatten()
            .flat_map(move |stance| databases.iter().map(move |database| Requester { user, stance, database }))
    }

    /// Whether a reply that is outstanding may still tell these states apart.
    pub(super) fn is_undecided(&self) -> bool {
        self.transaction.queueing() == Queueing::Undecided || self.database.is_undecided()
    }

    pub(super) fn request_limits(&self) -> Limits {
        if self.principal.is_some() { self.limits.request } else { Limits::UNAUTHENTICATED }
    }

    pub(super) fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    pub(super) fn report(&mut self, report: impl FnOnce() -> Report) {
        const AT_ONCE: usize = 16;
        if self.reports.len() < AT_ONCE {
            self.reports.push(report());
        } else {
            self.unreported += 1;
        }
    }

    pub(super) fn note_request(&mut self) {
        self.traffic.requests += 1;
    }

    /// Takes no more requests; what is owed still goes out.
    pub(super) fn finish(&mut self, reason: CloseReason, now: Instant) {
        if self.stage == Stage::Running {
            self.stage = Stage::Finishing { reason, deadline: now + self.limits.half_close_timeout };
        }
    }

    /// Tells the client why, in its place among the replies, and finishes.
    pub(super) fn fail(&mut self, reason: CloseReason, text: &'static str, now: Instant, out: &mut Output<'_>) {
        self.wait = None;
        self.answer(&crate::resp::Reply::error(text), out);
        self.finish(reason, now);
        self.settle();
    }

    /// The client has closed its side. Requests that it sent before and that still wait are taken first; the rest of an
    /// unfinished one will never come.
    fn end_requests(&mut self, now: Instant) -> Result<(), CloseReason> {
        if self.is_standing() {
            return Err(CloseReason::ClientGone);
        }
        if !self.is_waiting() {
            self.finish(CloseReason::ClientGone, now);
            self.settle();
        }
        Ok(())
    }

    /// Does what had to wait for the last outstanding reply.
    pub(super) fn settle(&mut self) {
        if !self.is_drained() {
            return;
        }
        if let Some(Wait::Barrier) = self.wait {
            self.wait = None;
        }
        if let Stage::Finishing { reason, deadline } = self.stage
            && !matches!(self.wait, Some(Wait::Verifying(_) | Wait::Throttled { .. } | Wait::Administering { .. }))
        {
            self.stage = Stage::Flushing { reason, deadline };
        }
    }

    /// Redis has been sent everything that was forwarded, also what has no reply to wait for.
    fn flushed(&mut self) {
        if let Stage::Flushing { reason, .. } = self.stage
            && self.backlog_upstream == 0
        {
            self.stage = Stage::Closed;
            self.act(Action::Close(reason));
        }
    }

    /// No reply is owed, and none is half way to the client.
    pub(super) fn is_drained(&self) -> bool {
        self.pending.is_empty() && self.open_frame.is_none_or(|route| !route.is_shown())
    }

    /// Whether the next request has to wait, between two requests.
    pub(super) fn is_waiting(&self) -> bool {
        self.wait.is_some() || self.link == Link::Connecting || self.window_is_full()
    }

    fn window_is_full(&self) -> bool {
        self.pending.replies() >= self.window.replies()
            || self.backlog_downstream + self.pending.local_bytes() >= 2 * DOWNSTREAM_BACKLOG
    }

    /// A client that goes on asking, and takes no replies, is held until the hold is full.
    fn cut_if_unread(&mut self) {
        let is_full = self.held >= self.limits.hold_buffer && self.is_waiting();
        if self.stage == Stage::Running && is_full && self.is_unread() {
            self.stage = Stage::Closed;
            self.act(Action::Close(CloseReason::UnreadReplies));
        }
    }

    /// The client takes no replies.
    fn is_unread(&self) -> bool {
        self.backlog_downstream + self.pending.local_bytes() >= DOWNSTREAM_BACKLOG
    }

    /// The session waits for Redis to say something that may never come, and that nobody would hear: a blocking command,
    /// a subscription, MONITOR, a replication link.
    fn is_standing(&self) -> bool {
        self.has_stream() || matches!(self.pending.front(), Some(Slot::Blocking(_)))
    }

    /// Redis goes on sending without being asked.
    fn has_stream(&self) -> bool {
        !self.subscriptions.is_empty() || self.monitoring || self.replicating.is_some()
    }
}

//! The parts of a session, how they come together, and what is to be done.

mod acl_log;
mod activity;
mod answer;
mod drain;
mod events;
mod local;
mod mirror;
mod ongoing;
mod request;
mod resume;
mod stream;
mod verdict;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::local::describe_log;
use super::action::{Action, Report, ToFree};
use super::client_ids::ClientIds;
use super::close::CloseReason;
use super::flow::Flow;
use super::intake::Intake;
use super::lifetime::{Due, Lifetime, Timeout};
use super::limits::SessionLimits;
use super::outbox::{Outbox, Traffic};
use super::output::{Output, Side};
use super::remains::Remains;
use super::upstream::UpstreamState;
use super::wait::{AfterReplies, Wait};
use super::who::{Peer, Who};
use crate::acl::{AclLogRecord, Effort, UserName};
use crate::learn::TrafficLearner;
use crate::policy::{Policy, Principal, Requester, UserRefusal};
use crate::resp::{Reply, RequestLimits};

/// One session: a composition of parts, divided by how long what they hold lives.
pub struct SessionCore {
    peer: Rc<Peer>,
    limits: Arc<SessionLimits>,
    client_ids: Arc<ClientIds>,
    /// Whom it acts for: judged again under every new policy, begun anew by RESET.
    who: Who,
    /// Requests as they come in, and why none is looked at.
    intake: Intake,
    /// The connection to Redis, with all that dies with it.
    upstream: UpstreamState,
    /// How much waits.
    flow: Flow,
    /// When it ends, and how.
    life: Lifetime,
    /// What others are told.
    outbox: Outbox,
    /// Who is told what users do, where anybody is.
    learner: Option<Rc<RefCell<TrafficLearner>>>,
}

impl SessionCore {
    /// A session of `peer`, which acts for the user its certificate gives, or has to log in.
    ///
    /// # Errors
    /// Why the peer may not have a session at all.
    pub fn new(
        peer: Rc<Peer>,
        limits: Arc<SessionLimits>,
        client_ids: Arc<ClientIds>,
        policy: &Policy,
        now: Instant,
    ) -> Result<Self, UserRefusal> {
        Ok(Self {
            who: Who::admitted(&peer, policy)?,
            peer,
            limits,
            client_ids,
            intake: Intake::default(),
            upstream: UpstreamState::default(),
            flow: Flow::default(),
            life: Lifetime::new(now),
            outbox: Outbox::default(),
            learner: None,
        })
    }

    /// The same, whose user is learnt from.
    #[must_use]
    pub fn learnt_from_by(self, learner: Option<Rc<RefCell<TrafficLearner>>>) -> Self {
        Self { learner, ..self }
    }
}

// What to do.

impl SessionCore {
    /// The next thing for the driver to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.outbox.next_action()
    }

    /// What is worth a log line, and how often it happened.
    pub fn take_reports(&mut self) -> Vec<(Report, u64)> {
        self.outbox.take_reports()
    }

    /// What `ACL LOG` is to show, in order.
    pub fn take_acl_log(&mut self) -> Vec<AclLogRecord> {
        self.outbox.take_acl_log()
    }

    /// Whether `ACL LOG` has something to learn.
    pub fn has_acl_log(&self) -> bool {
        self.outbox.has_acl_log()
    }

    /// Whether there is something to log.
    pub fn has_reports(&self) -> bool {
        self.outbox.has_reports()
    }

    /// Whether bytes of a side are welcome now.
    pub fn wants(&self, side: Side) -> bool {
        match side {
            Side::Downstream => {
                self.life.is_running()
                    && !self.life.has_client_closed()
                    && (!self.intake.is_behind() || self.is_waiting())
                    && self.flow.has_room_upstream()
                    && (self.flow.may_hold_more(&self.limits, self.who.is_authenticated()) || !self.is_waiting())
            }
            Side::Upstream => self.upstream.is_connected() && self.flow.has_room_downstream(),
        }
    }

    /// Whether requests that have come wait for the next turn, and for nothing else.
    pub fn waits_for_its_turn(&self) -> bool {
        self.intake.is_behind() && self.can_go_on()
    }

    /// Whether [`handle_downstream`](Self::handle_downstream) would now do something with what is held, or with nothing.
    pub fn can_go_on(&self) -> bool {
        let may_resume = self.upstream.replies_are_out()
            && match self.intake.waits_for() {
                Some(Wait::Replies(AfterReplies::Reset)) => self.flow.is_sent_upstream(),
                Some(wait) => wait.is_for_replies(),
                None => false,
            };
        let goes_on = self.life.is_running() || self.intake.waits_for().is_some_and(Wait::owes_answer);
        goes_on
            && !self.upstream.is_connecting()
            && (may_resume || (!self.is_waiting() && (self.flow.held() > 0 || self.life.has_client_closed())))
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn next_timeout(&self) -> Option<Instant> {
        let due = self.due().map(|(at, _)| at);
        let until = match self.intake.waits_for() {
            Some(Wait::Throttled { until }) => Some(*until),
            _ => self.goes_on_until(),
        };
        match until {
            Some(until) => Some(due.map_or(until, |due| due.min(until))),
            None => due,
        }
    }

    fn due(&self) -> Option<(Instant, Due)> {
        let request = self.is_reading_request().then(|| self.life.request_due(&self.limits)).flatten();
        let session = self.life.due(self.timeout(), &self.limits);
        match (session, request) {
            (Some(session), Some(request)) => Some(if request.0 < session.0 { request } else { session }),
            (session, request) => session.or(request),
        }
    }

    fn timeout(&self) -> Timeout {
        if !self.who.is_authenticated() {
            Timeout::Login
        } else if self.waits_for_redis() {
            // A command that blocks may take its time, and whoever is not listened to is not idle.
            let may_take_its_time = self.upstream.is_blocked() || !self.flow.has_room_downstream();
            if may_take_its_time { Timeout::Never } else { Timeout::Redis }
        } else if self.may_wait_for_ever() || matches!(self.intake.waits_for(), Some(Wait::LongJudgement)) {
            Timeout::Never
        } else {
            Timeout::Client
        }
    }

    /// The client has begun a request, and it is up to the client alone that the rest of it comes.
    fn is_reading_request(&self) -> bool {
        let has_begun = self.intake.is_streaming() || (self.flow.held() > 0 && !self.is_waiting());
        has_begun && self.wants(Side::Downstream)
    }

    /// Redis owes the client something, or has not taken what it was sent; or a request waits for it to say something that
    /// the client is not shown.
    fn waits_for_redis(&self) -> bool {
        matches!(self.intake.waits_for(), Some(Wait::Replies(_)))
            || !self.upstream.nothing_is_pending()
            || !self.flow.is_sent_upstream()
    }

    /// Whether Redis may still execute something with rights that the session has lost.
    pub fn executes_with_former_rights(&self) -> bool {
        self.upstream.executes_with_former_rights()
    }

    /// What takes long to free, if there is such, before the rest of the session is dropped.
    pub fn take_to_free(&mut self) -> Option<ToFree> {
        self.upstream.take_to_free()
    }

    /// What is left of the session at its end, if Redis may still execute something of it.
    pub fn into_remains(self) -> Option<Remains> {
        let has_former = self.upstream.executes_with_former_rights();
        self.upstream.may_execute().then(|| Remains::new(self.peer, self.who, has_former))
    }

    /// Who the session acts for.
    pub fn principal(&self) -> Option<&Principal> {
        self.who.principal()
    }

    /// Who is at the other end.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// What became of its requests.
    pub fn traffic(&self) -> Traffic {
        self.outbox.traffic()
    }

    /// Whether it acts for somebody else since that was asked last.
    pub fn has_former_users(&self) -> bool {
        self.outbox.has_former_users()
    }

    /// For whom it has acted since that was asked last, but for the one it acts for now, with what its traffic was at the end
    /// of each.
    pub fn take_former_users(&mut self) -> Vec<(Option<UserName>, Traffic)> {
        self.outbox.take_former_users()
    }

    /// How long the reply took that came just now, where that is measured: of one request at a time, if Redis answers it as soon
    /// as it can.
    pub fn take_reply_duration(&mut self) -> Option<Duration> {
        self.outbox.take_reply_duration()
    }

    /// Bytes of memory that the session holds beside what waits in buffers.
    pub fn memory(&self) -> usize {
        self.intake.memory(self.flow.held() > 0) + self.upstream.memory()
    }
}

// What tests look into.

#[cfg(test)]
impl SessionCore {
    pub(super) fn has_upstream(&self) -> bool {
        self.upstream.is_connected()
    }

    pub(super) fn protocol(&self) -> crate::resp::Protocol {
        self.upstream.protocol()
    }

    pub(super) fn limits_mut(&mut self) -> &mut SessionLimits {
        Arc::make_mut(&mut self.limits)
    }

    /// Bytes of memory that are kept for the next request.
    pub(super) fn kept(&self) -> usize {
        self.intake.memory(true)
    }
}

// What the parts come to together.

impl SessionCore {
    /// Whoever asks, in each state that Redis may be in when it gets the next request: ordinarily one.
    pub(super) fn requesters<'a>(&'a self, effort: &'a Effort) -> impl Iterator<Item = Requester<'a>> {
        let user = self.who.user().map(|user| &**user);
        self.upstream.states().map(move |(mode, database)| Requester { user, mode, database, effort })
    }

    /// It is asked whom the certificate gives, which is work of the turn.
    fn note_admission(&self, policy: &Policy) {
        if self.peer.certificate.is_some() {
            self.intake.note_rules(policy.certificates.rules());
        }
    }

    fn request_limits(&self) -> RequestLimits {
        if self.who.is_authenticated() { self.limits.request } else { RequestLimits::UNAUTHENTICATED }
    }

    /// Takes no more requests; what is owed still goes out.
    fn finish(&mut self, reason: CloseReason, now: Instant) {
        self.life.finish(reason, now + self.limits.half_close_timeout);
    }

    /// Tells the client why, in its place among the replies, and finishes.
    fn fail(&mut self, reason: CloseReason, text: &'static str, now: Instant, out: &mut Output<'_>) {
        self.intake.take_wait();
        self.answer(&Reply::error(text), out);
        self.finish(reason, now);
        self.go_on_if_replies_are_out();
    }

    /// The client has closed its side. Requests that it sent before and that still wait are taken first; the rest of an
    /// unfinished one will never come.
    fn end_requests(&mut self, now: Instant) -> Result<(), CloseReason> {
        if self.may_wait_for_ever() {
            return Err(CloseReason::ClientGone);
        }
        if !self.is_waiting() {
            self.finish(CloseReason::ClientGone, now);
            self.go_on_if_replies_are_out();
        }
        Ok(())
    }

    /// Once no reply is outstanding, looks at the next request again, or ends what is finishing.
    fn go_on_if_replies_are_out(&mut self) {
        if !self.upstream.replies_are_out() {
            return;
        }
        if let Some(Wait::Undecided) = self.intake.waits_for() {
            self.intake.take_wait();
        }
        if !self.intake.waits_for().is_some_and(Wait::owes_answer) {
            self.life.note_replies_are_out();
        }
    }

    /// Whether the next request has to wait, between two requests.
    fn is_waiting(&self) -> bool {
        self.intake.waits_for().is_some()
            || self.upstream.is_connecting()
            || self.upstream.has_barrier()
            || self.flow.pauses_requests(self.upstream.replies_owed(), self.upstream.waiting_answers())
    }

    /// A client that goes on asking, and takes no replies, is held until the hold is full.
    fn close_if_unread(&mut self) {
        let holds_all_it_may = self.flow.held() >= self.limits.hold_buffer && self.is_waiting();
        if self.life.is_running() && holds_all_it_may && self.flow.is_unread(self.upstream.waiting_answers()) {
            self.life.close();
            self.outbox.act(Action::Close(CloseReason::UnreadReplies));
        }
    }

    /// The session waits for Redis to say something that may never come, and that no client is there for: a blocking
    /// command, a subscription, MONITOR, a replication link.
    fn may_wait_for_ever(&self) -> bool {
        self.upstream.sends_unasked() || self.upstream.is_blocked()
    }
}

//! The only I/O of a session: one hand-written poll that moves bytes between two sockets and the core.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use tokio::io::AsyncWrite;
use tokio::sync::oneshot;

use super::budget::{Account, Holder};
use super::executing::Executing;
use super::long_turn::LongTurn;
use super::read_quota::{Read, ReadQuota};
use super::registry::{Handle, Order};
use super::services::{ClientConnection, Connecting, Services};
use super::sockets::Sockets;
use super::turn;
use super::user_turns::UserTurn;
use crate::acl::UserName;
use crate::audit::client_events::Volume;
use crate::auth::pool::AuthOutcome;
use crate::generation::{EditProgress, GoAhead};
use crate::identity::CertificateRefusal;
use crate::policy::Policy;
use crate::resp::Reply;
use crate::session::{
    Action, Administered, Administration, Buffer, CloseReason, LoginOutcome, MirrorFailure, MirrorLogin, Output,
    Queues, SessionCore, Side,
};
use crate::upstream::Unblocking;

/// Bytes read at once, into a buffer that all sessions of a worker share.
const SCRATCH: usize = 64 << 10;

/// Held bytes are accounted for in steps of this, so that ordinary requests do not touch the counter that workers share.
const ACCOUNTED_STEP: usize = 4 << 10;

thread_local! {
    static SCRATCH_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into());
}

/// A session and its sockets.
pub(super) struct Driver<C, S: Services> {
    core: SessionCore,
    client: C,
    upstream: Option<S::Upstream>,
    /// Once it is known whom they wake.
    sockets: Option<Rc<Sockets>>,
    connecting: Option<Connecting<S::Upstream>>,
    verifying: Option<oneshot::Receiver<AuthOutcome>>,
    administering: Option<oneshot::Receiver<EditProgress>>,
    /// What came of that, until the session has its turn.
    administered: Option<EditProgress>,
    /// The edit that waits for its go-ahead.
    edit: Option<Administration>,
    /// No other edit is done until this is used or dropped.
    go_ahead: Option<GoAhead>,
    mirroring: Option<oneshot::Receiver<Result<MirrorLogin, MirrorFailure>>>,
    unblocking: Option<Unblocking>,
    long_turn: LongTurn,
    user_turn: UserTurn<Option<UserName>>,
    /// In this turn the session has come to act for somebody else, who has the next one.
    acts_for_another: bool,
    /// What the core has not consumed yet.
    requests: Buffer,
    replies: Buffer,
    queues: Queues,
    /// Something was written to the client and may still be on its way inside TLS.
    unflushed: bool,
    client_ended: bool,
    /// Redis takes no more; what it had to say is still read.
    upstream_write_closed: bool,
    volume: Volume,
    /// Bytes of the client's certificates, as they are accounted for.
    certificates: usize,
    handle: Rc<Handle>,
    /// The policy by which it was last judged: before its first turn none.
    generation: u64,
    /// What of the buffers is counted against the memory budget.
    account: Account,
    services: S,
}

/// A session that has ended: what is left to be done for it.
pub(super) struct EndedSession<C, S: Services> {
    /// The client's connection.
    pub(super) client: Box<C>,
    /// What is still to be sent to it.
    pub(super) unsent: Buffer,
    /// Where that is counted.
    pub(super) account: Account,
    /// What Redis may still execute.
    pub(super) executing: Option<Box<Executing<S>>>,
}

impl<C: ClientConnection, S: Services> Driver<C, S> {
    /// A session that is about to begin.
    pub(super) fn new(core: SessionCore, client: C, handle: Rc<Handle>, account: Account, services: S) -> Self {
        Self {
            core,
            client,
            upstream: None,
            sockets: None,
            connecting: None,
            verifying: None,
            administering: None,
            administered: None,
            edit: None,
            go_ahead: None,
            mirroring: None,
            unblocking: None,
            long_turn: Default::default(),
            user_turn: turn_of(account.holder(), &services),
            acts_for_another: false,
            requests: Buffer::default(),
            replies: Buffer::default(),
            queues: Queues::default(),
            unflushed: false,
            client_ended: false,
            upstream_write_closed: false,
            volume: Volume::default(),
            certificates: in_steps(handle.certificates()),
            handle,
            generation: 0,
            account,
            services,
        }
    }

    /// The core, for the log.
    pub(super) fn core(&self) -> &SessionCore {
        &self.core
    }

    /// The client's connection.
    pub(super) fn client(&self) -> &C {
        &self.client
    }

    /// The connection to Redis, if there is one.
    pub(super) fn upstream(&self) -> Option<&S::Upstream> {
        self.upstream.as_ref()
    }

    /// What went over the client's connection.
    pub(super) fn volume(&self) -> Volume {
        self.volume
    }

    /// The session has ended: nothing of it is held any more but what is still to be sent to the client. After a loss or an
    /// eviction that is nothing.
    #[expect(clippy::boxed_local, reason = "whoever had it would keep the box until it is done with what is left")]
    pub(super) fn into_ended(self: Box<Self>, reason: CloseReason) -> EndedSession<C, S> {
        let Self { mut core, mut client, upstream, queues, handle, mut account, services, .. } = *self;
        // Nobody waits for it.
        handle.note_last_drain(true);
        let unsent = match reason {
            CloseReason::ClientLost | CloseReason::MemoryBudget => Buffer::default(),
            _ => queues.downstream,
        };
        account.hold(unsent.capacity() + client.settle());
        if let Some(to_free) = core.take_to_free() {
            services.free(to_free);
        }
        // While the process ends, nobody changes rights any more.
        let left = upstream.filter(|_| reason != CloseReason::Drained).zip(core.into_remains());
        let executing =
            left.map(|(upstream, remains)| Box::new(Executing::new(upstream, remains, reason, handle, services)));
        EndedSession { client: Box::new(client), unsent, account, executing }
    }

    /// Runs the session until it has to be closed.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        self.handle.note_waker(cx.waker());
        self.account.note_waker(cx.waker());
        let now = Instant::now();
        let sockets = self.sockets_that_wake(cx.waker());
        // Before the policy is looked at, which is then no older than the one that this made.
        self.poll_administered(cx);
        let policy = self.services.policy();
        let is_renewed = self.handle.take_renewal();
        let urgent = self.is_waited_for();
        let has_turn = self.user_turn.begin(cx, urgent);
        // Whoever waits for its turn does nothing by the policy before, and is asked by the worker to look at the new one.
        let judged = if has_turn || is_renewed { self.take_policy(&policy) } else { Ok(()) };
        // A session that has to end waits for nobody.
        let ordered = judged.and_then(|()| self.apply_orders(now));
        let outcome = ordered.and_then(|()| if has_turn { self.run(cx, &sockets, &policy, now) } else { Ok(()) });
        self.handle.note_former_rights(self.core.executes_with_former_rights());
        self.handle.note_last_drain(self.core.waits_for_last_drain());
        // It was used at once or is not needed.
        self.go_ahead = None;
        self.note_acl_log();
        if self.core.has_reports() {
            self.services.report(&mut self.core, self.upstream.as_ref());
        }
        self.services.count(&mut self.core, self.volume);
        self.user_turn.end(now.elapsed());
        if std::mem::take(&mut self.acts_for_another) {
            self.user_turn = turn_of(self.account.holder(), &self.services);
        }
        match outcome {
            Ok(()) => {
                self.handle.note_deadline(self.core.next_timeout());
                Poll::Pending
            }
            Err(reason) => Poll::Ready(reason),
        }
    }

    /// Whether others wait for the place of who has a long turn, or for an edit of users.
    fn is_waited_for(&self) -> bool {
        let edits = match &self.administered {
            Some(EditProgress::GoAhead(_)) => true,
            // Until then it is under the policy before.
            Some(EditProgress::Done(administered)) => administered.generation.is_some(),
            None => false,
        };
        edits || self.long_turn.has_place()
    }

    fn sockets_that_wake(&mut self, session: &Waker) -> Rc<Sockets> {
        match &self.sockets {
            Some(sockets) if sockets.wake(session) => Rc::clone(sockets),
            _ => Rc::clone(self.sockets.insert(Rc::new(Sockets::new(session)))),
        }
    }

    /// From now on the session is under this policy.
    fn take_policy(&mut self, policy: &Policy) -> Result<(), CloseReason> {
        if std::mem::replace(&mut self.generation, policy.generation) == policy.generation {
            return self.core.handle_policy(policy);
        }
        self.handle.note_generation(policy.generation);
        let began = Instant::now();
        self.core.set_limits(self.services.limits());
        let judged = self.services.judge().and_then(|()| self.judge_upstream());
        let judged = judged.and_then(|()| self.core.handle_policy(policy));
        self.services.note_renewal(began.elapsed());
        judged
    }

    fn judge_upstream(&self) -> Result<(), CloseReason> {
        self.upstream.as_ref().map_or(Ok(()), |upstream| self.services.judge_upstream(upstream))
    }

    fn poll_administered(&mut self, cx: &mut Context<'_>) {
        if let Some(administering) = &mut self.administering
            && let Poll::Ready(outcome) = Pin::new(administering).poll(cx)
        {
            self.administering = None;
            // Nobody is there to do it only while the process ends.
            let gone = |_| {
                let reply = Reply::error("ERR respgate: shutting down");
                EditProgress::Done(Administered { reply, generation: None })
            };
            self.administered = Some(outcome.unwrap_or_else(gone));
        }
    }

    fn run(
        &mut self,
        cx: &mut Context<'_>,
        sockets: &Sockets,
        policy: &Policy,
        now: Instant,
    ) -> Result<(), CloseReason> {
        let may_be_long = self.long_turn.begin(cx);
        self.core.begin_turn(may_be_long);
        let mut out = Output::new(&[], Side::Downstream, &mut self.queues);
        match self.administered.take() {
            None => {}
            Some(EditProgress::GoAhead(go_ahead)) => {
                if let Some(administration) = self.edit.take() {
                    self.core.handle_go_ahead(&administration, policy, &mut out)?;
                    self.go_ahead = Some(go_ahead);
                }
            }
            Some(EditProgress::Done(administered)) => {
                self.edit = None;
                self.core.handle_administered(administered, policy, now, &mut out);
            }
        }
        let (mut client, mut redis) = (ReadQuota::of(&sockets.client), ReadQuota::of(&sockets.redis));
        loop {
            let mut progress = self.poll_events(cx, policy, now)?;
            if progress {
                // The connection may be a new one, which knows nothing of us yet.
                redis.would_block = false;
            }
            let has_room = self.account.has_room();
            if !has_room {
                // Its turn comes again after those who give back what they hold.
                turn::end(cx);
            }
            let takes_requests = self.services.may_take_requests();
            if has_room
                && takes_requests
                && client.may_read()
                && !self.client_ended
                && self.core.wants(Side::Downstream)
            {
                progress |= self.poll_client(&mut client, sockets, policy, now)?;
            }
            if has_room && redis.may_read() && self.core.wants(Side::Upstream) {
                progress |= self.poll_redis(&mut redis, sockets, now)?;
            }
            if redis.would_block {
                // All that Redis has sent was read: the answer would be among it.
                progress |= self.poll_unblocked(cx)?;
            }
            if takes_requests && self.core.can_go_on() {
                let was_behind = self.core.waits_for_its_turn();
                progress |= self.feed_requests(&[], sockets, policy, now)? > 0 || !self.core.can_go_on();
                // What is left may be the beginning of a request, whose rest has come and may be read now.
                progress |= was_behind && !self.core.waits_for_its_turn();
            }
            // What is refused is in the log before the client hears of it.
            if self.core.has_reports() {
                self.services.report(&mut self.core, self.upstream.as_ref());
            }
            progress |= self.poll_writes(sockets, now)?;
            let has_begun = self.run_actions(cx)?;
            // Where requests may not be taken there is none, until the session is woken.
            let waits_for_its_turn = takes_requests && self.core.waits_for_its_turn();
            let is_over = waits_for_its_turn || client.is_used_up() || redis.is_used_up();
            let may_go_on = || client.may_read() || redis.may_read() || self.core.can_go_on();
            if !is_over && (has_begun || (progress && may_go_on())) {
                self.account_for_memory(0)?;
                continue;
            }
            let in_tls = self.client.settle();
            self.account_for_memory(in_tls)?;
            client.leave(&sockets.client);
            redis.leave(&sockets.redis);
            if is_over {
                turn::end(cx);
            }
            return Ok(());
        }
    }

    /// What the worker wants of this session, and what the clock says.
    fn apply_orders(&mut self, now: Instant) -> Result<(), CloseReason> {
        if self.account.is_evicted() {
            return Err(CloseReason::MemoryBudget);
        }
        match self.handle.take_order() {
            None => {}
            Some(Order::Close(reason)) => return Err(reason),
            Some(Order::Drain(deadline)) => self.core.handle_drain(now, deadline),
            Some(Order::LastDrain) => self.core.handle_last_drain(now),
        }
        if self.handle.has_expired(now) {
            return Err(CloseReason::Certificate(CertificateRefusal::Expired));
        }
        self.core.note_time(now);
        if !self.handle.is_due(now) {
            return Ok(());
        }
        let mut out = Output::new(&[], Side::Downstream, &mut self.queues);
        self.core.handle_timeout(now, &mut out)
    }

    fn poll_events(&mut self, cx: &mut Context<'_>, policy: &Policy, now: Instant) -> Result<bool, CloseReason> {
        let mut progress = false;
        if let Some(verifying) = &mut self.verifying
            && let Poll::Ready(outcome) = Pin::new(verifying).poll(cx)
        {
            self.verifying = None;
            // The pool is gone only while the process ends.
            let outcome = outcome.map_or(LoginOutcome::Busy, LoginOutcome::from);
            let mut out = Output::new(&[], Side::Downstream, &mut self.queues);
            self.core.handle_verified(outcome, policy, now, &mut out)?;
            progress = true;
        }
        if let Some(connecting) = &mut self.connecting
            && let Poll::Ready(result) = connecting.as_mut().poll(cx)
        {
            self.connecting = None;
            let result = result.map(|stream| self.upstream = Some(stream));
            self.core.handle_connected(result);
            // It may have been on its way while another user was configured.
            self.judge_upstream()?;
            progress = true;
        }
        if let Some(mirroring) = &mut self.mirroring
            && let Poll::Ready(result) = Pin::new(mirroring).poll(cx)
        {
            self.mirroring = None;
            // Nobody is there to see to it only while the process ends.
            let result = result.unwrap_or(Err(MirrorFailure::Unreachable));
            let mut out = Output::new(&[], Side::Downstream, &mut self.queues);
            self.core.handle_mirrored(result, policy, &mut out)?;
            progress = true;
        }
        Ok(progress)
    }

    /// True once it is known whether Redis gives up the command that it is blocked in.
    fn poll_unblocked(&mut self, cx: &mut Context<'_>) -> Result<bool, CloseReason> {
        let Some(unblocking) = &mut self.unblocking else { return Ok(false) };
        let Poll::Ready(outcome) = Pin::new(unblocking).poll(cx) else { return Ok(false) };
        self.unblocking = None;
        // Nobody is there to ask only while the process ends.
        if !matches!(outcome, Ok(Ok(()))) {
            self.core.handle_not_unblocked()?;
        }
        Ok(true)
    }

    /// True if something came.
    fn poll_client(
        &mut self,
        quota: &mut ReadQuota,
        sockets: &Sockets,
        policy: &Policy,
        now: Instant,
    ) -> Result<bool, CloseReason> {
        SCRATCH_BUFFER.with_borrow_mut(|scratch| match quota.read(&mut self.client, &sockets.client, scratch) {
            Read::Nothing => Ok(false),
            Read::Some(count) => {
                if self.volume.received == 0 {
                    self.services.note_first_bytes(&self.core);
                }
                self.volume.received += count as u64;
                self.feed_requests(&scratch[..count], sockets, policy, now)?;
                Ok(true)
            }
            Read::End => {
                self.client_ended = true;
                self.core.handle_eof(Side::Downstream, now)?;
                Ok(true)
            }
            Read::Failed => Err(CloseReason::ClientLost),
        })
    }

    /// Gives the core what was held and what has come. What it passes on is written from where it lies. Returns how much
    /// it took.
    fn feed_requests(
        &mut self,
        fresh: &[u8],
        sockets: &Sockets,
        policy: &Policy,
        now: Instant,
    ) -> Result<usize, CloseReason> {
        let mut held = std::mem::take(&mut self.requests);
        let input = if held.is_empty() {
            fresh
        } else {
            held.extend(fresh);
            held.as_slice()
        };
        let mut out = Output::new(input, Side::Downstream, &mut self.queues);
        let consumed = self.core.handle_downstream(policy, now, &mut out);
        let mut passed = out.finish();
        passed.start += self.write_to_redis(&input[passed.clone()], sockets);
        let consumed = consumed?;
        if held.is_empty() {
            self.queues.upstream.extend(&fresh[passed]);
            self.requests.extend(&fresh[consumed..]);
        } else if self.queues.upstream.is_empty() && passed.len() > held.len() - consumed {
            // A request that was held may be large: it changes hands, and the smaller rest is copied.
            self.requests.extend(&held.as_slice()[consumed..]);
            held.truncate(passed.end);
            held.advance(passed.start);
            self.queues.upstream = held;
        } else {
            self.queues.upstream.extend(&held.as_slice()[passed]);
            held.advance(consumed);
            self.requests = held;
        }
        Ok(consumed)
    }

    /// True if something came.
    fn poll_redis(&mut self, quota: &mut ReadQuota, sockets: &Sockets, now: Instant) -> Result<bool, CloseReason> {
        SCRATCH_BUFFER.with_borrow_mut(|scratch| {
            let Some(upstream) = &mut self.upstream else { return Ok(false) };
            match quota.read(upstream, &sockets.redis, scratch) {
                Read::Nothing => Ok(false),
                Read::Some(count) => self.feed_replies(&scratch[..count], sockets, now).map(|()| true),
                Read::End | Read::Failed => self.core.handle_eof(Side::Upstream, now).map(|()| false),
            }
        })
    }

    fn feed_replies(&mut self, fresh: &[u8], sockets: &Sockets, now: Instant) -> Result<(), CloseReason> {
        let mut held = std::mem::take(&mut self.replies);
        let input = if held.is_empty() {
            fresh
        } else {
            held.extend(fresh);
            held.as_slice()
        };
        let mut out = Output::new(input, Side::Upstream, &mut self.queues);
        let consumed = self.core.handle_upstream(now, &mut out);
        let passed = out.finish();
        if let Some(duration) = self.core.take_reply_duration() {
            self.services.count_reply(duration);
        }
        self.write_to_client(&input[passed], sockets)?;
        let consumed = consumed?;
        if held.is_empty() {
            self.replies.extend(&fresh[consumed..]);
        } else {
            held.advance(consumed);
            self.replies = held;
        }
        Ok(())
    }

    /// How many of the bytes do not have to wait: they are sent, or Redis takes no more.
    fn write_to_redis(&mut self, bytes: &[u8], sockets: &Sockets) -> usize {
        if bytes.is_empty() || self.upstream_write_closed {
            return bytes.len();
        }
        let Some(upstream) = &mut self.upstream else { return 0 };
        if !self.queues.upstream.is_empty() {
            return 0;
        }
        match Pin::new(upstream).poll_write(&mut sockets.redis.context(), bytes) {
            Poll::Ready(Ok(count)) => count,
            Poll::Ready(Err(_)) => {
                self.upstream_write_closed = true;
                bytes.len()
            }
            Poll::Pending => 0,
        }
    }

    fn write_to_client(&mut self, bytes: &[u8], sockets: &Sockets) -> Result<(), CloseReason> {
        let mut sent = 0;
        if !bytes.is_empty() && self.queues.downstream.is_empty() {
            match Pin::new(&mut self.client).poll_write(&mut sockets.client.context(), bytes) {
                Poll::Ready(Ok(count)) => {
                    sent = count;
                    self.volume.sent += count as u64;
                    self.unflushed = true;
                }
                Poll::Ready(Err(_)) => return Err(CloseReason::ClientLost),
                Poll::Pending => {}
            }
        }
        self.queues.downstream.extend(&bytes[sent..]);
        Ok(())
    }

    /// Before the client hears of them: whoever asks `ACL LOG` thereafter finds them there.
    fn note_acl_log(&mut self) {
        if self.core.has_acl_log() {
            self.services.note_acl_log(&mut self.core);
        }
    }

    /// Writes what waits; true if some of it went out, so that more may now be read.
    fn poll_writes(&mut self, sockets: &Sockets, now: Instant) -> Result<bool, CloseReason> {
        self.note_acl_log();
        let waiting = self.queues.upstream.len() + self.queues.downstream.len();
        if let Some(upstream) = &mut self.upstream {
            while !self.queues.upstream.is_empty() {
                let redis = &mut sockets.redis.context();
                match Pin::new(&mut *upstream).poll_write(redis, self.queues.upstream.as_slice()) {
                    Poll::Ready(Ok(count)) => self.queues.upstream.advance(count),
                    Poll::Ready(Err(_)) => {
                        self.upstream_write_closed = true;
                        self.queues.upstream = Buffer::default();
                    }
                    Poll::Pending => break,
                }
            }
        }
        let client = &mut sockets.client.context();
        while !self.queues.downstream.is_empty() {
            match Pin::new(&mut self.client).poll_write(client, self.queues.downstream.as_slice()) {
                Poll::Ready(Ok(count)) => {
                    self.volume.sent += count as u64;
                    self.queues.downstream.advance(count);
                    self.unflushed = true;
                }
                Poll::Ready(Err(_)) => return Err(CloseReason::ClientLost),
                Poll::Pending => break,
            }
        }
        if self.unflushed {
            match Pin::new(&mut self.client).poll_flush(client) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(_)) => return Err(CloseReason::ClientLost),
                Poll::Pending => {}
            }
        }
        self.core.handle_backlog(Side::Downstream, self.queues.downstream.len() + usize::from(self.unflushed), now);
        self.core.handle_backlog(Side::Upstream, self.queues.upstream.len(), now);
        Ok(self.queues.upstream.len() + self.queues.downstream.len() < waiting)
    }

    /// Does what the core wants done; true if there is something new to poll.
    fn run_actions(&mut self, cx: &mut Context<'_>) -> Result<bool, CloseReason> {
        let mut started = false;
        while let Some(action) = self.core.poll_action() {
            match action {
                Action::Connect => {
                    self.connecting = Some(self.services.connect());
                    started = true;
                }
                Action::Disconnect => {
                    self.upstream = None;
                    self.connecting = None;
                    self.upstream_write_closed = false;
                    self.replies = Buffer::default();
                    self.queues.upstream = Buffer::default();
                }
                Action::Free(to_free) => self.services.free(to_free),
                Action::Verify(credentials) => {
                    self.verifying = Some(self.services.verify(&self.core, credentials));
                    started = true;
                }
                Action::Administer(administration) => {
                    let go_ahead = self.go_ahead.take();
                    self.administering = Some(if go_ahead.is_none() && administration.is_edit() {
                        self.edit = Some(administration);
                        self.services.queue_edit()
                    } else {
                        self.services.administer(&mut self.core, administration, go_ahead)
                    });
                    // It is polled at the beginning of a wake-up.
                    cx.waker().wake_by_ref();
                }
                Action::Mirror(spec) => {
                    self.mirroring = Some(self.services.mirror(spec));
                    started = true;
                }
                Action::QueueLongJudgement => {
                    self.long_turn.queue(self.services.long_turns(), self.account.holder(), cx);
                }
                Action::Unblock => {
                    self.unblocking = self.upstream.as_ref().map(|upstream| self.services.unblock(upstream));
                    started = true;
                }
                Action::Close(reason) => return Err(reason),
            }
        }
        Ok(started)
    }

    /// With so many bytes that TLS holds.
    fn account_for_memory(&mut self, in_tls: usize) -> Result<(), CloseReason> {
        let user = self.core.principal().map(|principal| principal.user.name());
        if !self.account.holder().is(user) {
            self.account.move_to(Holder::of(user, self.core.peer().address.ip()));
            self.acts_for_another = true;
        }
        let buffers = [&self.requests, &self.replies, &self.queues.downstream, &self.queues.upstream];
        let held = buffers.into_iter().map(Buffer::capacity).sum::<usize>() + self.core.memory() + in_tls;
        self.account.hold(in_steps(held) + self.certificates);
        if self.account.is_evicted() { Err(CloseReason::MemoryBudget) } else { Ok(()) }
    }
}

fn turn_of(holder: &Holder, services: &impl Services) -> UserTurn<Option<UserName>> {
    let (user, network) = holder.turns();
    services.user_turns().enter(&user, network)
}

/// As many bytes as are accounted for.
fn in_steps(bytes: usize) -> usize {
    bytes / ACCOUNTED_STEP * ACCOUNTED_STEP
}

impl From<AuthOutcome> for LoginOutcome {
    fn from(outcome: AuthOutcome) -> Self {
        match outcome {
            AuthOutcome::Accepted(index) => Self::Accepted(index),
            AuthOutcome::Rejected => Self::Rejected,
            AuthOutcome::Busy => Self::Busy,
            AuthOutcome::Throttled => Self::Throttled,
        }
    }
}

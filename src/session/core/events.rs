//! What may happen to a session.

use std::sync::Arc;
use std::time::Instant;

use super::SessionCore;
use crate::acl::Effort;
use crate::policy::Policy;
use crate::session::action::{Action, UpstreamFailure};
use crate::session::close::CloseReason;
use crate::session::lifetime::Due;
use crate::session::limits::SessionLimits;
use crate::session::output::{Output, Side};
use crate::session::wait::Wait;

impl SessionCore {
    /// The session has its turn among others: a bounded number of requests is taken until the next. If it `may_be_long`, as
    /// [`Action::QueueLongJudgement`] asked for, a request is judged that takes long.
    pub fn begin_turn(&mut self, may_be_long: bool) {
        self.intake.begin_turn(may_be_long);
    }

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
        if self.flow.held() == 0 {
            self.intake.forget_refused_login();
        }
        let fresh = out.input().len().saturating_sub(self.flow.held());
        if fresh > 0 {
            self.life.note_activity(now);
            self.life.request_mut().note_bytes(fresh);
        }
        let waited_for_redis = self.waits_for_redis();
        let consumed = self.take_requests(policy, now, out)?;
        if !self.life.is_running() {
            self.go_on_if_replies_are_out();
        }
        if !waited_for_redis {
            self.life.note_upstream(now);
        }
        self.finish_if_drained(now);
        self.flow.hold(out.input().len() - consumed);
        if self.life.has_client_closed() && !self.intake.is_behind() {
            self.end_requests(now)?;
        }
        self.close_if_unread();
        Ok(consumed)
    }

    /// Bytes came from Redis, likewise.
    ///
    /// # Errors
    /// Why both connections have to be closed at once.
    pub fn handle_upstream(&mut self, now: Instant, out: &mut Output<'_>) -> Result<usize, CloseReason> {
        match self.upstream.serves(out.input()) {
            None => return Ok(0),
            Some(false) => return Err(CloseReason::UpstreamFull),
            Some(true) => {}
        }
        self.life.note_upstream(now);
        let owed = self.upstream.replies_owed();
        let known_as = (&self.client_ids, self.who.user_name());
        let (consumed, next) = self.upstream.take_replies(self.intake.are_replies_off(), known_as, out)?;
        if let Some(next) = next {
            self.intake.wait_for(Wait::Replies(next));
        }
        let answered = owed.saturating_sub(self.upstream.replies_owed());
        if let Some(since) = self.upstream.note_replies(answered) {
            self.outbox.note_reply_duration(now.saturating_duration_since(since));
        }
        self.flow.note_replies(answered, consumed as u64);
        if consumed > 0 {
            self.life.note_activity(now);
        }
        if self.life.has_client_closed() && self.may_wait_for_ever() {
            return Err(CloseReason::ClientGone);
        }
        self.finish_if_drained(now);
        self.go_on_if_replies_are_out();
        self.unblock_if_drained();
        Ok(consumed)
    }

    /// A side has closed its direction.
    ///
    /// # Errors
    /// Why both connections have to be closed at once.
    pub fn handle_eof(&mut self, side: Side, now: Instant) -> Result<(), CloseReason> {
        match side {
            Side::Upstream if !self.upstream.is_connected() => Ok(()),
            Side::Upstream => Err(self.life.reason().unwrap_or(CloseReason::UpstreamGone)),
            Side::Downstream => {
                self.life.client_closes(now + self.limits.half_close_timeout);
                self.end_pause();
                if self.flow.held() > 0 && !self.is_waiting() && !self.may_wait_for_ever() {
                    // What is held may be whole requests, which nobody has looked at yet.
                    return Ok(());
                }
                self.end_requests(now)
            }
        }
    }

    /// The upstream connection is there, logged in as the proxy's own user, or is not to be had.
    pub fn handle_connected(&mut self, result: Result<(), UpstreamFailure>) {
        if !self.upstream.is_connecting() {
            return;
        }
        self.upstream.note_connected(result.is_ok());
        let Err(failure) = result else { return };
        // Without a word, once what was answered before is out: clients take that for what passes, and an error for what
        // does not.
        self.life.close();
        self.outbox.act(Action::Close(failure.into()));
    }

    /// Other bounds hold from now on.
    pub fn set_limits(&mut self, limits: Arc<SessionLimits>) {
        self.limits = limits;
    }

    /// The policy is a new one.
    ///
    /// # Errors
    /// The right behind the session has gone.
    pub fn handle_policy(&mut self, policy: &Policy) -> Result<(), CloseReason> {
        // A session whose own edit is being done is told before anything becomes of it.
        if self.who.is_under(policy)
            || matches!(self.intake.waits_for(), Some(Wait::Administering { has_go_ahead: true, .. }))
        {
            return Ok(());
        }
        self.renew(policy, None)
    }

    /// Goes on under another policy. `own` is the number of one that this session made itself.
    pub(super) fn renew(&mut self, policy: &Policy, own: Option<u64>) -> Result<(), CloseReason> {
        self.upstream.mirror_mut().outdate();
        self.note_admission(policy);
        let change = self.who.renew(&self.peer, policy, own)?;
        let (Some(change), Some(user)) = (change, self.who.user()) else { return Ok(()) };
        self.upstream.user_changed(user);
        let effort = Effort::of_a_session();
        let keeps_all = !self.upstream.rests_on_rights() || change.keeps_all(&effort);
        if !keeps_all {
            self.upstream.rights_lost();
        }
        let loses_keys = self.upstream.is_told_of_keys() && !user.keeps_readable_keys_of(change.former(), &effort);
        self.intake.note_effort(&effort);
        if loses_keys || !self.may_go_on(policy, keeps_all) { Err(CloseReason::OngoingRightLost) } else { Ok(()) }
    }

    /// Time has passed. To be called before anything else that happens then.
    pub fn note_time(&mut self, now: Instant) {
        let was_read = self.is_reading_request();
        self.life.request_mut().note_time(now, was_read);
    }

    /// The time that [`next_timeout`](Self::next_timeout) gave has come. It does no harm if it has not.
    ///
    /// # Errors
    /// Why both connections have to be closed at once.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Output<'_>) -> Result<(), CloseReason> {
        self.finish_if_drained(now);
        if let Some(Wait::Throttled { until }) = self.intake.waits_for()
            && *until <= now
        {
            self.tell_throttled(now, out);
            return Ok(());
        }
        match self.due() {
            Some((at, Due::Close(reason))) if at <= now => Err(reason),
            Some((at, Due::NotAuthenticated)) if at <= now => {
                let text = "ERR respgate: authentication timed out";
                self.fail(CloseReason::AuthenticationTimeout, text, now, out);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The driver says how many bytes wait for a side's socket.
    pub fn handle_backlog(&mut self, side: Side, unsent: usize, now: Instant) {
        let has_taken = self.flow.note_unsent(side, unsent);
        match side {
            Side::Downstream => self.close_if_unread(),
            Side::Upstream => {
                if has_taken {
                    self.life.note_upstream(now);
                }
                if unsent == 0
                    && let Some(reason) = self.life.close_if_flushed()
                {
                    self.outbox.act(Action::Close(reason));
                }
                self.unblock_if_drained();
            }
        }
    }
}

//! The end of the process, as a session meets it.

use std::time::Instant;

use super::SessionCore;
use crate::session::action::Action;
use crate::session::close::CloseReason;
use crate::session::lifetime::Unfinished;

impl SessionCore {
    /// The proxy is shutting down: the session ends as soon as nothing is owed, and Redis is not waited for where it waits
    /// itself. Whoever Redis tells something unasked goes on until [`handle_last_drain`](Self::handle_last_drain).
    pub fn handle_drain(&mut self, now: Instant, deadline: Instant) {
        self.life.drain(now, deadline);
        self.finish_if_drained(now);
    }

    /// All others have ended. What has come is still told.
    pub fn handle_last_drain(&mut self, now: Instant) {
        self.life.let_none_go_on();
        self.finish_if_drained(now);
    }

    /// Whether the session waits for [`handle_last_drain`](Self::handle_last_drain).
    pub fn waits_for_last_drain(&self) -> bool {
        self.life.is_to_drain() && self.unfinished() == Some(Unfinished::Unasked)
    }

    /// Redis does not give up what the session waits for, as [`Action::Unblock`] asked for.
    ///
    /// # Errors
    /// The session ends at once, unless the answer has begun to come.
    pub fn handle_not_unblocked(&mut self) -> Result<(), CloseReason> {
        if self.upstream.is_blocked() && !self.upstream.is_answering() { Err(CloseReason::Drained) } else { Ok(()) }
    }

    /// A session that is to end with the process, and is in the middle of nothing, takes no more requests.
    pub(super) fn finish_if_drained(&mut self, now: Instant) {
        if !self.life.is_to_drain() || self.goes_on_until().is_some_and(|until| now < until) {
            return;
        }
        self.life.finish_drained(self.who.is_authenticated());
        self.end_pause();
        self.go_on_if_replies_are_out();
        self.unblock_if_drained();
    }

    /// Until when a session that is to end with the process goes on as before, if it does.
    pub(super) fn goes_on_until(&self) -> Option<Instant> {
        if self.life.is_to_drain() { self.life.goes_on_until(self.unfinished()?) } else { None }
    }

    fn unfinished(&self) -> Option<Unfinished> {
        if self.is_told_unasked() && !self.life.is_last_drain() {
            Some(Unfinished::Unasked)
        } else if self.upstream.may_queue() {
            Some(Unfinished::Transaction)
        } else if self.outbox.traffic().requests() == 0 {
            Some(Unfinished::FirstRequest)
        } else {
            None
        }
    }

    /// Redis tells the session something unasked, and is not waited for in a blocking command: a subscription, MONITOR, a
    /// replication link, tracking.
    fn is_told_unasked(&self) -> bool {
        (self.upstream.sends_unasked() || self.upstream.is_told_of_keys()) && !self.upstream.is_blocked()
    }

    /// A blocking command that a session waits for at its end is given up, once Redis has been sent all of it.
    pub(super) fn unblock_if_drained(&mut self) {
        let is_drained = self.life.reason() == Some(CloseReason::Drained);
        if is_drained && self.flow.is_sent_upstream() && self.upstream.begin_unblocking() {
            self.outbox.act(Action::Unblock);
        }
    }
}

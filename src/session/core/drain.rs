//! The end of the process, as a session meets it.

use std::time::Instant;

use super::SessionCore;
use crate::session::action::Action;
use crate::session::close::CloseReason;

impl SessionCore {
    /// The proxy is shutting down: the session ends as soon as nothing is owed, and Redis is not waited for where it waits
    /// itself.
    ///
    /// # Errors
    /// It ends at once.
    pub fn handle_drain(&mut self, deadline: Instant) -> Result<(), CloseReason> {
        if self.upstream.has_ongoing() && !self.upstream.is_blocked() {
            return Err(CloseReason::Drained);
        }
        self.life.finish(CloseReason::Drained, deadline);
        self.end_pause();
        self.go_on_if_replies_are_out();
        self.unblock_if_drained();
        Ok(())
    }

    /// Redis does not give up what the session waits for, as [`Action::Unblock`] asked for.
    ///
    /// # Errors
    /// The session ends at once, unless the answer has begun to come.
    pub fn handle_not_unblocked(&mut self) -> Result<(), CloseReason> {
        if self.upstream.is_blocked() && !self.upstream.is_answering() { Err(CloseReason::Drained) } else { Ok(()) }
    }

    /// A blocking command that a session waits for at its end is given up, once Redis has been sent all of it.
    pub(super) fn unblock_if_drained(&mut self) {
        let is_drained = self.life.reason() == Some(CloseReason::Drained);
        if is_drained && self.flow.is_sent_upstream() && self.upstream.begin_unblocking() {
            self.outbox.act(Action::Unblock);
        }
    }
}

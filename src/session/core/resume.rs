//! What had to follow all earlier replies.

use std::time::Instant;

use super::SessionCore;
use crate::policy::Policy;
use crate::session::action::Action;
use crate::session::close::CloseReason;
use crate::session::output::{Output, Side};
use crate::session::wait::{AfterDrain, Wait};

impl SessionCore {
    /// Does what had to follow all earlier replies, once they are out.
    pub(super) fn resume(&mut self, policy: &Policy, now: Instant, out: &mut Output<'_>) -> Result<(), CloseReason> {
        if !self.upstream.is_drained() || !self.intake.waits_for().is_some_and(Wait::is_for_replies) {
            return Ok(());
        }
        let Some(Wait::Drained(next)) = self.intake.take_wait() else { return Ok(()) };
        let has_to_wait = match next {
            AfterDrain::Reset => out.waiting(Side::Upstream) > 0,
            _ => !self.upstream.is_ready(),
        };
        if has_to_wait {
            if !matches!(next, AfterDrain::Reset) && self.upstream.is_absent() {
                self.connect();
            }
            self.intake.wait_for(Wait::Drained(next));
            return Ok(());
        }
        match next {
            AfterDrain::Reset => self.reset(policy, now, out),
            AfterDrain::Hello(protocol, request) if self.mirror_is_outdated() => {
                self.greet_as_mirror(protocol, request);
                self.resume(policy, now, out)
            }
            AfterDrain::Hello(protocol, request) => {
                out.send(Side::Upstream, &request);
                let visibility = self.intake.take_visibility();
                self.upstream.expect_hello(protocol, visibility);
                Ok(())
            }
            AfterDrain::Replicate(role, request) => {
                out.send(Side::Upstream, &request);
                self.upstream.replicate(role);
                Ok(())
            }
            AfterDrain::Mirror { anew } => self.order_mirror(policy, anew),
        }
    }

    /// Asks for the session's connection to Redis.
    pub(super) fn connect(&mut self) {
        self.upstream.connect();
        self.outbox.act(Action::Connect);
    }
}

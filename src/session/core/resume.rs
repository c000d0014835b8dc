//! What had to follow all earlier replies.

use std::time::Instant;

use super::SessionCore;
use crate::policy::Policy;
use crate::resp::Reply;
use crate::session::action::Action;
use crate::session::close::CloseReason;
use crate::session::intake::ReplyMode;
use crate::session::output::{Output, Side};
use crate::session::upstream::UpstreamState;
use crate::session::wait::{AfterReplies, Wait};
use crate::session::who::Who;

impl SessionCore {
    /// Does what had to follow all earlier replies, once they are out.
    pub(super) fn resume(&mut self, policy: &Policy, now: Instant, out: &mut Output<'_>) -> Result<(), CloseReason> {
        if !self.upstream.replies_are_out() || !self.intake.waits_for().is_some_and(Wait::is_for_replies) {
            return Ok(());
        }
        let Some(Wait::Replies(next)) = self.intake.take_wait() else { return Ok(()) };
        let has_to_wait = match next {
            AfterReplies::Reset => out.waiting(Side::Upstream) > 0,
            _ => !self.upstream.is_connected(),
        };
        if has_to_wait {
            if !matches!(next, AfterReplies::Reset) && self.upstream.is_absent() {
                self.connect();
            }
            self.intake.wait_for(Wait::Replies(next));
            return Ok(());
        }
        match next {
            AfterReplies::Reset => self.reset(policy, now, out),
            AfterReplies::Hello(protocol, request) if self.mirror_is_outdated() => {
                self.greet_as_mirror(protocol, request);
                self.resume(policy, now, out)
            }
            AfterReplies::Hello(protocol, request) => {
                out.send(Side::Upstream, &request);
                let visibility = self.intake.take_visibility();
                self.upstream.expect_hello(protocol, visibility);
                Ok(())
            }
            AfterReplies::Replicate(role, request) => {
                out.send(Side::Upstream, &request);
                self.upstream.replicate(role);
                Ok(())
            }
            AfterReplies::Mirror { anew } => self.order_mirror(policy, anew),
        }
    }

    /// RESET, once all earlier replies are out, and all that was forwarded: the session becomes what it was at accept. Redis
    /// would log the proxy out, so it gets a fresh connection instead.
    fn reset(&mut self, policy: &Policy, now: Instant, out: &mut Output<'_>) -> Result<(), CloseReason> {
        if !self.life.begin_again(self.who.is_authenticated(), now) {
            return Err(CloseReason::ResetStorm);
        }
        self.outbox.note_former_user(self.who.user().map(|user| user.name()));
        self.who = Who::admitted(&self.peer, policy).map_err(CloseReason::Revoked)?;
        self.note_admission(policy);
        if !self.upstream.is_absent() {
            self.outbox.act(Action::Disconnect);
        }
        if let Some(to_free) = self.upstream.take_to_free() {
            self.outbox.act(Action::Free(to_free));
        }
        self.upstream = UpstreamState::default();
        // A SKIP before it is for its own answer.
        if self.intake.are_replies_off() {
            self.intake.set_reply_mode(ReplyMode::On);
        }
        self.answer(&Reply::Simple("RESET".into()), out);
        Ok(())
    }

    /// Asks for the session's connection to Redis.
    pub(super) fn connect(&mut self) {
        self.upstream.connect();
        self.outbox.act(Action::Connect);
    }
}

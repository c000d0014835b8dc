//! What a session is at: its parts are asked, and what holds up the rest comes first.

use std::time::{Duration, Instant};

use super::SessionCore;
use crate::session::activity::Activity;
use crate::session::wait::Wait;

impl SessionCore {
    /// What the session waits in.
    pub fn activity(&self) -> Activity {
        match self.intake.waits_for() {
            Some(Wait::Verifying(_)) => return Activity::Password,
            Some(Wait::Throttled { .. }) => return Activity::Throttled,
            Some(Wait::Administering { .. }) => return Activity::Edit,
            Some(Wait::Mirroring { .. }) => return Activity::Mirror,
            Some(Wait::LongJudgement) => return Activity::Judgement,
            Some(Wait::Replies(_) | Wait::Undecided) | None => {}
        }
        if self.upstream.is_connecting() {
            Activity::Connect
        } else if !self.flow.has_room_downstream() {
            Activity::Unread
        } else if let Some(ongoing) = self.upstream.activity() {
            ongoing
        } else if self.waits_for_redis() {
            Activity::Redis
        } else if !self.who.is_authenticated() {
            Activity::Login
        } else {
            Activity::Client
        }
    }

    /// For how long the client has neither sent anything nor been sent anything.
    pub fn idle(&self, now: Instant) -> Duration {
        self.life.idle(now)
    }
}

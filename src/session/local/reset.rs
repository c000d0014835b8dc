//! RESET: the session becomes what it was at accept. Redis would log *us* out, so it gets a fresh connection instead.

use std::time::{Duration, Instant};

use crate::policy::{Admission, Policy};
use crate::resp::{Protocol, Reply, ReplyFramer};
use crate::session::action::Action;
use crate::session::close::CloseReason;
use crate::session::core::{Link, ReplyMode, SessionCore};
use crate::session::database::Database;
use crate::session::mirror::Mirror;
use crate::session::one_shot::OneShot;
use crate::session::output::Output;
use crate::session::pending::Pending;
use crate::session::subscription::Subscriptions;
use crate::session::transaction::Transaction;
use crate::session::wait::{AfterDrain, Wait};

/// RESET costs a connection to Redis: 16 at once, 16 a second.
#[derive(Debug)]
pub(in crate::session) struct ResetBudget {
    left: u32,
    refilled: Instant,
}

impl ResetBudget {
    const MOST: u32 = 16;

    pub(in crate::session) fn new(now: Instant) -> Self {
        Self { left: Self::MOST, refilled: now }
    }

    fn spend(&mut self, now: Instant) -> bool {
        if now.duration_since(self.refilled) >= Duration::from_secs(1) {
            *self = Self::new(now);
        }
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }
}

impl SessionCore {
    /// RESET, once all earlier replies are out, and all that was forwarded.
    pub(super) fn request_reset(&mut self) {
        self.wait = Some(Wait::Drained(AfterDrain::Reset));
    }

    /// All earlier replies are out: back to the beginning.
    pub(in crate::session) fn reset(
        &mut self,
        policy: &Policy,
        now: Instant,
        out: &mut Output<'_>,
    ) -> Result<(), CloseReason> {
        if !self.resets.spend(now) {
            return Err(CloseReason::ResetStorm);
        }
        self.principal = match policy.admit(self.peer.certificate.as_deref(), self.peer.address.ip()) {
            Admission::User(principal) => Some(principal),
            Admission::Password => None,
            Admission::Refused(reason) => return Err(CloseReason::Revoked(reason)),
        };
        if self.link != Link::Absent {
            self.link = Link::Absent;
            self.act(Action::Disconnect);
        }
        self.own_id = None;
        self.mirror = Mirror::default();
        self.framer = ReplyFramer::new();
        self.open_frame = None;
        self.pending = Pending::default();
        self.protocol = Protocol::Resp2;
        self.started = now;
        self.database = Database::default();
        self.transaction = Transaction::default();
        self.one_shot = OneShot::default();
        self.tracking = false;
        self.subscriptions = Subscriptions::default();
        // A SKIP before it is for its own answer.
        if self.reply_mode == ReplyMode::Off {
            self.reply_mode = ReplyMode::On;
        }
        self.monitoring = false;
        self.answer(&Reply::Simple("RESET".into()), out);
        Ok(())
    }
}

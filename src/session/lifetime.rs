//! When a session ends, and how.

use std::time::{Duration, Instant};

use super::close::CloseReason;
use super::limits::SessionLimits;
use super::progress::RequestProgress;

/// What the session is doing at large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
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

/// Which timeout runs, by whom a running session waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timeout {
    /// A login.
    Login,
    /// Redis, which owes something or does not take what it is sent.
    Redis,
    /// The client.
    Client,
    /// None: what is waited for may take its time.
    Never,
}

/// What happens when time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Close(CloseReason),
    /// Nobody has logged in.
    NotAuthenticated,
}

/// What a session is in the middle of that the end of the process does not cut off at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfinished {
    /// Redis tells it something unasked.
    Unasked,
    /// A transaction is open.
    Transaction,
    /// It has not asked anything yet.
    FirstRequest,
}

/// For so long a session that has only begun may still say its first request, and one in a transaction EXEC or DISCARD.
const GRACE: Duration = Duration::from_secs(2);

/// The end of the process, which has begun.
#[derive(Debug, Clone, Copy)]
struct Drain {
    began: Instant,
    /// When every session ends, whatever it waits for.
    deadline: Instant,
    /// Those to whom Redis tells something unasked end as well.
    is_last: bool,
}

/// From the handshake to the end. A stage is never gone back to, and the first reason to end is the one that is told. It
/// lives as long as the session; RESET gives the time to log in once more to whoever was logged in.
pub(super) struct Lifetime {
    stage: Stage,
    /// The client has closed its side: what it sent before is still answered, until then.
    client_closed: Option<Instant>,
    /// When the session began, or was last logged out by RESET.
    started: Instant,
    /// When the client last sent something or was last sent something.
    last_active: Instant,
    /// Since when Redis owes something, or when it last said or took something since then.
    waited_since: Instant,
    /// What comes of a request that has begun.
    request: RequestProgress,
    resets: ResetBudget,
    drain: Option<Drain>,
}

impl Lifetime {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            stage: Stage::Running,
            client_closed: None,
            started: now,
            last_active: now,
            waited_since: now,
            request: RequestProgress::new(now),
            resets: ResetBudget::new(now),
            drain: None,
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.stage == Stage::Running
    }

    /// Why the session is ending, if it is.
    pub(super) fn reason(&self) -> Option<CloseReason> {
        match self.stage {
            Stage::Finishing { reason, .. } | Stage::Flushing { reason, .. } => Some(reason),
            Stage::Running | Stage::Closed => None,
        }
    }

    pub(super) fn has_client_closed(&self) -> bool {
        self.client_closed.is_some()
    }

    /// When the session began, or was last logged out by RESET.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    pub(super) fn note_activity(&mut self, now: Instant) {
        self.last_active = now;
    }

    /// For how long the client has neither sent anything nor been sent anything.
    pub(super) fn idle(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.last_active)
    }

    /// Redis has said or taken something, or owes something from now on.
    pub(super) fn note_upstream(&mut self, now: Instant) {
        self.waited_since = now;
    }

    /// The client has closed its side.
    pub(super) fn client_closes(&mut self, deadline: Instant) {
        self.client_closed = Some(deadline);
    }

    /// The end of the process has begun.
    pub(super) fn drain(&mut self, now: Instant, deadline: Instant) {
        self.drain.get_or_insert(Drain { began: now, deadline, is_last: false });
    }

    /// It ends those as well to whom Redis tells something unasked.
    pub(super) fn let_none_go_on(&mut self) {
        if let Some(drain) = &mut self.drain {
            drain.is_last = true;
        }
    }

    pub(super) fn is_last_drain(&self) -> bool {
        self.drain.is_some_and(|drain| drain.is_last)
    }

    /// Whether the session is to end with the process, and has not begun to.
    pub(super) fn is_to_drain(&self) -> bool {
        self.drain.is_some() && self.is_running()
    }

    /// Until when a session that is to end with the process goes on as before, for what it is in the middle of.
    pub(super) fn goes_on_until(&self, unfinished: Unfinished) -> Option<Instant> {
        let drain = self.drain?;
        Some(match unfinished {
            Unfinished::Unasked => drain.deadline,
            Unfinished::Transaction => drain.deadline.min(drain.began + GRACE),
            Unfinished::FirstRequest => drain.deadline.min(self.started + GRACE),
        })
    }

    /// Takes no more requests, because the process ends. Nobody who has not logged in holds that up for longer than a moment.
    pub(super) fn finish_drained(&mut self, is_authenticated: bool) {
        if let Some(Drain { began, deadline, .. }) = self.drain {
            let deadline = if is_authenticated { deadline } else { deadline.min(began + GRACE) };
            self.finish(CloseReason::Drained, deadline);
        }
    }

    /// Takes no more requests; what is owed still goes out.
    pub(super) fn finish(&mut self, reason: CloseReason, deadline: Instant) {
        if self.stage == Stage::Running {
            self.stage = Stage::Finishing { reason, deadline };
        }
    }

    /// Nothing is owed any more.
    pub(super) fn note_replies_are_out(&mut self) {
        if let Stage::Finishing { reason, deadline } = self.stage {
            self.stage = Stage::Flushing { reason, deadline };
        }
    }

    /// Redis has been sent everything that was forwarded, also what has no reply to wait for: why to close now, if so.
    pub(super) fn close_if_flushed(&mut self) -> Option<CloseReason> {
        let Stage::Flushing { reason, .. } = self.stage else { return None };
        self.stage = Stage::Closed;
        Some(reason)
    }

    /// The driver is told to close.
    pub(super) fn close(&mut self) {
        self.stage = Stage::Closed;
    }

    /// RESET. Who was not logged in has no more time for it than before. False if it comes too often.
    #[must_use]
    pub(super) fn begin_again(&mut self, was_authenticated: bool, now: Instant) -> bool {
        if was_authenticated {
            self.started = now;
        }
        self.resets.spend(now)
    }

    /// The request that the client is sending.
    pub(super) fn request_mut(&mut self) -> &mut RequestProgress {
        &mut self.request
    }

    /// When the rest of the request that the client is sending is due.
    pub(super) fn request_due(&self, limits: &SessionLimits) -> Option<(Instant, Due)> {
        Some((self.request.due(limits.request_timeout?)?, Due::Close(CloseReason::RequestTimeout)))
    }

    /// When something is due, and what.
    pub(super) fn due(&self, timeout: Timeout, limits: &SessionLimits) -> Option<(Instant, Due)> {
        let after = |timeout: Option<Duration>, since: Instant, reason| {
            Some((since.checked_add(timeout?)?, Due::Close(reason)))
        };
        match (self.stage, self.client_closed, timeout) {
            (Stage::Closed, ..) => None,
            (Stage::Finishing { reason: CloseReason::ClientGone, deadline }, ..) => {
                Some((deadline, Due::Close(CloseReason::HalfCloseTimeout)))
            }
            (Stage::Finishing { reason, deadline } | Stage::Flushing { reason, deadline }, ..) => {
                Some((deadline, Due::Close(reason)))
            }
            (Stage::Running, Some(deadline), _) => Some((deadline, Due::Close(CloseReason::HalfCloseTimeout))),
            (Stage::Running, None, Timeout::Login) => Some((self.started + limits.auth_timeout, Due::NotAuthenticated)),
            (Stage::Running, None, Timeout::Redis) => {
                after(limits.upstream_timeout, self.waited_since, CloseReason::UpstreamTimeout)
            }
            (Stage::Running, None, Timeout::Client) => after(limits.idle_timeout, self.last_active, CloseReason::Idle),
            (Stage::Running, None, Timeout::Never) => None,
        }
    }
}

/// RESET costs a connection to Redis: 16 at once, 16 a second.
#[derive(Debug)]
struct ResetBudget {
    left: u32,
    refilled: Instant,
}

impl ResetBudget {
    const MOST: u32 = 16;

    fn new(now: Instant) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::RequestLimits;

    const SECOND: Duration = Duration::from_secs(1);

    fn limits() -> SessionLimits {
        SessionLimits {
            request: RequestLimits::AUTHENTICATED,
            request_buffer: 0,
            hold_buffer: 0,
            auth_timeout: SECOND,
            idle_timeout: Some(2 * SECOND),
            request_timeout: Some(4 * SECOND),
            upstream_timeout: Some(3 * SECOND),
            half_close_timeout: SECOND,
        }
    }

    #[test]
    fn the_first_reason_to_end_is_the_one_that_is_told() {
        let now = Instant::now();
        let mut life = Lifetime::new(now);
        life.finish(CloseReason::Quit, now);
        life.finish(CloseReason::Drained, now);
        assert_eq!((life.reason(), life.close_if_flushed()), (Some(CloseReason::Quit), None));
        life.note_replies_are_out();
        assert_eq!(life.close_if_flushed(), Some(CloseReason::Quit));
        assert_eq!((life.close_if_flushed(), life.is_running()), (None, false));
    }

    #[test]
    fn what_is_due_follows_from_what_the_session_waits_for() {
        let now = Instant::now();
        let mut life = Lifetime::new(now);
        let due = |life: &Lifetime, timeout| life.due(timeout, &limits());
        assert_eq!(due(&life, Timeout::Login), Some((now + SECOND, Due::NotAuthenticated)));
        assert_eq!(due(&life, Timeout::Client), Some((now + 2 * SECOND, Due::Close(CloseReason::Idle))));
        assert_eq!(due(&life, Timeout::Redis), Some((now + 3 * SECOND, Due::Close(CloseReason::UpstreamTimeout))));
        assert_eq!(due(&life, Timeout::Never), None);
        life.client_closes(now);
        assert_eq!(due(&life, Timeout::Never), Some((now, Due::Close(CloseReason::HalfCloseTimeout))));
        life.close();
        assert_eq!(due(&life, Timeout::Login), None);
    }

    #[test]
    fn resets_are_counted_for_a_second() {
        let now = Instant::now();
        let mut life = Lifetime::new(now);
        let allowed = (0..100).filter(|_| life.begin_again(true, now)).count();
        assert_eq!(allowed, 16);
        assert!(life.begin_again(true, now + SECOND));
    }
}

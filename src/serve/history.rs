//! The last quarter of an hour, as `/status` tells of it and the page draws it.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior};

use super::door::Proxy;

/// How long an interval lasts.
const INTERVAL: Duration = Duration::from_secs(10);

/// As many are kept.
pub(super) const INTERVALS: usize = 90;

/// What was in each interval, the oldest first; the last one lasts still. Described in `docs/operations.md`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryStatus {
    /// How long each is.
    pub interval_seconds: u64,
    /// How long the last one has lasted by now.
    pub running_seconds: u64,
    /// Requests, whatever became of them.
    pub requests: Vec<u64>,
    /// What was refused: requests, logins, handshakes and connections.
    pub refusals: Vec<u64>,
    /// Sessions at the end of each.
    pub sessions: Vec<u64>,
}

/// What was counted since the start, and the sessions that there are.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    pub(super) requests: u64,
    pub(super) refusals: u64,
    pub(super) sessions: u64,
}

impl Totals {
    /// What has come since these were so.
    fn since(&self, before: &Totals) -> Totals {
        Totals {
            requests: self.requests.saturating_sub(before.requests),
            refusals: self.refusals.saturating_sub(before.refusals),
            sessions: self.sessions,
        }
    }
}

/// The last intervals.
#[derive(Debug)]
pub(super) struct History {
    /// When the running one began, and with what.
    began: (Instant, Totals),
    /// In each that is over.
    intervals: VecDeque<Totals>,
}

impl History {
    /// One that begins now.
    pub(super) fn new(now: Instant) -> History {
        History { began: (now, Totals::default()), intervals: VecDeque::new() }
    }

    /// An interval ends now, with this.
    fn note(&mut self, totals: Totals, now: Instant) {
        if self.intervals.len() == INTERVALS - 1 {
            self.intervals.pop_front();
        }
        self.intervals.push_back(totals.since(&self.began.1));
        self.began = (now, totals);
    }

    /// As it is now, with this.
    pub(super) fn status(&self, totals: Totals, now: Instant) -> HistoryStatus {
        let running = totals.since(&self.began.1);
        let each = |count: fn(&Totals) -> u64| self.intervals.iter().chain([&running]).map(count).collect();
        HistoryStatus {
            interval_seconds: INTERVAL.as_secs(),
            running_seconds: now.saturating_duration_since(self.began.0).as_secs(),
            requests: each(|interval| interval.requests),
            refusals: each(|interval| interval.refusals),
            sessions: each(|interval| interval.sessions),
        }
    }
}

/// Notes each interval, for ever.
pub(super) async fn keep(proxy: Rc<Proxy>) {
    let mut ends = tokio::time::interval_at(Instant::now() + INTERVAL, INTERVAL);
    ends.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ends.tick().await;
        let totals = proxy.totals().await;
        proxy.history.borrow_mut().note(totals, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_of_the_last_intervals_there_is_what_was_in_it() {
        let began = Instant::now();
        let mut history = History::new(began);
        let totals = |n| Totals { requests: 10 * n, refusals: n / 200, sessions: n };
        (1..200).for_each(|n| history.note(totals(n), began + INTERVAL));
        let HistoryStatus { requests, refusals, sessions, running_seconds, .. } =
            history.status(totals(200), began + INTERVAL + Duration::from_secs(3));
        assert_eq!(requests, [10; INTERVALS]);
        assert_eq!((refusals.iter().sum::<u64>(), refusals.last()), (1, Some(&1)));
        assert_eq!((sessions.first(), sessions.last(), sessions.len()), (Some(&111), Some(&200), INTERVALS));
        assert_eq!(running_seconds, 3);
    }
}

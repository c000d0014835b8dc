//! What the session has to say to others than its two sides.

use std::collections::VecDeque;

use super::action::{Action, Report};
use crate::acl::{AclLog, Refusal};

/// What a session has moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests, whatever became of them.
    pub requests: u64,
    /// Requests refused.
    pub refused: u64,
}

/// Orders for the driver, reports for the log, refusals for `ACL LOG`, and counts, until they are taken. What nobody takes
/// is bounded. It lives as long as the session.
#[derive(Default)]
pub(super) struct Outbox {
    actions: VecDeque<Action>,
    reports: Vec<Report>,
    /// Reports that were left out because too many came at once.
    unreported: u64,
    /// A password that was not looked at has been reported.
    has_reported_stray: bool,
    refusals: Vec<Refusal>,
    traffic: Traffic,
}

impl Outbox {
    pub(super) fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    pub(super) fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub(super) fn report(&mut self, report: impl FnOnce() -> Report) {
        const AT_ONCE: usize = 16;
        if self.reports.len() < AT_ONCE {
            self.reports.push(report());
        } else {
            self.unreported += 1;
        }
    }

    /// A password that was not looked at: the first of the session only.
    pub(super) fn report_stray(&mut self, report: impl FnOnce() -> Report) {
        if !std::mem::replace(&mut self.has_reported_stray, true) {
            self.report(report);
        }
    }

    pub(super) fn take_reports(&mut self) -> (Vec<Report>, u64) {
        (std::mem::take(&mut self.reports), std::mem::take(&mut self.unreported))
    }

    pub(super) fn has_reports(&self) -> bool {
        !self.reports.is_empty()
    }

    /// The latest of the same count up, as they will in the log; more than the log keeps are not kept here either.
    pub(super) fn note_refusal(&mut self, refusal: Refusal) {
        if let Some(same) = self.refusals.last_mut().filter(|last| last.is_like(&refusal)) {
            same.count = same.count.saturating_add(refusal.count);
            return;
        }
        if self.refusals.len() >= AclLog::LENGTH {
            self.refusals.remove(0);
        }
        self.refusals.push(refusal);
    }

    pub(super) fn take_refusals(&mut self) -> Vec<Refusal> {
        std::mem::take(&mut self.refusals)
    }

    pub(super) fn has_refusals(&self) -> bool {
        !self.refusals.is_empty()
    }

    pub(super) fn count_request(&mut self) {
        self.traffic.requests += 1;
    }

    pub(super) fn count_refused(&mut self) {
        self.traffic.refused += 1;
    }

    pub(super) fn traffic(&self) -> Traffic {
        self.traffic
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::{RefusalContext, RefusalReason};

    #[test]
    fn reports_are_bounded_and_those_left_out_are_counted() {
        let mut outbox = Outbox::default();
        (0..20).for_each(|_| outbox.report(|| Report::LoggedIn { user: String::new() }));
        let (reports, unreported) = outbox.take_reports();
        assert_eq!((reports.len(), unreported), (16, 4));
        assert!(!outbox.has_reports());
    }

    #[test]
    fn refusals_of_the_same_count_up() {
        let mut outbox = Outbox::default();
        let refusal = |key: &[u8]| Refusal::new(RefusalReason::Key, RefusalContext::Toplevel, key, b"alice");
        [b"a", b"a", b"b"].iter().for_each(|key| outbox.note_refusal(refusal(*key)));
        let counts: Vec<_> = outbox.take_refusals().iter().map(|refusal| refusal.count).collect();
        assert_eq!((counts, outbox.has_refusals()), (vec![2, 1], false));
    }
}

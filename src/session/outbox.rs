//! What the session has to say to others than its two sides.

use std::collections::VecDeque;
use std::time::Duration;

use super::action::{Action, Report, RequestRefusal};
use crate::acl::{AclLog, AclLogRecord, UserName};
use crate::command::CommandSpec;
use crate::policy::{DenialReason, RequestKeys};

/// What became of the requests of a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// So many were forwarded.
    pub forwarded: u64,
    /// So many the proxy has answered itself, or was to answer.
    pub answered: u64,
    /// So many were refused.
    pub refused: u64,
    /// So many of those it was to answer were refused after all.
    pub refused_later: u64,
}

impl Traffic {
    /// All requests.
    pub fn requests(&self) -> u64 {
        self.forwarded + self.answered + self.refused
    }

    /// All that were refused.
    pub fn all_refused(&self) -> u64 {
        self.refused + self.refused_later
    }

    /// Counts more.
    pub fn add(&mut self, more: Traffic) {
        self.forwarded += more.forwarded;
        self.answered += more.answered;
        self.refused += more.refused;
        self.refused_later += more.refused_later;
    }

    /// What has come since then.
    #[must_use]
    pub fn since(&self, before: &Traffic) -> Traffic {
        Traffic {
            forwarded: self.forwarded - before.forwarded,
            answered: self.answered - before.answered,
            refused: self.refused - before.refused,
            refused_later: self.refused_later - before.refused_later,
        }
    }
}

/// Orders for the driver, reports for the log, records for `ACL LOG`, and counts, until they are taken. What nobody takes
/// is bounded. It lives as long as the session.
#[derive(Default)]
pub(super) struct Outbox {
    actions: VecDeque<Action>,
    /// With how often each happened.
    reports: Vec<(Report, u64)>,
    acl_log: Vec<AclLogRecord>,
    traffic: Traffic,
    /// For whom the session acted before it acted for somebody else, and what its traffic was by then.
    former: Vec<(Option<UserName>, Traffic)>,
    reply_duration: Option<Duration>,
}

impl Outbox {
    pub(super) fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    pub(super) fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub(super) fn report(&mut self, report: Report) {
        match self.reports.last_mut() {
            Some((last, count)) if *last == report => *count += 1,
            _ => self.reports.push((report, 1)),
        }
    }

    /// A request was refused. Whether that is of another kind than what came just before.
    #[must_use]
    pub(super) fn report_refusal(
        &mut self,
        reason: RequestRefusal,
        command: Option<&CommandSpec>,
        user: Option<&UserName>,
        is_told: bool,
        keys: RequestKeys,
    ) -> bool {
        let name = command.map_or("", CommandSpec::full_name);
        let is_same = |report: &Report| match report {
            Report::Refused { reason: before, command, user: whose, is_told: was_told, .. } => {
                *before == reason && command == name && whose.as_ref() == user && *was_told == is_told
            }
            _ => false,
        };
        self.count_up(is_same, || {
            let (command, user) = (name.to_owned(), user.cloned());
            Report::Refused { reason, command, user, is_told, keys }
        })
    }

    /// A request was permitted that the audit log is told of. Whether it is of another kind, likewise.
    #[must_use]
    pub(super) fn report_permitted(
        &mut self,
        command: &CommandSpec,
        user: Option<&UserName>,
        keys: RequestKeys,
    ) -> bool {
        let name = command.full_name();
        let is_same = |report: &Report| matches!(report, Report::Permitted { command, user: whose, .. } if command == name && whose.as_ref() == user);
        self.count_up(is_same, || Report::Permitted { command: name.to_owned(), user: user.cloned(), keys })
    }

    /// A request was permitted that the rules of its user refuse. Whether it is of another kind, likewise.
    #[must_use]
    pub(super) fn report_would_refuse(
        &mut self,
        reason: DenialReason,
        command: &CommandSpec,
        user: Option<&UserName>,
        keys: RequestKeys,
    ) -> bool {
        let (name, reason) = (command.full_name(), RequestRefusal::Denied(reason));
        let is_same = |report: &Report| match report {
            Report::WouldRefuse { reason: before, command, user: whose, .. } => {
                *before == reason && command == name && whose.as_ref() == user
            }
            _ => false,
        };
        self.count_up(is_same, || Report::WouldRefuse { reason, command: name.to_owned(), user: user.cloned(), keys })
    }

    /// What came just before, whatever it was, only counts up: a pipeline may be full of it.
    fn count_up(&mut self, is_same: impl Fn(&Report) -> bool, report: impl FnOnce() -> Report) -> bool {
        const REMEMBERED: usize = 16;
        let same = self.reports.iter_mut().rev().take(REMEMBERED).find(|(report, _)| is_same(report));
        let is_new = same.is_none();
        match same {
            Some((_, count)) => *count += 1,
            None => self.reports.push((report(), 1)),
        }
        is_new
    }

    pub(super) fn take_reports(&mut self) -> Vec<(Report, u64)> {
        std::mem::take(&mut self.reports)
    }

    pub(super) fn has_reports(&self) -> bool {
        !self.reports.is_empty()
    }

    /// The latest of the same count up, as they will in the log; more than the log keeps are not kept here either.
    pub(super) fn note_acl_log_record(&mut self, record: AclLogRecord) {
        if let Some(same) = self.acl_log.last_mut().filter(|last| last.is_like(&record)) {
            same.count = same.count.saturating_add(record.count);
            return;
        }
        if self.acl_log.len() >= AclLog::LENGTH {
            self.acl_log.remove(0);
        }
        self.acl_log.push(record);
    }

    pub(super) fn take_acl_log(&mut self) -> Vec<AclLogRecord> {
        std::mem::take(&mut self.acl_log)
    }

    pub(super) fn has_acl_log(&self) -> bool {
        !self.acl_log.is_empty()
    }

    pub(super) fn count_forwarded(&mut self) {
        self.traffic.forwarded += 1;
    }

    pub(super) fn count_answered(&mut self) {
        self.traffic.answered += 1;
    }

    pub(super) fn count_refused(&mut self) {
        self.traffic.refused += 1;
    }

    pub(super) fn count_refused_later(&mut self) {
        self.traffic.refused_later += 1;
    }

    /// From now on what is counted is somebody else's.
    pub(super) fn note_former_user(&mut self, user: Option<&UserName>) {
        self.former.push((user.cloned(), self.traffic));
    }

    pub(super) fn has_former_users(&self) -> bool {
        !self.former.is_empty()
    }

    pub(super) fn take_former_users(&mut self) -> Vec<(Option<UserName>, Traffic)> {
        std::mem::take(&mut self.former)
    }

    pub(super) fn note_reply_duration(&mut self, duration: Duration) {
        self.reply_duration = Some(duration);
    }

    pub(super) fn take_reply_duration(&mut self) -> Option<Duration> {
        self.reply_duration.take()
    }

    pub(super) fn traffic(&self) -> Traffic {
        self.traffic
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::{AclLogContext, AclLogReason};

    #[test]
    fn every_refusal_is_reported_and_those_of_one_kind_are_counted() {
        let mut outbox = Outbox::default();
        let mut report = |reason| outbox.report_refusal(reason, None, None, true, RequestKeys::default());
        assert_eq!((0..20).filter(|_| report(RequestRefusal::NoReply)).count(), 1);
        assert_eq!([RequestRefusal::Redirect, RequestRefusal::NoReply].map(report), [true, false]);
        let counts: Vec<_> = outbox.take_reports().iter().map(|(_, count)| *count).collect();
        assert_eq!((counts, outbox.has_reports()), (vec![21, 1], false));
    }

    #[test]
    fn acl_log_records_of_the_same_count_up() {
        let mut outbox = Outbox::default();
        let record = |key: &[u8]| AclLogRecord::new(AclLogReason::Key, AclLogContext::Toplevel, key, b"alice");
        [b"a", b"a", b"b"].iter().for_each(|key| outbox.note_acl_log_record(record(*key)));
        let counts: Vec<_> = outbox.take_acl_log().iter().map(|record| record.count).collect();
        assert_eq!((counts, outbox.has_acl_log()), (vec![2, 1], false));
    }
}

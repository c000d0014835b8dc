//! How the proxy is.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::time::SystemTime;

use super::service_manager;

/// How the proxy is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Clients are served.
    Serving,
    /// Shutting down: no new clients.
    Draining,
    /// Redis does not answer, or loads its data.
    UpstreamDown,
    /// There is no room in the audit log, and requests wait for that.
    AuditFull,
    /// A worker has not turned for 5 seconds: its clients wait, and so does every newcomer that it is given.
    Stuck,
}

impl Health {
    const ALL: [Health; 5] =
        [Health::Serving, Health::Draining, Health::UpstreamDown, Health::AuditFull, Health::Stuck];

    /// Whether the process does what it can: to start it anew would not help. That Redis is away is not its doing.
    pub fn is_live(self) -> bool {
        self != Health::Stuck
    }

    /// Whether clients are to be sent here.
    pub fn is_ready(self) -> bool {
        self == Health::Serving
    }

    /// The state that a word means.
    pub fn from_word(word: &str) -> Option<Health> {
        Health::ALL.into_iter().find(|health| health.word() == word)
    }

    fn word(self) -> &'static str {
        match self {
            Health::Serving => "serving",
            Health::Draining => "draining",
            Health::UpstreamDown => "upstream-down",
            Health::AuditFull => "audit-full",
            Health::Stuck => "stuck",
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What makes the proxy healthy or not, as those note it who see it. The service manager is told of every change.
#[derive(Debug, Default)]
pub(super) struct Condition {
    stuck_workers: Cell<usize>,
    /// There are tunnels alone.
    needs_no_upstream: Cell<bool>,
    is_upstream_up: Cell<bool>,
    is_upstream_loading: Cell<bool>,
    upstream_failure: RefCell<Option<(SystemTime, String)>>,
    is_audit_blocking: Cell<bool>,
    is_draining: Cell<bool>,
    told: Cell<Option<Health>>,
}

/// One thing that has to be so, and whether it is.
pub(super) type Check = (&'static str, bool);

impl Condition {
    pub(super) fn note_stuck_workers(&self, stuck: usize) {
        self.stuck_workers.set(stuck);
        self.tell();
    }

    /// There is no listener, and so nobody whom Redis is missing to.
    pub(super) fn note_no_need_of_upstream(&self) {
        self.needs_no_upstream.set(true);
        self.tell();
    }

    pub(super) fn note_upstream(&self, is_up: bool) {
        self.is_upstream_up.set(is_up);
        self.tell();
    }

    /// Redis is not there, for this reason.
    pub(super) fn note_no_upstream(&self, why: &dyn fmt::Display) {
        self.upstream_failure.replace(Some((SystemTime::now(), why.to_string())));
        self.note_upstream(false);
    }

    /// When it was found to be away last, and why.
    pub(super) fn upstream_failure(&self) -> Option<(SystemTime, String)> {
        self.upstream_failure.borrow().clone()
    }

    pub(super) fn is_upstream_loading(&self) -> bool {
        self.is_upstream_loading.get()
    }

    pub(super) fn note_loading(&self, is_loading: bool) {
        self.is_upstream_loading.set(is_loading);
        self.tell();
    }

    pub(super) fn note_audit(&self, is_blocking: bool) {
        self.is_audit_blocking.set(is_blocking);
        self.tell();
    }

    pub(super) fn note_draining(&self) {
        self.is_draining.set(true);
        self.tell();
    }

    /// The worst news first, but that the process ends is more than any.
    pub(super) fn health(&self) -> Health {
        if self.is_draining.get() {
            Health::Draining
        } else if self.stuck_workers.get() > 0 {
            Health::Stuck
        } else if self.is_audit_blocking.get() {
            Health::AuditFull
        } else if self.has_upstream() {
            Health::Serving
        } else {
            Health::UpstreamDown
        }
    }

    fn has_upstream(&self) -> bool {
        self.needs_no_upstream.get() || self.is_upstream_up.get() && !self.is_upstream_loading.get()
    }

    fn tell(&self) {
        let health = self.health();
        if self.told.replace(Some(health)) != Some(health) {
            service_manager::status(health);
        }
    }

    /// What makes it live.
    pub(super) fn live_checks(&self) -> Vec<Check> {
        vec![("workers", self.health().is_live())]
    }

    /// What makes it ready.
    pub(super) fn ready_checks(&self) -> Vec<Check> {
        let mut checks = self.live_checks();
        checks.extend([
            ("upstream", self.has_upstream()),
            ("audit", !self.is_audit_blocking.get()),
            ("shutdown", !self.is_draining.get()),
        ]);
        checks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_back() {
        for health in Health::ALL {
            assert_eq!(Health::from_word(&health.to_string()), Some(health));
        }
        assert_eq!(Health::from_word(""), None);
    }

    #[test]
    fn a_stuck_worker_is_the_worst_news_unless_the_process_ends() {
        let condition = Condition::default();
        assert_eq!(condition.health(), Health::UpstreamDown);
        condition.note_upstream(true);
        assert_eq!(condition.health(), Health::Serving);
        condition.note_audit(true);
        assert_eq!(condition.health(), Health::AuditFull);
        condition.note_stuck_workers(1);
        assert_eq!(condition.health(), Health::Stuck);
        condition.note_draining();
        assert_eq!(condition.health(), Health::Draining);
    }

    #[test]
    fn it_is_not_ready_while_redis_loads_its_data() {
        let condition = Condition::default();
        condition.note_loading(true);
        condition.note_upstream(true);
        assert_eq!((condition.health(), condition.health().is_ready()), (Health::UpstreamDown, false));
        condition.note_loading(false);
        assert!(condition.health().is_ready());
    }

    #[test]
    fn it_is_ready_where_every_check_is_good_and_live_with_redis_away() {
        let condition = Condition::default();
        let is_good = |checks: Vec<Check>| checks.iter().all(|(_, is_good)| *is_good);
        for (is_up, is_blocking) in [(false, false), (true, true), (true, false)] {
            condition.note_upstream(is_up);
            condition.note_audit(is_blocking);
            assert_eq!(is_good(condition.ready_checks()), condition.health().is_ready());
            assert!(is_good(condition.live_checks()) && condition.health().is_live());
        }
        condition.note_stuck_workers(1);
        assert!(!is_good(condition.live_checks()) && !is_good(condition.ready_checks()));
        condition.note_draining();
        assert!(is_good(condition.live_checks()) && !is_good(condition.ready_checks()));
    }
}

//! What a worker counts of its sessions.

use std::cell::Cell;
use std::rc::Rc;

use rustix::time::ClockId;

use super::Worker;
use crate::audit::client_events::Volume;
use crate::audit::words;
use crate::metrics::{Labels, UserLabel, WorkerCounts, cpu_time};
use crate::session::{Report, SessionCore, Traffic};

/// What of a session has been counted, and to whom what comes now is counted.
pub(super) struct CountedSession {
    live: LiveSession,
    traffic: Cell<Traffic>,
    volume: Cell<Volume>,
}

/// A session is counted as live, and as its user's, for as long as this is.
struct LiveSession {
    worker: Rc<Worker>,
    listener: usize,
    user: Cell<UserLabel>,
}

impl Drop for LiveSession {
    fn drop(&mut self) {
        self.worker.counts.borrow_mut().session_ended(self.listener, self.user.get());
    }
}

impl Worker {
    /// What was counted so far. It is a copy, so that sessions have not to wait for whoever reads it.
    pub(super) fn counts_so_far(&self) -> WorkerCounts {
        let busy = cpu_time(ClockId::ThreadCPUTime);
        self.counts.borrow().as_of(busy)
    }

    /// A session begins, of a client that came in through this listener.
    pub(super) fn count_session(self: &Rc<Self>, core: &SessionCore, listener: usize) -> CountedSession {
        let user = self.label(core);
        self.counts.borrow_mut().session_started(listener, user);
        CountedSession {
            live: LiveSession { worker: Rc::clone(self), listener, user: Cell::new(user) },
            traffic: Cell::default(),
            volume: Cell::default(),
        }
    }

    /// What a session has moved since that was counted last.
    pub(super) fn count(&self, session: &CountedSession, core: &mut SessionCore, volume: Volume) {
        let CountedSession { live: LiveSession { user, .. }, traffic: counted, volume: moved } = session;
        let mut counts = self.counts.borrow_mut();
        if core.has_former_users() {
            for (former, traffic) in core.take_former_users() {
                let former = self.labels().user(former.as_ref());
                counts.requests(former, traffic.since(&counted.replace(traffic)));
            }
            let latest = self.label(core);
            counts.session_passed(user.replace(latest), latest);
        }
        let traffic = core.traffic();
        let before = counted.replace(traffic);
        if traffic != before {
            counts.requests(user.get(), traffic.since(&before));
        }
        let before = moved.replace(volume);
        counts.bytes(volume.received - before.received, volume.sent - before.sent);
    }

    /// What of requests was refused.
    pub(super) fn count_refused(&self, reports: &[(Report, u64)]) {
        let labels = self.labels();
        for (report, count) in reports {
            if let Report::WouldRefuse { reason, user, .. } = report {
                let user = labels.user(user.as_ref());
                self.counts.borrow_mut().would_refuse(user, words::refusal(*reason), *count);
            }
            if let Report::Refused { reason, command, user, .. } = report {
                let user = labels.user(user.as_ref());
                let mut counts = self.counts.borrow_mut();
                counts.refused(labels, user, words::command(command), words::refusal(*reason), *count);
            }
        }
    }

    fn labels(&self) -> &Labels {
        self.settings.events.counts().labels()
    }

    fn label(&self, core: &SessionCore) -> UserLabel {
        self.labels().user(core.principal().map(|principal| principal.user.name()))
    }
}

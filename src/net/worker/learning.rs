//! What a worker has learnt of its users, for whoever keeps it.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::sync::mpsc;

use super::{Worker, unix_seconds};
use crate::acl::UserName;
use crate::learn::{Evidence, TrafficLearner, Usage};

/// Where sessions of the worker say what their users do; `None` where nobody wants to know.
pub(super) type SharedLearner = Option<Rc<RefCell<TrafficLearner>>>;

/// One that has learnt nothing yet.
pub(super) fn new(evidence: Option<&Evidence>) -> SharedLearner {
    let learner = |evidence: &Evidence| TrafficLearner::new(evidence.clone(), now());
    evidence.map(learner).map(RefCell::new).map(Rc::new)
}

/// Since 1970.
fn now() -> u64 {
    u64::try_from(unix_seconds()).unwrap_or_default()
}

impl Worker {
    /// Requests from now on are of now.
    pub(super) fn tick_learner(&self) {
        if let Some(learner) = &self.learner {
            learner.borrow_mut().tick(now());
        }
    }

    /// Tells what was learnt, one user at a time. Nobody has to once the receiver is gone.
    pub(super) async fn tell_learnt(self: Rc<Self>, told: mpsc::UnboundedSender<(UserName, Usage)>) {
        let Some(learner) = &self.learner else { return };
        let users = learner.borrow().users();
        for at in 0..users {
            let usage = {
                let current = self.current();
                learner.borrow_mut().usage(at, &current.generation.policy.table)
            };
            let Some(usage) = usage else { return };
            if told.send(usage).is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}

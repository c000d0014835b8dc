//! What Redis goes on doing for a session without being asked again. A right that is taken away ends that too, so whenever
//! the rights of a user change, the requests behind it are judged again.

use super::core::SessionCore;
use super::pending::Slot;
use super::wait::{AfterDrain, Wait};
use crate::command::{ArgvBuf, Role};
use crate::policy::{Policy, Requester, Stance, Verdict};

const MONITOR: &[&str] = &["MONITOR"];
const TRACKING: &[&str] = &["CLIENT", "TRACKING", "ON"];
const SYNC: &[&str] = &["SYNC"];
const PSYNC: &[&str] = &["PSYNC", "?", "-1"];

impl SessionCore {
    /// Whether all that Redis does for this session may go on: subscriptions, MONITOR, replication, tracking, the
    /// blocking commands that it still waits for (`ACLKillPubsubClientsIfNeeded`, and more than that).
    pub(super) fn may_stand(&self, policy: &Policy) -> bool {
        let user = self.principal.as_ref().map(|principal| &*principal.user);
        let is_allowed = |request: &ArgvBuf| {
            self.database.possible().iter().all(|database| {
                let requester = Requester { user, stance: Stance::default(), database };
                match policy.decide(requester, &request.as_argv()) {
                    Verdict::Forward(permit) => !self.lacks_mirror(policy, &permit),
                    Verdict::Local(_) | Verdict::Deny(_) => false,
                }
            })
        };
        let constant = |words: Option<&&[&str]>| words.is_none_or(|words| is_allowed(&words.iter().collect()));
        let replicates = |role| if role == Role::Sync { SYNC } else { PSYNC };
        let waits_for = match &self.wait {
            Some(Wait::Drained(AfterDrain::Replicate(role, _))) => Some(*role),
            _ => None,
        };
        self.subscriptions.requests().all(|request| is_allowed(&request))
            && constant(self.monitoring.then_some(&MONITOR))
            && constant(self.tracking.then_some(&TRACKING))
            && constant(self.replicating.or(waits_for).map(replicates).as_ref())
            && self.pending.slots().all(|slot| match slot {
                Slot::Blocking(request) | Slot::Confirm { request: Some(request), .. } => is_allowed(request),
                Slot::Monitor => constant(Some(&MONITOR)),
                Slot::Tracking(true) => constant(Some(&TRACKING)),
                _ => true,
            })
    }

    /// Whether Redis tells the session when keys change that it could read before: CLIENT TRACKING, which names none.
    pub(super) fn is_told_of_keys(&self) -> bool {
        self.tracking || self.pending.slots().any(|slot| matches!(slot, Slot::Tracking(true)))
    }
}

//! Ongoing rights: what Redis goes on doing for a session without being asked again. A right that is taken away ends that
//! too, so whenever the rights of a user change, the requests behind it are judged again.

use super::SessionCore;
use crate::command::ArgvBuf;
use crate::policy::{Policy, Requester, SessionMode, Verdict};
use crate::session::upstream::replication;
use crate::session::wait::{AfterReplies, Wait};

impl SessionCore {
    /// Whether all that Redis does for this session may go on: subscriptions, MONITOR, replication, tracking, the
    /// blocking commands that it still waits for (`ACLKillPubsubClientsIfNeeded`, and more than that).
    pub(super) fn may_go_on(&self, policy: &Policy) -> bool {
        let user = self.who.user().map(|user| &**user);
        let is_allowed = |request: &ArgvBuf| {
            self.upstream.databases().all(|database| {
                let requester = Requester { user, mode: SessionMode::default(), database };
                match policy.decide(requester, &request.as_argv()) {
                    Verdict::Forward(permit) => !self.script_lacks_mirror(policy, permit.spec()),
                    Verdict::Local(_) | Verdict::Deny(_) => false,
                }
            })
        };
        let is_next_allowed = match self.intake.waits_for() {
            Some(Wait::Replies(AfterReplies::Replicate(role, _))) => is_allowed(&replication(*role)),
            _ => true,
        };
        is_next_allowed && self.upstream.ongoing().iter().all(is_allowed)
    }
}

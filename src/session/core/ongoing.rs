//! Ongoing rights: what Redis goes on doing for a session without being asked again. A right that is taken away ends that
//! too, so whenever the rights of a user change, the requests behind it are judged again.

use super::SessionCore;
use crate::acl::Effort;
use crate::command::ArgvBuf;
use crate::policy::{Policy, Requester, SessionMode, Verdict};
use crate::session::upstream::replication_request;
use crate::session::wait::{AfterReplies, Wait};

impl SessionCore {
    /// Whether all that Redis does for this session may go on: subscriptions, MONITOR, replication, tracking, the
    /// blocking commands that it still waits for (`ACLKillPubsubClientsIfNeeded`, and more than that).
    ///
    /// Where the user `keeps_all` its rights, nothing of its own is looked at: there may be a hundred thousand subscriptions, and a
    /// blocking command may take as long to judge as any.
    pub(super) fn may_go_on(&self, policy: &Policy, keeps_all: bool) -> bool {
        let user = self.who.user().map(|user| &**user);
        // For all of it together: a session that takes more ends, as one that has lost a right does.
        let effort = &Effort::ongoing();
        let is_allowed = |request: &ArgvBuf| {
            self.upstream.databases().all(|database| {
                let requester = Requester { user, mode: SessionMode::default(), database, effort };
                match policy.decide(requester, &request.as_argv()) {
                    Verdict::Forward(permit) => !self.script_lacks_mirror(policy, permit.spec()),
                    Verdict::Local(_) | Verdict::Deny(_) => false,
                }
            })
        };
        let is_next_allowed = match self.intake.waits_for() {
            Some(Wait::Replies(AfterReplies::Replicate(role, _))) => is_allowed(&replication_request(*role)),
            _ => true,
        };
        let is_allowed_before = || {
            self.upstream.ongoing().iter().all(is_allowed)
                && self.upstream.subscribed().all(|request| is_allowed(&request))
        };
        let may_go_on =
            is_next_allowed && (keeps_all && self.upstream.goes_on_with_own_rights() || is_allowed_before());
        self.intake.note_effort(effort);
        may_go_on
    }
}

//! Standing permits: what Redis goes on doing for a session without being asked again. A right that is taken away ends
//! them too, so whenever the rights of a user change, the requests behind them are judged again.

use super::core::SessionCore;
use crate::command::{Argv, ArgvBuf, Role};
use crate::policy::{Permit, Policy, Requester, Stance, Verdict};

/// The requests that began MONITOR, replication or tracking; of each the latest.
#[derive(Default)]
pub(super) struct Standing {
    requests: Vec<(Role, ArgvBuf)>,
}

/// What a request changes about it.
pub(super) enum StandingChange {
    Nothing,
    Begins(Role, ArgvBuf),
    Ends(Role),
}

impl StandingChange {
    /// Of a permitted request. What Redis may refuse, or never execute, ends nothing.
    pub(super) fn of(permit: &Permit<'_>, argv: &Argv<'_>, in_transaction: bool) -> Self {
        match permit.spec().role() {
            role @ (Role::Monitor | Role::Sync | Role::Psync) => Self::Begins(role, argv.iter().collect()),
            role @ Role::ClientTracking => match argv.get(2) {
                Some(word) if word.eq_ignore_ascii_case(b"off") => {
                    let is_certain = argv.get(3).is_none() && !in_transaction;
                    if is_certain { Self::Ends(role) } else { Self::Nothing }
                }
                _ => Self::Begins(role, argv.iter().collect()),
            },
            _ => Self::Nothing,
        }
    }
}

impl Standing {
    /// Bytes of memory that the requests take.
    pub(super) fn memory(&self) -> usize {
        self.requests.iter().map(|(_, request)| request.memory()).sum()
    }

    pub(super) fn change(&mut self, change: StandingChange) {
        match change {
            StandingChange::Nothing => {}
            StandingChange::Begins(role, request) => {
                self.requests.retain(|(known, _)| *known != role);
                self.requests.push((role, request));
            }
            StandingChange::Ends(role) => self.requests.retain(|(known, _)| *known != role),
        }
    }

    /// Whether Redis tells the session when keys change that it could read before: CLIENT TRACKING, which names none.
    pub(super) fn tells_of_keys(&self) -> bool {
        self.requests.iter().any(|(role, _)| *role == Role::ClientTracking)
    }
}

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
        self.subscriptions.requests().all(|request| is_allowed(&request))
            && self.standing.requests.iter().all(|(_, request)| is_allowed(request))
            && self.pending.blocking().all(is_allowed)
    }
}

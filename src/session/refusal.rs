//! What `ACL LOG` will show of a session.

use super::core::SessionCore;
use super::transaction::Queue;
use crate::acl::{AclDenial, AclLog, Refusal, RefusalContext, RefusalReason};
use crate::command::{Argv, ArgvBuf};
use crate::policy::{Denial, Policy};

impl SessionCore {
    /// Of a denial, if it is one of access.
    pub(super) fn refusal(&self, denial: &Denial<'_>, argv: &Argv<'_>) -> Option<Refusal> {
        let user = self.principal.as_ref()?.user.name().as_str().as_bytes();
        let argument = |index: usize| argv.get(index).unwrap_or_default();
        let (reason, object) = match denial {
            // The client cannot tell these from what its ACL refuses.
            Denial::Blocked(spec) | Denial::NulInKeyword(spec) | Denial::Acl(spec, AclDenial::Command) => {
                (RefusalReason::Command, spec.full_name().as_bytes())
            }
            Denial::Acl(_, AclDenial::Key { index }) => (RefusalReason::Key, argument(*index)),
            Denial::Acl(spec, AclDenial::Unextractable | AclDenial::SortBy | AclDenial::SortGet) => {
                (RefusalReason::Key, spec.full_name().as_bytes())
            }
            Denial::Acl(_, AclDenial::Channel { index }) => (RefusalReason::Channel, argument(*index)),
            Denial::Acl(_, AclDenial::Database { index }) => (RefusalReason::Database, argument(*index)),
            _ => return None,
        };
        Some(Refusal::new(reason, self.refusal_context(), object, user))
    }

    pub(super) fn refusal_context(&self) -> RefusalContext {
        match self.transaction.may_be_open() {
            true => RefusalContext::Multi,
            false => RefusalContext::Toplevel,
        }
    }

    /// At EXEC, the commands of an aborted queue that the user has lost since. (What else of it would be refused now is
    /// not known: of a queued request nothing but its command is kept.)
    pub(super) fn note_lost_commands(&mut self, policy: &Policy, queue: &Queue) {
        let Some(principal) = &self.principal else { return };
        let user = principal.user.clone();
        let database = self.database.possible().only();
        for spec in queue.commands().filter_map(|id| policy.table.get(id)) {
            let name = ArgvBuf::from_iter([spec.name()]);
            if user.check(spec, &name.as_argv(), database) == Err(AclDenial::Command) {
                let name = user.name().as_str().as_bytes();
                let object = spec.full_name().as_bytes();
                self.note_refusal(Refusal::new(RefusalReason::Command, RefusalContext::Multi, object, name));
            }
        }
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
}

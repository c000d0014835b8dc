//! What `ACL LOG` will show of a session.

use super::SessionCore;
use crate::acl::{AclDenial, AclLogContext, AclLogReason, AclLogRecord};
use crate::command::{Argv, ArgvBuf, CommandId};
use crate::policy::{BY_BLOCKLIST, Denial, Policy};

impl SessionCore {
    /// Of a denial, if it is one of access.
    pub(super) fn acl_log_record(&self, denial: &Denial<'_>, argv: &Argv<'_>) -> Option<AclLogRecord> {
        let user = self.who.user_name()?.as_bytes();
        let argument = |index: usize| argv.get(index).unwrap_or_default();
        let blocked;
        let (reason, object) = match denial {
            Denial::Blocked(spec) => {
                blocked = format!("{}{BY_BLOCKLIST}", spec.full_name());
                (AclLogReason::Command, blocked.as_bytes())
            }
            // The client cannot tell these two from each other.
            Denial::NulInKeyword(spec) | Denial::Acl(spec, AclDenial::Command) => {
                (AclLogReason::Command, spec.full_name().as_bytes())
            }
            Denial::Acl(_, AclDenial::Key { index }) => (AclLogReason::Key, argument(*index)),
            Denial::Acl(
                spec,
                AclDenial::Unextractable | AclDenial::SortBy | AclDenial::SortGet | AclDenial::Effort,
            ) => (AclLogReason::Key, spec.full_name().as_bytes()),
            Denial::Acl(_, AclDenial::Channel { index }) => (AclLogReason::Channel, argument(*index)),
            Denial::Acl(_, AclDenial::Database { index }) => (AclLogReason::Database, argument(*index)),
            _ => return None,
        };
        Some(AclLogRecord::new(reason, self.acl_log_context(), object, user))
    }

    pub(super) fn acl_log_context(&self) -> AclLogContext {
        match self.upstream.may_queue() {
            true => AclLogContext::Multi,
            false => AclLogContext::Toplevel,
        }
    }

    /// At EXEC, those commands of an aborted queue that the user has lost since. (What else of it would be refused now is
    /// not known: of a queued request nothing but its command is kept.)
    pub(super) fn note_lost_commands(&mut self, policy: &Policy, commands: impl Iterator<Item = CommandId>) {
        let Some(user) = self.who.user().cloned() else { return };
        let database = self.upstream.database();
        for spec in commands.filter_map(|id| policy.table.get(id)) {
            let name = ArgvBuf::from_iter([spec.name()]);
            if user.check(spec, &name.as_argv(), database) == Err(AclDenial::Command) {
                let name = user.name().as_str().as_bytes();
                let object = spec.full_name().as_bytes();
                self.outbox.note_acl_log_record(AclLogRecord::new(
                    AclLogReason::Command,
                    AclLogContext::Multi,
                    object,
                    name,
                ));
            }
        }
    }
}

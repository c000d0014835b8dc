//! MULTI, as the session sees it.

use std::sync::Arc;

use crate::acl::User;
use crate::command::{CommandId, CommandSpec, Role};

/// Whether a transaction is open.
#[derive(Debug, Default)]
pub(super) enum Transaction {
    #[default]
    None,
    /// Redis queues.
    Open(Queue),
    /// We refused something in it, and so did Redis: it answers what follows with +QUEUED, and EXEC with EXECABORT.
    Dirty,
}

/// An open transaction.
#[derive(Debug)]
pub(super) struct Queue {
    /// The user that MULTI was sent for. If its rights have changed by EXEC, nothing is executed.
    pub(super) user: Arc<User>,
    /// Its rights were others in between.
    pub(super) is_stale: bool,
    /// The identity of the table that `commands` are of.
    pub(super) table: u64,
    /// Which commands Redis was given to queue, each once.
    pub(super) commands: Vec<CommandId>,
    /// One of them is SELECT.
    pub(super) selects: bool,
}

impl Transaction {
    pub(super) fn open(user: Arc<User>, table: u64) -> Self {
        Self::Open(Queue { user, is_stale: false, table, commands: Vec::new(), selects: false })
    }

    pub(super) fn is_open(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// Notes that Redis was given one more command to queue.
    pub(super) fn queued(&mut self, spec: &CommandSpec) {
        if let Self::Open(queue) = self {
            queue.selects |= spec.role() == Role::Select;
            if !queue.commands.contains(&spec.id()) {
                queue.commands.push(spec.id());
            }
        }
    }
}

//! MULTI, as the session sees it.

use std::sync::Arc;

use super::pending::OwnAnswer;
use crate::acl::User;
use crate::command::{CommandId, CommandSpec, Role};

/// Bytes of our answers that may wait for one EXEC.
const MOST_ANSWERS: usize = 1 << 20;

/// Whether a transaction is open, and what of it is ours.
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
    /// How many commands Redis was given to queue.
    pub(super) length: u32,
    /// Which commands they are, each once.
    pub(super) commands: Vec<CommandId>,
    /// Our answers, by their place in the EXEC reply, in rising order.
    pub(super) answers: Vec<OwnAnswer>,
    answers_bytes: usize,
    /// One of them is SELECT.
    pub(super) selects: bool,
}

impl Queue {
    /// Whether so much more fits.
    pub(super) fn has_room(&self, more: usize) -> bool {
        self.answers_bytes + more <= MOST_ANSWERS
    }

    /// Takes an answer of ours to the next place; Redis is given something else to queue there.
    pub(super) fn answer(&mut self, reply: Box<[u8]>) {
        let answer = OwnAnswer { place: self.length, reply };
        self.answers_bytes += answer.memory();
        self.answers.push(answer);
        self.length = self.length.saturating_add(1);
    }
}

impl Transaction {
    pub(super) fn open(user: Arc<User>, table: u64) -> Self {
        Self::Open(Queue {
            user,
            is_stale: false,
            table,
            length: 0,
            commands: Vec::new(),
            answers: Vec::new(),
            answers_bytes: 0,
            selects: false,
        })
    }

    pub(super) fn is_open(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// Bytes of memory of our answers that wait for EXEC.
    pub(super) fn answers_bytes(&self) -> usize {
        match self {
            Self::Open(queue) => queue.answers_bytes,
            Self::None | Self::Dirty => 0,
        }
    }

    /// Notes that Redis was given one more command to queue.
    pub(super) fn queued(&mut self, spec: &CommandSpec) {
        if let Self::Open(queue) = self {
            queue.selects |= spec.role() == Role::Select;
            queue.length = queue.length.saturating_add(1);
            if !queue.commands.contains(&spec.id()) {
                queue.commands.push(spec.id());
            }
        }
    }
}

//! MULTI, EXEC and DISCARD: what Redis has confirmed, and what it may make of what it has been sent since.

use std::sync::Arc;

use super::database::Databases;
use crate::acl::User;
use crate::command::{CommandId, CommandSpec};

/// Whether Redis will queue the next request instead of executing it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::session) enum Queueing {
    #[default]
    No,
    Yes,
    /// A reply to MULTI or DISCARD is outstanding, and Redis may refuse either: the proxy's own user may lack the right.
    Undecided,
}

/// The transaction of one upstream connection. EXEC ends it in any case [execCommand, execCommandAbort]; MULTI and DISCARD
/// do what they are for only once Redis says so.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    /// As of the latest reply to one of the three.
    is_open: bool,
    /// As the next request will find it.
    next: Queueing,
    /// Replies to them that are outstanding.
    outstanding: u64,
    /// What Redis may have queued: there whenever `next` is not [`Queueing::No`].
    queue: Option<Queue>,
}

/// What a transaction may hold by now.
#[derive(Debug)]
pub(in crate::session) struct Queue {
    /// The user that MULTI was sent for. If its rights have changed by EXEC, nothing is executed.
    user: Arc<User>,
    /// Its rights were others in between.
    is_stale: bool,
    /// The identity of the table that `commands` are of.
    table: u64,
    /// Which commands Redis was given to queue, each once.
    commands: Vec<CommandId>,
    /// What SELECTs among them name.
    selected: Databases,
    /// Redis has been sent something that it refuses, so that EXEC will abort, since the latest MULTI or DISCARD.
    is_aborted: bool,
}

impl Transaction {
    /// What Redis will do with the next request.
    pub(super) fn queueing(&self) -> Queueing {
        self.next
    }

    /// Whether Redis may queue the next request.
    pub(super) fn may_be_open(&self) -> bool {
        self.next != Queueing::No
    }

    /// What EXEC may execute.
    pub(super) fn queue(&self) -> Option<&Queue> {
        self.queue.as_ref()
    }

    /// Databases that queued requests may have selected by the time the next one is executed.
    pub(super) fn selected(&self) -> Databases {
        self.queue.as_ref().map_or(Databases::NONE, |queue| queue.selected)
    }

    /// MULTI has been sent for `user`, under the table with this identity.
    pub(super) fn multi_sent(&mut self, user: &Arc<User>, table: u64) {
        self.outstanding += 1;
        self.forget_abort();
        if self.next == Queueing::No {
            self.next = Queueing::Undecided;
            let (user, selected) = (Arc::clone(user), Databases::NONE);
            let commands = Vec::new();
            self.queue = Some(Queue { user, is_stale: false, table, commands, selected, is_aborted: false });
        }
    }

    /// DISCARD has been sent.
    pub(super) fn discard_sent(&mut self) {
        self.outstanding += 1;
        if self.next == Queueing::Yes {
            self.next = Queueing::Undecided;
        }
        self.forget_abort();
    }

    /// One of ours is refused. Whether Redis has to refuse something as well, so that EXEC will abort: the first time.
    pub(super) fn mark_aborted(&mut self) -> bool {
        self.queue.as_mut().is_some_and(|queue| !std::mem::replace(&mut queue.is_aborted, true))
    }

    /// Another transaction may have begun, of which nothing has been refused yet.
    fn forget_abort(&mut self) {
        if let Some(queue) = &mut self.queue {
            queue.is_aborted = false;
        }
    }

    /// EXEC has been sent, or is about to be: what it may execute.
    pub(super) fn exec_sent(&mut self) -> Option<Queue> {
        self.outstanding += 1;
        self.next = Queueing::No;
        self.queue.take()
    }

    /// Redis has been given one more command, which it may queue.
    pub(super) fn sent(&mut self, spec: &CommandSpec) {
        if let Some(queue) = &mut self.queue
            && !queue.commands.contains(&spec.id())
        {
            queue.commands.push(spec.id());
        }
    }

    /// One of them is a SELECT of this database, or of one that is not known.
    pub(super) fn select_sent(&mut self, database: Option<u32>) {
        if let Some(queue) = &mut self.queue {
            queue.selected = queue.selected.or(Databases::named(database));
        }
    }

    /// The rights of the session's user are these now.
    pub(super) fn user_changed(&mut self, user: &Arc<User>) {
        if let Some(queue) = &mut self.queue {
            queue.is_stale |= *user != queue.user;
        }
    }

    /// Redis has answered MULTI, EXEC or DISCARD. `is_open` says what that makes of the transaction, if anything.
    pub(super) fn answered(&mut self, is_open: Option<bool>) {
        self.outstanding = self.outstanding.saturating_sub(1);
        self.is_open = is_open.unwrap_or(self.is_open);
        if self.outstanding == 0 {
            self.next = if self.is_open { Queueing::Yes } else { Queueing::No };
            if !self.is_open {
                self.queue = None;
            }
        }
    }
}

impl Queue {
    /// Whether it may be executed for `user` now: the rights are those of MULTI, and so they were in between; `table` gives
    /// the commands the same numbers, and each of them `may_run`.
    pub(in crate::session) fn may_execute(
        &self,
        user: &Arc<User>,
        table: u64,
        may_run: impl FnMut(CommandId) -> bool,
    ) -> bool {
        !self.is_stale
            && (Arc::ptr_eq(user, &self.user) || *user == self.user)
            && table == self.table
            && self.commands().all(may_run)
    }

    /// Which commands it may hold, each once.
    pub(in crate::session) fn commands(&self) -> impl Iterator<Item = CommandId> {
        self.commands.iter().copied()
    }

    /// Databases that executing it may select.
    pub(super) fn selected(&self) -> Databases {
        self.selected
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::Acl;
    use crate::command::{CommandTable, Dialect};

    fn user() -> Arc<User> {
        let acl = Acl::parse(b"user a on nopass +@all\n", &CommandTable::builtin(Dialect::Redis70)).unwrap();
        Arc::clone(acl.user(b"a").unwrap())
    }

    #[test]
    fn multi_and_discard_are_undecided_until_redis_has_answered_and_exec_is_not() {
        for (multi, opened) in [(Some(true), Queueing::Yes), (None, Queueing::No)] {
            let mut transaction = Transaction::default();
            transaction.multi_sent(&user(), 0);
            assert_eq!(transaction.queueing(), Queueing::Undecided);
            transaction.answered(multi);
            assert_eq!(transaction.queueing(), opened);
            assert_eq!(transaction.exec_sent().is_some(), opened == Queueing::Yes);
            assert_eq!(transaction.queueing(), Queueing::No);
        }
        for (discard, left) in [(Some(false), Queueing::No), (None, Queueing::Yes)] {
            let mut transaction = Transaction::default();
            transaction.multi_sent(&user(), 0);
            transaction.answered(Some(true));
            transaction.discard_sent();
            assert_eq!(transaction.queueing(), Queueing::Undecided);
            transaction.answered(discard);
            assert_eq!(transaction.queueing(), left);
        }
    }

    #[test]
    fn a_refused_multi_says_nothing_of_a_later_one() {
        let mut transaction = Transaction::default();
        transaction.multi_sent(&user(), 0);
        transaction.exec_sent();
        transaction.multi_sent(&user(), 0);
        for answer in [None, Some(false)] {
            transaction.answered(answer);
            assert_eq!(transaction.queueing(), Queueing::Undecided);
        }
        transaction.answered(Some(true));
        assert_eq!(transaction.queueing(), Queueing::Yes);
    }

    #[test]
    fn what_is_queued_behind_a_refused_discard_belongs_to_the_transaction_it_did_not_end() {
        let mut transaction = Transaction::default();
        transaction.multi_sent(&user(), 0);
        transaction.answered(Some(true));
        transaction.select_sent(Some(5));
        transaction.discard_sent();
        transaction.select_sent(Some(6));
        transaction.answered(None);
        assert_eq!(transaction.exec_sent().map(|queue| queue.selected()), Some(Databases::of(5).or(Databases::of(6))));
    }
}

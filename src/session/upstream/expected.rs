//! What a forwarded request will be answered with.

use super::pending::Slot;
use super::subscription::Kind;
use crate::command::{Argv, ArgvBuf, CommandSpec, Role};
use crate::resp::parse_integer;

/// The reply that a forwarded request will have.
pub(in crate::session) enum ExpectedReply {
    Slot(Slot),
    /// As many confirmations as channels.
    Confirmations(Kind, Box<ArgvBuf>),
    /// As many confirmations as channels, or all if none is named.
    Cancellations {
        kind: Kind,
        named: usize,
    },
    Exec,
}

impl ExpectedReply {
    /// Of a permitted request.
    pub(in crate::session) fn of(spec: &CommandSpec, argv: &Argv<'_>) -> Self {
        let named = argv.len().saturating_sub(1);
        let whole = || Box::new(argv.iter().collect());
        match spec.role() {
            Role::Subscribe => Self::Confirmations(Kind::Channel, whole()),
            Role::Psubscribe => Self::Confirmations(Kind::Pattern, whole()),
            Role::Ssubscribe => Self::Confirmations(Kind::Shard, whole()),
            Role::Unsubscribe => Self::Cancellations { kind: Kind::Channel, named },
            Role::Punsubscribe => Self::Cancellations { kind: Kind::Pattern, named },
            Role::Sunsubscribe => Self::Cancellations { kind: Kind::Shard, named },
            Role::Multi => Self::Slot(Slot::Multi),
            Role::Discard => Self::Slot(Slot::Discard),
            Role::Exec => Self::Exec,
            Role::Monitor => Self::Slot(Slot::Monitor),
            Role::ClientTracking => {
                Self::Slot(Slot::Tracking(!argv.get(2).is_some_and(|word| word.eq_ignore_ascii_case(b"off"))))
            }
            Role::ClientId => Self::Slot(Slot::ClientId),
            Role::Select => Self::Slot(Slot::Select(argv.get(1).and_then(database))),
            _ if may_block(spec, argv) => Self::Slot(Slot::Blocking(whole())),
            _ => Self::Slot(Slot::Pass(1)),
        }
    }
}

/// A database as Redis reads it.
fn database(text: &[u8]) -> Option<u32> {
    parse_integer(text)?.try_into().ok()
}

/// Whether the command may keep its client waiting: of those that read streams, with BLOCK only.
pub(in crate::session) fn may_block(spec: &CommandSpec, argv: &Argv<'_>) -> bool {
    // Redis compares words up to a NUL.
    let is_block = |argument: &[u8]| {
        argument.split_at_checked(5).is_some_and(|(word, rest)| {
            word.eq_ignore_ascii_case(b"block") && rest.first().is_none_or(|byte| *byte == 0)
        })
    };
    let says_block = || argv.iter().any(is_block);
    match spec.role() {
        Role::Xread => says_block(),
        Role::Wait => true,
        _ => spec.is_blocking(),
    }
}

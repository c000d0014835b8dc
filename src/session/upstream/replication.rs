//! What a session asks for by SYNC or PSYNC, and what Redis said to it first.

use crate::command::{ArgvBuf, Role};

/// How Valkey answers a replica that is to get the snapshot by a connection of its own, and to say PSYNC once more
/// [`dual-channel-replication-enabled`, syncCommand]. Redis 8 says `+RDBCHANNELSYNC`, and PSYNC is not said again.
const ELSEWHERE: &[u8] = b"+DUALCHANNELSYNC\r\n";

/// Redis was sent SYNC or PSYNC: what comes from it is no longer framed.
#[derive(Clone, Copy)]
pub(super) struct Replication {
    role: Role,
    /// So many bytes of [`ELSEWHERE`] have come; `None` once anything else has.
    matched: Option<usize>,
}

impl Replication {
    /// SYNC or PSYNC has just been sent.
    pub(super) fn asked_for(role: Role) -> Self {
        Self { role, matched: (role == Role::Psync).then_some(0) }
    }

    /// Redis has sent these bytes.
    pub(super) fn note(&mut self, bytes: &[u8]) {
        let Some(matched) = self.matched else { return };
        let rest = &ELSEWHERE[matched..];
        let fresh = &bytes[..bytes.len().min(rest.len())];
        self.matched = rest.starts_with(fresh).then_some(matched + fresh.len());
    }

    /// Whether Redis is not replicating yet, and waits for PSYNC once more.
    pub(super) fn may_ask_again(self) -> bool {
        self.matched == Some(ELSEWHERE.len())
    }

    pub(super) fn request(self) -> ArgvBuf {
        request(self.role)
    }
}

/// What [`Role::Sync`] or [`Role::Psync`] asks for, to be judged.
pub(in crate::session) fn request(role: Role) -> ArgvBuf {
    match role {
        Role::Sync => ArgvBuf::from_iter(["SYNC"]),
        _ => ArgvBuf::from_iter(["PSYNC", "?", "-1"]),
    }
}

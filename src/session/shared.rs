//! What all sessions of a process know together.

use std::sync::atomic::AtomicBool;

use super::clients::ClientIds;
use super::tally::Tally;
use super::trace::TraceKey;

/// Shared by all sessions, of all workers. Forwarding a request touches none of it.
#[derive(Debug)]
pub struct Shared {
    pub(super) clients: ClientIds,
    pub(super) tally: Tally,
    pub(super) trace_key: TraceKey,
    /// A session has its [turn](super::debugger::Turn) at the debugger.
    pub(super) debugging: AtomicBool,
}

impl Shared {
    /// With a random key that no client can guess.
    pub fn new(key: &[u8; 32]) -> Self {
        Self {
            clients: ClientIds::default(),
            tally: Tally::default(),
            trace_key: TraceKey::new(key),
            debugging: AtomicBool::new(false),
        }
    }
}

/// Of a test, which knows the key.
#[cfg(test)]
impl Default for Shared {
    fn default() -> Self {
        Self::new(&[7; 32])
    }
}

//! What all sessions of a process know together.

use std::sync::atomic::AtomicBool;

use super::clients::ClientIds;
use super::tally::Tally;

/// Shared by all sessions, of all workers. Forwarding a request touches none of it.
#[derive(Debug, Default)]
pub struct Shared {
    pub(super) clients: ClientIds,
    pub(super) tally: Tally,
    /// A session has its [turn](super::debugger::Turn) at the debugger.
    pub(super) debugging: AtomicBool,
}

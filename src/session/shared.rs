//! What all sessions of a process know together.

use super::clients::ClientIds;
use super::trace::TraceKey;

/// Shared by all sessions, of all workers. Forwarding a request touches none of it.
#[derive(Debug)]
pub struct Shared {
    pub(super) clients: ClientIds,
    pub(super) trace_key: TraceKey,
}

impl Shared {
    /// With a random key that no client can guess.
    pub fn new(key: &[u8; 32]) -> Self {
        Self { clients: ClientIds::default(), trace_key: TraceKey::new(key) }
    }
}

/// Of a test, which knows the key.
#[cfg(test)]
impl Default for Shared {
    fn default() -> Self {
        Self::new(&[7; 32])
    }
}

//! What all sessions of a process know together.

use super::clients::ClientIds;

/// Shared by all sessions, of all workers. Forwarding a request touches none of it.
#[derive(Debug, Default)]
pub struct Shared {
    pub(super) clients: ClientIds,
}

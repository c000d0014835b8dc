//! What Redis calls a connection of ours.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Instant;

/// What Redis calls a connection, in one run.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClientId {
    pub(super) number: NonZeroU64,
    /// No later than the connection.
    pub(super) opened: Instant,
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number.fmt(f)
    }
}

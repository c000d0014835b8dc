//! What bounds a session.

use std::time::Duration;

use crate::resp::RequestLimits;

/// Bounds of every session, shared by all.
#[derive(Debug, Clone)]
pub struct SessionLimits {
    /// Bounds of a request after authentication.
    pub request: RequestLimits,
    /// Bytes of one request that may be held for its judgement, its argument table included.
    pub request_buffer: usize,
    /// Bytes of requests that may wait while replies are outstanding.
    pub hold_buffer: usize,
    /// From the end of the handshake to a login.
    pub auth_timeout: Duration,
    /// How long a client may do nothing.
    pub idle_timeout: Option<Duration>,
    /// How long an unfinished request may take for its next 16 KiB, or its end.
    pub request_timeout: Option<Duration>,
    /// How long Redis may owe a reply, or take nothing of a request, without saying anything.
    pub upstream_timeout: Option<Duration>,
    /// How long replies are delivered to a client that has closed its side, or is told why it is closed.
    pub half_close_timeout: Duration,
}

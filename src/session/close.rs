//! Why a session ends.

use std::fmt;

use crate::policy::UserRefusal;
use crate::resp::ProtocolError;

/// Whose doing the end of a session was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The client's.
    Downstream,
    /// Redis's.
    Upstream,
    /// The proxy's or its operator's.
    Internal,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Downstream => "downstream",
            Self::Upstream => "upstream",
            Self::Internal => "internal",
        })
    }
}

/// Why a session ended. `Display` is a stable word for logs and counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The client closed the connection.
    ClientGone,
    /// The client's connection failed.
    ClientLost,
    /// The client said QUIT.
    Quit,
    /// What the client sent is not the Redis protocol.
    Protocol(ProtocolError),
    /// A request that has to be held for its judgement is larger than `request-buffer`.
    RequestTooLarge,
    /// The client goes on asking and takes no replies.
    UnreadReplies,
    /// The client did not log in in time.
    AuthenticationTimeout,
    /// The client did nothing for longer than `timeout`.
    Idle,
    /// Owed replies did not come or go in time after the client had closed its side.
    HalfCloseTimeout,
    /// Too many password verifications are waiting.
    AuthenticationBusy,
    /// Too many wrong passwords.
    Throttled,
    /// RESET again and again.
    ResetStorm,
    /// Something but REPLCONF and PING after SYNC or PSYNC.
    ReplicationMisuse,
    /// The certificate gives nobody, or the user may not enter.
    Refused(UserRefusal),
    /// The right behind the session has gone.
    Revoked(UserRefusal),
    /// The certificate behind the session has been revoked.
    CertificateRevoked,
    /// The certificate behind the session is no longer trusted for another reason, which this stable word names.
    CertificateUntrusted(&'static str),
    /// The certificate behind the session has expired.
    CertificateExpired,
    /// The user may no longer do what Redis goes on doing for the session: a subscription, MONITOR, tracking, a
    /// blocking command.
    StandingRightLost,
    /// The policy changed while a request was being streamed.
    PolicyChanged,
    /// Redis cannot be told of the rights that the session's scripts have now.
    NoMirror,
    /// Over the limit of clients.
    MaxClients,
    /// The sum of all held bytes is over `memory-budget`.
    MemoryBudget,
    /// Redis takes no more clients.
    UpstreamFull,
    /// Redis cannot be reached, or does not let us in.
    UpstreamUnavailable,
    /// Redis owes a reply and has said nothing for longer than `upstream-timeout`.
    UpstreamTimeout,
    /// Redis closed the connection, or it failed.
    UpstreamGone,
    /// Redis sent an error that answers no request, and means to close.
    UpstreamRefused,
    /// What Redis sent is no reply to anything.
    UpstreamDesynchronised,
    /// The proxy is shutting down.
    Drained,
}

impl CloseReason {
    /// Whose doing it was.
    pub fn fault(self) -> Fault {
        match self {
            Self::UpstreamUnavailable
            | Self::UpstreamTimeout
            | Self::UpstreamGone
            | Self::UpstreamRefused
            | Self::UpstreamFull
            | Self::UpstreamDesynchronised
            | Self::NoMirror => Fault::Upstream,
            Self::Revoked(_)
            | Self::CertificateRevoked
            | Self::CertificateUntrusted(_)
            | Self::CertificateExpired
            | Self::StandingRightLost
            | Self::PolicyChanged
            | Self::MaxClients
            | Self::MemoryBudget
            | Self::AuthenticationBusy
            | Self::Drained => Fault::Internal,
            _ => Fault::Downstream,
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientGone => "client-gone",
            Self::ClientLost => "client-lost",
            Self::Quit => "quit",
            Self::Protocol(_) => "protocol-error",
            Self::RequestTooLarge => "request-too-large",
            Self::UnreadReplies => "unread-replies",
            Self::AuthenticationTimeout => "authentication-timeout",
            Self::Idle => "idle",
            Self::HalfCloseTimeout => "half-close-timeout",
            Self::AuthenticationBusy => "authentication-busy",
            Self::Throttled => "throttled",
            Self::ResetStorm => "reset-storm",
            Self::ReplicationMisuse => "replication-misuse",
            Self::Refused(reason) => return write!(f, "refused-{reason}"),
            Self::Revoked(reason) => return write!(f, "revoked-{reason}"),
            Self::CertificateRevoked => "certificate-revoked",
            Self::CertificateUntrusted(reason) => return write!(f, "certificate-untrusted-{reason}"),
            Self::CertificateExpired => "certificate-expired",
            Self::StandingRightLost => "standing-right-lost",
            Self::PolicyChanged => "policy-changed",
            Self::NoMirror => "no-mirror",
            Self::MaxClients => "maxclients",
            Self::MemoryBudget => "memory-budget",
            Self::UpstreamUnavailable => "upstream-unavailable",
            Self::UpstreamTimeout => "upstream-timeout",
            Self::UpstreamGone => "upstream-gone",
            Self::UpstreamRefused => "upstream-refused",
            Self::UpstreamFull => "upstream-full",
            Self::UpstreamDesynchronised => "upstream-desynchronised",
            Self::Drained => "drained",
        })
    }
}

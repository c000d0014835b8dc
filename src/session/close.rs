//! Why a session ends.

use crate::identity::CertificateRefusal;
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

/// Why a session ended.
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
    /// Too little came of an unfinished request within `request-timeout`.
    RequestTimeout,
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
    /// The right behind the session has gone.
    Revoked(UserRefusal),
    /// The certificate behind the session is no longer trusted.
    Certificate(CertificateRefusal),
    /// `allow` and `deny` do not let its address in any more.
    Denied,
    /// Its listener does not let in any more who has shown no certificate, or speaks plaintext.
    ListenerChanged,
    /// The certificate is trusted for another reason now, by another CA or for its key alone, and is another user's; or it
    /// names a user by now and did not when it let the session in.
    IdentityChanged,
    /// The user may no longer do what Redis goes on doing for the session: a subscription, MONITOR, tracking, a
    /// blocking command.
    OngoingRightLost,
    /// The policy changed while a request was being streamed, or took away rights with which Redis goes on executing; or
    /// scripts may not run any more as whom Redis knows the session as.
    PolicyChanged,
    /// Redis cannot be told of the rights that the session's scripts have now.
    NoMirror,
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
    /// The operator has ended it.
    Kicked,
    /// The proxy is shutting down.
    Drained,
}

impl CloseReason {
    /// Whether a right has gone with which requests were sent: Redis is to execute nothing more of them.
    pub fn is_loss_of_rights(self) -> bool {
        matches!(
            self,
            Self::Revoked(_)
                | Self::Certificate(_)
                | Self::Denied
                | Self::ListenerChanged
                | Self::IdentityChanged
                | Self::OngoingRightLost
                | Self::PolicyChanged
                | Self::NoMirror
        )
    }

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
            | Self::Certificate(_)
            | Self::Denied
            | Self::ListenerChanged
            | Self::IdentityChanged
            | Self::OngoingRightLost
            | Self::PolicyChanged
            | Self::MemoryBudget
            | Self::AuthenticationBusy
            | Self::Kicked
            | Self::Drained => Fault::Internal,
            _ => Fault::Downstream,
        }
    }
}

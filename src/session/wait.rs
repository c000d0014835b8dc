//! Why no further request is looked at for now.

use std::time::Instant;

use super::login::Login;
use crate::command::Role;
use crate::resp::Protocol;

/// Why no further request is looked at for now, beside a reply that changes how the next one is to be read.
pub(super) enum Wait {
    /// A password is being verified.
    Verifying(Box<Login>),
    /// A login was throttled; the client is told so at this time.
    Throttled { until: Instant },
    /// Somebody outside does what an ACL command asked for, and holds so many bytes of it. An edit of users
    /// waits for its go-ahead first.
    Administering { memory: usize, has_go_ahead: bool },
    /// Redis is told of a user, or of its rights, which take so many bytes.
    Mirroring { memory: usize },
    /// Something that has to follow all earlier replies.
    Replies(AfterReplies),
    /// The verdict on the next request depends on what Redis says to those that were sent.
    Undecided,
    /// To judge the next request takes long, and others do the same: it has to have its turn for that.
    LongJudgement,
}

/// What is done once no reply is outstanding.
pub(super) enum AfterReplies {
    Reset,
    /// SYNC or PSYNC, as canonical multibulk.
    Replicate(Role, Box<[u8]>),
    /// HELLO, as canonical multibulk, after a login in it.
    Hello(Protocol, Box<[u8]>),
    /// Telling Redis for whom the session is.
    Mirror {
        /// It did not know the mirror that was made before.
        anew: bool,
    },
}

impl Wait {
    /// Bytes of memory that are held for it.
    pub(super) fn memory(&self) -> usize {
        match self {
            Self::Verifying(login) => login.memory(),
            Self::Replies(AfterReplies::Replicate(_, request) | AfterReplies::Hello(_, request)) => request.len(),
            Self::Administering { memory, .. } | Self::Mirroring { memory } => *memory,
            Self::Throttled { .. }
            | Self::Replies(AfterReplies::Reset | AfterReplies::Mirror { .. })
            | Self::Undecided
            | Self::LongJudgement => 0,
        }
    }

    /// Whether only replies are waited for.
    pub(super) fn is_for_replies(&self) -> bool {
        matches!(self, Self::Replies(_) | Self::Undecided)
    }

    /// Whether it is for a request that was taken and is still to be answered: a session that takes no more goes on with it.
    pub(super) fn owes_answer(&self) -> bool {
        matches!(
            self,
            Self::Verifying(_)
                | Self::Throttled { .. }
                | Self::Administering { .. }
                | Self::Replies(AfterReplies::Reset | AfterReplies::Hello(..))
        )
    }
}

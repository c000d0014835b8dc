//! Why no further request is looked at for now, and how the session goes on.

use std::time::Instant;

use super::action::Action;
use super::close::CloseReason;
use super::core::{Link, SessionCore};
use super::local::Login;
use super::output::{Output, Side};
use crate::command::Role;
use crate::policy::Policy;
use crate::resp::Protocol;

/// Why no further request is looked at for now.
pub(super) enum Wait {
    /// A password is being verified.
    Verifying(Login),
    /// A login was throttled; the client is told so at this time.
    Throttled { until: Instant },
    /// Somebody outside does what an ACL command asked for, and holds so many bytes of it.
    Administering { memory: usize },
    /// Redis is told of a user, or of its rights, which take so many bytes.
    Mirroring { memory: usize },
    /// Something that has to follow all earlier replies.
    Drained(AfterDrain),
    /// All replies to what was sent, the last of which changes how the next request is to be read.
    Barrier,
}

impl Wait {
    /// Bytes of memory that are held for it.
    pub(super) fn memory(&self) -> usize {
        match self {
            Self::Verifying(login) => login.memory(),
            Self::Drained(AfterDrain::Replicate(_, request) | AfterDrain::Hello(_, request)) => request.len(),
            Self::Administering { memory } | Self::Mirroring { memory } => *memory,
            Self::Throttled { .. } | Self::Drained(AfterDrain::Reset | AfterDrain::Mirror { .. }) | Self::Barrier => 0,
        }
    }
}

/// What is done once no reply is outstanding.
pub(super) enum AfterDrain {
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

impl SessionCore {
    /// Does what had to follow all earlier replies, once they are out.
    pub(super) fn resume(&mut self, policy: &Policy, now: Instant, out: &mut Output<'_>) -> Result<(), CloseReason> {
        if !self.is_drained() {
            return Ok(());
        }
        match self.wait.take() {
            None | Some(Wait::Barrier) => Ok(()),
            Some(Wait::Drained(AfterDrain::Reset)) if out.waiting(Side::Upstream) > 0 => {
                self.wait = Some(Wait::Drained(AfterDrain::Reset));
                Ok(())
            }
            Some(Wait::Drained(AfterDrain::Reset)) => self.reset(policy, now, out),
            Some(Wait::Drained(next)) if self.link != Link::Ready => {
                if self.link == Link::Absent {
                    self.link = Link::Connecting;
                    self.act(Action::Connect);
                }
                self.wait = Some(Wait::Drained(next));
                Ok(())
            }
            Some(Wait::Drained(AfterDrain::Hello(protocol, request))) if self.mirror_is_outdated() => {
                self.greet_as_mirror(protocol, request);
                self.resume(policy, now, out)
            }
            Some(Wait::Drained(AfterDrain::Hello(protocol, request))) => {
                out.send(Side::Upstream, &request);
                self.expect_hello(protocol);
                Ok(())
            }
            Some(Wait::Drained(AfterDrain::Replicate(role, request))) => {
                out.send(Side::Upstream, &request);
                self.replicating = Some(role);
                Ok(())
            }
            Some(Wait::Drained(AfterDrain::Mirror { anew })) => self.order_mirror(policy, anew),
            waiting @ Some(
                Wait::Verifying(_) | Wait::Throttled { .. } | Wait::Administering { .. } | Wait::Mirroring { .. },
            ) => {
                self.wait = waiting;
                Ok(())
            }
        }
    }
}

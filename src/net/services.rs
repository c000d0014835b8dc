//! What a session, and what is left of one that has ended, need of the process they run in.

use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::long_turn::LongTurns;
use super::user_turns::UserTurns;
use crate::acl::UserName;
use crate::audit::client_events::Volume;
use crate::auth::pool::AuthOutcome;
use crate::generation::{EditProgress, GoAhead};
use crate::policy::Policy;
use crate::session::{
    Administration, CloseReason, Credentials, MirrorFailure, MirrorLogin, MirrorSpec, SessionCore, SessionLimits,
    ToFree, UpstreamFailure,
};
use crate::tls::ClientStream;
use crate::tls::close::Closing;
use crate::upstream::{Cut, Unblocking};

/// A stream that can be polled for both directions.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// A client's connection, encrypted or not.
pub(super) trait ClientConnection: Stream + Closing {
    /// Nothing more is read of it in this turn. Returns how many bytes of memory it takes for what has come already and for what it
    /// has still to send.
    fn settle(&mut self) -> usize;
}

impl ClientConnection for TcpStream {
    fn settle(&mut self) -> usize {
        0
    }
}

impl ClientConnection for ClientStream {
    fn settle(&mut self) -> usize {
        ClientStream::settle(self)
    }
}

/// A connection to Redis on its way.
pub(super) type Connecting<U> = Pin<Box<dyn Future<Output = Result<U, UpstreamFailure>>>>;

/// What a session asks of the process, by way of its driver.
pub(super) trait Services {
    /// The connection to Redis.
    type Upstream: Stream;
    /// A reference to the policy in force.
    type PolicyRef: Deref<Target = Policy>;
    /// The policy in force, for as long as one wake-up lasts.
    fn policy(&self) -> Self::PolicyRef;
    /// Its bounds.
    fn limits(&self) -> Arc<SessionLimits>;
    /// Whether its listener, as it is in force, would let the session in.
    ///
    /// # Errors
    /// Why the session has to end.
    fn judge(&self) -> Result<(), CloseReason>;
    /// Whether what goes over this connection may be done as whom it is logged in as.
    ///
    /// # Errors
    /// Why the session has to end.
    fn judge_upstream(&self, upstream: &Self::Upstream) -> Result<(), CloseReason>;
    /// Whether there is room for what will be recorded of requests. Where there is none, the session is woken when there is.
    fn may_take_requests(&self) -> bool;
    /// Where the sessions that share a thread wait for long turns.
    fn long_turns(&self) -> &LongTurns;
    /// How much of its time each user has.
    fn user_turns(&self) -> &UserTurns<Option<UserName>>;
    /// The session has looked at another policy, which took so long.
    fn note_renewal(&self, took: Duration);
    /// Drops what takes long, without anybody waiting for it.
    fn free(&self, to_free: ToFree);
    /// Opens a connection to Redis, logged in.
    fn connect(&self) -> Connecting<Self::Upstream>;
    /// Nothing more that was sent over this connection is to be executed.
    fn cut(&self, upstream: &Self::Upstream) -> Cut;
    /// Has Redis answer what is waited for over this connection.
    fn unblock(&self, upstream: &Self::Upstream) -> Unblocking;
    /// Verifies a password.
    fn verify(&self, core: &SessionCore, credentials: Credentials) -> oneshot::Receiver<AuthOutcome>;
    /// Has an edit of users wait for its turn.
    fn queue_edit(&self) -> oneshot::Receiver<EditProgress>;
    /// Does what an ACL command asked for. What changes users goes with `go_ahead`, which is there when its turn has come.
    fn administer(
        &self,
        core: &mut SessionCore,
        administration: Administration,
        go_ahead: Option<GoAhead>,
    ) -> oneshot::Receiver<EditProgress>;
    /// Sees to it that Redis has a mirror of a user.
    fn mirror(&self, spec: MirrorSpec) -> oneshot::Receiver<Result<MirrorLogin, MirrorFailure>>;
    /// The first bytes have come from the client.
    fn note_first_bytes(&self, core: &SessionCore);
    /// Tells `ACL LOG` of what the core refused.
    fn note_acl_log(&self, core: &mut SessionCore);
    /// Logs and counts what the core has to report, of a session with this connection to Redis.
    fn report(&self, core: &mut SessionCore, upstream: Option<&Self::Upstream>);
    /// Counts what the session has moved since that was counted last.
    fn count(&self, core: &mut SessionCore, volume: Volume);
    /// Counts how long Redis took for a reply.
    fn count_reply(&self, duration: Duration);
}

//! What the core asks of the driver, and what it hears of that.

use zeroize::Zeroizing;

use super::administration::Administration;
use super::close::CloseReason;
use crate::acl::{PasswordHash, UserName};
use crate::policy::{DenialReason, RequestKeys, UserRefusal};

/// A password to be verified.
pub struct Credentials {
    /// The name that was given.
    pub user: Vec<u8>,
    /// The session's certificate has made it this user already.
    pub is_own: bool,
    /// The password that was given.
    pub password: Zeroizing<Vec<u8>>,
    /// What it is compared with; `None` for a user that cannot log in, which takes the same time.
    pub hashes: Option<Vec<PasswordHash>>,
}

/// How the verification of a password ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginOutcome {
    /// It is that of the hash of this index.
    Accepted(usize),
    /// It is wrong.
    Rejected,
    /// Too many verifications are waiting.
    Busy,
    /// Too many wrong passwords came from there.
    Throttled,
}

/// Why there is no upstream connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamFailure {
    /// Redis has as many clients as it takes.
    Full,
    /// Any other reason, which goes to the log.
    Unavailable,
}

impl From<UpstreamFailure> for CloseReason {
    fn from(failure: UpstreamFailure) -> CloseReason {
        match failure {
            UpstreamFailure::Full => CloseReason::UpstreamFull,
            UpstreamFailure::Unavailable => CloseReason::UpstreamUnavailable,
        }
    }
}

/// The mirror that a session needs: a user at Redis with the rights of one of ours.
pub struct MirrorSpec {
    /// The user of ours.
    pub user: String,
    /// Its rights, as `ACL SETUSER` rules.
    pub rules: Vec<Vec<u8>>,
    /// The policy that they are of.
    pub generation: u64,
    /// Redis did not know it: what was made before is gone.
    pub anew: bool,
}

impl MirrorSpec {
    /// Bytes of memory that it takes.
    pub(super) fn memory(&self) -> usize {
        self.user.len() + self.rules.iter().map(|rule| size_of_val(rule) + rule.capacity()).sum::<usize>()
    }
}

/// How to log in as a mirror. It holds a password, so it has no `Debug`.
#[derive(Clone)]
pub struct MirrorLogin {
    /// The name at Redis.
    pub name: String,
    /// The password.
    pub password: Zeroizing<String>,
}

/// Why there is no mirror. Redis's words go to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MirrorFailure {
    /// Redis does not let us make it.
    Refused,
    /// Redis cannot be asked just now.
    Unreachable,
}

/// What takes long to free.
pub type ToFree = Box<dyn Send>;

/// What the driver has to do.
pub enum Action {
    /// Open a connection to Redis, log in, and report with [`SessionCore::handle_connected`].
    Connect,
    /// Drop the connection to Redis.
    Disconnect,
    /// Drop this where nobody waits for it.
    Free(ToFree),
    /// Verify a password and report with [`SessionCore::handle_verified`].
    Verify(Credentials),
    /// Do something of the ACL family and report with [`SessionCore::handle_administered`]. What changes users waits for its
    /// go-ahead: that is reported with [`SessionCore::handle_go_ahead`], after which it is asked for again or not done.
    Administer(Administration),
    /// See to it that Redis has a mirror of a user and report with [`SessionCore::handle_mirrored`].
    Mirror(MirrorSpec),
    /// Have the session's turn come for a judgement that takes long, among all that ask for it, and report with
    /// [`SessionCore::begin_turn`].
    QueueLongJudgement,
    /// Have Redis answer the blocking command that it executes on this connection, and report with
    /// [`SessionCore::handle_not_unblocked`] if it does not.
    Unblock,
    /// Send what is queued, then close both connections.
    Close(CloseReason),
}

/// Why a login failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginFailure {
    /// The user has another password, or none.
    WrongPassword,
    /// The user may not log in, whatever the password is.
    Refused(UserRefusal),
    /// Too many distinct guesses are waiting.
    Busy,
    /// Too many failures from this address, or guesses at this user.
    Throttled,
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestRefusal {
    /// The policy says so.
    Denied(DenialReason),
    /// Redis cannot be told for whom the script would run.
    NoMirror,
    /// Tracking would be redirected to somebody else.
    Redirect,
    /// Redis would not reply, which would shift the replies behind it.
    NoReply,
    /// Something but REPLCONF and PING after SYNC or PSYNC.
    ReplicationMisuse,
}

/// Something an operator may want to know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// A login succeeded.
    LoggedIn {
        /// The user.
        user: String,
    },
    /// A login failed.
    LoginFailed {
        /// The name that was given.
        user: String,
        /// Why.
        reason: LoginFailure,
    },
    /// A password that could make nobody else of the session was not looked at.
    StrayAuth {
        /// The name that was given.
        attempted: String,
        /// The client was told that all is well.
        is_ignored: bool,
    },
    /// A request was refused.
    Refused {
        /// Why.
        reason: RequestRefusal,
        /// The command's full name, empty where it is unknown.
        command: String,
        /// Whose request it was.
        user: Option<UserName>,
        /// An operator wants to hear of it, and not only how often it happens: it is no mere mistake of a client.
        is_told: bool,
        /// Those that it names; of several requests those of the first.
        keys: RequestKeys,
    },
    /// A request was permitted although the rules of its user refuse it, which are only tried out.
    WouldRefuse {
        /// Why they do.
        reason: RequestRefusal,
        /// The command's full name.
        command: String,
        /// Whose request it was.
        user: Option<UserName>,
        /// Those that it names; of several requests those of the first.
        keys: RequestKeys,
    },
    /// A request was permitted that the audit log is told of.
    Permitted {
        /// The command's full name.
        command: String,
        /// Whose request it was.
        user: Option<UserName>,
        /// Those that it names; of several requests those of the first.
        keys: RequestKeys,
    },
}

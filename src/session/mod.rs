//! One client's session, pure: the driver in [`net`](crate::net) does its I/O.
//!
//! [`SessionCore`] is told what arrived, and says what to send and what to do next; it has no sockets, no clock and
//! never waits. It is made of parts, each of which knows nothing of it and little of the others:
//!
//! | part | keeps | until |
//! | --- | --- | --- |
//! | `who` | whom the session acts for | its end; RESET begins it anew |
//! | `intake` | the request that is coming in, and why none is looked at | its end |
//! | `upstream` | the connection to Redis: its state, replies in their order, the mirror | the connection is gone, as after RESET |
//! | `flow` | how much waits | its end |
//! | `lifetime` | when the session ends, and how | its end |
//! | `outbox` | what others are told | they have taken it |
//!
//! `core` brings them together, and what a request meets there, in order, is: `request` has it judged and forwards, answers
//! or refuses it, `stream` does not wait for the end of a large one, `verdict` is where its verdict is final, `local/`
//! carries out what Redis must not see, `answer` says so. The way of a reply is in `upstream/replies`.

mod action;
mod activity;
mod administration;
mod buffer;
mod close;
mod core;
mod flow;
mod intake;
mod lifetime;
mod limits;
mod login;
mod outbox;
mod output;
mod progress;
mod remains;
mod client_ids;
mod upstream;
mod wait;
mod who;
mod window;

#[cfg(test)]
pub(crate) mod tests;

pub use self::action::{
    Action, Credentials, LoginFailure, LoginOutcome, MirrorFailure, MirrorLogin, MirrorSpec, Report, RequestRefusal,
    ToFree, UpstreamFailure,
};
pub use self::activity::Activity;
pub use self::administration::{Administered, Administration};
pub use self::buffer::Buffer;
pub use self::client_ids::ClientIds;
pub use self::close::{CloseReason, Fault};
pub use self::core::{SessionCore, describe_log};
pub use self::limits::SessionLimits;
pub use self::outbox::Traffic;
pub use self::output::{Output, Queues, Side};
pub use self::remains::Remains;
pub use self::who::Peer;

//! One client's session, pure: the driver in [`net`](crate::net) does its I/O.
//!
//! [`SessionCore`] is told what arrived, and says what to send and what to do next; it has no sockets, no clock and
//! never waits. Its parts, in the order a request meets them: `request` judges and forwards or refuses, `stream` does
//! not wait for the end of large ones, `local/` carries out what Redis must not see, `answer` says so,
//! `pending` keeps the order of replies, `reply` brings the upstream's replies to their places.

mod action;
mod answer;
mod buffer;
mod clients;
mod close;
mod core;
mod database;
mod local;
mod mirror;
mod one_shot;
mod output;
mod pending;
mod refusal;
mod reply;
mod request;
mod shared;
mod standing;
mod stream;
mod subscription;
mod transaction;
mod wait;
mod window;

#[cfg(test)]
mod tests;

pub use self::action::{Action, Credentials, LoginFailure, LoginOutcome, Report, RequestRefusal, UpstreamFailure};
pub use self::buffer::Buffer;
pub use self::close::{CloseReason, Fault};
pub use self::core::{Peer, SessionCore, SessionLimits, Traffic};
pub use self::local::{Administered, Administration, describe_log};
pub use self::mirror::{MirrorFailure, MirrorLogin, MirrorOrder};
pub use self::output::{Output, Queues, Side};
pub use self::shared::Shared;

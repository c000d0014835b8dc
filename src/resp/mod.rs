//! The Redis serialization protocol, scanned and framed in place. Pure: bytes in, decisions about bytes out.
//!
//! - [`RequestScanner`] finds the boundaries of one client request. It is strict: whatever Redis would read differently
//!   from what is written, is a [`ProtocolError`].
//! - [`ReplyFramer`] finds the boundaries of one server reply, RESP2 or RESP3, without looking into large values.
//! - [`Reply`] is a reply of our own. It is encoded, and a trusted server's reply decoded, by the redis-protocol crate,
//!   which never sees bytes of a client.

mod args;
mod encode;
mod error;
mod inline;
mod int;
mod limits;
mod reply;
mod request;

pub use args::encode_request;
pub use encode::{Protocol, Reply, decode};
pub use error::{ProtocolError, ReplyError};
pub(crate) use int::parse as parse_integer;
pub use limits::RequestLimits;
pub use reply::{FrameKind, ReplyFramer, ReplyStep};
pub use request::{OpenBulk, RequestScanner, Scanned};

//! The client's end: what an application says in plain goes to a server over TLS, and what that answers comes back. Not a
//! byte of it is read.
//!
//! [`Dialler`] finds a server whose certificate is good, [`Carrier`] copies between it and the application.

mod carrier;
mod dialler;
mod names;
mod plain;

pub use self::carrier::{Carrier, Ended, Step};
pub use self::dialler::{Dialled, Dialler};
pub use self::plain::{Plain, PlainSocket};

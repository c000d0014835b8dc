//! `respgate doctor`: what is wrong with a deployment, and the line that puts it right. It changes nothing.
//!
//! *Facts* are gathered by thin shells ([`sockets`], [`redis`], [`redis_conf`], [`compose`], [`outside`]) into plain
//! data. *Judges* ([`judge`]) are pure: facts to [`Finding`]s, each of a [`Kind`], which has its words. A [`Report`] shows
//! them.

pub mod compose;
mod finding;
mod told;
pub mod judge;
pub mod kind;
pub mod look;
mod nodes;
pub mod outside;
pub mod redis;
pub mod redis_conf;
mod report;
pub mod sockets;

pub use self::finding::{Finding, Fix, Position, Severity};
pub use self::kind::Kind;
pub use self::nodes::Node;
pub use self::report::{Report, Subject};
pub use self::told::told;

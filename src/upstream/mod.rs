//! The connections to Redis.

mod commands;
mod connect;
pub mod look;
mod login;

use std::sync::atomic::AtomicBool;

use tokio::sync::Notify;

pub use self::connect::{ConnectError, Connection, Target, connect};

/// Redis, as the whole process knows it.
#[derive(Debug)]
pub struct Upstream {
    /// Where it is.
    pub target: Target,
    /// It is there and does not let us in. Without a password of ours a connection would only show that to a client,
    /// command by command.
    pub shut_out: AtomicBool,
    /// Notified when a session loses its connection, or gets none.
    pub lost: Notify,
}

impl Upstream {
    /// One of which nothing is known yet.
    pub fn new(target: Target) -> Self {
        Self { target, shut_out: AtomicBool::new(false), lost: Notify::new() }
    }
}

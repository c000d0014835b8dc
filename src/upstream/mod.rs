//! The connections to Redis.

mod commands;
mod connect;
mod control;
mod cut;
mod error;
pub mod probe;
mod login;
mod mirror;
mod run;
mod unblock;

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

pub use self::connect::{Connection, Target, connect};
use self::connect::{connect_and_ask, connect_and_identify};
use self::cut::Cuts;
pub use self::cut::{Cut, NotConfirmed};
pub use self::error::ConnectError;
pub use self::mirror::Mirrors;
use self::run::LastRun;
use self::unblock::BlockedClients;
pub use self::unblock::{NotUnblocked, Unblocking};

/// Redis, as the whole process knows it.
#[derive(Debug)]
pub struct Upstream {
    /// Where it is.
    pub target: Target,
    /// It is there and does not let us in. Without a password of ours a connection would only show that to a client,
    /// command by command.
    pub shut_out: AtomicBool,
    /// It takes connections and says nothing: one is of use once it has answered.
    pub silent: AtomicBool,
    /// The users there that stand for ours.
    mirrors: Mirrors,
    /// Connections of which nothing more is to be executed.
    cuts: Cuts,
    /// Connections that Redis is to answer, whatever they wait for.
    blocked: BlockedClients,
    /// What it was when it was last asked.
    run: LastRun,
    /// Notified when a session loses its connection, or gets none.
    pub lost: Notify,
}

impl Upstream {
    /// One of which nothing is known yet.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn new(target: Target) -> std::io::Result<Self> {
        Ok(Self {
            target,
            shut_out: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            mirrors: Mirrors::new()?,
            cuts: Cuts::default(),
            blocked: BlockedClients::default(),
            run: LastRun::default(),
            lost: Notify::new(),
        })
    }

    /// A connection for a session.
    ///
    /// # Errors
    /// There is none, or it would be of no use.
    pub async fn connect(&self) -> Result<Connection, ConnectError> {
        match self.silent.load(Ordering::Relaxed) {
            false => connect_and_identify(&self.target).await,
            true => connect_and_ask(&self.target).await,
        }
    }
}

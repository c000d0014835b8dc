//! Where the proxy is asked how it is, and told what to do, over HTTP.

mod http;
mod routes;
mod socket;

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use tokio::task::spawn_local;
use tracing::warn;

pub(super) use self::http::CONNECTIONS;
use self::routes::Door;
use self::socket::AdminSocket;
use super::health::Condition;
use super::reload::ReloadFailures;
use super::status::{InForce, Reloads, Status, rfc3339};
use crate::generation::Generation;
use crate::net::worker::Mailbox;

/// The running proxy, as far as the doors show it.
pub(super) struct Proxy {
    /// When it was started.
    pub(super) started: SystemTime,
    /// How it is.
    pub(super) condition: Rc<Condition>,
    /// What is in force.
    pub(super) generation: Arc<ArcSwap<Generation>>,
    /// How reloads have gone.
    pub(super) failures: Rc<Cell<ReloadFailures>>,
    /// Who serves clients.
    pub(super) workers: Vec<Mailbox>,
}

impl Proxy {
    fn status(&self) -> Status {
        let generation = self.generation.load();
        let ReloadFailures { count, lasts } = self.failures.get();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: rfc3339(self.started),
            health: self.condition.health().to_string(),
            connections: self.workers.iter().map(Mailbox::load).sum(),
            generation: InForce { number: generation.number, since: rfc3339(generation.since) },
            reloads: Reloads { failed: count, is_failed: lasts },
        }
    }
}

/// Opens the admin door. The proxy is of use without it, so its absence is a warning.
pub(super) fn open_admin(path: &Path, proxy: &Rc<Proxy>) {
    match AdminSocket::bind(path) {
        Ok(socket) => {
            let proxy = Rc::clone(proxy);
            spawn_local(http::serve(socket, move |request| routes::answer(Door::Socket, Rc::clone(&proxy), request)));
        }
        Err(error) => warn!(%error, "no admin socket"),
    }
}

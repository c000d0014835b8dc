//! The workers, with what they share and what the configuration says of them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use super::bounds::Bounds;
use crate::audit::SharedAclLog;
use crate::audit::client_events::ClientEvents;
use crate::auth::pool::AuthPool;
use crate::config::Config;
use crate::generation::{EditTicket, Generation};
use crate::learn::Evidence;
use crate::net::LazyFree;
use crate::net::worker::{self, Mailbox, WorkerSettings};
use crate::session::ClientIds;
use crate::upstream::Upstream;

/// What there is one of, for all of them.
pub(super) struct Shared {
    pub(super) generation: Arc<ArcSwap<Generation>>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) pool: Arc<AuthPool>,
    pub(super) edits: mpsc::UnboundedSender<EditTicket>,
    pub(super) events: Arc<ClientEvents>,
    /// Where it is learnt what users do.
    pub(super) learns: Option<Evidence>,
}

/// Starts as many as are configured.
///
/// # Errors
/// A thread or its event loop cannot be made.
pub(super) fn start(
    config: &Config,
    bounds: &Bounds,
    shared: &Shared,
) -> io::Result<(Vec<Mailbox>, Vec<JoinHandle<()>>)> {
    let acl_log = Arc::new(SharedAclLog::default());
    let sessions = Arc::new(AtomicU64::new(1));
    let client_ids = Arc::new(ClientIds::default());
    let lazy_free = LazyFree::start()?;
    let workers = (0..config.threads).map(|number| {
        let settings = WorkerSettings {
            handshakes: Arc::clone(&bounds.handshakes),
            upstream: Arc::clone(&shared.upstream),
            pool: Arc::clone(&shared.pool),
            budget: Arc::clone(&bounds.budget),
            edits: shared.edits.clone(),
            acl_log: Arc::clone(&acl_log),
            events: Arc::clone(&shared.events),
            sessions: Arc::clone(&sessions),
            client_ids: Arc::clone(&client_ids),
            lazy_free: lazy_free.clone(),
            learns: shared.learns.clone(),
        };
        worker::start(number, settings, Arc::clone(&shared.generation))
    });
    Ok(workers.collect::<io::Result<Vec<_>>>()?.into_iter().unzip())
}

//! The workers, with what they share and what the configuration says of them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use crate::audit::SharedAclLog;
use crate::audit::client_events::ClientEvents;
use crate::auth::pool::AuthPool;
use crate::config::Config;
use crate::generation::{EditTicket, Generation};
use crate::net::worker::{self, Mailbox, WorkerSettings};
use crate::net::{MemoryBudget, Places};
use crate::resp::RequestLimits;
use crate::session::{ClientIds, SessionLimits};
use crate::upstream::Upstream;

/// Starts as many as are configured.
///
/// # Errors
/// A thread or its event loop cannot be made.
pub(super) fn start(
    config: &Config,
    generation: &Arc<ArcSwap<Generation>>,
    upstream: &Arc<Upstream>,
    pool: &Arc<AuthPool>,
    edits: &mpsc::UnboundedSender<EditTicket>,
    events: &Arc<ClientEvents>,
) -> io::Result<(Vec<Mailbox>, Vec<JoinHandle<()>>)> {
    let bounds = &config.limits;
    let bytes = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let limits = SessionLimits {
        request: RequestLimits {
            max_args: bounds.max_args,
            max_bulk: bounds.max_bulk,
            max_inline: bounds.max_inline,
            authenticated: true,
        },
        request_buffer: bytes(bounds.request_buffer),
        hold_buffer: bytes(bounds.hold_buffer),
        auth_timeout: bounds.auth_timeout,
        idle_timeout: bounds.idle_timeout,
        request_timeout: bounds.request_timeout,
        upstream_timeout: config.upstream.timeout,
        half_close_timeout: bounds.half_close_timeout,
    };
    let handshakes = Places::new(bounds.max_handshakes);
    let budget = MemoryBudget::new(bounds.memory_budget);
    let acl_log = Arc::new(SharedAclLog::default());
    let sessions = Arc::new(AtomicU64::new(1));
    let client_ids = Arc::new(ClientIds::default());
    let workers = (0..config.threads).map(|number| {
        let settings = WorkerSettings {
            limits: limits.clone(),
            handshake_timeout: bounds.handshake_timeout,
            keepalive: bounds.tcp_keepalive,
            handshakes: Arc::clone(&handshakes),
            upstream: Arc::clone(upstream),
            pool: Arc::clone(pool),
            budget: Arc::clone(&budget),
            edits: edits.clone(),
            acl_log: Arc::clone(&acl_log),
            events: Arc::clone(events),
            sessions: Arc::clone(&sessions),
            client_ids: Arc::clone(&client_ids),
        };
        worker::start(number, settings, Arc::clone(generation))
    });
    Ok(workers.collect::<io::Result<Vec<_>>>()?.into_iter().unzip())
}

//! The running proxy: what is started, what it listens to, and how it ends.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::{LocalSet, spawn_local};
use tracing::field::display;
use tracing::{info, warn};

use super::admin::{self, AdminSocket, Health, InForce, ReloadFailures};
use super::enforce::Enforcer;
use super::heartbeat;
use super::logging::LogHandle;
use super::reload::{self, Reloader, Reread, Start};
use crate::audit::SharedAclLog;
use crate::audit::client_events::ClientEvents;
use crate::auth::pool::{AuthPool, PoolSettings};
use crate::config::{Config, DEFAULT_MAXCLIENTS, UpstreamAddress};
use crate::files::Files;
use crate::generation::{self, BuildError, EditTicket, Generation, Kept, UpstreamKnowledge, Watch};
use crate::net::listener::{self, AddressFilter};
use crate::net::worker::{self, Mailbox, WorkerSettings};
use crate::net::{Gate, GateLimits, MemoryBudget, Places, SURPLUS};
use crate::resp::RequestLimits;
use crate::session::{ClientIds, SessionLimits};
use crate::upstream::probe::{self, ProbeResult};
use crate::upstream::{ConnectError, Target, Upstream};

/// File descriptors for everything that is not a client: logs, listeners, looks at the upstream, files that are read.
const OTHER_DESCRIPTORS: u64 = 32;

/// File descriptors of a worker's event loop.
const WORKER_DESCRIPTORS: u64 = 4;

/// Why the proxy does not run (any more).
#[derive(Debug)]
pub enum RunError {
    /// What the configuration names cannot be loaded.
    Load(Vec<BuildError>),
    /// A listening address cannot be had.
    Bind(SocketAddr, io::Error),
    /// Redis is not there, and `--require-upstream` says that it has to be.
    Upstream(UpstreamAddress, ConnectError),
    /// The file-descriptor limit allows fewer clients than `maxclients`, or none.
    Descriptors {
        /// What is configured.
        wanted: Option<u32>,
        /// What is possible.
        possible: u32,
        /// The limit that it takes, for one client where nothing is configured.
        needed: u64,
    },
    /// The system denies something that every process needs.
    System(io::Error),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(errors) => {
                let lines: Vec<String> = errors.iter().map(|error| format!("error: {error}")).collect();
                f.write_str(&lines.join("\n"))
            }
            Self::Descriptors { wanted: Some(wanted), possible, needed } => write!(
                f,
                "error: maxclients = {wanted}, but the file-descriptor limit allows {possible} clients; raise it with: \
                 ulimit -n {needed}"
            ),
            Self::Descriptors { wanted: None, needed, .. } => {
                write!(f, "error: the file-descriptor limit allows no client; one takes at least: ulimit -n {needed}")
            }
            Self::Bind(address, error) => write!(f, "error: cannot listen on {address}: {error}"),
            Self::Upstream(address, error) => write!(f, "error: the upstream {address} does not answer: {error}"),
            Self::System(error) => write!(f, "error: {error}"),
        }
    }
}

impl std::error::Error for RunError {}

/// Runs the proxy until it is told to stop and all is drained. `files` is what the configuration was read from, `reread` reads the configuration again, for reloads.
///
/// # Errors
/// Nothing was started, or everything has been stopped again.
pub fn run(config: Config, files: Files, reread: Reread, log: &LogHandle) -> Result<(), RunError> {
    // Before anything fails for want of descriptors in words of its own.
    let capacity = capacity(config.limits.maxclients, config.threads)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(RunError::System)?;
    let ended = LocalSet::new().block_on(&runtime, serve(config, files, capacity, reread, log));
    runtime.shutdown_background();
    ended
}

async fn serve(config: Config, files: Files, capacity: u32, reread: Reread, log: &LogHandle) -> Result<(), RunError> {
    // Whoever sees it listen may send it signals, which would end it as long as nobody listens for them.
    let mut signals = Signals::new().map_err(RunError::System)?;
    // That a file may not grow any more, the log for one, is an error of what writes to it, and not the end of the process.
    let _ignored = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).map_err(RunError::System)?;
    // Before anything is loaded: that takes a tenth of a second, most of it the seeding of the random generator,
    // and a client that comes in between is better kept waiting than refused.
    let mut listeners = Vec::new();
    for settings in &config.listeners {
        let bound = listener::bind(settings.address).map_err(|error| RunError::Bind(settings.address, error))?;
        let filter = AddressFilter {
            allow: settings.allow.clone(),
            deny: settings.deny.clone(),
            proxies: settings.proxy_protocol_from.clone(),
        };
        listeners.push((bound, filter));
    }
    let target = Target::from(&config);
    let build = |heard| generation::build(&config, &files, heard, Kept::default()).map_err(RunError::Load);
    let (built, server) = match config.require_upstream {
        false => (build(UpstreamKnowledge::NotYetKnown)?, None),
        true => {
            let names = generation::declared_names(&config);
            let probed = tokio::select! {
                probed = probe::once(&target, &names) => probed,
                () = signals.end() => return Ok(()),
            };
            match probed {
                Ok(server) => (build(UpstreamKnowledge::Known(&server))?, Some(server)),
                // What is wrong without it comes first.
                Err(error) => {
                    let address = config.upstream.address.clone();
                    return build(UpstreamKnowledge::NotYetKnown).and(Err(RunError::Upstream(address, error)));
                }
            }
        }
    };
    let watch = Watch::new(config.watched_files(), &files);
    let once = Rc::new(files.into_start());
    let told = reload::tell(&built, &[]);
    let first = built.generation;
    tell_capacity(capacity, &config);
    let pool = Arc::new(AuthPool::start(PoolSettings::default()).map_err(RunError::System)?);
    let generation = Arc::new(ArcSwap::from_pointee(first));
    let upstream = Arc::new(Upstream::new(target).map_err(RunError::System)?);
    let (edits, mut edited) = mpsc::unbounded_channel();
    let events = Arc::new(ClientEvents::default());
    let (mailboxes, threads) =
        start_workers(&config, &generation, &upstream, &pool, &edits, &events).map_err(RunError::System)?;
    spawn_local(tell_sums(Arc::clone(&events)));

    let health = Rc::new(Cell::new(Health::UpstreamDown));
    let stuck = Rc::new(Cell::new(0));
    let heartbeats = spawn_local(heartbeat::watch(mailboxes.clone(), Rc::clone(&stuck)));
    let failures = Rc::new(Cell::new(ReloadFailures::default()));
    if let Some(path) = &config.admin_listen {
        let health = Rc::clone(&health);
        let health = move || health.get().with_stuck_workers(stuck.get());
        open_admin_socket(path, health, Arc::clone(&generation), Rc::clone(&failures));
    }
    let (findings, mut found) = mpsc::unbounded_channel();
    let (declare, declared) = watch::channel(generation::declared_names(&config));
    spawn_local(probe::watch(Arc::clone(&upstream), declared, move |finding| {
        // The receiver lives as long as the process serves.
        let _ = findings.send(finding);
    }));
    let per_address = config.limits.max_connections_per_address;
    let keepalive = config.limits.tcp_keepalive;
    let gate = Gate::new(GateLimits { connections: capacity, per_address });
    let mut acceptors = Vec::new();
    for (number, (bound, filter)) in listeners.into_iter().enumerate() {
        let address = bound.local_addr().map_err(RunError::System)?;
        let tls = config.listeners.get(number).is_some_and(|listener| listener.tls.is_some());
        info!(%address, tls, "listening");
        let accept = listener::accept(
            bound,
            number,
            filter,
            Arc::clone(&gate),
            mailboxes.clone(),
            Arc::clone(&events),
            keepalive,
        );
        acceptors.push(spawn_local(accept));
    }

    let start = Start { config, watch, once, server, told, failures };
    let enforcer = Enforcer::new(generation, mailboxes.clone(), Arc::clone(&upstream));
    let mut reloader = Reloader::new(start, reread, declare, enforcer);
    let mut poll = tokio::time::interval(reloader.config().reload_interval);
    poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            finding = found.recv() => match finding {
                Some(ProbeResult::Up(server)) => {
                    info!(server = server.server, version = server.full_version, "upstream is there");
                    upstream.shut_out.store(false, Ordering::Relaxed);
                    upstream.silent.store(false, Ordering::Relaxed);
                    reloader.learn(*server).await;
                    health.set(Health::Serving);
                }
                Some(ProbeResult::Down(error)) => {
                    health.set(Health::UpstreamDown);
                    upstream.shut_out.store(matches!(error, ConnectError::Refused(_)), Ordering::Relaxed);
                    upstream.silent.store(matches!(error, ConnectError::Timeout), Ordering::Relaxed);
                    let address = &reloader.config().upstream.address;
                    warn!(%address, %error, "upstream is not there");
                }
                None => {}
            },
            _ = poll.tick() => reloader.look_at_files().await,
            // `edits` is held here, so there is always somebody who may send.
            Some(edit) = edited.recv() => reloader.edit(edit).await,
            _ = signals.reload.recv() => reloader.reload().await,
            _ = signals.reopen.recv() => log.reopen(),
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
        }
    }
    health.set(Health::Draining);
    heartbeats.abort();
    // Sessions that wait for an edit are told that there will be none.
    drop(edited);
    acceptors.iter().for_each(tokio::task::JoinHandle::abort);
    let deadline = Instant::now() + reloader.config().limits.shutdown_timeout;
    let end = async {
        let unblocking = upstream.unblock_all(|error| warn!(%error, "blocked clients are closed without an answer"));
        tokio::select! {
            () = drain(deadline, &mailboxes, threads) => {}
            () = unblocking => {}
        }
        // Where sessions took all the time there was, it is still tried for a moment.
        let deadline = deadline.max(Instant::now() + Duration::from_millis(100));
        match tokio::time::timeout_at(deadline.into(), upstream.forget_mirrors()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "users that scripts ran as are left at the upstream"),
            Err(_elapsed) => warn!("users that scripts ran as are left at the upstream"),
        }
    };
    // A second signal ends it at once.
    tokio::select! {
        () = end => {}
        () = signals.end() => {}
    }
    events.tell_last_sums();
    info!(hashes_computed = pool.computations(), "stopped");
    Ok(())
}

/// Tells for ever what was summed in each second.
async fn tell_sums(events: Arc<ClientEvents>) {
    let mut poll = tokio::time::interval(Duration::from_millis(250));
    poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        poll.tick().await;
        events.tell_sums();
    }
}

/// Lets sessions end where nothing is owed.
async fn drain(deadline: Instant, mailboxes: &[Mailbox], threads: Vec<JoinHandle<()>>) {
    let connections: usize = mailboxes.iter().map(Mailbox::load).sum();
    info!(connections, "draining");
    mailboxes.iter().for_each(|mailbox| mailbox.drain(deadline));
    let mut poll = tokio::time::interval(Duration::from_millis(20));
    while !threads.iter().all(JoinHandle::is_finished) {
        poll.tick().await;
    }
}

struct Signals {
    reload: Signal,
    reopen: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            reload: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Until it is told to stop.
    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn start_workers(
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

/// The proxy is of use without it, so its absence is a warning.
fn open_admin_socket(
    path: &std::path::Path,
    health: impl Fn() -> Health + 'static,
    generation: Arc<ArcSwap<Generation>>,
    failures: Rc<Cell<ReloadFailures>>,
) {
    let in_force = move || {
        let generation = generation.load();
        InForce { generation: generation.number, since: generation.since, failures: failures.get() }
    };
    match AdminSocket::bind(path) {
        Ok(socket) => {
            spawn_local(async move { admin::serve(socket.listener(), health, in_force).await });
        }
        Err(error) => warn!(%error, "no admin socket"),
    }
}

/// What there is room for, and by which file where nobody has written it.
fn tell_capacity(maxclients: u32, config: &Config) {
    let limits = &config.limits;
    let (memory, source) =
        limits.memory.as_ref().map(|memory| (memory.bytes, display(memory.source.display()))).unzip();
    info!(maxclients, memory_budget = limits.memory_budget, memory, source, "capacity");
}

/// The connections that there may be: as many as wanted, or as the file-descriptor limit allows. Each needs two: the
/// client's and Redis's. Those over the limit need one, until they have been told so.
fn capacity(wanted: Option<u32>, workers: usize) -> Result<u32, RunError> {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let descriptors = match raised {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let others = OTHER_DESCRIPTORS + WORKER_DESCRIPTORS * workers as u64 + u64::from(SURPLUS);
    let possible = descriptors.map_or(u64::MAX, |descriptors| descriptors.saturating_sub(others) / 2);
    let possible = u32::try_from(possible).unwrap_or(u32::MAX);
    let least = wanted.unwrap_or(1);
    if least > possible {
        return Err(RunError::Descriptors { wanted, possible, needed: u64::from(least) * 2 + others });
    }
    Ok(wanted.unwrap_or(possible.min(DEFAULT_MAXCLIENTS)))
}

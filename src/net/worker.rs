//! A worker: one thread and its connections.

mod admission;
mod connection;
mod counting;
mod learning;
mod mailbox;
mod renewal;
mod services;
mod sessions;
#[cfg(test)]
mod sizes;
mod tunnel;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::{ArcSwap, Cache};
use tokio::runtime::LocalOptions;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::spawn_local;

use self::connection::Counted;
use self::learning::SharedLearner;
use self::mailbox::Message;
pub use self::mailbox::{Application, Arrival, Mailbox, Renewal, RenewalReceivers};
use super::budget::MemoryBudget;
use super::handshake_turns::HandshakeTurns;
use super::lazy_free::LazyFree;
use super::long_turn::LongTurns;
use super::places::Places;
use super::registry::Registry;
use super::user_turns::UserTurns;
use crate::acl::UserName;
use crate::audit::SharedAclLog;
use crate::audit::client_events::ClientEvents;
use crate::auth::pool::AuthPool;
use crate::generation::{EditTicket, Generation};
use crate::keepalive::Keepalive;
use crate::learn::Evidence;
use crate::metrics::WorkerCounts;
use crate::session::ClientIds;
use crate::tls::ServerVerdicts;
use crate::tls::server_connection::Buffers;
use crate::tunnel::Dialler;
use crate::upstream::Upstream;

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(250);

/// The same while the process ends: newcomers may wait for that.
const DRAIN_TICK: Duration = Duration::from_millis(20);

/// After the end of a drain: sessions close then by themselves, and have this long for the last they say, to the client
/// and in the log.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Sessions that are woken, by a new policy for instance, before the others get their turn again.
const SLICE: usize = 32;

/// Sessions that are closed before the others get their turn again. Last words and a log line take longer than a look at
/// the policy.
const CLOSING_SLICE: usize = 64;

/// What workers share, and what never changes for them.
pub struct WorkerSettings {
    /// Handshakes at once, of all workers.
    pub handshakes: Arc<Places>,
    /// Redis.
    pub upstream: Arc<Upstream>,
    /// Where passwords are verified.
    pub pool: Arc<AuthPool>,
    /// Bytes held, of all workers.
    pub budget: Arc<MemoryBudget>,
    /// Who changes users, one edit after the other.
    pub edits: mpsc::UnboundedSender<EditTicket>,
    /// The `ACL LOG`, of all workers.
    pub acl_log: Arc<SharedAclLog>,
    /// Who logs what happens to whom, and counts it.
    pub events: Arc<ClientEvents>,
    /// The number of the next session, of all workers.
    pub sessions: Arc<AtomicU64>,
    /// Which session has which client id at Redis, of all workers.
    pub client_ids: Arc<ClientIds>,
    /// Where what takes long to free goes.
    pub lazy_free: LazyFree,
    /// What is told of names, where it is learnt what users do.
    pub learns: Option<Evidence>,
}

/// Starts a worker thread. It ends after [`Mailbox::drain`], or when nobody can reach it any more.
///
/// # Errors
/// The thread or its event loop cannot be made.
pub fn start(
    number: usize,
    settings: WorkerSettings,
    generation: Arc<ArcSwap<Generation>>,
) -> io::Result<(Mailbox, std::thread::JoinHandle<()>)> {
    let (messages, inbox) = mpsc::unbounded_channel();
    let connections = Arc::new(AtomicUsize::new(0));
    let ticks = Arc::new(AtomicU64::new(0));
    let waits_for_last_drain = Arc::new(AtomicBool::new(false));
    let mailbox = Mailbox {
        messages,
        connections: Arc::clone(&connections),
        ticks: Arc::clone(&ticks),
        waits_for_last_drain: Arc::clone(&waits_for_last_drain),
    };
    let (told, is_started) = std::sync::mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            // Certificates are verified there after a reload. Nothing else may hold that up.
            .max_blocking_threads(1)
            .build_local(LocalOptions::default());
        let (runtime, built) = match runtime {
            Ok(runtime) => (Some(runtime), Ok(())),
            Err(error) => (None, Err(error)),
        };
        // Whoever starts the worker waits for this.
        let _ = told.send(built);
        let Some(runtime) = runtime else { return };
        let worker = Rc::new(Worker::new(settings, generation, connections));
        runtime.block_on(worker.run(inbox, &ticks, &waits_for_last_drain));
    })?;
    is_started.recv().map_err(|_| io::Error::other("a worker has ended at once"))??;
    Ok((mailbox, thread))
}

/// What all connections of a worker share.
struct Worker {
    settings: WorkerSettings,
    /// What is in force, for all workers.
    latest: RefCell<Cache<Arc<ArcSwap<Generation>>, Arc<Generation>>>,
    /// The same, as of when somebody last looked.
    seen: RefCell<Rc<GenerationRef>>,
    registry: Rc<Registry>,
    learner: SharedLearner,
    counts: RefCell<WorkerCounts>,
    /// When everybody is to have gone, once the end has begun.
    draining: watch::Sender<Option<Instant>>,
    /// Who hears that certificates may be trusted no longer.
    trusts: watch::Sender<()>,
    /// Whose turn it is for judgements that take long.
    long_turns: LongTurns,
    /// How long sessions have looked at a new policy, since it was asked last.
    renewing: Cell<Duration>,
    /// How much of its time each user has.
    user_turns: UserTurns<Option<UserName>>,
    /// And each tunnel.
    tunnel_turns: UserTurns<usize>,
    /// And for steps of handshakes.
    handshake_turns: HandshakeTurns,
    /// Who finds servers for tunnels.
    dialler: Dialler,
    /// What was found last of their servers, by tunnel. Who verifies one holds it.
    server_verdicts: Mutex<HashMap<usize, ServerVerdicts>>,
    /// What tunnels read into, one after the other.
    tunnel_buffers: RefCell<Buffers>,
    /// When it was last checked whether a certificate has ended, in seconds since 1970 UTC.
    expiry_checked_at: Cell<i64>,
    connections: Arc<AtomicUsize>,
    /// Connections that are on their way to a session.
    admitting: Cell<usize>,
    /// How often sessions have been told to check whether their clients read, and when that was last.
    reader_checks: Cell<u64>,
    readers_checked_at: Cell<Instant>,
    /// How it was found out then that a client has vanished.
    keepalive: Cell<Option<Keepalive>>,
    /// How often the audit log has had room again, by when sessions were last woken for that.
    audit_freed: Cell<u64>,
}

/// The generation in force, shared without atomic counting.
struct GenerationRef {
    generation: Arc<Generation>,
}

impl GenerationRef {
    fn new(generation: Arc<Generation>) -> Rc<Self> {
        Rc::new(Self { generation })
    }
}

impl Worker {
    fn new(settings: WorkerSettings, generation: Arc<ArcSwap<Generation>>, connections: Arc<AtomicUsize>) -> Self {
        let seen = GenerationRef::new(generation.load_full());
        let keepalive = seen.generation.config.limits.tcp_keepalive;
        let has_tunnels = !seen.generation.tunnels.is_empty();
        Self {
            learner: learning::new(settings.learns.as_ref()),
            settings,
            latest: RefCell::new(Cache::new(generation)),
            seen: RefCell::new(seen),
            registry: Rc::default(),
            counts: RefCell::default(),
            draining: watch::Sender::new(None),
            trusts: watch::Sender::new(()),
            long_turns: LongTurns::default(),
            renewing: Cell::default(),
            user_turns: UserTurns::default(),
            tunnel_turns: UserTurns::default(),
            handshake_turns: HandshakeTurns::default(),
            dialler: Dialler::default(),
            server_verdicts: Mutex::default(),
            tunnel_buffers: RefCell::new(Buffers::new(if has_tunnels { tunnel::BUFFER } else { 0 })),
            expiry_checked_at: Cell::new(unix_seconds()),
            connections,
            admitting: Cell::new(0),
            reader_checks: Cell::new(0),
            readers_checked_at: Cell::new(Instant::now()),
            keepalive: Cell::new(keepalive),
            audit_freed: Cell::new(0),
        }
    }

    async fn run(
        self: Rc<Self>,
        mut inbox: mpsc::UnboundedReceiver<Message>,
        ticks: &AtomicU64,
        waits_for_last_drain: &AtomicBool,
    ) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut end = None;
        loop {
            tokio::select! {
                command = inbox.recv() => match command {
                    None => return,
                    Some(Message::Arrival(arrival)) => {
                        let counted = Counted(Arc::clone(&self.connections));
                        if end.is_none() {
                            spawn_local(Rc::clone(&self).serve(arrival, counted));
                        }
                    }
                    Some(Message::Application(application)) => {
                        let counted = Counted(Arc::clone(&self.connections));
                        if end.is_none() {
                            spawn_local(Rc::clone(&self).tunnel(application, counted));
                        }
                    }
                    Some(Message::Renew(renewal, done)) => {
                        spawn_local(Rc::clone(&self).renew(renewal, done));
                    }
                    Some(Message::Show(views)) => drop(spawn_local(Rc::clone(&self).show(views))),
                    Some(Message::TellLearnt(told)) => drop(spawn_local(Rc::clone(&self).tell_learnt(told))),
                    Some(Message::Kick(numbers, kicked)) => {
                        spawn_local(Rc::clone(&self).kick(numbers, kicked));
                    }
                    Some(Message::Count(answer)) => {
                        // Whoever has asked may have lost patience.
                        let _ = answer.send(self.counts_so_far());
                    }
                    Some(Message::Drain(deadline)) => {
                        end = Some(deadline);
                        tick = tokio::time::interval(DRAIN_TICK);
                        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                        self.registry.drain(deadline);
                        self.draining.send_replace(Some(deadline));
                    }
                    Some(Message::LastDrain) => self.registry.drain_last(),
                },
                _ = tick.tick() => {
                    ticks.fetch_add(1, Ordering::Relaxed);
                    let now = Instant::now();
                    self.registry.wake_due(now);
                    self.reverify_if_a_certificate_has_ended();
                    self.look_for_readers(now);
                    self.tick_learner();
                    self.wake_if_audit_log_is_free();
                    let is_over = |end| now >= end + LAST_WORDS || self.connections.load(Ordering::Relaxed) == 0;
                    if end.is_some_and(is_over) {
                        return;
                    }
                    let is_down_to_the_last = self.admitting.get() == 0 && self.registry.waits_for_last_drain();
                    waits_for_last_drain.store(end.is_some() && is_down_to_the_last, Ordering::Relaxed);
                }
            }
        }
    }

    /// What is in force at this moment.
    fn current(&self) -> Rc<GenerationRef> {
        let mut latest = self.latest.borrow_mut();
        let mut seen = self.seen.borrow_mut();
        let latest = latest.load();
        if !Arc::ptr_eq(latest, &seen.generation) {
            *seen = GenerationRef::new(Arc::clone(latest));
        }
        Rc::clone(&seen)
    }

    async fn wake_all(&self) {
        for slice in self.registry.snapshot().chunks(SLICE) {
            slice.iter().for_each(|handle| handle.wake());
            tokio::task::yield_now().await;
        }
    }

    /// Has every session go on that took no requests while the audit log had no room.
    fn wake_if_audit_log_is_free(self: &Rc<Self>) {
        let freed = self.settings.events.audit().times_freed();
        if self.audit_freed.replace(freed) != freed {
            let worker = Rc::clone(self);
            spawn_local(async move { worker.wake_all().await });
        }
    }

    /// Has every session look now and then whether its client takes what it is sent, and when `tcp-keepalive` is another.
    fn look_for_readers(self: &Rc<Self>, now: Instant) {
        let keepalive = self.current().generation.config.limits.tcp_keepalive;
        let is_other = self.keepalive.replace(keepalive) != keepalive;
        let is_due = |keepalive: Keepalive| now >= self.readers_checked_at.get() + keepalive.interval();
        if is_other || keepalive.is_some_and(is_due) {
            self.readers_checked_at.set(now);
            self.reader_checks.set(self.reader_checks.get() + 1);
            let worker = Rc::clone(self);
            spawn_local(async move { worker.wake_all().await });
        }
    }
}

/// Since 1970 UTC, as certificates count.
fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

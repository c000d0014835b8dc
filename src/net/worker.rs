//! A worker: one thread, its connections, and what it does for each of them.

mod admission;
mod host;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::{ArcSwap, Cache};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{LocalSet, spawn_blocking, spawn_local};

use self::host::{PolicyRef, WorkerHost};
use super::budget::{Account, Holder, MemoryBudget};
use super::driver::{Driver, EndedSession, Stream};
use super::farewell::{ConnectionFuture, farewell, keep_place, turn_away};
use super::gate::ConnectionPermit;
use super::listener::Arrival;
use super::places::Places;
use super::registry::{Handle, Order, Registry};
use super::reverify::{self, ChainKey, ChainsToClose};
use super::unsent;
use crate::audit::SharedAclLog;
use crate::audit::client_events::{ClientEvents, Volume};
use crate::auth::pool::AuthPool;
use crate::generation::{EditTicket, Generation};
use crate::identity::CertificateRefusal;
use crate::keepalive::Keepalive;
use crate::session::{Buffer, ClientIds, CloseReason, Peer, SessionCore, SessionLimits};
use crate::tls::CertificateChain;
use crate::tls::handshake::{self, ClientStream};
use crate::upstream::Upstream;

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(250);

/// After the end of a drain: sessions close then by themselves, and have this long for the last they say, to the client and in
/// the log.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long a session that has lost rights may wait for the replies to what was sent with them.
const FORMER_RIGHTS: Duration = Duration::from_secs(1);

/// Sessions that are told of a new policy before the others get their turn again.
const SLICE: usize = 256;

/// Sessions that are closed before the others get their turn again. Last words and a log line take longer than a look at
/// the policy.
const CLOSING_SLICE: usize = 64;

/// Certificate chains that are verified before the sessions of those that are not trusted are closed.
const BATCH: usize = 64;

/// What a client is told whose handshake succeeded and who has no session. The reason is for the log.
const NO_ENTRY: &str = "respgate: this certificate may not enter";

/// What workers share, and what never changes for them.
pub struct WorkerSettings {
    /// Bounds of every session.
    pub limits: SessionLimits,
    /// From accept to the end of the handshake.
    pub handshake_timeout: Duration,
    /// How it is found out that a client has vanished.
    pub keepalive: Option<Keepalive>,
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
    /// Who logs what happens to whom.
    pub events: Arc<ClientEvents>,
    /// The number of the next session, of all workers.
    pub sessions: Arc<AtomicU64>,
    /// Which session has which client id at Redis, of all workers.
    pub client_ids: Arc<ClientIds>,
}

enum Message {
    Arrival(Arrival),
    Renewed(Renewal, Renewing),
    Drain(Instant),
}

/// What a new generation changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// Who may do what.
    Policy,
    /// Also which certificates are trusted.
    Trust,
}

/// How far a worker is with a new generation.
pub struct Renewed {
    /// Hears when all sessions are under it, and Redis executes nothing for them with rights that they do not have under it:
    /// what is left of those that have ended is cut.
    pub under: oneshot::Receiver<()>,
    /// Ends when those whose certificate it does not trust have ended.
    pub verified: oneshot::Receiver<()>,
}

/// The worker's ends of [`Renewed`].
struct Renewing {
    under: oneshot::Sender<()>,
    verified: oneshot::Sender<()>,
}

/// Where a worker is reached.
#[derive(Debug, Clone)]
pub struct Mailbox {
    messages: mpsc::UnboundedSender<Message>,
    connections: Arc<AtomicUsize>,
    turns: Arc<AtomicU64>,
}

impl Mailbox {
    /// How often the worker has looked at its deadlines, which it does also when there is nothing else to do.
    pub fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// How many connections the worker has.
    pub fn load(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Gives it one more. The gate bounds how many may be under way.
    pub fn send(&self, arrival: Arrival) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        // A worker that has ended takes no connections: this one is closed.
        let _ = self.messages.send(Message::Arrival(arrival));
    }

    /// Another generation is in force: sessions are to see what it means for them.
    pub fn renewed(&self, renewal: Renewal) -> Renewed {
        let (under, all_under) = oneshot::channel();
        let (verified, all_verified) = oneshot::channel();
        let _ = self.messages.send(Message::Renewed(renewal, Renewing { under, verified }));
        Renewed { under: all_under, verified: all_verified }
    }

    /// No more connections, and the end of those that are there by `deadline`.
    pub fn drain(&self, deadline: Instant) {
        let _ = self.messages.send(Message::Drain(deadline));
    }
}

/// Starts a worker thread. It ends after [`Mailbox::drain`], or when nobody can reach it any more.
///
/// # Errors
/// The thread or its event loop cannot be made.
pub fn start(
    number: usize,
    settings: WorkerSettings,
    generation: Arc<ArcSwap<Generation>>,
) -> std::io::Result<(Mailbox, std::thread::JoinHandle<()>)> {
    let (messages, inbox) = mpsc::unbounded_channel();
    let connections = Arc::new(AtomicUsize::new(0));
    let turns = Arc::new(AtomicU64::new(0));
    let mailbox = Mailbox { messages, connections: Arc::clone(&connections), turns: Arc::clone(&turns) };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        // Only certificates are verified there, after a reload, and one thread a worker is enough for that.
        .max_blocking_threads(1)
        .build()?;
    let thread = std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        let worker = Rc::new(Worker::new(settings, generation, connections));
        LocalSet::new().block_on(&runtime, worker.run(inbox, &turns));
    })?;
    Ok((mailbox, thread))
}

/// What all connections of a worker share.
struct Worker {
    settings: WorkerSettings,
    limits: Rc<SessionLimits>,
    /// What is in force, for all workers.
    latest: RefCell<Cache<Arc<ArcSwap<Generation>>, Arc<Generation>>>,
    /// The same, as of when somebody last looked.
    seen: RefCell<Rc<GenerationRef>>,
    registry: Rc<Registry>,
    /// Whether the end has begun.
    draining: watch::Sender<bool>,
    /// When it was last looked whether a CA has ended, in seconds since 1970 UTC.
    looked_at: Cell<i64>,
    connections: Arc<AtomicUsize>,
    /// How often sessions have been told to look whether their clients read, and when that was last.
    looks: Cell<u64>,
    looked_for_readers_at: Cell<Instant>,
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

/// A client's connection, encrypted or not.
trait Client: Stream {
    fn socket(&self) -> &TcpStream;
}

impl Client for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Client for ClientStream {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// A connection is counted for as long as this lives.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Worker {
    fn new(settings: WorkerSettings, generation: Arc<ArcSwap<Generation>>, connections: Arc<AtomicUsize>) -> Self {
        let seen = GenerationRef::new(generation.load_full());
        Self {
            limits: Rc::new(settings.limits.clone()),
            settings,
            latest: RefCell::new(Cache::new(generation)),
            seen: RefCell::new(seen),
            registry: Rc::default(),
            draining: watch::Sender::new(false),
            looked_at: Cell::new(unix_seconds()),
            connections,
            looks: Cell::new(0),
            looked_for_readers_at: Cell::new(Instant::now()),
        }
    }

    async fn run(self: Rc<Self>, mut inbox: mpsc::UnboundedReceiver<Message>, turns: &AtomicU64) {
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
                    Some(Message::Renewed(renewal, done)) => {
                        spawn_local(Rc::clone(&self).renew(renewal, done));
                    }
                    Some(Message::Drain(deadline)) => {
                        end = Some(deadline);
                        self.registry.drain(deadline);
                        self.draining.send_replace(true);
                    }
                },
                _ = tick.tick() => {
                    turns.fetch_add(1, Ordering::Relaxed);
                    let now = Instant::now();
                    self.registry.wake_due(now);
                    self.judge_again_if_a_certificate_has_ended();
                    self.look_for_readers(now);
                    let is_over = |end| now >= end + LAST_WORDS || self.connections.load(Ordering::Relaxed) == 0;
                    if end.is_some_and(is_over) {
                        return;
                    }
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

    /// A new generation is in force: every session is woken to look at it. Where trust may have changed, every
    /// certificate is verified again, on a thread of its own, once.
    async fn renew(self: Rc<Self>, renewal: Renewal, done: Renewing) {
        let Renewing { under, verified } = done;
        let generation = Arc::clone(&self.current().generation);
        let number = generation.number;
        if renewal == Renewal::Trust {
            let chains = self.registry.chains(|_, _| true);
            let worker = Rc::clone(&self);
            spawn_local(async move {
                Rc::clone(&worker).reverify(generation, chains).await;
                while !worker.registry.is_obeyed() {
                    tokio::task::yield_now().await;
                }
                drop(verified);
            });
        }
        self.wake_all().await;
        while !self.registry.is_under(number) {
            tokio::task::yield_now().await;
        }
        self.end_former_rights().await;
        // Whoever does not wait for it does not need to know.
        let _ = under.send(());
    }

    /// Whoever has lost rights with which Redis still executes something gets a moment for the replies, and ends then.
    async fn end_former_rights(&self) {
        let deadline = Instant::now() + FORMER_RIGHTS;
        while !self.registry.with_former_rights().is_empty() && Instant::now() < deadline {
            tokio::time::sleep(FORMER_RIGHTS / 100).await;
        }
        self.registry
            .with_former_rights()
            .iter()
            .for_each(|handle| handle.order(Order::Close(CloseReason::PolicyChanged)));
        while !self.registry.is_obeyed() {
            tokio::task::yield_now().await;
        }
    }

    async fn wake_all(&self) {
        for slice in self.registry.snapshot().chunks(SLICE) {
            slice.iter().for_each(|handle| handle.wake());
            tokio::task::yield_now().await;
        }
    }

    /// Has every session look now and then whether its client takes what it is sent.
    fn look_for_readers(self: &Rc<Self>, now: Instant) {
        let interval = self.settings.keepalive.map(Keepalive::interval);
        if interval.is_some_and(|interval| now >= self.looked_for_readers_at.get() + interval) {
            self.looked_for_readers_at.set(now);
            self.looks.set(self.looks.get() + 1);
            let worker = Rc::clone(self);
            spawn_local(async move { worker.wake_all().await });
        }
    }

    /// With a CA many sessions may end, and some that another CA still vouches for may not. With its own certificate a session
    /// ends by itself, but not where the clock was set forward, or stood while the machine slept.
    fn judge_again_if_a_certificate_has_ended(self: &Rc<Self>) {
        let now = unix_seconds();
        let since = self.looked_at.replace(now);
        let current = self.current();
        if since >= now {
            return;
        }
        // Only these: a client may show any certificates beside its own, with any end.
        let chains = self.registry.chains(|listener, chain| has_aged(&current, listener, chain, since..now));
        if !chains.is_empty() {
            spawn_local(Rc::clone(self).reverify(Arc::clone(&current.generation), chains));
        }
    }

    /// Ends the sessions whose certificate is no longer trusted: first those that a CRL lists, then those that do not
    /// pass verification, a few at a time.
    async fn reverify(self: Rc<Self>, generation: Arc<Generation>, chains: Vec<(ChainKey, CertificateChain)>) {
        let trust = Arc::clone(&generation);
        let Ok((listed, unlisted)) = spawn_blocking(move || reverify::split(&trust, chains)).await else {
            return self.end_all_unverified();
        };
        self.close_sessions_of(listed).await;
        for batch in unlisted.chunks(BATCH) {
            let (trust, batch) = (Arc::clone(&generation), batch.to_vec());
            match spawn_blocking(move || reverify::verify(&trust, &batch, SystemTime::now())).await {
                Ok(to_close) => self.close_sessions_of(to_close).await,
                Err(_) => return self.end_all_unverified(),
            }
        }
    }

    async fn close_sessions_of(&self, chains: ChainsToClose) {
        if chains.is_empty() {
            return;
        }
        for slice in self.registry.sessions_of(&chains).chunks(CLOSING_SLICE) {
            slice.iter().for_each(|(handle, reason)| handle.order(Order::Close(*reason)));
            tokio::task::yield_now().await;
        }
    }

    /// Verification has broken down: nobody knows who is still trusted.
    fn end_all_unverified(&self) {
        self.registry.order_all(Order::Close(CloseReason::Certificate(CertificateRefusal::Other)));
    }

    /// One connection, from accept to close. What it takes to let it in is not kept for as long as it lasts.
    async fn serve(self: Rc<Self>, arrival: Arrival, _counted: Counted) {
        let admitted = Box::pin(self.admit(arrival)).await;
        if let Some(rest) = admitted {
            rest.await;
        }
    }

    /// A session with a client that is in, or what is said to one that may not have any. `is_greeted` is one with which there
    /// was a handshake.
    fn start_session<C: Client + 'static>(
        self: Rc<Self>,
        client: C,
        peer: Option<handshake::VerifiedPeer>,
        is_greeted: bool,
        address: SocketAddr,
        listener: usize,
        mut permit: ConnectionPermit,
    ) -> ConnectionFuture {
        if let Some(exhausted) = permit.surplus() {
            let certificate = peer.as_ref().map(|peer| &*peer.identity);
            self.settings.events.turned_away(address, certificate, exhausted);
            return turn_away(client, "max number of clients reached", permit);
        }
        let started = Instant::now();
        let (certificate, trusted) = match peer {
            Some(handshake::VerifiedPeer { chain, voucher, identity }) => (Some(identity), Some((chain, voucher))),
            None => (None, None),
        };
        let expires = certificate.as_ref().and_then(|identity| expiry(identity.not_after()));
        let peer = Rc::new(Peer { address, certificate });
        let policy = PolicyRef(self.current());
        let client_ids = Arc::clone(&self.settings.client_ids);
        let core = match SessionCore::new(Rc::clone(&peer), Rc::clone(&self.limits), client_ids, &policy, started) {
            Ok(core) => core,
            Err(reason) => {
                self.settings.events.refused_connection(&peer, reason);
                return turn_away(client, NO_ENTRY, permit);
            }
        };
        drop(policy);
        if is_greeted {
            self.settings.events.connected(&peer, core.principal());
        }
        let handle = Rc::new(Handle::new(listener, trusted, expires));
        let number = self.settings.sessions.fetch_add(1, Ordering::Relaxed);
        let entry = self.registry.enter(Rc::clone(&handle));
        let user = core.principal().map(|principal| principal.user.name());
        let account = self.settings.budget.open(Holder::of(user, address.ip()));
        let host = WorkerHost { worker: Rc::clone(&self), number, is_greeted };
        let mut driver = Box::new(Driver::new(core, client, handle, account, host));
        let mut looks = self.looks.get();
        let mut is_users = false;
        Box::pin(async move {
            let reason = poll_fn(|cx| {
                let outcome = driver.poll(cx);
                if looks != self.looks.get()
                    && let Some(keepalive) = self.settings.keepalive
                {
                    looks = self.looks.get();
                    // It fails where the connection is broken, and that the session will see.
                    let _ = keepalive.look_at(driver.client().socket());
                }
                if !is_users && driver.core().principal().is_some() {
                    is_users = true;
                    permit.note_authenticated();
                    // It fails where the connection is broken, too.
                    let _ = unsent::bound(driver.client().socket(), unsent::OF_A_USER);
                }
                outcome
            })
            .await;
            if reason == CloseReason::UpstreamGone {
                self.settings.upstream.lost.notify_one();
            }
            let is_gone = matches!(reason, CloseReason::ClientGone | CloseReason::ClientLost);
            match driver.volume() {
                Volume { received: 0, .. } if is_gone && !is_greeted => self.settings.events.probed(address),
                volume => self.settings.events.closed(driver.core(), volume, reason, started.elapsed()),
            }
            let EndedSession { client, unsent, account, executing } = driver.into_ended(reason);
            let executed = async move {
                if let Some(executing) = executing {
                    executing.await;
                }
                drop(entry);
            };
            let told = async move {
                match reason {
                    CloseReason::ClientLost => drop((client, unsent, account)),
                    _ => tell_the_last(client, unsent, account).await,
                }
            };
            keep_place(permit, async move {
                tokio::join!(executed, told);
            })
            .await;
        })
    }
}

/// The last of a session. What is still to be sent counts to whoever it is for, and is given up where that is the most.
async fn tell_the_last<C: Stream + 'static>(client: C, unsent: Buffer, mut account: Account) {
    let holds_something = !unsent.is_empty();
    tokio::select! {
        () = farewell(client, unsent) => {}
        () = account.cut(), if holds_something => {}
    }
}

/// Whether a certificate that this chain may depend on has ended in this span.
fn has_aged(current: &GenerationRef, listener: usize, chain: &CertificateChain, span: Range<i64>) -> bool {
    let material = current.generation.listeners.get(listener).and_then(Option::as_ref);
    material.is_some_and(|material| material.has_aged(chain, &span))
}

/// Since 1970 UTC, as certificates count.
fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// When a certificate ends, on the clock that timers use; `None` if that is too far away to matter.
fn expiry(not_after: i64) -> Option<Instant> {
    let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(not_after).unwrap_or(0)))?;
    Instant::now().checked_add(at.duration_since(SystemTime::now()).unwrap_or_default())
}

//! How a worker is reached.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use crate::acl::UserName;
use crate::learn::Usage;
use crate::metrics::WorkerCounts;
use crate::net::applications::ApplicationPermit;
use crate::net::gate::Entrance;
use crate::net::view::SessionView;
use crate::tunnel::PlainSocket;

/// A connection on its way to a worker.
#[derive(Debug)]
pub struct Arrival {
    /// The connection, non-blocking, TCP_NODELAY, with its keepalive, and as little unsent as before a login.
    pub socket: std::net::TcpStream,
    /// Where it comes from, [`canonical`](crate::net::addresses).
    pub address: SocketAddr,
    /// Which listener it came in through.
    pub listener: usize,
    /// A PROXY protocol header comes first, and the address in it is judged.
    pub is_balancer: bool,
    /// How it gets its place.
    pub entrance: Entrance,
}

/// An application that wants a tunnel, on its way to a worker.
#[derive(Debug)]
pub struct Application {
    /// Its connection.
    pub plain: PlainSocket,
    /// The number of the tunnel.
    pub tunnel: usize,
    /// Its place.
    pub permit: ApplicationPermit,
}

pub(super) enum Message {
    Arrival(Arrival),
    Application(Application),
    Renew(Renewal, RenewalSenders),
    Show(mpsc::UnboundedSender<SessionView>),
    Kick(Arc<[u64]>, oneshot::Sender<usize>),
    TellLearnt(mpsc::UnboundedSender<(UserName, Usage)>),
    Drain(Instant),
    LastDrain,
    Count(oneshot::Sender<WorkerCounts>),
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
pub struct RenewalReceivers {
    /// Hears when all sessions are under it, and Redis executes nothing for them with rights that they do not have under it:
    /// what is left of those that have ended is cut.
    pub under: oneshot::Receiver<()>,
    /// Ends when those whose certificate it does not trust have ended.
    pub verified: oneshot::Receiver<()>,
}

/// The worker's ends of [`RenewalReceivers`].
pub(super) struct RenewalSenders {
    pub(super) under: oneshot::Sender<()>,
    pub(super) verified: oneshot::Sender<()>,
}

/// Where a worker is reached.
#[derive(Debug, Clone)]
pub struct Mailbox {
    pub(super) messages: mpsc::UnboundedSender<Message>,
    pub(super) connections: Arc<AtomicUsize>,
    pub(super) ticks: Arc<AtomicU64>,
    pub(super) waits_for_last_drain: Arc<AtomicBool>,
}

impl Mailbox {
    /// How often the worker has looked at its deadlines, which it does also when there is nothing else to do.
    pub fn ticks(&self) -> u64 {
        self.ticks.load(Ordering::Relaxed)
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

    /// Gives it an application. Its tunnel bounds how many there may be.
    pub fn send_application(&self, application: Application) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        // A worker that has ended takes none: this one is closed.
        let _ = self.messages.send(Message::Application(application));
    }

    /// Another generation is in force: sessions are to see what it means for them.
    pub fn renew(&self, renewal: Renewal) -> RenewalReceivers {
        let (under, all_under) = oneshot::channel();
        let (verified, all_verified) = oneshot::channel();
        let _ = self.messages.send(Message::Renew(renewal, RenewalSenders { under, verified }));
        RenewalReceivers { under: all_under, verified: all_verified }
    }

    /// Has every session show itself. The last of these senders goes when all have that are here.
    pub fn show(&self, views: mpsc::UnboundedSender<SessionView>) {
        // A worker that has ended has no sessions.
        let _ = self.messages.send(Message::Show(views));
    }

    /// Has the worker tell what it has learnt of each user. The last of these senders goes when it has.
    pub fn tell_learnt(&self, told: mpsc::UnboundedSender<(UserName, Usage)>) {
        // A worker that has ended tells nothing any more.
        let _ = self.messages.send(Message::TellLearnt(told));
    }

    /// Ends those of these sessions that it has; says how many.
    pub fn kick(&self, numbers: Arc<[u64]>) -> oneshot::Receiver<usize> {
        let (kicked, receiver) = oneshot::channel();
        let _ = self.messages.send(Message::Kick(numbers, kicked));
        receiver
    }

    /// What the worker has counted by then.
    pub fn counts(&self) -> oneshot::Receiver<WorkerCounts> {
        let (answer, counts) = oneshot::channel();
        let _ = self.messages.send(Message::Count(answer));
        counts
    }

    /// No more connections, and the end of those that are there by `deadline`, but for those to which Redis tells something
    /// unasked.
    pub fn drain(&self, deadline: Instant) {
        let _ = self.messages.send(Message::Drain(deadline));
    }

    /// Whether a worker that drains is left with these.
    pub fn waits_for_last_drain(&self) -> bool {
        self.waits_for_last_drain.load(Ordering::Relaxed)
    }

    /// The end of these as well.
    pub fn drain_last(&self) {
        let _ = self.messages.send(Message::LastDrain);
    }
}

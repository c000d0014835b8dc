//! Where the proxy is asked how it is, and told what to do, over HTTP.

mod http;
mod routes;
mod socket;
mod tcp;

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use ipnet::IpNet;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::timeout_at;
use tracing::field::display;
use tracing::{info, warn};

use self::http::Accept;
pub(super) use self::http::CONNECTIONS;
use self::routes::Door;
use self::tcp::Port;
use super::health::Condition;
use super::history::{History, Totals};
use super::reload::{ReloadHistory, ReloadReport};
use super::scrape::{self, Scraper};
use super::sessions::{Chosen, SessionList};
use super::status::{
    InForce, MemoryStatus, RefusalStatus, Status, UpstreamFailure, UpstreamInfo, UpstreamStatus, rfc3339,
};
use crate::audit::client_events::ClientEvents;
use crate::config::{AdminAddress, MetricsDoor};
use crate::generation::Generation;
use crate::metrics::{Tally, UserTally};
use crate::net::listener;
use crate::net::view::SessionView;
use crate::net::worker::Mailbox;
use crate::net::{Access, UnixSocket};

/// How long workers have for an answer. They do nothing that takes long.
const PATIENCE: Duration = Duration::from_secs(3);

/// Connections that may wait to be accepted at the admin socket.
const BACKLOG: i32 = 16;

/// Between two attempts to have an address that another process still has.
const RETRY: Duration = Duration::from_secs(1);

/// The running proxy, as far as the doors show it and hand on what it is told.
pub(super) struct Proxy {
    /// When it was started.
    pub(super) started: SystemTime,
    /// How it is.
    pub(super) condition: Rc<Condition>,
    /// What is in force.
    pub(super) generation: Arc<ArcSwap<Generation>>,
    /// How reloads have gone.
    pub(super) reloads: Rc<RefCell<ReloadHistory>>,
    /// Who serves clients.
    pub(super) workers: Vec<Mailbox>,
    /// Who reloads, and answers when that is done.
    pub(super) reload: mpsc::UnboundedSender<oneshot::Sender<ReloadReport>>,
    /// Who logs whom the doors do not let in.
    pub(super) events: Arc<ClientEvents>,
    /// What is counted.
    pub(super) scraper: Scraper,
    /// What was, for as long as one looks back.
    pub(super) history: RefCell<History>,
}

impl Proxy {
    async fn status(&self) -> Status {
        let (totals, users) = self.counted().await;
        let generation = self.generation.load_full();
        let refusals = self.events.refusals();
        let (held_bytes, limit_bytes) = self.scraper.held();
        let mut expiries = scrape::expiries(&generation);
        expiries.sort_by_key(|expiry| expiry.at);
        let status = Status {
            time: rfc3339(SystemTime::now()),
            host: host_name(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: rfc3339(self.started),
            health: self.condition.health().to_string(),
            problems: Vec::new(),
            connections: self.workers.iter().map(Mailbox::load).sum(),
            generation: InForce { number: generation.number, since: rfc3339(generation.since) },
            reloads: self.reloads.borrow().status(),
            upstream: self.upstream(&generation),
            memory: MemoryStatus { held_bytes, limit_bytes },
            expiries: expiries.into_iter().map(Into::into).collect(),
            shadows: generation.policy.shadows.names().map(str::to_owned).collect(),
            users: users.into_iter().map(Into::into).collect(),
            refusals: refusals.iter().map(|refusal| RefusalStatus::new(refusal, &generation)).collect(),
            history: self.history.borrow().status(totals, Instant::now().into()),
        };
        status.with_problems()
    }

    fn upstream(&self, generation: &Generation) -> UpstreamStatus {
        let (info, times_lost) = self.scraper.upstream();
        let failure = self.condition.upstream_failure();
        // Where there are tunnels alone there is none.
        let is_needed = !generation.config.listeners.is_empty();
        UpstreamStatus {
            address: if is_needed { generation.config.upstream.address.to_string() } else { "none".to_owned() },
            is_up: info.is_some() || !is_needed,
            is_loading: self.condition.is_upstream_loading(),
            times_lost,
            last_failure: failure.map(|(time, error)| UpstreamFailure { time: rfc3339(time), error }),
            said: info.as_deref().map(UpstreamInfo::read),
        }
    }

    /// What has been counted by now.
    pub(super) async fn totals(&self) -> Totals {
        self.counted().await.0
    }

    async fn counted(&self) -> (Totals, Vec<UserTally>) {
        let Tally { sessions, requests, users } = self.scraper.tally().await;
        (Totals { requests, refusals: self.events.refusals_in_all(), sessions }, users)
    }

    async fn sessions(&self, chosen: &Chosen) -> SessionList {
        let (views, is_incomplete) = self.views(chosen).await;
        SessionList::new(views, is_incomplete)
    }

    /// Asks all workers at once. Says whether one did not answer in time.
    async fn views(&self, chosen: &Chosen) -> (Vec<SessionView>, bool) {
        let deadline = (Instant::now() + PATIENCE).into();
        let (views, mut shown) = mpsc::unbounded_channel();
        self.workers.iter().for_each(|worker| worker.show(views.clone()));
        drop(views);
        let mut held = Vec::new();
        loop {
            match timeout_at(deadline, shown.recv()).await {
                Ok(Some(view)) => held.extend(Some(view).filter(|view| chosen.holds(view))),
                Ok(None) => return (held, false),
                Err(_elapsed) => return (held, true),
            }
        }
    }

    /// Ends sessions that are here now; says how many.
    async fn kick(&self, chosen: &Chosen) -> usize {
        let numbers: Arc<[u64]> = match chosen {
            Chosen::Number(number) => Arc::new([*number]),
            _ => self.views(chosen).await.0.iter().map(|view| view.number).collect(),
        };
        let deadline = (Instant::now() + PATIENCE).into();
        let kicked: Vec<_> = self.workers.iter().map(|worker| worker.kick(Arc::clone(&numbers))).collect();
        let mut sum = 0;
        for worker in kicked {
            // A worker that has ended has no sessions, and of one that is stuck nobody knows.
            sum += timeout_at(deadline, worker).await.ok().and_then(Result::ok).unwrap_or(0);
        }
        sum
    }

    /// What a reload has come to; `None` where the process ends.
    async fn reload(&self) -> Option<ReloadReport> {
        let (answer, report) = oneshot::channel();
        self.reload.send(answer).ok()?;
        report.await.ok()
    }
}

/// The machine's, or nothing.
fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Opens the admin door. The proxy is of use without it, so its absence is a warning.
pub(super) fn open_admin(address: &AdminAddress, group: Option<u32>, proxy: &Rc<Proxy>) {
    let proxy = Rc::clone(proxy);
    match address {
        AdminAddress::Unix(path) => match UnixSocket::bind(path, group.map_or(Access::Owner, Access::Group), BACKLOG) {
            Ok(socket) => drop(spawn_local(serve(socket, Door::AdminSocket, proxy))),
            Err(error) => warn!(%error, "admin-listen: no admin socket"),
        },
        AdminAddress::Tcp(address) => match listener::bind(*address) {
            Ok(listener) => drop(spawn_local(serve_port(listener, Vec::new(), Door::AdminPort, proxy))),
            Err(error) => warn!(%address, %error, "no admin door"),
        },
    }
}

/// Opens the metrics door; where another process has its address, once that has given it up, as one does that ends. The
/// door is open until the task is aborted.
///
/// # Errors
/// The address cannot be had for another reason.
pub(super) fn open_metrics(door: &MetricsDoor, proxy: &Rc<Proxy>) -> io::Result<JoinHandle<()>> {
    let (address, allow) = (door.address, door.allow.clone());
    let bound = match listener::bind(address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            warn!(%address, "metrics-listen: another process has the address; waiting for it");
            None
        }
        bound => Some(bound?),
    };
    let proxy = Rc::clone(proxy);
    Ok(spawn_local(async move {
        let listener = match bound {
            Some(listener) => listener,
            None => bind_once_free(address).await,
        };
        serve_port(listener, allow, Door::Metrics, proxy).await;
    }))
}

async fn bind_once_free(address: SocketAddr) -> TcpListener {
    loop {
        tokio::time::sleep(RETRY).await;
        if let Ok(listener) = listener::bind(address) {
            return listener;
        }
    }
}

async fn serve_port(listener: TcpListener, allow: Vec<IpNet>, door: Door, proxy: Rc<Proxy>) {
    // It has one: it is bound.
    let address = listener.local_addr().ok().map(display);
    info!(address, "{} is open", if door == Door::Metrics { "metrics door" } else { "admin door" });
    let events = Arc::clone(&proxy.events);
    serve(Port { listener, allow, events }, door, proxy).await;
}

async fn serve(listener: impl Accept, door: Door, proxy: Rc<Proxy>) {
    http::serve(listener, move |request| routes::answer(door, Rc::clone(&proxy), request)).await;
}

//! Brings together what is counted, for whoever asks for metrics.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::reload::ReloadHistory;
use crate::audit::AuditLog;
use crate::audit::client_events::ClientEvents;
use crate::audit::lines::Lines;
use crate::generation::Generation;
use crate::metrics::{Process, Reloads, Scrape, Tally, UpstreamHealth, WorkerCounts};
use crate::net::MemoryBudget;
use crate::net::worker::Mailbox;
use crate::tls::{Expiries, Expiry};
use crate::upstream::Upstream;

/// How long a worker has for its answer. Then what it said last has to do.
const PATIENCE: Duration = Duration::from_millis(500);

/// Where everything is counted.
pub(super) struct Sources {
    /// When the process was started.
    pub(super) started: SystemTime,
    /// The address of each listener.
    pub(super) listeners: Vec<String>,
    /// And of each tunnel.
    pub(super) tunnels: Vec<String>,
    pub(super) workers: Vec<Mailbox>,
    pub(super) events: Arc<ClientEvents>,
    pub(super) budget: Arc<MemoryBudget>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) generation: Arc<ArcSwap<Generation>>,
    pub(super) reloads: Rc<RefCell<ReloadHistory>>,
    pub(super) log: Lines,
    pub(super) audit: Arc<AuditLog>,
}

/// Asks for it.
pub(super) struct Scraper {
    sources: Sources,
    answers: RefCell<Vec<Answer>>,
}

/// What a worker said last, and what it was asked since. It is not asked twice, or a worker that is stuck would have to
/// answer ever more.
#[derive(Default)]
struct Answer {
    last: WorkerCounts,
    asked: Option<oneshot::Receiver<WorkerCounts>>,
}

impl Scraper {
    pub(super) fn new(sources: Sources) -> Self {
        let answers = sources.workers.iter().map(|_| Answer::default()).collect();
        Self { sources, answers: RefCell::new(answers) }
    }

    /// The metrics of this moment, as text.
    pub(super) async fn scrape(&self) -> String {
        let workers = self.ask_workers().await;
        let Sources { started, listeners, tunnels, events, budget, upstream, generation, reloads, log, audit, .. } =
            &self.sources;
        let generation = generation.load_full();
        let counts = events.counts();
        let scrape = Scrape {
            version: env!("CARGO_PKG_VERSION"),
            generation: generation.number,
            reloads: Reloads { is_successful: !reloads.borrow().is_failed(), succeeded_at: generation.since },
            listeners: listeners.clone(),
            tunnels: tunnels.clone(),
            users: counts.labels().users(),
            events: counts.so_far(),
            workers,
            upstream: (!listeners.is_empty())
                .then(|| UpstreamHealth { info: upstream.info(), lost: upstream.times_lost() }),
            expiries: expiries(&generation),
            held: budget.held(),
            held_limit: budget.limit(),
            log_lost: log.lost_in_all(),
            audit_lost: audit.lost(),
            audit_sequence: audit.sequence(),
            process: Process::now(*started),
        };
        scrape.into_text()
    }

    /// The sums of this moment.
    pub(super) async fn tally(&self) -> Tally {
        let workers = self.ask_workers().await;
        let counts = self.sources.events.counts();
        Tally::new(&workers, &counts.so_far(), &counts.labels().users())
    }

    /// Redis's last reply to INFO, and how often it was found to be gone.
    pub(super) fn upstream(&self) -> (Option<Arc<str>>, u64) {
        (self.sources.upstream.info(), self.sources.upstream.times_lost())
    }

    /// Bytes that sessions hold, and may hold.
    pub(super) fn held(&self) -> (u64, u64) {
        (self.sources.budget.held(), self.sources.budget.limit())
    }

    async fn ask_workers(&self) -> Vec<WorkerCounts> {
        let deadline = Instant::now() + PATIENCE;
        let ask = |(worker, answer): (&Mailbox, &mut Answer)| answer.asked.take().unwrap_or_else(|| worker.counts());
        let asked: Vec<_> = self.sources.workers.iter().zip(self.answers.borrow_mut().iter_mut()).map(ask).collect();
        for (number, mut asked) in asked.into_iter().enumerate() {
            let answered = timeout_at(deadline, &mut asked).await;
            let mut answers = self.answers.borrow_mut();
            let Some(answer) = answers.get_mut(number) else { continue };
            match answered {
                Ok(Ok(counts)) => answer.last = counts,
                // It has ended.
                Ok(Err(_)) => {}
                Err(_elapsed) => answer.asked = Some(asked),
            }
        }
        self.answers.borrow().iter().map(|answer| answer.last.clone()).collect()
    }
}

/// When certificates and CRLs of all listeners and tunnels end.
pub(super) fn expiries(generation: &Generation) -> Vec<Expiry> {
    let mut expiries = Expiries::default();
    generation.listeners.iter().flatten().for_each(|material| expiries.add(material.expiries()));
    generation.tunnels.iter().for_each(|material| expiries.add(material.expiries()));
    expiries.iter().collect()
}

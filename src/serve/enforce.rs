//! Puts generations into force.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::oneshot::{self, error::TryRecvError};

use crate::audit::events;
use crate::generation::Generation;
use crate::net::worker::{Mailbox, Renewal};
use crate::upstream::{CutMark, NotConfirmed, Upstream};

/// How long workers are waited for: they do nothing that takes long.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// How long Redis is waited for, that it executes nothing more with rights that are gone.
const CONFIRMATION: Duration = Duration::from_secs(5);

/// The generation in force, and everybody who has to learn of another.
pub struct Enforcer {
    generation: Arc<ArcSwap<Generation>>,
    mailboxes: Vec<Mailbox>,
    /// Workers that may still be verifying certificates again.
    reverifying: Vec<oneshot::Receiver<()>>,
    upstream: Arc<Upstream>,
    /// What was put into force and is not confirmed.
    change: Option<Change>,
}

/// One generation, or several, one after the other.
struct Change {
    /// When the last began.
    began: Instant,
    /// Before the first.
    mark: CutMark,
    /// Every worker has said that its sessions are under it.
    is_everywhere: bool,
}

impl Enforcer {
    /// Of these workers, before this Redis.
    pub fn new(generation: Arc<ArcSwap<Generation>>, mailboxes: Vec<Mailbox>, upstream: Arc<Upstream>) -> Self {
        Self { generation, mailboxes, reverifying: Vec::new(), upstream, change: None }
    }

    /// The generation in force.
    pub(super) fn current(&self) -> Arc<Generation> {
        self.generation.load_full()
    }

    /// Puts a generation into force and returns when every session is under it.
    pub(super) async fn enforce(&mut self, generation: Generation, renewal: Renewal) {
        let mark = self.upstream.cut_mark();
        let change = self.change.get_or_insert(Change { began: Instant::now(), mark, is_everywhere: true });
        change.began = Instant::now();
        self.generation.store(Arc::new(generation));
        let renewed: Vec<_> = self.mailboxes.iter().map(|mailbox| mailbox.renewed(renewal)).collect();
        let (under, verified): (Vec<_>, Vec<_>) = renewed.into_iter().map(|it| (it.under, it.verified)).unzip();
        if renewal == Renewal::Trust {
            self.reverifying.retain_mut(|verified| verified.try_recv() == Err(TryRecvError::Empty));
            self.reverifying.extend(verified);
        }
        let all = async {
            for worker in under {
                // One that has ended has no sessions.
                let _ = worker.await;
            }
        };
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            events::worker_is_slow();
            change.is_everywhere = false;
        }
    }

    /// Returns once Redis executes nothing more with rights that were taken away by what was put into force since this was
    /// last asked; at once, where nothing of that kind is outstanding.
    ///
    /// # Errors
    /// That is not certain after five seconds.
    pub(super) async fn confirm(&mut self) -> Result<(), NotConfirmed> {
        let Some(Change { began, mark, is_everywhere }) = self.change.take() else { return Ok(()) };
        let deadline = began + CONFIRMATION;
        let is_reverified = tokio::time::timeout_at(deadline.into(), self.reverified()).await.is_ok();
        self.upstream.close_cut_since(mark, deadline).await?;
        if is_everywhere && is_reverified { Ok(()) } else { Err(NotConfirmed::Sessions) }
    }

    /// Whether all certificates have been verified again since trust changed: whoever is trusted no longer must not come to
    /// what the users of the next generation may.
    pub(super) async fn is_reverified(&mut self) -> bool {
        tokio::time::timeout(PATIENCE, self.reverified()).await.is_ok()
    }

    async fn reverified(&mut self) {
        while let Some(verified) = self.reverifying.last_mut() {
            // A worker that has ended has no sessions.
            let _ = verified.await;
            self.reverifying.pop();
        }
    }
}

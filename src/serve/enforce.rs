//! Puts generations into force.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::oneshot::{self, error::TryRecvError};

use crate::audit::events;
use crate::generation::Generation;
use crate::net::worker::{Mailbox, Renewal};

/// How long workers are waited for: they do nothing that takes long.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// The generation in force, and everybody who has to learn of another.
pub struct Enforcer {
    generation: Arc<ArcSwap<Generation>>,
    mailboxes: Vec<Mailbox>,
    /// Workers that may still be verifying certificates again.
    reverifying: Vec<oneshot::Receiver<()>>,
}

impl Enforcer {
    /// Of these workers.
    pub fn new(generation: Arc<ArcSwap<Generation>>, mailboxes: Vec<Mailbox>) -> Self {
        Self { generation, mailboxes, reverifying: Vec::new() }
    }

    /// The generation in force.
    pub(super) fn current(&self) -> Arc<Generation> {
        self.generation.load_full()
    }

    /// Puts a generation into force and returns when every session is under it.
    pub(super) async fn enforce(&mut self, generation: Generation, renewal: Renewal) {
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
        }
    }

    /// Whether all certificates have been verified again since trust changed: whoever is trusted no longer must not come to
    /// what the users of the next generation may.
    pub(super) async fn is_reverified(&mut self) -> bool {
        let all = async {
            while let Some(verified) = self.reverifying.last_mut() {
                // A worker that has ended has no sessions.
                let _ = verified.await;
                self.reverifying.pop();
            }
        };
        tokio::time::timeout(PATIENCE, all).await.is_ok()
    }
}

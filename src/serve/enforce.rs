//! Puts generations into force.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::oneshot::{self, error::TryRecvError};

use super::bounds::Bounds;
use super::capacity;
use super::logging::{LogControl, OpenedLog};
use crate::audit::events;
use crate::config::Config;
use crate::generation::{BuildError, Generation};
use crate::net::worker::{Mailbox, Renewal};
use crate::upstream::{NotConfirmed, Target, Upstream};

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
    /// Workers that may still be bringing their sessions under the last generation.
    renewing: Vec<oneshot::Receiver<()>>,
    upstream: Arc<Upstream>,
    bounds: Bounds,
    log: LogControl,
    /// When what is in force was put there, if nobody has asked for its confirmation.
    began: Option<Instant>,
}

impl Enforcer {
    /// Of these workers, before this Redis, and of what goes by the configuration without asking the generation.
    pub(super) fn new(
        generation: Arc<ArcSwap<Generation>>,
        mailboxes: Vec<Mailbox>,
        upstream: Arc<Upstream>,
        bounds: Bounds,
        log: LogControl,
    ) -> Self {
        let (reverifying, renewing) = (Vec::new(), Vec::new());
        Self { generation, mailboxes, reverifying, renewing, upstream, bounds, log, began: None }
    }

    /// Why this configuration could not be put into force here.
    pub(super) fn fault(config: &Config) -> Option<BuildError> {
        capacity::find(config).err().map(BuildError::config)
    }

    /// The log goes on there.
    pub(super) fn change_log(&self, opened: OpenedLog) {
        self.log.change(opened);
    }

    /// What does not ask the generation is told.
    fn follow(&self, config: &Config) {
        let before = self.current();
        self.upstream.set_target(Target::from(config));
        if config.limits != before.config.limits {
            if let Err(error) = self.bounds.set(config) {
                events::setting_not_taken(&error);
            }
            capacity::tell(config);
        }
    }

    /// The generation in force.
    pub(super) fn current(&self) -> Arc<Generation> {
        self.generation.load_full()
    }

    /// Puts a generation into force and returns when every session is under it.
    pub(super) async fn enforce(&mut self, generation: Generation, renewal: Renewal) {
        self.began = Some(Instant::now());
        self.follow(&generation.config);
        self.generation.store(Arc::new(generation));
        let renewing: Vec<_> = self.mailboxes.iter().map(|mailbox| mailbox.renew(renewal)).collect();
        let (under, verified): (Vec<_>, Vec<_>) = renewing.into_iter().map(|it| (it.under, it.verified)).unzip();
        if renewal == Renewal::Trust {
            self.reverifying.retain_mut(|verified| verified.try_recv() == Err(TryRecvError::Empty));
            self.reverifying.extend(verified);
        }
        // Who is under this one is under those before it.
        self.renewing = under;
        if tokio::time::timeout(PATIENCE, ended(&mut self.renewing)).await.is_err() {
            events::worker_is_slow();
        }
    }

    /// Returns once Redis executes nothing more with rights that were taken away; at once, where nothing of that kind is
    /// outstanding. What could not be confirmed before is waited for again.
    ///
    /// # Errors
    /// That is not certain five seconds after the last generation was put into force, or, where nothing was since this was
    /// last asked, from now.
    pub(super) async fn confirm(&mut self) -> Result<(), NotConfirmed> {
        let deadline = self.began.take().unwrap_or_else(Instant::now) + CONFIRMATION;
        let looked_at = async {
            ended(&mut self.renewing).await;
            ended(&mut self.reverifying).await;
        };
        let are_looked_at = tokio::time::timeout_at(deadline.into(), looked_at).await.is_ok();
        self.upstream.close_cut(deadline).await?;
        if are_looked_at { Ok(()) } else { Err(NotConfirmed::Sessions) }
    }

    /// Whether all certificates have been verified again since trust changed: whoever is trusted no longer must not come to
    /// what the users of the next generation may.
    pub(super) async fn is_reverified(&mut self) -> bool {
        tokio::time::timeout(PATIENCE, ended(&mut self.reverifying)).await.is_ok()
    }
}

/// Returns when none of these workers is at it any more.
async fn ended(workers: &mut Vec<oneshot::Receiver<()>>) {
    while let Some(worker) = workers.last_mut() {
        // One that has ended has no sessions.
        let _ = worker.await;
        workers.pop();
    }
}

//! What a new generation, or the end of a certificate, means for the sessions that are there.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::task::{spawn_blocking, spawn_local};

use super::mailbox::{Renewal, RenewalSenders};
use super::{CLOSING_SLICE, GenerationRef, SLICE, Worker, unix_seconds};
use crate::generation::Generation;
use crate::identity::CertificateRefusal;
use crate::net::registry::Order;
use crate::net::reverify::{self, Chains, ChainsToClose};
use crate::session::CloseReason;
use crate::tls::CertificateChain;

/// How long a session that has lost rights may wait for the replies to what was sent with them.
const FORMER_RIGHTS: Duration = Duration::from_secs(1);

/// Where looking at a new policy takes sessions longer between two turns of the others, fewer of them do.
const ENOUGH: Duration = Duration::from_millis(2);

/// Certificate chains that are verified before the sessions of those that are not trusted are closed.
const BATCH: usize = 64;

impl Worker {
    /// A new generation is in force: every session is woken to look at it. Where trust may have changed, every
    /// certificate is verified again, on a thread of its own, once.
    pub(super) async fn renew(self: Rc<Self>, renewal: Renewal, done: RenewalSenders) {
        let RenewalSenders { under, verified } = done;
        let generation = Arc::clone(&self.current().generation);
        let number = generation.number;
        if renewal == Renewal::Trust {
            self.trusts.send_replace(());
            let chains = self.registry.chains(|_, _| true);
            let worker = Rc::clone(&self);
            spawn_local(async move {
                Rc::clone(&worker).reverify(generation, chains).await;
                while worker.registry.is_any_closing() {
                    tokio::task::yield_now().await;
                }
                drop(verified);
            });
        }
        self.renew_sessions(number).await;
        while !self.registry.is_under(number) {
            tokio::task::yield_now().await;
        }
        self.end_former_rights().await;
        // Whoever does not wait for it does not need to know.
        let _ = under.send(());
    }

    /// Has every session look at the new policy, fewer between two turns of the others where that takes long: what goes on for one is
    /// judged again.
    async fn renew_sessions(&self, number: u64) {
        let sessions = self.registry.snapshot();
        let (mut rest, mut slice) = (&sessions[..], SLICE);
        while !rest.is_empty() {
            let (next, later) = rest.split_at(slice.min(rest.len()));
            next.iter().for_each(|handle| handle.renew(number));
            tokio::task::yield_now().await;
            let is_slow = self.renewing.take() > ENOUGH;
            slice = if is_slow { (slice / 2).max(1) } else { (slice * 2).min(SLICE) };
            rest = later;
        }
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
        while self.registry.is_any_closing() {
            tokio::task::yield_now().await;
        }
    }

    /// With a CA many sessions may end, and some that another CA still vouches for may not. With its own certificate a
    /// session ends by itself, but not where the clock was set forward, or stood while the machine slept.
    pub(super) fn reverify_if_a_certificate_has_ended(self: &Rc<Self>) {
        let now = unix_seconds();
        let since = self.expiry_checked_at.replace(now);
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
    async fn reverify(self: Rc<Self>, generation: Arc<Generation>, chains: Chains) {
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
}

/// Whether a certificate that this chain may depend on has ended in this span.
pub(super) fn has_aged(current: &GenerationRef, listener: usize, chain: &CertificateChain, span: Range<i64>) -> bool {
    let material = current.generation.listeners.get(listener).and_then(Option::as_ref);
    material.is_some_and(|material| material.has_aged(chain, &span))
}

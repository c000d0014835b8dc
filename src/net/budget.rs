//! How much all sessions together may hold, and who is evicted where that is too much.

mod ledger;

use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

pub(super) use self::ledger::Holder;
use self::ledger::{Holding, Ledger};

/// The sum of the bytes that sessions hold, and its bound. Over it, the session that holds the most of the user that holds
/// the most is told to go, whoever it is that asks for more.
///
/// Those who hold change the sum without a lock; who is to be told is found under one.
#[derive(Debug)]
pub struct MemoryBudget {
    limit: AtomicU64,
    held: AtomicU64,
    ledger: Mutex<Ledger>,
}

impl MemoryBudget {
    /// A budget of so many bytes.
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit: limit.into(), held: AtomicU64::new(0), ledger: Mutex::default() })
    }

    /// Other bounds from now on. Over them, sessions are told to go at once.
    pub fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Ordering::Relaxed);
        if self.is_exceeded() {
            self.evict();
        }
    }

    /// So many bytes there may be.
    pub fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    /// So many bytes are held.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// An account for a session that holds nothing yet.
    pub(super) fn open(self: &Arc<Self>, holder: Holder) -> Account {
        let holding = Arc::<Holding>::default();
        let number = self.ledger().enter(holder.clone(), Arc::clone(&holding));
        Account { budget: Arc::clone(self), holding, holder, number, held: 0, waker: None }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_exceeded(&self) -> bool {
        self.held.load(Ordering::Relaxed) > self.limit.load(Ordering::Relaxed)
    }

    /// Has as many sessions go as it takes, those included that are already going.
    fn evict(&self) {
        let limit = self.limit.load(Ordering::Relaxed);
        let mut ledger = self.ledger();
        while let Some(holding) = ledger.next_to_evict(self.held.load(Ordering::Acquire), limit) {
            holding.evict();
        }
    }
}

/// What one session holds. It is given up when this is dropped.
pub(super) struct Account {
    budget: Arc<MemoryBudget>,
    holding: Arc<Holding>,
    holder: Holder,
    number: u64,
    held: u64,
    /// As the holding knows it.
    waker: Option<Waker>,
}

impl Account {
    /// The session holds so many bytes now. Somebody may be evicted for it, this session or another.
    pub(super) fn hold(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        let before = std::mem::replace(&mut self.held, bytes);
        if bytes == before {
            return;
        }
        // The holding comes before the sum: whoever finds the sum within the bounds by what others are to give back must not
        // count on what they have given back already.
        self.holding.hold(bytes);
        if bytes < before {
            self.budget.held.fetch_sub(before - bytes, Ordering::Release);
        } else {
            self.budget.held.fetch_add(bytes - before, Ordering::Release);
            if self.budget.is_exceeded() {
                self.budget.evict();
            }
        }
    }

    /// Whether the session holds anything.
    pub(super) fn holds_something(&self) -> bool {
        self.held > 0
    }

    /// Whether there is room for more. If not, somebody has been told to go, and will give back what he holds at his next
    /// turn.
    pub(super) fn has_room(&self) -> bool {
        let is_exceeded = self.budget.is_exceeded();
        if is_exceeded {
            self.budget.evict();
        }
        !is_exceeded
    }

    /// For whom the session holds it.
    pub(super) fn holder(&self) -> &Holder {
        &self.holder
    }

    /// The session acts for somebody else from now on.
    pub(super) fn move_to(&mut self, holder: Holder) {
        self.budget.ledger().move_to(self.number, &self.holder, holder.clone());
        self.holder = holder;
    }

    /// Whether the session has to go, and give back everything.
    pub(super) fn is_evicted(&self) -> bool {
        self.holding.is_evicted()
    }

    /// The session is woken through this waker when it has to go.
    pub(super) fn note_waker(&mut self, waker: &Waker) {
        if !self.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.waker = Some(waker.clone());
            self.holding.note_waker(waker.clone());
        }
    }

    /// Ends when the session has to go.
    pub(super) async fn evicted(&mut self) {
        poll_fn(|cx| {
            self.note_waker(cx.waker());
            if self.is_evicted() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.hold(0);
        self.budget.ledger().leave(self.number, &self.holder);
    }
}

#[cfg(test)]
mod tests;

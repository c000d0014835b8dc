//! How much all sessions together may hold, and who is evicted where that is too much.

mod ledger;

use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

pub(super) use self::ledger::Holder;
use self::ledger::{Entry, Ledger};

/// While more is held than there may be, those who hold less than their share are read from until it is more by this
/// part: what one user holds at the limit must not keep others waiting for those who are to give it back.
const RESERVE_PART: u64 = 8;

/// So much below the limit it is what is held once those who were told to go have given it back, or the next few bytes would be too
/// many again.
const SLACK_PART: u64 = 16;

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
            drop(self.evict());
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
        let entry = self.ledger().enter(holder);
        Account { budget: Arc::clone(self), entry, waker: None }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_exceeded(&self) -> bool {
        self.held.load(Ordering::Relaxed) > self.limit.load(Ordering::Relaxed)
    }

    /// Has as many sessions go as it takes, those included that are already going.
    fn evict(&self) -> MutexGuard<'_, Ledger> {
        let limit = self.limit();
        let limit = limit - limit / SLACK_PART;
        let mut ledger = self.ledger();
        while let Some(holding) = ledger.next_to_evict(self.held.load(Ordering::Acquire), limit) {
            holding.evict();
        }
        ledger
    }
}

/// What one session holds. It is given up when this is dropped.
pub(super) struct Account {
    budget: Arc<MemoryBudget>,
    entry: Entry,
    /// As the holding knows it.
    waker: Option<Waker>,
}

impl Account {
    /// The session holds so many bytes now. Somebody may be evicted for it, this session or another.
    pub(super) fn hold(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        let before = self.entry.held();
        if bytes == before {
            return;
        }
        // The entry comes before the sum of all: whoever finds that within the bounds by what others are to give back must not
        // count on what they have given back already.
        self.entry.hold(bytes);
        if bytes < before {
            self.budget.held.fetch_sub(before - bytes, Ordering::Release);
        } else {
            self.budget.held.fetch_add(bytes - before, Ordering::Release);
            if self.budget.is_exceeded() {
                drop(self.budget.evict());
            }
        }
    }

    /// Whether the session holds anything.
    pub(super) fn holds_something(&self) -> bool {
        self.entry.held() > 0
    }

    /// Whether the session may take more. If not, somebody has been told to go, and will give back what he holds at his next
    /// turn.
    pub(super) fn has_room(&self) -> bool {
        let (held, limit) = (self.budget.held(), self.budget.limit());
        if held <= limit {
            return true;
        }
        let ledger = self.budget.evict();
        held <= limit.saturating_add(limit / RESERVE_PART) && ledger.is_within_share(&self.entry, limit)
    }

    /// For whom the session holds it.
    pub(super) fn holder(&self) -> &Holder {
        self.entry.holder()
    }

    /// The session acts for somebody else from now on.
    pub(super) fn move_to(&mut self, holder: Holder) {
        self.budget.ledger().move_to(&mut self.entry, holder);
    }

    /// Whether the session has to go, and give back everything.
    pub(super) fn is_evicted(&self) -> bool {
        self.entry.holding().is_evicted()
    }

    /// The session is woken through this waker when it has to go.
    pub(super) fn note_waker(&mut self, waker: &Waker) {
        if !self.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.waker = Some(waker.clone());
            self.entry.holding().note_waker(waker.clone());
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
        self.budget.ledger().leave(&self.entry);
    }
}

#[cfg(test)]
mod tests;

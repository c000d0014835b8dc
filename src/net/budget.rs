//! How much all sessions together may hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The sum of the bytes that sessions hold, and its bound.
#[derive(Debug)]
pub struct MemoryBudget {
    limit: u64,
    held: AtomicU64,
}

impl MemoryBudget {
    /// A budget of so many bytes.
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, held: AtomicU64::new(0) })
    }

    /// One session holds `is` bytes, no longer `was`. False if all together now hold too many and this one holds more.
    pub(super) fn account(&self, was: usize, is: usize) -> bool {
        if is < was {
            self.held.fetch_sub((was - is) as u64, Ordering::Relaxed);
            return true;
        }
        let more = (is - was) as u64;
        self.held.fetch_add(more, Ordering::Relaxed).saturating_add(more) <= self.limit
    }

    pub(super) fn is_spent(&self) -> bool {
        self.held.load(Ordering::Relaxed) >= self.limit
    }
}

/// Bytes that are counted for as long as this lives, whether there is room for them or not.
pub(super) struct Held {
    budget: Arc<MemoryBudget>,
    bytes: usize,
}

impl Held {
    pub(super) fn new(budget: &Arc<MemoryBudget>, bytes: usize) -> Self {
        let _ = budget.account(0, bytes);
        Self { budget: Arc::clone(budget), bytes }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.budget.account(self.bytes, 0);
    }
}

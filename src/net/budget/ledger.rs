//! Who holds how much, and who has to give it back.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use crate::acl::UserName;
use crate::origin::{Origin, origin};

/// This part of all is for those together who have not logged in, as of the connections: while they hold more, they are
/// evicted before any user.
const UNAUTHENTICATED_PART: u64 = 8;

/// To whom it counts what a session holds.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(in crate::net) enum Holder {
    User(UserName),
    /// Nobody has logged in.
    Origin(Origin),
}

impl Holder {
    /// Of a session that acts for this user and comes from there.
    pub(in crate::net) fn of(user: Option<&UserName>, address: IpAddr) -> Self {
        user.map_or_else(|| Self::Origin(origin(address)), |user| Self::User(user.clone()))
    }

    fn is_unauthenticated(&self) -> bool {
        matches!(self, Self::Origin(_))
    }

    /// Whether a session of this user, which never comes from elsewhere than before, still counts here.
    pub(in crate::net) fn is(&self, user: Option<&UserName>) -> bool {
        match self {
            Self::User(name) => Some(name) == user,
            Self::Origin(_) => user.is_none(),
        }
    }
}

/// What one session holds, and whether it has to go.
#[derive(Debug, Default)]
pub(super) struct Holding {
    held: AtomicU64,
    is_evicted: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Holding {
    pub(super) fn hold(&self, bytes: u64) {
        self.held.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn is_evicted(&self) -> bool {
        self.is_evicted.load(Ordering::Acquire)
    }

    pub(super) fn note_waker(&self, waker: Waker) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker);
    }

    /// Tells the session to go. Whoever notes a waker looks at this thereafter.
    pub(super) fn evict(&self) {
        self.is_evicted.store(true, Ordering::Release);
        if let Some(waker) = &*self.waker.lock().unwrap_or_else(PoisonError::into_inner) {
            waker.wake_by_ref();
        }
    }

    fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }
}

/// All sessions by whom they count to. Without those that were told to go: what they hold is as good as given back.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// No entry is empty.
    holders: HashMap<Holder, HashMap<u64, Arc<Holding>>>,
    going: HashMap<u64, Arc<Holding>>,
    next: u64,
}

impl Ledger {
    /// Enters a session, and gives it a number.
    pub(super) fn enter(&mut self, holder: Holder, holding: Arc<Holding>) -> u64 {
        let number = self.next;
        self.next += 1;
        self.holders.entry(holder).or_default().insert(number, holding);
        number
    }

    /// A session counts to somebody else from now on.
    pub(super) fn move_to(&mut self, number: u64, from: &Holder, to: Holder) {
        if let Some(holding) = self.take(number, from) {
            self.holders.entry(to).or_default().insert(number, holding);
        }
    }

    /// A session has ended.
    pub(super) fn leave(&mut self, number: u64, holder: &Holder) {
        if self.going.remove(&number).is_none() {
            self.take(number, holder);
        }
    }

    /// Who has to go where `held` bytes are held by all, those that are going included, and `limit` may be: one more
    /// session, the largest of whoever holds the most; while strangers together hold more than their part, of the stranger
    /// that does. `None` if those that are going give back enough.
    #[must_use]
    pub(super) fn next_to_evict(&mut self, held: u64, limit: u64) -> Option<Arc<Holding>> {
        let going: u64 = self.going.values().map(|holding| holding.held()).sum();
        if held.saturating_sub(going) <= limit {
            return None;
        }
        let sum = |holdings: &HashMap<u64, Arc<Holding>>| holdings.values().map(|holding| holding.held()).sum::<u64>();
        let sums: Vec<_> = self.holders.iter().map(|(holder, holdings)| (holder, holdings, sum(holdings))).collect();
        let of_unauthenticated: u64 =
            sums.iter().filter(|(holder, ..)| holder.is_unauthenticated()).map(|(.., sum)| sum).sum();
        // However many addresses they come from, they push out no user.
        let among_unauthenticated = of_unauthenticated > limit / UNAUTHENTICATED_PART;
        let candidates = sums.iter().filter(|(holder, ..)| !among_unauthenticated || holder.is_unauthenticated());
        let (holder, holdings, _) = candidates.max_by_key(|(.., sum)| *sum)?;
        let (number, largest) = holdings.iter().max_by_key(|(_, holding)| holding.held())?;
        if largest.held() == 0 {
            return None;
        }
        let (holder, number) = ((*holder).clone(), *number);
        let holding = self.take(number, &holder)?;
        self.going.insert(number, Arc::clone(&holding));
        Some(holding)
    }

    fn take(&mut self, number: u64, holder: &Holder) -> Option<Arc<Holding>> {
        let holdings = self.holders.get_mut(holder)?;
        let holding = holdings.remove(&number);
        if holdings.is_empty() {
            self.holders.remove(holder);
        }
        holding
    }
}

#[cfg(test)]
mod tests;

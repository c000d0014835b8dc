//! Who holds how much, and who has to give it back.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use crate::acl::UserName;
use crate::origin::{Origin, network, origin};

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

    /// Whose turns its sessions take: a user's, or those of all who have not logged in, in which networks take turns.
    pub(in crate::net) fn turns(&self) -> (Option<UserName>, Option<IpAddr>) {
        match self {
            Self::User(name) => (Some(name.clone()), None),
            Self::Origin(origin) => (None, Some(network(*origin))),
        }
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

/// What a session has of the ledger, and changes without it.
#[derive(Debug)]
pub(super) struct Entry {
    number: u64,
    holder: Holder,
    holding: Arc<Holding>,
    of_holder: Arc<AtomicU64>,
}

impl Entry {
    pub(super) fn holder(&self) -> &Holder {
        &self.holder
    }

    pub(super) fn holding(&self) -> &Arc<Holding> {
        &self.holding
    }

    pub(super) fn held(&self) -> u64 {
        self.holding.held()
    }

    /// The session holds so many bytes now.
    pub(super) fn hold(&mut self, bytes: u64) {
        let before = self.holding.held.swap(bytes, Ordering::Relaxed);
        if bytes < before {
            self.of_holder.fetch_sub(before - bytes, Ordering::Relaxed);
        } else {
            self.of_holder.fetch_add(bytes - before, Ordering::Relaxed);
        }
    }
}

/// The sessions of one holder, by their numbers.
#[derive(Debug, Default)]
struct Sessions {
    /// What all of them hold.
    held: Arc<AtomicU64>,
    staying: HashMap<u64, Arc<Holding>>,
    /// They were told to go: what they hold is as good as given back.
    going: HashMap<u64, Arc<Holding>>,
}

impl Sessions {
    fn going(&self) -> u64 {
        self.going.values().map(|holding| holding.held()).sum()
    }

    /// What those who stay hold.
    fn staying(&self) -> u64 {
        self.held.load(Ordering::Relaxed).saturating_sub(self.going())
    }

    fn is_empty(&self) -> bool {
        self.staying.is_empty() && self.going.is_empty()
    }
}

/// All sessions by whom they count to.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// None of them without sessions.
    holders: HashMap<Holder, Sessions>,
    next: u64,
}

impl Ledger {
    /// Enters a session that holds nothing yet.
    pub(super) fn enter(&mut self, holder: Holder) -> Entry {
        let number = self.next;
        self.next += 1;
        let sessions = self.holders.entry(holder.clone()).or_default();
        let holding = Arc::<Holding>::default();
        sessions.staying.insert(number, Arc::clone(&holding));
        Entry { number, holder, holding, of_holder: Arc::clone(&sessions.held) }
    }

    /// A session counts to somebody else from now on.
    pub(super) fn move_to(&mut self, entry: &mut Entry, to: Holder) {
        let held = entry.held();
        entry.hold(0);
        let is_going = self.take(entry);
        let sessions = self.holders.entry(to.clone()).or_default();
        let now_with = if is_going { &mut sessions.going } else { &mut sessions.staying };
        now_with.insert(entry.number, Arc::clone(&entry.holding));
        (entry.holder, entry.of_holder) = (to, Arc::clone(&sessions.held));
        entry.hold(held);
    }

    /// A session that holds nothing any more has ended.
    pub(super) fn leave(&mut self, entry: &Entry) {
        self.take(entry);
    }

    /// Who has to go where `held` bytes are held by all, those that are going included, and `limit` may be: one more
    /// session, the largest of whoever holds the most; while strangers together hold more than their part, of the stranger
    /// that does. `None` if those that are going give back enough.
    #[must_use]
    pub(super) fn next_to_evict(&mut self, held: u64, limit: u64) -> Option<Arc<Holding>> {
        let going: u64 = self.holders.values().map(Sessions::going).sum();
        if held.saturating_sub(going) <= limit {
            return None;
        }
        let sums = || self.holders.iter().map(|(holder, sessions)| (holder, sessions.staying()));
        let of_unauthenticated: u64 =
            sums().filter(|(holder, _)| holder.is_unauthenticated()).map(|(_, sum)| sum).sum();
        // However many addresses they come from, they push out no user.
        let among_unauthenticated = of_unauthenticated > limit / UNAUTHENTICATED_PART;
        let candidates = sums().filter(|(holder, _)| !among_unauthenticated || holder.is_unauthenticated());
        let (holder, _) = candidates.max_by_key(|(_, sum)| *sum)?;
        let holder = holder.clone();
        let sessions = self.holders.get_mut(&holder)?;
        let (number, largest) = sessions.staying.iter().max_by_key(|(_, holding)| holding.held())?;
        if largest.held() == 0 {
            return None;
        }
        let number = *number;
        let holding = sessions.staying.remove(&number)?;
        sessions.going.insert(number, Arc::clone(&holding));
        Some(holding)
    }

    /// Whether the holder of this entry has no more than each could have at once where `limit` may be held by all. Of
    /// strangers the same, within their part.
    pub(super) fn is_within_share(&self, entry: &Entry, limit: u64) -> bool {
        let is_unauthenticated = entry.holder.is_unauthenticated();
        let of_all = if is_unauthenticated { limit / UNAUTHENTICATED_PART } else { limit };
        let alike = self.holders.keys().filter(|holder| holder.is_unauthenticated() == is_unauthenticated);
        entry.of_holder.load(Ordering::Relaxed) <= of_all / alike.count().max(1) as u64
    }

    /// Takes a session out. Says whether it was told to go.
    fn take(&mut self, entry: &Entry) -> bool {
        let Some(sessions) = self.holders.get_mut(&entry.holder) else { return false };
        let was_going = sessions.staying.remove(&entry.number).is_none();
        if was_going {
            sessions.going.remove(&entry.number);
        }
        if sessions.is_empty() {
            self.holders.remove(&entry.holder);
        }
        was_going
    }
}

#[cfg(test)]
mod tests;

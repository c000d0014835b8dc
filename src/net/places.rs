//! Places that connections of all workers wait for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::shares::{FairShares, Ticket};
use crate::origin::Origin;

/// Places, shared fairly between origins.
#[derive(Debug)]
pub struct Places {
    shares: Mutex<FairShares<oneshot::Sender<Place>>>,
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    origin: Origin,
}

/// Somebody's place in the queue, left when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    places: Arc<Places>,
    origin: Origin,
    ticket: Ticket,
    place: oneshot::Receiver<Place>,
}

impl Places {
    /// So many places.
    pub fn new(places: u32) -> Arc<Self> {
        Arc::new(Self { shares: Mutex::new(FairShares::new(places)) })
    }

    /// A place as soon as there is one for this origin.
    pub async fn acquire(self: &Arc<Self>, origin: Origin) -> Option<Place> {
        match self.take(origin) {
            Some(place) => Some(place),
            None => self.wait(origin).place().await,
        }
    }

    /// A place, if there is one for this origin.
    pub(super) fn take(self: &Arc<Self>, origin: Origin) -> Option<Place> {
        self.lock().take(origin).then(|| Place { places: Arc::clone(self), origin })
    }

    /// The end of the queue.
    pub(super) fn wait(self: &Arc<Self>, origin: Origin) -> Turn {
        let (sender, place) = oneshot::channel();
        let ticket = self.lock().wait(origin, sender);
        // There may be one since it was asked for.
        self.serve_queue();
        Turn { places: Arc::clone(self), origin, ticket, place }
    }

    /// Sends away the last of those who wait in the longest queue, if it is longer than that of this origin will be with one more.
    #[must_use]
    pub(super) fn make_way_for(&self, origin: Origin) -> bool {
        let mut shares = self.lock();
        let length = shares.queue_of(origin) + 1;
        shares.cut_queue_longer_than(length).is_some()
    }

    /// Sends away the last of those who wait in the longest queue.
    pub(super) fn shorten_queue(&self) {
        let _ = self.lock().cut_queue_longer_than(0);
    }

    /// How many places are taken.
    pub(super) fn taken(&self) -> u32 {
        self.lock().taken()
    }

    /// How many wait for one.
    pub(super) fn waiting(&self) -> u32 {
        self.lock().waiting()
    }

    /// Gives places to those whose turn it is.
    fn serve_queue(self: &Arc<Self>) {
        loop {
            let Some((origin, waiter)) = self.lock().next() else { return };
            // Who has just left gives it back at once.
            let _ = waiter.send(Place { places: Arc::clone(self), origin });
        }
    }

    fn lock(&self) -> MutexGuard<'_, FairShares<oneshot::Sender<Place>>> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// The place, when it is there. None if the queue is too long.
    pub(super) async fn place(mut self) -> Option<Place> {
        (&mut self.place).await.ok()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let _ = self.places.lock().leave(self.origin, self.ticket);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().give_back(self.origin);
        self.places.serve_queue();
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn origin(number: u8) -> Origin {
        Ipv4Addr::new(192, 0, 2, number).into()
    }

    #[tokio::test]
    async fn who_gives_up_waiting_or_does_not_take_his_place_keeps_it_from_nobody() {
        let places = Places::new(1);
        let first = places.take(origin(1)).unwrap();
        let (gives_up, is_served_and_gone, last) =
            (places.wait(origin(2)), places.wait(origin(3)), places.wait(origin(4)));
        drop(gives_up);
        drop(first);
        assert_eq!((places.taken(), places.waiting()), (1, 1));
        drop(is_served_and_gone);
        let place = last.place().await.unwrap();
        drop(place);
        assert_eq!((places.taken(), places.waiting()), (0, 0));
        assert!(places.acquire(origin(5)).await.is_some());
    }

    #[tokio::test]
    async fn who_is_sent_away_hears_of_it() {
        let places = Places::new(0);
        let (first, second) = (places.wait(origin(1)), places.wait(origin(1)));
        assert!(!places.make_way_for(origin(1)) && places.make_way_for(origin(2)));
        assert!(second.place().await.is_none());
        places.shorten_queue();
        assert!(first.place().await.is_none());
    }
}

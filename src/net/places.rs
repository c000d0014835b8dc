//! Places that connections of all workers wait for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::shares::{FairShares, Standing, Ticket, Visitor};

/// Places, shared fairly between networks.
#[derive(Debug)]
pub struct Places {
    shares: Mutex<FairShares<oneshot::Sender<Place>>>,
    /// Somebody waits who holds none.
    wanted: Notify,
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    visitor: Visitor,
}

/// Somebody's place in the queue, left when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    places: Arc<Places>,
    visitor: Visitor,
    ticket: Ticket,
    place: oneshot::Receiver<Place>,
}

impl Places {
    /// So many places.
    pub fn new(places: u32) -> Arc<Self> {
        Arc::new(Self { shares: Mutex::new(FairShares::new(places)), wanted: Notify::new() })
    }

    /// There are so many places from now on; who holds one keeps it.
    pub fn resize(self: &Arc<Self>, places: u32) {
        self.lock().resize(places);
        self.serve_queue();
    }

    /// A place as soon as there is one for this visitor.
    pub async fn acquire(self: &Arc<Self>, visitor: Visitor) -> Option<Place> {
        match self.take(visitor) {
            Some(place) => Some(place),
            None => self.wait(visitor).place().await,
        }
    }

    /// A place, if there is one for this visitor.
    pub(super) fn take(self: &Arc<Self>, visitor: Visitor) -> Option<Place> {
        self.lock().take(visitor).then(|| Place { places: Arc::clone(self), visitor })
    }

    /// The end of the queue.
    pub(super) fn wait(self: &Arc<Self>, visitor: Visitor) -> Turn {
        let (sender, place) = oneshot::channel();
        let ticket = self.lock().wait(visitor, sender);
        // There may be one since it was asked for.
        self.serve_queue();
        if self.lock().is_wanted() {
            self.wanted.notify_one();
        }
        Turn { places: Arc::clone(self), visitor, ticket, place }
    }

    /// Sends away somebody who waits, if this visitor goes before him: the last of the longest queue.
    #[must_use]
    pub(super) fn make_way_for(&self, visitor: Visitor) -> bool {
        self.lock().cut_for(visitor).is_some()
    }

    /// Sends away the last of those who wait in the longest queue.
    pub(super) fn shorten_queue(&self) {
        let _ = self.lock().cut_longest_queue();
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
            let Some((visitor, waiter)) = self.lock().next() else { return };
            // Who has just left gives it back at once.
            let _ = waiter.send(Place { places: Arc::clone(self), visitor });
        }
    }

    fn lock(&self) -> MutexGuard<'_, FairShares<oneshot::Sender<Place>>> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Ends when somebody waits who holds none, and this one is to go for him: of those for which this is awaited, the
    /// one for which it was first. Never for who comes from a known network.
    pub(super) async fn wanted(&self) {
        if self.visitor.standing == Standing::Known {
            return std::future::pending().await;
        }
        while !self.places.lock().is_wanted() {
            self.places.wanted.notified().await;
        }
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
        let _ = self.places.lock().leave(self.visitor, self.ticket);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().give_back(self.visitor);
        self.places.serve_queue();
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::pin::Pin;
    use std::task::{Context, Waker};

    use super::*;

    fn visitor(number: u8) -> Visitor {
        Visitor { standing: Standing::Unknown, network: Ipv4Addr::new(192, 0, 2, number).into() }
    }

    fn is_ready(future: &mut Pin<Box<impl Future>>) -> bool {
        future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[tokio::test]
    async fn who_gives_up_waiting_or_does_not_take_his_place_keeps_it_from_nobody() {
        let places = Places::new(1);
        let first = places.take(visitor(1)).unwrap();
        let (gives_up, is_served_and_gone, last) =
            (places.wait(visitor(2)), places.wait(visitor(3)), places.wait(visitor(4)));
        drop(gives_up);
        drop(first);
        assert_eq!((places.taken(), places.waiting()), (1, 1));
        drop(is_served_and_gone);
        let place = last.place().await.unwrap();
        drop(place);
        assert_eq!((places.taken(), places.waiting()), (0, 0));
        assert!(places.acquire(visitor(5)).await.is_some());
    }

    #[tokio::test]
    async fn who_holds_none_gets_that_of_the_first_who_would_give_his_up() {
        let places = Places::new(2);
        let (first, second) = (places.take(visitor(1)).unwrap(), places.take(visitor(2)).unwrap());
        let (mut of_first, mut of_second) = (Box::pin(first.wanted()), Box::pin(second.wanted()));
        assert!(!is_ready(&mut of_first) && !is_ready(&mut of_second));
        let of_who_has_one = places.wait(visitor(2));
        assert!(!is_ready(&mut of_first) && !is_ready(&mut of_second));
        let of_who_has_none = places.wait(visitor(3));
        assert!(!is_ready(&mut of_second) && is_ready(&mut of_first));
        drop(of_first);
        drop(first);
        let _place = of_who_has_none.place().await.unwrap();
        assert!(!is_ready(&mut of_second));
        drop(of_who_has_one);
    }

    #[tokio::test]
    async fn who_is_sent_away_hears_of_it() {
        let places = Places::new(0);
        let (first, second) = (places.wait(visitor(1)), places.wait(visitor(1)));
        assert!(!places.make_way_for(visitor(1)) && places.make_way_for(visitor(2)));
        assert!(second.place().await.is_none());
        places.shorten_queue();
        assert!(first.place().await.is_none());
    }
}

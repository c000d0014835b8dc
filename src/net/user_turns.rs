//! Turns of sessions, shared among users. However many sessions a user has, together they have so much of a worker's time between two
//! turns of everybody else; beyond it they wait for one another, in the order in which they come. All who have not logged in have one share
//! together, in which their networks take turns; and the connections of each tunnel have one.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::task::{spawn_local, yield_now};

/// The time that the sessions of a user have before others have theirs. The last turn may go beyond.
const SHARE: Duration = Duration::from_millis(4);

/// Below this part of it, it is not looked at whether others have had theirs, which takes a task.
const LITTLE: u32 = 4;

/// The shares in the time of a worker, by whose they are.
pub(super) struct UserTurns<H: Eq + Hash> {
    shares: Rc<Shares<H>>,
    time: Duration,
}

type Shares<H> = RefCell<HashMap<H, Weak<Share<H>>>>;

/// What the sessions of a user have in common.
struct Share<H: Eq + Hash> {
    holder: H,
    shares: Weak<Shares<H>>,
    time: Duration,
    /// Since all others have had their turn.
    spent: Cell<Duration>,
    /// It will be seen to that this begins anew.
    is_to_be_renewed: Cell<bool>,
    /// One of those who waited is to have its turn.
    is_given: Cell<bool>,
    waiting: RefCell<Waiting>,
}

/// Those who wait, by their networks: the next is the first of the network whose turn it is.
#[derive(Default)]
struct Waiting {
    networks: VecDeque<Option<IpAddr>>,
    /// Of those networks, and of each somebody.
    waiters: HashMap<Option<IpAddr>, VecDeque<Rc<Waiter>>>,
}

struct Waiter {
    state: Cell<WaiterState>,
    session: RefCell<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum WaiterState {
    Waiting,
    /// It is its turn.
    Next,
    /// It wants none any more.
    Gone,
}

/// A session, as one of its user.
pub(super) struct UserTurn<H: Eq + Hash + 'static> {
    share: Rc<Share<H>>,
    network: Option<IpAddr>,
    /// Its place among those who wait, or the turn that it has had for it.
    waiter: Option<Rc<Waiter>>,
}

impl<H: Eq + Hash + Clone> Default for UserTurns<H> {
    fn default() -> UserTurns<H> {
        UserTurns::new(SHARE)
    }
}

impl<H: Eq + Hash + Clone> UserTurns<H> {
    /// Shares of so much time each.
    pub(super) fn new(time: Duration) -> UserTurns<H> {
        UserTurns { shares: Rc::default(), time }
    }

    /// A session of this user. Where it is told by its network, it waits for one other session of each other network at most.
    pub(super) fn enter(&self, holder: &H, network: Option<IpAddr>) -> UserTurn<H> {
        let known = self.shares.borrow().get(holder).and_then(Weak::upgrade);
        let share = known.unwrap_or_else(|| {
            let share = Rc::new(Share {
                holder: holder.clone(),
                shares: Rc::downgrade(&self.shares),
                time: self.time,
                spent: Cell::default(),
                is_to_be_renewed: Cell::default(),
                is_given: Cell::default(),
                waiting: RefCell::default(),
            });
            self.shares.borrow_mut().insert(holder.clone(), Rc::downgrade(&share));
            share
        });
        UserTurn { share, network, waiter: None }
    }
}

impl<H: Eq + Hash + 'static> UserTurn<H> {
    /// Whether the session may have a turn now, which [`end`](Self::end) ends. Where not, it is woken when it may; who is
    /// `urgent` never waits.
    #[must_use]
    pub(super) fn begin(&mut self, cx: &Context<'_>, urgent: bool) -> bool {
        match &self.waiter {
            Some(waiter) if waiter.state.get() == WaiterState::Next => true,
            Some(waiter) if !urgent => {
                waiter.session.borrow_mut().clone_from(cx.waker());
                false
            }
            Some(_) => {
                self.leave();
                true
            }
            None if urgent || self.share.has_time() => true,
            None => {
                let session = RefCell::new(cx.waker().clone());
                let waiter = Rc::new(Waiter { state: Cell::new(WaiterState::Waiting), session });
                self.share.waiting.borrow_mut().push(self.network, Rc::clone(&waiter));
                self.waiter = Some(waiter);
                false
            }
        }
    }

    /// The turn is over, if there was one. With what else was done it took so long.
    pub(super) fn end(&mut self, took: Duration) {
        self.share.spend(took);
        if self.waiter.as_ref().is_some_and(|waiter| waiter.state.get() == WaiterState::Next) {
            self.leave();
        }
    }

    /// Wants no turn any more, or has had it.
    fn leave(&mut self) {
        let Some(waiter) = self.waiter.take() else { return };
        if waiter.state.replace(WaiterState::Gone) == WaiterState::Next {
            self.share.is_given.set(false);
            self.share.give();
        }
    }
}

impl<H: Eq + Hash + 'static> Drop for UserTurn<H> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<H: Eq + Hash + 'static> Share<H> {
    /// Whether somebody who comes now may go on, and nobody waits before him.
    fn has_time(&self) -> bool {
        self.spent.get() < self.time && !self.is_given.get() && self.waiting.borrow().is_empty()
    }

    fn spend(self: &Rc<Self>, time: Duration) {
        self.spent.set(self.spent.get() + time);
        if self.spent.get() >= self.time / LITTLE && !self.is_to_be_renewed.replace(true) {
            let share = Rc::clone(self);
            spawn_local(async move {
                // All others that are ready have theirs.
                yield_now().await;
                share.renew();
            });
        }
    }

    fn renew(&self) {
        self.spent.set(Duration::ZERO);
        self.is_to_be_renewed.set(false);
        self.give();
    }

    /// The next of those who wait has its turn, where there is time for it. Where there is none, it is when the share is renewed.
    fn give(&self) {
        while self.spent.get() < self.time && !self.is_given.get() {
            let Some(next) = self.waiting.borrow_mut().pop() else { return };
            if next.state.get() == WaiterState::Waiting {
                next.state.set(WaiterState::Next);
                self.is_given.set(true);
                next.session.borrow().wake_by_ref();
            }
        }
    }
}

impl Waiting {
    fn push(&mut self, network: Option<IpAddr>, waiter: Rc<Waiter>) {
        let of_network = self.waiters.entry(network).or_default();
        if of_network.is_empty() {
            self.networks.push_back(network);
        }
        of_network.push_back(waiter);
    }

    fn pop(&mut self) -> Option<Rc<Waiter>> {
        let network = self.networks.pop_front()?;
        let of_network = self.waiters.get_mut(&network)?;
        let waiter = of_network.pop_front();
        if of_network.is_empty() {
            self.waiters.remove(&network);
        } else {
            self.networks.push_back(network);
        }
        waiter
    }

    fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }
}

impl<H: Eq + Hash> Drop for Share<H> {
    fn drop(&mut self) {
        if let Some(shares) = self.shares.upgrade() {
            shares.borrow_mut().remove(&self.holder);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use tokio::task::{JoinHandle, LocalSet};

    use super::*;

    const TURN: Duration = Duration::from_millis(1);

    /// A session that has so many turns, which all take as long; each is written down.
    fn session(
        turns: &UserTurns<&'static str>,
        name: &'static str,
        count: usize,
        had: &Rc<RefCell<Vec<&'static str>>>,
    ) -> JoinHandle<()> {
        let (mut turn, had, mut left) = (turns.enter(&name, None), Rc::clone(had), count);
        spawn_local(poll_fn(move |cx| {
            if turn.begin(cx, false) {
                had.borrow_mut().push(name);
                turn.end(TURN);
                left -= 1;
                if left == 0 {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        }))
    }

    #[tokio::test]
    async fn who_has_one_session_waits_for_one_share_of_a_user_who_has_many() {
        let all = async {
            let (turns, had) = (UserTurns::default(), Rc::default());
            let mut sessions: Vec<_> = (0..100).map(|_| session(&turns, "eve", 10, &had)).collect();
            sessions.push(session(&turns, "alice", 10, &had));
            for session in sessions {
                session.await.unwrap();
            }
            Rc::into_inner(had).unwrap().into_inner()
        };
        let had = LocalSet::new().run_until(all).await;
        assert_eq!(had.len(), 1010, "everybody has had his turns");
        let between = had.split(|name| *name == "alice").map(<[_]>::len);
        let most = between.take(10).max();
        let share = SHARE.div_duration_f32(TURN) as usize;
        assert!(most <= Some(2 * share), "{most:?}");
    }

    #[tokio::test]
    async fn who_has_the_worker_to_himself_has_all_of_it() {
        let all = async {
            let (turns, had) = (UserTurns::new(Duration::MAX), Rc::default());
            let sessions = [(); 3].map(|()| session(&turns, "eve", 10, &had));
            for session in sessions {
                session.await.unwrap();
            }
        };
        LocalSet::new().run_until(all).await;
    }

    #[tokio::test]
    async fn who_is_gone_is_passed_over_also_where_it_was_next() {
        let all = async {
            let (turns, cx) = (UserTurns::new(TURN), Context::from_waker(Waker::noop()));
            let [mut first, second, third, mut fourth] = [(); 4].map(|()| turns.enter(&"eve", None));
            let (mut second, mut third) = (second, third);
            assert!(first.begin(&cx, false));
            first.end(TURN);
            assert_eq!([&mut second, &mut third, &mut fourth].map(|turn| turn.begin(&cx, false)), [false; 3]);
            drop(third);
            // The share is renewed.
            yield_now().await;
            yield_now().await;
            assert!(!first.begin(&cx, false), "others wait");
            drop(second);
            assert!(fourth.begin(&cx, false));
        };
        LocalSet::new().run_until(all).await;
    }

    #[tokio::test]
    async fn who_is_to_end_does_not_wait() {
        let all = async {
            let (turns, cx) = (UserTurns::new(TURN), Context::from_waker(Waker::noop()));
            let [mut first, mut second] = [(); 2].map(|()| turns.enter(&"eve", None));
            assert!(first.begin(&cx, false));
            first.end(TURN);
            assert!(!second.begin(&cx, false));
            assert!(second.begin(&cx, true) && first.begin(&cx, true));
        };
        LocalSet::new().run_until(all).await;
    }

    #[tokio::test]
    async fn of_those_who_share_networks_take_turns_however_many_sessions_of_one_wait() {
        let all = async {
            let (turns, cx) = (UserTurns::new(TURN), Context::from_waker(Waker::noop()));
            let network = |number: u8| Some(IpAddr::from([192, 0, 2, number]));
            let mut first = turns.enter(&"", network(1));
            assert!(first.begin(&cx, false));
            first.end(TURN);
            let mut waiting = [1, 1, 1, 2, 3].map(|number| turns.enter(&"", network(number)));
            assert!(!waiting.iter_mut().any(|turn| turn.begin(&cx, false)));
            let mut order = Vec::new();
            while order.len() < waiting.len() {
                // The share is renewed.
                yield_now().await;
                yield_now().await;
                for (index, turn) in waiting.iter_mut().enumerate() {
                    if turn.waiter.is_some() && turn.begin(&cx, false) {
                        order.push(index);
                        turn.end(TURN);
                    }
                }
            }
            assert_eq!(order, [0, 3, 4, 1, 2]);
        };
        LocalSet::new().run_until(all).await;
    }

    #[test]
    fn nothing_is_kept_of_a_user_without_sessions() {
        let turns = UserTurns::default();
        let [first, second] = [(); 2].map(|()| turns.enter(&"eve", None));
        drop(first);
        assert_eq!(turns.shares.borrow().len(), 1);
        drop(second);
        assert!(turns.shares.borrow().is_empty());
    }
}

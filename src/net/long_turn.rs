//! Turns in which a judgement may take long. Of all sessions of a worker one has such a turn at a time. Users take them in rounds,
//! and so do the addresses of those who are nobody; the sessions of one have them in the order in which they ask. So whoever asks
//! for little waits for the one that is going on and one of each other user, however many sessions those have.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Waker};

use super::budget::Holder;
use super::turn;

/// Where the sessions of a worker wait for theirs.
#[derive(Default)]
pub(super) struct LongTurns(Rc<RefCell<Queue>>);

/// Who waits.
#[derive(Default)]
struct Queue {
    /// Somebody has the place. Nobody waits where it is free.
    is_taken: bool,
    /// Never empty for a holder; whose turn is next comes first.
    rounds: VecDeque<(Holder, VecDeque<Rc<Waiter>>)>,
}

struct Waiter {
    has_place: Cell<bool>,
    session: RefCell<Waker>,
}

/// Whether a session waits for one or has one. Who is gone does neither.
#[derive(Default)]
pub(super) enum LongTurn {
    #[default]
    No,
    Queued(Place),
    Now {
        _place: Place,
    },
}

/// A session's place, or its place among those who wait for it.
pub(super) struct Place {
    queue: Rc<RefCell<Queue>>,
    waiter: Rc<Waiter>,
}

impl Queue {
    fn enter(&mut self, holder: &Holder, waiter: &Rc<Waiter>) {
        if !self.is_taken {
            self.is_taken = true;
            return waiter.has_place.set(true);
        }
        match self.rounds.iter_mut().find(|(other, _)| other == holder) {
            Some((_, waiters)) => waiters.push_back(Rc::clone(waiter)),
            None => self.rounds.push_back((holder.clone(), VecDeque::from([Rc::clone(waiter)]))),
        }
    }

    fn leave(&mut self, waiter: &Rc<Waiter>) {
        if waiter.has_place.get() {
            return self.pass_on();
        }
        for (_, waiters) in &mut self.rounds {
            waiters.retain(|other| !Rc::ptr_eq(other, waiter));
        }
        self.rounds.retain(|(_, waiters)| !waiters.is_empty());
    }

    fn pass_on(&mut self) {
        self.is_taken = false;
        let Some((holder, mut waiters)) = self.rounds.pop_front() else { return };
        if let Some(next) = waiters.pop_front() {
            self.is_taken = true;
            next.has_place.set(true);
            next.session.borrow().wake_by_ref();
        }
        if !waiters.is_empty() {
            self.rounds.push_back((holder, waiters));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.queue.borrow_mut().leave(&self.waiter);
    }
}

impl LongTurn {
    /// The session waits behind those of this holder that do already.
    pub(super) fn queue(&mut self, turns: &LongTurns, holder: &Holder, cx: &mut Context<'_>) {
        // A place that it has may not be given back while another is being given.
        *self = LongTurn::No;
        let waiter = Rc::new(Waiter { has_place: Cell::new(false), session: RefCell::new(cx.waker().clone()) });
        turns.0.borrow_mut().enter(holder, &waiter);
        *self = LongTurn::Queued(Place { queue: Rc::clone(&turns.0), waiter });
        // It is looked at when the next turn begins.
        turn::end(cx);
    }

    /// Whether the session's is the next, or is going on.
    pub(super) fn has_place(&self) -> bool {
        match self {
            LongTurn::No => false,
            LongTurn::Queued(place) => place.waiter.has_place.get(),
            LongTurn::Now { .. } => true,
        }
    }

    /// A turn of the session begins. True if it is a long one, which is over when the next begins, whatever it was used for.
    #[must_use]
    pub(super) fn begin(&mut self, cx: &mut Context<'_>) -> bool {
        *self = match std::mem::take(self) {
            LongTurn::Queued(place) if place.waiter.has_place.get() => LongTurn::Now { _place: place },
            LongTurn::Queued(place) => {
                place.waiter.session.borrow_mut().clone_from(cx.waker());
                LongTurn::Queued(place)
            }
            LongTurn::Now { .. } | LongTurn::No => LongTurn::No,
        };
        let is_long = matches!(self, LongTurn::Now { .. });
        if is_long {
            turn::end(cx);
        }
        is_long
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;
    use tokio::task::{LocalSet, spawn_local, yield_now};

    use super::*;
    use crate::acl::UserName;

    fn user(name: &str) -> Holder {
        Holder::User(UserName::new(name.as_bytes()).unwrap())
    }

    fn alice() -> Holder {
        user("alice")
    }

    #[test]
    fn users_have_long_turns_in_rounds_however_many_sessions_they_have() {
        let (turns, cx) = (LongTurns::default(), &mut Context::from_waker(Waker::noop()));
        let names = ["eve"; 5].into_iter().chain(["alice", "bob", "bob"]);
        let mut waiting: Vec<(&str, LongTurn)> = names
            .map(|name| {
                let mut turn = LongTurn::default();
                turn.queue(&turns, &user(name), cx);
                (name, turn)
            })
            .collect();
        let mut order = Vec::new();
        while !waiting.is_empty() {
            let at = waiting.iter_mut().position(|(_, turn)| turn.begin(cx)).expect("somebody's turn");
            order.push(waiting.remove(at).0);
        }
        assert_eq!(order, ["eve", "eve", "alice", "bob", "eve", "bob", "eve", "eve"]);
    }

    #[test]
    fn one_has_a_long_turn_at_a_time_in_order_and_who_is_gone_is_passed_over() {
        let (turns, cx) = (LongTurns::default(), &mut Context::from_waker(Waker::noop()));
        let [mut first, mut second, mut third, mut fourth] = [(); 4].map(|()| {
            let mut turn = LongTurn::default();
            turn.queue(&turns, &alice(), cx);
            turn
        });
        assert!(first.begin(cx));
        assert_eq!([&mut second, &mut third, &mut fourth].map(|turn| turn.begin(cx)), [false; 3]);
        drop(second);
        assert!(!third.begin(cx));
        assert!(!first.begin(cx), "one turn is not two");
        assert!(!fourth.begin(cx), "it came later");
        assert!(third.begin(cx));
        drop(third);
        assert!(fourth.begin(cx));
    }

    #[tokio::test]
    async fn a_socket_that_something_has_come_by_is_served_before_the_next_but_one_long_turn() {
        let (mut client, mut session) = UnixStream::pair().unwrap();
        let serving = async {
            let waiting = spawn_local(async move { session.read_u8().await });
            yield_now().await;
            client.write_u8(1).await.unwrap();
            let (turns, had, is_served) =
                (Rc::new(LongTurns::default()), Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
            let busy: Vec<_> = (0..20)
                .map(|_| {
                    let (turns, had, is_served) = (Rc::clone(&turns), Rc::clone(&had), Rc::clone(&is_served));
                    let mut turn = LongTurn::default();
                    spawn_local(poll_fn(move |cx| {
                        if is_served.get() {
                            return Poll::Ready(());
                        }
                        if turn.begin(cx) {
                            had.set(had.get() + 1);
                        } else if matches!(turn, LongTurn::No) {
                            turn.queue(&turns, &alice(), cx);
                        }
                        Poll::Pending
                    }))
                })
                .collect();
            waiting.await.unwrap().unwrap();
            is_served.set(true);
            drop(busy);
            had.get()
        };
        let had: u32 = LocalSet::new().run_until(serving).await;
        assert!(had <= 2, "{had}");
    }
}

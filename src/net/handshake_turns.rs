//! Turns in which handshakes are gone on with. What is computed at a step of one, a signature for instance, or what a long ClientHello
//! says, takes as long as many turns of sessions: all handshakes of a worker together have one turn between two of its sessions', and
//! known networks go first.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::task::{spawn_local, yield_now};

use super::places::Places;
use super::shares::Visitor;

/// When no further step is begun in a turn: after several signatures with an ECDSA key, or one with an RSA key.
const ENOUGH: Duration = Duration::from_millis(1);

/// So many handshakes are next. Whoever takes the place of one that has had its step comes behind the sessions that are ready, so with
/// one place handshakes would be slow where sessions are busy. One that comes from a known network waits for three others at most.
const NEXT: u32 = 4;

/// Where the handshakes of a worker wait for theirs.
pub(super) struct HandshakeTurns {
    next: Arc<Places>,
    /// In this turn.
    spent: Rc<Cell<Duration>>,
    enough: Duration,
}

impl Default for HandshakeTurns {
    fn default() -> HandshakeTurns {
        HandshakeTurns::new(ENOUGH)
    }
}

impl HandshakeTurns {
    fn new(enough: Duration) -> HandshakeTurns {
        HandshakeTurns { next: Places::new(NEXT), spent: Rc::default(), enough }
    }

    /// Goes through with a handshake, or with a part of one, step by step.
    pub(super) async fn take<T>(&self, visitor: Visitor, handshake: impl Future<Output = T>) -> T {
        let mut handshake = pin!(handshake);
        loop {
            let next = self.next.acquire(visitor).await;
            while self.spent.get() >= self.enough {
                yield_now().await;
            }
            let began = Instant::now();
            let step = poll_fn(|cx| Poll::Ready(handshake.as_mut().poll(cx))).await;
            self.spend(began.elapsed());
            drop(next);
            match step {
                Poll::Ready(outcome) => return outcome,
                Poll::Pending => woken().await,
            }
        }
    }

    fn spend(&self, time: Duration) {
        let spent = self.spent.get() + time;
        self.spent.set(spent);
        if spent >= self.enough {
            let spent = Rc::clone(&self.spent);
            spawn_local(async move {
                // The sessions have theirs.
                yield_now().await;
                spent.set(Duration::ZERO);
            });
        }
    }
}

/// Ends when the task is woken.
async fn woken() {
    let mut is_woken = false;
    poll_fn(|_| if std::mem::replace(&mut is_woken, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;
    use tokio::sync::oneshot;
    use tokio::task::{JoinHandle, LocalSet};

    use super::*;
    use crate::net::shares::Standing;

    /// Those below 10 are known.
    fn visitor(number: u8) -> Visitor {
        let standing = if number < 10 { Standing::Known } else { Standing::Unknown };
        Visitor { standing, network: Ipv4Addr::new(192, 0, 2, number).into() }
    }

    /// How many handshakes of 20, each of one step that takes so long, come before a socket that something has come by is served.
    async fn handshakes_before_a_socket(turns: HandshakeTurns, step: Duration) -> u32 {
        let (mut client, mut session) = UnixStream::pair().unwrap();
        let serving = async {
            let (turns, had) = (Rc::new(turns), Rc::new(Cell::new(0)));
            let before = Rc::clone(&had);
            let served = spawn_local(async move {
                session.read_u8().await.unwrap();
                before.get()
            });
            yield_now().await;
            client.write_u8(1).await.unwrap();
            for number in 0..20 {
                let (turns, had) = (Rc::clone(&turns), Rc::clone(&had));
                let handshake = async move {
                    std::thread::sleep(step);
                    had.set(had.get() + 1);
                };
                spawn_local(async move { turns.take(visitor(number), handshake).await });
            }
            served.await.unwrap()
        };
        LocalSet::new().run_until(serving).await
    }

    #[tokio::test]
    async fn a_socket_that_something_has_come_by_is_served_before_the_next_but_one_step_that_takes_long() {
        let had = handshakes_before_a_socket(HandshakeTurns::default(), ENOUGH).await;
        assert!(had <= 2, "{had}");
    }

    #[tokio::test]
    async fn steps_that_take_little_are_taken_in_one_turn() {
        let had = handshakes_before_a_socket(HandshakeTurns::new(Duration::MAX), Duration::ZERO).await;
        assert_eq!(had, 20);
    }

    #[tokio::test]
    async fn who_comes_from_a_known_network_waits_for_few_of_unknown_ones() {
        let turns = Rc::new(HandshakeTurns::default());
        let order = Rc::new(RefCell::new(Vec::new()));
        let all = async {
            let begun: Vec<JoinHandle<()>> = (10..30)
                .chain([1])
                .map(|number| {
                    let (turns, order) = (Rc::clone(&turns), Rc::clone(&order));
                    let handshake = async move {
                        std::thread::sleep(ENOUGH);
                        order.borrow_mut().push(number);
                    };
                    spawn_local(async move { turns.take(visitor(number), handshake).await })
                })
                .collect();
            for handshake in begun {
                handshake.await.unwrap();
            }
        };
        LocalSet::new().run_until(all).await;
        let before = order.borrow().iter().position(|number| *number == 1);
        assert!(before <= Some(NEXT as usize), "{order:?}");
    }

    #[tokio::test]
    async fn whoever_waits_for_its_client_or_is_gone_keeps_nobody_from_a_turn() {
        let turns = Rc::new(HandshakeTurns::default());
        let (answer, answered) = oneshot::channel::<()>();
        let all = async {
            let waits = {
                let turns = Rc::clone(&turns);
                spawn_local(async move { turns.take(visitor(10), answered).await })
            };
            let is_gone = {
                let turns = Rc::clone(&turns);
                spawn_local(async move { turns.take(visitor(10), std::future::pending::<()>()).await })
            };
            yield_now().await;
            is_gone.abort();
            turns.take(visitor(10), async {}).await;
            answer.send(()).unwrap();
            waits.await.unwrap().unwrap();
        };
        LocalSet::new().run_until(all).await;
    }
}

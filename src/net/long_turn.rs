//! Turns in which a judgement may take long. Of all sessions of a worker one has such a turn at a time, in the order in which they
//! ask for it: whoever asks for little waits for one of them, however many there are.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use super::turn;

/// Where the sessions of a worker wait for theirs.
pub(super) struct LongTurns(Arc<Semaphore>);

impl Default for LongTurns {
    fn default() -> LongTurns {
        LongTurns(Arc::new(Semaphore::new(1)))
    }
}

/// Whether a session waits for one or has one. Who is gone does neither.
#[derive(Default)]
pub(super) enum LongTurn {
    #[default]
    No,
    Queued(Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>>>>),
    Now {
        _place: OwnedSemaphorePermit,
    },
}

impl LongTurn {
    /// The session waits behind those that do already.
    pub(super) fn queue(&mut self, turns: &LongTurns, cx: &mut Context<'_>) {
        *self = LongTurn::Queued(Box::pin(Arc::clone(&turns.0).acquire_owned()));
        // It is looked at when the next turn begins.
        turn::end(cx);
    }

    /// A turn of the session begins. True if it is a long one, which is over when the next begins, whatever it was used for.
    #[must_use]
    pub(super) fn begin(&mut self, cx: &mut Context<'_>) -> bool {
        match self {
            LongTurn::Now { .. } => *self = LongTurn::No,
            LongTurn::Queued(queued) => {
                if let Poll::Ready(place) = queued.as_mut().poll(cx) {
                    // There is always one.
                    *self = place.map_or(LongTurn::No, |_place| LongTurn::Now { _place });
                }
            }
            LongTurn::No => {}
        }
        let is_long = matches!(self, LongTurn::Now { .. });
        if is_long {
            turn::end(cx);
        }
        is_long
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::rc::Rc;
    use std::task::Waker;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;
    use tokio::task::{LocalSet, spawn_local, yield_now};

    use super::*;

    #[test]
    fn one_has_a_long_turn_at_a_time_in_order_and_who_is_gone_is_passed_over() {
        let (turns, cx) = (LongTurns::default(), &mut Context::from_waker(Waker::noop()));
        let [mut first, mut second, mut third, mut fourth] = [(); 4].map(|()| {
            let mut turn = LongTurn::default();
            turn.queue(&turns, cx);
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
                            turn.queue(&turns, cx);
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

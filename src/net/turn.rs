//! Turns that sessions of a worker take.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll};

use tokio::task::yield_now;

/// Whoever is polled here has more to do, and is polled again once all sockets have been asked what has come, and the others that
/// are ready have had their turn. Woken at once, it might have 61 turns before any socket is asked (tokio's `event_interval`).
pub(super) fn end(cx: &mut Context<'_>) {
    let _pending: Poll<()> = pin!(yield_now()).poll(cx);
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;
    use tokio::task::{LocalSet, spawn_local};

    use super::*;

    #[tokio::test]
    async fn a_socket_that_something_has_come_by_is_served_before_the_next_but_one_turn() {
        let (mut client, mut session) = UnixStream::pair().unwrap();
        let serving = async {
            let waiting = spawn_local(async move { session.read_u8().await });
            yield_now().await;
            client.write_u8(1).await.unwrap();
            let mut turns = 0;
            let busy = spawn_local(poll_fn(move |cx| {
                if waiting.is_finished() {
                    return Poll::Ready(turns);
                }
                turns += 1;
                end(cx);
                Poll::Pending
            }));
            busy.await.unwrap()
        };
        let turns: u32 = LocalSet::new().run_until(serving).await;
        assert!(turns <= 2, "{turns}");
    }
}

//! The end in good order.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::net::worker::Mailbox;
use crate::upstream::Upstream;

/// How long workers may take beyond the deadline: some of it is for their last words.
const GRACE: Duration = Duration::from_secs(2);

/// Lets sessions end by `deadline`, and gives up at Redis what was there for them.
pub(super) async fn end(upstream: &Upstream, mailboxes: &[Mailbox], threads: Vec<JoinHandle<()>>, deadline: Instant) {
    let unblocking = upstream.unblock_all(|error| warn!(%error, "blocked clients are closed without an answer"));
    tokio::select! {
        () = drain(deadline, mailboxes, threads) => {}
        () = unblocking => {}
    }
    // Where sessions took all the time there was, it is still tried for a moment.
    let deadline = deadline.max(Instant::now() + Duration::from_millis(100));
    match tokio::time::timeout_at(deadline.into(), upstream.forget_mirrors()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(%error, "users that scripts ran as are left at the upstream"),
        Err(_elapsed) => warn!("users that scripts ran as are left at the upstream"),
    }
}

/// Lets sessions end where nothing is owed. By the deadline the workers close what is left; one that does not even then is not
/// waited for.
async fn drain(deadline: Instant, mailboxes: &[Mailbox], threads: Vec<JoinHandle<()>>) {
    let connections: usize = mailboxes.iter().map(Mailbox::load).sum();
    info!(connections, "draining");
    mailboxes.iter().for_each(|mailbox| mailbox.drain(deadline));
    let mut poll = tokio::time::interval(Duration::from_millis(20));
    let mut is_last = false;
    while !threads.iter().all(JoinHandle::is_finished) {
        poll.tick().await;
        if Instant::now() >= deadline + GRACE {
            return warn!("a worker does not end, and is left to the end of the process");
        }
        let is_left_with_them =
            |(mailbox, thread): (&Mailbox, &JoinHandle<()>)| mailbox.waits_for_last_drain() || thread.is_finished();
        if !is_last && mailboxes.iter().zip(&threads).all(is_left_with_them) {
            is_last = true;
            mailboxes.iter().for_each(Mailbox::drain_last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_worker_that_is_stuck_does_not_keep_the_process_from_its_end() {
        let (go_on, waits) = std::sync::mpsc::channel::<()>();
        let stuck = std::thread::spawn(move || {
            let _ = waits.recv();
        });
        drain(Instant::now() - GRACE, &[], vec![stuck]).await;
        drop(go_on);
    }
}

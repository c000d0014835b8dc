//! Which run of Redis a connection is of. Each counts its clients from 1, so that an id of another run is somebody else's.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::client_id::ClientId;
use super::control::Control;
use super::error::ConnectError;
use super::probe::field;
use crate::resp::Reply;

/// A run of Redis, which runs still when it is noted: whoever has connected since is its client.
#[derive(Debug, Clone)]
pub(super) struct Run {
    /// `run_id`, as INFO says it.
    id: String,
    /// It was there by then.
    since: Instant,
}

impl Run {
    /// Whether it is certain that the connection is of this run.
    pub(super) fn has(&self, client: ClientId) -> bool {
        client.opened >= self.since
    }
}

/// The run that was met last.
#[derive(Debug, Default)]
pub(super) struct LastRun(Mutex<Option<Run>>);

impl LastRun {
    /// Redis has just said this in reply to `INFO server`. `None` where it keeps to itself which run it is.
    pub(super) fn note(&self, info: &str) -> Option<Run> {
        let id = field(info, "run_id").filter(|id| !id.is_empty())?;
        // Nothing panics while it is held.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_none_or(|last| last.id != id) {
            *last = Some(Run { id: id.to_owned(), since: Instant::now() });
        }
        last.clone()
    }

    /// Asks which run it is.
    ///
    /// # Errors
    /// Redis does not say.
    pub(super) async fn ask(&self, control: &mut Control) -> Result<Run, ConnectError> {
        let mut request = Vec::new();
        control.encode("INFO", &[b"server"], &mut request);
        match control.ask(&request, 1).await?.pop() {
            Some(Reply::Bulk(info)) => self.note(&String::from_utf8_lossy(&info)).ok_or(ConnectError::NotRedis),
            Some(Reply::Error(text)) => Err(ConnectError::refused(&text)),
            _ => Err(ConnectError::NotRedis),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    #[test]
    fn a_client_is_of_a_run_that_was_met_before_it_connected_and_is_met_still() {
        let last = LastRun::default();
        let client = || ClientId { number: NonZeroU64::MIN, opened: Instant::now() };
        let before = client();
        let first = last.note("# Server\r\nrun_id:a\r\n").unwrap();
        let during = client();
        let again = last.note("# Server\r\nrun_id:a\r\n").unwrap();
        assert!(!first.has(before) && !again.has(before), "it may be of the run before");
        assert!(first.has(during) && again.has(during));
        let second = last.note("# Server\r\nrun_id:b\r\n").unwrap();
        assert!(!second.has(during), "whatever its number");
        assert!(second.has(client()));
        assert!(last.note("# Server\r\nredis_version:7.0.15\r\n").is_none());
    }
}

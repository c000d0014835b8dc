//! Connections that are cut: those of sessions that have lost a right while Redis had not answered everything.
//!
//! What Redis has received of a connection it executes even when we have closed it. So a cut connection is closed in one
//! direction only, and read until Redis closes it too: from then on nothing of it is executed. That takes no right at
//! all. `CLIENT KILL ID` has Redis close it before it executes what it has received, where the proxy's user may.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::Upstream;
use super::client_id::ClientId;
use super::connect::Connection;
use super::control::{Control, refusal};
use super::error::ConnectError;

/// All connections of this process that are cut and that Redis has not closed yet.
#[derive(Debug, Default)]
pub(super) struct Cuts {
    list: Mutex<List>,
    /// Notified when Redis has closed one.
    closed: Notify,
}

#[derive(Debug, Default)]
struct List {
    /// By the order in which they were cut.
    open: BTreeMap<u64, Option<ClientId>>,
    next: u64,
}

/// A connection that is cut.
#[must_use]
#[derive(Debug)]
pub struct Cut {
    upstream: Arc<Upstream>,
    number: u64,
}

/// Why it is not certain that nothing is executed any more.
#[derive(Debug)]
pub enum NotConfirmed {
    /// Redis has not closed the connections in time; where it had something to say to that, in its words.
    Upstream(Option<String>),
    /// A worker has not come to its sessions, or certificates are still being verified again.
    Sessions,
}

impl fmt::Display for NotConfirmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upstream(None) => f.write_str("Redis does not answer"),
            Self::Upstream(Some(words)) => write!(f, "Redis says to CLIENT KILL: {words}"),
            Self::Sessions => f.write_str("not every session has been looked at"),
        }
    }
}

impl std::error::Error for NotConfirmed {}

impl Cuts {
    fn list(&self) -> MutexGuard<'_, List> {
        // Nothing panics while it is held, and if something did, the list would be whole.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn are_closed_before(&self, end: u64) -> bool {
        self.list().open.range(..end).next().is_none()
    }

    async fn closed_before(&self, end: u64) {
        loop {
            let closed = self.closed.notified();
            if self.are_closed_before(end) {
                return;
            }
            closed.await;
        }
    }
}

impl Cut {
    /// Redis has closed the connection.
    pub fn closed(self) {
        let cuts = &self.upstream.cuts;
        cuts.list().open.remove(&self.number);
        cuts.closed.notify_waiters();
    }
}

impl Upstream {
    /// Nothing more of this connection is to be executed: it is on the list until Redis has closed it.
    pub fn cut(self: &Arc<Self>, connection: &Connection) -> Cut {
        let mut list = self.cuts.list();
        let number = list.next;
        list.next += 1;
        list.open.insert(number, connection.id());
        drop(list);
        Cut { upstream: Arc::clone(self), number }
    }

    /// Has Redis close what has been cut by now, whenever that was, and returns once it has.
    ///
    /// # Errors
    /// It has not by `deadline`.
    pub async fn close_cut(&self, deadline: Instant) -> Result<(), NotConfirmed> {
        let mut words = None;
        let end = self.cuts.list().next;
        let closed = self.cuts.closed_before(end);
        let kill = async {
            words = self.kill_cut_before(end).await.err().map(|error| error.to_string());
            std::future::pending::<()>().await;
        };
        let ended = async {
            tokio::select! {
                biased;
                () = closed => {}
                () = kill => {}
            }
        };
        match tokio::time::timeout_at(deadline.into(), ended).await {
            Ok(()) => Ok(()),
            Err(_elapsed) => Err(NotConfirmed::Upstream(words)),
        }
    }

    /// Sends CLIENT KILL for each, all at once over one connection.
    ///
    /// # Errors
    /// Redis's words, where it does not do it.
    async fn kill_cut_before(&self, end: u64) -> Result<(), ConnectError> {
        let mut control = Control::open(self.target()).await?;
        let run = self.run.ask(&mut control).await?;
        let ids: Vec<ClientId> =
            self.cuts.list().open.range(..end).filter_map(|(_, id)| *id).filter(|id| run.has(*id)).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let mut requests = Vec::new();
        for id in &ids {
            control.encode("CLIENT", &[b"KILL", b"ID", id.to_string().as_bytes()], &mut requests);
        }
        refusal(&control.ask(&requests, ids.len()).await?).map_or(Ok(()), Err)
    }
}

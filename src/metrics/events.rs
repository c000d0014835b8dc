//! What happens rarely, or costs so much more than a lock that one does not matter: connections, handshakes, logins, ends.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::histogram::Histogram;
use super::labels::Labels;
use crate::acl::UserName;

/// Counts for all threads. Reasons are words of the log.
#[derive(Debug, Default)]
pub struct EventCounts {
    events: Mutex<Events>,
    labels: Labels,
}

/// What has happened since the start of the process.
#[derive(Debug, Clone, Default)]
pub struct Events {
    /// Connections by listener.
    pub(super) connections: Vec<u64>,
    /// Connections turned away, by reason.
    pub(super) connections_refused: BTreeMap<&'static str, u64>,
    /// Handshakes by protocol version, and how long they took by whether an earlier session was resumed.
    pub(super) handshakes: BTreeMap<&'static str, u64>,
    pub(super) handshake_durations: [Histogram; 2],
    /// Handshakes that failed, by reason.
    pub(super) handshakes_failed: BTreeMap<&'static str, u64>,
    /// Logins by method and result.
    pub(super) logins: BTreeMap<(&'static str, &'static str), u64>,
    /// When each user has logged in last, by label.
    pub(super) last_logins: Vec<Option<SystemTime>>,
    /// By number.
    pub(super) tunnels: Vec<TunnelEvents>,
    /// Sessions that have ended, by reason and side.
    pub(super) closed: BTreeMap<(&'static str, &'static str), u64>,
}

/// What has happened at one tunnel.
#[derive(Debug, Clone, Default)]
pub(super) struct TunnelEvents {
    /// Applications that came.
    pub(super) connections: u64,
    /// What went wrong, by reason.
    pub(super) failures: BTreeMap<&'static str, u64>,
}

impl Events {
    fn tunnel(&mut self, number: usize) -> &mut TunnelEvents {
        if self.tunnels.len() <= number {
            self.tunnels.resize(number + 1, TunnelEvents::default());
        }
        &mut self.tunnels[number]
    }
}

impl EventCounts {
    /// A connection has come in through this listener.
    pub fn arrived(&self, listener: usize) {
        let mut events = self.events();
        if events.connections.len() <= listener {
            events.connections.resize(listener + 1, 0);
        }
        events.connections[listener] += 1;
    }

    /// An application has come to this tunnel.
    pub fn tunnel_arrived(&self, number: usize) {
        self.events().tunnel(number).connections += 1;
    }

    /// Something has gone wrong at this tunnel.
    pub fn tunnel_failed(&self, number: usize, reason: &'static str) {
        *self.events().tunnel(number).failures.entry(reason).or_default() += 1;
    }

    /// A connection was turned away.
    pub fn connection_refused(&self, reason: &'static str) {
        *self.events().connections_refused.entry(reason).or_default() += 1;
    }

    /// A handshake has succeeded, so long after the connection came.
    pub fn handshake_done(&self, version: &'static str, is_resumed: bool, lasted: Duration) {
        let mut events = self.events();
        *events.handshakes.entry(version).or_default() += 1;
        events.handshake_durations[usize::from(is_resumed)].observe(lasted);
    }

    /// A handshake has failed.
    pub fn handshake_failed(&self, reason: &'static str) {
        *self.events().handshakes_failed.entry(reason).or_default() += 1;
    }

    /// So many logins have gone like this.
    pub fn logins(&self, method: &'static str, result: &'static str, count: u64) {
        *self.events().logins.entry((method, result)).or_default() += count;
    }

    /// This user has logged in, at this time.
    pub fn logged_in(&self, user: &UserName, time: SystemTime) {
        let label = self.labels.user(Some(user)).index();
        let mut events = self.events();
        if events.last_logins.len() <= label {
            events.last_logins.resize(label + 1, None);
        }
        events.last_logins[label] = Some(time);
    }

    /// A session has ended.
    pub fn closed(&self, reason: &'static str, side: &'static str) {
        *self.events().closed.entry((reason, side)).or_default() += 1;
    }

    /// The labels of what workers count.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// What has happened so far.
    pub fn so_far(&self) -> Events {
        self.events().clone()
    }

    fn events(&self) -> MutexGuard<'_, Events> {
        // Nothing panics while it is held.
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! A session as it is shown to whoever asks which there are.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::acl::UserName;
use crate::identity::PeerIdentity;
use crate::policy::Proof;
use crate::session::{Activity, Traffic};

/// A session at one moment.
#[derive(Debug, Clone)]
pub struct SessionView {
    /// Counted over all workers, from the start of the process.
    pub number: u64,
    /// Its client id at Redis, where it has a connection and Redis has told.
    pub upstream_id: Option<u64>,
    /// Whom it acts for.
    pub user: Option<UserName>,
    /// How it became that user.
    pub proof: Option<Proof>,
    /// What the client has shown.
    pub certificate: Option<Arc<PeerIdentity>>,
    /// Where the client comes from.
    pub address: SocketAddr,
    /// Since its handshake.
    pub age: Duration,
    /// Since something came from the client, or went to it.
    pub idle: Duration,
    /// Requests.
    pub traffic: Traffic,
    /// What it waits in.
    pub activity: Activity,
}

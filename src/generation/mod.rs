//! One generation: everything that is loaded from files and that decides, built together and replaced as one.

mod acl_file;
mod build;
mod contradictions;
mod edit;
mod error;
mod part;
mod watch;

use std::sync::Arc;
use std::time::SystemTime;

pub use self::acl_file::{NO_USERS, check_passwords, read_acl, replace};
pub use self::build::{Built, Kept, UpstreamKnowledge, build};
pub use self::contradictions::{contradictions, edit_refusal, nearest_user, wanted_contradictions};
pub use self::edit::{Edit, EditProgress, EditTicket, Editor, GoAhead};
pub use self::error::BuildError;
pub use self::part::Part;
pub use self::watch::{Look, Watch};

use crate::acl::Acl;
use crate::auth::verify::RefusalWork;
use crate::config::Config;
use crate::policy::Policy;
use crate::session::SessionLimits;
use crate::tls::{ClientMaterial, InForce, TlsMaterial};

/// Settings, policy and trust that belong together.
pub struct Generation {
    /// Counts from 1.
    pub number: u64,
    /// When it was built.
    pub since: SystemTime,
    /// What it was built from.
    pub config: Arc<Config>,
    /// What of that bounds every session.
    pub limits: Arc<SessionLimits>,
    /// What decides about requests.
    pub policy: Arc<Policy>,
    /// The TLS side of each listener, `None` for plaintext ones.
    pub listeners: Vec<Option<Arc<TlsMaterial>>>,
    /// Of each plaintext one what was revoked while it was none: it is so still when certificates are asked for again.
    pub revocations: Vec<Option<Arc<InForce>>>,
    /// The TLS side of each tunnel.
    pub tunnels: Vec<Arc<ClientMaterial>>,
    /// What refusing a login has to cost, so that its time tells nothing.
    pub refusal_work: Arc<RefusalWork>,
}

impl Generation {
    /// The next one, with other users: trust and everything else stay what they are.
    pub fn with_users(&self, acl: Acl) -> Self {
        let number = self.number + 1;
        let refusal_work = Arc::new(acl_file::refusal_work(&acl));
        let policy = Policy { generation: number, acl, ..Policy::clone(&self.policy) };
        Self {
            number,
            since: SystemTime::now(),
            config: Arc::clone(&self.config),
            limits: Arc::clone(&self.limits),
            policy: Arc::new(policy),
            listeners: self.listeners.clone(),
            revocations: self.revocations.clone(),
            tunnels: self.tunnels.clone(),
            refusal_work,
        }
    }
}

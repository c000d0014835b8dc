//! The state of the connection to Redis, for tests to look at.

use super::rig::Rig;
use crate::acl::Effort;
use crate::resp::Protocol;

impl Rig {
    /// The selected database, if it is known and certain.
    pub(super) fn database(&self) -> Option<u32> {
        let databases: Vec<_> = self.core.requesters(&Effort::default()).map(|requester| requester.database).collect();
        if databases.iter().all(|database| *database == databases[0]) { databases[0] } else { None }
    }

    /// Whether Redis may queue the next request.
    pub(super) fn in_transaction(&self) -> bool {
        self.core.requesters(&Effort::default()).any(|requester| requester.mode.in_transaction)
    }

    /// Whether it is a subscriber under RESP2.
    pub(super) fn is_subscriber(&self) -> bool {
        self.core.requesters(&Effort::default()).any(|requester| requester.mode.subscriber)
    }

    pub(super) fn protocol(&self) -> Protocol {
        self.core.protocol()
    }
}

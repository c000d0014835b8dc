//! The `ACL LOG` of all workers.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::acl::AclLog;
use crate::command::Dialect;
use crate::resp::Reply;
use crate::session::{SessionCore, describe_log};

/// The ACL LOG, shared by all workers. Locked only when something was refused, or somebody reads it.
#[derive(Debug, Default)]
pub struct SharedAclLog(Mutex<AclLog>);

impl SharedAclLog {
    /// Notes what a session, the `number`th of this process, was refused.
    pub fn note(&self, core: &mut SessionCore, number: u64) {
        let records = core.take_acl_log();
        if records.is_empty() {
            return;
        }
        let user = core.principal().map_or("", |principal| principal.user.name().as_str());
        let client = format!("id={number} addr={} name= user={user}", core.peer().address);
        let now = SystemTime::now();
        let mut log = self.lock();
        for record in records {
            log.note(record, client.clone(), now);
        }
    }

    /// The reply to `ACL LOG count`.
    pub fn describe(&self, count: usize, dialect: Dialect) -> Reply {
        describe_log(&self.lock(), count, dialect, SystemTime::now())
    }

    /// Forgets them all.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, AclLog> {
        // Nothing panics while it is held, and if something did, the log would be whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! What happens to whom: the log's events, the words in them, how their lines are written, the audit log, and `ACL LOG`.

mod acl_log;
mod audit_file;
mod audit_log;
pub mod chain;
pub mod client_events;
pub mod escape;
pub mod events;
mod key_hasher;
pub mod limit;
pub mod lines;
mod lock;
mod opening;
mod record;
pub mod refusals;
mod tunnel_events;
pub mod words;

pub use self::acl_log::SharedAclLog;
pub use self::audit_log::AuditLog;
pub use self::opening::inspect;
pub use self::tunnel_events::TunnelLabel;

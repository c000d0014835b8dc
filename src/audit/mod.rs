//! What happens to whom: the log's events, the words in them, how their lines are written, and `ACL LOG`.

mod acl_log;
pub mod chain;
pub mod client_events;
pub mod escape;
pub mod events;
pub mod limit;
pub mod lines;
pub mod words;

pub use self::acl_log::SharedAclLog;

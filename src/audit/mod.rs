//! What happens to whom: the log's events, the words in them, and `ACL LOG`.

mod acl_log;
pub mod events;
pub mod words;

pub use self::acl_log::Refusals;

//! Redis's ACL language: users, rules, selectors, and the decision. Pure.
//!
//! An [`Acl`] is an immutable set of [`User`]s, read from a file or changed rule by rule; [`User::check`] decides about
//! one request. What differs from the servers, and why, is in `docs/acl-compat.md`.

mod check;
mod commands;
mod cover;
mod describe;
mod effort;
mod exact;
mod explain;
mod file;
mod log;
mod password;
mod pattern;
mod rule;
mod selector;
mod shadow;
pub mod texts;
mod user;
mod users;

pub use check::AclDenial;
pub use describe::{SelectorDescription, UserDescription};
pub use effort::Effort;
pub use explain::{ArgumentExplanation, SelectorExplanation};
pub use file::{FileError, Read, UnknownRules};
pub use log::{AclLog, AclLogContext, AclLogReason, AclLogRecord, LogEntry};
pub use password::{LONGEST_PASSWORD, PasswordHash};
pub use rule::{RuleError, RuleErrorKind, Unknown};
pub use user::{User, UserName};
pub use users::Acl;

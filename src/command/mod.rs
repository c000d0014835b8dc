//! What commands exist, what they are allowed to touch, and where their keys are. Pure.
//!
//! [`CommandTable::resolve`] turns the first words of a request into a [`CommandSpec`]; the spec answers arity, flags,
//! categories, channels and, through [`CommandSpec::try_keys`], which arguments are keys and what each needs.

mod argv;
mod category;
mod database;
mod keyspec;
mod movable;
mod name;
mod role;
mod spec;
mod table;
mod upstream;

#[cfg(test)]
pub(crate) use argv::looks;
pub use argv::{Argv, ArgvBuf};
pub use category::Categories;
pub use database::{DatabaseNeed, DatabaseUse};
pub use keyspec::{Access, KeyUse, Scope, Unextractable};
pub use role::Role;
pub use spec::{ChannelUse, CommandId, CommandSpec};
pub use table::{CommandTable, Dialect, Unresolved};
pub use upstream::{UpstreamBegin, UpstreamCommand, UpstreamFind, UpstreamKeySpec};

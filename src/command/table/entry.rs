//! The shape of the generated data.

use crate::command::database::DatabaseNeed;
use crate::command::keyspec::KeySpec;

pub(super) use crate::command::keyspec::K;
pub(super) use crate::command::spec::F;

/// One command of a server, as generate.py writes it.
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) arity: i32,
    pub(super) flags: u32,
    pub(super) categories: u64,
    pub(super) database: DatabaseNeed,
    pub(super) keys: &'static [KeySpec],
}

/// Categories by bit, in the order of `category::BUILTIN`.
pub(super) struct C;

impl C {
    pub(super) const KEYSPACE: u64 = 1;
    pub(super) const READ: u64 = 1 << 1;
    pub(super) const WRITE: u64 = 1 << 2;
    pub(super) const SET: u64 = 1 << 3;
    pub(super) const SORTEDSET: u64 = 1 << 4;
    pub(super) const LIST: u64 = 1 << 5;
    pub(super) const HASH: u64 = 1 << 6;
    pub(super) const STRING: u64 = 1 << 7;
    pub(super) const BITMAP: u64 = 1 << 8;
    pub(super) const HYPERLOGLOG: u64 = 1 << 9;
    pub(super) const GEO: u64 = 1 << 10;
    pub(super) const STREAM: u64 = 1 << 11;
    pub(super) const PUBSUB: u64 = 1 << 12;
    pub(super) const ADMIN: u64 = 1 << 13;
    pub(super) const FAST: u64 = 1 << 14;
    pub(super) const SLOW: u64 = 1 << 15;
    pub(super) const BLOCKING: u64 = 1 << 16;
    pub(super) const DANGEROUS: u64 = 1 << 17;
    pub(super) const CONNECTION: u64 = 1 << 18;
    pub(super) const TRANSACTION: u64 = 1 << 19;
    pub(super) const SCRIPTING: u64 = 1 << 20;
}

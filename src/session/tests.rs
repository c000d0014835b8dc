//! The session by what it does, in the order of the protocol: what is refused, where replies go, what streams, what
//! ends it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod activity;
mod administration;
mod confirmed;
mod counted;
mod deadlines;
mod drain;
mod flow;
mod former_rights;
mod hello;
mod long_judgement;
mod long_words;
mod mirror;
mod order;
mod properties;
mod pubsub;
mod recorded;
mod redis;
mod refusing;
mod replication;
mod reply_mode;
mod reset;
pub(crate) mod rig;
mod scenario;
mod slots;
mod state;
mod stray_auth;
mod streaming;
mod tracking;
mod transactions;
mod turns;
mod upstream;
mod work;

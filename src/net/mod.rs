//! Listeners, workers and the registry of live connections.

mod episode;
mod gate;
pub mod listener;
pub mod proxy_protocol;
pub mod registry;
mod reverify;
pub mod worker;

pub use self::episode::Episode;
pub use self::gate::{Gate, GateLimits, Permit, SURPLUS};

//! Listeners, workers and the registry of live connections.

mod budget;
mod driver;
mod executing;
mod farewell;
mod gate;
pub mod listener;
pub mod proxy_protocol;
pub mod registry;
mod reverify;
pub mod worker;

pub use self::budget::MemoryBudget;
pub use self::gate::{Gate, GateLimits, Permit, SURPLUS};

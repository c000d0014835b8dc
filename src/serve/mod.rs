//! The running proxy: started, reloaded, asked how it is, and ended.

pub mod admin;
mod capacity;
mod drain;
mod enforce;
mod error;
mod escape;
mod heartbeat;
pub mod logging;
pub mod reload;
mod run;
mod signals;
mod workers;

pub use self::error::RunError;
pub use self::run::run;

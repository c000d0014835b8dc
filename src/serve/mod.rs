//! The running proxy: started, reloaded, asked how it is, and ended.

pub mod admin;
mod enforce;
mod escape;
mod heartbeat;
pub mod logging;
pub mod reload;
mod run;

pub use self::run::{RunError, run};

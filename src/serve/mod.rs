//! The running proxy: started, reloaded, asked how it is, and ended.

mod acceptor;
mod bounds;
mod capacity;
mod door;
mod drain;
mod enforce;
mod error;
mod expiry;
pub mod health;
pub mod learning;
mod heartbeat;
pub mod history;
pub mod logging;
mod page;
pub mod reload;
mod run;
mod scrape;
mod service_manager;
pub mod sessions;
mod signals;
pub mod status;
mod workers;

pub use self::error::RunError;
pub use self::run::run;

//! What operators do: reload, drain, health.

mod acl_file;
pub mod admin;
pub mod contradictions;
pub mod generation;
pub mod reload;
pub mod serve;
pub mod telemetry;
mod watch;

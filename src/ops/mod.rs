//! What operators see and do: logs, audit, reload, drain, health.

mod acl_file;
pub mod admin;
pub mod audit;
pub mod contradictions;
pub mod generation;
pub mod refusals;
pub mod reload;
pub mod serve;
pub mod telemetry;

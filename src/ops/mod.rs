//! What operators see and do: logs, audit, reload, drain, health.

pub mod admin;
pub mod audit;
pub mod generation;
pub mod serve;
pub mod telemetry;

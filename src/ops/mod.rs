//! What operators see and do: logs, audit, reload, drain, health.

pub mod admin;
pub mod telemetry;

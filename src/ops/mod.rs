//! What operators see and do: logs, audit, reload, drain, health.

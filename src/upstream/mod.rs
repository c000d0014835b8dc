//! The connections to Redis.

mod commands;
mod connect;
pub mod control;
mod login;

pub use self::connect::{ConnectError, Connection, Target, connect};

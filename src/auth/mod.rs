//! Passwords: hashes, throttle, and the pool that verifies them off the I/O threads.
//!
//! [`hash`], [`verify`], [`throttle`] and the queue are pure: time is passed in, nothing waits. [`pool`] owns the threads.

pub mod hash;
mod logins;
pub mod pool;
mod queue;
pub mod random;
mod secret;
pub mod throttle;
pub mod verify;

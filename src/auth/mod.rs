//! Passwords: hashes, throttle, and the pool that verifies them off the I/O threads.
//!
//! [`hash`], [`verify`] and [`throttle`] are pure: time is passed in, nothing waits. [`pool`] owns the threads.

mod aging;
pub mod hash;
pub mod pool;
pub mod random;
pub mod throttle;
pub mod verify;

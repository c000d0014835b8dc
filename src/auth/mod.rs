//! Passwords: hashes, throttle, and the pool that verifies them off the I/O threads.

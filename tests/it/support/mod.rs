//! What the tests stand on: certificates, a Redis, a respgate, and clients.

mod client;
mod fake_redis;
mod gate;
mod metrics;
mod pki;
mod redis_server;
mod tunnel;

pub(crate) use client::{RespClient, client_config, client_config_of, crypto_provider, request};
pub(crate) use fake_redis::FakeRedis;
pub(crate) use gate::{Respgate, Setup, respgate_binary, respgate_binary_with_open_files, upstream_of};
pub(crate) use pki::{Identity, Pki};
pub(crate) use redis_server::RedisServer;
pub(crate) use tunnel::{Tunnel, TunnelSetup};

use std::time::{Duration, Instant};

use rustix::fs::Mode;
use tempfile::TempDir;

/// The longest any single wait of a test may take before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A folder for files of a respgate. Those that others can change are refused, and whoever runs the tests may have any
/// umask.
pub(crate) fn folder() -> TempDir {
    rustix::process::umask(Mode::WGRP | Mode::WOTH);
    tempfile::tempdir().unwrap()
}

/// Asks again and again until `probe` has an answer; fails the test with `what` after [`PATIENCE`].
pub(crate) fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "gave up waiting: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

//! Any session: requests and replies cut anywhere, and everything else that can happen in between.
#![no_main]
#![allow(dead_code, clippy::unwrap_used, reason = "the modules are those of the tests")]

use libfuzzer_sys::fuzz_target;
use respgate::{acl, command, identity, policy, resp, session};

#[path = "../../src/session/tests/redis.rs"]
mod redis;
#[path = "../../src/session/tests/refusing.rs"]
mod refusing;
#[path = "../../src/session/tests/rig.rs"]
mod rig;
#[path = "../../src/session/tests/scenario.rs"]
mod scenario;

fuzz_target!(|data: &[u8]| match data {
    [0, rest @ ..] => scenario::check_pieces(rest),
    [1, rest @ ..] => scenario::check_steps(rest),
    [2, rest @ ..] => drop(refusing::check_refusals(rest)),
    _ => {}
});

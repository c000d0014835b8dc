//! redis-py, which is Python and comes from PyPI: `test.sh` installs it and names the interpreter.

use std::path::Path;
use std::process::Command;

use crate::support::{RedisServer, Respgate, Tunnel, upstream_of};

const PYTHON: &str = "RESPGATE_TEST_PYTHON";

#[test]
fn redis_py_gets_the_same_results_as_direct() {
    let Some(python) = std::env::var_os(PYTHON) else {
        return eprintln!("SKIPPED: {PYTHON} names no Python with redis-py; ./test.sh installs one and sets it");
    };
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis)).acl("user alice on +@all ~* &*\n").start();
    let identity = gate.pki().client("alice");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/redis_py.py");
    let run = |args: &[&str]| {
        let output = Command::new(&python).arg(&script).args(args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let expected = run(&["direct", redis.socket().to_str().unwrap()]);
    let through_us = run(&[
        "tls",
        &gate.address().port().to_string(),
        gate.pki().ca_cert().to_str().unwrap(),
        identity.cert.to_str().unwrap(),
        identity.key.to_str().unwrap(),
    ]);
    assert!(expected.lines().count() > 30, "the script did its work:\n{expected}");
    assert_eq!(through_us, expected);
    let tunnel = Tunnel::to(&format!("localhost:{}", gate.address().port()), &gate.pki().ca_cert());
    let tunnel = tunnel.shows(&identity).start();
    assert_eq!(run(&["direct", tunnel.socket().to_str().unwrap()]), expected, "without TLS, through a tunnel");
    assert_eq!(redis.calls("flushall"), 0);
}

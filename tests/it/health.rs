//! What `respgate health` says of a proxy that does not serve.

use std::fs;

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use crate::support::{RedisServer, Respgate, eventually, upstream_of};

#[test]
fn a_worker_that_does_not_turn_is_told_by_health_until_it_turns_again() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl("user alice on +@all ~*\n")
        .setting("threads = 2")
        .expect_log("a worker is stuck")
        .start()
        .settled();
    assert_eq!(health(&gate), (Some(0), "serving\n".to_owned()));
    let worker = thread_named(&gate, "worker-1");
    // Stops this thread alone, as a call into the system that does not come back would.
    ptrace::seize(worker, ptrace::Options::empty()).unwrap();
    ptrace::interrupt(worker).unwrap();
    waitpid(worker, Some(WaitPidFlag::__WALL)).unwrap();
    eventually("the worker to be missed", || (health(&gate) == (Some(1), "stuck\n".to_owned())).then_some(()));
    ptrace::detach(worker, None).unwrap();
    eventually("the worker to turn again", || (health(&gate) == (Some(0), "serving\n".to_owned())).then_some(()));
}

fn health(gate: &Respgate) -> (Option<i32>, String) {
    let output = gate.health();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

fn thread_named(gate: &Respgate, name: &str) -> Pid {
    let threads = fs::read_dir(format!("/proc/{}/task", gate.pid())).unwrap().map(|entry| entry.unwrap());
    let mut named = threads.filter(|thread| fs::read_to_string(thread.path().join("comm")).unwrap().trim() == name);
    let thread = named.next().expect("such a thread").file_name();
    Pid::from_raw(thread.to_str().unwrap().parse().unwrap())
}

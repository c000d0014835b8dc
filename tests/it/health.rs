//! What `respgate health` says of a proxy that does not serve, and what its service manager hears.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex};
use std::thread;

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
    let worker = stop_thread(&gate, "worker-1");
    eventually("the worker to be missed", || (health(&gate) == (Some(1), "stuck\n".to_owned())).then_some(()));
    ptrace::detach(worker, None).unwrap();
    eventually("the worker to turn again", || (health(&gate) == (Some(0), "serving\n".to_owned())).then_some(()));
}

#[test]
fn the_watchdog_of_the_service_manager_is_not_pinged_while_a_worker_does_not_turn() {
    let redis = RedisServer::start();
    let setup = Respgate::setup(&upstream_of(&redis)).acl("user alice on +@all ~*\n").setting("threads = 2");
    let path = setup.path("notify.sock");
    let (manager, told) = (UnixDatagram::bind(&path).unwrap(), Arc::new(Mutex::new(Vec::new())));
    let kept = Arc::clone(&told);
    // It is read all the time, as nobody waits for more than ten messages to be.
    thread::spawn(move || {
        let mut message = [0; 256];
        while let Ok(len) = manager.recv(&mut message) {
            kept.lock().unwrap().push(message[..len].to_vec());
        }
    });
    let pings = || told.lock().unwrap().iter().filter(|message| *message == b"WATCHDOG=1\n").count();
    let setup = setup.env("NOTIFY_SOCKET", path.to_str().unwrap()).env("WATCHDOG_USEC", "30000000");
    let gate = setup.expect_log("a worker is stuck").start();
    eventually("pings", || (pings() > 1).then_some(()));
    let worker = stop_thread(&gate, "worker-1");
    let before = pings();
    gate.wait_for_log(&["a worker is stuck"]);
    // It may have turned after the look before.
    assert!(pings() <= before + 2, "{before} {}", pings());
    ptrace::detach(worker, None).unwrap();
    let before = pings();
    eventually("pings again", || (pings() > before).then_some(()));
}

fn health(gate: &Respgate) -> (Option<i32>, String) {
    let output = gate.health();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

/// Stops this thread alone, as a call into the system that does not come back would.
fn stop_thread(gate: &Respgate, name: &str) -> Pid {
    let thread = thread_named(gate, name);
    ptrace::seize(thread, ptrace::Options::empty()).unwrap();
    ptrace::interrupt(thread).unwrap();
    waitpid(thread, Some(WaitPidFlag::__WALL)).unwrap();
    thread
}

fn thread_named(gate: &Respgate, name: &str) -> Pid {
    let threads = fs::read_dir(format!("/proc/{}/task", gate.pid())).unwrap().map(|entry| entry.unwrap());
    let mut named = threads.filter(|thread| fs::read_to_string(thread.path().join("comm")).unwrap().trim() == name);
    let thread = named.next().expect("such a thread").file_name();
    Pid::from_raw(thread.to_str().unwrap().parse().unwrap())
}

//! File descriptors: how many clients they allow, and what happens when there are none left.

use std::fs;
use std::time::Instant;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};
use serde_json::Value;

use crate::support::{
    RedisServer, RespClient, Respgate, eventually, request, respgate_binary_with_open_files, upstream_of,
};

const ACL: &str = "user alice on +@all ~* &*\n";

#[test]
fn more_clients_than_the_limit_of_open_files_allows_are_an_error_that_says_how_to_raise_it() {
    let setup = Respgate::setup("unix:/nowhere").acl(ACL).setting("maxclients = 400").setting("threads = 2");
    let start = |limit: u32| {
        let mut program = respgate_binary_with_open_files(limit);
        program.args(["run", "--listen", "127.0.0.1:0", "--config"]);
        program.arg(setup.write_config()).output().unwrap()
    };
    let output = start(800);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("maxclients = 400"), "{said}");
    let needed: u32 = said.trim().rsplit(' ').next().unwrap().parse().unwrap();
    let output = start(needed - 1);
    assert!(String::from_utf8_lossy(&output.stderr).contains("allows 399 clients"), "{output:?}");
}

#[test]
fn a_limit_of_open_files_that_leaves_room_for_no_client_is_an_error_with_the_number_it_takes() {
    let setup = Respgate::setup("unix:/nowhere")
        .acl(ACL)
        .default_of("maxclients")
        .setting("threads = 2")
        .expect_log("upstream");
    let config = setup.write_config();
    let start = |limit: u32| {
        let mut program = respgate_binary_with_open_files(limit);
        program.args(["run", "--listen", "127.0.0.1:0", "--config"]).arg(&config).output().unwrap()
    };
    let mut needed = 0;
    // Also where there are too few to start with.
    for limit in [8, 16, 64] {
        let output = start(limit);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{limit}: {said}");
        assert!(said.contains("the file-descriptor limit allows no client"), "{limit}: {said}");
        needed = said.trim().rsplit(' ').next().unwrap().parse().unwrap();
    }
    assert_eq!(start(needed - 1).status.code(), Some(78));
    let gate = setup.open_files(needed).start();
    assert_eq!(number_in(&gate.wait_for_log(&["\"capacity\""]), "maxclients"), 1);
}

#[test]
fn the_limit_of_open_files_bounds_the_clients_and_the_log_says_to_how_many() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl(ACL)
        .setting("threads = 2")
        .default_of("maxclients")
        .open_files(200)
        .start();
    let capacity = number_in(&gate.wait_for_log(&["\"capacity\""]), "maxclients");
    assert!((1..=100).contains(&capacity), "{capacity}");
    let mut clients = gate.greeted("alice", capacity);
    // Each over the limit is told so, and none finds the descriptors used up.
    let over: Vec<_> = (0..100).map(|_| std::net::TcpStream::connect(gate.address()).unwrap()).collect();
    for client in &mut clients {
        assert_eq!(client.text(&["PING"]), "+PONG");
    }
    drop(over);
    drop(clients);
    eventually("places to be free", || is_served(&gate).then_some(()));
}

#[test]
fn without_descriptors_sessions_go_on_the_log_says_so_and_service_returns() {
    let redis = RedisServer::start();
    let mut gate = Respgate::setup(&upstream_of(&redis))
        .acl(ACL)
        .expect_log("\"accept\"")
        // It cannot look at its files either, and keeps to what it has read.
        .expect_log("\"reload\"")
        .start()
        .settled();
    let mut session = gate.connect("alice");
    assert_eq!(session.text(&["SET", "a", "1"]), "+OK");
    leave_descriptors(&gate, 0);
    let began = Instant::now();
    let waiting: Vec<_> = (0..20).map(|_| std::net::TcpStream::connect(gate.address()).unwrap()).collect();
    gate.wait_for_log(&["cannot accept connections"]);
    for _ in 0..100 {
        assert_eq!(session.text(&["GET", "a"]), "$1\r\n1");
    }
    drop(waiting);
    restore_descriptors(&gate);
    assert!(is_served(&gate), "with descriptors, everybody is");
    // It pauses 100 ms after each failure.
    let longest = began.elapsed();
    gate.signal(Signal::TERM);
    assert_eq!(gate.exit_status().code(), Some(0));
    let failures = u128::from(gate.counted(&["\"accept\""]));
    assert!((1..=longest.as_millis() / 100 + 1).contains(&failures), "{failures} failures in {longest:?}");
}

#[test]
fn clients_for_whom_no_connection_to_redis_can_be_opened_are_closed_and_counted_in_the_log() {
    let redis = RedisServer::start();
    let mut gate = Respgate::setup(&upstream_of(&redis))
        .acl(ACL)
        .setting("threads = 1")
        .setting("reload-interval = \"1h\"")
        .expect_log("\"upstream\"")
        // While the one before is not quite gone.
        .expect_log("\"accept\"")
        .start()
        .settled();
    leave_descriptors(&gate, 1);
    for _ in 0..5 {
        let mut client = gate.connect("alice");
        client.send(&request(&["PING"]));
        assert_eq!(client.read_to_end().0, b"");
    }
    restore_descriptors(&gate);
    eventually("service to return", || is_served(&gate).then_some(()));
    gate.signal(Signal::TERM);
    assert_eq!(gate.exit_status().code(), Some(0));
    assert_eq!(gate.counted(&["\"upstream\"", "\"failed\""]), 5);
}

fn is_served(gate: &Respgate) -> bool {
    let mut client: RespClient = gate.connect("alice");
    client.try_send(&request(&["PING"])).and_then(|()| client.try_reply()).is_ok_and(|reply| reply == b"+PONG\r\n")
}

/// Lowers its limit of open files so that it can open so many more.
fn leave_descriptors(gate: &Respgate, count: u64) {
    let limit = (0..).find(|limit| free_descriptors(gate, *limit) == count);
    limit_open_files(gate, limit);
}

fn restore_descriptors(gate: &Respgate) {
    limit_open_files(gate, getrlimit(Resource::Nofile).maximum);
}

/// The hard limit stays as it is, so that the other one can be raised again.
fn limit_open_files(gate: &Respgate, current: Option<u64>) {
    let limit = Rlimit { current, maximum: getrlimit(Resource::Nofile).maximum };
    prlimit(Pid::from_raw(gate.pid().try_into().unwrap()), Resource::Nofile, limit).unwrap();
}

/// How many files it could open under such a limit.
fn free_descriptors(gate: &Respgate, limit: u64) -> u64 {
    let names = fs::read_dir(format!("/proc/{}/fd", gate.pid())).unwrap().map(|entry| entry.unwrap().file_name());
    let numbers = names.map(|name| name.to_str().unwrap().parse::<u64>().unwrap());
    limit - numbers.filter(|number| *number < limit).count() as u64
}

fn number_in(line: &str, field: &str) -> u64 {
    serde_json::from_str::<Value>(line).unwrap()[field].as_u64().unwrap()
}

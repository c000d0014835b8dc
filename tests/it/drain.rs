//! SIGTERM: owed replies go out, idle sessions end, the process ends with 0.

use std::net::TcpStream;

use rustix::process::Signal;

use crate::support::{RedisServer, RespClient, Respgate, eventually, request, upstream_of};

const ACL: &str = "user alice on +@all ~*\n";

#[test]
fn sigterm_closes_idle_sessions_and_ends_with_0() {
    let (_redis, mut gate) = start();
    let mut client = gate.connect("alice");
    assert_eq!(client.text(&["PING"]), "+PONG");
    gate.signal(Signal::TERM);
    client.expect_closed();
    assert_eq!(gate.exit_status().code(), Some(0));
}

#[test]
fn sigterm_without_sessions_ends_with_0() {
    let (_redis, mut gate) = start();
    gate.signal(Signal::TERM);
    assert_eq!(gate.exit_status().code(), Some(0));
}

#[test]
fn a_reply_owed_at_sigterm_still_arrives() {
    let (redis, mut gate) = start();
    let mut client = gate.connect("alice");
    assert_eq!(client.text(&["SET", "a", "1"]), "+OK");
    redis.pause();
    client.send(&request(&["GET", "a"]));
    wait_until_received(&mut client);
    gate.signal(Signal::TERM);
    wait_until_closed(&gate);
    redis.resume();
    assert_eq!(client.reply_text(), "$1\r\n1");
    client.expect_closed();
    assert_eq!(gate.exit_status().code(), Some(0));
}

#[test]
fn the_reply_to_a_blocked_client_still_arrives_after_sigterm() {
    let (redis, mut gate) = start();
    let mut client = gate.connect("alice");
    client.send(&request(&["BLPOP", "queue", "0"]));
    eventually("BLPOP to block", || {
        redis.direct().text(&["INFO", "clients"]).contains("blocked_clients:1").then_some(())
    });
    gate.signal(Signal::TERM);
    wait_until_closed(&gate);
    assert_eq!(redis.direct().text(&["RPUSH", "queue", "job"]), ":1");
    assert_eq!(client.reply_text(), "*2\r\n$5\r\nqueue\r\n$3\r\njob");
    client.expect_closed();
    assert_eq!(gate.exit_status().code(), Some(0));
}

#[test]
fn a_second_sigterm_ends_at_once() {
    let (redis, mut gate) = start();
    let mut client = gate.connect("alice");
    assert_eq!(client.text(&["PING"]), "+PONG");
    redis.pause();
    client.send(&request(&["PING"]));
    wait_until_received(&mut client);
    gate.signal(Signal::TERM);
    wait_until_closed(&gate);
    gate.signal(Signal::TERM);
    gate.exit_status();
    assert_eq!(client.read_to_end().0, b"");
}

#[test]
fn at_the_deadline_of_a_drain_a_session_that_still_waits_has_its_last_line_and_a_tls_end() {
    let redis = RedisServer::start();
    let setup = Respgate::setup(&upstream_of(&redis)).acl(ACL).setting("shutdown-timeout = \"1s\"");
    let mut gate = setup.start();
    let mut client = gate.connect("alice");
    client.send(&request(&["BLPOP", "queue", "0"]));
    eventually("BLPOP to block", || {
        redis.direct().text(&["INFO", "clients"]).contains("blocked_clients:1").then_some(())
    });
    gate.signal(Signal::TERM);
    let (rest, end) = client.read_to_end();
    assert_eq!(rest, b"");
    end.expect("close_notify comes before the end");
    assert_eq!(gate.exit_status().code(), Some(0));
    gate.wait_for_log(&["close", "drained", "alice"]);
}

#[test]
fn sigterm_does_not_wait_for_a_stuck_redis_to_forget_the_mirrors() {
    let redis = RedisServer::start();
    let mut gate = Respgate::setup(&upstream_of(&redis))
        .acl("user alice on +@all ~a:*\n")
        .setting("shutdown-timeout = \"1s\"")
        .setting("upstream-connect-timeout = \"10m\"")
        .table("[block]\ncommands = [\"FLUSHALL\"]\n")
        .expect_log("left at the upstream")
        .start()
        .settled();
    assert_eq!(gate.connect("alice").text(&["EVAL", "return 1", "0"]), ":1");
    redis.pause();
    gate.signal(Signal::TERM);
    assert_eq!(gate.exit_status().code(), Some(0));
    gate.wait_for_log(&["users that scripts ran as are left at the upstream"]);
}

fn start() -> (RedisServer, Respgate) {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis)).acl(ACL).start();
    (redis, gate)
}

/// Gives what was sent the time to get there. Nothing shows from outside that a request has arrived.
fn wait_until_received(client: &mut RespClient) {
    assert_eq!(client.read_until_quiet(), b"");
}

fn wait_until_closed(gate: &Respgate) {
    eventually("new connections to be refused", || TcpStream::connect(gate.address()).is_err().then_some(()));
}

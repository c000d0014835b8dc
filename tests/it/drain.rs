//! SIGTERM: owed replies go out, idle sessions end, the process ends with 0.

use std::net::{TcpListener, TcpStream};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{
    RedisServer, RespClient, Respgate, client_config, eventually, request, respgate_binary, upstream_of,
};

const ACL: &str = "user alice on +@all ~* &*\n";

/// No test waits so long for anything.
const PATIENT: &str = "shutdown-timeout = \"10m\"";

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
fn a_client_that_has_long_been_idle_at_sigterm_has_a_tls_end() {
    let (_redis, mut gate) = start();
    let mut client = gate.connect("alice");
    assert_eq!(client.text(&["PING"]), "+PONG");
    // Longer than a client is waited for that was told something last.
    std::thread::sleep(std::time::Duration::from_millis(400));
    gate.signal(Signal::TERM);
    assert_eq!(gate.exit_status().code(), Some(0));
    let (rest, end) = client.read_to_end();
    assert_eq!(rest, b"");
    end.expect("close_notify comes before the end");
}

#[test]
fn sigterm_without_sessions_ends_with_0() {
    let (_redis, mut gate) = start();
    gate.signal(Signal::TERM);
    assert_eq!(gate.exit_status().code(), Some(0));
}

#[test]
fn from_when_it_is_bound_on_no_signal_kills_it_and_sigterm_ends_it_with_0() {
    // It takes connections and never answers, so the start goes on for seconds.
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let setup =
        Respgate::setup(&upstream.local_addr().unwrap().to_string()).acl(ACL).setting("require-upstream = true");
    let config = setup.write_config();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut gate = respgate_binary();
    gate.arg("run").arg("--config").arg(config).args(["--listen", &free.to_string()]);
    let mut gate = gate.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("it to be bound", || TcpStream::connect(free).ok());
    for signal in [Signal::HUP, Signal::USR1, Signal::TERM] {
        kill_process(Pid::from_child(&gate), signal).unwrap();
    }
    assert_eq!(gate.wait().unwrap().code(), Some(0));
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
fn blocked_clients_are_answered_nil_at_sigterm_and_nothing_is_popped_for_them() {
    let (redis, mut gate) = start();
    let mut commands = vec![&["BLPOP", "queue", "0"][..]; 20];
    commands.push(&["XREAD", "BLOCK", "0", "STREAMS", "stream", "$"]);
    commands.push(&["BZPOPMIN", "scores", "0"]);
    let mut clients: Vec<RespClient> = commands.iter().map(|command| blocked(&gate, command)).collect();
    let mut newer = gate.connect("alice");
    newer.call(&["HELLO", "3"]);
    newer.send(&request(&["BLMOVE", "queue", "other", "LEFT", "LEFT", "0"]));
    let mut waiting = blocked(&gate, &["WAIT", "1", "0"]);
    wait_until_blocked(&redis, clients.len() + 2);
    gate.signal(Signal::TERM);
    for client in &mut clients {
        assert_eq!(client.reply_text(), "*-1");
        client.expect_closed();
    }
    assert_eq!(newer.reply_text(), "_");
    newer.expect_closed();
    assert_eq!(waiting.reply_text(), ":0");
    waiting.expect_closed();
    assert_eq!(redis.direct().text(&["RPUSH", "queue", "job"]), ":1");
    assert_eq!(gate.exit_status().code(), Some(0));
    assert_eq!(redis.direct().text(&["LLEN", "queue"]), ":1");
}

#[test]
fn a_blocking_command_that_redis_comes_to_after_sigterm_is_answered_nil() {
    let (redis, mut gate) = start();
    let mut client = gate.connect("alice");
    assert_eq!(client.text(&["SET", "a", "1"]), "+OK");
    redis.pause();
    client.send(&[request(&["GET", "a"]), request(&["BLPOP", "queue", "0"])].concat());
    wait_until_received(&mut client);
    gate.signal(Signal::TERM);
    wait_until_closed(&gate);
    redis.resume();
    assert_eq!(client.reply_text(), "$1\r\n1");
    assert_eq!(client.reply_text(), "*-1");
    client.expect_closed();
    assert_eq!(gate.exit_status().code(), Some(0));
}

#[test]
fn the_rights_that_are_said_to_be_needed_for_it_are_enough() {
    let rights = "+info +command +client|id +client|unblock +pfcount %R~respgate:* +blpop ~queue";
    let users = format!("--user default on nopass ~* &* +@all --user gate on >secret {rights}");
    let users: Vec<&str> = users.split(' ').collect();
    let redis = RedisServer::start_with(&users);
    let login = "[upstream-auth]\nuser = \"gate\"\npassword = \"secret\"\n";
    let mut gate = Respgate::setup(&upstream_of(&redis)).acl(ACL).setting(PATIENT).table(login).start();
    let mut client = blocked(&gate, &["BLPOP", "queue", "0"]);
    wait_until_blocked(&redis, 1);
    gate.signal(Signal::TERM);
    assert_eq!(client.reply_text(), "*-1");
    client.expect_closed();
    assert_eq!(gate.exit_status().code(), Some(0));
}

#[test]
fn where_redis_may_not_be_asked_blocked_clients_are_closed_at_sigterm() {
    for lacking in ["-client|unblock", "-client|id", "-pfcount"] {
        let redis = RedisServer::start_with(&["--user", "default", "on", "nopass", "~*", "&*", "+@all", lacking]);
        let setup = Respgate::setup(&upstream_of(&redis)).acl(ACL).setting(PATIENT).expect_log("without an answer");
        let mut gate = setup.start();
        let mut client = blocked(&gate, &["BLPOP", "queue", "0"]);
        wait_until_blocked(&redis, 1);
        gate.signal(Signal::TERM);
        assert_eq!(client.read_to_end().0, b"", "{lacking}");
        assert_eq!(gate.exit_status().code(), Some(0));
        eventually("Redis to forget the client", || {
            redis.direct().text(&["INFO", "clients"]).contains("blocked_clients:0").then_some(())
        });
        assert_eq!(redis.direct().text(&["RPUSH", "queue", "job"]), ":1");
        assert_eq!(redis.direct().text(&["LLEN", "queue"]), ":1", "{lacking}");
    }
}

/// Where CLIENT UNBLOCK meets a command that a pause has postponed, Redis 7.0 crashes.
#[test]
fn a_redis_that_is_paused_for_writing_outlives_the_end_of_blocked_clients() {
    let redis = RedisServer::start();
    let mut gate = Respgate::setup(&upstream_of(&redis))
        .acl(ACL)
        .setting(PATIENT)
        .setting("upstream-connect-timeout = \"1s\"")
        .expect_log("without an answer")
        .start();
    assert_eq!(redis.direct().text(&["CLIENT", "PAUSE", "100000", "WRITE"]), "+OK");
    let mut client = blocked(&gate, &["BLPOP", "queue", "0"]);
    eventually("BLPOP to be postponed", || {
        redis.direct().text(&["CLIENT", "LIST"]).contains(" cmd=blpop ").then_some(())
    });
    gate.signal(Signal::TERM);
    assert_eq!(client.read_to_end().0, b"");
    assert_eq!(gate.exit_status().code(), Some(0));
    assert_eq!(redis.direct().text(&["CLIENT", "UNPAUSE"]), "+OK");
    assert_eq!(redis.calls("client|unblock"), 0);
}

#[test]
fn blocked_clients_are_answered_nil_once_a_pause_of_redis_has_ended() {
    let (redis, mut gate) = start();
    assert_eq!(redis.direct().text(&["CLIENT", "PAUSE", "100000", "WRITE"]), "+OK");
    let mut client = blocked(&gate, &["BLPOP", "queue", "0"]);
    eventually("BLPOP to be postponed", || {
        redis.direct().text(&["CLIENT", "LIST"]).contains(" cmd=blpop ").then_some(())
    });
    gate.signal(Signal::TERM);
    eventually("the proxy to ask whether it is paused", || {
        redis.direct().text(&["CLIENT", "LIST"]).contains(" cmd=pfcount ").then_some(())
    });
    assert_eq!(redis.direct().text(&["CLIENT", "UNPAUSE"]), "+OK");
    assert_eq!(client.reply_text(), "*-1");
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
    assert_eq!(client.text(&["PING"]), "+PONG");
    redis.pause();
    client.send(&request(&["PING"]));
    wait_until_received(&mut client);
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

#[test]
fn a_handshake_that_has_begun_at_sigterm_ends_and_the_first_request_is_answered() {
    let redis = RedisServer::start();
    let setup = Respgate::setup(&upstream_of(&redis)).acl(ACL).setting("handshake-timeout = \"10m\"").setting(PATIENT);
    let mut gate = setup.start();
    let config = client_config(&gate.pki().ca_cert(), Some(&gate.pki().client("alice")));
    let mut client = RespClient::half_way(gate.address(), &config);
    gate.signal(Signal::TERM);
    wait_until_closed(&gate);
    assert_eq!(client.text(&["PING"]), "+PONG");
    client.expect_closed();
    assert_eq!(gate.exit_status().code(), Some(0));
}

#[test]
fn subscribers_end_after_everybody_else() {
    let (redis, mut gate) = start();
    let (mut subscriber, mut other) = (gate.connect("alice"), gate.connect("alice"));
    subscriber.call(&["SUBSCRIBE", "news"]);
    assert_eq!(other.text(&["MULTI"]), "+OK");
    gate.signal(Signal::TERM);
    wait_until_closed(&gate);
    assert_eq!(redis.direct().text(&["PUBLISH", "news", "first"]), ":1");
    assert!(subscriber.reply_text().contains("first"));
    assert_eq!(other.text(&["DISCARD"]), "+OK");
    other.expect_closed();
    subscriber.expect_closed();
    assert_eq!(gate.exit_status().code(), Some(0));
}

#[test]
fn newcomers_are_let_in_until_the_delay_of_the_end_is_over_and_a_second_sigterm_ends_it() {
    let redis = RedisServer::start();
    let setup = Respgate::setup(&upstream_of(&redis)).acl(ACL).setting("shutdown-delay = \"10m\"");
    let mut gate = setup.start();
    gate.signal(Signal::TERM);
    eventually("the end to have begun", || {
        String::from_utf8_lossy(&gate.health().stdout).contains("draining").then_some(())
    });
    assert_eq!(gate.connect("alice").text(&["PING"]), "+PONG");
    gate.signal(Signal::TERM);
    assert_eq!(gate.exit_status().code(), Some(0));
}

fn start() -> (RedisServer, Respgate) {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis)).acl(ACL).setting(PATIENT).start();
    (redis, gate)
}

/// A client that has asked for something that may take for ever.
fn blocked(gate: &Respgate, command: &[&str]) -> RespClient {
    let mut client = gate.connect("alice");
    client.send(&request(command));
    client
}

fn wait_until_blocked(redis: &RedisServer, clients: usize) {
    let words = format!("blocked_clients:{clients}\r\n");
    eventually("clients to be blocked", || redis.direct().text(&["INFO", "clients"]).contains(&words).then_some(()));
}

/// Gives what was sent the time to get there. Nothing shows from outside that a request has arrived.
fn wait_until_received(client: &mut RespClient) {
    assert_eq!(client.read_until_quiet(), b"");
}

fn wait_until_closed(gate: &Respgate) {
    eventually("new connections to be refused", || TcpStream::connect(gate.address()).is_err().then_some(()));
}

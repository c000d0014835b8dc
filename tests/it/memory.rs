//! What one client holds, and what becomes of the others.

use std::fs;

use rcgen::CustomExtension;

use crate::support::{RedisServer, RespClient, Respgate, Setup, request, upstream_of};

const ACL: &str = "user alice on +@all ~* &*\nuser bob on +ping ~* &*\n";

/// A request of a million bytes that never ends and has to be held: its arguments are too small to be passed on.
fn unfinished() -> Vec<u8> {
    let argument = [&b"$50000\r\n"[..], &[b'p'; 50_000], b"\r\n"].concat();
    [&b"*100\r\n$4\r\nPING\r\n"[..], &argument.repeat(20)].concat()
}

fn hold(gate: &Respgate, user: &str) -> RespClient {
    let mut client = gate.connect(user);
    // It may be cut before it has sent it all.
    let _ = client.try_send(&unfinished());
    client
}

#[test]
fn over_the_budget_the_user_that_holds_most_is_cut_and_all_others_go_on() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl(ACL)
        .setting("memory-budget = \"16mb\"")
        .setting("request-buffer = \"8mb\"")
        .setting("hold-buffer = \"8mb\"")
        .setting("threads = 2")
        .start();
    let mut early = gate.connect("alice");
    assert_eq!(early.text(&["PING"]), "+PONG");
    // 1 MB takes a buffer of 1 MiB at least, and 2 MiB at most.
    let holders: Vec<_> = (0..40).map(|_| hold(&gate, "bob")).collect();
    gate.wait_for_log(&["\"close\"", "bob", "memory-budget"]);
    let large = "v".repeat(300_000);
    for round in 0..10 {
        let mut newcomer = gate.connect("alice");
        assert_eq!(newcomer.text(&["MSET", "a", &large, "b", &large]), "+OK", "round {round}");
        newcomer.send(&request(&["SET", "k", &large]).repeat(20));
        assert_eq!((0..20).map(|_| newcomer.reply()).filter(|reply| reply == b"+OK\r\n").count(), 20);
        assert_eq!(early.text(&["STRLEN", "a"]), ":300000", "round {round}");
    }
    drop(holders);
    let log = gate.log_text();
    let cut: Vec<_> = log.lines().filter(|line| line.contains("memory-budget") && line.contains("\"close\"")).collect();
    assert!(cut.iter().all(|line| line.contains("bob")), "{cut:?}");
}

#[test]
fn certificates_that_a_client_shows_beside_its_own_count_to_its_user() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl(ACL)
        .setting("memory-budget = \"4mb\"")
        .setting("request-buffer = \"4mb\"")
        .setting("hold-buffer = \"4mb\"")
        .start();
    let mut alice = gate.connect("alice");
    let bob = gate.pki().client("bob");
    let padding = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![0; 50_000]);
    let other = gate.pki().odd_client("other", "other", |params| params.custom_extensions.push(padding));
    let shown = [&bob.cert, &other.cert].map(|file| fs::read_to_string(file).unwrap()).concat();
    fs::write(&bob.cert, shown).unwrap();
    let show = || {
        let mut session = RespClient::tls(gate.address(), &gate.pki().ca_cert(), Some(&bob));
        // It may be cut before it is answered.
        let _ = session.try_send(&request(&["PING"])).is_ok() && session.try_reply().is_ok();
        session
    };
    let sessions: Vec<_> = (0..60).map(|_| show()).collect();
    gate.wait_for_log(&["\"close\"", "bob", "memory-budget"]);
    assert_eq!(alice.text(&["PING"]), "+PONG");
    drop(sessions);
}

#[test]
fn an_unfinished_request_that_does_not_come_on_ends_its_session_held_or_streamed() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis)).acl(ACL).setting("request-timeout = \"1s\"").start();
    let mut idle = gate.connect("alice");
    assert_eq!(idle.text(&["PING"]), "+PONG");
    let beginnings = [
        &b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000\r\nvalue"[..],
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nvalue",
        b"PIN",
    ];
    let mut clients = beginnings.map(|beginning| {
        let mut client = gate.connect("alice");
        client.send(beginning);
        client
    });
    for client in &mut clients {
        assert_eq!(client.read_to_end().0, b"");
    }
    gate.wait_for_log(&["\"close\"", "alice", "request-timeout"]);
    assert_eq!(idle.text(&["EXISTS", "k"]), ":0");
}

#[test]
fn the_log_says_what_the_budget_is_a_quarter_of_unless_it_is_written() {
    let redis = RedisServer::start();
    let start = |setup: Setup| setup.acl(ACL).start().wait_for_log(&["\"capacity\"", "\"memory_budget\":"]);
    let followed = start(Respgate::setup(&upstream_of(&redis)));
    assert!(followed.contains("\"source\":\"/") && followed.contains("\"memory\":"), "{followed}");
    let written = start(Respgate::setup(&upstream_of(&redis)).setting("memory-budget = \"64mb\""));
    assert!(written.contains("\"memory_budget\":67108864") && !written.contains("source"), "{written}");
}

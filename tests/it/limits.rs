//! What a peer may take, and how long: over it there is a text, where the protocol has one, and an end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::{RedisServer, Respgate, Setup, eventually, request, upstream_of};

const ACL: &str = "user alice on +@all ~* &*\n";
/// A record of TLS with a ClientHello that says nothing.
const EMPTY_HELLO: &[u8] = &[0x16, 3, 1, 0, 4, 1, 0, 0, 0];

#[test]
fn one_client_too_many_is_told_so_over_tls_and_the_next_is_served_when_a_place_is_free() {
    let (_redis, gate) = start(|setup| setup.setting("maxclients = 2"));
    let mut first = gate.connect("alice");
    let mut second = gate.connect("alice");
    assert_eq!((first.text(&["PING"]), second.text(&["PING"])), ("+PONG".to_owned(), "+PONG".to_owned()));
    let mut third = gate.connect("alice");
    let (text, end) = third.read_to_end();
    assert_eq!(String::from_utf8_lossy(&text), "-ERR max number of clients reached\r\n");
    assert!(end.is_ok(), "{end:?}");
    gate.wait_for_log(&["INFO", "\"connection\"", "refused", "CN=alice", "\"maxclients\""]);
    drop(first);
    eventually("a place to be free", || {
        let mut client = gate.connect("alice");
        client.try_send(&request(&["PING"])).ok()?;
        (client.try_reply().ok()? == b"+PONG\r\n").then_some(())
    });
}

#[test]
fn one_address_may_not_take_more_than_its_share() {
    let (_redis, gate) = start(|setup| setup.setting("max-connections-per-address = 1"));
    let mut first = gate.connect("alice");
    assert_eq!(first.text(&["PING"]), "+PONG");
    let (text, _end) = gate.connect("alice").read_to_end();
    assert_eq!(String::from_utf8_lossy(&text), "-ERR max number of clients reached\r\n");
    gate.wait_for_log(&["INFO", "\"connection\"", "refused", "CN=alice", "\"max-connections-per-address\""]);
}

#[test]
fn a_handshake_that_does_not_come_is_closed_at_its_deadline() {
    let (_redis, gate) = start(|setup| setup.setting("handshake-timeout = \"200ms\"").expect_log("handshake"));
    let mut silent = TcpStream::connect(gate.address()).unwrap();
    silent.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    let mut rest = Vec::new();
    let end = silent.read_to_end(&mut rest);
    assert!(end.is_ok() || end.is_err_and(|end| end.kind() == std::io::ErrorKind::ConnectionReset));
    assert_eq!(gate.connect("alice").text(&["PING"]), "+PONG");
}

#[test]
fn a_client_that_does_not_log_in_is_told_and_closed_at_the_deadline() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl_file("user bob on >correct-horse +@all ~*\n")
        .setting("auth-timeout = \"200ms\"")
        .start();
    let mut client = gate.connect("stranger");
    assert_eq!(client.reply_text(), "-ERR respgate: authentication timed out");
    client.expect_closed();
    gate.wait_for_log(&["authentication-timeout"]);
}

#[test]
fn an_idle_client_is_closed_and_a_blocked_or_subscribed_one_is_not() {
    let (_redis, gate) = start(|setup| setup.setting("timeout = \"1s\""));
    let mut subscriber = gate.connect("alice");
    subscriber.send(&request(&["SUBSCRIBE", "news"]));
    subscriber.reply();
    let mut blocked = gate.connect("alice");
    blocked.send(&request(&["BLPOP", "nothing", "3"]));
    let mut idle = gate.connect("alice");
    assert_eq!(idle.text(&["PING"]), "+PONG");
    idle.expect_closed();
    assert_eq!(blocked.reply_text(), "*-1");
    assert_eq!(gate.connect("alice").text(&["PUBLISH", "news", "still"]), ":1");
    assert!(String::from_utf8_lossy(&subscriber.reply()).contains("still"));
}

#[test]
fn the_text_of_a_protocol_error_arrives_though_much_unread_follows() {
    let (_redis, gate) = start(|setup| setup);
    let mut client = gate.connect("alice");
    let mut bytes = request(&["SET", "a", "1"]);
    bytes.extend_from_slice(b"*1\r\n$+4\r\nPING\r\n");
    bytes.extend_from_slice(&request(&["SET", "a", "2"]).repeat(1000));
    client.send(&bytes);
    let (text, end) = client.read_to_end();
    assert_eq!(String::from_utf8_lossy(&text), "+OK\r\n-ERR Protocol error: invalid bulk length\r\n");
    assert!(end.is_ok(), "an orderly end, no reset: {end:?}");
}

#[test]
fn a_client_is_told_why_it_may_not_enter_while_many_strangers_do_not_hang_up() {
    let (_redis, gate) = start(|setup| {
        setup.setting("threads = 1").setting("maxclients = 5000").expect_log("handshake").expect_log("refused")
    });
    let refused: Vec<_> = (0..300).map(|_| stranger(&gate, EMPTY_HELLO)).collect();
    for mut stranger in &refused {
        assert!(stranger.read(&mut [0; 64]).unwrap() > 0, "an alert");
    }
    let (text, end) = gate.connect("nobody").read_to_end();
    assert_eq!(String::from_utf8_lossy(&text), "-ERR respgate: this certificate may not enter\r\n");
    assert!(end.is_ok(), "an orderly end, no reset: {end:?}");
}

#[test]
fn garbage_before_tls_hurts_nobody() {
    let (_redis, gate) = start(|setup| setup.expect_log("handshake"));
    for garbage in
        [&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], b"*1\r\n$4\r\nPING\r\n", &[0; 4096], &[0x16, 3, 1, 255, 255]]
    {
        let mut stranger = stranger(&gate, garbage);
        stranger.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let _ = stranger.read(&mut [0; 1024]);
    }
    assert_eq!(gate.connect("alice").text(&["PING"]), "+PONG");
}

fn stranger(gate: &Respgate, greeting: &[u8]) -> TcpStream {
    let mut stranger = TcpStream::connect(gate.address()).unwrap();
    stranger.write_all(greeting).unwrap();
    stranger
}

fn start(adjust: impl FnOnce(Setup) -> Setup) -> (RedisServer, Respgate) {
    let redis = RedisServer::start();
    let gate = adjust(Respgate::setup(&upstream_of(&redis)).acl(ACL)).start();
    (redis, gate)
}

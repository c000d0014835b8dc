//! The PROXY protocol: believed from balancers, before TLS, and from nobody else.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::{PATIENCE, RedisServer, RespClient, Respgate, Setup, client_config, upstream_of};

const FROM_LOOPBACK: &str = "proxy-protocol-from = \"127.0.0.0/8\"";
const V1: &[u8] = b"PROXY TCP4 192.0.2.7 127.0.0.1 40000 6380\r\n";

#[test]
fn the_announced_address_is_the_clients_in_both_versions() {
    let redis = RedisServer::start();
    let gate = setup(&redis).setting(FROM_LOOPBACK).start();
    let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    v2.extend([198, 51, 100, 8, 127, 0, 0, 1, 0x9c, 0x40, 0x18, 0xec]);
    for (header, address) in [(V1, "192.0.2.7:40000"), (&v2[..], "198.51.100.8:40000")] {
        assert_eq!(behind(&gate, header).text(&["PING"]), "+PONG");
        gate.wait_for_log(&["\"connection\"", "accepted", address]);
    }
}

#[test]
fn a_balancer_that_says_nothing_or_nonsense_is_refused() {
    let redis = RedisServer::start();
    for (start, reason) in [
        (&b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03aaaaa"[..], "no PROXY protocol header came"),
        (b"PROXY TCP4 nobody\r\n", "header is damaged"),
        (b"PROXY TCP", "took too long"),
    ] {
        let gate = setup(&redis).setting(FROM_LOOPBACK).setting("handshake-timeout = \"1s\"").start();
        let mut socket = TcpStream::connect(gate.address()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(start).unwrap();
        assert!(matches!(socket.read(&mut [0; 64]), Ok(0) | Err(_)));
        gate.wait_for_log(&["proxy-header", reason]);
    }
}

#[test]
fn nobody_else_can_say_where_he_comes_from() {
    let redis = RedisServer::start();
    let gate = setup(&redis).setting("proxy-protocol-from = \"198.51.100.0/24\"").start();
    let mut socket = TcpStream::connect(gate.address()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(V1).unwrap();
    assert!(matches!(socket.read(&mut [0; 64]), Ok(0) | Err(_)));
    gate.wait_for_log(&["\"handshake\"", "plaintext", "PROXY"]);
    assert_eq!(gate.connect("alice").text(&["PING"]), "+PONG");
}

#[test]
fn allow_and_allow_from_judge_the_announced_address() {
    let redis = RedisServer::start();
    let gate = setup(&redis)
        .setting(FROM_LOOPBACK)
        .setting("deny = \"192.0.2.9\"")
        .table("[user.alice]\nallow-from = [\"192.0.2.0/28\"]")
        .start();
    assert_eq!(behind(&gate, V1).text(&["PING"]), "+PONG");
    let refused = |header: &[u8]| {
        let mut client = behind(&gate, header);
        match client.try_send(&crate::support::request(&["PING"])).and_then(|()| client.try_reply()) {
            Ok(reply) => reply.starts_with(b"-ERR"),
            Err(_) => true,
        }
    };
    assert!(refused(b"PROXY TCP4 192.0.2.9 127.0.0.1 1 2\r\n"), "denied by the listener");
    assert!(refused(b"PROXY TCP4 203.0.113.1 127.0.0.1 1 2\r\n"), "not where alice may come from");
    assert!(refused(b"PROXY UNKNOWN\r\n"), "the balancer's own address is none of hers");
}

fn setup(redis: &RedisServer) -> Setup {
    Respgate::setup(&upstream_of(redis)).acl("user alice on +@all ~*\n")
}

/// A TLS connection that a balancer passes on.
fn behind(gate: &Respgate, header: &[u8]) -> RespClient {
    let mut socket = TcpStream::connect(gate.address()).unwrap();
    socket.write_all(header).unwrap();
    let config = client_config(&gate.pki().ca_cert(), Some(&gate.pki().client("alice")));
    RespClient::tls_over(socket, &config)
}

//! A client's address is one and the same in rules, counts and logs, whichever form a socket or a balancer shows it in.

use std::io::Write;
use std::net::{TcpListener, TcpStream};

use crate::support::{RedisServer, RespClient, Respgate, Setup, client_config, request, upstream_of};

const PONG: &str = "+PONG";

#[test]
fn rules_in_either_form_mean_the_client_that_a_dual_stack_listener_shows_as_ipv6() {
    let redis = RedisServer::start();
    for (rule, is_let_in) in [
        ("", true),
        ("deny = \"127.0.0.0/8\"", false),
        ("deny = \"::ffff:127.0.0.1\"", false),
        ("deny = \"::ffff:127.0.0.0/104\"", false),
        ("deny = \"::ffff:0:0/96\"", false),
        ("deny = [\"::1\", \"10.0.0.0/8\"]", true),
        ("allow = \"127.0.0.0/8\"", true),
        ("allow = \"::ffff:127.0.0.1\"", true),
        ("allow = \"::ffff:10.0.0.0/104\"", false),
        ("[user.alice]\nallow-from = \"::ffff:127.0.0.1\"", true),
        ("[user.alice]\nallow-from = \"127.0.0.1\"", true),
        ("[user.alice]\nallow-from = \"::ffff:10.0.0.0/104\"", false),
    ] {
        let Some(setup) = dual_stack(&redis) else { return };
        let gate = if rule.starts_with('[') { setup.table(rule) } else { setup.setting(rule) }.start();
        assert_eq!(answer(&gate, b"") == PONG, is_let_in, "{rule}");
        assert!(!gate.log_text().contains("::ffff:"), "{rule}: {}", gate.log_text());
    }
}

#[test]
fn whoever_may_not_connect_from_its_address_is_in_the_log_with_the_reason() {
    let redis = RedisServer::start();
    for (rule, reason) in [("deny = \"127.0.0.1\"", "\"denied\""), ("allow = \"10.0.0.0/8\"", "\"not-allowed\"")] {
        let gate = setup(&redis).setting(rule).start();
        assert_ne!(answer(&gate, b""), PONG);
        gate.wait_for_log(&["INFO", "\"connection\"", "refused", "\"127.0.0.1:", reason]);
        let gate = setup(&redis).setting(rule).setting("proxy-protocol-from = \"127.0.0.1\"").start();
        let announced = if rule.starts_with("deny") { "127.0.0.1" } else { "192.0.2.1" };
        assert_ne!(answer(&gate, format!("PROXY TCP4 {announced} 127.0.0.1 4444 6380\r\n").as_bytes()), PONG);
        let client = format!("\"client\":\"{announced}:4444\"");
        gate.wait_for_log(&["INFO", "\"connection\"", "refused", &client, "\"balancer\":\"127.0.0.1:", reason]);
    }
}

#[test]
fn a_balancer_may_be_named_and_may_announce_in_either_form() {
    let redis = RedisServer::start();
    for balancer in ["::ffff:127.0.0.1", "127.0.0.1"] {
        let Some(setup) = dual_stack(&redis) else { return };
        let gate = setup
            .setting(&format!("proxy-protocol-from = {balancer:?}"))
            .setting("deny = \"10.0.0.0/8\"")
            .table("[user.alice]\nallow-from = \"192.0.2.0/24\"")
            .start();
        for (client, is_let_in) in [("192.0.2.7", true), ("10.9.8.7", false), ("203.0.113.1", false)] {
            let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24".to_vec();
            let octets: std::net::Ipv4Addr = client.parse().unwrap();
            v2.extend(octets.to_ipv6_mapped().octets());
            v2.extend(octets.to_ipv6_mapped().octets());
            v2.extend([0x11, 0x5c, 0x18, 0xec]);
            for header in [
                format!("PROXY TCP4 {client} 10.0.0.1 4444 6380\r\n").into_bytes(),
                format!("PROXY TCP6 ::ffff:{client} ::1 4444 6380\r\n").into_bytes(),
                v2,
            ] {
                let shown = String::from_utf8_lossy(&header).into_owned();
                assert_eq!(answer(&gate, &header) == PONG, is_let_in, "{balancer} {shown}");
            }
            gate.wait_for_log(&["\"connection\"", &format!("\"client\":\"{client}:4444\"")]);
        }
        assert!(!gate.log_text().contains("::ffff:"), "{}", gate.log_text());
    }
}

#[test]
fn connections_and_guesses_of_an_address_are_counted_together_in_either_form() {
    const WRONGPASS: &str = "-WRONGPASS invalid username-password pair or user is disabled.";
    let redis = RedisServer::start();
    let forms = ["PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n", "PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n"];
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl_file("user bob on >correct-horse +@all ~*\n")
        .expect_log("a fast hash")
        .setting("proxy-protocol-from = \"127.0.0.1\"")
        .setting("max-connections-per-address = 2")
        .start();
    let [mut first, mut second] = forms.map(|form| behind(&gate, form.as_bytes()));
    for number in 0..5 {
        let client = if number % 2 == 0 { &mut first } else { &mut second };
        assert_eq!(client.text(&["AUTH", "bob", &format!("guess {number}")]), WRONGPASS);
    }
    let throttled = "-ERR respgate: too many failed logins, try again later";
    assert_eq!(second.text(&["AUTH", "bob", "correct-horse"]), throttled);
    second.expect_closed();
    let _second = behind(&gate, forms[1].as_bytes());
    let mut third = behind(&gate, forms[0].as_bytes());
    let told = third.try_send(&request(&["PING"])).and_then(|()| third.try_reply());
    assert!(told.is_ok_and(|told| told.starts_with(b"-ERR max number of clients reached")));
}

#[test]
fn acl_log_shows_the_address_in_the_form_of_the_rules() {
    let redis = RedisServer::start();
    let Some(setup) = dual_stack(&redis) else { return };
    let gate = setup.start();
    let mut client = gate.connect("alice");
    assert!(client.text(&["FLUSHALL"]).starts_with("-NOPERM"));
    let log = client.text(&["ACL", "LOG"]);
    assert!(log.contains(" addr=127.0.0.1:") && !log.contains("::ffff:"), "{log}");
}

// --- helpers

fn setup(redis: &RedisServer) -> Setup {
    Respgate::setup(&upstream_of(redis)).acl("user alice on +@all ~*\n")
}

/// `None` where the system has no IPv6.
fn dual_stack(redis: &RedisServer) -> Option<Setup> {
    if let Err(error) = TcpListener::bind("[::]:0") {
        eprintln!("SKIPPED: no IPv6 here: {error}");
        return None;
    }
    Some(setup(redis).dual_stack())
}

/// What PING of alice is answered on a connection that begins with this header, empty if nothing comes.
fn answer(gate: &Respgate, header: &[u8]) -> String {
    let mut client = behind(gate, header);
    let reply = client.try_send(&request(&["PING"])).and_then(|()| client.try_reply());
    String::from_utf8(reply.unwrap_or_default()).unwrap().trim_end().to_owned()
}

fn behind(gate: &Respgate, header: &[u8]) -> RespClient {
    let mut socket = TcpStream::connect(gate.address()).unwrap();
    // Whoever may not connect is closed at once.
    let _ = socket.write_all(header);
    RespClient::tls_over(socket, &client_config(&gate.pki().ca_cert(), Some(&gate.pki().client("alice"))))
}

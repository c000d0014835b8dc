//! Redis slow, lost, or speaking nonsense.

use super::rig::{CLOSED, OPEN, Rig, request};
use crate::session::CloseReason;
use crate::session::{LoginOutcome, UpstreamFailure};

#[test]
fn what_is_no_reply_to_anything_ends_the_session() {
    for nonsense in ["+OK\r\n", "$1\r\nv\r\n", "*1\r\n:1\r\n", "*3\r\n$7\r\nunknown\r\n$1\r\na\r\n$1\r\nb\r\n"] {
        let mut rig = Rig::new(OPEN);
        rig.say("GET a");
        rig.redis("$1\r\nv\r\n");
        rig.redis(nonsense);
        assert_eq!(rig.closed, Some(CloseReason::UpstreamDesynchronised), "{nonsense}");
    }
}

#[test]
fn what_is_no_frame_ends_the_session() {
    for nonsense in ["HTTP/1.1 400 Bad Request\r\n", "$x\r\n", "$3\r\nabcde", "*-2\r\n", ":\r\n", "\0\0\0\0", "+OK\n"] {
        let mut rig = Rig::new(OPEN);
        rig.say("GET a");
        rig.redis(nonsense);
        assert_eq!(rig.closed, Some(CloseReason::UpstreamDesynchronised), "{nonsense}");
    }
}

#[test]
fn something_else_in_place_of_a_confirmation_ends_the_session() {
    for nonsense in ["+OK\r\n", "*0\r\n", ":1\r\n"] {
        let mut rig = Rig::new(OPEN);
        rig.say("SUBSCRIBE a");
        rig.redis(nonsense);
        assert_eq!(rig.closed, Some(CloseReason::UpstreamDesynchronised), "{nonsense}");
    }
}

#[test]
fn an_error_that_answers_nothing_is_told_and_ends_the_session() {
    let mut rig = Rig::new(OPEN);
    rig.say("PING");
    rig.redis("+PONG\r\n-ERR some limit of Redis's own\r\n");
    assert_eq!(rig.heard(), "+PONG\r\n-ERR some limit of Redis's own\r\n");
    assert_eq!(rig.closed, Some(CloseReason::UpstreamRefused));
}

#[test]
fn a_redis_that_is_full_is_a_closed_connection_to_the_client() {
    let full = "-ERR max number of clients reached\r\n";
    for cut in 0..full.len() {
        let mut rig = Rig::new(OPEN);
        rig.client(&[request("GET a"), request("GET b")].concat());
        rig.redis(&full[..cut]);
        rig.redis(&full[cut..]);
        assert_eq!((rig.heard().as_str(), rig.closed), ("", Some(CloseReason::UpstreamFull)));
    }
    let mut rig = Rig::new(OPEN);
    rig.connects = false;
    rig.say("GET a");
    rig.connected(Err(UpstreamFailure::Full));
    assert_eq!((rig.heard().as_str(), rig.closed), ("", Some(CloseReason::UpstreamFull)));
}

#[test]
fn words_that_begin_like_those_of_a_full_redis_are_a_reply() {
    let mut rig = Rig::new(OPEN);
    rig.say("GET a");
    rig.redis("-ERR m");
    rig.redis("istake\r\n");
    assert_eq!(rig.heard(), "-ERR mistake\r\n");
    rig.say("GET a");
    rig.redis("-ERR max number of clients reached\r\n");
    assert_eq!(rig.heard(), "-ERR max number of clients reached\r\n", "it has let us in before");
}

#[test]
fn no_reply_is_invented_for_a_request_whose_fate_is_unknown() {
    let mut rig = Rig::new(OPEN);
    rig.client(&[request("SET a 1"), request("FLUSHALL"), request("INCR n")].concat());
    rig.redis("+OK\r\n");
    rig.redis(":1");
    rig.redis_leaves();
    let heard = rig.heard();
    assert!(heard.starts_with("+OK\r\n-NOPERM") && !heard.contains(":1"), "{heard}");
    assert_eq!(rig.closed, Some(CloseReason::UpstreamGone));
}

#[test]
fn an_upstream_that_is_not_to_be_had_ends_the_session_without_a_word() {
    let mut rig = Rig::new(OPEN);
    rig.connects = false;
    rig.client(&[request("GET a"), request("GET b")].concat());
    assert!(rig.connecting);
    assert_eq!(rig.heard(), "");
    rig.connected(Err(UpstreamFailure::Unavailable));
    assert_eq!(rig.heard(), "");
    assert_eq!(rig.closed, Some(CloseReason::UpstreamUnavailable));
    assert_eq!(rig.forwarded(), "");
}

#[test]
fn requests_wait_for_the_connection_and_then_go_in_order() {
    let mut rig = Rig::new(OPEN);
    rig.connects = false;
    rig.client(&[request("GET a"), request("FLUSHALL")].concat());
    rig.say("GET b");
    rig.connected(Ok(()));
    assert_eq!(rig.forwarded(), "GET a\nGET b");
}

#[test]
fn a_client_that_leaves_while_redis_connects_is_served_what_it_asked_for() {
    let mut rig = Rig::new(OPEN);
    rig.connects = false;
    rig.say("INCR n");
    rig.client_leaves();
    assert_eq!(rig.closed, None);
    rig.connected(Ok(()));
    rig.redis(":1\r\n");
    assert_eq!((rig.forwarded().as_str(), rig.heard().as_str()), ("INCR n", ":1\r\n"));
    assert!(rig.closed.is_some());
}

#[test]
fn who_does_not_log_in_opens_no_connection() {
    let mut rig = Rig::new(CLOSED);
    for said in ["AUTH", "AUTH default wrong", "HELLO 4"] {
        rig.say(said);
    }
    rig.verified(LoginOutcome::Rejected);
    assert_eq!((rig.connections, rig.forwarded().as_str()), (0, ""));
}

#[test]
fn a_client_that_sends_garbage_before_a_login_never_reaches_redis() {
    for garbage in [&b"\x16\x03\x01\x02\x00\x01\n"[..], b"GET / HTTP/1.1\r\n", b"*2\r\n+GET\r\n", b"\0\0\0\r\n"] {
        let mut rig = Rig::new(CLOSED);
        rig.client(garbage);
        assert_eq!((rig.connections, rig.sent().len()), (0, 0));
        assert!(rig.heard().starts_with("-"));
    }
}

//! Large values pass through without being held; what is not decided yet never leaks.

use super::rig::{CLOSED, OPEN, Rig, request};
use crate::session::CloseReason;
use crate::session::LoginOutcome;

const VALUE: usize = 512 << 10;

/// A request whose last argument is large.
fn large(first: &[&str], len: usize) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", first.len() + 1).into_bytes();
    for argument in first {
        bytes.extend_from_slice(format!("${}\r\n{argument}\r\n", argument.len()).as_bytes());
    }
    bytes.extend_from_slice(format!("${len}\r\n").as_bytes());
    bytes.resize(bytes.len() + len, b'v');
    bytes.extend_from_slice(b"\r\n");
    bytes
}

#[test]
fn a_large_value_passes_without_being_held_and_its_last_two_bytes_come_last() {
    let mut rig = Rig::new(OPEN);
    let bytes = large(&["SET", "k"], VALUE * 8);
    for piece in bytes[..bytes.len() - 2].chunks(10_000) {
        rig.client(piece);
        assert!(rig.held() < 128 << 10, "{}", rig.held());
    }
    assert_eq!(rig.sent().len(), bytes.len() - 2);
    rig.client(b"\r");
    assert_eq!(rig.sent(), b"");
    rig.client(b"\n");
    assert_eq!(rig.sent(), b"\r\n");
    rig.redis("+OK\r\n");
    assert_eq!(rig.heard(), "+OK\r\n");
}

#[test]
fn options_behind_a_large_value_are_passed_on_where_the_strictest_reading_is_allowed() {
    let mut rig = Rig::new(OPEN);
    let mut bytes = large(&["SET", "k"], VALUE);
    bytes[1] = b'4';
    bytes.extend_from_slice(b"$3\r\nGET\r\n");
    rig.client(&bytes);
    assert_eq!(rig.sent(), bytes);
    rig.redis("$1\r\no\r\n");
    assert_eq!(rig.heard(), "$1\r\no\r\n");
}

#[test]
fn a_value_that_may_turn_out_to_be_read_is_held_and_leaks_nothing_cut_anywhere() {
    let acl = "user default on nopass %W~* +@all\n";
    let len = 100 << 10;
    let mut bytes = large(&["SET", "k"], len);
    bytes[1] = b'4';
    bytes.extend_from_slice(b"$3\r\nGET\r\n");
    let cuts = (0..60).chain((1..20).map(|n| n * len / 20)).chain(bytes.len() - 30..bytes.len());
    for cut in cuts {
        let mut rig = Rig::new(acl);
        rig.client(&bytes[..cut]);
        assert_eq!(rig.sent(), b"", "cut at {cut}");
        rig.client(&bytes[cut..]);
        assert_eq!(rig.sent(), b"", "cut at {cut}");
        assert!(rig.heard().starts_with("-NOPERM"), "cut at {cut}");
        rig.say("SET k v");
        assert_eq!(rig.forwarded(), "SET k v", "cut at {cut}");
    }
}

#[test]
fn the_same_value_without_the_option_is_forwarded_whole() {
    let mut rig = Rig::new("user default on nopass %W~* +@all\n");
    let bytes = large(&["SET", "k"], 100 << 10);
    for piece in bytes.chunks(1000) {
        assert_eq!(rig.sent(), b"");
        rig.client(piece);
    }
    assert_eq!(rig.sent(), bytes);
}

#[test]
fn the_body_of_a_refused_request_is_counted_off_and_not_held() {
    let mut rig = Rig::new(CLOSED);
    rig.say("AUTH alice x");
    rig.heard();
    for first in [["CONFIG", "SET", "x"], ["NOSUCH", "SET", "x"], ["GET", "a:1", "x"]] {
        let bytes = large(&first, VALUE * 4);
        for piece in bytes.chunks(60_000) {
            rig.client(piece);
            assert!(rig.held() < 128 << 10, "{}", rig.held());
        }
        assert_eq!((rig.heard().lines().count(), rig.forwarded().as_str(), rig.closed), (1, "", None), "{first:?}");
    }
    rig.say("ECHO on");
    assert_eq!(rig.forwarded(), "ECHO on");
}

#[test]
fn what_is_unknown_shows_the_beginning_of_its_large_argument_however_it_is_cut() {
    let bytes = large(&["NOSUCH", "a"], VALUE);
    let expected = format!("-ERR unknown command 'NOSUCH', with args beginning with: 'a' '{}' \r\n", "v".repeat(124));
    for cut in 0..300 {
        let mut rig = Rig::new(OPEN);
        rig.client(&bytes[..cut]);
        rig.client(&bytes[cut..]);
        assert_eq!(rig.heard(), expected, "cut at {cut}");
    }
}

#[test]
fn a_refused_request_takes_its_place_when_its_body_has_come() {
    let mut rig = Rig::new(OPEN);
    rig.say("GET a");
    let bytes = large(&["CONFIG", "SET", "x"], VALUE);
    rig.client(&bytes[..bytes.len() - 1]);
    rig.redis("$1\r\nv\r\n");
    assert_eq!(rig.heard(), "$1\r\nv\r\n");
    rig.client(&[&bytes[bytes.len() - 1..], &request("GET b")].concat());
    rig.redis("$1\r\nw\r\n");
    let heard = rig.heard();
    assert!(heard.starts_with("-NOPERM") && heard.ends_with("$1\r\nw\r\n"), "{heard}");
}

#[test]
fn a_policy_that_changes_under_way_keeps_the_last_bytes_back_and_closes() {
    let acl = |keys: &str| format!("user default on >secret +@all\nuser alice on nopass {keys} +@all\n");
    let mut rig = Rig::new(&acl("~*"));
    rig.say("AUTH alice x");
    let bytes = large(&["SET", "k"], VALUE);
    rig.client(&bytes[..VALUE]);
    rig.reload(&acl("~other"));
    rig.client(&bytes[VALUE..]);
    assert_eq!(rig.closed, Some(CloseReason::PolicyChanged));
    assert!(rig.sent().len() < bytes.len() - 1);
}

#[test]
fn a_malformed_end_keeps_the_last_bytes_back_and_closes() {
    let mut rig = Rig::new(OPEN);
    let mut bytes = large(&["SET", "k"], VALUE);
    let end = bytes.len() - 2;
    bytes[end..].copy_from_slice(b"xx");
    rig.client(&bytes);
    assert_eq!(rig.heard(), "-ERR Protocol error: expected CRLF\r\n");
    assert!(rig.sent().len() <= end);
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_value_completes_nothing() {
    let mut rig = Rig::new(OPEN);
    let bytes = large(&["SET", "k"], VALUE);
    rig.client(&bytes[..bytes.len() - 2]);
    rig.client_leaves();
    assert_eq!(rig.closed, Some(CloseReason::ClientGone));
    assert_eq!(rig.sent().len(), bytes.len() - 2);
}

#[test]
fn keys_behind_a_value_are_waited_for() {
    let mut rig = Rig::new("user default on nopass ~a:* +@all\n");
    let mut bytes = large(&["MSET", "a:1"], 100 << 10);
    bytes[1] = b'5';
    bytes.extend_from_slice(b"$3\r\nb:1\r\n$1\r\nx\r\n");
    rig.client(&bytes);
    assert_eq!(rig.sent(), b"");
    assert!(rig.heard().starts_with("-NOPERM"));
}

#[test]
fn a_streamed_request_inside_a_transaction_is_queued_in_its_place() {
    let mut rig = Rig::new(OPEN);
    rig.say("MULTI");
    rig.redis("+OK\r\n");
    rig.client(&[large(&["SET", "k"], VALUE), request("FLUSHALL"), request("EXEC")].concat());
    rig.redis("+QUEUED\r\n-ERR unknown command\r\n-EXECABORT\r\n");
    let heard = rig.heard();
    assert!(heard.starts_with("+OK\r\n+QUEUED\r\n-NOPERM ") && heard.ends_with("-EXECABORT\r\n"), "{heard}");
}

#[test]
fn a_large_password_is_never_streamed() {
    let mut rig = Rig::new("user default on nopass ~* &* +@all\nuser bob on >secret +@all\n");
    let bytes = large(&["AUTH", "bob"], 100 << 10);
    rig.client(&bytes);
    assert_eq!(rig.sent(), b"");
    rig.verified(LoginOutcome::Rejected);
    assert!(rig.heard().starts_with("-WRONGPASS"));
}

#[test]
fn a_large_value_that_comes_slowly_is_not_idle() {
    let mut rig = Rig::new(OPEN);
    rig.core.limits_mut().request_timeout = None;
    let bytes = large(&["SET", "k"], VALUE);
    for piece in bytes.chunks(VALUE / 8) {
        rig.client(piece);
        rig.wait(super::rig::IDLE_TIMEOUT - std::time::Duration::from_secs(1));
    }
    assert_eq!(rig.closed, None);
    assert_eq!(rig.sent().len(), bytes.len());
}

//! Time: authentication, idleness, passwords under verification.

use crate::policy::UserRefusal;
use std::time::Duration;

use super::rig::{
    AUTH_TIMEOUT, CLOSED, HALF_CLOSE_TIMEOUT, IDLE_TIMEOUT, OPEN, REQUEST_TIMEOUT, Rig, UPSTREAM_TIMEOUT, request,
};
use crate::policy::ScriptRights;
use crate::session::{CloseReason, LoginOutcome, Side};

const A_MOMENT: Duration = Duration::from_millis(1);

#[test]
fn a_client_that_does_not_log_in_in_time_is_told_and_closed() {
    let mut rig = Rig::new(CLOSED);
    rig.wait(AUTH_TIMEOUT - A_MOMENT);
    rig.say("PING");
    assert_eq!(rig.closed, None);
    rig.heard();
    rig.wait(A_MOMENT);
    assert_eq!(rig.heard(), "-ERR respgate: authentication timed out\r\n");
    assert_eq!(rig.closed, Some(CloseReason::AuthenticationTimeout));
}

#[test]
fn a_password_that_is_being_verified_at_the_deadline_counts_as_none() {
    let mut rig = Rig::new(CLOSED);
    rig.say("AUTH default secret");
    rig.wait(AUTH_TIMEOUT);
    assert_eq!(rig.closed, Some(CloseReason::AuthenticationTimeout));
    rig.verified(LoginOutcome::Accepted(0));
    assert_eq!(rig.forwarded(), "");
}

#[test]
fn an_idle_client_is_closed_and_a_busy_or_blocked_one_is_not() {
    let mut rig = Rig::new(OPEN);
    rig.say("GET a");
    rig.wait(IDLE_TIMEOUT * 2);
    assert_eq!(rig.closed, None, "a reply is owed");
    rig.redis("$1\r\nv\r\n");
    rig.say("BLPOP q 0");
    rig.wait(IDLE_TIMEOUT * 2);
    assert_eq!(rig.closed, None, "blocked");
    rig.redis("*-1\r\n");
    rig.say("SUBSCRIBE a");
    rig.redis("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    rig.wait(IDLE_TIMEOUT * 2);
    assert_eq!(rig.closed, None, "subscribed");
    rig.say("UNSUBSCRIBE a");
    rig.redis("*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n");
    rig.wait(IDLE_TIMEOUT - A_MOMENT);
    assert_eq!(rig.closed, None);
    rig.wait(A_MOMENT);
    assert_eq!(rig.closed, Some(CloseReason::Idle));
}

#[test]
fn a_long_wait_for_a_reply_is_no_idleness_of_the_client() {
    let mut rig = Rig::new(OPEN);
    rig.say("BLPOP q 0");
    rig.wait(IDLE_TIMEOUT * 2);
    rig.redis("*-1\r\n");
    rig.wait(A_MOMENT);
    assert_eq!(rig.closed, None);
}

#[test]
fn a_redis_that_owes_a_reply_and_says_nothing_is_waited_for_up_to_its_timeout() {
    let mut rig = Rig::new(OPEN);
    rig.say("GET a");
    rig.wait(UPSTREAM_TIMEOUT - A_MOMENT);
    rig.say("GET b");
    assert_eq!(rig.closed, None);
    rig.wait(A_MOMENT);
    assert_eq!(rig.closed, Some(CloseReason::UpstreamTimeout));
    assert_eq!(rig.heard(), "", "nothing is invented");
}

#[test]
fn a_redis_that_says_something_or_takes_something_is_waited_for_anew() {
    let mut rig = Rig::new(OPEN);
    rig.client(&[request("GET a"), request("GET b")].concat());
    rig.wait(UPSTREAM_TIMEOUT - A_MOMENT);
    rig.redis("$1\r\n");
    rig.wait(UPSTREAM_TIMEOUT - A_MOMENT);
    rig.redis("v\r\n");
    rig.wait(UPSTREAM_TIMEOUT - A_MOMENT);
    assert_eq!(rig.closed, None);
    rig.redis("$1\r\nw\r\n");
    rig.redis_reads = false;
    rig.say("SET k v");
    rig.wait(UPSTREAM_TIMEOUT - A_MOMENT);
    rig.redis_reads = true;
    rig.say("GET k");
    rig.wait(UPSTREAM_TIMEOUT - A_MOMENT);
    assert_eq!(rig.closed, None);
}

#[test]
fn a_redis_that_may_take_its_time_or_is_not_listened_to_is_waited_for() {
    for line in ["BLPOP q 0", "WAIT 1 0", "XREAD BLOCK 0 STREAMS s $"] {
        let mut rig = Rig::new(OPEN);
        rig.say(line);
        rig.wait(UPSTREAM_TIMEOUT * 2);
        assert_eq!(rig.closed, None, "{line}");
    }
    let mut rig = Rig::new(OPEN);
    rig.client_reads(false);
    rig.client(&[request("GET a"), request("GET b")].concat());
    rig.redis(format!("$300000\r\n{}\r\n", "v".repeat(300_000)));
    rig.wait(UPSTREAM_TIMEOUT * 2);
    assert_eq!(rig.closed, None);
}

#[test]
fn a_script_waits_for_a_redis_that_was_never_heard_up_to_the_timeout() {
    let mut rig = Rig::new("user default on nopass ~a:* +@all\n");
    rig.mirror_users();
    rig.policy.script_rights = ScriptRights::NotYet;
    rig.say("EVAL s 0");
    rig.wait(UPSTREAM_TIMEOUT - A_MOMENT);
    assert_eq!(rig.closed, None);
    rig.wait(A_MOMENT);
    assert_eq!(rig.closed, Some(CloseReason::UpstreamTimeout));
}

#[test]
fn too_many_logins_close_with_a_text() {
    let mut rig = Rig::new(CLOSED);
    rig.client(&[request("AUTH default secret"), request("GET a")].concat());
    rig.verified(LoginOutcome::Busy);
    assert_eq!(rig.heard(), "-ERR respgate: too many logins are waiting, try again later\r\n");
    assert_eq!((rig.closed, rig.connections), (Some(CloseReason::AuthenticationBusy), 0));
}

#[test]
fn a_throttled_login_is_told_so_after_a_second_and_closed() {
    let mut rig = throttled();
    rig.wait(Duration::from_secs(1) - A_MOMENT);
    assert_eq!((rig.heard().as_str(), rig.closed), ("", None));
    rig.wait(A_MOMENT);
    assert_eq!(rig.heard(), THROTTLED);
    assert_eq!((rig.closed, rig.connections), (Some(CloseReason::Throttled), 0));
}

#[test]
fn a_throttled_client_that_leaves_or_is_drained_is_told_at_once() {
    let mut rig = throttled();
    rig.client_leaves();
    rig.wait(Duration::ZERO);
    assert_eq!((rig.heard().as_str(), rig.closed), (THROTTLED, Some(CloseReason::Throttled)));
    let mut rig = throttled();
    rig.core.handle_drain(rig.now, rig.now + HALF_CLOSE_TIMEOUT);
    rig.wait(Duration::ZERO);
    assert_eq!((rig.heard().as_str(), rig.closed), (THROTTLED, Some(CloseReason::Drained)));
}

#[test]
fn little_is_read_before_authentication_while_a_password_is_being_verified() {
    let mut rig = Rig::new(CLOSED);
    rig.client(&request("AUTH default secret"));
    rig.client(&request("GET a").repeat(3_000));
    assert!(rig.core.wants(Side::Downstream), "as much as one read may bring");
    rig.client(&request("GET a").repeat(1_000));
    assert!(!rig.core.wants(Side::Downstream));
    rig.verified(LoginOutcome::Accepted(0));
    assert!(rig.forwarded().starts_with("GET a\nGET a\n"));
}

const THROTTLED: &str = "-ERR respgate: too many failed logins, try again later\r\n";

/// A session with a throttled login, and a request behind it that is never looked at.
fn throttled() -> Rig {
    let mut rig = Rig::new(CLOSED);
    rig.client(&[request("AUTH default secret"), request("GET a")].concat());
    rig.verified(LoginOutcome::Throttled);
    rig
}

#[test]
fn a_client_that_leaves_behind_a_login_is_served() {
    let mut rig = Rig::new(CLOSED);
    rig.client(&[request("AUTH default secret"), request("INCR n")].concat());
    rig.client_leaves();
    assert_eq!(rig.closed, None);
    rig.verified(LoginOutcome::Accepted(0));
    rig.redis(":1\r\n");
    assert_eq!((rig.forwarded().as_str(), rig.heard().as_str()), ("INCR n", "+OK\r\n:1\r\n"));
    assert_eq!(rig.closed, Some(CloseReason::ClientGone));
}

#[test]
fn a_user_that_is_gone_ends_its_sessions() {
    let mut rig = Rig::new(CLOSED);
    rig.say("AUTH alice x");
    rig.reload("user default on >secret ~* &* +@all\n");
    assert_eq!(rig.closed, Some(CloseReason::Revoked(UserRefusal::NoSuchUser)));
}

#[test]
fn rights_taken_away_hold_for_the_next_request() {
    let mut rig = Rig::new(CLOSED);
    rig.say("AUTH alice x");
    rig.say("GET a:1");
    rig.reload("user default on >secret ~* &* +@all\nuser alice on nopass ~b:* +@all\n");
    rig.say("GET a:1");
    rig.redis("$1\r\nv\r\n");
    assert!(rig.heard().starts_with("+OK\r\n$1\r\nv\r\n-NOPERM"));
    assert_eq!(rig.forwarded(), "GET a:1");
}

#[test]
fn an_unfinished_request_that_is_held_has_to_come_on() {
    let mut rig = Rig::new(OPEN);
    rig.client(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$60000\r\n");
    for _ in 0..3 {
        rig.wait(REQUEST_TIMEOUT - A_MOMENT);
        rig.client(&[b'v'; 16 << 10]);
    }
    rig.wait(REQUEST_TIMEOUT / 2);
    rig.client(&[b'v'; 9_000]);
    rig.wait(REQUEST_TIMEOUT / 2 - A_MOMENT);
    assert_eq!(rig.closed, None);
    rig.wait(A_MOMENT);
    assert_eq!((rig.closed, rig.heard()), (Some(CloseReason::RequestTimeout), String::new()));
}

#[test]
fn an_unfinished_request_that_is_streamed_has_to_come_on() {
    let mut rig = Rig::new(OPEN);
    rig.client(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000000\r\nvalue");
    rig.wait(REQUEST_TIMEOUT - A_MOMENT);
    rig.client(&[b'v'; 16 << 10]);
    rig.wait(REQUEST_TIMEOUT - A_MOMENT);
    rig.client(&[b'v'; 1000]);
    assert_eq!(rig.closed, None);
    rig.wait(A_MOMENT);
    assert_eq!(rig.closed, Some(CloseReason::RequestTimeout));
    assert!(rig.sent().starts_with(b"*3\r\n$3\r\nSET"), "it was streamed");
}

#[test]
fn a_refused_request_and_one_before_the_login_have_to_come_on_too() {
    let mut rig = Rig::new(OPEN);
    rig.client(b"*3\r\n$6\r\nCONFIG\r\n$3\r\nSET\r\n$100000000\r\nvalue");
    rig.wait(REQUEST_TIMEOUT);
    assert_eq!(rig.closed, Some(CloseReason::RequestTimeout));
    let mut rig = Rig::new(CLOSED);
    rig.core.limits_mut().auth_timeout = REQUEST_TIMEOUT * 2;
    rig.client(b"PIN");
    rig.wait(REQUEST_TIMEOUT);
    assert_eq!(rig.closed, Some(CloseReason::RequestTimeout));
}

#[test]
fn the_time_of_a_request_begins_with_it_and_ends_with_it() {
    let mut rig = Rig::new(OPEN);
    for _ in 0..10 {
        rig.client(b"*1\r\n$4\r\nPI");
        rig.wait(REQUEST_TIMEOUT / 2);
        rig.client(b"NG\r\n*1\r\n$4\r\nPI");
        rig.wait(REQUEST_TIMEOUT / 2);
        rig.client(b"NG\r\n");
        rig.redis("+PONG\r\n+PONG\r\n");
        rig.wait(REQUEST_TIMEOUT * 2);
    }
    assert_eq!(rig.closed, None);
}

#[test]
fn time_in_which_the_proxy_does_not_read_does_not_count_against_a_request() {
    let mut rig = Rig::new(OPEN);
    rig.redis_reads = false;
    rig.client(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000000\r\n");
    rig.client(&vec![b'v'; 300_000]);
    rig.wait(REQUEST_TIMEOUT * 2);
    assert_eq!(rig.closed, None, "Redis takes no more");
    let mut rig = Rig::new(CLOSED);
    rig.core.limits_mut().auth_timeout = REQUEST_TIMEOUT * 10;
    rig.client(&[request("AUTH default secret"), b"*1\r\n$4\r\nPI".to_vec()].concat());
    rig.wait(REQUEST_TIMEOUT * 2);
    assert_eq!(rig.closed, None, "a password is verified");
    rig.verified(LoginOutcome::Accepted(0));
    rig.wait(REQUEST_TIMEOUT - A_MOMENT);
    assert_eq!(rig.closed, None);
    rig.wait(A_MOMENT);
    assert_eq!(rig.closed, Some(CloseReason::RequestTimeout));
}

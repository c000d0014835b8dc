//! RESET: back to the beginning, over a fresh connection.

use crate::session::CloseReason;
use std::time::Duration;

use super::rig::{AUTH_TIMEOUT, CLOSED, OPEN, Rig, request};
use crate::resp::Protocol;
use crate::session::LoginOutcome;

#[test]
fn reset_waits_for_earlier_replies_and_is_never_forwarded() {
    let mut rig = Rig::new(OPEN);
    rig.client(&[request("GET a"), request("RESET"), request("GET b")].concat());
    assert_eq!((rig.forwarded().as_str(), rig.heard().as_str()), ("GET a", ""));
    rig.redis("$1\r\nv\r\n");
    assert_eq!(rig.heard(), "$1\r\nv\r\n+RESET\r\n");
    assert_eq!((rig.forwarded().as_str(), rig.connections), ("GET b", 2));
}

#[test]
fn reset_forgets_protocol_database_transaction_subscriptions_and_reply_mode() {
    let mut rig = Rig::new(OPEN);
    rig.say("HELLO 3");
    rig.redis("%0\r\n");
    rig.say("SELECT 3");
    rig.redis("+OK\r\n");
    rig.say("SUBSCRIBE a");
    rig.redis(">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    rig.say("CLIENT REPLY OFF");
    rig.say("MULTI");
    rig.redis("+OK\r\n");
    rig.heard();
    rig.say("RESET");
    assert_eq!(rig.heard(), "+RESET\r\n");
    assert_eq!((rig.protocol(), rig.database()), (Protocol::Resp2, Some(0)));
    assert!(!rig.is_subscriber() && !rig.in_transaction());
    rig.say("ACL WHOAMI");
    assert_eq!(rig.heard(), "$7\r\ndefault\r\n");
}

#[test]
fn reset_logs_a_password_session_out_and_gives_it_the_time_to_log_in_again() {
    let mut rig = Rig::new(CLOSED);
    rig.say("AUTH default secret");
    rig.verified(LoginOutcome::Accepted(0));
    rig.wait(AUTH_TIMEOUT * 2);
    rig.say("RESET");
    rig.say("GET a");
    assert_eq!(rig.heard(), "+OK\r\n+RESET\r\n-NOAUTH Authentication required.\r\n");
    rig.wait(AUTH_TIMEOUT - Duration::from_millis(1));
    assert_eq!(rig.closed, None);
    rig.wait(Duration::from_millis(1));
    assert_eq!(rig.closed, Some(CloseReason::AuthenticationTimeout));
}

#[test]
fn whatever_a_stranger_says_the_time_to_log_in_began_with_the_session() {
    for said in ["RESET", "HELLO 3", "PING", "AUTH default wrong", "HELLO 2 AUTH default wrong"] {
        let mut rig = Rig::new(CLOSED);
        for _ in 0..3 {
            rig.wait(AUTH_TIMEOUT / 4);
            rig.say(said);
            if rig.verifying.is_some() {
                rig.verified(LoginOutcome::Rejected);
            }
        }
        rig.wait(AUTH_TIMEOUT / 4 - Duration::from_millis(1));
        assert_eq!(rig.closed, None, "{said}");
        rig.wait(Duration::from_millis(1));
        assert_eq!(rig.closed, Some(CloseReason::AuthenticationTimeout), "{said}");
    }
}

#[test]
fn who_logs_in_after_each_reset_goes_on() {
    let mut rig = Rig::new(CLOSED);
    for _ in 0..5 {
        rig.wait(AUTH_TIMEOUT - Duration::from_millis(1));
        rig.say("AUTH alice x");
        rig.wait(AUTH_TIMEOUT);
        rig.say("RESET");
        assert_eq!((rig.heard().as_str(), rig.closed), ("+OK\r\n+RESET\r\n", None));
    }
    rig.wait(AUTH_TIMEOUT / 2);
    rig.say("RESET");
    rig.wait(AUTH_TIMEOUT / 2);
    assert_eq!(rig.closed, Some(CloseReason::AuthenticationTimeout), "the second says nothing of who it is");
}

#[test]
fn reset_ends_monitor_and_subscriptions_at_the_end_of_a_line() {
    let mut rig = Rig::new(OPEN);
    rig.say("MONITOR");
    let line = format!("+1795497215.974607 [0 lua] \"PING\" \"{}", "x".repeat(1000));
    rig.redis(format!("+OK\r\n{line}"));
    rig.say("RESET");
    assert_eq!(rig.connections, 1, "the client has half a line");
    rig.redis("\"\r\n");
    assert_eq!(rig.heard(), format!("+OK\r\n{line}\"\r\n+RESET\r\n"));
    rig.say("GET a");
    assert_eq!(rig.connections, 2);
}

#[test]
fn a_storm_of_resets_ends_the_session() {
    let mut rig = Rig::new(OPEN);
    for _ in 0..100 {
        rig.client(&[request("PING"), request("RESET")].concat());
        rig.redis("+PONG\r\n");
    }
    assert_eq!(rig.closed, Some(CloseReason::ResetStorm));
    let mut rig = Rig::new(OPEN);
    for _ in 0..100 {
        rig.say("RESET");
        rig.wait(Duration::from_millis(100));
    }
    assert_eq!(rig.closed, None);
}

//! CLIENT REPLY: what is not answered, answers of ours included.

use super::rig::{OPEN, Rig, request};

#[test]
fn off_silences_everything_of_ours_and_waits_for_nothing_of_redis() {
    let mut rig = Rig::new(OPEN);
    for line in ["CLIENT REPLY OFF", "SET a 1", "FLUSHALL", "ACL WHOAMI", "NOSUCH", "GET"] {
        rig.say(line);
    }
    assert_eq!((rig.forwarded().as_str(), rig.heard().as_str()), ("CLIENT REPLY OFF\nSET a 1", ""));
    rig.say("CLIENT REPLY ON");
    rig.redis("+OK\r\n");
    rig.say("FLUSHALL");
    assert!(rig.heard().starts_with("+OK\r\n-NOPERM"));
}

#[test]
fn skip_silences_one_request_and_redis_is_kept_in_step_when_that_one_is_ours() {
    for silent in ["FLUSHALL", "ACL WHOAMI", "NOSUCH x", "GET", "AUTH default x"] {
        let mut rig = Rig::new(OPEN);
        rig.say("CLIENT REPLY SKIP");
        rig.say(silent);
        assert_eq!(rig.heard(), "", "{silent}");
        assert_eq!(rig.sent(), [request("CLIENT REPLY SKIP"), b"*0\r\n".to_vec()].concat(), "{silent}");
        rig.say("GET a");
        rig.redis("$1\r\nv\r\n");
        assert_eq!(rig.heard(), "$1\r\nv\r\n", "{silent}");
    }
}

#[test]
fn an_empty_request_ends_skip_here_as_there() {
    let mut rig = Rig::new(OPEN);
    rig.client(&[request("CLIENT REPLY SKIP"), b"\r\n".to_vec(), request("GET a")].concat());
    assert_eq!(rig.sent(), [request("CLIENT REPLY SKIP"), b"*0\r\n".to_vec(), request("GET a")].concat());
    rig.redis("$1\r\nv\r\n");
    assert_eq!((rig.heard().as_str(), rig.closed), ("$1\r\nv\r\n", None));
}

#[test]
fn skip_after_skip_skips_again_and_off_wins_over_skip() {
    let mut rig = Rig::new(OPEN);
    for line in ["CLIENT REPLY SKIP", "CLIENT REPLY SKIP", "FLUSHALL", "FLUSHALL"] {
        rig.say(line);
    }
    assert_eq!(rig.heard().lines().count(), 1);
    for line in ["CLIENT REPLY OFF", "CLIENT REPLY SKIP", "FLUSHALL", "FLUSHALL"] {
        rig.say(line);
    }
    assert_eq!(rig.heard(), "");
}

#[test]
fn confirmations_come_even_where_replies_are_off() {
    let confirmation = "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n";
    let unsubscribed = "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n";
    let mut rig = Rig::new(OPEN);
    let said = ["CLIENT REPLY OFF", "SUBSCRIBE a", "GET x", "UNSUBSCRIBE", "CLIENT REPLY ON", "GET y"];
    rig.client(&said.map(request).concat());
    assert_eq!(rig.forwarded(), "CLIENT REPLY OFF\nSUBSCRIBE a");
    rig.redis(confirmation);
    assert_eq!(rig.forwarded(), "UNSUBSCRIBE", "a subscriber may not GET, and is not told so");
    rig.redis(unsubscribed);
    assert_eq!(rig.forwarded(), "CLIENT REPLY ON\nGET y");
    rig.redis("+OK\r\n$1\r\nv\r\n");
    assert_eq!(rig.heard(), format!("{confirmation}{unsubscribed}+OK\r\n$1\r\nv\r\n"));
}

#[test]
fn a_subscription_after_skip_is_confirmed_and_ends_skip() {
    let mut rig = Rig::new(OPEN);
    rig.client(&["CLIENT REPLY SKIP", "SUBSCRIBE a", "PING", "GET x"].map(request).concat());
    rig.redis("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    rig.redis("*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    let heard = rig.heard();
    assert!(heard.starts_with("*3\r\n$9\r\nsubscribe"), "{heard}");
    assert!(heard.contains("pong\r\n$0\r\n\r\n-ERR Can't execute 'get'"), "{heard}");
    assert_eq!(rig.closed, None);
}

#[test]
fn a_mode_that_redis_does_not_know_is_answered_by_redis() {
    let mut rig = Rig::new(OPEN);
    rig.say("CLIENT REPLY MAYBE");
    rig.redis("-ERR syntax error\r\n");
    rig.say("FLUSHALL");
    assert_eq!(rig.heard().lines().count(), 2);
}

#[test]
fn select_that_nobody_confirms_leaves_the_database_unknown() {
    let mut rig = Rig::new(OPEN);
    for line in ["CLIENT REPLY OFF", "SELECT 99"] {
        rig.say(line);
    }
    assert_eq!(rig.core.database, None);
}

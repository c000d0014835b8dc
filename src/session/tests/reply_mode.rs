//! CLIENT REPLY: what is not answered, answers of ours included.

use super::rig::{OPEN, Rig, request};
use crate::session::CloseReason;

#[test]
fn off_silences_everything_of_ours_and_all_that_redis_replies() {
    let mut rig = Rig::new(OPEN);
    for line in ["CLIENT REPLY OFF", "SET a 1", "FLUSHALL", "ACL WHOAMI", "NOSUCH", "GET", "GET a"] {
        rig.say(line);
    }
    assert_eq!(rig.forwarded(), "SET a 1\nGET a", "Redis knows nothing of it");
    rig.redis("+OK\r\n$1\r\n1\r\n");
    assert_eq!(rig.heard(), "");
    rig.say("CLIENT REPLY ON");
    rig.say("FLUSHALL");
    assert!(rig.heard().starts_with("+OK\r\n-NOPERM"));
}

#[test]
fn what_was_asked_before_off_is_heard_and_what_comes_behind_on_in_its_place() {
    let lines = ["GET a", "CLIENT REPLY OFF", "GET b", "GET c", "CLIENT REPLY ON", "GET d"];
    let replies = b"$1\r\na\r\n$1\r\nb\r\n-ERR c\r\n$1\r\nd\r\n";
    for cut in 0..replies.len() {
        let mut rig = Rig::new(OPEN);
        rig.client(&lines.map(request).concat());
        rig.redis(&replies[..cut]);
        rig.redis(&replies[cut..]);
        assert_eq!(rig.heard(), "$1\r\na\r\n+OK\r\n$1\r\nd\r\n", "cut at {cut}");
    }
}

#[test]
fn skip_silences_one_request_be_it_ours_or_redis_s() {
    for silent in ["FLUSHALL", "ACL WHOAMI", "NOSUCH x", "GET", "AUTH default x", "SET a 1", "*0"] {
        let mut rig = Rig::new(OPEN);
        rig.say("CLIENT REPLY SKIP");
        rig.client(&if silent == "*0" { b"*0\r\n".to_vec() } else { request(silent) });
        if !rig.forwarded().is_empty() {
            rig.redis("$1\r\nx\r\n");
        }
        assert_eq!(rig.heard(), "", "{silent}");
        rig.say("GET a");
        rig.redis("$1\r\nv\r\n");
        assert_eq!(rig.heard(), "$1\r\nv\r\n", "{silent}");
    }
}

#[test]
fn the_rest_of_a_hello_keeps_the_skip_that_it_follows() {
    let mut rig = Rig::new("user default on nopass ~* &* +@all\nuser alice on nopass ~a:* &* +@all\n");
    rig.client(&["CLIENT REPLY SKIP", "HELLO 3 AUTH alice x"].map(request).concat());
    assert_eq!(rig.forwarded(), "HELLO 3");
    rig.redis("%0\r\n");
    rig.say("ACL WHOAMI");
    assert_eq!(rig.heard(), "$5\r\nalice\r\n");
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

fn confirmation(kind: char, verb: &str, name: &str, left: u32) -> String {
    format!("{kind}3\r\n${}\r\n{verb}\r\n${}\r\n{name}\r\n:{left}\r\n", verb.len(), name.len())
}

/// Sessions under RESP2 and RESP3, and what the frames of confirmations begin with.
fn both() -> [(char, Rig); 2] {
    let mut resp3 = Rig::new(OPEN);
    resp3.say("HELLO 3");
    resp3.redis("%0\r\n");
    resp3.heard();
    resp3.sent();
    [('*', Rig::new(OPEN)), ('>', resp3)]
}

#[test]
fn confirmations_and_messages_come_even_where_replies_are_off() {
    for (kind, mut rig) in both() {
        let subscribed = confirmation(kind, "subscribe", "a", 1);
        let message = format!("{kind}3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nm\r\n");
        let unsubscribed = confirmation(kind, "unsubscribe", "a", 0);
        rig.client(&["CLIENT REPLY OFF", "SUBSCRIBE a", "NOSUCH", "UNSUBSCRIBE"].map(request).concat());
        rig.redis(&subscribed);
        rig.redis(&message);
        rig.redis(&unsubscribed);
        rig.say("CLIENT REPLY ON");
        assert_eq!(rig.heard(), format!("{subscribed}{message}{unsubscribed}+OK\r\n"));
        assert_eq!(rig.core.memory(), 0);
    }
}

#[test]
fn a_subscription_after_skip_is_confirmed_and_ends_skip() {
    for (kind, mut rig) in both() {
        rig.client(&["CLIENT REPLY SKIP", "SUBSCRIBE a", "PING"].map(request).concat());
        let subscribed = confirmation(kind, "subscribe", "a", 1);
        rig.redis(&subscribed);
        rig.redis("*2\r\n$4\r\npong\r\n$0\r\n\r\n");
        assert_eq!(rig.heard(), format!("{subscribed}*2\r\n$4\r\npong\r\n$0\r\n\r\n"));
        assert_eq!(rig.closed, None);
    }
}

#[test]
fn a_subscription_that_redis_refuses_unheard_holds_nothing_up() {
    for line in ["SUBSCRIBE a b", "PSUBSCRIBE a", "SSUBSCRIBE a", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE a"] {
        for (mode, back) in [("OFF", "+OK\r\n"), ("SKIP", "")] {
            for (_, mut rig) in both() {
                rig.client(&[request(&format!("CLIENT REPLY {mode}")), request(line)].concat());
                rig.redis("-NOPERM no\r\n");
                if mode == "OFF" {
                    rig.say("CLIENT REPLY ON");
                }
                rig.say("GET x");
                rig.redis("$1\r\nv\r\n");
                assert_eq!(rig.heard(), format!("{back}$1\r\nv\r\n"), "{line}");
            }
        }
    }
}

#[test]
fn a_mode_that_does_not_exist_changes_nothing() {
    let mut rig = Rig::new(OPEN);
    rig.say("CLIENT REPLY MAYBE");
    rig.say("FLUSHALL");
    assert!(rig.heard().starts_with("-ERR syntax error\r\n-NOPERM"));
}

#[test]
fn where_redis_has_no_client_command_there_is_none_here() {
    let mut rig = Rig::new(OPEN);
    rig.rename(&[("CLIENT", "")]);
    rig.say("CLIENT REPLY ON");
    assert!(rig.heard().starts_with("-ERR unknown command"));
}

#[test]
fn what_a_silent_request_changes_is_known_all_the_same() {
    let mut rig = Rig::new(OPEN);
    rig.client(&["CLIENT REPLY OFF", "SELECT 9"].map(request).concat());
    rig.redis("+OK\r\n");
    assert_eq!(rig.database(), Some(9));
    rig.say("SELECT 99");
    rig.redis("-ERR DB index is out of range\r\n");
    rig.say("HELLO 3");
    rig.redis("%0\r\n");
    assert_eq!((rig.database(), rig.heard().as_str()), (Some(9), ""));
    rig.say("CLIENT REPLY ON");
    rig.say("ACL GETUSER nobody");
    assert_eq!(rig.heard(), "+OK\r\n_\r\n", "RESP3 it is");
}

#[test]
fn a_silent_transaction_is_executed() {
    let mut rig = Rig::new(OPEN);
    rig.client(&["CLIENT REPLY OFF", "MULTI", "SET a 1", "GET a", "EXEC"].map(request).concat());
    assert_eq!(rig.forwarded(), "MULTI\nSET a 1\nGET a\nEXEC");
    rig.redis("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n$1\r\n1\r\n");
    rig.say("CLIENT REPLY ON");
    assert_eq!((rig.heard().as_str(), rig.closed), ("+OK\r\n", None));
}

#[test]
fn a_monitor_that_wants_no_replies_gets_no_lines() {
    let mut rig = Rig::new(OPEN);
    rig.client(&["CLIENT REPLY OFF", "MONITOR"].map(request).concat());
    rig.redis("+OK\r\n+1.000001 [0 a] \"get\" \"a\"\r\n");
    assert_eq!((rig.heard().as_str(), rig.closed), ("", None));
}

#[test]
fn a_silent_blocking_command_stands_like_any_other() {
    let mut rig = Rig::new(OPEN);
    rig.client(&["CLIENT REPLY OFF", "BLPOP a 0", "GET b"].map(request).concat());
    assert_eq!(rig.forwarded(), "BLPOP a 0", "what is behind it waits");
    rig.reload("user default on nopass ~* &* +@all -blpop\n");
    assert_eq!(rig.closed, Some(CloseReason::OngoingRightLost));
}

#[test]
fn reset_is_answered_after_off_and_not_after_skip() {
    for (mode, heard) in [("OFF", "+RESET\r\n"), ("SKIP", "")] {
        let mut rig = Rig::new(OPEN);
        rig.client(&[request(&format!("CLIENT REPLY {mode}")), request("RESET")].concat());
        assert_eq!(rig.heard(), heard, "{mode}");
        rig.say("FLUSHALL");
        assert!(rig.heard().starts_with("-NOPERM"), "{mode}");
    }
}

//! CLIENT REPLY: what is not answered, answers of ours included.

use super::rig::{OPEN, Rig, request, trace};
use crate::resp::encode_request;
use crate::session::CloseReason;

#[test]
fn off_silences_everything_of_ours_and_waits_for_nothing_of_redis() {
    let mut rig = Rig::new(OPEN);
    for line in ["CLIENT REPLY OFF", "SET a 1", "FLUSHALL", "ACL WHOAMI", "NOSUCH", "GET"] {
        rig.say(line);
    }
    let forwarded = format!("CLIENT REPLY OFF\nSET a 1\n{}", trace("ACL WHOAMI"));
    assert_eq!((rig.forwarded(), rig.heard().as_str()), (forwarded, ""));
    rig.say("CLIENT REPLY ON");
    rig.redis("+OK\r\n");
    rig.say("FLUSHALL");
    assert!(rig.heard().starts_with("+OK\r\n-NOPERM"));
}

/// The trace of a command in these words, as Redis is sent it.
fn traced(words: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let text = trace(words);
    encode_request(&["ECHO", text.strip_prefix("ECHO ").unwrap()], &mut bytes);
    bytes
}

#[test]
fn skip_silences_one_request_and_redis_is_kept_in_step_when_that_one_is_ours() {
    let nothing = || b"*0\r\n".to_vec();
    for (silent, sent) in [
        ("FLUSHALL", nothing()),
        ("NOSUCH x", nothing()),
        ("GET", nothing()),
        ("ACL WHOAMI", traced("ACL WHOAMI")),
        ("AUTH default x", traced("AUTH * *")),
    ] {
        let mut rig = Rig::new(OPEN);
        rig.say("CLIENT REPLY SKIP");
        rig.say(silent);
        assert_eq!(rig.heard(), "", "{silent}");
        assert_eq!(rig.sent(), [request("CLIENT REPLY SKIP"), sent].concat(), "{silent}");
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

/// Redis's answer to the UNSUBSCRIBE of ours.
fn fence(kind: char, left: u32) -> String {
    confirmation(kind, "unsubscribe", "respgate:fence", left)
}

fn confirmation(kind: char, verb: &str, name: &str, left: u32) -> String {
    format!("{kind}3\r\n${}\r\n{verb}\r\n${}\r\n{name}\r\n:{left}\r\n", verb.len(), name.len())
}

const FENCE: &str = "UNSUBSCRIBE respgate:fence";

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
fn confirmations_come_even_where_replies_are_off() {
    for (kind, mut rig) in both() {
        let said = ["CLIENT REPLY OFF", "SUBSCRIBE a", "NOSUCH", "UNSUBSCRIBE", "CLIENT REPLY ON", "GET y"];
        rig.client(&said.map(request).concat());
        assert_eq!(rig.forwarded(), format!("CLIENT REPLY OFF\nSUBSCRIBE a\n{FENCE}"));
        let subscribed = confirmation(kind, "subscribe", "a", 1);
        rig.redis(&subscribed);
        assert_eq!(rig.forwarded(), "", "before the fence nothing goes on");
        rig.redis(fence(kind, 1));
        assert_eq!(rig.forwarded(), format!("UNSUBSCRIBE\n{FENCE}"));
        let unsubscribed = confirmation(kind, "unsubscribe", "a", 0);
        rig.redis(format!("{unsubscribed}{}", fence(kind, 0)));
        assert_eq!(rig.forwarded(), "CLIENT REPLY ON\nGET y");
        rig.redis("+OK\r\n$1\r\nv\r\n");
        assert_eq!(rig.heard(), format!("{subscribed}{unsubscribed}+OK\r\n$1\r\nv\r\n"));
        assert_eq!(rig.core.subscriptions.memory(), 0);
    }
}

#[test]
fn a_subscription_after_skip_is_confirmed_and_ends_skip() {
    for (kind, mut rig) in both() {
        rig.client(&["CLIENT REPLY SKIP", "SUBSCRIBE a", "PING"].map(request).concat());
        assert_eq!(rig.forwarded(), format!("CLIENT REPLY SKIP\nSUBSCRIBE a\n{FENCE}"));
        let subscribed = confirmation(kind, "subscribe", "a", 1);
        rig.redis(format!("{subscribed}{}", fence(kind, 1)));
        rig.redis("*2\r\n$4\r\npong\r\n$0\r\n\r\n");
        assert_eq!(rig.heard(), format!("{subscribed}*2\r\n$4\r\npong\r\n$0\r\n\r\n"));
        assert_eq!(rig.closed, None);
    }
}

#[test]
fn a_subscription_that_redis_refuses_unheard_holds_nothing_up() {
    let family = ["SUBSCRIBE a", "PSUBSCRIBE a", "SSUBSCRIBE a", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE a"];
    for line in family {
        for (kind, mut rig) in both() {
            rig.client(&["CLIENT REPLY OFF", line, "CLIENT REPLY ON", "GET x"].map(request).concat());
            rig.redis(fence(kind, 0));
            rig.redis("+OK\r\n$1\r\nv\r\n");
            assert_eq!(rig.heard(), "+OK\r\n$1\r\nv\r\n", "{line}");
            assert_eq!(rig.forwarded(), format!("CLIENT REPLY OFF\n{line}\n{FENCE}\nCLIENT REPLY ON\nGET x"));
        }
        for (_, mut rig) in both() {
            rig.client(&["CLIENT REPLY SKIP", line, "GET x"].map(request).concat());
            rig.redis("-NOPERM of our own UNSUBSCRIBE\r\n");
            rig.redis("$1\r\nv\r\n");
            assert_eq!(rig.heard(), "$1\r\nv\r\n", "{line}");
        }
    }
}

#[test]
fn the_end_of_unheard_confirmations_is_found_however_they_are_cut() {
    let (subscribed, end) = (confirmation('*', "subscribe", "a", 1), fence('*', 1));
    let message = "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nm\r\n";
    let bytes = [subscribed.as_str(), message, &end, message].concat();
    for cut in 0..bytes.len() {
        let mut rig = Rig::new(OPEN);
        rig.client(&["CLIENT REPLY OFF", "SUBSCRIBE a"].map(request).concat());
        rig.redis(&bytes[..cut]);
        rig.redis(&bytes[cut..]);
        assert_eq!(rig.heard(), [subscribed.as_str(), message, message].concat(), "cut at {cut}");
        assert!(rig.core.pending.is_empty() && rig.closed.is_none(), "cut at {cut}");
    }
}

#[test]
fn a_frame_that_confirms_nothing_ends_the_session_where_only_confirmations_may_come() {
    for reply in ["+OK\r\n", "*1\r\n+x\r\n", ":1\r\n"] {
        for (_, mut rig) in both() {
            rig.client(&["CLIENT REPLY OFF", "SUBSCRIBE a"].map(request).concat());
            rig.redis(reply);
            assert_eq!(rig.closed, Some(CloseReason::UpstreamDesynchronised), "{reply}");
        }
    }
}

#[test]
fn an_unheard_subscription_is_refused_where_redis_has_no_unsubscribe() {
    let mut rig = Rig::new(OPEN);
    rig.rename(&[("UNSUBSCRIBE", "")]);
    rig.client(&["CLIENT REPLY OFF", "SUBSCRIBE a", "CLIENT REPLY ON"].map(request).concat());
    assert_eq!(rig.forwarded(), "CLIENT REPLY OFF\nCLIENT REPLY ON");
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

#[test]
fn no_client_names_the_channel_whose_confirmation_ends_the_wait_for_an_unheard_subscription() {
    for verb in ["SUBSCRIBE", "UNSUBSCRIBE", "PSUBSCRIBE", "PUNSUBSCRIBE", "SSUBSCRIBE", "SUNSUBSCRIBE"] {
        let mut rig = Rig::new(OPEN);
        rig.say("CLIENT REPLY OFF");
        rig.forwarded();
        rig.say(&format!("{verb} respgate:fence other"));
        assert_eq!(rig.forwarded(), "", "{verb}");
        let mut rig = Rig::new(OPEN);
        rig.say(&format!("{verb} other respgate:fence"));
        assert_eq!(rig.heard(), "-ERR respgate: this name is reserved\r\n", "{verb}");
    }
}

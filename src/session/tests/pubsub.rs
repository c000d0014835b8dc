//! The SUBSCRIBE family, RESP2 subscriber mode, MONITOR.

use super::rig::{CLOSED, OPEN, Rig, request};
use crate::session::CloseReason;

fn confirmation(kind: char, name: &str, channel: &str, total: u32) -> String {
    format!("{kind}3\r\n${}\r\n{name}\r\n${}\r\n{channel}\r\n:{total}\r\n", name.len(), channel.len())
}

fn subscribed(kind: char) -> Rig {
    let mut rig = Rig::new(OPEN);
    if kind == '>' {
        rig.say("HELLO 3");
        rig.redis("%0\r\n");
    }
    rig.say("SUBSCRIBE a b");
    rig.redis(confirmation(kind, "subscribe", "a", 1));
    rig.redis(confirmation(kind, "subscribe", "b", 2));
    rig.heard();
    rig.sent();
    rig
}

#[test]
fn a_subscription_has_one_confirmation_per_channel_and_what_follows_waits_for_all() {
    for (kind, hello) in [('*', "HELLO 2"), ('>', "HELLO 3")] {
        let mut rig = Rig::new(OPEN);
        rig.say(hello);
        rig.redis("*0\r\n");
        rig.heard();
        rig.client(&[request("SUBSCRIBE a b a"), request("FLUSHALL"), request("PING")].concat());
        let one = confirmation(kind, "subscribe", "a", 1);
        let two = confirmation(kind, "subscribe", "b", 2);
        rig.redis(&one);
        rig.redis(&two);
        assert_eq!(rig.heard(), format!("{one}{two}"));
        rig.redis(&two);
        let heard = rig.heard();
        assert!(heard.starts_with(&format!("{two}-")), "{hello}: {heard}");
        assert!(rig.forwarded().ends_with("PING"));
        assert_eq!(rig.closed, None);
    }
}

#[test]
fn one_error_takes_the_place_of_all_confirmations() {
    let mut rig = Rig::new(OPEN);
    rig.client(&[request("SSUBSCRIBE a b"), request("GET x")].concat());
    rig.redis("-CROSSSLOT Keys in request don't hash to the same slot\r\n");
    rig.redis("$1\r\nv\r\n");
    assert!(rig.heard().ends_with("slot\r\n$1\r\nv\r\n"));
    assert_eq!(rig.forwarded(), "SSUBSCRIBE a b\nGET x");
}

#[test]
fn unsubscribing_from_everything_has_a_confirmation_per_subscription_and_at_least_one() {
    for kind in ['*', '>'] {
        let mut rig = subscribed(kind);
        rig.client(&[request("UNSUBSCRIBE"), request("GET x")].concat());
        assert_eq!(rig.forwarded(), "UNSUBSCRIBE");
        rig.redis(confirmation(kind, "unsubscribe", "b", 1));
        assert_eq!(rig.forwarded(), "");
        rig.redis(confirmation(kind, "unsubscribe", "a", 0));
        assert_eq!(rig.forwarded(), "GET x");
        rig.redis("$1\r\nv\r\n");
        rig.say("UNSUBSCRIBE");
        rig.say("GET x");
        rig.redis(format!("{kind}3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n"));
        rig.redis("$1\r\nw\r\n");
        assert!(rig.heard().ends_with("$1\r\nw\r\n"));
    }
}

#[test]
fn patterns_and_channels_are_counted_apart_though_redis_sums_them() {
    let mut rig = subscribed('*');
    rig.say("PSUBSCRIBE n* m*");
    rig.redis(confirmation('*', "psubscribe", "n*", 3) + &confirmation('*', "psubscribe", "m*", 4));
    rig.say("UNSUBSCRIBE");
    rig.say("PING");
    rig.redis(confirmation('*', "unsubscribe", "a", 3) + &confirmation('*', "unsubscribe", "b", 2));
    assert!(rig.forwarded().ends_with("UNSUBSCRIBE\nPING"));
    rig.redis("*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    rig.say("PUNSUBSCRIBE");
    rig.say("GET x");
    rig.redis(confirmation('*', "punsubscribe", "n*", 1) + &confirmation('*', "punsubscribe", "m*", 0));
    assert_eq!(rig.forwarded(), "PUNSUBSCRIBE\nGET x");
}

#[test]
fn a_resp2_subscriber_may_say_seven_things() {
    let mut rig = subscribed('*');
    for line in ["GET x", "MULTI", "SELECT 1", "HELLO 3", "ACL WHOAMI", "AUTH default x", "CLIENT ID", "PUBLISH a b"] {
        rig.say(line);
        let heard = rig.heard();
        assert!(heard.starts_with("-ERR Can't execute '"), "{line}: {heard}");
        assert!(heard.ends_with("PING / QUIT / RESET are allowed in this context\r\n"), "{line}: {heard}");
    }
    assert_eq!(rig.forwarded(), "");
    rig.say("PING");
    assert_eq!(rig.forwarded(), "PING");
}

#[test]
fn a_resp3_subscriber_may_say_anything() {
    let mut rig = subscribed('>');
    rig.say("GET x");
    rig.redis(">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nm\r\n$1\r\nv\r\n");
    assert_eq!(rig.forwarded(), "GET x");
    assert!(rig.heard().ends_with("$1\r\nm\r\n$1\r\nv\r\n"));
}

#[test]
fn messages_interleave_with_the_replies_of_a_resp2_subscriber_however_they_are_cut() {
    let message = "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nm\r\n";
    let pong = "*2\r\n$4\r\npong\r\n$0\r\n\r\n";
    let bytes = [message, pong, message, message, pong].concat();
    for cut in 0..bytes.len() {
        let mut rig = subscribed('*');
        rig.client(&[request("PING"), request("GET x"), request("PING")].concat());
        rig.redis(&bytes[..cut]);
        rig.redis(&bytes[cut..]);
        let heard = rig.heard();
        let (before, after) = heard.split_once("-ERR Can't execute 'get'").unwrap();
        assert_eq!(before, [message, pong].concat(), "cut at {cut}");
        assert!(after.ends_with(&[message, message, pong].concat()), "cut at {cut}");
        assert_eq!(rig.closed, None);
    }
}

#[test]
fn an_array_that_looks_like_a_message_is_a_reply_where_nothing_is_subscribed() {
    let mut rig = Rig::new(OPEN);
    rig.client(&[request("LRANGE l 0 -1"), request("FLUSHALL")].concat());
    let reply = "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nm\r\n";
    rig.redis(reply);
    assert!(rig.heard().starts_with(&format!("{reply}-NOPERM")));
}

#[test]
fn a_subscription_that_redis_ends_by_itself_ends_the_subscriber_mode() {
    let mut rig = subscribed('*');
    rig.redis(confirmation('*', "unsubscribe", "a", 1) + &confirmation('*', "unsubscribe", "b", 0));
    rig.say("GET x");
    assert_eq!(rig.forwarded(), "GET x");
}

#[test]
fn a_channel_that_the_user_may_not_hear_is_refused() {
    let mut rig = Rig::new(CLOSED);
    rig.say("AUTH alice x");
    rig.heard();
    rig.say("SUBSCRIBE news:a secrets");
    let text = "-NOPERM this user has no permissions to access one of the channels used as arguments\r\n";
    assert_eq!((rig.heard().as_str(), rig.forwarded().as_str()), (text, ""));
}

#[test]
fn after_monitor_only_quit_and_reset_are_accepted() {
    let mut rig = Rig::new(OPEN);
    rig.client(&[request("GET a"), request("MONITOR"), request("SET b 1")].concat());
    assert_eq!(rig.forwarded(), "GET a\nMONITOR");
    rig.redis("$1\r\nv\r\n+OK\r\n");
    let line = format!("+1795497215.974607 [0 127.0.0.1:42650] \"PING\" \"{}\"\r\n", "x".repeat(1000));
    rig.redis(&line);
    rig.say("CONFIG SET maxmemory 1");
    rig.redis(&line[..900]);
    rig.say("ACL WHOAMI");
    rig.redis(&line[900..]);
    rig.say("CLIENT KILL ID 1");
    let heard = rig.heard();
    let told: Vec<_> = heard.lines().map(|line| line.split(' ').next().unwrap()).collect();
    let stamp = "+1795497215.974607";
    assert_eq!(told, ["$1", "v", "+OK", "-ERR", stamp, "-NOPERM", stamp, "-ERR", "-ERR"], "{heard}");
    assert_eq!((rig.forwarded().as_str(), rig.closed), ("", None));
    rig.say("QUIT");
    assert_eq!(rig.heard(), "+OK\r\n");
    assert_eq!(rig.closed, Some(CloseReason::Quit));
}

#[test]
fn lines_of_monitor_pass_as_they_come() {
    let short = "+1795497215.974607 [0 127.0.0.1:42650] \"ECHO\" \"respgate:0123456789abcdef auth * *\"\r\n".repeat(2);
    let large = format!("+1795497215.974607 [0 127.0.0.1:42650] \"SET\" \"k\" \"{}\"\r\n", "x".repeat(1 << 20));
    for (lines, cuts) in [(&short, 1..short.len()), (&large, 1000..1001)] {
        for cut in cuts {
            let mut rig = Rig::new(OPEN);
            rig.say("MONITOR");
            rig.redis("+OK\r\n");
            rig.heard();
            rig.redis(&lines[..cut]);
            let first = rig.heard();
            assert_eq!(first, lines[..first.len()], "cut at {cut}");
            assert!(cut - first.len() < 4, "{} bytes are held", cut - first.len());
            rig.redis(&lines[cut..]);
            assert!(first + &rig.heard() == *lines, "cut at {cut}");
        }
    }
}

#[test]
fn a_monitor_that_is_refused_by_redis_changes_nothing() {
    let mut rig = Rig::new(OPEN);
    rig.say("MONITOR");
    rig.redis("-ERR no\r\n");
    rig.say("GET a");
    assert_eq!(rig.forwarded(), "MONITOR\nGET a");
}

#[test]
fn a_subscriber_or_monitor_that_leaves_is_gone_at_once() {
    let mut rig = subscribed('*');
    rig.client_leaves();
    assert_eq!(rig.closed, Some(CloseReason::ClientGone));
    let mut rig = Rig::new(OPEN);
    rig.say("MONITOR");
    rig.redis("+OK\r\n");
    rig.client_leaves();
    assert_eq!(rig.closed, Some(CloseReason::ClientGone));
}

//! What a session waits in.

use super::rig::{CLOSED, OPEN, Rig};
use crate::session::Activity;

#[test]
fn a_session_is_shown_by_what_holds_it_up() {
    let at = |acl: &str, lines: &[&str], replies: &str| {
        let mut rig = Rig::new(acl);
        lines.iter().for_each(|line| rig.say(line));
        rig.redis(replies);
        rig.core.activity()
    };
    const SUBSCRIBED: &str = "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n";
    assert_eq!(at(CLOSED, &[], ""), Activity::Login);
    assert_eq!(at(CLOSED, &["AUTH default secret"], ""), Activity::Password);
    assert_eq!(at(OPEN, &[], ""), Activity::Client);
    assert_eq!(at(OPEN, &["GET a"], ""), Activity::Redis);
    assert_eq!(at(OPEN, &["GET a"], "$-1\r\n"), Activity::Client);
    assert_eq!(at(OPEN, &["BLPOP q 0"], ""), Activity::Blocked((*b"BLPOP").into()));
    assert_eq!(at(OPEN, &["SUBSCRIBE a"], SUBSCRIBED), Activity::Subscribed);
    assert_eq!(at(OPEN, &["MONITOR"], "+OK\r\n"), Activity::Monitor);
    assert_eq!(at(OPEN, &["PSYNC ? -1"], ""), Activity::Replica);
}

#[test]
fn a_session_that_waits_for_its_connection_or_its_reader_says_so() {
    let mut rig = Rig::new(OPEN);
    rig.connects = false;
    rig.say("GET a");
    assert_eq!(rig.core.activity(), Activity::Connect);
    let mut rig = Rig::new(OPEN);
    rig.client_reads = false;
    rig.say("GET a");
    rig.redis(format!("${}\r\n{}\r\n", 1 << 20, "v".repeat(1 << 20)));
    assert_eq!(rig.core.activity(), Activity::Unread);
}

//! Replies leave in the order of their requests.

use super::rig::{OPEN, Rig, request};
use crate::session::CloseReason;

const DENIAL: &str = "-NOPERM this user has no permissions to run the 'flushall' command (blocked by respgate)\r\n";

#[test]
fn a_denial_at_every_position_of_a_pipeline_of_100_takes_its_place() {
    for denied in 0..100 {
        let mut rig = Rig::new(OPEN);
        let pipeline: Vec<u8> = (0..100)
            .flat_map(|at| request(&if at == denied { "FLUSHALL".to_owned() } else { format!("ECHO {at}") }))
            .collect();
        rig.client(&pipeline);
        let answer = |at: i32| format!("+{at}\r\n");
        let answers: String = (0..100).filter(|at| *at != denied).map(answer).collect();
        // Redis's answers come one byte at a time.
        for byte in answers.bytes() {
            rig.redis([byte]);
        }
        let expected: String = (0..100).map(|at| if at == denied { DENIAL.to_owned() } else { answer(at) }).collect();
        assert_eq!(rig.heard(), expected, "denied at {denied}");
        assert_eq!(rig.forwarded().lines().count(), 99);
    }
}

#[test]
fn a_denial_waits_for_all_earlier_replies_and_for_no_later_one() {
    let mut rig = Rig::new(OPEN);
    rig.client(&[request("GET a"), request("FLUSHALL"), request("GET b")].concat());
    assert_eq!(rig.heard(), "");
    rig.redis("$1\r\n1\r\n");
    assert!(rig.heard().ends_with("'flushall' command (blocked by respgate)\r\n"));
    rig.redis("$1\r\n2\r\n");
    assert_eq!(rig.heard(), "$1\r\n2\r\n");
}

#[test]
fn what_is_carried_out_here_is_answered_in_its_place_and_redis_is_sent_nothing_of_it() {
    let replies = "$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n";
    for cut in 0..replies.len() {
        let mut rig = Rig::new(OPEN);
        rig.client(&["GET a", "ACL WHOAMI", "GET b", "AUTH default x", "GET c"].map(request).concat());
        assert_eq!((rig.forwarded().as_str(), rig.heard().as_str()), ("GET a\nGET b\nGET c", ""));
        rig.redis(&replies[..cut]);
        rig.redis(&replies[cut..]);
        let expected = "$1\r\n1\r\n$7\r\ndefault\r\n$1\r\n2\r\n+OK\r\n$1\r\n3\r\n";
        assert_eq!(rig.heard(), expected, "cut at {cut}");
        assert_eq!(rig.core.memory(), 0, "cut at {cut}");
    }
}

#[test]
fn info_is_a_request_like_any_other() {
    let mut rig = Rig::new(OPEN);
    rig.client(&["INFO", "FLUSHALL", "GET a"].map(request).concat());
    assert_eq!(rig.forwarded(), "INFO\nGET a", "nothing waits for its reply");
    let reply = format!("${}\r\n# Stats\r\ntotal_error_replies:7\r\n", 1 << 20);
    rig.redis(&reply);
    assert_eq!(rig.heard(), reply, "which is not held");
}

#[test]
fn a_push_between_replies_takes_no_slot() {
    let mut rig = resp3();
    rig.client(&[request("GET a"), request("FLUSHALL")].concat());
    let pushes = [">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n", ">2\r\n$10\r\ninvalidate\r\n_\r\n"];
    rig.redis([pushes[0], "$1\r\n1\r\n", pushes[1]].concat());
    assert_eq!(rig.heard(), [pushes[0], "$1\r\n1\r\n", DENIAL, pushes[1]].concat());
}

#[test]
fn an_answer_of_ours_comes_before_the_push_that_is_the_reply_to_what_follows_it() {
    let confirmation = ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n";
    let replies = [":2\r\n", confirmation].concat();
    for cut in 4..replies.len() {
        let mut rig = resp3();
        rig.client(&[request("INCR a"), request("FLUSHALL"), request("SUBSCRIBE c")].concat());
        rig.redis(&replies[..cut]);
        rig.redis(&replies[cut..]);
        assert_eq!(rig.heard(), [":2\r\n", DENIAL, confirmation].concat(), "cut at {cut}");
    }
}

#[test]
fn an_answer_of_ours_waits_for_no_further_push_of_a_stream() {
    let push = ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n";
    let mut rig = resp3();
    rig.client(&request("GET a"));
    rig.redis(["_\r\n", push, &push[..20]].concat());
    rig.say("FLUSHALL");
    rig.redis([&push[20..], push, &push[..20]].concat());
    rig.say("QUIT");
    rig.redis([&push[20..], &push[..5]].concat());
    assert_eq!(rig.heard(), ["_\r\n", push, push, DENIAL, push, push, "+OK\r\n"].concat());
}

fn resp3() -> Rig {
    let mut rig = Rig::new(OPEN);
    rig.say("HELLO 3");
    rig.redis("%0\r\n");
    rig.heard();
    rig
}

#[test]
fn a_refusal_waits_for_the_end_of_a_push_that_is_being_passed_on() {
    let mut rig = Rig::new(OPEN);
    rig.say("HELLO 3");
    rig.redis("%0\r\n");
    rig.heard();
    rig.redis(">2\r\n$10\r\ninvalidate\r\n*1\r\n$10\r\n01234");
    rig.say("FLUSHALL");
    rig.redis("56789\r\n");
    let heard = rig.heard();
    assert!(heard.contains("\r\n0123456789\r\n-NOPERM"), "{heard}");
    rig.say("GET a");
    rig.redis("$1\r\nv\r\n");
    assert_eq!(rig.heard(), "$1\r\nv\r\n");
}

#[test]
fn a_refusal_waits_for_the_end_of_a_message_that_is_being_passed_on() {
    let mut rig = Rig::new(OPEN);
    rig.say("SUBSCRIBE a");
    rig.redis("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    rig.heard();
    rig.redis("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$10\r\n01234");
    rig.say("GET a");
    rig.redis("56789\r\n");
    let heard = rig.heard();
    assert!(heard.starts_with("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$10\r\n0123456789\r\n-ERR Can't execute"), "{heard}");
}

#[test]
fn quit_is_answered_after_all_earlier_replies_and_ends_the_session() {
    let mut rig = Rig::new(OPEN);
    rig.client(&[request("SET a 1"), request("QUIT"), request("SET a 2")].concat());
    assert_eq!((rig.heard().as_str(), rig.closed), ("", None));
    rig.redis("+OK\r\n");
    assert_eq!(rig.heard(), "+OK\r\n+OK\r\n");
    assert_eq!(rig.closed, Some(CloseReason::Quit));
    assert_eq!(rig.forwarded(), "SET a 1");
}

#[test]
fn a_login_is_a_barrier_for_what_follows() {
    let mut rig = Rig::new("user default on nopass ~* &* +@all\nuser bob on >secret ~* +@all\n");
    rig.client(&[request("GET a"), request("AUTH bob wrong"), request("GET b")].concat());
    assert_eq!(rig.forwarded(), "GET a");
    assert!(rig.verifying.is_some());
    rig.verified(crate::session::LoginOutcome::Rejected);
    assert_eq!(rig.forwarded(), "GET b");
    rig.redis("$1\r\n1\r\n$1\r\n2\r\n");
    let expected = "$1\r\n1\r\n-WRONGPASS invalid username-password pair or user is disabled.\r\n$1\r\n2\r\n";
    assert_eq!(rig.heard(), expected);
}

#[test]
fn select_changes_the_database_once_redis_says_so() {
    let mut rig = Rig::new(OPEN);
    rig.client(&[request("SELECT 3"), request("GET a")].concat());
    assert_eq!((rig.forwarded().as_str(), rig.database()), ("SELECT 3\nGET a", None));
    rig.redis("+OK\r\n");
    assert_eq!(rig.database(), Some(3));
    rig.redis("$-1\r\n");
    rig.say("SELECT 99");
    rig.redis("-ERR DB index is out of range\r\n");
    assert_eq!(rig.database(), Some(3));
    rig.say("SELECT +4");
    rig.redis("+OK\r\n");
    assert_eq!(rig.database(), None, "not a number to Redis: whatever it made of it, we do not know");
}

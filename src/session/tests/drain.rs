//! The end of the process: what is owed still comes, and nobody is waited for who waits himself.

use std::time::Duration;

use super::rig::{CLOSED, HALF_CLOSE_TIMEOUT, OPEN, Rig};
use crate::session::{CloseReason, LoginOutcome};

const A_MOMENT: Duration = Duration::from_millis(1);

impl Rig {
    /// The process begins to end.
    fn drained(&mut self) {
        self.core.handle_drain(self.now, self.now + HALF_CLOSE_TIMEOUT);
        self.redis("");
    }
}

#[test]
fn a_draining_session_ends_when_nothing_is_owed() {
    let mut rig = Rig::new(OPEN).with_outstanding("GET a");
    rig.drained();
    rig.say("GET b");
    rig.redis("$1\r\nv\r\n");
    assert_eq!((rig.heard().as_str(), rig.forwarded().as_str()), ("$1\r\nv\r\n", "GET a"));
    assert_eq!((rig.closed, rig.unblocking), (Some(CloseReason::Drained), 0));
}

#[test]
fn redis_is_asked_once_to_answer_a_blocking_command_and_the_session_ends_with_its_answer() {
    for command in ["BLPOP q 0", "BLMPOP 0 1 q LEFT", "BZPOPMIN z 0", "XREAD BLOCK 0 STREAMS s $", "WAIT 1 0"] {
        let mut rig = Rig::new(OPEN).with_outstanding(command);
        rig.drained();
        assert_eq!((rig.closed, rig.unblocking), (None, 1), "{command}");
        rig.redis("*-");
        assert_eq!(rig.closed, None, "{command}");
        rig.redis("1\r\n");
        assert_eq!((rig.closed, rig.unblocking), (Some(CloseReason::Drained), 1), "{command}");
        assert_eq!(rig.heard(), "*-1\r\n", "{command}");
    }
}

#[test]
fn a_blocking_command_behind_other_requests_is_given_up_when_redis_has_come_to_it() {
    let mut rig = Rig::new(OPEN).with_outstanding("GET a").with_outstanding("BLPOP q 0");
    rig.drained();
    assert_eq!((rig.closed, rig.unblocking), (None, 0));
    rig.redis("$-1\r\n");
    assert_eq!((rig.closed, rig.unblocking), (None, 1));
}

#[test]
fn a_blocking_command_is_given_up_once_redis_has_been_sent_it() {
    let mut rig = Rig::new(OPEN);
    rig.redis_reads = false;
    rig.say("BLPOP q 0");
    rig.drained();
    assert_eq!(rig.unblocking, 0);
    rig.redis_reads = true;
    rig.redis("");
    assert_eq!((rig.closed, rig.unblocking), (None, 1));
}

#[test]
fn where_redis_does_not_give_it_up_the_session_ends_unless_its_answer_comes() {
    let mut rig = Rig::new(OPEN).with_outstanding("BLPOP q 0");
    rig.drained();
    assert_eq!(rig.core.handle_not_unblocked(), Err(CloseReason::Drained));
    rig.redis("*2\r\n$1\r\nq\r\n$3\r\njo");
    assert_eq!(rig.core.handle_not_unblocked(), Ok(()), "it has begun");
    rig.redis("b\r\n");
    assert_eq!(rig.core.handle_not_unblocked(), Ok(()), "it is there");
    assert_eq!((rig.heard().as_str(), rig.closed), ("*2\r\n$1\r\nq\r\n$3\r\njob\r\n", Some(CloseReason::Drained)));
}

#[test]
fn a_subscriber_that_waits_in_a_blocking_command_is_answered_before_it_ends() {
    const SUBSCRIBED: &str = ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n";
    let subscriber = || {
        let mut rig = Rig::new(OPEN).with_outstanding("HELLO 3");
        rig.redis("%0\r\n");
        rig.say("SUBSCRIBE c");
        rig.redis(SUBSCRIBED);
        rig
    };
    let mut rig = subscriber().with_outstanding("BLPOP q 0");
    rig.drained();
    assert_eq!((rig.closed, rig.unblocking), (None, 1));
    rig.redis("_\r\n");
    assert_eq!((rig.heard(), rig.closed), (format!("%0\r\n{SUBSCRIBED}_\r\n"), Some(CloseReason::Drained)));
}

#[test]
fn whoever_is_told_something_unasked_ends_last_and_hears_what_has_come() {
    let (subscribed, message) =
        ("*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n", "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n");
    let told = [
        ("SUBSCRIBE c", subscribed, message),
        ("MONITOR", "+OK\r\n", "+1 [0 lua] \"GET\" \"a\"\r\n"),
        ("CLIENT TRACKING on", "+OK\r\n", ""),
    ];
    for (command, confirmed, news) in told {
        let mut rig = Rig::new(OPEN).with_outstanding(command);
        rig.redis(confirmed);
        rig.drained();
        assert_eq!(rig.closed, None, "{command}");
        assert!(rig.core.waits_for_last_drain());
        rig.core.handle_last_drain(rig.now);
        rig.redis(news);
        assert_eq!(rig.closed, Some(CloseReason::Drained), "{command}");
        assert_eq!(rig.heard(), format!("{confirmed}{news}"), "{command}");
    }
}

#[test]
fn whoever_is_no_longer_told_anything_unasked_does_not_wait_for_the_last() {
    let mut rig = Rig::new(OPEN).with_outstanding("SUBSCRIBE c");
    rig.redis("*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    rig.drained();
    rig.say("UNSUBSCRIBE c");
    assert_eq!(rig.closed, None);
    rig.redis("*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n");
    assert_eq!(rig.closed, Some(CloseReason::Drained));
}

#[test]
fn whoever_waits_for_the_last_ends_at_the_deadline_all_the_same() {
    let mut rig = Rig::new(OPEN).with_outstanding("MONITOR");
    rig.redis("+OK\r\n");
    rig.drained();
    rig.wait(HALF_CLOSE_TIMEOUT - A_MOMENT);
    assert_eq!(rig.closed, None);
    rig.wait(A_MOMENT);
    assert_eq!(rig.closed, Some(CloseReason::Drained));
}

#[test]
fn an_open_transaction_is_executed_before_the_session_ends() {
    let mut rig = Rig::new(OPEN).with_outstanding("MULTI");
    rig.redis("+OK\r\n");
    rig.drained();
    assert_eq!((rig.closed, rig.core.waits_for_last_drain()), (None, false));
    rig.say("SET a 1");
    rig.redis("+QUEUED\r\n");
    rig.say("EXEC");
    rig.say("SET b 1");
    rig.redis("*1\r\n+OK\r\n");
    assert_eq!((rig.forwarded().as_str(), rig.closed), ("MULTI\nSET a 1\nEXEC", Some(CloseReason::Drained)));
}

#[test]
fn an_open_transaction_is_waited_for_no_longer_than_two_seconds() {
    let mut rig = Rig::new(OPEN).with_outstanding("MULTI");
    rig.redis("+OK\r\n");
    rig.wait(Duration::from_secs(10));
    rig.drained();
    rig.wait(Duration::from_secs(2) - A_MOMENT);
    assert_eq!(rig.closed, None);
    rig.wait(A_MOMENT);
    assert_eq!(rig.closed, Some(CloseReason::Drained));
}

#[test]
fn a_session_that_has_only_begun_is_answered_once_before_it_ends() {
    let mut rig = Rig::new(OPEN);
    rig.drained();
    assert_eq!(rig.closed, None);
    rig.say("PING");
    rig.redis("+PONG\r\n");
    assert_eq!((rig.heard().as_str(), rig.closed), ("+PONG\r\n", Some(CloseReason::Drained)));
}

#[test]
fn a_session_that_says_nothing_in_its_first_two_seconds_is_not_waited_for() {
    let mut rig = Rig::new(OPEN);
    rig.wait(Duration::from_secs(1));
    rig.drained();
    rig.wait(Duration::from_secs(1) - A_MOMENT);
    assert_eq!(rig.closed, None);
    rig.wait(A_MOMENT);
    assert_eq!(rig.closed, Some(CloseReason::Drained));
}

#[test]
fn a_hello_that_waits_for_earlier_replies_is_answered_before_the_session_ends() {
    let mut rig = Rig::new(OPEN).with_outstanding("GET a").with_outstanding("HELLO 3");
    rig.drained();
    rig.redis("$-1\r\n");
    assert_eq!((rig.closed, rig.forwarded().as_str()), (None, "GET a\nHELLO 3"));
    rig.redis("%0\r\n");
    assert_eq!((rig.heard().as_str(), rig.closed), ("$-1\r\n%0\r\n", Some(CloseReason::Drained)));
}

#[test]
fn a_reset_that_waits_for_earlier_replies_is_answered_before_the_session_ends() {
    let mut rig = Rig::new(OPEN).with_outstanding("GET a").with_outstanding("RESET");
    rig.drained();
    rig.redis("$-1\r\n");
    assert_eq!((rig.heard().as_str(), rig.closed), ("$-1\r\n+RESET\r\n", Some(CloseReason::Drained)));
}

#[test]
fn who_has_not_logged_in_when_the_drain_begins_is_waited_for_no_longer_than_two_seconds() {
    let mut rig = Rig::new(CLOSED);
    rig.say("AUTH default guess");
    assert!(rig.verifying.is_some());
    rig.drained();
    rig.wait(Duration::from_secs(2) - A_MOMENT);
    assert_eq!(rig.closed, None, "it may be right");
    rig.wait(A_MOMENT);
    assert_eq!(rig.closed, Some(CloseReason::Drained));
}

#[test]
fn a_hello_whose_login_is_verified_after_the_drain_has_begun_is_answered() {
    let mut rig = Rig::new(CLOSED);
    rig.say("HELLO 3 AUTH default secret");
    assert!(rig.verifying.is_some());
    rig.drained();
    assert_eq!(rig.closed, None);
    rig.verified(LoginOutcome::Accepted(0));
    assert_eq!((rig.closed, rig.forwarded().as_str()), (None, "HELLO 3"));
    rig.redis("%0\r\n");
    assert_eq!((rig.heard().as_str(), rig.closed), ("%0\r\n", Some(CloseReason::Drained)));
}

#[test]
fn a_request_that_was_not_taken_does_not_hold_up_a_drain() {
    let mut rig = Rig::new(OPEN).with_outstanding("BLPOP q 0").with_outstanding("SET a 1");
    rig.drained();
    rig.redis("*-1\r\n");
    assert_eq!((rig.forwarded().as_str(), rig.closed), ("BLPOP q 0", Some(CloseReason::Drained)));
}

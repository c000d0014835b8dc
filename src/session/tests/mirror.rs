//! Scripts of users who may not do everything: Redis is told for whom they are, before it gets them.

use super::rig::{Rig, request};
use crate::policy::ScriptRights;
use crate::session::{CloseReason, MirrorFailure};

const USERS: &str = "user default on nopass ~a:* &* +@all -debug\nuser bob on nopass ~b:* +@all\n";
const REFUSED: &str = "-ERR respgate: Redis cannot be told for whom this script would run\r\n";

fn rig(acl: &str) -> Rig {
    let mut rig = Rig::new(acl);
    rig.mirror_users();
    rig
}

/// A session that has run a script as the mirror of its user.
fn mirrored() -> Rig {
    let mut rig = rig(USERS);
    rig.say("EVAL s 0");
    rig.mirrored(true);
    rig.redis("+OK\r\n");
    rig.redis(":1\r\n");
    rig.heard();
    rig.sent();
    rig
}

#[test]
fn a_script_waits_until_redis_lets_the_session_act_for_its_user() {
    let mut rig = rig(USERS);
    rig.say("GET a:1");
    rig.say("EVAL s 0");
    rig.say("GET a:2");
    assert_eq!(rig.forwarded(), "GET a:1");
    assert!(rig.mirroring.is_none(), "earlier replies first");
    rig.redis("$-1\r\n");
    let order = rig.mirroring.as_ref().unwrap();
    let rules = String::from_utf8(order.rules.join(&b' ')).unwrap();
    assert_eq!((order.user.as_str(), order.anew), ("default", false));
    assert!(rules.starts_with("~a:* &* -@all +"), "{rules}");
    assert!(rules.contains("+get ") && !rules.contains("flushall"), "{rules}");
    rig.mirrored(true);
    assert_eq!(rig.forwarded(), "AUTH mirror:default between-us");
    rig.redis("+OK\r\n");
    assert_eq!(rig.forwarded(), "EVAL s 0\nGET a:2");
    rig.redis(":1\r\n$1\r\nx\r\n");
    assert_eq!(rig.heard(), "$-1\r\n:1\r\n$1\r\nx\r\n", "nothing of the login");
}

#[test]
fn a_mirror_may_nothing_that_its_user_may_not() {
    let mut rig = rig("user default on nopass ~a:* &* +@all -echo -ping\n");
    rig.say("EVAL s 0");
    let rules = rig.mirroring.as_ref().unwrap().rules.clone();
    assert!(!rules.iter().any(|rule| rule == b"+echo" || rule == b"+ping"));
}

#[test]
fn one_mirror_is_enough_for_a_session() {
    let mut rig = mirrored();
    rig.say("EVAL s 0");
    rig.say("MULTI");
    assert_eq!(rig.forwarded(), "EVAL s 0\nMULTI");
}

#[test]
fn a_transaction_is_begun_for_the_user_where_it_may_run_scripts() {
    let mut rig = rig(USERS);
    rig.say("MULTI");
    assert_eq!(rig.forwarded(), "");
    rig.mirrored(true);
    rig.redis("+OK\r\n");
    assert_eq!(rig.forwarded(), "AUTH mirror:default between-us\nMULTI");
    let mut rig = self::rig("user default on nopass ~* &* +@all -@scripting\n");
    rig.say("MULTI");
    assert_eq!(rig.forwarded(), "MULTI");
}

#[test]
fn whoever_may_do_everything_and_is_bound_by_nothing_needs_no_mirror() {
    let mut rig = self::rig("user default on nopass ~* &* +@all\n");
    rig.block(&[]);
    rig.say("EVAL s 0");
    assert_eq!(rig.forwarded(), "EVAL s 0");
    let mut rig = self::rig("user default on nopass ~* &* +@all\n");
    rig.say("EVAL s 0");
    assert_eq!(rig.forwarded(), "", "FLUSHALL is blocked, in scripts too");
}

#[test]
fn a_script_is_refused_where_there_is_no_mirror_to_be_had_and_the_next_tries_again() {
    let mut rig = rig(USERS);
    rig.say("EVAL s 0");
    rig.mirrored(false);
    assert_eq!((rig.heard().as_str(), rig.forwarded().as_str()), (REFUSED, ""));
    rig.say("GET a:1");
    assert_eq!(rig.forwarded(), "GET a:1");
    rig.redis("$-1\r\n");
    rig.say("EVAL s 0");
    rig.mirrored(true);
    rig.redis("+OK\r\n");
    assert_eq!(rig.forwarded(), "AUTH mirror:default between-us\nEVAL s 0");
}

#[test]
fn a_mirror_that_redis_does_not_know_is_made_anew_once() {
    let mut rig = rig(USERS);
    rig.say("EVAL s 0");
    rig.mirrored(true);
    rig.redis("-WRONGPASS invalid\r\n");
    assert!(rig.mirroring.as_ref().unwrap().anew);
    rig.mirrored(true);
    rig.redis("-WRONGPASS invalid\r\n");
    assert_eq!(rig.heard(), REFUSED);
    assert_eq!(rig.forwarded(), "AUTH mirror:default between-us\nAUTH mirror:default between-us");
}

#[test]
fn redis_is_told_of_other_rights_before_it_gets_anything_more() {
    let mut rig = mirrored();
    rig.reload("user default on nopass ~c:* &* +@all\n");
    rig.say("GET c:1");
    assert_eq!(rig.forwarded(), "");
    let rules = String::from_utf8(rig.mirroring.as_ref().unwrap().rules.join(&b' ')).unwrap();
    assert!(rules.starts_with("~c:* "), "{rules}");
    rig.mirrored(true);
    assert_eq!(rig.forwarded(), "GET c:1", "the login is still good");
}

#[test]
fn a_session_whose_rights_redis_cannot_be_told_ends() {
    let mut rig = mirrored();
    rig.reload("user default on nopass ~c:* &* +@all\n");
    rig.say("GET c:1");
    rig.mirrored(false);
    assert_eq!(rig.closed, Some(CloseReason::NoMirror));
    assert_eq!(rig.forwarded(), "");
}

#[test]
fn rights_that_change_while_the_mirror_is_made_are_told_too() {
    let mut rig = rig(USERS);
    rig.say("EVAL s 0");
    rig.policy.generation += 1;
    rig.mirrored(true);
    rig.redis("+OK\r\n");
    assert_eq!(rig.forwarded(), "AUTH mirror:default between-us");
    assert!(rig.mirroring.is_some());
    rig.mirrored(true);
    assert_eq!(rig.forwarded(), "EVAL s 0");
}

#[test]
fn after_a_login_the_session_is_somebody_elses_at_redis_too() {
    let mut rig = mirrored();
    rig.say("AUTH bob any");
    assert_eq!((rig.heard().as_str(), rig.forwarded().as_str()), ("+OK\r\n", ""));
    assert!(rig.mirroring.is_none());
    rig.say("GET b:1");
    assert_eq!(rig.mirroring.as_ref().unwrap().user, "bob");
    rig.mirrored(true);
    rig.redis("+OK\r\n");
    assert_eq!(rig.forwarded(), "AUTH mirror:bob between-us\nGET b:1");
}

#[test]
fn a_hello_with_or_behind_a_login_waits_until_the_session_is_somebody_elses_at_redis_too() {
    for said in [&["HELLO 2 AUTH bob any"][..], &["AUTH bob any", "HELLO 2"]] {
        let mut rig = mirrored();
        rig.say("HELLO 3");
        rig.redis("%0\r\n");
        rig.say("SUBSCRIBE c");
        rig.redis(">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
        rig.reload("user default on nopass ~a:* &* +@all -debug\nuser bob on nopass ~b:* &c +@all\n");
        rig.forwarded();
        said.iter().for_each(|line| rig.say(line));
        // Once it speaks RESP2, Redis takes no login from a subscriber.
        assert!(!rig.forwarded().lines().any(|line| line.starts_with("HELLO")), "{said:?}");
        assert_eq!(rig.mirroring.as_ref().unwrap().user, "bob");
        rig.mirrored(true);
        assert_eq!(rig.forwarded(), "AUTH mirror:bob between-us", "{said:?}");
        rig.redis("+OK\r\n");
        assert_eq!(rig.forwarded(), "HELLO 2", "{said:?}");
        rig.heard();
        rig.redis("*0\r\n");
        rig.say("PING");
        rig.redis("*2\r\n$4\r\npong\r\n$0\r\n\r\n");
        assert_eq!(rig.heard(), "*0\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n");
        assert_eq!((rig.forwarded().as_str(), rig.closed), ("PING", None));
    }
}

#[test]
fn a_hello_that_waits_for_a_mirror_counts_as_held() {
    let mut rig = mirrored();
    rig.say("AUTH bob any");
    let before = rig.core.memory();
    rig.say(&format!("HELLO 3 SETNAME {}", "n".repeat(1_000)));
    assert!(rig.mirroring.is_some() && rig.core.memory() > before + 1_000);
}

#[test]
fn reset_goes_back_to_the_proxys_own_user() {
    let mut rig = mirrored();
    rig.say("RESET");
    rig.say("GET a:1");
    assert_eq!(rig.conversations().1, b"*2\r\n$3\r\nGET\r\n$3\r\na:1\r\n");
}

#[test]
fn a_transaction_goes_without_a_mirror_where_there_is_none_but_scripts_in_it_are_refused() {
    let mut rig = rig(USERS);
    rig.say("MULTI");
    rig.mirrored(false);
    assert_eq!(rig.forwarded(), "MULTI");
    rig.redis("+OK\r\n");
    rig.say("EVAL s 0");
    assert_eq!(rig.forwarded(), "respgate:refused");
    rig.redis("-ERR unknown command\r\n");
    assert_eq!(rig.heard(), format!("+OK\r\n{REFUSED}"));
    rig.say("DISCARD");
    rig.redis("+OK\r\n");
    rig.say("MULTI");
    assert_eq!(rig.forwarded(), "DISCARD\nMULTI", "it is not tried each time");
}

#[test]
fn a_script_that_comes_before_redis_was_heard_waits_for_that() {
    let mut rig = rig(USERS);
    let heard = rig.policy.script_rights.clone();
    rig.policy.script_rights = ScriptRights::NotYet;
    rig.say("EVAL s 0");
    assert!(rig.mirroring.is_none() && rig.heard().is_empty());
    rig.policy.script_rights = heard;
    rig.reload(USERS);
    assert!(rig.mirroring.is_some());
}

#[test]
fn a_script_that_was_queued_for_nobody_in_particular_is_not_executed_once_it_needs_a_mirror() {
    let mut rig = rig("user default on nopass ~* &* +@all\n");
    rig.block(&[]);
    rig.client(&["MULTI", "EVAL s 0"].map(request).concat());
    assert_eq!(rig.forwarded(), "MULTI\nEVAL s 0");
    rig.redis("+OK\r\n+QUEUED\r\n");
    rig.block(&["FLUSHALL"]);
    rig.say("EXEC");
    assert_eq!(rig.forwarded(), "respgate:refused\nEXEC");
}

#[test]
fn what_is_answered_here_waits_for_no_mirror() {
    let mut rig = mirrored();
    rig.reload("user default on nopass ~c:* &* +@all\n");
    rig.say("ACL WHOAMI");
    assert!(rig.mirroring.is_none());
    assert_eq!(rig.heard(), "$7\r\ndefault\r\n");
}

#[test]
fn a_transaction_tries_again_for_a_mirror_that_was_not_to_be_had_just_then() {
    let mut rig = rig(USERS);
    rig.say("MULTI");
    rig.not_mirrored(MirrorFailure::Unreachable);
    rig.redis("+OK\r\n");
    rig.say("EXEC");
    rig.redis("*0\r\n");
    assert_eq!(rig.forwarded(), "MULTI\nEXEC");
    rig.say("MULTI");
    assert!(rig.mirroring.is_some());
}

#[test]
fn a_large_request_waits_for_the_rights_of_now() {
    let mut rig = mirrored();
    rig.reload("user default on nopass ~c:* &* +@all\n");
    let large = request(&format!("SET c:1 {}", "v".repeat(200_000)));
    rig.client(&large[..100_000]);
    assert!(rig.sent().is_empty());
    rig.mirrored(true);
    rig.client(&large[100_000..]);
    assert_eq!(rig.sent(), large);
}

#[test]
fn a_large_request_that_was_held_behind_a_blocking_one_waits_for_the_rights_of_now() {
    let mut rig = mirrored();
    rig.core.limits_mut().request_buffer = 100_000;
    rig.say("BLPOP a:1 0");
    rig.sent();
    let large = request(&format!("SET a:1 {}", "v".repeat(300_000)));
    rig.client(&large[..200_000]);
    rig.reload("user default on nopass ~a:* &* +@all -get\n");
    rig.redis("*-1\r\n");
    assert!(rig.sent().is_empty());
    rig.mirrored(true);
    rig.client(&large[200_000..]);
    assert!(rig.sent() == large);
}

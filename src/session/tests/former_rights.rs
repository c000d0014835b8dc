//! What Redis may still execute with rights that the session has lost, during its life and after its end.

use super::rig::{OPEN, Rig, request};
use crate::session::{CloseReason, LoginOutcome};

const LESS: &str = "user default on nopass ~a* &* +@all\n";

#[test]
fn replies_that_are_outstanding_when_rights_are_lost_are_to_requests_with_former_rights_and_later_ones_are_not() {
    let mut rig = Rig::new(OPEN);
    rig.client(&["SET b 1", "SET c 1"].map(request).concat());
    assert!(!rig.core.executes_with_former_rights());
    rig.reload(LESS);
    assert!(rig.core.executes_with_former_rights());
    rig.say("GET a");
    rig.redis("+OK\r\n");
    assert!(rig.core.executes_with_former_rights());
    rig.redis("+OK\r\n");
    assert!(!rig.core.executes_with_former_rights(), "GET is outstanding");
    assert_eq!(rig.closed, None);
}

#[test]
fn nothing_is_of_former_rights_where_none_are_lost_or_the_request_is_judged_as_long_as_it_lasts() {
    for (sent, acl) in [("SET b 1", OPEN), ("BLPOP a 0", LESS), ("SUBSCRIBE a", LESS)] {
        let mut rig = Rig::new(OPEN);
        rig.say(sent);
        rig.reload(acl);
        assert_eq!((rig.core.executes_with_former_rights(), rig.closed), (false, None), "{sent}");
    }
    let mut rig = Rig::new(LESS);
    rig.say("SET a 1");
    rig.reload(OPEN);
    assert!(!rig.core.executes_with_former_rights(), "it has more");
}

#[test]
fn what_is_blocked_or_disabled_since_it_was_sent_was_sent_with_former_rights() {
    let restrictions: [fn(&mut Rig); 2] = [|rig| rig.block(&["SET"]), |rig| rig.rename(&[("SET", "")])];
    for restrict in restrictions {
        let mut rig = Rig::new(OPEN).with_outstanding("SET b 1");
        restrict(&mut rig);
        rig.reload(OPEN);
        assert!(rig.core.executes_with_former_rights());
        rig.redis("+OK\r\n");
        assert!(!rig.core.executes_with_former_rights());
        assert_eq!(rig.closed, None);

        let mut later = Rig::new(OPEN);
        restrict(&mut later);
        let mut remains = Rig::new(OPEN).with_outstanding("SET b 1").core.into_remains().expect("SET is outstanding");
        assert_eq!(remains.handle_policy(&later.policy), Err(CloseReason::PolicyChanged));
    }
    let mut rig = Rig::new(OPEN).with_outstanding("SET b 1");
    rig.block(&[]);
    assert!(!rig.core.executes_with_former_rights(), "less is blocked");
}

#[test]
fn what_a_session_sent_as_another_user_was_sent_with_former_rights() {
    let mut rig = Rig::new("user default on nopass ~* &* +@all\nuser bob on >pw ~b* &* +@all\n");
    rig.client(&["SET a 1", "AUTH bob pw"].map(request).concat());
    rig.verified(LoginOutcome::Accepted(0));
    assert!(rig.core.executes_with_former_rights());
    rig.redis("+OK\r\n");
    assert!(!rig.core.executes_with_former_rights());
}

#[test]
fn a_login_as_the_same_user_or_one_who_may_as_much_loses_no_rights() {
    for login in ["AUTH low pw", "AUTH high pw"] {
        let mut rig = Rig::new("user default off\nuser low on >pw ~a* +get\nuser high on >pw ~* &* +@all\n");
        rig.say("AUTH low pw");
        rig.verified(LoginOutcome::Accepted(0));
        rig.say("GET a");
        rig.say(login);
        rig.verified(LoginOutcome::Accepted(0));
        assert!(!rig.core.executes_with_former_rights(), "{login}");
    }
}

/// Users who may the same, by a thousand patterns in another order each.
fn equals() -> String {
    let patterns: Vec<String> = (0..1000).map(|number| format!("~a{number:03}:*")).collect();
    let back: Vec<&str> = patterns.iter().rev().map(String::as_str).collect();
    let line = |name: &str, patterns: String| format!("user {name} on nopass +@all &* {patterns}\n");
    line("default", patterns.join(" ")) + &line("other", back.join(" "))
}

fn nothing(_: &mut Rig) {}

fn outstanding(rig: &mut Rig) {
    rig.say("GET a000:1");
}

fn subscribed(rig: &mut Rig) {
    rig.say("HELLO 3");
    rig.redis("%0\r\n");
    rig.say("SUBSCRIBE c");
    rig.redis(">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
}

#[test]
fn rights_are_compared_at_a_login_only_where_something_rests_on_them_and_that_is_work_of_the_turn() {
    let turns = |prepare: fn(&mut Rig)| {
        let mut rig = Rig::new(&equals());
        prepare(&mut rig);
        rig.client(&["AUTH other pw", "AUTH default pw"].map(request).concat().repeat(5));
        assert!(rig.core.traffic().answered >= 10 && !rig.core.executes_with_former_rights());
        rig.turns
    };
    assert_eq!(turns(nothing), 0);
    assert!(turns(outstanding) >= 4);
    assert!(turns(subscribed) >= 4);
}

#[test]
fn rights_are_compared_under_another_policy_only_where_something_rests_on_them_and_that_is_work_of_the_turn() {
    let lines = equals();
    let reversed = lines.lines().nth(1).unwrap().replace("user other", "user default");
    let turns = |prepare: fn(&mut Rig)| {
        let mut rig = Rig::new(&lines);
        prepare(&mut rig);
        rig.reload(&reversed);
        rig.reload(&lines);
        rig.reload(&reversed);
        assert_eq!((rig.closed, rig.core.executes_with_former_rights()), (None, false));
        rig.say("GET a000:1");
        rig.turns
    };
    assert_eq!([nothing, outstanding, subscribed].map(turns), [0, 1, 1]);
}

#[test]
fn a_session_that_ends_while_replies_are_outstanding_to_former_rights_leaves_that_behind() {
    let mut rig = Rig::new(OPEN).with_outstanding("SET b 1");
    assert!(!rig.core.executes_with_former_rights());
    rig.reload(LESS);
    assert!(rig.core.into_remains().expect("SET is outstanding").has_former_rights());
}

#[test]
fn what_is_left_of_a_session_is_judged_under_each_policy_until_a_right_is_lost() {
    let judged = |acl: &str| {
        let mut rig = Rig::new(OPEN);
        rig.say("SET b 1");
        rig.reload(acl);
        let Rig { core, policy, .. } = Rig::new(OPEN).with_outstanding("SET b 1");
        let mut remains = core.into_remains().expect("SET is outstanding");
        assert!(remains.handle_policy(&policy).is_ok());
        remains.handle_policy(&rig.policy)
    };
    assert_eq!(judged("user default on nopass ~* &* +@all\nuser eve on\n"), Ok(()));
    assert_eq!(judged(LESS), Err(CloseReason::PolicyChanged));
    assert!(matches!(judged("user default off\n"), Err(CloseReason::Revoked(_))));
}

#[test]
fn nothing_is_left_of_a_session_to_which_redis_owes_nothing() {
    let mut rig = Rig::new(OPEN);
    rig.say("SET b 1");
    rig.redis("+OK\r\n");
    assert!(rig.core.into_remains().is_none());
    assert!(Rig::new(OPEN).with_outstanding("SYNC").core.into_remains().is_some(), "Redis goes on with it");
}

#[test]
fn what_takes_long_to_judge_goes_on_without_that_where_its_user_has_the_rights_it_had() {
    let others: String = (0..100).map(|number| format!("~other{number}:* ")).collect();
    let users = format!("user default on nopass +@all &* {others}~k*");
    let blocked = || Rig::new(&format!("{users}\n")).with_outstanding(&format!("BLPOP{} 0", " k".repeat(25_000)));
    let mut rig = blocked();
    rig.reload(&format!("{users}\nuser other on nopass ~* +@all\n"));
    assert_eq!(rig.closed, None);
    let mut rig = blocked();
    rig.reload("user default on nopass +@all &* ~a*\n");
    assert_eq!(rig.closed, Some(CloseReason::OngoingRightLost));
}

//! Requests that take long to judge: at its turn for that and not before, under what is in force then.

use super::rig::{HALF_CLOSE_TIMEOUT, IDLE_TIMEOUT, Rig, request};
use crate::acl::AclDenial;
use crate::policy::{DenialReason, ShadowSettings, Shadows, UserSettings};
use crate::resp::encode_request;
use crate::session::{Activity, CloseReason, Report, RequestRefusal};

/// Sixty patterns, of which the last is that of all keys here.
fn patterns() -> String {
    (0..59).map(|number| format!("~app:*:x{number}* ")).chain(["~app:*:z*".to_owned()]).collect::<Vec<_>>().concat()
}

fn acl() -> String {
    format!("user default on nopass +@all &* {}\n", patterns())
}

/// Reads so many keys of 50 bytes.
fn exists(keys: usize) -> Vec<u8> {
    request(&format!("EXISTS{}", format!(" app:{}:z", "a".repeat(44)).repeat(keys)))
}

/// About two million comparisons.
const LONG: usize = 600;

/// More than there may be.
const TOO_LONG: usize = 8000;

/// A session that has asked for its turn, which does not come by itself.
fn waiting(bytes: &[u8]) -> Rig {
    let mut rig = Rig::new(&acl());
    rig.core.limits_mut().hold_buffer = 1 << 20;
    rig.long_turns = 0;
    rig.client(bytes);
    assert!(rig.asks_for_long_turn);
    rig
}

/// Its turn comes.
fn long_turn(rig: &mut Rig) {
    assert!(rig.asks_for_long_turn);
    rig.long_turns = 1;
    rig.client(b"");
    assert_eq!(rig.long_turns, 0);
}

#[test]
fn it_waits_for_its_turn_and_nothing_behind_it_is_looked_at() {
    let mut rig = waiting(&[exists(LONG), request("GET a")].concat());
    rig.say("GET b");
    assert_eq!((rig.forwarded().as_str(), rig.heard().as_str()), ("", ""));
    assert_eq!((rig.core.traffic().requests(), rig.core.activity()), (0, Activity::Judgement));
    assert_eq!(rig.core.take_reports(), []);
    long_turn(&mut rig);
    assert_eq!((rig.sent().len(), rig.core.traffic().forwarded), (exists(LONG).len(), 1));
    assert_eq!((rig.core.traffic().refused, rig.asks_for_long_turn), (2, false));
}

#[test]
fn what_is_beyond_all_that_one_request_may_cost_is_refused_at_its_turn() {
    let mut rig = waiting(&exists(TOO_LONG));
    assert_eq!(rig.core.take_reports(), []);
    long_turn(&mut rig);
    assert!(rig.heard().starts_with("-NOPERM"));
    let reports = rig.core.take_reports();
    let effort = RequestRefusal::Denied(DenialReason::Acl(AclDenial::Effort));
    assert!(matches!(&reports[..], [(Report::Refused { reason, .. }, 1)] if *reason == effort), "{reports:?}");
    assert_eq!(rig.forwarded(), "");
}

#[test]
fn each_one_waits_for_a_turn_of_its_own() {
    let mut rig = waiting(&exists(LONG).repeat(3));
    for number in 1..=3 {
        long_turn(&mut rig);
        assert_eq!(rig.core.traffic().forwarded, number);
    }
    assert!(!rig.asks_for_long_turn);
}

#[test]
fn what_takes_no_long_time_waits_for_no_turn() {
    let mut rig = Rig::new(&acl());
    rig.long_turns = 0;
    rig.client(&exists(10));
    assert_eq!((rig.core.traffic().forwarded, rig.asks_for_long_turn), (1, false));
}

#[test]
fn it_is_judged_under_what_is_in_force_at_its_turn() {
    let mut rig = waiting(&exists(LONG));
    rig.reload("user default on nopass +@all -exists &* ~*\n");
    long_turn(&mut rig);
    assert_eq!((rig.core.traffic().refused, rig.forwarded().as_str()), (1, ""));
    let mut rig = waiting(&exists(LONG));
    rig.reload("user default on nopass +@all &* ~*\n");
    long_turn(&mut rig);
    assert_eq!(rig.core.traffic().forwarded, 1);
}

#[test]
fn whoever_waits_is_closed_with_his_user_drained_and_not_idle() {
    let mut rig = waiting(&exists(LONG));
    rig.wait(IDLE_TIMEOUT * 2);
    assert_eq!(rig.closed, None);
    rig.reload("user default off\n");
    assert!(rig.closed.is_some());
    let mut rig = waiting(&[request("PING"), exists(LONG)].concat());
    rig.redis("+PONG\r\n");
    rig.core.handle_drain(rig.now, rig.now + HALF_CLOSE_TIMEOUT);
    rig.client(b"");
    assert_eq!((rig.closed, rig.core.traffic().forwarded), (Some(CloseReason::Drained), 1));
}

#[test]
fn of_a_client_that_has_closed_its_side_it_is_still_judged_for_a_while() {
    let mut rig = waiting(&exists(LONG));
    rig.client_leaves();
    assert_eq!(rig.closed, None);
    long_turn(&mut rig);
    rig.redis(":0\r\n");
    assert_eq!((rig.heard().as_str(), rig.closed), (":0\r\n", Some(CloseReason::ClientGone)));
    let mut rig = waiting(&exists(LONG));
    rig.client_leaves();
    rig.wait(HALF_CLOSE_TIMEOUT);
    assert!(rig.closed.is_some());
}

#[test]
fn a_request_with_a_large_value_is_held_until_then() {
    let key = format!("app:{}:z", "a".repeat(20_000));
    let mut bytes = Vec::new();
    encode_request(&[b"SET".as_slice(), key.as_bytes(), &[b'v'; 100 << 10]], &mut bytes);
    let mut rig = Rig::new(&acl());
    rig.core.limits_mut().hold_buffer = 1 << 20;
    rig.long_turns = 0;
    bytes.chunks(10_000).for_each(|piece| rig.client(piece));
    assert!(rig.sent().is_empty());
    long_turn(&mut rig);
    assert_eq!((rig.sent(), rig.closed), (bytes, None));
}

#[test]
fn rules_that_are_only_tried_out_take_no_long_time_either() {
    let mut rig = Rig::new(&acl());
    let settings =
        UserSettings { shadow: Some(ShadowSettings { until: u64::MAX, opens_names: true }), ..UserSettings::default() };
    let names = ["default".to_owned()];
    let users = names.iter().map(|name| (name, &settings));
    rig.policy.shadows = Shadows::build(users, &rig.policy.acl, &rig.policy.table, 0);
    rig.block(&["CONFIG"]);
    rig.long_turns = 0;
    rig.client(&exists(LONG));
    assert_eq!(rig.core.traffic().requests(), 0);
    long_turn(&mut rig);
    assert_eq!((rig.core.traffic().forwarded, rig.core.take_reports()), (1, vec![]));
}

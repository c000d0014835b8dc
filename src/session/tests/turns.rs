//! What a request costs beside its bytes is work of the turn as well: others have theirs before more of it is done.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::rig::{Rig, policy, request};
use crate::identity::test_pki::{Authority, client};
use crate::identity::{CertificateMap, FieldName, PeerIdentity, RuleSpec, UserFrom};
use crate::learn::{Evidence, TrafficLearner};
use crate::policy::{Policy, UserSettings};
use crate::session::LoginOutcome;

const USERS: &str = "user default on nopass ~* &* +@all\nuser other on nopass ~* &* +@all\n";

/// How many more turns the session takes for these requests, so often.
fn turns(rig: &mut Rig, requests: &[&str], times: usize) -> u32 {
    let before = rig.turns;
    rig.client(&requests.iter().flat_map(|line| request(line)).collect::<Vec<_>>().repeat(times));
    assert_eq!(rig.closed, None);
    rig.turns - before
}

#[test]
fn a_login_is_work_whatever_becomes_of_it() {
    let too_long = format!("AUTH {} x", "n".repeat(200));
    for logins in [["AUTH other x", "AUTH default x"], ["AUTH other x", "AUTH other x"], [&too_long, &too_long]] {
        assert!((3..=5).contains(&turns(&mut Rig::new(USERS), &logins, 60)), "{logins:?}");
    }
}

#[test]
fn passwords_that_a_login_is_held_against_are_work() {
    let of_passwords = |passwords: usize| {
        let passwords: String = (0..passwords).map(|n| format!(" >{n}")).collect();
        let mut rig = Rig::new(&format!("{USERS}user many on ~* +@all{passwords}\n"));
        rig.client(&["AUTH many 0", "AUTH other x"].map(request).concat());
        rig.verified(LoginOutcome::Accepted(0));
        (rig.core.traffic().answered, rig.turns)
    };
    assert_eq!((of_passwords(1), of_passwords(5000)), ((2, 0), (2, 1)));
}

#[test]
fn certificate_rules_that_a_login_a_reset_or_another_policy_asks_are_work() {
    let other_name = |n: usize| RuleSpec {
        fields: vec![(FieldName::Cn, vec![format!("other{n}")])],
        user: "default".to_owned(),
        ..RuleSpec::default()
    };
    let of_rules = |rules: usize, certificate_required: bool| {
        let certificates = CertificateMap::build((0..rules).map(other_name).collect(), UserFrom::Cn).unwrap();
        let settings = UserSettings { certificate_required, reauth: true, ..UserSettings::default() };
        let settings = HashMap::from([("app".to_owned(), settings)]);
        let acl = USERS.to_owned() + "user app on nopass ~* &* +@all\n";
        let certificate = PeerIdentity::from_der(&Authority::new("root").issue(client("app")).der, None).unwrap();
        Rig::with_certificate(Policy { certificates, settings, ..policy(&acl, 1) }, certificate)
    };
    const LOGINS: [&str; 2] = ["AUTH other x", "AUTH app x"];
    assert_eq!(turns(&mut of_rules(1, true), &LOGINS, 8), 0);
    assert_eq!(turns(&mut of_rules(1000, false), &LOGINS, 8), 0);
    assert!(turns(&mut of_rules(1000, true), &LOGINS, 8) >= 7);
    assert_eq!(turns(&mut of_rules(1, true), &["RESET"], 8), 0);
    assert!(turns(&mut of_rules(1000, true), &["RESET"], 8) >= 7);
    for (rules, expected) in [(1, 0), (1000, 1)] {
        let mut rig = of_rules(rules, false);
        rig.block(&[]);
        assert_eq!(turns(&mut rig, &["PING"], 1), expected);
    }
}

#[test]
fn the_rules_of_a_mirror_are_work() {
    let patterns: String = (0..5000).map(|n| format!(" ~a{n}")).collect();
    let made = |patterns: &str| {
        let mut rig = Rig::new(&format!("user default on nopass &* +@all -debug{patterns}\n"));
        rig.mirror_users();
        rig.mirrors = true;
        let turns = turns(&mut rig, &["EVAL return 0", "EVAL return 0"], 1);
        assert!(rig.forwarded().starts_with("AUTH"));
        rig.redis("+OK\r\n");
        assert_eq!(rig.forwarded(), "EVAL return 0\nEVAL return 0");
        (turns, rig.turns)
    };
    assert_eq!(made(" ~a"), (0, 0));
    assert_ne!(made(&patterns), (0, 0));
}

#[test]
fn names_that_are_learnt_are_work() {
    let turns = |names: usize, is_learnt: bool| {
        let mut rig = Rig::new(USERS);
        let learner = is_learnt.then(|| Rc::new(RefCell::new(TrafficLearner::new(Evidence::of_traffic(), 1))));
        rig.core = rig.core.learnt_from_by(learner);
        turns(&mut rig, &[&format!("EXISTS{}", " a".repeat(names))], 6)
    };
    assert_eq!((turns(1000, false), turns(1000, true)), (0, 2));
    assert_eq!((turns(10, false), turns(10, true)), (0, 0));
}

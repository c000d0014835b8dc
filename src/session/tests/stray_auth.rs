//! A password on a session whose certificate says who it is.

use crate::policy::UserRefusal;
use crate::session::CloseReason;
use std::collections::HashMap;
use std::time::Duration;

use super::rig::{HALF_CLOSE_TIMEOUT, Rig, policy, request};
use crate::identity::test_pki::{Authority, client};
use crate::identity::{CertificateMap, FieldName, PeerIdentity, RuleSpec, UserFrom};
use crate::policy::{Policy, Proof, Renames, UserSettings};
use crate::resp::Protocol;
use crate::session::{LoginOutcome, Report};

const USERS: &str =
    "user default on >secret ~* &* +@all\nuser app on >own ~* &* +@all\nuser other on >its ~* &* +@all\n";
const OK: &str = "+OK\r\n";
const WRONGPASS: &str = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
const THROTTLED: &str = "-ERR respgate: too many failed logins, try again later\r\n";
const BUSY: &str = "-ERR respgate: too many logins are waiting, try again later\r\n";
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn no_password_of_anybody_else_is_verified_whatever_the_setting() {
    for is_ignored in [false, true] {
        let mut rig = app(USERS, is_ignored);
        for line in ["AUTH other its", "AUTH other wrong", "AUTH nobody x", "HELLO 3 AUTH other its SETNAME me"] {
            assert_eq!(said(&mut rig, line), WRONGPASS, "{line}");
        }
        is_still_app(&mut rig);
    }
}

#[test]
fn the_password_of_default_is_refused_or_ignored_as_the_setting_says() {
    for (is_ignored, answer) in [(false, WRONGPASS), (true, OK)] {
        for acl in [USERS, &USERS.replace("default on >secret", "default on nopass"), &USERS.replace("on >s", "off >s")]
        {
            let mut rig = app(acl, is_ignored);
            for line in ["AUTH secret", "AUTH wrong", "AUTH default secret", "AUTH default wrong"] {
                assert_eq!(said(&mut rig, line), answer, "{line}, {acl}");
            }
            is_still_app(&mut rig);
        }
    }
}

#[test]
fn hello_greets_where_its_password_is_ignored_and_changes_nothing_where_it_is_refused() {
    for user in ["default", "app"] {
        let line = format!("HELLO 3 AUTH {user} anything SETNAME me");
        let mut rig = app(USERS, true);
        assert_eq!(said(&mut rig, &line), "");
        assert_eq!(rig.forwarded(), "HELLO 3 SETNAME me");
        rig.redis("%0\r\n");
        assert_eq!((rig.heard().as_str(), rig.protocol()), ("%0\r\n", Protocol::Resp3));
        is_still_app(&mut rig);
    }
    let mut rig = app(USERS, false);
    assert_eq!(said(&mut rig, "HELLO 3 AUTH default anything SETNAME me"), WRONGPASS);
    assert_eq!((rig.protocol(), rig.forwarded().as_str()), (Protocol::Resp2, ""));
    for line in ["HELLO 4 AUTH default x", "HELLO 3 AUTH default"] {
        let mut rig = app(USERS, true);
        assert!(said(&mut rig, line).starts_with('-'), "{line}: what is no HELLO is not greeted");
    }
}

#[test]
fn the_own_password_is_verified_and_the_certificate_stays_the_proof() {
    for (outcome, answer) in [(LoginOutcome::Accepted(0), OK), (LoginOutcome::Rejected, WRONGPASS)] {
        let mut rig = app(USERS, false);
        rig.say("AUTH app own");
        assert!(rig.verifying.as_ref().is_some_and(|credentials| credentials.is_own && credentials.hashes.is_some()));
        rig.verified(outcome);
        assert_eq!(rig.heard(), answer);
        is_still_app(&mut rig);
    }
    let mut rig = app(USERS, true);
    assert_eq!(said(&mut rig, "AUTH app wrong"), OK);
    is_still_app(&mut rig);
}

#[test]
fn an_own_password_that_cannot_be_right_is_refused_without_a_look() {
    let without = USERS.replace("app on >own", "app on");
    assert_eq!(said(&mut app(&without, false), "AUTH app own"), WRONGPASS);
    let settings = UserSettings { certificate_only: true, ..UserSettings::default() };
    assert_eq!(said(&mut with_settings(false, settings.clone()), "AUTH app own"), WRONGPASS);
    assert_eq!(said(&mut with_settings(true, settings), "AUTH app own"), OK);
    let nopass = USERS.replace("app on >own", "app on nopass");
    assert_eq!(said(&mut app(&nopass, false), "AUTH app own"), OK);
}

#[test]
fn the_setting_of_the_user_stands_above_the_one_for_all() {
    for (for_all, own, answer) in [(true, Some(false), WRONGPASS), (false, Some(true), OK), (true, None, OK)] {
        let settings = UserSettings { ignore_stray_auth: own, ..UserSettings::default() };
        assert_eq!(said(&mut with_settings(for_all, settings), "AUTH secret"), answer);
    }
}

#[test]
fn a_session_that_may_become_somebody_else_has_its_passwords_verified() {
    let settings = UserSettings { reauth: true, ..UserSettings::default() };
    let mut rig = with_settings(true, settings);
    rig.say("AUTH secret");
    assert!(rig.verifying.as_ref().is_some_and(|credentials| !credentials.is_own));
    rig.verified(LoginOutcome::Accepted(0));
    assert_eq!((rig.heard().as_str(), user(&rig)), (OK, ("default".to_owned(), Proof::Password)));
    rig.say("AUTH app own");
    assert!(rig.verifying.is_some(), "it stands on a password now");
    rig.verified(LoginOutcome::Accepted(0));
    assert_eq!(user(&rig), ("app".to_owned(), Proof::Password));
    rig.say("RESET");
    assert_eq!(user(&rig), ("app".to_owned(), Proof::Certificate));
}

#[test]
fn after_reset_the_session_is_its_certificates_again_and_so_are_its_passwords() {
    let mut rig = app(USERS, true);
    rig.say("RESET");
    rig.heard();
    assert_eq!(said(&mut rig, "AUTH secret"), OK);
    assert_eq!(said(&mut rig, "AUTH other its"), WRONGPASS);
    is_still_app(&mut rig);
}

#[test]
fn a_certificate_of_default_has_its_own_password_verified() {
    let rule = RuleSpec {
        fields: vec![(FieldName::Cn, vec!["app".to_owned()])],
        user: "default".to_owned(),
        ..RuleSpec::default()
    };
    let certificates = CertificateMap::build(vec![rule], UserFrom::Off).unwrap();
    let certified = |ignore_stray_auth: bool| {
        let policy = Policy { certificates: certificates.clone(), ignore_stray_auth, ..policy(USERS, 1) };
        Rig::with_certificate(policy, certificate())
    };
    for line in ["AUTH secret", "AUTH default secret"] {
        let mut rig = certified(false);
        rig.say(line);
        assert!(rig.verifying.as_ref().is_some_and(|credentials| credentials.is_own), "{line}");
        assert_eq!(said(&mut certified(true), line), OK, "{line}");
    }
    assert_eq!(said(&mut certified(true), "AUTH app own"), WRONGPASS, "app is somebody else");
}

#[test]
fn sessions_that_no_certificate_named_are_never_ignored() {
    let mut rig = Rig::with_certificate(Policy { ignore_stray_auth: true, ..policy(USERS, 1) }, certificate());
    assert!(rig.core.principal().is_none(), "unmapped");
    rig.say("AUTH wrong");
    assert!(rig.verifying.is_some());
    let open = USERS.replace("default on >secret", "default on nopass");
    let mut rig = Rig::with_certificate(Policy { ignore_stray_auth: true, ..policy(&open, 1) }, certificate());
    assert_eq!(user(&rig), ("default".to_owned(), Proof::Nopass));
    rig.say("AUTH other wrong");
    assert!(rig.verifying.is_some());
}

#[test]
fn a_session_that_had_proven_nothing_ends_when_its_certificate_comes_to_name_somebody() {
    let open = USERS.replace("default on >secret", "default on nopass");
    let rule = RuleSpec {
        fields: vec![(FieldName::Cn, vec!["app".to_owned()])],
        user: "app".to_owned(),
        ..RuleSpec::default()
    };
    let certificates = CertificateMap::build(vec![rule], UserFrom::Off).unwrap();
    let may_reauth = || HashMap::from([("app".to_owned(), UserSettings { reauth: true, ..UserSettings::default() })]);
    for settings in [HashMap::new(), may_reauth()] {
        for (acl, line, outcome) in [
            (USERS, "PING", None),
            (USERS, "AUTH other its", Some(LoginOutcome::Accepted(0))),
            (&open, "PING", None),
            (&open, "AUTH other its", Some(LoginOutcome::Accepted(0))),
        ] {
            let mut rig = Rig::with_certificate(policy(acl, 1), certificate());
            rig.say(line);
            rig.policy = Policy { certificates: certificates.clone(), settings: settings.clone(), ..policy(acl, 2) };
            match outcome {
                Some(outcome) => rig.verified(outcome),
                None => rig.reload(acl),
            }
            assert_eq!(rig.closed, Some(CloseReason::IdentityChanged), "{line}, {acl}");
        }
    }
}

#[test]
fn a_session_that_had_proven_nothing_goes_on_when_no_password_is_needed_any_more() {
    let mut rig = Rig::with_certificate(policy(USERS, 1), certificate());
    rig.reload(&USERS.replace("default on >secret", "default on nopass"));
    assert_eq!(rig.closed, None);
    rig.say("AUTH other its");
    rig.verified(LoginOutcome::Accepted(0));
    assert_eq!(user(&rig), ("other".to_owned(), Proof::Password));
}

#[test]
fn auth_inside_multi_is_not_ignored() {
    let mut rig = app(USERS, true);
    rig.say("MULTI");
    rig.redis(OK);
    rig.heard();
    rig.say("AUTH secret");
    assert_ne!(rig.heard(), OK);
    assert!(rig.verifying.is_none());
}

#[test]
fn a_change_of_the_setting_holds_for_sessions_that_are_there() {
    let mut rig = app(USERS, false);
    assert_eq!(said(&mut rig, "AUTH secret"), WRONGPASS);
    rig.policy = Policy { ignore_stray_auth: true, generation: 2, ..rig.policy.clone() };
    assert_eq!(said(&mut rig, "AUTH secret"), OK);
    let certificates = CertificateMap::build(Vec::new(), UserFrom::Off).unwrap();
    rig.policy = Policy { certificates, generation: 3, ..rig.policy.clone() };
    rig.say("AUTH secret");
    assert_eq!(rig.closed, Some(CloseReason::Revoked(UserRefusal::Unmapped)), "the certificate names it no longer");
}

#[test]
fn it_is_reported_with_the_name_and_without_the_password() {
    for is_ignored in [false, true] {
        let mut rig = app(USERS, is_ignored);
        for line in ["AUTH secret", "AUTH default secret", "AUTH other its", "HELLO 3 AUTH default secret"] {
            rig.say(line);
        }
        let reports = rig.core.take_reports();
        let attempted = reports.iter().map(|(report, count)| match report {
            Report::StrayAuth { attempted, .. } => (attempted.as_str(), *count),
            other => panic!("{other:?}"),
        });
        assert_eq!(attempted.collect::<Vec<_>>(), [("default", 2), ("other", 1), ("default", 1)]);
        assert!(matches!(reports[0].0, Report::StrayAuth { is_ignored: ignored, .. } if ignored == is_ignored));
    }
    let mut rig = app(USERS, false);
    rig.say(&format!("AUTH {} secret", "x".repeat(100_000)));
    let reports = rig.core.take_reports();
    let [(Report::StrayAuth { attempted, .. }, 1)] = reports.as_slice() else { panic!("{reports:?}") };
    assert_eq!(attempted.len(), 256);
}

#[test]
fn refusals_are_in_acl_log_and_what_is_ignored_is_not() {
    for (is_ignored, entries) in [(false, 1), (true, 0)] {
        let mut rig = app(USERS, is_ignored);
        rig.say("AUTH secret");
        rig.say("AUTH secret");
        let refusals = rig.core.take_acl_log();
        assert_eq!(refusals.len(), entries);
        assert!(refusals.iter().all(|refusal| (refusal.user.as_slice(), refusal.count) == (b"default", 2)));
    }
}

#[test]
fn a_verification_that_is_put_off_ends_no_session_that_a_certificate_let_in() {
    let mut rig = app(USERS, false);
    rig.client(&[request("AUTH app own"), request("GET a")].concat());
    rig.verified(LoginOutcome::Throttled);
    assert_eq!(rig.heard(), "", "it hears of it after a second");
    rig.wait(SECOND);
    assert_eq!((rig.heard().as_str(), rig.closed), (THROTTLED, None));
    rig.redis("$1\r\nv\r\n");
    assert_eq!(rig.heard(), "$1\r\nv\r\n");
    rig.say("AUTH app own");
    rig.verified(LoginOutcome::Busy);
    assert_eq!(rig.heard(), BUSY);
    is_still_app(&mut rig);
}

#[test]
fn a_throttled_session_of_a_certificate_that_leaves_or_is_drained_is_told_at_once_and_ends() {
    for (leaves, reason) in [(true, CloseReason::ClientGone), (false, CloseReason::Drained)] {
        let mut rig = app(USERS, false);
        rig.say("AUTH app own");
        rig.verified(LoginOutcome::Throttled);
        if leaves {
            rig.client_leaves();
        } else {
            rig.core.handle_drain(rig.now, rig.now + HALF_CLOSE_TIMEOUT);
        }
        rig.wait(Duration::ZERO);
        assert_eq!((rig.heard().as_str(), rig.closed), (THROTTLED, Some(reason)));
    }
}

// --- helpers

/// A session that is `app` by its certificate.
fn app(acl: &str, ignore_stray_auth: bool) -> Rig {
    let certificates = CertificateMap::build(Vec::new(), UserFrom::Cn).unwrap();
    let policy = policy(acl, 1);
    // Redis is told of nothing that is answered here.
    let renames = Renames::build(&[("ECHO".to_owned(), String::new())], &policy.table).unwrap();
    Rig::with_certificate(Policy { certificates, ignore_stray_auth, renames, ..policy }, certificate())
}

fn with_settings(ignore_stray_auth: bool, settings: UserSettings) -> Rig {
    let mut rig = app(USERS, ignore_stray_auth);
    rig.policy = Policy { settings: HashMap::from([("app".to_owned(), settings)]), ..rig.policy.clone() };
    rig
}

fn certificate() -> PeerIdentity {
    PeerIdentity::from_der(&Authority::new("root").issue(client("app")).der, None).unwrap()
}

/// What a login is answered whose password nobody looks at.
fn said(rig: &mut Rig, line: &str) -> String {
    rig.say(line);
    assert!(rig.verifying.is_none(), "{line}");
    rig.heard()
}

fn user(rig: &Rig) -> (String, Proof) {
    let principal = rig.core.principal().unwrap();
    (principal.user.name().to_string(), principal.proof)
}

fn is_still_app(rig: &mut Rig) {
    assert_eq!((user(rig), rig.closed), (("app".to_owned(), Proof::Certificate), None));
    rig.say("ACL WHOAMI");
    assert!(rig.heard().ends_with("$3\r\napp\r\n"));
}

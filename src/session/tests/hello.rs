//! HELLO in all its orders.

use super::rig::{CLOSED, OPEN, Rig, request};
use crate::policy::UserRefusal;
use crate::resp::{Protocol, RequestLimits};
use crate::session::{LoginFailure, LoginOutcome, Report};

const LOG_IN_FIRST: &str = "-NOAUTH HELLO must be called with the client already authenticated";

#[test]
fn version_then_options_then_login_then_authentication() {
    for (line, answer) in [
        ("HELLO x AUTH a", "-ERR Protocol version is not an integer or out of range\r\n"),
        ("HELLO +3", "-ERR Protocol version is not an integer or out of range\r\n"),
        ("HELLO 03", "-ERR Protocol version is not an integer or out of range\r\n"),
        ("HELLO 4 AUTH a", "-NOPROTO unsupported protocol version\r\n"),
        ("HELLO 3 AUTH a", "-ERR Syntax error in HELLO option 'AUTH'\r\n"),
        ("HELLO 3 SETNAME", "-ERR Syntax error in HELLO option 'SETNAME'\r\n"),
        ("HELLO 3 FOO", "-ERR Syntax error in HELLO option 'FOO'\r\n"),
        ("HELLO 3 SETNAME a SETNAME b SETNAME c", "-ERR Syntax error in HELLO option 'SETNAME'\r\n"),
        ("HELLO 3 SETNAME me", LOG_IN_FIRST),
        ("HELLO 3 SETNAME me SETNAME you", LOG_IN_FIRST),
        ("HELLO 3", LOG_IN_FIRST),
        ("HELLO", LOG_IN_FIRST),
    ] {
        let mut rig = Rig::new(CLOSED);
        rig.say(line);
        let heard = rig.heard();
        assert!(heard.starts_with(answer), "{line}: {heard}");
        assert_eq!((rig.connections, rig.protocol(), rig.closed), (0, Protocol::Resp2, None), "{line}");
    }
}

#[test]
fn redis_gets_hello_without_the_login() {
    let mut rig = Rig::new(CLOSED);
    rig.say("HELLO 3 AUTH default secret SETNAME me");
    assert_eq!((rig.connections, rig.heard().as_str()), (0, ""));
    rig.verified(LoginOutcome::Accepted(0));
    assert_eq!(rig.forwarded(), "HELLO 3 SETNAME me");
    rig.redis("%0\r\n");
    assert_eq!((rig.heard().as_str(), rig.protocol()), ("%0\r\n", Protocol::Resp3));
}

#[test]
fn a_wrong_password_in_hello_changes_nothing() {
    let mut rig = Rig::new(CLOSED);
    rig.say("HELLO 3 AUTH default wrong SETNAME me");
    rig.verified(LoginOutcome::Rejected);
    assert!(rig.heard().starts_with("-WRONGPASS"));
    assert_eq!((rig.connections, rig.protocol()), (0, Protocol::Resp2));
    rig.say("GET a");
    assert!(rig.heard().starts_with("-NOAUTH"));
}

#[test]
fn what_was_pipelined_behind_a_refused_login_hears_of_that_and_what_is_said_later_of_noauth() {
    for login in ["AUTH wrong", "HELLO 3 AUTH default wrong"] {
        let mut rig = Rig::new(CLOSED);
        rig.client(&[request(login), request("HELLO 3"), request("CLIENT SETNAME x"), request("GET a")].concat());
        rig.verified(LoginOutcome::Rejected);
        let heard = rig.heard();
        assert_eq!((heard.matches("-WRONGPASS ").count(), heard.lines().count()), (4, 4), "{login}: {heard}");
        rig.say("GET a");
        assert!(rig.heard().starts_with("-NOAUTH"), "{login}");
        assert_eq!((rig.connections, rig.forwarded().as_str()), (0, ""), "{login}");
    }
}

#[test]
fn a_user_name_that_nobody_can_have_is_refused_without_a_verification() {
    let name = "n".repeat(129);
    for line in [format!("AUTH {name} secret"), format!("HELLO 3 AUTH {name} secret")] {
        let mut rig = Rig::new(CLOSED);
        rig.say(&line);
        assert!(rig.verifying.is_none(), "{line}");
        assert_eq!(rig.heard(), "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
        assert_eq!((rig.connections, rig.protocol()), (0, Protocol::Resp2));
        let reason = LoginFailure::Refused(UserRefusal::NoSuchUser);
        assert_eq!(rig.core.take_reports(), [(Report::LoginFailed { user: name.clone(), reason }, 1)]);
        rig.say(&format!("AUTH {} secret", &name[1..]));
        assert!(rig.verifying.is_some(), "128 bytes are a name");
    }
}

#[test]
fn a_password_that_nobody_can_have_is_refused_without_a_verification_also_after_a_login() {
    let longest = RequestLimits::UNAUTHENTICATED.max_bulk as usize;
    for (long, verified) in [("p".repeat(longest), true), ("p".repeat(longest + 1), false)] {
        for line in [format!("AUTH {long}"), format!("AUTH eve {long}"), format!("HELLO 3 AUTH default {long}")] {
            let mut rig = Rig::new(CLOSED);
            rig.say("AUTH secret");
            rig.verified(LoginOutcome::Accepted(0));
            assert_eq!(rig.heard(), "+OK\r\n");
            rig.core.take_reports();
            rig.say(&line);
            assert_eq!(rig.verifying.is_some(), verified, "{}", &line[..20]);
            if !verified {
                assert_eq!(rig.heard(), "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
                assert!(matches!(rig.core.take_reports()[..], [(Report::LoginFailed { .. }, 1)]));
            }
        }
    }
}

#[test]
fn the_protocol_changes_with_redis_answer_and_not_before() {
    let mut rig = Rig::new(OPEN);
    rig.client(&[request("HELLO 3"), request("GET a")].concat());
    assert_eq!(rig.forwarded(), "HELLO 3");
    rig.redis("-ERR no\r\n");
    assert_eq!((rig.protocol(), rig.forwarded().as_str()), (Protocol::Resp2, "GET a"));
    rig.redis("$-1\r\n");
    rig.say("HELLO 3");
    rig.redis("%0\r\n");
    assert_eq!(rig.protocol(), Protocol::Resp3);
    rig.say("HELLO");
    rig.redis("%0\r\n");
    assert_eq!(rig.protocol(), Protocol::Resp3);
    rig.say("HELLO 2");
    rig.redis("*0\r\n");
    assert_eq!(rig.protocol(), Protocol::Resp2);
}

#[test]
fn hello_waits_for_all_earlier_replies_and_what_follows_waits_for_it() {
    let mut rig = Rig::new(OPEN);
    rig.client(&[request("GET a"), request("HELLO 3"), request("GET b")].concat());
    assert_eq!(rig.forwarded(), "GET a");
    rig.redis("$1\r\n1\r\n");
    assert_eq!(rig.forwarded(), "HELLO 3");
    rig.redis("%0\r\n");
    assert_eq!(rig.forwarded(), "GET b");
}

#[test]
fn a_name_with_a_blank_is_refused_before_the_login() {
    let mut rig = Rig::new(CLOSED);
    rig.client(b"*7\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nAUTH\r\n$7\r\ndefault\r\n$6\r\nsecret\r\n");
    rig.client(b"$7\r\nSETNAME\r\n$3\r\na b\r\n");
    assert!(rig.heard().starts_with("-ERR Client names cannot contain spaces"));
    assert!(rig.verifying.is_none());
}

#[test]
fn a_login_in_hello_by_a_session_that_has_its_connection_keeps_it() {
    let mut rig = Rig::new("user default on nopass ~* &* +@all\nuser alice on nopass ~a:* +@all\n");
    rig.client(&[request("GET a"), request("HELLO 2 AUTH alice x"), request("GET b")].concat());
    rig.redis("$1\r\n1\r\n");
    rig.redis("*0\r\n");
    assert_eq!((rig.forwarded().as_str(), rig.connections), ("GET a\nHELLO 2", 1));
    assert!(rig.heard().contains("*0\r\n-NOPERM"));
}

#[test]
fn redis_gets_hello_under_the_name_that_it_has_there() {
    let mut rig = Rig::new(CLOSED);
    rig.rename(&[("HELLO", "greet")]);
    rig.say("HELLO 3 AUTH default secret");
    rig.verified(LoginOutcome::Accepted(0));
    assert_eq!(rig.forwarded(), "greet 3");
    rig.redis("%0\r\n");
    rig.say("HELLO 2");
    assert_eq!(rig.forwarded(), "greet 2");
}

#[test]
fn hello_is_unknown_before_any_login_where_redis_has_none() {
    for acl in [OPEN, CLOSED] {
        let mut rig = Rig::new(acl);
        rig.rename(&[("HELLO", "")]);
        rig.say("HELLO 3 AUTH default secret");
        assert_eq!(
            rig.heard(),
            "-ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'default' 'secret' \r\n"
        );
        assert!(rig.verifying.is_none() && rig.forwarded().is_empty());
    }
}

#[test]
fn a_login_in_hello_counts_even_if_redis_has_lost_hello_meanwhile() {
    let mut rig = Rig::new(CLOSED);
    rig.say("HELLO 3 AUTH default secret");
    rig.rename(&[("HELLO", "")]);
    rig.verified(LoginOutcome::Accepted(0));
    assert_eq!((rig.heard().as_str(), rig.protocol()), ("-ERR unknown command 'HELLO'\r\n", Protocol::Resp2));
    assert!(rig.core.principal().is_some() && rig.forwarded().is_empty());
}

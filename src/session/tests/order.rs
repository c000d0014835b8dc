//! The order of the checks, and what is never forwarded.

use super::rig::{CLOSED, OPEN, Rig, request};
use crate::command::Dialect;
use crate::policy::DenialReason;
use crate::session::{CloseReason, Report, RequestRefusal};

const NOAUTH: &str = "-NOAUTH Authentication required.\r\n";

#[test]
fn an_unknown_command_is_unknown_before_anything_else() {
    let mut rig = Rig::new(CLOSED);
    rig.say("NOSUCH x");
    assert_eq!(rig.heard(), "-ERR unknown command 'NOSUCH', with args beginning with: 'x' \r\n");
}

#[test]
fn arity_is_checked_before_authentication() {
    let mut rig = Rig::new(CLOSED);
    rig.say("GET");
    assert_eq!(rig.heard(), "-ERR wrong number of arguments for 'get' command\r\n");
    rig.say("GET a");
    assert_eq!(rig.heard(), NOAUTH);
}

#[test]
fn nothing_is_forwarded_and_nothing_connected_before_authentication() {
    let mut rig = Rig::new(CLOSED);
    for line in ["GET a", "MULTI", "DISCARD", "SUBSCRIBE a", "MONITOR", "CLIENT REPLY OFF", "PSYNC ? -1", "ACL WHOAMI"]
    {
        rig.say(line);
        assert_eq!(rig.heard(), NOAUTH, "{line}");
    }
    rig.say("EXEC");
    let text = "-EXECABORT Transaction discarded because of: NOAUTH Authentication required.\r\n";
    assert_eq!(rig.heard(), text, "as Redis says it");
    assert_eq!((rig.forwarded().as_str(), rig.connections), ("", 0));
}

#[test]
fn every_refusal_of_a_pipeline_is_reported_and_those_of_one_kind_are_counted() {
    let mut rig = Rig::new(OPEN);
    rig.block(&["flushall", "shutdown", "config"]);
    let pipeline = [request("FLUSHALL").repeat(20), request("SHUTDOWN"), request("FLUSHALL"), request("CONFIG GET *")];
    rig.client(&pipeline.concat());
    let reports = rig.core.take_reports().into_iter().map(|(report, count)| match report {
        Report::Refused { command, .. } => (command, count),
        other => panic!("{other:?}"),
    });
    let expected = [("flushall", 21), ("shutdown", 1), ("config|get", 1)];
    assert_eq!(reports.collect::<Vec<_>>(), expected.map(|(command, count)| (command.to_owned(), count)));
}

#[test]
fn who_tries_a_disabled_command_or_a_secret_name_is_reported_and_told_that_there_is_none() {
    let mut rig = Rig::new(OPEN);
    rig.rename(&[("CONFIG", "secret"), ("DEBUG", "")]);
    for line in ["SeCrEt GET *", "DEBUG SLEEP 1", "NOSUCH"] {
        rig.say(line);
        assert!(rig.heard().starts_with("-ERR unknown command"), "{line}");
    }
    let reported = rig.core.take_reports().into_iter().map(|(report, _)| match report {
        Report::Refused { reason: RequestRefusal::Denied(reason), command, is_told, .. } => (reason, command, is_told),
        other => panic!("{other:?}"),
    });
    let expected = [
        (DenialReason::Renamed, "config".to_owned(), true),
        (DenialReason::Disabled, "debug".to_owned(), true),
        (DenialReason::UnknownCommand, String::new(), false),
    ];
    assert_eq!(reported.collect::<Vec<_>>(), expected);
}

#[test]
fn the_blocklist_binds_even_those_who_may_do_everything_and_says_that_it_was_the_blocklist() {
    let mut rig = Rig::new(OPEN);
    rig.say("FLUSHALL");
    assert_eq!(
        rig.heard(),
        "-NOPERM this user has no permissions to run the 'flushall' command (blocked by respgate)\r\n"
    );
    rig.say("CONFIG GET *");
    assert_eq!(
        rig.heard(),
        "-NOPERM this user has no permissions to run the 'config|get' command (blocked by respgate)\r\n"
    );
    assert_eq!(rig.forwarded(), "");
    let mut rig = Rig::new("user default on nopass ~* &* +@all -get\n");
    rig.say("GET a");
    assert_eq!(rig.heard(), "-NOPERM this user has no permissions to run the 'get' command\r\n", "the ACL decided");
}

#[test]
fn what_redis_refuses_inside_multi_is_refused_before_the_acl_and_what_we_refuse_after_it() {
    let mut rig = Rig::new("user default on nopass +@all -psync\n");
    rig.say("MULTI");
    rig.redis("+OK\r\n");
    rig.heard();
    rig.say("PSYNC ? -1");
    rig.redis("-ERR unknown command\r\n");
    assert_eq!(rig.heard(), "-ERR Command not allowed inside a transaction\r\n");
    rig.policy.dialect = Dialect::Valkey91;
    rig.say("PSYNC ? -1");
    assert_eq!(rig.heard(), "-ERR Command 'psync' not allowed inside a transaction\r\n");
    rig.policy.dialect = Dialect::Redis70;
    rig.say("SUBSCRIBE secrets");
    let text = "-NOPERM this user has no permissions to access one of the channels used as arguments\r\n";
    assert_eq!(rig.heard(), text);
}

#[test]
fn the_acl_comes_before_the_subscriber_mode() {
    let mut rig = Rig::new(CLOSED);
    rig.say("AUTH alice x");
    rig.say("SUBSCRIBE news");
    rig.redis("*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n");
    rig.heard();
    rig.say("GET b:1");
    let text = "-NOPERM this user has no permissions to access one of the keys used as arguments\r\n";
    assert_eq!(rig.heard(), text);
    rig.say("GET a:1");
    assert!(rig.heard().starts_with("-ERR Can't execute 'get': only (P|S)SUBSCRIBE"));
}

#[test]
fn a_name_or_keyword_with_a_nul_byte_is_never_forwarded() {
    let mut rig = Rig::new(OPEN);
    rig.client(b"*1\r\n$9\r\nFLUSHALL\0\r\n*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$4\r\nOFF\0\r\n");
    rig.client(b"*3\r\n$6\r\nCLIENT\r\n$6\r\nREPLY\0\r\n$3\r\nOFF\r\n*2\r\n$6\r\nCONFIG\r\n$4\r\nGET\0\r\n");
    assert_eq!(rig.forwarded(), "");
    let heard = rig.heard();
    assert_eq!((heard.lines().count(), heard.matches("\n-").count()), (4, 3), "{heard}");
}

#[test]
fn browsers_are_closed_without_a_word() {
    for first in ["POST / HTTP/1.1", "Host: 127.0.0.1"] {
        let mut rig = Rig::new(OPEN);
        rig.client(format!("{first}\r\n").as_bytes());
        assert!(rig.closed.is_some(), "{first}");
        assert_eq!(rig.heard(), "");
    }
}

#[test]
fn an_inline_request_is_forwarded_in_its_canonical_form() {
    let mut rig = Rig::new(OPEN);
    rig.client(b"set \"a key\" 'a value'\r\n");
    assert_eq!(rig.sent(), b"*3\r\n$3\r\nset\r\n$5\r\na key\r\n$7\r\na value\r\n");
}

#[test]
fn empty_requests_take_no_slot_and_are_not_forwarded() {
    let mut rig = Rig::new(OPEN);
    rig.client(b"*0\r\n\r\n*-1\r\n");
    rig.say("PING");
    rig.client(b"\r\n*0\r\n");
    rig.redis("+PONG\r\n");
    assert_eq!((rig.forwarded().as_str(), rig.heard().as_str()), ("PING", "+PONG\r\n"));
}

#[test]
fn a_protocol_error_is_told_in_its_place_and_ends_the_session() {
    let mut rig = Rig::new(OPEN);
    rig.say("GET a");
    rig.client(b"*1\r\n$+4\r\nPING\r\n");
    assert_eq!((rig.heard().as_str(), rig.closed), ("", None));
    rig.redis("$1\r\nv\r\n");
    assert_eq!(rig.heard(), "$1\r\nv\r\n-ERR Protocol error: invalid bulk length\r\n");
    assert!(matches!(rig.closed, Some(CloseReason::Protocol(_))));
    assert_eq!(rig.forwarded(), "GET a");
}

#[test]
fn limits_are_small_before_authentication_and_as_configured_after() {
    let mut rig = Rig::new(CLOSED);
    rig.client(b"*11\r\n");
    assert_eq!(rig.heard(), "-ERR Protocol error: unauthenticated multibulk length\r\n");
    let mut rig = Rig::new(CLOSED);
    rig.client(b"*2\r\n$4\r\nAUTH\r\n$16385\r\n");
    assert_eq!(rig.heard(), "-ERR Protocol error: unauthenticated bulk length\r\n");
    let mut rig = Rig::new(CLOSED);
    rig.say("AUTH alice x");
    rig.client(b"*11\r\n$4\r\nMGET\r\n$20000\r\n");
    assert_eq!(rig.heard(), "+OK\r\n");
    assert_eq!(rig.closed, None);
}

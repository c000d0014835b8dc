//! INFO tells of what was answered here, as if Redis had answered it.

use std::sync::Arc;
use std::time::Duration;

use super::rig::{OPEN, Rig, request};
use crate::session::LoginOutcome;
use crate::session::core::ReplyMode;

/// What Redis says that has nothing to tell.
const EMPTY: &str = "# Stats\r\ntotal_error_replies:0\r\n\r\n# Commandstats\r\n\r\n# Errorstats\r\n";

const USERS: &str =
    "user default on >secret ~* &* +@all\nuser alice on nopass ~a:* &* +@all -debug\nuser bob on >pw ~* +@all\n";

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

/// What an INFO tells beyond what Redis said, one line after the other.
fn told(rig: &mut Rig, redis_said: &str) -> String {
    rig.redis_answers_traces();
    rig.heard();
    rig.say("INFO everything");
    rig.redis(bulk(redis_said));
    let heard = rig.heard();
    let (length, text) = heard.split_once("\r\n").unwrap();
    let text = text.strip_suffix("\r\n").unwrap();
    assert_eq!(length, format!("${}", text.len()));
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.replace(",usec=0,usec_per_call=0.00", "")).collect::<Vec<_>>().join(" ")
}

fn alice() -> Rig {
    let mut rig = Rig::new(USERS);
    rig.client(&["AUTH alice x", "PING"].map(request).concat());
    rig.redis("+PONG\r\n");
    rig.heard();
    rig.core.shared.tally.reset();
    rig
}

#[test]
fn where_nothing_was_answered_here_the_reply_is_the_one_of_redis() {
    let mut rig = Rig::new(OPEN);
    rig.say("INFO");
    let reply = "$61\r\n# Stats\r\ntotal_error_replies:007\r\n";
    rig.redis(reply);
    rig.redis("0123456789".repeat(2).as_bytes());
    rig.redis("9876543\r\n");
    assert_eq!(rig.heard(), format!("{reply}{}9876543\r\n", "0123456789".repeat(2)));
}

#[test]
fn a_refusal_counts_as_redis_counts_it() {
    for (said, told_of) in [
        ("NOSUCH x", "total_error_replies:1 errorstat_ERR:count=1"),
        ("CONFIG NOSUCH", "total_error_replies:1 errorstat_ERR:count=1"),
        ("GET", "total_error_replies:1 cmdstat_get:calls=0,rejected_calls=1,failed_calls=0 errorstat_ERR:count=1"),
        (
            "GET b:1",
            "total_error_replies:1 cmdstat_get:calls=0,rejected_calls=1,failed_calls=0 errorstat_NOPERM:count=1",
        ),
        (
            "CONFIG SET x 1",
            "total_error_replies:1 cmdstat_config|set:calls=0,rejected_calls=1,failed_calls=0 \
             errorstat_NOPERM:count=1",
        ),
        (
            "CLIENT TRACKING ON REDIRECT 7",
            "total_error_replies:1 cmdstat_client|tracking:calls=1,rejected_calls=0,failed_calls=1 \
             errorstat_ERR:count=1",
        ),
    ] {
        let mut rig = alice();
        rig.say(said);
        assert_eq!(told(&mut rig, EMPTY), told_of, "{said}");
    }
}

#[test]
fn a_large_request_that_is_refused_before_it_is_here_counts_once() {
    let mut rig = alice();
    rig.say(&format!("SET b:1 {}", "v".repeat(70_000)));
    let told_of = "total_error_replies:1 cmdstat_set:calls=0,rejected_calls=1,failed_calls=0 errorstat_NOPERM:count=1";
    assert_eq!(told(&mut rig, EMPTY), told_of);
}

#[test]
fn what_is_carried_out_here_counts_as_a_call() {
    for (said, told_of) in [
        ("AUTH alice x", "total_error_replies:0 cmdstat_auth:calls=1,rejected_calls=0,failed_calls=0"),
        (
            "RESET",
            "total_error_replies:0 cmdstat_auth:calls=1,rejected_calls=0,failed_calls=0 cmdstat_reset:calls=1,rejected_calls=0,failed_calls=0",
        ),
        ("ACL WHOAMI", "total_error_replies:0 cmdstat_acl|whoami:calls=1,rejected_calls=0,failed_calls=0"),
        ("ACL SETUSER carol", "total_error_replies:0 cmdstat_acl|setuser:calls=1,rejected_calls=0,failed_calls=0"),
        (
            "AUTH a b c",
            "total_error_replies:1 cmdstat_auth:calls=1,rejected_calls=0,failed_calls=1 errorstat_ERR:count=1",
        ),
        (
            "HELLO 4",
            "total_error_replies:1 cmdstat_hello:calls=1,rejected_calls=0,failed_calls=1 errorstat_NOPROTO:count=1",
        ),
        (
            "ACL CAT nosuch",
            "total_error_replies:1 cmdstat_acl|cat:calls=1,rejected_calls=0,failed_calls=1 errorstat_ERR:count=1",
        ),
    ] {
        let mut rig = alice();
        rig.say(said);
        if said == "RESET" {
            rig.say("AUTH alice x");
        }
        assert_eq!(told(&mut rig, EMPTY), told_of, "{said}");
    }
}

#[test]
fn a_failed_login_counts_as_a_failed_call_of_the_command_it_came_in() {
    for (said, command) in [("AUTH bob guess", "auth"), ("HELLO 3 AUTH bob guess", "hello")] {
        let mut rig = alice();
        rig.say(said);
        rig.verified(LoginOutcome::Rejected);
        let call = format!("cmdstat_{command}:calls=1,rejected_calls=0,failed_calls=1");
        assert_eq!(told(&mut rig, EMPTY), format!("total_error_replies:1 {call} errorstat_WRONGPASS:count=1"));
    }
}

#[test]
fn a_login_that_is_put_off_counts_as_a_failed_call() {
    for outcome in [LoginOutcome::Busy, LoginOutcome::Throttled] {
        let shared = Arc::default();
        let mut guesser = Rig::among(&shared, USERS);
        guesser.say("AUTH bob guess");
        guesser.verified(outcome);
        guesser.wait(Duration::from_secs(2));
        let mut rig = Rig::among(&shared, USERS);
        rig.say("AUTH alice x");
        let call = "cmdstat_auth:calls=2,rejected_calls=0,failed_calls=1";
        assert_eq!(told(&mut rig, EMPTY), format!("total_error_replies:1 {call} errorstat_ERR:count=1"));
    }
}

#[test]
fn the_counts_are_those_of_all_sessions() {
    let shared = Arc::default();
    let (mut stranger, mut rig) = (Rig::among(&shared, USERS), Rig::among(&shared, USERS));
    stranger.say("GET x");
    stranger.client(b"*x\r\n");
    rig.say("AUTH alice x");
    let told_of = "total_error_replies:2 cmdstat_auth:calls=1,rejected_calls=0,failed_calls=0 \
                   cmdstat_get:calls=0,rejected_calls=1,failed_calls=0 errorstat_ERR:count=1 errorstat_NOAUTH:count=1";
    assert_eq!(told(&mut rig, EMPTY), told_of, "a protocol error counts too");
}

#[test]
fn an_error_counts_even_where_it_is_not_sent() {
    let mut rig = alice();
    for said in ["CLIENT REPLY OFF", "NOSUCH", "CLIENT REPLY SKIP", "CLIENT REPLY ON", "CLIENT REPLY SKIP", "NOSUCH"] {
        rig.say(said);
    }
    let told_of = "total_error_replies:2 cmdstat_client|reply:calls=4,rejected_calls=0,failed_calls=0 \
                   errorstat_ERR:count=2";
    assert_eq!(told(&mut rig, EMPTY), told_of);
}

#[test]
fn what_follows_info_in_a_pipeline_is_not_in_it() {
    let mut rig = alice();
    rig.client(&[request("NOSUCH"), request("INFO"), request("NOSUCH"), request("INFO")].concat());
    rig.redis(bulk("# Stats\r\ntotal_error_replies:5\r\n"));
    rig.redis(bulk("# Stats\r\ntotal_error_replies:5\r\n"));
    let heard = rig.heard();
    let totals: Vec<_> = heard.lines().filter(|line| line.starts_with("total_error_replies")).collect();
    assert_eq!(totals, ["total_error_replies:6", "total_error_replies:7"]);
}

#[test]
fn a_verbatim_reply_stays_one_however_it_is_cut() {
    let mut rig = alice();
    rig.say("HELLO 3");
    rig.redis("%0\r\n");
    rig.say("NOSUCH");
    rig.heard();
    rig.say("INFO");
    let push = ">2\r\n$10\r\ninvalidate\r\n_\r\n";
    for byte in format!("{push}=36\r\ntxt:# Stats\r\ntotal_error_replies:9\r\n\r\n").bytes() {
        rig.redis([byte]);
    }
    assert_eq!(rig.heard(), format!("{push}=37\r\ntxt:# Stats\r\ntotal_error_replies:10\r\n\r\n"));
}

#[test]
fn a_reply_that_is_too_large_or_an_error_passes_as_it_is() {
    let mut rig = alice();
    for reply in [bulk(&format!("# Stats\r\ntotal_error_replies:9\r\n{}", "x".repeat(2 << 20))), "-ERR no\r\n".into()] {
        rig.say("NOSUCH");
        rig.heard();
        rig.say("INFO");
        rig.redis(&reply);
        assert!(rig.heard() == reply, "a reply of {} bytes", reply.len());
    }
    assert_eq!(rig.core.pending.memory(), 0);
}

#[test]
fn in_a_transaction_info_is_as_redis_says() {
    let mut rig = alice();
    rig.client(&["NOSUCH", "MULTI", "INFO", "EXEC"].map(request).concat());
    let array = format!("*1\r\n{}", bulk("# Stats\r\ntotal_error_replies:9\r\n"));
    rig.redis(format!("+OK\r\n+QUEUED\r\n{array}"));
    assert!(rig.heard().ends_with(&array));
}

#[test]
fn an_answer_of_ours_in_a_transaction_counts_once_it_is_executed_and_its_echo_does_not() {
    let echo = "# Commandstats\r\n\
                cmdstat_echo:calls=2,usec=2,usec_per_call=1.00,rejected_calls=0,failed_calls=0\r\n\r\n# Errorstats\r\n";
    let counted = "cmdstat_acl|whoami:calls=1,rejected_calls=0,failed_calls=0 \
                   cmdstat_auth:calls=1,rejected_calls=0,failed_calls=1 errorstat_ERR:count=1";
    let mut rig = alice();
    rig.client(&["MULTI", "ACL WHOAMI", "AUTH bob x", "EXEC"].map(request).concat());
    rig.redis("+OK\r\n");
    rig.redis("+QUEUED\r\n+QUEUED\r\n*2\r\n$8\r\nrespgate\r\n$8\r\nrespgate\r\n");
    assert_eq!(told(&mut rig, echo), counted);
    let mut rig = alice();
    rig.client(&["MULTI", "ACL WHOAMI", "AUTH bob x", "EXEC"].map(request).concat());
    rig.redis("+OK\r\n");
    rig.redis("+QUEUED\r\n+QUEUED\r\n*-1\r\n");
    assert_eq!(rig.core.shared.tally.counts(), None, "a watched key was touched");
    let mut rig = alice();
    rig.client(&["MULTI", "ACL WHOAMI", "AUTH bob x"].map(request).concat());
    rig.redis("+OK\r\n");
    rig.redis("+QUEUED\r\n+QUEUED\r\n");
    rig.core.reply_mode = ReplyMode::SkipNext;
    rig.say("EXEC");
    rig.redis("*2\r\n$8\r\nrespgate\r\n$8\r\nrespgate\r\n");
    assert_eq!(told(&mut rig, echo), counted, "though nobody hears of it");
}

#[test]
fn a_refusal_in_a_transaction_counts_once_although_redis_refused_something_too() {
    let mut rig = alice();
    rig.client(&["MULTI", "GET", "EXEC"].map(request).concat());
    rig.redis("+OK\r\n-ERR unknown command\r\n-EXECABORT Transaction discarded\r\n");
    let said = "# Stats\r\ntotal_error_replies:2\r\n\r\n# Commandstats\r\n\r\n\
                # Errorstats\r\nerrorstat_ERR:count=1\r\nerrorstat_EXECABORT:count=1\r\n";
    let told_of = "total_error_replies:2 cmdstat_get:calls=0,rejected_calls=1,failed_calls=0 errorstat_ERR:count=1 \
                   errorstat_EXECABORT:count=1";
    assert_eq!(told(&mut rig, said), told_of);
}

#[test]
fn resetstat_forgets_once_redis_has() {
    let mut rig = alice();
    rig.block(&[]);
    rig.say("NOSUCH");
    rig.say("CONFIG RESETSTAT");
    rig.redis("-NOPERM no\r\n");
    assert_eq!(told(&mut rig, EMPTY), "total_error_replies:1 errorstat_ERR:count=1");
    rig.client(&[request("CONFIG RESETSTAT"), request("NOSUCH"), request("GET")].concat());
    rig.redis("+OK\r\n");
    let told_of = "total_error_replies:2 cmdstat_get:calls=0,rejected_calls=1,failed_calls=0 errorstat_ERR:count=2";
    assert_eq!(told(&mut rig, EMPTY), told_of);
    rig.client(&[request("CLIENT REPLY SKIP"), request("CONFIG RESETSTAT")].concat());
    rig.redis("+OK\r\n");
    assert_eq!(rig.core.shared.tally.counts(), None);
}

#[test]
fn resetstat_in_a_transaction_forgets_what_was_before_it() {
    let mut rig = alice();
    rig.block(&[]);
    rig.client(&["NOSUCH", "MULTI", "CONFIG RESETSTAT", "EXEC"].map(request).concat());
    rig.redis("+OK\r\n+QUEUED\r\n*-1\r\n");
    assert_eq!(told(&mut rig, EMPTY), "total_error_replies:1 errorstat_ERR:count=1", "not executed");
    rig.client(&["MULTI", "ACL USERS", "CONFIG RESETSTAT", "ACL WHOAMI", "EXEC"].map(request).concat());
    rig.redis("+OK\r\n");
    rig.redis("+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n$8\r\nrespgate\r\n+OK\r\n$8\r\nrespgate\r\n");
    assert_eq!(
        told(&mut rig, EMPTY),
        "total_error_replies:0 cmdstat_acl|whoami:calls=1,rejected_calls=0,failed_calls=0"
    );
}

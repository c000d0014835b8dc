//! MULTI and EXEC, and refusals inside them.

use super::redis::Redis;
use super::rig::{CLOSED, Rig, request};
use crate::session::CloseReason;

const ABORTED: &str = "-EXECABORT Transaction discarded because of previous errors.\r\n";

/// What Redis says to `respgate:refused`.
const UNKNOWN: &str = "-ERR unknown command 'respgate:refused', with args beginning with: \r\n";

fn in_multi(acl: &str) -> Rig {
    let mut rig = Rig::new(acl);
    rig.say("AUTH alice x");
    rig.say("MULTI");
    rig.redis("+OK\r\n");
    rig.heard();
    rig.sent();
    rig
}

const ACL: &str = "user default on nopass ~* &* +@all\nuser alice on nopass ~a:* &* +@all\n";

#[test]
fn a_refusal_has_redis_refuse_a_request_in_its_place_and_abort_exec() {
    for refused in [
        "FLUSHALL",
        "GET b:1",
        "NOSUCH",
        "GET",
        "CLIENT REPLY OFF",
        "SUBSCRIBE x",
        "HELLO 3",
        "AUTH x",
        "AUTH default x",
        "ACL WHOAMI",
        "ACL LOG RESET",
        "ACL SETUSER alice on",
        "ACL NOSUCH",
    ] {
        let mut rig = in_multi(ACL);
        rig.client(&[request("SET a:1 x"), request(refused), request("SET a:2 x"), request("EXEC")].concat());
        rig.redis(format!("+QUEUED\r\n{UNKNOWN}+QUEUED\r\n{ABORTED}"));
        let heard = rig.heard();
        let lines: Vec<_> = heard.split_inclusive("\r\n").collect();
        assert_eq!((lines[0], lines[2], lines[3]), ("+QUEUED\r\n", "+QUEUED\r\n", ABORTED), "{refused}: {heard}");
        assert!(lines[1].starts_with('-') && lines[1] != UNKNOWN, "{refused}: {heard}");
        assert_eq!(rig.forwarded(), "SET a:1 x\nrespgate:refused\nSET a:2 x\nEXEC", "{refused}");
        rig.say("GET a:1");
        rig.redis("$-1\r\n");
        assert_eq!(rig.heard(), "$-1\r\n");
    }
}

#[test]
fn discard_ends_a_dirty_transaction() {
    let mut rig = in_multi(ACL);
    rig.client(&[request("FLUSHALL"), request("DISCARD"), request("MULTI"), request("EXEC")].concat());
    rig.redis(format!("{UNKNOWN}+OK\r\n+OK\r\n*0\r\n"));
    let heard = rig.heard();
    assert!(heard.starts_with("-NOPERM ") && heard.ends_with("\r\n+OK\r\n+OK\r\n*0\r\n"), "{heard}");
    assert_eq!(rig.forwarded(), "respgate:refused\nDISCARD\nMULTI\nEXEC");
}

#[test]
fn once_redis_is_dirty_further_refusals_are_answered_here_in_their_places() {
    let mut rig = in_multi(ACL);
    rig.client(&["FLUSHALL", "SET a:1 x", "NOSUCH", "ACL WHOAMI", "AUTH x", "EXEC"].map(request).concat());
    assert_eq!(rig.forwarded(), "respgate:refused\nSET a:1 x\nEXEC");
    for byte in format!("{UNKNOWN}+QUEUED\r\n{ABORTED}").bytes() {
        rig.redis([byte]);
    }
    let heard = rig.heard();
    let starts = heard.lines().map(|line| line.split(' ').next().unwrap()).collect::<Vec<_>>();
    assert_eq!(starts, ["-NOPERM", "+QUEUED", "-ERR", "-ERR", "-ERR", "-EXECABORT"], "{heard}");
}

#[test]
fn a_refused_request_that_redis_does_not_refuse_ends_the_session() {
    for reply in ["+QUEUED\r\n", "+OK\r\n", "*0\r\n", "$100\r\n", "_\r\n"] {
        let mut rig = in_multi(ACL);
        rig.client(&["SET a:1 x", "FLUSHALL"].map(request).concat());
        rig.redis(format!("+QUEUED\r\n{reply}"));
        assert_eq!(rig.closed, Some(CloseReason::UpstreamDesynchronised), "{reply}");
        assert_eq!(rig.heard(), "+QUEUED\r\n", "{reply}");
    }
}

#[test]
fn a_refusal_where_replies_are_off_has_redis_refuse_a_request_and_takes_no_place() {
    let mut rig = Rig::new(ACL);
    rig.client(&["CLIENT REPLY OFF", "MULTI", "SET a:1 x", "FLUSHALL", "EXEC"].map(request).concat());
    rig.client(&["CLIENT REPLY ON", "GET a:1"].map(request).concat());
    assert_eq!(rig.forwarded(), "MULTI\nSET a:1 x\nrespgate:refused\nEXEC\nGET a:1");
    rig.redis(format!("+OK\r\n+QUEUED\r\n{UNKNOWN}{ABORTED}$-1\r\n"));
    assert_eq!((rig.heard().as_str(), rig.closed), ("+OK\r\n$-1\r\n", None));
}

#[test]
fn a_refused_request_with_a_large_body_spoils_the_transaction_once_it_has_come() {
    let mut rig = in_multi(ACL);
    let large = request(&format!("CONFIG SET x {}", "v".repeat(200_000)));
    let (head, tail) = large.split_at(150_000);
    rig.say("SET a:1 x");
    rig.client(head);
    assert_eq!(rig.forwarded(), "SET a:1 x");
    rig.client(&[tail, &request("EXEC")].concat());
    assert_eq!(rig.forwarded(), "respgate:refused\nEXEC");
    rig.redis(format!("+QUEUED\r\n{UNKNOWN}{ABORTED}"));
    let heard = rig.heard();
    assert!(heard.starts_with("+QUEUED\r\n-NOPERM ") && heard.ends_with(&format!("\r\n{ABORTED}")), "{heard}");
}

#[test]
fn an_inline_refusal_or_exec_is_as_any_other() {
    let mut rig = in_multi(ACL);
    rig.client(b"set a:1 x\r\nflushall\r\nexec\r\n");
    assert_eq!(rig.forwarded(), "set a:1 x\nrespgate:refused\nexec");
}

#[test]
fn a_refusal_after_a_multi_that_redis_refused_is_heard_in_its_place() {
    let mut rig = Rig::new(ACL);
    rig.client(&["MULTI", "FLUSHALL", "GET a:1", "EXEC"].map(request).concat());
    rig.redis(format!("-NOPERM\r\n{UNKNOWN}$-1\r\n-ERR EXEC without MULTI\r\n"));
    let heard = rig.heard();
    let refusal =
        heard.strip_prefix("-NOPERM\r\n").and_then(|rest| rest.strip_suffix("$-1\r\n-ERR EXEC without MULTI\r\n"));
    assert!(
        refusal.is_some_and(|refusal| refusal.ends_with("'flushall' command (blocked by respgate)\r\n")),
        "{heard}"
    );
    rig.say("FLUSHALL");
    assert!(rig.heard().starts_with("-NOPERM"), "at once");
}

#[test]
fn a_multi_that_redis_refused_ends_no_later_transaction() {
    let mut rig = Rig::new(ACL);
    rig.client(&["MULTI", "EXEC", "MULTI"].map(request).concat());
    rig.redis("-NOPERM\r\n-ERR EXEC without MULTI\r\n+OK\r\n");
    rig.sent();
    rig.client(&["SET a:1 x", "FLUSHALL", "EXEC"].map(request).concat());
    assert_eq!(rig.forwarded(), "SET a:1 x\nrespgate:refused\nEXEC");
}

#[test]
fn auth_in_a_transaction_is_refused_and_changes_nobody() {
    for auth in ["AUTH alice x", "AUTH default y", "AUTH x", "AUTH x y z"] {
        let mut rig = in_multi(ACL);
        rig.client(&[auth, "GET a:1", "EXEC", "GET b:1"].map(request).concat());
        assert_eq!(rig.forwarded(), "respgate:refused\nGET a:1\nEXEC", "{auth}: still alice, and no word of it");
        rig.redis(format!("{UNKNOWN}+QUEUED\r\n{ABORTED}"));
        let heard = rig.heard();
        let told = format!("-ERR Command not allowed inside a transaction\r\n+QUEUED\r\n{ABORTED}-NOPERM ");
        assert!(heard.starts_with(&told), "{auth}: {heard}");
    }
}

#[test]
fn what_redis_does_not_queue_leaves_the_transaction_as_it_is() {
    for (not_queued, error) in [("WATCH a:1", "-ERR WATCH inside MULTI is not allowed"), ("MULTI", "-ERR nested")] {
        let mut rig = in_multi(ACL);
        rig.client(&[not_queued, "GET a:1", "EXEC"].map(request).concat());
        let replies = format!("{error}\r\n+QUEUED\r\n*1\r\n$1\r\nv\r\n");
        rig.redis(&replies);
        assert_eq!(rig.heard(), replies, "{not_queued}");
        assert!(!rig.in_transaction());
    }
}

#[test]
fn a_transaction_that_is_not_executed_gives_redis_own_answer() {
    for answer in ["*-1\r\n", "_\r\n", "-EXECABORT of Redis\r\n"] {
        let mut rig = in_multi(ACL);
        rig.client(&["SET a:1 x", "EXEC", "GET a:1"].map(request).concat());
        rig.redis(format!("+QUEUED\r\n{answer}$1\r\nv\r\n"));
        assert_eq!(rig.heard(), format!("+QUEUED\r\n{answer}$1\r\nv\r\n"));
        assert_eq!(rig.core.memory(), 0, "nothing is kept of it");
    }
}

#[test]
fn a_push_inside_an_exec_reply_passes_and_is_no_element() {
    let push = ">3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$1\r\nm\r\n";
    let replies = format!("+QUEUED\r\n+QUEUED\r\n*2\r\n{push}:1\r\n$5\r\nvalue\r\n");
    for cut in 0..replies.len() {
        let mut rig = Rig::new(ACL);
        rig.client(&["HELLO 3 AUTH alice x"].map(request).concat());
        rig.redis("%0\r\n");
        rig.say("MULTI");
        rig.redis("+OK\r\n");
        rig.heard();
        rig.client(&["PUBLISH x m", "GET a:1", "EXEC"].map(request).concat());
        rig.redis(&replies[..cut]);
        rig.redis(&replies[cut..]);
        assert_eq!(rig.closed, None, "cut at {cut}");
        assert_eq!(rig.heard(), replies, "cut at {cut}");
        rig.say("GET a:1");
        rig.redis("$1\r\nv\r\n");
        assert_eq!(rig.heard(), "$1\r\nv\r\n");
    }
}

#[test]
fn rights_that_changed_since_multi_abort_exec() {
    let mut rig = in_multi(ACL);
    rig.say("SET a:1 x");
    rig.redis("+QUEUED\r\n");
    rig.reload("user default on nopass ~* &* +@all\nuser alice on nopass ~b:* &* +@all\n");
    rig.client(&["EXEC", "GET b:1"].map(request).concat());
    rig.redis(format!("{UNKNOWN}{ABORTED}$-1\r\n"));
    assert_eq!(rig.heard(), format!("+QUEUED\r\n{ABORTED}$-1\r\n"));
    assert_eq!(rig.forwarded(), "SET a:1 x\nrespgate:refused\nEXEC\nGET b:1");
}

#[test]
fn a_command_that_was_blocked_or_disabled_since_it_was_queued_aborts_exec() {
    let mut rig = in_multi(ACL);
    rig.say("SET a:1 x");
    rig.redis("+QUEUED\r\n");
    rig.block(&["SET"]);
    rig.say("EXEC");
    rig.redis(format!("{UNKNOWN}{ABORTED}"));
    assert_eq!(rig.heard(), format!("+QUEUED\r\n{ABORTED}"));
    assert_eq!(rig.forwarded(), "SET a:1 x\nrespgate:refused\nEXEC");

    let mut rig = in_multi(ACL);
    rig.say("SET a:1 x");
    rig.rename(&[("SET", "")]);
    rig.say("EXEC");
    assert_eq!(rig.forwarded(), "SET a:1 x\nrespgate:refused\nEXEC", "disabled");

    let mut rig = in_multi(ACL);
    rig.say("SET a:1 x");
    rig.block(&["GET"]);
    rig.say("EXEC");
    assert_eq!(rig.forwarded(), "SET a:1 x\nEXEC", "nothing of it was blocked");
}

#[test]
fn exec_is_aborted_if_its_commands_go_by_the_numbers_of_others_since() {
    for (later, sent) in [("two.get", "respgate:refused\nEXEC"), ("one.get", "EXEC")] {
        let mut rig = Rig::new(ACL);
        rig.load_module("one.get");
        rig.say("AUTH alice x");
        rig.say("MULTI");
        rig.redis("+OK\r\n");
        rig.say("ONE.GET");
        rig.redis("+QUEUED\r\n");
        rig.sent();
        rig.load_module(later);
        rig.say("EXEC");
        assert_eq!(rig.forwarded(), sent, "{later}");
    }
}

#[test]
fn a_reload_that_leaves_the_user_alone_does_not_abort_exec() {
    let mut rig = in_multi(ACL);
    rig.reload(&format!("{ACL}user other on nopass +@all\n"));
    rig.say("EXEC");
    assert_eq!(rig.forwarded(), "EXEC");
}

#[test]
fn quit_and_reset_act_at_once_inside_a_transaction() {
    let mut rig = in_multi(ACL);
    rig.say("QUIT");
    assert_eq!((rig.heard().as_str(), rig.closed.is_some()), ("+OK\r\n", true));
    let mut rig = in_multi(ACL);
    rig.say("RESET");
    assert_eq!(rig.heard(), "+RESET\r\n");
    assert!(!rig.in_transaction());
}

#[test]
fn select_inside_a_transaction_leaves_the_database_unknown() {
    let mut rig = in_multi(ACL);
    rig.client(&["SELECT 3", "EXEC"].map(request).concat());
    rig.redis("+QUEUED\r\n*1\r\n+OK\r\n");
    assert_eq!(rig.database(), None);
    let mut rig = in_multi(ACL);
    rig.client(&["SELECT 3", "DISCARD"].map(request).concat());
    rig.redis("+QUEUED\r\n+OK\r\n");
    assert_eq!(rig.database(), Some(0));
}

#[test]
fn a_blocking_command_inside_a_transaction_does_not_block() {
    let mut rig = in_multi(ACL);
    rig.client(&["BLPOP a:1 0", "EXEC"].map(request).concat());
    rig.client_leaves();
    assert_eq!(rig.closed, None, "what is owed is delivered");
    rig.redis("+QUEUED\r\n*1\r\n*-1\r\n");
    assert_eq!(rig.heard(), "+QUEUED\r\n*1\r\n*-1\r\n");
}

#[test]
fn an_endless_line_in_place_of_an_exec_reply_ends_the_session() {
    let mut rig = in_multi(ACL);
    rig.client(&["GET a:1", "EXEC"].map(request).concat());
    rig.redis("+QUEUED\r\n*");
    rig.redis("1".repeat(100));
    assert_eq!(rig.closed, Some(CloseReason::UpstreamDesynchronised));
}

#[test]
fn without_a_transaction_exec_and_discard_are_redis_business() {
    let mut rig = Rig::new(CLOSED);
    rig.client(&["AUTH alice x", "EXEC", "DISCARD"].map(request).concat());
    rig.redis("-ERR EXEC without MULTI\r\n-ERR DISCARD without MULTI\r\n");
    assert_eq!(rig.heard().lines().count(), 3);
}

#[test]
fn rights_that_were_others_between_multi_and_exec_abort_it_though_they_are_the_same_again() {
    const WITHOUT_SET: &str = "user default on nopass ~* &* +@all -set\n";
    let mut rig = Rig::new(WITHOUT_SET);
    rig.say("MULTI");
    rig.redis("+OK\r\n");
    rig.reload("user default on nopass ~* &* +@all\n");
    rig.say("SET k 1");
    rig.redis("+QUEUED\r\n");
    rig.reload(WITHOUT_SET);
    rig.say("EXEC");
    assert_eq!(rig.forwarded(), "MULTI\nSET k 1\nrespgate:refused\nEXEC");
}

#[test]
fn a_refused_exec_has_redis_end_the_transaction_and_the_watch_too() {
    for said in [&["MULTI", "SET a:1 x", "EXEC"][..], &["MULTI", "GET b:1", "EXEC"], &["WATCH a:1", "EXEC"]] {
        let mut rig = Rig::new("user default on nopass ~a:* &* +@all -exec\n");
        let mut redis = Redis::default();
        rig.client(&said.iter().flat_map(|line| request(line)).collect::<Vec<_>>());
        let sent = rig.sent();
        assert!(String::from_utf8_lossy(&sent).contains("$4\r\nEXEC\r\n$7\r\nrefused\r\n"));
        rig.redis(redis.answer(&sent));
        let heard = rig.heard();
        let text = "-EXECABORT Transaction discarded because of: NOPERM this user has no permissions to run the 'exec' \
                    command\r\n";
        assert_eq!(heard.lines().count(), said.len(), "{heard}");
        assert!(heard.contains(text) && !heard.contains("refused"), "{heard}");
        rig.say("SET a:2 y");
        rig.redis("+OK\r\n");
        assert_eq!(rig.heard(), "+OK\r\n", "no transaction is open");
    }
}

#[test]
fn a_refused_exec_with_a_large_argument_ends_the_transaction_too() {
    let mut rig = in_multi(ACL);
    let exec = request(&format!("EXEC {}", "x".repeat(100_000)));
    exec.chunks(10_000).for_each(|piece| rig.client(piece));
    assert_eq!(rig.forwarded(), "EXEC refused");
    rig.redis("-EXECABORT Transaction discarded because of: wrong number of arguments\r\n");
    rig.client(&[request("GET b:1"), request("PING")].concat());
    rig.redis("+PONG\r\n");
    let heard = rig.heard();
    let starts: Vec<_> = heard.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(starts, ["-EXECABORT", "-NOPERM", "+PONG"], "{heard}");
}

#[test]
fn a_refused_exec_before_there_is_a_connection_is_answered_here() {
    let mut rig = Rig::new(CLOSED);
    rig.say("EXEC x");
    assert_eq!((rig.heard().matches("-EXECABORT ").count(), rig.forwarded().as_str()), (1, ""));
}

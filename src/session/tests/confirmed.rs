//! What Redis has confirmed decides, not what it was asked for: the proxy's own user may lack the right to MULTI, DISCARD,
//! SELECT or anything else that changes the state of the connection.

use super::rig::{Rig, request};
use crate::session::CloseReason;

const NOPERM: &str = "-NOPERM this user has no permissions to run the command\r\n";
const UNKNOWN: &str = "-ERR unknown command 'respgate:refused', with args beginning with: \r\n";

/// All keys of database 0, `pub:*` in each.
const DATABASES: &str = "user default on nopass ~* &* +@all db=0 (~pub:* +@all alldbs)\n";

/// Everything, by two selectors: the database makes no difference.
const OPEN: &str = "user default on nopass ~* &* +@all\n";

fn pipeline(rig: &mut Rig, lines: &[&str]) -> String {
    rig.client(&lines.iter().flat_map(|line| request(line)).collect::<Vec<_>>());
    rig.forwarded()
}

#[test]
fn a_pipeline_that_is_permitted_in_every_state_is_forwarded_at_once() {
    for lines in [
        &["MULTI", "SET a 1", "GET a", "EXEC", "GET a"][..],
        &["MULTI", "SET a 1", "DISCARD", "GET a", "MULTI", "SET a 2", "EXEC"],
        &["WATCH a", "MULTI", "SELECT 3", "SET a 1", "EXEC", "SELECT 4", "GET a"],
        &["SELECT 1", "GET a", "SELECT 2", "GET a"],
    ] {
        assert_eq!(pipeline(&mut Rig::new(OPEN), lines), lines.join("\n"));
    }
    let lines = ["SELECT 1", "GET pub:a", "MULTI", "SELECT 2", "GET pub:b", "EXEC", "GET pub:c"];
    assert_eq!(pipeline(&mut Rig::valkey(DATABASES), &lines), lines.join("\n"));
}

#[test]
fn a_select_behind_a_refused_multi_changes_the_database() {
    let mut rig = Rig::valkey(DATABASES);
    assert_eq!(pipeline(&mut rig, &["MULTI", "SELECT 5", "GET secret"]), "MULTI\nSELECT 5");
    rig.redis(format!("{NOPERM}+OK\r\n"));
    assert_eq!((rig.forwarded().as_str(), rig.database()), ("", Some(5)));
    assert!(rig.heard().starts_with(&format!("{NOPERM}+OK\r\n-NOPERM")));
    assert_eq!(pipeline(&mut rig, &["SET secret x", "GET pub:a"]), "GET pub:a");
}

#[test]
fn a_select_that_is_refused_changes_nothing() {
    let mut rig = Rig::valkey(DATABASES);
    assert_eq!(pipeline(&mut rig, &["SELECT 5", "GET secret"]), "SELECT 5");
    rig.redis(NOPERM);
    assert_eq!((rig.forwarded().as_str(), rig.database()), ("GET secret", Some(0)));
}

#[test]
fn inside_a_transaction_a_queued_select_may_have_been_executed_or_not() {
    let mut rig = Rig::valkey(DATABASES);
    pipeline(&mut rig, &["MULTI"]);
    rig.redis("+OK\r\n");
    rig.heard();
    assert_eq!(pipeline(&mut rig, &["SELECT 5", "GET secret", "GET pub:a"]), "SELECT 5\nrespgate:refused\nGET pub:a");
    rig.redis(format!("+QUEUED\r\n{UNKNOWN}+QUEUED\r\n"));
    assert!(rig.heard().contains("-NOPERM"));
    assert_eq!(pipeline(&mut rig, &["EXEC", "GET secret"]), "EXEC");
    rig.redis("-EXECABORT Transaction discarded because of previous errors.\r\n");
    assert_eq!(rig.forwarded(), "GET secret", "nothing was executed");
}

#[test]
fn after_exec_the_database_is_one_of_those_that_it_may_have_selected() {
    let mut rig = Rig::valkey(DATABASES);
    pipeline(&mut rig, &["MULTI", "SELECT 5", "EXEC"]);
    rig.redis("+OK\r\n+QUEUED\r\n*1\r\n-NOPERM\r\n");
    assert_eq!(pipeline(&mut rig, &["GET secret", "GET pub:a"]), "GET pub:a");
    rig.redis("$-1\r\n");
    assert_eq!(pipeline(&mut rig, &["SELECT 0", "GET secret"]), "SELECT 0");
    rig.redis("+OK\r\n");
    assert_eq!(rig.forwarded(), "GET secret");
}

#[test]
fn a_select_behind_a_refused_discard_is_queued() {
    let mut rig = Rig::valkey(DATABASES);
    pipeline(&mut rig, &["SELECT 5"]);
    rig.redis("+OK\r\n");
    pipeline(&mut rig, &["MULTI"]);
    rig.redis("+OK\r\n");
    assert_eq!(pipeline(&mut rig, &["DISCARD", "SELECT 0", "GET secret"]), "DISCARD\nSELECT 0");
    rig.redis(format!("{NOPERM}+QUEUED\r\n"));
    assert_eq!(rig.forwarded(), "respgate:refused", "it may still be in database 5");
    assert!(rig.in_transaction());
}

#[test]
fn what_a_transaction_forbids_waits_until_redis_has_said_whether_there_is_one() {
    for line in ["HELLO 3", "SUBSCRIBE a", "MONITOR", "BLPOP l 0"] {
        let mut rig = Rig::new(OPEN);
        assert_eq!(pipeline(&mut rig, &["MULTI", line]), "MULTI", "{line}");
        rig.redis(NOPERM);
        assert_eq!(rig.forwarded(), line, "there is none");
        for (reply, sent) in [("+OK\r\n", line), (NOPERM, "respgate:refused")] {
            let mut rig = Rig::new(OPEN);
            pipeline(&mut rig, &["MULTI"]);
            rig.redis("+OK\r\n");
            assert_eq!(pipeline(&mut rig, &["DISCARD", line]), "DISCARD", "{line}");
            rig.redis(reply);
            let sent = if line.starts_with("BLPOP") { line } else { sent };
            assert_eq!(rig.forwarded(), sent, "{line} {reply}");
        }
    }
}

#[test]
fn what_is_answered_here_waits_for_the_reply_to_multi_too() {
    for (reply, heard) in
        [("+OK\r\n", "-ERR Command not allowed inside a transaction\r\n"), (NOPERM, "$7\r\ndefault\r\n")]
    {
        let mut rig = Rig::new(OPEN);
        assert_eq!(pipeline(&mut rig, &["MULTI", "ACL WHOAMI"]), "MULTI");
        rig.redis(reply);
        if rig.forwarded() == "respgate:refused" {
            rig.redis(UNKNOWN);
        }
        assert_eq!(rig.heard(), format!("{reply}{heard}"));
    }
}

#[test]
fn what_waits_for_the_reply_is_taken_though_the_client_has_closed_its_side() {
    let mut rig = Rig::new(OPEN);
    pipeline(&mut rig, &["MULTI", "BLPOP l 0", "EXEC"]);
    rig.client_leaves();
    assert_eq!(rig.closed, None);
    rig.redis("+OK\r\n");
    assert_eq!(rig.forwarded(), "BLPOP l 0\nEXEC");
    rig.redis("+QUEUED\r\n*1\r\n*-1\r\n");
    assert_eq!((rig.heard().as_str(), rig.closed), ("+OK\r\n+QUEUED\r\n*1\r\n*-1\r\n", Some(CloseReason::ClientGone)));
}

#[test]
fn an_inline_request_waits_for_the_reply_as_well() {
    let mut rig = Rig::new(OPEN);
    rig.client(b"multi\r\nblpop l 0\r\nget a\r\n");
    assert_eq!(rig.forwarded(), "multi");
    rig.redis("+OK\r\n");
    assert_eq!(rig.forwarded(), "blpop l 0\nget a");
}

#[test]
fn a_right_that_is_revoked_ends_a_blocking_command_behind_a_refused_multi() {
    let mut rig = Rig::new(OPEN);
    pipeline(&mut rig, &["MULTI", "BLPOP b:l 0"]);
    rig.redis(NOPERM);
    assert_eq!(rig.forwarded(), "BLPOP b:l 0");
    rig.reload("user default on nopass ~a:* &* +@all\n");
    assert_eq!(rig.closed, Some(CloseReason::OngoingRightLost));
}

#[test]
fn a_large_request_behind_a_select_is_streamed_once_it_is_known_where_it_goes() {
    let large = request(&format!("SET secret {}", "v".repeat(200_000)));
    for (reply, is_sent) in [(NOPERM, true), ("+OK\r\n", false)] {
        let mut rig = Rig::valkey(DATABASES);
        rig.client(&[&request("SELECT 5"), &large[..150_000]].concat());
        assert_eq!(rig.sent(), request("SELECT 5"));
        rig.redis(reply);
        rig.client(&large[150_000..]);
        assert_eq!(rig.sent() == large, is_sent, "{reply}");
    }
}

#[test]
fn what_redis_refuses_to_begin_is_no_right_that_could_be_lost() {
    for (line, without) in [
        ("SUBSCRIBE a", "+@all -subscribe"),
        ("CLIENT TRACKING ON", "+@all -client|tracking"),
        ("MONITOR", "+@all -monitor"),
    ] {
        for (reply, closed) in [(NOPERM, None), ("+OK\r\n", Some(CloseReason::OngoingRightLost))] {
            if line.starts_with("SUBSCRIBE") && closed.is_some() {
                continue;
            }
            let mut rig = Rig::new(OPEN);
            pipeline(&mut rig, &[line]);
            rig.redis(reply);
            rig.reload(&format!("user default on nopass ~* &* {without}\n"));
            assert_eq!(rig.closed, closed, "{line} {reply}");
        }
        let mut rig = Rig::new(OPEN);
        pipeline(&mut rig, &[line]);
        rig.reload(&format!("user default on nopass ~* &* {without}\n"));
        assert_eq!(rig.closed, Some(CloseReason::OngoingRightLost), "{line}: asked for");
    }
}

#[test]
fn tracking_is_off_once_redis_says_so() {
    for (multi, reply, closed) in [
        (false, "+OK\r\n", None),
        (false, NOPERM, Some(CloseReason::OngoingRightLost)),
        (true, "+QUEUED\r\n", Some(CloseReason::OngoingRightLost)),
    ] {
        let mut rig = Rig::new(OPEN);
        pipeline(&mut rig, &["CLIENT TRACKING ON"]);
        rig.redis("+OK\r\n");
        if multi {
            pipeline(&mut rig, &["MULTI"]);
            rig.redis("+OK\r\n");
        }
        pipeline(&mut rig, &["CLIENT TRACKING OFF"]);
        rig.redis(reply);
        rig.reload("user default on nopass ~a:* &* +@all\n");
        assert_eq!(rig.closed, closed, "{reply}");
    }
}

#[test]
fn what_redis_keeps_in_mind_for_a_request_is_used_up_where_it_does_not_get_it() {
    for flag in ["ASKING", "CLIENT CACHING YES"] {
        for (line, heard) in [
            (
                "FLUSHALL",
                "-NOPERM this user has no permissions to run the 'flushall' command (blocked by respgate)\r\n",
            ),
            ("NOSUCH", "-ERR unknown command 'NOSUCH', with args beginning with: \r\n"),
            ("ACL WHOAMI", "$7\r\ndefault\r\n"),
        ] {
            let mut rig = Rig::new(OPEN);
            let sent = pipeline(&mut rig, &[flag, line, "GET a", line]);
            assert_eq!(sent, format!("{flag}\nrespgate:refused\nGET a"), "{line}");
            rig.redis(format!("+OK\r\n{UNKNOWN}$-1\r\n"));
            assert_eq!(rig.heard(), format!("+OK\r\n{heard}$-1\r\n{heard}"), "{line}");
        }
        let mut rig = Rig::new(OPEN);
        assert_eq!(pipeline(&mut rig, &[flag, "GET a", "FLUSHALL"]), format!("{flag}\nGET a"));
    }
}

#[test]
fn inside_a_transaction_exec_uses_it_up() {
    let mut rig = Rig::new(OPEN);
    let sent = pipeline(&mut rig, &["ASKING", "MULTI", "FLUSHALL", "FLUSHALL", "EXEC", "FLUSHALL"]);
    assert_eq!(sent, "ASKING\nMULTI\nrespgate:refused\nEXEC");
}

#[test]
fn whatever_ends_a_transaction_ends_it_here() {
    for error in
        ["EXECABORT no", "ERR EXEC without MULTI", "MOVED 1 a:1", "CLUSTERDOWN Hash slot not served", "REDIRECT a:1"]
    {
        let mut rig = Rig::new(OPEN);
        pipeline(&mut rig, &["MULTI", "SET a 1", "EXEC"]);
        rig.redis(format!("+OK\r\n+QUEUED\r\n-{error}\r\n"));
        assert_eq!((rig.in_transaction(), rig.closed), (false, None), "{error}");
    }
}

#[test]
fn an_error_to_exec_after_which_redis_may_go_on_queueing_ends_the_session() {
    let replies = "+OK\r\n+QUEUED\r\n-ERR unknown command 'EXEC', with args beginning with: \r\n";
    for cut in 0..replies.len() {
        let mut rig = Rig::new(OPEN);
        pipeline(&mut rig, &["MULTI", "SET a 1", "EXEC"]);
        rig.redis(&replies[..cut]);
        rig.redis(&replies[cut..]);
        assert_eq!(rig.closed, Some(CloseReason::UpstreamDesynchronised), "cut at {cut}");
    }
}

//! Traces: Redis is told of what was carried out here, and what it shows of that is shown as the command.

use super::rig::{CLOSED, OPEN, Rig, request, trace};
use crate::resp::encode_request;
use crate::session::answer::MOST_TRACES;
use crate::session::pending::Slot;
use crate::session::trace::TraceKey;
use crate::session::{CloseReason, LoginOutcome};

const USERS: &str = "user default on nopass ~* &* +@all\nuser alice on nopass ~a:* &* +@all\n";

impl Rig {
    /// Redis answers the traces that it was sent, as far as no other reply comes before theirs.
    pub(crate) fn redis_answers_traces(&mut self) {
        while self.closed.is_none()
            && let Some(Slot::Trace(_)) = self.core.pending.front()
        {
            self.redis("$1\r\nt\r\n");
        }
    }
}

/// A line of MONITOR.
fn line(arguments: &[&str]) -> String {
    let quoted: Vec<_> = arguments.iter().map(|argument| format!(" \"{argument}\"")).collect();
    format!("+1795497215.974607 [0 127.0.0.1:42650]{}\r\n", quoted.concat())
}

/// The text of a trace with these words.
fn text(words: &str) -> String {
    TraceKey::new(&[7; 32]).sign(words)
}

fn monitoring() -> Rig {
    let mut rig = Rig::new(OPEN);
    rig.say("MONITOR");
    rig.redis("+OK\r\n");
    rig.heard();
    rig
}

/// A reply to SLOWLOG GET with one entry.
fn slowlog(command: &[&str]) -> String {
    let words: Vec<_> = command.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    let words = format!("*{}\r\n{}", words.len(), words.concat());
    format!("*1\r\n*6\r\n:7\r\n:1795497215\r\n:12\r\n{words}$11\r\n127.0.0.1:1\r\n$0\r\n\r\n")
}

#[test]
fn what_is_carried_out_here_is_traced_with_nothing_of_its_secrets() {
    for (said, words) in [
        ("AUTH alice x", "AUTH * *"),
        ("auth a b c", "auth * * *"),
        ("AUTH x", "AUTH *"),
        ("HELLO 4 AUTH alice x", "HELLO 4 AUTH * *"),
        ("ACL whoami", "ACL whoami"),
        ("ACL SETUSER bob on >pw", "ACL SETUSER * * *"),
        ("ACL CAT nosuch", "ACL CAT *"),
    ] {
        let mut rig = Rig::new(USERS);
        rig.say(said);
        assert_eq!(rig.forwarded(), trace(words), "{said}");
        assert!(!rig.heard().is_empty(), "{said}: answered at once");
    }
}

#[test]
fn what_is_refused_here_is_not_traced_nor_is_the_end_of_a_session() {
    for said in ["ACL NOSUCH", "ACL", "AUTH", "NOSUCH", "FLUSHALL", "QUIT", "RESET"] {
        let mut rig = Rig::new(USERS);
        rig.say(said);
        assert_eq!(rig.forwarded(), "", "{said}");
    }
}

#[test]
fn nothing_is_traced_without_a_connection() {
    let mut rig = Rig::new(CLOSED);
    for said in ["AUTH", "AUTH default wrong", "HELLO 4"] {
        rig.say(said);
    }
    rig.verified(LoginOutcome::Rejected);
    assert_eq!((rig.connections, rig.forwarded().as_str()), (0, ""));
}

#[test]
fn a_login_before_the_connection_is_traced_once_that_is_there() {
    for (said, words, then) in [
        ("AUTH default secret", "AUTH * *", "GET a"),
        ("AUTH secret", "AUTH *", "GET a"),
        ("HELLO 3 AUTH default secret", "HELLO 3 AUTH * *", "HELLO 3"),
    ] {
        let mut rig = Rig::new(CLOSED);
        rig.hides_login = false;
        rig.client(&[request(said), request("GET a")].concat());
        rig.verified(LoginOutcome::Accepted(0));
        assert_eq!(rig.forwarded(), format!("{}\n{then}", trace(words)), "{said}");
        rig.redis("$1\r\nt\r\n");
        if then != "GET a" {
            rig.redis("%0\r\n");
        }
        rig.say("ACL WHOAMI");
        rig.redis("$1\r\nv\r\n");
        assert!(rig.heard().ends_with("\r\n$1\r\nv\r\n$7\r\ndefault\r\n"), "{said}");
    }
}

#[test]
fn of_a_login_that_was_given_up_before_the_connection_there_is_no_trace() {
    let mut rig = Rig::new(CLOSED);
    rig.hides_login = false;
    rig.client(&["AUTH alice x", "AUTH alice y"].map(request).concat());
    rig.redis_answers_traces();
    rig.sent();
    rig.client(&["RESET", "GET a"].map(request).concat());
    assert_eq!((rig.forwarded().as_str(), rig.connections), ("", 1));
    assert!(rig.core.untold.is_none());
}

#[test]
fn nothing_is_traced_where_redis_has_no_echo() {
    let mut rig = Rig::new(OPEN);
    rig.rename(&[("ECHO", "")]);
    rig.say("ACL WHOAMI");
    assert_eq!((rig.forwarded().as_str(), rig.heard().as_str()), ("", "$7\r\ndefault\r\n"));
}

#[test]
fn a_trace_goes_by_the_name_that_redis_has_for_echo() {
    let mut rig = Rig::new(OPEN);
    rig.rename(&[("ECHO", "say")]);
    rig.say("ACL WHOAMI");
    assert_eq!(rig.forwarded(), trace("ACL WHOAMI").replace("ECHO", "say"));
}

#[test]
fn no_answer_waits_for_what_redis_says_to_traces() {
    let mut rig = Rig::new(OPEN);
    rig.say("GET large");
    rig.redis(format!("${}\r\n{}\r\n", 1 << 20, "x".repeat(1 << 20)));
    rig.heard();
    for _ in 0..2 * MOST_TRACES {
        rig.say("ACL SETUSER bob off");
        assert_eq!(rig.heard(), "+OK\r\n");
    }
    assert_eq!(rig.forwarded().lines().count() as u64, 1 + MOST_TRACES);
    rig.redis_answers_traces();
    rig.say("ACL SETUSER bob off");
    assert_eq!(rig.forwarded(), trace("ACL SETUSER * *"), "there is room again");
    rig.say("QUIT");
    assert_eq!((rig.heard().as_str(), rig.closed), ("+OK\r\n+OK\r\n", Some(CloseReason::Quit)));
}

#[test]
fn reset_does_not_wait_for_it_either() {
    let mut rig = Rig::new(OPEN);
    rig.client(&["ACL WHOAMI", "RESET", "GET a"].map(request).concat());
    assert_eq!((rig.heard().as_str(), rig.connections), ("$7\r\ndefault\r\n+RESET\r\n", 2));
    rig.redis("$1\r\nv\r\n");
    assert_eq!((rig.heard().as_str(), rig.closed), ("$1\r\nv\r\n", None));
}

#[test]
fn a_replication_link_begins_once_no_trace_is_outstanding() {
    let mut rig = Rig::new(OPEN);
    rig.client(&["ACL WHOAMI", "PSYNC ? -1"].map(request).concat());
    rig.heard();
    assert_eq!(rig.forwarded(), trace("ACL WHOAMI"));
    rig.redis("$1\r\nt\r\n");
    assert_eq!(rig.forwarded(), "PSYNC ? -1");
    rig.redis("+FULLRESYNC x 0\r\n");
    assert_eq!(rig.heard(), "+FULLRESYNC x 0\r\n");
}

#[test]
fn an_answer_and_its_trace_take_their_place_behind_what_is_outstanding() {
    for reply in ["$1\r\nt\r\n", "-NOPERM this user has no permissions to run the 'echo' command\r\n"] {
        let replies = format!("$1\r\n1\r\n{reply}$1\r\n2\r\n{reply}$1\r\n3\r\n");
        for cut in 0..replies.len() {
            let mut rig = Rig::new(OPEN);
            rig.client(&["GET a", "ACL WHOAMI", "GET b", "ACL WHOAMI", "GET c"].map(request).concat());
            assert_eq!(rig.heard(), "");
            rig.redis(&replies[..cut]);
            rig.redis(&replies[cut..]);
            let own = "$7\r\ndefault\r\n";
            assert_eq!(rig.heard(), format!("$1\r\n1\r\n{own}$1\r\n2\r\n{own}$1\r\n3\r\n"), "cut at {cut}");
            assert!(rig.core.pending.is_empty() && rig.core.pending.memory() == 0, "cut at {cut}");
        }
    }
}

#[test]
fn a_reply_that_no_echo_has_ends_the_session() {
    for reply in ["+OK\r\n", ":1\r\n", "*0\r\n"] {
        let mut rig = Rig::new(OPEN);
        rig.say("ACL WHOAMI");
        rig.redis(reply);
        assert_eq!(rig.closed, Some(CloseReason::UpstreamDesynchronised), "{reply}");
    }
}

#[test]
fn the_rest_of_a_hello_keeps_the_skip_that_it_follows() {
    let mut rig = Rig::new(USERS);
    rig.client(&["CLIENT REPLY SKIP", "HELLO 3 AUTH alice x"].map(request).concat());
    assert_eq!(rig.forwarded(), format!("{}\nHELLO 3", trace("HELLO 3 AUTH * *")));
    rig.redis("$1\r\nx\r\n%0\r\n");
    rig.say("ACL WHOAMI");
    assert_eq!(rig.heard(), "$5\r\nalice\r\n");
}

#[test]
fn monitor_shows_the_command_in_place_of_its_trace_however_the_line_is_cut() {
    let before = line(&["PING"]);
    let whole = format!("{before}{}{before}", line(&["ECHO", &text("hello 2 AUTH * *")]));
    let expected = format!("{before}{}{before}", line(&["hello", "2", "AUTH", "(redacted)", "(redacted)"]));
    for cut in 0..whole.len() {
        let mut rig = monitoring();
        rig.redis(&whole[..cut]);
        rig.redis(&whole[cut..]);
        assert_eq!(rig.heard(), expected, "cut at {cut}");
    }
}

#[test]
fn monitor_shows_no_administrative_command() {
    let mut rig = monitoring();
    rig.redis([line(&["ECHO", &text("acl setuser * *")]), line(&["PING"])].concat());
    assert_eq!(rig.heard(), line(&["PING"]));
}

#[test]
fn monitor_shows_what_a_client_said_as_it_said_it() {
    let mut rig = monitoring();
    for arguments in [
        &["echo", &text("auth *")][..],
        &["ECHO", "respgate:0000000000000008 auth *"],
        &["SET", "k", &text("auth *")],
        &["ECHO", &text("auth *"), "x"],
    ] {
        rig.redis(line(arguments));
        assert_eq!(rig.heard(), line(arguments));
    }
}

#[test]
fn a_large_line_of_monitor_is_not_held() {
    let mut rig = monitoring();
    let line = line(&["SET", "k", &"x".repeat(1 << 20)]);
    rig.redis(&line[..1000]);
    assert_eq!(rig.heard(), line[..1000]);
    rig.redis(&line[1000..]);
    assert!(rig.heard() == line[1000..]);
}

#[test]
fn the_slowlog_shows_the_command_in_place_of_its_trace_however_the_reply_is_cut() {
    let said = slowlog(&["ECHO", &text("acl setuser * *")]);
    for cut in 0..said.len() {
        let mut rig = Rig::new(OPEN);
        rig.client(&["SLOWLOG GET", "GET a"].map(request).concat());
        rig.redis(&said[..cut]);
        rig.redis(&said[cut..]);
        rig.redis("$1\r\nv\r\n");
        let expected = slowlog(&["acl", "setuser", "(redacted)", "(redacted)"]);
        assert_eq!(rig.heard(), format!("{expected}$1\r\nv\r\n"), "cut at {cut}");
    }
}

#[test]
fn a_slowlog_that_is_an_error_too_large_or_in_a_transaction_is_as_redis_says() {
    let traced = slowlog(&["ECHO", &text("acl setuser * *")]);
    let large = [traced.as_str(), &"x".repeat(2 << 20)].concat();
    let large = large.replace("$0\r\n\r\n", &format!("${}\r\n", 2 << 20)) + "\r\n";
    for reply in [&large, "-NOPERM no\r\n", "*0\r\n"] {
        let mut rig = Rig::new(OPEN);
        rig.say("SLOWLOG GET");
        rig.redis(reply);
        assert!(rig.heard() == *reply && rig.core.pending.memory() == 0, "{} bytes", reply.len());
    }
    let mut rig = Rig::new(OPEN);
    rig.client(&["MULTI", "SLOWLOG GET", "EXEC"].map(request).concat());
    rig.redis(format!("+OK\r\n+QUEUED\r\n*1\r\n{traced}"));
    assert!(rig.heard().ends_with(&traced));
}

#[test]
fn no_client_can_forge_a_trace() {
    let echo = |text: &str| {
        let mut bytes = Vec::new();
        encode_request(&["echo", text], &mut bytes);
        bytes
    };
    let mut rig = Rig::new(OPEN);
    rig.client(&echo(&text("auth *")));
    assert_eq!((rig.forwarded().as_str(), rig.heard().as_str()), ("", "-ERR respgate: this text is reserved\r\n"));
    let of_another_process = "respgate:0000000000000008 auth *";
    rig.client(&echo(of_another_process));
    assert_eq!(rig.sent(), echo(of_another_process));
}

//! SCRIPT DEBUG and EVAL: a conversation in which Redis hears nothing but its debugger's commands, one at a time.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::rig::{HALF_CLOSE_TIMEOUT, IDLE_TIMEOUT, OPEN, Rig, request, trace};
use crate::command::ArgvBuf;
use crate::policy::ScriptRights;
use crate::session::driver::see_turn_out;
use crate::session::{CloseReason, LoginOutcome, debugger};

const STOPPED: &str = "*2\r\n+* Stopped at 1, stop reason = step over\r\n+-> 1   return 1\r\n";
const VALUE: &str = "*1\r\n+<value> 1\r\n";
const END: &str = "*1\r\n+<endsession>\r\n";
const UNKNOWN: &str = "*1\r\n+<error> Unknown Redis Lua debugger command or wrong number of arguments.\r\n";

const TAKEN: &str = "-ERR respgate: another session is about to debug\r\n";
const AMBIGUOUS: &str = "*1\r\n+<error> respgate: this is a command of Redis, too\r\n";
const OUT_OF_BOUNDS: &str =
    "*1\r\n+<error> respgate: the debugger takes 1024 arguments of 1 to 1024 bytes, and 1 MiB in all\r\n";

/// Scripts are debugged from now on.
fn armed_with(acl: &str) -> Rig {
    let mut rig = Rig::new(acl);
    rig.block(&["FLUSHALL"]);
    rig.say("SCRIPT DEBUG YES");
    rig.redis("+OK\r\n");
    assert_eq!((rig.forwarded().as_str(), rig.heard().as_str()), ("SCRIPT DEBUG YES", "+OK\r\n"));
    rig
}

fn armed() -> Rig {
    armed_with(OPEN)
}

/// One is, and has stopped at its first line.
fn conversing() -> Rig {
    let mut rig = armed();
    rig.say("EVAL return-1 0");
    rig.redis(STOPPED);
    assert_eq!((rig.forwarded().as_str(), rig.heard().as_str()), ("EVAL return-1 0", STOPPED));
    rig
}

#[test]
fn a_conversation_ends_with_the_reply_to_eval_and_the_session() {
    let mut rig = conversing();
    for line in ["p x", "s", "c"] {
        rig.say(line);
        assert_eq!(rig.forwarded(), line);
        rig.redis(VALUE);
        assert_eq!((rig.heard().as_str(), rig.closed), (VALUE, None));
    }
    rig.say("c");
    rig.redis(END);
    assert_eq!((rig.heard().as_str(), rig.closed), (END, None));
    rig.redis(":1\r\n");
    assert_eq!((rig.heard().as_str(), rig.closed), (":1\r\n", Some(CloseReason::DebuggerEnded)));
    assert_eq!(rig.forwarded(), "c");
}

#[test]
fn only_commands_of_the_debugger_reach_redis() {
    let mut rig = conversing();
    for line in [
        "FLUSHALL",
        "GET a",
        "QUIT",
        "RESET",
        "AUTH default x",
        "HELLO 3",
        "MULTI",
        "SCRIPT DEBUG NO",
        "CLIENT REPLY OFF",
        "ACL WHOAMI",
        "SUBSCRIBE a",
        "steps",
        "s\0",
        "\0s",
        "hello\0world",
        "x",
    ] {
        rig.say(line);
        assert_eq!((rig.forwarded().as_str(), rig.heard().as_str()), ("", UNKNOWN), "{line:?}");
    }
    rig.client(b"FLUSHALL\r\n");
    assert_eq!((rig.forwarded().as_str(), rig.heard().as_str(), rig.closed), ("", UNKNOWN, None));
}

#[test]
fn every_name_of_the_debugger_goes_on() {
    for (said, sent) in [
        ("abort", "abort"),
        ("B 1", "b 1"),
        ("Break 0", "break 0"),
        ("continue", "continue"),
        ("E x", "e x"),
        ("help", "help"),
        ("l 1 2", "l 1 2"),
        ("maxlen 0", "maxlen 0"),
        ("next", "next"),
        ("print", "print"),
        ("redis", "redis"),
        ("redis GET a", "redis GET a"),
        ("trace", "trace"),
        ("whole", "whole"),
    ] {
        let mut rig = conversing();
        rig.say(said);
        assert_eq!(rig.forwarded(), sent);
    }
    let mut rig = conversing();
    rig.client(b"print \"x\"\r\n");
    assert_eq!(rig.forwarded(), "print x");
}

#[test]
fn a_name_of_the_debugger_that_redis_has_too_is_shortened_or_not_sent() {
    let mut rig = conversing();
    rig.say("EVAL FLUSHALL 0");
    assert_eq!(rig.forwarded(), "e FLUSHALL 0");
    let mut rig = conversing();
    rig.load_module("e");
    for name in ["eval", "e"] {
        rig.say(name);
        assert_eq!((rig.forwarded().as_str(), rig.heard().as_str()), ("", AMBIGUOUS));
    }
    rig.rename(&[("FLUSHALL", "Step"), ("FLUSHDB", "P")]);
    rig.say("p");
    assert_eq!((rig.forwarded().as_str(), rig.heard().as_str()), ("", AMBIGUOUS));
    rig.say("step");
    assert_eq!(rig.forwarded(), "s");
}

#[test]
fn what_redis_would_end_the_script_for_is_answered_here() {
    let mut rig = conversing();
    let long = "x".repeat(1025);
    let many = format!("redis{}", " x".repeat(1024));
    for line in ["print ", &format!("e {long}"), &many] {
        rig.say(line);
        assert_eq!(rig.heard(), OUT_OF_BOUNDS);
        assert_eq!((rig.forwarded().as_str(), rig.closed), ("", None));
    }
    let most = format!("redis{}", " x".repeat(1023));
    rig.say(&most);
    assert_eq!(rig.forwarded(), most);
    let argument = "x".repeat(1024);
    let too_much: ArgvBuf = std::iter::once("e").chain(std::iter::repeat_n(argument.as_str(), 1023)).collect();
    assert!(debugger::request(&rig.policy, &too_much.as_argv()).is_err());
}

#[test]
fn the_next_command_waits_for_the_answer_to_the_last() {
    let mut rig = armed();
    rig.client(&[request("EVAL x 0"), request("s"), request("FLUSHALL"), request("p")].concat());
    assert_eq!(rig.forwarded(), "EVAL x 0");
    rig.redis(STOPPED);
    assert_eq!((rig.forwarded().as_str(), rig.heard().as_str()), ("s", STOPPED));
    rig.redis(STOPPED);
    assert_eq!((rig.forwarded().as_str(), rig.heard()), ("p", [STOPPED, UNKNOWN].concat()));
}

#[test]
fn eval_waits_for_earlier_replies_and_scripts_run_as_ever_without_script_debug() {
    let mut rig = armed();
    rig.client(&[request("GET a"), request("EVAL x 0")].concat());
    assert_eq!(rig.forwarded(), "GET a");
    rig.redis("$-1\r\n");
    assert_eq!(rig.forwarded(), "EVAL x 0");

    let mut rig = armed();
    rig.say("SCRIPT DEBUG no");
    rig.redis("+OK\r\n");
    rig.client(&[request("EVAL x 0"), request("GET a")].concat());
    assert_eq!(rig.forwarded(), "SCRIPT DEBUG no\nEVAL x 0\nGET a");
    rig.redis("*1\r\n+<endsession>\r\n$-1\r\n");
    assert_eq!(rig.closed, None);
}

#[test]
fn the_mode_is_what_redis_has_confirmed() {
    let mut rig = Rig::new(OPEN);
    rig.block(&[]);
    rig.client(&[request("SCRIPT DEBUG SYNC"), request("EVAL x 0")].concat());
    assert_eq!(rig.forwarded(), "SCRIPT DEBUG SYNC", "it decides what EVAL is");
    rig.redis("-ERR SCRIPT DEBUG must be called outside a pipeline\r\n");
    rig.redis(":1\r\n");
    rig.say("GET a");
    assert_eq!((rig.forwarded().as_str(), rig.closed), ("EVAL x 0\nGET a", None));
}

#[test]
fn relatives_of_eval_that_are_not_debugged_are_ordinary() {
    let mut rig = armed();
    rig.client(&[request("EVALSHA x 0"), request("FCALL f 0"), request("GET a")].concat());
    assert_eq!(rig.forwarded(), "EVALSHA x 0\nFCALL f 0\nGET a");
    rig.redis("-ERR Please use EVAL\r\n:1\r\n$-1\r\n");
    rig.say("EVAL_RO x 0");
    rig.redis(STOPPED);
    rig.say("GET a");
    assert_eq!(rig.forwarded(), "EVAL_RO x 0");
}

#[test]
fn a_script_that_does_not_compile_ends_at_once_and_nothing_behind_it_is_sent() {
    for behind in ["FLUSHALL", "s", "GET a"] {
        let mut rig = armed();
        rig.client(&[request("EVAL x 0"), request(behind)].concat());
        rig.redis(END);
        rig.redis("-ERR Error compiling script\r\n");
        assert_eq!(rig.heard(), [END, "-ERR Error compiling script\r\n"].concat());
        assert_eq!((rig.forwarded().as_str(), rig.closed), ("EVAL x 0", Some(CloseReason::DebuggerEnded)));
    }
}

#[test]
fn where_redis_does_not_debug_after_all_the_session_ends_with_what_it_said() {
    for reply in ["-ERR Fork() failed: can't run EVAL in debugging mode: x\r\n", ":1\r\n", "$-1\r\n", "+OK\r\n"] {
        let mut rig = armed();
        rig.client(&[request("EVAL x 0"), request("s")].concat());
        rig.redis(reply);
        assert_eq!((rig.heard().as_str(), rig.closed), (reply, Some(CloseReason::DebuggerEnded)));
        assert_eq!(rig.forwarded(), "EVAL x 0");
    }
    let mut rig = conversing();
    rig.say("s");
    rig.redis("-ERR unknown command 's'\r\n");
    assert_eq!(rig.closed, Some(CloseReason::DebuggerEnded));
}

#[test]
fn an_end_is_seen_however_it_is_cut_and_is_no_part_of_a_line() {
    let mut rig = conversing();
    rig.say("p");
    rig.redis("*1\r\n+<value> \"<endsession>\"\r\n");
    rig.say("c");
    assert_eq!(rig.forwarded(), "p\nc");
    for byte in "*2\r\n+<debug> line 1: 1\r\n+<endsession>\r\n".bytes() {
        rig.redis([byte]);
    }
    rig.say("s");
    assert_eq!((rig.forwarded().as_str(), rig.closed), ("", None));
    rig.redis("*2\r\n$7\r\nmessage\r\n:1\r\n");
    assert_eq!(rig.closed, Some(CloseReason::DebuggerEnded));
}

#[test]
fn an_answer_that_is_too_large_to_be_held_passes_in_pieces() {
    let mut rig = conversing();
    rig.say("w");
    rig.redis(format!("*2\r\n+{}", "x".repeat(2 << 20)));
    assert!(rig.heard().len() > 2 << 20 && rig.held() < 1 << 20);
    rig.redis("\r\n+<endsession>\r\n:1\r\n");
    assert_eq!((rig.heard().as_str(), rig.closed), ("\r\n+<endsession>\r\n:1\r\n", Some(CloseReason::DebuggerEnded)));
}

#[test]
fn nothing_is_debugged_inside_multi_nor_without_replies() {
    let mut rig = Rig::new(OPEN);
    rig.block(&[]);
    rig.client(&[request("MULTI"), request("SCRIPT DEBUG YES")].concat());
    rig.redis("+OK\r\n");
    assert_eq!(rig.forwarded(), "MULTI\nrespgate:refused");

    let mut rig = armed();
    rig.client(&[request("MULTI"), request("EVAL x 0")].concat());
    assert_eq!(rig.forwarded(), "MULTI\nrespgate:refused");

    for mode in ["OFF", "SKIP"] {
        let mut rig = armed();
        rig.say(&format!("CLIENT REPLY {mode}"));
        rig.say("EVAL x 0");
        assert!(!String::from_utf8(rig.sent()).unwrap().contains("EVAL"), "{mode}");
    }
}

#[test]
fn a_mode_with_a_nul_in_it_is_refused() {
    let mut rig = armed();
    rig.say("SCRIPT DEBUG NO\0");
    assert!(rig.heard().starts_with("-NOPERM"));
    assert_eq!(rig.forwarded(), "");
}

#[test]
fn a_right_that_is_taken_away_ends_the_conversation() {
    for lost in ["-eval", "-script|debug", "-@scripting", "-@all"] {
        let mut rig = conversing();
        rig.reload(&format!("user default on nopass ~* &* +@all {lost}\n"));
        assert_eq!(rig.closed, Some(CloseReason::StandingRightLost), "{lost}");
    }
    let mut rig = conversing();
    rig.block(&["SCRIPT"]);
    assert_eq!(rig.closed, Some(CloseReason::StandingRightLost));
    let mut rig = conversing();
    rig.block(&["FLUSHDB"]);
    assert_eq!(rig.closed, None, "nothing to do with it");
}

#[test]
fn a_script_that_is_debugged_for_nobody_in_particular_ends_once_it_needs_a_mirror() {
    let mut rig = conversing();
    rig.policy.script_rights = ScriptRights::Mirrored { present: vec![true; rig.policy.table.len()] };
    rig.block(&["FLUSHALL"]);
    assert_eq!(rig.closed, Some(CloseReason::StandingRightLost));
}

#[test]
fn whoever_becomes_a_user_without_the_right_debugs_nothing() {
    let mut rig = armed_with("user default on nopass ~* &* +@all\nuser bob on >pw ~* +@all -script|debug\n");
    rig.say("AUTH bob pw");
    rig.verified(LoginOutcome::Accepted(0));
    rig.say("EVAL x 0");
    assert_eq!(rig.forwarded(), trace("AUTH * *"));
    rig.redis("$1\r\nx\r\n");
    assert_eq!(rig.heard(), "+OK\r\n-ERR respgate: not possible without the right to SCRIPT DEBUG\r\n");
}

#[test]
fn a_client_that_leaves_lets_redis_go_on_at_once() {
    let mut rig = conversing();
    rig.client_leaves();
    assert_eq!(rig.closed, Some(CloseReason::ClientGone));
    let mut rig = conversing();
    rig.say("c");
    rig.client_leaves();
    assert_eq!(rig.closed, Some(CloseReason::ClientGone));
}

#[test]
fn a_client_that_says_nothing_to_the_debugger_is_idle_and_one_that_waits_for_it_is_not() {
    let mut rig = conversing();
    rig.say("c");
    rig.wait(IDLE_TIMEOUT * 2);
    assert_eq!(rig.closed, None);
    rig.redis(STOPPED);
    rig.wait(IDLE_TIMEOUT);
    assert_eq!(rig.closed, Some(CloseReason::Idle));
}

#[test]
fn a_shutdown_waits_for_no_further_word_of_a_conversation() {
    let mut rig = conversing();
    let deadline = rig.now + HALF_CLOSE_TIMEOUT;
    rig.core.handle_drain(deadline).unwrap();
    rig.say("");
    assert_eq!(rig.closed, Some(CloseReason::Drained));
}

#[test]
fn reset_turns_the_debugger_off() {
    let mut rig = armed();
    rig.say("RESET");
    rig.client(&[request("EVAL x 0"), request("GET a")].concat());
    assert_eq!(rig.forwarded(), "EVAL x 0\nGET a");
}

#[test]
fn neither_what_is_debugged_nor_what_is_for_the_debugger_is_streamed() {
    let script = format!("EVAL {} 0", "x".repeat(100_000));
    let mut rig = armed();
    rig.say(&script);
    assert_eq!(rig.forwarded(), script);
    assert!(rig.core.held() >= 100_000);
    rig.redis(STOPPED);
    rig.say(&format!("SET a {}", "x".repeat(100_000)));
    assert_eq!((rig.forwarded().as_str(), rig.heard()), ("", [STOPPED, UNKNOWN].concat()));
}

// --- one session at a time

#[test]
fn nobody_else_turns_the_debugger_on_until_a_conversation_has_begun_or_the_turn_is_given_back() {
    for given_back in [
        &[("EVAL x 0", STOPPED)][..],
        &[("EVAL x 0", END)],
        &[("EVAL x 0", ":1\r\n")],
        &[("SCRIPT DEBUG NO", "+OK\r\n")],
        &[("RESET", "")],
    ] {
        let (mut first, mut second) = two();
        ask(&mut first, "SCRIPT DEBUG YES", "+OK\r\n");
        assert_eq!(ask(&mut second, "SCRIPT DEBUG SYNC", ""), TAKEN);
        assert_eq!(ask(&mut second, "SCRIPT DEBUG NO", "+OK\r\n"), "+OK\r\n");
        assert_eq!(ask(&mut second, "EVAL x 0", ":1\r\n"), ":1\r\n");
        assert_eq!(ask(&mut first, "SCRIPT DEBUG SYNC", "+OK\r\n"), "+OK\r\n", "it is its turn");
        for (line, reply) in given_back {
            ask(&mut first, line, reply);
        }
        assert_eq!(ask(&mut second, "SCRIPT DEBUG YES", "+OK\r\n"), "+OK\r\n", "{given_back:?}");
    }
}

#[test]
fn a_refused_script_debug_gives_the_turn_back_unless_it_was_taken_before() {
    let (mut first, mut second) = two();
    ask(&mut first, "SCRIPT DEBUG YES", "-ERR no\r\n");
    assert_eq!(ask(&mut second, "SCRIPT DEBUG YES", "+OK\r\n"), "+OK\r\n");
    ask(&mut second, "SCRIPT DEBUG maybe", "-ERR no\r\n");
    assert_eq!(ask(&mut first, "SCRIPT DEBUG YES", ""), TAKEN);
}

#[test]
fn a_session_that_ends_gives_the_turn_back() {
    let (mut first, mut second) = two();
    ask(&mut first, "SCRIPT DEBUG YES", "+OK\r\n");
    drop(first);
    assert_eq!(ask(&mut second, "SCRIPT DEBUG YES", "+OK\r\n"), "+OK\r\n");

    let (mut first, mut second) = two();
    first.say("SCRIPT DEBUG YES");
    first.redis_leaves();
    drop(first);
    assert_eq!(ask(&mut second, "SCRIPT DEBUG YES", "+OK\r\n"), "+OK\r\n", "Redis has ended it");
}

#[test]
fn a_session_that_ends_before_redis_has_answered_leaves_its_turn_to_whoever_waits_for_that() {
    let debug = ("SCRIPT DEBUG YES", "+OK\r\n");
    for lines in [&[("SCRIPT DEBUG YES", "")][..], &[debug, ("EVAL x 0", "")]] {
        let (mut first, mut second) = two();
        for (line, reply) in lines {
            ask(&mut first, line, reply);
        }
        let turn = first.core.take_unanswered_turn().unwrap();
        drop(first);
        assert_eq!(ask(&mut second, "SCRIPT DEBUG YES", ""), TAKEN, "{lines:?}");
        drop(turn);
        assert_eq!(ask(&mut second, "SCRIPT DEBUG YES", "+OK\r\n"), "+OK\r\n", "{lines:?}");
    }
}

#[tokio::test]
async fn only_the_end_of_its_connection_gives_back_the_turn_that_a_session_leaves() {
    let (mut first, mut second) = two();
    first.say("SCRIPT DEBUG YES");
    let turn = first.core.take_unanswered_turn().unwrap();
    let (ours, mut redis) = tokio::io::duplex(1024);
    let seen_out = tokio::spawn(see_turn_out(ours, turn));
    redis.write_all(b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n").await.unwrap();
    assert_eq!(redis.read(&mut [0; 8]).await.unwrap(), 0, "it is told that nobody listens any more");
    tokio::task::yield_now().await;
    assert_eq!(ask(&mut second, "SCRIPT DEBUG YES", ""), TAKEN);
    drop(redis);
    seen_out.await.unwrap();
    assert_eq!(ask(&mut second, "SCRIPT DEBUG YES", "+OK\r\n"), "+OK\r\n");
}

fn two() -> (Rig, Rig) {
    let shared = Arc::default();
    let (mut first, mut second) = (Rig::among(&shared, OPEN), Rig::among(&shared, OPEN));
    first.block(&[]);
    second.block(&[]);
    (first, second)
}

/// What the client hears, where Redis answers this.
fn ask(rig: &mut Rig, line: &str, reply: &str) -> String {
    rig.say(line);
    rig.redis(reply);
    rig.heard()
}

#[test]
fn script_debug_waits_for_what_redis_says_to_the_trace_of_the_login() {
    let mut rig = Rig::new("user default on >secret ~* &* +@all\n");
    rig.block(&[]);
    rig.hides_login = false;
    rig.say("AUTH secret");
    rig.verified(LoginOutcome::Accepted(0));
    rig.say("SCRIPT DEBUG YES");
    assert_eq!(rig.forwarded(), trace("AUTH *"));
    rig.redis("$1\r\nt\r\n");
    assert_eq!(rig.forwarded(), "SCRIPT DEBUG YES");
}

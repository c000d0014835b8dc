//! The Lua debugger through the proxy, with Redis's own client and with one that tries more than that.

use std::io::Write;
use std::process::Stdio;

use crate::support::{RedisServer, RespClient, Respgate, eventually, request, upstream_of};

const ACL: &str = "user alice on +@all ~* &*\nuser jobs on +@all ~* &*\n";
const UNKNOWN: &str = "*1\r\n+<error> Unknown Redis Lua debugger command or wrong number of arguments.";
const END: &str = "*1\r\n+<endsession>";
const SCRIPT: &str = "local seen = redis.call('INCR', KEYS[1])\nlocal twice = seen * 2\nreturn twice\n";

#[test]
fn redis_cli_steps_through_a_script_and_shows_its_reply() {
    let (redis, gate) = start();
    let told = redis_cli_ldb(&gate, "step\nprint seen\nredis GET counter\ne 1 + 1\ncontinue\nPING\n");
    for line in ["* Stopped at 1, stop reason = step over", "<value> 1", "<reply> \"1\"", "<retval> 2"] {
        assert!(told.contains(line), "{line:?} in {told}");
    }
    assert!(told.contains("(integer) 2") && told.contains("Lua debugging session ended"), "{told}");
    assert_eq!(redis.direct().text(&["EXISTS", "counter"]), ":0", "it ran in a fork");
    gate.wait_for_log(&["debugger-ended"]);
}

#[test]
fn what_is_no_command_of_the_debugger_is_executed_neither_in_a_conversation_nor_after_it() {
    let (redis, gate) = start();
    assert_eq!(redis.direct().text(&["SET", "kept", "1"]), "+OK");
    let mut client = debugging(&gate, "alice", "YES");
    client.text(&["EVAL", "return 1", "0"]);
    for line in [&["FLUSHALL"][..], &["SET", "kept", "2"], &["SCRIPT", "DEBUG", "NO"], &["s\0"], &["QUIT"]] {
        assert_eq!(client.text(line), UNKNOWN);
    }
    client.send(&[request(&["c"]), request(&["FLUSHALL"]), request(&["SET", "kept", "2"])].concat());
    assert_eq!([client.reply_text(), client.reply_text()], [END, ":1"]);
    client.expect_closed();
    assert_eq!(redis.direct().text(&["GET", "kept"]), "$1\r\n1");
}

#[test]
fn a_script_that_cannot_begin_is_told_and_nothing_behind_it_is_executed() {
    let (redis, gate) = start();
    let mut client = debugging(&gate, "alice", "YES");
    client.send(&[request(&["EVAL", "no lua", "0"]), request(&["SET", "a", "1"])].concat());
    assert_eq!(client.reply_text(), END);
    assert!(client.reply_text().starts_with("-ERR Error compiling script"));
    client.expect_closed();
    assert_eq!(redis.direct().text(&["EXISTS", "a"]), ":0");
}

#[test]
fn commands_of_the_debugger_are_ordinary_names_without_a_script() {
    let (_redis, gate) = start();
    let mut client = debugging(&gate, "alice", "SYNC");
    assert!(client.text(&["s"]).starts_with("-ERR unknown command 's'"));
    assert_eq!(client.text(&["SCRIPT", "DEBUG", "NO"]), "+OK");
    assert_eq!(client.text(&["EVAL", "return 1", "0"]), ":1");
    assert_eq!(client.text(&["PING"]), "+PONG");
}

#[test]
fn redis_goes_on_when_a_client_leaves_a_script_that_stops_it_for_everybody() {
    let (redis, gate) = start();
    let mut client = debugging(&gate, "alice", "SYNC");
    let stopped = client.text(&["EVAL", "redis.call('SET', KEYS[1], 'x') return 1", "1", "a"]);
    assert!(stopped.contains("Stopped at 1"), "{stopped}");
    drop(client);
    assert_eq!(redis.direct().text(&["GET", "a"]), "$1\r\nx", "the script went on to its end");
    eventually("the session to be over", || gate.log_text().contains("client-gone").then_some(()));
    assert_eq!(gate.connect("alice").text(&["PING"]), "+PONG");
}

#[test]
fn a_client_that_leaves_right_behind_its_script_lets_others_debug() {
    let (_redis, gate) = start();
    for mode in ["YES", "SYNC"] {
        let (debug, eval) = (request(&["SCRIPT", "DEBUG", mode]), request(&["EVAL", "return 1", "0"]));
        for (before, last) in [(None, &debug), (None, &[debug.as_slice(), &eval].concat()), (Some(&debug), &eval)] {
            let mut client = gate.connect("alice");
            if let Some(before) = before {
                client.send(before);
                assert_eq!(client.reply_text(), "+OK");
            }
            client.send(last);
            drop(client);
            eventually("the turn to be given back", || {
                let told = gate.connect("jobs").text(&["SCRIPT", "DEBUG", "YES"]);
                (told == "+OK").then_some(())
            });
        }
    }
}

#[test]
fn the_debugger_converses_with_the_session_whose_script_it_runs() {
    let (_redis, gate) = start();
    let mut first = debugging(&gate, "alice", "YES");
    let mut second = gate.connect("jobs");
    assert_eq!(second.text(&["SCRIPT", "DEBUG", "YES"]), "-ERR respgate: another session is about to debug");
    assert!(first.text(&["EVAL", "return 1", "0"]).contains("Stopped at 1"));
    assert_eq!(second.text(&["SCRIPT", "DEBUG", "YES"]), "+OK");
    assert!(second.text(&["EVAL", "return 2", "0"]).contains("return 2"));
    for (client, reply) in [(&mut first, ":1"), (&mut second, ":2")] {
        assert_eq!(client.text(&["continue"]), END);
        assert_eq!(client.reply_text(), reply);
    }
}

#[test]
fn a_right_that_is_taken_away_ends_the_conversation() {
    let (_redis, gate) = start();
    let mut client = debugging(&gate, "alice", "YES");
    client.text(&["EVAL", "return 1", "0"]);
    gate.write_acl("user alice on +@all -script|debug ~* &*\n");
    gate.signal(rustix::process::Signal::HUP);
    client.expect_closed();
    gate.wait_for_log(&["standing-right-lost"]);
}

#[test]
fn scripting_users_run_scripts_and_debug_none() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis)).acl(ACL).table("[block]\nscripting-users = [\"jobs\"]").start();
    let mut jobs = gate.connect("jobs");
    let refused = "-NOPERM this user has no permissions to run the 'script|debug' command";
    assert_eq!(jobs.text(&["SCRIPT", "DEBUG", "YES"]), refused);
    assert_eq!(jobs.text(&["EVAL", "return 1", "0"]), ":1");
}

// --- helpers

/// A Redis and a respgate that blocks no scripts.
fn start() -> (RedisServer, Respgate) {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis)).acl(ACL).table("[block]\ncommands = [\"FLUSHALL\"]").start();
    (redis, gate)
}

fn debugging(gate: &Respgate, user: &str, mode: &str) -> RespClient {
    let mut client = gate.connect(user);
    assert_eq!(client.text(&["SCRIPT", "DEBUG", mode]), "+OK");
    client
}

/// What redis-cli shows of a conversation about [`SCRIPT`].
fn redis_cli_ldb(gate: &Respgate, commands: &str) -> String {
    let script = gate.path("script.lua");
    std::fs::write(&script, SCRIPT).unwrap();
    let mut redis_cli = gate
        .redis_cli(Some(&gate.pki().client("alice")))
        .arg("--ldb")
        .arg("--eval")
        .arg(&script)
        .arg("counter")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("redis-cli is installed (apt-get install redis-tools)");
    redis_cli.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
    String::from_utf8(redis_cli.wait_with_output().unwrap().stdout).unwrap()
}

//! Passwords: AUTH and HELLO AUTH, argon2 hashes, and the one-password case.

use std::io::Write;
use std::process::Stdio;

use crate::support::{RedisServer, RespClient, Respgate, respgate_binary, upstream_of};

const WRONGPASS: &str = "-WRONGPASS invalid username-password pair or user is disabled.";
const NOAUTH: &str = "-NOAUTH Authentication required.";

#[test]
fn auth_with_the_right_password_makes_the_client_that_user() {
    let (_redis, gate) = start_with_passwords();
    let mut client = stranger(&gate);
    assert_eq!(client.text(&["GET", "a"]), NOAUTH);
    assert_eq!(client.text(&["AUTH", "bob", "correct horse"]), "+OK");
    assert_eq!(client.text(&["ACL", "WHOAMI"]), "$3\r\nbob");
    assert_eq!(client.text(&["SET", "bob:1", "x"]), "+OK");
    assert!(client.text(&["GET", "other"]).starts_with("-NOPERM "));
}

#[test]
fn threads_that_verify_passwords_have_low_priority_from_the_first_password_on() {
    let (_redis, gate) = start_with_passwords();
    let own = niceness(&gate, "respgate");
    assert!(niceness(&gate, "password-").iter().all(|nice| *nice == own[0]));
    assert_eq!(stranger(&gate).text(&["AUTH", "bob", "correct horse"]), "+OK");
    assert!(niceness(&gate, "password-").iter().any(|nice| *nice == own[0] + 10));
}

#[test]
fn a_wrong_password_an_unknown_user_and_a_disabled_user_are_refused_alike() {
    let (redis, gate) = start_with_passwords();
    for (user, password) in [("bob", "wrong"), ("nobody", "correct horse"), ("off", "correct horse"), ("bob", "")] {
        let mut client = stranger(&gate);
        assert_eq!(client.text(&["AUTH", user, password]), WRONGPASS, "{user}");
        assert_eq!(client.text(&["GET", "a"]), NOAUTH, "{user}");
    }
    assert_eq!((redis.calls("auth"), redis.calls("get")), (0, 0));
}

#[test]
fn hello_auth_logs_in_and_switches_the_protocol_or_does_neither() {
    let (_redis, gate) = start_with_passwords();
    let mut client = stranger(&gate);
    assert_eq!(client.text(&["HELLO", "3", "AUTH", "bob", "wrong"]), WRONGPASS);
    assert!(client.text(&["HELLO", "3"]).starts_with("-NOAUTH "));
    let reply = client.text(&["HELLO", "3", "AUTH", "bob", "correct horse", "SETNAME", "worker"]);
    assert!(reply.starts_with('%'), "{reply}");
    assert_eq!(client.text(&["GET", "bob:missing"]), "_", "RESP3 null");
    assert_eq!(client.text(&["CLIENT", "GETNAME"]), "$6\r\nworker");
    assert_eq!(client.text(&["ACL", "WHOAMI"]), "$3\r\nbob");
}

#[test]
fn requests_behind_auth_in_one_pipeline_are_judged_as_the_new_user() {
    let (_redis, gate) = start_with_passwords();
    let mut client = stranger(&gate);
    let mut bytes = crate::support::request(&["AUTH", "bob", "correct horse"]);
    bytes.extend(crate::support::request(&["SET", "bob:1", "x"]));
    bytes.extend(crate::support::request(&["GET", "bob:1"]));
    client.send(&bytes);
    let replies = [client.reply_text(), client.reply_text(), client.reply_text()];
    assert_eq!(replies, ["+OK", "+OK", "$1\r\nx"]);
}

#[test]
fn requests_behind_a_failed_login_in_one_pipeline_are_not_carried_out() {
    let (redis, gate) = start_with_passwords();
    for login in [&["AUTH", "bob", "wrong"][..], &["HELLO", "3", "AUTH", "bob", "wrong"]] {
        let mut client = stranger(&gate);
        let mut bytes = crate::support::request(login);
        bytes.extend(crate::support::request(&["SET", "bob:1", "x"]));
        client.send(&bytes);
        assert_eq!([client.reply_text(), client.reply_text()], [WRONGPASS, WRONGPASS], "{login:?}");
        assert_eq!(client.text(&["GET", "a"]), NOAUTH, "it could have read that the login was refused");
    }
    assert_eq!(redis.calls("set"), 0);
}

#[test]
fn a_hash_made_by_hash_password_is_accepted_and_nothing_else_is() {
    let hash = hash_password("a long pass phrase", CHEAP);
    assert!(hash.starts_with("$argon2id$v=19$"), "{hash}");
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl_file(&format!("user carol on {hash} +@read ~*\n"))
        .expect_log("login failed")
        .start();
    assert_eq!(stranger(&gate).text(&["AUTH", "carol", "a long pass phrase"]), "+OK");
    assert_eq!(stranger(&gate).text(&["AUTH", "carol", "a long pass phrase\n"]), WRONGPASS);
    assert_eq!(stranger(&gate).text(&["AUTH", "carol", &hash]), WRONGPASS);
}

#[test]
fn two_hashes_of_one_password_differ() {
    assert_ne!(hash_password("same", CHEAP), hash_password("same", CHEAP));
}

#[test]
fn redis_password_alone_protects_the_default_user() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .env("REDIS_PASSWORD", "only-one-secret")
        .expect_log("login failed")
        .start();
    let mut client = stranger(&gate);
    assert_eq!(client.text(&["SET", "a", "1"]), NOAUTH);
    assert_eq!(client.text(&["AUTH", "wrong"]), WRONGPASS);
    assert_eq!(client.text(&["AUTH", "only-one-secret"]), "+OK");
    assert_eq!(client.text(&["SET", "a", "1"]), "+OK");
    assert!(client.text(&["FLUSHALL"]).starts_with("-NOPERM "), "the blocklist stands all the same");
    assert_eq!(stranger(&gate).text(&["AUTH", "default", "only-one-secret"]), "+OK");
}

#[test]
fn redis_password_can_come_from_a_file() {
    let redis = RedisServer::start();
    let setup = Respgate::setup(&upstream_of(&redis)).file("redis_password", "from-a-file\n");
    let path = setup.path("redis_password");
    let gate = setup.env("REDIS_PASSWORD_FILE", path.to_str().unwrap()).expect_log("login failed").start();
    assert_eq!(stranger(&gate).text(&["AUTH", "from-a-file"]), "+OK");
    assert_eq!(stranger(&gate).text(&["AUTH", "from-a-file\n"]), WRONGPASS);
}

#[test]
fn a_certificate_session_cannot_become_another_user_by_password() {
    let redis = RedisServer::start();
    let acl = "user alice on >alices-own +@all ~alice:*\nuser bob on >correct-horse +@all ~*\n";
    let gate =
        Respgate::setup(&upstream_of(&redis)).acl(acl).expect_log("a fast hash").expect_log("login failed").start();
    let mut client = gate.connect("alice");
    assert!(client.text(&["AUTH", "bob", "correct-horse"]).starts_with('-'));
    assert_eq!(client.text(&["ACL", "WHOAMI"]), "$5\r\nalice");
    assert_eq!(client.text(&["AUTH", "alice", "alices-own"]), "+OK");
}

#[test]
fn reset_returns_the_session_to_its_certificate() {
    let redis = RedisServer::start();
    let gate = Respgate::start(&redis, "user alice on +@all ~*\n");
    let mut client = gate.connect("alice");
    client.call(&["HELLO", "3"]);
    assert_eq!(client.text(&["SELECT", "2"]), "+OK");
    assert_eq!(client.text(&["SET", "in2", "x"]), "+OK");
    assert_eq!(client.text(&["RESET"]), "+RESET");
    assert_eq!(client.text(&["GET", "in2"]), "$-1", "RESP2, database 0");
    assert_eq!(client.text(&["ACL", "WHOAMI"]), "$5\r\nalice");
}

#[test]
fn an_unauthenticated_client_is_held_to_small_requests() {
    let (_redis, gate) = start_with_passwords();
    let mut client = stranger(&gate);
    client.send(b"*11\r\n");
    assert_eq!(client.reply_text(), "-ERR Protocol error: unauthenticated multibulk length");
    client.expect_closed();
    let mut client = stranger(&gate);
    client.send(b"*2\r\n$4\r\nAUTH\r\n$16385\r\n");
    assert_eq!(client.reply_text(), "-ERR Protocol error: unauthenticated bulk length");
    client.expect_closed();
}

// --- helpers

/// No rule names a user: a certificate to get in, a password to say who.
fn start_with_passwords() -> (RedisServer, Respgate) {
    let redis = RedisServer::start();
    let hash = hash_password("correct horse", CHEAP);
    let acl = format!("user bob on {hash} +@all ~bob:*\nuser off off {hash} +@all ~*\n");
    let gate =
        Respgate::setup(&upstream_of(&redis)).acl_file(&acl).expect_log("login failed").expect_log("rotocol").start();
    (redis, gate)
}

fn stranger(gate: &Respgate) -> RespClient {
    gate.connect("some-machine")
}

/// Of the threads whose names begin so.
fn niceness(gate: &Respgate, name: &str) -> Vec<i32> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", gate.pid())).unwrap();
    let stats = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap());
    // The name is in parentheses; behind it the state is field 3, and the niceness field 19 [proc_pid_stat(5)].
    let nice: Vec<i32> = stats
        .filter(|stat| stat.contains(&format!("({name}")))
        .filter_map(|stat| stat.rsplit_once(") ")?.1.split_whitespace().nth(16)?.parse().ok())
        .collect();
    assert!(!nice.is_empty(), "{name}");
    nice
}

const CHEAP: &[&str] = &["--memory", "1024", "--iterations", "1"];

pub(crate) fn hash_password(password: &str, cost: &[&str]) -> String {
    let mut child =
        respgate_binary().arg("hash-password").args(cost).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

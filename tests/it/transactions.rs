//! MULTI and EXEC through the proxy, with refusals in between.

use crate::support::{RedisServer, RespClient, Respgate, Setup, request, upstream_of};

const ACL: &str = "user alice on +@all ~* &*\n";
const REFUSED: &str = "-NOPERM this user has no permissions to run the 'flushall' command (blocked by respgate)";
const NOT_IN_MULTI: &str = "-ERR Command not allowed inside a transaction";
const ABORTED: &str = "-EXECABORT Transaction discarded because of previous errors.";

#[test]
fn a_refusal_aborts_exec_at_redis_itself() {
    let redis = RedisServer::start();
    let gate = Respgate::start(&redis, ACL);
    let mut client = gate.connect("alice");
    let mut monitor = redis.direct();
    assert_eq!(monitor.text(&["MONITOR"]), "+OK");

    let lines = ["WATCH w", "MULTI", "SET a 1", "FLUSHALL", "ACL WHOAMI", "SET b 1", "EXEC"];
    let replies = ["+OK", "+OK", "+QUEUED", REFUSED, NOT_IN_MULTI, "+QUEUED", ABORTED];
    assert_eq!(all_at_once(&mut client, &lines), replies);
    assert_eq!(client.text(&["EXISTS", "a", "b"]), ":0", "nothing was executed");
    assert_eq!(commands(&mut monitor), ["CLIENT", "WATCH", "MULTI", "EXEC", "EXISTS"], "the first is the proxy's own");

    assert_eq!(redis.direct().text(&["SET", "w", "changed"]), "+OK");
    assert_eq!(all_at_once(&mut client, &["MULTI", "SET a 1", "EXEC"]), ["+OK", "+QUEUED", "*1\r\n+OK"]);
    assert_eq!(redis.calls("discard"), 0);
}

#[test]
fn discard_after_a_refusal_is_redis_own() {
    let redis = RedisServer::start_with(&["--rename-command", "DISCARD", "forget"]);
    let gate = declaring(&redis, "DISCARD = \"forget\"").start().settled();
    let mut client = gate.connect("alice");
    let lines = ["MULTI", "SET a 1", "FLUSHALL", "DISCARD", "MULTI", "SET a 2", "FLUSHALL", "EXEC", "GET a"];
    let replies = ["+OK", "+QUEUED", REFUSED, "+OK", "+OK", "+QUEUED", REFUSED, ABORTED, "$-1"];
    assert_eq!(all_at_once(&mut client, &lines), replies);
    assert_eq!(redis.calls("discard"), 1);
}

#[test]
fn a_refused_exec_gives_up_what_was_watched_as_direct() {
    let lines = ["WATCH w", "EXEC too-many", "SET w 1", "MULTI", "PING", "EXEC", "MULTI", "EXEC too-many", "EXEC"];
    let expected = all_at_once(&mut RedisServer::start().direct(), &lines);
    let redis = RedisServer::start();
    let through_us = all_at_once(&mut Respgate::start(&redis, ACL).connect("alice"), &lines);
    assert_eq!(through_us, expected);
}

#[test]
fn a_refusal_where_replies_are_off_aborts_exec_as_well() {
    let redis = RedisServer::start();
    let gate = Respgate::start(&redis, ACL);
    let mut client = gate.connect("alice");
    let lines = ["CLIENT REPLY OFF", "MULTI", "SET a 1", "FLUSHALL", "EXEC", "CLIENT REPLY ON", "EXISTS a"];
    lines.iter().for_each(|line| client.send(&request(&words(line))));
    assert_eq!([client.reply_text(), client.reply_text()], ["+OK", ":0"]);
}

#[test]
fn auth_and_acl_inside_multi_are_refused_and_abort_exec() {
    let redis = RedisServer::start();
    let setup = Respgate::setup(&upstream_of(&redis)).acl("user alice on >pw-6c1f +@all ~* &*\nuser bob on >pw-77ae\n");
    let gate = setup.table("[block]\ncommands = [\"FLUSHALL\"]").start().settled();
    let mut client = gate.connect("alice");
    let mut monitor = redis.direct();
    assert_eq!(monitor.text(&["MONITOR"]), "+OK");
    for refused in [
        "AUTH alice pw-6c1f",
        "auth bob pw-77ae",
        "AUTH pw-6c1f",
        "ACL WHOAMI",
        "acl setuser bob on +@all",
        "ACL DELUSER bob",
        "ACL LOAD",
        "ACL LOG",
        "ACL GENPASS",
        "HELLO 3 AUTH alice pw-6c1f",
        "HELLO 3",
    ] {
        let lines = ["MULTI", "SET a 1", refused, "SET b 1", "EXEC", "EXISTS a b", "ACL WHOAMI"];
        let replies = ["+OK", "+QUEUED", NOT_IN_MULTI, "+QUEUED", ABORTED, ":0", "$5\r\nalice"];
        assert_eq!(all_at_once(&mut client, &lines), replies, "{refused}");
    }
    assert!(client.text(&["ACL", "DRYRUN", "bob", "GET", "a"]).contains("no permissions"), "bob is as he was");
    let shown = String::from_utf8(monitor.read_until_quiet()).unwrap();
    assert!(!shown.contains("pw-") && !shown.contains("setuser"), "{shown}");
}

#[test]
fn hello_works_under_the_name_that_redis_has_for_it() {
    let redis = RedisServer::start_with(&["--rename-command", "HELLO", "greet"]);
    let gate = declaring(&redis, "HELLO = \"greet\"").start().settled();
    assert!(gate.connect("alice").text(&["HELLO", "3"]).starts_with('%'));
}

#[test]
fn hello_is_refused_where_redis_has_none() {
    let redis = RedisServer::start_with(&["--rename-command", "HELLO", "greet"]);
    let gate =
        Respgate::setup(&upstream_of(&redis)).acl(ACL).expect_log("upstream has renamed HELLO").start().settled();
    let mut client = gate.connect("alice");
    assert!(client.text(&["HELLO", "3"]).starts_with("-ERR unknown command 'HELLO'"));
    assert_eq!(client.text(&["ACL", "WHOAMI"]), "$5\r\nalice");
}

// --- helpers

fn declaring(redis: &RedisServer, renames: &str) -> Setup {
    Respgate::setup(&upstream_of(redis)).acl(ACL).table(&format!("[rename]\n{renames}"))
}

/// Sends the requests as one pipeline and returns their replies.
fn all_at_once(client: &mut RespClient, lines: &[&str]) -> Vec<String> {
    let pipeline: Vec<u8> = lines.iter().flat_map(|line| request(&words(line))).collect();
    client.send(&pipeline);
    lines.iter().map(|_| client.reply_text()).collect()
}

/// The names of the commands that MONITOR has shown since, but for what the proxy asks of itself.
fn commands(monitor: &mut RespClient) -> Vec<String> {
    let lines = String::from_utf8(monitor.read_until_quiet()).unwrap();
    let names = lines.lines().map(|line| line.split('"').nth(1).unwrap().to_ascii_uppercase());
    names.filter(|name| !matches!(name.as_str(), "INFO" | "COMMAND")).collect()
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

//! MULTI and EXEC through the proxy, with refusals in between.

use crate::support::{RedisServer, RespClient, Respgate, request};

const ACL: &str = "user alice on +@all ~* &*\n";
const REFUSED: &str = "-NOPERM this user has no permissions to run the 'flushall' command";
const ABORTED: &str = "-EXECABORT Transaction discarded because of previous errors.";

#[test]
fn a_refusal_aborts_exec_at_redis_itself() {
    let redis = RedisServer::start();
    let gate = Respgate::start(&redis, ACL);
    let mut client = gate.connect("alice");
    let mut monitor = redis.direct();
    assert_eq!(monitor.text(&["MONITOR"]), "+OK");

    let lines = ["WATCH w", "MULTI", "SET a 1", "FLUSHALL", "ACL WHOAMI", "SET b 1", "EXEC"];
    let replies = ["+OK", "+OK", "+QUEUED", REFUSED, "+QUEUED", "+QUEUED", ABORTED];
    assert_eq!(all_at_once(&mut client, &lines), replies);
    assert_eq!(client.text(&["EXISTS", "a", "b"]), ":0", "nothing was executed");
    assert_eq!(commands(&mut monitor), ["WATCH", "MULTI", "EXEC", "EXISTS"]);

    assert_eq!(redis.direct().text(&["SET", "w", "changed"]), "+OK");
    assert_eq!(all_at_once(&mut client, &["MULTI", "SET a 1", "EXEC"]), ["+OK", "+QUEUED", "*1\r\n+OK"]);
    assert_eq!(redis.calls("discard"), 0);
}

#[test]
fn discard_after_a_refusal_is_redis_own() {
    let redis = RedisServer::start_with(&["--rename-command", "DISCARD", "forget"]);
    let gate = Respgate::setup(&crate::support::upstream_of(&redis)).acl(ACL).table("[rename]\nDISCARD = \"forget\"");
    let gate = gate.start().settled();
    let mut client = gate.connect("alice");
    let lines = ["MULTI", "SET a 1", "FLUSHALL", "DISCARD", "MULTI", "SET a 2", "FLUSHALL", "EXEC", "GET a"];
    let replies = ["+OK", "+QUEUED", REFUSED, "+OK", "+OK", "+QUEUED", REFUSED, ABORTED, "$-1"];
    assert_eq!(all_at_once(&mut client, &lines), replies);
    assert_eq!(redis.calls("discard"), 1);
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

// --- helpers

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

//! What Redis tells of itself passes as Redis tells it.

use crate::support::{RedisServer, RespClient, Respgate, upstream_of};

const ACL: &str = "user alice on +@all ~* &*\n";

#[test]
fn info_tells_what_redis_has_counted_and_nothing_of_what_is_answered_here() {
    let (redis, gate) = start();
    let (mut client, mut direct) = (gate.connect("alice"), redis.direct());
    for protocol in ["2", "3"] {
        client.call(&["HELLO", protocol]);
        direct.call(&["HELLO", protocol]);
        answered_here(&mut client);
        client.call(&["RPUSH", "list", "x"]);
        assert!(client.text(&["GET", "list"]).starts_with("-WRONGTYPE "));
        let shown = client.call(&["INFO", "errorstats", "keyspace"]);
        assert_eq!(
            String::from_utf8(shown.clone()),
            String::from_utf8(direct.call(&["INFO", "errorstats", "keyspace"]))
        );
        let text = String::from_utf8(shown).unwrap();
        assert!(text.contains("WRONGTYPE") && !text.contains("NOPERM") && !text.contains("WRONGPASS"), "{text}");
    }
    assert_eq!(redis.calls("flushall"), 0);
}

#[test]
fn monitor_shows_what_redis_shows_to_the_byte_and_nothing_of_what_is_answered_here() {
    let (redis, gate) = start();
    let (mut shown, mut direct) = (gate.connect("alice"), redis.direct());
    for monitor in [&mut shown, &mut direct] {
        assert_eq!(monitor.text(&["MONITOR"]), "+OK");
    }
    let mut client = gate.connect("alice");
    answered_here(&mut client);
    client.call(&["ECHO", "respgate:0123456789abcdef auth * *"]);
    client.call(&["SET", "k", &"v".repeat(200_000)]);
    client.call(&["ECHO", "end"]);
    let mut lines = Vec::new();
    loop {
        // The proxy's own look at Redis may come before or after either of them began.
        let (ours, theirs) = (client_line(&mut shown), client_line(&mut direct));
        assert!(ours == theirs, "{ours}\n{theirs}");
        if ours.ends_with("\"end\"") {
            break;
        }
        lines.push(ours);
    }
    assert_eq!(lines.len(), 3, "the first is the proxy's own CLIENT ID: {lines:?}");
}

#[test]
fn the_slowlog_is_redis_own_to_the_byte() {
    let (redis, gate) = start();
    let (mut client, mut direct) = (gate.connect("alice"), redis.direct());
    assert_eq!(direct.text(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]), "+OK");
    answered_here(&mut client);
    client.call(&["ECHO", "respgate:0123456789abcdef auth * *"]);
    assert_eq!(direct.text(&["CONFIG", "SET", "slowlog-log-slower-than", "-1"]), "+OK");
    for protocol in ["2", "3"] {
        client.call(&["HELLO", protocol]);
        let log = client.text(&["SLOWLOG", "GET", "-1"]);
        assert_eq!(log, direct.text(&["SLOWLOG", "GET", "-1"]));
        assert!(log.contains("respgate:0123456789abcdef auth") && !log.to_lowercase().contains("setuser"), "{log}");
    }
}

// --- helpers

/// The next line that is of no look of the proxy at Redis.
fn client_line(monitor: &mut RespClient) -> String {
    loop {
        let line = monitor.reply_text();
        if !line.contains("\"INFO\"") && !line.contains("\"COMMAND\"") {
            return line;
        }
    }
}

fn start() -> (RedisServer, Respgate) {
    let redis = RedisServer::start();
    let setup = Respgate::setup(&upstream_of(&redis)).acl(ACL).table("[block]\ncommands = [\"FLUSHALL\"]");
    (redis, setup.start().settled())
}

/// Refusals, logins and ACL commands.
fn answered_here(client: &mut RespClient) {
    for (words, start) in [
        (&["NOSUCH"][..], "-ERR unknown command"),
        (&["GET"], "-ERR wrong number"),
        (&["FLUSHALL"], "-NOPERM "),
        (&["AUTH", "alice", "wrong"], "-WRONGPASS "),
        (&["ACL", "WHOAMI"], "$5"),
        (&["ACL", "SETUSER", "eve", ">secret-4f1c"], "+OK"),
    ] {
        let reply = client.text(words);
        assert!(reply.starts_with(start), "{words:?}: {reply}");
    }
}

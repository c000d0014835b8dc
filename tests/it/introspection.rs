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

// --- helpers

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

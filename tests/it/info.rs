//! INFO through the proxy: what it answered in Redis's place counts as if Redis had answered it.

use std::collections::BTreeMap;

use crate::support::{RedisServer, RespClient, Respgate, request, upstream_of};

const ALICE: &str = "on >right ~a:* &* +@all -del";

#[test]
fn refusals_count_as_direct() {
    assert_counted_alike(&[
        "NOSUCH x",
        "CONFIG NOSUCH",
        "CONFIG",
        "GET",
        "GET too many",
        "SET b:1 x",
        "MGET a:1 b:1",
        "DEL a:1",
        "SET a:1 x",
        "LPUSH a:1 x",
        "CLIENT TRACKING ON REDIRECT 999999",
        "CLIENT NOSUCH",
    ]);
}

#[test]
fn what_is_answered_here_counts_as_direct() {
    assert_counted_alike(&[
        "AUTH alice right",
        "AUTH alice wrong",
        "AUTH a b c",
        "AUTH",
        "ACL WHOAMI",
        "ACL CAT nosuch",
        "ACL SETUSER carol on",
        "ACL SETUSER carol +nosuch",
        "ACL DELUSER carol",
        "ACL NOSUCH",
        "HELLO 4",
        "HELLO 2 NOSUCH",
        "HELLO 2 AUTH alice wrong",
        "HELLO 2 AUTH alice right",
        "RESET",
    ]);
}

#[test]
fn transactions_count_as_direct() {
    assert_counted_alike(&[
        "MULTI",
        "SET a:1 x",
        "ACL WHOAMI",
        "ACL CAT nosuch",
        "ECHO x",
        "EXEC",
        "EXEC",
        "MULTI",
        "GET",
        "SET a:1 y",
        "EXEC",
        "MULTI",
        "SET b:1 x",
        "ACL WHOAMI",
        "DISCARD",
        "WATCH a:1",
        "MULTI",
        "NOSUCH",
        "EXEC",
    ]);
}

#[test]
fn a_subscriber_that_says_something_else_counts_as_direct() {
    assert_counted_alike(&["SUBSCRIBE a", "GET a:1", "ACL WHOAMI", "AUTH alice right", "UNSUBSCRIBE a"]);
}

#[test]
fn errors_that_are_not_sent_count_as_direct() {
    let silent = ["CLIENT REPLY OFF", "NOSUCH", "GET", "ACL CAT nosuch", "CLIENT REPLY ON"];
    assert_alike(|client, _| {
        client.send(&silent.map(|line| request(&words(line))).concat());
        assert_eq!(client.reply_text(), "+OK");
    });
}

#[test]
fn a_verbatim_reply_counts_as_direct() {
    assert_alike(|client, _| {
        client.call(&["HELLO", "3"]);
        client.call(&["NOSUCH"]);
        assert!(client.call(&["INFO", "errorstats"]).starts_with(b"="));
    });
}

#[test]
fn protocol_errors_and_the_end_of_a_session_count_as_direct() {
    assert_alike(|_, connect| {
        let mut broken = connect();
        broken.send(b"*x\r\n");
        assert!(broken.read_to_end().1.is_ok());
        let mut quitting = connect();
        assert_eq!(quitting.text(&["QUIT"]), "+OK");
        quitting.expect_closed();
    });
}

#[test]
fn resetstat_forgets_what_was_answered_here() {
    for last in [&["CONFIG RESETSTAT"][..], &["MULTI", "GET a:1", "CONFIG RESETSTAT", "ACL WHOAMI", "EXEC"]] {
        assert_counted_alike(&[&["NOSUCH", "GET", "AUTH alice right", "ACL WHOAMI"], last].concat());
    }
}

#[test]
fn a_session_hears_of_what_others_were_refused() {
    let (_redis, gate) = start();
    gate.connect("alice").text(&["NOSUCH"]);
    assert!(gate.connect("alice").text(&["INFO"]).contains("errorstat_ERR:count=1\r\n"));
}

// --- helpers

/// Runs the requests one by one on a Redis of its own, direct and through the proxy, and compares what INFO then says.
fn assert_counted_alike(lines: &[&str]) {
    assert_alike(|client, _| {
        for line in lines {
            client.call(&words(line));
        }
    });
}

fn assert_alike(mut story: impl FnMut(&mut RespClient, &dyn Fn() -> RespClient)) {
    let redis = RedisServer::start();
    let rules: Vec<_> = ["ACL", "SETUSER", "alice"].into_iter().chain(ALICE.split(' ')).collect();
    assert_eq!(redis.direct().text(&rules), "+OK");
    let direct = || {
        let mut client = redis.direct();
        assert_eq!(client.text(&["AUTH", "alice", "right"]), "+OK");
        client
    };
    // Both have logged in before anything is counted.
    let expected = counted(&mut story, &|| redis.direct(), direct());
    let (_redis, gate) = start();
    assert_eq!(counted(&mut story, &|| gate.connect("alice"), gate.connect("alice")), expected);
}

/// What INFO says after the story.
fn counted(
    story: &mut impl FnMut(&mut RespClient, &dyn Fn() -> RespClient),
    connect: &dyn Fn() -> RespClient,
    mut client: RespClient,
) -> BTreeMap<String, String> {
    assert_eq!(client.text(&["CONFIG", "RESETSTAT"]), "+OK");
    story(&mut client, connect);
    let text = client.text(&["INFO", "everything"]);
    text.lines().filter_map(|line| line.split_once(':')).filter(|(key, _)| is_counted(key)).map(comparable).collect()
}

/// The proxy itself asks Redis for INFO and COMMAND.
fn is_counted(key: &str) -> bool {
    let of_the_proxy = key == "cmdstat_info" || key.starts_with("cmdstat_command");
    !of_the_proxy && (key == "total_error_replies" || key.starts_with("cmdstat_") || key.starts_with("errorstat_"))
}

/// Without the time that it took.
fn comparable((key, fields): (&str, &str)) -> (String, String) {
    let fields = fields.split(',').filter(|field| !field.starts_with("usec"));
    (key.to_owned(), fields.collect::<Vec<_>>().join(","))
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

fn start() -> (RedisServer, Respgate) {
    let redis = RedisServer::start();
    let acl = format!("user alice {ALICE}\n");
    let setup = Respgate::setup(&upstream_of(&redis)).acl(&acl);
    let setup = setup.table("[block]\ncommands = [\"FLUSHALL\"]");
    (redis, setup.start().settled())
}

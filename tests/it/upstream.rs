//! Redis is down, comes back, goes away, or wants a password.

use std::process::Output;

use crate::support::{FakeRedis, RedisServer, RespClient, Respgate, eventually, request, upstream_of};

const ACL: &str = "user alice on +@all ~*\n";

#[test]
fn a_client_of_a_dead_upstream_is_closed_without_a_word_and_service_returns_with_it() {
    let mut redis = RedisServer::stopped(&[]);
    let gate = Respgate::setup(&upstream_of(&redis)).acl(ACL).expect_log("upstream").start();
    assert_eq!(unserved(&gate), b"");
    gate.wait_for_log(&["\"close\"", "upstream-unavailable"]);
    redis.restart();
    let mut client = eventually("service to return", || working_client(&gate));
    assert_eq!(client.text(&["SET", "a", "1"]), "+OK");
}

fn says(output: Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn health_follows_the_upstream() {
    let mut redis = RedisServer::stopped(&[]);
    let gate = Respgate::setup(&upstream_of(&redis)).acl(ACL).expect_log("upstream").start();
    assert_eq!(says(gate.health()), (Some(0), "upstream-down\n".to_owned()), "it is not the proxy's fault");
    assert_eq!(says(gate.ask(&["health", "--ready"])), (Some(1), "upstream-down\n".to_owned()));
    redis.restart();
    eventually("health to be good", || gate.is_ready().then_some(()));
}

#[test]
fn nobody_is_to_be_sent_here_while_redis_loads_its_data() {
    let slowly = ["--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024"];
    let mut redis = RedisServer::start_with(&[&slowly[..], &["--enable-debug-command", "yes"]].concat());
    for command in [&["DEBUG", "POPULATE", "100000"][..], &["SAVE"]] {
        assert_eq!(redis.direct().text(command), "+OK");
    }
    redis.restart();
    let gate = Respgate::setup(&upstream_of(&redis)).acl(ACL).start();
    gate.wait_for_log(&["upstream is there"]);
    // What was told before that has taken effect.
    assert!(gate.ask(&["reload"]).status.success());
    assert_eq!(says(gate.ask(&["health", "--ready"])), (Some(1), "upstream-down\n".to_owned()));
    assert_eq!(redis.direct().text(&["CONFIG", "SET", "key-load-delay", "0"]), "+OK");
    eventually("health to be good", || gate.is_ready().then_some(()));
}

#[test]
fn health_notices_that_the_upstream_has_gone_without_a_client_that_would() {
    let mut redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis)).acl(ACL).expect_log("upstream").start();
    eventually("health to be good", || gate.is_ready().then_some(()));
    redis.stop();
    eventually("health to be bad", || (!gate.is_ready()).then_some(()));
}

#[test]
fn a_redis_that_is_full_has_not_gone_though_after_a_while_nobody_is_to_be_sent_there() {
    let redis = RedisServer::start_with(&["--maxclients", "2"]);
    let gate = Respgate::setup(&upstream_of(&redis)).acl(ACL).expect_log("upstream is not there").start();
    eventually("health to be good", || gate.is_ready().then_some(()));
    let mut alice = gate.connect("alice");
    assert_eq!(alice.text(&["PING"]), "+PONG");
    let mut direct = redis.direct();
    assert_eq!(direct.text(&["PING"]), "+PONG");
    let before = rejected(&mut direct);
    eventually("a look at it to be refused", || (rejected(&mut direct) > before).then_some(()));
    let mut late = gate.connect("alice");
    late.send(&request(&["PING"]));
    assert_eq!(late.read_to_end().0, b"", "as from a Redis that speaks TLS");
    gate.wait_for_log(&["\"close\"", "upstream-full"]);
    assert_eq!(alice.text(&["PING"]), "+PONG");
    gate.wait_for_log(&["WARN", "upstream is not there", "max number of clients reached"]);
    eventually("health to say so", || (!gate.is_ready()).then_some(()));
    let mut late = gate.connect("alice");
    late.send(&request(&["PING"]));
    assert_eq!(late.read_to_end().0, b"", "nor is it one that refuses the login");
    assert_eq!(alice.text(&["PING"]), "+PONG");
    drop(direct);
    eventually("health to be good again", || gate.is_ready().then_some(()));
}

#[test]
fn a_redis_that_does_not_know_command_is_served_by_what_is_known_of_it() {
    let redis = RedisServer::start_with(&["--rename-command", "COMMAND", ""]);
    let gate = Respgate::setup(&upstream_of(&redis)).acl(ACL).expect_log("go unnoticed").start();
    eventually("health to be good", || gate.is_ready().then_some(()));
    assert_eq!(gate.connect("alice").text(&["SET", "a", "1"]), "+OK");
}

#[test]
fn renames_that_redis_does_not_let_the_proxy_see_are_warned_of() {
    for (name, arguments) in [
        ("renamed", &["--rename-command", "COMMAND", "hidden"][..]),
        ("all of it forbidden", &["--user", "default", "on", "nopass", "~*", "&*", "+@all", "-command"][..]),
        ("INFO forbidden", &["--user", "default", "on", "nopass", "~*", "&*", "+@all", "-command|info"][..]),
    ] {
        let redis = RedisServer::start_with(arguments);
        let gate = Respgate::setup(&upstream_of(&redis)).acl(ACL).expect_log("go unnoticed").start().settled();
        gate.wait_for_log(&["WARN", "does not let the proxy ask with COMMAND", "[rename]"]);
        assert_eq!(gate.connect("alice").text(&["SET", "a", "1"]), "+OK", "{name}");
    }
}

/// GET is free, renamed or disabled, and FLUSHALL has its name: whoever may GET would flush everything.
#[test]
fn a_name_that_was_given_to_another_command_is_refused() {
    for new_name in ["G1", ""] {
        let renames = ["--rename-command", "GET", new_name, "--rename-command", "FLUSHALL", "GET"];
        let redis = RedisServer::start_with(&renames);
        let gate = Respgate::setup(&upstream_of(&redis)).acl(ACL).expect_log("has renamed").start().settled();
        let mut client = gate.connect("alice");
        assert_eq!(client.text(&["SET", "a", "1"]), "+OK");
        let reply = client.text(&["GET", "sync"]);
        assert!(reply.starts_with("-ERR unknown command"), "'{new_name}': {reply}");
        assert_eq!(redis.direct().text(&["EXISTS", "a"]), ":1", "'{new_name}'");
        gate.wait_for_log(&["the upstream has renamed GET"]);
    }
}

#[test]
fn a_redis_of_which_users_have_made_info_very_long_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("redis.sock");
    let redis = FakeRedis::start(&socket, "redis_version:7.0.15", &["get"]);
    let setup = Respgate::setup(&format!("unix:{}", socket.display())).acl(ACL).setting("require-upstream = true");
    let gate = setup.start();
    eventually("health to be good", || gate.is_ready().then_some(()));
    drop((gate, redis));
}

#[test]
fn a_proxy_without_clients_is_no_client_of_redis() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis)).acl(ACL).start();
    eventually("health to be good", || gate.is_ready().then_some(()));
    let mut direct = redis.direct();
    eventually("the look at it to end", || {
        (direct.text(&["CLIENT", "LIST"]).matches(" addr=").count() == 1).then_some(())
    });
}

#[test]
fn a_restarted_redis_ends_its_sessions_and_serves_new_ones() {
    let mut redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis)).acl(ACL).expect_log("upstream").start();
    let mut client = gate.connect("alice");
    assert_eq!(client.text(&["PING"]), "+PONG");
    redis.stop();
    let (rest, _end) = client.read_to_end();
    assert_eq!(rest, b"");
    redis.restart();
    let mut client = eventually("service to return", || working_client(&gate));
    assert_eq!(client.text(&["SET", "a", "1"]), "+OK");
}

#[test]
fn a_stuck_redis_ends_who_waits_for_it_and_newcomers_are_closed_until_it_goes_on() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl("user alice on +@all ~* &*\n")
        .setting("upstream-timeout = \"1s\"")
        .setting("upstream-connect-timeout = \"1s\"")
        .expect_log("upstream")
        .start()
        .settled();
    let (mut waiting, mut blocked) = (gate.connect("alice"), gate.connect("alice"));
    assert_eq!(waiting.text(&["SET", "a", "1"]), "+OK");
    blocked.send(&request(&["BLPOP", "queue", "0"]));
    redis.pause();
    waiting.send(&request(&["GET", "a"]));
    assert_eq!(waiting.read_to_end().0, b"", "nothing is invented");
    gate.wait_for_log(&["\"close\"", "alice", "upstream-timeout"]);
    gate.wait_for_log(&["upstream is not there", "timed out"]);
    assert_eq!(unserved(&gate), b"");
    redis.resume();
    working_client(&gate).expect("service returns");
    assert_eq!(redis.direct().text(&["RPUSH", "queue", "job"]), ":1");
    assert_eq!(blocked.reply_text(), "*2\r\n$5\r\nqueue\r\n$3\r\njob");
}

#[test]
fn a_reply_that_is_owed_when_redis_dies_is_not_invented() {
    let mut redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis)).acl(ACL).expect_log("upstream").start();
    let mut client = gate.connect("alice");
    client.send(&request(&["BLPOP", "queue", "0"]));
    eventually("BLPOP to block", || {
        redis.direct().text(&["INFO", "clients"]).contains("blocked_clients:1").then_some(())
    });
    redis.stop();
    client.expect_closed();
}

#[test]
fn an_upstream_that_does_not_know_auth_brings_no_password_into_the_log() {
    let redis = RedisServer::start_with(&["--rename-command", "AUTH", ""]);
    let setup = Respgate::setup(&upstream_of(&redis)).acl(ACL).file("redis_password", "behind-the-gate\n");
    let table = format!("[upstream-auth]\npassword-file = {:?}", setup.path("redis_password"));
    let gate = setup.table(&table).expect_log("upstream").start();
    gate.wait_for_log(&["upstream", "unknown command"]);
    assert!(!gate.log_text().contains("behind-the-gate"), "{}", gate.log_text());
}

#[test]
fn a_subscription_that_redis_refuses_while_replies_are_off_holds_nothing_up() {
    let user = ["--user", "gate", "on", ">behind-the-gate", "~*", "+@all", "resetchannels", "&news"];
    let redis = RedisServer::start_with(&user);
    let setup = Respgate::setup(&upstream_of(&redis)).acl("user alice on +@all ~* &*\n");
    let setup = setup.file("redis_password", "behind-the-gate\n");
    let table = format!("[upstream-auth]\nuser = \"gate\"\npassword-file = {:?}", setup.path("redis_password"));
    let gate = setup.table(&table).start();
    for hello in ["2", "3"] {
        let mut client = gate.connect("alice");
        client.call(&["HELLO", hello]);
        for silence in ["OFF", "SKIP"] {
            client.send(&request(&["CLIENT", "REPLY", silence]));
            client.send(&request(&["SUBSCRIBE", "elsewhere"]));
            assert_eq!(client.text(&["CLIENT", "REPLY", "ON"]), "+OK", "RESP{hello} {silence}");
            assert_eq!(client.text(&["ECHO", "hello"]), "$5\r\nhello");
        }
        for (silence, request_line, told) in [
            ("OFF", ["SUBSCRIBE", "news"], "$9\r\nsubscribe\r\n$4\r\nnews\r\n:1"),
            ("OFF", ["UNSUBSCRIBE", "news"], "$11\r\nunsubscribe\r\n$4\r\nnews\r\n:0"),
            ("SKIP", ["SUBSCRIBE", "news"], "$9\r\nsubscribe\r\n$4\r\nnews\r\n:1"),
        ] {
            client.send(&request(&["CLIENT", "REPLY", silence]));
            let confirmation = client.text(&request_line);
            assert!(confirmation.ends_with(told), "RESP{hello} {silence}: {confirmation}");
            if request_line[0] == "UNSUBSCRIBE" {
                assert_eq!(client.text(&["CLIENT", "REPLY", "ON"]), "+OK");
            }
        }
        assert!(client.text(&["PING"]).to_ascii_lowercase().contains("pong"));
    }
}

#[test]
fn the_proxy_asks_and_logs_in_under_the_names_that_redis_has_for_its_commands() {
    let renamed = [["AUTH", "enter"], ["INFO", "tell"], ["COMMAND", "list"], ["ECHO", "say"]];
    let mut args = vec!["--requirepass", "behind-the-gate"];
    args.extend(renamed.iter().flat_map(|[original, name]| ["--rename-command", original, name]));
    let redis = RedisServer::start_with(&args);
    let lines: Vec<String> = renamed.iter().map(|[original, name]| format!("{original} = \"{name}\"")).collect();
    let setup = Respgate::setup(&upstream_of(&redis)).acl(ACL).file("redis_password", "behind-the-gate\n");
    let table = format!("[upstream-auth]\npassword-file = {:?}", setup.path("redis_password"));
    let gate = setup.table(&table).table(&format!("[rename]\n{}", lines.join("\n"))).start().settled();
    eventually("health to be good", || gate.is_ready().then_some(()));
    let mut client = gate.connect("alice");
    assert_eq!(client.text(&["ECHO", "hello"]), "$5\r\nhello", "the name is confirmed");
    assert!(client.text(&["INFO", "server"]).contains("redis_version"));
}

#[test]
fn a_redis_without_command_confirms_no_declared_name() {
    let redis = RedisServer::start_with(&["--rename-command", "COMMAND", "", "--rename-command", "ECHO", "say"]);
    let gate = Respgate::setup(&upstream_of(&redis)).acl(ACL).table("[rename]\nECHO = \"say\"");
    let gate = gate.expect_log("ECHO by the name that is declared").start();
    eventually("health to be good", || gate.is_ready().then_some(()));
    let mut client = gate.connect("alice");
    assert!(client.text(&["ECHO", "hello"]).starts_with("-ERR unknown command 'ECHO'"));
    assert_eq!(client.text(&["SET", "a", "1"]), "+OK");
}

#[test]
fn the_proxy_logs_in_as_its_own_user_and_the_client_never_learns_the_password() {
    let redis = RedisServer::start_with(&["--requirepass", "behind-the-gate"]);
    let setup = Respgate::setup(&upstream_of(&redis)).acl(ACL).file("redis_password", "behind-the-gate\n");
    let table = format!("[upstream-auth]\npassword-file = {:?}", setup.path("redis_password"));
    let gate = setup.table(&table).start();
    assert_eq!(gate.connect("alice").text(&["SET", "a", "1"]), "+OK");
    assert!(!gate.log_text().contains("behind-the-gate"));
}

#[test]
fn a_named_upstream_user_is_what_redis_sees() {
    let redis = RedisServer::start_with(&["--user", "respgate", "on", ">behind-the-gate", "+@all", "~*", "&*"]);
    let setup = Respgate::setup(&upstream_of(&redis)).acl(ACL).file("redis_password", "behind-the-gate\n");
    let table = format!("[upstream-auth]\nuser = \"respgate\"\npassword-file = {:?}", setup.path("redis_password"));
    let gate = setup.table(&table).start();
    let mut alice = gate.connect("alice");
    assert_eq!(alice.text(&["PING"]), "+PONG");
    let clients = redis.direct().text(&["CLIENT", "LIST"]);
    assert!(clients.contains(" user=respgate "), "{clients}");
}

#[test]
fn a_refused_upstream_login_makes_the_upstream_unavailable() {
    let redis = RedisServer::start_with(&["--requirepass", "behind-the-gate"]);
    let setup = Respgate::setup(&upstream_of(&redis)).acl(ACL).file("redis_password", "not-the-password\n");
    let table = format!("[upstream-auth]\npassword-file = {:?}", setup.path("redis_password"));
    let gate = setup.table(&table).expect_log("upstream").start();
    assert_eq!(unserved(&gate), b"");
    gate.wait_for_log(&["upstream", "WRONGPASS"]);
}

#[test]
fn an_unauthenticated_client_opens_no_upstream_connection() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl_file("user bob on >correct-horse +@all ~*\n")
        .expect_log("a fast hash")
        .start();
    let mut strangers: Vec<_> = (0..5).map(|_| gate.connect("stranger")).collect();
    for client in &mut strangers {
        assert_eq!(client.text(&["PING"]), "-NOAUTH Authentication required.");
    }
    only_client(&mut redis.direct());
}

/// How many connections Redis had no place for.
fn rejected(direct: &mut RespClient) -> u64 {
    let info = direct.text(&["INFO", "stats"]);
    let line = info.lines().find_map(|line| line.strip_prefix("rejected_connections:")).expect("a count");
    line.trim().parse().expect("a number")
}

/// Nobody but this client is connected to its Redis, once a look at it has ended.
fn only_client(direct: &mut RespClient) {
    eventually("all others to be gone", || {
        (direct.text(&["CLIENT", "LIST"]).matches(" addr=").count() == 1).then_some(())
    });
}

/// What a client hears before its connection is closed, as by a Redis that speaks TLS.
fn unserved(gate: &Respgate) -> Vec<u8> {
    let mut client = gate.connect("alice");
    client.send(&request(&["GET", "a"]));
    let (heard, end) = client.read_to_end();
    end.expect("close_notify");
    heard
}

fn working_client(gate: &Respgate) -> Option<RespClient> {
    let mut client = gate.connect("alice");
    client.try_send(&request(&["PING"])).ok()?;
    (client.try_reply().ok()? == b"+PONG\r\n").then_some(client)
}

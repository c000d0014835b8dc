//! What `[block] commands` and `[user.NAME]` make of the default list.

use std::process::Output;

use crate::support::{RedisServer, RespClient, Respgate, Setup, respgate_binary, upstream_of};

const ACL: &str = "user alice on +@all ~* &*\nuser bob on +@all -@admin ~* &*\nuser admin on +@all ~* &*\n";
const PARAMETERS: &str = "[user.alice]\nconfig-get = [\"maxmemory-policy\", \"maxmemory\"]\n\
                          config-set = [\"notify-keyspace-events\"]";

#[test]
fn the_default_list_may_be_used_but_for_some_and_with_others() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl(ACL)
        .table("[block]\ncommands = [\"default\", \"-CONFIG GET\", \"-bgsave\", \"+keys\", \"lolwut\"]")
        .start();
    let mut alice = gate.connect("alice");
    assert!(alice.text(&["CONFIG", "GET", "maxmemory"]).starts_with("*2"));
    for blocked in [&["CONFIG", "SET", "hz", "10"][..], &["FLUSHALL"], &["KEYS", "*"], &["LOLWUT"], &["EVAL", "", "0"]]
    {
        assert!(is_blocked(&mut alice, blocked), "{blocked:?}");
    }
}

#[test]
fn of_config_a_user_may_name_the_parameters_that_are_listed_and_no_others() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis)).acl(ACL).table(PARAMETERS).start();
    let mut alice = gate.connect("alice");
    assert!(alice.text(&["CONFIG", "get", "MaxMemory-policy"]).ends_with("\r\nnoeviction"));
    assert!(alice.text(&["CONFIG", "GET", "maxmemory", "maxmemory-policy"]).starts_with("*4"));
    assert_eq!(alice.text(&["CONFIG", "SET", "notify-keyspace-events", "Ex"]), "+OK");
    alice.send(b"config set notify-keyspace-events Kx\r\n");
    assert_eq!(alice.reply_text(), "+OK");
    for blocked in [
        &["CONFIG", "GET", "requirepass"][..],
        &["CONFIG", "GET", "maxmemory", "requirepass"],
        &["CONFIG", "GET", "maxmemory*"],
        &["CONFIG", "GET", "notify-keyspace-events"],
        &["CONFIG", "SET", "notify-keyspace-events", "Ex", "dir", "/tmp"],
        &["CONFIG", "SET", "maxmemory", "0"],
        &["CONFIG", "RESETSTAT"],
    ] {
        assert!(is_blocked(&mut alice, blocked), "{blocked:?}");
    }
    let large = "x".repeat(200_000);
    assert!(is_blocked(&mut alice, &["CONFIG", "SET", "notify-keyspace-events", &large]), "not read as a whole");
    assert!(is_blocked(&mut gate.connect("admin"), &["CONFIG", "GET", "maxmemory"]), "another user");
    assert_eq!((redis.calls("config|get"), redis.calls("config|set")), (2, 2));
}

#[test]
fn what_is_lifted_for_single_parameters_is_not_in_a_transaction() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis)).acl(ACL).table(PARAMETERS).start();
    let mut alice = gate.connect("alice");
    assert_eq!(alice.text(&["MULTI"]), "+OK");
    assert!(is_blocked(&mut alice, &["CONFIG", "GET", "maxmemory"]));
    assert!(alice.text(&["EXEC"]).starts_with("-EXECABORT"));
    assert!(alice.text(&["CONFIG", "GET", "maxmemory"]).starts_with("*2"));
}

#[test]
fn parameters_of_a_renamed_config_are_asked_for_by_the_original_name() {
    let redis = RedisServer::start_with(&["--rename-command", "CONFIG", "Xq7"]);
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl(ACL)
        .table(PARAMETERS)
        .table("[rename]\nCONFIG = \"Xq7\"")
        .start()
        .settled();
    let mut alice = gate.connect("alice");
    assert!(alice.text(&["CONFIG", "GET", "maxmemory"]).starts_with("*2"));
    assert!(is_blocked(&mut alice, &["CONFIG", "GET", "requirepass"]));
    assert!(alice.text(&["XQ7", "GET", "maxmemory"]).starts_with("-ERR unknown command"));
}

#[test]
fn the_acl_has_to_allow_a_parameter_as_well_and_check_says_so_where_it_does_not() {
    let redis = RedisServer::start();
    let of_bob = "[user.bob]\nconfig-get = [\"maxmemory\"]";
    let setup = Respgate::setup(&upstream_of(&redis)).acl(ACL).table(of_bob).expect_log("config-get");
    let told =
        "warning: [user.bob] config-get changes nothing: the user's ACL does not allow it: add +config|get there";
    assert!(text(&check(&setup)).contains(told), "{}", text(&check(&setup)));
    let gate = setup.start();
    let refused = gate.connect("bob").text(&["CONFIG", "GET", "maxmemory"]);
    assert_eq!(refused, "-NOPERM this user has no permissions to run the 'config|get' command");

    let setup = nowhere().table(PARAMETERS).table("[block]\ncommands = [\"flushall\"]");
    for key in ["get", "set"] {
        let told = format!("warning: [user.alice] config-{key} changes nothing: config|{key} is not blocked");
        assert!(text(&check(&setup)).contains(&told), "{}", text(&check(&setup)));
    }
    assert!(!text(&check(&nowhere().table(PARAMETERS))).contains("changes nothing"));
}

#[test]
fn whoever_may_edit_users_cannot_become_one_for_whom_single_parameters_are_lifted() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl(ACL)
        .table(PARAMETERS)
        .table("[block]\ncommands = [\"default\", \"-acl|setuser\"]")
        .start();
    let refused = gate.connect("admin").text(&["ACL", "SETUSER", "alice", ">guess"]);
    assert!(refused.starts_with("-NOPERM respgate: only an exempt user may change 'alice'"), "{refused}");
    assert_eq!(gate.connect("admin").text(&["ACL", "SETUSER", "bob", "on"]), "+OK");
}

#[test]
fn an_entry_that_means_nothing_is_an_error_with_the_nearest_name() {
    for (commands, told) in [
        ("\"default\", \"-confg|get\"", "`confg|get` is no command"),
        ("\"default\", \"-confg|get\"", "did you mean `-config|get`?"),
        ("\"defualt\"", "did you mean `default`?"),
        ("\"@scriptign\"", "did you mean `@scripting`?"),
        (
            "\"default\", \"-client|list\"",
            "`-client|list` takes nothing out: what stands before it does not block that",
        ),
        ("\"-config|get\"", "`-config|get` takes nothing out: nothing is blocked before it, begin with \"default\""),
        ("\"auth\"", "`auth` cannot be blocked"),
        ("\"default\", \"HELLO\"", "`[user.NAME] auth = \"certificate\"`"),
        ("\"@connection\", \"-reset\"", "`-reset` cannot be blocked"),
        ("\"-default\"", "`default` can only be added: leave it out instead"),
        ("\"default\", \"--get\"", "\"--get\" is no command"),
    ] {
        let output = check(&nowhere().table(&format!("[block]\ncommands = [{commands}]")));
        assert_eq!(output.status.code(), Some(78), "{commands}");
        assert!(text(&output).contains(told), "{commands}: {}", text(&output));
    }
    let output = check(&nowhere().table("[user.alice]\nconfig-get = [\"max*\"]\nconfig-set = [\"HZ\"]"));
    for word in ["\"max*\"", "\"HZ\""] {
        assert!(text(&output).contains(&format!("{word} is no parameter of CONFIG")), "{}", text(&output));
    }
}

#[test]
fn a_category_blocks_nothing_of_what_is_said_before_it_is_known_who_asks() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl(&format!("{ACL}user app on >pw +@all ~*\n"))
        .setting("tls-auth-clients = \"optional\"")
        .table("[block]\ncommands = [\"@connection\"]")
        .start();
    let mut app = gate.connect_as(None);
    for _ in 0..2 {
        assert!(app.text(&["HELLO", "3"]).starts_with("-NOAUTH "));
        assert_eq!(app.text(&["AUTH", "app", "pw"]), "+OK");
        assert!(app.text(&["HELLO", "2"]).starts_with('*'));
        assert!(is_blocked(&mut app, &["PING"]));
        assert_eq!(app.text(&["RESET"]), "+RESET");
    }
    assert_eq!(app.text(&["QUIT"]), "+OK");
}

// --- helpers

fn nowhere() -> Setup {
    Respgate::setup("unix:/nonexistent/redis.sock").acl(ACL)
}

fn check(setup: &Setup) -> Output {
    let mut command = respgate_binary();
    command.args(["check", "--listen", "127.0.0.1:0", "--config"]).arg(setup.write_config()).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn is_blocked(client: &mut RespClient, request: &[&str]) -> bool {
    client.text(request).ends_with("(blocked by respgate)")
}

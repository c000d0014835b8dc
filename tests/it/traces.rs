//! What is carried out here, as MONITOR and SLOWLOG show it through the proxy, and directly.

use crate::support::{RedisServer, RespClient, Respgate, upstream_of};

const RIGHT: &str = "right-secret-5c1d";
const WRONG: &str = "wrong-secret-9e42";

/// What a trace looks like, but for the mark.
const FORGED: &str = "respgate:0123456789abcdef auth * *";

#[test]
fn monitor_shows_logins_and_what_redis_would_show_of_acl() {
    let (redis, gate) = start();
    let mut monitors = [gate.connect("admin"), redis.direct()];
    for monitor in &mut monitors {
        assert_eq!(monitor.text(&["MONITOR"]), "+OK");
    }
    let mut client = gate.connect("some-machine");
    assert_eq!(client.text(&["AUTH", "bob", RIGHT]), "+OK");
    client.call(&["GET", "k"]);
    assert!(client.text(&["AUTH", "bob", WRONG]).starts_with("-WRONGPASS "));
    assert!(client.text(&["hello", "2", "AUTH", "bob", WRONG]).starts_with("-WRONGPASS "));
    assert_eq!(client.text(&["ACL", "SETUSER", "eve", "on", &format!(">{RIGHT}")]), "+OK");
    client.call(&["acl", "whoami"]);
    client.call(&["ECHO", FORGED]);
    client.call(&["ECHO", "end"]);
    let expected = [
        r#""AUTH" "(redacted)" "(redacted)""#,
        r#""GET" "k""#,
        r#""AUTH" "(redacted)" "(redacted)""#,
        r#""hello" "2" "AUTH" "(redacted)" "(redacted)""#,
        r#""acl" "whoami""#,
        &format!(r#""ECHO" "{FORGED}""#),
        r#""ECHO" "end""#,
    ];
    let [shown, direct] = monitors.map(|mut monitor| commands(&mut monitor));
    assert_eq!(shown, expected);
    assert!(direct.iter().any(|command| command.ends_with(r#" ACL SETUSER * * *""#)), "{direct:?}");
    assert_free_of_secrets(&direct.concat());
}

#[test]
fn the_slowlog_shows_what_was_carried_out_here_without_its_secrets() {
    let (redis, gate) = start();
    assert_eq!(redis.direct().text(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]), "+OK");
    let mut client = gate.connect("admin");
    for protocol in ["2", "3"] {
        client.call(&["HELLO", protocol]);
        client.call(&["SLOWLOG", "RESET"]);
        assert_eq!(client.text(&["acl", "setuser", "eve", &format!(">{RIGHT}")]), "+OK");
        client.call(&["ECHO", FORGED]);
        let log = client.text(&["SLOWLOG", "GET"]);
        let words =
            |words: &[&str]| words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect::<String>();
        let edit = format!("*4\r\n{}", words(&["acl", "setuser", "(redacted)", "(redacted)"]));
        assert!(log.starts_with("*3\r\n") && log.contains(&edit), "{log}");
        assert!(log.contains(&format!("*2\r\n{}", words(&["ECHO", FORGED]))), "{log}");
        assert_free_of_secrets(&[log, redis.direct().text(&["SLOWLOG", "GET"])].concat());
    }
}

#[test]
fn whoever_switches_a_user_off_hears_of_it_while_redis_is_stuck() {
    let (redis, gate) = start();
    let mut admin = gate.connect("admin");
    assert_eq!(admin.text(&["SET", "k", "1"]), "+OK");
    redis.pause();
    for user in ["bob", "eve"] {
        assert_eq!(admin.text(&["ACL", "SETUSER", user, "off"]), "+OK");
    }
    redis.resume();
    assert_eq!(admin.text(&["GET", "k"]), "$1\r\n1");
}

// --- helpers

fn start() -> (RedisServer, Respgate) {
    let redis = RedisServer::start();
    let acl = format!("user admin on +@all ~* &*\nuser bob on >{RIGHT} +@all -@scripting ~* &*\n");
    let setup = Respgate::setup(&upstream_of(&redis)).acl_file(&acl).setting("unmapped = \"password\"");
    let setup = setup.table("[block]\ncommands = [\"FLUSHALL\"]");
    let setup = setup.table("[[certificate]]\ncn = \"admin\"\nuser = \"admin\"");
    (redis, setup.start().settled())
}

/// What clients said, up to `ECHO end`, as MONITOR shows it; not the time, not from where, and not the proxy's own.
fn commands(monitor: &mut RespClient) -> Vec<String> {
    let mut commands = Vec::new();
    while commands.last().is_none_or(|last| last != r#""ECHO" "end""#) {
        let line = monitor.reply_text();
        let (_, command) = line.split_once("] ").unwrap();
        if !command.starts_with(r#""INFO""#) && !command.starts_with(r#""COMMAND""#) {
            commands.push(command.to_owned());
        }
    }
    commands
}

fn assert_free_of_secrets(text: &str) {
    for secret in [RIGHT, WRONG] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

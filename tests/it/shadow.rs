//! Shadow: what the rules of a user refuse is let through and told, up to a point and until a day.

use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::{RedisServer, Respgate, Setup, eventually, respgate_binary, upstream_of};

const ACL: &str = "user default off\nuser shop on +get +ping +eval ~shop:*\nuser bank on +@all ~* &*\n";

const WARNING: &str = "user shop is in shadow until";

#[test]
fn what_the_rules_refuse_is_let_through_and_what_is_dangerous_is_not() {
    let redis = RedisServer::start();
    let gate = setup(&redis, 3600, "").start();
    let mut shop = gate.connect("shop");
    for (request, reply) in [
        (&["SET", "shop:a", "v"][..], "+OK"),
        (&["GET", "shop:a"], "$1"),
        (&["CLIENT", "SETNAME", "x"], "+OK"),
        (&["GET", "bank:a"], "-NOPERM"),
        (&["SET", "bank:a", "v"], "-NOPERM"),
        (&["PUBLISH", "news", "x"], "-NOPERM"),
        (&["KEYS", "*"], "-NOPERM"),
        (&["CONFIG", "GET", "save"], "-NOPERM"),
        (&["FLUSHALL"], "-NOPERM"),
        (&["ACL", "WHOAMI"], "-NOPERM"),
        (&["ACL", "SETUSER", "shop", "+@all"], "-NOPERM"),
    ] {
        let said = shop.text(request);
        assert!(said.starts_with(reply), "{request:?}: {said}");
    }
    assert_eq!(gate.metrics().sum("respgate_would_refuse_total{user=\"shop\",reason=\"acl-command\"}"), 2.0);
    let problems = gate.status()["problems"].to_string();
    assert!(problems.contains("user shop is in shadow"), "{problems}");
    let mut bank = gate.connect("bank");
    let line = bank.text(&["ACL", "GETUSER", "shop"]);
    assert!(!line.contains("+set"), "the rules are what they were: {line}");
    gate.wait_for_log(&["\"outcome\":\"would-refuse\"", "\"user\":\"shop\"", "\"command\":\"set\""]);
    let audit = std::fs::read_to_string(gate.path("audit.log")).unwrap();
    assert!(audit.contains("\"event\":\"request.would-refuse\""), "{audit}");
}

#[test]
fn keys_and_channels_are_let_through_where_that_is_asked_for() {
    let redis = RedisServer::start();
    let gate = setup(&redis, 3600, "shadow-keys = \"yes\"").start();
    let mut shop = gate.connect("shop");
    for request in [&["SET", "bank:a", "v"][..], &["GET", "bank:a"], &["PUBLISH", "news", "x"]] {
        assert!(!shop.text(request).starts_with('-'), "{request:?}");
    }
    assert!(shop.text(&["KEYS", "*"]).starts_with("-NOPERM"));
    assert_eq!(gate.metrics().sum("respgate_would_refuse_total"), 3.0);
}

#[test]
fn scripts_may_do_what_is_let_through_and_the_end_comes_to_live_sessions() {
    let redis = RedisServer::start();
    let gate = setup(&redis, 6, "[block]\nscripting-users = [\"shop\"]").start();
    let mut shop = gate.connect("shop");
    let script = |key: &str| ["EVAL".to_owned(), format!("return redis.call('SET', '{key}', 'v')"), "0".to_owned()];
    assert_eq!(shop.text(&script("shop:a")), "+OK");
    assert!(shop.text(&script("bank:a")).starts_with('-'));
    assert_eq!(shop.text(&["SET", "shop:a", "v"]), "+OK");
    eventually("the shadow is over", || shop.text(&["SET", "shop:a", "v"]).starts_with("-NOPERM").then_some(()));
    assert!(shop.text(&script("shop:a")).starts_with('-'));
    assert_eq!(shop.text(&["PING"]), "+PONG", "it is the same session");
    assert!(!gate.status()["problems"].to_string().contains("shadow"));
    assert!(gate.log_text().contains("\"cause\":\"shadow over\""));
}

#[test]
fn a_check_says_who_is_in_shadow_and_what_cannot_be_or_does_nothing() {
    let check = |shadow: &str| {
        let setup = Respgate::setup("unix:/nonexistent/redis.sock").acl(ACL).table(shadow);
        let mut check = respgate_binary();
        let output = check.args(["check", "--listen", "127.0.0.1:0", "--config"]).arg(setup.write_config()).output();
        let output = output.unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let day = |days: u64| day(Duration::from_secs(days * 86_400));
    for (table, code, expected) in [
        (format!("[user.shop]\nshadow-until = \"{}\"", day(3)), 0, WARNING),
        (format!("[user.shop]\nshadow-until = \"{}\"", day(0)), 0, "that day has come"),
        ("[user.shop]\nshadow-keys = \"yes\"".to_owned(), 0, "does nothing without `shadow-until`"),
        (format!("[user.shop]\nshadow-until = \"{}\"", day(92)), 78, "more than 90 days ahead"),
        ("[user.shop]\nshadow-until = \"2026-2-30\"".to_owned(), 78, "is no day such as"),
        (
            format!("[user.shop]\nshadow-until = \"{}\"\n[block]\nexempt-users = [\"shop\"]", day(3)),
            78,
            "an exempt user cannot be in shadow",
        ),
    ] {
        let (exit, said) = check(&table);
        assert!(exit == Some(code) && said.contains(expected), "{table}: {exit:?} {said}");
    }
}

// --- helpers

/// The user `shop` is in shadow for so many seconds.
fn setup(redis: &RedisServer, seconds: u64, more: &str) -> Setup {
    let end = OffsetDateTime::from(SystemTime::now() + Duration::from_secs(seconds));
    let end = end.replace_nanosecond(0).unwrap().format(&Rfc3339).unwrap();
    let setup = Respgate::setup(&upstream_of(redis)).acl(ACL);
    let audit = setup.path("audit.log");
    let setup = setup.setting(&format!("audit-file = {audit:?}"));
    setup.table(&format!("[user.shop]\nshadow-until = \"{end}\"\n{more}")).expect_log(WARNING)
}

fn day(ahead: Duration) -> String {
    OffsetDateTime::from(SystemTime::now() + ahead).date().to_string()
}

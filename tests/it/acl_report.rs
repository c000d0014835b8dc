//! `respgate acl report`: what the files say of each user, and nothing else.

use std::process::Output;

use time::format_description::well_known::Rfc3339;

use crate::support::{RedisServer, Respgate, eventually, folder, respgate_binary, upstream_of};

/// Twenty users as somebody has them, and what is to be said of each. The certificates, commands, keys and settings in it were
/// held against what sessions may do.
const ACL: &str = include_str!("../data/report/users.acl");
const TABLES: &str = include_str!("../data/report/tables.toml");
const EXPECTED: &str = include_str!("../data/report/expected.txt");

#[test]
fn everything_that_the_files_say_of_a_user_is_told() {
    let setup = Respgate::setup("unix:/nonexistent/redis.sock").acl(ACL).table(TABLES);
    let config = setup.write_config();
    let output = report(&["--config", config.to_str().unwrap()]);
    assert_eq!(stdout(&output), EXPECTED, "{}", String::from_utf8_lossy(&output.stderr));

    let csv = stdout(&report(&["--csv", "--config", config.to_str().unwrap()]));
    let rows: Vec<&str> = csv.split_terminator("\r\n").collect();
    assert_eq!(rows.len(), 21);
    assert_eq!(
        rows[0],
        "\"user\",\"state\",\"certificates\",\"passwords\",\"commands\",\"keys\",\"channels\",\"exceptions\",\"last login\""
    );
    assert!(rows[1].starts_with("\"admin\",\"on\",") && rows[1].contains(",\" +@all\",\"~*\",\"&*\","), "{}", rows[1]);
    assert!(rows.iter().skip(1).all(|row| row.ends_with(",\"not known: no audit log\"")), "{csv}");
}

#[test]
fn a_certificate_is_told_with_those_that_it_can_make_users_and_with_nobody_else() {
    let setup = Respgate::setup("unix:/nonexistent/redis.sock").acl(ACL).table(TABLES);
    let config = setup.write_config();
    let report = stdout(&report(&["--config", config.to_str().unwrap()]));
    for name in ["admin", "all", "app-shop", "default", "migrate", "tenant-a"] {
        let identity = setup.pki().client(name);
        let mut check = respgate_binary();
        check.args(["check", "--listen", "127.0.0.1:0", "--config"]).arg(&config);
        let said = stdout(&check.arg("--client-cert").arg(&identity.cert).output().unwrap());
        let row = report.split("\n").skip_while(|line| line.split("  ").next() != Some(name)).nth(1).unwrap();
        let is_told = row.ends_with(&format!("CN={name}"));
        assert_eq!(is_told, said.contains(&format!("trusted, user {name}")), "{name}: {row}: {said}");
    }
}

#[test]
fn what_widens_or_narrows_rules_is_told_with_them() {
    let until = time::OffsetDateTime::now_utc() + time::Duration::days(9);
    let until = until.replace_nanosecond(0).unwrap();
    let shadow = format!("[user.web]\nshadow-until = \"{}\"\nshadow-keys = \"yes\"\n", until.format(&Rfc3339).unwrap());
    let acl = "user default off\nuser web on ~web:* +@read\nuser none on ~* +@all resetdbs\n";
    let setup = Respgate::setup("unix:/nonexistent/redis.sock").acl(acl).table(&shadow);
    let setup = setup.setting("acl-dialect = \"valkey-9.1\"");
    let text = stdout(&report(&["--config", setup.write_config().to_str().unwrap()]));
    let expected = format!(
        "  exceptions    in shadow until {} {:02}:{:02}: commands, keys and channels beyond the rules are let through\n",
        until.date(),
        until.hour(),
        until.minute()
    );
    assert!(text.contains(&expected) && text.contains("  commands      +@all in no database\n"), "{text}");

    let setup = setup.table("[block]\ncommands = [\"flushall\", \"keys\"]\n");
    let text = stdout(&report(&["--config", setup.write_config().to_str().unwrap()]));
    let expected = "# Refused to all of these but the exceptions, whatever their rules: flushall keys\n";
    assert!(text.starts_with(expected), "{text}");

    let setup = setup.table("[[certificate]]\ndns = \"*.example\"\nuser = \"%{dns:1}\"\n");
    let output = report(&["--config", setup.write_config().to_str().unwrap()]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(78), ""), "a rule that no start would take");
}

#[test]
fn who_came_last_is_in_the_files_that_are_named() {
    let folder = folder();
    let audit = folder.path().join("audit.log");
    let line = |time: &str, event: &str, user: &str| format!("{{\"time\":\"{time}\",\"event\":\"{event}\",{user}}}\n");
    let lines = [
        line("2026-11-01T00:00:00Z", "service.started", "\"v\":1"),
        line("2026-11-03T10:00:00Z", "session.started", "\"user\":\"web\""),
        line("2026-11-02T10:00:00Z", "login.accepted", "\"user\":\"ops\",\"login_user\":\"web\""),
        line("2026-11-04T10:00:00Z", "login.refused", "\"login_user\":\"web\""),
        "{\"torn".to_owned(),
    ];
    std::fs::write(&audit, lines.concat()).unwrap();
    let setup = Respgate::setup("unix:/nonexistent/redis.sock").acl("user web on\nuser ops on\n");
    let config = setup.write_config();
    let text = stdout(&report(&["--config", config.to_str().unwrap(), "--audit", audit.to_str().unwrap()]));
    let logins: Vec<&str> = text.lines().filter(|line| line.contains("last login")).collect();
    let never = "  last login    not since 2026-11-01T00:00:00Z";
    assert_eq!(logins, [never, never, "  last login    2026-11-03T10:00:00Z"], "default, ops, web: {text}");
}

#[test]
fn who_came_last_is_in_the_audit_log_of_the_configuration() {
    let redis = RedisServer::start();
    let setup = Respgate::setup(&upstream_of(&redis)).acl("user shop on +@all ~*\nuser eve on\n");
    let audit = setup.path("audit.log");
    let setup = setup.setting(&format!("audit-file = \"{}\"", audit.display()));
    let config = setup.write_config();
    let gate = setup.start();
    assert_eq!(gate.connect("shop").text(&["PING"]), "+PONG");
    eventually("the session is in the audit log", || {
        let report = stdout(&report(&["--config", config.to_str().unwrap()]));
        let (_, shop) = report.split_once("shop  on")?;
        let eve = report.split_once("eve  on")?.1;
        (shop.contains("last login    20") && eve.lines().nth(7)?.contains("not since 20")).then_some(())
    });
}

#[test]
fn an_audit_log_that_cannot_be_read_is_an_error() {
    let setup = Respgate::setup("unix:/nonexistent/redis.sock").acl(ACL);
    let config = setup.write_config();
    let output = report(&["--config", config.to_str().unwrap(), "--audit", "/nonexistent/audit.log"]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), ""));
}

// --- helpers

fn report(arguments: &[&str]) -> Output {
    respgate_binary().args(["acl", "report"]).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

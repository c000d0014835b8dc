//! `respgate acl report`: what the files say of each user, and nothing else.

use std::process::Output;

use crate::support::{RedisServer, Respgate, eventually, folder, respgate_binary, upstream_of};

const ACL: &str = "\
user default off
user ops on +@all ~* &*
user shop on $argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g >old +@read -keys ~shop:* %R~stock:* &shop:* (+set ~tmp:*)
user old off nopass +get
";

const TABLES: &str = "
[[certificate]]
uri = [\"spiffe://a/shop\", \"spiffe://b/shop\"]
user = \"shop\"
[[certificate]]
dns = \"*.ops.example\"
user = \"%{dns:1}\"
[block]
exempt-users = [\"ops\"]
scripting-users = [\"shop\"]
[user.ops]
certificate = \"required\"
allow-from = [\"10.1.0.0/16\"]
[user.shop]
config-get = [\"save\"]
";

#[test]
fn everything_that_the_files_say_of_a_user_is_told() {
    let folder = folder();
    let audit = folder.path().join("audit.log");
    let line = |time: &str, event: &str, user: &str| format!("{{\"time\":\"{time}\",\"event\":\"{event}\",{user}}}\n");
    let lines = [
        line("2026-11-01T00:00:00Z", "service.started", "\"v\":1"),
        line("2026-11-03T10:00:00Z", "session.started", "\"user\":\"shop\""),
        line("2026-11-02T10:00:00Z", "login.accepted", "\"user\":\"ops\",\"login_user\":\"shop\""),
        line("2026-11-04T10:00:00Z", "login.refused", "\"login_user\":\"shop\""),
        "{\"torn".to_owned(),
    ];
    std::fs::write(&audit, lines.concat()).unwrap();
    let setup = Respgate::setup("unix:/nonexistent/redis.sock").acl(ACL).table(TABLES);
    let config = setup.write_config();
    let output = report(&["--config", config.to_str().unwrap(), "--audit", audit.to_str().unwrap()]);
    let expected = "\
default  off
  certificates  dns=*.ops.example as %{dns:1}; CN=default
  passwords     none
  commands      -@all
  keys          none
  channels      none
  exceptions    none
  last login    not since 2026-11-01T00:00:00Z
old  off
  certificates  dns=*.ops.example as %{dns:1}; CN=old
  passwords     any (nopass)
  commands      -@all +get
  keys          none
  channels      none
  exceptions    none
  last login    not since 2026-11-01T00:00:00Z
ops  on
  certificates  dns=*.ops.example as %{dns:1}; CN=ops
  passwords     none
  commands      +@all
  keys          ~*
  channels      &*
  exceptions    exempt from the blocklist; password only with a certificate of this user; only from 10.1.0.0/16
  last login    not since 2026-11-01T00:00:00Z
shop  on
  certificates  uri=spiffe://a/shop|spiffe://b/shop; dns=*.ops.example as %{dns:1}; CN=shop
  passwords     1 argon2id; 1 SHA-256 (fast)
  commands      -@all +@read -keys (selector 1: -@all +set)
  keys          ~shop:* %R~stock:* (selector 1: ~tmp:*)
  channels      &shop:* (selector 1: none)
  exceptions    may run scripts; CONFIG GET save
  last login    2026-11-03T10:00:00Z
";
    assert_eq!(stdout(&output), expected, "{}", String::from_utf8_lossy(&output.stderr));

    let csv = report(&["--csv", "--config", config.to_str().unwrap()]);
    let csv = stdout(&csv);
    let rows: Vec<&str> = csv.split_terminator("\r\n").collect();
    assert_eq!(rows.len(), 5);
    assert_eq!(
        rows[0],
        "\"user\",\"state\",\"certificates\",\"passwords\",\"commands\",\"keys\",\"channels\",\"exceptions\",\"last login\""
    );
    assert!(rows[3].starts_with("\"ops\",\"on\",") && rows[3].contains(",\" +@all\",\"~*\",\"&*\","), "{}", rows[3]);
    assert!(rows.iter().skip(1).all(|row| row.ends_with(",\"not known: no audit log\"")), "{csv}");
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

//! Trust that is taken back: new handshakes are refused, tickets are worth nothing, and live sessions end.

use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;

use crate::support::{
    RedisServer, RespClient, Respgate, Setup, client_config, eventually, request, respgate_binary, upstream_of,
};

#[test]
fn a_ticket_is_worth_nothing_once_its_certificate_is_revoked() {
    let redis = RedisServer::start();
    let gate = setup(&redis, "user alice on +@all ~*\nuser bob on +@all ~*\n").crl().start().settled();
    let [alice, bob] = [("alice", 7), ("bob", 8)]
        .map(|(name, serial)| client_config(&gate.pki().ca_cert(), Some(&gate.pki().numbered_client(name, serial))));
    let connect = |config| RespClient::tls_with(gate.address(), config);
    for config in [&alice, &bob] {
        let mut first = connect(config);
        assert_eq!(first.text(&["PING"]), "+PONG");
        assert!(!first.is_resumed());
        let mut second = connect(config);
        assert_eq!(second.text(&["PING"]), "+PONG");
        assert!(second.is_resumed());
    }
    gate.pki().write_crl(&[7]);
    gate.wait_for_log(&["reload", "done", "files changed"]);
    assert!(is_refused(&mut connect(&alice)));
    gate.wait_for_log(&["\"handshake\"", "failed", "\"revoked\""]);
    let mut again = connect(&bob);
    assert_eq!(again.text(&["PING"]), "+PONG");
    assert!(!again.is_resumed(), "a ticket of the generation before");
}

#[test]
fn a_revoked_certificate_loses_its_live_sessions_and_nobody_else_does() {
    let redis = RedisServer::start();
    let gate = setup(&redis, "user alice on +@all ~*\nuser bob on +@all ~*\n").crl().start().settled();
    let alice = gate.pki().numbered_client("alice", 7);
    let mut revoked: Vec<_> = (0..3).map(|_| gate.connect_as(Some(&alice))).collect();
    let mut bob = gate.connect_as(Some(&gate.pki().numbered_client("bob", 8)));
    revoked.iter_mut().chain([&mut bob]).for_each(|client| assert_eq!(client.text(&["PING"]), "+PONG"));
    gate.pki().write_crl(&[7]);
    revoked.iter_mut().for_each(RespClient::expect_closed);
    gate.wait_for_log(&["\"close\"", "alice", "certificate-revoked"]);
    assert_eq!(bob.text(&["PING"]), "+PONG");
}

#[test]
fn no_edit_that_waits_for_its_turn_is_done_once_the_certificate_behind_it_is_revoked() {
    let redis = RedisServer::start();
    let gate = setup(&redis, "user alice on +@all ~*\nuser bob on +@all ~*\n")
        .table("[block]\ncommands = [\"FLUSHALL\"]")
        .crl()
        .start()
        .settled();
    let alice = gate.pki().numbered_client("alice", 7);
    let mut revoked: Vec<_> = (0..20).map(|_| gate.connect_as(Some(&alice))).collect();
    revoked.iter_mut().for_each(|client| assert_eq!(client.text(&["PING"]), "+PONG"));
    let mut bob = gate.connect_as(Some(&gate.pki().numbered_client("bob", 8)));
    assert_eq!(bob.text(&["PING"]), "+PONG");
    gate.pki().write_crl(&[7]);
    for client in &mut revoked {
        client.send(&request(&["ACL", "SETUSER", "eve", "on", "+get"]).repeat(200));
    }
    gate.signal(Signal::HUP);
    for client in &mut revoked {
        let _ = client.read_to_end();
    }
    gate.wait_for_log(&["reload", "done", "signal"]);
    // Its turn comes after that of all that waited before.
    assert_eq!(bob.text(&["ACL", "SETUSER", "bob", "on"]), "+OK");
    let log = gate.log_text();
    let log: Vec<_> = log.lines().collect();
    let since =
        log.iter().rposition(|line| line.contains("signal") && line.contains("done")).expect("it was read again");
    let done: Vec<_> =
        log[since..].iter().filter(|line| line.contains("users edited") && line.contains("alice")).collect();
    assert!(done.is_empty(), "{done:?}");
}

#[test]
fn a_ca_that_is_taken_away_takes_its_sessions_with_it() {
    let redis = RedisServer::start();
    let gate = setup(&redis, "user alice on +@all ~*\n").start();
    let mut alice = gate.connect("alice");
    assert_eq!(alice.text(&["PING"]), "+PONG");
    gate.pki().replace_ca();
    alice.expect_closed();
    gate.wait_for_log(&["\"close\"", "alice", "certificate-unknown-issuer"]);
}

#[test]
fn a_user_that_is_switched_off_or_deleted_loses_its_sessions() {
    for (acl, reason) in
        [("user alice off\nuser bob on +@all ~*\n", "user-off"), ("user bob on +@all ~*\n", "no-such-user")]
    {
        let redis = RedisServer::start();
        let gate = setup(&redis, "user alice on +@all ~*\nuser bob on +@all ~*\n").start();
        let (mut alice, mut bob) = (gate.connect("alice"), gate.connect("bob"));
        assert_eq!([alice.text(&["PING"]), bob.text(&["PING"])], ["+PONG", "+PONG"]);
        gate.write_acl(acl);
        alice.expect_closed();
        gate.wait_for_log(&["\"close\"", "alice", &format!("revoked-{reason}")]);
        assert_eq!(bob.text(&["PING"]), "+PONG");
    }
}

#[test]
fn a_rule_that_is_taken_away_takes_its_sessions_with_it() {
    let redis = RedisServer::start();
    let rule = "[[certificate]]\ncn = \"alice\"\nuser = \"shop\"\n";
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl_file("user shop on +@all ~*\nuser bob on +@all ~*\n")
        .table(rule)
        .table("[[certificate]]\ncn = \"bob\"\nuser = \"bob\"")
        .start()
        .settled();
    let (mut alice, mut bob) = (gate.connect("alice"), gate.connect("bob"));
    assert_eq!(alice.text(&["ACL", "WHOAMI"]), "$4\r\nshop");
    assert_eq!(bob.text(&["PING"]), "+PONG");
    gate.edit_config(rule, "");
    alice.expect_closed();
    gate.wait_for_log(&["\"close\"", "shop", "revoked-unmapped"]);
    assert_eq!(bob.text(&["PING"]), "+PONG");
}

#[test]
fn a_password_that_is_taken_away_takes_its_sessions_with_it_and_no_others() {
    let redis = RedisServer::start();
    let acl = |passwords: &str| format!("user bob on {passwords} +@all ~*\n");
    let gate = Respgate::setup(&upstream_of(&redis)).acl_file(&acl(">old >new")).start().settled();
    let [mut old, mut new] = ["old", "new"].map(|password| {
        let mut client = gate.connect("some-machine");
        assert_eq!(client.text(&["AUTH", "bob", password]), "+OK");
        client
    });
    gate.write_acl(&acl(">new"));
    old.expect_closed();
    gate.wait_for_log(&["\"close\"", "bob", "revoked-password-removed"]);
    assert_eq!(new.text(&["PING"]), "+PONG");
}

#[test]
fn settings_that_would_not_let_a_password_session_in_any_more_end_it() {
    let redis = RedisServer::start();
    for (setting, now, reason) in [
        ("reauth = true", "reauth = false", "revoked-reauth"),
        ("auth = \"any\"", "auth = \"certificate\"", "revoked-certificate-required"),
        ("certificate = \"optional\"", "certificate = \"required\"", "revoked-certificate-required"),
        ("cn = \"alice\"", "cn = \"nobody\"", "revoked-unmapped"),
    ] {
        let tables = "[user.alice]\nreauth = true\n[user.bob]\nauth = \"any\"\ncertificate = \"optional\"\n\
                      [[certificate]]\ncn = \"alice\"\nuser = \"alice\"\n";
        let acl = "user alice on +@all ~*\nuser bob on >pw +@all ~*\n";
        let gate = Respgate::setup(&upstream_of(&redis)).acl_file(acl).table(tables).start().settled();
        let mut client = gate.connect("alice");
        assert_eq!(client.text(&["AUTH", "bob", "pw"]), "+OK");
        assert_eq!(client.text(&["PING"]), "+PONG");
        gate.edit_config(setting, now);
        client.expect_closed();
        gate.wait_for_log(&["\"close\"", "bob", reason]);
    }
}

#[test]
fn a_subscription_monitor_and_a_blocked_command_end_with_the_right_behind_them() {
    let redis = RedisServer::start();
    let gate = setup(&redis, "user alice on +@all ~* &*\nuser root on +@all ~* &*\n")
        .table("[block]\nexempt-users = [\"root\"]\n[[certificate]]\ncn = \"root\"\nuser = \"root\"")
        .crl()
        .start()
        .settled();
    let alice = gate.pki().numbered_client("alice", 7);
    let root = gate.pki().numbered_client("root", 9);
    let mut subscriber = gate.connect_as(Some(&alice));
    assert!(subscriber.text(&["SUBSCRIBE", "news"]).starts_with("*3"));
    let mut blocked = gate.connect_as(Some(&alice));
    assert_eq!(blocked.text(&["PING"]), "+PONG");
    blocked.send(&request(&["BLPOP", "nothing", "0"]));
    let mut monitor = gate.connect_as(Some(&root));
    assert_eq!(monitor.text(&["MONITOR"]), "+OK");
    gate.pki().write_crl(&[7, 9]);
    for client in [&mut subscriber, &mut blocked] {
        client.expect_closed();
    }
    let (_, end) = monitor.read_to_end();
    assert!(!matches!(&end, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock), "{end:?}");
    let ended = |gate: &Respgate| gate.log_text().matches("certificate-revoked").count();
    eventually("three reasons in the log", || (ended(&gate) == 3).then_some(()));
}

/// What stands behind a session, before and after something of it was taken away.
enum Taken {
    /// These are the rules of `tracker` and `replica` now.
    Rules(&'static str, &'static str),
    Certificates,
}

#[test]
fn client_tracking_and_a_replica_end_with_the_right_behind_them() {
    const TRACKER: &str = "on +@all ~shop:* ~cart";
    const REPLICA: &str = "on +psync +replconf +ping";
    let cases = [
        (Taken::Rules("off +@all ~shop:* ~cart", "off +psync +replconf +ping"), ["revoked-user-off"; 2]),
        (
            Taken::Rules("on +@all -client|tracking ~shop:* ~cart", "on +replconf +ping"),
            ["ongoing-right-lost", "ongoing-right-lost"],
        ),
        (Taken::Rules("on +@all ~cart", "off"), ["ongoing-right-lost", "revoked-user-off"]),
        (Taken::Certificates, ["certificate-revoked"; 2]),
    ];
    for (taken, reasons) in cases {
        let redis = RedisServer::start_with(&["--repl-diskless-sync-delay", "0"]);
        let acl =
            |tracker, replica| format!("user tracker {tracker}\nuser replica {replica}\nuser bob on +@all ~shop:*\n");
        let table = "[block]\nexempt-users = [\"replica\"]\n[[certificate]]\ncn = \"replica\"\nuser = \"replica\"";
        let gate = setup(&redis, &acl(TRACKER, REPLICA)).table(table).crl().start().settled();
        let [mut tracker, mut bob] = [("tracker", 7), ("bob", 8)].map(|(name, serial)| {
            let mut client = gate.connect_as(Some(&gate.pki().numbered_client(name, serial)));
            assert!(client.text(&["HELLO", "3"]).starts_with('%'));
            assert_eq!(client.text(&["CLIENT", "TRACKING", "ON"]), "+OK");
            assert_eq!(client.text(&["GET", "shop:1"]), "_");
            client
        });
        let mut replica = gate.connect_as(Some(&gate.pki().numbered_client("replica", 9)));
        replica.send(&request(&["PSYNC", "?", "-1"]));
        assert_eq!(String::from_utf8(replica.read_exactly(11)).unwrap(), "+FULLRESYNC");
        match taken {
            Taken::Rules(tracker, replica) => gate.write_acl(&acl(tracker, replica)),
            Taken::Certificates => gate.pki().write_crl(&[7, 9]),
        }
        tracker.expect_closed();
        let (_, end) = replica.read_to_end();
        assert!(!end.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock), "the replica is still there");
        for (user, reason) in ["tracker", "replica"].into_iter().zip(reasons) {
            gate.wait_for_log(&["\"close\"", &format!("\"user\":\"{user}\""), &format!("\"{reason}\"")]);
        }
        assert_eq!(redis.direct().text(&["SET", "shop:1", "x"]), "+OK");
        assert!(bob.reply_text().starts_with(">2\r\n$10\r\ninvalidate"), "nothing of bob's was taken away");
    }
}

#[test]
fn a_handshake_that_began_before_the_list_was_there_is_judged_by_the_list_and_told_so() {
    let redis = RedisServer::start();
    let gate = setup(&redis, "user alice on +@all ~*\nuser bob on +@all ~*\n").crl().start().settled();
    let [mut alice, mut bob] = [("alice", 7), ("bob", 8)].map(|(name, serial)| {
        let identity = gate.pki().numbered_client(name, serial);
        RespClient::half_way(gate.address(), &client_config(&gate.pki().ca_cert(), Some(&identity)))
    });
    gate.pki().write_crl(&[7]);
    gate.wait_for_log(&["reload", "done", "files changed"]);
    alice.send(&request(&["PING"]));
    assert_eq!(alice.reply_text(), "-ERR respgate: this certificate may not enter");
    alice.expect_closed();
    gate.wait_for_log(&["\"handshake\"", "failed", "\"revoked\""]);
    assert_eq!(bob.text(&["PING"]), "+PONG");
}

#[test]
fn a_session_ends_when_its_certificate_does() {
    let redis = RedisServer::start();
    let gate = setup(&redis, "user alice on +@all ~*\n").start();
    let mut alice = gate.connect_as(Some(&gate.pki().short_lived_client("alice", Duration::from_secs(3))));
    assert_eq!(alice.text(&["PING"]), "+PONG");
    let mut other = gate.connect("alice");
    assert_eq!(other.text(&["PING"]), "+PONG");
    alice.expect_closed();
    gate.wait_for_log(&["\"close\"", "alice", "certificate-expired"]);
    assert_eq!(other.text(&["PING"]), "+PONG");
}

#[test]
fn a_list_that_has_expired_since_it_was_read_holds_nothing_else_up() {
    let redis = RedisServer::start();
    let prepared = setup(&redis, "user alice on +@all ~*\n").crl().expect_log("ca.crl");
    prepared.pki().write_short_lived_crl(Duration::from_secs(4));
    let gate = prepared.start().settled();
    let mut live = gate.connect("alice");
    assert_eq!(live.text(&["PING"]), "+PONG");
    eventually("the list to expire", || is_refused(&mut gate.connect("alice")).then_some(()));
    gate.wait_for_log(&["\"handshake\"", "failed", "\"revocation-list-expired\""]);

    gate.write_acl("user alice on +@all -set ~*\n");
    eventually("a changed ACL file", || live.text(&["SET", "a", "1"]).starts_with("-NOPERM ").then_some(()));
    gate.write_acl("user alice on +@all ~*\n");
    gate.signal(Signal::HUP);
    eventually("SIGHUP", || (live.text(&["SET", "a", "1"]) == "+OK").then_some(()));
    gate.pki().renew_server();
    eventually("another certificate", || (gate.in_force().0 >= 5).then_some(()));
    assert_eq!(
        gate.log_text().matches("the CRL of CN=respgate test CA has expired").count(),
        1,
        "one warning is enough"
    );
    assert!(is_refused(&mut gate.connect("alice")), "the list is still the old one");

    let before = gate.in_force();
    gate.pki().write_expired_crl();
    eventually("another list that has expired", || (gate.in_force() == (before.0 + 1, before.1)).then_some(()));
    assert!(is_refused(&mut gate.connect("alice")));
    assert_eq!(live.text(&["PING"]), "+PONG", "a session that is there already goes on");
    gate.pki().write_crl(&[]);
    eventually("a good list", || (!is_refused(&mut gate.connect("alice"))).then_some(()));
}

#[test]
fn a_ca_that_ends_takes_sessions_tickets_and_handshakes_with_it_and_holds_nothing_else_up() {
    let redis = RedisServer::start();
    let prepared = setup(&redis, "user alice on +@all ~*\n").expect_log("ca.crt has ended");
    prepared.pki().renew_ca(Duration::from_secs(4));
    let gate = prepared.start().settled();
    let with_ticket = client_config(&gate.pki().ca_cert(), Some(&gate.pki().client("alice")));
    let connect = || RespClient::tls_with(gate.address(), &with_ticket);
    let mut live = connect();
    assert_eq!(live.text(&["PING"]), "+PONG");
    live.expect_closed();
    gate.wait_for_log(&["\"close\"", "alice", "\"certificate-expired\""]);
    assert!(is_refused(&mut connect()));
    assert!(is_refused(&mut gate.connect("alice")));
    gate.wait_for_log(&["\"handshake\"", "failed", "\"expired\""]);
    let before = gate.in_force();
    gate.write_acl("user alice on +@read ~*\n");
    eventually("a changed ACL file", || (gate.in_force() == (before.0 + 1, before.1)).then_some(()));
    gate.pki().renew_ca(Duration::from_secs(86_400));
    eventually("the renewed CA", || (!is_refused(&mut gate.connect("alice"))).then_some(()));
}

#[test]
fn a_ca_that_is_renewed_before_it_ends_ends_no_session() {
    let redis = RedisServer::start();
    let prepared = setup(&redis, "user alice on +@all ~*\n");
    let end = SystemTime::now() + Duration::from_secs(4);
    prepared.pki().renew_ca(Duration::from_secs(4));
    let gate = prepared.start().settled();
    let mut live = gate.connect("alice");
    assert_eq!(live.text(&["PING"]), "+PONG");
    gate.pki().renew_ca(Duration::from_secs(86_400));
    gate.wait_for_log(&["reload", "done", "files changed"]);
    eventually("the old end", || (SystemTime::now() > end + Duration::from_secs(2)).then_some(()));
    assert_eq!(live.text(&["PING"]), "+PONG");
}

#[test]
fn an_intermediate_ca_that_ends_takes_its_sessions_with_it_and_no_others() {
    let redis = RedisServer::start();
    let gate = setup(&redis, "user alice on +@all ~*\nuser bob on +@all ~*\n").start().settled();
    let mut bob = gate.connect("bob");
    let alice = gate.pki().client_of_a_short_lived_intermediate("alice", Duration::from_secs(3));
    let mut alice = gate.connect_as(Some(&alice));
    assert_eq!([alice.text(&["PING"]), bob.text(&["PING"])], ["+PONG", "+PONG"]);
    alice.expect_closed();
    gate.wait_for_log(&["\"close\"", "alice", "\"certificate-expired\""]);
    assert_eq!(bob.text(&["PING"]), "+PONG");
}

#[test]
fn a_list_that_cannot_be_read_changes_nothing() {
    let redis = RedisServer::start();
    let gate = setup(&redis, "user alice on +@all ~*\n").crl().start().settled();
    gate.pki().write_crl(&[7]);
    gate.wait_for_log(&["reload", "done", "files changed"]);
    let mut live = gate.connect("alice");
    assert_eq!(live.text(&["PING"]), "+PONG");
    gate.pki().write_crl_text("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n");
    gate.wait_for_log(&["reload", "failed", "ca.crl"]);
    gate.wait_for_log(&["reload", "failed", "kept the old one"]);
    assert_eq!(live.text(&["PING"]), "+PONG");
    assert_eq!(gate.connect("alice").text(&["PING"]), "+PONG");
    let mut revoked = gate.connect_as(Some(&gate.pki().numbered_client("alice", 7)));
    assert!(is_refused(&mut revoked), "the old list is still in force");
}

#[test]
fn a_pinned_self_signed_certificate_is_who_its_pin_says_and_nobody_else() {
    let redis = RedisServer::start();
    let prepared = Respgate::setup(&upstream_of(&redis)).expect_log("handshake").expect_log("refused");
    let pinned = prepared.pki().self_signed_client("root");
    let key = spki_sha256(&pinned.cert);
    let gate = prepared
        .acl("user shop on +@all ~*\nuser root on +@all ~*\n")
        .table("[[certificate]]\ncn = \"*\"\nuser = \"%{cn}\"")
        .table(&format!("[[certificate]]\ntrust = \"pin\"\nspki-sha256 = {key:?}\nuser = \"shop\""))
        .start();
    assert_eq!(gate.connect_as(Some(&pinned)).text(&["ACL", "WHOAMI"]), "$4\r\nshop");
    assert_eq!(gate.connect("root").text(&["ACL", "WHOAMI"]), "$4\r\nroot", "of a CA, so its name counts");
    let other = gate.pki().self_signed_client("root");
    assert!(is_refused(&mut gate.connect_as(Some(&other))), "another key");
}

#[test]
fn the_last_pinned_key_goes_also_where_there_is_no_ca() {
    let redis = RedisServer::start();
    let prepared = Respgate::setup(&upstream_of(&redis)).expect_log("handshake").expect_log("is trusted");
    let pinned = prepared.pki().self_signed_client("shop");
    let rule = |key: &str| {
        format!("[[certificate]]\ntrust = {key:?}\nspki-sha256 = {:?}\nuser = \"shop\"", spki_sha256(&pinned.cert))
    };
    let gate =
        prepared.acl("user shop on +@all ~*\n").without("tls-ca-cert-file").table(&rule("pin")).start().settled();
    let mut inside = gate.connect_as(Some(&pinned));
    assert_eq!(inside.text(&["PING"]), "+PONG");
    gate.edit_config(&rule("pin"), "");
    inside.expect_closed();
    assert!(is_refused(&mut gate.connect_as(Some(&pinned))));
    gate.wait_for_log(&["ERROR", "tls-ca-cert-file", "no client certificate is trusted"]);
}

#[test]
fn a_session_ends_when_its_certificate_is_trusted_for_another_reason_that_makes_it_somebody_elses() {
    let redis = RedisServer::start();
    let prepared = setup(&redis, "user alice on +@all ~*\nuser jail on +ping\nuser bob on +@all ~*\n");
    let [alice, bob] = ["alice", "bob"].map(|name| prepared.pki().client(name));
    let key = spki_sha256(&alice.cert);
    let gate = prepared.table("# rules").start().settled();
    let [mut jailed, mut other] = [&alice, &bob].map(|identity| gate.connect_as(Some(identity)));
    assert_eq!([jailed.text(&["PING"]), other.text(&["PING"])], ["+PONG", "+PONG"]);
    gate.edit_config("# rules", &format!("[[certificate]]\ntrust = \"pin\"\nspki-sha256 = {key:?}\nuser = \"jail\""));
    jailed.expect_closed();
    gate.wait_for_log(&["\"close\"", "\"user\":\"alice\"", "identity-changed"]);
    assert_eq!(other.text(&["PING"]), "+PONG");
    let mut again = gate.connect_as(Some(&alice));
    assert!(again.text(&["GET", "k"]).starts_with("-NOPERM"), "now it is jail");
}

#[test]
fn check_refuses_a_pin_that_lets_the_certificate_choose_its_user() {
    let setup = Respgate::setup("unix:/nonexistent/redis.sock").acl_file("user shop on\n").table(&format!(
        "[[certificate]]\ntrust = \"pin\"\nspki-sha256 = \"{}\"\nuser = \"%{{cn}}\"\n\
         [[certificate]]\ntrust = \"pin\"\ncn = \"shop\"\nuser = \"shop\"",
        "ab".repeat(32)
    ));
    let output = respgate_binary()
        .args(["check", "--listen", "127.0.0.1:0", "--config"])
        .arg(setup.write_config())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78));
    for words in ["rule 1, `user`: is a template", "rule 2, `trust`: pins a key, but the rule names none"] {
        assert!(said.contains(words), "{words} in {said}");
    }
}

fn setup(redis: &RedisServer, acl: &str) -> Setup {
    Respgate::setup(&upstream_of(redis)).acl(acl).expect_log("handshake").expect_log("reload").expect_log("CA ")
}

/// The handshake fails, or the connection ends without an answer.
fn is_refused(client: &mut RespClient) -> bool {
    client.try_send(&request(&["PING"])).and_then(|()| client.try_reply()).is_err()
}

/// As the documentation says to find it.
fn spki_sha256(cert: &std::path::Path) -> String {
    let pipe = "openssl x509 -in \"$0\" -noout -pubkey | openssl pkey -pubin -outform DER | openssl dgst -sha256";
    let output = Command::new("sh").args(["-c", pipe]).arg(cert).output().unwrap();
    assert!(fs::exists(cert).unwrap() && output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().rsplit(' ').next().unwrap().to_owned()
}

//! SIGHUP: a new generation, or the old one and every error.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;

use rustix::process::Signal;

use crate::support::{Identity, Pki, RedisServer, RespClient, Respgate, eventually, request, upstream_of};

#[test]
fn a_changed_acl_governs_the_next_request_of_a_live_session() {
    let (_redis, gate) = start("user alice on +@all ~*\n");
    let mut client = gate.connect("alice");
    assert_eq!(client.text(&["SET", "a", "1"]), "+OK");
    gate.write_acl("user alice on +@read +@connection ~*\n");
    gate.signal(Signal::HUP);
    eventually("SET to be refused", || client.text(&["SET", "a", "2"]).starts_with("-NOPERM ").then_some(()));
    assert!(client.text(&["GET", "a"]).starts_with('$'));
}

#[test]
fn a_new_user_can_come_in_after_a_reload() {
    let (_redis, gate) = start("user alice on +@all ~*\n");
    gate.write_acl("user alice on +@all ~*\nuser bob on +@all ~*\n");
    gate.signal(Signal::HUP);
    eventually("bob to be served", || {
        let mut bob = gate.connect("bob");
        bob.try_send(&request(&["PING"])).ok()?;
        (bob.try_reply().ok()? == b"+PONG\r\n").then_some(())
    });
}

#[test]
fn a_broken_acl_file_keeps_the_old_one_and_is_reported_with_its_line() {
    let (_redis, gate) = start("user alice on +@all ~*\n");
    let mut client = gate.connect("alice");
    gate.write_acl("user alice on +@read ~*\nuser bob nopas\n");
    gate.signal(Signal::HUP);
    gate.wait_for_log(&["users.acl:2", "nopas"]);
    assert_eq!(client.text(&["SET", "a", "1"]), "+OK");
    assert_eq!(gate.connect("alice").text(&["SET", "a", "1"]), "+OK");
}

#[test]
fn an_acl_file_that_others_can_change_is_not_taken_until_they_cannot() {
    let (_redis, gate) = start("user alice on +@all ~*\n");
    let chmod = |mode| fs::set_permissions(gate.path("users.acl"), fs::Permissions::from_mode(mode)).unwrap();
    chmod(0o666);
    gate.wait_for_log(&["ERROR", "users.acl can be changed by others (mode 0666): chmod go-w "]);
    gate.write_acl("user alice on +@read ~*\n");
    gate.signal(Signal::HUP);
    gate.wait_for_log(&["signal", "kept the old one"]);
    assert_eq!(gate.connect("alice").text(&["SET", "a", "1"]), "+OK");
    chmod(0o600);
    eventually("the file to be taken", || {
        gate.connect("alice").text(&["SET", "a", "1"]).starts_with("-NOPERM ").then_some(())
    });
}

#[test]
fn a_broken_certificate_or_key_holds_up_neither_a_revocation_nor_users() {
    for broken in ["server.crt", "server.key"] {
        let (_redis, gate) = start_with_crl("user alice on +@all ~*\n");
        let mut revoked = gate.connect_as(Some(&gate.pki().numbered_client("alice", 7)));
        assert_eq!(revoked.text(&["PING"]), "+PONG");
        let server = gate.pki().server();
        let path = if broken == "server.crt" { server.cert } else { server.key };
        let good = fs::read(&path).unwrap();
        fs::write(&path, "not a certificate\n").unwrap();
        gate.wait_for_log(&["ERROR", broken]);
        gate.pki().write_crl(&[7]);
        revoked.expect_closed();
        gate.write_acl("user alice on +@read ~*\n");
        gate.signal(Signal::HUP);
        gate.wait_for_log(&["ERROR", "signal", "held up: certificate and key; everything else takes effect"]);
        eventually("the ACL to be taken", || {
            gate.connect("alice").text(&["SET", "a", "1"]).starts_with("-NOPERM ").then_some(())
        });
        fs::write(&path, good).unwrap();
        gate.write_acl("user alice on +@all ~*\n");
        eventually("all to be right", || (gate.connect("alice").text(&["SET", "a", "1"]) == "+OK").then_some(()));
    }
}

#[test]
fn what_a_broken_configuration_came_with_takes_effect_and_the_configuration_once_it_is_mended() {
    let (_redis, gate) = start_with_crl("user alice on +@all ~*\nuser bob on +@all ~*\n");
    let mut revoked = gate.connect_as(Some(&gate.pki().numbered_client("alice", 7)));
    let mut bob = gate.connect("bob");
    assert_eq!([revoked.text(&["PING"]), bob.text(&["PING"])], ["+PONG", "+PONG"]);
    gate.edit_config("[block]", "bogus = 1\n[block]");
    gate.wait_for_log(&["ERROR", "bogus"]);
    gate.pki().write_crl(&[7]);
    gate.write_acl("user alice on +@all ~*\n");
    gate.signal(Signal::HUP);
    revoked.expect_closed();
    bob.expect_closed();
    gate.wait_for_log(&["ERROR", "held up: configuration; everything else takes effect"]);
    gate.edit_config("bogus = 1\n[block]\ncommands = [\"FLUSHALL\"]", "[block]\ncommands = [\"GET\"]");
    eventually("the configuration to be taken", || {
        gate.connect("alice").text(&["GET", "a"]).starts_with("-NOPERM ").then_some(())
    });
}

#[test]
fn a_revocation_takes_effect_although_the_acl_file_is_refused() {
    let (_redis, gate) = start_with_crl("user alice on +@all ~*\n");
    let mut revoked = gate.connect_as(Some(&gate.pki().numbered_client("alice", 7)));
    assert_eq!(revoked.text(&["PING"]), "+PONG");
    gate.write_acl("user alice on +@all ~*\nuser carol on +gett\n");
    gate.pki().write_crl(&[7]);
    gate.edit_config("commands = [\"FLUSHALL\"]", "commands = [\"GET\"]");
    gate.signal(Signal::HUP);
    revoked.expect_closed();
    eventually("the configuration to be taken", || {
        gate.connect("alice").text(&["GET", "a"]).starts_with("-NOPERM ").then_some(())
    });
}

#[test]
fn a_new_ca_waits_for_the_configuration_that_is_refused_and_is_in_force_with_the_one_that_is_not() {
    let (_redis, gate) = start_trusting();
    gate.edit_config("[block]", "bogus = 1\n[block]");
    let folder = tempfile::tempdir().unwrap();
    let partner = trust_partner(&gate, folder.path());
    gate.signal(Signal::HUP);
    gate.wait_for_log(&["ERROR", "signal", "kept the old one"]);
    assert!(!comes_in(&gate, &partner));
    gate.write_acl("user alice on +@all ~*\n");
    gate.wait_for_log(&["ERROR", "files changed", "everything else takes effect"]);
    gate.wait_for_log(&["WARN", "ca.crt", "is new and not trusted yet"]);
    assert!(!comes_in(&gate, &partner));
    gate.edit_config("bogus = 1\n[block]", "[block]");
    eventually("both to be in force", || comes_in(&gate, &partner).then_some(()));
}

#[test]
fn a_new_ca_waits_for_an_acl_file_that_is_refused_whatever_else_changes() {
    let (_redis, gate) = start_trusting();
    gate.write_acl("user alice off +slip\n");
    gate.wait_for_log(&["ERROR", "files changed", "kept the old one"]);
    let folder = tempfile::tempdir().unwrap();
    let partner = trust_partner(&gate, folder.path());
    gate.wait_for_log(&["WARN", "ca.crt", "is new and not trusted yet"]);
    gate.edit_config("[\"FLUSHALL\"]", "[\"FLUSHDB\"]");
    gate.wait_for_log(&["reload", "done", "files changed"]);
    assert!(!comes_in(&gate, &partner));
    gate.write_acl("user alice on +@all ~*\n");
    eventually("both to be in force", || comes_in(&gate, &partner).then_some(()));
}

#[test]
fn a_new_ca_waits_for_an_acl_file_that_edits_of_users_have_passed_over() {
    let (_redis, gate) = start_trusting();
    let mut alice = gate.connect("alice");
    assert_eq!(alice.text(&["ACL", "SETUSER", "bob", "off"]), "+OK");
    gate.write_acl("user alice on +@all ~* &* -set\n");
    gate.wait_for_log(&["ERROR", "users.acl", "users were edited since it was read"]);
    let folder = tempfile::tempdir().unwrap();
    let partner = trust_partner(&gate, folder.path());
    gate.wait_for_log(&["WARN", "ca.crt", "is new and not trusted yet"]);
    assert!(!comes_in(&gate, &partner));
    assert_eq!(alice.text(&["ACL", "LOAD"]), "+OK");
    eventually("both to be in force", || comes_in(&gate, &partner).then_some(()));
}

#[test]
fn a_ca_that_is_taken_out_is_gone_whatever_is_wrong_with_the_other_files() {
    let (_redis, gate) = start_trusting();
    let alone = fs::read(gate.pki().ca_cert()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let partner = trust_partner(&gate, folder.path());
    eventually("the CA to be trusted", || comes_in(&gate, &partner).then_some(()));
    let mut inside = gate.connect_as(Some(&partner.client("alice")));
    assert_eq!(inside.text(&["PING"]), "+PONG");
    gate.edit_config("[block]", "bogus = 1\n[block]");
    gate.write_acl("user alice on +slip\n");
    gate.wait_for_log(&["ERROR", "slip"]);
    fs::write(gate.pki().ca_cert(), alone).unwrap();
    inside.expect_closed();
    assert!(!comes_in(&gate, &partner));
    let own = folder.path().join("own.crt");
    fs::copy(gate.pki().ca_cert(), &own).unwrap();
    fs::write(gate.pki().ca_cert(), "no certificate\n").unwrap();
    gate.wait_for_log(&["ERROR", "ca.crt"]);
    let is_in = |client| is_served(RespClient::tls(gate.address(), &own, Some(&client)));
    assert!(!is_in(partner.client("alice")), "what stays is what was in force, and not what the file had before");
    assert!(is_in(gate.pki().client("alice")));
}

#[test]
fn sessions_of_what_is_trusted_no_longer_do_nothing_that_only_the_next_users_may() {
    let acl = "user alice on ~* +@all -set\n";
    let (redis, gate) = start_with_crl(acl);
    let serials: Vec<u64> = (1..=40).collect();
    let clients: Vec<RespClient> =
        serials.iter().map(|serial| gate.connect_as(Some(&gate.pki().numbered_client("alice", *serial)))).collect();
    let writers: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            thread::spawn(move || {
                let set = request(&["SET", "a", "1"]);
                while client.try_send(&set).and_then(|()| client.try_reply()).is_ok() {}
            })
        })
        .collect();
    gate.wait_for_log(&["refusal", "set"]);
    gate.pki().write_crl(&serials);
    gate.write_acl("user alice on ~* +@all\n");
    gate.signal(Signal::HUP);
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert_eq!(redis.calls("set"), 0);
    // The sessions have ended before the next users are in force.
    eventually("them to be", || (gate.connect("alice").text(&["SET", "a", "1"]) == "+OK").then_some(()));
}

#[test]
fn a_revocation_in_the_file_of_the_cas_takes_effect_whatever_the_configuration_says_and_stays_when_the_file_breaks() {
    let redis = RedisServer::start();
    let setup = Respgate::setup(&upstream_of(&redis)).acl("user alice on +@all ~*\nuser bob on +@all ~*\n");
    setup.pki().write_crl(&[]);
    let (ca, list) = (setup.pki().ca_cert(), setup.pki().crl_file());
    let own = setup.path("own.crt");
    fs::copy(&ca, &own).unwrap();
    let put_together = || fs::write(&ca, [fs::read(&own).unwrap(), fs::read(&list).unwrap()].concat()).unwrap();
    put_together();
    let setup = setup.setting(&format!("tls-crl-file = {ca:?}")).table("[block]\ncommands = [\"FLUSHALL\"]");
    let gate = setup.expect_log("reload").expect_log("handshake").expect_log("revoked").start().settled();
    let revoked = gate.pki().numbered_client("alice", 7);
    let is_in = |identity: &Identity| is_served(RespClient::tls(gate.address(), &own, Some(identity)));
    assert!(is_in(&revoked));
    gate.edit_config("[block]", "bogus = 1\n[block]");
    gate.wait_for_log(&["ERROR", "bogus"]);
    gate.pki().write_crl(&[7]);
    put_together();
    eventually("the revocation", || (!is_in(&revoked)).then_some(()));
    fs::write(&ca, "nothing\n").unwrap();
    gate.wait_for_log(&["ERROR", "ca.crt: holds no PEM block"]);
    gate.write_acl("user alice on +@all ~*\n");
    eventually("bob to be gone", || (!is_in(&gate.pki().client("bob"))).then_some(()));
    assert!(!is_in(&revoked));
    assert!(is_in(&gate.pki().client("alice")));
}

#[test]
fn a_broken_file_of_one_listener_holds_up_nothing_that_another_withdraws() {
    let redis = RedisServer::start();
    let setup = Respgate::setup(&upstream_of(&redis)).acl("user alice on +@all ~*\n");
    let folder = tempfile::tempdir().unwrap();
    let partner = Pki::create(folder.path());
    let (own, both) = (setup.path("own.crt"), setup.path("both.crt"));
    fs::copy(setup.pki().ca_cert(), &own).unwrap();
    let of_both = [fs::read(&own).unwrap(), fs::read(partner.ca_cert()).unwrap()].concat();
    fs::write(&both, of_both).unwrap();
    let ports: Vec<_> = (0..2).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let [first, second] = [0, 1].map(|at: usize| ports[at].local_addr().unwrap());
    drop(ports);
    let listener = |address, ca: &Path| format!("[[listener]]\nlisten = \"{address}\"\ntls-ca-cert-file = {ca:?}\n");
    let tables = listener(first, &own) + &listener(second, &both);
    let setup = setup.listeners(&tables).expect_log("reload").expect_log("handshake");
    let gate = setup.start().settled();
    let alice = partner.client("alice");
    let mut inside = RespClient::tls(second, &gate.pki().ca_cert(), Some(&alice));
    assert_eq!(inside.text(&["PING"]), "+PONG");
    fs::write(&own, "nothing\n").unwrap();
    fs::copy(gate.pki().ca_cert(), &both).unwrap();
    inside.expect_closed();
    gate.wait_for_log(&["ERROR", "held up: CAs in", "own.crt; everything else takes effect"]);
    assert!(is_served(RespClient::tls(first, &gate.pki().ca_cert(), Some(&gate.pki().client("alice")))));
}

#[test]
fn a_ca_that_goes_and_comes_back_while_the_acl_file_is_passed_over_is_trusted_again() {
    let (_redis, gate) = start_trusting();
    let alone = fs::read(gate.pki().ca_cert()).unwrap();
    let acl = fs::read_to_string(gate.path("users.acl")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let partner = trust_partner(&gate, folder.path());
    let both = fs::read(gate.pki().ca_cert()).unwrap();
    eventually("the CA to be trusted", || comes_in(&gate, &partner).then_some(()));
    gate.write_acl("user alice on +slip\n");
    gate.wait_for_log(&["ERROR", "slip"]);
    fs::write(gate.pki().ca_cert(), alone).unwrap();
    eventually("the CA to be gone", || (!comes_in(&gate, &partner)).then_some(()));
    gate.write_acl(&acl);
    fs::write(gate.pki().ca_cert(), both).unwrap();
    eventually("the CA to be trusted again", || comes_in(&gate, &partner).then_some(()));
}

fn start_trusting() -> (RedisServer, Respgate) {
    let redis = RedisServer::start();
    let setup = Respgate::setup(&upstream_of(&redis)).acl("user alice on +@all ~* &*\n");
    let setup = setup.table("[block]\ncommands = [\"FLUSHALL\"]").expect_log("reload").expect_log("handshake");
    let gate = setup.expect_log("is new and not trusted yet").start().settled();
    (redis, gate)
}

/// The CA of somebody else, trusted beside ours from now on.
fn trust_partner(gate: &Respgate, folder: &Path) -> Pki {
    let partner = Pki::create(folder);
    let both = [fs::read(gate.pki().ca_cert()).unwrap(), fs::read(partner.ca_cert()).unwrap()].concat();
    fs::write(gate.pki().ca_cert(), both).unwrap();
    partner
}

/// Whether the alice of somebody else is let in.
fn comes_in(gate: &Respgate, partner: &Pki) -> bool {
    is_served(gate.connect_as(Some(&partner.client("alice"))))
}

fn is_served(mut client: RespClient) -> bool {
    let answer = client.try_send(&request(&["PING"])).and_then(|()| client.try_reply());
    answer.is_ok_and(|answer| answer == b"+PONG\r\n")
}

const NAMING_BOB: (&str, &str) = ("commands = [\"FLUSHALL\"]", "commands = []\nscripting-users = [\"bob\"]");

/// A configuration that names a user and the ACL file that has it, changed one after the other.
fn start_without_bob() -> (RedisServer, Respgate) {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl("user alice on +@all ~*\n")
        .table("[block]\ncommands = [\"FLUSHALL\"]")
        .expect_log("reload")
        .expect_log("[block]")
        .start()
        .settled();
    (redis, gate)
}

#[test]
fn a_configuration_that_names_a_user_is_taken_with_the_acl_file_that_has_it() {
    let (_redis, gate) = start_without_bob();
    gate.edit_config(NAMING_BOB.0, NAMING_BOB.1);
    gate.wait_for_log(&["ERROR", "respgate.toml:", "[block] scripting-users: there is no user 'bob'"]);
    assert!(gate.connect("alice").text(&["FLUSHALL"]).starts_with("-NOPERM "), "the old one is in force");
    gate.write_acl("user alice on +@all ~*\nuser bob off\n");
    eventually("both to be in force", || (gate.connect("alice").text(&["FLUSHALL"]) == "+OK").then_some(()));
}

#[test]
fn an_acl_file_without_a_named_user_is_taken_with_the_configuration_that_no_longer_names_it() {
    let (_redis, gate) = start_without_bob();
    gate.write_acl("user alice on +@all ~*\nuser bob off\n");
    gate.signal(Signal::HUP);
    gate.wait_for_log(&["signal", "done"]);
    gate.edit_config(NAMING_BOB.0, NAMING_BOB.1);
    eventually("the name to be in force", || (gate.connect("alice").text(&["FLUSHALL"]) == "+OK").then_some(()));
    gate.write_acl("user alice on +@read ~*\n");
    gate.wait_for_log(&["ERROR", "[block] scripting-users: there is no user 'bob'"]);
    assert_eq!(gate.connect("alice").text(&["SET", "a", "1"]), "+OK", "the old one is in force");
    gate.edit_config(NAMING_BOB.1, NAMING_BOB.0);
    let mut alice = gate.connect("alice");
    eventually("both to be in force", || alice.text(&["SET", "a", "1"]).starts_with("-NOPERM ").then_some(()));
}

#[test]
fn a_user_switched_off_loses_the_live_session() {
    let (redis, gate) = start("user alice on +@all ~*\n");
    let mut client = gate.connect("alice");
    assert_eq!(client.text(&["SET", "a", "1"]), "+OK");
    gate.write_acl("user alice off +@all ~*\n");
    gate.signal(Signal::HUP);
    eventually("the session to end or to be refused", || is_shut_out(&mut client).then_some(()));
    let before = redis.calls("set");
    let _ = client.try_send(&request(&["SET", "a", "2"]));
    client.read_until_quiet();
    assert_eq!(redis.calls("set"), before);
}

#[test]
fn a_changed_configuration_file_changes_what_is_refused_and_a_broken_one_nothing() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl("user alice on +@all ~*\n")
        .table("[block]\ncommands = [\"FLUSHALL\"]")
        .expect_log("reload")
        .start()
        .settled();
    let mut client = gate.connect("alice");
    assert_eq!(client.text(&["SET", "a", "1"]), "+OK");
    gate.edit_config("\"FLUSHALL\"", "\"FLUSHALL\", \"SET\"");
    eventually("SET to be refused", || client.text(&["SET", "a", "2"]).starts_with("-NOPERM ").then_some(()));
    gate.edit_config("\"SET\"", "\"SET\", \"NOSUCHCOMMAND\"]\nunheard-of = [");
    gate.wait_for_log(&["unheard-of"]);
    gate.wait_for_log(&["kept the old one"]);
    assert!(client.text(&["SET", "a", "2"]).starts_with("-NOPERM "));
}

#[test]
fn status_shows_a_failed_reload_until_the_file_is_mended_and_the_log_says_that_it_is() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl("user alice on +@all ~*\n")
        .table("[block]\ncommands = [\"FLUSHALL\"]")
        .expect_log("reload")
        .start()
        .settled();
    let is_failed = || gate.status()["reloads"]["last_failure"]["is_mended"] == false;
    assert!(!is_failed(), "{}", gate.status());
    gate.edit_config("\"FLUSHALL\"", "\"FLUSHAL\"");
    gate.wait_for_log(&["kept the old one"]);
    assert!(is_failed(), "{}", gate.status());
    gate.edit_config("\"FLUSHAL\"", "\"FLUSHALL\"");
    gate.wait_for_log(&["INFO", "\"reload\"", "mended: what the files say is in force"]);
    assert!(!is_failed(), "{}", gate.status());
    gate.write_acl("user alice on +@al ~*\n");
    gate.wait_for_log(&["users.acl:1", "@al"]);
    eventually("the failure to be shown", || is_failed().then_some(()));
    gate.write_acl("user alice on +@read ~*\n");
    eventually("the mended file to be in force", || (!is_failed()).then_some(()));
}

#[test]
fn a_setting_that_needs_a_restart_is_warned_about_and_leaves_the_rest_in_force() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl("user alice on +@all ~*\n")
        .setting("threads = 1")
        .expect_log("reload")
        .start()
        .settled();
    gate.edit_config("threads = 1", "threads = 2");
    gate.wait_for_log(&["take effect only with a restart", "\"settings\":\"threads\""]);
    assert_eq!(gate.connect("alice").text(&["PING"]), "+PONG");
}

#[test]
fn what_is_only_warned_of_in_a_configuration_is_warned_of_at_a_reload_too() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl("user alice on +@all ~*\n")
        .crl()
        .table("[block]\ncommands = [\"FLUSHALL\"]")
        .expect_log("nothing is blocked")
        .start()
        .settled();
    gate.edit_config("[\"FLUSHALL\"]", "[]");
    gate.wait_for_log(&["WARN", "nothing is blocked"]);
    gate.pki().write_crl(&[7]);
    gate.wait_for_log(&["reload", "done", "\"generation\":4"]);
    assert_eq!(gate.log_text().matches("nothing is blocked").count(), 1);
}

#[test]
fn new_trust_is_asked_of_new_connections() {
    let (_redis, gate) = start("user alice on +@all ~*\n");
    let old = gate.pki().client("alice");
    assert_eq!(gate.connect_as(Some(&old)).text(&["PING"]), "+PONG");
    let other = tempfile::tempdir().unwrap();
    let new_pki = Pki::create(other.path());
    fs::copy(new_pki.ca_cert(), gate.pki().ca_cert()).unwrap();
    fs::copy(new_pki.server().cert, gate.pki().server().cert).unwrap();
    fs::copy(new_pki.server().key, gate.pki().server().key).unwrap();
    gate.signal(Signal::HUP);
    let new = new_pki.client("alice");
    eventually("the new CA to be trusted", || {
        let mut client = RespClient::tls(gate.address(), &new_pki.ca_cert(), Some(&new));
        client.try_send(&request(&["PING"])).ok()?;
        (client.try_reply().ok()? == b"+PONG\r\n").then_some(())
    });
    let mut client = RespClient::tls(gate.address(), &new_pki.ca_cert(), Some(&old));
    let answer = client.try_send(&request(&["PING"])).and_then(|()| client.try_reply());
    assert!(answer.is_err(), "the old CA is no longer trusted");
}

#[test]
fn a_broken_file_does_not_keep_redis_from_being_heard() {
    let mut redis = RedisServer::stopped(&[]);
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl("user alice on +@all ~*\n")
        .expect_log("reload")
        .expect_log("upstream is not there")
        .start();
    gate.wait_for_log(&["upstream is not there"]);
    fs::write(gate.pki().server().cert, "not a certificate\n").unwrap();
    gate.wait_for_log(&["server.crt"]);
    redis.restart();
    gate.wait_for_log(&["reload", "done", "upstream"]);
}

fn start(acl: &str) -> (RedisServer, Respgate) {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl(acl)
        .expect_log("reload")
        .expect_log("handshake")
        .expect_log("refused")
        .start();
    (redis, gate)
}

#[test]
fn a_list_that_becomes_a_pipe_stops_nothing() {
    let (_redis, gate) = start_with_crl("user alice on +@all ~*\nuser bob on +@all ~*\n");
    let mut bob = gate.connect("bob");
    assert_eq!(bob.text(&["PING"]), "+PONG");
    let list = gate.pki().crl_file();
    fs::remove_file(&list).unwrap();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, &list, mode).unwrap();
    gate.wait_for_log(&["ERROR", "ca.crl", "it is a pipe"]);
    gate.write_acl("user alice on +@all ~*\n");
    bob.expect_closed();
}

#[test]
fn a_password_file_that_is_gone_since_the_start_holds_no_configuration_up() {
    let redis = RedisServer::start_with(&["--requirepass", "secret"]);
    let setup = Respgate::setup(&upstream_of(&redis)).acl("user alice on +@all ~*\n").file("password", "secret\n");
    let setup = setup.table("[block]\ncommands = [\"FLUSHALL\"]");
    let setup = setup.table("[upstream-auth]\npassword-file = \"password\"").expect_log("next start would fail");
    let gate = setup.start().settled();
    fs::remove_file(gate.path("password")).unwrap();
    gate.edit_config("commands = [\"FLUSHALL\"]", "commands = [\"GET\"]");
    gate.wait_for_log(&["WARN", "password: cannot read it: ", "the next start would fail"]);
    eventually("the configuration to be taken", || {
        gate.connect("alice").text(&["GET", "a"]).starts_with("-NOPERM ").then_some(())
    });
}

fn start_with_crl(acl: &str) -> (RedisServer, Respgate) {
    let redis = RedisServer::start();
    let setup = Respgate::setup(&upstream_of(&redis)).acl(acl).crl().table("[block]\ncommands = [\"FLUSHALL\"]");
    let expected = setup.expect_log("\"event\":\"reload\"").expect_log("handshake").expect_log("revoked");
    (redis, expected.expect_log("refused").start().settled())
}

/// The session has ended, or answers an error.
fn is_shut_out(client: &mut RespClient) -> bool {
    match client.try_send(&request(&["SET", "a", "2"])).and_then(|()| client.try_reply()) {
        Ok(reply) => reply.starts_with(b"-"),
        Err(_) => true,
    }
}

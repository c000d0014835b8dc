//! The files of trust: what they hold takes effect or is said, by `check`, at the start and at a reload alike.

use std::fs;
use std::process::{Command, Output};

use crate::support::{RedisServer, Respgate, Setup, client_config, eventually, request, respgate_binary, upstream_of};

const ACL: &str = "user alice on +@all ~*\nuser admin on +@all ~*\n";

#[test]
fn a_leaf_in_the_ca_file_refuses_the_file_and_offers_a_pin() {
    let setup = before(&RedisServer::start());
    let bob = fs::read_to_string(setup.pki().client("bob").cert).unwrap();
    let ca = fs::read_to_string(setup.pki().ca_cert()).unwrap();
    fs::write(setup.pki().ca_cert(), format!("{ca}{bob}{bob}")).unwrap();
    for words in ["certificate 2, \"CN=bob\", cannot be a client CA", "certificate 3, \"CN=bob\"", "trust = \"pin\""] {
        refuses(&setup, words);
    }
}

#[test]
fn a_reload_refuses_a_leaf_in_the_ca_file_and_keeps_the_cas() {
    let redis = RedisServer::start();
    let gate = before(&redis).expect_log("reload").start().settled();
    let bob = fs::read_to_string(gate.pki().client("bob").cert).unwrap();
    let ca = fs::read_to_string(gate.pki().ca_cert()).unwrap();
    fs::write(gate.pki().ca_cert(), ca + &bob).unwrap();
    gate.wait_for_log(&["reload", "failed", "certificate 2", "cannot be a client CA"]);
    assert_eq!(gate.connect("alice").text(&["PING"]), "+PONG");
}

#[test]
fn a_client_that_shows_a_leaf_as_its_ca_is_refused() {
    let redis = RedisServer::start();
    let gate = before(&redis).expect_log("handshake").start();
    let bob = gate.pki().client("bob");
    let admin = gate.pki().client_signed_by(&bob, "admin");
    let mut client = gate.connect_as(Some(&admin));
    assert!(client.try_send(&request(&["PING"])).and_then(|()| client.try_reply()).is_err());
    gate.wait_for_log(&["\"handshake\"", "failed", "\"constraint\""]);
}

/// Whatever is lost of a file that revokes, revokes nothing.
#[test]
fn a_revocation_list_that_cannot_be_told_apart_is_an_error_and_never_lost() {
    let redis = RedisServer::start();
    let gate = before(&redis).crl().expect_log("reload").expect_log("handshake").start().settled();
    let list = |serials: &[u64]| {
        gate.pki().write_crl(serials);
        fs::read_to_string(gate.pki().crl_file()).unwrap()
    };
    let (none, alice) = (list(&[]), list(&[7]));
    gate.wait_for_log(&["ca.crl: 1 CRL, 1 certificate revoked"]);
    for (content, words) in [
        (format!("{}{alice}", none.trim_end()), "looks like the beginning or end of a PEM block"),
        (format!("{none}{}", alice.replace('\n', "\n  ")), "looks like the beginning or end of a PEM block"),
        (format!("{none}  {alice}"), "looks like the beginning or end of a PEM block"),
        (format!("{none}{}", alice.replace("X509 CRL", "CRL")), "\\\"CRL\\\" is nothing to read here"),
        (format!("{none}{}", &alice[..100]), "has no end"),
    ] {
        gate.pki().write_crl_text(&content);
        gate.wait_for_log(&["reload", "failed", "ca.crl", words]);
        let output = check(&gate.path("respgate.toml"));
        assert_eq!(output.status.code(), Some(78), "{}", text(&output));
        assert!(text(&output).contains(&words.replace('\\', "")), "{}", text(&output));
    }
    let mut revoked = gate.connect_as(Some(&gate.pki().numbered_client("alice", 7)));
    assert!(
        revoked.try_send(&request(&["PING"])).and_then(|()| revoked.try_reply()).is_err(),
        "the list before is in force"
    );
}

#[test]
fn the_lists_of_a_file_with_a_byte_order_mark_all_count() {
    let redis = RedisServer::start();
    let gate = before(&redis).crl().expect_log("handshake").start().settled();
    gate.pki().write_crl(&[7]);
    let alice = fs::read_to_string(gate.pki().crl_file()).unwrap();
    gate.pki().write_crl(&[8]);
    let bob = fs::read_to_string(gate.pki().crl_file()).unwrap();
    gate.pki().write_crl_text(&format!("\u{feff}{alice}\u{feff}{bob}"));
    gate.wait_for_log(&["ca.crl: 2 CRLs, 2 certificates revoked"]);
    for serial in [7, 8] {
        let mut client = gate.connect_as(Some(&gate.pki().numbered_client("alice", serial)));
        assert!(client.try_send(&request(&["PING"])).and_then(|()| client.try_reply()).is_err(), "{serial}");
    }
}

#[test]
fn what_each_file_gave_is_said_by_check_at_the_start_and_at_a_reload() {
    let redis = RedisServer::start();
    let gate = before(&redis).crl().start().settled();
    let said = text(&check(&gate.path("respgate.toml")));
    for words in
        ["server.crt: 1 certificate, the first of", "ca.crt: 1 client CA", "ca.crl: 1 CRL, 0 certificates revoked"]
    {
        assert!(said.contains(words), "{words} in {said}");
        gate.wait_for_log(&[&words.replace('"', "\\\"")]);
    }
    gate.pki().write_crl(&[7, 8]);
    gate.wait_for_log(&["ca.crl: 1 CRL, 2 certificates revoked"]);
}

#[test]
fn that_nothing_is_revoked_is_said_by_check_and_at_the_start() {
    let redis = RedisServer::start();
    let gate = before(&redis).start();
    let words = "tls-crl-file: none: a certificate that is revoked is let in all the same";
    assert!(text(&check(&gate.path("respgate.toml"))).contains(words));
    gate.wait_for_log(&[words]);
}

#[test]
fn an_expired_list_is_an_error_that_keeps_no_start_from_happening_and_still_revokes() {
    let redis = RedisServer::start();
    let setup = before(&redis).crl().expect_log("ca.crl").expect_log("handshake");
    setup.pki().write_expired_crl();
    let output = check(&setup.write_config());
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("error: "), "{}", text(&output));
    let gate = setup.start();
    gate.wait_for_log(&["ERROR", "ca.crl", "has expired: what it revokes stays revoked"]);
    let mut alice = gate.connect("alice");
    assert!(alice.try_send(&request(&["PING"])).and_then(|()| alice.try_reply()).is_err());
    gate.wait_for_log(&["\"handshake\"", "failed", "\"revocation-list-expired\""]);
}

#[test]
fn a_list_by_another_key_than_that_of_its_ca_is_a_warning_of_check() {
    let setup = before(&RedisServer::start()).crl();
    setup.pki().client_of_another_ca("alice");
    fs::copy(setup.path("other-ca.crt"), setup.pki().ca_cert()).unwrap();
    let output = check(&setup.write_config());
    assert!(text(&output).contains("is not signed by the key of that CA"), "{}", text(&output));
}

#[test]
fn a_broken_list_of_two_listeners_is_told_once() {
    let setup = before(&RedisServer::start()).crl();
    setup.pki().write_crl_text("nothing\n");
    let listener = |port, check| format!("[[listener]]\nlisten = \"127.0.0.1:{port}\"\ncrl-check = {check:?}\n");
    let setup = setup.listeners(&(listener(16_379, "leaf") + &listener(16_380, "chain")));
    let output = respgate_binary().args(["check", "--config"]).arg(setup.write_config()).output().unwrap();
    assert_eq!(text(&output).matches("ca.crl: holds no PEM block").count(), 1, "{}", text(&output));
}

/// A client with such a key does not even show its certificate, so `check` is where its owner hears of it.
#[test]
fn check_refuses_a_certificate_for_a_key_that_no_handshake_can_use() {
    let setup = before(&RedisServer::start());
    for arguments in ["-algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048", "-algorithm ED448"] {
        let client = setup.pki().openssl_client("alice", arguments);
        let output = respgate_binary()
            .args(["check", "--listen", "127.0.0.1:0", "--config"])
            .arg(setup.write_config())
            .arg("--client-cert")
            .arg(&client.cert)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert!(text(&output).contains("refused (unsupported-algorithm)"), "{}", text(&output));
    }
}

#[test]
fn a_session_of_a_certificate_that_an_expired_list_revokes_ends() {
    let redis = RedisServer::start();
    let gate = before(&redis).crl().expect_log("ca.crl").start().settled();
    let identity = client_config(&gate.pki().ca_cert(), Some(&gate.pki().numbered_client("alice", 7)));
    let mut revoked = crate::support::RespClient::tls_with(gate.address(), &identity);
    let mut other = gate.connect("alice");
    assert_eq!([revoked.text(&["PING"]), other.text(&["PING"])], ["+PONG", "+PONG"]);
    gate.pki().write_expired_crl_of(&[7]);
    revoked.expect_closed();
    eventually("the reason", || gate.log_text().contains("certificate-revoked").then_some(()));
    assert_eq!(other.text(&["PING"]), "+PONG");
}

fn before(redis: &RedisServer) -> Setup {
    Respgate::setup(&upstream_of(redis)).acl(ACL)
}

/// `check` and `run` both refuse the files with these words.
fn refuses(setup: &Setup, words: &str) {
    for command in ["check", "run"] {
        let output = respgate(command).arg(setup.write_config()).output().unwrap();
        assert_eq!(output.status.code(), Some(78), "{command}: {}", text(&output));
        assert!(text(&output).contains(words), "{words} in {}", text(&output));
    }
}

fn check(config: &std::path::Path) -> Output {
    respgate("check").arg(config).output().unwrap()
}

fn respgate(command: &str) -> Command {
    let mut binary = respgate_binary();
    binary.args([command, "--listen", "127.0.0.1:0", "--config"]);
    binary
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

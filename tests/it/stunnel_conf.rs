//! `respgate check --stunnel-conf`: what it prints does what stunnel did.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use crate::support::{Identity, Pki, folder, respgate_binary};

#[test]
fn the_settings_of_a_verifying_server_let_in_whom_its_ca_has_signed() {
    let dir = folder();
    let pki = Pki::create(dir.path());
    let (server, ca) = (pki.server(), pki.ca_cert());
    let key = fs::read_to_string(&server.key).unwrap();
    write(&dir.path().join("both.pem"), &(fs::read_to_string(&server.cert).unwrap() + &key));
    let both = dir.path().join("both.pem");
    let conf = format!(
        "cert = {}\n[redis]\naccept = 0\nconnect = 6379\nCAfile = {}\nverify = 2\n",
        both.display(),
        ca.display()
    );
    let settings = translated(dir.path(), &conf, 0);
    assert_verdict(&settings, &pki.client("anybody"), 0, "trusted, user default");
    assert_verdict(&settings, &pki.client_of_another_ca("anybody"), 1, "refused");
}

#[test]
fn the_settings_of_a_server_that_names_its_clients_let_in_these_alone() {
    let dir = folder();
    let pki = Pki::create(dir.path());
    let (server, named) = (pki.server(), pki.self_signed_client("alice"));
    let conf = format!(
        "[redis]\naccept = 0\nconnect = 6379\ncert = {}\nkey = {}\nCAfile = {}\nverifyPeer = yes\n",
        server.cert.display(),
        server.key.display(),
        named.cert.display()
    );
    let settings = translated(dir.path(), &conf, 0);
    assert_verdict(&settings, &named, 0, "trusted, user default");
    assert_verdict(&settings, &pki.client("bob"), 1, "refused");
}

#[test]
fn what_is_not_taken_over_is_told_by_line_and_ends_with_1() {
    let dir = folder();
    write(&dir.path().join("stunnel.conf"), "[redis]\naccept = 6380\nconnect = 6379\nPSKsecrets = /etc/psk\n");
    let output = check(&dir.path().join("stunnel.conf"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let line = said.lines().find(|line| line.contains("PSKsecrets")).unwrap();
    assert!(
        line.contains("stunnel.conf:4 ") && line.contains("not taken over: there are no pre-shared keys"),
        "{line}"
    );
}

#[test]
fn a_file_that_is_no_stunnel_conf_ends_with_78() {
    let dir = folder();
    write(&dir.path().join("stunnel.conf"), "port 6379\n");
    let output = check(&dir.path().join("stunnel.conf"));
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("stunnel.conf:1: no \"name = value\""), "{said}");
}

/// The respgate.toml that is printed for this stunnel.conf, beside its users.
fn translated(dir: &Path, conf: &str, code: i32) -> std::path::PathBuf {
    write(&dir.join("stunnel.conf"), conf);
    let output = check(&dir.join("stunnel.conf"));
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    let (_, files) = said.split_once("\n# respgate.toml\n").unwrap();
    let (settings, users) = files.split_once("\n# users.acl\n").unwrap();
    write(&dir.join("respgate.toml"), settings);
    write(&dir.join("users.acl"), users);
    dir.join("respgate.toml")
}

#[track_caller]
fn assert_verdict(settings: &Path, client: &Identity, code: i32, words: &str) {
    let output = respgate_binary()
        .args(["check", "--config"])
        .arg(settings)
        .arg("--client-cert")
        .arg(&client.cert)
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(words), "{said}");
}

fn check(conf: &Path) -> Output {
    respgate_binary().args(["check", "--stunnel-conf"]).arg(conf).output().unwrap()
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

//! What `respgate doctor --from-outside` says of a respgate.

use serde_json::Value;

use crate::support::{Identity, RedisServer, Respgate, respgate_binary, upstream_of};

#[test]
fn a_respgate_is_known_by_what_it_refuses() {
    let redis = RedisServer::start();
    let gate = Respgate::start(&redis, "user alice on +@all ~*\n");
    let found = findings_of(&gate, &gate.pki().client("alice"));
    for (id, severity, count) in [
        ("outside.gate", "green", 1),
        ("outside.plaintext", "green", 1),
        ("outside.certificate", "green", 1),
        ("outside.authority", "green", 1),
        ("outside.versions", "green", 1),
        ("outside.name", "green", 1),
        ("outside.commands", "green", 2),
    ] {
        let is_one = |finding: &&Value| finding["id"] == id && finding["severity"] == severity;
        assert_eq!(found.iter().filter(is_one).count(), count, "{id}: {found:?}");
    }
}

#[test]
fn flushall_of_who_may_run_it_is_seen_and_deletes_nothing() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl("user alice on +@all ~*\n")
        .table("[block]\nexempt-users = [\"alice\"]\n[[certificate]]\ncn = \"alice\"\nuser = \"alice\"\n")
        .start();
    let mut alice = gate.connect("alice");
    assert_eq!(alice.text(&["SET", "mine", "x"]), "+OK");
    let found = findings_of(&gate, &gate.pki().client("alice"));
    let commands = found.iter().filter(|finding| finding["id"] == "outside.commands");
    assert!(commands.clone().count() == 2 && commands.clone().all(|finding| finding["severity"] == "red"), "{found:?}");
    assert_eq!(alice.text(&["GET", "mine"]), "$1\r\nx");
}

/// Of its port alone: whatever else listens on this host is none of a test's business.
fn findings_of(gate: &Respgate, identity: &Identity) -> Vec<Value> {
    let mut command = respgate_binary();
    command.args(["doctor", "--json", "--from-outside", &gate.address().to_string(), "--cert"]);
    command.arg(&identity.cert).arg("--key").arg(&identity.key).arg("--cacert").arg(gate.pki().ca_cert());
    let output = command.output().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let is_of_gate = |finding: &&Value| finding["id"] != "outside.redis";
    document["findings"].as_array().unwrap().iter().filter(is_of_gate).cloned().collect()
}

//! Files that are being written in place: half of one is never in force, and holds up nothing else.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Pki, RedisServer, RespClient, Respgate, Setup, eventually, request, upstream_of};

const ACL: &str = "user alice on ~* &* +@all -set\nuser bob on +@all ~*\n";

#[test]
fn half_an_acl_file_is_not_in_force_and_holds_no_revocation_up() {
    let (_redis, gate) = start(|setup| setup);
    let mut alice = gate.connect("alice");
    let mut bob = gate.connect_as(Some(&gate.pki().numbered_client("bob", 7)));
    assert_eq!(bob.text(&["PING"]), "+PONG");
    let writing = Writing::begin(&gate.path("users.acl"), "user bob on +@all ~*\nuser alice on ~* &* +@all");
    gate.pki().write_crl(&[7]);
    bob.expect_closed();
    gate.wait_for_log(&["reload", "done", "files changed"]);
    assert!(alice.text(&["SET", "a", "1"]).starts_with("-NOPERM "));
    writing.end(" -set\nuser carol on +@all\n");
    eventually("the whole file to be in force", || comes_in(&gate, "carol"));
    assert!(alice.text(&["SET", "a", "1"]).starts_with("-NOPERM "));
}

#[test]
fn half_a_configuration_is_not_in_force_and_holds_neither_a_revocation_nor_an_acl_up() {
    let (_redis, gate) = start(|setup| setup.table("[block]\ncommands = [\"GET\"]"));
    let mut alice = gate.connect("alice");
    let mut bob = gate.connect_as(Some(&gate.pki().numbered_client("bob", 7)));
    assert_eq!(bob.text(&["PING"]), "+PONG");
    let config = fs::read_to_string(gate.path("respgate.toml")).unwrap();
    let half = config.split_once("[block]").unwrap().0;
    let writing = Writing::begin(&gate.path("respgate.toml"), &format!("{half}#"));
    gate.pki().write_crl(&[7]);
    bob.expect_closed();
    assert!(alice.text(&["GET", "a"]).starts_with("-NOPERM "));
    gate.write_acl("user alice on ~* &* +@all\n");
    eventually("the other file to be in force", || (alice.text(&["SET", "a", "1"]) == "+OK").then_some(()));
    assert!(alice.text(&["GET", "a"]).starts_with("-NOPERM "));
    writing.end("\n[block]\ncommands = [\"SET\"]\n");
    eventually("the whole file to be in force", || (alice.text(&["GET", "a"]) == "$1\r\n1").then_some(()));
    assert!(alice.text(&["SET", "a", "2"]).starts_with("-NOPERM "));
}

#[test]
fn a_file_that_never_settles_is_told_of() {
    let (_redis, gate) = start(|setup| setup.expect_log("does not settle"));
    let writing = Writing::begin(&gate.path("users.acl"), "user alice on ~* +@all");
    gate.wait_for_log(&["users.acl", "does not settle"]);
    writing.end("\n");
    gate.wait_for_log(&["reload", "done", "files changed"]);
    assert_eq!(gate.log_text().matches("does not settle").count(), 1);
}

#[test]
fn while_a_file_is_written_a_ca_that_goes_is_gone_and_one_that_comes_waits() {
    let redis = RedisServer::start();
    let setup = Respgate::setup(&upstream_of(&redis)).acl(ACL).expect_log("does not settle").expect_log("handshake");
    let gate = setup.expect_log("is new and not trusted yet").start().settled();
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [old, new] = folders.each_ref().map(|folder| Pki::create(folder.path()));
    let own = fs::read(gate.pki().ca_cert()).unwrap();
    let trust = |other: &Pki| {
        let both = [own.clone(), fs::read(other.ca_cert()).unwrap()].concat();
        fs::write(gate.pki().ca_cert(), both).unwrap();
    };
    let is_in = |pki: &Pki| is_served(gate.connect_as(Some(&pki.client("alice"))));
    trust(&old);
    eventually("the CA to be trusted", || is_in(&old));
    let mut inside = gate.connect_as(Some(&old.client("alice")));
    assert_eq!(inside.text(&["PING"]), "+PONG");
    let writing = Writing::begin(&gate.path("users.acl"), "user alice on ~* +@all");
    gate.wait_for_log(&["users.acl", "does not settle"]);
    trust(&new);
    inside.expect_closed();
    assert_eq!([is_in(&old), is_in(&new)], [None; 2]);
    writing.end("\n");
    eventually("the new one to be trusted", || is_in(&new));
    assert_eq!(is_in(&old), None);
}

#[test]
fn a_file_without_a_final_newline_is_in_force_after_a_while() {
    let (_redis, gate) = start(|setup| setup);
    gate.write_acl("user alice on ~* &* +@all");
    let mut alice = gate.connect("alice");
    eventually("the file to be in force", || (alice.text(&["SET", "a", "1"]) == "+OK").then_some(()));
}

#[test]
fn an_acl_file_that_was_emptied_is_refused_and_throws_nobody_out() {
    let (_redis, gate) = start(|setup| setup.table("[block]\ncommands = [\"FLUSHALL\"]"));
    let mut alice = gate.connect("alice");
    gate.write_acl("");
    gate.wait_for_log(&["users.acl: names no user", "files changed"]);
    assert_eq!(alice.text(&["PING"]), "+PONG");
    assert!(alice.text(&["ACL", "LOAD"]).contains("users.acl: names no user"));
    gate.signal(Signal::HUP);
    gate.wait_for_log(&["users.acl: names no user", "signal"]);
    assert_eq!(alice.text(&["PING"]), "+PONG");
    gate.write_acl("user default off\n");
    alice.expect_closed();
}

#[test]
fn a_signal_takes_a_file_as_it_is() {
    let (_redis, gate) = start(|setup| setup);
    let writing = Writing::begin(&gate.path("users.acl"), "user alice on ~* &* +@all");
    gate.signal(Signal::HUP);
    gate.wait_for_log(&["reload", "done", "signal"]);
    assert_eq!(gate.connect("alice").text(&["SET", "a", "1"]), "+OK");
    writing.end("\n");
}

#[test]
fn an_edit_takes_the_file_as_it_is() {
    let (_redis, gate) = start(|setup| setup.table("[block]\ncommands = [\"FLUSHALL\"]"));
    let writing = Writing::begin(&gate.path("users.acl"), "user alice on ~* &* +@all");
    let mut alice = gate.connect("alice");
    assert_eq!(alice.text(&["ACL", "LOAD"]), "+OK");
    assert_eq!(alice.text(&["SET", "a", "1"]), "+OK");
    writing.end("\n");
}

#[test]
fn what_the_configuration_reads_besides_itself_is_watched_and_has_to_settle() {
    let (_redis, gate) =
        start(|setup| setup.file("redis.conf", "rename-command KEYS \"\"\n").setting("redis-conf = \"redis.conf\""));
    let mut bob = gate.connect("bob");
    let writing = Writing::begin(&gate.path("redis.conf"), "rename-command GET ");
    gate.pki().write_crl(&[7]);
    gate.wait_for_log(&["reload", "done", "files changed"]);
    assert_eq!(bob.text(&["GET", "a"]), "$-1");
    writing.end("\"\"\n");
    eventually("GET to be gone", || bob.text(&["GET", "a"]).starts_with("-ERR unknown command").then_some(()));
}

#[test]
fn a_file_that_the_configuration_names_before_it_is_there_is_read_when_it_is() {
    let (_redis, gate) =
        start(|setup| setup.setting("redis-conf = \"first.conf\"").file("first.conf", "rename-command KEYS \"\"\n"));
    let mut bob = gate.connect("bob");
    gate.edit_config("first.conf", "redis.conf");
    gate.wait_for_log(&["redis.conf", "No such file"]);
    fs::write(gate.path("redis.conf"), "rename-command GET \"\"\n").unwrap();
    eventually("GET to be gone", || bob.text(&["GET", "a"]).starts_with("-ERR unknown command").then_some(()));
}

fn start(with: impl FnOnce(Setup) -> Setup) -> (RedisServer, Respgate) {
    let redis = RedisServer::start();
    let setup = Respgate::setup(&upstream_of(&redis)).acl(ACL).crl().expect_log("\"event\":\"reload\"");
    let gate = with(setup.expect_log("revoked").expect_log("handshake")).start().settled();
    (redis, gate)
}

fn comes_in(gate: &Respgate, user: &str) -> Option<()> {
    is_served(gate.connect(user))
}

fn is_served(mut client: RespClient) -> Option<()> {
    client.try_send(&request(&["PING"])).ok()?;
    (client.try_reply().ok()? == b"+PONG\r\n").then_some(())
}

/// Somebody who writes a file in place, blank after blank, until there is an end to it.
struct Writing {
    over: Arc<AtomicBool>,
    writer: JoinHandle<fs::File>,
}

impl Writing {
    fn begin(path: &Path, beginning: &str) -> Writing {
        let mut file = OpenOptions::new().write(true).truncate(true).open(path).unwrap();
        file.write_all(beginning.as_bytes()).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let writer = thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                file.write_all(b" ").unwrap();
                thread::sleep(Duration::from_millis(20));
            }
            file
        });
        Writing { over, writer }
    }

    fn end(self, end: &str) {
        self.over.store(true, Ordering::Relaxed);
        let mut file = self.writer.join().unwrap();
        file.write_all(end.as_bytes()).unwrap();
    }
}

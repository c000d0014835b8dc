//! The audit log: what has to be in it is, and whoever changes it is found out.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::Value;

use crate::support::{
    RedisServer, RespClient, Respgate, Setup, eventually, folder, request, respgate_binary, upstream_of,
};

const ACL: &str = "user alice on +@all -get ~* &*\nuser bob on >rightpassword +@all ~* &*\n";

#[test]
fn refusals_of_one_pipeline_are_all_there_and_the_chain_is_whole() {
    let redis = RedisServer::start();
    let mut gate = setup(&redis).start();
    let mut client = gate.connect("alice");
    let pipeline = [request(&["GET", "key:secret"]).repeat(16), request(&["FLUSHALL"]), request(&["SHUTDOWN"])];
    client.send(&pipeline.concat());
    (0..18).for_each(|_| assert!(client.reply_text().starts_with("-NOPERM")));
    drop(client);
    stop(&mut gate);
    let lines = lines(&gate.path("audit"));
    for (command, expected) in [("get", 16), ("flushall", 1), ("shutdown", 1)] {
        let refused = lines.iter().filter(|line| line["event"] == "request.refused" && line["command"] == command);
        let refused: Vec<&Value> = refused.collect();
        let count: u64 = refused.iter().map(|line| line["count"].as_u64().unwrap()).sum();
        assert_eq!((count, &refused[0]["user"]), (expected, &"alice".into()), "{refused:?}");
        assert_eq!((&refused[0]["proof"], &refused[0]["session"]), (&"certificate".into(), &1.into()));
        assert_eq!(refused[0]["cert"]["subject"], "CN=alice");
    }
    let events: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!((events[0], events[events.len() - 1]), ("service.started", "service.stopped"));
    assert!(events.contains(&"session.started") && events.contains(&"session.ended"), "{events:?}");
    assert!(!fs::read_to_string(gate.path("audit")).unwrap().contains("secret"), "a key");
    let head = gate.wait_for_log(&["audit", "\"head\""]);
    let head: Value = serde_json::from_str(&head).unwrap();
    let verified = verify(&[&gate.path("audit")], head["head"].as_str());
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
    let text = fs::read_to_string(gate.path("audit")).unwrap();
    let cut = text.trim_end().rsplit_once('\n').unwrap().0;
    fs::write(gate.path("audit"), format!("{cut}\n")).unwrap();
    assert_eq!(verify(&[&gate.path("audit")], head["head"].as_str()).status.code(), Some(1));
}

#[test]
fn of_a_stolen_certificate_all_that_it_was_used_for_is_found_by_its_serial_number() {
    let redis = RedisServer::start();
    let gate = setup(&redis).crl().start();
    let stolen = gate.pki().numbered_client("alice", 66);
    let mut before = gate.connect_as(Some(&stolen));
    assert_eq!(before.text(&["PING"]), "+PONG");
    gate.pki().write_crl(&[66]);
    gate.wait_for_log(&["\"close\"", "certificate-revoked"]);
    let refused = gate.connect_as(Some(&stolen)).try_send(&request(&["PING"])).is_err();
    gate.wait_for_log(&["\"handshake\"", "\"revoked\""]);
    let found = eventually("what it was used for", || {
        let lines = lines(&gate.path("audit"));
        let of_it: Vec<Value> = lines.into_iter().filter(|line| line["cert"]["serial"] == "42").collect();
        (of_it.len() == 3).then_some(of_it)
    });
    let reasons: Vec<_> = found.iter().map(|line| (line["event"].as_str().unwrap(), line["reason"].as_str())).collect();
    let expected = [
        ("session.started", None),
        ("session.ended", Some("certificate-revoked")),
        ("handshake.failed", Some("revoked")),
    ];
    assert_eq!(reasons, expected, "{refused}");
}

#[test]
fn permitted_requests_are_recorded_as_a_reload_says() {
    let redis = RedisServer::start();
    let gate = setup(&redis).setting("audit-commands = [\"@admin\"]").expect_log("\"reload\"").start().settled();
    let mut client = gate.connect("alice");
    let recorded = || {
        let of_it = lines(&gate.path("audit")).into_iter().filter(|line| line["event"] == "request.permitted");
        of_it.map(|line| line["command"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for line in [&["KEYS", "*"][..], &["ACL", "WHOAMI"], &["CLIENT", "LIST"]] {
        client.text(line);
    }
    eventually("the first of them", || (recorded() == ["client|list"]).then_some(()));
    let generation = gate.in_force().0;
    gate.edit_config("[\"@admin\"]", "[\"keys\", \"mget\"]\naudit-keys = \"yes\"");
    eventually("the next generation", || (gate.in_force().0 > generation).then_some(()));
    client.send(&[request(&["CLIENT", "LIST"]), request(&["MGET", "one", "two"]), request(&["KEYS", "*"])].concat());
    eventually("the others", || (recorded() == ["client|list", "mget", "keys"]).then_some(()));
    let all = lines(&gate.path("audit"));
    let line = all.iter().find(|line| line["command"] == "mget").unwrap();
    assert_eq!((&line["keys"], &line["key_names"][1], &line["count"]), (&2.into(), &"two".into(), &1.into()), "{line}");
    assert_eq!((&line["user"], &line["cert"]["subject"]), (&"alice".into(), &"CN=alice".into()));
    (0..3).for_each(|_| drop(client.reply()));
    assert_eq!(client.text(&["CLIENT", "ID"]), format!(":{}", line["upstream_id"]));
    let before = gate.in_force().1;
    gate.edit_config("[\"keys\", ", "[\"keyz\", ");
    gate.wait_for_log(&["ERROR", "audit-commands: `keyz` is no command", "did you mean `keys`?"]);
    assert!(gate.in_force().1 > before);
}

#[test]
fn hashes_of_keys_are_the_same_for_the_same_key_within_one_run_and_no_others() {
    let redis = RedisServer::start();
    let setup = || setup(&redis).setting("audit-commands = \"mget\"").setting("audit-keys = \"hash\"");
    let hashes = || {
        let mut gate = setup().start();
        gate.connect("alice").text(&["MGET", "secret", "other", "secret"]);
        stop(&mut gate);
        let text = fs::read_to_string(gate.path("audit")).unwrap();
        assert!(!text.contains("secret") && !text.contains("key_names"), "{text}");
        let line = lines(&gate.path("audit")).into_iter().find(|line| line["command"] == "mget").unwrap();
        let hashes: Vec<String> = serde_json::from_value(line["key_hashes"].clone()).unwrap();
        assert!(hashes.iter().all(|hash| hash.len() == 32), "{hashes:?}");
        hashes
    };
    let (one, other) = (hashes(), hashes());
    assert!(one[0] == one[2] && one[0] != one[1], "{one:?}");
    assert!(one.iter().all(|hash| !other.contains(hash)), "{one:?} {other:?}");
}

/// What the document asks, and a beginning of each answer of it, with a word in it.
const QUESTIONS: &[(&str, &[&str])] = &[
    ("`KEYS *`", &["\"alice\",\"127.0.0.1:"]),
    ("tried FLUSHALL", &["\"alice\",\"127.0.0.1:"]),
    (
        "stolen certificate",
        &["\"session.started\"", "\"request.refused\"", "\"certificate-revoked\"", "\"handshake.failed\""],
    ),
    ("passwords were tried", &["\"login.refused\",\"bob\"", "\"login.accepted\",\"bob\""]),
    ("changed users", &["\"bob\",\"127.0.0.1:", "\"files changed\""]),
    ("After an exposure", &["[\"alice\",\"42\",[\"127.0.0.1:"]),
    ("refused anything", &["\"request.refused\",\"flushall\",\"blocked\"", "\"request.permitted\",\"keys\""]),
];

#[test]
fn the_questions_of_the_document_are_answered_by_its_lines_of_jq() {
    if Command::new("jq").arg("--version").output().is_err() {
        return eprintln!("SKIPPED: there is no jq; ./test.sh installs it");
    }
    let redis = RedisServer::start();
    let mut gate = setup(&redis).crl().start();
    let stolen = gate.pki().numbered_client("alice", 66);
    let mut client = gate.connect_as(Some(&stolen));
    client.send(&[request(&["KEYS", "*"]), request(&["FLUSHALL"]), request(&["GET", "a"])].concat());
    (0..3).for_each(|_| drop(client.reply()));
    let mut edits = gate.connect_as(None);
    assert!(edits.text(&["AUTH", "bob", "wrongpassword"]).starts_with("-WRONGPASS"));
    assert_eq!(edits.text(&["AUTH", "bob", "rightpassword"]), "+OK");
    assert_eq!(edits.text(&["ACL", "SETUSER", "eve"]), "+OK");
    gate.pki().write_crl(&[66]);
    gate.wait_for_log(&["\"close\"", "certificate-revoked"]);
    let _ = gate.connect_as(Some(&stolen)).try_send(&request(&["PING"]));
    gate.wait_for_log(&["\"handshake\"", "\"revoked\""]);
    stop(&mut gate);
    fs::rename(gate.path("audit"), gate.path("audit.log")).unwrap();
    let permitted =
        lines(&gate.path("audit.log")).into_iter().find(|line| line["event"] == "request.permitted").unwrap();
    let time = permitted["time"].as_str().unwrap();
    let document = include_str!("../../docs/audit.md").split("\n## Questions\n").nth(1).unwrap().split("\n## ").next();
    let asked: Vec<&str> = document.unwrap().split("```sh\n").collect();
    assert_eq!(asked.len() - 1, QUESTIONS.len());
    for (pair, (question, answers)) in asked.windows(2).zip(QUESTIONS) {
        assert!(pair[0].contains(question), "{question}");
        let line = pair[1].split("\n```").next().unwrap();
        let line = line.replace("2026-03-09T10", &time[..13]).replace("2026-03-09", &time[..10]);
        let output = Command::new("sh").args(["-c", &line]).current_dir(gate.path(".")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{output:?}");
        for answer in *answers {
            assert!(said.lines().any(|line| line.contains(answer)), "{line}: {answer} in {said}");
        }
    }
}

#[test]
fn logins_and_edits_are_there_without_passwords() {
    let redis = RedisServer::start();
    let gate = setup(&redis).start();
    let mut client = gate.connect_as(None);
    assert!(client.text(&["AUTH", "bob", "wrongpassword"]).starts_with("-WRONGPASS"));
    assert_eq!(client.text(&["AUTH", "bob", "rightpassword"]), "+OK");
    assert_eq!(client.text(&["ACL", "SETUSER", "eve", "on", ">newpassword"]), "+OK");
    let text = eventually("the edit", || {
        let text = fs::read_to_string(gate.path("audit")).unwrap();
        text.contains("acl.changed").then_some(text)
    });
    for event in [
        &["\"login.refused\"", "\"login_user\":\"bob\"", "\"wrong-password\""][..],
        &["\"login.accepted\"", "\"login_user\":\"bob\"", "\"proof\":\"password\""],
        &["\"acl.changed\"", "\"user\":\"bob\"", "\"acl|setuser\"", "\"names\":\"eve\""],
    ] {
        assert!(text.lines().any(|line| event.iter().all(|word| line.contains(word))), "{event:?} in {text}");
    }
    assert!(["wrongpassword", "rightpassword", "newpassword"].iter().all(|word| !text.contains(word)), "{text}");
}

#[test]
fn all_who_are_deleted_are_named_whatever_other_names_a_request_has() {
    let redis = RedisServer::start();
    let mut gate = setup(&redis).start();
    let mut bob = bob(&gate);
    let crowd: Vec<String> = (10..80).map(|number| format!("{}{number}", "n".repeat(126))).collect();
    let nobody = "x".repeat(200);
    for user in crowd.iter().map(String::as_str).chain(["victim"]) {
        assert_eq!(bob.text(&["ACL", "SETUSER", user]), "+OK");
    }
    let of_nobody = [nobody.as_str(); 300];
    let named = of_nobody.into_iter().chain(crowd.iter().map(String::as_str)).chain(["victim", "victim"]);
    let words: Vec<&str> = ["ACL", "DELUSER"].into_iter().chain(named).collect();
    assert_eq!(bob.text(&words), ":71");
    gate.wait_for_log(&["\"acl\"", "acl|deluser", "victim"]);
    stop(&mut gate);
    let lines = lines(&gate.path("audit"));
    let deleted = lines.iter().filter(|line| line["event"] == "acl.changed" && line["command"] == "acl|deluser");
    let deleted: Vec<&str> = deleted.flat_map(|line| line["names"].as_str().unwrap().split(' ')).collect();
    assert_eq!(deleted, [crowd.iter().map(String::as_str).collect(), vec!["victim"]].concat());
}

#[test]
fn a_killed_process_leaves_what_the_next_one_goes_on_with_and_vouches_for() {
    let redis = RedisServer::start();
    let elsewhere = folder();
    let path = elsewhere.path().join("audit");
    let start = || setup(&redis).setting(&format!("audit-file = {path:?}")).start();
    let mut first = start();
    assert!(first.connect("alice").text(&["FLUSHALL"]).starts_with("-NOPERM"));
    eventually("the refusal", || fs::read_to_string(&path).unwrap().contains("flushall").then_some(()));
    first.signal(Signal::KILL);
    assert_eq!(first.exit_status().code(), None);
    // As if that had been amid a line.
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, &text[..text.len() - 30]).unwrap();
    assert_eq!(verify(&[&path], None).status.code(), Some(0));
    let mut second = start();
    stop(&mut second);
    let verified = verify(&[&path], None);
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
    assert!(String::from_utf8_lossy(&verified.stderr).contains("whose write was cut off"), "{verified:?}");
    let torn = fs::read_to_string(&path).unwrap().replace("\"flushall\"", "\"flushdb\"");
    fs::write(&path, torn).unwrap();
    assert_eq!(verify(&[&path], None).status.code(), Some(1));
}

#[test]
fn a_file_that_was_moved_is_gone_on_with_in_a_new_one() {
    let redis = RedisServer::start();
    let mut gate = setup(&redis).start();
    let (path, old) = (gate.path("audit"), gate.path("audit.1"));
    fs::rename(&path, &old).unwrap();
    gate.signal(Signal::USR1);
    eventually("the new file", || path.exists().then_some(()));
    stop(&mut gate);
    assert_eq!(verify(&[&old, &path], None).status.code(), Some(0));
    assert_eq!(verify(&[&path, &old], None).status.code(), Some(1));
}

#[test]
fn whoever_may_only_read_the_file_keeps_nothing_from_being_written() {
    let redis = RedisServer::start();
    let mut gate = setup(&redis).start();
    let (path, old) = (gate.path("audit"), gate.path("audit.1"));
    fs::rename(&path, &old).unwrap();
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let reader = File::open(&path).unwrap();
    flock(&reader, FlockOperation::NonBlockingLockShared).unwrap();
    gate.signal(Signal::USR1);
    // That the file is opened anew begins with it.
    gate.wait_for_log(&["\"audit\"", "\"head\""]);
    assert!(gate.connect("alice").text(&["FLUSHALL"]).starts_with("-NOPERM"));
    eventually("the refusal", || fs::read_to_string(&path).unwrap().contains("flushall").then_some(()));
    stop(&mut gate);
    assert_eq!(verify(&[&old, &path], None).status.code(), Some(0));
}

#[test]
fn on_a_full_disk_nothing_waits_and_what_is_lost_is_counted() {
    let redis = RedisServer::start();
    let mut gate = setup(&redis).setting("audit-commands = []").expect_log("\"audit\"").start().settled();
    let path = gate.path("audit");
    let mut bob = bob(&gate);
    // The log of operation is longer than that, and so a bound for it as well.
    limit_files(&gate, Some(fs::metadata(&path).unwrap().len() + 20));
    edit(&mut bob);
    let mut alice = gate.connect("alice");
    (0..100).for_each(|_| assert!(alice.text(&["FLUSHALL"]).starts_with("-NOPERM")));
    limit_files(&gate, None);
    let lost = lost(&path);
    assert_eq!(gate.metrics().sum("respgate_audit_lost_total"), lost as f64);
    stop(&mut gate);
    assert!(lost > 0);
    assert_eq!(count(&path, "acl.changed") + lost, EDITS);
    let refused = lines(&path).into_iter().filter(|line| line["command"] == "flushall");
    assert_eq!(refused.map(|line| line["count"].as_u64().unwrap()).sum::<u64>(), 100, "no refusal is ever lost");
    assert_eq!(verify(&[&path], None).status.code(), Some(0));
    // Of lines that were torn, no complaint.
    fs::write(gate.path("log"), "").unwrap();
}

#[test]
fn on_a_full_disk_requests_wait_where_that_is_asked_for_and_nothing_is_lost() {
    // More than there is room for, and less than sockets hold.
    const WAITING: u64 = 800;
    let redis = RedisServer::start();
    let setup = setup(&redis).setting("audit-on-full = \"block\"").expect_log("\"audit\"");
    let mut gate = setup.expect_log("stops Redis for everybody").start().settled();
    let path = gate.path("audit");
    let (mut bob, mut alice) = (bob(&gate), gate.connect("alice"));
    assert_eq!(alice.text(&["PING"]), "+PONG");
    limit_files(&gate, Some(fs::metadata(&path).unwrap().len() + 20));
    let name = "\u{1}".repeat(250);
    bob.send(&request(&["ACL", "DELUSER", &name]).repeat(WAITING as usize));
    let audit_full = || String::from_utf8_lossy(&gate.ask(&["health", "--ready"]).stdout) == "audit-full\n";
    eventually("no room", || audit_full().then_some(()));
    let forwarded = || gate.metrics().sum("respgate_requests_total{user=\"alice\",verdict=\"forwarded\"}");
    let at_rest = forwarded();
    alice.send(&request(&["PING"]));
    // These do not wait, and what does stays where it is.
    for _ in 0..3 {
        assert!(audit_full() && gate.health().status.success());
        assert_eq!((forwarded(), gate.metrics().sum("respgate_audit_lost_total")), (at_rest, 0.0));
    }
    limit_files(&gate, None);
    assert_eq!(alice.reply_text(), "+PONG");
    (0..WAITING).for_each(|_| assert_eq!(bob.reply_text(), ":0"));
    stop(&mut gate);
    assert_eq!(count(&path, "acl.changed"), WAITING);
    assert_eq!(verify(&[&path], None).status.code(), Some(0));
    fs::write(gate.path("log"), "").unwrap();
}

#[test]
fn a_second_process_waits_for_the_end_of_the_first_and_counts_what_it_cannot_keep() {
    let redis = RedisServer::start();
    let elsewhere = folder();
    let path = elsewhere.path().join("audit");
    let start = || {
        let setup = setup(&redis).setting(&format!("audit-file = {path:?}")).setting("audit-commands = []");
        setup.expect_log("\"audit\"").start().settled()
    };
    let mut first = start();
    let mut second = start();
    second.wait_for_log(&["\"audit\"", "\"waits\""]);
    edit(&mut bob(&second));
    assert!(first.connect("alice").text(&["FLUSHALL"]).starts_with("-NOPERM"));
    assert!(second.connect("alice").text(&["FLUSHDB"]).starts_with("-NOPERM"));
    stop(&mut first);
    let lost = lost(&path);
    stop(&mut second);
    assert_eq!(count(&path, "acl.changed") + lost, EDITS);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("flushall") && text.contains("flushdb") && text.contains("prev_run"));
    assert_eq!(verify(&[&path], None).status.code(), Some(0));
}

#[test]
fn what_cannot_be_written_before_the_end_is_counted_in_the_log() {
    let redis = RedisServer::start();
    let elsewhere = folder();
    let path = elsewhere.path().join("audit");
    let start = || setup(&redis).setting(&format!("audit-file = {path:?}")).expect_log("\"audit\"").start().settled();
    let _first = start();
    let mut second = start();
    second.wait_for_log(&["\"audit\"", "\"waits\""]);
    assert!(second.connect("alice").text(&["FLUSHALL"]).starts_with("-NOPERM"));
    stop(&mut second);
    let lost =
        lines(&second.path("log")).into_iter().find(|line| line["event"] == "audit" && line["outcome"] == "lost");
    // A start, a session that began and ended, a refusal in it, and a stop at least.
    assert!(lost.unwrap()["lines"].as_u64().unwrap() >= 5);
    assert!(!fs::read_to_string(&path).unwrap().contains("flushall"));
}

#[test]
fn standard_output_has_the_audit_log_where_that_is_asked_for() {
    let redis = RedisServer::start();
    let setup = setup(&redis).setting("audit-file = \"-\"");
    let mut command = respgate_binary();
    command.args(["run", "--listen", "127.0.0.1:0", "--log-format", "json", "--config"]).arg(setup.write_config());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["event"], "service.started");
    kill_process(Pid::from_child(&child), Signal::USR1).unwrap();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    output.read_to_string(&mut line).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let path = setup.path("captured");
    fs::write(&path, &line).unwrap();
    assert!(line.lines().last().unwrap().contains("service.stopped"), "{line}");
    assert_eq!(verify(&[&path], None).status.code(), Some(0));
}

#[test]
fn refusals_as_fast_as_they_go_make_a_bounded_file_with_right_sums() {
    refuse(20_000);
}

/// `cargo test --release --test it audit::a_million -- --ignored`
#[test]
#[ignore = "takes minutes"]
fn a_million_refusals_as_fast_as_they_go_make_a_bounded_file_with_right_sums() {
    refuse(1_000_000);
}

fn refuse(wanted: u64) {
    const PIPELINE: u64 = 500;
    let redis = RedisServer::start();
    let mut gate = setup(&redis).start();
    let path = gate.path("audit");
    let mut other = gate.connect("alice");
    let mut client = gate.connect("alice");
    let pipeline = ["FLUSHALL", "FLUSHDB", "SHUTDOWN", "DEBUG"].map(|command| request(&[command, "x"])).concat();
    for _ in 0..wanted / PIPELINE {
        client.send(&pipeline.repeat(PIPELINE as usize / 4));
        (0..PIPELINE).for_each(|_| assert!(client.reply_text().starts_with('-')));
        assert_eq!(other.text(&["PING"]), "+PONG", "nobody waits for that");
    }
    stop(&mut gate);
    let refused: Vec<Value> = lines(&path).into_iter().filter(|line| line["event"] == "request.refused").collect();
    let sum = |command: &str| {
        let of_it = refused.iter().filter(|line| line["command"] == command);
        of_it.map(|line| line["count"].as_u64().unwrap()).sum::<u64>()
    };
    let sums = ["flushall", "flushdb", "shutdown", "debug"].map(sum);
    assert_eq!(sums, [wanted / 4; 4]);
    // Two lines of each kind in a second.
    assert!(refused.len() as u64 <= wanted / 20, "{} lines", refused.len());
    assert_eq!(verify(&[&path], None).status.code(), Some(0));
}

#[test]
fn what_cannot_be_the_audit_log_is_an_error_at_check_and_start() {
    let redis = RedisServer::start();
    let setup = setup(&redis).file("audit", "notes\n");
    let (config, path) = (setup.write_config(), setup.path("audit"));
    let fails = |code: i32, words: &str| {
        for command in ["check", "run"] {
            let arguments = [command, "--listen", "127.0.0.1:0", "--config"];
            let output = respgate_binary().args(arguments).arg(&config).output().unwrap();
            assert_eq!(output.status.code(), Some(code), "{output:?}");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(
                said.contains(&format!("error: audit-file: {}: ", path.display())) && said.contains(words),
                "{said}"
            );
        }
    };
    fails(78, "holds something else than an audit log");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o602)).unwrap();
    fails(77, "can be changed by others (mode 0602): chmod go-w ");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(setup.path("audit.lock"), "").unwrap();
    fs::set_permissions(setup.path("audit.lock"), fs::Permissions::from_mode(0o644)).unwrap();
    fails(77, "audit.lock: it can be locked by others (mode 0644): chmod 600 ");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    fails(78, "it is a directory");
}

#[test]
fn a_new_file_that_others_may_change_is_written_to_and_told_of() {
    let redis = RedisServer::start();
    let gate = setup(&redis).expect_log("can be changed by others").start();
    let (path, old) = (gate.path("audit"), gate.path("audit.1"));
    fs::rename(&path, &old).unwrap();
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o602)).unwrap();
    gate.signal(Signal::USR1);
    gate.wait_for_log(&["\"audit\"", "\"access\"", "can be changed by others (mode 0602)"]);
    assert!(gate.connect("alice").text(&["FLUSHALL"]).starts_with("-NOPERM"));
    eventually("the refusal", || fs::read_to_string(&path).unwrap().contains("flushall").then_some(()));
    assert_eq!(verify(&[&old, &path], None).status.code(), Some(0));
}

const EDITS: u64 = 2000;

/// Lines that are longer than what can wait.
fn edit(bob: &mut RespClient) {
    let name = "\u{1}".repeat(250);
    (0..EDITS).for_each(|_| assert_eq!(bob.text(&["ACL", "DELUSER", &name]), ":0"));
}

fn bob(gate: &Respgate) -> RespClient {
    let mut bob = gate.connect_as(None);
    assert_eq!(bob.text(&["AUTH", "bob", "rightpassword"]), "+OK");
    bob
}

/// As if the disk were full there.
fn limit_files(gate: &Respgate, limit: Option<u64>) {
    let pid = Pid::from_raw(gate.pid().try_into().unwrap());
    prlimit(pid, Resource::Fsize, Rlimit { current: limit, maximum: None }).unwrap();
}

/// How many lines are told to be lost, once they are.
fn lost(path: &Path) -> u64 {
    eventually("what was lost to be told", || {
        let line = lines(path).into_iter().find(|line| line["event"] == "audit.lost")?;
        line["count"].as_u64()
    })
}

/// How many lines of this event there are.
fn count(path: &Path, event: &str) -> u64 {
    lines(path).iter().filter(|line| line["event"] == event).count() as u64
}

fn setup(redis: &RedisServer) -> Setup {
    let setup = Respgate::setup(&upstream_of(redis)).acl(ACL);
    let file = format!("audit-file = {:?}", setup.path("audit"));
    let setup = setup.setting(&file).setting("tls-auth-clients = \"optional\"");
    setup.table("[block]\nexempt-users = [\"bob\"]")
}

fn stop(gate: &mut Respgate) {
    gate.signal(Signal::TERM);
    assert_eq!(gate.exit_status().code(), Some(0));
}

fn lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn verify(files: &[&Path], head: Option<&str>) -> Output {
    let head = head.map(|head| format!("--head={head}"));
    respgate_binary().args(["audit", "verify"]).args(files).args(head).output().unwrap()
}

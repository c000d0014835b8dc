//! The log where nobody reads it, or nothing more can be written: everything else goes on.

use std::fs;
use std::io::{BufRead, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rcgen::{SerialNumber, date_time_ymd};
use respgate::identity::{Fingerprint, PeerIdentity};
use rustix::fs::{CWD, Mode, OFlags, fcntl_getfl, fcntl_setfl, mkfifoat};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use serde_json::Value;

use crate::support::{RedisServer, Respgate, Setup, eventually, request, respgate_binary, upstream_of};

const ACL: &str = "user alice on +@all ~* &*\n";

/// Lines that the log gets of one reload with [`bad_acl`].
const BAD_LINES: usize = 5000;

#[test]
fn a_log_whose_reader_is_gone_hurts_nobody() {
    let (_redis, setup) = setup();
    let (mut gate, log, _) = setup.start_with_pipe();
    let mut before = gate.connect("alice");
    assert_eq!(before.text(&["PING"]), "+PONG");
    drop(log);
    assert_goes_on(&gate);
    assert_eq!(before.text(&["PING"]), "+PONG");
    gate.signal(Signal::TERM);
    assert_eq!(gate.exit_status().code(), Some(0));
}

#[test]
fn a_log_whose_reader_is_stuck_hurts_nobody_and_what_is_lost_is_counted_once_it_reads_again() {
    let (_redis, setup) = setup();
    let (mut gate, log, writer) = setup.start_with_pipe();
    fill(writer);
    assert_goes_on(&gate);
    let (_, failed) = gate.in_force();
    gate.write_acl(&bad_acl());
    for reload in 1..=4 {
        gate.signal(Signal::HUP);
        eventually("the reload to fail", || (gate.in_force().1 >= failed + reload).then_some(()));
    }
    assert_goes_on(&gate);
    assert!(gate.metrics().sum("respgate_log_lost_total") > 0.0);
    let lines: Arc<Mutex<Vec<Value>>> = Arc::default();
    let read = Arc::clone(&lines);
    std::thread::spawn(move || {
        for line in log.lines() {
            read.lock().unwrap().push(serde_json::from_str(line.unwrap().trim_start_matches('x')).unwrap());
        }
    });
    let lost = eventually("what was lost to be told", || {
        let lines = lines.lock().unwrap();
        lines.iter().find(|line| line["event"] == "log")?["lines"].as_u64()
    });
    let told = lines.lock().unwrap().iter().filter(|line| line["outcome"] == "failed").count() as u64;
    assert!(lost > 0 && told + lost >= 4 * BAD_LINES as u64, "{lost} lost, {told} told");
    gate.signal(Signal::TERM);
    assert_eq!(gate.exit_status().code(), Some(0));
}

#[test]
fn a_log_whose_reader_is_stuck_does_not_hold_up_the_end() {
    let (_redis, setup) = setup();
    let (mut gate, _log, writer) = setup.start_with_pipe();
    fill(writer);
    gate.signal(Signal::TERM);
    assert_eq!(gate.exit_status().code(), Some(0));
}

#[test]
fn a_log_whose_reader_is_stuck_goes_on_in_another_place_once_it_is_told_so() {
    let (_redis, setup) = setup();
    let (gate, _log, writer) = setup.setting("log-level = \"info\"").start_with_pipe();
    fill(writer);
    // What is said of it waits for the reader who is stuck.
    assert_goes_on(&gate);
    let log = gate.path("another.log");
    gate.edit_config("log-level", &format!("log-file = {log:?}\nlog-level"));
    gate.signal(Signal::HUP);
    let goes_on = || fs::read_to_string(&log).is_ok_and(|text| text.contains("reload"));
    eventually("the log to go on", || goes_on().then_some(()));
}

#[test]
fn a_log_on_a_full_disk_hurts_nobody_goes_on_when_there_is_room_again_and_says_at_the_end_what_it_lost() {
    let (_redis, setup) = setup();
    let (full, log) = (setup.path("full"), setup.path("log"));
    let setup = setup.setting(&format!("log-file = {full:?}"));
    symlink(&log, &full).unwrap();
    let mut gate = setup.start();
    let follow = |gate: &Respgate, target: &str| {
        fs::remove_file(&full).unwrap();
        symlink(target, &full).unwrap();
        gate.signal(Signal::USR1);
    };
    follow(&gate, "/dev/full");
    eventually("the log to be opened again", || is_open(&gate, "/dev/full").then_some(()));
    let before = gate.log_text();
    assert_goes_on(&gate);
    assert_eq!(gate.log_text(), before);
    let (generation, _) = gate.in_force();
    follow(&gate, log.to_str().unwrap());
    gate.wait_for_log(&["reload", "done", &format!("\"generation\":{generation}")]);
    follow(&gate, "/dev/full");
    eventually("the log to be opened again", || is_open(&gate, "/dev/full").then_some(()));
    gate.signal(Signal::TERM);
    assert_eq!(gate.exit_status().code(), Some(0));
    assert!(gate.log_text().contains("lines of the log were lost: "));
    // It stands where a line began, as both are written to one file here.
    fs::write(&log, "").unwrap();
}

#[test]
fn a_log_file_that_cannot_be_written_is_an_error_at_check_and_start() {
    let (_redis, setup) = setup();
    let log = setup.path("nowhere/log");
    let setup = setup.setting(&format!("log-file = {log:?}"));
    let config = setup.write_config();
    let fails = |code: i32| {
        for command in ["check", "run"] {
            let arguments = [command, "--listen", "127.0.0.1:0", "--config"];
            let output = respgate_binary().args(arguments).arg(&config).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(code), "{command}: {said}");
            assert!(said.contains(&format!("error: log-file: {}: ", log.display())), "{command}: {said}");
        }
    };
    fails(78);
    fs::create_dir_all(&log).unwrap();
    fails(78);
}

#[test]
fn a_log_file_that_is_a_pipe_nobody_reads_is_an_error_and_holds_up_nothing() {
    let (_redis, setup) = setup();
    let gate = setup.setting("log-level = \"info\"").expect_log("log-file").expect_log("kept the old one").start();
    let pipe = gate.path("pipe");
    mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
    gate.edit_config("log-level", &format!("log-file = {pipe:?}\nlog-level"));
    gate.signal(Signal::HUP);
    gate.wait_for_log(&["ERROR", "log-file", "nobody reads"]);
    assert_eq!(gate.connect("alice").text(&["PING"]), "+PONG");
}

#[test]
fn a_line_that_was_torn_is_ended_before_the_next() {
    let (_redis, setup) = setup();
    let mut gate = setup.start().settled();
    let set_limit = |limit: Option<u64>| {
        let pid = Pid::from_raw(gate.pid().try_into().unwrap());
        prlimit(pid, Resource::Fsize, Rlimit { current: limit, maximum: None }).unwrap();
    };
    let whole = gate.log_text().len();
    set_limit(Some(whole as u64 + 20));
    assert_goes_on(&gate);
    eventually("the limit", || (gate.log_text().len() == whole + 20).then_some(()));
    set_limit(None);
    gate.wait_for_log(&["refusal", "flushall"]);
    gate.signal(Signal::TERM);
    assert_eq!(gate.exit_status().code(), Some(0));
    let log = gate.log_text();
    let torn: Vec<&str> = log.lines().filter(|line| serde_json::from_str::<Value>(line).is_err()).collect();
    assert!(matches!(torn.as_slice(), [torn] if torn.len() == 20), "{torn:?}");
    // No complaint.
    fs::write(gate.path("log"), "").unwrap();
}

#[test]
fn of_many_events_the_first_of_each_kind_is_a_line_and_the_others_are_summed() {
    let (_redis, setup) = setup();
    let mut gate = setup.start();
    let mut client = gate.connect("alice");
    let mut pipeline = request(&["FLUSHALL"]).repeat(500);
    pipeline.extend(request(&["SHUTDOWN"]));
    pipeline.extend(request(&["FLUSHALL"]).repeat(500));
    pipeline.extend(request(&["CONFIG", "GET", "*"]));
    client.send(&pipeline);
    (0..1002).for_each(|_| assert!(client.reply_text().starts_with("-NOPERM")));
    drop(client);
    for _ in 0..100 {
        drop(TcpStream::connect(gate.address()).unwrap().write_all(b"GET / HTTP/1.1\r\n\r\n"));
    }
    for (words, expected) in [
        (&["\"refusal\"", "\"flushall\""][..], 1000),
        (&["\"refusal\"", "\"shutdown\""][..], 1),
        (&["\"refusal\"", "\"config|get\""][..], 1),
        (&["\"handshake\"", "\"plaintext\""][..], 100),
        (&["\"connection\"", "\"accepted\""][..], 1),
        (&["\"close\"", "\"client-gone\""][..], 1),
    ] {
        eventually(&format!("{expected} of {words:?}"), || (gate.counted(words) == expected).then_some(()));
    }
    let sum = gate.wait_for_log(&["\"handshake\"", "more of the same"]);
    assert!(sum.contains("\"network\":\"127.0.0.0/24\"") && !sum.contains("\"client\""), "{sum}");
    assert!(gate.log_text().matches("\"plaintext\"").count() < 30, "{}", gate.log_text());
    drop(gate.connect("alice"));
    gate.signal(Signal::TERM);
    assert_eq!(gate.exit_status().code(), Some(0));
    assert!(gate.log_text().lines().last().unwrap().contains("stopped"));
}

#[test]
fn whose_certificate_is_refused_is_told_by_what_it_says_and_its_digest() {
    let (_redis, setup) = setup();
    let gate = setup.crl().start();
    gate.pki().write_crl(&[66]);
    gate.wait_for_log(&["reload", "done", "files changed"]);
    for (identity, reason) in [
        (gate.pki().expired_client("alice"), "expired"),
        (gate.pki().client_of_another_ca("alice"), "bad-signature"),
        (gate.pki().self_signed_client("alice"), "unknown-issuer"),
        (gate.pki().numbered_client("alice", 66), "revoked"),
    ] {
        let refused = gate.connect_as(Some(&identity)).try_send(&request(&["PING"])).is_err();
        let reason = format!("\"reason\":\"{reason}\"");
        let line = gate.wait_for_log(&["INFO", "\"handshake\"", "failed", &reason]);
        let line: Value = serde_json::from_str(&line).unwrap();
        let pem = fs::read(&identity.cert).unwrap();
        let der = rustls_pemfile::certs(&mut pem.as_slice()).next().unwrap().unwrap();
        assert_eq!(line["fingerprint"], Fingerprint::of(&der).to_string(), "{refused} {line}");
        assert_eq!(line["subject"], "CN=alice");
        assert_eq!(line["serial"], PeerIdentity::from_der(&der, None).unwrap().serial());
    }
}

#[test]
fn of_a_serial_number_longer_than_any_the_log_has_the_beginning() {
    let (_redis, setup) = setup();
    let gate = setup.start();
    let identity = gate.pki().odd_client("long-serial", "alice", |params| {
        params.serial_number = Some(SerialNumber::from_slice(&[0x7f; 20_000]));
        params.not_after = date_time_ymd(2020, 1, 1);
        params.not_before = date_time_ymd(2019, 1, 1);
    });
    let refused = gate.connect_as(Some(&identity)).try_send(&request(&["PING"])).is_err();
    let line = gate.wait_for_log(&["\"handshake\"", "failed", "7f7f"]);
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["serial"], "7f".repeat(20) + "…", "{refused}");
}

#[test]
fn a_probe_that_says_nothing_is_no_line_but_where_the_log_is_for_debugging() {
    let redis = RedisServer::start();
    let levels = [("info", 0), ("debug", 2)];
    let settings = ["", "proxy-protocol-from = \"127.0.0.0/8\"", "tls = \"no\""];
    for ((level, told), setting) in levels.into_iter().flat_map(|level| settings.map(|setting| (level, setting))) {
        let setup = Respgate::setup(&upstream_of(&redis)).acl_file(ACL).setting(&format!("log-level = {level:?}"));
        let setup = match setting {
            "" => setup,
            "tls = \"no\"" => {
                let settings = ["tls-cert-file", "tls-key-file", "tls-ca-cert-file"];
                settings.into_iter().fold(setup.setting(setting), Setup::default_of)
            }
            _ => setup.setting(setting),
        };
        let mut gate = setup.start();
        drop(TcpStream::connect(gate.address()).unwrap());
        drop(TcpStream::connect(gate.address()).unwrap());
        // What comes behind them.
        TcpStream::connect(gate.address()).unwrap().write_all(b"?????????????\r\n").unwrap();
        gate.wait_for_log(&["INFO", "\"client\":\"127.0.0.1:"]);
        gate.signal(Signal::TERM);
        assert_eq!(gate.exit_status().code(), Some(0));
        assert_eq!(gate.counted(&["DEBUG", "\"silent\""]), told, "{setting}");
        let others = ["\"handshake\"", "\"connection\"", "\"close\""].map(|event| gate.counted(&["INFO", event]));
        assert_eq!(others, if setting.starts_with("tls") { [0, 1, 1] } else { [1, 0, 0] }, "{setting}");
    }
}

/// Newcomers, refusals, reloads and `health`, all of which have something to log.
fn assert_goes_on(gate: &Respgate) {
    let mut client = gate.connect("alice");
    assert!(client.text(&["FLUSHALL"]).starts_with("-NOPERM"));
    assert_eq!(client.text(&["PING"]), "+PONG");
    let (before, _) = gate.in_force();
    gate.write_acl(&format!("{ACL}user generation-{before} on\n"));
    gate.signal(Signal::HUP);
    eventually("the next generation", || (gate.in_force().0 > before).then_some(()));
    // It is told of Redis a moment later than it listens.
    eventually("health to be good", || gate.is_ready().then_some(()));
}

fn is_open(gate: &Respgate, path: &str) -> bool {
    let mut descriptors = fs::read_dir(format!("/proc/{}/fd", gate.pid())).unwrap();
    descriptors.any(|entry| fs::read_link(entry.unwrap().path()).is_ok_and(|target| target == Path::new(path)))
}

fn bad_acl() -> String {
    (0..BAD_LINES).map(|number| format!("user alice on +nosuchcommand{number:0100}\n")).collect()
}

/// Fills a pipe so that not one byte more goes in.
fn fill(mut pipe: std::io::PipeWriter) {
    let flags = fcntl_getfl(&pipe).unwrap();
    fcntl_setfl(&pipe, flags | OFlags::NONBLOCK).unwrap();
    for size in [4096, 1] {
        while pipe.write(&vec![b'x'; size]).is_ok() {}
    }
    fcntl_setfl(&pipe, flags).unwrap();
}

fn setup() -> (RedisServer, Setup) {
    let redis = RedisServer::start();
    let setup = Respgate::setup(&upstream_of(&redis)).acl(ACL);
    (redis, setup)
}

//! Large values and many replies: what of them stays in the proxy, and what in Redis.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::{RedisServer, RespClient, Respgate, eventually, request, upstream_of};

const ACL: &str = "user alice on +@all ~* &*\n";
const MIB: u64 = 1 << 20;

/// Of the tests with many clients at once.
const CLIENTS: u64 = 50;

#[test]
fn of_150_000_unread_replies_of_256_kib_redis_holds_a_few() {
    let (redis, gate) = start();
    let mut direct = redis.direct();
    assert_eq!(direct.text(&["SETRANGE", "big", &(256 * 1024 - 1).to_string(), "x"]), ":262144");
    let before = memory(&mut direct, "used_memory");
    let mut client = gate.connect("alice");
    client.send(&request(&["GET", "big"]).repeat(150_000));
    eventually("Redis to be asked", || (redis.calls("get") >= 64).then_some(()));
    assert_eq!(client.reply().len(), 262_144 + 11);
    assert_eq!(gate.connect("alice").text(&["PING"]), "+PONG");
    let grown = memory(&mut direct, "used_memory_peak").saturating_sub(before);
    assert!(grown <= 64 * 256 * 1024 + 16 * MIB, "Redis grew by {} MiB", grown / MIB);
    assert!(redis.calls("get") < 100, "{} requests went to Redis", redis.calls("get"));
}

#[test]
fn a_client_that_goes_on_asking_and_never_reads_is_cut() {
    let (redis, gate) = start();
    assert_eq!(redis.direct().text(&["SETRANGE", "big", "1000000", "x"]), ":1000001");
    let mut client = gate.connect("alice");
    let asking = request(&["GET", "big"]).repeat(10_000);
    while client.try_send(&asking).is_ok() {}
    gate.wait_for_log(&["unread-replies"]);
}

#[test]
fn a_value_of_64_mib_passes_both_ways_in_little_memory() {
    pass_both_ways(64 * MIB);
}

#[test]
#[ignore = "takes 3 GiB of memory, most of it Redis's, and half a minute"]
fn a_value_of_512_mib_passes_both_ways_in_little_memory() {
    pass_both_ways(512 * MIB);
}

#[test]
fn a_request_that_had_to_be_held_is_not_copied_when_redis_is_slow_to_take_it() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis)).acl(ACL).expect_log("upstream").start();
    let mut client = gate.connect("alice");
    assert_eq!(client.text(&["PING"]), "+PONG");
    let idle = peak_memory(gate.pid());
    let size = 48 * MIB;
    redis.pause();
    client.send(format!("*5\r\n$4\r\nMSET\r\n$1\r\na\r\n${size}\r\n").as_bytes());
    let piece = vec![b'v'; MIB as usize];
    (0..size / MIB).for_each(|_| client.send(&piece));
    client.send(b"\r\n$1\r\nb\r\n$1\r\n1\r\n");
    eventually("all of it to arrive", || (peak_memory(gate.pid()) - idle >= size).then_some(()));
    redis.resume();
    assert_eq!(client.reply_text(), "+OK");
    let grown = peak_memory(gate.pid()) - idle;
    assert!(grown < size + 16 * MIB, "the proxy grew by {} KiB", grown / 1024);
}

fn pass_both_ways(size: u64) {
    let (_redis, gate) = start();
    let mut client = gate.connect("alice");
    assert_eq!(client.text(&["PING"]), "+PONG");
    let idle = peak_memory(gate.pid());
    client.send(format!("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n${size}\r\n").as_bytes());
    let piece = vec![b'v'; MIB as usize];
    (0..size / MIB).for_each(|_| client.send(&piece));
    client.send(b"\r\n");
    assert_eq!(client.reply_text(), "+OK");
    client.send(&request(&["GET", "big"]));
    let header = format!("${size}\r\n");
    assert_eq!(client.read_exactly(header.len()), header.as_bytes());
    (0..size / MIB).for_each(|at| assert!(client.read_exactly(piece.len()) == piece, "MiB {at}"));
    assert_eq!(client.read_exactly(2), b"\r\n");
    let grown = peak_memory(gate.pid()) - idle;
    assert!(grown < 32 * MIB, "the proxy grew by {} KiB", grown / 1024);
}

#[test]
fn fifty_clients_that_take_a_large_value_slowly_cost_little() {
    let (redis, gate) = start();
    let size = 16 * MIB;
    assert_eq!(redis.direct().text(&["SETRANGE", "big", &(size - 1).to_string(), "x"]), format!(":{size}"));
    let takers = take_slowly(&gate, size, MIB);
    // What has not been taken is still in Redis.
    let clients = redis.direct().text(&["CLIENT", "LIST"]);
    let stalled = clients.lines().filter(|line| line.contains(" cmd=get ") && !line.contains(" omem=0 ")).count();
    assert_eq!(stalled as u64, CLIENTS, "{clients}");
    drop(takers);
}

#[test]
#[ignore = "moves 3 GiB"]
fn fifty_clients_that_take_512_mib_slowly_cost_little() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("redis.sock");
    let size = 512 * MIB;
    serve_large_values(UnixListener::bind(&socket).unwrap(), size);
    let gate = Respgate::setup(&format!("unix:{}", socket.display())).acl(ACL).start().settled();
    drop(take_slowly(&gate, size, 64 * MIB));
}

/// So many clients ask for a value and take a part of it, in turn.
fn take_slowly(gate: &Respgate, size: u64, part: u64) -> Vec<RespClient> {
    const SIP: u64 = 64 << 10;
    let mut clients = gate.greeted("alice", CLIENTS);
    let idle = peak_memory(gate.pid());
    clients.iter_mut().for_each(|client| client.send(&request(&["GET", "big"])));
    let header = format!("${size}\r\n");
    clients.iter_mut().for_each(|client| assert_eq!(client.read_exactly(header.len()), header.as_bytes()));
    for _ in 0..part / SIP {
        clients.iter_mut().for_each(|client| drop(client.read_exactly(SIP as usize)));
    }
    expect_little_growth(gate, idle);
    clients
}

#[test]
fn fifty_clients_whose_large_values_redis_does_not_take_cost_little() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis)).acl(ACL).expect_log("upstream").start();
    let clients = gate.greeted("alice", CLIENTS);
    let idle = peak_memory(gate.pid());
    let size = 16 * MIB;
    let sent = AtomicU64::new(0);
    redis.pause();
    thread::scope(|scope| {
        for (number, mut client) in clients.into_iter().enumerate() {
            let sent = &sent;
            scope.spawn(move || {
                client.send(format!("*3\r\n$3\r\nSET\r\n$2\r\n{number:02}\r\n${size}\r\n").as_bytes());
                for _ in 0..size / MIB {
                    client.send(&vec![b'v'; MIB as usize]);
                    sent.fetch_add(1, Ordering::Relaxed);
                }
                client.send(b"\r\n");
                assert_eq!(client.reply_text(), "+OK");
            });
        }
        let mut before = 0;
        eventually("all to be stalled", || {
            thread::sleep(Duration::from_millis(500));
            let now = sent.load(Ordering::Relaxed);
            (std::mem::replace(&mut before, now) == now && now > 0).then_some(())
        });
        expect_little_growth(&gate, idle);
        assert!(sent.load(Ordering::Relaxed) < CLIENTS * size / MIB / 2, "they are not stalled");
        redis.resume();
    });
}

#[test]
fn an_idle_connection_costs_less_than_20_kib() {
    const CONNECTIONS: u64 = 600;
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis)).acl(ACL).arg("--maxclients=1000").start();
    let _first = gate.greeted("alice", 50);
    let before = process_status(gate.pid(), "RssAnon:");
    let _idle = gate.greeted("alice", CONNECTIONS);
    let each = (process_status(gate.pid(), "RssAnon:") - before) / CONNECTIONS;
    assert!(each < 20 * 1024, "{each} bytes each");
}

#[test]
fn sessions_that_are_all_closed_at_once_cost_less_than_10_kib_more_each() {
    const CONNECTIONS: u64 = 600;
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis)).acl(ACL).arg("--maxclients=1000").start();
    let mut clients = gate.greeted("alice", CONNECTIONS);
    let before = peak_memory(gate.pid());
    clients.iter_mut().for_each(|client| client.send(&request(&["QUIT"])));
    clients.iter_mut().for_each(|client| assert_eq!(client.reply_text(), "+OK"));
    let each = (peak_memory(gate.pid()) - before) / CONNECTIONS;
    assert!(each < 10 * 1024, "{each} bytes each");
}

#[test]
fn what_all_sessions_hold_together_stays_within_the_budget() {
    const BUDGET: u64 = 32 * MIB;
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl(ACL)
        .setting("memory-budget = \"32mb\"")
        .setting("request-buffer = \"8mb\"")
        .setting("hold-buffer = \"8mb\"")
        .setting("threads = 2")
        // What was freed is given back, so that it does not count.
        .env("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=131072")
        .start();
    let words: Vec<String> = (0..60_000).map(|number| format!("word-{number}")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let kinds = [
        [&b"*5\r\n$4\r\nMSET\r\n$1\r\na\r\n$4000000\r\n"[..], &[b'v'; 3_000_000]].concat(),
        [&b"*1000000\r\n$3\r\nDEL\r\n"[..], &b"$1\r\nk\r\n".repeat(200_000)].concat(),
        request(&[&["BLPOP"], &words[..], &["0"]].concat()),
        request(&[&["SUBSCRIBE"], &words[..]].concat()),
    ];
    assert_eq!(gate.connect("alice").text(&["PING"]), "+PONG");
    let idle = peak_memory(gate.pid());
    let clients: Vec<_> = (0..80)
        .map(|number| {
            let mut client = gate.connect("alice");
            // Some are closed before they have sent it all.
            let _ = client.try_send(&kinds[number % kinds.len()]);
            client
        })
        .collect();
    gate.wait_for_log(&["memory-budget"]);
    drop(clients);
    let grown = peak_memory(gate.pid()) - idle;
    assert!(grown > BUDGET / 2, "so much was held: {} KiB", grown / 1024);
    // One request of each worker is looked at before it is counted, and a connection costs something of its own.
    let beside = 2 * 8 * MIB + 80 * 64 * 1024;
    assert!(grown < BUDGET + beside, "the proxy grew by {} KiB", grown / 1024);
}

fn expect_little_growth(gate: &Respgate, idle: u64) {
    let grown = peak_memory(gate.pid()) - idle;
    assert!(grown < CLIENTS * 256 * 1024 + 32 * MIB, "the proxy grew by {} KiB", grown / 1024);
}

/// In place of a Redis, which would need 50 times 512 MiB: every GET is answered with that many bytes.
fn serve_large_values(listener: UnixListener, size: u64) {
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            // The proxy closes when the test ends.
            thread::spawn(move || answer_requests(&mut connection, size).unwrap_or(()));
        }
    });
}

fn answer_requests(connection: &mut UnixStream, size: u64) -> io::Result<()> {
    let mut asked = [0; 1024];
    loop {
        let count = connection.read(&mut asked)?;
        let asked = String::from_utf8_lossy(&asked[..count]).into_owned();
        match asked.split("\r\n").nth(2) {
            None => return Ok(()),
            Some("GET") => {
                write!(connection, "${size}\r\n")?;
                let piece = vec![b'v'; MIB as usize];
                (0..size / MIB).try_for_each(|_| connection.write_all(&piece))?;
                connection.write_all(b"\r\n")?;
            }
            Some("INFO") => connection.write_all(b"$22\r\nredis_version:7.0.15\r\n\r\n")?,
            Some("COMMAND") if asked.contains("COUNT") => connection.write_all(b":0\r\n")?,
            Some("COMMAND") => connection.write_all(b"*0\r\n")?,
            Some(_) => connection.write_all(b"+PONG\r\n")?,
        }
    }
}

/// A number of INFO memory.
fn memory(direct: &mut RespClient, name: &str) -> u64 {
    let info = direct.text(&["INFO", "memory"]);
    let line = info.lines().find_map(|line| line.strip_prefix(&format!("{name}:"))).unwrap();
    line.trim().parse().unwrap()
}

/// The most memory that a process ever had, in bytes.
fn peak_memory(pid: u32) -> u64 {
    process_status(pid, "VmHWM:")
}

/// A line of its `/proc/PID/status`, in bytes.
fn process_status(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn start() -> (RedisServer, Respgate) {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis)).acl(ACL).start();
    (redis, gate)
}

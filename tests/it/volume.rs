//! Large values and many replies: what of them stays in the proxy, and what in Redis.

use std::fs;

use crate::support::{RedisServer, RespClient, Respgate, eventually, request, upstream_of};

const ACL: &str = "user alice on +@all ~* &*\n";
const MIB: u64 = 1 << 20;

#[test]
fn of_150_000_unread_replies_of_256_kib_redis_holds_256_at_most() {
    let (redis, gate) = start();
    let mut direct = redis.direct();
    assert_eq!(direct.text(&["SETRANGE", "big", &(256 * 1024 - 1).to_string(), "x"]), ":262144");
    let before = memory(&mut direct, "used_memory");
    let mut client = gate.connect("alice");
    client.send(&request(&["GET", "big"]).repeat(150_000));
    eventually("Redis to be asked", || (redis.calls("get") >= 256).then_some(()));
    assert_eq!(client.reply().len(), 262_144 + 11);
    assert_eq!(gate.connect("alice").text(&["PING"]), "+PONG");
    let grown = memory(&mut direct, "used_memory_peak").saturating_sub(before);
    assert!(grown <= 256 * 256 * 1024 + 16 * MIB, "Redis grew by {} MiB", grown / MIB);
    assert!(redis.calls("get") < 600, "{} requests went to Redis", redis.calls("get"));
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

/// A number of INFO memory.
fn memory(direct: &mut RespClient, name: &str) -> u64 {
    let info = direct.text(&["INFO", "memory"]);
    let line = info.lines().find_map(|line| line.strip_prefix(&format!("{name}:"))).unwrap();
    line.trim().parse().unwrap()
}

/// The most memory that a process ever had, in bytes (VmHWM).
fn peak_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn start() -> (RedisServer, Respgate) {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis)).acl(ACL).start();
    (redis, gate)
}

//! Who has no user yet takes little, and nothing of others: neither places nor time.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use rustix::process::Signal;
use socket2::{Domain, Socket, Type};

use crate::support::{
    PATIENCE, RedisServer, RespClient, Respgate, Setup, client_config, eventually, request, upstream_of,
};

const ACL: &str = "user alice on +@all ~* &*\n";
const BALANCER: &str = "proxy-protocol-from = \"127.0.0.1\"";
/// A record of TLS that begins a ClientHello of 512 bytes.
const HALF_A_HELLO: &[u8] = &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];

#[test]
fn who_has_not_said_what_he_wants_holds_no_place_of_a_handshake() {
    let (_redis, gate) = start(|setup| setup.setting("max-handshakes = 1").setting("handshake-timeout = \"1h\""));
    let _strangers: Vec<_> = [&b""[..], HALF_A_HELLO].repeat(2).iter().map(|said| stranger(&gate, said)).collect();
    assert_eq!(gate.connect("alice").text(&["PING"]), "+PONG");
}

#[test]
fn who_does_not_go_on_with_his_handshake_holds_up_nobody_from_elsewhere() {
    let (_redis, gate) =
        start(|setup| setup.setting(BALANCER).setting("max-handshakes = 2").setting("handshake-timeout = \"1h\""));
    let config = client_config(&gate.pki().ca_cert(), Some(&gate.pki().client("alice")));
    let _strangers: Vec<_> = (0..3)
        .map(|_| {
            let mut stranger = stranger(&gate, &announcement("192.0.2.7"));
            let server = "localhost".try_into().unwrap();
            let mut tls = rustls::ClientConnection::new(config.clone(), server).unwrap();
            tls.write_tls(&mut stranger).unwrap();
            stranger
        })
        .collect();
    for _ in 0..3 {
        assert_eq!(behind(&gate, "192.0.2.8").text(&["PING"]), "+PONG");
    }
}

#[test]
fn strangers_of_one_address_keep_out_no_user_from_elsewhere_and_none_of_their_own_for_ever() {
    let (_redis, gate) = start(|setup| {
        setup.setting(BALANCER).setting("maxclients = 40").setting("handshake-timeout = \"1h\"").expect_log("refused")
    });
    let mut strangers: Vec<_> = (0..60).map(|_| stranger(&gate, &announcement("192.0.2.7"))).collect();
    let users: Vec<_> = (0..20)
        .map(|_| {
            let mut user = behind(&gate, "192.0.2.8");
            assert_eq!(user.text(&["PING"]), "+PONG");
            user
        })
        .collect();
    gate.wait_for_log(&["\"connection\"", "\"refused\"", "192.0.2.7:", "\"unauthenticated\""]);
    drop(users);
    // With half of them gone it is the turn of those who wait.
    strangers.truncate(1);
    assert_eq!(behind(&gate, "192.0.2.7").text(&["PING"]), "+PONG");
}

#[test]
fn strangers_that_stay_silent_hold_up_nobody_of_whom_nothing_is_known() {
    let (_redis, gate) = start(|setup| {
        setup.setting(BALANCER).setting("maxclients = 40").setting("handshake-timeout = \"1h\"").expect_log("refused")
    });
    let silent = |number| stranger(&gate, &announcement(&format!("198.51.100.{number}")));
    let _strangers: Vec<_> = (0..30).map(silent).collect();
    assert_eq!(behind(&gate, "192.0.2.8").text(&["PING"]), "+PONG");
    gate.wait_for_log(&["\"handshake\"", "198.51.100.", "\"timeout\""]);
}

#[test]
fn connections_of_a_balancer_that_announce_nothing_hold_up_nobody_behind_it() {
    let (_redis, gate) = start(|setup| {
        setup.setting(BALANCER).setting("maxclients = 40").setting("handshake-timeout = \"1h\"").expect_log("refused")
    });
    let silent = |said: &'static [u8]| (0..15).map(|_| stranger(&gate, said)).collect::<Vec<_>>();
    let _strangers = [silent(b""), silent(b"PROXY TCP4 10.")];
    assert_eq!(behind(&gate, "192.0.2.8").text(&["PING"]), "+PONG");
}

#[test]
fn what_a_balancer_has_not_announced_counts_for_nobody() {
    let (_redis, gate) = start(|setup| setup.setting(BALANCER).setting("max-connections-per-address = 1"));
    let _unannounced: Vec<_> = (0..3).map(|_| stranger(&gate, b"")).collect();
    let mut first = behind(&gate, "192.0.2.7");
    assert_eq!(first.text(&["PING"]), "+PONG");
    assert_eq!(behind(&gate, "192.0.2.8").text(&["PING"]), "+PONG");
    let (text, _end) = behind(&gate, "192.0.2.7").read_to_end();
    assert_eq!(String::from_utf8_lossy(&text), "-ERR max number of clients reached\r\n");
}

#[test]
fn networks_of_ipv6_count_as_one_address() {
    let (_redis, gate) = start(|setup| setup.setting(BALANCER).setting("max-connections-per-address = 1"));
    let mut first = behind(&gate, "2001:db8::1");
    assert_eq!(first.text(&["PING"]), "+PONG");
    let (text, _end) = behind(&gate, "2001:db8::2").read_to_end();
    assert_eq!(String::from_utf8_lossy(&text), "-ERR max number of clients reached\r\n");
    assert_eq!(behind(&gate, "2001:db8:0:1::1").text(&["PING"]), "+PONG");
}

#[test]
fn who_has_not_begun_his_handshake_holds_up_no_end() {
    let (_redis, mut gate) = start(|setup| {
        setup.setting(BALANCER).setting("handshake-timeout = \"1h\"").setting("shutdown-timeout = \"1h\"")
    });
    let mut strangers: Vec<_> = [&b""[..], b"PROXY "].map(|said| stranger(&gate, said)).into();
    let announced = announcement("192.0.2.7");
    strangers.extend((0..20).map(|_| stranger(&gate, &announced)));
    strangers.extend((0..4).map(|_| stranger(&gate, &[&announcement("192.0.2.9"), HALF_A_HELLO].concat())));
    assert_eq!(behind(&gate, "192.0.2.8").text(&["PING"]), "+PONG");
    gate.signal(Signal::TERM);
    assert_eq!(gate.exit_status().code(), Some(0));
    for mut stranger in strangers {
        stranger.set_read_timeout(Some(PATIENCE)).unwrap();
        assert!(matches!(stranger.read(&mut [0; 64]), Ok(0) | Err(_)));
    }
}

#[test]
fn both_sides_are_asked_for_a_sign_of_life_unless_that_is_switched_off() {
    const KEEPALIVE_TIMER: &str = "02";
    let redis = RedisServer::start();
    for (setting, is_asked) in [("tcp-keepalive = 300", true), ("tcp-keepalive = 0", false)] {
        let gate = Respgate::setup(&redis.address().to_string()).acl(ACL).setting(setting).start();
        let mut client = gate.connect("alice");
        assert_eq!(client.text(&["PING"]), "+PONG");
        eventually("the timers to be those of idle connections", || {
            let own = timers(|local, _| local == gate.address());
            let upstream = timers(|_, remote| remote == redis.address());
            let are_as_wanted = |timers: &[String]| {
                !timers.is_empty() && timers.iter().any(|timer| timer == KEEPALIVE_TIMER) == is_asked
            };
            (are_as_wanted(&own) && are_as_wanted(&upstream)).then_some(())
        });
    }
}

/// The timers of established connections over IPv4 between such addresses, as the kernel numbers them.
fn timers(is_such: impl Fn(SocketAddr, SocketAddr) -> bool) -> Vec<String> {
    const ESTABLISHED: &str = "01";
    let address = |text: &str| {
        let (ip, port) = text.split_once(':').unwrap();
        let ip = u32::from_str_radix(ip, 16).unwrap().to_ne_bytes();
        SocketAddr::from((ip, u16::from_str_radix(port, 16).unwrap()))
    };
    let sockets = fs::read_to_string("/proc/self/net/tcp").unwrap();
    let sockets = sockets.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    sockets
        .filter(|fields| fields[3] == ESTABLISHED && is_such(address(fields[1]), address(fields[2])))
        .map(|fields| fields[5].split(':').next().unwrap().to_owned())
        .collect()
}

fn announcement(address: &str) -> Vec<u8> {
    let (family, own) = if address.contains(':') { ("TCP6", "::1") } else { ("TCP4", "127.0.0.1") };
    format!("PROXY {family} {address} {own} 40000 6380\r\n").into_bytes()
}

/// A TLS connection that a balancer passes on.
fn behind(gate: &Respgate, address: &str) -> RespClient {
    let socket = stranger(gate, &announcement(address));
    let config = client_config(&gate.pki().ca_cert(), Some(&gate.pki().client("alice")));
    RespClient::tls_over(socket, &config)
}

#[test]
fn of_what_a_client_does_not_take_the_kernel_keeps_little_and_of_a_strangers_less() {
    let redis = RedisServer::start();
    redis.direct().text(&["SET", "large", &"x".repeat(8 << 20)]);
    let setup = Respgate::setup(&upstream_of(&redis)).acl("user alice on >pw +@all ~* &*\n");
    let gate = setup.setting("tls = \"no\"").expect_log("no listener asks for one").start();
    let mut stranger = slow_taker(&gate);
    stranger.set_nonblocking(true).unwrap();
    let asked = request(&["PING"]).repeat(1000);
    // The proxy reads no more of them when their replies do not get away.
    let kept = at_rest(|| {
        while stranger.write(&asked).is_ok() {}
        unsent(&gate, &stranger)
    });
    assert!((16 << 10..64 << 10).contains(&kept), "{kept}");
    let mut user = slow_taker(&gate);
    user.write_all(&[request(&["AUTH", "alice", "pw"]), request(&["GET", "large"])].concat()).unwrap();
    eventually("the value is on its way", || (unsent(&gate, &user) > 64 << 10).then_some(()));
    let kept = at_rest(|| unsent(&gate, &user));
    assert!((64 << 10..512 << 10).contains(&kept), "{kept}");
}

/// A client whose own kernel takes little.
fn slow_taker(gate: &Respgate) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&gate.address().into()).unwrap();
    socket.into()
}

/// Bytes that the kernel keeps for this client, as it has taken none of them.
fn unsent(gate: &Respgate, client: &TcpStream) -> usize {
    let end = |address: SocketAddr| format!("0100007F:{:04X}", address.port());
    let ends = format!("{} {}", end(gate.address()), end(client.local_addr().unwrap()));
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let line = table.lines().find(|line| line.contains(&ends)).unwrap();
    let queues = line.split_whitespace().nth(4).unwrap();
    usize::from_str_radix(queues.split(':').next().unwrap(), 16).unwrap()
}

/// What this is when it has not changed for a while.
fn at_rest(mut look: impl FnMut() -> usize) -> usize {
    let (mut last, mut same) = (look(), 0);
    eventually("it is at rest", || {
        let now = look();
        same = if now == last { same + 1 } else { 0 };
        last = now;
        (same == 25).then_some(now)
    })
}

fn stranger(gate: &Respgate, said: &[u8]) -> TcpStream {
    let mut stranger = TcpStream::connect(gate.address()).unwrap();
    stranger.write_all(said).unwrap();
    stranger
}

fn start(adjust: impl FnOnce(Setup) -> Setup) -> (RedisServer, Respgate) {
    let redis = RedisServer::start();
    let gate = adjust(Respgate::setup(&upstream_of(&redis)).acl(ACL)).start();
    (redis, gate)
}

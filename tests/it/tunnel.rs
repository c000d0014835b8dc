//! The client's end: applications without TLS, through `respgate tunnel`, to a respgate.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::support::{
    Identity, Pki, RedisServer, RespClient, Respgate, Tunnel, TunnelSetup, crypto_provider, eventually, folder,
    request, respgate_binary, upstream_of,
};

const ACL: &str = "user alice on +@all ~* &*\nuser bob on +@all ~* &*\n";

fn gate_of(redis: &RedisServer) -> Respgate {
    Respgate::start(redis, ACL)
}

/// To this gate, as alice.
fn tunnel_to(gate: &Respgate) -> TunnelSetup {
    to_port(gate.address().port(), gate).shows(&gate.pki().client("alice"))
}

fn to_port(port: u16, gate: &Respgate) -> TunnelSetup {
    Tunnel::to(&format!("localhost:{port}"), &gate.pki().ca_cert())
}

/// The application hears not a byte, and it is over.
fn expect_no_service(tunnel: &Tunnel) {
    let mut application = tunnel.connect();
    // It may be over already.
    let _ = application.try_send(&request(&["PING"]));
    application.expect_closed();
}

#[test]
fn an_application_without_tls_is_who_the_certificate_says() {
    let redis = RedisServer::start();
    let gate = gate_of(&redis);
    let tunnel = tunnel_to(&gate).start();
    assert_eq!(fs::metadata(tunnel.socket()).unwrap().permissions().mode() & 0o777, 0o660);
    assert_eq!(tunnel.connect().text(&["ACL", "WHOAMI"]), "$5\r\nalice");
    let output = Command::new("redis-cli").arg("-s").arg(tunnel.socket()).args(["SET", "k", "v"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "OK\n");
    tunnel.wait_for_log(&["tunnel", "closed", "application-gone"]);
}

#[test]
fn whoever_shows_no_certificate_may_log_in_with_a_password() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl_file("user carol on >secret +@all ~* &*\n")
        .setting("tls-auth-clients = \"no\"")
        .without("tls-ca-cert-file")
        .start();
    let tunnel = to_port(gate.address().port(), &gate).start();
    let mut application = tunnel.connect();
    assert_eq!(application.text(&["AUTH", "carol", "secret"]), "+OK");
    assert_eq!(application.text(&["ACL", "WHOAMI"]), "$5\r\ncarol");
}

#[test]
fn a_pipeline_of_100_000_and_its_end_come_through() {
    const REQUESTS: usize = 100_000;
    let redis = RedisServer::start();
    let gate = gate_of(&redis);
    let tunnel = tunnel_to(&gate).start();
    let mut application = std::os::unix::net::UnixStream::connect(tunnel.socket()).unwrap();
    let mut writer = application.try_clone().unwrap();
    let writing = thread::spawn(move || {
        let requests: Vec<u8> = (0..REQUESTS).flat_map(|n| request(&["ECHO", &format!("{n:06}")])).collect();
        writer.write_all(&requests).unwrap();
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut heard = Vec::new();
    application.read_to_end(&mut heard).unwrap();
    writing.join().unwrap();
    let expected: Vec<u8> = (0..REQUESTS).flat_map(|n| format!("$6\r\n{n:06}\r\n").into_bytes()).collect();
    assert!(heard == expected, "{} bytes instead of {}", heard.len(), expected.len());
}

#[test]
fn large_values_and_messages_come_through() {
    let redis = RedisServer::start();
    let gate = gate_of(&redis);
    let tunnel = tunnel_to(&gate).start();
    let mut subscriber = tunnel.connect();
    subscriber.call(&["SUBSCRIBE", "news"]);
    let value: Vec<u8> = (0..5 << 20).map(|n: usize| (n * 7 / 3) as u8).collect();
    let mut application = tunnel.connect();
    assert_eq!(application.call(&[b"SET", &b"k"[..], &value]), b"+OK\r\n");
    let reply = application.call(&["GET", "k"]);
    assert!(reply[reply.len() - value.len() - 2..].starts_with(&value), "{} bytes", reply.len());
    assert_eq!(application.call(&[b"PUBLISH", &b"news"[..], &value]), b":1\r\n");
    assert!(subscriber.reply().ends_with(&[&value[value.len() - 100..], b"\r\n"].concat()));
}

#[test]
fn a_server_that_is_not_the_one_gets_nothing_and_the_log_says_why() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis)).acl(ACL).start();
    let (port, pki) = (gate.address().port(), gate.pki());
    let client = pki.client("alice");
    let ca_cert = pki.ca_cert();
    let other = folder();
    let stranger = Pki::create(other.path());
    stranger.replace_ca();
    let another = folder();
    let namesake = Pki::create(another.path());
    let (direct, before) = (redis.address(), redis.calls("ping"));
    // Nobody listens there, as soon as this is gone.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let cases: Vec<(TunnelSetup, &str, &str)> = vec![
        (Tunnel::to(&format!("localhost:{port}"), &stranger.ca_cert()), "unknown-issuer", "no CA"),
        (Tunnel::to(&format!("localhost:{port}"), &namesake.ca_cert()), "bad-signature", "of the same name"),
        (to_port(port, &gate).arg("server-name", "redis.example"), "wrong-name", "redis.example"),
        (to_port(port, &gate).arg("server-spki-sha256", &"ab".repeat(32)), "wrong-key", "server-spki-sha256"),
        // Redis takes a ClientHello for the beginning of a line.
        (Tunnel::to(&direct.to_string(), &ca_cert).arg("connect-timeout", "200ms"), "timeout", "no answer"),
        (Tunnel::to(&nobody.to_string(), &ca_cert), "connect", "refused"),
        (Tunnel::to("nowhere.invalid:6380", &ca_cert), "name", "nowhere.invalid"),
    ];
    for (setup, reason, words) in cases {
        let tunnel = setup.shows(&client).expect_log("tunnel failed").start();
        expect_no_service(&tunnel);
        tunnel.wait_for_log(&["WARN", &format!("\"reason\":\"{reason}\""), words]);
    }
    assert_eq!(redis.calls("ping"), before);
    eventually("the gate to be done with them", || gate.log_text().contains("handshake failed").then_some(()));
}

#[test]
fn an_expired_server_gets_nothing() {
    let redis = RedisServer::start();
    let setup = Respgate::setup(&upstream_of(&redis)).acl(ACL).expect_log("server.crt");
    setup.pki().expired_server();
    let gate = setup.start();
    let tunnel = tunnel_to(&gate).expect_log("tunnel failed").start();
    expect_no_service(&tunnel);
    tunnel.wait_for_log(&["WARN", "\"reason\":\"expired\""]);
}

#[test]
fn a_revoked_server_gets_nothing_and_one_of_which_no_list_speaks_neither() {
    let redis = RedisServer::start();
    let setup = Respgate::setup(&upstream_of(&redis)).acl(ACL);
    setup.pki().numbered_server(77);
    let gate = setup.start();
    let crl = gate.pki().crl_file();
    for (write, reason) in [
        ((|gate| gate.pki().write_crl(&[77])) as fn(&Respgate), "revoked"),
        (|gate| gate.pki().write_expired_crl(), "revocation-list-expired"),
    ] {
        write(&gate);
        let tunnel = tunnel_to(&gate).arg("tls-crl-file", crl.to_str().unwrap());
        let tunnel = tunnel.expect_log("tunnel failed").expect_log("ca.crl").start();
        expect_no_service(&tunnel);
        tunnel.wait_for_log(&["WARN", &format!("\"reason\":\"{reason}\"")]);
    }
    gate.pki().write_crl(&[]);
    let tunnel = tunnel_to(&gate).arg("tls-crl-file", crl.to_str().unwrap()).start();
    assert_eq!(tunnel.connect().text(&["PING"]), "+PONG");
}

#[test]
fn a_client_whose_certificate_is_revoked_is_closed_and_the_log_says_why() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis)).acl(ACL).crl().start();
    let revoked = gate.pki().numbered_client("alice", 66);
    gate.pki().write_crl(&[66]);
    gate.wait_for_log(&["new generation", "files changed"]);
    let tunnel = to_port(gate.address().port(), &gate).shows(&revoked).expect_log("tunnel failed").start();
    expect_no_service(&tunnel);
    tunnel.wait_for_log(&["WARN", "\"reason\":\"rejected\"", "certificate_revoked"]);
    tunnel.wait_for_log(&["tunnel closed", "\"reason\":\"rejected\""]);
}

#[test]
fn not_a_byte_of_the_application_goes_on_in_plain() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let gate = Respgate::setup("127.0.0.1:1").acl(ACL).expect_log("upstream is not there").start();
    let tunnel = Tunnel::to(&server.local_addr().unwrap().to_string(), &gate.pki().ca_cert());
    let tunnel = tunnel.shows(&gate.pki().client("alice")).expect_log("tunnel failed").start();
    let mut application = tunnel.connect();
    application.send(&request(&["SET", "secret", "swordfish"]));
    let (mut accepted, _) = server.accept().unwrap();
    accepted.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut heard = Vec::new();
    let error = accepted.read_to_end(&mut heard).unwrap_err();
    assert_eq!((error.kind(), heard[0]), (ErrorKind::WouldBlock, 0x16), "a ClientHello, and then it waits");
    accepted.write_all(b"+OK\r\n-ERR speak in plain, please\r\n").unwrap();
    accepted.shutdown(std::net::Shutdown::Write).unwrap();
    accepted.read_to_end(&mut heard).unwrap_or_default();
    assert!(!heard.windows(9).any(|window| window == b"swordfish" || window.starts_with(b"secret")));
    application.expect_closed();
    tunnel.wait_for_log(&["WARN", "not-tls"]);
}

#[test]
fn of_several_servers_the_first_that_answers_is_taken() {
    let redis = RedisServer::start();
    let gate = gate_of(&redis);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let servers = format!("{nobody},localhost:{}", gate.address().port());
    let tunnel = Tunnel::to(&servers, &gate.pki().ca_cert()).shows(&gate.pki().client("alice"));
    let tunnel = tunnel.expect_log("tunnel failed").start();
    for _ in 0..3 {
        assert_eq!(tunnel.connect().text(&["PING"]), "+PONG");
    }
    tunnel.wait_for_log(&["WARN", "\"reason\":\"connect\"", &nobody.to_string()]);
    let failures = tunnel.log_text().matches("tunnel failed").count();
    assert_eq!(failures, 1, "for a while it is tried last");
}

#[test]
fn a_server_that_breaks_off_is_a_reset_for_the_application_and_no_end() {
    let redis = RedisServer::start();
    let gate = gate_of(&redis);
    let tunnel = tunnel_to(&gate).on_a_port().expect_log("tunnel failed").start();
    let mut application = TcpStream::connect(tunnel.address()).unwrap();
    application.write_all(&request(&["PING"])).unwrap();
    let mut reply = [0; 7];
    application.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"+PONG\r\n");
    gate.signal(Signal::KILL);
    let error = application.read(&mut reply).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    tunnel.wait_for_log(&["WARN", "tunnel failed"]);
}

#[test]
fn a_server_that_speaks_with_its_handshake_and_ends_is_heard_to_the_end() {
    let own = folder();
    let pki = Pki::create(own.path());
    let (port, server) = stub_server(&pki, |mut tls, mut socket| {
        tls.writer().write_all(b"hello").unwrap();
        tls.complete_io(&mut socket).unwrap();
        tls.send_close_notify();
        tls.write_tls(&mut socket).unwrap();
    });
    let tunnel = Tunnel::to(&format!("localhost:{port}"), &pki.ca_cert()).start();
    let mut heard = String::new();
    UnixStream::connect(tunnel.socket()).unwrap().read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "hello");
    server.join().unwrap();
    tunnel.wait_for_log(&["tunnel", "closed", "server-gone"]);
}

#[test]
fn what_a_server_said_before_it_broke_the_rules_is_heard() {
    let own = folder();
    let pki = Pki::create(own.path());
    let (port, server) = stub_server(&pki, |mut tls, mut socket| {
        tls.complete_io(&mut socket).unwrap();
        let mut sent = Vec::new();
        tls.writer().write_all(b"hello").unwrap();
        tls.write_tls(&mut sent).unwrap();
        // A record that nobody can have encrypted.
        sent.extend_from_slice(&[23, 3, 3, 0, 20]);
        sent.extend_from_slice(&[0; 20]);
        socket.write_all(&sent).unwrap();
        // The alert.
        let _ = socket.read(&mut [0; 64]);
    });
    let tunnel = Tunnel::to(&format!("localhost:{port}"), &pki.ca_cert()).expect_log("tunnel failed").start();
    let mut heard = [0; 5];
    UnixStream::connect(tunnel.socket()).unwrap().read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
    server.join().unwrap();
    tunnel.wait_for_log(&["WARN", "tunnel failed"]);
}

/// One that does this with the first who connects, and speaks as early as TLS lets it.
fn stub_server(
    pki: &Pki,
    serve: impl FnOnce(rustls::ServerConnection, TcpStream) + Send + 'static,
) -> (u16, thread::JoinHandle<()>) {
    let Identity { cert, key } = pki.server();
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(crypto_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(cert).unwrap()],
            PrivateKeyDer::from_pem_file(key).unwrap(),
        )
        .unwrap();
    config.send_half_rtt_data = true;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        serve(rustls::ServerConnection::new(Arc::new(config)).unwrap(), socket);
    });
    (port, server)
}

#[test]
fn what_has_been_asked_is_answered_before_the_process_ends() {
    let redis = RedisServer::start();
    let gate = gate_of(&redis);
    let mut tunnel = tunnel_to(&gate).arg("shutdown-timeout", "10m").start();
    let (mut idle, mut waiting) = (tunnel.connect(), tunnel.connect());
    assert_eq!(idle.text(&["PING"]), "+PONG");
    waiting.send(&request(&["BLPOP", "list", "0"]));
    eventually("Redis to have a blocked client", || {
        redis.direct().text(&["INFO", "clients"]).contains("blocked_clients:1").then_some(())
    });
    tunnel.signal(Signal::TERM);
    idle.expect_closed();
    redis.direct().call(&["RPUSH", "list", "a"]);
    assert_eq!(waiting.reply(), b"*2\r\n$4\r\nlist\r\n$1\r\na\r\n");
    waiting.expect_closed();
    assert_eq!(tunnel.exit_status().code(), Some(0));
    assert!(!tunnel.socket().exists(), "its socket goes with it");
}

/// It is not done with a reply because nobody reads it at the moment.
#[test]
fn a_reply_that_the_application_has_yet_to_read_is_not_cut_when_the_process_ends() {
    const SIZE: usize = 32 << 20;
    let redis = RedisServer::start();
    redis.direct().call(&[&b"SET"[..], b"large", &vec![b'x'; SIZE]]);
    let gate = gate_of(&redis);
    let mut tunnel = tunnel_to(&gate).on_a_port().arg("shutdown-timeout", "10m").start();
    let mut application = TcpStream::connect(tunnel.address()).unwrap();
    application.write_all(&request(&["GET", "large"])).unwrap();
    let mut first = [0; 11];
    application.read_exact(&mut first).unwrap();
    tunnel.signal(Signal::TERM);
    tunnel.wait_for_log(&["draining"]);
    // Longer than silence is taken for the end.
    thread::sleep(Duration::from_millis(1200));
    let mut rest = Vec::new();
    application.read_to_end(&mut rest).unwrap();
    assert_eq!(rest.len(), SIZE + 2);
    assert_eq!(tunnel.exit_status().code(), Some(0));
}

/// TCP needs as long to send again what was lost.
#[test]
fn a_reply_that_stalls_for_a_moment_is_not_cut_when_the_process_ends() {
    let own = folder();
    let pki = Pki::create(own.path());
    let (go_on, stalled) = mpsc::channel::<()>();
    let (port, server) = stub_server(&pki, move |mut tls, mut socket| {
        tls.writer().write_all(b"$10\r\nhello").unwrap();
        tls.complete_io(&mut socket).unwrap();
        stalled.recv().unwrap();
        tls.writer().write_all(b"world\r\n").unwrap();
        tls.write_tls(&mut socket).unwrap();
        // The end.
        let _ = socket.read_to_end(&mut Vec::new());
    });
    let tunnel = Tunnel::to(&format!("localhost:{port}"), &pki.ca_cert()).start();
    let mut application = UnixStream::connect(tunnel.socket()).unwrap();
    application.read_exact(&mut [0; 10]).unwrap();
    tunnel.signal(Signal::TERM);
    tunnel.wait_for_log(&["draining"]);
    thread::sleep(Duration::from_millis(400));
    go_on.send(()).unwrap();
    let mut rest = String::new();
    application.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "world\r\n");
    server.join().unwrap();
}

/// Where time is over in the middle of a reply, the application learns that it is not whole.
#[test]
fn a_reply_that_time_does_not_suffice_for_is_broken_off_and_not_ended() {
    let redis = RedisServer::start();
    redis.direct().call(&[&b"SET"[..], b"large", &vec![b'x'; 32 << 20]]);
    let gate = gate_of(&redis);
    let tunnel = tunnel_to(&gate).on_a_port().arg("shutdown-timeout", "1s").start();
    let mut application = TcpStream::connect(tunnel.address()).unwrap();
    application.write_all(&request(&["GET", "large"])).unwrap();
    application.read_exact(&mut [0; 11]).unwrap();
    tunnel.signal(Signal::TERM);
    tunnel.wait_for_log(&["\"reason\":\"cut-off\""]);
    let error = application.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn an_application_that_has_its_answer_and_says_nothing_more_is_closed_and_one_that_waits_is_not() {
    let redis = RedisServer::start();
    let gate = gate_of(&redis);
    let tunnel = tunnel_to(&gate).arg("timeout", "1s").start();
    let (mut waiting, mut idle) = (tunnel.connect(), tunnel.connect());
    waiting.send(&request(&["BLPOP", "list", "0"]));
    assert_eq!(idle.text(&["PING"]), "+PONG");
    idle.expect_closed();
    tunnel.wait_for_log(&["\"reason\":\"idle\""]);
    redis.direct().call(&["RPUSH", "list", "a"]);
    assert_eq!(waiting.reply(), b"*2\r\n$4\r\nlist\r\n$1\r\na\r\n");
    waiting.expect_closed();
}

#[test]
fn a_renewed_certificate_is_shown_by_who_comes_and_changes_nothing_for_who_is_there() {
    let redis = RedisServer::start();
    let gate = gate_of(&redis);
    let Identity { cert, key } = gate.pki().client("alice");
    let tunnel = tunnel_to(&gate).start();
    let mut earlier = tunnel.connect();
    assert_eq!(earlier.text(&["ACL", "WHOAMI"]), "$5\r\nalice");
    let other = gate.pki().client("bob");
    fs::rename(other.key, key).unwrap();
    fs::rename(other.cert, cert).unwrap();
    tunnel.wait_for_log(&["new generation", "files changed"]);
    assert_eq!(tunnel.connect().text(&["ACL", "WHOAMI"]), "$3\r\nbob");
    assert_eq!(earlier.text(&["ACL", "WHOAMI"]), "$5\r\nalice");
}

#[test]
fn a_server_that_is_trusted_no_longer_is_left_at_once() {
    let redis = RedisServer::start();
    let setup = Respgate::setup(&upstream_of(&redis)).acl(ACL);
    setup.pki().numbered_server(88);
    let gate = setup.start();
    gate.pki().write_crl(&[]);
    let crl = gate.pki().crl_file();
    let tunnel = tunnel_to(&gate).arg("tls-crl-file", crl.to_str().unwrap()).expect_log("tunnel failed").start();
    let mut application = tunnel.connect();
    assert_eq!(application.text(&["PING"]), "+PONG");
    gate.pki().write_crl(&[88]);
    application.expect_closed();
    tunnel.wait_for_log(&["WARN", "\"reason\":\"revoked\""]);
}

#[test]
fn applications_over_maxclients_are_closed_and_the_log_says_so() {
    let redis = RedisServer::start();
    let gate = gate_of(&redis);
    let tunnel = tunnel_to(&gate).arg("maxclients", "1").expect_log("no place for an application").start();
    let mut first = tunnel.connect();
    assert_eq!(first.text(&["PING"]), "+PONG");
    tunnel.connect().expect_closed();
    tunnel.wait_for_log(&["WARN", "\"reason\":\"maxclients\""]);
    assert_eq!(first.text(&["PING"]), "+PONG");
}

#[test]
fn applications_of_a_tunnel_keep_no_client_of_the_gate_out() {
    let redis = RedisServer::start();
    let server = gate_of(&redis);
    let setup = Respgate::setup(&upstream_of(&redis)).acl(ACL).setting("maxclients = 1");
    let socket = setup.path("tunnel/redis.sock");
    let tunnel = section(&server, &format!("unix:{}", socket.display())) + "maxclients = 2\n";
    let gate = setup.table(&tunnel).expect_log("no place for an application").start().settled();
    let mut applications = [RespClient::unix(&socket), RespClient::unix(&socket)];
    applications.iter_mut().for_each(|application| assert_eq!(application.text(&["PING"]), "+PONG"));
    RespClient::unix(&socket).expect_closed();
    assert_eq!(gate.connect("bob").text(&["PING"]), "+PONG");
}

#[test]
fn an_earlier_tls_session_is_resumed() {
    let redis = RedisServer::start();
    let gate = gate_of(&redis);
    let tunnel = tunnel_to(&gate).start();
    for _ in 0..2 {
        assert_eq!(tunnel.connect().text(&["PING"]), "+PONG");
    }
    let resumed = "respgate_handshake_duration_seconds_count{resumed=\"true\"}";
    eventually("a resumed handshake", || (gate.metrics().sum(resumed) > 0.0).then_some(()));
}

#[test]
fn the_process_with_a_tunnel_alone_is_ready_and_counts() {
    let redis = RedisServer::start();
    let gate = gate_of(&redis);
    let tunnel = tunnel_to(&gate).start();
    assert_eq!(tunnel.connect().text(&["PING"]), "+PONG");
    let mut door = RespClient::unix(&tunnel.admin_socket());
    door.send(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let (answer, _) = door.read_to_end();
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    let mut door = RespClient::unix(&tunnel.admin_socket());
    door.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let text = String::from_utf8(door.read_to_end().0).unwrap();
    let name = format!("tunnel=\"unix:{}\"", tunnel.socket().display());
    assert!(text.contains(&format!("respgate_tunnel_connections_total{{{name}}} 1\n")), "{text}");
    assert!(text.contains(&format!("respgate_tunnel_bytes_total{{{name},direction=\"sent\"}} 7\n")), "{text}");
}

/// One to this gate, as alice, for a configuration file.
fn section(gate: &Respgate, listen: &str) -> String {
    let Identity { cert, key } = gate.pki().client("alice");
    format!(
        "[[tunnel]]\nlisten = {listen:?}\nconnect = \"localhost:{}\"\ntls-ca-cert-file = {:?}\ntls-cert-file = {cert:?}\n\
         tls-key-file = {key:?}\n",
        gate.address().port(),
        gate.pki().ca_cert()
    )
}

#[test]
fn a_tunnel_in_the_file_is_served_beside_a_listener_and_follows_a_reload() {
    let redis = RedisServer::start();
    let (near, far) = (gate_of(&redis), gate_of(&redis));
    let setup = Respgate::setup(&upstream_of(&redis)).acl(ACL);
    let socket = setup.path("tunnel/redis.sock");
    let listen = format!("unix:{}", socket.display());
    let [to_near, to_far] = [&near, &far].map(|to| section(to, &listen));
    let gate = setup.table(&to_near).expect_log("tunnel failed").start().settled();
    assert_eq!(gate.connect("bob").text(&["ACL", "WHOAMI"]), "$3\r\nbob");
    let mut earlier = RespClient::unix(&socket);
    assert_eq!(earlier.text(&["ACL", "WHOAMI"]), "$5\r\nalice");
    gate.edit_config(&to_near, &to_far);
    gate.wait_for_log(&["new generation", "files changed"]);
    assert_eq!(RespClient::unix(&socket).text(&["PING"]), "+PONG");
    // The CA of the server that it has is trusted no longer.
    earlier.expect_closed();
    far.wait_for_log(&["connected", "alice"]);
    assert_eq!(gate.metrics().sum(&format!("respgate_tunnel_connections_total{{tunnel=\"{listen}\"}}")), 2.0);
    let open = format!("respgate_tunnel_open{{tunnel=\"{listen}\"}}");
    eventually("both to be counted as closed", || (gate.metrics().sum(&open) == 0.0).then_some(()));
}

#[test]
fn check_shows_a_tunnel_and_what_is_wrong_with_its_files() {
    let redis = RedisServer::start();
    let gate = gate_of(&redis);
    let config = gate.path("tunnel.toml");
    let check = |text: &str| {
        fs::write(&config, text).unwrap();
        let output = respgate_binary().arg("check").arg("--config").arg(&config).output().unwrap();
        let told = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(told).unwrap())
    };
    let text = section(&gate, "127.0.0.1:6379");
    let (code, told) = check(&text);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("127.0.0.1:6379 lends the certificate to every process of this host"), "{told}");
    assert!(told.contains("\nok: would carry applications from 127.0.0.1:6379\n"), "{told}");
    let (code, told) = check(&text.replace("ca.crt", "alice.key"));
    assert_eq!(code, Some(78), "{told}");
    assert!(told.contains("tunnel 127.0.0.1:6379: tls-ca-cert-file") && told.contains("alice.key"), "{told}");
    let other = gate.pki().client("bob");
    let (code, told) = check(&text.replace("alice.key", other.key.file_name().unwrap().to_str().unwrap()));
    assert_eq!(code, Some(78), "{told}");
    assert!(told.contains("the key does not belong to the certificate"), "{told}");
}

#[test]
fn the_doctor_finds_a_tunnel_on_a_port_and_asks_for_no_redis_behind_it() {
    let redis = RedisServer::start();
    let gate = gate_of(&redis);
    let config = gate.path("tunnel.toml");
    fs::write(&config, section(&gate, "127.0.0.1:6379")).unwrap();
    let output = respgate_binary().arg("doctor").arg("--config").arg(&config).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let finding = told.lines().find(|line| line.contains("lends the certificate")).unwrap_or_else(|| panic!("{told}"));
    assert!(finding.starts_with("AMBER"), "{told}");
    assert!(!told.contains("gate.upstream"), "{told}");
}

#[test]
fn files_that_are_broken_are_not_taken_and_nobody_notices() {
    let redis = RedisServer::start();
    let gate = gate_of(&redis);
    let own = folder();
    let ca = own.path().join("ca.crt");
    fs::copy(gate.pki().ca_cert(), &ca).unwrap();
    let tunnel = Tunnel::to(&format!("localhost:{}", gate.address().port()), &ca).shows(&gate.pki().client("alice"));
    let tunnel = tunnel.expect_log("reload").start();
    assert_eq!(tunnel.connect().text(&["PING"]), "+PONG");
    fs::write(&ca, "-----BEGIN CERTIFICATE-----\n").unwrap();
    tunnel.wait_for_log(&["ERROR", "tls-ca-cert-file", "ca.crt"]);
    assert_eq!(tunnel.connect().text(&["PING"]), "+PONG");
    fs::copy(gate.pki().ca_cert(), &ca).unwrap();
    tunnel.wait_for_log(&["mended"]);
}

#[test]
fn a_server_that_is_revoked_while_it_shakes_hands_is_left() {
    let redis = RedisServer::start();
    let setup = Respgate::setup(&upstream_of(&redis)).acl(ACL);
    setup.pki().numbered_server(88);
    let gate = setup.start();
    gate.pki().write_crl(&[]);
    let relay = TcpListener::bind("127.0.0.1:0").unwrap();
    let crl = gate.pki().crl_file();
    let tunnel = to_port(relay.local_addr().unwrap().port(), &gate).shows(&gate.pki().client("alice"));
    let tunnel = tunnel.arg("tls-crl-file", crl.to_str().unwrap()).arg("connect-timeout", "1m");
    let tunnel = tunnel.expect_log("tunnel failed").start();
    let mut application = tunnel.connect();
    let (from_tunnel, _) = relay.accept().unwrap();
    gate.pki().write_crl(&[88]);
    tunnel.wait_for_log(&["new generation", "files changed"]);
    let to_gate = TcpStream::connect(gate.address()).unwrap();
    for (from, to) in [(&from_tunnel, &to_gate), (&to_gate, &from_tunnel)] {
        let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Write);
        });
    }
    application.expect_closed();
    tunnel.wait_for_log(&["WARN", "\"reason\":\"revoked\""]);
}

/// Nothing is read of an application before what it has said has been sent, and so not that it has gone.
#[test]
fn an_application_that_has_gone_is_left_also_where_the_server_takes_nothing() {
    let redis = RedisServer::start();
    let gate = gate_of(&redis);
    let relay = TcpListener::bind("127.0.0.1:0").unwrap();
    let tunnel = to_port(relay.local_addr().unwrap().port(), &gate).shows(&gate.pki().client("alice"));
    let tunnel = tunnel.arg("maxclients", "1").start();
    let mut application = UnixStream::connect(tunnel.socket()).unwrap();
    let (mut from_tunnel, _) = relay.accept().unwrap();
    let mut to_gate = TcpStream::connect(gate.address()).unwrap();
    let (mut from_gate, mut to_tunnel) = (to_gate.try_clone().unwrap(), from_tunnel.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut from_gate, &mut to_tunnel));
    let (stop, is_stopped) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while is_stopped.try_recv().is_err() {
            let Ok(count) = from_tunnel.read(&mut buffer) else { break };
            let _ = to_gate.write_all(&buffer[..count]);
        }
        // From here on nothing is taken, and nothing ended.
        let _ = is_stopped.recv();
    });
    application.write_all(&request(&["PING"])).unwrap();
    application.read_exact(&mut [0; 7]).unwrap();
    stop.send(()).unwrap();
    application.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    while application.write_all(&[b'x'; 65536]).is_ok() {}
    drop(application);
    tunnel.wait_for_log(&["\"reason\":\"half-close-timeout\""]);
    drop(stop);
}

#[test]
fn a_unix_socket_that_a_service_manager_holds_is_accepted_on_and_left_where_it_is() {
    let redis = RedisServer::start();
    let gate = gate_of(&redis);
    let own = folder();
    let path = own.path().join("redis.sock");
    let held = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let config = gate.path("tunnel.toml");
    fs::write(&config, section(&gate, &format!("unix:{}", path.display()))).unwrap();
    let program = respgate_binary();
    let mut child = Command::new("sh")
        .env_clear()
        .env("LISTEN_FDS", "1")
        .args(["-c", "exec 3<&0 </dev/null && export LISTEN_PID=$$ && exec \"$@\"", "sh"])
        .arg(program.get_program())
        .args(["run", "--admin-listen=off", "--maxclients=100", "--config"])
        .arg(&config)
        .stdin(std::process::Stdio::from(std::os::fd::OwnedFd::from(held.try_clone().unwrap())))
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut application = RespClient::unix(&path);
    assert_eq!(application.text(&["ACL", "WHOAMI"]), "$5\r\nalice");
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
    application.expect_closed();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(path.exists(), "who made it takes it away");
}

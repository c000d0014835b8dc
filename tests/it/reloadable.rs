//! Every setting that a reload takes: what is changed once is in force for the next connection or request.

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use rustix::process::Signal;

use crate::support::{
    Identity, PATIENCE, Pki, RedisServer, RespClient, Respgate, client_config, client_config_of, eventually, request,
    upstream_of,
};

const ACL: &str = "user default off\nuser alice on +@all ~* &*\nuser bob on >secret +@all ~*\n";

/// What stands in the file, what is written instead, and what comes of it. It is written back afterwards.
type Row = (&'static str, &'static str, fn(&Stage));

const ROWS: &[Row] = &[
    ("deny = \"192.0.2.1\"", "deny = \"127.0.0.1\"", |stage| stage.ends("denied")),
    ("allow = \"0.0.0.0/0\"", "allow = \"192.0.2.0/24\"", |stage| stage.ends("denied")),
    ("proxy-protocol-from = \"192.0.2.0/24\"", "proxy-protocol-from = \"127.0.0.1\"", |stage| {
        let mut socket = TcpStream::connect(stage.gate.address()).unwrap();
        std::io::Write::write_all(&mut socket, b"PROXY TCP4 192.0.2.7 127.0.0.1 40000 6380\r\n").unwrap();
        let config = client_config(&stage.gate.pki().ca_cert(), Some(&stage.gate.pki().client("alice")));
        let mut announced = RespClient::tls_over(socket, &config);
        assert_eq!(announced.text(&["PING"]), "+PONG");
        stage.put_back();
        announced.expect_closed();
        stage.gate.wait_for_log(&["\"close\"", "192.0.2.7", "listener-changed"]);
    }),
    ("tls-auth-clients = \"yes\"", "tls-auth-clients = \"optional\"", |stage| {
        let mut nobody = stage.gate.connect_as(None);
        assert_eq!(nobody.text(&["PING"]), "-NOAUTH Authentication required.");
        stage.put_back();
        nobody.expect_closed();
        stage.gate.wait_for_log(&["\"close\"", "listener-changed"]);
    }),
    ("tls-protocols = [\"TLSv1.2\", \"TLSv1.3\"]", "tls-protocols = \"TLSv1.3\"", |stage| {
        assert!(!stage.speaks_tls12());
        stage.put_back();
        assert!(stage.speaks_tls12());
    }),
    ("clients.crt\"", "partners.crt\"", |stage| {
        let partner = stage.partner.client("alice");
        assert_eq!(stage.gate.connect_as(Some(&partner)).text(&["PING"]), "+PONG");
        stage.ends("certificate-bad-signature");
    }),
    ("empty.crl\"", "seven.crl\"", |stage| stage.ends("certificate-revoked")),
    ("expired = \"refuse\"", "expired = \"ignore\"", |stage| {
        stage.gate.pki().write_expired_crl();
        fs::copy(stage.gate.pki().crl_file(), stage.gate.path("empty.crl")).unwrap();
        stage.gate.wait_for_log(&["empty.crl", "expired"]);
        assert_eq!(stage.gate.connect("alice").text(&["PING"]), "+PONG");
        stage.gate.pki().write_crl(&[]);
        fs::copy(stage.gate.pki().crl_file(), stage.gate.path("empty.crl")).unwrap();
    }),
    ("aclfile = \"users.acl\"", "aclfile = \"others.acl\"", |stage| {
        assert_eq!(stage.gate.connect("carol").text(&["PING"]), "+PONG");
        stage.ends("revoked-no-such-user");
    }),
    ("aclfile = \"users.acl\"", "requirepass-file = \"first_password\"", |stage| {
        let mut client = stage.gate.connect("nobody");
        assert_eq!(client.text(&["AUTH", "first"]), "+OK");
        fs::write(stage.gate.path("first_password"), "second\n").unwrap();
        client.expect_closed();
        stage.gate.wait_for_log(&["\"close\"", "revoked-password-removed"]);
        assert_eq!(stage.gate.connect("nobody").text(&["AUTH", "second"]), "+OK");
    }),
    ("acl-dialect = \"redis-7.0\"", "acl-dialect = \"valkey-9.1\"", |stage| {
        let shown = stage.gate.connect("alice").text(&["ACL", "GETUSER", "bob"]);
        assert!(shown.contains("databases"), "{shown}");
    }),
    ("scripting-users = []", "scripting-users = [\"alice\"]", |stage| {
        assert_eq!(stage.gate.connect("alice").text(&["EVAL", "return 7", "0"]), ":7");
    }),
    ("maxclients = 100", "maxclients = 1", |stage| {
        stage.is_told("max number of clients reached");
        stage.gate.wait_for_log(&["\"capacity\"", "\"maxclients\":1,"]);
    }),
    ("max-connections-per-address = 90", "max-connections-per-address = 1", |stage| {
        stage.is_told("max number of clients reached");
    }),
    ("handshake-timeout = \"5m\"", "handshake-timeout = \"100ms\"", |stage| {
        let mut silent = TcpStream::connect(stage.gate.address()).unwrap();
        silent.set_read_timeout(Some(PATIENCE)).unwrap();
        let end = silent.read_to_end(&mut Vec::new());
        assert!(end.is_ok() || end.is_err_and(|end| end.kind() == std::io::ErrorKind::ConnectionReset));
    }),
    ("auth-timeout = \"5m\"", "auth-timeout = \"100ms\"", |stage| {
        let mut client = stage.gate.connect("nobody");
        assert_eq!(client.reply_text(), "-ERR respgate: authentication timed out");
    }),
    ("\ntimeout = 0", "\ntimeout = \"100ms\"", |stage| stage.ends("idle")),
    ("request-timeout = \"5m\"", "request-timeout = \"100ms\"", |stage| stage.ends("request-timeout")),
    ("upstream-timeout = \"5m\"", "upstream-timeout = \"100ms\"", |stage| {
        let mut client = stage.gate.connect("alice");
        assert_eq!(client.text(&["PING"]), "+PONG");
        assert_eq!(stage.redis.direct().text(&["CLIENT", "PAUSE", "1500", "WRITE"]), "+OK");
        client.send(&request(&["SET", "a", "1"]));
        client.expect_closed();
        stage.gate.wait_for_log(&["\"close\"", "upstream-timeout"]);
    }),
    ("max-args = 1000", "max-args = 3", |stage| {
        let reply = stage.earlier().text(&["MGET", "a", "b", "c"]);
        assert!(reply.contains("invalid multibulk length"), "{reply}");
    }),
    ("max-bulk = \"1mb\"", "max-bulk = 100", |stage| {
        let reply = stage.earlier().text(&["ECHO", &"x".repeat(101)]);
        assert!(reply.contains("invalid bulk length"), "{reply}");
    }),
    ("max-inline = \"64kb\"", "max-inline = 100", |stage| {
        let mut client = stage.earlier();
        client.send(format!("ECHO {}\r\n", "x".repeat(101)).as_bytes());
        let reply = client.reply_text();
        assert!(reply.contains("too big inline request"), "{reply}");
    }),
    ("request-buffer = \"1mb\"", "request-buffer = \"1kb\"", |stage| {
        let mut client = stage.earlier();
        client.send(b"*2\r\n$4\r\nECHO\r\n$5000\r\n");
        client.send(&[b'x'; 4000]);
        assert_eq!(client.reply_text(), "-ERR respgate: request too large");
    }),
    ("log-level = \"info\"", "log-level = \"debug\"", |stage| {
        drop(TcpStream::connect(stage.gate.address()).unwrap());
        stage.gate.wait_for_log(&["DEBUG", "\"handshake\""]);
    }),
    ("strict-permissions = false\n", "strict-permissions = true\nlog-file = \"/nowhere/log\"\n", |stage| {
        stage.gate.wait_for_log(&["ERROR", "server.key", "0644"]);
        stage.gate.wait_for_log(&["ERROR", "log-file: /nowhere/log"]);
    }),
    // What cannot be seen from outside in a moment: it is taken without a word about a restart.
    ("tcp-keepalive = 300", "tcp-keepalive = 0", |_| {}),
    ("max-handshakes = 256", "max-handshakes = 1", |stage| drop(stage.earlier())),
    ("hold-buffer = \"1mb\"", "hold-buffer = \"2mb\"", |stage| drop(stage.earlier())),
    ("memory-budget = \"8mb\"", "memory-budget = \"4mb\"", |stage| {
        stage.gate.wait_for_log(&["\"capacity\"", "\"memory_budget\":4194304"]);
    }),
    ("mirror-users = true", "mirror-users = false", |_| {}),
    ("upstream-connect-timeout = \"5s\"", "upstream-connect-timeout = \"6s\"", |_| {}),
    ("unsafe-upstream = false", "unsafe-upstream = true", |_| {}),
    ("half-close-timeout = \"5s\"", "half-close-timeout = \"6s\"", |_| {}),
    ("shutdown-delay = 0", "shutdown-delay = \"1ms\"", |_| {}),
    ("shutdown-timeout = \"25s\"", "shutdown-timeout = \"5s\"", |_| {}),
    ("reload-interval = \"50ms\"", "reload-interval = \"60ms\"", |_| {}),
    ("crl-check = \"leaf\"", "crl-check = \"chain\"", |_| {}),
];

struct Stage {
    gate: Respgate,
    redis: RedisServer,
    partner: Pki,
    /// What is put back, and what is there instead.
    row: std::cell::Cell<Option<(&'static str, &'static str)>>,
    /// A session of alice, who shows certificate 7, and has sent half a request.
    session: std::cell::RefCell<RespClient>,
}

impl Stage {
    fn change(&self, from: &str, to: &str) {
        const OUTCOMES: [&str; 3] = ["new generation", "kept the old one", "mended: "];
        let reloads = || OUTCOMES.map(|outcome| self.gate.log_text().matches(outcome).count());
        let before = reloads();
        self.gate.edit_config(from, to);
        self.gate.signal(Signal::HUP);
        eventually("the reload", || (reloads() != before).then_some(()));
    }

    fn put_back(&self) {
        if let Some((from, to)) = self.row.take() {
            self.change(to, from);
        }
    }

    fn half_a_request(gate: &Respgate) -> RespClient {
        let mut client = gate.connect_as(Some(&gate.pki().numbered_client("alice", 7)));
        assert_eq!(client.text(&["PING"]), "+PONG");
        client.send(b"*1\r\n");
        client
    }

    /// The session that was there before the change has ended, for this reason.
    fn ends(&self, reason: &str) {
        let _ = self.session.borrow_mut().read_to_end();
        self.gate.wait_for_log(&["\"close\"", "CN=alice", &format!("\"{reason}\"")]);
    }

    /// The session that was there before the change.
    fn earlier(&self) -> RespClient {
        let mut client = self.session.replace(Stage::half_a_request(&self.gate));
        client.send(b"$4\r\nPING\r\n");
        assert_eq!(client.reply_text(), "+PONG");
        client
    }

    fn is_told(&self, text: &str) {
        let (told, _) = self.gate.connect("alice").read_to_end();
        assert!(String::from_utf8_lossy(&told).contains(text), "{told:?}");
    }

    fn speaks_tls12(&self) -> bool {
        let alice = self.gate.pki().client("alice");
        let config = client_config_of(&[&rustls::version::TLS12], &self.gate.pki().ca_cert(), Some(&alice));
        let mut client = RespClient::tls_with(self.gate.address(), &config);
        client.try_send(&request(&["PING"])).and_then(|()| client.try_reply()).is_ok()
    }
}

#[test]
fn every_setting_that_is_changed_in_the_file_is_in_force_without_a_restart() {
    let redis = RedisServer::start();
    let folder = tempfile::tempdir().unwrap();
    let partner = Pki::create(folder.path());
    let mut setup = Respgate::setup(&upstream_of(&redis)).acl_file(ACL).file("first_password", "first\n");
    for key in ["aclfile", "tls-ca-cert-file", "auth-timeout", "maxclients"] {
        setup = setup.without(key);
    }
    setup = setup.setting("unmapped = \"password\"").setting("tls-ca-cert-file = \"clients.crt\"");
    setup = setup.setting("tls-crl-file = [\"empty.crl\", \"partner.crl\"]").setting("crl-expired = \"refuse\"");
    let is_at_top =
        |from: &str| from.contains(" = ") && !["expired", "scripting-users"].iter().any(|key| from.starts_with(key));
    for (from, ..) in ROWS.iter().filter(|(from, ..)| is_at_top(from)) {
        setup = setup.setting(from.trim());
    }
    let named = "[[certificate]]\ncn = [\"alice\", \"carol\"]\nuser = \"%{cn}\"";
    setup = setup.table(named).table("[block]\nscripting-users = []").file("others.acl", "user carol on +@all ~*\n");
    let pki = setup.pki();
    fs::copy(pki.ca_cert(), setup.path("clients.crt")).unwrap();
    fs::copy(partner.ca_cert(), setup.path("partners.crt")).unwrap();
    for (serials, name) in [(&[7][..], "seven.crl"), (&[], "empty.crl")] {
        pki.write_crl(serials);
        fs::copy(pki.crl_file(), setup.path(name)).unwrap();
    }
    partner.write_crl(&[]);
    fs::copy(partner.crl_file(), setup.path("partner.crl")).unwrap();
    chmod(&pki.server().key, 0o644);
    for word in ["reload", "handshake", "0644", "a fast hash", "CRL", "expired", "announce any", "bounds nothing"] {
        setup = setup.expect_log(word);
    }
    let gate = setup.start().settled();
    let session = Stage::half_a_request(&gate).into();
    let stage = Stage { gate, redis, partner, row: None.into(), session };
    for (from, to, effect) in ROWS {
        stage.row.set(Some((from, to)));
        stage.change(from, to);
        effect(&stage);
        stage.put_back();
        eventually("the session to be back", || {
            let identity: Identity = stage.gate.pki().numbered_client("alice", 7);
            let mut client = stage.gate.connect_as(Some(&identity));
            client.try_send(&request(&["PING"])).and_then(|()| client.try_reply()).ok()
        });
        stage.session.replace(Stage::half_a_request(&stage.gate));
    }
    assert!(!stage.gate.log_text().contains("only with a restart"), "{}", stage.gate.log_text());
    stage.gate.edit_config("admin.sock", "other.sock");
    stage.gate.wait_for_log(&["take effect only with a restart", "\"settings\":\"admin-listen\""]);
}

#[test]
fn a_listener_that_is_opened_by_a_reload_is_held_against_the_users_as_at_a_start() {
    let redis = RedisServer::start();
    let setup = Respgate::setup(&upstream_of(&redis)).acl("user default on nopass +@all ~*\nuser alice on +@all ~*\n");
    let gate =
        setup.setting("tls-auth-clients = \"yes\"").expect_log("reload").expect_log("handshake").start().settled();
    gate.edit_config("tls-auth-clients = \"yes\"", "tls-auth-clients = \"optional\"");
    gate.wait_for_log(&["ERROR", "user 'default' is nopass", "clients without a certificate"]);
    let mut nobody = gate.connect_as(None);
    assert!(nobody.try_send(&request(&["PING"])).and_then(|()| nobody.try_reply()).is_err());
    assert_eq!(gate.connect("alice").text(&["PING"]), "+PONG");
}

#[test]
fn more_clients_than_the_file_descriptors_allow_are_no_better_in_a_reload_than_at_a_start() {
    let redis = RedisServer::start();
    let setup = Respgate::setup(&upstream_of(&redis)).acl(ACL).expect_log("reload").expect_log("a fast hash");
    let gate = setup.open_files(1024).start().settled();
    gate.edit_config("maxclients = 100", "maxclients = 1000");
    gate.wait_for_log(&["ERROR", "maxclients = 1000", "ulimit -n"]);
    assert_eq!(gate.connect("alice").text(&["PING"]), "+PONG");
}

#[test]
fn redis_gets_another_password_before_or_after_the_file_and_no_client_notices() {
    let redis = RedisServer::start_with(&["--requirepass", "first"]);
    let setup = Respgate::setup(&upstream_of(&redis)).acl("user alice on +@all ~*\n");
    let setup = setup.file("redis_password", "first\n").setting("reload-interval = \"1h\"");
    let setup = setup.table("[upstream-auth]\npassword-file = \"redis_password\"");
    let gate = setup.expect_log("the upstream refuses the login").start().settled();
    let alice = client_config(&gate.pki().ca_cert(), Some(&gate.pki().client("alice")));
    let (is_over, served) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let connect = || RespClient::tls_with(gate.address(), &alice);
                let mut long = connect();
                while !is_over.load(Ordering::Relaxed) {
                    assert_eq!(connect().text(&["INCR", "short"]).as_bytes()[0], b':');
                    assert_eq!(long.text(&["INCR", "long"]).as_bytes()[0], b':');
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let more_are_served = || {
            let enough = served.load(Ordering::Relaxed) + 10;
            eventually("clients to be served", || (served.load(Ordering::Relaxed) > enough).then_some(()));
        };
        let in_redis = |before: &str, after: &str| {
            let mut direct = redis.direct();
            assert_eq!(direct.text(&["AUTH", before]), "+OK");
            assert_eq!(direct.text(&["CONFIG", "SET", "requirepass", after]), "+OK");
        };
        let in_file = |password: &str| fs::write(gate.path("redis_password"), format!("{password}\n")).unwrap();
        more_are_served();
        for slip in ["slip", "another slip"] {
            let before = gate.in_force().0;
            in_file(slip);
            gate.signal(Signal::HUP);
            eventually("the reload", || (gate.in_force().0 > before).then_some(()));
            more_are_served();
        }
        in_file("second");
        gate.signal(Signal::HUP);
        gate.wait_for_log(&["WARN", "the upstream refuses the login that is configured"]);
        more_are_served();
        in_redis("first", "second");
        more_are_served();
        in_redis("second", "third");
        in_file("third");
        more_are_served();
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn what_was_revoked_stays_so_across_plaintext() {
    let redis = RedisServer::start();
    let mut setup = Respgate::setup(&upstream_of(&redis)).acl(ACL).crl();
    setup.pki().write_crl(&[7]);
    for word in ["reload", "handshake", "a fast hash", "not in the files any more", "no listener asks for one"] {
        setup = setup.expect_log(word);
    }
    let gate = setup.start().settled();
    let revoked = gate.pki().numbered_client("alice", 7);
    let lists = format!("tls-crl-file = {:?}\n", gate.pki().crl_file());
    assert!(!is_served(gate.connect_as(Some(&revoked))));
    take(&gate, &lists, "tls = \"no\"\n");
    assert_eq!(RespClient::plain(gate.address()).text(&["PING"]), "-NOAUTH Authentication required.");
    take(&gate, "tls = \"no\"\n", "");
    assert!(is_served(gate.connect("bob")));
    assert!(!is_served(gate.connect_as(Some(&revoked))));
}

#[test]
fn listeners_whose_files_become_the_same_keep_each_what_it_has_revoked() {
    let stage = Two::start(|pki, _| {
        pki.write_crl(&[7]);
        ["".to_owned(), format!("tls-crl-file = {:?}\n", pki.crl_file())]
    });
    let revoked = stage.gate.pki().numbered_client("alice", 7);
    assert!(!stage.is_served(1, &revoked));
    let lists = format!("tls-crl-file = {:?}\n", stage.gate.pki().crl_file());
    take(&stage.gate, &lists, "");
    assert!(stage.is_served(0, &revoked) && !stage.is_served(1, &revoked));
}

#[test]
fn listeners_whose_files_become_the_same_trust_no_sooner_and_no_shorter_than_each_would_alone() {
    let stage = Two::start(|_, partner| [authorities(&partner.ca_cert()), "".to_owned()]);
    let alice = stage.gate.pki().client("alice");
    let mut inside = stage.connect(1, &alice);
    assert_eq!(inside.text(&["PING"]), "+PONG");
    let elsewhere = "[[listener]]\nlisten = \"127.0.0.1:0\"\n";
    take(&stage.gate, &authorities(&stage.partner.ca_cert()), elsewhere);
    assert!(!stage.is_served(0, &alice), "a listener is opened with a restart, and so the new CA waits");
    assert!(stage.is_served(1, &alice));
    assert_eq!(inside.text(&["PING"]), "+PONG");
}

#[test]
fn a_listener_that_is_to_trust_what_cannot_be_read_does_not_go_on_under_its_name() {
    let stage = Two::start(|_, partner| ["".to_owned(), authorities(&partner.ca_cert())]);
    fs::write(stage.partner.ca_cert(), "nothing\n").unwrap();
    let first = format!("listen = \"{}\"\n", stage.addresses[0]);
    stage.gate.edit_config(&first, &(first.clone() + &authorities(&stage.partner.ca_cert())));
    stage.gate.signal(Signal::HUP);
    stage.gate.wait_for_log(&["kept the old one", "\"cause\":\"signal\""]);
}

/// Two listeners, and a CA beside the own one.
struct Two {
    gate: Respgate,
    addresses: [SocketAddr; 2],
    partner: Pki,
    _redis: RedisServer,
    _folder: tempfile::TempDir,
}

impl Two {
    /// With what their sections say besides.
    fn start(sections: impl FnOnce(&Pki, &Pki) -> [String; 2]) -> Two {
        let redis = RedisServer::start();
        let folder = tempfile::tempdir().unwrap();
        let partner = Pki::create(folder.path());
        let mut setup = Respgate::setup(&upstream_of(&redis)).acl(ACL);
        let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses = ports.each_ref().map(|port| port.local_addr().unwrap());
        drop(ports);
        for (address, section) in addresses.iter().zip(sections(setup.pki(), &partner)) {
            setup = setup.listeners(&format!("[[listener]]\nlisten = \"{address}\"\n{section}"));
        }
        for word in ["reload", "handshake", "a fast hash", "not in the files any more", "not trusted yet", "restart"] {
            setup = setup.expect_log(word);
        }
        Two { gate: setup.start().settled(), addresses, partner, _redis: redis, _folder: folder }
    }

    fn connect(&self, listener: usize, identity: &Identity) -> RespClient {
        RespClient::tls(self.addresses[listener], &self.gate.pki().ca_cert(), Some(identity))
    }

    fn is_served(&self, listener: usize, identity: &Identity) -> bool {
        is_served(self.connect(listener, identity))
    }
}

fn authorities(file: &std::path::Path) -> String {
    format!("tls-ca-cert-file = {file:?}\n")
}

fn is_served(mut client: RespClient) -> bool {
    client.try_send(&request(&["PING"])).and_then(|()| client.try_reply()).is_ok_and(|reply| reply == b"+PONG\r\n")
}

/// Changes the configuration, and returns once it is in force.
fn take(gate: &Respgate, from: &str, to: &str) {
    let before = gate.in_force().0;
    gate.edit_config(from, to);
    eventually("the reload", || (gate.in_force().0 > before).then_some(()));
}

#[test]
fn settings_that_the_acl_file_is_read_by_have_it_read_again() {
    let redis = RedisServer::start();
    let setup = Respgate::setup(&upstream_of(&redis)).acl(ACL).setting("strict-permissions = false");
    let gate = setup.expect_log("reload").expect_log("a fast hash").expect_log("0644").start().settled();
    chmod(&gate.path("users.acl"), 0o644);
    gate.edit_config("strict-permissions = false", "strict-permissions = true");
    gate.wait_for_log(&["ERROR", "users.acl can be read by others"]);
}

fn chmod(path: &std::path::Path, mode: u32) {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

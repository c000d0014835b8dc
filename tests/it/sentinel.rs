//! Sentinel: between the gates of two Redis, and behind one of its own.

use std::fs;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::acl_preset::printed;
use crate::replica::follower;
use crate::support::{RedisServer, Respgate, eventually, folder, request, upstream_of};

#[test]
fn the_replica_becomes_the_master_and_sentinel_needs_nothing_but_what_its_preset_prints() {
    let mut master = RedisServer::start_with(&["--repl-diskless-sync-delay", "0"]);
    let front = gate(&master, None);
    let replica = follower(&front, "copy");
    let other = gate(&replica, Some(&front));
    let mut direct = replica.direct();
    // Sentinel connects to what a replica announces when it begins to replicate.
    for (name, value) in [("ip", other.address().ip().to_string()), ("port", other.address().port().to_string())] {
        assert_eq!(direct.text(&["CONFIG", "SET", &format!("replica-announce-{name}"), &value]), "+OK");
    }
    let announced = format!("port={}", other.address().port());
    assert_eq!(direct.text(&["REPLICAOF", "NO", "ONE"]), "+OK");
    assert_eq!(direct.text(&["REPLICAOF", "127.0.0.1", &front.address().port().to_string()]), "+OK");
    eventually("the replica to be known", || {
        let known = master.direct().text(&["INFO", "replication"]);
        (known.contains(&announced) && known.contains("state=online")).then_some(())
    });

    let _sentinel = Sentinel::start(&front);
    eventually("sentinel to look at the replica", || (replica.calls("publish") > 0).then_some(()));
    master.stop();
    // Sentinel ends every other connection, and at any moment.
    eventually("the replica to be the master", || {
        let mut client = replica.direct();
        let role = client.try_send(&request(&["ROLE"])).and_then(|()| client.try_reply());
        role.is_ok_and(|role| role.starts_with(b"*3\r\n$6\r\nmaster")).then_some(())
    });
    for gate in [front, other] {
        assert!(!gate.log_text().contains(r#""event":"refusal""#), "{}", gate.log_text());
    }
}

#[test]
fn a_sentinel_tells_where_the_master_is_and_lets_nobody_change_that() {
    let master = RedisServer::start();
    let direct = gate(&master, None);
    let sentinel = Sentinel::start(&direct);
    let (asks, _) = printed(&["sentinel-client", "--user", "asks"]);
    let acl = format!("{asks}user all on +@all ~* &*\n");
    // Until it is known what is there.
    let setup = Respgate::setup(&sentinel.upstream()).acl(&acl).expect_log("only Redis can tell what that is");
    let front = setup.start().settled();
    for user in ["asks", "all"] {
        let mut client = front.connect(user);
        let port = direct.address().port().to_string();
        assert!(client.text(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "redis"]).contains(&port));
        assert!(client.text(&["SENTINEL", "MASTERS"]).contains("redis"));
        assert!(client.text(&["SENTINEL", "CKQUORUM", "redis"]).starts_with("+OK 1 usable Sentinels"));
        for line in [
            "SENTINEL SET redis quorum 2",
            "SENTINEL MONITOR other 127.0.0.1 6379 1",
            "SENTINEL REMOVE redis",
            "SENTINEL RESET *",
            "SENTINEL FAILOVER redis",
            "SENTINEL FLUSHCONFIG",
            "SENTINEL CONFIG GET sentinel-pass",
            "SENTINEL DEBUG ping-period 1",
            "SENTINEL SIMULATE-FAILURE crash-after-election",
            "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 6379 1 *",
            "PUBLISH __sentinel__:hello 127.0.0.1,1,a,9,redis,127.0.0.1,6379,9",
            "SHUTDOWN",
        ] {
            let reply = client.text(&line.split(' ').collect::<Vec<_>>());
            assert!(reply.starts_with("-NOPERM"), "{user}: {line}: {reply}");
        }
        assert!(client.text(&["SUBSCRIBE", "+switch-master"]).contains("subscribe"));
    }
}

/// The gate of one of them, for replicas and Sentinel, with the certificates of the first.
fn gate(redis: &RedisServer, first: Option<&Respgate>) -> Respgate {
    let (replica, _) = printed(&["replica", "--user", "copy"]);
    let (sentinel, tables) = printed(&["sentinel", "--user", "sentinel"]);
    let tables = tables.replace("[\"sentinel\"]", "[\"sentinel\", \"copy\"]");
    let copy = "[[certificate]]\ncn = \"copy\"\nuser = \"copy\"\n";
    let setup =
        Respgate::setup(&upstream_of(redis)).acl_file(&format!("{replica}{sentinel}")).table(&tables).table(copy);
    let setup = setup.expect_log("upstream");
    match first {
        Some(first) => {
            let (pki, server) = (first.pki(), first.pki().server());
            let setup = setup.setting(&format!("tls-ca-cert-file = {:?}", pki.ca_cert()));
            let setup = setup.setting(&format!("tls-cert-file = {:?}", server.cert));
            setup.setting(&format!("tls-key-file = {:?}", server.key))
        }
        None => setup,
    }
    .start()
}

struct Sentinel {
    child: Child,
    dir: TempDir,
}

impl Sentinel {
    fn start(gate: &Respgate) -> Sentinel {
        let dir = folder();
        let (identity, ca) = (gate.pki().client("sentinel"), gate.pki().ca_cert());
        let config = format!(
            "port 0\nunixsocket {dir}/sentinel.sock\ndir {dir}\nlogfile {dir}/log\ntls-replication yes\n\
             tls-cert-file {cert}\ntls-key-file {key}\ntls-ca-cert-file {ca}\n\
             sentinel monitor redis 127.0.0.1 {port} 1\nsentinel down-after-milliseconds redis 3000\n",
            dir = dir.path().display(),
            cert = identity.cert.display(),
            key = identity.key.display(),
            ca = ca.display(),
            port = gate.address().port(),
        );
        let file = dir.path().join("sentinel.conf");
        fs::write(&file, config).unwrap();
        let child =
            Command::new("redis-server").arg(file).arg("--sentinel").stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        Sentinel { child: child.expect("redis-server is installed"), dir }
    }

    /// Where it listens, once it does.
    fn upstream(&self) -> String {
        let socket = self.dir.path().join("sentinel.sock");
        eventually("sentinel to listen", || UnixStream::connect(&socket).ok());
        format!("unix:{}", socket.display())
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! Replication through the proxy, for a user who may, and nothing but replication.

use crate::support::{RedisServer, RespClient, Respgate, eventually, request, upstream_of};

const ACL: &str = "user replica on +psync +replconf +ping\nuser admin on +@all ~* &*\n";
/// A user for whom nothing is blocked has to be named by a rule.
const TABLES: &str = "[block]
exempt-users = [\"replica\", \"admin\"]

[[certificate]]
cn = \"replica\"
user = \"replica\"

[[certificate]]
cn = \"admin\"
user = \"admin\"";

#[test]
fn a_real_replica_follows_its_master_through_the_proxy() {
    let (master, gate) = start();
    let mut direct = master.direct();
    assert_eq!(direct.text(&["SET", "before", "1"]), "+OK");
    let replica = follower(&gate, "replica");
    let mut copy = replica.direct();
    eventually("the first synchronisation", || (copy.text(&["GET", "before"]) == "$1\r\n1").then_some(()));
    assert_eq!(direct.text(&["SET", "after", "2"]), "+OK");
    eventually("the stream of changes", || (copy.text(&["GET", "after"]) == "$1\r\n2").then_some(()));
    assert_eq!(direct.text(&["WAIT", "1", "10000"]), ":1", "acknowledgements reach the master");
    assert!(direct.text(&["INFO", "replication"]).contains("state=online"));
}

#[test]
fn after_psync_no_command_reaches_redis() {
    for command in
        [&["CONFIG", "SET", "maxmemory", "1mb"][..], &["FLUSHALL"], &["ACL", "SETUSER", "eve", "on"], &["QUIT"]]
    {
        let (redis, gate) = start();
        assert_eq!(redis.direct().text(&["SET", "a", "1"]), "+OK");
        let mut client = synchronised(&gate);
        let _ = client.try_send(&request(command));
        let (stream, _end) = client.read_to_end();
        assert!(!String::from_utf8_lossy(&stream).contains("-ERR"), "{command:?}");
        gate.wait_for_log(&["replication-misuse"]);
        for name in ["config|set", "flushall", "acl|setuser", "quit"] {
            assert_eq!(redis.calls(name), 0, "{name}");
        }
        assert_eq!(redis.direct().text(&["GET", "a"]), "$1\r\n1");
    }
}

#[test]
fn who_may_replicate_makes_no_replica_the_primary() {
    let (_master, of_master) = start();
    let replica = follower(&of_master, "replica");
    let gate = Respgate::setup(&upstream_of(&replica)).acl_file(ACL).table(TABLES).start();
    let mut direct = replica.direct();
    let id = eventually("the link", || {
        let info = direct.text(&["INFO", "replication"]);
        let id = info.split("master_replid:").nth(1).and_then(|rest| rest.get(..40)).map(str::to_owned);
        id.filter(|_| info.contains("master_link_status:up"))
    });
    let text = gate.connect("replica").text(&["PSYNC", &id, "1", "FAILOVER"]);
    assert_eq!(text, "-NOPERM this user has no permissions to run the 'replicaof' command");
    assert!(direct.text(&["INFO", "replication"]).contains("role:slave"));
}

#[test]
fn who_may_not_replicate_is_refused() {
    let redis = RedisServer::start();
    let gate = Respgate::start(&redis, "user alice on +@all ~* &*\nuser bob on +get ~*\n");
    for user in ["alice", "bob"] {
        let text = gate.connect(user).text(&["PSYNC", "?", "-1"]);
        assert_eq!(text, "-NOPERM this user has no permissions to run the 'psync' command (blocked by respgate)");
    }
    assert_eq!(redis.calls("psync"), 0);
}

/// A Redis that follows the one behind the gate, with the certificate of this name.
pub(crate) fn follower(gate: &Respgate, common_name: &str) -> RedisServer {
    let identity = gate.pki().client(common_name);
    let port = gate.address().port().to_string();
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let (cert, key, ca) = (path(&identity.cert), path(&identity.key), path(&gate.pki().ca_cert()));
    RedisServer::start_with(&[
        "--replicaof",
        "127.0.0.1",
        &port,
        "--tls-replication",
        "yes",
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &ca,
    ])
}

/// A client that Redis takes for a replica.
fn synchronised(gate: &Respgate) -> RespClient {
    let mut client = gate.connect("admin");
    client.send(&request(&["PSYNC", "?", "-1"]));
    let begin = client.read_exactly(11);
    assert_eq!(String::from_utf8_lossy(&begin), "+FULLRESYNC");
    client
}

fn start() -> (RedisServer, Respgate) {
    let redis = RedisServer::start_with(&["--repl-diskless-sync-delay", "0"]);
    let gate = Respgate::setup(&upstream_of(&redis)).acl_file(ACL).table(TABLES).start();
    (redis, gate)
}

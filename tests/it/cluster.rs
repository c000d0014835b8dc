//! In front of one node of a Redis Cluster: what it says of the others reaches the client as it is.

use crate::support::{RedisServer, RespClient, Respgate, eventually, upstream_of};

/// CLUSTER SETSLOT is blocked by default.
const CONFIG: &str = "[block]\ncommands = [\"FLUSHALL\"]\n";
const ACL: &str = "user alice on +@all ~* &*\n";

/// In a slot of ours, and in the same slot as `{bar}2`.
const OURS: &str = "bar";
const OURS_SLOT: &str = "5061";
/// In a slot of the other node.
const THEIRS: &str = "foo";

#[test]
fn redirections_and_cluster_commands_are_those_of_the_node() {
    let cluster = Cluster::start();
    assert_eq!(cluster.node.direct().text(&["SET", OURS, "1"]), "+OK");
    let ask = ["CLUSTER", "SETSLOT", OURS_SLOT, "MIGRATING", &cluster.other_id];
    let lines: [&[&str]; 18] = [
        &["CLUSTER", "KEYSLOT", OURS],
        &["CLUSTER", "SLOTS"],
        &["CLUSTER", "SHARDS"],
        &["CLUSTER", "MYID"],
        &["CLUSTER", "COUNTKEYSINSLOT", OURS_SLOT],
        &["GET", THEIRS],
        &["MGET", OURS, THEIRS],
        &["READONLY"],
        &["GET", THEIRS],
        &["READWRITE"],
        &["SELECT", "1"],
        &["MULTI"],
        &["GET", THEIRS],
        &["GET", OURS],
        &["EXEC"],
        &ask,
        &["GET", "{bar}2"],
        &["CLUSTER", "SETSLOT", OURS_SLOT, "STABLE"],
    ];
    let transcript = |mut client: RespClient| lines.map(|line| client.text(line));
    let expected = transcript(cluster.node.direct());
    assert_eq!(transcript(cluster.gate.connect("alice")), expected);
    for redirection in ["-MOVED 12182 127.0.0.1:", "-CROSSSLOT", "-EXECABORT", "-ASK 5061 127.0.0.1:"] {
        assert!(expected.iter().any(|reply| reply.starts_with(redirection)), "{redirection} {expected:?}");
    }
}

#[test]
fn a_shard_channel_whose_slot_moves_away_ends_the_subscription() {
    let cluster = Cluster::start();
    for hello in ["2", "3"] {
        let mut client = cluster.gate.connect("alice");
        client.call(&["HELLO", hello]);
        assert!(client.text(&["SSUBSCRIBE", OURS]).ends_with(":1"));
        let mut direct = cluster.node.direct();
        assert_eq!(direct.text(&["CLUSTER", "SETSLOT", OURS_SLOT, "NODE", &cluster.other_id]), "+OK");
        assert!(client.reply_text().ends_with(":0"), "Redis ends it by itself");
        assert!(client.text(&["GET", OURS]).starts_with("-MOVED 5061 "), "nothing is subscribed any more");
        assert_eq!(direct.text(&["CLUSTER", "SETSLOT", OURS_SLOT, "NODE", &cluster.own_id]), "+OK");
        eventually("the slot to be ours again", || direct.text(&["GET", OURS]).starts_with('$').then_some(()));
    }
}

/// Two nodes that share the slots, and a respgate before the first.
struct Cluster {
    /// It ends first: it would log the end of the others.
    gate: Respgate,
    node: RedisServer,
    _other: RedisServer,
    own_id: String,
    other_id: String,
}

impl Cluster {
    fn start() -> Self {
        let nodes = [(); 2].map(|()| RedisServer::start_with(&["--cluster-enabled", "yes"]));
        let [mut own, mut other] = [nodes[0].direct(), nodes[1].direct()];
        assert_eq!(own.text(&["CLUSTER", "ADDSLOTSRANGE", "0", "8191"]), "+OK");
        assert_eq!(other.text(&["CLUSTER", "ADDSLOTSRANGE", "8192", "16383"]), "+OK");
        let port = nodes[1].address().port().to_string();
        assert_eq!(own.text(&["CLUSTER", "MEET", "127.0.0.1", &port]), "+OK");
        for client in [&mut own, &mut other] {
            eventually("the nodes to know each other", || {
                client.text(&["CLUSTER", "INFO"]).contains("cluster_state:ok").then_some(())
            });
        }
        let [own_id, other_id] = [id_of(&mut own), id_of(&mut other)];
        let [node, other] = nodes;
        let gate = Respgate::setup(&upstream_of(&node)).acl(ACL).table(CONFIG).start();
        Self { gate, node, _other: other, own_id, other_id }
    }
}

fn id_of(node: &mut RespClient) -> String {
    let reply = node.text(&["CLUSTER", "MYID"]);
    reply.rsplit("\r\n").next().unwrap().to_owned()
}

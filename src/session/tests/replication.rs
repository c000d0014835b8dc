//! SYNC and PSYNC: opaque from Redis to the client, and in no other direction.

use super::rig::{OPEN, Rig, request};
use crate::command::{CommandTable, Dialect};
use crate::policy::{Blocklist, Policy};
use crate::session::CloseReason;

fn replica() -> Rig {
    let mut rig = Rig::new(OPEN);
    rig.client(&[request("PING"), request("REPLCONF listening-port 1"), request("PSYNC ? -1")].concat());
    assert_eq!(rig.forwarded(), "PING\nREPLCONF listening-port 1");
    rig.redis("+PONG\r\n+OK\r\n");
    assert_eq!(rig.forwarded(), "PSYNC ? -1");
    rig.redis("+FULLRESYNC 0123 0\r\n$EOF:no frame at all\r\n\n\n*1\r\n$4\r\nPING\r\n");
    assert_eq!(rig.heard(), "+PONG\r\n+OK\r\n+FULLRESYNC 0123 0\r\n$EOF:no frame at all\r\n\n\n*1\r\n$4\r\nPING\r\n");
    rig
}

#[test]
fn what_redis_sends_after_psync_passes_untouched() {
    let mut rig = replica();
    rig.redis("anything\0at all");
    assert_eq!((rig.heard().as_str(), rig.closed), ("anything\0at all", None));
}

#[test]
fn acknowledgements_go_on_without_a_reply() {
    let mut rig = replica();
    rig.client(&[request("REPLCONF ACK 1"), request("PING")].concat());
    assert_eq!(rig.forwarded(), "REPLCONF ACK 1\nPING");
    assert_eq!(rig.heard(), "");
}

#[test]
fn what_has_no_reply_is_refused_before_psync() {
    let refused = "-ERR respgate: not possible before SYNC or PSYNC\r\n";
    for words in ["ACK 0", "capa eof ack 0", "GETACK *", "ACK\0x 0", "ACK 0 FACK 0", "nosuch 1"] {
        let mut rig = Rig::new(OPEN);
        rig.client(&[request(&format!("REPLCONF {words}")), request("PING")].concat());
        assert_eq!((rig.heard().as_str(), rig.forwarded().as_str()), (refused, "PING"), "{words}");
    }
    for words in ["listening-port 1", "ip-address 127.0.0.1 CAPA eof", "rdb-only 1", "ack"] {
        let mut rig = Rig::new(OPEN);
        rig.say(&format!("REPLCONF {words}"));
        assert_eq!(rig.forwarded(), format!("REPLCONF {words}"));
    }
}

#[test]
fn what_nodes_of_a_cluster_say_to_each_other_is_refused() {
    let mut rig = Rig::new(OPEN);
    let table = CommandTable::builtin(Dialect::Valkey91);
    let blocklist = Blocklist::build(&[], &[], &[], &table).unwrap();
    let acl = rig.policy.acl.recompiled(&table);
    rig.policy = Policy { generation: rig.policy.generation + 1, acl, blocklist, table, ..rig.policy.clone() };
    rig.client(&[request("CLUSTER SYNCSLOTS ACK"), request("PING")].concat());
    assert_eq!(rig.heard(), "-ERR respgate: not possible through the proxy\r\n");
    assert_eq!(rig.forwarded(), "PING");
    rig.redis("+PONG\r\n");
    rig.heard();
    let large = request(&format!("CLUSTER SYNCSLOTS ACK {}", "x".repeat(100_000)));
    large.chunks(10_000).for_each(|piece| rig.client(piece));
    assert_eq!(rig.heard(), "-ERR respgate: not possible through the proxy\r\n");
    assert_eq!(rig.forwarded(), "");
}

#[test]
fn anything_else_after_psync_ends_the_session_and_reaches_neither_side() {
    for line in [
        "CONFIG SET maxmemory 1",
        "FLUSHALL",
        "ACL SETUSER x on",
        "ACL WHOAMI",
        "GET a",
        "SET a 1",
        "AUTH default x",
        "HELLO 3",
        "RESET",
        "QUIT",
        "NOSUCH",
        "PSYNC ? -1",
        "MULTI",
    ] {
        let mut rig = replica();
        rig.say(line);
        assert_eq!(rig.closed, Some(CloseReason::ReplicationMisuse), "{line}");
        assert_eq!((rig.forwarded().as_str(), rig.heard().as_str()), ("", ""), "{line}");
    }
}

/// What Valkey says to a replica that is to get the snapshot by a connection of its own.
const ELSEWHERE: &str = "+DUALCHANNELSYNC\r\n";

#[test]
fn a_replica_that_is_sent_to_another_connection_for_the_snapshot_says_psync_once_more() {
    for piece in 1..=ELSEWHERE.len() {
        let mut rig = Rig::new(OPEN);
        rig.say("PSYNC ? -1");
        ELSEWHERE.as_bytes().chunks(piece).for_each(|bytes| rig.redis(bytes));
        rig.say("REPLCONF set-rdb-client-id 5");
        rig.redis("+OK\r\n");
        rig.say("PSYNC 0123 1");
        rig.redis("+CONTINUE 0123\r\n");
        rig.say("REPLCONF ACK 0");
        assert_eq!(rig.forwarded(), "PSYNC ? -1\nREPLCONF set-rdb-client-id 5\nPSYNC 0123 1\nREPLCONF ACK 0");
        assert_eq!((rig.heard(), rig.closed), (format!("{ELSEWHERE}+OK\r\n+CONTINUE 0123\r\n"), None));
        rig.say("PSYNC 0123 1");
        assert_eq!(rig.closed, Some(CloseReason::ReplicationMisuse));
        assert_eq!(rig.forwarded(), "");
    }
}

#[test]
fn a_replica_that_is_sent_to_another_connection_may_do_nothing_else_meanwhile() {
    for line in ["SYNC", "GET a", "CONFIG GET maxmemory", "MULTI", "RESET"] {
        let mut rig = Rig::new(OPEN);
        rig.say("PSYNC ? -1");
        rig.redis(ELSEWHERE);
        rig.say(line);
        assert_eq!(rig.closed, Some(CloseReason::ReplicationMisuse), "{line}");
        assert_eq!(rig.forwarded(), "PSYNC ? -1", "{line}");
    }
}

#[test]
fn nothing_but_the_answer_to_psync_lets_a_replica_say_it_again() {
    for said in [
        "",
        "+DUALCHANNELSYNC\r",
        "+DUALCHANNELSYNCS\r\n",
        "\n+DUALCHANNELSYNC\r\n",
        "+OK\r\n+DUALCHANNELSYNC\r\n",
        "+FULLRESYNC 0123 0\r\n$EOF:x\r\n+DUALCHANNELSYNC\r\n",
        "-ERR no\r\n",
    ] {
        let mut rig = Rig::new(OPEN);
        rig.say("PSYNC ? -1");
        rig.redis(said);
        rig.say("PSYNC ? -1");
        assert_eq!(rig.closed, Some(CloseReason::ReplicationMisuse), "{said}");
        assert_eq!((rig.forwarded().as_str(), rig.heard().as_str()), ("PSYNC ? -1", said));
    }
    let mut rig = Rig::new(OPEN);
    rig.say("SYNC");
    rig.redis(ELSEWHERE);
    rig.say("PSYNC ? -1");
    assert_eq!(rig.closed, Some(CloseReason::ReplicationMisuse), "SYNC is never answered so");
}

#[test]
fn psync_that_makes_a_replica_the_primary_takes_the_right_to_replicaof() {
    const REFUSED: &str = "-NOPERM this user has no permissions to run the 'replicaof' command\r\n";
    for (rules, words, is_refused) in [
        ("+psync", "PSYNC 0123 1 FAILOVER", true),
        ("+psync", "PSYNC 0123 1 failover", true),
        ("+psync", "PSYNC 0123 1 FAILOVER\0x", true),
        ("+psync +replicaof", "PSYNC 0123 1 FAILOVER", false),
        ("+psync", "PSYNC 0123 1", false),
    ] {
        let mut rig = Rig::new(&format!("user default on nopass {rules}\n"));
        rig.say(words);
        let forwarded = if is_refused { "" } else { words };
        assert_eq!(
            (rig.heard().as_str(), rig.forwarded().as_str()),
            (if is_refused { REFUSED } else { "" }, forwarded)
        );
    }
    let mut rig = Rig::new("user default on nopass +psync\n");
    rig.say("PSYNC ? -1");
    rig.redis(ELSEWHERE);
    rig.say("PSYNC 0123 1 FAILOVER");
    assert_eq!((rig.forwarded().as_str(), rig.closed), ("PSYNC ? -1", Some(CloseReason::ReplicationMisuse)));
    let mut rig = Rig::new("user default on nopass +@all\n");
    rig.block(&["replicaof"]);
    rig.say("PSYNC 0123 1 FAILOVER");
    assert!(rig.heard().ends_with("'replicaof' command (blocked by respgate)\r\n"));
    assert_eq!(rig.forwarded(), "");
}

/// Redis takes it as a sign of life of a replica that is loading, and ends one that gives none for `repl-timeout`.
#[test]
fn blank_lines_of_a_replica_that_is_loading_reach_redis() {
    let mut rig = replica();
    rig.sent();
    rig.client(b"\n");
    rig.client(b"\n\n");
    assert_eq!(rig.sent(), b"\n\n\n");
    let mut rig = Rig::new(OPEN).with_outstanding("PING");
    rig.sent();
    rig.client(b"\n");
    assert_eq!(rig.sent(), b"", "of anybody else they are nothing");
}

#[test]
fn no_text_of_ours_gets_into_the_stream_of_a_replica() {
    let mut rig = replica();
    rig.client(b"*1\r\n$+4\r\nPING\r\n");
    assert_eq!((rig.heard().as_str(), rig.closed.is_some()), ("", true));
    let mut rig = replica();
    rig.client(format!("*3\r\n$6\r\nCONFIG\r\n$3\r\nSET\r\n$70000\r\n{}", "x".repeat(70_000)).as_bytes());
    rig.client(b"\r\n");
    assert_eq!((rig.heard().as_str(), rig.closed), ("", Some(CloseReason::ReplicationMisuse)));
    let mut rig = replica();
    rig.client(format!("*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$2000000\r\n{}", "x".repeat(2_000_000)).as_bytes());
    assert_eq!((rig.heard().as_str(), rig.closed.is_some()), ("", true));
}

#[test]
fn a_replica_is_not_idle_and_is_gone_when_it_leaves() {
    let mut rig = replica();
    rig.wait(super::rig::IDLE_TIMEOUT * 10);
    assert_eq!(rig.closed, None);
    rig.client_leaves();
    assert_eq!(rig.closed, Some(CloseReason::ClientGone));
}

#[test]
fn sync_inline_is_forwarded_like_psync() {
    let mut rig = Rig::new(OPEN);
    rig.client(b"SYNC\r\n");
    assert_eq!(rig.forwarded(), "SYNC");
    rig.redis("$4\r\nabcd");
    rig.say("FLUSHALL");
    assert_eq!((rig.heard().as_str(), rig.closed), ("$4\r\nabcd", Some(CloseReason::ReplicationMisuse)));
}

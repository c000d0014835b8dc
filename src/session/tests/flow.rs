//! Flow control: what waits where, and for how long.

use super::rig::{HALF_CLOSE_TIMEOUT, HOLD_BUFFER, OPEN, Rig, request};
use crate::session::CloseReason;

const MIB: usize = 1 << 20;

#[test]
fn redis_never_owes_more_than_256_replies() {
    let mut rig = Rig::new(OPEN);
    rig.client(&request("GET a").repeat(1000));
    assert_eq!(rig.forwarded().lines().count(), 64, "nobody knows yet how large they are");
    rig.redis("$1\r\nv\r\n".repeat(64));
    assert_eq!(rig.forwarded().lines().count(), 256);
    rig.redis("$1\r\nv\r\n");
    assert_eq!(rig.forwarded(), "GET a");
    rig.redis("$1\r\nv\r\n".repeat(256));
    assert_eq!(rig.forwarded().lines().count(), 256);
}

#[test]
fn redis_owes_few_replies_where_they_are_large() {
    let mut rig = Rig::new(OPEN);
    rig.client(&request("GET big").repeat(200));
    let big = format!("${MIB}\r\n{}\r\n", "x".repeat(MIB));
    let mut owed = rig.forwarded().lines().count();
    let mut answered = 0;
    while owed > 0 {
        rig.redis(&big);
        owed = owed - 1 + rig.forwarded().lines().count();
        answered += 1;
        assert!(answered < 64 || owed <= 2, "{owed} after {answered}");
    }
    assert_eq!((answered, rig.heard().len()), (200, 200 * big.len()));
}

#[test]
fn a_pipeline_written_before_its_replies_are_read_completes() {
    let mut rig = Rig::new(OPEN);
    rig.client_reads = false;
    let requests = HOLD_BUFFER / 2 / request("INCR n").len();
    rig.client(&request("INCR n").repeat(requests));
    let mut answered = 0;
    loop {
        match rig.forwarded().lines().count() {
            0 => break,
            some => {
                answered += some;
                rig.redis(":1\r\n".repeat(some));
            }
        }
    }
    assert_eq!((answered, rig.closed), (requests, None));
    rig.client_reads(true);
    assert_eq!(rig.heard().len(), requests * 4);
}

#[test]
fn a_client_that_takes_no_replies_is_held_and_then_cut() {
    let mut rig = Rig::new(OPEN);
    rig.client_reads = false;
    let big = format!("${MIB}\r\n{}\r\n", "x".repeat(MIB));
    rig.client(&request("GET big").repeat(600));
    let mut forwarded = rig.forwarded().lines().count();
    for _ in 0..10 {
        rig.redis(&big);
        forwarded += rig.forwarded().lines().count();
    }
    assert!(forwarded <= 258, "{forwarded}");
    assert!(rig.held() <= 4 * MIB, "{} bytes", rig.held());
    assert_eq!(rig.closed, None);
    rig.client(&request("GET big").repeat(HOLD_BUFFER / request("GET big").len()));
    assert_eq!(rig.closed, Some(CloseReason::UnreadReplies));
}

#[test]
fn a_hold_that_is_full_before_the_replies_come_is_cut_when_they_stay_unread() {
    let mut rig = Rig::new(OPEN);
    rig.client_reads = false;
    rig.client(&request("GET big").repeat(HOLD_BUFFER / 10));
    assert_eq!(rig.closed, None);
    rig.redis(format!("${MIB}\r\n{}\r\n", "x".repeat(MIB)).repeat(2));
    assert_eq!(rig.closed, Some(CloseReason::UnreadReplies));
}

#[test]
fn answers_of_ours_that_nobody_reads_are_bounded() {
    let users: String = (0..2000).map(|n| format!("user user-with-a-long-name-{n} on +get\n")).collect();
    let mut rig = Rig::new(&format!("{OPEN}{users}"));
    rig.client_reads = false;
    rig.client(&request("ACL USERS").repeat(3000));
    assert!(rig.held() < 4 * MIB, "{} bytes", rig.held());
    rig.client_reads(true);
    assert_eq!(rig.heard().matches("*2001\r\n").count(), 3000);
    assert_eq!(rig.closed, None);
}

#[test]
fn a_large_request_is_no_full_hold_though_replies_are_unread() {
    let mut rig = Rig::new(OPEN);
    rig.client_reads = false;
    rig.say("GET big");
    rig.redis(format!("${MIB}\r\n{}\r\n", "x".repeat(MIB)));
    let value = "v".repeat(HOLD_BUFFER + 1000);
    rig.say(&format!("MSET a {value} b 1"));
    assert_eq!(rig.closed, None);
    assert!(rig.forwarded().ends_with(" b 1"));
}

#[test]
fn redis_is_not_read_while_the_client_does_not_read() {
    let mut rig = Rig::new(OPEN);
    rig.client_reads = false;
    rig.say("GET big");
    let big = format!("${}\r\n{}\r\n", 8 * MIB, "x".repeat(8 * MIB));
    rig.redis(&big);
    assert!(rig.held() <= MIB + (128 << 10), "{} bytes", rig.held());
    rig.client_reads(true);
    assert_eq!(rig.heard().len(), big.len());
}

#[test]
fn the_client_is_not_read_while_redis_does_not_read() {
    let mut rig = Rig::new(OPEN);
    rig.redis_reads = false;
    rig.client(format!("*3\r\n$3\r\nSET\r\n$1\r\na\r\n${}\r\n{}", 8 * MIB, "x".repeat(8 * MIB)).as_bytes());
    assert!(rig.held() <= MIB, "{} bytes", rig.held());
}

#[test]
fn a_request_that_has_to_be_held_is_bounded() {
    let mut rig = Rig::new(OPEN);
    rig.client(format!("*5\r\n$4\r\nMSET\r\n$1\r\na\r\n${}\r\n{}", 2 * MIB, "x".repeat(2 * MIB)).as_bytes());
    assert_eq!(rig.heard(), "-ERR respgate: request too large\r\n");
    assert_eq!((rig.closed, rig.forwarded().as_str()), (Some(CloseReason::RequestTooLarge), ""));
}

#[test]
fn many_small_arguments_count_with_their_table() {
    let mut rig = Rig::new(OPEN);
    rig.client(b"*1000000\r\n$3\r\nDEL\r\n");
    rig.client(&b"$1\r\nk\r\n".repeat(120_000));
    assert_eq!(rig.heard(), "-ERR respgate: request too large\r\n");
}

#[test]
fn whatever_a_session_keeps_of_a_request_is_accounted_for() {
    // No longer than a password may be.
    let words = vec!["word"; 3_200].join(" ");
    for line in [
        format!("BLPOP {words} 0"),
        format!("PSYNC ? {words}"),
        format!("ACL SETUSER bob {words}"),
        format!("AUTH default {}", words.replace(' ', "-")),
        format!("HELLO 3 AUTH default {}", words.replace(' ', "-")),
    ] {
        let mut rig = Rig::new("user default on >secret ~* &* +@all\nuser ops on nopass ~* &* +@all\n");
        rig.administers = false;
        rig.say("AUTH ops any");
        rig.say("GET a");
        assert!(rig.core.memory() < 1024, "{}", rig.core.memory());
        rig.say(&line);
        assert!(rig.core.memory() >= words.len(), "{} bytes of {}", rig.core.memory(), &line[..30]);
    }
}

#[test]
fn the_beginning_of_a_streamed_request_is_accounted_for_until_its_end() {
    let mut rig = Rig::new(OPEN);
    rig.client(&[&b"*10002\r\n$5\r\nRPUSH\r\n"[..], &b"$4\r\nword\r\n".repeat(10_000), b"$90000\r\nv"].concat());
    assert!(rig.core.memory() >= 40_000, "{}", rig.core.memory());
    rig.client(&[&b"v".repeat(89_999)[..], b"\r\n"].concat());
    rig.redis(":10000\r\n");
    assert!(rig.core.memory() < 1024, "{}", rig.core.memory());
}

#[test]
fn small_answers_that_wait_are_accounted_for_with_their_places() {
    let mut rig = Rig::new(OPEN);
    rig.say("GET a");
    rig.client(&[request("MULTI"), request("NO-SUCH")].concat());
    rig.client(&request("NO-SUCH").repeat(10_000));
    let places = rig.core.memory();
    assert!(places >= 10_000 * ("+QUEUED\r\n".len() + 32), "{places}");
    rig.redis("$-1\r\n+OK\r\n-ERR unknown command\r\n");
    assert!(rig.core.memory() < 1024, "{}", rig.core.memory());
}

#[test]
fn subscriptions_are_accounted_for_with_their_places() {
    let mut rig = Rig::new(OPEN);
    let names: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    rig.say(&format!("SUBSCRIBE {}", names.join(" ")));
    assert!(rig.core.memory() >= names.concat().len() + 1000 * 8, "{}", rig.core.memory());
    for (at, name) in names.iter().enumerate() {
        rig.redis(format!("*3\r\n$9\r\nsubscribe\r\n${}\r\n{name}\r\n:{}\r\n", name.len(), at + 1));
    }
    assert!(rig.core.memory() >= 1000 * 32, "{}", rig.core.memory());
}

#[test]
fn many_names_of_subscriptions_are_freed_elsewhere_and_few_with_the_session() {
    let subscribed = |count: usize| {
        let mut rig = Rig::new(OPEN);
        for name in 0..count {
            rig.say(&format!("SUBSCRIBE {name:04}"));
            rig.redis(format!("*3\r\n$9\r\nsubscribe\r\n$4\r\n{name:04}\r\n:{}\r\n", name + 1));
        }
        rig
    };
    assert!(subscribed(10).core.take_to_free().is_none());
    let mut ends = subscribed(1000);
    assert!(ends.core.take_to_free().is_some());
    assert!(ends.core.take_to_free().is_none(), "they have gone");
    let mut resets = subscribed(1000);
    resets.say("RESET");
    assert_eq!(resets.freed, 1);
}

#[test]
fn a_session_keeps_no_memory_of_a_large_request() {
    let mut rig = Rig::new(OPEN);
    rig.client(&[&b"*50001\r\n$3\r\nDEL\r\n"[..], &b"$1\r\nk\r\n".repeat(50_000)].concat());
    assert!(rig.sent().len() > 50_000);
    assert!(rig.core.kept() < 1024, "{}", rig.core.kept());
    rig.client(format!("ECHO {}\r\n", "x".repeat(60_000)).as_bytes());
    assert!(rig.core.kept() < 1024, "{}", rig.core.kept());
}

#[test]
fn what_is_owed_to_a_client_that_left_is_delivered_in_time() {
    let mut rig = Rig::new(OPEN);
    rig.client(&[request("GET a"), request("GET b")].concat());
    rig.client_leaves();
    assert_eq!(rig.closed, None);
    rig.redis("$1\r\n1\r\n$1\r\n2\r\n");
    assert_eq!((rig.heard().as_str(), rig.closed), ("$1\r\n1\r\n$1\r\n2\r\n", Some(CloseReason::ClientGone)));
    let mut rig = Rig::new(OPEN);
    rig.say("GET a");
    rig.client_leaves();
    rig.wait(HALF_CLOSE_TIMEOUT);
    assert_eq!(rig.closed, Some(CloseReason::HalfCloseTimeout));
}

#[test]
fn requests_that_waited_when_the_client_left_are_still_executed() {
    let mut rig = Rig::new(OPEN);
    rig.client(&request("INCR n").repeat(1000));
    rig.client_leaves();
    let mut answered = 0;
    while rig.closed.is_none() {
        let some = rig.forwarded().lines().count();
        answered += some;
        rig.redis(":1\r\n".repeat(some));
    }
    assert_eq!((answered, rig.heard().len()), (1000, 4000));
}

#[test]
fn half_a_request_of_a_client_that_left_is_dropped() {
    let mut rig = Rig::new(OPEN);
    rig.client(b"*2\r\n$3\r\nGET\r\n$1\r\n");
    rig.client_leaves();
    assert_eq!((rig.closed, rig.forwarded().as_str()), (Some(CloseReason::ClientGone), ""));
}

#[test]
fn a_blocked_client_that_leaves_is_gone_at_once() {
    for line in ["BLPOP q 0", "XREAD BLOCK 0 STREAMS s $", "BLMOVE a b LEFT LEFT 0"] {
        let mut rig = Rig::new(OPEN);
        rig.say(line);
        rig.client_leaves();
        assert_eq!(rig.closed, Some(CloseReason::ClientGone), "{line}");
    }
}

#[test]
fn a_client_that_left_is_gone_as_soon_as_a_blocking_command_is_the_oldest() {
    let mut rig = Rig::new(OPEN);
    rig.client(&[request("GET a"), request("BLPOP q 0")].concat());
    rig.client_leaves();
    assert_eq!(rig.closed, None);
    rig.redis("$1\r\n1\r\n");
    assert_eq!((rig.heard().as_str(), rig.closed), ("$1\r\n1\r\n", Some(CloseReason::ClientGone)));
}

#[test]
fn reading_a_stream_without_block_is_not_blocking() {
    let mut rig = Rig::new(OPEN);
    rig.say("XREAD COUNT 1 STREAMS s 0");
    rig.client_leaves();
    assert_eq!(rig.closed, None);
    rig.redis("*-1\r\n");
    assert_eq!(rig.heard(), "*-1\r\n");
}

#[test]
fn what_is_to_have_no_reply_is_done_before_the_session_ends() {
    for end in ["QUIT", "leaves", "RESET"] {
        let mut rig = Rig::new(OPEN);
        rig.redis_reads = false;
        rig.client(&[request("CLIENT REPLY OFF"), request("SET a 1"), request("SET b 2")].concat());
        match end {
            "leaves" => rig.client_leaves(),
            line => rig.say(line),
        }
        assert_eq!(rig.closed, None, "{end}");
        rig.redis_reads = true;
        rig.wait(std::time::Duration::ZERO);
        assert_eq!((rig.forwarded().as_str(), rig.closed), ("SET a 1\nSET b 2", None), "{end}");
        rig.redis("+OK\r\n+OK\r\n");
        assert_eq!(rig.closed.is_some(), end != "RESET", "{end}");
    }
}

#[test]
fn a_redis_that_takes_nothing_does_not_keep_the_session_of_a_client_that_left() {
    let mut rig = Rig::new(OPEN);
    rig.redis_reads = false;
    rig.client(&[request("CLIENT REPLY OFF"), request("SET a 1")].concat());
    rig.client_leaves();
    rig.wait(HALF_CLOSE_TIMEOUT);
    assert!(rig.closed.is_some());
}

#[test]
fn a_client_that_leaves_before_its_requests_were_looked_at_has_them_executed() {
    let mut rig = Rig::new(OPEN);
    rig.connects = false;
    rig.client(&[request("SET a 1"), request("INCR n")].concat());
    rig.connected_and_left();
    assert_eq!(rig.forwarded(), "SET a 1\nINCR n");
    rig.redis("+OK\r\n:1\r\n");
    assert_eq!(rig.heard(), "+OK\r\n:1\r\n");
    assert_eq!(rig.closed, Some(crate::session::CloseReason::ClientGone));
}

#[test]
fn requests_that_wait_for_nobody_are_taken_128_at_a_time() {
    let mut rig = Rig::new(OPEN);
    rig.say("CLIENT REPLY OFF");
    rig.say("BLPOP k 0");
    let requests = 10_000;
    rig.client(&request("FLUSHALL").repeat(requests));
    assert_eq!(rig.core.traffic().requests(), 2);
    rig.redis("*-1\r\n");
    assert_eq!((rig.core.traffic().requests(), rig.turns, rig.closed), (2 + requests as u64, 78, None));
}

#[test]
fn answers_that_the_client_does_not_want_use_up_its_turn_as_well() {
    let pattern = "k".repeat(4000);
    let users: String = (0..20).map(|number| format!("user u{number} on nopass ~{pattern} &* +@all\n")).collect();
    let mut rig = Rig::new(&format!("{OPEN}{users}"));
    rig.say("CLIENT REPLY OFF");
    rig.say("BLPOP k 0");
    let requests = 100;
    rig.client(&request("ACL LIST").repeat(requests));
    rig.redis("*-1\r\n");
    assert_eq!((rig.core.traffic().requests(), rig.closed), (2 + requests as u64, None));
    assert!(rig.turns > 10, "{} turns", rig.turns);
}

#[test]
fn large_requests_are_taken_a_few_at_a_time() {
    let mut rig = Rig::new("user default on nopass ~k* &* +@all\n");
    rig.say("CLIENT REPLY OFF");
    rig.say("BLPOP k 0");
    rig.core.limits_mut().hold_buffer = 16 << 20;
    let (keys, requests) = ("k ".repeat(1000), 200);
    rig.client(&request(&format!("DEL {keys}z")).repeat(requests));
    rig.redis("*-1\r\n");
    assert_eq!((rig.core.traffic().requests(), rig.closed), (2 + requests as u64, None));
    assert!(rig.turns > 4, "{} turns", rig.turns);
}

#[test]
fn words_of_inline_requests_use_up_the_turn_as_those_of_others_do() {
    let mut rig = Rig::new(OPEN);
    rig.say("CLIENT REPLY OFF");
    rig.say("BLPOP k 0");
    let (line, requests) = (format!("FLUSHALL{}\r\n", " x".repeat(10_000)), 12);
    rig.client(line.repeat(requests).as_bytes());
    rig.redis("*-1\r\n");
    assert_eq!((rig.core.traffic().requests(), rig.closed), (2 + requests as u64, None));
    assert!(rig.turns as usize + 2 > requests, "{} turns", rig.turns);
}

#[test]
fn what_is_compared_for_requests_uses_up_the_turn_whoever_asks() {
    let patterns: String = (0..100).map(|number| format!(" ~{number}*a*b")).collect();
    let users = format!("user default on nopass{patterns} &* +@all\nuser other on nopass ~* &* +@all\n");
    for (asked, keys) in [("DEL", 300), ("ACL DRYRUN default DEL", 300)] {
        let mut rig = Rig::new(&users);
        rig.say("CLIENT REPLY OFF");
        rig.say("BLPOP 1ab 0");
        let requests = 20;
        rig.client(&request(&format!("{asked}{}", " 1ab".repeat(keys))).repeat(requests));
        rig.redis("*-1\r\n");
        assert_eq!((rig.core.traffic().requests(), rig.closed), (2 + requests as u64, None));
        assert!(rig.turns as usize + 2 > requests / 2, "{} turns for {asked}", rig.turns);
    }
}

#[test]
fn requests_that_are_each_told_of_use_up_the_turn_before_those_that_only_count_up() {
    let kinds = "GET STRLEN TTL PTTL TYPE DUMP PERSIST INCR DECR LLEN SCARD HLEN ZCARD HKEYS HVALS HGETALL SMEMBERS LPOP RPOP SPOP";
    let requests = 2000;
    let turns = |kinds: &[&str]| {
        let mut rig = Rig::new("user default on nopass ~* &* +blpop +client\n");
        rig.say("CLIENT REPLY OFF");
        rig.say("BLPOP k 0");
        let kinds = kinds.iter().cycle().take(requests);
        rig.client(&kinds.flat_map(|kind| request(&format!("{kind} k"))).collect::<Vec<_>>());
        rig.redis("*-1\r\n");
        assert_eq!((rig.core.traffic().refused, rig.closed), (requests as u64, None));
        rig.turns
    };
    assert!(turns(&kinds.split(' ').collect::<Vec<_>>()) > 3 * turns(&["GET"]));
}

#[test]
fn nothing_more_is_read_while_requests_that_have_come_wait_for_their_turn() {
    let mut rig = Rig::new(OPEN);
    let requests = 500_000;
    rig.client(&b"x\n".repeat(requests));
    assert_eq!((rig.core.traffic().requests(), rig.closed), (requests as u64, None));
    assert!(rig.turns > 400 && rig.most_held <= 128 << 10, "{} turns, {} held", rig.turns, rig.most_held);
}

#[test]
fn whatever_a_client_has_sent_before_it_closes_its_side_is_taken_however_much_its_answers_are() {
    let mut rig = Rig::new(OPEN);
    let requests = 30_000;
    rig.client_reads = false;
    rig.client(&b"x\n".repeat(requests));
    rig.client_leaves();
    assert_eq!(rig.closed, None);
    rig.client_reads(true);
    assert_eq!((rig.core.traffic().requests(), rig.closed), (requests as u64, Some(CloseReason::ClientGone)));
    assert_eq!(rig.heard().lines().count(), requests);
}

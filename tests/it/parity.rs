//! Through the proxy and direct: the same bytes.

use redis::AsyncCommands;

use crate::support::{Identity, RedisServer, RespClient, Respgate, request, upstream_of};

const ACL: &str = "user alice on +@all ~* &*\n";

#[test]
fn strings_give_the_same_bytes_as_direct() {
    assert_same(&[
        "SET greeting hello",
        "GET greeting",
        "SET greeting hi GET",
        "SET greeting once NX",
        "APPEND greeting !!",
        "STRLEN greeting",
        "GETRANGE greeting 0 1",
        "SETRANGE greeting 1 o",
        "INCR counter",
        "INCRBY counter 41",
        "INCRBYFLOAT counter 0.5",
        "MSET a 1 b 2 c 3",
        "MGET a b missing c",
        "GETDEL a",
        "GET a",
        "EXPIRE b 100",
        "PERSIST b",
        "TYPE b",
        "OBJECT ENCODING b",
        "SETBIT bits 7 1",
        "BITCOUNT bits",
        "INCR greeting",
        "GET",
        "SET onlykey",
        "PING",
        "PING hello",
        "ECHO hello",
    ]);
}

#[test]
fn lists_give_the_same_bytes_as_direct() {
    assert_same(&[
        "RPUSH list a b c d e",
        "LPUSH list z",
        "LRANGE list 0 -1",
        "LPOP list",
        "RPOP list 2",
        "LINSERT list BEFORE b x",
        "LINDEX list 1",
        "LMOVE list other LEFT RIGHT",
        "LMPOP 2 missing list LEFT COUNT 2",
        "LLEN list",
        "BLPOP other 1",
        "BLPOP nothing 0.01",
        "GET list",
    ]);
}

#[test]
fn hashes_sets_and_sorted_sets_give_the_same_bytes_as_direct() {
    assert_same(&[
        "HSET hash f1 v1 f2 v2",
        "HGET hash f1",
        "HMGET hash f1 missing f2",
        "HGETALL hash",
        "HINCRBY hash n 5",
        "HDEL hash f1",
        "HLEN hash",
        "SADD set 3 1 2",
        "SMEMBERS set",
        "SISMEMBER set 2",
        "SMISMEMBER set 1 9",
        "ZADD scores 1 one 2 two 3.5 three",
        "ZRANGE scores 0 -1 WITHSCORES",
        "ZSCORE scores three",
        "ZINCRBY scores 1 one",
        "ZRANGEBYSCORE scores 2 +inf",
        "ZUNIONSTORE sum 2 scores scores WEIGHTS 1 2",
        "ZRANGE sum 0 -1 REV WITHSCORES",
        "PFADD visits a b c",
        "PFCOUNT visits",
        "GEOADD places 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
        "GEODIST places Palermo Catania km",
    ]);
}

#[test]
fn streams_give_the_same_bytes_as_direct() {
    assert_same(&[
        "XADD events 1-1 kind start",
        "XADD events 2-1 kind stop",
        "XLEN events",
        "XRANGE events - +",
        "XREAD COUNT 1 STREAMS events 0",
        "XGROUP CREATE events workers 0",
        "XREADGROUP GROUP workers w1 COUNT 1 STREAMS events >",
        "XPENDING events workers",
        "XACK events workers 1-1",
        "XADD events 1-0 too old",
        "XTRIM events MAXLEN 1",
        "XREAD BLOCK 10 STREAMS events $",
    ]);
}

#[test]
fn transactions_give_the_same_bytes_as_direct() {
    assert_same(&[
        "MULTI",
        "SET a 1",
        "INCR a",
        "GET a",
        "EXEC",
        "MULTI",
        "SET a 5",
        "DISCARD",
        "GET a",
        "MULTI",
        "NOSUCHCOMMAND x",
        "SET a 7",
        "EXEC",
        "GET a",
        "EXEC",
        "DISCARD",
        "MULTI",
        "MULTI",
        "EXEC",
        "WATCH a",
        "SET a 9",
        "MULTI",
        "GET a",
        "EXEC",
        "UNWATCH",
        "MULTI",
        "LPUSH a wrong-type",
        "GET a",
        "EXEC",
    ]);
}

#[test]
fn databases_and_introspection_give_the_same_bytes_as_direct() {
    assert_same(&[
        "SELECT 3",
        "SET in3 yes",
        "DBSIZE",
        "EXISTS in3",
        "SELECT 0",
        "EXISTS in3",
        "SELECT 99",
        "MOVE nothing 1",
        "COMMAND COUNT",
        "COMMAND GETKEYS MSET a 1 b 2",
        "CLIENT SETNAME worker",
        "CLIENT GETNAME",
        "RANDOMKEY",
        "COPY missing elsewhere",
    ]);
}

#[test]
fn inline_requests_give_the_same_bytes_as_direct() {
    let (redis, gate) = start();
    let lines = b"PING\r\nSET \"a key\" 'a value'\r\nGET \"a\\x20key\"\nset k \"\\n\\t\\\"\"\r\n\r\nget k\r\nEXISTS nothing\r\n";
    let replies = 6;
    let mut transcripts = Vec::new();
    for mut client in [redis.direct(), gate.connect("alice")] {
        client.send(lines);
        transcripts.push((0..replies).map(|_| client.reply_text()).collect::<Vec<_>>());
        assert_eq!(client.read_until_quiet(), b"");
    }
    assert_eq!(transcripts[0], transcripts[1]);
}

#[test]
fn a_pipeline_of_1000_gives_the_same_bytes_as_direct() {
    let (redis, gate) = start();
    let mut pipeline = Vec::new();
    for index in 0..250 {
        let (key, value) = (format!("key:{index}"), "v".repeat(index * 7));
        pipeline.extend(request(&["SET", &key, &value]));
        pipeline.extend(request(&["GET", &key]));
        pipeline.extend(request(&["RPUSH", "list", &key]));
        pipeline.extend(request(&["LRANGE", "list", "-3", "-1"]));
    }
    let mut direct = redis.direct();
    direct.send(&pipeline);
    let expected: Vec<_> = (0..1000).map(|_| direct.reply()).collect();
    assert_eq!(direct.text(&["FLUSHALL"]), "+OK");
    let mut client = gate.connect("alice");
    client.send(&pipeline);
    for (index, expected) in expected.iter().enumerate() {
        assert_eq!(String::from_utf8_lossy(&client.reply()), String::from_utf8_lossy(expected), "reply {index}");
    }
}

#[test]
fn a_pipeline_of_100_000_written_before_any_reply_is_read_completes() {
    let (_redis, gate) = start();
    let mut client = gate.connect("alice");
    let commands = 100_000;
    let pipeline: Vec<u8> = (0..commands).flat_map(|_| request(&["INCR", "counter"])).collect();
    client.send(&pipeline);
    let expected: Vec<u8> = (1..=commands).flat_map(|count| format!(":{count}\r\n").into_bytes()).collect();
    assert!(client.read_exactly(expected.len()) == expected, "the replies are 1 to {commands}, in order");
    assert_eq!(client.text(&["GET", "counter"]), "$6\r\n100000");
}

#[test]
fn a_request_cut_at_every_byte_gives_the_same_reply() {
    let (_redis, gate) = start();
    let mut client = gate.connect("alice");
    let bytes = request(&["SET", "key", "value", "GET"]);
    for cut in 1..bytes.len() {
        assert_eq!(client.text(&["SET", "key", "before"]), "+OK");
        client.send(&bytes[..cut]);
        client.send(&bytes[cut..]);
        assert_eq!(client.reply_text(), "$6\r\nbefore", "cut at {cut}");
    }
}

#[test]
fn a_value_of_64_mib_passes_unchanged_both_ways() {
    let (redis, gate) = start();
    let value: Vec<u8> = (0..64u32 << 20).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut client = gate.connect("alice");
    let mut direct = redis.direct();
    let set = request(&[b"SET".as_slice(), b"big", &value]);
    client.send(&set);
    assert_eq!(client.reply_text(), "+OK");
    let through_us = client.call(&["GET", "big"]);
    assert!(through_us == direct.call(&["GET", "big"]), "the same 64 MiB come back through the proxy and direct");
    assert!(through_us[11..through_us.len() - 2] == value, "and they are the ones that were sent");
    assert_eq!(client.text(&["STRLEN", "big"]), ":67108864");
}

#[test]
fn scan_finds_every_key_once_as_direct() {
    let (redis, gate) = start();
    let mut direct = redis.direct();
    let mut fill = Vec::new();
    (0..500).for_each(|index| fill.extend(request(&["SET", &format!("key:{index}"), "x"])));
    direct.send(&fill);
    (0..500).for_each(|_| drop(direct.reply()));
    let found = scan(&mut gate.connect("alice"));
    assert_eq!(found.len(), 500);
    assert_eq!(found, scan(&mut direct));
}

#[test]
fn publish_and_subscribe_give_the_same_bytes_as_direct() {
    let (redis, gate) = start();
    for hello in ["2", "3"] {
        let through_us = pubsub_transcript(gate.connect("alice"), gate.connect("alice"), hello);
        let expected = pubsub_transcript(redis.direct(), redis.direct(), hello);
        assert_eq!(through_us, expected, "RESP{hello}");
        assert!(expected.contains("breaking") && expected.contains("pmessage"), "{expected}");
    }
}

#[test]
fn resp3_gives_the_same_bytes_as_direct() {
    let (redis, gate) = start();
    let commands = [
        "HSET hash f1 v1 f2 v2",
        "HGETALL hash",
        "SADD set 1 2",
        "SMEMBERS set",
        "ZADD scores 1.5 one",
        "ZSCORE scores one",
        "GET missing",
        "LRANGE missing 0 -1",
        "XADD events 1-1 a b",
        "XREAD STREAMS events 0",
        "MULTI",
        "HGETALL hash",
        "EXEC",
        "INCR hash",
    ];
    let transcript = |mut client: RespClient| {
        client.call(&["HELLO", "3"]);
        commands.iter().map(|line| client.text(&words(line))).collect::<Vec<_>>()
    };
    let expected = transcript(redis.direct());
    redis.direct().text(&["FLUSHALL"]);
    assert_eq!(transcript(gate.connect("alice")), expected);
}

#[test]
fn hello_names_the_upstreams_server_and_version() {
    let (redis, gate) = start();
    let without_id = |mut client: RespClient| {
        let reply = client.text(&["HELLO", "3"]);
        let (before, after) = reply.split_once("$2\r\nid\r\n").unwrap();
        (before.to_owned(), after.split_once("\r\n").unwrap().1.to_owned())
    };
    assert_eq!(without_id(gate.connect("alice")), without_id(redis.direct()));
}

#[test]
fn client_reply_off_and_skip_silence_the_same_replies_as_direct() {
    let (redis, gate) = start();
    let mut bytes = Vec::new();
    for line in ["CLIENT REPLY SKIP", "SET a 1", "GET a", "CLIENT REPLY OFF", "SET a 2", "CLIENT REPLY ON", "GET a"] {
        bytes.extend(request(&words(line)));
    }
    let transcript = |mut client: RespClient| {
        client.send(&bytes);
        String::from_utf8(client.read_until_quiet()).unwrap()
    };
    assert_eq!(transcript(gate.connect("alice")), transcript(redis.direct()));
}

#[test]
fn a_blocked_client_that_goes_away_takes_no_element_with_it() {
    let (redis, gate) = start();
    let mut client = gate.connect("alice");
    client.send(&request(&["BLPOP", "queue", "0"]));
    crate::support::eventually("BLPOP to block", || {
        redis.direct().text(&["INFO", "clients"]).contains("blocked_clients:1").then_some(())
    });
    client.finish_sending();
    crate::support::eventually("the blocked client to be freed", || {
        redis.direct().text(&["INFO", "clients"]).contains("blocked_clients:0").then_some(())
    });
    let mut direct = redis.direct();
    assert_eq!(direct.text(&["LPUSH", "queue", "job"]), ":1");
    assert_eq!(direct.text(&["LLEN", "queue"]), ":1");
}

#[test]
fn quit_answers_after_what_was_asked_before_and_ignores_what_follows() {
    let (redis, gate) = start();
    let mut client = gate.connect("alice");
    let mut bytes = request(&["SET", "a", "1"]);
    bytes.extend(request(&["QUIT"]));
    bytes.extend(request(&["SET", "a", "2"]));
    client.send(&bytes);
    assert_eq!((client.reply_text(), client.reply_text()), ("+OK".to_owned(), "+OK".to_owned()));
    client.expect_closed();
    assert_eq!(redis.direct().text(&["GET", "a"]), "$1\r\n1");
}

#[test]
fn a_tcp_upstream_works_like_a_unix_socket() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&redis.address().to_string()).acl(ACL).start();
    let mut client = gate.connect("alice");
    assert_eq!(client.text(&["SET", "a", "1"]), "+OK");
    assert_eq!(redis.direct().text(&["GET", "a"]), "$1\r\n1");
}

#[test]
fn redis_cli_works_over_mutual_tls() {
    let (_redis, gate) = start();
    let identity = gate.pki().client("alice");
    let cli = |args: &[&str]| redis_cli(&gate, &identity, args);
    assert_eq!(cli(&["PING"]), "PONG\n");
    assert_eq!(cli(&["SET", "a", "1"]), "OK\n");
    assert_eq!(cli(&["GET", "a"]), "1\n");
    assert_eq!(cli(&["-3", "HSET", "hash", "f", "v"]), "1\n");
    assert_eq!(
        cli(&["FLUSHALL"]).trim(),
        "NOPERM this user has no permissions to run the 'flushall' command (blocked by respgate)"
    );
    assert_eq!(cli(&["-r", "3", "INCR", "n"]), "1\n2\n3\n");
    let keys: Vec<_> = cli(&["--scan"]).lines().map(str::to_owned).collect();
    assert_eq!(keys.len(), 3, "{keys:?}");
}

#[test]
fn redis_rs_works_over_mutual_tls() {
    let (_redis, gate) = start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = redis_rs_connection(&gate, &gate.pki().client("alice")).await;
        let _: () = connection.set("a", "1").await.unwrap();
        assert_eq!(connection.incr::<_, _, i64>("a", 41).await.unwrap(), 42);
        let mut pipeline = redis::pipe();
        for index in 0..1000 {
            pipeline.rpush("list", index);
        }
        let lengths: Vec<u32> = pipeline.query_async(&mut connection).await.unwrap();
        assert_eq!(lengths, (1..=1000).collect::<Vec<_>>());
        let transaction: (String, i64) =
            redis::pipe().atomic().get("a").incr("a", 1).query_async(&mut connection).await.unwrap();
        assert_eq!(transaction, ("42".to_owned(), 43));
        let id: String = connection.xadd("events", "1-1", &[("kind", "start")]).await.unwrap();
        assert_eq!(id, "1-1");
        let refused = redis::cmd("FLUSHALL").query_async::<()>(&mut connection).await.unwrap_err();
        assert_eq!(refused.code(), Some("NOPERM"));
    });
}

// --- helpers

fn start() -> (RedisServer, Respgate) {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis)).acl(ACL).start();
    (redis, gate)
}

/// Runs the requests one by one, on an empty Redis, direct and through the proxy, and compares the reply bytes.
fn assert_same(lines: &[&str]) {
    let (redis, gate) = start();
    let mut direct = redis.direct();
    let expected: Vec<_> = lines.iter().map(|line| direct.text(&words(line))).collect();
    assert_eq!(redis.direct().text(&["FLUSHALL"]), "+OK");
    let mut client = gate.connect("alice");
    for (line, expected) in lines.iter().zip(expected) {
        assert_eq!(client.text(&words(line)), expected, "{line}");
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// Every key that a full SCAN reports, sorted, repetitions kept.
fn scan(client: &mut RespClient) -> Vec<String> {
    let mut keys = Vec::new();
    let mut cursor = "0".to_owned();
    loop {
        let reply = client.text(&["SCAN", &cursor, "COUNT", "50"]);
        let mut values = reply.split("\r\n").filter(|part| !part.starts_with(['*', '$']));
        cursor = values.next().unwrap().to_owned();
        keys.extend(values.map(str::to_owned));
        if cursor == "0" {
            keys.sort();
            return keys;
        }
    }
}

/// Everything a subscriber sees of one small story, and what its publisher is told.
fn pubsub_transcript(mut subscriber: RespClient, mut publisher: RespClient, hello: &str) -> String {
    subscriber.call(&["HELLO", hello]);
    let mut seen = Vec::new();
    subscriber.send(&request(&["SUBSCRIBE", "news", "weather"]));
    seen.extend([subscriber.reply(), subscriber.reply()]);
    subscriber.send(&request(&["PSUBSCRIBE", "n*"]));
    seen.push(subscriber.reply());
    seen.push(publisher.call(&["PUBLISH", "news", "breaking"]));
    seen.extend([subscriber.reply(), subscriber.reply()]);
    seen.push(publisher.call(&["PUBLISH", "nobody", "hears"]));
    seen.push(subscriber.reply());
    seen.push(subscriber.call(&["PING"]));
    seen.push(subscriber.call(&["GET", "a"]));
    subscriber.send(&request(&["UNSUBSCRIBE"]));
    // Redis names the channels in the order of a hash table.
    let mut unsubscribed = [subscriber.reply(), subscriber.reply()].map(|frame| channel_of(&frame));
    unsubscribed.sort();
    seen.push(unsubscribed.concat().into_bytes());
    subscriber.send(&request(&["PUNSUBSCRIBE"]));
    seen.push(subscriber.reply());
    seen.push(subscriber.call(&["GET", "a"]));
    String::from_utf8(seen.concat()).unwrap()
}

/// The channel in a confirmation such as `*3 unsubscribe news 1`.
fn channel_of(frame: &[u8]) -> String {
    String::from_utf8_lossy(frame).split("\r\n").nth(4).unwrap().to_owned()
}

fn redis_cli(gate: &Respgate, identity: &Identity, args: &[&str]) -> String {
    let output = gate
        .redis_cli(Some(identity))
        .args(args)
        .output()
        .expect("redis-cli is installed (apt-get install redis-tools)");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn redis_rs_connection(gate: &Respgate, identity: &Identity) -> redis::aio::MultiplexedConnection {
    install_crypto_provider();
    let client_tls = redis::ClientTlsConfig {
        client_cert: std::fs::read(&identity.cert).unwrap(),
        client_key: std::fs::read(&identity.key).unwrap(),
    };
    let root_cert = std::fs::read(gate.pki().ca_cert()).unwrap();
    let url = format!("rediss://localhost:{}", gate.address().port());
    let certificates = redis::TlsCertificates { client_tls: Some(client_tls), root_cert: Some(root_cert) };
    let client = redis::Client::build_with_tls(url, certificates).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

/// redis-rs takes the process's default provider, and says so only by a panic when there is none.
fn install_crypto_provider() {
    #[cfg(feature = "aws-lc-rs")]
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    #[cfg(not(feature = "aws-lc-rs"))]
    let provider = rustls::crypto::ring::default_provider();
    // The second test to get here finds it installed.
    let _ = provider.install_default();
}

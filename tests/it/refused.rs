//! What must never reach Redis, and what the client is told instead.

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{RedisServer, RespClient, Respgate, Setup, eventually, request, upstream_of};

const ACL: &str = "\
user alice on +@all ~alice:* &alice:*
user ops on +@all ~* &*
user gone off +@all ~* &*
";

const FLUSHALL_REFUSED: &str =
    "-NOPERM this user has no permissions to run the 'flushall' command (blocked by respgate)";
const RENAMED_CONFIG: &str = "b840fc02d524045429941cc15f59e41cb7be6c52";

// --- who may come in

#[test]
fn a_client_without_a_certificate_is_refused_with_an_alert() {
    let (redis, gate) = start();
    let alert = refusal(gate.connect_as(None));
    assert!(alert.contains("CertificateRequired"), "{alert}");
    assert_no_client_reached(&redis);
}

#[test]
fn a_certificate_of_another_ca_is_refused_with_an_alert() {
    let (redis, gate) = start();
    let alert = refusal(gate.connect_as(Some(&gate.pki().client_of_another_ca("alice"))));
    assert!(alert.contains("UnknownCA") || alert.contains("DecryptError"), "{alert}");
    assert_no_client_reached(&redis);
}

#[test]
fn a_self_signed_certificate_is_refused_with_an_alert() {
    let (redis, gate) = start();
    let alert = refusal(gate.connect_as(Some(&gate.pki().self_signed_client("alice"))));
    assert!(alert.contains("AlertReceived"), "{alert}");
    assert_no_client_reached(&redis);
}

#[test]
fn an_expired_certificate_is_refused_with_an_alert() {
    let (redis, gate) = start();
    let alert = refusal(gate.connect_as(Some(&gate.pki().expired_client("alice"))));
    assert!(alert.contains("CertificateExpired"), "{alert}");
    assert_no_client_reached(&redis);
}

#[test]
fn a_certificate_that_is_good_for_servers_only_is_refused_with_an_alert() {
    let (redis, gate) = start();
    let alert = refusal(gate.connect_as(Some(&gate.pki().server_only_client("alice"))));
    assert!(alert.contains("AlertReceived"), "{alert}");
    assert_no_client_reached(&redis);
}

#[test]
fn a_trusted_certificate_that_maps_to_no_user_gets_nothing_done() {
    let (redis, gate) = start();
    assert_nothing_done(gate.connect("mallory"));
    assert_no_client_reached(&redis);
}

#[test]
fn a_certificate_of_a_disabled_user_gets_nothing_done() {
    let (redis, gate) = start();
    assert_nothing_done(gate.connect("gone"));
    assert_no_client_reached(&redis);
}

#[test]
fn a_certificate_named_default_does_not_become_the_default_user_by_a_template() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl_file("user default on nopass +@all ~* &*\nuser alice on +@all ~*\n")
        .table("[[certificate]]\ncn = \"*\"\nuser = \"%{cn}\"")
        .expect_log("default")
        .start();
    assert_eq!(gate.connect("alice").text(&["PING"]), "+PONG");
    assert_nothing_done(gate.connect("default"));
    assert_eq!(redis.calls("set"), 0);
}

/// The TLS library cannot be told to pass over it, as it does over an address: so it is said at least.
#[test]
fn a_server_name_that_is_no_host_name_is_refused_and_named_in_the_log() {
    let (_redis, gate) = start();
    let alice = gate.pki().client("alice");
    let said = |name: &str| {
        let mut openssl = Command::new("openssl");
        openssl.args(["s_client", "-connect", &gate.address().to_string(), "-servername", name, "-ign_eof"]);
        openssl.arg("-cert").arg(&alice.cert).arg("-key").arg(&alice.key);
        let mut openssl = openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Where there is no session, nobody may be left to read it.
        let _ = openssl.stdin.take().unwrap().write_all(b"PING\r\nQUIT\r\n");
        let output = openssl.wait_with_output().unwrap();
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat()
    };
    for name in ["localhost", "elsewhere.example", "localhost.", "127.0.0.1", "::1", "under_score"] {
        assert!(said(name).contains("+PONG"), "{name}: {}", said(name));
    }
    for name in ["localhost:6380", "[::1]", "a b", "redis-.local", "redis.1"] {
        assert!(said(name).contains("alert illegal parameter"), "{name}: {}", said(name));
    }
    gate.wait_for_log(&["handshake failed", "\"server-name\"", "(SNI) is no host name"]);
}

#[test]
fn plaintext_on_a_tls_listener_is_refused() {
    let (redis, gate) = start();
    let mut client = RespClient::plain(gate.address());
    client.try_send(&request(&["SET", "canary", "dead"])).unwrap();
    let (answer, _end) = client.read_to_end();
    assert!(!answer.starts_with(b"+OK"), "{}", String::from_utf8_lossy(&answer));
    assert_no_client_reached(&redis);
}

// --- what may be done

#[test]
fn a_request_that_takes_too_long_to_judge_is_refused_and_the_session_goes_on() {
    let redis = redis_with_canary(&[]);
    let patterns: String = (0..60).map(|number| format!(" ~*:{number}:x")).collect();
    let gate = Respgate::setup(&upstream_of(&redis)).acl(&format!("user alice on +@all{patterns} ~k*\n")).start();
    let mut client = gate.connect("alice");
    let refused = "-NOPERM respgate: more or longer keys than one request may have with so many patterns";
    assert_eq!(client.text(&["SET", &"k".repeat(500_000), "v"]), refused);
    gate.wait_for_log(&["\"acl-effort\"", "alice"]);
    assert_eq!(client.text(&["SET", &"k".repeat(10_000), "v"]), "+OK");
    assert_canary_untouched(&redis);
}

#[test]
fn requests_that_take_long_to_judge_have_their_turns_and_are_all_answered() {
    let redis = RedisServer::start();
    let patterns: String = (0..60).map(|number| format!(" ~app:*:{number}*z")).collect();
    let gate = Respgate::start(&redis, &format!("user alice on +@all{patterns}\nuser bob on +@all ~*\n"));
    // Two million comparisons and more, and as many for each other one.
    let keys = vec![format!("app:{}:59z", "a".repeat(40)); 800];
    let long = request(&["EXISTS"].into_iter().chain(keys.iter().map(String::as_str)).collect::<Vec<_>>());
    let mut clients: Vec<_> = (0..6).map(|_| gate.connect("alice")).collect();
    clients.iter_mut().for_each(|client| client.send(&[&*long, &long, &long, &request(&["PING"])].concat()));
    let mut leaves = gate.connect("alice");
    leaves.send(&long);
    drop(leaves);
    assert_eq!(gate.connect("bob").text(&["PING"]), "+PONG");
    for client in &mut clients {
        assert_eq!([(); 4].map(|()| client.reply_text()), [":0", ":0", ":0", "+PONG"]);
    }
}

#[test]
fn flushall_is_refused_in_any_spelling() {
    let (redis, gate) = start();
    let mut client = gate.connect("alice");
    for name in ["FLUSHALL", "flushall", "FlushAll", "fLUSHaLL"] {
        assert_eq!(client.text(&[name]), FLUSHALL_REFUSED);
        assert_eq!(client.text(&[name, "ASYNC"]), FLUSHALL_REFUSED);
    }
    assert_canary_untouched(&redis);
}

#[test]
fn flushall_is_refused_even_to_a_user_who_holds_every_right() {
    let (redis, gate) = start();
    assert_eq!(gate.connect("ops").text(&["FLUSHALL"]), FLUSHALL_REFUSED);
    assert_canary_untouched(&redis);
}

#[test]
fn flushall_is_refused_inline() {
    let (redis, gate) = start();
    let mut client = gate.connect("alice");
    for line in ["FLUSHALL\r\n", "flushall\n", "  FLUSHALL  \r\n", "\"FLUSHALL\"\r\n", "'FLUSHALL' ASYNC\r\n"] {
        client.send(line.as_bytes());
        assert_eq!(client.reply_text(), FLUSHALL_REFUSED, "{line:?}");
    }
    client.send(b"\"\\x46LUSHALL\"\r\n");
    assert_eq!(client.reply_text(), FLUSHALL_REFUSED);
    assert_canary_untouched(&redis);
}

#[test]
fn flushall_with_a_nul_is_an_unknown_command_whatever_follows_the_nul() {
    let (redis, gate) = start();
    let mut client = gate.connect("alice");
    // Redis takes about one such name in 200 for FLUSHALL itself.
    for suffix in 0..1000 {
        let reply = client.text(&[format!("FLUSHALL\0{suffix}")]);
        assert!(reply.starts_with("-ERR unknown command"), "{suffix}: {reply}");
    }
    assert!(client.text(&["FLUSHALL\0x"]).starts_with("-ERR unknown command"));
    assert_canary_untouched(&redis);
}

#[test]
fn a_nul_in_an_inline_request_ends_the_connection() {
    let (redis, gate) = start_announcing("protocol");
    let mut client = gate.connect("alice");
    client.send(b"FLUSHALL\0x\r\n");
    assert!(client.reply_text().starts_with("-ERR Protocol error"));
    client.expect_closed();
    assert_canary_untouched(&redis);
}

#[test]
fn flushall_is_refused_in_its_place_at_every_position_of_a_pipeline() {
    let (redis, gate) = start();
    let mut client = gate.connect("alice");
    for position in 0..20 {
        let mut pipeline = Vec::new();
        for index in 0..20 {
            let echo = format!("echo {index}");
            pipeline.extend(if index == position { request(&["FLUSHALL"]) } else { request(&["ECHO", &echo]) });
        }
        client.send(&pipeline);
        for index in 0..20 {
            let expected = match index == position {
                true => format!("{FLUSHALL_REFUSED}\r\n"),
                false => format!("${}\r\necho {index}\r\n", format!("echo {index}").len()),
            };
            assert_eq!(String::from_utf8(client.reply()).unwrap(), expected, "reply {index}, refused {position}");
        }
    }
    assert_canary_untouched(&redis);
}

#[test]
fn what_follows_a_thousand_refusals_and_the_beginning_of_a_request_is_read() {
    let (_redis, gate) = start();
    // What makes a session look at its socket anew is over.
    let gate = gate.settled();
    let mut client = gate.connect("ops");
    assert_eq!(client.text(&["PING"]), "+PONG");
    // As much as is read at once: three times as many requests as are taken in a turn, and half of another.
    let mut bytes = b"CLIENT REPLY OFF    \n".to_vec();
    bytes.extend(b"FLUSHALL            \n".repeat(3 * 1024 - 1));
    bytes.extend(request(&["ECHO", &"v".repeat(2 * ((64 << 10) - bytes.len()))]));
    bytes.extend(request(&["CLIENT", "REPLY", "ON"]));
    // All of it is to be there when the worker looks.
    gate.signal(Signal::STOP);
    thread::sleep(Duration::from_millis(100));
    client.send(&bytes);
    thread::sleep(Duration::from_millis(100));
    gate.signal(Signal::CONT);
    assert_eq!(client.reply_text(), "+OK");
}

#[test]
fn flushall_inside_multi_is_refused_and_aborts_the_transaction() {
    let (redis, gate) = start();
    let mut client = gate.connect("alice");
    assert_eq!(client.text(&["MULTI"]), "+OK");
    assert_eq!(client.text(&["SET", "alice:a", "1"]), "+QUEUED");
    assert_eq!(client.text(&["FLUSHALL"]), FLUSHALL_REFUSED);
    assert_eq!(client.text(&["SET", "alice:b", "1"]), "+QUEUED");
    assert_eq!(client.text(&["EXEC"]), "-EXECABORT Transaction discarded because of previous errors.");
    assert_eq!(client.text(&["EXISTS", "alice:a", "alice:b"]), ":0");
    assert_canary_untouched(&redis);
}

#[test]
fn config_get_is_refused() {
    let (redis, gate) = start();
    let mut client = gate.connect("alice");
    for args in [["CONFIG", "GET", "maxmemory"], ["config", "gEt", "requirepass"]] {
        let reply = client.text(&args);
        assert_eq!(reply, "-NOPERM this user has no permissions to run the 'config|get' command (blocked by respgate)");
    }
    let reply = client.text(&["CONFIG", "GET\0x", "maxmemory"]);
    assert!(reply.starts_with('-'), "{reply}");
    assert_eq!(redis.calls("config|get"), 0);
}

#[test]
fn every_command_of_the_default_blocklist_is_refused() {
    let (redis, gate) = start();
    let mut client = gate.connect("ops");
    let blocked: &[&[&str]] = &[
        &["FLUSHDB"],
        &["CONFIG", "SET", "maxmemory", "1"],
        &["SHUTDOWN", "NOSAVE"],
        &["DEBUG", "JMAP"],
        &["MODULE", "LIST"],
        &["REPLICAOF", "127.0.0.1", "1"],
        &["SLAVEOF", "127.0.0.1", "1"],
        &["FAILOVER"],
        &["MIGRATE", "127.0.0.1", "1", "canary", "0", "10"],
        &["RESTORE", "k", "0", "x"],
        &["RESTORE-ASKING", "k", "0", "x"],
        &["SYNC"],
        &["PSYNC", "?", "-1"],
        &["REPLCONF", "listening-port", "1"],
        &["MONITOR"],
        &["SWAPDB", "0", "1"],
        &["SAVE"],
        &["BGSAVE"],
        &["BGREWRITEAOF"],
        &["PFDEBUG", "GETREG", "canary"],
        &["CLIENT", "KILL", "TYPE", "normal"],
        &["CLIENT", "PAUSE", "1"],
        &["CLIENT", "UNPAUSE"],
        &["EVAL", "return 1", "0"],
        &["SCRIPT", "FLUSH"],
        &["FUNCTION", "FLUSH"],
        &["ACL", "SETUSER", "mallory", "on"],
        &["ACL", "DELUSER", "alice"],
    ];
    for args in blocked {
        let reply = client.text(args);
        assert!(reply.starts_with("-NOPERM this user has no permissions to run the '"), "{args:?}: {reply}");
        assert!(reply.ends_with("' command (blocked by respgate)"), "{args:?}: {reply}");
    }
    for name in ["flushdb", "config|set", "shutdown", "replicaof", "slaveof", "monitor", "eval", "client|kill"] {
        assert_eq!(redis.calls(name), 0, "{name}");
    }
    assert_canary_untouched(&redis);
}

#[test]
fn a_key_outside_the_pattern_is_refused() {
    let (redis, gate) = start();
    let mut client = gate.connect("alice");
    let refused = "-NOPERM this user has no permissions to access one of the keys used as arguments";
    assert_eq!(client.text(&["GET", "canary"]), refused);
    assert_eq!(client.text(&["SET", "bob:1", "x"]), refused);
    assert_eq!(client.text(&["MGET", "alice:1", "canary"]), refused);
    assert_eq!(client.text(&["SORT", "alice:1", "STORE", "canary"]), refused);
    assert_eq!(client.text(&["SET", "alice:1", "x"]), "+OK");
    for (command, calls) in [("get", 0), ("mget", 0), ("sort", 0), ("set", 2)] {
        assert_eq!(redis.calls(command), calls, "{command}: the canary and alice's own SET only");
    }
}

#[test]
fn a_channel_outside_the_pattern_is_refused() {
    let (redis, gate) = start();
    let mut client = gate.connect("alice");
    let refused = "-NOPERM this user has no permissions to access one of the channels used as arguments";
    assert_eq!(client.text(&["SUBSCRIBE", "secret"]), refused);
    assert_eq!(client.text(&["PUBLISH", "secret", "x"]), refused);
    assert_eq!(client.text(&["PUBLISH", "alice:news", "x"]), ":0");
    assert_eq!((redis.calls("subscribe"), redis.calls("publish")), (0, 1));
}

// --- renamed commands

#[test]
fn the_new_name_of_a_renamed_command_is_unknown_to_every_client() {
    let (redis, gate) = start_with_renames();
    for user in ["alice", "ops"] {
        let mut client = gate.connect(user);
        for name in [RENAMED_CONFIG.to_owned(), RENAMED_CONFIG.to_ascii_uppercase()] {
            let reply = client.text(&[name.as_str(), "GET", "maxmemory"]);
            assert!(reply.starts_with("-ERR unknown command"), "{user}: {reply}");
        }
        let user = format!("\"user\":\"{user}\"");
        gate.wait_for_log(&["INFO", "\"refusal\"", &user, "\"command\":\"config\"", "\"renamed\""]);
    }
    assert!(!gate.log_text().to_lowercase().contains(RENAMED_CONFIG), "the name is as good as a password");
    assert_eq!(redis.calls("config|get"), 0);
}

#[test]
fn who_tries_a_disabled_command_is_in_the_log() {
    let (_redis, gate) = start_with_renames();
    let reply = gate.connect("ops").text(&["FLUSHALL"]);
    assert!(reply.starts_with("-ERR unknown command"), "{reply}");
    gate.wait_for_log(&["INFO", "\"refusal\"", "\"user\":\"ops\"", "\"command\":\"flushall\"", "\"disabled\""]);
}

#[test]
fn an_exempt_user_reaches_a_renamed_command_by_its_original_name() {
    let (redis, gate) = start_with_renames();
    let reply = gate.connect("ops").text(&["CONFIG", "GET", "maxmemory"]);
    assert_eq!(reply, "*2\r\n$9\r\nmaxmemory\r\n$1\r\n0");
    assert_eq!(redis.calls("config|get"), 1);
}

#[test]
fn a_command_renamed_to_nothing_is_refused_even_to_an_exempt_user() {
    let (redis, gate) = start_with_renames();
    let reply = gate.connect("ops").text(&["FLUSHALL"]);
    assert!(reply.starts_with('-'), "{reply}");
    assert_canary_untouched(&redis);
}

#[test]
fn a_declared_name_under_which_redis_runs_another_command_is_refused() {
    let redis =
        redis_with_canary(&["--rename-command", "CONFIG", RENAMED_CONFIG, "--rename-command", "DBSIZE", "count"]);
    let setup = declaring(&redis, &format!("DBSIZE = \"{RENAMED_CONFIG}\"\nCONFIG = \"nowhere\""));
    let gate = setup.expect_log("by the name that is declared").start().settled();
    let mut client = gate.connect("ops");
    for request in [&["DBSIZE"][..], &["CONFIG", "GET", "maxmemory"]] {
        let reply = client.text(request);
        assert!(reply.starts_with("-ERR unknown command"), "{request:?}: {reply}");
    }
    assert_eq!((redis.calls("config|get"), redis.calls("dbsize")), (0, 0));
    let stats = redis.direct().text(&["INFO", "errorstats"]);
    assert!(!stats.contains("errorstat_ERR"), "nothing was sent under a wrong name: {stats}");
}

#[test]
fn a_name_that_is_declared_later_works_once_redis_has_confirmed_it() {
    let redis = redis_with_canary(&["--rename-command", "CONFIG", RENAMED_CONFIG]);
    let gate = declaring(&redis, "CONFIG = \"nowhere\"").expect_log("by the name that is declared").start().settled();
    gate.edit_config("nowhere", RENAMED_CONFIG);
    eventually("the new name to be confirmed", || {
        let reply = gate.connect("ops").text(&["CONFIG", "GET", "maxmemory"]);
        reply.starts_with("*2").then_some(())
    });
}

#[test]
fn a_name_that_redis_does_not_know_is_never_forwarded() {
    let (redis, gate) = start();
    let reply = gate.connect("ops").text(&["NOSUCHCOMMAND", "a", "b"]);
    assert!(reply.starts_with("-ERR unknown command 'NOSUCHCOMMAND', with args beginning with: "), "{reply}");
    let stats = redis.direct().text(&["INFO", "errorstats"]);
    assert!(!stats.contains("errorstat_ERR"), "{stats}");
}

// --- helpers

fn start() -> (RedisServer, Respgate) {
    let redis = redis_with_canary(&[]);
    let gate = Respgate::start(&redis, ACL);
    (redis, gate)
}

fn start_announcing(word: &str) -> (RedisServer, Respgate) {
    let redis = redis_with_canary(&[]);
    let gate = Respgate::setup(&upstream_of(&redis)).acl(ACL).expect_log(word).start();
    (redis, gate)
}

fn start_with_renames() -> (RedisServer, Respgate) {
    let redis = redis_with_canary(&["--rename-command", "CONFIG", RENAMED_CONFIG, "--rename-command", "FLUSHALL", ""]);
    let gate = declaring(&redis, &format!("CONFIG = \"{RENAMED_CONFIG}\"\nFLUSHALL = \"\"")).start().settled();
    (redis, gate)
}

fn declaring(redis: &RedisServer, renames: &str) -> Setup {
    Respgate::setup(&upstream_of(redis))
        .acl(ACL)
        // A template and tls-auth-clients-user never yield an exempt user: a rule has to name it.
        .table("[[certificate]]\ncn = \"ops\"\nuser = \"ops\"")
        .table("[block]\nexempt-users = [\"ops\"]")
        .table(&format!("[rename]\n{renames}"))
}

fn redis_with_canary(args: &[&str]) -> RedisServer {
    let redis = RedisServer::start_with(args);
    assert_eq!(redis.direct().text(&["SET", "canary", "alive"]), "+OK");
    redis
}

/// Why a connection failed that must not even finish its handshake, or must end right after it.
fn refusal(mut client: RespClient) -> String {
    match client.try_send(&request(&["SET", "canary", "dead"])).and_then(|()| client.try_reply().map(drop)) {
        Ok(()) => panic!("the connection was let in"),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("the connection is still open"),
        Err(error) => format!("{error:?}"),
    }
}

/// The connection may be told why, but no request of it is carried out.
fn assert_nothing_done(mut client: RespClient) {
    let _ = client.try_send(&request(&["PING"]));
    let _ = client.try_send(&request(&["SET", "canary", "dead"]));
    let (answer, end) = client.read_to_end();
    assert!(!end.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock), "the connection is still open");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.split_terminator("\r\n").all(|line| line.starts_with('-')), "{answer}");
}

/// Redis saw the canary written by the test, and no other SET.
fn assert_no_client_reached(redis: &RedisServer) {
    assert_eq!(redis.calls("set"), 1);
}

fn assert_canary_untouched(redis: &RedisServer) {
    assert_eq!(redis.calls("flushall"), 0);
    assert_eq!(redis.direct().text(&["GET", "canary"]), "$5\r\nalive");
}

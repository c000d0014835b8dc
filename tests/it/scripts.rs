//! Scripts: what they do inside Redis is bound by the rights of the user who sends them.

use rustix::process::Signal;

use crate::support::{RedisServer, RespClient, Respgate, Setup, eventually, request, upstream_of};

const USERS: &str = "user jobs on +@all ~j:* &*\nuser admin on +@all ~* &*\n";
/// An exempt user is named by a rule of its own.
const ADMIN: &str = "[[certificate]]\ncn = \"admin\"\nuser = \"admin\"";
const BLOCK: &str = "[block]\nscripting-users = [\"jobs\"]\nexempt-users = [\"admin\"]";
/// How Redis 7.0 says so.
const CANNOT: &str = "The user executing the script can't";
const NO_MIRROR: &str = "-ERR respgate: Redis cannot be told for whom this script would run";

#[test]
fn a_script_may_do_what_its_sender_may_and_nothing_else() {
    let redis = RedisServer::start();
    let gate = setup(&redis).start().settled();
    let mut jobs = gate.connect("jobs");
    assert_eq!(script(&mut jobs, "return redis.call('SET', 'j:1', 'x')"), "+OK");
    assert!(script(&mut jobs, "return redis.call('GET', 'secret')").contains(CANNOT));
    assert!(script(&mut jobs, "return redis.call('FLUSHALL')").contains(CANNOT), "it is blocked");
    assert!(script(&mut jobs, "return redis.call('CLIENT', 'KILL', 'TYPE', 'normal')").contains("ERR"));
    assert_eq!(jobs.text(&["GET", "j:1"]), "$1\r\nx", "nothing was flushed");
    let mut admin = gate.connect("admin");
    assert_eq!(script(&mut admin, "return redis.call('FLUSHALL')"), "+OK", "whom nothing binds, nothing binds here");
}

#[test]
fn a_script_may_nothing_that_its_sender_may_not_not_even_echo() {
    let redis = RedisServer::start();
    let gate = setup(&redis).acl("user jobs on +@all -echo ~j:* &*\nuser admin off\n").start().settled();
    assert!(script(&mut gate.connect("jobs"), "return redis.call('ECHO', 'x')").contains(CANNOT));
}

#[test]
fn a_script_in_a_transaction_is_bound_too() {
    let redis = RedisServer::start();
    let gate = setup(&redis).start().settled();
    let mut jobs = gate.connect("jobs");
    assert_eq!(jobs.text(&["MULTI"]), "+OK");
    assert_eq!(script(&mut jobs, "return redis.call('SET', 'j:1', 'x')"), "+QUEUED");
    assert_eq!(script(&mut jobs, "return redis.pcall('GET', 'secret')"), "+QUEUED");
    let replies = jobs.text(&["EXEC"]);
    assert!(replies.starts_with("*2\r\n+OK\r\n-"), "{replies}");
}

#[test]
fn script_debug_is_refused_whoever_asks_and_aborts_a_transaction() {
    const REFUSED: &str = "-ERR respgate: not possible through the proxy";
    let redis = RedisServer::start();
    let gate = setup(&redis).start().settled();
    let mut jobs = gate.connect("jobs");
    let blocked = "-NOPERM this user has no permissions to run the 'script|debug' command (blocked by respgate)";
    assert_eq!(jobs.text(&["SCRIPT", "DEBUG", "YES"]), blocked);
    assert_eq!(script(&mut jobs, "return 1"), ":1");
    let mut admin = gate.connect("admin");
    for mode in ["YES", "SYNC", "NO", "no\0"] {
        assert_eq!(admin.text(&["script", "debug", mode]), REFUSED);
    }
    assert_eq!(script(&mut admin, "return 1"), ":1", "nothing is debugged");
    for (words, reply) in [
        (&["MULTI"][..], "+OK"),
        (&["SET", "k", "1"], "+QUEUED"),
        (&["SCRIPT", "DEBUG", "YES"], REFUSED),
        (&["EXEC"], "-EXECABORT Transaction discarded because of previous errors."),
        (&["EXISTS", "k"], ":0"),
    ] {
        assert_eq!(admin.text(words), reply);
    }
    gate.wait_for_log(&["unsupported", "script|debug"]);
    assert_eq!(redis.calls("script|debug"), 0);
}

#[test]
fn scripts_follow_the_rights_of_their_user_as_these_change() {
    let redis = RedisServer::start();
    let gate = setup(&redis).start().settled();
    let (mut jobs, mut admin) = (gate.connect("jobs"), gate.connect("admin"));
    let read = "return redis.call('GET', 'k:1')";
    assert!(script(&mut jobs, read).contains(CANNOT));
    assert_eq!(admin.text(&["ACL", "SETUSER", "jobs", "~k:*"]), "+OK");
    assert_eq!(script(&mut jobs, read), "$-1");
    assert_eq!(admin.text(&["ACL", "SETUSER", "jobs", "-get"]), "+OK");
    assert!(script(&mut jobs, read).contains(CANNOT));
    assert_eq!(jobs.text(&["SET", "k:1", "x"]), "+OK", "the session is the same");
}

#[test]
fn what_a_session_may_do_it_may_do_after_a_script_too() {
    let redis = RedisServer::start();
    let rules = "on +@all -@dangerous +config|get +select|3 -select -object|help ~j:* %R~k:* &* (~m:* +@read)";
    let gate = setup(&redis).acl(&format!("user jobs {rules}\nuser admin off\n")).start().settled();
    let (mut before, mut after) = (gate.connect("jobs"), gate.connect("jobs"));
    assert_eq!(script(&mut after, "return 1"), ":1");
    for line in [
        "COMMAND COUNT",
        "COMMAND",
        "CLIENT GETNAME",
        "CLIENT NO-EVICT ON",
        "CLIENT INFO",
        "OBJECT HELP",
        "OBJECT FREQ m:1",
        "GET j:1",
        "GET k:1",
        "SET k:1 x",
        "GET m:1",
        "SET m:1 x",
        "GET x",
        "SELECT 3",
        "SELECT 1",
        "CONFIG GET port",
        "MEMORY USAGE j:1",
        "XINFO HELP",
        "PUBSUB CHANNELS",
        "SCRIPT EXISTS x",
        "FUNCTION LIST",
        "LATENCY HELP",
        "KEYS *",
        "PUBLISH c x",
        "ECHO x",
        "PING",
        "TIME",
        "DBSIZE",
        "WAIT 0 0",
        "MODULE LIST",
        "ACL WHOAMI",
        "SORT j:1 BY x*",
    ] {
        let words: Vec<_> = line.split(' ').collect();
        let is_refused = |client: &mut RespClient| client.text(&words).contains("NOPERM");
        assert_eq!(is_refused(&mut after), is_refused(&mut before), "{line}");
    }
}

#[test]
fn parameters_of_config_that_are_open_to_a_user_stay_so_after_a_script_and_are_not_for_scripts() {
    let redis = RedisServer::start();
    let open = "[user.jobs]\nconfig-get = [\"hz\"]\nconfig-set = [\"hz\"]";
    let gate = setup(&redis).table(open).start().settled();
    let mut jobs = gate.connect("jobs");
    assert_eq!(script(&mut jobs, "return 1"), ":1");
    assert_eq!(jobs.text(&["CONFIG", "SET", "hz", "11"]), "+OK");
    assert_eq!(jobs.text(&["CONFIG", "GET", "hz"]), "*2\r\n$2\r\nhz\r\n$2\r\n11");
    assert!(jobs.text(&["CONFIG", "GET", "dir"]).contains("blocked by respgate"));
    assert!(script(&mut jobs, "return redis.call('CONFIG', 'GET', 'dir')").contains("not allowed from script"));
}

#[test]
fn acl_checks_inside_a_script_speak_of_its_sender() {
    let redis = RedisServer::start();
    let gate = setup(&redis).start().settled();
    let mut jobs = gate.connect("jobs");
    assert_eq!(script(&mut jobs, "return redis.acl_check_cmd('SET', 'j:1', 'x')"), ":1");
    assert_eq!(script(&mut jobs, "return redis.acl_check_cmd('SET', 'k:1', 'x')"), "$-1");
}

#[test]
fn users_that_were_made_for_scripts_are_gone_with_the_proxy() {
    let redis = RedisServer::start();
    let mut gate = setup(&redis).start().settled();
    let mut jobs = gate.connect("jobs");
    assert_eq!(script(&mut jobs, "return 1"), ":1");
    let users = redis.direct().text(&["ACL", "USERS"]);
    assert!(users.contains("respgate:") && users.contains(":jobs"), "{users}");
    assert!(!redis.direct().text(&["ACL", "LIST"]).contains("nopass ~j:"), "nobody else may be one");
    gate.signal(Signal::TERM);
    assert!(gate.exit_status().success());
    assert_eq!(redis.direct().text(&["ACL", "USERS"]), "*1\r\n$7\r\ndefault");
}

#[test]
fn a_user_that_redis_has_lost_is_made_again() {
    let mut redis = RedisServer::start();
    let gate = setup(&redis).expect_log("upstream is not there").expect_log("cannot connect").start().settled();
    let mut jobs = gate.connect("jobs");
    assert_eq!(script(&mut jobs, "return 1"), ":1");
    redis.stop();
    redis.restart();
    jobs.expect_closed();
    eventually("a script runs again", || (script(&mut gate.connect("jobs"), "return 1") == ":1").then_some(()));
}

#[test]
fn a_user_that_redis_has_saved_with_former_rights_and_loads_again_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("redis.acl");
    std::fs::write(&file, "user default on nopass ~* &* +@all\n").unwrap();
    let redis = RedisServer::start_with(&["--aclfile", file.to_str().unwrap()]);
    let gate = setup(&redis).start().settled();
    let (mut jobs, mut admin) = (gate.connect("jobs"), gate.connect("admin"));
    let read = "return redis.call('GET', 'k:1')";
    assert_eq!(admin.text(&["ACL", "SETUSER", "jobs", "~k:*"]), "+OK");
    assert_eq!(script(&mut jobs, read), "$-1");
    assert_eq!(redis.direct().text(&["ACL", "SAVE"]), "+OK");
    assert_eq!(admin.text(&["ACL", "SETUSER", "jobs", "resetkeys", "~j:*"]), "+OK");
    assert!(script(&mut jobs, read).contains(CANNOT));
    assert_eq!(redis.direct().text(&["ACL", "LOAD"]), "+OK");
    assert!(script(&mut gate.connect("jobs"), read).contains(CANNOT), "it is as Redis has saved it");
}

#[test]
fn a_user_that_redis_may_still_be_given_other_rights_is_not_used() {
    let redis = RedisServer::start();
    let gate = impatient(&redis);
    let (mut jobs, mut admin) = (gate.connect("jobs"), gate.connect("admin"));
    assert_eq!(script(&mut jobs, "return 1"), ":1");
    assert_eq!(admin.text(&["ACL", "SETUSER", "jobs", "~k:*"]), "+OK");
    redis.pause();
    assert!(script(&mut gate.connect("jobs"), "return 1").starts_with("-ERR respgate: "));
    assert_eq!(admin.text(&["ACL", "SETUSER", "jobs", "resetkeys", "~l:*"]), "+OK");
    redis.resume();
    let mut jobs = gate.connect("jobs");
    assert_eq!(script(&mut jobs, "return redis.call('GET', 'l:1')"), "$-1");
    let list = redis.direct().text(&["CLIENT", "LIST"]);
    assert!(list.contains("-1:jobs "), "it acts under another name: {list}");
}

#[test]
fn clients_that_leave_while_redis_is_stuck_leave_no_users_there() {
    let redis = RedisServer::start();
    let gate = impatient(&redis);
    let mut jobs: Vec<_> = (0..20).map(|_| gate.connect("jobs")).collect();
    jobs.iter_mut().for_each(|client| assert_eq!(client.text(&["GET", "j:1"]), "$-1"));
    redis.pause();
    jobs.iter_mut().for_each(|client| client.send(&request(&["EVAL", "return 1", "0"])));
    assert_eq!(jobs[0].reply_text(), NO_MIRROR);
    assert_eq!(jobs[19].reply_text(), NO_MIRROR, "whoever waited behind it waits no longer");
    drop(jobs);
    redis.resume();
    assert_eq!(script(&mut gate.connect("jobs"), "return 1"), ":1");
    assert!(redis.direct().text(&["ACL", "USERS"]).starts_with("*2\r\n"), "default and one mirror");
}

#[test]
fn scripts_are_refused_where_redis_lets_us_make_no_users() {
    let redis = RedisServer::start();
    let rules = ["ACL", "SETUSER", "proxy", "on", ">pw", "~*", "&*", "+@all", "-acl"];
    assert_eq!(redis.direct().text(&rules), "+OK");
    let gate = setup(&redis).file("pw", "pw").table("[upstream-auth]\nuser = \"proxy\"\npassword-file = \"pw\"");
    let gate = gate.expect_log("no user for scripts").start().settled();
    let mut jobs = gate.connect("jobs");
    assert_eq!(script(&mut jobs, "return 1"), NO_MIRROR);
    assert_eq!(jobs.text(&["SET", "j:1", "x"]), "+OK", "everything else goes on");
    gate.wait_for_log(&["mirror", "jobs", "NOPERM"]);
}

#[test]
fn without_mirror_users_scripts_have_the_rights_of_the_proxys_own_user() {
    let redis = RedisServer::start();
    let gate = setup(&redis).setting("mirror-users = \"no\"").expect_log("without mirror-users").start().settled();
    let mut jobs = gate.connect("jobs");
    assert_eq!(script(&mut jobs, "return redis.call('GET', 'secret')"), "$-1");
    assert_eq!(redis.direct().text(&["ACL", "USERS"]), "*1\r\n$7\r\ndefault");
}

#[test]
fn without_mirror_users_no_script_runs_as_whom_the_proxy_was_in_redis_before() {
    const LIMITED: &str = "mirror-users = \"no\"\nupstream-auth = { user = \"limited\", password = \"secret\" }";
    let redis = RedisServer::start_with(&["--requirepass", "first"]);
    let mut direct = redis.direct();
    assert_eq!(direct.text(&["AUTH", "first"]), "+OK");
    let former = "upstream-auth = { password = \"first\" }";
    let mut setup = setup(&redis).setting(&format!("mirror-users = \"yes\"\n{former}"));
    for word in ["without mirror-users", "the upstream refused", "upstream is not there", "upstream-unavailable"] {
        setup = setup.expect_log(word);
    }
    let gate = setup.start().settled();
    let mut jobs = gate.connect("jobs");
    assert_eq!(jobs.text(&["PING"]), "+PONG");
    gate.edit_config(&format!("mirror-users = \"yes\"\n{former}"), LIMITED);
    let (out, result) = jobs.read_to_end();
    assert!(out.is_empty() && result.is_ok(), "{out:?}");
    gate.wait_for_log(&["\"close\"", "CN=jobs", "policy-changed"]);
    let mut early = gate.connect("jobs");
    let _ = early.try_send(&request(&["EVAL", "return redis.call('SET', 'secret', 'x')", "0"]));
    assert!(early.read_to_end().0.is_empty(), "Redis does not know the new user, and the one before is no stand-in");
    let rules = ["ACL", "SETUSER", "limited", "on", ">secret", "~j:*", "&*", "+@all", "-flushall"];
    assert_eq!(direct.text(&rules), "+OK");
    eventually("the proxy to be let in", || {
        let mut late = gate.connect("jobs");
        late.try_send(&request(&["PING"])).and_then(|()| late.try_reply()).ok()
    });
    let mut late = gate.connect("jobs");
    assert!(script(&mut late, "return redis.call('SET', 'secret', 'x')").contains(CANNOT));
    assert_eq!(script(&mut late, "return redis.call('SET', 'j:1', 'x')"), "+OK");
    assert_eq!(direct.text(&["EXISTS", "secret"]), ":0");
}

// --- helpers

fn setup(redis: &RedisServer) -> Setup {
    Respgate::setup(&upstream_of(redis)).acl(USERS).table(BLOCK).table(ADMIN)
}

/// A respgate that gives up soon to ask Redis.
fn impatient(redis: &RedisServer) -> Respgate {
    let setup = setup(redis).setting("upstream-connect-timeout = \"300ms\"");
    setup.expect_log("no user for scripts").expect_log("upstream").start().settled()
}

fn script(client: &mut RespClient, lua: &str) -> String {
    client.text(&["EVAL", lua, "0"])
}

//! Requests that Redis has received and not executed when somebody loses the right to them: none is executed after the
//! change has been reported as done.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::{RedisServer, RespClient, Respgate, Setup, eventually, request, upstream_of};

const USERS: &str = "user admin on +@all ~* &*\nuser bob on +@all -@admin ~b:* &*\n";
const REQUESTS: usize = 50;

#[test]
fn deluser_is_answered_once_redis_executes_nothing_more_of_the_user() {
    let redis = RedisServer::start();
    let gate = setup(&redis).start();
    let (mut admin, mut bob) = both(&gate);
    redis.pause();
    push(&mut bob);
    answered_after_resuming(&redis, || assert_eq!(admin.text(&["ACL", "DELUSER", "bob"]), ":1"));
    expect_nothing_more(&redis);
    bob.read_to_end().1.ok();
    gate.wait_for_log(&["\"acl\"", "done", "deluser", "bob"]);
}

#[test]
fn it_needs_no_right_of_the_upstream_user() {
    let user = ["--user", "default", "on", "nopass", "~*", "&*", "+@all", "-client|id", "-client|kill"];
    let redis = RedisServer::start_with(&user);
    let gate = setup(&redis).start();
    let (mut admin, mut bob) = both(&gate);
    redis.pause();
    push(&mut bob);
    answered_after_resuming(&redis, || assert_eq!(admin.text(&["ACL", "DELUSER", "bob"]), ":1"));
    expect_nothing_more(&redis);
}

/// Redis reads 16 KiB of a client at a time, and in between it hears what others say.
#[test]
fn a_redis_that_is_busy_with_a_pipeline_of_the_user_drops_the_rest_of_it() {
    const SLOW: usize = 40;
    let redis = RedisServer::start_with(&["--enable-debug-command", "yes"]);
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl(&USERS.replace("-@admin", "+debug"))
        .table("[block]\ncommands = [\"FLUSHALL\"]")
        .start();
    let (mut admin, mut bob) = both(&gate);
    let filling = "x".repeat(18 << 10);
    let slow = [&["DEBUG", "SLEEP", "0.1"][..], &["RPUSH", "b:list", &filling]].map(request).concat();
    bob.send(&slow.repeat(SLOW));
    eventually("the first to be executed", || (redis.direct().text(&["EXISTS", "b:list"]) == ":1").then_some(()));
    assert_eq!(admin.text(&["ACL", "DELUSER", "bob"]), ":1");
    expect_nothing_more(&redis);
    let executed: usize = redis.direct().text(&["LLEN", "b:list"])[1..].parse().unwrap();
    // Whether it is told by CLIENT KILL or by the end of the stream is a matter of how much Redis reads at once.
    assert!(executed < SLOW, "{executed}");
}

#[test]
fn what_a_redis_that_is_paused_for_writing_has_postponed_is_never_executed() {
    let redis = RedisServer::start();
    let gate = setup(&redis).start();
    let (mut admin, mut bob) = both(&gate);
    assert_eq!(redis.direct().text(&["CLIENT", "PAUSE", "100000", "WRITE"]), "+OK");
    push(&mut bob);
    eventually("the first to be postponed", || {
        redis.direct().text(&["CLIENT", "LIST"]).contains(" cmd=rpush ").then_some(())
    });
    assert_eq!(admin.text(&["ACL", "DELUSER", "bob"]), ":1");
    assert_eq!(redis.direct().text(&["CLIENT", "UNPAUSE"]), "+OK");
    expect_nothing_more(&redis);
    assert_eq!(redis.direct().text(&["LLEN", "b:list"]), ":0");
}

#[test]
fn deluser_says_that_it_is_not_confirmed_where_redis_does_not_answer() {
    let redis = RedisServer::start();
    let gate = setup(&redis).expect_log("not confirmed").start();
    let (mut admin, mut bob) = both(&gate);
    redis.pause();
    push(&mut bob);
    let answer = admin.text(&["ACL", "DELUSER", "bob"]);
    assert!(answer.starts_with("-ERR respgate: done, but not confirmed"), "{answer}");
    gate.wait_for_log(&["\"acl\"", "\"not-confirmed\"", "deluser", "bob", "not confirmed"]);
    assert_eq!(admin.text(&["ACL", "GETUSER", "bob"]), "$-1", "it is done");
    redis.resume();
}

#[test]
fn an_edit_that_is_repeated_is_confirmed_no_sooner_than_the_first() {
    let redis = RedisServer::start();
    let gate = setup(&redis).expect_log("not confirmed").start();
    let (mut admin, mut bob) = both(&gate);
    redis.pause();
    push(&mut bob);
    let answer = admin.text(&["ACL", "DELUSER", "bob"]);
    assert!(answer.starts_with("-ERR respgate: done, but not confirmed"), "{answer}");
    answered_after_resuming(&redis, || assert_eq!(admin.text(&["ACL", "DELUSER", "bob"]), ":0"));
    expect_nothing_more(&redis);
}

#[test]
fn a_client_that_goes_while_it_may_still_get_its_replies_is_waited_for() {
    let redis = RedisServer::start();
    let gate = setup(&redis).setting("half-close-timeout = \"100ms\"").start();
    let (mut admin, mut bob) = both(&gate);
    let mut other = gate.connect("admin");
    redis.pause();
    push(&mut bob);
    thread::scope(|scope| {
        let answer = scope.spawn(|| admin.text(&["ACL", "SETUSER", "bob", "-rpush"]));
        eventually("the edit to be in force", || {
            other.text(&["ACL", "GETUSER", "bob"]).contains("-rpush").then_some(())
        });
        drop(bob);
        gate.wait_for_log(&["\"close\"", "bob", "half-close-timeout"]);
        thread::sleep(Duration::from_millis(300));
        assert!(!answer.is_finished(), "reported while Redis had not executed or dropped what it had received");
        redis.resume();
        assert_eq!(answer.join().unwrap(), "+OK");
    });
    expect_nothing_more(&redis);
}

#[test]
fn deluser_waits_for_what_a_client_that_has_gone_has_left_behind() {
    let redis = RedisServer::start();
    let gate = setup(&redis).setting("half-close-timeout = \"100ms\"").start();
    let (mut admin, mut bob) = both(&gate);
    redis.pause();
    push(&mut bob);
    drop(bob);
    gate.wait_for_log(&["\"close\"", "bob", "half-close-timeout"]);
    answered_after_resuming(&redis, || assert_eq!(admin.text(&["ACL", "DELUSER", "bob"]), ":1"));
    expect_nothing_more(&redis);
}

#[test]
fn a_user_who_loses_keys_loses_a_session_for_which_redis_goes_on_executing() {
    let redis = RedisServer::start();
    let gate = setup(&redis).start();
    let (mut admin, mut bob) = both(&gate);
    redis.pause();
    push(&mut bob);
    thread::scope(|scope| {
        let admin = scope.spawn(|| admin.text(&["ACL", "SETUSER", "bob", "resetkeys", "~c:*"]));
        gate.wait_for_log(&["\"close\"", "bob", "policy-changed"]);
        assert!(!admin.is_finished());
        redis.resume();
        assert_eq!(admin.join().unwrap(), "+OK");
    });
    expect_nothing_more(&redis);
}

#[test]
fn a_user_who_gets_more_rights_is_not_waited_for() {
    let redis = RedisServer::start();
    let gate = setup(&redis).start();
    let (mut admin, mut bob) = both(&gate);
    redis.pause();
    push(&mut bob);
    assert_eq!(admin.text(&["ACL", "SETUSER", "bob", "~c:*"]), "+OK");
    redis.resume();
    for number in 1..=REQUESTS {
        assert_eq!(bob.reply_text(), format!(":{number}"));
    }
}

#[test]
fn a_revocation_is_reported_once_redis_executes_nothing_more_under_the_certificate() {
    let redis = RedisServer::start();
    let gate = setup(&redis).crl().start().settled();
    let mut bob = gate.connect_as(Some(&gate.pki().numbered_client("bob", 7)));
    assert_eq!(bob.text(&["PING"]), "+PONG");
    redis.pause();
    push(&mut bob);
    gate.pki().write_crl(&[7]);
    gate.wait_for_log(&["\"close\"", "bob", "certificate-revoked"]);
    expect_reported_after_resuming(&gate, &redis);
}

#[test]
fn what_is_blocked_or_disabled_is_reported_once_redis_executes_nothing_more_of_it() {
    for more in ["[block]\ncommands = [\"FLUSHALL\", \"RPUSH\"]", "[rename]\nRPUSH = \"\""] {
        let redis = RedisServer::start();
        let gate = setup(&redis).start().settled();
        let mut bob = gate.connect("bob");
        assert_eq!(bob.text(&["PING"]), "+PONG");
        redis.pause();
        push(&mut bob);
        gate.edit_config("[block]\ncommands = [\"FLUSHALL\"]", more);
        gate.wait_for_log(&["\"close\"", "bob", "policy-changed"]);
        expect_reported_after_resuming(&gate, &redis);
    }
}

fn setup(redis: &RedisServer) -> Setup {
    Respgate::setup(&upstream_of(redis))
        .acl(USERS)
        .table("[block]\ncommands = [\"FLUSHALL\"]")
        .setting("reload-interval = \"50ms\"")
        .expect_log("upstream")
}

fn both(gate: &Respgate) -> (RespClient, RespClient) {
    // Only connections that come later are known to be of this run of Redis, and may be killed.
    gate.wait_for_log(&["upstream is there"]);
    let (mut admin, mut bob) = (gate.connect("admin"), gate.connect("bob"));
    assert_eq!([admin.text(&["PING"]), bob.text(&["PING"])], ["+PONG", "+PONG"]);
    (admin, bob)
}

/// Sends requests, and gives the proxy time to pass them on: should that not be enough, Redis never sees them.
fn push(bob: &mut RespClient) {
    let numbers = (0..REQUESTS).map(|number| number.to_string());
    bob.send(&numbers.flat_map(|number| request(&["RPUSH", "b:list", &number])).collect::<Vec<u8>>());
    thread::sleep(Duration::from_millis(200));
}

/// The change of a file is not reported as done yet, and is when Redis goes on, which executes nothing more.
fn expect_reported_after_resuming(gate: &Respgate, redis: &RedisServer) {
    let is_reported = || gate.log_text().lines().any(|line| line.contains("files changed") && line.contains("done"));
    assert!(!is_reported(), "{}", gate.log_text());
    redis.resume();
    eventually("the reload to be reported", || is_reported().then_some(()));
    expect_nothing_more(redis);
}

/// Does what waits for Redis, which goes on meanwhile.
fn answered_after_resuming(redis: &RedisServer, wait: impl FnOnce()) {
    let is_resumed = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(500));
            is_resumed.store(true, Ordering::SeqCst);
            redis.resume();
        });
        wait();
        assert!(
            is_resumed.load(Ordering::SeqCst),
            "reported while Redis had not executed or dropped what it had received"
        );
    });
}

/// What has been executed by now is all that will be.
fn expect_nothing_more(redis: &RedisServer) {
    let mut direct = redis.direct();
    let executed = direct.text(&["LLEN", "b:list"]);
    thread::sleep(Duration::from_millis(300));
    assert_eq!(direct.text(&["LLEN", "b:list"]), executed);
}

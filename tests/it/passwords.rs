//! Who may log in with a password, from where, and how many at once.

use rustix::process::Signal;

use crate::support::{RedisServer, RespClient, Respgate, Setup, request, upstream_of};

const WRONGPASS: &str = "-WRONGPASS invalid username-password pair or user is disabled.";

#[test]
fn a_thousand_logins_at_once_are_all_accepted_and_cost_one_hash() {
    const CLIENTS: usize = 1000;
    let redis = RedisServer::start();
    let mut gate = setup(&redis, "app on $HASH +@all ~*").arg("--tls=no").arg("--maxclients=1100").start().settled();
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| RespClient::plain(gate.address())).collect();
    clients.iter_mut().for_each(|client| client.send(&request(&["AUTH", "app", "correct horse"])));
    for client in &mut clients {
        assert_eq!(client.reply_text(), "+OK");
    }
    drop(clients);
    gate.signal(Signal::TERM);
    gate.wait_for_log(&["stopped", "\"hashes_computed\":1}"]);
    assert!(gate.exit_status().success());
}

#[test]
fn guessing_ends_in_a_pause_that_the_right_password_does_not_break() {
    let redis = RedisServer::start();
    let gate = setup(&redis, "app on $HASH +@all ~*").arg("--handshake-timeout=1m").arg("--auth-timeout=1m").start();
    let [mut guesser, mut another, mut owner] = [(); 3].map(|()| gate.connect("some-machine"));
    for number in 0..5 {
        assert_eq!(guesser.text(&["AUTH", "app", &format!("guess {number}")]), WRONGPASS);
    }
    another.send(&request(&["AUTH", "app", "guess"]));
    owner.send(&request(&["AUTH", "app", "correct horse"]));
    for mut client in [another, owner] {
        assert_eq!(client.reply_text(), "-ERR respgate: too many failed logins, try again later");
        client.expect_closed();
    }
    gate.wait_for_log(&["\"login\"", "failed", "throttled", "127.0.0.1"]);
}

#[test]
fn a_user_may_come_only_from_where_it_is_allowed_to() {
    let redis = RedisServer::start();
    for (network, is_allowed) in [("127.0.0.0/8", true), ("10.0.0.0/8", false)] {
        let table = format!("[user.app]\nallow-from = [\"{network}\"]\n[[certificate]]\ncn = \"app\"\nuser = \"app\"");
        let gate = setup(&redis, "app on $HASH +@all ~*").setting("unmapped = \"password\"").table(&table).start();
        let expected = if is_allowed { "+OK" } else { WRONGPASS };
        assert_eq!(login(&gate, "some-machine", "app", "correct horse"), expected);
        let mut by_certificate = gate.connect("app");
        let pong = by_certificate.try_send(&request(&["PING"])).and_then(|()| by_certificate.try_reply());
        assert_eq!(pong.is_ok_and(|reply| reply == b"+PONG\r\n"), is_allowed);
        if !is_allowed {
            gate.wait_for_log(&["\"login\"", "failed", "\"address\""]);
            gate.wait_for_log(&["\"connection\"", "refused", "\"address\""]);
        }
    }
}

#[test]
fn a_user_of_certificates_only_has_no_password_login() {
    let redis = RedisServer::start();
    let gate = with_rules(&redis, "[user.app]\nauth = \"certificate\"").start();
    assert_eq!(login(&gate, "some-machine", "app", "correct horse"), WRONGPASS);
    gate.wait_for_log(&["\"login\"", "failed", "certificate-required"]);
    assert_eq!(gate.connect("app").text(&["ACL", "WHOAMI"]), "$3\r\napp");
    assert_eq!(login(&gate, "app", "app", "correct horse"), WRONGPASS, "not even beside its certificate");
    assert_eq!(login(&gate, "some-machine", "other", "correct horse"), "+OK");
}

#[test]
fn a_user_that_requires_its_certificate_needs_the_password_and_the_certificate() {
    let redis = RedisServer::start();
    let gate = with_rules(&redis, "[user.app]\ncertificate = \"required\"").start();
    assert_eq!(login(&gate, "some-machine", "app", "correct horse"), WRONGPASS);
    gate.wait_for_log(&["\"login\"", "failed", "certificate-required"]);
    assert_eq!(login(&gate, "app", "app", "correct horse"), "+OK");
    assert_eq!(login(&gate, "app", "app", "wrong"), WRONGPASS);
}

#[test]
fn a_certificate_session_becomes_another_user_only_where_reauth_says_so() {
    let redis = RedisServer::start();
    for (table, expected) in [("[user.app]\nreauth = true", "other"), ("", "app")] {
        let gate = with_rules(&redis, table).start();
        let mut client = gate.connect("app");
        let reply = client.text(&["AUTH", "other", "correct horse"]);
        assert_eq!(reply == "+OK", expected == "other", "{reply}");
        assert_eq!(client.text(&["ACL", "WHOAMI"]), format!("${}\r\n{expected}", expected.len()));
        if expected == "app" {
            gate.wait_for_log(&["INFO", "\"login\"", "refused", "\"user\":\"app\"", "\"attempted\":\"other\""]);
        }
    }
}

#[test]
fn passwords_left_over_beside_a_certificate_shut_nobody_out_and_cost_no_hash() {
    const SESSIONS: u64 = 30;
    let redis = RedisServer::start();
    for (setting, answer) in [("refuse", WRONGPASS), ("ignore", "+OK")] {
        let mut gate = with_old_password(&redis).setting(&format!("stray-auth = {setting:?}")).start().settled();
        for number in 0..SESSIONS {
            let mut client = gate.connect("app");
            for line in [&["AUTH", "old password"][..], &["AUTH", "default", "wrong"], &["AUTH", "default", ""]] {
                assert_eq!(client.text(line), answer, "{setting}: session {number}");
            }
            assert_eq!(client.text(&["AUTH", "other", "correct horse"]), WRONGPASS);
            let hello = client.text(&["HELLO", "3", "AUTH", "default", "old password", "SETNAME", "worker"]);
            assert_eq!(hello.starts_with('%'), setting == "ignore", "{hello}");
            assert_eq!(client.text(&["ACL", "WHOAMI"]), "$3\r\napp");
            let name = if setting == "ignore" { "$6\r\nworker" } else { "$-1" };
            assert_eq!(client.text(&["CLIENT", "GETNAME"]), name);
        }
        let mut by_password = gate.connect("some-machine");
        assert_eq!(by_password.text(&["AUTH", "old password"]), "+OK", "nobody of the address is paused");
        drop(by_password);
        let outcome = if setting == "ignore" { "ignored" } else { "refused" };
        gate.wait_for_log(&["INFO", "\"login\"", &format!("\"outcome\":\"{outcome}\""), "\"attempted\":\"default\""]);
        gate.signal(Signal::TERM);
        gate.wait_for_log(&["stopped", "\"hashes_computed\":1}"]);
        assert!(gate.exit_status().success());
        let told = gate.counted(&["\"login\"", &format!("\"outcome\":\"{outcome}\"")]);
        assert_eq!(told, SESSIONS * if setting == "ignore" { 4 } else { 5 });
        let log = gate.log_text();
        assert!(!log.contains("old password") && !log.contains("correct horse"), "{log}");
    }
}

#[test]
fn the_setting_of_a_user_stands_above_and_both_take_effect_with_a_reload() {
    let redis = RedisServer::start();
    let gate = with_old_password(&redis)
        .setting("stray-auth = \"refuse\"")
        .table("[user.app]\nstray-auth = \"ignore\" # app")
        .start()
        .settled();
    let mut client = gate.connect("app");
    let mut other = gate.connect("other");
    let mut said = || [&mut client, &mut other].map(|client| client.text(&["AUTH", "old password"]));
    assert_eq!(said(), ["+OK", WRONGPASS]);
    gate.edit_config("stray-auth = \"ignore\" # app", "stray-auth = \"refuse\" # app");
    gate.wait_for_log(&["reload", "done", "\"generation\":3"]);
    assert_eq!(said(), [WRONGPASS, WRONGPASS]);
    gate.edit_config("stray-auth = \"refuse\"\n", "stray-auth = \"ignore\"\n");
    gate.wait_for_log(&["reload", "done", "\"generation\":4"]);
    assert_eq!(said(), [WRONGPASS, "+OK"]);
}

#[test]
fn guesses_at_the_own_password_of_a_certificate_pause_only_sessions_of_that_certificates_user() {
    const THROTTLED: &str = "-ERR respgate: too many failed logins, try again later";
    let redis = RedisServer::start();
    let gate = with_old_password(&redis).start().settled();
    let mut thief = gate.connect("app");
    for number in 0..5 {
        assert_eq!(thief.text(&["AUTH", "app", &format!("guess {number}")]), WRONGPASS);
    }
    assert_eq!(thief.text(&["AUTH", "app", "correct horse"]), THROTTLED);
    assert_eq!(thief.text(&["ACL", "WHOAMI"]), "$3\r\napp", "the certificate is still good");
    for user in ["app", "other", "default"] {
        let password = if user == "default" { "old password" } else { "correct horse" };
        assert_eq!(login(&gate, "some-machine", user, password), "+OK", "{user}");
    }
    let mut neighbour = gate.connect("other");
    assert_eq!(neighbour.text(&["AUTH", "other", "correct horse"]), "+OK");
    assert_eq!(neighbour.text(&["AUTH", "other", "wrong"]), WRONGPASS, "and is looked at");
}

#[test]
fn guesses_of_strangers_do_not_keep_a_certificate_from_its_own_password() {
    let redis = RedisServer::start();
    let gate = with_old_password(&redis).start().settled();
    let mut guesser = gate.connect("some-machine");
    for number in 0..5 {
        assert_eq!(guesser.text(&["AUTH", "app", &format!("guess {number}")]), WRONGPASS);
    }
    assert_eq!(gate.connect("app").text(&["AUTH", "app", "correct horse"]), "+OK");
}

#[test]
fn whoever_logs_in_for_the_first_time_is_let_in_while_others_guess_more_than_can_wait() {
    let redis = RedisServer::start();
    let gate = setup(&redis, "app on $HASH +@all ~*")
        .setting("proxy-protocol-from = \"127.0.0.0/8\"")
        .arg("--tls=no")
        .arg("--maxclients=5000")
        .arg("--auth-timeout=1m")
        .start()
        .settled();
    let from = |address: &str| {
        let mut client = RespClient::plain(gate.address());
        client.send(format!("PROXY TCP4 {address} 127.0.0.1 40000 6380\r\n").as_bytes());
        client
    };
    let mut guessers: Vec<_> = (0..350).map(|number| from(&format!("192.0.2.{}", number % 5))).collect();
    for (number, guesser) in guessers.iter_mut().enumerate() {
        guesser.send(&request(&["AUTH", &format!("user {number}"), "guess"]));
    }
    gate.wait_for_log(&["\"login\"", "failed", "busy"]);
    assert_eq!(from("198.51.100.1").text(&["AUTH", "app", "correct horse"]), "+OK");
}

#[test]
fn every_refusal_computes_as_many_hashes_whoever_the_user_is_and_so_it_is_after_an_edit_of_users() {
    const COSTS: [&[&str]; 3] =
        [&["--memory", "1024", "--iterations", "1"], &["--memory", "2048", "--iterations", "1"], &["--memory", "4096"]];
    let hash = |password: &str, cost: usize| super::auth::hash_password(password, COSTS[cost]);
    let redis = RedisServer::start();
    let users = [
        format!("user weak on {} +@all", hash("a", 0)),
        format!("user strong on {} {} +@all", hash("a", 1), hash("b", 1)),
        format!("user mixed on {} {} +@all", hash("a", 0), hash("b", 1)),
        format!("user off off {} +@all", hash("a", 2)),
        "user fast on >a +@all\nuser none on +@all\nuser admin on +@all".to_owned(),
    ];
    let mut gate = Respgate::setup(&upstream_of(&redis))
        .acl_file(&(users.join("\n") + "\n"))
        .setting("unmapped = \"password\"")
        .table("[block]\nexempt-users = [\"admin\"]\n[[certificate]]\ncn = \"admin\"\nuser = \"admin\"")
        .start()
        .settled();
    let names = ["weak", "strong", "mixed", "off", "fast", "none", "nobody"];
    let refuse_all = || {
        for name in names {
            assert_eq!(login(&gate, "some-machine", name, "wrong"), WRONGPASS, "{name}");
        }
    };
    refuse_all();
    assert_eq!(gate.connect("admin").text(&["ACL", "SETUSER", "off", "on"]), "+OK");
    refuse_all();
    gate.signal(Signal::TERM);
    // One of the first cost and two of the second; then also one of the third.
    gate.wait_for_log(&["stopped", &format!("\"hashes_computed\":{}}}", 7 * 3 + 7 * 4)]);
    assert!(gate.exit_status().success());
}

/// Certificates of `app` and `other` name these users; `default` has the password of the time before.
fn with_old_password(redis: &RedisServer) -> Setup {
    setup(redis, "app on $HASH +@all ~*\nuser other on $HASH +@all ~*\nuser default on $OLD +@all ~*")
        .setting("unmapped = \"password\"")
        .table("[[certificate]]\ncn = [\"app\", \"other\"]\nuser = \"%{cn}\"")
}

fn with_rules(redis: &RedisServer, table: &str) -> Setup {
    setup(redis, "app on $HASH +@all ~*\nuser other on $HASH +@all ~*")
        .setting("unmapped = \"password\"")
        .table("[[certificate]]\ncn = \"app\"\nuser = \"app\"")
        .table(table)
}

/// `$HASH` in the users stands for the hash of `correct horse` at its usual cost, `$OLD` for that of `old password`.
fn setup(redis: &RedisServer, users: &str) -> Setup {
    let hash = super::auth::hash_password("correct horse", &[]);
    let old = if users.contains("$OLD") { super::auth::hash_password("old password", &[]) } else { String::new() };
    Respgate::setup(&upstream_of(redis))
        .acl_file(&format!("user {}\n", users.replace("$HASH", &hash).replace("$OLD", &old)))
}

/// What a login on a new connection with this certificate is answered.
fn login(gate: &Respgate, common_name: &str, user: &str, password: &str) -> String {
    gate.connect(common_name).text(&["AUTH", user, password])
}

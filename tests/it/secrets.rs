//! No password and no hash is ever in a log, an error or the output of `check`.

use crate::support::{RedisServer, Respgate, request, respgate_binary, upstream_of};

const RIGHT: &str = "right-secret-5c1d";
const WRONG: &str = "wrong-secret-9e42";
const UPSTREAM: &str = "upstream-secret-77aa";
const VALUE: &str = "a-value-that-is-private-31f0";

#[test]
fn passwords_and_values_stay_out_of_the_log_at_the_most_talkative_level() {
    let redis = RedisServer::start_with(&["--requirepass", UPSTREAM]);
    let setup = Respgate::setup(&upstream_of(&redis))
        .acl_file(&format!("user bob on >{RIGHT} +@all ~*\n"))
        .file("redis_password", UPSTREAM);
    let table = format!("[upstream-auth]\npassword-file = {:?}", setup.path("redis_password"));
    let gate = setup.table(&table).arg("--log-level").arg("trace").expect_log("").start();

    let mut client = gate.connect("some-machine");
    assert!(client.text(&["AUTH", "bob", WRONG]).starts_with("-WRONGPASS "));
    assert!(client.text(&["HELLO", "3", "AUTH", "bob", WRONG]).starts_with("-WRONGPASS "));
    assert!(client.text(&["AUTH", WRONG]).starts_with('-'));
    assert!(client.text(&["AUTH", "bob", RIGHT, WRONG]).starts_with('-'), "wrong number of arguments");
    assert_eq!(client.text(&["AUTH", "bob", RIGHT]), "+OK");
    assert_eq!(client.text(&["SET", "key", VALUE]), "+OK");
    assert!(client.text(&["CONFIG", "SET", "requirepass", WRONG]).starts_with("-NOPERM "));
    assert!(client.text(&["ACL", "SETUSER", "eve", &format!(">{WRONG}")]).starts_with("-NOPERM "));
    client.send(&request(&["AUTH", "bob", RIGHT]));
    client.send(b"*1\r\n$x\r\n");
    let _ = client.read_to_end();

    let mut inline = gate.connect("some-machine");
    inline.send(format!("AUTH bob {WRONG}\r\nAUTH bob \"{WRONG}\r\n").as_bytes());
    let _ = inline.read_to_end();
    gate.wait_for_log(&["bob"]);
    assert_free_of_secrets(&gate.log_text());
}

#[test]
fn passwords_stay_out_of_what_check_prints() {
    let setup = Respgate::setup("unix:/nonexistent/redis.sock")
        .acl_file(&format!("user bob on >{RIGHT} +@all ~*\nuser eve on >{WRONG} nopas\n"))
        .file("redis_password", UPSTREAM);
    let table = format!("[upstream-auth]\npassword-file = {:?}", setup.path("redis_password"));
    let setup = setup.table(&table);
    let output = respgate_binary()
        .args(["check", "--listen", "127.0.0.1:0", "--config"])
        .arg(setup.write_config())
        .env("REDIS_PASSWORD", VALUE)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    assert!(said.contains("nopas"), "{said}");
    assert_free_of_secrets(&said);
}

#[test]
fn secrets_stay_out_of_what_is_said_of_a_configuration_with_faults() {
    for faulty in [
        format!("[upstream-auth]\npassword = \"{UPSTREAM}\n"),
        format!("[upstream-auth]\npasword = \"{UPSTREAM}\"\n"),
        format!("[upstream-auth]\npassword = \"{UPSTREAM}\" x\n"),
        format!("[upstream-auth]\npassword = [\"{UPSTREAM}\"]\n"),
        format!("[upstream-auth]\npassword = \"{UPSTREAM}${{NOT_SET}}\"\n"),
        format!("[upstream-auth]\npassword = \"{UPSTREAM}\"\npassword-file = \"/nonexistent\"\n"),
        format!("[rename]\nCONFIG = \"{VALUE} \"\nNOSUCH = \"{VALUE}\"\n"),
    ] {
        let setup = Respgate::setup("unix:/nonexistent/redis.sock").acl_file("user bob on\n").table(&faulty);
        let config = setup.write_config();
        let output =
            respgate_binary().args(["check", "--listen", "127.0.0.1:0", "--config"]).arg(config).output().unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        assert_eq!(output.status.code(), Some(78), "{faulty}");
        assert_free_of_secrets(&said);
    }
}

#[test]
fn keys_hashes_and_tickets_stay_out_of_the_log_at_the_most_talkative_level() {
    let redis = RedisServer::start();
    let hash = super::auth::hash_password(RIGHT, &["--memory", "1024", "--iterations", "1"]);
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl_file(&format!("user bob on {hash} +@all ~*\nuser root on >{WRONG} +@all ~*\n"))
        .table("[block]\nexempt-users = [\"root\"]\n[rename]\nFLUSHALL = \"a-value-that-is-private-31f0\"")
        .arg("--log-level")
        .arg("trace")
        .expect_log("")
        .start()
        .settled();
    let mut client = gate.connect("some-machine");
    assert_eq!(client.text(&["AUTH", "bob", RIGHT]), "+OK");
    let mut root = gate.connect("some-machine");
    assert_eq!(root.text(&["AUTH", "root", WRONG]), "+OK");
    assert_eq!(root.text(&["ACL", "SETUSER", "eve", "on", &format!(">{UPSTREAM}"), "+@all", "~*"]), "+OK");
    assert!(root.text(&["ACL", "SETUSER", "eve", &format!("(>{UPSTREAM}")]).starts_with("-ERR"));
    root.call(&["FLUSHALL"]);
    assert_eq!(gate.connect("some-machine").text(&["AUTH", "eve", UPSTREAM]), "+OK");
    let key = std::fs::read_to_string(gate.pki().server().key).unwrap();
    let log = gate.log_text();
    assert_free_of_secrets(&log);
    let salt_and_output = hash.rsplit('$').take(2);
    for secret in salt_and_output.chain(key.lines().filter(|line| !line.starts_with('-'))) {
        assert!(!log.contains(secret), "{secret}");
    }
}

fn assert_free_of_secrets(text: &str) {
    for secret in [RIGHT, WRONG, UPSTREAM, VALUE] {
        let line = text.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret} is in the line {line:?}");
    }
}

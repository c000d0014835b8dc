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
        .acl_file(&format!("user bob on >{RIGHT} +@all ~*\nuser eve on >{WRONG} sometimes\n"))
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
    assert!(said.contains("sometimes"), "{said}");
    assert_free_of_secrets(&said);
}

fn assert_free_of_secrets(text: &str) {
    for secret in [RIGHT, WRONG, UPSTREAM, VALUE] {
        let line = text.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret} is in the line {line:?}");
    }
}

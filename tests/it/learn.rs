//! `learn-file`: what each user does is learnt, and the line made of it allows that.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use rustix::process::Signal;

use crate::support::{RedisServer, RespClient, Respgate, Setup, request, respgate_binary, upstream_of};

const ACL: &str = "user default off\nuser shop on +@all ~* &*\nuser bank on +@all ~* &*\n";

#[test]
fn the_line_of_what_was_learnt_allows_that_and_each_token_is_needed() {
    let redis = RedisServer::start();
    let (setup, learnt) = setup(&redis, ACL);
    let config = setup.write_config();
    let mut gate = setup.start();
    work(&mut gate.connect("shop"));
    end(&mut gate);
    let output = suggest(&config, &["--user", "shop"]);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = printed.lines().last().unwrap_or_default();
    let expected = "user shop on resetkeys resetchannels -@all +get +mget +publish +set +subscribe ~shop:cart:* %R~shop:mode &news";
    assert_eq!(line, expected, "{printed}{}", String::from_utf8_lossy(&output.stderr));
    assert!(printed.contains("#   +keys   once, last 20"), "{printed}");
    assert_eq!(fs::metadata(&learnt).unwrap().permissions().mode() & 0o777, 0o600);

    let refused = |line: &str| {
        let gate = Respgate::setup(&upstream_of(&redis)).acl(&format!("user default off\n{line}\n")).start();
        let mut client = gate.connect("shop");
        SHAPES.iter().filter(|shape| client.text(&words(shape, 5)).starts_with('-')).count()
    };
    assert_eq!(refused(line), 0);
    for token in line.split(' ').filter(|token| token.starts_with(['+', '~', '%', '&'])) {
        assert!(refused(&line.replacen(&format!(" {token}"), "", 1)) > 0, "{token} is idle");
    }
}

#[test]
fn a_restart_goes_on_with_what_was_learnt_before() {
    let redis = RedisServer::start();
    let (setup, learnt) = setup(&redis, ACL);
    let config = setup.write_config();
    let mut gate = setup.start();
    work(&mut gate.connect("shop"));
    end(&mut gate);
    let before = fs::read_to_string(&learnt).unwrap();
    let (setup, again) = self::setup(&redis, ACL);
    fs::write(&again, &before).unwrap();
    let mut gate = setup.start();
    gate.connect("shop").call(&["GET", "shop:mode"]);
    gate.connect("bank").call(&["GET", "shop:cart:7"]);
    end(&mut gate);
    let after = fs::read_to_string(&again).unwrap();
    assert!(after.contains("\"=shop\",\"=cart\",\"*\"") && after.contains("\"user\":\"bank\""), "{after}");
    let count = |text: &str| {
        let line = text.lines().find(|line| line.contains("\"shop\",\"requests\"")).unwrap().to_owned();
        serde_json::from_str::<serde_json::Value>(&line).unwrap()["count"].as_u64().unwrap()
    };
    assert_eq!(count(&after), count(&before) + 1);
    fs::write(&learnt, after).unwrap();
    let printed = String::from_utf8(suggest(&config, &["--user", "shop"]).stdout).unwrap();
    assert!(printed.contains(" ~shop:cart:* "), "bank's name is not told, so nothing is shared: {printed}");
}

#[test]
fn a_user_who_makes_up_names_fills_neither_the_file_nor_the_line() {
    let redis = RedisServer::start();
    let (setup, learnt) = setup(&redis, ACL);
    let config = setup.write_config();
    let mut gate = setup.start();
    let (mut bank, mut hostile) = (gate.connect("bank"), gate.connect("shop"));
    let mut made_up = 0_u64;
    for _ in 0..40 {
        let batch = 1000_u64;
        let names = (made_up..made_up + batch).map(|n| {
            let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let separator = |at: u32| char::from(b":{}-./|"[(mixed >> at) as usize % 7]);
            format!("{}{}user{mixed}@example.org{}{}", mixed % 50, separator(9), separator(17), mixed % 7_919)
        });
        hostile.send(&names.flat_map(|name| request(&["GET", &name])).collect::<Vec<u8>>());
        bank.send(&(0..batch).flat_map(|n| request(&["GET", &format!("bank:account:{n}")])).collect::<Vec<u8>>());
        for client in [&mut hostile, &mut bank] {
            (0..batch).for_each(|_| assert_eq!(client.reply(), b"$-1\r\n"));
        }
        made_up += batch;
    }
    end(&mut gate);
    let text = fs::read_to_string(&learnt).unwrap();
    assert!(text.len() < 1 << 20, "{} bytes", text.len());
    assert!(!text.contains("@example") && !text.contains("=user"), "{text}");
    let printed = String::from_utf8(suggest(&config, &["--user", "shop"]).stdout).unwrap();
    let line = printed.lines().last().unwrap();
    assert_eq!(line, "user shop on resetkeys resetchannels -@all +get", "{printed}");
    let printed = String::from_utf8(suggest(&config, &["--user", "bank"]).stdout).unwrap();
    assert!(printed.ends_with(" +get %R~bank:account:*\n"), "{printed}");
}

#[test]
fn a_file_that_is_something_else_is_an_error_and_kept() {
    let redis = RedisServer::start();
    let (setup, learnt) = setup(&redis, ACL);
    let config = setup.write_config();
    fs::write(&learnt, "mine\n").unwrap();
    for command in ["check", "run"] {
        let output =
            respgate_binary().args([command, "--listen", "127.0.0.1:0", "--config"]).arg(&config).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains("error: learn-file: ") && said.contains("line 1: it is no file of what"), "{said}");
    }
    assert_eq!(fs::read_to_string(&learnt).unwrap(), "mine\n");
}

// --- helpers

/// What an application asks for; `N` is another number each time.
const SHAPES: &[&str] =
    &["SET shop:cart:N v", "GET shop:cart:N", "MGET shop:mode shop:mode", "PUBLISH news x", "SUBSCRIBE news"];

fn words(shape: &str, number: usize) -> Vec<String> {
    shape.split(' ').map(|word| word.replace('N', &number.to_string())).collect()
}

fn setup(redis: &RedisServer, acl: &str) -> (Setup, std::path::PathBuf) {
    let setup = Respgate::setup(&upstream_of(redis)).acl(acl);
    let learnt = setup.path("learnt");
    (setup.setting(&format!("learn-file = {learnt:?}")), learnt)
}

/// Often enough to be learnt.
fn work(client: &mut RespClient) {
    for shape in &SHAPES[..4] {
        let requests = (0..1100).flat_map(|n| request(&words(shape, n)));
        client.send(&requests.collect::<Vec<u8>>());
        (0..1100).for_each(|_| drop(client.reply()));
    }
    client.call(&["KEYS", "nothing*"]);
    client.call(&["SUBSCRIBE", "news"]);
}

fn end(gate: &mut Respgate) {
    gate.signal(Signal::TERM);
    assert!(gate.exit_status().success());
}

fn suggest(config: &Path, arguments: &[&str]) -> Output {
    let mut command = respgate_binary();
    command.args(["acl", "suggest", "--config"]).arg(config).args(arguments).output().unwrap()
}

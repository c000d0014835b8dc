//! `respgate acl suggest`: what it prints allows what was seen, and no more.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use crate::support::{RedisServer, RespClient, Respgate, folder, respgate_binary, upstream_of};

const ACL: &str = "user default off\nuser shop on #aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa \
                   ~* &* +@all\n";

/// A script that uses a key of its own.
const SCRIPT: &str = "redis.call('HSET', 'shop:stock', KEYS[1], 1) return redis.call('INCR', KEYS[1])";

/// What an application asks for.
const REQUESTS: &[&[&str]] = &[
    &["SET", "shop:cart:17", "v"],
    &["GET", "shop:cart:18"],
    &["MGET", "shop:mode", "shop:cart:19"],
    &["LPUSH", "queue:mail", "x"],
    &["EVAL", SCRIPT, "1", "shop:counter"],
    &["PUBLISH", "news", "x"],
    &["PSUBSCRIBE", "news.*"],
];

#[test]
fn the_line_learnt_from_monitor_allows_the_same_again_scripts_included_and_each_token_is_needed() {
    let redis = RedisServer::start();
    let folder = folder();
    let captured = folder.path().join("monitor.txt");
    fs::write(&captured, capture(&redis)).unwrap();
    let file = folder.path().join("users.acl");
    fs::write(&file, ACL).unwrap();
    let output = suggest(&captured, &["--user", "shop", "--aclfile", file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output));
    let printed = String::from_utf8(output.stdout).unwrap();
    let line = printed.lines().last().unwrap();
    let expected = "user shop on #aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa resetkeys resetchannels \
                    -@all +eval +get +hset +incr +lpush +mget +psubscribe +publish +set %W~queue:mail ~shop:cart:* \
                    ~shop:counter %R~shop:mode %W~shop:stock &news &news.*";
    assert_eq!(line, expected, "{printed}");
    assert!(printed.contains("#     scripting-users = [\"shop\"]"), "{printed}");

    let refused = |line: &str| {
        let setup = Respgate::setup(&upstream_of(&redis)).acl(&format!("user default off\n{line}\n"));
        let gate = setup.table("[block]\nscripting-users = [\"shop\"]").start();
        let replies = requests(&mut gate.connect("shop"));
        replies.iter().filter(|reply| reply.starts_with('-')).count()
    };
    assert_eq!(refused(line), 0);
    let tokens = line.split(' ').filter(|token| token.starts_with(['+', '~', '%', '&']));
    for token in tokens {
        let less = line.replacen(&format!(" {token}"), "", 1);
        assert!(refused(&less) > 0, "{token} is idle");
    }
}

#[test]
fn each_address_has_its_line_and_what_cannot_be_read_is_said_by_line() {
    let folder = folder();
    let captured = folder.path().join("monitor.txt");
    let lines = "OK\n1.5 [0 10.0.0.5:1] \"get\" \"a\"\n1.5 [0 10.0.0.6:1] \"KEYS\" \"*\"\n1.5 [0 [::1]:7] \"ping\"\n\
                 1.5 [0 10.0.0.5:2] \"nosuch\"\n1.5 [0 10.0.0.5:2] \"get\" \"b";
    fs::write(&captured, lines).unwrap();
    let output = suggest(&captured, &[]);
    let said = text(&output);
    for expected in [
        "user 10.0.0.5 on resetkeys resetchannels -@all +get %R~a\n",
        "#   +keys   once, last 1970-01-01 00:00   is in @dangerous or @admin\n",
        "user 10.0.0.6 on resetkeys resetchannels -@all\n",
        "user ::1 on resetkeys resetchannels -@all +ping\n",
        "monitor.txt:5: no command that is known",
        "monitor.txt:6: this is no line of MONITOR",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
    let one = suggest(&captured, &["--from", "::1"]);
    assert_eq!(String::from_utf8_lossy(&one.stdout).matches("\nuser ").count(), 1);
    let nobody = suggest(&captured, &["--from", "10.9.9.9"]);
    assert_eq!((nobody.status.code(), nobody.stdout.len()), (Some(1), 0));
}

#[test]
fn what_is_written_is_for_its_owner_alone_and_over_nothing() {
    let folder = folder();
    let (captured, written) = (folder.path().join("monitor.txt"), folder.path().join("shop.acl"));
    fs::write(&captured, "1.5 [0 10.0.0.5:1] \"get\" \"a\"\n").unwrap();
    let to_file = ["--user", "shop", "--output", written.to_str().unwrap()];
    let output = suggest(&captured, &to_file);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0));
    assert!(
        fs::read_to_string(&written).unwrap().ends_with("\nuser shop on resetkeys resetchannels -@all +get %R~a\n")
    );
    assert_eq!(fs::metadata(&written).unwrap().permissions().mode() & 0o777, 0o600);
    fs::write(&written, "mine").unwrap();
    let again = suggest(&captured, &to_file);
    assert_eq!((again.status.code(), fs::read_to_string(&written).unwrap().as_str()), (Some(1), "mine"));
    let missing = suggest(&folder.path().join("none"), &[]);
    assert!(missing.status.code() == Some(1) && text(&missing).contains("none: cannot read it"), "{}", text(&missing));
}

// --- helpers

/// What MONITOR shows of the requests.
fn capture(redis: &RedisServer) -> String {
    let mut monitor = redis.direct();
    assert_eq!(monitor.text(&["MONITOR"]), "+OK");
    requests(&mut redis.direct());
    redis.direct().call(&["ECHO", "end"]);
    let mut lines = String::from("OK\n");
    loop {
        let line = monitor.reply_text();
        if line.contains("\"ECHO\"") {
            return lines;
        }
        lines.push_str(&format!("{}\n", line.trim_start_matches('+')));
    }
}

fn requests(client: &mut RespClient) -> Vec<String> {
    REQUESTS.iter().map(|request| client.text(request)).collect()
}

fn suggest(captured: &Path, arguments: &[&str]) -> Output {
    respgate_binary().args(["acl", "suggest", "--monitor"]).arg(captured).args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

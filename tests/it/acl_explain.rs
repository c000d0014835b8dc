//! `respgate acl explain`: in words, and without a proxy.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::{folder, respgate_binary};

const ACL: &str =
    "user shop on +@all -@dangerous +info ~shop:* %R~stock:* &shop:* (+set ~tmp:*)\nuser old off +@all ~*\n";

#[test]
fn it_needs_neither_a_listener_nor_an_upstream() {
    let folder = folder();
    let file = folder.path().join("users.acl");
    std::fs::write(&file, ACL).unwrap();
    let mut command = respgate_binary();
    command.args(["acl", "explain", "--user", "shop", "--aclfile"]).arg(&file).args(["--", "GET", "shop:1"]);
    let output = command.output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
    assert!(stdout(&output).starts_with("allowed: get\n"), "{}", stdout(&output));
}

#[test]
fn it_names_the_rule_the_key_and_the_pattern() {
    for (request, code, expected) in [
        (
            "GET shop:1",
            0,
            &[
                "allowed: get",
                "blocklist: does not name get",
                "ACL: allows it",
                "  command get: allowed by +@all",
                "  key 'shop:1' (read): allowed by ~shop:*",
            ][..],
        ),
        (
            "GET bank:1",
            1,
            &[
                "refused (acl-key): NOPERM this user has no permissions to access one of the keys used as arguments",
                "ACL: refuses it: no rule allows the key 'bank:1'",
                "  key 'bank:1' (read): refused, fits none of ~shop:* %R~stock:*",
                "    key 'bank:1' (read): refused, fits none of ~tmp:*",
            ],
        ),
        ("SET stock:1 5", 1, &["  key 'stock:1' (written): refused, fits none of ~shop:* %R~stock:*"]),
        ("SET tmp:1 5", 0, &["ACL: allows it", "  or by the selector (~tmp:* resetchannels -@all +set):"]),
        (
            "PUBLISH news x",
            1,
            &["ACL: refuses it: no rule allows the channel 'news'", "  channel 'news': refused, fits none of &shop:*"],
        ),
        ("KEYS *", 1, &["ACL: refuses it: the user may not run keys", "  command keys: refused by -@dangerous"]),
        (
            "SORT shop:1 BY a*",
            1,
            &["refused (acl-command): NOPERM this user has no permissions to run the 'sort' command"],
        ),
        ("INFO", 0, &["  command info: allowed by +info"]),
        ("AUTH x", 0, &["answered by the proxy: auth", "  command auth: everyone may run it"]),
        (
            "EVALSHA x 1 shop:1",
            1,
            &[
                "refused (blocked): NOPERM this user has no permissions to run the 'evalsha' command (blocked by respgate)",
                "blocklist: refuses evalsha, by @scripting; no rule of the ACL changes that",
                "ACL: allows it",
            ],
        ),
    ] {
        let output = explain("shop", ACL, "", request);
        let said = stdout(&output);
        assert_eq!(output.status.code(), Some(code), "{request}: {said}{}", stderr(&output));
        for line in expected {
            assert!(said.lines().any(|known| known == *line), "{request}: no {line:?}:\n{said}");
        }
        assert!(!said.contains('{'), "{said}");
    }
}

#[test]
fn it_says_for_whom_less_is_blocked() {
    for (table, expected) in [
        ("[block]\nexempt-users = \"old\"", "blocklist: names config|get by config, but exempt-users has this user"),
        (
            "[user.old]\nconfig-get = \"hz\"",
            "blocklist: names config|get by config, but config-get or config-set of this user has all parameters",
        ),
        ("[block]\ncommands = [\"default\", \"-config|get\"]", "blocklist: does not name config|get"),
    ] {
        let said = stdout(&explain("old", ACL, table, "CONFIG GET hz"));
        assert!(said.lines().any(|line| line == expected), "{said}");
        assert!(said.starts_with("allowed: config|get\nuser old is off and cannot log in\n"), "{said}");
    }
}

#[test]
fn it_names_the_nearest_user() {
    let output = explain("shopp", ACL, "", "GET a");
    assert_eq!(
        (output.status.code(), stderr(&output).as_str()),
        (Some(1), "error: there is no user shopp; did you mean shop?\n")
    );
}

// --- helpers

fn explain(user: &str, acl: &str, tables: &str, request: &str) -> Output {
    let folder = folder();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("users.acl", acl);
    write("respgate.toml", &format!("aclfile = \"users.acl\"\n{tables}\n"));
    let mut command: Command = respgate_binary();
    let config: &Path = &folder.path().join("respgate.toml");
    command.args(["acl", "explain", "--user", user, "--config"]).arg(config).arg("--").args(request.split(' '));
    command.output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

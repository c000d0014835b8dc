//! `respgate acl preset`: what it prints is all that is needed, and allows what it should and no more.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Output;

use crate::replica::follower;
use crate::support::{RedisServer, Respgate, Setup, eventually, respgate_binary, upstream_of};

#[test]
fn the_list_names_every_preset_with_a_few_words() {
    let names = names();
    for name in ["celery", "rq", "sidekiq", "bullmq", "django-cache", "channels", "socket.io", "cache", "session"] {
        assert!(names.iter().any(|known| known == name), "{name}");
    }
}

#[test]
fn all_presets_one_after_the_other_pass_check_without_a_warning() {
    // What Sentinel's own commands are, only a Sentinel tells.
    let names = names().into_iter().filter(|name| !["sentinel-client", "sentinel-node"].contains(&name.as_str()));
    let granted: Vec<_> = names.map(|name| printed(&[&name, "--user", &format!("of-{name}")])).collect();
    let acl: String = granted.iter().map(|(acl, _)| acl.as_str()).collect();
    // There is one [block], and its lists have all users.
    let list = |key: &str| {
        let users = granted.iter().flat_map(|(_, settings)| settings.lines());
        let users = users.filter_map(|line| line.strip_prefix(&format!("{key} = ["))?.strip_suffix(']'));
        format!("{key} = [{}]\n", users.collect::<Vec<_>>().join(", "))
    };
    let tables = granted.iter().filter_map(|(_, settings)| Some(settings.split_once("[[certificate]]")?.1));
    let tables: String = tables.map(|rest| format!("[[certificate]]{rest}\n")).collect();
    let block = format!("[block]\n{}{}", list("exempt-users"), list("scripting-users"));
    let setup = Respgate::setup("unix:/nonexistent/redis.sock").acl(&acl).crl().table(&block).table(&tables);
    let mut check = respgate_binary();
    let output =
        check.args(["check", "--listen", "127.0.0.1:0", "--config"]).arg(setup.write_config()).output().unwrap();
    let said = text(&output);
    assert!(output.status.success() && !said.contains("warning"), "{said}");
    assert!(said.contains(&format!("would serve {} users", granted.len())), "{said}");
}

#[test]
fn a_real_replica_needs_nothing_but_what_its_preset_prints() {
    let master = RedisServer::start_with(&["--repl-diskless-sync-delay", "0"]);
    let gate = pasted(&upstream_of(&master), &["replica", "--user", "copy"]).start();
    let _replica = follower(&gate, "copy");
    let mut direct = master.direct();
    eventually("the replica is online", || {
        direct.text(&["INFO", "replication"]).contains("state=online").then_some(())
    });
}

#[test]
fn what_cannot_be_is_said_and_nothing_printed() {
    for (arguments, expected) in [
        (&["celry", "--user", "shop"][..], "a similar value exists: 'celery'"),
        (&["celery"], "--user <USER>"),
        (&["rq", "--user", "shop", "--prefix", "a"], "the keys of rq have no prefix that could be another"),
        (&["celery", "--user", "sh*p"], "the user has '*' in it"),
    ] {
        let output = preset(arguments);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{arguments:?}");
        assert!(text(&output).contains(expected), "{arguments:?}: {}", text(&output));
    }
}

#[test]
fn the_document_names_every_preset_and_shows_what_is_printed() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/applications.md");
    let document = fs::read_to_string(document).unwrap();
    let commands: Vec<Vec<&str>> = document
        .lines()
        .map(|line| line.trim_start_matches("$ "))
        .filter_map(|line| line.strip_prefix("respgate acl preset "))
        .map(|rest| rest.split(' ').take_while(|word| !word.starts_with(['>', '|', '#'])).collect())
        .collect();
    let shown: BTreeSet<&str> = commands.iter().map(|command| command[0]).collect();
    assert_eq!(shown, names().iter().map(String::as_str).collect());
    for command in &commands {
        assert!(preset(command).status.success(), "{command:?}");
    }
    let mut rest = document.clone();
    for example in document.split("```console\n$ respgate acl preset ").skip(1) {
        let (command, after) = example.split_once('\n').unwrap();
        let shown = after.split_once("```").unwrap().0;
        let output = preset(&command.split(' ').collect::<Vec<_>>());
        assert_eq!(String::from_utf8_lossy(&output.stdout), shown, "{command}");
        rest = rest.replace(shown, "");
    }
    let by_hand: Vec<&str> = rest.lines().filter(|line| line.starts_with("user ")).collect();
    assert_eq!(by_hand, [""; 0], "the presets have them");
}

// --- helpers

fn names() -> Vec<String> {
    let list = String::from_utf8(preset(&[]).stdout).unwrap();
    list.lines().skip(1).map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

/// What is printed, and the settings in it.
pub(crate) fn printed(arguments: &[&str]) -> (String, String) {
    let output = preset(arguments);
    assert!(output.status.success(), "{}", text(&output));
    let acl = String::from_utf8(output.stdout).unwrap();
    let settings = acl.lines().filter_map(|line| line.strip_prefix("#     ")).collect::<Vec<_>>().join("\n");
    (acl, settings)
}

/// What somebody has who pastes what is printed.
fn pasted(upstream: &str, arguments: &[&str]) -> Setup {
    let (acl, settings) = printed(arguments);
    Respgate::setup(upstream).acl_file(&format!("user default off\n{acl}")).table(&settings)
}

fn preset(arguments: &[&str]) -> Output {
    respgate_binary().args(["acl", "preset"]).args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

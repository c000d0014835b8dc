//! What the steps make of each line, and what one should know.

use std::path::PathBuf;

use super::{Cutover, GROUP_SOCKET, Socket, last, port};
use crate::config::{RedisConfLine, RedisConfText};

/// A line of today, and what becomes of it.
pub(in crate::init::plan) struct Change {
    pub(in crate::init::plan) path: PathBuf,
    /// From 1; 0 of a line that is not there.
    pub(in crate::init::plan) number: usize,
    /// Without a password.
    pub(in crate::init::plan) line: String,
    pub(in crate::init::plan) becomes: String,
    pub(in crate::init::plan) step: &'static str,
}

const STEP1: &str = "step 1";
const STEP2: &str = "step 2";
const KEPT: &str = "";

/// Every line that changes, or that one would look for.
pub(super) fn changes(text: &RedisConfText, cutover: &Cutover, socket: &Socket) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut change = |line: &RedisConfLine, shown: String, becomes: String, step| {
        changes.push(Change { path: line.path.clone(), number: line.number, line: shown, becomes, step });
    };
    let counts = |line: &RedisConfLine| last(text, &line.name).is_some_and(|last| std::ptr::eq(last, line));
    for line in &text.lines {
        let whole = format!("{} {}", line.name, line.value());
        let first = line.values.first().map(|word| String::from_utf8_lossy(word).into_owned()).unwrap_or_default();
        match line.name.as_str() {
            "bind" if counts(line) && port(text, "port", 6379) != 0 => {
                change(line, whole, "port 0, unixsocket".to_owned(), STEP2)
            }
            "port" if counts(line) && first != "0" => change(line, whole, "port 0".to_owned(), STEP2),
            "tls-port" if counts(line) && first != "0" => change(line, whole, "tls-port 0".to_owned(), STEP2),
            "unixsocket" if counts(line) => change(line, whole, "kept, for respgate".to_owned(), KEPT),
            "unixsocketperm" if counts(line) && socket.mode != Some(GROUP_SOCKET) => {
                let step = if socket.mode == Some(socket.step1_mode) { STEP2 } else { STEP1 };
                change(line, whole, format!("unixsocketperm {GROUP_SOCKET:o}"), step);
            }
            "requirepass" if counts(line) && !first.is_empty() => {
                let shown = if is_literal(&first) { whole } else { "requirepass …".to_owned() };
                change(line, shown, "user default off".to_owned(), STEP2);
            }
            "user" if first == "default" => {
                change(line, "user default …".to_owned(), "user default off".to_owned(), STEP2);
            }
            "user" => {
                let user = cutover.users.iter().find(|user| user.name == first);
                let becomes = match user.is_some_and(|user| user.is_on) {
                    true => "out; in users.acl, without passwords",
                    false => "out; off, so not in users.acl",
                };
                change(line, format!("user {first} …"), becomes.to_owned(), STEP2);
            }
            "aclfile" if counts(line) => change(line, whole, "users.step1.acl, then users.step2.acl".to_owned(), STEP1),
            "rename-command" => {
                change(line, format!("rename-command {first} …"), "kept, declared in [rename]".to_owned(), KEPT)
            }
            _ => {}
        }
    }
    if last(text, "bind").is_none() && last(text, "port").is_none() {
        let (path, line) = (cutover.conf.clone(), "port 6379, as nothing is said".to_owned());
        changes.push(Change { path, number: 0, line, becomes: "port 0, unixsocket".to_owned(), step: STEP2 });
    }
    changes
}

/// Redis knows no variables: this text itself is the password, and in every manual.
fn is_literal(password: &str) -> bool {
    password.starts_with("${") && password.ends_with('}')
}

/// What no step mends.
pub(super) fn remarks(text: &RedisConfText, cutover: &Cutover) -> Vec<String> {
    let mut remarks: Vec<String> = Vec::new();
    let required = last(text, "requirepass").filter(|line| is_literal(&line.value()));
    remarks
        .extend(required.map(|line| format!("{} itself is the password: Redis fills in no variables", line.value())));
    if !cutover.keeps_data && cutover.has_last_words {
        remarks
            .push("it keeps nothing over a restart (save \"\", no appendonly): it is told to SAVE before each".into());
    }
    for name in ["replicaof", "slaveof"] {
        if let Some(line) = last(text, name) {
            remarks.push(format!(
                "{}:{}: it is a replica, of which nothing here takes care",
                line.path.display(),
                line.number
            ));
        }
    }
    if last(text, "cluster-enabled").is_some_and(|line| line.value() == "yes") {
        remarks.push("it is part of a cluster: respgate does not follow redirections".into());
    }
    let of_users: Vec<&str> = cutover.users.iter().filter(|user| user.is_on).map(|user| user.name.as_str()).collect();
    if !of_users.is_empty() {
        remarks.push(format!(
            "scripts are blocked for {}, unless [block] scripting-users names them",
            of_users.join(", ")
        ));
    }
    remarks
}

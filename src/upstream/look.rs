//! The control connection: what the upstream is, and whether it is there.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::watch;

use super::commands;
use super::connect::{ConnectError, Connection, Target, connect};
use super::login::exchange;
use crate::command::UpstreamCommand;
use crate::resp::{self, Reply};

/// How often the upstream is asked whether it is there.
const PULSE: Duration = Duration::from_secs(1);
/// How long it may take to answer that, or anything else on this connection.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pauses between attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What the upstream said of itself.
#[derive(Debug, Clone)]
pub struct Facts {
    /// `redis` or `valkey`.
    pub server: String,
    /// Major and minor version.
    pub version: (u32, u32),
    /// The version in full.
    pub full_version: String,
    /// Its COMMAND reply.
    pub commands: Vec<UpstreamCommand>,
    /// Commands that it lists and does not answer to: `rename-command` gave them other names.
    pub renamed: Vec<String>,
    /// What it runs under names that were declared to be new names of commands; `None` where it knows no such name.
    pub declared: HashMap<String, Option<String>>,
}

/// What the control connection has found out.
#[derive(Debug)]
pub enum Finding {
    /// The upstream is there.
    Up(Box<Facts>),
    /// It is not, any more or yet.
    Down(ConnectError),
}

/// Keeps a control connection for ever, and tells what it finds: each connection made, and each new reason why there is
/// none. When other names are declared, it asks again.
pub async fn watch(target: Target, mut declared: watch::Receiver<Vec<String>>, mut tell: impl FnMut(Finding)) {
    let mut pause = FIRST_PAUSE;
    let mut told = None;
    loop {
        let names = declared.borrow_and_update().clone();
        let error = match open(&target, &names).await {
            Ok((mut connection, facts)) => {
                tell(Finding::Up(Box::new(facts)));
                pause = FIRST_PAUSE;
                told = None;
                tokio::select! {
                    error = pulse(&mut connection) => error,
                    Ok(()) = declared.changed() => continue,
                }
            }
            Err(error) => error,
        };
        let reason = error.to_string();
        if told.as_ref() != Some(&reason) {
            told = Some(reason);
            tell(Finding::Down(error));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Connects and reads what the upstream is, and what it runs under the `declared` names.
pub async fn open(target: &Target, declared: &[String]) -> Result<(Connection, Facts), ConnectError> {
    let mut connection = connect(target).await?;
    let info = ask(&mut connection, &["INFO", "server"]).await?;
    let commands = ask(&mut connection, &["COMMAND"]).await?;
    let info = match &info {
        Reply::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Reply::Error(text) => return Err(ConnectError::Refused(text.clone().into_owned())),
        _ => return Err(ConnectError::NotRedis),
    };
    let commands = commands::decode(&commands);
    let names: Vec<&str> = commands.iter().map(|command| command.name.as_str()).collect();
    let known = names_behind(&mut connection, &names).await?;
    let renamed = names.iter().zip(known).filter(|(_, known)| known.is_none()).map(|(name, _)| (*name).to_owned());
    let renamed = renamed.collect();
    let declared_names: Vec<&str> = declared.iter().map(String::as_str).collect();
    let behind = names_behind(&mut connection, &declared_names).await?;
    let declared = declared.iter().cloned().zip(behind).collect();
    let (server, full_version) = identify(&info);
    let facts = Facts { version: major_minor(&full_version), server, full_version, commands, renamed, declared };
    Ok((connection, facts))
}

/// The commands that run under these names, by the names they were born with.
async fn names_behind(connection: &mut Connection, names: &[&str]) -> Result<Vec<Option<String>>, ConnectError> {
    if names.is_empty() {
        // Without names COMMAND INFO tells of every command.
        return Ok(Vec::new());
    }
    let question: Vec<&str> = ["COMMAND", "INFO"].into_iter().chain(names.iter().copied()).collect();
    let behind = commands::names(&ask(connection, &question).await?);
    if behind.len() == names.len() { Ok(behind) } else { Err(ConnectError::NotRedis) }
}

async fn pulse(connection: &mut Connection) -> ConnectError {
    loop {
        tokio::time::sleep(PULSE).await;
        if let Err(error) = ask(connection, &["PING"]).await {
            return error;
        }
    }
}

async fn ask(connection: &mut Connection, arguments: &[&str]) -> Result<Reply, ConnectError> {
    let mut request = Vec::new();
    resp::encode_request(arguments, &mut request);
    match tokio::time::timeout(PATIENCE, exchange(connection, &request)).await {
        Ok(result) => result,
        Err(_elapsed) => Err(ConnectError::Timeout),
    }
}

/// Name and version in an INFO reply. Valkey reports a `redis_version` too, for compatibility.
fn identify(info: &str) -> (String, String) {
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    match (field("valkey_version"), field("redis_version")) {
        (Some(version), _) => ("valkey".to_owned(), version.trim().to_owned()),
        (None, version) => ("redis".to_owned(), version.unwrap_or_default().trim().to_owned()),
    }
}

fn major_minor(version: &str) -> (u32, u32) {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valkey_is_not_taken_for_the_redis_it_claims_to_be() {
        let info = "# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\n";
        assert_eq!(identify(info), ("valkey".into(), "9.1.2".into()));
        assert_eq!(identify("# Server\r\nredis_version:7.0.15\r\n"), ("redis".into(), "7.0.15".into()));
        assert_eq!(major_minor("7.0.15"), (7, 0));
    }
}

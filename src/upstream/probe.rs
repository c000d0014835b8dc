//! What the upstream is, and whether it is there.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Upstream;
use super::commands;
use super::connect::{Connection, Target, connect};
use super::error::ConnectError;
use super::login::exchange;
use crate::command::{CommandTable, Dialect, UpstreamCommand};
use crate::resp::{self, Reply};

/// How often the upstream is probed while nothing happens.
const INTERVAL: Duration = Duration::from_secs(5);
/// How long it may take to answer one question, or have no time or no place for it.
const PATIENCE: Duration = Duration::from_secs(5);
/// Of INFO. Users who may run scripts make errorstats as long as they like.
const SECTIONS: [&str; 7] = ["server", "clients", "memory", "persistence", "stats", "replication", "keyspace"];
/// Pauses between probes of an upstream that is not there. The first is also the shortest time between any two.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What the upstream said of itself. Not to be shown: the declared names are as good as passwords.
#[derive(Clone)]
pub struct ServerInfo {
    /// `redis` or `valkey`.
    pub server: String,
    /// Major and minor version.
    pub version: (u32, u32),
    /// The version in full.
    pub full_version: String,
    /// Its COMMAND reply.
    pub commands: Vec<UpstreamCommand>,
    /// Commands that it has and does not run under their names, and names under which it runs another command:
    /// `rename-command` did that. `None` where it does not let us ask.
    pub renamed: Option<Vec<String>>,
    /// What it runs under names that were declared to be new names of commands; `None` where it knows no such name.
    pub declared: HashMap<String, Option<String>>,
}

/// What a probe has found out.
pub enum ProbeResult {
    /// The upstream is there.
    Up(Box<ServerInfo>),
    /// It is not, any more or yet.
    Down(ConnectError),
    /// It has begun to load its data, or is done with that. Meanwhile it refuses most commands.
    Loading(bool),
    /// It refuses the login that is configured, and knows the one before.
    FormerLogin,
}

/// Probes the upstream for ever, over a connection that is closed again each time, so that Redis's own lists of clients
/// and MONITOR show its clients' doings and not ours. Probes when a session has `lost` its connection or did not get one,
/// when its target is another, and every few seconds. Tells what it finds where that is news: an upstream that is there
/// again, or is another than it was, and each new reason why there is none.
pub async fn watch(upstream: Arc<Upstream>, mut tell: impl FnMut(ProbeResult)) {
    let mut pause = FIRST_PAUSE;
    let mut seen = None;
    let mut told = None;
    let mut was_loading = false;
    let mut passing_since = None;
    let mut declared = Vec::new();
    let mut former = None;
    let mut targets = upstream.target.subscribe();
    loop {
        let target = Arc::clone(&targets.borrow_and_update());
        let names = target.declared_names();
        if names != declared {
            seen = None;
            declared = names;
        }
        let heard = |info: &str| {
            upstream.run.note(info);
            upstream.heard.note(info);
        };
        let probed = async {
            let connection = upstream.with_login(async |target| connect(&target).await).await?;
            if connection.is_former() && !former.as_ref().is_some_and(|told| Arc::ptr_eq(told, &target)) {
                former = Some(Arc::clone(&target));
                tell(ProbeResult::FormerLogin);
            }
            probe(connection, &target, &declared, seen.as_ref(), heard).await
        };
        let wait = match probed.await {
            Ok(news) => {
                passing_since = None;
                let is_loading = upstream.is_loading();
                if is_loading != std::mem::replace(&mut was_loading, is_loading) {
                    tell(ProbeResult::Loading(is_loading));
                }
                if let Some((instance, server)) = news {
                    seen = Some(instance);
                    told = None;
                    tell(ProbeResult::Up(Box::new(server)));
                }
                pause = FIRST_PAUSE;
                if is_loading { LONGEST_PAUSE } else { INTERVAL }
            }
            Err(error) if error.is_ours() => LONGEST_PAUSE,
            Err(error)
                if seen.is_some()
                    && error.is_passing()
                    && passing_since.get_or_insert_with(Instant::now).elapsed() < PATIENCE =>
            {
                LONGEST_PAUSE
            }
            Err(error) => {
                seen = None;
                upstream.heard.note_gone();
                let reason = error.to_string();
                if told.as_ref() != Some(&reason) {
                    told = Some(reason);
                    tell(ProbeResult::Down(error));
                }
                let wait = pause;
                pause = (pause * 2).min(LONGEST_PAUSE);
                wait
            }
        };
        tokio::time::sleep(FIRST_PAUSE).await;
        tokio::select! {
            () = tokio::time::sleep(wait - FIRST_PAUSE) => {}
            // What sessions meet while it is known to be gone is no news.
            () = upstream.lost.notified(), if seen.is_some() => {}
            Ok(()) = targets.changed() => {}
        }
    }
}

/// What tells one upstream, with the commands it has, from another.
#[derive(Debug, PartialEq, Eq)]
struct Instance {
    run_id: String,
    /// Modules come and go while it runs. `None` if it does not say.
    commands: Option<i64>,
}

/// Connects and reads what the upstream is, and what it runs under the names that are declared.
pub async fn once(target: &Target) -> Result<ServerInfo, ConnectError> {
    let news = probe(connect(target).await?, target, &target.declared_names(), None, |_| ()).await?;
    news.map(|(_, server)| server).ok_or(ConnectError::NotRedis)
}

/// Reads what the upstream is, and what it runs under the `declared` names; `None` if it looks as it did when it was
/// `seen`. `heard` gets what INFO says of it, at once.
async fn probe(
    mut connection: Connection,
    target: &Target,
    declared: &[String],
    seen: Option<&Instance>,
    heard: impl Fn(&str),
) -> Result<Option<(Instance, ServerInfo)>, ConnectError> {
    let info = ask_for_info(&mut connection, target).await?;
    heard(&info);
    // COMMAND may be renamed, or not allowed to us: then what we know of ourselves has to do.
    let commands = match ask(&mut connection, target, &["COMMAND", "COUNT"]).await? {
        Reply::Integer(count) => Some(count),
        _ => None,
    };
    let instance = Instance { run_id: field(&info, "run_id").unwrap_or_default().to_owned(), commands };
    if seen == Some(&instance) {
        return Ok(None);
    }
    let commands = commands::decode(&ask(&mut connection, target, &["COMMAND"]).await?);
    let names = names_to_ask_for(&commands);
    let renamed =
        names_behind(&mut connection, target, &names).await?.map(|behind| renamed(&commands, &names, &behind));
    let behind = names_behind(&mut connection, target, declared).await?;
    // It does not know COMMAND, so it confirms no name.
    let behind = behind.unwrap_or_else(|| vec![None; declared.len()]);
    let declared = declared.iter().cloned().zip(behind).collect();
    let (server, full_version) = identify(&info);
    let server = ServerInfo { version: major_minor(&full_version), server, full_version, commands, renamed, declared };
    Ok(Some((instance, server)))
}

/// The names of all commands that it lists, and of all that we know: one that is disabled is not listed, and another
/// command may have been given its name.
fn names_to_ask_for(commands: &[UpstreamCommand]) -> Vec<String> {
    let mut names: Vec<String> = commands.iter().map(|command| command.name.clone()).collect();
    names.extend(builtin_names());
    names.sort_unstable();
    names.dedup();
    names
}

/// Of all servers: which of them this one is taken for is decided elsewhere.
fn builtin_names() -> impl Iterator<Item = String> {
    [Dialect::Redis70, Dialect::Valkey91].into_iter().flat_map(|dialect| {
        let table = CommandTable::builtin(dialect);
        let names = table.iter().filter(|spec| spec.parent().is_none()).map(|spec| spec.full_name().to_owned());
        names.collect::<Vec<_>>()
    })
}

/// Those of the `names` under which it does not run the command that bears the name, given what is `behind` each. A command
/// that it neither lists nor has behind the name is not there at all.
fn renamed(commands: &[UpstreamCommand], names: &[String], behind: &[Option<String>]) -> Vec<String> {
    let builtin: HashSet<String> = builtin_names().collect();
    let listed = |name: &str| -> Vec<&UpstreamCommand> {
        commands.iter().filter(|command| command.name.eq_ignore_ascii_case(name)).collect()
    };
    let is_a_modules = |command: &UpstreamCommand| command.flags.iter().any(|flag| flag == "module");
    let is_another = |(name, behind): &(&String, &Option<String>)| match behind {
        None => !listed(name).is_empty(),
        Some(behind) if !behind.eq_ignore_ascii_case(name) => true,
        // A module's command may have the name of one that was renamed or disabled.
        Some(_) => builtin.contains(&name.to_ascii_lowercase()) && listed(name).into_iter().any(is_a_modules),
    };
    names.iter().zip(behind).filter(is_another).map(|(name, _)| name.clone()).collect()
}

/// The commands that run under these names, by the names they were born with; `None` where it does not let us ask.
async fn names_behind(
    connection: &mut Connection,
    target: &Target,
    names: &[String],
) -> Result<Option<Vec<Option<String>>>, ConnectError> {
    if names.is_empty() {
        // Without names COMMAND INFO tells of every command.
        return Ok(Some(Vec::new()));
    }
    let question: Vec<&str> = ["COMMAND", "INFO"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let behind = match ask(connection, target, &question).await? {
        Reply::Error(_) => return Ok(None),
        reply => commands::names(&reply),
    };
    if behind.len() == names.len() { Ok(Some(behind)) } else { Err(ConnectError::NotRedis) }
}

/// What INFO says in those sections that anybody here reads. One by one: Redis 6 takes no more at once.
async fn ask_for_info(connection: &mut Connection, target: &Target) -> Result<String, ConnectError> {
    let mut info = String::new();
    for section in SECTIONS {
        match ask(connection, target, &["INFO", section]).await? {
            Reply::Bulk(bytes) => info.push_str(&String::from_utf8_lossy(&bytes)),
            Reply::Error(text) => return Err(ConnectError::refused(&text)),
            _ => return Err(ConnectError::NotRedis),
        }
    }
    Ok(info)
}

/// Asks with a command, under the name it has there.
async fn ask(connection: &mut Connection, target: &Target, question: &[&str]) -> Result<Reply, ConnectError> {
    let command = question.first().map(|name| target.name(name));
    let arguments: Vec<&[u8]> =
        command.into_iter().chain(question.iter().skip(1).map(|word| word.as_bytes())).collect();
    let mut request = Vec::new();
    resp::encode_request(&arguments, &mut request);
    match tokio::time::timeout(PATIENCE, exchange(connection, &request)).await {
        Ok(result) => result,
        Err(_elapsed) => Err(ConnectError::Timeout),
    }
}

/// Name and version in an INFO reply. Valkey reports a `redis_version` too, for compatibility.
pub fn identify(info: &str) -> (String, String) {
    match (field(info, "valkey_version"), field(info, "redis_version")) {
        (Some(version), _) => ("valkey".to_owned(), version.to_owned()),
        (None, version) => ("redis".to_owned(), version.unwrap_or_default().to_owned()),
    }
}

/// What INFO says under this name.
pub fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
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

    /// What of these names is renamed, where the upstream lists `commands` and has something `behind` some names.
    fn renamed_of(commands: &[(&str, &str)], behind: &[(&str, &str)]) -> Vec<String> {
        let command = |(name, flag): &(&str, &str)| UpstreamCommand {
            name: (*name).to_owned(),
            flags: vec![(*flag).to_owned()],
            ..UpstreamCommand::default()
        };
        let commands: Vec<UpstreamCommand> = commands.iter().map(command).collect();
        let names = names_to_ask_for(&commands);
        let behind: Vec<Option<String>> = names
            .iter()
            .map(|name| behind.iter().find(|(asked, _)| asked == name).map(|(_, born)| (*born).to_owned()))
            .collect();
        renamed(&commands, &names, &behind)
    }

    #[test]
    fn a_name_behind_which_another_command_stands_is_renamed_whether_it_is_listed_or_not() {
        let (get, del) = (("get", "readonly"), ("del", "write"));
        let nobody: [&str; 0] = [];
        assert_eq!(renamed_of(&[get, del], &[("get", "get"), ("del", "del")]), nobody);
        assert_eq!(renamed_of(&[del], &[("del", "del")]), nobody, "GET is disabled and nothing else");
        assert_eq!(renamed_of(&[get, del], &[("get", "del")]), ["del", "get"], "GET has another name");
        assert_eq!(renamed_of(&[del], &[("get", "del")]), ["del", "get"], "GET is disabled");
        assert_eq!(renamed_of(&[], &[("get", "del")]), ["get"], "it lists nothing");
    }

    #[test]
    fn a_name_of_ours_that_a_module_has_taken_is_renamed() {
        let behind = [("json.get", "json.get"), ("get", "get"), ("GET", "get")];
        assert_eq!(renamed_of(&[("json.get", "module"), ("get", "module")], &behind), ["get"]);
        assert_eq!(renamed_of(&[("get", "readonly"), ("get", "module")], &behind), ["get"], "GET has another name");
        assert_eq!(renamed_of(&[("GET", "module")], &behind), ["GET", "get"], "in any letter case");
    }
}

//! `respgate acl suggest`: the line that allows what a user was seen to do, and no more.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;

use super::monitor::{Capture, LeftOut, Lines};
use super::{policy, suggestion};
use crate::acl::UserName;
use crate::cli::door::print;
use crate::cli::say;
use crate::cli::{ConfigurationArgs, Exit};
use crate::command::CommandSpec;
use crate::files::Files;
use crate::learn::{Context, Evidence, NotMonitor, Suggestion, Usage, suggest};
use crate::policy::Policy;
use crate::serve::learning;

/// `acl suggest`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Without --monitor it is what the running proxy keeps in its learn-file; there a name of a key is told only as far as few
enough were seen in one place, often enough, and what scripts do is not seen.

What `redis-cli MONITOR` printed is read twice: to learn, and to replay each request under the line. Take it while
everything happens that has to be allowed, at Redis itself, as the user of the application or beside respgate:

    redis-cli MONITOR >monitor.txt
    respgate acl suggest --monitor monitor.txt --from 10.0.0.5 --user shop --aclfile users.acl

MONITOR shows keys and values: keep the file from others, and delete it.")]
pub struct AclSuggestArgs {
    /// What redis-cli MONITOR printed [default: what learn-file holds]
    #[arg(long, value_name = "FILE")]
    pub monitor: Option<PathBuf>,
    /// Of --monitor, only what came from this address, or address and port; may be repeated [default: a line for each address]
    #[arg(long, value_name = "ADDRESS", requires = "monitor")]
    pub from: Vec<String>,
    /// Whose line it is: as in the ACL file, whose passwords are kept
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Of --monitor, how many different parts of keys are told apart in one place, before it is a * [default: 8]
    #[arg(long, value_name = "NUMBER", requires = "monitor", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub values: Option<u16>,
    /// Suggest patterns of names that other users use as well
    #[arg(long, conflicts_with = "monitor")]
    pub shared: bool,
    /// Write it here instead, into a file that is not there yet
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Where the users and the blocklist come from.
    #[command(flatten)]
    pub configuration: ConfigurationArgs,
}

/// Prints a line for each client, with what is to be known about it; exit 1 where there is nothing to learn from.
pub(super) fn print_suggestion(arguments: &AclSuggestArgs) -> Exit {
    let files = Files::default();
    let read = arguments.configuration.load_rules(&files).and_then(|config| {
        let learn_file = config.learn_file.clone();
        Ok((learn_file, policy(config, &files)?))
    });
    let text = read.and_then(|(learn_file, policy)| match (&arguments.monitor, learn_file) {
        (Some(captured), _) => of_monitor(captured, arguments, &policy),
        (None, Some(path)) => of_learn_file(&path, arguments, &policy),
        (None, None) => {
            say::error("nothing to learn from: say --monitor FILE, or learn-file in the configuration");
            Err(Exit::Usage)
        }
    });
    let text = match text {
        Ok(text) => text,
        Err(exit) => return exit,
    };
    match &arguments.output {
        None => {
            print(&text);
            Exit::Success
        }
        Some(path) => match write(path, &text) {
            Ok(()) => Exit::Success,
            Err(error) => {
                say::error(format_args!("{}: cannot write it: {error}", path.display()));
                if error.kind() == io::ErrorKind::PermissionDenied { Exit::Permission } else { Exit::Failure }
            }
        },
    }
}

fn of_monitor(path: &Path, arguments: &AclSuggestArgs, policy: &Policy) -> Result<String, Exit> {
    let is_joined = arguments.user.is_some();
    let capture = Capture { path, from: &arguments.from, is_joined, table: &policy.table };
    let evidence = Evidence::of_file(arguments.values.map(usize::from));
    let learnt = capture.learn(&evidence).map_err(|error| unread(path, &error))?;
    warn(path, &learnt.left_out);
    if learnt.clients.is_empty() {
        say::error(format_args!("{}: there is no request in it that is meant", path.display()));
        return Err(Exit::Failure);
    }
    let mut texts = Vec::new();
    for (client, usage) in &learnt.clients {
        let name = arguments.user.as_deref().unwrap_or(client);
        let suggestion = suggested(name, usage, &[], true, policy)?;
        let (suggestion, replay) = capture.prove(client, suggestion).map_err(|error| unread(path, &error))?;
        if replay.refused_unsaid > 0 {
            say::error(format_args!("that line would refuse {} requests without a reason", replay.refused_unsaid));
            return Err(Exit::Internal);
        }
        let proof = format!("{} requests, {} refused", replay.allowed + replay.refused_as_said, replay.refused_as_said);
        texts.push(suggestion::text(&suggestion, usage, &source(path, &arguments.from, client), true, &proof));
    }
    Ok(texts.join("\n"))
}

fn of_learn_file(path: &Path, arguments: &AclSuggestArgs, policy: &Policy) -> Result<String, Exit> {
    let learnt = learning::read(path, &Evidence::of_traffic()).map_err(|error| unread(path, &error))?;
    let is_meant = |name: &str| arguments.user.as_deref().is_none_or(|user| user == name);
    let mut texts = Vec::new();
    for (name, usage) in learnt.iter().filter(|(name, _)| is_meant(name)) {
        let others = learnt.iter().filter(|(other, _)| *other != name);
        let others: Vec<(&str, &Usage)> = others.map(|(other, usage)| (other.as_str(), usage)).collect();
        let suggestion = suggested(name, usage, &others, arguments.shared, policy)?;
        let proof = format!("{} shapes, 0 refused", suggestion.shapes);
        texts.push(suggestion::text(&suggestion, usage, &path.display().to_string(), false, &proof));
    }
    if texts.is_empty() {
        let whose = arguments.user.as_deref().map(|user| format!(" of {user}")).unwrap_or_default();
        say::error(format_args!("{}: nothing was learnt{whose}", path.display()));
        return Err(Exit::Failure);
    }
    Ok(texts.join("\n"))
}

fn suggested(
    name: &str,
    usage: &Usage,
    others: &[(&str, &Usage)],
    shares: bool,
    policy: &Policy,
) -> Result<Suggestion, Exit> {
    let Some(user) = UserName::new(name.as_bytes()) else {
        say::error(format_args!("no user can be called {name:?}: say --user NAME"));
        return Err(Exit::Usage);
    };
    let context = Context {
        table: &policy.table,
        current: policy.acl.user(name.as_bytes()).map(|user| &**user),
        is_blocked: &|spec: &CommandSpec| policy.blocklist.blocks(name.as_bytes(), spec),
        others,
        shares,
    };
    suggest(user, usage, &context).map_err(|error| {
        say::error(error);
        Exit::Internal
    })
}

fn unread(path: &Path, error: &io::Error) -> Exit {
    say::error(format_args!("{}: cannot read it: {error}", path.display()));
    if error.kind() == io::ErrorKind::PermissionDenied { Exit::Permission } else { Exit::Failure }
}

/// Where it was learnt.
fn source(path: &Path, from: &[String], client: &str) -> String {
    let path = path.display();
    match (client, from) {
        ("", []) => format!("{path}, all addresses"),
        ("", from) => format!("{path}, {}", from.join(" ")),
        (client, _) => format!("{path}, {client}"),
    }
}

fn warn(path: &Path, left_out: &LeftOut) {
    let path = path.display();
    let warn = |lines: &Lines, what: &str| {
        if lines.count > 0 {
            say::warning(format_args!("{path}:{}: {what}; {} such lines are left out", lines.first, lines.count));
        }
    };
    warn(&left_out.unreadable, &NotMonitor.to_string());
    warn(&left_out.unknown, "no command that is known takes these arguments");
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

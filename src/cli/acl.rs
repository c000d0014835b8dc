//! `respgate acl`: questions about users and rules, without a proxy.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::acl::{Acl, Unknown, User};
use crate::audit::words;
use crate::command::{Argv, ArgvBuf, CommandTable, Dialect};
use crate::files::Files;
use crate::generation::nearest_user;
use crate::generation::{self, BuildError, Kept, NO_USERS, UpstreamKnowledge};
use crate::policy::{Policy, Requester, SessionMode, Verdict};

use super::{ConfigurationArgs, Exit};

/// The subcommands of `acl`.
#[derive(Debug, Subcommand)]
pub enum AclCommand {
    /// Say whether a user may run a command, and the rule that decides
    Explain(AclExplainArgs),
    /// Check an ACL file alone
    Check(AclCheckArgs),
}

/// `acl explain`.
#[derive(Debug, Args)]
pub struct AclExplainArgs {
    /// The user who would run it
    #[arg(long, value_name = "NAME")]
    pub user: String,
    /// Where the users and the blocklist come from.
    #[command(flatten)]
    pub configuration: ConfigurationArgs,
    /// The command and its arguments, after --
    #[arg(last = true, required = true, num_args = 1.., value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// `acl check`.
#[derive(Debug, Args)]
pub struct AclCheckArgs {
    /// The ACL file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// Answers the question.
pub fn acl(command: &AclCommand) -> Exit {
    match command {
        AclCommand::Explain(arguments) => explain(arguments),
        AclCommand::Check(arguments) => check(arguments),
    }
}

/// Prints the verdict on one request: exit 0 where it would be forwarded or answered, 1 where it would be refused.
fn explain(arguments: &AclExplainArgs) -> Exit {
    let files = Files::default();
    let config = match arguments.configuration.load(&files) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let policy = match generation::build(&config, &files, UpstreamKnowledge::NotAsked, Kept::default()) {
        Ok(built) => built.generation.policy,
        Err(errors) => {
            errors.iter().for_each(|error| eprintln!("error: {error}"));
            let is_permission = errors.iter().any(BuildError::is_permission);
            return if is_permission { Exit::Permission } else { Exit::Configuration };
        }
    };
    let Some(user) = policy.acl.user(arguments.user.as_bytes()) else {
        let nearest = nearest_user(&arguments.user, &policy.acl);
        let hint = nearest.map(|name| format!("; did you mean {name}?")).unwrap_or_default();
        eprintln!("error: there is no user {}{hint}", arguments.user);
        return Exit::Failure;
    };
    let argv: ArgvBuf = arguments.command.iter().map(|argument| argument.as_bytes()).collect();
    let (lines, exit) = verdict(&policy, user, &argv.as_argv());
    lines.iter().for_each(|line| println!("{line}"));
    exit
}

fn verdict(policy: &Policy, user: &User, argv: &Argv<'_>) -> (Vec<String>, Exit) {
    let mut lines = Vec::new();
    if !user.is_enabled() {
        lines.push(format!("user {} is off and cannot log in", user.name()));
    }
    let requester = Requester { user: Some(user), mode: SessionMode::default(), database: Some(0) };
    let exit = match policy.decide(requester, argv) {
        Verdict::Forward(permit) => {
            lines.push(format!("allowed: {}", permit.spec().full_name()));
            Exit::Success
        }
        Verdict::Local(local) => {
            lines.push(format!("answered by the proxy: {}", local.spec.full_name()));
            Exit::Success
        }
        Verdict::Deny(denial) => {
            lines.push(format!(
                "refused ({}): {}",
                words::denial(denial.reason()),
                policy.denial_text(&denial, Some(user), argv)
            ));
            Exit::Failure
        }
    };
    lines.extend(user.unknown_rules().iter().map(|rule| format!("not known as long as Redis is not asked: {rule}")));
    if let Ok(spec) = policy.table.resolve(argv) {
        lines.push(match user.check(spec, argv, Some(0)) {
            Ok(()) => "the ACL alone would allow it".to_owned(),
            Err(denial) => format!("the ACL alone would refuse it: {denial:?}"),
        });
        let blocked = policy.blocklist.blocks(user.name().as_str().as_bytes(), spec);
        lines.push(format!("the blocklist {} it", if blocked { "refuses" } else { "does not name" }));
    }
    lines.push(String::from_utf8_lossy(&user.to_line(&policy.table)).into_owned());
    (lines, exit)
}

/// Reports every error of an ACL file with its line. Names that a module may bring are errors here only where no server
/// that is known has them.
fn check(arguments: &AclCheckArgs) -> Exit {
    let path = arguments.file.display();
    let text = match fs::read(&arguments.file) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("error: {path}: cannot read it: {error}");
            return if error.kind() == io::ErrorKind::PermissionDenied {
                Exit::Permission
            } else {
                Exit::Configuration
            };
        }
    };
    let parsed = Dialect::ALL.map(|dialect| Acl::read(&text, &CommandTable::builtin(dialect), Unknown::Refuse));
    if let Some(read) = parsed.iter().find_map(|result| result.as_ref().ok()) {
        if read.named == 0 {
            eprintln!("error: {path}: {NO_USERS}");
            return Exit::Configuration;
        }
        println!("{path}: {} users", read.acl.users().count());
        return Exit::Success;
    }
    if let [Err(errors), ..] = &parsed {
        for error in errors {
            let token = error.token.as_deref().map(|token| format!("'{token}': ")).unwrap_or_default();
            eprintln!("error: {path}:{}: {token}{}", error.line, error.message);
        }
    }
    Exit::Configuration
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Acl {
        #[command(subcommand)]
        command: AclCommand,
    }

    #[test]
    fn explain_takes_the_command_after_two_dashes() {
        let line = ["acl", "explain", "--aclfile", "users.acl", "--user", "shop", "--", "SET", "--k", "v"];
        let AclCommand::Explain(arguments) = Acl::try_parse_from(line).unwrap().command else { panic!() };
        assert_eq!(arguments.user, "shop");
        assert_eq!(arguments.command, ["SET", "--k", "v"]);
    }

    #[test]
    fn explain_needs_a_command() {
        assert!(Acl::try_parse_from(["acl", "explain", "--user", "shop"]).is_err());
    }
}

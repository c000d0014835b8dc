//! `respgate acl`: questions about users and rules, without a proxy.

mod explain;
mod monitor;
mod preset;
mod report;
mod suggest;
mod suggestion;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};

use crate::acl::{Acl, Unknown};
use crate::command::{CommandTable, Dialect};
use crate::config::Config;
use crate::files::Files;
use crate::generation::{self, BuildError, Kept, NO_USERS, UpstreamKnowledge};
use crate::policy::Policy;

use super::say;
use super::{ConfigurationArgs, Exit};

pub use preset::AclPresetArgs;
pub use report::AclReportArgs;
pub use suggest::AclSuggestArgs;

/// The subcommands of `acl`.
#[derive(Debug, Subcommand)]
pub enum AclCommand {
    /// Say whether a user may run a command, and the rule that decides
    Explain(AclExplainArgs),
    /// Check an ACL file alone
    Check(AclCheckArgs),
    /// Print the line that an application or an operator needs, and the settings beside it
    Preset(AclPresetArgs),
    /// Print who may do what, and by what
    Report(AclReportArgs),
    /// Print the line that allows what was seen of a user, and no more
    Suggest(AclSuggestArgs),
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
        AclCommand::Explain(arguments) => explain::explain(arguments),
        AclCommand::Check(arguments) => check(arguments),
        AclCommand::Preset(arguments) => preset::print_preset(arguments),
        AclCommand::Report(arguments) => report::print_report(arguments),
        AclCommand::Suggest(arguments) => suggest::print_suggestion(arguments),
    }
}

/// What decides about requests, of a configuration.
///
/// # Errors
/// The exit that fits what was told.
fn policy(config: Config, files: &Files) -> Result<Arc<Policy>, Exit> {
    // Who may come in is another question.
    policy_with_certificates(Config { certificates: Vec::new(), ..config }, files)
}

/// What decides about requests, and whose certificates are.
///
/// # Errors
/// The exit that fits what was told.
fn policy_with_certificates(config: Config, files: &Files) -> Result<Arc<Policy>, Exit> {
    // Where they come in is another question.
    let config = Config { listeners: Vec::new(), ..config };
    match generation::build(&config, files, UpstreamKnowledge::NotAsked, Kept::default()) {
        Ok(built) => Ok(built.generation.policy),
        Err(errors) => {
            errors.iter().for_each(say::error);
            Err(if errors.iter().any(BuildError::is_permission) { Exit::Permission } else { Exit::Configuration })
        }
    }
}

/// Reports every error of an ACL file with its line. Names that a module may bring are errors here only where no server
/// that is known has them.
fn check(arguments: &AclCheckArgs) -> Exit {
    let path = arguments.file.display();
    let text = match fs::read(&arguments.file) {
        Ok(text) => text,
        Err(error) => {
            say::error(format_args!("{path}: cannot read it: {error}"));
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
            say::error(format_args!("{path}: {NO_USERS}"));
            return Exit::Configuration;
        }
        println!("{path}: {} users", read.acl.users().count());
        return Exit::Success;
    }
    if let [Err(errors), ..] = &parsed {
        for error in errors {
            let token = error.token.as_deref().map(|token| format!("'{token}': ")).unwrap_or_default();
            say::error(format_args!("{path}:{}: {token}{}", error.line, error.message));
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

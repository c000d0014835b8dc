//! `respgate acl`: questions about users and rules, without a proxy.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ConfigurationArgs;

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

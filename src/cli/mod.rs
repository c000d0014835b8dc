//! The command line: one file per subcommand.

// Subcommands talk to people on the terminal; the log is for the running proxy.
#![allow(clippy::print_stdout, clippy::print_stderr)]

pub mod acl;
pub mod audit;
pub mod cert;
pub mod check;
pub mod completions;
pub mod configuration;
pub mod doctor;
pub mod door;
pub mod exit;
pub mod hash_password;
pub mod health;
pub mod init;
pub mod kick;
pub mod man;
pub mod reload;
pub mod run;
mod say;
pub mod sessions;
pub mod status;
mod stunnel_conf;
mod table;
pub mod tunnel;

use clap::{Parser, Subcommand};

pub use configuration::ConfigurationArgs;
pub use exit::Exit;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "respgate", version, about)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the proxy
    Run(ConfigurationArgs),
    /// Carry what an application says without TLS to a server over mutual TLS
    Tunnel(tunnel::TunnelArgs),
    /// Validate everything `run` would load and print all findings
    Check(check::CheckArgs),
    /// Ask about users and rules, without a proxy
    #[command(subcommand)]
    Acl(acl::AclCommand),
    /// Ask about an audit log, without a proxy
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// A small certificate authority in a directory: issue, renew, revoke, list
    Cert(cert::CertArgs),
    /// Say what is wrong with Redis, this host and respgate, and how to put it right: exit 1 where something is
    Doctor(doctor::DoctorArgs),
    /// Make a folder with all that it takes to put respgate in front of a Redis, and print the lines that do it
    Init(init::InitArgs),
    /// Make an argon2id hash for the ACL file, from a prompt or from standard input
    HashPassword(hash_password::HashPasswordArgs),
    /// Ask the running proxy whether it is well: exit 0, 1 where a worker is stuck, 69 where none runs
    Health(health::HealthArgs),
    /// Ask the running proxy how it is and what is in force
    Status(status::StatusArgs),
    /// List the sessions of the running proxy
    Sessions(sessions::SessionsArgs),
    /// End sessions of the running proxy: exit 1 where there is none such
    Kick(kick::KickArgs),
    /// Have the running proxy read everything again, and wait for it: exit 78 where something is wrong
    Reload(reload::ReloadArgs),
    /// Print the completions of a shell
    Completions(completions::CompletionsArgs),
    /// Print the manual page, or write that of each subcommand into a folder
    Man(man::ManArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_flag_takes_a_password() {
        let command = ConfigurationArgs::command_for_test();
        let flags: Vec<&str> = command.get_arguments().filter_map(|argument| argument.get_long()).collect();
        assert!(flags.contains(&"requirepass-file"));
        let is_harmless = |flag: &&str| !flag.contains("pass") || flag.ends_with("-file") || *flag == "unsafe-nopass";
        assert!(flags.iter().all(is_harmless), "{flags:?}");
    }
}

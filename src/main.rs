//! The program: parse the command line, do what it says, tell how it went.

use std::process::ExitCode;

use clap::Parser;

use respgate::cli::{
    Cli, Command, acl, audit, cert, check, completions, doctor, hash_password, health, init, kick, man, reload, run,
    sessions, status, tunnel,
};

fn main() -> ExitCode {
    let exit = match Cli::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Tunnel(arguments) => tunnel::tunnel(&arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Acl(question) => acl::acl(&question),
        Command::Audit(command) => audit::audit(&command),
        Command::Cert(arguments) => cert::cert(&arguments),
        Command::Doctor(arguments) => doctor::doctor(&arguments),
        Command::Init(arguments) => init::init(&arguments),
        Command::HashPassword(arguments) => hash_password::hash_password(&arguments),
        Command::Health(arguments) => health::health(&arguments),
        Command::Status(arguments) => status::status(&arguments),
        Command::Sessions(arguments) => sessions::sessions(&arguments),
        Command::Kick(arguments) => kick::kick(&arguments),
        Command::Reload(arguments) => reload::reload(&arguments),
        Command::Completions(arguments) => completions::completions(&arguments),
        Command::Man(arguments) => man::man(&arguments),
    };
    exit.into()
}

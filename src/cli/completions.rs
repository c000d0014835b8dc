//! `respgate completions`: what a shell needs in order to complete the command line.

use std::io::{self, Write};

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::say;
use super::{Cli, Exit};

/// For whom.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Prints the completions of that shell on standard output.
pub fn completions(arguments: &CompletionsArgs) -> Exit {
    match io::stdout().write_all(&script(arguments.shell)) {
        Ok(()) => Exit::Success,
        Err(error) => {
            say::error(format_args!("cannot write: {error}"));
            Exit::Failure
        }
    }
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "respgate", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn the_completions_of_every_shell_name_every_subcommand() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell)).unwrap();
            for subcommand in Cli::command().get_subcommands() {
                assert!(script.contains(subcommand.get_name()), "{shell}: {subcommand}");
            }
        }
    }
}

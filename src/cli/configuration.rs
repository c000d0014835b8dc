//! The flags that `run`, `check` and the others that need the configuration share.

use std::path::PathBuf;

use clap::Args;

use crate::config::{self, Config, ConfigErrors, Flags, Host, Loaded, Sources, Variables};
use crate::files::Files;

use super::Exit;
use super::say;

/// A configuration file and flags over it.
#[derive(Debug, Clone, Args)]
pub struct ConfigurationArgs {
    /// Configuration file [env: RESPGATE_CONFIG]; every flag below is also a key there and a variable RESPGATE_…
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Every setting that may be a flag.
    #[command(flatten)]
    pub flags: Flags,
}

impl ConfigurationArgs {
    /// Loads the configuration out of `files`, telling warnings and errors on standard error.
    ///
    /// # Errors
    /// The exit that fits what was told.
    pub fn load(&self, files: &Files) -> Result<Config, Exit> {
        tell(self.read(files))
    }

    /// Loads the configuration out of `files`.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn read(&self, files: &Files) -> Result<Loaded, ConfigErrors> {
        self.sources(files, config::load)
    }

    /// Loads it for a question about users and rules, to which listeners and the upstream do not matter.
    ///
    /// # Errors
    /// The exit that fits what was told.
    pub fn load_rules(&self, files: &Files) -> Result<Config, Exit> {
        tell(self.sources(files, config::load_rules))
    }

    fn sources<T>(&self, files: &Files, load: impl FnOnce(&Sources<'_>) -> T) -> T {
        let (variables, host) = (variables(), Host::current());
        let file = self.config.clone();
        load(&Sources { file, variables: &variables, flags: &self.flags, host: &host, files })
    }

    #[cfg(test)]
    pub(super) fn command_for_test() -> clap::Command {
        ConfigurationArgs::augment_args(clap::Command::new("test"))
    }
}

/// Tells warnings and errors on standard error.
///
/// # Errors
/// The exit that fits what was told.
pub(super) fn tell(read: Result<Loaded, ConfigErrors>) -> Result<Config, Exit> {
    match read {
        Ok(Loaded { config, warnings }) => {
            warnings.iter().for_each(say::warning);
            Ok(config)
        }
        Err(errors) => Err(tell_errors(&errors)),
    }
}

/// Prints every error. Returns the exit that fits them.
pub(super) fn tell_errors(errors: &ConfigErrors) -> Exit {
    errors.iter().for_each(say::error);
    if errors.is_permission() { Exit::Permission } else { Exit::Configuration }
}

/// The environment. Variables whose names are not UTF-8 cannot be ours.
pub(super) fn variables() -> Variables {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect()
}

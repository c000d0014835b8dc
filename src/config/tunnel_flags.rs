//! The flags of `respgate tunnel`: those of one tunnel, and those settings of the process that hold for it as well.

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, Id};
use toml::Spanned;

use super::raw::{Flags, Settings, TunnelSection, Variables, environment_as_flags, variable_name};
use super::setting::Setting;

/// What of all settings concerns a process that has nothing but a tunnel.
const SHARED: [&str; 14] = [
    "tcp-keepalive",
    "half-close-timeout",
    "shutdown-delay",
    "shutdown-timeout",
    "strict-permissions",
    "reload-interval",
    "threads",
    "log-format",
    "log-level",
    "log-file",
    "admin-listen",
    "admin-socket-group",
    "metrics-listen",
    "metrics-allow",
];

/// The settings given as flags of `respgate tunnel`.
#[derive(Clone, Debug)]
pub struct TunnelFlags {
    tunnel: ArgMatches,
    shared: Flags,
}

impl TunnelFlags {
    /// All that is said of the process and its tunnel: variables, and flags above them.
    pub(super) fn settings(&self, variables: &Variables) -> Result<Settings, clap::Error> {
        let mut tunnel = TunnelSection::default();
        for matches in [&environment_as_flags::<TunnelSection>(variables)?, &self.tunnel] {
            tunnel.update_from_arg_matches(matches)?;
        }
        let shared = SHARED.map(variable_name);
        let variables = variables.iter().filter(|(name, _)| shared.contains(name));
        let variables = variables.map(|(name, value)| (name.clone(), value.clone())).collect();
        let mut settings = Settings::default();
        settings.overlay(&variables, &self.shared)?;
        settings.tunnel = vec![Spanned::new(0..0, tunnel)];
        Ok(settings)
    }
}

/// The names of all these settings, with dashes.
pub(super) fn tunnel_flag_names() -> Vec<String> {
    let command = TunnelFlags::augment_args(Command::new("flags"));
    command.get_arguments().filter_map(Arg::get_long).map(str::to_owned).collect()
}

fn shared_arguments() -> impl Iterator<Item = Arg> {
    let command = Settings::augment_args(Command::new("flags"));
    let arguments: Vec<Arg> = command.get_arguments().cloned().collect();
    arguments.into_iter().filter(|argument| argument.get_long().is_some_and(|key| SHARED.contains(&key)))
}

impl FromArgMatches for TunnelFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<TunnelFlags, clap::Error> {
        let given = |argument: Arg| {
            let (id, key): (&Id, _) = (argument.get_id(), argument.get_long().unwrap_or_default());
            let values = matches.get_many::<Setting>(id.as_str()).into_iter().flatten();
            values.map(|value| format!("--{key}={}", value.text)).collect::<Vec<_>>()
        };
        let arguments: Vec<String> = shared_arguments().flat_map(given).collect();
        let command = Settings::augment_args(Command::new("flags")).no_binary_name(true);
        let shared = Flags::from_arg_matches(&command.try_get_matches_from(arguments)?)?;
        Ok(TunnelFlags { tunnel: matches.clone(), shared })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = TunnelFlags::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for TunnelFlags {
    fn augment_args(command: Command) -> Command {
        TunnelSection::augment_args(command).args(shared_arguments())
    }

    fn augment_args_for_update(command: Command) -> Command {
        TunnelFlags::augment_args(command)
    }
}

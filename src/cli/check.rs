//! `respgate check`: what `run` would load, without running.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;
use ipnet::IpNet;

use crate::audit::{self, words};
use crate::config::{AclSource, AuditTarget, Config, Listener, Tunnel};
use crate::files::Files;
use crate::generation::{self, BuildError, Generation, Kept, UpstreamKnowledge};
use crate::policy::{Admission, UserRefusal};
use crate::serve::{learning, logging};
use crate::tls::AuthClients;
use crate::tls::client_file::{self, Judgement};
use crate::upstream::probe::{self, ServerInfo};
use crate::upstream::{ConnectError, Target};

use super::say;
use super::{ConfigurationArgs, Exit, stunnel_conf};

/// Where a client comes from that is only looked at.
const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// What is to be checked.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The configuration.
    #[command(flatten)]
    pub configuration: ConfigurationArgs,
    /// Also say what would become of a client that shows the certificate in FILE (PEM, with its intermediates); may be
    /// repeated
    #[arg(long, value_name = "FILE")]
    pub client_cert: Vec<PathBuf>,
    /// Say instead what each line of a stunnel.conf means here, and print the respgate.toml that does the same: exit 1 where
    /// something is not taken over
    #[arg(long, value_name = "FILE", exclusive = true)]
    pub stunnel_conf: Option<PathBuf>,
}

/// Loads the configuration and everything it names, and shows what follows from it. With `--require-upstream` the
/// upstream is asked as well.
pub fn check(arguments: &CheckArgs) -> Exit {
    if let Some(path) = &arguments.stunnel_conf {
        return stunnel_conf::check(path);
    }
    let files = Files::default();
    let config = match arguments.configuration.load(&files) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let asks = config.require_upstream && !config.listeners.is_empty();
    let server = match asks.then(|| ask_upstream(&config)).transpose() {
        Ok(server) => server,
        Err(error) => {
            say::error(format_args!("the upstream {} does not answer: {error}", config.upstream.address));
            return Exit::Unavailable;
        }
    };
    let logs = inspect_log(&config).and(inspect_audit(&config)).and(inspect_learn_file(&config));
    match generation::build(
        &config,
        &files,
        server.as_ref().map_or(UpstreamKnowledge::NotAsked, UpstreamKnowledge::Known),
        Kept::default(),
    ) {
        Ok(built) => {
            built.warnings.iter().chain(&built.advice).for_each(say::warning);
            let faults = || built.misnamed.iter().chain(&built.faults);
            faults().for_each(say::error);
            if let Err(exit) = logs {
                return exit;
            }
            print!("{}", summary(&config));
            built.contents.iter().for_each(|line| println!("{line}"));
            let mut is_good = faults().next().is_none();
            for path in &arguments.client_cert {
                is_good &= check_client(path, &config, &built.generation);
            }
            if !is_good {
                return Exit::Failure;
            }
            println!("{}", good(&config, &built.generation));
            Exit::Success
        }
        Err(errors) => {
            errors.iter().for_each(say::error);
            if errors.iter().any(BuildError::is_permission) { Exit::Permission } else { Exit::Configuration }
        }
    }
}

/// Says why a start could not write its log.
fn inspect_log(config: &Config) -> Result<(), Exit> {
    logging::inspect(&config.log).map_err(|error| {
        say::error(&error);
        if error.is_permission() { Exit::Permission } else { Exit::Configuration }
    })
}

/// Says what a start would find wrong with the file of the audit log.
fn inspect_audit(config: &Config) -> Result<(), Exit> {
    let Some(AuditTarget::File(path)) = &config.audit.target else { return Ok(()) };
    match audit::inspect(path, config.strict_permissions) {
        Ok(warnings) => {
            warnings.iter().for_each(|warning| say::warning(format_args!("audit-file: {warning}")));
            Ok(())
        }
        Err(error) => {
            say::error(format_args!("audit-file: {}: {error}", path.display()));
            Err(if error.kind() == ErrorKind::PermissionDenied { Exit::Permission } else { Exit::Configuration })
        }
    }
}

/// Says what a start would find wrong with the file of what was learnt.
fn inspect_learn_file(config: &Config) -> Result<(), Exit> {
    let Some(path) = &config.learn_file else { return Ok(()) };
    learning::inspect(path).map_err(|error| {
        say::error(format_args!("learn-file: {}: {error}", path.display()));
        if error.kind() == ErrorKind::PermissionDenied { Exit::Permission } else { Exit::Configuration }
    })
}

/// Says what becomes of a client with this certificate at every listener with TLS. False if it is let in nowhere.
fn check_client(path: &Path, config: &Config, generation: &Generation) -> bool {
    let chain = match client_file::read(path, "--client-cert") {
        Ok(chain) => chain,
        Err(errors) => {
            errors.iter().for_each(say::error);
            return false;
        }
    };
    let mut is_admitted = false;
    for (listener, material) in config.listeners.iter().zip(&generation.listeners) {
        let Some(material) = material else { continue };
        let place = format!("client {} at {}", path.display(), listener.address);
        let Judgement { verdict, advice } = client_file::judge(&chain, material, SystemTime::now());
        let advice: String = advice.iter().map(|words| format!("; {words}")).collect();
        match verdict {
            Ok(peer) => match generation.policy.admit(Some(&peer.identity), NOWHERE) {
                Admission::User(principal) => {
                    println!("{place}: trusted, user {}{advice}", principal.user.name());
                    is_admitted = true;
                }
                Admission::Refused(UserRefusal::Address) => {
                    println!("{place}: trusted, a user that may come from some addresses only{advice}");
                    is_admitted = true;
                }
                Admission::Password => {
                    println!("{place}: trusted, has to log in with a password{advice}");
                    is_admitted = true;
                }
                Admission::Refused(reason) => {
                    say::error(format_args!("{place}: trusted, but nobody ({}){advice}", words::user(reason)))
                }
            },
            Err(refusal) => {
                say::error(format_args!("{place}: refused ({}): {refusal}{advice}", words::certificate(refusal)))
            }
        }
    }
    is_admitted
}

fn ask_upstream(config: &Config) -> Result<ServerInfo, ConnectError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(probe::once(&Target::from(config)))
}

/// That nothing is wrong, and what `run` would serve.
fn good(config: &Config, generation: &Generation) -> String {
    let listeners: Vec<String> = config.listeners.iter().map(|listener| listener.address.to_string()).collect();
    let users = generation.policy.acl.users().filter(|user| user.is_enabled()).count();
    let whom = if users == 1 { "1 user".to_owned() } else { format!("{users} users") };
    let gate = format!("serve {whom} at {}, in front of {}", listeners.join(" "), config.upstream.address);
    let tunnels: Vec<String> = config.tunnels.iter().map(|tunnel| tunnel.listen.to_string()).collect();
    let carry = format!("carry applications from {}", tunnels.join(" "));
    match (listeners.is_empty(), tunnels.is_empty()) {
        (true, _) => format!("ok: would {carry}"),
        (false, true) => format!("ok: would {gate}"),
        (false, false) => format!("ok: would {gate}, and {carry}"),
    }
}

/// The decisions of a configuration that a reviewer looks for first, one a line.
fn summary(config: &Config) -> String {
    let mut lines: Vec<String> =
        config.listeners.iter().map(listener).chain(config.tunnels.iter().map(tunnel)).collect();
    if config.listeners.is_empty() {
        return lines.iter().map(|line| format!("{line}\n")).collect();
    }
    let renamed: Vec<String> = config.renames.iter().map(|rename| rename.original.to_ascii_lowercase()).collect();
    lines.push(format!("upstream: {}", config.upstream.address));
    lines.push(match &config.acl {
        AclSource::File(path) => format!("users: {}", path.display()),
        AclSource::Password(_) => "users: default, with a password".to_owned(),
        AclSource::None => "users: none".to_owned(),
    });
    lines.push(match &config.audit.target {
        Some(target) => format!("audit log: {target}, with permitted {}", list(&config.audit.commands)),
        None => "audit log: none".to_owned(),
    });
    lines.push(format!("certificate rules: {}", config.certificates.len()));
    lines.push(format!("blocked: {}", list(&config.block.commands)));
    lines.push(format!("renamed at Redis: {}", list(&renamed)));
    lines.push(format!("exempt users: {}", list(&config.block.exempt_users)));
    lines.push(format!("scripting users: {}", list(&config.block.scripting_users)));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn listener(listener: &Listener) -> String {
    let security = match listener.tls.as_ref().map(|tls| tls.auth_clients) {
        Some(AuthClients::Yes) => "TLS, client certificates required",
        Some(AuthClients::Optional) => "TLS, client certificates optional",
        Some(AuthClients::No) => "TLS, no client certificates",
        None => "plaintext",
    };
    let filter = |name: &str, networks: &[IpNet]| match networks {
        [] => String::new(),
        networks => format!("; {name} {}", networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")),
    };
    let (allow, deny) = (filter("allow", &listener.allow), filter("deny", &listener.deny));
    format!("listen: {} ({security}{allow}{deny})", listener.address)
}

fn tunnel(Tunnel { listen, connect, tls, .. }: &Tunnel) -> String {
    let servers: Vec<String> = connect.iter().map(ToString::to_string).collect();
    let shown = match &tls.shown {
        Some((certificate, _)) => format!("with {}", certificate.display()),
        None => "without a certificate".to_owned(),
    };
    format!("tunnel: {listen} to {} ({shown})", servers.join(" "))
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(" ") }
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};

    use super::*;

    fn arguments(line: &str) -> ConfigurationArgs {
        let command = ConfigurationArgs::augment_args(Command::new("check")).no_binary_name(true);
        ConfigurationArgs::from_arg_matches(&command.get_matches_from(line.split_ascii_whitespace())).unwrap()
    }

    #[test]
    fn the_summary_shows_what_is_blocked_by_default() {
        let config = arguments("--listen 127.0.0.1:1 --tls no --upstream 127.0.0.1:2 --aclfile a")
            .load(&Files::default())
            .unwrap();
        let summary = summary(&config);
        assert!(summary.starts_with("listen: 127.0.0.1:1 (plaintext)\nupstream: 127.0.0.1:2\nusers: a\n"), "{summary}");
        assert!(summary.contains("blocked: flushall flushdb config "), "{summary}");
        assert!(summary.contains("exempt users: none\n"), "{summary}");
    }

    #[test]
    fn a_wrong_configuration_exits_with_78() {
        let configuration = arguments("--listen nowhere");
        assert_eq!(check(&CheckArgs { configuration, client_cert: Vec::new(), stunnel_conf: None }).code(), 78);
    }
}

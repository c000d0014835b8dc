//! `respgate doctor`: what is wrong with a deployment.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::{Args, ValueEnum};
use rustix::process::geteuid;

use super::configuration::variables;
use super::door::print;
use super::{ConfigurationArgs, Exit};
use crate::config::{Config, Loaded, UpstreamAddress};
use crate::doctor::judge::{Exposure, exposure};
use crate::doctor::{Finding, Report, Severity, Subject, kind, redis, sockets};
use crate::files::Files;
use crate::generation::{self, Kept, UpstreamKnowledge};

/// Where the Debian package has it.
const CONFIGURATION: &str = "/etc/respgate/respgate.toml";

/// What is to be looked at, and how it is told.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The configuration of respgate [default: /etc/respgate/respgate.toml, where it is there].
    #[command(flatten)]
    pub configuration: ConfigurationArgs,
    /// Print a document for programs
    #[arg(long)]
    pub json: bool,
    /// List what is as it should be as well
    #[arg(long)]
    pub all: bool,
    /// Print the points of docs/hardening.md, ticked where all that belongs to them is green
    #[arg(long, conflicts_with = "json")]
    pub checklist: bool,
    /// Exit 1 where something is as bad as this, or worse
    #[arg(long, value_name = "SEVERITY", default_value = "red")]
    pub fail_on: FailOn,
}

/// What is a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// What has to be put right now.
    Red,
    /// And what is better put right.
    Amber,
    /// And what could not be looked at.
    Unknown,
}

impl From<FailOn> for Severity {
    fn from(fail_on: FailOn) -> Severity {
        match fail_on {
            FailOn::Red => Severity::Red,
            FailOn::Amber => Severity::Amber,
            FailOn::Unknown => Severity::Unknown,
        }
    }
}

/// Looks at everything, and tells. It exits with 0 where nothing is as bad as `--fail-on`, and with 1 elsewhere.
pub fn doctor(arguments: &DoctorArgs) -> Exit {
    let report = Report::new(subject(), look(arguments));
    print(&match () {
        () if arguments.json => report.json(),
        () if arguments.checklist => report.checklist(),
        () => report.text(arguments.all),
    });
    if report.is_better_than(arguments.fail_on.into()) { Exit::Success } else { Exit::Failure }
}

fn subject() -> Subject {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim_end().to_owned();
    let user = if geteuid().is_root() { "root".to_owned() } else { format!("user {}", geteuid().as_raw()) };
    Subject { host, time: SystemTime::now(), user }
}

fn look(arguments: &DoctorArgs) -> Vec<Finding> {
    let (config, mut findings) = look_at_configuration(&arguments.configuration);
    findings.extend(look_at_redis(config.as_ref()));
    findings
}

/// All that `respgate check` says; and the configuration, where it is one.
fn look_at_configuration(arguments: &ConfigurationArgs) -> (Option<Config>, Vec<Finding>) {
    let kind = &kind::GATE_CONFIG;
    let mut arguments = arguments.clone();
    if !is_named(&arguments) {
        if !Path::new(CONFIGURATION).exists() {
            let words = format!("no --config, and no {CONFIGURATION}: respgate was not looked at");
            return (None, vec![Finding::unknown(kind, words)]);
        }
        arguments.config = Some(PathBuf::from(CONFIGURATION));
    }
    let files = Files::default();
    let Loaded { config, warnings } = match arguments.read(&files) {
        Ok(loaded) => loaded,
        Err(errors) if errors.is_permission() => {
            return (None, errors.iter().map(|error| Finding::unknown(kind, error.to_string())).collect());
        }
        Err(errors) => return (None, errors.iter().map(|error| Finding::red(kind, error.to_string())).collect()),
    };
    let mut findings: Vec<Finding> = warnings.iter().map(|warning| Finding::amber(kind, warning.to_string())).collect();
    match generation::build(&config, &files, UpstreamKnowledge::NotAsked, Kept::default()) {
        Ok(built) => {
            let amber = built.warnings.iter().chain(&built.advice).map(|words| Finding::amber(kind, words));
            let red = built.misnamed.iter().chain(&built.faults).map(|words| Finding::red(kind, words));
            findings.extend(amber.chain(red));
            if findings.is_empty() {
                findings.push(Finding::green(kind, "`respgate check` says nothing against it"));
            }
        }
        Err(errors) => findings.extend(errors.iter().map(|error| match error.is_permission() {
            true => Finding::unknown(kind, error.to_string()),
            false => Finding::red(kind, error.to_string()),
        })),
    }
    (Some(config), findings)
}

/// Whether a configuration was named: by a flag or by the environment.
fn is_named(arguments: &ConfigurationArgs) -> bool {
    arguments.config.is_some()
        || arguments.flags.are_given()
        || variables().keys().any(|name| name.starts_with("RESPGATE_"))
}

/// Every Redis of this host, and the upstream.
fn look_at_redis(config: Option<&Config>) -> Vec<Finding> {
    let listening = match sockets::listening() {
        Ok(listening) => listening,
        Err(error) => return vec![Finding::unknown(&kind::REDIS_FOUND, format!("/proc cannot be read: {error}"))],
    };
    let of_redis =
        listening.iter().filter(|listening| listening.process.as_ref().is_some_and(|owner| owner.is_redis()));
    let mut asked = Vec::new();
    for listening in of_redis {
        let address = UpstreamAddress::Tcp(from_here(listening.address));
        asked.push(redis::ask(&address, listening.process.clone()));
    }
    if let Some(config) = config.filter(|config| asked.iter().all(|asked| asked.address != config.upstream.address)) {
        asked.push(redis::ask(&config.upstream.address, None));
    }
    exposure(&Exposure { listening, processes: sockets::redis_processes(), asked })
}

/// Where somebody on this host reaches who listens there.
fn from_here(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

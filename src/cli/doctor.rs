//! `respgate doctor`: what is wrong with a deployment.

mod outside;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::{Args, ValueEnum};
use rustix::process::geteuid;

pub use self::outside::OutsideArgs;
use super::configuration::variables;
use super::door::{AdminDoor, print};
use super::say;
use super::table::aligned;
use super::{ConfigurationArgs, Exit};
use crate::config::{AclSource, Config, Loaded};
use crate::doctor::judge::{Client, Clients, Gate, gate};
use crate::doctor::look::{self, Looked};
use crate::doctor::{Finding, Report, Severity, Subject, compose, kind, told};
use crate::files::Files;
use crate::generation::{self, Generation, Kept, UpstreamKnowledge};
use crate::serve::status::Status;
use crate::upstream::probe::{self, ServerInfo};
use crate::upstream::{ConnectError, Target};

/// Where the Debian package has it.
const CONFIGURATION: &str = "/etc/respgate/respgate.toml";

/// What is to be looked at, and how it is told.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The configuration of respgate.
    #[command(flatten)]
    pub configuration: ConfigurationArgs,
    /// Also look at what the compose file FILE publishes; may be repeated
    #[arg(long, value_name = "FILE")]
    pub compose: Vec<PathBuf>,
    /// Another host instead of this one.
    #[command(flatten)]
    pub outside: OutsideArgs,
    /// Print a document for programs
    #[arg(long)]
    pub json: bool,
    /// List what is as it should be as well
    #[arg(long)]
    pub all: bool,
    /// Print the points of docs/hardening.md, ticked where all that belongs to them is green
    #[arg(long, conflicts_with = "json")]
    pub checklist: bool,
    /// List who is connected to Redis, and whether through respgate, and nothing else
    #[arg(long, conflicts_with_all = ["json", "checklist", "compose"])]
    pub who: bool,
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
    if let Some(place) = &arguments.outside.from_outside {
        return outside::look(place, arguments).map_or_else(|exit| exit, |report| tell(&report, arguments));
    }
    let (findings, clients) = look_at_all(arguments);
    if arguments.who {
        return who(clients);
    }
    tell(&Report::new(subject(), findings), arguments)
}

fn tell(report: &Report, arguments: &DoctorArgs) -> Exit {
    print(&match () {
        () if arguments.json => report.json(),
        () if arguments.checklist => report.checklist(),
        () => report.text(arguments.all),
    });
    if report.is_better_than(arguments.fail_on.into()) { Exit::Success } else { Exit::Failure }
}

/// Lists connections, those past respgate first. It exits with 1 where there are such, or where nobody tells.
fn who(clients: Option<Clients>) -> Exit {
    let Some(mut clients) = clients.and_then(|clients| clients.list()) else {
        say::error(
            "no Redis tells who is connected: name the configuration, with a user at the upstream that may run CLIENT LIST",
        );
        return Exit::Unavailable;
    };
    let rank = |client: &Client| match client.is_ours {
        Some(false) => 0,
        None => 1,
        Some(true) => 2,
    };
    clients.sort_by_key(rank);
    let way = |client: &Client| ["past respgate", "unknown", "respgate"][rank(client)].to_owned();
    let row = |client: &Client| {
        let Client { user, address, process, name, age, command, .. } = client.clone();
        [way(client), user, address, process.unwrap_or_default(), name, age, command]
    };
    let heading = ["way", "user", "address", "process", "name", "age", "command"].map(str::to_owned);
    print(&aligned(&[heading].into_iter().chain(clients.iter().map(row)).collect::<Vec<_>>()));
    match clients.iter().any(|client| client.is_ours == Some(false)) {
        true => Exit::Failure,
        false => Exit::Success,
    }
}

fn subject() -> Subject {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim_end().to_owned();
    let user = if geteuid().is_root() { "root".to_owned() } else { format!("user {}", geteuid().as_raw()) };
    Subject { host, time: SystemTime::now(), user }
}

fn look_at_all(arguments: &DoctorArgs) -> (Vec<Finding>, Option<Clients>) {
    let (config, mut findings) = look_at_gate(&arguments.configuration);
    let redis_conf = arguments.configuration.flags.redis_conf();
    let Looked { findings: of_redis, clients } =
        look::at_redis(config.as_ref().filter(|config| !config.listeners.is_empty()), redis_conf.as_deref());
    findings.extend(of_redis);
    findings.extend(arguments.compose.iter().flat_map(|path| compose::look(path)));
    let words =
        "what a firewall lets through is seen only from outside: respgate doctor --from-outside HOST, on another one";
    findings.push(Finding::unknown(&kind::FIREWALL, words));
    (findings, clients)
}

/// All that `respgate check` says, and how the proxy runs; and the configuration, where it is one.
fn look_at_gate(arguments: &ConfigurationArgs) -> (Option<Config>, Vec<Finding>) {
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
            return (None, errors.iter().map(|error| told(Severity::Unknown, error.to_string())).collect());
        }
        Err(errors) => return (None, errors.iter().map(|error| told(Severity::Red, error.to_string())).collect()),
    };
    let mut findings: Vec<Finding> =
        warnings.iter().map(|warning| told(Severity::Amber, warning.to_string())).collect();
    // Where there are tunnels alone there is no Redis behind it.
    let asked = (!config.listeners.is_empty()).then(|| ask_upstream(&config));
    let server = match asked.transpose() {
        Ok(None) => None,
        Ok(Some(server)) => {
            let words = format!("{} is {} {}", config.upstream.address, server.server, server.full_version);
            findings.push(Finding::green(&kind::GATE_UPSTREAM, words));
            Some(server)
        }
        Err(error) => {
            let words = format!("{} does not serve respgate: {error}", config.upstream.address);
            findings.push(Finding::red(&kind::GATE_UPSTREAM, words));
            None
        }
    };
    let upstream = server.as_ref().map_or(UpstreamKnowledge::NotAsked, UpstreamKnowledge::Known);
    let built = match generation::build(&config, &files, upstream, Kept::default()) {
        Ok(built) => {
            let amber = built.warnings.iter().chain(&built.advice).map(|words| told(Severity::Amber, words.clone()));
            let red = built.misnamed.iter().chain(&built.faults).map(|words| told(Severity::Red, words.clone()));
            let said: Vec<Finding> = amber.chain(red).collect();
            if said.is_empty() && warnings.is_empty() {
                findings.push(Finding::green(kind, "`respgate check` says nothing against it"));
            }
            findings.extend(said);
            Some(built.generation)
        }
        Err(errors) => {
            let severity = |is_permission| if is_permission { Severity::Unknown } else { Severity::Red };
            findings.extend(errors.iter().map(|error| told(severity(error.is_permission()), error.to_string())));
            None
        }
    };
    findings.extend(judge_gate(&arguments, &config, built.as_ref(), &files));
    (Some(config), findings)
}

fn judge_gate(
    arguments: &ConfigurationArgs,
    config: &Config,
    generation: Option<&Generation>,
    files: &Files,
) -> Vec<Finding> {
    let lines = |path: &Path| -> Vec<String> {
        let content = files.read(path);
        let text = content.as_ref().ok().and_then(|content| content.text().ok()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    };
    let path = arguments.config.clone().or_else(|| std::env::var_os("RESPGATE_CONFIG").map(PathBuf::from));
    let config_lines = path.as_deref().map(lines).unwrap_or_default();
    let users_file = match &config.acl {
        AclSource::File(path) => lines(path),
        AclSource::Password(_) | AclSource::None => Vec::new(),
    };
    let authorities = config.listeners.iter().filter_map(|listener| listener.tls.as_ref()?.ca_cert_file.as_ref());
    let lists: Vec<PathBuf> =
        authorities.map(|file| file.with_extension("crl")).filter(|list| list.is_file()).collect();
    gate(&Gate {
        config,
        lists: &lists,
        users: generation.map(|generation| (&generation.policy.acl, &generation.policy.table)),
        file: path.as_deref().map(|path| (path, config_lines.as_slice())),
        users_file: &users_file,
        running: &ask_running(config),
    })
}

/// Whether a configuration was named: by a flag or by the environment.
fn is_named(arguments: &ConfigurationArgs) -> bool {
    // Others may be there for other reasons: Kubernetes sets RESPGATE_SERVICE_HOST.
    let is_of_ours = |name: &&str| variables().contains_key(*name);
    let of_environment = ["RESPGATE_CONFIG", "RESPGATE_LISTEN", "RESPGATE_UPSTREAM"];
    arguments.config.is_some() || arguments.flags.are_given() || of_environment.iter().any(is_of_ours)
}

fn ask_upstream(config: &Config) -> Result<ServerInfo, ConnectError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(probe::once(&Target::from(config)))
}

/// What the running proxy says, or why it does not.
fn ask_running(config: &Config) -> Result<Status, String> {
    let Some(address) = &config.admin_listen else { return Err("admin-listen = \"off\"".to_owned()) };
    let door = AdminDoor::at(address.clone());
    let status = door.get("/status").and_then(|answer| answer.document::<Status>());
    status.map_err(|why| format!("{address}: {why}"))
}

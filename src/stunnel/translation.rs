//! What becomes of a whole file.

use std::fmt;
use std::path::Path;

use super::conf::{Conf, ConfLine};
use super::service::{self, Service};

/// What does the same as a stunnel.conf.
#[derive(Clone, Default, Debug)]
pub struct Translation {
    /// A respgate.toml. Its `aclfile` is `users.acl` beside it, where there are servers.
    pub settings: String,
    /// The users; none where there are only clients.
    pub users: Option<String>,
    /// What became of each line, in their order, and of what stunnel does without being told.
    pub told: Vec<Told>,
    /// What has to be known besides.
    pub notes: Vec<&'static str>,
}

/// What became of a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// File and line, or the section that does not say it.
    pub place: String,
    /// The line, or what stunnel does by default.
    pub text: String,
    /// What became of it.
    pub became: Became,
}

/// What became of something that stunnel does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Became {
    /// These settings.
    Setting(String),
    /// It takes no setting: why.
    Better(&'static str),
    /// It is not taken over: why, and what to do.
    Missing(String),
}

/// A certificate that `verifyPeer` accepts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pinned {
    /// SHA-256 of the certificate, hex.
    pub sha256: String,
    /// SHA-256 of its public key, hex.
    pub spki_sha256: String,
    /// It is one that may issue others.
    pub is_ca: bool,
    /// Whom it is for, and who has signed it.
    pub names: (String, String),
}

impl Became {
    /// One setting.
    pub(super) fn setting(key: &str, value: &str) -> Became {
        Became::Setting(format!("{key} = {value}"))
    }

    pub(super) fn missing(why: impl Into<String>) -> Became {
        Became::Missing(why.into())
    }
}

impl fmt::Display for Became {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Became::Setting(settings) => f.write_str(settings),
            Became::Better(why) => f.write_str(why),
            Became::Missing(why) => write!(f, "not taken over: {why}"),
        }
    }
}

impl Translation {
    /// Whether everything was taken over, or is done better.
    pub fn is_complete(&self) -> bool {
        !self.told.iter().any(|told| matches!(told.became, Became::Missing(_)))
    }
}

/// Translates. `pinned` reads the certificates of a PEM file.
pub fn translate(conf: &Conf, pinned: &dyn Fn(&Path) -> Result<Vec<Pinned>, String>) -> Translation {
    let mut top = Table::default();
    let mut told: Vec<Told> = Vec::new();
    let (mut defaults, mut sections) = (Vec::new(), String::new());
    for line in &conf.global {
        match global(line, &mut top) {
            Some(became) => told.push(Told::line(line, became)),
            None => defaults.push(line),
        }
    }
    let (mut has_server, mut has_rules) = (false, false);
    let mut rules_of_servers = Vec::new();
    for (name, lines) in &conf.services {
        let service = Service::new(name, lines, &defaults);
        let of_service = service::translate(&service, &mut top, pinned);
        told.extend(of_service.told);
        sections.push_str(&of_service.text);
        has_server |= !service.is_client();
        has_rules |= of_service.has_rules;
        if !service.is_client() {
            rules_of_servers.push(of_service.rules);
        }
    }
    if conf.services.is_empty() {
        let became = Became::missing("without a [section] stunnel is started by inetd: respgate listens by itself");
        told.push(Told { place: "no section".to_owned(), text: "inetd mode".to_owned(), became });
    }
    if rules_of_servers.windows(2).any(|pair| pair[0] != pair[1]) {
        let why = "[[certificate]] rules hold for all listeners, and these sections let in different clients: a process for each";
        let text = "several servers".to_owned();
        told.push(Told { place: "all sections".to_owned(), text, became: Became::missing(why) });
    }
    let mut notes = Vec::new();
    if has_server {
        top.set("aclfile", quoted("users.acl"));
        notes.extend(NOTES);
    }
    if has_rules {
        top.set("stray-auth", quoted("ignore"));
        notes.push(STRAY);
    }
    Translation {
        settings: format!("{}{sections}", top.text()),
        users: has_server.then(|| USERS.to_owned()),
        told,
        notes,
    }
}

/// Of servers, whose clients are users here.
const NOTES: [&str; 3] = [
    "Redis's requirepass: give it to respgate itself, as password-file of [upstream-auth]",
    "FLUSHALL, CONFIG and others are refused to everybody now (docs/blocklist.md)",
    "every client is the user default, who may do everything else: a [[certificate]] rule and a user for each is the next step",
];

/// Where certificates name users.
const STRAY: &str =
    "stray-auth = \"ignore\" accepts the password that applications go on sending: take it out once none does";

/// Nobody is it without a certificate that a rule names it for, or a password, which it has yet to be given.
const USERS: &str = "user default on +@all ~* &*\n";

/// An option of the whole process; `None` if it is one of services.
fn global(line: &ConfLine, top: &mut Table) -> Option<Became> {
    let value = line.value.as_str();
    Some(match line.name.to_ascii_lowercase().as_str() {
        "output" if ["/dev/stdout", "/dev/stderr"].contains(&value) => Became::Better("the log goes to standard error"),
        "output" => top.take("log-file", quoted(value)),
        "debug" => {
            // "daemon.info" names a facility of syslog as well.
            let level = value.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
            let level = match level.as_str() {
                "0" | "1" | "2" | "3" | "emerg" | "alert" | "crit" | "err" => "error",
                "4" | "warning" => "warn",
                "7" | "debug" => "debug",
                _ => "info",
            };
            top.take("log-level", quoted(level))
        }
        "syslog" | "service" | "log" | "logid" => {
            Became::Better("the log goes to standard error, which the service manager keeps")
        }
        "foreground" | "pid" => Became::Better("always in the foreground, as service managers want it"),
        "setuid" | "setgid" => Became::Better("the service manager starts it as that user (User=, Group=)"),
        "chroot" => Became::Better("the units of deploy/systemd and the image shut it in"),
        "fips" if value.eq_ignore_ascii_case("yes") => {
            Became::missing("the cryptography is aws-lc's, in no FIPS build")
        }
        "fips" | "compression" | "egd" | "rndbytes" | "rndfile" | "rndoverwrite" | "taskbar" => {
            Became::Better("there is nothing of the kind to set")
        }
        "engine" | "enginectrl" | "enginedefault" => Became::missing("keys come from files, not from a device"),
        _ => return None,
    })
}

/// A part of the settings: keys and values in their order.
#[derive(Default)]
pub(super) struct Table {
    entries: Vec<(&'static str, String)>,
}

impl Table {
    /// Sets what has no value yet.
    pub(super) fn set(&mut self, key: &'static str, value: String) {
        if self.get(key).is_none() {
            self.entries.push((key, value));
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.entries.iter().find(|(known, _)| *known == key).map(|(_, value)| value.as_str())
    }

    /// Sets it, unless it has another value by now: then the same holds for all.
    pub(super) fn take(&mut self, key: &'static str, value: String) -> Became {
        match self.get(key) {
            Some(other) if other != value => {
                Became::missing(format!("{key} holds for all of it, and is {other} for another section"))
            }
            _ => {
                let became = Became::setting(key, &value);
                self.set(key, value);
                became
            }
        }
    }

    pub(super) fn text(&self) -> String {
        self.entries.iter().map(|(key, value)| format!("{key} = {value}\n")).collect()
    }
}

impl Told {
    pub(super) fn line(line: &ConfLine, became: Became) -> Told {
        let place = format!("{}:{}", line.path.display(), line.number);
        Told { place, text: format!("{} = {}", line.name, line.value), became }
    }
}

/// A string of TOML.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

//! What is written into the folder, and what is to be done with it. Pure.
//!
//! [`redis`] reads what Redis is told today and makes the two steps of it, [`gate`] writes respgate's configuration and
//! users, [`firewall`] the rules for those who may connect; [`bare`] and [`systemd`] say how all of that is put to work.

mod bare;
mod fault;
mod firewall;
mod gate;
mod quoting;
mod redis;
mod report;
mod systemd;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use ipnet::IpNet;
use zeroize::Zeroizing;

use self::redis::Cutover;
use crate::acl::PasswordHash;
use crate::config::RedisConfText;
use crate::preset::Preset;

pub use self::fault::Fault;

/// For everybody, and for its owner only.
const PUBLIC: u32 = 0o644;
const SECRET: u32 = 0o600;

/// Whom respgate is at Redis.
const UPSTREAM_USER: &str = "respgate";
/// What it may do there: whatever its users may.
const UPSTREAM_RULES: &str = "~* &* +@all";

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Where it goes.
    pub folder: PathBuf,
    /// Where it is to run.
    pub platform: Platform,
    /// The names and addresses that clients connect to; the first is in their URL.
    pub server_names: Vec<String>,
    /// Who gets a certificate.
    pub clients: Vec<Client>,
    /// Where respgate listens.
    pub listen: SocketAddr,
    /// Who may connect; everybody where it is empty.
    pub allow: Vec<IpNet>,
    /// The redis.conf of a Redis that is there.
    pub redis_conf: Option<PathBuf>,
    /// Its ACL file, where redis.conf does not name it.
    pub aclfile: Option<PathBuf>,
    /// The unit that Redis is, under systemd.
    pub redis_unit: Option<String>,
}

/// Where something runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Platform {
    /// Started by hand, from where it lies; without --redis-conf with a Redis of its own
    Bare,
    /// As units of systemd, from /etc/respgate
    Systemd,
}

/// Who gets a certificate.
#[derive(Debug, Clone)]
pub struct Client {
    /// The user, and the common name of the certificate.
    pub name: String,
    /// What it may do.
    pub rights: Rights,
}

/// What a client may do.
#[derive(Debug, Clone)]
pub enum Rights {
    /// What a preset says, with keys that begin so.
    Preset(&'static Preset, Option<String>),
    /// What Redis lets it do today.
    AsAtRedis,
}

/// Where it is made.
pub struct Place {
    /// The folder, as a whole path.
    pub folder: PathBuf,
    /// The day.
    pub today: String,
    /// This program.
    pub program: PathBuf,
    /// Whether a package has brought the units of respgate.
    pub has_units: bool,
    /// What respgate says to Redis.
    pub password: Zeroizing<String>,
}

/// A Redis that is there.
pub struct FoundRedis {
    /// Its redis.conf.
    pub conf: PathBuf,
    /// What is in it.
    pub text: RedisConfText,
    /// Its ACL file.
    pub acl: Option<AclText>,
    /// The group that redis.conf belongs to.
    pub group: String,
    /// The unit that it is.
    pub unit: String,
}

/// An ACL file of Redis. No `Debug`: there may be passwords in it.
pub struct AclText {
    /// Where it is.
    pub path: PathBuf,
    /// All of it.
    pub text: Zeroizing<String>,
}

/// What is written, and what is to be done.
pub struct Plan {
    /// What was found out of a Redis that is there.
    cutover: Option<Cutover>,
    /// All files but certificates and keys.
    pub files: Vec<PlannedFile>,
    /// Folders that stay empty for now.
    pub folders: Vec<PathBuf>,
    /// The names in the server's certificate.
    pub server_names: Vec<String>,
    /// Who gets a certificate, and what it may do, in a few words.
    pub clients: Vec<(String, String)>,
    /// Whether the list of what is revoked stays in one place with what reads it.
    pub runs_in_place: bool,
    /// What has to be known or set in applications.
    notes: Vec<String>,
    next: Vec<Step>,
}

/// A file, by its path in the folder. No `Debug`: it may hold a password.
pub struct PlannedFile {
    /// In the folder.
    pub path: PathBuf,
    /// All of it.
    pub text: Zeroizing<String>,
    /// Permission bits.
    pub mode: u32,
}

/// What is to be done next: lines for a shell.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    title: String,
    lines: Vec<String>,
}

/// How a place puts to work what was planned.
struct Deployment {
    files: Vec<PlannedFile>,
    folders: Vec<PathBuf>,
    next: Vec<Step>,
}

impl Plan {
    /// Makes the plan.
    ///
    /// # Errors
    /// Everything that keeps from it.
    pub fn of(wanted: &Wanted, place: &Place, redis: Option<&FoundRedis>) -> Result<Plan, Vec<Fault>> {
        let hash = PasswordHash::of_password(place.password.as_bytes());
        let upstream_user = format!("user {UPSTREAM_USER} on {} {UPSTREAM_RULES}", hash.to_rule());
        let cutover = match (redis, wanted.platform) {
            (Some(redis), platform) => Some(Cutover::of(redis, platform, &upstream_user, place)?),
            (None, Platform::Systemd) => return Err(vec![Fault::NoRedis]),
            (None, Platform::Bare) => None,
        };
        let users = gate::users(wanted, cutover.as_ref(), place)?;
        let deployment = match wanted.platform {
            Platform::Bare => bare::deployment(wanted, place, redis.zip(cutover.as_ref()), &upstream_user),
            Platform::Systemd => systemd::deployment(wanted, place, redis.zip(cutover.as_ref())),
        };
        let socket = cutover.as_ref().map_or_else(|| bare::socket(place), |cutover| cutover.socket.clone());
        if socket.as_os_str().len() > LONGEST_SOCKET {
            return Err(vec![Fault::LongSocket(socket)]);
        }
        let mut files = vec![
            PlannedFile::secret("etc/respgate.toml", gate::settings(wanted, place, &socket, cutover.as_ref(), &users)?),
            PlannedFile::secret("etc/users.acl", users.text),
            PlannedFile::secret("etc/redis-password", place.password.as_str()),
            PlannedFile::public(".gitignore", GITIGNORE),
        ];
        files.extend(wanted.clients.iter().map(|client| {
            PlannedFile::secret(format!("clients/{0}/url.txt", client.name), gate::url(wanted, &client.name))
        }));
        files.extend(firewall::files(wanted));
        files.extend(deployment.files);
        let mut plan = Plan {
            files,
            folders: deployment.folders,
            server_names: server_names(wanted),
            clients: users.clients,
            runs_in_place: wanted.platform == Platform::Bare,
            notes: users.notes,
            next: deployment.next,
            cutover,
        };
        plan.files.push(PlannedFile::public("next.txt", plan.next()));
        plan.files.extend(plan.cutover.iter_mut().flat_map(|cutover| std::mem::take(&mut cutover.files)));
        Ok(plan)
    }
}

/// What a unix socket's address takes, but for the zero at its end.
const LONGEST_SOCKET: usize = 107;

/// What is in the folder is secret, or made again.
const GITIGNORE: &str = "# Keys and passwords are in here.\n*\n";

/// And those of this machine, for who asks from there.
fn server_names(wanted: &Wanted) -> Vec<String> {
    let mut names = wanted.server_names.clone();
    for own in ["localhost", "127.0.0.1", "::1"] {
        if names.iter().all(|name| name != own) {
            names.push(own.to_owned());
        }
    }
    names
}

impl PlannedFile {
    fn public(path: impl AsRef<Path>, text: impl Into<String>) -> PlannedFile {
        PlannedFile { path: path.as_ref().to_owned(), text: Zeroizing::new(text.into()), mode: PUBLIC }
    }

    fn secret(path: impl AsRef<Path>, text: impl Into<String>) -> PlannedFile {
        PlannedFile { mode: SECRET, ..PlannedFile::public(path, text) }
    }
}

impl Step {
    fn new(title: impl Into<String>, lines: impl IntoIterator<Item = String>) -> Step {
        Step { title: title.into(), lines: lines.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests;

//! What is written into the folder, and what is to be done with it. Pure.
//!
//! [`redis`] reads what Redis is told today and makes the two steps of it, [`gate`] writes respgate's configuration and
//! users, [`firewall`] the rules for those who may connect; [`bare`], [`systemd`], [`compose`] and [`kubernetes`] say how all of that is put
//! to work.

mod bare;
mod compose;
mod containers;
mod fault;
mod firewall;
mod gate;
mod kubernetes;
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
    /// Where respgate listens, or under Compose is published; what is usual where nothing is said.
    pub listen: Option<SocketAddr>,
    /// Who may connect; everybody where it is empty.
    pub allow: Vec<IpNet>,
    /// The redis.conf of a Redis that is there.
    pub redis_conf: Option<PathBuf>,
    /// Its ACL file, where redis.conf does not name it.
    pub aclfile: Option<PathBuf>,
    /// The unit that Redis is, under systemd.
    pub redis_unit: Option<String>,
    /// The image of respgate, where it is a container.
    pub image: Option<String>,
}

impl Wanted {
    /// Where it listens, where that is of this host.
    fn address(&self) -> SocketAddr {
        self.listen.unwrap_or(SocketAddr::from(([0, 0, 0, 0], PORT)))
    }

    /// As `docker build -t respgate .` calls it.
    fn image(&self) -> &str {
        self.image.as_deref().unwrap_or("respgate")
    }

    /// What was said and would do nothing there.
    fn useless_flags(&self) -> Vec<Fault> {
        let platform = self.platform;
        let is_of = |platforms: &[Platform]| platforms.contains(&platform);
        let host = [Platform::Bare, Platform::Systemd, Platform::Compose];
        let given = [
            ("--listen", self.listen.is_some(), is_of(&host)),
            ("--redis-conf", self.redis_conf.is_some(), is_of(&host)),
            ("--redis-unit", self.redis_unit.is_some(), is_of(&[Platform::Systemd])),
            ("--image", self.image.is_some(), is_of(&[Platform::Compose, Platform::Kubernetes])),
        ];
        let useless = given.into_iter().filter(|(_, is_given, is_used)| *is_given && !is_used);
        useless.map(|(flag, ..)| Fault::Useless(flag)).collect()
    }
}

/// That of every example.
const PORT: u16 = 6380;

/// Where something runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Platform {
    /// Started by hand, from where it lies; without --redis-conf with a Redis of its own
    Bare,
    /// As units of systemd, from /etc/respgate
    Systemd,
    /// As containers of Docker Compose
    Compose,
    /// As a Pod, with a new Redis
    Kubernetes,
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
    /// Whose files they will be.
    pub user: u32,
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
    /// The command lines by which that starts it; none that is known, where it is no unit.
    pub starts: Vec<String>,
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
    /// Folders whose files others have to read as well.
    pub shared: Vec<(&'static str, Sharing)>,
    /// The folder of the configuration, and that of certificates.
    pub config_folder: &'static str,
    /// The folder of certificates and keys.
    pub tls_folder: &'static str,
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

/// Who else reads the files of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// This group, by its number.
    Group(u32),
    /// Whoever gets through the folder above, which is its owner's alone.
    Everybody,
}

/// How a place puts to work what was planned.
struct Deployment {
    files: Vec<PlannedFile>,
    folders: Vec<PathBuf>,
    next: Vec<Step>,
    shared: Vec<(&'static str, Sharing)>,
}

impl Plan {
    /// Makes the plan.
    ///
    /// # Errors
    /// Everything that keeps from it.
    pub fn of(wanted: &Wanted, place: &Place, redis: Option<&FoundRedis>) -> Result<Plan, Vec<Fault>> {
        let useless = wanted.useless_flags();
        if !useless.is_empty() {
            return Err(useless);
        }
        let overruled = redis.filter(|_| wanted.platform == Platform::Systemd).map(systemd::overruled);
        if let Some(faults) = overruled.filter(|faults| !faults.is_empty()) {
            return Err(faults);
        }
        let hash = PasswordHash::of_password(place.password.as_bytes());
        let upstream_user = format!("user {UPSTREAM_USER} on {} {UPSTREAM_RULES}", hash.to_rule());
        let mut cutover = match (redis, wanted.platform) {
            (Some(redis), platform) => Some(Cutover::of(redis, platform, &upstream_user, place)?),
            (None, Platform::Systemd) => return Err(vec![Fault::NoRedis]),
            (None, _) => None,
        };
        let users = gate::users(wanted, cutover.as_ref(), place)?;
        let socket = match (&cutover, wanted.platform) {
            (Some(cutover), _) => cutover.socket.clone(),
            (None, Platform::Compose | Platform::Kubernetes) => containers::SOCKET.into(),
            (None, Platform::Bare | Platform::Systemd) => bare::socket(place),
        };
        if socket.as_os_str().len() > LONGEST_SOCKET {
            return Err(vec![Fault::LongSocket(socket)]);
        }
        let settings = gate::settings(wanted, place, &socket, cutover.as_ref(), &users)?;
        let deployment = match wanted.platform {
            Platform::Bare => bare::deployment(wanted, place, cutover.as_ref(), &upstream_user),
            Platform::Systemd => systemd::deployment(wanted, place, redis.zip(cutover.as_ref())),
            Platform::Compose => compose::deployment(wanted, place, cutover.as_ref(), &upstream_user),
            Platform::Kubernetes => kubernetes::deployment(wanted, place, &settings, &users.text),
        };
        let (config_folder, tls_folder) = match wanted.platform {
            Platform::Kubernetes => (kubernetes::CONFIG, kubernetes::TLS),
            _ => ("etc", "etc"),
        };
        let mut files = vec![
            PlannedFile::secret(format!("{config_folder}/respgate.toml"), settings),
            PlannedFile::secret(format!("{config_folder}/users.acl"), users.text),
            PlannedFile::public(".gitignore", GITIGNORE),
        ];
        // In a Pod nobody else reaches the socket.
        let has_password = wanted.platform != Platform::Kubernetes;
        files.extend(has_password.then(|| PlannedFile::secret("etc/redis-password", place.password.as_str())));
        files.extend(wanted.clients.iter().map(|client| {
            PlannedFile::secret(format!("clients/{0}/url.txt", client.name), gate::url(wanted, &client.name))
        }));
        files.extend(firewall::files(wanted));
        files.extend(deployment.files);
        files.extend(cutover.iter_mut().flat_map(|cutover| std::mem::take(&mut cutover.files)));
        let mut plan = Plan {
            files,
            folders: deployment.folders,
            server_names: server_names(wanted),
            clients: users.clients,
            runs_in_place: wanted.platform == Platform::Bare,
            shared: deployment.shared,
            config_folder,
            tls_folder,
            notes: users.notes,
            next: deployment.next,
            cutover,
        };
        plan.files.push(PlannedFile::public("next.txt", plan.next()));
        Ok(plan)
    }
}

/// What a unix socket's address takes, but for the zero at its end.
const LONGEST_SOCKET: usize = 107;

/// What is in the folder is secret, or made again.
const GITIGNORE: &str = "# Keys and passwords are in here.\n*\n";

/// And those of this machine, for who asks from there, and of the platform.
fn server_names(wanted: &Wanted) -> Vec<String> {
    let of_platform: &[&str] = match wanted.platform {
        Platform::Bare | Platform::Systemd => &[],
        Platform::Compose => &["respgate"],
        Platform::Kubernetes => &["redis", "redis.default", "redis.default.svc", "redis.default.svc.cluster.local"],
    };
    let mut names = wanted.server_names.clone();
    for own in of_platform.iter().chain(&["localhost", "127.0.0.1", "::1"]) {
        if names.iter().all(|name| name != own) {
            names.push((*own).to_owned());
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

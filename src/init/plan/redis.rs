//! What Redis is told today that has to do with who gets in, and what the two steps make of it.
//!
//! Step 1 adds a user and a socket for respgate, and takes nothing away. Step 2 closes everything else.

mod changes;
mod users;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use self::changes::{changes, remarks};
use self::users::Users;
use super::containers;
use super::quoting::redis_word;
use super::{AclText, Fault, FoundRedis, Place, PlannedFile, Platform, UPSTREAM_USER};
use crate::config::{RedisConfLine, RedisConfText};

pub(super) use self::changes::Change;
pub(super) use self::users::{FormerUser, Login};

/// What Redis goes through.
pub(super) struct Cutover {
    /// Its redis.conf.
    pub(super) conf: PathBuf,
    /// The file of ours that redis.conf will include.
    pub(super) include: PathBuf,
    /// Its ACL file.
    pub(super) acl_file: Option<PathBuf>,
    /// Where respgate finds it.
    pub(super) socket: PathBuf,
    /// How redis-cli reaches it today; `None` where it takes TLS.
    pub(super) reach: Option<Reach>,
    /// What its user `default` is told today.
    pub(super) login: Login,
    /// Whether it keeps its data over a restart.
    keeps_data: bool,
    /// Whether redis-cli says something before Redis is stopped, out of a file.
    pub(super) has_last_words: bool,
    /// Whether clients log in by a password today.
    pub(super) has_passwords: bool,
    /// What it calls its commands.
    pub(super) renames: Vec<(String, Vec<u8>)>,
    /// Files with lines of users, which step 2 comments out.
    pub(super) with_users: Vec<PathBuf>,
    /// Its users but `default`.
    pub(super) users: Vec<FormerUser>,
    /// What changes, line by line.
    pub(super) changes: Vec<Change>,
    /// What one should know.
    pub(super) remarks: Vec<String>,
    /// What Redis is given.
    pub(super) files: Vec<PlannedFile>,
}

/// How redis-cli reaches a Redis.
pub(super) enum Reach {
    Unix(PathBuf),
    Tcp(String, u16),
}

/// The socket by which respgate reaches it.
struct Socket {
    path: PathBuf,
    /// Redis has it today.
    is_there: bool,
    /// What redis.conf says of its permissions.
    mode: Option<u32>,
    /// Whoever may connect today may do so until step 2.
    step1_mode: u32,
}

/// Owner and group may connect.
const GROUP_SOCKET: u32 = 0o770;

const STEP1_TITLE: &str = "Step 1: respgate has a user and a socket; everybody else goes on as before.";
const STEP2_TITLE: &str = "Step 2: respgate is the only way in.";

impl Cutover {
    /// Reads what there is.
    pub(super) fn of(
        redis: &FoundRedis,
        platform: Platform,
        upstream_user: &str,
        place: &Place,
    ) -> Result<Cutover, Vec<Fault>> {
        let FoundRedis { conf, text, acl, .. } = redis;
        let Users { login, have_passwords, former } = Users::of(redis)?;
        let socket = Socket::of(redis, platform, place);
        let has_last_words = match platform {
            Platform::Bare => true,
            // What stops it has it save its data, if it keeps any.
            Platform::Systemd => !keeps_data(text),
            Platform::Compose | Platform::Kubernetes => false,
        };
        let mut cutover = Cutover {
            include: conf.with_file_name("respgate.conf"),
            conf: conf.clone(),
            acl_file: acl.as_ref().map(|acl| acl.path.clone()),
            reach: reach(text, &socket),
            login,
            keeps_data: keeps_data(text),
            has_last_words,
            has_passwords: have_passwords,
            renames: text.renames.clone(),
            with_users: with_users(text),
            changes: Vec::new(),
            remarks: Vec::new(),
            users: former,
            files: step_files(redis, platform, &socket, upstream_user),
            socket: socket.path.clone(),
        };
        cutover.changes = changes(text, &cutover, &socket);
        if platform == Platform::Compose {
            // Those are of the host that it was on.
            let is_of_host =
                |change: &Change| change.line.starts_with("unixsocket") || change.line.starts_with("aclfile");
            cutover.changes.retain(|change| !is_of_host(change));
        }
        cutover.remarks = remarks(text, &cutover);
        if has_last_words {
            cutover.write_last_words(platform, place);
        }
        Ok(cutover)
    }

    /// From a file, so that the passwords among it are in no argument of a process.
    fn write_last_words(&mut self, platform: Platform, place: &Place) {
        let command = match platform {
            Platform::Bare => format!("{} SAVE", self.name_of("SHUTDOWN")),
            _ => self.name_of("SAVE"),
        };
        let login = match &self.login {
            Login::Password(password) => format!("{} {}\n", self.name_of("AUTH"), redis_word(password)),
            Login::Nothing | Login::Unknown => String::new(),
        };
        let own = format!("{} {UPSTREAM_USER} {}\n", self.name_of("AUTH"), place.password.as_str());
        for (step, login) in [("step1", login), ("step2", own)] {
            self.files.push(PlannedFile::secret(format!("redis/{step}.commands"), format!("{login}{command}\n")));
        }
    }

    fn name_of(&self, command: &str) -> String {
        let renamed = self.renames.iter().find(|(original, name)| original == command && !name.is_empty());
        renamed.map_or_else(|| command.to_owned(), |(_, name)| redis_word(name))
    }
}

impl Socket {
    fn of(redis: &FoundRedis, platform: Platform, place: &Place) -> Socket {
        let text = &redis.text;
        let there = last(text, "unixsocket").map(RedisConfLine::value).filter(|path| !path.is_empty());
        let there = there.filter(|_| platform != Platform::Compose).map(PathBuf::from);
        let mode = last(text, "unixsocketperm").and_then(|line| u32::from_str_radix(&line.value(), 8).ok());
        let is_there = there.is_some();
        let open = mode.filter(|mode| is_there && mode & 0o002 != 0);
        let path = there.unwrap_or_else(|| usual_socket(redis, platform, place));
        Socket { path, is_there, mode, step1_mode: open.unwrap_or(GROUP_SOCKET) }
    }

    fn lines(&self, mode: u32) -> Vec<String> {
        let path = redis_word(self.path.as_os_str().as_encoded_bytes());
        vec![format!("unixsocket {path}"), format!("unixsocketperm {mode:o}")]
    }
}

/// Where Redis's socket is, if it has none yet.
fn usual_socket(redis: &FoundRedis, platform: Platform, place: &Place) -> PathBuf {
    let setting = |name| last(&redis.text, name).map(|line| PathBuf::from(line.value()));
    // A folder of its own below /run, which its unit makes; in /run itself it makes no socket.
    let is_own = |folder: &PathBuf| {
        ["/run", "/var/run"].map(Path::new).iter().any(|run| folder.starts_with(run) && folder != run)
    };
    let of_pid_file = setting("pidfile").and_then(|file| Some(file.parent()?.to_owned())).filter(is_own);
    let folder = match platform {
        Platform::Compose | Platform::Kubernetes => return containers::SOCKET.into(),
        Platform::Systemd if redis.conf.to_string_lossy().contains("valkey") => PathBuf::from("/run/valkey"),
        Platform::Systemd => PathBuf::from("/run/redis"),
        Platform::Bare => setting("dir").filter(|dir| dir.is_absolute()).unwrap_or(place.folder.join("redis")),
    };
    of_pid_file.unwrap_or(folder).join("redis.sock")
}

/// What Redis is given in each step.
fn step_files(redis: &FoundRedis, platform: Platform, socket: &Socket, upstream_user: &str) -> Vec<PlannedFile> {
    let secret = |name: &str, text: String| PlannedFile::secret(format!("redis/{name}"), text);
    if platform == Platform::Compose {
        let conf = |title, is_open| containers::redis_conf(Some(redis), title, upstream_user, is_open);
        return vec![secret("step1.conf", conf(STEP1_TITLE, true)), secret("step2.conf", conf(STEP2_TITLE, false))];
    }
    let mut step1 = socket.lines(socket.step1_mode);
    let mut step2 = vec!["port 0".to_owned()];
    step2.extend((port(&redis.text, "tls-port", 0) != 0).then(|| "tls-port 0".to_owned()));
    step2.extend(socket.lines(GROUP_SOCKET));
    let closed = ["user default off", upstream_user].map(str::to_owned);
    let mut files = Vec::new();
    match &redis.acl {
        None => {
            step1.push(upstream_user.to_owned());
            step2.extend(closed);
        }
        Some(AclText { text, .. }) => {
            files.push(secret("users.step1.acl", format!("{}\n{upstream_user}\n", text.trim_end())));
            files.push(secret("users.step2.acl", format!("{}\n", closed.join("\n"))));
        }
    }
    let conf = |title: &str, lines: &[String]| format!("# {title}\n{}\n", lines.join("\n"));
    files.push(secret("step1.conf", conf(STEP1_TITLE, &step1)));
    files.push(secret("step2.conf", conf(STEP2_TITLE, &step2)));
    files
}

/// The line of a setting that counts.
fn last<'a>(text: &'a RedisConfText, name: &str) -> Option<&'a RedisConfLine> {
    text.lines.iter().rev().find(|line| line.name == name)
}

fn port(text: &RedisConfText, name: &str, default: u16) -> u16 {
    last(text, name).and_then(|line| line.value().parse().ok()).unwrap_or(default)
}

fn reach(text: &RedisConfText, socket: &Socket) -> Option<Reach> {
    if socket.is_there {
        return Some(Reach::Unix(socket.path.clone()));
    }
    let port = port(text, "port", 6379);
    let bound: Vec<IpAddr> = last(text, "bind").map_or_else(Vec::new, |line| {
        let words = line.values.iter().map(|word| String::from_utf8_lossy(word));
        words.filter_map(|word| word.trim_start_matches('-').parse().ok()).collect()
    });
    let is_local = bound.is_empty() || bound.iter().any(|ip| ip.is_unspecified() || ip.is_loopback() && ip.is_ipv4());
    let host = if is_local { "127.0.0.1".to_owned() } else { bound[0].to_string() };
    (port != 0).then_some(Reach::Tcp(host, port))
}

/// Whether a restart leaves data where it is.
fn keeps_data(text: &RedisConfText) -> bool {
    let saves = last(text, "save").is_none_or(|line| !line.value().is_empty());
    saves || last(text, "appendonly").is_some_and(|line| line.value() == "yes")
}

fn with_users(text: &RedisConfText) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for line in text.lines.iter().filter(|line| line.name == "user") {
        if !paths.contains(&line.path) {
            paths.push(line.path.clone());
        }
    }
    paths
}

#[cfg(test)]
mod tests;

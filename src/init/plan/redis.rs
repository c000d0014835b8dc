//! What Redis is told today that has to do with who gets in, and what the two steps make of it.
//!
//! Step 1 adds a user and a socket for respgate, and takes nothing away. Step 2 closes everything else.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::containers;
use super::quoting::redis_word;
use super::{AclText, Fault, FoundRedis, Place, PlannedFile, Platform, UPSTREAM_USER};
use crate::acl::{Acl, Unknown};
use crate::command::{CommandTable, Dialect};
use crate::config::{RedisConfLine, RedisConfText};

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
    /// Files with a line of the user `default`, which step 2 comments out.
    pub(super) of_default: Vec<PathBuf>,
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

/// What a client has to say today to be the user `default`.
pub(super) enum Login {
    Nothing,
    Password(Zeroizing<Vec<u8>>),
    /// It is kept as a hash, or the user is off.
    Unknown,
}

/// A user that Redis has.
pub(super) struct FormerUser {
    pub(super) name: String,
    /// Its line without passwords.
    pub(super) line: String,
    /// File and line.
    pub(super) place: String,
    pub(super) is_on: bool,
}

/// A line of today, and what becomes of it.
pub(super) struct Change {
    pub(super) path: PathBuf,
    /// From 1; 0 of a line that is not there.
    pub(super) number: usize,
    /// Without a password.
    pub(super) line: String,
    pub(super) becomes: String,
    pub(super) step: &'static str,
}

const STEP1: &str = "step 1";
const STEP2: &str = "step 2";
const KEPT: &str = "";

/// Where Redis's socket is, if it has none yet.
fn usual_socket(redis: &FoundRedis, platform: Platform, place: &Place) -> PathBuf {
    let setting = |name| last(&redis.text, name).map(|line| PathBuf::from(line.value()));
    // A folder of its own below /run, which its unit makes; in /run itself it makes no socket.
    let of_pid_file = setting("pidfile").and_then(|file| Some(file.parent()?.to_owned())).filter(|folder| {
        ["/run", "/var/run"].map(Path::new).iter().any(|run| folder.starts_with(run) && folder != run)
    });
    if platform == Platform::Compose {
        return containers::SOCKET.into();
    }
    let of_platform = || match platform {
        Platform::Systemd if redis.conf.to_string_lossy().contains("valkey") => PathBuf::from("/run/valkey"),
        Platform::Systemd => PathBuf::from("/run/redis"),
        _ => setting("dir").filter(|dir| dir.is_absolute()).unwrap_or(place.folder.join("redis")),
    };
    of_pid_file.unwrap_or_else(of_platform).join("redis.sock")
}

impl Cutover {
    /// Reads what there is.
    pub(super) fn of(
        redis: &FoundRedis,
        platform: Platform,
        upstream_user: &str,
        place: &Place,
    ) -> Result<Cutover, Vec<Fault>> {
        let FoundRedis { conf, text, acl, .. } = redis;
        let sources = users_of_redis(text, acl.as_ref())?;
        let is_in_container = platform == Platform::Compose;
        let own =
            last(text, "unixsocket").map(RedisConfLine::value).filter(|path| !path.is_empty() && !is_in_container);
        let socket = own.clone().map_or_else(|| usual_socket(redis, platform, place), PathBuf::from);
        let mode = last(text, "unixsocketperm").and_then(|line| u32::from_str_radix(&line.value(), 8).ok());
        // Whoever may connect today may do so until step 2.
        let is_open = own.is_some() && mode.is_some_and(|mode| mode & 0o002 != 0);
        let step1_mode = if is_open { mode.unwrap_or(GROUP_SOCKET) } else { GROUP_SOCKET };
        let has_tls_port = port(text, "tls-port", 0) != 0;
        let in_conf = |lines: &[String], title: &str| match is_in_container {
            true => lines.concat(),
            false => format!("# {title}\n{}\n", lines.join("\n")),
        };
        let socket_lines = |mode: u32| {
            vec![
                format!("unixsocket {}", redis_word(socket.as_os_str().as_encoded_bytes())),
                format!("unixsocketperm {mode:o}"),
            ]
        };
        let mut step1 = socket_lines(step1_mode);
        let mut step2 = vec!["port 0".to_owned()];
        step2.extend(has_tls_port.then(|| "tls-port 0".to_owned()));
        step2.extend(socket_lines(GROUP_SOCKET));
        let mut files = Vec::new();
        match acl {
            _ if is_in_container => {
                step1 = vec![containers::redis_conf(Some(redis), STEP1_TITLE, upstream_user, true)];
                step2 = vec![containers::redis_conf(Some(redis), STEP2_TITLE, upstream_user, false)];
            }
            None => {
                step1.push(upstream_user.to_owned());
                step2.extend([upstream_user.to_owned(), "user default off".to_owned()]);
            }
            Some(AclText { text, .. }) => {
                let former = format!("{}\n{upstream_user}\n", text.trim_end());
                files.push(PlannedFile::secret("redis/users.step1.acl", former));
                files
                    .push(PlannedFile::secret("redis/users.step2.acl", format!("user default off\n{upstream_user}\n")));
            }
        }
        files.push(PlannedFile::secret("redis/step1.conf", in_conf(&step1, STEP1_TITLE)));
        files.push(PlannedFile::secret("redis/step2.conf", in_conf(&step2, STEP2_TITLE)));
        let login = login(text, &sources);
        let requires_password = matches!(&login, Login::Password(_) | Login::Unknown);
        let has_passwords = requires_password || sources.iter().any(|user| user.has_password);
        let mut cutover = Cutover {
            include: conf.with_file_name("respgate.conf"),
            conf: conf.clone(),
            acl_file: acl.as_ref().map(|acl| acl.path.clone()),
            reach: reach(text, own.as_deref()),
            login,
            keeps_data: keeps_data(text),
            // Under systemd that is what stops it.
            has_last_words: !is_in_container && (platform == Platform::Bare || !keeps_data(text)),
            has_passwords,
            renames: text.renames.clone(),
            of_default: of_default(text),
            changes: Vec::new(),
            remarks: Vec::new(),
            users: former_users(sources)?,
            files,
            socket,
        };
        cutover.changes = changes(text, &cutover, mode, step1_mode);
        if is_in_container {
            // Those are of the host that it was on.
            let is_of_host =
                |change: &Change| change.line.starts_with("unixsocket") || change.line.starts_with("aclfile");
            cutover.changes.retain(|change| !is_of_host(change));
        }
        cutover.remarks = remarks(text, &cutover);
        if cutover.has_last_words {
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

/// Owner and group may connect.
const GROUP_SOCKET: u32 = 0o770;

const STEP1_TITLE: &str = "Step 1: respgate has a user and a socket; everybody else goes on as before.";
const STEP2_TITLE: &str = "Step 2: respgate is the only way in.";

/// The line of a setting that counts.
fn last<'a>(text: &'a RedisConfText, name: &str) -> Option<&'a RedisConfLine> {
    text.lines.iter().rev().find(|line| line.name == name)
}

fn port(text: &RedisConfText, name: &str, default: u16) -> u16 {
    last(text, name).and_then(|line| line.value().parse().ok()).unwrap_or(default)
}

fn reach(text: &RedisConfText, own_socket: Option<&str>) -> Option<Reach> {
    if let Some(socket) = own_socket {
        return Some(Reach::Unix(socket.into()));
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

fn of_default(text: &RedisConfText) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for line in text.lines.iter().filter(|line| is_of_user(line, b"default")) {
        if !paths.contains(&line.path) {
            paths.push(line.path.clone());
        }
    }
    paths
}

fn is_of_user(line: &RedisConfLine, name: &[u8]) -> bool {
    line.name == "user" && line.values.first().is_some_and(|word| word == name)
}

/// A user as Redis's files have it. No `Debug`: there may be passwords in it.
struct Source {
    words: Vec<String>,
    place: String,
    /// What it says in the clear.
    password: Option<Zeroizing<Vec<u8>>>,
    has_password: bool,
    is_nopass: bool,
}

impl Source {
    fn of(words: Vec<String>, place: String) -> Source {
        let rules = || words.iter().skip(1);
        let password = rules().rev().find_map(|word| word.strip_prefix('>')).map(|word| word.as_bytes().to_vec());
        Source {
            password: password.map(Zeroizing::new),
            has_password: rules().any(|word| word.starts_with(['>', '#'])),
            is_nopass: rules().any(|word| word == "nopass"),
            place,
            words,
        }
    }

    fn name(&self) -> &str {
        self.words.first().map(String::as_str).unwrap_or_default()
    }
}

/// The users of redis.conf, or of the ACL file.
fn users_of_redis(text: &RedisConfText, acl: Option<&AclText>) -> Result<Vec<Source>, Vec<Fault>> {
    let lossy = |word: &[u8]| String::from_utf8_lossy(word).into_owned();
    let in_conf: Vec<Source> = text
        .lines
        .iter()
        .filter(|line| line.name == "user")
        .map(|line| {
            let words = line.values.iter().map(|word| lossy(word)).collect();
            Source::of(words, format!("{}:{}", line.path.display(), line.number))
        })
        .collect();
    let Some(AclText { path, text }) = acl else { return without_ours(in_conf) };
    if let Some(user) = in_conf.first() {
        return Err(vec![Fault::TwoSources(user.place.clone())]);
    }
    let mut sources = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let words: Vec<String> = line.split_ascii_whitespace().map(str::to_owned).collect();
        if words.first().is_some_and(|word| word == "user") {
            sources.push(Source::of(words[1..].to_vec(), format!("{}:{}", path.display(), index + 1)));
        }
    }
    without_ours(sources)
}

fn without_ours(sources: Vec<Source>) -> Result<Vec<Source>, Vec<Fault>> {
    match sources.iter().find(|user| user.name() == UPSTREAM_USER) {
        Some(user) => Err(vec![Fault::UpstreamUserTaken(user.place.clone())]),
        None => Ok(sources),
    }
}

fn login(text: &RedisConfText, sources: &[Source]) -> Login {
    let required = last(text, "requirepass").map(RedisConfLine::value).filter(|password| !password.is_empty());
    match sources.iter().find(|user| user.name() == "default") {
        Some(Source { password: Some(password), .. }) => Login::Password(password.clone()),
        Some(Source { is_nopass: true, .. }) => Login::Nothing,
        Some(_) => Login::Unknown,
        None => required.map_or(Login::Nothing, |password| Login::Password(password.into_bytes().into())),
    }
}

/// All but `default`, without what respgate has no use for: their certificates say who they are.
fn former_users(sources: Vec<Source>) -> Result<Vec<FormerUser>, Vec<Fault>> {
    let is_of_password =
        |word: &&String| word.starts_with(['>', '#', '<', '!']) || ["nopass", "resetpass"].contains(&word.as_str());
    let table = CommandTable::builtin(Dialect::Redis70);
    let mut users = Vec::new();
    let mut faults = Vec::new();
    for Source { words, place, .. } in sources.into_iter().filter(|source| source.name() != "default") {
        let name = words.first().cloned().unwrap_or_default();
        let rules: Vec<&str> = words.iter().skip(1).filter(|word| !is_of_password(word)).map(String::as_str).collect();
        let line = format!("user {name} {}", rules.join(" "));
        match Acl::read(line.as_bytes(), &table, Unknown::Keep) {
            Ok(read) => {
                let is_on = read.acl.user(name.as_bytes()).is_some_and(|user| user.is_enabled());
                users.push(FormerUser { name, line, place, is_on });
            }
            Err(errors) => faults.extend(errors.into_iter().map(|error| Fault::User(place.clone(), error.message))),
        }
    }
    if faults.is_empty() { Ok(users) } else { Err(faults) }
}

fn changes(text: &RedisConfText, cutover: &Cutover, mode: Option<u32>, step1_mode: u32) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut change = |line: &RedisConfLine, shown: String, becomes: String, step| {
        changes.push(Change { path: line.path.clone(), number: line.number, line: shown, becomes, step });
    };
    let counts = |line: &RedisConfLine| last(text, &line.name).is_some_and(|last| std::ptr::eq(last, line));
    for line in &text.lines {
        let whole = format!("{} {}", line.name, line.value());
        let first = line.values.first().map(|word| String::from_utf8_lossy(word).into_owned()).unwrap_or_default();
        match line.name.as_str() {
            "bind" if counts(line) && port(text, "port", 6379) != 0 => {
                change(line, whole, "port 0, unixsocket".to_owned(), STEP2)
            }
            "port" if counts(line) && first != "0" => change(line, whole, "port 0".to_owned(), STEP2),
            "tls-port" if counts(line) && first != "0" => change(line, whole, "tls-port 0".to_owned(), STEP2),
            "unixsocket" if counts(line) => change(line, whole, "kept, for respgate".to_owned(), KEPT),
            "unixsocketperm" if counts(line) && mode != Some(GROUP_SOCKET) => {
                let step = if mode == Some(step1_mode) { STEP2 } else { STEP1 };
                change(line, whole, format!("unixsocketperm {GROUP_SOCKET:o}"), step);
            }
            "requirepass" if counts(line) && !first.is_empty() => {
                let shown = if is_literal(&first) { whole } else { "requirepass …".to_owned() };
                change(line, shown, "user default off".to_owned(), STEP2);
            }
            "user" if first == "default" => {
                change(line, "user default …".to_owned(), "user default off".to_owned(), STEP2);
            }
            "user" => {
                let user = cutover.users.iter().find(|user| user.name == first);
                let becomes = match user.is_some_and(|user| user.is_on) {
                    true => "kept; in users.acl, without passwords",
                    false => "kept; off, so not in users.acl",
                };
                change(line, format!("user {first} …"), becomes.to_owned(), KEPT);
            }
            "aclfile" if counts(line) => change(line, whole, "users.step1.acl, then users.step2.acl".to_owned(), STEP1),
            "rename-command" => {
                change(line, format!("rename-command {first} …"), "kept, declared in [rename]".to_owned(), KEPT)
            }
            _ => {}
        }
    }
    if last(text, "bind").is_none() && last(text, "port").is_none() {
        let (path, line) = (cutover.conf.clone(), "port 6379, as nothing is said".to_owned());
        changes.push(Change { path, number: 0, line, becomes: "port 0, unixsocket".to_owned(), step: STEP2 });
    }
    changes
}

/// Redis knows no variables: this text itself is the password, and in every manual.
fn is_literal(password: &str) -> bool {
    password.starts_with("${") && password.ends_with('}')
}

fn remarks(text: &RedisConfText, cutover: &Cutover) -> Vec<String> {
    let mut remarks: Vec<String> = Vec::new();
    let required = last(text, "requirepass").filter(|line| is_literal(&line.value()));
    remarks
        .extend(required.map(|line| format!("{} itself is the password: Redis fills in no variables", line.value())));
    if !cutover.keeps_data && cutover.has_last_words {
        remarks
            .push("it keeps nothing over a restart (save \"\", no appendonly): it is told to SAVE before each".into());
    }
    for name in ["replicaof", "slaveof"] {
        if let Some(line) = last(text, name) {
            remarks.push(format!(
                "{}:{}: it is a replica, of which nothing here takes care",
                line.path.display(),
                line.number
            ));
        }
    }
    if last(text, "cluster-enabled").is_some_and(|line| line.value() == "yes") {
        remarks.push("it is part of a cluster: respgate does not follow redirections".into());
    }
    let of_users: Vec<&str> = cutover.users.iter().filter(|user| user.is_on).map(|user| user.name.as_str()).collect();
    if !of_users.is_empty() {
        remarks.push(format!(
            "scripts are blocked for {}, unless [block] scripting-users names them",
            of_users.join(", ")
        ));
    }
    remarks
}

#[cfg(test)]
mod tests;

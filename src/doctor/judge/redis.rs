//! How a Redis is set up: what it says of itself, and what stands in its redis.conf.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::config::RedisConfLine;
use crate::doctor::redis::Told;
use crate::doctor::redis_conf::RedisConf;
use crate::doctor::{Finding, Fix, Position, kind};
use crate::shell;

/// Passwords that everybody tries first.
pub(super) const TRIED_FIRST: &[&str] = &[
    "foobared",
    "redis",
    "password",
    "passw0rd",
    "P@ssw0rd",
    "secret",
    "changeme",
    "admin",
    "root",
    "test",
    "default",
    "pass",
    "guest",
    "qwerty",
    "letmein",
    "master",
    "123456",
    "1234567",
    "12345678",
    "123456789",
    "1234567890",
    "111111",
    "000000",
    "abc123",
    "password1",
    "password123",
    "redis123",
    "redispass",
    "redispassword",
    "mypassword",
    "yourpassword",
    "supersecret",
    "${REDIS_PASSWORD}",
    "$REDIS_PASSWORD",
    "${REDIS_PASS}",
    "${REDISCLI_AUTH}",
];
/// A password of fewer characters can be tried out.
const SHORT: usize = 16;

/// Folders and files that Redis writes to only where somebody else has told it to.
const FOLDERS_OF_ATTACKS: &[&str] = &["/etc", "/var/spool", "/var/www", "/usr", "/dev/shm"];
const FILES_OF_ATTACKS: &[&str] = &["authorized_keys", "root", "crontab", "crontabs", "apache", "zzh", "web"];
const ENDINGS_OF_ATTACKS: &[&str] = &[".so", ".php", ".jsp", ".sh", ".ssh"];

/// Modules of Redis's and Valkey's own makers, which they ship themselves.
const KNOWN_MODULES: &[&str] =
    &["ReJSON", "search", "searchlight", "timeseries", "bf", "vectorset", "json", "graph", "RedisCompat", "ldap"];

/// One Redis, with everything that is known of it.
#[derive(Debug, Clone, Default)]
pub struct Instance {
    /// What it is called in findings.
    pub name: String,
    /// What it told; `None` where it did not let us ask.
    pub told: Option<Told>,
    /// Its redis.conf, with all that it includes; `None` where that is not known.
    pub file: Option<RedisConf>,
    /// Others can read what it writes to disk; `None` where that is not seen.
    pub is_dump_open: Option<bool>,
    /// It runs as root; `None` where that is not known.
    pub is_root: Option<bool>,
}

/// Everything about how it is set up.
pub fn redis(redis: &Instance) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(protected_mode(redis));
    findings.extend(commands(redis));
    findings.extend(passwords(redis));
    findings.extend(users(redis));
    findings.extend(readable(redis));
    findings.extend(dump(redis));
    findings.extend(root(redis));
    findings.extend(memory(redis));
    findings.extend(persistence(redis));
    findings.extend(plaintext(redis));
    findings.extend(attacked(redis));
    findings.extend(
        redis.file.iter().flat_map(|file| file.faults.iter().map(|fault| Finding::unknown(&kind::REDIS_TOLD, fault))),
    );
    if redis.told.is_none() {
        let words = format!("{} does not let us ask: nothing but its files was looked at", redis.name);
        findings.push(Finding::unknown(&kind::REDIS_TOLD, words));
    } else {
        findings.push(Finding::green(&kind::REDIS_TOLD, format!("{} says how it is", redis.name)));
    }
    findings
}

impl Instance {
    /// The line of a setting that counts.
    fn line(&self, name: &str) -> Option<&RedisConfLine> {
        self.file.as_ref()?.line(name)
    }

    /// A setting as it is in force, as far as that is known.
    pub(super) fn setting(&self, name: &str) -> Option<String> {
        let told = self.told.as_ref().and_then(|told| told.settings.get(name).cloned());
        told.or_else(|| self.line(name).map(RedisConfLine::value))
    }

    pub(super) fn info(&self, name: &str) -> Option<&str> {
        self.told.as_ref()?.info.get(name).map(String::as_str)
    }

    /// The setting and where it stands, as far as that is known.
    fn subject(&self, name: &str, value: &str) -> String {
        match self.line(name) {
            Some(line) => format!("{name} {value} ({}:{})", line.path.display(), line.number),
            None => format!("{name} {value} ({})", self.name),
        }
    }

    /// The line that a setting should be.
    pub(super) fn set(&self, name: &str, value: &str) -> Option<Fix> {
        Some(self.file.as_ref()?.set(name, value))
    }
}

fn protected_mode(redis: &Instance) -> Option<Finding> {
    let kind = &kind::REDIS_PROTECTED_MODE;
    let value = redis.setting("protected-mode")?;
    let subject = redis.subject("protected-mode", &value);
    Some(match value.as_str() {
        "yes" => Finding::green(kind, subject),
        _ => Finding::amber(kind, subject).fix(redis.set("protected-mode", "yes")),
    })
}

/// Commands that Redis itself refuses unless it is told otherwise.
fn commands(redis: &Instance) -> Vec<Finding> {
    let kind = &kind::REDIS_COMMANDS;
    let judge = |name: &&str| {
        let value = redis.setting(name)?;
        let subject = redis.subject(name, &value);
        Some(match value.as_str() {
            "no" => Finding::green(kind, subject),
            "local" => Finding::amber(kind, subject).fix(redis.set(name, "no")),
            _ => Finding::red(kind, subject).fix(redis.set(name, "no")),
        })
    };
    ["enable-debug-command", "enable-module-command", "enable-protected-configs"].iter().filter_map(judge).collect()
}

/// `requirepass`, from the file: Redis is not asked for it.
fn passwords(redis: &Instance) -> Vec<Finding> {
    let Some(line) = redis.line("requirepass") else { return Vec::new() };
    let place = format!("{}:{}", line.path.display(), line.number);
    let password = &*Zeroizing::new(line.value());
    let fix = || redis.file.as_ref().map(RedisConf::set_password);
    if is_literal(password) {
        // The text is not shown: what looks like a variable may yet be a password.
        let subject = format!("requirepass is a variable that nobody has filled in ({place})");
        return vec![Finding::red(&kind::REDIS_LITERAL, subject).fix(fix())];
    }
    let mut findings = vec![Finding::green(&kind::REDIS_LITERAL, format!("requirepass is no variable ({place})"))];
    findings.push(match password.chars().count() {
        _ if TRIED_FIRST.contains(&password.as_str()) => {
            Finding::red(&kind::REDIS_WEAK, format!("requirepass is one of the words that everybody tries ({place})"))
                .fix(fix())
        }
        count if count < SHORT => {
            Finding::amber(&kind::REDIS_WEAK, format!("requirepass has fewer than {SHORT} characters ({place})"))
                .fix(fix())
        }
        _ => Finding::green(&kind::REDIS_WEAK, format!("requirepass is long ({place})")),
    });
    findings
}

/// Whether it was meant to be replaced, and was not: Redis knows no variables.
fn is_literal(password: &str) -> bool {
    ["${", "$(", "{{", "<%"].iter().any(|opening| password.contains(opening))
        || password.strip_prefix('$').is_some_and(|rest| {
            !rest.is_empty()
                && rest.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
        })
}

/// The users of Redis itself, as it lists them: `default` without a password is told of elsewhere.
fn users(redis: &Instance) -> Vec<Finding> {
    let Some(users) = redis.told.as_ref().and_then(|told| told.users.as_ref()) else { return Vec::new() };
    let mut findings = Vec::new();
    for user in users {
        let mut words = user.split_whitespace().skip(1);
        let Some(name) = words.next() else { continue };
        let rules: Vec<&str> = words.collect();
        if !rules.contains(&"on") {
            continue;
        }
        if rules.contains(&"nopass") && name != "default" {
            let subject = format!("user {name} of {} is nopass", redis.name);
            findings.push(Finding::red(&kind::REDIS_NOPASS, subject).fix(without_nopass(redis, name)));
        }
        let hashes = rules.iter().filter_map(|rule| rule.strip_prefix('#'));
        let is_tried = |hash: &str| TRIED_FIRST.iter().any(|word| hex(&Sha256::digest(word)) == hash);
        for _ in hashes.filter(|hash| is_tried(hash)) {
            let subject = format!("user {name} of {} has one of the passwords that everybody tries", redis.name);
            findings.push(Finding::red(&kind::REDIS_WEAK, subject));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::green(&kind::REDIS_NOPASS, format!("no other user of {} is nopass", redis.name)));
    }
    findings
}

/// The line of the user in redis.conf, if it is there, without that word.
fn without_nopass(redis: &Instance, name: &str) -> Option<Fix> {
    let is_of = |line: &&RedisConfLine| {
        line.name == "user" && line.values.first().is_some_and(|first| first == name.as_bytes())
    };
    let line = redis.file.as_ref()?.lines.iter().rev().find(is_of)?;
    let text = format!("user {}", super::without_nopass(&line.value()));
    Some(Fix::Line { text, path: line.path.clone(), position: Position::Instead(line.number) })
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn readable(redis: &Instance) -> Option<Finding> {
    let file = redis.file.as_ref()?;
    let path = file.path.display();
    Some(match file.is_open {
        true => {
            let subject = format!("{path} holds a password, and others have access to it");
            Finding::red(&kind::REDIS_READABLE, subject)
                .fix(Fix::command(format!("chmod o= {}", shell::word(&file.path))))
        }
        false => Finding::green(&kind::REDIS_READABLE, format!("{path} shows others no password")),
    })
}

fn dump(redis: &Instance) -> Option<Finding> {
    let kind = &kind::REDIS_DUMP;
    let dir = PathBuf::from(redis.setting("dir")?);
    let subject = format!("what {} writes to {}", redis.name, dir.display());
    Some(match redis.is_dump_open? {
        true => {
            let fix = Fix::command(format!("chmod o= {}", shell::word(&dir)));
            Finding::red(kind, format!("{subject} can be read by others")).fix(fix)
        }
        false => Finding::green(kind, format!("{subject} cannot be read by others")),
    })
}

fn root(redis: &Instance) -> Option<Finding> {
    let kind = &kind::REDIS_ROOT;
    Some(match redis.is_root? {
        true => Finding::amber(kind, format!("{} runs as root", redis.name)),
        false => Finding::green(kind, format!("{} does not run as root", redis.name)),
    })
}

fn memory(redis: &Instance) -> Option<Finding> {
    let kind = &kind::REDIS_MEMORY;
    let value = redis.setting("maxmemory")?;
    let subject = redis.subject("maxmemory", &value);
    if value != "0" {
        return Some(Finding::green(kind, subject));
    }
    let half =
        redis.info("total_system_memory").and_then(|bytes| bytes.parse::<u64>().ok()).map(|bytes| (bytes / 2) >> 20);
    Some(Finding::amber(kind, subject).fix(half.and_then(|half| redis.set("maxmemory", &format!("{half}mb")))))
}

fn persistence(redis: &Instance) -> Option<Finding> {
    let kind = &kind::REDIS_PERSISTENCE;
    let (save, append) = (redis.setting("save")?, redis.setting("appendonly")?);
    Some(match save.is_empty() && append != "yes" {
        false => Finding::green(kind, format!("{} keeps its data over a restart", redis.name)),
        true => {
            let subject = format!("{}: save \"\" and appendonly no", redis.name);
            // Not `appendonly yes`: a Redis that is started with it anew ignores the dump that it has.
            Finding::amber(kind, subject).fix(redis.set("save", "3600 1 300 100 60 10000"))
        }
    })
}

fn plaintext(redis: &Instance) -> Option<Finding> {
    let kind = &kind::REDIS_TLS;
    let port = redis.setting("tls-port").filter(|port| port != "0")?;
    let subject = redis.subject("tls-port", &port);
    let clients = redis.setting("tls-auth-clients")?;
    Some(match clients.as_str() {
        "yes" => Finding::green(kind, subject),
        _ => {
            let subject = format!("{subject} with tls-auth-clients {clients}");
            Finding::amber(kind, subject).fix(redis.set("tls-auth-clients", "yes"))
        }
    })
}

/// What somebody leaves behind who was here before the port was closed.
fn attacked(redis: &Instance) -> Vec<Finding> {
    let mut findings = Vec::new();
    let told = redis.told.clone().unwrap_or_default();
    let name = &redis.name;
    if let Some(keys) = &told.keys_of_attackers {
        findings.push(match keys.as_slice() {
            [] => Finding::green(&kind::REDIS_KEYS, format!("{name} has no key that attackers leave")),
            keys => {
                Finding::red(&kind::REDIS_KEYS, format!("{name} has the keys that attackers leave: {}", keys.join(" ")))
            }
        });
    }
    if let (Some(dir), Some(file)) = (redis.setting("dir"), redis.setting("dbfilename")) {
        let path = Path::new(&dir).join(&file);
        let kind = &kind::REDIS_WRITES;
        findings.push(match is_of_attack(&dir, &file) {
            true => Finding::red(kind, format!("{name} writes its data to {}", path.display())),
            false => Finding::green(kind, format!("{name} writes its data to {}", path.display())),
        });
    }
    if let Some(modules) = &told.modules {
        let kind = &kind::REDIS_MODULES;
        let strange: Vec<&str> =
            modules.iter().map(String::as_str).filter(|name| !KNOWN_MODULES.contains(name)).collect();
        findings.push(match strange.as_slice() {
            [] => Finding::green(kind, format!("{name} has no module that its makers do not ship")),
            names if names.contains(&"system") => {
                Finding::red(kind, format!("{name} has the module \"system\", which runs commands of the shell"))
            }
            names => {
                Finding::amber(kind, format!("{name} has modules that its makers do not ship: {}", names.join(" ")))
            }
        });
    }
    match redis.info("role") {
        Some("slave") => {
            let (host, port) = (redis.info("master_host").unwrap_or("?"), redis.info("master_port").unwrap_or("?"));
            findings.push(Finding::amber(&kind::REDIS_REPLICATION, format!("{name} is a replica of {host}:{port}")));
        }
        Some(_) => {
            let count = redis.info("connected_slaves").unwrap_or("?");
            let subject = format!("{name} has {count} replicas");
            findings.push(match count {
                "0" => Finding::green(&kind::REDIS_REPLICATION, subject),
                _ => Finding::amber(&kind::REDIS_REPLICATION, subject),
            });
        }
        None => {}
    }
    findings
}

fn is_of_attack(dir: &str, file: &str) -> bool {
    let is_below = |folder: &&str| Path::new(dir).starts_with(folder);
    FOLDERS_OF_ATTACKS.iter().any(is_below)
        || Path::new(dir).components().any(|component| component.as_os_str() == ".ssh")
        || FILES_OF_ATTACKS.contains(&file)
        || ENDINGS_OF_ATTACKS.iter().any(|ending| file.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{Kind, Severity};

    fn told(settings: &[(&'static str, &str)]) -> Told {
        Told {
            settings: settings.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            ..Told::default()
        }
    }

    fn of(told: Told) -> Instance {
        Instance { name: "127.0.0.1:6379".into(), told: Some(told), ..Instance::default() }
    }

    fn file(text: &str) -> RedisConf {
        let line = |(index, line): (usize, &str)| {
            let (name, value) = line.split_once(' ').unwrap();
            let values = value.split(' ').map(Into::into).collect();
            RedisConfLine { name: name.into(), values, path: "/etc/redis/redis.conf".into(), number: index + 1 }
        };
        let lines = text.lines().enumerate().map(line).collect();
        RedisConf { path: "/etc/redis/redis.conf".into(), lines, is_open: false, faults: Vec::new() }
    }

    fn with_file(text: &str) -> Instance {
        Instance { file: Some(file(text)), ..Instance::default() }
    }

    fn one<'a>(findings: &'a [Finding], kind: &Kind) -> &'a Finding {
        findings.iter().find(|finding| finding.kind.id == kind.id).unwrap()
    }

    #[test]
    fn nothing_known_is_unknown_and_nothing_of_it_green() {
        let findings = redis(&Instance::default());
        assert_eq!(findings.iter().map(|finding| finding.severity).collect::<Vec<_>>(), [Severity::Unknown]);
    }

    #[test]
    fn a_variable_that_nobody_replaced_is_red_and_so_is_a_word_that_everybody_tries() {
        for (password, id, severity) in [
            ("${REDIS_PASSWORD}", "redis.literal", Severity::Red),
            ("$REDIS_PASSWORD", "redis.literal", Severity::Red),
            ("{{ redis_password }}", "redis.literal", Severity::Red),
            ("$(cat secret)", "redis.literal", Severity::Red),
            ("q9{{Zt4$Lw8Xv", "redis.literal", Severity::Red),
            ("foobared", "redis.weak", Severity::Red),
            ("x7Kf92", "redis.weak", Severity::Amber),
            ("$aBc9f1e2d3c4b5a6978", "redis.weak", Severity::Green),
        ] {
            let findings = redis(&with_file(&format!("port 6379\nrequirepass {password}")));
            let found = findings.iter().find(|finding| finding.kind.id == id).unwrap();
            assert_eq!(found.severity, severity, "{password}");
            assert!(found.subject.contains("(/etc/redis/redis.conf:2)"), "{found:?}");
            let is_shown = findings.iter().any(|finding| finding.subject.contains(password));
            assert!(!is_shown, "no password is shown: {findings:?}");
        }
    }

    #[test]
    fn what_is_in_force_counts_and_its_line_is_what_is_put_right() {
        let instance =
            Instance { told: Some(told(&[("protected-mode", "no")])), ..with_file("port 6379\nprotected-mode yes") };
        let findings = redis(&instance);
        let found = one(&findings, &kind::REDIS_PROTECTED_MODE);
        assert_eq!(found.severity, Severity::Amber);
        assert_eq!(found.fix.as_ref().unwrap().to_string(), "protected-mode yes   # /etc/redis/redis.conf:2");
        let findings = redis(&Instance { told: Some(told(&[("protected-mode", "no")])), ..with_file("port 6379") });
        let fix = one(&findings, &kind::REDIS_PROTECTED_MODE).fix.clone();
        assert_eq!(fix.unwrap().to_string(), "protected-mode yes   # /etc/redis/redis.conf, at its end");
    }

    #[test]
    fn commands_that_redis_itself_refuses_are_red_where_everybody_may_send_them() {
        for (value, severity) in [("yes", Severity::Red), ("local", Severity::Amber), ("no", Severity::Green)] {
            for name in ["enable-debug-command", "enable-module-command", "enable-protected-configs"] {
                let findings = redis(&of(told(&[(name, value)])));
                assert_eq!(one(&findings, &kind::REDIS_COMMANDS).severity, severity, "{name} {value}");
            }
        }
    }

    #[test]
    fn users_without_a_password_and_with_a_known_one_are_red() {
        let hash = hex(&Sha256::digest("foobared"));
        let users = [
            "user default on nopass ~* &* +@all".to_owned(),
            "user gone off nopass ~* +@all".to_owned(),
            "user app on nopass ~* +@all".to_owned(),
            format!("user ops on #{hash} ~* +@all"),
        ];
        let findings = redis(&of(Told { users: Some(users.to_vec()), ..Told::default() }));
        let red: Vec<&str> = findings
            .iter()
            .filter(|finding| finding.severity == Severity::Red)
            .map(|finding| finding.subject.as_str())
            .collect();
        assert_eq!(
            red,
            [
                "user app of 127.0.0.1:6379 is nopass",
                "user ops of 127.0.0.1:6379 has one of the passwords that everybody tries"
            ]
        );
    }

    #[test]
    fn what_attackers_leave_is_red() {
        let left = Told {
            keys_of_attackers: Some(vec!["backup1", "crackit"]),
            modules: Some(vec!["system".into()]),
            ..told(&[("dir", "/var/spool/cron"), ("dbfilename", "root")])
        };
        let findings = redis(&of(left));
        for kind in [&kind::REDIS_KEYS, &kind::REDIS_MODULES, &kind::REDIS_WRITES] {
            assert_eq!(one(&findings, kind).severity, Severity::Red, "{}", kind.id);
        }
        let clean = Told {
            keys_of_attackers: Some(Vec::new()),
            modules: Some(vec!["ReJSON".into()]),
            ..told(&[("dir", "/var/lib/redis"), ("dbfilename", "dump.rdb")])
        };
        assert!(redis(&of(clean)).iter().all(|finding| finding.severity == Severity::Green));
    }

    #[test]
    fn what_others_can_read_on_disk_is_red_and_what_is_not_seen_is_not_told() {
        let judged = |is_dump_open| {
            let findings = redis(&Instance { is_dump_open, ..of(told(&[("dir", "/var/lib/redis")])) });
            let found = findings.into_iter().find(|finding| finding.kind == &kind::REDIS_DUMP);
            found.map(|finding| (finding.severity, finding.fix.map(|fix| fix.to_string())))
        };
        assert_eq!(judged(Some(true)), Some((Severity::Red, Some("chmod o= /var/lib/redis".to_owned()))));
        assert_eq!(judged(Some(false)), Some((Severity::Green, None)));
        assert_eq!(judged(None), None);
    }

    #[test]
    fn a_replica_and_its_master_are_amber() {
        let info = |pairs: &[(&str, &str)]| Told {
            info: pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            ..Told::default()
        };
        let judged = |pairs| one(&redis(&of(info(pairs))), &kind::REDIS_REPLICATION).clone();
        let replica = judged(&[("role", "slave"), ("master_host", "192.0.2.9"), ("master_port", "6379")]);
        assert_eq!(
            (replica.severity, replica.subject.as_str()),
            (Severity::Amber, "127.0.0.1:6379 is a replica of 192.0.2.9:6379")
        );
        assert_eq!(judged(&[("role", "master"), ("connected_slaves", "0")]).severity, Severity::Green);
        assert_eq!(judged(&[("role", "master"), ("connected_slaves", "2")]).severity, Severity::Amber);
    }

    #[test]
    fn a_redis_conf_with_a_password_is_nobody_elses_to_read() {
        let judged = |is_open| {
            let file = RedisConf { is_open, ..file("requirepass 0123456789abcdef") };
            one(&redis(&Instance { file: Some(file), ..Instance::default() }), &kind::REDIS_READABLE).clone()
        };
        assert_eq!(judged(false).severity, Severity::Green);
        assert_eq!(judged(true).severity, Severity::Red);
        assert_eq!(judged(true).fix.unwrap().to_string(), "chmod o= /etc/redis/redis.conf");
    }
}

//! What is the same wherever Redis and respgate are containers that share a socket.

use super::FoundRedis;
use super::quoting::redis_word;
use crate::config::RedisConfLine;

/// Where the images of this project and of Redis have it.
pub(super) const SOCKET: &str = "/run/redis/redis.sock";

/// The group that the image of respgate runs as, and that may open the socket.
pub(super) const GROUP: u32 = 65_532;

/// What of a redis.conf is about the host that it is on, or who gets in.
const OF_ITS_HOST: [&str; 24] = [
    "aclfile",
    "bind",
    "bind-source-addr",
    "daemonize",
    "dir",
    "include",
    "logfile",
    "pidfile",
    "port",
    "protected-mode",
    "requirepass",
    "set-proc-title",
    "supervised",
    "syslog-enabled",
    "syslog-facility",
    "syslog-ident",
    "tls-auth-clients",
    "tls-ca-cert-dir",
    "tls-ca-cert-file",
    "tls-cert-file",
    "tls-key-file",
    "tls-port",
    "unixsocket",
    "unixsocketperm",
];

/// The redis.conf of a container that keeps what was set, and lets in whom it let in as well as respgate, or nobody else.
pub(super) fn redis_conf(redis: Option<&FoundRedis>, title: &str, upstream_user: &str, is_open: bool) -> String {
    let mut lines = vec![format!("# {title}")];
    let found = redis.map(|redis| redis.text.lines.as_slice()).unwrap_or_default();
    let kept = found.iter().filter(|line| line.name != "user" && !OF_ITS_HOST.contains(&line.name.as_str()));
    lines.extend(kept.map(written));
    let is_set = |name: &str| found.iter().any(|line| line.name == name);
    lines.push("dir /data".to_owned());
    if !is_set("appendonly") {
        lines.push("appendonly yes".to_owned());
    }
    if !is_set("maxmemory") {
        lines.extend(["# Without a limit one client can fill the host.", "maxmemory 256mb"].map(str::to_owned));
    }
    lines.push(format!("unixsocket {SOCKET}"));
    lines.push("unixsocketperm 770".to_owned());
    lines.push(upstream_user.to_owned());
    match is_open {
        true => {
            // Who reaches the port is decided by where it is published.
            lines.extend(["port 6379", "protected-mode no"].map(str::to_owned));
            lines
                .extend(found.iter().filter(|line| ["requirepass", "user"].contains(&line.name.as_str())).map(written));
            let acl = redis.and_then(|redis| redis.acl.as_ref()).map(|acl| acl.text.as_str()).unwrap_or_default();
            lines.extend(acl.lines().filter(|line| line.trim_start().starts_with("user ")).map(str::to_owned));
        }
        false => lines.extend(["port 0", "user default off"].map(str::to_owned)),
    }
    lines.join("\n") + "\n"
}

fn written(line: &RedisConfLine) -> String {
    let words: Vec<String> = line.values.iter().map(|word| redis_word(word)).collect();
    format!("{} {}", line.name, words.join(" "))
}

/// A text with parts of it replaced.
pub(super) fn replaced(text: &str, parts: &[(&str, &str)]) -> String {
    parts.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

//! The redis.conf of a Redis, as it stands.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{Fix, Position};
use crate::config::{self, RedisConfLine, RedisConfText};
use crate::files::Files;
use crate::shell;

/// A redis.conf, with all that it includes.
#[derive(Clone, Default)]
pub struct RedisConf {
    /// Where it is.
    pub path: PathBuf,
    /// Its lines, in the order in which Redis reads them: the last of a name counts.
    pub lines: Vec<RedisConfLine>,
    /// Others than owner and group have access to a file of it that holds a password.
    pub is_open: bool,
    /// Why some of it could not be read.
    pub faults: Vec<String>,
}

impl RedisConf {
    /// Reads it.
    pub fn read(path: &Path) -> RedisConf {
        let files = Files::default();
        let RedisConfText { lines, errors, .. } = config::redis_conf(path, &files);
        let has_secret = |line: &&RedisConfLine| ["requirepass", "masterauth", "user"].contains(&line.name.as_str());
        let is_open = |path: &Path| files.read(path).is_ok_and(|content| content.permissions.is_open());
        let is_open = lines.iter().filter(has_secret).any(|line| is_open(&line.path));
        let faults = errors.iter().map(ToString::to_string).collect();
        RedisConf { path: path.to_owned(), lines, is_open, faults }
    }

    /// The line of a setting that counts.
    pub fn line(&self, name: &str) -> Option<&RedisConfLine> {
        self.lines.iter().rev().find(|line| line.name == name)
    }

    /// The line that a setting should be: in the place of the one that counts, or at the end.
    pub fn set(&self, name: &str, value: &str) -> Fix {
        let text = format!("{name} {value}");
        match self.line(name) {
            Some(line) => Fix::Line { text, path: line.path.clone(), position: Position::Instead(line.number) },
            None => Fix::Line { text, path: self.path.clone(), position: Position::End },
        }
    }

    /// The command that gives it a new password, which nobody has seen: only the shell itself and the file know it.
    pub fn set_password(&self) -> Fix {
        let append = |path| format!("echo \"requirepass $(openssl rand -hex 32)\" >> {}", shell::word(path));
        Fix::command(match self.line("requirepass") {
            Some(line) => {
                format!("sed -i {}d {} && {}", line.number, shell::word(&line.path), append(&line.path))
            }
            None => append(&self.path),
        })
    }
}

/// There are passwords in it.
impl fmt::Debug for RedisConf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisConf({}, …)", self.path.display())
    }
}

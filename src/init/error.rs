//! Why nothing was made.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::plan::Fault;
use crate::config::ConfigError;
use crate::pki::CertError;

/// Why nothing was made. Never holds a password.
#[derive(Debug)]
pub enum InitError {
    /// There is something in the folder, or something else in its place.
    Taken(PathBuf),
    /// The folder cannot be made.
    Folder(PathBuf, io::Error),
    /// What is there cannot be read.
    Unreadable(PathBuf, io::Error),
    /// The system gives no randomness, or does not say where this program is.
    System(io::Error),
    /// What is wrong with redis.conf.
    RedisConf(Vec<ConfigError>),
    /// What was asked for, and what Redis has, do not come to a plan.
    Plan(Vec<Fault>),
    /// A certificate cannot be made.
    Certificate(CertError),
    /// `respgate check` would refuse what was made.
    Refused {
        /// What it says.
        lines: Vec<String>,
        /// It is about who else may change or read the files.
        is_permission: bool,
    },
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// The folder is not free.
    CannotCreate,
    /// This process may not do it, or others may.
    Permission,
    /// What was asked for, or what there is, is wrong.
    Configuration,
    /// Anything else.
    Failure,
}

impl InitError {
    /// What an exit code tells.
    pub fn sort(&self) -> Sort {
        let is_permission = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
        match self {
            InitError::Folder(_, error) | InitError::Unreadable(_, error) if is_permission(error) => Sort::Permission,
            InitError::Taken(_) | InitError::Folder(..) => Sort::CannotCreate,
            InitError::Certificate(error) if error.is_permission() => Sort::Permission,
            InitError::RedisConf(errors) if errors.iter().any(ConfigError::is_permission) => Sort::Permission,
            InitError::Refused { is_permission: true, .. } => Sort::Permission,
            InitError::System(_) => Sort::Failure,
            _ => Sort::Configuration,
        }
    }

    /// Everything that is wrong, a line each.
    pub fn lines(&self) -> Vec<String> {
        match self {
            InitError::RedisConf(errors) => told(errors),
            InitError::Plan(faults) => told(faults),
            InitError::Refused { lines, .. } => lines.clone(),
            InitError::Certificate(error) => vec![error.to_string()],
            InitError::Taken(path) => {
                vec![format!("{} is there and not empty: nothing was written", path.display())]
            }
            InitError::Folder(path, error) => vec![format!("{} cannot be made: {error}", path.display())],
            InitError::Unreadable(path, error) => vec![format!("{} cannot be read: {error}", path.display())],
            InitError::System(error) => vec![error.to_string()],
        }
    }
}

fn told(errors: &[impl fmt::Display]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

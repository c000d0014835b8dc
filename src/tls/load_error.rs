//! What can be wrong with TLS settings and the files they name, in words that say how to put it right.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::pem::{PemError, PemFault};

/// What is wrong with the settings or a file they name.
#[derive(Debug)]
pub struct LoadError {
    /// The setting, such as `tls-key-file`.
    pub setting: &'static str,
    /// The file, if there is one.
    pub path: Option<PathBuf>,
    /// What is wrong.
    pub problem: Problem,
}

/// What can be wrong with a file.
#[derive(Debug)]
pub enum Problem {
    /// It cannot be read.
    Read(io::Error),
    /// It is not what it should be.
    Pem(PemError),
    /// Others may read or change it, and `strict-permissions` forbids that. The mode is given.
    Permissions(u32),
    /// Others can change or replace it; in words, with the command that takes that away.
    Changeable(String),
    /// It cannot be used for another reason, given in words.
    Unusable(String),
}

impl LoadError {
    /// Whether the operating system or `strict-permissions` stands in the way, and not the content.
    pub fn is_permission(&self) -> bool {
        match &self.problem {
            Problem::Read(error) => error.kind() == io::ErrorKind::PermissionDenied,
            Problem::Permissions(_) | Problem::Changeable(_) => true,
            Problem::Pem(_) | Problem::Unusable(_) => false,
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.setting)?;
        // Its words name the file.
        let path = self.path.as_ref().filter(|_| !matches!(self.problem, Problem::Changeable(_)));
        if let Some(path) = path {
            write!(f, " {}", path.display())?;
        }
        write!(f, ": {}", self.problem.in_words(self.path.as_deref().unwrap_or(Path::new("FILE"))))
    }
}

impl Problem {
    /// What is wrong with this file, and the command that puts it right where there is one.
    pub(super) fn in_words(&self, path: &Path) -> String {
        let path = path.display();
        match self {
            Problem::Read(error) => format!("cannot be read: {error}"),
            Problem::Pem(error @ PemError { fault: PemFault::TrustedCertificate, .. }) => {
                format!("{error}; write it without them: openssl storeutl -certs -out {path}.pem {path}")
            }
            Problem::Pem(PemError { fault: PemFault::EncryptedKey, .. }) => format!(
                "the private key is encrypted, and nobody is there to type its passphrase; decrypt it with: \
                 (umask 077; openssl pkey -in {path} -out {path}.plain)"
            ),
            Problem::Pem(PemError { fault: PemFault::Der, .. }) => {
                format!("is in DER form; convert it to PEM with: (umask 077; openssl storeutl -out {path}.pem {path})")
            }
            Problem::Pem(error) => error.to_string(),
            Problem::Permissions(mode) => {
                format!("others have access to it (mode {mode:04o}); take it away with: chmod o= {path}")
            }
            Problem::Changeable(words) | Problem::Unusable(words) => words.clone(),
        }
    }
}

impl std::error::Error for LoadError {}

/// Something about files that were loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it means.
    pub severity: Severity,
    /// The file it is about, or a setting without one.
    pub subject: String,
    /// What about it.
    pub message: String,
}

/// What a finding means for whoever reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It is wrong. It is in force all the same, because not to have it would be worse.
    Error,
    /// It works but should not stay so.
    Warning,
    /// For whoever runs `check`: it may well be meant.
    Advice,
    /// What a file gave.
    Info,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.message)
    }
}

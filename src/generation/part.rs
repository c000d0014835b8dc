//! What a generation is built from, in parts that can each be wrong, and held up, by themselves.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::FileKind;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The certificates and keys of all listeners, and all files of tunnels.
    Certificates,
    /// The client CAs in this file.
    Authorities(PathBuf),
    /// The CRLs in this file.
    RevocationLists(PathBuf),
    /// The configuration.
    Configuration,
    /// The ACL file.
    Users,
}

impl Part {
    /// The one that a file belongs to.
    pub fn of(path: &Path, kind: FileKind) -> Part {
        match kind {
            FileKind::Certificate => Part::Certificates,
            FileKind::Authorities => Part::Authorities(path.to_owned()),
            FileKind::RevocationLists => Part::RevocationLists(path.to_owned()),
            FileKind::Configuration => Part::Configuration,
            FileKind::Users => Part::Users,
        }
    }

    /// Whether it says who is trusted, or who the server is.
    pub fn is_trust(&self) -> bool {
        !matches!(self, Part::Configuration | Part::Users)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Certificates => f.write_str("certificate and key"),
            Part::Authorities(path) => write!(f, "CAs in {}", path.display()),
            Part::RevocationLists(path) => write!(f, "CRLs in {}", path.display()),
            Part::Configuration => f.write_str("configuration"),
            Part::Users => f.write_str("users"),
        }
    }
}

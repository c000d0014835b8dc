//! What keeps the authority from doing something.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::index::{ChoiceError, date};
use crate::tls::LoadError;

/// Why nothing was issued, revoked or shown. Never holds a key.
#[derive(Debug)]
pub enum CertError {
    /// A file or directory.
    File(PathBuf, io::Error),
    /// It is there already, and is not overwritten.
    Exists(PathBuf),
    /// There is no authority in this directory.
    NoAuthority(PathBuf),
    /// The authority in this directory has expired.
    Expired(PathBuf),
    /// A file that should hold a certificate: everything that is wrong with it.
    Certificate(Vec<LoadError>),
    /// A line of the index is damaged: file and line, from 1.
    Index(PathBuf, usize),
    /// A name that cannot be that of a file or certificate, and why.
    Name(String, &'static str),
    /// What was to be revoked is not there, or not clear.
    Choice(ChoiceError),
    /// This file is not there, and it says what to renew.
    NothingToRenew(PathBuf),
    /// This file holds a certificate that is not in the index under the name of the file.
    NotInIndex(PathBuf),
    /// The revocation list: everything that is wrong with it.
    List(Vec<LoadError>),
    /// This file holds a certificate that is revoked.
    Revoked(PathBuf),
    /// The authority in this directory ends then, and with it all that it signs.
    AuthorityEnds(PathBuf, SystemTime),
    /// It would end no later than the one there is, which ends then.
    NotLonger(SystemTime),
    /// This file holds a certificate of another authority, of that name.
    OtherIssuer(PathBuf, String),
    /// The cryptography says no.
    Signing(String),
}

impl CertError {
    pub(super) fn file(path: &Path, error: io::Error) -> CertError {
        match error.kind() {
            io::ErrorKind::AlreadyExists => CertError::Exists(path.to_owned()),
            _ => CertError::File(path.to_owned(), error),
        }
    }

    /// This process may not do it, and that is all.
    pub fn is_permission(&self) -> bool {
        match self {
            CertError::File(_, error) => error.kind() == io::ErrorKind::PermissionDenied,
            CertError::Certificate(errors) | CertError::List(errors) => errors.iter().all(LoadError::is_permission),
            _ => false,
        }
    }
}

impl fmt::Display for CertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CertError::File(path, error) => write!(f, "{}: {error}", path.display()),
            CertError::Exists(path) => write!(f, "{} is there already and is not overwritten", path.display()),
            CertError::NoAuthority(dir) => {
                let dir = dir.display();
                write!(f, "there is no authority in {dir}; make one with: respgate cert ca --dir {dir}")
            }
            CertError::Expired(dir) => {
                write!(
                    f,
                    "the authority in {} has expired, and nobody trusts what it signs any more: ",
                    dir.display()
                )?;
                write!(f, "respgate cert renew ca --dir {}, and take ca.crt to every proxy and client", dir.display())
            }
            CertError::Certificate(errors) | CertError::List(errors) => {
                let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
                f.write_str(&lines.join("\n"))
            }
            CertError::Index(path, line) => write!(f, "{}:{line}: not a line of this index", path.display()),
            CertError::Name(name, why) => write!(f, "{name:?} {why}"),
            CertError::Choice(error) => error.fmt(f),
            CertError::NothingToRenew(path) => {
                let path = path.display();
                write!(f, "{path} is not there, which says what to renew: put it there, or issue another one")
            }
            CertError::NotInIndex(path) => {
                write!(f, "{}: this certificate is not in the index under this name", path.display())
            }
            CertError::Revoked(path) => {
                write!(f, "{} is revoked: to issue another one, move it and its key away", path.display())
            }
            CertError::AuthorityEnds(dir, end) => {
                let (dir, end) = (dir.display(), date(*end));
                write!(f, "the authority in {dir} ends on {end}, and with it all that it signs: ")?;
                write!(f, "respgate cert renew ca --dir {dir}, and take ca.crt to every proxy and client before")
            }
            CertError::NotLonger(end) => {
                write!(f, "the certificate that there is lasts until {}: give more --days", date(*end))
            }
            CertError::OtherIssuer(path, issuer) => {
                write!(f, "{}: issued by {issuer}, which is another authority", path.display())
            }
            CertError::Signing(why) => write!(f, "cannot sign: {why}"),
        }
    }
}

impl From<rcgen::Error> for CertError {
    fn from(error: rcgen::Error) -> CertError {
        CertError::Signing(error.to_string())
    }
}

//! The authority's directory: `ca.crt`, `ca.key`, `ca.crl`, `index`, and a pair of files for every certificate.
//!
//! Whoever changes it holds a lock on `ca.key`. A certificate is in the index before it is anywhere else, so that there
//! is none that cannot be revoked. What is written anew is swapped in as a whole: a proxy may be reading it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{FlockOperation, flock};
use zeroize::Zeroizing;

use super::authority::{Authority, Names, Signed};
use super::certificate_file;
use super::error::CertError;
use super::index::{self, Choice, Entry, HEADER, Kind};
use crate::identity::x509::{Certificate, Name};

/// The name that the authority's own files begin with.
pub const AUTHORITY: &str = "ca";
/// The revocation list.
pub const CRL_FILE: &str = "ca.crl";
const INDEX_FILE: &str = "index";

/// Days that an authority lasts, where nothing else is said.
pub const AUTHORITY_DAYS: u32 = 3650;
/// Days that a certificate lasts, where nothing else is said: no client accepts a server's for much longer.
pub const CERTIFICATE_DAYS: u32 = 397;

/// For everybody, and for its owner only.
pub(super) const PUBLIC: u32 = 0o644;
pub(super) const SECRET: u32 = 0o600;

/// An authority's directory, locked.
pub struct Store {
    pub(super) dir: PathBuf,
    pub(super) authority: Authority,
    pub(super) name: Name,
    /// When it expires, and everything with it.
    pub(super) end: SystemTime,
    /// The lock ends when it is closed.
    _lock: File,
}

impl Store {
    /// Makes an authority, and the directory where there is none.
    ///
    /// # Errors
    /// There is something already, or it cannot be written.
    pub fn create(dir: &Path, name: &str, now: SystemTime, expires: SystemTime) -> Result<Store, CertError> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| CertError::file(dir, error))?;
        for file in [INDEX_FILE, CRL_FILE, "ca.crt", "ca.key"] {
            refuse_existing(&dir.join(file))?;
        }
        let signed = Authority::make(name, now, expires)?;
        let entry = entry(Kind::Authority, AUTHORITY, &signed, expires);
        write_new(&dir.join(INDEX_FILE), &format!("{HEADER}{}", entry.line()), SECRET)?;
        write_pair(dir, AUTHORITY, &signed)?;
        Store::open(dir)
    }

    /// Takes up the authority of a directory. Waits for whoever is changing it.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn open(dir: &Path) -> Result<Store, CertError> {
        let path = dir.join("ca.key");
        let lock = File::open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => CertError::NoAuthority(dir.to_owned()),
            _ => CertError::file(&path, error),
        })?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|error| CertError::file(&path, error.into()))?;
        let key = Zeroizing::new(read(&path)?);
        let certificate = dir.join("ca.crt");
        let authority = Authority::read(&read(&certificate)?, &key)?;
        let Certificate { subject: name, not_after, .. } = certificate_file::read(&certificate)?;
        Ok(Store { dir: dir.to_owned(), authority, name, end: index::time(not_after), _lock: lock })
    }

    /// When the authority expires.
    pub fn end(&self) -> SystemTime {
        self.end
    }

    /// Issues a certificate into `FILE.crt` and `FILE.key`. Returns when it expires, which is not after the authority.
    ///
    /// # Errors
    /// A file of that name is there, a name is none, or the authority has expired.
    pub fn issue(
        &self,
        file: &str,
        names: &Names<'_>,
        now: SystemTime,
        expires: SystemTime,
    ) -> Result<SystemTime, CertError> {
        check_file_name(file)?;
        let expires = self.no_later(expires, now)?;
        for extension in ["crt", "key"] {
            refuse_existing(&self.dir.join(format!("{file}.{extension}")))?;
        }
        let signed = self.authority.issue(names, now, expires)?;
        let kind = match names {
            Names::Server(_) => Kind::Server,
            Names::Client(_) => Kind::Client,
        };
        let mut entries = self.entries()?;
        entries.push(entry(kind, file, &signed, expires));
        self.write_index(&entries)?;
        write_pair(&self.dir, file, &signed)?;
        Ok(expires)
    }

    /// Marks what was chosen as revoked, and returns it. [`write_crl`](Self::write_crl) makes it known.
    ///
    /// # Errors
    /// It is not there, not clear, or revoked already.
    pub fn revoke(&self, choice: &Choice, now: SystemTime) -> Result<Vec<Entry>, CertError> {
        let mut entries = self.entries()?;
        let chosen = index::chosen(&entries, choice, now).map_err(CertError::Choice)?;
        let mut revoked = Vec::new();
        for position in chosen {
            entries[position].revoked = Some(now);
            revoked.push(entries[position].clone());
        }
        self.write_index(&entries)?;
        Ok(revoked)
    }

    /// The serial number of a certificate that this authority has issued.
    ///
    /// # Errors
    /// The file holds none, or that of another authority.
    pub fn serial_of(&self, file: &Path) -> Result<String, CertError> {
        let certificate = certificate_file::read(file)?;
        if certificate.issuer != self.name {
            return Err(CertError::OtherIssuer(file.to_owned(), certificate.issuer.display().to_string()));
        }
        Ok(certificate.serial)
    }

    /// Writes the list of all that is revoked. Returns until when it is good, which is not after the authority expires.
    ///
    /// # Errors
    /// It cannot be written, or the authority has expired.
    pub fn write_crl(&self, now: SystemTime, next: SystemTime) -> Result<SystemTime, CertError> {
        let next = self.no_later(next, now)?;
        let list = self.authority.crl(&self.entries()?, now, next)?;
        replace(&self.dir.join(CRL_FILE), &list, PUBLIC)?;
        Ok(next)
    }

    /// Nothing that it signs is of use to anybody once the authority has expired.
    pub(super) fn no_later(&self, end: SystemTime, now: SystemTime) -> Result<SystemTime, CertError> {
        if self.end <= now { Err(CertError::Expired(self.dir.clone())) } else { Ok(end.min(self.end)) }
    }

    /// All certificates, in the order they were issued.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn entries(&self) -> Result<Vec<Entry>, CertError> {
        let path = self.dir.join(INDEX_FILE);
        index::parse(&read(&path)?).map_err(|line| CertError::Index(path, line))
    }

    pub(super) fn write_index(&self, entries: &[Entry]) -> Result<(), CertError> {
        replace(&self.dir.join(INDEX_FILE), &index::text(entries), SECRET)
    }
}

pub(super) fn entry(kind: Kind, name: &str, signed: &Signed, expires: SystemTime) -> Entry {
    Entry { kind, name: name.to_owned(), serial: signed.serial.clone(), expires, revoked: None }
}

/// Letters, digits and a few others: no way out of the directory, no blank in the index, no option on a command line.
pub(super) fn check_file_name(name: &str) -> Result<(), CertError> {
    let is_good = |c: char| c.is_alphanumeric() || "._-@:".contains(c);
    if name.is_empty() || name.starts_with(['.', '-']) || !name.chars().all(is_good) {
        let why = "cannot be a file's name: letters, digits and . _ - @ : can be in it";
        return Err(CertError::Name(name.to_owned(), why));
    }
    if name == AUTHORITY {
        return Err(CertError::Name(name.to_owned(), "is the authority's own name"));
    }
    Ok(())
}

fn refuse_existing(path: &Path) -> Result<(), CertError> {
    // A symbolic link that leads nowhere is something too.
    if path.symlink_metadata().is_ok() { Err(CertError::Exists(path.to_owned())) } else { Ok(()) }
}

fn write_pair(dir: &Path, name: &str, signed: &Signed) -> Result<(), CertError> {
    write_new(&dir.join(format!("{name}.key")), &signed.key, SECRET)?;
    write_new(&dir.join(format!("{name}.crt")), &signed.certificate, PUBLIC)
}

fn write_new(path: &Path, content: &str, mode: u32) -> Result<(), CertError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(content.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|error| CertError::file(path, error))
}

/// Swaps a file for one with another content. Where it is a symbolic link it is what that leads to: the link may lead
/// into a directory that a container sees. Who could read the old one can read the new one, but for others what is
/// secret.
pub(super) fn replace(path: &Path, content: &str, mode: u32) -> Result<(), CertError> {
    let path = match fs::canonicalize(path) {
        Err(error) if path.is_symlink() => return Err(CertError::file(path, error)),
        Err(_) => path.to_owned(),
        Ok(path) => path,
    };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(CertError::file(&new, error)),
        _ => {}
    }
    write_new(&new, content, mode)?;
    let swap = || {
        if let Ok(old) = fs::metadata(&path) {
            let open = fs::File::open(&new)?;
            // Only root may give a file away; to everybody else it belongs already, or cannot be made to.
            let _ = fchown(&open, Some(old.uid()), Some(old.gid()));
            let others = if mode == SECRET { 0o007 } else { 0 };
            open.set_permissions(fs::Permissions::from_mode(old.mode() & 0o777 & !others))?;
        }
        fs::rename(&new, &path)?;
        File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
    };
    swap().map_err(|error| CertError::file(&path, error))
}

pub(super) fn read(path: &Path) -> Result<String, CertError> {
    fs::read_to_string(path).map_err(|error| CertError::file(path, error))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_authority_that_has_expired_signs_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let (before, tomorrow) = (now - Duration::from_secs(7200), now + Duration::from_secs(86_400));
        let store = Store::create(dir.path(), "old", before, now - Duration::from_secs(3600)).unwrap();
        assert!(store.write_crl(before, tomorrow).is_ok_and(|end| end == store.end()));
        assert!(matches!(store.write_crl(now, tomorrow), Err(CertError::Expired(_))));
        assert!(matches!(store.issue("shop", &Names::Client("shop"), now, tomorrow), Err(CertError::Expired(_))));
    }

    #[test]
    fn a_name_leads_nowhere_but_into_the_directory() {
        for good in ["shop", "redis.example.com", "::1", "a_b-c@d", "Grün"] {
            assert!(check_file_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "../x", "a/b", "-rf", "a b", "a\nb", "ca", "*.example.com"] {
            assert!(check_file_name(bad).is_err(), "{bad}");
        }
    }
}

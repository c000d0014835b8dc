//! The lock of the audit log: a file beside it that its owner alone can open. The log is for its group to read as well, and who
//! may read a file can lock it [flock(2)].

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, FlockOperation, OFlags, access, flock};
use rustix::io::Errno;
use rustix::process::geteuid;

/// No link is followed, and of a pipe nobody waits for the other end.
const FLAGS: i32 = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).bits().cast_signed();

/// Held until it is dropped. The file stays: another process may be waiting for it.
pub(super) struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// Takes the lock of the log that was opened at this path.
    ///
    /// # Errors
    /// It is busy where another process holds it, and refused where others can open it.
    pub(super) fn take(log: &Path, opened: &Metadata) -> io::Result<Lock> {
        let path = path_of(log)?;
        let file = open(&path, true, Some(opened)).map_err(|error| of_lock(&path, &error))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
            Errno::WOULDBLOCK => io::ErrorKind::ResourceBusy.into(),
            error => of_lock(&path, &error.into()),
        })?;
        let lock = Lock { path, file };
        // Taken away just now, it keeps nobody from another.
        if lock.is_named() { Ok(lock) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    /// Whether it is what the next process would look at for what is at this path now.
    pub(super) fn is_of(&self, log: &Path) -> bool {
        path_of(log).is_ok_and(|path| path == self.path) && self.is_named()
    }

    fn is_named(&self) -> bool {
        let both = fs::symlink_metadata(&self.path).ok().zip(self.file.metadata().ok());
        both.is_some_and(|(named, ours)| (named.dev(), named.ino()) == (ours.dev(), ours.ino()))
    }
}

/// Whether a start could take the lock of the log that was opened at this path, if one is there, or would have to wait for it.
/// Nothing is made.
///
/// # Errors
/// It could not.
pub(super) fn inspect(log: &Path, opened: Option<&Metadata>) -> io::Result<()> {
    let path = if opened.is_some() { path_of(log)? } else { beside(log) };
    let outcome = match open(&path, false, opened) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            access(folder, Access::WRITE_OK | Access::EXEC_OK).map_err(io::Error::from)
        }
        outcome => outcome.map(drop),
    };
    outcome.map_err(|error| of_lock(&path, &error))
}

/// Of all names that lead to one log there is one lock.
fn path_of(log: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(log).map(|log| beside(&log))
}

fn beside(log: &Path) -> PathBuf {
    let mut name = log.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    log.with_file_name(name)
}

/// Opens what its owner alone can open: us, or whoever the log belongs to, who can do with it what he likes.
fn open(path: &Path, may_be_made: bool, log: Option<&Metadata>) -> io::Result<File> {
    let opened =
        OpenOptions::new().read(true).write(true).create(may_be_made).mode(0o600).custom_flags(FLAGS).open(path);
    let is_no_file = || io::Error::new(io::ErrorKind::InvalidInput, "it is no file");
    let file = opened.map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::LOOP) => is_no_file(),
        _ => error,
    })?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(is_no_file());
    }
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    if owner != geteuid().as_raw() && log.is_some_and(|log| owner != log.uid()) {
        return Err(refused(&format!("it belongs to user {owner}, who can lock it: remove it")));
    }
    if mode & 0o077 != 0 {
        return Err(refused(&format!("it can be locked by others (mode {mode:04o}): chmod 600 {}", path.display())));
    }
    Ok(file)
}

fn refused(words: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, words)
}

fn of_lock(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("its lock {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    /// A log, and the name of its lock.
    fn place() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let [log, lock] = ["audit.log", "audit.log.lock"].map(|name| folder.path().join(name));
        fs::write(&log, "").unwrap();
        (folder, log, lock)
    }

    fn take(log: &Path) -> io::Result<Lock> {
        Lock::take(log, &fs::metadata(log).unwrap())
    }

    /// Why it is refused, as `check` says, too.
    fn refusal(log: &Path) -> String {
        let said = take(log).err().unwrap().to_string();
        assert_eq!(inspect(log, fs::metadata(log).ok().as_ref()).unwrap_err().to_string(), said);
        said
    }

    #[test]
    fn it_is_made_for_its_owner_alone_and_stays() {
        let (_folder, log, path) = place();
        inspect(&log, fs::metadata(&log).ok().as_ref()).unwrap();
        assert!(!path.exists(), "looking makes nothing");
        let lock = take(&log).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(take(&log).err().unwrap().kind(), io::ErrorKind::ResourceBusy);
        inspect(&log, fs::metadata(&log).ok().as_ref()).unwrap();
        drop(lock);
        assert!(path.exists() && take(&log).is_ok());
    }

    #[test]
    fn what_others_can_open_or_make_is_no_lock() {
        let (folder, log, path) = place();
        for mode in [0o644, 0o640, 0o602] {
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(refusal(&log).contains("it can be locked by others (mode 0"));
        }
        fs::remove_file(&log).unwrap();
        assert!(
            inspect(&log, None).unwrap_err().to_string().contains("it can be locked by others"),
            "before the log is made"
        );
        fs::write(&log, "").unwrap();
        fs::remove_file(&path).unwrap();
        let elsewhere = folder.path().join("elsewhere");
        symlink(&elsewhere, &path).unwrap();
        assert!(refusal(&log).ends_with("audit.log.lock: it is no file") && !elsewhere.exists());
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(refusal(&log).contains("audit.log.lock: "));
        fs::remove_dir(&path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg("-m").arg("600").arg(&path).status().unwrap().success());
        assert!(refusal(&log).ends_with("it is no file"));
    }

    #[test]
    fn that_of_somebody_else_is_refused_but_for_the_owner_of_the_log() {
        let (_folder, log, path) = place();
        drop(take(&log).unwrap());
        // Only root can give files away.
        if chown(&path, Some(65_534), None).is_ok() {
            assert!(refusal(&log).ends_with("it belongs to user 65534, who can lock it: remove it"));
            chown(&log, Some(65_534), None).unwrap();
            assert!(take(&log).is_ok());
        }
    }

    #[test]
    fn one_log_has_one_lock_by_whatever_name_it_is_opened() {
        let (folder, log, _) = place();
        let link = folder.path().join("link");
        symlink(&log, &link).unwrap();
        let lock = take(&link).unwrap();
        assert!(lock.is_of(&log) && lock.is_of(&link));
        assert_eq!(take(&log).err().unwrap().kind(), io::ErrorKind::ResourceBusy);
    }

    #[test]
    fn one_that_is_no_longer_at_its_name_is_another_process_s_to_take() {
        let (_folder, log, path) = place();
        let lock = take(&log).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(!lock.is_of(&log));
    }
}

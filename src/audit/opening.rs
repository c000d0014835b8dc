//! Opening the file of the audit log: what can be one, what it ends with, and who else may change or read it.

use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{Access, OFlags, access};

use super::chain::Tail;
use super::lock;
use crate::permissions::Permissions;

/// Bytes at the end of a file, among which its last line has to be.
const TAIL: u64 = 8 << 20;

/// Of a pipe that takes the place of the file just now nobody waits for the other end, and of a terminal we become no part.
const FLAGS: i32 = OFlags::NONBLOCK.union(OFlags::NOCTTY).bits().cast_signed();

/// A file that was opened, and who else may do what with it.
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) access: OthersAccess,
}

/// What others may do with the file that they should not.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct OthersAccess {
    /// No reason to begin with such a file.
    pub(super) faults: Vec<String>,
    pub(super) warnings: Vec<String>,
}

impl OthersAccess {
    /// As of a file of secrets: it names users and where they come from.
    fn of(permissions: &Permissions, is_strict: bool) -> OthersAccess {
        let (mut faults, mut warnings) = (Vec::new(), Vec::new());
        faults.extend(permissions.changeable());
        warnings.extend(permissions.foreign());
        if is_strict { &mut faults } else { &mut warnings }.extend(permissions.readable());
        OthersAccess { faults, warnings }
    }

    /// What there is to warn of.
    ///
    /// # Errors
    /// The file is none to begin with.
    pub(super) fn into_warnings(self) -> io::Result<Vec<String>> {
        match self.faults.as_slice() {
            [] => Ok(self.warnings),
            faults => Err(io::Error::new(io::ErrorKind::PermissionDenied, faults.join("; "))),
        }
    }
}

/// Opens the file, which is made where there is none.
///
/// # Errors
/// It cannot be opened, or is no file.
pub(super) fn open(path: &Path, is_strict: bool) -> io::Result<Opened> {
    if let Ok(metadata) = fs::metadata(path) {
        is_file(metadata.file_type())?;
    }
    let file = OpenOptions::new().read(true).append(true).create(true).mode(0o640).custom_flags(FLAGS).open(path)?;
    let metadata = file.metadata()?;
    is_file(metadata.file_type())?;
    let access = OthersAccess::of(&Permissions::of(path, &metadata), is_strict);
    Ok(Opened { file, access })
}

/// What a file ends with.
///
/// # Errors
/// It cannot be read, or holds something else.
pub(super) fn tail(file: &mut File) -> io::Result<Tail> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    let is_other = |_| io::Error::new(io::ErrorKind::InvalidData, "holds something else than an audit log at its end");
    Tail::of(&bytes).map_err(is_other)
}

/// What a start would warn of. Nothing is made.
///
/// # Errors
/// A start would fail for this.
pub fn inspect(path: &Path, is_strict: bool) -> io::Result<Vec<String>> {
    match fs::metadata(path) {
        Ok(_) => {
            let Opened { mut file, access } = open(path, is_strict)?;
            lock::inspect(path, Some(&file.metadata()?))?;
            tail(&mut file)?;
            access.into_warnings()
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            access(folder, Access::WRITE_OK | Access::EXEC_OK)?;
            lock::inspect(path, None)?;
            OthersAccess::of(&Permissions::of_absent(path), is_strict).into_warnings()
        }
        Err(error) => Err(error),
    }
}

fn is_file(found: FileType) -> io::Result<()> {
    let what = if found.is_file() {
        return Ok(());
    } else if found.is_dir() {
        "a directory"
    } else if found.is_fifo() {
        "a pipe"
    } else {
        "a device or a socket"
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {what}, and no file that can be kept")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    use super::*;

    /// A folder that nobody else can change, and in it the name of an audit log.
    fn place() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        set_mode(folder.path(), 0o700);
        let path = folder.path().join("audit");
        (folder, path)
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn error(path: &Path) -> String {
        let [opened, inspected] = [open(path, false).map(drop), inspect(path, false).map(drop)];
        let error = opened.and_then(|()| open(path, false)?.access.into_warnings()).unwrap_err().to_string();
        assert_eq!(inspected.unwrap_err().to_string(), error, "as `check` says");
        error
    }

    #[test]
    fn a_file_that_is_made_is_for_its_owner_and_group_alone() {
        let (_folder, path) = place();
        assert_eq!(inspect(&path, true).unwrap(), [""; 0]);
        assert!(!path.exists(), "looking makes nothing");
        let opened = open(&path, true).unwrap();
        assert_eq!(opened.file.metadata().unwrap().permissions().mode() & 0o137, 0);
        assert_eq!(opened.access, OthersAccess::default());
    }

    #[test]
    fn what_others_may_change_is_no_file_to_begin_with() {
        let (folder, path) = place();
        fs::write(&path, "").unwrap();
        set_mode(&path, 0o602);
        assert!(error(&path).contains("can be changed by others (mode 0602): chmod go-w "));
        set_mode(&path, 0o600);
        set_mode(folder.path(), 0o707);
        assert!(error(&path).contains("can be replaced by others (mode 0707 of "));
        fs::remove_file(&path).unwrap();
        let said = inspect(&path, false).unwrap_err().to_string();
        assert!(said.contains("can be replaced by others"), "before it is made: {said}");
    }

    #[test]
    fn what_others_may_read_is_warned_of_and_an_error_where_that_is_asked_for() {
        let (_folder, path) = place();
        fs::write(&path, "").unwrap();
        set_mode(&path, 0o644);
        assert!(inspect(&path, false).unwrap()[0].contains("can be read by others (mode 0644): chmod o-r "));
        assert_eq!(inspect(&path, true).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn a_link_is_as_good_as_where_it_leads_to() {
        let (folder, path) = place();
        let elsewhere = folder.path().join("open");
        fs::create_dir(&elsewhere).unwrap();
        symlink(elsewhere.join("audit"), &path).unwrap();
        assert_eq!(inspect(&path, false).unwrap(), [""; 0]);
        set_mode(&elsewhere, 0o777);
        let said = inspect(&path, false).unwrap_err().to_string();
        assert!(said.contains("can be replaced by others"), "{said}");
        fs::write(elsewhere.join("audit"), "").unwrap();
        assert!(error(&path).contains("can be replaced by others"));
    }

    #[test]
    fn what_is_no_file_is_refused_in_words() {
        let (folder, path) = place();
        assert_eq!(error(folder.path()), "it is a directory, and no file that can be kept");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert_eq!(error(&path), "it is a pipe, and no file that can be kept");
        assert_eq!(error(Path::new("/dev/null")), "it is a device or a socket, and no file that can be kept");
        assert_eq!(error(Path::new("/nonexistent/audit")), "No such file or directory (os error 2)");
    }
}

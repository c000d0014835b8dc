//! Writing the ACL file: all of it or nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Replaces the file by one with this text, by way of a new file beside it that takes its place once it is on the disk.
/// Mode and owner stay. Where the path is a symbolic link, the file it leads to is replaced.
///
/// # Errors
/// The old file is still there, unchanged.
pub(super) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = folder.join(name);
    let written = write_beside(&beside, &path, text).and_then(|()| fs::rename(&beside, &path));
    if written.is_err() {
        // If it cannot be removed either, the next attempt will say so.
        let _ = fs::remove_file(&beside);
        return written;
    }
    File::open(folder)?.sync_all()
}

fn write_beside(beside: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    match fs::remove_file(beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let old = fs::metadata(path)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
    file.write_all(text)?;
    keep_owner(&file, &old);
    file.set_permissions(old.permissions())?;
    file.sync_all()
}

/// Only root may give a file away; to everybody else it belongs already, or cannot be made to.
fn keep_owner(file: &File, old: &fs::Metadata) {
    use std::os::unix::fs::MetadataExt;

    let _ = std::os::unix::fs::fchown(file, Some(old.uid()), Some(old.gid()));
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_text_is_replaced_and_the_mode_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.acl");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(mode(&path), 0o640);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("real.acl"), folder.path().join("users.acl"));
        fs::write(&path, "old").unwrap();
        symlink(&path, &link).unwrap();
        replace(&link, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn a_file_that_is_gone_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.acl");
        assert_eq!(replace(&path, b"new").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(!path.exists());
    }
}

//! Who else may change or read the files that decide who may do what.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statvfs};

/// What the system lets others do to a file that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Permissions {
    path: PathBuf,
    /// The permission bits.
    mode: u32,
    group: u32,
    /// A folder in which others may put another file in its place, and its permission bits.
    open_folder: Option<(PathBuf, u32)>,
}

impl Permissions {
    /// Of the file that was opened at this path.
    pub fn of(path: &Path, opened: &Metadata) -> Permissions {
        if !opened.is_file() {
            // A pipe or a device has no content that somebody could have changed before.
            return Permissions::default();
        }
        Permissions {
            path: path.to_owned(),
            mode: opened.mode() & 0o7777,
            group: opened.gid(),
            open_folder: open_folder(path),
        }
    }

    /// That others can change the file, or a group that is not root's, and the command that takes that away. Whoever
    /// changes it decides in the place of its owner.
    #[must_use]
    pub fn changeable(&self) -> Option<String> {
        let (path, mode) = (self.path.display(), self.mode);
        if mode & 0o002 != 0 {
            return Some(format!("{path} can be changed by others (mode {mode:04o}): chmod go-w {path}"));
        }
        if mode & 0o020 != 0 && self.group != 0 {
            let group = self.group;
            return Some(format!("{path} can be changed by group {group} (mode {mode:04o}): chmod g-w {path}"));
        }
        let (folder, mode) = self.open_folder.as_ref()?;
        let folder = folder.display();
        Some(format!("{path} can be replaced by others (mode {mode:04o} of {folder}): chmod o-w {folder}"))
    }

    /// That others can read the file, and the command that takes that away.
    #[must_use]
    pub fn readable(&self) -> Option<String> {
        let (path, mode) = (self.path.display(), self.mode);
        (mode & 0o044 != 0).then(|| format!("{path} can be read by others (mode {mode:04o}): chmod 600 {path}"))
    }
}

/// The folder that holds the name, or the one that holds the file it leads to, where anybody may rename files. Nobody may
/// on a file system that is mounted read-only, as those of a ConfigMap are.
fn open_folder(path: &Path) -> Option<(PathBuf, u32)> {
    let named = path.parent().map(|folder| if folder == Path::new("") { Path::new(".") } else { folder });
    let real = fs::canonicalize(path).ok();
    let folders = named.into_iter().chain(real.as_deref().and_then(Path::parent));
    folders.filter_map(|folder| fs::canonicalize(folder).ok()).find_map(|folder| {
        let mode = fs::metadata(&folder).ok()?.mode() & 0o7777;
        let is_sticky = mode & 0o1000 != 0;
        let is_read_only = || statvfs(&folder).is_ok_and(|system| system.f_flag.contains(StatVfsMountFlags::RDONLY));
        (mode & 0o002 != 0 && !is_sticky && !is_read_only()).then_some((folder, mode))
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// What is said of a file with this mode and group, in a folder with that mode.
    fn changeable(mode: u32, group: u32) -> Option<String> {
        Permissions { path: "f".into(), mode, group, open_folder: None }.changeable()
    }

    fn permissions(path: &Path) -> Permissions {
        Permissions::of(path, &fs::File::open(path).unwrap().metadata().unwrap())
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn only_its_owner_and_root_may_change_a_file() {
        for (mode, group) in [(0o600, 7), (0o644, 7), (0o444, 0), (0o664, 0), (0o755, 7)] {
            assert_eq!(changeable(mode, group), None, "{mode:o}");
        }
        assert_eq!(changeable(0o664, 7).unwrap(), "f can be changed by group 7 (mode 0664): chmod g-w f");
        for group in [0, 7] {
            assert_eq!(changeable(0o666, group).unwrap(), "f can be changed by others (mode 0666): chmod go-w f");
            assert_eq!(changeable(0o602, group).unwrap(), "f can be changed by others (mode 0602): chmod go-w f");
        }
    }

    #[test]
    fn nobody_else_may_replace_a_file_unless_the_folder_is_sticky() {
        let outer = tempfile::tempdir().unwrap();
        set_mode(outer.path(), 0o700);
        let folder = outer.path().canonicalize().unwrap().join("folder");
        fs::create_dir(&folder).unwrap();
        let path = folder.join("f");
        fs::write(&path, "x").unwrap();
        set_mode(&path, 0o644);
        let said = |mode, path: &Path| {
            set_mode(&folder, mode);
            permissions(path).changeable()
        };
        for mode in [0o700, 0o755, 0o775, 0o1777] {
            assert_eq!(said(mode, &path), None, "{mode:o}");
        }
        let (shown, place) = (path.display(), folder.display());
        let wanted = format!("{shown} can be replaced by others (mode 0777 of {place}): chmod o-w {place}");
        assert_eq!(said(0o777, &path).unwrap(), wanted);
        let link = outer.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(said(0o777, &link).unwrap().contains(" can be replaced by others (mode 0777 of "), "where it leads to");
    }

    #[test]
    fn a_link_is_as_open_as_the_file_it_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        set_mode(folder.path(), 0o700);
        let (path, link) = (folder.path().join("f"), folder.path().join("link"));
        fs::write(&path, "x").unwrap();
        symlink(&path, &link).unwrap();
        for (mode, is_open) in [(0o600, false), (0o666, true)] {
            set_mode(&path, mode);
            assert_eq!(permissions(&link).changeable().is_some(), is_open);
        }
    }

    #[test]
    fn a_device_is_nobodys_to_change() {
        assert_eq!(permissions(Path::new("/dev/null")).changeable(), None);
    }
}

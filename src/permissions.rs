//! Who else may change or read the files that decide who may do what.

use std::collections::VecDeque;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, getxattr, statvfs};
use rustix::process::{getegid, geteuid};

/// What the system lets others do to a file that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Permissions {
    path: PathBuf,
    /// The permission bits.
    mode: u32,
    group: u32,
    /// An owner who is neither root nor we, where the file system can be written to.
    foreign_owner: Option<u32>,
    /// An access control list gives rights to single users or groups: the group bits are then the most that these have.
    has_acl: bool,
    /// A folder on the way to it in which others may put something else in its place.
    open_folder: Option<OpenFolder>,
}

/// A folder that others can change, or a group that is not root's.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OpenFolder {
    path: PathBuf,
    mode: u32,
    group: u32,
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
            foreign_owner: Some(opened.uid())
                .filter(|owner| *owner != 0 && *owner != geteuid().as_raw() && !is_read_only(path)),
            has_acl: getxattr(path, "system.posix_acl_access", &mut [0_u8; 0]).is_ok(),
            open_folder: open_folder(path),
        }
    }

    /// Of a file that is not there yet.
    pub fn of_absent(path: &Path) -> Permissions {
        Permissions { path: path.to_owned(), open_folder: open_folder(path), ..Permissions::default() }
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
        if mode & 0o020 != 0 && self.has_acl {
            let words = "can be changed by those whom its access control list lets";
            return Some(format!("{path} {words} (mode {mode:04o}): setfacl -b {path}, chmod go-w {path}"));
        }
        let OpenFolder { path: folder, mode, group } = self.open_folder.as_ref()?;
        let folder = folder.display();
        let whom = if mode & 0o002 != 0 { "others".to_owned() } else { format!("group {group}") };
        Some(format!("{path} can be replaced by {whom} (mode {mode:04o} of {folder}): chmod go-w {folder}"))
    }

    /// That the file belongs to somebody else, who can change it. In containers files may belong to somebody of the
    /// host, and nobody else may be there to be meant.
    #[must_use]
    pub fn foreign(&self) -> Option<String> {
        let (path, owner) = (self.path.display(), self.foreign_owner?);
        Some(format!("{path} belongs to user {owner}, who can change it: chown root {path}"))
    }

    /// Whether others than owner and group have any access to the file.
    pub fn is_open(&self) -> bool {
        self.mode & 0o007 != 0
    }

    /// That others than owner and group can read the file, and the command that takes that away. Its group may well be that of
    /// the process, where the files belong to root.
    #[must_use]
    pub fn readable(&self) -> Option<String> {
        let (path, mode) = (self.path.display(), self.mode);
        (mode & 0o004 != 0).then(|| format!("{path} can be read by others (mode {mode:04o}): chmod o-r {path}"))
    }
}

/// Who the file belongs to that we may not open, or the folder on the way to it that we may not enter, and who we are.
#[must_use]
pub fn owner_in_the_way(path: &Path) -> Option<String> {
    let mut way = folders_on_the_way(path);
    way.push(path.to_owned());
    let (entry, metadata) = way.iter().rev().find_map(|entry| Some((entry, fs::metadata(entry).ok()?)))?;
    let (owner, group, mode) = (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777);
    let (user, own_group) = (geteuid().as_raw(), getegid().as_raw());
    let what = if entry == path { "it".to_owned() } else { entry.display().to_string() };
    let whose = format!("{what} belongs to user {owner}, group {group} (mode {mode:04o})");
    Some(format!("{whose}, and this process is user {user}, group {own_group}"))
}

/// The first folder on the way to the file, over all links, in which others may rename what they like. Nobody may in
/// one that is sticky, or on a file system that is mounted read-only, as those of a ConfigMap are.
fn open_folder(path: &Path) -> Option<OpenFolder> {
    folders_on_the_way(path).into_iter().find_map(|path| {
        let metadata = fs::metadata(&path).ok()?;
        let (mode, group) = (metadata.mode() & 0o7777, metadata.gid());
        let is_open = mode & 0o002 != 0 || mode & 0o020 != 0 && group != 0;
        let is_sticky = mode & 0o1000 != 0;
        (is_open && !is_sticky && !is_read_only(&path)).then_some(OpenFolder { path, mode, group })
    })
}

fn is_read_only(path: &Path) -> bool {
    statvfs(path).is_ok_and(|system| system.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Every folder in which a name is looked up before the file is reached, those of links and of what they lead to among them.
fn folders_on_the_way(path: &Path) -> Vec<PathBuf> {
    let Ok(whole) = std::path::absolute(path) else { return Vec::new() };
    let mut folders: Vec<PathBuf> = Vec::new();
    let mut folder = PathBuf::from("/");
    let mut names: VecDeque<PathBuf> = names(&whole).collect();
    let mut links = 0;
    while let Some(name) = names.pop_front() {
        if name.as_os_str() == ".." {
            folder.pop();
            continue;
        }
        if !folders.contains(&folder) {
            folders.push(folder.clone());
        }
        let entry = folder.join(&name);
        match fs::read_link(&entry) {
            Ok(target) if links < MOST_LINKS => {
                links += 1;
                if target.is_absolute() {
                    folder = PathBuf::from("/");
                }
                self::names(&target).rev().for_each(|name| names.push_front(name));
            }
            _ => folder = entry,
        }
    }
    folders
}

/// As many as Linux follows.
const MOST_LINKS: usize = 40;

fn names(path: &Path) -> impl DoubleEndedIterator<Item = PathBuf> {
    let is_name = |component: &Component<'_>| matches!(component, Component::Normal(_) | Component::ParentDir);
    path.components().filter(is_name).map(|component| PathBuf::from(component.as_os_str()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// What is said of a file with this mode and group, in a folder with that mode.
    fn changeable(mode: u32, group: u32) -> Option<String> {
        Permissions { path: "f".into(), mode, group, ..Permissions::default() }.changeable()
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
        let is_roots = fs::metadata(&folder).unwrap().gid() == 0;
        assert_eq!(said(0o775, &path).is_none(), is_roots, "as files");
        for mode in [0o700, 0o755, 0o1777, 0o1775] {
            assert_eq!(said(mode, &path), None, "{mode:o}");
        }
        let (shown, place) = (path.display(), folder.display());
        let wanted = format!("{shown} can be replaced by others (mode 0777 of {place}): chmod go-w {place}");
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
    fn every_folder_and_link_on_the_way_counts() {
        let outer = tempfile::tempdir().unwrap();
        set_mode(outer.path(), 0o700);
        let at = |name: &str| outer.path().join(name);
        for folder in ["open", "open/below", "safe", "real"] {
            fs::create_dir(at(folder)).unwrap();
            set_mode(&at(folder), 0o755);
        }
        for file in ["open/below/f", "real/f"] {
            fs::write(at(file), "x").unwrap();
            set_mode(&at(file), 0o644);
        }
        symlink(at("real/f"), at("open/mid")).unwrap();
        symlink("../open/mid", at("safe/f")).unwrap();
        symlink("../real", at("open/dir")).unwrap();
        for (mode, is_open) in [(0o755, false), (0o777, true), (0o1777, false)] {
            set_mode(&at("open"), mode);
            for path in ["open/below/f", "safe/f", "open/dir/f", "safe/../open/below/f"] {
                assert_eq!(permissions(&at(path)).changeable().is_some(), is_open, "{mode:o} {path}");
            }
            assert_eq!(permissions(&at("real/f")).changeable(), None);
        }
        symlink("loop", at("loop")).unwrap();
        assert!(!folders_on_the_way(&at("loop")).is_empty(), "it ends");
    }

    #[test]
    fn an_access_control_list_takes_the_place_of_the_group() {
        let of = |mode| Permissions { path: "f".into(), mode, has_acl: true, ..Permissions::default() }.changeable();
        assert_eq!(of(0o644), None);
        assert!(of(0o664).unwrap().contains("whom its access control list lets (mode 0664): setfacl -b f"));
    }

    /// What cannot be looked up is in a folder that cannot be entered.
    #[test]
    fn what_is_in_the_way_is_the_last_that_can_be_seen() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let (path, hidden) = (folder.join("f"), folder.join("hidden"));
        fs::create_dir(&hidden).unwrap();
        set_mode(&hidden, 0o710);
        symlink("hidden/f", &path).unwrap();
        let said = || owner_in_the_way(&path).unwrap();
        assert!(said().starts_with(&format!("{} belongs to user ", hidden.display())), "{}", said());
        assert!(said().contains("(mode 0710), and this process is user "), "{}", said());
        fs::write(hidden.join("f"), "x").unwrap();
        assert!(said().starts_with("it belongs to user "), "{}", said());
    }

    #[test]
    fn a_device_is_nobodys_to_change() {
        assert_eq!(permissions(Path::new("/dev/null")).changeable(), None);
    }
}

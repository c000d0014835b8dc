//! How much memory the control groups leave to this process, version 2 or 1, or one beside the other.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::Memory;

/// The smallest limit of the process's own group and of all above it that can be seen. Everything is read below `root`,
/// which is `/` but in tests.
pub(super) fn memory_limit(root: &Path) -> Option<Memory> {
    let own = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mounted = fs::read_to_string(root.join("proc/self/mountinfo")).unwrap_or_default();
    let mut mounts: Vec<Mount> = mounted.lines().filter_map(Mount::parse).collect();
    if mounts.is_empty() {
        mounts = Mount::usual();
    }
    let files = mounts.iter().flat_map(|mount| mount.limit_files(mount.version.group_in(&own).unwrap_or("/")));
    files.filter_map(|source| Some(Memory { bytes: limit_in(root, &source)?, source })).min_by_key(|limit| limit.bytes)
}

/// What a file says that is there; `max` is no limit.
fn limit_in(root: &Path, file: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join(file.strip_prefix("/").ok()?)).ok()?;
    text.trim().parse().ok()
}

#[derive(Clone, Copy)]
enum Version {
    One,
    Two,
}

impl Version {
    fn limit_file(self) -> &'static str {
        match self {
            Self::One => "memory.limit_in_bytes",
            Self::Two => "memory.max",
        }
    }

    /// The process's group in this hierarchy, as a path from its root: of the lines `4:memory:/a/b` and `0::/a/b` one.
    fn group_in(self, own: &str) -> Option<&str> {
        own.lines().find_map(|line| {
            let (number, rest) = line.split_once(':')?;
            let (controllers, group) = rest.split_once(':')?;
            let is_it = match self {
                Self::One => controllers.split(',').any(|controller| controller == "memory"),
                Self::Two => number == "0" && controllers.is_empty(),
            };
            is_it.then_some(group)
        })
    }
}

/// A hierarchy that limits memory, and where it is to be seen.
struct Mount {
    version: Version,
    /// The group that is seen at `point`, as a path from the root of the hierarchy.
    group: PathBuf,
    point: PathBuf,
}

impl Mount {
    /// Reads a line such as `35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory`. `None` if it is of
    /// something else.
    fn parse(line: &str) -> Option<Self> {
        let (mount, filesystem) = line.split_once(" - ")?;
        let (mut mount, mut filesystem) = (mount.split(' ').skip(3), filesystem.split(' '));
        let (group, point) = (unescaped(mount.next()?), unescaped(mount.next()?));
        let version = match filesystem.next()? {
            "cgroup2" => Version::Two,
            "cgroup" if filesystem.nth(1)?.split(',').any(|option| option == "memory") => Version::One,
            _ => return None,
        };
        Some(Self { version, group, point })
    }

    /// Where they are if nobody says so.
    fn usual() -> Vec<Self> {
        let at = |version, point: &str| Self { version, group: "/".into(), point: point.into() };
        vec![at(Version::Two, "/sys/fs/cgroup"), at(Version::One, "/sys/fs/cgroup/memory")]
    }

    /// Where the limits of a group are, and of all above it that can be seen here.
    fn limit_files(&self, group: &str) -> Vec<PathBuf> {
        // What is elsewhere cannot be seen: what remains is the group at the mount itself.
        let below = Path::new(group).strip_prefix(&self.group).unwrap_or(Path::new(""));
        let below =
            if Path::new(group).components().any(|part| part.as_os_str() == "..") { Path::new("") } else { below };
        below.ancestors().map(|group| self.point.join(group).join(self.version.limit_file())).collect()
    }
}

/// Blanks and the like are written as three octal digits, `\040`.
fn unescaped(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        let code = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &after[3..] } else { after };
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests;

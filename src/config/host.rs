//! What defaults depend on: this machine, its limits and this process's user.

use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;

/// Facts about the machine, read once. Tests make their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Bytes of memory, or of the control group's limit where that is less.
    pub memory: u64,
    /// Processors this process may use.
    pub cores: usize,
    /// Where sockets of this user go.
    pub runtime_directory: PathBuf,
}

impl Host {
    /// Reads `/proc` and `/sys`.
    pub fn current() -> Host {
        let cgroup = cgroup_memory_limit();
        let memory = physical_memory().unwrap_or(ASSUMED_MEMORY);
        Host {
            memory: cgroup.map_or(memory, |limit| limit.min(memory)),
            cores: thread::available_parallelism().map_or(1, NonZero::get),
            runtime_directory: runtime_directory(),
        }
    }
}

/// Used where `/proc/meminfo` cannot be read: small, so that nothing is promised that may not be there.
const ASSUMED_MEMORY: u64 = 512 << 20;

fn physical_memory() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The smallest limit of this process's control group and those above it, version 2 or 1.
fn cgroup_memory_limit() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let root = Path::new("/sys/fs/cgroup");
    let unified = root.join(own);
    let unified = unified.ancestors().take_while(|group| group.starts_with(root)).map(|group| group.join("memory.max"));
    let legacy = root.join("memory/memory.limit_in_bytes");
    unified.chain([legacy]).filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok()).min()
}

/// `$XDG_RUNTIME_DIR`; else `/run/respgate` where it exists, as systemd's `RuntimeDirectory=` makes it; else a
/// directory in `/tmp` named after the user, which the admin socket creates for the user alone.
fn runtime_directory() -> PathBuf {
    let xdg = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let run = Some(PathBuf::from("/run/respgate")).filter(|path| path.is_dir());
    let user = rustix::process::getuid().as_raw();
    xdg.or(run).unwrap_or_else(|| PathBuf::from(format!("/tmp/respgate-{user}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_memory_and_a_core() {
        let host = Host::current();
        assert!(host.memory > 16 << 20, "{host:?}");
        assert!(host.cores >= 1, "{host:?}");
        assert!(host.runtime_directory.is_absolute(), "{host:?}");
    }
}

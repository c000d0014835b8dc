//! What defaults depend on: this machine, its limits and this process's user.

mod cgroup;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;

/// Facts about the machine, read once. Tests make their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// What this process may have.
    pub memory: Memory,
    /// Processors this process may use.
    pub cores: usize,
    /// Where sockets of this user go.
    pub runtime_directory: PathBuf,
    /// The address that stands for all that this machine has: `[::]` takes IPv4 too, where there is IPv6 at all.
    pub every_address: IpAddr,
}

/// How much memory there is, and where that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// Bytes of the machine, or of a limit of its control groups where that is less.
    pub bytes: u64,
    /// The file that says so.
    pub source: PathBuf,
}

impl Host {
    /// Reads `/proc` and `/sys`.
    pub fn current() -> Host {
        let physical = Memory { bytes: physical_memory().unwrap_or(ASSUMED_MEMORY), source: MEMINFO.into() };
        let limit = cgroup::memory_limit(Path::new("/")).filter(|limit| limit.bytes < physical.bytes);
        Host {
            memory: limit.unwrap_or(physical),
            cores: thread::available_parallelism().map_or(1, NonZero::get),
            runtime_directory: runtime_directory(),
            every_address: every_address(),
        }
    }
}

const MEMINFO: &str = "/proc/meminfo";

/// Where IPv6 is off there is no `[::]`, and where `bindv6only` is set it takes no IPv4.
fn every_address() -> IpAddr {
    let has_ipv6 = fs::read_to_string("/proc/net/if_inet6").is_ok_and(|addresses| !addresses.is_empty());
    let is_ipv6_alone = fs::read_to_string("/proc/sys/net/ipv6/bindv6only").is_ok_and(|setting| setting.trim() != "0");
    if has_ipv6 && !is_ipv6_alone { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() }
}

/// Used where `/proc/meminfo` cannot be read: small, so that nothing is promised that may not be there.
const ASSUMED_MEMORY: u64 = 512 << 20;

fn physical_memory() -> Option<u64> {
    let meminfo = fs::read_to_string(MEMINFO).ok()?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
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
        assert!(host.memory.bytes > 16 << 20, "{host:?}");
        assert!(host.cores >= 1, "{host:?}");
        assert!(host.runtime_directory.is_absolute(), "{host:?}");
    }
}

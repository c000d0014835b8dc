//! Who listens on this host, from `/proc`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// A socket that listens over TCP.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listening {
    /// Where. `::` may stand for IPv4 as well.
    pub address: SocketAddr,
    /// Whose it is; `None` where the system does not let us see.
    pub process: Option<Process>,
}

/// A unix socket that listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixListening {
    /// Where.
    pub path: PathBuf,
    /// Whose it is; `None` where the system does not let us see.
    pub process: Option<Process>,
    /// Who may connect, as permission bits; `None` where it is not seen from here, as in a container.
    pub mode: Option<u32>,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// Its name, as the kernel has it.
    pub name: String,
    /// Its number.
    pub pid: u32,
    /// The number of the user it runs as.
    pub user: u32,
}

impl Process {
    /// Whether its name is that of a Redis or of one of its relatives.
    pub fn is_redis(&self) -> bool {
        ["redis-server", "valkey-server", "keydb-server"].contains(&self.name.as_str())
    }
}

/// Everybody who listens in the network of this process.
///
/// # Errors
/// `/proc` cannot be read.
pub fn listening() -> io::Result<Vec<Listening>> {
    let mut sockets = parse(&fs::read_to_string("/proc/net/tcp")?, LISTENS);
    // Without IPv6 there is no such file.
    sockets.extend(fs::read_to_string("/proc/net/tcp6").map(|text| parse(&text, LISTENS)).unwrap_or_default());
    let owners = owners(&sockets.iter().map(|(_, inode)| *inode).collect());
    let mut found: Vec<Listening> = sockets
        .into_iter()
        .map(|(address, inode)| Listening { address, process: owners.get(&inode).cloned() })
        .collect();
    found.sort();
    found.dedup();
    Ok(found)
}

/// The sockets of connections over TCP that processes of this host hold, by their address at this end.
pub fn connected() -> BTreeMap<SocketAddr, Process> {
    const ESTABLISHED: &str = "01";
    let read = |path| fs::read_to_string(path).map(|text| parse(&text, ESTABLISHED)).unwrap_or_default();
    let sockets: Vec<(SocketAddr, u64)> = [read("/proc/net/tcp"), read("/proc/net/tcp6")].concat();
    let owners = owners(&sockets.iter().map(|(_, inode)| *inode).collect());
    let owned = |(address, inode): (SocketAddr, u64)| Some((address, owners.get(&inode)?.clone()));
    sockets.into_iter().filter_map(owned).collect()
}

/// Every unix socket that somebody listens on and that has a path.
///
/// # Errors
/// `/proc` cannot be read.
pub fn unix_listening() -> io::Result<Vec<UnixListening>> {
    let sockets = parse_unix(&fs::read_to_string("/proc/net/unix")?);
    let owners = owners(&sockets.iter().map(|(_, inode)| *inode).collect());
    let socket = |(path, inode): (PathBuf, u64)| {
        let mode = fs::metadata(&path).ok().map(|metadata| metadata.mode() & 0o7777);
        UnixListening { path, process: owners.get(&inode).cloned(), mode }
    };
    Ok(sockets.into_iter().map(socket).collect())
}

/// Every Redis that runs on this host, wherever it listens.
pub fn redis_processes() -> Vec<Process> {
    pids().filter_map(process).filter(Process::is_redis).collect()
}

/// A socket that listens [TCP_LISTEN].
const LISTENS: &str = "0A";

/// The sockets of a `/proc/net/tcp` or `tcp6` that are in this state, with their inodes.
fn parse(text: &str, wanted: &str) -> Vec<(SocketAddr, u64)> {
    let socket = |line: &str| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let (local, state, inode) = (columns.get(1)?, columns.get(3)?, columns.get(9)?);
        (*state == wanted).then_some((address(local)?, inode.parse().ok()?))
    };
    text.lines().skip(1).filter_map(socket).collect()
}

/// The listening sockets of a `/proc/net/unix`, with their inodes.
fn parse_unix(text: &str) -> Vec<(PathBuf, u64)> {
    /// It accepts connections [__SO_ACCEPTCON].
    const LISTENS: &str = "00010000";
    let socket = |line: &str| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let (flags, inode, path) = (columns.get(3)?, columns.get(6)?, columns.get(7)?);
        (*flags == LISTENS && path.starts_with('/')).then_some((PathBuf::from(path), inode.parse().ok()?))
    };
    text.lines().skip(1).filter_map(socket).collect()
}

/// Words of 32 bits, each as this machine keeps what has the order of the network, and the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| Some(u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(words.concat()).ok()?))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// The processes that hold sockets of these inodes; those of which we may see it.
fn owners(inodes: &BTreeSet<u64>) -> BTreeMap<u64, Process> {
    let mut owners = BTreeMap::new();
    for pid in pids() {
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        for link in descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()) {
            let inode = link.to_str().and_then(|link| link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
            if let Some(inode) = inode.filter(|inode| inodes.contains(inode) && !owners.contains_key(inode)) {
                owners.extend(process(pid).map(|process| (inode, process)));
            }
        }
    }
    owners
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn process(pid: u32) -> Option<Process> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    let user = fs::metadata(format!("/proc/{pid}")).ok()?.uid();
    Some(Process { name: name.trim_end().to_owned(), pid, user })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn every_listening_socket_is_found_with_its_process() {
        for ip in ["127.0.0.1", "::1"] {
            let Ok(listener) = TcpListener::bind((ip, 0)) else { continue };
            let address = listener.local_addr().unwrap();
            let found = listening().unwrap().into_iter().find(|found| found.address == address).unwrap();
            assert_eq!(found.process.unwrap().pid, std::process::id());
            drop(listener);
            assert!(listening().unwrap().iter().all(|found| found.address != address));
        }
    }

    #[test]
    fn unix_sockets_are_found_with_their_process_and_who_may_connect() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o770)).unwrap();
        let found = unix_listening().unwrap().into_iter().find(|found| found.path == path).unwrap();
        assert_eq!((found.process.unwrap().pid, found.mode), (std::process::id(), Some(0o770)));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn addresses_are_read_as_the_kernel_writes_them_and_connections_are_no_listeners() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                    0: 0100007F:18EB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 42 1 x\n   \
                    1: 00000000:18EC 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 43 1 x\n   \
                    2: 0100007F:18EB 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 44 1 x\n   \
                    3: 00000000000000000000000001000000:18EB 00:0 0A 0:0 00:0 0     0        0 45 1 x\n";
        let found: Vec<(String, u64)> =
            parse(text, LISTENS).iter().map(|(address, inode)| (address.to_string(), *inode)).collect();
        let wanted = [("127.0.0.1:6379", 42), ("0.0.0.0:6380", 43), ("[::1]:6379", 45)];
        assert_eq!(found, wanted.map(|(address, inode)| (address.to_owned(), inode)));
    }
}

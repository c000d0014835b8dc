//! Listening sockets that a service manager has opened and handed on [sd_listen_fds(3)].
//!
//! It keeps them, and other instances of this program may have them too. So at the end they are closed and nothing else:
//! who waits in their queue is accepted by a successor.

use std::env;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::Path;

use listenfd::ListenFd;
use rustix::net::sockopt;

use crate::config::{ListenAddress, TunnelAddress};

/// What a socket is called that nobody has named.
const UNNAMED: &str = "unknown";

/// The sockets that neither a listener nor a tunnel has claimed yet.
#[derive(Debug, Default)]
pub struct InheritedSockets(Vec<InheritedSocket>);

#[derive(Debug)]
struct InheritedSocket {
    name: String,
    socket: InheritedListener,
}

/// A socket of either kind, non-blocking.
#[derive(Debug)]
pub enum InheritedListener {
    /// A port.
    Tcp(SocketAddr, TcpListener),
    /// A unix socket.
    Unix(UnixListener),
}

impl InheritedSockets {
    /// Those that the environment announces to this process. Once a process, before it has threads.
    ///
    /// # Errors
    /// One is no listening stream socket.
    pub fn from_environment() -> Result<Self, InheritedError> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':').filter(|name| !name.is_empty());
        let mut announced = ListenFd::from_env();
        let mut sockets = Vec::new();
        for number in 0..announced.len() {
            let name = names.next().unwrap_or(UNNAMED).to_owned();
            let unusable = |error| InheritedError::Unusable(name.clone(), error);
            // It stays where it is if it is of another kind.
            let taken = match announced.take_unix_listener(number) {
                Ok(socket) => socket.map(InheritedListener::of_unix),
                Err(_) => announced.take_tcp_listener(number).map_err(unusable)?.map(InheritedListener::of_tcp),
            };
            let Some(socket) = taken else { continue };
            let socket = socket.map_err(unusable)?;
            sockets.push(InheritedSocket { name, socket });
        }
        Ok(Self(sockets))
    }

    /// Takes those on which a listener is to accept: all of that name, or those that listen at that address.
    pub fn claim(&mut self, address: &ListenAddress) -> Vec<TcpListener> {
        let is_meant = |inherited: &mut InheritedSocket| match (address, &inherited.socket) {
            (ListenAddress::Tcp(address), InheritedListener::Tcp(own, _)) => own == address,
            (ListenAddress::Inherited(name), InheritedListener::Tcp(..)) => inherited.name == *name,
            (_, InheritedListener::Unix(_)) => false,
        };
        let meant = self.0.extract_if(.., is_meant).map(|inherited| inherited.socket);
        meant.filter_map(InheritedListener::into_tcp).collect()
    }

    /// The same for a tunnel, which accepts on unix sockets as well.
    pub fn claim_for_tunnel(&mut self, address: &TunnelAddress) -> Vec<InheritedListener> {
        let is_meant = |inherited: &mut InheritedSocket| match (address, &inherited.socket) {
            (TunnelAddress::Inherited(name), _) => inherited.name == *name,
            (TunnelAddress::Tcp(address), InheritedListener::Tcp(own, _)) => own == address,
            (TunnelAddress::Unix(path), InheritedListener::Unix(socket)) => is_at(socket, path),
            (TunnelAddress::Tcp(_) | TunnelAddress::Unix(_), _) => false,
        };
        self.0.extract_if(.., is_meant).map(|inherited| inherited.socket).collect()
    }

    /// That every one has been claimed: clients of another would wait for ever.
    ///
    /// # Errors
    /// One has not.
    pub fn all_claimed(&self) -> Result<(), InheritedError> {
        match self.0.first() {
            None => Ok(()),
            Some(InheritedSocket { name, socket }) => Err(InheritedError::Unclaimed(name.clone(), socket.to_string())),
        }
    }
}

impl InheritedListener {
    fn of_unix(socket: UnixListener) -> io::Result<InheritedListener> {
        expect_listening(&socket)?;
        socket.set_nonblocking(true)?;
        Ok(InheritedListener::Unix(socket))
    }

    fn of_tcp(socket: TcpListener) -> io::Result<InheritedListener> {
        expect_listening(&socket)?;
        socket.set_nonblocking(true)?;
        Ok(InheritedListener::Tcp(socket.local_addr()?, socket))
    }

    fn into_tcp(self) -> Option<TcpListener> {
        match self {
            InheritedListener::Tcp(_, socket) => Some(socket),
            InheritedListener::Unix(_) => None,
        }
    }
}

impl fmt::Display for InheritedListener {
    /// As the configuration names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InheritedListener::Tcp(address, _) => write!(f, "{address}"),
            InheritedListener::Unix(socket) => match socket.local_addr() {
                Ok(address) => write!(f, "unix:{}", address.as_pathname().unwrap_or(Path::new("?")).display()),
                Err(_) => f.write_str("unix:?"),
            },
        }
    }
}

fn expect_listening(socket: &impl AsFd) -> io::Result<()> {
    match sockopt::socket_acceptconn(socket)? {
        true => Ok(()),
        false => Err(io::Error::other("it does not listen (Accept=yes?)")),
    }
}

fn is_at(socket: &UnixListener, path: &Path) -> bool {
    socket.local_addr().is_ok_and(|address| address.as_pathname() == Some(path))
}

/// Sockets that are inherited and listeners that are configured do not fit.
#[derive(Debug)]
pub enum InheritedError {
    /// The socket of this name cannot be accepted on.
    Unusable(String, io::Error),
    /// A listener names sockets that are not there.
    Missing(String),
    /// Neither a listener nor a tunnel claims this socket, which listens there.
    Unclaimed(String, String),
}

impl fmt::Display for InheritedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unusable(name, error) => write!(f, "the inherited socket {name} cannot be used: {error}"),
            Self::Missing(name) => write!(
                f,
                "no socket named {name} is inherited: it takes a socket unit with FileDescriptorName={name}, and to be \
                 started by it"
            ),
            Self::Unclaimed(name, address) => write!(
                f,
                "no listener claims the inherited socket {name} at {address}: write listen = \"{}{name}\" or \
                 listen = \"{address}\"",
                ListenAddress::INHERITED
            ),
        }
    }
}

impl std::error::Error for InheritedError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn inherited(names: &[&str]) -> InheritedSockets {
        let socket = |name: &&str| {
            let socket = TcpListener::bind("127.0.0.1:0").expect("a port is free");
            let address = socket.local_addr().expect("it is bound");
            InheritedSocket { name: (*name).to_owned(), socket: InheritedListener::Tcp(address, socket) }
        };
        InheritedSockets(names.iter().map(socket).collect())
    }

    #[test]
    fn a_listener_claims_all_sockets_of_its_name_and_no_other() {
        let mut sockets = inherited(&["a", "b", "a"]);
        let name = |name: &str| ListenAddress::Inherited(name.to_owned());
        assert_eq!((sockets.claim(&name("a")).len(), sockets.claim(&name("a")).len()), (2, 0));
        assert!(matches!(sockets.all_claimed(), Err(InheritedError::Unclaimed(name, _)) if name == "b"));
        assert_eq!(sockets.claim(&name("b")).len(), 1);
        assert!(sockets.all_claimed().is_ok());
    }

    #[test]
    fn a_listener_claims_the_socket_that_listens_at_its_address() {
        let mut sockets = inherited(&["a", "b"]);
        let [_, second] = &sockets.0[..] else { panic!("two sockets") };
        let InheritedListener::Tcp(address, _) = second.socket else { panic!("a port") };
        let claimed = sockets.claim(&ListenAddress::Tcp(address));
        assert_eq!(claimed[0].local_addr().expect("it is bound"), address);
        assert!(matches!(sockets.all_claimed(), Err(InheritedError::Unclaimed(name, _)) if name == "a"));
    }

    #[test]
    fn a_unix_socket_is_for_a_tunnel_alone_by_its_name_or_its_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("redis.sock");
        let unix = || {
            let socket = UnixListener::bind(&path).expect("it is free");
            std::fs::remove_file(&path).expect("it was made");
            InheritedSockets(vec![InheritedSocket { name: "a".to_owned(), socket: InheritedListener::Unix(socket) }])
        };
        assert_eq!(unix().claim(&ListenAddress::Inherited("a".to_owned())).len(), 0);
        let claimed = |address| unix().claim_for_tunnel(&address).len();
        assert_eq!(claimed(TunnelAddress::Inherited("a".to_owned())), 1);
        assert_eq!(claimed(TunnelAddress::Inherited("b".to_owned())), 0);
        assert_eq!(claimed(TunnelAddress::Unix(path.clone())), 1);
        assert_eq!(claimed(TunnelAddress::Unix(folder.path().join("other.sock"))), 0);
        let error = unix().all_claimed().expect_err("nobody has claimed it").to_string();
        assert!(error.contains(&format!("listen = \"unix:{}\"", path.display())), "{error}");
    }
}

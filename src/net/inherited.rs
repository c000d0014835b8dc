//! Listening sockets that a service manager has opened and handed on [sd_listen_fds(3)].
//!
//! It keeps them, and other instances of this program may have them too. So at the end they are closed and nothing else:
//! who waits in their queue is accepted by a successor.

use std::env;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;
use rustix::net::sockopt;

use crate::config::ListenAddress;

/// What a socket is called that nobody has named.
const UNNAMED: &str = "unknown";

/// The sockets that no listener has claimed yet.
#[derive(Debug, Default)]
pub struct InheritedSockets(Vec<InheritedSocket>);

#[derive(Debug)]
struct InheritedSocket {
    name: String,
    address: SocketAddr,
    socket: TcpListener,
}

impl InheritedSockets {
    /// Those that the environment announces to this process. Once a process, before it has threads.
    ///
    /// # Errors
    /// One is no listening TCP socket.
    pub fn from_environment() -> Result<Self, InheritedError> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':').filter(|name| !name.is_empty());
        let mut announced = ListenFd::from_env();
        let mut sockets = Vec::new();
        for number in 0..announced.len() {
            let name = names.next().unwrap_or(UNNAMED).to_owned();
            let unusable = |error| InheritedError::Unusable(name.clone(), error);
            let Some(socket) = announced.take_tcp_listener(number).map_err(unusable)? else { continue };
            if !sockopt::socket_acceptconn(&socket).map_err(|error| unusable(error.into()))? {
                return Err(unusable(io::Error::other("it does not listen (Accept=yes?)")));
            }
            socket.set_nonblocking(true).map_err(unusable)?;
            let address = socket.local_addr().map_err(unusable)?;
            sockets.push(InheritedSocket { name, address, socket });
        }
        Ok(Self(sockets))
    }

    /// Takes those on which a listener is to accept: all of that name, or those that listen at that address.
    pub fn claim(&mut self, address: &ListenAddress) -> Vec<TcpListener> {
        let is_meant = |inherited: &mut InheritedSocket| match address {
            ListenAddress::Tcp(address) => inherited.address == *address,
            ListenAddress::Inherited(name) => inherited.name == *name,
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
            Some(InheritedSocket { name, address, .. }) => Err(InheritedError::Unclaimed(name.clone(), *address)),
        }
    }
}

/// Sockets that are inherited and listeners that are configured do not fit.
#[derive(Debug)]
pub enum InheritedError {
    /// The socket of this name cannot be accepted on.
    Unusable(String, io::Error),
    /// A listener names sockets that are not there.
    Missing(String),
    /// No listener claims this socket.
    Unclaimed(String, SocketAddr),
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
            InheritedSocket { name: (*name).to_owned(), address, socket }
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
        let address = second.address;
        let claimed = sockets.claim(&ListenAddress::Tcp(address));
        assert_eq!(claimed[0].local_addr().expect("it is bound"), address);
        assert!(matches!(sockets.all_claimed(), Err(InheritedError::Unclaimed(name, _)) if name == "a"));
    }
}

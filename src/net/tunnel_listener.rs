//! Accepting applications that want a tunnel, and handing them to workers.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::{TcpListener, UnixListener};

use super::applications::Applications;
use super::inherited::{InheritedError, InheritedListener, InheritedSockets};
use super::listener;
use super::unix_socket::{Access, UnixSocket, UnixSocketError};
use super::worker::{Application, Mailbox};
use crate::audit::TunnelLabel;
use crate::audit::client_events::ClientEvents;
use crate::audit::words::Exhausted;
use crate::config::{Tunnel, TunnelAddress};
use crate::generation::Generation;
use crate::tunnel::PlainSocket;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// How long to wait after a failed accept.
const PAUSE: Duration = Duration::from_millis(100);

/// A socket on which applications are accepted.
#[derive(Debug)]
pub enum TunnelSocket {
    /// A unix socket that was made, and goes with the process.
    Made(UnixSocket),
    /// One that is inherited, and stays.
    Unix(UnixListener),
    /// A port.
    Tcp(TcpListener),
}

/// Why a tunnel has no socket.
#[derive(Debug)]
pub enum TunnelListenError {
    /// The unix socket cannot be made.
    Unix(UnixSocketError),
    /// The address cannot be had.
    Bind(SocketAddr, io::Error),
    /// What is inherited does not fit.
    Inherited(InheritedError),
    /// The system denies something that every process needs.
    System(io::Error),
}

/// The sockets on which a tunnel accepts: those that are inherited for it, or one that is bound. Needs a tokio runtime.
///
/// # Errors
/// There is none to be had.
pub fn open(tunnel: &Tunnel, inherited: &mut InheritedSockets) -> Result<Vec<TunnelSocket>, TunnelListenError> {
    let claimed = inherited.claim_for_tunnel(&tunnel.listen);
    if !claimed.is_empty() {
        let registered: io::Result<_> = claimed.into_iter().map(TunnelSocket::register).collect();
        return registered.map_err(TunnelListenError::System);
    }
    let made = match &tunnel.listen {
        TunnelAddress::Unix(path) => {
            let access = tunnel.listen_group.map_or(Access::OwnGroup, Access::Group);
            TunnelSocket::Made(UnixSocket::bind(path, access, BACKLOG).map_err(TunnelListenError::Unix)?)
        }
        TunnelAddress::Tcp(address) => {
            let bound = listener::bind(*address).map_err(|error| TunnelListenError::Bind(*address, error))?;
            TunnelSocket::Tcp(bound)
        }
        TunnelAddress::Inherited(name) => {
            return Err(TunnelListenError::Inherited(InheritedError::Missing(name.clone())));
        }
    };
    Ok(vec![made])
}

impl TunnelSocket {
    fn register(inherited: InheritedListener) -> io::Result<TunnelSocket> {
        Ok(match inherited {
            InheritedListener::Tcp(_, socket) => TunnelSocket::Tcp(TcpListener::from_std(socket)?),
            InheritedListener::Unix(socket) => TunnelSocket::Unix(UnixListener::from_std(socket)?),
        })
    }

    /// Where it listens, as the log says it.
    ///
    /// # Errors
    /// The system's.
    pub fn address(&self) -> io::Result<String> {
        match self {
            TunnelSocket::Made(socket) => Ok(written(socket.path())),
            TunnelSocket::Unix(listener) => {
                listener.local_addr().map(|address| written(address.as_pathname().unwrap_or(Path::new("?"))))
            }
            TunnelSocket::Tcp(listener) => listener.local_addr().map(|address| address.to_string()),
        }
    }

    async fn accept(&self) -> io::Result<PlainSocket> {
        match self {
            TunnelSocket::Made(socket) => socket.accept().await?.into_std().map(PlainSocket::Unix),
            TunnelSocket::Unix(listener) => listener.accept().await?.0.into_std().map(PlainSocket::Unix),
            TunnelSocket::Tcp(listener) => {
                let (socket, _) = listener.accept().await?;
                socket.set_nodelay(true)?;
                socket.into_std().map(PlainSocket::Tcp)
            }
        }
    }
}

/// A unix socket, as the configuration names it.
fn written(path: &Path) -> String {
    format!("unix:{}", path.display())
}

/// Accepts applications for as long as it is polled and gives each to the worker that has the fewest connections.
pub async fn accept(
    socket: TunnelSocket,
    number: usize,
    generation: Arc<ArcSwap<Generation>>,
    applications: Arc<Applications>,
    workers: Vec<Mailbox>,
    events: Arc<ClientEvents>,
) {
    loop {
        let plain = match socket.accept().await {
            Ok(plain) => plain,
            // That one has gone again.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => {
                events.accept_failed(&error);
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        events.counts().tunnel_arrived(number);
        let generation = generation.load();
        let Some(Tunnel { listen, maxclients, .. }) = generation.config.tunnels.get(number) else { continue };
        let Some(permit) = applications.enter(*maxclients) else {
            events.tunnel_refused(TunnelLabel { number, listen }, Exhausted::Clients);
            continue;
        };
        if let Some(worker) = workers.iter().min_by_key(|worker| worker.load()) {
            worker.send_application(Application { plain, tunnel: number, permit });
        }
    }
}

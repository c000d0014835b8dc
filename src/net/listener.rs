//! Accepting connections and handing them to workers.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use super::addresses::{canonical, is_balancer, may_connect};
use super::gate::Gate;
use super::inherited::{InheritedError, InheritedSockets};
use super::unsent;
use super::worker::{Arrival, Mailbox};
use crate::audit::client_events::ClientEvents;
use crate::config::ListenAddress;
use crate::generation::Generation;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// How long to wait after a failed accept: without file descriptors the next one would fail at once.
const PAUSE: Duration = Duration::from_millis(100);

/// The sockets on which a listener accepts: those that are inherited for it, or one that is bound. Needs a tokio runtime.
///
/// # Errors
/// There is none to be had.
pub fn open(address: &ListenAddress, inherited: &mut InheritedSockets) -> Result<Vec<TcpListener>, ListenError> {
    let claimed = inherited.claim(address);
    match address {
        ListenAddress::Inherited(name) if claimed.is_empty() => {
            Err(ListenError::Inherited(InheritedError::Missing(name.clone())))
        }
        ListenAddress::Tcp(address) if claimed.is_empty() => {
            let bound = bind(*address).map_err(|error| ListenError::Bind(*address, error))?;
            Ok(vec![bound])
        }
        _ => {
            let registered = claimed.into_iter().map(TcpListener::from_std).collect::<io::Result<_>>();
            registered.map_err(ListenError::System)
        }
    }
}

/// Why a listener has no socket.
#[derive(Debug)]
pub enum ListenError {
    /// The address cannot be had.
    Bind(SocketAddr, io::Error),
    /// What is inherited does not fit.
    Inherited(InheritedError),
    /// The system denies something that every process needs.
    System(io::Error),
}

/// Binds a listening socket. Needs a tokio runtime.
///
/// # Errors
/// The address is taken, is not ours, or its port is reserved.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts connections for as long as it is polled and gives each to the worker that has the fewest.
pub async fn accept(
    listener: TcpListener,
    number: usize,
    generation: Arc<ArcSwap<Generation>>,
    gate: Arc<Gate>,
    workers: Vec<Mailbox>,
    events: Arc<ClientEvents>,
) {
    loop {
        let (socket, address) = match listener.accept().await {
            Ok((socket, address)) => (socket, canonical(address)),
            // That one client has gone again.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => {
                events.accept_failed(&error);
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        events.counts().arrived(number);
        let generation = generation.load();
        let Some(settings) = generation.config.listeners.get(number) else { continue };
        let is_balancer = is_balancer(settings, address.ip());
        if !is_balancer && let Err(refusal) = may_connect(settings, address.ip()) {
            events.refused_address(address, None, refusal);
            continue;
        }
        let entrance = match is_balancer {
            false => gate.enter(address.ip()),
            true => gate.enter_unannounced(address.ip()),
        };
        let entrance = match entrance {
            Ok(entrance) => entrance,
            Err(exhausted) => {
                events.turned_away(address, None, exhausted);
                continue;
            }
        };
        let probed = generation.config.limits.tcp_keepalive.map_or(Ok(()), |keepalive| keepalive.set_on(&socket));
        let bounded = probed.and_then(|()| unsent::bound(&socket, unsent::OF_UNAUTHENTICATED));
        let Ok(socket) = bounded.and_then(|()| socket.set_nodelay(true)).and_then(|()| socket.into_std()) else {
            continue;
        };
        if let Some(worker) = workers.iter().min_by_key(|worker| worker.load()) {
            worker.send(Arrival { socket, address, listener: number, is_balancer, entrance });
        }
    }
}

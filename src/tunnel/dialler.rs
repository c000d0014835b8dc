//! Finds a server that answers and whose certificate is good: names, addresses and handshakes, one after the other.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::names::Names;
use crate::audit::words::TunnelFault;
use crate::config::{Endpoint, Tunnel};
use crate::keepalive::Keepalive;
use crate::tls::{ClientMaterial, ServerConnection, server_connection};

/// For so long after an address has failed the others are tried before it.
const LATELY: Duration = Duration::from_secs(10);

/// So many addresses are tried for one application, however many the names have.
const MOST_ATTEMPTS: usize = 16;

/// Dials for all applications of one thread.
#[derive(Debug, Default)]
pub struct Dialler {
    names: Rc<Names>,
    /// When addresses have failed last.
    failed: RefCell<HashMap<SocketAddr, Instant>>,
}

/// A connection to a server whose certificate is good.
#[derive(Debug)]
pub struct Dialled {
    /// Which one it is.
    pub address: SocketAddr,
    /// The connection.
    pub connection: ServerConnection,
}

impl Dialler {
    /// A connection to the first server that there is one to; `None` if there is to none. `tell` hears of every attempt that
    /// has failed: of the server, and its address where it came so far, the fault, and what it was in words.
    pub async fn dial(
        &self,
        tunnel: &Tunnel,
        material: &ClientMaterial,
        keepalive: Option<Keepalive>,
        tell: impl Fn(&Endpoint, Option<SocketAddr>, TunnelFault, &str),
    ) -> Option<Dialled> {
        let limit = tunnel.connect_timeout;
        let attempts = Cell::new(0);
        let attempt = async |endpoint: &Endpoint, address| {
            if attempts.replace(attempts.get() + 1) >= MOST_ATTEMPTS {
                return None;
            }
            let connected = timeout(limit, connect(address, endpoint, material, keepalive)).await;
            let timed_out = |_| Err((TunnelFault::Timeout, format!("no answer within {limit:?}")));
            match connected.unwrap_or_else(timed_out) {
                Ok(connection) => {
                    self.failed.borrow_mut().remove(&address);
                    Some(Dialled { address, connection })
                }
                Err((fault, words)) => {
                    self.note_failed(address);
                    tell(endpoint, Some(address), fault, &words);
                    None
                }
            }
        };
        let mut put_off = Vec::new();
        for endpoint in &tunnel.connect {
            let resolved = timeout(limit, self.names.resolve(endpoint)).await;
            let addresses = match resolved.unwrap_or_else(|_| Err(format!("no answer within {limit:?}"))) {
                Ok(addresses) => addresses,
                Err(words) => {
                    tell(endpoint, None, TunnelFault::Name, &words);
                    continue;
                }
            };
            for address in addresses {
                if self.has_failed_lately(address) {
                    put_off.push((endpoint, address));
                } else if let Some(dialled) = attempt(endpoint, address).await {
                    return Some(dialled);
                }
            }
        }
        for (endpoint, address) in put_off {
            if let Some(dialled) = attempt(endpoint, address).await {
                return Some(dialled);
            }
        }
        None
    }

    fn has_failed_lately(&self, address: SocketAddr) -> bool {
        self.failed.borrow().get(&address).is_some_and(|failed| failed.elapsed() < LATELY)
    }

    fn note_failed(&self, address: SocketAddr) {
        let mut failed = self.failed.borrow_mut();
        failed.retain(|_, failed| failed.elapsed() < LATELY);
        failed.insert(address, Instant::now());
    }
}

async fn connect(
    address: SocketAddr,
    endpoint: &Endpoint,
    material: &ClientMaterial,
    keepalive: Option<Keepalive>,
) -> Result<ServerConnection, (TunnelFault, String)> {
    let failed = |error: std::io::Error| (TunnelFault::Connect, error.to_string());
    let socket = TcpStream::connect(address).await.map_err(failed)?;
    socket.set_nodelay(true).map_err(failed)?;
    if let Some(keepalive) = keepalive {
        keepalive.set_on(&socket).map_err(failed)?;
    }
    let connected = server_connection::connect(socket, material, &endpoint.name).await;
    connected.map_err(|error| (TunnelFault::Server(error.fault), error.to_string()))
}

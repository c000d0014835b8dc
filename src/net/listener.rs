//! Accepting connections and handing them to workers.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use super::gate::{Entrance, Gate};
use super::unsent;
use super::worker::Mailbox;
use crate::audit::client_events::ClientEvents;
use crate::audit::words::AddressRefusal;
use crate::keepalive::Keepalive;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// How long to wait after a failed accept: without file descriptors the next one would fail at once.
const PAUSE: Duration = Duration::from_millis(100);

/// A connection on its way to a worker.
#[derive(Debug)]
pub struct Arrival {
    /// The connection, non-blocking, TCP_NODELAY, with its keepalive, and as little unsent as for a stranger.
    pub socket: std::net::TcpStream,
    /// Where it comes from, [`canonical`]; where `announced` is set, the balancer's address.
    pub address: SocketAddr,
    /// Which listener it came in through.
    pub listener: usize,
    /// A PROXY protocol header comes first, and this filter judges the address in it.
    pub announced: Option<Arc<AddressFilter>>,
    /// How it gets its place.
    pub entrance: Entrance,
}

/// Who may connect at all.
#[derive(Debug, Clone, Default)]
pub struct AddressFilter {
    /// Nobody else, unless empty.
    pub allow: Vec<IpNet>,
    /// Nobody of these, whatever `allow` says.
    pub deny: Vec<IpNet>,
    /// Balancers: who speaks the PROXY protocol, and is not judged itself.
    pub proxies: Vec<IpNet>,
}

impl AddressFilter {
    /// Whether a client may connect from this [`canonical`] address.
    ///
    /// # Errors
    /// Why it may not.
    pub fn admit(&self, address: IpAddr) -> Result<(), AddressRefusal> {
        if is_in(&self.deny, address) {
            Err(AddressRefusal::Denied)
        } else if self.allow.is_empty() || is_in(&self.allow, address) {
            Ok(())
        } else {
            Err(AddressRefusal::NotAllowed)
        }
    }
}

fn is_in(ranges: &[IpNet], address: IpAddr) -> bool {
    ranges.iter().any(|range| range.contains(&address))
}

/// The one form in which a client's address is known from its entry on: a socket that takes both families, and some
/// balancers, show IPv4 addresses as IPv6 (`::ffff:192.0.2.1`). Rules are read into the same form.
pub(super) fn canonical(mut address: SocketAddr) -> SocketAddr {
    if let ip @ IpAddr::V4(_) = address.ip().to_canonical() {
        address.set_ip(ip);
    }
    address
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
    filter: AddressFilter,
    gate: Arc<Gate>,
    workers: Vec<Mailbox>,
    events: Arc<ClientEvents>,
    keepalive: Option<Keepalive>,
) {
    let filter = Arc::new(filter);
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
        let announced = is_in(&filter.proxies, address.ip()).then(|| Arc::clone(&filter));
        if announced.is_none()
            && let Err(refusal) = filter.admit(address.ip())
        {
            events.refused_address(address, None, refusal);
            continue;
        }
        let entrance = match &announced {
            None => gate.enter(address.ip()),
            Some(_) => gate.enter_unannounced(address.ip()),
        };
        let entrance = match entrance {
            Ok(entrance) => entrance,
            Err(exhausted) => {
                events.turned_away(address, None, exhausted);
                continue;
            }
        };
        let probed = keepalive.map_or(Ok(()), |keepalive| keepalive.set_on(&socket));
        let bounded = probed.and_then(|()| unsent::bound(&socket, unsent::OF_A_STRANGER));
        let Ok(socket) = bounded.and_then(|()| socket.set_nodelay(true)).and_then(|()| socket.into_std()) else {
            continue;
        };
        if let Some(worker) = workers.iter().min_by_key(|worker| worker.load()) {
            worker.send(Arrival { socket, address, listener: number, announced, entrance });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denied_range_is_stronger_than_an_allowed_one() {
        let ranges = |text: &str| text.split(' ').map(|range| range.parse().unwrap()).collect();
        let filter =
            AddressFilter { allow: ranges("10.0.0.0/8 ::1/128"), deny: ranges("10.1.0.0/16"), proxies: vec![] };
        let admit = |address: &str| filter.admit(address.parse().unwrap());
        assert_eq!((admit("10.2.3.4"), admit("::1")), (Ok(()), Ok(())));
        assert_eq!(admit("10.1.2.3"), Err(AddressRefusal::Denied));
        assert_eq!(admit("127.0.0.1"), Err(AddressRefusal::NotAllowed));
        assert_eq!(AddressFilter::default().admit("192.0.2.1".parse().unwrap()), Ok(()));
    }

    #[test]
    fn an_ipv4_address_in_ipv6_form_is_that_address() {
        for (shown, meant) in [
            ("[::ffff:192.0.2.1]:80", "192.0.2.1:80"),
            ("192.0.2.1:80", "192.0.2.1:80"),
            ("[2001:db8::1]:80", "[2001:db8::1]:80"),
            ("[fe80::1%2]:80", "[fe80::1%2]:80"),
            ("[::192.0.2.1]:80", "[::c000:201]:80"),
        ] {
            assert_eq!(canonical(shown.parse().unwrap()), meant.parse().unwrap());
        }
    }
}

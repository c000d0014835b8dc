//! `[HOST:]PORT` as stunnel writes it, and the same here.

use std::net::IpAddr;

/// Where to listen, or to connect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Address {
    /// A unix socket.
    Unix(String),
    /// A port alone.
    Port(u16),
    /// A port of a host, by address or name. An IPv6 address has no brackets.
    Host(String, u16),
}

impl Address {
    /// Everything behind the last colon is the port; a path is a unix socket. `None` for a service name such as `redis`.
    pub(super) fn parse(text: &str) -> Option<Address> {
        if text.starts_with('/') {
            return Some(Address::Unix(text.to_owned()));
        }
        match text.rsplit_once(':') {
            None => text.parse().ok().map(Address::Port),
            Some((host, port)) => Some(Address::Host(host.to_owned(), port.parse().ok()?)),
        }
    }

    /// The IP address that it is for certain: `localhost` is one, other names are not resolved.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        match self {
            Address::Host(host, _) if host.eq_ignore_ascii_case("localhost") => Some(IpAddr::from([127, 0, 0, 1])),
            // stunnel writes every IPv6 address as `::`, which `:::PORT` is.
            Address::Host(host, _) => host.parse().ok(),
            Address::Unix(_) | Address::Port(_) => None,
        }
    }

    /// As a setting here: with brackets around IPv6.
    pub(super) fn written(&self) -> String {
        match (self, self.ip()) {
            (Address::Unix(path), _) => format!("unix:{path}"),
            (Address::Port(port), _) => port.to_string(),
            (Address::Host(_, port), Some(ip)) => std::net::SocketAddr::new(ip, *port).to_string(),
            (Address::Host(host, port), None) => format!("{host}:{port}"),
        }
    }

    /// The same on loopback, where there is only a port: what `connect` means by that.
    pub(super) fn or_loopback(self) -> Address {
        match self {
            Address::Port(port) => Address::Host("127.0.0.1".to_owned(), port),
            other => other,
        }
    }
}

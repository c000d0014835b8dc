//! The host that is named.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// Where Redis is.
pub const REDIS_PORT: u16 = 6379;
/// Where respgate is, unless something else is said.
pub const GATE_PORT: u16 = 6380;

/// A host, and where respgate is on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// A name or an address.
    pub host: String,
    /// The port of respgate.
    pub port: u16,
}

impl FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Place, Self::Err> {
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return Ok(Place { host: address.to_string(), port: GATE_PORT });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                let port = port.parse().ok().filter(|port| *port != 0).ok_or("the port is a number from 1 to 65535")?;
                (host, port)
            }
            _ => (text, GATE_PORT),
        };
        if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            let address: Ipv6Addr = address.parse().map_err(|_| "between [ and ] stands an IPv6 address")?;
            return Ok(Place { host: address.to_string(), port });
        }
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let is_name = !host.is_empty() && !host.starts_with('-') && host.chars().all(is_of_name);
        if is_name { Ok(Place { host: host.to_owned(), port }) } else { Err("a host is a name or an address") }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.parse() {
            Ok(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            _ => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_a_port_or_without() {
        for (text, place) in [
            ("redis.example", "redis.example:6380"),
            ("redis.example:7000", "redis.example:7000"),
            ("192.0.2.7", "192.0.2.7:6380"),
            ("2001:db8::1", "[2001:db8::1]:6380"),
            ("[2001:db8::1]", "[2001:db8::1]:6380"),
            ("[2001:db8::1]:7000", "[2001:db8::1]:7000"),
        ] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), place);
        }
        for text in ["", ":6380", "redis.example:", "redis.example:0", "redis.example:99999", "a b", "-x", "[x]:1"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}

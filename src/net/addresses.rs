//! Which addresses may connect, and the form in which an address is known.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::audit::words::AddressRefusal;
use crate::config::Listener;

/// Whether a client may connect to a listener from this [`canonical`] address.
///
/// # Errors
/// Why it may not.
pub(super) fn may_connect(listener: &Listener, address: IpAddr) -> Result<(), AddressRefusal> {
    judge(address, &listener.allow, &listener.deny)
}

/// Whether a client may connect from this [`canonical`] address where these are allowed and denied. None allowed: everybody
/// is who is not denied.
///
/// # Errors
/// Why it may not.
pub fn judge(address: IpAddr, allow: &[IpNet], deny: &[IpNet]) -> Result<(), AddressRefusal> {
    if is_in(deny, address) {
        Err(AddressRefusal::Denied)
    } else if allow.is_empty() || is_in(allow, address) {
        Ok(())
    } else {
        Err(AddressRefusal::NotAllowed)
    }
}

/// Whether a listener expects the PROXY protocol from this [`canonical`] address.
pub(super) fn is_balancer(listener: &Listener, address: IpAddr) -> bool {
    is_in(&listener.proxy_protocol_from, address)
}

fn is_in(ranges: &[IpNet], address: IpAddr) -> bool {
    ranges.iter().any(|range| range.contains(&address))
}

/// The one form in which a client's address is known from its entry on: a socket that takes both families, and some
/// balancers, show IPv4 addresses as IPv6 (`::ffff:192.0.2.1`). Rules are read into the same form.
pub fn canonical(mut address: SocketAddr) -> SocketAddr {
    if let ip @ IpAddr::V4(_) = address.ip().to_canonical() {
        address.set_ip(ip);
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ListenAddress;

    #[test]
    fn a_denied_range_is_stronger_than_an_allowed_one() {
        let ranges = |text: &str| text.split(' ').map(|range| range.parse().unwrap()).collect();
        let mut listener = Listener {
            address: ListenAddress::Tcp("127.0.0.1:0".parse().unwrap()),
            tls: None,
            allow: ranges("10.0.0.0/8 ::1/128"),
            deny: ranges("10.1.0.0/16"),
            proxy_protocol_from: vec![],
        };
        let is_admitted = |listener: &Listener, address: &str| may_connect(listener, address.parse().unwrap());
        assert_eq!((is_admitted(&listener, "10.2.3.4"), is_admitted(&listener, "::1")), (Ok(()), Ok(())));
        assert_eq!(is_admitted(&listener, "10.1.2.3"), Err(AddressRefusal::Denied));
        assert_eq!(is_admitted(&listener, "127.0.0.1"), Err(AddressRefusal::NotAllowed));
        (listener.allow, listener.deny) = (vec![], vec![]);
        assert_eq!(is_admitted(&listener, "192.0.2.1"), Ok(()));
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

//! Which addresses may connect, and the form in which an address is known.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::audit::words::AddressRefusal;

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

/// Whether the address is of one of these ranges.
pub(super) fn is_in(ranges: &[IpNet], address: IpAddr) -> bool {
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

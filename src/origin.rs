//! Whom an address stands for, where something is counted by address. An IPv4 address has its own form here, never that of
//! IPv6. Pure.

use core::net::{IpAddr, Ipv6Addr};

/// An IPv4 address, or an IPv6 network of /64: whoever has one address there has them all.
pub type Origin = IpAddr;

/// What limits count as one address.
pub fn origin(address: IpAddr) -> Origin {
    leading(address, 64)
}

/// What of a flood comes from one place, most likely: an IPv4 address, or an IPv6 network of /48, as sites are given.
pub fn network(address: IpAddr) -> IpAddr {
    leading(address, 48)
}

fn leading(address: IpAddr, bits: u32) -> IpAddr {
    match address {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - bits)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_a_64_are_one_and_those_of_ipv4_are_not() {
        let of = |address: &str| origin(address.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1:2:3"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("192.0.2.7"), of("192.0.2.8"));
    }
}

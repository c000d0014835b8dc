//! One small parser for each kind of value.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};

use super::model::ListenAddress;

/// A size in bytes: `1048576`, or with a unit as in redis.conf: `k` is 1000, `kb` is 1024, and so on to `gb`. Any case.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let bad = || format!("{text:?} is no size: write bytes, or a unit such as \"64mb\" or \"1gb\"");
    let (number, unit) = split_unit(text).ok_or_else(bad)?;
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1_000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return Err(bad()),
    };
    number.checked_mul(factor).ok_or_else(|| format!("{text:?} is too large"))
}

/// A time: `300` is seconds, as in redis.conf; or with a unit: `500ms`, `5s`, `2m`, `1h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?} is no time: write seconds, or a unit such as \"500ms\", \"5s\", \"2m\" or \"1h\"");
    let (number, unit) = split_unit(text).ok_or_else(bad)?;
    let milliseconds: u64 = match unit.to_ascii_lowercase().as_str() {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(bad()),
    };
    /// Longer than anybody waits, and short enough to be added to any clock.
    const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
    let time = number.checked_mul(milliseconds).map(Duration::from_millis);
    time.filter(|time| *time <= LONGEST).ok_or_else(|| format!("{text:?} is too long"))
}

/// A whole number from 0.
pub(super) fn count(text: &str) -> Result<u32, String> {
    match split_unit(text) {
        Some((number, "")) => u32::try_from(number).map_err(|_| format!("{text:?} is too large")),
        _ => Err(format!("{text:?} is no whole number")),
    }
}

/// `yes` or `no`, as in redis.conf; `true` and `false` too.
pub(super) fn yes_no(text: &str) -> Result<bool, String> {
    one_of(text, &[("yes", true), ("no", false), ("true", true), ("false", false)])
        .map_err(|_| format!("{text:?} is neither \"yes\" nor \"no\""))
}

/// One of a few words, in any case.
pub(super) fn one_of<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    match words.iter().find(|(word, _)| text.eq_ignore_ascii_case(word)) {
        Some((_, value)) => Ok(*value),
        None => {
            let known: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            Err(format!("{text:?} is none of {}", known.join(", ")))
        }
    }
}

/// `ADDRESS:PORT`, `[ADDRESS]:PORT` or `localhost:PORT`. Names are not resolved: what they mean may change.
/// `[::ffff:127.0.0.1]:PORT` is the IPv4 address in it.
pub(super) fn socket_address(text: &str) -> Result<SocketAddr, String> {
    let loopback = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let mut address: SocketAddr = loopback.as_deref().unwrap_or(text).parse().map_err(|_| {
        format!(
            "{text:?} is no address: write IP:PORT such as \"127.0.0.1:6379\" or \"[::1]:6379\", \
             host names are not resolved"
        )
    })?;
    if let ip @ IpAddr::V4(_) = address.ip().to_canonical() {
        address.set_ip(ip);
    }
    Ok(address)
}

/// An address to listen on: as above, or `:PORT` or `PORT` alone, which is every address of this machine, or
/// `systemd:NAME`, the inherited sockets of that name.
pub(super) fn listen_address(text: &str, every: IpAddr) -> Result<ListenAddress, String> {
    if let Some(name) = text.strip_prefix(ListenAddress::INHERITED) {
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
        let bad = || format!("{text:?} names no socket: write \"systemd:\" and its FileDescriptorName");
        return is_name.then(|| ListenAddress::Inherited(name.to_owned())).ok_or_else(bad);
    }
    let port = text.strip_prefix(':').unwrap_or(text);
    let address = match port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.parse()) {
        Some(Ok(port)) => SocketAddr::new(every, port),
        _ => socket_address(text)?,
    };
    Ok(ListenAddress::Tcp(address))
}

/// A network such as `10.116.0.0/16`, or a single address. `::ffff:10.116.0.0/112` is the IPv4 network in it, as such a
/// client's address is the IPv4 one.
///
/// # Errors
/// Why it is none.
pub fn network(text: &str) -> Result<IpNet, String> {
    let address = text.parse().map(|address: IpAddr| IpNet::from(address));
    let network = text
        .parse::<IpNet>()
        .or(address)
        .map_err(|_| format!("{text:?} is no network: write an address or a CIDR such as \"10.116.0.0/16\""))?;
    let network = match (network.addr().to_canonical(), network) {
        (IpAddr::V4(address), IpNet::V6(mapped)) => {
            let prefix = mapped.prefix_len().checked_sub(MAPPED_PREFIX).ok_or_else(|| {
                format!(
                    "{text:?} is no network: an IPv4 network in this form has a prefix of {MAPPED_PREFIX} to 128; write it \
                     as IPv4, such as \"10.116.0.0/16\""
                )
            })?;
            Ipv4Net::new(address, prefix).map(IpNet::V4).map_err(|error| format!("{text:?}: {error}"))?
        }
        _ => network,
    };
    match network.trunc() == network {
        true => Ok(network),
        false => Err(format!("{text:?} has bits beyond its prefix: did you mean {}?", network.trunc())),
    }
}

/// IPv4 addresses written as IPv6 have these first bits in common: `::ffff:0:0/96`.
const MAPPED_PREFIX: u8 = 96;

/// Digits, then whatever follows. No sign, no blank, no fraction.
fn split_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_redis_units() {
        let cases = [("0", 0), ("1024", 1024), ("1k", 1000), ("1kb", 1024), ("64mb", 64 << 20), ("2GB", 2 << 30)];
        for (text, bytes) in cases {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "mb", "-1", "+1", "1 mb", "1.5gb", "1tb", "99999999999999999999", "18446744073709551615kb"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_without_a_unit_are_seconds() {
        let cases = [("300", 300_000), ("500ms", 500), ("5s", 5_000), ("2m", 120_000), ("1h", 3_600_000), ("0", 0)];
        for (text, milliseconds) in cases {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "s", "-5", "5 s", "0.5s", "5d", "99999999h", "18446744073709551615"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn counts_are_whole_numbers() {
        assert_eq!(count("10000"), Ok(10_000));
        for text in ["", "-1", "1k", "4294967296", "٣"] {
            assert!(count(text).is_err(), "{text}");
        }
    }

    #[test]
    fn words_are_taken_in_any_case() {
        assert_eq!(one_of("CN", &[("cn", 1), ("uri", 2)]), Ok(1));
        assert_eq!(one_of("x", &[("cn", 1), ("uri", 2)]), Err("\"x\" is none of \"cn\", \"uri\"".to_owned()));
    }

    #[test]
    fn addresses_need_a_port_and_no_resolver() {
        assert_eq!(socket_address("localhost:1"), Ok("127.0.0.1:1".parse().unwrap()));
        assert_eq!(socket_address("[::]:6380"), Ok("[::]:6380".parse().unwrap()));
        assert_eq!(socket_address("[::ffff:127.0.0.1]:1"), Ok("127.0.0.1:1".parse().unwrap()));
        for text in ["", "6379", "redis:6379", "127.0.0.1", "127.0.0.1:70000"] {
            assert!(socket_address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_port_alone_is_listened_on_at_every_address() {
        let every = IpAddr::from([0, 0, 0, 0]);
        let tcp = |text: &str| Ok(ListenAddress::Tcp(text.parse().unwrap()));
        for text in [":6380", "6380"] {
            assert_eq!(listen_address(text, every), tcp("0.0.0.0:6380"), "{text}");
        }
        assert_eq!(listen_address(":1", "::".parse().unwrap()), tcp("[::]:1"));
        assert_eq!(listen_address("127.0.0.1:1", every), tcp("127.0.0.1:1"));
        for text in ["", ":", ":70000", "-1", "+1", ":+1", "6380 ", "::6380"] {
            assert!(listen_address(text, every).is_err(), "{text}");
        }
    }

    #[test]
    fn inherited_sockets_are_listened_on_by_name() {
        let every = IpAddr::from([0, 0, 0, 0]);
        let inherited = Ok(ListenAddress::Inherited("respgate.socket".to_owned()));
        assert_eq!(listen_address("systemd:respgate.socket", every), inherited);
        for text in ["systemd:", "systemd:a:b", "systemd:a b", "systemd"] {
            assert!(listen_address(text, every).is_err(), "{text}");
        }
    }

    #[test]
    fn an_ipv4_network_may_be_written_as_ipv6() {
        for (text, means) in [
            ("::ffff:10.0.0.1", "10.0.0.1/32"),
            ("::ffff:a00:1", "10.0.0.1/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            // These are IPv6 networks, in which no IPv4 client is.
            ("::/0", "::/0"),
            ("::fffe:0:0/95", "::fffe:0:0/95"),
            ("::10.0.0.1", "::a00:1/128"),
        ] {
            assert_eq!(network(text), Ok(means.parse().unwrap()), "{text}");
        }
        let message = "\"::ffff:10.0.0.1/104\" has bits beyond its prefix: did you mean 10.0.0.0/8?";
        assert_eq!(network("::ffff:10.0.0.1/104"), Err(message.to_owned()));
        for text in ["::ffff:10.0.0.0/8", "::ffff:0:0/95", "::ffff:10.0.0.1/0"] {
            assert!(network(text).is_err_and(|message| message.contains("a prefix of 96 to 128")), "{text}");
        }
    }

    #[test]
    fn networks_may_be_single_addresses_but_not_half_a_prefix() {
        assert_eq!(network("10.0.0.1"), Ok("10.0.0.1/32".parse().unwrap()));
        assert_eq!(network("fd00::/8"), Ok("fd00::/8".parse().unwrap()));
        let message = "\"10.0.0.1/8\" has bits beyond its prefix: did you mean 10.0.0.0/8?";
        assert_eq!(network("10.0.0.1/8"), Err(message.to_owned()));
        assert!(network("everywhere").is_err());
    }
}

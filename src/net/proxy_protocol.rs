//! The PROXY protocol, versions 1 and 2: a balancer in front says where a connection comes from, once, before TLS.
//!
//! <https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>. The parser is pure and asks for the bytes it needs one
//! step at a time, because not one byte behind the header may be taken: those are TLS's. Additional fields of version 2
//! (TLVs, their checksum among them) are passed over.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

/// What version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// What version 1 begins with.
const WORD: &[u8; 6] = b"PROXY ";
/// No header of either version is shorter than this; the signature can be told from the word.
const SHORTEST: usize = 13;
/// Longest line of version 1, with CRLF.
const LONGEST_LINE: usize = 107;
/// Signature, version and command, family, length.
const FIXED: usize = 16;
/// Longest version 2 header taken; addresses need 52 bytes, the rest is room for fields that are passed over.
const LONGEST: usize = 2048;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announced {
    /// The connection was made for a client at this address.
    Client(SocketAddr),
    /// The balancer speaks for itself, or does not know: the connection's own address stands.
    Own,
}

/// Why there is nothing announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderError {
    /// The bytes are no PROXY protocol header.
    Absent,
    /// They begin as one, and are damaged.
    Malformed,
    /// It is longer than any header that is of use.
    TooLong,
    /// It speaks of something else than TCP over IPv4 or IPv6.
    Unsupported,
    /// The connection ended or broke without a word.
    Silent,
    /// The connection ended or broke within the header.
    Closed,
    /// The deadline passed first.
    Timeout,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "no PROXY protocol header came, which proxy-protocol-from asks of this address",
            Self::Malformed => "the PROXY protocol header is damaged",
            Self::TooLong => "the PROXY protocol header is too long",
            Self::Unsupported => "the PROXY protocol header is not about TCP over IPv4 or IPv6",
            Self::Silent => "the connection ended without a word",
            Self::Closed => "the connection ended before its PROXY protocol header",
            Self::Timeout => "the PROXY protocol header took too long",
        })
    }
}

/// Reads one header, and nothing behind it. The caller sets the deadline.
///
/// # Errors
/// The connection is not to be used.
pub async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Announced, HeaderError> {
    let mut received = Vec::with_capacity(LONGEST_LINE);
    loop {
        match step(&received)? {
            Step::Done(announced) => return Ok(announced),
            Step::Read(more) => {
                let start = received.len();
                received.resize(start + more, 0);
                match (start, stream.read(&mut received[start..]).await.unwrap_or(0)) {
                    (0, 0) => return Err(HeaderError::Silent),
                    (_, 0) => return Err(HeaderError::Closed),
                    (_, read) => received.truncate(start + read),
                }
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// So many more bytes belong to the header for sure; at least one.
    Read(usize),
    Done(Announced),
}

fn step(received: &[u8]) -> Result<Step, HeaderError> {
    if received.len() < SHORTEST {
        Ok(Step::Read(SHORTEST - received.len()))
    } else if received.starts_with(SIGNATURE) {
        version_2(received)
    } else if received.starts_with(WORD) {
        version_1(received)
    } else {
        Err(HeaderError::Absent)
    }
}

/// `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n`: its end shows only when it is there.
fn version_1(received: &[u8]) -> Result<Step, HeaderError> {
    let Some(line) = received.strip_suffix(b"\r\n") else {
        return if received.contains(&b'\n') {
            Err(HeaderError::Malformed)
        } else if received.len() >= LONGEST_LINE {
            Err(HeaderError::TooLong)
        } else {
            Ok(Step::Read(1))
        };
    };
    let line = std::str::from_utf8(line).map_err(|_| HeaderError::Malformed)?;
    let mut words = line.split(' ').skip(1);
    let announced = match words.next() {
        // What follows the word is to be passed over.
        Some("UNKNOWN") => return Ok(Step::Done(Announced::Own)),
        Some("TCP4") => endpoints::<Ipv4Addr>(&mut words),
        Some("TCP6") => endpoints::<Ipv6Addr>(&mut words),
        _ => return Err(HeaderError::Unsupported),
    };
    let client = announced.filter(|_| words.next().is_none()).ok_or(HeaderError::Malformed)?;
    Ok(Step::Done(Announced::Client(client)))
}

/// Source and destination address, source and destination port. All four have to be sound, the source counts.
fn endpoints<'a, A>(words: &mut impl Iterator<Item = &'a str>) -> Option<SocketAddr>
where
    A: std::str::FromStr + Into<IpAddr>,
{
    let source: A = words.next()?.parse().ok()?;
    let _destination: A = words.next()?.parse().ok()?;
    let port = port(words.next()?)?;
    let _destination = self::port(words.next()?)?;
    Some(SocketAddr::new(source.into(), port))
}

/// Digits only, no leading zero.
fn port(word: &str) -> Option<u16> {
    let canonical = word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    word.parse().ok().filter(|_| canonical)
}

fn version_2(received: &[u8]) -> Result<Step, HeaderError> {
    let Some((fixed, rest)) = received.split_at_checked(FIXED) else {
        return Ok(Step::Read(FIXED - received.len()));
    };
    let [command, family, high, low] = fixed[12..] else { return Err(HeaderError::Malformed) };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if command >> 4 != 2 || command & 0x0f > 1 {
        return Err(HeaderError::Malformed);
    }
    if FIXED + length > LONGEST {
        return Err(HeaderError::TooLong);
    }
    if rest.len() < length {
        return Ok(Step::Read(length - rest.len()));
    }
    let is_local = command & 0x0f == 0;
    let announced = match family {
        _ if is_local => Announced::Own,
        0x00 => Announced::Own,
        0x11 => Announced::Client(client::<4, Ipv4Addr>(rest).ok_or(HeaderError::Malformed)?),
        0x21 => Announced::Client(client::<16, Ipv6Addr>(rest).ok_or(HeaderError::Malformed)?),
        _ => return Err(HeaderError::Unsupported),
    };
    Ok(Step::Done(announced))
}

/// Source and destination address of `N` bytes each, then the two ports.
fn client<const N: usize, A: From<[u8; N]> + Into<IpAddr>>(block: &[u8]) -> Option<SocketAddr> {
    let (source, rest) = block.split_first_chunk::<N>()?;
    let (_destination, rest) = rest.split_first_chunk::<N>()?;
    let (port, rest) = rest.split_first_chunk::<2>()?;
    rest.first_chunk::<2>()?;
    Some(SocketAddr::new(A::from(*source).into(), u16::from_be_bytes(*port)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is said of a whole stream, and how much of it was taken.
    fn take(stream: &[u8]) -> (Result<Announced, HeaderError>, usize) {
        let mut taken = 0;
        loop {
            match step(&stream[..taken]) {
                Ok(Step::Read(more)) if taken + more > stream.len() => return (Err(HeaderError::Closed), stream.len()),
                Ok(Step::Read(more)) => taken += more,
                Ok(Step::Done(announced)) => return (Ok(announced), taken),
                Err(error) => return (Err(error), taken),
            }
        }
    }

    fn from(address: &str) -> Result<Announced, HeaderError> {
        Ok(Announced::Client(address.parse().unwrap()))
    }

    fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let mut header = SIGNATURE.to_vec();
        header.extend([command, family]);
        header.extend(u16::try_from(block.len()).unwrap().to_be_bytes());
        header.extend(block);
        header
    }

    fn block(client: SocketAddr) -> (u8, Vec<u8>) {
        let mut block = Vec::new();
        let family = match client.ip() {
            IpAddr::V4(ip) => {
                block.extend(ip.octets());
                block.extend(Ipv4Addr::LOCALHOST.octets());
                0x11
            }
            IpAddr::V6(ip) => {
                block.extend(ip.octets());
                block.extend(Ipv6Addr::LOCALHOST.octets());
                0x21
            }
        };
        block.extend(client.port().to_be_bytes());
        block.extend(443_u16.to_be_bytes());
        (family, block)
    }

    #[test]
    fn version_1_names_the_client() {
        assert_eq!(take(b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n").0, from("192.0.2.1:56324"));
        assert_eq!(take(b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n").0, from("[2001:db8::1]:1"));
        assert_eq!(take(b"PROXY UNKNOWN\r\n").0, Ok(Announced::Own));
        assert_eq!(take(b"PROXY UNKNOWN ffff:f...f:ffff ::1 1 2\r\n").0, Ok(Announced::Own));
    }

    #[test]
    fn a_damaged_line_is_refused() {
        for line in [
            "PROXY TCP4 192.0.2.1 192.0.2.2 56324\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443 1\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 56324 65536\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 +56324 443\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 056324 443\r\n",
            "PROXY TCP4 192.0.2.1  192.0.2.2 56324 443\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 192.0.2.1 192.0.2.2 56324 443\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\n",
            "PROXY TCP4 \n192.0.2.1 192.0.2.2 56324 443\r\n",
            "PROXY TCP4 192.0.2.\u{661} 192.0.2.2 56324 443\r\n",
        ] {
            assert_eq!(take(line.as_bytes()).0, Err(HeaderError::Malformed), "{line:?}");
        }
        assert_eq!(take(b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n").0, Err(HeaderError::Unsupported));
        assert_eq!(take(format!("PROXY UNKNOWN {}\r\n", "x".repeat(200)).as_bytes()).0, Err(HeaderError::TooLong));
    }

    #[test]
    fn what_is_no_header_is_said_to_be_absent() {
        for stream in
            [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaa"[..], b"*1\r\n$4\r\nPING\r\n", b"proxy TCP4 1.1"]
        {
            assert_eq!(take(stream), (Err(HeaderError::Absent), SHORTEST));
        }
    }

    #[test]
    fn version_2_passes_over_additional_fields_and_local_connections() {
        let (family, mut addresses) = block("192.0.2.1:56324".parse().unwrap());
        addresses.extend([0x04, 0, 1, 0xff]);
        assert_eq!(take(&v2(0x21, family, &addresses)).0, from("192.0.2.1:56324"));
        assert_eq!(take(&v2(0x20, family, &addresses)).0, Ok(Announced::Own));
        assert_eq!(take(&v2(0x20, 0, b"")).0, Ok(Announced::Own));
        assert_eq!(take(&v2(0x21, 0, b"anything")).0, Ok(Announced::Own));
    }

    #[test]
    fn version_2_refuses_what_it_does_not_know() {
        let (family, addresses) = block("[2001:db8::1]:7".parse().unwrap());
        for (header, error) in [
            (v2(0x11, family, &addresses), HeaderError::Malformed),
            (v2(0x22, family, &addresses), HeaderError::Malformed),
            (v2(0x21, family, &addresses[..35]), HeaderError::Malformed),
            (v2(0x21, 0x22, &addresses), HeaderError::Unsupported),
            (v2(0x21, 0x31, &[0; 216]), HeaderError::Unsupported),
            (v2(0x21, family, &[0; 2040]), HeaderError::TooLong),
        ] {
            assert_eq!(take(&header).0, Err(error));
        }
    }

    proptest! {
        #[test]
        fn a_header_is_taken_and_not_one_byte_behind_it(
            ip: std::net::IpAddr, port: u16, v2_header: bool, tail: Vec<u8>,
        ) {
            let client = SocketAddr::new(ip, port);
            let mut stream = if v2_header {
                let (family, addresses) = block(client);
                v2(0x21, family, &addresses)
            } else {
                let (kind, other) = if ip.is_ipv4() { ("TCP4", "127.0.0.1") } else { ("TCP6", "::1") };
                format!("PROXY {kind} {ip} {other} {port} 6380\r\n").into_bytes()
            };
            let length = stream.len();
            stream.extend(tail);
            prop_assert_eq!(take(&stream), (Ok(Announced::Client(client)), length));
            for end in 0..length {
                prop_assert_eq!(take(&stream[..end]).0, Err(HeaderError::Closed));
            }
        }

        #[test]
        fn no_stream_makes_it_panic_or_take_too_much(
            start in prop_oneof![Just(vec![]), Just(SIGNATURE.to_vec()), Just(b"PROXY TCP4 ".to_vec())],
            rest in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut stream = start;
            stream.extend(rest);
            let (_, taken) = take(&stream);
            prop_assert!(taken <= LONGEST);
        }
    }
}

//! Whether a server speaks versions of TLS that rustls has not: a ClientHello of TLS 1.1 is all it takes to hear
//! [RFC 4346 section 7.4.1.2].

use std::io::Write;
use std::net::IpAddr;

use super::socket::Socket;
use crate::tls::client::End;

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const SERVER_HELLO: u8 = 2;
/// The level of an alert that ends nothing.
const WARNING: u8 = 1;

/// ECDHE and plain RSA with AES and 3DES, all with SHA-1: what there was in those days.
const CIPHER_SUITES: [u16; 8] = [0xc013, 0xc014, 0xc009, 0xc00a, 0x002f, 0x0035, 0x000a, SECURE_RENEGOTIATION];
/// RFC 5746 section 3.3.
const SECURE_RENEGOTIATION: u16 = 0x00ff;

/// Nothing is kept secret with it; whoever looks into what it gets reads who asks.
const RANDOM: &[u8; 32] = b"respgate-doctor:is-TLS-1.1-here?";

/// What a server said to a client that speaks TLS 1.1 at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Old {
    /// It goes on, in this version.
    Accepted(&'static str),
    /// It ends with this alert, or without one.
    Refused(Option<u8>),
    /// Something else, in words.
    Other(&'static str),
    /// Nothing.
    Silent,
}

/// Says hello, and waits for what comes back. It goes no further.
pub(super) fn ask(mut socket: Socket, host: &str) -> Old {
    // Who turns it away at once may have said why.
    let _ = socket.write_all(&hello(host));
    let (bytes, end) = socket.read_until(|bytes| !matches!(answer(bytes), Answer::Incomplete));
    match (answer(&bytes), end) {
        (Answer::Is(old), _) => old,
        (Answer::Incomplete, Some(End::Silent)) => Old::Silent,
        (Answer::Incomplete, _) => Old::Refused(None),
    }
}

fn hello(host: &str) -> Vec<u8> {
    let suites: Vec<u8> = CIPHER_SUITES.iter().flat_map(|suite| suite.to_be_bytes()).collect();
    // secp256r1 secp384r1 secp521r1, and points that are not compressed [RFC 8422].
    let mut extensions = extension(10, &sized(&[0, 23, 0, 24, 0, 25]));
    extensions.extend(extension(11, &[1, 0]));
    if host.parse::<IpAddr>().is_err() {
        // RFC 6066 section 3.
        let name: Vec<u8> = [0].into_iter().chain(sized(host.as_bytes())).collect();
        extensions.extend(extension(0, &sized(&name)));
    }
    let body: Vec<u8> = [3, 2]
        .into_iter()
        .chain(*RANDOM)
        .chain([0])
        .chain(sized(&suites))
        .chain([1, 0])
        .chain(sized(&extensions))
        .collect();
    let message: Vec<u8> = [1, 0].into_iter().chain(sized(&body)).collect();
    [HANDSHAKE, 3, 1].into_iter().chain(sized(&message)).collect()
}

fn extension(number: u8, content: &[u8]) -> Vec<u8> {
    [0, number].into_iter().chain(sized(content)).collect()
}

/// With the length before it, in two bytes.
fn sized(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap_or(u16::MAX);
    length.to_be_bytes().into_iter().chain(content.iter().copied()).collect()
}

enum Answer {
    Incomplete,
    Is(Old),
}

/// What the records say that came back.
fn answer(mut bytes: &[u8]) -> Answer {
    loop {
        let [kind, major, rest @ ..] = bytes else { return Answer::Incomplete };
        if !matches!((*kind, *major), (ALERT | HANDSHAKE, 3)) {
            return Answer::Is(Old::Other("it does not answer in TLS"));
        }
        let [_minor, high, low, rest @ ..] = rest else { return Answer::Incomplete };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let Some((record, rest)) = rest.split_at_checked(length) else { return Answer::Incomplete };
        return Answer::Is(match (*kind, record) {
            (ALERT, [WARNING, ..]) => {
                bytes = rest;
                continue;
            }
            (ALERT, [_, alert]) => Old::Refused(Some(*alert)),
            (HANDSHAKE, [SERVER_HELLO, _, _, _, 3, 0, ..]) => Old::Accepted("SSL 3.0"),
            (HANDSHAKE, [SERVER_HELLO, _, _, _, 3, 1, ..]) => Old::Accepted("TLS 1.0"),
            (HANDSHAKE, [SERVER_HELLO, _, _, _, 3, 2, ..]) => Old::Accepted("TLS 1.1"),
            _ => Old::Other("it answers with something else than a ServerHello of that version"),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> Option<Old> {
        match answer(bytes) {
            Answer::Incomplete => None,
            Answer::Is(old) => Some(old),
        }
    }

    #[test]
    fn a_server_hello_and_an_alert_are_told_apart_however_they_are_cut() {
        let accepted = [22, 3, 1, 0, 7, 2, 0, 0, 38, 3, 1, 9];
        let refused = [21, 3, 1, 0, 2, 2, 70];
        for (bytes, old) in [(&accepted[..], Old::Accepted("TLS 1.0")), (&refused[..], Old::Refused(Some(70)))] {
            assert_eq!(of(bytes), Some(old));
            assert!((0..bytes.len()).all(|length| of(&bytes[..length]).is_none()), "{bytes:?}");
        }
    }

    #[test]
    fn a_warning_decides_nothing() {
        let warning = [21, 3, 2, 0, 2, 1, 112];
        assert_eq!(of(&warning), None);
        let accepted = [22, 3, 2, 0, 7, 2, 0, 0, 38, 3, 2, 9];
        assert_eq!(of(&[&warning[..], &accepted].concat()), Some(Old::Accepted("TLS 1.1")));
    }

    #[test]
    fn what_is_no_tls_accepts_nothing() {
        assert!(matches!(of(b"-ERR unknown command"), Some(Old::Other(_))));
        assert!(matches!(of(&[22, 3, 3, 0, 7, 2, 0, 0, 38, 3, 3, 9]), Some(Old::Other(_))));
    }

    #[test]
    fn the_lengths_in_a_hello_are_those_of_what_follows() {
        let hello = hello("redis.example");
        let length = |at: usize| usize::from(u16::from_be_bytes([hello[at], hello[at + 1]]));
        assert_eq!(length(3), hello.len() - 5, "the record");
        assert_eq!(length(7), hello.len() - 9, "the message");
        let suites = 9 + 2 + 32 + 1;
        assert_eq!(length(suites), CIPHER_SUITES.len() * 2);
        let extensions = suites + 2 + CIPHER_SUITES.len() * 2 + 2;
        assert_eq!(length(extensions), hello.len() - extensions - 2);
        assert!(hello.ends_with(b"redis.example"));
    }
}

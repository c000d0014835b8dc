//! Any bytes, in any pieces: the same requests come out as from the whole, and every accepted one is canonical.
#![no_main]

use libfuzzer_sys::fuzz_target;
use respgate::resp::{RequestLimits, ProtocolError, RequestScanner, Scanned, encode_request};

type Requests = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

fuzz_target!(|data: &[u8]| {
    let Some((control, input)) = data.split_first() else {
        return;
    };
    let limits = if control & 1 == 0 { RequestLimits::AUTHENTICATED } else { RequestLimits::UNAUTHENTICATED };
    let piece = usize::from(control >> 1) + 1;

    let whole = requests([input].into_iter(), &limits);
    assert_eq!(requests(input.chunks(piece), &limits), whole);
    assert_eq!(streamed(input.chunks(piece), &limits), whole.1);
});

/// The arguments of all requests, and the error that ended the stream.
fn requests<'a>(pieces: impl Iterator<Item = &'a [u8]>, limits: &RequestLimits) -> Requests {
    let mut scanner = RequestScanner::new();
    let (mut buffer, mut requests) = (Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let len = match scanner.scan(&buffer, limits) {
                Ok(Scanned::Incomplete) => break,
                Ok(Scanned::Request { len }) => {
                    let argv = argv(&scanner, &buffer);
                    assert_eq!(encoded(&argv), buffer[..len]);
                    requests.push(argv);
                    len
                }
                Ok(Scanned::Inline { len }) => {
                    let argv = argv(&scanner, scanner.canonical());
                    assert_eq!(encoded(&argv), scanner.canonical());
                    requests.push(argv);
                    len
                }
                Ok(Scanned::Empty { len }) => len,
                Ok(Scanned::Part { .. }) => unreachable!("nothing streams"),
                Err(error) => return (requests, Some(error)),
            };
            assert!(len > 0);
            buffer.drain(..len);
        }
    }
    (requests, None)
}

/// The error that ends the stream when every request streams as soon as it can.
fn streamed<'a>(pieces: impl Iterator<Item = &'a [u8]>, limits: &RequestLimits) -> Option<ProtocolError> {
    let mut scanner = RequestScanner::new();
    let (mut buffer, mut in_request) = (Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let (len, finished) = match scanner.scan(&buffer, limits) {
                // Once the first argument is known, as a session would.
                Ok(Scanned::Incomplete) if !scanner.spans().is_empty() => match scanner.stream() {
                    0 => break,
                    len => (len, false),
                },
                Ok(Scanned::Incomplete) => break,
                Ok(Scanned::Part { len }) => (len, false),
                Ok(Scanned::Request { len } | Scanned::Inline { len } | Scanned::Empty { len }) => (len, true),
                Err(error) => return Some(error),
            };
            assert!(len > 0);
            in_request.extend(buffer.drain(..len));
            if finished {
                assert!(in_request.ends_with(b"\n"));
                in_request.clear();
            }
        }
    }
    None
}

fn argv(scanner: &RequestScanner, bytes: &[u8]) -> Vec<Vec<u8>> {
    scanner.spans().iter().map(|span| bytes[span.start as usize..span.end as usize].to_vec()).collect()
}

fn encoded(argv: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_request(argv, &mut out);
    out
}

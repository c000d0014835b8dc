use proptest::prelude::*;

use super::*;
use crate::resp::args::encode_request;

/// What a session sees of a stream of requests.
#[derive(Clone, Debug, PartialEq)]
enum Event {
    Request(Vec<Vec<u8>>),
    Inline(Vec<Vec<u8>>),
    Empty,
    Error(ProtocolError),
    /// The stream ended within a request; so many bytes were left.
    Unfinished(usize),
}

/// Scans a stream that arrives in the given pieces.
fn events(pieces: &[&[u8]], limits: &RequestLimits) -> Vec<Event> {
    let mut scanner = RequestScanner::new();
    let (mut buffer, mut events) = (Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let (event, len) = match scanner.scan(&buffer, limits) {
                Ok(Scanned::Incomplete) => break,
                Ok(Scanned::Request { len }) => (Event::Request(argv(&scanner, &buffer)), len),
                Ok(Scanned::Inline { len }) => (Event::Inline(argv(&scanner, scanner.canonical())), len),
                Ok(Scanned::Empty { len }) => (Event::Empty, len),
                Ok(Scanned::Part { .. }) => panic!("a part of a request that does not stream"),
                Err(error) => {
                    events.push(Event::Error(error));
                    return events;
                }
            };
            if let Event::Request(argv) = &event {
                assert_eq!(encoded(argv), buffer[..len], "an accepted request is canonical");
            }
            events.push(event);
            buffer.drain(..len);
        }
    }
    if !buffer.is_empty() {
        events.push(Event::Unfinished(buffer.len()));
    }
    events
}

fn argv(scanner: &RequestScanner, bytes: &[u8]) -> Vec<Vec<u8>> {
    let argument = |span: &Range<u32>| bytes[span.start as usize..span.end as usize].to_vec();
    scanner.spans().iter().map(argument).collect()
}

fn encoded<A: AsRef<[u8]>>(argv: &[A]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_request(argv, &mut out);
    out
}

fn all_at_once(input: &[u8]) -> Vec<Event> {
    events(&[input], &RequestLimits::AUTHENTICATED)
}

fn bytewise(input: &[u8]) -> Vec<&[u8]> {
    input.chunks(1).collect()
}

fn request(args: &[&[u8]]) -> Event {
    Event::Request(args.iter().map(|arg| arg.to_vec()).collect())
}

fn error_of(input: &[u8], limits: &RequestLimits) -> Option<ProtocolError> {
    match events(&[input], limits).last() {
        Some(Event::Error(error)) => Some(*error),
        _ => None,
    }
}

/// Streams of requests, good and bad, short enough to be cut everywhere.
const CORPUS: &[&[u8]] = &[
    b"*1\r\n$4\r\nPING\r\n",
    b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$12\r\nhello\r\nworld\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
    b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n*1\r\n$0\r\n\r\n",
    b"*0\r\n*-1\r\n\r\n\n  \r\nPING\r\n*1\r\n$4\r\nPING\r\n",
    b"SET \"a b\" 'it\\'s'\r\n*1\r\n$4\r\nPING\r\nGET x\n",
    b"*2\r\n$3\r\nGET\r\n$26\r\nabcdefghijklmnopqrstuvwxyz\r\n*11\r\n",
    b"*2\r\n$4\r\nPOST\r\n$1\r\n/\r\nPING\r\n",
    b"PING\r\nPOST / HTTP/1.1\r\nPING\r\n",
    b"PING\r\nPI\0NG\r\n",
    b"*1\r\n$4\r\nPINGzzPING\r\n",
    b"*1\r\n$4\rXPING\r\n",
    b"*1\rX$4\r\nPING\r\n",
    b"*1\r\n$+4\r\nPING\r\n",
    b"*01\r\n$4\r\nPING\r\n",
    b"*1\r\n:4\r\nPING\r\n",
    b"*1\r\n\r\n$4\r\nPING\r\n",
    b"*\r\n",
    b"*1\r\n$\r\n",
    b"*1\r\n$-1\r\n",
    b"*2\r\n$3\r\nGET\r\n*1\r\n$1\r\nk\r\n",
    b"*2147483648\r\n",
    b"*1\r\n$536870913\r\n",
    b"ECHO \"a\r\n",
    b"ECHO \"a\"b\r\n",
];

#[test]
fn every_split_of_a_stream_gives_the_same_requests() {
    for input in CORPUS {
        let whole = all_at_once(input);
        for middle in 0..=input.len() {
            let (head, tail) = input.split_at(middle);
            assert_eq!(events(&[head, tail], &RequestLimits::AUTHENTICATED), whole, "{input:?} cut at {middle}");
        }
        assert_eq!(events(&bytewise(input), &RequestLimits::AUTHENTICATED), whole, "{input:?} byte by byte");
    }
}

#[test]
fn every_prefix_of_a_stream_gives_a_prefix_of_its_requests() {
    for input in CORPUS {
        let whole = all_at_once(input);
        for end in 0..input.len() {
            let mut prefix = all_at_once(&input[..end]);
            prefix.pop_if(|last| matches!(last, Event::Unfinished(_)));
            assert!(whole.starts_with(&prefix), "{input:?} up to {end}: {prefix:?}");
        }
    }
}

#[test]
fn a_pipeline_is_taken_apart_into_its_requests() {
    assert_eq!(
        all_at_once(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\na\r\nb\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n*1\r\n$4\r\nPI"),
        [request(&[b"SET", b"k", b"a\r\nb"]), request(&[b"GET", b""]), Event::Unfinished(10)],
    );
}

#[test]
fn counts_below_one_and_blank_lines_are_empty_requests() {
    let blank: &[&[u8]] =
        &[b"*0\r\n", b"*-1\r\n", b"*-9223372036854775808\r\n", b"\r\n", b"\n", b" \t\r\r\n", b"\x0b\x0c\n"];
    for input in blank {
        assert_eq!(all_at_once(input), [Event::Empty], "{input:?}");
    }
}

#[test]
fn inline_requests_are_re_emitted_as_multibulk() {
    let mut scanner = RequestScanner::new();
    let scanned = scanner.scan(b"  set \"a\\x00b\" 'it\\'s' \r\nPING\r\n", &RequestLimits::AUTHENTICATED);
    assert_eq!(scanned, Ok(Scanned::Inline { len: 25 }));
    assert_eq!(scanner.canonical(), b"*3\r\n$3\r\nset\r\n$3\r\na\0b\r\n$4\r\nit's\r\n");
    assert_eq!(argv(&scanner, scanner.canonical()), [&b"set"[..], b"a\0b", b"it's"]);
}

#[test]
fn a_password_sent_inline_is_not_in_the_debug_form() {
    let mut scanner = RequestScanner::new();
    assert_eq!(scanner.scan(b"AUTH hunter2\n", &RequestLimits::UNAUTHENTICATED), Ok(Scanned::Inline { len: 13 }));
    assert!(scanner.canonical().windows(7).any(|window| window == b"hunter2"));
    let secret = format!("{:?}", b"hunter2");
    let debug = format!("{scanner:?}");
    assert!(!debug.contains("hunter2") && !debug.contains(secret.trim_matches(['[', ']'])), "{debug}");
}

#[test]
fn an_inline_request_leaves_nothing_to_the_request_after_it() {
    let mut scanner = RequestScanner::new();
    assert_eq!(scanner.scan(b"GET a\n", &RequestLimits::AUTHENTICATED), Ok(Scanned::Inline { len: 6 }));
    assert_eq!(scanner.scan(b"DEL b\n", &RequestLimits::AUTHENTICATED), Ok(Scanned::Inline { len: 6 }));
    assert_eq!(scanner.canonical(), b"*2\r\n$3\r\nDEL\r\n$1\r\nb\r\n");
}

/// Measured on redis-server 7.0.15; the `None` text stands for a connection closed without a word.
#[test]
fn protocol_errors_have_the_text_and_the_precedence_of_redis() {
    let measured: &[(&[u8], Option<&str>)] = &[
        (b"*\r\n", Some("invalid multibulk length")),
        (b"*+3\r\n", Some("invalid multibulk length")),
        (b"*03\r\n", Some("invalid multibulk length")),
        (b"*3 \r\n", Some("invalid multibulk length")),
        (b"*-0\r\n", Some("invalid multibulk length")),
        (b"*3\n\r$", Some("invalid multibulk length")),
        (b"*3\n\r\n", Some("invalid multibulk length")),
        (b"*2147483648\r\n", Some("invalid multibulk length")),
        (b"*-9223372036854775809\r\n", Some("invalid multibulk length")),
        (b"*18446744073709551619\r\n", Some("invalid multibulk length")),
        (b"*1\r\nX\r\n", Some("expected '$', got 'X'")),
        (b"*1\r\n\r\n", Some("expected '$', got ' '")),
        (b"*1\r\nabc\n\r\n", Some("expected '$', got 'a'")),
        (b"*1\r\n*1\r\n", Some("expected '$', got '*'")),
        (b"*2\r\n$4\r\nPOST\r\nX\r\n", Some("expected '$', got 'X'")),
        (b"*1\r\n$-1\r\n", Some("invalid bulk length")),
        (b"*1\r\n$3 \r\n", Some("invalid bulk length")),
        (b"*1\r\n$3\n\r\n", Some("invalid bulk length")),
        (b"*1\r\n$536870913\r\n", Some("invalid bulk length")),
        (b"*1\r\n$4294967299\r\n", Some("invalid bulk length")),
        (b"\"SET\"k 1\r\n", Some("unbalanced quotes in request")),
        (b"SE\"\"T k 1\r\n", Some("unbalanced quotes in request")),
        (b"\"\\x4\r\n", Some("unbalanced quotes in request")),
        (b"POST a b\r\n", None),
        (b"post\r\n", None),
        (b"\"POST\" x\r\n", None),
        (b"HOST: x\r\n", None),
        (b"*1\r\n$4\r\nPOST\r\n", None),
        (b"*2\r\n$5\r\nhost:\r\n$1\r\nx\r\n", None),
        (b"*1\r\n$5\r\npost\0\r\n", None),
    ];
    for (input, text) in measured {
        let error = error_of(input, &RequestLimits::AUTHENTICATED).unwrap_or_else(|| panic!("{input:?} is refused"));
        match text {
            Some(text) => assert_eq!(error.to_string(), *text, "{input:?}"),
            None => assert_eq!(error, ProtocolError::CrossProtocol, "{input:?}"),
        }
    }
}

/// Redis looks at none of these bytes, and so runs something else than what is written.
#[test]
fn crlf_is_required_where_redis_skips_two_bytes() {
    let smuggled: &[&[u8]] = &[
        b"*1\rX$4\r\nPING\r\n",
        b"*1\r\n$4\rXPING\r\n",
        b"*1\r\n$4\r\nPINGzz",
        b"*1\r\n$4\r\nPING\n\r",
        b"*2\r\n$4\r\nECHO\r\n$5\r\nvalue12345\r\n",
        b"*2\r\n$4\r\nECHO\r\n$2\r\nhi*3\r\n$3\r\nSET\r\n",
        b"*0\rX",
    ];
    for input in smuggled {
        assert_eq!(error_of(input, &RequestLimits::AUTHENTICATED), Some(ProtocolError::MissingCrlf), "{input:?}");
    }
}

#[test]
fn a_nul_in_an_inline_request_is_refused_before_its_line_ends() {
    for input in [&b"\0SET k 1\r\n"[..], b"PING\0\r\n", b"POST\0x", b"\"a\0b\"\r\n"] {
        assert_eq!(error_of(input, &RequestLimits::AUTHENTICATED), Some(ProtocolError::NulInInline), "{input:?}");
    }
}

#[test]
fn names_that_only_begin_like_a_browsers_are_no_attack() {
    for name in ["POSTS", "HOST", "HOST:X", "XPOST"] {
        assert_eq!(all_at_once(&encoded(&[name])), [request(&[name.as_bytes()])], "{name}");
    }
}

#[test]
fn before_authentication_ten_arguments_and_16384_bytes_are_allowed_and_no_more() {
    let limits = &RequestLimits::UNAUTHENTICATED;
    assert_eq!(events(&[&encoded(&[b"x"; 10])], limits), [request(&[&b"x"[..]; 10])]);
    assert_eq!(error_of(b"*11\r\n", limits), Some(ProtocolError::UnauthenticatedMultibulk));
    assert_eq!(error_of(b"*1048577\r\n", limits), Some(ProtocolError::UnauthenticatedMultibulk));
    assert_eq!(error_of(b"*2147483648\r\n", limits), Some(ProtocolError::InvalidMultibulkLength));
    assert_eq!(events(&[b"*1\r\n$16384\r\n"], limits), [Event::Unfinished(12)]);
    assert_eq!(error_of(b"*1\r\n$16385\r\n", limits), Some(ProtocolError::UnauthenticatedBulk));
    assert_eq!(error_of(b"*1\r\n$536870912\r\n", limits), Some(ProtocolError::UnauthenticatedBulk));
    assert_eq!(error_of(b"*1\r\n$536870913\r\n", limits), Some(ProtocolError::InvalidBulkLength));
}

#[test]
fn short_and_long_headers_obey_the_same_limits() {
    let limits = &RequestLimits { max_args: 2, max_bulk: 5, ..RequestLimits::AUTHENTICATED };
    assert_eq!(events(&[b"*2\r\n$5\r\n"], limits), [Event::Unfinished(8)]);
    assert_eq!(error_of(b"*3\r\n", limits), Some(ProtocolError::InvalidMultibulkLength));
    assert_eq!(error_of(b"*1000\r\n", limits), Some(ProtocolError::InvalidMultibulkLength));
    assert_eq!(error_of(b"*1\r\n$6\r\n", limits), Some(ProtocolError::InvalidBulkLength));
    assert_eq!(error_of(b"*1\r\n$1000\r\n", limits), Some(ProtocolError::InvalidBulkLength));
}

#[test]
fn limits_may_change_between_two_requests() {
    let mut scanner = RequestScanner::new();
    let many = encoded(&[b"x"; 11]);
    assert_eq!(scanner.scan(b"PING\n", &RequestLimits::UNAUTHENTICATED), Ok(Scanned::Inline { len: 5 }));
    assert_eq!(scanner.scan(&many, &RequestLimits::AUTHENTICATED), Ok(Scanned::Request { len: many.len() }));
    assert_eq!(scanner.scan(&many, &RequestLimits::UNAUTHENTICATED), Err(ProtocolError::UnauthenticatedMultibulk));
}

/// Measured: Redis waits at 65,536 bytes and refuses at 65,537.
#[test]
fn lines_without_an_end_are_refused_beyond_64_kib() {
    let cases: &[(&[u8], u8, ProtocolError)] = &[
        (b"", b'a', ProtocolError::TooBigInline),
        (b"*", b'1', ProtocolError::TooBigMultibulkCount),
        (b"*1\r\n$", b'1', ProtocolError::TooBigBulkCount),
    ];
    for (head, fill, error) in cases {
        let header = head.len() - head.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let mut input = head.to_vec();
        input.resize(head.len() + 65_536 - header, *fill);
        assert_eq!(all_at_once(&input), [Event::Unfinished(input.len())], "{error}");
        input.push(*fill);
        assert_eq!(all_at_once(&input), [Event::Error(*error)], "{error}");
        let (early, late) = input.split_at(40_000);
        assert_eq!(events(&[early, late], &RequestLimits::AUTHENTICATED), [Event::Error(*error)], "{error}");
    }
}

#[test]
fn the_inline_limit_counts_the_bytes_in_front_of_the_lf_however_they_arrive() {
    let limits = &RequestLimits { max_inline: 8, ..RequestLimits::AUTHENTICATED };
    assert_eq!(events(&[b"12345678\n"], limits), [Event::Inline(vec![b"12345678".to_vec()])]);
    assert_eq!(events(&[b"12345678", b"\n"], limits), [Event::Inline(vec![b"12345678".to_vec()])]);
    assert_eq!(error_of(b"123456789\n", limits), Some(ProtocolError::TooBigInline));
    assert_eq!(events(&bytewise(b"123456789\n"), limits), [Event::Error(ProtocolError::TooBigInline)]);
}

#[test]
fn nothing_after_a_protocol_error_is_a_request() {
    let mut scanner = RequestScanner::new();
    assert_eq!(scanner.scan(b"*x\r\n", &RequestLimits::AUTHENTICATED), Err(ProtocolError::InvalidMultibulkLength));
    assert_eq!(
        scanner.scan(b"*1\r\n$4\r\nPING\r\n", &RequestLimits::AUTHENTICATED),
        Err(ProtocolError::InvalidMultibulkLength)
    );
}

#[test]
fn memory_follows_what_arrived_and_not_what_was_claimed() {
    let mut scanner = RequestScanner::new();
    let input = b"*1048576\r\n$536870912\r\nabc";
    assert_eq!(scanner.scan(input, &RequestLimits::AUTHENTICATED), Ok(Scanned::Incomplete));
    assert_eq!(scanner.argc(), Some(1_048_576));
    assert_eq!(scanner.spans.capacity() + scanner.canonical.capacity(), 0);
}

#[test]
fn a_giant_request_leaves_no_memory_behind() {
    let (many, long) = (encoded(&vec![b"x"; 10_000]), [&[b'x'; 60_000][..], b"\n"].concat());
    for (next, spans) in [(&b""[..], SPANS_IF_IDLE), (b"*", SPANS_IF_BUSY)] {
        let mut scanner = RequestScanner::new();
        assert_eq!(scanner.scan(&many, &RequestLimits::AUTHENTICATED), Ok(Scanned::Request { len: many.len() }));
        assert_eq!(scanner.scan(&long, &RequestLimits::AUTHENTICATED), Ok(Scanned::Inline { len: long.len() }));
        assert_eq!(scanner.scan(next, &RequestLimits::AUTHENTICATED), Ok(Scanned::Incomplete));
        assert!(scanner.spans.capacity() <= spans && scanner.canonical.capacity() == 0, "{next:?}");
    }
}

#[test]
fn a_pipeline_of_requests_with_many_arguments_reuses_its_memory() {
    let mut scanner = RequestScanner::new();
    let mget = encoded(&vec![b"MGET"; 1000]);
    assert_eq!(scanner.scan(&mget, &RequestLimits::AUTHENTICATED), Ok(Scanned::Request { len: mget.len() }));
    let (memory, capacity) = (scanner.spans.as_ptr(), scanner.spans.capacity());
    assert_eq!(scanner.scan(&mget, &RequestLimits::AUTHENTICATED), Ok(Scanned::Request { len: mget.len() }));
    assert_eq!((scanner.spans.as_ptr(), scanner.spans.capacity()), (memory, capacity));
}

#[test]
fn an_argument_is_not_looked_at_again_when_more_of_it_arrives() {
    let mut input = encoded(&[&b"SET"[..], b"k", &[b'x'; 300]]);
    let mut scanner = RequestScanner::new();
    assert_eq!(scanner.scan(&input[..200], &RequestLimits::AUTHENTICATED), Ok(Scanned::Incomplete));
    input[..200].fill(b'?');
    assert_eq!(scanner.scan(&input, &RequestLimits::AUTHENTICATED), Ok(Scanned::Request { len: input.len() }));
    assert_eq!(scanner.spans(), [8..11, 17..18, 26..326]);
}

#[test]
fn the_open_argument_is_known_as_soon_as_its_length_is() {
    let mut scanner = RequestScanner::new();
    let input = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5000\r\nvalue";
    let open = |index, len, start| Some(OpenBulk { index, len, start });
    for (end, expected) in [
        (3, None),
        (8, open(0, 3, 8)),
        (12, open(0, 3, 8)),
        (13, None),
        (22, None),
        (27, open(2, 5000, 27)),
        (32, open(2, 5000, 27)),
    ] {
        assert_eq!(scanner.scan(&input[..end], &RequestLimits::AUTHENTICATED), Ok(Scanned::Incomplete), "{end}");
        assert_eq!(scanner.open_bulk(), expected, "{end}");
    }
    assert_eq!(scanner.argc(), Some(3));
    assert_eq!(argv(&scanner, input), [&b"SET"[..], b"k"]);
}

/// Streams a request from `start` on, in pieces of `step` bytes: what was handed over, the last piece of it, or an error.
fn streamed(input: &[u8], start: usize, step: usize) -> Result<(Vec<u8>, usize), ProtocolError> {
    let mut scanner = RequestScanner::new();
    assert_eq!(scanner.scan(&input[..start], &RequestLimits::AUTHENTICATED)?, Scanned::Incomplete);
    let mut taken = scanner.stream();
    let mut arrived = start;
    loop {
        match scanner.scan(&input[taken..arrived], &RequestLimits::AUTHENTICATED)? {
            Scanned::Part { len } => {
                assert!(len > 0);
                taken += len;
            }
            Scanned::Request { len } => return Ok((input[..taken + len].to_vec(), len)),
            Scanned::Incomplete if arrived == input.len() => return Ok((input[..taken].to_vec(), 0)),
            Scanned::Incomplete => arrived = input.len().min(arrived + step),
            other => panic!("{other:?} of a request that streams"),
        }
    }
}

#[test]
fn a_streamed_request_is_handed_over_whole_and_its_final_crlf_last() {
    let first = encoded(&[&b"MSET"[..], b"k", b"a\r\nb", b"", b"1234567890"]);
    let input = [first.as_slice(), b"*1\r\n$4\r\nPING\r\n"].concat();
    for start in 4..first.len() {
        for step in [1, 2, 3, 7, input.len()] {
            let (handed_over, last) = streamed(&input, start, step).expect("a valid request");
            assert_eq!(handed_over, first, "from {start} by {step}");
            assert!(last >= 2, "from {start} by {step}");
        }
    }
}

#[test]
fn parts_follow_the_value_and_stop_short_of_the_final_crlf() {
    let mut scanner = RequestScanner::new();
    let head = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$10\r\n1234";
    assert_eq!(scanner.scan(head, &RequestLimits::AUTHENTICATED), Ok(Scanned::Incomplete));
    assert_eq!(scanner.stream(), head.len());
    assert_eq!(scanner.open_bulk(), None);
    assert_eq!(scanner.scan(b"", &RequestLimits::AUTHENTICATED), Ok(Scanned::Incomplete));
    assert_eq!(scanner.scan(b"567", &RequestLimits::AUTHENTICATED), Ok(Scanned::Part { len: 3 }));
    assert_eq!(scanner.scan(b"890\r", &RequestLimits::AUTHENTICATED), Ok(Scanned::Part { len: 3 }));
    assert_eq!(scanner.scan(b"\r", &RequestLimits::AUTHENTICATED), Ok(Scanned::Incomplete));
    assert_eq!(scanner.scan(b"\r\n*1\r\n", &RequestLimits::AUTHENTICATED), Ok(Scanned::Request { len: 2 }));
    assert_eq!(scanner.spans(), [8..11, 17..18]);
    assert_eq!(scanner.scan(b"*1\r\n$1\r\n", &RequestLimits::AUTHENTICATED), Ok(Scanned::Incomplete));
    assert!(scanner.open_bulk().is_some(), "the next request does not stream");
}

#[test]
fn a_streamed_request_is_scanned_as_strictly_as_any() {
    let head = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n";
    for (tail, error) in [
        (&b"$5\r\nvalue12"[..], ProtocolError::MissingCrlf),
        (b"$+5\r\nvalue\r\n", ProtocolError::InvalidBulkLength),
        (b"$536870913\r\n", ProtocolError::InvalidBulkLength),
        (b"*1\r\n", ProtocolError::ExpectedDollar(b'*')),
    ] {
        for step in [1, 3, 100] {
            assert_eq!(streamed(&[head, tail].concat(), head.len(), step), Err(error));
        }
    }
}

#[test]
fn streaming_nothing_takes_nothing() {
    let mut scanner = RequestScanner::new();
    assert_eq!(scanner.stream(), 0);
    assert_eq!(scanner.scan(b"PIN", &RequestLimits::AUTHENTICATED), Ok(Scanned::Incomplete));
    assert_eq!(scanner.stream(), 0);
    assert_eq!(scanner.scan(b"PING\n", &RequestLimits::AUTHENTICATED), Ok(Scanned::Inline { len: 5 }));
}

fn arguments() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let argument = prop_oneof![
        any::<[u8; 3]>().prop_map(|bytes| bytes.to_vec()),
        proptest::collection::vec(any::<u8>(), 0..40),
        proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'$'), Just(b'*'), Just(b'1')], 0..12),
        (90usize..1200).prop_map(|len| vec![b'v'; len]),
    ];
    proptest::collection::vec(argument, 1..15)
}

proptest! {
    #[test]
    fn what_is_encoded_is_scanned_again(requests in proptest::collection::vec(arguments(), 1..5), piece in 1usize..64) {
        let input: Vec<u8> = requests.iter().flat_map(|argv| encoded(argv)).collect();
        let expected: Vec<Event> = requests.into_iter().map(Event::Request).collect();
        prop_assert_eq!(events(&input.chunks(piece).collect::<Vec<_>>(), &RequestLimits::AUTHENTICATED), expected);
    }

    #[test]
    fn a_request_means_to_redis_protocol_what_it_means_to_us(argv in arguments()) {
        use redis_protocol::resp2::{decode::decode, types::OwnedFrame};

        let input = encoded(&argv);
        let (frame, len) = decode(&input).expect("a valid frame").expect("a complete frame");
        prop_assert_eq!(len, input.len());
        prop_assert_eq!(frame, OwnedFrame::Array(argv.iter().cloned().map(OwnedFrame::BulkString).collect()));
        prop_assert_eq!(all_at_once(&input), [Event::Request(argv)]);
    }

    #[test]
    fn a_damaged_stream_is_read_the_same_however_it_is_cut(
        requests in proptest::collection::vec(arguments(), 1..4),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), prop_oneof![Just(b'\r'), Just(b'0'), Just(b'*'), any::<u8>()]), 0..4),
        piece in 1usize..32,
    ) {
        let mut input: Vec<u8> = requests.iter().flat_map(|argv| encoded(argv)).collect();
        for (at, byte) in damage {
            let at = at.index(input.len());
            input[at] = byte;
        }
        let whole = all_at_once(&input);
        prop_assert_eq!(events(&input.chunks(piece).collect::<Vec<_>>(), &RequestLimits::AUTHENTICATED), whole);
    }

    #[test]
    fn arbitrary_bytes_are_read_the_same_however_they_are_cut(
        input in proptest::collection::vec(prop_oneof![
            Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), Just(b'1'), Just(b'"'), Just(b' '), any::<u8>(),
        ], 0..60),
        piece in 1usize..8,
    ) {
        prop_assert_eq!(events(&input.chunks(piece).collect::<Vec<_>>(), &RequestLimits::AUTHENTICATED), all_at_once(&input));
    }
}

/// Scans byte by byte, and spoils before each scan all that no scan has to look at again.
fn scan_spoiling(stream: &[u8]) -> Result<Scanned, ProtocolError> {
    let mut scanner = RequestScanner::new();
    let mut input = Vec::new();
    for byte in stream {
        input.push(*byte);
        match scanner.scan(&input, &RequestLimits::AUTHENTICATED) {
            Ok(Scanned::Incomplete) => {}
            found => return found,
        }
        match scanner.state {
            // What is searched for is the end of the line.
            State::Inline => input[..scanner.cursor].fill(b'\n'),
            State::Length => input[..scanner.line].fill(0xff),
            // The name of the command is looked at once it is there.
            State::Body { start, .. } if scanner.complete == 0 => input[..start].fill(0xff),
            State::Body { .. } => input[..scanner.cursor].fill(0xff),
            _ => {}
        }
    }
    Ok(Scanned::Incomplete)
}

#[test]
fn what_has_been_scanned_is_not_scanned_again_when_more_comes() {
    let long = "v".repeat(300);
    let arguments: Vec<&str> =
        ["MSET"].into_iter().chain(std::iter::repeat_n(["k", long.as_str()], 20).flatten()).collect();
    let request = encoded(&arguments);
    assert_eq!(scan_spoiling(&request), Ok(Scanned::Request { len: request.len() }));
    let line = b"an inline request\r\n";
    assert_eq!(scan_spoiling(line), Ok(Scanned::Empty { len: line.len() }), "nothing but blanks is left of it");
}

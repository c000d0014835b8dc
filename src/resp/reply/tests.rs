use proptest::prelude::*;

use super::*;
use crate::resp::{Protocol, Reply, decode};

/// What a session sees of a stream of replies.
#[derive(Clone, Debug, PartialEq)]
enum Event {
    Frame(FrameKind, Vec<u8>),
    Error(ReplyError),
    /// The stream ended within a frame.
    Unfinished,
}

/// Frames a stream that arrives in the given pieces; with `eager`, what may pass on is taken at once.
fn events(pieces: &[&[u8]], eager: bool) -> Vec<Event> {
    let mut framer = ReplyFramer::new();
    let (mut buffer, mut frame, mut events) = (Vec::new(), Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        while !buffer.is_empty() {
            match framer.scan(&buffer) {
                Ok(ReplyStep { kind, len, complete: true }) => {
                    frame.extend(buffer.drain(..len));
                    events.push(Event::Frame(kind, std::mem::take(&mut frame)));
                }
                Ok(ReplyStep { len, .. }) => {
                    if eager {
                        frame.extend(buffer.drain(..len));
                        framer.take();
                    }
                    break;
                }
                Err(error) => {
                    events.push(Event::Error(error));
                    return events;
                }
            }
        }
    }
    if !buffer.is_empty() || !frame.is_empty() {
        events.push(Event::Unfinished);
    }
    events
}

fn frame(bytes: &[u8]) -> Event {
    Event::Frame(FrameKind::Reply(bytes[0]), bytes.to_vec())
}

fn error_of(input: &[u8]) -> Option<ReplyError> {
    match events(&[input], false).last() {
        Some(Event::Error(error)) => Some(*error),
        _ => None,
    }
}

/// One frame of each kind, and some nested.
const FRAMES: &[&[u8]] = &[
    b"+OK\r\n",
    b"+\r\n",
    b"-ERR unknown command 'x'\r\n",
    b":0\r\n",
    b":-9223372036854775808\r\n",
    b"$0\r\n\r\n",
    b"$11\r\nhello\r\n$5\r\n\r\n",
    b"$-1\r\n",
    b"*-1\r\n",
    b"*0\r\n",
    b"*2\r\n$1\r\na\r\n*2\r\n:1\r\n*0\r\n",
    b"_\r\n",
    b"#t\r\n",
    b"#f\r\n",
    b",3.141\r\n",
    b",-inf\r\n",
    b"(3492890328409238509324850943850943825024385\r\n",
    b"=15\r\ntxt:Some string\r\n",
    b"!21\r\nSYNTAX invalid syntax\r\n",
    b"%2\r\n+first\r\n:1\r\n$6\r\nsecond\r\n*1\r\n_\r\n",
    b"~3\r\n+a\r\n:1\r\n#f\r\n",
    b"%0\r\n",
    b"~0\r\n",
    b"*1\r\n|1\r\n+ttl\r\n:3600\r\n+x\r\n",
    b"*2\r\n>2\r\n+a\r\n*1\r\n:1\r\n:1\r\n>0\r\n:2\r\n",
    b"*2\r\n|0\r\n+x\r\n*1\r\n|1\r\n*0\r\n%0\r\n$3\r\nabc\r\n",
    b"*3\r\n*1\r\n*1\r\n*0\r\n%1\r\n~1\r\n+a\r\n*-1\r\n$100\r\n0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\r\n",
];

const MALFORMED: &[(&[u8], ReplyError)] = &[
    (b"\r\n", ReplyError::UnknownType(b'\r')),
    (b"HTTP/1.1 400\r\n", ReplyError::UnknownType(b'H')),
    (b"*1\r\nX", ReplyError::UnknownType(b'X')),
    (b"*1\r\n.\r\n", ReplyError::UnknownType(b'.')),
    (b"$?\r\n", ReplyError::InvalidLength),
    (b"*?\r\n", ReplyError::InvalidLength),
    (b"%?\r\n", ReplyError::InvalidLength),
    (b"$-2\r\n", ReplyError::InvalidLength),
    (b"*-2\r\n", ReplyError::InvalidLength),
    (b"%-1\r\n", ReplyError::InvalidLength),
    (b"~-1\r\n", ReplyError::InvalidLength),
    (b">-1\r\n", ReplyError::InvalidLength),
    (b"=-1\r\n", ReplyError::InvalidLength),
    (b"$+1\r\n", ReplyError::InvalidLength),
    (b"$01\r\n", ReplyError::InvalidLength),
    (b"$\r\n", ReplyError::InvalidLength),
    (b"$9223372036854775807\r\n", ReplyError::InvalidLength),
    (b"*9223372036854775807\r\n", ReplyError::InvalidLength),
    (b"$1111111111111111111111", ReplyError::InvalidLength),
    (b":1x\r\n", ReplyError::InvalidScalar),
    (b":\r\n", ReplyError::InvalidScalar),
    (b"#x\r\n", ReplyError::InvalidScalar),
    (b"#1\r\n", ReplyError::InvalidScalar),
    (b"_x\r\n", ReplyError::InvalidScalar),
    (b"_1\r\n", ReplyError::InvalidScalar),
    (b"+OK\rX", ReplyError::MissingCrlf),
    (b"+OK\n", ReplyError::MissingCrlf),
    (b":1\rX", ReplyError::MissingCrlf),
    (b"$1\rX", ReplyError::MissingCrlf),
    (b"$1\r\nabc\r\n", ReplyError::MissingCrlf),
    (b"$1\r\na\n\r", ReplyError::MissingCrlf),
    (b"$1\r\na\rX", ReplyError::MissingCrlf),
];

#[test]
fn a_frame_of_each_kind_is_framed_alone_and_in_a_stream() {
    for bytes in FRAMES {
        assert_eq!(events(&[bytes], false), [frame(bytes)], "{bytes:?}");
    }
    let all: Vec<Event> = FRAMES.iter().map(|bytes| frame(bytes)).collect();
    assert_eq!(events(&[&FRAMES.concat()], false), all);
}

#[test]
fn every_split_of_a_frame_gives_the_same_frame() {
    for bytes in FRAMES {
        let input = [bytes, &b"+OK\r\n"[..]].concat();
        let whole = [frame(bytes), frame(b"+OK\r\n")];
        for eager in [false, true] {
            for middle in 0..=input.len() {
                let (head, tail) = input.split_at(middle);
                assert_eq!(events(&[head, tail], eager), whole, "{input:?} cut at {middle}, eager {eager}");
            }
            assert_eq!(events(&input.chunks(1).collect::<Vec<_>>(), eager), whole, "{input:?}, eager {eager}");
        }
    }
}

#[test]
fn no_prefix_of_a_frame_is_a_frame() {
    for bytes in FRAMES {
        for end in 1..bytes.len() {
            assert_eq!(events(&[&bytes[..end]], false), [Event::Unfinished], "{bytes:?} up to {end}");
        }
    }
}

#[test]
fn a_malformed_frame_is_refused_however_it_is_cut() {
    for (bytes, error) in MALFORMED {
        for eager in [false, true] {
            for middle in 0..=bytes.len() {
                let (head, tail) = bytes.split_at(middle);
                assert_eq!(events(&[head, tail], eager), [Event::Error(*error)], "{bytes:?} cut at {middle}");
            }
            assert_eq!(events(&bytes.chunks(1).collect::<Vec<_>>(), eager), [Event::Error(*error)], "{bytes:?}");
        }
    }
}

#[test]
fn nothing_after_a_malformed_frame_is_a_frame() {
    let mut framer = ReplyFramer::new();
    assert_eq!(framer.scan(b"X\r\n"), Err(ReplyError::UnknownType(b'X')));
    assert_eq!(framer.scan(b"+OK\r\n"), Err(ReplyError::UnknownType(b'X')));
    assert_eq!(framer.scan_run(b"+OK\r\n", 1), (0, 0));
}

#[test]
fn pushes_are_told_from_replies_and_an_attribute_belongs_to_what_follows() {
    let push = b">2\r\n+invalidate\r\n*1\r\n+k\r\n";
    assert_eq!(events(&[push], false), [Event::Frame(FrameKind::Push, push.to_vec())]);
    let reply = b"|1\r\n+key-popularity\r\n%1\r\n$1\r\na\r\n,0.1\r\n*1\r\n:1\r\n";
    assert_eq!(events(&[reply], false), [Event::Frame(FrameKind::Reply(b'*'), reply.to_vec())]);
}

#[test]
fn a_reply_is_undecided_while_only_its_attribute_is_there() {
    let mut framer = ReplyFramer::new();
    let step = |kind, len| Ok(ReplyStep { kind, len, complete: false });
    assert_eq!(framer.scan(b""), step(FrameKind::Undecided, 0));
    assert_eq!(framer.scan(b"|1\r\n+a\r\n"), step(FrameKind::Undecided, 8));
    assert_eq!(framer.scan(b"|1\r\n+a\r\n:1\r\n$"), step(FrameKind::Reply(b'$'), 12));
}

#[test]
fn nesting_is_accepted_to_its_cap_and_refused_beyond() {
    let nested = |depth: usize| [b"*1\r\n".repeat(depth), b":1\r\n".to_vec()].concat();
    assert_eq!(events(&[&nested(MAX_DEPTH)], true), [frame(&nested(MAX_DEPTH))]);
    assert_eq!(error_of(&nested(MAX_DEPTH + 1)), Some(ReplyError::TooDeep));
    assert_eq!(error_of(&b"*1\r\n".repeat(100_000)), Some(ReplyError::TooDeep));
}

#[test]
fn the_levels_of_a_reply_count_while_it_comes_and_are_not_kept_for_the_next() {
    let mut framer = ReplyFramer::new();
    let nested = b"*1\r\n".repeat(MAX_DEPTH);
    assert!(!framer.scan(&nested).expect("as deep as it may be").complete);
    assert_eq!(framer.memory(), (MAX_DEPTH - KEPT_LEVELS) * 8);
    framer.take();
    assert!(framer.scan(b":1\r\n").expect("the rest of it").complete);
    assert_eq!(framer.memory(), 0);
}

#[test]
fn a_claimed_length_costs_no_memory() {
    let mut framer = ReplyFramer::new();
    let step = framer.scan(b"*4294967296\r\n$1099511627776\r\nabc").expect("lengths at their caps");
    assert_eq!(step, ReplyStep { kind: FrameKind::Reply(b'*'), len: 32, complete: false });
    assert!(framer.outer.capacity() <= 8);
}

#[test]
fn the_bytes_of_a_value_are_not_looked_at() {
    let mut framer = ReplyFramer::new();
    let mut input = [b"$1000\r\n", [b'x'; 1000].as_slice(), b"\r\n"].concat();
    assert_eq!(framer.scan(&input[..500]).map(|step| step.len), Ok(500));
    input[..1000].fill(b'?');
    assert_eq!(framer.scan(&input).map(|step| (step.len, step.complete)), Ok((1009, true)));
}

#[test]
fn what_may_pass_on_of_a_large_reply_is_taken_and_not_scanned_again() {
    let mut framer = ReplyFramer::new();
    assert_eq!(framer.scan(b"$10\r\n1234").map(|step| step.len), Ok(9));
    framer.take();
    assert_eq!(framer.scan(b"").map(|step| (step.len, step.complete)), Ok((0, false)));
    assert_eq!(framer.scan(b"567890\r").map(|step| (step.len, step.complete)), Ok((6, false)));
    framer.take();
    assert_eq!(framer.scan(b"\r\n+OK\r\n").map(|step| (step.len, step.complete)), Ok((2, true)));
    assert_eq!(framer.scan(b"+OK\r\n").map(|step| (step.len, step.complete)), Ok((5, true)));
}

#[test]
fn a_run_skips_replies_of_every_kind() {
    let input = FRAMES.concat();
    let mut framer = ReplyFramer::new();
    assert_eq!(framer.scan_run(&input, u64::MAX), (FRAMES.len() as u64, input.len()));
}

#[test]
fn a_run_stops_at_its_maximum_and_goes_on_from_there() {
    let mut framer = ReplyFramer::new();
    let input = b"+OK\r\n:1\r\n$2\r\nab\r\n*1\r\n_\r\n";
    assert_eq!(framer.scan_run(input, 0), (0, 0));
    assert_eq!(framer.scan_run(input, 3), (3, 17));
    assert_eq!(framer.scan_run(&input[17..], 3), (1, 7));
}

#[test]
fn a_run_stops_in_front_of_a_push() {
    let mut framer = ReplyFramer::new();
    let push = b">1\r\n+x\r\n";
    assert_eq!(framer.scan_run(&[b"+OK\r\n", &push[..]].concat(), 9), (1, 5));
    assert_eq!(framer.scan(push), Ok(ReplyStep { kind: FrameKind::Push, len: 8, complete: true }));
}

#[test]
fn a_run_stops_in_front_of_an_incomplete_reply_which_is_scanned_on() {
    for rest in FRAMES {
        for end in 0..rest.len() {
            let mut framer = ReplyFramer::new();
            assert_eq!(framer.scan_run(&[b"+OK\r\n", &rest[..end]].concat(), 9), (1, 5), "{rest:?} up to {end}");
            let step = framer.scan(rest).map(|step| (step.len, step.complete));
            assert_eq!(step, Ok((rest.len(), true)), "{rest:?} up to {end}");
        }
    }
}

#[test]
fn a_run_in_the_middle_of_a_frame_skips_nothing() {
    let mut framer = ReplyFramer::new();
    assert_eq!(framer.scan(b"*2\r\n").map(|step| step.complete), Ok(false));
    framer.take();
    assert_eq!(framer.scan_run(b"+OK\r\n+OK\r\n", 9), (0, 0));
    assert_eq!(framer.scan(b"+OK\r\n+OK\r\n").map(|step| (step.len, step.complete)), Ok((10, true)));
}

#[test]
fn a_run_stops_in_front_of_a_malformed_reply_which_the_next_scan_reports() {
    for (bytes, error) in MALFORMED {
        let mut framer = ReplyFramer::new();
        assert_eq!(framer.scan_run(&[b"+OK\r\n", *bytes].concat(), 9), (1, 5), "{bytes:?}");
        assert_eq!(framer.scan(bytes), Err(*error), "{bytes:?}");
    }
}

fn replies() -> impl Strategy<Value = Reply> {
    let scalar = prop_oneof![
        "[^\r\n]{0,20}".prop_map(|text| Reply::Simple(text.into())),
        "[A-Z]{1,9} [^\r\n]{0,20}".prop_map(|text| Reply::Error(text.into())),
        any::<i64>().prop_map(Reply::Integer),
        proptest::collection::vec(any::<u8>(), 0..200).prop_map(Reply::Bulk),
        Just(Reply::Null),
        any::<bool>().prop_map(Reply::Boolean),
        any::<i32>().prop_map(|value| Reply::Double(f64::from(value) / 8.0)),
        "-?[1-9][0-9]{0,40}".prop_map(Reply::BigNumber),
        "\\PC{0,20}".prop_map(Reply::Verbatim),
    ];
    scalar.prop_recursive(5, 40, 6, |reply| {
        prop_oneof![
            proptest::collection::vec(reply.clone(), 0..6).prop_map(Reply::Array),
            proptest::collection::vec(reply.clone(), 0..6).prop_map(Reply::Set),
            proptest::collection::vec((reply.clone(), reply), 0..4).prop_map(Reply::Map),
        ]
    })
}

proptest! {
    #[test]
    fn what_redis_protocol_encodes_is_framed_however_it_is_cut(
        replies in proptest::collection::vec(replies(), 1..5), piece in 1usize..64, resp3: bool, eager: bool,
    ) {
        let protocol = if resp3 { Protocol::Resp3 } else { Protocol::Resp2 };
        let encoded: Vec<Vec<u8>> = replies.iter().map(|reply| {
            let mut out = Vec::new();
            reply.encode(protocol, &mut out);
            out
        }).collect();
        let expected: Vec<Event> = encoded.iter().map(|bytes| frame(bytes)).collect();
        let input = encoded.concat();
        prop_assert_eq!(events(&input.chunks(piece).collect::<Vec<_>>(), eager), expected);
        prop_assert_eq!(ReplyFramer::new().scan_run(&input, u64::MAX), (encoded.len() as u64, input.len()));
    }

    #[test]
    fn arbitrary_bytes_are_framed_the_same_however_they_are_cut(
        input in proptest::collection::vec(prop_oneof![
            Just(b'*'), Just(b'$'), Just(b'+'), Just(b'|'), Just(b'\r'), Just(b'\n'), Just(b'1'), Just(b'0'), any::<u8>(),
        ], 0..60),
        piece in 1usize..8,
        eager: bool,
    ) {
        prop_assert_eq!(events(&input.chunks(piece).collect::<Vec<_>>(), eager), events(&[&input], false));
    }

    #[test]
    fn what_is_decoded_was_framed_with_the_same_length(
        input in proptest::collection::vec(prop_oneof![
            Just(b'*'), Just(b'$'), Just(b'%'), Just(b'\r'), Just(b'\n'), Just(b'1'), Just(b'0'), any::<u8>(),
        ], 0..60),
        resp3: bool,
    ) {
        let protocol = if resp3 { Protocol::Resp3 } else { Protocol::Resp2 };
        if let Ok(Some((_reply, len))) = decode(protocol, &input) {
            let step = ReplyFramer::new().scan(&input).map(|step| (step.len, step.complete));
            prop_assert_eq!(step, Ok((len, true)));
        }
    }
}

#[test]
fn what_has_been_scanned_is_not_scanned_again_when_more_comes() {
    for frame in FRAMES {
        let mut framer = ReplyFramer::new();
        let mut input = Vec::new();
        for (index, byte) in frame.iter().enumerate() {
            input.push(*byte);
            let step = framer.scan(&input).unwrap();
            assert_eq!(step.complete, index + 1 == frame.len(), "{}", frame.escape_ascii());
            // What could pass on need not be there any more.
            input[..step.len].fill(0xff);
        }
    }
}

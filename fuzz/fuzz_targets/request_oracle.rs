//! What we accept as one multibulk request is to redis-protocol the same request, of the same length.
//!
//! Not the other way round: its decoder is lenient, and that is why it never sees bytes of a client.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redis_protocol::resp2::{decode::decode, types::OwnedFrame};
use respgate::resp::{RequestLimits, RequestScanner, Scanned};

fuzz_target!(|input: &[u8]| {
    let mut scanner = RequestScanner::new();
    let Ok(Scanned::Request { len }) = scanner.scan(input, &RequestLimits::AUTHENTICATED) else {
        return;
    };
    let argument = |span: &std::ops::Range<u32>| input[span.start as usize..span.end as usize].to_vec();
    let ours = OwnedFrame::Array(scanner.spans().iter().map(argument).map(OwnedFrame::BulkString).collect());
    let (theirs, their_len) = decode(&input[..len]).expect("a valid frame").expect("a complete frame");
    assert_eq!((theirs, their_len), (ours, len));
});

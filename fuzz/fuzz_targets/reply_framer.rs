//! Any bytes, in any pieces, taken early or late: the same frames. A run skips no other frames than single scans do.
#![no_main]

use libfuzzer_sys::fuzz_target;
use respgate::resp::{FrameKind, Protocol, ReplyError, ReplyFramer, ReplyStep, decode};

fuzz_target!(|data: &[u8]| {
    let Some((control, input)) = data.split_first() else {
        return;
    };
    let (eager, piece) = (control & 1 == 0, usize::from(control >> 1) + 1);
    let whole = frames([input].into_iter(), false);
    assert_eq!(frames(input.chunks(piece), eager), whole);

    let replies = whole.0.iter().take_while(|(kind, _)| *kind != FrameKind::Push);
    let expected = replies.fold((0, 0), |(frames, bytes), (_, len)| (frames + 1, bytes + len));
    assert_eq!(ReplyFramer::new().scan_run(input, u64::MAX), expected);

    // The decoder knows no push inside another frame.
    let protocols = [Protocol::Resp2, Protocol::Resp3].into_iter().filter(|_| !input.contains(&b'>'));
    for protocol in protocols {
        if let Ok(Some((_reply, len))) = decode(protocol, input) {
            assert_eq!(whole.0.first().map(|(_, len)| *len), Some(len));
        }
    }
});

/// Kind and length of all frames, and the error that ended the stream.
fn frames<'a>(pieces: impl Iterator<Item = &'a [u8]>, eager: bool) -> (Vec<(FrameKind, usize)>, Option<ReplyError>) {
    let mut framer = ReplyFramer::new();
    let (mut buffer, mut taken, mut frames) = (Vec::new(), 0, Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        while !buffer.is_empty() {
            match framer.scan(&buffer) {
                Ok(ReplyStep { kind, len, complete: true }) => {
                    frames.push((kind, taken + len));
                    taken = 0;
                    buffer.drain(..len);
                }
                Ok(ReplyStep { len, .. }) => {
                    if eager {
                        taken += len;
                        buffer.drain(..len);
                        framer.take();
                    }
                    break;
                }
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

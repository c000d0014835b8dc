use memchr::{memchr, memchr2};

use super::error::ReplyError;
use super::int;

/// Deepest nesting of aggregates. Redis's own replies nest less than ten deep; a script's are bounded by the Lua stack, at
/// about 8,000 [luaReplyToRedisReply].
pub(crate) const MAX_DEPTH: usize = 16_384;

/// Deepest nesting of a reply that is going to be decoded, which is recursive.
const MAX_DECODED_DEPTH: usize = 128;

/// Levels of nesting whose memory is kept from one reply to the next.
const KEPT_LEVELS: usize = 16;

/// Most bytes of a value: far above what a server can hold, far below what could overflow.
const MAX_BULK: i64 = 1 << 40;

/// Most elements of an aggregate.
const MAX_ELEMENTS: i64 = 1 << 32;

/// Most bytes of a line with an integer: type byte, sign, 19 digits, CR.
const MAX_INTEGER_LINE: usize = 22;

/// Finds the boundaries of one reply after the other in what a server sends, RESP2 and RESP3 alike.
///
/// Nothing is kept of a reply but how many of its elements are outstanding, one number for each level of nesting. No byte
/// is scanned twice, however the input is cut, and the bytes of a bulk string are not looked at.
#[derive(Debug, Default)]
pub struct ReplyFramer {
    state: State,
    kind: FrameKind,
    /// First byte not scanned yet, relative to the input. Never inside the CRLF behind a text or a body.
    cursor: usize,
    /// First byte of the line being read in [`State::Integer`]. `line <= cursor`.
    line: usize,
    /// Elements outstanding on the innermost level, the frame itself being the only one of the outermost.
    /// At least 1 while a frame is open.
    outstanding: u64,
    /// Those of the levels around it, outermost first.
    outer: Vec<u64>,
    is_to_be_decoded: bool,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// Between two frames.
    #[default]
    Idle,
    /// In front of a type byte.
    Element,
    /// In a line whose text is free.
    Text,
    /// In a line of a type byte and an integer, length, count, boolean or null.
    Integer,
    /// In a body, or in the CRLF behind it (`left == 0`).
    Body { left: u64 },
    /// Nothing after a malformed frame is a frame.
    Failed(ReplyError),
}

/// What a frame is to the order of replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FrameKind {
    /// Not known yet: no byte of the frame is there, or only of the attribute in front of it.
    #[default]
    Undecided,
    /// Answers a request (or is a RESP2 pub/sub message). With its type byte, that of the reply behind an attribute.
    Reply(u8),
    /// Out of band, `>`.
    Push,
}

/// What a scan found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct ReplyStep {
    /// What the frame is.
    pub kind: FrameKind,
    /// Bytes from the start of the input: of the whole frame, or the rest of it, if `complete`; otherwise those that can
    /// pass on already.
    pub len: usize,
    /// The frame ends here.
    pub complete: bool,
}

impl ReplyFramer {
    /// A framer in front of the first frame.
    pub fn new() -> ReplyFramer {
        ReplyFramer::default()
    }

    /// A framer of replies that are going to be decoded: it refuses those that nest too deeply for that.
    pub(super) fn for_decoding() -> ReplyFramer {
        ReplyFramer { is_to_be_decoded: true, ..ReplyFramer::default() }
    }

    /// Scans on. `input` starts at the first byte of the current frame, or behind what was [taken](Self::take) of it.
    /// After a complete step the next scan begins a new frame.
    ///
    /// # Errors
    /// The frame is malformed, or nested too deeply. Every later scan returns the same error.
    pub fn scan(&mut self, input: &[u8]) -> Result<ReplyStep, ReplyError> {
        if let State::Idle = self.state {
            self.state = State::Element;
            self.kind = FrameKind::Undecided;
            self.cursor = 0;
            self.outstanding = 1;
        }
        match self.advance(input) {
            Ok(complete) => {
                if complete {
                    self.state = State::Idle;
                    self.outer.shrink_to(KEPT_LEVELS);
                }
                Ok(ReplyStep { kind: self.kind, len: self.passable(), complete })
            }
            Err(error) => {
                self.state = State::Failed(error);
                Err(error)
            }
        }
    }

    /// The caller passed on the `len` bytes of the incomplete step before: the next input starts behind them.
    pub fn take(&mut self) {
        if !matches!(self.state, State::Idle) {
            self.cursor -= self.passable();
            self.line = 0;
        }
    }

    /// Bytes of memory that it takes for a frame that nests deeply, beyond what it keeps from one to the next.
    pub fn memory(&self) -> usize {
        self.outer.capacity().saturating_sub(KEPT_LEVELS) * size_of::<u64>()
    }

    /// Skips up to `max` complete replies at the start of `input`, which starts at a new frame: (frames, bytes).
    /// Stops before a push and before a frame that is incomplete or malformed, which the next [`scan`](Self::scan)
    /// of what follows reports. In the middle of a frame it skips nothing.
    pub fn scan_run(&mut self, input: &[u8], max: u64) -> (u64, usize) {
        let (mut frames, mut bytes) = (0, 0);
        if !matches!(self.state, State::Idle) {
            return (frames, bytes);
        }
        while frames < max {
            let rest = &input[bytes..];
            let len = match small_reply(rest) {
                Some(len) => len,
                None if matches!(rest, [] | [b'>', ..]) => break,
                None => match self.scan(rest) {
                    Ok(ReplyStep { kind: FrameKind::Reply(_), len, complete: true }) => len,
                    Ok(_) | Err(_) => break,
                },
            };
            frames += 1;
            bytes += len;
        }
        (frames, bytes)
    }

    /// Scans to the end of the frame (`true`) or of the input.
    fn advance(&mut self, input: &[u8]) -> Result<bool, ReplyError> {
        loop {
            let progress = match self.state {
                State::Element => self.begin_element(input)?,
                State::Text => self.scan_text(input)?,
                State::Integer => self.scan_integer(input)?,
                State::Body { left } => self.scan_body(input, left)?,
                State::Idle => unreachable!("a scan begins a frame"),
                State::Failed(error) => return Err(error),
            };
            match progress {
                Step::Starved => return Ok(false),
                Step::Inside => continue,
                Step::ElementEnd => self.outstanding -= 1,
                Step::Level => {}
            }
            if self.leave_finished_levels() {
                return Ok(true);
            }
            self.state = State::Element;
        }
    }

    fn begin_element(&mut self, input: &[u8]) -> Result<Step, ReplyError> {
        let Some(&kind) = input.get(self.cursor) else {
            return Ok(Step::Starved);
        };
        let outermost = self.outer.is_empty();
        self.state = match kind {
            b'+' | b'-' | b'(' | b',' => State::Text,
            b'$' | b'=' | b'!' | b':' | b'#' | b'_' | b'*' | b'%' | b'~' | b'|' | b'>' => State::Integer,
            unknown => return Err(ReplyError::UnknownType(unknown)),
        };
        if outermost {
            self.kind = match kind {
                b'|' => FrameKind::Undecided,
                b'>' => FrameKind::Push,
                kind => FrameKind::Reply(kind),
            };
        }
        self.line = self.cursor;
        self.cursor += 1;
        Ok(Step::Inside)
    }

    fn scan_text(&mut self, input: &[u8]) -> Result<Step, ReplyError> {
        let Some(found) = memchr2(b'\r', b'\n', &input[self.cursor..]) else {
            self.cursor = input.len();
            return Ok(Step::Starved);
        };
        self.cursor += found;
        self.skip_crlf(input)
    }

    fn scan_integer(&mut self, input: &[u8]) -> Result<Step, ReplyError> {
        if let Some((value, len)) = int::parse_short_line(&input[self.line..]) {
            let kind = input[self.line];
            self.cursor = self.line + len;
            return self.end_integer(kind, Some(value as i64));
        }
        let window = &input[..input.len().min(self.line + MAX_INTEGER_LINE)];
        let Some(found) = memchr(b'\r', &window[self.cursor..]) else {
            self.cursor = window.len();
            let too_long = window.len() - self.line == MAX_INTEGER_LINE;
            return if too_long { Err(ReplyError::InvalidLength) } else { Ok(Step::Starved) };
        };
        self.cursor += found;
        let (kind, text) = (input[self.line], &input[self.line + 1..self.cursor]);
        match self.skip_crlf(input)? {
            Step::ElementEnd => {}
            starved => return Ok(starved),
        }
        match (kind, text) {
            (b'_', b"") | (b'#', b"t" | b"f") => Ok(Step::ElementEnd),
            (b'_' | b'#', _) => Err(ReplyError::InvalidScalar),
            _ => self.end_integer(kind, int::parse(text)),
        }
    }

    /// The line of an integer, length or count is complete.
    fn end_integer(&mut self, kind: u8, value: Option<i64>) -> Result<Step, ReplyError> {
        match (kind, value) {
            (b':', Some(_)) => Ok(Step::ElementEnd),
            (b':' | b'_' | b'#', _) => Err(ReplyError::InvalidScalar),
            (b'$' | b'*', Some(-1)) => Ok(Step::ElementEnd),
            (b'$' | b'=' | b'!', Some(len @ 0..=MAX_BULK)) => {
                self.state = State::Body { left: len.unsigned_abs() };
                Ok(Step::Inside)
            }
            // Redis 7.0 puts pushes in front of elements of a reply (EXEC of a PUBLISH to oneself), where they are none.
            (b'>', Some(len @ 0..=MAX_ELEMENTS)) if !self.outer.is_empty() => self.enter_level(len.unsigned_abs()),
            (b'*' | b'~' | b'>', Some(len @ 0..=MAX_ELEMENTS)) => {
                self.outstanding -= 1;
                self.enter_level(len.unsigned_abs())
            }
            (b'%', Some(pairs @ 0..=MAX_ELEMENTS)) => {
                self.outstanding -= 1;
                self.enter_level(2 * pairs.unsigned_abs())
            }
            // What an attribute belongs to is still outstanding.
            (b'|', Some(pairs @ 0..=MAX_ELEMENTS)) => self.enter_level(2 * pairs.unsigned_abs()),
            _ => Err(ReplyError::InvalidLength),
        }
    }

    fn scan_body(&mut self, input: &[u8], left: u64) -> Result<Step, ReplyError> {
        let available = (input.len() - self.cursor) as u64;
        if available < left {
            self.cursor = input.len();
            self.state = State::Body { left: left - available };
            return Ok(Step::Starved);
        }
        self.cursor = input.len() - (available - left) as usize;
        self.state = State::Body { left: 0 };
        self.skip_crlf(input)
    }

    /// The two bytes at the cursor, which end an element, are CRLF.
    fn skip_crlf(&mut self, input: &[u8]) -> Result<Step, ReplyError> {
        match input[self.cursor..] {
            [] | [b'\r'] => Ok(Step::Starved),
            [b'\r', b'\n', ..] => {
                self.cursor += 2;
                Ok(Step::ElementEnd)
            }
            _ => Err(ReplyError::MissingCrlf),
        }
    }

    fn enter_level(&mut self, elements: u64) -> Result<Step, ReplyError> {
        if self.outer.len() == if self.is_to_be_decoded { MAX_DECODED_DEPTH } else { MAX_DEPTH } {
            return Err(ReplyError::TooDeep);
        }
        self.outer.push(self.outstanding);
        self.outstanding = elements;
        Ok(Step::Level)
    }

    /// Whether nothing is outstanding on any level.
    fn leave_finished_levels(&mut self) -> bool {
        while self.outstanding == 0 {
            match self.outer.pop() {
                Some(outstanding) => self.outstanding = outstanding,
                None => return true,
            }
        }
        false
    }

    /// Everything scanned that is not part of a line with an integer still open, nor of an open CRLF.
    fn passable(&self) -> usize {
        match self.state {
            State::Integer => self.line,
            _ => self.cursor,
        }
    }
}

enum Step {
    /// The input ends here.
    Starved,
    /// The element goes on.
    Inside,
    /// The element ends here.
    ElementEnd,
    /// An aggregate begins here.
    Level,
}

/// Length of a complete `+OK`, or short integer or bulk string: of most replies.
#[inline(always)]
fn small_reply(input: &[u8]) -> Option<usize> {
    match input {
        [b'$', ..] => {
            let (len, line_len) = int::parse_short_line(input)?;
            let end = line_len + len;
            (input.get(end..end + 2)? == b"\r\n").then_some(end + 2)
        }
        [b'+', b'O', b'K', b'\r', b'\n', ..] => Some(5),
        [b':', ..] => int::parse_short_line(input).map(|(_value, len)| len),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

use std::fmt;
use std::mem;
use std::ops::Range;

use memchr::{memchr, memchr2};

use super::args::{encode_bulk, encode_header};
use super::error::ProtocolError;
use super::inline::InlineArgs;
use super::int;
use super::limits::RequestLimits;

/// Most bytes of a line with a count or a length, as `PROTO_INLINE_MAX_SIZE` of Redis.
const MAX_LINE: usize = 64 * 1024;

/// Redis's own bound of an argument (`proto-max-bulk-len`), above which the text is the same before authentication.
const PROTO_MAX_BULK: u64 = 512 * 1024 * 1024;

/// Capacity kept from one request to the next: while more input waits, so that a busy client costs no allocations, and
/// while none does, so that an idle one costs half a KiB at most.
const SPANS_IF_BUSY: usize = 4096;
const SPANS_IF_IDLE: usize = 64;

/// Finds the boundaries of one request after the other, as they arrive.
///
/// A multibulk request is accepted in its canonical form alone, so that the original bytes can be forwarded and mean to
/// Redis what they meant here. An inline request is taken apart and re-emitted as multibulk.
///
/// No byte is scanned twice, however the input is cut, and the bytes of an argument are not looked at. Memory follows
/// the arguments that have arrived, never a claimed count or length.
#[derive(Default)]
pub struct RequestScanner {
    state: State,
    /// First byte not scanned yet, relative to the input. In [`State::Body`] never inside the CRLF behind the body.
    cursor: usize,
    /// First byte of the line being read in [`State::Count`] and [`State::Length`]. `line <= cursor`.
    line: usize,
    /// Arguments declared by `*<n>`, at least 1; 0 outside a multibulk request.
    declared: u32,
    /// Arguments of those that are complete.
    complete: u32,
    streaming: bool,
    /// The first argument is `POST` or `Host:`.
    cross_protocol: bool,
    spans: Vec<Range<u32>>,
    canonical: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// Between two requests.
    #[default]
    Idle,
    Inline,
    /// In the line `*<n>`.
    Count,
    /// In a line `$<len>`.
    Length,
    /// In the bytes of an argument, or in the CRLF behind it (`left == 0`).
    Body {
        start: usize,
        len: usize,
        left: usize,
    },
    /// Nothing after a protocol error is a request.
    Failed(ProtocolError),
}

/// What a scan found. All lengths are bytes from the start of the input; the caller takes them from it before it scans
/// on, except that nothing is taken for `Incomplete`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Scanned {
    /// The request is not finished; scan again with the same input and more behind it.
    Incomplete,
    /// A complete multibulk request, or the rest of one that streams.
    Request {
        /// Its bytes; while streaming, at least the final CRLF.
        len: usize,
    },
    /// A complete inline request with at least one argument; see [`RequestScanner::canonical`].
    Inline {
        /// Its bytes, the LF included.
        len: usize,
    },
    /// `*<n>` with n ≤ 0, or a blank line: Redis skips it without a reply.
    Empty {
        /// Its bytes.
        len: usize,
    },
    /// While streaming: these bytes may pass on, the request is not finished. Never empty, and never a part of the
    /// final CRLF, without which Redis executes nothing.
    Part {
        /// The bytes that may pass on.
        len: usize,
    },
}

/// The argument in which an incomplete scan stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenBulk {
    /// Which argument, counted from 0.
    pub index: u32,
    /// Its declared length in bytes.
    pub len: u64,
    /// Where its first byte is, or will be, in the request.
    pub start: usize,
}

impl RequestScanner {
    /// A scanner in front of the first request.
    pub fn new() -> RequestScanner {
        RequestScanner::default()
    }

    /// Scans on. `input` starts at the first byte of the current request or, once it streams, at the first byte not
    /// taken yet. Between two requests it may be empty, which gives memory back.
    ///
    /// # Errors
    /// The first thing that is wrong with the request, in the order in which Redis finds it. Every later scan returns
    /// the same error.
    pub fn scan(&mut self, input: &[u8], limits: &RequestLimits) -> Result<Scanned, ProtocolError> {
        let scanned = match self.state {
            State::Idle => self.begin(input, limits),
            State::Inline => self.scan_inline(input, limits),
            State::Count => self.scan_count(input, limits),
            State::Length | State::Body { .. } => self.scan_args(input, limits),
            State::Failed(error) => Err(error),
        };
        if let Err(error) = scanned {
            self.state = State::Failed(error);
        }
        scanned
    }

    /// The complete arguments so far, relative to the first byte of the request; after [`Scanned::Inline`], relative to
    /// [`canonical`](Self::canonical). Valid until the next request is scanned. Once the request streams, arguments are
    /// no longer added.
    pub fn spans(&self) -> &[Range<u32>] {
        &self.spans
    }

    /// The same, for good: until the next scan it has none.
    pub fn take_spans(&mut self) -> Vec<Range<u32>> {
        mem::take(&mut self.spans)
    }

    /// Between two requests, with no input behind: gives memory back.
    pub fn rest(&mut self) {
        if let State::Idle = self.state {
            clear(&mut self.spans, SPANS_IF_IDLE);
            clear(&mut self.canonical, 0);
        }
    }

    /// Bytes of memory that the table of arguments and the canonical form take.
    pub fn memory(&self) -> usize {
        self.spans.capacity() * size_of::<Range<u32>>() + self.canonical.capacity()
    }

    /// The inline request that was just scanned, as canonical multibulk.
    pub fn canonical(&self) -> &[u8] {
        &self.canonical
    }

    /// The same, handed over.
    pub fn take_canonical(&mut self) -> Vec<u8> {
        mem::take(&mut self.canonical)
    }

    /// How many arguments the current multibulk request declares, once that is known.
    pub fn argc(&self) -> Option<u32> {
        (self.declared > 0).then_some(self.declared)
    }

    /// The argument in which an incomplete scan stopped, if it stopped in one and the request does not stream yet.
    pub fn open_bulk(&self) -> Option<OpenBulk> {
        match self.state {
            State::Body { start, len, .. } if !self.streaming => {
                Some(OpenBulk { index: self.complete, len: len as u64, start })
            }
            _ => None,
        }
    }

    /// From here on the current multibulk request streams: it is handed over in parts, and its arguments are no longer
    /// recorded. Returns the length of the first part, which the caller takes from the input like a [`Scanned::Part`].
    /// Outside a multibulk request nothing changes and nothing is to be taken.
    #[must_use]
    pub fn stream(&mut self) -> usize {
        if !matches!(self.state, State::Length | State::Body { .. }) {
            return 0;
        }
        self.streaming = true;
        self.take_part()
    }

    fn begin(&mut self, input: &[u8], limits: &RequestLimits) -> Result<Scanned, ProtocolError> {
        self.cursor = 0;
        self.declared = 0;
        let Some(first) = input.first() else {
            clear(&mut self.spans, SPANS_IF_IDLE);
            clear(&mut self.canonical, 0);
            return Ok(Scanned::Incomplete);
        };
        clear(&mut self.spans, SPANS_IF_BUSY);
        clear(&mut self.canonical, 0);
        match first {
            b'*' => self.scan_count(input, limits),
            _ => self.scan_inline(input, limits),
        }
    }

    fn scan_inline(&mut self, input: &[u8], limits: &RequestLimits) -> Result<Scanned, ProtocolError> {
        self.state = State::Inline;
        let window = &input[..input.len().min(limits.max_inline.saturating_add(1))];
        let Some(found) = memchr2(b'\n', b'\0', window.get(self.cursor..).unwrap_or_default()) else {
            self.cursor = window.len();
            return if window.len() > limits.max_inline {
                Err(ProtocolError::TooBigInline)
            } else {
                Ok(Scanned::Incomplete)
            };
        };
        let end = self.cursor + found;
        if input[end] == b'\0' {
            return Err(ProtocolError::NulInInline);
        }
        let line = &input[..end];
        let args = InlineArgs::split(line.strip_suffix(b"\r").unwrap_or(line))
            .map_err(|_unbalanced| ProtocolError::UnbalancedQuotes)?;
        if args.iter().next().is_some_and(is_cross_protocol) {
            return Err(ProtocolError::CrossProtocol);
        }
        self.state = State::Idle;
        if args.len() == 0 {
            return Ok(Scanned::Empty { len: end + 1 });
        }
        self.record_inline(&args)?;
        Ok(Scanned::Inline { len: end + 1 })
    }

    fn record_inline(&mut self, args: &InlineArgs) -> Result<(), ProtocolError> {
        // Beside its bytes a short argument takes seven. To grow step by step would cost more than all the rest.
        self.canonical.reserve(args.bytes() + 7 * args.len());
        self.spans.reserve(args.len());
        encode_header(b'*', args.len(), &mut self.canonical);
        for arg in args.iter() {
            let Range { start, end } = encode_bulk(arg, &mut self.canonical);
            self.spans.push(span(start, end)?);
        }
        Ok(())
    }

    fn scan_count(&mut self, input: &[u8], limits: &RequestLimits) -> Result<Scanned, ProtocolError> {
        let (count, next) = match int::parse_short_line(input) {
            Some((count, next)) => (count as i64, next),
            None => {
                self.state = State::Count;
                self.line = 0;
                let Some(cr) = self.find_cr(input, ProtocolError::TooBigMultibulkCount)? else {
                    return Ok(Scanned::Incomplete);
                };
                let count = int::parse(&input[1..cr]).ok_or(ProtocolError::InvalidMultibulkLength)?;
                check_count(count, limits)?;
                check_lf(input, cr)?;
                (count, cr + 2)
            }
        };
        check_count(count, limits)?;
        let Ok(declared @ 1..) = u32::try_from(count) else {
            self.state = State::Idle;
            return Ok(Scanned::Empty { len: next });
        };
        self.declared = declared;
        self.complete = 0;
        self.streaming = false;
        self.cross_protocol = false;
        self.begin_length(next);
        self.scan_args(input, limits)
    }

    fn scan_args(&mut self, input: &[u8], limits: &RequestLimits) -> Result<Scanned, ProtocolError> {
        loop {
            self.scan_short_args(input, limits)?;
            if self.complete == self.declared {
                break;
            }
            let Some((start, end)) = self.scan_arg(input, limits)? else {
                return Ok(self.stopped());
            };
            self.record(input, start, end)?;
            self.begin_length(end + 2);
        }
        if self.cross_protocol {
            return Err(ProtocolError::CrossProtocol);
        }
        self.state = State::Idle;
        Ok(Scanned::Request { len: self.cursor })
    }

    /// The usual case: arguments that are here as a whole, with lengths of at most three digits. What is not of this
    /// kind is left to [`scan_arg`](Self::scan_arg).
    #[inline]
    fn scan_short_args(&mut self, input: &[u8], limits: &RequestLimits) -> Result<(), ProtocolError> {
        let State::Length = self.state else {
            return Ok(());
        };
        let mut next = self.line;
        while self.complete < self.declared
            && let Some((start, end)) = short_arg(input, next, limits)
        {
            self.record(input, start, end)?;
            next = end + 2;
        }
        if next > self.line {
            self.begin_length(next);
        }
        Ok(())
    }

    #[inline]
    fn record(&mut self, input: &[u8], start: usize, end: usize) -> Result<(), ProtocolError> {
        if !self.streaming {
            if self.complete == 0 {
                self.cross_protocol = is_cross_protocol(&input[start..end]);
            }
            self.spans.push(span(start, end)?);
        }
        self.complete += 1;
        Ok(())
    }

    /// (start, end) of the current argument, once it is here as a whole, its CRLF included.
    fn scan_arg(&mut self, input: &[u8], limits: &RequestLimits) -> Result<Option<(usize, usize)>, ProtocolError> {
        if let State::Length = self.state {
            let Some((len, start)) = self.scan_length(input, limits)? else {
                return Ok(None);
            };
            self.state = State::Body { start, len, left: len };
            self.cursor = start;
        }
        let State::Body { start, len, left } = self.state else {
            unreachable!("a multibulk request is in a length or in a body");
        };
        let rest = &input[self.cursor..];
        if rest.len() < left || rest.len() - left < 2 {
            let taken = left.min(rest.len());
            self.cursor += taken;
            self.state = State::Body { start, len, left: left - taken };
            return Ok(None);
        }
        if rest[left..left + 2] != *b"\r\n" {
            return Err(ProtocolError::MissingCrlf);
        }
        Ok(Some((start, self.cursor + left)))
    }

    /// (length of the argument, where it starts), once its line is complete.
    fn scan_length(&mut self, input: &[u8], limits: &RequestLimits) -> Result<Option<(usize, usize)>, ProtocolError> {
        let Some(cr) = self.find_cr(input, ProtocolError::TooBigBulkCount)? else {
            return Ok(None);
        };
        if input[self.line] != b'$' {
            return Err(ProtocolError::ExpectedDollar(input[self.line]));
        }
        let len = int::parse(&input[self.line + 1..cr]).ok_or(ProtocolError::InvalidBulkLength)?;
        let len = check_len(len, limits)?;
        check_lf(input, cr)?;
        Ok(Some((len, cr + 2)))
    }

    /// The CR that ends the current line, once the byte behind it is there too.
    fn find_cr(&mut self, input: &[u8], too_big: ProtocolError) -> Result<Option<usize>, ProtocolError> {
        let window = &input[..input.len().min(self.line.saturating_add(MAX_LINE + 1))];
        match memchr(b'\r', &window[self.cursor..]) {
            Some(found) => {
                self.cursor += found;
                Ok((self.cursor + 1 < input.len()).then_some(self.cursor))
            }
            None => {
                self.cursor = window.len();
                if window.len() - self.line > MAX_LINE { Err(too_big) } else { Ok(None) }
            }
        }
    }

    fn begin_length(&mut self, at: usize) {
        self.state = State::Length;
        self.line = at;
        self.cursor = at;
    }

    fn stopped(&mut self) -> Scanned {
        if !self.streaming {
            return Scanned::Incomplete;
        }
        match self.take_part() {
            0 => Scanned::Incomplete,
            len => Scanned::Part { len },
        }
    }

    /// Everything scanned that is not part of a line still open, nor of the CRLF behind an argument.
    fn take_part(&mut self) -> usize {
        let len = match self.state {
            State::Length => self.line,
            State::Body { .. } => self.cursor,
            State::Idle | State::Inline | State::Count | State::Failed(_) => 0,
        };
        self.cursor -= len;
        self.line = 0;
        len
    }
}

/// Without the bytes of an inline request, which may hold a password.
impl fmt::Debug for RequestScanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestScanner")
            .field("state", &self.state)
            .field("declared", &self.declared)
            .field("complete", &self.complete)
            .field("streaming", &self.streaming)
            .finish_non_exhaustive()
    }
}

/// Empties a buffer, and gives back what it has beyond a capacity of `keep`.
#[inline]
fn clear<T>(buffer: &mut Vec<T>, keep: usize) {
    buffer.clear();
    if buffer.capacity() > keep {
        buffer.shrink_to(keep);
    }
}

/// (start, end) of an argument that begins at `at`.
#[inline(always)]
fn short_arg(input: &[u8], at: usize, limits: &RequestLimits) -> Option<(usize, usize)> {
    let line = input.get(at..)?;
    let (len, start) = int::parse_short_line(line).filter(|_| line[0] == b'$')?;
    let crlf = line.get(start + len..start + len + 2)?;
    (crlf == b"\r\n" && len as u64 <= limits.max_bulk).then_some((at + start, at + start + len))
}

fn check_count(count: i64, limits: &RequestLimits) -> Result<(), ProtocolError> {
    if count <= i64::from(limits.max_args) {
        Ok(())
    } else if limits.authenticated || count > i64::from(i32::MAX) {
        Err(ProtocolError::InvalidMultibulkLength)
    } else {
        Err(ProtocolError::UnauthenticatedMultibulk)
    }
}

fn check_len(len: i64, limits: &RequestLimits) -> Result<usize, ProtocolError> {
    let bytes = u64::try_from(len).map_err(|_negative| ProtocolError::InvalidBulkLength)?;
    if bytes <= limits.max_bulk {
        usize::try_from(bytes).map_err(|_too_big| ProtocolError::InvalidBulkLength)
    } else if limits.authenticated || bytes > PROTO_MAX_BULK {
        Err(ProtocolError::InvalidBulkLength)
    } else {
        Err(ProtocolError::UnauthenticatedBulk)
    }
}

fn check_lf(input: &[u8], cr: usize) -> Result<(), ProtocolError> {
    if input.get(cr + 1) == Some(&b'\n') { Ok(()) } else { Err(ProtocolError::MissingCrlf) }
}

fn span(start: usize, end: usize) -> Result<Range<u32>, ProtocolError> {
    match (u32::try_from(start), u32::try_from(end)) {
        (Ok(start), Ok(end)) => Ok(start..end),
        _ => Err(ProtocolError::TooBigRequest),
    }
}

/// As Redis compares: without case, and up to a NUL.
fn is_cross_protocol(name: &[u8]) -> bool {
    let is = |word: &[u8]| match name.split_at_checked(word.len()) {
        Some((head, tail)) => head.eq_ignore_ascii_case(word) && matches!(tail, [] | [0, ..]),
        None => false,
    };
    is(b"post") || is(b"host:")
}

#[cfg(test)]
mod tests;

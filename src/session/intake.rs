//! Where requests come in: what is being scanned, and whether the next one is looked at.

use std::cell::Cell;
use std::ops::Range;

use super::wait::Wait;
use crate::acl::Effort;
use crate::command::ArgvBuf;
use crate::resp::{OpenBulk, ProtocolError, RequestLimits, RequestScanner, Scanned};

/// What becomes of the request that is being scanned.
pub(super) enum Body {
    /// It is held until it is complete, unless its first arguments let it go on before. Fewer than `judge_from` have been
    /// judged, and do not.
    Held { judge_from: u32 },
    /// It is forwarded as it comes. Its last two bytes are held back until it is complete and judged again by its first
    /// arguments: Redis executes nothing without them.
    Forwarding { prefix: ArgvBuf, argc: usize },
    /// It was refused with this text, and is counted off.
    Discarding { refusal: String, is_exec: bool },
}

impl Default for Body {
    fn default() -> Self {
        Self::Held { judge_from: 0 }
    }
}

impl Body {
    /// Bytes of memory that it takes.
    fn memory(&self) -> usize {
        match self {
            Self::Held { .. } => 0,
            Self::Forwarding { prefix, .. } => prefix.memory(),
            Self::Discarding { refusal, .. } => refusal.capacity(),
        }
    }
}

/// Whether replies are wanted (CLIENT REPLY).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum ReplyMode {
    #[default]
    On,
    Off,
    /// Not for the next request.
    SkipNext,
}

/// Whether the client is shown a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Visibility {
    Shown,
    /// CLIENT REPLY OFF or SKIP, or a request of our own. Confirmations of subscriptions are shown all the same.
    Hidden,
}

/// The client's requests, one after the other. While something is waited for, none is begun, and what has come of it stays
/// with the driver. It lives as long as the session; RESET is one of its requests.
#[derive(Default)]
pub(super) struct Intake {
    scanner: RequestScanner,
    body: Body,
    wait: Option<Wait>,
    reply_mode: ReplyMode,
    turn: Turn,
    /// What has come was sent before the client could read that its login was refused.
    is_behind_refused_login: bool,
}

/// Requests that are taken before other sessions get their turn, whatever becomes of them. Those that are refused or answered
/// here wait for nobody, and a session may have a million at hand.
const REQUESTS: u32 = 128;

/// What they may cost: bytes of them in canonical form, where each word has a line of its own, and of what they are answered with
/// here, even if the client wants no answers; and comparisons for judging them, which take about as long. A request may have a
/// million keys, and an answer tell of thousands of users. The last one may go beyond.
const WORK: usize = 64 << 10;

/// What it costs to tell of a request where another kind came before it. Of the same kind it is a count.
const REPORT: usize = 2 << 10;

/// What it costs to hold a certificate against a rule, 0.16 µs.
const RULE: usize = 80;

/// What it costs to learn a name, 60 ns.
const LEARNT: usize = 30;

/// What may still be taken in this turn.
struct Turn {
    requests: u32,
    /// Judging a request borrows its arguments from the scanner, so this changes in place.
    work: Cell<usize>,
    /// Some that have come were left for the next one.
    is_behind: bool,
    /// Among all sessions it is this one's turn for a judgement that takes long.
    may_be_long: bool,
}

impl Default for Turn {
    fn default() -> Self {
        Self { requests: REQUESTS, work: Cell::new(WORK), is_behind: false, may_be_long: false }
    }
}

impl Intake {
    /// See [`RequestScanner::scan`].
    pub(super) fn scan(&mut self, input: &[u8], limits: &RequestLimits) -> Result<Scanned, ProtocolError> {
        let scanned = self.scanner.scan(input, limits);
        let work = match scanned {
            Ok(Scanned::Empty { len } | Scanned::Request { len }) => len,
            Ok(Scanned::Inline { len }) => len.max(self.scanner.canonical().len()),
            Ok(Scanned::Incomplete | Scanned::Part { .. }) | Err(_) => return scanned,
        };
        self.turn.requests = self.turn.requests.saturating_sub(1);
        self.note_work(work);
        scanned
    }

    /// So many bytes were read or made for the client in this turn.
    pub(super) fn note_work(&self, bytes: usize) {
        self.turn.work.set(self.turn.work.get().saturating_sub(bytes));
    }

    /// This was spent on judging a request in this turn.
    pub(super) fn note_effort(&self, effort: &Effort) {
        self.note_work(usize::try_from(effort.spent()).unwrap_or(usize::MAX));
    }

    /// What became of a request is told; if it `is_new`, not only as one more of the same.
    pub(super) fn note_report(&self, is_new: bool) {
        if is_new {
            self.note_work(REPORT);
        }
    }

    /// A certificate was held against so many rules in this turn.
    pub(super) fn note_rules(&self, rules: usize) {
        self.note_work(rules.saturating_mul(RULE));
    }

    /// So many names were learnt of a request in this turn.
    pub(super) fn note_learnt(&self, names: usize) {
        self.note_work(names.saturating_mul(LEARNT));
    }

    /// What judging a whole request may cost in this turn.
    pub(super) fn effort(&self) -> Effort {
        if self.turn.may_be_long { Effort::default() } else { Effort::at_once() }
    }

    /// Another turn begins, which may be a long one.
    pub(super) fn begin_turn(&mut self, may_be_long: bool) {
        self.turn = Turn { is_behind: self.turn.is_behind, may_be_long, ..Turn::default() };
        if may_be_long && matches!(self.wait, Some(Wait::LongJudgement)) {
            self.wait = None;
        }
    }

    /// No further request is begun in this turn.
    pub(super) fn has_had_its_turn(&self) -> bool {
        self.turn.requests == 0 || self.turn.work.get() == 0
    }

    /// Whether requests that have come were left for the next turn.
    pub(super) fn is_behind(&self) -> bool {
        self.turn.is_behind
    }

    pub(super) fn set_behind(&mut self, is_behind: bool) {
        self.turn.is_behind = is_behind;
    }

    /// Where the arguments of the request are that was scanned last.
    pub(super) fn spans(&self) -> &[Range<u32>] {
        self.scanner.spans()
    }

    /// The same, for a request that is answered while the session changes.
    pub(super) fn take_spans(&mut self) -> Vec<Range<u32>> {
        self.scanner.take_spans()
    }

    /// An inline request that was scanned last, as canonical multibulk.
    pub(super) fn take_canonical(&mut self) -> Vec<u8> {
        self.scanner.take_canonical()
    }

    /// The argument that is being read, and how many there are to be.
    pub(super) fn open_bulk(&self) -> Option<(OpenBulk, usize)> {
        Some((self.scanner.open_bulk()?, self.scanner.argc()? as usize))
    }

    /// Whether the request is to be judged by what stands before this argument. The same is judged once, and not again for
    /// every piece that comes.
    pub(super) fn is_to_be_judged_before(&self, bulk: OpenBulk) -> bool {
        matches!(self.body, Body::Held { judge_from } if judge_from <= bulk.index)
    }

    /// What stands before this argument does not decide.
    pub(super) fn hold_beyond(&mut self, bulk: OpenBulk) {
        self.body = Body::Held { judge_from: bulk.index + 1 };
    }

    /// Nothing lets the request go on before it is complete.
    pub(super) fn hold_until_complete(&mut self) {
        self.body = Body::Held { judge_from: u32::MAX };
    }

    /// From here on the request is taken in parts, and this becomes of it. Returns the length of the first part.
    pub(super) fn stream(&mut self, body: Body) -> usize {
        self.body = body;
        self.scanner.stream()
    }

    /// Nothing of a request is there: gives memory back.
    pub(super) fn rest(&mut self) {
        self.scanner.rest();
    }

    /// A login was refused. What has come behind it was sent in the hope of it.
    pub(super) fn note_refused_login(&mut self) {
        self.is_behind_refused_login = true;
    }

    /// Nothing is left of what had come: the client may have read what became of its login.
    pub(super) fn forget_refused_login(&mut self) {
        self.is_behind_refused_login = false;
    }

    pub(super) fn is_behind_refused_login(&self) -> bool {
        self.is_behind_refused_login
    }

    /// Whether a request that has begun is taken in parts.
    pub(super) fn is_streaming(&self) -> bool {
        !matches!(self.body, Body::Held { .. })
    }

    pub(super) fn is_forwarding(&self) -> bool {
        matches!(self.body, Body::Forwarding { .. })
    }

    /// The request is complete.
    pub(super) fn take_body(&mut self) -> Body {
        std::mem::take(&mut self.body)
    }

    pub(super) fn waits_for(&self) -> Option<&Wait> {
        self.wait.as_ref()
    }

    pub(super) fn wait_for(&mut self, wait: Wait) {
        self.wait = Some(wait);
    }

    pub(super) fn take_wait(&mut self) -> Option<Wait> {
        self.wait.take()
    }

    /// Whether the client has asked for no replies until further notice.
    pub(super) fn are_replies_off(&self) -> bool {
        self.reply_mode == ReplyMode::Off
    }

    pub(super) fn set_reply_mode(&mut self, mode: ReplyMode) {
        self.reply_mode = mode;
    }

    /// Whether the client is shown the reply to the request that is being dealt with. To be asked once for each: it uses up
    /// CLIENT REPLY SKIP.
    #[must_use]
    pub(super) fn take_visibility(&mut self) -> Visibility {
        match self.reply_mode {
            ReplyMode::On => Visibility::Shown,
            ReplyMode::Off => Visibility::Hidden,
            ReplyMode::SkipNext => {
                self.reply_mode = ReplyMode::On;
                Visibility::Hidden
            }
        }
    }

    /// Bytes that the table of arguments takes.
    pub(super) fn table(&self) -> usize {
        size_of_val(self.scanner.spans())
    }

    /// Bytes of memory that it takes beside the table of arguments, and with it where a request has begun.
    pub(super) fn memory(&self, has_begun: bool) -> usize {
        let table = if has_begun { self.scanner.memory() } else { 0 };
        table + self.body.memory() + self.wait.as_ref().map_or(0, Wait::memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skip_is_for_one_request_and_off_for_all() {
        let mut intake = Intake::default();
        assert_eq!(intake.take_visibility(), Visibility::Shown);
        intake.set_reply_mode(ReplyMode::SkipNext);
        assert_eq!([intake.take_visibility(), intake.take_visibility()], [Visibility::Hidden, Visibility::Shown]);
        intake.set_reply_mode(ReplyMode::Off);
        assert_eq!([intake.take_visibility(), intake.take_visibility()], [Visibility::Hidden; 2]);
    }

    #[test]
    fn a_request_is_whole_unless_it_streams() {
        let mut intake = Intake::default();
        let begun = b"*2\r\n$3\r\nGET\r\n$9\r\nabc";
        assert_eq!(intake.scan(begun, &RequestLimits::AUTHENTICATED), Ok(Scanned::Incomplete));
        assert_eq!(intake.open_bulk().map(|(bulk, argc)| (bulk.len, argc)), Some((9, 2)));
        assert!(!intake.is_streaming());
        assert!(intake.stream(Body::Forwarding { prefix: ArgvBuf::default(), argc: 2 }) > 0);
        assert!(intake.is_streaming() && intake.is_forwarding());
        assert!(matches!(intake.take_body(), Body::Forwarding { argc: 2, .. }) && !intake.is_streaming());
    }
}

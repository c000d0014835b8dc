//! What a session is subscribed to, as far as replies have to be told from messages.

use std::collections::BTreeSet;

use memchr::memmem;

use crate::command::ArgvBuf;
use crate::resp::Protocol;
use crate::session::action::ToFree;

/// The three kinds of subscription. Redis counts channels and patterns together and shard channels apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::session) enum Kind {
    Channel,
    Pattern,
    Shard,
}

/// A message or confirmation, by the first element of its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    /// `message`, `pmessage`, `smessage`.
    Message,
    /// `subscribe`, `punsubscribe`, …
    Confirmation { kind: Kind },
    /// Anything else: invalidation pushes, a PONG, an ordinary array.
    Other,
}

/// What a confirmation says of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Begins,
    Ends,
}

/// How many subscriptions there are, as Redis confirmed them, and to what.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    channels: u64,
    patterns: u64,
    shards: u64,
    /// What is subscribed to, by kind.
    names: [BTreeSet<Box<[u8]>>; 3],
    /// Bytes of memory that the names take.
    memory: usize,
}

/// Bytes of memory that a name takes besides its own.
const PLACE: usize = 48;

/// How many names take longer to free, 0.3 ms, than a session has for a turn.
const MANY: usize = 1000;

impl Subscriptions {
    pub(super) fn is_empty(&self) -> bool {
        self.channels + self.patterns + self.shards == 0
    }

    pub(super) fn count(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Channel => self.channels,
            Kind::Pattern => self.patterns,
            Kind::Shard => self.shards,
        }
    }

    /// Under RESP2 messages come between the replies, under RESP3 they are pushes.
    pub(super) fn in_band(&self, protocol: Protocol) -> bool {
        protocol == Protocol::Resp2 && !self.is_empty()
    }

    /// Notes a confirmation, whose last element is the number of subscriptions that are left: of channels and patterns
    /// together, or of shard channels.
    pub(super) fn confirm(&mut self, kind: Kind, total: u64) {
        match kind {
            Kind::Channel => self.channels = total.saturating_sub(self.patterns),
            Kind::Pattern => self.patterns = total.saturating_sub(self.channels),
            Kind::Shard => self.shards = total,
        }
    }

    /// Notes that one has begun, or goes on.
    pub(super) fn begin(&mut self, kind: Kind, name: &[u8]) {
        if self.names[kind as usize].insert(name.into()) {
            self.memory += name.len() + PLACE;
        }
    }

    /// Notes that one has ended.
    pub(super) fn end(&mut self, kind: Kind, name: &[u8]) {
        if self.names[kind as usize].remove(name) {
            self.memory -= name.len() + PLACE;
        }
    }

    /// Bytes of memory that the names take.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    /// The names, where they are to be freed elsewhere because they are so many. The session is over, or begins anew.
    pub(super) fn take_many_names(&mut self) -> Option<ToFree> {
        let count: usize = self.names.iter().map(BTreeSet::len).sum();
        (count >= MANY).then(|| Box::new(std::mem::take(&mut self.names)) as ToFree)
    }

    /// The requests that would ask for all of it.
    pub(super) fn requests(&self) -> impl Iterator<Item = ArgvBuf> {
        let commands = ["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"];
        commands.into_iter().zip(&self.names).filter(|(_, names)| !names.is_empty()).map(|(command, names)| {
            std::iter::once(command.as_bytes()).chain(names.iter().map(|name| &**name)).collect()
        })
    }
}

/// The first element of an array or push frame, `None` while too few bytes are here to tell.
pub(super) fn notice(frame: &[u8]) -> Option<Notice> {
    const LONGEST: usize = 64;
    let head = &frame[..frame.len().min(LONGEST)];
    let line_end = |from: usize| memchr::memchr(b'\n', &head[from..]).map(|at| from + at + 1);
    let unknown = (head.len() == LONGEST).then_some(Notice::Other);
    let Some(first) = line_end(0) else { return unknown };
    match head.get(first) {
        None => return None,
        Some(b'$') => {}
        Some(_) => return Some(Notice::Other),
    }
    let Some(name) = line_end(first) else { return unknown };
    let Some(end) = line_end(name) else { return unknown };
    Some(match head[name..end].trim_ascii_end() {
        b"message" | b"pmessage" | b"smessage" => Notice::Message,
        b"subscribe" | b"unsubscribe" => Notice::Confirmation { kind: Kind::Channel },
        b"psubscribe" | b"punsubscribe" => Notice::Confirmation { kind: Kind::Pattern },
        b"ssubscribe" | b"sunsubscribe" => Notice::Confirmation { kind: Kind::Shard },
        _ => Notice::Other,
    })
}

/// The name in a whole confirmation frame, if there is one, and what has become of the subscription.
pub(super) fn confirmed_name(frame: &[u8]) -> Option<(&[u8], Change)> {
    let mut lines = frame.splitn(4, |byte| *byte == b'\n');
    let (_header, _len, verb, rest) = (lines.next()?, lines.next()?, lines.next()?, lines.next()?);
    let change = memmem::find(verb, b"unsubscribe").map_or(Change::Begins, |_| Change::Ends);
    let end = memchr::memchr(b'\n', rest)?;
    let len: usize = std::str::from_utf8(rest[..end].strip_prefix(b"$")?.trim_ascii_end()).ok()?.parse().ok()?;
    Some((rest.get(end + 1..end + 1 + len)?, change))
}

/// The count at the end of a whole confirmation frame: `…\r\n:<n>\r\n`.
pub(super) fn confirmed_total(frame: &[u8]) -> Option<u64> {
    let number = &frame[memmem::rfind(frame, b"\r\n:")? + 3..];
    std::str::from_utf8(number.strip_suffix(b"\r\n")?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_told_from_its_first_element_or_waits_for_more() {
        let frame = b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n";
        for cut in 0..19 {
            assert_eq!(notice(&frame[..cut]), None, "cut at {cut}");
        }
        let wanted = Some(Notice::Confirmation { kind: Kind::Channel });
        assert_eq!(notice(frame), wanted);
        assert_eq!(notice(b"*2\r\n:1\r\n:2\r\n"), Some(Notice::Other));
        assert_eq!(notice(&[b"*1\r\n$200\r\n".as_slice(), &[b'x'; 80]].concat()), Some(Notice::Other));
    }

    #[test]
    fn channels_and_patterns_share_one_count() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.confirm(Kind::Channel, 1);
        subscriptions.confirm(Kind::Pattern, 2);
        subscriptions.confirm(Kind::Channel, 3);
        assert_eq!((subscriptions.count(Kind::Channel), subscriptions.count(Kind::Pattern)), (2, 1));
        subscriptions.confirm(Kind::Pattern, 2);
        subscriptions.confirm(Kind::Channel, 1);
        subscriptions.confirm(Kind::Channel, 0);
        assert!(subscriptions.is_empty());
    }

    #[test]
    fn what_has_begun_is_known_until_it_ends() {
        let mut subscriptions = Subscriptions::default();
        [b"a".as_slice(), b"bc", b"a"].iter().for_each(|name| subscriptions.begin(Kind::Channel, name));
        subscriptions.begin(Kind::Shard, b"a");
        assert_eq!(subscriptions.memory(), 4 + 3 * PLACE);
        subscriptions.end(Kind::Channel, b"a");
        subscriptions.end(Kind::Pattern, b"bc");
        let requests: Vec<Vec<Vec<u8>>> =
            subscriptions.requests().map(|request| request.as_argv().iter().map(<[u8]>::to_vec).collect()).collect();
        assert_eq!(requests, [[b"SUBSCRIBE".to_vec(), b"bc".to_vec()], [b"SSUBSCRIBE".to_vec(), b"a".to_vec()]]);
        assert_eq!(subscriptions.memory(), 3 + 2 * PLACE);
    }

    #[test]
    fn a_confirmation_names_what_has_begun_or_ended() {
        let ended = |name| Some((name, Change::Ends));
        assert_eq!(confirmed_name(b"*3\r\n$11\r\nunsubscribe\r\n$3\r\na\nb\r\n:0\r\n"), ended(&b"a\nb"[..]));
        assert_eq!(confirmed_name(b">3\r\n$12\r\npunsubscribe\r\n$0\r\n\r\n:0\r\n"), ended(&b""[..]));
        assert_eq!(confirmed_name(b"*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n"), None, "there was none");
        let begun = confirmed_name(b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
        assert_eq!(begun, Some((&b"a"[..], Change::Begins)));
    }

    #[test]
    fn the_total_is_the_last_element() {
        assert_eq!(confirmed_total(b"*3\r\n$9\r\nsubscribe\r\n$3\r\n\r\n:\r\n:12\r\n"), Some(12));
        assert_eq!(confirmed_total(b"*3\r\n$9\r\nsubscribe\r\n$-1\r\n:x\r\n"), None);
    }
}

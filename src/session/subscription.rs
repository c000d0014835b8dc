//! What a session is subscribed to, as far as replies have to be told from messages.

use memchr::memmem;

use crate::resp::Protocol;

/// The three kinds of subscription. Redis counts channels and patterns together and shard channels apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
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

/// How many subscriptions there are, as Redis confirmed them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Subscriptions {
    channels: u64,
    patterns: u64,
    shards: u64,
}

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
    fn the_total_is_the_last_element() {
        assert_eq!(confirmed_total(b"*3\r\n$9\r\nsubscribe\r\n$3\r\n\r\n:\r\n:12\r\n"), Some(12));
        assert_eq!(confirmed_total(b"*3\r\n$9\r\nsubscribe\r\n$-1\r\n:x\r\n"), None);
    }
}

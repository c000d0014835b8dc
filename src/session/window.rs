//! How many replies Redis may owe to one session. While so many are outstanding, requests wait here instead of there:
//! behind a client that never reads, Redis must not collect replies without bound, nor spend its time on them.

/// Replies at the most, however small they are.
const MOST: u64 = 256;

/// Replies at the least, however large they are: while one is taken, the next is made.
const LEAST: u64 = 2;

/// Before any reply has come. Clients may rely on Redis having a pipeline of ordinary length as a whole: its own limits of
/// output count what one such pipeline produces.
const AT_FIRST: u64 = 64;

/// Bytes that all outstanding replies may have together, by the size of the latest ones.
const BYTES: u64 = 1 << 20;

/// After so many replies, those before them no longer count.
const MEMORY: u64 = 8;

/// The bound on outstanding replies. It is never 0, and a reply never depends on a request that was not forwarded yet: so
/// whatever is outstanding comes, or the client does not take it.
pub(super) struct ReplyWindow {
    /// Bytes of a reply, on average of the latest.
    size: u64,
    /// Bytes that came since the last reply was complete.
    unfinished: u64,
}

impl Default for ReplyWindow {
    fn default() -> Self {
        Self { size: BYTES / AT_FIRST, unfinished: 0 }
    }
}

impl ReplyWindow {
    /// How many replies may be outstanding.
    pub(super) fn replies(&self) -> u64 {
        (BYTES / self.size.max(1)).clamp(LEAST, MOST)
    }

    /// So many bytes came, and with them the ends of so many replies.
    pub(super) fn note(&mut self, replies: u64, bytes: u64) {
        self.unfinished += bytes;
        if replies == 0 {
            self.size = self.size.max(self.unfinished);
            return;
        }
        let latest = std::mem::take(&mut self.unfinished) / replies;
        let weight = replies.min(MEMORY);
        self.size = (self.size * (MEMORY - weight) + latest * weight) / MEMORY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_size_of_replies_within_its_bounds() {
        let mut window = ReplyWindow::default();
        assert_eq!(window.replies(), AT_FIRST);
        window.note(AT_FIRST, AT_FIRST * 5);
        assert_eq!(window.replies(), MOST);
        (0..100).for_each(|_| window.note(1, 256 << 10));
        assert_eq!(window.replies(), 4);
        (0..100).for_each(|_| window.note(1, 64 << 20));
        assert_eq!(window.replies(), LEAST);
        (0..MEMORY * 20).for_each(|_| window.note(1, 5));
        assert_eq!(window.replies(), MOST);
    }

    #[test]
    fn a_large_reply_counts_before_it_is_complete() {
        let mut window = ReplyWindow::default();
        window.note(100, 500);
        window.note(0, 64 << 10);
        assert_eq!(window.replies(), 16);
        (0..15).for_each(|_| window.note(0, 64 << 10));
        assert_eq!(window.replies(), LEAST);
    }

    #[test]
    fn one_large_reply_among_small_ones_is_soon_forgotten() {
        let mut window = ReplyWindow::default();
        window.note(100, 500);
        window.note(1, 1 << 20);
        assert_eq!(window.replies(), 7);
        window.note(MEMORY, MEMORY * 5);
        assert_eq!(window.replies(), MOST);
    }
}

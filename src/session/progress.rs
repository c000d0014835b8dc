//! How an unfinished request comes on.

use std::time::{Duration, Instant};

/// Bytes that have to come of an unfinished request in each `request-timeout`.
const LEAST: usize = 16 << 10;

/// What comes of an unfinished request, and how long it takes. Only the time counts in which it is read.
pub(super) struct RequestProgress {
    /// What came since so many bytes were there last.
    bytes: usize,
    /// The time since then, as far as it counts.
    spent: Duration,
    /// Up to when time was counted.
    seen: Instant,
}

impl RequestProgress {
    pub(super) fn new(now: Instant) -> Self {
        Self { bytes: 0, spent: Duration::ZERO, seen: now }
    }

    /// Time has passed, in which the client was read for the rest of a request, or was not.
    pub(super) fn note_time(&mut self, now: Instant, was_read: bool) {
        let passed = now.saturating_duration_since(self.seen);
        self.seen = now;
        if was_read {
            self.spent += passed;
        }
    }

    /// Another request begins.
    pub(super) fn begin(&mut self) {
        self.bytes = 0;
        self.spent = Duration::ZERO;
    }

    /// More has come.
    pub(super) fn note_bytes(&mut self, count: usize) {
        self.bytes += count;
        if self.bytes >= LEAST {
            self.begin();
        }
    }

    /// When it has taken too long, if it is read until then.
    pub(super) fn due(&self, timeout: Duration) -> Option<Instant> {
        self.seen.checked_add(timeout.saturating_sub(self.spent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_16_kib_have_the_whole_time_and_less_has_what_is_left() {
        let began = Instant::now();
        let mut progress = RequestProgress::new(began);
        progress.begin();
        progress.note_bytes(LEAST - 1);
        progress.note_time(began + 59 * SECOND, true);
        assert_eq!(progress.due(TIMEOUT), Some(began + TIMEOUT));
        progress.note_bytes(1);
        assert_eq!(progress.due(TIMEOUT), Some(began + 59 * SECOND + TIMEOUT));
    }

    #[test]
    fn time_in_which_nothing_is_read_does_not_count() {
        let began = Instant::now();
        let mut progress = RequestProgress::new(began);
        progress.note_time(began + 30 * SECOND, true);
        progress.note_time(began + 1000 * SECOND, false);
        assert_eq!(progress.due(TIMEOUT), Some(began + 1030 * SECOND));
        progress.begin();
        assert_eq!(progress.due(TIMEOUT), Some(began + 1060 * SECOND));
    }
}

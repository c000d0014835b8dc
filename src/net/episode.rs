//! Failures that come in series, as when descriptors run out: the log has a line when a series begins and one when it is
//! over, not one for each.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// A series is over when something went well, and nothing has failed for so long.
const CALM: Duration = Duration::from_secs(2);

/// The series of failures that something is in, if any.
#[derive(Debug, Default)]
pub struct Episode {
    failures: Cell<u64>,
    latest: Cell<Option<Instant>>,
}

impl Episode {
    /// It failed. True if a series begins with that.
    #[must_use]
    pub fn fail(&self, now: Instant) -> bool {
        self.latest.set(Some(now));
        self.failures.replace(self.failures.get() + 1) == 0
    }

    /// It went well. How many failures the series had that is over with that.
    #[must_use]
    pub fn succeed(&self, now: Instant) -> Option<u64> {
        let latest = self.latest.get()?;
        if now.duration_since(latest) < CALM {
            return None;
        }
        self.latest.set(None);
        Some(self.failures.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_told_of_at_its_begin_and_at_its_end() {
        let (episode, begin) = (Episode::default(), Instant::now());
        assert_eq!(episode.succeed(begin), None, "nothing has failed");
        assert!(episode.fail(begin));
        assert_eq!(episode.succeed(begin + CALM / 2), None, "it may go on failing");
        assert!(!episode.fail(begin + CALM));
        assert_eq!(episode.succeed(begin + CALM + CALM / 2), None);
        assert_eq!(episode.succeed(begin + 2 * CALM), Some(2));
        assert_eq!(episode.succeed(begin + 3 * CALM), None);
        assert!(episode.fail(begin + 3 * CALM), "the next series");
    }
}

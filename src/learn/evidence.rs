//! What it takes for a part of a name to be told.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

use super::plain::is_plain;

/// So many parts of one place are told apart, unless something else is said.
const MOST_VALUES: usize = 8;

/// So many bytes of a part are hashed. One that is longer is never told, so it does no harm to take those for the same that begin
/// the same.
const HASHED: usize = 1 << 10;

/// What it takes for a part of a name to be told: it reads like a word, few enough are in its place, seen often enough.
#[derive(Clone, Debug)]
pub struct Evidence {
    most_values: usize,
    trust: Trust,
    /// A part is kept as it is from so many observations of its place on; before that only its hash is.
    kept_after: u64,
    /// Keyed anew in each process, so that nothing follows from a hash (SipHash).
    hasher: RandomState,
}

/// What is told at once.
#[derive(Clone, Copy, Debug)]
enum Trust {
    Nothing,
    /// What is nothing but letters.
    Words,
    All,
}

impl Evidence {
    /// So often a place has to be seen before what stands in it is told.
    pub(super) const OBSERVATIONS: u64 = 1000;

    /// Of traffic, of which no part may be kept before it may be told.
    pub fn of_traffic() -> Evidence {
        let hasher = RandomState::new();
        Evidence { most_values: MOST_VALUES, trust: Trust::Nothing, kept_after: Self::OBSERVATIONS, hasher }
    }

    /// Of a file that lies open before whoever asks, and may be short: words are told at once. So many parts of one place
    /// are told apart; `None` for as many as of traffic.
    pub fn of_file(most_values: Option<usize>) -> Evidence {
        let most_values = most_values.unwrap_or(MOST_VALUES);
        Evidence { most_values, trust: Trust::Words, kept_after: 0, ..Evidence::of_traffic() }
    }

    /// The same about names that mean nothing but as a whole.
    #[must_use]
    pub(super) fn of_whole_names(&self) -> Evidence {
        let trust = match self.trust {
            Trust::Nothing => Trust::Nothing,
            Trust::Words | Trust::All => Trust::All,
        };
        Evidence { trust, ..self.clone() }
    }

    pub(super) fn most_values(&self) -> usize {
        self.most_values
    }

    pub(super) fn kept_after(&self) -> u64 {
        self.kept_after
    }

    #[inline]
    pub(super) fn hash(&self, part: &[u8]) -> u64 {
        self.hasher.hash_one(&part[..part.len().min(HASHED)])
    }

    /// Whether this part of a name may be told at all.
    pub(super) fn admits(&self, name: &[u8], part: Range<usize>) -> bool {
        matches!(self.trust, Trust::All) || is_plain(name, part)
    }

    /// Whether one of a place that was seen so often may be told.
    pub(super) fn suffices(&self, observations: u64, part: &[u8]) -> bool {
        observations >= Self::OBSERVATIONS
            || match self.trust {
                Trust::Nothing => false,
                Trust::Words => is_word(part),
                Trust::All => true,
            }
    }
}

/// Nothing but letters, as names that people choose for kinds of things mostly are, and numbers, addresses and most tokens
/// are not.
fn is_word(text: &[u8]) -> bool {
    const LONGEST: usize = 24;
    text.len() <= LONGEST && text.iter().all(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::part::LONGEST_PART;

    #[test]
    fn of_a_long_part_the_beginning_is_hashed_and_of_one_that_may_be_told_all() {
        let evidence = Evidence::of_traffic();
        let part = vec![b'a'; HASHED + 1];
        assert_eq!(evidence.hash(&part), evidence.hash(&part[..HASHED]));
        assert_ne!(evidence.hash(&part[..HASHED]), evidence.hash(&part[..HASHED - 1]));
        const { assert!(LONGEST_PART < HASHED) }
    }
}

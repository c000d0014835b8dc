//! What judging one request may cost.

use std::cell::Cell;

/// Comparisons for one request, about 2 ns each, and 5 of long prefixes: 33 to 90 ms, for which other sessions wait. A hundred keys of 100 bytes under
/// a hundred patterns take a million.
const OF_A_REQUEST: u64 = 16 << 20;

/// As many are made at once, whoever asks and however many sessions there are: 0.13 ms, as long as a turn takes.
const AT_ONCE: u64 = 64 << 10;

/// For whether one session may all that it could before: as many as thousands of patterns take.
const OF_A_SESSION: u64 = 2 << 20;

/// For all that goes on for one session, when its user has lost a right: 1.5 ms at most. Many sessions may be of that user, none of
/// which waits for its turn with it.
const ONGOING: u64 = 256 << 10;

/// How many comparisons may still be made: of a name with a pattern, and of a byte with an element of a pattern that is neither
/// exact nor a prefix. Each argument that is searched for keys counts as well. Where they are used up the request is refused,
/// although Redis, which has no such bound, might execute it.
#[derive(Debug)]
pub struct Effort {
    most: u64,
    left: Cell<u64>,
    /// Where they do not suffice, more are made later.
    is_preliminary: bool,
}

impl Default for Effort {
    fn default() -> Self {
        Effort::of(OF_A_REQUEST)
    }
}

impl Effort {
    /// For judging a request while it may be one of many. Where this does not suffice, it [is judged
    /// later](Self::is_inconclusive).
    pub fn at_once() -> Effort {
        Effort { is_preliminary: true, ..Effort::of(AT_ONCE) }
    }

    /// For comparing the rights of one session with what they were.
    pub fn of_a_session() -> Effort {
        Effort::of(OF_A_SESSION)
    }

    /// For judging again what goes on for one session.
    pub fn ongoing() -> Effort {
        Effort::of(ONGOING)
    }

    pub(super) fn of(most: u64) -> Effort {
        Effort { most, left: Cell::new(most), is_preliminary: false }
    }

    /// Whether whatever was found within it counts for nothing, and the same is to be judged once more with all that one request
    /// may cost.
    #[must_use]
    pub fn is_inconclusive(&self) -> bool {
        self.is_preliminary && self.is_used_up()
    }

    /// How many comparisons were made.
    pub fn spent(&self) -> u64 {
        self.most - self.left.get()
    }

    /// How many more comparisons may be made.
    #[inline]
    pub(super) fn left(&self) -> u64 {
        self.left.get()
    }

    /// So many were made.
    #[inline]
    pub(super) fn spend(&self, comparisons: u64) {
        self.left.set(self.left.get().saturating_sub(comparisons));
    }

    /// Whether what was found is no verdict, because not everything was compared.
    #[inline]
    pub(super) fn is_used_up(&self) -> bool {
        self.left.get() == 0
    }
}

//! What judging one request may cost.

use std::cell::Cell;

/// Comparisons for one request, about 2 ns each: 33 ms at most, for which other sessions wait. A hundred keys of 100 bytes under
/// a hundred patterns take a million.
const OF_A_REQUEST: u64 = 16 << 20;

/// For all that one session is subscribed to, when its user has lost a right: many sessions may be of that user.
const OF_A_SESSION: u64 = 2 << 20;

/// How many comparisons may still be made: of a name with a pattern, and of a byte with an element of a pattern that is neither
/// exact nor a prefix. Each argument that is searched for keys counts as well. Where they are used up the request is refused,
/// although Redis, which has no such bound, might execute it.
#[derive(Debug)]
pub struct Effort {
    most: u64,
    left: Cell<u64>,
}

impl Default for Effort {
    fn default() -> Self {
        Effort::of(OF_A_REQUEST)
    }
}

impl Effort {
    /// For judging again what one session is subscribed to.
    pub fn of_a_session() -> Effort {
        Effort::of(OF_A_SESSION)
    }

    fn of(most: u64) -> Effort {
        Effort { most, left: Cell::new(most) }
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

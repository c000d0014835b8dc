//! The selected database: what Redis has confirmed, and what it may make of what it has been sent since.

/// Databases of which one may be selected: none, one or two of them, or any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::session) struct Databases(Set);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    None,
    One(u32),
    Two(u32, u32),
    Any,
}

impl Databases {
    pub(super) const NONE: Self = Self(Set::None);

    pub(super) fn of(database: u32) -> Self {
        Self(Set::One(database))
    }

    /// What a SELECT names: if not a number, it may be any.
    pub(super) fn named(database: Option<u32>) -> Self {
        Self(database.map_or(Set::Any, Set::One))
    }

    /// These and those. More than two are not told apart.
    pub(super) fn or(self, other: Self) -> Self {
        Self(match (self.0, other.0) {
            (Set::None, set) | (set, Set::None) => set,
            (Set::One(a), Set::One(b)) if a != b => Set::Two(a.min(b), a.max(b)),
            (a, b) if a == b => a,
            (Set::Two(a, b), Set::One(c)) | (Set::One(c), Set::Two(a, b)) if c == a || c == b => Set::Two(a, b),
            _ => Set::Any,
        })
    }

    /// The one, if there is one.
    pub(super) fn only(self) -> Option<u32> {
        match self.0 {
            Set::One(database) => Some(database),
            _ => None,
        }
    }

    /// How many [`get`](Self::get) gives.
    pub(super) fn len(self) -> usize {
        match self.0 {
            Set::None => 0,
            Set::One(_) | Set::Any => 1,
            Set::Two(..) => 2,
        }
    }

    /// One of them; a `None` in it stands for any.
    pub(super) fn get(self, index: usize) -> Option<Option<u32>> {
        match (self.0, index) {
            (Set::One(a) | Set::Two(a, _), 0) | (Set::Two(_, a), 1) => Some(Some(a)),
            (Set::Any, 0) => Some(None),
            _ => None,
        }
    }

    /// Each of them; `None` stands for any.
    pub(super) fn iter(self) -> impl Iterator<Item = Option<u32>> {
        (0..self.len()).filter_map(move |index| self.get(index))
    }
}

/// The selected database of one upstream connection.
#[derive(Debug)]
pub(super) struct Database {
    /// As of the latest reply that says.
    confirmed: Databases,
    /// Those that the next request may find selected.
    next: Databases,
    /// Replies that may change it and are outstanding.
    outstanding: u64,
}

impl Default for Database {
    fn default() -> Self {
        Self { confirmed: Databases::of(0), next: Databases::of(0), outstanding: 0 }
    }
}

impl Database {
    /// Those that the next request may find selected.
    pub(super) fn possible(&self) -> Databases {
        self.next
    }

    /// Whether a reply may still tell them apart.
    pub(super) fn is_undecided(&self) -> bool {
        self.outstanding > 0
    }

    /// A request has been sent that selects one of these if Redis executes it.
    pub(super) fn select_sent(&mut self, databases: Databases) {
        self.outstanding += 1;
        self.next = self.next.or(databases);
    }

    /// It was answered: one of these is selected now, or nothing has changed.
    pub(super) fn answered(&mut self, selected: Option<Databases>) {
        self.outstanding = self.outstanding.saturating_sub(1);
        self.confirmed = selected.unwrap_or(self.confirmed);
        if self.outstanding == 0 {
            self.next = self.confirmed;
        }
    }

    /// It was answered: either one of these is selected now, or nothing has changed.
    pub(super) fn perhaps_selected(&mut self, databases: Databases) {
        self.answered(Some(self.confirmed.or(databases)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(a: u32, b: u32) -> Databases {
        Databases::of(a).or(Databases::of(b))
    }

    #[test]
    fn a_select_is_possible_when_it_is_sent_and_certain_when_redis_says_so() {
        let mut database = Database::default();
        database.select_sent(Databases::of(5));
        assert_eq!((database.possible(), database.is_undecided()), (both(0, 5), true));
        database.answered(Some(Databases::of(5)));
        assert_eq!((database.possible(), database.is_undecided()), (Databases::of(5), false));
        database.select_sent(Databases::of(6));
        database.answered(None);
        assert_eq!(database.possible(), Databases::of(5));
    }

    #[test]
    fn with_several_on_their_way_the_last_reply_decides() {
        let mut database = Database::default();
        database.select_sent(Databases::of(5));
        database.select_sent(Databases::of(0));
        database.answered(Some(Databases::of(5)));
        assert_eq!(database.possible(), both(0, 5));
        database.answered(None);
        assert_eq!(database.possible(), Databases::of(5));
    }

    #[test]
    fn what_a_transaction_selected_stays_one_of_several() {
        let mut database = Database::default();
        database.select_sent(Databases::of(5));
        database.perhaps_selected(Databases::of(5));
        assert_eq!((database.possible(), database.is_undecided()), (both(0, 5), false));
    }

    #[test]
    fn two_are_told_apart_and_no_more() {
        let each = |databases: Databases| databases.iter().collect::<Vec<_>>();
        assert_eq!(each(Databases::NONE), []);
        assert_eq!(each(Databases::of(1).or(Databases::of(1))), [Some(1)]);
        assert_eq!(each(both(2, 1).or(Databases::of(2))), [Some(1), Some(2)]);
        assert_eq!(each(both(2, 1).or(Databases::of(3))), [None]);
        assert_eq!(each(Databases::of(1).or(Databases::named(None))), [None]);
    }
}

//! Places that are shared fairly between origins. Pure.
//!
//! An origin may take one only while it holds fewer than are free: alone it gets half of them, two get a third each, and who
//! holds none always finds one. Who may not waits; a place that becomes free goes to the origin that holds fewest, and
//! among those that hold as many to who came first.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::origin::Origin;

/// Where somebody stands in the queue of his origin, in order of arrival.
pub(super) type Ticket = u64;

/// Places, who holds them, and who waits for one, each with a `W` by which he is reached.
#[derive(Debug)]
pub(super) struct FairShares<W> {
    places: u32,
    taken: u32,
    waiting: u32,
    tickets: Ticket,
    /// An origin that is not here holds nothing and waits for nothing.
    origins: HashMap<Origin, Share<W>>,
    /// Origins that wait, in the order of their turns: how many they hold, and who is their first.
    turns: BTreeSet<(u32, Ticket, Origin)>,
    /// The same by how many wait.
    queues: BTreeSet<(usize, Origin)>,
}

#[derive(Debug)]
struct Share<W> {
    held: u32,
    waiting: BTreeMap<Ticket, W>,
}

impl<W> FairShares<W> {
    /// So many places, all of them free.
    pub(super) fn new(places: u32) -> Self {
        Self {
            places,
            taken: 0,
            waiting: 0,
            tickets: 0,
            origins: HashMap::new(),
            turns: BTreeSet::new(),
            queues: BTreeSet::new(),
        }
    }

    /// Takes a place, if the origin may have one more.
    #[must_use]
    pub(super) fn take(&mut self, origin: Origin) -> bool {
        let held = self.origins.get(&origin).map_or(0, |share| share.held);
        let may_have = held < self.free();
        if may_have {
            self.change(origin, |share| share.held += 1);
            self.taken += 1;
        }
        may_have
    }

    /// A place of this origin is free again. Somebody may have his turn now: [`next`](Self::next).
    pub(super) fn give_back(&mut self, origin: Origin) {
        self.change(origin, |share| share.held = share.held.saturating_sub(1));
        self.taken = self.taken.saturating_sub(1);
    }

    /// Somebody of this origin waits from now on.
    pub(super) fn wait(&mut self, origin: Origin, waiter: W) -> Ticket {
        let ticket = self.tickets;
        self.tickets += 1;
        self.waiting += 1;
        self.change(origin, |share| share.waiting.insert(ticket, waiter));
        ticket
    }

    /// Somebody waits no longer. Nothing if he does not.
    pub(super) fn leave(&mut self, origin: Origin, ticket: Ticket) -> Option<W> {
        let left = self.change(origin, |share| share.waiting.remove(&ticket))?;
        self.waiting -= 1;
        Some(left)
    }

    /// Gives a place to whose turn it is, if there is one for him.
    #[must_use]
    pub(super) fn next(&mut self) -> Option<(Origin, W)> {
        let (held, ticket, origin) = *self.turns.first()?;
        // Nobody who waits holds fewer.
        if held >= self.free() {
            return None;
        }
        let waiter = self.leave(origin, ticket)?;
        self.change(origin, |share| share.held += 1);
        self.taken += 1;
        Some((origin, waiter))
    }

    /// The last of those who wait in the longest queue, who waits no longer, if it is longer than this.
    pub(super) fn cut_queue_longer_than(&mut self, length: usize) -> Option<W> {
        let (_, origin) = *self.queues.last().filter(|(waiting, _)| *waiting > length)?;
        let ticket = *self.origins.get(&origin)?.waiting.last_key_value()?.0;
        self.leave(origin, ticket)
    }

    /// How many wait of this origin.
    pub(super) fn queue_of(&self, origin: Origin) -> usize {
        self.origins.get(&origin).map_or(0, |share| share.waiting.len())
    }

    /// How many places are taken.
    pub(super) fn taken(&self) -> u32 {
        self.taken
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> u32 {
        self.waiting
    }

    fn free(&self) -> u32 {
        self.places - self.taken
    }

    /// Changes what an origin has, and where it stands for that.
    fn change<R>(&mut self, origin: Origin, change: impl FnOnce(&mut Share<W>) -> R) -> R {
        let share = self.origins.entry(origin).or_insert_with(|| Share { held: 0, waiting: BTreeMap::new() });
        if let Some((first, _)) = share.waiting.first_key_value() {
            self.turns.remove(&(share.held, *first, origin));
            self.queues.remove(&(share.waiting.len(), origin));
        }
        let result = change(share);
        if let Some((first, _)) = share.waiting.first_key_value() {
            self.turns.insert((share.held, *first, origin));
            self.queues.insert((share.waiting.len(), origin));
        } else if share.held == 0 {
            self.origins.remove(&origin);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn origin(number: u8) -> Origin {
        Ipv4Addr::new(192, 0, 2, number).into()
    }

    fn take_all(shares: &mut FairShares<u32>, number: u8) -> usize {
        std::iter::from_fn(|| shares.take(origin(number)).then_some(())).count()
    }

    #[test]
    fn one_origin_gets_half_two_get_a_third_each_and_who_holds_none_finds_one() {
        let mut shares = FairShares::new(300);
        assert_eq!(take_all(&mut shares, 1), 150);
        assert_eq!(take_all(&mut shares, 2), 75);
        for _ in 0..50 {
            shares.give_back(origin(1));
        }
        assert_eq!(take_all(&mut shares, 2), 25);
        assert_eq!((take_all(&mut shares, 1), take_all(&mut shares, 2)), (0, 0));
        assert!(shares.take(origin(3)));
    }

    #[test]
    fn the_only_place_goes_to_anybody() {
        let mut shares = FairShares::<u32>::new(1);
        assert!(shares.take(origin(1)) && !shares.take(origin(2)));
        shares.give_back(origin(1));
        assert!(shares.take(origin(2)));
    }

    #[test]
    fn the_turn_is_that_of_who_holds_fewest_and_then_of_who_came_first() {
        let mut shares = FairShares::new(3);
        assert!(shares.take(origin(1)) && shares.take(origin(1)) && shares.take(origin(2)));
        for (number, waiter) in [(1, 10), (1, 11), (2, 20), (3, 30), (4, 40)] {
            shares.wait(origin(number), waiter);
        }
        assert_eq!(shares.next(), None);
        let mut next = |number| {
            shares.give_back(origin(number));
            shares.next().map(|(_, waiter)| waiter)
        };
        assert_eq!((next(2), next(1), next(3)), (Some(20), Some(30), Some(40)));
        // The one that is free is not for an origin that holds as many.
        assert_eq!((next(4), next(2), next(1)), (None, Some(10), Some(11)));
    }

    #[test]
    fn the_longest_queue_is_cut_at_its_end() {
        let mut shares = FairShares::new(0);
        for (number, waiter) in [(1, 10), (2, 20), (1, 11), (1, 12), (2, 21)] {
            shares.wait(origin(number), waiter);
        }
        assert_eq!(shares.cut_queue_longer_than(2), Some(12));
        assert_eq!(shares.cut_queue_longer_than(2), None);
        assert_eq!((shares.queue_of(origin(1)), shares.queue_of(origin(2)), shares.waiting()), (2, 2, 4));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Ask(u8),
        GiveBack(u8),
        Leave(usize),
        Cut(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..6_u8).prop_map(Step::Ask),
            3 => (0..6_u8).prop_map(Step::GiveBack),
            1 => (0..20_usize).prop_map(Step::Leave),
            1 => (0..4_usize).prop_map(Step::Cut),
        ];
        proptest::collection::vec(step, 0..200)
    }

    proptest! {
        /// Against lists that are searched from end to end.
        #[test]
        fn places_and_turns_are_those_of_plain_lists(places in 0..20_u32, steps in steps()) {
            let mut shares = FairShares::new(places);
            let mut held: Vec<u8> = Vec::new();
            let mut queue: Vec<(u8, Ticket)> = Vec::new();
            let count = |held: &[u8], number: u8| held.iter().filter(|other| **other == number).count();
            for step in steps {
                let free = |held: &[u8]| places as usize - held.len();
                match step {
                    Step::Ask(number) => {
                        let may_have = count(&held, number) < free(&held);
                        prop_assert_eq!(shares.take(origin(number)), may_have);
                        if may_have {
                            held.push(number);
                        } else {
                            queue.push((number, shares.wait(origin(number), number)));
                        }
                    }
                    Step::GiveBack(number) => {
                        if let Some(at) = held.iter().position(|other| *other == number) {
                            held.remove(at);
                            shares.give_back(origin(number));
                        }
                    }
                    Step::Leave(at) if at < queue.len() => {
                        let (number, ticket) = queue.remove(at);
                        prop_assert_eq!(shares.leave(origin(number), ticket), Some(number));
                        prop_assert_eq!(shares.leave(origin(number), ticket), None);
                    }
                    Step::Leave(_) => {}
                    Step::Cut(length) => {
                        let waiting = |number| queue.iter().filter(|(other, _)| *other == number).count();
                        let longest = (0..6).max_by_key(|number| (waiting(*number), *number)).unwrap();
                        let expected = (waiting(longest) > length).then_some(longest);
                        prop_assert_eq!(shares.cut_queue_longer_than(length), expected);
                        if let Some(at) = queue.iter().rposition(|(number, _)| Some(*number) == expected) {
                            queue.remove(at);
                        }
                    }
                }
                loop {
                    let first = queue.iter().enumerate().min_by_key(|(_, (number, ticket))| (count(&held, *number), *ticket));
                    let turn = first.filter(|(_, (number, _))| count(&held, *number) < free(&held)).map(|(at, _)| at);
                    let expected = turn.map(|at| queue.remove(at).0);
                    prop_assert_eq!(shares.next().map(|(_, waiter)| waiter), expected);
                    let Some(number) = expected else { break };
                    held.push(number);
                }
                prop_assert_eq!((shares.taken() as usize, shares.waiting() as usize), (held.len(), queue.len()));
                prop_assert!(held.len() <= places as usize);
                let known: BTreeSet<u8> = held.iter().copied().chain(queue.iter().map(|(number, _)| *number)).collect();
                prop_assert_eq!(shares.origins.len(), known.len());
            }
        }
    }
}

//! Places that are shared fairly between networks, where those from which users come go before the others. Pure.
//!
//! A network may take one only while it holds fewer than are free for it: alone it gets half of them, two get a third each.
//! Who may not waits; a place that becomes free goes to the known network that holds fewest, and among those that hold
//! as many to who came first; then to unknown ones in the same way. A quarter of the places is for known networks only.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};

/// Where somebody stands in the queue of his network, in order of arrival.
pub(super) type Ticket = u64;

/// As whom somebody comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Visitor {
    /// Whether users come from his network.
    pub standing: Standing,
    /// The network, as [`network`](crate::origin::network) gives it.
    pub network: IpAddr,
}

/// Whether users come from a network, in the order of turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// They do.
    Known,
    /// Not that anybody knew.
    Unknown,
}

/// Places, who holds them, and who waits for one, each with a `W` by which he is reached.
#[derive(Debug)]
pub(super) struct FairShares<W> {
    places: u32,
    taken: u32,
    /// Those of `taken` that are held by unknown networks.
    taken_by_unknown: u32,
    waiting: u32,
    tickets: Ticket,
    /// Who is not here holds nothing and waits for nothing. A network that becomes known holds what it has as unknown.
    visitors: HashMap<Visitor, Share<W>>,
    /// Those who wait, in the order of their turns: how many they hold, and who is their first.
    turns: BTreeSet<(Standing, u32, Ticket, IpAddr)>,
    /// The same by how many wait.
    queues: BTreeSet<(Standing, usize, IpAddr)>,
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
            taken_by_unknown: 0,
            waiting: 0,
            tickets: 0,
            visitors: HashMap::new(),
            turns: BTreeSet::new(),
            queues: BTreeSet::new(),
        }
    }

    /// There are so many places from now on; who holds one keeps it. Somebody may have his turn now: [`next`](Self::next).
    pub(super) fn resize(&mut self, places: u32) {
        self.places = places;
    }

    /// Takes a place, if the visitor may have one more.
    #[must_use]
    pub(super) fn take(&mut self, visitor: Visitor) -> bool {
        let held = self.visitors.get(&visitor).map_or(0, |share| share.held);
        let may_have = held < self.free_for(visitor.standing);
        if may_have {
            self.give(visitor);
        }
        may_have
    }

    /// A place of this visitor is free again. Somebody may have his turn now: [`next`](Self::next).
    pub(super) fn give_back(&mut self, visitor: Visitor) {
        self.change(visitor, |share| share.held = share.held.saturating_sub(1));
        self.taken = self.taken.saturating_sub(1);
        if visitor.standing == Standing::Unknown {
            self.taken_by_unknown = self.taken_by_unknown.saturating_sub(1);
        }
    }

    /// Somebody waits from now on.
    pub(super) fn wait(&mut self, visitor: Visitor, waiter: W) -> Ticket {
        let ticket = self.tickets;
        self.tickets += 1;
        self.waiting += 1;
        self.change(visitor, |share| share.waiting.insert(ticket, waiter));
        ticket
    }

    /// Somebody waits no longer. Nothing if he does not.
    pub(super) fn leave(&mut self, visitor: Visitor, ticket: Ticket) -> Option<W> {
        let left = self.change(visitor, |share| share.waiting.remove(&ticket))?;
        self.waiting -= 1;
        Some(left)
    }

    /// Gives a place to whose turn it is, if there is one for him.
    #[must_use]
    pub(super) fn next(&mut self) -> Option<(Visitor, W)> {
        [Standing::Known, Standing::Unknown].into_iter().find_map(|standing| {
            // Nobody of this standing who waits holds fewer.
            let (held, ticket, visitor) = self.first_turn(standing)?;
            if held >= self.free_for(standing) {
                return None;
            }
            let waiter = self.leave(visitor, ticket)?;
            self.give(visitor);
            Some((visitor, waiter))
        })
    }

    /// The last of those who wait in the longest queue, who waits no longer: one of an unknown network, if any such waits.
    pub(super) fn cut_longest_queue(&mut self) -> Option<W> {
        let (standing, _, network) = *self.queues.last()?;
        let visitor = Visitor { standing, network };
        let ticket = *self.visitors.get(&visitor)?.waiting.last_key_value()?.0;
        self.leave(visitor, ticket)
    }

    /// The same, if the queue is longer than that of this visitor will be with one more, or he goes before all in it.
    pub(super) fn cut_for(&mut self, visitor: Visitor) -> Option<W> {
        let own = self.visitors.get(&visitor).map_or(0, |share| share.waiting.len());
        let (standing, longest, _) = *self.queues.last()?;
        if (standing, longest) <= (visitor.standing, own + 1) {
            return None;
        }
        self.cut_longest_queue()
    }

    /// Whether somebody waits for a place who holds none.
    pub(super) fn is_wanted(&self) -> bool {
        let has_none = |standing| self.first_turn(standing).is_some_and(|(held, ..)| held == 0);
        has_none(Standing::Known) || has_none(Standing::Unknown)
    }

    /// How many places are taken.
    pub(super) fn taken(&self) -> u32 {
        self.taken
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> u32 {
        self.waiting
    }

    fn first_turn(&self, standing: Standing) -> Option<(u32, Ticket, Visitor)> {
        let least = (standing, 0, 0, IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let (first, held, ticket, network) = *self.turns.range(least..).next()?;
        (first == standing).then_some((held, ticket, Visitor { standing, network }))
    }

    fn free_for(&self, standing: Standing) -> u32 {
        let free = self.places.saturating_sub(self.taken);
        match standing {
            Standing::Known => free,
            Standing::Unknown => free.min((self.places - self.places / 4).saturating_sub(self.taken_by_unknown)),
        }
    }

    fn give(&mut self, visitor: Visitor) {
        self.change(visitor, |share| share.held += 1);
        self.taken += 1;
        if visitor.standing == Standing::Unknown {
            self.taken_by_unknown += 1;
        }
    }

    /// Changes what a visitor has, and where he stands for that.
    fn change<R>(&mut self, visitor: Visitor, change: impl FnOnce(&mut Share<W>) -> R) -> R {
        let Visitor { standing, network } = visitor;
        let share = self.visitors.entry(visitor).or_insert_with(|| Share { held: 0, waiting: BTreeMap::new() });
        if let Some((first, _)) = share.waiting.first_key_value() {
            self.turns.remove(&(standing, share.held, *first, network));
            self.queues.remove(&(standing, share.waiting.len(), network));
        }
        let result = change(share);
        if let Some((first, _)) = share.waiting.first_key_value() {
            self.turns.insert((standing, share.held, *first, network));
            self.queues.insert((standing, share.waiting.len(), network));
        } else if share.held == 0 {
            self.visitors.remove(&visitor);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Those below 10 are known.
    fn visitor(number: u8) -> Visitor {
        let standing = if number < 10 { Standing::Known } else { Standing::Unknown };
        Visitor { standing, network: Ipv4Addr::new(192, 0, 2, number).into() }
    }

    fn take_all(shares: &mut FairShares<u32>, number: u8) -> usize {
        std::iter::from_fn(|| shares.take(visitor(number)).then_some(())).count()
    }

    #[test]
    fn one_network_gets_half_and_two_get_a_third_each() {
        let mut shares = FairShares::new(300);
        assert_eq!(take_all(&mut shares, 1), 150);
        assert_eq!(take_all(&mut shares, 2), 75);
        for _ in 0..50 {
            shares.give_back(visitor(1));
        }
        assert_eq!(take_all(&mut shares, 2), 25);
        assert_eq!((take_all(&mut shares, 1), take_all(&mut shares, 2)), (0, 0));
        assert!(shares.take(visitor(3)));
    }

    #[test]
    fn unknown_networks_leave_a_quarter_to_known_ones_however_many_they_are() {
        let mut shares = FairShares::new(100);
        assert_eq!((10..200).map(|number| take_all(&mut shares, number)).sum::<usize>(), 75);
        assert_eq!(take_all(&mut shares, 1), 13);
        assert!(shares.take(visitor(2)) && !shares.take(visitor(200)));
    }

    #[test]
    fn the_only_place_goes_to_anybody() {
        let mut shares = FairShares::<u32>::new(1);
        assert!(shares.take(visitor(1)) && !shares.take(visitor(10)));
        shares.give_back(visitor(1));
        assert!(shares.take(visitor(10)));
    }

    #[test]
    fn the_turn_is_that_of_who_holds_fewest_and_then_of_who_came_first() {
        let mut shares = FairShares::new(3);
        assert!(shares.take(visitor(1)) && shares.take(visitor(1)) && shares.take(visitor(2)));
        for (number, waiter) in [(1, 10), (1, 11), (2, 20), (3, 30), (4, 40)] {
            shares.wait(visitor(number), waiter);
        }
        assert_eq!(shares.next(), None);
        let mut next = |number| {
            shares.give_back(visitor(number));
            shares.next().map(|(_, waiter)| waiter)
        };
        assert_eq!((next(2), next(1), next(3)), (Some(20), Some(30), Some(40)));
        // The one that is free is not for a network that holds as many.
        assert_eq!((next(4), next(2), next(1)), (None, Some(10), Some(11)));
    }

    #[test]
    fn the_turns_of_known_networks_come_first_and_do_not_keep_what_they_may_not_take() {
        let mut shares = FairShares::new(3);
        assert!([1, 1, 10].into_iter().all(|number| shares.take(visitor(number))));
        for (number, waiter) in [(11, 110), (1, 10), (2, 20)] {
            shares.wait(visitor(number), waiter);
        }
        shares.give_back(visitor(10));
        assert_eq!(shares.next(), Some((visitor(2), 20)));
        shares.give_back(visitor(2));
        assert!(shares.is_wanted());
        assert_eq!(shares.next(), Some((visitor(11), 110)));
        // Who is left holds two.
        assert!(!shares.is_wanted());
    }

    #[test]
    fn the_longest_queue_is_cut_at_its_end() {
        let mut shares = FairShares::new(0);
        for (number, waiter) in [(1, 10), (2, 20), (1, 11), (1, 12), (2, 21)] {
            shares.wait(visitor(number), waiter);
        }
        assert_eq!(shares.cut_for(visitor(2)), None);
        assert_eq!(shares.cut_for(visitor(3)), Some(12));
        assert_eq!((shares.cut_longest_queue(), shares.waiting()), (Some(21), 3));
    }

    #[test]
    fn an_unknown_network_gives_way_to_a_known_one_and_never_the_other_way_round() {
        let mut shares = FairShares::new(0);
        for (number, waiter) in [(1, 10), (1, 11), (1, 12), (10, 100)] {
            shares.wait(visitor(number), waiter);
        }
        assert_eq!(shares.cut_for(visitor(11)), None);
        assert_eq!(shares.cut_for(visitor(1)), Some(100));
        assert_eq!(shares.cut_for(visitor(11)), None);
        assert_eq!(shares.cut_for(visitor(2)), Some(12));
    }

    #[test]
    fn who_holds_a_place_keeps_it_when_there_are_fewer_and_nobody_takes_one_until_there_is() {
        let mut shares = FairShares::new(4);
        assert!([1, 1, 2].into_iter().all(|number| shares.take(visitor(number))));
        shares.wait(visitor(3), 30);
        shares.resize(2);
        assert_eq!((shares.taken(), shares.next(), shares.take(visitor(4))), (3, None, false));
        shares.give_back(visitor(1));
        assert_eq!(shares.next(), None);
        shares.resize(3);
        assert_eq!(shares.next(), Some((visitor(3), 30)));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Ask(u8),
        GiveBack(u8),
        Leave(usize),
        Cut(u8),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        // Three of them are known.
        let number = || 7..13_u8;
        let step = prop_oneof![
            4 => number().prop_map(Step::Ask),
            3 => number().prop_map(Step::GiveBack),
            1 => (0..20_usize).prop_map(Step::Leave),
            1 => number().prop_map(Step::Cut),
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
            let is_unknown = |number: u8| number >= 10;
            let may_have = |held: &[u8], number: u8| {
                let own = held.iter().filter(|other| **other == number).count();
                let unknown = held.iter().filter(|other| is_unknown(**other)).count();
                let free = places as usize - held.len();
                own < if is_unknown(number) { free.min((places - places / 4) as usize - unknown) } else { free }
            };
            for step in steps {
                match step {
                    Step::Ask(number) => {
                        let may_have = may_have(&held, number);
                        prop_assert_eq!(shares.take(visitor(number)), may_have);
                        if may_have {
                            held.push(number);
                        } else {
                            queue.push((number, shares.wait(visitor(number), number)));
                        }
                    }
                    Step::GiveBack(number) => {
                        if let Some(at) = held.iter().position(|other| *other == number) {
                            held.remove(at);
                            shares.give_back(visitor(number));
                        }
                    }
                    Step::Leave(at) if at < queue.len() => {
                        let (number, ticket) = queue.remove(at);
                        prop_assert_eq!(shares.leave(visitor(number), ticket), Some(number));
                        prop_assert_eq!(shares.leave(visitor(number), ticket), None);
                    }
                    Step::Leave(_) => {}
                    Step::Cut(number) => {
                        let waiting = |number| queue.iter().filter(|(other, _)| *other == number).count();
                        let queues = (7..13).filter(|other| waiting(*other) > 0);
                        let longest = queues.max_by_key(|other| (is_unknown(*other), waiting(*other), *other));
                        let expected = longest.filter(|longest| {
                            (is_unknown(*longest), waiting(*longest)) > (is_unknown(number), waiting(number) + 1)
                        });
                        prop_assert_eq!(shares.cut_for(visitor(number)), expected);
                        if let Some(at) = queue.iter().rposition(|(number, _)| Some(*number) == expected) {
                            queue.remove(at);
                        }
                    }
                }
                loop {
                    let candidates = queue.iter().enumerate().filter(|(_, (number, _))| may_have(&held, *number));
                    let own = |number: u8| held.iter().filter(|other| **other == number).count();
                    let turn = candidates.min_by_key(|(_, (number, ticket))| (is_unknown(*number), own(*number), *ticket));
                    let expected = turn.map(|(at, _)| at).map(|at| queue.remove(at).0);
                    prop_assert_eq!(shares.next().map(|(_, waiter)| waiter), expected);
                    let Some(number) = expected else { break };
                    held.push(number);
                }
                prop_assert_eq!((shares.taken() as usize, shares.waiting() as usize), (held.len(), queue.len()));
                prop_assert!(held.len() <= places as usize);
                let known: BTreeSet<u8> = held.iter().copied().chain(queue.iter().map(|(number, _)| *number)).collect();
                prop_assert_eq!(shares.visitors.len(), known.len());
            }
        }
    }
}

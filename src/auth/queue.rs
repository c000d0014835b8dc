//! Which attempt is verified next, and which has to go when too many wait. Pure.
//!
//! Whoever floods the queue waits behind himself: turns are taken by standings, in each of them by networks, in those by
//! addresses. One that had nothing waiting comes after one job of each other, however many those have.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::throttle::Standing;
use crate::origin::{Origin, network, origin};

/// A bounded queue in which addresses take turns.
pub(super) struct Queue<T> {
    waiting: Turns<T>,
    limit: usize,
}

/// What became of an item that was to wait.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Pushed<T> {
    /// It waits.
    Queued,
    /// It waits, and this one does not any more: the newest of those who have most.
    InPlaceOf(T),
    /// It cannot wait: nobody has more than those it would be with.
    Full(T),
}

impl<T> Queue<T> {
    /// Empty, for so many.
    pub(super) fn new(limit: usize) -> Queue<T> {
        Queue { waiting: Turns::default(), limit }
    }

    pub(super) fn push(&mut self, standing: Standing, address: IpAddr, item: T) -> Pushed<T> {
        let path = [Name::Standing(standing), Name::Network(network(address)), Name::Origin(origin(address))];
        let mut displaced = None;
        if self.waiting.len >= self.limit {
            displaced = self.waiting.make_room(&path);
            if displaced.is_none() {
                return Pushed::Full(item);
            }
        }
        self.waiting.push(&path, item);
        displaced.map_or(Pushed::Queued, Pushed::InPlaceOf)
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        self.waiting.pop()
    }

    pub(super) fn clear(&mut self) {
        self.waiting = Turns::default();
    }
}

/// Whom a part of the queue is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Standing(Standing),
    Network(IpAddr),
    Origin(Origin),
}

/// A queue of queues that take turns, or at the end of the path one of items. What it does takes logarithmic time.
struct Turns<T> {
    /// Items in all.
    len: usize,
    items: VecDeque<T>,
    /// None of them is empty.
    parts: BTreeMap<Name, Turns<T>>,
    /// The parts by their turns.
    order: BTreeMap<u64, Name>,
    /// The parts by their lengths.
    lengths: BTreeSet<(usize, Name)>,
    /// When it is this one's turn, among those that it is one of.
    turn: u64,
    next_turn: u64,
}

impl<T> Default for Turns<T> {
    fn default() -> Turns<T> {
        let (items, parts, order, lengths) = (VecDeque::new(), BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Turns { len: 0, items, parts, order, lengths, turn: 0, next_turn: 0 }
    }
}

impl<T> Turns<T> {
    fn push(&mut self, path: &[Name], item: T) {
        let Some((name, rest)) = path.split_first() else {
            self.items.push_back(item);
            self.len += 1;
            return;
        };
        let mut part = self.take(*name);
        part.push(rest, item);
        self.put(*name, part);
    }

    fn pop(&mut self) -> Option<T> {
        let Some(name) = self.order.first_key_value().map(|(_, name)| *name) else {
            return self.items.pop_front().inspect(|_| self.len -= 1);
        };
        let mut part = self.take(name);
        let item = part.pop();
        part.turn = self.new_turn();
        self.put(name, part);
        item
    }

    /// Takes out an item of the longest part, if whoever comes by this path then still has no more there than are left in
    /// that; otherwise one of the same part as his, by the same rule.
    fn make_room(&mut self, path: &[Name]) -> Option<T> {
        let (name, rest) = path.split_first()?;
        let (longest, of) = *self.lengths.last()?;
        let own = self.parts.get(name).map_or(0, |part| part.len);
        let from = if longest > own + 1 { of } else { *name };
        let mut part = self.take(from);
        let item = if longest > own + 1 { part.pop_newest_of_longest() } else { part.make_room(rest) };
        self.put(from, part);
        item
    }

    fn pop_newest_of_longest(&mut self) -> Option<T> {
        let Some((_, name)) = self.lengths.last().copied() else {
            return self.items.pop_back().inspect(|_| self.len -= 1);
        };
        let mut part = self.take(name);
        let item = part.pop_newest_of_longest();
        self.put(name, part);
        item
    }

    /// The part of this name, out of its place; a new one is last.
    fn take(&mut self, name: Name) -> Turns<T> {
        let Some(part) = self.parts.remove(&name) else {
            return Turns { turn: self.new_turn(), ..Turns::default() };
        };
        self.order.remove(&part.turn);
        self.lengths.remove(&(part.len, name));
        self.len -= part.len;
        part
    }

    fn put(&mut self, name: Name, part: Turns<T>) {
        if part.len == 0 {
            return;
        }
        self.order.insert(part.turn, name);
        self.lengths.insert((part.len, name));
        self.len += part.len;
        self.parts.insert(name, part);
    }

    fn new_turn(&mut self) -> u64 {
        self.next_turn += 1;
        self.next_turn
    }
}

#[cfg(test)]
mod tests;

//! The names of one outline: a tree of places, and of the parts that were seen in them.

use crate::learn::evidence::Evidence;
use crate::learn::part::Part;
use crate::learn::pattern::{Piece, Unnamed};
use crate::learn::usage::Uses;

/// The names that begin the same.
#[derive(Clone, Debug)]
pub(super) struct Node {
    places: Vec<Place>,
    /// Of the name that ends here, and of all longer ones where these are not told apart.
    uses: Uses,
    /// Those are not told apart.
    is_rest: bool,
}

#[derive(Clone, Debug)]
struct Place {
    after: Option<u8>,
    observations: u64,
    /// There were others that there was no room for.
    is_crowded: bool,
    values: Values,
}

#[derive(Clone, Debug)]
enum Values {
    /// No more than the evidence admits.
    Few(Vec<Value>),
    /// What follows, whatever the part was.
    Many(Box<Node>),
}

#[derive(Clone, Debug)]
struct Value {
    hash: u64,
    /// The evidence never admits its text.
    is_odd: bool,
    /// Once there is enough evidence.
    text: Option<Box<[u8]>>,
    next: Node,
}

/// There is no room for another name.
pub(super) struct NoRoom;

/// How many places there are, and parts in them, together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kept(pub(super) usize);

impl Kept {
    pub(super) const MOST: usize = 4096;

    pub(super) fn is_full(self) -> bool {
        self.0 >= Self::MOST
    }

    fn take(&mut self) -> Result<(), NoRoom> {
        if self.is_full() {
            return Err(NoRoom);
        }
        self.0 += 1;
        Ok(())
    }

    fn free(&mut self, count: usize) {
        self.0 = self.0.saturating_sub(count);
    }
}

impl Node {
    pub(super) fn new() -> Node {
        Node { places: Vec::new(), uses: Uses::NONE, is_rest: false }
    }

    pub(super) fn note(
        &mut self,
        parts: &[Part<'_>],
        is_below_many: bool,
        uses: Uses,
        evidence: &Evidence,
        kept: &mut Kept,
    ) -> Result<(), NoRoom> {
        let [part, following @ ..] = parts else {
            self.uses.add(uses);
            return Ok(());
        };
        if self.is_rest {
            self.uses.add(uses);
            return Ok(());
        }
        let at = match self.places.iter().position(|place| place.after == part.after) {
            Some(at) => at,
            None => {
                kept.take()?;
                self.places.push(Place::new(part.after));
                self.places.len() - 1
            }
        };
        let place = &mut self.places[at];
        place.observations = place.observations.saturating_add(1);
        let value = place.admit(part, evidence, kept)?;
        match &mut place.values {
            // Two parts in a row that are not told: nothing behind them is worth it.
            Values::Many(_) if is_below_many => {
                kept.free(self.count());
                self.become_rest();
                self.uses.add(uses);
                Ok(())
            }
            Values::Many(next) => next.note(following, true, uses, evidence, kept),
            Values::Few(values) => values[value].next.note(following, false, uses, evidence, kept),
        }
    }

    /// Goes the way of a name that was told; false where a part of it was not.
    pub(super) fn restore(&mut self, pieces: &[Piece], uses: Uses, evidence: &Evidence) -> bool {
        let [piece, following @ ..] = pieces else {
            self.uses.add(uses);
            return true;
        };
        let (after, following) = match following {
            [Piece::Separator(separator), following @ ..] => (Some(*separator), following),
            _ => (None, following),
        };
        if let Piece::Any(Unnamed::Rare | Unnamed::NoRoom | Unnamed::Odd) | Piece::Separator(_) = piece {
            return false;
        }
        let at = self.places.iter().position(|place| place.after == after).unwrap_or_else(|| {
            self.places.push(Place::new(after));
            self.places.len() - 1
        });
        let place = &mut self.places[at];
        place.observations = place.observations.max(Evidence::OBSERVATIONS);
        if let Piece::Text(text) = piece {
            let value = Value { hash: evidence.hash(text), is_odd: false, text: Some(text.clone()), next: Node::new() };
            place.merge_value(&value, evidence);
            if matches!(&place.values, Values::Few(values) if values.len() > evidence.most_values()) {
                place.become_many(evidence);
            }
        } else {
            place.become_many(evidence);
        }
        match &mut place.values {
            Values::Many(next) => next.restore(following, uses, evidence),
            Values::Few(values) => {
                let hash = if let Piece::Text(text) = piece { evidence.hash(text) } else { 0 };
                let next = values.iter_mut().find(|value| value.hash == hash);
                next.is_some_and(|value| value.next.restore(following, uses, evidence))
            }
        }
    }

    /// A name that was told before, without the parts that would not be now.
    pub(super) fn revised(&self, pieces: &[Piece], evidence: &Evidence) -> Vec<Piece> {
        let mut revised = pieces.to_vec();
        let mut node = Some(self);
        for at in (0..pieces.len()).step_by(2) {
            let after = if let Some(Piece::Separator(after)) = pieces.get(at + 1) { Some(*after) } else { None };
            let place = node.and_then(|node| node.places.iter().find(|place| place.after == after));
            let Some(place) = place else { break };
            node = match (&place.values, &pieces[at]) {
                (Values::Many(next), _) => {
                    revised[at] = Piece::Any(Unnamed::Many);
                    Some(next)
                }
                (Values::Few(values), Piece::Text(text)) => {
                    let value = values.iter().find(|value| value.hash == evidence.hash(text));
                    if value.is_none_or(|value| value.text.is_none()) {
                        revised[at] = Piece::Any(place.reason());
                    }
                    value.map(|value| &value.next)
                }
                (Values::Few(_), _) => None,
            };
        }
        revised
    }

    fn become_rest(&mut self) {
        self.uses = self.all_uses();
        self.places = Vec::new();
        self.is_rest = true;
    }

    pub(super) fn merge(&mut self, other: &Node, is_below_many: bool, evidence: &Evidence) {
        self.uses.add(other.uses);
        self.is_rest |= other.is_rest;
        for place in &other.places {
            match self.places.iter_mut().find(|known| known.after == place.after) {
                Some(known) => known.merge(place, evidence),
                None => self.places.push(place.clone()),
            }
        }
        let is_many = |place: &Place| matches!(place.values, Values::Many(_));
        if self.is_rest || is_below_many && self.places.iter().any(is_many) {
            self.become_rest();
        }
    }

    fn nexts(&self) -> impl Iterator<Item = &Node> {
        self.places.iter().flat_map(Place::nexts)
    }

    pub(super) fn all_uses(&self) -> Uses {
        let mut uses = self.uses;
        self.nexts().for_each(|next| uses.add(next.all_uses()));
        uses
    }

    pub(super) fn count(&self) -> usize {
        self.places.iter().map(Place::count).sum()
    }

    pub(super) fn tell(&self, before: &mut Vec<Piece>, evidence: &Evidence, told: &mut Vec<(Vec<Piece>, Uses)>) {
        if self.uses.count > 0 {
            let rest = self.is_rest.then_some(Piece::Any(Unnamed::Many));
            told.push((before.iter().cloned().chain(rest).collect(), self.uses));
        }
        for place in &self.places {
            let mut follow = |piece, next: &Node| {
                let len = before.len();
                before.push(piece);
                before.extend(place.after.map(Piece::Separator));
                next.tell(before, evidence, told);
                before.truncate(len);
            };
            match &place.values {
                Values::Many(next) => follow(Piece::Any(Unnamed::Many), next),
                Values::Few(values) => {
                    for value in values {
                        let is_told = |text: &&[u8]| evidence.suffices(place.observations, text);
                        let text = value.text.as_deref().filter(is_told).map(Box::from);
                        let reason = if value.is_odd { Unnamed::Odd } else { place.reason() };
                        follow(text.map_or(Piece::Any(reason), Piece::Text), &value.next);
                    }
                }
            }
        }
    }
}

impl Place {
    fn new(after: Option<u8>) -> Place {
        Place { after, observations: 0, is_crowded: false, values: Values::Few(Vec::new()) }
    }

    /// Sees to it that there is a value for the part, and says which; where all are one, any number.
    fn admit(&mut self, part: &Part<'_>, evidence: &Evidence, kept: &mut Kept) -> Result<usize, NoRoom> {
        let Values::Few(values) = &mut self.values else { return Ok(0) };
        if part.is_unkept() {
            self.join(evidence, kept);
            return Ok(0);
        }
        let hash = evidence.hash(part.bytes);
        let is_kept = !self.is_crowded && self.observations >= evidence.kept_after();
        if let Some(at) = values.iter().position(|value| value.hash == hash) {
            if is_kept && values[at].text.is_none() && !values[at].is_odd {
                values[at].text = Some(part.bytes.into());
            }
            return Ok(at);
        }
        if values.len() == evidence.most_values() {
            self.join(evidence, kept);
            return Ok(0);
        }
        kept.take().inspect_err(|NoRoom| {
            // How many there are is not known any more, and what was kept of them must go.
            self.is_crowded = true;
            values.iter_mut().for_each(|value| value.text = None);
        })?;
        let is_odd = !part.is_admitted(evidence);
        let text = (is_kept && !is_odd).then(|| part.bytes.into());
        values.push(Value { hash, is_odd, text, next: Node::new() });
        Ok(values.len() - 1)
    }

    fn join(&mut self, evidence: &Evidence, kept: &mut Kept) {
        let before = self.count();
        self.become_many(evidence);
        kept.free(before.saturating_sub(self.count()));
    }

    fn become_many(&mut self, evidence: &Evidence) {
        let Values::Few(values) = &mut self.values else { return };
        let mut all = Node::new();
        for value in values.drain(..) {
            all.merge(&value.next, true, evidence);
        }
        self.values = Values::Many(Box::new(all));
    }

    fn merge(&mut self, other: &Place, evidence: &Evidence) {
        self.observations = self.observations.saturating_add(other.observations);
        self.is_crowded |= other.is_crowded;
        match &other.values {
            Values::Many(theirs) => {
                self.become_many(evidence);
                let Values::Many(ours) = &mut self.values else { return };
                ours.merge(theirs, true, evidence);
            }
            Values::Few(theirs) => theirs.iter().for_each(|value| self.merge_value(value, evidence)),
        }
        if let Values::Few(values) = &mut self.values {
            if values.len() > evidence.most_values() {
                self.become_many(evidence);
            } else if self.is_crowded {
                values.iter_mut().for_each(|value| value.text = None);
            }
        }
    }

    fn merge_value(&mut self, value: &Value, evidence: &Evidence) {
        match &mut self.values {
            Values::Many(all) => all.merge(&value.next, true, evidence),
            Values::Few(values) => match values.iter_mut().find(|known| known.hash == value.hash) {
                Some(known) => {
                    known.next.merge(&value.next, false, evidence);
                    known.text = known.text.take().or_else(|| value.text.clone());
                }
                None => values.push(value.clone()),
            },
        }
    }

    fn nexts(&self) -> impl Iterator<Item = &Node> {
        let (few, many) = match &self.values {
            Values::Few(values) => (values.as_slice(), None),
            Values::Many(next) => (&[][..], Some(&**next)),
        };
        few.iter().map(|value| &value.next).chain(many)
    }

    /// It, the parts in it, and all behind them.
    fn count(&self) -> usize {
        let values = if let Values::Few(values) = &self.values { values.len() } else { 0 };
        1 + values + self.nexts().map(Node::count).sum::<usize>()
    }

    fn reason(&self) -> Unnamed {
        if self.is_crowded { Unnamed::NoRoom } else { Unnamed::Rare }
    }
}

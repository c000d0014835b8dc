//! Names of keys or channels, their parts told apart as far as few enough were seen in one place.
//!
//! A place is where a part stands: behind the parts before it, in names of one [`Outline`], with one separator behind it.
//! What does not fit is counted and not kept, and makes no pattern wider.

mod tree;

use std::collections::BTreeMap;

use super::evidence::Evidence;
use super::part::{MOST_PARTS, Outline, Part, parts};
use super::pattern::{Piece, Unnamed};
use super::usage::Uses;
use tree::{Kept, NoRoom, Node};

/// So many outlines are told apart.
const MOST_OUTLINES: usize = 64;

/// So many names are kept of before.
const MOST_EARLIER: usize = 4096;

/// Names that were seen. They take a bounded amount of memory.
#[derive(Clone, Debug)]
pub struct Names {
    evidence: Evidence,
    /// Names mean nothing but as a whole.
    are_whole: bool,
    outlines: Vec<(Outline, Node)>,
    kept: Kept,
    /// What is known from before, of names with a part that was seen too rarely then: which it was is not known any more.
    earlier: BTreeMap<(Outline, Vec<Piece>), Uses>,
    without_room: Uses,
}

impl Names {
    pub(super) fn new(evidence: &Evidence) -> Names {
        Names {
            evidence: evidence.clone(),
            are_whole: false,
            outlines: Vec::new(),
            kept: Kept::default(),
            earlier: BTreeMap::new(),
            without_room: Uses::NONE,
        }
    }

    /// Of names that mean nothing but as a whole.
    pub(super) fn whole(evidence: &Evidence) -> Names {
        Names { are_whole: true, ..Names::new(&evidence.of_whole_names()) }
    }

    /// A name was used.
    pub(super) fn note(&mut self, name: &[u8], uses: Uses) {
        let mut room = [Part::NONE; MOST_PARTS + 1];
        let noted = if self.are_whole {
            self.note_parts(Outline::NONE, &[Part::whole(name)], uses)
        } else {
            let (count, outline) = parts(name, &mut room);
            self.note_parts(outline, &room[..count], uses)
        };
        if noted.is_err() {
            self.without_room.add(uses);
        }
    }

    fn note_parts(&mut self, outline: Outline, parts: &[Part<'_>], uses: Uses) -> Result<(), NoRoom> {
        let at = match self.outlines.iter().position(|(known, _)| *known == outline) {
            Some(at) => at,
            None if self.outlines.len() < MOST_OUTLINES => {
                self.outlines.push((outline, Node::new()));
                self.outlines.len() - 1
            }
            None => return Err(NoRoom),
        };
        self.outlines[at].1.note(parts, false, uses, &self.evidence, &mut self.kept)
    }

    /// Every name that is told apart, in pieces, with its uses.
    pub fn told(&self) -> Vec<(Vec<Piece>, Uses)> {
        self.told_by_outline().into_iter().map(|((_, pieces), uses)| (pieces, uses)).collect()
    }

    /// The same with the outline of each.
    pub(super) fn told_by_outline(&self) -> BTreeMap<(Outline, Vec<Piece>), Uses> {
        let mut all: BTreeMap<(Outline, Vec<Piece>), Uses> = BTreeMap::new();
        for (outline, node) in &self.outlines {
            let mut told = Vec::new();
            node.tell(&mut Vec::new(), &self.evidence, &mut told);
            let earlier = self.earlier.iter().filter(|((known, _), _)| known == outline);
            let earlier = earlier.map(|((_, pieces), uses)| (node.revised(pieces, &self.evidence), *uses));
            for (pieces, uses) in told.into_iter().chain(earlier) {
                all.entry((*outline, pieces)).or_insert(Uses::NONE).add(uses);
            }
        }
        all
    }

    /// A name of such an outline was told before.
    pub(super) fn restore(&mut self, outline: Outline, pieces: &[Piece], uses: Uses) {
        let at = self.outlines.iter().position(|(known, _)| *known == outline);
        let is_full = at.is_none() && self.outlines.len() >= MOST_OUTLINES || self.kept.is_full();
        if is_full || self.earlier.len() >= MOST_EARLIER {
            return self.without_room.add(uses);
        }
        let at = at.unwrap_or_else(|| {
            self.outlines.push((outline, Node::new()));
            self.outlines.len() - 1
        });
        let pieces = self.admitted(pieces);
        if !self.outlines[at].1.restore(&pieces, uses, &self.evidence) {
            self.earlier.entry((outline, pieces)).or_insert(Uses::NONE).add(uses);
        }
        self.kept = Kept(self.outlines.iter().map(|(_, node)| node.count()).sum());
    }

    /// Without what may not be told, as whoever wrote it down may have admitted more.
    fn admitted(&self, pieces: &[Piece]) -> Vec<Piece> {
        let name: Vec<u8> = pieces.iter().flat_map(Piece::text).copied().collect();
        let mut start = 0;
        let admitted = pieces.iter().map(|piece| {
            let part = start..start + piece.text().len();
            start = part.end;
            let is_odd = matches!(piece, Piece::Text(_)) && !self.evidence.admits(&name, part);
            if is_odd { Piece::Any(Unnamed::Odd) } else { piece.clone() }
        });
        admitted.collect()
    }

    /// There was no room for other names.
    pub(super) fn add_without_room(&mut self, uses: Uses) {
        self.without_room.add(uses);
    }

    /// Uses of names that there was no room for.
    pub fn without_room(&self) -> Uses {
        self.without_room
    }

    /// Adds what was seen elsewhere, with the same [`Evidence`].
    pub(super) fn merge(&mut self, other: &Names) {
        for (outline, node) in &other.outlines {
            match self.outlines.iter().position(|(known, _)| known == outline) {
                Some(at) => self.outlines[at].1.merge(node, false, &self.evidence),
                None if self.outlines.len() < MOST_OUTLINES => self.outlines.push((*outline, node.clone())),
                None => self.without_room.add(node.all_uses()),
            }
        }
        for (known, uses) in &other.earlier {
            self.earlier.entry(known.clone()).or_insert(Uses::NONE).add(*uses);
        }
        self.without_room.add(other.without_room);
        self.kept = Kept(self.outlines.iter().map(|(_, node)| node.count()).sum());
    }
}

#[cfg(test)]
mod tests;

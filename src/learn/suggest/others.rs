//! What others were seen to use, and whether a rule would open it.

use std::collections::BTreeMap;

use super::{Context, samples};
use crate::command::CommandTable;
use crate::learn::line::{KeyAccess, Need, Places};
use crate::learn::names::Names;
use crate::learn::pattern::{Piece, Unnamed, is_exact, sample};

/// What all others use, of keys or of channels.
pub(super) struct Others<'a> {
    table: &'a CommandTable,
    others: Vec<Other<'a>>,
}

struct Other<'a> {
    name: &'a str,
    /// A name of each kind.
    samples: Vec<Vec<u8>>,
    /// Names of which a part is not told, and how often they were used.
    partly_told: Vec<(Vec<Piece>, u64)>,
    /// How often names were used that nothing is kept of.
    without_room: u64,
}

impl<'a> Others<'a> {
    pub(super) fn keys(context: &Context<'a>) -> Others<'a> {
        let others = context.others.iter().map(|(name, usage)| Other::of(name, &usage.keys));
        Others { table: context.table, others: others.collect() }
    }

    pub(super) fn channels(context: &Context<'a>) -> Others<'a> {
        let others = context.others.iter().map(|(name, usage)| {
            let mut other = Other::of(name, &usage.channels);
            other.add_patterns(&usage.channel_patterns);
            other
        });
        Others { table: context.table, others: others.collect() }
    }

    /// One who uses what the rule opens.
    pub(super) fn user_of(&self, rule: &str) -> Option<&'a str> {
        let places = Places::new(&[rule.to_owned()], self.table).ok()?;
        let opens = |name: &Vec<u8>| {
            let name = name.clone();
            let need = if rule.starts_with('&') { Need::Channel(name) } else { Need::Key(name, KeyAccess::Name) };
            !places.giving(&need, self.table).is_empty()
        };
        self.others.iter().find(|other| other.samples.iter().any(opens)).map(|other| other.name)
    }

    /// One of whom it is not told whether they use such names.
    pub(super) fn possible_user_of(&self, pieces: &[Piece]) -> Option<&'a str> {
        self.others.iter().find(|other| other.untold_uses(std::slice::from_ref(&pieces)) > 0).map(|other| other.name)
    }

    /// Adds how often each used names of which it is not told whether they are among these.
    pub(super) fn add_untold(&self, suggested: &[Vec<Piece>], untold: &mut BTreeMap<String, u64>) {
        for other in self.others.iter().filter(|_| !suggested.is_empty()) {
            let uses = other.untold_uses(suggested);
            if uses > 0 {
                *untold.entry(other.name.to_owned()).or_default() += uses;
            }
        }
    }
}

impl<'a> Other<'a> {
    fn of(name: &'a str, names: &Names) -> Other<'a> {
        let partly_told = names.told().into_iter().filter(|(pieces, _)| !is_exact(pieces));
        Other {
            name,
            samples: samples(names),
            partly_told: partly_told.map(|(pieces, uses)| (pieces, uses.count)).collect(),
            without_room: names.without_room().count,
        }
    }

    fn add_patterns(&mut self, patterns: &Names) {
        self.samples.extend(samples(patterns));
        let told = patterns.told().into_iter();
        self.partly_told.extend(told.map(|(pieces, uses)| (as_names(&pieces), uses.count)));
        self.without_room += patterns.without_room().count;
    }

    fn untold_uses<P: AsRef<[Piece]>>(&self, suggested: &[P]) -> u64 {
        let may_be_meant = |pieces: &[Piece]| suggested.iter().any(|ours| may_overlap(ours.as_ref(), pieces));
        let partly = self.partly_told.iter().filter(|(pieces, _)| may_be_meant(pieces));
        partly.map(|(_, uses)| uses).sum::<u64>().saturating_add(self.without_room)
    }
}

/// What a pattern that was subscribed to stands for, or more.
pub(super) fn as_names(pattern: &[Piece]) -> Vec<Piece> {
    let [Piece::Text(text)] = pattern else { return pattern.to_vec() };
    let is_special = |byte: &u8| matches!(byte, b'*' | b'?' | b'[' | b']' | b'\\');
    let (Some(first), Some(last)) = (text.iter().position(is_special), text.iter().rposition(is_special)) else {
        return pattern.to_vec();
    };
    vec![Piece::Text(text[..first].into()), Piece::Any(Unnamed::Many), Piece::Text(text[last + 1..].into())]
}

/// Whether a name can be one of both, whatever the parts are that are not told; where in doubt, it can.
fn may_overlap(ours: &[Piece], theirs: &[Piece]) -> bool {
    let [(our_head, our_tail), (head, tail)] = [ours, theirs].map(ends);
    let is_room = !is_exact(ours) || our_head.len() >= head.len() + tail.len();
    let heads = our_head.iter().zip(&head).all(|(ours, theirs)| ours == theirs);
    let tails = our_tail.iter().rev().zip(tail.iter().rev()).all(|(ours, theirs)| ours == theirs);
    is_room && heads && tails
}

/// What stands before the first part that is not told, and behind the last.
fn ends(pieces: &[Piece]) -> (Vec<u8>, Vec<u8>) {
    let is_any = |piece: &Piece| matches!(piece, Piece::Any(_));
    let head = pieces.split(is_any).next().unwrap_or_default();
    let tail = pieces.rsplit(is_any).next().unwrap_or_default();
    // There is nothing in them that is not told.
    (sample(head), sample(tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(pattern: &str) -> Vec<Piece> {
        as_names(&[Piece::Text(pattern.as_bytes().into())])
    }

    #[test]
    fn names_that_are_told_in_part_overlap_where_the_told_ends_allow_it() {
        for (ours, theirs, overlap) in [
            ("bank:*", "*", true),
            ("bank:*", "*:cart", true),
            ("bank:*", "ban*", true),
            ("bank:*", "shop:*", false),
            ("bank:*:cart", "bank:*:name", false),
            ("bank:open", "bank:*", true),
            ("bank:open", "*:open", true),
            ("bank:open", "*:shut", false),
            ("bank:open", "bank:opening*", false),
            ("aba", "ab*ba", false),
        ] {
            assert_eq!(may_overlap(&pieces(ours), &pieces(theirs)), overlap, "{ours} {theirs}");
        }
    }
}

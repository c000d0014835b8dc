//! What one user was seen to do.

use std::collections::BTreeMap;

use super::evidence::Evidence;
use super::names::Names;
use crate::command::{Access, Argv, ChannelUse, CommandSpec, Scope, Unextractable};

/// How often and when something was used, and what for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Uses {
    /// How often.
    pub count: u64,
    /// When first; seconds since 1970.
    pub first: u64,
    /// When last.
    pub last: u64,
    /// Of a key: all that it was used for.
    pub access: Access,
    /// How often of those the users' rules in force would have refused it.
    pub would_refuse: u64,
}

impl Uses {
    /// Never.
    pub const NONE: Uses = Uses { count: 0, first: u64::MAX, last: 0, access: Access::NAME, would_refuse: 0 };

    /// Once.
    #[must_use]
    pub fn once(at: u64, access: Access, would_refuse: bool) -> Uses {
        Uses { count: 1, first: at, last: at, access, would_refuse: u64::from(would_refuse) }
    }

    /// Counts more.
    #[inline]
    pub fn add(&mut self, more: Uses) {
        self.count = self.count.saturating_add(more.count);
        self.first = self.first.min(more.first);
        self.last = self.last.max(more.last);
        self.access = self.access | more.access;
        self.would_refuse = self.would_refuse.saturating_add(more.would_refuse);
    }
}

/// What one user was seen to do. It takes a bounded amount of memory, whatever the user does.
#[derive(Clone, Debug)]
pub struct Usage {
    /// All requests.
    pub requests: Uses,
    /// By full name.
    pub commands: BTreeMap<Box<str>, Uses>,
    /// Keys.
    pub keys: Names,
    /// Channels that were subscribed to by name, or published to.
    pub channels: Names,
    /// Patterns of channels that were subscribed to.
    pub channel_patterns: Names,
    /// Requests that read keys which they do not name: SORT with BY or GET.
    pub unnamed_keys: Uses,
    /// Requests whose keys cannot be told.
    pub untold_keys: Uses,
}

impl Usage {
    /// Nothing yet.
    pub fn new(evidence: &Evidence) -> Usage {
        Usage {
            requests: Uses::NONE,
            commands: BTreeMap::new(),
            keys: Names::new(evidence),
            channels: Names::new(evidence),
            channel_patterns: Names::whole(evidence),
            unnamed_keys: Uses::NONE,
            untold_keys: Uses::NONE,
        }
    }

    /// A request of the user. What everybody may do is not kept.
    pub fn note(&mut self, spec: &CommandSpec, argv: &Argv<'_>, at: u64, would_refuse: bool) {
        if spec.is_no_auth() {
            return;
        }
        self.note_command(spec.full_name(), Uses::once(at, Access::NAME, would_refuse));
        self.note_names(spec, argv, Scope::Whole, usize::MAX, Uses::once(at, Access::NAME, would_refuse));
    }

    /// A command of the user, apart from the names in it.
    pub(super) fn note_command(&mut self, name: &str, uses: Uses) {
        self.requests.add(uses);
        match self.commands.get_mut(name) {
            Some(known) => known.add(uses),
            None => drop(self.commands.insert(name.into(), uses)),
        }
    }

    /// The names in a request, which is `once`. The first so many are told apart, the others counted. Returns how many those first
    /// ones are.
    #[inline]
    pub(super) fn note_names(
        &mut self,
        spec: &CommandSpec,
        argv: &Argv<'_>,
        scope: Scope,
        most: usize,
        once: Uses,
    ) -> usize {
        let mut left = most;
        let mut note = |names: &mut Names, name: &[u8], uses: Uses| match left.checked_sub(1) {
            Some(fewer) => {
                left = fewer;
                names.note(name, uses);
            }
            None => names.add_without_room(uses),
        };
        if spec.has_keys() {
            let told = spec.try_keys::<Unextractable>(argv, scope, |key| {
                let name = argv.get(key.index).ok_or(Unextractable)?;
                note(&mut self.keys, name, Uses { access: key.access, ..once });
                Ok(())
            });
            if told.is_err() {
                self.untold_keys.add(once);
            }
            if reads_unnamed_keys(spec, argv) {
                self.unnamed_keys.add(Uses { access: Access::READ, ..once });
            }
        }
        let channels = match spec.channels() {
            ChannelUse::None => None,
            ChannelUse::First => Some((&mut self.channels, 1)),
            ChannelUse::All => Some((&mut self.channels, usize::MAX)),
            ChannelUse::AllPatterns => Some((&mut self.channel_patterns, usize::MAX)),
        };
        if let Some((names, count)) = channels {
            argv.iter_from(1).take(count).for_each(|(_, channel)| note(names, channel, once));
        }
        most - left
    }

    /// Adds what was seen elsewhere, with the same [`Evidence`].
    pub fn merge(&mut self, other: &Usage) {
        self.requests.add(other.requests);
        for (name, uses) in &other.commands {
            self.commands.entry(name.clone()).or_insert(Uses::NONE).add(*uses);
        }
        self.keys.merge(&other.keys);
        self.channels.merge(&other.channels);
        self.channel_patterns.merge(&other.channel_patterns);
        self.unnamed_keys.add(other.unnamed_keys);
        self.untold_keys.add(other.untold_keys);
    }
}

/// As the ACL asks it of SORT: any argument that could be the option is one.
fn reads_unnamed_keys(spec: &CommandSpec, argv: &Argv<'_>) -> bool {
    let is_option = |index: usize, option: &[u8]| {
        let Some(pattern) = argv.get(index + 1) else { return false };
        option.eq_ignore_ascii_case(b"by") && pattern.contains(&b'*') || option.eq_ignore_ascii_case(b"get")
    };
    matches!(spec.full_name(), "sort" | "sort_ro") && argv.iter_from(2).any(|(index, word)| is_option(index, word))
}

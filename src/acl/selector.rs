//! One selector: commands, keys, channels and databases that together allow a request.

use std::collections::BTreeSet;

use super::commands::CommandSet;
use super::cover::Cover;
use super::effort::Effort;
use super::pattern::Pattern;
use super::rule::{RuleErrorKind, Unknown, has_blank, holds_variable};
use crate::command::{Access, CommandTable};

/// The root of a user, or one of its parenthesised selectors.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Selector {
    pub(super) commands: CommandSet,
    pub(super) keys: Keys,
    pub(super) channels: Channels,
    pub(super) databases: Databases,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Keys {
    /// `~*`; then there are no patterns.
    pub(super) all: bool,
    pub(super) patterns: Vec<KeyPattern>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct KeyPattern {
    pub(super) access: Access,
    pub(super) pattern: Pattern,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Channels {
    /// `&*`; then there are no patterns.
    pub(super) all: bool,
    pub(super) patterns: Vec<Pattern>,
}

/// `db=` of Valkey 9.1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Databases {
    All,
    Some(BTreeSet<u32>),
    /// The same in a dialect that has no such rules. What they limit cannot be told there, so nothing is allowed.
    Foreign(BTreeSet<u32>),
}

impl Selector {
    /// Allows nothing.
    pub(super) fn new(table: &CommandTable) -> Selector {
        let mut commands = CommandSet::default();
        commands.deny_all(table);
        Selector { commands, keys: Keys::default(), channels: Channels::default(), databases: Databases::All }
    }

    /// One rule of a selector (Redis: `ACLSetSelector`).
    pub(super) fn apply(&mut self, rule: &[u8], table: &CommandTable, unknown: Unknown) -> Result<(), RuleErrorKind> {
        let is = |word: &[u8]| rule.eq_ignore_ascii_case(word);
        let takes_databases = table.dialect().has_databases() || unknown == Unknown::Keep;
        if rule.contains(&0) {
            return Err(RuleErrorKind::Syntax);
        }
        // Within a selector it can come out of quotes.
        if holds_variable(rule) {
            return Err(RuleErrorKind::Variable);
        }
        if is(b"allkeys") || is(b"~*") {
            self.keys = Keys { all: true, patterns: Vec::new() };
        } else if is(b"resetkeys") {
            self.keys = Keys::default();
        } else if is(b"allchannels") || is(b"&*") {
            self.channels = Channels { all: true, patterns: Vec::new() };
        } else if is(b"resetchannels") {
            self.channels = Channels::default();
        } else if is(b"allcommands") || is(b"+@all") {
            self.commands.allow_all(table);
        } else if is(b"nocommands") || is(b"-@all") {
            self.commands.deny_all(table);
        } else if takes_databases && is(b"alldbs") {
            self.databases = Databases::All;
        } else if takes_databases && is(b"resetdbs") {
            self.databases = Databases::limited_to(BTreeSet::new(), table);
        } else if let Some(list) = strip_prefix_ignore_case(rule, b"db=").filter(|_| takes_databases) {
            self.databases = Databases::limited_to(databases(list)?, table);
        } else {
            return match rule.first() {
                Some(b'~' | b'%') => self.keys.add(rule),
                Some(b'&') => self.channels.add(&rule[1..]),
                Some(b'+' | b'-') => self.commands.apply(rule, table, unknown),
                _ => Err(RuleErrorKind::Syntax),
            };
        }
        Ok(())
    }

    /// Whether this allows whatever `other` allows, as far as the rules tell.
    pub(super) fn covers(&self, other: &Selector, same_table: bool, effort: &Effort) -> bool {
        // As long as it takes to compare sets of commands.
        effort.spend(16);
        self.commands.covers(&other.commands, same_table, effort)
            && self.keys.covers(&other.keys, effort)
            && self.channels.covers(&other.channels, effort)
            && self.databases.covers(&other.databases)
    }

    pub(super) fn recompiled(&self, table: &CommandTable) -> Selector {
        let databases = match self.databases.clone() {
            Databases::All => Databases::All,
            Databases::Some(some) | Databases::Foreign(some) => Databases::limited_to(some, table),
        };
        Selector { commands: self.commands.recompiled(table), databases, ..self.clone() }
    }
}

impl Keys {
    /// One pattern grants all that the key needs.
    #[inline]
    pub(super) fn allow(&self, key: &[u8], needed: Access, effort: &Effort) -> bool {
        effort.spend(self.patterns.len() as u64);
        self.all || self.patterns.iter().any(|p| p.access.covers(needed) && p.pattern.matches(key, effort))
    }

    /// Every key may be read: what SORT's BY and GET ask for.
    pub(super) fn all_readable(&self) -> bool {
        self.all || self.patterns.iter().any(|p| p.access.covers(Access::READ) && p.pattern.text() == b"*")
    }

    /// The patterns that give this access.
    pub(super) fn giving(&self, access: Access) -> impl Iterator<Item = &Pattern> {
        self.patterns.iter().filter(move |p| p.access.covers(access)).map(|p| &p.pattern)
    }

    fn covers(&self, other: &Keys, effort: &Effort) -> bool {
        if self.all || other.all {
            return self.all;
        }
        // As a rule it is what it was, perhaps with more behind it.
        effort.spend(other.patterns.len() as u64);
        if self.patterns.starts_with(&other.patterns) {
            return true;
        }
        [Access::NAME, Access::READ, Access::WRITE, Access::READ_WRITE].into_iter().all(|access| {
            let mut rules = other.patterns.iter().filter(|rule| rule.access == access).peekable();
            rules.peek().is_none() || {
                let cover = Cover::of(self.giving(access), effort);
                rules.all(|rule| cover.covers(&rule.pattern))
            }
        })
    }

    /// `~pattern`, `%R~pattern`, `%W~pattern`, `%RW~pattern`.
    fn add(&mut self, rule: &[u8]) -> Result<(), RuleErrorKind> {
        if self.all {
            return Err(RuleErrorKind::KeyAfterAllKeys);
        }
        let (access, text) = match rule {
            [b'~', text @ ..] => (Access::READ_WRITE, text),
            [b'%', rest @ ..] => permission(rest)?,
            _ => return Err(RuleErrorKind::Syntax),
        };
        if has_blank(text) {
            return Err(RuleErrorKind::Syntax);
        }
        match self.patterns.iter_mut().find(|known| known.pattern.text() == text) {
            Some(known) => known.access = known.access | access,
            None => self.patterns.push(KeyPattern { access, pattern: Pattern::new(text) }),
        }
        Ok(())
    }
}

impl Channels {
    #[inline]
    pub(super) fn allow(&self, channel: &[u8], effort: &Effort) -> bool {
        effort.spend(self.patterns.len() as u64);
        self.all || self.patterns.iter().any(|pattern| pattern.matches(channel, effort))
    }

    /// A pattern to subscribe to must be one of ours, to the letter.
    pub(super) fn allow_pattern(&self, pattern: &[u8], effort: &Effort) -> bool {
        effort.spend(self.patterns.len() as u64);
        self.all || self.patterns.iter().any(|known| known.text() == pattern)
    }

    /// To subscribe to a pattern takes the very pattern.
    fn covers(&self, other: &Channels, effort: &Effort) -> bool {
        if self.all || other.all {
            return self.all;
        }
        effort.spend(other.patterns.len() as u64);
        self.patterns.starts_with(&other.patterns) || {
            let cover = Cover::of(self.patterns.iter(), effort);
            other.patterns.iter().all(|pattern| cover.has(pattern))
        }
    }

    fn add(&mut self, text: &[u8]) -> Result<(), RuleErrorKind> {
        if self.all {
            return Err(RuleErrorKind::ChannelAfterAllChannels);
        }
        if has_blank(text) {
            return Err(RuleErrorKind::Syntax);
        }
        if !self.patterns.iter().any(|known| known.text() == text) {
            self.patterns.push(Pattern::new(text));
        }
        Ok(())
    }
}

impl Databases {
    fn limited_to(databases: BTreeSet<u32>, table: &CommandTable) -> Databases {
        if table.dialect().has_databases() { Databases::Some(databases) } else { Databases::Foreign(databases) }
    }

    #[inline]
    pub(super) fn allow(&self, database: u32) -> bool {
        match self {
            Databases::All => true,
            Databases::Some(allowed) => allowed.contains(&database),
            Databases::Foreign(_) => false,
        }
    }

    fn covers(&self, other: &Databases) -> bool {
        match (self, other) {
            (Databases::All, _) => true,
            (Databases::Some(allowed), Databases::Some(others)) => allowed.is_superset(others),
            _ => false,
        }
    }

    pub(super) fn are_foreign(&self) -> bool {
        matches!(self, Databases::Foreign(_))
    }

    pub(super) fn foreign_rule(&self) -> Option<String> {
        self.are_foreign().then(|| self.to_rule())
    }
}

/// What stands between `%` and the pattern: R and W in any order and case, each once. As in Redis the `~` may be
/// missing at the end: then the pattern is empty.
fn permission(rest: &[u8]) -> Result<(Access, &[u8]), RuleErrorKind> {
    let mut access = Access::NAME;
    for (index, byte) in rest.iter().enumerate() {
        let more = match byte.to_ascii_uppercase() {
            b'R' => Access::READ,
            b'W' => Access::WRITE,
            b'~' if access != Access::NAME => return Ok((access, &rest[index + 1..])),
            _ => return Err(RuleErrorKind::Syntax),
        };
        if access.covers(more) {
            return Err(RuleErrorKind::Syntax);
        }
        access = access | more;
    }
    if access == Access::NAME { Err(RuleErrorKind::Syntax) } else { Ok((access, &[])) }
}

fn databases(list: &[u8]) -> Result<BTreeSet<u32>, RuleErrorKind> {
    list.split(|b| *b == b',').map(database).collect()
}

/// A number as strtol reads it: blanks never get here, a sign may.
fn database(text: &[u8]) -> Result<u32, RuleErrorKind> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(RuleErrorKind::Syntax);
    }
    let text = std::str::from_utf8(digits).map_err(|_| RuleErrorKind::Syntax)?;
    match text.parse::<i32>() {
        Ok(0) => Ok(0),
        Ok(number) if !negative => Ok(number.unsigned_abs()),
        _ => Err(RuleErrorKind::DatabaseOutOfRange),
    }
}

fn strip_prefix_ignore_case<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

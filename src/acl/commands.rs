//! Which commands a selector allows.

use std::collections::BTreeMap;

use super::effort::Effort;
use super::rule::{RuleErrorKind, Unknown, has_blank};
use crate::command::{Categories, CommandId, CommandSpec, CommandTable};

/// A set of commands, and the rules that made it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct CommandSet {
    /// By [`CommandId::index`]. Of a command that came to the table after the set was made, the bit is not set.
    bits: Vec<u64>,
    /// `+@all`, and nothing taken away since: allows also what the table has never heard of.
    pub(super) all: bool,
    /// The rules start from `+@all`, not from `-@all`.
    pub(super) from_all: bool,
    /// `+select|0`: commands without subcommands, allowed with this first argument only.
    first_arguments: BTreeMap<CommandId, Vec<Box<[u8]>>>,
    /// In order, lower case, with their sign; of rules with one target only the last (Redis: `ACLUpdateCommandRules`).
    /// Applied again from the start, they make the same set.
    rules: Vec<String>,
    /// Rules whose name no table has known yet.
    unknown: Vec<String>,
}

impl CommandSet {
    /// The command may run with these arguments.
    #[inline]
    pub(super) fn allows(&self, spec: &CommandSpec, first_argument: Option<&[u8]>) -> bool {
        self.all || spec.is_no_auth() || self.has(spec.id()) || self.allows_first(spec.id(), first_argument)
    }

    #[inline]
    pub(super) fn has(&self, id: CommandId) -> bool {
        self.bits.get(id.index() / 64).is_some_and(|word| word >> (id.index() % 64) & 1 == 1)
    }

    #[cold]
    fn allows_first(&self, id: CommandId, first_argument: Option<&[u8]>) -> bool {
        let (Some(allowed), Some(given)) = (self.first_arguments.get(&id), first_argument) else { return false };
        allowed.iter().any(|argument| argument.eq_ignore_ascii_case(given))
    }

    /// Whether this allows whatever `other` allows: ids of two tables are not compared, but how it is written.
    pub(super) fn covers(&self, other: &CommandSet, same_table: bool, effort: &Effort) -> bool {
        let has_all = |(index, word): (usize, &u64)| word & !self.bits.get(index).copied().unwrap_or(0) == 0;
        let allows_arguments = |(id, arguments): (&CommandId, &Vec<Box<[u8]>>)| {
            effort.spend((self.first_arguments(*id).len() * arguments.len()) as u64);
            self.has(*id) || arguments.iter().all(|argument| self.allows_first(*id, Some(argument)))
        };
        let is_written_the_same = || self.from_all == other.from_all && self.rules == other.rules;
        self.all
            || is_written_the_same()
            || same_table
                && !other.all
                && other.bits.iter().enumerate().all(has_all)
                && other.first_arguments.iter().all(allows_arguments)
    }

    pub(super) fn rules(&self) -> &[String] {
        &self.rules
    }

    pub(super) fn unknown(&self) -> &[String] {
        &self.unknown
    }

    pub(super) fn first_arguments(&self, id: CommandId) -> &[Box<[u8]>] {
        self.first_arguments.get(&id).map_or(&[], Vec::as_slice)
    }

    /// `+@all`.
    pub(super) fn allow_all(&mut self, table: &CommandTable) {
        self.deny_all(table);
        table.iter().for_each(|spec| self.set(spec.id(), true));
        (self.all, self.from_all) = (true, true);
    }

    /// `-@all`.
    pub(super) fn deny_all(&mut self, table: &CommandTable) {
        *self = CommandSet { bits: vec![0; table.len().div_ceil(64)], ..CommandSet::default() };
    }

    /// A rule `+name`, `-name`, `+name|sub`, `+name|argument`, `+@category`.
    pub(super) fn apply(&mut self, rule: &[u8], table: &CommandTable, unknown: Unknown) -> Result<(), RuleErrorKind> {
        let (allow, target) = match rule {
            [b'+', target @ ..] => (true, target),
            [b'-', target @ ..] => (false, target),
            _ => return Err(RuleErrorKind::Syntax),
        };
        let effect = match target {
            [b'@', category @ ..] => table.category(category).map(Effect::Category).ok_or(RuleErrorKind::UnknownName),
            _ => Effect::parse(allow, target, table),
        };
        match effect {
            Ok(Effect::Category(category)) => self.change_category(category, allow, table),
            Ok(Effect::Command(spec)) => self.change(spec, allow, table),
            Ok(Effect::FirstArgument(spec, argument)) => self.allow_first_argument(spec.id(), argument),
            Err(RuleErrorKind::UnknownName) if unknown != Unknown::Refuse && could_be_known(allow, target, table) => {
                self.unknown.push(lossy_lower(rule));
                if !allow {
                    self.deny_upstream_commands(table);
                }
            }
            Err(kind) => return Err(kind),
        }
        self.record(lossy_lower(rule));
        Ok(())
    }

    /// The same rules, applied to another table.
    pub(super) fn recompiled(&self, table: &CommandTable) -> CommandSet {
        let mut set = CommandSet::default();
        match self.from_all {
            true => set.allow_all(table),
            false => set.deny_all(table),
        }
        for rule in &self.rules {
            // Kept names cannot fail; a rule that a smaller table finds wrong in another way grants nothing.
            if set.apply(rule.as_bytes(), table, Unknown::KeepNames).is_err() {
                set.unknown.push(rule.clone());
                set.deny_upstream_commands(table);
            }
        }
        set
    }

    /// What a rule takes away is not known: it could be any command that we did not come with.
    fn deny_upstream_commands(&mut self, table: &CommandTable) {
        self.all = false;
        for spec in table.iter().filter(|spec| !spec.is_builtin()) {
            self.set(spec.id(), false);
            self.first_arguments.remove(&spec.id());
        }
    }

    pub(super) fn change_category(&mut self, category: Categories, allow: bool, table: &CommandTable) {
        // A server grants no command of a module with a category; that we take it away with one errs on the safe side.
        let reached = |spec: &&CommandSpec| match allow {
            true => spec.categories().intersects(category),
            false => spec.implied_categories().intersects(category),
        };
        for spec in table.iter().filter(reached) {
            self.change(spec, allow, table);
        }
    }

    /// Sets a command, and with a container all its subcommands; first-argument rules for it are gone.
    pub(super) fn change(&mut self, spec: &CommandSpec, allow: bool, table: &CommandTable) {
        self.set(spec.id(), allow);
        self.first_arguments.remove(&spec.id());
        if spec.has_subcommands() {
            for subcommand in table.subcommands(spec.id()) {
                self.set(subcommand.id(), allow);
            }
        }
    }

    fn set(&mut self, id: CommandId, allow: bool) {
        let (word, bit) = (id.index() / 64, 1 << (id.index() % 64));
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        match allow {
            true => self.bits[word] |= bit,
            false => {
                self.bits[word] &= !bit;
                self.all = false;
            }
        }
    }

    fn allow_first_argument(&mut self, id: CommandId, argument: &[u8]) {
        let allowed = self.first_arguments.entry(id).or_default();
        if !allowed.iter().any(|known| known.eq_ignore_ascii_case(argument)) {
            allowed.push(argument.into());
        }
    }

    /// Keeps of all rules for one target, or for a subcommand of it, only the new one.
    fn record(&mut self, rule: String) {
        let target = &rule[1..];
        self.rules.retain(|known| {
            let rest = known[1..].strip_prefix(target);
            !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('|'))
        });
        self.rules.push(rule);
    }
}

/// What one rule changes.
enum Effect<'t, 'r> {
    Category(Categories),
    Command(&'t CommandSpec),
    FirstArgument(&'t CommandSpec, &'r [u8]),
}

impl<'t, 'r> Effect<'t, 'r> {
    /// Of a rule that names a command (Redis: `ACLSetSelector`).
    fn parse(allow: bool, target: &'r [u8], table: &'t CommandTable) -> Result<Effect<'t, 'r>, RuleErrorKind> {
        let lookup = |name: &[u8]| {
            let known = std::str::from_utf8(name).ok().and_then(|name| table.by_name(name));
            known.ok_or(RuleErrorKind::UnknownName)
        };
        let separator = target.iter().rposition(|b| *b == b'|').filter(|_| allow);
        let Some(separator) = separator else { return lookup(target).map(Effect::Command) };
        let (command, argument) = (lookup(&target[..separator])?, &target[separator + 1..]);
        if command.parent().is_some() {
            Err(RuleErrorKind::FirstArgumentOfSubcommand)
        } else if argument.is_empty() || has_blank(argument) || std::str::from_utf8(argument).is_err() {
            // A blank in it would read back from the file as two rules, a line feed as two users; what is no text, as
            // another argument.
            Err(RuleErrorKind::Syntax)
        } else if command.has_subcommands() {
            lookup(target).map(Effect::Command)
        } else {
            Ok(Effect::FirstArgument(command, argument))
        }
    }
}

/// Could be a rule about a command or category that some server knows.
fn could_be_known(allow: bool, target: &[u8], table: &CommandTable) -> bool {
    let is_name = |name: &[u8]| {
        let allowed = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-');
        !name.is_empty() && name.iter().all(allowed)
    };
    match (target, target.iter().position(|b| *b == b'|')) {
        ([b'@', category @ ..], _) => is_name(category),
        (command, None) => is_name(command),
        (command, Some(at)) => {
            // What stands behind a command without subcommands is an argument: any text.
            let (command, rest) = (&command[..at], &command[at + 1..]);
            let is_argument = allow && !rest.is_empty() && !has_blank(rest) && std::str::from_utf8(rest).is_ok();
            // An argument cannot be taken away, and a command known to be no container stays one (`upstream::extend`).
            let known = std::str::from_utf8(command).ok().and_then(|command| table.by_name(command));
            let has_none = known.is_some_and(|spec| spec.is_builtin() && !spec.has_subcommands());
            is_name(command) && (is_argument || !has_none && is_name(rest))
        }
    }
}

fn lossy_lower(rule: &[u8]) -> String {
    String::from_utf8_lossy(rule).to_ascii_lowercase()
}

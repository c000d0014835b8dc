//! The proof of a line: requests replayed under it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::line::{KeyAccess, Line, Need, Places};
use super::suggest::{Suggestion, Withheld, WithheldReason};
use super::usage::Uses;
use crate::acl::{RuleError, User};
use crate::command::{Argv, ChannelUse, CommandSpec, CommandTable, Scope, Unextractable};

/// Requests replayed under a line that is suggested.
pub struct Replay<'t> {
    table: &'t CommandTable,
    user: Arc<User>,
    /// With all that was asked for and is not suggested.
    wider: Arc<User>,
    places: Places,
    /// How many were allowed.
    pub allowed: u64,
    /// How many were refused for what is not suggested.
    pub refused_as_said: u64,
    /// How many were refused for any other reason: the line is not what it says.
    pub refused_unsaid: u64,
    needed_commands: BTreeSet<String>,
    needed_places: BTreeSet<usize>,
    /// What those needed that were refused for something else, and how often.
    refused_commands: BTreeMap<String, u64>,
    refused_places: BTreeMap<usize, u64>,
}

impl<'t> Replay<'t> {
    /// Under this line; what is `withheld` is refused, and was said to be.
    ///
    /// # Errors
    /// A rule that the ACL does not take.
    pub fn new(line: &Line, withheld: &[Withheld], table: &'t CommandTable) -> Result<Replay<'t>, RuleError> {
        Ok(Replay {
            table,
            user: line.user(table)?,
            wider: wider(line, withheld).user(table)?,
            places: Places::new(&line.places, table)?,
            allowed: 0,
            refused_as_said: 0,
            refused_unsaid: 0,
            needed_commands: BTreeSet::new(),
            needed_places: BTreeSet::new(),
            refused_commands: BTreeMap::new(),
            refused_places: BTreeMap::new(),
        })
    }

    /// A request that was seen.
    pub fn replay(&mut self, spec: &CommandSpec, argv: &Argv<'_>, database: u32) {
        if spec.is_no_auth() {
            return;
        }
        let allows = |user: &User| user.check(spec, argv, Some(database)).is_ok();
        let is_allowed = allows(&self.user);
        match (is_allowed, allows(&self.wider)) {
            (true, _) => self.allowed += 1,
            (false, true) => self.refused_as_said += 1,
            (false, false) => self.refused_unsaid += 1,
        }
        let only = needs(spec, argv).into_iter().filter_map(|need| match self.places.giving(&need, self.table)[..] {
            [only] => Some(only),
            _ => None,
        });
        if is_allowed {
            self.needed_commands.insert(spec.full_name().to_owned());
            self.needed_places.extend(only);
        } else {
            *self.refused_commands.entry(spec.full_name().to_owned()).or_default() += 1;
            only.for_each(|place| *self.refused_places.entry(place).or_default() += 1);
        }
    }

    /// The suggestion without what made no difference: all such commands, or else one such place, after which it takes
    /// another replay; `None` where each token is needed.
    pub fn without_idle(&self, suggestion: &Suggestion) -> Option<Suggestion> {
        let mut narrower = suggestion.clone();
        let withhold = |rule: &str, count: u64, withheld: &mut Vec<Withheld>| {
            if count > 0 {
                let uses = Uses { count, ..Uses::NONE };
                withheld.push(Withheld { rule: rule.to_owned(), uses, reason: WithheldReason::OnlyWithOthers });
            }
        };
        narrower.line.commands.retain(|rule| self.needed_commands.contains(&rule[1..]));
        for rule in suggestion.line.commands.iter().filter(|rule| !self.needed_commands.contains(&rule[1..])) {
            withhold(rule, self.refused_commands.get(&rule[1..]).copied().unwrap_or(0), &mut narrower.withheld);
        }
        if narrower.line.commands.len() < suggestion.line.commands.len() {
            return Some(narrower);
        }
        let idle = (0..suggestion.line.places.len()).rev().find(|place| !self.needed_places.contains(place))?;
        let rule = narrower.line.places.remove(idle);
        withhold(&rule, self.refused_places.get(&idle).copied().unwrap_or(0), &mut narrower.withheld);
        Some(narrower)
    }
}

/// The line with what is withheld.
fn wider(line: &Line, withheld: &[Withheld]) -> Line {
    let mut wider = line.clone();
    for rule in withheld.iter().map(|withheld| withheld.rule.clone()) {
        if rule.starts_with('+') { wider.commands.push(rule) } else { wider.places.push(rule) }
    }
    // Behind these no other rule of the kind may stand.
    for (all, mark) in [("~*", ['~', '%']), ("&*", ['&', '&'])] {
        if wider.places.iter().any(|rule| rule == all) {
            wider.places.retain(|rule| rule == all || !rule.starts_with(mark));
        }
    }
    wider
}

fn needs(spec: &CommandSpec, argv: &Argv<'_>) -> Vec<Need> {
    let mut needs = Vec::new();
    if spec.has_keys() {
        // What cannot be told was refused before.
        let _ = spec.try_keys::<Unextractable>(argv, Scope::Whole, |key| {
            let name = argv.get(key.index).unwrap_or_default();
            needs.push(Need::Key(name.to_vec(), KeyAccess::of(key.access)));
            Ok(())
        });
    }
    let (make, count): (fn(Vec<u8>) -> Need, _) = match spec.channels() {
        ChannelUse::None => return needs,
        ChannelUse::First => (Need::Channel, 1),
        ChannelUse::All => (Need::Channel, usize::MAX),
        ChannelUse::AllPatterns => (Need::ChannelPattern, usize::MAX),
    };
    needs.extend(argv.iter_from(1).take(count).map(|(_, channel)| make(channel.to_vec())));
    needs
}

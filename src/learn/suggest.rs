//! The line that allows what was seen, and nothing that opens more than that.

mod others;

use std::collections::BTreeMap;
use std::fmt;

use super::line::{KeyAccess, Line, Need, Places};
use super::names::Names;
use super::pattern::{Piece, Unnamed, begins_told, is_exact, pattern, sample};
use super::usage::{Usage, Uses};
use crate::acl::{RuleError, User, UserName};
use crate::command::{Access, Categories, CommandSpec, CommandTable};
use others::{Others, as_names};

/// What is known beside what was seen.
pub struct Context<'a> {
    /// The commands there are.
    pub table: &'a CommandTable,
    /// The user as it is now, if it is one.
    pub current: Option<&'a User>,
    /// Whether the blocklist refuses a command to the user.
    pub is_blocked: &'a dyn Fn(&CommandSpec) -> bool,
    /// What others were seen to do.
    pub others: &'a [(&'a str, &'a Usage)],
    /// What others use as well is suggested where it takes a pattern, too.
    pub shares: bool,
}

/// A line, and what is to be known about it.
#[derive(Clone, Debug)]
pub struct Suggestion {
    /// What is suggested.
    pub line: Line,
    /// What was asked for and is not suggested.
    pub withheld: Vec<Withheld>,
    /// Commands that run scripts, which the blocklist has to be lifted for.
    pub scripts: Vec<String>,
    /// Patterns of the line in force that nothing fits which was seen.
    pub unused_places: Vec<String>,
    /// How many commands the line in force allows, and how many of those were not seen.
    pub unused_commands: Option<(usize, usize)>,
    /// Names that others use as well, with one of these.
    pub shared: Vec<(String, String)>,
    /// How often others used names of which it is not told whether they are among those that are suggested.
    pub untold: BTreeMap<String, u64>,
    /// How many different things were replayed: commands, keys and channels.
    pub shapes: usize,
    /// Commands that are suggested and tell of keys of everybody.
    pub telling: Vec<&'static str>,
}

/// Something that was asked for and is not suggested.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Withheld {
    /// The rule that would allow it.
    pub rule: String,
    /// How often, and when.
    pub uses: Uses,
    /// Why it is not.
    pub reason: WithheldReason,
}

/// Why something is not suggested.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WithheldReason {
    /// A command of `@dangerous` or `@admin`.
    Dangerous,
    /// A command that the blocklist refuses.
    Blocked,
    /// The pattern has no beginning: it would open what others use.
    Open(Unnamed),
    /// There were more names than are kept.
    NoRoom,
    /// There were more patterns than a line should have: the others are used more.
    TooMany,
    /// Others use what fits the pattern: this user does.
    Shared(String),
    /// The user's rules refuse it, and it may be of what this user uses: not all of that is told.
    MaybeShared(String),
    /// SORT with BY or GET reads keys that it does not name.
    UnnamedKeys,
    /// The arguments do not tell for certain which keys they are.
    UntoldKeys,
    /// It came only in requests that are refused for something else.
    OnlyWithOthers,
}

/// Why there is no suggestion.
#[derive(Debug)]
pub enum SuggestError {
    /// A rule that the ACL does not take.
    Rule(RuleError),
    /// What was seen is not allowed under the line: the rule that should.
    Unproven(String),
}

impl fmt::Display for SuggestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SuggestError::Rule(error) => write!(f, "the ACL does not take what was to be suggested: {error}"),
            SuggestError::Unproven(need) => write!(f, "what was to be suggested does not allow {need}"),
        }
    }
}

impl std::error::Error for SuggestError {}

impl From<RuleError> for SuggestError {
    fn from(error: RuleError) -> SuggestError {
        SuggestError::Rule(error)
    }
}

/// The line that allows `user` what was seen. Replayed under it, nothing is refused but what is withheld, and each of its
/// tokens is needed for something.
///
/// # Errors
/// The proof fails, which would be a fault of this program.
pub fn suggest(user: UserName, usage: &Usage, context: &Context<'_>) -> Result<Suggestion, SuggestError> {
    let mut withheld = Vec::new();
    let (commands, scripts) = commands(usage, context, &mut withheld);
    let mut asked = Asked::default();
    asked.add_keys(usage, context, &mut withheld);
    asked.add_channels(usage, context, &mut withheld);
    let places = asked.needed(context.table)?;
    let login = context.current.map_or_else(|| vec!["on".to_owned()], User::login_rules);
    let shapes = commands.len() + asked.needs.len();
    let telling = TELLING.into_iter().filter(|name| commands.contains(&format!("+{name}"))).collect();
    let unused_places =
        context.current.map_or(Ok(Vec::new()), |current| unused_places(current, usage, context.table))?;
    let unused_commands = context.current.map(|current| unused_commands(current, usage, context.table));
    let line = Line { user, login, commands, places };
    let Asked { shared, untold, .. } = asked;
    Ok(Suggestion { line, withheld, scripts, unused_places, unused_commands, shared, untold, shapes, telling })
}

/// So many patterns of keys are suggested, and as many of channels.
const MOST_PATTERNS: usize = 256;

/// Commands that no pattern of keys binds, and that tell of all keys.
const TELLING: [&str; 3] = ["dbsize", "randomkey", "scan"];

/// The commands that are suggested, and those of them that run scripts.
fn commands(usage: &Usage, context: &Context<'_>, withheld: &mut Vec<Withheld>) -> (Vec<String>, Vec<String>) {
    let category = |name: &[u8]| context.table.category(name).unwrap_or(Categories::NONE);
    let dangerous = category(b"dangerous") | category(b"admin");
    let scripting = category(b"scripting");
    let (mut commands, mut scripts) = (Vec::new(), Vec::new());
    for (name, uses) in &usage.commands {
        let Some(spec) = context.table.by_name(name) else { continue };
        let rule = format!("+{name}");
        let is_script = spec.implied_categories().intersects(scripting);
        let is_blocked = (context.is_blocked)(spec);
        if spec.implied_categories().intersects(dangerous) {
            withheld.push(Withheld { rule, uses: *uses, reason: WithheldReason::Dangerous });
        } else if is_blocked && !is_script {
            withheld.push(Withheld { rule, uses: *uses, reason: WithheldReason::Blocked });
        } else {
            scripts.extend((is_script && is_blocked).then(|| name.to_string()));
            commands.push(rule);
        }
    }
    (commands, scripts)
}

/// Rules for keys and channels, and what was seen that needs them.
#[derive(Default)]
struct Asked {
    /// By what stands behind the mark: of keys, what they are used for.
    keys: BTreeMap<String, Access>,
    channels: BTreeMap<String, ()>,
    needs: Vec<Need>,
    shared: Vec<(String, String)>,
    untold: BTreeMap<String, u64>,
}

impl Asked {
    fn add_keys(&mut self, usage: &Usage, context: &Context<'_>, withheld: &mut Vec<Withheld>) {
        let others = Others::keys(context);
        let mut refused: BTreeMap<(String, u8), Withheld> = BTreeMap::new();
        let mut suggested = Vec::new();
        for (pieces, uses) in most_used(&usage.keys) {
            let text = pattern(&pieces);
            if self.keys.len() >= MOST_PATTERNS && !self.keys.contains_key(&text) {
                note(&mut refused, "*".to_owned(), uses, WithheldReason::TooMany);
                continue;
            }
            match self.judge(&pieces, uses, &format!("~{text}"), &others, context) {
                None => {
                    let access = self.keys.entry(text).or_insert(Access::NAME);
                    *access = *access | uses.access;
                    self.needs.push(Need::Key(sample(&pieces), KeyAccess::of(uses.access)));
                    suggested.push(pieces);
                }
                Some(reason) => note(&mut refused, text, uses, reason),
            }
        }
        others.add_untold(&suggested, &mut self.untold);
        let key_rule = |text: &str, uses: &Uses| format!("{}{text}", KeyAccess::of(uses.access).prefix());
        withheld.extend(
            refused.into_iter().map(|((text, _), entry)| Withheld { rule: key_rule(&text, &entry.uses), ..entry }),
        );
        let mut add = |uses: Uses, rule: &str, reason| {
            if uses.count > 0 {
                withheld.push(Withheld { rule: rule.to_owned(), uses, reason });
            }
        };
        add(usage.keys.without_room(), "~*", WithheldReason::NoRoom);
        add(usage.unnamed_keys, "%R~*", WithheldReason::UnnamedKeys);
        add(usage.untold_keys, "~*", WithheldReason::UntoldKeys);
    }

    fn add_channels(&mut self, usage: &Usage, context: &Context<'_>, withheld: &mut Vec<Withheld>) {
        let others = Others::channels(context);
        let mut refused: BTreeMap<(String, u8), Withheld> = BTreeMap::new();
        let mut suggested = Vec::new();
        for (pieces, uses) in most_used(&usage.channels) {
            let text = pattern(&pieces);
            if self.channels.len() >= MOST_PATTERNS && !self.channels.contains_key(&text) {
                note(&mut refused, "*".to_owned(), uses, WithheldReason::TooMany);
                continue;
            }
            match self.judge(&pieces, uses, &format!("&{text}"), &others, context) {
                None => {
                    self.channels.insert(text, ());
                    self.needs.push(Need::Channel(sample(&pieces)));
                    suggested.push(pieces);
                }
                Some(reason) => note(&mut refused, text, uses, reason),
            }
        }
        for (pieces, uses) in usage.channel_patterns.told() {
            let text = match subscribed(&pieces) {
                Ok(text) => text,
                Err(reason) => {
                    note(&mut refused, "*".to_owned(), uses, reason);
                    continue;
                }
            };
            let names = as_names(&pieces);
            match self.judge(&names, uses, &format!("&{text}"), &others, context) {
                None => {
                    self.needs.push(Need::ChannelPattern(text.clone().into_bytes()));
                    self.channels.insert(text, ());
                    suggested.push(names);
                }
                Some(reason) => note(&mut refused, text, uses, reason),
            }
        }
        others.add_untold(&suggested, &mut self.untold);
        withheld.extend(refused.into_iter().map(|((text, _), entry)| Withheld { rule: format!("&{text}"), ..entry }));
        let mut without_room = usage.channels.without_room();
        without_room.add(usage.channel_patterns.without_room());
        if without_room.count > 0 {
            withheld.push(Withheld { rule: "&*".to_owned(), uses: without_room, reason: WithheldReason::NoRoom });
        }
    }

    /// Why a name is not suggested; `None` where it is. A name of its own that others use, too, is shared.
    fn judge(
        &mut self,
        pieces: &[Piece],
        uses: Uses,
        rule: &str,
        others: &Others<'_>,
        context: &Context<'_>,
    ) -> Option<WithheldReason> {
        if pieces.contains(&Piece::Any(Unnamed::NoRoom)) {
            return Some(WithheldReason::NoRoom);
        }
        if !is_exact(pieces) && !begins_told(pieces) {
            let any = pieces.iter().find_map(|piece| if let Piece::Any(why) = piece { Some(*why) } else { None });
            return Some(WithheldReason::Open(any.unwrap_or(Unnamed::Rare)));
        }
        // What the rules in force would refuse is not opened for being asked for, where it is somebody's.
        let is_asked_for_more = uses.would_refuse > 0;
        let Some(other) = others.user_of(rule) else {
            let other = is_asked_for_more.then(|| others.possible_user_of(pieces)).flatten()?;
            return Some(WithheldReason::MaybeShared(other.to_owned()));
        };
        if is_asked_for_more || !is_exact(pieces) && !context.shares {
            return Some(WithheldReason::Shared(other.to_owned()));
        }
        self.shared.push((rule.to_owned(), other.to_owned()));
        None
    }

    /// The rules, without those that make no difference.
    fn needed(&self, table: &CommandTable) -> Result<Vec<String>, SuggestError> {
        let keys = self.keys.iter().map(|(text, access)| format!("{}{text}", KeyAccess::of(*access).prefix()));
        let mut rules: Vec<String> = keys.chain(self.channels.keys().map(|text| format!("&{text}"))).collect();
        let places = Places::new(&rules, table)?;
        let mut giving: Vec<Vec<usize>> = self.needs.iter().map(|need| places.giving(need, table)).collect();
        if let Some(at) = giving.iter().position(Vec::is_empty) {
            return Err(SuggestError::Unproven(format!("{:?}", self.needs[at])));
        }
        // The narrow ones first: a wide one that is needed anyway covers them.
        let mut order: Vec<usize> = (0..rules.len()).collect();
        order.sort_by_key(|at| (rules[*at].contains('*'), std::cmp::Reverse(rules[*at].len())));
        let mut idle = vec![false; rules.len()];
        for at in order {
            if giving.iter().all(|given| given != &[at]) {
                idle[at] = true;
                giving.iter_mut().for_each(|given| given.retain(|other| *other != at));
            }
        }
        let mut idle = idle.into_iter();
        rules.retain(|_| !idle.next().unwrap_or(false));
        Ok(rules)
    }
}

fn note(refused: &mut BTreeMap<(String, u8), Withheld>, text: String, uses: Uses, reason: WithheldReason) {
    let kind = match &reason {
        WithheldReason::Open(Unnamed::Many) => 0,
        WithheldReason::Open(_) => 1,
        WithheldReason::Shared(_) => 2,
        WithheldReason::TooMany => 3,
        WithheldReason::MaybeShared(_) => 4,
        _ => 5,
    };
    let nothing = Withheld { rule: String::new(), uses: Uses::NONE, reason };
    refused.entry((text, kind)).or_insert(nothing).uses.add(uses);
}

fn most_used(names: &Names) -> Vec<(Vec<Piece>, Uses)> {
    let mut told = names.told();
    told.sort_by_key(|(_, uses)| std::cmp::Reverse(uses.count));
    told
}

fn samples(names: &Names) -> Vec<Vec<u8>> {
    names.told().iter().map(|(pieces, _)| sample(pieces)).collect()
}

/// A pattern of channels as a rule, which has to be the same to the letter.
fn subscribed(pieces: &[Piece]) -> Result<String, WithheldReason> {
    let text = match pieces {
        [Piece::Text(text)] => text,
        [Piece::Any(Unnamed::NoRoom)] => return Err(WithheldReason::NoRoom),
        [Piece::Any(why)] => return Err(WithheldReason::Open(*why)),
        _ => return Err(WithheldReason::Open(Unnamed::Rare)),
    };
    let is_bound = text.first().is_some_and(|byte| !matches!(byte, b'*' | b'?' | b'['));
    let plain = std::str::from_utf8(text).ok();
    match plain.filter(|text| is_bound && !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '$')) {
        Some(text) => Ok(text.to_owned()),
        None => Err(WithheldReason::Open(Unnamed::Many)),
    }
}

/// Rules of the user for keys and channels that fit nothing that was seen.
fn unused_places(current: &User, usage: &Usage, table: &CommandTable) -> Result<Vec<String>, SuggestError> {
    let description = current.describe(table);
    let root = [description.root.keys, description.root.channels].join(&b' ');
    let rules: Vec<String> = (root.split(|byte| *byte == b' ').filter(|rule| !rule.is_empty()))
        .map(|rule| String::from_utf8_lossy(rule).into_owned())
        .collect();
    let places = Places::new(&rules, table)?;
    let keys = samples(&usage.keys).into_iter().map(|name| Need::Key(name, KeyAccess::Name));
    let channels = samples(&usage.channels).into_iter().map(Need::Channel);
    let patterns = samples(&usage.channel_patterns).into_iter().map(Need::ChannelPattern);
    let used: Vec<usize> = keys.chain(channels).chain(patterns).flat_map(|need| places.giving(&need, table)).collect();
    Ok(rules.into_iter().enumerate().filter(|(at, _)| !used.contains(at)).map(|(_, rule)| rule).collect())
}

fn unused_commands(current: &User, usage: &Usage, table: &CommandTable) -> (usize, usize) {
    let allowed = || table.iter().filter(|spec| !spec.has_subcommands() && !spec.is_no_auth() && current.may_run(spec));
    let unused = allowed().filter(|spec| !usage.commands.contains_key(spec.full_name()));
    (allowed().count(), unused.count())
}

#[cfg(test)]
mod tests;

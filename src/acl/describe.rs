//! Users as text: `ACL LIST`, `ACL GETUSER`, the file.

use std::collections::BTreeSet;

use super::commands::CommandSet;
use super::effort::Effort;
use super::pattern::Pattern;
use super::selector::{Channels, Databases, KeyPattern, Keys, Selector};
use super::user::{SanitizePayload, User};
use super::users::Acl;
use crate::command::{Access, CommandTable, Dialect};

/// What `ACL GETUSER` tells.
#[derive(Clone, PartialEq, Eq)]
pub struct UserDescription {
    /// `on` or `off`, `nopass`, …
    pub flags: Vec<&'static str>,
    /// Hashes: 64 hexadecimal digits, or a PHC string.
    pub passwords: Vec<String>,
    /// The root selector.
    pub root: SelectorDescription,
    /// The others.
    pub selectors: Vec<SelectorDescription>,
}

/// A selector in rules, each string blank-separated. Patterns are bytes that may be no UTF-8.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SelectorDescription {
    /// `-@all +get`.
    pub commands: String,
    /// `~a* %R~b*`, empty for none.
    pub keys: Vec<u8>,
    /// `&a*`, empty for none.
    pub channels: Vec<u8>,
    /// `alldbs`, `db=0,1`, or empty for none; `None` where the dialect has no such rule and none was kept.
    pub databases: Option<String>,
}

impl Acl {
    /// The file that reads back as these users, over this or any other table: command rules stand in it as they were
    /// given, whatever the dialect, so that they mean the same to commands not yet known.
    pub fn to_file(&self, table: &CommandTable) -> Vec<u8> {
        let mut text = Vec::new();
        for user in self.users() {
            text.extend(user.line(table, CommandStyle::AsGiven));
            text.push(b'\n');
        }
        text
    }
}

/// How the commands of a selector are described.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CommandStyle {
    /// The rules in order; of those with one target only the last.
    AsGiven,
    /// As the server of the dialect lists them.
    AsListed,
}

impl User {
    /// As `ACL LIST` shows it: `user bob on #… ~a* resetchannels -@all +get`.
    pub fn to_line(&self, table: &CommandTable) -> Vec<u8> {
        self.line(table, CommandStyle::AsListed)
    }

    /// `on`, `nopass` and passwords, as rules.
    pub fn login_rules(&self) -> Vec<String> {
        let is_on = if self.is_enabled() { "on" } else { "off" };
        let nopass = self.is_nopass().then(|| "nopass".to_owned());
        let passwords = self.passwords().iter().map(|password| password.to_rule());
        std::iter::once(is_on.to_owned()).chain(nopass).chain(passwords).collect()
    }

    fn line(&self, table: &CommandTable, style: CommandStyle) -> Vec<u8> {
        let mut words: Vec<Vec<u8>> = vec![b"user".to_vec(), self.name().as_str().into()];
        words.extend(self.flags(table.dialect()).iter().map(|flag| flag.as_bytes().to_vec()));
        words.extend(self.passwords().iter().map(|password| password.to_rule().into_bytes()));
        for (position, selector) in self.selectors.iter().enumerate() {
            let rules = selector.rules(table, style);
            words.push(if position == 0 { rules } else { [b"(", in_selector(&rules).as_slice(), b")"].concat() });
        }
        words.join(&b' ')
    }

    /// What `ACL GETUSER` tells.
    pub fn describe(&self, table: &CommandTable) -> UserDescription {
        self.described(table, CommandStyle::AsListed)
    }

    /// The same with the rules about commands as they were given.
    pub fn describe_as_given(&self, table: &CommandTable) -> UserDescription {
        self.described(table, CommandStyle::AsGiven)
    }

    fn described(&self, table: &CommandTable, style: CommandStyle) -> UserDescription {
        let mut selectors = self.selectors.iter().map(|selector| selector.describe(table, style));
        UserDescription {
            flags: self.flags(table.dialect()),
            passwords: self.passwords().iter().map(|password| password.to_listed()).collect(),
            root: selectors.next().expect("a user has a root selector"),
            selectors: selectors.collect(),
        }
    }

    /// Redis 7.2 always lists sanitize-payload or its opposite, Redis 7.0 once either was said, Valkey neither.
    fn flags(&self, dialect: Dialect) -> Vec<&'static str> {
        let mut flags = vec![if self.is_enabled() { "on" } else { "off" }];
        if self.is_nopass() {
            flags.push("nopass");
        }
        match (self.sanitize_payload(), dialect) {
            (SanitizePayload::On, Dialect::Redis70)
            | (SanitizePayload::On | SanitizePayload::Unsaid, Dialect::Redis72) => {
                flags.push("sanitize-payload");
            }
            (SanitizePayload::Skip, Dialect::Redis70 | Dialect::Redis72) => flags.push("skip-sanitize-payload"),
            (SanitizePayload::Unsaid, Dialect::Redis70) | (_, Dialect::Valkey91) => {}
        }
        flags
    }
}

/// Rules as they stand between parentheses, where quotes mean something and a final `)` ends the selector.
pub(super) fn in_selector(rules: &[u8]) -> Vec<u8> {
    let quoted = rules.split(|b| *b == b' ').map(|rule| {
        let plain = !rule.iter().any(|b| matches!(b, b'"' | b'\'')) && !rule.ends_with(b")");
        if plain { rule.to_vec() } else { quote(rule) }
    });
    quoted.collect::<Vec<_>>().join(&b' ')
}

fn quote(rule: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'"'];
    for byte in rule {
        if matches!(byte, b'"' | b'\\') {
            quoted.push(b'\\');
        }
        quoted.push(*byte);
    }
    quoted.push(b'"');
    quoted
}

impl Selector {
    /// As `ACL LIST` shows it, without parentheses.
    pub(super) fn to_rules(&self, table: &CommandTable) -> Vec<u8> {
        self.rules(table, CommandStyle::AsListed)
    }

    fn rules(&self, table: &CommandTable, style: CommandStyle) -> Vec<u8> {
        let commands = self.commands.describe(table, style);
        join(&[&self.places(style), commands.as_bytes()])
    }

    /// Keys, channels and databases, in rules that read back as the same.
    pub(super) fn place_rules(&self) -> Vec<u8> {
        self.places(CommandStyle::AsGiven)
    }

    fn places(&self, style: CommandStyle) -> Vec<u8> {
        let reset: &[u8] = if self.channels.all { b"" } else { b"resetchannels" };
        let databases = match &self.databases {
            Databases::All => String::new(),
            limited => limited.to_rule(),
        };
        join(&[&self.keys.describe(style), reset, &self.channels.describe(), databases.as_bytes()])
    }

    fn describe(&self, table: &CommandTable, style: CommandStyle) -> SelectorDescription {
        SelectorDescription {
            commands: self.commands.describe(table, style),
            keys: self.keys.describe(style),
            channels: self.channels.describe(),
            databases: self.describe_databases(table),
        }
    }

    fn describe_databases(&self, table: &CommandTable) -> Option<String> {
        (table.dialect().has_databases() || self.databases.are_foreign()).then(|| match &self.databases {
            Databases::Some(none) if none.is_empty() => String::new(),
            databases => databases.to_rule(),
        })
    }
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.iter().copied().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(&b' ')
}

impl Keys {
    /// Servers list `%RW~*` as `~*`, which reads back as all keys, and after which no other pattern may stand.
    fn describe(&self, style: CommandStyle) -> Vec<u8> {
        if self.all {
            return b"~*".to_vec();
        }
        let rule = |pattern: &KeyPattern| match pattern.to_rule() {
            rule if style == CommandStyle::AsGiven && rule == b"~*" => b"%RW~*".to_vec(),
            rule => rule,
        };
        self.patterns.iter().map(rule).collect::<Vec<_>>().join(&b' ')
    }

    /// Each rule by itself.
    pub(super) fn rules(&self) -> Vec<Vec<u8>> {
        if self.all { vec![b"~*".to_vec()] } else { self.patterns.iter().map(KeyPattern::to_rule).collect() }
    }

    /// The rule that allows a key, if one does.
    pub(super) fn rule_for(&self, key: &[u8], needed: Access) -> Option<Vec<u8>> {
        let effort = Effort::default();
        let pattern = self.patterns.iter().find(|p| p.access.covers(needed) && p.pattern.matches(key, &effort));
        if self.all { Some(b"~*".to_vec()) } else { pattern.map(KeyPattern::to_rule) }
    }
}

impl KeyPattern {
    fn to_rule(&self) -> Vec<u8> {
        let prefix: &[u8] = match self.access {
            Access::READ => b"%R~",
            Access::WRITE => b"%W~",
            _ => b"~",
        };
        [prefix, self.pattern.text()].concat()
    }
}

impl Channels {
    fn describe(&self) -> Vec<u8> {
        self.rules().join(&b' ')
    }

    /// Each rule by itself.
    pub(super) fn rules(&self) -> Vec<Vec<u8>> {
        let rule = |pattern: &Pattern| [b"&", pattern.text()].concat();
        if self.all { vec![b"&*".to_vec()] } else { self.patterns.iter().map(rule).collect() }
    }

    /// The rule that allows a channel, or subscribing to a pattern, if one does.
    pub(super) fn rule_for(&self, channel: &[u8], is_pattern: bool) -> Option<Vec<u8>> {
        let effort = Effort::default();
        let allows = |known: &&Pattern| match is_pattern {
            true => known.text() == channel,
            false => known.matches(channel, &effort),
        };
        let pattern = self.patterns.iter().find(allows);
        if self.all { Some(b"&*".to_vec()) } else { pattern.map(|known| [b"&", known.text()].concat()) }
    }
}

impl Databases {
    pub(super) fn to_rule(&self) -> String {
        match self {
            Databases::All => "alldbs".to_owned(),
            Databases::Some(none) | Databases::Foreign(none) if none.is_empty() => "resetdbs".to_owned(),
            Databases::Some(some) | Databases::Foreign(some) => {
                format!("db={}", some.iter().map(u32::to_string).collect::<Vec<_>>().join(","))
            }
        }
    }
}

impl CommandSet {
    /// Servers repeat the rules as they were given, but for Redis 7.0: it finds a short list that makes the same set;
    /// rules for names it does not know have no place in that, so we add them.
    fn describe(&self, table: &CommandTable, style: CommandStyle) -> String {
        let base = if self.from_all { "+@all" } else { "-@all" };
        let mut words = vec![base.to_owned()];
        if style == CommandStyle::AsGiven || table.dialect() != Dialect::Redis70 {
            words.extend(self.rules().iter().cloned());
        } else {
            words.extend(self.shortest(table));
            words.extend(self.unknown().iter().cloned());
        }
        words.join(" ")
    }

    /// Categories first, the best fitting one at a time, then single commands (`ACLDescribeSelectorCommandRules`).
    fn shortest(&self, table: &CommandTable) -> Vec<String> {
        let adding = !self.from_all;
        let sign = if adding { '+' } else { '-' };
        let mut rules = Vec::new();
        // `made` is what the rules so far make, `left` what they still leave to be explained.
        let mut made = CommandSet::default();
        if self.from_all {
            made.allow_all(table)
        } else {
            made.deny_all(table)
        }
        let mut left = self.clone();
        let mut applied = BTreeSet::new();
        loop {
            let mut best: Option<(usize, usize, &str)> = None;
            for (name, category) in table.categories().filter(|(name, _)| !applied.contains(name)) {
                let members = || table.iter().filter(move |spec| spec.categories().intersects(category));
                let same = members().filter(|spec| left.has(spec.id()) == adding).count();
                let differing = members().count() - same;
                let better = best.is_none_or(|(d, s, _)| differing < d || (differing == d && same > s));
                if same > differing && better {
                    best = Some((differing, same, name));
                }
            }
            let Some((_, _, name)) = best else { break };
            let category = table.category(name.as_bytes()).expect("the name is the table's own");
            made.change_category(category, adding, table);
            left.change_category(category, !adding, table);
            applied.insert(name);
            rules.push(format!("{sign}@{name}"));
        }
        for spec in table.iter() {
            let allowed = self.has(spec.id());
            if made.has(spec.id()) != allowed {
                made.change(spec, allowed, table);
                rules.push(format!("{}{}", if allowed { '+' } else { '-' }, spec.full_name()));
            }
            if !allowed {
                let arguments = self.first_arguments(spec.id()).iter();
                rules.extend(arguments.map(|a| format!("+{}|{}", spec.full_name(), String::from_utf8_lossy(a))));
            }
        }
        rules
    }
}

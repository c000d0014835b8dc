//! A user: whether it may log in, with which passwords, and what it may then do.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use super::cover::Cover;
use super::effort::Effort;
use super::password::{ARGON2_PREFIX, LONGEST_PASSWORD, PasswordHash};
use super::pattern::Pattern;
use super::rule::{RuleError, RuleErrorKind, Unknown, has_blank, holds_variable, redacted, split_quoted};
use super::selector::{Databases, Selector};
use crate::command::{Access, CommandTable};

/// A user name: UTF-8, not empty, of at most [`UserName::MOST`] bytes, no blank and no NUL in it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UserName(Arc<str>);

impl UserName {
    /// Bytes of a name.
    pub const MOST: usize = 128;

    /// The name, if it can be one.
    pub fn new(name: &[u8]) -> Option<UserName> {
        let text = std::str::from_utf8(name).ok()?;
        (!name.is_empty() && !Self::is_too_long(name) && !has_blank(name)).then(|| UserName(text.into()))
    }

    /// Whether no user can have this name because of its length.
    pub fn is_too_long(name: &[u8]) -> bool {
        name.len() > Self::MOST
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for UserName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One user. A new one is off, has no password, and may do nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    name: UserName,
    enabled: bool,
    nopass: bool,
    sanitize_payload: SanitizePayload,
    passwords: Vec<PasswordHash>,
    /// The first is the root; any one of them suffices.
    pub(super) selectors: Vec<Selector>,
}

/// Accepted and listed; it is the server behind us that would act on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SanitizePayload {
    /// A new user, which works like `On` but is listed without it.
    Unsaid,
    On,
    Skip,
}

impl User {
    /// Off, without password, allowed nothing.
    pub fn new(name: UserName, table: &CommandTable) -> User {
        User {
            name,
            enabled: false,
            nopass: false,
            sanitize_payload: SanitizePayload::Unsaid,
            passwords: Vec::new(),
            selectors: vec![Selector::new(table)],
        }
    }

    /// Its name.
    pub fn name(&self) -> &UserName {
        &self.name
    }

    /// `on`.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// `nopass`: any password will do.
    pub fn is_nopass(&self) -> bool {
        self.nopass
    }

    pub(super) fn sanitize_payload(&self) -> SanitizePayload {
        self.sanitize_payload
    }

    /// What a password may be verified against.
    pub fn passwords(&self) -> &[PasswordHash] {
        &self.passwords
    }

    /// Whether all keys that the rules of `earlier` let read can still be read, as far as the rules tell: a rule is kept
    /// where it is still there, or where a shorter prefix or `~*` covers it.
    /// What takes more than `effort` has is not kept.
    pub fn keeps_readable_keys_of(&self, earlier: &User, effort: &Effort) -> bool {
        let may_read_all = |user: &User| user.granting().any(|selector| selector.keys.all_readable());
        fn readable(user: &User) -> impl Iterator<Item = &Pattern> {
            user.granting().flat_map(|selector| selector.keys.giving(Access::READ))
        }
        may_read_all(self)
            || !may_read_all(earlier) && {
                let cover = Cover::of(readable(self), effort);
                readable(earlier).all(|pattern| cover.covers(pattern)) && !effort.is_used_up()
            }
    }

    /// Whether all that the rules of `earlier` allowed is still allowed, as far as the rules tell: each of its selectors
    /// is covered by one. Under another table (`same_table` is false) the commands have to be written the same. What takes
    /// more than `effort` has is not kept.
    pub fn keeps_rights_of(&self, earlier: &User, same_table: bool, effort: &Effort) -> bool {
        let own: Vec<&Selector> = self.granting().collect();
        let is_kept = |(at, former): (usize, &Selector)| {
            // As a rule it is where it was.
            let mut candidates = own.get(at).into_iter().chain(&own);
            candidates.any(|selector| !effort.is_used_up() && selector.covers(former, same_table, effort))
        };
        earlier.granting().enumerate().all(is_kept) && !effort.is_used_up()
    }

    /// The selectors that can allow something.
    pub(super) fn granting(&self) -> impl Iterator<Item = &Selector> {
        self.selectors.iter().filter(|selector| !selector.databases.are_foreign())
    }

    /// Some selector allows every command, those unknown to the table included, on every key and channel.
    pub fn is_unrestricted(&self) -> bool {
        self.selectors.iter().any(|selector| {
            selector.commands.all && selector.keys.all && selector.channels.all && selector.databases == Databases::All
        })
    }

    /// Rules that were kept and that the table does not know: of commands and categories, which grant nothing, and of
    /// databases, where the selector grants nothing. Each once, with nothing of a password in it.
    pub fn unknown_rules(&self) -> Vec<String> {
        let mut rules = Vec::new();
        for selector in &self.selectors {
            let names = selector.commands.unknown().iter().map(|rule| redacted(rule));
            for rule in names.chain(selector.databases.foreign_rule()) {
                if !rules.contains(&rule) {
                    rules.push(rule);
                }
            }
        }
        rules
    }

    /// One rule of `ACL SETUSER` or of a file (Redis: `ACLSetUser`).
    pub(super) fn apply(&mut self, rule: &[u8], table: &CommandTable, unknown: Unknown) -> Result<(), RuleErrorKind> {
        let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
        if holds_variable(rule) {
            return Err(RuleErrorKind::Variable);
        }
        if rule.is_empty() {
        } else if is("on") {
            self.enabled = true;
        } else if is("off") {
            self.enabled = false;
        } else if is("sanitize-payload") {
            self.sanitize_payload = SanitizePayload::On;
        } else if is("skip-sanitize-payload") {
            self.sanitize_payload = SanitizePayload::Skip;
        } else if is("nopass") {
            self.nopass = true;
            self.passwords.clear();
        } else if is("resetpass") {
            self.nopass = false;
            self.passwords.clear();
        } else if is("clearselectors") {
            self.selectors.truncate(1);
        } else if is("reset") {
            let sanitize_payload = SanitizePayload::On;
            *self = User { sanitize_payload, ..User::new(self.name.clone(), table) };
        } else {
            return match rule {
                [b'>' | b'#' | b'$', ..] => self.add_password(password(rule)?),
                [b'<' | b'!', ..] => self.remove_password(&password(rule)?),
                [b'(', inside @ .., b')'] => self.add_selector(inside, table, unknown),
                _ => self.selectors[0].apply(rule, table, unknown),
            };
        }
        Ok(())
    }

    fn add_password(&mut self, password: PasswordHash) -> Result<(), RuleErrorKind> {
        if password == PasswordHash::of_password(b"") {
            return Err(RuleErrorKind::EmptyPassword);
        }
        if !self.passwords.contains(&password) {
            self.passwords.push(password);
        }
        self.nopass = false;
        Ok(())
    }

    fn remove_password(&mut self, password: &PasswordHash) -> Result<(), RuleErrorKind> {
        let position = self.passwords.iter().position(|known| known == password);
        self.passwords.remove(position.ok_or(RuleErrorKind::NoSuchPassword)?);
        Ok(())
    }

    fn add_selector(&mut self, inside: &[u8], table: &CommandTable, unknown: Unknown) -> Result<(), RuleErrorKind> {
        let mut selector = Selector::new(table);
        for rule in split_quoted(inside).ok_or(RuleErrorKind::Syntax)? {
            selector.apply(&rule, table, unknown)?;
        }
        self.selectors.push(selector);
        Ok(())
    }

    pub(super) fn recompiled(&self, table: &CommandTable) -> User {
        let selectors = self.selectors.iter().map(|selector| selector.recompiled(table)).collect();
        User { selectors, ..self.clone() }
    }

    pub(super) fn apply_all(
        &mut self,
        rules: &[Vec<u8>],
        table: &CommandTable,
        unknown: Unknown,
    ) -> Result<(), RuleError> {
        rules.iter().try_for_each(|rule| self.apply(rule, table, unknown).map_err(|kind| RuleError::new(rule, kind)))
    }
}

/// `>password`, `#hex`, `$argon2id$…`, and what they are removed with: `<password`, `!hex`, `!$argon2id$…`.
fn password(rule: &[u8]) -> Result<PasswordHash, RuleErrorKind> {
    match rule {
        [b'>', password @ ..] if password.len() > LONGEST_PASSWORD => Err(RuleErrorKind::LongPassword),
        [b'>' | b'<', password @ ..] => Ok(PasswordHash::of_password(password)),
        [b'!', phc @ ..] if phc.starts_with(ARGON2_PREFIX) => PasswordHash::from_phc(phc).ok_or(RuleErrorKind::Syntax),
        [b'#' | b'!', hex @ ..] => PasswordHash::from_hex(hex).ok_or(RuleErrorKind::BadHash),
        phc if phc.starts_with(ARGON2_PREFIX) => PasswordHash::from_phc(phc).ok_or(RuleErrorKind::Syntax),
        _ => Err(RuleErrorKind::Syntax),
    }
}

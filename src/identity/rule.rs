//! One `[[certificate]]` rule: what it asks of a certificate, and the user it names.

use std::fmt;

use super::field::{FieldName, Flaw};
use super::glob::Glob;
use super::peer::{Fingerprint, PeerIdentity};
use super::template::Template;

/// A rule as written, before it is checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleSpec {
    /// The fields the certificate must match, all of them; of each, one value is enough.
    pub fields: Vec<(FieldName, Vec<String>)>,
    /// The user name, or a template such as `%{cn}`.
    pub user: String,
    /// Whether `cn` counts even for a certificate that has subject alternative names.
    pub cn_with_san: bool,
    /// The rule speaks of certificates that are trusted because their key is pinned, and of no others.
    pub pinned: bool,
}

impl RuleSpec {
    /// Whether it says something by the common name: then a certificate with subject alternative names is passed over,
    /// unless [`cn_with_san`](Self::cn_with_san) says otherwise.
    pub fn relies_on_cn(&self) -> bool {
        let template = Template::parse(&self.user).ok();
        self.fields.iter().any(|(field, _)| *field == FieldName::Cn)
            || template.is_some_and(|user| user.fields().any(|field| field == FieldName::Cn))
    }
}

/// What is wrong with a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError {
    /// Position of the rule, from 0.
    pub rule: usize,
    /// The key in the rule, such as `uri`, `user`; `None` if it concerns the rule as a whole.
    pub key: Option<&'static str>,
    /// What is wrong, to be read after the rule and key.
    pub message: String,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "certificate rule {}", self.rule + 1)?;
        if let Some(key) = self.key {
            write!(f, ", `{key}`")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for RuleError {}

/// A checked rule.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    conditions: Vec<Condition>,
    pub(super) user: Template,
    /// The certificate must have no subject alternative name, because the rule relies on its `cn`.
    without_san: bool,
    pinned: bool,
}

impl Rule {
    /// Checks the rule at position `rule`; every error of it is added to `errors`.
    pub(super) fn build(rule: usize, spec: RuleSpec, errors: &mut Vec<RuleError>) -> Option<Rule> {
        let errors_before = errors.len();
        let mut report = |key, message| errors.push(RuleError { rule, key, message });

        let user = match Template::parse(&spec.user) {
            Ok(template) => Some(template),
            Err(message) => {
                report(Some("user"), message);
                None
            }
        };
        if spec.fields.is_empty() {
            report(None, "asks nothing of the certificate; to let every CN through write `cn = \"*\"`".to_owned());
        }
        let mut conditions = Vec::with_capacity(spec.fields.len());
        for (position, (field, values)) in spec.fields.iter().enumerate() {
            if values.is_empty() {
                report(Some(field.key()), "has no value".to_owned());
            }
            if spec.fields[..position].iter().any(|(earlier, _)| earlier == field) {
                report(Some(field.key()), "is given twice; several values go into one list".to_owned());
            }
            match Condition::build(*field, values) {
                Ok(condition) => conditions.push(condition),
                Err(messages) => messages.into_iter().for_each(|message| report(Some(field.key()), message)),
            }
        }

        let asks = |wanted: fn(FieldName) -> bool| spec.fields.iter().any(|(field, _)| wanted(*field));
        let uses_cn = spec.relies_on_cn();
        let uses_san =
            asks(FieldName::is_san) || user.as_ref().is_some_and(|user| user.fields().any(FieldName::is_san));
        if uses_cn && uses_san && !spec.cn_with_san {
            report(
                Some("cn-with-san"),
                "the rule relies on cn and on a subject alternative name, which never match together unless \
                 `cn-with-san = true`"
                    .to_owned(),
            );
        }
        if spec.pinned && !asks(|field| field == FieldName::SpkiSha256) {
            report(Some("trust"), "pins a key, but the rule names none: give its `spki-sha256`".to_owned());
        }
        // Nobody vouches for what else such a certificate says: its holder can sign another any day.
        if spec.pinned && user.as_ref().is_some_and(|user| !user.is_literal()) {
            report(Some("user"), "is a template, which a self-signed certificate could fill with any name".to_owned());
        }
        if errors.len() > errors_before {
            return None;
        }
        Some(Rule { conditions, user: user?, without_san: uses_cn && !spec.cn_with_san, pinned: spec.pinned })
    }

    /// Whether some certificate makes somebody this user by it; where in doubt, it does.
    pub(super) fn may_name(&self, user: &str) -> bool {
        let admits = |(field, value)| self.conditions.iter().all(|condition| condition.admits(field, value));
        self.user.may_make(user) && self.user.only_field(user).is_none_or(admits)
    }

    pub(super) fn speaks_of(&self, peer: &PeerIdentity) -> Answer {
        if self.pinned != peer.is_pinned() || self.without_san && peer.has_san() {
            return Answer::No;
        }
        let answers = || self.conditions.iter().map(|condition| condition.is_met_by(peer));
        if answers().any(|answer| answer == Answer::No) {
            return Answer::No;
        }
        answers().find(|answer| *answer != Answer::Yes).unwrap_or(Answer::Yes)
    }
}

/// Whether a rule speaks of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Answer {
    Yes,
    No,
    /// Nobody can tell what the field says: the rule may be there to confine just this certificate.
    Unclear(FieldName, Flaw),
}

#[derive(Debug, Clone)]
enum Condition {
    Text { field: FieldName, patterns: Vec<Glob> },
    Serial(Vec<String>),
    Digest { field: FieldName, values: Vec<Fingerprint> },
}

impl Condition {
    fn build(field: FieldName, values: &[String]) -> Result<Condition, Vec<String>> {
        let all = |parse: fn(&str) -> Result<String, String>| collect_all(values, parse);
        match field {
            FieldName::Sha256 | FieldName::SpkiSha256 | FieldName::CaSpkiSha256 => Ok(Condition::Digest {
                field,
                values: collect_all(values, |value| {
                    Fingerprint::parse(value)
                        .ok_or_else(|| format!("`{value}` is not a SHA-256: 64 hexadecimal digits, colons allowed"))
                })?,
            }),
            FieldName::Serial => Ok(Condition::Serial(all(parse_serial)?)),
            _ => {
                let fold = |text: &str| match field {
                    FieldName::Dns => text.to_ascii_lowercase(),
                    _ => text.to_owned(),
                };
                let patterns = all(check_text)?.iter().map(|text| Glob::new(&fold(text), separator(field))).collect();
                Ok(Condition::Text { field, patterns })
            }
        }
    }

    /// Whether the only value of that field may be this one.
    fn admits(&self, name: FieldName, value: &str) -> bool {
        match self {
            Condition::Text { field, patterns } if *field == name => {
                patterns.iter().any(|pattern| pattern.matches(value))
            }
            _ => true,
        }
    }

    fn is_met_by(&self, peer: &PeerIdentity) -> Answer {
        let is_met = match self {
            Condition::Text { field, patterns } => match peer.field(*field).map(|values| (values, values.flaw())) {
                None => false,
                Some((_, Some(flaw))) => return Answer::Unclear(*field, flaw),
                Some((values, None)) => {
                    values.values().iter().any(|value| patterns.iter().any(|pattern| pattern.matches(value)))
                }
            },
            Condition::Serial(serials) => serials.iter().any(|serial| serial == peer.serial()),
            Condition::Digest { field, values } => peer.digest(*field).is_some_and(|digest| values.contains(&digest)),
        };
        if is_met { Answer::Yes } else { Answer::No }
    }
}

fn separator(field: FieldName) -> Option<u8> {
    match field {
        FieldName::Uri => Some(b'/'),
        FieldName::Dns => Some(b'.'),
        _ => None,
    }
}

fn check_text(value: &str) -> Result<String, String> {
    if value.is_empty() {
        Err("is empty and would match nothing".to_owned())
    } else if value.chars().any(char::is_control) {
        Err("holds a control character, which no usable certificate value can".to_owned())
    } else {
        Ok(value.to_owned())
    }
}

/// A serial number as [`PeerIdentity::serial`] has it, from hexadecimal digits in any case, with or without colons.
///
/// # Errors
/// It is none.
pub fn parse_serial(value: &str) -> Result<String, String> {
    let digits: String = value.chars().filter(|c| *c != ':').map(|c| c.to_ascii_lowercase()).collect();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(format!("`{value}` is not a serial number: hexadecimal digits, colons allowed"));
    }
    // As in a certificate: whole bytes, without leading zero bytes.
    let significant = digits.trim_start_matches('0');
    let padding = if significant.len() % 2 == 1 || significant.is_empty() { "0" } else { "" };
    let tail = if significant.is_empty() { "0" } else { significant };
    Ok(format!("{padding}{tail}"))
}

fn collect_all<T>(values: &[String], parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, Vec<String>> {
    let mut parsed = Vec::with_capacity(values.len());
    let mut errors = Vec::new();
    for value in values {
        match parse(value) {
            Ok(value) => parsed.push(value),
            Err(message) => errors.push(message),
        }
    }
    if errors.is_empty() { Ok(parsed) } else { Err(errors) }
}

//! The ordered rules from certificate to user.

use std::fmt;

use super::field::{FieldName, Flaw};
use super::peer::PeerIdentity;
use super::rule::{Answer, Rule, RuleError, RuleSpec};
use super::template::{Part, Template};

/// `tls-auth-clients-user`: the field that names the user where no rule did (Valkey's option of that name).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserFrom {
    /// Off: only rules name users.
    Off,
    /// The common name, exactly, with or without subject alternative names.
    Cn,
    /// One of the URI subject alternative names, exactly: the first that is a user who is on.
    Uri,
}

/// Who a certificate belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Mapping {
    /// A user, if there is one of these that is on.
    User {
        /// The names that it may have, at least one: the first that is a user who is on counts. Several only where
        /// `tls-auth-clients-user` found several URIs.
        names: Vec<String>,
        /// The name was taken out of the certificate, so it may be neither `default` nor an exempt user.
        from_template: bool,
        /// Position of the rule that matched, from 0; `None` if `tls-auth-clients-user` did.
        rule: Option<usize>,
    },
    /// Nobody: no rule speaks of this certificate.
    Unmapped,
    /// Nobody: a rule speaks of this certificate, but it names no usable user.
    Refused(MappingRefusal),
}

/// Why a certificate that a rule speaks of yields no user name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingRefusal {
    /// Position of the rule, from 0; `None` for `tls-auth-clients-user`.
    pub rule: Option<usize>,
    /// The field that was to be filled in.
    pub field: FieldName,
    /// What is wrong with it.
    pub fault: FieldFault,
}

/// What keeps a field from being part of a user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldFault {
    /// The certificate does not have the field.
    Missing,
    /// The field identifies nobody.
    Flawed(Flaw),
    /// The name would hold a blank, which no user name can.
    Blank,
}

impl fmt::Display for MappingRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = self.field;
        match self.fault {
            FieldFault::Missing => write!(f, "the certificate has no {field} to name the user")?,
            FieldFault::Flawed(flaw) => write!(f, "the certificate's {field} {flaw} and names no user")?,
            FieldFault::Blank => write!(f, "the certificate's {field} holds a blank, which no user name can")?,
        }
        match self.rule {
            Some(rule) => write!(f, " (certificate rule {})", rule + 1),
            None => f.write_str(" (tls-auth-clients-user)"),
        }
    }
}

/// The operator's rules, checked. The first that matches decides, then `tls-auth-clients-user`.
#[derive(Debug, Clone)]
pub struct CertificateMap {
    rules: Vec<Rule>,
    user_from: UserFrom,
}

impl CertificateMap {
    /// Checks all rules and reports every error of every rule.
    pub fn build(rules: Vec<RuleSpec>, user_from: UserFrom) -> Result<CertificateMap, Vec<RuleError>> {
        let mut errors = Vec::new();
        let rules =
            rules.into_iter().enumerate().filter_map(|(rule, spec)| Rule::build(rule, spec, &mut errors)).collect();
        if errors.is_empty() { Ok(CertificateMap { rules, user_from }) } else { Err(errors) }
    }

    /// Whether nothing is configured that could name a user.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.user_from == UserFrom::Off
    }

    /// How many rules there are.
    pub fn rules(&self) -> usize {
        self.rules.len()
    }

    /// Whether the rule at this position, from 0, can name this user; whether such a one may be named by it is not asked.
    pub fn may_name(&self, rule: usize, user: &str) -> bool {
        self.rules.get(rule).is_some_and(|rule| rule.may_name(user))
    }

    /// The user this certificate belongs to.
    pub fn user_for(&self, peer: &PeerIdentity) -> Mapping {
        #[cfg(test)]
        asked::note();
        for (position, rule) in self.rules.iter().enumerate() {
            let filled = match rule.speaks_of(peer) {
                Answer::No => continue,
                Answer::Yes => fill(&rule.user, peer),
                Answer::Unclear(field, flaw) => Err((field, FieldFault::Flawed(flaw))),
            };
            return match filled {
                Ok(name) => {
                    Mapping::User { names: vec![name], from_template: !rule.user.is_literal(), rule: Some(position) }
                }
                Err((field, fault)) => Mapping::Refused(MappingRefusal { rule: Some(position), field, fault }),
            };
        }
        let field = match self.user_from {
            // Nobody vouches for the names in a certificate whose key is all that is trusted.
            _ if peer.is_pinned() => return Mapping::Unmapped,
            UserFrom::Off => return Mapping::Unmapped,
            UserFrom::Cn => FieldName::Cn,
            UserFrom::Uri => FieldName::Uri,
        };
        match candidates(field, peer) {
            Ok(names) if names.is_empty() => Mapping::Unmapped,
            Ok(names) => Mapping::User { names, from_template: true, rule: None },
            Err(fault) => Mapping::Refused(MappingRefusal { rule: None, field, fault }),
        }
    }
}

/// All values of a field that may be names of users, in the order of the certificate.
fn candidates(field: FieldName, peer: &PeerIdentity) -> Result<Vec<String>, FieldFault> {
    let Some(values) = peer.field(field) else { return Ok(Vec::new()) };
    match values.flaw() {
        Some(flaw) => Err(FieldFault::Flawed(flaw)),
        None => values.values().iter().map(|value| without_blank(value)).collect(),
    }
}

fn fill(template: &Template, peer: &PeerIdentity) -> Result<String, (FieldName, FieldFault)> {
    let mut name = String::new();
    for part in template.parts() {
        match part {
            Part::Text(text) => name.push_str(text),
            Part::Field(field) => name.push_str(&named_by(*field, peer).map_err(|fault| (*field, fault))?),
        }
    }
    Ok(name)
}

fn named_by(field: FieldName, peer: &PeerIdentity) -> Result<String, FieldFault> {
    if let Some(values) = peer.field(field) {
        let value = values.only().map_err(FieldFault::Flawed)?.ok_or(FieldFault::Missing)?;
        return without_blank(value);
    }
    if field == FieldName::Serial {
        return Ok(peer.serial().to_owned());
    }
    peer.digest(field).map(|digest| digest.to_string()).ok_or(FieldFault::Missing)
}

fn without_blank(value: &str) -> Result<String, FieldFault> {
    if value.contains(char::is_whitespace) { Err(FieldFault::Blank) } else { Ok(value.to_owned()) }
}

/// How often maps are asked: what tests of the amount of work count.
#[cfg(test)]
pub(crate) mod asked {
    use std::cell::Cell;

    thread_local! {
        static TIMES: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn note() {
        TIMES.set(TIMES.get() + 1);
    }

    /// How often this thread has asked one since this was last called.
    pub(crate) fn take() -> usize {
        TIMES.take()
    }
}

#[cfg(test)]
mod tests;

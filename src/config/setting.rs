//! One value as it was written, and the place it came from.

use std::ffi::OsStr;
use std::fmt;
use std::ops::Range;

use clap::builder::{TypedValueParser, ValueParserFactory};
use clap::{Arg, Command};
use serde::Deserialize;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use toml::Spanned;

use super::raw::{ENVIRONMENT, variable_name};

/// One value as text, and where it stands. No `Debug`: it may be a password.
#[derive(Clone)]
pub(super) struct Setting {
    pub(super) text: String,
    pub(super) origin: Origin,
}

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Bytes of the configuration file.
    File(Range<usize>),
    /// An environment variable, by name.
    Variable(String),
    /// A flag, with its dashes.
    Flag(String),
}

impl Origin {
    /// A flag or a variable.
    pub(super) fn is_above_the_file(&self) -> bool {
        !matches!(self, Origin::File(_))
    }
}

impl ValueParserFactory for Setting {
    type Parser = SettingParser;

    fn value_parser() -> SettingParser {
        SettingParser
    }
}

/// Takes any text as a [`Setting`] and notes where it came from.
#[derive(Clone)]
pub(super) struct SettingParser;

impl TypedValueParser for SettingParser {
    type Value = Setting;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<Setting, clap::Error> {
        let key = argument.and_then(Arg::get_long).unwrap_or_default();
        let origin = if command.get_name() == ENVIRONMENT {
            Origin::Variable(variable_name(key))
        } else {
            Origin::Flag(format!("--{key}"))
        };
        match value.to_str() {
            Some(text) => Ok(Setting { text: text.to_owned(), origin }),
            None => Err(clap::Error::raw(clap::error::ErrorKind::InvalidUtf8, format!("{origin}: not valid UTF-8\n"))),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(_) => f.write_str("the configuration file"),
            Origin::Variable(name) | Origin::Flag(name) => f.write_str(name),
        }
    }
}

impl<'de> Deserialize<'de> for Setting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Setting, D::Error> {
        let scalar = Spanned::<Scalar>::deserialize(deserializer)?;
        Ok(Setting { origin: Origin::File(scalar.span()), text: scalar.into_inner().0 })
    }
}

/// A string, an integer or a boolean, as text.
struct Scalar(String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Scalar, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, an integer or a boolean")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar(text.to_owned()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar(number.to_string()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar(number.to_string()))
    }

    fn visit_bool<E: de::Error>(self, truth: bool) -> Result<Scalar, E> {
        Ok(Scalar(if truth { "yes" } else { "no" }.to_owned()))
    }

    /// serde's own message would quote the number, which may be somebody's password.
    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Scalar, E> {
        Err(E::custom("a fraction where a string, an integer or a boolean is expected"))
    }
}

/// `"a"` and `["a"]` are the same list.
pub(super) fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Setting>>, D::Error> {
    let list = Spanned::<OneOrMany>::deserialize(deserializer)?;
    let span = list.span();
    Ok(Some(match list.into_inner() {
        OneOrMany::One(scalar) => vec![Setting { text: scalar.0, origin: Origin::File(span) }],
        OneOrMany::Many(settings) => settings,
    }))
}

/// The same, where a list of nothing would mean everything.
pub(super) fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Setting>>, D::Error> {
    match one_or_many(deserializer)? {
        Some(settings) if settings.is_empty() => {
            Err(de::Error::custom("the list is empty, so that nothing would fit: leave the key out where anything may"))
        }
        settings => Ok(settings),
    }
}

enum OneOrMany {
    One(Scalar),
    Many(Vec<Setting>),
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OneOrMany, D::Error> {
        deserializer.deserialize_any(OneOrManyVisitor)
    }
}

struct OneOrManyVisitor;

impl<'de> Visitor<'de> for OneOrManyVisitor {
    type Value = OneOrMany;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of strings")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<OneOrMany, E> {
        Ok(OneOrMany::One(Scalar(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, sequence: A) -> Result<OneOrMany, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(sequence)).map(OneOrMany::Many)
    }
}

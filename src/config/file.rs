//! The configuration file: TOML to [`Settings`], with every error at once.

use std::ops::Range;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::error::is_plain_key;
use super::raw::{Settings, Variables};
use super::{form, interpolate};

/// Something wrong in the text, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// Parses `text`, fills in `${VAR}` and sorts the values into [`Settings`]. What is at fault is left out of them, so
/// that the caller can say what else is wrong.
///
/// # Errors
/// The text is no TOML: every syntax error.
pub(super) fn parse(text: &str, variables: &Variables) -> Result<(Settings, Vec<Fault>), Vec<Fault>> {
    let (mut document, syntax) = DeTable::parse_recoverable(text);
    if !syntax.is_empty() {
        let told = |error| match form::unquoted(text, &span(error, text)) {
            Some(unquoted) => unquoted,
            None => fault(error, text),
        };
        let mut faults: Vec<Fault> = syntax.iter().map(told).collect();
        faults.dedup();
        return Err(faults);
    }
    let mut faults = Vec::new();
    form::correct_sections(document.get_mut(), &mut faults);
    interpolate_table(document.get_mut(), variables, &mut faults);
    let settings = deserialize(document, text, &mut faults);
    Ok((settings, faults))
}

/// Whether a sound text sets nothing: more likely an accident, such as a disk that was full, than somebody who wants that.
pub(super) fn sets_nothing(text: &str) -> bool {
    fn is_empty(table: &DeTable<'_>) -> bool {
        table.values().all(|value| matches!(value.get_ref(), DeValue::Table(table) if is_empty(table)))
    }
    DeTable::parse(text).is_ok_and(|document| is_empty(document.get_ref()))
}

/// What the text says for all listeners or for one, other than the address of one: each key, where it stands, and its
/// value if that is a string.
pub(super) fn settings_of(text: &str) -> Vec<(String, Range<usize>, Option<String>)> {
    let Ok(document) = DeTable::parse(text) else { return Vec::new() };
    let mut found = Vec::new();
    for (key, value) in document.get_ref() {
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("listener", DeValue::Array(sections)) => {
                let tables = sections.iter().filter_map(|section| section.get_ref().as_table());
                let own = tables.flat_map(|table| table.iter()).filter(|(key, _)| key.get_ref() != "listen");
                found.extend(own.map(setting_of));
            }
            (_, DeValue::Table(_)) => {}
            _ => found.push(setting_of((key, value))),
        }
    }
    found
}

type Entry<'a, 'text> = (&'a Spanned<DeString<'text>>, &'a Spanned<DeValue<'text>>);

fn setting_of((key, value): Entry<'_, '_>) -> (String, Range<usize>, Option<String>) {
    (key.get_ref().to_string(), key.span(), value.get_ref().as_str().map(str::to_owned))
}

/// serde stops at the first error. To have them all, the entry at fault is cut out and the rest tried again.
fn deserialize(mut document: Spanned<DeTable<'_>>, text: &str, faults: &mut Vec<Fault>) -> Settings {
    loop {
        match Settings::deserialize(document.clone().into_deserializer()) {
            Ok(settings) => return settings,
            Err(error) => {
                let fault = fault(&error, text);
                let cut = cut(document.get_mut(), &fault.span);
                if !faults.contains(&fault) {
                    faults.push(fault);
                }
                if !cut {
                    return Settings::default();
                }
            }
        }
    }
}

/// Removes the innermost table entry whose key or value holds `span`. Says whether there was one.
fn cut(table: &mut DeTable<'_>, span: &Range<usize>) -> bool {
    for (_, value) in table.iter_mut() {
        if cut_inside(value, span) {
            return true;
        }
    }
    let found = table.iter().find(|(key, value)| holds(&key.span(), span) || holds(&value.span(), span));
    match found.map(|(key, _)| key.clone()) {
        Some(key) => table.remove(&key).is_some(),
        None => false,
    }
}

fn cut_inside(value: &mut Spanned<DeValue<'_>>, span: &Range<usize>) -> bool {
    match value.get_mut() {
        DeValue::Table(table) => cut(table, span),
        DeValue::Array(array) => array.iter_mut().any(|element| cut_inside(element, span)),
        _ => false,
    }
}

fn holds(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end && outer != &(0..0)
}

fn interpolate_table(table: &mut DeTable<'_>, variables: &Variables, faults: &mut Vec<Fault>) {
    for (_, value) in table.iter_mut() {
        interpolate_value(value, variables, faults);
    }
}

fn interpolate_value(value: &mut Spanned<DeValue<'_>>, variables: &Variables, faults: &mut Vec<Fault>) {
    let span = value.span();
    match value.get_mut() {
        DeValue::String(text) => match interpolate::expand(text, variables) {
            Ok(expanded) => *text = expanded.into(),
            Err(error) => faults.push(Fault { span, message: error.to_string(), hint: None }),
        },
        DeValue::Array(array) => array.iter_mut().for_each(|value| interpolate_value(value, variables, faults)),
        DeValue::Table(table) => interpolate_table(table, variables, faults),
        _ => {}
    }
}

fn span(error: &toml::de::Error, text: &str) -> Range<usize> {
    error.span().unwrap_or(text.len()..text.len())
}

fn fault(error: &toml::de::Error, text: &str) -> Fault {
    let span = span(error, text);
    match unknown_key(error.message()) {
        Some((key, known)) => Fault {
            span,
            message: match is_plain_key(key) {
                true => format!("unknown key `{}`", key.escape_debug()),
                false => "unknown key".to_owned(),
            },
            hint: form::advice(key, known),
        },
        None => Fault { span, message: error.message().to_owned(), hint: None },
    }
}

/// Takes apart serde's "unknown field `x`, expected one of `a`, `b`": the key and the known ones.
///
/// serde gives the list in no other form. A key with a backtick in it only spoils the hint.
fn unknown_key(message: &str) -> Option<(&str, impl Iterator<Item = &str>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let (key, expected) = rest.split_once("`, expected ").or_else(|| rest.split_once('`'))?;
    Some((key, expected.split('`').skip(1).step_by(2)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn serde_still_words_unknown_keys_as_we_read_them() {
        let several =
            unknown_key("unknown field `x`, expected one of `a`, `b`").map(|(key, known)| (key, known.collect()));
        assert_eq!(several, Some(("x", vec!["a", "b"])));
        let (_, faults) = parse("[upstream-auth]\nusr = 1\n", &Variables::new()).unwrap_or_default();
        assert_eq!(
            faults,
            [Fault {
                span: 16..19,
                message: "unknown key `usr`".to_owned(),
                hint: Some("did you mean `user`?".to_owned())
            }]
        );
    }

    #[test]
    fn a_sound_entry_is_read_although_its_neighbour_is_not() {
        let (settings, faults) = parse("nonsense = 1\nthreads = 3\n", &Variables::new()).unwrap_or_default();
        assert_eq!(faults.len(), 1);
        assert_eq!(settings.threads.unwrap().text, "3");
    }

    proptest! {
        /// Lines that are each sound TOML, in any mixture: every fault is found, none is found twice, and it ends.
        #[test]
        fn parsing_ends_and_tells_no_fault_twice(lines in prop::collection::vec(prop::sample::select(vec![
            "listen = 1", "x = {a = {b = 1}}", "tls = []", "allow = [[1]]", "allow = [1.5]", "user.a.b = 1",
            "user = 3", "user.c = {auth = [], y = 2}", "listener = [{x = 1}, {listen = {}}]", "listener = [1, 2]",
            "rename = {A = []}", "rename.b = 1.5", "certificate = {}", "block.commands = [{}, 1]", "block = 1979-05-27",
            "deny = \"${NO}\"", "'' = 1", "\"a`b\" = 2", "listener.listen = 1", "users.a.auth = 1", "user = [{auth = 1}]",
            "rename = [{A = 1}]", "certificate = [{}, 1]", "block.aclfile = 1",
        ]), 0..12)) {
            let faults = match parse(&lines.join("\n"), &Variables::new()) {
                Ok((_, faults)) | Err(faults) => faults,
            };
            for (index, fault) in faults.iter().enumerate() {
                prop_assert!(!faults[..index].contains(fault), "{faults:?}");
            }
        }

        #[test]
        fn any_text_is_parsed_without_a_panic(text in "[-a-z=\\[\\]{}\"'$ .\n#0-9]{0,80}") {
            let told = parse(&text, &Variables::new()).map(|(_, faults)| faults);
            prop_assert!(told != Err(Vec::new()), "an error that says nothing");
        }
    }
}

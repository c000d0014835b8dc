//! What is said where the form of the file is wrong, and TOML and serde do not see what was meant.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::is_plain_key;
use super::file::Fault;
use super::nearest::nearest;
use super::raw::flag_names;

/// How a section is written.
#[derive(Clone, Copy)]
enum Section {
    /// `[[name]]`.
    Several,
    /// `[name]`.
    One,
    /// `[name.NAME]`.
    Named,
}

fn section(name: &str) -> Option<Section> {
    match name {
        "listener" | "tunnel" | "certificate" => Some(Section::Several),
        "block" | "rename" | "upstream-auth" => Some(Section::One),
        "user" => Some(Section::Named),
        _ => None,
    }
}

/// Finds sections that are written as another kind. They are read as the kind that they are, so that what else is wrong
/// with them is told too.
pub(super) fn correct_sections(document: &mut DeTable<'_>, faults: &mut Vec<Fault>) {
    for (key, value) in document.iter_mut() {
        let (name, span) = (key.get_ref().as_ref(), value.span());
        let mut fault = |span, message| faults.push(Fault { span, message, hint: None });
        match (section(name), value.get_mut()) {
            (Some(Section::Several), DeValue::Table(table)) => {
                fault(span.clone(), format!("`[{name}]` has to be `[[{name}]]`: there may be several"));
                let one = Spanned::new(span, DeValue::Table(std::mem::take(table)));
                *value.get_mut() = DeValue::Array([one].into_iter().collect());
            }
            (Some(Section::One), DeValue::Array(tables)) => {
                let Some(DeValue::Table(table)) = tables.first().map(|one| one.get_ref().clone()) else { continue };
                fault(span, format!("`[[{name}]]` has to be `[{name}]`: there is only one"));
                *value.get_mut() = DeValue::Table(table);
            }
            (Some(Section::Named), DeValue::Array(tables)) if tables.iter().all(is_table) => {
                fault(span, format!("`[[{name}]]` has to be `[{name}.NAME]`, with a user's name"));
                *value.get_mut() = DeValue::Table(DeTable::new());
            }
            (Some(Section::Named), DeValue::Table(users)) => {
                if let Some((key, _)) = users.iter().find(|(_, value)| !is_table(value)) {
                    fault(key.span(), format!("this is in no section `[{name}.NAME]`, which is that of a user"));
                    *users = std::mem::take(users).into_iter().filter(|(_, value)| is_table(value)).collect();
                }
            }
            _ => {}
        }
    }
}

fn is_table(value: &Spanned<DeValue<'_>>) -> bool {
    matches!(value.get_ref(), DeValue::Table(_))
}

/// What to do about a key that is not known where it stands, where `known` are.
pub(super) fn advice<'a>(key: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    /// Other names that people have for sections.
    const MEANT: [(&str, &str); 7] = [
        ("blocklist", "[block]"),
        ("blocked", "[block]"),
        ("listeners", "[[listener]]"),
        ("tunnels", "[[tunnel]]"),
        ("certificates", "[[certificate]]"),
        ("users", "[user.NAME]"),
        ("renames", "[rename]"),
    ];
    if let Some((_, meant)) = MEANT.iter().find(|(other, _)| *other == key) {
        return Some(format!("did you mean `{meant}`?"));
    }
    match key {
        "upstream-user" => return Some("in the file it is `user` in `[upstream-auth]`".to_owned()),
        "upstream-password-file" => return Some("in the file it is `password-file` in `[upstream-auth]`".to_owned()),
        // One that is known at the top is unknown in a section alone.
        _ if key == "requirepass" || flag_names().iter().any(|known| known == key) => {
            return Some("it belongs to the top of the file, above the first [section]".to_owned());
        }
        _ => {}
    }
    nearest(key, known).map(|known| format!("did you mean `{known}`?"))
}

/// The fault of a line whose value lacks its quotes, where the TOML error at `span` stands in one.
pub(super) fn unquoted(text: &str, span: &Range<usize>) -> Option<Fault> {
    let before = text.get(..span.start)?;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text.get(start..)?.lines().next()?;
    let (key, value) = line.split_once('=')?;
    let value_at = start + key.len() + 1 + (value.len() - value.trim_start().len());
    let (key, value) = (key.trim(), value.trim());
    // An IPv6 address begins like a list.
    let is_open = value.starts_with(['"', '\'', '{', '#']) || (value.starts_with('[') && !value.contains("]:"));
    if key.is_empty() || !is_plain_key(key) || value.is_empty() || is_open || is_number(value) {
        return None;
    }
    Some(Fault {
        span: value_at..value_at + value.len(),
        message: "what is no number has to stand in quotes".to_owned(),
        hint: Some(format!("write {key} = \"…\"")),
    })
}

/// As far as it is one at all, something else is wrong with it.
fn is_number(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_digit() || b"+-_.".contains(&byte)) && value.matches('.').count() < 2
}

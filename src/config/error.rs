//! What is wrong with a configuration, and where: `file:line:column`, the line itself and a caret under the spot.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::permissions::Permissions;

/// Everything that is wrong, in the order of the file. Never empty.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub(super) Vec<ConfigError>);

impl ConfigErrors {
    /// All findings are files this process may not read: nothing is wrong with what was written.
    pub fn is_permission(&self) -> bool {
        self.0.iter().all(|error| error.permission)
    }

    /// The findings.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|error| writeln!(f, "{error}"))
    }
}

impl std::error::Error for ConfigErrors {}

/// One finding; an error or a warning by where it is kept. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    pub(super) place: Place,
    pub(super) message: String,
    pub(super) hint: Option<String>,
    pub(super) permission: bool,
}

impl ConfigError {
    pub(super) fn new(place: Place, message: impl Into<String>) -> ConfigError {
        ConfigError { place, message: message.into(), hint: None, permission: false }
    }

    /// A file that this process may not read, or with which others may do what they must not.
    pub fn is_permission(&self) -> bool {
        self.permission
    }

    /// Others may do with a file what they must not.
    pub(super) fn permission(place: Place, message: String) -> ConfigError {
        ConfigError { permission: true, ..ConfigError::new(place, message) }
    }

    /// A file that cannot be read.
    pub(super) fn unreadable(place: Place, path: &Path, error: &io::Error) -> ConfigError {
        ConfigError {
            permission: error.kind() == io::ErrorKind::PermissionDenied,
            ..ConfigError::new(place, format!("cannot read {}: {error}", path.display()))
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Spot(spot) => write!(f, "{}:{}:{}: ", spot.path.display(), spot.line, spot.column)?,
            Place::Named(name) => write!(f, "{name}: ")?,
            Place::Whole => {}
        }
        f.write_str(&self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        match &self.place {
            Place::Spot(Spot { line, excerpt: Some(excerpt), .. }) => excerpt.write(f, *line),
            _ => Ok(()),
        }
    }
}

/// Where a finding is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In a file.
    Spot(Spot),
    /// A flag, a variable, or a file as a whole.
    Named(String),
    /// Nowhere in particular: something is missing.
    Whole,
}

impl Place {
    /// Findings are told in the order of the file, then those about flags and variables, then what is missing.
    pub(super) fn order(&self) -> (u8, usize, usize) {
        match self {
            Place::Spot(spot) => (0, spot.line, spot.column),
            Place::Named(_) => (1, 0, 0),
            Place::Whole => (2, 0, 0),
        }
    }
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) path: PathBuf,
    /// From 1.
    pub(super) line: usize,
    /// From 1, in characters.
    pub(super) column: usize,
    pub(super) excerpt: Option<Excerpt>,
}

/// A line of the file, without what may be secret, and what to underline of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Excerpt {
    text: String,
    /// In characters of `text`, not empty.
    underline: Range<usize>,
}

/// How much of a line may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disclosure {
    /// The value is of a known key that is no secret.
    Value,
    /// What stands behind the key may be a password, if only by a mistyped key.
    KeyOnly,
}

/// The text of a configuration file, to find places in.
pub(super) struct SourceFile {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) permissions: Permissions,
}

impl SourceFile {
    /// The place of `span`, a range of bytes.
    pub(super) fn spot(&self, span: &Range<usize>, disclosure: Disclosure) -> Spot {
        let start = span.start.min(self.text.len());
        let before = &self.text.as_bytes()[..start];
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let content = self.text.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let column = self.text.get(line_start..start).unwrap_or_default().chars().count();
        let width = self.text.get(start..span.end).and_then(|text| text.lines().next()).unwrap_or_default();
        let excerpt = excerpt(content, column..column + width.chars().count(), disclosure);
        Spot { path: self.path.clone(), line, column: column + 1, excerpt }
    }

    /// `file:line` of a byte.
    pub(super) fn location(&self, span: &Range<usize>) -> String {
        let spot = self.spot(span, Disclosure::KeyOnly);
        format!("{}:{}", self.path.display(), spot.line)
    }

    /// What stands there holds something that no variable stands for: the default of one is written out as well.
    pub(super) fn is_written_out(&self, span: &Range<usize>) -> bool {
        let text = self.text.get(span.clone()).unwrap_or_default().replace("$${", "");
        let mut references = text.split("${").skip(1).peekable();
        let has_default = |reference: &str| {
            let inside = reference.split_once('}').map_or(reference, |(inside, _)| inside);
            inside.split_once(":-").is_some_and(|(_, default)| !default.is_empty())
        };
        references.peek().is_none() || references.any(has_default)
    }

    /// The directory that relative paths in the file start from.
    pub(super) fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }
}

/// Cuts a line after its key unless its only value may be seen: a second `=` would be a neighbour's in an inline table,
/// and a key that speaks of a password has one, whoever asks.
fn excerpt(line: &str, underline: Range<usize>, disclosure: Disclosure) -> Option<Excerpt> {
    let key = line.split('=').next().unwrap_or_default().trim_end();
    let password = key.contains("pass") && !key.ends_with("-file");
    // A file given by mistake may be a password in base64, which ends in `=`.
    if line.contains('=') && !is_plain_key(key) {
        return None;
    }
    let shown = match (line.matches('=').count(), disclosure) {
        (1, Disclosure::Value) if !password => line.trim_end().to_owned(),
        (0, _) if line.trim_start().starts_with('[') => line.trim_end().to_owned(),
        (0, _) => return None,
        _ => format!("{key} = …"),
    };
    let text: String = shown.chars().map(|c| if c.is_control() && c != '\t' { '?' } else { c }).collect();
    let last = text.chars().count().saturating_sub(1);
    let start = underline.start.min(last);
    Some(Excerpt { underline: start..underline.end.min(last + 1).max(start + 1), text })
}

/// Whether this looks like a key of a configuration, and like no secret.
pub(super) fn is_plain_key(text: &str) -> bool {
    const LONGEST: usize = 40;
    let all = |letter: fn(&char) -> bool| {
        text.chars().all(|c| letter(&c) || c.is_ascii_digit() || "-_.|\"' \t".contains(c) || !c.is_ascii())
    };
    text.chars().count() <= LONGEST && (all(char::is_ascii_lowercase) || all(char::is_ascii_uppercase))
}

impl Excerpt {
    fn write(&self, f: &mut fmt::Formatter<'_>, line: usize) -> fmt::Result {
        let number = line.to_string();
        let blank = |c| if c == '\t' { '\t' } else { ' ' };
        let indent: String = self.text.chars().take(self.underline.start).map(blank).collect();
        let carets = "^".repeat(self.underline.len());
        write!(f, "\n  {number} | {}\n  {:width$} | {indent}{carets}", self.text, "", width = number.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> SourceFile {
        SourceFile { path: "x.toml".into(), text: text.to_owned(), permissions: Permissions::default() }
    }

    fn shown(text: &str, part: &str, disclosure: Disclosure) -> String {
        let start = text.find(part).unwrap();
        let spot = file(text).spot(&(start..start + part.len()), disclosure);
        ConfigError::new(Place::Spot(spot), "wrong").to_string()
    }

    #[test]
    fn the_caret_stands_under_the_spot() {
        let expected = "x.toml:2:5: wrong\n  2 | b = 2\n    |     ^";
        assert_eq!(shown("a = 1\nb = 2\n", "2", Disclosure::Value), expected);
    }

    #[test]
    fn columns_count_characters_and_tabs_are_kept() {
        let expected = "x.toml:1:9: wrong\n  1 | \tä = \"é\"!\n    | \t       ^";
        assert_eq!(shown("\tä = \"é\"!", "!", Disclosure::Value), expected);
    }

    #[test]
    fn a_value_that_may_be_secret_is_cut_off() {
        let text = "pasword = \"hunter2\"";
        assert_eq!(shown(text, "pasword", Disclosure::KeyOnly), "x.toml:1:1: wrong\n  1 | pasword = …\n    | ^^^^^^^");
        assert_eq!(
            shown(text, "\"hunter2\"", Disclosure::KeyOnly),
            "x.toml:1:11: wrong\n  1 | pasword = …\n    |           ^"
        );
    }

    #[test]
    fn a_neighbour_in_an_inline_table_is_cut_off() {
        let text = "upstream-auth = { user = 1, password = \"hunter2\" }";
        assert!(!shown(text, "1", Disclosure::Value).contains("hunter2"));
    }

    #[test]
    fn what_is_no_plain_key_is_not_shown() {
        for secret in ["q0Zx9vKJm3RtY2uW8bL5nA==", "zWm1+eH4/0aTtB6sXk7oRgQpVc2yNfUdJiLhEwM3S5I=", "hunter2Hunter2 = 1"]
        {
            assert_eq!(shown(secret, "=", Disclosure::KeyOnly).lines().count(), 1, "{secret}");
        }
        assert!(shown("FLUSHALL = \"x\"", "=", Disclosure::KeyOnly).contains("FLUSHALL = …"));
    }

    #[test]
    fn a_line_without_a_key_is_not_shown() {
        assert_eq!(shown("a = '''\nhunter2\n'''", "hunter2", Disclosure::Value), "x.toml:2:1: wrong");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert!(!shown("a = \"\u{1b}[31m\"", "\"", Disclosure::Value).contains('\u{1b}'));
    }

    #[test]
    fn any_span_has_a_place() {
        let text = "ä = 1\r\n\n[x";
        for start in 0..=text.len() + 2 {
            for end in start..=text.len() + 2 {
                assert!(file(text).spot(&(start..end), Disclosure::Value).line >= 1);
            }
        }
    }
}

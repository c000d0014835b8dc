//! `${VAR}` and `${VAR:-default}` in string values.

use std::fmt;

use super::raw::Variables;

/// Why a value could not be filled in. Never holds the value of a variable.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum InterpolationError {
    /// `${VAR}` without a default, and no such variable.
    Unset(String),
    /// The variable's value is not UTF-8.
    NotText(String),
    /// `${` without `}`.
    Unclosed,
    /// What stands between the braces is no variable name. It may be part of a password.
    BadName,
}

/// Replaces every `${VAR}` and `${VAR:-default}`; the default also stands in for an empty variable, as in a shell.
/// `$${` is a literal `${`, any other `$` is itself. What was filled in is not looked at again.
pub(super) fn expand(text: &str, variables: &Variables) -> Result<String, InterpolationError> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, reference) = rest.split_at(at);
        if let Some(literal) = before.strip_suffix('$') {
            expanded.push_str(literal);
            expanded.push_str("${");
            rest = &reference[2..];
            continue;
        }
        expanded.push_str(before);
        let (inside, after) = reference[2..].split_once('}').ok_or(InterpolationError::Unclosed)?;
        expanded.push_str(&value(inside, variables)?);
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// Whether this is `${VAR}` or `${VAR:-default}` and nothing else: where nobody fills it in, somebody thought so.
pub(super) fn is_reference(text: &[u8]) -> bool {
    let inside = text.strip_prefix(b"${").and_then(|rest| rest.strip_suffix(b"}")).unwrap_or_default();
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let name = inside.iter().take_while(|byte| is_name(byte)).count();
    name > 0 && (name == inside.len() || inside[name..].starts_with(b":-"))
}

fn value(inside: &str, variables: &Variables) -> Result<String, InterpolationError> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(InterpolationError::BadName);
    }
    match (variables.get(name), default) {
        (Some(value), Some(default)) if value.is_empty() => Ok(default.to_owned()),
        (Some(value), _) => {
            value.to_str().map(str::to_owned).ok_or_else(|| InterpolationError::NotText(name.to_owned()))
        }
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(InterpolationError::Unset(name.to_owned())),
    }
}

impl fmt::Display for InterpolationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InterpolationError::Unset(name) => {
                write!(f, "the environment variable {name} is not set and has no default")
            }
            InterpolationError::NotText(name) => write!(f, "the environment variable {name} is not valid UTF-8"),
            InterpolationError::Unclosed => f.write_str("`${` without a closing `}`"),
            InterpolationError::BadName => {
                f.write_str("what `${` and `}` enclose is no name of an environment variable; `$${` is a literal `${`")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        [("HOME", "/root"), ("EMPTY", ""), ("TRICK", "${HOME}")].map(|(k, v)| (k.to_owned(), v.into())).into()
    }

    #[test]
    fn variables_are_filled_in() {
        assert_eq!(expand("${HOME}/x:${HOME}", &variables()).unwrap(), "/root/x:/root");
    }

    #[test]
    fn a_default_stands_in_for_an_unset_or_empty_variable() {
        assert_eq!(expand("${NONE:-a:-b}", &variables()).unwrap(), "a:-b");
        assert_eq!(expand("${EMPTY:-x}", &variables()).unwrap(), "x");
        assert_eq!(expand("${HOME:-x}", &variables()).unwrap(), "/root");
    }

    #[test]
    fn an_unset_variable_is_an_error() {
        assert_eq!(expand("a${NONE}", &variables()), Err(InterpolationError::Unset("NONE".to_owned())));
    }

    #[test]
    fn other_dollars_are_themselves() {
        assert_eq!(expand("a$b $$ $", &variables()).unwrap(), "a$b $$ $");
        assert_eq!(expand("$${HOME}", &variables()).unwrap(), "${HOME}");
    }

    #[test]
    fn what_was_filled_in_is_not_expanded_again() {
        assert_eq!(expand("${TRICK}", &variables()).unwrap(), "${HOME}");
    }

    #[test]
    fn a_reference_is_told_from_other_text() {
        for text in ["${HOME}", "${A_1:-x y}", "${A:-}"] {
            assert!(is_reference(text.as_bytes()), "{text}");
        }
        for text in ["", "HOME", "${}", "${HOME} ", "x${HOME}", "${a b}", "${HOME", "$HOME"] {
            assert!(!is_reference(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn broken_references_are_errors() {
        assert_eq!(expand("${HOME", &variables()), Err(InterpolationError::Unclosed));
        assert_eq!(expand("${}", &variables()), Err(InterpolationError::BadName));
        assert_eq!(expand("${A B}", &variables()), Err(InterpolationError::BadName));
    }
}

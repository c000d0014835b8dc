//! The `rename-command` lines of a redis.conf.

use std::fmt;

/// One `rename-command` line.
#[derive(PartialEq, Eq)]
pub(super) struct RenameLine {
    /// From 1.
    pub(super) line: usize,
    pub(super) original: String,
    /// Empty where the command is disabled.
    pub(super) name: String,
}

/// A `rename-command` line that Redis would not take either. Holds no name: those are meant to stay unknown.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RenameLineError {
    /// From 1.
    pub(super) line: usize,
    pub(super) fault: RenameLineFault,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RenameLineFault {
    UnbalancedQuotes,
    WrongNumberOfArguments,
}

/// Every `rename-command` line, and every one that is broken. All other directives are passed over, `include` too.
pub(super) fn rename_lines(text: &str) -> (Vec<RenameLine>, Vec<RenameLineError>) {
    let mut renames = Vec::new();
    let mut errors = Vec::new();
    for (index, content) in text.lines().enumerate() {
        let line = index + 1;
        let content = content.trim();
        let directive = content.split(|c: char| c.is_ascii_whitespace()).next().unwrap_or_default();
        if !directive.eq_ignore_ascii_case("rename-command") {
            continue;
        }
        match words(content).as_deref() {
            Some([_, original, name]) => {
                renames.push(RenameLine { line, original: original.clone(), name: name.clone() })
            }
            Some(_) => errors.push(RenameLineError { line, fault: RenameLineFault::WrongNumberOfArguments }),
            None => errors.push(RenameLineError { line, fault: RenameLineFault::UnbalancedQuotes }),
        }
    }
    (renames, errors)
}

/// Words as redis.conf separates them: blanks, `"…"` with backslash escapes, `'…'`. `None` where quotes do not balance.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = text.chars().peekable();
    loop {
        while rest.next_if(char::is_ascii_whitespace).is_some() {}
        let Some(first) = rest.peek().copied() else { return Some(words) };
        let mut word = String::new();
        if first == '"' || first == '\'' {
            rest.next();
            loop {
                match rest.next()? {
                    c if c == first => break,
                    '\\' if first == '"' || rest.peek() == Some(&'\'') => word.push(rest.next()?),
                    c => word.push(c),
                }
            }
            if rest.peek().is_some_and(|c| !c.is_ascii_whitespace()) {
                return None;
            }
        } else {
            while let Some(c) = rest.next_if(|c| !c.is_ascii_whitespace()) {
                word.push(c);
            }
        }
        words.push(word);
    }
}

impl fmt::Display for RenameLineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RenameLineFault::UnbalancedQuotes => "unbalanced quotes",
            RenameLineFault::WrongNumberOfArguments => "rename-command takes a command and its new name",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renames(text: &str) -> Vec<(usize, String, String)> {
        let (renames, errors) = rename_lines(text);
        assert_eq!(errors, []);
        renames.into_iter().map(|rename| (rename.line, rename.original, rename.name)).collect()
    }

    #[test]
    fn only_rename_command_lines_are_read() {
        let text =
            "bind 127.0.0.1\n# rename-command GET x\nrename-command FLUSHALL \"\"\n  Rename-Command CONFIG b84'0c\n";
        let expected = [(3, "FLUSHALL".to_owned(), String::new()), (4, "CONFIG".to_owned(), "b84'0c".to_owned())];
        assert_eq!(renames(text), expected);
    }

    #[test]
    fn quotes_are_taken_off() {
        assert_eq!(renames("rename-command 'KEYS' \"a\\\"b\""), [(1, "KEYS".to_owned(), "a\"b".to_owned())]);
    }

    #[test]
    fn every_broken_line_is_reported() {
        let (_, errors) =
            rename_lines("rename-command A\nrename-command A \"b\nrename-command A b c\nrename-command A 'b'c");
        let faults: Vec<_> = errors.iter().map(|error| (error.line, error.fault)).collect();
        let expected = [
            (1, RenameLineFault::WrongNumberOfArguments),
            (2, RenameLineFault::UnbalancedQuotes),
            (3, RenameLineFault::WrongNumberOfArguments),
            (4, RenameLineFault::UnbalancedQuotes),
        ];
        assert_eq!(faults, expected);
    }
}

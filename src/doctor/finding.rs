//! One thing that was looked at, and how it is.

use std::fmt;
use std::path::PathBuf;

use super::Kind;

/// How something is. What could not be looked at is unknown, and never green.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Put it right now.
    Red,
    /// Better put right.
    Amber,
    /// It could not be looked at.
    Unknown,
    /// As it should be.
    Green,
}

impl Severity {
    /// All of them, the worst first.
    pub const ALL: [Severity; 4] = [Severity::Red, Severity::Amber, Severity::Unknown, Severity::Green];

    /// In lower case.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Red => "red",
            Severity::Amber => "amber",
            Severity::Unknown => "unknown",
            Severity::Green => "green",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Finding {
    /// What was looked at.
    pub kind: &'static Kind,
    /// How it is.
    pub severity: Severity,
    /// What was seen, and where.
    pub subject: String,
    /// What puts it right, where a line can.
    pub fix: Option<Fix>,
}

/// What puts something right: one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fix {
    /// For a shell.
    Command(String),
    /// For a file.
    Line {
        /// The line.
        text: String,
        /// The file.
        path: PathBuf,
        /// Where in it.
        position: Position,
    },
}

/// Where a line goes. Lines are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// It takes the place of this one.
    Instead(usize),
    /// Between this one and the next; 0 is the beginning.
    After(usize),
    /// To the end.
    End,
}

impl Finding {
    /// To be put right now.
    pub fn red(kind: &'static Kind, subject: impl Into<String>) -> Finding {
        Finding::new(kind, Severity::Red, subject.into())
    }

    /// Better put right.
    pub fn amber(kind: &'static Kind, subject: impl Into<String>) -> Finding {
        Finding::new(kind, Severity::Amber, subject.into())
    }

    /// Not looked at, and why.
    pub fn unknown(kind: &'static Kind, subject: impl Into<String>) -> Finding {
        Finding::new(kind, Severity::Unknown, subject.into())
    }

    /// As it should be.
    pub fn green(kind: &'static Kind, subject: impl Into<String>) -> Finding {
        Finding::new(kind, Severity::Green, subject.into())
    }

    /// The same, with what puts it right.
    pub fn fix(self, fix: impl Into<Option<Fix>>) -> Finding {
        Finding { fix: fix.into(), ..self }
    }

    fn new(kind: &'static Kind, severity: Severity, subject: String) -> Finding {
        Finding { kind, severity, subject, fix: None }
    }
}

impl Fix {
    /// For a shell.
    pub fn command(text: impl Into<String>) -> Fix {
        Fix::Command(text.into())
    }

    /// The line, without where it goes.
    pub fn line(&self) -> &str {
        match self {
            Fix::Command(text) | Fix::Line { text, .. } => text,
        }
    }

    /// Where it goes; `None` of a command.
    pub fn place(&self) -> Option<String> {
        let Fix::Line { path, position, .. } = self else { return None };
        Some(match position {
            Position::Instead(line) => format!("{}:{line}", path.display()),
            Position::After(0) => format!("{}, at its beginning", path.display()),
            Position::After(line) => format!("{}, after line {line}", path.display()),
            Position::End => format!("{}, at its end", path.display()),
        })
    }
}

impl fmt::Display for Fix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.line())?;
        match self.place() {
            Some(place) => write!(f, "   # {place}"),
            None => Ok(()),
        }
    }
}

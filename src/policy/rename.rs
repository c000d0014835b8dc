//! Commands that the upstream knows under other names (`rename-command` in redis.conf).

use std::collections::HashMap;
use std::fmt;

use crate::command::{CommandId, CommandSpec, CommandTable};

/// What the upstream calls its commands.
#[derive(Debug, Clone, Default)]
pub struct Renames {
    names: HashMap<CommandId, Option<Box<[u8]>>>,
}

/// A renaming that cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RenameError {
    /// The original name is no command.
    UnknownOriginal(String),
    /// The new name is that of another command: requests for the one would run the other.
    NameTaken {
        /// The command that was renamed.
        original: String,
        /// The name it was given.
        name: String,
    },
}

impl fmt::Display for RenameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownOriginal(original) => write!(f, "`{original}` is no command"),
            Self::NameTaken { original, .. } => {
                write!(f, "the new name of `{original}` is the name of another command")
            }
        }
    }
}

/// What became of a command's name upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UpstreamName<'a> {
    /// It kept its name.
    Same,
    /// It has this one.
    Renamed(&'a [u8]),
    /// It has none any more: disabled.
    Disabled,
}

impl Renames {
    /// Resolves pairs of original and new name; an empty new name means disabled.
    ///
    /// # Errors
    /// Every pair that `table` speaks against.
    pub fn build(pairs: &[(String, String)], table: &CommandTable) -> Result<Self, Vec<RenameError>> {
        let mut names = HashMap::new();
        let mut errors = Vec::new();
        for (original, name) in pairs {
            let Some(spec) = table.by_name(&original.to_ascii_lowercase()).filter(|spec| spec.parent().is_none())
            else {
                errors.push(RenameError::UnknownOriginal(original.clone()));
                continue;
            };
            if table.by_name(&name.to_ascii_lowercase()).is_some() {
                errors.push(RenameError::NameTaken { original: original.clone(), name: name.clone() });
                continue;
            }
            names.insert(spec.id(), (!name.is_empty()).then(|| name.clone().into_bytes().into()));
        }
        if errors.is_empty() { Ok(Self { names }) } else { Err(errors) }
    }

    /// The command that has this name upstream, in any case, and did not have it from the beginning.
    pub(super) fn renamed_to(&self, name: &[u8]) -> Option<CommandId> {
        let is_it = |new: &Option<Box<[u8]>>| new.as_ref().is_some_and(|new| new.eq_ignore_ascii_case(name));
        self.names.iter().find(|(_, new)| is_it(new)).map(|(id, _)| *id)
    }

    pub(super) fn upstream_name(&self, spec: &CommandSpec) -> UpstreamName<'_> {
        if self.names.is_empty() {
            return UpstreamName::Same;
        }
        match self.names.get(&spec.parent().unwrap_or(spec.id())) {
            None => UpstreamName::Same,
            Some(Some(name)) => UpstreamName::Renamed(name),
            Some(None) => UpstreamName::Disabled,
        }
    }
}

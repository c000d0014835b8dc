//! Presets: what applications and operators need, as a line of an ACL file and the settings beside it. Pure.

mod table;

use std::fmt;

use crate::acl::UserName;

pub use table::PRESETS;

/// Characters that mean something in a pattern of keys, in a `[[certificate]]` rule, or in the text of a configuration.
const SPECIAL: &str = r#"*?[]\"'$%"#;

/// What a kind of user may do. `{prefix}` in its texts is the prefix of its keys.
#[derive(Debug)]
pub struct Preset {
    /// By which it is asked for.
    pub name: &'static str,
    /// For whom it is, in a few words.
    pub about: &'static str,
    /// In Redis's ACL language: commands, keys, channels.
    rules: &'static str,
    /// What the keys begin with unless something else is said, `{user}` being the user; `None` where nothing can be.
    prefix: Option<&'static str>,
    /// What it needs of the blocklist.
    lifted: Lifted,
    /// What has to be known or set in the application, a sentence each.
    notes: &'static [&'static str],
}

/// What of the blocklist does not hold for a user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lifted {
    /// All of it holds.
    Nothing,
    /// Scripts are open to it.
    Scripting,
    /// Nothing is blocked. With that, who the user is is a question of its certificate alone.
    Everything,
}

/// What a user is given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// A line of an ACL file. It has no password.
    pub line: String,
    /// The lines of respgate.toml without which it does not do; none where nothing is needed.
    pub settings: Vec<String>,
    /// What has to be known or set in the application, a sentence each.
    pub notes: Vec<String>,
    /// What `settings` lift.
    pub lifted: Lifted,
}

/// Why there is no such grant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PresetError {
    /// The keys of the preset of this name begin as they do.
    NoPrefix(&'static str),
    /// It would be that of all keys.
    EmptyPrefix,
    /// Too short or too long.
    BadUser,
    /// A character that would mean something in a pattern or a setting.
    Special {
        /// `user` or `prefix`.
        what: &'static str,
        /// The first one.
        character: char,
    },
}

/// The preset of this name.
pub fn preset(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

impl Preset {
    /// The prefix where nothing else is said, `USER` being the user; `None` where nothing can be said.
    pub fn default_prefix(&self) -> Option<String> {
        self.prefix.map(|prefix| prefix.replace("{user}", "USER"))
    }

    /// What `user` is given whose keys begin with `prefix`.
    ///
    /// # Errors
    /// A name or a prefix that cannot be, or would mean more than itself.
    pub fn grant(&self, user: &str, prefix: Option<&str>) -> Result<Grant, PresetError> {
        let user = plain("user", user)?;
        if UserName::new(user.as_bytes()).is_none() {
            return Err(PresetError::BadUser);
        }
        let prefix = match (self.prefix, prefix) {
            (None, Some(_)) => return Err(PresetError::NoPrefix(self.name)),
            (Some(_), Some("")) => return Err(PresetError::EmptyPrefix),
            (Some(_), Some(prefix)) => plain("prefix", prefix)?.to_owned(),
            (own, None) => own.unwrap_or_default().replace("{user}", user),
        };
        Ok(Grant {
            line: format!("user {user} on {}", self.rules.replace("{prefix}", &prefix)),
            settings: self.lifted.settings(user),
            notes: self.notes.iter().map(|note| note.replace("{prefix}", &prefix)).collect(),
            lifted: self.lifted,
        })
    }
}

impl Grant {
    /// Whether a password may stand in the line.
    pub fn takes_password(&self) -> bool {
        self.lifted != Lifted::Everything
    }
}

impl Lifted {
    fn settings(self, user: &str) -> Vec<String> {
        match self {
            Lifted::Nothing => Vec::new(),
            Lifted::Scripting => vec!["[block]".to_owned(), format!("scripting-users = [\"{user}\"]")],
            Lifted::Everything => vec![
                "[block]".to_owned(),
                format!("exempt-users = [\"{user}\"]"),
                "[[certificate]]".to_owned(),
                format!("cn = \"{user}\""),
                format!("user = \"{user}\""),
                format!("[user.{}]", key(user)),
                "certificate = \"required\"".to_owned(),
            ],
        }
    }
}

/// The name of a user who has a grant as a key of TOML, which has quotes around it where it needs them.
pub fn key(user: &str) -> String {
    let is_bare = user.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if is_bare { user.to_owned() } else { format!("\"{user}\"") }
}

/// The text, if it means itself alone wherever it is written.
fn plain<'a>(what: &'static str, text: &'a str) -> Result<&'a str, PresetError> {
    let special = |c: &char| c.is_whitespace() || c.is_control() || SPECIAL.contains(*c);
    text.chars().find(special).map_or(Ok(text), |character| Err(PresetError::Special { what, character }))
}

impl fmt::Display for PresetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PresetError::NoPrefix(name) => write!(f, "the keys of {name} have no prefix that could be another"),
            PresetError::EmptyPrefix => f.write_str("an empty prefix would be that of all keys"),
            PresetError::BadUser => write!(f, "a user's name has 1 to {} bytes", UserName::MOST),
            PresetError::Special { what, character } => {
                write!(f, "the {what} has {character:?} in it, which means something else in a pattern or a setting")
            }
        }
    }
}

impl std::error::Error for PresetError {}

#[cfg(test)]
mod tests;

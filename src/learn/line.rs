//! The line that is suggested.

use std::sync::Arc;

use crate::acl::{Acl, RuleError, RuleErrorKind, User, UserName};
use crate::command::{Access, ArgvBuf, CommandTable};

/// A line of an ACL file, in words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// Whose it is.
    pub user: UserName,
    /// `on`, and what it logs in with.
    pub login: Vec<String>,
    /// `+get`.
    pub commands: Vec<String>,
    /// `~a:*`, `%R~b`, `&c`.
    pub places: Vec<String>,
}

impl Line {
    /// As it stands in an ACL file, or, without `user`, behind ACL SETUSER.
    pub fn text(&self) -> String {
        let reset = ["resetkeys", "resetchannels", "-@all"].map(str::to_owned);
        let words = ["user".to_owned(), self.user.to_string()];
        let rules = self.login.iter().chain(&reset).chain(&self.commands).chain(&self.places);
        words.iter().chain(rules).map(String::as_str).collect::<Vec<_>>().join(" ")
    }

    /// The user that it makes.
    ///
    /// # Errors
    /// A rule that the ACL does not take.
    pub fn user(&self, table: &CommandTable) -> Result<Arc<User>, RuleError> {
        user(self.commands.iter().chain(&self.places), table)
    }
}

/// A user with these rules.
pub(super) fn user<'r>(rules: impl Iterator<Item = &'r String>, table: &CommandTable) -> Result<Arc<User>, RuleError> {
    const NAME: &[u8] = b"suggested";
    let rules: Vec<&[u8]> = rules.map(String::as_bytes).collect();
    let acl = Acl::new(table).set_user(NAME, &rules, table)?;
    // It was made just now.
    acl.user(NAME).cloned().ok_or(RuleError { token: String::new(), kind: RuleErrorKind::BadUserName })
}

/// Something that keys or channels are asked for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Need {
    Key(Vec<u8>, KeyAccess),
    Channel(Vec<u8>),
    ChannelPattern(Vec<u8>),
}

/// [`Access`], in an order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum KeyAccess {
    Name,
    Read,
    Write,
    ReadWrite,
}

impl KeyAccess {
    pub(super) fn of(access: Access) -> KeyAccess {
        match (access.covers(Access::READ), access.covers(Access::WRITE)) {
            (false, false) => KeyAccess::Name,
            (true, false) => KeyAccess::Read,
            (false, true) => KeyAccess::Write,
            (true, true) => KeyAccess::ReadWrite,
        }
    }

    /// What a pattern has before it that grants no more than this.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            KeyAccess::Name | KeyAccess::Read => "%R~",
            KeyAccess::Write => "%W~",
            KeyAccess::ReadWrite => "~",
        }
    }
}

impl Need {
    /// The plainest request that needs this and nothing else.
    fn request(&self) -> ArgvBuf {
        let words: &[&[u8]] = match self {
            Need::Key(key, KeyAccess::Name) => &[b"exists", key],
            Need::Key(key, KeyAccess::Read) => &[b"get", key],
            Need::Key(key, KeyAccess::Write) => &[b"set", key, b"v"],
            Need::Key(key, KeyAccess::ReadWrite) => &[b"getset", key, b"v"],
            Need::Channel(channel) => &[b"publish", channel, b"v"],
            Need::ChannelPattern(pattern) => &[b"psubscribe", pattern],
        };
        words.iter().collect()
    }

    /// Whether a user who may run all commands may have it.
    fn is_given_by(&self, user: &User, table: &CommandTable) -> bool {
        let argv = self.request();
        let argv = argv.as_argv();
        table.resolve(&argv).is_ok_and(|spec| user.check(spec, &argv, Some(0)).is_ok())
    }
}

/// Rules for keys and channels, each by itself.
pub(super) struct Places {
    alone: Vec<Arc<User>>,
}

impl Places {
    pub(super) fn new(rules: &[String], table: &CommandTable) -> Result<Places, RuleError> {
        let all = "+@all".to_owned();
        let alone = rules.iter().map(|rule| user([&all, rule].into_iter(), table));
        Ok(Places { alone: alone.collect::<Result<_, _>>()? })
    }

    /// Which of them give what is needed.
    pub(super) fn giving(&self, need: &Need, table: &CommandTable) -> Vec<usize> {
        let gives = |at: &usize| self.alone.get(*at).is_some_and(|user| need.is_given_by(user, table));
        (0..self.alone.len()).filter(gives).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Dialect, Scope, Unextractable};

    #[test]
    fn the_request_for_a_need_needs_just_that() {
        for dialect in Dialect::ALL {
            let table = CommandTable::builtin(dialect);
            for (access, expected) in [
                (KeyAccess::Name, Access::NAME),
                (KeyAccess::Read, Access::READ),
                (KeyAccess::Write, Access::WRITE),
                (KeyAccess::ReadWrite, Access::READ_WRITE),
            ] {
                let argv = Need::Key(b"k".to_vec(), access).request();
                let mut needed = Vec::new();
                let spec = table.resolve(&argv.as_argv()).unwrap();
                let keys = spec.try_keys::<Unextractable>(&argv.as_argv(), Scope::Whole, |key| {
                    needed.push(key.access);
                    Ok(())
                });
                assert_eq!((keys, needed), (Ok(()), vec![expected]), "{access:?}");
            }
        }
    }
}

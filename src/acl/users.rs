//! The users, as one immutable set.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::rule::{RuleError, RuleErrorKind, Unknown, holds_variable, merge_selectors};
use super::user::{User, UserName};
use crate::command::CommandTable;

/// The name of the user that always exists.
const DEFAULT: &[u8] = b"default";

/// A set of users. `default` is always among them, and off unless something turned it on.
#[derive(Clone, Debug)]
pub struct Acl {
    users: BTreeMap<UserName, Arc<User>>,
}

impl Acl {
    /// Only `default`, which is off.
    pub fn new(table: &CommandTable) -> Acl {
        let name = UserName::new(DEFAULT).expect("'default' is a user name");
        let mut acl = Acl { users: BTreeMap::new() };
        acl.insert(User::new(name, table));
        acl
    }

    pub(super) fn insert(&mut self, user: User) {
        self.users.insert(user.name().clone(), Arc::new(user));
    }

    /// The user of this name.
    pub fn user(&self, name: &[u8]) -> Option<&Arc<User>> {
        self.users.get(std::str::from_utf8(name).ok()?)
    }

    /// All users, by name.
    pub fn users(&self) -> impl Iterator<Item = &Arc<User>> {
        self.users.values()
    }

    /// The set with `ACL SETUSER name rules…` done: the user changed, or created. All of the rules or none.
    ///
    /// # Errors
    /// The first rule that is wrong; its `Display` is Redis's reply.
    pub fn set_user(&self, name: &[u8], rules: &[&[u8]], table: &CommandTable) -> Result<Acl, RuleError> {
        let rules = merge_selectors(rules)?;
        let mut user = match self.user(name) {
            Some(user) => User::clone(user),
            None if UserName::is_too_long(name) => return Err(RuleError::new(b"", RuleErrorKind::LongUserName)),
            None => {
                let user_name = UserName::new(name).ok_or_else(|| RuleError::new(name, RuleErrorKind::BadUserName))?;
                if holds_variable(name) {
                    return Err(RuleError::new(name, RuleErrorKind::Variable));
                }
                User::new(user_name, table)
            }
        };
        user.apply_all(&rules, table, Unknown::Refuse)?;
        let mut acl = self.clone();
        acl.insert(user);
        Ok(acl)
    }

    /// The set without those of these users that it has, and who they are. `default` stays.
    pub fn without_users(&self, names: &[Vec<u8>]) -> (Acl, Vec<UserName>) {
        let mut acl = self.clone();
        let names = names.iter().filter(|name| *name != DEFAULT).filter_map(|name| std::str::from_utf8(name).ok());
        let removed = names.filter_map(|name| acl.users.remove_entry(name)).map(|(name, _)| name).collect();
        (acl, removed)
    }

    /// The same users over another table, as after [`CommandTable::extended`]: rules are applied again, and names that
    /// were unknown may now be known.
    pub fn recompiled(&self, table: &CommandTable) -> Acl {
        let users = self.users.iter().map(|(name, user)| (name.clone(), Arc::new(user.recompiled(table))));
        Acl { users: users.collect() }
    }
}

#[cfg(test)]
mod tests;

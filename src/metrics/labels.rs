//! Who and what has a label of its own. There are only so many, so that nobody makes the page grow at will; who has one keeps it
//! for as long as the process runs.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::acl::UserName;

/// Users with a label of their own.
const USERS: usize = 200;

/// Commands with a reason why they were refused.
const REFUSED_COMMANDS: usize = 3_000;

/// Blanks are in no name of a user.
const NO_USER: &str = "no user";
const OTHER_USERS: &str = "other users";

/// Which user something is counted to: a position in [`Labels::users`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserLabel(usize);

impl UserLabel {
    pub(super) fn index(self) -> usize {
        self.0
    }
}

/// The labels of all workers.
#[derive(Debug)]
pub struct Labels(Mutex<Given>);

#[derive(Debug)]
struct Given {
    users: HashMap<UserName, UserLabel>,
    /// Position is label.
    names: Vec<String>,
    refused: HashSet<(Box<str>, &'static str)>,
}

impl Default for Labels {
    fn default() -> Self {
        let names = [NO_USER, OTHER_USERS].map(str::to_owned).into();
        Self(Mutex::new(Given { users: HashMap::new(), names, refused: HashSet::new() }))
    }
}

impl Labels {
    /// That of a user, or of those who are none.
    pub fn user(&self, user: Option<&UserName>) -> UserLabel {
        let Some(user) = user else { return UserLabel(0) };
        let mut given = self.given();
        if let Some(label) = given.users.get(user) {
            return *label;
        }
        if given.users.len() == USERS {
            return UserLabel(1);
        }
        let label = UserLabel(given.names.len());
        given.names.push(user.to_string());
        given.users.insert(user.clone(), label);
        label
    }

    /// Whether a command has a label of its own where it is refused for this reason.
    pub(super) fn has_label(&self, command: &str, reason: &'static str) -> bool {
        let pair = (Box::from(command), reason);
        let mut given = self.given();
        given.refused.contains(&pair) || (given.refused.len() < REFUSED_COMMANDS && given.refused.insert(pair))
    }

    /// The users by their labels.
    pub fn users(&self) -> Vec<String> {
        self.given().names.clone()
    }

    fn given(&self) -> MutexGuard<'_, Given> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_200_users_have_a_label_each_and_keep_it() {
        let labels = Labels::default();
        let user = |number: usize| UserName::new(format!("user{number}").as_bytes());
        let given: Vec<_> = (0..USERS + 5).map(|number| labels.user(user(number).as_ref())).collect();
        assert!((0..USERS).all(|number| labels.user(user(number).as_ref()) == given[number]));
        assert!(given[USERS..].iter().all(|label| labels.users()[label.index()] == OTHER_USERS));
        assert_eq!(labels.users()[given[7].index()], "user7");
        assert_eq!(labels.users()[labels.user(None).index()], NO_USER);
        assert_eq!(labels.users().len(), USERS + 2);
    }

    #[test]
    fn refused_commands_have_labels_until_there_are_too_many() {
        let labels = Labels::default();
        assert!((0..REFUSED_COMMANDS).all(|number| labels.has_label(&format!("command{number}"), "blocked")));
        assert!(!labels.has_label("command0", "arity") && !labels.has_label("one-more", "blocked"));
        assert!(labels.has_label("command0", "blocked"));
    }
}

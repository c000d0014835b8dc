//! Users in shadow: what their rules refuse is let through and told, until a day.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Policy, UserSettings};
use crate::acl::{Acl, AclDenial, Effort, User};
use crate::command::{Argv, CommandSpec, CommandTable, Scope};

/// Until when the rules of a user are tried out, and how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShadowSettings {
    /// Seconds since 1970 UTC.
    pub until: u64,
    /// Keys and channels that the rules refuse are let through as well.
    pub opens_names: bool,
}

/// The users who are in shadow now, as their sessions act.
#[derive(Debug, Clone, Default)]
pub struct Shadows {
    users: BTreeMap<String, Arc<User>>,
    next_end: Option<u64>,
}

impl Shadows {
    /// Those of `acl` whose day has not come at `now`, in seconds since 1970 UTC.
    pub fn build<'s>(
        settings: impl Iterator<Item = (&'s String, &'s UserSettings)>,
        acl: &Acl,
        table: &CommandTable,
        now: u64,
    ) -> Shadows {
        let mut shadows = Shadows::default();
        for (name, settings) in settings {
            let Some(shadow) = settings.shadow.filter(|shadow| now < shadow.until) else { continue };
            let Some(user) = acl.user(name.as_bytes()) else { continue };
            shadows.users.insert(name.clone(), Arc::new(user.shadowed(table, shadow.opens_names)));
            shadows.next_end = Some(shadows.next_end.map_or(shadow.until, |end| end.min(shadow.until)));
        }
        shadows
    }

    /// When the first of them is over, in seconds since 1970 UTC.
    pub fn next_end(&self) -> Option<u64> {
        self.next_end
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.users.keys().map(String::as_str)
    }
}

impl Policy {
    /// The user as sessions act for it.
    pub fn acting(&self, user: &Arc<User>) -> Arc<User> {
        Arc::clone(self.shadows.users.get(user.name().as_str()).unwrap_or(user))
    }

    /// Why the rules of a user refuse a request that was permitted: only of one in shadow they may.
    #[inline]
    pub fn would_refuse(
        &self,
        user: &User,
        spec: &CommandSpec,
        argv: &Argv<'_>,
        scope: Scope,
        database: Option<u32>,
        effort: &Effort,
    ) -> Option<AclDenial> {
        if self.shadows.users.is_empty() || !self.shadows.users.contains_key(user.name().as_str()) {
            return None;
        }
        let own = self.acl.user(user.name().as_str().as_bytes())?;
        match scope {
            Scope::Whole => own.check_within(spec, argv, database, effort),
            Scope::Prefix => own.check_prefix(spec, argv, database, effort),
        }
        .err()
    }
}

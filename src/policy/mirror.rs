//! Scripts, and whose rights they have.
//!
//! What a script calls is executed inside Redis, and never passes here. So Redis itself has to bind it: the session of a
//! user who may not do everything acts there for a mirror of that user, which Redis allows what we allow.

use std::collections::HashSet;

use super::Policy;
use crate::acl::User;
use crate::command::{CommandSpec, CommandTable, Role, UpstreamCommand};

/// Commands that run scripts.
pub(super) const SCRIPTS: [&str; 6] = ["eval", "eval_ro", "evalsha", "evalsha_ro", "fcall", "fcall_ro"];

/// Whose rights scripts have.
#[derive(Debug, Clone)]
pub enum ScriptRights {
    /// Those of the proxy's own user at Redis, whoever sends them.
    Upstream,
    /// Those of the user who sends them, once Redis has been heard: an ACL there names only what it has.
    NotYet,
    /// Those of the user who sends them.
    Mirrored {
        /// Which commands Redis says that it has, by id.
        present: Vec<bool>,
    },
}

impl ScriptRights {
    /// Mirrored, at a Redis with these commands.
    pub fn mirrored(table: &CommandTable, upstream: &[UpstreamCommand]) -> Self {
        let all = upstream.iter().flat_map(|command| std::iter::once(command).chain(&command.subcommands));
        let names: HashSet<String> = all.map(|command| command.name.to_ascii_lowercase()).collect();
        Self::Mirrored { present: table.iter().map(|spec| names.contains(spec.full_name())).collect() }
    }
}

impl Policy {
    /// Whether Redis is to know for whom a request of `user` is: a script, which must not go there otherwise, or MULTI, in
    /// which there may be one.
    pub fn wants_mirror(&self, user: &User, spec: &CommandSpec) -> bool {
        let runs_scripts = match spec.role() {
            Role::Script => true,
            Role::Multi => self.may_run_scripts(user),
            _ => false,
        };
        runs_scripts && !matches!(self.script_rights, ScriptRights::Upstream) && self.is_restricted(user)
    }

    /// The `ACL SETUSER` rules that give a user at Redis the rights of this one, without what is blocked in whole; `None`
    /// where Redis does not tell which commands it has.
    pub fn mirror_rules(&self, user: &User) -> Option<Vec<Vec<u8>>> {
        let ScriptRights::Mirrored { present } = &self.script_rights else { return None };
        if !present.contains(&true) {
            return None;
        }
        let name = user.name().as_str().as_bytes();
        let is_there = |spec: &CommandSpec| present.get(spec.id().index()).copied().unwrap_or(false);
        // No server lets scripts run CONFIG: which parameters a request of the session names, we judge.
        let config = &self.settings_of(user).config;
        let is_withheld = |spec: &CommandSpec| self.blocklist.blocks(name, spec) && !config.open(spec);
        Some(user.exact_rules(&self.table, is_there, is_withheld))
    }

    fn may_run_scripts(&self, user: &User) -> bool {
        let name = user.name().as_str().as_bytes();
        let scripts = SCRIPTS.iter().filter_map(|script| self.table.by_name(script));
        scripts.into_iter().any(|spec| user.may_run(spec) && !self.blocklist.blocks(name, spec))
    }

    /// Whether there is anything that the user may not do.
    fn is_restricted(&self, user: &User) -> bool {
        !user.is_unrestricted() || self.blocklist.binds(user.name().as_str().as_bytes())
    }
}

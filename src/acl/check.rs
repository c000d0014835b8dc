//! The decision about one request.

use super::effort::Effort;
use super::selector::{Databases, Selector};
use super::user::User;
use crate::command::{Argv, ChannelUse, CommandSpec, DatabaseNeed, Scope, Unextractable};

/// Why a request is refused: of all selectors, the one that got furthest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum AclDenial {
    /// The database, the selected one (index 0) or one that argument `index` names.
    Database {
        /// The argument; 0 is the command, and means the selected database.
        index: usize,
    },
    /// The command itself.
    Command,
    /// A key.
    Key {
        /// The argument that is the key.
        index: usize,
    },
    /// The arguments do not tell for certain what the keys are.
    Unextractable,
    /// A channel.
    Channel {
        /// The argument that is the channel.
        index: usize,
    },
    /// SORT BY a pattern, which needs all keys to be readable.
    SortBy,
    /// SORT GET, which needs all keys to be readable.
    SortGet,
    /// To compare all its keys and channels with the user's patterns takes more than one judgement may.
    Effort,
}

impl From<Unextractable> for AclDenial {
    fn from(_: Unextractable) -> AclDenial {
        AclDenial::Unextractable
    }
}

impl AclDenial {
    /// How far the request got (database, command, key, channel), then the argument it got to.
    fn progress(self) -> (u8, usize) {
        match self {
            AclDenial::Database { index } => (0, index),
            AclDenial::Command => (1, 0),
            AclDenial::Unextractable => (2, 0),
            AclDenial::Key { index } => (2, index),
            AclDenial::Channel { index } => (3, index),
            AclDenial::SortBy | AclDenial::SortGet => (4, 0),
            AclDenial::Effort => (5, 0),
        }
    }
}

impl User {
    /// Whether the user may run a request whose command is `spec`, with `db` selected (`None`: not known).
    ///
    /// Whether the user is enabled is not asked here: it decides about logging in.
    ///
    /// # Errors
    /// Why not (Redis: `ACLCheckAllUserCommandPerm`).
    #[inline]
    pub fn check(&self, spec: &CommandSpec, argv: &Argv<'_>, db: Option<u32>) -> Result<(), AclDenial> {
        self.check_within(spec, argv, db, &Effort::default())
    }

    /// As [`check`](User::check), of several questions that together may cost what one may.
    ///
    /// # Errors
    /// As `check`.
    #[inline]
    pub fn check_within(
        &self,
        spec: &CommandSpec,
        argv: &Argv<'_>,
        db: Option<u32>,
        effort: &Effort,
    ) -> Result<(), AclDenial> {
        self.judge(&Question { spec, argv, db, scope: Scope::Whole, sort_patterns: true, effort })
    }

    /// As [`check`](User::check) when only the first [`CommandSpec::decided_by`] arguments have arrived. What passes
    /// here passes whatever follows.
    ///
    /// # Errors
    /// As `check`, and `Unextractable` if the arguments so far do not decide.
    pub fn check_prefix(
        &self,
        spec: &CommandSpec,
        prefix: &Argv<'_>,
        db: Option<u32>,
        effort: &Effort,
    ) -> Result<(), AclDenial> {
        match spec.decided_by() {
            Some(needed) if prefix.len() >= needed => {
                self.judge(&Question { spec, argv: prefix, db, scope: Scope::Prefix, sort_patterns: true, effort })
            }
            _ => Err(AclDenial::Unextractable),
        }
    }

    /// As `ACL DRYRUN` answers: like [`check`](User::check), but for the BY and GET of SORT, which servers judge only
    /// when they run it.
    ///
    /// # Errors
    /// Why not.
    pub fn dry_run(&self, spec: &CommandSpec, argv: &Argv<'_>, db: Option<u32>) -> Result<(), AclDenial> {
        self.dry_run_within(spec, argv, db, &Effort::default())
    }

    /// As [`dry_run`](User::dry_run), where what it costs is asked for.
    ///
    /// # Errors
    /// Why not.
    pub fn dry_run_within(
        &self,
        spec: &CommandSpec,
        argv: &Argv<'_>,
        db: Option<u32>,
        effort: &Effort,
    ) -> Result<(), AclDenial> {
        self.judge(&Question { spec, argv, db, scope: Scope::Whole, sort_patterns: false, effort })
    }

    #[inline]
    fn judge(&self, question: &Question<'_>) -> Result<(), AclDenial> {
        let mut furthest: Option<AclDenial> = None;
        for selector in &self.selectors {
            match selector.judge(question) {
                Ok(()) => return Ok(()),
                Err(denial) if furthest.is_none_or(|known| denial.progress() > known.progress()) => {
                    furthest = Some(denial);
                }
                Err(_) => {}
            }
        }
        Err(furthest.unwrap_or(AclDenial::Command))
    }
}

struct Question<'a> {
    spec: &'a CommandSpec,
    argv: &'a Argv<'a>,
    db: Option<u32>,
    scope: Scope,
    sort_patterns: bool,
    effort: &'a Effort,
}

impl Selector {
    /// What this selector alone says.
    pub(super) fn check(&self, spec: &CommandSpec, argv: &Argv<'_>, db: Option<u32>) -> Result<(), AclDenial> {
        let effort = &Effort::default();
        self.judge(&Question { spec, argv, db, scope: Scope::Whole, sort_patterns: true, effort })
    }

    #[inline]
    fn judge(&self, question: &Question<'_>) -> Result<(), AclDenial> {
        let Question { spec, argv, db, scope, sort_patterns, effort } = *question;
        if self.databases != Databases::All {
            self.judge_databases(spec, argv, db)?;
        }
        if !self.commands.allows(spec, argv.get(1)) {
            return Err(AclDenial::Command);
        }
        if !self.keys.all && spec.has_keys() {
            // Where keys are among options, each argument is looked at.
            effort.spend(argv.len() as u64);
            spec.try_keys(argv, scope, |key| {
                let name = argv.get(key.index).ok_or(AclDenial::Unextractable)?;
                match self.keys.allow(name, key.access, effort) {
                    _ if effort.is_used_up() => Err(AclDenial::Effort),
                    true => Ok(()),
                    false => Err(AclDenial::Key { index: key.index }),
                }
            })?;
            if sort_patterns && !self.keys.all_readable() {
                judge_sort_patterns(spec, argv)?;
            }
        }
        if !self.channels.all && spec.channels() != ChannelUse::None {
            self.judge_channels(spec, argv, effort)?;
        }
        Ok(())
    }

    fn judge_databases(&self, spec: &CommandSpec, argv: &Argv<'_>, db: Option<u32>) -> Result<(), AclDenial> {
        if self.databases.are_foreign() {
            return if spec.is_no_auth() { Ok(()) } else { Err(AclDenial::Command) };
        }
        let named = spec.try_databases(argv, |named| match self.databases.allow(named.database) {
            true => Ok(()),
            false => Err(AclDenial::Database { index: named.index }),
        });
        match named {
            Err(AclDenial::Unextractable) => return Err(AclDenial::Database { index: 0 }),
            other => other?,
        }
        let allowed = match spec.database() {
            DatabaseNeed::None => true,
            DatabaseNeed::Selected => db.is_some_and(|db| self.databases.allow(db)),
            DatabaseNeed::All => false,
        };
        if allowed { Ok(()) } else { Err(AclDenial::Database { index: 0 }) }
    }

    fn judge_channels(&self, spec: &CommandSpec, argv: &Argv<'_>, effort: &Effort) -> Result<(), AclDenial> {
        let count = if spec.channels() == ChannelUse::First { 1 } else { usize::MAX };
        for (index, channel) in argv.iter_from(1).take(count) {
            let is_allowed = match spec.channels() {
                ChannelUse::AllPatterns => self.channels.allow_pattern(channel, effort),
                _ => self.channels.allow(channel, effort),
            };
            match is_allowed {
                _ if effort.is_used_up() => return Err(AclDenial::Effort),
                true => {}
                false => return Err(AclDenial::Channel { index }),
            }
        }
        Ok(())
    }
}

/// BY with a `*` and any GET read keys that the request does not name. Any argument that could be the option is one.
fn judge_sort_patterns(spec: &CommandSpec, argv: &Argv<'_>) -> Result<(), AclDenial> {
    if !matches!(spec.full_name(), "sort" | "sort_ro") {
        return Ok(());
    }
    for (index, option) in argv.iter_from(2) {
        let Some(pattern) = argv.get(index + 1) else { break };
        if option.eq_ignore_ascii_case(b"by") && pattern.contains(&b'*') {
            return Err(AclDenial::SortBy);
        }
        if option.eq_ignore_ascii_case(b"get") {
            return Err(AclDenial::SortGet);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;

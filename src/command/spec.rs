//! One command: what it is called, how many arguments it takes, what it may touch.

use std::borrow::Cow;

use super::argv::Argv;
use super::category::Categories;
use super::database::DatabaseNeed;
use super::keyspec::{KeySpec, KeyUse, Scope, Unextractable};
use super::movable::Extractor;
use super::role::Role;

/// Position in the table, and in the bitsets of users. Those of built-in commands stay when a table is extended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CommandId(pub(super) u16);

impl CommandId {
    /// The position as a number.
    #[inline]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// One command or subcommand.
#[derive(Clone, Debug)]
pub struct CommandSpec {
    pub(super) id: CommandId,
    /// Lower case; of a subcommand `container|subcommand`.
    pub(super) full_name: Cow<'static, str>,
    /// Where in the full name its last word begins.
    pub(super) name_at: usize,
    pub(super) parent: Option<CommandId>,
    pub(super) has_subcommands: bool,
    /// Redis's arity: exact, or a minimum if negative; the command name counts.
    pub(super) arity: i32,
    /// [`F`] bits.
    pub(super) flags: u32,
    pub(super) categories: Categories,
    /// Those that its flags imply. The server does not put the commands of modules into them.
    pub(super) implied: Categories,
    pub(super) database: DatabaseNeed,
    pub(super) keys: Cow<'static, [KeySpec]>,
    pub(super) extractor: Extractor,
    pub(super) channels: ChannelUse,
    pub(super) role: Role,
    /// From the table this program came with, not from an upstream.
    pub(super) builtin: bool,
}

/// Which arguments are channels that the ACL judges. The UNSUBSCRIBE family is never judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChannelUse {
    /// None.
    None,
    /// The first argument.
    First,
    /// All arguments.
    All,
    /// All arguments are patterns, compared literally with those the user holds.
    AllPatterns,
}

/// Flags of a command.
pub(super) struct F;

impl F {
    pub(super) const WRITE: u32 = 1;
    pub(super) const READONLY: u32 = 1 << 1;
    pub(super) const DENYOOM: u32 = 1 << 2;
    pub(super) const MODULE: u32 = 1 << 3;
    pub(super) const ADMIN: u32 = 1 << 4;
    pub(super) const PUBSUB: u32 = 1 << 5;
    pub(super) const NOSCRIPT: u32 = 1 << 6;
    pub(super) const BLOCKING: u32 = 1 << 7;
    pub(super) const LOADING: u32 = 1 << 8;
    pub(super) const STALE: u32 = 1 << 9;
    pub(super) const SKIP_MONITOR: u32 = 1 << 10;
    pub(super) const SKIP_SLOWLOG: u32 = 1 << 11;
    pub(super) const ASKING: u32 = 1 << 12;
    pub(super) const FAST: u32 = 1 << 13;
    pub(super) const NO_AUTH: u32 = 1 << 14;
    pub(super) const MAY_REPLICATE: u32 = 1 << 15;
    pub(super) const NO_MANDATORY_KEYS: u32 = 1 << 16;
    pub(super) const NO_ASYNC_LOADING: u32 = 1 << 17;
    pub(super) const NO_MULTI: u32 = 1 << 18;
    pub(super) const MOVABLEKEYS: u32 = 1 << 19;
    pub(super) const ALLOW_BUSY: u32 = 1 << 20;

    /// By the name COMMAND gives it. A flag we do not know has no bit.
    pub(super) fn named(name: &str) -> u32 {
        match name {
            "write" => F::WRITE,
            "readonly" => F::READONLY,
            "denyoom" => F::DENYOOM,
            "module" => F::MODULE,
            "admin" => F::ADMIN,
            "pubsub" => F::PUBSUB,
            "noscript" => F::NOSCRIPT,
            "blocking" => F::BLOCKING,
            "loading" => F::LOADING,
            "stale" => F::STALE,
            "skip_monitor" => F::SKIP_MONITOR,
            "skip_slowlog" | "skip_commandlog" => F::SKIP_SLOWLOG,
            "asking" => F::ASKING,
            "fast" => F::FAST,
            "no_auth" => F::NO_AUTH,
            "may_replicate" => F::MAY_REPLICATE,
            "no_mandatory_keys" => F::NO_MANDATORY_KEYS,
            "no_async_loading" => F::NO_ASYNC_LOADING,
            "no_multi" => F::NO_MULTI,
            "movablekeys" => F::MOVABLEKEYS,
            "allow_busy" => F::ALLOW_BUSY,
            _ => 0,
        }
    }
}

impl CommandSpec {
    /// Position in the table.
    #[inline]
    pub fn id(&self) -> CommandId {
        self.id
    }

    /// `get`, `config|get`.
    pub fn full_name(&self) -> &str {
        &self.full_name
    }

    /// The last word of the full name: `get` of `config|get`.
    #[inline]
    pub fn name(&self) -> &str {
        &self.full_name[self.name_at..]
    }

    /// The container of a subcommand.
    #[inline]
    pub fn parent(&self) -> Option<CommandId> {
        self.parent
    }

    /// A container: its first argument is a subcommand.
    #[inline]
    pub fn has_subcommands(&self) -> bool {
        self.has_subcommands
    }

    /// In the table this program came with; otherwise a live upstream told of it.
    pub fn is_builtin(&self) -> bool {
        self.builtin
    }

    /// How a session or policy treats it.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Redis's arity: exact, or a minimum if negative; the command name counts.
    pub fn arity(&self) -> i32 {
        self.arity
    }

    /// `argc` arguments, the name included, are a number the command takes.
    pub fn arity_ok(&self, argc: usize) -> bool {
        let wanted = usize::try_from(self.arity.unsigned_abs()).unwrap_or(usize::MAX);
        if self.arity < 0 { argc >= wanted } else { argc == wanted }
    }

    /// Categories it is in: what grants one of these grants it.
    pub fn categories(&self) -> Categories {
        self.categories
    }

    /// The same and those that its flags imply: what takes away or blocks one of these concerns it, too.
    pub fn implied_categories(&self) -> Categories {
        self.categories | self.implied
    }

    /// What it needs of the databases (none of it known on a table of Redis).
    #[inline]
    pub fn database(&self) -> DatabaseNeed {
        self.database
    }

    /// Which of its arguments are channels.
    #[inline]
    pub fn channels(&self) -> ChannelUse {
        self.channels
    }

    /// It has keys, or may have.
    #[inline]
    pub fn has_keys(&self) -> bool {
        self.extractor != Extractor::None
    }

    /// Calls `visit` for each key of a request, in no promised order, and stops at its first error.
    ///
    /// # Errors
    /// What `visit` returns; [`Unextractable`] if the keys cannot be told, possibly after some were visited.
    #[inline]
    pub fn try_keys<E: From<Unextractable>>(
        &self,
        argv: &Argv<'_>,
        scope: Scope,
        mut visit: impl FnMut(KeyUse) -> Result<(), E>,
    ) -> Result<(), E> {
        self.extractor.try_keys(&self.keys, argv, scope, &mut visit)
    }

    /// Number of leading arguments that decide its keys, channels and databases, whatever follows, so that a verdict
    /// can come before a large last argument has arrived; `None` if later arguments can matter.
    ///
    /// At least 2, because of first-argument rules. SET counts with its strictest reading, as if it had GET.
    pub fn decided_by(&self) -> Option<usize> {
        if !matches!(self.role, Role::Ordinary | Role::Publish | Role::Spublish) || self.names_databases() {
            return None;
        }
        let keys = match self.extractor {
            Extractor::None => Some(1),
            Extractor::One(key) => Some(key.index.max(1)),
            Extractor::Set | Extractor::BitField => Some(1),
            Extractor::Specs => {
                self.keys.iter().filter(|spec| spec.is_key()).try_fold(1, |end, spec| Some(end.max(spec.fixed_last()?)))
            }
            _ => None,
        }?;
        match self.channels {
            ChannelUse::None | ChannelUse::First => Some(keys + 1),
            ChannelUse::All | ChannelUse::AllPatterns => None,
        }
    }

    /// May block its client.
    pub fn is_blocking(&self) -> bool {
        self.has(F::BLOCKING)
    }

    /// Reads the keyspace.
    pub fn is_readonly(&self) -> bool {
        self.has(F::READONLY)
    }

    /// Writes it.
    pub fn is_write(&self) -> bool {
        self.has(F::WRITE)
    }

    /// Administrative.
    pub fn is_admin(&self) -> bool {
        self.has(F::ADMIN)
    }

    /// Runs on a replica with stale data.
    pub fn is_stale(&self) -> bool {
        self.has(F::STALE)
    }

    /// Allowed before authentication, and to everyone: AUTH, HELLO, QUIT, RESET.
    #[inline]
    pub fn is_no_auth(&self) -> bool {
        self.has(F::NO_AUTH)
    }

    /// Refused inside MULTI.
    pub fn is_no_multi(&self) -> bool {
        self.has(F::NO_MULTI)
    }

    /// Takes that flag away.
    pub(super) fn allow_in_multi(&mut self) {
        self.flags &= !F::NO_MULTI;
    }

    #[inline]
    fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}

impl ChannelUse {
    pub(super) fn of(full_name: &str) -> ChannelUse {
        match full_name {
            "publish" | "spublish" => ChannelUse::First,
            "subscribe" | "ssubscribe" => ChannelUse::All,
            "psubscribe" => ChannelUse::AllPatterns,
            _ => ChannelUse::None,
        }
    }
}

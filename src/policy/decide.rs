//! The judgement itself.

use super::rename::UpstreamName;
use super::{Denial, LocalCommand, Permit, Policy, Verdict};
use crate::acl::{AclDenial, Effort, User, texts};
use crate::command::{Argv, ArgvBuf, CommandSpec, Dialect, Role, Unresolved};

const NOT_LOGGED_IN: &str = "NOAUTH Authentication required.";

/// Stands behind the name or the sentence of a refusal that the blocklist decided, so that nobody looks for it in the ACL.
pub const BY_BLOCKLIST: &str = " (blocked by respgate)";

/// What a session is doing, as far as it limits what it may say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionMode {
    /// MULTI is open.
    pub in_transaction: bool,
    /// Subscribed under RESP2, where replies and messages share one stream.
    pub subscriber: bool,
    /// MONITOR is running.
    pub monitoring: bool,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Requester<'a> {
    /// The user, once there is one.
    pub user: Option<&'a User>,
    /// What the session is doing.
    pub mode: SessionMode,
    /// The selected database, where it is known.
    pub database: Option<u32>,
    /// What the judgement may cost.
    pub effort: &'a Effort,
}

impl Policy {
    /// Judges a request that is here in full.
    pub fn decide<'p>(&'p self, requester: Requester<'_>, argv: &Argv<'_>) -> Verdict<'p> {
        let verdict = self.verdict(requester, argv, argv.len(), |user, spec| {
            user.check_within(spec, argv, requester.database, requester.effort)
        });
        match verdict {
            Verdict::Forward(permit) if makes_a_primary(permit.spec(), argv) => {
                let same = ArgvBuf::from_iter(["REPLICAOF", "NO", "ONE"]);
                match self.decide(requester, &same.as_argv()) {
                    Verdict::Forward(_) => Verdict::Forward(permit),
                    refused => refused,
                }
            }
            verdict => verdict,
        }
    }

    /// Judges a request of `argc` arguments by its first ones, as if whatever follows needed the most access it could.
    /// `None` while the arguments in `prefix` do not suffice for that.
    pub fn decide_by_prefix<'p>(
        &'p self,
        requester: Requester<'_>,
        prefix: &Argv<'_>,
        argc: usize,
    ) -> Option<Verdict<'p>> {
        if let Ok(spec) = self.table.resolve(prefix)
            && spec.decided_by().is_none_or(|needed| prefix.len() < needed)
        {
            return None;
        }
        let verdict = self.verdict(requester, prefix, argc, |user, spec| {
            user.check_prefix(spec, prefix, requester.database, requester.effort)
        });
        match verdict {
            Verdict::Local(_) => None,
            verdict => Some(verdict),
        }
    }

    fn verdict<'p>(
        &'p self,
        requester: Requester<'_>,
        argv: &Argv<'_>,
        argc: usize,
        acl_check: impl FnOnce(&User, &CommandSpec) -> Result<(), AclDenial>,
    ) -> Verdict<'p> {
        let spec = match self.table.resolve(argv) {
            Ok(spec) => spec,
            Err(Unresolved::Command) => return Verdict::Deny(self.unknown(argv)),
            Err(Unresolved::Subcommand(parent)) => return Verdict::Deny(Denial::UnknownSubcommand(parent)),
        };
        let local = answered_here(spec.role());
        let upstream_name = match self.renames.upstream_name(spec) {
            // What is answered here needs no name there, but CLIENT and HELLO are to be known only where Redis knows them.
            _ if local && !matches!(spec.role(), Role::Hello | Role::ClientReply) => None,
            UpstreamName::Same => None,
            UpstreamName::Renamed(name) => Some(name),
            UpstreamName::Disabled => return Verdict::Deny(Denial::Disabled(spec)),
        };
        if !spec.arity_ok(argc) {
            return Verdict::Deny(Denial::Arity(spec));
        }
        let mode = requester.mode;
        let opens_a_session = matches!(spec.role(), Role::Auth | Role::Hello | Role::Quit | Role::Reset);
        let Some(user) = requester.user else {
            return if opens_a_session {
                Verdict::Local(LocalCommand { spec })
            } else {
                Verdict::Deny(Denial::Unauthenticated(spec))
            };
        };
        if mode.in_transaction && spec.is_no_multi() {
            return Verdict::Deny(Denial::InTransaction(spec));
        }
        if self.blocks(user, spec, argv, argc, mode.in_transaction) {
            return Verdict::Deny(Denial::Blocked(spec));
        }
        if let Err(denial) = acl_check(user, spec) {
            return Verdict::Deny(Denial::Acl(spec, denial));
        }
        if holds_nul_keyword(spec, argv) {
            return Verdict::Deny(Denial::NulInKeyword(spec));
        }
        if !is_supported(spec.role()) {
            return Verdict::Deny(Denial::Unsupported(spec));
        }
        // Redis would queue these, so whoever may not even run them hears what Redis would say.
        if mode.in_transaction && !fits_a_transaction(spec.role()) {
            return Verdict::Deny(Denial::InTransaction(spec));
        }
        if mode.subscriber && !fits_a_subscriber(spec.role()) {
            return Verdict::Deny(Denial::Subscriber(spec));
        }
        if mode.monitoring && !matches!(spec.role(), Role::Quit | Role::Reset) {
            return Verdict::Deny(Denial::Monitor(spec));
        }
        if local { Verdict::Local(LocalCommand { spec }) } else { Verdict::Forward(Permit::new(spec, upstream_name)) }
    }

    /// A request whose name is not in the table: an attempt at one that `rename-command` was to hide, or any other.
    fn unknown(&self, argv: &Argv<'_>) -> Denial<'_> {
        let hidden = argv.get(0).and_then(|name| self.renames.renamed_to(name));
        hidden.and_then(|id| self.table.get(id)).map_or(Denial::UnknownCommand, Denial::Renamed)
    }

    /// What the upstream calls a command that the proxy itself sends; `None` if it has no such command.
    pub fn upstream_name<'a>(&'a self, original: &'a str) -> Option<&'a [u8]> {
        match self.renames.upstream_name(self.table.by_name(&original.to_ascii_lowercase())?) {
            UpstreamName::Same => Some(original.as_bytes()),
            UpstreamName::Renamed(name) => Some(name),
            UpstreamName::Disabled => None,
        }
    }

    /// The error that tells the client of a denial, without the leading `-` and the line end. Of a denied EXEC Redis says
    /// what becomes of the transaction [rejectCommand].
    pub fn denial_text(&self, denial: &Denial<'_>, user: Option<&User>, argv: &Argv<'_>) -> String {
        let reason = self.reason_text(denial, user, argv);
        match denial.spec().map(CommandSpec::role) {
            Some(Role::Exec) => {
                let reason = reason.strip_prefix("ERR ").unwrap_or(&reason);
                format!("EXECABORT Transaction discarded because of: {reason}")
            }
            _ => reason,
        }
    }

    fn reason_text(&self, denial: &Denial<'_>, user: Option<&User>, argv: &Argv<'_>) -> String {
        let acl_text = |spec, denial| match user {
            Some(user) => texts::denial(self.dialect, user.name(), denial, spec),
            None => NOT_LOGGED_IN.to_owned(),
        };
        match denial {
            Denial::UnknownCommand | Denial::Disabled(_) | Denial::Renamed(_) => texts::unknown_command(argv),
            Denial::UnknownSubcommand(parent) => texts::unknown_subcommand(parent, argv),
            Denial::Arity(spec) => texts::wrong_arity(spec),
            Denial::Unauthenticated(_) => NOT_LOGGED_IN.to_owned(),
            Denial::InTransaction(spec) => match self.dialect {
                Dialect::Redis70 | Dialect::Redis72 => "ERR Command not allowed inside a transaction".to_owned(),
                Dialect::Valkey91 => format!("ERR Command '{}' not allowed inside a transaction", spec.full_name()),
            },
            Denial::Unsupported(_) => "ERR respgate: not possible through the proxy".to_owned(),
            Denial::Blocked(spec) => acl_text(spec, AclDenial::Command) + BY_BLOCKLIST,
            Denial::NulInKeyword(spec) => acl_text(spec, AclDenial::Command),
            Denial::Acl(spec, denial) => acl_text(spec, *denial),
            Denial::Subscriber(spec) => format!(
                "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in \
                 this context",
                spec.full_name()
            ),
            Denial::Monitor(spec) => {
                format!("ERR Can't execute '{}': only QUIT / RESET are allowed after MONITOR", spec.full_name())
            }
        }
    }
}

/// `PSYNC id offset FAILOVER`, by which a primary that hands on its role has a replica take it: REPLICAOF NO ONE in other
/// words [syncCommand]. No other argument is known there.
fn makes_a_primary(spec: &CommandSpec, argv: &Argv<'_>) -> bool {
    spec.role() == Role::Psync && argv.len() > 3
}

fn answered_here(role: Role) -> bool {
    matches!(role, Role::Auth | Role::Hello | Role::Quit | Role::Reset | Role::Acl | Role::ClientReply)
}

/// SCRIPT DEBUG makes of what follows EVAL a conversation with Redis's debugger, in which the protocol is another one. Of
/// CLUSTER SYNCSLOTS some has no reply, and some turns the connection into a stream.
fn is_supported(role: Role) -> bool {
    !matches!(role, Role::ScriptDebug | Role::ClusterSyncslots)
}

/// Commands that change how replies are counted would break the frame of the EXEC reply; and what is answered here would
/// have to be done at EXEC, only if that is executed.
fn fits_a_transaction(role: Role) -> bool {
    !role.changes_subscriptions()
        && !matches!(
            role,
            Role::Auth | Role::Hello | Role::Acl | Role::ClientReply | Role::Monitor | Role::Sync | Role::Psync
        )
}

/// The commands of Redis's RESP2 subscriber mode (`processCommand`).
fn fits_a_subscriber(role: Role) -> bool {
    role.changes_subscriptions() || matches!(role, Role::Ping | Role::Quit | Role::Reset)
}

/// Redis compares options with `strcasecmp`, which ends at a NUL: `CLIENT REPLY OFF\0x` is CLIENT REPLY OFF. What the
/// session reads as a keyword must not be read differently by Redis. (HELLO is parsed by us and never passed on.)
fn holds_nul_keyword(spec: &CommandSpec, argv: &Argv<'_>) -> bool {
    spec.parent().is_some()
        && spec.full_name().starts_with("client|")
        && argv.iter().any(|argument| argument.contains(&0))
}

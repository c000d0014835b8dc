//! What a judgement can be.

use std::fmt;

use crate::acl::AclDenial;
use crate::command::{CommandSpec, Role};

/// The judgement on one request. There is no default: it has to be made.
#[must_use]
#[derive(Debug)]
pub enum Verdict<'p> {
    /// Redis may have it.
    Forward(Permit<'p>),
    /// The proxy answers it.
    Local(LocalCommand<'p>),
    /// The client gets an error and Redis nothing.
    Deny(Denial<'p>),
}

/// The right to forward one request. Only [`Policy::decide`](super::Policy::decide) makes one.
#[derive(Debug, Clone, Copy)]
pub struct Permit<'p> {
    spec: &'p CommandSpec,
    upstream_name: Option<&'p [u8]>,
}

impl<'p> Permit<'p> {
    pub(super) fn new(spec: &'p CommandSpec, upstream_name: Option<&'p [u8]>) -> Self {
        Self { spec, upstream_name }
    }

    /// The command that was permitted.
    pub fn spec(&self) -> &'p CommandSpec {
        self.spec
    }

    /// What the upstream calls the command, where it was renamed.
    pub fn upstream_name(&self) -> Option<&'p [u8]> {
        self.upstream_name
    }
}

/// A command that the proxy answers itself.
#[derive(Debug, Clone, Copy)]
pub struct LocalCommand<'p> {
    /// The command, with its subcommand.
    pub spec: &'p CommandSpec,
}

impl LocalCommand<'_> {
    /// Which of the local commands it is.
    pub fn role(&self) -> Role {
        self.spec.role()
    }
}

/// Why a request was refused. `Display` is a stable word for logs and counters, the client's text is made by
/// [`Policy::denial_text`](super::Policy::denial_text).
#[derive(Debug, Clone)]
pub enum Denial<'p> {
    /// No such command, or a renamed one.
    UnknownCommand,
    /// The command has subcommands, and this is none of them.
    UnknownSubcommand(&'p CommandSpec),
    /// Wrong number of arguments.
    Arity(&'p CommandSpec),
    /// Nobody has logged in.
    Unauthenticated(&'p CommandSpec),
    /// Not possible inside MULTI, through this proxy.
    InTransaction(&'p CommandSpec),
    /// Not possible through this proxy, whoever asks.
    Unsupported(&'p CommandSpec),
    /// On the blocklist.
    Blocked(&'p CommandSpec),
    /// The user's ACL does not allow it.
    Acl(&'p CommandSpec, AclDenial),
    /// A RESP2 subscriber may say only a few things.
    Subscriber(&'p CommandSpec),
    /// A monitoring client may only quit or reset.
    Monitor(&'p CommandSpec),
    /// An argument that Redis compares with a keyword holds a NUL byte.
    NulInKeyword(&'p CommandSpec),
}

impl<'p> Denial<'p> {
    /// The command, if it is known.
    pub fn spec(&self) -> Option<&'p CommandSpec> {
        match self {
            Self::UnknownCommand => None,
            Self::UnknownSubcommand(spec)
            | Self::Arity(spec)
            | Self::Unauthenticated(spec)
            | Self::InTransaction(spec)
            | Self::Unsupported(spec)
            | Self::Blocked(spec)
            | Self::Acl(spec, _)
            | Self::Subscriber(spec)
            | Self::Monitor(spec)
            | Self::NulInKeyword(spec) => Some(spec),
        }
    }

    /// Whether this is a refusal that an operator wants to hear of, rather than a client's mistake.
    pub fn is_access_violation(&self) -> bool {
        matches!(self, Self::Unsupported(_) | Self::Blocked(_) | Self::Acl(..) | Self::NulInKeyword(_))
    }
}

impl fmt::Display for Denial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownCommand => "unknown-command",
            Self::UnknownSubcommand(_) => "unknown-subcommand",
            Self::Arity(_) => "arity",
            Self::Unauthenticated(_) => "unauthenticated",
            Self::InTransaction(_) => "in-transaction",
            Self::Unsupported(_) => "unsupported",
            Self::Blocked(_) => "blocked",
            Self::Acl(_, AclDenial::Database { .. }) => "acl-database",
            Self::Acl(_, AclDenial::Command) => "acl-command",
            Self::Acl(_, AclDenial::Key { .. } | AclDenial::Unextractable) => "acl-key",
            Self::Acl(_, AclDenial::Channel { .. }) => "acl-channel",
            Self::Acl(_, AclDenial::SortBy | AclDenial::SortGet) => "acl-sort",
            Self::Subscriber(_) => "subscriber",
            Self::Monitor(_) => "monitor",
            Self::NulInKeyword(_) => "nul-in-keyword",
        })
    }
}

//! What a judgement can be.

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

impl Verdict<'_> {
    /// Whether another verdict on the same request says the same.
    pub fn agrees_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Forward(_), Self::Forward(_)) | (Self::Local(_), Self::Local(_)) => true,
            (Self::Deny(one), Self::Deny(other)) => one.reason() == other.reason(),
            _ => false,
        }
    }
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

/// Why a request was refused. The client's text is made by [`Policy::denial_text`](super::Policy::denial_text).
#[derive(Debug, Clone)]
pub enum Denial<'p> {
    /// No such command.
    UnknownCommand,
    /// The upstream runs this command under no name that is known here. The client is told of none, either.
    Disabled(&'p CommandSpec),
    /// The name is not that of this command, but the one that it was given upstream. The client is not told that it exists.
    Renamed(&'p CommandSpec),
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
    /// The command, if the client may know it.
    pub fn spec(&self) -> Option<&'p CommandSpec> {
        match self {
            Self::Disabled(_) | Self::Renamed(_) => None,
            denial => denial.command(),
        }
    }

    /// The command, if it is known: for the log.
    pub fn command(&self) -> Option<&'p CommandSpec> {
        match self {
            Self::UnknownCommand => None,
            Self::Disabled(spec)
            | Self::Renamed(spec)
            | Self::UnknownSubcommand(spec)
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

    /// The same without the command.
    pub fn reason(&self) -> DenialReason {
        match self {
            Self::UnknownCommand => DenialReason::UnknownCommand,
            Self::Disabled(_) => DenialReason::Disabled,
            Self::Renamed(_) => DenialReason::Renamed,
            Self::UnknownSubcommand(_) => DenialReason::UnknownSubcommand,
            Self::Arity(_) => DenialReason::Arity,
            Self::Unauthenticated(_) => DenialReason::Unauthenticated,
            Self::InTransaction(_) => DenialReason::InTransaction,
            Self::Unsupported(_) => DenialReason::Unsupported,
            Self::Blocked(_) => DenialReason::Blocked,
            Self::Acl(_, denial) => DenialReason::Acl(*denial),
            Self::Subscriber(_) => DenialReason::Subscriber,
            Self::Monitor(_) => DenialReason::Monitor,
            Self::NulInKeyword(_) => DenialReason::NulInKeyword,
        }
    }

    /// Whether this is a refusal that an operator wants to hear of, rather than a client's mistake.
    pub fn is_access_violation(&self) -> bool {
        matches!(
            self,
            Self::Disabled(_)
                | Self::Renamed(_)
                | Self::Unsupported(_)
                | Self::Blocked(_)
                | Self::Acl(..)
                | Self::NulInKeyword(_)
        )
    }
}

/// Why a request was refused, for logs and counters: a [`Denial`] without its command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenialReason {
    /// See [`Denial::UnknownCommand`].
    UnknownCommand,
    /// See [`Denial::Disabled`].
    Disabled,
    /// See [`Denial::Renamed`].
    Renamed,
    /// See [`Denial::UnknownSubcommand`].
    UnknownSubcommand,
    /// See [`Denial::Arity`].
    Arity,
    /// See [`Denial::Unauthenticated`].
    Unauthenticated,
    /// See [`Denial::InTransaction`].
    InTransaction,
    /// See [`Denial::Unsupported`].
    Unsupported,
    /// See [`Denial::Blocked`].
    Blocked,
    /// See [`Denial::Acl`].
    Acl(AclDenial),
    /// See [`Denial::Subscriber`].
    Subscriber,
    /// See [`Denial::Monitor`].
    Monitor,
    /// See [`Denial::NulInKeyword`].
    NulInKeyword,
}

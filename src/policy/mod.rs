//! The verdict on one request: blocklist, state and ACL. Pure.
//!
//! [`Policy`] is everything that is needed to judge a request; [`Policy::decide`] judges it. The order of the checks is
//! that of Redis's `processCommand`, with our blocklist before the ACL.

mod audit_rules;
mod blocklist;
mod decide;
mod mirror;
mod parameters;
mod principal;
mod rename;
mod restriction;
mod shadow;
mod stray;
mod verdict;

use std::collections::HashMap;

pub use self::audit_rules::{AuditRules, KeyNames, RequestKeys};
pub use self::blocklist::{Blocklist, BlocklistError, deciding_entry};
pub use self::decide::{BY_BLOCKLIST, Requester, SessionMode};
pub use self::mirror::ScriptRights;
pub use self::parameters::ConfigParameters;
pub use self::principal::{Admission, Principal, Proof, UserRefusal, UserSettings};
pub use self::rename::{RenameError, Renames};
pub use self::shadow::{ShadowSettings, Shadows};
pub use self::stray::StrayAuth;
pub use self::verdict::{Denial, DenialReason, LocalCommand, Permit, Verdict};
use crate::acl::Acl;
use crate::command::{CommandTable, Dialect};
use crate::identity::CertificateMap;

/// What a trusted certificate that no rule maps to a user is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmapped {
    /// Nothing: the connection is refused.
    Refuse,
    /// Getting in; a password has to say who.
    Password,
}

/// Everything that decides about requests, immutable, replaced as a whole.
#[derive(Clone)]
pub struct Policy {
    /// Counts the policies of this process from 1.
    pub generation: u64,
    /// The number of the first one since which nothing more has been blocked or disabled for anybody: a session that was
    /// under an earlier one may have lost something beside the rights of its user.
    pub restricted_since: u64,
    /// Whose grammar and error texts are followed.
    pub dialect: Dialect,
    /// The commands of the dialect, extended by what the upstream reported.
    pub table: CommandTable,
    /// The users.
    pub acl: Acl,
    /// From certificate to user.
    pub certificates: CertificateMap,
    /// What a certificate without a user is good for.
    pub unmapped: Unmapped,
    /// Settings of users that Redis's ACL language has no words for.
    pub settings: HashMap<String, UserSettings>,
    /// Whether passwords that can make nobody else of a session are ignored, where its user's settings do not say.
    pub ignore_stray_auth: bool,
    /// Commands refused whoever asks.
    pub blocklist: Blocklist,
    /// Commands that the upstream knows under other names.
    pub renames: Renames,
    /// Whose rights scripts have.
    pub script_rights: ScriptRights,
    /// Whose rules are tried out.
    pub shadows: Shadows,
    /// What the audit log is told of requests.
    pub audit: AuditRules,
}

//! Who is at the other end, and whom the session acts for.

use std::net::SocketAddr;
use std::sync::Arc;

use super::close::CloseReason;
use crate::acl::{Effort, User};
use crate::identity::PeerIdentity;
use crate::policy::{Admission, Policy, Principal, Proof, UserRefusal};

/// Who is at the other end.
#[derive(Debug)]
pub struct Peer {
    /// Where the client comes from. An IPv4 address has its own form here, never that of IPv6.
    pub address: SocketAddr,
    /// Its certificate, if it showed one.
    pub certificate: Option<Arc<PeerIdentity>>,
}

/// Whom the session acts for. It always holds under the policy with the number that is kept here: a newer one is asked
/// before anything else is done. It lives as long as the session; RESET begins it anew.
pub(super) struct Who {
    principal: Option<Principal>,
    generation: u64,
    /// Of the commands of that policy.
    table: u64,
}

/// What another policy has made of the user of a session.
pub(super) struct RightsChange {
    former: Arc<User>,
    user: Arc<User>,
    /// The commands of the policy are those of the one before.
    same_table: bool,
    /// It refuses nothing more than that to everybody.
    restricts_nobody: bool,
}

impl RightsChange {
    /// The user as it was.
    pub(super) fn former(&self) -> &User {
        &self.former
    }

    /// Whether all that was allowed still is, as far as the rules tell.
    pub(super) fn keeps_all(&self, effort: &Effort) -> bool {
        self.restricts_nobody && self.user.keeps_rights_of(&self.former, self.same_table, effort)
    }
}

impl Who {
    /// Whom the peer's certificate gives, or nobody yet.
    pub(super) fn admitted(peer: &Peer, policy: &Policy) -> Result<Self, UserRefusal> {
        let principal = match policy.admit(peer.certificate.as_deref(), peer.address.ip()) {
            Admission::User(principal) => Some(principal),
            Admission::Password => None,
            Admission::Refused(reason) => return Err(reason),
        };
        Ok(Self { principal, generation: policy.generation, table: policy.table.identity() })
    }

    pub(super) fn principal(&self) -> Option<&Principal> {
        self.principal.as_ref()
    }

    pub(super) fn user(&self) -> Option<&Arc<User>> {
        self.principal.as_ref().map(|principal| &principal.user)
    }

    pub(super) fn user_name(&self) -> Option<&str> {
        self.user().map(|user| user.name().as_str())
    }

    pub(super) fn is_authenticated(&self) -> bool {
        self.principal.is_some()
    }

    pub(super) fn is_by_certificate(&self) -> bool {
        self.principal.as_ref().is_some_and(|principal| principal.proof == Proof::Certificate)
    }

    /// Whether the policy is the one that this holds under.
    pub(super) fn is_under(&self, policy: &Policy) -> bool {
        self.generation == policy.generation
    }

    /// Returns the user as whom it acted before.
    pub(super) fn log_in(&mut self, principal: Principal) -> Option<Arc<User>> {
        self.principal.replace(principal).map(|former| former.user)
    }

    /// Goes on under another policy. `own` is the number of one that this session made itself. Says what that makes
    /// of the user, if there is one.
    ///
    /// # Errors
    /// The right behind the session has gone.
    pub(super) fn renew(
        &mut self,
        peer: &Peer,
        policy: &Policy,
        own: Option<u64>,
    ) -> Result<Option<RightsChange>, CloseReason> {
        let before = std::mem::replace(&mut self.generation, policy.generation);
        let same_table = std::mem::replace(&mut self.table, policy.table.identity()) == policy.table.identity();
        if self.is_named_only_now(peer, policy) {
            return Err(CloseReason::IdentityChanged);
        }
        let (certificate, address) = (peer.certificate.as_deref(), peer.address.ip());
        let Some(principal) = &self.principal else {
            return match policy.admit(certificate, address) {
                Admission::Refused(reason) => Err(CloseReason::Revoked(reason)),
                Admission::User(_) | Admission::Password => Ok(None),
            };
        };
        let renewed = match own {
            // What others have changed before the own edit has still to be looked at.
            Some(own) if own == policy.generation && own == before + 1 => {
                policy.renew_editor(principal, certificate, address)
            }
            _ => policy.renew(principal, certificate, address),
        };
        let renewed = renewed.map_err(CloseReason::Revoked)?;
        let (former, user) = (Arc::clone(&principal.user), Arc::clone(&renewed.user));
        self.principal = Some(renewed);
        Ok(Some(RightsChange { former, user, same_table, restricts_nobody: before >= policy.restricted_since }))
    }

    /// Whether the session has proven nothing so far, and its certificate names somebody under this policy: it would go on
    /// as whom nobody may be who comes with that certificate today.
    fn is_named_only_now(&self, peer: &Peer, policy: &Policy) -> bool {
        let has_proven = self.principal.as_ref().is_some_and(|principal| principal.proof != Proof::Nopass);
        let named = || policy.admit(peer.certificate.as_deref(), peer.address.ip());
        !has_proven && matches!(named(), Admission::User(Principal { proof: Proof::Certificate, .. }))
    }
}

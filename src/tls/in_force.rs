//! What of a listener's trust is in force, as far as the next generation goes by it.

use rustls::pki_types::CertificateDer;

use super::authority::Authority;
use super::editions::Editions;
use crate::identity::Fingerprint;

/// The client CAs, pinned keys and CRLs of one listener.
#[derive(Clone, Default, PartialEq)]
pub struct InForce {
    /// The client CAs, those among them that are revoked as well.
    pub(super) authorities: Vec<Authority>,
    /// One client CA of each name and key that there has been: what it has signed is known to be its.
    pub(super) signers: Vec<Authority>,
    /// As SHA-256 of their SubjectPublicKeyInfo.
    pub(super) pinned_keys: Vec<Fingerprint>,
    pub(super) editions: Editions,
    /// Client CAs of the file that a CRL has revoked.
    pub(super) revoked: Vec<CertificateDer<'static>>,
}

/// Whom a new generation trusts of those who are new. They come into force with the rules that confine them, and no sooner;
/// who is trusted no longer goes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewTrust {
    /// Client CAs and pinned keys may come, and certificates that were revoked come back. Otherwise they wait.
    pub may_come: bool,
    /// The client CAs are those that are trusted already, whatever the file says.
    pub keeps_authorities: bool,
}

impl Default for NewTrust {
    /// As the files say.
    fn default() -> NewTrust {
        NewTrust { may_come: true, keeps_authorities: false }
    }
}

impl InForce {
    /// Nothing, as before a start.
    pub const NOTHING: Self = Self {
        authorities: Vec::new(),
        signers: Vec::new(),
        pinned_keys: Vec::new(),
        editions: Editions::NONE,
        revoked: Vec::new(),
    };

    /// Whether the key, as SHA-256 of its SubjectPublicKeyInfo, is that of a client CA.
    pub fn has_authority(&self, key: &Fingerprint) -> bool {
        self.authorities.iter().any(|authority| authority.key() == *key)
    }

    /// Whether both trust the same client CAs and pinned keys, and have read the same CRLs.
    pub fn has_same_trust_as(&self, other: &InForce) -> bool {
        self.authorities == other.authorities
            && self.pinned_keys == other.pinned_keys
            && self.editions == other.editions
    }

    /// Of this only what was revoked, while nobody is asked for a certificate: it is so still when somebody is again.
    #[must_use]
    pub fn revocations(&self) -> InForce {
        let Self { signers, editions, revoked, .. } = self.clone();
        InForce { signers, editions, revoked, ..InForce::default() }
    }

    /// All that there has been by now.
    pub(super) fn signers_with(&self, authorities: &[Authority]) -> Vec<Authority> {
        let mut signers = self.signers.clone();
        for authority in authorities {
            if !signers.iter().any(|known| known.is(authority)) {
                signers.push(authority.clone());
            }
        }
        signers
    }
}

/// A client CA that another CA has issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subordinate {
    /// Its name, for people.
    pub name: String,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub key: Fingerprint,
}

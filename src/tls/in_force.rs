//! What of a listener's trust is in force, as far as the next generation goes by it.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;

use super::revocation::UsableList;
use crate::identity::Fingerprint;

/// The client CAs, pinned keys and CRLs of one listener.
#[derive(Default)]
pub struct InForce {
    /// The client CAs, those among them that are revoked as well.
    pub(super) authorities: Vec<CertificateDer<'static>>,
    /// Their keys, as SHA-256 of their SubjectPublicKeyInfo.
    pub(super) authority_keys: Vec<Fingerprint>,
    pub(super) pinned_keys: Vec<Fingerprint>,
    /// CRLs that one of the client CAs has signed.
    pub(super) lists: Vec<Edition>,
    /// Client CAs of the file that a CRL has revoked.
    pub(super) revoked: Vec<CertificateDer<'static>>,
}

/// Whom a new generation trusts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Admission {
    /// Which client CAs.
    pub authorities: Admit,
    /// Which pinned keys.
    pub pins: Admit,
}

/// Which client CAs and pinned keys a new generation trusts. They come into force with the rules that confine them, and no
/// sooner; they go at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Admit {
    /// Those of the file.
    #[default]
    OfFile,
    /// Those of the file that are trusted already.
    KnownOfFile,
    /// Those that are trusted already, whatever the file says.
    Known,
}

impl InForce {
    /// Nothing, as before a start.
    pub const NOTHING: Self = Self {
        authorities: Vec::new(),
        authority_keys: Vec::new(),
        pinned_keys: Vec::new(),
        lists: Vec::new(),
        revoked: Vec::new(),
    };

    /// Whether the key, as SHA-256 of its SubjectPublicKeyInfo, is that of a client CA.
    pub fn has_authority(&self, key: &Fingerprint) -> bool {
        self.authority_keys.contains(key)
    }

    /// Whether both trust the same client CAs and pinned keys.
    pub fn has_same_trust_as(&self, other: &InForce) -> bool {
        self.authorities == other.authorities && self.pinned_keys == other.pinned_keys
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

/// An edition of a CRL that a client CA has signed.
#[derive(Clone)]
pub(super) struct Edition {
    /// That CA. It may have left the file since.
    pub(super) signer: CertificateDer<'static>,
    /// Its key, which stays when its certificate is renewed, as SHA-256 of its SubjectPublicKeyInfo.
    pub(super) key: Fingerprint,
    pub(super) usable: Arc<UsableList>,
}

impl Edition {
    /// Whether both are editions of the same list: of one CA under one name, about the same part of what it has issued.
    pub(super) fn is_of_same_list(&self, other: &Edition) -> bool {
        let (own, others) = (&self.usable.list, &other.usable.list);
        self.key == other.key && own.scope == others.scope && own.issuer.canonical() == others.issuer.canonical()
    }

    /// By their numbers, or, where one has none or they are the same, by when they were made.
    pub(super) fn is_older_than(&self, other: &Edition) -> bool {
        let (own, others) = (&self.usable.list, &other.usable.list);
        match (&own.number, &others.number) {
            (Some(own), Some(others)) if own != others => (own.len(), own) < (others.len(), others),
            _ => own.this_update < others.this_update,
        }
    }
}

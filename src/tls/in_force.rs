//! What of a listener's trust is in force, as far as the next generation goes by it.

use rustls::pki_types::CertificateDer;

use crate::identity::Fingerprint;
use crate::identity::x509::{CanonicalName, RevocationList};

/// The client CAs, pinned keys and CRLs of one listener.
#[derive(Default)]
pub struct InForce {
    /// The client CAs, those among them that are revoked as well.
    pub(super) authorities: Vec<CertificateDer<'static>>,
    pub(super) pinned_keys: Vec<Fingerprint>,
    pub(super) lists: Vec<Edition>,
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
    pub const NOTHING: Self = Self { authorities: Vec::new(), pinned_keys: Vec::new(), lists: Vec::new() };

    /// How many client CAs there are.
    pub fn authorities(&self) -> usize {
        self.authorities.len()
    }

    /// Whether both trust the same client CAs and pinned keys.
    pub fn trusts_whom(&self, other: &InForce) -> bool {
        self.authorities == other.authorities && self.pinned_keys == other.pinned_keys
    }
}

/// A client CA that another client CA has issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subordinate {
    /// Its name, for people.
    pub name: String,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub key: Fingerprint,
    /// That of the other.
    pub issuer: Fingerprint,
}

/// Which edition of which CRL this is.
pub(super) struct Edition {
    issuer: CanonicalName,
    /// Extensions that tell the lists of one issuer apart, DER: of which key, and for which part of what it has issued.
    authority_key: Option<Vec<u8>>,
    scope: Option<Vec<u8>>,
    number: Option<Vec<u8>>,
    this_update: i64,
}

impl Edition {
    pub(super) fn of(list: &RevocationList) -> Edition {
        Edition {
            issuer: list.issuer.canonical(),
            authority_key: list.authority_key.clone(),
            scope: list.scope.clone(),
            number: list.number.clone(),
            this_update: list.this_update,
        }
    }

    /// Whether both are editions of the same list.
    pub(super) fn is_of_same_list(&self, other: &Edition) -> bool {
        (&self.issuer, &self.authority_key, &self.scope) == (&other.issuer, &other.authority_key, &other.scope)
    }

    /// By their numbers, or, where one has none, by when they were made.
    pub(super) fn is_older_than(&self, other: &Edition) -> bool {
        match (&self.number, &other.number) {
            (Some(own), Some(others)) => (own.len(), own) < (others.len(), others),
            _ => self.this_update < other.this_update,
        }
    }
}

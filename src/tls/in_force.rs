//! What of a listener's trust is in force, as far as the next generation goes by it.

use rustls::pki_types::CertificateDer;

use crate::identity::Fingerprint;
use crate::identity::x509::{CanonicalName, RevocationList};

/// The client CAs, pinned keys and CRLs of one listener.
#[derive(Default)]
pub struct InForce {
    /// The client CAs, those among them that are revoked as well.
    pub(super) authorities: Vec<CertificateDer<'static>>,
    /// Their keys, as SHA-256 of their SubjectPublicKeyInfo.
    pub(super) authority_keys: Vec<Fingerprint>,
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
    pub const NOTHING: Self =
        Self { authorities: Vec::new(), authority_keys: Vec::new(), pinned_keys: Vec::new(), lists: Vec::new() };

    /// Whether the key, as SHA-256 of its SubjectPublicKeyInfo, is that of a client CA.
    pub fn has_authority(&self, key: &Fingerprint) -> bool {
        self.authority_keys.contains(key)
    }

    /// Whether both trust the same client CAs and pinned keys.
    pub fn trusts_whom(&self, other: &InForce) -> bool {
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

/// Which edition of which CRL this is.
#[derive(Clone)]
pub(super) struct Edition {
    source: Source,
    /// The issuingDistributionPoint, DER: for which part of what the CA has issued.
    scope: Option<Vec<u8>>,
    number: Option<Vec<u8>>,
    this_update: i64,
}

/// Whose list it is.
#[derive(Clone, PartialEq, Eq)]
enum Source {
    /// The client CA of this key has signed it.
    Authority(Fingerprint),
    /// Nobody here can tell who has. The name and the authorityKeyIdentifier, DER, that it bears.
    Named(CanonicalName, Option<Vec<u8>>),
}

impl Edition {
    /// `signer` is the key of the client CA that has signed it.
    pub(super) fn of(list: &RevocationList, signer: Option<Fingerprint>) -> Edition {
        let named = || Source::Named(list.issuer.canonical(), list.authority_key.clone());
        Edition {
            source: signer.map_or_else(named, Source::Authority),
            scope: list.scope.clone(),
            number: list.number.clone(),
            this_update: list.this_update,
        }
    }

    /// Whether both are editions of the same list.
    pub(super) fn is_of_same_list(&self, other: &Edition) -> bool {
        (&self.source, &self.scope) == (&other.source, &other.scope)
    }

    /// Whether it is by this client CA, and about all that it has issued.
    pub(super) fn is_whole_of(&self, authority: &Fingerprint) -> bool {
        self.source == Source::Authority(*authority) && self.scope.is_none()
    }

    /// By their numbers, or, where one has none, by when they were made.
    pub(super) fn is_older_than(&self, other: &Edition) -> bool {
        match (&self.number, &other.number) {
            (Some(own), Some(others)) => (own.len(), own) < (others.len(), others),
            _ => self.this_update < other.this_update,
        }
    }
}

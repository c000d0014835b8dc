//! The client CAs, with what webpki does not keep of them: to it an anchor is a name, a key and name constraints.

use rustls::pki_types::TrustAnchor;
use rustls::{DistinguishedName, Error, RootCertStore};
use webpki::VerifiedPath;

use crate::identity::Fingerprint;
use crate::identity::x509::{Certificate, DnsConstraints};

/// The client CAs.
#[derive(Debug)]
pub(super) struct Anchors {
    store: RootCertStore,
    /// Of each in the store, in the same order.
    limits: Vec<Limits>,
}

/// How far the word of a CA goes.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    pub(super) validity: Validity,
    /// How many CA certificates may stand between it and a leaf; `None` is any number.
    pub(super) path_length: Option<u32>,
    /// Which DNS names may be below it.
    pub(super) dns_constraints: Option<DnsConstraints>,
}

/// Both in seconds since 1970 UTC, and included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Validity {
    not_before: i64,
    not_after: i64,
}

impl Validity {
    pub(super) fn of(certificate: &Certificate) -> Validity {
        Validity { not_before: certificate.not_before, not_after: certificate.not_after }
    }

    #[cfg(test)]
    pub(super) fn for_test(not_before: i64, not_after: i64) -> Validity {
        Validity { not_before, not_after }
    }

    pub(super) fn has_begun(self, now: i64) -> bool {
        self.not_before <= now
    }

    pub(super) fn has_ended(self, now: i64) -> bool {
        self.not_after < now
    }
}

impl Default for Anchors {
    /// None.
    fn default() -> Anchors {
        Anchors { store: RootCertStore::empty(), limits: Vec::new() }
    }
}

impl Anchors {
    /// One more.
    ///
    /// # Errors
    /// rustls cannot use it.
    pub(super) fn add(&mut self, certificate: &Certificate, der: &[u8]) -> Result<(), Error> {
        self.store.add(der.to_vec().into())?;
        let Certificate { path_length, ref dns_constraints, .. } = *certificate;
        let dns_constraints = dns_constraints.clone();
        self.limits.push(Limits { validity: Validity::of(certificate), path_length, dns_constraints });
        Ok(())
    }

    pub(super) fn all(&self) -> &[TrustAnchor<'static>] {
        &self.store.roots
    }

    /// Their names, for clients to choose a certificate by.
    pub(super) fn subjects(&self) -> Vec<DistinguishedName> {
        self.store.subjects()
    }

    /// The limits of the one that a path ends in. `None` if it is none of these.
    pub(super) fn limits_of(&self, path: &VerifiedPath<'_>) -> Option<&Limits> {
        // webpki lends the anchor out of the slice that it was given.
        let position = self.all().iter().position(|anchor| std::ptr::eq::<TrustAnchor<'_>>(anchor, path.anchor()))?;
        self.limits.get(position)
    }

    /// Which DNS names may be below the one of this key.
    pub(super) fn constraints_of(&self, key: &Fingerprint) -> impl Iterator<Item = &DnsConstraints> {
        let of_key = self.all().iter().zip(&self.limits).filter(move |(anchor, _)| key_of(anchor) == *key);
        of_key.filter_map(|(_, limits)| limits.dns_constraints.as_ref())
    }

    /// SHA-256 of the SubjectPublicKeyInfo, if there is only one.
    pub(super) fn only_key(&self) -> Option<Fingerprint> {
        if let [only] = self.all() { Some(key_of(only)) } else { None }
    }

    /// The last second of each.
    pub(super) fn ends(&self) -> impl Iterator<Item = i64> {
        self.limits.iter().map(|limits| limits.validity.not_after)
    }
}

/// SHA-256 of the SubjectPublicKeyInfo.
pub(super) fn key_of(anchor: &TrustAnchor<'_>) -> Fingerprint {
    Fingerprint::of(webpki::spki_for_anchor(anchor).as_ref())
}

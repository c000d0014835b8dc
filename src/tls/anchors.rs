//! The client CAs and their validity, at which rustls does not look: to it an anchor is a name and a key.

use std::borrow::Cow;
use std::sync::Arc;

use rustls::pki_types::TrustAnchor;
use rustls::{Error, RootCertStore};

use crate::identity::x509::Certificate;

/// The client CAs.
#[derive(Debug)]
pub(super) struct Anchors {
    store: RootCertStore,
    /// Of each in the store, in the same order.
    validity: Vec<Validity>,
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

    pub(super) fn contains(self, now: i64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }
}

impl Default for Anchors {
    /// None.
    fn default() -> Anchors {
        Anchors { store: RootCertStore::empty(), validity: Vec::new() }
    }
}

impl Anchors {
    /// One more.
    ///
    /// # Errors
    /// rustls cannot use it.
    pub(super) fn add(&mut self, certificate: &Certificate, der: &[u8]) -> Result<(), Error> {
        self.store.add(der.to_vec().into())?;
        self.validity.push(Validity::of(certificate));
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.store.is_empty()
    }

    pub(super) fn store(&self) -> Arc<RootCertStore> {
        Arc::new(self.store.clone())
    }

    pub(super) fn all(&self) -> &[TrustAnchor<'static>] {
        &self.store.roots
    }

    /// Those that are valid now; nothing is copied where all are.
    pub(super) fn valid_at(&self, now: i64) -> Cow<'_, [TrustAnchor<'static>]> {
        if self.validity.iter().all(|validity| validity.contains(now)) {
            return Cow::Borrowed(self.all());
        }
        let with_validity = self.all().iter().zip(&self.validity);
        with_validity.filter(|(_, validity)| validity.contains(now)).map(|(anchor, _)| anchor.clone()).collect()
    }

    pub(super) fn is_any_valid_at(&self, now: i64) -> bool {
        self.validity.iter().any(|validity| validity.contains(now))
    }

    /// The last second of each.
    pub(super) fn ends(&self) -> impl Iterator<Item = i64> {
        self.validity.iter().map(|validity| validity.not_after)
    }

    /// Whether one that is not valid now is so because it has ended.
    pub(super) fn has_any_ended(&self, now: i64) -> bool {
        self.ends().any(|end| end < now)
    }
}

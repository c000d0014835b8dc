//! What the CRLs that were read so far have revoked. Values only: files, signatures and clocks are its caller's.
//!
//! A file of CRLs may be emptied, cut, restored from a backup, or replayed by whoever delivers it. So what a list says
//! *against* a certificate is remembered for as long as the process runs:
//!
//! - What an edition of a list has revoked stays revoked until a newer edition of the same list has been read that does not
//!   revoke it. Of the same list are editions by one key, in one CA's name, about one part of what it has issued.
//! - Newer is what has neither a lower number nor an earlier date, and not both the same. Of editions of which neither is
//!   newer each counts.
//! - Nothing else makes a difference: whether an edition is still in a file, has expired, or has a CA that comes and goes.
//! - Where the key is not known nobody can tell a newer edition from a forged one: what the list has revoked stays revoked.
//!   Once the key is known, the newest edition is that of its CA.
//! - An older edition that a file holds beside a newer one, or again, counts as long as it does.
//! - Where nobody may be let in as yet, a newer edition revokes at once, and what it does not revoke any more waits. So does
//!   what only an older one revokes that leaves the files meanwhile.
//!
//! Only what the operator's files have held can make it grow: it keeps the newest edition of each list, older ones that the
//! files hold, and of others the serial numbers that are not in it, while they count.

use std::collections::HashSet;
use std::sync::Arc;

use super::revocation::UsableList;
use crate::identity::Fingerprint;
use crate::identity::x509::{CanonicalName, RevocationList};

/// A CRL, and whose.
#[derive(Clone)]
pub(super) struct Edition {
    pub(super) list: Arc<UsableList>,
    /// The key that has signed it, as SHA-256 of its SubjectPublicKeyInfo; `None` if it is none that is known.
    pub(super) signer: Option<Fingerprint>,
}

/// What was read.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Editions(Vec<Known>);

/// One list.
#[derive(Clone, PartialEq)]
pub(super) struct Known {
    pub(super) id: ListId,
    /// The name of its CA, for people.
    pub(super) issuer: String,
    /// Those of which none is older than another: one, unless numbers or dates go backwards.
    newest: Vec<Edition>,
    /// Older ones that the files held when they were read last.
    in_files: Vec<Edition>,
    /// What older ones have revoked, these do not, and is revoked all the same.
    pub(super) withheld: Arc<HashSet<String>>,
}

/// Which list an edition is one of.
#[derive(Clone, PartialEq)]
pub(super) struct ListId {
    pub(super) signer: Option<Fingerprint>,
    /// Whose certificates it speaks of.
    pub(super) issuer: CanonicalName,
    /// Of which part of them.
    scope: Option<Vec<u8>>,
}

impl Editions {
    /// Nothing, as before a start.
    pub(super) const NONE: Editions = Editions(Vec::new());

    /// After these, which the files hold now, have been read. `signer_of` is asked about lists of which the signer was not
    /// known; `may_let_in` says whether somebody may be let in whom they do not list any more.
    #[must_use]
    pub(super) fn after(
        &self,
        read: &[Edition],
        signer_of: impl Fn(&RevocationList) -> Option<Fingerprint>,
        may_let_in: bool,
    ) -> Editions {
        let mut next = self.clone();
        let of_unknown = next.0.iter_mut().filter(|known| known.id.signer.is_none());
        let of_unknown: Vec<Edition> = of_unknown.flat_map(|known| std::mem::take(&mut known.newest)).collect();
        for Edition { list, .. } in of_unknown {
            next.remember(Edition { signer: signer_of(&list.list), list });
        }
        for Known { in_files, withheld, .. } in &mut next.0 {
            let gone = in_files.iter().filter(|edition| !read.contains(edition));
            gone.for_each(|edition| Arc::make_mut(withheld).extend(edition.list.list.serials.iter().cloned()));
        }
        read.iter().for_each(|edition| next.remember(edition.clone()));
        for Known { id, newest, in_files, .. } in next.0.iter_mut().filter(|known| known.id.signer.is_some()) {
            let is_older = |edition: &&Edition| edition.id() == *id && !newest.contains(edition);
            *in_files = read.iter().filter(is_older).cloned().collect();
        }
        // What editions of unknown keys revoke, which may be of different CAs, is kept apart from what the newest does.
        for Known { newest, withheld, .. } in next.0.iter_mut().filter(|known| known.id.signer.is_some()) {
            let counts = |serial: &String| !may_let_in && !newest.iter().any(|edition| edition.list.revokes(serial));
            if !withheld.iter().all(counts) {
                Arc::make_mut(withheld).retain(counts);
            }
        }
        next.0.retain(|known| !known.newest.is_empty() || !known.withheld.is_empty());
        next
    }

    fn remember(&mut self, edition: Edition) {
        let id = edition.id();
        let Some(Known { newest, withheld, .. }) = self.0.iter_mut().find(|known| known.id == id) else {
            let issuer = edition.list.list.issuer.display();
            return self.0.push(Known {
                id,
                issuer,
                newest: vec![edition],
                in_files: Vec::new(),
                withheld: Arc::default(),
            });
        };
        if newest.contains(&edition) {
            return;
        }
        if newest.iter().any(|other| other.supersedes(&edition)) {
            if edition.signer.is_none() {
                Arc::make_mut(withheld).extend(edition.list.list.serials.iter().cloned());
            }
            return;
        }
        for older in newest.extract_if(.., |other| edition.supersedes(other)) {
            Arc::make_mut(withheld).extend(older.list.list.serials.iter().cloned());
        }
        newest.push(edition);
    }

    /// Every list.
    pub(super) fn lists(&self) -> impl Iterator<Item = &Known> {
        self.0.iter()
    }

    /// The newest editions of all lists.
    pub(super) fn all(&self) -> impl Iterator<Item = &Edition> {
        self.0.iter().flat_map(|known| &known.newest)
    }
}

impl PartialEq for Edition {
    fn eq(&self, other: &Edition) -> bool {
        self.signer == other.signer && self.list.is(&other.list)
    }
}

impl Edition {
    pub(super) fn id(&self) -> ListId {
        let UsableList { list: RevocationList { scope, .. }, .. } = &*self.list;
        ListId { signer: self.signer, issuer: self.list.issuer().clone(), scope: scope.clone() }
    }

    /// Whether it is newer than another one of its list.
    fn supersedes(&self, other: &Edition) -> bool {
        let (own, others) = (self.rank(), other.rank());
        own.0 >= others.0 && own.1 >= others.1 && own != others
    }

    /// The number, as such compare, and the date.
    fn rank(&self) -> (Option<(usize, &[u8])>, i64) {
        let RevocationList { number, this_update, .. } = &self.list.list;
        (number.as_deref().map(|number| (number.len(), number)), *this_update)
    }
}

#[cfg(test)]
mod tests;

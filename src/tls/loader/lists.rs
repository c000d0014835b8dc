//! The files of CRLs: what they revoke, and which list says of which certificate that it is not revoked.

use std::path::Path;
use std::sync::Arc;

use super::{Loader, counted};
use crate::identity::Fingerprint;
use crate::identity::x509::RevocationList;
use crate::tls::authority::Authority;
use crate::tls::editions::{Edition, Editions, ListId};
use crate::tls::expiry::ExpiryKind;
use crate::tls::explain::unix_seconds;
use crate::tls::load_error::{Finding, Severity};
use crate::tls::revocation::{IssuerNames, Revoked, UsableList};
use crate::tls::settings::CrlExpired;
use crate::tls::{keys, pem};

const SETTING: &str = "tls-crl-file";

/// What the CRLs come to.
pub(super) struct Lists {
    /// All that were read, now or before.
    pub(super) editions: Editions,
    /// Those that can say of a certificate that it is not revoked.
    pub(super) asked: Vec<Edition>,
    pub(super) revoked: Revoked,
}

impl Loader<'_> {
    /// `signers` are all that have been client CAs.
    pub(super) fn revocation_lists(
        &mut self,
        authorities: &[Authority],
        signers: &[Authority],
        before: &Editions,
        may_let_in: bool,
        waiting: &mut Vec<Finding>,
    ) -> Option<Lists> {
        let errors_before = self.errors.len();
        let algorithms = self.algorithms;
        let signer_of = |list: &RevocationList| {
            let has_signed =
                |signer: &&Authority| keys::has_signed(&signer.der, &list.signed, &list.signature, &algorithms);
            let (own, others): (Vec<_>, Vec<_>) = signers.iter().partition(|signer| signer.is_named(&list.issuer));
            own.into_iter().chain(others).find(has_signed).map(Authority::key)
        };
        let mut read: Vec<Edition> = Vec::new();
        for path in &self.of.settings.crl_files {
            let Some(content) = self.read(SETTING, path) else { continue };
            let Some(lists) = self.pem(SETTING, path, pem::revocation_lists(&content.bytes)) else { continue };
            let count = counted(lists.len(), "CRL");
            let mut revoked = 0;
            for (position, der) in lists.into_iter().enumerate() {
                let list = match RevocationList::parse(&der) {
                    Ok(list) => list,
                    Err(error) => {
                        self.unusable(SETTING, path, format!("CRL {} in it is {error}", position + 1));
                        continue;
                    }
                };
                revoked += list.serials.len();
                let (issuer, is_part) = (list.issuer.display(), list.scope.is_some());
                self.judge_times(path, &list);
                let list = match UsableList::new(der, list) {
                    Ok(list) => list,
                    Err(unsupported) => {
                        self.unusable(SETTING, path, format!("the CRL of {issuer} {unsupported}"));
                        continue;
                    }
                };
                self.expiries.note(ExpiryKind::Crl, path, list.next_update);
                let is_known = |known: &&Edition| known.signer.is_some() && known.list.is(&list);
                let edition = before.all().find(is_known).cloned();
                let edition =
                    edition.unwrap_or_else(|| Edition { signer: signer_of(&list.list), list: Arc::new(list) });
                if self.judge_signer(path, &edition, authorities) {
                    if is_part {
                        let words = "covers only certificates that name its distribution point; all others of this CA are refused";
                        self.warn(path, format!("the CRL of {issuer} {words}"));
                    }
                    read.push(edition);
                }
            }
            self.note(path, Severity::Info, format!("{count}, {} revoked", counted(revoked, "certificate")));
        }
        if self.errors.len() > errors_before {
            return None;
        }
        let editions = before.after(&read, signer_of, may_let_in);
        Some(self.lists(authorities, signers, read, editions, waiting))
    }

    fn lists(
        &mut self,
        authorities: &[Authority],
        signers: &[Authority],
        read: Vec<Edition>,
        editions: Editions,
        waiting: &mut Vec<Finding>,
    ) -> Lists {
        let is_present =
            |signer: Option<Fingerprint>| authorities.iter().any(|authority| Some(authority.key()) == signer);
        let missing =
            editions.all().filter(|edition| !read.contains(edition) && !is_forged(&edition.id(), authorities));
        let missing: Vec<Edition> = missing.cloned().collect();
        let mut asked = read.clone();
        for edition in &missing {
            asked.extend(is_present(edition.signer).then(|| edition.clone()));
            self.tell_of_missing(edition, &read, is_present(edition.signer));
        }
        self.judge_coverage(authorities, &asked);
        let named = |edition: Edition| (names_of(&edition.id(), signers), edition.list);
        let lists: Vec<_> = read.into_iter().chain(missing).map(named).collect();
        let mut withheld = Vec::new();
        for known in editions.lists().filter(|known| !known.withheld.is_empty() && !is_forged(&known.id, authorities)) {
            let of_ca = lists.iter().map(|(_, list)| list).filter(|list| *list.issuer() == known.id.issuer);
            let is_listed = |serial: &&String| of_ca.clone().any(|list| list.revokes(serial));
            let unlisted = known.withheld.iter().filter(|serial| !is_listed(serial)).count();
            let what = format!("{} that a CRL of {} lists no longer", counted(unlisted, "certificate"), known.issuer);
            let (subject, severity) = (SETTING.to_owned(), Severity::Warning);
            if known.id.signer.is_some() {
                let words = "stay revoked until configuration and ACL file are in force as they are";
                waiting.push(Finding { severity, subject, message: format!("{what} {words}") });
            } else if unlisted > 0 {
                let words =
                    "stay revoked, because its key is that of no CA in tls-ca-cert-file: restart to let them in";
                self.findings.push(Finding { severity, subject, message: format!("{what} {words}") });
            }
            withheld.push((names_of(&known.id, signers), Arc::clone(&known.withheld)));
        }
        Lists { editions, asked, revoked: Revoked::new(lists, withheld, self.of.settings.crl_check) }
    }

    /// An edition that counts and is in no file any more. Where its CA is gone as well that may well be meant.
    fn tell_of_missing(&mut self, edition: &Edition, read: &[Edition], is_present: bool) {
        let list = &edition.list.list;
        let others: Vec<&Edition> = read.iter().filter(|other| other.id() == edition.id()).collect();
        let is_listed = |serial: &String| others.iter().any(|other| other.list.revokes(serial));
        let is_all_listed = list.serials.iter().all(is_listed);
        let what = match others.is_empty() {
            true if is_present || edition.signer.is_none() && !is_all_listed => "is not in the files any more",
            false if !is_all_listed => "is older than the one in force",
            _ => return,
        };
        let words = "which stays in force: put the current one there, or restart to do without it";
        let message = format!("the CRL of {} {what}, {words}", list.issuer.display());
        self.note(Path::new(SETTING), Severity::Error, message);
    }

    fn judge_coverage(&mut self, authorities: &[Authority], asked: &[Edition]) {
        let Some(path) = self.of.settings.crl_files.first() else {
            let words = "none: a certificate that is revoked is let in all the same, until it ends";
            return self.note(Path::new(SETTING), Severity::Info, words.to_owned());
        };
        for authority in authorities {
            // One that nobody has signed was told of.
            let may_be_its = |edition: &Edition| edition.signer.is_none_or(|signer| signer == authority.key());
            let is_its = |edition: &Edition| authority.is_named(&edition.list.list.issuer) && may_be_its(edition);
            if !asked.iter().any(is_its) {
                let name = authority.name().display();
                let words = "every certificate it has issued will be refused";
                self.warn(path, format!("there is no CRL of the CA {name}: {words}"));
            }
        }
    }

    /// What an expired list revokes stays revoked; it only cannot say any more that others are not.
    fn judge_times(&mut self, path: &Path, list: &RevocationList) {
        let issuer = list.issuer.display();
        if list.this_update > unix_seconds(self.now) {
            self.warn(path, format!("the CRL of {issuer} was made in the future: one of two clocks is wrong"));
        }
        let Some(next_update) = list.next_update else { return };
        let expired = next_update <= unix_seconds(self.now);
        match self.of.settings.crl_expired {
            CrlExpired::Refuse if expired => self.note(
                path,
                Severity::Error,
                format!(
                    "the CRL of {issuer} has expired: what it revokes stays revoked, and new handshakes that depend on it are refused; fetch a new one, or set crl-expired = \"ignore\""
                ),
            ),
            CrlExpired::Ignore if expired => {
                self.warn(path, format!("the CRL of {issuer} has expired and is used all the same"));
            }
            _ => self.warn_of_expiry(path, &format!("the CRL of {issuer}"), next_update),
        }
    }

    /// Whether a list counts. It does for certificates whose issuer has just its name and key. One of a CA that is not
    /// in the file may be that of an intermediate.
    fn judge_signer(&mut self, path: &Path, edition: &Edition, authorities: &[Authority]) -> bool {
        let list = &edition.list.list;
        let issuer = list.issuer.display();
        let signers = authorities.iter().filter(|authority| edition.signer == Some(authority.key()));
        let (own, others): (Vec<&Authority>, Vec<&Authority>) =
            signers.partition(|authority| authority.is_named(&list.issuer));
        if own.iter().any(|authority| authority.certificate.key_usage.is_some_and(|usage| !usage.crl_sign)) {
            self.warn(path, format!("the CRL of {issuer} is by a CA whose key usage does not allow cRLSign"));
        }
        if let (true, Some(other)) = (is_forged(&edition.id(), authorities), others.first()) {
            let other = other.name().display();
            let words = "which speaks of its own only: it counts for nothing";
            self.note(
                path,
                Severity::Error,
                format!("the CRL of {issuer} is signed by the key of the CA {other}, {words}"),
            );
            return false;
        }
        if let (true, Some(other)) = (own.is_empty(), others.first()) {
            let words = format!(
                "the CRL of {issuer} is signed by the key of the CA {}, but writes its name otherwise: what it lists is \
                 revoked, and it covers nothing that this CA has issued; issue it anew with this CA certificate",
                other.name().display()
            );
            self.note(path, Severity::Error, words);
            return true;
        }
        if !own.is_empty() {
            return true;
        }
        if authorities.iter().any(|authority| authority.is_named(&list.issuer)) {
            let words = format!(
                "the CRL of {issuer} is not signed by the key of that CA in tls-ca-cert-file, or with SHA-1: what the CA \
                 has issued is refused; fetch the CRL of this CA"
            );
            self.warn(path, words);
            return true;
        }
        let words = format!(
            "the CRL of {issuer} is of no CA in tls-ca-cert-file: it counts for what an intermediate of that name issued"
        );
        self.note(path, Severity::Advice, words);
        true
    }
}

/// By which names its CA may be called.
fn names_of(id: &ListId, signers: &[Authority]) -> IssuerNames {
    let mut names = vec![id.issuer.clone()];
    for signer in signers.iter().filter(|signer| Some(signer.key()) == id.signer) {
        let name = signer.name().canonical();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Whether a client CA has signed it in the name of another one.
fn is_forged(id: &ListId, authorities: &[Authority]) -> bool {
    let is_named = |authority: &Authority| authority.name().canonical() == id.issuer;
    let mut signers = authorities.iter().filter(|authority| Some(authority.key()) == id.signer).peekable();
    signers.peek().is_some() && !signers.any(is_named) && authorities.iter().any(is_named)
}

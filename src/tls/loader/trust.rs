//! Who is trusted, of client CAs, pinned keys and CRLs together.

use std::sync::Arc;

use super::Loader;
use super::lists::Lists;
use crate::identity::Fingerprint;
use crate::tls::anchors::Anchors;
use crate::tls::authority::Authority;
use crate::tls::editions::Edition;
use crate::tls::expiry::ExpiryKind;
use crate::tls::in_force::{InForce, NewTrust, Subordinate};
use crate::tls::load_error::{Finding, Severity};
use crate::tls::revocation::Revocation;
use crate::tls::settings::AuthClients;
use crate::tls::verifier::{Keys, Realm, Verifier};

/// What client certificates are held against.
#[derive(Default)]
pub(in crate::tls) struct Trust {
    /// `None` if clients are not asked for certificates.
    pub(in crate::tls) verifier: Option<Arc<Verifier>>,
    pub(in crate::tls) in_force: InForce,
    /// What of the files is not in force yet, because it lets somebody in.
    pub(in crate::tls) waiting: Vec<Finding>,
    pub(in crate::tls) subordinates: Vec<Subordinate>,
}

impl Loader<'_> {
    pub(super) fn trust(&mut self, before: Option<&InForce>, new_trust: NewTrust) -> Option<Trust> {
        let settings = self.of.settings;
        if settings.auth_clients == AuthClients::No {
            let in_force = before.map(InForce::revocations).unwrap_or_default();
            return Some(Trust { in_force, ..Trust::default() });
        }
        let is_start = before.is_none();
        const NOTHING: &InForce = &InForce::NOTHING;
        let before = before.unwrap_or(NOTHING);
        let mut waiting = Vec::new();
        let written =
            if new_trust.keeps_authorities { Some(before.authorities.clone()) } else { self.authorities(is_start) };
        let signers = before.signers_with(written.as_deref().unwrap_or_default());
        let authorities = written.map(|written| match new_trust.may_come {
            true => written,
            false => self.known_of(&written, &before.authorities, &mut waiting),
        });
        let pinned_keys = self.pins(before, new_trust.may_come, &mut waiting);
        let lists = self.revocation_lists(
            authorities.as_deref().unwrap_or_default(),
            &signers,
            &before.editions,
            new_trust.may_come,
            &mut waiting,
        );
        let (authorities, lists) = authorities.zip(lists)?;
        if let Some(path) = &settings.ca_cert_file {
            let ends = authorities.iter().map(|authority| authority.certificate.not_after);
            ends.for_each(|end| self.expiries.note(ExpiryKind::ClientCa, path, end));
        }
        let Lists { editions, asked, revoked } = lists;
        let subordinates = self.subordinates(&authorities);
        let keys = Keys {
            pins: pinned_keys.iter().copied().collect(),
            waiting_pins: self.of.rule_keys.pinned.iter().filter(|key| !pinned_keys.contains(key)).copied().collect(),
            authorities: authorities.iter().map(Authority::key).chain(self.of.rule_keys.authorities.clone()).collect(),
        };
        let anchors = self.without_revoked(authorities.clone(), &revoked, &before.revoked);
        let is_left = |authority: &&Authority| anchors.iter().any(|anchor| anchor.der == authority.der);
        let gone = authorities.iter().filter(|authority| !is_left(authority)).map(|authority| authority.der.clone());
        let gone = gone.collect();
        let realms = self.realms(&anchors, &authorities, &asked)?;
        let mandatory = settings.auth_clients == AuthClients::Yes;
        let verifier = Verifier::new(realms, keys, revoked, settings.crl_expired, self.algorithms, mandatory);
        let in_force = InForce { authorities, signers, pinned_keys, editions, revoked: gone };
        Some(Trust { verifier: Some(Arc::new(verifier)), in_force, waiting, subordinates })
    }

    /// Those that may count by now. The others wait.
    fn pins(&self, before: &InForce, may_come: bool, waiting: &mut Vec<Finding>) -> Vec<Fingerprint> {
        let (known, new): (Vec<Fingerprint>, Vec<Fingerprint>) =
            self.of.rule_keys.pinned.iter().partition(|key| may_come || before.pinned_keys.contains(key));
        waiting.extend(new.iter().map(|key| waits("trust = \"pin\"".to_owned(), format!("the key {key}"))));
        known
    }

    /// CAs that share no name in one realm, and of CRLs in each those that do not belong to a namesake elsewhere.
    fn realms(&mut self, authorities: &[Authority], all: &[Authority], lists: &[Edition]) -> Option<Vec<Realm>> {
        let mut groups: Vec<Vec<&Authority>> = Vec::new();
        for authority in authorities {
            let is_free = |group: &&mut Vec<&Authority>| group.iter().all(|other| !other.is_named(authority.name()));
            match groups.iter_mut().find(is_free) {
                Some(group) => group.push(authority),
                None => groups.push(vec![authority]),
            }
        }
        let mut realms = Vec::new();
        for group in groups {
            let mut anchors = Anchors::default();
            for Authority { der, certificate } in &group {
                if let Err(error) = anchors.add(certificate, der) {
                    let words = format!("the CA {} cannot be used: {error}", certificate.subject.display());
                    let path = self.of.settings.ca_cert_file.clone().unwrap_or_default();
                    self.unusable("tls-ca-cert-file", &path, words);
                    return None;
                }
            }
            let has_signed = |authority: &Authority, edition: &Edition| {
                authority.is_named(&edition.list.list.issuer) && edition.signer == Some(authority.key())
            };
            let is_signed = |edition: &Edition| group.iter().any(|authority| has_signed(authority, edition));
            let is_a_namesake_s = |edition: &Edition| {
                let is_better = |other: &Edition| {
                    let (own, others) = (&edition.list.list, &other.list.list);
                    others.issuer == own.issuer && others.scope == own.scope && is_signed(other)
                };
                group.iter().any(|authority| authority.is_named(&edition.list.list.issuer))
                    && !is_signed(edition)
                    && (all.iter().any(|authority| has_signed(authority, edition)) || lists.iter().any(is_better))
            };
            let own = lists.iter().filter(|edition| !is_a_namesake_s(edition)).map(|edition| &*edition.list);
            let is_wanted = !self.of.settings.crl_files.is_empty();
            let revocation = Revocation::new(is_wanted, own, self.of.settings.crl_check);
            realms.push(Realm { anchors, revocation });
        }
        Some(realms)
    }
}

/// A CA or key that is written already and counts for nothing yet.
pub(super) fn waits(subject: String, what: String) -> Finding {
    let words = "is new and not trusted yet: it waits until configuration and ACL file are in force as they are";
    Finding { severity: Severity::Warning, subject, message: format!("{what} {words}") }
}

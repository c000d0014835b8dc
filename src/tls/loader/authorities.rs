//! The file of client CAs: which of them count.

use std::path::Path;

use rustls::pki_types::CertificateDer;

use super::trust::waits;
use super::{Loader, counted};
use crate::identity::x509::Certificate;
use crate::tls::anchors::Validity;
use crate::tls::authority::Authority;
use crate::tls::explain::{self, unix_seconds};
use crate::tls::in_force::Subordinate;
use crate::tls::load_error::{Finding, Severity};
use crate::tls::revocation::Revoked;
use crate::tls::settings::CrlCheck;
use crate::tls::{keys, pem};

/// So many CAs are hardly those of one's own clients.
const BUNDLE: usize = 20;

impl Loader<'_> {
    /// The client CAs, none if keys are pinned instead.
    pub(super) fn authorities(&mut self, is_start: bool) -> Option<Vec<Authority>> {
        let setting = "tls-ca-cert-file";
        let Some(path) = self.of.settings.ca_cert_file.as_deref() else {
            if !self.of.rule_keys.pinned.is_empty() {
                return Some(Vec::new());
            }
            let words =
                "is missing; it names the CAs whose client certificates are trusted (or set tls-auth-clients no)";
            if is_start {
                self.settings_error(setting, words.to_owned());
                return None;
            }
            // The last pinned key has been taken away, and that has to be possible.
            self.note(Path::new(setting), Severity::Error, format!("{words}; no client certificate is trusted"));
            return Some(Vec::new());
        };
        let content = self.read(setting, path)?;
        let (certificates, lists) = self.pem(setting, path, pem::authorities(&content.bytes))?;
        let errors_before = self.errors.len();
        let mut authorities = Vec::with_capacity(certificates.len());
        for (position, der) in certificates.into_iter().enumerate() {
            let Some(certificate) = self.parse(setting, path, position + 1, &der) else { continue };
            let mut reasons = explain::authority(&certificate);
            if reasons.is_empty() && !keys::is_usable(&der, &certificate, &self.algorithms) {
                reasons.push(format!("its key is of a kind or form that is not accepted: {}", keys::ACCEPTED));
            }
            if reasons.is_empty() {
                authorities.push(Authority { der, certificate });
                continue;
            }
            let name = certificate.subject.display();
            let mut words =
                format!("certificate {}, {name:?}, cannot be a client CA: {}", position + 1, reasons.join("; "));
            if !certificate.is_ca {
                words += &explain::pin(&certificate);
            }
            self.unusable(setting, path, words);
        }
        if self.errors.len() > errors_before {
            return None;
        }
        self.judge_authorities(path, &authorities);
        if lists > 0 && !self.of.settings.crl_files.iter().any(|file| file == path) {
            let lists = counted(lists, "CRL");
            let words =
                format!("{lists} in it revoke nothing: CRLs are read from tls-crl-file, name the file there too");
            self.note(path, Severity::Warning, words);
        }
        Some(authorities)
    }

    fn judge_authorities(&mut self, path: &Path, authorities: &[Authority]) {
        let now = unix_seconds(self.now);
        let mut is_any_valid = false;
        for Authority { certificate, .. } in authorities {
            let name = certificate.subject.display();
            let validity = Validity::of(certificate);
            if validity.has_ended(now) {
                self.warn(path, format!("the CA {name} has expired: what it has issued is refused"));
            } else if !validity.has_begun(now) {
                self.warn(path, format!("the CA {name} is not valid yet: until then what it has issued is refused"));
            } else {
                is_any_valid = true;
            }
            self.warn_of_expiry(path, &format!("the CA {name}"), certificate.not_after);
        }
        if !is_any_valid {
            let words = "no CA in it is valid now: every client certificate is refused".to_owned();
            self.note(path, Severity::Error, words);
        }
        if authorities.len() >= BUNDLE {
            let words = format!(
                "{} CAs: whoever has a certificate of any of them gets as far as the users; a public bundle is no list of client CAs",
                authorities.len()
            );
            self.warn(path, words);
        }
        self.note(path, Severity::Info, counted(authorities.len(), "client CA"));
    }

    /// Those of the known CAs that are still in the file. The others in it wait.
    pub(super) fn known_of(
        &self,
        all: &[Authority],
        known: &[Authority],
        waiting: &mut Vec<Finding>,
    ) -> Vec<Authority> {
        let is_known = |authority: &Authority| known.iter().any(|known| known.der == authority.der);
        let path = self.of.settings.ca_cert_file.as_deref().unwrap_or(Path::new(""));
        let new = all.iter().filter(|authority| !is_known(authority));
        waiting.extend(new.map(|new| waits(path.display().to_string(), format!("the CA {}", new.name().display()))));
        // Where its certificate was renewed, the old one goes on until the new one is known.
        let stays = |known: &&Authority| {
            let in_file: Vec<_> = all.iter().filter(|authority| authority.is(known)).collect();
            let is_itself = in_file.iter().any(|authority| authority.der == known.der);
            is_itself || !in_file.is_empty() && !in_file.iter().any(|authority| is_known(authority))
        };
        known.iter().filter(stays).cloned().collect()
    }

    /// An intermediate CA may stand in the file, and webpki looks at no anchor's revocation. One that is revoked, or was
    /// issued by such a one alone, is no anchor, and stays none as long as it stands there, though the CRL may be gone.
    pub(super) fn without_revoked(
        &mut self,
        mut authorities: Vec<Authority>,
        revoked: &Revoked,
        before: &[CertificateDer<'static>],
    ) -> Vec<Authority> {
        let path = self.of.settings.ca_cert_file.clone().unwrap_or_default();
        if self.of.settings.crl_check == CrlCheck::Leaf {
            for authority in authorities.iter().filter(|authority| revoked.lists(&authority.certificate)) {
                let words = "is revoked, and trusted all the same, because of crl-check = \"leaf\"";
                self.warn(&path, format!("the CA {} {words}", authority.name().display()));
            }
            return authorities;
        }
        let mut gone: Vec<Authority> = Vec::new();
        loop {
            let is_issued_by_one_of = |issuers: &[Authority], authority: &Authority| {
                issuers.iter().any(|issuer| issuer.has_issued(authority, &self.algorithms))
            };
            let is_revoked = |authority: &Authority| {
                revoked.lists(&authority.certificate)
                    || before.contains(&authority.der)
                    || is_issued_by_one_of(&gone, authority) && !is_issued_by_one_of(&authorities, authority)
            };
            let Some(position) = authorities.iter().position(is_revoked) else { return authorities };
            let words = "is revoked: what it has issued is refused; take it out of the file";
            self.note(&path, Severity::Error, format!("the CA {} {words}", authorities[position].name().display()));
            gone.push(authorities.remove(position));
        }
    }

    /// Those that are not self-signed. Where their issuer stands in the file as well, what keeps it in bounds is lost
    /// on them.
    pub(super) fn subordinates(&mut self, authorities: &[Authority]) -> Vec<Subordinate> {
        let path = self.of.settings.ca_cert_file.clone().unwrap_or_default();
        let subordinates = authorities.iter().filter(|authority| !authority.is_root(&self.algorithms));
        let subordinates: Vec<&Authority> = subordinates.collect();
        for authority in &subordinates {
            let is_bound = |issuer: &&Authority| {
                let Certificate { has_name_constraints, path_length, .. } = &issuer.certificate;
                (*has_name_constraints || path_length.is_some()) && issuer.has_issued(authority, &self.algorithms)
            };
            if let Some(issuer) = authorities.iter().find(is_bound) {
                let (name, issuer) = (authority.name().display(), issuer.name().display());
                let words =
                    "whose constraints do not hold for it: it stands in the file itself; take it out to have them hold";
                self.warn(&path, format!("the CA {name} was issued by {issuer}, {words}"));
            }
        }
        let of = |authority: &&Authority| Subordinate { name: authority.name().display(), key: authority.key() };
        subordinates.iter().map(of).collect()
    }
}

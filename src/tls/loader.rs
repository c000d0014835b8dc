//! The files behind the settings: read, understood, and held against what rustls will make of them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, SupportedProtocolVersion};

use super::anchors::{Anchors, Validity};
use super::explain::{self, unix_seconds};
use super::in_force::{Admission, Admit, Edition, InForce, Subordinate};
use super::keys;
use super::load_error::{Finding, LoadError, Problem, Severity};
use super::pem::{self, PemError};
use super::provider;
use super::revocation::{Revocation, Revoked, UsableList};
use super::settings::{AuthClients, CrlCheck, CrlExpired, RuleKeys, TlsSettings};
use super::verifier::{Keys, Realm, Verifier};
use crate::files::{Content, Files};
use crate::identity::Fingerprint;
use crate::identity::x509::{Certificate, Name, RevocationList};

/// So many CAs are hardly those of one's own clients.
const BUNDLE: usize = 20;

/// All that the settings and their files come to.
pub(super) struct Loaded {
    pub(super) key: CertifiedKey,
    /// Seconds since 1970 UTC, as are all times here.
    pub(super) certificate_expires_at: i64,
    pub(super) trust: Trust,
    pub(super) versions: Vec<&'static SupportedProtocolVersion>,
    pub(super) findings: Vec<Finding>,
}

/// Reads every file, whatever was wrong with the one before. What has expired is a finding and no error: it may have been
/// good when it was read first, and a start must not depend on the hour.
pub(super) fn read_all(
    settings: &TlsSettings,
    rule_keys: &RuleKeys,
    files: &Files,
    before: &InForce,
    admission: Admission,
    now: SystemTime,
) -> Result<Loaded, Vec<LoadError>> {
    let algorithms = provider::provider().signature_verification_algorithms;
    let mut loader = Loader { settings, rule_keys, files, now, algorithms, errors: Vec::new(), findings: Vec::new() };
    let key = loader.certified_key();
    let trust = loader.trust(before, admission);
    let versions = loader.versions();
    match (key, trust, versions) {
        (Some((key, certificate_expires_at)), Some(trust), Some(versions)) if loader.errors.is_empty() => {
            Ok(Loaded { key, certificate_expires_at, trust, versions, findings: loader.findings })
        }
        _ => Err(loader.errors),
    }
}

/// Keeps everything that is wrong. A step that comes to nothing has left an error behind.
struct Loader<'a> {
    settings: &'a TlsSettings,
    rule_keys: &'a RuleKeys,
    files: &'a Files,
    now: SystemTime,
    algorithms: WebPkiSupportedAlgorithms,
    errors: Vec<LoadError>,
    findings: Vec<Finding>,
}

/// What client certificates are held against.
#[derive(Default)]
pub(super) struct Trust {
    /// `None` if clients are not asked for certificates.
    pub(super) verifier: Option<Arc<Verifier>>,
    pub(super) in_force: InForce,
    /// CAs of the file that are not among them.
    pub(super) waiting: Vec<Finding>,
    pub(super) subordinates: Vec<Subordinate>,
    pub(super) crl_expires_at: Option<i64>,
}

/// A client CA.
#[derive(Clone)]
struct Authority {
    der: CertificateDer<'static>,
    certificate: Certificate,
}

impl Authority {
    fn name(&self) -> &Name {
        &self.certificate.subject
    }

    fn is_named(&self, name: &Name) -> bool {
        self.name() == name
    }

    /// The same CA, perhaps in another certificate.
    fn is(&self, other: &Authority) -> bool {
        self.is_named(other.name()) && self.certificate.spki_sha256 == other.certificate.spki_sha256
    }
}

fn parsed(known: &InForce) -> Vec<Authority> {
    let parse = |der: &CertificateDer<'static>| {
        Some(Authority { der: der.clone(), certificate: Certificate::parse(der).ok()? })
    };
    known.authorities.iter().filter_map(parse).collect()
}

impl Loader<'_> {
    /// The server's certificate and key, and when the certificate expires.
    fn certified_key(&mut self) -> Option<(CertifiedKey, i64)> {
        let settings = self.settings;
        let chain = self.certificate_chain("tls-cert-file", &settings.cert_file);
        let key = self.private_key("tls-key-file", &settings.key_file);
        let ((chain, expires_at), key) = chain.zip(key)?;
        match CertifiedKey::from_der(chain, key, &provider::provider()) {
            Ok(certified_key) => return Some((certified_key, expires_at)),
            Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                let certificate = settings.cert_file.display();
                let words = format!("the key does not belong to the certificate in {certificate}");
                self.unusable("tls-key-file", &settings.key_file, words);
            }
            Err(rustls::Error::InvalidCertificate(error)) => {
                let words = format!("the certificate cannot be used: {error:?}");
                self.unusable("tls-cert-file", &settings.cert_file, words);
            }
            // rustls says no more than that.
            Err(_) => {
                let words = format!("the key is damaged or of a kind that is not accepted: {}", keys::ACCEPTED);
                self.unusable("tls-key-file", &settings.key_file, words);
            }
        }
        None
    }

    fn certificate_chain(&mut self, setting: &'static str, path: &Path) -> Option<(Vec<CertificateDer<'static>>, i64)> {
        let content = self.read(setting, path)?;
        let chain = self.pem(setting, path, pem::certificate_chain(&content.bytes))?;
        let certificate = self.parse(setting, path, 1, &chain[0])?;
        let reasons = explain::server_certificate(&certificate, self.now);
        if certificate.version != 3 {
            self.unusable(setting, path, format!("the certificate cannot be used: {}", reasons.join("; ")));
            return None;
        }
        for reason in reasons {
            self.warn(path, format!("clients will refuse the server's certificate: {reason}"));
        }
        self.warn_of_expiry(path, "the server's certificate", certificate.not_after);
        for ca in chain[1..].iter().filter_map(|der| Certificate::parse(der).ok()) {
            let what = format!("the CA {} in the server's chain", ca.subject.display());
            if ca.not_after < unix_seconds(self.now) {
                self.warn(path, format!("{what} has expired: clients will refuse the chain"));
            }
            self.warn_of_expiry(path, &what, ca.not_after);
        }
        let (count, name) = (counted(chain.len(), "certificate"), certificate.subject.display());
        let end = explain::date(certificate.not_after);
        self.note(path, Severity::Info, format!("{count}, the first of {name:?}, valid until {end}"));
        Some((chain, certificate.not_after))
    }

    fn private_key(&mut self, setting: &'static str, path: &Path) -> Option<PrivateKeyDer<'static>> {
        let content = self.read_secret(setting, path)?;
        self.pem(setting, path, pem::private_key(&content.bytes))
    }

    fn trust(&mut self, before: &InForce, admission: Admission) -> Option<Trust> {
        let settings = self.settings;
        if settings.auth_clients == AuthClients::No {
            return Some(Trust::default());
        }
        let mut waiting = Vec::new();
        let authorities = match admission.authorities {
            Admit::OfFile => self.authorities(),
            Admit::KnownOfFile => self.authorities().map(|all| self.known_of(&all, &parsed(before), &mut waiting)),
            Admit::Known => Some(parsed(before)),
        };
        let pinned_keys = self.pins(before, admission.pins, &mut waiting);
        let lists = self.revocation_lists(authorities.as_deref().unwrap_or_default(), &before.lists);
        let (authorities, lists) = authorities.zip(lists)?;
        let mut in_force = InForce {
            authorities: authorities.iter().map(|authority| authority.der.clone()).collect(),
            authority_keys: authorities.iter().map(|authority| authority.certificate.spki_sha256).collect(),
            pinned_keys: pinned_keys.clone(),
            lists: self.remembered(self.editions(&lists, &authorities, &before.lists), &before.lists),
            revoked: Vec::new(),
        };
        let subordinates = self.subordinates(&authorities);
        let keys = Keys {
            pins: pinned_keys.iter().copied().collect(),
            waiting_pins: self.rule_keys.pinned.iter().filter(|key| !pinned_keys.contains(key)).copied().collect(),
            authorities: in_force.authority_keys.iter().chain(&self.rule_keys.authorities).copied().collect(),
        };
        let revoked = Revoked::new(lists.iter().map(|usable| &**usable), settings.crl_check);
        let all_authorities = authorities.clone();
        let authorities = self.without_revoked(authorities, &revoked, &before.revoked);
        let is_left = |der: &CertificateDer<'_>| authorities.iter().any(|authority| authority.der == *der);
        in_force.revoked = in_force.authorities.iter().filter(|der| !is_left(der)).cloned().collect();
        let realms = self.realms(&authorities, &all_authorities, &lists)?;
        let crl_expires_at = lists.iter().map(|usable| usable.next_update).min();
        let mandatory = settings.auth_clients == AuthClients::Yes;
        let verifier = Verifier::new(realms, keys, revoked, self.settings.crl_expired, self.algorithms, mandatory);
        Some(Trust { verifier: Some(Arc::new(verifier)), in_force, waiting, subordinates, crl_expires_at })
    }

    /// Those of the known CAs that are still in the file. The others in it wait.
    fn known_of(&self, all: &[Authority], known: &[Authority], waiting: &mut Vec<Finding>) -> Vec<Authority> {
        let is_known = |authority: &Authority| known.iter().any(|known| known.der == authority.der);
        let path = self.settings.ca_cert_file.as_deref().unwrap_or(Path::new(""));
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

    /// Those that may count by now. The others wait.
    fn pins(&self, before: &InForce, admit: Admit, waiting: &mut Vec<Finding>) -> Vec<Fingerprint> {
        let (known, new): (Vec<Fingerprint>, Vec<Fingerprint>) =
            self.rule_keys.pinned.iter().partition(|key| admit == Admit::OfFile || before.pinned_keys.contains(key));
        waiting.extend(new.iter().map(|key| waits("trust = \"pin\"".to_owned(), format!("the key {key}"))));
        known
    }

    /// CAs that share no name in one realm, and of CRLs in each those that do not belong to a namesake elsewhere.
    fn realms(
        &mut self,
        authorities: &[Authority],
        all: &[Authority],
        lists: &[Arc<UsableList>],
    ) -> Option<Vec<Realm>> {
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
                    let path = self.settings.ca_cert_file.clone().unwrap_or_default();
                    self.unusable("tls-ca-cert-file", &path, words);
                    return None;
                }
            }
            let has_signed = |authority: &Authority, list: &RevocationList| {
                authority.is_named(&list.issuer)
                    && keys::has_signed(&authority.der, &list.signed, &list.signature, &self.algorithms)
            };
            let is_signed = |list: &RevocationList| group.iter().any(|authority| has_signed(authority, list));
            let is_a_namesake_s = |usable: &UsableList| {
                let list = &usable.list;
                let is_better = |other: &Arc<UsableList>| {
                    other.list.issuer == list.issuer && other.list.scope == list.scope && is_signed(&other.list)
                };
                group.iter().any(|authority| authority.is_named(&list.issuer))
                    && !is_signed(list)
                    && (all.iter().any(|authority| has_signed(authority, list)) || lists.iter().any(is_better))
            };
            let own = lists.iter().map(|usable| &**usable).filter(|usable| !is_a_namesake_s(usable));
            let is_wanted = !self.settings.crl_files.is_empty();
            let revocation = Revocation::new(is_wanted, own, self.settings.crl_check);
            realms.push(Realm { anchors, revocation });
        }
        Some(realms)
    }

    /// An intermediate CA may stand in the file, and webpki looks at no anchor's revocation. One that is revoked, or was
    /// issued by such a one alone, is no anchor, and stays none as long as it stands there, though the CRL may be gone.
    fn without_revoked(
        &mut self,
        mut authorities: Vec<Authority>,
        revoked: &Revoked,
        before: &[CertificateDer<'static>],
    ) -> Vec<Authority> {
        let path = self.settings.ca_cert_file.clone().unwrap_or_default();
        let mut gone: Vec<Authority> = Vec::new();
        loop {
            let issued = |issuer: &Authority, authority: &Authority| self.has_issued(issuer, authority);
            let is_revoked = |authority: &Authority| {
                revoked.lists(&authority.certificate)
                    || before.contains(&authority.der)
                    || gone.iter().any(|issuer| issued(issuer, authority))
                        && !authorities.iter().any(|issuer| issued(issuer, authority))
            };
            let Some(position) = authorities.iter().position(is_revoked) else { return authorities };
            let name = authorities[position].name().display();
            if self.settings.crl_check == CrlCheck::Leaf {
                let words =
                    format!("the CA {name} is revoked, and trusted all the same, because of crl-check = \"leaf\"");
                self.note(&path, Severity::Warning, words);
                return authorities;
            }
            let words = format!("the CA {name} is revoked: what it has issued is refused; take it out of the file");
            self.note(&path, Severity::Error, words);
            gone.push(authorities.remove(position));
        }
    }

    /// Whether a CA has issued the certificate of another one.
    fn has_issued(&self, issuer: &Authority, authority: &Authority) -> bool {
        issuer.name().canonical() == authority.certificate.issuer.canonical()
            && issuer.certificate.spki_sha256 != authority.certificate.spki_sha256
            && Certificate::signature_of(&authority.der)
                .is_ok_and(|(signed, signature)| keys::has_signed(&issuer.der, &signed, &signature, &self.algorithms))
    }

    /// Those that are not self-signed. Where their issuer stands in the file as well, what keeps it in bounds is lost on them.
    fn subordinates(&mut self, authorities: &[Authority]) -> Vec<Subordinate> {
        let path = self.settings.ca_cert_file.clone().unwrap_or_default();
        let is_root = |authority: &&Authority| {
            Certificate::signature_of(&authority.der).is_ok_and(|(signed, signature)| {
                keys::has_signed(&authority.der, &signed, &signature, &self.algorithms)
            })
        };
        let subordinates: Vec<&Authority> = authorities.iter().filter(|authority| !is_root(authority)).collect();
        for authority in &subordinates {
            let is_bound = |issuer: &&Authority| {
                let Certificate { has_name_constraints, path_length, .. } = &issuer.certificate;
                (*has_name_constraints || path_length.is_some()) && self.has_issued(issuer, authority)
            };
            if let Some(issuer) = authorities.iter().find(is_bound) {
                let (name, issuer) = (authority.name().display(), issuer.name().display());
                let words =
                    "whose constraints do not hold for it: it stands in the file itself; take it out to have them hold";
                self.note(&path, Severity::Warning, format!("the CA {name} was issued by {issuer}, {words}"));
            }
        }
        let of = |authority: &&Authority| Subordinate {
            name: authority.name().display(),
            key: authority.certificate.spki_sha256,
        };
        subordinates.iter().map(of).collect()
    }

    /// The lists that a client CA of their name has signed, one of now or of before.
    fn editions(&self, lists: &[Arc<UsableList>], authorities: &[Authority], before: &[Edition]) -> Vec<Edition> {
        let present = authorities
            .iter()
            .map(|authority| (authority.name().canonical(), &authority.der, authority.certificate.spki_sha256));
        let former = before.iter().map(|known| (known.usable.list.issuer.canonical(), &known.signer, known.key));
        let signers: Vec<_> = present.chain(former).collect();
        let edition = |usable: &Arc<UsableList>| {
            let RevocationList { issuer, signed, signature, .. } = &usable.list;
            let issuer = issuer.canonical();
            let has_signed =
                |signer: &CertificateDer<'_>| keys::has_signed(signer, signed, signature, &self.algorithms);
            let (_, signer, key) = signers.iter().find(|(name, signer, _)| *name == issuer && has_signed(signer))?;
            Some(Edition { signer: (*signer).clone(), key: *key, usable: Arc::clone(usable) })
        };
        lists.iter().filter_map(edition).collect()
    }

    /// The client CAs, none if keys are pinned instead.
    fn authorities(&mut self) -> Option<Vec<Authority>> {
        let setting = "tls-ca-cert-file";
        let Some(path) = self.settings.ca_cert_file.as_deref() else {
            if !self.rule_keys.pinned.is_empty() {
                return Some(Vec::new());
            }
            let words =
                "is missing; it names the CAs whose client certificates are trusted (or set tls-auth-clients no)";
            self.settings_error(setting, words.to_owned());
            return None;
        };
        let content = self.read(setting, path)?;
        let (certificates, lists) = self.pem(setting, path, pem::authorities(&content.bytes))?;
        let errors_before = self.errors.len();
        let mut authorities = Vec::with_capacity(certificates.len());
        for (position, der) in certificates.into_iter().enumerate() {
            let Some(certificate) = self.parse(setting, path, position + 1, &der) else { continue };
            let mut reasons = explain::authority(&certificate);
            if reasons.is_empty() && !keys::is_usable(&der, &certificate, &self.algorithms) {
                reasons.push(format!("its key is of a kind that is not accepted: {}", keys::ACCEPTED));
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
        if lists > 0 && !self.settings.crl_files.iter().any(|file| file == path) {
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

    fn revocation_lists(&mut self, authorities: &[Authority], before: &[Edition]) -> Option<Vec<Arc<UsableList>>> {
        let setting = "tls-crl-file";
        let errors_before = self.errors.len();
        let mut all: Vec<Arc<UsableList>> = Vec::new();
        for path in &self.settings.crl_files {
            let Some(content) = self.read(setting, path) else { continue };
            let Some(lists) = self.pem(setting, path, pem::revocation_lists(&content.bytes)) else { continue };
            let count = counted(lists.len(), "CRL");
            let mut revoked = 0;
            for (position, der) in lists.into_iter().enumerate() {
                let list = match RevocationList::parse(&der) {
                    Ok(list) => list,
                    Err(error) => {
                        self.unusable(setting, path, format!("CRL {} in it is {error}", position + 1));
                        continue;
                    }
                };
                revoked += list.serials.len();
                self.judge_times(path, &list);
                if !self.judge_signer(path, &list, authorities) {
                    continue;
                }
                let issuer = list.issuer.display();
                if list.scope.is_some() {
                    let words =
                        "covers only certificates that name its distribution point; all others of this CA are refused";
                    self.warn(path, format!("the CRL of {issuer} {words}"));
                }
                match UsableList::new(der, list) {
                    Ok(usable) => all.push(Arc::new(usable)),
                    Err(unsupported) => self.unusable(setting, path, format!("the CRL of {issuer} {unsupported}")),
                }
            }
            self.note(path, Severity::Info, format!("{count}, {} revoked", counted(revoked, "certificate")));
        }
        let all = self.keep_newest_editions(all, authorities, before);
        match self.settings.crl_files.first() {
            Some(path) => {
                let covered = |name: &Name| all.iter().any(|usable| usable.list.issuer == *name);
                for authority in authorities.iter().filter(|authority| !covered(authority.name())) {
                    let name = authority.name().display();
                    let words = "every certificate it has issued will be refused";
                    self.warn(path, format!("there is no CRL of the CA {name}: {words}"));
                }
            }
            None => {
                let words = "none: a certificate that is revoked is let in all the same, until it ends";
                let (subject, message) = (setting.to_owned(), words.to_owned());
                self.findings.push(Finding { severity: Severity::Info, subject, message });
            }
        }
        (self.errors.len() == errors_before).then_some(all)
    }

    /// What has been revoked since an older edition was made would be let in again, which whoever replays one may want:
    /// the one in force stays. The same where there is none any more, and its CA is still there.
    fn keep_newest_editions(
        &mut self,
        mut all: Vec<Arc<UsableList>>,
        authorities: &[Authority],
        before: &[Edition],
    ) -> Vec<Arc<UsableList>> {
        let is_there =
            |key: &Fingerprint| authorities.iter().any(|authority| authority.certificate.spki_sha256 == *key);
        let mut editions = self.editions(&all, authorities, before);
        for known in before {
            let is_same = |edition: &&Edition| edition.is_of_same_list(known);
            let is_any = editions.iter().any(|edition| is_same(&edition));
            let is_gone = !is_any && !is_there(&known.key);
            if is_gone || editions.iter().filter(is_same).any(|edition| !edition.is_older_than(known)) {
                continue;
            }
            let (issuer, severity) = (known.usable.list.issuer.display(), Severity::Error);
            let what = if is_any { "is older than the one in force" } else { "is not in the files any more" };
            let words = "which stays in force: put the current one there, or restart to do without it";
            let (subject, message) = ("tls-crl-file".to_owned(), format!("the CRL of {issuer} {what}, {words}"));
            self.findings.push(Finding { severity, subject, message });
            let older: Vec<_> = editions.iter().filter(is_same).map(|edition| Arc::clone(&edition.usable)).collect();
            all.retain(|usable| !older.iter().any(|older| Arc::ptr_eq(older, usable)));
            all.push(Arc::clone(&known.usable));
            editions.retain(|edition| !is_same(&edition));
            editions.push(known.clone());
        }
        all
    }

    /// These, and those of before whose CA has left the file: it may come back, or go on beneath another.
    fn remembered(&self, mut editions: Vec<Edition>, before: &[Edition]) -> Vec<Edition> {
        let gone = before.iter().filter(|known| !editions.iter().any(|edition| edition.is_of_same_list(known)));
        let gone: Vec<Edition> = gone.cloned().collect();
        editions.extend(gone);
        editions
    }

    /// What an expired list revokes stays revoked; it only cannot say any more that others are not.
    fn judge_times(&mut self, path: &Path, list: &RevocationList) {
        let issuer = list.issuer.display();
        if list.this_update > unix_seconds(self.now) {
            self.warn(path, format!("the CRL of {issuer} was made in the future: one of two clocks is wrong"));
        }
        let Some(next_update) = list.next_update else { return };
        let expired = next_update <= unix_seconds(self.now);
        match self.settings.crl_expired {
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
    fn judge_signer(&mut self, path: &Path, list: &RevocationList, authorities: &[Authority]) -> bool {
        let issuer = list.issuer.display();
        let algorithms = self.algorithms;
        let signers = authorities
            .iter()
            .filter(|authority| keys::has_signed(&authority.der, &list.signed, &list.signature, &algorithms));
        let (own, others): (Vec<&Authority>, Vec<&Authority>) =
            signers.partition(|authority| authority.is_named(&list.issuer));
        if own.iter().any(|authority| authority.certificate.key_usage.is_some_and(|usage| !usage.crl_sign)) {
            self.warn(path, format!("the CRL of {issuer} is by a CA whose key usage does not allow cRLSign"));
        }
        let is_another = |other: &&Authority| other.name().canonical() != list.issuer.canonical();
        let is_named = authorities.iter().any(|authority| authority.name().canonical() == list.issuer.canonical());
        let is_forged = own.is_empty() && is_named && others.iter().copied().all(|other| is_another(&other));
        if let (true, Some(other)) = (is_forged, others.first()) {
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

    fn versions(&mut self) -> Option<Vec<&'static SupportedProtocolVersion>> {
        let mut versions = Vec::new();
        if self.settings.protocols.tls13 {
            versions.push(&rustls::version::TLS13);
        }
        if self.settings.protocols.tls12 {
            versions.push(&rustls::version::TLS12);
        }
        if versions.is_empty() {
            let words = "names no protocol; TLSv1.2 and TLSv1.3 are known";
            self.settings_error("tls-protocols", words.to_owned());
            return None;
        }
        Some(versions)
    }

    /// Whoever can change one of these files decides who is trusted, or who the server is.
    fn read(&mut self, setting: &'static str, path: &Path) -> Option<Rc<Content>> {
        let content = self.files.read(path).map_err(|error| self.fail(setting, path, Problem::Read(error))).ok()?;
        if let Some(fault) = content.permissions.changeable() {
            self.fail(setting, path, Problem::Changeable(fault));
        }
        if let Some(message) = content.permissions.foreign() {
            self.findings.push(Finding { severity: Severity::Warning, subject: setting.to_owned(), message });
        }
        Some(content)
    }

    fn read_secret(&mut self, setting: &'static str, path: &Path) -> Option<Rc<Content>> {
        let content = self.read(setting, path)?;
        let mode = content.metadata.permissions().mode() & 0o7777;
        if mode & 0o007 != 0 && content.permissions.changeable().is_none() {
            let problem = Problem::Permissions(mode);
            if self.settings.strict_permissions {
                self.fail(setting, path, problem);
                return None;
            }
            self.warn(path, problem.in_words(path));
        }
        Some(content)
    }

    fn pem<T>(&mut self, setting: &'static str, path: &Path, result: Result<T, Vec<PemError>>) -> Option<T> {
        result.map_err(|errors| errors.into_iter().for_each(|error| self.fail(setting, path, Problem::Pem(error)))).ok()
    }

    fn parse(&mut self, setting: &'static str, path: &Path, position: usize, der: &[u8]) -> Option<Certificate> {
        Certificate::parse(der)
            .map_err(|error| self.unusable(setting, path, format!("certificate {position} in it is {error}")))
            .ok()
    }

    fn unusable(&mut self, setting: &'static str, path: &Path, words: String) {
        self.fail(setting, path, Problem::Unusable(words));
    }

    fn fail(&mut self, setting: &'static str, path: &Path, problem: Problem) {
        self.errors.push(LoadError { setting, path: Some(path.to_owned()), problem });
    }

    /// The setting itself is wrong, no file.
    fn settings_error(&mut self, setting: &'static str, words: String) {
        self.errors.push(LoadError { setting, path: None, problem: Problem::Unusable(words) });
    }

    fn warn(&mut self, path: &Path, message: String) {
        self.note(path, Severity::Warning, message);
    }

    fn note(&mut self, path: &Path, severity: Severity, message: String) {
        self.findings.push(Finding { severity, subject: path.display().to_string(), message });
    }

    fn warn_of_expiry(&mut self, path: &Path, what: &str, expires_at: i64) {
        if let Some(when) = explain::expires_soon(expires_at, self.now) {
            self.warn(path, format!("{what} {when}"));
        }
    }
}

/// `1 CRL`, `2 CRLs`.
fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// A CA or key that is written already and counts for nothing yet.
fn waits(subject: String, what: String) -> Finding {
    let words = "is new and not trusted yet: it waits until configuration and ACL file are in force as they are";
    Finding { severity: Severity::Warning, subject, message: format!("{what} {words}") }
}

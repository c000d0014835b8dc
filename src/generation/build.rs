//! From a configuration and files to a generation, or everything that is wrong with them.

mod audit;
mod blocklist;
mod tunnels;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use super::Generation;
use super::acl_file::{AclReader, effect_of_unknown, quoted, refusal_work};
use super::contradictions::{contradictions, wanted_contradictions};
use super::error::BuildError;
use crate::acl::{Acl, Unknown};
use crate::auth::hash::{self, Cost};
use crate::auth::verify::RefusalWork;
use crate::command::{CommandTable, Dialect};
use crate::config::{self, AclSource, CertificateRule, Config};
use crate::files::Files;
use crate::identity::{CertificateMap, FieldName, Fingerprint, RuleSpec};
use crate::policy::{Policy, Renames, ScriptRights, Shadows};
use crate::resp::RequestLimits;
use crate::session::SessionLimits;
use crate::tls::{
    self, AuthClients, Finding, InForce, NewTrust, RuleKeys, Severity, Subordinate, TlsMaterial, TlsSettings,
};
use crate::upstream::probe::ServerInfo;

/// A generation, and what works but should not stay so.
pub struct Built {
    /// The generation.
    pub generation: Generation,
    /// For the log, or for whoever runs `check`.
    pub warnings: Vec<String>,
    /// For whoever runs `check`.
    pub advice: Vec<String>,
    /// What is wrong, and in force all the same, because not to have it would be worse.
    pub faults: Vec<String>,
    /// What each file gave.
    pub contents: Vec<String>,
    /// Commands whose names upstream and configuration disagree about, and which are refused for that.
    pub misnamed: Vec<String>,
    /// What of the files waits, because it lets somebody in.
    pub waiting: Vec<String>,
}

/// What is known of the upstream.
#[derive(Clone, Copy)]
pub enum UpstreamKnowledge<'a> {
    /// Nobody asks it: a configuration is only looked at.
    NotAsked,
    /// It has not answered yet.
    NotYetKnown,
    /// This is what it said.
    Known(&'a ServerInfo),
}

impl<'a> UpstreamKnowledge<'a> {
    fn server(self) -> Option<&'a ServerInfo> {
        match self {
            UpstreamKnowledge::Known(server) => Some(server),
            UpstreamKnowledge::NotAsked | UpstreamKnowledge::NotYetKnown => None,
        }
    }

    /// It has said which commands it has. One that does not let us ask says nothing.
    fn tells_commands(self) -> bool {
        self.server().is_some_and(|server| !server.commands.is_empty())
    }

    /// What becomes of rules that nobody knows: a newer server may, until the one that is there has said what it is. What
    /// was taken while it was there has to be taken before it is.
    pub fn unknown_rules(self, config: &Config) -> Unknown {
        match (self.server(), config.acl_dialect) {
            _ if self.tells_commands() => Unknown::Refuse,
            (None, None) => Unknown::Keep,
            // The dialect is known, and with it the rules there are.
            (Some(_), _) | (_, Some(_)) => Unknown::KeepNames,
        }
    }
}

/// What a new generation has from the one in force.
#[derive(Clone, Copy, Default)]
pub struct Kept<'a> {
    /// The generation in force; `None` at the start.
    pub before: Option<&'a Generation>,
    /// Its users stay.
    pub users: bool,
    /// Its certificates, keys, CAs and CRLs stay.
    pub trust: bool,
    /// Nobody is let in whom it does not let in.
    pub new_trust_waits: bool,
    /// Its client CAs that come from these files.
    pub authorities: &'a [PathBuf],
    /// Its configuration stays: what is in force is no error because another Redis does not know it.
    pub config: bool,
}

/// Loads everything that a configuration names out of `files`, but for what is kept.
///
/// # Errors
/// Everything that is wrong, not only the first.
pub fn build(
    config: &Config,
    files: &Files,
    upstream: UpstreamKnowledge<'_>,
    kept: Kept<'_>,
) -> Result<Built, Vec<BuildError>> {
    let before = kept.before;
    let number = before.map_or(1, |before| before.number + 1);
    let mut builder = Builder::new(config, files, upstream, kept);
    let table = table(config, upstream);
    let unknown = upstream.unknown_rules(config);
    let acl = match before.filter(|_| kept.users) {
        Some(before) => Some(builder.kept_users(&before.policy.acl, &table, unknown)),
        None => builder.acl(&table, unknown),
    };
    if let Some(acl) = &acl {
        builder.errors.extend(contradictions(config, acl).iter().map(BuildError::from));
        builder.warnings.extend(wanted_contradictions(config, acl).iter().map(ToString::to_string));
    }
    let certificates = builder.certificates();
    let blocklist = builder.blocklist(&table);
    if let (Some(acl), Some(blocklist)) = (&acl, &blocklist) {
        builder.tell_of_blocklist(blocklist, acl, &table);
    }
    let audit = builder.audit_rules(&table);
    let renames = builder.renames(&table);
    let listeners = match before.filter(|_| kept.trust) {
        Some(before) => builder.kept_listeners(&before.listeners),
        None => builder.listeners(),
    };
    let revocations = builder.revocations();
    let tunnels = match before.filter(|_| kept.trust) {
        Some(before) => builder.kept_tunnels(&before.tunnels),
        None => builder.tunnels(),
    };
    builder.tell_of_authority_rules(&listeners);
    let Builder { errors, mut warnings, advice, faults, contents, misnamed, waiting, .. } = builder;
    let (Some(acl), Some(certificates), Some(blocklist), Some(renames), true) =
        (acl, certificates, blocklist, renames, errors.is_empty())
    else {
        return Err(errors);
    };
    let refusal_work = Arc::new(refusal_work(&acl));
    warnings.extend(excessive(&refusal_work));
    let script_rights = script_rights(config, &table, upstream);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let shadows = Shadows::build(config.users.iter(), &acl, &table, now);
    warnings.extend(shadows.names().map(|name| in_shadow(name, config)));
    let policy = Policy {
        generation: number,
        restricted_since: number,
        dialect: table.dialect(),
        table,
        acl,
        certificates,
        unmapped: config.unmapped,
        settings: config.users.clone().into_iter().collect(),
        ignore_stray_auth: config.ignore_stray_auth,
        blocklist,
        renames,
        script_rights,
        shadows,
        audit,
    };
    let policy = match before {
        Some(before) => policy.following(&before.policy),
        None => policy,
    };
    Ok(Built {
        generation: Generation {
            number,
            since: SystemTime::now(),
            config: Arc::new(config.clone()),
            limits: Arc::new(session_limits(config)),
            policy: Arc::new(policy),
            listeners,
            revocations,
            tunnels,
            refusal_work,
        },
        warnings,
        advice,
        faults,
        contents,
        misnamed,
        waiting,
    })
}

fn in_shadow(name: &str, config: &Config) -> String {
    let shadow = config.users.get(name).and_then(|settings| settings.shadow);
    let what = if shadow.is_some_and(|shadow| shadow.opens_names) { "commands, keys and channels" } else { "commands" };
    let day = shadow.map(|shadow| day(shadow.until)).unwrap_or_default();
    format!("user {name} is in shadow until {day}: {what} that its rules refuse are let through and recorded")
}

/// Of this time, in seconds since 1970 UTC.
fn day(at: u64) -> String {
    let time = i64::try_from(at).ok().and_then(|at| time::OffsetDateTime::from_unix_timestamp(at).ok());
    time.map(|time| time.date().to_string()).unwrap_or_default()
}

fn table(config: &Config, upstream: UpstreamKnowledge<'_>) -> CommandTable {
    let server = upstream.server();
    let dialect = match (config.acl_dialect, server) {
        (Some(dialect), _) => dialect,
        (None, Some(server)) => Dialect::for_server(&server.server, server.version.0, server.version.1),
        (None, None) => Dialect::Redis70,
    };
    let builtin = CommandTable::builtin(dialect);
    match server {
        Some(server) => builtin.extended(&server.commands),
        None => builtin,
    }
}

/// Hashes of which users have so many, or of so many costs, that each guess is dear.
fn excessive(work: &RefusalWork) -> Option<String> {
    work.is_excessive().then(|| {
        format!(
            "every refused login computes {work} password hashes, for its time must not tell who exists: give users hashes of \
             one cost (`respgate hash-password`), and take away the passwords that they no longer use"
        )
    })
}

fn session_limits(config: &Config) -> SessionLimits {
    let bounds = &config.limits;
    let bytes = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    SessionLimits {
        request: RequestLimits {
            max_args: bounds.max_args,
            max_bulk: bounds.max_bulk,
            max_inline: bounds.max_inline,
            authenticated: true,
        },
        request_buffer: bytes(bounds.request_buffer),
        hold_buffer: bytes(bounds.hold_buffer),
        auth_timeout: bounds.auth_timeout,
        idle_timeout: bounds.idle_timeout,
        request_timeout: bounds.request_timeout,
        upstream_timeout: config.upstream.timeout,
        half_close_timeout: bounds.half_close_timeout,
    }
}

fn script_rights(config: &Config, table: &CommandTable, upstream: UpstreamKnowledge<'_>) -> ScriptRights {
    match upstream {
        _ if !config.upstream.mirror_users => ScriptRights::Upstream,
        UpstreamKnowledge::Known(server) => ScriptRights::mirrored(table, &server.commands),
        UpstreamKnowledge::NotAsked | UpstreamKnowledge::NotYetKnown => ScriptRights::NotYet,
    }
}

struct Builder<'a> {
    config: &'a Config,
    files: &'a Files,
    upstream: UpstreamKnowledge<'a>,
    kept: Kept<'a>,
    errors: Vec<BuildError>,
    warnings: Vec<String>,
    advice: Vec<String>,
    faults: Vec<String>,
    contents: Vec<String>,
    misnamed: Vec<String>,
    waiting: Vec<String>,
}

impl<'a> Builder<'a> {
    fn new(config: &'a Config, files: &'a Files, upstream: UpstreamKnowledge<'a>, kept: Kept<'a>) -> Self {
        let (errors, misnamed, waiting) = (Vec::new(), Vec::new(), Vec::new());
        let (warnings, advice, faults, contents) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { config, files, upstream, kept, errors, warnings, advice, faults, contents, misnamed, waiting }
    }

    /// Over another table. What the upstream does not know, now that it has said what it does, is no reason to stop.
    fn kept_users(&mut self, users: &Acl, table: &CommandTable, unknown: Unknown) -> Acl {
        let users = users.recompiled(table);
        if unknown == Unknown::Refuse {
            for user in users.users() {
                let rules = user.unknown_rules();
                if !rules.is_empty() {
                    let (name, rules, effect) = (user.name(), quoted(&rules), effect_of_unknown(&rules));
                    self.warnings.push(format!("user {name}: {rules}: Redis knows no such rule: {effect}"));
                }
            }
        }
        users
    }

    fn acl(&mut self, table: &CommandTable, unknown: Unknown) -> Option<Acl> {
        match &self.config.acl {
            AclSource::File(path) => {
                let strict_permissions = self.config.strict_permissions;
                let mut reader = AclReader { strict_permissions, ..AclReader::default() };
                let acl = reader.read(path, self.files, table, unknown);
                self.errors.append(&mut reader.errors);
                self.warnings.append(&mut reader.warnings);
                self.advice.append(&mut reader.advice);
                acl
            }
            AclSource::Password(password) => {
                let hash = match hash::make(password.expose(), Cost::default()) {
                    Ok(hash) => hash,
                    Err(error) => {
                        self.errors.push(BuildError::users(format!("cannot hash the password: {error}")));
                        return None;
                    }
                };
                let rules: [&[u8]; 5] = [b"on", b"+@all", b"~*", b"&*", hash.as_bytes()];
                Acl::new(table)
                    .set_user(b"default", &rules, table)
                    .map_err(|error| self.errors.push(BuildError::users(error)))
                    .ok()
            }
            AclSource::None => Some(Acl::new(table)),
        }
    }

    fn certificates(&mut self) -> Option<CertificateMap> {
        let rules = self.config.certificates.iter().map(|rule| rule.spec.clone()).collect();
        CertificateMap::build(rules, self.config.tls_auth_clients_user)
            .map_err(|errors| {
                for error in errors {
                    let place = self.config.certificates.get(error.rule).map_or("", |rule| rule.location.as_str());
                    self.errors.push(BuildError::config(format!("{place}: {error}")));
                }
            })
            .ok()
    }

    /// A command that the upstream has renamed and nobody declared is refused: under its own name Redis does not know it,
    /// and under the other we do not. So is one whose declared name the upstream does not confirm: it may be that of
    /// another command.
    fn renames(&mut self, table: &CommandTable) -> Option<Renames> {
        let upstream = self.upstream;
        let mut pairs: Vec<(String, String)> =
            self.config.renames.iter().map(|rename| (rename.original.clone(), new_name(rename))).collect();
        for (original, name) in pairs.iter_mut().filter(|(_, name)| !name.is_empty()) {
            let is_confirmed = match upstream {
                UpstreamKnowledge::NotAsked => true,
                UpstreamKnowledge::NotYetKnown => false,
                UpstreamKnowledge::Known(server) => match server.declared.get(name) {
                    Some(Some(behind)) if behind.eq_ignore_ascii_case(original) => true,
                    // It was declared since, and is going to be asked for.
                    None => false,
                    Some(_) => {
                        self.misnamed.push(format!(
                            "[rename]: the upstream does not know {original} by the name that is declared: it is refused"
                        ));
                        false
                    }
                },
            };
            if !is_confirmed {
                name.clear();
            }
        }
        let renamed = upstream.server().map(|server| server.renamed.as_deref());
        if renamed == Some(None) && pairs.is_empty() {
            self.warnings.push(
                "the upstream does not let the proxy ask with COMMAND (it is renamed, disabled or not allowed to the proxy's \
                 own user): commands that it has renamed, or whose names it has given to others, go unnoticed: declare \
                 them in [rename] or with redis-conf"
                    .to_owned(),
            );
        }
        // A name that is not in the table is refused anyway.
        let in_table = |name: &&String| table.by_name(&name.to_ascii_lowercase()).is_some();
        for name in renamed.flatten().unwrap_or_default().iter().filter(in_table) {
            if !pairs.iter().any(|(original, _)| original.eq_ignore_ascii_case(name)) {
                self.misnamed.push(format!(
                    "the upstream has renamed {}, which [rename] does not declare: it is refused",
                    name.to_ascii_uppercase()
                ));
                pairs.push((name.clone(), String::new()));
            }
        }
        self.drop_unknown(&mut pairs, table);
        Renames::build(&pairs, table)
            .map_err(|errors| {
                self.errors.extend(errors.iter().map(|error| BuildError::config(format!("[rename] {error}"))));
            })
            .ok()
    }

    /// What a command that nobody knows is called makes no difference as yet.
    fn drop_unknown(&mut self, pairs: &mut Vec<(String, String)>, table: &CommandTable) {
        let is_known = |name: &str| table.by_name(&name.to_ascii_lowercase()).is_some();
        if self.kept.config || !self.upstream.tells_commands() {
            pairs.retain(|(original, _)| {
                let is_known = is_known(original);
                if !is_known {
                    self.warnings.push(format!("[rename] `{original}` is no command that is known: it is refused"));
                }
                is_known
            });
        }
        if self.kept.config {
            for (original, name) in pairs.iter_mut().filter(|(_, name)| is_known(name)) {
                self.misnamed
                    .push(format!("[rename]: the new name of {original} is that of another command: it is refused"));
                name.clear();
            }
        }
    }

    /// As they are, and what there is to say of them.
    fn kept_listeners(&mut self, before: &[Option<Arc<TlsMaterial>>]) -> Vec<Option<Arc<TlsMaterial>>> {
        for material in before.iter().flatten() {
            material.findings().iter().for_each(|finding| self.tell(finding));
            self.waiting.extend(material.waiting().iter().map(ToString::to_string));
        }
        before.to_vec()
    }

    fn listeners(&mut self) -> Vec<Option<Arc<TlsMaterial>>> {
        let mut loaded: Vec<(&TlsSettings, Option<&InForce>, Arc<TlsMaterial>)> = Vec::new();
        let mut listeners = Vec::new();
        let keys = rule_keys(&self.config.certificates);
        for (number, listener) in self.config.listeners.iter().enumerate() {
            let before = self.in_force(number);
            listeners.push(listener.tls.as_ref().and_then(|settings| {
                let new_trust = NewTrust {
                    may_come: !self.kept.new_trust_waits,
                    keeps_authorities: self.keeps_authorities(number, settings),
                };
                // Two listeners with the same files, and the same past, share one material, and one error.
                let is_same = |(known, past, _): &&(&TlsSettings, Option<&InForce>, Arc<TlsMaterial>)| {
                    *known == settings && *past == before
                };
                if let Some((.., material)) = loaded.iter().find(is_same) {
                    return Some(Arc::clone(material));
                }
                match tls::material::load(settings, &keys, self.files, before, new_trust, SystemTime::now()) {
                    Ok(material) => {
                        material.findings().iter().for_each(|finding| self.tell(finding));
                        self.waiting.extend(material.waiting().iter().map(ToString::to_string));
                        let material = Arc::new(material);
                        loaded.push((settings, before, Arc::clone(&material)));
                        Some(material)
                    }
                    Err(errors) => {
                        let told: Vec<String> = self.errors.iter().map(ToString::to_string).collect();
                        let is_news = |error: &BuildError| !told.contains(&error.to_string());
                        self.errors.extend(errors.iter().map(BuildError::from).filter(is_news));
                        None
                    }
                }
            }));
        }
        listeners
    }

    /// What is in force at the listener of this number.
    fn in_force(&self, number: usize) -> Option<&'a InForce> {
        let before = self.kept.before?;
        match before.listeners.get(number)? {
            Some(material) => Some(material.in_force()),
            None => before.revocations.get(number)?.as_deref(),
        }
    }

    /// Of each plaintext listener what was revoked before.
    fn revocations(&self) -> Vec<Option<Arc<InForce>>> {
        let plaintext = |number| self.in_force(number).map(InForce::revocations).map(Arc::new);
        let listeners = self.config.listeners.iter().enumerate();
        listeners.map(|(number, listener)| if listener.tls.is_none() { plaintext(number) } else { None }).collect()
    }

    /// Whether a listener keeps the client CAs that it has. Those of another file are no stand-in for what is in this one.
    fn keeps_authorities(&self, number: usize, settings: &TlsSettings) -> bool {
        let before = self.kept.before.and_then(|before| before.config.listeners.get(number)?.tls.as_ref());
        let is_the_same = before.is_some_and(|before| {
            before.auth_clients != AuthClients::No && before.ca_cert_file == settings.ca_cert_file
        });
        is_the_same && settings.ca_cert_file.as_ref().is_some_and(|file| self.kept.authorities.contains(file))
    }

    /// What there is to say of the rules that are about CAs, and of the CAs.
    fn tell_of_authority_rules(&mut self, listeners: &[Option<Arc<TlsMaterial>>]) {
        let has = |rule: &CertificateRule, wanted| rule.spec.fields.iter().any(|(field, _)| *field == wanted);
        let mut named = BTreeMap::new();
        for rule in &self.config.certificates {
            let place = &rule.location;
            let keys = digests(&rule.spec, FieldName::CaSpkiSha256);
            named.extend(keys.into_iter().map(|key| (key.to_string(), (key, place))));
            if has(rule, FieldName::IssuerCn) && !has(rule, FieldName::CaSpkiSha256) {
                let words = "tells no CAs apart: each may name one beneath it as it likes; see ca-spki-sha256";
                self.advice.push(format!("{place}: [[certificate]] issuer-cn {words}"));
            }
        }
        let materials = || listeners.iter().flatten();
        for (key, place) in named.values() {
            if !materials().any(|material| material.in_force().has_authority(key)) {
                let words = "is of no CA in tls-ca-cert-file: what it has issued is refused";
                self.faults.push(format!("{place}: [[certificate]] ca-spki-sha256: {key} {words}"));
            }
        }
        for Subordinate { name, key } in materials().flat_map(|material| material.subordinates()) {
            let text = format!(
                "{name} is a client CA of its own: no [[certificate]] rule of ca-spki-sha256 speaks of what it has issued, nor \
                 does one about a CA above it"
            );
            if !named.is_empty() && !named.contains_key(&key.to_string()) && !self.warnings.contains(&text) {
                self.warnings.push(text);
            }
        }
    }

    /// Listeners that share files say the same of them.
    fn tell(&mut self, finding: &Finding) {
        let told = match finding.severity {
            Severity::Error => &mut self.faults,
            Severity::Warning => &mut self.warnings,
            Severity::Advice => &mut self.advice,
            Severity::Info => &mut self.contents,
        };
        let text = finding.to_string();
        if !told.contains(&text) {
            told.push(text);
        }
    }
}

/// What the rules say of keys. What is no fingerprint is an error of its rule.
fn rule_keys(rules: &[CertificateRule]) -> RuleKeys {
    let pinned = rules.iter().filter(|rule| rule.spec.pinned);
    RuleKeys {
        pinned: pinned.flat_map(|rule| digests(&rule.spec, FieldName::SpkiSha256)).collect(),
        authorities: rules.iter().flat_map(|rule| digests(&rule.spec, FieldName::CaSpkiSha256)).collect(),
    }
}

/// What a rule asks of a field that holds one.
fn digests(spec: &RuleSpec, wanted: FieldName) -> Vec<Fingerprint> {
    let values = spec.fields.iter().filter(|(field, _)| *field == wanted).flat_map(|(_, values)| values);
    values.filter_map(|text| Fingerprint::parse(text)).collect()
}

/// Empty where the command was disabled.
fn new_name(rename: &config::Rename) -> String {
    rename.name.as_ref().map(|name| String::from_utf8_lossy(name.expose()).into_owned()).unwrap_or_default()
}

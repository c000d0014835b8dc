//! Who is there and what is refused them: users, certificate rules and the blocklist.

use std::collections::BTreeMap;

use toml::Spanned;

use super::judge::{Judge, UNFILLED};
use super::words::{
    auth_word, blocked_command, certificate_word, now, parameter, shadow_end, stray_auth_word, trust_word, user_name,
};
use crate::acl::LONGEST_PASSWORD;
use crate::config::blocklist::DEFAULT_BLOCKLIST;
use crate::config::error::{ConfigError, Place};
use crate::config::interpolate;
use crate::config::model::{AclSource, Block, CertificateRule, Config, Listener};
use crate::config::raw::{BlockSection, CertificateSection, Settings, UserSection, Variables};
use crate::config::secret::Redacted;
use crate::config::setting::{Origin, Setting};
use crate::config::units::{network, yes_no};
use crate::identity::{FieldName, RuleSpec, UserFrom};
use crate::policy::{ConfigParameters, ShadowSettings, UserSettings};
use crate::tls::AuthClients;

/// The variables with the password of the user `default`, as the Redis images have them.
const PASSWORD_VARIABLE: &str = "REDIS_PASSWORD";
const PASSWORD_FILE_VARIABLE: &str = "REDIS_PASSWORD_FILE";

impl Judge<'_> {
    /// An ACL file stands above a password that the environment happens to have; two written settings contradict.
    pub(super) fn acl(&mut self, settings: &mut Settings, variables: &Variables) -> AclSource {
        let written = settings.requirepass.as_ref().or(settings.requirepass_file.as_ref());
        let written = written.map(|setting| setting.origin.clone());
        let variable =
            [PASSWORD_VARIABLE, PASSWORD_FILE_VARIABLE].into_iter().find(|name| variables.contains_key(*name));
        if let Some(file) = settings.aclfile.take() {
            if let Some(origin) = written {
                self.error(&origin, "a password of `default` and `aclfile` exclude each other: put it in the ACL file");
            } else if let Some(name) = variable {
                self.warn(&Origin::Variable(name.to_owned()), "not used, because there is an ACL file");
            }
            return self.path(Some(file)).map_or(AclSource::None, AclSource::File);
        }
        if let (Some(_), Some(name)) = (&written, variable) {
            self.warn(&Origin::Variable(name.to_owned()), "not used, because there is a requirepass");
        }
        let origin = written.clone().or_else(|| variable.map(|name| Origin::Variable(name.to_owned())));
        let password = match (written, variable) {
            (Some(_), _) => self.secret(settings.requirepass.take(), settings.requirepass_file.take(), "requirepass"),
            (None, Some(_)) => self.password_variable(variables),
            (None, None) if self.only_tunnels => None,
            (None, None) => {
                self.warnings.push(ConfigError::new(
                    Place::Whole,
                    "no users: without `aclfile`, `requirepass-file` or REDIS_PASSWORD nobody can log in",
                ));
                None
            }
        };
        if let (Some(password), Some(origin)) = (&password, &origin)
            && password.expose().len() > LONGEST_PASSWORD
        {
            self.secret_error(origin, format!("the password is longer than {LONGEST_PASSWORD} bytes"));
        }
        password.map_or(AclSource::None, AclSource::Password)
    }

    fn password_variable(&mut self, variables: &Variables) -> Option<Redacted> {
        let setting = |name: &str| {
            let text = variables.get(name)?;
            Some((text.to_str().map(str::to_owned), Origin::Variable(name.to_owned())))
        };
        let mut settings = [None, None];
        for (slot, name) in settings.iter_mut().zip([PASSWORD_VARIABLE, PASSWORD_FILE_VARIABLE]) {
            match setting(name) {
                Some((Some(text), origin)) if interpolate::is_reference(text.as_bytes()) => {
                    self.error(&origin, UNFILLED)
                }
                Some((Some(text), origin)) => *slot = Some(Setting { text, origin }),
                Some((None, origin)) => self.error(&origin, "not valid UTF-8"),
                None => {}
            }
        }
        let [password, file] = settings;
        self.secret(password, file, PASSWORD_VARIABLE)
    }

    pub(super) fn certificates(&mut self, sections: Vec<Spanned<CertificateSection>>) -> Vec<CertificateRule> {
        let mut rules = Vec::new();
        for section in sections {
            let origin = Origin::File(section.span());
            let location = self.source.map(|source| source.location(&section.span())).unwrap_or_default();
            let section = section.into_inner();
            let fields = [
                (FieldName::Uri, section.uri),
                (FieldName::Dns, section.dns),
                (FieldName::Email, section.email),
                (FieldName::Cn, section.cn),
                (FieldName::Ou, section.ou),
                (FieldName::O, section.o),
                (FieldName::IssuerCn, section.issuer_cn),
                (FieldName::Serial, section.serial),
                (FieldName::Sha256, section.sha256),
                (FieldName::SpkiSha256, section.spki_sha256),
                (FieldName::CaSpkiSha256, section.ca_spki_sha256),
            ];
            let fields = fields.map(|(field, values)| (field, self.names(values)));
            let spec = RuleSpec {
                fields: fields.into_iter().filter(|(_, values)| !values.is_empty()).collect(),
                user: match section.user {
                    Some(user) => self.certificate_user(user),
                    None => {
                        self.error(&origin, "this [[certificate]] has no `user`");
                        String::new()
                    }
                },
                pinned: self.or(section.trust, trust_word, false),
                cn_with_san: self.or(section.cn_with_san, yes_no, false),
            };
            if spec.fields.is_empty() {
                self.error(&origin, "this [[certificate]] matches nothing: name a field, such as uri, dns or cn");
            }
            if let Some(earlier) = rules.iter().find(|earlier: &&CertificateRule| covers(&earlier.spec, &spec)) {
                let place = &earlier.location;
                self.warn(&origin, format!("this [[certificate]] never decides: the one at {place} matches first"));
            }
            rules.push(CertificateRule { spec, location });
        }
        rules
    }

    fn certificate_user(&mut self, setting: Setting) -> String {
        let origin = setting.origin.clone();
        let name = self.read(Some(setting), user_name).unwrap_or_default();
        let is_template = name.contains("%{");
        if !name.is_empty() && !is_template {
            self.names_user(&name, "[[certificate]] user", &origin);
        }
        name
    }

    /// Rules that no connection can ever meet are a misunderstanding.
    pub(super) fn unused_certificates(
        &mut self,
        listeners: &[Listener],
        rules: &[CertificateRule],
        clients_user: UserFrom,
    ) {
        let shown = |listener: &Listener| listener.tls.as_ref().is_some_and(|tls| tls.auth_clients != AuthClients::No);
        let wanted = !rules.is_empty() || clients_user != UserFrom::Off;
        if wanted && !listeners.is_empty() && !listeners.iter().any(shown) {
            let message = "certificates name users, but no listener asks for one: see tls-auth-clients";
            self.warnings.push(ConfigError::new(Place::Whole, message));
        }
    }

    /// `ignore_stray_auth` is what holds for those who do not say, `unnamed` why no certificate names a user.
    pub(super) fn users(
        &mut self,
        sections: BTreeMap<Spanned<String>, UserSection>,
        ignore_stray_auth: bool,
        unnamed: Option<&str>,
        exempt: &[String],
    ) -> BTreeMap<String, UserSettings> {
        let mut users = BTreeMap::new();
        for (name, section) in sections {
            let origin = Origin::File(name.span());
            match user_name(name.get_ref()) {
                Ok(name) => self.names_user(&name, format!("[user.{name}]"), &origin),
                Err(message) => self.error(&origin, message),
            }
            let [certificate, auth, reauth, stray_auth] =
                [&section.certificate, &section.auth, &section.reauth, &section.stray_auth]
                    .map(|setting| setting.as_ref().map(|setting| setting.origin.clone()));
            if let Some(setting) = section.shadow_until.as_ref().filter(|_| exempt.contains(name.get_ref())) {
                let message = "an exempt user cannot be in shadow: [block] exempt-users has this one";
                self.error(&setting.origin.clone(), message);
            }
            let settings = UserSettings {
                shadow: self.shadow(section.shadow_until, section.shadow_keys),
                certificate_required: self.or(section.certificate, certificate_word, false),
                certificate_only: self.or(section.auth, auth_word, false),
                reauth: self.or(section.reauth, yes_no, false),
                ignore_stray_auth: self.read(section.stray_auth, stray_auth_word),
                allow_from: self.all(section.allow_from, network),
                config: ConfigParameters {
                    get: self.all(section.config_get, parameter),
                    set: self.all(section.config_set, parameter),
                },
            };
            if let (true, true, Some(auth)) = (settings.certificate_only, settings.certificate_required, &auth) {
                self.warn(auth, "certificate = \"required\" says nothing beside auth = \"certificate\"");
            }
            for (is_on, origin, effect) in [
                (settings.certificate_required, certificate, "nobody can be this user"),
                (settings.certificate_only, auth.clone(), "nobody can be this user"),
                (settings.reauth, reauth.clone(), "this changes nothing"),
            ] {
                if let (true, Some(origin), Some(why)) = (is_on, origin, unnamed) {
                    self.warn(&origin, format!("{effect}: {why}"));
                }
            }
            match (settings.reauth, settings.ignore_stray_auth, reauth, stray_auth) {
                (true, Some(true), _, Some(stray_auth)) => self.error(
                    &stray_auth,
                    "`ignore` and reauth = \"yes\" exclude each other: a password that may make somebody else of a session \
                     has to be looked at",
                ),
                (true, None, Some(reauth), _) if ignore_stray_auth => self.error(
                    &reauth,
                    "`reauth` and stray-auth = \"ignore\", which holds for all users, exclude each other: give this one \
                     stray-auth = \"refuse\"",
                ),
                _ => {}
            }
            users.insert(name.into_inner(), settings);
        }
        users
    }

    fn shadow(&mut self, until: Option<Setting>, keys: Option<Setting>) -> Option<ShadowSettings> {
        let (origin, keys_origin) =
            (until.as_ref().map(|until| until.origin.clone()), keys.as_ref().map(|keys| keys.origin.clone()));
        let until = self.read(until, shadow_end);
        let opens_names = self.or(keys, yes_no, false);
        match (&origin, keys_origin) {
            (None, Some(keys)) => self.warn(&keys, "does nothing without `shadow-until`"),
            (Some(origin), _) if until.is_some_and(|until| until <= now()) => {
                self.warn(origin, "that day has come: the rules of this user hold, and this does nothing");
            }
            _ => {}
        }
        until.map(|until| ShadowSettings { until, opens_names })
    }

    /// Only sessions whose user a certificate named are concerned.
    pub(super) fn unused_stray_auth(&mut self, config: &Config, nothing_maps: bool) {
        let ignores = |settings: &UserSettings| settings.ignore_stray_auth == Some(true);
        if nothing_maps && (config.ignore_stray_auth || config.users.values().any(ignores)) {
            let message = "stray-auth = \"ignore\" changes nothing: no certificate names a user; see [[certificate]] and \
                           tls-auth-clients-user";
            self.warnings.push(ConfigError::new(Place::Whole, message));
        }
    }

    pub(super) fn block(&mut self, section: BlockSection) -> Block {
        let commands = match section.commands {
            Some(commands) => {
                if commands.is_empty() {
                    self.warnings.push(ConfigError::new(Place::Whole, "[block] commands is empty: nothing is blocked"));
                }
                self.blocked_commands(commands)
            }
            None => default_blocklist().collect(),
        };
        Block {
            commands,
            exempt_users: self.user_names(section.exempt_users, "[block] exempt-users"),
            scripting_users: self.user_names(section.scripting_users, "[block] scripting-users"),
        }
    }

    /// In their order, what `default` stands for written out.
    fn blocked_commands(&mut self, settings: Vec<Setting>) -> Vec<String> {
        let mut commands = Vec::new();
        for setting in settings {
            match setting.text.as_str() {
                "default" | "+default" => commands.extend(default_blocklist()),
                "-default" => self.error(&setting.origin, "`default` can only be added: leave it out instead"),
                _ => commands.extend(self.read(Some(setting), blocked_command)),
            }
        }
        commands
    }

    fn user_names(&mut self, settings: Option<Vec<Setting>>, key: &str) -> Vec<String> {
        let named = settings.clone();
        for setting in named.iter().flatten().filter(|setting| user_name(&setting.text).is_ok()) {
            self.names_user(&setting.text, key, &setting.origin);
        }
        self.all(settings, user_name)
    }
}

fn default_blocklist() -> impl Iterator<Item = String> {
    DEFAULT_BLOCKLIST.iter().map(|entry| entry.name.to_owned())
}

/// Whether a rule matches every certificate that the other one does.
fn covers(rule: &RuleSpec, other: &RuleSpec) -> bool {
    let is_passed_over = |spec: &RuleSpec| spec.relies_on_cn() && !spec.cn_with_san;
    let is_passed_over_alike = !is_passed_over(rule) || is_passed_over(other);
    rule.pinned == other.pinned
        && is_passed_over_alike
        && rule.fields.iter().all(|(field, values)| {
            let is_any = values.iter().any(|value| value == "*" || value == "**");
            let is_same = |others: &Vec<String>| others.iter().all(|value| values.contains(value));
            other
                .fields
                .iter()
                .any(|(name, others)| name == field && (is_any && *field == FieldName::Cn || is_same(others)))
        })
}

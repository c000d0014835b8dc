//! Step two: from settings as written to one [`Config`], or everything that is wrong with them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use zeroize::Zeroizing;

use super::blocklist::DEFAULT_BLOCKLIST;
use super::error::{ConfigError, Disclosure, Place, SourceFile, Spot};
use super::host::Host;
use super::model::{
    AclDialect, AclSource, AuthClients, Block, CertificateRule, ClientsUser, Config, CrlCheck, CrlExpired, Limits,
    Listener, LogFormat, LogLevel, LogSettings, Rename, TlsFiles, TlsProtocols, Unmapped, Upstream, UpstreamAddress,
    UserSettings,
};
use super::nearest::nearest;
use super::raw::{
    BlockSection, CertificateSection, ListenerSection, Origin, Setting, Settings, UpstreamAuthSection, UserSection,
    VARIABLE_PREFIX, Variables, flag_names, variable_name,
};
use super::redis_conf;
use super::secret::Redacted;
use super::units::{count, duration, network, one_of, size, socket_address, yes_no};

/// The variables with the password of the user `default`, as the Redis images have them.
const PASSWORD_VARIABLE: &str = "REDIS_PASSWORD";
const PASSWORD_FILE_VARIABLE: &str = "REDIS_PASSWORD_FILE";

/// A path in `sockaddr_un`, its final NUL left out.
const LONGEST_SOCKET_PATH: usize = 107;

/// What [`validate`] found. The configuration is of use only where there are no errors.
pub(super) struct Validated {
    pub(super) config: Config,
    pub(super) errors: Vec<ConfigError>,
    pub(super) warnings: Vec<ConfigError>,
}

/// Judges every setting. Reads the secret files and the redis.conf they name.
pub(super) fn validate(
    mut settings: Settings,
    source: Option<&SourceFile>,
    variables: &Variables,
    host: &Host,
) -> Validated {
    let mut judge = Judge::new(source, host);
    judge.unknown_variables(variables);
    judge.strict_permissions = judge.or(settings.strict_permissions.take(), yes_no, false);
    let upstream_auth = judge.upstream_auth(&mut settings);
    let listeners = judge.listeners(&mut settings);
    let upstream = judge.upstream(&mut settings, upstream_auth);
    let acl = judge.acl(&mut settings, variables);
    let certificates = judge.certificates(std::mem::take(&mut settings.certificate));
    let tls_auth_clients_user = judge.or(settings.tls_auth_clients_user.take(), clients_user, ClientsUser::Off);
    judge.unused_certificates(&listeners, &certificates, tls_auth_clients_user);
    let nothing_maps = certificates.is_empty() && tls_auth_clients_user == ClientsUser::Off;
    let unmapped = if nothing_maps { Unmapped::Password } else { Unmapped::Refuse };
    let config = Config {
        watched_files: watched_files(&listeners, &acl),
        listeners,
        upstream,
        acl,
        acl_dialect: judge.read(settings.acl_dialect.take(), acl_dialect),
        certificates,
        tls_auth_clients_user,
        unmapped: judge.or(settings.unmapped.take(), unmapped_word, unmapped),
        block: judge.block(std::mem::take(&mut settings.block)),
        renames: judge.renames(&mut settings),
        users: judge.users(std::mem::take(&mut settings.user)),
        limits: judge.limits(&mut settings),
        reload_interval: judge.or(settings.reload_interval.take(), positive_duration, Duration::from_millis(500)),
        threads: judge.or(settings.threads.take(), threads, host.cores.max(1)),
        strict_permissions: judge.strict_permissions,
        log: judge.log(&mut settings),
        admin_listen: judge.admin_listen(settings.admin_listen.take()),
        require_upstream: judge.or(settings.require_upstream.take(), yes_no, false),
    };
    Validated { config, errors: judge.errors, warnings: judge.warnings }
}

/// Judges `admin-listen` alone.
pub(super) fn admin_listen(
    settings: Settings,
    source: Option<&SourceFile>,
    host: &Host,
) -> (Option<PathBuf>, Vec<ConfigError>) {
    let mut judge = Judge::new(source, host);
    (judge.admin_listen(settings.admin_listen), judge.errors)
}

/// Collects findings while settings are read.
struct Judge<'a> {
    source: Option<&'a SourceFile>,
    host: &'a Host,
    strict_permissions: bool,
    errors: Vec<ConfigError>,
    warnings: Vec<ConfigError>,
}

impl<'a> Judge<'a> {
    fn new(source: Option<&'a SourceFile>, host: &'a Host) -> Judge<'a> {
        Judge { source, host, strict_permissions: false, errors: Vec::new(), warnings: Vec::new() }
    }

    /// A misspelt variable would silently leave its setting at the default. Not an error, because Kubernetes sets
    /// `RESPGATE_SERVICE_HOST` and the like for a service of that name.
    fn unknown_variables(&mut self, variables: &Variables) {
        let mut known = flag_names();
        known.push("config".to_owned());
        for name in variables.keys().filter(|name| name.starts_with(VARIABLE_PREFIX)) {
            let kubernetes = name.starts_with("RESPGATE_SERVICE_") || name.starts_with("RESPGATE_PORT");
            if kubernetes || known.iter().any(|key| variable_name(key) == *name) {
                continue;
            }
            let key = name.trim_start_matches(VARIABLE_PREFIX);
            let close = nearest(key, known.iter().map(String::as_str));
            let mut warning = ConfigError::new(Place::Named(name.clone()), "no such setting, ignored");
            warning.hint = close.map(|key| format!("did you mean {}?", variable_name(key)));
            self.warnings.push(warning);
        }
    }

    fn listeners(&mut self, settings: &mut Settings) -> Vec<Listener> {
        let flat = flat_listener(settings);
        let sections = std::mem::take(&mut settings.listener);
        let mut listeners: Vec<(Listener, Option<Origin>)> = Vec::new();
        if sections.is_empty() {
            if flat.listen.is_none() {
                self.missing("`listen` is missing: say where to listen, such as listen = \"0.0.0.0:6380\"");
            }
            let origin = flat.listen.as_ref().map(|listen| listen.origin.clone());
            listeners.extend(self.listener(flat).map(|listener| (listener, origin)));
        } else {
            if let Some(listen) = &flat.listen {
                self.error(
                    &listen.origin,
                    "`listen` and [[listener]] exclude each other: put the address in a section",
                );
            }
            for section in sections {
                let span = section.span();
                let section = inherit(section.into_inner(), &flat);
                if section.listen.is_none() {
                    self.error(&Origin::File(span.clone()), "this [[listener]] has no `listen`");
                }
                let origin = section.listen.as_ref().map(|listen| listen.origin.clone());
                listeners.extend(self.listener(section).map(|listener| (listener, origin)));
            }
        }
        let mut addresses = BTreeSet::new();
        for (listener, origin) in &listeners {
            let fixed = listener.address.port() != 0;
            if let (true, false, Some(origin)) = (fixed, addresses.insert(listener.address), origin) {
                self.error(origin, format!("{} is listened on twice", listener.address));
            }
        }
        listeners.into_iter().map(|(listener, _)| listener).collect()
    }

    fn listener(&mut self, section: ListenerSection) -> Option<Listener> {
        let place = section.listen.as_ref().map(|listen| listen.origin.clone());
        let address = self.read(section.listen, socket_address);
        let tls_wanted = self.or(section.tls, yes_no, true);
        let certificate = self.path(section.tls_cert_file);
        let key = self.path(section.tls_key_file);
        let ca_cert_file = self.path(section.tls_ca_cert_file);
        let files = TlsFiles {
            cert_file: certificate.clone().unwrap_or_default(),
            key_file: key.clone().unwrap_or_default(),
            crl_files: self.paths(section.tls_crl_file),
            auth_clients: self.or(section.tls_auth_clients, auth_clients, AuthClients::Yes),
            protocols: self.protocols(section.tls_protocols),
            crl_check: self.or(section.crl_check, crl_check, CrlCheck::Chain),
            crl_expired: self.or(section.crl_expired, crl_expired, CrlExpired::Refuse),
            ca_cert_file,
        };
        let allow = self.all(section.allow, network);
        let deny = self.all(section.deny, network);
        let place = place?;
        if tls_wanted {
            if certificate.is_none() {
                self.error(&place, "`tls-cert-file` is missing; a plaintext listener takes tls = \"no\"");
            }
            if key.is_none() {
                self.error(&place, "`tls-key-file` is missing; a plaintext listener takes tls = \"no\"");
            }
            if files.ca_cert_file.is_none() && files.auth_clients != AuthClients::No {
                self.error(
                    &place,
                    "`tls-ca-cert-file` is missing: client certificates need a CA, unless tls-auth-clients = \"no\"",
                );
            }
            if files.ca_cert_file.is_none() && !files.crl_files.is_empty() {
                self.error(&place, "`tls-crl-file` is of no use without `tls-ca-cert-file`");
            }
        } else if address.is_some_and(|address: SocketAddr| !address.ip().is_loopback()) {
            self.warn(&place, "passwords and data cross the network in plaintext here");
        }
        Some(Listener { address: address?, tls: tls_wanted.then_some(files), allow, deny })
    }

    /// Redis writes the versions in one string, separated by blanks; a list is as good.
    fn protocols(&mut self, settings: Option<Vec<Setting>>) -> TlsProtocols {
        let Some(settings) = settings else { return TlsProtocols { tls12: true, tls13: true } };
        let mut protocols = TlsProtocols { tls12: false, tls13: false };
        for setting in &settings {
            for word in setting.text.split_ascii_whitespace() {
                match one_of(word, &[("TLSv1.2", false), ("TLSv1.3", true)]) {
                    Ok(true) => protocols.tls13 = true,
                    Ok(false) => protocols.tls12 = true,
                    Err(message) => self.error(&setting.origin, message),
                }
            }
        }
        if let (TlsProtocols { tls12: false, tls13: false }, Some(first)) = (protocols, settings.first()) {
            self.error(&first.origin, "no TLS version is left");
        }
        protocols
    }

    fn upstream(&mut self, settings: &mut Settings, auth: (Option<String>, Option<Redacted>)) -> Upstream {
        let unsafe_upstream = self.or(settings.unsafe_upstream.take(), yes_no, false);
        let connect_timeout =
            self.or(settings.upstream_connect_timeout.take(), positive_duration, Duration::from_secs(5));
        let address = match settings.upstream.take() {
            Some(setting) => self.upstream_address(setting, unsafe_upstream),
            None => {
                self.missing("`upstream` is missing: say where Redis is, such as upstream = \"127.0.0.1:6379\"");
                None
            }
        };
        Upstream {
            address: address.unwrap_or(UpstreamAddress::Unix(PathBuf::new())),
            user: auth.0,
            password: auth.1,
            unsafe_upstream,
            connect_timeout,
        }
    }

    fn upstream_address(&mut self, setting: Setting, unsafe_upstream: bool) -> Option<UpstreamAddress> {
        if let Some(path) = setting.text.strip_prefix("unix:") {
            let path = Setting { text: path.to_owned(), origin: setting.origin.clone() };
            return self.socket_path(path).map(UpstreamAddress::Unix);
        }
        let origin = setting.origin.clone();
        let address = self.read(Some(setting), socket_address)?;
        match (is_loopback(address.ip()), unsafe_upstream) {
            (true, _) => {}
            (false, true) => self.warn(&origin, format!("{address} is beyond loopback: what goes there is not encrypted")),
            (false, false) => self.error(
                &origin,
                format!("{address} is neither loopback nor a unix socket; what goes there is not encrypted: --unsafe-upstream accepts that"),
            ),
        }
        if address.port() == 0 {
            self.error(&origin, "port 0 cannot be connected to");
        }
        Some(UpstreamAddress::Tcp(address))
    }

    fn upstream_auth(&mut self, settings: &mut Settings) -> (Option<String>, Option<Redacted>) {
        let UpstreamAuthSection { user, password, password_file } = std::mem::take(&mut settings.upstream_auth);
        let user = self.read(settings.upstream_user.take().or(user), user_name);
        // A file named by flag or variable stands above both forms of the configuration file.
        let password = match settings.upstream_password_file.take() {
            Some(file) => self.secret(None, Some(file), "upstream-password"),
            None => self.secret(password, password_file, "password"),
        };
        if user.is_some() && password.is_none() && self.errors.is_empty() {
            self.missing("[upstream-auth] names a user and no password: add password-file");
        }
        (user, password)
    }

    /// An ACL file stands above a password that the environment happens to have; two written settings contradict.
    fn acl(&mut self, settings: &mut Settings, variables: &Variables) -> AclSource {
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
        let password = match (written, variable) {
            (Some(_), _) => self.secret(settings.requirepass.take(), settings.requirepass_file.take(), "requirepass"),
            (None, Some(_)) => self.password_variable(variables),
            (None, None) => {
                self.warnings.push(ConfigError::new(
                    Place::Whole,
                    "no users: without `aclfile`, `requirepass-file` or REDIS_PASSWORD nobody can log in",
                ));
                None
            }
        };
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
                Some((Some(text), origin)) => *slot = Some(Setting { text, origin }),
                Some((None, origin)) => self.error(&origin, "not valid UTF-8"),
                None => {}
            }
        }
        let [password, file] = settings;
        self.secret(password, file, PASSWORD_VARIABLE)
    }

    /// A secret given directly or as the name of a file, but not both.
    fn secret(&mut self, direct: Option<Setting>, file: Option<Setting>, name: &str) -> Option<Redacted> {
        match (direct, file) {
            (Some(_), Some(file)) => {
                self.error(&file.origin, format!("`{name}` is given directly and as a file: keep one"));
                None
            }
            (Some(direct), None) if direct.text.is_empty() => {
                self.secret_error(&direct.origin, "the password is empty");
                None
            }
            (Some(direct), None) => Some(Redacted::new(direct.text.into_bytes())),
            (None, Some(file)) => self.secret_file(file),
            (None, None) => None,
        }
    }

    /// The content of a file without its last newline, as editors add one.
    fn secret_file(&mut self, file: Setting) -> Option<Redacted> {
        let origin = file.origin.clone();
        let path = self.path(Some(file))?;
        let mut content = match read_secret(&path) {
            Ok((content, mode)) => {
                self.judge_permissions(&origin, &path, mode);
                content
            }
            Err(error) => {
                self.unreadable(&origin, &path, &error);
                return None;
            }
        };
        if content.ends_with(b"\n") {
            content.pop();
            if content.ends_with(b"\r") {
                content.pop();
            }
        }
        if content.is_empty() {
            self.error(&origin, format!("{}: the password is empty", path.display()));
            return None;
        }
        Some(Redacted::new(std::mem::take(&mut *content)))
    }

    /// Secrets of Kubernetes and compose are 0644 by default: only a warning, unless `strict-permissions`.
    fn judge_permissions(&mut self, origin: &Origin, path: &Path, mode: u32) {
        if mode & 0o044 == 0 {
            return;
        }
        let message = format!("{} can be read by others (mode {:04o}): chmod 600 {0}", path.display(), mode & 0o7777);
        if self.strict_permissions { self.error(origin, message) } else { self.warn(origin, message) }
    }

    fn certificates(&mut self, sections: Vec<Spanned<CertificateSection>>) -> Vec<CertificateRule> {
        let mut rules = Vec::new();
        for section in sections {
            let origin = Origin::File(section.span());
            let location = self.source.map(|source| source.location(&section.span())).unwrap_or_default();
            let section = section.into_inner();
            let rule = CertificateRule {
                uri: self.names(section.uri),
                dns: self.names(section.dns),
                email: self.names(section.email),
                cn: self.names(section.cn),
                ou: self.names(section.ou),
                o: self.names(section.o),
                issuer_cn: self.names(section.issuer_cn),
                serial: self.names(section.serial),
                sha256: self.names(section.sha256),
                spki_sha256: self.names(section.spki_sha256),
                ca_spki_sha256: self.names(section.ca_spki_sha256),
                user: match section.user {
                    Some(user) => self.read(Some(user), user_name).unwrap_or_default(),
                    None => {
                        self.error(&origin, "this [[certificate]] has no `user`");
                        String::new()
                    }
                },
                cn_with_san: self.or(section.cn_with_san, yes_no, false),
                location,
            };
            if fields(&rule).iter().all(|values| values.is_empty()) {
                self.error(&origin, "this [[certificate]] matches nothing: name a field, such as uri, dns or cn");
            }
            rules.push(rule);
        }
        rules
    }

    /// Rules that no connection can ever meet are a misunderstanding.
    fn unused_certificates(&mut self, listeners: &[Listener], rules: &[CertificateRule], clients_user: ClientsUser) {
        let shown = |listener: &Listener| listener.tls.as_ref().is_some_and(|tls| tls.auth_clients != AuthClients::No);
        let wanted = !rules.is_empty() || clients_user != ClientsUser::Off;
        if wanted && !listeners.is_empty() && !listeners.iter().any(shown) {
            let message = "certificates name users, but no listener asks for one: see tls-auth-clients";
            self.warnings.push(ConfigError::new(Place::Whole, message));
        }
    }

    fn block(&mut self, section: BlockSection) -> Block {
        let commands = match section.commands {
            Some(commands) => {
                if commands.is_empty() {
                    self.warnings.push(ConfigError::new(Place::Whole, "[block] commands is empty: nothing is blocked"));
                }
                self.all(Some(commands), blocked_command)
            }
            None => DEFAULT_BLOCKLIST.iter().map(|entry| entry.name.to_owned()).collect(),
        };
        let scripting = section.scripting_users.as_ref().and_then(|users| users.first());
        if let Some(origin) = scripting.map(|user| user.origin.clone()) {
            self.warn(
                &origin,
                "scripts run inside Redis as the proxy's own user, beyond every rule here: restrict it there",
            );
        }
        Block {
            commands,
            exempt_users: self.all(section.exempt_users, user_name),
            scripting_users: self.all(section.scripting_users, user_name),
        }
    }

    fn renames(&mut self, settings: &mut Settings) -> Vec<Rename> {
        let mut renames: BTreeMap<String, String> = BTreeMap::new();
        let file = settings.redis_conf.take();
        if let Some((path, text)) = file.and_then(|file| self.text_file(file)) {
            let (lines, errors) = redis_conf::rename_lines(&text);
            let place = |line| Place::Spot(Spot { path: path.clone(), line, column: 1, excerpt: None });
            for error in errors {
                self.errors.push(ConfigError::new(place(error.line), error.fault.to_string()));
            }
            for rename in lines {
                if let Err(message) = add_rename(&mut renames, &rename.original, rename.name) {
                    self.errors.push(ConfigError::new(place(rename.line), message));
                }
            }
        }
        for (original, name) in std::mem::take(&mut settings.rename) {
            if let Err(message) = add_rename(&mut renames, original.get_ref(), name.text) {
                self.secret_error(&Origin::File(original.span()), message);
            }
        }
        let named = |name: String| Some(Redacted::new(name.into_bytes())).filter(|name| !name.expose().is_empty());
        renames.into_iter().map(|(original, name)| Rename { original, name: named(name) }).collect()
    }

    fn users(&mut self, sections: BTreeMap<Spanned<String>, UserSection>) -> BTreeMap<String, UserSettings> {
        let mut users = BTreeMap::new();
        for (name, section) in sections {
            if let Err(message) = user_name(name.get_ref()) {
                self.error(&Origin::File(name.span()), message);
            }
            let auth = section.auth.as_ref().map(|setting| setting.origin.clone());
            let settings = UserSettings {
                certificate_required: self.or(section.certificate, certificate_word, false),
                auth_certificate_only: self.or(section.auth, auth_word, false),
                reauth: self.or(section.reauth, yes_no, false),
                allow_from: self.all(section.allow_from, network),
            };
            if let (true, true, Some(auth)) = (settings.auth_certificate_only, settings.certificate_required, auth) {
                self.warn(&auth, "certificate = \"required\" says nothing beside auth = \"certificate\"");
            }
            users.insert(name.into_inner(), settings);
        }
        users
    }

    fn limits(&mut self, settings: &mut Settings) -> Limits {
        let seconds = Duration::from_secs;
        let budget = self.or(settings.memory_budget.take(), positive_size, (self.host.memory / 4).max(1 << 20));
        // Only what was written can contradict the budget: defaults give way to it.
        let mut buffer = |setting: Option<Setting>, default: u64| {
            let origin = setting.as_ref().map(|setting| setting.origin.clone());
            let bytes = self.or(setting, positive_size, default.min(budget));
            if let (true, Some(origin)) = (bytes > budget, origin) {
                self.error(&origin, format!("more than `memory-budget`, which is {budget} bytes"));
            }
            bytes
        };
        let request_buffer = buffer(settings.request_buffer.take(), 64 << 20);
        let hold_buffer = buffer(settings.hold_buffer.take(), 16 << 20);
        Limits {
            maxclients: self.or(settings.maxclients.take(), positive_count, 10_000),
            max_connections_per_address: self
                .read(settings.max_connections_per_address.take(), count)
                .filter(|n| *n > 0),
            max_handshakes: self.or(settings.max_handshakes.take(), positive_count, 256),
            handshake_timeout: self.or(settings.handshake_timeout.take(), positive_duration, seconds(5)),
            auth_timeout: self.or(settings.auth_timeout.take(), positive_duration, seconds(10)),
            idle_timeout: self.read(settings.timeout.take(), duration).filter(|time| !time.is_zero()),
            half_close_timeout: self.or(settings.half_close_timeout.take(), duration, seconds(5)),
            shutdown_timeout: self.or(settings.shutdown_timeout.take(), duration, seconds(25)),
            max_args: self.or(settings.max_args.take(), max_args, MOST_ARGUMENTS),
            max_bulk: self.or(settings.max_bulk.take(), positive_size, 512 << 20),
            max_inline: self.or(settings.max_inline.take(), inline_size, 64 << 10),
            request_buffer,
            hold_buffer,
            memory_budget: budget,
        }
    }

    fn log(&mut self, settings: &mut Settings) -> LogSettings {
        LogSettings {
            format: self.or(settings.log_format.take(), log_format, LogFormat::Text),
            level: self.or(settings.log_level.take(), log_level, LogLevel::Info),
            file: self.path(settings.log_file.take()),
        }
    }

    fn admin_listen(&mut self, setting: Option<Setting>) -> Option<PathBuf> {
        match setting {
            Some(setting) if setting.text == "off" => None,
            Some(setting) => self.socket_path(setting),
            None => Some(self.host.runtime_directory.join("respgate.sock")),
        }
    }

    /// The value of a setting that is there; what is wrong with it is noted.
    fn read<T>(&mut self, setting: Option<Setting>, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let setting = setting?;
        match parse(&setting.text) {
            Ok(value) => Some(value),
            Err(message) => {
                self.error(&setting.origin, message);
                None
            }
        }
    }

    fn or<T>(&mut self, setting: Option<Setting>, parse: impl Fn(&str) -> Result<T, String>, default: T) -> T {
        self.read(setting, parse).unwrap_or(default)
    }

    fn all<T>(&mut self, settings: Option<Vec<Setting>>, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        settings.into_iter().flatten().filter_map(|setting| self.read(Some(setting), &parse)).collect()
    }

    fn names(&mut self, settings: Option<Vec<Setting>>) -> Vec<String> {
        self.all(settings, |text| if text.is_empty() { Err("empty".to_owned()) } else { Ok(text.to_owned()) })
    }

    /// Paths in the file start from its directory, so that it means the same wherever the program is started.
    fn path(&mut self, setting: Option<Setting>) -> Option<PathBuf> {
        let setting = setting?;
        if setting.text.is_empty() || setting.text.contains('\0') {
            self.error(&setting.origin, "no path");
            return None;
        }
        match (self.source, &setting.origin) {
            (Some(source), Origin::File(_)) => Some(source.directory().join(setting.text)),
            _ => Some(PathBuf::from(setting.text)),
        }
    }

    fn paths(&mut self, settings: Option<Vec<Setting>>) -> Vec<PathBuf> {
        settings.into_iter().flatten().filter_map(|setting| self.path(Some(setting))).collect()
    }

    fn socket_path(&mut self, setting: Setting) -> Option<PathBuf> {
        let origin = setting.origin.clone();
        let path = self.path(Some(setting))?;
        if path.as_os_str().len() > LONGEST_SOCKET_PATH {
            self.error(
                &origin,
                format!("longer than a unix socket's path can be, which is {LONGEST_SOCKET_PATH} bytes"),
            );
        }
        Some(path)
    }

    fn text_file(&mut self, setting: Setting) -> Option<(PathBuf, String)> {
        let origin = setting.origin.clone();
        let path = self.path(Some(setting))?;
        match fs::read_to_string(&path) {
            Ok(text) => Some((path, text)),
            Err(error) => {
                self.unreadable(&origin, &path, &error);
                None
            }
        }
    }

    fn unreadable(&mut self, origin: &Origin, path: &Path, error: &io::Error) {
        let mut finding = ConfigError::new(self.place(origin), format!("cannot read {}: {error}", path.display()));
        finding.permission = error.kind() == io::ErrorKind::PermissionDenied;
        self.errors.push(finding);
    }

    fn error(&mut self, origin: &Origin, message: impl Into<String>) {
        self.errors.push(ConfigError::new(self.place(origin), message));
    }

    /// An error about a value that must not be shown.
    fn secret_error(&mut self, origin: &Origin, message: impl Into<String>) {
        let place = match (self.source, origin) {
            (Some(source), Origin::File(span)) => Place::Spot(source.spot(span, Disclosure::KeyOnly)),
            _ => Place::Named(origin.to_string()),
        };
        self.errors.push(ConfigError::new(place, message));
    }

    fn warn(&mut self, origin: &Origin, message: impl Into<String>) {
        self.warnings.push(ConfigError::new(self.place(origin), message));
    }

    fn missing(&mut self, message: &str) {
        self.errors.push(ConfigError::new(Place::Whole, message));
    }

    fn place(&self, origin: &Origin) -> Place {
        match (self.source, origin) {
            (Some(source), Origin::File(span)) => Place::Spot(source.spot(span, Disclosure::Value)),
            _ => Place::Named(origin.to_string()),
        }
    }
}

fn flat_listener(settings: &mut Settings) -> ListenerSection {
    ListenerSection {
        listen: settings.listen.take(),
        tls: settings.tls.take(),
        tls_cert_file: settings.tls_cert_file.take(),
        tls_key_file: settings.tls_key_file.take(),
        tls_ca_cert_file: settings.tls_ca_cert_file.take(),
        tls_crl_file: settings.tls_crl_file.take(),
        tls_auth_clients: settings.tls_auth_clients.take(),
        tls_protocols: settings.tls_protocols.take(),
        crl_check: settings.crl_check.take(),
        crl_expired: settings.crl_expired.take(),
        allow: settings.allow.take(),
        deny: settings.deny.take(),
    }
}

/// What a section leaves out, the flat keys say; the address is never inherited.
fn inherit(own: ListenerSection, flat: &ListenerSection) -> ListenerSection {
    ListenerSection {
        listen: own.listen,
        tls: own.tls.or_else(|| flat.tls.clone()),
        tls_cert_file: own.tls_cert_file.or_else(|| flat.tls_cert_file.clone()),
        tls_key_file: own.tls_key_file.or_else(|| flat.tls_key_file.clone()),
        tls_ca_cert_file: own.tls_ca_cert_file.or_else(|| flat.tls_ca_cert_file.clone()),
        tls_crl_file: own.tls_crl_file.or_else(|| flat.tls_crl_file.clone()),
        tls_auth_clients: own.tls_auth_clients.or_else(|| flat.tls_auth_clients.clone()),
        tls_protocols: own.tls_protocols.or_else(|| flat.tls_protocols.clone()),
        crl_check: own.crl_check.or_else(|| flat.crl_check.clone()),
        crl_expired: own.crl_expired.or_else(|| flat.crl_expired.clone()),
        allow: own.allow.or_else(|| flat.allow.clone()),
        deny: own.deny.or_else(|| flat.deny.clone()),
    }
}

fn watched_files(listeners: &[Listener], acl: &AclSource) -> Vec<PathBuf> {
    let tls = listeners.iter().filter_map(|listener| listener.tls.as_ref());
    let mut files: BTreeSet<PathBuf> = tls
        .flat_map(|tls| [&tls.cert_file, &tls.key_file].into_iter().chain(&tls.ca_cert_file).chain(&tls.crl_files))
        .cloned()
        .collect();
    if let AclSource::File(path) = acl {
        files.insert(path.clone());
    }
    files.into_iter().collect()
}

fn fields(rule: &CertificateRule) -> [&[String]; 11] {
    [
        &rule.uri,
        &rule.dns,
        &rule.email,
        &rule.cn,
        &rule.ou,
        &rule.o,
        &rule.issuer_cn,
        &rule.serial,
        &rule.sha256,
        &rule.spki_sha256,
        &rule.ca_spki_sha256,
    ]
}

fn read_secret(path: &Path) -> io::Result<(Zeroizing<Vec<u8>>, u32)> {
    let mode = fs::metadata(path)?.permissions().mode();
    Ok((Zeroizing::new(fs::read(path)?), mode))
}

/// `::ffff:127.0.0.1` is loopback too.
fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// The messages hold the original at most: the new name is meant to stay unknown.
fn add_rename(renames: &mut BTreeMap<String, String>, original: &str, name: String) -> Result<(), String> {
    let original = original.to_ascii_uppercase();
    if !is_command_name(&original) {
        return Err(format!("{original:?} is no command name"));
    }
    if !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("the new name of {original} has blanks or bytes beyond ASCII"));
    }
    if name.eq_ignore_ascii_case(&original) {
        return Err(format!("{original} is renamed to itself"));
    }
    let taken = |other: &String| !name.is_empty() && name.eq_ignore_ascii_case(other);
    if let Some((other, _)) = renames.iter().find(|(other, used)| **other != original && taken(used)) {
        return Err(format!("{original} and {other} have the same new name"));
    }
    match renames.get(&original) {
        Some(other) if *other != name => Err(format!("{original} is renamed twice, to different names")),
        _ => {
            renames.insert(original, name);
            Ok(())
        }
    }
}

fn is_command_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte))
}

/// `FLUSHALL`, `client|kill`, `CLIENT KILL` or `@scripting`, in lower case and with a bar.
fn blocked_command(text: &str) -> Result<String, String> {
    let name = text.split_ascii_whitespace().collect::<Vec<_>>().join("|").to_ascii_lowercase();
    let mut parts = name.strip_prefix('@').unwrap_or(&name).split('|');
    let sound = parts.clone().count() <= if name.starts_with('@') { 1 } else { 2 } && parts.all(is_command_name);
    if sound { Ok(name) } else { Err(format!("{text:?} is no command, no \"container|subcommand\" and no @category")) }
}

/// Without blanks and NUL, as in an ACL file.
fn user_name(text: &str) -> Result<String, String> {
    match text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        true => Err(format!("{text:?} is no user name: it is empty or has a blank in it")),
        false => Ok(text.to_owned()),
    }
}

/// As many as Redis takes.
const MOST_ARGUMENTS: u32 = 1024 * 1024;

fn max_args(text: &str) -> Result<u32, String> {
    match count(text)? {
        number @ 1..=MOST_ARGUMENTS => Ok(number),
        _ => Err(format!("{text:?} is not within 1 and {MOST_ARGUMENTS}, which is what Redis takes")),
    }
}

fn threads(text: &str) -> Result<usize, String> {
    match count(text)? {
        number @ 1..=1024 => usize::try_from(number).map_err(|error| error.to_string()),
        _ => Err(format!("{text:?} is not within 1 and 1024")),
    }
}

fn inline_size(text: &str) -> Result<usize, String> {
    match size(text)? {
        0 => Err("must not be 0".to_owned()),
        bytes => usize::try_from(bytes).map_err(|_| format!("{text:?} is too large")),
    }
}

fn positive_count(text: &str) -> Result<u32, String> {
    count(text).and_then(|number| if number == 0 { Err("must not be 0".to_owned()) } else { Ok(number) })
}

fn positive_size(text: &str) -> Result<u64, String> {
    size(text).and_then(|bytes| if bytes == 0 { Err("must not be 0".to_owned()) } else { Ok(bytes) })
}

fn positive_duration(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|time| if time.is_zero() { Err("must not be 0".to_owned()) } else { Ok(time) })
}

fn auth_clients(text: &str) -> Result<AuthClients, String> {
    one_of(text, &[("yes", AuthClients::Yes), ("optional", AuthClients::Optional), ("no", AuthClients::No)])
}

fn crl_check(text: &str) -> Result<CrlCheck, String> {
    one_of(text, &[("chain", CrlCheck::Chain), ("leaf", CrlCheck::Leaf)])
}

fn crl_expired(text: &str) -> Result<CrlExpired, String> {
    one_of(text, &[("refuse", CrlExpired::Refuse), ("ignore", CrlExpired::Ignore)])
}

fn clients_user(text: &str) -> Result<ClientsUser, String> {
    one_of(text, &[("CN", ClientsUser::Cn), ("URI", ClientsUser::Uri), ("off", ClientsUser::Off)])
}

fn unmapped_word(text: &str) -> Result<Unmapped, String> {
    one_of(text, &[("refuse", Unmapped::Refuse), ("password", Unmapped::Password)])
}

fn acl_dialect(text: &str) -> Result<AclDialect, String> {
    one_of(text, &[("redis-7.0", AclDialect::Redis70), ("valkey-9.1", AclDialect::Valkey91)])
}

fn certificate_word(text: &str) -> Result<bool, String> {
    one_of(text, &[("required", true), ("optional", false)])
}

fn auth_word(text: &str) -> Result<bool, String> {
    one_of(text, &[("certificate", true), ("any", false)])
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    one_of(text, &[("text", LogFormat::Text), ("json", LogFormat::Json)])
}

fn log_level(text: &str) -> Result<LogLevel, String> {
    let words = [
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
    one_of(text, &words)
}

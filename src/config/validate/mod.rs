//! Step two: from settings as written to one [`Config`], or everything that is wrong with them.

mod doors;
mod judge;
mod listener;
mod redis_conf;
mod tunnel;
mod upstream;
mod users;
mod words;

use std::path::{Path, PathBuf};
use std::time::Duration;

use self::judge::Judge;
pub use self::redis_conf::redis_conf;
use self::words::{
    MOST_ARGUMENTS, acl_dialect, audit_on_full, clients_user, inline_size, keepalive, key_names, log_format, log_level,
    max_args, positive_count, positive_duration, positive_size, recorded_command, stray_auth_word, threads,
    unmapped_word,
};
use super::error::{ConfigError, Place, SourceFile};
use super::host::Host;
use super::model::{
    AdminAddress, AuditOnFull, AuditSettings, AuditTarget, Config, DEFAULT_MAXCLIENTS, Limits, Listener, LogFormat,
    LogLevel, LogSettings,
};
use super::nearest::nearest;
use super::raw::{Settings, VARIABLE_PREFIX, Variables, flag_names, variable_name};
use super::setting::{Origin, Setting};
use super::tunnel_flags::tunnel_flag_names;
use super::units::{count, duration, yes_no};
use super::{RevocationLists, Sources};
use crate::files::Files;
use crate::identity::UserFrom;
use crate::keepalive::Keepalive;
use crate::policy::{KeyNames, Unmapped};
use crate::tls::AuthClients;

/// What a configuration is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To serve clients, which takes a listener and an upstream.
    Serving,
    /// To ask what users may do.
    Asking,
    /// To carry what applications say through a tunnel, by flags and variables alone.
    Tunnelling,
}

/// What [`validate`] found. The configuration is of use only where there are no errors.
pub(super) struct Validated {
    pub(super) config: Config,
    pub(super) errors: Vec<ConfigError>,
    pub(super) warnings: Vec<ConfigError>,
}

/// Judges every setting. Reads the secret files and the redis.conf they name, and what that includes.
pub(super) fn validate(
    purpose: Purpose,
    mut settings: Settings,
    source: Option<&SourceFile>,
    sources: &Sources<'_>,
) -> Validated {
    let Sources { variables, host, files, .. } = *sources;
    let mut judge = Judge::new(source, host, files);
    judge.purpose = purpose;
    judge.unknown_variables(variables, &known_variables(purpose));
    judge.strict_permissions = judge.or(settings.strict_permissions.take(), yes_no, false);
    let has_listener = settings.listen.is_some() || !settings.listener.is_empty();
    judge.only_tunnels = !has_listener && !settings.tunnel.is_empty();
    if judge.only_tunnels {
        judge.unused_without_listener(&settings);
    }
    let tunnels = judge.tunnels(std::mem::take(&mut settings.tunnel));
    let listeners = judge.listeners(&mut settings);
    judge.tunnels_apart(&tunnels, &listeners);
    let upstream = judge.upstream(&mut settings);
    let block = judge.block(std::mem::take(&mut settings.block));
    let acl = judge.acl(&mut settings, variables);
    let certificates = judge.certificates(std::mem::take(&mut settings.certificate));
    let tls_auth_clients_user = judge.or(settings.tls_auth_clients_user.take(), clients_user, UserFrom::Off);
    judge.unused_certificates(&listeners, &certificates, tls_auth_clients_user);
    let renames = judge.renames(&mut settings);
    let nothing_maps = certificates.is_empty() && tls_auth_clients_user == UserFrom::Off;
    let asks = |listener: &Listener| listener.tls.as_ref().is_some_and(|tls| tls.auth_clients != AuthClients::No);
    let unnamed = match listeners.iter().any(asks) {
        false => Some("no listener asks for a certificate: see tls-auth-clients"),
        true if nothing_maps => Some("no certificate names a user: see [[certificate]] and tls-auth-clients-user"),
        true => None,
    };
    let unmapped = if nothing_maps { Unmapped::Password } else { Unmapped::Refuse };
    let ignore_stray_auth = judge.or(settings.stray_auth.take(), stray_auth_word, false);
    let users = judge.users(std::mem::take(&mut settings.user), ignore_stray_auth, unnamed, &block.exempt_users);
    let admin_listen = judge.admin_listen(settings.admin_listen.take());
    let metrics = judge.metrics_door(&mut settings, &listeners);
    let config = Config {
        listeners,
        tunnels,
        upstream,
        acl,
        acl_dialect: judge.read(settings.acl_dialect.take(), acl_dialect),
        certificates,
        tls_auth_clients_user,
        unmapped: judge.or(settings.unmapped.take(), unmapped_word, unmapped),
        block,
        renames,
        users,
        unsafe_nopass: judge.or(settings.unsafe_nopass.take(), yes_no, false),
        named_users: std::mem::take(&mut judge.named_users),
        ignore_stray_auth,
        limits: judge.limits(&mut settings),
        reload_interval: judge.or(settings.reload_interval.take(), positive_duration, Duration::from_millis(200)),
        threads: judge.or(settings.threads.take(), threads, host.cores.max(1)),
        strict_permissions: judge.strict_permissions,
        audit: judge.audit(&mut settings),
        learn_file: judge.path(settings.learn_file.take()),
        log: judge.log(&mut settings),
        admin_socket_group: judge.admin_socket_group(settings.admin_socket_group.take(), admin_listen.as_ref()),
        admin_listen,
        metrics,
        require_upstream: judge.or(settings.require_upstream.take(), yes_no, false),
        // The last of all, when everything has been read.
        file: None,
        sources: judge.sources(),
    };
    judge.forged_addresses(&config);
    judge.unused_stray_auth(&config, nothing_maps);
    Validated { config, errors: judge.errors, warnings: judge.warnings }
}

/// Judges `admin-listen` alone.
pub(super) fn admin_listen(
    settings: Settings,
    source: Option<&SourceFile>,
    host: &Host,
) -> (Option<AdminAddress>, Vec<ConfigError>) {
    let files = Files::default();
    let mut judge = Judge::new(source, host, &files);
    (judge.admin_listen(settings.admin_listen), judge.errors)
}

/// Judges what says where revocation lists come from.
pub(super) fn revocation_lists(
    mut settings: Settings,
    source: &SourceFile,
    host: &Host,
) -> (Vec<RevocationLists>, Vec<ConfigError>) {
    let files = Files::default();
    let mut judge = Judge::new(Some(source), host, &files);
    (judge.revocation_lists(&mut settings), judge.errors)
}

/// What may be said in the environment.
fn known_variables(purpose: Purpose) -> Vec<String> {
    match purpose {
        Purpose::Tunnelling => tunnel_flag_names(),
        Purpose::Serving | Purpose::Asking => flag_names().into_iter().chain(["config".to_owned()]).collect(),
    }
}

impl Judge<'_> {
    /// A misspelt variable would silently leave its setting at the default. Not an error, because Kubernetes sets
    /// `RESPGATE_SERVICE_HOST` and the like for a service of that name.
    fn unknown_variables(&mut self, variables: &Variables, known: &[String]) {
        for name in variables.keys() {
            let Some(key) = name.strip_prefix(VARIABLE_PREFIX) else { continue };
            let kubernetes = key.starts_with("SERVICE_") || key.starts_with("PORT");
            if kubernetes || known.iter().any(|key| variable_name(key) == *name) {
                continue;
            }
            let close = nearest(key, known.iter().map(String::as_str));
            let mut warning = ConfigError::new(Place::Named(name.clone()), "no such setting, ignored");
            warning.hint = close.map(|key| format!("did you mean {}?", variable_name(key)));
            self.warnings.push(warning);
        }
    }

    fn limits(&mut self, settings: &mut Settings) -> Limits {
        let seconds = Duration::from_secs;
        let memory = settings.memory_budget.is_none().then(|| self.host.memory.clone());
        let quarter = (self.host.memory.bytes / 4).max(1 << 20);
        let budget = self.or(settings.memory_budget.take(), positive_size, quarter);
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
        let maxclients = self.read(settings.maxclients.take(), positive_count);
        let max_connections_per_address =
            self.connections_per_address(settings.max_connections_per_address.take(), maxclients);
        Limits {
            maxclients,
            max_connections_per_address,
            max_handshakes: self.or(settings.max_handshakes.take(), positive_count, 256),
            handshake_timeout: self.or(settings.handshake_timeout.take(), positive_duration, seconds(5)),
            auth_timeout: self.or(settings.auth_timeout.take(), positive_duration, seconds(10)),
            idle_timeout: self.read(settings.timeout.take(), duration).filter(|time| !time.is_zero()),
            request_timeout: Some(self.or(settings.request_timeout.take(), duration, seconds(60)))
                .filter(|time| !time.is_zero()),
            tcp_keepalive: self.or(settings.tcp_keepalive.take(), keepalive, Some(Keepalive::after(seconds(300)))),
            half_close_timeout: self.or(settings.half_close_timeout.take(), duration, seconds(5)),
            shutdown_delay: self.or(settings.shutdown_delay.take(), duration, Duration::ZERO),
            shutdown_timeout: self.or(settings.shutdown_timeout.take(), duration, seconds(25)),
            max_args: self.or(settings.max_args.take(), max_args, MOST_ARGUMENTS),
            max_bulk: self.or(settings.max_bulk.take(), positive_size, 512 << 20),
            max_inline: self.or(settings.max_inline.take(), inline_size, 64 << 10),
            request_buffer,
            hold_buffer,
            memory_budget: budget,
            memory,
        }
    }

    /// 0 is no limit.
    fn connections_per_address(&mut self, setting: Option<Setting>, maxclients: Option<u32>) -> Option<u32> {
        let origin = setting.as_ref()?.origin.clone();
        let most = self.read(setting, count).filter(|most| *most > 0)?;
        let all = maxclients.unwrap_or(DEFAULT_MAXCLIENTS);
        if most >= all {
            self.warn(&origin, format!("bounds nothing: `maxclients` is {all}, for all addresses together"));
        }
        Some(most)
    }

    /// To be judged before the log.
    fn audit(&mut self, settings: &mut Settings) -> AuditSettings {
        let others = [&settings.audit_keys, &settings.audit_on_full].map(Option::as_ref);
        let others = others.into_iter().chain([settings.audit_commands.iter().flatten().next()]).flatten();
        let others: Vec<Origin> = others.map(|setting| setting.origin.clone()).collect();
        let on_full = settings.audit_on_full.as_ref().map(|setting| setting.origin.clone());
        let audit = AuditSettings {
            target: self.audit_target(settings),
            commands: match settings.audit_commands.take() {
                Some(commands) => self.all(Some(commands), recorded_command),
                None => ["@admin", "@dangerous"].map(str::to_owned).into(),
            },
            keys: self.or(settings.audit_keys.take(), key_names, KeyNames::No),
            on_full: self.or(settings.audit_on_full.take(), audit_on_full, AuditOnFull::Drop),
        };
        match (&audit.target, &on_full) {
            (None, _) => others.iter().for_each(|other| self.warn(other, "does nothing without `audit-file`")),
            (Some(target), Some(on_full)) if audit.on_full == AuditOnFull::Block => {
                let words =
                    format!("whoever fills the disk under {target}, or stops its reader, stops Redis for everybody");
                self.warn(on_full, words);
            }
            _ => {}
        }
        audit
    }

    fn audit_target(&mut self, settings: &mut Settings) -> Option<AuditTarget> {
        let log = self.path(settings.log_file.clone());
        let setting = settings.audit_file.take()?;
        let origin = setting.origin.clone();
        let is_standard_output =
            |path: &PathBuf| ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].map(Path::new).contains(&&**path);
        let (target, is_log) = match setting.text.as_str() {
            "-" => (AuditTarget::StandardOutput, log.as_ref().is_some_and(is_standard_output)),
            _ => {
                let path = self.path(Some(setting))?;
                let is_log = Some(&path) == log.as_ref();
                (AuditTarget::File(path), is_log)
            }
        };
        if is_log {
            self.error(&origin, "is `log-file`, too");
        }
        Some(target)
    }

    fn log(&mut self, settings: &mut Settings) -> LogSettings {
        LogSettings {
            format: self.or(settings.log_format.take(), log_format, LogFormat::Text),
            level: self.or(settings.log_level.take(), log_level, LogLevel::Info),
            file: self.path(settings.log_file.take()),
        }
    }
}

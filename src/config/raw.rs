//! Step one: settings as they were written, from file, environment and flags, each with the place it came from.
//!
//! One struct serves all three sources: serde fills it from the file, clap from the flags, and clap again from the
//! environment rewritten as flags. Nothing is judged here but shape: which keys exist, and that a value is a scalar or
//! a list of scalars.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, Id};
use serde::Deserialize;
use toml::Spanned;

use super::setting::{Origin, Setting, one_or_many, one_or_more};

/// Environment variables by name.
pub type Variables = BTreeMap<String, OsString>;

/// What every variable of ours starts with: `RESPGATE_TLS_CERT_FILE` is `tls-cert-file`.
pub(super) const VARIABLE_PREFIX: &str = "RESPGATE_";

/// The name under which the environment is parsed as if it were flags.
pub(super) const ENVIRONMENT: &str = "environment";

/// The heading of a tunnel's own flags.
const TUNNEL: &str = "Tunnel";

/// Every setting of the program. A field is a key of the file with dashes, a flag and a `RESPGATE_` variable at once,
/// except where it says otherwise. The doc comments are the help texts.
#[derive(Args, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Settings {
    /// Address to listen on, such as 0.0.0.0:6380
    #[arg(long, value_name = "ADDRESS", help_heading = "Listener")]
    pub(super) listen: Option<Setting>,
    /// no: a plaintext listener [default: yes]
    #[arg(long, value_name = "yes|no", help_heading = "Listener")]
    pub(super) tls: Option<Setting>,
    /// Server certificate and chain, PEM
    #[arg(long, value_name = "FILE", help_heading = "Listener")]
    pub(super) tls_cert_file: Option<Setting>,
    /// Key of the server certificate, PEM
    #[arg(long, value_name = "FILE", help_heading = "Listener")]
    pub(super) tls_key_file: Option<Setting>,
    /// CAs of client certificates, PEM
    #[arg(long, value_name = "FILE", help_heading = "Listener")]
    pub(super) tls_ca_cert_file: Option<Setting>,
    /// Certificate revocation lists, PEM or DER
    #[arg(long, value_name = "FILE", value_delimiter = ',', help_heading = "Listener")]
    #[serde(deserialize_with = "one_or_many")]
    pub(super) tls_crl_file: Option<Vec<Setting>>,
    /// Whether clients must show a certificate [default: yes]
    #[arg(long, value_name = "yes|optional|no", help_heading = "Listener")]
    pub(super) tls_auth_clients: Option<Setting>,
    /// TLS versions to accept [default: "TLSv1.2 TLSv1.3"]
    #[arg(long, value_name = "VERSIONS", value_delimiter = ',', help_heading = "Listener")]
    #[serde(deserialize_with = "one_or_more")]
    pub(super) tls_protocols: Option<Vec<Setting>>,
    /// How much of a client's chain needs a CRL [default: chain]
    #[arg(long, value_name = "chain|leaf", help_heading = "Listener")]
    pub(super) crl_check: Option<Setting>,
    /// What an expired CRL means for new handshakes [default: refuse]
    #[arg(long, value_name = "refuse|ignore", help_heading = "Listener")]
    pub(super) crl_expired: Option<Setting>,
    /// Networks that may connect [default: all]
    #[arg(long, value_name = "CIDR", value_delimiter = ',', help_heading = "Listener")]
    #[serde(deserialize_with = "one_or_more")]
    pub(super) allow: Option<Vec<Setting>>,
    /// Networks that may not connect
    #[arg(long, value_name = "CIDR", value_delimiter = ',', help_heading = "Listener")]
    #[serde(deserialize_with = "one_or_many")]
    pub(super) deny: Option<Vec<Setting>>,
    /// Balancers that say in the PROXY protocol whom they speak for
    #[arg(long, value_name = "CIDR", value_delimiter = ',', help_heading = "Listener")]
    #[serde(deserialize_with = "one_or_many")]
    pub(super) proxy_protocol_from: Option<Vec<Setting>>,

    /// Redis: 127.0.0.1:6379 or unix:/run/redis/redis.sock
    #[arg(long, value_name = "ADDRESS", help_heading = "Upstream")]
    pub(super) upstream: Option<Setting>,
    /// User to log in as at the upstream (in the file: [upstream-auth] user)
    #[arg(long, value_name = "NAME", help_heading = "Upstream")]
    #[serde(skip)]
    pub(super) upstream_user: Option<Setting>,
    /// File with that user's password (in the file: [upstream-auth] password-file)
    #[arg(long, value_name = "FILE", help_heading = "Upstream")]
    #[serde(skip)]
    pub(super) upstream_password_file: Option<Setting>,
    /// Time for connecting and logging in there [default: 5s]
    #[arg(long, value_name = "TIME", help_heading = "Upstream")]
    pub(super) upstream_connect_timeout: Option<Setting>,
    /// Time that Redis may owe a reply without saying anything; commands that block are exempt; 0 is for ever [default: 5m]
    #[arg(long, value_name = "TIME", help_heading = "Upstream")]
    pub(super) upstream_timeout: Option<Setting>,
    /// Accept an upstream that is neither loopback nor a unix socket: what goes there is not encrypted
    #[arg(long, value_name = "yes|no", num_args = 0..=1, require_equals = true, default_missing_value = "yes")]
    #[arg(help_heading = "Upstream")]
    pub(super) unsafe_upstream: Option<Setting>,
    /// Run the scripts of restricted users there as users of the same rights, made for that [default: yes]
    #[arg(long, value_name = "yes|no", num_args = 0..=1, require_equals = true, default_missing_value = "yes")]
    #[arg(help_heading = "Upstream")]
    pub(super) mirror_users: Option<Setting>,
    /// Exit 69 where the upstream does not answer at start
    #[arg(long, value_name = "yes|no", num_args = 0..=1, require_equals = true, default_missing_value = "yes")]
    #[arg(help_heading = "Upstream")]
    pub(super) require_upstream: Option<Setting>,
    /// A redis.conf whose rename-command lines say what the upstream calls its commands
    #[arg(long, value_name = "FILE", help_heading = "Upstream")]
    pub(super) redis_conf: Option<Setting>,

    /// Users and their rules, in Redis's ACL language
    #[arg(long, value_name = "FILE", help_heading = "Users")]
    pub(super) aclfile: Option<Setting>,
    /// Grammar of the ACL file [default: the upstream's]
    #[arg(long, value_name = "redis-7.0|redis-7.2|valkey-9.1", help_heading = "Users")]
    pub(super) acl_dialect: Option<Setting>,
    /// Password of the user `default` where there is no ACL file
    #[arg(skip)]
    pub(super) requirepass: Option<Setting>,
    /// File with the password of the user `default`, where there is no ACL file
    #[arg(long, value_name = "FILE", help_heading = "Users")]
    pub(super) requirepass_file: Option<Setting>,
    /// Certificate field that names the user [default: off]
    #[arg(long, value_name = "CN|URI|off", help_heading = "Users")]
    pub(super) tls_auth_clients_user: Option<Setting>,
    /// What a trusted certificate that maps to nobody may do [default: refuse, or password where nothing maps]
    #[arg(long, value_name = "refuse|password", help_heading = "Users")]
    pub(super) unmapped: Option<Setting>,
    /// What is said to a password that can make nobody else of a session that its certificate made [default: refuse]
    #[arg(long, value_name = "refuse|ignore", help_heading = "Users")]
    pub(super) stray_auth: Option<Setting>,
    /// Accept users without a password (nopass) where clients need no certificate either
    #[arg(long, value_name = "yes|no", num_args = 0..=1, require_equals = true, default_missing_value = "yes")]
    #[arg(help_heading = "Users")]
    pub(super) unsafe_nopass: Option<Setting>,
    /// Refuse key and secret files that others can read, instead of warning
    #[arg(long, value_name = "yes|no", num_args = 0..=1, require_equals = true, default_missing_value = "yes")]
    #[arg(help_heading = "Users")]
    pub(super) strict_permissions: Option<Setting>,

    /// Connections at the same time [default: 10000]
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub(super) maxclients: Option<Setting>,
    /// Connections of one address, 0 is no limit [default: 0]
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub(super) max_connections_per_address: Option<Setting>,
    /// TLS handshakes at the same time [default: 256]
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub(super) max_handshakes: Option<Setting>,
    /// Time for the TLS handshake [default: 5s]
    #[arg(long, value_name = "TIME", help_heading = "Limits")]
    pub(super) handshake_timeout: Option<Setting>,
    /// Time from there to a login [default: 10s]
    #[arg(long, value_name = "TIME", help_heading = "Limits")]
    pub(super) auth_timeout: Option<Setting>,
    /// Close sessions idle for this long, 0 is never [default: 0]
    #[arg(long, value_name = "TIME", help_heading = "Limits")]
    pub(super) timeout: Option<Setting>,
    /// Time for each 16 KiB of an unfinished request, or its end; 0 is for ever [default: 60s]
    #[arg(long, value_name = "TIME", help_heading = "Limits")]
    pub(super) request_timeout: Option<Setting>,
    /// Silence after which a connection, on either side, is asked for a sign of life, 0 is never [default: 300]
    #[arg(long, value_name = "TIME", help_heading = "Limits")]
    pub(super) tcp_keepalive: Option<Setting>,
    /// Time to deliver owed replies after the client's end of stream [default: 5s]
    #[arg(long, value_name = "TIME", help_heading = "Limits")]
    pub(super) half_close_timeout: Option<Setting>,
    /// Time from the signal to end to the beginning of the drain, newcomers are still let in meanwhile [default: 0]
    #[arg(long, value_name = "TIME", help_heading = "Limits")]
    pub(super) shutdown_delay: Option<Setting>,
    /// Time a drain may take [default: 25s]
    #[arg(long, value_name = "TIME", help_heading = "Limits")]
    pub(super) shutdown_timeout: Option<Setting>,
    /// Arguments of one request [default: 1048576]
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub(super) max_args: Option<Setting>,
    /// Size of one argument [default: 512mb]
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    pub(super) max_bulk: Option<Setting>,
    /// Size of an inline request [default: 64kb]
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    pub(super) max_inline: Option<Setting>,
    /// What may be held of one request for a decision [default: 64mb]
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    pub(super) request_buffer: Option<Setting>,
    /// What is held for a client that does not read its replies [default: 16mb]
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    pub(super) hold_buffer: Option<Setting>,
    /// What is held for all sessions together [default: a quarter of the memory]
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    pub(super) memory_budget: Option<Setting>,

    /// How often certificates and ACL file are looked at for changes [default: 200ms]
    #[arg(long, value_name = "TIME", help_heading = "Operation")]
    pub(super) reload_interval: Option<Setting>,
    /// Worker threads [default: cores]
    #[arg(long, value_name = "N", help_heading = "Operation")]
    pub(super) threads: Option<Setting>,
    /// Form of the log [default: text]
    #[arg(long, value_name = "text|json", help_heading = "Operation")]
    pub(super) log_format: Option<Setting>,
    /// Least important events to log [default: info]
    #[arg(long, value_name = "error|warn|info|debug|trace", help_heading = "Operation")]
    pub(super) log_level: Option<Setting>,
    /// Log there instead of to standard error
    #[arg(long, value_name = "FILE", help_heading = "Operation")]
    pub(super) log_file: Option<Setting>,
    /// Write the audit log there; -: to standard output [default: none]
    #[arg(long, value_name = "FILE", help_heading = "Operation")]
    pub(super) audit_file: Option<Setting>,
    /// Permitted commands and @categories that the audit log has [default: "@admin,@dangerous"]
    #[arg(long, value_name = "COMMAND", value_delimiter = ',', help_heading = "Operation")]
    #[serde(deserialize_with = "one_or_many")]
    pub(super) audit_commands: Option<Vec<Setting>>,
    /// What the audit log has of the names of keys [default: no]
    #[arg(long, value_name = "no|hash|yes", help_heading = "Operation")]
    pub(super) audit_keys: Option<Setting>,
    /// block: requests wait where the audit log cannot be written [default: drop]
    #[arg(long, value_name = "drop|block", help_heading = "Operation")]
    pub(super) audit_on_full: Option<Setting>,
    /// Learn there which commands, keys and channels each user uses [default: none]
    #[arg(long, value_name = "FILE", help_heading = "Operation")]
    pub(super) learn_file: Option<Setting>,
    /// Admin door: a unix socket, a loopback address, or off [default: respgate.sock in the runtime directory]
    #[arg(long, value_name = "PATH|ADDRESS|off", help_heading = "Operation")]
    pub(super) admin_listen: Option<Setting>,
    /// Group that may open the admin socket, beside its owner
    #[arg(long, value_name = "GROUP", help_heading = "Operation")]
    pub(super) admin_socket_group: Option<Setting>,
    /// Address at which others may ask for metrics and health [default: none]
    #[arg(long, value_name = "ADDRESS", help_heading = "Operation")]
    pub(super) metrics_listen: Option<Setting>,
    /// Networks that may ask there
    #[arg(long, value_name = "CIDR", value_delimiter = ',', help_heading = "Operation")]
    #[serde(deserialize_with = "one_or_more")]
    pub(super) metrics_allow: Option<Vec<Setting>>,

    #[arg(skip)]
    pub(super) listener: Vec<Spanned<ListenerSection>>,
    #[arg(skip)]
    pub(super) tunnel: Vec<Spanned<TunnelSection>>,
    #[arg(skip)]
    pub(super) upstream_auth: UpstreamAuthSection,
    #[arg(skip)]
    pub(super) certificate: Vec<Spanned<CertificateSection>>,
    #[arg(skip)]
    pub(super) block: BlockSection,
    #[arg(skip)]
    pub(super) rename: BTreeMap<Spanned<String>, Setting>,
    #[arg(skip)]
    pub(super) user: BTreeMap<Spanned<String>, UserSection>,
}

/// One `[[listener]]`. What it leaves out, the key of the same name outside says.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ListenerSection {
    pub(super) listen: Option<Setting>,
    pub(super) tls: Option<Setting>,
    pub(super) tls_cert_file: Option<Setting>,
    pub(super) tls_key_file: Option<Setting>,
    pub(super) tls_ca_cert_file: Option<Setting>,
    #[serde(deserialize_with = "one_or_many")]
    pub(super) tls_crl_file: Option<Vec<Setting>>,
    pub(super) tls_auth_clients: Option<Setting>,
    #[serde(deserialize_with = "one_or_more")]
    pub(super) tls_protocols: Option<Vec<Setting>>,
    pub(super) crl_check: Option<Setting>,
    pub(super) crl_expired: Option<Setting>,
    #[serde(deserialize_with = "one_or_more")]
    pub(super) allow: Option<Vec<Setting>>,
    #[serde(deserialize_with = "one_or_many")]
    pub(super) deny: Option<Vec<Setting>>,
    #[serde(deserialize_with = "one_or_many")]
    pub(super) proxy_protocol_from: Option<Vec<Setting>>,
}

/// One `[[tunnel]]`, or what the flags of `respgate tunnel` say of the only one. The doc comments are the help texts.
#[derive(Args, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct TunnelSection {
    /// Where applications connect, without TLS: unix:/run/redis-tls/redis.sock
    #[arg(long, value_name = "ADDRESS", help_heading = TUNNEL)]
    pub(super) listen: Option<Setting>,
    /// Group that may connect to the unix socket, beside its owner
    #[arg(long, value_name = "GROUP", help_heading = TUNNEL)]
    pub(super) listen_group: Option<Setting>,
    /// Listen where other hosts may connect, too: whoever does has the certificate, and what he sends is not encrypted
    #[arg(long, value_name = "yes|no", num_args = 0..=1, require_equals = true, default_missing_value = "yes")]
    #[arg(help_heading = TUNNEL)]
    pub(super) unsafe_listen: Option<Setting>,
    /// The server, such as redis.example:6380; several are tried in turn
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', help_heading = TUNNEL)]
    #[serde(deserialize_with = "one_or_more")]
    pub(super) connect: Option<Vec<Setting>>,
    /// Time that connecting to one address, its handshake included, may take [default: 5s]
    #[arg(long, value_name = "TIME", help_heading = TUNNEL)]
    pub(super) connect_timeout: Option<Setting>,
    /// Applications at once [default: 1000]
    #[arg(long, value_name = "N", help_heading = TUNNEL)]
    pub(super) maxclients: Option<Setting>,
    /// Time that nothing may go through after an answer; 0 is no limit [default: 0]
    #[arg(long, value_name = "TIME", help_heading = TUNNEL)]
    pub(super) timeout: Option<Setting>,
    /// CAs of the server's certificate, PEM
    #[arg(long, value_name = "FILE", help_heading = TUNNEL)]
    pub(super) tls_ca_cert_file: Option<Setting>,
    /// Name in the server's certificate [default: the host of connect]
    #[arg(long, value_name = "NAME", help_heading = TUNNEL)]
    pub(super) server_name: Option<Setting>,
    /// Keys of the server, as SHA-256 of its SubjectPublicKeyInfo: any other is refused, whatever the CA says
    #[arg(long, value_name = "HEX", value_delimiter = ',', help_heading = TUNNEL)]
    #[serde(deserialize_with = "one_or_more")]
    pub(super) server_spki_sha256: Option<Vec<Setting>>,
    /// Certificate revocation lists of the server's CAs, PEM or DER
    #[arg(long, value_name = "FILE", value_delimiter = ',', help_heading = TUNNEL)]
    #[serde(deserialize_with = "one_or_many")]
    pub(super) tls_crl_file: Option<Vec<Setting>>,
    /// Certificate that is shown to the server, and its chain, PEM
    #[arg(long, value_name = "FILE", help_heading = TUNNEL)]
    pub(super) tls_cert_file: Option<Setting>,
    /// Key of that certificate, PEM
    #[arg(long, value_name = "FILE", help_heading = TUNNEL)]
    pub(super) tls_key_file: Option<Setting>,
    /// TLS versions to offer [default: "TLSv1.2 TLSv1.3"]
    #[arg(long, value_name = "VERSIONS", value_delimiter = ',', help_heading = TUNNEL)]
    #[serde(deserialize_with = "one_or_more")]
    pub(super) tls_protocols: Option<Vec<Setting>>,
}

/// `[upstream-auth]`.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct UpstreamAuthSection {
    pub(super) user: Option<Setting>,
    pub(super) password: Option<Setting>,
    pub(super) password_file: Option<Setting>,
}

/// One `[[certificate]]`.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct CertificateSection {
    #[serde(deserialize_with = "one_or_more")]
    pub(super) uri: Option<Vec<Setting>>,
    #[serde(deserialize_with = "one_or_more")]
    pub(super) dns: Option<Vec<Setting>>,
    #[serde(deserialize_with = "one_or_more")]
    pub(super) email: Option<Vec<Setting>>,
    #[serde(deserialize_with = "one_or_more")]
    pub(super) cn: Option<Vec<Setting>>,
    #[serde(deserialize_with = "one_or_more")]
    pub(super) ou: Option<Vec<Setting>>,
    #[serde(deserialize_with = "one_or_more")]
    pub(super) o: Option<Vec<Setting>>,
    #[serde(deserialize_with = "one_or_more")]
    pub(super) issuer_cn: Option<Vec<Setting>>,
    #[serde(deserialize_with = "one_or_more")]
    pub(super) serial: Option<Vec<Setting>>,
    #[serde(deserialize_with = "one_or_more")]
    pub(super) sha256: Option<Vec<Setting>>,
    #[serde(deserialize_with = "one_or_more")]
    pub(super) spki_sha256: Option<Vec<Setting>>,
    #[serde(deserialize_with = "one_or_more")]
    pub(super) ca_spki_sha256: Option<Vec<Setting>>,
    pub(super) user: Option<Setting>,
    pub(super) trust: Option<Setting>,
    pub(super) cn_with_san: Option<Setting>,
}

/// `[block]`.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct BlockSection {
    #[serde(deserialize_with = "one_or_many")]
    pub(super) commands: Option<Vec<Setting>>,
    #[serde(deserialize_with = "one_or_many")]
    pub(super) exempt_users: Option<Vec<Setting>>,
    #[serde(deserialize_with = "one_or_many")]
    pub(super) scripting_users: Option<Vec<Setting>>,
}

/// `[user.NAME]`.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct UserSection {
    pub(super) certificate: Option<Setting>,
    pub(super) auth: Option<Setting>,
    pub(super) reauth: Option<Setting>,
    pub(super) stray_auth: Option<Setting>,
    #[serde(deserialize_with = "one_or_more")]
    pub(super) allow_from: Option<Vec<Setting>>,
    #[serde(deserialize_with = "one_or_many")]
    pub(super) config_get: Option<Vec<Setting>>,
    #[serde(deserialize_with = "one_or_many")]
    pub(super) config_set: Option<Vec<Setting>>,
    pub(super) shadow_until: Option<Setting>,
    pub(super) shadow_keys: Option<Setting>,
}

impl Settings {
    /// Lays the environment over these settings, then the flags. Whom one of them denies stays denied.
    pub(super) fn overlay(&mut self, variables: &Variables, flags: &Flags) -> Result<(), clap::Error> {
        for above in [&environment_as_flags::<Settings>(variables)?, &flags.0] {
            let below = self.deny.take();
            self.update_from_arg_matches(above)?;
            self.deny = all_of(self.deny.take(), below);
        }
        Ok(())
    }
}

/// The values of both places, those of the higher one first.
pub(super) fn all_of(above: Option<Vec<Setting>>, below: Option<Vec<Setting>>) -> Option<Vec<Setting>> {
    match (above, below) {
        (Some(above), Some(below)) => Some(above.into_iter().chain(below).collect()),
        (above, below) => above.or(below),
    }
}

/// The settings given as flags, kept as clap matched them so that they can be laid over the other sources.
#[derive(Clone, Debug)]
pub struct Flags(ArgMatches);

impl Flags {
    /// No flags at all.
    pub fn none() -> Flags {
        Flags(Settings::augment_args(Command::new("flags")).no_binary_name(true).get_matches_from([""; 0]))
    }

    /// Whether any setting of respgate is given.
    pub fn are_given(&self) -> bool {
        let command = Settings::augment_args(Command::new("flags"));
        let mut settings = command.get_arguments().filter(|argument| argument.get_long() != Some("redis-conf"));
        settings.any(|argument| self.0.value_source(argument.get_id().as_str()).is_some())
    }

    /// `--redis-conf`, which says something of a Redis as well.
    pub fn redis_conf(&self) -> Option<PathBuf> {
        self.0.get_one::<Setting>("redis_conf").map(|setting| PathBuf::from(&setting.text))
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Flags, clap::Error> {
        Ok(Flags(matches.clone()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0 = matches.clone();
        Ok(())
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        Settings::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Settings::augment_args_for_update(command)
    }
}

/// The names of all settings that are flags and variables, with dashes.
pub(super) fn flag_names() -> Vec<String> {
    let command = Settings::augment_args(Command::new(ENVIRONMENT));
    command.get_arguments().filter_map(Arg::get_long).map(str::to_owned).collect()
}

/// The settings that are given above the file: each by its key. Not `deny`, which adds to it.
pub(super) fn given_above_the_file(variables: &Variables, flags: &Flags) -> BTreeMap<String, Setting> {
    let command = Settings::augment_args(Command::new(ENVIRONMENT));
    let keys = command.get_arguments().filter_map(|argument| Some((argument.get_long()?, argument.get_id())));
    let given = |(key, id): (&str, &Id)| {
        let flag = || flags.0.get_many::<Setting>(id.as_str())?.next().cloned();
        let variable = || {
            let text = variables.get(&variable_name(key))?.to_str()?.to_owned();
            Some(Setting { text, origin: Origin::Variable(variable_name(key)) })
        };
        Some((key.to_owned(), flag().or_else(variable)?))
    };
    keys.filter(|(key, _)| *key != "deny").filter_map(given).collect()
}

/// The environment variable of a key.
pub(super) fn variable_name(key: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", key.to_ascii_uppercase().replace('-', "_"))
}

pub(super) fn environment_as_flags<T: Args>(variables: &Variables) -> Result<ArgMatches, clap::Error> {
    let command = T::augment_args(Command::new(ENVIRONMENT)).no_binary_name(true);
    let keys: Vec<String> = command.get_arguments().filter_map(Arg::get_long).map(str::to_owned).collect();
    let arguments = keys.into_iter().filter_map(|key| {
        let value = variables.get(&variable_name(&key))?;
        let mut argument = OsString::from(format!("--{key}="));
        argument.push(value);
        Some(argument)
    });
    command.try_get_matches_from(arguments)
}

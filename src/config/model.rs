//! The validated configuration: what the rest of the program is built from.
//!
//! Plain data, in the types of those who use it. Every value here was checked; nobody has to check it again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::host::Memory;
use super::secret::Redacted;
use crate::command::Dialect;
use crate::identity::{RuleSpec, UserFrom};
use crate::keepalive::Keepalive;
use crate::policy::{KeyNames, Unmapped, UserSettings};
use crate::tls::{ClientTlsSettings, ServerName, TlsSettings};

/// Everything `respgate run` needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// No two share an address (port 0 excepted) or the name of inherited sockets. None where there are tunnels alone.
    pub listeners: Vec<Listener>,
    /// Each with an address of its own. Of these and the listeners there is at least one.
    pub tunnels: Vec<Tunnel>,
    /// The Redis behind the proxy.
    pub upstream: UpstreamSettings,
    /// Where users come from.
    pub acl: AclSource,
    /// The ACL grammar and command table. `None` follows the upstream's version.
    pub acl_dialect: Option<Dialect>,
    /// `[[certificate]]` rules in their order; the first match wins.
    pub certificates: Vec<CertificateRule>,
    /// `tls-auth-clients-user`: stands after the rules.
    pub tls_auth_clients_user: UserFrom,
    /// What a trusted certificate that maps to nobody may do.
    pub unmapped: Unmapped,
    /// `stray-auth = "ignore"`: passwords that can make nobody else of a session are ignored, where its user does not say.
    pub ignore_stray_auth: bool,
    /// Commands refused whatever the ACL says.
    pub block: Block,
    /// What Redis calls renamed commands, originals in upper case, sorted and unique.
    pub renames: Vec<Rename>,
    /// `[user.NAME]`, by user name.
    pub users: BTreeMap<String, UserSettings>,
    /// The operator said that users without a password are wanted where clients need no certificate either.
    pub unsafe_nopass: bool,
    /// Every user that is named anywhere in it, for holding against the users that there are.
    pub named_users: Vec<NamedUser>,
    /// Bounds on connections, time and memory.
    pub limits: Limits,
    /// How often watched files are read again to see whether they changed.
    pub reload_interval: Duration,
    /// Worker threads; at least 1.
    pub threads: usize,
    /// Key files readable by others are an error, not a warning.
    pub strict_permissions: bool,
    /// The log.
    pub log: LogSettings,
    /// The audit log.
    pub audit: AuditSettings,
    /// Where it is kept what users were seen to do; `None` where that is not learnt.
    pub learn_file: Option<PathBuf>,
    /// The admin door; `None` where it was switched off.
    pub admin_listen: Option<AdminAddress>,
    /// The number of the group that may open the admin socket beside its owner.
    pub admin_socket_group: Option<u32>,
    /// The metrics door; `None` unless it is asked for.
    pub metrics: Option<MetricsDoor>,
    /// `run --require-upstream`: exit 69 at start where the upstream does not answer.
    pub require_upstream: bool,
    /// The configuration file.
    pub file: Option<PathBuf>,
    /// Files that all this was read from: the configuration file, secrets, the redis.conf and what it includes.
    pub sources: Vec<PathBuf>,
}

/// What a file says, and with it when a change of it takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// The server's certificate or key. At once: half of one is none.
    Certificate,
    /// Client CAs. Those that go, at once; those that come, with the configuration and the users that confine them.
    Authorities,
    /// CRLs. At once.
    RevocationLists,
    /// Something that the configuration is read from. Once it has settled: the first half could be read as a whole.
    Configuration,
    /// The ACL file. The same.
    Users,
}

impl FileKind {
    /// Whether content takes effect only once it stays as it is.
    pub fn has_to_settle(self) -> bool {
        matches!(self, FileKind::Configuration | FileKind::Users)
    }
}

impl Config {
    /// Files whose change is a reason to build a new generation. One may be of several kinds.
    pub fn watched_files(&self) -> BTreeSet<(PathBuf, FileKind)> {
        let acl = match &self.acl {
            AclSource::File(path) => Some(path),
            AclSource::Password(_) | AclSource::None => None,
        };
        let tls = self.listeners.iter().filter_map(|listener| listener.tls.as_ref());
        let trust = tls.flat_map(|files| {
            let presented = [&files.cert_file, &files.key_file].map(|path| (path, FileKind::Certificate));
            let lists = files.crl_files.iter().map(|path| (path, FileKind::RevocationLists));
            let authorities = files.ca_cert_file.iter().map(|path| (path, FileKind::Authorities));
            presented.into_iter().chain(lists).chain(authorities)
        });
        let sources = self.sources.iter().map(|path| (path, FileKind::Configuration));
        let users = acl.map(|path| (path, FileKind::Users));
        // Of tunnels all at once, and all of it or nothing.
        let tunnels = self.tunnels.iter().flat_map(|tunnel| tunnel.tls.files());
        let tunnels = tunnels.map(|path| (path, FileKind::Certificate));
        sources.chain(users).chain(trust).chain(tunnels).map(|(path, kind)| (path.clone(), kind)).collect()
    }
}

/// Where a listener listens, and with which rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Where.
    pub address: ListenAddress,
    /// `None` is a plaintext listener, which takes an explicit `tls = "no"`.
    pub tls: Option<TlsSettings>,
    /// Peers that may connect. Empty: everybody not denied.
    pub allow: Vec<IpNet>,
    /// Peers that may not connect; stronger than `allow`.
    pub deny: Vec<IpNet>,
    /// Balancers: from there a PROXY protocol header is required, and the address in it counts.
    pub proxy_protocol_from: Vec<IpNet>,
}

/// Where a listener listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListenAddress {
    /// There. A socket that listens there and was inherited is used. Port 0 asks the kernel for a free one.
    Tcp(SocketAddr),
    /// Where the inherited sockets of this name listen.
    Inherited(String),
}

impl ListenAddress {
    /// How inherited sockets are written.
    pub const INHERITED: &str = "systemd:";

    /// Whether only this host can reach it. Of inherited sockets that is not known.
    pub fn is_loopback(&self) -> bool {
        matches!(self, ListenAddress::Tcp(address) if address.ip().to_canonical().is_loopback())
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Tcp(address) => write!(f, "{address}"),
            ListenAddress::Inherited(name) => write!(f, "{}{name}", Self::INHERITED),
        }
    }
}

/// The port that is proposed for the metrics door.
pub const METRICS_PORT: u16 = 9180;

/// A tunnel: what applications say in plain goes to a server over TLS, whatever it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tunnel {
    /// Where applications connect.
    pub listen: TunnelAddress,
    /// The number of the group that may do so at a unix socket, beside its owner.
    pub listen_group: Option<u32>,
    /// The servers, at least one, in the order in which they are tried.
    pub connect: Vec<Endpoint>,
    /// For connecting to one address, with the handshake.
    pub connect_timeout: Duration,
    /// Applications at once.
    pub maxclients: u32,
    /// How long nothing may go through after an answer, if that is bounded.
    pub idle_timeout: Option<Duration>,
    /// What is shown to the server, and asked of it.
    pub tls: ClientTlsSettings,
}

/// Where applications connect that have no TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TunnelAddress {
    /// A unix socket, which is made.
    Unix(PathBuf),
    /// TCP, beyond loopback only where the operator said so.
    Tcp(SocketAddr),
    /// Where the inherited sockets of this name listen.
    Inherited(String),
}

impl fmt::Display for TunnelAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TunnelAddress::Unix(path) => write!(f, "unix:{}", path.display()),
            TunnelAddress::Tcp(address) => write!(f, "{address}"),
            TunnelAddress::Inherited(name) => write!(f, "{}{name}", ListenAddress::INHERITED),
        }
    }
}

/// Where a server is, and what its certificate has to be for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A DNS name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// `server-name`, or the host.
    pub name: ServerName,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// The Redis behind the proxy and how to log in there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// Loopback or a unix socket, unless `unsafe_upstream`.
    pub address: UpstreamAddress,
    /// The proxy's own user there; `None` with a password means Redis's `default`.
    pub user: Option<String>,
    /// The password of that user.
    pub password: Option<Redacted>,
    /// The operator said that an upstream beyond loopback is wanted.
    pub unsafe_upstream: bool,
    /// For connecting and logging in together.
    pub connect_timeout: Duration,
    /// How long it may owe a reply without saying anything; `None` is for ever.
    pub timeout: Option<Duration>,
    /// Scripts of restricted users run there as users of the same rights, which the proxy makes.
    pub mirror_users: bool,
}

/// Where the upstream listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamAddress {
    /// TCP.
    Tcp(SocketAddr),
    /// A unix stream socket.
    Unix(PathBuf),
}

impl fmt::Display for UpstreamAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UpstreamAddress::Tcp(address) => write!(f, "{address}"),
            UpstreamAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Where the proxy is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminAddress {
    /// A unix socket.
    Unix(PathBuf),
    /// Loopback TCP.
    Tcp(SocketAddr),
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AdminAddress::Unix(path) => write!(f, "{}", path.display()),
            AdminAddress::Tcp(address) => write!(f, "{address}"),
        }
    }
}

/// Where others may ask what everybody there may know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsDoor {
    /// Port 0 asks the kernel for a free one.
    pub address: SocketAddr,
    /// Who may ask. Empty, which takes a loopback address: everybody who can.
    pub allow: Vec<IpNet>,
}

/// Where users come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AclSource {
    /// An ACL file.
    File(PathBuf),
    /// User `default` with this password and every command the blocklist leaves.
    Password(Redacted),
    /// Nobody: every login is refused. Comes with a warning.
    None,
}

/// One `[[certificate]]`: every field given must match, any value of a field suffices.
///
/// At least one field is given. Hex values are as written; the certificate map judges them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRule {
    /// What it says.
    pub spec: RuleSpec,
    /// Where it stands, as `file:line`, for errors found by those who build the map.
    pub location: String,
}

/// Commands refused whatever the ACL says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Full names, lower case, `container|subcommand` for one subcommand, `@category` for a category.
    pub commands: Vec<String>,
    /// Users the list does not hold for.
    pub exempt_users: Vec<String>,
    /// Users for whom `@scripting` is lifted.
    pub scripting_users: Vec<String>,
}

/// One renamed command of the upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rename {
    /// Redis's own name, upper case.
    pub original: String,
    /// What it is called there; `None` where it was disabled (renamed to `""`). Not in `Debug`: obscurity is its point.
    pub name: Option<Redacted>,
}

/// A place of the configuration that names one of the proxy's users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedUser {
    /// The user's name.
    pub name: String,
    /// What names it, such as `[block] exempt-users`.
    pub key: String,
    /// As `file:line`.
    pub location: String,
}

/// Clients at once where nothing is configured; Redis's own default.
pub const DEFAULT_MAXCLIENTS: u32 = 10_000;

/// Bounds on connections, time and memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections, all listeners together; `None` is as many as the file-descriptor limit allows, up to
    /// [`DEFAULT_MAXCLIENTS`].
    pub maxclients: Option<u32>,
    /// Connections of one address; `None` is no limit.
    pub max_connections_per_address: Option<u32>,
    /// Handshakes at the same time.
    pub max_handshakes: u32,
    /// From accept to the end of the TLS handshake.
    pub handshake_timeout: Duration,
    /// From there to a successful login.
    pub auth_timeout: Duration,
    /// `timeout`: a session that is silent this long ends; `None` is never.
    pub idle_timeout: Option<Duration>,
    /// How long an unfinished request may take for its next 16 KiB, or its end; `None` is for ever.
    pub request_timeout: Option<Duration>,
    /// How long either side's connection may be silent before it is probed; `None` is never.
    pub tcp_keepalive: Option<Keepalive>,
    /// How long owed replies are delivered after the client's FIN.
    pub half_close_timeout: Duration,
    /// How long newcomers are still let in once the end has been asked for.
    pub shutdown_delay: Duration,
    /// How long a drain may take.
    pub shutdown_timeout: Duration,
    /// Arguments of one request, after login.
    pub max_args: u32,
    /// Bytes of one argument, after login.
    pub max_bulk: u64,
    /// Bytes of an inline request.
    pub max_inline: usize,
    /// Bytes of one request that may be held for a decision.
    pub request_buffer: u64,
    /// Bytes of requests held for one session while it does not read its replies.
    pub hold_buffer: u64,
    /// Bytes held for all sessions together.
    pub memory_budget: u64,
    /// What that is a quarter of; `None` where it was written.
    pub memory: Option<Memory>,
}

/// The audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditSettings {
    /// Where it goes; `None` where there is none.
    pub target: Option<AuditTarget>,
    /// What becomes of requests where there is no room for what would be recorded of them.
    pub on_full: AuditOnFull,
    /// Permitted requests that are recorded: full names, lower case, `container|subcommand` for one subcommand, `@category`
    /// for a category.
    pub commands: Vec<String>,
    /// What is told of the names of keys.
    pub keys: KeyNames,
}

/// Where the audit log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditTarget {
    /// A file.
    File(PathBuf),
    /// Standard output, which nobody locks and which is not opened anew.
    StandardOutput,
}

impl fmt::Display for AuditTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuditTarget::File(path) => write!(f, "{}", path.display()),
            AuditTarget::StandardOutput => f.write_str("-"),
        }
    }
}

/// What becomes of requests where there is no room for what would be recorded of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditOnFull {
    /// They go on.
    Drop,
    /// They wait.
    Block,
}

/// The log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// One line of text or one JSON object per event.
    pub format: LogFormat,
    /// Events less important than this are left out.
    pub level: LogLevel,
    /// `None` is standard error.
    pub file: Option<PathBuf>,
}

/// `log-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people; with colours on a terminal.
    Text,
    /// For machines.
    Json,
}

/// `log-level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Only what needs somebody.
    Error,
    /// And what may soon.
    Warn,
    /// And one line per connection end.
    Info,
    /// And what a developer asks for.
    Debug,
    /// Everything.
    Trace,
}

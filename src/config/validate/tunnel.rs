//! Tunnels: where applications come in without TLS, and which server they are carried to.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;

use super::doors::group;
use super::judge::Judge;
use super::words::{positive_count, positive_duration};
use crate::config::error::{ConfigError, Place};
use crate::config::model::{Endpoint, ListenAddress, Listener, Tunnel, TunnelAddress};
use crate::config::raw::{Settings, TunnelSection};
use crate::config::setting::{Origin, Setting};
use crate::config::units::{duration, listen_address, yes_no};
use crate::identity::Fingerprint;
use crate::tls::{ClientTlsSettings, ServerName};

/// Applications of one tunnel, where nothing is said.
const MAXCLIENTS: u32 = 1000;

impl Judge<'_> {
    pub(super) fn tunnels(&mut self, sections: Vec<Spanned<TunnelSection>>) -> Vec<Tunnel> {
        let mut tunnels = Vec::new();
        for section in sections {
            let span = section.span();
            tunnels.extend(self.tunnel(section.into_inner(), &span));
        }
        tunnels
    }

    /// Everything that is wrong with it.
    fn tunnel(&mut self, section: TunnelSection, span: &Range<usize>) -> Option<Tunnel> {
        let errors_before = self.errors.len();
        let is_unsafe = self.or(section.unsafe_listen, yes_no, false);
        let listen = match section.listen {
            Some(listen) => self.tunnel_address(listen, is_unsafe),
            None => {
                self.lacks(span, "listen", "where applications connect, such as \"unix:/run/redis-tls/redis.sock\"")
            }
        };
        if let (Some(group), Some(TunnelAddress::Tcp(_) | TunnelAddress::Inherited(_))) =
            (&section.listen_group, &listen)
        {
            self.warn(&group.origin, "`listen-group` changes nothing: it is for a unix socket that is made here");
        }
        let listen_group = self.read(section.listen_group, group);
        let server_name = self.read(section.server_name, server_name);
        let connect = match section.connect {
            Some(endpoints) => self.all(Some(endpoints), |text| endpoint(text, server_name.as_ref())),
            None => self.lacks(span, "connect", "the server, such as \"redis.example:6380\"").unwrap_or_default(),
        };
        let ca_cert_file = match section.tls_ca_cert_file {
            Some(file) => self.path(Some(file)),
            None => self.lacks(span, "tls-ca-cert-file", "the CAs that vouch for the server"),
        };
        let [cert_origin, key_origin] = [&section.tls_cert_file, &section.tls_key_file]
            .map(|file| file.as_ref().map(|setting| setting.origin.clone()));
        match (cert_origin, key_origin) {
            (Some(certificate), None) => self.error(&certificate, "it takes `tls-key-file` as well"),
            (None, Some(key)) => self.error(&key, "it takes `tls-cert-file` as well"),
            _ => {}
        }
        let shown = self.path(section.tls_cert_file).zip(self.path(section.tls_key_file));
        let tls = ClientTlsSettings {
            ca_cert_file: ca_cert_file.unwrap_or_default(),
            shown,
            crl_files: self.paths(section.tls_crl_file),
            server_pins: self.all(section.server_spki_sha256, fingerprint),
            protocols: self.protocols(section.tls_protocols),
            strict_permissions: self.strict_permissions,
        };
        let connect_timeout = self.or(section.connect_timeout, positive_duration, Duration::from_secs(5));
        let maxclients = self.or(section.maxclients, positive_count, MAXCLIENTS);
        let idle_timeout = self.read(section.timeout, duration).filter(|time| !time.is_zero());
        let listen = listen.filter(|_| self.errors.len() == errors_before)?;
        Some(Tunnel { listen, listen_group, connect, connect_timeout, maxclients, idle_timeout, tls })
    }

    fn tunnel_address(&mut self, setting: Setting, is_unsafe: bool) -> Option<TunnelAddress> {
        let origin = setting.origin.clone();
        if let Some(path) = setting.text.strip_prefix("unix:") {
            let path = Setting { text: path.to_owned(), origin };
            return self.socket_path(path).map(TunnelAddress::Unix);
        }
        if setting.text.contains('/') || setting.text.ends_with(".sock") {
            let path = &setting.text;
            self.error(&origin, format!("{path:?} is a path: write \"unix:{path}\" for a unix socket"));
            return None;
        }
        let every = self.host.every_address;
        let address = match self.read(Some(setting), |text| listen_address(text, every))? {
            ListenAddress::Inherited(name) => return Some(TunnelAddress::Inherited(name)),
            ListenAddress::Tcp(address) => address,
        };
        match (address.ip().is_loopback(), is_unsafe) {
            (true, _) => {
                let words = "lends the certificate to every process of this host: a unix socket lends it to a group";
                self.warn(&origin, format!("{address} {words}"));
            }
            (false, true) => {
                let words = "lends the certificate to whoever reaches it, and what he sends there is not encrypted";
                self.warn(&origin, format!("{address} {words}"));
            }
            (false, false) => {
                let words = "neither a unix socket nor loopback: whoever reaches it would have the certificate, and what he \
                             sends there would not be encrypted: unsafe-listen accepts that";
                self.error(&origin, format!("{address} is {words}"));
            }
        }
        Some(TunnelAddress::Tcp(address))
    }

    /// What has to be said of every tunnel and is not.
    fn lacks<T>(&mut self, span: &Range<usize>, key: &str, what: &str) -> Option<T> {
        let words = format!("`{key}` is missing: {what}");
        match self.source {
            Some(_) => self.error(&Origin::File(span.clone()), format!("this [[tunnel]]: {words}")),
            None => self.errors.push(ConfigError::new(Place::Whole, words)),
        }
        None
    }

    /// Where two would listen.
    pub(super) fn tunnels_apart(&mut self, tunnels: &[Tunnel], listeners: &[Listener]) {
        let mut addresses: BTreeSet<String> = listeners.iter().map(|listener| listener.address.to_string()).collect();
        for Tunnel { listen, .. } in tunnels {
            let is_any = matches!(listen, TunnelAddress::Tcp(address) if address.port() == 0);
            if !addresses.insert(listen.to_string()) && !is_any {
                self.errors.push(ConfigError::new(Place::Whole, format!("{listen} is listened on twice")));
            }
        }
    }

    /// What is written for listeners where there are tunnels only.
    pub(super) fn unused_without_listener(&mut self, settings: &Settings) {
        let first = |list: &Option<Vec<Setting>>| list.as_ref().and_then(|list| list.first()).cloned();
        for (key, setting) in [
            ("upstream", settings.upstream.clone()),
            ("aclfile", settings.aclfile.clone()),
            ("requirepass-file", settings.requirepass_file.clone()),
            ("redis-conf", settings.redis_conf.clone()),
            ("tls-cert-file", settings.tls_cert_file.clone()),
            ("tls-key-file", settings.tls_key_file.clone()),
            ("tls-ca-cert-file", settings.tls_ca_cert_file.clone()),
            ("tls-crl-file", first(&settings.tls_crl_file)),
            ("tls-auth-clients-user", settings.tls_auth_clients_user.clone()),
            ("maxclients", settings.maxclients.clone()),
            ("timeout", settings.timeout.clone()),
        ] {
            if let Some(setting) = setting {
                self.warn(&setting.origin, format!("`{key}` does nothing: there is a tunnel and no listener"));
            }
        }
    }
}

/// `HOST:PORT`, of which the host may be a name, an IPv4 address, or an IPv6 address in brackets.
fn endpoint(text: &str, server_name: Option<&ServerName>) -> Result<Endpoint, String> {
    let bad = || format!("{text:?} is no server: write HOST:PORT such as \"redis.example:6380\" or \"[::1]:6380\"");
    let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
    let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(bad)?;
    let host = match host.strip_prefix('[').map(|host| host.strip_suffix(']')) {
        Some(inner) => inner.filter(|inner| inner.contains(':')).ok_or_else(bad)?,
        None if host.contains(':') => return Err(bad()),
        None => host,
    };
    let own = ServerName::parse(host).ok_or_else(bad)?;
    Ok(Endpoint { host: host.to_owned(), port, name: server_name.cloned().unwrap_or(own) })
}

fn server_name(text: &str) -> Result<ServerName, String> {
    ServerName::parse(text).ok_or_else(|| format!("{text:?} is neither a DNS name nor an address"))
}

fn fingerprint(text: &str) -> Result<Fingerprint, String> {
    Fingerprint::parse(text).ok_or_else(|| format!("{text:?} is no SHA-256: 64 hexadecimal digits"))
}

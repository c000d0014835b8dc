//! Listeners: addresses, TLS files, and who may connect.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::judge::Judge;
use super::words::{auth_clients, crl_check, crl_expired};
use crate::config::RevocationLists;
use crate::config::error::{ConfigError, Place};
use crate::config::model::{Config, ListenAddress, Listener};
use crate::config::raw::{ListenerSection, Settings, all_of};
use crate::config::setting::{Origin, Setting};
use crate::config::units::{listen_address, network, one_of, yes_no};
use crate::tls::{AuthClients, CrlCheck, CrlExpired, Protocols, TlsSettings};

impl Judge<'_> {
    pub(super) fn listeners(&mut self, settings: &mut Settings) -> Vec<Listener> {
        let flat = flat_listener(settings);
        let sections = std::mem::take(&mut settings.listener);
        let mut listeners: Vec<(Listener, Option<Origin>)> = Vec::new();
        if sections.is_empty() {
            if flat.listen.is_none() && self.only_tunnels {
                return Vec::new();
            }
            if flat.listen.is_none() {
                self.missing("`listen` is missing: say where to listen, such as listen = \"0.0.0.0:6380\"");
            }
            let origin = flat.listen.as_ref().map(|listen| listen.origin.clone());
            self.unused_tls(&flat, 0, false);
            listeners.extend(self.listener(flat).map(|listener| (listener, origin)));
        } else {
            if let Some(listen) = &flat.listen {
                self.error(
                    &listen.origin,
                    "`listen` and [[listener]] exclude each other: put the address in a section",
                );
            }
            let has_others = sections.len() > 1;
            for section in sections {
                let span = section.span();
                let section = inherit(section.into_inner(), &flat);
                self.unused_tls(&section, span.start, has_others);
                if section.listen.is_none() {
                    self.error(&Origin::File(span.clone()), "this [[listener]] has no `listen`");
                }
                let origin = section.listen.as_ref().map(|listen| listen.origin.clone());
                listeners.extend(self.listener(section).map(|listener| (listener, origin)));
            }
        }
        let mut addresses = BTreeSet::new();
        for (listener, origin) in &listeners {
            let is_any = matches!(&listener.address, ListenAddress::Tcp(address) if address.port() == 0);
            if let (false, false, Some(origin)) = (is_any, addresses.insert(&listener.address), origin) {
                self.error(origin, format!("{} is listened on twice", listener.address));
            }
        }
        listeners.into_iter().map(|(listener, _)| listener).collect()
    }

    /// Of every listener that asks for certificates.
    pub(super) fn revocation_lists(&mut self, settings: &mut Settings) -> Vec<RevocationLists> {
        let flat = flat_listener(settings);
        let sections = std::mem::take(&mut settings.listener).into_iter();
        let mut sections: Vec<_> = sections.map(|section| inherit(section.into_inner(), &flat)).collect();
        if sections.is_empty() {
            sections.push(flat);
        }
        let mut lists = Vec::new();
        for section in sections {
            let is_tls = self.or(section.tls, yes_no, true);
            let asks = self.or(section.tls_auth_clients, auth_clients, AuthClients::Yes) != AuthClients::No;
            let files = self.paths(section.tls_crl_file);
            let listen = section.listen.map(|listen| listen.text).unwrap_or_default();
            lists.extend((is_tls && asks).then_some(RevocationLists { listen, files }));
        }
        lists
    }

    /// What is written about TLS and certificates where there are none. What stands before `start`, the beginning of the
    /// section, is said for all listeners.
    fn unused_tls(&mut self, section: &ListenerSection, start: usize, has_others: bool) {
        let is_no = |setting: &&Setting| yes_no(&setting.text) == Ok(false);
        let one = |setting: &Option<Setting>| setting.iter().cloned().collect::<Vec<_>>();
        let list = |settings: &Option<Vec<Setting>>| settings.clone().unwrap_or_default();
        let asks_nobody = section.tls_auth_clients.as_ref().filter(is_no);
        let of_tls = [
            ("tls-auth-clients", if asks_nobody.is_some() { Vec::new() } else { one(&section.tls_auth_clients) }),
            ("tls-protocols", list(&section.tls_protocols)),
        ];
        let of_revocation = [
            ("tls-crl-file", list(&section.tls_crl_file)),
            ("crl-check", one(&section.crl_check)),
            ("crl-expired", one(&section.crl_expired)),
        ];
        let is_own = |origin: &Origin| matches!(origin, Origin::File(span) if span.start >= start);
        let (off, words, unused): (&Setting, &str, Vec<_>) = match (section.tls.as_ref().filter(is_no), asks_nobody) {
            (Some(off), _) => (off, "tls = \"no\"", of_tls.into_iter().chain(of_revocation).collect()),
            (None, Some(off)) => (off, "tls-auth-clients = \"no\"", of_revocation.into_iter().collect()),
            (None, None) => return self.unused_crl_words(section, &is_own),
        };
        for (key, settings) in unused {
            let Some(origin) = settings.first().map(|setting| &setting.origin) else { continue };
            let message = format!("`{key}` and {words} exclude each other: leave one out");
            let is_for_others = has_others && !is_own(origin) && !origin.is_above_the_file();
            match std::mem::discriminant(origin) == std::mem::discriminant(&off.origin) {
                true if is_own(origin) == is_own(&off.origin) => self.error(origin, message),
                _ if is_for_others => {}
                _ => self.warn(origin, format!("`{key}` changes nothing here, because of {words}")),
            }
        }
    }

    fn unused_crl_words(&mut self, section: &ListenerSection, is_own: &impl Fn(&Origin) -> bool) {
        if section.tls_crl_file.as_ref().is_some_and(|files| !files.is_empty()) {
            return;
        }
        for (key, setting) in [("crl-check", &section.crl_check), ("crl-expired", &section.crl_expired)] {
            if let Some(origin) = setting.as_ref().map(|setting| &setting.origin)
                && (is_own(origin) || origin.is_above_the_file())
            {
                self.warn(origin, format!("`{key}` changes nothing without tls-crl-file"));
            }
        }
    }

    fn listener(&mut self, section: ListenerSection) -> Option<Listener> {
        let place = section.listen.as_ref().map(|listen| listen.origin.clone());
        let every = self.host.every_address;
        let address = self.read(section.listen, |text| listen_address(text, every));
        let tls_wanted = self.or(section.tls, yes_no, true);
        let certificate = self.path(section.tls_cert_file);
        let key = self.path(section.tls_key_file);
        let ca_cert_file = self.path(section.tls_ca_cert_file);
        let files = TlsSettings {
            cert_file: certificate.clone().unwrap_or_default(),
            key_file: key.clone().unwrap_or_default(),
            crl_files: self.paths(section.tls_crl_file),
            auth_clients: self.or(section.tls_auth_clients, auth_clients, AuthClients::Yes),
            protocols: self.protocols(section.tls_protocols),
            crl_check: self.or(section.crl_check, crl_check, CrlCheck::Chain),
            crl_expired: self.or(section.crl_expired, crl_expired, CrlExpired::Refuse),
            ca_cert_file,
            strict_permissions: self.strict_permissions,
        };
        self.denied(section.allow.as_deref().unwrap_or_default(), section.deny.as_deref().unwrap_or_default());
        let allow = self.all(section.allow, network);
        let deny = self.all(section.deny, network);
        let proxy_protocol_from = self.all(section.proxy_protocol_from, network);
        let place = place?;
        if tls_wanted {
            if certificate.is_none() {
                self.error(&place, "`tls-cert-file` is missing; a plaintext listener takes tls = \"no\"");
            }
            if key.is_none() {
                self.error(&place, "`tls-key-file` is missing; a plaintext listener takes tls = \"no\"");
            }
            if files.ca_cert_file.is_none() && !files.crl_files.is_empty() {
                self.error(&place, "`tls-crl-file` is of no use without `tls-ca-cert-file`");
            }
        } else if address.as_ref().is_some_and(|address| !address.is_loopback()) {
            self.warn(&place, "passwords and data cross the network in plaintext here");
        }
        Some(Listener { address: address?, tls: tls_wanted.then_some(files), allow, deny, proxy_protocol_from })
    }

    /// `deny` is stronger than `allow`.
    fn denied(&mut self, allow: &[Setting], deny: &[Setting]) {
        let deny: Vec<_> = deny.iter().filter_map(|setting| network(&setting.text).ok()).collect();
        for setting in allow {
            let Ok(allowed) = network(&setting.text) else { continue };
            if let Some(denied) = deny.iter().find(|denied| denied.contains(&allowed)) {
                self.warn(
                    &setting.origin,
                    format!("{allowed} is not allowed, since deny has {denied}, which is stronger"),
                );
            }
        }
    }

    /// A network of balancers may say that it speaks for anybody, so it is no place for those whose address counts.
    pub(super) fn forged_addresses(&mut self, config: &Config) {
        let allow_from = config.users.values().flat_map(|settings| &settings.allow_from);
        for Listener { address, allow, proxy_protocol_from, .. } in &config.listeners {
            let counts = |balancers: &&IpNet| {
                balancers.prefix_len() == 0
                    || allow.iter().chain(allow_from.clone()).any(|net| is_wider(balancers, net))
            };
            for balancers in proxy_protocol_from.iter().filter(counts) {
                self.warnings.push(ConfigError::new(
                    Place::Whole,
                    format!(
                        "proxy-protocol-from of {address} has {balancers}, where there are not only balancers: whoever connects \
                         from there can announce any address, beyond allow, deny and allow-from"
                    ),
                ));
            }
        }
    }

    /// Redis writes the versions in one string, separated by blanks; a list is as good.
    pub(super) fn protocols(&mut self, settings: Option<Vec<Setting>>) -> Protocols {
        let Some(settings) = settings else { return Protocols { tls12: true, tls13: true } };
        let mut protocols = Protocols { tls12: false, tls13: false };
        for setting in &settings {
            for word in setting.text.split_ascii_whitespace() {
                match one_of(word, &[("TLSv1.2", false), ("TLSv1.3", true)]) {
                    Ok(true) => protocols.tls13 = true,
                    Ok(false) => protocols.tls12 = true,
                    Err(message) => self.error(&setting.origin, message),
                }
            }
        }
        if let (Protocols { tls12: false, tls13: false }, Some(first)) = (protocols, settings.first()) {
            self.error(&first.origin, "no TLS version is left");
        }
        protocols
    }
}

/// Holds the other, and is no single address.
fn is_wider(balancers: &IpNet, net: &IpNet) -> bool {
    balancers.contains(net) && balancers.prefix_len() < balancers.max_prefix_len()
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
        proxy_protocol_from: settings.proxy_protocol_from.take(),
    }
}

/// What a section leaves out, the flat keys say. Flags and variables stand above the file, its sections too. The address is
/// never inherited, and whom the flat keys deny no section lets in.
fn inherit(own: ListenerSection, flat: &ListenerSection) -> ListenerSection {
    ListenerSection {
        listen: own.listen,
        tls: one(own.tls, &flat.tls),
        tls_cert_file: one(own.tls_cert_file, &flat.tls_cert_file),
        tls_key_file: one(own.tls_key_file, &flat.tls_key_file),
        tls_ca_cert_file: one(own.tls_ca_cert_file, &flat.tls_ca_cert_file),
        tls_crl_file: list(own.tls_crl_file, &flat.tls_crl_file),
        tls_auth_clients: one(own.tls_auth_clients, &flat.tls_auth_clients),
        tls_protocols: list(own.tls_protocols, &flat.tls_protocols),
        crl_check: one(own.crl_check, &flat.crl_check),
        crl_expired: one(own.crl_expired, &flat.crl_expired),
        allow: list(own.allow, &flat.allow),
        deny: all_of(own.deny, flat.deny.clone()),
        proxy_protocol_from: list(own.proxy_protocol_from, &flat.proxy_protocol_from),
    }
}

fn one(own: Option<Setting>, flat: &Option<Setting>) -> Option<Setting> {
    let above = flat.as_ref().filter(|flat| flat.origin.is_above_the_file());
    above.cloned().or(own).or_else(|| flat.clone())
}

fn list(own: Option<Vec<Setting>>, flat: &Option<Vec<Setting>>) -> Option<Vec<Setting>> {
    let above = flat.as_ref().filter(|flat| flat.iter().any(|setting| setting.origin.is_above_the_file()));
    above.cloned().or(own).or_else(|| flat.clone())
}

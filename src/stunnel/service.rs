//! What becomes of one section: a listener, or a tunnel.

use std::path::Path;

use super::address::Address;
use super::conf::ConfLine;
use super::translation::{Became, Pinned, Table, Told, quoted};

/// A section, with what holds for all of them.
pub(super) struct Service<'a> {
    name: &'a str,
    lines: Vec<&'a ConfLine>,
    /// How many of these are its own; those before the first section are told of there.
    own: usize,
}

/// What became of a section.
#[derive(Default)]
pub(super) struct Translated {
    pub(super) text: String,
    pub(super) told: Vec<Told>,
    /// There are rules that say who is the user `default`.
    pub(super) has_rules: bool,
    /// These.
    pub(super) rules: String,
}

impl<'a> Service<'a> {
    pub(super) fn new(name: &'a str, own: &'a [ConfLine], defaults: &[&'a ConfLine]) -> Self {
        let is_said = |line: &&&ConfLine| own.iter().any(|other| other.is(&line.name));
        let mut lines: Vec<&ConfLine> = own.iter().collect();
        lines.extend(defaults.iter().filter(|line| !is_said(line)));
        Service { name, lines, own: own.len() }
    }

    pub(super) fn is_client(&self) -> bool {
        self.says("client", &["yes"])
    }

    /// The line that counts: the last.
    fn line(&self, name: &str) -> Option<&'a ConfLine> {
        self.lines.iter().rev().find(|line| line.is(name)).copied()
    }

    fn says(&self, name: &str, values: &[&str]) -> bool {
        self.line(name).is_some_and(|line| values.iter().any(|value| line.value.eq_ignore_ascii_case(value)))
    }

    /// Whether a peer without a certificate of a known CA is refused.
    fn verifies_chain(&self) -> bool {
        self.says("verifyChain", &["yes"]) || self.says("verify", &["2", "3"])
    }

    /// Whether only the very certificates of `CAfile` are accepted.
    fn verifies_peer(&self) -> bool {
        self.says("verifyPeer", &["yes"]) || self.says("verify", &["3", "4"])
    }

    /// Whether nobody is asked who has signed these.
    fn trusts_keys_alone(&self) -> bool {
        self.verifies_peer() && !self.verifies_chain()
    }
}

/// Translates a section. What holds for all of them goes to `top`.
pub(super) fn translate(
    service: &Service<'_>,
    top: &mut Table,
    pinned: &dyn Fn(&Path) -> Result<Vec<Pinned>, String>,
) -> Translated {
    let mut section = Section { service, top, table: Table::default(), connect: Vec::new(), rules: String::new() };
    let mut translated = Translated::default();
    for (position, line) in service.lines.iter().enumerate() {
        let became = section.option(line);
        // What stands before the sections is told of once for each: what becomes of it may differ.
        let mut told = Told::line(line, became);
        if position >= service.own {
            told.place = format!("{} [{}]", told.place, service.name);
        }
        translated.told.push(told);
    }
    let by_default = match service.is_client() {
        true => section.client_defaults(),
        false => section.server_defaults(pinned),
    };
    for (text, became) in by_default {
        translated.told.push(Told { place: format!("[{}]", service.name), text: text.to_owned(), became });
    }
    let heading = if service.is_client() { "tunnel" } else { "listener" };
    translated.text =
        format!("\n# [{}] of stunnel\n[[{heading}]]\n{}{}", service.name, section.table.text(), section.rules);
    translated.has_rules = !section.rules.is_empty();
    translated.rules = section.rules;
    translated
}

struct Section<'s, 't> {
    service: &'s Service<'s>,
    top: &'t mut Table,
    table: Table,
    /// Of a client.
    connect: Vec<String>,
    /// `[[certificate]]` sections.
    rules: String,
}

impl Section<'_, '_> {
    fn option(&mut self, line: &ConfLine) -> Became {
        let is_client = self.service.is_client();
        let value = line.value.as_str();
        let is_yes = value.eq_ignore_ascii_case("yes");
        match line.name.to_ascii_lowercase().as_str() {
            "client" if is_client => Became::Better("a [[tunnel]]"),
            "client" => Became::Better("a [[listener]]"),
            "accept" if is_client => self.tunnel_listen(value),
            "accept" => self.listen(value),
            "connect" if is_client => self.server(value),
            "connect" => self.upstream(value),
            "cert" | "key" if is_pkcs12(value) => Became::missing("PEM is needed: openssl pkcs12 -in FILE -nodes"),
            "cert" => self.table.take("tls-cert-file", quoted(value)),
            "key" => self.table.take("tls-key-file", quoted(value)),
            "cafile" if self.service.trusts_keys_alone() => match is_client {
                true => Became::missing("a CA has to vouch for the server, and its certificate be for its name"),
                false => Became::Better("each of its certificates is trusted by its key alone, see below"),
            },
            "cafile" => self.table.take("tls-ca-cert-file", quoted(value)),
            "crlfile" => self.table.take("tls-crl-file", quoted(value)),
            "capath" => Became::missing(format!("one file has all CAs: cat {value}/*.0, as tls-ca-cert-file")),
            "crlpath" => Became::missing(format!("one file has all CRLs: cat {value}/*.r0, as tls-crl-file")),
            "verify" | "verifychain" | "verifypeer" | "requirecert" => self.verification(),
            "checkhost" | "checkemail" | "checkip" => self.check(&line.name.to_ascii_lowercase(), value),
            "sni" if is_client => self.table.take("server-name", quoted(value)),
            "sslversion" | "sslversionmin" | "sslversionmax" => self.protocols(),
            "options" if NO_VERSION.iter().any(|(option, _)| value.eq_ignore_ascii_case(option)) => self.protocols(),
            "timeoutconnect" if is_client => self.table.take("connect-timeout", seconds(value)),
            "timeoutconnect" => self.top.take("upstream-connect-timeout", seconds(value)),
            "timeoutbusy" => self.top.take("handshake-timeout", seconds(value)),
            "timeoutclose" if value == "0" => {
                Became::Better("half-close-timeout is 5 s by default: owed replies are delivered")
            }
            "timeoutclose" => self.top.take("half-close-timeout", seconds(value)),
            "timeoutidle" if is_client => {
                Became::Better("tcp-keepalive finds out who has vanished; silence ends nothing unless timeout is set")
            }
            "timeoutidle" => self.top.take("timeout", seconds(value)),
            "failover" if value.eq_ignore_ascii_case("rr") => Became::Better("addresses are tried in their order"),
            "failover" | "delay" => {
                Became::Better("names are resolved at each connect, and addresses tried in their order")
            }
            "setgid" if is_client => self.table.take("listen-group", quoted(value)),
            "socket" if value.to_ascii_uppercase().contains("SO_KEEPALIVE") => {
                Became::Better("tcp-keepalive is on, and 300 s, by default")
            }
            "socket" if value.to_ascii_uppercase().contains("TCP_NODELAY") => Became::Better("always so"),
            "options" | "ciphers" | "ciphersuites" | "curves" | "securitylevel" | "renegotiation" => {
                Became::Better("rustls has only what is safe: no old suites, no renegotiation")
            }
            "sessioncachesize" | "sessioncachetimeout" | "sessionresume" | "ticketkeysecret" | "ticketmacsecret" => {
                Became::Better("sessions are resumed without being told to")
            }
            "reset" | "retry" | "stack" | "compression" | "logid" | "debug" | "service" => {
                Became::Better("there is nothing of the kind to set")
            }
            "libwrap" if !is_yes => Became::Better("there is nothing of the kind to set"),
            "libwrap" => Became::missing("write who may connect as allow and deny, in CIDR"),
            "psksecrets" | "pskidentity" => Became::missing(
                "there are no pre-shared keys: a certificate for each client (respgate cert client NAME)",
            ),
            "ocsp" | "ocspaia" | "ocspflag" | "ocspnonce" | "ocsprequire" => {
                Became::missing("revocation goes by CRLs: tls-crl-file")
            }
            "protocol" if value.eq_ignore_ascii_case("proxy") => {
                Became::missing("Redis reads no PROXY header; respgate's own log has the address")
            }
            "redirect" => Became::missing("who is refused is refused"),
            "sni" => {
                Became::missing("a listener has one certificate: give each name a port, or one certificate all names")
            }
            "local" | "transparent" => Became::missing("the source address is the system's choice"),
            "setuid" | "setgid" => Became::missing("only the group of a tunnel's socket can be set: listen-group"),
            "config" => Became::missing("there is no OpenSSL to configure"),
            _ => Became::missing("not an option that means something for Redis"),
        }
    }

    fn listen(&mut self, value: &str) -> Became {
        match Address::parse(value) {
            Some(Address::Unix(_)) => {
                Became::missing("clients of respgate come over TCP; on the same host they reach Redis itself")
            }
            Some(address @ Address::Host(..)) if address.ip().is_none() => {
                Became::missing(format!("{value}: write the address, names are not resolved"))
            }
            Some(address) => self.table.take("listen", quoted(&address.written())),
            None => Became::missing(format!("{value}: write the port as a number")),
        }
    }

    fn tunnel_listen(&mut self, value: &str) -> Became {
        match Address::parse(value) {
            Some(address @ Address::Port(_)) => {
                let listen = quoted(&address.or_loopback().written());
                self.table.set("listen", listen.clone());
                Became::Setting(format!(
                    "listen = {listen}: for this host alone. A unix socket would be for one group alone"
                ))
            }
            Some(address @ Address::Host(..)) => match address.ip() {
                Some(ip) if ip.is_loopback() => self.table.take("listen", quoted(&address.written())),
                Some(_) => {
                    self.table.set("unsafe-listen", "true".to_owned());
                    self.table.set("listen", quoted(&address.written()));
                    Became::Setting(format!(
                        "listen = {}, unsafe-listen = true: whoever reaches it has this certificate",
                        quoted(&address.written())
                    ))
                }
                None => Became::missing(format!("{value}: write the address, names are not resolved")),
            },
            Some(address @ Address::Unix(_)) => self.table.take("listen", quoted(&address.written())),
            None => Became::missing(format!("{value}: write the port as a number")),
        }
    }

    fn upstream(&mut self, value: &str) -> Became {
        match Address::parse(value).map(Address::or_loopback) {
            Some(address @ Address::Unix(_)) => self.take_upstream(&address),
            Some(address) if address.ip().is_some_and(|ip| ip.is_loopback()) => self.take_upstream(&address),
            Some(address) => Became::missing(format!(
                "respgate belongs on the host of Redis: {} is reached unencrypted (unsafe-upstream), and only by address",
                address.written()
            )),
            None => Became::missing(format!("{value}: write the port as a number")),
        }
    }

    fn take_upstream(&mut self, address: &Address) -> Became {
        match self.top.get("upstream") {
            Some(other) if other != quoted(&address.written()) => Became::missing(format!(
                "one process is in front of one Redis, here {other}: start another for this one"
            )),
            _ => self.top.take("upstream", quoted(&address.written())),
        }
    }

    fn server(&mut self, value: &str) -> Became {
        match Address::parse(value).map(Address::or_loopback) {
            Some(address @ Address::Host(..)) => {
                self.connect.push(quoted(&address.written()));
                Became::Setting(format!("connect = [{}]", self.connect.join(", ")))
            }
            Some(Address::Unix(_)) => Became::missing("a tunnel leads to another host"),
            _ => Became::missing(format!("{value}: write the port as a number")),
        }
    }

    fn verification(&mut self) -> Became {
        let service = self.service;
        if service.is_client() {
            return Became::Better("the server is always verified: by its CA, and by its name");
        }
        let asks = if service.verifies_chain() || service.verifies_peer() {
            "yes"
        } else if service.says("verify", &["1"]) {
            "optional"
        } else if service.says("requireCert", &["yes"]) {
            return Became::missing("a certificate that nobody verifies proves nothing: verifyChain");
        } else {
            "no"
        };
        self.table.take("tls-auth-clients", quoted(asks))
    }

    /// Of a server's clients, a rule; of a client's server, its name.
    fn check(&mut self, option: &str, value: &str) -> Became {
        if !self.service.is_client() && self.service.verifies_peer() {
            return Became::missing(
                "beside verifyPeer it holds in addition: leave out the certificates of CAfile that it refuses",
            );
        }
        match (option, self.service.is_client()) {
            ("checkhost" | "checkip", true) => match self.table.get("server-name") {
                Some(name) if name != quoted(value) => Became::missing(format!("one name is accepted, here {name}")),
                _ => self.table.take("server-name", quoted(value)),
            },
            ("checkhost", false) => {
                // OpenSSL looks at the CN where there is no name beside it, and so does `cn`.
                let (dns, cn) = (format!("dns = {}", quoted(value)), format!("cn = {}", quoted(value)));
                self.rule(&[&dns]);
                self.rule(&[&cn]);
                Became::Setting(format!("[[certificate]] {dns}, and one with {cn}, user = \"default\""))
            }
            ("checkemail", false) => {
                let email = format!("email = {}", quoted(value));
                self.rule(&[&email]);
                Became::Setting(format!("[[certificate]] {email}, user = \"default\""))
            }
            _ => Became::missing("no rule is about that: checkHost, or a rule with sha256"),
        }
    }

    fn rule(&mut self, fields: &[&str]) {
        let fields = fields.join("\n");
        self.rules.push_str(&format!("\n[[certificate]]\n{fields}\nuser = \"default\"\n"));
    }

    fn protocols(&mut self) -> Became {
        let service = self.service;
        let version = |name: &str| service.line(name).map(|line| line.value.to_ascii_lowercase());
        let is_off = |number: usize| {
            let is_option =
                |line: &&&ConfLine, option: &str| line.is("options") && line.value.eq_ignore_ascii_case(option);
            let by_option = |option: &str| service.lines.iter().any(|line| is_option(&line, option));
            NO_VERSION.iter().any(|(option, of)| *of == Some(number) && by_option(option))
        };
        let at = |name: &str, otherwise: usize| match version(name).as_deref() {
            None | Some("all") => otherwise,
            Some("tlsv1.3") => 3,
            Some("tlsv1.2") => 2,
            Some(_) => 0,
        };
        let only = version("sslVersion").filter(|version| version != "all").map(|_| at("sslVersion", 0));
        let (lowest, highest) = (only.unwrap_or(at("sslVersionMin", 2)), only.unwrap_or(at("sslVersionMax", 3)));
        let versions: Vec<String> = (2..=3)
            .filter(|number| (lowest..=highest).contains(number) && !is_off(*number))
            .map(|number| quoted(&format!("TLSv1.{number}")))
            .collect();
        match versions.len() {
            0 => Became::missing("TLS before 1.2 does not exist here"),
            2 => Became::Better("TLS 1.2 and 1.3, by default"),
            _ => self.table.take("tls-protocols", format!("[{}]", versions.join(", "))),
        }
    }

    fn server_defaults(
        &mut self,
        pinned: &dyn Fn(&Path) -> Result<Vec<Pinned>, String>,
    ) -> Vec<(&'static str, Became)> {
        let mut told = self.key_by_default();
        let service = self.service;
        for (option, setting) in [("accept", "listen"), ("connect", "upstream"), ("cert", "tls-cert-file")] {
            if service.line(option).is_none() {
                told.push(("it does not say", Became::missing(format!("{option}, which is {setting} here"))));
            }
        }
        let has_ca = self.table.get("tls-ca-cert-file").is_some();
        if self.table.get("tls-auth-clients").is_none() {
            self.table.set("tls-auth-clients", quoted("no"));
        }
        if self.table.get("tls-auth-clients") != Some("\"yes\"") {
            let became = "anybody would be the user default: write a password's hash into users.acl (respgate hash-password), \
                          or have certificates verified";
            told.push(("clients without a certificate get in", Became::missing(became)));
        } else if !has_ca && !service.trusts_keys_alone() && service.line("CApath").is_none() {
            told.push(("it does not say", Became::missing("CAfile, which is tls-ca-cert-file here")));
        }
        if service.verifies_peer() {
            told.push(("only certificates of CAfile get in", self.pins(pinned)));
        } else if self.rules.is_empty() && service.verifies_chain() {
            told.push(("whoever CAfile has signed gets in", self.authorities(pinned)));
        }
        told
    }

    /// A rule for all whom these CAs have signed.
    fn authorities(&mut self, pinned: &dyn Fn(&Path) -> Result<Vec<Pinned>, String>) -> Became {
        let Some(file) = self.service.line("CAfile") else { return Became::missing("CAfile names the CAs") };
        let certificates = match pinned(Path::new(&file.value)) {
            Ok(certificates) => certificates,
            Err(error) => return Became::missing(error),
        };
        let is_there = |issuer: &str| certificates.iter().any(|other| other.names.0 == issuer);
        if certificates.iter().any(|pinned| !is_there(&pinned.names.1)) {
            let why = "CAfile has a CA whose own CA is not in it: stunnel trusts nobody by it, here it would be an authority. Take it out";
            return Became::missing(why);
        }
        let keys = certificates.iter().filter(|pinned| pinned.is_ca).map(|pinned| quoted(&pinned.spki_sha256));
        let keys = format!("ca-spki-sha256 = [{}]", keys.collect::<Vec<_>>().join(", "));
        self.rule(&[&keys]);
        Became::Setting("[[certificate]] with ca-spki-sha256 of its CAs, user = \"default\"".to_owned())
    }

    /// A rule for each certificate that is named in CAfile. Where no CA is asked, its key is trusted by itself.
    fn pins(&mut self, pinned: &dyn Fn(&Path) -> Result<Vec<Pinned>, String>) -> Became {
        let Some(file) = self.service.line("CAfile") else { return Became::missing("CAfile names the certificates") };
        let certificates = match pinned(Path::new(&file.value)) {
            Ok(certificates) => certificates,
            Err(error) => return Became::missing(error),
        };
        if self.service.trusts_keys_alone() {
            for pinned in &certificates {
                self.rule(&[&format!("spki-sha256 = {}", quoted(&pinned.spki_sha256)), "trust = \"pin\""]);
            }
            return Became::Setting("a [[certificate]] with trust = \"pin\" for each, user = \"default\"".to_owned());
        }
        let peers: Vec<&Pinned> = certificates.iter().filter(|pinned| !pinned.is_ca).collect();
        for pinned in &peers {
            self.rule(&[&format!("sha256 = {}", quoted(&pinned.sha256))]);
        }
        match peers.is_empty() {
            true => Became::missing("CAfile has CAs alone: who else gets in has to have a rule with sha256"),
            false => Became::missing(
                "a [[certificate]] with sha256 for each; tls-ca-cert-file may hold CAs alone: take the others out",
            ),
        }
    }

    fn client_defaults(&mut self) -> Vec<(&'static str, Became)> {
        let mut told = if self.table.get("tls-cert-file").is_some() { self.key_by_default() } else { Vec::new() };
        for (option, setting) in [("accept", "listen"), ("connect", "connect"), ("CAfile", "tls-ca-cert-file")] {
            if self.service.line(option).is_none() && !(option == "CAfile" && self.service.line("CApath").is_some()) {
                told.push(("it does not say", Became::missing(format!("{option}, which is {setting} here"))));
            }
        }
        if !self.connect.is_empty() {
            self.table.set("connect", format!("[{}]", self.connect.join(", ")));
        }
        if self.table.get("server-name").is_none() {
            let why = "the server's certificate has to be for the host of connect, or for a server-name";
            told.push(("any name of the server is accepted", Became::Better(why)));
        }
        told
    }

    fn key_by_default(&mut self) -> Vec<(&'static str, Became)> {
        let Some(cert) = self.table.get("tls-cert-file").map(str::to_owned) else { return Vec::new() };
        if self.table.get("tls-key-file").is_some() || self.service.line("key").is_some() {
            return Vec::new();
        }
        vec![("key is the file of cert", self.table.take("tls-key-file", cert))]
    }
}

/// Options of OpenSSL that take a version away, as what follows `TLSv1.`; older ones are not there anyway.
const NO_VERSION: [(&str, Option<usize>); 6] = [
    ("NO_SSLv2", None),
    ("NO_SSLv3", None),
    ("NO_TLSv1", None),
    ("NO_TLSv1_1", None),
    ("NO_TLSv1_2", Some(2)),
    ("NO_TLSv1_3", Some(3)),
];

fn is_pkcs12(path: &str) -> bool {
    let path = Path::new(path);
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case("p12") || end.eq_ignore_ascii_case("pfx"))
}

/// Seconds, in both of them.
fn seconds(value: &str) -> String {
    match value.parse::<u64>() {
        Ok(number) => number.to_string(),
        Err(_) => quoted(value),
    }
}

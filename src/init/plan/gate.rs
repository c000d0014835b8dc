//! respgate's configuration and users, and what its clients are told.

use std::path::Path;

use super::quoting::{toml_list, toml_string};
use super::redis::{Cutover, FormerUser};
use super::{Client, Fault, PORT, Place, Platform, Rights, UPSTREAM_USER, Wanted, server_names};
use crate::config::METRICS_PORT;
use crate::preset::{self, Lifted};

/// Files of these names are somebody else's, or users.
const RESERVED: [&str; 4] = ["ca", "default", "server", UPSTREAM_USER];

/// Who may do what.
pub(super) struct Users {
    /// The ACL file.
    pub(super) text: String,
    /// Each client, and what it may do, in a few words.
    pub(super) clients: Vec<(String, String)>,
    /// What has to be known or set in applications.
    pub(super) notes: Vec<String>,
    exempt: Vec<String>,
    scripting: Vec<String>,
}

/// The users that are asked for, and those that Redis has.
pub(super) fn users(wanted: &Wanted, cutover: Option<&Cutover>, place: &Place) -> Result<Users, Vec<Fault>> {
    let mut users = Users {
        text: format!(
            "# Users and what they may do. Each comes with a certificate of this name, and needs no password.\n\
             # Made by `respgate init` on {}; `respgate acl preset` has lines for others.\n\nuser default off\n",
            place.today
        ),
        clients: Vec::new(),
        notes: Vec::new(),
        exempt: Vec::new(),
        scripting: Vec::new(),
    };
    let former = cutover.map(|cutover| cutover.users.as_slice()).unwrap_or_default();
    let mut faults = Vec::new();
    for (index, client) in wanted.clients.iter().enumerate() {
        let is_twice = wanted.clients[..index].iter().any(|earlier| earlier.name == client.name);
        let added = match client.name.as_str() {
            name if is_twice => Err(Fault::TwiceNamed(name.to_owned())),
            name if RESERVED.contains(&name) => Err(Fault::Reserved(name.to_owned())),
            _ => users.add(client, former),
        };
        faults.extend(added.err());
    }
    let is_new = |user: &&FormerUser| user.is_on && wanted.clients.iter().all(|client| client.name != user.name);
    for user in former.iter().filter(is_new) {
        users.take_over(user);
        users
            .notes
            .push(format!("{0}: has no certificate yet: --client {0}, or `respgate cert client {0}`", user.name));
    }
    if faults.is_empty() { Ok(users) } else { Err(faults) }
}

impl Users {
    fn add(&mut self, client: &Client, former: &[FormerUser]) -> Result<(), Fault> {
        let name = &client.name;
        let known = former.iter().find(|user| user.name == *name);
        match &client.rights {
            Rights::AsAtRedis => {
                let user = known.ok_or_else(|| Fault::NoSuchUser(name.clone()))?;
                if !user.is_on {
                    return Err(Fault::SwitchedOff(name.clone(), user.place.clone()));
                }
                self.take_over(user);
                self.clients.push((name.clone(), format!("as at Redis: {}", keys(&user.line))));
            }
            Rights::Preset(preset, prefix) => {
                let grant = preset.grant(name, prefix.as_deref());
                let grant = grant.map_err(|error| Fault::Preset(name.clone(), error))?;
                self.text += &format!("\n# {name}: {} (respgate acl preset {}).\n", preset.about, preset.name);
                for note in &grant.notes {
                    self.text += &format!("# {note}\n");
                    self.notes.push(format!("{name}: {note}"));
                }
                self.text += &format!("{}\n", grant.line);
                let lifted = match grant.lifted {
                    Lifted::Nothing => "",
                    Lifted::Scripting => "; may run scripts",
                    Lifted::Everything => "; nothing is blocked",
                };
                self.clients.push((name.clone(), format!("{}: {}{lifted}", preset.name, keys(&grant.line))));
                match grant.lifted {
                    Lifted::Nothing => {}
                    Lifted::Scripting => self.scripting.push(name.clone()),
                    Lifted::Everything => self.exempt.push(name.clone()),
                }
                if let Some(user) = known {
                    self.notes
                        .push(format!("{name}: has another line at Redis ({}), which counts no more", user.place));
                }
            }
        }
        Ok(())
    }

    fn take_over(&mut self, user: &FormerUser) {
        self.text += &format!("\n# As Redis has it ({}), without passwords.\n{}\n", user.place, user.line);
    }
}

/// The patterns of keys in a line.
fn keys(line: &str) -> String {
    let patterns: Vec<&str> = line.split(' ').filter(|rule| rule.starts_with(['~', '%'])).collect();
    if patterns.is_empty() { "no keys".to_owned() } else { patterns.join(" ") }
}

/// The configuration.
pub(super) fn settings(
    wanted: &Wanted,
    place: &Place,
    socket: &Path,
    cutover: Option<&Cutover>,
    users: &Users,
) -> Result<String, Vec<Fault>> {
    let mut lines = vec![
        format!("# Made by `respgate init` on {}. Relative paths start at this file.", place.today),
        String::new(),
        format!("listen = {}", toml_string(&listen(wanted))),
    ];
    if !wanted.allow.is_empty() {
        lines.push(format!("allow = {}", toml_list(wanted.allow.iter().map(ToString::to_string))));
    }
    lines.push(format!("upstream = {}", toml_string(&format!("unix:{}", socket.display()))));
    lines.extend(trust(wanted.platform));
    if cutover.is_some_and(|cutover| cutover.has_passwords) {
        lines.extend([
            String::new(),
            format!(
                "# {}: clients of Redis send a password today. It is answered with OK and not looked at, until this",
                place.today
            ),
            "# line is taken away, once the log has `outcome=ignored` no more.".to_owned(),
            "stray-auth = \"ignore\"".to_owned(),
        ]);
    }
    lines.push(String::new());
    lines.extend(of_platform(wanted.platform));
    if wanted.platform != Platform::Kubernetes {
        lines.extend(["", "[upstream-auth]"].map(str::to_owned));
        lines.push(format!("user = {}", toml_string(UPSTREAM_USER)));
        lines.push("password-file = \"redis-password\"".to_owned());
    }
    let block = [("exempt-users", &users.exempt), ("scripting-users", &users.scripting)];
    if block.iter().any(|(_, names)| !names.is_empty()) {
        lines.extend(["", "[block]"].map(str::to_owned));
        let lists = block.iter().filter(|(_, names)| !names.is_empty());
        lines.extend(lists.map(|(key, names)| format!("{key} = {}", toml_list(names.iter().cloned()))));
    }
    for name in &users.exempt {
        lines.extend([
            String::new(),
            "[[certificate]]".to_owned(),
            format!("cn = {}", toml_string(name)),
            format!("user = {}", toml_string(name)),
            String::new(),
            format!("[user.{}]", preset::key(name)),
            "certificate = \"required\"".to_owned(),
        ]);
    }
    lines.extend(renames(cutover)?);
    lines.push(String::new());
    Ok(lines.join("\n"))
}

/// In a container it is all there is.
fn listen(wanted: &Wanted) -> String {
    match wanted.platform {
        Platform::Bare | Platform::Systemd => wanted.address().to_string(),
        Platform::Compose => format!("0.0.0.0:{PORT}"),
        Platform::Kubernetes => format!(":{PORT}"),
    }
}

fn trust(platform: Platform) -> Vec<String> {
    let folder = if platform == Platform::Kubernetes { "../tls/" } else { "" };
    let files = [("cert", "server.crt"), ("key", "server.key"), ("ca-cert", "ca.crt"), ("crl", "ca.crl")];
    let files = files.map(|(kind, file)| format!("tls-{kind}-file = \"{folder}{file}\""));
    let users = ["tls-auth-clients-user = \"CN\"", "aclfile = \"users.acl\""].map(str::to_owned);
    [String::new()].into_iter().chain(files).chain(users).collect()
}

fn of_platform(platform: Platform) -> Vec<String> {
    let metrics = |address: &str| format!("metrics-listen = \"{address}:{METRICS_PORT}\"");
    let (before, metrics, behind): (&[&str], _, &[&str]) = match platform {
        Platform::Bare => (
            &["admin-listen = \"../run/respgate.sock\"", "audit-file = \"../log/audit.log\""],
            Some(metrics("127.0.0.1")),
            &[],
        ),
        Platform::Systemd => (&["audit-file = \"/var/log/respgate/audit.log\""], Some(metrics("127.0.0.1")), &[]),
        Platform::Compose => (&["# Standard output: nothing here may be written to.", "audit-file = \"-\""], None, &[]),
        Platform::Kubernetes => (
            &[
                "# Probes come from the node: from its address, or, depending on the network plugin, from one that it has in the",
                "# network of the Pods. Put yours here: `kubectl get nodes -o jsonpath='{.items[*].spec.podCIDR}'`.",
            ],
            Some(metrics("")),
            &[
                "metrics-allow = [\"${NODE_IP:-127.0.0.1}\", \"10.244.0.0/16\"]",
                "",
                "log-format = \"json\"",
                "# With shutdown-delay less than terminationGracePeriodSeconds.",
                "shutdown-timeout = \"5s\"",
            ],
        ),
    };
    let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    owned(before).into_iter().chain(metrics).chain(owned(behind)).collect()
}

fn renames(cutover: Option<&Cutover>) -> Result<Vec<String>, Vec<Fault>> {
    let renames = cutover.map(|cutover| cutover.renames.as_slice()).unwrap_or_default();
    if renames.is_empty() {
        return Ok(Vec::new());
    }
    let mut lines = ["", "# What redis.conf calls them.", "[rename]"].map(str::to_owned).to_vec();
    let mut faults = Vec::new();
    for (original, name) in renames {
        match str::from_utf8(name) {
            Ok(name) => lines.push(format!("{} = {}", toml_string(original), toml_string(name))),
            Err(_) => faults.push(Fault::Rename(original.clone())),
        }
    }
    if faults.is_empty() { Ok(lines) } else { Err(faults) }
}

/// Where a client finds Redis; the files that it names are beside it.
pub(super) fn url(wanted: &Wanted, client: &str) -> String {
    let names = server_names(wanted);
    let host = names.first().map_or("localhost", String::as_str);
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let port = wanted.address().port();
    let files = format!("ssl_ca_certs=ca.crt&ssl_certfile={client}.crt&ssl_keyfile={client}.key");
    format!("rediss://{host}:{port}/0?ssl_cert_reqs=required&{files}\n")
}

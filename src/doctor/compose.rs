//! The ports that a compose file publishes, with the lines where it says so.

use std::collections::BTreeMap;
use std::path::Path;

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};

use super::{Finding, Position, judge, kind};
use crate::files::Files;

/// A service of a compose file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Service {
    /// What it is called.
    pub name: String,
    /// Its image; empty where it is built.
    pub image: String,
    /// The words of its command.
    pub command: Vec<String>,
    /// Where it says `network_mode: host`.
    pub host_network: Option<Spot>,
    /// What it publishes.
    pub ports: Vec<Published>,
    /// What of it is not understood.
    pub unread: Vec<Unread>,
}

/// A port, or a range of ports, that is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Where it says so.
    pub spot: Spot,
    /// As it is written, in short form.
    pub text: String,
    /// The address of the host; `None` is every address.
    pub host: Option<String>,
    /// The ports of the host, from and to; `None` is one that nobody has chosen.
    pub published: Option<(u16, u16)>,
    /// The ports in the container, from and to.
    pub target: (u16, u16),
}

/// A line, and what it would be if the port were published on loopback only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// From 1.
    pub line: usize,
    /// That line, and where it goes.
    pub closed: Option<(String, Position)>,
}

/// Something that is not understood, so that it may publish anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// From 1.
    pub line: usize,
    /// What it is.
    pub what: String,
}

/// No `extends` goes further.
const MOST_EXTENDS: usize = 8;

/// The services of a compose file. Variables have the values of `variables`, or their defaults.
///
/// # Errors
/// It is no YAML, or no compose file.
pub fn read(text: &str, variables: &BTreeMap<String, String>) -> Result<Vec<Service>, String> {
    let documents = MarkedYaml::load_from_str(text).map_err(|error| error.to_string())?;
    let root = documents.first().ok_or("it is empty")?;
    let services = field(root, "services").ok_or("it has no services")?;
    let YamlData::Mapping(entries) = &services.data else { return Err("its services are no mapping".to_owned()) };
    let reader = Reader { lines: text.lines().collect(), services, variables };
    let mut found: Vec<Service> = entries.iter().map(|(name, node)| reader.service(text_of(name), node)).collect();
    if let (Some(node), Some(first)) = (field(root, "include"), found.first_mut()) {
        first.unread.push(Unread { line: node.span.start.line(), what: "include: other files".to_owned() });
    }
    Ok(found)
}

/// The configuration of Docker.
const DOCKER: &str = "/etc/docker/daemon.json";

/// Whether Docker leaves published ports to a program of its own, which is then who connects: where it may not write rules
/// for the kernel. Without a configuration it may.
fn hides_clients(daemon: Option<&str>) -> bool {
    let document = daemon.and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
    document.is_some_and(|document| document["iptables"] == false)
}

/// Reads a compose file with the variables of the `.env` beside it, and judges it.
pub fn look(path: &Path) -> Vec<Finding> {
    let files = Files::default();
    let text = |path: &Path| files.read(path).and_then(|content| content.text().map(str::to_owned));
    // Mostly there is none.
    let variables = text(&path.with_file_name(".env")).map(|text| assignments(&text)).unwrap_or_default();
    let services = text(path).map_err(|error| error.to_string()).and_then(|text| read(&text, &variables));
    match services {
        Ok(services) => judge::compose(path, &services, hides_clients(text(Path::new(DOCKER)).ok().as_deref())),
        Err(why) => vec![Finding::unknown(&kind::COMPOSE_PUBLISHED, format!("{}: {why}", path.display()))],
    }
}

/// `NAME=value` lines.
fn assignments(text: &str) -> BTreeMap<String, String> {
    let assignment = |line: &str| {
        let (name, value) = line.trim().strip_prefix("export ").unwrap_or(line.trim()).split_once('=')?;
        let value = value.trim().trim_matches(['"', '\'']);
        (!name.starts_with('#')).then(|| (name.trim().to_owned(), value.to_owned()))
    };
    text.lines().filter_map(assignment).collect()
}

struct Reader<'a> {
    lines: Vec<&'a str>,
    services: &'a MarkedYaml<'a>,
    variables: &'a BTreeMap<String, String>,
}

impl Reader<'_> {
    fn service(&self, name: Option<String>, node: &MarkedYaml<'_>) -> Service {
        let mut service = Service { name: name.unwrap_or_default(), ..Service::default() };
        self.collect(node, &mut service, 0);
        service
    }

    /// What a service says, and what it takes over from another: ports of both are published.
    fn collect(&self, node: &MarkedYaml<'_>, service: &mut Service, depth: usize) {
        if service.image.is_empty() {
            service.image = field(node, "image").and_then(text_of).unwrap_or_default();
        }
        if service.command.is_empty() {
            service.command = field(node, "command").map(words_of).unwrap_or_default();
        }
        if let Some(mode) = field(node, "network_mode")
            && service.host_network.is_none()
            && text_of(mode).as_deref() == Some("host")
        {
            service.host_network = Some(self.spot(mode, "none"));
        }
        match field(node, "ports").map(|ports| (&ports.data, ports)) {
            None | Some((YamlData::Value(Scalar::Null), _)) => {}
            Some((YamlData::Sequence(entries), _)) => entries.iter().for_each(|entry| self.port(entry, service)),
            Some((_, ports)) => service.unread.push(unread(ports, "ports that are no list")),
        }
        if let Some(extends) = field(node, "extends") {
            self.extend(extends, service, depth);
        }
    }

    fn extend(&self, extends: &MarkedYaml<'_>, service: &mut Service, depth: usize) {
        let name = text_of(extends).or_else(|| field(extends, "service").and_then(text_of));
        let is_elsewhere = field(extends, "file").is_some();
        match name.as_deref().and_then(|name| field(self.services, name)) {
            Some(base) if !is_elsewhere && depth < MOST_EXTENDS => self.collect(base, service, depth + 1),
            _ => service.unread.push(unread(extends, "extends: a service that is not in this file")),
        }
    }

    fn port(&self, entry: &MarkedYaml<'_>, service: &mut Service) {
        let read = match &entry.data {
            YamlData::Mapping(_) => self.long(entry),
            _ => text_of(entry)
                .ok_or_else(|| "a port that is not understood".to_owned())
                .and_then(|text| self.short(entry, &text)),
        };
        match read {
            Ok(published) => service.ports.extend(published),
            Err(what) => service.unread.push(unread(entry, &what)),
        }
    }

    /// `[[HOST:]PUBLISHED:]TARGET[/PROTOCOL]`. `None` where it is not TCP.
    fn short(&self, entry: &MarkedYaml<'_>, text: &str) -> Result<Option<Published>, String> {
        let value = self.substituted(text)?;
        let (rest, protocol) = value.split_once('/').unwrap_or((&value, "tcp"));
        if protocol != "tcp" {
            return Ok(None);
        }
        let (rest, target) = match rest.rsplit_once(':') {
            Some((rest, target)) => (Some(rest), target),
            None => (None, rest),
        };
        let (host, published) = match rest.map(|rest| rest.rsplit_once(':').unwrap_or(("", rest))) {
            Some((host, published)) => (host, published),
            None => ("", ""),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let closed = match published {
            "" => format!("127.0.0.1::{target}"),
            published => format!("127.0.0.1:{published}:{target}"),
        };
        Ok(Some(Published {
            spot: self.spot(entry, &format!("\"{closed}\"")),
            text: text.to_owned(),
            host: Some(host.to_owned()).filter(|host| !host.is_empty()),
            published: if published.is_empty() { None } else { Some(range(published)?) },
            target: range(target)?,
        }))
    }

    /// `target`, `published`, `host_ip`, `protocol`. `None` where it is not TCP.
    fn long(&self, entry: &MarkedYaml<'_>) -> Result<Option<Published>, String> {
        let value = |key| field(entry, key).and_then(text_of).map(|text| self.substituted(&text)).transpose();
        if value("protocol")?.is_some_and(|protocol| protocol != "tcp") {
            return Ok(None);
        }
        let host = value("host_ip")?.filter(|host| !host.is_empty());
        let published = value("published")?.filter(|published| !published.is_empty());
        let target = value("target")?.ok_or("a port without a target")?;
        let text =
            [host.as_deref(), published.as_deref(), Some(&target)].into_iter().flatten().collect::<Vec<_>>().join(":");
        let spot = match (field(entry, "host_ip"), key_of(entry, "target")) {
            (Some(node), _) => self.spot(node, "127.0.0.1"),
            (None, Some(key)) => self.with_host(key),
            (None, None) => Spot { line: entry.span.start.line(), closed: None },
        };
        let published = published.as_deref().map(range).transpose()?;
        Ok(Some(Published { spot, text, host, published, target: range(&target)? }))
    }

    /// The line of a value, with another in its place. Without its line, or spread over several, there is no such line.
    fn spot(&self, node: &MarkedYaml<'_>, instead: &str) -> Spot {
        let start = node.span.start;
        let closed = self.lines.get(start.line().wrapping_sub(1)).and_then(|line| {
            let before: String = line.chars().take(start.col()).collect();
            let rest: String = line.chars().skip(start.col()).collect();
            let after = after_scalar(&rest, &text_of(node)?)?;
            Some((format!("{before}{instead}{after}"), Position::Instead(start.line())))
        });
        Spot { line: start.line(), closed }
    }

    /// A `host_ip` beside the key `target`: on a line of its own, or in the braces where it stands.
    fn with_host(&self, key: &MarkedYaml<'_>) -> Spot {
        let start = key.span.start;
        let closed = self.lines.get(start.line().wrapping_sub(1)).map(|line| {
            let before: String = line.chars().take(start.col()).collect();
            let after: String = line.chars().skip(start.col()).collect();
            match before.contains('{') {
                true => (format!("{before}host_ip: 127.0.0.1, {after}"), Position::Instead(start.line())),
                false => (format!("{}host_ip: 127.0.0.1", " ".repeat(start.col())), Position::After(start.line())),
            }
        });
        Spot { line: start.line(), closed }
    }

    /// With the values of variables: `$X`, `${X}`, `${X:-default}`, `${X-default}`.
    fn substituted(&self, text: &str) -> Result<String, String> {
        let mut whole = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            whole.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                whole.push('$');
                rest = after;
                continue;
            }
            let (expression, after) = match after.strip_prefix('{') {
                Some(after) => after.split_once('}').ok_or_else(|| format!("{text}: a brace is open"))?,
                None => {
                    let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
                    after.split_at(end)
                }
            };
            whole.push_str(
                &self.variable(expression).ok_or_else(|| format!("{text}: its variables have no value here"))?,
            );
            rest = after;
        }
        whole.push_str(rest);
        Ok(whole)
    }

    fn variable(&self, expression: &str) -> Option<String> {
        let end = expression.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(expression.len());
        let (name, operator) = expression.split_at(end);
        let value = self.variables.get(name).cloned();
        match operator {
            "" => value,
            _ => match operator.strip_prefix(":-") {
                Some(default) => value.filter(|value| !value.is_empty()).or_else(|| Some(default.to_owned())),
                None if operator.starts_with(":?") || operator.starts_with('?') => value,
                None => value.or_else(|| operator.strip_prefix('-').map(str::to_owned)),
            },
        }
    }
}

/// What follows a scalar on its line: the span that the library tells goes on to the next token.
fn after_scalar<'a>(rest: &'a str, value: &str) -> Option<&'a str> {
    match rest.chars().next()? {
        quote @ ('"' | '\'') => rest.get(1..)?.split_once(quote).map(|(_, after)| after),
        _ => rest.strip_prefix(value),
    }
}

/// The value of a key, also of one that is merged in.
fn field<'a>(node: &'a MarkedYaml<'a>, key: &str) -> Option<&'a MarkedYaml<'a>> {
    let YamlData::Mapping(entries) = &node.data else { return None };
    let of =
        |wanted: &str| entries.iter().find(|(key, _)| text_of(key).as_deref() == Some(wanted)).map(|(_, value)| value);
    of(key).or_else(|| match of("<<") {
        Some(merged) => match &merged.data {
            YamlData::Sequence(all) => all.iter().find_map(|one| field(one, key)),
            _ => field(merged, key),
        },
        None => None,
    })
}

/// A key, with its place.
fn key_of<'a>(node: &'a MarkedYaml<'a>, wanted: &str) -> Option<&'a MarkedYaml<'a>> {
    let YamlData::Mapping(entries) = &node.data else { return None };
    entries.keys().find(|key| text_of(key).as_deref() == Some(wanted))
}

fn text_of(node: &MarkedYaml<'_>) -> Option<String> {
    match &node.data {
        YamlData::Value(Scalar::String(text)) => Some(text.to_string()),
        YamlData::Value(Scalar::Integer(number)) => Some(number.to_string()),
        _ => None,
    }
}

/// A command: one text or a list of words.
fn words_of(node: &MarkedYaml<'_>) -> Vec<String> {
    match &node.data {
        YamlData::Sequence(words) => words.iter().filter_map(text_of).collect(),
        _ => text_of(node).map(|text| text.split_whitespace().map(str::to_owned).collect()).unwrap_or_default(),
    }
}

fn unread(node: &MarkedYaml<'_>, what: &str) -> Unread {
    Unread { line: node.span.start.line(), what: what.to_owned() }
}

/// `6379` or `6370-6380`.
fn range(text: &str) -> Result<(u16, u16), String> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    match (from.parse(), to.parse()) {
        (Ok(from), Ok(to)) if from <= to => Ok((from, to)),
        _ => Err(format!("{text} is no port")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn services(text: &str) -> Vec<Service> {
        read(text, &BTreeMap::new()).unwrap()
    }

    type Range = (u16, u16);

    /// The ports of a compose file with these lines in the service `redis`, as host, published, target and line.
    fn ports(lines: &str) -> Vec<(Option<String>, Option<Range>, Range, usize)> {
        let services = services(&format!("services:\n  redis:\n    image: redis:7\n    ports:\n{lines}"));
        assert_eq!(services[0].unread, []);
        let ports = services[0].ports.iter();
        ports.map(|port| (port.host.clone(), port.published, port.target, port.spot.line)).collect()
    }

    const ONE: Range = (6379, 6379);

    #[test]
    fn every_form_is_read_with_its_line() {
        for (text, host, published, target) in [
            ("      - \"6379:6379\"\n", None, Some(ONE), ONE),
            ("      - 6379:6379\n", None, Some(ONE), ONE),
            ("      - 6379\n", None, None, ONE),
            ("      - '7000:6379/tcp'\n", None, Some((7000, 7000)), ONE),
            ("      - 127.0.0.1:6379:6379\n", Some("127.0.0.1"), Some(ONE), ONE),
            ("      - 127.0.0.1::6379\n", Some("127.0.0.1"), None, ONE),
            ("      - \"[::1]:6379:6379\"\n", Some("::1"), Some(ONE), ONE),
            ("      - 6370-6380:6370-6380\n", None, Some((6370, 6380)), (6370, 6380)),
            ("      - \"${BIND:-0.0.0.0}:${PORT-6379}:6379\"\n", Some("0.0.0.0"), Some(ONE), ONE),
            ("      - target: 6379\n        published: \"6379\"\n", None, Some(ONE), ONE),
            ("      - {target: 6379, published: 6379, host_ip: 127.0.0.1}\n", Some("127.0.0.1"), Some(ONE), ONE),
        ] {
            assert_eq!(ports(text), [(host.map(str::to_owned), published, target, 5)], "{text}");
        }
        assert_eq!(ports("      - 6379:6379/udp\n      - {target: 6379, protocol: udp}\n"), []);
    }

    #[test]
    fn the_line_that_closes_a_port_is_the_line_with_loopback_in_it() {
        for (lines, number, closed) in [
            ("      - \"6379:6379\"   # for now\n", 5, "      - \"127.0.0.1:6379:6379\"   # for now"),
            ("      - 0.0.0.0:7000:6379\n", 5, "      - \"127.0.0.1:7000:6379\""),
            ("      - 6379\n", 5, "      - \"127.0.0.1::6379\""),
            (
                "      - {target: 6379, published: 6379}\n",
                5,
                "      - {host_ip: 127.0.0.1, target: 6379, published: 6379}",
            ),
            ("      - target: 6379\n        host_ip: 0.0.0.0\n", 6, "        host_ip: 127.0.0.1"),
        ] {
            let text = format!("services:\n  redis:\n    image: redis:7\n    ports:\n{lines}");
            let spot = &services(&text)[0].ports[0].spot;
            assert_eq!(spot.closed, Some((closed.to_owned(), Position::Instead(number))), "{lines}");
        }
        let text = "services:\n  redis:\n    ports:\n      - published: 6379\n        target: 6379\n";
        let wanted = ("        host_ip: 127.0.0.1".to_owned(), Position::After(5));
        assert_eq!(services(text)[0].ports[0].spot.closed, Some(wanted));
        let text = "services: {redis: {ports: [\"6379:6379\", 6380]}}\n";
        let closed = services(text)[0].ports[0].spot.closed.clone().unwrap().0;
        assert_eq!(closed, "services: {redis: {ports: [\"127.0.0.1:6379:6379\", 6380]}}");
    }

    #[test]
    fn anchors_merges_and_extends_are_followed() {
        let text = "x-ports: &ports\n  - 6379:6379\nx-base: &base\n  image: redis:7\n  ports: *ports\nservices:\n  a:\n    <<: *base\n  \
                    b:\n    extends:\n      service: a\n    ports:\n      - 7000:6379\n  c:\n    extends: b\n";
        let services = services(text);
        let lines = |index: usize| services[index].ports.iter().map(|port| port.spot.line).collect::<Vec<_>>();
        assert_eq!([lines(0), lines(1), lines(2)], [vec![2], vec![13, 2], vec![13, 2]]);
        assert!(services.iter().all(|service| service.image == "redis:7" && service.unread.is_empty()), "{services:?}");
    }

    #[test]
    fn what_is_not_understood_is_said_with_its_line() {
        for (lines, line) in [
            ("    ports:\n      - \"${PORT}:6379\"\n", 4),
            ("    ports:\n      - \"${PORT:?say one}:6379\"\n", 4),
            ("    ports:\n      - a:b\n", 4),
            ("    ports:\n      - [6379]\n", 4),
            ("    ports:\n      - published: 6379\n", 4),
            ("    ports: all\n", 3),
            ("    extends:\n      file: base.yaml\n      service: redis\n", 4),
            ("    extends: nobody\n", 3),
            ("    extends: redis\n", 3),
        ] {
            let services = services(&format!("services:\n  redis:\n{lines}"));
            assert_eq!(services[0].unread.iter().map(|unread| unread.line).collect::<Vec<_>>(), [line], "{lines}");
        }
        let included = services("include:\n  - other.yaml\nservices:\n  redis:\n    image: redis:7\n");
        assert_eq!(included[0].unread[0].line, 2);
        for text in ["", "a: [", "version: 3", "services: []"] {
            assert!(read(text, &BTreeMap::new()).is_err(), "{text}");
        }
    }

    #[test]
    fn variables_have_the_values_that_are_known() {
        let variables = [("HOST".to_owned(), "127.0.0.1".to_owned()), ("EMPTY".to_owned(), String::new())].into();
        let host = |text: &str| {
            let text = format!("services:\n  redis:\n    ports:\n      - \"{text}:6379:6379\"\n");
            read(&text, &variables).unwrap()[0].ports.first().map(|port| port.host.clone())
        };
        assert_eq!(host("${HOST:-0.0.0.0}"), Some(Some("127.0.0.1".to_owned())));
        assert_eq!(host("$HOST"), Some(Some("127.0.0.1".to_owned())));
        assert_eq!(host("${EMPTY:-192.0.2.1}"), Some(Some("192.0.2.1".to_owned())));
        assert_eq!(host("${EMPTY-192.0.2.1}"), Some(None));
        assert_eq!(host("${NOTHING}"), None);
    }

    #[test]
    fn docker_hides_clients_where_it_may_write_no_rules() {
        assert!(hides_clients(Some("{\"iptables\": false}")));
        for text in [None, Some("{}"), Some("{\"iptables\": true}"), Some("")] {
            assert!(!hides_clients(text), "{text:?}");
        }
    }

    #[test]
    fn the_network_of_the_host_is_seen() {
        let text =
            "services:\n  redis:\n    image: redis\n    network_mode: host\n    command: [redis-server, --port, 0]\n";
        let services = services(text);
        let wanted = Spot { line: 4, closed: Some(("    network_mode: none".to_owned(), Position::Instead(4))) };
        assert_eq!(services[0].host_network, Some(wanted));
        assert_eq!(services[0].command, ["redis-server", "--port", "0"]);
    }
}

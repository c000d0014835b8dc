//! What containers publish.

use std::net::IpAddr;
use std::path::Path;

use crate::doctor::compose::{Published, Service, Spot, Unread};
use crate::doctor::{Finding, Fix, kind};

/// Redis's own port.
const REDIS: u16 = 6379;
/// The port that respgate has in every example.
const GATE: u16 = 6380;

/// Whether what is published is Redis, and to whom. What other services publish is not looked at.
pub fn compose(path: &Path, services: &[Service], hides_clients: bool) -> Vec<Finding> {
    let mut findings: Vec<Finding> = services.iter().flat_map(|service| judge(path, service)).collect();
    if hides_clients && services.iter().any(|service| !service.ports.is_empty()) {
        let subject =
            format!("{}: Docker passes published ports on itself (iptables: false in its daemon.json)", path.display());
        findings.push(Finding::red(&kind::COMPOSE_PROXY, subject));
    }
    if findings.is_empty() {
        findings.push(Finding::green(&kind::COMPOSE_PUBLISHED, format!("{}: no port of Redis", path.display())));
    }
    findings
}

fn judge(path: &Path, service: &Service) -> Vec<Finding> {
    let mut findings: Vec<Finding> = service.ports.iter().filter_map(|port| published(path, service, port)).collect();
    if let Some(spot) = service.host_network.as_ref().filter(|_| is_redis(service)) {
        findings.push(host_network(path, service, spot));
    }
    let unread = service.unread.iter().map(|Unread { line, what }| {
        let place = place(path, *line);
        Finding::unknown(&kind::COMPOSE_PUBLISHED, format!("{place} of service {}: {what}", service.name))
    });
    findings.extend(unread);
    findings
}

fn published(path: &Path, service: &Service, port: &Published) -> Option<Finding> {
    let Published { spot, text, host, published, target } = port;
    let kind = &kind::COMPOSE_PUBLISHED;
    let has = |wanted, range: &(u16, u16)| (range.0..=range.1).contains(&wanted);
    let place = place(path, spot.line);
    let name = &service.name;
    let whom = match host.as_deref() {
        None => "every address of this host, past its firewall".to_owned(),
        Some(host) => host.to_owned(),
    };
    if has(REDIS, target) || is_redis(service) {
        let subject = format!("{place} {text:?} publishes Redis (service {name}) on {whom}");
        return Some(match is_loopback(host.as_deref()) {
            true => Finding::green(kind, subject),
            false => Finding::red(kind, subject).fix(fix(path, spot)),
        });
    }
    let is_gate = has(GATE, target) || published.is_some_and(|published| has(GATE, &published));
    is_gate.then(|| {
        let subject = format!("{place} {text:?} publishes service {name} on {whom}");
        match host {
            Some(_) => Finding::green(&kind::COMPOSE_GATE, subject),
            None => Finding::amber(&kind::COMPOSE_GATE, subject),
        }
    })
}

fn host_network(path: &Path, service: &Service, spot: &Spot) -> Finding {
    let subject = format!("{} gives Redis (service {}) the network of this host", place(path, spot.line), service.name);
    let value = |flag: &str| {
        let at = service.command.iter().position(|word| word == flag)?;
        service.command.get(at + 1).map(String::as_str)
    };
    let is_closed = value("--port") == Some("0") || is_loopback(value("--bind"));
    match is_closed {
        true => Finding::green(&kind::COMPOSE_PUBLISHED, subject),
        false => Finding::red(&kind::COMPOSE_PUBLISHED, subject).fix(fix(path, spot)),
    }
}

fn is_redis(service: &Service) -> bool {
    let image = service.image.rsplit('/').next().unwrap_or_default();
    let name = image.split([':', '@']).next().unwrap_or_default();
    let is_server =
        |word: &String| ["redis-server", "valkey-server", "keydb-server"].iter().any(|name| word.ends_with(name));
    ["redis", "valkey", "keydb", "redis-stack-server", "redis-stack"].contains(&name)
        || service.command.iter().any(is_server)
}

fn is_loopback(host: Option<&str>) -> bool {
    host.is_some_and(|host| {
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
    })
}

fn fix(path: &Path, spot: &Spot) -> Option<Fix> {
    let (text, position) = spot.closed.clone()?;
    Some(Fix::Line { text, path: path.to_owned(), position })
}

fn place(path: &Path, line: usize) -> String {
    format!("{}:{line}", path.display())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::doctor::{Severity, compose as file};

    fn judged(lines: &str) -> Vec<(Severity, String)> {
        let services = file::read(&format!("services:\n  cache:\n{lines}"), &BTreeMap::new()).unwrap();
        compose(Path::new("c.yaml"), &services, false)
            .into_iter()
            .map(|finding| (finding.severity, finding.subject))
            .collect()
    }

    #[test]
    fn redis_that_is_published_beyond_loopback_is_red() {
        for (port, severity) in [
            ("6379:6379", Severity::Red),
            ("192.0.2.1:6379:6379", Severity::Red),
            ("\"[::]:6379:6379\"", Severity::Red),
            ("6379", Severity::Red),
            ("6370-6380:6370-6380", Severity::Red),
            ("127.0.0.1:6379:6379", Severity::Green),
            ("\"[::1]:6379:6379\"", Severity::Green),
            ("localhost:6379:6379", Severity::Green),
        ] {
            let found = judged(&format!("    image: registry.example/x/y:1\n    ports: [{port}]\n"));
            assert_eq!(
                found.iter().map(|(severity, _)| *severity).collect::<Vec<_>>(),
                [severity],
                "{port}: {found:?}"
            );
        }
        let found = judged("    image: registry.example/valkey/valkey:9@sha256:0\n    ports: [\"7000:7000\"]\n");
        assert_eq!(found[0].0, Severity::Red, "Redis on another port: {found:?}");
        assert_eq!(
            found[0].1,
            "c.yaml:4 \"7000:7000\" publishes Redis (service cache) on every address of this host, past its firewall"
        );
        let found = judged("    image: web\n    ports: [\"80:80\"]\n");
        assert_eq!(found, [(Severity::Green, "c.yaml: no port of Redis".to_owned())]);
    }

    #[test]
    fn the_gate_is_there_to_be_reached_but_better_at_an_address() {
        assert_eq!(judged("    image: respgate\n    ports: [\"6380:6380\"]\n")[0].0, Severity::Amber);
        assert_eq!(judged("    image: respgate\n    ports: [\"192.0.2.1:6380:6380\"]\n")[0].0, Severity::Green);
    }

    #[test]
    fn redis_in_the_network_of_the_host_is_red_unless_it_is_closed_there() {
        let of =
            |command: &str| judged(&format!("    image: redis\n    network_mode: host\n    command: {command}\n"))[0].0;
        assert_eq!(of("redis-server"), Severity::Red);
        assert_eq!(of("redis-server --bind 0.0.0.0"), Severity::Red);
        assert_eq!(of("redis-server --bind 127.0.0.1"), Severity::Green);
        assert_eq!(of("[redis-server, --port, \"0\"]"), Severity::Green);
        assert_eq!(judged("    image: web\n    network_mode: host\n")[0].0, Severity::Green);
    }

    #[test]
    fn addresses_that_docker_hides_are_red_where_something_is_published() {
        let has = |lines: &str| {
            let services = file::read(&format!("services:\n  gate:\n{lines}"), &BTreeMap::new()).unwrap();
            compose(Path::new("c.yaml"), &services, true).iter().any(|finding| finding.kind.id == "compose.proxy")
        };
        assert!(has("    image: respgate\n    ports: [\"192.0.2.1:6380:6380\"]\n"));
        assert!(!has("    image: respgate\n"));
    }

    #[test]
    fn what_is_not_understood_is_unknown() {
        assert_eq!(judged("    image: redis\n    ports: [\"${PORT}:6379\"]\n")[0].0, Severity::Unknown);
    }
}

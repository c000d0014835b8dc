//! Where a server sends others: an address that it announces has to be that of a respgate.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::net::SocketAddr;

use super::Instance;
use super::outside::Says;
use crate::doctor::outside::{Plain, Reach};
use crate::doctor::{Finding, kind};

/// Of one server, no more are looked at.
const MOST: usize = 64;

/// The addresses that it announces, to be asked who answers there.
pub fn addresses(redis: &Instance) -> BTreeSet<SocketAddr> {
    of(redis).filter_map(|announced| announced.address()).collect::<BTreeSet<_>>().into_iter().take(MOST).collect()
}

/// Judges them, by what they said to a PING without TLS. A respgate of this host listens on `gate_port`, where that is known.
pub fn announced(redis: &Instance, heard: &BTreeMap<SocketAddr, Reach>, gate_port: Option<u16>) -> Vec<Finding> {
    let kind = &kind::REDIS_ANNOUNCED;
    let judge = |announced: Announced<'_>| {
        let Announced { host, port, whose } = announced;
        let says = |words: &str| format!("{} names {host}:{port} as {}: {words}", redis.name, whose.in_words());
        let fix = || match whose {
            Whose::Own(setting) => redis.set(setting, &gate_port?.to_string()),
            Whose::Primary | Whose::Replica | Whose::Node => None,
        };
        let Some(address) = announced.address() else {
            return Finding::unknown(kind, says("a name, at which was not looked"));
        };
        match heard.get(&address) {
            Some(Reach::Open(service)) => match &service.plain {
                Plain::Line(line) => match Says::of(line) {
                    Says::Other(line) => Finding::unknown(kind, says(&format!("no Redis, it says {line}"))),
                    redis => Finding::red(kind, says(&format!("it {}, without TLS", redis.in_words()))).fix(fix()),
                },
                Plain::Alert | Plain::Closed => Finding::green(kind, says("it says nothing without TLS")),
                Plain::Silent => Finding::unknown(kind, says("it is open, and says nothing")),
            },
            Some(Reach::Closed) if matches!(whose, Whose::Own(_)) => {
                Finding::amber(kind, says("nobody listens there")).fix(fix())
            }
            Some(Reach::Closed) => {
                Finding::unknown(kind, says("nobody listens there, or a firewall refuses this host"))
            }
            Some(Reach::Nothing(why)) => Finding::unknown(kind, says(&format!("it cannot be reached ({why})"))),
            None => Finding::unknown(kind, says("one of too many to look at")),
        }
    };
    of(redis).map(judge).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Announced<'a> {
    /// An address or a name.
    host: &'a str,
    port: u16,
    whose: Whose,
}

/// Who is said to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The server itself, by this setting.
    Own(&'static str),
    Primary,
    Replica,
    Node,
}

impl Whose {
    fn in_words(self) -> &'static str {
        match self {
            Whose::Own(_) => "its own address",
            Whose::Primary => "a primary",
            Whose::Replica => "a replica",
            Whose::Node => "a node of its cluster",
        }
    }
}

impl Announced<'_> {
    fn address(self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.host.parse::<IpAddr>().ok()?, self.port))
    }
}

/// What it announces. What it says of connections over a unix socket, or to its own host, is of use to nobody else.
fn of(redis: &Instance) -> impl Iterator<Item = Announced<'_>> {
    let is_in_cluster = redis.info("cluster_enabled") == Some("1");
    let nodes = of_cluster(redis);
    let replication = [of_itself(redis), of_primary(redis)].into_iter().flatten().chain(of_lines(redis));
    nodes
        .chain(replication.filter(move |_| !is_in_cluster))
        .filter(|announced| announced.port != 0 && !matches!(announced.host, "" | "?") && !announced.host.contains('/'))
}

/// What it says as a node of a cluster.
fn of_cluster(redis: &Instance) -> impl Iterator<Item = Announced<'_>> {
    let is_set = |name| redis.setting(name).is_some_and(|value| value != "0");
    let setting = match is_set("cluster-announce-client-port") {
        true => "cluster-announce-client-port",
        false => "cluster-announce-port",
    };
    redis.told.iter().filter_map(|told| told.nodes.as_ref()).flatten().map(move |node| Announced {
        host: &node.host,
        port: node.port,
        whose: if node.is_own { Whose::Own(setting) } else { Whose::Node },
    })
}

/// What it tells its primary, and by that Sentinel.
fn of_itself(redis: &Instance) -> Option<Announced<'_>> {
    let host = redis.told.as_ref()?.settings.get("replica-announce-ip")?;
    let port = |name| redis.setting(name)?.parse().ok().filter(|port| *port != 0);
    let own = if redis.setting("tls-replication").as_deref() == Some("yes") { "tls-port" } else { "port" };
    let port = port("replica-announce-port").or_else(|| port(own))?;
    Some(Announced { host, port, whose: Whose::Own("replica-announce-port") })
}

/// Whom it follows. On loopback that is a tunnel.
fn of_primary(redis: &Instance) -> Option<Announced<'_>> {
    let (host, port) = (redis.info("master_host")?, redis.info("master_port")?.parse().ok()?);
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
    (!is_here).then_some(Announced { host, port, whose: Whose::Primary })
}

/// `slave0:ip=…,port=…,state=online,…` of Redis, and `master0:name=…,address=…:…,…` of a Sentinel.
fn of_lines(redis: &Instance) -> impl Iterator<Item = Announced<'_>> {
    redis.told.iter().flat_map(|told| &told.info).filter_map(|(name, value)| {
        let field = |name: &str| value.split(',').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        let is_line = |kind| name.strip_prefix(kind).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
        if is_line("slave") {
            Some(Announced { host: field("ip")?, port: field("port")?.parse().ok()?, whose: Whose::Replica })
        } else if is_line("master") {
            let (host, port) = field("address")?.rsplit_once(':')?;
            Some(Announced { host, port: port.parse().ok()?, whose: Whose::Primary })
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::outside::Service;
    use crate::doctor::redis::Told;
    use crate::doctor::redis_conf::RedisConf;
    use crate::doctor::{Node, Severity};

    const REPLICA: &[(&str, &str)] = &[("role", "slave"), ("master_host", "192.0.2.1"), ("master_port", "6379")];

    fn instance(info: &[(&str, &str)], settings: &[(&'static str, &str)], nodes: Option<Vec<Node>>) -> Instance {
        let told = Told {
            info: info.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            settings: settings.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            nodes,
            ..Told::default()
        };
        let file = RedisConf { path: "/etc/redis.conf".into(), ..RedisConf::default() };
        Instance { name: "redis".into(), told: Some(told), file: Some(file), ..Instance::default() }
    }

    /// Port 6379 is a Redis without TLS at every address, 6380 a respgate, 6381 closed, and no other is reached.
    fn judged(redis: &Instance) -> Vec<(Severity, String, Option<String>)> {
        let open = |plain| Reach::Open(Box::new(Service { plain, tls: None }));
        let reach = |address: SocketAddr| match address.port() {
            6379 => open(Plain::Line("-NOAUTH Authentication required.".into())),
            6380 => open(Plain::Alert),
            6381 => Reach::Closed,
            _ => Reach::Nothing("no answer".into()),
        };
        let heard = addresses(redis).into_iter().map(|address| (address, reach(address))).collect();
        let finding = |finding: Finding| (finding.severity, finding.subject, finding.fix.map(|fix| fix.to_string()));
        announced(redis, &heard, Some(6380)).into_iter().map(finding).collect()
    }

    fn severities(redis: &Instance) -> Vec<Severity> {
        judged(redis).into_iter().map(|(severity, ..)| severity).collect()
    }

    #[test]
    fn a_node_of_a_cluster_that_sends_clients_to_its_plain_port_is_red_and_has_the_line() {
        let node = |host: &str, port, is_own| Node { host: host.into(), port, is_own };
        let nodes = vec![
            node("192.0.2.1", 6379, true),
            node("192.0.2.2", 6380, false),
            node("192.0.2.3", 6379, false),
            node("192.0.2.4", 6381, false),
            node("node5.example", 6379, false),
        ];
        let redis = instance(&[("cluster_enabled", "1"), ("slave0", "ip=192.0.2.9,port=6379")], &[], Some(nodes));
        let found = judged(&redis);
        let is_told =
            "redis names 192.0.2.1:6379 as its own address: it is a Redis that asks for a password, without TLS";
        assert_eq!(found[0].1, is_told);
        assert_eq!(found[0].2.as_deref(), Some("cluster-announce-port 6380   # /etc/redis.conf, at its end"));
        let [red, unknown, green] = [Severity::Red, Severity::Unknown, Severity::Green];
        assert_eq!(severities(&redis), [red, green, red, unknown, unknown]);
        let for_clients = [("cluster-announce-client-port", "6379")];
        let found = judged(&instance(&[("cluster_enabled", "1")], &for_clients, Some(vec![node("::1", 6379, true)])));
        assert!(found[0].2.as_ref().unwrap().starts_with("cluster-announce-client-port 6380 "), "{found:?}");
    }

    #[test]
    fn a_replica_that_announces_its_plain_port_is_red_and_so_is_one_that_announces_none() {
        for (settings, severity) in [
            (&[("replica-announce-port", "6380"), ("port", "6379")][..], Severity::Green),
            (&[("replica-announce-port", "6379"), ("port", "0")], Severity::Red),
            (&[("replica-announce-port", "0"), ("port", "6379")], Severity::Red),
            (&[("replica-announce-port", "6381"), ("port", "0")], Severity::Amber),
            (
                &[("replica-announce-port", "0"), ("tls-replication", "yes"), ("tls-port", "6380"), ("port", "6379")],
                Severity::Green,
            ),
        ] {
            let settings = [&[("replica-announce-ip", "192.0.2.2")], settings].concat();
            let redis = instance(&[("role", "master")], &settings, None);
            let found = judged(&redis);
            assert_eq!((found.len(), found[0].0), (1, severity), "{settings:?}");
            let has_fix = matches!(severity, Severity::Red | Severity::Amber);
            let fix = has_fix.then(|| "replica-announce-port 6380   # /etc/redis.conf, at its end".to_owned());
            assert_eq!(found[0].2, fix, "{settings:?}");
        }
        let nowhere = [("replica-announce-ip", ""), ("replica-announce-port", "0"), ("port", "6379")];
        assert_eq!(judged(&instance(&[], &nowhere, None)), []);
    }

    #[test]
    fn a_primary_replicas_and_what_a_sentinel_watches_are_looked_at_wherever_they_are() {
        assert_eq!(severities(&instance(REPLICA, &[], None)), [Severity::Red]);
        let lines = [
            ("slave0", "ip=192.0.2.2,port=6379,state=online,offset=1,lag=0"),
            ("slave1", "ip=192.0.2.3,port=6380,state=online,offset=1,lag=0"),
            ("slave_expires_tracked_keys", "0"),
        ];
        assert_eq!(severities(&instance(&lines, &[], None)), [Severity::Red, Severity::Green]);
        let sentinel = [
            ("master0", "name=shop,status=ok,address=192.0.2.1:6379,slaves=2,sentinels=3"),
            ("master_failover_state", "x"),
        ];
        assert_eq!(severities(&instance(&sentinel, &[], None)), [Severity::Red]);
    }

    #[test]
    fn a_tunnel_and_a_unix_socket_are_announced_to_nobody() {
        for host in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "localhost"] {
            let redis = instance(&[("role", "slave"), ("master_host", host), ("master_port", "6379")], &[], None);
            assert_eq!(judged(&redis), [], "{host}");
        }
        for ip in ["/unixsocket", "redis.sock:0", "?", ""] {
            let line = format!("ip={ip},port=0,state=online");
            assert_eq!(judged(&instance(&[("slave0", &line)], &[], None)), [], "{ip}");
        }
    }

    #[test]
    fn what_is_not_looked_at_is_unknown() {
        let node = |number: u16| Node { host: format!("192.0.2.{number}"), port: 6380, is_own: false };
        let many = instance(&[("cluster_enabled", "1")], &[], Some((1..=MOST as u16 + 1).map(node).collect()));
        assert_eq!(addresses(&many).len(), MOST);
        assert_eq!(severities(&many).iter().filter(|severity| **severity == Severity::Unknown).count(), 1);
        assert_eq!(judged(&Instance::default()), []);
    }
}

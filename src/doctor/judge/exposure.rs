//! Who reaches Redis, and whether it lets them in.

use std::net::IpAddr;

use crate::config::{RedisConfLine, UpstreamAddress};
use crate::doctor::redis::{Answer, Redis};
use crate::doctor::redis_conf::RedisConf;
use crate::doctor::sockets::{Listening, Process, UnixListening};
use crate::doctor::{Finding, kind};

/// Redis's own port.
const PORT: u16 = 6379;

/// Who listens on this host, and what every Redis there says.
#[derive(Debug, Clone, Default)]
pub struct Exposure {
    /// Everybody who listens over TCP.
    pub listening: Vec<Listening>,
    /// And on unix sockets.
    pub unix: Vec<UnixListening>,
    /// Every Redis that runs here.
    pub processes: Vec<Process>,
    /// Those that were asked.
    pub asked: Vec<Redis>,
    /// Whose redis.conf is known.
    pub files: Vec<(Process, RedisConf)>,
}

/// Where Redis listens beyond loopback, and where it asks for no password.
pub fn exposure(facts: &Exposure) -> Vec<Finding> {
    let mut findings: Vec<Finding> = facts.listening.iter().filter_map(|listening| reach(listening, facts)).collect();
    for process in &facts.processes {
        let Process { name, pid, .. } = process;
        let is_over_tcp = facts.listening.iter().any(|listening| listening.process.as_ref() == Some(process));
        let is_over_unix = facts.unix.iter().any(|listening| listening.process.as_ref() == Some(process));
        findings.push(match is_over_tcp || is_over_unix {
            true => Finding::green(&kind::REDIS_FOUND, format!("{name}[{pid}]")),
            false => {
                let words = "listens nowhere here: its network is another one, as that of a container";
                Finding::unknown(&kind::REDIS_FOUND, format!("{name}[{pid}] {words}"))
            }
        });
    }
    let is_bus = |redis: &&Redis| match &redis.address {
        UpstreamAddress::Tcp(address) => facts.bus_port(redis.process.as_ref()) == Some(address.port()),
        UpstreamAddress::Unix(_) => false,
    };
    findings.extend(facts.asked.iter().filter(|redis| !is_bus(redis)).map(|redis| openness(redis, facts)));
    if findings.is_empty() {
        findings.push(Finding::unknown(&kind::REDIS_FOUND, "no Redis runs here that can be seen"));
    }
    findings
}

impl Exposure {
    fn file(&self, process: Option<&Process>) -> Option<&RedisConf> {
        self.files.iter().find(|(owner, _)| Some(owner) == process).map(|(_, file)| file)
    }

    /// A setting of a Redis, as far as that is known.
    fn setting(&self, process: Option<&Process>, name: &str) -> Option<String> {
        let told = self.asked.iter().filter(|redis| process.is_some() && redis.process.as_ref() == process);
        let told = told.filter_map(|redis| redis.told.as_ref()).find_map(|told| told.settings.get(name).cloned());
        told.or_else(|| self.file(process)?.line(name).map(RedisConfLine::value))
    }

    /// Where nodes of a cluster speak to it, and no clients: 10,000 beyond that of clients unless it is set.
    fn bus_port(&self, process: Option<&Process>) -> Option<u16> {
        let number = |name: &str| self.setting(process, name)?.parse::<u16>().ok().filter(|port| *port != 0);
        if self.setting(process, "cluster-enabled")? != "yes" {
            return None;
        }
        let of_clients =
            if self.has_tls_on_bus(process) { number("tls-port").or_else(|| number("port")) } else { number("port") };
        number("cluster-port").or_else(|| of_clients?.checked_add(10_000))
    }

    fn has_tls_on_bus(&self, process: Option<&Process>) -> bool {
        self.setting(process, "tls-cluster").as_deref() == Some("yes")
    }
}

fn reach(listening: &Listening, facts: &Exposure) -> Option<Finding> {
    let Listening { address, process } = listening;
    let subject = match process {
        Some(process) if process.is_redis() => format!("{}[{}] listens on {address}", process.name, process.pid),
        Some(Process { name, pid, .. }) if address.port() == PORT && !is_loopback(address.ip()) => {
            let subject = format!("{name}[{pid}] listens on {address}");
            return Some(match name.as_str() {
                "respgate" => Finding::green(&kind::PORT_TAKEN, subject),
                "docker-proxy" => Finding::red(&kind::PORT_TAKEN, format!("{subject} for a container")),
                _ => Finding::amber(&kind::PORT_TAKEN, subject),
            });
        }
        None if address.port() == PORT => format!("somebody listens on {address}: only root sees who it is"),
        _ => return None,
    };
    if !is_loopback(address.ip()) && facts.bus_port(process.as_ref()) == Some(address.port()) {
        return Some(bus(process.as_ref(), &subject, facts));
    }
    Some(match (is_loopback(address.ip()), process) {
        (true, _) => Finding::green(&kind::REDIS_EXPOSED, subject),
        (false, Some(_)) => {
            let file = facts.file(process.as_ref());
            Finding::red(&kind::REDIS_EXPOSED, subject).fix(file.map(|file| file.set("bind", "127.0.0.1 -::1")))
        }
        (false, None) => Finding::unknown(&kind::REDIS_EXPOSED, subject),
    })
}

/// The bus of a cluster, which others have to reach. Over TLS it takes certificates of `tls-ca-cert-file` alone, whatever
/// `tls-auth-clients` says [clusterAcceptHandler].
fn bus(process: Option<&Process>, subject: &str, facts: &Exposure) -> Finding {
    let kind = &kind::REDIS_BUS;
    if facts.has_tls_on_bus(process) {
        return Finding::green(kind, format!("{subject}, the bus of its cluster, which asks for a certificate"));
    }
    let fix = facts.file(process).map(|file| file.set("tls-cluster", "yes"));
    Finding::red(kind, format!("{subject}, the bus of its cluster, without TLS")).fix(fix)
}

fn openness(redis: &Redis, facts: &Exposure) -> Finding {
    let Redis { address, process, answer, .. } = redis;
    let kind = &kind::REDIS_OPEN;
    let fix = || facts.file(process.as_ref()).map(RedisConf::set_password);
    match (answer, whom(redis, facts)) {
        (Answer::Open, Whom::Others) => {
            Finding::red(kind, format!("{address} answers without a password, and others than this host reach it"))
                .fix(fix())
        }
        (Answer::Open, Whom::Refused) => {
            let words =
                "answers every account of this host without a password, and protected-mode alone keeps others out";
            Finding::amber(kind, format!("{address} {words}")).fix(fix())
        }
        (Answer::Open, Whom::ThisHost) => {
            Finding::amber(kind, format!("{address} answers every account of this host without a password")).fix(fix())
        }
        (Answer::Open, Whom::Unknown) => {
            Finding::amber(kind, format!("{address} answers without a password: who may connect is not seen from here"))
                .fix(fix())
        }
        (Answer::Open, Whom::Group) => {
            Finding::green(kind, format!("{address} answers without a password the owner and the group of the socket"))
        }
        (Answer::Password, _) => Finding::green(kind, format!("{address} wants a password")),
        (Answer::Refused(text), _) => Finding::unknown(kind, format!("{address} refuses to answer: {text}")),
        (Answer::Silent(why), _) => Finding::unknown(kind, format!("{address} does not answer: {why}")),
    }
}

/// Who can connect.
enum Whom {
    Others,
    /// Others reach it, and are refused.
    Refused,
    ThisHost,
    Group,
    Unknown,
}

fn whom(redis: &Redis, facts: &Exposure) -> Whom {
    let listens = |listening: &&Listening| listening.process.is_some() && listening.process == redis.process;
    let mut addresses = facts.listening.iter().filter(listens).map(|listening| listening.address.ip()).peekable();
    match &redis.address {
        UpstreamAddress::Unix(path) => {
            match facts.unix.iter().find(|listening| listening.path == *path).and_then(|listening| listening.mode) {
                None => Whom::Unknown,
                Some(mode) if mode & 0o002 != 0 => Whom::ThisHost,
                Some(_) => Whom::Group,
            }
        }
        UpstreamAddress::Tcp(address) if !is_loopback(address.ip()) => Whom::Others,
        UpstreamAddress::Tcp(_) if addresses.peek().is_none() => Whom::Unknown,
        UpstreamAddress::Tcp(_) if addresses.all(is_loopback) => Whom::ThisHost,
        UpstreamAddress::Tcp(_) if is_protected(redis) => Whom::Refused,
        UpstreamAddress::Tcp(_) => Whom::Others,
    }
}

/// Whether it answers only this host as long as it has no password. What it does not tell is no.
fn is_protected(redis: &Redis) -> bool {
    redis.told.as_ref().and_then(|told| told.settings.get("protected-mode")).is_some_and(|value| value == "yes")
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;
    use crate::doctor::redis::Told;

    fn process(name: &str) -> Option<Process> {
        Some(Process { name: name.into(), pid: 812, user: 999 })
    }

    fn listening(address: &str, process: Option<Process>) -> Listening {
        Listening { address: address.parse().unwrap(), process }
    }

    fn found(facts: &Exposure) -> Vec<(&'static str, Severity, String)> {
        exposure(facts).into_iter().map(|finding| (finding.kind.id, finding.severity, finding.subject)).collect()
    }

    #[test]
    fn redis_beyond_loopback_is_red_and_only_redis() {
        let judged = |address, name| {
            let facts = Exposure { listening: vec![listening(address, process(name))], ..Exposure::default() };
            found(&facts).into_iter().find(|(id, ..)| *id == "redis.exposed").map(|(_, severity, _)| severity)
        };
        for address in ["0.0.0.0:6379", "[::]:7000", "192.0.2.7:6379", "10.0.0.1:6379"] {
            assert_eq!(judged(address, "redis-server"), Some(Severity::Red), "{address}");
            assert_ne!(judged(address, "respgate"), Some(Severity::Red), "{address}");
        }
        for address in ["127.0.0.1:6379", "127.9.9.9:1", "[::1]:6379", "[::ffff:127.0.0.1]:6379"] {
            assert_eq!(judged(address, "valkey-server"), Some(Severity::Green), "{address}");
        }
    }

    #[test]
    fn the_bus_of_a_cluster_is_no_open_redis_and_red_without_tls() {
        let judged = |settings: &[(&'static str, &str)], port: u16| {
            let settings = settings.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
            let asked = |address, told| Redis {
                address,
                process: process("redis-server"),
                answer: Answer::Silent("reset".into()),
                told,
            };
            let at = format!("192.0.2.1:{port}");
            let told = Some(Told { settings, ..Told::default() });
            let asked = vec![
                asked(UpstreamAddress::Unix("/run/redis.sock".into()), told),
                asked(UpstreamAddress::Tcp(at.parse().unwrap()), None),
            ];
            let listening = vec![listening(&at, process("redis-server"))];
            let facts = Exposure { listening, asked, ..Exposure::default() };
            let of_port = found(&facts).into_iter().filter(|(_, _, subject)| subject.contains(&at));
            of_port.map(|(id, severity, _)| (id, severity)).collect::<Vec<_>>()
        };
        let on = ("cluster-enabled", "yes");
        let [red, green] = [("redis.bus", Severity::Red), ("redis.bus", Severity::Green)];
        assert_eq!(judged(&[on, ("cluster-port", "16380"), ("tls-cluster", "yes")], 16380), [green]);
        assert_eq!(judged(&[on, ("cluster-port", "16380"), ("tls-cluster", "no")], 16380), [red]);
        assert_eq!(judged(&[on, ("cluster-port", "0"), ("port", "6379")], 16379), [red]);
        assert_eq!(judged(&[on, ("port", "6379"), ("tls-port", "6380"), ("tls-cluster", "yes")], 16380), [green]);
        let exposed = [("redis.exposed", Severity::Red), ("redis.open", Severity::Unknown)];
        assert_eq!(judged(&[on, ("cluster-port", "16380"), ("tls-cluster", "yes")], 6379), exposed);
        assert_eq!(judged(&[("cluster-enabled", "no"), ("cluster-port", "16380")], 16380), exposed);
    }

    #[test]
    fn somebody_else_at_the_port_of_redis_is_told_and_a_container_is_red() {
        for (name, severity) in
            [("docker-proxy", Severity::Red), ("stunnel4", Severity::Amber), ("respgate", Severity::Green)]
        {
            let facts = Exposure { listening: vec![listening("0.0.0.0:6379", process(name))], ..Exposure::default() };
            let wanted = format!("{name}[812] listens on 0.0.0.0:6379");
            let (id, found, subject) = found(&facts).remove(0);
            assert!((id, found) == ("port.6379", severity) && subject.starts_with(&wanted), "{subject}");
        }
        let facts =
            Exposure { listening: vec![listening("127.0.0.1:6379", process("stunnel4"))], ..Exposure::default() };
        assert!(found(&facts).iter().all(|(id, ..)| *id != "port.6379"));
    }

    #[test]
    fn whose_socket_nobody_lets_us_see_is_unknown_and_never_green() {
        let facts = Exposure { listening: vec![listening("0.0.0.0:6379", None)], ..Exposure::default() };
        let wanted = "somebody listens on 0.0.0.0:6379: only root sees who it is";
        assert_eq!(found(&facts), [("redis.exposed", Severity::Unknown, wanted.to_owned())]);
    }

    #[test]
    fn nothing_found_is_unknown() {
        let wanted = "no Redis runs here that can be seen".to_owned();
        assert_eq!(found(&Exposure::default()), [("redis.found", Severity::Unknown, wanted)]);
    }

    #[test]
    fn no_password_is_red_where_others_reach_it_and_amber_where_only_this_host_does() {
        let judged = |at: &str, answer| {
            let asked = vec![Redis {
                address: UpstreamAddress::Tcp("127.0.0.1:6379".parse().unwrap()),
                process: process("redis-server"),
                answer,
                told: None,
            }];
            let listening = vec![listening(at, process("redis-server"))];
            let facts = Exposure { listening, asked, ..Exposure::default() };
            found(&facts).into_iter().find(|(id, ..)| *id == "redis.open").unwrap().1
        };
        assert_eq!(judged("0.0.0.0:6379", Answer::Open), Severity::Red);
        assert_eq!(judged("127.0.0.1:6379", Answer::Open), Severity::Amber);
        assert_eq!(judged("0.0.0.0:6379", Answer::Password), Severity::Green);
        assert_eq!(judged("0.0.0.0:6379", Answer::Silent(String::new())), Severity::Unknown);
        assert_eq!(judged("0.0.0.0:6379", Answer::Refused(String::new())), Severity::Unknown);
    }

    #[test]
    fn protected_mode_keeps_others_out_of_a_redis_without_a_password() {
        let judged = |mode: &str| {
            let asked = vec![Redis {
                address: UpstreamAddress::Tcp("127.0.0.1:6379".parse().unwrap()),
                process: process("redis-server"),
                answer: Answer::Open,
                told: Some(Told { settings: [("protected-mode", mode.to_owned())].into(), ..Told::default() }),
            }];
            let listening = vec![listening("0.0.0.0:6379", process("redis-server"))];
            let facts = Exposure { listening, asked, ..Exposure::default() };
            found(&facts).into_iter().map(|(id, severity, _)| (id, severity)).collect::<Vec<_>>()
        };
        assert_eq!(judged("yes"), [("redis.exposed", Severity::Red), ("redis.open", Severity::Amber)]);
        assert_eq!(judged("no"), [("redis.exposed", Severity::Red), ("redis.open", Severity::Red)]);
    }

    #[test]
    fn a_socket_without_a_password_is_green_where_its_mode_keeps_others_out() {
        let judged = |mode| {
            let path = std::path::PathBuf::from("/run/redis.sock");
            let owner = process("redis-server");
            let asked = vec![Redis {
                address: UpstreamAddress::Unix(path.clone()),
                process: owner.clone(),
                answer: Answer::Open,
                told: None,
            }];
            let facts =
                Exposure { unix: vec![UnixListening { path, process: owner, mode }], asked, ..Exposure::default() };
            found(&facts).into_iter().find(|(id, ..)| *id == "redis.open").unwrap().1
        };
        assert_eq!(judged(Some(0o770)), Severity::Green);
        assert_eq!(judged(Some(0o777)), Severity::Amber);
        assert_eq!(judged(None), Severity::Amber);
    }

    #[test]
    fn what_closes_it_is_the_line_that_counts() {
        let bind =
            RedisConfLine { name: "bind".into(), values: vec![b"0.0.0.0".to_vec()], path: "r.conf".into(), number: 75 };
        let file = RedisConf { path: "r.conf".into(), lines: vec![bind], ..RedisConf::default() };
        let owner = process("redis-server");
        let listening = vec![listening("0.0.0.0:6379", owner.clone())];
        let facts = Exposure { listening, files: vec![(owner.unwrap(), file)], ..Exposure::default() };
        assert_eq!(exposure(&facts)[0].fix.as_ref().unwrap().to_string(), "bind 127.0.0.1 -::1   # r.conf:75");
    }
}

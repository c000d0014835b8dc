//! Who reaches Redis, and whether it lets them in.

use std::net::IpAddr;

use crate::config::UpstreamAddress;
use crate::doctor::redis::{Answer, Redis};
use crate::doctor::sockets::{Listening, Process};
use crate::doctor::{Finding, kind};

/// Redis's own port.
const PORT: u16 = 6379;

/// Who listens on this host, and what every Redis there says.
#[derive(Debug, Clone, Default)]
pub struct Exposure {
    /// Everybody who listens.
    pub listening: Vec<Listening>,
    /// Every Redis that runs here.
    pub processes: Vec<Process>,
    /// Those that were asked.
    pub asked: Vec<Redis>,
}

/// Where Redis listens beyond loopback, and where it asks for no password.
pub fn exposure(facts: &Exposure) -> Vec<Finding> {
    let mut findings: Vec<Finding> = facts.listening.iter().filter_map(reach).collect();
    for process in &facts.processes {
        let Process { name, pid } = process;
        let is_seen = facts.listening.iter().any(|listening| listening.process.as_ref() == Some(process));
        findings.push(match is_seen {
            true => Finding::green(&kind::REDIS_FOUND, format!("{name}[{pid}]")),
            false => Finding::unknown(
                &kind::REDIS_FOUND,
                format!(
                    "{name}[{pid}] listens on no port here: on a socket, or in a container with a network of its own"
                ),
            ),
        });
    }
    findings.extend(facts.asked.iter().map(|redis| openness(redis, facts)));
    if findings.is_empty() {
        findings.push(Finding::unknown(&kind::REDIS_FOUND, "no Redis runs here that can be seen"));
    }
    findings
}

fn reach(listening: &Listening) -> Option<Finding> {
    let Listening { address, process } = listening;
    let subject = match process {
        Some(process) if process.is_redis() => format!("{}[{}] listens on {address}", process.name, process.pid),
        None if address.port() == PORT => format!("somebody listens on {address}: only root sees who it is"),
        _ => return None,
    };
    Some(match (is_loopback(address.ip()), process) {
        (true, _) => Finding::green(&kind::REDIS_EXPOSED, subject),
        (false, Some(_)) => Finding::red(&kind::REDIS_EXPOSED, subject),
        (false, None) => Finding::unknown(&kind::REDIS_EXPOSED, subject),
    })
}

fn openness(redis: &Redis, facts: &Exposure) -> Finding {
    let Redis { address, process, answer } = redis;
    let kind = &kind::REDIS_OPEN;
    match answer {
        Answer::Open => {
            let of_it = |listening: &&Listening| listening.process.is_some() && listening.process == *process;
            let is_reached = facts.listening.iter().filter(of_it).any(|listening| !is_loopback(listening.address.ip()));
            let is_private = matches!(address, UpstreamAddress::Unix(_)) && process.is_none();
            match is_reached {
                true => Finding::red(
                    kind,
                    format!("{address} answers without a password, and others than this host reach it"),
                ),
                false if is_private => Finding::amber(kind, format!("{address} answers without a password")),
                false => {
                    Finding::amber(kind, format!("{address} answers every account of this host without a password"))
                }
            }
        }
        Answer::Password => Finding::green(kind, format!("{address} wants a password")),
        Answer::Refused(text) => Finding::unknown(kind, format!("{address} refuses to answer: {text}")),
        Answer::Silent(why) => Finding::unknown(kind, format!("{address} does not answer: {why}")),
    }
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;

    fn process(name: &str) -> Option<Process> {
        Some(Process { name: name.into(), pid: 812 })
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
            assert_eq!(judged(address, "respgate"), None, "{address}");
        }
        for address in ["127.0.0.1:6379", "127.9.9.9:1", "[::1]:6379", "[::ffff:127.0.0.1]:6379"] {
            assert_eq!(judged(address, "valkey-server"), Some(Severity::Green), "{address}");
        }
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
            }];
            let facts =
                Exposure { listening: vec![listening(at, process("redis-server"))], processes: Vec::new(), asked };
            found(&facts).into_iter().find(|(id, ..)| *id == "redis.open").unwrap().1
        };
        assert_eq!(judged("0.0.0.0:6379", Answer::Open), Severity::Red);
        assert_eq!(judged("127.0.0.1:6379", Answer::Open), Severity::Amber);
        assert_eq!(judged("0.0.0.0:6379", Answer::Password), Severity::Green);
        assert_eq!(judged("0.0.0.0:6379", Answer::Silent(String::new())), Severity::Unknown);
        assert_eq!(judged("0.0.0.0:6379", Answer::Refused(String::new())), Severity::Unknown);
    }
}

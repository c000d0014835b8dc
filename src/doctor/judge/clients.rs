//! Who is connected to Redis past respgate.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::doctor::sockets::Process;
use crate::doctor::{Finding, kind};

/// What is known of the connections of a Redis.
#[derive(Debug, Clone, Default)]
pub struct Clients {
    /// What it is called in findings.
    pub name: String,
    /// CLIENT LIST; `None` where it does not tell.
    pub lines: Option<Vec<String>>,
    /// The number of the connection that asked.
    pub asker: Option<i64>,
    /// The user that respgate logs in as; `default` where it says none.
    pub upstream_user: String,
    /// Whose sockets of this host have which address.
    pub owners: BTreeMap<SocketAddr, Process>,
}

/// One connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The user that it is logged in as.
    pub user: String,
    /// Where it comes from.
    pub address: String,
    /// The process, where it is on this host.
    pub process: Option<String>,
    /// What it calls itself.
    pub name: String,
    /// Seconds since it came.
    pub age: String,
    /// What it sent last.
    pub command: String,
    /// Whether it is respgate's; `None` where that cannot be told.
    pub is_ours: Option<bool>,
}

impl Clients {
    /// Every connection but that of the doctor; `None` where Redis does not tell.
    pub fn list(&self) -> Option<Vec<Client>> {
        let lines = self.lines.as_ref()?.iter().filter(|line| !line.is_empty());
        Some(lines.filter_map(|line| self.client(line)).collect())
    }

    fn client(&self, line: &str) -> Option<Client> {
        let fields: BTreeMap<&str, &str> = line.split(' ').filter_map(|field| field.split_once('=')).collect();
        let field = |name: &str| fields.get(name).copied().unwrap_or_default().to_owned();
        if self.asker.is_some_and(|asker| field("id") == asker.to_string()) {
            return None;
        }
        let (user, address) = (field("user"), field("addr"));
        let owner = address.parse().ok().and_then(|address: SocketAddr| self.owners.get(&address));
        let is_ours = match owner {
            Some(process) => Some(process.name == "respgate"),
            None if user != self.upstream_user => Some(false),
            None if user != "default" => Some(true),
            // Over TCP its process would be known, were it on this host.
            None if address.parse::<SocketAddr>().is_ok_and(|address| !address.ip().to_canonical().is_loopback()) => {
                Some(false)
            }
            None => None,
        };
        let process = owner.map(|Process { name, pid, .. }| format!("{name}[{pid}]"));
        let (name, age, command) = (field("name"), field("age"), field("cmd"));
        Some(Client { user, address, process, name, age, command, is_ours })
    }
}

/// Whether everybody comes through respgate.
pub fn clients(facts: &Clients) -> Finding {
    let kind = &kind::REDIS_CLIENTS;
    let name = &facts.name;
    let Some(clients) = facts.list() else {
        return Finding::unknown(kind, format!("{name} does not tell who is connected"));
    };
    let past = clients.iter().filter(|client| client.is_ours == Some(false)).count();
    let untold = clients.iter().filter(|client| client.is_ours.is_none()).count();
    match (past, untold) {
        (0, 0) => Finding::green(kind, format!("nobody is connected to {name} past respgate")),
        (0, untold) => {
            let words = "may be respgate's or not: it has no user of its own there";
            Finding::unknown(kind, format!("{untold} connections to {name} as default {words}"))
        }
        (past, _) => {
            Finding::amber(kind, format!("{past} connections to {name} past respgate: doctor --who lists them"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;

    fn facts(lines: &[&str], upstream_user: &str) -> Clients {
        let respgate = Process { name: "respgate".into(), pid: 7, user: 0 };
        Clients {
            name: "redis".into(),
            lines: Some(lines.iter().map(|line| (*line).to_owned()).collect()),
            asker: Some(3),
            upstream_user: upstream_user.into(),
            owners: [("127.0.0.1:40000".parse().unwrap(), respgate)].into(),
        }
    }

    fn is_ours(line: &str, upstream_user: &str) -> Option<bool> {
        facts(&[line], upstream_user).list().unwrap()[0].is_ours
    }

    #[test]
    fn whose_a_connection_is_goes_by_its_process_and_then_by_its_user() {
        assert_eq!(is_ours("id=9 addr=127.0.0.1:40000 user=default", "default"), Some(true));
        assert_eq!(is_ours("id=9 addr=192.0.2.9:40000 user=default", "default"), Some(false));
        assert_eq!(is_ours("id=9 addr=/run/redis.sock:0 user=default", "default"), None);
        assert_eq!(is_ours("id=9 addr=/run/redis.sock:0 user=default", "respgate"), Some(false));
        assert_eq!(is_ours("id=9 addr=/run/redis.sock:0 user=respgate", "respgate"), Some(true));
    }

    #[test]
    fn the_doctor_itself_does_not_count_and_nothing_told_is_unknown() {
        let severity = |lines: &[&str], user| clients(&facts(lines, user)).severity;
        assert_eq!(severity(&["id=3 addr=127.0.0.1:1 user=default", ""], "respgate"), Severity::Green);
        assert_eq!(severity(&["id=4 addr=/s:0 user=default"], "default"), Severity::Unknown);
        assert_eq!(
            severity(&["id=4 addr=/s:0 user=default", "id=5 addr=192.0.2.9:1 user=default"], "default"),
            Severity::Amber
        );
        assert_eq!(clients(&Clients { lines: None, ..facts(&[], "") }).severity, Severity::Unknown);
    }
}

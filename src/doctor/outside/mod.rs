//! Another host, as it looks from here: `respgate doctor --from-outside`. Nobody else is contacted, but for the name
//! service. Where servers of this host send others, [`ping_all`] asks who answers there.
//!
//! Everything that is ever sent are handshakes and [`QUESTIONS`]; nothing of it changes anything. All of it together
//! takes no longer than the four limits below, whatever the other end does.

mod hello;
mod place;
mod socket;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime};

pub use self::hello::Old;
pub use self::place::{GATE_PORT, Place, REDIS_PORT};
use self::socket::Socket;
use crate::pki;
use crate::tls::client::{self, Authorities, Credentials, End, Talk};

/// How long the name service may take.
const RESOLVE: Duration = Duration::from_secs(5);
/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(3);
/// How long an answer without TLS may take.
const ANSWER: Duration = Duration::from_secs(3);
/// How long it may take to connect, to shake hands, and to have every question answered. All who talk do so at once.
const TALK: Duration = Duration::from_secs(5);

/// Of a name with more addresses, no more are looked at.
const MOST_ADDRESSES: usize = 4;

const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
/// What is asked with a certificate of one's own. FLUSHALL takes no such argument: where it is allowed, Redis refuses
/// it all the same.
const QUESTIONS: [&[u8]; 3] =
    [PING, b"*2\r\n$8\r\nFLUSHALL\r\n$15\r\nrespgate-doctor\r\n", b"*3\r\n$6\r\nCONFIG\r\n$3\r\nGET\r\n$4\r\nport\r\n"];

/// What to look at a host with.
#[derive(Debug, Default)]
pub struct Equipment {
    /// A certificate that ought to be let in.
    pub credentials: Option<Credentials>,
    /// Who ought to have issued the server's certificate.
    pub authorities: Option<Authorities>,
}

/// What was seen of a host.
#[derive(Debug)]
pub struct Seen {
    /// Where respgate is meant to be.
    pub gate_port: u16,
    /// Each port of each address; or why the host has none.
    pub ports: Result<Vec<Port>, String>,
    /// Addresses that were not looked at.
    pub left_out: Vec<SocketAddr>,
}

/// What was seen of a port.
#[derive(Debug)]
pub struct Port {
    /// Its address.
    pub address: SocketAddr,
    /// What became of connecting.
    pub reach: Reach,
}

/// What became of connecting.
#[derive(Debug)]
pub enum Reach {
    /// It takes connections.
    Open(Box<Service>),
    /// It says that nobody listens.
    Closed,
    /// Nothing comes back, or only that there is no way there; in words.
    Nothing(String),
}

/// What was heard of whoever takes connections.
#[derive(Debug)]
pub struct Service {
    /// What it said to a PING without TLS.
    pub plain: Plain,
    /// And with TLS, where it might speak it.
    pub tls: Option<Tls>,
}

/// What became of a PING without TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plain {
    /// The first line that came.
    Line(String),
    /// An alert of TLS.
    Alert,
    /// It closed the connection, or what came was no line.
    Closed,
    /// Nothing came.
    Silent,
}

/// What was heard over TLS.
#[derive(Debug)]
pub struct Tls {
    /// Without a certificate.
    pub nobody: Talk,
    /// With one of an authority that nobody knows; or why there was none.
    pub stranger: Result<Talk, String>,
    /// To somebody who speaks TLS 1.1 at most.
    pub old: Old,
    /// With a certificate of one's own: PING, FLUSHALL and CONFIG.
    pub friend: Option<Talk>,
}

/// Looks at it.
pub fn look(place: &Place, equipment: &Equipment, now: SystemTime) -> Seen {
    let gate_port = place.port;
    let addresses = match addresses(place) {
        Ok(addresses) => addresses,
        Err(why) => return Seen { gate_port, ports: Err(why), left_out: Vec::new() },
    };
    let (looked_at, left_out) = addresses.split_at(addresses.len().min(MOST_ADDRESSES));
    let stranger = pki::throwaway("respgate-doctor", now)
        .map_err(|error| error.to_string())
        .and_then(|(certificate, key)| Credentials::from_pem(&certificate, &key));
    let mut numbers = vec![REDIS_PORT, gate_port];
    numbers.dedup();
    let targets: Vec<SocketAddr> = looked_at
        .iter()
        .flat_map(|address| numbers.iter().map(|number| SocketAddr::new(address.ip(), *number)))
        .collect();
    let looker = Looker { host: &place.host, equipment, stranger: &stranger };
    let ports = in_parallel(targets, |address| Port { address, reach: looker.reach(address) });
    Seen { gate_port, ports: Ok(ports), left_out: left_out.to_vec() }
}

/// Of a host that has some.
fn addresses(place: &Place) -> Result<Vec<SocketAddr>, String> {
    let (sender, receiver) = mpsc::channel();
    let question = (place.host.clone(), place.port);
    // Nobody can make the name service hurry: whoever waits no longer leaves the thread to itself.
    thread::spawn(move || {
        let answer = question.to_socket_addrs().map(Iterator::collect::<Vec<_>>);
        let _ = sender.send(answer.map_err(|error| error.to_string()));
    });
    let mut addresses = receiver.recv_timeout(RESOLVE).map_err(|_| "the name service does not answer".to_owned())??;
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() { Err("the name has no address".to_owned()) } else { Ok(addresses) }
}

struct Looker<'a> {
    host: &'a str,
    equipment: &'a Equipment,
    stranger: &'a Result<Credentials, String>,
}

impl Looker<'_> {
    fn reach(&self, address: SocketAddr) -> Reach {
        match without_tls(address) {
            // What answers without TLS is not asked for it.
            Reach::Open(service) if !matches!(service.plain, Plain::Line(_)) => {
                Reach::Open(Box::new(Service { tls: Some(self.tls(address)), ..*service }))
            }
            reach => reach,
        }
    }

    fn tls(&self, address: SocketAddr) -> Tls {
        thread::scope(|scope| {
            let talk = |credentials, questions| self.talk(address, credentials, questions);
            let friend = self.equipment.credentials.as_ref();
            let friend = friend.map(|friend| scope.spawn(move || talk(Some(friend), &QUESTIONS)));
            let stranger = self.stranger.as_ref().map(|stranger| scope.spawn(move || talk(Some(stranger), &[PING])));
            let nobody = scope.spawn(move || talk(None, &[PING]));
            let old = match Socket::connect(address, TALK) {
                Ok(socket) => hello::ask(socket, self.host),
                Err(_) => Old::Silent,
            };
            let lost = |_| Talk { end: Some(End::Broken("this program failed".to_owned())), ..Talk::default() };
            Tls {
                old,
                nobody: nobody.join().unwrap_or_else(lost),
                stranger: stranger.map(|stranger| stranger.join().unwrap_or_else(lost)).map_err(|error| error.clone()),
                friend: friend.map(|friend| friend.join().unwrap_or_else(lost)),
            }
        })
    }

    fn talk(&self, address: SocketAddr, credentials: Option<&Credentials>, questions: &[&[u8]]) -> Talk {
        match Socket::connect(address, TALK) {
            Ok(socket) => client::talk(socket, self.host, credentials, self.equipment.authorities.as_ref(), questions),
            Err(error) => Talk { end: Some(client::of_io(&error)), ..Talk::default() },
        }
    }
}

/// What each of these says to a PING without TLS; all are asked at once.
pub fn ping_all(addresses: impl IntoIterator<Item = SocketAddr>) -> BTreeMap<SocketAddr, Reach> {
    let ask = |address| (address, without_tls(address));
    in_parallel(addresses.into_iter().collect(), ask).into_iter().collect()
}

fn without_tls(address: SocketAddr) -> Reach {
    match Socket::connect(address, CONNECT) {
        Ok(socket) => Reach::Open(Box::new(Service { plain: ping(socket.within(ANSWER)), tls: None })),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => Reach::Closed,
        Err(error) => Reach::Nothing(match client::of_io(&error) {
            End::Silent => "no answer".to_owned(),
            _ => error.to_string(),
        }),
    }
}

fn ping(mut socket: Socket) -> Plain {
    // Who turns others away at once does not listen, and may have said why.
    let _ = socket.write_all(PING);
    let (bytes, end) = socket.read_until(|bytes| client::first_line(bytes).is_some() || is_alert(bytes));
    match client::first_line(&bytes) {
        _ if is_alert(&bytes) => Plain::Alert,
        Some(line) => Plain::Line(line),
        None if !bytes.is_empty() => Plain::Line(String::from_utf8_lossy(&bytes).into_owned()),
        None if end == Some(End::Silent) => Plain::Silent,
        None => Plain::Closed,
    }
}

/// A record with an alert begins so (RFC 8446 section 5.1).
fn is_alert(bytes: &[u8]) -> bool {
    bytes.starts_with(&[21, 3])
}

fn in_parallel<T: Send, U: Send>(items: Vec<T>, work: impl Fn(T) -> U + Sync) -> Vec<U> {
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = items.into_iter().map(|item| scope.spawn(move || work(item))).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_says_how_long_it_takes_at_most() {
        let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/hardening.md")).unwrap();
        let longest = RESOLVE + CONNECT + ANSWER + TALK;
        assert!(document.contains(&format!("at most {} seconds", longest.as_secs())), "{longest:?}");
    }

    #[test]
    fn nothing_that_is_asked_could_change_anything() {
        let words = |question: &[u8]| {
            let text = String::from_utf8(question.to_vec()).unwrap();
            text.split("\r\n").filter(|line| !line.starts_with(['*', '$'])).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(QUESTIONS.map(words), ["PING ", "FLUSHALL respgate-doctor ", "CONFIG GET port "]);
    }
}

//! What was refused of late, for whoever looks: of each kind the last, and how often.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::SystemTime;

use super::limit::Key;
use super::record::beginning;
use crate::acl::UserName;
use crate::identity::{PeerIdentity, x509};

/// Kinds that are kept.
pub const MOST: usize = 100;

/// Characters of a name that nobody vouches for.
const SHOWN: usize = 128;

/// What was refused, or a login that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What it has in common with others of its kind.
    pub key: Key,
    /// From where the last came.
    pub client: SocketAddr,
    /// The name that was tried, of a login.
    pub login_user: Option<String>,
    /// The certificate that was shown where nobody is logged in, its beginning.
    pub certificate: Option<Shown>,
    /// When the first of them came, and the last.
    pub times: (SystemTime, SystemTime),
    /// How many there were.
    pub count: u64,
}

/// What of a certificate tells whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// In the form of RFC 4514.
    pub subject: String,
    /// Lower-case hexadecimal.
    pub serial: String,
}

impl Refusal {
    /// So many of one kind, from there, now.
    pub fn new(key: Key, client: SocketAddr, count: u64, now: SystemTime) -> Refusal {
        Refusal { key, client, login_user: None, certificate: None, times: (now, now), count }
    }

    /// The same of a login under this name.
    pub fn as_user(self, name: &str) -> Refusal {
        Refusal { login_user: Some(clipped(name)), ..self }
    }

    /// The same of somebody who has shown this certificate.
    pub fn with(self, certificate: Option<&PeerIdentity>) -> Refusal {
        let shown = |identity: &PeerIdentity| Shown::new(identity.subject(), identity.serial());
        Refusal { certificate: certificate.map(shown), ..self }
    }

    /// The same of a certificate that may be none, DER.
    pub fn with_leaf(self, leaf: Option<&[u8]>) -> Refusal {
        let read = leaf.and_then(|leaf| x509::Certificate::parse(leaf).ok());
        let shown = |read: x509::Certificate| Shown::new(&read.subject.display(), &beginning(&read.serial));
        Refusal { certificate: read.map(shown), ..self }
    }
}

impl Shown {
    fn new(subject: &str, serial: &str) -> Shown {
        Shown { subject: clipped(subject), serial: serial.to_owned() }
    }
}

fn clipped(name: &str) -> String {
    match name.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

/// The last of each kind. Whoever has most of them loses the oldest of his own, so that nobody's garbage hides what
/// others do; whoever is nobody is one.
#[derive(Debug, Default)]
pub struct Refusals {
    /// Latest first.
    kinds: VecDeque<Refusal>,
    in_all: u64,
}

impl Refusals {
    /// Something was refused just now.
    pub fn note(&mut self, refusal: Refusal) {
        self.in_all += refusal.count;
        let known = self.kinds.iter().position(|known| known.key == refusal.key);
        let before = known.and_then(|position| self.kinds.remove(position));
        let (count, since) = before.map_or((0, refusal.times.0), |before| (before.count, before.times.0));
        if self.kinds.len() == MOST {
            self.forget_one();
        }
        let (count, times) = (refusal.count + count, (since, refusal.times.1));
        self.kinds.push_front(Refusal { count, times, ..refusal });
    }

    /// All that are kept, the latest first.
    pub fn latest(&self) -> Vec<Refusal> {
        self.kinds.iter().cloned().collect()
    }

    /// How many there were since the start.
    pub fn in_all(&self) -> u64 {
        self.in_all
    }

    fn forget_one(&mut self) {
        let mut kinds: HashMap<Option<&UserName>, usize> = HashMap::new();
        self.kinds.iter().for_each(|refusal| *kinds.entry(refusal.key.user.as_ref()).or_default() += 1);
        let most = kinds.values().max();
        let oldest = self.kinds.iter().rposition(|refusal| kinds.get(&refusal.key.user.as_ref()) == most);
        if let Some(oldest) = oldest {
            self.kinds.remove(oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::words::Event;
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn refusal(user: Option<&str>, network: u32, command: &str) -> Refusal {
        let user = user.and_then(|name| UserName::new(name.as_bytes()));
        let client = SocketAddr::new(network.to_be_bytes().into(), 1);
        let key = Key::new(Event::RequestRefused).by(user.as_ref()).from(client.ip()).about(command);
        Refusal::new(key, client, 1, NOW)
    }

    #[test]
    fn of_a_kind_there_is_the_last_and_how_many_and_it_comes_first() {
        let mut refusals = Refusals::default();
        let later = NOW + Duration::from_secs(9);
        let (first, second) = (refusal(Some("a"), 1 << 8, "get"), refusal(Some("a"), 1 << 8, "set"));
        let again = Refusal { client: "0.0.1.7:7".parse().unwrap(), times: (later, later), count: 4, ..first.clone() };
        [first, second.clone(), again.clone()].into_iter().for_each(|refusal| refusals.note(refusal));
        assert_eq!(refusals.latest(), [Refusal { count: 5, times: (NOW, later), ..again }, second]);
        assert_eq!(refusals.in_all(), 6);
    }

    #[test]
    fn there_are_never_more_than_a_hundred_and_a_flood_hides_nobody_else() {
        for hostile in [None, Some("eve")] {
            let mut refusals = Refusals::default();
            let shop = refusal(Some("shop"), 7 << 8, "flushall");
            refusals.note(shop.clone());
            (0..5000_u32).for_each(|network| refusals.note(refusal(hostile, network << 8, "get")));
            let latest = refusals.latest();
            assert_eq!((latest.len(), latest.last()), (MOST, Some(&shop)));
            assert_eq!(latest[0], refusal(hostile, 4999 << 8, "get"));
        }
    }

    #[test]
    fn what_somebody_makes_up_is_no_longer_than_one_can_read() {
        let refusal = refusal(None, 1, "auth").as_user(&"漢".repeat(60_000));
        assert_eq!(refusal.login_user.unwrap().chars().count(), SHOWN + 1);
        assert_eq!(clipped("漢字"), "漢字");
    }
}

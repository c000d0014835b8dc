//! What was refused of late, for whoever looks: of each kind the last, and how often.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
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

    /// The same of a certificate that nobody vouches for.
    pub fn with_shown(self, head: Option<&x509::Head>) -> Refusal {
        let shown = |head: &x509::Head| Shown::new(&head.subject.display(), &beginning(&head.serial));
        Refusal { certificate: head.map(shown), ..self }
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
///
/// All workers note here, and one client can be refused a million requests a second: whatever is kept, none is looked through.
#[derive(Debug, Default)]
pub struct Refusals {
    /// Which note the last of each kind was.
    numbers: HashMap<Key, u64>,
    /// The kinds of each user who has some, by those numbers.
    kinds: HashMap<Option<UserName>, BTreeMap<u64, Refusal>>,
    noted: u64,
    in_all: u64,
}

impl Refusals {
    /// Something was refused just now.
    pub fn note(&mut self, refusal: Refusal) {
        self.in_all += refusal.count;
        self.noted += 1;
        let kinds = self.kinds.entry(refusal.key.culprit().cloned()).or_default();
        let known = self.numbers.insert(refusal.key.clone(), self.noted);
        let before = known.and_then(|number| kinds.remove(&number));
        let (count, since) = before.map_or((0, refusal.times.0), |before| (before.count, before.times.0));
        let (count, times) = (refusal.count + count, (since, refusal.times.1));
        kinds.insert(self.noted, Refusal { count, times, ..refusal });
        if self.numbers.len() > MOST {
            self.forget_one();
        }
    }

    /// All that are kept, the latest first.
    pub fn latest(&self) -> Vec<Refusal> {
        let mut kinds: Vec<_> = self.kinds.values().flatten().collect();
        kinds.sort_by_key(|(number, _)| Reverse(**number));
        kinds.into_iter().map(|(_, refusal)| refusal.clone()).collect()
    }

    /// How many there were since the start.
    pub fn in_all(&self) -> u64 {
        self.in_all
    }

    fn forget_one(&mut self) {
        let most = self.kinds.values().map(BTreeMap::len).max();
        let fullest = self.kinds.values_mut().filter(|kinds| Some(kinds.len()) == most);
        let oldest = fullest.min_by_key(|kinds| kinds.keys().next().copied());
        if let Some((_, refusal)) = oldest.and_then(BTreeMap::pop_first) {
            self.numbers.remove(&refusal.key);
        }
        if most == Some(1) {
            self.kinds.retain(|_, kinds| !kinds.is_empty());
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
    fn whoever_fails_to_log_in_under_a_name_hides_nothing_of_that_user() {
        let mut refusals = Refusals::default();
        let shop = refusal(Some("shop"), 7 << 8, "flushall");
        refusals.note(shop.clone());
        (0..5000_u32).for_each(|network| {
            let failed = refusal(Some("shop"), network << 8, "auth");
            refusals.note(Refusal { key: Key { event: Event::LoginFailed, ..failed.key.clone() }, ..failed });
        });
        assert_eq!(refusals.latest().last(), Some(&shop));
    }

    #[test]
    fn of_more_users_than_are_kept_who_was_refused_longest_ago_is_forgotten() {
        let mut refusals = Refusals::default();
        let of = |number: usize| refusal(Some(&format!("user-{number}")), 1 << 8, "get");
        (0..=MOST).for_each(|number| refusals.note(of(number)));
        refusals.note(of(1));
        refusals.note(of(0));
        let latest = refusals.latest();
        assert_eq!((latest.len(), refusals.kinds.len(), refusals.numbers.len()), (MOST, MOST, MOST));
        assert_eq!((&latest[0], latest[1].count, latest.last()), (&of(0), 2, Some(&of(3))));
    }

    #[test]
    fn what_somebody_makes_up_is_no_longer_than_one_can_read() {
        let refusal = refusal(None, 1, "auth").as_user(&"漢".repeat(60_000));
        assert_eq!(refusal.login_user.unwrap().chars().count(), SHOWN + 1);
        assert_eq!(clipped("漢字"), "漢字");
    }
}

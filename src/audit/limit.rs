//! Which events have a line of their own: the first of each key in a second. The others are summed into one line at its
//! end, so that nobody's garbage hides what somebody else does, and nothing goes without a trace.

use std::collections::{BTreeSet, HashMap};
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::words::Event;
use crate::acl::UserName;
use crate::identity::PeerIdentity;

/// How long a second lasts at least: until somebody asks for its sums.
const SECOND: Duration = Duration::from_secs(1);

/// Keys that are told apart in one second. The events of all others have one sum.
const KEYS: usize = 4096;

/// As many of them are for one user, and for all clients who are nobody: whoever has as many networks and commands as he likes takes
/// none of what others do, and fills no disk.
const KEYS_OF_ONE: usize = 64;

/// So many commands of one user are named in the sums of [coarse](Key::coarse) keys: more than there are in Redis, so that nobody's
/// noise hides what else he did.
const COMMANDS_OF_USER: usize = 512;

/// Failed logins are told by so many names of users in one second, whoever tries them: of a name nobody is the culprit, and there may be
/// more of them than keys.
const NAMES_TRIED: usize = 512;

/// As many are kept for [coarse](Key::coarse) keys alone.
const COARSE_KEYS: usize = KEYS / 4;

/// A client's certificate. One is another where a byte of it is.
#[derive(Debug, Clone)]
pub struct Certificate(pub Arc<PeerIdentity>);

impl PartialEq for Certificate {
    fn eq(&self, other: &Certificate) -> bool {
        self.0.sha256() == other.0.sha256()
    }
}

impl Eq for Certificate {}

impl Hash for Certificate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.sha256().hash(state);
    }
}

/// What events have in common that are summed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// What happened.
    pub event: Event,
    /// To or by whom, if there is such a user.
    pub user: Option<UserName>,
    /// By which certificate, if one of our CAs vouches for it: of others a stranger could make as many as he likes.
    pub certificate: Option<Certificate>,
    /// Where from: the /24 or /64 of the client.
    pub network: Option<IpNet>,
    /// Why, as one of the [words](super::words); empty where that is not a question.
    pub reason: &'static str,
    /// What was asked for: a name of the command table, or `unknown`.
    pub command: Option<Box<str>>,
    /// By which tunnel, as it is configured.
    pub tunnel: Option<Box<str>>,
}

impl Key {
    /// The key of an event that is nobody's and comes from nowhere.
    pub fn new(event: Event) -> Key {
        Key { event, user: None, certificate: None, network: None, reason: "", command: None, tunnel: None }
    }

    /// The same from this address.
    pub fn from(self, client: IpAddr) -> Key {
        let length = if client.is_ipv4() { 24 } else { 64 };
        Key { network: IpNet::new(client, length).ok().map(|network| network.trunc()), ..self }
    }

    /// The same by this user.
    pub fn by(self, user: Option<&UserName>) -> Key {
        Key { user: user.cloned(), ..self }
    }

    /// The same with this certificate.
    pub fn with(self, certificate: Option<&Arc<PeerIdentity>>) -> Key {
        Key { certificate: certificate.cloned().map(Certificate), ..self }
    }

    /// The same for this reason.
    pub fn because(self, reason: &'static str) -> Key {
        Key { reason, ..self }
    }

    /// The same about this command.
    pub fn about(self, command: &str) -> Key {
        Key { command: Some(command.into()), ..self }
    }

    /// The same of this tunnel.
    pub fn of(self, tunnel: &str) -> Key {
        Key { tunnel: Some(tunnel.into()), ..self }
    }

    /// The same from wherever and about whatever: there are few of these to a user, and to nobody. Certificates are told
    /// apart all the same: a stolen one must not hide behind the one that it was stolen for.
    fn coarse(self) -> Key {
        Key { network: None, command: None, ..self }
    }

    /// Who has caused such events: a login that failed was not the user's whose name was tried.
    pub(super) fn culprit(&self) -> Option<&UserName> {
        self.user.as_ref().filter(|_| self.event != Event::LoginFailed)
    }
}

/// The events of the second that lasts.
#[derive(Debug, Default)]
pub struct Limit {
    /// When its first event came; `None` before that.
    began: Option<Instant>,
    /// By key, events that have no line of their own.
    left_out: HashMap<Key, Sum>,
    /// What each user takes of that, and clients who are nobody.
    shares: HashMap<Option<UserName>, Share>,
    /// In coarse keys of failed logins.
    names_tried: usize,
    others: u64,
}

/// What was left out in one second.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Of which key, in no order.
    pub by_key: Vec<(Key, Sum)>,
    /// How many events of all other keys.
    pub others: u64,
}

/// What was left out of one key.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Sum {
    /// How many events, at least one.
    pub count: u64,
    /// What they were about, where the key does not say it.
    pub commands: BTreeSet<Box<str>>,
}

#[derive(Debug, Default)]
struct Share {
    /// Keys that are not coarse.
    fine: usize,
    /// Commands in the sums of coarse ones.
    commands: usize,
}

impl Limit {
    /// So many events of one key have happened, one at least. Whether the first of them has a line of its own; the rest is
    /// in the sums.
    #[must_use]
    pub fn admit(&mut self, key: Key, count: u64, now: Instant) -> bool {
        let (left_out, is_new) = self.left_out_of(key, now);
        *left_out += count.saturating_sub(u64::from(is_new));
        is_new
    }

    /// What was to be written and cannot be is in the sums of the second that lasts.
    pub fn take_back(&mut self, sums: Sums, now: Instant) {
        for (key, sum) in sums.by_key {
            *self.left_out_of(key.clone(), now).0 += sum.count;
            if let Some(left_out) = self.left_out.get_mut(&key) {
                left_out.commands.extend(sum.commands);
            }
        }
        self.others += sums.others;
    }

    /// How many are left out of those that are told with this one, and whether it is the first. Where there is no room for a
    /// key, its events are told together with others like it.
    fn left_out_of(&mut self, key: Key, now: Instant) -> (&mut u64, bool) {
        self.began.get_or_insert(now);
        if self.left_out.contains_key(&key) {
            return (&mut self.left_out.entry(key).or_default().count, false);
        }
        let share = self.shares.entry(key.culprit().cloned()).or_default();
        if share.fine < KEYS_OF_ONE && self.left_out.len() < KEYS - COARSE_KEYS {
            share.fine += 1;
            return (&mut self.left_out.entry(key).or_default().count, true);
        }
        let command = key.command.clone();
        let mut key = key.coarse();
        let mut is_new = !self.left_out.contains_key(&key);
        if is_new && key.event == Event::LoginFailed && key.user.is_some() {
            if self.names_tried < NAMES_TRIED {
                self.names_tried += 1;
            } else {
                key.user = None;
                is_new = !self.left_out.contains_key(&key);
            }
        }
        if is_new && self.left_out.len() >= KEYS {
            return (&mut self.others, false);
        }
        let sum = self.left_out.entry(key).or_default();
        if let Some(command) = command
            && share.commands < COMMANDS_OF_USER
            && sum.commands.insert(command)
        {
            share.commands += 1;
        }
        (&mut sum.count, is_new)
    }

    /// What was left out in the second that is over by now, if one is. The next begins with the next event.
    pub fn end_second(&mut self, now: Instant) -> Option<Sums> {
        let began = self.began?;
        (now.duration_since(began) >= SECOND).then(|| self.end())
    }

    /// What was left out so far.
    pub fn end(&mut self) -> Sums {
        let ended = std::mem::take(self);
        let by_key = ended.left_out.into_iter().filter(|(_, sum)| sum.count > 0).collect();
        Sums { by_key, others: ended.others }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::test_pki::{Authority, client};

    fn of(count: u64) -> Sum {
        Sum { count, ..Sum::default() }
    }

    fn key(reason: &'static str) -> Key {
        Key::new(Event::HandshakeFailed).from([192, 0, 2, 7].into()).because(reason)
    }

    fn user(name: &str) -> Option<UserName> {
        UserName::new(name.as_bytes())
    }

    fn certificate(name: &str) -> Arc<PeerIdentity> {
        let issued = Authority::new("root").issue(client(name));
        Arc::new(PeerIdentity::from_der(&issued.der, None).unwrap())
    }

    #[test]
    fn the_first_of_each_key_has_a_line_and_the_others_of_the_second_one_sum() {
        let (mut limit, begin) = (Limit::default(), Instant::now());
        assert!(limit.admit(key("plaintext"), 1, begin));
        assert!(!limit.admit(key("plaintext"), 1, begin));
        assert!(limit.admit(key("timeout"), 1, begin));
        assert!(!limit.admit(key("plaintext"), 5, begin + SECOND), "the second lasts until its sums are taken");
        assert_eq!(limit.end_second(begin + SECOND / 2), None);
        assert_eq!(limit.end_second(begin + SECOND), Some(Sums { by_key: vec![(key("plaintext"), of(6))], others: 0 }));
        assert_eq!(limit.end_second(begin + 9 * SECOND), None, "nothing is counted twice");
        assert!(limit.admit(key("plaintext"), 1, begin + 9 * SECOND));
        assert_eq!(limit.end_second(begin + 9 * SECOND), None);
        assert_eq!(limit.end_second(begin + 10 * SECOND), Some(Sums::default()));
    }

    #[test]
    fn of_events_that_come_together_the_first_has_a_line() {
        let (mut limit, now) = (Limit::default(), Instant::now());
        assert!(limit.admit(key("plaintext"), 1000, now));
        assert_eq!(limit.end(), Sums { by_key: vec![(key("plaintext"), of(999))], others: 0 });
    }

    #[test]
    fn what_could_not_be_written_is_in_the_next_sum() {
        let (mut limit, now) = (Limit::default(), Instant::now());
        assert!(limit.admit(key("plaintext"), 3, now));
        let mut sums = limit.end();
        sums.by_key.push((key("timeout"), of(5)));
        limit.take_back(Sums { others: 7, ..sums }, now);
        assert!(!limit.admit(key("plaintext"), 1, now), "it has no line before the sum that it is in");
        let mut sums = limit.end_second(now + SECOND).unwrap();
        sums.by_key.sort_by_key(|(_, sum)| sum.count);
        assert_eq!(sums, Sums { by_key: vec![(key("plaintext"), of(3)), (key("timeout"), of(5))], others: 7 });
    }

    #[test]
    fn whatever_differs_in_a_key_is_told_apart() {
        let (mut limit, now) = (Limit::default(), Instant::now());
        let get = Key::new(Event::RequestRefused).by(user("a").as_ref()).from([192, 0, 2, 7].into()).about("get");
        let other_network = Key { network: "2001:db8::/64".parse().ok(), ..get.clone() };
        let keys = [
            Key { event: Event::Close, ..get.clone() },
            Key { user: user("b"), ..get.clone() },
            get.clone().with(Some(&certificate("one"))),
            get.clone().with(Some(&certificate("other"))),
            Key { reason: "blocked", ..get.clone() },
            Key { command: Some("unknown".into()), ..get.clone() },
            other_network,
            get,
        ];
        assert!(keys.into_iter().all(|key| limit.admit(key, 1, now)));
    }

    #[test]
    fn two_certificates_are_never_in_one_sum_however_much_there_is_to_tell() {
        let (mut limit, now) = (Limit::default(), Instant::now());
        let eve = user("eve");
        let used = [certificate("own"), certificate("stolen")];
        for key in flood(eve.as_ref()).chain(flood(eve.as_ref())) {
            for used in &used {
                let _ = limit.admit(key.clone().with(Some(used)), 1, now);
            }
        }
        let sums = limit.end();
        assert_eq!(sums.others, 0);
        let told_of =
            |used| sums.by_key.iter().filter(move |(key, _)| key.certificate == Some(Certificate(Arc::clone(used))));
        for used in &used {
            // Those that have a line of their own are in no sum.
            let (own, sum) = (KEYS_OF_ONE as u64 / 2 + 1, told_of(used).map(|(_, sum)| sum.count).sum::<u64>());
            assert_eq!(own + sum, 20_000);
        }
    }

    #[test]
    fn addresses_of_a_24_or_a_64_are_one() {
        let of = |address: &str| Key::new(Event::Close).from(address.parse().unwrap());
        assert_eq!(of("192.0.2.7"), of("192.0.2.200"));
        assert_ne!(of("192.0.2.7"), of("192.0.3.7"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1:2:3"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    }

    #[test]
    fn keys_are_bounded_and_every_event_is_counted() {
        let (mut limit, now) = (Limit::default(), Instant::now());
        let users = |number: usize| Key::new(Event::RequestRefused).by(user(&format!("user-{number}")).as_ref());
        let admitted = (0..10_000).filter(|number| limit.admit(users(*number), 2, now)).count();
        assert_eq!(admitted, KEYS);
        let sums = limit.end();
        assert_eq!(sums.others, 2 * (10_000 - KEYS as u64));
        assert_eq!((sums.by_key.len(), sums.by_key.iter().map(|(_, sum)| sum.count).sum::<u64>()), (KEYS, KEYS as u64));
    }

    #[test]
    fn whoever_tries_the_names_of_thousands_of_users_takes_no_line_of_others() {
        let (mut limit, now) = (Limit::default(), Instant::now());
        let failed = |name: &str| Key::new(Event::LoginFailed).by(user(name).as_ref()).because("wrong-password");
        for number in 0..2 * KEYS {
            let _ = limit.admit(failed(&format!("user-{number}")), 1, now);
        }
        assert!(limit.admit(Key::new(Event::RequestRefused).by(user("alice").as_ref()).about("flushall"), 1, now));
        let sums = limit.end();
        assert_eq!(sums.others, 0);
        let nameless = sums.by_key.iter().find(|(key, _)| key.event == Event::LoginFailed && key.user.is_none());
        let own_lines = KEYS_OF_ONE + NAMES_TRIED + 1;
        assert_eq!(nameless.map(|(_, sum)| sum.count), Some((2 * KEYS - own_lines) as u64));
    }

    /// What one does from as many networks and with as many commands as there are.
    fn flood(of: Option<&UserName>) -> impl Iterator<Item = Key> {
        (0..10_000_u32).map(move |number| {
            let key = Key::new(Event::RequestRefused).by(of).about(&format!("command-{}", number % 300));
            key.from(u32::to_be_bytes(number << 8).into())
        })
    }

    #[test]
    fn whatever_one_user_or_nobody_does_what_others_do_has_its_line() {
        let now = Instant::now();
        for hostile in [None, user("eve")] {
            let mut limit = Limit::default();
            let admitted = flood(hostile.as_ref()).filter(|key| limit.admit(key.clone(), 1, now)).count();
            assert_eq!(admitted, 1 + KEYS_OF_ONE);
            for other in [user("admin"), user("shop")] {
                let key = Key::new(Event::RequestRefused).by(other.as_ref()).from([192, 0, 2, 7].into());
                assert!(limit.admit(key.clone().about("config"), 1, now));
                assert!(limit.admit(key.about("flushall"), 1, now));
            }
            assert!(limit.admit(key("untrusted"), 1, now), "of nobody");
            assert!(limit.admit(Key::new(Event::AcceptFailed), 1, now), "no client's");
        }
    }

    #[test]
    fn of_a_kind_of_which_too_much_is_told_apart_the_first_has_a_line_all_the_same() {
        let (mut limit, now) = (Limit::default(), Instant::now());
        let eve = user("eve");
        flood(eve.as_ref()).for_each(|key| {
            let _ = limit.admit(key, 1, now);
        });
        assert!(limit.admit(Key::new(Event::LoginAccepted).by(eve.as_ref()).from([192, 0, 2, 7].into()), 1, now));
        let sums = limit.end();
        let rest = Key::new(Event::RequestRefused).by(eve.as_ref());
        let rest = sums.by_key.iter().find(|(key, _)| *key == rest).map(|(_, sum)| sum).expect("a sum");
        assert_eq!(rest.count, 10_000 - KEYS_OF_ONE as u64 - 1);
        assert_eq!(sums.others, 0);
    }

    #[test]
    fn whatever_noise_somebody_makes_the_sum_names_every_command() {
        let (mut limit, now) = (Limit::default(), Instant::now());
        let eve = user("eve");
        flood(eve.as_ref()).for_each(|key| {
            let _ = limit.admit(key, 1, now);
        });
        let permitted = |command| Key::new(Event::RequestPermitted).by(eve.as_ref()).about(command);
        assert!(limit.admit(permitted("keys"), 1, now));
        assert!(!limit.admit(permitted("flushall"), 1, now));
        let of =
            |sums: Sums, event| sums.by_key.into_iter().find(|(key, _)| key.event == event && key.command.is_none());
        let (_, told) = of(limit.end(), Event::RequestPermitted).expect("a sum");
        assert_eq!(told, Sum { count: 1, commands: ["flushall", "keys"].map(Box::from).into() });
        limit.take_back(Sums { by_key: vec![(permitted("").coarse(), told.clone())], others: 0 }, now);
        assert_eq!(of(limit.end(), Event::RequestPermitted).expect("a sum").1, told, "it is written later");
    }

    #[test]
    fn commands_in_sums_are_bounded() {
        let (mut limit, now) = (Limit::default(), Instant::now());
        let eve = user("eve");
        for number in 0..10_000 {
            let key = Key::new(Event::RequestRefused).by(eve.as_ref()).about(&format!("command-{number}"));
            let _ = limit.admit(key, 1, now);
        }
        assert_eq!(limit.end().by_key.iter().map(|(_, sum)| sum.commands.len()).sum::<usize>(), COMMANDS_OF_USER);
    }

    #[test]
    fn whoever_fails_to_log_in_under_a_name_takes_no_line_of_that_user() {
        let (mut limit, now) = (Limit::default(), Instant::now());
        let admin = user("admin");
        for number in 0..10_000_u32 {
            let key = Key::new(Event::LoginFailed).by(admin.as_ref()).from(u32::to_be_bytes(number << 8).into());
            let _ = limit.admit(key, 1, now);
        }
        let key = Key::new(Event::RequestPermitted).by(admin.as_ref()).from([192, 0, 2, 7].into());
        let _ = limit.admit(key.clone().about("keys"), 1, now);
        assert!(limit.admit(key.about("flushall"), 1, now));
    }
}

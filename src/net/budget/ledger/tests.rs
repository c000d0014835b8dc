use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

const LIMIT: u64 = 1000;

fn user(name: &str) -> Holder {
    Holder::User(UserName::new(name.as_bytes()).unwrap())
}

fn stranger(number: u8) -> Holder {
    Holder::of(None, Ipv4Addr::new(192, 0, 2, number).into())
}

/// Ledger and sessions as they should be.
#[derive(Default)]
struct Rig {
    ledger: Ledger,
    sessions: Vec<Session>,
}

struct Session {
    entry: Entry,
    is_going: bool,
}

impl Rig {
    fn with(sessions: &[(&Holder, u64)]) -> Self {
        let mut rig = Self::default();
        for (holder, bytes) in sessions {
            rig.enter((*holder).clone(), *bytes);
        }
        rig
    }

    fn enter(&mut self, holder: Holder, bytes: u64) {
        let mut entry = self.ledger.enter(holder);
        entry.hold(bytes);
        self.sessions.push(Session { entry, is_going: false });
    }

    fn leave(&mut self, index: usize) {
        let mut session = self.sessions.remove(index);
        session.entry.hold(0);
        self.ledger.leave(&session.entry);
    }

    fn move_to(&mut self, index: usize, holder: Holder) {
        self.ledger.move_to(&mut self.sessions[index].entry, holder);
    }

    fn sum(&self, is_such: impl Fn(&Session) -> bool) -> u64 {
        self.sessions.iter().filter(|session| is_such(session)).map(|session| session.entry.held()).sum()
    }

    /// Who has to go now, in order: what each held, for whom.
    fn evict(&mut self) -> Vec<(Holder, u64)> {
        let mut evicted = Vec::new();
        while let Some(holding) = self.ledger.next_to_evict(self.sum(|_| true), LIMIT) {
            let index =
                self.sessions.iter().position(|session| Arc::ptr_eq(session.entry.holding(), &holding)).unwrap();
            assert!(!self.sessions[index].is_going, "told twice");
            self.expect_largest(index);
            self.sessions[index].is_going = true;
            evicted.push((self.sessions[index].entry.holder().clone(), holding.held()));
        }
        evicted
    }

    /// It has to be more than the limit, and this the largest of the largest: of strangers while they hold more than an
    /// eighth.
    fn expect_largest(&self, index: usize) {
        let staying = || self.sessions.iter().filter(|session| !session.is_going);
        let mut sums: HashMap<&Holder, u64> = HashMap::new();
        staying().for_each(|session| *sums.entry(session.entry.holder()).or_default() += session.entry.held());
        assert!(sums.values().sum::<u64>() > LIMIT, "one too many is told");
        let chosen = &self.sessions[index];
        let is_stranger = |holder: &Holder| matches!(holder, Holder::Origin(_));
        if sums.iter().filter(|(holder, _)| is_stranger(holder)).map(|(_, sum)| sum).sum::<u64>() > LIMIT / 8 {
            assert!(is_stranger(chosen.entry.holder()), "a user has to go for strangers");
            sums.retain(|holder, _| is_stranger(holder));
        }
        assert_eq!(sums.values().max(), sums.get(chosen.entry.holder()), "another user holds more");
        let of_holder = staying().filter(|other| other.entry.holder() == chosen.entry.holder());
        assert_eq!(of_holder.map(|other| other.entry.held()).max(), Some(chosen.entry.held()), "another session does");
    }
}

#[test]
fn nobody_is_cut_within_the_limit() {
    let (alice, bob) = (user("alice"), user("bob"));
    assert_eq!(Rig::with(&[(&alice, 900), (&bob, 100)]).evict(), []);
    assert_eq!(Rig::default().evict(), []);
}

#[test]
fn the_largest_session_of_the_user_that_holds_most_is_cut_though_another_asks() {
    let (alice, bob) = (user("alice"), user("bob"));
    let mut rig = Rig::with(&[(&bob, 450), (&alice, 300), (&alice, 301), (&bob, 1)]);
    assert_eq!(rig.evict(), [(alice, 301)]);
}

#[test]
fn whoever_was_told_to_go_is_counted_on_until_he_is_gone() {
    let alice = user("alice");
    let mut rig = Rig::with(&[(&alice, 600), (&alice, 500)]);
    assert_eq!(rig.evict().len(), 1);
    assert_eq!(rig.evict(), []);
    rig.enter(alice.clone(), 501);
    assert_eq!(rig.evict(), [(alice.clone(), 501)]);
    rig.leave(0);
    assert_eq!((rig.evict(), rig.ledger.holders[&alice].going.len()), (vec![], 1));
}

#[test]
fn two_of_the_same_size_lose_one_session_for_what_one_gives_back() {
    let (alice, bob) = (user("alice"), user("bob"));
    let mut rig = Rig::with(&[(&alice, 510), (&bob, 510)]);
    assert_eq!(rig.evict().len(), 1);
}

#[test]
fn of_thousands_that_hold_little_as_few_go_as_it_takes() {
    let mut rig = Rig::default();
    for number in 0..1200 {
        rig.enter(user(&format!("user-{number}")), 1);
    }
    rig.enter(user("larger"), 3);
    let evicted = rig.evict();
    assert_eq!((evicted.len(), &evicted[0]), (201, &(user("larger"), 3)));
}

#[test]
fn strangers_from_many_addresses_are_cut_before_a_user_while_they_hold_more_than_an_eighth() {
    let alice = user("alice");
    let mut rig = Rig::with(&[(&alice, 860)]);
    (1..=14).for_each(|number| rig.enter(stranger(number), 10));
    assert_eq!(rig.evict().len(), 0);
    rig.enter(alice.clone(), 20);
    let evicted = rig.evict();
    assert_eq!((evicted.len(), evicted.iter().any(|(holder, _)| *holder == alice)), (2, false));
    rig.enter(alice.clone(), 30);
    assert_eq!(rig.evict(), [(alice, 860)]);
}

#[test]
fn of_whoever_may_go_on_over_the_limit_all_together_have_room_within_it() {
    let (alice, bob, eve) = (user("alice"), user("bob"), user("eve"));
    let mut rig =
        Rig::with(&[(&alice, 333), (&bob, 334), (&eve, 200), (&eve, 900), (&stranger(1), 62), (&stranger(2), 63)]);
    let within = |rig: &Rig| -> Vec<bool> {
        rig.sessions.iter().map(|session| rig.ledger.is_within_share(&session.entry, LIMIT)).collect()
    };
    assert_eq!(within(&rig), [true, false, false, false, true, false]);
    rig.leave(4);
    rig.leave(2);
    rig.leave(2);
    assert_eq!(within(&rig), [true, true, true]);
}

#[test]
fn a_session_counts_to_whom_it_acts_for_now() {
    let (alice, bob) = (user("alice"), user("bob"));
    let mut rig = Rig::with(&[(&alice, 400), (&bob, 401)]);
    rig.enter(alice.clone(), 350);
    rig.move_to(0, bob.clone());
    assert_eq!(rig.evict(), [(bob, 401)]);
}

#[test]
fn who_is_nobody_yet_is_told_apart_by_address_and_an_ipv6_network_is_one() {
    let of = |address: &str| Holder::of(None, address.parse().unwrap());
    assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
    assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    let alice = UserName::new(b"alice").unwrap();
    let known = Holder::of(Some(&alice), Ipv4Addr::LOCALHOST.into());
    assert!(known.is(Some(&alice)) && !known.is(None));
    let unknown = Holder::of(None, Ipv6Addr::LOCALHOST.into());
    assert!(unknown.is(None) && !unknown.is(Some(&alice)));
}

#[derive(Debug, Clone)]
enum Step {
    Enter(usize, u64),
    Hold(usize, u64),
    Move(usize, usize),
    Leave(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4_usize, 0..400_u64).prop_map(|(holder, bytes)| Step::Enter(holder, bytes)),
        (any::<usize>(), 0..400_u64).prop_map(|(session, bytes)| Step::Hold(session, bytes)),
        (any::<usize>(), 0..4_usize).prop_map(|(session, holder)| Step::Move(session, holder)),
        any::<usize>().prop_map(Step::Leave),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_as_few_go_as_it_takes_and_the_largest_of_the_largest_first(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let holders = [user("a"), user("b"), stranger(1), stranger(2)];
        let mut rig = Rig::default();
        for step in steps {
            let count = rig.sessions.len();
            match step {
                Step::Enter(holder, bytes) => rig.enter(holders[holder].clone(), bytes),
                _ if count == 0 => {}
                Step::Hold(session, bytes) => rig.sessions[session % count].entry.hold(bytes),
                Step::Move(session, holder) => rig.move_to(session % count, holders[holder].clone()),
                Step::Leave(session) => rig.leave(session % count),
            }
            // Who they are is looked at while they are evicted.
            rig.evict();
            prop_assert!(rig.sum(|session| !session.is_going) <= LIMIT, "too few have to go");
            for holder in &holders {
                let held = rig.sum(|session| session.entry.holder() == holder);
                let known = rig.ledger.holders.get(holder).map(|sessions| sessions.held.load(Ordering::Relaxed));
                prop_assert_eq!(known.unwrap_or(0), held);
            }
        }
        (0..rig.sessions.len()).rev().for_each(|index| rig.leave(index));
        prop_assert!(rig.ledger.holders.is_empty());
    }
}

//! Held against the whole history, which forgets nothing and asks every edition that was ever read.

use super::*;
use crate::identity::test_pki::Authority;
use crate::identity::x509::{Certificate, Name};

/// The names of the keys. Two CAs share one, and somebody forges lists in that name whose key is never known.
const KEYS: [&str; 4] = ["root", "root", "issuing", "root"];
const FORGER: usize = 3;
const SERIAL: [&str; SERIALS] = ["01", "02", "03", "04"];
const SERIALS: usize = 4;

/// An edition, in small numbers.
#[derive(Clone, Copy, PartialEq)]
struct Small {
    key: usize,
    is_part: bool,
    number: Option<u8>,
    date: i64,
    /// One bit each.
    serials: u64,
}

impl Small {
    fn supersedes(&self, other: &Small) -> bool {
        let is_of_same_list = (self.key, self.is_part) == (other.key, other.is_part);
        let is_as_new = self.number >= other.number && self.date >= other.date;
        is_of_same_list && is_as_new && (self.number, self.date) != (other.number, other.date)
    }

    fn revokes(&self, name: &str, serial: usize) -> bool {
        KEYS[self.key] == name && self.serials >> serial & 1 == 1
    }
}

/// Everything that was read. An edition that counts no more has been superseded by one of the same known key and has left
/// the files, at a time when somebody might be let in.
#[derive(Default)]
struct History(Vec<(Small, bool)>);

impl History {
    fn read(&mut self, files: &[Small], known: [bool; KEYS.len()], may_let_in: bool) {
        for edition in files {
            match self.0.iter_mut().find(|(other, _)| other == edition) {
                Some((_, is_over)) => *is_over = false,
                None => self.0.push((*edition, false)),
            }
        }
        if may_let_in {
            let is_over = |edition: &Small| {
                let is_superseded = self.0.iter().any(|(other, _)| other.supersedes(edition));
                known[edition.key] && is_superseded && !files.contains(edition)
            };
            let now: Vec<bool> = self.0.iter().map(|(edition, _)| is_over(edition)).collect();
            self.0.iter_mut().zip(now).for_each(|((_, is_over), now)| *is_over |= now);
        }
    }

    fn revokes(&self, name: &str, serial: usize) -> bool {
        self.0.iter().any(|(edition, is_over)| !is_over && edition.revokes(name, serial))
    }
}

impl Editions {
    /// Together with what the files hold.
    fn revoke(&self, read: &[Edition], issuer: &CanonicalName, serial: &str) -> bool {
        let mut in_files = read.iter().map(|edition| &edition.list);
        if in_files.any(|list| list.issuer() == issuer && list.revokes(serial)) {
            return true;
        }
        let mut named = self.0.iter().filter(|known| known.id.issuer == *issuer);
        named.any(|known| {
            known.withheld.contains(serial) || known.newest.iter().any(|edition| edition.list.revokes(serial))
        })
    }
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(u64::try_from(length).expect("few"))).expect("few")
    }

    fn is_one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

/// The CRLs of a few CAs whose operator does whatever operators do.
struct World {
    random: Random,
    has_forger: bool,
    made: Vec<Small>,
    files: Vec<Small>,
    known: [bool; KEYS.len()],
}

impl World {
    fn new(seed: u64) -> World {
        let mut random = Random(seed);
        let known = [true, random.is_one_in(2), random.is_one_in(2), false];
        World { has_forger: random.is_one_in(3), random, made: Vec::new(), files: Vec::new(), known }
    }

    fn step(&mut self) {
        match self.random.below(8) {
            0..=2 => {
                let edition = self.next_edition();
                self.made.push(edition);
                if self.random.is_one_in(2) {
                    // The file of this list is replaced.
                    self.files.retain(|other| (other.key, other.is_part) != (edition.key, edition.is_part));
                }
                self.files.push(edition);
            }
            3 | 4 if !self.made.is_empty() => {
                let old = self.made[self.random.index(self.made.len())];
                if self.random.is_one_in(2) {
                    self.files.retain(|other| (other.key, other.is_part) != (old.key, old.is_part));
                }
                self.files.push(old);
            }
            5 if !self.files.is_empty() => {
                let gone = self.random.index(self.files.len());
                self.files.remove(gone);
            }
            6 if self.random.is_one_in(4) => self.files.clear(),
            // A client CA is added. That it goes again makes no difference.
            7 => {
                let key = self.random.index(FORGER);
                self.known[key] = true;
            }
            _ => {}
        }
    }

    fn next_edition(&mut self) -> Small {
        let key = self.random.index(if self.has_forger { KEYS.len() } else { FORGER });
        let is_part = self.random.is_one_in(4);
        let last = self.made.iter().rev().find(|made| made.key == key && made.is_part == is_part);
        let (number, date) = last.map_or((Some(250), 100), |last| (last.number, last.date));
        let number = match self.random.below(12) {
            0 => None,
            1 => Some(1),
            2 | 3 => number,
            _ => Some(number.unwrap_or_default().saturating_add(1)),
        };
        let date = if self.random.is_one_in(10) { date - 2 } else { date + i64::from(!self.random.is_one_in(4)) };
        Small { key, is_part, number, date, serials: self.random.below(1 << SERIALS) }
    }
}

/// A list that costs no signature: the number of its key stands for one.
fn crl(edition: &Small, names: &[Name]) -> Arc<UsableList> {
    let Small { key, is_part, number, date, serials } = *edition;
    let of_bit = |serial: &usize| serials >> serial & 1 == 1;
    Arc::new(UsableList::for_test(RevocationList {
        issuer: names[key].clone(),
        next_update: None,
        serials: (0..SERIALS).filter(of_bit).map(|serial| SERIAL[serial].to_owned()).collect(),
        version: 2,
        has_extensions: true,
        scope: is_part.then(|| vec![1]),
        number: number.map(|number| vec![number]),
        this_update: date,
        signed: format!("{key} {is_part} {number:?} {date} {serials}").into_bytes(),
        signature: vec![u8::try_from(key).expect("few")],
    }))
}

#[test]
fn what_an_edition_has_revoked_stays_revoked_until_a_newer_one_of_its_list_does_not() {
    const WORLDS: u64 = 5_000;
    const STEPS: usize = 40;
    let names = KEYS.map(|name| Certificate::parse(&Authority::new(name).der()).expect("readable").subject);
    let (mut exact, mut revoked) = (0, 0);
    let issuers = [0, 2].map(|key| (KEYS[key], names[key].canonical()));
    let fingerprints: [Fingerprint; KEYS.len()] =
        std::array::from_fn(|key| Fingerprint::of(&[key.try_into().expect("few")]));
    for seed in 0..WORLDS {
        let mut world = World::new(seed);
        let (mut editions, mut history, mut strangers) = (Editions::NONE, History::default(), Vec::new());
        let mut crls: Vec<(Small, Arc<UsableList>)> = Vec::new();
        for step in 0..STEPS {
            world.step();
            crls.extend(world.made[crls.len()..].iter().map(|made| (*made, crl(made, &names))));
            let may_let_in = !world.random.is_one_in(3);
            let known = world.known;
            let signer_of = |list: &RevocationList| {
                let key = usize::from(list.signature[0]);
                known[key].then(|| fingerprints[key])
            };
            let of_file = |file: &Small| crls.iter().find(|(made, _)| made == file).map(|(_, list)| Arc::clone(list));
            let read = world.files.iter().filter_map(of_file);
            let read: Vec<_> = read.map(|list| Edition { signer: signer_of(&list.list), list }).collect();
            editions = editions.after(&read, signer_of, may_let_in);
            history.read(&world.files, known, may_let_in);
            strangers.extend(world.files.iter().filter(|edition| !known[edition.key]).map(|it| KEYS[it.key]));
            for (name, issuer) in &issuers {
                // Where a key was not known, more may stay revoked.
                let is_exact = !strangers.contains(name);
                for (serial, text) in SERIAL.iter().enumerate() {
                    let is = editions.revoke(&read, issuer, text);
                    let should_be = history.revokes(name, serial);
                    assert!(is == should_be || is && !is_exact, "seed {seed}, step {step}: {name} {serial}: {is}");
                    exact += usize::from(is_exact);
                    revoked += usize::from(is);
                }
            }
        }
    }
    assert!(exact > 100_000 && revoked > 100_000, "{exact} {revoked}: the worlds are too dull");
}

#[test]
fn of_a_list_whose_dates_and_numbers_go_on_only_the_newest_edition_is_kept() {
    let names = KEYS.map(|name| Certificate::parse(&Authority::new(name).der()).expect("readable").subject);
    let mut editions = Editions::NONE;
    for number in 0..100 {
        let edition =
            Small { key: 0, is_part: false, number: Some(number), date: number.into(), serials: number.into() };
        let read = [Edition { list: crl(&edition, &names), signer: Some(Fingerprint::of(&[0])) }];
        editions = editions.after(&read, |_| None, number % 2 == 1);
        assert_eq!(editions.all().count(), 1);
        assert!(number % 2 == 0 || editions.lists().all(|known| known.withheld.is_empty()));
    }
}

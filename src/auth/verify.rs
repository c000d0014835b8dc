//! Comparing a password with the hashes of a user, in a time that does not tell who exists. Pure.

use std::collections::BTreeMap;
use std::fmt;

use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

use super::hash::{Cost, Memory, ParsedHash};

/// The work that every refused attempt does, whoever the user is, so that the time it takes does not tell which users
/// exist, are on, or have a password: of each cost as many argon2 computations as the user who has most hashes of that cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalWork(BTreeMap<Cost, usize>);

impl RefusalWork {
    /// What hides these users among each other. It changes with them: an attempt takes that of the generation that its
    /// candidates are of.
    pub fn covering<'a>(users: impl IntoIterator<Item = &'a [ParsedHash]>) -> RefusalWork {
        let mut most = BTreeMap::new();
        for hashes in users {
            let mut own: BTreeMap<Cost, usize> = BTreeMap::new();
            for hash in hashes {
                if let ParsedHash::Argon2id(hash) = hash {
                    *own.entry(hash.cost()).or_default() += 1;
                }
            }
            for (cost, times) in own {
                let most = most.entry(cost).or_default();
                *most = times.max(*most);
            }
        }
        if most.is_empty() { RefusalWork::default() } else { RefusalWork(most) }
    }

    /// Whether it is more than users need who change from one cost to another and have an old and a new password each:
    /// above four times their dearest hash.
    pub fn is_excessive(&self) -> bool {
        let all =
            self.0.iter().map(|(cost, times)| cost.work().saturating_mul(u64::try_from(*times).unwrap_or(u64::MAX)));
        let dearest = self.0.keys().map(|cost| cost.work()).max().unwrap_or_default();
        all.fold(0, u64::saturating_add) > dearest.saturating_mul(4)
    }
}

impl Default for RefusalWork {
    /// Where nobody has an argon2 hash: one of the usual cost, beside which nothing else of a login shows.
    fn default() -> RefusalWork {
        RefusalWork(BTreeMap::from([(Cost::default(), 1)]))
    }
}

impl fmt::Display for RefusalWork {
    /// `2 of m=19456,t=2,p=1 and 1 of m=65536,t=3,p=1`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (cost, times)) in self.0.iter().enumerate() {
            let between = if index == 0 { "" } else { " and " };
            write!(f, "{between}{times} of {cost}")?;
        }
        Ok(())
    }
}

/// Whether a password is one of a user's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Verification {
    /// It is the one of this index.
    Match(usize),
    /// It is none of them, or there are none.
    Mismatch,
}

/// Compares a password with a user's hashes (none for a user that is unknown, off or without password). Before it says
/// [`Verification::Mismatch`] it has done the work of `refusal_work`, no more if that covers the user.
pub fn verify(password: &[u8], hashes: &[ParsedHash], refusal_work: &RefusalWork, memory: &mut Memory) -> Verification {
    if let Some(index) = position_of_digest(password, hashes) {
        return Verification::Match(index);
    }
    let mut left = refusal_work.0.clone();
    for (index, hash) in hashes.iter().enumerate() {
        if let ParsedHash::Argon2id(hash) = hash {
            if hash.is_of(password, memory) {
                return Verification::Match(index);
            }
            left.entry(hash.cost()).and_modify(|times| *times = times.saturating_sub(1));
        }
    }
    for (cost, times) in left {
        (0..times).for_each(|_| memory.waste(password, cost));
    }
    Verification::Mismatch
}

fn position_of_digest(password: &[u8], hashes: &[ParsedHash]) -> Option<usize> {
    let digest: Zeroizing<[u8; 32]> = Zeroizing::new(Sha256::digest(password).into());
    let mut matched = subtle::Choice::from(0);
    let mut position = 0;
    for (index, hash) in hashes.iter().enumerate() {
        if let ParsedHash::Sha256(expected) = hash {
            let equal = expected[..].ct_eq(&digest[..]);
            matched |= equal;
            position.conditional_assign(&(index as u64), equal);
        }
    }
    bool::from(matched).then(|| usize::try_from(position).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::auth::hash::make;

    /// Cheap ones: tests count computations, not time.
    fn cost(number: usize) -> Cost {
        let (memory, passes) = [(8, 1), (8, 2), (16, 1), (24, 1)][number % 4];
        Cost::new(memory, passes, 1).expect("within bounds")
    }

    fn hashed(password: &str, number: usize) -> ParsedHash {
        ParsedHash::from_phc(&make(password.as_bytes(), cost(number)).expect("a hash")).expect("our own reads back")
    }

    fn check(password: &str, hashes: &[ParsedHash], work: &RefusalWork) -> (Verification, Vec<Cost>) {
        let mut memory = Memory::new();
        let verification = verify(password.as_bytes(), hashes, work, &mut memory);
        memory.costs.sort_unstable();
        (verification, memory.costs)
    }

    #[test]
    fn any_of_several_passwords_is_accepted_and_named() {
        let hashes = [hashed("old", 0), ParsedHash::sha256_of(b"older"), hashed("new", 1)];
        let work = RefusalWork::covering([&hashes[..]]);
        for (index, password) in ["old", "older", "new"].into_iter().enumerate() {
            assert_eq!(check(password, &hashes, &work).0, Verification::Match(index));
        }
        assert_eq!(check("newest", &hashes, &work).0, Verification::Mismatch);
    }

    #[test]
    fn the_right_password_costs_no_more_than_the_hashes_up_to_it() {
        let hashes = [hashed("old", 0), hashed("new", 1), hashed("newest", 2), ParsedHash::sha256_of(b"fast")];
        let work = RefusalWork::covering([&hashes[..], &[hashed("other", 3)]]);
        assert_eq!(check("new", &hashes, &work).1, [cost(0), cost(1)]);
        assert_eq!(check("fast", &hashes, &work).1, []);
    }

    #[test]
    fn where_nobody_has_a_slow_hash_a_refusal_costs_one_of_the_usual_cost() {
        let users = [vec![ParsedHash::sha256_of(b"secret")], vec![]];
        let work = RefusalWork::covering(users.iter().map(Vec::as_slice));
        for hashes in &users {
            assert_eq!(check("wrong", hashes, &work), (Verification::Mismatch, vec![Cost::default()]));
        }
    }

    #[test]
    fn an_old_and_a_new_cost_beside_each_other_are_not_excessive_and_many_costs_are() {
        let rotating = [hashed("a", 0), hashed("b", 0), hashed("c", 3), hashed("d", 3)];
        assert!(!RefusalWork::covering([&rotating[..]]).is_excessive());
        let five = [0; 5].map(|_| hashed("a", 0));
        let work = RefusalWork::covering([&five[..], &[hashed("b", 2)]]);
        assert!(!work.is_excessive());
        let more = [0; 7].map(|_| hashed("a", 0));
        let work = RefusalWork::covering([&more[..], &[hashed("b", 2)]]);
        assert!(work.is_excessive());
        assert_eq!(work.to_string(), "7 of m=8,t=1,p=1 and 1 of m=16,t=1,p=1");
    }

    fn any_users() -> impl Strategy<Value = Vec<Vec<usize>>> {
        // Numbers of costs; 4 is a fast hash.
        proptest::collection::vec(proptest::collection::vec(0_usize..5, 0..5), 1..6)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_refusal_does_the_same_computations_and_as_few_as_hide_everybody(users in any_users()) {
            let user = |numbers: &Vec<usize>| -> Vec<ParsedHash> {
                let hash = |number: &usize| match number {
                    4 => ParsedHash::sha256_of(b"secret"),
                    number => hashed("secret", *number),
                };
                numbers.iter().map(hash).collect()
            };
            let hashes: Vec<_> = users.iter().map(user).collect();
            let work = RefusalWork::covering(hashes.iter().map(Vec::as_slice));
            let (_, unknown) = check("wrong", &[], &work);
            for hashes in &hashes {
                prop_assert_eq!(check("wrong", hashes, &work), (Verification::Mismatch, unknown.clone()));
            }
            for number in 0..4 {
                let of_one = users.iter().map(|user| user.iter().filter(|own| **own == number).count());
                let computed = unknown.iter().filter(|computed| **computed == cost(number)).count();
                prop_assert_eq!(Some(computed), of_one.max());
            }
        }
    }
}

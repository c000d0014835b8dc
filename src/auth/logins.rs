//! From where users have logged in lately. Pure, and of bounded size: whoever logs in from very many addresses pushes out where he
//! has done so himself, and nothing of others.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use crate::origin::Origin;

/// A user, by the hash of his name.
pub(super) type UserKey = u64;

/// A login of a user from an address.
#[derive(Debug, Clone, Copy)]
pub(super) struct Login<R> {
    pub(super) at: Instant,
    /// Guesses at this user from there.
    pub(super) rate: R,
}

/// The last login of each user from each address. Where there are too many, the user who has the most loses his oldest.
#[derive(Debug)]
pub(super) struct Logins<R> {
    capacity: usize,
    count: usize,
    users: HashMap<UserKey, OfUser<R>>,
    /// The users by how many they have.
    sizes: BTreeSet<(usize, UserKey)>,
    origins: HashMap<Origin, OfOrigin>,
    /// How many logins there have been.
    turn: u64,
}

#[derive(Debug, Default)]
struct OfUser<R> {
    logins: HashMap<Origin, (Login<R>, u64)>,
    /// The same by when they were.
    order: BTreeMap<u64, Origin>,
}

/// How many users' logins from there are kept, and when the last was.
#[derive(Debug)]
struct OfOrigin {
    users: usize,
    last: Instant,
}

impl<R: Default> Logins<R> {
    /// Room for so many.
    pub(super) fn new(capacity: usize) -> Logins<R> {
        Logins { capacity, count: 0, users: HashMap::new(), sizes: BTreeSet::new(), origins: HashMap::new(), turn: 0 }
    }

    /// The user has logged in from there.
    pub(super) fn note(&mut self, user: UserKey, origin: Origin, now: Instant) {
        self.turn += 1;
        let of_user = self.users.entry(user).or_default();
        let before = of_user.logins.len();
        let (login, turn) = of_user.logins.entry(origin).or_insert((Login { at: now, rate: R::default() }, 0));
        login.at = now;
        of_user.order.remove(&std::mem::replace(turn, self.turn));
        of_user.order.insert(self.turn, origin);
        let is_new = of_user.logins.len() > before;
        let of_origin = self.origins.entry(origin).or_insert(OfOrigin { users: 0, last: now });
        of_origin.users += usize::from(is_new);
        of_origin.last = now;
        if is_new {
            self.count += 1;
            self.sizes.remove(&(before, user));
            self.sizes.insert((before + 1, user));
            if self.count > self.capacity {
                self.forget_one();
            }
        }
    }

    /// The last login of this user from there.
    pub(super) fn of(&mut self, user: UserKey, origin: Origin) -> Option<&mut Login<R>> {
        self.users.get_mut(&user)?.logins.get_mut(&origin).map(|(login, _)| login)
    }

    /// When anybody last logged in from there.
    pub(super) fn last_from(&self, origin: Origin) -> Option<Instant> {
        self.origins.get(&origin).map(|of_origin| of_origin.last)
    }

    fn forget_one(&mut self) {
        let Some((size, user)) = self.sizes.pop_last() else { return };
        let Some(of_user) = self.users.get_mut(&user) else { return };
        let Some((_, origin)) = of_user.order.pop_first() else { return };
        of_user.logins.remove(&origin);
        self.count -= 1;
        if size > 1 {
            self.sizes.insert((size - 1, user));
        } else {
            self.users.remove(&user);
        }
        if let Some(of_origin) = self.origins.get_mut(&origin) {
            of_origin.users -= 1;
            if of_origin.users == 0 {
                self.origins.remove(&origin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn origin(number: u32) -> Origin {
        Ipv4Addr::from_bits(number).into()
    }

    #[test]
    fn who_logs_in_from_very_many_addresses_pushes_out_his_own_oldest_and_nobody_elses() {
        let (mut logins, now) = (Logins::<()>::new(100), Instant::now());
        for address in 0..10 {
            logins.note(1, origin(address), now);
        }
        for address in 0..1000 {
            logins.note(2, origin(address), now);
        }
        assert!((0..10).all(|address| logins.of(1, origin(address)).is_some()));
        let kept: Vec<u32> = (0..1000).filter(|address| logins.of(2, origin(*address)).is_some()).collect();
        assert_eq!(kept, (910..1000).collect::<Vec<_>>());
        assert!(logins.last_from(origin(9)).is_some(), "another was there, too");
        assert!(logins.last_from(origin(10)).is_none() && logins.last_from(origin(999)).is_some());
    }

    #[test]
    fn who_logs_in_again_is_the_latest() {
        let (mut logins, now) = (Logins::<()>::new(2), Instant::now());
        for address in [1, 2, 1, 3] {
            logins.note(1, origin(address), now);
        }
        assert_eq!([1, 2, 3].map(|address| logins.of(1, origin(address)).is_some()), [true, false, true]);
    }

    proptest! {
        #[test]
        fn all_books_say_the_same(logins in proptest::collection::vec((0..4_u64, 0..12_u32), 0..200)) {
            let (mut kept, now) = (Logins::<()>::new(10), Instant::now());
            for (user, address) in logins {
                kept.note(user, origin(address), now);
                prop_assert!(kept.of(user, origin(address)).is_some() || kept.count == 10);
            }
            let of_users = || kept.users.iter().flat_map(|(user, of_user)| of_user.logins.keys().map(move |origin| (user, origin)));
            prop_assert_eq!(kept.count, of_users().count());
            prop_assert!(kept.count <= 10);
            for (user, of_user) in &kept.users {
                prop_assert_eq!(of_user.logins.len(), of_user.order.len());
                prop_assert!(kept.sizes.contains(&(of_user.logins.len(), *user)));
            }
            prop_assert_eq!(kept.sizes.len(), kept.users.len());
            for (origin, of_origin) in &kept.origins {
                prop_assert_eq!(of_origin.users, of_users().filter(|(_, from)| *from == origin).count());
            }
        }
    }
}

//! How often a password may be guessed. Pure: time is passed in, memory is bounded.
//!
//! Failures are counted per address and per (address, user), and each count above its allowance doubles the pause
//! before the next attempt. A pair that logged in recently is not made to pay for its neighbours behind the same
//! address.
//!
//! A success clears the failures of its pair, so they alone would not hold up who guesses beside a user that logs in all
//! the time. Therefore the rate of guesses is limited, too: per user from each address that he logged in from lately, and
//! per user from all others together, of clients without his certificate and of those with it apart. Nobody elsewhere
//! can lock out a user who is logging in from where he always does. Only what is not the password of a remembered
//! success, nor being verified, is a guess: whoever reconnects makes none.
//!
//! What is remembered of those who logged in is kept apart from what is remembered of those who failed: strangers, however
//! many, push nobody out of it, and [users](super::logins) nobody but themselves.

use core::net::IpAddr;
use std::hash::{BuildHasher, Hash, RandomState};
use std::time::{Duration, Instant};

use super::logins::{Login, Logins, UserKey};
use crate::aging::AgingMap;
use crate::origin::{Origin, origin};

/// Whether an attempt may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Throttling {
    /// It may.
    Admitted,
    /// Too many failures or guesses lately; the next attempt may come after this long.
    Wait(Duration),
}

/// What an attempt could be a guess at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Any user: whoever makes it may try another one next.
    Anybody,
    /// The one user that the connection has proven to be already, by its certificate. Such attempts are counted apart:
    /// those of clients without it do not hold them up, and they hold up nobody else.
    Itself,
}

/// The allowances.
#[derive(Debug, Clone, Copy)]
pub struct ThrottleLimits {
    /// Failures of one user from one address without a pause.
    pub pair_failures: u32,
    /// Failures of one address without a pause.
    pub address_failures: u32,
    /// The first pause; each further failure doubles it.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// Failures are forgotten after this long without another.
    pub failure_memory: Duration,
    /// Successes are forgotten after this long without another: applications connect rarely.
    pub success_memory: Duration,
    /// Guesses at one user from one address that he logged in from lately, or from all others: one per interval …
    pub user_interval: Duration,
    /// … after this many at once.
    pub user_burst: u32,
    /// Most addresses, pairs and users remembered, each.
    pub capacity: usize,
}

impl Default for ThrottleLimits {
    fn default() -> ThrottleLimits {
        ThrottleLimits {
            pair_failures: 5,
            address_failures: 20,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
            failure_memory: Duration::from_secs(600),
            success_memory: Duration::from_secs(24 * 3600),
            user_interval: Duration::from_millis(100),
            user_burst: 50,
            capacity: 65_536,
        }
    }
}

/// What an address is known for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Somebody has logged in from there lately.
    Known,
    /// Nothing.
    Fresh,
    /// Wrong passwords came from there lately, and nobody has logged in.
    Failing,
}

/// The memory of failures, logins and guesses.
#[derive(Debug)]
pub struct Throttle {
    limits: ThrottleLimits,
    addresses: AgingMap<Origin, Failures>,
    pairs: AgingMap<(Origin, UserKey), Failures>,
    logins: Logins<Rate>,
    /// Guesses at each user from where he has not logged in lately.
    users: AgingMap<UserKey, Rate>,
    hasher: RandomState,
}

#[derive(Debug, Clone, Copy, Default)]
struct Failures {
    count: u32,
    last: Option<Instant>,
    /// Distinct guesses whose verification is under way; each may yet be a failure.
    guessing: u32,
}

/// The time at which all guesses so far would have fitted the rate (the GCRA's theoretical arrival).
#[derive(Debug, Clone, Copy, Default)]
struct Rate(Option<Instant>);

impl Throttle {
    /// Knows nobody yet.
    pub fn new(limits: ThrottleLimits) -> Throttle {
        Throttle {
            limits,
            addresses: AgingMap::new(limits.capacity),
            pairs: AgingMap::new(limits.capacity),
            logins: Logins::new(limits.capacity),
            users: AgingMap::new(limits.capacity),
            hasher: RandomState::new(),
        }
    }

    /// What the address is known for.
    pub fn standing(&mut self, address: IpAddr, now: Instant) -> Standing {
        let (origin, limits) = (origin(address), self.limits);
        let known = self.logins.last_from(origin).is_some_and(|at| is_recent(at, now, limits.success_memory));
        let failing = |failures: &mut Failures| failures.at(now, &limits).count > 0;
        match known {
            true => Standing::Known,
            false if self.addresses.touch(&origin).is_some_and(failing) => Standing::Failing,
            false => Standing::Fresh,
        }
    }

    /// Whether this address may try this user at all now. Asked before anything is looked up, a cache included: whoever
    /// may not guess learns nothing from it.
    pub fn check(&mut self, address: IpAddr, user: &[u8], reach: Reach, now: Instant) -> Throttling {
        let key @ (origin, user) = self.keys(address, user, reach);
        let limits = self.limits;
        let login = self.login(&key, now).map(|login| login.rate);
        let rate = login.unwrap_or_else(|| self.users.touch(&user).copied().unwrap_or_default());
        let pair = self.pairs.touch(&key).copied().unwrap_or_default().at(now, &limits);
        let mut wait = pair.pause_left(limits.pair_failures, now, &limits).max(rate.wait(now, &limits));
        if login.is_none() && reach == Reach::Anybody {
            let whole = self.addresses.touch(&origin).copied().unwrap_or_default().at(now, &limits);
            wait = wait.max(whole.pause_left(limits.address_failures, now, &limits));
        }
        if wait.is_zero() { Throttling::Admitted } else { Throttling::Wait(wait) }
    }

    /// Whether a guess that nobody else is making may be verified, and if so, that it is under way. Each one admitted
    /// must end in [`end_guess`](Self::end_guess). It counts for the rate in any case: that it is no remembered password
    /// has been seen by now.
    pub fn begin_guess(&mut self, address: IpAddr, user: &[u8], reach: Reach, now: Instant) -> Throttling {
        let key @ (origin, user) = self.keys(address, user, reach);
        let limits = self.limits;
        let login = self.login(&key, now);
        let is_unknown = login.is_none() && reach == Reach::Anybody;
        let rate = match login {
            Some(login) => &mut login.rate,
            None => self.users.touch_or_insert_with(&user, Rate::default),
        };
        let wait = rate.wait(now, &limits);
        if !wait.is_zero() {
            return Throttling::Wait(wait);
        }
        rate.count(now, &limits);
        // Guesses under way count as if they had failed, or a burst of connections would get past the allowance. An address
        // may be that of many users: its guesses go one at a time only after it has used up what it is allowed.
        let pair = self.pairs.touch(&key).copied().unwrap_or_default().at(now, &limits);
        let whole = self.addresses.touch(&origin).copied().unwrap_or_default().at(now, &limits);
        if pair.guessing >= limits.pair_failures.saturating_sub(pair.count).max(1)
            || is_unknown && whole.count >= limits.address_failures && whole.guessing > 0
        {
            return Throttling::Wait(limits.first_pause);
        }
        self.pairs.touch_or_insert_with(&key, Failures::default).begin(now, &limits);
        if reach == Reach::Anybody {
            self.addresses.touch_or_insert_with(&origin, Failures::default).begin(now, &limits);
        }
        Throttling::Admitted
    }

    /// The guess begun with [`begin_guess`](Self::begin_guess) has ended, one way or other.
    pub fn end_guess(&mut self, address: IpAddr, user: &[u8], reach: Reach) {
        let key @ (origin, _) = self.keys(address, user, reach);
        end(&mut self.pairs, &key);
        if reach == Reach::Anybody {
            end(&mut self.addresses, &origin);
        }
    }

    /// This user logged in from this address.
    pub fn succeeded(&mut self, address: IpAddr, user: &[u8], reach: Reach, now: Instant) {
        let key @ (origin, user) = self.keys(address, user, reach);
        if let Some(pair) = self.pairs.touch(&key) {
            *pair = Failures { guessing: pair.guessing, ..Failures::default() };
        }
        self.logins.note(user, origin, now);
    }

    /// A wrong password for this user from this address. The address keeps its count when it logs in as another.
    pub fn failed(&mut self, address: IpAddr, user: &[u8], reach: Reach, now: Instant) {
        let key @ (origin, _) = self.keys(address, user, reach);
        let limits = self.limits;
        self.pairs.touch_or_insert_with(&key, Failures::default).fail(now, &limits);
        if reach == Reach::Anybody {
            self.addresses.touch_or_insert_with(&origin, Failures::default).fail(now, &limits);
        }
    }

    /// The login of the pair, if it was lately.
    fn login(&mut self, (origin, user): &(Origin, UserKey), now: Instant) -> Option<&mut Login<Rate>> {
        let memory = self.limits.success_memory;
        self.logins.of(*user, *origin).filter(|login| is_recent(login.at, now, memory))
    }

    /// User names come from clients that are not authenticated and may be long: remembered by a keyed hash, of the reach too.
    fn keys(&self, address: IpAddr, user: &[u8], reach: Reach) -> (Origin, UserKey) {
        (origin(address), self.hasher.hash_one((user, reach)))
    }
}

impl Failures {
    /// With what is too old forgotten.
    fn at(self, now: Instant, limits: &ThrottleLimits) -> Failures {
        match self.last.filter(|last| is_recent(*last, now, limits.failure_memory)) {
            Some(_) => self,
            None => Failures { guessing: self.guessing, ..Failures::default() },
        }
    }

    fn begin(&mut self, now: Instant, limits: &ThrottleLimits) {
        *self = self.at(now, limits);
        self.guessing = self.guessing.saturating_add(1);
    }

    fn fail(&mut self, now: Instant, limits: &ThrottleLimits) {
        *self = self.at(now, limits);
        self.count = self.count.saturating_add(1);
        self.last = Some(now);
    }

    fn pause_left(&self, allowed: u32, now: Instant, limits: &ThrottleLimits) -> Duration {
        let Some(last) = self.last else { return Duration::ZERO };
        let Some(excess) = self.count.checked_sub(allowed) else { return Duration::ZERO };
        let factor = 2_u32.checked_pow(excess).unwrap_or(u32::MAX);
        let pause = limits.first_pause.saturating_mul(factor).min(limits.longest_pause);
        pause.saturating_sub(now.saturating_duration_since(last))
    }
}

impl Rate {
    /// How long until another guess fits; zero if it does now.
    fn wait(self, now: Instant, limits: &ThrottleLimits) -> Duration {
        let burst = limits.user_interval * limits.user_burst.saturating_sub(1);
        self.0.map_or(Duration::ZERO, |fits_at| fits_at.saturating_duration_since(now).saturating_sub(burst))
    }

    fn count(&mut self, now: Instant, limits: &ThrottleLimits) {
        self.0 = Some(self.0.map_or(now, |fits_at| fits_at.max(now)) + limits.user_interval);
    }
}

/// One guess fewer is under way. What nothing is left to say about takes no room: guesses that were not verified push out
/// no failures.
fn end<K: Eq + Hash + Clone>(map: &mut AgingMap<K, Failures>, key: &K) {
    let Some(failures) = map.touch(key) else { return };
    failures.guessing = failures.guessing.saturating_sub(1);
    if failures.guessing == 0 && failures.count == 0 {
        map.remove(key);
    }
}

fn is_recent(time: Instant, now: Instant, memory: Duration) -> bool {
    now.saturating_duration_since(time) < memory
}

#[cfg(test)]
mod tests;

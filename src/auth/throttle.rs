//! How often a password may be guessed. Pure: time is passed in, memory is bounded.
//!
//! Failures are counted per address and per (address, user), and each count above its allowance doubles the pause
//! before the next attempt. A pair that logged in recently is not made to pay for its neighbours behind the same
//! address.
//!
//! A success clears the failures of its pair, so they alone would not hold up who guesses beside a user that logs in all
//! the time. Therefore the rate of guesses is limited, too: per user from each address that he logged in from lately, and
//! per user from all others together, of clients without his certificate and of those with it apart. Nobody elsewhere can lock
//! out a user who is logging in from where he always does. Only what is not the password of a remembered success, nor
//! being verified, is a guess: whoever reconnects makes none.

use core::net::{IpAddr, Ipv6Addr};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use super::aging::AgingMap;

/// Whether an attempt may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Admission {
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
pub struct Limits {
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

impl Default for Limits {
    fn default() -> Limits {
        Limits {
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

/// An IPv4 address, or an IPv6 network of /64: whoever has one address there has them all.
type Origin = IpAddr;

/// User names come from clients that are not authenticated and may be long: remembered by a keyed hash, of the reach too.
type UserKey = u64;

/// The memory of failures, successes and guesses.
#[derive(Debug)]
pub struct Throttle {
    limits: Limits,
    addresses: AgingMap<Origin, Record>,
    pairs: AgingMap<(Origin, UserKey), Record>,
    /// Guesses at each user from where he has not logged in lately.
    users: AgingMap<UserKey, Rate>,
    hasher: RandomState,
}

#[derive(Debug, Clone, Copy, Default)]
struct Record {
    failures: u32,
    last_failure: Option<Instant>,
    last_success: Option<Instant>,
    /// Distinct guesses whose verification is under way; each may yet be a failure.
    guessing: u32,
    /// Guesses of a pair that logged in lately.
    rate: Rate,
}

/// The time at which all guesses so far would have fitted the rate (the GCRA's theoretical arrival).
#[derive(Debug, Clone, Copy, Default)]
struct Rate(Option<Instant>);

impl Throttle {
    /// Knows nobody yet.
    pub fn new(limits: Limits) -> Throttle {
        Throttle {
            limits,
            addresses: AgingMap::new(limits.capacity),
            pairs: AgingMap::new(limits.capacity),
            users: AgingMap::new(limits.capacity),
            hasher: RandomState::new(),
        }
    }

    /// Whether this address may try this user at all now. Asked before anything is looked up, a cache included: whoever
    /// may not guess learns nothing from it.
    pub fn check(&mut self, address: IpAddr, user: &[u8], reach: Reach, now: Instant) -> Admission {
        let (origin, user) = self.keys(address, user, reach);
        let limits = self.limits;
        let pair = self.pairs.touch(&(origin, user)).copied().unwrap_or_default().at(now, &limits);
        let rate = match pair.last_success {
            Some(_) => pair.rate,
            None => self.users.touch(&user).copied().unwrap_or_default(),
        };
        let mut wait = pair.pause_left(limits.pair_failures, now, &limits).max(rate.wait(now, &limits));
        if pair.last_success.is_none() && reach == Reach::Anybody {
            let whole = self.addresses.touch(&origin).copied().unwrap_or_default().at(now, &limits);
            wait = wait.max(whole.pause_left(limits.address_failures, now, &limits));
        }
        if wait.is_zero() { Admission::Admitted } else { Admission::Wait(wait) }
    }

    /// Whether a guess that nobody else is making may be verified, and if so, that it is under way. Each one admitted
    /// must end in [`end_guess`](Self::end_guess). It counts for the rate in any case: that it is no remembered password
    /// has been seen by now.
    pub fn begin_guess(&mut self, address: IpAddr, user: &[u8], reach: Reach, now: Instant) -> Admission {
        let (origin, user) = self.keys(address, user, reach);
        let limits = self.limits;
        let pair = self.pairs.touch_or_insert_with(&(origin, user), Record::default);
        *pair = pair.at(now, &limits);
        let rate = match pair.last_success {
            Some(_) => &mut pair.rate,
            None => self.users.touch_or_insert_with(&user, Rate::default),
        };
        let wait = rate.wait(now, &limits);
        if !wait.is_zero() {
            return Admission::Wait(wait);
        }
        rate.count(now, &limits);
        // Guesses under way count as if they had failed, or a burst of connections would get past the allowance.
        let allowed = limits.pair_failures.saturating_sub(pair.failures).max(1);
        if pair.guessing >= allowed {
            return Admission::Wait(limits.first_pause);
        }
        pair.guessing = pair.guessing.saturating_add(1);
        Admission::Admitted
    }

    /// The guess begun with [`begin_guess`](Self::begin_guess) has ended, one way or other.
    pub fn end_guess(&mut self, address: IpAddr, user: &[u8], reach: Reach) {
        let key = self.keys(address, user, reach);
        if let Some(pair) = self.pairs.touch(&key) {
            pair.guessing = pair.guessing.saturating_sub(1);
        }
    }

    /// This user logged in from this address.
    pub fn succeeded(&mut self, address: IpAddr, user: &[u8], reach: Reach, now: Instant) {
        let key = self.keys(address, user, reach);
        let pair = self.pairs.touch_or_insert_with(&key, Record::default);
        pair.failures = 0;
        pair.last_failure = None;
        pair.last_success = Some(now);
    }

    /// A wrong password for this user from this address. The address keeps its count when it logs in as another.
    pub fn failed(&mut self, address: IpAddr, user: &[u8], reach: Reach, now: Instant) {
        let (origin, user) = self.keys(address, user, reach);
        let limits = self.limits;
        let pair = self.pairs.touch_or_insert_with(&(origin, user), Record::default);
        pair.fail(now, &limits);
        if reach == Reach::Anybody {
            self.addresses.touch_or_insert_with(&origin, Record::default).fail(now, &limits);
        }
    }

    fn keys(&self, address: IpAddr, user: &[u8], reach: Reach) -> (Origin, UserKey) {
        (origin(address), self.hasher.hash_one((user, reach)))
    }
}

impl Record {
    /// The record with what is too old forgotten.
    fn at(self, now: Instant, limits: &Limits) -> Record {
        let recent =
            |time: Option<Instant>, memory: Duration| time.filter(|time| now.saturating_duration_since(*time) < memory);
        let last_failure = recent(self.last_failure, limits.failure_memory);
        Record {
            failures: if last_failure.is_some() { self.failures } else { 0 },
            last_failure,
            last_success: recent(self.last_success, limits.success_memory),
            guessing: self.guessing,
            rate: self.rate,
        }
    }

    fn fail(&mut self, now: Instant, limits: &Limits) {
        *self = self.at(now, limits);
        self.failures = self.failures.saturating_add(1);
        self.last_failure = Some(now);
    }

    fn pause_left(&self, allowed: u32, now: Instant, limits: &Limits) -> Duration {
        let Some(last_failure) = self.last_failure else { return Duration::ZERO };
        let Some(excess) = self.failures.checked_sub(allowed) else { return Duration::ZERO };
        let factor = 2_u32.checked_pow(excess).unwrap_or(u32::MAX);
        let pause = limits.first_pause.saturating_mul(factor).min(limits.longest_pause);
        pause.saturating_sub(now.saturating_duration_since(last_failure))
    }
}

impl Rate {
    /// How long until another guess fits; zero if it does now.
    fn wait(self, now: Instant, limits: &Limits) -> Duration {
        let burst = limits.user_interval * limits.user_burst.saturating_sub(1);
        self.0.map_or(Duration::ZERO, |fits_at| fits_at.saturating_duration_since(now).saturating_sub(burst))
    }

    fn count(&mut self, now: Instant, limits: &Limits) {
        self.0 = Some(self.0.map_or(now, |fits_at| fits_at.max(now)) + limits.user_interval);
    }
}

fn origin(address: IpAddr) -> Origin {
    match address {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
    }
}

#[cfg(test)]
mod tests;

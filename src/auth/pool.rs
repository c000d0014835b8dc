//! Verification off the I/O threads.
//!
//! A few threads at low priority, fed by a bounded queue in which addresses take turns. Attempts with the same user and
//! password share one computation, and what was right a moment ago is remembered for a moment, both under a key that
//! never leaves the process: a reconnect storm costs one hash, and only distinct guesses take places in the queue.

use core::net::IpAddr;
use std::collections::{HashMap, HashSet};
use std::io;
use std::mem;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::hash::{Memory, ParsedHash};
use super::queue::{Pushed, Queue};
use super::secret::{Key, Secret};
use super::throttle::{self, Reach, Throttle, Throttling};
use super::verify::{RefusalWork, Verification, verify};
use crate::aging::AgingMap;

/// The priority of the threads: a flood of guesses must not slow the sessions.
const NICE: i32 = 10;

/// The sizes of the pool.
#[derive(Debug, Clone)]
pub struct PoolSettings {
    /// Threads, each with up to 128 MiB of memory (19 MiB with default hashes).
    pub threads: usize,
    /// Distinct guesses that may wait; one more is [`AuthOutcome::Busy`], or one of an address that has more of them.
    pub queue: usize,
    /// How long a success is remembered.
    pub remember: Duration,
    /// How many successes are remembered.
    pub remembered: usize,
    /// How often passwords may be guessed.
    pub limits: throttle::ThrottleLimits,
}

impl Default for PoolSettings {
    /// A quarter of the cores, at least one.
    fn default() -> PoolSettings {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        PoolSettings {
            threads: (cores / 4).max(1),
            queue: 256,
            remember: Duration::from_secs(300),
            remembered: 4096,
            limits: throttle::ThrottleLimits::default(),
        }
    }
}

/// One attempt to log in. It has no `Debug`.
pub struct Attempt {
    /// Where it comes from.
    pub address: IpAddr,
    /// The name given.
    pub user: Vec<u8>,
    /// Whether only this name can be tried where it comes from.
    pub reach: Reach,
    /// The password given; wiped when the attempt ends.
    pub password: Zeroizing<Vec<u8>>,
    /// The user's hashes; `None` for a user that is unknown, off, or not allowed to log in with a password. Such an
    /// attempt does the same work and is always rejected.
    pub candidates: Option<Arc<[ParsedHash]>>,
    /// What a refusal costs.
    pub refusal_work: Arc<RefusalWork>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum AuthOutcome {
    /// The password is the candidate of this index.
    Accepted(usize),
    /// It is not, or the user has none.
    Rejected,
    /// Too many distinct guesses are waiting, most of them from there or nobody having more.
    Busy,
    /// Too many failures from this address, or guesses at this user.
    Throttled,
}

/// The process's verification threads. Dropping it ends them, after what they compute at that moment; attempts still
/// waiting get a closed channel.
pub struct AuthPool {
    shared: Arc<Shared>,
}

impl AuthPool {
    /// Starts the threads.
    pub fn start(settings: PoolSettings) -> io::Result<AuthPool> {
        let shared = Arc::new(Shared {
            key: Key::random()?,
            remember: settings.remember,
            computations: AtomicU64::new(0),
            work_arrived: Condvar::new(),
            state: Mutex::new(State {
                throttle: Throttle::new(settings.limits),
                successes: AgingMap::new(settings.remembered),
                in_flight: HashMap::new(),
                queue: Queue::new(settings.queue),
                closed: false,
                #[cfg(test)]
                held: false,
            }),
        });
        for number in 0..settings.threads.max(1) {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name(format!("password-{number}")).spawn(move || shared.work())?;
        }
        Ok(AuthPool { shared })
    }

    /// Verifies an attempt; the outcome comes through the channel, at once if nothing needs computing. Whoever loses
    /// interest drops the receiver.
    pub fn verify(&self, attempt: Attempt) -> oneshot::Receiver<AuthOutcome> {
        let (sender, receiver) = oneshot::channel();
        if let Some((waiters, outcome)) = self.shared.submit(attempt, sender) {
            tell(waiters, outcome);
        }
        receiver
    }

    /// How many argon2 computations were done since the start.
    pub fn computations(&self) -> u64 {
        self.shared.computations.load(Ordering::Relaxed)
    }
}

impl Drop for AuthPool {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.closed = true;
            state.queue.clear();
            state.in_flight.clear();
        }
        // Nobody waits for the threads: at their priority that takes long on a busy machine, and a successor may be waiting.
        self.shared.work_arrived.notify_all();
    }
}

struct Shared {
    key: Key,
    remember: Duration,
    computations: AtomicU64,
    work_arrived: Condvar,
    state: Mutex<State>,
}

struct State {
    throttle: Throttle,
    /// When each remembered success was computed, and which candidate it was. Where a user has other hashes, none is his.
    successes: AgingMap<Secret, (Instant, usize)>,
    /// Everybody who waits for one computation; each key has one job, queued or running.
    in_flight: HashMap<Secret, Vec<Waiter>>,
    queue: Queue<Job>,
    closed: bool,
    /// Tests hold the threads up so that what they queue stays queued.
    #[cfg(test)]
    held: bool,
}

/// Small: whoever makes the same guess again and again and hangs up leaves one of these each time.
struct Waiter {
    /// An address, or its network: what counts as one.
    origin: IpAddr,
    reach: Reach,
    sender: oneshot::Sender<AuthOutcome>,
}

struct Job {
    secret: Secret,
    /// Whose guess it is: the first that made it.
    origin: IpAddr,
    reach: Reach,
    user: Vec<u8>,
    password: Zeroizing<Vec<u8>>,
    candidates: Option<Arc<[ParsedHash]>>,
    refusal_work: Arc<RefusalWork>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held, and if it did, the state has no half-done step that matters.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues the attempt or joins it to one under way. What can be said at once is returned, with those whom it concerns.
    fn submit(&self, attempt: Attempt, sender: oneshot::Sender<AuthOutcome>) -> Option<(Vec<Waiter>, AuthOutcome)> {
        let secret = self.secret(&attempt);
        let now = Instant::now();
        let Attempt { address, user, reach, password, candidates, refusal_work } = attempt;
        let origin = crate::origin::origin(address);
        let waiter = Waiter { origin, reach, sender };
        let mut state = self.lock();
        if state.closed {
            return Some((vec![waiter], AuthOutcome::Busy));
        }
        if let Throttling::Wait(_) = state.throttle.check(origin, &user, reach, now) {
            return Some((vec![waiter], AuthOutcome::Throttled));
        }
        if candidates.is_some()
            && let Some(index) = state.remembered(&secret, now, self.remember)
        {
            state.throttle.succeeded(origin, &user, reach, now);
            return Some((vec![waiter], AuthOutcome::Accepted(index)));
        }
        if let Some(waiters) = state.in_flight.get_mut(&secret) {
            waiters.push(waiter);
            return None;
        }
        if let Throttling::Wait(_) = state.throttle.begin_guess(origin, &user, reach, now) {
            return Some((vec![waiter], AuthOutcome::Throttled));
        }
        state.in_flight.insert(secret, vec![waiter]);
        let job = Job { secret, origin, reach, user, password, candidates, refusal_work };
        let displaced = match state.enqueue(job, now) {
            Pushed::Queued => None,
            Pushed::InPlaceOf(other) | Pushed::Full(other) => Some((state.end(&other), AuthOutcome::Busy)),
        };
        drop(state);
        self.work_arrived.notify_one();
        displaced
    }

    fn secret(&self, attempt: &Attempt) -> Secret {
        self.key.secret(attempt.candidates.as_deref(), &attempt.user, &attempt.password)
    }

    /// A thread's life.
    fn work(&self) {
        let mut memory = Memory::new();
        let mut has_low_priority = false;
        while let Some(job) = self.next_job() {
            // Not before the first password: the process ends only when each thread has had its turn to end.
            if !mem::replace(&mut has_low_priority, true) {
                // On Linux the priority is the thread's own. Without it the pool works all the same.
                let _ = rustix::process::nice(NICE);
            }
            let before = memory.computations();
            let hashes = job.candidates.as_deref().unwrap_or_default();
            let verification = verify(&job.password, hashes, &job.refusal_work, &mut memory);
            self.computations.fetch_add(memory.computations() - before, Ordering::Relaxed);
            self.finish(job, verification);
        }
    }

    /// The next job that somebody still waits for; `None` at the end.
    fn next_job(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            let Some(job) = state.pop_job() else {
                state = self.work_arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let awaited = state.in_flight.get(&job.secret).is_some_and(|all| all.iter().any(Waiter::is_there));
            if awaited {
                return Some(job);
            }
            state.end(&job);
        }
    }

    fn finish(&self, job: Job, verification: Verification) {
        let now = Instant::now();
        let mut state = self.lock();
        let waiters = state.end(&job);
        let outcome = match verification {
            Verification::Match(index) => AuthOutcome::Accepted(index),
            Verification::Mismatch => AuthOutcome::Rejected,
        };
        if let Verification::Match(index) = verification {
            state.successes.insert(job.secret, (now, index));
        }
        // One guess counts once for an address, however many of its connections made it at the same time.
        let mut counted = HashSet::new();
        let firsts = waiters.iter().filter(|waiter| counted.insert((waiter.origin, waiter.reach)));
        for Waiter { origin, reach, .. } in firsts {
            match verification {
                Verification::Match(_) => state.throttle.succeeded(*origin, &job.user, *reach, now),
                Verification::Mismatch => state.throttle.failed(*origin, &job.user, *reach, now),
            }
        }
        drop(state);
        tell(waiters, outcome);
    }
}

impl State {
    fn pop_job(&mut self) -> Option<Job> {
        #[cfg(test)]
        if self.held {
            return None;
        }
        self.queue.pop()
    }

    fn enqueue(&mut self, job: Job, now: Instant) -> Pushed<Job> {
        let standing = self.throttle.standing(job.origin, now);
        self.queue.push(standing, job.origin, job)
    }

    /// A job is over, done or not: these wait for it.
    fn end(&mut self, job: &Job) -> Vec<Waiter> {
        self.throttle.end_guess(job.origin, &job.user, job.reach);
        self.in_flight.remove(&job.secret).unwrap_or_default()
    }

    fn remembered(&mut self, secret: &Secret, now: Instant, remember: Duration) -> Option<usize> {
        let (when, index) = *self.successes.touch(secret)?;
        if now.saturating_duration_since(when) < remember {
            return Some(index);
        }
        self.successes.remove(secret);
        None
    }
}

impl Waiter {
    fn is_there(&self) -> bool {
        !self.sender.is_closed()
    }
}

fn tell(waiters: Vec<Waiter>, outcome: AuthOutcome) {
    for waiter in waiters {
        // A session that is gone needs no answer.
        let _ = waiter.sender.send(outcome);
    }
}

#[cfg(test)]
mod tests;

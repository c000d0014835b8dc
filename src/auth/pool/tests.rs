use std::sync::Barrier;

use super::*;
use crate::auth::hash::{Cost, make};

const HOME: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 1));

fn cheap() -> Cost {
    Cost::new(8, 1, 1).expect("within bounds")
}

fn hashes(passwords: &[&str]) -> Option<Arc<[ParsedHash]>> {
    let hash = |password: &&str| {
        let phc = make(password.as_bytes(), cheap()).expect("a hash");
        ParsedHash::from_phc(&phc).expect("our own hash reads back")
    };
    Some(passwords.iter().map(hash).collect())
}

fn attempt(user: &str, password: &str, candidates: &Option<Arc<[ParsedHash]>>) -> Attempt {
    Attempt {
        address: HOME,
        user: user.into(),
        reach: Reach::Anybody,
        password: Zeroizing::new(password.into()),
        candidates: candidates.clone(),
        refusal_work: Arc::new(RefusalWork::covering([hashes(&["x"]).as_deref().expect("some")])),
    }
}

fn from(host: u8, attempt: Attempt) -> Attempt {
    Attempt { address: IpAddr::from([198, 51, 100, host]), ..attempt }
}

fn settings() -> PoolSettings {
    PoolSettings { threads: 1, ..PoolSettings::default() }
}

fn start(settings: PoolSettings) -> AuthPool {
    AuthPool::start(settings).expect("threads")
}

fn outcome(pool: &AuthPool, attempt: Attempt) -> AuthOutcome {
    pool.verify(attempt).blocking_recv().expect("the pool answers")
}

/// A pool whose one thread is held up until the guard is dropped, so that what is queued stays queued.
struct Held<'a> {
    pool: &'a AuthPool,
}

impl<'a> Held<'a> {
    fn new(pool: &'a AuthPool) -> Held<'a> {
        pool.shared.lock().held = true;
        Held { pool }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.pool.shared.lock().held = false;
        self.pool.shared.work_arrived.notify_all();
    }
}

#[test]
fn right_and_wrong_passwords_are_told_apart() {
    let pool = start(settings());
    let alice = hashes(&["secret", "rotated"]);
    assert_eq!(outcome(&pool, attempt("alice", "secret", &alice)), AuthOutcome::Accepted(0));
    assert_eq!(outcome(&pool, attempt("alice", "rotated", &alice)), AuthOutcome::Accepted(1));
    assert_eq!(outcome(&pool, attempt("alice", "wrong", &alice)), AuthOutcome::Rejected);
}

#[test]
fn an_unknown_user_costs_the_same_work_and_is_rejected() {
    let pool = start(settings());
    let alice = hashes(&["secret"]);
    assert_eq!(outcome(&pool, attempt("alice", "wrong", &alice)), AuthOutcome::Rejected);
    let known = pool.computations();
    assert_eq!(outcome(&pool, attempt("nobody", "wrong", &None)), AuthOutcome::Rejected);
    assert_eq!(pool.computations(), 2 * known);
    assert!(known > 0);
}

#[test]
fn a_thousand_simultaneous_logins_of_one_application_cost_one_hash() {
    let pool = start(settings());
    let app = hashes(&["secret"]);
    let held = Held::new(&pool);
    let receivers: Vec<_> = (0..1000).map(|_| pool.verify(attempt("app", "secret", &app))).collect();
    drop(held);
    for receiver in receivers {
        assert_eq!(receiver.blocking_recv(), Ok(AuthOutcome::Accepted(0)));
    }
    assert_eq!(pool.computations(), 1);
}

#[test]
fn logins_from_many_threads_are_all_answered() {
    let pool = start(PoolSettings { threads: 2, ..settings() });
    let app = hashes(&["secret"]);
    let barrier = Barrier::new(8);
    thread::scope(|scope| {
        for host in 0..8 {
            let (pool, app, barrier) = (&pool, &app, &barrier);
            scope.spawn(move || {
                barrier.wait();
                for _ in 0..50 {
                    assert_eq!(outcome(pool, from(host, attempt("app", "secret", app))), AuthOutcome::Accepted(0));
                }
            });
        }
    });
    assert_eq!(pool.computations(), 1);
}

#[test]
fn a_success_is_remembered_and_a_failure_is_not() {
    let pool = start(settings());
    let alice = hashes(&["secret"]);
    for _ in 0..3 {
        assert_eq!(outcome(&pool, attempt("alice", "secret", &alice)), AuthOutcome::Accepted(0));
    }
    assert_eq!(pool.computations(), 1);
    for _ in 0..3 {
        assert_eq!(outcome(&pool, attempt("alice", "wrong", &alice)), AuthOutcome::Rejected);
    }
    assert_eq!(pool.computations(), 4);
}

#[test]
fn a_remembered_success_ends_with_its_time() {
    let pool = start(PoolSettings { remember: Duration::ZERO, ..settings() });
    let alice = hashes(&["secret"]);
    for _ in 0..3 {
        assert_eq!(outcome(&pool, attempt("alice", "secret", &alice)), AuthOutcome::Accepted(0));
    }
    assert_eq!(pool.computations(), 3);
}

#[test]
fn a_success_is_none_any_more_once_the_user_has_other_hashes_or_has_them_in_another_order() {
    let pool = start(settings());
    let [before, after] = [hashes(&["secret", "other"]), hashes(&["changed"])];
    assert_eq!(outcome(&pool, attempt("alice", "secret", &before)), AuthOutcome::Accepted(0));
    assert_eq!(outcome(&pool, attempt("alice", "secret", &after)), AuthOutcome::Rejected);
    let reversed = before.as_ref().map(|hashes| hashes.iter().rev().cloned().collect());
    assert_eq!(outcome(&pool, attempt("alice", "secret", &reversed)), AuthOutcome::Accepted(1));
}

#[test]
fn a_success_is_remembered_whatever_else_is_configured_anew() {
    let pool = start(settings());
    let alice = hashes(&["secret"]);
    assert_eq!(outcome(&pool, attempt("alice", "secret", &alice)), AuthOutcome::Accepted(0));
    let again = alice.as_ref().map(|hashes| hashes.iter().cloned().collect());
    assert_eq!(outcome(&pool, attempt("alice", "secret", &again)), AuthOutcome::Accepted(0));
    assert_eq!(pool.computations(), 1);
}

#[test]
fn a_user_that_was_switched_off_is_not_let_in_by_memory() {
    let pool = start(settings());
    let alice = hashes(&["secret"]);
    assert_eq!(outcome(&pool, attempt("alice", "secret", &alice)), AuthOutcome::Accepted(0));
    assert_eq!(outcome(&pool, attempt("alice", "secret", &None)), AuthOutcome::Rejected);
}

#[test]
fn a_full_queue_is_busy_for_new_guesses_but_not_for_those_that_wait_already() {
    let pool = start(PoolSettings { queue: 2, ..settings() });
    let alice = hashes(&["secret"]);
    let held = Held::new(&pool);
    let first = pool.verify(from(1, attempt("alice", "one", &alice)));
    let second = pool.verify(from(2, attempt("alice", "secret", &alice)));
    assert_eq!(outcome(&pool, from(3, attempt("alice", "three", &alice))), AuthOutcome::Busy);
    let joined = pool.verify(from(4, attempt("alice", "secret", &alice)));
    drop(held);
    assert_eq!(first.blocking_recv(), Ok(AuthOutcome::Rejected));
    assert_eq!(second.blocking_recv(), Ok(AuthOutcome::Accepted(0)));
    assert_eq!(joined.blocking_recv(), Ok(AuthOutcome::Accepted(0)));
}

#[test]
fn a_newcomer_is_verified_before_the_rest_of_a_flood_of_another_address() {
    let pool = start(settings());
    let alice = hashes(&["secret"]);
    let held = Held::new(&pool);
    let flood: Vec<_> = (0..100).map(|user| pool.verify(attempt(&format!("u{user}"), "guess", &None))).collect();
    let newcomer = pool.verify(from(1, attempt("alice", "secret", &alice)));
    let mut state = pool.shared.lock();
    let position = std::iter::from_fn(|| state.queue.pop()).position(|job| job.user == b"alice");
    assert_eq!(position, Some(1));
    drop(state);
    drop((held, flood, newcomer));
}

#[test]
fn in_a_full_queue_the_address_that_has_most_is_told_busy_and_a_newcomer_is_not() {
    let pool = start(PoolSettings { queue: 4, ..settings() });
    let alice = hashes(&["secret"]);
    let held = Held::new(&pool);
    let mut flood: Vec<_> =
        ["a", "b", "c", "d"].map(|user| pool.verify(attempt(user, "guess", &None))).into_iter().collect();
    assert_eq!(outcome(&pool, attempt("e", "guess", &None)), AuthOutcome::Busy);
    let newcomer = pool.verify(from(1, attempt("alice", "secret", &alice)));
    assert_eq!(flood.pop().map(oneshot::Receiver::blocking_recv), Some(Ok(AuthOutcome::Busy)));
    drop(held);
    assert_eq!(newcomer.blocking_recv(), Ok(AuthOutcome::Accepted(0)));
    for receiver in flood {
        assert_eq!(receiver.blocking_recv(), Ok(AuthOutcome::Rejected));
    }
    assert!(pool.shared.lock().in_flight.is_empty());
}

#[test]
fn one_wrong_password_of_many_addresses_of_an_ipv6_network_counts_once() {
    let limits = throttle::ThrottleLimits { pair_failures: 3, ..throttle::ThrottleLimits::default() };
    let pool = start(PoolSettings { limits, ..settings() });
    let app = hashes(&["secret"]);
    let at = |host: u16, password| Attempt {
        address: IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, host]),
        ..attempt("app", password, &app)
    };
    let held = Held::new(&pool);
    let receivers: Vec<_> = (0..100).map(|host| pool.verify(at(host, "stale"))).collect();
    drop(held);
    for receiver in receivers {
        assert_eq!(receiver.blocking_recv(), Ok(AuthOutcome::Rejected));
    }
    assert_eq!(outcome(&pool, at(100, "secret")), AuthOutcome::Accepted(0));
}

#[test]
fn nothing_is_computed_for_sessions_that_are_gone() {
    let pool = start(settings());
    let alice = hashes(&["secret"]);
    let held = Held::new(&pool);
    drop(pool.verify(attempt("alice", "one", &alice)));
    let other = pool.verify(attempt("alice", "two", &alice));
    drop(held);
    assert_eq!(other.blocking_recv(), Ok(AuthOutcome::Rejected));
    assert_eq!(pool.computations(), 1);
    assert!(pool.shared.lock().in_flight.is_empty());
}

#[test]
fn guessing_is_throttled_and_so_is_the_right_password_until_the_pause_is_over() {
    let limits = throttle::ThrottleLimits { pair_failures: 3, ..throttle::ThrottleLimits::default() };
    let pool = start(PoolSettings { limits, ..settings() });
    let alice = hashes(&["secret"]);
    assert_eq!(outcome(&pool, attempt("alice", "secret", &alice)), AuthOutcome::Accepted(0));
    for guess in ["a", "b", "c"] {
        assert_eq!(outcome(&pool, attempt("alice", guess, &alice)), AuthOutcome::Rejected);
    }
    let before = pool.computations();
    assert_eq!(outcome(&pool, attempt("alice", "d", &alice)), AuthOutcome::Throttled);
    assert_eq!(outcome(&pool, attempt("alice", "secret", &alice)), AuthOutcome::Throttled, "memory is no oracle");
    assert_eq!(outcome(&pool, from(1, attempt("alice", "secret", &alice))), AuthOutcome::Accepted(0));
    assert_eq!(pool.computations(), before);
}

#[test]
fn above_the_rate_of_guesses_a_remembered_password_is_not_looked_at_either() {
    let interval = Duration::from_secs(3600);
    let limits =
        throttle::ThrottleLimits { user_burst: 3, user_interval: interval, ..throttle::ThrottleLimits::default() };
    let pool = start(PoolSettings { limits, ..settings() });
    let alice = hashes(&["secret"]);
    assert_eq!(outcome(&pool, attempt("alice", "secret", &alice)), AuthOutcome::Accepted(0));
    assert_eq!(outcome(&pool, from(1, attempt("alice", "secret", &alice))), AuthOutcome::Accepted(0));
    for guess in ["a", "b", "c"] {
        assert_eq!(outcome(&pool, from(1, attempt("alice", guess, &alice))), AuthOutcome::Rejected);
    }
    assert_eq!(outcome(&pool, from(1, attempt("alice", "d", &alice))), AuthOutcome::Throttled);
    assert_eq!(outcome(&pool, from(1, attempt("alice", "secret", &alice))), AuthOutcome::Throttled);
    assert_eq!(outcome(&pool, attempt("alice", "secret", &alice)), AuthOutcome::Accepted(0), "from elsewhere");
}

#[test]
fn a_guess_for_which_there_is_no_room_counts_for_the_rate() {
    let interval = Duration::from_secs(3600);
    let limits =
        throttle::ThrottleLimits { user_burst: 3, user_interval: interval, ..throttle::ThrottleLimits::default() };
    let pool = start(PoolSettings { limits, queue: 0, ..settings() });
    let alice = hashes(&["secret"]);
    for guess in ["a", "b", "c"] {
        assert_eq!(outcome(&pool, attempt("alice", guess, &alice)), AuthOutcome::Busy);
    }
    assert_eq!(outcome(&pool, attempt("alice", "d", &alice)), AuthOutcome::Throttled);
    assert_eq!(pool.computations(), 0);
}

#[test]
fn one_wrong_password_of_many_connections_counts_once() {
    let limits = throttle::ThrottleLimits { pair_failures: 3, ..throttle::ThrottleLimits::default() };
    let pool = start(PoolSettings { limits, ..settings() });
    let app = hashes(&["secret"]);
    let held = Held::new(&pool);
    let receivers: Vec<_> = (0..100).map(|_| pool.verify(attempt("app", "stale", &app))).collect();
    drop(held);
    for receiver in receivers {
        assert_eq!(receiver.blocking_recv(), Ok(AuthOutcome::Rejected));
    }
    assert_eq!(outcome(&pool, attempt("app", "secret", &app)), AuthOutcome::Accepted(0));
}

#[test]
fn a_burst_of_distinct_guesses_does_not_get_past_the_allowance() {
    let limits = throttle::ThrottleLimits { pair_failures: 3, ..throttle::ThrottleLimits::default() };
    let pool = start(PoolSettings { limits, ..settings() });
    let alice = hashes(&["secret"]);
    let held = Held::new(&pool);
    let receivers: Vec<_> = (0..20).map(|guess| pool.verify(attempt("alice", &guess.to_string(), &alice))).collect();
    drop(held);
    let outcomes: Vec<_> = receivers.into_iter().map(|receiver| receiver.blocking_recv()).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Ok(AuthOutcome::Rejected)).count(), 3);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Ok(AuthOutcome::Throttled)).count(), 17);
}

#[test]
fn the_parts_of_an_attempt_are_kept_apart() {
    let pool = start(settings());
    let secret = |user: &str, password: &str| pool.shared.secret(&attempt(user, password, &None));
    assert_ne!(secret("ab", "c"), secret("a", "bc"));
    assert_ne!(secret("a", "b"), pool.shared.secret(&attempt("a", "b", &hashes(&[]))));
    assert_eq!(secret("a", "b"), secret("a", "b"));
    let other = start(settings());
    assert_ne!(secret("a", "b"), other.shared.secret(&attempt("a", "b", &None)), "each process has its own key");
}

#[test]
fn the_end_of_the_pool_closes_the_channels_of_those_who_wait() {
    let pool = start(settings());
    let alice = hashes(&["secret"]);
    pool.shared.lock().held = true;
    let receiver = pool.verify(attempt("alice", "secret", &alice));
    drop(pool);
    assert!(receiver.blocking_recv().is_err());
}

#[cfg(target_os = "linux")]
#[test]
fn the_threads_and_only_they_run_at_low_priority() {
    let nice_of = |task: &std::path::Path| {
        let stat = std::fs::read_to_string(task.join("stat")).ok()?;
        let (_, after_name) = stat.rsplit_once(") ")?;
        // proc(5): nice is field 19, and field 3 follows the name.
        after_name.split(' ').nth(16)?.parse::<i32>().ok()
    };
    let own = || nice_of(std::path::Path::new("/proc/thread-self")).expect("our own priority");
    let before = own();
    let pool = start(settings());
    let alice = hashes(&["secret"]);
    // An answer shows that the thread has begun its work.
    assert_eq!(outcome(&pool, attempt("alice", "secret", &alice)), AuthOutcome::Accepted(0));
    let mut low = 0;
    for task in std::fs::read_dir("/proc/self/task").expect("our threads").flatten() {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        if name.starts_with("password-") {
            // 19 is the lowest there is.
            low += usize::from(nice_of(&task.path()) == Some((before + NICE).min(19)));
        }
    }
    assert!(low > 0);
    assert_eq!(own(), before);
}

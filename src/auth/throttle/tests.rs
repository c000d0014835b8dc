use super::*;

const HOME: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 1));
const AWAY: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 2));

const LIMITS: ThrottleLimits = ThrottleLimits {
    pair_failures: 3,
    address_failures: 6,
    first_pause: Duration::from_secs(1),
    longest_pause: Duration::from_secs(8),
    failure_memory: Duration::from_secs(100),
    success_memory: Duration::from_secs(1000),
    user_interval: Duration::from_secs(1),
    user_burst: 10,
    capacity: 1000,
};

struct Bench {
    throttle: Throttle,
    now: Instant,
}

impl Bench {
    fn new() -> Bench {
        Bench { throttle: Throttle::new(LIMITS), now: Instant::now() }
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn fail(&mut self, address: IpAddr, user: &str, times: u32) {
        for _ in 0..times {
            self.throttle.failed(address, user.as_bytes(), Reach::Anybody, self.now);
        }
    }

    fn succeed(&mut self, address: IpAddr, user: &str) {
        self.throttle.succeeded(address, user.as_bytes(), Reach::Anybody, self.now);
    }

    fn check(&mut self, address: IpAddr, user: &str) -> Throttling {
        self.throttle.check(address, user.as_bytes(), Reach::Anybody, self.now)
    }

    fn standing(&mut self, address: IpAddr) -> Standing {
        self.throttle.standing(address, self.now)
    }

    fn guess(&mut self, address: IpAddr, user: &str) -> Throttling {
        self.throttle.begin_guess(address, user.as_bytes(), Reach::Anybody, self.now)
    }
}

fn wait(seconds: u64) -> Throttling {
    Throttling::Wait(Duration::from_secs(seconds))
}

#[test]
fn failures_within_the_allowance_cost_no_pause() {
    let mut bench = Bench::new();
    bench.fail(HOME, "alice", 2);
    assert_eq!(bench.check(HOME, "alice"), Throttling::Admitted);
}

#[test]
fn each_failure_above_the_allowance_doubles_the_pause_up_to_the_longest() {
    let mut bench = Bench::new();
    bench.fail(HOME, "alice", 2);
    for pause in [1, 2, 4, 8, 8, 8] {
        bench.fail(HOME, "alice", 1);
        assert_eq!(bench.check(HOME, "alice"), wait(pause));
        bench.pass(pause - 1);
        assert_eq!(bench.check(HOME, "alice"), wait(1));
        bench.pass(1);
        assert_eq!(bench.check(HOME, "alice"), Throttling::Admitted);
    }
}

#[test]
fn thousands_of_failures_do_not_overflow_the_pause() {
    let mut bench = Bench::new();
    bench.fail(HOME, "alice", 5000);
    assert_eq!(bench.check(HOME, "alice"), wait(8));
}

#[test]
fn a_success_ends_the_pause_of_its_pair() {
    let mut bench = Bench::new();
    bench.fail(HOME, "alice", 4);
    bench.succeed(HOME, "alice");
    assert_eq!(bench.check(HOME, "alice"), Throttling::Admitted);
}

#[test]
fn guesses_at_many_users_count_for_the_address() {
    let mut bench = Bench::new();
    for user in ["a", "b", "c", "d", "e", "f"] {
        bench.fail(HOME, user, 1);
    }
    assert_eq!(bench.check(HOME, "g"), wait(1));
    assert_eq!(bench.check(AWAY, "g"), Throttling::Admitted);
}

#[test]
fn logging_in_as_oneself_does_not_clear_the_address() {
    let mut bench = Bench::new();
    bench.fail(HOME, "alice", 6);
    bench.succeed(HOME, "mallory");
    assert_eq!(bench.check(HOME, "bob"), wait(1));
}

#[test]
fn a_pair_with_a_recent_success_does_not_pay_for_its_neighbours() {
    let mut bench = Bench::new();
    bench.succeed(HOME, "alice");
    bench.fail(HOME, "bob", 20);
    assert_eq!(bench.check(HOME, "alice"), Throttling::Admitted);
    assert_eq!(bench.check(HOME, "carol"), wait(8));
}

#[test]
fn failures_elsewhere_do_not_lock_a_user_out() {
    let mut bench = Bench::new();
    bench.fail(AWAY, "alice", 1000);
    assert_eq!(bench.check(HOME, "alice"), Throttling::Admitted);
}

#[test]
fn what_is_long_ago_is_forgotten() {
    let mut bench = Bench::new();
    bench.succeed(HOME, "bob");
    bench.fail(HOME, "alice", 10);
    bench.pass(100);
    bench.fail(HOME, "alice", 1);
    assert_eq!(bench.check(HOME, "alice"), Throttling::Admitted);

    bench.fail(HOME, "carol", 10);
    assert_eq!(bench.check(HOME, "bob"), Throttling::Admitted, "his success is remembered for longer");
    bench.pass(900);
    bench.fail(HOME, "carol", 10);
    assert_eq!(bench.check(HOME, "bob"), wait(8));
}

#[test]
fn guesses_under_way_count_against_the_allowance() {
    let mut bench = Bench::new();
    bench.fail(HOME, "alice", 1);
    assert_eq!(bench.guess(HOME, "alice"), Throttling::Admitted);
    assert_eq!(bench.guess(HOME, "alice"), Throttling::Admitted);
    assert_eq!(bench.guess(HOME, "alice"), wait(1));
    bench.throttle.end_guess(HOME, b"alice", Reach::Anybody);
    assert_eq!(bench.guess(HOME, "alice"), Throttling::Admitted);
}

#[test]
fn guesses_at_one_user_from_many_addresses_are_limited_in_rate() {
    let mut bench = Bench::new();
    let mut admitted = 0;
    for second in 0..60 {
        for host in 0..100 {
            let address = IpAddr::from([198, 51, u8::try_from(second).expect("under 60"), host]);
            if bench.guess(address, "alice") == Throttling::Admitted {
                admitted += 1;
            }
        }
        bench.pass(1);
    }
    assert_eq!(admitted, 10 + 59, "the burst, then one a second");
}

#[test]
fn guesses_of_the_user_itself_from_many_addresses_are_limited_in_rate_and_hold_up_nobody_else() {
    let mut bench = Bench::new();
    let address = |host: u8| IpAddr::from([198, 51, 100, host]);
    let itself = |bench: &mut Bench, address| bench.throttle.begin_guess(address, b"alice", Reach::Itself, bench.now);
    let admitted = (0..100).filter(|host| itself(&mut bench, address(*host)) == Throttling::Admitted).count();
    assert_eq!(admitted, 10, "the burst");
    assert_eq!(itself(&mut bench, address(100)), wait(1));
    assert_eq!(bench.guess(address(100), "alice"), Throttling::Admitted, "a stranger at the same user");
    assert_eq!(bench.throttle.begin_guess(HOME, b"bob", Reach::Itself, bench.now), Throttling::Admitted);
    bench.throttle.succeeded(HOME, b"alice", Reach::Itself, bench.now);
    assert_eq!(itself(&mut bench, HOME), Throttling::Admitted, "from where it has logged in");
    bench.pass(1);
    assert_eq!(itself(&mut bench, address(101)), Throttling::Admitted);
}

#[test]
fn the_rate_does_not_touch_addresses_where_the_user_logged_in_lately() {
    let mut bench = Bench::new();
    bench.succeed(HOME, "alice");
    for host in 0..100 {
        let _ = bench.guess(IpAddr::from([198, 51, 100, host]), "alice");
    }
    assert_eq!(bench.guess(AWAY, "alice"), wait(1));
    assert_eq!(bench.guess(HOME, "alice"), Throttling::Admitted);
}

#[test]
fn guesses_from_where_the_user_logs_in_all_the_time_are_limited_in_rate() {
    for reach in [Reach::Anybody, Reach::Itself] {
        let Bench { mut throttle, mut now } = Bench::new();
        let mut looked_at = 0;
        for _ in 0..600 {
            throttle.succeeded(HOME, b"alice", reach, now);
            if throttle.check(HOME, b"alice", reach, now) == Throttling::Admitted
                && throttle.begin_guess(HOME, b"alice", reach, now) == Throttling::Admitted
            {
                looked_at += 1;
                throttle.end_guess(HOME, b"alice", reach);
                throttle.failed(HOME, b"alice", reach, now);
            }
            now += Duration::from_millis(100);
        }
        assert_eq!(looked_at, 10 + 59, "the burst, then one a second: {reach:?}");
    }
}

#[test]
fn once_the_rate_of_guesses_is_reached_nothing_more_is_looked_at_before_it_has_passed() {
    let mut bench = Bench::new();
    bench.succeed(HOME, "alice");
    for host in 0..10 {
        assert_eq!(bench.check(AWAY, "alice"), Throttling::Admitted);
        let _ = bench.guess(IpAddr::from([198, 51, 100, host]), "alice");
    }
    assert_eq!(bench.check(AWAY, "alice"), wait(1), "where he has not logged in");
    for _ in 0..10 {
        assert_eq!(bench.check(HOME, "alice"), Throttling::Admitted, "guesses elsewhere are counted apart");
        assert_eq!(bench.guess(HOME, "alice"), Throttling::Admitted);
        bench.throttle.end_guess(HOME, b"alice", Reach::Anybody);
    }
    assert_eq!(bench.check(HOME, "alice"), wait(1), "where he has");
    bench.pass(1);
    assert_eq!(bench.check(AWAY, "alice"), Throttling::Admitted);
    assert_eq!(bench.check(HOME, "alice"), Throttling::Admitted);
}

#[test]
fn a_guess_that_is_refused_because_others_are_under_way_counts_for_the_rate() {
    let mut bench = Bench::new();
    bench.succeed(HOME, "alice");
    let admitted = (0..10).filter(|_| bench.guess(HOME, "alice") == Throttling::Admitted).count();
    assert_eq!(admitted, 3);
    assert_eq!(bench.check(HOME, "alice"), wait(1));
}

#[test]
fn logging_in_often_is_no_guessing() {
    let mut bench = Bench::new();
    assert_eq!(bench.guess(HOME, "alice"), Throttling::Admitted);
    bench.throttle.end_guess(HOME, b"alice", Reach::Anybody);
    for _ in 0..1000 {
        assert_eq!(bench.check(HOME, "alice"), Throttling::Admitted);
        bench.succeed(HOME, "alice");
    }
}

#[test]
fn an_ipv6_network_is_one_address() {
    let mut bench = Bench::new();
    let address = |text: &str| text.parse::<IpAddr>().expect("an address");
    for host in ["2001:db8::1", "2001:db8::2", "2001:db8::ffff:0:0:3"] {
        bench.fail(address(host), "alice", 1);
    }
    assert_eq!(bench.check(address("2001:db8::4"), "alice"), wait(1));
    assert_eq!(bench.check(address("2001:db8:0:1::4"), "alice"), Throttling::Admitted);
}

#[test]
fn guesses_of_the_user_itself_pause_itself_and_nobody_else() {
    let mut bench = Bench::new();
    let now = bench.now;
    let itself = |throttle: &mut Throttle| throttle.check(HOME, b"alice", Reach::Itself, now);
    for _ in 0..2 {
        bench.throttle.failed(HOME, b"alice", Reach::Itself, now);
    }
    assert_eq!(itself(&mut bench.throttle), Throttling::Admitted);
    for _ in 0..20 {
        bench.throttle.failed(HOME, b"alice", Reach::Itself, now);
    }
    assert_eq!(itself(&mut bench.throttle), wait(8));
    for user in ["alice", "bob", "default"] {
        assert_eq!(bench.check(HOME, user), Throttling::Admitted, "{user} by password, from the same address");
    }
    assert_eq!(bench.throttle.check(AWAY, b"alice", Reach::Itself, now), Throttling::Admitted);
}

#[test]
fn guesses_of_strangers_do_not_hold_up_the_user_itself() {
    let mut bench = Bench::new();
    bench.fail(HOME, "alice", 20);
    bench.fail(HOME, "bob", 20);
    for host in 0..100 {
        let _ = bench.guess(IpAddr::from([198, 51, 100, host]), "alice");
    }
    assert_eq!(bench.check(HOME, "alice"), wait(8));
    assert_eq!(bench.throttle.check(HOME, b"alice", Reach::Itself, bench.now), Throttling::Admitted);
    for _ in 0..LIMITS.pair_failures {
        assert_eq!(bench.throttle.begin_guess(HOME, b"alice", Reach::Itself, bench.now), Throttling::Admitted);
    }
    assert_eq!(bench.throttle.begin_guess(HOME, b"alice", Reach::Itself, bench.now), wait(1), "one burst of its own");
}

#[test]
fn an_address_is_known_for_logins_before_failures() {
    let mut bench = Bench::new();
    let network = |text: &str| text.parse::<IpAddr>().expect("an address");
    assert_eq!(bench.standing(HOME), Standing::Fresh);
    bench.fail(HOME, "alice", 1);
    assert_eq!(bench.standing(HOME), Standing::Failing);
    bench.succeed(HOME, "bob");
    bench.fail(HOME, "alice", 1);
    assert_eq!(bench.standing(HOME), Standing::Known);
    bench.succeed(network("2001:db8::1"), "bob");
    assert_eq!(bench.standing(network("2001:db8::2")), Standing::Known);
    assert_eq!(bench.standing(network("2001:db8:0:1::2")), Standing::Fresh);
    bench.pass(1000);
    assert_eq!(bench.standing(HOME), Standing::Fresh, "all that is long ago");
}

#[test]
fn an_address_that_has_used_up_its_failures_guesses_one_at_a_time() {
    let mut bench = Bench::new();
    for number in 0..20 {
        assert_eq!(bench.guess(HOME, &format!("user {number}")), Throttling::Admitted, "many users behind one address");
    }
    for number in 0..20 {
        bench.throttle.end_guess(HOME, format!("user {number}").as_bytes(), Reach::Anybody);
        bench.fail(HOME, &format!("user {number}"), 1);
    }
    bench.pass(8);
    bench.succeed(HOME, "alice");
    for allowed in [Throttling::Admitted, wait(1), wait(1)] {
        assert_eq!(bench.check(HOME, "next"), Throttling::Admitted);
        assert_eq!(bench.guess(HOME, "next"), allowed);
    }
    assert_eq!(bench.guess(HOME, "alice"), Throttling::Admitted, "who logged in from there lately");
    assert_eq!(bench.guess(AWAY, "next"), Throttling::Admitted);
}

#[test]
fn strangers_however_many_do_not_make_it_forget_who_logged_in() {
    let mut bench = Bench::new();
    bench.succeed(HOME, "alice");
    for number in 0_u32..10_000 {
        let stranger = IpAddr::from((0x0a00_0000 + number).to_be_bytes());
        let _ = bench.guess(stranger, "alice");
        bench.fail(stranger, &number.to_string(), 1);
    }
    assert_eq!(bench.standing(HOME), Standing::Known);
    assert_eq!(bench.check(AWAY, "alice"), wait(1));
    assert_eq!(bench.check(HOME, "alice"), Throttling::Admitted);
}

#[test]
fn guesses_that_are_not_verified_do_not_make_it_forget_failures() {
    let mut bench = Bench::new();
    bench.fail(HOME, "alice", 10);
    for number in 0_u32..10_000 {
        let stranger = IpAddr::from((0x0a00_0000 + number).to_be_bytes());
        let name = number.to_string();
        assert_eq!(bench.guess(stranger, &name), Throttling::Admitted);
        bench.throttle.end_guess(stranger, name.as_bytes(), Reach::Anybody);
    }
    assert_eq!(bench.check(HOME, "alice"), wait(8));
    assert_eq!(bench.check(HOME, "bob"), wait(8));
}

#[test]
fn memory_is_bounded_however_many_strangers_come() {
    let mut bench = Bench::new();
    for number in 0_u32..50_000 {
        let address = IpAddr::from(number.to_be_bytes());
        bench.fail(address, &number.to_string(), 1);
        let _ = bench.guess(address, &number.to_string());
    }
    let Throttle { addresses, pairs, users, .. } = &bench.throttle;
    assert!(addresses.len() <= LIMITS.capacity && pairs.len() <= LIMITS.capacity && users.len() <= LIMITS.capacity);
}

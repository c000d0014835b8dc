//! What it costs a request to be learnt from. `cargo bench --bench learn`.

use std::hint::black_box;

use divan::Bencher;

use respgate::acl::UserName;
use respgate::command::{ArgvBuf, CommandTable, Dialect, Scope};
use respgate::learn::{Evidence, TrafficLearner};

fn main() {
    divan::main();
}

/// Requests that come again and again, each after the others.
fn bench(bencher: Bencher<'_, '_>, requests: &[ArgvBuf]) {
    let table = CommandTable::builtin(Dialect::Redis70);
    let user = UserName::new(b"shop").expect("a name");
    let mut learner = TrafficLearner::new(Evidence::of_traffic(), 1);
    let mut at = 0;
    let mut note = || {
        let argv = requests[at].as_argv();
        at = (at + 1) % requests.len();
        let spec = table.resolve(&argv).expect("a known command");
        learner.note(&user, &table, spec, black_box(&argv), Scope::Whole, false);
    };
    (0..100_000).for_each(|_| note());
    bencher.bench_local(note);
}

/// Budget, as of all of these: 200 ns a request.
#[divan::bench]
fn get_of_a_key_in_three_parts(bencher: Bencher<'_, '_>) {
    let requests: Vec<ArgvBuf> =
        (0..10_000).map(|n| ArgvBuf::from_iter(["GET".to_owned(), format!("shop:cart:{n}")])).collect();
    bench(bencher, &requests);
}

#[divan::bench]
fn get_of_a_key_with_a_uuid(bencher: Bencher<'_, '_>) {
    let key = |n: u64| format!("celery-task-meta-{n:08x}-{n:04x}-4{n:03x}-8{n:03x}-{n:012x}");
    let requests: Vec<ArgvBuf> = (0..999).map(|n| ArgvBuf::from_iter(["GET".to_owned(), key(n)])).collect();
    bench(bencher, &requests);
}

#[divan::bench]
fn ping(bencher: Bencher<'_, '_>) {
    bench(bencher, &[ArgvBuf::from_iter(["PING"])]);
}

/// Of a user who fills all that there is room for.
#[divan::bench]
fn get_of_made_up_keys(bencher: Bencher<'_, '_>) {
    bench(bencher, &made_up());
}

fn made_up() -> Vec<ArgvBuf> {
    let key = |n: u64| {
        let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let separator = |at: u32| char::from(b":{}-./|"[(mixed >> at) as usize % 7]);
        format!("{}{}{}{}{}{}{}", mixed % 97, separator(7), mixed % 89, separator(17), mixed % 83, separator(27), n)
    };
    (0..50_000).map(|n| ArgvBuf::from_iter(["GET".to_owned(), key(n)])).collect()
}

/// While there is room yet: 50,000 made-up keys, and 50,000 in which each place has one part more than is told.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn a_hundred_thousand_keys_of_a_new_user(bencher: Bencher<'_, '_>) {
    let key = |n: u64| format!("a{}.b{}.c{}.d{}", n % 9, n / 8 % 9, n / 64 % 9, n / 512 % 9);
    let grid = (0..50_000).map(|n| ArgvBuf::from_iter(["GET".to_owned(), key(n)]));
    let requests: Vec<ArgvBuf> = made_up().into_iter().zip(grid).flat_map(|(made_up, grid)| [made_up, grid]).collect();
    let table = CommandTable::builtin(Dialect::Redis70);
    let user = UserName::new(b"shop").expect("a name");
    bencher.with_inputs(|| TrafficLearner::new(Evidence::of_traffic(), 1)).bench_local_refs(|learner| {
        for request in &requests {
            let argv = request.as_argv();
            let spec = table.resolve(&argv).expect("a known command");
            learner.note(&user, &table, spec, black_box(&argv), Scope::Whole, false);
        }
    });
}

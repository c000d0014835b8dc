//! What the ACL costs a request: name lookup and check. `cargo bench --bench acl`.

use std::sync::Arc;

use divan::{Bencher, black_box};

use respgate::acl::{Acl, User};
use respgate::command::{ArgvBuf, CommandTable, Dialect};

fn main() {
    divan::main();
}

fn user(table: &CommandTable, rules: &[&[u8]]) -> Arc<User> {
    Arc::clone(
        Acl::new(table).set_user(b"bench", rules, table).expect("the rules are right").user(b"bench").expect("set"),
    )
}

fn bench(bencher: Bencher<'_, '_>, rules: &[&[u8]], argv: &ArgvBuf) {
    let table = CommandTable::builtin(Dialect::Redis70);
    let user = user(&table, rules);
    bencher.bench_local(|| {
        let argv = black_box(argv).as_argv();
        let spec = table.resolve(&argv).expect("a known command");
        assert!(user.check(spec, &argv, Some(0)).is_ok());
    });
}

/// Budget: 50 ns.
#[divan::bench]
fn get_with_one_prefix(bencher: Bencher<'_, '_>) {
    bench(bencher, &[b"+@read", b"~app:*"], &ArgvBuf::from_iter(["GET", "app:users:1234"]));
}

#[divan::bench]
fn get_of_a_user_who_may_do_everything(bencher: Bencher<'_, '_>) {
    bench(bencher, &[b"+@all", b"~*", b"&*"], &ArgvBuf::from_iter(["GET", "app:users:1234"]));
}

#[divan::bench]
fn get_with_a_general_glob(bencher: Bencher<'_, '_>) {
    bench(bencher, &[b"+@read", b"~app:[a-z]*:12??"], &ArgvBuf::from_iter(["GET", "app:users:1234"]));
}

#[divan::bench]
fn set_with_options(bencher: Bencher<'_, '_>) {
    bench(bencher, &[b"+@write", b"~app:*"], &ArgvBuf::from_iter(["SET", "app:users:1234", "value", "EX", "10"]));
}

/// Budget: 2 µs.
#[divan::bench]
fn mget_of_50_keys_with_two_patterns(bencher: Bencher<'_, '_>) {
    let keys = (0..50).map(|n| format!("{}:users:{n}", if n % 2 == 0 { "app" } else { "web" }));
    let argv = ArgvBuf::from_iter(std::iter::once("MGET".to_owned()).chain(keys));
    bench(bencher, &[b"+@read", b"~app:*", b"~web:*"], &argv);
}

#[divan::bench]
fn config_get_by_subcommand(bencher: Bencher<'_, '_>) {
    bench(bencher, &[b"+config|get"], &ArgvBuf::from_iter(["CONFIG", "GET", "maxmemory"]));
}

#[divan::bench]
fn longest_name(bencher: Bencher<'_, '_>) {
    bench(bencher, &[b"+@all", b"~app:*"], &ArgvBuf::from_iter(["GEORADIUSBYMEMBER_RO", "app:1", "m", "1", "km"]));
}

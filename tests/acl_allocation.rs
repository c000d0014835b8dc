//! Resolving and checking a request allocates nothing, nor does asking whether the audit log is told of it.

use respgate::acl::Acl;
use respgate::command::{ArgvBuf, CommandTable, Dialect, Scope};
use respgate::policy::{AuditRules, KeyNames};

#[test]
fn resolving_and_checking_a_request_allocates_nothing() {
    let table = CommandTable::builtin(Dialect::Valkey91);
    let rules: [&[u8]; 8] =
        [b"+@all", b"-@dangerous", b"+sort", b"~app:*", b"%R~[a-z]?*", b"&news:*", b"db=0", b"(+get ~x)"];
    let acl = Acl::new(&table).set_user(b"bob", &rules, &table).unwrap();
    let user = acl.user(b"bob").unwrap();
    let requests = [
        vec!["GET", "app:1"],
        vec!["get", "nothing"],
        vec!["SET", "app:1", "v", "GET"],
        vec!["MGET", "app:1", "bb", "cc"],
        vec!["ZUNIONSTORE", "app:1", "2", "app:2", "bb"],
        vec!["XREADGROUP", "GROUP", "g", "c", "STREAMS", "app:1", ">"],
        vec!["SORT", "app:1", "BY", "w_*", "STORE", "app:2"],
        vec!["PUBLISH", "news:1", "text"],
        vec!["COPY", "app:1", "app:2", "DB", "0"],
        vec!["CONFIG", "GET", "maxmemory"],
        vec!["NOSUCH", "x"],
    ];
    for request in requests {
        let argv = ArgvBuf::from_iter(&request);
        let allocations = allocation_counter::measure(|| {
            let argv = argv.as_argv();
            let verdict = table.resolve(&argv).map(|spec| user.check(spec, &argv, Some(0)));
            std::hint::black_box(verdict.is_ok());
        });
        assert_eq!(allocations.count_total, 0, "{request:?}");
    }
}

#[test]
fn a_request_that_is_not_recorded_allocates_nothing_for_that() {
    let table = CommandTable::builtin(Dialect::Valkey91);
    let commands = ["@admin".to_owned(), "@dangerous".to_owned()];
    let (rules, _) = AuditRules::build(&commands, KeyNames::Yes, &table);
    let allocations = |request: &[&str]| {
        let argv = ArgvBuf::from_iter(request);
        let spec = table.resolve(&argv.as_argv()).unwrap();
        let asked = || drop(std::hint::black_box(rules.of_permitted(spec, &argv.as_argv(), Scope::Whole)));
        allocation_counter::measure(asked).count_total
    };
    assert_eq!((allocations(&["GET", "a"]), allocations(&["SET", "a", "v"])), (0, 0));
    assert!(allocations(&["SORT", "a"]) > 0, "that is recorded, with its key");
}

#[test]
fn the_counter_counts() {
    let allocations = allocation_counter::measure(|| drop(std::hint::black_box(vec![0_u8; 100])));
    assert_eq!(allocations.count_total, 1);
}

use super::*;
use crate::acl::{Acl, Effort, Unknown};
use crate::command::{ArgvBuf, CommandTable, Dialect};

/// Decides `request` for a user with `rules`, words separated by blanks.
fn check_in(dialect: Dialect, rules: &str, request: &str, db: Option<u32>) -> Result<(), AclDenial> {
    let table = CommandTable::builtin(dialect);
    let rules: Vec<&[u8]> = rules.split(' ').map(str::as_bytes).collect();
    let acl = Acl::new(&table).set_user(b"bob", &rules, &table).unwrap();
    let argv = ArgvBuf::from_iter(request.split(' '));
    let argv = argv.as_argv();
    acl.user(b"bob").unwrap().check(table.resolve(&argv).unwrap(), &argv, db)
}

fn check(rules: &str, request: &str) -> Result<(), AclDenial> {
    let verdict = check_in(Dialect::Redis70, rules, request, Some(0));
    assert_eq!(check_in(Dialect::Valkey91, rules, request, Some(0)), verdict, "dialects differ");
    verdict
}

const NO_COMMAND: Result<(), AclDenial> = Err(AclDenial::Command);

fn no_key(index: usize) -> Result<(), AclDenial> {
    Err(AclDenial::Key { index })
}

fn no_channel(index: usize) -> Result<(), AclDenial> {
    Err(AclDenial::Channel { index })
}

#[test]
fn a_new_user_may_do_nothing() {
    assert_eq!(check("", "GET a"), NO_COMMAND);
    assert_eq!(check("", "PING"), NO_COMMAND);
    assert_eq!(check("on nopass", "GET a"), NO_COMMAND);
}

#[test]
fn everyone_may_authenticate_and_leave() {
    for request in ["AUTH u p", "HELLO 3", "QUIT", "RESET"] {
        assert_eq!(check("-@all", request), Ok(()), "{request}");
    }
}

#[test]
fn rules_apply_left_to_right_and_the_last_one_wins() {
    assert_eq!(check("+config|get -@dangerous", "CONFIG GET a"), NO_COMMAND);
    assert_eq!(check("-@dangerous +config|get", "CONFIG GET a"), Ok(()));
    assert_eq!(check("+@all -config", "CONFIG GET a"), NO_COMMAND);
    assert_eq!(check("+@all -config +config|get", "CONFIG SET a b"), NO_COMMAND);
    assert_eq!(check("+config -config|set", "CONFIG GET a"), Ok(()));
    assert_eq!(check("+config -config|set", "CONFIG SET a b"), NO_COMMAND);
}

#[test]
fn a_first_argument_rule_allows_that_argument_only() {
    assert_eq!(check("+select|0", "SELECT 0"), Ok(()));
    assert_eq!(check("+select|0", "SELECT 1"), NO_COMMAND);
    assert_eq!(check("+getex|A ~*", "GETEX a EX 1"), Ok(()));
    assert_eq!(check("+select|0 -select", "SELECT 0"), NO_COMMAND);
    assert_eq!(check("+select|0 -@connection", "SELECT 0"), NO_COMMAND);
    assert_eq!(check("+select|0", "SELECT 0\0"), NO_COMMAND);
}

#[test]
fn one_pattern_must_grant_all_that_a_key_needs() {
    assert_eq!(check("+@all %R~* %W~a*", "INCR a"), no_key(1));
    assert_eq!(check("+@all %RW~a*", "INCR a"), Ok(()));
    assert_eq!(check("+@all %R~a* %W~a*", "INCR a"), Ok(()), "the same text twice merges");
    assert_eq!(check("+@all %R~a*", "GET a"), Ok(()));
    assert_eq!(check("+@all %W~a*", "GET a"), no_key(1));
    assert_eq!(check("+@all %W~a*", "SET a v"), Ok(()));
    assert_eq!(check("+@all %W~a*", "SET a v GET"), no_key(1));
    assert_eq!(check("+@all %W~a*", "EXISTS a"), Ok(()), "a name is satisfied by any pattern");
}

#[test]
fn every_key_must_match_and_the_first_that_does_not_is_named() {
    assert_eq!(check("+@all ~a*", "MGET a1 b a2"), no_key(2));
    assert_eq!(check("+@all ~a* ~b", "MGET a1 b a2"), Ok(()));
    assert_eq!(check("+@all %R~src %W~dst", "COPY src dst"), Ok(()));
    assert_eq!(check("+@all %R~src %W~dst", "COPY dst src"), no_key(1));
}

#[test]
fn an_empty_key_needs_all_keys() {
    assert_eq!(check("+@all %RW~*", "GET "), no_key(1));
    assert_eq!(check("+@all ~*", "GET "), Ok(()));
}

#[test]
fn keys_that_cannot_be_told_are_refused_but_to_those_who_hold_them_all() {
    for request in ["EVAL s 99 k", "LMPOP 0 k LEFT", "XREAD STREAMS k", "SORT k STORE\0 d"] {
        assert_eq!(check("+@all %RW~*", request), Err(AclDenial::Unextractable), "{request}");
        assert_eq!(check("+@all allkeys", request), Ok(()), "{request}");
    }
}

#[test]
fn any_selector_suffices_but_it_must_do_alone() {
    assert_eq!(check("+get ~a (+set ~b)", "SET b v"), Ok(()));
    assert_eq!(check("+get ~a (+set ~b)", "SET a v"), no_key(1));
    assert_eq!(check("+get (~a)", "GET a"), no_key(1));
}

#[test]
fn the_furthest_failure_of_any_selector_is_reported() {
    assert_eq!(check("-@all (+get ~a) (+mget ~a)", "GET b"), no_key(1));
    assert_eq!(check("+mget ~a (+mget ~a ~b)", "MGET a b c"), no_key(3));
    assert_eq!(check("-@all (+publish)", "PUBLISH c m"), no_channel(1));
}

#[test]
fn channels_are_judged_where_messages_go_or_come_from() {
    assert_eq!(check("+@all &news:*", "SUBSCRIBE news:1 chat"), no_channel(2));
    assert_eq!(check("+@all &news:*", "SSUBSCRIBE news:1 news:2"), Ok(()));
    assert_eq!(check("+@all &news:*", "PUBLISH chat m"), no_channel(1));
    assert_eq!(check("+@all &news:*", "SPUBLISH news:1 chat"), Ok(()));
    assert_eq!(check("+@all", "UNSUBSCRIBE chat"), Ok(()));
    assert_eq!(check("+@all", "PUNSUBSCRIBE chat*"), Ok(()));
}

#[test]
fn subscribed_patterns_are_compared_to_the_letter() {
    assert_eq!(check("+@all &news:*", "PSUBSCRIBE news:*"), Ok(()));
    assert_eq!(check("+@all &news:*", "PSUBSCRIBE news:1*"), no_channel(1));
    assert_eq!(check("+@all &news:*", "PSUBSCRIBE news:*\0x"), no_channel(1));
    assert_eq!(check("+@all &*", "PSUBSCRIBE *"), Ok(()));
}

#[test]
fn sort_by_a_pattern_or_get_needs_every_key_readable() {
    assert_eq!(check("+@all ~a", "SORT a BY w_*"), Err(AclDenial::SortBy));
    assert_eq!(check("+@all ~a", "SORT a BY nosort"), Ok(()));
    assert_eq!(check("+@all ~a", "SORT a GET #"), Err(AclDenial::SortGet));
    assert_eq!(check("+@all ~a", "SORT_RO a GET w"), Err(AclDenial::SortGet));
    assert_eq!(check("+@all ~a %R~*", "SORT a BY w_* GET #"), Ok(()));
    assert_eq!(check("+@all ~*", "SORT a BY w_* GET #"), Ok(()));
    assert_eq!(check("+@all ~a", "SORT b BY w_*"), no_key(1));
    assert_eq!(check("+@all ~a (+@all %W~*)", "SORT a GET #"), Err(AclDenial::SortGet));
}

#[test]
fn a_dry_run_leaves_sorts_patterns_to_the_server() {
    let table = CommandTable::builtin(Dialect::Redis70);
    let acl = Acl::new(&table).set_user(b"bob", &[b"+@all", b"~a"], &table).unwrap();
    let argv = ArgvBuf::from_iter(["SORT", "a", "GET", "#"]);
    let spec = table.by_name("sort").unwrap();
    assert_eq!(acl.user(b"bob").unwrap().dry_run(spec, &argv.as_argv(), None), Ok(()));
}

#[test]
fn databases_limit_where_keys_are_used() {
    let check = |rules, request, db| check_in(Dialect::Valkey91, rules, request, db);
    let no_database = |index| Err(AclDenial::Database { index });
    assert_eq!(check("+@all ~* db=1,2", "GET a", Some(1)), Ok(()));
    assert_eq!(check("+@all ~* db=1,2", "GET a", Some(0)), no_database(0));
    assert_eq!(check("+@all ~* db=1", "GET a", None), no_database(0));
    assert_eq!(check("+@all ~* resetdbs", "GET a", Some(0)), no_database(0));
    assert_eq!(check("+@all ~* db=1", "PING", Some(0)), Ok(()));
    assert_eq!(check("+@all ~* db=1", "SELECT 1", Some(0)), Ok(()));
    assert_eq!(check("+@all ~* db=1", "SELECT 0", Some(1)), no_database(1));
    assert_eq!(check("+@all ~* db=1", "MOVE a 0", Some(1)), no_database(2));
    assert_eq!(check("+@all ~* db=1", "SWAPDB 1 0", Some(1)), no_database(2));
    assert_eq!(check("+@all ~* db=1", "COPY a b DB 0", Some(1)), no_database(4));
    assert_eq!(check("+@all ~* db=1", "COPY a b DB 1 DB 0", Some(1)), no_database(6));
    assert_eq!(check("+@all ~* db=1", "FLUSHALL", Some(1)), no_database(0));
    assert_eq!(check("+@all ~* db=1 alldbs", "FLUSHALL", Some(1)), Ok(()));
    assert_eq!(check("+@all ~* db=1 (+get ~* db=2)", "GET a", Some(2)), Ok(()));
}

#[test]
fn a_database_that_is_no_number_is_refused() {
    for request in ["SELECT x", "SELECT 01", "SELECT +1", "SELECT -1", "SWAPDB 1 x", "COPY a b DB x", "COPY a b DB"] {
        let verdict = check_in(Dialect::Valkey91, "+@all ~* db=1", request, Some(1));
        assert_eq!(verdict, Err(AclDenial::Database { index: 0 }), "{request}");
    }
}

/// Everything that `check_prefix` lets pass must pass whatever follows.
#[test]
fn an_early_verdict_is_the_strictest() {
    let table = CommandTable::builtin(Dialect::Redis70);
    let prefix_of = |rules: &str, words: &[&str]| {
        let rules: Vec<&[u8]> = rules.split(' ').map(str::as_bytes).collect();
        let acl = Acl::new(&table).set_user(b"bob", &rules, &table).unwrap();
        let argv = ArgvBuf::from_iter(words);
        let argv = argv.as_argv();
        acl.user(b"bob").unwrap().check_prefix(table.resolve(&argv).unwrap(), &argv, Some(0), &Effort::default())
    };
    assert_eq!(prefix_of("+@all ~a", &["SET", "a"]), Ok(()));
    assert_eq!(prefix_of("+@all %W~a", &["SET", "a"]), no_key(1), "GET could follow");
    assert_eq!(prefix_of("+@all %R~a", &["BITFIELD", "a"]), no_key(1), "SET could follow");
    assert_eq!(prefix_of("+@all ~a", &["SET", "b"]), no_key(1));
    assert_eq!(prefix_of("+@all &c", &["PUBLISH", "c"]), Ok(()));
    assert_eq!(prefix_of("+@all &c", &["PUBLISH", "d"]), no_channel(1));
    assert_eq!(prefix_of("+@all ~*", &["SET"]), Err(AclDenial::Unextractable));
    assert_eq!(prefix_of("+@all ~*", &["DEL", "a"]), Err(AclDenial::Unextractable));
}

#[test]
fn the_categories_that_flags_imply_take_module_commands_away_and_grant_none() {
    let table = CommandTable::builtin(Dialect::Redis70);
    let upstream = |name: &str, flag: &str| crate::command::UpstreamCommand {
        name: name.to_owned(),
        arity: -2,
        flags: vec!["module".to_owned(), flag.to_owned()],
        ..Default::default()
    };
    let extended = table.extended(&[upstream("json.set", "write"), upstream("json.get", "readonly")]);
    let acl = Acl::new(&table).set_user(b"bob", &[b"+@all", b"-@write", b"~*"], &table).unwrap();
    let verdict = |acl: &Acl, name: &str| {
        let argv = ArgvBuf::from_iter([name, "a"]);
        acl.user(b"bob").unwrap().check(extended.by_name(name).unwrap(), &argv.as_argv(), None)
    };
    assert_eq!(verdict(&acl, "json.get"), NO_COMMAND, "the user was made before the command was known");
    let acl = acl.recompiled(&extended);
    assert_eq!(verdict(&acl, "json.get"), Ok(()));
    assert_eq!(verdict(&acl, "json.set"), NO_COMMAND);
    let acl = Acl::new(&extended).set_user(b"bob", &[b"+@read", b"+@write", b"+@slow", b"~*"], &extended).unwrap();
    assert_eq!((verdict(&acl, "json.get"), verdict(&acl, "json.set")), (NO_COMMAND, NO_COMMAND), "as in Redis");
}

#[test]
fn kept_names_grant_nothing_until_they_are_known() {
    let table = CommandTable::builtin(Dialect::Redis70);
    let upstream = crate::command::UpstreamCommand { name: "ft.drop".into(), arity: -1, ..Default::default() };
    let extended = table.extended(&[upstream]);
    let verdict = |acl: &Acl| {
        let argv = ArgvBuf::from_iter(["ft.drop"]);
        acl.user(b"bob").unwrap().check(extended.by_name("ft.drop").unwrap(), &argv.as_argv(), None)
    };
    let granted = keeping("user bob +ft.drop ~*", &table);
    assert_eq!(verdict(&granted), NO_COMMAND);
    assert_eq!(verdict(&granted.recompiled(&extended)), Ok(()));
    assert_eq!(granted.recompiled(&extended).user(b"bob").unwrap().unknown_rules(), [""; 0]);

    let taken = keeping("user bob +@all -ft.other ~* &*", &table);
    assert_eq!(verdict(&taken), NO_COMMAND, "it could be the one that was taken away");
    assert!(!taken.user(b"bob").unwrap().is_unrestricted());
    assert_eq!(verdict(&taken.recompiled(&extended)), NO_COMMAND, "it still could");
    let given_back = keeping("user bob +@all -@search +ft.drop ~* &*", &table);
    assert_eq!(verdict(&given_back.recompiled(&extended)), Ok(()));
}

#[test]
fn databases_in_a_dialect_that_has_none_shut_their_selector_until_they_are_understood() {
    let [redis, valkey] = [Dialect::Redis70, Dialect::Valkey91].map(CommandTable::builtin);
    let acl = keeping("user bob +@all ~* &* db=1 (+get ~a)", &redis);
    let verdict = |acl: &Acl, table: &CommandTable, request: &[&str], db| {
        let argv = ArgvBuf::from_iter(request);
        let argv = argv.as_argv();
        acl.user(b"bob").unwrap().check(table.resolve(&argv).unwrap(), &argv, Some(db))
    };
    for table in [&redis, &CommandTable::builtin(Dialect::Redis72)] {
        let acl = acl.recompiled(table);
        let bob = acl.user(b"bob").unwrap();
        assert_eq!(verdict(&acl, table, &["GET", "b"], 1), no_key(1), "only the other selector is left");
        assert_eq!(verdict(&acl, table, &["PING"], 1), NO_COMMAND);
        assert_eq!(verdict(&acl, table, &["HELLO"], 1), Ok(()));
        assert!(!bob.is_unrestricted() && !bob.may_run(table.by_name("set").unwrap()));
        assert!(bob.may_run(table.by_name("get").unwrap()));
        let rules = bob.exact_rules(table, |spec| spec.full_name() == "get", |_| false).join(&b' ');
        assert_eq!(rules.escape_ascii().to_string(), "-@all (~a resetchannels -@all +get)");
        let all = keeping("user bob +get ~*", table);
        assert!(!bob.keeps_readable_keys_of(all.user(b"bob").unwrap(), &Effort::default()));
    }
    let acl = acl.recompiled(&valkey);
    assert_eq!(verdict(&acl, &valkey, &["GET", "b"], 1), Ok(()));
    assert_eq!(verdict(&acl, &valkey, &["GET", "b"], 0), no_key(1));
}

/// The users of a file, with every rule kept that the table does not know.
fn keeping(text: &str, table: &CommandTable) -> Acl {
    Acl::read(text.as_bytes(), table, Unknown::Keep).unwrap().acl
}

/// `count` keys of `length` bytes under `patterns` that none of them fits.
fn mget(patterns: usize, count: usize, length: usize, more_rules: &str) -> Result<(), AclDenial> {
    let rules: String = (0..patterns).map(|number| format!(" ~*:{number}:x")).collect();
    let request = format!("MGET{}", format!(" {}", "k".repeat(length)).repeat(count));
    check(&format!("+@all{rules}{more_rules}"), &request)
}

#[test]
fn what_takes_more_than_one_judgement_may_is_refused_whatever_it_would_be() {
    assert_eq!(mget(60, 1, 10_000, ""), no_key(1));
    assert_eq!(mget(60, 1, 500_000, ""), Err(AclDenial::Effort), "a long key");
    assert_eq!(mget(60, 1, 500_000, " ~k*"), Err(AclDenial::Effort), "even where a later pattern fits");
    assert_eq!(mget(1000, 20_000, 1, " ~k"), Err(AclDenial::Effort), "many keys");
    assert_eq!(mget(60, 1, 500_000, " (~* +get)"), Err(AclDenial::Effort));
    assert_eq!(mget(60, 1, 500_000, " (~* +mget)"), Ok(()), "a selector with nothing to compare");
}

#[test]
fn arguments_that_are_searched_for_keys_count_for_each_selector() {
    let request = format!("XREAD STREAMS{}", " a".repeat(200_000));
    let selectors = |count: usize| format!("+@all ~x{}", " (+@all ~y)".repeat(count));
    assert_eq!(check(&selectors(0), &request), no_key(2));
    assert_eq!(check(&selectors(99), &request), Err(AclDenial::Effort));
}

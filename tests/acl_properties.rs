//! Properties of the ACL engine that hold for any rules and any request.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use respgate::acl::{Acl, Effort, Unknown};
use respgate::command::{ArgvBuf, CommandTable, Dialect, UpstreamCommand};

fn dialect() -> impl Strategy<Value = Dialect> {
    select(Dialect::ALL.to_vec())
}

/// Rules that are mostly right, and bytes that mostly are not.
fn rule() -> impl Strategy<Value = Vec<u8>> {
    let word = select(vec![
        "+@all",
        "-@all",
        "+get",
        "-get",
        "+@read",
        "-@write",
        "+config|get",
        "-config",
        "+select|0",
        "~*",
        "~a*",
        "%R~a*",
        "%W~",
        "&*",
        "&a*",
        "allkeys",
        "resetkeys",
        "resetchannels",
        "on",
        "off",
        "nopass",
        ">pw",
        "reset",
        "clearselectors",
        "db=0,1",
        "resetdbs",
        "(+get ~a*)",
        "(-@all",
        "~b)",
        "(\"~a)\" &')')",
        "~${a}",
        "(\"~\\x24{a}\" '~$\\{a}')",
    ]);
    let pattern = (select(vec!["~", "%R~", "%RW~", "&", "+select|"]), "[a-c*?\\[\\]^\\\\'\"()|${}-]{0,6}");
    prop_oneof![
        4 => word.prop_map(|word| word.as_bytes().to_vec()),
        2 => pattern.prop_map(|(sign, text)| format!("{sign}{text}").into_bytes()),
        1 => vec(any::<u8>(), 0..8),
    ]
}

fn word() -> impl Strategy<Value = Vec<u8>> {
    let known = select(vec!["a", "ab", "b", "", "get", "GET", "store", "streams", "keys", "0", "1", "2", "db", "set"]);
    prop_oneof![4 => known.prop_map(|word| word.as_bytes().to_vec()), 1 => vec(any::<u8>(), 0..4)]
}

/// A server of this dialect with commands and a category that no table of ours has.
fn live(dialect: Dialect) -> CommandTable {
    let named = |name: &str| UpstreamCommand { name: name.to_owned(), arity: -1, ..Default::default() };
    let module = UpstreamCommand {
        flags: vec!["module".to_owned(), "write".to_owned()],
        categories: vec!["@search".to_owned()],
        subcommands: vec![named("ft.config|get")],
        ..named("ft.config")
    };
    let container = UpstreamCommand { subcommands: vec![named("client|newest")], ..named("client") };
    CommandTable::builtin(dialect).extended(&[module, named("newest"), container])
}

fn live_rule() -> impl Strategy<Value = Vec<u8>> {
    let word = select(vec![
        "+client|setinfo",
        "-client|setinfo",
        "+client|newest",
        "-client",
        "+ft.config",
        "-ft.config|get",
        "+@search",
        "-@search",
        "+newest|a*",
        "-newest",
        "+commandlog",
        "db=0",
        "alldbs",
        "(+ft.config|get ~b db=1)",
    ]);
    prop_oneof![1 => rule(), 1 => word.prop_map(|word| word.as_bytes().to_vec())]
}

proptest! {
    /// What a live proxy took and saved starts before it is known what server is behind it, and gives the same rights when
    /// that is known.
    #[test]
    fn what_was_accepted_live_starts_and_comes_to_the_same(
        dialect in dialect(),
        rules in vec(live_rule(), 0..8),
        keys in vec(select(vec!["a", "b"]), 3),
        db in 0u32..2,
    ) {
        let table = live(dialect);
        let mut acl = Acl::new(&table);
        for rule in rules {
            acl = acl.set_user(b"bob", &[&rule], &table).unwrap_or(acl);
        }
        let file = acl.to_file(&table);
        let default = CommandTable::builtin(Dialect::Redis70);
        let read = Acl::read(&file, &default, Unknown::Keep);
        prop_assert!(read.is_ok(), "{}: {:?}", file.escape_ascii(), read.err());
        let started = read.expect("just looked").acl;
        let again = started.to_file(&default);
        prop_assert_eq!(again.escape_ascii().to_string(), file.escape_ascii().to_string());
        let heard = started.recompiled(&table);
        let Some(bob) = acl.user(b"bob") else { return Ok(()) };
        let restarted = heard.user(b"bob").expect("it was in the file");
        prop_assert_eq!(restarted.unknown_rules(), [""; 0]);
        prop_assert_eq!(restarted.is_unrestricted(), bob.is_unrestricted());
        for spec in table.iter() {
            let argv = ArgvBuf::from_iter(spec.full_name().split('|').chain(keys.iter().copied()));
            let verdict = |user: &respgate::acl::User| user.check(spec, &argv.as_argv(), Some(db)).is_ok();
            prop_assert_eq!(verdict(restarted), verdict(bob), "{}: {}", spec.full_name(), file.escape_ascii());
        }
    }

    #[test]
    fn accepted_rules_are_written_and_read_back_the_same(dialect in dialect(), rules in vec(rule(), 0..8)) {
        let table = CommandTable::builtin(dialect);
        let rules: Vec<&[u8]> = rules.iter().map(Vec::as_slice).collect();
        if let Ok(acl) = Acl::new(&table).set_user(b"bob", &rules, &table) {
            let file = acl.to_file(&table);
            let read = Acl::parse(&file, &table);
            prop_assert!(read.is_ok(), "{}: {:?}", file.escape_ascii(), read.err());
            let again = read.expect("just looked").to_file(&table);
            prop_assert_eq!(again.escape_ascii().to_string(), file.escape_ascii().to_string());
        }
    }

    #[test]
    fn any_file_is_read_or_refused_with_lines_that_exist(dialect in dialect(), text in vec(any::<u8>(), 0..200)) {
        let table = CommandTable::builtin(dialect);
        if let Err(errors) = Acl::parse(&text, &table) {
            let lines = text.split(|b| *b == b'\n').count();
            prop_assert!(!errors.is_empty() && errors.iter().all(|error| (1..=lines).contains(&error.line)));
        }
    }

    /// What an early verdict lets pass, the full one does too, whatever arguments follow.
    #[test]
    fn an_early_verdict_is_never_milder(
        dialect in dialect(),
        rules in vec(rule(), 0..6),
        command in any::<proptest::sample::Index>(),
        words in vec(word(), 4),
        rest in vec(word(), 0..6),
    ) {
        let table = CommandTable::builtin(dialect);
        let rules: Vec<&[u8]> = rules.iter().map(Vec::as_slice).collect();
        let Ok(acl) = Acl::new(&table).set_user(b"bob", &rules, &table) else { return Ok(()) };
        let user = acl.user(b"bob").expect("just set");
        let spec = table.iter().nth(command.index(table.len())).expect("within the table");
        let Some(decided_by) = spec.decided_by() else { return Ok(()) };
        let name = spec.full_name().split('|').map(|word| word.as_bytes().to_vec());
        let leading: Vec<Vec<u8>> = name.chain(words).take(decided_by.max(2)).collect();
        let prefix = ArgvBuf::from_iter(&leading);
        let whole = ArgvBuf::from_iter(leading.iter().chain(&rest));
        if user.check_prefix(spec, &prefix.as_argv(), Some(0), &Effort::default()).is_ok() {
            let verdict = user.check(spec, &whole.as_argv(), Some(0));
            // A NUL among SET's options is refused once it is seen; the server would refuse it as well.
            let has_nul = rest.iter().any(|word| word.contains(&0));
            prop_assert!(verdict.is_ok() || has_nul, "{:?} {:?}", spec.full_name(), verdict);
        }
    }

    #[test]
    fn any_request_is_resolved_and_judged_without_panic(
        dialect in dialect(),
        rules in vec(rule(), 0..6),
        command in any::<proptest::sample::Index>(),
        words in vec(word(), 0..12),
    ) {
        let table = CommandTable::builtin(dialect);
        let rules: Vec<&[u8]> = rules.iter().map(Vec::as_slice).collect();
        let acl = Acl::new(&table).set_user(b"bob", &rules, &table).unwrap_or_else(|_| Acl::new(&table));
        let spec = table.iter().nth(command.index(table.len())).expect("within the table");
        let name = spec.full_name().split('|').map(|word| word.as_bytes().to_vec());
        let argv = ArgvBuf::from_iter(name.chain(words));
        for user in acl.users() {
            let verdict = user.check(spec, &argv.as_argv(), None);
            let explained = user.explain(&table, spec, &argv.as_argv(), None);
            prop_assert_eq!(verdict.is_ok(), explained.iter().any(|selector| selector.verdict.is_ok()));
        }
    }
}

use super::*;
use crate::command::category;
use crate::command::{ArgvBuf, UpstreamBegin, UpstreamFind, UpstreamKeySpec};

fn both() -> [CommandTable; 2] {
    [CommandTable::builtin(Dialect::Redis70), CommandTable::builtin(Dialect::Valkey91)]
}

fn resolved<'t>(table: &'t CommandTable, words: &[&str]) -> Result<&'t str, Option<&'t str>> {
    let argv = ArgvBuf::from_iter(words);
    match table.resolve(&argv.as_argv()) {
        Ok(spec) => Ok(spec.full_name()),
        Err(Unresolved::Command) => Err(None),
        Err(Unresolved::Subcommand(container)) => Err(Some(container.full_name())),
    }
}

#[test]
fn every_command_is_found_by_its_name_in_any_case() {
    for table in both() {
        for spec in table.iter() {
            let words: Vec<String> = spec.full_name().split('|').map(str::to_ascii_uppercase).collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            assert_eq!(resolved(&table, &words), Ok(spec.full_name()));
            assert_eq!(table.by_name(spec.full_name()).map(CommandSpec::id), Some(spec.id()));
            assert_eq!(table.get(spec.id()).map(CommandSpec::full_name), Some(spec.full_name()));
        }
    }
}

#[test]
fn a_subcommand_is_resolved_and_an_unknown_one_names_its_container() {
    for table in both() {
        assert_eq!(resolved(&table, &["Config", "gEt", "x"]), Ok("config|get"));
        assert_eq!(resolved(&table, &["CONFIG"]), Ok("config"));
        assert_eq!(resolved(&table, &["CONFIG", "NOPE"]), Err(Some("config")));
        assert_eq!(resolved(&table, &["GET", "get"]), Ok("get"));
    }
}

#[test]
fn what_only_looks_like_a_name_is_unknown() {
    for table in both() {
        for name in ["", "get\0", "\0get", "get ", "config|get", "g\u{0}et", "gets", "ge", "@get", "G%T"] {
            assert_eq!(resolved(&table, &[name, "x"]), Err(None), "{name:?}");
        }
        let long = "get".repeat(1000);
        assert_eq!(resolved(&table, &[&long]), Err(None));
        assert_eq!(resolved(&table, &["config", "get\0"]), Err(Some("config")));
        assert_eq!(resolved(&table, &[]), Err(None));
    }
}

#[test]
fn arity_is_exact_or_a_minimum() {
    let [table, _] = both();
    let get = table.by_name("get").unwrap();
    assert!(get.arity_ok(2) && !get.arity_ok(1) && !get.arity_ok(3));
    let del = table.by_name("del").unwrap();
    assert!(!del.arity_ok(1) && del.arity_ok(2) && del.arity_ok(200));
}

#[test]
fn category_bits_are_in_the_order_of_their_names() {
    use super::entry::C;
    let bits = [
        C::KEYSPACE,
        C::READ,
        C::WRITE,
        C::SET,
        C::SORTEDSET,
        C::LIST,
        C::HASH,
        C::STRING,
        C::BITMAP,
        C::HYPERLOGLOG,
        C::GEO,
        C::STREAM,
        C::PUBSUB,
        C::ADMIN,
        C::FAST,
        C::SLOW,
        C::BLOCKING,
        C::DANGEROUS,
        C::CONNECTION,
        C::TRANSACTION,
        C::SCRIPTING,
    ];
    for (position, bit) in bits.into_iter().enumerate() {
        assert_eq!(Categories(bit), Categories::builtin(category::BUILTIN[position]));
    }
    let [table, _] = both();
    assert!(table.by_name("pfadd").unwrap().categories().intersects(Categories::builtin("hyperloglog")));
}

#[test]
fn only_four_commands_are_open_to_everyone() {
    for table in both() {
        let open: Vec<&str> = table.iter().filter(|spec| spec.is_no_auth()).map(CommandSpec::full_name).collect();
        assert_eq!(open, ["auth", "hello", "quit", "reset"]);
    }
}

#[test]
fn a_verdict_can_come_early_only_where_nothing_later_matters() {
    for table in both() {
        let decided = |name: &str| table.by_name(name).unwrap().decided_by();
        for name in ["set", "get", "hset", "lpush", "append", "publish", "restore", "bitfield", "setrange", "echo"] {
            assert_eq!(decided(name), Some(2), "{name}");
        }
        assert_eq!(decided("lmove"), Some(3));
        assert_eq!(decided("xgroup|create"), Some(3));
        for name in [
            "del",
            "mset",
            "eval",
            "sort",
            "migrate",
            "xread",
            "zunion",
            "subscribe",
            "psubscribe",
            "copy",
            "select",
            "georadius",
            "auth",
            "hello",
            "acl|setuser",
        ] {
            assert_eq!(decided(name), None, "{name}");
        }
    }
}

#[test]
fn the_dialect_follows_the_server() {
    assert_eq!(Dialect::for_server("redis", 7, 0), Dialect::Redis70);
    assert_eq!(Dialect::for_server("redis", 6, 2), Dialect::Redis70);
    assert_eq!(Dialect::for_server("redis", 7, 2), Dialect::Redis72);
    assert_eq!(Dialect::for_server("redis", 8, 0), Dialect::Redis72);
    assert_eq!(Dialect::for_server("valkey", 7, 2), Dialect::Valkey91);
}

#[test]
fn only_valkey_aborts_a_transaction_for_multi_and_watch() {
    for (dialect, aborts) in [(Dialect::Redis70, false), (Dialect::Redis72, false), (Dialect::Valkey91, true)] {
        let table = CommandTable::builtin(dialect);
        for name in ["multi", "watch"] {
            assert_eq!(table.by_name(name).unwrap().is_no_multi(), aborts, "{name} of {}", dialect.name());
        }
        assert!(table.by_name("psync").unwrap().is_no_multi());
    }
}

fn module_command(name: &str, flags: &[&str]) -> UpstreamCommand {
    let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    UpstreamCommand { name: name.to_owned(), arity: -2, flags, ..UpstreamCommand::default() }
}

fn indexed_key(flags: &[&str]) -> UpstreamKeySpec {
    UpstreamKeySpec {
        flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        begin: UpstreamBegin::Index { index: 1 },
        find: UpstreamFind::Range { lastkey: 0, keystep: 1, limit: 0 },
    }
}

/// Whether the keys of `name a b` can be told.
fn keys_are_known(table: &CommandTable, name: &str) -> bool {
    let argv = ArgvBuf::from_iter([name, "a", "b"]);
    let spec = table.by_name(name).unwrap();
    spec.try_keys::<crate::command::Unextractable>(&argv.as_argv(), crate::command::Scope::Whole, |_| Ok(())).is_ok()
}

#[test]
fn a_module_command_is_added_with_what_its_flags_imply() {
    let [table, _] = both();
    let extended = table.extended(&[module_command("JSON.SET", &["module", "write", "denyoom"])]);
    let spec = extended.by_name("json.set").unwrap();
    for (name, wanted) in [("write", true), ("slow", true), ("read", false), ("fast", false)] {
        let category = extended.category(name.as_bytes()).unwrap();
        assert_eq!(spec.implied_categories().intersects(category), wanted, "@{name}");
        assert!(!spec.categories().intersects(category), "@{name}");
    }
    assert_eq!(extended.len(), table.len() + 1);
    assert_eq!(extended.by_name("get").unwrap().id(), table.by_name("get").unwrap().id());
}

#[test]
fn what_is_known_is_not_changed_by_an_upstream() {
    let [table, _] = both();
    let mut get = module_command("get", &["no_auth"]);
    get.categories = vec!["@fast".to_owned(), "@connection".to_owned(), "@cache".to_owned()];
    let extended = table.extended(&[get]);
    let (ours, theirs) = (table.by_name("get").unwrap(), extended.by_name("get").unwrap());
    assert_eq!(ours.arity(), theirs.arity());
    assert!(!theirs.is_no_auth());
    assert!(!theirs.categories().intersects(extended.category(b"connection").unwrap()));
    assert!(theirs.categories().intersects(extended.category(b"cache").unwrap()), "a new category may be added");
    assert!(theirs.has_keys());
}

#[test]
fn a_known_container_gains_subcommands_and_a_known_plain_command_none() {
    let [table, _] = both();
    let mut client = module_command("client", &[]);
    client.subcommands = vec![module_command("client|brand-new", &["admin"])];
    let mut get = module_command("get", &[]);
    get.subcommands = vec![module_command("get|x", &[])];
    let extended = table.extended(&[client, get]);
    assert_eq!(resolved(&extended, &["CLIENT", "Brand-New"]), Ok("client|brand-new"));
    assert_eq!(resolved(&extended, &["GET", "x"]), Ok("get"));
}

#[test]
fn a_new_container_comes_with_its_subcommands() {
    let [table, _] = both();
    let mut graph = module_command("graph.config", &["module"]);
    graph.subcommands = vec![module_command("graph.config|get", &["module", "readonly"])];
    let extended = table.extended(&[graph]);
    assert_eq!(resolved(&extended, &["Graph.Config", "GET"]), Ok("graph.config|get"));
}

#[test]
fn keys_of_an_upstream_command_are_known_only_from_exact_specs() {
    let [table, _] = both();
    let with_spec = |name: &str, flags: &[&str], spec: Option<UpstreamKeySpec>| UpstreamCommand {
        key_specs: spec.into_iter().collect(),
        ..module_command(name, flags)
    };
    let legacy = UpstreamCommand { first_key: 1, last_key: -1, step: 1, ..module_command("m.legacy", &["write"]) };
    let extended = table.extended(&[
        with_spec("m.exact", &["write"], Some(indexed_key(&["RW", "access", "update"]))),
        with_spec("m.moving", &["write", "movablekeys"], Some(indexed_key(&["RW"]))),
        with_spec("m.none", &["write", "movablekeys"], None),
        with_spec("m.partial", &["write"], Some(indexed_key(&["RW", "incomplete"]))),
        with_spec("m.varying", &["write"], Some(indexed_key(&["RW", "variable_flags"]))),
        with_spec("m.novel", &["write"], Some(indexed_key(&["RW", "a-flag-of-the-future"]))),
        legacy,
    ]);
    assert!(keys_are_known(&extended, "m.exact"));
    assert!(keys_are_known(&extended, "m.legacy"));
    for name in ["m.moving", "m.none", "m.partial", "m.varying", "m.novel"] {
        assert!(!keys_are_known(&extended, name), "{name}");
        assert!(extended.by_name(name).unwrap().has_keys(), "{name}");
        assert_eq!(extended.by_name(name).unwrap().decided_by(), None, "{name}");
    }
}

#[test]
fn nonsense_from_an_upstream_is_harmless() {
    let [table, _] = both();
    let spec = UpstreamKeySpec {
        flags: Vec::new(),
        begin: UpstreamBegin::Index { index: i64::MAX },
        find: UpstreamFind::KeyNum { keynumidx: -1, firstkey: i64::MIN, keystep: 0 },
    };
    let odd = UpstreamCommand { key_specs: vec![spec], arity: i64::MIN, ..module_command("m.odd", &[]) };
    let extended =
        table.extended(&[odd, module_command("", &[]), module_command("a|b", &[]), module_command("x y", &[])]);
    assert_eq!(extended.len(), table.len() + 1);
    assert!(!keys_are_known(&extended, "m.odd"));
}

#[test]
fn the_name_of_a_command_is_never_a_key_whatever_an_upstream_says() {
    let [table, _] = both();
    let mut spec = indexed_key(&["RW", "access", "update"]);
    spec.begin = UpstreamBegin::Index { index: 0 };
    let odd = UpstreamCommand { key_specs: vec![spec], ..module_command("m.odd", &["write"]) };
    assert!(!keys_are_known(&table.extended(&[odd]), "m.odd"));
}

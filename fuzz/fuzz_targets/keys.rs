//! Any request of any command: its keys and databases are arguments of it; a user who holds just these keys may run it,
//! one who lacks any of them may not; nothing that is granted besides takes a right away.
#![no_main]

mod input;

use libfuzzer_sys::fuzz_target;
use respgate::acl::{Acl, AclDenial, Effort, User};
use respgate::command::{
    Access, Argv, ArgvBuf, CommandSpec, CommandTable, DatabaseUse, Dialect, KeyUse, Scope, Unextractable,
    UpstreamBegin, UpstreamCommand, UpstreamFind, UpstreamKeySpec,
};

fuzz_target!(|data: &[u8]| {
    let [control, high, low, bytes @ ..] = data else { return };
    let table = input::table(*control);
    let words = input::words(*control, bytes);
    if control & 4 == 0 {
        let nth = usize::from(u16::from_be_bytes([*high, *low])) % table.len();
        let spec = table.iter().nth(nth).expect("within the table");
        let name = spec.full_name().split('|').map(str::as_bytes);
        judge(table, &ArgvBuf::from_iter(name.chain(words)).as_argv());
    } else {
        let extended = table.extended(&[upstream_command(*high, *low, words.first().copied().unwrap_or_default())]);
        let words = std::iter::once(b"fuzz.cmd".as_slice()).chain(words);
        judge(&extended, &ArgvBuf::from_iter(words).as_argv());
    }
});

/// A command that an upstream tells of, with whatever positions.
fn upstream_command(kind: u8, small: u8, bytes: &[u8]) -> UpstreamCommand {
    let number = |at: usize| {
        let byte = i64::from(bytes.get(at).copied().unwrap_or(small).cast_signed());
        if kind & 0x80 == 0 { byte } else { byte << (at * 8) }
    };
    let begin = match kind % 3 {
        0 => UpstreamBegin::Index { index: number(0) },
        1 => UpstreamBegin::Keyword { keyword: "keys".into(), startfrom: number(0) },
        _ => UpstreamBegin::Unknown,
    };
    let find = match kind / 3 % 3 {
        0 => UpstreamFind::Range { lastkey: number(1), keystep: number(2), limit: number(3) },
        1 => UpstreamFind::KeyNum { keynumidx: number(1), firstkey: number(2), keystep: number(3) },
        _ => UpstreamFind::Unknown,
    };
    let spec = UpstreamKeySpec { flags: vec!["RW".into(), "access".into(), "update".into()], begin, find };
    UpstreamCommand {
        name: "fuzz.cmd".into(),
        arity: number(4),
        first_key: number(5),
        last_key: number(6),
        step: number(7),
        key_specs: if kind & 0x40 == 0 { vec![spec] } else { Vec::new() },
        ..Default::default()
    }
}

fn judge(table: &CommandTable, argv: &Argv<'_>) {
    let Ok(spec) = table.resolve(argv) else { return };
    let databases = spec.try_databases::<Unextractable>(argv, |DatabaseUse { index, .. }| {
        assert!((1..argv.len()).contains(&index));
        Ok(())
    });
    if table.dialect() == Dialect::Valkey91 {
        let user = user(table, &[b"+@all", b"allkeys", b"allchannels", b"resetdbs"]);
        assert!(databases.is_ok() || user.check(spec, argv, Some(0)).is_err());
    }
    assert_eq!(user(table, &[b"+@all", b"allkeys", b"allchannels"]).check(spec, argv, None), Ok(()));

    let mut keys: Vec<KeyUse> = Vec::new();
    let found = spec.try_keys::<Unextractable>(argv, Scope::Whole, |key| {
        assert!((1..argv.len()).contains(&key.index), "{} has no argument {}", spec.full_name(), key.index);
        keys.push(key);
        Ok(())
    });
    assert!(keys.is_empty() || spec.has_keys());
    match found {
        Ok(()) => judge_keys(table, spec, argv, &keys),
        // Whatever the patterns: only those who need no patterns.
        Err(Unextractable) => {
            for patterns in [["%RW~*", "~?*"], ["%R~*", "%W~*"], ["~", "~a*"]] {
                let user = user(table, &[b"+@all", b"&*", patterns[0].as_bytes(), patterns[1].as_bytes()]);
                if patterns[0] != "%RW~*" || keys.iter().all(|key| argv.get(key.index) != Some(b"")) {
                    assert!(user.check(spec, argv, None).is_err());
                }
            }
        }
    }
}

fn judge_keys(table: &CommandTable, spec: &CommandSpec, argv: &Argv<'_>, keys: &[KeyUse]) {
    let name = |key: &KeyUse| argv.get(key.index).expect("an argument");
    let rules: Vec<Vec<u8>> = keys.iter().map(|key| exact(key.access, name(key))).collect();
    let with = |rules: &[&Vec<u8>]| {
        let rules: Vec<&[u8]> =
            [b"+@all".as_slice(), b"&*"].into_iter().chain(rules.iter().map(|r| r.as_slice())).collect();
        user(table, &rules)
    };
    let holder = with(&rules.iter().collect::<Vec<_>>());
    let verdict = holder.check(spec, argv, None);
    assert!(
        matches!(verdict, Ok(()) | Err(AclDenial::SortBy | AclDenial::SortGet)),
        "{} {verdict:?}",
        spec.full_name()
    );
    assert_eq!(holder.dry_run(spec, argv, None), Ok(()));
    let explained = holder.explain(table, spec, argv, None);
    assert_eq!(verdict.is_ok(), explained.iter().any(|selector| selector.verdict.is_ok()));

    // Patterns cannot hold blanks: such a key is held by `?`, which may hold others.
    let is_exact = keys.iter().all(|key| !name(key).iter().any(is_blank));
    for key in keys.iter().take(8).filter(|_| is_exact) {
        let others: Vec<&Vec<u8>> =
            keys.iter().zip(&rules).filter(|(other, _)| name(other) != name(key)).map(|(_, rule)| rule).collect();
        assert!(with(&others).check(spec, argv, None).is_err(), "{} without a key", spec.full_name());
        for lacking in [Access::READ, Access::WRITE].into_iter().filter(|access| key.access.covers(*access)) {
            let left = if lacking == Access::READ { Access::WRITE } else { Access::READ };
            let lesser = exact(left, name(key));
            let mut others = others.clone();
            others.push(&lesser);
            assert!(with(&others).check(spec, argv, None).is_err(), "{} with half a key", spec.full_name());
        }
    }
    if let Some(decided_by) = spec.decided_by().filter(|decided_by| *decided_by <= argv.len()) {
        let early: ArgvBuf = argv.iter().take(decided_by).collect();
        let early = holder.check_prefix(spec, &early.as_argv(), None, &Effort::default());
        assert!(early.is_err() || verdict.is_ok(), "{} was let pass early", spec.full_name());
    }
}

/// The rule that holds `key` alone, for `access`; EXISTS and its like need a pattern, whichever.
fn exact(access: Access, key: &[u8]) -> Vec<u8> {
    let mut rule = match (access.covers(Access::READ), access.covers(Access::WRITE)) {
        (true, false) => b"%R~".to_vec(),
        (false, true) => b"%W~".to_vec(),
        _ => b"~".to_vec(),
    };
    for byte in key {
        match byte {
            blank if is_blank(blank) => rule.push(b'?'),
            byte => rule.extend([b'\\', *byte]),
        }
    }
    rule
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, 0 | b'\t'..=b'\r' | b' ')
}

fn user(table: &CommandTable, rules: &[&[u8]]) -> User {
    let acl = Acl::new(table).set_user(b"bob", rules, table).expect("rules");
    User::clone(acl.user(b"bob").expect("just set"))
}

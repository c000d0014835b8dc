//! What the ACL tests share: our verdict in the words of ACL DRYRUN, and the classes in which we are stricter.

#![allow(unreachable_pub, reason = "a module of several test crates")]

use respgate::acl::{Acl, AclDenial, texts};
use respgate::command::{Argv, ArgvBuf, CommandTable, DatabaseUse, Scope, Unextractable};

/// An answer as `ACL SETUSER` followed by `ACL DRYRUN` gives it.
pub struct Answer {
    /// `rule_error`, `accepted` (nothing was asked), `error`, `allow` or `deny`.
    pub verdict: &'static str,
    /// The server's words; empty for `allow` and `accepted`.
    pub message: String,
    /// Of a `deny`.
    pub denial: Option<AclDenial>,
}

/// What we answer about `argv` for a user `difftest` made of `rules` (after `reset`), with `db` selected.
pub fn answer(table: &CommandTable, rules: &[Vec<u8>], argv: Option<&ArgvBuf>, db: u32) -> Answer {
    let answer = |verdict, message| Answer { verdict, message, denial: None };
    let rules: Vec<&[u8]> = std::iter::once(b"reset".as_slice()).chain(rules.iter().map(Vec::as_slice)).collect();
    let acl = match Acl::new(table).set_user(b"difftest", &rules, table) {
        Ok(acl) => acl,
        Err(error) => return answer("rule_error", format!("ERR {error}")),
    };
    let Some(argv) = argv.map(ArgvBuf::as_argv) else { return answer("accepted", String::new()) };
    let user = acl.user(b"difftest").unwrap();
    match table.resolve(&argv) {
        Err(_) => answer("error", texts::dry_run_unknown(&argv)),
        Ok(spec) if !spec.arity_ok(argv.len()) => answer("error", texts::wrong_arity(spec)),
        Ok(spec) => match user.dry_run(spec, &argv, Some(db)) {
            Ok(()) => answer("allow", String::new()),
            Err(denial) => {
                let text = texts::dry_run(table.dialect(), user.name(), denial, spec, &argv);
                let message = String::from_utf8_lossy(&text).into_owned();
                Answer { verdict: "deny", message, denial: Some(denial) }
            }
        },
    }
}

/// The class of `docs/acl-compat.md` that explains why we refuse what the server allows.
pub fn stricter_class(table: &CommandTable, argv: &Argv<'_>, denial: AclDenial) -> Option<&'static str> {
    let spec = table.resolve(argv).ok()?;
    let count = |word: &str| argv.iter().skip(2).filter(|a| a.eq_ignore_ascii_case(word.as_bytes())).count();
    let keys_are_known = spec.try_keys::<Unextractable>(argv, Scope::Whole, |_| Ok(())).is_ok();
    // A server has 16 databases unless told otherwise, and takes a higher number for none.
    let exists = |named: DatabaseUse| if named.database < 16 { Ok(()) } else { Err(Unextractable) };
    let databases_are_known = spec.try_databases::<Unextractable>(argv, exists).is_ok();
    let is_key = matches!(denial, AclDenial::Key { .. });
    match (spec.full_name(), denial) {
        (_, AclDenial::Unextractable) => Some("keys-unknown"),
        (_, AclDenial::Key { .. }) if !keys_are_known => Some("keys-unknown"),
        ("sort", AclDenial::Key { index }) if index > 1 && count("store") > 0 => Some("every-reading"),
        ("georadius" | "georadiusbymember", AclDenial::Key { index })
            if index > 1 && count("store") + count("storedist") > 0 =>
        {
            Some("every-reading")
        }
        ("migrate", _) if is_key && count("keys") > 0 && argv.get(3) != Some(b"") => Some("every-reading"),
        ("pfmerge", AclDenial::Key { index: 1 }) if argv.len() == 2 => Some("pfmerge-destination"),
        ("copy", AclDenial::Database { index }) if index > 0 && !copy_is_well_formed(argv) => Some("every-reading"),
        _ if !databases_are_known => Some("database-number"),
        _ => None,
    }
}

fn copy_is_well_formed(argv: &Argv<'_>) -> bool {
    let mut index = 3;
    while let Some(option) = argv.get(index) {
        index += match option {
            replace if replace.eq_ignore_ascii_case(b"replace") => 1,
            db if db.eq_ignore_ascii_case(b"db") => 2,
            _ => return false,
        };
    }
    index == argv.len()
}

//! What the audit log is told of requests beside that they were refused.

use super::blocklist::names;
use crate::command::{Argv, CommandSpec, CommandTable, Scope};

/// Which permitted requests it is told of, and what of the keys in any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditRules {
    is_on: bool,
    /// Indexed by command id. Commands beyond the end are not recorded.
    recorded: Vec<bool>,
    key_names: KeyNames,
}

/// What is told of the names of keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeyNames {
    /// Nothing.
    #[default]
    No,
    /// Something that is the same for the same name, and from which it does not follow.
    Hash,
    /// The names.
    Yes,
}

/// The keys that a request names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestKeys {
    /// How many; `None` where that cannot be told, or nobody asks.
    pub count: Option<usize>,
    /// The beginnings of the names of the first ones, where anything is to be told of these.
    pub names: Vec<Box<[u8]>>,
}

impl RequestKeys {
    /// So many names are kept of one request.
    pub const MOST: usize = 8;

    /// So many bytes are kept of a name.
    pub const LONGEST: usize = 256;

    fn of(spec: &CommandSpec, argv: &Argv<'_>, scope: Scope, key_names: KeyNames) -> RequestKeys {
        let (mut count, mut names) = (0, Vec::new());
        let told = spec.try_keys(argv, scope, |key| {
            count += 1;
            if key_names != KeyNames::No && names.len() < Self::MOST {
                let name = argv.get(key.index).unwrap_or_default();
                names.push(name[..name.len().min(Self::LONGEST)].into());
            }
            Ok::<(), crate::command::Unextractable>(())
        });
        match told {
            Ok(()) => RequestKeys { count: Some(count), names },
            Err(_) => RequestKeys::default(),
        }
    }
}

impl AuditRules {
    /// Resolves entries such as `KEYS`, `CLIENT|KILL` or `@admin`; a command stands for its subcommands and its other name
    /// too. With those that name nothing in this table.
    pub fn build<'e>(entries: &'e [String], key_names: KeyNames, table: &CommandTable) -> (AuditRules, Vec<&'e str>) {
        let mut recorded = vec![false; table.len()];
        let mut unknown = Vec::new();
        for entry in entries {
            let mut is_known = false;
            for spec in table.iter().filter(|spec| names(entry, spec, table)) {
                recorded[spec.id().index()] = true;
                is_known = true;
            }
            if !is_known {
                unknown.push(entry.as_str());
            }
        }
        (AuditRules { is_on: true, recorded, key_names }, unknown)
    }

    /// What is told of the names of keys.
    pub fn key_names(&self) -> KeyNames {
        self.key_names
    }

    /// What there is to tell of a request that is permitted, if anything is.
    #[inline]
    pub fn of_permitted(&self, spec: &CommandSpec, argv: &Argv<'_>, scope: Scope) -> Option<RequestKeys> {
        let is_recorded = self.recorded.get(spec.id().index()).copied().unwrap_or(false);
        is_recorded.then(|| RequestKeys::of(spec, argv, scope, self.key_names))
    }

    /// The keys of a request that is refused. Of a command that is not known there are none.
    pub fn of_refused(&self, spec: Option<&CommandSpec>, argv: &Argv<'_>, scope: Scope) -> RequestKeys {
        match spec {
            Some(spec) if self.is_on => RequestKeys::of(spec, argv, scope, self.key_names),
            _ => RequestKeys::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{ArgvBuf, Dialect};

    fn build(entries: &[&str], key_names: KeyNames) -> (AuditRules, Vec<String>) {
        let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        let table = CommandTable::builtin(Dialect::Redis70);
        let (rules, unknown) = AuditRules::build(&entries, key_names, &table);
        (rules, unknown.into_iter().map(str::to_owned).collect())
    }

    fn permitted(rules: &AuditRules, request: &[&str]) -> Option<RequestKeys> {
        let table = CommandTable::builtin(Dialect::Redis70);
        let argv = ArgvBuf::from_iter(request);
        rules.of_permitted(table.resolve(&argv.as_argv()).unwrap(), &argv.as_argv(), Scope::Whole)
    }

    #[test]
    fn commands_subcommands_and_categories_are_recorded_and_nothing_else_is() {
        let (rules, unknown) = build(&["@dangerous", "client|setname", "object", "auth"], KeyNames::No);
        assert_eq!(unknown, [""; 0]);
        for request in
            [&["KEYS", "*"][..], &["client", "setname", "x"], &["OBJECT", "FREQ", "a"], &["FLUSHALL"], &["AUTH", "x"]]
        {
            assert!(permitted(&rules, request).is_some(), "{request:?}");
        }
        for request in [&["GET", "a"][..], &["CLIENT", "GETNAME"], &["PING"]] {
            assert_eq!(permitted(&rules, request), None, "{request:?}");
        }
        assert_eq!(permitted(&AuditRules::default(), &["FLUSHALL"]), None);
    }

    #[test]
    fn what_names_nothing_is_told() {
        assert_eq!(
            build(&["keys", "keyz", "@dangerus", "client|nosuch"], KeyNames::No).1,
            ["keyz", "@dangerus", "client|nosuch"]
        );
    }

    #[test]
    fn keys_are_counted_and_of_the_first_the_beginnings_are_told_if_anything_is() {
        let long = "k".repeat(2 * RequestKeys::LONGEST);
        let mut request = vec!["MGET", &long];
        request.extend(["a"; 20]);
        let of = |key_names| permitted(&build(&["mget"], key_names).0, &request).unwrap();
        assert_eq!(of(KeyNames::No), RequestKeys { count: Some(21), names: Vec::new() });
        for key_names in [KeyNames::Hash, KeyNames::Yes] {
            let keys = of(key_names);
            assert_eq!((keys.count, keys.names.len()), (Some(21), RequestKeys::MOST));
            assert_eq!((keys.names[0].len(), &*keys.names[1]), (RequestKeys::LONGEST, &b"a"[..]));
        }
    }

    #[test]
    fn of_what_is_refused_there_are_keys_where_there_is_an_audit_log_and_a_command() {
        let table = CommandTable::builtin(Dialect::Redis70);
        let argv = ArgvBuf::from_iter(["DEL", "a", "b"]);
        let of = |rules: &AuditRules, spec| rules.of_refused(spec, &argv.as_argv(), Scope::Whole).count;
        let (on, off) = (build(&[], KeyNames::No).0, AuditRules::default());
        assert_eq!(
            (of(&on, table.by_name("del")), of(&on, None), of(&off, table.by_name("del"))),
            (Some(2), None, None)
        );
    }
}

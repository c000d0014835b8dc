//! Whether a policy refuses something that the one before it let pass, beside what users may: what is blocked, and what
//! Redis calls its commands.

use super::rename::UpstreamName;
use super::{ConfigParameters, Policy};

impl Policy {
    /// This policy as the one that comes into force after `before`.
    #[must_use]
    pub fn following(self, before: &Policy) -> Self {
        let restricted_since = if self.blocks_more_than(before) { self.generation } else { before.restricted_since };
        Self { restricted_since, ..self }
    }

    /// Whether anything that `before` did not refuse to somebody is blocked or disabled, or goes by another name at Redis.
    /// Commands of two tables are the same if their names are.
    fn blocks_more_than(&self, before: &Policy) -> bool {
        let is_taken = before.table.iter().any(|was| {
            let Some(is) = self.table.by_name(was.full_name()) else { return true };
            let (name, former) = (self.renames.upstream_name(is), before.renames.upstream_name(was));
            self.blocklist.blocks_more_than(is, &before.blocklist, was)
                || name != former && former != UpstreamName::Disabled
        });
        let none = ConfigParameters::NONE;
        let keeps = |name: &String, former: &ConfigParameters| {
            self.settings.get(name).map_or(&none, |settings| &settings.config).hold_all_of(former)
        };
        is_taken || !before.settings.iter().all(|(name, settings)| keeps(name, &settings.config))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::command::{CommandTable, Dialect, UpstreamCommand};
    use crate::policy::principal::tests::policy;
    use crate::policy::{Blocklist, Renames, UserSettings};

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn blocking(commands: &[&str], exempt: &[&str], scripting: &[&str]) -> Policy {
        let policy = policy("user bob on");
        let (commands, exempt, scripting) = (strings(commands), strings(exempt), strings(scripting));
        Policy { blocklist: Blocklist::build(&commands, &exempt, &scripting, &policy.table).unwrap(), ..policy }
    }

    fn renaming(pairs: &[(&str, &str)]) -> Policy {
        let policy = policy("user bob on");
        let pairs: Vec<_> = pairs.iter().map(|(original, name)| ((*original).into(), (*name).into())).collect();
        Policy { renames: Renames::build(&pairs, &policy.table).unwrap(), ..policy }
    }

    fn opening(get: &[&str], set: &[&str]) -> Policy {
        let config = ConfigParameters { get: strings(get), set: strings(set) };
        let settings = UserSettings { config, ..UserSettings::default() };
        Policy { settings: HashMap::from([("bob".to_owned(), settings)]), ..policy("user bob on") }
    }

    #[track_caller]
    fn expect(more: &Policy, less: &Policy) {
        assert!(more.blocks_more_than(less));
        assert!(!less.blocks_more_than(more) && !more.blocks_more_than(more) && !less.blocks_more_than(less));
    }

    #[test]
    fn more_is_blocked_with_each_entry_and_with_each_exception_that_goes() {
        expect(&blocking(&["get", "flushall"], &[], &[]), &blocking(&["get"], &[], &[]));
        expect(&blocking(&["get"], &["eve"], &[]), &blocking(&["get"], &["eve", "bob"], &[]));
        expect(&blocking(&["@scripting"], &[], &[]), &blocking(&["@scripting"], &[], &["bob"]));
        expect(&blocking(&["@scripting"], &[], &["bob"]), &blocking(&["@scripting"], &["bob"], &[]));
        expect(&blocking(&["get"], &["bob"], &[]), &blocking(&[], &["bob"], &[]));
    }

    #[test]
    fn exceptions_from_nothing_may_go() {
        assert!(!blocking(&["get"], &[], &[]).blocks_more_than(&blocking(&["get"], &[], &["bob"])));
        assert!(!blocking(&[], &[], &[]).blocks_more_than(&blocking(&[], &["bob"], &[])));
    }

    #[test]
    fn a_command_that_is_disabled_or_renamed_is_not_what_it_was_unless_it_was_disabled() {
        expect(&renaming(&[("get", "")]), &renaming(&[]));
        expect(&renaming(&[("get", "")]), &renaming(&[("get", "fetch")]));
        assert!(renaming(&[("get", "fetch")]).blocks_more_than(&renaming(&[])));
        assert!(renaming(&[]).blocks_more_than(&renaming(&[("get", "fetch")])));
    }

    #[test]
    fn parameters_that_a_user_may_no_longer_name_are_blocked() {
        expect(&opening(&["save"], &["hz"]), &opening(&["save", "dir"], &["hz"]));
        expect(&opening(&["save"], &[]), &opening(&["save"], &["hz"]));
        expect(&policy("user bob on"), &opening(&["save"], &[]));
    }

    #[test]
    fn a_command_that_is_known_no_more_is_refused() {
        let module = UpstreamCommand { name: "one.get".to_owned(), arity: -1, ..UpstreamCommand::default() };
        let table = CommandTable::builtin(Dialect::Redis70).extended(&[module]);
        let blocklist = Blocklist::build(&[], &[], &[], &table).unwrap();
        expect(&policy(""), &Policy { table, blocklist, ..policy("") });
    }

    #[test]
    fn it_is_kept_in_mind_since_when_nothing_more_has_been_refused() {
        let numbered = |generation, commands: &[&str]| Policy { generation, ..blocking(commands, &[], &[]) };
        let first = numbered(1, &["get"]);
        let second = numbered(2, &["get", "set"]).following(&first);
        let third = numbered(3, &["set"]).following(&second);
        let fourth = numbered(4, &["set", "get"]).following(&third);
        assert_eq!([&first, &second, &third, &fourth].map(|policy| policy.restricted_since), [1, 2, 2, 4]);
    }
}

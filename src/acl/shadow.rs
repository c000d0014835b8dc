//! A user whose rules are tried out: what they refuse is let through, up to a point.

use super::rule::Unknown;
use super::user::User;
use crate::command::{CommandTable, Role};

impl User {
    /// This user, who may run all other commands, too, but for those of `@admin` and `@dangerous` and those of the ACL
    /// family; on every key and channel if `opens_names`. Databases stay what they are.
    #[must_use]
    pub fn shadowed(&self, table: &CommandTable, opens_names: bool) -> User {
        let never = [&b"admin"[..], b"dangerous"].into_iter().filter_map(|name| table.category(name));
        let never: Vec<_> = never.collect();
        let mut shadowed = self.clone();
        for selector in &mut shadowed.selectors {
            let mut rules: Vec<Vec<u8>> = (table.iter())
                .filter(|spec| !spec.has_subcommands() && spec.role() != Role::Acl && !selector.commands.has(spec.id()))
                .filter(|spec| !never.iter().any(|category| spec.implied_categories().intersects(*category)))
                .map(|spec| format!("+{}", spec.full_name()).into_bytes())
                .collect();
            if opens_names {
                rules.extend([b"~*".to_vec(), b"&*".to_vec()]);
            }
            for rule in rules {
                // A rule that is not taken opens nothing.
                let _ = selector.apply(&rule, table, Unknown::Refuse);
            }
        }
        shadowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::Acl;
    use crate::command::{ArgvBuf, Dialect};

    fn allows(rules: &str, opens_names: bool, request: &str) -> bool {
        let table = CommandTable::builtin(Dialect::Redis70);
        let acl = Acl::parse(format!("user bob on {rules}").as_bytes(), &table).unwrap();
        let argv: ArgvBuf = request.split(' ').collect();
        let argv = argv.as_argv();
        let shadowed = acl.user(b"bob").unwrap().shadowed(&table, opens_names);
        shadowed.check(table.resolve(&argv).unwrap(), &argv, Some(0)).is_ok()
    }

    #[test]
    fn every_command_is_opened_but_dangerous_ones_and_the_acl() {
        for request in ["SET a v", "CLIENT SETNAME x", "EVAL x 0", "SELECT 1", "SCAN 0"] {
            assert!(allows("+get ~*", false, request), "{request}");
        }
        for request in
            ["KEYS *", "FLUSHALL", "CONFIG GET x", "ACL WHOAMI", "ACL LIST", "SORT a", "CLIENT LIST", "MONITOR"]
        {
            assert!(!allows("+get ~*", false, request) && !allows("+get ~*", true, request), "{request}");
        }
        assert!(allows("+get +keys ~*", false, "KEYS *"), "what the rules allow stays allowed");
    }

    #[test]
    fn keys_and_channels_are_opened_only_where_that_is_asked_for() {
        for request in ["GET b", "SET b v", "PUBLISH c x", "PSUBSCRIBE *"] {
            assert!(!allows("+get ~a", false, request), "{request}");
            assert!(allows("+get ~a", true, request), "{request}");
        }
        assert!(allows("+get ~a", false, "SET a v"));
    }

    #[test]
    fn to_go_back_to_the_rules_is_to_lose_rights() {
        let table = CommandTable::builtin(Dialect::Redis70);
        let acl = Acl::parse(b"user bob on +get ~a", &table).unwrap();
        let bob = acl.user(b"bob").unwrap();
        for opens_names in [false, true] {
            let shadowed = bob.shadowed(&table, opens_names);
            assert!(shadowed.keeps_rights_of(bob, true) && !bob.keeps_rights_of(&shadowed, true));
        }
    }
}

//! A user whose rules are tried out: what they refuse is let through, up to a point.

use super::rule::Unknown;
use super::user::User;
use crate::command::{Categories, ChannelUse, CommandSpec, CommandTable, Role};

impl User {
    /// This user, who may run other commands, too: those that keys or channels are named in, which are judged as ever, and
    /// those of connections and transactions; and if `opens_names` on every key and channel, and what tells of names. Never
    /// those of `@admin`, `@dangerous`, `@scripting` or the ACL family, of modules, or that lead to another database.
    #[must_use]
    pub fn shadowed(&self, table: &CommandTable, opens_names: bool) -> User {
        let categories = |names: &[&[u8]]| -> Vec<_> { names.iter().filter_map(|name| table.category(name)).collect() };
        let never = categories(&[b"admin", b"dangerous", b"scripting"]);
        let nameless = categories(&[b"connection", b"transaction"]);
        let is_in =
            |spec: &CommandSpec, list: &[Categories]| list.iter().any(|one| spec.implied_categories().intersects(*one));
        let may_open = |spec: &CommandSpec| {
            let names = spec.has_keys() || spec.channels() != ChannelUse::None;
            // What changes a key is told whoever tracks it.
            let tells_names = spec.full_name().starts_with("client|tracking");
            let leads_elsewhere = ["select", "move", "copy"].contains(&spec.full_name());
            spec.is_builtin()
                && spec.role() != Role::Acl
                && !is_in(spec, &never)
                && !leads_elsewhere
                && (opens_names || (names || is_in(spec, &nameless)) && !tells_names)
        };
        let mut shadowed = self.clone();
        for selector in &mut shadowed.selectors {
            let mut rules: Vec<Vec<u8>> = (table.iter())
                .filter(|spec| !spec.has_subcommands() && !selector.commands.has(spec.id()) && may_open(spec))
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
    use crate::acl::{Acl, Effort};
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
        for request in ["SET a v", "CLIENT SETNAME x", "MULTI", "PUBLISH a x"] {
            assert!(allows("+get ~* &*", false, request), "{request}");
        }
        for request in [
            "KEYS *",
            "FLUSHALL",
            "CONFIG GET x",
            "ACL WHOAMI",
            "ACL LIST",
            "SORT a",
            "CLIENT LIST",
            "MONITOR",
            "EVAL x 0",
            "FUNCTION LOAD x",
            "SCRIPT FLUSH",
            "SELECT 1",
            "MOVE a 1",
            "COPY a b",
        ] {
            assert!(!allows("+get ~*", false, request) && !allows("+get ~*", true, request), "{request}");
        }
        for request in ["SCAN 0", "RANDOMKEY", "DBSIZE", "PUBSUB CHANNELS", "CLIENT TRACKING ON"] {
            assert!(
                !allows("+get ~a", false, request) && allows("+get ~a", true, request),
                "tells of names: {request}"
            );
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
            let keeps = |now: &User, earlier: &User| now.keeps_rights_of(earlier, true, &Effort::default());
            assert!(keeps(&shadowed, bob) && !keeps(bob, &shadowed));
        }
    }
}

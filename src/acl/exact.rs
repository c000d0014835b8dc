//! Users as rules for another server, which then allows exactly the same, whatever its categories are.

use super::commands::CommandSet;
use super::describe::in_selector;
use super::selector::Selector;
use super::user::User;
use crate::command::{CommandSpec, CommandTable};

impl User {
    /// Some selector allows the command, with some arguments.
    pub fn may_run(&self, spec: &CommandSpec) -> bool {
        self.granting().any(|selector| {
            let commands = &selector.commands;
            commands.allows(spec, None) || !commands.first_arguments(spec.id()).is_empty()
        })
    }

    /// `ACL SETUSER` rules, one a word, that give a user on a server all rights of this one but for the commands that
    /// `is_withheld`. They name no categories, whose members differ between servers, and only commands that the server
    /// has (`is_there`). Passwords are left to the caller.
    pub fn exact_rules(
        &self,
        table: &CommandTable,
        is_there: impl Fn(&CommandSpec) -> bool,
        is_withheld: impl Fn(&CommandSpec) -> bool,
    ) -> Vec<Vec<u8>> {
        let mut rules = Vec::new();
        for (position, selector) in self.selectors.iter().enumerate() {
            let words = selector.exact_rules(table, &is_there, &is_withheld);
            if position == 0 {
                rules.extend(words);
            } else {
                rules.push([b"(", in_selector(&words.join(&b' ')).as_slice(), b")"].concat());
            }
        }
        rules
    }
}

impl Selector {
    fn exact_rules(
        &self,
        table: &CommandTable,
        is_there: &impl Fn(&CommandSpec) -> bool,
        is_withheld: &impl Fn(&CommandSpec) -> bool,
    ) -> Vec<Vec<u8>> {
        if self.databases.are_foreign() {
            // What the server cannot be told about gives nothing.
            return vec![b"-@all".to_vec()];
        }
        let places = self.place_rules();
        let places = places.split(|byte| *byte == b' ').filter(|rule| !rule.is_empty()).map(<[u8]>::to_vec);
        let commands = self.commands.exact_rules(table, is_there, is_withheld);
        places.chain(commands.into_iter().map(String::into_bytes)).collect()
    }
}

impl CommandSet {
    fn exact_rules(
        &self,
        table: &CommandTable,
        is_there: &impl Fn(&CommandSpec) -> bool,
        is_withheld: &impl Fn(&CommandSpec) -> bool,
    ) -> Vec<String> {
        let mut rules = vec![if self.all { "+@all" } else { "-@all" }.to_owned()];
        for spec in table.iter().filter(|spec| is_there(spec)) {
            let name = spec.full_name();
            let may = |spec: &CommandSpec| (self.all || self.has(spec.id())) && !is_withheld(spec);
            // A container gives all its subcommands, and takes them with it. It comes before them.
            let so_far = spec.parent().and_then(|container| table.get(container)).map_or(self.all, &may);
            match (so_far, may(spec)) {
                (true, false) => rules.push(format!("-{name}")),
                (false, true) => rules.push(format!("+{name}")),
                (false, false) if !self.all && !is_withheld(spec) => {
                    let arguments = self.first_arguments(spec.id()).iter();
                    rules.extend(arguments.map(|argument| format!("+{name}|{}", String::from_utf8_lossy(argument))));
                }
                _ => {}
            }
        }
        rules
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::Acl;
    use crate::command::Dialect;

    /// The rules for user bob, with these rules, at a server that has all of these commands.
    fn exact(rules: &str, there: &[&str], withheld: &[&str]) -> String {
        let table = CommandTable::builtin(Dialect::Redis70);
        let acl = Acl::parse(format!("user bob on nopass {rules}").as_bytes(), &table).unwrap();
        let bob = acl.user(b"bob").unwrap();
        let is = |names: &[&str], spec: &CommandSpec| names.contains(&spec.full_name());
        let words = bob.exact_rules(&table, |spec| is(there, spec), |spec| is(withheld, spec));
        String::from_utf8(words.join(&b' ')).unwrap()
    }

    #[test]
    fn categories_become_the_commands_that_the_server_has() {
        assert_eq!(exact("~a* +@read -get", &["get", "mget", "set"], &[]), "~a* resetchannels -@all +mget");
    }

    #[test]
    fn whoever_may_do_everything_is_denied_what_is_withheld() {
        let there = ["get", "flushall", "config", "config|get", "config|set", "client", "client|kill"];
        let withheld = ["flushall", "config", "config|get", "config|set", "client|kill"];
        assert_eq!(exact("~* &* +@all", &there, &withheld), "~* &* +@all -client|kill -config -flushall");
    }

    #[test]
    fn of_a_container_what_differs_is_named() {
        let there = ["config", "config|get", "config|set", "object", "object|encoding"];
        assert_eq!(exact("+config|get +object", &there, &[]), "resetchannels -@all +config|get +object");
        assert_eq!(exact("+@all -config|set", &there[..3], &[]), "resetchannels -@all +config -config|set");
    }

    #[test]
    fn first_arguments_are_kept_unless_the_command_is_withheld() {
        assert_eq!(exact("+select|0", &["select"], &[]), "resetchannels -@all +select|0");
        assert_eq!(exact("+select|0", &["select"], &["select"]), "resetchannels -@all");
    }

    #[test]
    fn selectors_stay_selectors() {
        let rules = exact("~a &c +get (%R~b* +set)", &["get", "set"], &["set"]);
        assert_eq!(rules, "~a resetchannels &c -@all +get (%R~b* resetchannels -@all)");
    }
}

//! Why a request is allowed or refused: for `acl explain`, not for the hot path.

use super::check::AclDenial;
use super::commands::CommandSet;
use super::selector::Selector;
use super::user::User;
use crate::command::{Access, Argv, ChannelUse, CommandSpec, CommandTable, Scope, Unextractable};

/// What one selector says about a request.
#[derive(Clone, Debug)]
pub struct SelectorExplanation {
    /// The selector's rules, as `ACL LIST` shows them.
    pub rules: Vec<u8>,
    /// Its verdict; the request is allowed if any selector's is.
    pub verdict: Result<(), AclDenial>,
    /// The rule that allows or denies the command: the last one that touches it, `+@all` or `-@all` if none does;
    /// `None` where the command is everyone's.
    pub command_rule: Option<String>,
    /// Each argument that is a key or a channel. Keys that cannot be told are missing here.
    pub arguments: Vec<ArgumentExplanation>,
    /// The rule about databases.
    pub databases: String,
}

/// What one selector says about one argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgumentExplanation {
    /// Which argument.
    pub index: usize,
    /// What a key is used for; `None` is a channel.
    pub access: Option<Access>,
    /// The rule that allows it, if one does.
    pub rule: Option<Vec<u8>>,
    /// Rules of the same kind that do not.
    pub others: Vec<Vec<u8>>,
}

impl User {
    /// What each selector, the root first, says about a request.
    pub fn explain(
        &self,
        table: &CommandTable,
        spec: &CommandSpec,
        argv: &Argv<'_>,
        db: Option<u32>,
    ) -> Vec<SelectorExplanation> {
        let explain = |selector: &Selector| SelectorExplanation {
            rules: selector.to_rules(table),
            verdict: selector.check(spec, argv, db),
            command_rule: selector.commands.rule_about(spec, argv.get(1), table),
            arguments: selector.arguments(spec, argv),
            databases: selector.databases.to_rule(),
        };
        self.selectors.iter().map(explain).collect()
    }
}

impl CommandSet {
    fn rule_about(&self, spec: &CommandSpec, first_argument: Option<&[u8]>, table: &CommandTable) -> Option<String> {
        if spec.is_no_auth() {
            return None;
        }
        let mut set = CommandSet::default();
        match self.from_all {
            true => set.allow_all(table),
            false => set.deny_all(table),
        }
        // A rule touches the command if it changes the answer, or would from the opposite answer.
        let mut deciding = if self.from_all { "+@all" } else { "-@all" };
        for rule in self.rules() {
            if set.touches(rule, spec, first_argument, table) {
                deciding = rule;
            }
            set = set.with(rule, table);
        }
        Some(deciding.to_owned())
    }

    /// Applying `rule` sets the answer about `spec`, whatever it was.
    fn touches(&self, rule: &str, spec: &CommandSpec, first_argument: Option<&[u8]>, table: &CommandTable) -> bool {
        let allow = rule.starts_with('+');
        let mut opposite = self.clone();
        opposite.change(spec, !allow, table);
        opposite.with(rule, table).allows(spec, first_argument) == allow
    }

    /// A rule that fails to apply changes nothing.
    fn with(&self, rule: &str, table: &CommandTable) -> CommandSet {
        let mut set = self.clone();
        match set.apply(rule.as_bytes(), table, super::rule::Unknown::KeepNames) {
            Ok(()) => set,
            Err(_) => self.clone(),
        }
    }
}

impl Selector {
    fn arguments(&self, spec: &CommandSpec, argv: &Argv<'_>) -> Vec<ArgumentExplanation> {
        let mut arguments = Vec::new();
        let without = |rule: &Option<Vec<u8>>, rules: Vec<Vec<u8>>| if rule.is_some() { Vec::new() } else { rules };
        let keys = spec.try_keys::<Unextractable>(argv, Scope::Whole, |key| {
            let name = argv.get(key.index).unwrap_or_default();
            let rule = self.keys.rule_for(name, key.access);
            let others = without(&rule, self.keys.rules());
            arguments.push(ArgumentExplanation { index: key.index, access: Some(key.access), rule, others });
            Ok(())
        });
        if keys.is_err() {
            arguments.clear();
        }
        let count = match spec.channels() {
            ChannelUse::None => 0,
            ChannelUse::First => 1,
            ChannelUse::All | ChannelUse::AllPatterns => usize::MAX,
        };
        for (index, channel) in argv.iter_from(1).take(count) {
            let is_pattern = spec.channels() == ChannelUse::AllPatterns;
            let rule = self.channels.rule_for(channel, is_pattern);
            let others = without(&rule, self.channels.rules());
            arguments.push(ArgumentExplanation { index, access: None, rule, others });
        }
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::Acl;
    use crate::command::{ArgvBuf, Dialect};

    fn explain(rules: &[&str], request: &[&str]) -> Vec<SelectorExplanation> {
        let table = CommandTable::builtin(Dialect::Redis70);
        let rules: Vec<&[u8]> = rules.iter().map(|rule| rule.as_bytes()).collect();
        let acl = Acl::new(&table).set_user(b"bob", &rules, &table).unwrap();
        let argv = ArgvBuf::from_iter(request);
        let argv = argv.as_argv();
        acl.user(b"bob").unwrap().explain(&table, table.resolve(&argv).unwrap(), &argv, Some(0))
    }

    #[test]
    fn the_last_rule_about_a_command_is_named() {
        let rule =
            |rules: &[&str], request: &[&str]| explain(rules, request)[0].command_rule.clone().unwrap_or_default();
        assert_eq!(rule(&["+@all", "-@dangerous", "-get"], &["CONFIG", "GET", "x"]), "-@dangerous");
        assert_eq!(rule(&["-@dangerous", "+config|get"], &["CONFIG", "GET", "x"]), "+config|get");
        assert_eq!(rule(&["+@read", "+@string", "-set"], &["GET", "a"]), "+@string");
        assert_eq!(rule(&["+@all", "-get"], &["SET", "a", "v"]), "+@all");
        assert_eq!(rule(&["+@read"], &["SET", "a", "v"]), "-@all");
        assert_eq!(rule(&["+select|0"], &["SELECT", "0"]), "+select|0");
        assert_eq!(rule(&["+select|0"], &["SELECT", "1"]), "-@all");
        assert_eq!(rule(&[], &["AUTH", "x"]), "", "everyone's");
    }

    #[test]
    fn every_key_and_channel_comes_with_the_rule_that_allows_it() {
        let rules = |explained: &[SelectorExplanation]| {
            let arguments = explained[0].arguments.clone().into_iter();
            arguments.map(|argument| (argument.index, argument.rule)).collect::<Vec<_>>()
        };
        let explained = explain(&["+@all", "~a*", "%R~b"], &["COPY", "b", "c"]);
        assert_eq!(rules(&explained), [(1, Some(b"%R~b".to_vec())), (2, None)]);
        assert_eq!(explained[0].arguments[1].others, [b"~a*".to_vec(), b"%R~b".to_vec()]);
        assert_eq!(explained[0].arguments[1].access, Some(Access::WRITE));
        assert_eq!(explained[0].verdict, Err(AclDenial::Key { index: 2 }));
        let explained = explain(&["+@all", "&a*"], &["PSUBSCRIBE", "a*", "ab*"]);
        assert_eq!(rules(&explained), [(1, Some(b"&a*".to_vec())), (2, None)]);
        let explained = explain(&["+@all", "allkeys"], &["GET", "x"]);
        assert_eq!(rules(&explained), [(1, Some(b"~*".to_vec()))]);
    }

    #[test]
    fn each_selector_answers_for_itself() {
        let explained = explain(&["+get", "~a", "(+set ~b)"], &["SET", "b", "v"]);
        assert_eq!(explained[0].verdict, Err(AclDenial::Command));
        assert_eq!(explained[1].verdict, Ok(()));
        assert_eq!(explained[1].rules, b"~b resetchannels -@all +set");
    }
}

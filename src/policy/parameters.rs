//! Single parameters of CONFIG that a user may read or set although CONFIG is blocked.

use super::Policy;
use crate::acl::User;
use crate::command::{Argv, CommandSpec};

/// Exact names, without wildcards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigParameters {
    /// What CONFIG GET may ask for.
    pub get: Vec<String>,
    /// What CONFIG SET may set, to any value.
    pub set: Vec<String>,
}

impl ConfigParameters {
    /// None at all.
    pub(super) const NONE: Self = Self { get: Vec::new(), set: Vec::new() };

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.get.is_empty() && self.set.is_empty()
    }

    /// Whether each of `others` is one of these.
    pub(super) fn hold_all_of(&self, others: &Self) -> bool {
        others.get.iter().all(|name| self.get.contains(name)) && others.set.iter().all(|name| self.set.contains(name))
    }

    /// Whether some requests of this command ask for nothing but these.
    pub(super) fn open(&self, spec: &CommandSpec) -> bool {
        match spec.full_name() {
            "config|get" => !self.get.is_empty(),
            "config|set" => !self.set.is_empty(),
            _ => false,
        }
    }

    /// Whether a whole request asks for nothing but these. A pattern is the name of no parameter.
    fn hold(&self, spec: &CommandSpec, argv: &Argv<'_>) -> bool {
        /// CONFIG and its subcommand.
        const BEFORE: usize = 2;
        let (known, words_each) = match spec.full_name() {
            "config|get" => (&self.get, 1),
            "config|set" => (&self.set, 2),
            _ => return false,
        };
        let is_known = |at| argv.get(at).is_some_and(|name| known.iter().any(|one| is_same(one, name)));
        match argv.len().checked_sub(BEFORE) {
            None | Some(0) => false,
            // Where there are more than are known, one is named twice, and a request may have a million.
            Some(words) => {
                words.is_multiple_of(words_each)
                    && words / words_each <= known.len()
                    && (BEFORE..argv.len()).step_by(words_each).all(is_known)
            }
        }
    }
}

/// Redis compares them in any case, and all their bytes.
fn is_same(known: &str, asked: &[u8]) -> bool {
    const WILDCARDS: &[u8] = b"*?[]\\";
    known.as_bytes().eq_ignore_ascii_case(asked) && !asked.iter().any(|byte| WILDCARDS.contains(byte))
}

impl Policy {
    /// Whether the blocklist refuses a request of `argc` arguments. Of a transaction only the commands are kept, which
    /// EXEC asks about once more, so there all of CONFIG is blocked.
    pub(super) fn blocks(
        &self,
        user: &User,
        spec: &CommandSpec,
        argv: &Argv<'_>,
        argc: usize,
        in_transaction: bool,
    ) -> bool {
        let is_lifted = || argv.len() == argc && self.lifts_for_parameters(user, spec, argv);
        self.blocklist.blocks(user.name().as_str().as_bytes(), spec) && (in_transaction || !is_lifted())
    }

    /// Whether a whole request names only parameters of CONFIG that are listed for the user.
    pub fn lifts_for_parameters(&self, user: &User, spec: &CommandSpec, argv: &Argv<'_>) -> bool {
        self.settings_of(user).config.hold(spec, argv)
    }

    /// Whether something that is blocked for others is not for the user of this name.
    pub fn is_blocked_less(&self, name: &[u8]) -> bool {
        let settings = || self.settings.get(std::str::from_utf8(name).ok()?);
        self.blocklist.exempts(name)
            || self.blocklist.lifts_scripting(name)
            || settings().is_some_and(|settings| !settings.config.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::command::{ArgvBuf, CommandTable, Dialect, looks};

    fn parameters() -> ConfigParameters {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        ConfigParameters { get: names(&["maxmemory-policy", "save"]), set: names(&["notify-keyspace-events", "hz"]) }
    }

    fn holds<T: AsRef<[u8]>>(parameters: &ConfigParameters, request: &[T]) -> bool {
        let table = CommandTable::builtin(Dialect::Redis72);
        let argv: ArgvBuf = request.iter().collect();
        let argv = argv.as_argv();
        table.resolve(&argv).is_ok_and(|spec| parameters.hold(spec, &argv))
    }

    #[test]
    fn of_a_request_that_names_more_than_are_known_none_is_looked_at() {
        let table = CommandTable::builtin(Dialect::Redis72);
        let argv: ArgvBuf = ["CONFIG", "GET"].into_iter().chain(std::iter::repeat_n("save", 10_000)).collect();
        let spec = table.by_name("config|get").unwrap();
        looks::take();
        assert!(!parameters().hold(spec, &argv.as_argv()));
        assert_eq!(looks::take(), 0);
    }

    #[test]
    fn a_request_is_held_only_if_each_of_its_parameters_is_named() {
        for (request, expected) in [
            ("CONFIG GET maxmemory-policy", true),
            ("config get MaxMemory-Policy", true),
            ("CONFIG GET maxmemory-policy save", true),
            ("CONFIG GET save save", true),
            ("CONFIG GET save SAVE maxmemory-policy", false),
            ("CONFIG GET maxmemory-policy requirepass", false),
            ("CONFIG GET requirepass maxmemory-policy", false),
            ("CONFIG GET", false),
            ("CONFIG GET *", false),
            ("CONFIG GET maxmemory-polic?", false),
            ("CONFIG GET maxmemory-polic[y]", false),
            ("CONFIG GET maxmemory-polic\\y", false),
            ("CONFIG GET maxmemory", false),
            ("CONFIG GET maxmemory-policy\0", false),
            ("CONFIG GET notify-keyspace-events", false),
            ("CONFIG SET notify-keyspace-events Ex", true),
            ("CONFIG SET Notify-Keyspace-Events Ex HZ 10", true),
            ("CONFIG SET notify-keyspace-events dir", true),
            ("CONFIG SET notify-keyspace-events Ex dir /tmp", false),
            ("CONFIG SET dir notify-keyspace-events", false),
            ("CONFIG SET notify-keyspace-events", false),
            ("CONFIG SET notify-keyspace-events Ex hz", false),
            ("CONFIG SET maxmemory-policy noeviction", false),
            ("CONFIG RESETSTAT", false),
            ("CONFIG REWRITE", false),
            ("CONFIG HELP", false),
            ("GET maxmemory-policy", false),
            ("ACL SETUSER maxmemory-policy", false),
        ] {
            let words: Vec<&str> = request.split(' ').collect();
            assert_eq!(holds(&parameters(), &words), expected, "{request:?}");
            assert!(!holds(&ConfigParameters::NONE, &words), "{request:?}");
        }
    }

    #[test]
    fn a_wildcard_is_none_even_where_it_is_named() {
        for pattern in ["*", "maxmemory*", "h?", "[h]z", "\\hz"] {
            let named = ConfigParameters { get: vec![pattern.to_owned()], set: vec![pattern.to_owned()] };
            assert!(!holds(&named, &["CONFIG", "GET", pattern]), "{pattern}");
            assert!(!holds(&named, &["CONFIG", "SET", pattern, "1"]), "{pattern}");
        }
    }

    proptest! {
        /// Whatever is asked, in whatever company: it is held exactly if everything that Redis would read as a name is one
        /// of those that are listed.
        #[test]
        fn only_requests_made_of_listed_names_alone_are_held(
            sets in any::<bool>(),
            words in prop::collection::vec(
                prop_oneof![
                    prop::sample::select(vec!["maxmemory-policy", "SAVE", "hz", "notify-keyspace-events", "dir", "*", ""])
                        .prop_map(|word| word.as_bytes().to_vec()),
                    prop::collection::vec(any::<u8>(), 0..20),
                ],
                0..7,
            ),
        ) {
            let parameters = parameters();
            let (subcommand, listed, each) =
                if sets { ("SET", &parameters.set, 2) } else { ("GET", &parameters.get, 1) };
            let request: Vec<Vec<u8>> =
                [b"CONFIG".to_vec(), subcommand.as_bytes().to_vec()].into_iter().chain(words.clone()).collect();
            let is_listed = |word: &Vec<u8>| listed.contains(&String::from_utf8_lossy(word).to_ascii_lowercase());
            let expected =
                !words.is_empty() && words.len() % each == 0 && words.iter().step_by(each).all(is_listed);
            prop_assert_eq!(holds(&parameters, &request), expected);
        }
    }
}

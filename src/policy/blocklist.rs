//! Commands that are refused whoever asks.

use std::collections::HashSet;
use std::fmt;

use super::mirror::SCRIPTS;
use crate::command::{CommandId, CommandSpec, CommandTable, Dialect};

/// Pairs of names under which Redis runs the same function.
const ALIASES: [(&str, &str); 10] = [
    ("replicaof", "slaveof"),
    ("restore", "restore-asking"),
    ("sync", "psync"),
    ("getrange", "substr"),
    ("hset", "hmset"),
    ("cluster|replicas", "cluster|slaves"),
    // What Valkey calls it, and more than it.
    ("slowlog", "commandlog"),
    ("slowlog|get", "commandlog|get"),
    ("slowlog|len", "commandlog|len"),
    ("slowlog|reset", "commandlog|reset"),
];

/// With which sentinels ask each other for their votes. At a Sentinel PUBLISH is the other half of what they say to each other:
/// it reaches no subscriber, and tells that Sentinel where the primary is (`sentinelPublishCommand`).
const VOTE: &str = "sentinel|is-master-down-by-addr";

/// The set of blocked commands and the few users it does not bind.
#[derive(Debug, Clone)]
pub struct Blocklist {
    /// Indexed by command id. Commands beyond the end are not blocked by name.
    blocked: Vec<bool>,
    /// Indexed by command id: the commands that run scripts.
    scripting: Vec<bool>,
    exempt_users: HashSet<Vec<u8>>,
    scripting_users: HashSet<Vec<u8>>,
}

/// An entry of the configured blocklist that means nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlocklistError {
    /// It names nothing.
    Unknown {
        /// The entry as written.
        entry: String,
    },
    /// It names what anybody may say, because it is said before it is known who asks.
    SaidByAnybody {
        /// The entry as written.
        entry: String,
    },
    /// It takes out what is not in.
    TakesNothing {
        /// The entry as written.
        entry: String,
        /// What is blocked where it stands.
        blocked: Vec<String>,
    },
}

impl BlocklistError {
    /// The entry as written.
    pub fn entry(&self) -> &str {
        let (Self::Unknown { entry } | Self::SaidByAnybody { entry } | Self::TakesNothing { entry, .. }) = self;
        entry
    }
}

impl fmt::Display for BlocklistError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { entry } => {
                let name = entry.strip_prefix('-').unwrap_or(entry);
                write!(f, "`{name}` is no command, subcommand (CLIENT|KILL) or category (@scripting)")
            }
            Self::SaidByAnybody { entry } => write!(
                f,
                "`{entry}` cannot be blocked: AUTH, HELLO, QUIT and RESET are for whoever is nobody yet; `[user.NAME] auth = \
                 \"certificate\"` keeps passwords from letting anybody in as that user"
            ),
            Self::TakesNothing { entry, blocked } if blocked.is_empty() => {
                write!(f, "`{entry}` takes nothing out: nothing is blocked before it, begin with \"default\"")
            }
            Self::TakesNothing { entry, .. } => {
                write!(f, "`{entry}` takes nothing out: what stands before it does not block that")
            }
        }
    }
}

impl Blocklist {
    /// Resolves entries such as `FLUSHALL`, `CLIENT|KILL` or `@scripting`; a command stands for its
    /// subcommands and its other name too. A category leaves out what anybody may say. A `-` before it takes that out
    /// of what the entries before it block. An entry that only another server's table knows says nothing here, and is
    /// no error.
    ///
    /// # Errors
    /// Every entry that no table knows, neither as a command nor as a category, every one that takes nothing out, and AUTH,
    /// HELLO, QUIT and RESET.
    pub fn build(
        entries: &[String],
        exempt_users: &[String],
        scripting_users: &[String],
        table: &CommandTable,
    ) -> Result<Self, Vec<BlocklistError>> {
        let mut blocked = vec![false; table.len()];
        let mut errors = Vec::new();
        for entry in entries {
            let lower = entry.to_ascii_lowercase();
            let (wanted, is_blocked) = lower.strip_prefix('-').map_or((lower.as_str(), true), |name| (name, false));
            let named: Vec<&CommandSpec> = table.iter().filter(|spec| stands_for(wanted, spec, table)).collect();
            if table.by_name(wanted).is_some_and(CommandSpec::is_no_auth) {
                errors.push(BlocklistError::SaidByAnybody { entry: entry.clone() });
            } else if named.is_empty() && !is_known_elsewhere(wanted) {
                errors.push(BlocklistError::Unknown { entry: entry.clone() });
            } else if !named.is_empty() && !is_blocked && named.iter().all(|spec| !blocked[spec.id().index()]) {
                let names = table.iter().filter(|spec| blocked[spec.id().index()]).map(CommandSpec::full_name);
                let blocked = names.map(str::to_owned).collect();
                errors.push(BlocklistError::TakesNothing { entry: entry.clone(), blocked });
            }
            named.iter().for_each(|spec| blocked[spec.id().index()] = is_blocked);
        }
        let mut scripting = vec![false; table.len()];
        for spec in table.iter().filter(|spec| runs_scripts(spec, table)) {
            scripting[spec.id().index()] = true;
        }
        let names = |users: &[String]| users.iter().map(|name| name.clone().into_bytes()).collect();
        if errors.is_empty() {
            Ok(Self { blocked, scripting, exempt_users: names(exempt_users), scripting_users: names(scripting_users) })
        } else {
            Err(errors)
        }
    }

    /// Whether `user` is refused `spec`.
    pub fn blocks(&self, user: &[u8], spec: &CommandSpec) -> bool {
        let index = spec.id().index();
        if !self.blocked.get(index).copied().unwrap_or(false) {
            return false;
        }
        if self.exempt_users.contains(user) {
            return false;
        }
        !(self.scripting.get(index).copied().unwrap_or(false) && self.scripting_users.contains(user))
    }

    /// Whether somebody is refused `spec` whom `before` did not refuse it, under what it was there.
    pub(super) fn blocks_more_than(&self, spec: &CommandSpec, before: &Blocklist, former: &CommandSpec) -> bool {
        let holds = |list: &[bool], spec: &CommandSpec| list.get(spec.id().index()).copied().unwrap_or(false);
        let scripting = before.scripting_users.iter().filter(|_| holds(&before.scripting, former));
        let mut excepted = before.exempt_users.iter().chain(scripting);
        holds(&self.blocked, spec) && (!holds(&before.blocked, former) || excepted.any(|user| self.blocks(user, spec)))
    }

    /// Whether there is a command that runs scripts and is refused to nobody.
    pub fn leaves_scripts_open(&self, table: &CommandTable) -> bool {
        let mut scripts = SCRIPTS.iter().filter_map(|script| table.by_name(script));
        scripts.any(|spec| !self.blocked.get(spec.id().index()).copied().unwrap_or(false))
    }

    /// Whether any entry binds `user`.
    pub fn binds(&self, user: &[u8]) -> bool {
        !self.exempts(user) && self.blocked.contains(&true)
    }

    /// Whether `@scripting` is lifted for `user`, where it is blocked.
    pub fn lifts_scripting(&self, user: &[u8]) -> bool {
        self.scripting_users.contains(user)
    }

    /// Whether `user` is bound by no entry at all.
    pub fn exempts(&self, user: &[u8]) -> bool {
        self.exempt_users.contains(user)
    }
}

/// The entry that has the last word about a command, if one has.
pub fn deciding_entry<'e>(entries: &'e [String], spec: &CommandSpec, table: &CommandTable) -> Option<&'e str> {
    let is_about = |entry: &&String| {
        let lower = entry.to_ascii_lowercase();
        stands_for(lower.strip_prefix('-').unwrap_or(&lower), spec, table)
    };
    entries.iter().rfind(is_about).map(String::as_str)
}

fn is_known_elsewhere(wanted: &str) -> bool {
    Dialect::ALL
        .into_iter()
        .map(CommandTable::builtin)
        .any(|table| table.iter().any(|spec| stands_for(wanted, spec, &table)))
}

fn stands_for(wanted: &str, spec: &CommandSpec, table: &CommandTable) -> bool {
    !spec.is_no_auth() && names(wanted, spec, table)
}

/// Whether a name in lower case, or a category, is that of a command, of its container or of its twin.
pub(super) fn names(wanted: &str, spec: &CommandSpec, table: &CommandTable) -> bool {
    if let Some(category) = wanted.strip_prefix('@') {
        return in_category(category, spec, table);
    }
    let is_alias = |name: &str| ALIASES.contains(&(wanted, name)) || ALIASES.contains(&(name, wanted));
    let tells_sentinel = |name: &str| wanted == VOTE && name == "publish" && table.by_name(VOTE).is_some();
    let is_wanted = |name: &str| name == wanted || is_alias(name) || tells_sentinel(name);
    is_wanted(spec.full_name()) || parent_name(spec.parent(), table).is_some_and(is_wanted)
}

fn parent_name(parent: Option<CommandId>, table: &CommandTable) -> Option<&str> {
    Some(table.get(parent?)?.full_name())
}

/// What a user in `scripting-users` gets back: running scripts, loading and listing them. Stopping or wiping scripts
/// touches everybody's, and the debugger forks Redis or stops it for everybody, so SCRIPT DEBUG, SCRIPT FLUSH, SCRIPT KILL
/// and the writing FUNCTION subcommands stay blocked.
fn runs_scripts(spec: &CommandSpec, table: &CommandTable) -> bool {
    const KEPT: [&str; 8] = [
        "script|debug",
        "script|flush",
        "script|kill",
        "function|delete",
        "function|flush",
        "function|kill",
        "function|load",
        "function|restore",
    ];
    in_category("scripting", spec, table) && !KEPT.contains(&spec.full_name())
}

fn in_category(name: &str, spec: &CommandSpec, table: &CommandTable) -> bool {
    table.category(name.as_bytes()).is_some_and(|category| spec.implied_categories().intersects(category))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::UpstreamCommand;

    fn blocks(entries: &[&str], name: &str) -> bool {
        let table = CommandTable::builtin(Dialect::Valkey91);
        let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        let blocklist = Blocklist::build(&entries, &["ops".to_owned()], &["jobs".to_owned()], &table).unwrap();
        blocklist.blocks(b"anybody", table.by_name(name).unwrap())
    }

    #[test]
    fn two_names_of_one_command_are_blocked_together() {
        for (one, other) in ALIASES {
            assert!(blocks(&[one], other) && blocks(&[other], one), "{one} {other}");
        }
        assert!(!blocks(&["replicaof"], "get"));
        assert!(blocks(&["slowlog"], "commandlog|get"), "with its subcommands");
    }

    #[test]
    fn at_a_sentinel_publish_is_blocked_together_with_the_votes_of_sentinels() {
        let of = |name: &str| UpstreamCommand { name: name.to_owned(), arity: -2, ..UpstreamCommand::default() };
        let sentinel = UpstreamCommand { subcommands: vec![of(VOTE), of("sentinel|masters")], ..of("sentinel") };
        let table = CommandTable::builtin(Dialect::Redis70);
        let blocks = |table: &CommandTable, name: &str| {
            Blocklist::build(&[VOTE.to_owned()], &[], &[], table)
                .is_ok_and(|list| list.blocks(b"a", table.by_name(name).unwrap()))
        };
        assert!(!blocks(&table, "publish"));
        let table = table.extended(&[sentinel]);
        assert!(blocks(&table, "publish") && blocks(&table, VOTE) && !blocks(&table, "sentinel|masters"));
    }

    #[test]
    fn a_container_stands_for_its_subcommands_and_a_subcommand_for_itself() {
        assert!(blocks(&["CONFIG"], "config|get"));
        assert!(blocks(&["client|kill"], "client|kill") && !blocks(&["client|kill"], "client|list"));
    }

    #[test]
    fn scripts_are_open_unless_every_command_that_runs_them_is_blocked() {
        let table = CommandTable::builtin(Dialect::Redis70);
        let open = |entries: &[&str]| {
            let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
            Blocklist::build(&entries, &[], &[], &table).unwrap().leaves_scripts_open(&table)
        };
        assert!(open(&[]) && open(&["flushall"]) && open(&["eval", "evalsha", "script", "function"]));
        assert!(!open(&["@scripting"]) && !open(&SCRIPTS));
    }

    #[test]
    fn an_entry_that_no_table_knows_is_an_error() {
        let table = CommandTable::builtin(Dialect::Redis70);
        let errors = Blocklist::build(&["flushal".to_owned()], &[], &[], &table).unwrap_err();
        assert_eq!(errors, [BlocklistError::Unknown { entry: "flushal".to_owned() }]);
    }

    #[test]
    fn what_is_taken_out_is_blocked_no_more_and_what_comes_later_counts() {
        let entries =
            ["config", "slowlog", "@scripting", "-config|get", "-commandlog", "-eval", "keys", "-@keyspace", "del"];
        let is_blocked = |name: &str| blocks(&entries, name);
        for name in ["config|set", "config|rewrite", "evalsha", "script|load", "del"] {
            assert!(is_blocked(name), "{name}");
        }
        for name in ["config|get", "slowlog|get", "commandlog|get", "eval", "keys", "get"] {
            assert!(!is_blocked(name), "{name}");
        }
        assert!(blocks(&["-get", "get"][1..], "get") && blocks(&["get", "-get", "get"], "get"));
    }

    #[test]
    fn what_takes_nothing_out_is_an_error_unless_only_another_server_has_it() {
        let table = CommandTable::builtin(Dialect::Redis70);
        let error = |entries: &[&str]| {
            let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
            let errors = Blocklist::build(&entries, &[], &[], &table).err().unwrap_or_default();
            errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        let nothing = "`-get` takes nothing out: what stands before it does not block that";
        assert_eq!(error(&["flushall", "-get"]), nothing);
        assert_eq!(
            error(&["-get", "get"]),
            "`-get` takes nothing out: nothing is blocked before it, begin with \"default\""
        );
        assert_eq!(error(&["get", "-gett"]), "`gett` is no command, subcommand (CLIENT|KILL) or category (@scripting)");
        assert_eq!(error(&["flushall", "-cluster|migrateslots", "-flushall"]), "");
    }

    #[test]
    fn scripting_users_get_scripts_back_but_not_what_wipes_or_stops_everybodys() {
        let table = CommandTable::builtin(Dialect::Redis70);
        let blocklist = Blocklist::build(&["@scripting".to_owned()], &[], &["jobs".to_owned()], &table).unwrap();
        let blocks = |name| blocklist.blocks(b"jobs", table.by_name(name).unwrap());
        assert!(!blocks("eval") && !blocks("fcall") && !blocks("script|load"));
        assert!(
            blocks("script|debug")
                && blocks("script|flush")
                && blocks("script|kill")
                && blocks("function|load")
                && blocks("function|flush")
        );
        assert!(blocklist.blocks(b"anybody", table.by_name("eval").unwrap()));
    }
}

//! The blocklist of a generation, and what of it does not say what it seems to say.

use super::Builder;
use crate::acl::Acl;
use crate::command::CommandTable;
use crate::config::{Block, Config, DEFAULT_BLOCKLIST, nearest};
use crate::generation::error::BuildError;
use crate::policy::{Blocklist, BlocklistError};

impl Builder<'_> {
    pub(super) fn blocklist(&mut self, table: &CommandTable) -> Option<Blocklist> {
        let block = &self.config.block;
        let build = |entries: &[String]| Blocklist::build(entries, &block.exempt_users, &block.scripting_users, table);
        let errors = match build(&block.commands) {
            Ok(blocklist) => return Some(blocklist),
            Err(errors) => errors,
        };
        let (waiting, wrong): (Vec<_>, Vec<_>) = errors
            .iter()
            .filter(|error| !is_of_an_absent_module(error))
            .partition(|error| self.kept.config || !self.upstream.tells_commands() && may_become_known(error));
        for error in wrong {
            let hint = nearest_entry(error, table).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            let advice = match (error, self.upstream.tells_commands()) {
                (BlocklistError::Unknown { .. }, false) => {
                    " that is known here: if it is the upstream's, `require-upstream` asks that first"
                }
                _ => "",
            };
            self.errors.push(BuildError::config(format!("[block] {error}{advice}{hint}")));
        }
        self.warnings.extend(waiting.iter().map(|error| match error {
            BlocklistError::Unknown { .. } => format!("[block] {error} that is known: it blocks nothing"),
            BlocklistError::SaidByAnybody { .. } | BlocklistError::TakesNothing { .. } => format!("[block] {error}"),
        }));
        let is_known = |entry: &&String| errors.iter().all(|error| error.entry() != entry.as_str());
        let known: Vec<String> = block.commands.iter().filter(is_known).cloned().collect();
        build(&known).ok()
    }

    pub(super) fn tell_of_blocklist(&mut self, blocklist: &Blocklist, acl: &Acl, table: &CommandTable) {
        self.warnings.extend(open_scripts(self.config, blocklist.leaves_scripts_open(table)));
        self.warnings.extend(idle_parameters(self.config, table, acl, blocklist));
    }
}

/// Scripts of which the blocklist does not say what it seems to say, or to which no rule of ours applies.
fn open_scripts(config: &Config, to_everybody: bool) -> Vec<String> {
    let Block { exempt_users, scripting_users, .. } = &config.block;
    let mut warnings = Vec::new();
    if to_everybody && !scripting_users.is_empty() {
        warnings.push(
            "[block] scripting-users keeps nobody else from scripts: `commands` does not block @scripting".to_owned(),
        );
    }
    let named: Vec<String> = exempt_users.iter().chain(scripting_users).map(|user| format!("'{user}'")).collect();
    let whose = if to_everybody { "everybody whose ACL allows them".to_owned() } else { named.join(", ") };
    if !config.upstream.mirror_users && !whose.is_empty() {
        warnings.push(format!(
            "without mirror-users, scripts of {whose} run inside Redis as the proxy's own user, beyond every rule here: \
             restrict that user there, or block @scripting"
        ));
    }
    warnings
}

/// Whether an entry of the blocklist that nobody knows may become known with a module of the upstream, rather than be a
/// slip of the pen, which would leave open what is meant to be blocked.
fn may_become_known(error: &BlocklistError) -> bool {
    matches!(error, BlocklistError::Unknown { entry } if may_be_a_modules(entry.strip_prefix('-').unwrap_or(entry)))
}

/// Whether a name may be a module's: modules put their name and a dot before their commands, and some bring categories.
pub(super) fn may_be_a_modules(name: &str) -> bool {
    const CATEGORIES: [&str; 8] = ["bloom", "cms", "cuckoo", "json", "search", "tdigest", "timeseries", "topk"];
    match name.strip_prefix('@') {
        Some(category) => CATEGORIES.contains(&category.to_ascii_lowercase().as_str()),
        None => name.contains('.'),
    }
}

/// Of what is blocked by default, some is of modules that are seldom there.
fn is_of_an_absent_module(error: &BlocklistError) -> bool {
    let BlocklistError::Unknown { entry } = error else { return false };
    let name = entry.strip_prefix('-').unwrap_or(entry);
    DEFAULT_BLOCKLIST.iter().any(|default| name.eq_ignore_ascii_case(default.name))
}

/// What may have been meant: of all names that there are, or of what is blocked where it is to be taken out.
fn nearest_entry(error: &BlocklistError, table: &CommandTable) -> Option<String> {
    let entry = error.entry();
    let name = entry.strip_prefix('-').unwrap_or(entry);
    let sign = &entry[..entry.len() - name.len()];
    let near = match error {
        BlocklistError::Unknown { .. } => {
            nearest_name(name, table).or_else(|| nearest(name, ["default"]).map(str::to_owned))
        }
        BlocklistError::SaidByAnybody { .. } => None,
        BlocklistError::TakesNothing { blocked, .. } => {
            nearest(name, blocked.iter().map(String::as_str)).map(str::to_owned)
        }
    };
    near.map(|near| format!("{sign}{near}"))
}

/// The nearest command, subcommand or category.
pub(super) fn nearest_name(name: &str, table: &CommandTable) -> Option<String> {
    let categories = table.categories().map(|(name, _)| format!("@{name}"));
    let names: Vec<String> = table.iter().map(|spec| spec.full_name().to_owned()).chain(categories).collect();
    nearest(name, names.iter().map(String::as_str)).map(str::to_owned)
}

/// Parameters of CONFIG that are named for a user, where something else has the last word.
fn idle_parameters(config: &Config, table: &CommandTable, acl: &Acl, blocklist: &Blocklist) -> Vec<String> {
    let mut warnings = Vec::new();
    for (name, settings) in &config.users {
        let Some(user) = acl.user(name.as_bytes()) else { continue };
        for (key, command, parameters) in
            [("config-get", "config|get", &settings.config.get), ("config-set", "config|set", &settings.config.set)]
        {
            let Some(spec) = table.by_name(command).filter(|_| !parameters.is_empty()) else { continue };
            let why = match (blocklist.blocks(name.as_bytes(), spec), user.may_run(spec)) {
                (_, false) => format!("the user's ACL does not allow it: add +{command} there"),
                (false, true) => format!("{command} is not blocked for this user, who may name any parameter"),
                (true, true) => continue,
            };
            warnings.push(format!("[user.{name}] {key} changes nothing: {why}"));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::command::{Dialect, UpstreamCommand};
    use crate::config::LEFT_OPEN;

    /// Both tables, with what is refused by default in each.
    fn tables() -> impl Iterator<Item = (CommandTable, Blocklist)> {
        let names: Vec<String> = DEFAULT_BLOCKLIST.iter().map(|entry| entry.name.to_owned()).collect();
        Dialect::ALL.into_iter().map(CommandTable::builtin).map(move |table| {
            let modules = DEFAULT_BLOCKLIST.iter().filter(|entry| entry.reason.starts_with("of "));
            let command = |name: &str, subcommands| UpstreamCommand {
                name: name.to_owned(),
                arity: -1,
                subcommands,
                ..UpstreamCommand::default()
            };
            let mut by_name: BTreeMap<&str, Vec<UpstreamCommand>> = BTreeMap::new();
            for entry in modules {
                let (container, subcommand) = entry.name.split_once('|').unzip();
                let subcommands = by_name.entry(container.unwrap_or(entry.name)).or_default();
                subcommands.extend(subcommand.map(|_| command(entry.name, Vec::new())));
            }
            let modules: Vec<_> = by_name.into_iter().map(|(name, subcommands)| command(name, subcommands)).collect();
            let table = table.extended(&modules);
            let blocklist = Blocklist::build(&names, &[], &[], &table).unwrap();
            (table, blocklist)
        })
    }

    #[test]
    fn every_dangerous_command_is_refused_by_default_or_left_open_for_a_written_reason() {
        for (table, blocklist) in tables() {
            let dangerous = table.category(b"dangerous").unwrap();
            let unaccounted: Vec<&str> = table
                .iter()
                .filter(|spec| spec.categories().intersects(dangerous) && !spec.has_subcommands())
                .filter(|spec| !blocklist.blocks(b"anybody", spec))
                .map(|spec| spec.full_name())
                .filter(|name| !LEFT_OPEN.iter().any(|entry| entry.name == *name))
                .collect();
            assert_eq!(unaccounted, [""; 0], "{}", table.dialect().name());
        }
    }

    #[test]
    fn nothing_is_both_refused_and_left_open() {
        for (table, blocklist) in tables() {
            for entry in LEFT_OPEN {
                let blocked = table.by_name(entry.name).is_some_and(|spec| blocklist.blocks(b"anybody", spec));
                assert!(!blocked, "{}: {}", table.dialect().name(), entry.name);
            }
        }
    }
}

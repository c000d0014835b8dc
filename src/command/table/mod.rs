//! The commands of one server, found by name or by id.

mod entry;
mod redis70;
mod valkey91;

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};

use self::entry::Entry;
use super::argv::Argv;
use super::category::{Categories, CategoryNames};
use super::movable::Extractor;
use super::name::NameIndex;
use super::role::Role;
use super::spec::{ChannelUse, CommandId, CommandSpec};
use super::upstream::{self, UpstreamCommand};

/// Which server's ACL grammar, command table and error texts hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// Redis up to 7.0.
    Redis70,
    /// Redis from 7.2 on: the table of Valkey, which began as a copy of it, without its databases.
    Redis72,
    /// Valkey.
    Valkey91,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Dialect; 3] = [Dialect::Redis70, Dialect::Redis72, Dialect::Valkey91];

    /// The nearest dialect of a server that calls itself `name` (`redis`, `valkey`) in version `major.minor`.
    pub fn for_server(name: &str, major: u32, minor: u32) -> Dialect {
        match name.eq_ignore_ascii_case("redis") {
            true if (major, minor) < (7, 2) => Dialect::Redis70,
            true => Dialect::Redis72,
            false => Dialect::Valkey91,
        }
    }

    /// Rules about databases are in its ACL language.
    pub fn has_databases(self) -> bool {
        self == Dialect::Valkey91
    }

    /// The name it has in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::Redis70 => "redis-7.0",
            Dialect::Redis72 => "redis-7.2",
            Dialect::Valkey91 => "valkey-9.1",
        }
    }
}

/// An immutable set of commands.
#[derive(Clone)]
pub struct CommandTable {
    dialect: Dialect,
    /// Position is id. A subcommand follows its container.
    specs: Vec<CommandSpec>,
    index: NameIndex,
    categories: CategoryNames,
    identity: u64,
}

/// A request whose command is not in the table.
#[derive(Clone, Copy, Debug)]
pub enum Unresolved<'t> {
    /// No such command, or no argument at all.
    Command,
    /// This container has no such subcommand.
    Subcommand(&'t CommandSpec),
}

impl CommandTable {
    /// The commands of the server that `dialect` names, as this program knows them.
    pub fn builtin(dialect: Dialect) -> CommandTable {
        let entries = match dialect {
            Dialect::Redis70 => redis70::COMMANDS,
            Dialect::Redis72 | Dialect::Valkey91 => valkey91::COMMANDS,
        };
        let mut specs: Vec<CommandSpec> = entries.iter().map(spec).collect();
        if dialect == Dialect::Redis72 {
            // Only Valkey aborts a transaction for these.
            specs
                .iter_mut()
                .filter(|spec| matches!(spec.full_name(), "multi" | "watch"))
                .for_each(CommandSpec::allow_in_multi);
        }
        CommandTable::new(dialect, specs, CategoryNames::builtin())
    }

    /// This table with what a live server has beyond it: commands, subcommands and categories. Nothing that is here
    /// already changes, but for being in categories that were unknown.
    pub fn extended(&self, upstream: &[UpstreamCommand]) -> CommandTable {
        let mut specs = self.specs.clone();
        let mut categories = self.categories.clone();
        upstream::extend(&mut specs, &mut categories, upstream);
        CommandTable::new(self.dialect, specs, categories)
    }

    fn new(dialect: Dialect, mut specs: Vec<CommandSpec>, categories: CategoryNames) -> CommandTable {
        // A subcommand names its container, which may have been added before it or be a built-in one.
        for position in 0..specs.len() {
            specs[position].id = CommandId(u16::try_from(position).expect("a server has fewer than 65,536 commands"));
            let Some((container, _)) = specs[position].full_name.split_once('|') else { continue };
            let name_at = container.len() + 1;
            let parent = specs.iter().position(|spec| spec.full_name == container);
            let parent = parent.expect("a subcommand is added with or after its container");
            (specs[position].parent, specs[position].name_at) = (Some(specs[parent].id), name_at);
            specs[parent].has_subcommands = true;
        }
        let index = NameIndex::build(&specs);
        let mut names = DefaultHasher::new();
        specs.iter().for_each(|spec| spec.full_name.hash(&mut names));
        CommandTable { dialect, specs, index, categories, identity: names.finish() }
    }

    /// The same for tables in which an id means the same command.
    pub fn identity(&self) -> u64 {
        self.identity
    }

    /// Whose commands these are.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The command a request names, of a container the subcommand; in any letter case, without allocating. A container
    /// alone resolves to itself.
    ///
    /// # Errors
    /// [`Unresolved`] says whether the command or its subcommand is unknown (Redis: `lookupCommand`).
    #[inline]
    pub fn resolve(&self, argv: &Argv<'_>) -> Result<&CommandSpec, Unresolved<'_>> {
        let name = argv.get(0).ok_or(Unresolved::Command)?;
        let spec = self.index.find(&self.specs, None, name).ok_or(Unresolved::Command)?;
        match argv.get(1) {
            Some(subcommand) if spec.has_subcommands() => {
                self.index.find(&self.specs, Some(spec.id()), subcommand).ok_or(Unresolved::Subcommand(spec))
            }
            _ => Ok(spec),
        }
    }

    /// The command with this full name, `get` or `config|get`, in any letter case.
    pub fn by_name(&self, full_name: &str) -> Option<&CommandSpec> {
        match full_name.split_once('|') {
            None => self.index.find(&self.specs, None, full_name.as_bytes()),
            Some((container, subcommand)) => {
                let container = self.index.find(&self.specs, None, container.as_bytes())?;
                self.index.find(&self.specs, Some(container.id()), subcommand.as_bytes())
            }
        }
    }

    /// The command at `id`.
    pub fn get(&self, id: CommandId) -> Option<&CommandSpec> {
        self.specs.get(id.index())
    }

    /// Number of commands, subcommands included; every id is below it.
    pub fn len(&self) -> usize {
        self.specs.len()
    }

    /// No command at all, which no table is.
    pub fn is_empty(&self) -> bool {
        self.specs.is_empty()
    }

    /// Every command and subcommand.
    pub fn iter(&self) -> impl Iterator<Item = &CommandSpec> {
        self.specs.iter()
    }

    /// The subcommands of a container.
    pub fn subcommands(&self, container: CommandId) -> impl Iterator<Item = &CommandSpec> {
        self.specs.iter().filter(move |spec| spec.parent() == Some(container))
    }

    /// Every category with its name (without `@`), in the order of `ACL CAT`.
    pub fn categories(&self) -> impl Iterator<Item = (&str, Categories)> {
        self.categories.iter()
    }

    /// The category of this name (without `@`), in any letter case.
    pub fn category(&self, name: &[u8]) -> Option<Categories> {
        self.categories.find(name)
    }
}

fn spec(entry: &'static Entry) -> CommandSpec {
    CommandSpec {
        id: CommandId(0),
        full_name: Cow::Borrowed(entry.name),
        name_at: 0,
        parent: None,
        has_subcommands: false,
        arity: entry.arity,
        flags: entry.flags,
        categories: Categories(entry.categories),
        implied: Categories::NONE,
        database: entry.database,
        keys: Cow::Borrowed(entry.keys),
        extractor: Extractor::of(entry.name, entry.keys),
        channels: ChannelUse::of(entry.name),
        role: Role::of(entry.name),
        builtin: true,
    }
}

#[cfg(test)]
mod tests;

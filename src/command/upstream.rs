//! What a live server's COMMAND adds to a table.

use std::borrow::Cow;

use super::category::{Categories, CategoryNames};
use super::database::DatabaseNeed;
use super::keyspec::{Begin, Find, K, KeySpec};
use super::movable::Extractor;
use super::role::Role;
use super::spec::{ChannelUse, CommandId, CommandSpec, F};

/// More commands than this are not taken from an upstream: ids are 16 bits wide.
const MAX_COMMANDS: usize = 16_384;

/// One entry of a COMMAND reply, plainly decoded: strings as the server gave them.
#[derive(Clone, Debug, Default)]
pub struct UpstreamCommand {
    /// `get`; of a subcommand `config|get`.
    pub name: String,
    /// Exact, or a minimum if negative.
    pub arity: i64,
    /// `write`, `readonly`, …
    pub flags: Vec<String>,
    /// Legacy position of the first key; 0 for none.
    pub first_key: i64,
    /// Legacy position of the last key; negative counts from the end.
    pub last_key: i64,
    /// Legacy distance between keys.
    pub step: i64,
    /// With or without `@`.
    pub categories: Vec<String>,
    /// Empty from servers before 7.0.
    pub key_specs: Vec<UpstreamKeySpec>,
    /// Subcommands of a container.
    pub subcommands: Vec<UpstreamCommand>,
}

/// One key specification.
#[derive(Clone, Debug)]
pub struct UpstreamKeySpec {
    /// `RW`, `access`, `incomplete`, …
    pub flags: Vec<String>,
    /// begin_search.
    pub begin: UpstreamBegin,
    /// find_keys.
    pub find: UpstreamFind,
}

/// begin_search of a key spec, fields as COMMAND names them.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are COMMAND's own")]
pub enum UpstreamBegin {
    Index { index: i64 },
    Keyword { keyword: String, startfrom: i64 },
    Unknown,
}

/// find_keys of a key spec, fields as COMMAND names them.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are COMMAND's own")]
pub enum UpstreamFind {
    Range { lastkey: i64, keystep: i64, limit: i64 },
    KeyNum { keynumidx: i64, firstkey: i64, keystep: i64 },
    Unknown,
}

/// Appends to `specs` what `upstream` has beyond them. What is there already only gains categories that were unknown.
pub(super) fn extend(specs: &mut Vec<CommandSpec>, categories: &mut CategoryNames, upstream: &[UpstreamCommand]) {
    for command in upstream.iter().filter(|command| is_name(&command.name)) {
        let container = command.name.to_ascii_lowercase();
        // A command known to be no container stays one: its first argument is not turned into a name.
        let known = specs.iter().find(|spec| spec.full_name == container);
        let takes_subcommands = known.is_none_or(|spec| spec.has_subcommands);
        add(specs, categories, container.clone(), command);
        for subcommand in command.subcommands.iter().filter(|_| takes_subcommands) {
            let name = subcommand.name.rsplit('|').next().unwrap_or_default();
            if is_name(name) {
                add(specs, categories, format!("{container}|{}", name.to_ascii_lowercase()), subcommand);
            }
        }
    }
}

/// Names we can look up and write into an ACL rule.
fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-');
    (1..=64).contains(&name.len()) && name.bytes().all(allowed)
}

fn add(specs: &mut Vec<CommandSpec>, categories: &mut CategoryNames, full_name: String, command: &UpstreamCommand) {
    let flags = command.flags.iter().fold(0, |bits, name| bits | F::named(name));
    let named = command.categories.iter().map(|name| name.strip_prefix('@').unwrap_or(name));
    if let Some(known) = specs.iter_mut().find(|spec| spec.full_name == full_name) {
        for name in named.filter(|name| Categories::builtin(name) == Categories::NONE) {
            known.categories = known.categories | categories.intern(name).unwrap_or(Categories::NONE);
        }
        return;
    }
    if specs.len() >= MAX_COMMANDS {
        return;
    }
    let named = named.map(|name| categories.intern(name).unwrap_or(Categories::NONE));
    let in_categories = named.fold(Categories::NONE, |all, category| all | category);
    let keys = key_specs(command);
    specs.push(CommandSpec {
        id: CommandId(0),
        name_at: 0,
        parent: None,
        has_subcommands: false,
        arity: i32::try_from(command.arity).unwrap_or(-1),
        flags,
        categories: in_categories,
        implied: implied_categories(flags),
        database: database_need(flags, &keys),
        extractor: extractor(&full_name, flags, &keys),
        channels: ChannelUse::of(&full_name),
        role: Role::of(&full_name),
        builtin: false,
        keys: Cow::Owned(keys),
        full_name: Cow::Owned(full_name),
    });
}

/// Module commands report no categories; their flags say what they do (Redis: `setImplicitACLCategories`, which it applies
/// to its own commands only).
fn implied_categories(flags: u32) -> Categories {
    let implied: [(u32, &[&str]); 6] = [
        (F::WRITE, &["write"]),
        (F::READONLY, &["read"]),
        (F::ADMIN, &["admin", "dangerous"]),
        (F::PUBSUB, &["pubsub"]),
        (F::FAST, &["fast"]),
        (F::BLOCKING, &["blocking"]),
    ];
    let names = implied.iter().filter(|(flag, _)| flags & flag != 0).flat_map(|(_, names)| *names);
    let speed = if flags & F::FAST == 0 { Categories::builtin("slow") } else { Categories::NONE };
    names.fold(speed, |all, name| all | Categories::builtin(name))
}

fn database_need(flags: u32, keys: &[KeySpec]) -> DatabaseNeed {
    match flags & (F::WRITE | F::READONLY) != 0 || keys.iter().any(KeySpec::is_key) {
        true => DatabaseNeed::Selected,
        false => DatabaseNeed::None,
    }
}

/// `movablekeys` on specs that move nothing means that the module has its own idea of where its keys are.
fn extractor(full_name: &str, flags: u32, keys: &[KeySpec]) -> Extractor {
    let specs_move =
        keys.iter().any(|spec| !matches!((&spec.begin, &spec.find), (Begin::Index(_), Find::Range { limit: 0, .. })));
    match flags & F::MOVABLEKEYS != 0 && !specs_move {
        true => Extractor::Unknown,
        false => Extractor::of(full_name, keys),
    }
}

fn key_specs(command: &UpstreamCommand) -> Vec<KeySpec> {
    if command.key_specs.is_empty() && command.first_key > 0 {
        let last = if command.last_key < 0 { command.last_key } else { command.last_key - command.first_key };
        return vec![key_spec(
            K::RW | K::ACCESS | K::UPDATE,
            &UpstreamBegin::Index { index: command.first_key },
            &UpstreamFind::Range { lastkey: last, keystep: command.step, limit: 0 },
        )];
    }
    let specs = command.key_specs.iter();
    specs
        .map(|spec| {
            // A flag we do not know could mean anything: such a spec tells nothing for certain.
            let flags = spec.flags.iter().fold(0, |bits, name| bits | K::named(name).unwrap_or(K::INCOMPLETE));
            key_spec(flags, &spec.begin, &spec.find)
        })
        .collect()
}

fn key_spec(flags: u16, begin: &UpstreamBegin, find: &UpstreamFind) -> KeySpec {
    KeySpec {
        flags,
        begin: begin_search(begin).unwrap_or(Begin::Unknown),
        find: find_keys(find).unwrap_or(Find::Unknown),
    }
}

fn begin_search(begin: &UpstreamBegin) -> Option<Begin> {
    match begin {
        // Argument 0 is the name of the command.
        UpstreamBegin::Index { index } => Some(Begin::Index(position(*index).filter(|index| *index > 0)?)),
        UpstreamBegin::Keyword { keyword, startfrom } => Some(Begin::Keyword {
            word: Cow::Owned(keyword.clone()),
            start_from: i32::try_from(*startfrom).ok().filter(|start| *start != 0)?,
        }),
        UpstreamBegin::Unknown => None,
    }
}

fn find_keys(find: &UpstreamFind) -> Option<Find> {
    match *find {
        UpstreamFind::Range { lastkey, keystep, limit } => Some(Find::Range {
            last: i32::try_from(lastkey).ok()?,
            step: position(keystep).filter(|step| *step > 0)?,
            limit: position(limit)?,
        }),
        UpstreamFind::KeyNum { keynumidx, firstkey, keystep } => Some(Find::KeyNum {
            number: position(keynumidx)?,
            first: position(firstkey)?,
            step: position(keystep).filter(|step| *step > 0)?,
        }),
        UpstreamFind::Unknown => None,
    }
}

/// A position or step within a request; bounded, so that sums of a few cannot overflow.
fn position(number: i64) -> Option<usize> {
    usize::try_from(number).ok().filter(|n| *n <= 1 << 20)
}

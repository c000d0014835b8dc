//! Where the keys are, for commands whose options move them: our own reading, never the upstream's.
//!
//! A server reads options left to right and stops at the first it does not know; Redis's key extraction reads some of
//! them in a slightly different way. Where the two can differ we take every reading at once, or none.

use super::argv::Argv;
use super::keyspec::{Access, EmptyCount, KeySpec, KeyUse, Scope, Unextractable, nul_free};

/// How the keys of one command are found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Extractor {
    /// It has no keys.
    None,
    /// Always this one.
    One(KeyUse),
    /// The key specs are exact.
    Specs,
    /// Exact, and a count of zero keys is a proper request: EVAL, FCALL.
    Script,
    /// Not even the server's own table tells: the keys are never known.
    Unknown,
    Set,
    BitField,
    Sort,
    SortRo,
    GeoRadius {
        options_from: usize,
    },
    Migrate,
    Xread {
        options_from: usize,
        streams_from: usize,
    },
}

impl Extractor {
    /// By full name for the commands we know, else by whether the specs are exact.
    pub(super) fn of(full_name: &str, keys: &[KeySpec]) -> Extractor {
        match full_name {
            "set" => Extractor::Set,
            "bitfield" => Extractor::BitField,
            "sort" => Extractor::Sort,
            "sort_ro" => Extractor::SortRo,
            // The unit of GEORADIUS, argument 5, is read as an option too: Valkey does so.
            "georadius" | "georadiusbymember" => Extractor::GeoRadius { options_from: 5 },
            "migrate" => Extractor::Migrate,
            "xread" => Extractor::Xread { options_from: 1, streams_from: 1 },
            "xreadgroup" => Extractor::Xread { options_from: 1, streams_from: 4 },
            "eval" | "eval_ro" | "evalsha" | "evalsha_ro" | "fcall" | "fcall_ro" => Extractor::Script,
            _ => Extractor::by_specs(keys),
        }
    }

    fn by_specs(keys: &[KeySpec]) -> Extractor {
        let keys: Vec<&KeySpec> = keys.iter().filter(|spec| spec.is_key()).collect();
        match keys.as_slice() {
            [] => Extractor::None,
            specs if !specs.iter().all(|spec| spec.is_exact()) => Extractor::Unknown,
            [only] => only.fixed_single().map_or(Extractor::Specs, Extractor::One),
            _ => Extractor::Specs,
        }
    }

    /// Visits every key of the request.
    #[inline]
    pub(super) fn try_keys<E: From<Unextractable>>(
        self,
        keys: &[KeySpec],
        argv: &Argv<'_>,
        scope: Scope,
        visit: &mut impl FnMut(KeyUse) -> Result<(), E>,
    ) -> Result<(), E> {
        let empty_count = match self {
            Extractor::None => return Ok(()),
            Extractor::One(key) if key.index < argv.len() => return visit(key),
            Extractor::One(_) => return Err(Unextractable.into()),
            Extractor::Specs => EmptyCount::Refused,
            Extractor::Script => EmptyCount::Fine,
            moving => return moving.try_moving(argv, scope, visit),
        };
        keys.iter().filter(|spec| spec.is_key()).try_for_each(|spec| spec.try_keys(argv, empty_count, visit))
    }

    fn try_moving<E: From<Unextractable>>(
        self,
        argv: &Argv<'_>,
        scope: Scope,
        visit: &mut impl FnMut(KeyUse) -> Result<(), E>,
    ) -> Result<(), E> {
        let first = |access| KeyUse { index: 1, access };
        if argv.len() < 2 {
            return Err(Unextractable.into());
        }
        match self {
            Extractor::Set => visit(first(set_access(argv, scope)?)),
            Extractor::BitField => visit(first(bitfield_access(argv, scope)?)),
            Extractor::Sort => {
                visit(first(Access::READ))?;
                stored(argv, 2, &[b"store"], visit)
            }
            Extractor::SortRo => {
                nul_free(argv, 2)?;
                visit(first(Access::READ))
            }
            Extractor::GeoRadius { options_from } => {
                visit(first(Access::READ))?;
                stored(argv, options_from, &[b"store", b"storedist"], visit)
            }
            Extractor::Migrate => migrated(argv, visit),
            Extractor::Xread { options_from, streams_from } => {
                let keys = streams(argv, options_from, streams_from)?;
                keys.into_iter().try_for_each(|index| visit(KeyUse { index, access: Access::READ }))
            }
            Extractor::None | Extractor::One(_) | Extractor::Specs | Extractor::Script | Extractor::Unknown => {
                Err(Unextractable.into())
            }
        }
    }
}

/// SET writes; with GET anywhere among its options it reads too.
fn set_access(argv: &Argv<'_>, scope: Scope) -> Result<Access, Unextractable> {
    nul_free(argv, 3)?;
    let reads = argv.iter_from(3).any(|(_, option)| option.eq_ignore_ascii_case(b"get"));
    Ok(if reads || scope == Scope::Prefix { Access::READ_WRITE } else { Access::WRITE })
}

/// BITFIELD only reads if it is nothing but complete GETs (and OVERFLOWs, which only matter to writes).
fn bitfield_access(argv: &Argv<'_>, scope: Scope) -> Result<Access, Unextractable> {
    nul_free(argv, 2)?;
    if scope == Scope::Prefix {
        return Ok(Access::READ_WRITE);
    }
    let mut index = 2;
    while let Some(operation) = argv.get(index) {
        index += match operation {
            get if get.eq_ignore_ascii_case(b"get") => 3,
            overflow if overflow.eq_ignore_ascii_case(b"overflow") => 2,
            _ => return Ok(Access::READ_WRITE),
        };
    }
    Ok(if index == argv.len() { Access::READ } else { Access::READ_WRITE })
}

/// Every argument after any of `words` is a destination, whichever of them the server would take.
fn stored<E: From<Unextractable>>(
    argv: &Argv<'_>,
    options_from: usize,
    words: &[&[u8]],
    visit: &mut impl FnMut(KeyUse) -> Result<(), E>,
) -> Result<(), E> {
    nul_free(argv, options_from)?;
    for index in options_from + 1..argv.len() {
        let is_destination =
            argv.get(index - 1).is_some_and(|before| words.iter().any(|word| before.eq_ignore_ascii_case(word)));
        if is_destination {
            visit(KeyUse { index, access: Access::WRITE })?;
        }
    }
    Ok(())
}

/// `MIGRATE host port key|"" db timeout [COPY] [REPLACE] [AUTH password] [AUTH2 user password] [KEYS key…]`: the one
/// key, and everything behind the option KEYS (with both, the server refuses). Passwords may be called KEYS.
fn migrated<E: From<Unextractable>>(argv: &Argv<'_>, visit: &mut impl FnMut(KeyUse) -> Result<(), E>) -> Result<(), E> {
    const KEY: usize = 3;
    const OPTIONS: usize = 6;
    let access = Access::READ_WRITE;
    let mut index = OPTIONS;
    let mut keys = argv.len()..argv.len();
    while let Some(option) = argv.get(index) {
        let is = |word: &[u8]| option.eq_ignore_ascii_case(word);
        index += if is(b"copy") || is(b"replace") {
            1
        } else if is(b"auth") {
            2
        } else if is(b"auth2") {
            3
        } else if is(b"keys") {
            keys = index + 1..argv.len();
            break;
        } else {
            return Err(Unextractable.into());
        };
    }
    let single = argv.get(KEY).ok_or(Unextractable)?;
    if !single.is_empty() {
        visit(KeyUse { index: KEY, access })?;
    } else if keys.is_empty() {
        return Err(Unextractable.into());
    }
    keys.into_iter().try_for_each(|index| visit(KeyUse { index, access }))
}

/// The stream keys: the first half of what follows STREAMS. The server finds that word by reading the options, Redis's
/// key spec by the first occurrence; where the two differ (a consumer named STREAMS) the keys are not known.
fn streams(argv: &Argv<'_>, options_from: usize, streams_from: usize) -> Result<std::ops::Range<usize>, Unextractable> {
    let is = |index, word: &[u8]| argv.get(index).is_some_and(|a: &[u8]| a.eq_ignore_ascii_case(word));
    let mut index = options_from;
    while !is(index, b"streams") {
        index += if is(index, b"count") || is(index, b"block") {
            2
        } else if is(index, b"group") {
            3
        } else if is(index, b"noack") {
            1
        } else {
            return Err(Unextractable);
        };
    }
    if argv.iter_from(options_from).take_while(|(at, _)| *at < index).any(|(_, a)| memchr::memchr(0, a).is_some()) {
        return Err(Unextractable);
    }
    let by_spec = (streams_from..argv.len()).find(|&index| is(index, b"streams"));
    let first = index + 1;
    let rest = argv.len() - first;
    if by_spec != Some(index) || rest == 0 || !rest.is_multiple_of(2) {
        return Err(Unextractable);
    }
    Ok(first..first + rest / 2)
}

#[cfg(test)]
mod tests;

//! Where the keys are, for commands whose key specs say it exactly.

use std::borrow::Cow;
use std::ops::BitOr;

use super::argv::Argv;

/// What a key needs, or a pattern grants: reading, writing, both, or (a key only) nothing but to be named.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Access(u8);

impl Access {
    /// The key is named, neither its value read nor written: EXISTS, TYPE, WATCH.
    pub const NAME: Access = Access(0);
    /// Value returned or copied.
    pub const READ: Access = Access(1);
    /// Value inserted, updated or deleted.
    pub const WRITE: Access = Access(2);
    /// Both.
    pub const READ_WRITE: Access = Access(3);

    /// Everything in `needed` is granted here.
    #[inline]
    pub fn covers(self, needed: Access) -> bool {
        self.0 & needed.0 == needed.0
    }
}

impl BitOr for Access {
    type Output = Access;

    fn bitor(self, other: Access) -> Access {
        Access(self.0 | other.0)
    }
}

/// One key of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyUse {
    /// The argument that is the key.
    pub index: usize,
    /// What the command does with it.
    pub access: Access,
}

/// The keys could not be told from the arguments: whoever needs to know them must refuse.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unextractable;

/// How much of the request is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// All of it.
    Whole,
    /// The first [`decided_by`](super::CommandSpec::decided_by) arguments: where later ones could matter, the
    /// strictest reading holds.
    Prefix,
}

/// A key spec as COMMAND reports it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct KeySpec {
    /// [`K`] bits.
    pub(super) flags: u16,
    pub(super) begin: Begin,
    pub(super) find: Find,
}

/// begin_search: where the first argument of interest is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Begin {
    Index(usize),
    /// The argument after `word`, sought from `start_from` on (negative: from the end, backwards).
    Keyword {
        word: Cow<'static, str>,
        start_from: i32,
    },
    Unknown,
}

/// find_keys: which arguments from there on are keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Find {
    /// `last` is relative to the first (negative: to the end); of the rest only one part in `limit`.
    Range {
        last: i32,
        step: usize,
        limit: usize,
    },
    /// Argument `number` counts the keys, which begin at `first`, each `step` after the other.
    KeyNum {
        number: usize,
        first: usize,
        step: usize,
    },
    Unknown,
}

/// Flags of a key spec.
pub(super) struct K;

impl K {
    pub(super) const RO: u16 = 1;
    pub(super) const RW: u16 = 1 << 1;
    pub(super) const OW: u16 = 1 << 2;
    pub(super) const RM: u16 = 1 << 3;
    pub(super) const ACCESS: u16 = 1 << 4;
    pub(super) const UPDATE: u16 = 1 << 5;
    pub(super) const INSERT: u16 = 1 << 6;
    pub(super) const DELETE: u16 = 1 << 7;
    pub(super) const NOT_KEY: u16 = 1 << 8;
    pub(super) const INCOMPLETE: u16 = 1 << 9;
    pub(super) const VARIABLE_FLAGS: u16 = 1 << 10;

    /// By the name COMMAND gives it; `None` for one we do not know.
    pub(super) fn named(name: &str) -> Option<u16> {
        Some(match name {
            "RO" => K::RO,
            "RW" => K::RW,
            "OW" => K::OW,
            "RM" => K::RM,
            "access" => K::ACCESS,
            "update" => K::UPDATE,
            "insert" => K::INSERT,
            "delete" => K::DELETE,
            "not_key" => K::NOT_KEY,
            "incomplete" => K::INCOMPLETE,
            "variable_flags" => K::VARIABLE_FLAGS,
            _ => return None,
        })
    }
}

impl KeySpec {
    pub(super) fn is_key(&self) -> bool {
        self.flags & K::NOT_KEY == 0
    }

    /// The spec alone finds every key and says exactly how it is used.
    pub(super) fn is_exact(&self) -> bool {
        self.flags & (K::INCOMPLETE | K::VARIABLE_FLAGS) == 0
            && self.begin != Begin::Unknown
            && self.find != Find::Unknown
    }

    /// ACCESS needs reading; INSERT, UPDATE and DELETE need writing (Redis: `ACLSelectorCheckKey`).
    pub(super) fn access(&self) -> Access {
        let read = if self.flags & K::ACCESS != 0 { Access::READ } else { Access::NAME };
        let write = if self.flags & (K::UPDATE | K::INSERT | K::DELETE) != 0 { Access::WRITE } else { Access::NAME };
        read | write
    }

    /// The key, if there is always one and always there.
    pub(super) fn fixed_single(&self) -> Option<KeyUse> {
        match (&self.begin, &self.find) {
            (Begin::Index(index), Find::Range { last: 0, limit: 0, .. }) => {
                Some(KeyUse { index: *index, access: self.access() })
            }
            _ => None,
        }
    }

    /// The last argument that is a key, if neither keyword nor count nor length of the request move it.
    pub(super) fn fixed_last(&self) -> Option<usize> {
        match (&self.begin, &self.find) {
            (Begin::Index(first), Find::Range { last, limit: 0, .. }) => Some(first + usize::try_from(*last).ok()?),
            _ => None,
        }
    }

    /// Visits the keys of this spec.
    pub(super) fn try_keys<E: From<Unextractable>>(
        &self,
        argv: &Argv<'_>,
        empty_count: EmptyCount,
        visit: &mut impl FnMut(KeyUse) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(begin) = self.begin(argv)? else { return Ok(()) };
        let access = self.access();
        let argc = argv.len();
        match self.find {
            Find::Range { last, step, limit } => {
                let last = match usize::try_from(last) {
                    Ok(offset) => begin + offset,
                    Err(_) => last_from_end(argc, begin, last, limit)?,
                };
                if last < begin || last >= argc || step == 0 {
                    return Err(Unextractable.into());
                }
                (begin..=last).step_by(step).try_for_each(|index| visit(KeyUse { index, access }))
            }
            Find::KeyNum { number, first, step } => {
                let count = key_count(argv.get(begin + number))?;
                if count == 0 {
                    return match empty_count {
                        EmptyCount::Fine => Ok(()),
                        EmptyCount::Refused => Err(Unextractable.into()),
                    };
                }
                // The last key is in the request: bounds the loop by what was sent.
                let last = (count - 1).checked_mul(step).and_then(|offset| offset.checked_add(begin + first));
                match last {
                    Some(last) if last < argc && step > 0 => {
                        (begin + first..=last).step_by(step).try_for_each(|index| visit(KeyUse { index, access }))
                    }
                    _ => Err(Unextractable.into()),
                }
            }
            Find::Unknown => Err(Unextractable.into()),
        }
    }

    fn begin(&self, argv: &Argv<'_>) -> Result<Option<usize>, Unextractable> {
        let argc = argv.len();
        match &self.begin {
            Begin::Index(index) if *index < argc => Ok(Some(*index)),
            // PFMERGE with a destination alone: the rest of the arguments is empty.
            Begin::Index(index) if *index == argc && matches!(self.find, Find::Range { last: -1, limit: 0, .. }) => {
                Ok(None)
            }
            Begin::Index(_) | Begin::Unknown => Err(Unextractable),
            Begin::Keyword { word, start_from } => {
                let is_word = |index: &usize| argv.get(*index).is_some_and(|a| a.eq_ignore_ascii_case(word.as_bytes()));
                let found = match usize::try_from(*start_from) {
                    Ok(start) => {
                        nul_free(argv, start)?;
                        (start..argc).find(is_word)
                    }
                    Err(_) => {
                        nul_free(argv, 1)?;
                        let back = usize::try_from(start_from.unsigned_abs()).unwrap_or(usize::MAX);
                        (1..=argc.saturating_sub(back)).rev().find(is_word)
                    }
                };
                Ok(found.map(|index| index + 1))
            }
        }
    }
}

/// Whether a command may be told that it has no keys (EVAL), or calls that an error (LMPOP).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum EmptyCount {
    Fine,
    Refused,
}

/// The server compares option words as C strings: a NUL would end them early, and hide what follows.
pub(super) fn nul_free(argv: &Argv<'_>, first: usize) -> Result<(), Unextractable> {
    match argv.iter_from(first).any(|(_, argument)| memchr::memchr(0, argument).is_some()) {
        true => Err(Unextractable),
        false => Ok(()),
    }
}

/// A `last` below zero counts from the end; `limit` leaves one part of the rest, and the rest must divide evenly.
fn last_from_end(argc: usize, begin: usize, last: i32, limit: usize) -> Result<usize, Unextractable> {
    let back = usize::try_from(last.unsigned_abs()).map_err(|_| Unextractable)?;
    let rest = argc.checked_sub(begin).ok_or(Unextractable)?;
    if limit == 0 {
        return argc.checked_sub(back).ok_or(Unextractable);
    }
    if rest % limit != 0 {
        return Err(Unextractable);
    }
    (begin + rest / limit).checked_sub(back).ok_or(Unextractable)
}

/// A count of keys, as the server reads it (Redis: `string2ll`): decimal digits, no sign, no leading zero.
fn key_count(argument: Option<&[u8]>) -> Result<usize, Unextractable> {
    match argument.ok_or(Unextractable)? {
        b"0" => Ok(0),
        digits @ [b'1'..=b'9', ..] if digits.len() < 10 => digits.iter().try_fold(0, |count, digit| match digit {
            b'0'..=b'9' => Ok(count * 10 + usize::from(digit - b'0')),
            _ => Err(Unextractable),
        }),
        _ => Err(Unextractable),
    }
}

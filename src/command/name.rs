//! Finding a command by its name, in any case, without allocating.

use super::spec::{CommandId, CommandSpec};

/// No command or subcommand name is longer; longer input is not looked up.
const MAX_NAME: usize = 64;
const EMPTY: u16 = u16::MAX;

/// Open addressing over the table's specs; a slot holds a position in that table.
#[derive(Clone)]
pub(super) struct NameIndex {
    /// A power of two, at least four times the number of names: probing always meets an empty slot.
    slots: Box<[u16]>,
}

impl NameIndex {
    pub(super) fn build(specs: &[CommandSpec]) -> NameIndex {
        let mut index = NameIndex { slots: vec![EMPTY; (specs.len() * 4).next_power_of_two()].into() };
        for spec in specs {
            let mut slot = index.slot(spec.parent(), spec.name().as_bytes());
            while index.slots[slot] != EMPTY {
                slot = index.next(slot);
            }
            index.slots[slot] = spec.id().0;
        }
        index
    }

    /// The command `name` below `parent` (a container), or at the top.
    #[inline]
    pub(super) fn find<'t>(
        &self,
        specs: &'t [CommandSpec],
        parent: Option<CommandId>,
        name: &[u8],
    ) -> Option<&'t CommandSpec> {
        if name.len() > MAX_NAME {
            return None;
        }
        let mut slot = self.slot(parent, name);
        loop {
            let spec = specs.get(usize::from(self.slots[slot]))?;
            if spec.name().len() == name.len()
                && spec.parent() == parent
                && spec.name().as_bytes().eq_ignore_ascii_case(name)
            {
                return Some(spec);
            }
            slot = self.next(slot);
        }
    }

    #[inline]
    fn slot(&self, parent: Option<CommandId>, name: &[u8]) -> usize {
        let seed = parent.map_or(0, |id| u64::from(id.0) + 1);
        (folded_hash(seed, name) as usize) & (self.slots.len() - 1)
    }

    #[inline]
    fn next(&self, slot: usize) -> usize {
        (slot + 1) & (self.slots.len() - 1)
    }
}

/// Equal for names that differ in letter case only. It may also be equal for others: the caller compares the bytes.
#[inline]
fn folded_hash(seed: u64, name: &[u8]) -> u64 {
    const CASE: u64 = 0x2020_2020_2020_2020;
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = seed.wrapping_mul(MIX) ^ name.len() as u64;
    let (chunks, rest) = name.as_chunks::<8>();
    for chunk in chunks {
        hash = mix(hash ^ (u64::from_le_bytes(*chunk) | CASE), MIX);
    }
    mix(hash ^ (short(rest) | CASE), MIX)
}

/// Up to seven bytes as one number; they may be in it twice.
#[inline]
fn short(bytes: &[u8]) -> u64 {
    match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>(), bytes) {
        (Some(first), Some(last), _) => {
            u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
        }
        (_, _, [first, .., last]) => {
            u64::from(*first) | u64::from(bytes[bytes.len() / 2]) << 8 | u64::from(*last) << 16
        }
        (_, _, [only]) => u64::from(*only),
        _ => 0,
    }
}

#[inline]
fn mix(value: u64, by: u64) -> u64 {
    let product = u128::from(value) * u128::from(by);
    (product as u64) ^ ((product >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_ignores_letter_case() {
        assert_eq!(folded_hash(0, b"zrangebyscore"), folded_hash(0, b"ZRangeByScore"));
        assert_ne!(folded_hash(0, b"get"), folded_hash(1, b"get"));
    }
}

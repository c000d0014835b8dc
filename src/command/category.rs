//! ACL categories: the 21 every server has, and those an upstream adds.

use std::borrow::Cow;

/// The categories of Redis 7, in the order of `ACL CAT`.
pub(super) const BUILTIN: [&str; 21] = [
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

/// A set of categories; bits are given out by one table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Categories(pub(super) u64);

impl Categories {
    /// In no category.
    pub const NONE: Categories = Categories(0);

    /// Some category is in both sets.
    pub fn intersects(self, other: Categories) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) fn builtin(name: &str) -> Categories {
        BUILTIN.iter().position(|known| *known == name).map_or(Categories::NONE, |bit| Categories(1 << bit))
    }
}

impl std::ops::BitOr for Categories {
    type Output = Categories;

    fn bitor(self, other: Categories) -> Categories {
        Categories(self.0 | other.0)
    }
}

/// Category names in bit order.
#[derive(Clone)]
pub(super) struct CategoryNames(Vec<Cow<'static, str>>);

impl CategoryNames {
    pub(super) fn builtin() -> CategoryNames {
        CategoryNames(BUILTIN.iter().map(|name| Cow::Borrowed(*name)).collect())
    }

    /// `name` without its `@`, in any case.
    pub(super) fn find(&self, name: &[u8]) -> Option<Categories> {
        let bit = self.0.iter().position(|known| known.as_bytes().eq_ignore_ascii_case(name))?;
        Some(Categories(1 << bit))
    }

    /// The bit of `name`, made if there is none yet; `None` when all 64 are given out.
    pub(super) fn intern(&mut self, name: &str) -> Option<Categories> {
        self.find(name.as_bytes()).or_else(|| {
            let bit = self.0.len();
            (bit < 64).then(|| {
                self.0.push(Cow::Owned(name.to_ascii_lowercase()));
                Categories(1 << bit)
            })
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Categories)> {
        self.0.iter().enumerate().map(|(bit, name)| (name.as_ref(), Categories(1 << bit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case_and_unknown_ones_are_not() {
        let names = CategoryNames::builtin();
        assert_eq!(names.find(b"SortedSet"), Some(Categories::builtin("sortedset")));
        assert_eq!(names.find(b"json"), None);
    }

    #[test]
    fn a_sixty_fifth_category_is_not_given_a_bit() {
        let mut names = CategoryNames::builtin();
        for n in 0..43 {
            assert!(names.intern(&format!("extra{n}")).is_some());
        }
        assert_eq!(names.intern("one-too-many"), None);
        assert!(names.intern("extra0").is_some());
    }
}

//! Whether patterns match whatever others match, as far as that shows, without comparing each with each.

use std::cell::OnceCell;
use std::collections::HashSet;

use super::effort::Effort;
use super::pattern::Pattern;

/// Patterns to look others up in. What others match is matched by these where the same is written, or where a prefix and a `*`
/// stands for it: a prefix has no special characters, so a pattern that begins with it matches only what does.
pub(super) struct Cover<'a> {
    patterns: Vec<&'a Pattern>,
    texts: HashSet<&'a [u8]>,
    /// In order, without the `*`. None begins with another. Most often nobody asks for these.
    prefixes: OnceCell<Vec<&'a [u8]>>,
    effort: &'a Effort,
}

/// As many comparisons as it takes as long to look a text up, or to put it where it is found.
const LOOK_UP: u64 = 16;

/// Likewise, to say which of two texts comes first.
const ORDER: u64 = 4;

impl<'a> Cover<'a> {
    pub(super) fn of(patterns: impl Iterator<Item = &'a Pattern>, effort: &'a Effort) -> Cover<'a> {
        let patterns: Vec<&Pattern> = patterns.collect();
        effort.spend(LOOK_UP * patterns.len() as u64);
        let texts = patterns.iter().map(|pattern| pattern.text()).collect();
        Cover { patterns, texts, prefixes: OnceCell::new(), effort }
    }

    /// Whether the same is written.
    pub(super) fn has(&self, pattern: &Pattern) -> bool {
        self.effort.spend(LOOK_UP);
        self.texts.contains(pattern.text())
    }

    /// Whether these match whatever the pattern matches, as far as that shows.
    pub(super) fn covers(&self, pattern: &Pattern) -> bool {
        self.has(pattern) || self.holds_prefix_of(pattern.text())
    }

    /// No prefix can be one of it but the last of those that are not greater. The empty pattern matches what no `*` does.
    fn holds_prefix_of(&self, text: &[u8]) -> bool {
        let prefixes = self.prefixes.get_or_init(|| self.in_order());
        let behind = prefixes.partition_point(|prefix| {
            self.effort.spend(ORDER);
            *prefix <= text
        });
        !text.is_empty() && behind.checked_sub(1).is_some_and(|last| text.starts_with(prefixes[last]))
    }

    fn in_order(&self) -> Vec<&'a [u8]> {
        let mut prefixes: Vec<&[u8]> = self.patterns.iter().filter_map(|pattern| pattern.prefix()).collect();
        prefixes.sort_unstable_by(|one, other| {
            self.effort.spend(ORDER);
            one.cmp(other)
        });
        // Whatever begins with one comes right behind it.
        prefixes.dedup_by(|longer, prefix| longer.starts_with(prefix));
        prefixes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn patterns(texts: &[impl AsRef<[u8]>]) -> Vec<Pattern> {
        texts.iter().map(|text| Pattern::new(text.as_ref())).collect()
    }

    #[test]
    fn what_is_written_the_same_or_begins_with_a_prefix_is_covered() {
        let known = patterns(&["a:*", "a:b:*", "b", "c?", "c?*", "[d]*"]);
        let effort = Effort::default();
        let cover = Cover::of(known.iter(), &effort);
        for (text, is_covered) in [
            ("a:*", true),
            ("a:b:c", true),
            ("a:c*d", true),
            ("a:", true),
            ("a", false),
            ("a*", false),
            ("b", true),
            ("b*", false),
            ("c?", true),
            ("cd", false),
            ("[d]*", true),
            ("[d]*e", false),
            ("", false),
        ] {
            assert_eq!(cover.covers(&Pattern::new(text.as_bytes())), is_covered, "{text}");
        }
        let all = patterns(&["*"]);
        let all = Cover::of(all.iter(), &effort);
        assert!(all.covers(&Pattern::new(b"?a")) && !all.covers(&Pattern::new(b"")) && !all.has(&Pattern::new(b"?a")));
    }

    proptest! {
        #[test]
        fn it_says_what_comparing_each_with_each_says(
            known in prop::collection::vec("[ab]{0,4}[*?]?", 0..8),
            text in "[ab]{0,5}[*?]?",
        ) {
            let (effort, known, pattern) = (Effort::default(), patterns(&known), Pattern::new(text.as_bytes()));
            let begins = |prefix: &[u8]| !text.is_empty() && text.as_bytes().starts_with(prefix);
            let one_covers =
                |one: &Pattern| one.text() == pattern.text() || one.prefix().is_some_and(begins);
            prop_assert_eq!(Cover::of(known.iter(), &effort).covers(&pattern), known.iter().any(one_covers));
        }
    }
}

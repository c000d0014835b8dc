//! Redis's glob (`stringmatchlen`), iterative and bounded, compiled to the cheapest form that decides the same.

use super::effort::Effort;

/// Redis gives up on patterns that nest deeper.
const MAX_STARS: usize = 1000;

/// A compiled pattern.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Pattern {
    /// As written; also what PSUBSCRIBE is compared with, and what is listed.
    text: Box<[u8]>,
    form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Exact,
    /// The text without its final `*`.
    Prefix,
    General,
}

impl Pattern {
    pub(super) fn new(text: &[u8]) -> Pattern {
        let is_special = |b: &u8| matches!(b, b'*' | b'?' | b'[' | b'\\');
        let form = match text {
            literal if !literal.iter().any(is_special) => Form::Exact,
            [prefix @ .., b'*'] if !prefix.iter().any(is_special) => Form::Prefix,
            _ => Form::General,
        };
        Pattern { text: text.into(), form }
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// What stands before the final `*`, if nothing there is special.
    pub(super) fn prefix(&self) -> Option<&[u8]> {
        matches!(self.form, Form::Prefix).then(|| &self.text[..self.text.len() - 1])
    }

    /// An empty string matches the empty pattern only, not even `*`. What takes more than is left of `effort` does not match.
    #[inline]
    pub(super) fn matches(&self, string: &[u8], effort: &Effort) -> bool {
        match self.form {
            Form::Exact => *self.text == *string,
            Form::Prefix => !string.is_empty() && string.starts_with(&self.text[..self.text.len() - 1]),
            Form::General => glob(&self.text, string, effort),
        }
    }
}

/// One pass with one point of return: when the rest after a `*` fails, that `*` takes one byte more. An earlier `*`
/// never has to, because whatever a longer one could find, the later one has already tried.
fn glob(pattern: &[u8], string: &[u8], effort: &Effort) -> bool {
    if string.is_empty() {
        return pattern.is_empty();
    }
    let before = effort.left();
    let mut left = before;
    let matches = try_glob(pattern, string, &mut left);
    effort.spend(before - left);
    matches
}

/// `left` is what may still be compared.
fn try_glob(pattern: &[u8], string: &[u8], left: &mut u64) -> bool {
    let (mut at, mut index, mut stars) = (0, 0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while let Some(&byte) = string.get(index) {
        if *left == 0 {
            return false;
        }
        if pattern.get(at) == Some(&b'*') {
            at += pattern[at..].iter().take_while(|b| **b == b'*').count();
            if at == pattern.len() {
                return true;
            }
            stars += 1;
            if stars > MAX_STARS {
                return false;
            }
            retry = Some((at, index));
            continue;
        }
        let (next, is_taken) = element(pattern, at, byte);
        // A class is looked through to its end.
        *left = left.saturating_sub((next - at).max(1) as u64);
        if is_taken {
            at = next;
            index += 1;
        } else if let Some((after_star, start)) = retry {
            retry = Some((after_star, start + 1));
            at = after_star;
            index = start + 1;
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|b| *b == b'*')
}

/// Where the element after that at `at` (a byte, `?`, `\x` or a class, never `*`) starts, and whether it takes `byte`. At the end
/// there is none, and nothing is taken.
fn element(pattern: &[u8], at: usize, byte: u8) -> (usize, bool) {
    match pattern[at..] {
        [] => (at, false),
        [b'?', ..] => (at + 1, true),
        [b'[', ..] => class(pattern, at + 1, byte),
        [b'\\', escaped, ..] => (at + 2, escaped == byte),
        [literal, ..] => (at + 1, literal == byte),
    }
}

/// A class, `at` being behind its `[`. One that is not closed ends with the pattern.
fn class(pattern: &[u8], mut at: usize, byte: u8) -> (usize, bool) {
    let negated = pattern.get(at) == Some(&b'^');
    at += usize::from(negated);
    let mut found = false;
    loop {
        at += match pattern.get(at..).unwrap_or_default() {
            [] => break,
            [b'\\', escaped, ..] => {
                found |= *escaped == byte;
                2
            }
            [b']', ..] => {
                at += 1;
                break;
            }
            [low, b'-', high, ..] => {
                // Redis compares `char`s, which are signed on the machines it is built for.
                let (low, high, byte) = (low.cast_signed(), high.cast_signed(), byte.cast_signed());
                found |= (low.min(high)..=low.max(high)).contains(&byte);
                3
            }
            [literal, ..] => {
                found |= *literal == byte;
                1
            }
        };
    }
    (at, found != negated)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &[u8], string: &[u8]) -> bool {
        Pattern::new(pattern).matches(string, &Effort::default())
    }

    #[track_caller]
    fn assert_match(pattern: &[u8], matching: &[&[u8]], other: &[&[u8]]) {
        for string in matching {
            assert!(matches(pattern, string), "{pattern:?} should match {string:?}");
        }
        for string in other {
            assert!(!matches(pattern, string), "{pattern:?} should not match {string:?}");
        }
    }

    #[test]
    fn literal_text_matches_itself_alone() {
        assert_match(b"{a,b}", &[b"{a,b}"], &[b"a", b"{a,b}c", b""]);
        assert_match(b"", &[b""], &[b"a"]);
    }

    #[test]
    fn star_takes_anything_but_an_empty_string() {
        assert_match(b"*", &[b"a", b"a/b"], &[b""]);
        assert_match(b"app:*", &[b"app:", b"app:x"], &[b"app", b""]);
        assert_match(b"a*b*c", &[b"abc", b"axbxc", b"abbcbc"], &[b"ab", b"abcd"]);
        assert_match(b"**b", &[b"b", b"ab"], &[b"", b"ba"]);
    }

    #[test]
    fn question_mark_takes_one_byte() {
        assert_match(b"h?llo", &[b"hello", b"h\0llo"], &[b"hllo", b"heello"]);
    }

    #[test]
    fn classes_follow_redis_in_their_corners() {
        assert_match(b"[z-a]", &[b"m"], &[b"A"]);
        assert_match(b"[!b]", &[b"!", b"b"], &[b"a"]);
        assert_match(b"[^b]", &[b"!", b"a"], &[b"b"]);
        assert_match(b"[^]", &[b"a", b"]"], &[]);
        assert_match(b"[]]", &[], &[b"]", b"]]"]);
        assert_match(b"[a\\]]", &[b"]", b"a"], &[b"\\"]);
        assert_match(b"[a-\xff]", &[b"a", b"\xff"], &[b"b"]);
    }

    #[test]
    fn an_unclosed_class_is_tolerated() {
        assert_match(b"w[ab", &[b"wa", b"wb"], &[b"w", b"wc", b"wab"]);
        assert_match(b"[", &[], &[b"[", b""]);
        assert_match(b"[^", &[b"["], &[b""]);
        assert_match(b"[a-", &[b"a", b"-"], &[b"b"]);
    }

    #[test]
    fn a_backslash_takes_the_next_byte_literally_and_a_final_one_itself() {
        assert_match(b"f\\oo*", &[b"foo", b"foobar"], &[b"f\\oo"]);
        assert_match(b"a\\*c", &[b"a*c"], &[b"abc"]);
        assert_match(b"a\\", &[b"a\\"], &[b"a"]);
    }

    #[test]
    fn more_than_a_thousand_stars_match_nothing() {
        let long = "a".repeat(3000);
        let pattern = |stars: usize| "*a".repeat(stars) + "*";
        assert!(matches(pattern(999).as_bytes(), long.as_bytes()));
        assert!(!matches(pattern(1001).as_bytes(), long.as_bytes()));
    }

    #[test]
    fn a_hostile_pattern_ends_soon() {
        let string = "a".repeat(20_000);
        assert!(!matches("a*".repeat(900).as_bytes(), &string.as_bytes()[..800]));
        assert!(!matches(("a*".repeat(500) + "b").as_bytes(), string.as_bytes()));
    }

    #[test]
    fn effort_counts_each_comparison_again_where_a_star_takes_one_byte_more() {
        let spent = |pattern: &[u8], string: &[u8]| {
            let effort = Effort::default();
            let before = effort.left();
            let _ = Pattern::new(pattern).matches(string, &effort);
            before - effort.left()
        };
        assert_eq!((spent(b"abc", b"abc"), spent(b"a*", b"abc")), (0, 0), "these are no patterns to go through");
        assert_eq!(spent(b"?b", b"xyz"), 2);
        assert_eq!(spent(b"*[abcdefghij]z", b"xxxxx"), 5 * 12, "each byte with each of the class");
        let string = "a".repeat(1000);
        assert!((8_000..12_000).contains(&spent(b"*aaaaaaaab", string.as_bytes())));
    }

    /// The same by definition: every way to split the string among the elements is tried.
    fn by_definition(pattern: &[u8], string: &[u8]) -> bool {
        match (pattern, string) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => (0..=string.len()).any(|taken| by_definition(rest, &string[taken..])),
            ([], _) | (_, []) => false,
            ([_, ..], [byte, more @ ..]) => {
                let (next, is_taken) = element(pattern, 0, *byte);
                is_taken && by_definition(&pattern[next..], more)
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn one_pass_finds_what_trying_everything_finds(
            pattern in "[ab*?\\[\\]^\\\\-]{0,8}",
            string in "[ab\\]\\\\-]{1,8}",
        ) {
            let (pattern, string) = (pattern.as_bytes(), string.as_bytes());
            proptest::prop_assert_eq!(matches(pattern, string), by_definition(pattern, string));
        }
    }
}

//! Patterns of certificate rules.
//!
//! `*` is any run of bytes within one segment, `**` also crosses segments; everything else stands for itself.
//! A `*` that is a whole segment matches no empty one, so `spiffe://prod/sa/*` does not match `spiffe://prod/sa/`.

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Byte(u8),
    /// Exactly one byte that is not the separator.
    One,
    /// Any run of bytes without the separator.
    Run,
    /// Any run of bytes.
    Anything,
}

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(super) struct Glob {
    tokens: Vec<Token>,
    /// The byte that ends a segment; `None` where a field has no segments.
    separator: Option<u8>,
}

impl Glob {
    pub(super) fn new(pattern: &str, separator: Option<u8>) -> Glob {
        let bytes = pattern.as_bytes();
        let is_edge = |byte: Option<&u8>| byte.is_none() || byte.copied() == separator;
        let mut tokens = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if byte != b'*' {
                tokens.push(Token::Byte(byte));
                at += 1;
                continue;
            }
            let stars = bytes[at..].iter().take_while(|&&byte| byte == b'*').count();
            let whole_segment =
                is_edge(at.checked_sub(1).and_then(|before| bytes.get(before))) && is_edge(bytes.get(at + stars));
            if stars > 1 {
                tokens.push(Token::Anything);
            } else {
                if whole_segment {
                    tokens.push(Token::One);
                }
                tokens.push(Token::Run);
            }
            at += stars;
        }
        Glob { tokens, separator }
    }

    /// Whether the whole text matches. Time grows with pattern times text, never faster.
    pub(super) fn matches(&self, text: &str) -> bool {
        let mut reached = vec![false; self.tokens.len() + 1];
        reached[0] = true;
        self.skip_empty_runs(&mut reached);
        for &byte in text.as_bytes() {
            let mut next = vec![false; reached.len()];
            for (position, token) in self.tokens.iter().enumerate() {
                if !reached[position] {
                    continue;
                }
                let inside = Some(byte) != self.separator;
                match token {
                    Token::Byte(expected) => next[position + 1] |= *expected == byte,
                    Token::One => next[position + 1] |= inside,
                    Token::Run => next[position] |= inside,
                    Token::Anything => next[position] = true,
                }
            }
            self.skip_empty_runs(&mut next);
            reached = next;
        }
        reached[self.tokens.len()]
    }

    fn skip_empty_runs(&self, reached: &mut [bool]) {
        for (position, token) in self.tokens.iter().enumerate() {
            if reached[position] && matches!(token, Token::Run | Token::Anything) {
                reached[position + 1] = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(pattern: &str, text: &str) -> bool {
        Glob::new(pattern, Some(b'/')).matches(text)
    }

    #[test]
    fn a_star_stays_within_its_segment() {
        assert!(uri("spiffe://prod/ns/shop/sa/*", "spiffe://prod/ns/shop/sa/web"));
        assert!(!uri("spiffe://prod/ns/shop/sa/*", "spiffe://prod/ns/shop/sa/web/admin"));
        assert!(uri("spiffe://prod/ns/*/sa/web", "spiffe://prod/ns/shop/sa/web"));
        assert!(!uri("spiffe://prod/ns/*/sa/web", "spiffe://prod/ns/a/b/sa/web"));
    }

    #[test]
    fn two_stars_cross_segments() {
        assert!(uri("spiffe://prod/**", "spiffe://prod/ns/shop/sa/web"));
        assert!(!uri("spiffe://prod/**", "spiffe://prod.evil/ns/shop"));
    }

    #[test]
    fn a_star_that_is_a_whole_segment_matches_no_empty_one() {
        assert!(!uri("spiffe://prod/sa/*", "spiffe://prod/sa/"));
        assert!(!Glob::new("*.apps", Some(b'.')).matches(".apps"));
        assert!(uri("spiffe://prod/sa/web*", "spiffe://prod/sa/web"));
    }

    #[test]
    fn the_whole_text_must_match() {
        assert!(!uri("spiffe://prod", "spiffe://prod/x"));
        assert!(!uri("prod", "spiffe://prod"));
        assert!(!Glob::new("alice", None).matches("alicex"));
        assert!(Glob::new("alice", None).matches("alice"));
    }

    #[test]
    fn without_segments_one_star_matches_everything_but_nothing() {
        let any = Glob::new("*", None);
        assert!(any.matches("a/b.c"));
        assert!(!any.matches(""));
    }

    #[test]
    fn question_marks_brackets_and_backslashes_stand_for_themselves() {
        assert!(Glob::new("a?[b]\\", None).matches("a?[b]\\"));
        assert!(!Glob::new("a?", None).matches("ab"));
    }

    /// What the documentation says, word for word and without regard to cost.
    fn by_definition(pattern: &[u8], text: &[u8], at_start: bool) -> bool {
        let stars = pattern.iter().take_while(|&&byte| byte == b'*').count();
        let after = &pattern[stars..];
        match (stars, pattern.first()) {
            (0, None) => text.is_empty(),
            (0, Some(expected)) => {
                text.first() == Some(expected) && by_definition(&pattern[1..], &text[1..], *expected == b'/')
            }
            (1, _) => {
                let whole_segment = at_start && after.first().is_none_or(|byte| *byte == b'/');
                let longest = text.iter().take_while(|&&byte| byte != b'/').count();
                (usize::from(whole_segment)..=longest).any(|length| by_definition(after, &text[length..], false))
            }
            _ => (0..=text.len()).any(|length| by_definition(after, &text[length..], false)),
        }
    }

    proptest::proptest! {
        #[test]
        fn matching_is_what_the_definition_says(pattern in "[ab/*]{0,8}", text in "[ab/]{0,8}") {
            let expected = by_definition(pattern.as_bytes(), text.as_bytes(), true);
            proptest::prop_assert_eq!(uri(&pattern, &text), expected);
        }
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = "*a".repeat(100) + "b";
        assert!(!Glob::new(&pattern, None).matches(&"a".repeat(255)));
    }
}

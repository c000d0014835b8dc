//! A learnt name as a pattern of the ACL language.

/// What a learnt name is made of.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Piece {
    /// A part that was always the same, or one of few.
    Text(Box<[u8]>),
    /// What stands between two parts.
    Separator(u8),
    /// A part that is not told.
    Any(Unnamed),
}

impl Piece {
    /// What of it is told.
    pub(super) fn text(&self) -> &[u8] {
        match self {
            Piece::Text(text) => text,
            Piece::Separator(separator) => std::slice::from_ref(separator),
            Piece::Any(_) => &[],
        }
    }
}

/// Why a part is not told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Unnamed {
    /// There were too many in its place.
    Many,
    /// Its place was not seen often enough to know.
    Rare,
    /// There was no room for others in its place.
    NoRoom,
    /// It reads like a token, a number or an address.
    Odd,
}

/// The pattern of these pieces. What Redis reads as more than itself is escaped, and what cannot stand in a rule is any one
/// byte.
pub fn pattern(pieces: &[Piece]) -> String {
    let mut text = String::new();
    for (at, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Text(part) => escape(part, &mut text),
            Piece::Separator(separator) => escape(std::slice::from_ref(separator), &mut text),
            Piece::Any(_) if !has_text(&pieces[at..]) => {
                // All that follows is in this star, too.
                text.push('*');
                break;
            }
            Piece::Any(_) => text.push('*'),
        }
    }
    text
}

/// Whether a pattern of these pieces is bound to something that was seen: a part that is told stands before any that is not.
pub(super) fn begins_told(pieces: &[Piece]) -> bool {
    let before = pieces.split(|piece| matches!(piece, Piece::Any(_))).next();
    before.is_some_and(has_text)
}

/// Whether it stands for one name alone.
pub(super) fn is_exact(pieces: &[Piece]) -> bool {
    !pieces.iter().any(|piece| matches!(piece, Piece::Any(_)))
}

fn has_text(pieces: &[Piece]) -> bool {
    pieces.iter().any(|piece| matches!(piece, Piece::Text(text) if !text.is_empty()))
}

/// A name that fits the pattern, and, where a part is not told, hardly any other.
pub(super) fn sample(pieces: &[Piece]) -> Vec<u8> {
    // Longer than any run of `?` that somebody subscribes to.
    const FILLER: &[u8] = &[1; 33];
    let bytes = |piece: &'_ Piece| if let Piece::Any(_) = piece { FILLER.to_vec() } else { piece.text().to_vec() };
    pieces.iter().flat_map(bytes).collect()
}

fn escape(part: &[u8], text: &mut String) {
    for chunk in part.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                // `${` is refused in an ACL file, as it looks like a variable.
                '*' | '?' | '[' | ']' | '\\' => text.extend(['\\', c]),
                '{' if text.ends_with('$') => text.push_str("\\{"),
                c if c.is_ascii_graphic() || c.is_alphanumeric() => text.push(c),
                c => text.extend(std::iter::repeat_n('?', c.len_utf8())),
            }
        }
        text.extend(chunk.invalid().iter().map(|_| '?'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::Acl;
    use crate::command::{ArgvBuf, CommandTable, Dialect};

    fn text(part: &str) -> Piece {
        Piece::Text(part.as_bytes().into())
    }

    const COLON: Piece = Piece::Separator(b':');
    const ANY: Piece = Piece::Any(Unnamed::Many);

    #[test]
    fn parts_that_are_not_told_are_stars_and_at_the_end_one() {
        assert_eq!(pattern(&[text("user"), COLON, ANY, COLON, text("cart")]), "user:*:cart");
        assert_eq!(pattern(&[text("user"), COLON, ANY, COLON, ANY]), "user:*");
        assert_eq!(pattern(&[text("user")]), "user");
        assert_eq!(pattern(&[ANY, COLON, text("")]), "*");
    }

    #[test]
    fn only_a_told_part_before_the_first_star_binds_a_pattern() {
        assert!(begins_told(&[text("user"), COLON, ANY]));
        assert!(begins_told(&[text(""), COLON, text("a"), COLON, ANY]));
        for open in [vec![ANY], vec![ANY, COLON, text("cart")], vec![text(""), COLON, ANY]] {
            assert!(!begins_told(&open), "{open:?}");
        }
    }

    proptest::proptest! {
        /// Whatever bytes a client uses: the rule is accepted, matches the name, and nothing longer or shorter.
        #[test]
        fn the_pattern_of_a_name_matches_that_name_alone(
            name in proptest::collection::vec(proptest::prelude::any::<u8>(), 1..20),
            special in "[\\[\\]*?\\\\${}a-c^-]{1,12}",
        ) {
            let table = CommandTable::builtin(Dialect::Redis70);
            for name in [name.as_slice(), special.as_bytes()] {
                let rule = format!("~{}", pattern(&[Piece::Text(name.into())]));
                let acl = Acl::new(&table).set_user(b"bob", &[b"+@all", rule.as_bytes()], &table).unwrap();
                let line = acl.user(b"bob").unwrap().to_line(&table);
                let acl = Acl::parse(&line, &table).unwrap();
                let allows = |name: &[u8]| {
                    let argv = ArgvBuf::from_iter([b"GET".as_slice(), name]);
                    acl.user(b"bob").unwrap().check(table.by_name("get").unwrap(), &argv.as_argv(), Some(0)).is_ok()
                };
                proptest::prop_assert!(allows(name), "{}", rule);
                proptest::prop_assert!(!allows(&[name, b"x"].concat()), "{}", rule);
                proptest::prop_assert!(!allows(&name[1..]), "{}", rule);
            }
        }
    }
}

//! A name of a key or channel, taken apart.

use super::evidence::Evidence;

/// So many parts of a name are told apart; what follows is one more.
pub(super) const MOST_PARTS: usize = 8;

/// A longer part is never kept as it is.
pub(super) const LONGEST_PART: usize = 64;

/// One part of a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Part<'a> {
    /// Without the separators around it.
    pub(super) bytes: &'a [u8],
    /// The separator behind it; `None` at the end.
    pub(super) after: Option<u8>,
    /// It is what is left of a name that has more parts than are told apart.
    pub(super) is_rest: bool,
    /// The name, as far as it is looked at, and where the part begins in it.
    name: &'a [u8],
    start: usize,
}

impl<'n> Part<'n> {
    /// A name that is not taken apart.
    pub(super) fn whole(name: &'n [u8]) -> Part<'n> {
        Part { bytes: name, after: None, is_rest: false, name, start: 0 }
    }

    /// Whether it is one that is never kept as it is, however often it is seen.
    pub(super) fn is_unkept(&self) -> bool {
        self.is_rest || self.bytes.len() > LONGEST_PART
    }

    /// Whether it may be told: it reads like a word, where it stands.
    pub(super) fn is_admitted(&self, evidence: &Evidence) -> bool {
        let end = self.start + self.bytes.len();
        end <= self.name.len() && evidence.admits(self.name, self.start..end)
    }
}

/// What tells names with other separators apart: each run of the same one once, in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Outline {
    separators: [u8; MOST_PARTS],
    len: usize,
}

#[inline]
pub(super) fn is_separator(byte: u8) -> bool {
    matches!(byte, b':' | b'{' | b'}' | b'-' | b'.' | b'/' | b'|')
}

/// The parts of a name, at least one, and its outline.
#[inline]
pub(super) fn parts<'n>(name: &'n [u8], parts: &mut [Part<'n>; MOST_PARTS + 1]) -> (usize, Outline) {
    let mut outline = Outline::NONE;
    let (mut count, mut start) = (0, 0);
    // Of a long value only so much is looked at as can be told apart.
    let looked_at = &name[..name.len().min((LONGEST_PART + 1) * MOST_PARTS)];
    for (at, byte) in looked_at.iter().enumerate().filter(|(_, byte)| is_separator(**byte)) {
        if count == MOST_PARTS {
            break;
        }
        parts[count] = Part { bytes: &name[start..at], after: Some(*byte), is_rest: false, name: looked_at, start };
        count += 1;
        start = at + 1;
        outline.push(*byte);
    }
    let rest = &name[start..];
    let is_rest = rest.len() > LONGEST_PART || count == MOST_PARTS && rest.iter().any(|byte| is_separator(*byte));
    parts[count] = Part { bytes: rest, after: None, is_rest, name: looked_at, start };
    (count + 1, outline)
}

impl Part<'static> {
    /// To be overwritten.
    pub(super) const NONE: Self = Part { bytes: &[], after: None, is_rest: false, name: &[], start: 0 };
}

impl Outline {
    /// Of a name without separators, or one that is not taken apart.
    pub(super) const NONE: Self = Outline { separators: [0; MOST_PARTS], len: 0 };

    #[inline]
    fn push(&mut self, separator: u8) {
        if self.len == 0 || self.separators[self.len - 1] != separator {
            self.separators[self.len] = separator;
            self.len += 1;
        }
    }

    /// Of a name with these separators; what is behind the last that is told apart is left out.
    pub(super) fn of(separators: impl Iterator<Item = u8>) -> Outline {
        let mut outline = Outline::NONE;
        separators.take(MOST_PARTS).for_each(|separator| outline.push(separator));
        outline
    }

    /// As text.
    pub(super) fn text(&self) -> String {
        self.separators[..self.len].iter().copied().map(char::from).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(name: &str) -> Vec<(String, Option<char>)> {
        let mut room = [Part::NONE; MOST_PARTS + 1];
        let (count, _) = parts(name.as_bytes(), &mut room);
        let text = |part: &Part<'_>| String::from_utf8(part.bytes.to_vec()).unwrap();
        room[..count].iter().map(|part| (text(part), part.after.map(char::from))).collect()
    }

    #[test]
    fn a_name_is_split_at_each_separator() {
        let expected = [("_kombu", Some('.')), ("binding", Some('.')), ("", Some('{')), ("a", None)];
        assert_eq!(split("_kombu.binding.{a"), expected.map(|(part, after)| (part.to_owned(), after)));
        assert_eq!(split("celery"), [("celery".to_owned(), None)]);
        assert_eq!(split(""), [(String::new(), None)]);
    }

    #[test]
    fn what_is_behind_the_last_part_that_is_told_apart_is_one_part() {
        let split = split("a:b:c:d:e:f:g:h:i:j");
        assert_eq!(split.len(), MOST_PARTS + 1);
        assert_eq!(split[MOST_PARTS], ("i:j".to_owned(), None));
    }

    #[test]
    fn names_with_the_same_separators_in_runs_have_one_outline() {
        let outline = |name: &str| parts(name.as_bytes(), &mut [Part::NONE; MOST_PARTS + 1]).1;
        assert_eq!(outline("celery-task-meta-1-2"), outline("a-b"));
        assert_ne!(outline("1-2.reply"), outline("a-b"));
        assert_ne!(outline("a"), outline("a-b"));
    }

    #[test]
    fn a_rest_and_a_long_part_are_not_kept() {
        let is_unkept = |name: &str| {
            let mut room = [Part::NONE; MOST_PARTS + 1];
            let (count, _) = parts(name.as_bytes(), &mut room);
            room[count - 1].is_unkept()
        };
        assert!(is_unkept("a:b:c:d:e:f:g:h:i:j") && is_unkept(&"a".repeat(LONGEST_PART + 1)));
        assert!(!is_unkept("a:b:c:d:e:f:g:h:i") && !is_unkept(&"a".repeat(LONGEST_PART)) && !is_unkept(""));
    }
}

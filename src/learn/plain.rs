//! Whether part of a name reads like a word that people chose, or may be somebody's: a token, a number, an address.
//!
//! It goes by looks. What it takes for a secret is a `*` in a pattern; a secret that looks like a word, of small letters
//! alone, it does not know. Tokens, addresses and dates have dots and dashes in them, so a part is looked at together with
//! those that only these tell it from.

use std::ops::Range;

use super::part::is_separator;

const LONGEST_PART: usize = 32;

/// `internationalization` has as many.
const LONGEST_WORD: usize = 20;

/// As in `sha256`. A year has more, and a PIN.
const MOST_DIGITS: usize = 3;

/// Whether this part of a name, or the whole of it, may be written down: `cart`, `_kombu`, `userCart`, `oauth2`, `0`,
/// `__keyevent@0__`; but none of `ann.lee@example.org`, `203.0.113.7` or a UUID.
pub(super) fn is_plain(name: &[u8], part: Range<usize>) -> bool {
    let start = name[..part.start].iter().rposition(is_between_runs).map_or(0, |last| last + 1);
    let end = name[part.end..].iter().position(is_between_runs).map_or(name.len(), |first| part.end + first);
    let mut left = part.end - start;
    name[start..end].split(is_between_runs).all(|run| {
        let told = left.min(run.len());
        left = left.saturating_sub(run.len() + 1);
        is_plain_run(run, told)
    })
}

fn is_between_runs(byte: &u8) -> bool {
    is_separator(*byte) && !is_within_run(byte)
}

fn is_within_run(byte: &u8) -> bool {
    matches!(byte, b'-' | b'.')
}

/// Whether the last part of the first `told` bytes of a run is plain, which takes all before it to be.
fn is_plain_run(run: &[u8], told: usize) -> bool {
    let parts = || run.split(is_within_run).map(without_keyspace);
    let has_digits = run[..told].rsplit(is_within_run).next().is_some_and(|last| digits(last) > 0);
    !parts().any(|part| part.contains(&b'@'))
        && (!has_digits || parts().map(digits).sum::<usize>() <= MOST_DIGITS)
        && run[..told].split(is_within_run).all(is_plain_part)
}

fn digits(part: &[u8]) -> usize {
    part.iter().filter(|byte| byte.is_ascii_digit()).count()
}

fn is_plain_part(part: &[u8]) -> bool {
    let part = without_keyspace(part);
    part.len() <= LONGEST_PART
        && digits(part) <= MOST_DIGITS
        && part.split(|byte| is_between_words(*byte)).all(is_plain_word)
}

/// What Redis itself publishes changes of keys to: `__keyspace@0__` and `__keyevent@0__`.
fn without_keyspace(part: &[u8]) -> &[u8] {
    let database = [b"__keyspace@".as_slice(), b"__keyevent@"].into_iter().find_map(|prefix| part.strip_prefix(prefix));
    database.and_then(|rest| rest.strip_suffix(b"__")).unwrap_or(part)
}

/// Neither part of a word nor of a token in one of the Base64s, of an address, of a name with a blank, or of percents.
fn is_between_words(byte: u8) -> bool {
    byte.is_ascii() && !byte.is_ascii_alphanumeric() && !matches!(byte, b'@' | b'+' | b'=' | b'%' | b' ')
}

fn is_plain_word(word: &[u8]) -> bool {
    // `i18n`, `2fa`
    const SHORT: usize = 4;
    let is_short = word.len() <= SHORT && word.iter().all(u8::is_ascii_alphanumeric);
    is_short || word.len() <= LONGEST_WORD && !is_long_hex(word) && is_humps(without_number(word))
}

fn is_long_hex(word: &[u8]) -> bool {
    const LONG: usize = 8;
    word.len() >= LONG && word.iter().all(u8::is_ascii_hexdigit)
}

fn without_number(word: &[u8]) -> &[u8] {
    let end = word.iter().rposition(|byte| !byte.is_ascii_digit()).map_or(0, |last| last + 1);
    &word[..end]
}

/// Letters as in `cart`, `CART`, `userCart`, `UserCart` or `userID`.
fn is_humps(letters: &[u8]) -> bool {
    const MOST_HUMPS: usize = 4;
    const MOST_CAPITALS: usize = 12;
    let is_upper = |at: usize| letters[at].is_ascii_uppercase();
    let last_small = letters.iter().rposition(u8::is_ascii_lowercase).map_or(0, |last| last + 1);
    let humps = (0..last_small).filter(|at| is_upper(*at)).count();
    let is_hump = |at: usize| !is_upper(at) || !is_upper(at + 1);
    letters.iter().all(u8::is_ascii_alphabetic)
        && humps <= MOST_HUMPS
        && letters.len() - last_small <= MOST_CAPITALS
        && (0..last_small).all(is_hump)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_plain_name(name: &[u8]) -> bool {
        is_plain(name, 0..name.len())
    }

    /// What may be told of a name.
    fn told(name: &str) -> String {
        let mut told = String::new();
        let mut start = 0;
        for part in name.split_inclusive(|c: char| c.is_ascii() && is_separator(c as u8)) {
            let text = part.trim_end_matches(|c: char| c.is_ascii() && is_separator(c as u8));
            told += if is_plain(name.as_bytes(), start..start + text.len()) { text } else { "*" };
            told += &part[text.len()..];
            start += part.len();
        }
        told
    }

    #[test]
    fn what_dots_and_dashes_are_part_of_is_not_told_in_parts() {
        for (name, expected) in [
            ("mail:ann.lee@mail.example.org:cart", "mail:*.*.*.*:cart"),
            ("mail/made-up.ann@example", "mail/*-*.*"),
            ("rate:203.0.113.7:get", "rate:*.*.*.*:get"),
            ("day-2026-11-30-report", "day-*-*-*-*"),
            ("id:550e8400-e29b-41d4-abcd-446655440000", "id:*-*-*-*-*"),
            ("celery-task-meta-550e8400-e29b-41d4-abcd-446655440000", "celery-task-meta-*-*-*-*-*"),
            ("ssn:078-05-112", "ssn:*-*-*"),
            ("api:v1.2-beta", "api:v1.2-beta"),
            ("{17}:a-4711/b", "{17}:a-*/b"),
            ("__keyspace@0__:*", "__keyspace@0__:*"),
        ] {
            assert_eq!(told(name), expected);
        }
    }

    #[test]
    fn words_that_applications_name_things_with_are_plain() {
        for name in [
            "",
            "cart",
            "_kombu",
            "unacked_mutex",
            "celery_task_result_by_user",
            "userCart",
            "UserCart",
            "userIdMap",
            "userID",
            "CACHE",
            "NOTIFICATION",
            "v2",
            "oauth2",
            "sha256",
            "ipv6_addr",
            "k8s",
            "i18n",
            "2fa",
            "0",
            "404",
            "db15",
            "io#",
            "celery\x06\x163",
            "internationalization",
            "__keyspace@0__",
            "__keyevent@15__",
            "/0.celeryev/worker.*",
            "news:[a-z]*",
            "rq:wip:default",
            "$",
            "stalled-check",
        ] {
            assert!(is_plain_name(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn tokens_numbers_and_addresses_are_not() {
        for name in [
            "ann@example.org",
            "@",
            "2026",
            "4711",
            "441632960961",
            "+441632960961",
            "deadbeef",
            "cafebabe12",
            "9f86d081884c7d659a2feaa0c55ad015",
            "0189f7ea",
            "sk_live_51HxQ4d9",
            "AKIAIOSFODNN7EXAMPLE1",
            "xQzRtYbLmWkD",
            "JBSWY3DPEHPK3PXP",
            "eyJhbGciOiJIUzI1NiIs",
            "c2VjcmV0",
            "c2VjcmV0Cg==",
            "Ann Smith",
            "M%C3%BCller",
            "müller",
            "qwkjzxvpmnbtrlsdaeiouqw",
            "ghp_16C7e42F292c69",
            "a1b2_c3d4",
            "user:4711:cart",
            "mail.ann@example",
            "__keyspace@ann@example__",
            "\u{ff}",
        ] {
            assert!(!is_plain_name(name.as_bytes()), "{name}");
        }
        assert!(!is_plain_name(b"\xff\xfe"));
    }

    /// Fewer than one in a hundred, of tokens as programs draw them.
    #[test]
    fn random_tokens_hardly_ever_are() {
        let alphabets: [(&[u8], usize); 4] = [
            (b"0123456789abcdef", 16),
            (b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16),
            (b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", 16),
            (b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", 22),
        ];
        let mut state = 1_u64;
        let mut draw = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        for (alphabet, len) in alphabets {
            let passed = (0..10_000).filter(|_| {
                let token: Vec<u8> = (0..len).map(|_| alphabet[draw(alphabet.len())]).collect();
                is_plain_name(&token)
            });
            let passed = passed.count();
            assert!(passed < 100, "{passed} of 10000, of {}", String::from_utf8_lossy(alphabet));
        }
    }
}

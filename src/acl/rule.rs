//! What can be wrong with a rule, and how the words of a rule line become rules.

use std::fmt;

use super::texts::SHOWN;

/// What to do with rules that the table does not know, and another server's may.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unknown {
    /// They are errors, as in Redis.
    Refuse,
    /// Commands and categories are kept: they grant nothing until a table knows them
    /// ([`Acl::recompiled`](super::Acl::recompiled)).
    KeepNames,
    /// So are the rules of other dialects (`db=`): the selector they stand in grants nothing until the table has them.
    Keep,
}

/// A rule that was refused.
#[derive(Clone, PartialEq, Eq)]
pub struct RuleError {
    /// The rule as it was written. It may hold a password: for whoever wrote it, not for a log.
    pub token: String,
    /// What is wrong with it.
    pub kind: RuleErrorKind,
}

/// What is wrong with a rule. `Display` is Redis's wording.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RuleErrorKind {
    /// No rule looks like this.
    Syntax,
    /// A command, subcommand or category that the table does not know.
    UnknownName,
    /// A key pattern after `~*`.
    KeyAfterAllKeys,
    /// A channel pattern after `&*`.
    ChannelAfterAllChannels,
    /// A hash that is not 64 lower-case hexadecimal digits.
    BadHash,
    /// A password to remove that the user does not have.
    NoSuchPassword,
    /// `+config|get|x`.
    FirstArgumentOfSubcommand,
    /// A database number below 0 or above 2147483647.
    DatabaseOutOfRange,
    /// `(` without `)`.
    UnmatchedParenthesis,
    /// A user name that is empty, no UTF-8, or holds blanks or NUL.
    BadUserName,
    /// A user name of more than [`UserName::MOST`](super::UserName::MOST) bytes.
    LongUserName,
    /// A password that is empty.
    EmptyPassword,
    /// A password of more than [`LONGEST_PASSWORD`](super::LONGEST_PASSWORD) bytes, with which nobody could log in.
    LongPassword,
    /// `${NAME}`, which would be taken as it stands.
    Variable,
}

impl RuleError {
    pub(super) fn new(token: &[u8], kind: RuleErrorKind) -> RuleError {
        RuleError { token: String::from_utf8_lossy(token).into_owned(), kind }
    }

    /// The rule with nothing of a password in it; `None` where it begins as no rule does, and may be one.
    pub fn redacted_token(&self) -> Option<String> {
        let words: Vec<&str> = self.token.split(' ').collect();
        match words.as_slice() {
            [word] => is_like_a_rule(word).then(|| redacted(word)),
            words => {
                let shown = |word: &&str| if is_like_a_rule(word) { redacted(word) } else { "…".to_owned() };
                Some(words.iter().map(shown).collect::<Vec<_>>().join(" "))
            }
        }
    }
}

/// Words of the language that stand alone.
const KEYWORDS: [&str; 18] = [
    "on",
    "off",
    "nopass",
    "reset",
    "resetpass",
    "resetkeys",
    "resetchannels",
    "resetdbs",
    "allkeys",
    "allchannels",
    "allcommands",
    "alldbs",
    "nocommands",
    "clearselectors",
    "sanitize-payload",
    "skip-sanitize-payload",
    "user",
    "db=",
];

/// Whether this begins as rules do, or is a keyword with one letter wrong.
fn is_like_a_rule(word: &str) -> bool {
    let word = word.trim_matches(['(', ')']);
    let begins = |c: char| "+-~%&@><#!$".contains(c);
    word.is_empty()
        || word.starts_with(begins)
        || word.starts_with("db=")
        || KEYWORDS.iter().any(|keyword| is_one_slip_from(&word.to_ascii_lowercase(), keyword))
}

fn is_one_slip_from(word: &str, keyword: &str) -> bool {
    let (word, keyword) = (word.as_bytes(), keyword.as_bytes());
    let same = |(a, b): &(&u8, &u8)| a == b;
    let before = word.iter().zip(keyword).take_while(same).count();
    let (word, keyword) = (&word[before..], &keyword[before..]);
    let after = word.iter().rev().zip(keyword.iter().rev()).take_while(same).count();
    word.len().max(keyword.len()) - after <= 1
}

/// A rule with nothing of a password in it.
pub(super) fn redacted(rule: &str) -> String {
    // Also behind something else, where a blank was forgotten: `(>secret`, `+get>secret`.
    match rule.find(['>', '<', '#', '!', '$']) {
        Some(at) => format!("{}…", &rule[..=at]),
        None => rule.to_owned(),
    }
}

/// The reply to `ACL SETUSER`, without its `ERR`. Of a long rule it has the beginning.
impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            RuleErrorKind::UnmatchedParenthesis => write!(f, "{} starting at '{:.SHOWN$}'.", self.kind, self.token),
            RuleErrorKind::BadUserName | RuleErrorKind::LongUserName | RuleErrorKind::LongPassword => {
                write!(f, "{}", self.kind)
            }
            _ => write!(f, "Error in ACL SETUSER modifier '{:.SHOWN$}': {}", self.token, self.kind),
        }
    }
}

impl fmt::Debug for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.redacted_token().unwrap_or_else(|| "…".to_owned());
        f.debug_struct("RuleError").field("token", &token).field("kind", &self.kind).finish()
    }
}

impl std::error::Error for RuleError {}

impl fmt::Display for RuleErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RuleErrorKind::Syntax => "Syntax error",
            RuleErrorKind::UnknownName => "Unknown command or category name in ACL",
            RuleErrorKind::KeyAfterAllKeys => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any \
                 effect. Try 'resetkeys' to start with an empty list of patterns"
            }
            RuleErrorKind::ChannelAfterAllChannels => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any \
                 effect. Try 'resetchannels' to start with an empty list of channels"
            }
            RuleErrorKind::BadHash => {
                "The password hash must be exactly 64 characters and contain only lowercase hexadecimal \
                 characters"
            }
            RuleErrorKind::NoSuchPassword => "The password you are trying to remove from the user does not exist",
            RuleErrorKind::FirstArgumentOfSubcommand => "Allowing first-arg of a subcommand is not supported",
            RuleErrorKind::DatabaseOutOfRange => "The provided database ID is out of range",
            RuleErrorKind::UnmatchedParenthesis => "Unmatched parenthesis in acl selector",
            RuleErrorKind::LongUserName => "Usernames can't be longer than 128 bytes",
            RuleErrorKind::BadUserName => "Usernames can't contain spaces or null characters",
            RuleErrorKind::EmptyPassword => "The password is empty",
            RuleErrorKind::LongPassword => "Passwords can't be longer than 16384 bytes",
            RuleErrorKind::Variable => {
                "Variables like ${NAME} are not filled in here: write the value, or of a password its hash (respgate \
                 hash-password). A pattern that means the characters themselves has $\\{"
            }
        })
    }
}

/// Joins the words of each selector, `(+get`, `~a*)`, into one token (Redis: `ACLMergeSelectorArguments`).
pub(super) fn merge_selectors(words: &[&[u8]]) -> Result<Vec<Vec<u8>>, RuleError> {
    let mut rules: Vec<Vec<u8>> = Vec::with_capacity(words.len());
    let mut open: Option<(Vec<u8>, &[u8])> = None;
    for &word in words {
        let closes = word.ends_with(b")");
        match open.take() {
            None if word.starts_with(b"(") && !closes => open = Some((word.to_vec(), word)),
            None => rules.push(word.to_vec()),
            Some((mut selector, first)) => {
                selector.push(b' ');
                selector.extend_from_slice(word);
                if closes {
                    rules.push(selector);
                } else {
                    open = Some((selector, first));
                }
            }
        }
    }
    match open {
        None => Ok(rules),
        Some((_, first)) => Err(RuleError::new(first, RuleErrorKind::UnmatchedParenthesis)),
    }
}

/// What may be in no name and no pattern (C: `isspace`).
pub(super) fn has_blank(text: &[u8]) -> bool {
    text.iter().any(|b| matches!(b, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r' | 0))
}

/// Whether `${NAME}` or `${NAME:-default}` is in it. Nothing of the ACL language fills that in, and whoever writes
/// `>${REDIS_PASSWORD}` does not mean these very characters.
pub(super) fn holds_variable(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some(at) = rest.windows(2).position(|pair| pair == b"${") {
        rest = &rest[at + 2..];
        let name = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
        let is_name = rest.first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_');
        match &rest[name..] {
            [b'}', ..] if is_name => return true,
            [b':', b'-', default @ ..] if is_name && default.contains(&b'}') => return true,
            _ => {}
        }
    }
    false
}

/// Splits the inside of a selector at blanks, quoted as in Redis (`sdssplitargs`); `None` for unbalanced quotes.
pub(super) fn split_quoted(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    let is_blank = |b: u8| b.is_ascii_whitespace() || b == 0x0b;
    let mut words = Vec::new();
    let mut rest = text;
    loop {
        rest = &rest[rest.iter().take_while(|b| is_blank(**b)).count()..];
        if rest.is_empty() {
            return Some(words);
        }
        let mut word = Vec::new();
        loop {
            match *rest {
                [] => break,
                [b, ..] if is_blank(b) => break,
                [quote @ (b'"' | b'\''), ref quoted @ ..] => {
                    rest = quoted_part(quoted, quote, &mut word)?;
                    // A closing quote ends the word: what follows must be a blank or the end.
                    if rest.first().is_some_and(|b| !is_blank(*b)) {
                        return None;
                    }
                    break;
                }
                [b, ref after @ ..] => {
                    word.push(b);
                    rest = after;
                }
            }
        }
        words.push(word);
    }
}

/// Appends a quoted string to `word`; returns what follows its closing quote.
fn quoted_part<'a>(mut rest: &'a [u8], quote: u8, word: &mut Vec<u8>) -> Option<&'a [u8]> {
    let hex = |b: u8| char::from(b).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    loop {
        rest = match *rest {
            [] => return None,
            [b, ref after @ ..] if b == quote => return Some(after),
            [b'\\', b'\'', ref after @ ..] if quote == b'\'' => {
                word.push(b'\'');
                after
            }
            [b'\\', b'x', high, low, ref after @ ..] if quote == b'"' && hex(high).and(hex(low)).is_some() => {
                word.push(hex(high)? << 4 | hex(low)?);
                after
            }
            [b'\\', escaped, ref after @ ..] if quote == b'"' => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => other,
                });
                after
            }
            [b, ref after @ ..] => {
                word.push(b);
                after
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_selector_become_one_rule() {
        let rules = merge_selectors(&[b"on", b"(+get", b"~a*)", b"(+@all)"]).unwrap();
        assert_eq!(rules, [b"on".to_vec(), b"(+get ~a*)".to_vec(), b"(+@all)".to_vec()]);
    }

    #[test]
    fn an_open_parenthesis_names_the_word_it_is_in() {
        let error = merge_selectors(&[b"on", b"(+get", b"~a*"]).unwrap_err();
        assert_eq!(error.to_string(), "Unmatched parenthesis in acl selector starting at '(+get'.");
    }

    #[test]
    fn selectors_split_at_blanks_outside_quotes() {
        let split = |text: &[u8]| split_quoted(text);
        assert_eq!(split(b" +get\t ~a* "), Some(vec![b"+get".to_vec(), b"~a*".to_vec()]));
        assert_eq!(split(br#""~a\x41\n" '~\'b'"#), Some(vec![b"~aA\n".to_vec(), b"~'b".to_vec()]));
        assert_eq!(split(b"\"open"), None);
        assert_eq!(split(b"\"a\"b"), None);
    }

    #[test]
    fn a_variable_is_a_name_in_braces_behind_a_dollar() {
        for held in ["${X}", ">${REDIS_PASSWORD}", "~a${b_1}*", "${_:-}", "${X:-a b}", "$${X}", "${${X}"] {
            assert!(holds_variable(held.as_bytes()), "{held}");
        }
        for other in ["", "$", "${", "${}", "${1}", "${a", "${a-b}", "$a", "{a}", "$\\{a}", "${a:b}", "${a b}"] {
            assert!(!holds_variable(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn a_refused_password_is_shown_to_its_writer_only() {
        let error = RuleError::new(b"<secret", RuleErrorKind::NoSuchPassword);
        assert!(error.to_string().contains("secret"));
        assert!(!format!("{error:?}").contains("secret"));
        assert_eq!(error.redacted_token().as_deref(), Some("<…"));
    }

    #[test]
    fn only_what_begins_as_a_rule_or_is_nearly_a_keyword_is_shown() {
        let shown = |token: &[u8]| RuleError::new(token, RuleErrorKind::Syntax).redacted_token();
        for token in ["+gett", "-@nothing", "~", "%X~a", "&a", "@all", "nopas", "of", "RESETPASS1", "(+gett", "db=x"] {
            assert_eq!(shown(token.as_bytes()).as_deref(), Some(token));
        }
        for token in
            ["hunter2", "horse-battery", "\">hunter2\"", "argon2id$hunter2", "onhunter2", "(hunter2", "hunter2)"]
        {
            assert_eq!(shown(token.as_bytes()), None, "{token}");
        }
        assert_eq!(shown(b"(+get hunter2 >hunter2 ~a)").as_deref(), Some("(+get … >… ~a)"));
    }
}

//! Traces: what Redis is told of a command that was carried out here, so that its MONITOR and SLOWLOG know of it. Pure.
//!
//! A trace is the argument of an ECHO, `respgate:<signature> acl setuser * *`: the words of the command, with a `*` for each
//! that is not to be shown and a `+3` for three more at the end. What is relayed of MONITOR and SLOWLOG has the command in
//! its place again, as Redis would show it.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::command::{Argv, Role};

/// Redis cuts what is longer in its SLOWLOG.
const LONGEST: usize = 128;

const PREFIX: &str = "respgate:";

/// Bytes before the words.
const HEAD: usize = "respgate:0123456789abcdef ".len();

/// Redis's SLOWLOG shows no more words of a command, the last of which then says how many there are beyond.
const MOST_WORDS: usize = 32;

/// What stands for a word that is not to be shown: here, and where Redis shows it.
const HIDDEN: &str = "*";
const REDACTED: &str = "(redacted)";

/// Makes the traces of this process, and tells them from anything else. Each is signed with a key that nobody else has, so
/// that whoever has read others can make none.
pub(super) struct TraceKey(Hmac<Sha256>);

impl fmt::Debug for TraceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TraceKey")
    }
}

impl TraceKey {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes a key of any length"))
    }

    /// A trace as Redis is told it.
    pub(super) fn write(&self, trace: &Trace) -> String {
        self.sign(&trace.0)
    }

    pub(super) fn sign(&self, words: &str) -> String {
        let mut signature = [0; 8];
        signature.copy_from_slice(&self.signing(words).finalize().into_bytes()[..8]);
        format!("{PREFIX}{:016x} {words}", u64::from_be_bytes(signature))
    }

    /// A trace that Redis shows, if it is one of this process.
    pub(super) fn read(&self, text: &[u8]) -> Option<Trace> {
        let signed = text.strip_prefix(PREFIX.as_bytes()).filter(|_| text.len() <= LONGEST)?;
        let (signature, words) = std::str::from_utf8(signed).ok()?.split_once(' ')?;
        let (last, others) = words.rsplit_once(' ').map_or((words, None), |(others, last)| (last, Some(others)));
        let is_word = |word: &str| word == HIDDEN || is_plain(word.as_bytes());
        let is_rest = others.is_some() && last.strip_prefix('+').is_some_and(is_count);
        let is_whole = (is_word(last) || is_rest) && others.is_none_or(|others| others.split(' ').all(is_word));
        let is_form = is_whole && signature.len() == 16;
        let signature = u64::from_str_radix(signature, 16).ok().filter(|_| is_form)?;
        self.signing(words).verify_truncated_left(&signature.to_be_bytes()).ok()?;
        Some(Trace(words.into()))
    }

    fn signing(&self, words: &str) -> Hmac<Sha256> {
        self.0.clone().chain_update(words)
    }
}

/// The words of a command that may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trace(Box<str>);

impl Trace {
    /// Of a command that is carried out here. Nothing of a password is in it, nor of anything else that Redis redacts.
    pub(super) fn of(role: Role, argv: &Argv<'_>) -> Self {
        let count = if argv.len() > MOST_WORDS { MOST_WORDS - 1 } else { argv.len() };
        let rest = if argv.len() > count { format!(" +{}", argv.len() - count) } else { String::new() };
        let shown = shown(role, argv);
        // A blank and one byte is the least that a word takes.
        let mut room = LONGEST.saturating_sub(HEAD + 2 * count + rest.len());
        let word = |(index, word): (usize, &[u8])| {
            let text = std::str::from_utf8(word).ok().filter(|_| shown.contains(&index) && is_plain(word));
            let text = text.filter(|text| text.len() - 1 <= room).unwrap_or(HIDDEN);
            room -= text.len() - 1;
            text.to_owned()
        };
        let words: Vec<String> = argv.iter().take(count).enumerate().map(word).collect();
        Self((words.join(" ") + &rest).into())
    }

    /// Bytes of memory that it takes.
    pub(super) fn memory(&self) -> usize {
        self.0.len()
    }

    /// The command and its arguments, as Redis's SLOWLOG shows them.
    pub(super) fn words(&self) -> impl Iterator<Item = String> {
        self.0.split(' ').map(|word| match word.strip_prefix('+') {
            _ if word == HIDDEN => REDACTED.to_owned(),
            Some(count) => format!("... ({count} more arguments)"),
            None => word.to_owned(),
        })
    }

    /// Whether MONITOR shows the command: it does not where that is administrative [CMD_ADMIN].
    pub(super) fn is_monitored(&self) -> bool {
        let mut words = self.0.split(' ').map(str::to_ascii_lowercase);
        words.next().as_deref() != Some("acl")
            || matches!(words.next().as_deref(), Some("cat" | "genpass" | "help" | "whoami"))
    }
}

/// Which words are shown, by index.
fn shown(role: Role, argv: &Argv<'_>) -> Vec<usize> {
    match role {
        Role::Acl => vec![0, 1],
        Role::Hello => shown_of_hello(argv),
        _ => vec![0],
    }
}

/// Words are known by their places, never by what they look like: a password may be `SETNAME`.
fn shown_of_hello(argv: &Argv<'_>) -> Vec<usize> {
    let mut shown = vec![0];
    if let Some([b'0'..=b'9']) = argv.get(1) {
        shown.push(1);
    }
    let mut at = 2;
    while let Some(option) = argv.get(at).filter(|_| at < MOST_WORDS) {
        if option.eq_ignore_ascii_case(b"auth") {
            shown.push(at);
            at += 3;
        } else if option.eq_ignore_ascii_case(b"setname") {
            shown.extend([at, at + 1]);
            at += 2;
        } else {
            break;
        }
    }
    shown
}

/// Whether a word is shown as it is, in quotes or not. None is like what stands for others.
fn is_plain(word: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._:-".contains(byte);
    !word.is_empty() && word.iter().all(is_plain)
}

fn is_count(text: &str) -> bool {
    text.parse::<u32>().is_ok_and(|count| count > 0 && count.to_string() == text)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::command::ArgvBuf;

    fn key() -> TraceKey {
        TraceKey::new(&[7; 32])
    }

    fn trace(role: Role, words: &[&[u8]]) -> Trace {
        Trace::of(role, &words.iter().copied().collect::<ArgvBuf>().as_argv())
    }

    fn said(line: &str) -> Trace {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let role = match words[0].to_ascii_lowercase().as_slice() {
            b"acl" => Role::Acl,
            b"hello" => Role::Hello,
            _ => Role::Auth,
        };
        trace(role, &words)
    }

    #[test]
    fn names_and_keywords_are_shown_as_they_were_typed_and_arguments_are_not() {
        for (line, words) in [
            ("auth", "auth"),
            ("Auth secret", "Auth *"),
            ("AUTH alice secret", "AUTH * *"),
            ("AUTH a b c d", "AUTH * * * *"),
            ("acl whoami", "acl whoami"),
            ("ACL SetUser alice on >secret", "ACL SetUser * * *"),
            ("ACL GETUSER alice", "ACL GETUSER *"),
            ("hello 3", "hello 3"),
            ("hello 2 AUTH alice secret", "hello 2 AUTH * *"),
            ("HELLO 3 setname app-1 auth alice secret", "HELLO 3 setname app-1 auth * *"),
            ("HELLO 3 SETNAME a*b", "HELLO 3 SETNAME *"),
        ] {
            assert_eq!(&*said(line).0, words, "{line}");
        }
    }

    #[test]
    fn a_password_in_the_place_of_something_else_is_not_shown() {
        for line in [
            "HELLO secret",
            "HELLO AUTH alice secret",
            "HELLO alice secret",
            "HELLO 3 alice secret",
            "HELLO 3 AUTH secret",
            "HELLO 3 AUTH SETNAME secret",
            "HELLO 3 AUTH alice SETNAME secret",
            "HELLO 3 AUTH alice x secret",
            "HELLO 3 SETNAME AUTH alice secret",
            "HELLO 3 SETNAME x secret",
            "AUTH AUTH secret secret",
            "ACL SETUSER secret",
        ] {
            assert!(!said(line).0.contains("secret"), "{line}");
        }
    }

    #[test]
    fn what_redis_would_show_is_found_again() {
        let key = key();
        let text = key.write(&said("HELLO 2 AUTH alice secret"));
        assert!(text.starts_with("respgate:") && text[HEAD..] == *"HELLO 2 AUTH * *", "{text}");
        let words: Vec<_> = key.read(text.as_bytes()).unwrap().words().collect();
        assert_eq!(words, ["HELLO", "2", "AUTH", "(redacted)", "(redacted)"]);
    }

    #[test]
    fn of_many_arguments_as_many_are_counted_as_in_the_slowlog_of_redis() {
        let words = |count: usize| -> Vec<String> { said(&vec!["ACL"; count].join(" ")).words().collect() };
        assert_eq!(words(32), [vec!["ACL"; 2], vec!["(redacted)"; 30]].concat());
        assert_eq!(words(33), [vec!["ACL"; 2], vec!["(redacted)"; 29], vec!["... (2 more arguments)"]].concat());
    }

    #[test]
    fn only_what_monitor_shows_of_redis_own_commands_is_monitored() {
        for line in ["AUTH x", "HELLO 3 AUTH a b", "acl whoami", "ACL CAT x", "ACL GENPASS", "ACL help"] {
            assert!(said(line).is_monitored(), "{line}");
        }
        for line in ["ACL SETUSER a", "acl deluser a", "ACL LIST", "ACL LOG RESET", "Acl Load", "ACL DRYRUN a get"] {
            assert!(!said(line).is_monitored(), "{line}");
        }
    }

    #[test]
    fn what_no_trace_looks_like_is_not_read() {
        let key = key();
        for words in ["", " ", "a ", " a", "a  b", "a +0", "a +01", "a +x", "+3", "a +3 b", "a \"b", "a \u{e9}", "a,b"]
        {
            assert_eq!(key.read(key.sign(words).as_bytes()), None, "{words}");
        }
        let long = "a".repeat(102);
        assert!(key.read(key.sign(&long).as_bytes()).is_some());
        assert!(key.read(key.sign(&(long + "a")).as_bytes()).is_none());
    }

    #[test]
    fn whoever_has_read_a_trace_can_make_no_other() {
        let text = key().sign("acl setuser *");
        assert!(key().read(text.as_bytes()).is_some());
        for other in [text.replace("setuser", "deluser"), format!("{text} *"), text.replace("respgate:", "respgate:0")]
        {
            assert_eq!(key().read(other.as_bytes()), None, "{other}");
        }
        assert_eq!(TraceKey::new(&[8; 32]).read(text.as_bytes()), None, "of another process");
    }

    fn word() -> impl Strategy<Value = Vec<u8>> {
        let known = prop_oneof!["auth", "SETNAME", "[23]", "acl", "\\*", "\\+3", "[a-z.:-]{1,200}"];
        prop_oneof![known.prop_map(String::into_bytes), vec(any::<u8>(), 0..40)]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_and_fits_into_the_slowlog(
            role in prop_oneof![Just(Role::Auth), Just(Role::Hello), Just(Role::Acl)],
            words in vec(word(), 1..80),
        ) {
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            let (trace, key) = (trace(role, &words), key());
            let text = key.write(&trace);
            prop_assert!(text.len() <= LONGEST);
            prop_assert_eq!(trace.words().count(), words.len().min(MOST_WORDS));
            prop_assert_eq!(key.read(text.as_bytes()), Some(trace));
        }

        #[test]
        fn what_a_client_wrote_is_not_read(signature in any::<u64>(), words in "[ -~]{0,100}") {
            let key = key();
            prop_assert_eq!(key.read(format!("respgate:{signature:016x} {words}").as_bytes()), None);
            prop_assert_eq!(key.read(words.as_bytes()), None);
            prop_assert_eq!(key.read(format!("{words} {}", key.sign("auth *")).as_bytes()), None);
        }
    }
}

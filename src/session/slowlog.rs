//! The reply to SLOWLOG GET, with the commands in place of their [traces](super::trace). Pure: a reply in, a reply out.
//! Entries without a trace stay as they are, byte for byte.

use super::trace::TraceKey;
use crate::resp::{encode_request, parse_integer};

/// A larger reply is passed on as it comes.
pub(super) const LARGEST: usize = 1 << 20;

/// The reply with the commands that were carried out here, whose traces were left under this name of ECHO; `None` if there
/// is none in it, or if it is no reply to SLOWLOG GET.
pub(super) fn rewrite(key: &TraceKey, echo: &[u8], reply: &[u8]) -> Option<Vec<u8>> {
    let mut rest = Rest(reply);
    let mut rewritten = Vec::with_capacity(reply.len());
    let mut copied = 0;
    for _ in 0..rest.count(b'*')? {
        // The number of the entry, its time and its duration; its command; the client's address and name.
        let fields = rest.count(b'*')?;
        (0..3).try_for_each(|_| rest.line(b':').map(drop))?;
        let command = reply.len() - rest.0.len();
        let words = (0..rest.count(b'*')?).map(|_| rest.bulk()).collect::<Option<Vec<_>>>()?;
        if let [name, text] = words.as_slice()
            && *name == echo
            && let Some(trace) = key.read(text)
        {
            rewritten.extend_from_slice(&reply[copied..command]);
            encode_request(&trace.words().collect::<Vec<_>>(), &mut rewritten);
            copied = reply.len() - rest.0.len();
        }
        (4..fields).try_for_each(|_| rest.bulk().map(drop))?;
    }
    if copied == 0 || !rest.0.is_empty() {
        return None;
    }
    rewritten.extend_from_slice(&reply[copied..]);
    Some(rewritten)
}

/// What is still to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    /// What is written on a line of this kind.
    fn line(&mut self, kind: u8) -> Option<&'a [u8]> {
        let end = memchr::memchr(b'\n', self.0)?;
        let (line, rest) = self.0.split_at(end + 1);
        self.0 = rest;
        line.strip_prefix(&[kind])?.strip_suffix(b"\r\n")
    }

    fn count(&mut self, kind: u8) -> Option<usize> {
        parse_integer(self.line(kind)?)?.try_into().ok()
    }

    fn bulk(&mut self) -> Option<&'a [u8]> {
        let len = self.count(b'$')?;
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest.strip_prefix(b"\r\n")?;
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn key() -> TraceKey {
        TraceKey::new(&[7; 32])
    }

    fn trace() -> String {
        key().sign("acl setuser * *")
    }

    fn array(words: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_request(words, &mut bytes);
        bytes
    }

    fn entry(words: &[&str]) -> Vec<u8> {
        [b"*6\r\n:7\r\n:1700000000\r\n:12\r\n", array(words).as_slice(), b"$11\r\n127.0.0.1:1\r\n$3\r\napp\r\n"]
            .concat()
    }

    fn reply(entries: &[&[&str]]) -> Vec<u8> {
        let entries: Vec<_> = entries.iter().map(|words| entry(words)).collect();
        [format!("*{}\r\n", entries.len()).into_bytes(), entries.concat()].concat()
    }

    fn rewritten(reply: &[u8]) -> Option<Vec<u8>> {
        rewrite(&key(), b"ECHO", reply)
    }

    #[test]
    fn the_commands_stand_in_place_of_their_traces_and_the_rest_stays() {
        let command: &[&str] = &["acl", "setuser", "(redacted)", "(redacted)"];
        let before = reply(&[&["ping"], &["ECHO", &trace()], &["ECHO", "x"], &["ECHO", &trace()]]);
        let after = reply(&[&["ping"], command, &["ECHO", "x"], command]);
        assert_eq!(rewritten(&before), Some(after));
    }

    #[test]
    fn the_entries_of_older_and_newer_servers_are_read() {
        let fields = |count: usize, words: &[&str]| {
            let more = b"$1\r\nx\r\n".repeat(count - 4);
            [format!("*1\r\n*{count}\r\n:1\r\n:2\r\n:3\r\n").into_bytes(), array(words), more].concat()
        };
        for count in [4, 6, 7] {
            let text = key().sign("auth *");
            assert_eq!(rewritten(&fields(count, &["ECHO", &text])), Some(fields(count, &["auth", "(redacted)"])));
        }
    }

    #[test]
    fn what_is_no_trace_stays() {
        for words in [
            &["echo", &trace()][..],
            &["SET", &trace()],
            &["ECHO", &trace(), "x"],
            &["SET", "ECHO", &trace()],
            &["ECHO", "respgate:0000000000000008 acl setuser * *"],
        ] {
            assert_eq!(rewritten(&reply(&[words])), None, "{words:?}");
        }
    }

    #[test]
    fn a_reply_of_another_form_stays() {
        let whole = reply(&[&["ECHO", &trace()]]);
        for end in 0..whole.len() {
            assert_eq!(rewritten(&whole[..end]), None, "{end}");
        }
        for reply in [&b"-ERR no\r\n"[..], b"*0\r\n", b"*-1\r\n", b"_\r\n", &[&whole, &b":1\r\n"[..]].concat()] {
            assert_eq!(rewritten(reply), None, "{}", reply.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn entries_without_a_trace_stay_whatever_is_in_them(
            before in vec(vec(".{0,20}", 0..4), 0..4),
            after in vec(vec(".{0,20}", 0..4), 0..4),
        ) {
            let with = |words: &[&str]| {
                let others = |all: &[Vec<String>]| -> Vec<u8> {
                    let words = all.iter().map(|all| all.iter().map(String::as_str).collect::<Vec<_>>());
                    words.flat_map(|words| entry(&words)).collect()
                };
                let count = format!("*{}\r\n", before.len() + 1 + after.len()).into_bytes();
                [count, others(&before), entry(words), others(&after)].concat()
            };
            let expected = with(&["acl", "setuser", "(redacted)", "(redacted)"]);
            prop_assert_eq!(rewritten(&with(&["ECHO", &trace()])), Some(expected));
        }

        #[test]
        fn no_bytes_are_read_as_something_that_they_are_not(reply in vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(rewritten(&reply), None);
        }
    }
}

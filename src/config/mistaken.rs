//! Files of another kind, named by mistake: what is wrong is said before anything of them could be shown.

use std::fmt;

/// What a file is that is no text of ours, nor of Redis's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mistaken {
    Pem,
    Binary,
}

/// What a file plainly is, where that is not what it should be.
pub(super) fn mistaken(text: &[u8]) -> Option<Mistaken> {
    let begins_pem = |line: &[u8]| line.trim_ascii_start().starts_with(b"-----BEGIN");
    if text.split(|byte| *byte == b'\n').any(begins_pem) {
        return Some(Mistaken::Pem);
    }
    text.contains(&0).then_some(Mistaken::Binary)
}

impl fmt::Display for Mistaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mistaken::Pem => "this is PEM, a certificate or a key",
            Mistaken::Binary => "this is binary",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_kind_is_told_by_its_content() {
        for (text, expected) in [
            ("-----BEGIN CERTIFICATE-----\nMII\n", Some(Mistaken::Pem)),
            ("subject=CN = a\r\n  -----BEGIN PRIVATE KEY-----\r\n", Some(Mistaken::Pem)),
            ("0\u{82}\0", Some(Mistaken::Binary)),
            ("# -----BEGIN\nbind 127.0.0.1\n", None),
            ("", None),
        ] {
            assert_eq!(mistaken(text.as_bytes()), expected, "{text:?}");
        }
    }
}

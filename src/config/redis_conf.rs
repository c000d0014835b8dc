//! The lines of a redis.conf that say what commands are called, read as Redis reads them [loadServerConfigFromString].
//! Pure. Nothing here shows what it read: new names are meant to stay unknown, and a file given by mistake may be a key.

use std::fmt;
use std::path::{Path, PathBuf};

use super::error::ConfigError;

/// A redis.conf with all that it includes. No `Debug`: there may be passwords in it.
#[derive(Clone, Default)]
pub struct RedisConfText {
    /// Every line that sets something, in the order in which Redis reads them: the last of a name counts.
    pub lines: Vec<RedisConfLine>,
    /// What commands are called, by their own names in capitals: the bytes of the new name, none where it is disabled.
    pub renames: Vec<(String, Vec<u8>)>,
    /// What is wrong with it.
    pub errors: Vec<ConfigError>,
}

/// A line of a redis.conf that sets something, as Redis reads it. No `Debug`: it may hold a password.
#[derive(Clone)]
pub struct RedisConfLine {
    /// What it sets, in lower case.
    pub name: String,
    /// The rest of its words, without their quotes.
    pub values: Vec<Vec<u8>>,
    /// The file, which may be one that is included.
    pub path: PathBuf,
    /// From 1.
    pub number: usize,
}

impl RedisConfLine {
    /// The rest of its words, with blanks between.
    pub fn value(&self) -> String {
        String::from_utf8_lossy(&self.values.join(&b' ')).into_owned()
    }
}

/// One line, and where it begins.
pub(super) struct Line {
    pub(super) path: PathBuf,
    /// From 1.
    pub(super) number: usize,
    pub(super) content: Vec<u8>,
}

/// What a line says, as far as it has to do with the names of commands. No `Debug`: it may hold one.
#[derive(PartialEq, Eq)]
pub(super) enum Directive {
    /// `rename-command`; the name is empty where the command is disabled.
    Rename { original: Vec<u8>, name: Vec<u8> },
    /// `include`: a path or a pattern of paths.
    Include(Vec<u8>),
    /// `dir`: where relative paths start from here on.
    Directory(Vec<u8>),
    /// Anything else.
    Other,
}

/// Why Redis would not take a line either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineFault {
    UnbalancedQuotes,
    /// So many arguments the directive takes.
    WrongNumberOfArguments(&'static str),
    NoDirective,
}

/// The lines of files that Redis reads as one, because one `include` names them all: where a file does not end with a
/// newline, its last line goes on in the next.
pub(super) fn lines<'a>(files: impl IntoIterator<Item = (&'a Path, &'a [u8])>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for (path, text) in files {
        for (index, content) in text.split(|byte| *byte == b'\n').enumerate() {
            match lines.pop_if(|_| index == 0) {
                Some(mut open) if !open.content.is_empty() => {
                    open.content.extend_from_slice(content);
                    lines.push(open);
                }
                _ => lines.push(Line { path: path.to_owned(), number: index + 1, content: content.to_owned() }),
            }
        }
    }
    lines
}

impl Line {
    /// What it sets; `None` where it is a comment, or none at all.
    pub(super) fn setting(&self) -> Option<RedisConfLine> {
        let mut words = words(&self.content)?.into_iter();
        let name = String::from_utf8(words.next()?).ok()?.to_ascii_lowercase();
        let is_comment = name.starts_with('#');
        let (path, number) = (self.path.clone(), self.number);
        (!is_comment).then(|| RedisConfLine { name, values: words.collect(), path, number })
    }
}

/// What a line says.
pub(super) fn directive(line: &[u8]) -> Result<Directive, LineFault> {
    if line.iter().find(|byte| !b" \t\r".contains(byte)) == Some(&b'#') {
        return Ok(Directive::Other);
    }
    let words = words(line).ok_or(LineFault::UnbalancedQuotes)?;
    let Some((directive, arguments)) = words.split_first() else { return Ok(Directive::Other) };
    match (directive.to_ascii_lowercase().as_slice(), arguments) {
        (b"rename-command", [original, name]) => {
            Ok(Directive::Rename { original: original.clone(), name: name.clone() })
        }
        (b"rename-command", _) => {
            Err(LineFault::WrongNumberOfArguments("rename-command takes a command and its new name"))
        }
        (b"include", [path]) => Ok(Directive::Include(path.clone())),
        (b"include", _) => Err(LineFault::WrongNumberOfArguments("include takes one path")),
        (b"dir", [path]) => Ok(Directive::Directory(path.clone())),
        (b"dir", _) => Err(LineFault::WrongNumberOfArguments("dir takes one path")),
        (other, _) if is_directive(other) => Ok(Directive::Other),
        _ => Err(LineFault::NoDirective),
    }
}

/// Those of modules have a dot in them.
fn is_directive(word: &[u8]) -> bool {
    word.first().is_some_and(u8::is_ascii_alphabetic)
        && word.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

/// The words of a line, without their quotes [sdssplitargs]. Quotes may begin inside a word, and end it. `None` where they
/// do not balance.
fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        rest = &rest[rest.iter().take_while(|byte| is_space(**byte)).count()..];
        if rest.is_empty() {
            return Some(words);
        }
        let mut word = Vec::new();
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            match byte {
                b' ' | b'\r' | b'\t' => break,
                b'"' | b'\'' => {
                    rest = quoted(byte, rest, &mut word)?;
                    if rest.first().is_some_and(|byte| !is_space(*byte)) {
                        return None;
                    }
                    break;
                }
                _ => word.push(byte),
            }
        }
        words.push(word);
    }
}

/// Appends what stands before the closing quote, and returns what follows it.
fn quoted<'a>(quote: u8, mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, length) = match (quote, rest) {
            (b'"', [b'\\', b'x', high, low, ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex(*high) << 4 | hex(*low), 4)
            }
            (b'"', [b'\\', escaped, ..]) => (unescaped(*escaped), 2),
            (b'\'', [b'\\', b'\'', ..]) => (b'\'', 2),
            (_, [byte, after @ ..]) if *byte == quote => return Some(after),
            (_, [byte, ..]) => (*byte, 1),
            (_, []) => return None,
        };
        word.push(byte);
        rest = &rest[length..];
    }
}

fn unescaped(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

fn hex(digit: u8) -> u8 {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap_or(0)
}

/// As C's isspace.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

impl fmt::Display for LineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LineFault::UnbalancedQuotes => "unbalanced quotes",
            LineFault::WrongNumberOfArguments(words) => words,
            LineFault::NoDirective => "no directive of Redis begins this line: is this a redis.conf?",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rename(line: &str) -> Option<(String, String)> {
        match directive(line.as_bytes()) {
            Ok(Directive::Rename { original, name }) => {
                Some((String::from_utf8(original).unwrap(), String::from_utf8(name).unwrap()))
            }
            _ => None,
        }
    }

    fn fault(line: &str) -> Option<LineFault> {
        directive(line.as_bytes()).err()
    }

    /// What redis-server 7.0.15 makes of the same lines: tests/it/redis_conf.rs asks it.
    #[test]
    fn words_are_decoded_as_redis_decodes_them() {
        for (line, name) in [
            (r"rename-command CONFIG plain", "plain"),
            (r"  Rename-Command CONFIG plain  ", "plain"),
            ("rename-command\tCONFIG \t plain\r", "plain"),
            (r#"rename-command CONFIG """#, ""),
            (r#"rename-command CONFIG "\x65ls\x65""#, "else"),
            (r#""\x72ename-command" 'CONFIG' mi"x"#, "unbalanced"),
            (r#""\x72ename-command" 'CONFIG' mi"x""#, "mix"),
            (r#"rename-command CONFIG "a\"b\\c\q""#, "a\"b\\cq"),
            (r#"rename-command CONFIG "\n\r\t\b\a""#, "\n\r\t\u{8}\u{7}"),
            (r#"rename-command CONFIG "\x4""#, "x4"),
            (r"rename-command CONFIG 'a\'b\n\x65'", r"a'b\n\x65"),
            (r#"rename-command CONFIG '"'"#, "\""),
            (r"rename-command CONFIG a\x65", r"a\x65"),
        ] {
            match name {
                "unbalanced" => assert_eq!(fault(line), Some(LineFault::UnbalancedQuotes), "{line}"),
                name => assert_eq!(rename(line), Some(("CONFIG".to_owned(), name.to_owned())), "{line}"),
            }
        }
    }

    #[test]
    fn what_redis_would_not_take_is_a_fault() {
        for (line, expected) in [
            ("rename-command A \"b", LineFault::UnbalancedQuotes),
            ("rename-command A 'b'c", LineFault::UnbalancedQuotes),
            ("rename-command A b84'0c", LineFault::UnbalancedQuotes),
            ("requirepass \"a", LineFault::UnbalancedQuotes),
            ("<html>", LineFault::NoDirective),
            ("[upstream-auth]", LineFault::NoDirective),
            ("\u{feff}bind 127.0.0.1", LineFault::NoDirective),
            ("{{ name }} yes", LineFault::NoDirective),
        ] {
            assert_eq!(fault(line), Some(expected), "{line}");
        }
        for line in ["rename-command", "rename-command A", "rename-command A b c", "include", "include a b", "dir"] {
            assert!(matches!(fault(line), Some(LineFault::WrongNumberOfArguments(_))), "{line}");
        }
        for line in ["", " \t", "# rename-command A 'b", "bind 127.0.0.1", "graph.TIMEOUT 5", "requirepass -----BEGIN"]
        {
            assert!(matches!(directive(line.as_bytes()), Ok(Directive::Other)), "{line}");
        }
    }

    #[test]
    fn a_line_goes_on_in_the_next_file_where_the_first_does_not_end_it() {
        let files: [(&str, &str); 4] = [("a", "1\n2"), ("b", "2\n3\n"), ("c", ""), ("d", "4")];
        let lines = lines(files.iter().map(|(path, text)| (Path::new(*path), text.as_bytes())));
        let found: Vec<(&str, usize, &[u8])> = lines
            .iter()
            .map(|Line { path, number, content }| (path.to_str().unwrap(), *number, content.as_slice()))
            .collect();
        assert_eq!(found, [("a", 1, &b"1"[..]), ("a", 2, b"22"), ("b", 2, b"3"), ("d", 1, b"4")]);
    }
}

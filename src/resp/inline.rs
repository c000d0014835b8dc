/// A quote never closes, or text follows a closing one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnbalancedQuotes;

/// The arguments of an inline request: their bytes one after the other, and where each ends.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct InlineArgs {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl InlineArgs {
    /// Splits a line (without its LF and the CR before it) as Redis does (`sdssplitargs`). The line holds no NUL.
    ///
    /// - Blanks part arguments; vertical tab and form feed are blanks in front of an argument, but not inside one.
    /// - `"…"` knows `\xHH`, `\n`, `\r`, `\t`, `\b`, `\a`, and takes any other byte after `\` as it is.
    /// - `'…'` knows `\'` alone. Either may open in the middle of an argument, and ends it where it closes.
    pub(crate) fn split(line: &[u8]) -> Result<InlineArgs, UnbalancedQuotes> {
        let mut args = InlineArgs::default();
        let mut rest = line;
        loop {
            while let [byte, after @ ..] = rest
                && is_blank(*byte)
            {
                rest = after;
            }
            if rest.is_empty() {
                return Ok(args);
            }
            rest = args.push_plain(rest)?;
            args.ends.push(args.bytes.len());
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of all arguments together.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }

    /// Takes one argument from the start of `text`; returns what follows it.
    fn push_plain<'t>(&mut self, text: &'t [u8]) -> Result<&'t [u8], UnbalancedQuotes> {
        let mut rest = text;
        while let [byte, after @ ..] = rest {
            match byte {
                b' ' | b'\n' | b'\r' | b'\t' => break,
                b'"' => return self.push_double_quoted(after),
                b'\'' => return self.push_single_quoted(after),
                byte => self.bytes.push(*byte),
            }
            rest = after;
        }
        Ok(rest)
    }

    fn push_double_quoted<'t>(&mut self, text: &'t [u8]) -> Result<&'t [u8], UnbalancedQuotes> {
        let mut rest = text;
        loop {
            let (byte, after) = match rest {
                [b'"', after @ ..] => return end_of_quoted(after),
                [b'\\', b'x', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    (hex_digit(*high) << 4 | hex_digit(*low), after)
                }
                [b'\\', escaped, after @ ..] => (unescape(*escaped), after),
                [byte, after @ ..] => (*byte, after),
                [] => return Err(UnbalancedQuotes),
            };
            self.bytes.push(byte);
            rest = after;
        }
    }

    fn push_single_quoted<'t>(&mut self, text: &'t [u8]) -> Result<&'t [u8], UnbalancedQuotes> {
        let mut rest = text;
        loop {
            let (byte, after) = match rest {
                [b'\'', after @ ..] => return end_of_quoted(after),
                [b'\\', b'\'', after @ ..] => (b'\'', after),
                [byte, after @ ..] => (*byte, after),
                [] => return Err(UnbalancedQuotes),
            };
            self.bytes.push(byte);
            rest = after;
        }
    }
}

/// Behind a closing quote there is a blank or nothing.
fn end_of_quoted(rest: &[u8]) -> Result<&[u8], UnbalancedQuotes> {
    match rest {
        [byte, ..] if !is_blank(*byte) => Err(UnbalancedQuotes),
        rest => Ok(rest),
    }
}

/// C's `isspace`.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

fn hex_digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.to_ascii_uppercase() - b'A' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line, and its arguments; `None` is "unbalanced quotes in request".
    type Split<'a> = (&'a [u8], Option<&'a [&'a [u8]]>);

    /// Measured on redis-server 7.0.15, as `RPUSH k <line>`.
    const MEASURED: &[Split<'_>] = &[
        (b"a b c", Some(&[b"a", b"b", b"c"])),
        (b"  a\t\tb  ", Some(&[b"a", b"b"])),
        (b"a\x0bb \x0bc \x0cd", Some(&[b"a\x0bb", b"c", b"d"])),
        (b"a\rb", Some(&[b"a", b"b"])),
        (b"a\r\r", Some(&[b"a"])),
        (b"\"\"", Some(&[b""])),
        (b"''", Some(&[b""])),
        (b"\"\" ''", Some(&[b"", b""])),
        (b"\"a b\"", Some(&[b"a b"])),
        (b"'a b'", Some(&[b"a b"])),
        (b"a\"b c\"", Some(&[b"ab c"])),
        (b"a'b c'", Some(&[b"ab c"])),
        (b"a\"b\"c", None),
        (b"\"a\"\"b\"", None),
        (b"\"a\"\x0bb", Some(&[b"a", b"b"])),
        (b"\"a", None),
        (b"'a", None),
        (b"a\"", None),
        (b"\"\\", None),
        (b"\"\\\"", None),
        (b"\"a\\\"b\"", Some(&[b"a\"b"])),
        (b"\"\\n\\r\\t\\b\\a\\\\\"", Some(&[b"\n\r\t\x08\x07\\"])),
        (b"\"\\x41\\x6a\\xfF\\x00\"", Some(&[b"Aj\xff\x00"])),
        (b"\"\\x4\"", Some(&[b"x4"])),
        (b"\"\\xg1\"", Some(&[b"xg1"])),
        (b"\"\\x\"", Some(&[b"x"])),
        (b"\"\\q\\ \\'\"", Some(&[b"q '"])),
        (b"'\\n\\x41\\\\'", None),
        (b"'it\\'s'", Some(&[b"it's"])),
        (b"'a\\'", None),
        (b"a\\nb \\x41 \\\"x\\\"", None),
        (b"\\\"a b\\\"", None),
        (b"\"'\"", Some(&[b"'"])),
        (b"'\"'", Some(&[b"\""])),
        (b"\xff\x80 \"\xff\"", Some(&[b"\xff\x80", b"\xff"])),
        (b"\"a\tb\rc\"", Some(&[b"a\tb\rc"])),
        (b"a#b;c", Some(&[b"a#b;c"])),
        (b"\x1f \x1c\x85\xa0", Some(&[b"\x1f", b"\x1c\x85\xa0"])),
        (b"\"a\"\r", Some(&[b"a"])),
        (b"\"a\"\t'b'\x0c", Some(&[b"a", b"b"])),
        (b"\x7f", Some(&[b"\x7f"])),
    ];

    #[test]
    fn lines_are_split_as_redis_splits_them() {
        for (line, expected) in MEASURED {
            let args = InlineArgs::split(line);
            let args = args.as_ref().map(|args| args.iter().collect::<Vec<_>>());
            assert_eq!(args.ok().as_deref(), *expected, "{line:?}");
        }
    }

    #[test]
    fn a_blank_line_has_no_arguments() {
        for line in [&b""[..], b" ", b"\t\r \x0b\x0c"] {
            assert_eq!(InlineArgs::split(line).map(|args| args.len()), Ok(0), "{line:?}");
        }
    }
}

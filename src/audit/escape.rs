//! What names and texts of clients must not do in the log: begin a line, drive a terminal, or show in another order
//! than they are written. Such characters are written as escapes.

use std::borrow::Cow;
use std::fmt;

/// Whether a character is a control, a separator of lines, or one that only changes how others look, as those of
/// bidirectional text do. It is to the standard library, too, which goes by Unicode's categories.
pub fn is_hidden(c: char) -> bool {
    !matches!(c, ' '..='~') && c.escape_debug().len() > 1
}

/// Writes text on with its hidden characters escaped as in a string of Rust.
pub struct OneLine<'a>(pub &'a mut dyn fmt::Write);

impl fmt::Write for OneLine<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.split_inclusive(is_hidden) {
            let mut characters = piece.chars();
            match characters.next_back() {
                Some(last) if is_hidden(last) => {
                    self.0.write_str(characters.as_str())?;
                    write!(self.0, "{}", last.escape_default())?;
                }
                _ => self.0.write_str(piece)?,
            }
        }
        Ok(())
    }
}

/// How many bytes this takes in a string of [`json`].
pub fn json_length(c: char) -> usize {
    match c {
        '"' | '\\' => 2,
        c if is_hidden(c) => c.len_utf16() * "\\u0000".len(),
        c => c.len_utf8(),
    }
}

/// A line of JSON with the hidden characters that JSON allows in its strings escaped as JSON has it. Elsewhere there
/// are none.
pub fn json(line: &str) -> Cow<'_, str> {
    let is_allowed = |c: char| c >= '\u{7f}' && is_hidden(c);
    if !line.contains(is_allowed) {
        return Cow::Borrowed(line);
    }
    let mut escaped = String::with_capacity(line.len() + 64);
    for c in line.chars() {
        if is_allowed(c) {
            let units = c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>();
            escaped.push_str(&units);
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    /// Controls of ASCII and beyond, separators, marks and overrides of direction, an invisible one, a tag.
    const HIDDEN: &str =
        "\n\u{1b}\u{7f}\u{85}\u{9b}\u{2028}\u{2029}\u{200b}\u{200f}\u{202e}\u{2066}\u{2069}\u{feff}\u{ad}\u{e0041}";

    #[test]
    fn text_shows_every_hidden_character() {
        let mut written = String::new();
        write!(OneLine(&mut written), "a{HIDDEN}b é 漢 \"\\'").unwrap();
        let expected = "a\\n\\u{1b}\\u{7f}\\u{85}\\u{9b}\\u{2028}\\u{2029}\\u{200b}\\u{200f}\\u{202e}\\u{2066}\\u{2069}\\u{feff}\\u{ad}\\u{e0041}b é 漢 \"\\'";
        assert_eq!(written, expected);
    }

    #[test]
    fn json_shows_every_hidden_character_and_says_the_same() {
        let line = serde_json::to_string(&format!("a{HIDDEN}b é 漢 \"\\'")).unwrap() + "\n";
        let escaped = json(&line);
        assert_eq!(escaped.chars().filter(|c| is_hidden(*c)).collect::<String>(), "\n", "{escaped}");
        assert!(escaped.contains("\\u202e") && escaped.contains("\\udb40\\udc41"), "{escaped}");
        let read = |line: &str| serde_json::from_str::<String>(line).unwrap();
        assert_eq!(read(&escaped), read(&line));
        assert!(matches!(json("{\"user\":\"漢\"}\n"), Cow::Borrowed(_)));
    }
}

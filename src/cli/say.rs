//! What is said on standard error: what stands in files and comes from servers may be in it, and drives no terminal. That nobody
//! reads it is no reason to end.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};

use crate::audit::escape::OneLine;

/// Says what is wrong, in a line.
pub(super) fn error(what: impl fmt::Display) {
    line(format_args!("error: {what}"));
}

/// Says what may be wrong, in a line.
pub(super) fn warning(what: impl fmt::Display) {
    line(format_args!("warning: {what}"));
}

/// Says a line.
pub(super) fn line(what: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{}", shown(what));
}

fn shown(what: impl fmt::Display) -> String {
    let mut line = String::new();
    let _ = write!(OneLine(&mut line), "{what}");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_one_line_that_drives_no_terminal() {
        assert_eq!(shown("error: a\u{1b}[31m\nb\u{202e}é"), "error: a\\u{1b}[31m\\nb\\u{202e}é");
    }
}

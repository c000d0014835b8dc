//! The lines of MONITOR, with the commands in place of their [traces](super::trace). Pure: a line in, a line out.

use super::trace::{Trace, TraceKey};

/// No line with a trace is longer: a time, a database, an address, which may be a path, the name of ECHO, and the trace.
pub(super) const LONGEST: usize = 512;

/// The end of the address where a script said it.
const SCRIPT: &[u8] = b" lua] ";

/// What stands in place of a line that tells of a trace, which was left under this name of ECHO: nothing, where Redis would
/// show none. `None` for any other line.
pub(super) fn rewrite(key: &TraceKey, echo: &[u8], line: &[u8]) -> Option<Vec<u8>> {
    let arguments = memchr::memmem::find(line, b"] \"")? + 2;
    let (head, arguments) = line.split_at_checked(arguments).filter(|_| line.len() <= LONGEST)?;
    let text = quoted(arguments, echo)?.strip_prefix(b" \"")?.strip_suffix(b"\"\r\n")?;
    let trace = key.read(text).filter(|_| !head.ends_with(SCRIPT))?;
    Some(if trace.is_monitored() { [head, command(&trace).as_bytes(), b"\r\n"].concat() } else { Vec::new() })
}

/// What is behind a word in quotes.
fn quoted<'a>(arguments: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    arguments.strip_prefix(b"\"")?.strip_prefix(word)?.strip_prefix(b"\"")
}

/// No word of a trace has a byte that is written otherwise in quotes.
fn command(trace: &Trace) -> String {
    trace.words().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> TraceKey {
        TraceKey::new(&[7; 32])
    }

    fn rewritten(line: &str) -> Option<String> {
        let rewritten = rewrite(&key(), b"ECHO", line.as_bytes())?;
        Some(String::from_utf8(rewritten).unwrap())
    }

    #[test]
    fn a_line_with_a_trace_shows_the_command() {
        for head in ["+1.000001 [0 127.0.0.1:1]", "+1.000001 [15 [::1]:1]", "+1.000001 [0 unix:/run/a b/redis.sock]"] {
            let line = format!("{head} \"ECHO\" \"{}\"\r\n", key().sign("hello 2 AUTH * *"));
            let expected = format!("{head} \"hello\" \"2\" \"AUTH\" \"(redacted)\" \"(redacted)\"\r\n");
            assert_eq!(rewritten(&line), Some(expected));
        }
    }

    #[test]
    fn a_line_with_the_trace_of_an_administrative_command_is_left_out() {
        let line = format!("+1.000001 [0 127.0.0.1:1] \"ECHO\" \"{}\"\r\n", key().sign("ACL SETUSER *"));
        assert_eq!(rewritten(&line).as_deref(), Some(""));
    }

    #[test]
    fn any_other_line_stays() {
        let text = key().sign("auth *");
        for arguments in [
            format!("\"echo\" \"{text}\""),
            format!("\"GET\" \"{text}\""),
            format!("\"ECHO\" \"{text}\" \"x\""),
            format!("\"x\" \"ECHO\" \"{text}\""),
            format!("\"ECHO\"  \"{text}\""),
            format!("\"ECHO\" \" {text}\""),
            format!("\"SET\" \"x] \\\"ECHO\\\" \\\"{text}\\\"\""),
            format!("\"SET\" \"] \" \"ECHO\" \"{text}\""),
            "\"ECHO\" \"respgate:0000000000000008 auth *\"".to_owned(),
            format!("\"ECHO\" \"{text}\\x00\""),
            "\"ECHO\"".to_owned(),
        ] {
            assert_eq!(rewritten(&format!("+1.000001 [0 127.0.0.1:1] {arguments}\r\n")), None, "{arguments}");
        }
        assert_eq!(rewritten("+OK\r\n"), None);
        assert_eq!(rewritten(&format!("+1.000001 [0 lua] \"ECHO\" \"{text}\"\r\n")), None, "of a script");
    }
}

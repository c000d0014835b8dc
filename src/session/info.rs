//! The reply to INFO, with the counts of what was answered here added to Redis's. Pure: a reply in, a reply out. Lines
//! that are not concerned stay as they are, byte for byte.

use std::collections::BTreeMap;

use super::tally::{CommandCounts, Counts};
use crate::resp::parse_integer;

/// A larger reply is passed on as it comes, and nothing is added to it. Redis's own are about 20 KiB.
pub(super) const LARGEST: usize = 1 << 20;

/// The reply to a client's INFO with these counts in it; `None` if it stays what it is: nothing in it is concerned, or it
/// is neither a bulk string nor a verbatim one.
pub(super) fn merge(reply: &[u8], counts: Counts) -> Option<Vec<u8>> {
    let (format, text) = contents(reply)?;
    let merged = Merge::new(counts).run(text);
    if merged == text {
        return None;
    }
    let kind = char::from(*reply.first()?);
    let header = format!("{kind}{}\r\n", format.len() + merged.len());
    Some([header.as_bytes(), format, &merged, b"\r\n"].concat())
}

/// The format of a verbatim string, `txt:`, and the text of the reply.
fn contents(reply: &[u8]) -> Option<(&[u8], &[u8])> {
    let (kind, rest) = reply.split_first()?;
    let line_end = memchr::memchr(b'\n', rest)?;
    let (line, rest) = rest.split_at(line_end + 1);
    let body = rest.strip_suffix(b"\r\n")?;
    let len = parse_integer(line.strip_suffix(b"\r\n")?)?;
    match kind {
        _ if usize::try_from(len) != Ok(body.len()) => None,
        b'$' => Some((b"", body)),
        b'=' => body.split_at_checked(4),
        _ => None,
    }
}

/// The sections of INFO that are concerned.
#[derive(Clone, Copy)]
enum Section {
    Stats,
    Commandstats,
    Errorstats,
    Other,
}

impl Section {
    fn headed(line: &[u8]) -> Self {
        match line {
            b"# Stats\r\n" => Self::Stats,
            b"# Commandstats\r\n" => Self::Commandstats,
            b"# Errorstats\r\n" => Self::Errorstats,
            _ => Self::Other,
        }
    }
}

/// What is still to be put into the text: what has found its line is taken out.
struct Merge {
    commands: BTreeMap<String, CommandCounts>,
    errors: BTreeMap<Box<str>, i64>,
    error_replies: i64,
}

impl Merge {
    fn new(counts: Counts) -> Self {
        let mut commands = BTreeMap::<String, CommandCounts>::new();
        for (name, counts) in counts.commands {
            // As Redis writes a name in INFO [getSafeInfoString]; of the bytes it replaces, a name has no other.
            commands.entry(name.replace(':', "_")).or_default().add(counts);
        }
        Self { commands, errors: counts.errors, error_replies: counts.error_replies }
    }

    fn run(mut self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len() + 1024);
        let mut section = Section::Other;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            if line == b"\r\n" || line.starts_with(b"#") {
                self.append_missing(section, &mut out);
                section = Section::headed(line);
            }
            match self.changed(section, line) {
                Some(changed) => out.extend_from_slice(changed.as_bytes()),
                None => out.extend_from_slice(line),
            }
        }
        self.append_missing(section, &mut out);
        out
    }

    /// What stands in place of a line; `None` for the line itself, and nothing where Redis would have none.
    fn changed(&mut self, section: Section, line: &[u8]) -> Option<String> {
        let line = || std::str::from_utf8(line).ok()?.strip_suffix("\r\n");
        match section {
            Section::Stats => {
                let total = line()?.strip_prefix("total_error_replies:")?.parse().ok()?;
                Some(format!("total_error_replies:{}\r\n", sum(total, std::mem::take(&mut self.error_replies))))
            }
            Section::Commandstats => {
                let (name, fields) = line()?.strip_prefix("cmdstat_")?.split_once(':')?;
                let fields = add_to_command(fields, self.commands.remove(name)?)?;
                Some(if fields.is_empty() { fields } else { format!("cmdstat_{name}:{fields}\r\n") })
            }
            Section::Errorstats => {
                let (code, count) = line()?.strip_prefix("errorstat_")?.split_once(":count=")?;
                let count = sum(count.parse().ok()?, self.errors.remove(code)?);
                Some(if count == 0 { String::new() } else { error_line(code, count) })
            }
            Section::Other => None,
        }
    }

    /// At the end of a section, the lines that Redis had no reason for.
    fn append_missing(&mut self, section: Section, out: &mut Vec<u8>) {
        if !out.ends_with(b"\r\n") {
            return;
        }
        match section {
            Section::Commandstats => {
                for (name, counts) in std::mem::take(&mut self.commands) {
                    let counts = CommandCounts {
                        calls: counts.calls.max(0),
                        rejected: counts.rejected.max(0),
                        failed: counts.failed.max(0),
                    };
                    if counts != CommandCounts::default() {
                        let CommandCounts { calls, rejected, failed } = counts;
                        let fields = format!("calls={calls},usec=0,usec_per_call=0.00,rejected_calls={rejected}");
                        out.extend_from_slice(format!("cmdstat_{name}:{fields},failed_calls={failed}\r\n").as_bytes());
                    }
                }
            }
            Section::Errorstats => {
                for (code, count) in std::mem::take(&mut self.errors) {
                    if count > 0 {
                        out.extend_from_slice(error_line(&code, count).as_bytes());
                    }
                }
            }
            Section::Stats | Section::Other => {}
        }
    }
}

fn error_line(code: &str, count: i64) -> String {
    format!("errorstat_{code}:count={count}\r\n")
}

/// The fields of a command with more counts; empty if all counts are 0, as Redis shows no such command. `None` where the
/// fields are not those we know.
fn add_to_command(fields: &str, more: CommandCounts) -> Option<String> {
    let number = |key: &str| -> Option<i64> {
        fields.split(',').find_map(|field| field.strip_prefix(key)?.strip_prefix('='))?.parse().ok()
    };
    let (calls, usec) = (sum(number("calls")?, more.calls), number("usec")?);
    let rejected = sum(number("rejected_calls")?, more.rejected);
    let failed = sum(number("failed_calls")?, more.failed);
    if (calls, rejected, failed) == (0, 0, 0) {
        return Some(String::new());
    }
    let average = if calls == 0 { 0.0 } else { usec as f32 / calls as f32 };
    let fields = fields.split(',').map(|field| match field.split_once('=') {
        Some(("calls", _)) => format!("calls={calls}"),
        Some(("usec_per_call", _)) if more.calls != 0 => format!("usec_per_call={average:.2}"),
        Some(("rejected_calls", _)) => format!("rejected_calls={rejected}"),
        Some(("failed_calls", _)) => format!("failed_calls={failed}"),
        _ => field.to_owned(),
    });
    Some(fields.collect::<Vec<_>>().join(","))
}

/// Never below 0: Redis may have forgotten what is to be subtracted.
fn sum(count: i64, more: i64) -> i64 {
    count.saturating_add(more).max(0)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::session::tally::Tally;

    /// GET was rejected once, AUTH called twice and failed once.
    fn counts() -> Counts {
        let tally = Tally::default();
        tally.rejection("get");
        tally.call("auth", false);
        tally.call("auth", true);
        tally.error("NOPERM this user");
        tally.error("WRONGPASS invalid");
        tally.counts().unwrap()
    }

    fn merged(text: &str, counts: Counts) -> String {
        String::from_utf8(Merge::new(counts).run(text.as_bytes())).unwrap()
    }

    fn bulk(text: &[u8]) -> Vec<u8> {
        [format!("${}\r\n", text.len()).as_bytes(), text, b"\r\n"].concat()
    }

    fn verbatim(text: &[u8]) -> Vec<u8> {
        [format!("={}\r\ntxt:", text.len() + 4).as_bytes(), text, b"\r\n"].concat()
    }

    #[test]
    fn numbers_of_lines_that_are_there_are_added_to_and_nothing_else_changes() {
        let text = "# Server\r\nredis_version:7.0.15\r\n\r\n\
                    # Stats\r\ntotal_reads_processed:3\r\ntotal_error_replies:5\r\nreply_buffer_shrinks:1\r\n\r\n\
                    # Commandstats\r\n\
                    cmdstat_get:calls=3,usec=10,usec_per_call=3.33,rejected_calls=1,failed_calls=0\r\n\
                    cmdstat_auth:calls=2,usec=10,usec_per_call=5.00,rejected_calls=0,failed_calls=1\r\n\
                    cmdstat_set:calls=1,usec=7,usec_per_call=7.00,rejected_calls=0,failed_calls=0\r\n\r\n\
                    # Errorstats\r\nerrorstat_ERR:count=2\r\nerrorstat_NOPERM:count=2\r\nerrorstat_WRONGPASS:count=1\r\n\r\n\
                    # Keyspace\r\n";
        let expected = text
            .replace("total_error_replies:5", "total_error_replies:7")
            .replace("rejected_calls=1", "rejected_calls=2")
            .replace("calls=2,usec=10,usec_per_call=5.00", "calls=4,usec=10,usec_per_call=2.50")
            .replace("failed_calls=1", "failed_calls=2")
            .replace("NOPERM:count=2", "NOPERM:count=3")
            .replace("WRONGPASS:count=1", "WRONGPASS:count=2");
        assert_eq!(merged(text, counts()), expected);
    }

    #[test]
    fn lines_that_are_missing_end_their_section() {
        let expected = "# Commandstats\r\n\
                        cmdstat_ping:calls=1,usec=1,usec_per_call=1.00,rejected_calls=0,failed_calls=0\r\n\
                        cmdstat_auth:calls=2,usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=1\r\n\
                        cmdstat_get:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0\r\n\r\n\
                        # Errorstats\r\nerrorstat_NOPERM:count=1\r\nerrorstat_WRONGPASS:count=1\r\n";
        let text: String =
            expected.split_inclusive('\n').filter(|line| line.contains("ping") || !line.contains(':')).collect();
        assert_eq!(merged(&text, counts()), expected);
    }

    #[test]
    fn what_was_taken_off_leaves_no_line_and_no_number_below_zero() {
        let tally = Tally::default();
        tally.compensate_call("echo");
        tally.compensate_error("ERR");
        tally.compensate_call("get");
        let text = "# Stats\r\ntotal_error_replies:0\r\n\r\n# Commandstats\r\n\
                    cmdstat_echo:calls=1,usec=7,usec_per_call=7.00,rejected_calls=0,failed_calls=0\r\n\r\n\
                    # Errorstats\r\nerrorstat_ERR:count=1\r\n";
        let expected = "# Stats\r\ntotal_error_replies:0\r\n\r\n# Commandstats\r\n\r\n# Errorstats\r\n";
        assert_eq!(merged(text, tally.counts().unwrap()), expected);
    }

    #[test]
    fn a_command_of_a_module_is_found_under_the_name_that_info_shows() {
        let tally = Tally::default();
        tally.rejection("x:y");
        let text =
            "# Commandstats\r\ncmdstat_x_y:calls=1,usec=1,usec_per_call=1.00,rejected_calls=0,failed_calls=0\r\n";
        let expected = text.replace("rejected_calls=0", "rejected_calls=1");
        assert_eq!(merged(text, tally.counts().unwrap()), expected);
    }

    #[test]
    fn a_line_of_an_unknown_form_stays() {
        for text in ["# Commandstats\r\ncmdstat_get:calls=1\r\n", "# Errorstats\r\nerrorstat_NOPERM:count=many\r\n"] {
            assert!(merged(text, counts()).starts_with(text), "{text}");
        }
        assert_eq!(merged("# Stats\r\ntotal_error_replies:\r\n", counts()), "# Stats\r\ntotal_error_replies:\r\n");
    }

    #[test]
    fn both_forms_of_the_reply_are_merged_and_nothing_else() {
        let (before, after) = (b"# Stats\r\ntotal_error_replies:9\r\n", b"# Stats\r\ntotal_error_replies:11\r\n");
        assert_eq!(merge(&bulk(before), counts()), Some(bulk(after)));
        assert_eq!(merge(&verbatim(before), counts()), Some(verbatim(after)));
        for reply in [&b"-ERR no\r\n"[..], b"$-1\r\n", b"_\r\n", b"+OK\r\n", b"=2\r\nab\r\n", b"*0\r\n", b"$1\r\nx\r\n"]
        {
            assert_eq!(merge(reply, counts()), None, "{}", reply.escape_ascii());
        }
    }

    #[test]
    fn a_reply_without_a_section_that_is_concerned_stays() {
        assert_eq!(merge(&bulk(b"# Server\r\ntotal_error_replies:1\r\nerrorstat_ERR:count=1\r\n"), counts()), None);
    }

    fn is_concerned(line: &[u8]) -> bool {
        [&b"cmdstat_get:"[..], b"cmdstat_auth:", b"errorstat_NOPERM:", b"errorstat_WRONGPASS:", b"total_error_replies:"]
            .iter()
            .any(|start| line.starts_with(start))
    }

    fn line() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            vec(any::<u8>(), 0..20),
            prop_oneof!["# Stats", "# Commandstats", "# Errorstats", "# Other", ""].prop_map(String::into_bytes),
            ("cmdstat_(get|auth|set|x_y)", 0..9, 0..9).prop_map(|(name, calls, usec)| {
                format!("{name}:calls={calls},usec={usec},usec_per_call=1.00,rejected_calls=0,failed_calls=0")
                    .into_bytes()
            }),
            ("(total_error_replies:|errorstat_(ERR|NOPERM|X):count=)", 0..9)
                .prop_map(|(key, count)| format!("{key}{count}").into_bytes()),
        ]
    }

    proptest! {
        #[test]
        fn whatever_the_text_other_lines_stay_and_the_length_is_right(
            lines in vec(line(), 0..30),
            end in prop_oneof![Just("\r\n"), Just("\n"), Just("")],
        ) {
            let text = [lines.join(&b"\r\n"[..]), end.as_bytes().to_vec()].concat();
            let others = |text: &[u8]| -> Vec<Vec<u8>> {
                let lines = text.split_inclusive(|byte| *byte == b'\n').filter(|line| !is_concerned(line));
                lines.map(<[u8]>::to_vec).collect()
            };
            let reply = bulk(&text);
            let merged = merge(&reply, counts()).unwrap_or(reply);
            let (_, merged_text) = contents(&merged).expect("a bulk string of the length that it says");
            prop_assert_eq!(others(merged_text), others(&text));
            let spoken = merge(&verbatim(&text), counts()).unwrap_or(verbatim(&text));
            prop_assert_eq!(contents(&spoken), Some((&b"txt:"[..], merged_text)));
        }
    }
}

//! The list of what was issued: one certificate a line, in a text that people can read and repair. Pure.

use std::time::{Duration, SystemTime};

/// What a new index begins with.
pub(super) const HEADER: &str = "# kind name serial expires revoked; times in seconds since 1970 UTC\n";

/// One certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    /// Without a blank.
    pub(super) name: String,
    /// Lower-case hexadecimal, whole bytes.
    pub(super) serial: String,
    /// Whole seconds, as is `revoked`.
    pub(super) expires: SystemTime,
    pub(super) revoked: Option<SystemTime>,
}

/// What a certificate is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Authority,
    Server,
    Client,
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Kind::Authority => "ca",
            Kind::Server => "server",
            Kind::Client => "client",
        }
    }

    fn parse(word: &str) -> Option<Kind> {
        [Kind::Authority, Kind::Server, Kind::Client].into_iter().find(|kind| kind.word() == word)
    }
}

impl Entry {
    /// With a newline at the end.
    pub(super) fn line(&self) -> String {
        let revoked = self.revoked.map_or_else(|| "-".to_owned(), |time| seconds(time).to_string());
        format!("{} {} {} {} {revoked}\n", self.kind.word(), self.name, self.serial, seconds(self.expires))
    }

    fn parse(line: &str) -> Option<Entry> {
        let mut words = line.split(' ');
        let entry = Entry {
            kind: Kind::parse(words.next()?)?,
            name: words.next().filter(|name| !name.is_empty())?.to_owned(),
            serial: words.next().filter(|serial| is_serial(serial))?.to_owned(),
            expires: parse_time(words.next()?)?,
            revoked: match words.next()? {
                "-" => None,
                word => Some(parse_time(word)?),
            },
        };
        words.next().is_none().then_some(entry)
    }
}

/// Reads an index.
///
/// # Errors
/// The number of the first damaged line, from 1: what cannot be read could be what is to be revoked.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, usize> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines.map(|(number, line)| Entry::parse(line).ok_or(number + 1)).collect()
}

/// The text of an index.
pub(super) fn text(entries: &[Entry]) -> String {
    entries.iter().fold(HEADER.to_owned(), |text, entry| text + &entry.line())
}

/// The bytes of a serial number.
pub(super) fn serial_bytes(serial: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap_or(0);
    serial.as_bytes().chunks(2).map(|pair| pair.iter().fold(0, |byte, half| byte << 4 | digit(*half))).collect()
}

fn is_serial(word: &str) -> bool {
    !word.is_empty() && word.len().is_multiple_of(2) && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn parse_time(word: &str) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(word.parse().ok()?))
}

/// A point in time, in seconds since 1970 UTC.
pub(super) fn time(seconds: i64) -> SystemTime {
    let seconds = u64::try_from(seconds).unwrap_or_default();
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(revoked: Option<u64>) -> Entry {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        Entry {
            kind: Kind::Client,
            name: "shop".to_owned(),
            serial: "4f00ff".to_owned(),
            expires: at(1_900_000_000),
            revoked: revoked.map(at),
        }
    }

    #[test]
    fn an_index_reads_back_as_it_was_written() {
        let entries = vec![entry(None), entry(Some(1_800_000_000))];
        assert_eq!(parse(&text(&entries)), Ok(entries));
    }

    #[test]
    fn a_damaged_line_is_an_error_with_its_number() {
        for line in [
            "client shop",
            "client shop 4f - -",
            "client shop 4g 1 -",
            "client shop 4f0 1 -",
            "nobody shop 4f 1 -",
            "client shop 4f 1 - -",
            "client  4f 1 -",
            "client shop 4f 99999999999999999999 -",
        ] {
            assert_eq!(parse(&format!("{HEADER}{}{line}\n", entry(None).line())), Err(3), "{line}");
        }
    }

    #[test]
    fn a_serial_number_is_its_bytes() {
        assert_eq!(serial_bytes("4f00ff"), [0x4f, 0x00, 0xff]);
    }
}

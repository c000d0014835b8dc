//! The list of what was issued: one certificate a line, in a text that people can read and repair. Pure.

use std::fmt;
use std::time::{Duration, SystemTime};

/// What a new index begins with.
pub(super) const HEADER: &str = "# kind name serial expires revoked; times in seconds since 1970 UTC\n";

/// The end of the year 9999, behind which certificates know no time (RFC 5280, 4.1.2.5).
const LAST_SECOND: u64 = 253_402_300_799;

/// One certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is good for.
    pub kind: Kind,
    /// The name of its files, without a blank.
    pub name: String,
    /// Lower-case hexadecimal, whole bytes.
    pub serial: String,
    /// Its last second.
    pub expires: SystemTime,
    /// Since when it is revoked, in whole seconds.
    pub revoked: Option<SystemTime>,
}

/// What a certificate is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// To sign the others.
    Authority,
    /// To be a server.
    Server,
    /// To be a client.
    Client,
}

impl Kind {
    /// Its word in the index.
    pub fn word(self) -> &'static str {
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

    /// For people.
    pub fn in_words(&self) -> String {
        let what = match self.kind {
            Kind::Authority => "the authority".to_owned(),
            kind => format!("{} {}", kind.word(), self.name),
        };
        format!("{what}, serial {}, which expires on {}", self.serial, date(self.expires))
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

/// The names in an index but the authority's, each once, in order.
pub(super) fn names(entries: &[Entry]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for entry in entries.iter().filter(|entry| entry.kind != Kind::Authority) {
        if !names.contains(&entry.name.as_str()) {
            names.push(&entry.name);
        }
    }
    names
}

/// The certificate that a name stands on: of the valid ones that which lasts longest. Where all have expired it is the
/// last one, unless that is revoked: then the name is given up.
pub(super) fn standing<'a>(entries: &'a [Entry], name: &str, now: SystemTime) -> Option<&'a Entry> {
    let named = || entries.iter().filter(|entry| entry.kind != Kind::Authority && entry.name == name);
    let valid = named().filter(|entry| entry.revoked.is_none() && entry.expires > now);
    let last = named().next_back().filter(|entry| entry.revoked.is_none());
    valid.max_by_key(|entry| entry.expires).or(last)
}

/// Which certificates are meant.
pub enum Choice {
    /// The valid one of this name; all of them, where there are several.
    Name {
        /// As in the index.
        name: String,
        /// All of them.
        all: bool,
    },
    /// As somebody has written it.
    Serial(String),
}

/// Why nothing was chosen.
#[derive(Debug, PartialEq, Eq)]
pub enum ChoiceError {
    /// No valid certificate has this name.
    NoName(String),
    /// Several have.
    Several(String, Vec<Entry>),
    /// This is no serial number.
    NoSerial(String),
    /// No certificate has this one.
    UnknownSerial(String),
    /// It is the authority's.
    Authority,
    /// It is revoked already.
    Revoked(Entry),
}

/// The positions of those that are meant.
pub(super) fn chosen(entries: &[Entry], choice: &Choice, now: SystemTime) -> Result<Vec<usize>, ChoiceError> {
    match choice {
        Choice::Name { name, all } => {
            let is_meant = |entry: &Entry| {
                entry.kind != Kind::Authority && entry.name == *name && entry.revoked.is_none() && entry.expires > now
            };
            let meant: Vec<usize> = (0..entries.len()).filter(|position| is_meant(&entries[*position])).collect();
            match meant.as_slice() {
                [] => Err(ChoiceError::NoName(name.clone())),
                [_, _, ..] if !all => {
                    Err(ChoiceError::Several(name.clone(), meant.iter().map(|at| entries[*at].clone()).collect()))
                }
                _ => Ok(meant),
            }
        }
        Choice::Serial(text) => {
            let serial = serial_digits(text).ok_or_else(|| ChoiceError::NoSerial(text.clone()))?;
            let found = entries.iter().position(|entry| serial_digits(&entry.serial).as_ref() == Some(&serial));
            let position = found.ok_or(ChoiceError::UnknownSerial(serial))?;
            match &entries[position] {
                Entry { kind: Kind::Authority, .. } => Err(ChoiceError::Authority),
                entry if entry.revoked.is_some() => Err(ChoiceError::Revoked(entry.clone())),
                _ => Ok(vec![position]),
            }
        }
    }
}

impl fmt::Display for ChoiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChoiceError::NoName(name) => {
                write!(f, "no certificate named {name:?} is left to revoke; see: respgate cert list")
            }
            ChoiceError::Several(name, entries) => {
                write!(f, "several certificates are named {name:?}: give --serial HEX for one of them, or --all")?;
                entries.iter().try_for_each(|entry| write!(f, "\n  {}", entry.in_words()))
            }
            ChoiceError::NoSerial(text) => write!(f, "{text:?} is no serial number: hexadecimal digits are expected"),
            ChoiceError::UnknownSerial(serial) => {
                write!(f, "no certificate with the serial number {serial} was issued here; see: respgate cert list")
            }
            ChoiceError::Authority => f.write_str("this is the certificate of the authority itself"),
            ChoiceError::Revoked(entry) => {
                write!(f, "revoked already: {}; `respgate cert crl` writes the list anew", entry.in_words())
            }
        }
    }
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

/// The digits that count: with or without colons and 0x, in any case.
fn serial_digits(text: &str) -> Option<String> {
    let digits: String = text.trim().trim_start_matches("0x").chars().filter(|c| *c != ':').collect();
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_number.then(|| digits.trim_start_matches('0').to_ascii_lowercase())
}

fn is_serial(word: &str) -> bool {
    !word.is_empty() && word.len().is_multiple_of(2) && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn parse_time(word: &str) -> Option<SystemTime> {
    let seconds = word.parse().ok().filter(|seconds| *seconds <= LAST_SECOND)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// The day, UTC.
pub fn date(time: SystemTime) -> String {
    let time = time::OffsetDateTime::from(time);
    format!("{:04}-{:02}-{:02}", time.year(), u8::from(time.month()), time.day())
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
            "client shop 4f 253402300800 -",
            "client shop 4f 1 253402300800",
        ] {
            assert_eq!(parse(&format!("{HEADER}{}{line}\n", entry(None).line())), Err(3), "{line}");
        }
    }

    fn named(name: &str, serial: &str) -> Entry {
        Entry { name: name.to_owned(), serial: serial.to_owned(), ..entry(None) }
    }

    #[test]
    fn a_name_chooses_the_one_valid_certificate_that_bears_it() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let expired = Entry { expires: now, ..named("shop", "01") };
        let authority = Entry { kind: Kind::Authority, ..named("ca", "02") };
        let revoked = Entry { revoked: Some(now), ..named("shop", "03") };
        let mut entries = vec![authority, expired, revoked, named("shop", "04"), named("ops", "05")];
        let choose =
            |entries: &[Entry], name: &str, all| chosen(entries, &Choice::Name { name: name.to_owned(), all }, now);
        assert_eq!(choose(&entries, "shop", false), Ok(vec![3]));
        assert_eq!(choose(&entries, "ca", true), Err(ChoiceError::NoName("ca".to_owned())));
        entries.push(named("shop", "06"));
        let several = vec![named("shop", "04"), named("shop", "06")];
        assert_eq!(choose(&entries, "shop", false), Err(ChoiceError::Several("shop".to_owned(), several)));
        assert_eq!(choose(&entries, "shop", true), Ok(vec![3, 5]));
    }

    #[test]
    fn a_name_stands_on_what_lasts_longest_and_is_given_up_with_its_last_certificate() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let until = |seconds, revoked: Option<u64>| Entry { expires: at(seconds), ..entry(revoked) };
        let standing = |entries: &[Entry]| standing(entries, "shop", at(100)).map(|entry| seconds(entry.expires));
        assert_eq!(standing(&[until(200, None), until(300, None), until(250, None)]), Some(300));
        assert_eq!(standing(&[until(200, None), until(300, Some(1))]), Some(200), "one is left");
        assert_eq!(standing(&[until(80, None), until(90, None)]), Some(90));
        assert_eq!(
            standing(&[until(80, None), until(300, Some(1))]),
            None,
            "given up, with whatever has expired before"
        );
        let entries = [Entry { kind: Kind::Authority, ..named("ca", "01") }, named("shop", "02"), named("shop", "03")];
        assert_eq!(names(&entries), ["shop"]);
    }

    #[test]
    fn a_serial_number_chooses_however_it_is_written() {
        let now = SystemTime::UNIX_EPOCH;
        let authority = Entry { kind: Kind::Authority, ..named("ca", "02") };
        let revoked = Entry { revoked: Some(now), ..named("shop", "03") };
        let entries = [authority, revoked.clone(), named("shop", "4f00ff")];
        let choose = |text: &str| chosen(&entries, &Choice::Serial(text.to_owned()), now);
        for text in ["4f00ff", "4F:00:FF", "0x4f00ff", "004F00FF "] {
            assert_eq!(choose(text), Ok(vec![2]), "{text}");
        }
        for text in ["", "shop", "4f 00ff", ":"] {
            assert_eq!(choose(text), Err(ChoiceError::NoSerial(text.to_owned())));
        }
        assert_eq!(choose("4f"), Err(ChoiceError::UnknownSerial("4f".to_owned())));
        assert_eq!(choose("2"), Err(ChoiceError::Authority));
        assert_eq!(choose("3"), Err(ChoiceError::Revoked(revoked)));
    }

    #[test]
    fn a_serial_number_is_its_bytes() {
        assert_eq!(serial_bytes("4f00ff"), [0x4f, 0x00, 0xff]);
    }
}

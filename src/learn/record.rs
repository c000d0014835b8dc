//! What was learnt, as a file: lines of JSON, of which the first says which version they are.
//!
//! Of a name only such parts are in it as are told; of the others only why they are not.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::evidence::Evidence;
use super::names::Names;
use super::part::Outline;
use super::pattern::{Piece, Unnamed};
use super::usage::{Usage, Uses};
use crate::command::Access;

/// Of this form of the file.
const VERSION: u64 = 1;

/// What was learnt of all users.
pub type Learnt = BTreeMap<String, Usage>;

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for RecordError {}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Heading {
    respgate_learnt: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    user: String,
    #[serde(flatten)]
    what: What,
    count: u64,
    first: u64,
    last: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    would_refuse: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    /// All requests: `null`.
    Requests(()),
    Command(String),
    Key(Name),
    Channel(Name),
    ChannelPattern(Name),
    UnnamedKeys(()),
    UntoldKeys(()),
    KeysWithoutRoom(()),
    ChannelsWithoutRoom(()),
    ChannelPatternsWithoutRoom(()),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Name {
    /// `=text`, or why it is not told: `*` many, `?` rare, `!` no room, `#` odd.
    parts: Vec<String>,
    separators: String,
    /// Where the whole name has others: each run of them once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outline: Option<String>,
    /// Of a key: `r`, `w`, `rw`, or nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    access: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The text of the file.
///
/// # Errors
/// None that is known of: it is JSON of strings and numbers.
pub fn to_text(learnt: &Learnt) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string(&Heading { respgate_learnt: VERSION })? + "\n";
    for (user, usage) in learnt {
        for (what, uses) in lines_of(usage) {
            let Uses { count, first, last, would_refuse, .. } = uses;
            let line = Line { user: user.clone(), what, count, first, last, would_refuse };
            text.push_str(&serde_json::to_string(&line)?);
            text.push('\n');
        }
    }
    Ok(text)
}

fn lines_of(usage: &Usage) -> impl Iterator<Item = (What, Uses)> {
    let commands = usage.commands.iter().map(|(name, uses)| (What::Command(name.to_string()), *uses));
    let names = |names: &Names, what: fn(Name) -> What| {
        let told = names.told_by_outline().into_iter();
        told.map(move |((outline, pieces), uses)| (what(Name::of(outline, &pieces, uses.access)), uses))
            .collect::<Vec<_>>()
    };
    let singles = [
        (What::Requests(()), usage.requests),
        (What::UnnamedKeys(()), usage.unnamed_keys),
        (What::UntoldKeys(()), usage.untold_keys),
        (What::KeysWithoutRoom(()), usage.keys.without_room()),
        (What::ChannelsWithoutRoom(()), usage.channels.without_room()),
        (What::ChannelPatternsWithoutRoom(()), usage.channel_patterns.without_room()),
    ];
    singles
        .into_iter()
        .chain(commands)
        .chain(names(&usage.keys, What::Key))
        .chain(names(&usage.channels, What::Channel))
        .chain(names(&usage.channel_patterns, What::ChannelPattern))
        .filter(|(_, uses)| uses.count > 0)
}

/// What a file holds, to be gone on from with `evidence`.
///
/// # Errors
/// The first line that is none of such a file.
pub fn from_text(text: &str, evidence: &Evidence) -> Result<Learnt, RecordError> {
    let mut learnt = Learnt::new();
    for (index, line) in text.lines().enumerate() {
        let wrong = |message: String| RecordError { line: index + 1, message };
        if index == 0 {
            let heading: Heading = serde_json::from_str(line)
                .map_err(|error| wrong(format!("it is no file of what was learnt: {error}")))?;
            if heading.respgate_learnt != VERSION {
                return Err(wrong(format!("version {} is not known", heading.respgate_learnt)));
            }
            continue;
        }
        let line: Line = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
        let usage = learnt.entry(line.user.clone()).or_insert_with(|| Usage::new(evidence));
        take(usage, line).map_err(wrong)?;
    }
    if text.is_empty() { Err(RecordError { line: 1, message: "it is empty".to_owned() }) } else { Ok(learnt) }
}

fn take(usage: &mut Usage, line: Line) -> Result<(), String> {
    let Line { what, count, first, last, would_refuse, .. } = line;
    let uses = Uses { count, first, last, would_refuse, access: Access::NAME };
    match what {
        What::Requests(()) => usage.requests.add(uses),
        What::Command(name) => usage.commands.entry(name.into()).or_insert(Uses::NONE).add(uses),
        What::UnnamedKeys(()) => usage.unnamed_keys.add(uses),
        What::UntoldKeys(()) => usage.untold_keys.add(uses),
        What::KeysWithoutRoom(()) => usage.keys.add_without_room(uses),
        What::ChannelsWithoutRoom(()) => usage.channels.add_without_room(uses),
        What::ChannelPatternsWithoutRoom(()) => usage.channel_patterns.add_without_room(uses),
        What::Key(name) => {
            usage.keys.restore(name.outline(), &name.pieces()?, Uses { access: name.access()?, ..uses });
        }
        What::Channel(name) => usage.channels.restore(name.outline(), &name.pieces()?, uses),
        What::ChannelPattern(name) => usage.channel_patterns.restore(name.outline(), &name.pieces()?, uses),
    }
    Ok(())
}

impl Name {
    fn of(outline: Outline, pieces: &[Piece], access: Access) -> Name {
        let part = |piece: &Piece| match piece {
            Piece::Text(text) => Some(match std::str::from_utf8(text) {
                Ok(text) => format!("={text}"),
                // What is no text cannot be in a line of JSON.
                Err(_) => "?".to_owned(),
            }),
            Piece::Any(Unnamed::Many) => Some("*".to_owned()),
            Piece::Any(Unnamed::Rare) => Some("?".to_owned()),
            Piece::Any(Unnamed::NoRoom) => Some("!".to_owned()),
            Piece::Any(Unnamed::Odd) => Some("#".to_owned()),
            Piece::Separator(_) => None,
        };
        let separator = |piece: &Piece| if let Piece::Separator(byte) = piece { Some(char::from(*byte)) } else { None };
        let access = match (access.covers(Access::READ), access.covers(Access::WRITE)) {
            (false, false) => "",
            (true, false) => "r",
            (false, true) => "w",
            (true, true) => "rw",
        };
        let separators: String = pieces.iter().filter_map(separator).collect();
        let is_other = outline != Outline::of(separators.bytes());
        Name {
            parts: pieces.iter().filter_map(part).collect(),
            separators,
            outline: is_other.then(|| outline.text()),
            access: access.to_owned(),
        }
    }

    fn outline(&self) -> Outline {
        Outline::of(self.outline.as_deref().unwrap_or(&self.separators).bytes())
    }

    fn pieces(&self) -> Result<Vec<Piece>, String> {
        if self.parts.len() != self.separators.len() + 1 {
            return Err("there is one part more than separators".to_owned());
        }
        let mut separators = self.separators.bytes();
        let mut pieces = Vec::new();
        for part in &self.parts {
            pieces.push(match part.as_str() {
                "*" => Piece::Any(Unnamed::Many),
                "?" => Piece::Any(Unnamed::Rare),
                "!" => Piece::Any(Unnamed::NoRoom),
                "#" => Piece::Any(Unnamed::Odd),
                text => {
                    Piece::Text(text.strip_prefix('=').ok_or_else(|| format!("{text:?} is no part"))?.as_bytes().into())
                }
            });
            pieces.extend(separators.next().map(Piece::Separator));
        }
        Ok(pieces)
    }

    fn access(&self) -> Result<Access, String> {
        Ok(match self.access.as_str() {
            "" => Access::NAME,
            "r" => Access::READ,
            "w" => Access::WRITE,
            "rw" => Access::READ_WRITE,
            other => return Err(format!("{other:?} is no access")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{ArgvBuf, CommandTable, Dialect};

    fn learnt(evidence: &Evidence) -> Learnt {
        let table = CommandTable::builtin(Dialect::Redis70);
        let mut usage = Usage::new(evidence);
        for n in 0..4000_u64 {
            let requests = [
                vec!["GET".to_owned(), format!("user:{n}:cart")],
                vec!["SET".to_owned(), "mode".to_owned(), "v".to_owned()],
                vec!["PUBLISH".to_owned(), "news".to_owned(), "v".to_owned()],
                vec!["PSUBSCRIBE".to_owned(), "news.*".to_owned()],
                vec!["GET".to_owned(), format!("mail/{}@example.org", n % 9)],
            ];
            for request in requests {
                let argv = ArgvBuf::from_iter(&request);
                usage.note(table.resolve(&argv.as_argv()).unwrap(), &argv.as_argv(), n, false);
            }
        }
        let rare = ArgvBuf::from_iter(["SORT", "rare|secret", "BY", "x*"]);
        usage.note(table.by_name("sort").unwrap(), &rare.as_argv(), 5000, true);
        Learnt::from([("shop".to_owned(), usage)])
    }

    #[test]
    fn what_is_read_back_is_what_was_written() {
        let evidence = Evidence::of_traffic();
        let text = to_text(&learnt(&evidence)).unwrap();
        let again = to_text(&from_text(&text, &evidence).unwrap()).unwrap();
        let sorted = |text: &str| {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&again), sorted(&text));
    }

    #[test]
    fn there_is_no_part_in_it_whose_place_had_more_than_eight_or_that_was_rare() {
        let text = to_text(&learnt(&Evidence::of_traffic())).unwrap();
        for marked in ["@example", "secret", "\"=17", "rare"] {
            assert!(!text.contains(marked), "{marked}: {text}");
        }
        for told in ["\"=user\",\"*\",\"=cart\"", "\"=mail\",\"*\"", "\"=mode\"", "\"=news.*\""] {
            assert!(text.contains(told), "{told}: {text}");
        }
    }

    #[test]
    fn a_part_that_was_told_is_not_once_its_place_has_more_than_eight() {
        let evidence = Evidence::of_traffic();
        let name = |n: usize| format!("kind:k{n}");
        let usage = |from: usize| {
            let mut usage = Usage::new(&evidence);
            let table = CommandTable::builtin(Dialect::Redis70);
            for n in 0..2000 {
                let argv = ArgvBuf::from_iter(["GET".to_owned(), name(from + n % 5)]);
                usage.note(table.by_name("get").unwrap(), &argv.as_argv(), 1, false);
            }
            usage
        };
        let text = to_text(&Learnt::from([("shop".to_owned(), usage(0))])).unwrap();
        assert!(text.contains("\"=k4\""), "{text}");
        let mut read = from_text(&text, &evidence).unwrap();
        read.get_mut("shop").unwrap().merge(&usage(5));
        let text = to_text(&read).unwrap();
        assert!(!text.contains("\"=k0") && !text.contains("\"=k7"), "{text}");
        assert!(text.contains("\"parts\":[\"=kind\",\"*\"]"), "{text}");
    }

    #[test]
    fn what_reads_like_no_word_leaves_a_file_that_has_it() {
        let line = |name: &str| {
            format!(
                "{{\"user\":\"a\",\"key\":{{\"parts\":[\"=lock\",\"={name}\"],\"separators\":\":\"}},\"count\":7,\"first\":1,\"last\":1}}\n"
            )
        };
        let text = ["{\"respgate_learnt\":1}\n", &line("ann@example.org"), &line("mail")].concat();
        let again = to_text(&from_text(&text, &Evidence::of_traffic()).unwrap()).unwrap();
        assert!(again.contains("[\"=lock\",\"#\"]") && again.contains("[\"=lock\",\"=mail\"]"), "{again}");
        assert!(!again.contains("example"), "{again}");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let error = |text: &str| from_text(text, &Evidence::of_traffic()).unwrap_err();
        assert_eq!(error("").line, 1);
        assert_eq!(error("{\"respgate_learnt\":2}\n").message, "version 2 is not known");
        let heading = "{\"respgate_learnt\":1}\n";
        assert_eq!(error(&format!("{heading}{{\"user\"")).line, 2);
        let odd = "{\"user\":\"a\",\"key\":{\"parts\":[\"x\"],\"separators\":\"\"},\"count\":1,\"first\":1,\"last\":1}";
        assert_eq!(error(&format!("{heading}{odd}")).message, "\"x\" is no part");
    }
}

//! A file that holds what `redis-cli MONITOR` printed, by client.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use crate::command::{Argv, CommandSpec, CommandTable};
use crate::learn::{Client, Evidence, MonitorLine, Replay, Suggestion, Usage};

/// The file, and whose requests of it are meant.
pub(super) struct Capture<'a> {
    pub(super) path: &'a Path,
    /// Addresses, with a port or without; all if there are none.
    pub(super) from: &'a [String],
    /// All clients are one.
    pub(super) is_joined: bool,
    pub(super) table: &'a CommandTable,
}

/// What was learnt from it.
#[derive(Default)]
pub(super) struct Learnt {
    /// By address.
    pub(super) clients: BTreeMap<String, Usage>,
    /// What was not taken of the file.
    pub(super) left_out: LeftOut,
}

/// Lines that are not taken.
#[derive(Default)]
pub(super) struct LeftOut {
    /// They are none of MONITOR.
    pub(super) unreadable: Lines,
    /// The command is not known, or has another number of arguments.
    pub(super) unknown: Lines,
    /// They are of others.
    pub(super) others: Lines,
}

/// How many, and the number of the first.
#[derive(Default)]
pub(super) struct Lines {
    pub(super) count: u64,
    pub(super) first: u64,
}

impl Lines {
    fn note(&mut self, number: u64) {
        if self.count == 0 {
            self.first = number;
        }
        self.count += 1;
    }
}

/// A request of a client, and where it stands.
struct Seen<'s> {
    client: &'s str,
    spec: &'s CommandSpec,
    argv: &'s Argv<'s>,
    line: &'s MonitorLine,
}

impl Capture<'_> {
    /// Reads all of it.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn learn(&self, evidence: &Evidence) -> io::Result<Learnt> {
        let mut clients: BTreeMap<String, Usage> = BTreeMap::new();
        let left_out = self.each(|Seen { client, spec, argv, line }| {
            if !clients.contains_key(client) {
                clients.insert(client.to_owned(), Usage::new(evidence));
            }
            if let Some(usage) = clients.get_mut(client) {
                usage.note(spec, argv, line.time, false);
            }
        })?;
        Ok(Learnt { clients, left_out })
    }

    /// Reads it again and replays the requests of one client under what is suggested, until no token of that is idle.
    ///
    /// # Errors
    /// It cannot be read, or the ACL does not take a rule.
    pub(super) fn prove(&self, whose: &str, mut suggestion: Suggestion) -> io::Result<(Suggestion, Replay<'_>)> {
        loop {
            let replay = Replay::new(&suggestion.line, &suggestion.withheld, self.table);
            let mut replay = replay.map_err(|error| io::Error::other(error.to_string()))?;
            self.each(|Seen { client, spec, argv, line }| {
                if client == whose {
                    replay.replay(spec, argv, line.database);
                }
            })?;
            match replay.without_idle(&suggestion) {
                None => return Ok((suggestion, replay)),
                Some(narrower) => suggestion = narrower,
            }
        }
    }

    fn each(&self, mut visit: impl FnMut(Seen<'_>)) -> io::Result<LeftOut> {
        let mut reader = BufReader::new(File::open(self.path)?);
        let (mut text, mut number, mut left_out) = (Vec::new(), 0, LeftOut::default());
        // What a script does comes right behind it.
        let mut last = String::new();
        loop {
            text.clear();
            if reader.read_until(b'\n', &mut text)? == 0 {
                return Ok(left_out);
            }
            number += 1;
            let text = text.strip_suffix(b"\n").unwrap_or(&text);
            // Before the first line redis-cli says that all is well.
            if text.is_empty() || text == b"OK" {
                continue;
            }
            let Ok(line) = MonitorLine::parse(text) else {
                left_out.unreadable.note(number);
                continue;
            };
            if let Client::Connection(connection) = &line.client {
                last.clone_from(connection);
            }
            let Some(client) = self.client(&last) else {
                left_out.others.note(number);
                continue;
            };
            let argv = line.argv.as_argv();
            match self.table.resolve(&argv) {
                Ok(spec) if spec.arity_ok(argv.len()) => visit(Seen { client, spec, argv: &argv, line: &line }),
                _ => left_out.unknown.note(number),
            }
        }
    }

    /// By what a connection is known; `None` if it is not meant.
    fn client<'c>(&self, connection: &'c str) -> Option<&'c str> {
        let address = Client::address(connection);
        let is_meant = self.from.is_empty() || self.from.iter().any(|from| from == address || from == connection);
        is_meant.then_some(if self.is_joined { "" } else { address })
    }
}

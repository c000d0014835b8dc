//! What the proxy answers in Redis's place, counted as Redis counts it [call, rejectCommand, afterErrorReply], so that a
//! client's INFO tells of it. Pure.
//!
//! It counts what all sessions of the process were answered, whoever their users are, as Redis does. It is locked only
//! when something is answered here or asked for.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Redis looks for the code of an error in so many bytes, the `-` included.
const CODE_WITHIN: usize = 32;

/// Codes that are told apart: as many as Redis does from 7.2 on. The texts of this program have less than ten.
const MOST_CODES: usize = 128;

/// The counts of a process.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Counts>);

/// What is to be added to Redis's counts. Negative where Redis counted something of ours that no client sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// By full name. The keys are names of known commands.
    pub(super) commands: BTreeMap<Box<str>, CommandCounts>,
    /// By code, `ERR`.
    pub(super) errors: BTreeMap<Box<str>, i64>,
    /// Error replies, of whatever code.
    pub(super) error_replies: i64,
}

/// The counts of one command.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct CommandCounts {
    /// It was carried out.
    pub(super) calls: i64,
    /// It was not carried out.
    pub(super) rejected: i64,
    /// Of its calls, those that came to an error.
    pub(super) failed: i64,
}

impl Tally {
    /// A command was carried out here.
    pub(super) fn call(&self, command: &str, failed: bool) {
        self.count(command, CommandCounts { calls: 1, rejected: 0, failed: i64::from(failed) });
    }

    /// A command was rejected before it was carried out.
    pub(super) fn rejection(&self, command: &str) {
        self.count(command, CommandCounts { calls: 0, rejected: 1, failed: 0 });
    }

    /// A client was sent an error, the text of which this is, without the `-`; or would have been, had it wanted replies.
    pub(super) fn error(&self, text: &str) {
        self.lock().add_error(code(text), 1);
    }

    /// Redis counts a call of a command that no client sent.
    pub(super) fn compensate_call(&self, command: &str) {
        self.count(command, CommandCounts { calls: -1, rejected: 0, failed: 0 });
    }

    /// The same of one that it rejects.
    pub(super) fn compensate_rejection(&self, command: &str) {
        self.count(command, CommandCounts { calls: 0, rejected: -1, failed: 0 });
    }

    /// Redis counts an error of this code that no client caused.
    pub(super) fn compensate_error(&self, code: &str) {
        self.lock().add_error(code, -1);
    }

    /// Redis has forgotten its counts.
    pub(super) fn reset(&self) {
        *self.lock() = Counts::default();
    }

    /// What there is to add; `None` if there is nothing.
    pub(super) fn counts(&self) -> Option<Counts> {
        let counts = self.lock();
        (*counts != Counts::default()).then(|| counts.clone())
    }

    fn count(&self, command: &str, more: CommandCounts) {
        let mut counts = self.lock();
        match counts.commands.get_mut(command) {
            Some(known) => known.add(more),
            None => drop(counts.commands.insert(command.into(), more)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Nothing panics while it is held, and if something did, the counts would be whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn add_error(&mut self, code: &str, more: i64) {
        self.error_replies += more;
        if let Some(count) = self.errors.get_mut(code) {
            *count += more;
        } else if self.errors.len() < MOST_CODES {
            self.errors.insert(code.into(), more);
        }
    }
}

impl CommandCounts {
    /// Adds others.
    pub(super) fn add(&mut self, more: CommandCounts) {
        self.calls += more.calls;
        self.rejected += more.rejected;
        self.failed += more.failed;
    }
}

/// The code of an error, as Redis finds it.
fn code(text: &str) -> &str {
    match text.find(' ') {
        Some(end) if end + 1 < CODE_WITHIN => &text[..end],
        _ => "ERR",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(tally: &Tally, name: &str) -> (i64, i64, i64) {
        let counts = tally.counts().unwrap().commands[name];
        (counts.calls, counts.rejected, counts.failed)
    }

    #[test]
    fn calls_rejections_and_failures_are_counted_by_command() {
        let tally = Tally::default();
        tally.call("auth", false);
        tally.call("auth", true);
        tally.rejection("auth");
        tally.rejection("config|set");
        assert_eq!((command(&tally, "auth"), command(&tally, "config|set")), ((2, 1, 1), (0, 1, 0)));
    }

    #[test]
    fn errors_are_counted_by_the_code_that_redis_would_find() {
        let tally = Tally::default();
        let long = "A".repeat(31);
        for text in ["NOPERM no", "NOPERM never", "ERR syntax error", "nospace", &format!("{long} too long")] {
            tally.error(text);
        }
        tally.error(&format!("{} fits", &long[1..]));
        let counts = tally.counts().unwrap();
        let errors: Vec<_> = counts.errors.iter().map(|(code, count)| (&**code, *count)).collect();
        assert_eq!(errors, [(&long[1..], 1), ("ERR", 3), ("NOPERM", 2)]);
        assert_eq!(counts.error_replies, 6);
    }

    #[test]
    fn more_codes_than_redis_would_keep_are_counted_as_replies_only() {
        let tally = Tally::default();
        (0..1000).for_each(|number| tally.error(&format!("E{number} x")));
        let counts = tally.counts().unwrap();
        assert_eq!((counts.errors.len(), counts.error_replies), (MOST_CODES, 1000));
    }

    #[test]
    fn what_redis_counted_of_ours_is_subtracted() {
        let tally = Tally::default();
        tally.compensate_error("ERR");
        tally.compensate_call("echo");
        let counts = tally.counts().unwrap();
        assert_eq!((counts.error_replies, counts.errors["ERR"]), (-1, -1));
        assert_eq!(command(&tally, "echo"), (-1, 0, 0));
    }

    #[test]
    fn after_a_reset_there_is_nothing_to_add() {
        let tally = Tally::default();
        assert_eq!(tally.counts(), None);
        tally.call("quit", false);
        tally.error("ERR no");
        tally.reset();
        assert_eq!(tally.counts(), None);
    }
}

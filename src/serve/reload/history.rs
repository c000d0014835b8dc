//! How reloads have gone, and what one has come to.

use std::path::PathBuf;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::audit::events::ReloadCause;
use crate::serve::status::{FailedReload, Reloads, UnansweredFile, rfc3339};

/// How reloads have gone since the start of the process.
#[derive(Debug, Default)]
pub(in crate::serve) struct ReloadHistory {
    failed: u64,
    last_failure: Option<Failure>,
    /// The file whose file system does not answer, and since when that is known.
    unanswered: Option<(SystemTime, PathBuf)>,
}

#[derive(Debug)]
struct Failure {
    at: SystemTime,
    cause: ReloadCause,
    problems: Vec<String>,
    /// Nothing is wrong any more: what the files say is in force.
    is_mended: bool,
}

impl ReloadHistory {
    /// One has failed.
    pub(super) fn note_failure(&mut self, cause: ReloadCause, problems: Vec<String>) {
        self.failed += 1;
        self.last_failure = Some(Failure { at: SystemTime::now(), cause, problems, is_mended: false });
    }

    /// A file does not answer.
    pub(super) fn note_unanswered(&mut self, path: PathBuf) {
        self.unanswered = Some((SystemTime::now(), path));
    }

    /// It has.
    pub(super) fn note_answered(&mut self) {
        self.unanswered = None;
    }

    /// Whether something is wrong with the files still.
    pub(in crate::serve) fn is_failed(&self) -> bool {
        self.last_failure.as_ref().is_some_and(|failure| !failure.is_mended)
    }

    /// Nothing is any more.
    pub(super) fn note_mended(&mut self) {
        if let Some(failure) = &mut self.last_failure {
            failure.is_mended = true;
        }
    }

    /// As it is shown.
    pub(in crate::serve) fn status(&self) -> Reloads {
        let last_failure = self.last_failure.as_ref().map(|failure| FailedReload {
            time: rfc3339(failure.at),
            cause: failure.cause.name().to_owned(),
            problems: failure.problems.clone(),
            is_mended: failure.is_mended,
        });
        let unanswered = self
            .unanswered
            .as_ref()
            .map(|(since, path)| UnansweredFile { since: rfc3339(*since), file: path.display().to_string() });
        Reloads { failed: self.failed, last_failure, unanswered }
    }
}

/// What a reload that was asked for has come to. Described in `docs/operations.md`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadReport {
    /// The generation that is in force now.
    pub generation: u64,
    /// What is wrong.
    pub errors: Vec<String>,
    /// What stays as it was because of that. Everything else is in force.
    pub held_up: Vec<String>,
    /// What works but is better changed.
    pub warnings: Vec<String>,
    /// Settings that have changed and take effect only with a restart.
    pub restart_needed: Vec<String>,
    /// Why Redis may still execute what was sent before with rights that are gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_confirmed: Option<String>,
}

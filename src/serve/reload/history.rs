//! How reloads have gone, and what one has come to.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::audit::events::ReloadCause;
use crate::serve::status::{FailedReload, Reloads, rfc3339};

/// How reloads have gone since the start of the process.
#[derive(Debug, Default)]
pub(in crate::serve) struct ReloadHistory {
    failed: u64,
    last_failure: Option<Failure>,
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
        Reloads { failed: self.failed, last_failure }
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

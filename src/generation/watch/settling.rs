//! When a change of one file has settled. The time is passed in.

use std::time::{Duration, Instant};

use crate::files::Digest;

/// How long a file may go without settling before somebody is told.
const PATIENCE: Duration = Duration::from_secs(5);

/// What one look at a file has shown.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    /// `None` if it cannot be read.
    pub(super) content: Option<Digest>,
    /// How long it has to stay so.
    pub(super) quiet: Duration,
    /// The number of the look.
    pub(super) look: u64,
}

/// How a file stands after a look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ContentState {
    /// What it holds is what was taken last.
    Taken,
    /// What it holds is taken now.
    News,
    /// What it holds may not be all of it.
    Unsettled { is_overdue: bool },
}

/// One file over time. The outer `None` is a file that nothing was taken of, the inner one content that cannot be read.
#[derive(Default)]
pub(super) struct Settling {
    pub(super) taken: Option<Option<Digest>>,
    pending: Option<PendingChange>,
}

/// Since something else was seen than what had been taken.
struct PendingChange {
    began: Instant,
    /// The look that was first to see it.
    look: u64,
    /// What was seen last, since when without a change, and how long that has to last.
    content: Option<Digest>,
    since: Instant,
    quiet: Duration,
    is_told: bool,
}

impl PendingChange {
    fn has_settled(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= self.quiet
    }

    fn is_old(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.began) >= PATIENCE
    }
}

impl Settling {
    pub(super) fn take(&mut self, content: Option<Digest>) {
        *self = Settling { taken: Some(content), pending: None };
    }

    pub(super) fn see(&mut self, seen: Seen, now: Instant) {
        let Seen { content, quiet, look } = seen;
        if self.taken == Some(content) {
            self.pending = None;
            return;
        }
        self.pending = Some(match self.pending.take() {
            Some(pending) if pending.content == content => PendingChange { quiet, ..pending },
            Some(pending) => PendingChange { content, since: now, quiet, ..pending },
            None => PendingChange { began: now, look, content, since: now, quiet, is_told: false },
        });
    }

    /// The look that first saw a change that has not settled.
    pub(super) fn awaits(&self, now: Instant) -> Option<u64> {
        self.pending.as_ref().filter(|pending| !pending.has_settled(now)).map(|pending| pending.look)
    }

    /// Takes what has settled, but for what changed together with something that has not: all may have been replaced at
    /// once, between two looks or within one. `awaited` has the looks that first saw such.
    pub(super) fn settle(&mut self, awaited: &[u64], now: Instant) -> ContentState {
        let Some(pending) = &mut self.pending else { return ContentState::Taken };
        let is_held = awaited.iter().any(|look| look.abs_diff(pending.look) <= 1) && !pending.is_old(now);
        if pending.has_settled(now) && !is_held {
            let content = pending.content;
            self.take(content);
            return ContentState::News;
        }
        let is_overdue = !pending.is_told && pending.is_old(now);
        pending.is_told |= is_overdue;
        ContentState::Unsettled { is_overdue }
    }
}

//! One watched file: what was taken of it, and what is in force.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::settling::{ContentState, Seen, Settling};
use crate::config::FileKind;
use crate::files::{Content, Digest, Files};

/// How long content has to stay the same. A little less than the default `reload-interval`: two looks in a row are it.
pub(super) const QUIET: Duration = Duration::from_millis(150);

/// The same where it looks like the beginning of something longer.
pub(super) const QUIET_BEGINNING: Duration = Duration::from_secs(2);

/// One file.
pub(super) struct Watched {
    pub(super) kind: FileKind,
    pub(super) settling: Settling,
    /// What was taken last of a file that has to settle.
    whole: Zeroizing<Vec<u8>>,
    /// What is in force of it: what was taken may have been refused.
    whole_in_force: Zeroizing<Vec<u8>>,
    /// What is in force, `None` where nothing was ever.
    pub(super) digest_in_force: Option<Option<Digest>>,
    /// What is in force of a file that does not have to settle.
    pub(super) content_in_force: Option<Arc<Content>>,
    /// Pipes and devices are read when they are taken, and never again: what they gave is gone.
    is_regular: bool,
}

impl Watched {
    pub(super) fn new(kind: FileKind) -> Watched {
        Watched {
            kind,
            settling: Settling::default(),
            whole: Zeroizing::default(),
            whole_in_force: Zeroizing::default(),
            digest_in_force: None,
            content_in_force: None,
            is_regular: true,
        }
    }

    pub(super) fn taken(kind: FileKind, path: &Path, files: &Files) -> Watched {
        let mut watched = Watched::new(kind);
        watched.take(path, files);
        watched.put_in_force(path, files);
        watched
    }

    pub(super) fn is_in_force(&self) -> bool {
        self.settling.taken == self.digest_in_force
    }

    pub(super) fn put_in_force(&mut self, path: &Path, files: &Files) {
        if self.kind.has_to_settle() {
            self.whole_in_force = self.whole.clone();
            self.digest_in_force = self.settling.taken;
        } else {
            self.content_in_force = files.read(path).ok();
            self.digest_in_force = Some(self.content_in_force.as_deref().map(Content::digest));
        }
    }

    pub(super) fn take(&mut self, path: &Path, files: &Files) {
        let content = files.read(path).ok();
        self.is_regular = content.as_deref().is_none_or(|content| content.metadata.is_file());
        self.settling.take(content.as_deref().map(Content::digest));
        self.keep(content.as_deref().map_or(&[], |content| &content.bytes));
    }

    /// Takes note of what the file holds at this look.
    pub(super) fn see(&mut self, path: &Path, files: &Files, look: u64, now: Instant) {
        let is_regular = files.is_regular(path) == Some(true);
        if !self.is_regular && !is_regular {
            return;
        }
        self.is_regular = true;
        // A device may have no end.
        let content = is_regular.then(|| files.read(path).ok()).flatten();
        let digest = content.as_deref().map(Content::digest);
        let quiet = if self.kind.has_to_settle() {
            let of_what_was = |content: &Content| {
                [&self.whole, &self.whole_in_force].into_iter().any(|whole| is_beginning(&content.bytes, whole))
            };
            if content.as_deref().is_none_or(of_what_was) { QUIET_BEGINNING } else { QUIET }
        } else {
            Duration::ZERO
        };
        self.settling.see(Seen { content: digest, quiet, look }, now);
    }

    /// How the file stands, after all have been seen: see [`Settling::settle`].
    pub(super) fn settle(&mut self, path: &Path, files: &Files, awaited: &[u64], now: Instant) -> ContentState {
        let standing = self.settling.settle(awaited, now);
        if standing == ContentState::News {
            let content = self.settling.taken.flatten().and_then(|_| files.read(path).ok());
            self.keep(content.as_deref().map_or(&[], |content| &content.bytes));
        }
        standing
    }

    pub(super) fn keep(&mut self, bytes: &[u8]) {
        if self.kind.has_to_settle() {
            self.whole = Zeroizing::new(bytes.to_vec());
        }
    }
}

/// Whether content looks as if more were to come: its last line has no end, or it is what `whole` begins with.
pub(super) fn is_beginning(content: &[u8], whole: &[u8]) -> bool {
    // What is the same can only have another mode by now.
    content != whole && (!content.ends_with(b"\n") || whole.starts_with(content))
}

//! What takes as long as a file system likes, on a thread of its own: one thing at a time, while everything else goes on.

use std::cell::RefCell;
use std::future::pending;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep_until};

use super::history::ReloadHistory;
use crate::audit::events;
use crate::files::{AskedFor, Files};

/// How long files may take before somebody is told.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Reads files, of which `T` comes.
pub(super) struct Reader<T> {
    under_way: Option<UnderWay<T>>,
    patience: Duration,
    history: Rc<RefCell<ReloadHistory>>,
}

struct UnderWay<T> {
    found: JoinHandle<T>,
    /// Where it is at the moment.
    at: AskedFor,
    patience_ends: Instant,
    is_told: bool,
}

impl<T: Send + 'static> Reader<T> {
    /// What takes long is noted there.
    pub(super) fn new(history: Rc<RefCell<ReloadHistory>>) -> Reader<T> {
        Reader { under_way: None, patience: PATIENCE, history }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.under_way.is_some()
    }

    /// Begins to read these files, unless any are being read.
    pub(super) fn begin(&mut self, files: Files, read: impl FnOnce(Files) -> T + Send + 'static) {
        if self.under_way.is_none() {
            let (at, patience_ends) = (files.asked_for(), Instant::now() + self.patience);
            let found = spawn_blocking(move || read(files));
            self.under_way = Some(UnderWay { found, at, patience_ends, is_told: false });
        }
    }

    /// What has come of it, once there is something. It may be dropped, and asked again.
    pub(super) async fn found(&mut self) -> T {
        let Some(under_way) = &mut self.under_way else { return pending().await };
        let found = loop {
            tokio::select! {
                biased;
                found = &mut under_way.found => break found,
                () = sleep_until(under_way.patience_ends), if !under_way.is_told => {
                    let path = under_way.at.path();
                    events::file_does_not_answer(&path);
                    self.history.borrow_mut().note_unanswered(path);
                    under_way.is_told = true;
                }
            }
        };
        if under_way.is_told {
            events::files_answer_again();
            self.history.borrow_mut().note_answered();
        }
        self.under_way = None;
        found.unwrap_or_else(|error| resume_unwind(error.into_panic()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn who_waits_for_a_file_that_does_not_answer_learns_which_it_is_and_may_do_something_else_meanwhile() {
        let history = Rc::new(RefCell::new(ReloadHistory::default()));
        let unanswered = || history.borrow().status().unanswered.map(|unanswered| unanswered.file);
        let mut reader = Reader { patience: Duration::ZERO, ..Reader::new(Rc::clone(&history)) };
        let (answer, answers) = mpsc::channel();
        let (at_it, is_at_it) = mpsc::channel();
        reader.begin(Files::default(), move |files| {
            files.is_regular(Path::new("/a/file"));
            at_it.send(()).unwrap();
            answers.recv().unwrap()
        });
        reader.begin(Files::default(), |_| unreachable!("one thing at a time"));
        is_at_it.recv().unwrap();
        while unanswered().is_none() {
            let found = tokio::time::timeout(Duration::from_millis(1), reader.found()).await;
            assert!(found.is_err());
        }
        assert_eq!((unanswered().as_deref(), reader.is_busy()), (Some("/a/file"), true));
        answer.send("read after all").unwrap();
        assert_eq!(reader.found().await, "read after all");
        assert_eq!((unanswered(), reader.is_busy()), (None, false));
    }
}

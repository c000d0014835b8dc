//! What Redis says of itself, while it is there, for whoever watches it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Its last words.
#[derive(Debug, Default)]
pub(super) struct Heard(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    info: Option<Arc<str>>,
    times_lost: u64,
}

impl Heard {
    /// It has just said this in reply to INFO.
    pub(super) fn note(&self, info: &str) {
        self.state().info = Some(info.into());
    }

    /// It is not there.
    pub(super) fn note_gone(&self) {
        let mut state = self.state();
        state.times_lost += u64::from(state.info.take().is_some());
    }

    pub(super) fn info(&self) -> Option<Arc<str>> {
        self.state().info.clone()
    }

    pub(super) fn times_lost(&self) -> u64 {
        self.state().times_lost
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_lost_once_however_often_it_is_found_to_be_gone() {
        let heard = Heard::default();
        heard.note_gone();
        assert_eq!((heard.info(), heard.times_lost()), (None, 0), "it was never there");
        heard.note("# Server\r\n");
        assert_eq!(heard.info().as_deref(), Some("# Server\r\n"));
        (0..3).for_each(|_| heard.note_gone());
        assert_eq!((heard.info(), heard.times_lost()), (None, 1));
    }
}

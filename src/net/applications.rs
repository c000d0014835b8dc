//! How many applications a tunnel has. They are counted apart from the clients of the gate: who may use a tunnel keeps none of
//! those out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Applications that have a tunnel, or wait for a server.
#[derive(Debug, Default)]
pub struct Applications(AtomicU32);

/// One of them, until this is dropped.
#[derive(Debug)]
pub struct ApplicationPermit(Arc<Applications>);

impl Applications {
    /// For one more, where there are fewer than `most`.
    pub fn enter(self: &Arc<Self>, most: u32) -> Option<ApplicationPermit> {
        let one_more = |count| (count < most).then_some(count + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(ApplicationPermit(Arc::clone(self)))
    }
}

impl Drop for ApplicationPermit {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_as_may_be_and_one_that_leaves_makes_room() {
        let applications = Arc::new(Applications::default());
        let mut inside: Vec<_> = (0..3).map(|_| applications.enter(3).unwrap()).collect();
        assert!(applications.enter(3).is_none());
        inside.pop();
        assert!(applications.enter(2).is_none(), "fewer from now on");
        assert!(applications.enter(3).is_some());
    }
}

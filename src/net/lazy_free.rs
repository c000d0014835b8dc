//! Memory that takes long to free is freed on a thread of its own, as at Redis (lazyfree): the names of a million subscriptions take a
//! third of a second. They are freed faster than anybody subscribes, so little waits.

use std::io;
use std::sync::mpsc;

use crate::session::ToFree;

/// Where it goes.
#[derive(Clone)]
pub struct LazyFree(mpsc::Sender<ToFree>);

impl LazyFree {
    /// Starts the thread. It ends when nobody can reach it any more.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn start() -> io::Result<LazyFree> {
        let (sender, to_free) = mpsc::channel::<ToFree>();
        std::thread::Builder::new().name("lazy-free".to_owned()).spawn(move || to_free.into_iter().for_each(drop))?;
        Ok(LazyFree(sender))
    }

    /// Has this freed.
    pub(super) fn free(&self, to_free: ToFree) {
        // Where the thread has gone, it is freed here.
        let _ = self.0.send(to_free);
    }
}

#[cfg(test)]
mod tests {
    use std::thread::{self, ThreadId};

    use super::*;

    /// Tells where it is dropped.
    struct Told(mpsc::Sender<ThreadId>);

    impl Drop for Told {
        fn drop(&mut self) {
            self.0.send(thread::current().id()).unwrap();
        }
    }

    #[test]
    fn nobody_waits_for_what_is_freed() {
        let (tell, told) = mpsc::channel();
        LazyFree::start().unwrap().free(Box::new(Told(tell)));
        assert_ne!(told.recv().unwrap(), thread::current().id());
    }
}

//! By which of its sockets a session is woken: the other one need not be asked again whether something has come.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

/// The sockets of a session, as far as they wake it.
pub(super) struct Sockets {
    session: Waker,
    pub(super) client: Socket,
    pub(super) redis: Socket,
}

/// One of them.
pub(super) struct Socket {
    signal: Arc<Signal>,
    waker: Waker,
    /// It was asked in vain, and is to wake the session.
    is_quiet: Cell<bool>,
}

/// Wakes a session, and keeps in mind that it did.
struct Signal {
    session: Waker,
    is_given: AtomicBool,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_given.store(true, Ordering::Release);
        self.session.wake_by_ref();
    }
}

impl Sockets {
    /// Those of the session with this waker.
    pub(super) fn new(session: &Waker) -> Self {
        Self { session: session.clone(), client: Socket::new(session), redis: Socket::new(session) }
    }

    /// Whether they wake whoever has this waker.
    pub(super) fn wake(&self, session: &Waker) -> bool {
        self.session.will_wake(session)
    }
}

impl Socket {
    fn new(session: &Waker) -> Self {
        let signal = Arc::new(Signal { session: session.clone(), is_given: AtomicBool::new(false) });
        Self { waker: Arc::clone(&signal).into(), signal, is_quiet: Cell::new(false) }
    }

    /// In which it is polled.
    pub(super) fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }

    /// Whether it was asked in vain and has not woken the session since.
    pub(super) fn is_quiet(&self) -> bool {
        if self.signal.is_given.swap(false, Ordering::Acquire) {
            self.is_quiet.set(false);
        }
        self.is_quiet.get()
    }

    /// Whether it was asked in vain, as of the end of a turn.
    pub(super) fn note_quiet(&self, is_quiet: bool) {
        self.is_quiet.set(is_quiet);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_quiet_until_it_wakes_the_session_and_the_other_one_stays_so() {
        let sockets = Sockets::new(Waker::noop());
        let quiet = || [sockets.client.is_quiet(), sockets.redis.is_quiet()];
        assert_eq!(quiet(), [false; 2], "nobody has asked yet");
        sockets.client.note_quiet(true);
        sockets.redis.note_quiet(true);
        assert_eq!(quiet(), [true; 2]);
        sockets.redis.context().waker().wake_by_ref();
        assert_eq!(quiet(), [true, false]);
        assert_eq!(quiet(), [true, false], "it was not asked yet");
    }
}

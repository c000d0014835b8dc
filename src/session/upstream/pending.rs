//! The replies that are outstanding, in the order of the requests.

use std::collections::VecDeque;

use super::database::Databases;
use super::subscription::Kind;
use crate::command::ArgvBuf;
use crate::resp::Protocol;
use crate::session::intake::Visibility;
use crate::session::output::{Output, Side};

/// What stands in one place in the order of replies.
pub(in crate::session) enum Slot {
    /// So many replies of Redis that go to the client untouched.
    Pass(u64),
    /// The reply of a command that may block for long: this one.
    Blocking(Box<ArgvBuf>),
    /// The reply to CLIENT ID: from then on others may name this session.
    ClientId,
    /// The reply to HELLO: success switches the protocol.
    Hello(Protocol),
    /// The reply to MULTI: success opens a transaction.
    Multi,
    /// The reply to DISCARD: success ends it.
    Discard,
    /// The reply to EXEC, which ends it. Success may select one of these databases.
    Exec { selects: Databases },
    /// The reply to SELECT: success changes the database, to an unknown one if it was not named as a number.
    Select(Option<u32>),
    /// The reply to MONITOR: success starts the stream.
    Monitor,
    /// The reply to CLIENT TRACKING, by whether it turns it on.
    Tracking(bool),
    /// So many confirmations of SUBSCRIBE or a relative, or one error in their place; with the request if it is one of
    /// those that subscribe.
    Subscription { kind: Kind, left: u64, request: Option<Box<ArgvBuf>> },
    /// The reply to a login of ours, as a mirror of the session's user.
    MirrorLogin,
    /// An error of which the client is shown ours instead. Any other reply ends the session.
    Replace(Box<[u8]>),
    /// The same, of an EXEC.
    ReplaceExec(Box<[u8]>),
    /// A reply of ours.
    Local(Box<[u8]>),
}

/// Bytes of memory that a small allocation takes besides those that were asked for, at the most.
const ALLOCATION: usize = 16;

/// Sums over slots.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Totals {
    /// Replies that Redis owes.
    replies: u64,
    /// Bytes of replies of ours.
    local_bytes: usize,
    /// Bytes of memory.
    memory: usize,
}

impl Slot {
    fn totals(&self) -> Totals {
        let memory = match self {
            Self::Blocking(request) | Self::Subscription { request: Some(request), .. } => {
                ALLOCATION + size_of::<ArgvBuf>() + request.memory()
            }
            Self::Replace(bytes) | Self::ReplaceExec(bytes) | Self::Local(bytes) => ALLOCATION + bytes.len(),
            Self::Pass(_)
            | Self::ClientId
            | Self::Hello(_)
            | Self::Multi
            | Self::Discard
            | Self::Exec { .. }
            | Self::Select(_)
            | Self::Monitor
            | Self::Tracking(_)
            | Self::Subscription { request: None, .. }
            | Self::MirrorLogin => 0,
        };
        let (replies, local_bytes) = match self {
            Self::Pass(count) | Self::Subscription { left: count, .. } => (*count, 0),
            Self::Local(bytes) => (0, bytes.len()),
            _ => (1, 0),
        };
        Totals { replies, local_bytes, memory: size_of::<Entry>() + memory }
    }

    /// Whether its reply changes how what follows is to be read, or may be long in coming: no request is sent behind it, and
    /// the next is judged by the rights of the moment when it has come.
    fn is_barrier(&self) -> bool {
        match self {
            Self::Blocking(_) | Self::Hello(_) | Self::Monitor | Self::Subscription { .. } | Self::MirrorLogin => true,
            Self::Pass(_)
            | Self::ClientId
            | Self::Multi
            | Self::Discard
            | Self::Exec { .. }
            | Self::Select(_)
            | Self::Tracking(_)
            | Self::Replace(_)
            | Self::ReplaceExec(_)
            | Self::Local(_) => false,
        }
    }
}

struct Entry {
    slot: Slot,
    visibility: Visibility,
}

/// The queue of slots. Whatever is sent to Redis has its place here before, and each reply takes the first; so it is empty
/// exactly when nothing is owed.
#[derive(Default)]
pub(in crate::session) struct Pending {
    entries: VecDeque<Entry>,
    /// Of all entries.
    totals: Totals,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many replies Redis owes.
    pub(super) fn replies(&self) -> u64 {
        self.totals.replies
    }

    /// Those of them that are not of a barrier at the end, by whose request the session is judged as long as it lasts.
    pub(super) fn replies_before_barrier(&self) -> u64 {
        let barrier = self.entries.back().map(|entry| &entry.slot).filter(|slot| slot.is_barrier());
        self.totals.replies - barrier.map_or(0, |slot| slot.totals().replies)
    }

    /// How many bytes of ours wait for earlier replies.
    pub(super) fn local_bytes(&self) -> usize {
        self.totals.local_bytes
    }

    /// How many bytes of memory it takes.
    pub(super) fn memory(&self) -> usize {
        self.totals.memory
    }

    pub(super) fn front(&self) -> Option<&Slot> {
        self.entries.front().map(|entry| &entry.slot)
    }

    /// Whether the client is shown what comes next. What answers nothing, it is.
    pub(super) fn is_shown(&self) -> bool {
        self.entries.front().is_none_or(|entry| entry.visibility == Visibility::Shown)
    }

    /// What is waited for, in order.
    pub(super) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.entries.iter().map(|entry| &entry.slot)
    }

    /// Whether no further request may be sent for now: a barrier is always the last.
    pub(super) fn has_barrier(&self) -> bool {
        self.entries.back().is_some_and(|entry| entry.slot.is_barrier())
    }

    /// How many replies in a row, from now, are all the same to us.
    pub(super) fn pass_run(&self) -> u64 {
        match self.front() {
            Some(Slot::Pass(count)) => *count,
            _ => 0,
        }
    }

    pub(super) fn push(&mut self, slot: Slot, visibility: Visibility) {
        if let (Slot::Pass(more), Some(Entry { slot: Slot::Pass(count), visibility: same })) =
            (&slot, self.entries.back_mut())
            && *same == visibility
        {
            *count += more;
            self.totals.replies += more;
            return;
        }
        let Totals { replies, local_bytes, memory } = slot.totals();
        self.totals.replies += replies;
        self.totals.local_bytes += local_bytes;
        self.totals.memory += memory;
        self.entries.push_back(Entry { slot, visibility });
    }

    /// `count` replies of the first slot have come; the slot, if it waits for no more.
    pub(super) fn complete(&mut self, count: u64) -> Option<Slot> {
        match self.entries.front_mut().map(|entry| &mut entry.slot) {
            Some(Slot::Pass(left) | Slot::Subscription { left, .. }) if *left > count => {
                *left -= count;
                self.totals.replies -= count;
                None
            }
            _ => self.pop(),
        }
    }

    /// Sends the local replies that nothing is in front of any more.
    pub(super) fn release(&mut self, out: &mut Output<'_>) {
        while let Some(Slot::Local(_)) = self.front() {
            if let Some(Slot::Local(bytes)) = self.pop() {
                out.send(Side::Downstream, &bytes);
            }
        }
        if self.entries.is_empty() && self.entries.capacity() > 64 {
            self.entries = VecDeque::new();
        }
    }

    /// The first slot, whatever it still waits for.
    pub(super) fn pop(&mut self) -> Option<Slot> {
        let Entry { slot, .. } = self.entries.pop_front()?;
        let Totals { replies, local_bytes, memory } = slot.totals();
        self.totals.replies -= replies;
        self.totals.local_bytes -= local_bytes;
        self.totals.memory -= memory;
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(bytes: &[u8]) -> Box<[u8]> {
        bytes.into()
    }

    #[test]
    fn totals_are_those_of_the_slots_that_are_left() {
        let mut pending = Pending::default();
        let request = || Box::new(ArgvBuf::from_iter(["SUBSCRIBE", "a", "b"]));
        for slot in [
            Slot::Pass(1),
            Slot::Pass(1),
            Slot::Local(words(b"+OK\r\n")),
            Slot::Replace(words(b"-ERR\r\n")),
            Slot::Subscription { kind: Kind::Channel, left: 2, request: Some(request()) },
        ] {
            pending.push(slot, Visibility::Shown);
        }
        assert_eq!((pending.replies(), pending.local_bytes(), pending.slots().count()), (5, 5, 4));
        assert!(pending.memory() > 4 * size_of::<Entry>());
        assert!(pending.complete(1).is_none());
        while pending.complete(1).is_some() || !pending.is_empty() {}
        assert_eq!(pending.totals, Totals::default());
    }

    #[test]
    fn one_error_takes_the_place_of_all_confirmations() {
        let mut pending = Pending::default();
        pending.push(Slot::Subscription { kind: Kind::Channel, left: 3, request: None }, Visibility::Shown);
        assert!(pending.has_barrier() && pending.pop().is_some());
        assert_eq!(pending.totals, Totals::default());
    }

    #[test]
    fn replies_that_are_shown_and_hidden_have_places_of_their_own() {
        let mut pending = Pending::default();
        for visibility in [Visibility::Shown, Visibility::Hidden, Visibility::Hidden] {
            pending.push(Slot::Pass(1), visibility);
        }
        assert_eq!((pending.slots().count(), pending.pass_run(), pending.is_shown()), (2, 1, true));
        pending.complete(1);
        assert_eq!((pending.pass_run(), pending.is_shown()), (2, false));
    }
}

//! What is owed to the client, in the order of its requests.

use std::collections::VecDeque;

use super::output::{Output, Side};
use super::subscription::Kind;
use crate::command::ArgvBuf;
use crate::resp::Protocol;

/// One place in the order of replies.
pub(super) enum Slot {
    /// So many replies of Redis that go to the client untouched.
    Pass(u64),
    /// The reply of a command that may block for long: this one.
    Blocking(Box<ArgvBuf>),
    /// The reply to HELLO: success switches the protocol.
    Hello(Protocol),
    /// The reply to MULTI: failure means that there is no transaction.
    Multi,
    /// The reply to SELECT: success changes the database, to an unknown one if it was not named as a number.
    Select(Option<u32>),
    /// The reply to MONITOR: success starts the stream.
    Monitor,
    /// So many confirmations of SUBSCRIBE or a relative, or one error in their place.
    Confirm { kind: Kind, left: u64 },
    /// The reply to EXEC, some elements of which are ours.
    Exec(Box<ExecReply>),
    /// One reply that is dropped; ours goes in its place.
    Replace(Box<[u8]>),
    /// A reply of ours.
    Local(Box<[u8]>),
}

/// An EXEC reply on its way, element by element.
#[derive(Debug)]
pub(super) struct ExecReply {
    /// Our answers by place, in rising order.
    pub(super) answers: VecDeque<(u32, Box<[u8]>)>,
    /// Elements still to come, once the header has been seen.
    pub(super) left: Option<u64>,
    /// The place of the next element.
    pub(super) place: u32,
}

/// The queue of slots.
#[derive(Default)]
pub(super) struct Pending {
    slots: VecDeque<Slot>,
    /// Replies that Redis owes: never more than the window of the session.
    replies: u64,
    /// Bytes in `Slot::Local`.
    local_bytes: usize,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// How many replies Redis owes.
    pub(super) fn replies(&self) -> u64 {
        self.replies
    }

    /// How many bytes of ours wait for earlier replies.
    pub(super) fn local_bytes(&self) -> usize {
        self.local_bytes
    }

    pub(super) fn front(&self) -> Option<&Slot> {
        self.slots.front()
    }

    pub(super) fn front_mut(&mut self) -> Option<&mut Slot> {
        self.slots.front_mut()
    }

    /// The commands that Redis may be blocked in.
    pub(super) fn blocking(&self) -> impl Iterator<Item = &ArgvBuf> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Blocking(request) => Some(&**request),
            _ => None,
        })
    }

    /// How many replies in a row, from now, go to the client untouched.
    pub(super) fn pass_run(&self) -> u64 {
        match self.slots.front() {
            Some(Slot::Pass(count)) => *count,
            _ => 0,
        }
    }

    pub(super) fn push(&mut self, slot: Slot) {
        match (&slot, self.slots.back_mut()) {
            (Slot::Pass(more), Some(Slot::Pass(count))) => {
                *count += more;
                self.replies += more;
                return;
            }
            (Slot::Local(bytes), _) => self.local_bytes += bytes.len(),
            (Slot::Pass(count), _) => self.replies += count,
            (Slot::Confirm { left, .. }, _) => self.replies += left,
            _ => self.replies += 1,
        }
        self.slots.push_back(slot);
    }

    /// `count` replies of the first slot have come. Releases the local replies behind it.
    pub(super) fn complete(&mut self, count: u64, out: &mut Output<'_>) {
        self.replies = self.replies.saturating_sub(count);
        match self.slots.front_mut() {
            Some(Slot::Pass(left) | Slot::Confirm { left, .. }) if *left > count => *left -= count,
            _ => {
                self.slots.pop_front();
                self.release(out);
            }
        }
    }

    /// An error came in place of everything that the first slot still waits for.
    pub(super) fn fail_front(&mut self, out: &mut Output<'_>) {
        let left = match self.slots.front() {
            Some(Slot::Confirm { left, .. }) => *left,
            _ => 1,
        };
        self.complete(left, out);
    }

    /// Sends the local replies that nothing is in front of any more.
    pub(super) fn release(&mut self, out: &mut Output<'_>) {
        while let Some(Slot::Local(_)) = self.slots.front() {
            if let Some(Slot::Local(bytes)) = self.slots.pop_front() {
                self.local_bytes -= bytes.len();
                out.send(Side::Downstream, &bytes);
            }
        }
        if self.slots.is_empty() && self.slots.capacity() > 64 {
            self.slots = VecDeque::new();
        }
    }
}

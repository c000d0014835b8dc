//! What is owed to the client, in the order of its requests.

use std::collections::VecDeque;

use super::database::Databases;
use super::output::{Output, Side};
use super::subscription::Kind;
use crate::command::ArgvBuf;
use crate::resp::Protocol;

/// What stands in one place in the order of replies.
pub(super) enum Slot {
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
    Confirm { kind: Kind, left: u64, request: Option<Box<ArgvBuf>> },
    /// The reply to a login of ours, as a mirror of the session's user.
    Login,
    /// An error of which the client hears ours instead. Any other reply ends the session.
    Replace(Box<[u8]>),
    /// The same, of an EXEC.
    ReplaceExec(Box<[u8]>),
    /// A reply of ours.
    Local(Box<[u8]>),
}

/// Bytes of memory that a small allocation takes besides those that were asked for, at the most.
const ALLOCATION: usize = 16;

impl Slot {
    /// Bytes of memory that it takes; the same for as long as it waits.
    fn memory(&self) -> usize {
        size_of::<Place>()
            + match self {
                Self::Blocking(request) | Self::Confirm { request: Some(request), .. } => {
                    ALLOCATION + size_of::<ArgvBuf>() + request.memory()
                }
                Self::Replace(bytes) | Self::ReplaceExec(bytes) | Self::Local(bytes) => ALLOCATION + bytes.len(),
                _ => 0,
            }
    }
}

/// Whether the client is to hear what comes in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    Client,
    /// CLIENT REPLY OFF or SKIP, or a request of our own. Confirmations of subscriptions are heard all the same.
    Nobody,
}

struct Place {
    slot: Slot,
    audience: Audience,
}

/// The queue of slots.
#[derive(Default)]
pub(super) struct Pending {
    places: VecDeque<Place>,
    /// Replies that Redis owes: never more than the window of the session.
    replies: u64,
    /// Bytes in `Slot::Local`.
    local_bytes: usize,
    /// Bytes of memory of all slots.
    memory: usize,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// How many replies Redis owes.
    pub(super) fn replies(&self) -> u64 {
        self.replies
    }

    /// How many bytes of ours wait for earlier replies.
    pub(super) fn local_bytes(&self) -> usize {
        self.local_bytes
    }

    /// How many bytes of memory it takes.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    pub(super) fn front(&self) -> Option<&Slot> {
        self.places.front().map(|place| &place.slot)
    }

    fn front_mut(&mut self) -> Option<&mut Slot> {
        self.places.front_mut().map(|place| &mut place.slot)
    }

    /// Whether the client hears what comes next. What nobody waits for, it does.
    pub(super) fn is_heard(&self) -> bool {
        self.places.front().is_none_or(|place| place.audience == Audience::Client)
    }

    /// What is waited for, in order.
    pub(super) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.places.iter().map(|place| &place.slot)
    }

    /// How many replies in a row, from now, are all the same to us.
    pub(super) fn pass_run(&self) -> u64 {
        match self.front() {
            Some(Slot::Pass(count)) => *count,
            _ => 0,
        }
    }

    pub(super) fn push(&mut self, slot: Slot, audience: Audience) {
        match (&slot, self.places.back_mut()) {
            (Slot::Pass(more), Some(Place { slot: Slot::Pass(count), audience: same })) if *same == audience => {
                *count += more;
                self.replies += more;
                return;
            }
            (Slot::Local(bytes), _) => self.local_bytes += bytes.len(),
            (Slot::Pass(count), _) => self.replies += count,
            (Slot::Confirm { left, .. }, _) => self.replies += left,
            _ => self.replies += 1,
        }
        self.memory += slot.memory();
        self.places.push_back(Place { slot, audience });
    }

    /// `count` replies of the first slot have come.
    pub(super) fn complete(&mut self, count: u64) {
        self.replies = self.replies.saturating_sub(count);
        match self.front_mut() {
            Some(Slot::Pass(left) | Slot::Confirm { left, .. }) if *left > count => *left -= count,
            _ => drop(self.pop()),
        }
    }

    /// An error came in place of everything that the first slot still waits for.
    pub(super) fn fail_front(&mut self) {
        let left = match self.front() {
            Some(Slot::Confirm { left, .. }) => *left,
            _ => 1,
        };
        self.complete(left);
    }

    /// Sends the local replies that nothing is in front of any more.
    pub(super) fn release(&mut self, out: &mut Output<'_>) {
        while let Some(Slot::Local(_)) = self.front() {
            if let Some(Slot::Local(bytes)) = self.pop() {
                self.local_bytes -= bytes.len();
                out.send(Side::Downstream, &bytes);
            }
        }
        if self.places.is_empty() && self.places.capacity() > 64 {
            self.places = VecDeque::new();
        }
    }

    fn pop(&mut self) -> Option<Slot> {
        let Place { slot, .. } = self.places.pop_front()?;
        self.memory -= slot.memory();
        Some(slot)
    }
}

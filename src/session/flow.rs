//! How much waits, and what that holds up.

use super::limits::SessionLimits;
use super::output::Side;
use super::window::ReplyWindow;

/// Bytes that may wait for a client before nothing more is read from Redis.
const DOWNSTREAM_BACKLOG: usize = 128 << 10;

/// Bytes that may wait for a client, with answers of ours that wait for replies, before it gets no further ones.
const DOWNSTREAM_FULL: usize = 2 * DOWNSTREAM_BACKLOG;

/// Bytes that may wait for Redis before nothing more is read from the client.
const UPSTREAM_BACKLOG: usize = 256 << 10;

/// What waits on the way through a session, as of the latest word of the driver: so that neither side makes it grow without
/// bound. It lives as long as the session; RESET waits until nothing is left to be sent to Redis.
#[derive(Default)]
pub(super) struct Flow {
    /// Bytes of requests that wait here.
    held: usize,
    /// Bytes that wait for each socket.
    unsent_downstream: usize,
    unsent_upstream: usize,
    /// How many replies Redis may owe.
    window: ReplyWindow,
}

impl Flow {
    pub(super) fn held(&self) -> usize {
        self.held
    }

    pub(super) fn hold(&mut self, bytes: usize) {
        self.held = bytes;
    }

    /// So many bytes wait for a side's socket now; whether that has taken some.
    pub(super) fn note_unsent(&mut self, side: Side, bytes: usize) -> bool {
        let unsent = match side {
            Side::Downstream => &mut self.unsent_downstream,
            Side::Upstream => &mut self.unsent_upstream,
        };
        bytes < std::mem::replace(unsent, bytes)
    }

    /// Redis has been sent all that was forwarded.
    pub(super) fn is_sent_upstream(&self) -> bool {
        self.unsent_upstream == 0
    }

    pub(super) fn has_room_upstream(&self) -> bool {
        self.unsent_upstream < UPSTREAM_BACKLOG
    }

    /// Replies are read, since the client takes them.
    pub(super) fn has_room_downstream(&self) -> bool {
        self.unsent_downstream < DOWNSTREAM_BACKLOG
    }

    /// So many replies have come, which together with a part of the next are so many bytes.
    pub(super) fn note_replies(&mut self, replies: u64, bytes: u64) {
        self.window.note(replies, bytes);
    }

    /// Whether no request may be taken: Redis owes as many replies as it may, or too much waits for the client, `answers`
    /// of ours that wait for replies included.
    pub(super) fn pauses_requests(&self, owed: u64, answers: usize) -> bool {
        owed >= self.window.replies() || output_is_full(self.unsent_downstream + answers)
    }

    /// Whether the client takes no replies.
    pub(super) fn is_unread(&self, answers: usize) -> bool {
        self.unsent_downstream + answers >= DOWNSTREAM_BACKLOG
    }

    /// Whether requests are still read while one has to wait. Who is not authenticated waits for a password only, and longer
    /// than others.
    pub(super) fn may_hold_more(&self, limits: &SessionLimits, is_authenticated: bool) -> bool {
        const OF_UNAUTHENTICATED: usize = 64 << 10;
        let most = if is_authenticated { limits.hold_buffer } else { limits.hold_buffer.min(OF_UNAUTHENTICATED) };
        self.held < most
    }
}

/// So many bytes wait for the client that it gets no further answers for now.
pub(super) fn output_is_full(unsent_downstream: usize) -> bool {
    unsent_downstream >= DOWNSTREAM_FULL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_side_is_read_while_the_other_takes_what_it_is_sent() {
        let mut flow = Flow::default();
        assert!(!flow.note_unsent(Side::Downstream, DOWNSTREAM_BACKLOG));
        assert!(!flow.has_room_downstream() && flow.has_room_upstream() && flow.is_sent_upstream());
        assert!(flow.note_unsent(Side::Downstream, DOWNSTREAM_BACKLOG - 1));
        assert!(flow.has_room_downstream());
        flow.note_unsent(Side::Upstream, UPSTREAM_BACKLOG);
        assert!(!flow.has_room_upstream() && !flow.is_sent_upstream());
    }

    #[test]
    fn answers_that_wait_for_replies_count_with_what_the_client_has_not_taken() {
        let mut flow = Flow::default();
        flow.note_unsent(Side::Downstream, DOWNSTREAM_BACKLOG - 1);
        assert!(!flow.is_unread(0) && flow.is_unread(1));
        assert!(!flow.pauses_requests(0, DOWNSTREAM_BACKLOG) && flow.pauses_requests(0, DOWNSTREAM_BACKLOG + 1));
        assert!(flow.pauses_requests(1 << 20, 0));
    }
}

//! What Redis says, and what that makes of the state.

use std::sync::Arc;

use super::UpstreamState;
use super::database::Databases;
use super::pending::Slot;
use super::replies::{FrameContext, ReplyEvent, Said};
use super::subscription::Change;
use crate::session::client_ids::{ClientIds, OwnId, client_id};
use crate::session::close::CloseReason;
use crate::session::output::Output;
use crate::session::wait::AfterReplies;

/// The first words of a Redis that takes no more clients, in place of a reply to anything. It closes then, and so do we,
/// without a word: that is what clients know of a Redis that speaks TLS, and so they try again.
const MAX_CLIENTS: &[u8] = b"-ERR max number of clients reached\r\n";

impl UpstreamState {
    /// Gives the client an answer of ours in its place.
    pub(in crate::session) fn answer(&mut self, answer: Box<[u8]>, out: &mut Output<'_>) {
        self.replies.answer(answer, out);
    }

    /// Whether Redis serves the connection, by its first words; `None` while they do not tell.
    pub(in crate::session) fn serves(&mut self, words: &[u8]) -> Option<bool> {
        if !self.is_serving {
            if words.starts_with(MAX_CLIENTS) {
                return Some(false);
            }
            self.is_serving = !MAX_CLIENTS.starts_with(words);
        }
        self.is_serving.then_some(true)
    }

    /// Takes as many replies from the input as are here, in part or in whole. Returns how many bytes they are, and what
    /// is to be done next. `user` and `client_ids` are for whom the session is known by its id.
    ///
    /// # Errors
    /// What Redis sends is no reply to anything, or it means to close.
    pub(in crate::session) fn take_replies(
        &mut self,
        are_replies_off: bool,
        (client_ids, user): (&Arc<ClientIds>, Option<&str>),
        out: &mut Output<'_>,
    ) -> Result<(usize, Option<AfterReplies>), CloseReason> {
        let input = out.input();
        let (mut at, mut next) = (0, None);
        while at < input.len() {
            let taken = if let Some(replication) = &mut self.replication {
                replication.note(&input[at..]);
                self.replies.release(out);
                out.pass(at..input.len());
                input.len() - at
            } else {
                let context = FrameContext::new(self.protocol, self.subscriptions.in_band(self.protocol))
                    .monitoring(self.is_monitoring, are_replies_off);
                let (taken, event) = self.replies.step(at, context, out)?;
                match event {
                    Some(ReplyEvent::Answered { slot: Slot::MirrorLogin, said, .. }) => {
                        next = self.mirror.answered(said == Said::Refused)?;
                    }
                    Some(event) => self.apply(event, client_ids, user),
                    None => {}
                }
                taken
            };
            if taken == 0 {
                break;
            }
            at += taken;
        }
        self.replies.release(out);
        Ok((at, next))
    }

    /// What Redis has said becomes the state.
    fn apply(&mut self, event: ReplyEvent<'_>, client_ids: &Arc<ClientIds>, user: Option<&str>) {
        let (slot, said, reply) = match event {
            ReplyEvent::Answered { slot, said, reply } => (slot, said, reply),
            ReplyEvent::Subscription { kind, total, name } => {
                self.subscriptions.confirm(kind, total);
                match name {
                    Some((name, Change::Begins)) => self.subscriptions.begin(kind, name),
                    Some((name, Change::Ends)) => self.subscriptions.end(kind, name),
                    None => {}
                }
                return;
            }
        };
        let is_done = said == Said::Done;
        match slot {
            Slot::Hello(protocol) if is_done => {
                self.protocol = protocol;
                self.learn_id(reply, client_ids, user);
            }
            Slot::ClientId if is_done => self.learn_id(reply, client_ids, user),
            Slot::Monitor if is_done => self.is_monitoring = true,
            // Should it be queued, EXEC may turn it on.
            Slot::Tracking(is_on) if is_done || (said == Said::Queued && is_on) => self.is_tracking = is_on,
            Slot::Select(database) => self.database.answered(is_done.then_some(Databases::named(database))),
            Slot::Multi => self.transaction.answered(is_done.then_some(true)),
            Slot::Discard => self.transaction.answered(is_done.then_some(false)),
            Slot::ReplaceExec(_) => self.transaction.answered(Some(false)),
            Slot::Exec { selects } => {
                self.transaction.answered(Some(false));
                self.database.perhaps_selected(if is_done { selects } else { Databases::NONE });
            }
            // A refusal, or nothing that the connection keeps in mind.
            Slot::Hello(_)
            | Slot::ClientId
            | Slot::Monitor
            | Slot::Tracking(_)
            | Slot::Pass(_)
            | Slot::Blocking(_)
            | Slot::Subscription { .. }
            | Slot::MirrorLogin
            | Slot::Replace(_)
            | Slot::Local(_) => {}
        }
    }

    /// Notes the client id in a whole reply to CLIENT ID or HELLO, if it holds one.
    fn learn_id(&mut self, reply: &[u8], client_ids: &Arc<ClientIds>, user: Option<&str>) {
        let Some(id) = client_id(reply) else { return };
        // First the old place is given up: it may be the same.
        self.own_id = None;
        self.own_id = user.map(|user| OwnId::register(client_ids, id, user));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_refused_by_its_first_words_only() {
        let mut upstream = UpstreamState::default();
        assert_eq!(upstream.serves(b"-ERR max"), None);
        assert_eq!(upstream.serves(MAX_CLIENTS), Some(false));
        assert_eq!(upstream.serves(b"+OK\r\n"), Some(true));
        assert_eq!(upstream.serves(MAX_CLIENTS), Some(true), "by then it is a reply");
    }
}

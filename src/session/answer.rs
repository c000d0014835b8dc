//! What we tell the client in Redis's place.

use super::core::{Link, ReplyMode, SessionCore};
use super::output::{Output, Side};
use super::pending::{Audience, Slot};
use crate::policy::Policy;
use crate::resp::{Reply, encode_request};

/// Sent inside a transaction in place of a request that we refused: no Redis knows the name, so each refuses it.
const REFUSED: &[u8] = b"*1\r\n$16\r\nrespgate:refused\r\n";

impl SessionCore {
    /// Who hears the reply to the request that is being dealt with; uses up CLIENT REPLY SKIP.
    pub(super) fn audience(&mut self) -> Audience {
        match self.reply_mode {
            ReplyMode::On => Audience::Client,
            ReplyMode::Off => Audience::Nobody,
            ReplyMode::SkipNext => {
                self.reply_mode = ReplyMode::On;
                Audience::Nobody
            }
        }
    }

    /// A reply of ours in its place, unless the client wants none.
    pub(super) fn answer(&mut self, reply: &Reply, out: &mut Output<'_>) {
        // A replica takes what it reads for data.
        if self.audience() == Audience::Nobody || self.replicating.is_some() {
            return;
        }
        let bytes = self.encoded(reply);
        if self.is_drained() {
            out.send(Side::Downstream, &bytes);
        } else {
            self.pending.push(Slot::Local(bytes), Audience::Client);
        }
    }

    /// As the client is sent it.
    fn encoded(&self, reply: &Reply) -> Box<[u8]> {
        let mut bytes = Vec::new();
        reply.encode(self.protocol, &mut bytes);
        bytes.into()
    }

    /// Refuses the request in its place. The first time in a transaction Redis refuses one too, so that EXEC aborts; and
    /// where it keeps something in mind for the next request.
    pub(super) fn refuse(&mut self, text: String, out: &mut Output<'_>) {
        if self.transaction.has_to_abort() || self.takes_one_shot() {
            let (ours, audience) = self.own_error(text);
            self.spoil(ours, audience, out);
        } else {
            self.answer(&Reply::error(text), out);
        }
    }

    /// Redis does not get the request. What it keeps in mind for the next one is used up.
    pub(super) fn use_up_one_shot(&mut self, out: &mut Output<'_>) {
        if self.takes_one_shot() {
            self.spoil(Box::default(), Audience::Nobody, out);
        }
    }

    /// Inside a transaction it is for all of that, and EXEC uses it up.
    fn takes_one_shot(&mut self) -> bool {
        !self.transaction.may_be_open() && self.one_shot.take()
    }

    /// An error of ours in place of one of Redis's, and who hears it.
    fn own_error(&mut self, text: String) -> (Box<[u8]>, Audience) {
        (self.encoded(&Reply::error(text)), self.audience())
    }

    /// Has Redis refuse a request, whose error it remembers until EXEC; the client gets `ours` in place of the error.
    ///
    /// An unknown name is refused before anything else is looked at, whatever Redis is doing, and flags the transaction
    /// [rejectCommand]. EXEC comes later on the same connection, so it executes nothing, whether we have seen the error
    /// by then or not. Should Redis know the name after all, its reply is no error, and the session is closed.
    pub(super) fn spoil(&mut self, ours: Box<[u8]>, audience: Audience, out: &mut Output<'_>) {
        out.send(Side::Upstream, REFUSED);
        self.pending.push(Slot::Replace(ours), audience);
    }

    /// Refuses EXEC, which ends a transaction and gives up what is watched all the same [execCommandAbort]: Redis is sent
    /// one that it refuses, too, for an argument too many.
    pub(super) fn abort(&mut self, policy: &Policy, text: String, out: &mut Output<'_>) {
        let exec = match policy.upstream_name("EXEC") {
            Some(exec) if self.link == Link::Ready && !self.monitoring => exec,
            _ => return self.refuse(text, out),
        };
        self.transaction.exec_sent();
        let mut request = Vec::new();
        encode_request(&[exec, b"refused"], &mut request);
        out.send(Side::Upstream, &request);
        let (ours, audience) = self.own_error(text);
        self.pending.push(Slot::ReplaceExec(ours), audience);
    }
}

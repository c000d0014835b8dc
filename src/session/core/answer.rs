//! What we tell the client in Redis's place.

use super::SessionCore;
use crate::policy::Policy;
use crate::resp::Reply;
use crate::session::intake::Visibility;
use crate::session::output::Output;

impl SessionCore {
    /// A reply of ours in its place, unless the client wants none.
    pub(super) fn answer(&mut self, reply: &Reply, out: &mut Output<'_>) {
        let bytes = self.encoded(reply);
        self.intake.note_work(bytes.len());
        // A replica takes what it reads for data.
        if self.intake.take_visibility() == Visibility::Shown && !self.upstream.is_replicating() {
            self.upstream.answer(bytes, out);
        }
    }

    /// As the client is sent it.
    fn encoded(&self, reply: &Reply) -> Box<[u8]> {
        let mut bytes = Vec::new();
        reply.encode(self.upstream.protocol(), &mut bytes);
        bytes.into()
    }

    /// Refuses the request in its place, at Redis as well where that has to take note of it.
    pub(super) fn refuse(&mut self, text: String, out: &mut Output<'_>) {
        let error = Reply::error(text);
        if self.upstream.take_refusal_due() {
            let (ours, visibility) = (self.encoded(&error), self.intake.take_visibility());
            self.upstream.send_to_be_refused(ours, visibility, out);
        } else {
            self.answer(&error, out);
        }
    }

    /// Refuses EXEC, which ends a transaction and gives up what is watched all the same.
    pub(super) fn refuse_exec(&mut self, policy: &Policy, text: String, out: &mut Output<'_>) {
        match policy.upstream_name("EXEC") {
            Some(exec) if self.upstream.takes_exec() => {
                let (ours, visibility) = (self.encoded(&Reply::error(text)), self.intake.take_visibility());
                self.upstream.send_refused_exec(exec, ours, visibility, out);
            }
            _ => self.refuse(text, out),
        }
    }
}

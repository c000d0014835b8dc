//! CLIENT REPLY: Redis goes on replying, so that we know what became of each request; the client does not hear it.

use crate::command::Argv;
use crate::resp::Reply;
use crate::session::core::SessionCore;
use crate::session::intake::ReplyMode;
use crate::session::output::Output;

impl SessionCore {
    /// `CLIENT REPLY ON|OFF|SKIP` (`clientCommand`).
    pub(super) fn client_reply(&mut self, argv: &Argv<'_>, out: &mut Output<'_>) {
        let says = |mode: &[u8]| argv.get(2).is_some_and(|word| word.eq_ignore_ascii_case(mode));
        let mode = if says(b"on") {
            self.intake.set_reply_mode(ReplyMode::On);
            return self.answer(&Reply::OK, out);
        } else if says(b"off") || says(b"skip") && self.intake.are_replies_off() {
            ReplyMode::Off
        } else if says(b"skip") {
            ReplyMode::SkipNext
        } else {
            return self.answer(&Reply::error("ERR syntax error"), out);
        };
        self.intake.set_reply_mode(mode);
    }
}

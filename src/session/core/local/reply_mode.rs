//! CLIENT REPLY: Redis goes on replying, so that we know what became of each request; the client does not hear it.

use crate::command::Argv;
use crate::resp::Reply;
use crate::session::core::SessionCore;
use crate::session::intake::ReplyMode;
use crate::session::output::Output;

impl SessionCore {
    /// `CLIENT REPLY ON|OFF|SKIP` (`clientCommand`).
    pub(super) fn client_reply(&mut self, argv: &Argv<'_>, out: &mut Output<'_>) {
        let mode = match argv.get(2).map(<[u8]>::to_ascii_lowercase).as_deref() {
            Some(b"on") => {
                self.intake.set_reply_mode(ReplyMode::On);
                return self.answer(&Reply::OK, out);
            }
            Some(b"off") => ReplyMode::Off,
            Some(b"skip") if self.intake.are_replies_off() => ReplyMode::Off,
            Some(b"skip") => ReplyMode::SkipNext,
            _ => return self.answer(&Reply::error("ERR syntax error"), out),
        };
        self.intake.set_reply_mode(mode);
    }
}

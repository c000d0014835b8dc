//! CLIENT REPLY: Redis goes on replying, so that we know what became of each request; the client does not hear it. Who
//! loads much says SKIP before each request, so it leaves no trace.

use crate::command::Argv;
use crate::resp::Reply;
use crate::session::core::{ReplyMode, SessionCore};
use crate::session::output::Output;

impl SessionCore {
    /// `CLIENT REPLY ON|OFF|SKIP` (`clientCommand`).
    pub(super) fn client_reply(&mut self, argv: &Argv<'_>, out: &mut Output<'_>) {
        const COMMAND: &str = "client|reply";
        match argv.get(2).map(<[u8]>::to_ascii_lowercase).as_deref() {
            Some(b"on") => {
                self.reply_mode = ReplyMode::On;
                self.answer_untraced(COMMAND, &Reply::OK, out);
            }
            Some(b"off") => {
                self.reply_mode = ReplyMode::Off;
                self.answer_untraced(COMMAND, &Reply::OK, out);
            }
            Some(b"skip") => {
                let was_off = self.reply_mode == ReplyMode::Off;
                self.reply_mode = ReplyMode::Off;
                self.answer_untraced(COMMAND, &Reply::OK, out);
                self.reply_mode = if was_off { ReplyMode::Off } else { ReplyMode::SkipNext };
            }
            _ => self.answer_untraced(COMMAND, &Reply::error("ERR syntax error"), out),
        }
    }
}

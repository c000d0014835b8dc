//! What the proxy answers itself: Redis never sees these requests.

mod acl;
mod auth;
mod hello;
mod reply_mode;

use std::time::Instant;

pub use self::acl::describe_log;
use super::SessionCore;
use super::verdict::Conclusion;
use crate::command::{Argv, Role, Scope};
use crate::policy::{LocalCommand, Policy};
use crate::resp::Reply;
use crate::session::close::CloseReason;
use crate::session::output::Output;
use crate::session::wait::{AfterReplies, Wait};

impl SessionCore {
    pub(super) fn answer_locally(
        &mut self,
        policy: &Policy,
        local: LocalCommand<'_>,
        argv: &Argv<'_>,
        now: Instant,
        out: &mut Output<'_>,
    ) {
        let role = local.role();
        if role != Role::Acl {
            let recorded = self.note_permitted(policy, local.spec, argv, Scope::Whole);
            self.conclude(Some(local.spec), Conclusion::Answered(recorded));
        }
        match role {
            Role::Auth => self.auth(policy, argv, out),
            Role::Hello => self.hello(policy, argv, out),
            Role::Quit => {
                self.answer(&Reply::OK, out);
                self.finish(CloseReason::Quit, now);
                self.go_on_if_replies_are_out();
            }
            Role::Reset => self.intake.wait_for(Wait::Replies(AfterReplies::Reset)),
            Role::ClientReply => self.client_reply(argv, out),
            _ => self.acl(policy, local, argv, out),
        }
    }
}

//! What the proxy answers itself: Redis never sees these requests.

mod acl;
mod auth;
mod hello;
mod reply_mode;
mod reset;

use std::time::Instant;

pub use self::acl::{Administered, Administration, describe_log};
pub(super) use self::auth::Login;
pub(super) use self::reset::ResetBudget;
use super::close::CloseReason;
use super::core::SessionCore;
use super::output::Output;
use crate::command::{Argv, Role};
use crate::policy::{LocalCommand, Policy};
use crate::resp::Reply;

impl SessionCore {
    pub(super) fn answer_locally(
        &mut self,
        policy: &Policy,
        local: LocalCommand<'_>,
        argv: &Argv<'_>,
        now: Instant,
        out: &mut Output<'_>,
    ) -> Result<(), CloseReason> {
        match local.role() {
            Role::Auth => self.auth(policy, argv, out),
            Role::Hello => self.hello(policy, argv, out),
            Role::Quit => {
                self.answer(&Reply::OK, out);
                self.finish(CloseReason::Quit, now);
                self.settle();
            }
            Role::Reset => self.request_reset(),
            Role::ClientReply => self.client_reply(argv, out),
            _ => self.acl(policy, local, argv, out),
        }
        Ok(())
    }
}

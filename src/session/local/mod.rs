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
use super::trace::Trace;
use crate::command::{Argv, Role};
use crate::policy::{LocalCommand, Policy};
use crate::resp::Reply;

/// A command that is carried out here.
pub(super) struct Call {
    /// Its full name.
    pub(super) command: Box<str>,
    /// What Redis is told of it.
    pub(super) trace: Trace,
}

impl Call {
    fn new(local: LocalCommand<'_>, argv: &Argv<'_>) -> Self {
        Self { command: local.spec.full_name().into(), trace: Trace::of(local.role(), argv) }
    }

    /// Bytes of memory that it takes.
    pub(super) fn memory(&self) -> usize {
        self.command.len() + self.trace.memory()
    }
}

impl SessionCore {
    pub(super) fn answer_locally(
        &mut self,
        policy: &Policy,
        local: LocalCommand<'_>,
        argv: &Argv<'_>,
        now: Instant,
        out: &mut Output<'_>,
    ) -> Result<(), CloseReason> {
        let call = Call::new(local, argv);
        match local.role() {
            Role::Auth => self.auth(policy, call, argv, out),
            Role::Hello => self.hello(policy, call, argv, out),
            Role::Quit => {
                self.answer(&Reply::OK, out);
                self.finish(CloseReason::Quit, now);
                self.settle();
            }
            Role::Reset => self.request_reset(),
            Role::ClientReply => self.client_reply(argv, out),
            _ => self.acl(policy, local, call, argv, out),
        }
        Ok(())
    }
}

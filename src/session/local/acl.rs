//! The ACL command family, answered from the proxy's own users.

use crate::command::Argv;
use crate::policy::{LocalCommand, Policy};
use crate::resp::Reply;
use crate::session::core::SessionCore;
use crate::session::output::{Output, Side};
use crate::session::pending::Slot;
use crate::session::transaction::Transaction;

/// Queued in a transaction in place of a request of ours, whose answer takes the place of its echo.
const PLACEHOLDER: &[u8] = b"*2\r\n$4\r\nECHO\r\n$8\r\nrespgate\r\n";

impl SessionCore {
    pub(super) fn acl(&mut self, policy: &Policy, local: LocalCommand<'_>, argv: &Argv<'_>, out: &mut Output<'_>) {
        let reply = self.acl_reply(policy, local, argv);
        if let Transaction::Open(queue) = &mut self.transaction {
            let mut answer = Vec::new();
            reply.encode(self.protocol, &mut answer);
            queue.answers.push((queue.length, answer.into()));
            queue.length += 1;
            out.send(Side::Upstream, PLACEHOLDER);
            if self.wants_reply() {
                self.pending.push(Slot::Pass(1));
            }
        } else {
            self.answer(&reply, out);
        }
    }

    fn acl_reply(&self, policy: &Policy, local: LocalCommand<'_>, _argv: &Argv<'_>) -> Reply {
        let Some(principal) = &self.principal else {
            return Reply::error("NOAUTH Authentication required.");
        };
        match local.spec.full_name() {
            "acl|whoami" => Reply::bulk(principal.user.name().as_str().as_bytes()),
            "acl|users" => {
                Reply::Array(policy.acl.users().map(|user| Reply::bulk(user.name().as_str().as_bytes())).collect())
            }
            name => Reply::error(format!("ERR respgate does not answer '{name}'")),
        }
    }
}

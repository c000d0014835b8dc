//! The ACL command family, answered from the proxy's own users.

use crate::command::Argv;
use crate::policy::{LocalCommand, Policy};
use crate::resp::Reply;
use crate::session::core::SessionCore;
use crate::session::output::Output;

impl SessionCore {
    pub(super) fn acl(&mut self, policy: &Policy, local: LocalCommand<'_>, argv: &Argv<'_>, out: &mut Output<'_>) {
        let reply = self.acl_reply(policy, local, argv);
        self.answer_or_queue(&reply, out);
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

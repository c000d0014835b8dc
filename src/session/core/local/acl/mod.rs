//! The ACL command family, answered from the proxy's own users [aclCommand].
//!
//! What only reads is answered at once. What changes users, or needs a clock or randomness, is an
//! [`Administration`](crate::session::Administration): the session waits until somebody outside has done it.

mod administer;
mod help;
mod log;
mod users;

pub use self::log::describe_log;
use crate::acl::{Effort, texts};
use crate::command::{Argv, Scope};
use crate::policy::{DenialReason, LocalCommand, Policy, RequestKeys};
use crate::resp::Reply;
use crate::session::action::RequestRefusal;
use crate::session::administration::Administration;
use crate::session::core::SessionCore;
use crate::session::core::verdict::{Conclusion, Refused};
use crate::session::output::Output;

/// Why an ACL command is refused that the policy permits: it would lift the blocklist.
const BLOCKED: RequestRefusal = RequestRefusal::Denied(DenialReason::Blocked);

/// What an ACL command comes to.
enum Answer {
    Now(Reply),
    /// The session waits for the reply.
    Later(Administration),
    Refused(String),
}

impl SessionCore {
    pub(super) fn acl(&mut self, policy: &Policy, local: LocalCommand<'_>, argv: &Argv<'_>, out: &mut Output<'_>) {
        let answer = self.acl_answer(policy, local, argv);
        self.conclude(
            Some(local.spec),
            match answer {
                Answer::Now(_) | Answer::Later(_) => {
                    Conclusion::Answered(self.note_permitted(policy, local.spec, argv, Scope::Whole))
                }
                Answer::Refused(_) => Conclusion::Refused(Refused::told(BLOCKED), RequestKeys::default()),
            },
        );
        self.give(answer, out);
    }

    fn give(&mut self, answer: Answer, out: &mut Output<'_>) {
        match answer {
            Answer::Now(reply) => self.answer(&reply, out),
            Answer::Later(administration) => self.administer(administration),
            Answer::Refused(text) => self.refuse(text, out),
        }
    }

    fn acl_answer(&self, policy: &Policy, local: LocalCommand<'_>, argv: &Argv<'_>) -> Answer {
        let Some(user) = self.who.user() else {
            return Answer::Refused("NOAUTH Authentication required.".to_owned());
        };
        let reply = match (local.spec.full_name(), argv.get(2), argv.len()) {
            ("acl|whoami", ..) => Reply::bulk(user.name().as_str()),
            ("acl|users", ..) => users::names(&policy.acl),
            ("acl|list", ..) => users::lines(&policy.acl, &policy.table),
            ("acl|getuser", Some(name), _) => users::describe(&policy.acl, name, &policy.table),
            ("acl|cat", None, _) => {
                Reply::Array(policy.table.categories().map(|(name, _)| Reply::bulk(name)).collect())
            }
            ("acl|cat", Some(category), 3) => self::category(policy, category),
            ("acl|dryrun", Some(name), _) => self.dry_run(policy, name, argv),
            ("acl|help", ..) => help::reply(),
            ("acl|genpass", bits, 2 | 3) => return administer::generate_password(bits),
            ("acl|log", how, 2 | 3) => return self.log(how),
            ("acl|setuser" | "acl|deluser" | "acl|load" | "acl|save", ..) => return self.edit(policy, local, argv),
            _ => Reply::error(texts::subcommand_syntax("acl", argv)),
        };
        Answer::Now(reply)
    }

    /// Judges by the ACL alone, whatever the blocklist says.
    fn dry_run(&self, policy: &Policy, name: &[u8], argv: &Argv<'_>) -> Reply {
        let Some(user) = policy.acl.user(name) else {
            return Reply::error(texts::user_not_found(name));
        };
        let request = argv.skip(3);
        let Ok(spec) = policy.table.resolve(&request) else {
            return Reply::error(texts::dry_run_unknown(&request));
        };
        if !spec.arity_ok(request.len()) {
            return Reply::error(texts::wrong_arity(spec));
        }
        let effort = Effort::default();
        let verdict = user.dry_run_within(spec, &request, self.upstream.database(), &effort);
        self.intake.note_effort(&effort);
        match verdict {
            Ok(()) => Reply::OK,
            Err(denial) => Reply::bulk(texts::dry_run(policy.dialect, user.name(), denial, spec, &request)),
        }
    }
}

/// `ACL CAT category`.
fn category(policy: &Policy, name: &[u8]) -> Reply {
    match policy.table.category(name) {
        None => Reply::error(texts::unknown_category(name)),
        Some(category) => {
            let members = policy.table.iter().filter(|spec| spec.categories().intersects(category));
            Reply::Array(members.map(|spec| Reply::bulk(spec.full_name())).collect())
        }
    }
}

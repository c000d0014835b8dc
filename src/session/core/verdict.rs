//! The verdict on a request, and the one point where it is final.

use super::SessionCore;
use crate::command::{Argv, CommandSpec};
use crate::policy::{Denial, Policy, Requester, Verdict};
use crate::session::action::RequestRefusal;

/// The verdict on a request in every state that Redis may be in when it gets it.
pub(super) enum Judgement<'p> {
    Certain(Verdict<'p>),
    /// It depends on a reply that is outstanding.
    Undecided,
}

/// What becomes of a request.
pub(super) enum Conclusion {
    Forwarded,
    Answered,
    /// With the reason, where an operator wants to hear of it.
    Refused(Option<RequestRefusal>),
}

/// The reason of a denial, where an operator wants to hear of it.
pub(super) fn reported(denial: &Denial<'_>) -> Option<RequestRefusal> {
    denial.is_access_violation().then(|| RequestRefusal::Denied(denial.reason()))
}

impl SessionCore {
    /// The verdict on which all states agree that Redis may be in. Where they do not, and no reply will tell, the request
    /// is denied. `None` if `decide` says nothing.
    pub(super) fn judge<'p>(&self, decide: impl Fn(Requester<'_>) -> Option<Verdict<'p>>) -> Option<Judgement<'p>> {
        let mut requesters = self.requesters();
        let mut verdict = decide(requesters.next()?)?;
        for requester in requesters {
            let other = decide(requester)?;
            if !verdict.agrees_with(&other) {
                if self.upstream.is_undecided() {
                    return Some(Judgement::Undecided);
                }
                if let Verdict::Deny(_) = other {
                    verdict = other;
                }
            }
        }
        Some(Judgement::Certain(verdict))
    }

    /// The verdict on a request is final. Each passes here once, before the client is told anything: what counts requests
    /// by user, command and verdict has its place here. A command that is not known is `None`. What ends the session is no
    /// verdict: what is no protocol, or too large.
    pub(super) fn conclude(&mut self, command: Option<&CommandSpec>, conclusion: Conclusion) {
        self.outbox.count_request();
        if let Conclusion::Refused(reason) = conclusion {
            self.note_refused(command, reason);
        }
    }

    /// A request is refused: by its verdict, or because the right to what it asks for has gone while it waited for its turn.
    pub(super) fn note_refused(&mut self, command: Option<&CommandSpec>, reason: Option<RequestRefusal>) {
        self.outbox.count_refused();
        if let Some(reason) = reason {
            self.outbox.report_refusal(reason, command);
        }
    }

    /// What the client is told of a denial.
    pub(super) fn denial_text(&self, policy: &Policy, denial: &Denial<'_>, argv: &Argv<'_>) -> String {
        policy.denial_text(denial, self.who.user().map(|user| &**user), argv)
    }
}

//! The verdict on a request, and the one point where it is final.

use super::SessionCore;
use crate::acl::AclDenial;
use crate::acl::Effort;
use crate::command::{Argv, CommandSpec, Scope};
use crate::policy::{Denial, DenialReason, Policy, RequestKeys, Requester, Verdict};
use crate::session::action::RequestRefusal;

/// What Redis says of a login that fails.
pub(super) const WRONG_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";

/// The verdict on a request in every state that Redis may be in when it gets it.
pub(super) enum Judgement<'p> {
    Certain(Verdict<'p>),
    /// It depends on a reply that is outstanding.
    Undecided,
    /// There is none yet: it takes longer than it may at once.
    TooLong,
}

/// What becomes of a request.
pub(super) enum Conclusion {
    Forwarded(Permitted),
    Answered(Permitted),
    Refused(Refused, RequestKeys),
}

/// What is told of a request that is permitted.
pub(super) struct Permitted {
    /// Its keys, where the audit log is told of it.
    recorded: Option<RequestKeys>,
    /// Why the rules of its user refuse it, which are only tried out.
    would_refuse: Option<(AclDenial, RequestKeys)>,
}

/// Why a request is refused, and whether an operator wants to hear of that, or only how often it happens.
pub(super) struct Refused {
    reason: RequestRefusal,
    is_told: bool,
}

impl Refused {
    /// For a reason that an operator wants to hear of.
    pub(super) fn told(reason: RequestRefusal) -> Self {
        Self { reason, is_told: true }
    }

    pub(super) fn by(denial: &Denial<'_>) -> Self {
        Self { reason: RequestRefusal::Denied(denial.reason()), is_told: denial.is_access_violation() }
    }
}

/// The verdict as it is. What is permitted is held against the rules, too, that its user only tries out, and that may take as long:
/// so it is done here once more, within the effort of the judgement.
pub(super) fn with_shadow<'p>(
    policy: &Policy,
    requester: Requester<'_>,
    argv: &Argv<'_>,
    scope: Scope,
    verdict: Verdict<'p>,
) -> Verdict<'p> {
    if let (Verdict::Forward(permit), Some(user)) = (&verdict, requester.user) {
        let _ = policy.would_refuse(user, permit.spec(), argv, scope, requester.database, requester.effort);
    }
    verdict
}

impl SessionCore {
    /// The verdict on which all states agree that Redis may be in. Where they do not, and no reply will tell, the request
    /// is denied. `None` if `decide` says nothing.
    pub(super) fn judge<'p>(
        &self,
        effort: Effort,
        decide: impl Fn(Requester<'_>) -> Option<Verdict<'p>>,
    ) -> Option<Judgement<'p>> {
        let judgement = self.judge_within(&effort, decide);
        self.intake.note_effort(&effort);
        if effort.is_inconclusive() { Some(Judgement::TooLong) } else { judgement }
    }

    fn judge_within<'p>(
        &self,
        effort: &Effort,
        decide: impl Fn(Requester<'_>) -> Option<Verdict<'p>>,
    ) -> Option<Judgement<'p>> {
        let mut requesters = self.requesters(effort);
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
        match conclusion {
            Conclusion::Forwarded(permitted) => {
                self.outbox.count_forwarded();
                self.report_permitted(command, permitted);
            }
            Conclusion::Answered(permitted) => {
                self.outbox.count_answered();
                self.report_permitted(command, permitted);
            }
            Conclusion::Refused(refused, keys) => {
                self.outbox.count_refused();
                self.report_refused(command, refused, keys);
            }
        }
    }

    /// A request is permitted: says what is told of it.
    #[inline]
    pub(super) fn note_permitted(
        &self,
        policy: &Policy,
        spec: &CommandSpec,
        argv: &Argv<'_>,
        scope: Scope,
    ) -> Permitted {
        let recorded = policy.audit.of_permitted(spec, argv, scope);
        let Some(user) = self.who.user() else { return Permitted { recorded, would_refuse: None } };
        let effort = Effort::default();
        let denial = policy.would_refuse(user, spec, argv, scope, self.upstream.database(), &effort);
        self.intake.note_effort(&effort);
        if let Some(learner) = &self.learner {
            let names = learner.borrow_mut().note(user.name(), &policy.table, spec, argv, scope, denial.is_some());
            self.intake.note_learnt(names);
        }
        let would_refuse = denial.map(|denial| (denial, policy.audit.of_refused(Some(spec), argv, scope)));
        Permitted { recorded, would_refuse }
    }

    /// A request that was to be answered is refused: the right to what it asks for has gone while it waited for its turn.
    pub(super) fn note_refused_later(&mut self, command: Option<&CommandSpec>, refused: Refused) {
        self.outbox.count_refused_later();
        // What the proxy answers itself names no keys.
        self.report_refused(command, refused, RequestKeys::default());
    }

    fn report_refused(&mut self, command: Option<&CommandSpec>, refused: Refused, keys: RequestKeys) {
        let user = self.who.user().map(|user| user.name());
        let is_new = self.outbox.report_refusal(refused.reason, command, user, refused.is_told, keys);
        self.intake.note_report(is_new);
    }

    #[inline]
    fn report_permitted(&mut self, command: Option<&CommandSpec>, permitted: Permitted) {
        let Permitted { recorded, would_refuse } = permitted;
        let Some(command) = command else { return };
        let user = self.who.user().map(|user| user.name());
        if let Some(keys) = recorded {
            let is_new = self.outbox.report_permitted(command, user, keys);
            self.intake.note_report(is_new);
        }
        if let Some((denial, keys)) = would_refuse {
            let is_new = self.outbox.report_would_refuse(DenialReason::Acl(denial), command, user, keys);
            self.intake.note_report(is_new);
        }
    }

    /// What the client is told of a denial.
    pub(super) fn denial_text(&self, policy: &Policy, denial: &Denial<'_>, argv: &Argv<'_>) -> String {
        if matches!(denial, Denial::Unauthenticated(_)) && self.intake.is_behind_refused_login() {
            // Clients pipeline CLIENT SETINFO and SELECT behind their login, and some show only what is answered last.
            return WRONG_PASSWORD.to_owned();
        }
        policy.denial_text(denial, self.who.user().map(|user| &**user), argv)
    }
}

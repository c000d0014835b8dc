//! Large requests go on before they are complete, once what stands before their values decides. Redis executes nothing
//! without the last two bytes, which are held back until the whole is here and judged again.

use super::SessionCore;
use super::request::is_exec;
use super::verdict::{Conclusion, Judgement, Refused, with_shadow};
use crate::acl::{AclDenial, Effort, texts};
use crate::command::{Argv, ArgvBuf, Role, Scope};
use crate::policy::{Denial, Permit, Policy, Verdict};
use crate::session::close::CloseReason;
use crate::session::intake::Body;
use crate::session::output::Output;
use crate::session::upstream::{ExpectedReply, Sender, Slot};
use crate::session::wait::{AfterReplies, Wait};

/// Arguments from this size on are not waited for if what stands before them decides.
const STREAM_FROM: u64 = 64 << 10;

impl SessionCore {
    /// Lets a request with a large argument go on before it is complete, if its first arguments decide. Returns how many
    /// bytes were taken; 0 if it has to be held.
    pub(super) fn stream(&mut self, policy: &Policy, at: usize, rest: &[u8], out: &mut Output<'_>) -> usize {
        let large = self.intake.open_bulk().filter(|(bulk, _)| bulk.len >= STREAM_FROM);
        let Some((bulk, argc)) = large.filter(|_| !self.upstream.is_replicating()) else { return 0 };
        // What the client is told of a denial may show so much of the arguments, and the beginning of this one.
        let Some(beginning) = rest.get(bulk.start..bulk.start + texts::SHOWN) else { return 0 };
        if !self.intake.is_to_be_judged_before(bulk) {
            return 0;
        }
        let prefix = Argv::new(rest, self.intake.spans());
        match self.judge_by_prefix(policy, &prefix, argc, Effort::at_once()) {
            None => self.intake.hold_beyond(bulk),
            // Once it is complete it is judged when its turn for that has come.
            Some(Judgement::TooLong) => self.intake.hold_until_complete(),
            Some(Judgement::Undecided) => self.intake.wait_for(Wait::Undecided),
            Some(Judgement::Certain(Verdict::Forward(_))) if self.mirror_is_outdated() => {
                self.intake.wait_for(Wait::Replies(AfterReplies::Mirror { anew: false }));
            }
            Some(Judgement::Certain(Verdict::Forward(permit))) if is_plain(&permit) => {
                let taken = self.intake.stream(Body::Forwarding { prefix: prefix.iter().collect(), argc });
                out.pass(at..at + taken);
                return taken;
            }
            Some(Judgement::Certain(Verdict::Deny(denial))) if is_final(&denial) => {
                let beginnings = prefix.iter().take(texts::SHOWN).map(|said| &said[..said.len().min(texts::SHOWN)]);
                let said = beginnings.chain([beginning]).collect::<ArgvBuf>();
                let text = self.denial_text(policy, &denial, &said.as_argv());
                if let Some(record) = self.acl_log_record(&denial, &prefix) {
                    self.outbox.note_acl_log_record(record);
                }
                let keys = policy.audit.of_refused(denial.command(), &prefix, Scope::Prefix);
                self.conclude(denial.command(), Conclusion::Refused(Refused::by(&denial), keys));
                return self.intake.stream(Body::Discarding { refusal: text, is_exec: is_exec(&denial) });
            }
            Some(Judgement::Certain(_)) => self.intake.hold_until_complete(),
        }
        0
    }

    pub(super) fn is_too_large(&self, held: &[u8]) -> bool {
        !self.intake.is_streaming() && held.len() + self.intake.table() > self.limits.request_buffer
    }

    /// Judges a streamed request again, now that only its end is missing upstream, under the policy of this moment. That can take
    /// long only if the policy is another one by now.
    pub(super) fn commit(&mut self, policy: &Policy, prefix: &ArgvBuf, argc: usize) -> Result<(), CloseReason> {
        let judgement = self.judge_by_prefix(policy, &prefix.as_argv(), argc, Effort::of_a_session());
        let Some(Judgement::Certain(Verdict::Forward(permit))) = judgement else {
            return Err(CloseReason::PolicyChanged);
        };
        if !is_plain(&permit) {
            return Err(CloseReason::PolicyChanged);
        }
        let recorded = self.note_permitted(policy, permit.spec(), &prefix.as_argv(), Scope::Prefix);
        self.conclude(Some(permit.spec()), Conclusion::Forwarded(recorded));
        let visibility = self.intake.take_visibility();
        let sender = self.who.user().map(|user| Sender::new(user, policy.table.identity()));
        self.upstream.expect(permit.spec(), ExpectedReply::Slot(Slot::Pass(1)), sender, visibility);
        Ok(())
    }

    /// Judges a large request by its first arguments; `None` if they do not decide.
    fn judge_by_prefix<'p>(
        &self,
        policy: &'p Policy,
        prefix: &Argv<'_>,
        argc: usize,
        effort: Effort,
    ) -> Option<Judgement<'p>> {
        self.judge(effort, |requester| {
            let verdict = policy.decide_by_prefix(requester, prefix, argc)?;
            Some(with_shadow(policy, requester, prefix, Scope::Prefix, verdict))
        })
    }
}

/// Whether a request is answered by one ordinary reply, so that it can be streamed without further care. Nothing that the
/// session refuses although it is permitted is.
fn is_plain(permit: &Permit<'_>) -> bool {
    permit.upstream_name().is_none()
        && !permit.spec().is_blocking()
        && matches!(permit.spec().role(), Role::Ordinary | Role::Publish | Role::Spublish)
}

/// Whether no later argument could turn the denial into a permit. The strictest reading of a prefix may ask for more
/// access to a key than the request turns out to need.
fn is_final(denial: &Denial<'_>) -> bool {
    !matches!(denial, Denial::Acl(_, denial) if *denial != AclDenial::Command)
}

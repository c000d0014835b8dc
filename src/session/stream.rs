//! Large requests go on before they are complete, once what stands before their values decides. Redis executes nothing
//! without the last two bytes, which are held back until the whole is here and judged again.

use super::close::CloseReason;
use super::core::SessionCore;
use super::output::Output;
use super::pending::Slot;
use super::request::{Judgement, is_exec};
use super::wait::{AfterDrain, Wait};
use crate::acl::{AclDenial, texts};
use crate::command::{Argv, ArgvBuf, Role};
use crate::policy::{Denial, Permit, Policy, Verdict};

/// Arguments from this size on are not waited for if what stands before them decides.
const STREAM_FROM: u64 = 64 << 10;

/// What becomes of the request that is being scanned.
pub(super) enum Body {
    /// It is held until it is complete.
    Whole,
    /// It is forwarded as it comes. Its last two bytes are held back until it is complete and judged again by its first
    /// arguments: Redis executes nothing without them.
    Forwarding { prefix: ArgvBuf, argc: usize },
    /// It was refused with this text, and is counted off.
    Discarding { refusal: String, is_exec: bool },
}

impl Body {
    /// Bytes of memory that it takes.
    pub(super) fn memory(&self) -> usize {
        match self {
            Self::Whole => 0,
            Self::Forwarding { prefix, .. } => prefix.memory(),
            Self::Discarding { refusal, .. } => refusal.capacity(),
        }
    }
}

impl SessionCore {
    /// Lets a request with a large argument go on before it is complete, if its first arguments decide. Returns how many
    /// bytes were taken; 0 if it has to be held.
    pub(super) fn stream(&mut self, policy: &Policy, at: usize, rest: &[u8], out: &mut Output<'_>) -> usize {
        let large = self.scanner.open_bulk().filter(|bulk| bulk.len >= STREAM_FROM);
        if let (Some(bulk), None, Some(argc)) = (large, self.replicating, self.scanner.argc()) {
            let argc = argc as usize;
            let prefix = Argv::new(rest, self.scanner.spans());
            match self.judge_by_prefix(policy, &prefix, argc) {
                Some(Judgement::Undecided) => self.wait = Some(Wait::Barrier),
                Some(Judgement::Certain(Verdict::Forward(_))) if self.mirror_is_outdated() => {
                    self.wait = Some(Wait::Drained(AfterDrain::Mirror { anew: false }));
                }
                Some(Judgement::Certain(Verdict::Forward(permit))) if is_plain(&permit) => {
                    self.body = Body::Forwarding { prefix: prefix.iter().collect(), argc };
                    let taken = self.scanner.stream();
                    out.pass(at..at + taken);
                    return taken;
                }
                Some(Judgement::Certain(Verdict::Deny(denial))) if is_final(&denial) => {
                    // What the client is told may show so much of the arguments, and the beginning of this one.
                    let Some(beginning) = rest.get(bulk.start..bulk.start + texts::SHOWN) else { return 0 };
                    let said = prefix.iter().take(texts::SHOWN).chain([beginning]).collect::<ArgvBuf>();
                    let text = self.denial_text(policy, &denial, &said.as_argv());
                    let refusal = self.refusal(&denial, &prefix);
                    self.note_denial(&denial, refusal);
                    self.body = Body::Discarding { refusal: text, is_exec: is_exec(&denial) };
                    return self.scanner.stream();
                }
                _ => {}
            }
        }
        0
    }

    pub(super) fn is_too_large(&self, held: &[u8]) -> bool {
        matches!(self.body, Body::Whole)
            && held.len() + std::mem::size_of_val(self.scanner.spans()) > self.limits.request_buffer
    }

    /// Judges a streamed request again, now that only its end is missing upstream, under the policy of this moment.
    pub(super) fn commit(&mut self, policy: &Policy, prefix: &ArgvBuf, argc: usize) -> Result<(), CloseReason> {
        match self.judge_by_prefix(policy, &prefix.as_argv(), argc) {
            Some(Judgement::Certain(Verdict::Forward(permit))) if is_plain(&permit) => {
                self.one_shot.sent(permit.spec(), self.transaction.queueing());
                self.transaction.sent(permit.spec());
                let audience = self.audience();
                self.pending.push(Slot::Pass(1), audience);
                Ok(())
            }
            _ => Err(CloseReason::PolicyChanged),
        }
    }
}

/// Whether a request is answered by one ordinary reply, so that it can be streamed without further care. Nothing that the
/// session objects to is.
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

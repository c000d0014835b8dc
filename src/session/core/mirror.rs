//! When a session needs a mirror of its user, and what becomes of the request that needs it.

use zeroize::Zeroizing;

use super::SessionCore;
use crate::command::{CommandSpec, Role};
use crate::policy::{Permit, Policy, ScriptRights};
use crate::resp::{Protocol, encode_request};
use crate::session::action::{Action, MirrorFailure, MirrorLogin, MirrorSpec};
use crate::session::close::CloseReason;
use crate::session::output::{Output, Side};
use crate::session::wait::{AfterReplies, Wait};

impl SessionCore {
    /// Whether a permitted request is to wait until Redis knows for whom it is. A transaction has been begun without.
    pub(super) fn awaits_mirror(&self, policy: &Policy, permit: &Permit<'_>) -> bool {
        let is_script = permit.spec().role() == Role::Script;
        self.upstream.mirror().may_be_had(is_script)
            && !self.upstream.may_queue()
            && self.needs_mirror(policy, permit.spec())
    }

    /// Whether a command would run a script, and Redis does not know for whom.
    pub(super) fn script_lacks_mirror(&self, policy: &Policy, spec: &CommandSpec) -> bool {
        spec.role() == Role::Script && self.needs_mirror(policy, spec)
    }

    /// Whether a command is to be run by a mirror, and there is none.
    pub(super) fn needs_mirror(&self, policy: &Policy, spec: &CommandSpec) -> bool {
        !self.upstream.mirror().is_there() && self.who.user().is_some_and(|user| policy.wants_mirror(user, spec))
    }

    /// Whether Redis has to be told of other rights, or of another user, before it gets anything more.
    pub(super) fn mirror_is_outdated(&self) -> bool {
        self.upstream.mirror().is_outdated() && !self.upstream.is_replicating()
    }

    /// Has a HELLO wait until Redis knows for whom the session is.
    pub(super) fn greet_as_mirror(&mut self, protocol: Protocol, request: Box<[u8]>) {
        self.upstream.mirror_mut().greet_then(protocol, request);
        self.intake.wait_for(Wait::Replies(AfterReplies::Mirror { anew: false }));
    }

    /// Asks for a mirror, now that all earlier replies are out.
    pub(super) fn order_mirror(&mut self, policy: &Policy, anew: bool) -> Result<(), CloseReason> {
        if let ScriptRights::NotYet = policy.script_rights {
            // The next policy comes with what Redis has said.
            self.intake.wait_for(Wait::Replies(AfterReplies::Mirror { anew }));
            return Ok(());
        }
        let Some((user, rules)) = self.who.user().and_then(|user| Some((user, policy.mirror_rules(user)?))) else {
            return self.upstream.mirror_mut().fail(None);
        };
        let spec = MirrorSpec { user: user.name().to_string(), rules, generation: policy.generation, anew };
        self.intake.note_work(spec.memory());
        self.upstream.mirror_mut().ask(anew);
        self.intake.wait_for(Wait::Mirroring { memory: spec.memory() });
        self.outbox.act(Action::Mirror(spec));
        Ok(())
    }

    /// What [`Action::Mirror`] asked for is there, or is not to be had.
    ///
    /// # Errors
    /// Redis would go on giving the session rights that it no longer has.
    pub fn handle_mirrored(
        &mut self,
        result: Result<MirrorLogin, MirrorFailure>,
        policy: &Policy,
        out: &mut Output<'_>,
    ) -> Result<(), CloseReason> {
        if !matches!(self.intake.waits_for(), Some(Wait::Mirroring { .. })) {
            return Ok(());
        }
        self.intake.take_wait();
        let may_queue = self.upstream.may_queue();
        let mirror = self.upstream.mirror_mut();
        let login = match result {
            Ok(login) => login,
            Err(why) => return mirror.fail(Some(why)),
        };
        if !mirror.note_made(&login.name) {
            if let Some(next) = mirror.act() {
                self.intake.wait_for(Wait::Replies(next));
            }
            return Ok(());
        }
        let Some(auth) = policy.upstream_name("AUTH").filter(|_| !may_queue) else { return mirror.fail(None) };
        let mut request = Zeroizing::new(Vec::new());
        encode_request(&[auth, login.name.as_bytes(), login.password.as_bytes()], &mut request);
        out.send(Side::Upstream, &request);
        self.upstream.expect_mirror_login();
        Ok(())
    }
}

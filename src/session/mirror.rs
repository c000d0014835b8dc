//! For whom the session is at Redis: the proxy's own user, or, from its first script on, a mirror of its own, so that
//! Redis binds what scripts do.

use zeroize::Zeroizing;

use super::action::Action;
use super::close::CloseReason;
use super::core::SessionCore;
use super::output::{Output, Side};
use super::pending::{Audience, Slot};
use super::wait::{AfterDrain, Wait};
use crate::command::{CommandSpec, Role};
use crate::policy::{Permit, Policy, ScriptRights};
use crate::resp::{Protocol, encode_request};

/// As whom Redis knows the session's connection.
#[derive(Debug, Default)]
pub(super) enum ActsAs {
    /// The proxy's own user.
    #[default]
    Proxy,
    /// A mirror of its user, under this name there.
    Mirror {
        name: Box<str>,
        /// The session's user and its rights are still those that Redis was told.
        is_current: bool,
    },
}

/// The mirror that a session needs.
pub struct MirrorOrder {
    /// The user of ours.
    pub user: String,
    /// Its rights, as `ACL SETUSER` rules.
    pub rules: Vec<Vec<u8>>,
    /// The policy that they are of.
    pub generation: u64,
    /// Redis did not know it: what was made before is gone.
    pub anew: bool,
}

impl MirrorOrder {
    /// Bytes of memory that it takes.
    fn memory(&self) -> usize {
        self.user.len() + self.rules.iter().map(|rule| size_of_val(rule) + rule.capacity()).sum::<usize>()
    }
}

/// How to log in as a mirror. It holds a password, so it has no `Debug`.
#[derive(Clone)]
pub struct MirrorLogin {
    /// The name at Redis.
    pub name: String,
    /// The password.
    pub password: Zeroizing<String>,
}

/// Why there is no mirror. Redis's words go to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MirrorFailure {
    /// Redis does not let us make it.
    Refused,
    /// Redis cannot be asked just now.
    Unreachable,
}

/// What is known of the mirror, and what is on its way.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    pub(super) acts_as: ActsAs,
    step: Step,
    /// Redis did not let us make one. MULTI goes without then, and scripts are refused inside.
    is_refused: bool,
    /// A HELLO that Redis gets next: once it speaks RESP2, it takes no login from a subscriber.
    greeting: Option<(Protocol, Box<[u8]>)>,
}

impl Mirror {
    /// Bytes of memory that waits for it.
    pub(super) fn memory(&self) -> usize {
        self.greeting.as_ref().map_or(0, |(_, request)| request.len())
    }
}

#[derive(Debug, Default)]
enum Step {
    #[default]
    None,
    /// Redis is being told of it, or asked to let us act as it.
    Ordered(Order),
    /// There is none to be had for the next request.
    Failed,
}

#[derive(Debug)]
struct Order {
    /// The mirror's name, once Redis was told of it.
    name: Box<str>,
    /// The policy that its rights are of.
    generation: u64,
    /// Redis did not know the one that was made before.
    anew: bool,
}

impl SessionCore {
    /// Whether a permitted request is to wait until Redis knows for whom it is. A transaction has been begun without.
    pub(super) fn awaits_mirror(&self, policy: &Policy, permit: &Permit<'_>) -> bool {
        let may_get_one = match permit.spec().role() {
            Role::Script => !matches!(self.mirror.step, Step::Failed),
            _ => !self.mirror.is_refused && !matches!(self.mirror.step, Step::Failed),
        };
        may_get_one && !self.transaction.may_be_open() && self.has_no_mirror(policy, permit.spec())
    }

    /// Whether a permitted request would run a script, and Redis does not know for whom.
    pub(super) fn lacks_mirror(&self, policy: &Policy, permit: &Permit<'_>) -> bool {
        permit.spec().role() == Role::Script && self.has_no_mirror(policy, permit.spec())
    }

    /// Whether a command is to be run by a mirror, and there is none.
    pub(super) fn has_no_mirror(&self, policy: &Policy, spec: &CommandSpec) -> bool {
        matches!(self.mirror.acts_as, ActsAs::Proxy)
            && self.principal.as_ref().is_some_and(|principal| policy.wants_mirror(&principal.user, spec))
    }

    /// Whether Redis has to be told of other rights, or of another user, before it gets anything more.
    pub(super) fn mirror_is_outdated(&self) -> bool {
        matches!(self.mirror.acts_as, ActsAs::Mirror { is_current: false, .. }) && self.replicating.is_none()
    }

    /// The session's user or its rights are others.
    pub(super) fn outdate_mirror(&mut self) {
        if let ActsAs::Mirror { is_current, .. } = &mut self.mirror.acts_as {
            *is_current = false;
        }
    }

    /// Has a HELLO wait until Redis knows for whom the session is.
    pub(super) fn greet_as_mirror(&mut self, protocol: Protocol, request: Box<[u8]>) {
        self.mirror.greeting = Some((protocol, request));
        self.wait = Some(Wait::Drained(AfterDrain::Mirror { anew: false }));
    }

    /// Asks for a mirror, now that all earlier replies are out.
    pub(super) fn order_mirror(&mut self, policy: &Policy, anew: bool) -> Result<(), CloseReason> {
        if let ScriptRights::NotYet = policy.script_rights {
            // The next policy comes with what Redis has said.
            self.wait = Some(Wait::Drained(AfterDrain::Mirror { anew }));
            return Ok(());
        }
        let user = self.principal.as_ref().map(|principal| &principal.user);
        let Some((user, rules)) = user.and_then(|user| Some((user, policy.mirror_rules(user)?))) else {
            return self.go_without_mirror();
        };
        let (user, generation) = (user.name().to_string(), policy.generation);
        self.mirror.step = Step::Ordered(Order { name: Box::default(), generation, anew });
        let order = MirrorOrder { user, rules, generation, anew };
        self.wait = Some(Wait::Mirroring { memory: order.memory() });
        self.act(Action::Mirror(order));
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
        if !matches!(self.wait, Some(Wait::Mirroring { .. })) {
            return Ok(());
        }
        self.wait = None;
        self.mirror.is_refused = matches!(result, Err(MirrorFailure::Refused));
        let (Ok(login), Step::Ordered(order)) = (result, &mut self.mirror.step) else {
            return self.go_without_mirror();
        };
        order.name = login.name.as_str().into();
        if !order.anew && matches!(&self.mirror.acts_as, ActsAs::Mirror { name, .. } if **name == *login.name) {
            self.act_as_mirror();
            return Ok(());
        }
        let auth = policy.upstream_name("AUTH").filter(|_| !self.transaction.may_be_open());
        let Some(auth) = auth else { return self.go_without_mirror() };
        let mut request = Zeroizing::new(Vec::new());
        encode_request(&[auth, login.name.as_bytes(), login.password.as_bytes()], &mut request);
        out.send(Side::Upstream, &request);
        self.pending.push(Slot::Login, Audience::Nobody);
        self.wait = Some(Wait::Barrier);
        Ok(())
    }

    /// Redis lets us act as the mirror, or does not know it (any more).
    pub(super) fn mirror_answered(&mut self, is_error: bool) -> Result<(), CloseReason> {
        match &self.mirror.step {
            _ if !is_error => self.act_as_mirror(),
            Step::Ordered(Order { anew: false, .. }) => {
                self.wait = Some(Wait::Drained(AfterDrain::Mirror { anew: true }));
            }
            _ => return self.go_without_mirror(),
        }
        Ok(())
    }

    fn act_as_mirror(&mut self) {
        if let Step::Ordered(Order { name, generation, .. }) = std::mem::take(&mut self.mirror.step) {
            self.mirror.acts_as = ActsAs::Mirror { name, is_current: generation == self.generation };
        }
        if let Some((protocol, request)) = self.mirror.greeting.take() {
            self.wait = Some(Wait::Drained(AfterDrain::Hello(protocol, request)));
        }
    }

    /// The request that waits is refused, and nothing is lost; but not where Redis would go on giving rights of before.
    fn go_without_mirror(&mut self) -> Result<(), CloseReason> {
        self.mirror.step = Step::Failed;
        match self.mirror.acts_as {
            ActsAs::Proxy => Ok(()),
            ActsAs::Mirror { .. } => Err(CloseReason::NoMirror),
        }
    }

    /// The refusal has been said; the next request may try again.
    pub(super) fn forget_failed_mirror(&mut self) {
        if let Step::Failed = self.mirror.step {
            self.mirror.step = Step::None;
        }
    }
}

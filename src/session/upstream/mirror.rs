//! As whom Redis knows the connection: the proxy's own user, or, from the session's first script on, a mirror of its own
//! user, so that Redis binds what scripts do.

use crate::resp::Protocol;
use crate::session::action::MirrorFailure;
use crate::session::close::CloseReason;
use crate::session::wait::AfterReplies;

#[derive(Debug, Default)]
enum ActsAs {
    /// The proxy's own user.
    #[default]
    Proxy,
    /// A mirror, under this name there.
    Mirror {
        name: Box<str>,
        /// The session's user and its rights are still those that Redis was told.
        is_current: bool,
    },
}

#[derive(Debug, Default)]
enum Step {
    #[default]
    None,
    /// Redis is being told of it, or asked to let us act as it.
    Asked(Asked),
    /// There is none to be had for the next request.
    Failed,
}

#[derive(Debug)]
struct Asked {
    /// The mirror's name, once Redis was told of it.
    name: Box<str>,
    /// The session's user and its rights are still those that were asked for.
    is_current: bool,
    /// Redis did not know the one that was made before.
    anew: bool,
}

/// What is known of the mirror, and what is on its way. Once a connection acts as a mirror it never acts for the proxy
/// again, and nothing is sent on it while the mirror's rights are not those of the session's user. It dies with the
/// connection.
#[derive(Debug, Default)]
pub(in crate::session) struct Mirror {
    acts_as: ActsAs,
    step: Step,
    /// Redis did not let us make one. MULTI goes without then, and scripts are refused inside.
    is_refused: bool,
    /// A HELLO that Redis gets next: once it speaks RESP2, it takes no login from a subscriber.
    greeting: Option<(Protocol, Box<[u8]>)>,
}

impl Mirror {
    /// Whether the connection acts as one.
    pub(in crate::session) fn is_there(&self) -> bool {
        matches!(self.acts_as, ActsAs::Mirror { .. })
    }

    /// Whether it acts as one under this name.
    pub(in crate::session) fn is_named(&self, wanted: &str) -> bool {
        matches!(&self.acts_as, ActsAs::Mirror { name, .. } if **name == *wanted)
    }

    /// Whether Redis has to be told of other rights, or of another user, before it gets anything more.
    pub(in crate::session) fn is_outdated(&self) -> bool {
        matches!(self.acts_as, ActsAs::Mirror { is_current: false, .. })
    }

    /// Whether one may be had for the next request: a script, or MULTI.
    pub(in crate::session) fn may_be_had(&self, is_script: bool) -> bool {
        !matches!(self.step, Step::Failed) && (is_script || !self.is_refused)
    }

    /// The session's user or its rights are others.
    pub(in crate::session) fn outdate(&mut self) {
        if let ActsAs::Mirror { is_current, .. } = &mut self.acts_as {
            *is_current = false;
        }
        if let Step::Asked(asked) = &mut self.step {
            asked.is_current = false;
        }
    }

    /// One has been asked for, with the rights of this moment.
    pub(in crate::session) fn ask(&mut self, anew: bool) {
        self.step = Step::Asked(Asked { name: Box::default(), is_current: true, anew });
    }

    /// A HELLO goes to Redis as soon as it knows for whom the session is.
    pub(in crate::session) fn greet_then(&mut self, protocol: Protocol, request: Box<[u8]>) {
        self.greeting = Some((protocol, request));
    }

    /// Redis was told of the one that was asked for, under this name. Whether it still has to let us act as it.
    pub(in crate::session) fn note_made(&mut self, name: &str) -> bool {
        self.is_refused = false;
        let Step::Asked(asked) = &mut self.step else { return false };
        asked.name = name.into();
        let anew = asked.anew;
        anew || !self.is_named(name)
    }

    /// There is none: the request that waits is refused, and nothing is lost. But Redis must not go on giving rights of
    /// before.
    pub(in crate::session) fn fail(&mut self, why: Option<MirrorFailure>) -> Result<(), CloseReason> {
        if let Some(why) = why {
            self.is_refused = why == MirrorFailure::Refused;
        }
        self.step = Step::Failed;
        if self.is_there() { Err(CloseReason::NoMirror) } else { Ok(()) }
    }

    /// Redis lets us act as it, or does not know it (any more). What is to be done next.
    pub(super) fn answered(&mut self, is_error: bool) -> Result<Option<AfterReplies>, CloseReason> {
        match &self.step {
            _ if !is_error => Ok(self.act()),
            Step::Asked(Asked { anew: false, .. }) => Ok(Some(AfterReplies::Mirror { anew: true })),
            _ => {
                self.step = Step::Failed;
                if self.is_there() { Err(CloseReason::NoMirror) } else { Ok(None) }
            }
        }
    }

    /// Redis has let us act as the one that was asked for. What is to be done next.
    pub(in crate::session) fn act(&mut self) -> Option<AfterReplies> {
        if let Step::Asked(Asked { name, is_current, .. }) = std::mem::take(&mut self.step) {
            self.acts_as = ActsAs::Mirror { name, is_current };
        }
        self.greeting.take().map(|(protocol, request)| AfterReplies::Hello(protocol, request))
    }

    /// That there is none has been said; the next request may try again.
    pub(in crate::session) fn forget_failure(&mut self) {
        if let Step::Failed = self.step {
            self.step = Step::None;
        }
    }

    /// Bytes of memory that waits for it.
    pub(super) fn memory(&self) -> usize {
        self.greeting.as_ref().map_or(0, |(_, request)| request.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: &str) -> Mirror {
        let mut mirror = Mirror::default();
        mirror.ask(false);
        assert!(mirror.note_made(name), "a login is to come");
        assert!(mirror.answered(false).unwrap().is_none());
        mirror
    }

    #[test]
    fn one_whose_rights_changed_while_it_was_made_is_outdated_from_the_beginning() {
        let mut mirror = Mirror::default();
        mirror.ask(false);
        mirror.outdate();
        mirror.note_made("m");
        mirror.answered(false).unwrap();
        assert!(mirror.is_there() && mirror.is_outdated());
        assert!(!made("m").is_outdated());
    }

    #[test]
    fn one_that_redis_does_not_know_is_made_anew_once() {
        let mut mirror = Mirror::default();
        mirror.ask(false);
        mirror.note_made("m");
        assert!(matches!(mirror.answered(true), Ok(Some(AfterReplies::Mirror { anew: true }))));
        mirror.ask(true);
        mirror.note_made("m");
        assert!(matches!(mirror.answered(true), Ok(None)));
        assert!(!mirror.may_be_had(true));
        mirror.forget_failure();
        assert!(mirror.may_be_had(true));
    }

    #[test]
    fn a_connection_that_acts_as_one_does_not_go_on_without() {
        let mut mirror = made("m");
        mirror.ask(false);
        assert!(!mirror.note_made("m"), "Redis has let us act as it before");
        assert!(mirror.fail(None).is_err());
        assert!(Mirror::default().fail(Some(MirrorFailure::Unreachable)).is_ok());
    }

    #[test]
    fn where_redis_refuses_one_scripts_ask_again_and_multi_does_not() {
        let mut mirror = Mirror::default();
        mirror.ask(false);
        mirror.fail(Some(MirrorFailure::Refused)).unwrap();
        mirror.forget_failure();
        assert!(mirror.may_be_had(true) && !mirror.may_be_had(false));
    }
}

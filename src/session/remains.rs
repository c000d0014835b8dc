//! What is left of a session that has ended before Redis had answered everything: whose the requests are.

use std::rc::Rc;

use super::close::CloseReason;
use super::who::{Peer, Who};
use crate::acl::Effort;
use crate::policy::Policy;

/// Whose requests Redis may still execute. No session waits for the replies, so whatever is lost of the rights ends them.
pub struct Remains {
    peer: Rc<Peer>,
    who: Who,
    /// Some were sent with other rights than the session had at its end.
    has_former: bool,
}

impl Remains {
    pub(super) fn new(peer: Rc<Peer>, who: Who, has_former: bool) -> Self {
        Self { peer, who, has_former }
    }

    /// Whether some requests were sent with rights that the session had lost by its end.
    pub fn has_former_rights(&self) -> bool {
        self.has_former
    }

    /// The policy is perhaps a new one.
    ///
    /// # Errors
    /// Some of the rights behind the requests have gone.
    pub fn handle_policy(&mut self, policy: &Policy) -> Result<(), CloseReason> {
        if self.who.is_under(policy) {
            return Ok(());
        }
        let change = self.who.renew(&self.peer, policy, None)?;
        let keeps_all = || change.is_none_or(|change| change.keeps_all(&Effort::of_a_session()));
        if !self.has_former && keeps_all() { Ok(()) } else { Err(CloseReason::PolicyChanged) }
    }
}

//! A password on a session whose certificate says who it is. It can make nobody else of it, so there it is not guessed,
//! but left over: clients that came through a tunnel before go on sending the password of `default`.

use super::{Policy, Principal, Proof};

/// What is said to a login whose password is not looked at. The session stays who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum StrayAuth {
    /// The same as to a wrong password.
    Refuse,
    /// The same as to the right one.
    Ignore,
}

impl Policy {
    /// What is said to a session of `current` that logs in as `name`, without a look at the password; `None` where the
    /// password decides.
    ///
    /// Only sessions that stand on their certificate are concerned, and none that may become somebody else (`reauth`).
    /// Nobody is made to believe that he is another named user.
    pub fn stray_auth(&self, current: Option<&Principal>, name: &[u8]) -> Option<StrayAuth> {
        let own = &current.filter(|principal| principal.proof == Proof::Certificate)?.user;
        let settings = self.settings_of(own);
        if settings.reauth {
            return None;
        }
        let is_own = own.name().as_str().as_bytes() == name;
        if (is_own || name == b"default") && settings.ignore_stray_auth.unwrap_or(self.ignore_stray_auth) {
            return Some(StrayAuth::Ignore);
        }
        let any_is_right = own.is_nopass() || !own.passwords().is_empty();
        let is_decided = !is_own || settings.certificate_only || !any_is_right;
        is_decided.then_some(StrayAuth::Refuse)
    }
}

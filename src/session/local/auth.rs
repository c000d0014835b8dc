//! AUTH, and the part of HELLO that logs in. A login is a barrier: nothing behind it is looked at until the password is
//! verified, off the I/O thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::hello::Greeting;
use crate::acl::{PasswordHash, Refusal, RefusalReason};
use crate::command::Argv;
use crate::policy::{Policy, Principal, Proof, StrayAuth, UserRefusal};
use crate::resp::Reply;
use crate::session::action::{Action, Credentials, LoginFailure, LoginOutcome, Report};
use crate::session::close::CloseReason;
use crate::session::core::SessionCore;
use crate::session::output::Output;
use crate::session::wait::Wait;

const WRONG_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";
const NO_PASSWORD_NEEDED: &str = "ERR AUTH <password> called without any password configured for the default user. Are \
                                  you sure your configuration is correct?";

/// How long a client whose login is throttled waits to hear of it. The guess is not looked at in any case, but whoever makes
/// it is kept from making the next: on as many connections as he may have, he gets through one a second on each.
const PAUSE: Duration = Duration::from_secs(1);

/// A login whose password is being verified.
pub(in crate::session) struct Login {
    user: Vec<u8>,
    /// What the password is compared with.
    hashes: Vec<PasswordHash>,
    /// The rest of the HELLO that it came in.
    greeting: Option<Greeting>,
    /// Bytes of the name and the password, which wait with the hashing.
    credentials: usize,
}

impl Login {
    /// Bytes of memory that are held for it.
    pub(in crate::session) fn memory(&self) -> usize {
        self.user.capacity() + self.credentials + self.greeting.as_ref().map_or(0, Greeting::memory)
    }
}

impl SessionCore {
    /// `AUTH [username] password` (`authCommand`).
    pub(super) fn auth(&mut self, policy: &Policy, argv: &Argv<'_>, out: &mut Output<'_>) {
        let (user, password) = match (argv.get(1), argv.get(2), argv.get(3)) {
            (Some(password), None, None) => {
                if policy.stray_auth(self.principal.as_ref(), b"default").is_none()
                    && policy.acl.user(b"default").is_some_and(|user| user.is_nopass())
                {
                    self.answer(&Reply::error(NO_PASSWORD_NEEDED), out);
                    return;
                }
                (&b"default"[..], password)
            }
            (Some(user), Some(password), None) => (user, password),
            _ => {
                self.answer(&Reply::error("ERR syntax error"), out);
                return;
            }
        };
        self.log_in(policy, user, password, None, out);
    }

    /// Starts a login, or ends it at once where no password has to be verified.
    pub(super) fn log_in(
        &mut self,
        policy: &Policy,
        name: &[u8],
        password: &[u8],
        greeting: Option<Greeting>,
        out: &mut Output<'_>,
    ) {
        if let Some(stray) = policy.stray_auth(self.principal.as_ref(), name) {
            self.answer_stray(policy, stray, name, greeting, out);
            return;
        }
        let user = policy.acl.user(name).filter(|user| self.may_log_in(policy, user));
        if let Some(user) = user
            && user.is_nopass()
        {
            let login = Login { user: name.to_vec(), hashes: Vec::new(), greeting, credentials: 0 };
            self.logged_in(policy, login, None, out);
            return;
        }
        let hashes = user.map(|user| user.passwords().to_vec()).filter(|hashes| !hashes.is_empty());
        let login = Login {
            user: name.to_vec(),
            hashes: hashes.clone().unwrap_or_default(),
            greeting,
            credentials: name.len() + password.len(),
        };
        self.wait = Some(Wait::Verifying(login));
        self.act(Action::Verify(Credentials {
            user: name.to_vec(),
            is_own: self.is_by_certificate(name),
            password: Zeroizing::new(password.to_vec()),
            hashes,
            generation: policy.generation,
        }));
    }

    /// The verification that [`Action::Verify`] asked for has ended.
    pub fn handle_verified(
        &mut self,
        outcome: LoginOutcome,
        policy: &Policy,
        now: Instant,
        out: &mut Output<'_>,
    ) -> Result<(), CloseReason> {
        self.handle_policy(policy)?;
        let login = match self.wait.take() {
            Some(Wait::Verifying(login)) => login,
            other => {
                self.wait = other;
                return Ok(());
            }
        };
        match outcome {
            // The policy may have changed while the password was verified: ask it again.
            LoginOutcome::Accepted(index)
                if policy.acl.user(&login.user).is_some_and(|user| {
                    self.may_log_in(policy, user)
                        && login.hashes.get(index).is_some_and(|hash| user.passwords().contains(hash))
                }) =>
            {
                let password = login.hashes.get(index).cloned();
                self.logged_in(policy, login, password, out);
            }
            LoginOutcome::Accepted(_) | LoginOutcome::Rejected => {
                self.login_failed(policy, &login, LoginFailure::WrongPassword);
                self.answer(&Reply::error(WRONG_PASSWORD), out);
            }
            LoginOutcome::Busy => {
                self.login_failed(policy, &login, LoginFailure::Busy);
                let text = "ERR respgate: too many logins are waiting, try again later";
                self.put_off(CloseReason::AuthenticationBusy, text, now, out);
            }
            LoginOutcome::Throttled => {
                self.login_failed(policy, &login, LoginFailure::Throttled);
                self.wait = Some(Wait::Throttled { until: now + PAUSE });
            }
        }
        self.settle();
        Ok(())
    }

    /// The pause after a throttled login is over.
    pub(in crate::session) fn tell_throttled(&mut self, now: Instant, out: &mut Output<'_>) {
        let text = "ERR respgate: too many failed logins, try again later";
        self.put_off(CloseReason::Throttled, text, now, out);
    }

    /// Tells the client that its password was not looked at. Whom a certificate has let in stays in.
    fn put_off(&mut self, reason: CloseReason, text: &'static str, now: Instant, out: &mut Output<'_>) {
        let Some(Principal { proof: Proof::Certificate, .. }) = &self.principal else {
            return self.fail(reason, text, now, out);
        };
        self.wait = None;
        self.answer(&Reply::error(text), out);
        self.settle();
    }

    /// Ends the pause at once: nothing is gained by it any more.
    pub(in crate::session) fn end_pause(&mut self) {
        if let Some(Wait::Throttled { until }) = &mut self.wait {
            *until = self.started;
        }
    }

    fn may_log_in(&self, policy: &Policy, user: &crate::acl::User) -> bool {
        let Self { peer, principal, .. } = self;
        policy.may_log_in(user, principal.as_ref(), peer.certificate.as_deref(), peer.address.ip()).is_ok()
    }

    fn logged_in(&mut self, policy: &Policy, login: Login, password: Option<PasswordHash>, out: &mut Output<'_>) {
        let Some(user) = policy.acl.user(&login.user) else { return };
        self.report(|| Report::LoggedIn { user: user.name().to_string() });
        // A session that entered as this user by certificate still stands on that.
        if !self.is_by_certificate(&login.user) {
            self.principal = Some(Principal { user: Arc::clone(user), proof: Proof::Password, password });
            self.id_changes_hands();
            self.outdate_mirror();
        }
        self.welcome(policy, login.greeting, out);
    }

    /// The reply to a login that is well.
    fn welcome(&mut self, policy: &Policy, greeting: Option<Greeting>, out: &mut Output<'_>) {
        match greeting {
            None => self.answer(&Reply::OK, out),
            Some(greeting) => self.greet(policy, greeting, out),
        }
    }

    /// Answers a login whose password can make nobody else of the session. It is no guess: nothing is verified, and it
    /// counts against nobody.
    fn answer_stray(
        &mut self,
        policy: &Policy,
        stray: StrayAuth,
        name: &[u8],
        greeting: Option<Greeting>,
        out: &mut Output<'_>,
    ) {
        if !std::mem::replace(&mut self.stray_auth_reported, true) {
            let is_ignored = stray == StrayAuth::Ignore;
            self.report(|| Report::StrayAuth { attempted: shown(name), is_ignored });
        }
        match stray {
            StrayAuth::Ignore => self.welcome(policy, greeting, out),
            StrayAuth::Refuse => {
                self.note_failed_login(greeting.as_ref(), name);
                self.answer(&Reply::error(WRONG_PASSWORD), out);
            }
        }
    }

    /// Whether the session is this user, and by its certificate.
    fn is_by_certificate(&self, name: &[u8]) -> bool {
        self.principal.as_ref().is_some_and(|principal| {
            principal.proof == Proof::Certificate && principal.user.name().as_str().as_bytes() == name
        })
    }

    /// For `ACL LOG`.
    fn note_failed_login(&mut self, greeting: Option<&Greeting>, name: &[u8]) {
        let command = if greeting.is_some() { "HELLO" } else { "AUTH" };
        let context = self.refusal_context();
        self.note_refusal(Refusal::new(RefusalReason::Auth, context, command.as_bytes(), name));
    }

    fn login_failed(&mut self, policy: &Policy, login: &Login, failure: LoginFailure) {
        self.note_failed_login(login.greeting.as_ref(), &login.user);
        let reason = match failure {
            LoginFailure::WrongPassword => self.wrong_password(policy, &login.user),
            other => other,
        };
        self.report(|| Report::LoginFailed { user: shown(&login.user), reason });
    }

    /// Why no password would have been right, if that is so.
    fn wrong_password(&self, policy: &Policy, name: &[u8]) -> LoginFailure {
        let Some(user) = policy.acl.user(name) else { return LoginFailure::Refused(UserRefusal::NoSuchUser) };
        let (certificate, address) = (self.peer.certificate.as_deref(), self.peer.address.ip());
        match policy.may_log_in(user, self.principal.as_ref(), certificate, address) {
            Ok(()) => LoginFailure::WrongPassword,
            Err(refusal) => LoginFailure::Refused(refusal),
        }
    }
}

/// A name that was given, for the log: of a long one the beginning.
fn shown(name: &[u8]) -> String {
    const SHOWN: usize = 256;
    String::from_utf8_lossy(&name[..name.len().min(SHOWN)]).into_owned()
}

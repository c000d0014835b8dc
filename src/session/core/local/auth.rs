//! AUTH, and the part of HELLO that logs in. A login is a barrier: nothing behind it is looked at until the password is
//! verified, off the I/O thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::acl::{AclLogReason, AclLogRecord, Effort, LONGEST_PASSWORD, PasswordHash, User, UserName};
use crate::command::Argv;
use crate::policy::{Policy, Principal, Proof, StrayAuth, UserRefusal};
use crate::resp::Reply;
use crate::session::action::{Action, Credentials, LoginFailure, LoginOutcome, Report};
use crate::session::close::CloseReason;
use crate::session::core::SessionCore;
use crate::session::core::verdict::WRONG_PASSWORD;
use crate::session::login::{Greeting, Login};
use crate::session::output::Output;
use crate::session::wait::Wait;

const NO_PASSWORD_NEEDED: &str = "ERR AUTH <password> called without any password configured for the default user. Are \
                                  you sure your configuration is correct?";

/// How long a client whose login is throttled waits to hear of it. The guess is not looked at in any case, but whoever makes
/// it is kept from making the next: on as many connections as he may have, he gets through one a second on each.
const PAUSE: Duration = Duration::from_secs(1);

impl SessionCore {
    /// `AUTH [username] password` (`authCommand`).
    pub(super) fn auth(&mut self, policy: &Policy, argv: &Argv<'_>, out: &mut Output<'_>) {
        let (user, password) = match (argv.get(1), argv.get(2), argv.get(3)) {
            (Some(password), None, None) => {
                if policy.stray_auth(self.who.principal(), b"default").is_none()
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
        // Whatever becomes of it is told, and costs about as much.
        self.intake.note_report(true);
        if let Some(stray) = policy.stray_auth(self.who.principal(), name) {
            self.answer_stray(policy, stray, name, greeting, out);
            return;
        }
        if UserName::is_too_long(name) {
            // Nobody can be called that: how soon it is refused tells nothing.
            self.note_failed_login(greeting.is_some(), name);
            let reason = LoginFailure::Refused(UserRefusal::NoSuchUser);
            self.outbox.report(Report::LoginFailed { user: shown(name), reason });
            self.refuse_login(out);
            return;
        }
        let user = policy.acl.user(name).filter(|user| self.may_log_in(policy, user).is_ok());
        if let Some(user) = user
            && user.is_nopass()
        {
            self.logged_in(policy, Login::without_password(name, greeting), None, out);
            return;
        }
        if password.len() > LONGEST_PASSWORD {
            // Nobody's is that long. Neither copied nor hashed, it costs nothing that others would wait for.
            self.note_failed_login(greeting.is_some(), name);
            let reason = self.wrong_password(policy, name);
            self.outbox.report(Report::LoginFailed { user: shown(name), reason });
            self.refuse_login(out);
            return;
        }
        let hashes = user.map(|user| user.passwords().to_vec()).filter(|hashes| !hashes.is_empty());
        self.intake.note_work(hashes.as_deref().map_or(0, size_of_val));
        let login = Login::new(name, password, hashes.clone().unwrap_or_default(), greeting);
        self.intake.wait_for(Wait::Verifying(Box::new(login)));
        self.outbox.act(Action::Verify(Credentials {
            user: name.to_vec(),
            is_own: self.is_by_certificate(name),
            password: Zeroizing::new(password.to_vec()),
            hashes,
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
        if !matches!(self.intake.waits_for(), Some(Wait::Verifying(_))) {
            return Ok(());
        }
        let Some(Wait::Verifying(login)) = self.intake.take_wait() else { return Ok(()) };
        match outcome {
            // The policy may have changed while the password was verified: ask it again.
            LoginOutcome::Accepted(index)
                if policy.acl.user(login.user()).is_some_and(|user| {
                    self.may_log_in(policy, user).is_ok()
                        && login.hash(index).is_some_and(|hash| user.passwords().contains(hash))
                }) =>
            {
                let password = login.hash(index).cloned();
                self.logged_in(policy, *login, password, out);
            }
            LoginOutcome::Accepted(_) | LoginOutcome::Rejected => {
                self.login_failed(policy, &login, LoginFailure::WrongPassword);
                self.refuse_login(out);
            }
            LoginOutcome::Busy => {
                self.login_failed(policy, &login, LoginFailure::Busy);
                let text = "ERR respgate: too many logins are waiting, try again later";
                self.put_off(CloseReason::AuthenticationBusy, text, now, out);
            }
            LoginOutcome::Throttled => {
                self.login_failed(policy, &login, LoginFailure::Throttled);
                self.intake.wait_for(Wait::Throttled { until: now + PAUSE });
            }
        }
        self.go_on_if_replies_are_out();
        Ok(())
    }

    /// The pause after a throttled login is over.
    pub(in crate::session) fn tell_throttled(&mut self, now: Instant, out: &mut Output<'_>) {
        let text = "ERR respgate: too many failed logins, try again later";
        self.put_off(CloseReason::Throttled, text, now, out);
    }

    /// Tells the client that its password was not looked at. Whom a certificate has let in stays in.
    fn put_off(&mut self, reason: CloseReason, text: &'static str, now: Instant, out: &mut Output<'_>) {
        if !self.who.is_by_certificate() {
            return self.fail(reason, text, now, out);
        }
        self.intake.take_wait();
        self.answer(&Reply::error(text), out);
        self.go_on_if_replies_are_out();
    }

    /// Ends the pause at once: nothing is gained by it any more.
    pub(in crate::session) fn end_pause(&mut self) {
        if let Some(Wait::Throttled { .. }) = self.intake.waits_for() {
            self.intake.wait_for(Wait::Throttled { until: self.life.started() });
        }
    }

    fn may_log_in(&self, policy: &Policy, user: &User) -> Result<(), UserRefusal> {
        let (certificate, address) = (self.peer.certificate.as_deref(), self.peer.address.ip());
        if certificate.is_some() {
            self.intake.note_rules(policy.rules_of_login(user));
        }
        policy.may_log_in(user, self.who.principal(), certificate, address)
    }

    fn logged_in(&mut self, policy: &Policy, login: Login, password: Option<PasswordHash>, out: &mut Output<'_>) {
        let Some(user) = policy.acl.user(login.user()) else { return };
        self.outbox.report(Report::LoggedIn { user: user.name().to_string() });
        // A session that entered as this user by certificate still stands on that.
        if !self.is_by_certificate(login.user()) {
            self.outbox.note_former_user(self.who.user().map(|user| user.name()));
            let user = policy.acting(user);
            let former = self.who.log_in(Principal { user: Arc::clone(&user), proof: Proof::Password, password });
            let effort = Effort::of_a_session();
            self.upstream.user_replaced(former.as_deref(), &user, &effort);
            self.intake.note_effort(&effort);
        }
        self.welcome(policy, login.into_greeting(), out);
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
        self.outbox.report(Report::StrayAuth { attempted: shown(name), is_ignored: stray == StrayAuth::Ignore });
        match stray {
            StrayAuth::Ignore => self.welcome(policy, greeting, out),
            StrayAuth::Refuse => {
                self.note_failed_login(greeting.is_some(), name);
                self.refuse_login(out);
            }
        }
    }

    /// Whether the session is this user, and by its certificate.
    fn is_by_certificate(&self, name: &[u8]) -> bool {
        self.who.is_by_certificate() && self.who.user_name().is_some_and(|user| user.as_bytes() == name)
    }

    fn refuse_login(&mut self, out: &mut Output<'_>) {
        self.answer(&Reply::error(WRONG_PASSWORD), out);
        self.intake.note_refused_login();
    }

    /// For `ACL LOG`.
    fn note_failed_login(&mut self, is_in_hello: bool, name: &[u8]) {
        let command = if is_in_hello { "HELLO" } else { "AUTH" };
        let context = self.acl_log_context();
        self.outbox.note_acl_log_record(AclLogRecord::new(AclLogReason::Auth, context, command.as_bytes(), name));
    }

    fn login_failed(&mut self, policy: &Policy, login: &Login, failure: LoginFailure) {
        self.note_failed_login(login.is_in_hello(), login.user());
        let reason = match failure {
            LoginFailure::WrongPassword => self.wrong_password(policy, login.user()),
            other => other,
        };
        self.outbox.report(Report::LoginFailed { user: shown(login.user()), reason });
    }

    /// Why no password would have been right, if that is so.
    fn wrong_password(&self, policy: &Policy, name: &[u8]) -> LoginFailure {
        let Some(user) = policy.acl.user(name) else { return LoginFailure::Refused(UserRefusal::NoSuchUser) };
        match self.may_log_in(policy, user) {
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

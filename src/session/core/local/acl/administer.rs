//! SETUSER, DELUSER, LOAD and SAVE; and what needs a clock or randomness. Somebody outside does it while the session
//! waits: nothing behind it is looked at.

use std::time::Instant;

use zeroize::Zeroizing;

use super::{Answer, BLOCKED};
use crate::acl::{Effort, texts};
use crate::command::Argv;
use crate::policy::{LocalCommand, Policy, Verdict};
use crate::resp::{Reply, parse_integer};
use crate::session::action::Action;
use crate::session::administration::{Administered, Administration};
use crate::session::close::CloseReason;
use crate::session::core::SessionCore;
use crate::session::core::verdict::{Judgement, Refused};
use crate::session::output::Output;
use crate::session::wait::Wait;

impl SessionCore {
    pub(super) fn administer(&mut self, administration: Administration) {
        self.intake.wait_for(Wait::Administering { memory: administration.memory(), has_go_ahead: false });
        self.outbox.act(Action::Administer(administration));
    }

    /// The edit that [`Action::Administer`] asked for has its go-ahead, and may have waited long for it. It is judged again,
    /// and asked for again if it is still right.
    ///
    /// # Errors
    /// The right behind the session has gone.
    pub fn handle_go_ahead(
        &mut self,
        administration: &Administration,
        policy: &Policy,
        out: &mut Output<'_>,
    ) -> Result<(), CloseReason> {
        if !matches!(self.intake.waits_for(), Some(Wait::Administering { .. })) {
            return Ok(());
        }
        self.intake.take_wait();
        self.handle_policy(policy)?;
        let request = administration.request();
        self.judge_again(policy, &request.as_argv(), out);
        if let Some(Wait::Administering { memory, .. }) = self.intake.waits_for() {
            let memory = *memory;
            self.intake.wait_for(Wait::Administering { memory, has_go_ahead: true });
        }
        self.go_on_if_replies_are_out();
        Ok(())
    }

    /// Judges a request of the ACL family that had to wait for its go-ahead, as if it came now.
    fn judge_again(&mut self, policy: &Policy, argv: &Argv<'_>, out: &mut Output<'_>) {
        match self.judge(Effort::default(), |requester| Some(policy.decide(requester, argv))) {
            Some(Judgement::Certain(Verdict::Local(local))) => {
                let answer = self.acl_answer(policy, local, argv);
                if let Answer::Refused(_) = answer {
                    self.note_refused_later(Some(local.spec), Refused::told(BLOCKED));
                }
                self.give(answer, out);
            }
            Some(Judgement::Certain(Verdict::Deny(denial))) => {
                let (text, record) = (self.denial_text(policy, &denial, argv), self.acl_log_record(&denial, argv));
                self.note_refused_later(denial.command(), Refused::by(&denial));
                if let Some(record) = record {
                    self.outbox.note_acl_log_record(record);
                }
                self.refuse(text, out);
            }
            // The proxy answers all of the family itself, and nothing is outstanding that it could depend on.
            _ => self.refuse("ERR respgate: not done, try again".to_owned(), out),
        }
    }

    /// What [`Action::Administer`] asked for is done. `policy` is at least as new as the one it made.
    pub fn handle_administered(
        &mut self,
        administered: Administered,
        policy: &Policy,
        now: Instant,
        out: &mut Output<'_>,
    ) {
        if !matches!(self.intake.waits_for(), Some(Wait::Administering { .. })) {
            return;
        }
        self.intake.take_wait();
        self.answer(&administered.reply, out);
        // Whoever deletes its own user hears that it worked.
        if let Err(reason) = self.renew(policy, administered.generation) {
            self.finish(reason, now);
        }
        self.go_on_if_replies_are_out();
    }

    /// Commands that change users.
    pub(super) fn edit(&self, policy: &Policy, local: LocalCommand<'_>, argv: &Argv<'_>) -> Answer {
        let names = match local.spec.full_name() {
            "acl|setuser" => 2..3,
            "acl|deluser" => 2..argv.len(),
            _ => 0..0,
        };
        let mut named = names.clone().filter_map(|index| argv.get(index));
        if let Some(name) = named.find(|name| !self.may_change(policy, name)) {
            let name = String::from_utf8_lossy(name);
            return Answer::Refused(format!(
                "NOPERM respgate: only an exempt user may change '{name}', for whom less is blocked"
            ));
        }
        match local.spec.full_name() {
            "acl|setuser" => Answer::Later(Administration::SetUser {
                name: argv.get(2).unwrap_or_default().to_vec(),
                rules: Zeroizing::new(argv.iter_from(3).map(|(_, rule)| rule.to_vec()).collect()),
            }),
            "acl|deluser" => {
                let names: Vec<Vec<u8>> = argv.iter_from(2).map(|(_, name)| name.to_vec()).collect();
                match names.iter().any(|name| name == b"default") {
                    true => Answer::Now(Reply::error("ERR The 'default' user cannot be removed")),
                    false => Answer::Later(Administration::DeleteUsers(names)),
                }
            }
            "acl|load" => Answer::Later(Administration::Load),
            "acl|save" => Answer::Later(Administration::Save),
            // Of the family, only these change users.
            _ => Answer::Refused("ERR respgate: not done".to_owned()),
        }
    }

    /// A user for whom less is blocked comes from the files, or from one for whom nothing is: else whoever may change users
    /// could lift the blocklist.
    fn may_change(&self, policy: &Policy, name: &[u8]) -> bool {
        let own = self.who.user_name().map(str::as_bytes);
        !policy.is_blocked_less(name) || own.is_some_and(|own| policy.blocklist.exempts(own))
    }

    pub(super) fn log(&self, how: Option<&[u8]>) -> Answer {
        /// Entries that are shown where no number is given.
        const SHOWN: i64 = 10;
        let count = match how {
            Some(word) if word.eq_ignore_ascii_case(b"reset") => return Answer::Later(Administration::ResetLog),
            Some(number) => match parse_integer(number) {
                Some(count) => count,
                None => return Answer::Now(Reply::error(texts::NOT_AN_INTEGER)),
            },
            None => SHOWN,
        };
        Answer::Later(Administration::Log(usize::try_from(count.max(0)).unwrap_or(usize::MAX)))
    }
}

/// `ACL GENPASS [bits]`.
pub(super) fn generate_password(bits: Option<&[u8]>) -> Answer {
    const MOST: u16 = 4096;
    let bits = match bits.map(parse_integer) {
        None => 256,
        Some(Some(bits)) => bits,
        Some(None) => return Answer::Now(Reply::error(texts::NOT_AN_INTEGER)),
    };
    match u16::try_from(bits) {
        Ok(bits @ 1..=MOST) => Answer::Later(Administration::GeneratePassword(bits)),
        _ => Answer::Now(Reply::error(format!(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to {MOST}"
        ))),
    }
}

//! SETUSER, DELUSER, LOAD and SAVE; and what needs a clock or randomness. Somebody outside does it while the session
//! waits: nothing behind it is looked at.

use std::time::Instant;

use zeroize::Zeroizing;

use super::Answer;
use crate::acl::texts;
use crate::command::{Argv, ArgvBuf};
use crate::policy::{LocalCommand, Policy};
use crate::resp::{Reply, parse_integer};
use crate::session::action::Action;
use crate::session::close::CloseReason;
use crate::session::core::SessionCore;
use crate::session::output::Output;
use crate::session::wait::Wait;

/// What a session wants done. It holds passwords, so it has no `Debug`.
pub enum Administration {
    /// `ACL SETUSER name rules…`.
    SetUser {
        /// The user that is made or changed.
        name: Vec<u8>,
        /// The rules in order.
        rules: Zeroizing<Vec<Vec<u8>>>,
    },
    /// `ACL DELUSER names…`: none of them is `default`.
    DeleteUsers(Vec<Vec<u8>>),
    /// `ACL LOAD`.
    Load,
    /// `ACL SAVE`.
    Save,
    /// `ACL LOG count`.
    Log(usize),
    /// `ACL LOG RESET`.
    ResetLog,
    /// `ACL GENPASS bits`: from 1 to 4,096.
    GeneratePassword(u16),
}

impl Administration {
    /// The request that asks for it.
    pub(in crate::session) fn request(&self) -> ArgvBuf {
        let count: String;
        let (subcommand, arguments): (&str, Vec<&[u8]>) = match self {
            Self::SetUser { name, rules } => {
                ("SETUSER", std::iter::once(name).chain(rules.iter()).map(Vec::as_slice).collect())
            }
            Self::DeleteUsers(names) => ("DELUSER", names.iter().map(Vec::as_slice).collect()),
            Self::Load => ("LOAD", Vec::new()),
            Self::Save => ("SAVE", Vec::new()),
            Self::Log(entries) => {
                count = entries.to_string();
                ("LOG", vec![count.as_bytes()])
            }
            Self::ResetLog => ("LOG", vec![b"RESET"]),
            Self::GeneratePassword(bits) => {
                count = bits.to_string();
                ("GENPASS", vec![count.as_bytes()])
            }
        };
        [b"ACL", subcommand.as_bytes()].into_iter().chain(arguments).collect()
    }

    /// Bytes of memory that it takes.
    fn memory(&self) -> usize {
        let all = |words: &[Vec<u8>]| words.iter().map(|word| size_of_val(word) + word.capacity()).sum::<usize>();
        match self {
            Self::SetUser { name, rules } => name.capacity() + all(rules),
            Self::DeleteUsers(names) => all(names),
            Self::Load | Self::Save | Self::Log(_) | Self::ResetLog | Self::GeneratePassword(_) => 0,
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Administered {
    /// For the client.
    pub reply: Reply,
    /// The policy that this made, by its number.
    pub generation: Option<u64>,
}

impl SessionCore {
    pub(super) fn administer(&mut self, administration: Administration) {
        self.wait = Some(Wait::Administering { memory: administration.memory() });
        self.act(Action::Administer(administration));
    }

    /// It is the turn of what [`Action::Administer`] asked for, which may have waited for long. It is judged again, and asked
    /// for again if it is still right.
    ///
    /// # Errors
    /// The right behind the session has gone.
    pub fn handle_turn(
        &mut self,
        administration: &Administration,
        policy: &Policy,
        out: &mut Output<'_>,
    ) -> Result<(), CloseReason> {
        if !matches!(self.wait, Some(Wait::Administering { .. })) {
            return Ok(());
        }
        self.wait = None;
        self.handle_policy(policy)?;
        let request = administration.request();
        self.judge_again(policy, &request.as_argv(), out);
        self.settle();
        Ok(())
    }

    /// What [`Action::Administer`] asked for is done. `policy` is at least as new as the one it made.
    pub fn handle_administered(
        &mut self,
        administered: Administered,
        policy: &Policy,
        now: Instant,
        out: &mut Output<'_>,
    ) {
        if !matches!(self.wait, Some(Wait::Administering { .. })) {
            return;
        }
        self.wait = None;
        self.answer(&administered.reply, out);
        // Whoever deletes its own user hears that it worked.
        if let Err(reason) = self.renew(policy, administered.generation) {
            self.finish(reason, now);
        }
        self.settle();
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
            _ => Answer::Later(Administration::Save),
        }
    }

    /// A user for whom less is blocked comes from the files, or from one for whom nothing is: else whoever may change users
    /// could lift the blocklist.
    fn may_change(&self, policy: &Policy, name: &[u8]) -> bool {
        let Policy { blocklist, .. } = policy;
        let own = self.principal.as_ref().map(|own| own.user.name().as_str().as_bytes());
        !(blocklist.exempts(name) || blocklist.lifts_scripting(name)) || own.is_some_and(|own| blocklist.exempts(own))
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

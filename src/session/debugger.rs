//! The Lua debugger. After SCRIPT DEBUG, EVAL begins a conversation: until the script has ended, Redis reads commands of
//! its debugger from this connection and executes no others (`ldbRepl`). It answers each with one array and nothing else,
//! the last of which ends with a mark; then come EVAL's own reply and the end of the connection.
//!
//! Should Redis not be debugging after all, it would execute whatever it is sent. So it is sent what is a command of the
//! debugger and no command of Redis, and nothing before it has answered the last one: it forgets what comes in between.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::close::CloseReason;
use super::core::{ReplyMode, SessionCore};
use super::info;
use super::output::{Output, Side};
use super::pending::{Audience, Slot};
use super::reply::Route;
use super::request::Objection;
use super::shared::Shared;
use super::wait::{AfterDrain, Wait};
use crate::command::{Argv, ArgvBuf};
use crate::policy::{Permit, Policy, Requester, Stance, Verdict};
use crate::resp::{Reply, encode_request};

pub(super) const NOT_OUR_TURN: Objection =
    Objection { reason: "debugger", text: "ERR respgate: another session is about to debug" };

/// What Redis says of what its debugger does not know.
const UNKNOWN: &str = "<error> Unknown Redis Lua debugger command or wrong number of arguments.";

/// Of a name that Redis might take for one of its own.
const AMBIGUOUS: &str = "<error> respgate: this is a command of Redis, too";

const OUT_OF_BOUNDS: &str = "<error> respgate: the debugger takes 1024 arguments of 1 to 1024 bytes, and 1 MiB in all";

/// Where a session stands with the debugger.
#[derive(Default)]
pub(super) enum Debugger {
    #[default]
    Off,
    /// The next EVAL is debugged.
    Armed,
    /// This one is.
    Conversing(Box<ArgvBuf>),
    /// It has ended, and only its own reply is to come.
    Ended,
}

impl Debugger {
    pub(super) fn is_off(&self) -> bool {
        matches!(self, Self::Off)
    }

    /// What the client says is for the debugger.
    pub(super) fn is_conversing(&self) -> bool {
        matches!(self, Self::Conversing(_) | Self::Ended)
    }

    /// The request that is being debugged.
    pub(super) fn script(&self) -> Option<&ArgvBuf> {
        match self {
            Self::Conversing(script) => Some(script),
            _ => None,
        }
    }

    /// Bytes of memory that it takes.
    pub(super) fn memory(&self) -> usize {
        self.script().map_or(0, ArgvBuf::memory)
    }
}

/// The turn at Redis's debugger, from SCRIPT DEBUG until EVAL has begun a conversation. It is given back when dropped.
///
/// Redis has one debugger, which converses with the connection that said SCRIPT DEBUG last, whoever's script it runs. That
/// connection loses to it the beginning of a request, and Redis takes what is left of that for requests. So one session
/// at a time; and a session that ends before Redis has answered leaves its turn to whoever waits for Redis to be done with it.
pub struct Turn {
    shared: Arc<Shared>,
    /// Redis has not answered the SCRIPT DEBUG or EVAL that it was sent.
    is_unanswered: bool,
}

impl Turn {
    fn take(shared: &Arc<Shared>) -> Option<Self> {
        let was_taken = shared.debugging.swap(true, Ordering::AcqRel);
        (!was_taken).then(|| Self { shared: Arc::clone(shared), is_unanswered: true })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.shared.debugging.store(false, Ordering::Release);
    }
}

impl SessionCore {
    /// SCRIPT DEBUG YES or SYNC may go on to Redis.
    pub(super) fn takes_turn(&mut self) -> bool {
        match &mut self.turn {
            Some(turn) => turn.is_unanswered = true,
            none => *none = Turn::take(&self.shared),
        }
        self.turn.is_some()
    }

    /// SCRIPT DEBUG was answered.
    pub(super) fn note_script_debug(&mut self, on: bool, is_error: bool) {
        if !is_error {
            self.debugger = if on { Debugger::Armed } else { Debugger::Off };
        }
        if self.debugger.is_off() {
            self.end_turn();
        } else if let Some(turn) = &mut self.turn {
            turn.is_unanswered = false;
        }
    }

    /// Redis has begun a conversation with this session, or never will.
    pub(super) fn end_turn(&mut self) {
        self.turn = None;
    }

    /// The turn of a session that has ended, if Redis has still to come to what it was sent in it.
    pub fn take_unanswered_turn(&mut self) -> Option<Turn> {
        self.turn.take_if(|turn| turn.is_unanswered)
    }

    /// Whether Redis will debug what is permitted here. (Of its relatives, EVALSHA is refused then, and FCALL runs.)
    pub(super) fn debugs(&self, permit: &Permit<'_>) -> bool {
        matches!(self.debugger, Debugger::Armed) && matches!(permit.spec().full_name(), "eval" | "eval_ro")
    }

    /// What the session has against debugging now. The debugger's answers come in the middle of an EXEC reply, and under
    /// CLIENT REPLY OFF, too. And the user may have become another since SCRIPT DEBUG.
    pub(super) fn objection_to_debugging(&self, policy: &Policy) -> Option<Objection> {
        const NOT_IN_MULTI: Objection =
            Objection { reason: "debugger", text: "ERR respgate: not possible inside MULTI after SCRIPT DEBUG" };
        const NO_REPLIES: Objection =
            Objection { reason: "debugger", text: "ERR respgate: not possible without replies after SCRIPT DEBUG" };
        const NOT_ALLOWED: Objection =
            Objection { reason: "debugger", text: "ERR respgate: not possible without the right to SCRIPT DEBUG" };
        if self.transaction.is_open() {
            Some(NOT_IN_MULTI)
        } else if self.reply_mode != ReplyMode::On {
            Some(NO_REPLIES)
        } else if !self.may_debug(policy) {
            Some(NOT_ALLOWED)
        } else {
            None
        }
    }

    /// Whether the user may have what SCRIPT DEBUG has turned on.
    pub(super) fn may_debug(&self, policy: &Policy) -> bool {
        let user = self.principal.as_ref().map(|principal| &*principal.user);
        let requester = Requester { user, stance: Stance::default(), database: self.database };
        let request = ArgvBuf::from_iter(["SCRIPT", "DEBUG", "YES"]);
        matches!(policy.decide(requester, &request.as_argv()), Verdict::Forward(_))
    }

    /// Redis answers from within EVAL, before it sends what it still has to say to earlier requests: they come first.
    pub(super) fn debug_once_drained(&mut self, script: ArgvBuf) {
        self.wait = Some(Wait::Drained(AfterDrain::Debug(Box::new(script))));
    }

    /// All earlier replies are out: the script is judged by the rights of this moment.
    pub(super) fn begin_debugging(
        &mut self,
        policy: &Policy,
        script: Box<ArgvBuf>,
        out: &mut Output<'_>,
    ) -> Result<(), CloseReason> {
        let argv = script.as_argv();
        let permit = match policy.decide(self.requester(), &argv) {
            Verdict::Forward(permit) if self.may_debug(policy) => permit,
            _ => return Err(CloseReason::StandingRightLost),
        };
        if self.lacks_mirror(policy, &permit) || self.mirror_is_outdated() {
            return Err(CloseReason::PolicyChanged);
        }
        let name = permit.upstream_name().or(argv.get(0)).unwrap_or_default();
        let request = encoded(name, &argv);
        if let Some(turn) = &mut self.turn {
            turn.is_unanswered = true;
        }
        self.debugger = Debugger::Conversing(script);
        self.send_to_debugger(&request, out);
        Ok(())
    }

    /// The client said something in a conversation: [`request`] made this of it.
    pub(super) fn converse(&mut self, request: Result<Vec<u8>, &'static str>, out: &mut Output<'_>) {
        match request {
            Ok(request) => self.send_to_debugger(&request, out),
            Err(text) => {
                self.traffic.refused += 1;
                self.answer(&Reply::Array(vec![Reply::Simple(text.into())]), out);
            }
        }
    }

    fn send_to_debugger(&mut self, request: &[u8], out: &mut Output<'_>) {
        out.send(Side::Upstream, request);
        self.pending.push(Slot::Debugger, Audience::Client);
        self.wait = Some(Wait::Barrier);
    }

    /// Where a reply in a conversation belongs; `None` while it does not tell. What is no answer of the debugger is the
    /// reply to EVAL: after it, or because Redis did not debug it, the conversation is over.
    pub(super) fn route_in_conversation(&mut self, first: u8, frame: &[u8], complete: bool) -> Option<Route> {
        const END: &[u8] = b"\r\n+<endsession>\r\n";
        self.end_turn();
        let is_debugging = matches!(self.debugger, Debugger::Conversing(_));
        if !is_debugging || first != b'*' || !matches!(self.pending.front(), Some(Slot::Debugger)) {
            return Some(Route::LastReply);
        }
        if !complete && frame.len() <= info::LARGEST {
            return None;
        }
        if complete && frame.ends_with(END) {
            self.debugger = Debugger::Ended;
            self.pending.push(Slot::Debugger, Audience::Client);
        }
        Some(Route::Answer { is_error: false, is_shown: true })
    }
}

/// What Redis's debugger is sent for a request of the client, or what the client is told in its place.
pub(super) fn request(policy: &Policy, argv: &Argv<'_>) -> Result<Vec<u8>, &'static str> {
    /// All names that it has, here or there. Each may be shortened to its first letter.
    const NAMES: [&str; 27] = [
        "a", "abort", "b", "break", "c", "continue", "e", "eval", "h", "help", "l", "list", "m", "max", "maxlen", "n",
        "next", "p", "print", "r", "redis", "s", "step", "t", "trace", "w", "whole",
    ];
    /// Over these bounds, and for an empty argument, Redis ends the script.
    const MOST_ARGUMENTS: usize = 1024;
    const LONGEST_ARGUMENT: usize = 1024;
    const LARGEST: usize = 1 << 20;

    let said = argv.get(0).unwrap_or_default();
    let name = NAMES.into_iter().find(|name| said.eq_ignore_ascii_case(name.as_bytes())).ok_or(UNKNOWN)?;
    let name = [name, &name[..1]].into_iter().find(|name| !policy.is_upstream_command(name)).ok_or(AMBIGUOUS)?;
    if argv.len() > MOST_ARGUMENTS || !argv.iter().all(|argument| (1..=LONGEST_ARGUMENT).contains(&argument.len())) {
        return Err(OUT_OF_BOUNDS);
    }
    let request = encoded(name.as_bytes(), argv);
    if request.len() > LARGEST { Err(OUT_OF_BOUNDS) } else { Ok(request) }
}

/// The request under another name.
fn encoded(name: &[u8], argv: &Argv<'_>) -> Vec<u8> {
    let arguments: Vec<&[u8]> = std::iter::once(name).chain(argv.iter().skip(1)).collect();
    let mut request = Vec::new();
    encode_request(&arguments, &mut request);
    request
}

//! The way of a request: scanned, judged, then forwarded, answered or refused.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::close::CloseReason;
use super::core::{Action, AfterDrain, Link, ReplyMode, Report, SessionCore, Stage, Wait};
use super::output::{Output, Queues, Side};
use super::pending::{ExecReply, Slot};
use super::standing::StandingChange;
use super::subscription::Kind;
use super::transaction::{Queue, Transaction};
use crate::acl::{AclDenial, Refusal, User};
use crate::command::{Argv, ArgvBuf, Role};
use crate::policy::{Denial, Permit, Policy, Verdict};
use crate::resp::{ProtocolError, Reply, Scanned};

/// Arguments from this size on are not waited for if what stands before them decides.
const STREAM_FROM: u64 = 64 << 10;

/// An empty request: Redis skips it without a reply, and it ends CLIENT REPLY SKIP.
const NOTHING: &[u8] = b"*0\r\n";

/// What becomes of the request that is being scanned.
pub(super) enum Body {
    /// It is held until it is complete.
    Whole,
    /// It is forwarded as it comes. Its last two bytes are held back until it is complete and judged again by its first
    /// arguments: Redis executes nothing without them.
    Forwarding { prefix: ArgvBuf, argc: usize },
    /// It was refused with this text, and is counted off.
    Discarding { refusal: String },
}

/// The reply that a forwarded request will have.
enum Owed {
    Slot(Slot),
    /// As many confirmations as channels.
    Confirmations {
        kind: Kind,
        names: Vec<Box<[u8]>>,
    },
    /// As many confirmations as channels, or all if none is named.
    Cancellations {
        kind: Kind,
        named: usize,
    },
    Exec,
    Mode(ReplyMode),
}

impl SessionCore {
    /// Takes as many requests from the input as may be taken now, and returns how many bytes they are.
    pub(super) fn take_requests(
        &mut self,
        policy: &Policy,
        now: Instant,
        out: &mut Output<'_>,
    ) -> Result<usize, CloseReason> {
        let input = out.input();
        let mut at = 0;
        loop {
            self.resume(policy, now, out)?;
            if self.stage != Stage::Running {
                return Ok(input.len());
            }
            let between = matches!(self.body, Body::Whole);
            if at == input.len() || (between && self.is_waiting()) {
                return Ok(at);
            }
            if self.principal.is_some() && self.link == Link::Absent {
                self.link = Link::Connecting;
                self.act(Action::Connect);
                return Ok(at);
            }
            let rest = &input[at..];
            let scanned = match self.scanner.scan(rest, &self.request_limits()) {
                Ok(scanned) => scanned,
                Err(error) => {
                    self.refuse_protocol(error, now, out);
                    return Ok(input.len());
                }
            };
            match scanned {
                Scanned::Incomplete => match self.stream(policy, at, rest, out) {
                    0 if self.is_too_large(rest) => {
                        let text = "ERR respgate: request too large";
                        self.fail(CloseReason::RequestTooLarge, text, now, out);
                    }
                    0 => return Ok(at),
                    taken => at += taken,
                },
                Scanned::Empty { len } => {
                    at += len;
                    self.end_skip(out);
                }
                Scanned::Part { len } => {
                    if let Body::Forwarding { .. } = self.body {
                        out.pass(at..at + len);
                    }
                    at += len;
                }
                Scanned::Request { len } => {
                    self.note_request(now);
                    match std::mem::replace(&mut self.body, Body::Whole) {
                        Body::Whole => self.judge(policy, at..at + len, now, out)?,
                        Body::Forwarding { prefix, argc } => {
                            self.commit(policy, &prefix, argc)?;
                            out.pass(at..at + len);
                        }
                        Body::Discarding { refusal } => self.refuse(refusal, out),
                    }
                    at += len;
                }
                Scanned::Inline { len } => {
                    self.note_request(now);
                    at += len;
                    self.judge_inline(policy, now, out)?;
                }
            }
        }
    }

    /// Does what had to follow all earlier replies, once they are out.
    fn resume(&mut self, policy: &Policy, now: Instant, out: &mut Output<'_>) -> Result<(), CloseReason> {
        if !self.pending.is_empty() {
            return Ok(());
        }
        match self.wait.take() {
            None | Some(Wait::Barrier) => Ok(()),
            Some(Wait::Drained(AfterDrain::Reset)) => self.reset(policy, now, out),
            Some(Wait::Drained(next)) if self.link != Link::Ready => {
                if self.link == Link::Absent {
                    self.link = Link::Connecting;
                    self.act(Action::Connect);
                }
                self.wait = Some(Wait::Drained(next));
                Ok(())
            }
            Some(Wait::Drained(AfterDrain::Replicate(request))) => {
                out.send(Side::Upstream, &request);
                self.replicating = true;
                Ok(())
            }
            Some(Wait::Drained(AfterDrain::Hello(protocol, request))) => {
                out.send(Side::Upstream, &request);
                self.expect_hello(protocol);
                Ok(())
            }
            waiting @ Some(Wait::Verifying(_) | Wait::Administering) => {
                self.wait = waiting;
                Ok(())
            }
        }
    }

    fn judge(
        &mut self,
        policy: &Policy,
        range: Range<usize>,
        now: Instant,
        out: &mut Output<'_>,
    ) -> Result<(), CloseReason> {
        let bytes = &out.input()[range.clone()];
        let argv = Argv::new(bytes, self.scanner.spans());
        match policy.decide(self.requester(), &argv) {
            Verdict::Forward(permit) => {
                let owed = self.owed(&permit, &argv);
                let change = StandingChange::of(&permit, &argv);
                self.standing.change(change);
                if self.replicating {
                    return self.forward_on_replication_link(&permit, bytes, out);
                }
                if let Role::Sync | Role::Psync = permit.spec().role() {
                    self.wait = Some(Wait::Drained(AfterDrain::Replicate(bytes.into())));
                    return Ok(());
                }
                if !self.prepare(policy, &permit, owed, out) {
                    return Ok(());
                }
                match permit.upstream_name() {
                    None => out.pass(range),
                    Some(name) => {
                        let tail = self.scanner.spans().first().map_or(0, |span| span.end as usize);
                        let count = format!("*{}\r\n${}\r\n", self.scanner.spans().len(), name.len());
                        out.send(Side::Upstream, count.as_bytes());
                        out.send(Side::Upstream, name);
                        out.pass(range.start + tail..range.end);
                    }
                }
                Ok(())
            }
            Verdict::Local(local) => {
                let argv = argv.iter().collect::<ArgvBuf>();
                self.answer_locally(policy, local, &argv.as_argv(), now, out)
            }
            Verdict::Deny(denial) => {
                let text = self.denial_text(policy, &denial, &argv);
                let refusal = self.refusal(&denial, &argv);
                self.note_denial(&denial, refusal);
                if self.replicating {
                    return Err(CloseReason::ReplicationMisuse);
                }
                self.refuse(text, out);
                Ok(())
            }
        }
    }

    /// An inline request is judged and forwarded in its canonical form, never as text.
    fn judge_inline(&mut self, policy: &Policy, now: Instant, out: &mut Output<'_>) -> Result<(), CloseReason> {
        let canonical = self.scanner.canonical().to_vec();
        let mut queues = Queues::default();
        let mut inner = Output::new(&canonical, Side::Downstream, &mut queues);
        let judged = self.judge(policy, 0..canonical.len(), now, &mut inner);
        let passed = inner.finish();
        out.send(Side::Upstream, queues.upstream.as_slice());
        out.send(Side::Upstream, &canonical[passed]);
        out.send(Side::Downstream, queues.downstream.as_slice());
        judged
    }

    /// Lets a request with a large argument go on before it is complete, if its first arguments decide. Returns how many
    /// bytes were taken; 0 if it has to be held.
    fn stream(&mut self, policy: &Policy, at: usize, rest: &[u8], out: &mut Output<'_>) -> usize {
        let large = self.scanner.open_bulk().is_some_and(|bulk| bulk.len >= STREAM_FROM);
        if let (true, Some(argc)) = (large, self.scanner.argc()) {
            let argc = argc as usize;
            let prefix = Argv::new(rest, self.scanner.spans());
            match policy.decide_by_prefix(self.requester(), &prefix, argc) {
                Some(Verdict::Forward(permit)) if is_plain(&permit) && !self.replicating => {
                    self.body = Body::Forwarding { prefix: prefix.iter().collect(), argc };
                    let taken = self.scanner.stream();
                    out.pass(at..at + taken);
                    return taken;
                }
                Some(Verdict::Deny(denial)) if is_final(&denial) => {
                    let text = self.denial_text(policy, &denial, &prefix);
                    let refusal = self.refusal(&denial, &prefix);
                    self.note_denial(&denial, refusal);
                    self.body = Body::Discarding { refusal: text };
                    return self.scanner.stream();
                }
                _ => {}
            }
        }
        0
    }

    fn is_too_large(&self, held: &[u8]) -> bool {
        matches!(self.body, Body::Whole)
            && held.len() + std::mem::size_of_val(self.scanner.spans()) > self.limits.request_buffer
    }

    /// Judges a streamed request again, now that only its end is missing upstream, under the policy of this moment.
    fn commit(&mut self, policy: &Policy, prefix: &ArgvBuf, argc: usize) -> Result<(), CloseReason> {
        match policy.decide_by_prefix(self.requester(), &prefix.as_argv(), argc) {
            Some(Verdict::Forward(permit)) if is_plain(&permit) => {
                self.transaction.queued(permit.spec().id());
                if self.wants_reply() {
                    self.pending.push(Slot::Pass(1));
                }
                Ok(())
            }
            _ => Err(CloseReason::PolicyChanged),
        }
    }

    /// What a permitted request will be answered with. Reads the request; changes nothing.
    fn owed(&self, permit: &Permit<'_>, argv: &Argv<'_>) -> Owed {
        let named = argv.len().saturating_sub(1);
        let names = || argv.iter_from(1).map(|(_, name)| name.into()).collect();
        match permit.spec().role() {
            Role::Subscribe => Owed::Confirmations { kind: Kind::Channel, names: names() },
            Role::Psubscribe => Owed::Confirmations { kind: Kind::Pattern, names: names() },
            Role::Ssubscribe => Owed::Confirmations { kind: Kind::Shard, names: names() },
            Role::Unsubscribe => Owed::Cancellations { kind: Kind::Channel, named },
            Role::Punsubscribe => Owed::Cancellations { kind: Kind::Pattern, named },
            Role::Sunsubscribe => Owed::Cancellations { kind: Kind::Shard, named },
            Role::Multi => Owed::Slot(Slot::Multi),
            Role::Exec => Owed::Exec,
            Role::Monitor => Owed::Slot(Slot::Monitor),
            Role::Select => {
                let database = argv.get(1).and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
                database.map_or(Owed::Slot(Slot::Pass(1)), |database| Owed::Slot(Slot::Select(database)))
            }
            Role::ClientReply => match argv.get(2).map(<[u8]>::to_ascii_lowercase).as_deref() {
                Some(b"on") => Owed::Mode(ReplyMode::On),
                Some(b"off") => Owed::Mode(ReplyMode::Off),
                Some(b"skip") => Owed::Mode(ReplyMode::SkipNext),
                _ => Owed::Slot(Slot::Pass(1)),
            },
            _ if permit.spec().is_blocking() => Owed::Slot(Slot::Blocking(Box::new(argv.iter().collect()))),
            _ => Owed::Slot(Slot::Pass(1)),
        }
    }

    /// Takes note of a request that is about to be forwarded. False if something else was sent in its place.
    fn prepare(&mut self, policy: &Policy, permit: &Permit<'_>, owed: Owed, out: &mut Output<'_>) -> bool {
        let in_transaction = self.transaction.is_open();
        match owed {
            Owed::Mode(mode) => {
                let was = std::mem::replace(&mut self.reply_mode, mode);
                if mode == ReplyMode::On {
                    self.pending.push(Slot::Pass(1));
                } else if was == ReplyMode::Off {
                    self.reply_mode = ReplyMode::Off;
                }
            }
            Owed::Confirmations { kind, names } => {
                let count = names.len() as u64;
                self.subscriptions.ask(kind, names);
                self.expect_confirmations(kind, count);
            }
            Owed::Cancellations { kind, named: 0 } => {
                self.expect_confirmations(kind, self.subscriptions.count(kind).max(1));
            }
            Owed::Cancellations { kind, named } => self.expect_confirmations(kind, named as u64),
            Owed::Exec => return self.execute(policy, out),
            Owed::Slot(slot) => {
                match (permit.spec().role(), in_transaction) {
                    (Role::Multi, false) => {
                        let user = self.principal.as_ref().map(|principal| Arc::clone(&principal.user));
                        self.transaction = user.map_or(Transaction::None, Transaction::open);
                    }
                    (Role::Multi, true) => {}
                    (Role::Discard, _) => self.transaction = Transaction::None,
                    _ => self.transaction.queued(permit.spec().id()),
                }
                let slot = match slot {
                    // Inside a transaction these are only queued, and answered in the EXEC reply.
                    Slot::Select(_) | Slot::Blocking(_) | Slot::Multi if in_transaction => Slot::Pass(1),
                    slot => slot,
                };
                let barrier = matches!(slot, Slot::Select(_) | Slot::Monitor);
                if self.wants_reply() {
                    self.pending.push(slot);
                    if barrier {
                        self.wait = Some(Wait::Barrier);
                    }
                } else {
                    self.assume_success(&slot);
                }
            }
        }
        true
    }

    /// Nothing will tell us whether it worked.
    fn assume_success(&mut self, slot: &Slot) {
        match slot {
            Slot::Select(database) => self.database = *database,
            Slot::Monitor => self.monitoring = true,
            _ => {}
        }
    }

    /// Confirmations come even where replies are off; then there is no telling how many, or whether an error took their
    /// place, so nothing waits for them.
    fn expect_confirmations(&mut self, kind: Kind, count: u64) {
        if self.wants_reply() {
            self.pending.push(Slot::Confirm { kind, left: count });
            self.wait = Some(Wait::Barrier);
        }
    }

    /// EXEC. Where we refused something, or the policy changed since MULTI, Redis is told to discard.
    fn execute(&mut self, policy: &Policy, out: &mut Output<'_>) -> bool {
        match std::mem::take(&mut self.transaction) {
            Transaction::None => {
                if self.wants_reply() {
                    self.pending.push(Slot::Pass(1));
                }
                true
            }
            Transaction::Open(Queue { user, answers, .. }) if self.still_acts_for(&user) => {
                if self.wants_reply() {
                    self.pending.push(if answers.is_empty() {
                        Slot::Pass(1)
                    } else {
                        Slot::Exec(Box::new(ExecReply { answers: answers.into(), left: None, place: 0 }))
                    });
                }
                true
            }
            aborted @ (Transaction::Open(_) | Transaction::Dirty) => {
                if let Transaction::Open(queue) = &aborted {
                    self.note_lost_commands(policy, queue);
                }
                out.send(Side::Upstream, b"*1\r\n$7\r\nDISCARD\r\n");
                if self.wants_reply() {
                    let mut text = Vec::new();
                    Reply::error("EXECABORT Transaction discarded because of previous errors.")
                        .encode(self.protocol, &mut text);
                    self.pending.push(Slot::Replace(text.into()));
                }
                false
            }
        }
    }

    fn still_acts_for(&self, user: &Arc<User>) -> bool {
        self.principal.as_ref().is_some_and(|now| Arc::ptr_eq(&now.user, user) || now.user == *user)
    }

    /// After SYNC or PSYNC Redis still executes commands from this socket: only what replication needs goes on.
    fn forward_on_replication_link(
        &mut self,
        permit: &Permit<'_>,
        bytes: &[u8],
        out: &mut Output<'_>,
    ) -> Result<(), CloseReason> {
        match permit.spec().role() {
            Role::Replconf | Role::Ping => {
                out.send(Side::Upstream, bytes);
                Ok(())
            }
            _ => Err(CloseReason::ReplicationMisuse),
        }
    }

    /// Whether the request that is being dealt with gets a reply; uses up CLIENT REPLY SKIP.
    pub(super) fn wants_reply(&mut self) -> bool {
        match self.reply_mode {
            ReplyMode::On => true,
            ReplyMode::Off => false,
            ReplyMode::SkipNext => {
                self.reply_mode = ReplyMode::On;
                false
            }
        }
    }

    /// A reply of ours in its place, unless the client wants none. What we answer, Redis does not see, so its own
    /// CLIENT REPLY SKIP has to be ended.
    pub(super) fn answer(&mut self, reply: &Reply, out: &mut Output<'_>) {
        if self.reply_mode == ReplyMode::SkipNext {
            self.end_skip(out);
            return;
        }
        if self.reply_mode == ReplyMode::Off {
            return;
        }
        let mut bytes = Vec::new();
        reply.encode(self.protocol, &mut bytes);
        if self.pending.is_empty() {
            out.send(Side::Downstream, &bytes);
        } else {
            self.pending.push(Slot::Local(bytes.into()));
        }
    }

    fn end_skip(&mut self, out: &mut Output<'_>) {
        if self.reply_mode == ReplyMode::SkipNext {
            self.reply_mode = ReplyMode::On;
            out.send(Side::Upstream, NOTHING);
        }
    }

    /// Refuses the request in its place; a transaction is then as good as lost.
    pub(super) fn refuse(&mut self, text: String, out: &mut Output<'_>) {
        self.transaction.spoil();
        self.answer(&Reply::error(text), out);
    }

    fn refuse_protocol(&mut self, error: ProtocolError, now: Instant, out: &mut Output<'_>) {
        if error != ProtocolError::CrossProtocol {
            self.answer(&Reply::error(format!("ERR Protocol error: {error}")), out);
        }
        self.finish(CloseReason::Protocol(error), now);
        self.settle();
    }

    fn denial_text(&self, policy: &Policy, denial: &Denial<'_>, argv: &Argv<'_>) -> String {
        policy.denial_text(denial, self.principal.as_ref().map(|principal| &*principal.user), argv)
    }

    fn note_denial(&mut self, denial: &Denial<'_>, refusal: Option<Refusal>) {
        self.traffic.refused += 1;
        if let Some(refusal) = refusal {
            self.note_refusal(refusal);
        }
        if denial.is_access_violation() {
            self.report(|| Report::Refused {
                reason: denial.to_string(),
                command: denial.spec().map(|spec| spec.full_name().to_owned()).unwrap_or_default(),
            });
        }
    }
}

/// Whether a request is answered by one ordinary reply, so that it can be streamed without further care.
fn is_plain(permit: &Permit<'_>) -> bool {
    permit.upstream_name().is_none()
        && !permit.spec().is_blocking()
        && matches!(permit.spec().role(), Role::Ordinary | Role::Publish | Role::Spublish)
}

/// Whether no later argument could turn the denial into a permit. The strictest reading of a prefix may ask for more
/// access to a key than the request turns out to need.
fn is_final(denial: &Denial<'_>) -> bool {
    !matches!(denial, Denial::Acl(_, denial) if *denial != AclDenial::Command)
}

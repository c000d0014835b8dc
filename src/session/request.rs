//! The way of a request: scanned, judged, then forwarded, answered or refused.

use std::ops::Range;
use std::time::Instant;

use super::action::{Action, Report, RequestRefusal};
use super::clients::NO_SUCH_CLIENT;
use super::close::CloseReason;
use super::core::{DOWNSTREAM_BACKLOG, Link, SessionCore, Stage};
use super::database::Databases;
use super::output::{Output, Queues, Side};
use super::pending::{Audience, Slot};
use super::stream::Body;
use super::subscription::Kind;
use super::transaction::{Queue, Queueing};
use super::wait::{AfterDrain, Wait};
use crate::acl::Refusal;
use crate::command::{Argv, ArgvBuf, CommandId, CommandSpec, Role};
use crate::policy::{Denial, Permit, Policy, Principal, Requester, Verdict};
use crate::resp::{ProtocolError, Reply, Scanned, parse_integer};

/// Why the session does not forward what the policy permits.
pub(super) struct Objection {
    /// A stable word for the log.
    pub(super) reason: RequestRefusal,
    /// What the client is told.
    pub(super) text: &'static str,
}

const NO_MIRROR: Objection = Objection {
    reason: RequestRefusal::NoMirror,
    text: "ERR respgate: Redis cannot be told for whom this script would run",
};

/// What became of a request that was judged.
#[derive(PartialEq, Eq)]
enum Judged {
    Taken,
    /// It has to be read again once what it waits for is there.
    Postponed,
}

/// The verdict on a request in every state that Redis may be in when it gets it.
pub(super) enum Judgement<'p> {
    Certain(Verdict<'p>),
    /// It depends on a reply that is outstanding.
    Undecided,
}

/// The reply that a forwarded request will have.
enum Owed {
    Slot(Slot),
    /// As many confirmations as channels.
    Confirmations(Kind, Box<ArgvBuf>),
    /// As many confirmations as channels, or all if none is named.
    Cancellations {
        kind: Kind,
        named: usize,
    },
    Exec,
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
            if at == input.len() && between {
                self.scanner.rest();
                return Ok(at);
            }
            if at == input.len() || (between && (self.is_waiting() || is_full(out))) {
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
                    0 if !self.is_waiting() && self.is_too_large(rest) => {
                        let text = "ERR respgate: request too large";
                        self.fail(CloseReason::RequestTooLarge, text, now, out);
                    }
                    0 => return Ok(at),
                    taken => at += taken,
                },
                Scanned::Empty { len } => {
                    at += len;
                    // Redis skips it without a reply, and it ends CLIENT REPLY SKIP.
                    let _ = self.audience();
                    self.use_up_one_shot(out);
                }
                Scanned::Part { len } => {
                    if let Body::Forwarding { .. } = self.body {
                        out.pass(at..at + len);
                    }
                    at += len;
                }
                Scanned::Request { len } => {
                    match std::mem::replace(&mut self.body, Body::Whole) {
                        Body::Whole if self.judge(policy, at..at + len, now, out)? == Judged::Postponed => {
                            return Ok(at);
                        }
                        Body::Whole => {}
                        Body::Forwarding { prefix, argc } => {
                            self.note_request();
                            self.commit(policy, &prefix, argc)?;
                            out.pass(at..at + len);
                        }
                        Body::Discarding { refusal, is_exec } => {
                            self.note_request();
                            self.deny(policy, is_exec, refusal, out);
                        }
                    }
                    at += len;
                }
                Scanned::Inline { len } => {
                    if self.judge_inline(policy, now, out)? == Judged::Postponed {
                        return Ok(at);
                    }
                    at += len;
                }
            }
        }
    }

    fn judge(
        &mut self,
        policy: &Policy,
        range: Range<usize>,
        now: Instant,
        out: &mut Output<'_>,
    ) -> Result<Judged, CloseReason> {
        let bytes = &out.input()[range.clone()];
        let argv = Argv::new(bytes, self.scanner.spans());
        let Some(Judgement::Certain(verdict)) = self.judged(|requester| Some(policy.decide(requester, &argv))) else {
            self.wait = Some(Wait::Barrier);
            return Ok(Judged::Postponed);
        };
        if self.depends_on_transaction(policy, &verdict, &argv) {
            self.wait = Some(Wait::Barrier);
            return Ok(Judged::Postponed);
        }
        if let Some(first) = self.has_to_come_first(policy, &verdict) {
            self.wait = Some(Wait::Drained(first));
            return Ok(Judged::Postponed);
        }
        self.traffic.requests += 1;
        if self.replicating.is_some() {
            self.obey_on_replication_link(&verdict, range, out)?;
            return Ok(Judged::Taken);
        }
        match verdict {
            Verdict::Forward(permit) => {
                if let Some(objection) = self.objection(policy, &permit, &argv) {
                    self.object(&permit, &objection, out);
                    return Ok(Judged::Taken);
                }
                let owed = self.owed(&permit, &argv);
                self.one_shot.sent(permit.spec(), self.transaction.queueing());
                self.take_permitted(policy, &permit, owed, range, out);
            }
            Verdict::Local(local) => {
                let argv = argv.iter().collect::<ArgvBuf>();
                self.use_up_one_shot(out);
                self.answer_locally(policy, local, &argv.as_argv(), now, out)?;
            }
            Verdict::Deny(denial) => {
                let text = self.denial_text(policy, &denial, &argv);
                let refusal = self.refusal(&denial, &argv);
                self.note_denial(&denial, refusal);
                self.deny(policy, is_exec(&denial), text, out);
            }
        }
        Ok(Judged::Taken)
    }

    /// Judges a large request by its first arguments; `None` if they do not decide.
    pub(super) fn judge_by_prefix<'p>(
        &self,
        policy: &'p Policy,
        prefix: &Argv<'_>,
        argc: usize,
    ) -> Option<Judgement<'p>> {
        self.judged(|requester| policy.decide_by_prefix(requester, prefix, argc))
    }

    /// The verdict on which all states agree that Redis may be in. Where they do not, and no reply will tell, the request
    /// is denied.
    fn judged<'p>(&self, decide: impl Fn(Requester<'_>) -> Option<Verdict<'p>>) -> Option<Judgement<'p>> {
        let mut requesters = self.requesters();
        let mut verdict = decide(requesters.next()?)?;
        for requester in requesters {
            let other = decide(requester)?;
            if !verdict.agrees_with(&other) {
                if self.is_undecided() {
                    return Some(Judgement::Undecided);
                }
                if let Verdict::Deny(_) = other {
                    verdict = other;
                }
            }
        }
        Some(Judgement::Certain(verdict))
    }

    /// Whether a request is permitted with and without a transaction, but does something else in one, and it is not known
    /// yet whether there is one.
    fn depends_on_transaction(&self, policy: &Policy, verdict: &Verdict<'_>, argv: &Argv<'_>) -> bool {
        match verdict {
            Verdict::Forward(permit) if self.transaction.queueing() == Queueing::Undecided => {
                may_block(permit.spec(), argv) || self.has_no_mirror(policy, permit.spec())
            }
            _ => false,
        }
    }

    /// Judges a request of the ACL family that had to wait, as if it came now.
    pub(super) fn judge_again(&mut self, policy: &Policy, argv: &Argv<'_>, out: &mut Output<'_>) {
        let Some(Judgement::Certain(verdict)) = self.judged(|requester| Some(policy.decide(requester, argv))) else {
            return self.refuse("ERR respgate: not done, try again".to_owned(), out);
        };
        match verdict {
            Verdict::Local(local) => self.acl(policy, local, argv, out),
            Verdict::Deny(denial) => {
                let text = self.denial_text(policy, &denial, argv);
                let refusal = self.refusal(&denial, argv);
                self.note_denial(&denial, refusal);
                self.refuse(text, out);
            }
            // The proxy answers all of the family itself.
            Verdict::Forward(_) => self.refuse("ERR respgate: not done, try again".to_owned(), out),
        }
    }

    fn deny(&mut self, policy: &Policy, is_exec: bool, text: String, out: &mut Output<'_>) {
        match is_exec {
            true => self.abort(policy, text, out),
            false => self.refuse(text, out),
        }
    }

    /// What has to happen before a permitted request is forwarded or answered.
    fn has_to_come_first(&self, policy: &Policy, verdict: &Verdict<'_>) -> Option<AfterDrain> {
        match verdict {
            Verdict::Forward(permit) if self.mirror_is_outdated() || self.awaits_mirror(policy, permit) => {
                Some(AfterDrain::Mirror { anew: false })
            }
            _ => None,
        }
    }

    /// Takes a request that the policy permits, complete and in memory.
    fn take_permitted(
        &mut self,
        policy: &Policy,
        permit: &Permit<'_>,
        owed: Owed,
        range: Range<usize>,
        out: &mut Output<'_>,
    ) {
        if let role @ (Role::Sync | Role::Psync) = permit.spec().role() {
            let (head, tail) = self.renamed(permit);
            let request = [&head, &out.input()[range.start + tail..range.end]].concat();
            self.wait = Some(Wait::Drained(AfterDrain::Replicate(role, request.into())));
            return;
        }
        self.prepare(policy, permit, owed, out);
        self.forward(permit, range, out);
    }

    /// What the session has against a request that the policy permits.
    fn objection(&self, policy: &Policy, permit: &Permit<'_>, argv: &Argv<'_>) -> Option<Objection> {
        if self.lacks_mirror(policy, permit) {
            Some(NO_MIRROR)
        } else if self.redirects_to_a_stranger(permit, argv) {
            Some(Objection { reason: RequestRefusal::Redirect, text: NO_SUCH_CLIENT })
        } else if permit.spec().role() == Role::Replconf && !replconf_is_answered(argv) {
            Some(Objection { reason: RequestRefusal::NoReply, text: "ERR respgate: not possible before SYNC or PSYNC" })
        } else {
            None
        }
    }

    fn object(&mut self, permit: &Permit<'_>, objection: &Objection, out: &mut Output<'_>) {
        self.forget_failed_mirror();
        self.traffic.refused += 1;
        let command = permit.spec().full_name();
        self.report(|| Report::Refused { reason: objection.reason, command: command.to_owned() });
        self.refuse(objection.text.to_owned(), out);
    }

    fn forward(&self, permit: &Permit<'_>, range: Range<usize>, out: &mut Output<'_>) {
        let (head, tail) = self.renamed(permit);
        if !head.is_empty() {
            out.send(Side::Upstream, &head);
        }
        out.pass(range.start + tail..range.end);
    }

    /// What stands in place of the beginning of a request whose command was renamed, up to its first argument's last
    /// byte, and where in the request that is. Nothing and 0 where it was not.
    fn renamed(&self, permit: &Permit<'_>) -> (Vec<u8>, usize) {
        let Some(name) = permit.upstream_name() else { return (Vec::new(), 0) };
        let spans = self.scanner.spans();
        let head = [format!("*{}\r\n${}\r\n", spans.len(), name.len()).as_bytes(), name].concat();
        (head, spans.first().map_or(0, |span| span.end as usize))
    }

    /// An inline request is judged and forwarded in its canonical form, never as text.
    fn judge_inline(&mut self, policy: &Policy, now: Instant, out: &mut Output<'_>) -> Result<Judged, CloseReason> {
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

    /// What a permitted request will be answered with. Reads the request; changes nothing.
    fn owed(&self, permit: &Permit<'_>, argv: &Argv<'_>) -> Owed {
        let named = argv.len().saturating_sub(1);
        let whole = || Box::new(argv.iter().collect());
        match permit.spec().role() {
            Role::Subscribe => Owed::Confirmations(Kind::Channel, whole()),
            Role::Psubscribe => Owed::Confirmations(Kind::Pattern, whole()),
            Role::Ssubscribe => Owed::Confirmations(Kind::Shard, whole()),
            Role::Unsubscribe => Owed::Cancellations { kind: Kind::Channel, named },
            Role::Punsubscribe => Owed::Cancellations { kind: Kind::Pattern, named },
            Role::Sunsubscribe => Owed::Cancellations { kind: Kind::Shard, named },
            Role::Multi => Owed::Slot(Slot::Multi),
            Role::Discard => Owed::Slot(Slot::Discard),
            Role::Exec => Owed::Exec,
            Role::Monitor => Owed::Slot(Slot::Monitor),
            Role::ClientTracking => {
                Owed::Slot(Slot::Tracking(!argv.get(2).is_some_and(|word| word.eq_ignore_ascii_case(b"off"))))
            }
            Role::ClientId => Owed::Slot(Slot::ClientId),
            Role::Select => Owed::Slot(Slot::Select(argv.get(1).and_then(database))),
            _ if may_block(permit.spec(), argv) => Owed::Slot(Slot::Blocking(whole())),
            _ => Owed::Slot(Slot::Pass(1)),
        }
    }

    /// Takes note of a request that is about to be forwarded.
    fn prepare(&mut self, policy: &Policy, permit: &Permit<'_>, owed: Owed, out: &mut Output<'_>) {
        let queueing = self.transaction.queueing();
        match owed {
            Owed::Confirmations(kind, request) => {
                let count = request.as_argv().len() as u64 - 1;
                self.expect_confirmations(kind, count, Some(request));
            }
            Owed::Cancellations { kind, named: 0 } => {
                self.expect_confirmations(kind, self.subscriptions.count(kind).max(1), None);
            }
            Owed::Cancellations { kind, named } => self.expect_confirmations(kind, named as u64, None),
            Owed::Exec => self.execute(policy, out),
            Owed::Slot(slot) => {
                match permit.spec().role() {
                    Role::Multi => {
                        self.forget_failed_mirror();
                        if let Some(Principal { user, .. }) = &self.principal {
                            self.transaction.multi_sent(user, policy.table.identity());
                        }
                    }
                    Role::Discard => self.transaction.discard_sent(),
                    // Not queued, but answered with an error.
                    Role::Watch => {}
                    _ => self.transaction.sent(permit.spec()),
                }
                let slot = match slot {
                    Slot::Select(database) => {
                        self.transaction.select_sent(database);
                        if queueing == Queueing::Yes {
                            Slot::Pass(1)
                        } else {
                            self.database.select_sent(Databases::named(database));
                            slot
                        }
                    }
                    Slot::Blocking(_) if queueing == Queueing::Yes => Slot::Pass(1),
                    slot => slot,
                };
                // What comes after a command that may block for long is judged when it is over, by the rights of that
                // moment.
                let barrier = matches!(slot, Slot::Monitor | Slot::Blocking(_));
                let audience = self.audience();
                self.pending.push(slot, audience);
                if barrier {
                    self.wait = Some(Wait::Barrier);
                }
            }
        }
    }

    fn expect_confirmations(&mut self, kind: Kind, left: u64, request: Option<Box<ArgvBuf>>) {
        let audience = self.audience();
        self.pending.push(Slot::Confirm { kind, left, request }, audience);
        self.wait = Some(Wait::Barrier);
    }

    /// EXEC, which Redis answers in any case. What may no longer be executed, it is made to abort.
    fn execute(&mut self, policy: &Policy, out: &mut Output<'_>) {
        let mut selects = Databases::NONE;
        if let Some(queue) = self.transaction.exec_sent() {
            selects = queue.selected();
            if !self.may_still_execute(policy, &queue) {
                self.note_lost_commands(policy, &queue);
                self.spoil(Box::default(), Audience::Nobody, out);
            }
        }
        self.database.select_sent(selects);
        let audience = self.audience();
        self.pending.push(Slot::Exec { selects }, audience);
    }

    /// Whether what was queued is allowed as it was then: the user's rights are the same, none of the commands has been
    /// blocked, and the table that names them has the same names.
    fn may_still_execute(&self, policy: &Policy, queue: &Queue) -> bool {
        let Some(Principal { user, .. }) = &self.principal else { return false };
        let name = user.name().as_str().as_bytes();
        let is_open = |id: CommandId| {
            policy.table.get(id).is_some_and(|spec| {
                let runs_for_nobody = spec.role() == Role::Script && self.has_no_mirror(policy, spec);
                !policy.blocklist.blocks(name, spec) && !runs_for_nobody
            })
        };
        queue.may_execute(user, policy.table.identity(), is_open)
    }

    /// After SYNC or PSYNC Redis still executes commands from this socket: only what replication needs goes on.
    fn obey_on_replication_link(
        &mut self,
        verdict: &Verdict<'_>,
        range: Range<usize>,
        out: &mut Output<'_>,
    ) -> Result<(), CloseReason> {
        let command = match verdict {
            Verdict::Forward(permit) if matches!(permit.spec().role(), Role::Replconf | Role::Ping) => {
                self.forward(permit, range, out);
                return Ok(());
            }
            Verdict::Forward(permit) => Some(permit.spec()),
            Verdict::Local(local) => Some(local.spec),
            Verdict::Deny(denial) => denial.spec(),
        };
        self.traffic.refused += 1;
        let command = command.map(|spec| spec.full_name().to_owned()).unwrap_or_default();
        self.report(|| Report::Refused { reason: RequestRefusal::ReplicationMisuse, command });
        Err(CloseReason::ReplicationMisuse)
    }

    fn refuse_protocol(&mut self, error: ProtocolError, now: Instant, out: &mut Output<'_>) {
        if error != ProtocolError::CrossProtocol {
            self.answer(&Reply::error(format!("ERR Protocol error: {error}")), out);
        }
        self.finish(CloseReason::Protocol(error), now);
        self.settle();
    }

    pub(super) fn denial_text(&self, policy: &Policy, denial: &Denial<'_>, argv: &Argv<'_>) -> String {
        policy.denial_text(denial, self.principal.as_ref().map(|principal| &*principal.user), argv)
    }

    pub(super) fn note_denial(&mut self, denial: &Denial<'_>, refusal: Option<Refusal>) {
        self.traffic.refused += 1;
        if let Some(refusal) = refusal {
            self.note_refusal(refusal);
        }
        if denial.is_access_violation() {
            self.report(|| Report::Refused {
                reason: RequestRefusal::Denied(denial.reason()),
                command: denial.spec().map(|spec| spec.full_name().to_owned()).unwrap_or_default(),
            });
        }
    }
}

pub(super) fn is_exec(denial: &Denial<'_>) -> bool {
    denial.spec().is_some_and(|spec| spec.role() == Role::Exec)
}

/// A database as Redis reads it.
fn database(text: &[u8]) -> Option<u32> {
    parse_integer(text)?.try_into().ok()
}

/// Whether the command may keep its client waiting: of those that read streams, with BLOCK only.
fn may_block(spec: &CommandSpec, argv: &Argv<'_>) -> bool {
    // Redis compares words up to a NUL.
    let is_block = |argument: &[u8]| {
        argument.split_at_checked(5).is_some_and(|(word, rest)| {
            word.eq_ignore_ascii_case(b"block") && rest.first().is_none_or(|byte| *byte == 0)
        })
    };
    let says_block = || argv.iter().any(is_block);
    match spec.full_name() {
        "xread" | "xreadgroup" => says_block(),
        // Redis 7.0 does not mark them.
        "wait" | "waitaof" => true,
        _ => spec.is_blocking(),
    }
}

/// So much waits for the client that it gets no further answers for now.
fn is_full(out: &Output<'_>) -> bool {
    out.waiting(Side::Downstream) >= 2 * DOWNSTREAM_BACKLOG
}

/// Whether Redis replies to a REPLCONF, as it does not to ACK and GETACK [replconfCommand]: it has only options that are
/// known to be answered, or not one value for each.
fn replconf_is_answered(argv: &Argv<'_>) -> bool {
    const ANSWERED: [&[u8]; 9] = [
        b"listening-port",
        b"ip-address",
        b"capa",
        b"version",
        b"rdb-only",
        b"rdb-filter-only",
        b"rdb-channel",
        b"set-rdb-client-id",
        b"main-ch-client-id",
    ];
    let is_answered = |option: &[u8]| ANSWERED.iter().any(|known| option.eq_ignore_ascii_case(known));
    argv.len().is_multiple_of(2) || argv.iter().skip(1).step_by(2).all(is_answered)
}

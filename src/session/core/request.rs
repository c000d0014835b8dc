//! The way of a request: scanned, judged, then forwarded, answered or refused.

use std::ops::Range;
use std::time::Instant;

use super::SessionCore;
use super::verdict::{Conclusion, Judgement, Refused, with_shadow};
use crate::command::{Argv, CommandId, Role, Scope};
use crate::policy::{Denial, Permit, Policy, Verdict};
use crate::resp::{ProtocolError, Reply, Scanned, parse_integer};
use crate::session::action::{Action, RequestRefusal};
use crate::session::close::CloseReason;
use crate::session::flow;
use crate::session::intake::{Body, Visibility};
use crate::session::output::{Output, Queues, Side};
use crate::session::upstream::{ExpectedReply, Queue, Queueing, Sender, may_block};
use crate::session::wait::{AfterReplies, Wait};

/// What Redis says where there is no such client [clientTrackingCommand].
const NO_SUCH_CLIENT: &str = "ERR The client ID you want redirect to does not exist";

/// What it says to a second one.
const ONE_CLIENT: &str = "ERR A client can only redirect to a single other client";

/// What became of a request that was looked at.
#[derive(PartialEq, Eq)]
enum RequestOutcome {
    Taken,
    /// It has to be read again once what it waits for is there.
    Postponed,
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
        self.intake.set_behind(false);
        loop {
            self.resume(policy, now, out)?;
            if !self.life.is_running() {
                return Ok(input.len());
            }
            let between = !self.intake.is_streaming();
            if between && at > 0 {
                self.life.request_mut().begin();
                self.life.request_mut().note_bytes(input.len() - at);
            }
            if at == input.len() && between {
                self.intake.rest();
                return Ok(at);
            }
            let output_is_full = || flow::output_is_full(out.waiting(Side::Downstream));
            if at == input.len() || (between && self.is_waiting()) {
                return Ok(at);
            }
            if between && (self.intake.has_had_its_turn() || output_is_full()) {
                self.intake.set_behind(true);
                return Ok(at);
            }
            if self.who.is_authenticated() && self.upstream.is_absent() {
                self.connect();
                return Ok(at);
            }
            let rest = &input[at..];
            let limits = self.request_limits();
            let scanned = match self.intake.scan(rest, &limits) {
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
                    if self.upstream.is_replicating() {
                        // A replica that is loading says nothing else, and Redis wants to hear of it [processInlineBuffer].
                        out.send(Side::Upstream, b"\n");
                        continue;
                    }
                    // Redis skips it without a reply, and it ends what is kept in mind for the next request.
                    let _ = self.intake.take_visibility();
                    self.upstream.use_up_one_shot(out);
                }
                Scanned::Part { len } => {
                    if self.intake.is_forwarding() {
                        out.pass(at..at + len);
                    }
                    at += len;
                }
                Scanned::Request { len } => {
                    match self.intake.take_body() {
                        Body::Held { .. } => {
                            if self.take_request(policy, at..at + len, now, out)? == RequestOutcome::Postponed {
                                return Ok(at);
                            }
                        }
                        Body::Forwarding { prefix, argc } => {
                            self.commit(policy, &prefix, argc)?;
                            out.pass(at..at + len);
                        }
                        Body::Discarding { refusal, is_exec: true } => self.refuse_exec(policy, refusal, out),
                        Body::Discarding { refusal, is_exec: false } => self.refuse(refusal, out),
                    }
                    at += len;
                }
                Scanned::Inline { len } => {
                    if self.take_inline(policy, now, out)? == RequestOutcome::Postponed {
                        return Ok(at);
                    }
                    at += len;
                }
            }
        }
    }

    /// Judges a whole request, and does what the verdict says.
    fn take_request(
        &mut self,
        policy: &Policy,
        range: Range<usize>,
        now: Instant,
        out: &mut Output<'_>,
    ) -> Result<RequestOutcome, CloseReason> {
        let bytes = &out.input()[range.clone()];
        let argv = Argv::new(bytes, self.intake.spans());
        let judgement = self.judge(self.intake.effort(), |requester| {
            Some(with_shadow(policy, requester, &argv, Scope::Whole, policy.decide(requester, &argv)))
        });
        let verdict = match judgement {
            Some(Judgement::Certain(verdict)) => verdict,
            Some(Judgement::Undecided) | None => {
                self.intake.wait_for(Wait::Undecided);
                return Ok(RequestOutcome::Postponed);
            }
            Some(Judgement::TooLong) => {
                self.intake.wait_for(Wait::LongJudgement);
                self.outbox.act(Action::QueueLongJudgement);
                return Ok(RequestOutcome::Postponed);
            }
        };
        if let Some(wait) = self.prerequisite(policy, &verdict, &argv) {
            self.intake.wait_for(wait);
            return Ok(RequestOutcome::Postponed);
        }
        if self.upstream.is_replicating() {
            self.take_on_replication_link(policy, &verdict, range, out)?;
            return Ok(RequestOutcome::Taken);
        }
        match verdict {
            Verdict::Forward(permit) => match self.unforwardable(policy, &permit, &argv) {
                Some((reason, text)) => {
                    let keys = policy.audit.of_refused(Some(permit.spec()), &argv, Scope::Whole);
                    self.conclude(Some(permit.spec()), Conclusion::Refused(Refused::told(reason), keys));
                    self.upstream.mirror_mut().forget_failure();
                    self.refuse(text.to_owned(), out);
                }
                None => {
                    let expected = ExpectedReply::of(permit.spec(), &argv);
                    let recorded = self.note_permitted(policy, permit.spec(), &argv, Scope::Whole);
                    self.conclude(Some(permit.spec()), Conclusion::Forwarded(recorded));
                    self.take_permitted(policy, &permit, expected, range, now, out);
                }
            },
            Verdict::Local(local) => {
                let spans = self.intake.take_spans();
                self.upstream.use_up_one_shot(out);
                self.answer_locally(policy, local, &Argv::new(bytes, &spans), now, out);
            }
            Verdict::Deny(denial) => {
                let (text, record) = (self.denial_text(policy, &denial, &argv), self.acl_log_record(&denial, &argv));
                let keys = policy.audit.of_refused(denial.command(), &argv, Scope::Whole);
                self.conclude(denial.command(), Conclusion::Refused(Refused::by(&denial), keys));
                if let Some(record) = record {
                    self.outbox.note_acl_log_record(record);
                }
                if is_exec(&denial) { self.refuse_exec(policy, text, out) } else { self.refuse(text, out) }
            }
        }
        Ok(RequestOutcome::Taken)
    }

    /// What a permitted request has to wait for before it is forwarded.
    fn prerequisite(&self, policy: &Policy, verdict: &Verdict<'_>, argv: &Argv<'_>) -> Option<Wait> {
        let Verdict::Forward(permit) = verdict else { return None };
        // Inside a transaction it would be done otherwise.
        let depends = || may_block(permit.spec(), argv) || self.needs_mirror(policy, permit.spec());
        if self.upstream.queueing() == Queueing::Undecided && depends() {
            Some(Wait::Undecided)
        } else if self.mirror_is_outdated() || self.awaits_mirror(policy, permit) {
            Some(Wait::Replies(AfterReplies::Mirror { anew: false }))
        } else {
            None
        }
    }

    /// Why the session does not forward what the policy permits, and what the client is told.
    fn unforwardable(
        &self,
        policy: &Policy,
        permit: &Permit<'_>,
        argv: &Argv<'_>,
    ) -> Option<(RequestRefusal, &'static str)> {
        if self.script_lacks_mirror(policy, permit.spec()) {
            Some((RequestRefusal::NoMirror, "ERR respgate: Redis cannot be told for whom this script would run"))
        } else if let Some(text) = self.wrong_redirection(permit, argv) {
            Some((RequestRefusal::Redirect, text))
        } else if permit.spec().role() == Role::Replconf && !replconf_is_answered(argv) {
            Some((RequestRefusal::NoReply, "ERR respgate: not possible before SYNC or PSYNC"))
        } else {
            None
        }
    }

    /// What is wrong with a request that redirects invalidation messages to anybody but one session of the same user. Where
    /// Redis reads the word as a prefix, what follows is an option and no number. A request may have a million: one is looked up.
    fn wrong_redirection(&self, permit: &Permit<'_>, argv: &Argv<'_>) -> Option<&'static str> {
        if permit.spec().role() != Role::ClientTracking {
            return None;
        }
        let targets = argv.iter_from(3).filter(|(_, word)| word.eq_ignore_ascii_case(b"redirect"));
        let mut ids = targets.filter_map(|(index, _)| parse_integer(argv.get(index + 1)?));
        let target = ids.next()?;
        match self.who.user_name().is_some_and(|user| self.client_ids.is_of(target, user)) {
            true => ids.next().map(|_| ONE_CLIENT),
            false => Some(NO_SUCH_CLIENT),
        }
    }

    /// Takes a request that is permitted, complete and in memory.
    fn take_permitted(
        &mut self,
        policy: &Policy,
        permit: &Permit<'_>,
        expected: ExpectedReply,
        range: Range<usize>,
        now: Instant,
        out: &mut Output<'_>,
    ) {
        if let role @ (Role::Sync | Role::Psync) = permit.spec().role() {
            let (head, tail) = self.renamed(permit);
            let request = [&head, &out.input()[range.start + tail..range.end]].concat();
            self.intake.wait_for(Wait::Replies(AfterReplies::Replicate(role, request.into())));
            return;
        }
        match permit.spec().role() {
            Role::Multi => self.upstream.mirror_mut().forget_failure(),
            Role::Exec => self.abort_what_is_lost(policy, out),
            _ => {}
        }
        let visibility = self.intake.take_visibility();
        let sender = self.who.user().map(|user| Sender::new(user, policy.table.identity()));
        self.upstream.expect(permit.spec(), expected, sender, visibility);
        self.upstream.measure_reply(now);
        self.forward(permit, range, out);
    }

    /// Before EXEC: what may no longer be executed, Redis is made to abort.
    fn abort_what_is_lost(&mut self, policy: &Policy, out: &mut Output<'_>) {
        if let Some(queue) = self.upstream.queue()
            && !self.may_still_execute(policy, queue)
        {
            let commands: Vec<CommandId> = queue.commands().collect();
            self.note_lost_commands(policy, commands.into_iter());
            self.upstream.send_to_be_refused(Box::default(), Visibility::Hidden, out);
        }
    }

    /// Whether what was queued is allowed as it was then: the user's rights are the same, none of the commands has been
    /// blocked or disabled, and the table that names them has the same names.
    fn may_still_execute(&self, policy: &Policy, queue: &Queue) -> bool {
        let Some(user) = self.who.user() else { return false };
        let name = user.name().as_str().as_bytes();
        queue.may_execute(user, policy.table.identity(), |id| {
            policy.table.get(id).is_some_and(|spec| {
                !policy.blocklist.blocks(name, spec)
                    && policy.upstream_name(spec.full_name()).is_some()
                    && !self.script_lacks_mirror(policy, spec)
            })
        })
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
        let spans = self.intake.spans();
        let head = [format!("*{}\r\n${}\r\n", spans.len(), name.len()).as_bytes(), name].concat();
        (head, spans.first().map_or(0, |span| span.end as usize))
    }

    /// An inline request is judged and forwarded in its canonical form, never as text.
    fn take_inline(
        &mut self,
        policy: &Policy,
        now: Instant,
        out: &mut Output<'_>,
    ) -> Result<RequestOutcome, CloseReason> {
        let canonical = self.intake.take_canonical();
        let mut queues = Queues::default();
        let mut inner = Output::new(&canonical, Side::Downstream, &mut queues);
        let progress = self.take_request(policy, 0..canonical.len(), now, &mut inner);
        let passed = inner.finish();
        out.send(Side::Upstream, queues.upstream.as_slice());
        out.send(Side::Upstream, &canonical[passed]);
        out.send(Side::Downstream, queues.downstream.as_slice());
        progress
    }

    /// After SYNC or PSYNC Redis still executes commands from this socket: only what replication needs goes on.
    fn take_on_replication_link(
        &mut self,
        policy: &Policy,
        verdict: &Verdict<'_>,
        range: Range<usize>,
        out: &mut Output<'_>,
    ) -> Result<(), CloseReason> {
        let command = match verdict {
            Verdict::Forward(permit) if self.goes_on_replication_link(permit.spec().role()) => {
                let argv = Argv::new(&out.input()[range.clone()], self.intake.spans());
                let recorded = self.note_permitted(policy, permit.spec(), &argv, Scope::Whole);
                self.conclude(Some(permit.spec()), Conclusion::Forwarded(recorded));
                self.forward(permit, range, out);
                if permit.spec().role() == Role::Psync {
                    self.upstream.replicate(Role::Psync);
                }
                return Ok(());
            }
            Verdict::Forward(permit) => Some(permit.spec()),
            Verdict::Local(local) => Some(local.spec),
            Verdict::Deny(denial) => denial.command(),
        };
        let argv = Argv::new(&out.input()[range], self.intake.spans());
        let keys = policy.audit.of_refused(command, &argv, Scope::Whole);
        self.conclude(command, Conclusion::Refused(Refused::told(RequestRefusal::ReplicationMisuse), keys));
        Err(CloseReason::ReplicationMisuse)
    }

    fn goes_on_replication_link(&self, role: Role) -> bool {
        match role {
            Role::Replconf | Role::Ping => true,
            Role::Psync => self.upstream.may_ask_to_replicate_again(),
            _ => false,
        }
    }

    fn refuse_protocol(&mut self, error: ProtocolError, now: Instant, out: &mut Output<'_>) {
        if error != ProtocolError::CrossProtocol {
            self.answer(&Reply::error(format!("ERR Protocol error: {error}")), out);
        }
        self.finish(CloseReason::Protocol(error), now);
        self.go_on_if_replies_are_out();
    }
}

pub(super) fn is_exec(denial: &Denial<'_>) -> bool {
    denial.spec().is_some_and(|spec| spec.role() == Role::Exec)
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

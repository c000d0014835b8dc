//! The way of a reply: framed, brought to its place, and shown to the client or not.

use super::pending::{Pending, Slot};
use super::subscription::{self, Change, Kind, Notice};
use crate::resp::{FrameKind, Protocol, ReplyError, ReplyFramer};
use crate::session::close::CloseReason;
use crate::session::intake::Visibility;
use crate::session::output::{Output, Side};

/// What the state of the connection says about frames.
#[derive(Debug, Clone, Copy)]
pub(super) struct FrameContext {
    protocol: Protocol,
    /// There are subscriptions, of which messages may come between the replies.
    has_messages: bool,
    /// MONITOR runs: lines may come between the replies.
    is_monitoring: bool,
    /// The client has asked for no replies until further notice. Redis sends no lines to such a monitor.
    are_replies_off: bool,
}

impl FrameContext {
    pub(super) fn new(protocol: Protocol, has_messages: bool) -> Self {
        Self { protocol, has_messages, is_monitoring: false, are_replies_off: false }
    }

    pub(super) fn monitoring(self, is_monitoring: bool, are_replies_off: bool) -> Self {
        Self { is_monitoring, are_replies_off, ..self }
    }
}

/// What a frame said that was read to its end.
pub(super) enum ReplyEvent<'a> {
    /// A subscription has begun or ended, asked for or not. So many of its kind are left.
    Subscription { kind: Kind, total: u64, name: Option<(&'a [u8], Change)> },
    /// A request has been answered. `reply` is whole wherever it is looked at.
    Answered { slot: Slot, said: Said, reply: &'a [u8] },
}

/// How many bytes were read, none if more is needed, and what they said.
pub(super) type Step<'a> = (usize, Option<ReplyEvent<'a>>);

/// What a reply says of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Done,
    /// It waits for EXEC. Looked for only where it makes a difference.
    Queued,
    Refused,
}

/// What becomes of the frame that is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    /// To the client; it answers no request.
    Unasked,
    /// To the client; it is one of the confirmations that the first slot waits for.
    Confirmation,
    /// What the first slot waits for, or something in its place: to the client, unless it is shown something else, or
    /// nothing.
    Answer { said: Said, is_shown: bool },
    /// Nowhere; it answers no request.
    Hidden,
}

impl Route {
    /// Whether the client is sent it.
    fn is_shown(self) -> bool {
        !matches!(self, Self::Answer { is_shown: false, .. } | Self::Hidden)
    }
}

/// How the errors begin after which there is no transaction [execCommandAbort, processCommand].
const EXEC_ENDED: [&[u8]; 8] = [
    b"-EXECABORT",
    b"-ERR EXEC without MULTI",
    b"-MOVED ",
    b"-ASK ",
    b"-CLUSTERDOWN ",
    b"-CROSSSLOT ",
    b"-TRYAGAIN ",
    b"-REDIRECT ",
];

impl From<ReplyError> for CloseReason {
    fn from(_: ReplyError) -> Self {
        Self::UpstreamDesynchronised
    }
}

/// The replies of one upstream connection. Each reaches the client in the order of the requests, whole or, while it comes,
/// in parts with nothing in between.
#[derive(Default)]
pub(super) struct Replies {
    pending: Pending,
    framer: ReplyFramer,
    /// Where the frame goes of which only a part has come and been passed on.
    open_frame: Option<Route>,
}

impl Replies {
    pub(super) fn pending(&self) -> &Pending {
        &self.pending
    }

    /// A request is about to be sent that will be answered so.
    pub(super) fn expect(&mut self, slot: Slot, visibility: Visibility) {
        self.pending.push(slot, visibility);
    }

    /// Gives the client an answer of ours in its place.
    pub(super) fn answer(&mut self, answer: Box<[u8]>, out: &mut Output<'_>) {
        if self.replies_are_out() {
            out.send(Side::Downstream, &answer);
        } else {
            self.pending.push(Slot::Local(answer), Visibility::Shown);
        }
    }

    /// No reply is owed, and none is half way to the client.
    pub(super) fn replies_are_out(&self) -> bool {
        self.pending.is_empty() && self.open_frame.is_none_or(|route| !route.is_shown())
    }

    /// Bytes of memory that it takes.
    pub(super) fn memory(&self) -> usize {
        self.pending.memory() + self.framer.memory()
    }

    /// A frame has been passed on in part.
    pub(super) fn has_begun_one(&self) -> bool {
        self.open_frame.is_some()
    }

    /// Sends the answers of ours that wait for nothing any more.
    pub(super) fn release(&mut self, out: &mut Output<'_>) {
        if self.open_frame.is_none() {
            self.pending.release(out);
        }
    }

    /// Takes a run of ordinary replies or one frame, or a part of one, from the input at `at`.
    ///
    /// # Errors
    /// What Redis sends is no reply to anything, or it means to close.
    pub(super) fn step<'a>(
        &mut self,
        at: usize,
        context: FrameContext,
        out: &mut Output<'a>,
    ) -> Result<Step<'a>, CloseReason> {
        self.release(out);
        let rest = &out.input()[at..];
        if self.open_frame.is_none() && !context.is_monitoring && !context.has_messages {
            let (frames, len) = self.framer.scan_run(rest, self.pending.pass_run());
            if frames > 0 {
                if self.pending.is_shown() {
                    out.pass(at..at + len);
                }
                self.pending.complete(frames);
                return Ok((len, None));
            }
        }
        let step = self.framer.scan(rest)?;
        let frame = &rest[..step.len];
        let mut event = None;
        let route = match self.open_frame {
            Some(route) => route,
            None => match self.route(step.kind, frame, step.complete, context, &mut event)? {
                Some(route) => route,
                None if step.complete => return Err(CloseReason::UpstreamDesynchronised),
                None => return Ok((0, None)),
            },
        };
        if route.is_shown() {
            out.pass(at..at + step.len);
        }
        if step.complete {
            self.open_frame = None;
            event = self.complete(route, frame, out)?.or(event);
        } else if step.len > 0 {
            self.framer.take();
            self.open_frame = Some(route);
        }
        Ok((step.len, event))
    }

    /// Where a frame belongs, by its kind and its first bytes; `None` while they do not tell.
    fn route<'a>(
        &self,
        kind: FrameKind,
        frame: &'a [u8],
        complete: bool,
        context: FrameContext,
        event: &mut Option<ReplyEvent<'a>>,
    ) -> Result<Option<Route>, CloseReason> {
        let first = match kind {
            FrameKind::Undecided => return Ok(None),
            FrameKind::Push => b'>',
            FrameKind::Reply(first) => first,
        };
        if self.may_be_notice(first, context) {
            match subscription::notice(frame) {
                None if !complete => return Ok(None),
                Some(Notice::Message) => return Ok(Some(Route::Unasked)),
                Some(Notice::Confirmation { .. }) if !complete => return Ok(None),
                Some(Notice::Confirmation { kind }) => {
                    let total = subscription::confirmed_total(frame).ok_or(CloseReason::UpstreamDesynchronised)?;
                    *event = Some(ReplyEvent::Subscription { kind, total, name: subscription::confirmed_name(frame) });
                    let front = self.pending.front();
                    let is_awaited = matches!(front, Some(Slot::Subscription { kind: of, .. }) if *of == kind);
                    return Ok(Some(if is_awaited { Route::Confirmation } else { Route::Unasked }));
                }
                None | Some(Notice::Other) => {}
            }
        }
        let is_error = matches!(first, b'-' | b'!');
        let said = if is_error { Said::Refused } else { Said::Done };
        let answer = |said| Ok(Some(Route::Answer { said, is_shown: self.pending.is_shown() }));
        let hidden = Ok(Some(Route::Answer { said, is_shown: false }));
        match self.pending.front() {
            _ if first == b'>' => Ok(Some(Route::Unasked)),
            Some(Slot::Replace(_) | Slot::ReplaceExec(_)) if is_error => hidden,
            Some(Slot::Replace(_) | Slot::ReplaceExec(_) | Slot::Subscription { .. }) if !is_error => {
                Err(CloseReason::UpstreamDesynchronised)
            }
            Some(Slot::ClientId | Slot::Hello(_) | Slot::MirrorLogin | Slot::Select(_) | Slot::Tracking(_))
                if !complete =>
            {
                Ok(None)
            }
            Some(Slot::MirrorLogin) => hidden,
            Some(Slot::Exec { .. }) if is_error && !complete => Ok(None),
            // Whether it still queues is not known, and decides about everything that follows.
            Some(Slot::Exec { .. }) if is_error && !EXEC_ENDED.iter().any(|words| frame.starts_with(words)) => {
                Err(CloseReason::UpstreamDesynchronised)
            }
            Some(Slot::Select(_) | Slot::Tracking(_)) if frame == b"+QUEUED\r\n" => answer(Said::Queued),
            Some(_) => answer(said),
            None if context.is_monitoring && first == b'+' && context.are_replies_off => Ok(Some(Route::Hidden)),
            None if context.is_monitoring && first == b'+' => Ok(Some(Route::Unasked)),
            // Redis says why it closes: the client may hear it.
            None if first == b'-' => Ok(complete.then_some(Route::Answer { said, is_shown: true })),
            None => Err(CloseReason::UpstreamDesynchronised),
        }
    }

    /// Pushes may be, and so may arrays under RESP2, where a subscription exists or is about to.
    fn may_be_notice(&self, first: u8, context: FrameContext) -> bool {
        let expected = matches!(self.pending.front(), None | Some(Slot::Subscription { .. }));
        let may_come = expected || context.is_monitoring || context.has_messages;
        first == b'>' || (first == b'*' && context.protocol == Protocol::Resp2 && may_come)
    }

    /// A frame has come to its end.
    fn complete<'a>(
        &mut self,
        route: Route,
        reply: &'a [u8],
        out: &mut Output<'_>,
    ) -> Result<Option<ReplyEvent<'a>>, CloseReason> {
        let said = match route {
            Route::Unasked | Route::Hidden => return Ok(None),
            Route::Confirmation => {
                self.pending.complete(1);
                return Ok(None);
            }
            Route::Answer { said, .. } => said,
        };
        match self.pending.front() {
            Some(Slot::Replace(ours) | Slot::ReplaceExec(ours)) if self.pending.is_shown() => {
                out.send(Side::Downstream, ours);
            }
            Some(_) => {}
            None => return Err(CloseReason::UpstreamRefused),
        }
        // An error comes in place of everything that the first slot still waits for, unless it is a run.
        let slot = match self.pending.front() {
            Some(Slot::Pass(_)) => self.pending.complete(1),
            _ => self.pending.pop(),
        };
        Ok(slot.map(|slot| ReplyEvent::Answered { slot, said, reply }))
    }
}

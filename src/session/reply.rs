//! The way of a reply: framed, and brought to its place.

use super::close::CloseReason;
use super::core::{ReplyMode, SessionCore};
use super::database::Databases;
use super::output::{Output, Side};
use super::pending::Slot;
use super::subscription::{self, Change, Kind, Notice};
use crate::resp::{FrameKind, Protocol, ReplyError};

/// What becomes of the frame that is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// To the client; it answers no request.
    Stream,
    /// To the client; it is one of the confirmations that the first slot waits for.
    Confirmation,
    /// What the first slot waits for, or something in its place: to the client, unless it is to hear something else, or
    /// nothing.
    Answer { said: Said, is_shown: bool },
    /// Nowhere; it answers no request.
    Hidden,
}

impl Route {
    /// Whether the client is sent it.
    pub(super) fn is_shown(self) -> bool {
        !matches!(self, Self::Answer { is_shown: false, .. } | Self::Hidden)
    }
}

/// What a reply says of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Done,
    /// It waits for EXEC. Looked for only where it makes a difference.
    Queued,
    Refused,
}

/// How the errors begin after which there is no transaction [execCommandAbort, processCommand].
const EXEC_ENDED: [&[u8]; 7] =
    [b"-EXECABORT", b"-ERR EXEC without MULTI", b"-MOVED ", b"-ASK ", b"-CLUSTERDOWN ", b"-CROSSSLOT ", b"-TRYAGAIN "];

impl From<ReplyError> for CloseReason {
    fn from(_: ReplyError) -> Self {
        Self::UpstreamDesynchronised
    }
}

impl SessionCore {
    /// Takes as many replies from the input as are here, in part or in whole, and returns how many bytes they are.
    pub(super) fn take_replies(&mut self, out: &mut Output<'_>) -> Result<usize, CloseReason> {
        let input = out.input();
        let mut at = 0;
        while at < input.len() {
            self.release(out);
            let taken = if self.replicating.is_some() {
                out.pass(at..input.len());
                input.len() - at
            } else {
                self.take_frames(at, out)?
            };
            if taken == 0 {
                break;
            }
            at += taken;
        }
        self.release(out);
        Ok(at)
    }

    /// Sends the answers of ours that wait for nothing any more.
    fn release(&mut self, out: &mut Output<'_>) {
        if self.open_frame.is_none() {
            self.pending.release(out);
        }
    }

    /// Takes a run of ordinary replies or one frame, or a part of one; 0 bytes if more is needed.
    fn take_frames(&mut self, at: usize, out: &mut Output<'_>) -> Result<usize, CloseReason> {
        let rest = &out.input()[at..];
        if self.open_frame.is_none() && !self.messages_may_come() {
            let (frames, len) = self.framer.scan_run(rest, self.pending.pass_run());
            if frames > 0 {
                if self.pending.is_heard() {
                    out.pass(at..at + len);
                }
                self.pending.complete(frames);
                return Ok(len);
            }
        }
        let step = self.framer.scan(rest)?;
        let route = match self.open_frame {
            Some(route) => route,
            None => match self.route(step.kind, &rest[..step.len], step.complete)? {
                Some(route) => route,
                None if step.complete => return Err(CloseReason::UpstreamDesynchronised),
                None => return Ok(0),
            },
        };
        if route.is_shown() {
            out.pass(at..at + step.len);
        }
        if step.complete {
            self.open_frame = None;
            self.complete_frame(route, out)?;
        } else if step.len > 0 {
            self.framer.take();
            self.open_frame = Some(route);
        }
        Ok(step.len)
    }

    /// Messages may come between the replies.
    fn messages_may_come(&self) -> bool {
        self.monitoring || self.subscriptions.in_band(self.protocol)
    }

    /// Where a frame belongs, by its kind and its first bytes; `None` while they do not tell.
    fn route(&mut self, kind: FrameKind, frame: &[u8], complete: bool) -> Result<Option<Route>, CloseReason> {
        let first = match kind {
            FrameKind::Undecided => return Ok(None),
            FrameKind::Push => b'>',
            FrameKind::Reply(first) => first,
        };
        if self.may_be_notice(first) {
            match subscription::notice(frame) {
                None if !complete => return Ok(None),
                Some(Notice::Message) => return Ok(Some(Route::Stream)),
                Some(Notice::Confirmation { .. }) if !complete => return Ok(None),
                Some(Notice::Confirmation { kind }) => return self.confirm(kind, frame).map(Some),
                None | Some(Notice::Other) => {}
            }
        }
        let is_error = matches!(first, b'-' | b'!');
        let said = if is_error { Said::Refused } else { Said::Done };
        let answer = Route::Answer { said, is_shown: self.pending.is_heard() };
        let hidden = Route::Answer { said, is_shown: false };
        match self.pending.front() {
            _ if first == b'>' => Ok(Some(Route::Stream)),
            Some(Slot::Replace(_) | Slot::ReplaceExec(_)) if is_error => Ok(Some(hidden)),
            Some(Slot::ClientId | Slot::Hello(_) | Slot::Login | Slot::Select(_) | Slot::Tracking(_)) if !complete => {
                Ok(None)
            }
            Some(Slot::Exec { .. }) if is_error && !complete => Ok(None),
            // Whether it still queues is not known, and decides about everything that follows.
            Some(Slot::Exec { .. }) if is_error && !EXEC_ENDED.iter().any(|words| frame.starts_with(words)) => {
                Err(CloseReason::UpstreamDesynchronised)
            }
            Some(Slot::Select(_) | Slot::Tracking(_)) if frame == b"+QUEUED\r\n" => {
                Ok(Some(Route::Answer { said: Said::Queued, is_shown: self.pending.is_heard() }))
            }
            Some(Slot::Login) => self.mirror_answered(is_error).map(|()| Some(hidden)),
            Some(Slot::ClientId | Slot::Hello(_)) => {
                if matches!(first, b':' | b'*' | b'%') {
                    self.learn_id(frame);
                }
                Ok(Some(answer))
            }
            Some(Slot::Replace(_) | Slot::ReplaceExec(_) | Slot::Confirm { .. }) if !is_error => {
                Err(CloseReason::UpstreamDesynchronised)
            }
            Some(_) => Ok(Some(answer)),
            // Redis sends no lines to a monitor that wants no replies.
            None if self.monitoring && first == b'+' && self.reply_mode == ReplyMode::Off => Ok(Some(Route::Hidden)),
            None if self.monitoring && first == b'+' => Ok(Some(Route::Stream)),
            // Redis says why it closes: the client may hear it.
            None if first == b'-' => Ok(complete.then_some(answer)),
            None => Err(CloseReason::UpstreamDesynchronised),
        }
    }

    /// Pushes may be, and so may arrays under RESP2, where a subscription exists or is about to.
    fn may_be_notice(&self, first: u8) -> bool {
        let expected = matches!(self.pending.front(), None | Some(Slot::Confirm { .. }));
        first == b'>' || (first == b'*' && self.protocol == Protocol::Resp2 && (expected || self.messages_may_come()))
    }

    fn confirm(&mut self, kind: Kind, frame: &[u8]) -> Result<Route, CloseReason> {
        let total = subscription::confirmed_total(frame).ok_or(CloseReason::UpstreamDesynchronised)?;
        self.subscriptions.confirm(kind, total);
        match subscription::confirmed_name(frame) {
            Some((name, Change::Begins)) => self.subscriptions.begin(kind, name),
            Some((name, Change::Ends)) => self.subscriptions.end(kind, name),
            None => {}
        }
        Ok(match self.pending.front() {
            Some(Slot::Confirm { kind: expected, .. }) if *expected == kind => Route::Confirmation,
            _ => Route::Stream,
        })
    }

    fn complete_frame(&mut self, route: Route, out: &mut Output<'_>) -> Result<(), CloseReason> {
        let said = match route {
            Route::Stream | Route::Hidden => return Ok(()),
            Route::Confirmation => Said::Done,
            Route::Answer { said, .. } => said,
        };
        let is_done = said == Said::Done;
        match self.pending.front() {
            Some(Slot::Replace(ours) | Slot::ReplaceExec(ours)) if self.pending.is_heard() => {
                out.send(Side::Downstream, ours);
            }
            Some(_) => {}
            None => return Err(CloseReason::UpstreamRefused),
        }
        match self.pending.front() {
            Some(Slot::Hello(protocol)) if is_done => self.protocol = *protocol,
            Some(Slot::Monitor) if is_done => self.monitoring = true,
            Some(Slot::Select(database)) => self.database.answered(is_done.then_some(Databases::named(*database))),
            // Should it be queued, EXEC may turn it on.
            Some(Slot::Tracking(is_on)) if is_done || (said == Said::Queued && *is_on) => self.tracking = *is_on,
            Some(Slot::Multi) => self.transaction.answered(is_done.then_some(true)),
            Some(Slot::Discard) => self.transaction.answered(is_done.then_some(false)),
            Some(Slot::ReplaceExec(_)) => self.transaction.answered(Some(false)),
            Some(Slot::Exec { selects }) => {
                self.transaction.answered(Some(false));
                self.database.perhaps_selected(if is_done { *selects } else { Databases::NONE });
            }
            _ => {}
        }
        if said == Said::Refused {
            self.pending.fail_front();
        } else {
            self.pending.complete(1);
        }
        Ok(())
    }
}

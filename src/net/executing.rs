//! The connection to Redis of a session that has ended before Redis had answered everything.
//!
//! It is closed towards Redis only, which then executes what it has received and closes it. Until then it stands under
//! every new policy, as a session does, and keeps the session's place: so there are no more of them than clients.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::registry::{Handle, Order};
use super::services::Services;
use super::turn;
use crate::session::{CloseReason, Remains};
use crate::upstream::Cut;

/// Bytes of replies, for nobody, that are read at once.
const SCRATCH: usize = 16 << 10;

/// Ends when Redis executes nothing more of the session.
pub(super) struct Executing<S: Services> {
    upstream: S::Upstream,
    remains: Remains,
    /// Some right has gone with which the requests were sent.
    cut: Option<Cut>,
    is_shut: bool,
    handle: Rc<Handle>,
    services: S,
}

impl<S: Services> Executing<S> {
    /// Of a session that has ended for this reason.
    pub(super) fn new(
        upstream: S::Upstream,
        remains: Remains,
        reason: CloseReason,
        handle: Rc<Handle>,
        services: S,
    ) -> Self {
        let mut executing = Self { upstream, remains, cut: None, is_shut: false, handle, services };
        // The worker that waits for the session's replies does so still, and has it cut if they do not come in time.
        executing.handle.note_former_rights(executing.remains.has_former_rights());
        if reason.is_loss_of_rights() {
            executing.cut();
        }
        executing
    }

    fn cut(&mut self) {
        let Self { cut, services, upstream, handle, .. } = self;
        cut.get_or_insert_with(|| services.cut(upstream));
        // From now on that is what is waited for.
        handle.note_former_rights(false);
    }

    /// Reads and drops what comes; ready once Redis has closed.
    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_shut {
            // What is closed already cannot be shut.
            self.is_shut = Pin::new(&mut self.upstream).poll_shutdown(cx).is_ready();
        }
        let mut scratch = [0; SCRATCH];
        let mut scratch = ReadBuf::new(&mut scratch);
        match Pin::new(&mut self.upstream).poll_read(cx, &mut scratch) {
            Poll::Ready(Ok(())) if !scratch.filled().is_empty() => {
                // The others get their turn.
                turn::end(cx);
                Poll::Pending
            }
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: Services + Unpin> Future for Executing<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.handle.note_waker(cx.waker());
        let order = this.handle.take_order();
        let policy = this.services.policy();
        if this.services.judge().is_err()
            || this.services.judge_upstream(&this.upstream).is_err()
            || this.remains.handle_policy(&policy).is_err()
            || matches!(order, Some(Order::Close(_)))
        {
            this.cut();
        }
        // Only now: once all are noted to be under it, what is cut is.
        this.handle.note_generation(policy.generation);
        // The process ends: nobody changes rights any more.
        if matches!(order, Some(Order::Drain(_))) {
            return Poll::Ready(());
        }
        drop(policy);
        let closed = this.poll_closed(cx);
        if closed.is_ready()
            && let Some(cut) = this.cut.take()
        {
            cut.closed();
        }
        closed
    }
}

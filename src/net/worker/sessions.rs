//! Which sessions a worker has, for whoever asks, and the end of some of them.
//!
//! Nothing is kept for that while sessions go on: each is woken and shows itself.

use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::{CLOSING_SLICE, SLICE, Worker};
use crate::net::registry::Order;
use crate::net::view::SessionView;
use crate::session::CloseReason;

impl Worker {
    /// Has every session show itself, some at a time. Nobody has to once the receiver is gone.
    pub(super) async fn show(self: Rc<Self>, views: mpsc::UnboundedSender<SessionView>) {
        for slice in self.registry.snapshot().chunks(SLICE) {
            if views.is_closed() {
                return;
            }
            slice.iter().for_each(|handle| handle.ask(&views));
            tokio::task::yield_now().await;
        }
    }

    /// Ends those of these sessions that are here, and says how many.
    pub(super) async fn kick(self: Rc<Self>, numbers: Arc<[u64]>, kicked: oneshot::Sender<usize>) {
        let handles = self.registry.live(&numbers);
        for slice in handles.chunks(CLOSING_SLICE) {
            slice.iter().for_each(|handle| handle.order(Order::Close(CloseReason::Kicked)));
            tokio::task::yield_now().await;
        }
        // Whoever asked may be gone.
        let _ = kicked.send(handles.len());
    }
}

//! Closing a client's connection so that the last words arrive.

use std::pin::Pin;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::gate::ConnectionPermit;
use crate::session::Buffer;
use crate::tls::close::{self, Closing};

/// The rest of a connection's life.
pub(super) type ConnectionFuture = Pin<Box<dyn Future<Output = ()>>>;

/// Tells a client why it has no session.
pub(super) fn turn_away<C: Closing + 'static>(client: C, why: &str, permit: ConnectionPermit) -> ConnectionFuture {
    let mut text = Buffer::default();
    text.extend(format!("-ERR {why}\r\n").as_bytes());
    keep_place(permit, farewell(Box::new(client), text, close::LINGER))
}

/// Closes a connection with patience. Its place in the gate bounds how many do.
pub(super) fn keep_place(permit: ConnectionPermit, farewell: impl Future<Output = ()> + 'static) -> ConnectionFuture {
    Box::pin(async move {
        farewell.await;
        drop(permit);
    })
}

/// Sends the last words and closes so that they arrive, as far as they do in this time. A future has several places for what it is
/// given, and others hold it in theirs: so the connection is not in it.
pub(super) async fn farewell<C: Closing>(mut client: Box<C>, rest: Buffer, linger: Duration) {
    const PATIENCE: Duration = Duration::from_secs(1);
    if !rest.is_empty() {
        let sent = tokio::time::timeout(PATIENCE, client.write_all(rest.as_slice())).await;
        if !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
    close::lingering_close(&mut *client, linger).await;
}

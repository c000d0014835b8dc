//! Closing so that the last words arrive.
//!
//! A `close()` while input is unread makes the kernel send RST, and the peer may lose what was sent just before: an
//! error text, a TLS alert. So the write side is shut down first, and input is discarded until the peer is done too.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Most input discarded, in bytes.
const MAX_DISCARDED: usize = 64 * 1024;
/// Longest time spent.
const MAX_TIME: Duration = Duration::from_secs(1);

/// Flushes, ends the write side (with close_notify first, if it is TLS), and discards input until the peer's end of
/// stream, 64 KiB or 1 s, whichever comes first. Errors end it too: there is nobody left to tell.
pub async fn linger<S: AsyncRead + AsyncWrite + Unpin>(stream: S) {
    // Elapsed: the second is over.
    let _ = tokio::time::timeout(MAX_TIME, say_goodbye(stream)).await;
}

async fn say_goodbye<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    if stream.flush().await.is_err() || stream.shutdown().await.is_err() {
        return;
    }
    let mut discarded = 0;
    let mut buffer = [0; 4096];
    while discarded < MAX_DISCARDED {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => discarded += read,
        }
    }
}

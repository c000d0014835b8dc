//! Closing so that the last words arrive.
//!
//! A `close()` while input is unread makes the kernel send RST, and the peer may lose what was sent just before: an
//! error text, a TLS alert. So the write side is shut down first, and input is discarded until the peer is done too.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

/// Most input discarded, in bytes.
const MAX_DISCARDED: usize = 64 * 1024;
/// The time that is ordinarily spent.
pub const LINGER: Duration = Duration::from_secs(1);

/// What can be closed so.
pub trait Closing: AsyncWrite + Unpin {
    /// What it goes over.
    type Socket: AsyncRead + Unpin;

    /// From which input is discarded as it comes: nothing is decrypted that nobody reads.
    fn socket_mut(&mut self) -> &mut Self::Socket;
}

impl Closing for TcpStream {
    type Socket = Self;

    fn socket_mut(&mut self) -> &mut Self {
        self
    }
}

/// Flushes, ends the write side (with close_notify first, if it is TLS), and discards input until the peer's end of
/// stream, 64 KiB or this time, whichever comes first. Errors end it too: there is nobody left to tell.
pub async fn lingering_close(stream: &mut impl Closing, time: Duration) {
    // Elapsed: the time is over.
    let _ = tokio::time::timeout(time, say_goodbye(stream)).await;
}

async fn say_goodbye(stream: &mut impl Closing) {
    if stream.flush().await.is_err() || stream.shutdown().await.is_err() {
        return;
    }
    let mut discarded = 0;
    while discarded < MAX_DISCARDED {
        match poll_fn(|cx| poll_discard(stream.socket_mut(), cx)).await {
            Ok(0) | Err(_) => return,
            Ok(read) => discarded += read,
        }
    }
}

/// Reads into nothing that would be kept until more comes.
fn poll_discard(socket: &mut (impl AsyncRead + Unpin), cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    let mut buffer = [0; 4096];
    let mut buffer = ReadBuf::new(&mut buffer);
    ready!(Pin::new(socket).poll_read(cx, &mut buffer))?;
    Poll::Ready(Ok(buffer.filled().len()))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, DuplexStream};
    use tokio::net::TcpListener;

    use super::*;

    impl Closing for DuplexStream {
        type Socket = Self;

        fn socket_mut(&mut self) -> &mut Self {
            self
        }
    }

    async fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("an address");
        let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
        (client.expect("connected"), server.expect("accepted").0)
    }

    #[tokio::test]
    async fn the_last_words_arrive_although_input_was_never_read() {
        let (mut client, mut server) = connection().await;
        client.write_all(&[b'x'; 20_000]).await.expect("sent");
        server.readable().await.expect("arrived");
        server.write_all(b"-ERR max number of clients reached\r\n").await.expect("sent");
        let mut heard = Vec::new();
        let hear = async {
            client.read_to_end(&mut heard).await.expect("no reset");
            drop(client);
        };
        tokio::join!(lingering_close(&mut server, LINGER), hear);
        assert_eq!(heard, b"-ERR max number of clients reached\r\n");
    }

    #[tokio::test]
    async fn a_peer_that_never_stops_sending_is_cut_off() {
        let (mut ours, mut theirs) = tokio::io::duplex(1024);
        let flood = async {
            let mut sent = 0;
            while let Ok(written) = theirs.write(&[0; 1024]).await {
                sent += written;
            }
            sent
        };
        let close = async {
            lingering_close(&mut ours, LINGER).await;
            drop(ours);
        };
        let ((), sent) = tokio::join!(close, flood);
        assert!((MAX_DISCARDED..MAX_DISCARDED + 8192).contains(&sent), "{sent}");
    }

    #[tokio::test]
    async fn a_peer_that_is_gone_is_not_waited_for() {
        let (mut ours, theirs) = tokio::io::duplex(1024);
        drop(theirs);
        lingering_close(&mut ours, LINGER).await;
    }
}

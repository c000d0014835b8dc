//! A socket from which TLS is fed: what has come is read at once, and not in the 4 KiB that rustls asks for at a time.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::barren::Barren;

/// Bytes read at once: as many as a session reads of what is in them.
const SIZE: usize = 64 << 10;

thread_local! {
    /// A buffer of [`SIZE`] that nobody reads into at this moment.
    static SPARE: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// A socket that may be read ahead of who asks.
pub(super) struct ReadAhead<S> {
    socket: S,
    is_on: bool,
    unread: Unread,
    barren: Barren,
}

/// Bytes that were read and that nobody has asked for. Whoever holds a buffer is the only one who does: what has come for
/// one session is never seen by another.
#[derive(Default)]
struct Unread {
    buffer: Box<[u8]>,
    range: Range<usize>,
}

impl Unread {
    fn give(&mut self, to: &mut ReadBuf<'_>, barren: &mut Barren) {
        let most = self.range.len().min(to.remaining());
        let given = barren.give(&self.buffer[self.range.start..self.range.start + most]);
        to.put_slice(given);
        self.range.start += given.len();
        if self.range.is_empty() {
            spare(std::mem::take(self).buffer);
        }
    }
}

fn spare(buffer: Box<[u8]>) {
    if buffer.len() == SIZE {
        SPARE.set(Some(buffer));
    }
}

impl<S> ReadAhead<S> {
    /// A socket of which no more is read than is asked for, as is right while a stranger shakes hands.
    pub(super) fn off(socket: S) -> Self {
        Self { socket, is_on: false, unread: Unread::default(), barren: Barren::default() }
    }

    /// From now on it is read ahead. Whoever reads calls [`settle`](Self::settle) when they are done for now.
    pub(super) fn turn_on(&mut self) {
        self.is_on = true;
        self.barren.begin();
    }

    /// There is so much plaintext of what was given.
    pub(super) fn note_plaintext(&mut self, bytes: usize) {
        self.barren.note_plaintext(bytes);
    }

    /// What is still unread is kept in hardly more memory than it needs. Returns how many bytes that is, with what TLS holds
    /// of an unfinished record.
    pub(super) fn settle(&mut self) -> usize {
        let Unread { buffer, range } = &mut self.unread;
        if range.len() < buffer.len() && (buffer.len() == SIZE || range.len() <= buffer.len() / 2) {
            let rest = Box::from(&buffer[range.clone()]);
            spare(std::mem::replace(buffer, rest));
            *range = 0..buffer.len();
        }
        buffer.len() + self.barren.bytes()
    }

    /// The socket. What was read ahead is not in it any more.
    pub(super) fn socket(&self) -> &S {
        &self.socket
    }

    /// The same, for what goes beside TLS.
    pub(super) fn socket_mut(&mut self) -> &mut S {
        &mut self.socket
    }

    /// The same, to be closed.
    pub(super) fn into_socket(self) -> S {
        self.socket
    }

    /// The same, with what has become of what was given so far.
    pub(super) fn into_parts(mut self) -> (S, Barren) {
        self.barren.begin();
        (self.socket, self.barren)
    }
}

impl<S: AsyncRead + Unpin> ReadAhead<S> {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut buffer = SPARE.take().unwrap_or_else(|| vec![0; SIZE].into());
        let mut read = ReadBuf::new(&mut buffer);
        let outcome = Pin::new(&mut self.socket).poll_read(cx, &mut read);
        let range = 0..read.filled().len();
        if range.is_empty() {
            spare(buffer);
        } else {
            self.unread = Unread { buffer, range };
        }
        outcome
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAhead<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.is_on {
            let before = to.filled().len();
            let outcome = Pin::new(&mut this.socket).poll_read(cx, to);
            this.barren.note(&to.filled()[before..]);
            return outcome;
        }
        if this.barren.is_too_much() {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        ready!(this.barren.poll_turn(cx));
        if this.unread.range.is_empty() {
            ready!(this.poll_fill(cx))?;
        }
        this.unread.give(to, &mut this.barren);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadAhead<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    fn pair() -> (DuplexStream, ReadAhead<DuplexStream>) {
        let (peer, ours) = duplex(2 * SIZE);
        let mut ours = ReadAhead::off(ours);
        ours.turn_on();
        (peer, ours)
    }

    async fn take(from: &mut ReadAhead<DuplexStream>, count: usize) -> Vec<u8> {
        let mut taken = vec![0; count];
        from.read_exact(&mut taken).await.expect("it is there");
        from.note_plaintext(count);
        taken
    }

    #[tokio::test]
    async fn what_was_read_ahead_for_one_is_never_given_to_another_wherever_it_is_cut() {
        const LENGTH: usize = 100;
        for cut in 0..LENGTH {
            let ((mut alice, mut to_alice), (mut bob, mut to_bob)) = (pair(), pair());
            alice.write_all(&[b'a'; LENGTH]).await.expect("sent");
            bob.write_all(&[b'b'; LENGTH]).await.expect("sent");
            for (settles, first) in [(true, true), (false, false)] {
                let count = if first { cut } else { LENGTH - cut };
                assert_eq!(take(&mut to_alice, count).await, vec![b'a'; count], "{cut}");
                assert_eq!(take(&mut to_bob, count).await, vec![b'b'; count], "{cut}");
                if settles {
                    let left = LENGTH - cut;
                    assert_eq!([to_alice.settle(), to_bob.settle()], [if cut == 0 { 0 } else { left }; 2], "{cut}");
                }
            }
        }
    }

    #[tokio::test]
    async fn nothing_is_kept_of_what_was_taken_and_little_beside_what_was_not() {
        let (mut peer, mut ours) = pair();
        peer.write_all(&vec![0x40; SIZE]).await.expect("sent");
        take(&mut ours, 1000).await;
        assert_eq!(ours.settle(), SIZE - 1000);
        take(&mut ours, 20_000).await;
        assert_eq!(ours.settle(), SIZE - 1000, "it is not worth moving them");
        take(&mut ours, 30_000).await;
        assert_eq!(ours.settle(), SIZE - 51_000);
        take(&mut ours, SIZE - 51_000).await;
        assert_eq!(ours.settle(), 0);
    }

    #[tokio::test]
    async fn whoever_sends_much_that_is_no_plaintext_is_cut() {
        let (mut peer, mut ours) = pair();
        peer.write_all(&[0x40; 2 * SIZE]).await.expect("sent");
        let mut taken = Vec::new();
        let error = ours.read_to_end(&mut taken).await.expect_err("too much");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(taken.len() < 2 * SIZE, "{}", taken.len());
    }

    #[tokio::test]
    async fn before_it_is_turned_on_no_more_is_read_than_is_asked_for() {
        let (mut peer, ours) = duplex(SIZE);
        let mut ours = ReadAhead::off(ours);
        peer.write_all(b"hello").await.expect("sent");
        assert_eq!(ours.read_u8().await.expect("it is there"), b'h');
        let mut rest = [0; 4];
        ours.into_socket().read_exact(&mut rest).await.expect("it is there");
        assert_eq!(&rest, b"ello");
    }
}

//! How much of what has come a session takes before the others of its worker have their turn.

use std::io;
use std::pin::Pin;
use std::task::Poll;

use tokio::io::{AsyncRead, ReadBuf};

use super::sockets::Socket;

/// Bytes read from one side in one wake-up; then the others get their turn.
const READ_QUOTA: usize = 128 << 10;

/// Fewer bytes than this take as long as many, where each comes in a record of its own or beside records without any.
const SMALL_READ: usize = 4 << 10;

/// As how many bytes they count, where more is read behind them.
const SMALL_READ_COST: usize = 32 << 10;

/// How much a read brought.
pub(super) enum Read {
    Nothing,
    Some(usize),
    End,
    Failed,
}

/// How much is read from one side in one wake-up.
pub(super) struct ReadQuota {
    bytes: usize,
    /// Nothing more was there: its socket will wake us.
    pub(super) would_block: bool,
}

impl ReadQuota {
    /// Of a socket: where it did not wake us, nothing has come.
    pub(super) fn of(socket: &Socket) -> Self {
        Self { bytes: 0, would_block: socket.is_quiet() }
    }

    /// The turn is over.
    pub(super) fn leave(self, socket: &Socket) {
        socket.note_quiet(self.would_block);
    }

    pub(super) fn is_used_up(&self) -> bool {
        self.bytes >= READ_QUOTA
    }

    pub(super) fn may_read(&self) -> bool {
        !self.would_block && !self.is_used_up()
    }

    /// Reads until nothing more is there or the buffer is full.
    pub(super) fn read<S: AsyncRead + Unpin>(&mut self, stream: &mut S, socket: &Socket, buffer: &mut [u8]) -> Read {
        let cx = &mut socket.context();
        let mut buffer = ReadBuf::new(buffer);
        let mut end = None;
        while end.is_none() && buffer.remaining() > 0 && !self.is_used_up() {
            let before = buffer.filled().len();
            match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if buffer.filled().len() > before => {
                    let count = buffer.filled().len() - before;
                    self.bytes += if count < SMALL_READ { SMALL_READ_COST } else { count };
                }
                Poll::Ready(Ok(())) => end = Some(Read::End),
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => end = Some(Read::End),
                Poll::Ready(Err(_)) => end = Some(Read::Failed),
                Poll::Pending => {
                    self.would_block = true;
                    end = Some(Read::Nothing);
                }
            }
        }
        let count = buffer.filled().len();
        match end {
            // An end or an error behind some bytes is met again at the next read.
            _ if count > 0 => Read::Some(count),
            Some(end) => end,
            None => Read::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;
    use crate::net::sockets::Sockets;

    /// A stream of which each read brings so many bytes.
    struct Pieces(usize);

    impl AsyncRead for Pieces {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            to.put_slice(&vec![0; self.0.min(to.remaining())]);
            Poll::Ready(Ok(()))
        }
    }

    /// How much is read of it in one turn, in how many goes.
    fn turn(mut stream: Pieces) -> (usize, usize) {
        let sockets = Sockets::new(Waker::noop());
        let mut quota = ReadQuota::of(&sockets.client);
        let (mut bytes, mut goes) = (0, 0);
        while quota.may_read() {
            let Read::Some(count) = quota.read(&mut stream, &sockets.client, &mut [0; 64 << 10]) else { break };
            bytes += count;
            goes += 1;
        }
        (bytes, goes)
    }

    #[test]
    fn a_turn_takes_128_kib_or_four_small_records() {
        assert_eq!(turn(Pieces(16 << 10)), (READ_QUOTA, 2));
        assert_eq!(turn(Pieces(1)), (READ_QUOTA / SMALL_READ_COST, 1));
        assert_eq!(turn(Pieces(SMALL_READ - 1)), (4 * (SMALL_READ - 1), 1));
    }
}

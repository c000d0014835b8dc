//! The plain end: a connection of an application of this host.

use std::io::{self, IoSlice};
use std::net::TcpStream as StdTcpStream;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A connection on its way to the thread that serves it; non-blocking.
#[derive(Debug)]
pub enum PlainSocket {
    /// Over a unix socket.
    Unix(StdUnixStream),
    /// Over TCP.
    Tcp(StdTcpStream),
}

impl PlainSocket {
    /// Registers it with the runtime of this thread.
    ///
    /// # Errors
    /// The system's.
    pub fn register(self) -> io::Result<Plain> {
        Ok(match self {
            PlainSocket::Unix(socket) => Plain::Unix(UnixStream::from_std(socket)?),
            PlainSocket::Tcp(socket) => Plain::Tcp(TcpStream::from_std(socket)?),
        })
    }
}

/// A connection of an application.
#[derive(Debug)]
pub enum Plain {
    /// Over a unix socket.
    Unix(UnixStream),
    /// Over TCP.
    Tcp(TcpStream),
}

impl Plain {
    /// Closes it so that nobody takes it for the orderly end of what was sent. A unix socket knows no such close.
    pub fn abort(self) {
        if let Plain::Tcp(socket) = &self {
            reset_on_close(socket);
        }
    }

    /// Over TCP, its socket.
    pub fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Plain::Unix(_) => None,
            Plain::Tcp(socket) => Some(socket),
        }
    }
}

/// The close of this socket will be a reset.
pub(super) fn reset_on_close(socket: &TcpStream) {
    // Where it fails, the connection is gone already.
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}

impl AsyncRead for Plain {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Plain::Unix(socket) => Pin::new(socket).poll_read(cx, buffer),
            Plain::Tcp(socket) => Pin::new(socket).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Plain {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Plain::Unix(socket) => Pin::new(socket).poll_write(cx, bytes),
            Plain::Tcp(socket) => Pin::new(socket).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Plain::Unix(socket) => Pin::new(socket).poll_write_vectored(cx, bytes),
            Plain::Tcp(socket) => Pin::new(socket).poll_write_vectored(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Plain::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
            Plain::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }
}

//! The plain end: a connection of an application of this host.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::TcpStream as StdTcpStream;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::sleep;

/// How often it is looked whether an application is still there.
const LOOK: Duration = Duration::from_millis(200);

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

    /// Ends when the application is gone, as far as can be told without reading: it has closed a unix socket, reset a
    /// connection, or ended one by which it has said nothing. One that has asked something and ends its own side may want to
    /// hear the answer.
    pub async fn gone(&self) {
        while !self.is_gone().await {
            sleep(LOOK).await;
        }
    }

    async fn is_gone(&self) -> bool {
        // There is room to write, so this waits for nothing.
        let both = Interest::READABLE | Interest::WRITABLE;
        let mut first = [MaybeUninit::uninit()];
        let (ready, peeked) = match self {
            Plain::Unix(socket) => (socket.ready(both).await, SockRef::from(socket).peek(&mut first)),
            Plain::Tcp(socket) => (socket.ready(both).await, SockRef::from(socket).peek(&mut first)),
        };
        ready.is_ok_and(|ready| ready.is_write_closed()) || peeked.is_ok_and(|count| count == 0)
    }

    /// Whether the application has ended its side, or closed it altogether, though it may have said something before that
    /// is still to be read.
    pub fn is_left(&self, cx: &mut Context<'_>) -> bool {
        let ready = match self {
            Plain::Unix(socket) => pin!(socket.ready(Interest::READABLE)).poll(cx),
            Plain::Tcp(socket) => pin!(socket.ready(Interest::READABLE)).poll(cx),
        };
        match ready {
            Poll::Ready(ready) => ready.map_or(true, |ready| ready.is_read_closed()),
            Poll::Pending => false,
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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{Shutdown, TcpListener};

    use super::*;

    fn over_unix() -> (StdUnixStream, Plain) {
        let (application, ours) = StdUnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (application, PlainSocket::Unix(ours).register().unwrap())
    }

    fn over_tcp() -> (StdTcpStream, Plain) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let application = StdTcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (ours, _) = listener.accept().unwrap();
        ours.set_nonblocking(true).unwrap();
        (application, PlainSocket::Tcp(ours).register().unwrap())
    }

    #[tokio::test]
    async fn an_application_that_closes_is_gone() {
        let (mut application, plain) = over_unix();
        application.write_all(b"PING\r\n").unwrap();
        drop(application);
        plain.gone().await;
        let (application, plain) = over_tcp();
        drop(application);
        plain.gone().await;
        let (mut application, plain) = over_tcp();
        application.write_all(b"PING\r\n").unwrap();
        SockRef::from(&application).set_linger(Some(Duration::ZERO)).unwrap();
        drop(application);
        plain.gone().await;
    }

    #[tokio::test]
    async fn one_that_has_asked_and_ends_its_side_or_waits_is_there() {
        let (mut application, plain) = over_unix();
        assert!(!plain.is_gone().await);
        application.write_all(b"PING\r\n").unwrap();
        application.shutdown(Shutdown::Write).unwrap();
        assert!(!plain.is_gone().await);
        let (mut application, plain) = over_tcp();
        assert!(!plain.is_gone().await);
        application.write_all(b"PING\r\n").unwrap();
        application.shutdown(Shutdown::Write).unwrap();
        assert!(!plain.is_gone().await);
    }
}

//! The encrypted stream of one client, once its handshake is done.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::ServerConnection;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::close::Closing;
use super::read_ahead::ReadAhead;

/// Bytes that TLS holds where the client does not take what it is sent: rustls seals so much before it takes no more.
const UNSENT: usize = 64 << 10;

/// A client's stream. What is read at once comes of one record at the most: whoever reads can so count what decrypting them
/// costs.
pub struct ClientStream(TlsStream<ReadAhead<TcpStream>>);

impl ClientStream {
    /// Of a handshake that has just been done.
    pub(super) fn new(mut stream: TlsStream<ReadAhead<TcpStream>>) -> Self {
        stream.get_mut().0.turn_on();
        Self(stream)
    }

    /// What was agreed on.
    pub(super) fn connection(&self) -> &ServerConnection {
        self.0.get_ref().1
    }

    /// Its socket.
    pub fn socket(&self) -> &TcpStream {
        self.0.get_ref().0.socket()
    }

    /// Nothing more is read for now. Returns how many bytes of memory are taken by what has come already, and by what has
    /// still to be sent.
    pub fn settle(&mut self) -> usize {
        let (socket, tls) = self.0.get_mut();
        let unsent = if tls.wants_write() { UNSENT } else { 0 };
        socket.settle() + unsent
    }

    /// The socket alone.
    pub(super) fn into_socket(self) -> TcpStream {
        self.0.into_inner().0.into_socket()
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let stream = &mut self.get_mut().0;
        let plaintext = ready!(Pin::new(&mut *stream).poll_fill_buf(cx))?;
        let count = plaintext.len().min(to.remaining());
        to.put_slice(&plaintext[..count]);
        Pin::new(&mut *stream).consume(count);
        stream.get_mut().0.note_plaintext(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }
}

impl Closing for ClientStream {
    type Socket = TcpStream;

    fn socket_mut(&mut self) -> &mut TcpStream {
        self.0.get_mut().0.socket_mut()
    }
}

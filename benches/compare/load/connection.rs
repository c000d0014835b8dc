//! One client: a socket, its TLS, and the replies it waits for.

use std::io::{self, BufRead as _, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind};

use crate::replies::Replies;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Arc<ClientConfig>,
}

impl Server {
    /// The handshake is done with what is sent first; the socket blocks.
    pub(crate) fn connect(&self) -> io::Result<Connection> {
        let socket = TcpStream::connect(self.address)?;
        socket.set_nodelay(true)?;
        let mut tls = ClientConnection::new(Arc::clone(&self.tls), ServerName::try_from("localhost").unwrap())
            .map_err(io::Error::other)?;
        tls.set_buffer_limit(None);
        Ok(Connection { socket, tls, replies: Replies::default() })
    }
}

pub(crate) struct Connection {
    socket: TcpStream,
    tls: ClientConnection,
    replies: Replies,
}

impl Connection {
    pub(crate) fn set_nonblocking(&self) -> io::Result<()> {
        self.socket.set_nonblocking(true)
    }

    pub(crate) fn send(&mut self, requests: &[u8]) -> io::Result<()> {
        self.tls.writer().write_all(requests)?;
        self.flush()
    }

    /// As much as the socket takes now.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.socket) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                written => written?,
            };
        }
        Ok(())
    }

    pub(crate) fn has_unsent(&self) -> bool {
        self.tls.wants_write()
    }

    /// Reads once, and says how many replies ended.
    ///
    /// # Errors
    /// The connection has failed or was closed, or a reply is an error.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut records = match self.socket.read(buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            read => &buffer[..read?],
        };
        let mut ended = 0;
        while !records.is_empty() {
            self.tls.read_tls(&mut records)?;
            let mut waiting = self.tls.process_new_packets().map_err(io::Error::other)?.plaintext_bytes_to_read();
            let mut reader = self.tls.reader();
            while waiting > 0 {
                let piece = reader.fill_buf()?;
                let length = piece.len();
                ended += self.replies.feed(piece)?;
                reader.consume(length);
                waiting -= length;
            }
        }
        // The handshake has something to say, and behind it what was to be sent.
        self.flush()?;
        Ok(ended)
    }

    pub(crate) fn is_resumed(&self) -> bool {
        self.tls.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    pub(crate) fn close(mut self) -> io::Result<()> {
        self.tls.send_close_notify();
        self.flush()
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

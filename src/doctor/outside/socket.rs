//! A TCP connection that has to be done by a certain time, whatever the other end does.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::tls::client::{End, of_io};

/// More is not read of what speaks no TLS.
const LONGEST: usize = 64 << 10;

/// A connection, and its end.
pub(super) struct Socket {
    stream: TcpStream,
    deadline: Instant,
}

impl Socket {
    /// Connects; that, and all that is done with it then, takes no longer than this.
    pub(super) fn connect(address: SocketAddr, limit: Duration) -> io::Result<Socket> {
        let deadline = Instant::now() + limit;
        let stream = TcpStream::connect_timeout(&address, limit)?;
        stream.set_nodelay(true)?;
        Ok(Socket { stream, deadline })
    }

    /// The same, with this much time from now on.
    pub(super) fn within(self, limit: Duration) -> Socket {
        Socket { deadline: Instant::now() + limit, ..self }
    }

    /// Reads until it is enough or over; what was read, and how it ended if it was not enough.
    pub(super) fn read_until(&mut self, is_enough: impl Fn(&[u8]) -> bool) -> (Vec<u8>, Option<End>) {
        let mut read = Vec::new();
        let mut chunk = [0; 1024];
        while read.len() < LONGEST {
            match self.read(&mut chunk) {
                Ok(0) => return (read, Some(End::Closed)),
                Ok(count) => read.extend_from_slice(chunk.get(..count).unwrap_or_default()),
                Err(error) => return (read, Some(of_io(&error))),
            }
            if is_enough(&read) {
                return (read, None);
            }
        }
        (read, Some(End::Broken("it does not stop".to_owned())))
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        match self.deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(ErrorKind::TimedOut.into()),
            left => Ok(Some(left)),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

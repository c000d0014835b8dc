//! TCP connections whose other end has vanished without a word: after a power cut, or behind a NAT that forgot them.
//!
//! The probes of TCP tell of one that is silent. They are not sent while something is on its way there; then
//! TCP_USER_TIMEOUT does it, in the same time. But Linux also counts the time for which the other end has closed its window,
//! whether it answers or not (`tcp_probe_timer`, since 5.11), and so would cut who is alive and does not read for a while, a
//! subscriber for example, whom Redis would keep. A window is closed where something has not even been sent. So as long as
//! that is so, the timeout is lifted, and the kernel's own for unanswered probes holds, as at Redis.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{SockRef, TcpKeepalive};

/// Probes that may stay without an answer, as at Redis.
const PROBES: u32 = 3;

/// How long the other end of a connection may be silent before it is asked for a sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive(Duration);

impl Keepalive {
    /// The kernel counts in seconds, and not further than this.
    pub const LONGEST: Duration = Duration::from_secs(32_767);

    /// So long; at least a second, at most [`LONGEST`](Self::LONGEST).
    pub fn after(silence: Duration) -> Self {
        Self(silence.clamp(Duration::from_secs(1), Self::LONGEST))
    }

    /// Between two probes, a third of the silence, and a second at least; as at Redis.
    pub fn interval(self) -> Duration {
        Duration::from_secs((self.0.as_secs() / u64::from(PROBES)).max(1))
    }

    /// Has the kernel find out for this socket.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_on(self, socket: &impl AsFd) -> io::Result<()> {
        let socket = SockRef::from(socket);
        let probes = TcpKeepalive::new().with_time(self.0).with_interval(self.interval()).with_retries(PROBES);
        socket.set_tcp_keepalive(&probes)?;
        socket.set_tcp_user_timeout(Some(self.patience()))
    }

    /// Lifts the timeout where the other end has closed its window, and sets it again where it has not. To be called every
    /// [`interval`](Self::interval).
    ///
    /// # Errors
    /// The kernel's.
    pub fn look_at(self, socket: &impl AsFd) -> io::Result<()> {
        let timeout = if has_unsent(socket)? { None } else { Some(self.patience()) };
        SockRef::from(socket).set_tcp_user_timeout(timeout)
    }

    /// When the last probe has stayed without an answer.
    fn patience(self) -> Duration {
        self.0 + self.interval() * PROBES
    }
}

/// Looks at a socket for which there was this, [`Keepalive::look_at`], unless something else is `wanted` now, which is set.
///
/// # Errors
/// The kernel's.
pub fn look_at(socket: &impl AsFd, keepalive: &mut Option<Keepalive>, wanted: Option<Keepalive>) -> io::Result<()> {
    let is_other = std::mem::replace(keepalive, wanted) != wanted;
    match wanted {
        Some(wanted) if is_other => wanted.set_on(socket),
        Some(wanted) => wanted.look_at(socket),
        None if is_other => {
            let socket = SockRef::from(socket);
            socket.set_keepalive(false)?;
            socket.set_tcp_user_timeout(None)
        }
        None => Ok(()),
    }
}

/// Whether something waits in the kernel that has not been sent for the first time.
fn has_unsent(socket: &impl AsFd) -> io::Result<bool> {
    const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
    let options = SockRef::from(socket);
    let bound = options.tcp_notsent_lowat()?;
    // For this moment a socket can be written to only if there is nothing such.
    options.set_tcp_notsent_lowat(1)?;
    let writable = poll(&mut [PollFd::new(socket, PollFlags::OUT)], Some(&AT_ONCE));
    options.set_tcp_notsent_lowat(bound)?;
    Ok(writable? == 0)
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    fn timeout(socket: &TcpStream) -> Option<Duration> {
        SockRef::from(socket).tcp_user_timeout().unwrap().filter(|timeout| !timeout.is_zero())
    }

    #[test]
    fn times_are_those_of_redis_and_the_timeout_is_that_of_the_last_probe() {
        let (_client, server) = connection();
        for (silence, interval, all) in [(300, 100, 600), (2, 1, 5), (1, 1, 4), (5, 1, 8)] {
            Keepalive::after(Duration::from_secs(silence)).set_on(&server).unwrap();
            let socket = SockRef::from(&server);
            assert!(socket.keepalive().unwrap());
            assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(silence));
            assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(interval));
            assert_eq!(timeout(&server), Some(Duration::from_secs(all)));
        }
    }

    #[test]
    fn a_socket_has_what_was_wanted_last() {
        let (_client, server) = connection();
        let of = |seconds| Some(Keepalive::after(Duration::from_secs(seconds)));
        let mut keepalive = None;
        for (wanted, all) in [(of(300), Some(600)), (of(300), Some(600)), (of(2), Some(5)), (None, None)] {
            look_at(&server, &mut keepalive, wanted).unwrap();
            assert_eq!(timeout(&server), all.map(Duration::from_secs));
            assert_eq!(SockRef::from(&server).keepalive().unwrap(), wanted.is_some());
        }
    }

    #[test]
    fn the_timeout_is_lifted_for_who_does_not_read_and_comes_back_when_he_does() {
        let (mut client, mut server) = connection();
        let keepalive = Keepalive::after(Duration::from_secs(300));
        keepalive.set_on(&server).unwrap();
        keepalive.look_at(&server).unwrap();
        assert_eq!(timeout(&server), Some(Duration::from_secs(600)));
        SockRef::from(&server).set_tcp_notsent_lowat(50_000).unwrap();
        server.set_nonblocking(true).unwrap();
        while server.write(&[0; 65_536]).map_or_else(|error| error.kind() != ErrorKind::WouldBlock, |_| true) {}
        keepalive.look_at(&server).unwrap();
        assert_eq!(timeout(&server), None);
        assert_eq!(SockRef::from(&server).tcp_notsent_lowat().unwrap(), 50_000, "what bounds the unsent stays");
        client.set_nonblocking(true).unwrap();
        let mut buffer = vec![0; 1 << 20];
        while timeout(&server).is_none() {
            let _ = client.read(&mut buffer);
            keepalive.look_at(&server).unwrap();
        }
    }
}

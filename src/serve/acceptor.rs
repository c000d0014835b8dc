//! Where connections are accepted: on a thread of its own. The one that reloads may read and sort a list of many megabytes
//! meanwhile.

use std::future::Future;
use std::io;

use tokio::runtime::{Builder, EnterGuard, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The thread, until this is dropped.
pub(super) struct Acceptor {
    runtime: Handle,
    _end: oneshot::Sender<()>,
}

impl Acceptor {
    /// Starts it.
    ///
    /// # Errors
    /// The thread or its event loop cannot be made.
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        std::thread::Builder::new().name("acceptor".to_owned()).spawn(move || {
            // It ends with an error, when nobody is there to say so.
            let _ = runtime.block_on(ended);
        })?;
        Ok(Self { runtime: handle, _end: end })
    }

    /// Sockets that are opened while this is held wake tasks of this thread.
    pub(super) fn enter(&self) -> EnterGuard<'_> {
        self.runtime.enter()
    }

    /// Accepts there.
    pub(super) fn spawn(&self, accept: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.runtime.spawn(accept)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;
    use crate::net::listener;

    #[tokio::test]
    async fn connections_are_accepted_while_the_thread_that_opened_the_socket_does_something_else() {
        let acceptor = Acceptor::start().unwrap();
        let socket = {
            let _entered = acceptor.enter();
            listener::bind("127.0.0.1:0".parse().unwrap()).unwrap()
        };
        let address = socket.local_addr().unwrap();
        let accepting = acceptor.spawn(async move { drop(socket.accept().await.unwrap()) });
        // No task of this thread has its turn before the connection has been accepted and closed.
        let mut client = TcpStream::connect(address).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
        accepting.await.unwrap();
    }
}

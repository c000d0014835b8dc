//! Clients: live sessions that note when they end, one that measures, and some that stop half-way in their handshake.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::{ClientConnection, StreamOwned};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::pki::Connector;

const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
const PONG: &[u8] = b"+PONG\r\n";

/// Handshakes of ours at once.
const AT_ONCE: usize = 64;

type Stream = TlsStream<TcpStream>;

/// A live session, busy or idle.
pub(crate) struct Session {
    ended: Rc<Cell<Option<Instant>>>,
    life: JoinHandle<()>,
}

impl Session {
    /// Opens all of them; those with a pace send a PING that often.
    pub(crate) async fn open_all(wanted: impl Iterator<Item = (Connector, Option<Duration>)>) -> Vec<Session> {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let mut opening = Vec::new();
        for (connector, pace) in wanted {
            let place = Arc::clone(&places).acquire_owned().await.unwrap();
            opening.push(spawn_local(async move {
                let mut stream = connect(&connector).await;
                ping(&mut stream).await.unwrap();
                drop(place);
                let ended = Rc::new(Cell::new(None));
                let life = spawn_local(live(stream, pace, Rc::clone(&ended)));
                Session { ended, life }
            }));
        }
        let mut sessions = Vec::new();
        for session in opening {
            sessions.push(session.await.unwrap());
        }
        sessions
    }

    pub(crate) fn ended(&self) -> Option<Instant> {
        self.ended.get()
    }

    /// Whether it is still there; then it ends.
    pub(crate) async fn still_answers(self) -> bool {
        // The end of a stream is seen by whoever reads it, and each session reads all the time.
        tokio::task::yield_now().await;
        self.life.abort();
        self.ended.get().is_none()
    }
}

async fn live(mut stream: Stream, pace: Option<Duration>, ended: Rc<Cell<Option<Instant>>>) {
    loop {
        let patience = pace.unwrap_or(Duration::from_secs(3600));
        let over = match timeout(patience, stream.read(&mut [0; 64])).await {
            Ok(_) => true,
            Err(_elapsed) => ping(&mut stream).await.is_err(),
        };
        if over {
            return ended.set(Some(Instant::now()));
        }
    }
}

/// Sends PING after PING and notes how long each took, on a thread of its own: what the others do here is not to count.
pub(crate) struct Bystander {
    latencies: Arc<Mutex<Vec<Duration>>>,
    over: Arc<AtomicBool>,
    life: Option<std::thread::JoinHandle<()>>,
}

impl Bystander {
    pub(crate) fn begin(connector: Connector) -> Bystander {
        let mut bystander = Bystander { latencies: Arc::default(), over: Arc::default(), life: None };
        let (latencies, over) = (Arc::clone(&bystander.latencies), Arc::clone(&bystander.over));
        bystander.life = Some(std::thread::spawn(move || {
            let tcp = std::net::TcpStream::connect(connector.address).unwrap();
            tcp.set_nodelay(true).unwrap();
            let tls = ClientConnection::new(connector.config, "localhost".try_into().unwrap()).unwrap();
            let mut stream = StreamOwned::new(tls, tcp);
            while !over.load(Ordering::Relaxed) {
                let started = Instant::now();
                stream.write_all(PING).unwrap();
                stream.read_exact(&mut [0; PONG.len()]).unwrap();
                latencies.lock().unwrap().push(started.elapsed());
                std::thread::sleep(Duration::from_millis(1));
            }
        }));
        bystander
    }

    /// What was measured since the last time.
    pub(crate) fn take(&self) -> Vec<Duration> {
        std::mem::take(&mut self.latencies.lock().unwrap())
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // One that has panicked has said so.
        let _ = self.life.take().map(std::thread::JoinHandle::join);
    }
}

/// A client that has the server's part of the handshake and has not sent its own certificate yet.
pub(crate) struct Pending {
    tls: ClientConnection,
    tcp: TcpStream,
}

impl Pending {
    pub(crate) async fn begin(connector: &Connector) -> Pending {
        let tcp = TcpStream::connect(connector.address).await.unwrap();
        let tls = ClientConnection::new(Arc::clone(&connector.config), "localhost".try_into().unwrap()).unwrap();
        let mut pending = Pending { tls, tcp };
        pending.send().await.unwrap();
        while pending.tls.is_handshaking() {
            pending.receive().await.unwrap();
        }
        pending
    }

    /// Finishes the handshake; whether a PING is answered then.
    pub(crate) async fn answers(mut self) -> bool {
        self.tls.writer().write_all(PING).unwrap();
        let conversation = async {
            self.send().await?;
            let mut reply = [0; PONG.len()];
            loop {
                match self.tls.reader().read_exact(&mut reply) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.receive().await?,
                    other => return other.map(|()| reply),
                }
            }
        };
        // One that is refused by then is told so.
        matches!(timeout(Duration::from_secs(5), conversation).await, Ok(Ok(reply)) if reply == *PONG)
    }

    async fn send(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut bytes)?;
        }
        self.tcp.write_all(&bytes).await
    }

    async fn receive(&mut self) -> io::Result<()> {
        let mut bytes = [0; 4096];
        let count = self.tcp.read(&mut bytes).await?;
        let mut rest = &bytes[..count];
        if rest.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while !rest.is_empty() {
            self.tls.read_tls(&mut rest)?;
            self.tls.process_new_packets().map_err(io::Error::other)?;
        }
        Ok(())
    }
}

async fn connect(connector: &Connector) -> Stream {
    let tcp = TcpStream::connect(connector.address).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let tls = TlsConnector::from(Arc::clone(&connector.config));
    tls.connect("localhost".try_into().unwrap(), tcp).await.unwrap()
}

async fn ping(stream: &mut Stream) -> io::Result<()> {
    stream.write_all(PING).await?;
    stream.flush().await?;
    stream.read_exact(&mut [0; PONG.len()]).await.map(|_| ())
}

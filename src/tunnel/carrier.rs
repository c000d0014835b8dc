//! Copies between an application and its server, both ways. The end of one way is carried on as such, as close_notify or
//! end of stream; what breaks off at one end is broken off at the other, so that nobody takes a part for the whole.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::plain::{Plain, reset_on_close};
use crate::audit::client_events::Volume;
use crate::tls::server_connection::{Buffers, Copied, CopyError};
use crate::tls::{ServerConnection, ServerError};

/// How often each way may read before others have their turn.
const ROUNDS: usize = 4;

/// How often it is looked whether an application is still there whose server takes nothing.
const LOOK: Duration = Duration::from_secs(1);

/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// One application's connection and that to its server.
#[derive(Debug)]
pub struct Carrier {
    plain: Plain,
    server: ServerConnection,
    to_server: Way,
    to_plain: Way,
    volume: Volume,
    /// What moved last came from the server.
    is_answered: bool,
    first_end: Option<Ended>,
    /// The application has ended its side, and what it said before is still to be read.
    is_left: bool,
    /// Of an application whose server takes nothing, until the next look.
    next_look: Option<Pin<Box<Sleep>>>,
}

/// How far one way is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// There is no more to copy, but its end has yet to be passed on.
    Ending,
    Ended,
}

/// What has come of a turn.
#[derive(Debug)]
pub enum Step {
    /// There may be more to copy at once.
    More,
    /// One of the ways has ended.
    HalfClosed,
    /// Both have.
    Ended(Ended),
}

/// Why there is nothing more to copy.
#[derive(Debug)]
pub enum Ended {
    /// The application was the first to say that it is done.
    Application,
    /// The server was.
    Server,
    /// The application's connection broke.
    ApplicationLost,
    /// The server's did, or it broke the rules.
    ServerLost(ServerError),
}

impl Carrier {
    /// Of these connections, by which nothing has come yet.
    pub fn new(plain: Plain, server: ServerConnection) -> Carrier {
        Carrier {
            plain,
            server,
            to_server: Way::Open,
            to_plain: Way::Open,
            volume: Volume::default(),
            is_answered: true,
            first_end: None,
            is_left: false,
            next_look: None,
        }
    }

    /// Copies as much as there is, within a turn's bounds. `buffers` are used in passing.
    pub fn poll(&mut self, cx: &mut Context<'_>, buffers: &mut Buffers) -> Poll<Step> {
        let was_open = !self.is_half_closed();
        for _ in 0..ROUNDS {
            let mut is_idle = true;
            for polled in [self.poll_to_server(cx, buffers), self.poll_to_plain(cx, buffers)] {
                match polled {
                    Poll::Ready(Ok(())) => is_idle = false,
                    Poll::Ready(Err(error)) => {
                        // The alert that says why, if it goes out.
                        let _ = self.server.poll_flush(cx);
                        return Poll::Ready(Step::Ended(self.broken(error)));
                    }
                    Poll::Pending => {}
                }
            }
            if self.to_server == Way::Ended && self.to_plain == Way::Ended {
                let first = self.first_end.take().unwrap_or(Ended::Application);
                return Poll::Ready(Step::Ended(first));
            }
            if was_open && self.is_half_closed() {
                return Poll::Ready(Step::HalfClosed);
            }
            if is_idle {
                self.look_at_application(cx);
                return if was_open && self.is_half_closed() { Poll::Ready(Step::HalfClosed) } else { Poll::Pending };
            }
        }
        Poll::Ready(Step::More)
    }

    /// As long as the server takes nothing, nothing is read of the application, and so not that it has ended.
    fn look_at_application(&mut self, cx: &mut Context<'_>) {
        if self.to_server != Way::Open || !self.server.has_unsent() || self.is_left {
            return;
        }
        let next_look = self.next_look.get_or_insert_with(|| Box::pin(sleep(LOOK)));
        while next_look.as_mut().poll(cx).is_ready() {
            self.is_left = self.plain.is_left(cx);
            next_look.set(sleep(LOOK));
            if self.is_left {
                return;
            }
        }
    }

    /// Whoever has said that it is done may well be gone altogether.
    fn broken(&mut self, error: CopyError) -> Ended {
        match (error, self.first_end.take()) {
            (CopyError::Plain(_), Some(Ended::Application)) => Ended::Application,
            (CopyError::Server(_), Some(Ended::Server)) => Ended::Server,
            (CopyError::Plain(_), _) => Ended::ApplicationLost,
            (CopyError::Server(error), _) => Ended::ServerLost(error),
        }
    }

    /// Ready where something has been done. Nothing is read before what was encrypted has been sent.
    fn poll_to_server(&mut self, cx: &mut Context<'_>, buffers: &mut Buffers) -> Poll<Result<(), CopyError>> {
        ready!(self.server.poll_flush(cx)).map_err(CopyError::Server)?;
        match self.to_server {
            Way::Open => {
                let mut read = ReadBuf::new(&mut buffers.read);
                ready!(Pin::new(&mut self.plain).poll_read(cx, &mut read)).map_err(CopyError::Plain)?;
                if read.filled().is_empty() {
                    self.server.end();
                    self.to_server = Way::Ending;
                    self.first_end.get_or_insert(Ended::Application);
                } else {
                    self.server.encrypt(read.filled());
                    self.volume.received += read.filled().len() as u64;
                    self.is_answered = false;
                }
            }
            Way::Ending => {
                // Who is gone already need not be told.
                let _ = ready!(self.server.poll_shutdown(cx));
                self.to_server = Way::Ended;
            }
            Way::Ended => return Poll::Pending,
        }
        Poll::Ready(Ok(()))
    }

    fn poll_to_plain(&mut self, cx: &mut Context<'_>, buffers: &mut Buffers) -> Poll<Result<(), CopyError>> {
        match self.to_plain {
            Way::Open => match ready!(self.server.poll_copy_to(cx, buffers, &mut self.plain))? {
                Copied::Bytes(0) => {}
                Copied::Bytes(count) => {
                    self.volume.sent += count as u64;
                    self.is_answered = true;
                }
                Copied::End => {
                    self.to_plain = Way::Ending;
                    self.first_end.get_or_insert(Ended::Server);
                }
            },
            Way::Ending => {
                let _ = ready!(Pin::new(&mut self.plain).poll_shutdown(cx));
                self.to_plain = Way::Ended;
            }
            Way::Ended => return Poll::Pending,
        }
        Poll::Ready(Ok(()))
    }

    /// What was copied so far: received is from the application.
    pub fn volume(&self) -> Volume {
        self.volume
    }

    /// Whether one of the ways has ended, at the end where it begins at least.
    pub fn is_half_closed(&self) -> bool {
        self.is_left || self.first_end.is_some()
    }

    /// Whether the application has ended its side, and the server does not even take what it said.
    pub fn is_stuck(&self) -> bool {
        self.is_left && self.server.has_unsent()
    }

    /// Whether it is the server who was done first. None of those that are known goes on listening then.
    pub fn is_left_by_server(&self) -> bool {
        matches!(self.first_end, Some(Ended::Server))
    }

    /// Whether what moved last was said by the server, and the application has taken all of it: where each question has its
    /// answer, nothing is owed.
    pub fn is_answered(&self) -> bool {
        self.is_answered && !self.server.is_behind()
    }

    /// The connection to the server.
    pub fn server(&self) -> &ServerConnection {
        &self.server
    }

    /// The application's connection.
    pub fn plain(&self) -> &Plain {
        &self.plain
    }

    /// Ends both in good order, as far as they take that.
    pub async fn close(&mut self) {
        self.server.end();
        let goodbye = async {
            let flushed = std::future::poll_fn(|cx| self.server.poll_flush(cx)).await;
            if flushed.is_ok() {
                // Who does not listen any more is not to be told.
                let _ = std::future::poll_fn(|cx| self.server.poll_shutdown(cx)).await;
            }
            let _ = self.plain.shutdown().await;
        };
        let _ = tokio::time::timeout(GOODBYE, goodbye).await;
    }

    /// Ends both so that neither takes it for an end in good order.
    pub fn abort(self) {
        reset_on_close(self.server.socket());
        self.plain.abort();
    }
}

//! HTTP as both doors speak it: one request a connection, and everything about it bounded.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{StatusCode, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, spawn_local, yield_now};

use crate::origin::{Origin, origin};

use crate::audit::escape;

/// A request, of which the body is not read: no route has any use for one.
pub(super) type Request = hyper::Request<Incoming>;

/// An answer as a whole.
pub(super) type Response = hyper::Response<Full<Bytes>>;

/// Connections of one door at once. Of clients that have an address, one more takes the place of another; else it waits.
pub(in crate::serve) const CONNECTIONS: usize = 16;

/// Bytes of a request without its body.
const LARGEST_HEAD: usize = 16 << 10;

/// For the head of a request.
const HEAD_PATIENCE: Duration = Duration::from_secs(2);

/// For a whole connection. A reload takes its time.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two attempts to accept, where the system lets no connection be accepted.
const PAUSE: Duration = Duration::from_secs(1);

/// A socket that connections come in by.
pub(super) trait Accept {
    /// What a connection is.
    type Connection: AsyncRead + AsyncWrite + Unpin + 'static;

    /// The next connection of somebody who may come in, and from where, if that tells clients apart.
    async fn accept(&self) -> io::Result<(Self::Connection, Option<IpAddr>)>;
}

/// Answers who comes in, for as long as it is polled.
pub(super) async fn serve<F: Future<Output = Response> + 'static>(
    listener: impl Accept,
    answer: impl Fn(Request) -> F + 'static,
) {
    let (answer, places) = (Rc::new(answer), Arc::new(Semaphore::new(CONNECTIONS)));
    let mut served = Served::default();
    loop {
        let (connection, client) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a door cannot accept");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let client = client.map(origin);
        if let Some(client) = client {
            if places.available_permits() == 0 {
                // Who has asked already is to be known as such, and who has gone to be gone, before somebody has to go.
                yield_now().await;
            }
            if places.available_permits() == 0 {
                served.make_way_for(client);
            }
        }
        // It is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let has_asked = Rc::new(Cell::new(false));
        let exchange = spawn_local(exchange(connection, Rc::clone(&answer), Rc::clone(&has_asked), place));
        if let Some(client) = client {
            served.add(client, has_asked, exchange);
        }
    }
}

/// Who is served, in the order in which they came.
#[derive(Default)]
struct Served(Vec<Exchange>);

struct Exchange {
    client: Origin,
    /// The head of its request has come.
    has_asked: Rc<Cell<bool>>,
    task: JoinHandle<()>,
}

impl Served {
    fn add(&mut self, client: Origin, has_asked: Rc<Cell<bool>>, task: JoinHandle<()>) {
        self.0.retain(|exchange| !exchange.task.is_finished());
        self.0.push(Exchange { client, has_asked, task });
    }

    /// Ends an exchange: who asks is answered at once, and whoever says nothing makes way.
    fn make_way_for(&mut self, newcomer: Origin) {
        self.0.retain(|exchange| !exchange.task.is_finished());
        let clients: Vec<_> = self.0.iter().map(|exchange| (exchange.client, exchange.has_asked.get())).collect();
        if let Some(at) = to_make_way(&clients, newcomer) {
            self.0.remove(at).task.abort();
        }
    }
}

/// Which of these, in the order in which they came and with whether they have asked something, makes way for a newcomer: of the
/// address that has most of them, counted with him, the first that has asked nothing yet, or else the first.
fn to_make_way(clients: &[(Origin, bool)], newcomer: Origin) -> Option<usize> {
    let origins = || clients.iter().map(|(client, _)| *client);
    let count = |of: Origin| origins().chain([newcomer]).filter(|client| *client == of).count();
    let most = origins().map(count).max()?;
    let is_of_most = |(client, _): &&(Origin, bool)| count(*client) == most;
    let first = clients.iter().position(|client| is_of_most(&client))?;
    let silent = clients.iter().position(|client| is_of_most(&client) && !client.1);
    Some(silent.unwrap_or(first))
}

async fn exchange<F: Future<Output = Response>>(
    connection: impl AsyncRead + AsyncWrite + Unpin,
    answer: Rc<impl Fn(Request) -> F>,
    has_asked: Rc<Cell<bool>>,
    _place: OwnedSemaphorePermit,
) {
    let service = service_fn(async |request| {
        has_asked.set(true);
        Ok::<_, Infallible>(answer(request).await)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(LARGEST_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(connection), service);
    // A client that went away, took too long or sent something else has no use for an error.
    let _ = tokio::time::timeout(PATIENCE, served).await;
}

/// Words for people.
pub(super) fn text(status: StatusCode, text: impl Into<Bytes>) -> Response {
    whole(status, "text/plain; charset=utf-8", text.into())
}

/// A document.
pub(super) fn json(status: StatusCode, document: &impl serde::Serialize) -> Response {
    match serde_json::to_string(document) {
        Ok(text) => whole(status, "application/json", escape::json(&text).into_owned().into()),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

/// What has a media type of its own.
pub(super) fn typed(content_type: &'static str, text: String) -> Response {
    whole(StatusCode::OK, content_type, text.into())
}

/// A page, which may do what this `Content-Security-Policy` says.
pub(super) fn html(text: String, policy: &'static str) -> Response {
    let mut response = typed("text/html; charset=utf-8", text);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

fn whole(status: StatusCode, content_type: &'static str, body: Bytes) -> Response {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    *response.version_mut() = Version::HTTP_11;
    let headers: [(HeaderName, &str); 5] = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    response.headers_mut().extend(headers.map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_connection_of_the_address_that_has_most_makes_way() {
        let made = |clients: &[u8], newcomer| {
            to_make_way(&clients.iter().map(|number| (of(*number), false)).collect::<Vec<_>>(), of(newcomer))
        };
        assert_eq!(made(&[1, 2, 3, 2], 4), Some(1));
        assert_eq!(made(&[1, 2, 3, 3], 2), Some(1));
        assert_eq!(made(&[1, 2, 3], 4), Some(0));
        assert_eq!(made(&[], 1), None);
    }

    #[test]
    fn who_has_asked_makes_way_only_where_nobody_of_its_address_is_silent() {
        let made = |clients: &[(u8, bool)], newcomer| {
            let clients: Vec<_> = clients.iter().map(|(number, has_asked)| (of(*number), *has_asked)).collect();
            to_make_way(&clients, of(newcomer))
        };
        assert_eq!(made(&[(1, true), (2, false), (1, false)], 1), Some(2));
        assert_eq!(made(&[(1, true), (2, false), (1, true)], 1), Some(0));
    }

    fn of(number: u8) -> Origin {
        IpAddr::from([192, 0, 2, number])
    }
}

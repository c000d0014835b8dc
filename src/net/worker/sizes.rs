//! What futures take that thousands of connections have at once: none holds a connection by value, or it would have it several times.

use super::Worker;
use super::connection::tell_the_last;
use crate::net::farewell::farewell;
use crate::tls::{ClientStream, close};
use crate::tunnel::Carrier;

/// Of the future that a function makes, in bytes.
fn size_of_future<A, F: Future>(_: impl Fn(A) -> F) -> usize {
    size_of::<F>()
}

#[test]
fn the_end_of_a_session_takes_less_than_its_clients_connection() {
    let farewell = size_of_future(|(client, rest)| farewell::<ClientStream>(client, rest, close::LINGER));
    let told =
        size_of_future(|(client, rest, account)| tell_the_last::<ClientStream>(client, rest, account, close::LINGER));
    let connection = size_of::<ClientStream>();
    assert!(farewell < connection && told < connection, "{farewell}, {told}");
}

#[test]
fn the_task_of_a_tunnel_takes_less_than_twice_its_connections() {
    let task = size_of_future(|(worker, application, counted)| Worker::tunnel(worker, application, counted));
    assert!(task < 2 * size_of::<Carrier>(), "{task}");
}

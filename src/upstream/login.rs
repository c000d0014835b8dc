//! Our own conversation with Redis: one request, one reply.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zeroize::Zeroizing;

use super::connect::{ConnectError, Connection};
use crate::config::Redacted;
use crate::resp::{self, Protocol, Reply};

/// Bytes of one reply of our own conversation: COMMAND answers with about 300 KiB.
const LARGEST_REPLY: usize = 16 << 20;

/// AUTH, under the name it has there, as the proxy's own user.
pub(super) async fn log_in(
    connection: &mut Connection,
    auth: &[u8],
    user: Option<&str>,
    password: &Redacted,
) -> Result<(), ConnectError> {
    let mut arguments = vec![auth];
    arguments.extend(user.map(str::as_bytes));
    arguments.push(password.expose());
    let mut request = Zeroizing::new(Vec::new());
    resp::encode_request(&arguments, &mut request);
    match exchange(connection, &request).await? {
        Reply::Simple(_) => Ok(()),
        Reply::Error(text) => Err(ConnectError::refused(&text)),
        _ => Err(ConnectError::NotRedis),
    }
}

/// Sends a request and reads its reply, RESP2.
pub(super) async fn exchange(connection: &mut Connection, request: &[u8]) -> Result<Reply, ConnectError> {
    // A Redis that is full says so and closes before it has read anything.
    let sent = connection.write_all(request).await;
    let mut bytes = Vec::new();
    loop {
        if connection.read_buf(&mut bytes).await? == 0 {
            return Err(sent.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into()).into());
        }
        match resp::decode(Protocol::Resp2, &bytes) {
            Ok(Some((reply, _))) => return Ok(reply),
            Ok(None) if bytes.len() <= LARGEST_REPLY => {}
            Ok(None) | Err(_) => return Err(ConnectError::NotRedis),
        }
    }
}

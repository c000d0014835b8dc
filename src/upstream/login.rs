//! Our own conversation with Redis.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

use super::error::ConnectError;
use crate::config::{Redacted, UpstreamSettings};
use crate::resp::{self, Protocol, Reply};

/// Bytes of one reply of our own conversation: COMMAND answers with about 300 KiB.
const LARGEST_REPLY: usize = 16 << 20;

/// How the proxy's own user logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Login {
    user: Option<String>,
    password: Redacted,
}

impl Login {
    /// `None` where there is no password.
    pub(super) fn of(settings: &UpstreamSettings) -> Option<Login> {
        let password = settings.password.clone()?;
        Some(Login { user: settings.user.clone(), password })
    }

    /// `AUTH`, by the name that it has there. It holds a password.
    pub(super) fn request(&self, auth: &[u8]) -> Zeroizing<Vec<u8>> {
        let mut arguments = vec![auth];
        arguments.extend(self.user.as_deref().map(str::as_bytes));
        arguments.push(self.password.expose());
        // With room for what is sent together with it, so that no copy is left behind.
        const ROOM: usize = 256;
        let size = arguments.iter().map(|argument| argument.len()).sum::<usize>();
        let mut request = Zeroizing::new(Vec::with_capacity(size + ROOM));
        resp::encode_request(&arguments, &mut request);
        request
    }
}

/// As whom a connection is there that has logged in like this, or not at all.
pub(super) fn user(login: Option<&Login>) -> &str {
    login.and_then(|login| login.user.as_deref()).unwrap_or("default")
}

/// Sends a request and reads its reply, RESP2.
pub(super) async fn exchange(
    connection: &mut (impl AsyncRead + AsyncWrite + Unpin),
    request: &[u8],
) -> Result<Reply, ConnectError> {
    exchange_all(connection, request, 1).await?.pop().ok_or(ConnectError::NotRedis)
}

/// Sends so many requests at once and reads their replies; fewer where Redis closes after the first.
pub(super) async fn exchange_all(
    connection: &mut (impl AsyncRead + AsyncWrite + Unpin),
    requests: &[u8],
    count: usize,
) -> Result<Vec<Reply>, ConnectError> {
    // A Redis that is full says so and closes before it has read anything.
    let sent = connection.write_all(requests).await;
    let (mut replies, mut bytes) = (Vec::new(), Vec::new());
    loop {
        match connection.read_buf(&mut bytes).await {
            Ok(0) | Err(_) if !replies.is_empty() => return Ok(replies),
            Ok(0) => return Err(sent.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into()).into()),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        while replies.len() < count {
            match resp::decode(Protocol::Resp2, &bytes) {
                Ok(Some((reply, taken))) => {
                    replies.push(reply);
                    bytes.drain(..taken);
                }
                Ok(None) if bytes.len() <= LARGEST_REPLY => break,
                Ok(None) | Err(_) => return Err(ConnectError::NotRedis),
            }
        }
        if replies.len() == count {
            return Ok(replies);
        }
    }
}

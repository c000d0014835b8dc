//! The admin socket: a unix socket for its owner, and a group where one is named.

use std::io;
use std::net::IpAddr;

use tokio::net::UnixStream;

use super::http::Accept;
use crate::net::UnixSocket;

impl Accept for UnixSocket {
    type Connection = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, Option<IpAddr>)> {
        UnixSocket::accept(self).await.map(|connection| (connection, None))
    }
}

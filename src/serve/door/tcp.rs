//! A door that is a TCP port.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use tokio::net::{TcpListener, TcpStream};

use super::http::Accept;
use crate::audit::client_events::ClientEvents;
use crate::net::addresses::{self, canonical};

/// Whom a port lets in.
pub(super) struct Port {
    pub(super) listener: TcpListener,
    pub(super) allow: Vec<IpNet>,
    /// Who logs whom it does not let in.
    pub(super) events: Arc<ClientEvents>,
}

impl Accept for Port {
    type Connection = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Option<IpAddr>)> {
        loop {
            let (connection, address) = self.listener.accept().await?;
            let client = canonical(address);
            match addresses::judge(client.ip(), &self.allow, &[]) {
                Ok(()) => return Ok((connection, Some(client.ip()))),
                Err(refusal) => self.events.refused_address(client, None, refusal),
            }
        }
    }
}

//! What Redis is asked about connections of this process, for all at once over one connection of its own.

use std::io;
use std::sync::Arc;

use super::client_id::ClientId;
use super::connect::{Connection, Target, connect_and_ask};
use super::error::ConnectError;
use super::login::exchange_all;
use crate::resp::{self, Reply};

/// The connection over which it is asked.
pub(super) struct Control {
    target: Arc<Target>,
    connection: Connection,
    own: ClientId,
}

impl Control {
    /// # Errors
    /// There is none, or nobody knows its id.
    pub(super) async fn open(target: Arc<Target>) -> Result<Self, ConnectError> {
        let connection = connect_and_ask(&target).await?;
        let unknown = || ConnectError::Refused("the upstream user may not CLIENT ID".to_owned());
        let own = connection.id().ok_or_else(unknown)?;
        Ok(Self { target, connection, own })
    }

    /// Whether the id may be of this run of Redis. One that is not before ours is of another, and in this it is
    /// somebody else's.
    pub(super) fn may_be_of_this_run(&self, id: ClientId) -> bool {
        id.number < self.own.number
    }

    /// A command, given in upper case, by the name that it has there.
    pub(super) fn encode(&self, command: &str, arguments: &[&[u8]], requests: &mut Vec<u8>) {
        let words: Vec<&[u8]> = std::iter::once(self.target.name(command)).chain(arguments.iter().copied()).collect();
        resp::encode_request(&words, requests);
    }

    /// Sends so many requests at once.
    ///
    /// # Errors
    /// Redis does not answer all of them.
    pub(super) async fn ask(&mut self, requests: &[u8], count: usize) -> Result<Vec<Reply>, ConnectError> {
        let replies = exchange_all(&mut self.connection, requests, count).await?;
        if replies.len() == count { Ok(replies) } else { Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()) }
    }
}

/// Redis's words to the first that it refuses.
pub(super) fn refusal(replies: &[Reply]) -> Option<ConnectError> {
    replies.iter().find_map(|reply| match reply {
        Reply::Error(text) => Some(ConnectError::refused(text)),
        _ => None,
    })
}

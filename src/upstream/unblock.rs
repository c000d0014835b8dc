//! Sessions that wait in a blocking command while the process ends: Redis is asked to answer them, with what there is or
//! with nil, so that nothing is popped for nobody.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::Upstream;
use super::client_id::ClientId;
use super::connect::{Connection, within};
use super::control::{Control, refusal};
use super::error::ConnectError;
use crate::resp::Reply;

/// Between two rounds of questions: whoever comes meanwhile is asked for in the next.
const PAUSE: Duration = Duration::from_millis(100);

/// For so many rounds Redis may say that a client is not blocked: its answer is on its way, or what it waits for cannot be
/// given up, as with some modules.
const ROUNDS: u32 = 10;

/// Redis does not give up what a client waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotUnblocked;

/// Whether Redis answers a blocked client now.
pub type Unblocking = oneshot::Receiver<Result<(), NotUnblocked>>;

/// The clients that Redis is to answer.
#[derive(Debug, Default)]
pub(super) struct BlockedClients {
    waiting: Mutex<Vec<BlockedClient>>,
    /// Notified when there is one more.
    more: Notify,
}

#[derive(Debug)]
struct BlockedClient {
    id: ClientId,
    /// In how many rounds it was asked for.
    rounds: u32,
    answer: oneshot::Sender<Result<(), NotUnblocked>>,
}

impl BlockedClient {
    fn tell(self, outcome: Result<(), NotUnblocked>) {
        // The session may have been answered, and gone, by now.
        let _ = self.answer.send(outcome);
    }
}

impl BlockedClients {
    fn push(&self, client: BlockedClient) {
        // Nothing panics while it is held.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(client);
        self.more.notify_one();
    }

    /// All that are still there; at least one.
    async fn take(&self) -> Vec<BlockedClient> {
        loop {
            let mut waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            waiting.retain(|client| !client.answer.is_closed());
            if !waiting.is_empty() {
                return waiting;
            }
            self.more.notified().await;
        }
    }
}

impl Upstream {
    /// Has Redis answer what this connection waits for, if [`unblock_all`](Self::unblock_all) runs.
    pub fn unblock(&self, connection: &Connection) -> Unblocking {
        let (answer, receiver) = oneshot::channel();
        match connection.id() {
            Some(id) => self.blocked.push(BlockedClient { id, rounds: 0, answer }),
            // The receiver is still in our hands.
            None => drop(answer.send(Err(NotUnblocked))),
        }
        receiver
    }

    /// Sees to all that is asked of [`unblock`](Self::unblock), for ever. `failed` hears why Redis does not do it.
    pub async fn unblock_all(&self, failed: impl Fn(&ConnectError)) {
        loop {
            let clients = self.blocked.take().await;
            match within(&self.target(), self.ask_to_unblock(&clients)).await {
                Ok(replies) => {
                    for (client, reply) in clients.into_iter().zip(replies) {
                        match reply {
                            Some(Reply::Integer(1)) => client.tell(Ok(())),
                            Some(Reply::Integer(0)) if client.rounds < ROUNDS => {
                                self.blocked.push(BlockedClient { rounds: client.rounds + 1, ..client });
                            }
                            _ => client.tell(Err(NotUnblocked)),
                        }
                    }
                }
                Err(error) => {
                    failed(&error);
                    clients.into_iter().for_each(|client| client.tell(Err(NotUnblocked)));
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Redis's reply for each client; `None` for one that is of another run of Redis.
    ///
    /// # Errors
    /// Redis cannot be asked, or refuses.
    async fn ask_to_unblock(&self, clients: &[BlockedClient]) -> Result<Vec<Option<Reply>>, ConnectError> {
        let mut control = Control::open(self.target()).await?;
        // The first says that Redis has come to all that was sent before, the second that it is not paused thereafter.
        let mut requests = not_while_paused(&control);
        let first = control.ask(&requests, 1).await?;
        if let Some(refusal) = refusal(&first) {
            return Err(refusal);
        }
        let is_known = |client: &BlockedClient| control.may_be_of_this_run(client.id);
        let mut count = 1;
        for client in clients.iter().filter(|client| is_known(client)) {
            let id = client.id.to_string();
            control.encode("CLIENT", &[b"UNBLOCK", id.as_bytes(), b"TIMEOUT"], &mut requests);
            count += 1;
        }
        let known: Vec<bool> = clients.iter().map(is_known).collect();
        let replies = control.ask(&requests, count).await?;
        if let Some(refusal) = refusal(&replies) {
            return Err(refusal);
        }
        let mut replies = replies.into_iter().skip(1);
        Ok(known.into_iter().map(|is_known| is_known.then(|| replies.next()).flatten()).collect())
    }
}

/// A request behind which Redis executes nothing of this connection as long as it is paused for writing (CLIENT PAUSE,
/// FAILOVER, SHUTDOWN): to it PFCOUNT is one that may write. Where CLIENT UNBLOCK meets a command that a pause has
/// postponed, many versions end themselves [replyToBlockedClientOnTimeout].
fn not_while_paused(control: &Control) -> Vec<u8> {
    let mut request = Vec::new();
    control.encode("PFCOUNT", &[b"respgate:not-paused"], &mut request);
    request
}

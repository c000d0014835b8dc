//! Users at Redis that stand for users of ours, so that Redis binds what their scripts do.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::Upstream;
use super::connect::{ConnectError, connect};
use super::login::exchange;
use crate::acl::PasswordHash;
use crate::auth::random;
use crate::resp::{self, Reply};
use crate::session::{MirrorLogin, MirrorOrder};

/// All mirrors of this process. Their names begin with what no other process's do, and their password is known to it
/// alone: what a process that was killed has left behind is of no use to anybody.
pub struct Mirrors {
    prefix: String,
    password: Zeroizing<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By the name of the user of ours.
    made: HashMap<String, Made>,
    /// When Redis last refused to make it, and in which words.
    refused: HashMap<String, (Instant, String)>,
}

/// For so long Redis is not asked again after it has refused.
const REFUSED_FOR: Duration = Duration::from_secs(1);

/// What Redis was last told of a mirror.
struct Made {
    rules: Vec<Vec<u8>>,
    /// The policy that the rules are of.
    generation: u64,
}

impl fmt::Debug for Mirrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mirrors").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Mirrors {
    /// None yet.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn new() -> io::Result<Self> {
        let prefix = format!("respgate:{}:", &*random::password(48)?);
        Ok(Self { prefix, password: random::password(256)?, state: Mutex::default() })
    }

    fn name_of(&self, user: &str) -> String {
        format!("{}{user}", self.prefix)
    }
}

impl Upstream {
    /// Sees to it that Redis has this mirror, with these rights or with those of a newer policy.
    ///
    /// # Errors
    /// Redis cannot be reached, or does not let us make it.
    pub async fn mirror(&self, order: MirrorOrder) -> Result<MirrorLogin, ConnectError> {
        let mirrors = &self.mirrors;
        let (name, password) = (mirrors.name_of(&order.user), mirrors.password.clone());
        // One at a time: an older policy must not be told after a newer one.
        let mut state = mirrors.state.lock().await;
        if let Some(known) = state.made.get_mut(&order.user)
            && !order.anew
            && (known.rules == order.rules || known.generation > order.generation)
        {
            known.generation = known.generation.max(order.generation);
            return Ok(MirrorLogin { name, password, is_told: false });
        }
        if let Some((since, words)) = state.refused.get(&order.user)
            && since.elapsed() < REFUSED_FOR
        {
            return Err(ConnectError::Refused(words.clone()));
        }
        // While it is asked, and where it does not answer, nobody knows what it has.
        state.made.remove(&order.user);
        state.refused.remove(&order.user);
        let hash = PasswordHash::of_password(password.as_bytes()).to_rule();
        let mut words: Vec<&[u8]> = vec![b"SETUSER", name.as_bytes(), b"reset", b"on", hash.as_bytes()];
        words.extend(order.rules.iter().map(Vec::as_slice));
        if let Err(error) = self.administer(&words).await {
            if let ConnectError::Refused(words) = &error {
                state.refused.insert(order.user, (Instant::now(), words.clone()));
            }
            return Err(error);
        }
        state.made.insert(order.user, Made { rules: order.rules, generation: order.generation });
        Ok(MirrorLogin { name, password, is_told: true })
    }

    /// Deletes all mirrors, as far as Redis can be asked to.
    ///
    /// # Errors
    /// It cannot.
    pub async fn forget_mirrors(&self) -> Result<(), ConnectError> {
        let made = std::mem::take(&mut self.mirrors.state.lock().await.made);
        if made.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = made.keys().map(|user| self.mirrors.name_of(user)).collect();
        let words: Vec<&[u8]> = std::iter::once(&b"DELUSER"[..]).chain(names.iter().map(String::as_bytes)).collect();
        self.administer(&words).await
    }

    /// An ACL command of our own, over a connection of its own.
    async fn administer(&self, words: &[&[u8]]) -> Result<(), ConnectError> {
        let target = &self.target;
        let request_words: Vec<&[u8]> = std::iter::once(target.name("ACL")).chain(words.iter().copied()).collect();
        let mut request = Vec::new();
        resp::encode_request(&request_words, &mut request);
        let mut connection = connect(target).await?;
        match tokio::time::timeout(target.timeout(), exchange(&mut connection, &request)).await {
            Ok(Ok(Reply::Error(text))) => Err(ConnectError::refused(&text)),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error),
            Err(_elapsed) => Err(ConnectError::Timeout),
        }
    }
}

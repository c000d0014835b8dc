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

/// A mirror as Redis has it.
#[derive(Default)]
struct Made {
    /// Counts the names that it has had.
    number: u32,
    told: Told,
    /// The policy that was told last.
    generation: u64,
}

/// What Redis was last told of a mirror.
#[derive(Default, PartialEq, Eq)]
enum Told {
    #[default]
    Nothing,
    /// It has not answered, and may still come to it at any time.
    Something,
    /// These rules, and it has confirmed them.
    Rules(Vec<Vec<u8>>),
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
        let prefix = format!("respgate:{}", &*random::password(48)?);
        Ok(Self { prefix, password: random::password(256)?, state: Mutex::default() })
    }

    fn name_of(&self, user: &str, number: u32) -> String {
        match number {
            0 => format!("{}:{user}", self.prefix),
            number => format!("{}-{number}:{user}", self.prefix),
        }
    }
}

impl Upstream {
    /// Sees to it that Redis has this mirror, with these rights or with those of a newer policy. Where Redis has not
    /// answered before, it is given another name: what it was told then it may do any time later, and in any order.
    ///
    /// # Errors
    /// Redis cannot be reached, or does not let us make it.
    pub async fn mirror(&self, order: MirrorOrder) -> Result<MirrorLogin, ConnectError> {
        let mirrors = &self.mirrors;
        let MirrorOrder { user, rules, generation, anew } = order;
        let password = mirrors.password.clone();
        // One at a time: an older policy must not be told after a newer one.
        let mut state = mirrors.state.lock().await;
        let State { made, refused } = &mut *state;
        let known = made.entry(user.clone()).or_default();
        let is_told = match &known.told {
            Told::Rules(told) => !anew && (*told == rules || known.generation > generation),
            Told::Nothing | Told::Something => false,
        };
        if is_told {
            known.generation = known.generation.max(generation);
            return Ok(MirrorLogin { name: mirrors.name_of(&user, known.number), password, is_told: false });
        }
        if let Some((since, words)) = refused.get(&user)
            && since.elapsed() < REFUSED_FOR
        {
            return Err(ConnectError::Refused(words.clone()));
        }
        refused.remove(&user);
        known.number += u32::from(known.told == Told::Something);
        known.told = Told::Something;
        let name = mirrors.name_of(&user, known.number);
        let hash = PasswordHash::of_password(password.as_bytes()).to_rule();
        let mut words: Vec<&[u8]> = vec![b"SETUSER", name.as_bytes(), b"reset", b"on", hash.as_bytes()];
        words.extend(rules.iter().map(Vec::as_slice));
        match self.administer(&words).await {
            Ok(()) => {
                (known.told, known.generation) = (Told::Rules(rules), generation);
                Ok(MirrorLogin { name, password, is_told: true })
            }
            Err(error) => {
                if let ConnectError::Refused(words) = &error {
                    known.told = Told::Nothing;
                    if !error.is_passing() {
                        refused.insert(user, (Instant::now(), words.clone()));
                    }
                }
                Err(error)
            }
        }
    }

    /// Deletes all mirrors, as far as Redis can be asked to.
    ///
    /// # Errors
    /// It cannot.
    pub async fn forget_mirrors(&self) -> Result<(), ConnectError> {
        let made = std::mem::take(&mut self.mirrors.state.lock().await.made);
        let is_there = |(_, made): &(&String, &Made)| made.told != Told::Nothing || made.number > 0;
        let names: Vec<String> = (made.iter().filter(is_there))
            .flat_map(|(user, made)| (0..=made.number).map(|number| self.mirrors.name_of(user, number)))
            .collect();
        if names.is_empty() {
            return Ok(());
        }
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

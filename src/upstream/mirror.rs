//! Users at Redis that stand for users of ours, so that Redis binds what their scripts do.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::Upstream;
use super::connect::{connect, within};
use super::error::ConnectError;
use super::login::exchange;
use crate::acl::PasswordHash;
use crate::auth::random;
use crate::resp::{self, Reply};
use crate::session::{MirrorLogin, MirrorSpec};

/// All mirrors of this process. Their names begin with what no other process's do, and their passwords are known to it
/// alone: what a process that was killed has left behind is of no use to anybody.
pub struct Mirrors {
    prefix: String,
    /// What all passwords begin with.
    secret: Zeroizing<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By the name of the user of ours.
    made: HashMap<String, Made>,
    /// When Redis last refused to make it, and in which words.
    refused: HashMap<String, (Instant, String)>,
    /// When it was last given up to ask.
    given_up: Option<Instant>,
}

/// For so long Redis is not asked again after it has refused.
const REFUSED_FOR: Duration = Duration::from_secs(1);

/// `ACL SETUSER` rules.
type Rules = Vec<Vec<u8>>;

/// A mirror as Redis has it.
#[derive(Default)]
struct Made {
    /// Counts the names that it has had.
    number: u32,
    /// Counts the rules that it has had. Each have a password of their own: what Redis has saved with others, and has
    /// loaded again, lets nobody in.
    edition: u64,
    /// What Redis has confirmed.
    confirmed: Option<Rules>,
    /// What Redis was told under this name and has not confirmed: it may come to it at any time, and in any order.
    unanswered: Option<Rules>,
    /// The newest policy that was asked for: nothing of an older one is told any more.
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
        let prefix = format!("respgate:{}", &*random::password(48)?);
        Ok(Self { prefix, secret: random::password(256)?, state: Mutex::default() })
    }

    fn login_as(&self, user: &str, made: &Made) -> MirrorLogin {
        let password = Zeroizing::new(format!("{}-{}", *self.secret, made.edition));
        MirrorLogin { name: self.name_of(user, made.number), password }
    }

    fn name_of(&self, user: &str, number: u32) -> String {
        match number {
            0 => format!("{}:{user}", self.prefix),
            number => format!("{}-{number}:{user}", self.prefix),
        }
    }
}

impl Upstream {
    /// Sees to it that Redis has this mirror, with these rights or with those of a newer policy. It gets another name where
    /// Redis was told other rights under the last one and has not answered.
    ///
    /// `None` where that is `abandoned` before its turn has come; what Redis is being told is seen through.
    ///
    /// # Errors
    /// Redis cannot be reached, or does not let us make it.
    pub async fn mirror(
        &self,
        spec: MirrorSpec,
        abandoned: impl Future<Output = ()>,
    ) -> Option<Result<MirrorLogin, ConnectError>> {
        let asked = Instant::now();
        // One at a time: an older policy must not be told after a newer one.
        let mut state = tokio::select! {
            biased;
            () = abandoned => return None,
            state = self.mirrors.state.lock() => state,
        };
        Some(self.make(spec, asked, &mut state).await)
    }

    async fn make(&self, spec: MirrorSpec, asked: Instant, state: &mut State) -> Result<MirrorLogin, ConnectError> {
        let MirrorSpec { user, rules, generation, anew } = spec;
        let State { made, refused, given_up } = state;
        let mirrors = &self.mirrors;
        let known = made.entry(user.clone()).or_default();
        let (rules, generation) = if known.generation > generation {
            // A session that has not seen the newer policy yet: what that says is said again, or nothing.
            let newer = known.confirmed.as_ref().or(known.unanswered.as_ref());
            (newer.ok_or(ConnectError::Timeout)?.clone(), known.generation)
        } else {
            (rules, generation)
        };
        known.generation = generation;
        if !anew && known.confirmed.as_ref() == Some(&rules) {
            return Ok(mirrors.login_as(&user, known));
        }
        if let Some((since, words)) = refused.get(&user)
            && since.elapsed() < REFUSED_FOR
        {
            return Err(ConnectError::Refused(words.clone()));
        }
        if given_up.is_some_and(|at| at >= asked) {
            // Whoever waited meanwhile has waited long enough.
            return Err(ConnectError::Timeout);
        }
        if known.unanswered.as_ref().is_some_and(|told| *told != rules) {
            known.number += 1;
            known.unanswered = None;
        }
        if known.confirmed.take().as_ref() != Some(&rules) && known.unanswered.is_none() {
            known.edition += 1;
        }
        let was_unanswered = known.unanswered.replace(rules.clone()).is_some();
        let login = mirrors.login_as(&user, known);
        let hash = PasswordHash::of_password(login.password.as_bytes()).to_rule();
        let mut words: Vec<&[u8]> = vec![b"SETUSER", login.name.as_bytes(), b"reset", b"on", hash.as_bytes()];
        words.extend(rules.iter().map(Vec::as_slice));
        let result = self.administer(&words).await;
        let is_answered = matches!(result, Ok(()) | Err(ConnectError::Refused(_)));
        if !is_answered {
            *given_up = Some(Instant::now());
        } else if !was_unanswered {
            known.unanswered = None;
        }
        match &result {
            Ok(()) => known.confirmed = Some(rules),
            Err(error @ ConnectError::Refused(words)) if !error.is_passing() => {
                refused.insert(user.clone(), (Instant::now(), words.clone()));
            }
            Err(_) => {}
        }
        result.map(|()| login)
    }

    /// Deletes all mirrors, as far as Redis can be asked to.
    ///
    /// # Errors
    /// It cannot.
    pub async fn forget_mirrors(&self) -> Result<(), ConnectError> {
        let made = std::mem::take(&mut self.mirrors.state.lock().await.made);
        let is_there = |made: &Made| made.confirmed.is_some() || made.unanswered.is_some() || made.number > 0;
        let names: Vec<String> = (made.iter().filter(|(_, made)| is_there(made)))
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
        let target = &self.target();
        let request_words: Vec<&[u8]> = std::iter::once(target.name("ACL")).chain(words.iter().copied()).collect();
        let mut request = Vec::new();
        resp::encode_request(&request_words, &mut request);
        let mut connection = connect(target).await?;
        match within(target, exchange(&mut connection, &request)).await? {
            Reply::Error(text) => Err(ConnectError::refused(&text)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::sync::{Arc, Mutex};

    use tempfile::TempDir;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::upstream::Target;

    /// What stands in for Redis: it has no time for the rule `busy`, and takes its time for others where it is frozen.
    struct Redis {
        upstream: Upstream,
        /// The last rule of each ACL SETUSER.
        told: Arc<Mutex<Vec<String>>>,
        answers: Arc<Semaphore>,
        _dir: TempDir,
    }

    impl Redis {
        fn frozen() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("redis.sock");
            let listener = UnixListener::bind(&path).unwrap();
            let (told, answers) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(Semaphore::new(0)));
            let (heard, may_answer) = (Arc::clone(&told), Arc::clone(&answers));
            tokio::spawn(async move {
                while let Ok((mut client, _)) = listener.accept().await {
                    let mut request = [0; 1024];
                    let len = client.read(&mut request).await.unwrap();
                    let rule = String::from_utf8_lossy(&request[..len]).lines().last().unwrap().to_owned();
                    let reply: &[u8] = if rule == "busy" { b"-BUSY Redis is busy\r\n" } else { b"+OK\r\n" };
                    heard.lock().unwrap().push(rule);
                    may_answer.acquire().await.unwrap().forget();
                    client.write_all(reply).await.unwrap();
                }
            });
            Self { upstream: Upstream::new(Target::at(path)).unwrap(), told, answers, _dir: dir }
        }

        fn start() -> Self {
            let redis = Self::frozen();
            redis.answers.add_permits(Semaphore::MAX_PERMITS);
            redis
        }

        async fn mirror(&self, rule: &str, generation: u64, anew: bool) -> Result<MirrorLogin, ConnectError> {
            self.upstream.mirror(spec(rule, generation, anew), pending()).await.unwrap()
        }

        fn told(&self) -> String {
            self.told.lock().unwrap().join(" ")
        }
    }

    fn spec(rule: &str, generation: u64, anew: bool) -> MirrorSpec {
        MirrorSpec { user: "alice".into(), rules: vec![rule.into()], generation, anew }
    }

    #[tokio::test]
    async fn nothing_of_an_older_policy_is_told_once_a_newer_one_was_asked_for() {
        let redis = Redis::start();
        let first = redis.mirror("~new", 2, false).await.unwrap();
        let second = redis.mirror("~old", 1, false).await.unwrap();
        assert_eq!(first.name, second.name);
        assert_eq!(redis.told(), "~new");
        redis.mirror("~old", 1, true).await.unwrap();
        assert_eq!(redis.told(), "~new ~new", "Redis had lost it");
        redis.mirror("~newest", 3, false).await.unwrap();
        redis.mirror("~new", 2, true).await.unwrap();
        assert_eq!(redis.told(), "~new ~new ~newest ~newest");
    }

    #[tokio::test]
    async fn nothing_of_an_older_policy_is_told_where_redis_had_no_time_for_the_newer_one() {
        let redis = Redis::start();
        assert!(redis.mirror("busy", 2, false).await.is_err());
        assert!(redis.mirror("~old", 1, true).await.is_err());
        assert_eq!(redis.told(), "busy");
    }

    #[tokio::test]
    async fn an_order_that_is_abandoned_before_its_turn_is_dropped_and_none_that_redis_is_being_told() {
        let redis = Redis::frozen();
        let (first, second) = tokio::join!(redis.upstream.mirror(spec("~a", 1, false), pending()), async {
            let second = redis.upstream.mirror(spec("~b", 2, false), ready(())).await;
            redis.answers.add_permits(1);
            second
        });
        assert!(first.unwrap().is_ok() && second.is_none());
        assert_eq!(redis.told(), "~a");
    }
}

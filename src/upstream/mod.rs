//! The connections to Redis.

mod client_id;
mod commands;
mod connect;
mod control;
mod cut;
mod error;
mod heard;
pub mod probe;
mod login;
mod mirror;
mod run;
mod unblock;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, watch};

pub use self::connect::{Connection, Target, connect};
use self::connect::{connect_and_ask, connect_and_identify};
use self::cut::Cuts;
pub use self::cut::{Cut, NotConfirmed};
pub use self::error::ConnectError;
use self::heard::Heard;
pub use self::mirror::Mirrors;
use self::run::LastRun;
use self::unblock::BlockedClients;
pub use self::unblock::{NotUnblocked, Unblocking};

/// Redis, as the whole process knows it.
#[derive(Debug)]
pub struct Upstream {
    /// Where it is.
    target: watch::Sender<Arc<Target>>,
    /// It is there and does not let us in. Without a password of ours a connection would only show that to a client,
    /// command by command.
    pub refuses_us: AtomicBool,
    /// It takes connections and says nothing: one is of use once it has answered.
    pub stuck: AtomicBool,
    /// The users there that stand for ours.
    mirrors: Mirrors,
    /// Connections of which nothing more is to be executed.
    cuts: Cuts,
    /// Connections that Redis is to answer, whatever they wait for.
    blocked: BlockedClients,
    /// What it was when it was last asked.
    run: LastRun,
    /// What it last said of itself.
    heard: Heard,
    /// Notified when a session loses its connection, or gets none.
    pub lost: Notify,
    /// Notified while somebody waits for a login that it does not refuse.
    pub login_refused: Notify,
    /// As what it has let us in last: if it does not any more, its password was changed, and ours is about to be.
    let_in: ArcSwapOption<Target>,
}

/// How long after a login was refused it is tried again.
const RETRY: Duration = Duration::from_millis(100);

impl Upstream {
    /// One of which nothing is known yet.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn new(target: Target) -> std::io::Result<Self> {
        Ok(Self {
            target: watch::Sender::new(Arc::new(target)),
            refuses_us: AtomicBool::new(false),
            stuck: AtomicBool::new(false),
            mirrors: Mirrors::new()?,
            cuts: Cuts::default(),
            blocked: BlockedClients::default(),
            run: LastRun::default(),
            heard: Heard::default(),
            lost: Notify::new(),
            login_refused: Notify::new(),
            let_in: ArcSwapOption::empty(),
        })
    }

    /// Where it is, and how to log in there.
    fn target(&self) -> Arc<Target> {
        Arc::clone(&self.target.borrow())
    }

    /// That is different from now on. Where the login is and Redis does not know it yet, the last that it knew is good enough.
    pub fn set_target(&self, target: Target) {
        let target = target.after(self.let_in.load().as_deref());
        self.target.send_if_modified(|current| {
            let is_other = **current != target;
            if is_other {
                *current = Arc::new(target);
            }
            is_other
        });
    }

    /// Its last reply to INFO; `None` while it is not there.
    pub fn info(&self) -> Option<Arc<str>> {
        self.heard.info()
    }

    /// Whether it was loading its data when it said so.
    fn is_loading(&self) -> bool {
        self.info().is_some_and(|info| probe::field(&info, "loading") == Some("1"))
    }

    /// How often it was there and was found to be gone.
    pub fn times_lost(&self) -> u64 {
        self.heard.times_lost()
    }

    /// A connection for a session.
    ///
    /// # Errors
    /// There is none, or it would be of no use.
    pub async fn connect(&self) -> Result<Connection, ConnectError> {
        let connecting = async |target: Arc<Target>| match self.stuck.load(Ordering::Relaxed) {
            false => connect_and_identify(&target).await,
            true => connect_and_ask(&target).await,
        };
        self.with_login(connecting).await
    }

    /// Whether scripts that go over this connection would run as the user that is configured now, or need not.
    pub fn permits(&self, connection: &Connection) -> bool {
        self.target.borrow().permits(connection)
    }

    fn note_let_in(&self, target: Arc<Target>) {
        if !self.let_in.load().as_ref().is_some_and(|known| Arc::ptr_eq(known, &target)) {
            self.let_in.store(Some(target));
        }
    }

    /// What comes of `connecting`: again and again for a while where Redis refuses a login although it knew one before. It has
    /// another password by now, and we are about to, or the other way round.
    async fn with_login(
        &self,
        connecting: impl AsyncFn(Arc<Target>) -> Result<Connection, ConnectError>,
    ) -> Result<Connection, ConnectError> {
        let mut targets = self.target.subscribe();
        let began = Instant::now();
        loop {
            let target = Arc::clone(&targets.borrow_and_update());
            let is_over = began.elapsed() >= target.timeout();
            let connected = connecting(Arc::clone(&target)).await;
            let is_refused = connected.as_ref().is_err_and(ConnectError::is_wrong_password);
            if connected.as_ref().is_ok_and(|connection| !connection.is_former()) {
                self.note_let_in(target);
            }
            if !is_refused || is_over || self.let_in.load().is_none() {
                return connected;
            }
            self.login_refused.notify_one();
            // Its sender is ours.
            let _ = tokio::time::timeout(RETRY, targets.changed()).await;
        }
    }
}

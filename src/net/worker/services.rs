//! What a worker does for its sessions.

use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::spawn_local;

use super::admission::Way;
use super::counting::CountedSession;
use super::{GenerationRef, Worker};
use crate::acl::UserName;
use crate::audit::client_events::{Session, Volume};
use crate::auth::hash::ParsedHash;
use crate::auth::pool::{Attempt, AuthOutcome};
use crate::auth::random;
use crate::auth::throttle::Reach;
use crate::config::Listener;
use crate::generation::{Edit, EditProgress, Editor, GoAhead};
use crate::net::addresses::{is_balancer, may_connect};
use crate::net::long_turn::LongTurns;
use crate::net::services::{Connecting, Services};
use crate::net::user_turns::UserTurns;
use crate::policy::Policy;
use crate::resp::Reply;
use crate::session::{
    Administered, Administration, CloseReason, Credentials, MirrorFailure, MirrorLogin, MirrorSpec, Peer, SessionCore,
    SessionLimits, ToFree, UpstreamFailure,
};
use crate::tls::AuthClients;
use crate::upstream::{ConnectError, Connection, Cut, Unblocking};

/// The policy in force, held while a session looks at it.
pub(super) struct PolicyRef(pub(super) Rc<GenerationRef>);

impl Deref for PolicyRef {
    type Target = Policy;

    fn deref(&self) -> &Policy {
        &self.0.generation.policy
    }
}

/// What a session's worker does for it.
pub(super) struct WorkerServices {
    pub(super) worker: Rc<Worker>,
    /// The session's, counted over all workers.
    pub(super) number: u64,
    /// On which it came in.
    pub(super) way: Way,
    pub(super) peer: Rc<Peer>,
    /// The client has gone through a handshake, and the log knows of it. Without one it could be a mere probe.
    pub(super) has_handshake: bool,
    /// What of the session is counted.
    pub(super) counted: CountedSession,
}

/// Whether a listener would let in a client that it has let in, by what it says beside certificates.
///
/// # Errors
/// Why the session has to end.
fn would_let_in(listener: &Listener, peer: &Peer, way: Way, has_handshake: bool) -> Result<(), CloseReason> {
    may_connect(listener, peer.address.ip()).map_err(|_| CloseReason::Denied)?;
    // Whom a balancer has spoken for that may speak for nobody any more may be anybody.
    if way.balancer.is_some_and(|balancer| !is_balancer(listener, balancer)) {
        return Err(CloseReason::ListenerChanged);
    }
    match &listener.tls {
        Some(_) if !has_handshake => Err(CloseReason::ListenerChanged),
        Some(tls) if tls.auth_clients == AuthClients::Yes && peer.certificate.is_none() => {
            Err(CloseReason::ListenerChanged)
        }
        _ => Ok(()),
    }
}

/// A session as it is told of.
pub(super) fn told<'a>(number: u64, core: &'a SessionCore, upstream: Option<&Connection>) -> Session<'a> {
    let upstream_id = upstream.and_then(Connection::number);
    Session { number, upstream_id, peer: core.peer(), principal: core.principal() }
}

impl Services for WorkerServices {
    type Upstream = Connection;

    type PolicyRef = PolicyRef;

    fn policy(&self) -> PolicyRef {
        PolicyRef(self.worker.current())
    }

    fn limits(&self) -> Arc<SessionLimits> {
        Arc::clone(&self.worker.current().generation.limits)
    }

    fn judge(&self) -> Result<(), CloseReason> {
        match self.worker.current().generation.config.listeners.get(self.way.listener) {
            Some(listener) => would_let_in(listener, &self.peer, self.way, self.has_handshake),
            None => Err(CloseReason::ListenerChanged),
        }
    }

    fn judge_upstream(&self, upstream: &Connection) -> Result<(), CloseReason> {
        if self.worker.settings.upstream.permits(upstream) { Ok(()) } else { Err(CloseReason::PolicyChanged) }
    }

    fn may_take_requests(&self) -> bool {
        !self.worker.settings.events.audit().is_blocking()
    }

    fn long_turns(&self) -> &LongTurns {
        &self.worker.long_turns
    }

    fn user_turns(&self) -> &UserTurns<Option<UserName>> {
        &self.worker.user_turns
    }

    fn note_renewal(&self, took: Duration) {
        let renewing = &self.worker.renewing;
        renewing.set(renewing.get() + took);
    }

    fn free(&self, to_free: ToFree) {
        self.worker.settings.lazy_free.free(to_free);
    }

    fn connect(&self) -> Connecting<Connection> {
        let worker = Rc::clone(&self.worker);
        Box::pin(async move {
            let upstream = &worker.settings.upstream;
            if upstream.refuses_us.load(Ordering::Relaxed) {
                return Err(UpstreamFailure::Unavailable);
            }
            let began = Instant::now();
            let connected = upstream.connect().await;
            if connected.is_ok() {
                worker.counts.borrow_mut().connected(began.elapsed());
            }
            if let Err(error) = &connected {
                upstream.lost.notify_one();
                worker.settings.events.upstream_failed(error);
            }
            connected.map_err(|told| match told.is_max_clients() {
                true => UpstreamFailure::Full,
                false => UpstreamFailure::Unavailable,
            })
        })
    }

    fn cut(&self, upstream: &Connection) -> Cut {
        self.worker.settings.upstream.cut(upstream)
    }

    fn unblock(&self, upstream: &Connection) -> Unblocking {
        self.worker.settings.upstream.unblock(upstream)
    }

    fn verify(&self, core: &SessionCore, credentials: Credentials) -> oneshot::Receiver<AuthOutcome> {
        let Credentials { user, is_own, password, hashes } = credentials;
        let candidates =
            hashes.and_then(|hashes| hashes.iter().map(ParsedHash::try_from).collect::<Result<_, _>>().ok());
        self.worker.settings.pool.verify(Attempt {
            address: core.peer().address.ip(),
            user,
            reach: if is_own { Reach::Itself } else { Reach::Anybody },
            password,
            candidates,
            refusal_work: Arc::clone(&self.worker.current().generation.refusal_work),
        })
    }

    fn queue_edit(&self) -> oneshot::Receiver<EditProgress> {
        let (ticket, receiver) = oneshot::channel();
        // If nobody is there, the ticket is dropped, and the session told so.
        let _ = self.worker.settings.edits.send(ticket);
        receiver
    }

    fn administer(
        &self,
        core: &mut SessionCore,
        administration: Administration,
        go_ahead: Option<GoAhead>,
    ) -> oneshot::Receiver<EditProgress> {
        let (answer, receiver) = oneshot::channel();
        let settings = &self.worker.settings;
        settings.acl_log.note(core, self.number);
        let reply = match administration {
            Administration::Log(count) => settings.acl_log.describe(count, self.policy().dialect),
            Administration::ResetLog => {
                settings.acl_log.clear();
                Reply::OK
            }
            Administration::GeneratePassword(bits) => match random::password(bits) {
                Ok(password) => Reply::bulk(password.as_bytes()),
                Err(error) => Reply::error(format!("ERR respgate: no randomness: {error}")),
            },
            administration => {
                let user = core.principal().map(|principal| principal.user.name().to_string()).unwrap_or_default();
                let editor = Editor { user, client: core.peer().address };
                let edit = Edit { administration, editor, answer };
                // Without a turn there is no way for it.
                let given_up = match go_ahead {
                    None => Err(edit),
                    Some(go_ahead) => go_ahead.send(edit),
                };
                let Err(Edit { answer, .. }) = given_up else { return receiver };
                let reply = Reply::error("ERR respgate: not done, try again");
                let _ = answer.send(EditProgress::Done(Administered { reply, generation: None }));
                return receiver;
            }
        };
        // The receiver is still in our hands.
        let _ = answer.send(EditProgress::Done(Administered { reply, generation: None }));
        receiver
    }

    fn mirror(&self, spec: MirrorSpec) -> oneshot::Receiver<Result<MirrorLogin, MirrorFailure>> {
        let (mut answer, receiver) = oneshot::channel();
        let worker = Rc::clone(&self.worker);
        // What Redis is being told is seen through whoever leaves meanwhile.
        spawn_local(async move {
            let user = spec.user.clone();
            let Some(mirrored) = worker.settings.upstream.mirror(spec, answer.closed()).await else { return };
            let mirrored = mirrored.map_err(|error| {
                worker.settings.events.no_mirror(&user, &error);
                match error {
                    ConnectError::Refused(_) if !error.is_passing() => MirrorFailure::Refused,
                    _ => MirrorFailure::Unreachable,
                }
            });
            // The session may have gone just now.
            let _ = answer.send(mirrored);
        });
        receiver
    }

    fn note_first_bytes(&self, core: &SessionCore) {
        if !self.has_handshake {
            self.worker.settings.events.connected(told(self.number, core, None));
        }
    }

    fn note_acl_log(&self, core: &mut SessionCore) {
        self.worker.settings.acl_log.note(core, self.number);
    }

    fn report(&self, core: &mut SessionCore, upstream: Option<&Connection>) {
        let reports = core.take_reports();
        self.worker.count_refused(&reports);
        self.worker.settings.events.reports(told(self.number, core, upstream), &reports, &self.policy());
    }

    fn count(&self, core: &mut SessionCore, volume: Volume) {
        self.worker.count(&self.counted, core, volume);
    }

    fn count_reply(&self, duration: Duration) {
        self.worker.counts.borrow_mut().replied(duration);
    }
}

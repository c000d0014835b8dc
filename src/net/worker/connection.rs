//! The life of one connection, from accept to close.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tokio::net::TcpStream;

use super::Worker;
use super::admission::Way;
use super::mailbox::Arrival;
use super::services::{PolicyRef, WorkerServices, told};
use crate::audit::client_events::Volume;
use crate::keepalive;
use crate::net::budget::{Account, Holder};
use crate::net::driver::{Driver, EndedSession};
use crate::net::farewell::{ConnectionFuture, farewell, keep_place, turn_away};
use crate::net::gate::ConnectionPermit;
use crate::net::registry::Handle;
use crate::net::services::ClientConnection;
use crate::net::unsent;
use crate::net::view::SessionView;
use crate::session::{Buffer, CloseReason, Peer, SessionCore};
use crate::tls::handshake;
use crate::tls::{ClientStream, close};
use crate::upstream::Connection;

/// What a client is told whose handshake succeeded and who has no session. The reason is for the log.
pub(super) const NO_ENTRY: &str = "respgate: this certificate may not enter";

/// How long a client that is closed by the end of the process may take to read what it was told last, and to close as
/// well. Those that wait in a pool only notice when they are next used, and a successor may wait for the end: where nothing
/// has come or gone for so long, nothing is waited for.
const DRAIN_LINGER: Duration = Duration::from_millis(250);

/// A client's connection, whose socket can be looked at.
pub(super) trait Client: ClientConnection {
    fn socket(&self) -> &TcpStream;
}

impl Client for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Client for ClientStream {
    fn socket(&self) -> &TcpStream {
        ClientStream::socket(self)
    }
}

/// A connection is counted for as long as this lives.
pub(super) struct Counted(pub(super) Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Worker {
    /// One connection, from accept to close. What it takes to let it in is not kept for as long as it lasts.
    pub(super) async fn serve(self: Rc<Self>, arrival: Arrival, _counted: Counted) {
        self.admitting.set(self.admitting.get() + 1);
        let admitted = Box::pin(Rc::clone(&self).admit(arrival)).await;
        self.admitting.set(self.admitting.get() - 1);
        if let Some(rest) = admitted {
            rest.await;
        }
    }

    /// A session with a client that is in, or what is said to one that may not have any. `has_handshake` is one with
    /// which there was a handshake.
    pub(super) fn start_session<C: Client + 'static>(
        self: Rc<Self>,
        client: C,
        peer: Option<handshake::VerifiedPeer>,
        has_handshake: bool,
        address: SocketAddr,
        way: Way,
        mut permit: ConnectionPermit,
    ) -> ConnectionFuture {
        if let Some(exhausted) = permit.surplus() {
            let certificate = peer.as_ref().map(|peer| &peer.identity);
            self.settings.events.turned_away(address, certificate, exhausted);
            return turn_away(client, "max number of clients reached", permit);
        }
        let started = Instant::now();
        let (certificate, trusted) = match peer {
            Some(handshake::VerifiedPeer { chain, voucher, identity }) => (Some(identity), Some((chain, voucher))),
            None => (None, None),
        };
        let expires = certificate.as_ref().and_then(|identity| expiry(identity.not_after()));
        let peer = Rc::new(Peer { address, certificate });
        let policy = PolicyRef(self.current());
        let limits = Arc::clone(&policy.0.generation.limits);
        let mut keepalive = policy.0.generation.config.limits.tcp_keepalive;
        let client_ids = Arc::clone(&self.settings.client_ids);
        let core = match SessionCore::new(Rc::clone(&peer), limits, client_ids, &policy, started) {
            Ok(core) => core.learnt_from_by(self.learner.clone()),
            Err(reason) => {
                self.settings.events.refused_connection(&peer, reason);
                return turn_away(client, NO_ENTRY, permit);
            }
        };
        let generation = policy.generation;
        drop(policy);
        let number = self.settings.sessions.fetch_add(1, Ordering::Relaxed);
        if has_handshake {
            self.settings.events.connected(told(number, &core, None));
        }
        let handle = Rc::new(Handle::new(way.listener, trusted, expires, generation));
        let entry = self.registry.register(number, Rc::clone(&handle));
        let user = core.principal().map(|principal| principal.user.name());
        let account = self.settings.budget.open(Holder::of(user, address.ip()));
        let counted = self.count_session(&core, way.listener);
        let services = WorkerServices { worker: Rc::clone(&self), number, way, peer, has_handshake, counted };
        let mut driver = Box::new(Driver::new(core, client, Rc::clone(&handle), account, services));
        let mut reader_checks = self.reader_checks.get();
        let mut is_known_authenticated = false;
        Box::pin(async move {
            let reason = poll_fn(|cx| {
                let outcome = driver.poll(cx);
                if let Some(asked) = handle.take_asked() {
                    // Whoever asked may be gone.
                    let _ = asked.send(view(number, started, &driver));
                }
                if reader_checks != self.reader_checks.get() {
                    reader_checks = self.reader_checks.get();
                    // It fails where the connection is broken, and that the session will see.
                    let _ = keepalive::look_at(driver.client().socket(), &mut keepalive, self.keepalive.get());
                }
                if !is_known_authenticated && driver.core().principal().is_some() {
                    is_known_authenticated = true;
                    permit.note_authenticated();
                    // It fails where the connection is broken, too.
                    let _ = unsent::bound(driver.client().socket(), unsent::OF_A_USER);
                }
                outcome
            })
            .await;
            handle.end();
            if reason == CloseReason::UpstreamGone {
                self.settings.upstream.lost.notify_one();
            }
            let is_gone = matches!(reason, CloseReason::ClientGone | CloseReason::ClientLost);
            match driver.volume() {
                Volume { received: 0, .. } if is_gone && !has_handshake => self.settings.events.probed(address),
                volume => {
                    let (core, upstream) = (driver.core(), driver.upstream());
                    let session = told(number, core, upstream);
                    self.settings.events.closed(session, core.traffic(), volume, reason, started.elapsed());
                }
            }
            let idle = driver.core().idle(Instant::now());
            let EndedSession { client, unsent, account, executing } = driver.into_ended(reason);
            let executed = async move {
                if let Some(executing) = executing {
                    executing.await;
                }
                drop(entry);
            };
            let linger = match reason {
                CloseReason::ClientLost => None,
                CloseReason::Drained if unsent.is_empty() => Some(DRAIN_LINGER.saturating_sub(idle)),
                CloseReason::Drained => Some(DRAIN_LINGER),
                _ => Some(close::LINGER),
            };
            let told = async move {
                if let Some(linger) = linger {
                    tell_the_last(client, unsent, account, linger).await;
                }
            };
            keep_place(permit, async move {
                tokio::join!(executed, told);
            })
            .await;
        })
    }
}

fn view<C: Client>(number: u64, started: Instant, driver: &Driver<C, WorkerServices>) -> SessionView {
    let (core, now) = (driver.core(), Instant::now());
    SessionView {
        number,
        upstream_id: driver.upstream().and_then(Connection::number),
        user: core.principal().map(|principal| principal.user.name().clone()),
        proof: core.principal().map(|principal| principal.proof),
        certificate: core.peer().certificate.clone(),
        address: core.peer().address,
        age: now.saturating_duration_since(started),
        idle: core.idle(now),
        traffic: core.traffic(),
        activity: core.activity(),
    }
}

/// The last of a session. What is still to be sent counts to whoever it is for, also what TLS has sealed of it, and is given up where
/// that is the most.
pub(super) async fn tell_the_last<C: Client + 'static>(
    client: Box<C>,
    unsent: Buffer,
    mut account: Account,
    linger: Duration,
) {
    let holds_something = account.holds_something();
    tokio::select! {
        // What the client takes at once it is told in any case.
        biased;
        () = farewell(client, unsent, linger) => {}
        () = account.evicted(), if holds_something => {}
    }
}

/// When a certificate ends, on the clock that timers use; `None` if that is too far away to matter.
fn expiry(not_after: i64) -> Option<Instant> {
    let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(not_after).unwrap_or(0)))?;
    Instant::now().checked_add(at.duration_since(SystemTime::now()).unwrap_or_default())
}

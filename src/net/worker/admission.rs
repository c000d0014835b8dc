//! How a connection comes in: its turn, whom a balancer speaks for, the handshake.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};

use super::connection::NO_ENTRY;
use super::mailbox::Arrival;
use super::renewal::has_aged;
use super::{Worker, unix_seconds};
use crate::audit::words::Exhausted;
use crate::identity::CertificateRefusal;
use crate::net::addresses::{canonical, may_connect};
use crate::net::farewell::{ConnectionFuture, keep_place, turn_away};
use crate::net::gate::{ConnectionPermit, Entrance, Queue};
use crate::net::proxy_protocol::{self, HeaderError};
use crate::net::shares::Visitor;
use crate::tls::CertificateChain;
use crate::tls::handshake::{self, HandshakeError, HandshakeFailure, Handshaken};

/// How long a connection has to come this far where the process ends.
const ADMISSION_IN_DRAIN: Duration = Duration::from_secs(2);

/// How long a connection has for its ClientHello where others wait for the place, and a balancer's from accept for its header:
/// that is said before anything else.
const UNDISTURBED: Duration = Duration::from_secs(1);

/// By which listener a client has come, and through which balancer, where one speaks for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    pub(super) listener: usize,
    pub(super) balancer: Option<IpAddr>,
}

/// A connection that has its permit, and how its handshake began.
struct Permitted {
    /// As a balancer says, where one does.
    address: SocketAddr,
    permit: ConnectionPermit,
    transport: Result<Transport, HandshakeFailure>,
}

/// What a connection goes on with.
enum Transport {
    Plaintext(TcpStream),
    Tls(handshake::Begun),
}

impl Worker {
    /// From accept to the end of the handshake; gives what comes after it.
    pub(super) async fn admit(self: Rc<Self>, arrival: Arrival) -> Option<ConnectionFuture> {
        let listener = arrival.listener;
        let way = Way { listener, balancer: arrival.is_balancer.then(|| arrival.address.ip()) };
        let arrived = Instant::now();
        let deadline = arrived + self.current().generation.config.limits.handshake_timeout;
        let late = arrived + ADMISSION_IN_DRAIN;
        let mut draining = self.draining.subscribe();
        let given_up = async {
            let _ = draining.wait_for(Option::is_some).await;
            tokio::time::sleep_until(late).await;
        };
        let Permitted { address, permit, transport } = tokio::select! {
            // Who has begun is served to the end, so that is looked at first.
            biased;
            permitted = self.permit_and_begin(arrival, deadline) => permitted?,
            () = given_up => return None,
        };
        let begun = match transport {
            Ok(Transport::Plaintext(socket)) => {
                return Some(self.start_session(socket, None, false, address, way, permit));
            }
            Ok(Transport::Tls(begun)) => begun,
            Err(failure) => return Some(self.refuse(failure, address, permit)),
        };
        let visitor = permit.visitor(address.ip());
        let acquire = self.settings.handshakes.acquire(visitor);
        let Ok(Some(place)) = timeout_at(deadline, acquire).await else {
            return Some(self.refuse(HandshakeError::Timeout.into(), address, permit));
        };
        let current = self.current();
        let material = current.generation.listeners.get(listener).cloned().flatten()?;
        let began_at = unix_seconds();
        let completed = Box::pin(handshake::complete(begun, &material, deadline));
        let result = self.in_turns(visitor, deadline, completed).await;
        drop(place);
        let began_with = current.generation.number;
        drop(current);
        let Handshaken { stream, peer, resumed, protocol, .. } = match result {
            Ok(handshaken) => handshaken,
            Err(failure) => return Some(self.refuse(failure, address, permit)),
        };
        let chain = peer.as_ref().map(|peer| peer.chain.clone());
        Some(match self.reverify_if_outdated(peer, listener, began_with, began_at) {
            Ok(peer) => {
                self.settings.events.counts().handshake_done(protocol, resumed, arrived.elapsed());
                self.start_session(stream, peer, true, address, way, permit)
            }
            Err(refusal) => {
                let (error, shown) = (HandshakeError::Certificate(refusal), chain.as_ref().map(CertificateChain::leaf));
                self.settings.events.handshake_failed(address, &error, shown);
                turn_away(stream, NO_ENTRY, permit)
            }
        })
    }

    /// From accept to the permit and the beginning of the handshake; `None` if the connection is not to be used. Until the
    /// end of this a connection is a socket and something that waits.
    async fn permit_and_begin(&self, arrival: Arrival, deadline: Instant) -> Option<Permitted> {
        let Arrival { socket, mut address, listener, is_balancer, mut entrance } = arrival;
        let mut socket = TcpStream::from_std(socket).ok()?;
        if is_balancer {
            let queue = entrance.queue();
            let announced = async {
                tokio::select! {
                    biased;
                    announced = self.announced_address(&mut socket, address, listener, deadline) => announced,
                    () = crowded_after(UNDISTURBED, &queue) => {
                        self.settings.events.announcement_refused(address, &HeaderError::Timeout);
                        None
                    }
                }
            };
            // Whoever has nothing to say neither keeps a place nor comes to one before others.
            let permit = async { self.permit(entrance, address, deadline).await.ok_or(()) };
            let announced = async { announced.await.ok_or(()) };
            let (permit, client) = tokio::try_join!(permit, announced).ok()?;
            address = client;
            entrance = match permit.announce(address.ip()) {
                Ok(entrance) => entrance,
                Err(exhausted) => {
                    self.settings.events.turned_away(address, None, exhausted);
                    return None;
                }
            };
        }
        let permit = self.permit(entrance, address, deadline).await?;
        let visitor = permit.visitor(address.ip());
        let transport = match self.current().generation.listeners.get(listener).is_some_and(Option::is_some) {
            false => Ok(Transport::Plaintext(socket)),
            true => tokio::select! {
                biased;
                begun = self.in_turns(visitor, deadline, handshake::begin(socket, deadline)) => begun.map(Transport::Tls),
                () = wanted_after(UNDISTURBED, &permit) => {
                    self.settings.events.handshake_failed(address, &HandshakeError::Timeout, None);
                    return None;
                }
            },
        };
        Some(Permitted { address, permit, transport })
    }

    /// A part of a handshake, each step at its turn, where there are enough of them before the deadline.
    async fn in_turns<T>(
        &self,
        visitor: Visitor,
        deadline: Instant,
        part: impl Future<Output = Result<T, HandshakeFailure>>,
    ) -> Result<T, HandshakeFailure> {
        let turns = self.handshake_turns.take(visitor, part);
        timeout_at(deadline, turns).await.unwrap_or_else(|_elapsed| Err(HandshakeError::Timeout.into()))
    }

    /// The permit, when it is the connection's turn; `None` if that does not come.
    async fn permit(&self, entrance: Entrance, address: SocketAddr, deadline: Instant) -> Option<ConnectionPermit> {
        let permit = timeout_at(deadline, entrance.permit()).await.unwrap_or(Err(Exhausted::Unauthenticated));
        permit.inspect_err(|exhausted| self.settings.events.turned_away(address, None, *exhausted)).ok()
    }

    /// The rest of a connection whose handshake has failed.
    fn refuse(&self, failure: HandshakeFailure, address: SocketAddr, permit: ConnectionPermit) -> ConnectionFuture {
        self.settings.events.handshake_failed(address, &failure.error, failure.shown.as_deref());
        keep_place(permit, failure.lingering_close())
    }

    /// The client's address, as a balancer says it; `None` if the connection is not to be used.
    async fn announced_address(
        &self,
        socket: &mut TcpStream,
        balancer: SocketAddr,
        listener: usize,
        deadline: Instant,
    ) -> Option<SocketAddr> {
        let error = match timeout_at(deadline, proxy_protocol::read(socket)).await {
            Ok(Ok(announced)) => {
                let client = match announced {
                    proxy_protocol::Announced::Client(client) => canonical(client),
                    proxy_protocol::Announced::Own => balancer,
                };
                let current = self.current();
                let settings = current.generation.config.listeners.get(listener)?;
                let Err(refusal) = may_connect(settings, client.ip()) else { return Some(client) };
                self.settings.events.refused_address(client, Some(balancer), refusal);
                return None;
            }
            Ok(Err(error)) => error,
            Err(_elapsed) => HeaderError::Timeout,
        };
        match error {
            HeaderError::Silent => self.settings.events.probed(balancer),
            error => self.settings.events.announcement_refused(balancer, &error),
        }
        None
    }

    /// A handshake may have begun under trust that is no longer in force, or before the end of a CA. Between this and the
    /// entry in the registry nothing waits, so that the next generation finds the session there.
    fn reverify_if_outdated(
        &self,
        peer: Option<handshake::VerifiedPeer>,
        listener: usize,
        began_with: u64,
        began_at: i64,
    ) -> Result<Option<handshake::VerifiedPeer>, CertificateRefusal> {
        let now = self.current();
        let is_outdated = |peer: &handshake::VerifiedPeer| {
            now.generation.number != began_with || has_aged(&now, listener, &peer.chain, began_at..unix_seconds())
        };
        match peer {
            Some(peer) if is_outdated(&peer) => {
                let material = now.generation.listeners.get(listener).and_then(Option::as_ref);
                let material = material.ok_or(CertificateRefusal::NotAsked)?;
                handshake::judge(peer.chain, material, SystemTime::now()).map(Some)
            }
            peer => Ok(peer),
        }
    }
}

/// Ends when a connection has had its time and anybody waits, itself among them.
async fn crowded_after(time: Duration, queue: &Queue) {
    sleep(time).await;
    while !queue.is_crowded() {
        sleep(time).await;
    }
}

/// Ends when a connection has had its time and is to go for another.
async fn wanted_after(time: Duration, permit: &ConnectionPermit) {
    sleep(time).await;
    permit.wanted().await;
}

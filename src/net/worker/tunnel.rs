//! An application and its tunnel, from accept to close.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::net::{Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::task::yield_now;
use tokio::time::sleep;

use super::Worker;
use super::connection::Counted;
use super::mailbox::Application;
use crate::audit::TunnelLabel;
use crate::audit::client_events::Volume;
use crate::audit::words::{TunnelEnd, TunnelFault};
use crate::config::Tunnel;
use crate::generation::Generation;
use crate::keepalive::{self, Keepalive};
use crate::net::shares::{Standing, Visitor};
use crate::net::turn;
use crate::net::user_turns::UserTurn;
use crate::tls::{ClientMaterial, ServerError};
use crate::tunnel::{Carrier, Dialled, Ended, Step};

/// What is read at once, of all tunnels of a worker. A record of TLS holds 16 KiB.
pub(super) const BUFFER: usize = 64 * 1024;

/// Where the process ends, an application whose last question was answered is taken to be done once nothing has come for
/// this long. TCP takes 0.2 s at least to send again what was lost, 0.4 s at the second time.
const QUIET: Duration = Duration::from_secs(1);

/// How long an application that has no server yet keeps the process from its end.
const DIALLING_IN_DRAIN: Duration = Duration::from_secs(2);

/// Where the process ends, how long a server may take nothing of what an application said that has left.
const STUCK_IN_DRAIN: Duration = Duration::from_secs(2);

/// As whom the applications of a tunnel come where handshakes take turns: each tunnel is one, and no client comes from such a
/// network, which has a /48 at most.
fn visitor(tunnel: usize) -> Visitor {
    Visitor { standing: Standing::Known, network: Ipv6Addr::from_bits(1 + tunnel as u128).into() }
}

/// How a tunnel has ended.
enum End {
    /// By itself.
    Ended(Ended),
    /// One end was done, and nothing came from the other for too long.
    HalfCloseTimeout,
    /// Nothing went through for too long after an answer.
    Idle,
    /// The process ends, and nothing is owed.
    Drained,
    /// The process ends in the middle of something.
    CutOff,
}

impl Worker {
    /// One application, from accept to close.
    pub(super) async fn tunnel(self: Rc<Self>, application: Application, _counted: Counted) {
        let Application { plain, tunnel: number, permit } = application;
        let current = self.current();
        let Some((tunnel, material)) = of(&current.generation, number) else { return };
        let Ok(plain) = plain.register() else { return };
        let keepalive = current.generation.config.limits.tcp_keepalive;
        if let (Some(keepalive), Some(socket)) = (keepalive, plain.tcp()) {
            // It fails where the connection is broken, and that will be seen.
            let _ = keepalive.set_on(socket);
        }
        let label = TunnelLabel { number, listen: &tunnel.listen };
        let events = &self.settings.events;
        let arrived = Instant::now();
        let dialled = Box::pin(self.dialler.dial(tunnel, &material, keepalive, |server, address, fault, words| {
            events.tunnel_failed(label, Some(server), address, fault, &words);
        }));
        let dialled = self.handshake_turns.take(visitor(number), dialled);
        let mut draining = self.draining.subscribe();
        let given_up = async {
            let _ = draining.wait_for(Option::is_some).await;
            sleep(DIALLING_IN_DRAIN).await;
        };
        let dialled = tokio::select! {
            dialled = dialled => dialled,
            () = given_up => None,
            () = plain.gone() => None,
        };
        let Some(Dialled { address, connection }) = dialled else { return plain.abort() };
        events.tunnel_opened(label, address, arrived.elapsed());
        let carrier = Box::new(Carrier::new(plain, connection));
        drop(current);
        Rc::clone(&self).carry(number, carrier, address, material).await;
        drop(permit);
    }

    /// Copies until it is over, and says so.
    async fn carry(
        self: Rc<Self>,
        number: usize,
        mut carrier: Box<Carrier>,
        address: SocketAddr,
        material: Arc<ClientMaterial>,
    ) {
        let started = Instant::now();
        let open = OpenTunnel::new(&self, number);
        let end = Box::pin(self.copy(&open, &mut carrier, material)).await;
        open.count(carrier.volume());
        drop(open);
        let current = self.current();
        let Some(Tunnel { listen, .. }) = current.generation.config.tunnels.get(number) else { return };
        let (label, events) = (TunnelLabel { number, listen }, &self.settings.events);
        let reason = match &end {
            End::Drained => Ok(TunnelEnd::Drained),
            End::CutOff => Ok(TunnelEnd::CutOff),
            End::Idle => Ok(TunnelEnd::Idle),
            End::HalfCloseTimeout => Ok(TunnelEnd::HalfCloseTimeout),
            End::Ended(Ended::Application) => Ok(TunnelEnd::ApplicationGone),
            End::Ended(Ended::Server) => Ok(TunnelEnd::ServerGone),
            End::Ended(Ended::ApplicationLost) => Ok(TunnelEnd::ApplicationLost),
            End::Ended(Ended::ServerLost(error)) => {
                let fault = TunnelFault::Server(error.fault);
                events.tunnel_failed(label, None, Some(address), fault, error);
                Err(fault)
            }
        };
        events.tunnel_closed(label, address, reason, carrier.volume(), started.elapsed());
        drop(current);
        match end {
            End::Ended(Ended::Application | Ended::Server) => {}
            End::Drained | End::Idle => carrier.close().await,
            // Part of an answer is not to be taken for the whole.
            End::CutOff | End::HalfCloseTimeout | End::Ended(Ended::ApplicationLost | Ended::ServerLost(_)) => {
                carrier.abort()
            }
        }
    }

    async fn copy(&self, open: &OpenTunnel, carrier: &mut Carrier, mut material: Arc<ClientMaterial>) -> End {
        let mut draining = self.draining.subscribe();
        let mut trusts = self.trusts.subscribe();
        // What was changed while the server was looked for, nobody has told.
        trusts.mark_changed();
        let mut sockets = Sockets { keepalive: self.keepalive.get(), looked_at: Instant::now() };
        // Who waits for an answer is not idle.
        let mut owed_at = Instant::now();
        loop {
            let drained_by = *draining.borrow_and_update();
            let patience = match drained_by {
                Some(deadline) => Some(QUIET.min(deadline.saturating_duration_since(Instant::now()))),
                None => carrier.is_half_closed().then(|| self.current().generation.config.limits.half_close_timeout),
            };
            let idle_timeout = match drained_by {
                None if !carrier.is_half_closed() => self.idle_timeout(open.number),
                _ => None,
            };
            let idle_since = open.moved_at.get().max(owed_at);
            let before = carrier.volume();
            tokio::select! {
                // What has come counts before that it took long: this thread may have been kept waiting itself.
                biased;
                step = self.turns(open, carrier) => match step {
                    Some(ended) => return End::Ended(ended),
                    None => continue,
                },
                // The worker lives as long as this.
                Ok(()) = draining.changed() => {}
                () = after(sockets.next_look()) => sockets.look_at(carrier, self.keepalive.get()),
                Ok(()) = trusts.changed() => {
                    let Some((_, latest)) = of(&self.current().generation, open.number) else { return End::Drained };
                    let is_as_before = Arc::ptr_eq(&latest, &material) || latest.has_same_trust_as(&material);
                    material = latest;
                    if !is_as_before && let Err(error) = self.reverify_server(open.number, carrier, &material).await {
                        return End::Ended(Ended::ServerLost(error));
                    }
                }
                () = after(idle_timeout.map(|time| (idle_since + time).saturating_duration_since(Instant::now()))) => {
                    if !carrier.is_answered() {
                        owed_at = Instant::now();
                    } else if open.moved_at.get() <= idle_since {
                        return End::Idle;
                    }
                }
                () = after(patience) => {
                    let is_quiet = carrier.volume() == before;
                    match drained_by {
                        Some(_) if carrier.is_answered() && open.moved_at.get().elapsed() >= QUIET => {
                            return End::Drained;
                        }
                        Some(_) if carrier.is_stuck() && open.moved_at.get().elapsed() >= STUCK_IN_DRAIN => {
                            return End::CutOff;
                        }
                        Some(deadline) if Instant::now() >= deadline => return End::CutOff,
                        None if is_quiet && carrier.is_left_by_server() => return End::Ended(Ended::Server),
                        None if is_quiet => return End::HalfCloseTimeout,
                        _ => {}
                    }
                }
            }
        }
    }

    /// Holds a live tunnel's server against another trust. One that has not been found good meanwhile is sent nothing more.
    async fn reverify_server(
        &self,
        number: usize,
        carrier: &Carrier,
        material: &Arc<ClientMaterial>,
    ) -> Result<(), ServerError> {
        let mut verdicts = self.server_verdicts.lock().await;
        let verdicts = verdicts.entry(number).or_default();
        if let Some(verdict) = verdicts.known(material, carrier.server()) {
            return verdict;
        }
        let verdict = verdicts.verify(material, carrier.server());
        // With a large CRL it takes milliseconds. Others have their turn before the next one is verified.
        yield_now().await;
        verdict
    }

    /// How long nothing may go through a tunnel after an answer.
    fn idle_timeout(&self, number: usize) -> Option<Duration> {
        self.current().generation.config.tunnels.get(number)?.idle_timeout
    }

    /// Copies until both ways have ended, or, which is `None`, the first of them.
    async fn turns(&self, open: &OpenTunnel, carrier: &mut Carrier) -> Option<Ended> {
        poll_fn(|cx| {
            let mut turn = open.turn.borrow_mut();
            if !turn.begin(cx, false) {
                return Poll::Pending;
            }
            let began = Instant::now();
            let polled = carrier.poll(cx, &mut self.tunnel_buffers.borrow_mut());
            open.count(carrier.volume());
            turn.end(began.elapsed());
            match polled {
                Poll::Ready(Step::More) => {
                    turn::end(cx);
                    Poll::Pending
                }
                Poll::Ready(Step::HalfClosed) => Poll::Ready(None),
                Poll::Ready(Step::Ended(ended)) => Poll::Ready(Some(ended)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}

/// Counted as open, with what has gone through it, for as long as this lives.
struct OpenTunnel {
    worker: Rc<Worker>,
    number: usize,
    turn: RefCell<UserTurn<usize>>,
    counted: Cell<Volume>,
    /// When something went through it last, or it was opened.
    moved_at: Cell<Instant>,
}

impl OpenTunnel {
    fn new(worker: &Rc<Worker>, number: usize) -> OpenTunnel {
        worker.counts.borrow_mut().tunnel_opened(number);
        OpenTunnel {
            worker: Rc::clone(worker),
            number,
            turn: RefCell::new(worker.tunnel_turns.enter(&number, None)),
            counted: Cell::default(),
            moved_at: Cell::new(Instant::now()),
        }
    }

    /// So much has gone through it by now.
    fn count(&self, volume: Volume) {
        let before = self.counted.replace(volume);
        if volume != before {
            self.moved_at.set(Instant::now());
            let (received, sent) = (volume.received - before.received, volume.sent - before.sent);
            self.worker.counts.borrow_mut().tunnel_bytes(self.number, received, sent);
        }
    }
}

impl Drop for OpenTunnel {
    fn drop(&mut self) {
        self.worker.counts.borrow_mut().tunnel_closed(self.number);
    }
}

/// How it is found out that either end has vanished.
struct Sockets {
    keepalive: Option<Keepalive>,
    looked_at: Instant,
}

impl Sockets {
    /// In how long they are to be looked at.
    fn next_look(&self) -> Option<Duration> {
        let interval = self.keepalive?.interval();
        Some((self.looked_at + interval).saturating_duration_since(Instant::now()))
    }

    /// Whoever only does not read for a while is not taken to have vanished.
    fn look_at(&mut self, carrier: &Carrier, wanted: Option<Keepalive>) {
        self.looked_at = Instant::now();
        let before = self.keepalive;
        for socket in carrier.plain().tcp().into_iter().chain([carrier.server().socket()]) {
            self.keepalive = before;
            // It fails where the connection is broken, and that will be seen.
            let _ = keepalive::look_at(socket, &mut self.keepalive, wanted);
        }
    }
}

/// A tunnel as it is in force. There is none only where a process has fewer than it began with, which does not happen.
fn of(generation: &Generation, number: usize) -> Option<(&Tunnel, Arc<ClientMaterial>)> {
    Some((generation.config.tunnels.get(number)?, Arc::clone(generation.tunnels.get(number)?)))
}

/// Ends after this time, if there is one.
async fn after(time: Option<Duration>) {
    match time {
        Some(time) => sleep(time).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::origin::network;

    #[test]
    fn each_tunnel_takes_turns_as_one_of_its_own_beside_other_tunnels_and_clients() {
        let [first, second] = [0, 1].map(|tunnel| visitor(tunnel).network);
        assert_ne!(first, second);
        for address in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into(), first, second] {
            assert!(![first, second].contains(&network(address)), "{address}");
        }
    }
}

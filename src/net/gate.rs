//! How many connections there may be, and how many of them by strangers.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::places::{Place, Places, Turn};
use super::shares::{self, Visitor};
use crate::aging::AgingMap;
use crate::audit::words::Exhausted;
use crate::origin::{Origin, network, origin};

/// Connections over the limit, for telling clients so.
pub const SURPLUS: u32 = 64;

/// Connections that may be unauthenticated where an eighth of all would be fewer.
const FEWEST_UNAUTHENTICATED: u32 = 16;

/// How long a network is known after the last user from there has come or gone.
const KNOWN_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// How many known networks are remembered.
const KNOWN_NETWORKS: usize = 65_536;

/// The bounds of a gate.
#[derive(Debug, Clone, Copy)]
pub struct GateLimits {
    /// Connections in all.
    pub connections: u32,
    /// Connections of one address.
    pub per_address: Option<u32>,
}

/// Counts connections, all together and by address. An eighth of all may be unauthenticated, shared fairly between
/// networks, and those from which users come go before the others. Who has none of these places waits for his turn
/// outside, where he costs one file descriptor, and he never takes the place of a client that is in or may come in:
/// together there are as many as connections in all.
#[derive(Debug)]
pub struct Gate {
    unauthenticated: Arc<Places>,
    counts: Mutex<Counts>,
}

#[derive(Debug)]
struct Counts {
    limits: GateLimits,
    authenticated: u32,
    surplus: u32,
    /// No entry is 0.
    by_address: HashMap<Origin, u32>,
    /// Networks from which users come, and when they were last seen.
    known: AgingMap<IpAddr, Instant>,
}

/// A connection that is in, until this is dropped.
#[derive(Debug)]
pub struct ConnectionPermit {
    gate: Arc<Gate>,
    /// Where it is counted; `None` is a balancer's that has not said whom it speaks for, or over a limit.
    counted: Option<Origin>,
    state: State,
}

#[derive(Debug)]
enum State {
    Unauthenticated {
        place: Place,
    },
    Authenticated,
    /// Over this limit: it may only be told so.
    Surplus(Exhausted),
}

/// What a connection that has come finds.
#[derive(Debug)]
#[must_use]
pub struct Entrance {
    gate: Arc<Gate>,
    counted: Option<Origin>,
    found: Found,
}

/// Those who wait for their turn.
#[derive(Debug)]
pub(super) struct Queue(Arc<Gate>);

impl Queue {
    /// Whether there are any.
    pub(super) fn is_crowded(&self) -> bool {
        self.0.unauthenticated.waiting() > 0
    }
}

#[derive(Debug)]
enum Found {
    Permit(ConnectionPermit),
    Turn(Turn),
}

impl GateLimits {
    /// Connections that may be unauthenticated.
    fn unauthenticated(self) -> u32 {
        (self.connections / 8).max(FEWEST_UNAUTHENTICATED).min(self.connections)
    }
}

impl Gate {
    /// A gate through which nobody has gone.
    pub fn new(limits: GateLimits) -> Arc<Self> {
        let known = AgingMap::new(KNOWN_NETWORKS);
        let counts = Counts { limits, authenticated: 0, surplus: 0, by_address: HashMap::new(), known };
        Arc::new(Self { unauthenticated: Places::new(limits.unauthenticated()), counts: Mutex::new(counts) })
    }

    /// Other bounds from now on. Who is in stays, and who waits does so while there is room.
    pub fn set_limits(&self, limits: GateLimits) {
        let mut counts = self.lock();
        counts.limits = limits;
        while self.unauthenticated.waiting() > 0
            && self.inside(&counts) + self.unauthenticated.waiting() > limits.connections
        {
            self.unauthenticated.shorten_queue();
        }
        drop(counts);
        self.unauthenticated.resize(limits.unauthenticated());
    }

    /// For a connection from `address`. Over the limit a few are let in all the same, for telling them so; then none.
    ///
    /// # Errors
    /// The limit.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Entrance, Exhausted> {
        self.arrive(self.visitor(address), Some(origin(address)))
    }

    /// For a connection of a balancer: nothing bounds how many it may have, but for how many may be unauthenticated.
    /// Its network is a known one.
    ///
    /// # Errors
    /// The limit.
    pub fn enter_unannounced(self: &Arc<Self>, balancer: IpAddr) -> Result<Entrance, Exhausted> {
        self.arrive(Visitor { standing: shares::Standing::Known, network: network(balancer) }, None)
    }

    /// As whom somebody from `address` comes.
    fn visitor(&self, address: IpAddr) -> Visitor {
        let network = network(address);
        let seen = self.lock().known.touch(&network).copied();
        let is_known = seen.is_some_and(|seen| seen.elapsed() < KNOWN_FOR);
        let standing = if is_known { shares::Standing::Known } else { shares::Standing::Unknown };
        Visitor { standing, network }
    }

    fn arrive(self: &Arc<Self>, visitor: Visitor, counted: Option<Origin>) -> Result<Entrance, Exhausted> {
        let mut counts = self.lock();
        let entrance = |found| Entrance { gate: Arc::clone(self), counted, found };
        if let Some(exhausted) = self.exhausted(&counts, counted, 0) {
            return Ok(entrance(Found::Permit(self.surplus(&mut counts, exhausted)?)));
        }
        if let Some(place) = self.unauthenticated.take(visitor) {
            if self.inside(&counts) + self.unauthenticated.waiting() > counts.limits.connections {
                self.unauthenticated.shorten_queue();
            }
            return Ok(entrance(Found::Permit(self.permit(&mut counts, counted, State::Unauthenticated { place }))));
        }
        let is_everything_taken = self.inside(&counts) + self.unauthenticated.waiting() >= counts.limits.connections;
        if is_everything_taken && !self.unauthenticated.make_way_for(visitor) {
            return Ok(entrance(Found::Permit(self.surplus(&mut counts, Exhausted::Clients)?)));
        }
        Ok(entrance(Found::Turn(self.unauthenticated.wait(visitor))))
    }

    /// The limit at which this one is, not counting `own` places that it has.
    fn exhausted(&self, counts: &Counts, counted: Option<Origin>, own: u32) -> Option<Exhausted> {
        let here = counted.and_then(|origin| counts.by_address.get(&origin)).copied().unwrap_or(0);
        if self.inside(counts) >= counts.limits.connections.saturating_add(own) {
            Some(Exhausted::Clients)
        } else if counted.is_some() && counts.limits.per_address.is_some_and(|most| here >= most) {
            Some(Exhausted::ClientsOfAddress)
        } else {
            None
        }
    }

    /// Connections that have their place, or may take it.
    fn inside(&self, counts: &Counts) -> u32 {
        counts.authenticated + self.unauthenticated.taken()
    }

    fn surplus(self: &Arc<Self>, counts: &mut Counts, exhausted: Exhausted) -> Result<ConnectionPermit, Exhausted> {
        if counts.surplus >= SURPLUS {
            return Err(exhausted);
        }
        counts.surplus += 1;
        Ok(self.permit(counts, None, State::Surplus(exhausted)))
    }

    fn permit(self: &Arc<Self>, counts: &mut Counts, counted: Option<Origin>, state: State) -> ConnectionPermit {
        if let Some(origin) = counted {
            *counts.by_address.entry(origin).or_default() += 1;
        }
        ConnectionPermit { gate: Arc::clone(self), counted, state }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn note_known(&mut self, origin: Option<Origin>) {
        if let Some(origin) = origin {
            self.known.insert(network(origin), Instant::now());
        }
    }
}

impl Entrance {
    /// Where it is waited for.
    pub(super) fn queue(&self) -> Queue {
        Queue(Arc::clone(&self.gate))
    }

    /// The permit, when it is the connection's turn.
    ///
    /// # Errors
    /// The limit that keeps it out.
    pub async fn permit(self) -> Result<ConnectionPermit, Exhausted> {
        let Self { gate, counted, found } = self;
        let turn = match found {
            Found::Permit(permit) => return Ok(permit),
            Found::Turn(turn) => turn,
        };
        let place = turn.place().await.ok_or(Exhausted::Unauthenticated)?;
        let mut counts = gate.lock();
        match gate.exhausted(&counts, counted, 1) {
            None => Ok(gate.permit(&mut counts, counted, State::Unauthenticated { place })),
            Some(exhausted) => gate.surplus(&mut counts, exhausted),
        }
    }
}

impl ConnectionPermit {
    /// The connection of a balancer turns out to come from this address, and enters as if it had just come.
    ///
    /// # Errors
    /// The limit.
    pub fn announce(self, address: IpAddr) -> Result<Entrance, Exhausted> {
        let gate = Arc::clone(&self.gate);
        drop(self);
        gate.enter(address)
    }

    /// The connection is a user's from now on. That it may be nobody's again, after RESET, does not make it a stranger's.
    pub fn note_authenticated(&mut self) {
        if matches!(self.state, State::Unauthenticated { .. }) {
            let mut counts = self.gate.lock();
            counts.authenticated += 1;
            counts.note_known(self.counted);
            drop(counts);
            self.state = State::Authenticated;
        }
    }

    /// Ends when somebody waits for a place as this connection has one, who holds none, and it is to go for him.
    pub(super) async fn wanted(&self) {
        match &self.state {
            State::Unauthenticated { place } => place.wanted().await,
            State::Authenticated | State::Surplus(_) => std::future::pending().await,
        }
    }

    /// As whom somebody from `address` comes, where other places are asked for.
    pub(super) fn visitor(&self, address: IpAddr) -> Visitor {
        self.gate.visitor(address)
    }

    /// What the connection is over the limit of, if it is.
    pub fn surplus(&self) -> Option<Exhausted> {
        match self.state {
            State::Surplus(exhausted) => Some(exhausted),
            State::Unauthenticated { .. } | State::Authenticated => None,
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut counts = self.gate.lock();
        match self.state {
            State::Unauthenticated { .. } => {}
            State::Authenticated => {
                counts.authenticated -= 1;
                counts.note_known(self.counted);
            }
            State::Surplus(_) => counts.surplus -= 1,
        }
        let Some(origin) = self.counted else { return };
        if let Some(count) = counts.by_address.get_mut(&origin) {
            *count -= 1;
            if *count == 0 {
                counts.by_address.remove(&origin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(connections: u32, per_address: Option<u32>) -> Arc<Gate> {
        Gate::new(GateLimits { connections, per_address })
    }

    /// The permit of a connection, if it has one at once.
    fn now(entrance: Result<Entrance, Exhausted>) -> Option<ConnectionPermit> {
        match entrance.unwrap().found {
            Found::Permit(permit) => Some(permit),
            Found::Turn(_) => None,
        }
    }

    fn enter(gate: &Arc<Gate>, address: &str) -> ConnectionPermit {
        now(gate.enter(address.parse().unwrap())).unwrap()
    }

    fn user(gate: &Arc<Gate>, address: &str) -> ConnectionPermit {
        let mut permit = enter(gate, address);
        permit.note_authenticated();
        permit
    }

    fn is_empty(gate: &Arc<Gate>) -> bool {
        let counts = gate.lock();
        counts.by_address.is_empty() && gate.inside(&counts) + counts.surplus + gate.unauthenticated.waiting() == 0
    }

    #[test]
    fn places_over_the_limit_are_marked_and_come_back() {
        let gate = gate(2, None);
        let (first, second) = (user(&gate, "127.0.0.1"), enter(&gate, "127.0.0.2"));
        assert_eq!((first.surplus(), second.surplus()), (None, None));
        assert_eq!(enter(&gate, "127.0.0.3").surplus(), Some(Exhausted::Clients));
        drop(first);
        assert_eq!(enter(&gate, "127.0.0.3").surplus(), None);
        drop(second);
        assert!(is_empty(&gate));
    }

    #[test]
    fn one_address_cannot_take_every_place_and_a_64_is_one_address() {
        let gate = gate(100, Some(1));
        let _first = enter(&gate, "127.0.0.1");
        assert_eq!(enter(&gate, "127.0.0.1").surplus(), Some(Exhausted::ClientsOfAddress));
        assert_eq!(enter(&gate, "127.0.0.2").surplus(), None);
        let _second = user(&gate, "2001:db8::1");
        assert_eq!(enter(&gate, "2001:db8::2").surplus(), Some(Exhausted::ClientsOfAddress));
        assert_eq!(enter(&gate, "2001:db8:0:1::2").surplus(), None);
    }

    #[test]
    fn connections_over_the_limit_do_not_keep_their_address_over_it() {
        let gate = gate(100, Some(1));
        let first = user(&gate, "127.0.0.1");
        let _told = enter(&gate, "127.0.0.1");
        drop(first);
        assert_eq!(enter(&gate, "127.0.0.1").surplus(), None);
    }

    #[tokio::test]
    async fn the_connections_of_a_balancer_count_for_those_whom_they_announce() {
        let gate = gate(100, Some(1));
        let balancer: IpAddr = "127.0.0.1".parse().unwrap();
        let unannounced: Vec<_> = (0..3).map(|_| now(gate.enter_unannounced(balancer)).unwrap()).collect();
        assert!(unannounced.iter().all(|permit| permit.surplus().is_none()));
        let mut announced = unannounced.into_iter().map(|permit| permit.announce("192.0.2.7".parse().unwrap()));
        let first = announced.next().unwrap().unwrap().permit().await.unwrap();
        let second = announced.next().unwrap().unwrap().permit().await.unwrap();
        assert_eq!((first.surplus(), second.surplus()), (None, Some(Exhausted::ClientsOfAddress)));
        assert_eq!(enter(&gate, "127.0.0.1").surplus(), None);
        drop((announced, first, second));
        assert!(is_empty(&gate));
    }

    #[test]
    fn nobody_enters_far_over_the_limit() {
        let gate = gate(0, None);
        let permits: Vec<_> = std::iter::from_fn(|| gate.enter([127, 0, 0, 1].into()).ok()).take(1000).collect();
        assert_eq!(permits.len(), SURPLUS as usize);
    }

    #[tokio::test]
    async fn strangers_have_an_eighth_and_wait_for_each_other_while_users_come_in() {
        let gate = gate(800, None);
        let mut strangers: Vec<_> = (0..38).map(|_| enter(&gate, "192.0.2.1")).collect();
        let waiting = gate.enter("192.0.2.1".parse().unwrap()).unwrap();
        assert!(matches!(waiting.found, Found::Turn(_)));
        let users: Vec<_> = (0..700).map(|_| user(&gate, "192.0.2.2")).collect();
        assert!(users.iter().all(|user| user.surplus().is_none()));
        strangers.pop();
        assert_eq!(waiting.permit().await.unwrap().surplus(), None);
        drop((strangers, users));
        assert!(is_empty(&gate));
    }

    #[tokio::test]
    async fn those_who_wait_and_those_who_are_in_are_together_as_many_as_may_be_in() {
        let gate = gate(40, None);
        let strangers: Vec<_> = (0..6).map(|_| enter(&gate, "192.0.2.1")).collect();
        let mut waiting: Vec<_> = (0..34).map(|_| gate.enter("192.0.2.1".parse().unwrap()).unwrap()).collect();
        let told = now(gate.enter("192.0.2.1".parse().unwrap())).unwrap();
        assert_eq!(told.surplus(), Some(Exhausted::Clients));
        // A user from elsewhere comes in all the same, and the last of those who wait goes.
        let _user = user(&gate, "192.0.2.2");
        assert_eq!(waiting.pop().unwrap().permit().await.unwrap_err(), Exhausted::Unauthenticated);
        assert_eq!(gate.unauthenticated.waiting(), 33);
        drop((strangers, waiting));
    }

    #[tokio::test]
    async fn who_is_in_stays_when_there_is_room_for_fewer_and_who_waits_does_as_far_as_there_is() {
        let gate = gate(40, None);
        let strangers: Vec<_> = (0..6).map(|_| enter(&gate, "192.0.2.1")).collect();
        let waiting: Vec<_> = (0..4).map(|_| gate.enter("192.0.2.1".parse().unwrap()).unwrap()).collect();
        gate.set_limits(GateLimits { connections: 8, per_address: None });
        assert_eq!((gate.unauthenticated.taken(), gate.unauthenticated.waiting()), (6, 2));
        assert_eq!(enter(&gate, "192.0.2.1").surplus(), Some(Exhausted::Clients));
        drop(waiting);
        gate.set_limits(GateLimits { connections: 800, per_address: Some(6) });
        assert_eq!(enter(&gate, "192.0.2.1").surplus(), Some(Exhausted::ClientsOfAddress));
        let _others: Vec<_> = (0..6).map(|_| user(&gate, "192.0.2.2")).collect();
        drop(strangers);
    }

    #[tokio::test]
    async fn a_network_from_which_a_user_has_come_finds_a_place_whatever_unknown_ones_do() {
        let gate = gate(40, None);
        drop([user(&gate, "192.0.2.1"), user(&gate, "2001:db8:1:1::1")]);
        let unknown = |number: u8| gate.enter([198, 51, 100, number].into()).unwrap();
        let mut strangers: Vec<_> = (0..40).map(unknown).collect();
        assert_eq!(now(Ok(unknown(40))).unwrap().surplus(), Some(Exhausted::Clients));
        // Another user from there may come, and somebody unknown who waits gives way.
        let _users = (enter(&gate, "192.0.2.1"), enter(&gate, "2001:db8:1:2::1"));
        for _ in 0..2 {
            assert_eq!(strangers.pop().unwrap().permit().await.unwrap_err(), Exhausted::Unauthenticated);
        }
        assert!(matches!(unknown(41).found, Found::Permit(told) if told.surplus().is_some()));
    }

    #[tokio::test]
    async fn whose_turn_comes_when_his_address_has_its_share_is_told_so() {
        let gate = gate(100, Some(7));
        let mut inside: Vec<_> = (0..6).map(|_| enter(&gate, "192.0.2.1")).collect();
        let waiting = [(); 2].map(|()| gate.enter("192.0.2.1".parse().unwrap()).unwrap());
        inside.iter_mut().for_each(ConnectionPermit::note_authenticated);
        let [seventh, eighth] = waiting.map(Entrance::permit);
        let (seventh, eighth) = (seventh.await.unwrap(), eighth.await.unwrap());
        assert_eq!((seventh.surplus(), eighth.surplus()), (None, Some(Exhausted::ClientsOfAddress)));
    }
}

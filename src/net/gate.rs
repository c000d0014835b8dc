//! How many connections there may be, and how many of them by strangers.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::places::{Place, Places, Turn};
use crate::audit::words::Exhausted;
use crate::origin::{self, Origin};

/// Connections over the limit, for telling clients so.
pub const SURPLUS: u32 = 64;

/// Connections that may be unauthenticated where an eighth of all would be fewer.
const FEWEST_UNAUTHENTICATED: u32 = 16;

/// The bounds of a gate.
#[derive(Debug, Clone, Copy)]
pub struct GateLimits {
    /// Connections in all.
    pub connections: u32,
    /// Connections of one address.
    pub per_address: Option<u32>,
}

/// Counts connections, all together and by address. An eighth of all may be unauthenticated, shared fairly between
/// addresses. Others wait for their turn outside, where they cost one file descriptor, and they never take the place of a
/// client that is in or may come in: together there are as many as connections in all.
#[derive(Debug)]
pub struct Gate {
    limits: GateLimits,
    unauthenticated: Arc<Places>,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    authenticated: u32,
    surplus: u32,
    /// No entry is 0.
    by_address: HashMap<Origin, u32>,
}

/// A connection that is in, until this is dropped.
#[derive(Debug)]
pub struct ConnectionPermit {
    gate: Arc<Gate>,
    /// Where it is counted; `None` is a balancer's that has not said whom it speaks for, or over a limit.
    counted: Option<Origin>,
    standing: Standing,
}

#[derive(Debug)]
enum Standing {
    Unauthenticated {
        _place: Place,
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

#[derive(Debug)]
enum Found {
    Permit(ConnectionPermit),
    Turn(Turn),
}

impl Gate {
    /// A gate through which nobody has gone.
    pub fn new(limits: GateLimits) -> Arc<Self> {
        let unauthenticated = (limits.connections / 8).max(FEWEST_UNAUTHENTICATED).min(limits.connections);
        Arc::new(Self { limits, unauthenticated: Places::new(unauthenticated), counts: Mutex::default() })
    }

    /// For a connection from `address`. Over the limit a few are let in all the same, for telling them so; then none.
    ///
    /// # Errors
    /// The limit.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Entrance, Exhausted> {
        let origin = origin::origin(address);
        self.arrive(origin, Some(origin))
    }

    /// For a connection of a balancer: nothing bounds how many it may have, but for how many may be unauthenticated.
    ///
    /// # Errors
    /// The limit.
    pub fn enter_unannounced(self: &Arc<Self>, balancer: IpAddr) -> Result<Entrance, Exhausted> {
        self.arrive(origin::origin(balancer), None)
    }

    fn arrive(self: &Arc<Self>, origin: Origin, counted: Option<Origin>) -> Result<Entrance, Exhausted> {
        let mut counts = self.lock();
        let entrance = |found| Entrance { gate: Arc::clone(self), counted, found };
        if let Some(exhausted) = self.exhausted(&counts, counted, 0) {
            return Ok(entrance(Found::Permit(self.surplus(&mut counts, exhausted)?)));
        }
        if let Some(place) = self.unauthenticated.take(origin) {
            if self.inside(&counts) + self.unauthenticated.waiting() > self.limits.connections {
                self.unauthenticated.shorten_queue();
            }
            return Ok(entrance(Found::Permit(self.permit(
                &mut counts,
                counted,
                Standing::Unauthenticated { _place: place },
            ))));
        }
        let is_full = self.inside(&counts) + self.unauthenticated.waiting() >= self.limits.connections;
        if is_full && !self.unauthenticated.make_way_for(origin) {
            return Ok(entrance(Found::Permit(self.surplus(&mut counts, Exhausted::Clients)?)));
        }
        Ok(entrance(Found::Turn(self.unauthenticated.wait(origin))))
    }

    /// The limit at which this one is, not counting `own` places that it has.
    fn exhausted(&self, counts: &Counts, counted: Option<Origin>, own: u32) -> Option<Exhausted> {
        let here = counted.and_then(|origin| counts.by_address.get(&origin)).copied().unwrap_or(0);
        if self.inside(counts) >= self.limits.connections.saturating_add(own) {
            Some(Exhausted::Clients)
        } else if counted.is_some() && self.limits.per_address.is_some_and(|most| here >= most) {
            Some(Exhausted::ClientsOfAddress)
        } else {
            None
        }
    }

    /// Connections that have their place, or may take it.
    fn inside(&self, counts: &Counts) -> u32 {
        counts.authenticated + self.unauthenticated.taken()
    }

    fn surplus(
        self: &Arc<Self>,
        counts: &mut Counts,
        exhausted: Exhausted,
    ) -> Result<ConnectionPermit, Exhausted> {
        if counts.surplus >= SURPLUS {
            return Err(exhausted);
        }
        counts.surplus += 1;
        Ok(self.permit(counts, None, Standing::Surplus(exhausted)))
    }

    fn permit(self: &Arc<Self>, counts: &mut Counts, counted: Option<Origin>, standing: Standing) -> ConnectionPermit {
        if let Some(origin) = counted {
            *counts.by_address.entry(origin).or_default() += 1;
        }
        ConnectionPermit { gate: Arc::clone(self), counted, standing }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entrance {
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
            None => Ok(gate.permit(&mut counts, counted, Standing::Unauthenticated { _place: place })),
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
        if matches!(self.standing, Standing::Unauthenticated { .. }) {
            self.gate.lock().authenticated += 1;
            self.standing = Standing::Authenticated;
        }
    }

    /// What the connection is over the limit of, if it is.
    pub fn surplus(&self) -> Option<Exhausted> {
        match self.standing {
            Standing::Surplus(exhausted) => Some(exhausted),
            Standing::Unauthenticated { .. } | Standing::Authenticated => None,
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut counts = self.gate.lock();
        match self.standing {
            Standing::Unauthenticated { .. } => {}
            Standing::Authenticated => counts.authenticated -= 1,
            Standing::Surplus(_) => counts.surplus -= 1,
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
        let mut strangers: Vec<_> = (0..50).map(|_| enter(&gate, "192.0.2.1")).collect();
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
        let strangers: Vec<_> = (0..8).map(|_| enter(&gate, "192.0.2.1")).collect();
        let mut waiting: Vec<_> = (0..32).map(|_| gate.enter("192.0.2.1".parse().unwrap()).unwrap()).collect();
        let told = now(gate.enter("192.0.2.1".parse().unwrap())).unwrap();
        assert_eq!(told.surplus(), Some(Exhausted::Clients));
        // A user from elsewhere comes in all the same, and the last of those who wait goes.
        let _user = user(&gate, "192.0.2.2");
        assert_eq!(waiting.pop().unwrap().permit().await.unwrap_err(), Exhausted::Unauthenticated);
        assert_eq!(gate.unauthenticated.waiting(), 31);
        drop((strangers, waiting));
    }

    #[tokio::test]
    async fn whose_turn_comes_when_his_address_has_its_share_is_told_so() {
        let gate = gate(100, Some(9));
        let mut inside: Vec<_> = (0..8).map(|_| enter(&gate, "192.0.2.1")).collect();
        let waiting = [(); 2].map(|()| gate.enter("192.0.2.1".parse().unwrap()).unwrap());
        inside.iter_mut().for_each(ConnectionPermit::note_authenticated);
        let [ninth, tenth] = waiting.map(Entrance::permit);
        let (ninth, tenth) = (ninth.await.unwrap(), tenth.await.unwrap());
        assert_eq!((ninth.surplus(), tenth.surplus()), (None, Some(Exhausted::ClientsOfAddress)));
    }
}

//! How many connections there may be.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::audit::words::Exhausted;

/// Places over the limit, for telling clients so.
pub const SURPLUS: u32 = 64;

/// The bounds of a gate.
#[derive(Debug, Clone, Copy)]
pub struct GateLimits {
    /// Connections in all.
    pub connections: u32,
    /// Connections of one address.
    pub per_address: Option<u32>,
}

/// Counts connections, all together and by address.
#[derive(Debug)]
pub struct Gate {
    limits: GateLimits,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: u32,
    /// No entry is 0.
    by_address: HashMap<IpAddr, u32>,
}

/// A place for one connection, given back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
    address: IpAddr,
    /// What it is over the limit of: the connection may only be told so.
    surplus: Option<Exhausted>,
}

impl Gate {
    /// A gate through which nobody has gone.
    pub fn new(limits: GateLimits) -> Arc<Self> {
        Arc::new(Self { limits, counts: Mutex::default() })
    }

    /// A place for a connection from `address`. Over the limit there are a few more, for telling clients so; then none.
    ///
    /// # Errors
    /// The limit.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Permit, Exhausted> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let here = counts.by_address.get(&address).copied().unwrap_or(0);
        let over = |more: u32| {
            let of_address = |most: u32| here >= most.saturating_add(more);
            if counts.all >= self.limits.connections.saturating_add(more) {
                Some(Exhausted::Clients)
            } else if self.limits.per_address.is_some_and(of_address) {
                Some(Exhausted::ClientsOfAddress)
            } else {
                None
            }
        };
        if let Some(exhausted) = over(SURPLUS) {
            return Err(exhausted);
        }
        let surplus = over(0);
        counts.all += 1;
        counts.by_address.insert(address, here + 1);
        Ok(Permit { gate: Arc::clone(self), address, surplus })
    }

    /// Connections that are in now.
    pub fn connections(&self) -> u32 {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).all
    }
}

impl Permit {
    /// The connection turns out to come from another address: it counts there from now on.
    pub fn move_to(&mut self, address: IpAddr) {
        let mut counts = self.gate.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.leave(self.address);
        let here = counts.by_address.entry(address).or_default();
        *here += 1;
        if self.gate.limits.per_address.is_some_and(|most| *here > most) {
            self.surplus.get_or_insert(Exhausted::ClientsOfAddress);
        }
        self.address = address;
    }

    /// What the connection is over the limit of, if it is.
    pub fn surplus(&self) -> Option<Exhausted> {
        self.surplus
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.gate.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all = counts.all.saturating_sub(1);
        counts.leave(self.address);
    }
}

impl Counts {
    fn leave(&mut self, address: IpAddr) {
        if let Some(count) = self.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(127, 0, 0, last).into()
    }

    #[test]
    fn places_over_the_limit_are_marked_and_come_back() {
        let gate = Gate::new(GateLimits { connections: 2, per_address: None });
        let first = gate.enter(address(1)).unwrap();
        let second = gate.enter(address(2)).unwrap();
        assert_eq!((first.surplus(), second.surplus()), (None, None));
        assert_eq!(gate.enter(address(3)).unwrap().surplus(), Some(Exhausted::Clients));
        drop(first);
        assert_eq!(gate.enter(address(3)).unwrap().surplus(), None);
        drop(second);
        assert_eq!(gate.connections(), 0);
        assert!(gate.counts.lock().unwrap().by_address.is_empty());
    }

    #[test]
    fn one_address_cannot_take_every_place() {
        let gate = Gate::new(GateLimits { connections: 100, per_address: Some(1) });
        let _first = gate.enter(address(1)).unwrap();
        assert_eq!(gate.enter(address(1)).unwrap().surplus(), Some(Exhausted::ClientsOfAddress));
        assert_eq!(gate.enter(address(2)).unwrap().surplus(), None);
    }

    #[test]
    fn a_place_that_moves_is_counted_where_it_is() {
        let gate = Gate::new(GateLimits { connections: 100, per_address: Some(1) });
        let mut first = gate.enter(address(1)).unwrap();
        first.move_to(address(2));
        assert_eq!(first.surplus(), None);
        let mut second = gate.enter(address(1)).unwrap();
        assert_eq!(second.surplus(), None);
        second.move_to(address(2));
        assert_eq!(second.surplus(), Some(Exhausted::ClientsOfAddress));
        drop((first, second));
        assert!(gate.counts.lock().unwrap().by_address.is_empty());
    }

    #[test]
    fn nobody_enters_far_over_the_limit() {
        let gate = Gate::new(GateLimits { connections: 0, per_address: None });
        let permits: Vec<_> = std::iter::from_fn(|| gate.enter(address(1)).ok()).take(1000).collect();
        assert!(permits.len() < 1000 && permits.iter().all(|permit| permit.surplus() == Some(Exhausted::Clients)));
    }
}

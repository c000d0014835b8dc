//! The live connections of one worker: who they are, when they are due, and how to reach them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::task::Waker;
use std::time::Instant;

use tokio::sync::mpsc;

use super::reverify::{ChainKey, Chains, ChainsToClose};
use super::view::SessionView;
use crate::session::CloseReason;
use crate::tls::{CertificateChain, Voucher};

/// What a worker wants of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// End at once.
    Close(CloseReason),
    /// End when nothing is owed any more, by this time at the latest. Whoever is told something unasked goes on.
    Drain(Instant),
    /// All others have ended: these are to end, too.
    LastDrain,
}

/// A session, as its worker sees it.
#[derive(Debug)]
pub struct Handle {
    chain: Option<(ChainKey, CertificateChain)>,
    /// When the certificate ends.
    expires: Option<Instant>,
    deadline: Cell<Option<Instant>>,
    /// The policy that it was last under.
    generation: Cell<u64>,
    /// Redis may still execute something with rights that the session has lost.
    has_former: Cell<bool>,
    /// It ends with the last drain.
    waits_for_last_drain: Cell<bool>,
    order: Cell<Option<Order>>,
    /// It is to look at the policy in force, whether it is its turn or not.
    is_to_renew: Cell<bool>,
    /// Who asks the session to show itself.
    asked: RefCell<Option<mpsc::UnboundedSender<SessionView>>>,
    /// It shows itself no more.
    has_ended: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Handle {
    /// A session that came in through a listener, with this certificate chain, trusted for this, which ends then. It has begun under
    /// the policy of this generation: nobody waits for its first turn.
    pub fn new(
        listener: usize,
        trusted: Option<(CertificateChain, Voucher)>,
        expires: Option<Instant>,
        generation: u64,
    ) -> Self {
        Self {
            chain: trusted
                .map(|(chain, voucher)| (ChainKey { listener, fingerprint: chain.fingerprint(), voucher }, chain)),
            expires,
            deadline: Cell::new(None),
            generation: Cell::new(generation),
            has_former: Cell::new(false),
            waits_for_last_drain: Cell::new(false),
            order: Cell::new(None),
            is_to_renew: Cell::new(false),
            asked: RefCell::new(None),
            has_ended: Cell::new(false),
            waker: RefCell::new(None),
        }
    }

    /// Bytes that the certificates take which the client has shown: here, and once more inside TLS.
    pub fn certificates(&self) -> usize {
        self.chain.as_ref().map_or(0, |(_, chain)| 2 * chain.memory())
    }

    /// The session is woken through this waker.
    pub fn note_waker(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }

    /// The session wants to be woken then.
    pub fn note_deadline(&self, deadline: Option<Instant>) {
        self.deadline.set(deadline);
    }

    /// The session does nothing any more by a policy before this one.
    pub fn note_generation(&self, generation: u64) {
        self.generation.set(generation);
    }

    /// Whether Redis may still execute something with rights that the session has lost.
    pub fn note_former_rights(&self, has_former: bool) {
        self.has_former.set(has_former);
    }

    /// Whether the session ends with the last drain.
    pub fn note_last_drain(&self, waits: bool) {
        self.waits_for_last_drain.set(waits);
    }

    /// Whether the session was asked to look at the policy in force.
    pub fn take_renewal(&self) -> bool {
        self.is_to_renew.take()
    }

    /// Takes what the worker wants.
    pub fn take_order(&self) -> Option<Order> {
        self.order.take()
    }

    /// Takes who asks the session to show itself.
    pub fn take_asked(&self) -> Option<mpsc::UnboundedSender<SessionView>> {
        self.asked.take()
    }

    /// Asks the session to show itself, and wakes it.
    pub fn ask(&self, views: &mpsc::UnboundedSender<SessionView>) {
        if !self.has_ended.get() {
            self.asked.replace(Some(views.clone()));
            self.wake();
        }
    }

    /// The session has ended. Redis may still execute something of it.
    pub fn end(&self) {
        self.has_ended.set(true);
        self.asked.take();
    }

    /// Whether the session's certificate has ended.
    pub fn has_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Wakes the session.
    pub fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Has the session look at the policy in force, unless it is under this one already.
    pub fn renew(&self, generation: u64) {
        if self.generation.get() < generation {
            self.is_to_renew.set(true);
            self.wake();
        }
    }

    /// Tells the session, and wakes it.
    pub fn order(&self, order: Order) {
        // Nothing takes back an order to end at once.
        if !matches!(self.order.get(), Some(Order::Close(_))) {
            self.order.set(Some(order));
        }
        self.wake();
    }

    /// Whether its certificate has ended, or the time has come at which it wanted to be woken.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.has_expired(now) || self.deadline.get().is_some_and(|deadline| deadline <= now)
    }
}

/// All live connections of a worker.
#[derive(Debug, Default)]
pub struct Registry {
    /// By the number of the session.
    handles: RefCell<HashMap<u64, Rc<Handle>>>,
    /// The end of the drain that has begun.
    drained_by: Cell<Option<Instant>>,
}

/// A place in the registry, given up when it is dropped.
pub struct Entry {
    registry: Rc<Registry>,
    number: u64,
}

impl Registry {
    /// Registers a session by its number, which no other has.
    pub fn register(self: &Rc<Self>, number: u64, handle: Rc<Handle>) -> Entry {
        if let Some(deadline) = self.drained_by.get() {
            handle.order(Order::Drain(deadline));
        }
        self.handles.borrow_mut().insert(number, handle);
        Entry { registry: Rc::clone(self), number }
    }

    /// Wakes the sessions whose time has come.
    pub fn wake_due(&self, now: Instant) {
        for handle in self.handles.borrow().values().filter(|handle| handle.is_due(now)) {
            handle.wake();
        }
    }

    /// All sessions of this moment.
    pub fn snapshot(&self) -> Vec<Rc<Handle>> {
        self.handles.borrow().values().cloned().collect()
    }

    /// Those of these sessions that are here and have not ended.
    pub fn live(&self, numbers: &[u64]) -> Vec<Rc<Handle>> {
        let handles = self.handles.borrow();
        let live = numbers.iter().filter_map(|number| handles.get(number));
        live.filter(|handle| !handle.has_ended.get()).cloned().collect()
    }

    /// Whether every session is under this policy or a later one.
    pub fn is_under(&self, generation: u64) -> bool {
        self.handles.borrow().values().all(|handle| handle.generation.get() >= generation)
    }

    /// The sessions for which Redis may still execute something with rights that they have lost.
    pub fn with_former_rights(&self) -> Vec<Rc<Handle>> {
        self.handles.borrow().values().filter(|handle| handle.has_former.get()).cloned().collect()
    }

    /// Whether a session has yet to end that was told to.
    pub fn is_any_closing(&self) -> bool {
        self.handles.borrow().values().any(|handle| matches!(handle.order.get(), Some(Order::Close(_))))
    }

    /// Has every session end when nothing is owed any more, those that are still to come as well.
    pub fn drain(&self, deadline: Instant) {
        self.drained_by.set(Some(deadline));
        self.order_all(Order::Drain(deadline));
    }

    /// Whether all that are left end with the last drain.
    pub fn waits_for_last_drain(&self) -> bool {
        self.handles.borrow().values().all(|handle| handle.waits_for_last_drain.get())
    }

    /// Has those end that are left.
    pub fn drain_last(&self) {
        self.order_all(Order::LastDrain);
    }

    /// Gives every session the same order.
    pub fn order_all(&self, order: Order) {
        for handle in self.snapshot() {
            handle.order(order);
        }
    }

    /// The distinct certificate chains that are such, by listener, in no order.
    pub(super) fn chains(&self, is_such: impl Fn(usize, &CertificateChain) -> bool) -> Chains {
        let handles = self.handles.borrow();
        let distinct: HashMap<ChainKey, CertificateChain> = handles
            .values()
            .filter_map(|handle| handle.chain.as_ref())
            .filter(|(key, chain)| is_such(key.listener, chain))
            .cloned()
            .collect();
        distinct.into_iter().collect()
    }

    /// The sessions of these certificate chains, and why they have to end.
    pub(super) fn sessions_of(&self, chains: &ChainsToClose) -> Vec<(Rc<Handle>, CloseReason)> {
        let handles = self.handles.borrow();
        let reason = |handle: &Handle| handle.chain.as_ref().and_then(|(key, _)| chains.get(key)).copied();
        handles.values().filter_map(|handle| Some((Rc::clone(handle), reason(handle)?))).collect()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.registry.handles.borrow_mut().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_chains_that_are_asked_for_are_given_and_each_once() {
        let registry = Rc::new(Registry::default());
        let chain = |first: u8| CertificateChain::new(vec![vec![first].into()]).expect("a certificate");
        let pinned = |chain| Some((chain, Voucher::Pin));
        let register =
            |number, listener, chain| registry.register(number, Rc::new(Handle::new(listener, chain, None, 1)));
        let _entries = [
            register(1, 0, pinned(chain(1))),
            register(2, 0, pinned(chain(1))),
            register(3, 1, pinned(chain(2))),
            register(4, 1, None),
        ];
        assert_eq!(registry.chains(|_, _| true).len(), 2);
        let asked: Vec<_> = registry.chains(|listener, _| listener == 1).into_iter().map(|(_, chain)| chain).collect();
        assert_eq!(asked, [chain(2)]);
        assert_eq!(registry.chains(|_, wanted| *wanted == chain(1)).len(), 1);
    }

    #[test]
    fn nobody_waits_for_who_has_begun_under_the_policy_in_force_and_has_had_no_turn() {
        let registry = Rc::new(Registry::default());
        let [former, newcomer] = [1, 2].map(|generation| Rc::new(Handle::new(0, None, None, generation)));
        let _entries = [registry.register(1, Rc::clone(&former)), registry.register(2, Rc::clone(&newcomer))];
        assert!(registry.is_under(1) && !registry.is_under(2));
        registry.snapshot().iter().for_each(|handle| handle.renew(2));
        assert!(former.take_renewal() && !newcomer.take_renewal());
        former.note_generation(2);
        assert!(registry.is_under(2));
    }
}

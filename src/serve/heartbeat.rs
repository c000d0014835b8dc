//! Whether the workers tick: one that does not serves nobody, and cannot say so itself.

use std::rc::Rc;
use std::time::Duration;

use super::health::Condition;
use super::service_manager;
use crate::audit::events;
use crate::net::worker::Mailbox;

/// Between two looks. Workers tick several times meanwhile, also those that have nothing to do.
const INTERVAL: Duration = Duration::from_secs(1);

/// A worker that has not ticked between so many looks is stuck. They are counted instead of the time, because that goes on
/// while all of the process stands still.
const LOOKS: u32 = 5;

/// Looks at workers for ever, and notes how many are stuck. The service manager's watchdog is pinged as long as all tick.
pub(super) async fn watch(workers: Vec<Mailbox>, condition: Rc<Condition>) {
    let watchdog = service_manager::watchdog();
    if let Some(time) = watchdog.filter(|time| *time < 2 * INTERVAL) {
        events::watchdog_is_too_short(time);
    }
    let mut heartbeats = vec![Heartbeat::default(); workers.len()];
    let mut looks = tokio::time::interval(INTERVAL);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        for (worker, (mailbox, heartbeat)) in workers.iter().zip(&mut heartbeats).enumerate() {
            match heartbeat.look(mailbox.ticks()) {
                None => {}
                Some(Change::Stuck) => events::worker_is_stuck(worker),
                Some(Change::Ticks) => events::worker_turns_again(worker),
            }
        }
        condition.note_stuck_workers(heartbeats.iter().filter(|heartbeat| heartbeat.is_stuck()).count());
        if watchdog.is_some() && heartbeats.iter().all(|heartbeat| heartbeat.missed == 0) {
            service_manager::ping();
        }
    }
}

/// Pings the service manager's watchdog for ever, while workers end one after the other and there is a deadline for that.
pub(super) async fn ping() {
    let mut pings = tokio::time::interval(INTERVAL);
    while service_manager::watchdog().is_some() {
        pings.tick().await;
        service_manager::ping();
    }
}

/// What is known of one worker.
#[derive(Debug, Clone, Copy, Default)]
struct Heartbeat {
    /// How often it had ticked at the last look.
    ticks: u64,
    /// Looks since then, between which it has not.
    missed: u32,
}

#[derive(Debug, PartialEq, Eq)]
enum Change {
    Stuck,
    Ticks,
}

impl Heartbeat {
    /// The worker has ticked so often by now.
    fn look(&mut self, ticks: u64) -> Option<Change> {
        let was_stuck = self.is_stuck();
        self.missed = if ticks == self.ticks { self.missed.saturating_add(1) } else { 0 };
        self.ticks = ticks;
        match (was_stuck, self.is_stuck()) {
            (false, true) => Some(Change::Stuck),
            (true, false) => Some(Change::Ticks),
            _ => None,
        }
    }

    fn is_stuck(self) -> bool {
        self.missed >= LOOKS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_stuck_that_does_not_tick_in_five_looks_and_until_it_ticks_again() {
        let mut heartbeat = Heartbeat::default();
        assert_eq!(heartbeat.look(1), None);
        (1..LOOKS).for_each(|_| assert_eq!(heartbeat.look(1), None));
        assert_eq!(heartbeat.look(1), Some(Change::Stuck));
        assert_eq!(heartbeat.look(1), None);
        assert!(heartbeat.is_stuck());
        assert_eq!(heartbeat.look(2), Some(Change::Ticks));
        (1..LOOKS).for_each(|_| assert_eq!(heartbeat.look(2), None));
        assert_eq!(heartbeat.look(3), None, "slow, but not stuck");
    }
}

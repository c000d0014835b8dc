use std::future::Future;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Wake};
use std::thread;

use super::*;
use crate::acl::UserName;

fn account(budget: &Arc<MemoryBudget>, name: &str) -> Account {
    budget.open(Holder::User(UserName::new(name.as_bytes()).unwrap()))
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn who_asks_for_more_stays_and_who_holds_the_most_is_woken_and_goes() {
    let budget = MemoryBudget::new(100);
    let (mut large, mut small) = (account(&budget, "large"), account(&budget, "small"));
    let woken = Arc::new(Woken::default());
    large.note_waker(&Arc::clone(&woken).into());
    large.hold(90);
    assert!(small.has_room());
    small.hold(20);
    assert_eq!((large.is_evicted(), small.is_evicted(), woken.0.load(Ordering::Relaxed)), (true, false, 1));
    assert!(!large.has_room(), "nothing has been given back yet");
    drop(large);
    assert!(small.has_room() && !small.is_evicted());
}

#[test]
fn who_holds_little_is_read_from_while_another_is_to_give_back_but_for_no_more_than_an_eighth() {
    let budget = MemoryBudget::new(100);
    let (mut large, mut small, idle) = (account(&budget, "large"), account(&budget, "small"), account(&budget, "idle"));
    large.hold(90);
    small.hold(12);
    assert!(large.is_evicted() && small.has_room() && !large.has_room());
    small.hold(22);
    assert!(small.has_room() && idle.has_room());
    small.hold(23);
    assert!(!small.has_room() && !idle.has_room(), "more than an eighth");
    drop(large);
    small.move_to(idle.holder().clone());
    assert!(small.has_room() && !small.is_evicted());
}

#[test]
fn who_holds_the_most_and_asks_for_more_is_cut() {
    let budget = MemoryBudget::new(100);
    let (mut large, mut small) = (account(&budget, "large"), account(&budget, "small"));
    small.hold(20);
    large.hold(90);
    assert_eq!((large.is_evicted(), small.is_evicted()), (true, false));
}

#[test]
fn who_holds_the_most_is_evicted_when_the_budget_becomes_smaller() {
    let budget = MemoryBudget::new(100);
    let (mut large, mut small) = (account(&budget, "large"), account(&budget, "small"));
    large.hold(60);
    small.hold(20);
    budget.set_limit(50);
    assert_eq!((large.is_evicted(), small.is_evicted()), (true, false));
}

#[test]
fn what_was_held_counts_to_the_user_that_a_session_has_become() {
    let budget = MemoryBudget::new(100);
    let (mut first, mut second, mut third) = (account(&budget, "a"), account(&budget, "b"), account(&budget, "b"));
    first.hold(40);
    second.hold(35);
    third.hold(20);
    second.move_to(first.holder().clone());
    third.hold(30);
    assert_eq!([first.is_evicted(), second.is_evicted(), third.is_evicted()], [true, false, false]);
}

#[test]
fn from_many_threads_the_sum_ends_within_the_budget_and_comes_back_to_nothing() {
    let budget = MemoryBudget::new(10_000);
    thread::scope(|scope| {
        for worker in 0..4_usize {
            let budget = &budget;
            scope.spawn(move || {
                let mut accounts: Vec<_> = (0..20).map(|number| account(budget, &format!("u{}", number % 7))).collect();
                for round in 0..20_000_usize {
                    let index = (round * 7 + worker) % accounts.len();
                    accounts[index].hold((round * 31 + worker * 17) % 500);
                    if accounts[index].is_evicted() {
                        accounts[index] = account(budget, "anew");
                    }
                }
                accounts.iter_mut().filter(|account| account.is_evicted()).for_each(|account| account.hold(0));
                let within = || budget.held.load(Ordering::Relaxed) <= budget.limit.load(Ordering::Relaxed);
                while !within() {
                    // Others have not seen yet that they are evicted.
                    accounts.iter_mut().filter(|account| account.is_evicted()).for_each(|account| account.hold(0));
                    let _ = accounts[0].has_room();
                }
            });
        }
    });
    assert_eq!(budget.held.load(Ordering::Relaxed), 0);
}

#[test]
fn what_is_still_to_be_sent_counts_on_and_who_sends_it_hears_that_it_is_given_up() {
    let budget = MemoryBudget::new(100);
    let (mut leaving, mut small) = (account(&budget, "large"), account(&budget, "small"));
    leaving.hold(80);
    let woken = Arc::new(Woken::default());
    let waker = Arc::clone(&woken).into();
    let mut context = Context::from_waker(&waker);
    let mut evicted = Box::pin(leaving.evicted());
    assert_eq!(evicted.as_mut().poll(&mut context), Poll::Pending);
    small.hold(30);
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert_eq!(evicted.as_mut().poll(&mut context), Poll::Ready(()));
    assert!(!small.is_evicted());
}

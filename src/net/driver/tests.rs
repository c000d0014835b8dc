//! A driver between two ends in memory.

use std::cell::RefCell;
use std::future::ready;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::task::LocalSet;

use super::*;
use crate::acl::UserName;
use crate::net::MemoryBudget;
use crate::net::long_turn::LongTurns;
use crate::net::user_turns::UserTurns;
use crate::session::tests::rig::{OPEN, Rig, limits, request};
use crate::session::{Credentials, MirrorSpec, SessionLimits, ToFree};
use crate::tls::close::Closing;
use crate::upstream::Cut;

/// Bytes on their way in one direction each, and who waits for those to the session.
#[derive(Default)]
struct Wire {
    to_session: Vec<u8>,
    from_session: Vec<u8>,
    reader: Option<Waker>,
    /// How often the session has asked whether something has come.
    asked: usize,
}

/// The session's end of it.
#[derive(Clone, Default)]
struct End(Rc<RefCell<Wire>>);

impl End {
    fn send(&self, bytes: &[u8]) {
        let mut wire = self.0.borrow_mut();
        wire.to_session.extend_from_slice(bytes);
        if let Some(reader) = wire.reader.take() {
            reader.wake();
        }
    }

    /// What has come of the session since this was asked last, if it is this.
    fn has_heard(&self, bytes: &[u8]) -> bool {
        let mut wire = self.0.borrow_mut();
        let is_it = wire.from_session == bytes;
        wire.from_session.clear();
        is_it
    }
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut wire = self.0.borrow_mut();
        wire.asked += 1;
        if wire.to_session.is_empty() {
            wire.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = wire.to_session.len().min(to.remaining());
        to.put_slice(&wire.to_session[..count]);
        wire.to_session.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().from_session.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Closing for End {
    type Socket = Self;

    fn socket_mut(&mut self) -> &mut Self {
        self
    }
}

impl ClientConnection for End {
    fn settle(&mut self) -> usize {
        0
    }
}

/// Everything is permitted, and Redis is there at once.
struct Process {
    policy: Rc<Policy>,
    redis: End,
    long_turns: LongTurns,
    user_turns: UserTurns<Option<UserName>>,
}

impl Services for Process {
    type Upstream = End;
    type PolicyRef = Rc<Policy>;

    fn policy(&self) -> Rc<Policy> {
        Rc::clone(&self.policy)
    }

    fn limits(&self) -> Arc<SessionLimits> {
        Arc::new(limits())
    }

    fn judge(&self) -> Result<(), CloseReason> {
        Ok(())
    }

    fn judge_upstream(&self, _: &End) -> Result<(), CloseReason> {
        Ok(())
    }

    fn may_take_requests(&self) -> bool {
        true
    }

    fn long_turns(&self) -> &LongTurns {
        &self.long_turns
    }

    fn user_turns(&self) -> &UserTurns<Option<UserName>> {
        &self.user_turns
    }

    fn note_renewal(&self, _: Duration) {}

    fn free(&self, _: ToFree) {
        unreachable!("there is little")
    }

    fn connect(&self) -> Connecting<End> {
        Box::pin(ready(Ok(self.redis.clone())))
    }

    fn cut(&self, _: &End) -> Cut {
        unreachable!("nobody loses a right")
    }

    fn unblock(&self, _: &End) -> Unblocking {
        unreachable!("nobody waits")
    }

    fn verify(&self, _: &SessionCore, _: Credentials) -> oneshot::Receiver<AuthOutcome> {
        unreachable!("nobody logs in")
    }

    fn queue_edit(&self) -> oneshot::Receiver<EditProgress> {
        unreachable!("nobody changes users")
    }

    fn administer(
        &self,
        _: &mut SessionCore,
        _: Administration,
        _: Option<GoAhead>,
    ) -> oneshot::Receiver<EditProgress> {
        let (answer, administered) = oneshot::channel();
        let _ = answer.send(EditProgress::Done(Administered { reply: Reply::OK, generation: None }));
        administered
    }

    fn mirror(&self, _: MirrorSpec) -> oneshot::Receiver<Result<MirrorLogin, MirrorFailure>> {
        unreachable!("nobody runs scripts")
    }

    fn note_first_bytes(&self, _: &SessionCore) {}

    fn note_acl_log(&self, _: &mut SessionCore) {}

    fn report(&self, core: &mut SessionCore, _: Option<&End>) {
        drop(core.take_reports());
    }

    fn count(&self, _: &mut SessionCore, _: Volume) {}

    fn count_reply(&self, _: Duration) {}
}

/// Keeps in mind that the session was woken.
#[derive(Default)]
struct Task(AtomicBool);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Lab {
    driver: Driver<End, Process>,
    task: Arc<Task>,
    waker: Waker,
    client: End,
    redis: End,
}

impl Lab {
    fn new() -> Lab {
        Lab::with_turns(UserTurns::new(Duration::MAX))
    }

    fn with_turns(user_turns: UserTurns<Option<UserName>>) -> Lab {
        Lab::of(Rig::new(OPEN), user_turns)
    }

    fn of(rig: Rig, user_turns: UserTurns<Option<UserName>>) -> Lab {
        let Rig { core, policy, .. } = rig;
        let (client, redis) = (End::default(), End::default());
        let user = core.principal().map(|principal| principal.user.name());
        let account = MemoryBudget::new(u64::MAX).open(Holder::of(user, core.peer().address.ip()));
        let handle = Rc::new(Handle::new(0, None, None, policy.generation));
        let process =
            Process { policy: Rc::new(policy), redis: redis.clone(), long_turns: LongTurns::default(), user_turns };
        let task = Arc::<Task>::default();
        let driver = Driver::new(core, client.clone(), handle, account, process);
        let mut lab = Lab { driver, waker: Arc::clone(&task).into(), task, client, redis };
        lab.turn();
        lab
    }

    /// One turn of the session.
    fn turn(&mut self) {
        let polled = self.driver.poll(&mut Context::from_waker(&self.waker));
        assert!(polled.is_pending(), "{polled:?}");
    }

    /// Turns, for as long as the session is woken; how many.
    fn run(&mut self) -> usize {
        let mut turns = 0;
        while self.task.0.swap(false, Ordering::Relaxed) {
            self.turn();
            turns += 1;
        }
        turns
    }
}

#[test]
fn a_request_and_its_reply_allocate_nothing() {
    let mut lab = Lab::new();
    let (get, mget) = (request("GET key:1"), [request("SET key:1 value"), request("MGET key:1 key:2")].concat());
    let exchange = |lab: &mut Lab, requests: &[u8], replies: &[u8]| {
        lab.client.send(requests);
        lab.run();
        assert!(lab.redis.has_heard(requests));
        lab.redis.send(replies);
        lab.run();
        assert!(lab.client.has_heard(replies));
    };
    let mut exchange_all = || {
        exchange(&mut lab, &get, b"$5\r\nvalue\r\n");
        exchange(&mut lab, &mget, b"+OK\r\n*2\r\n$5\r\nvalue\r\n$-1\r\n");
    };
    // Tables and queues grow to their size.
    exchange_all();
    let allocated = allocation_counter::measure(|| (0..100).for_each(|_| exchange_all()));
    assert_eq!((allocated.count_total, allocated.bytes_total), (0, 0));
}

#[test]
fn the_socket_that_has_not_woken_the_session_is_not_asked() {
    let mut lab = Lab::new();
    lab.client.send(&request("PING"));
    lab.run();
    let asked = |lab: &Lab| (lab.client.0.borrow().asked, lab.redis.0.borrow().asked);
    let (client, redis) = asked(&lab);
    lab.redis.send(b"+PONG\r\n");
    lab.run();
    assert_eq!(asked(&lab), (client, redis + 2), "what has come, and whether there is more");
    lab.client.send(&request("PING"));
    lab.run();
    assert_eq!(asked(&lab), (client + 2, redis + 2));
}

#[test]
fn what_one_turn_leaves_is_taken_in_the_next_ones_without_anything_new_to_wake_the_session() {
    let mut lab = Lab::new();
    let requests = [request(&format!("SET key:1 {}", "x".repeat(1 << 20))), request("PING")].concat();
    lab.client.send(&requests);
    let turns = lab.run();
    assert!(lab.redis.has_heard(&requests));
    assert!(turns >= requests.len() / (128 << 10), "{turns}");
}

#[test]
fn what_the_worker_itself_answers_later_waits_for_the_turns_of_its_user_like_everything() {
    let tasks = LocalSet::new();
    let _guard = tasks.enter();
    for (time, heard) in [(Duration::MAX, &b"+OK\r\n"[..]), (Duration::from_nanos(1), b"")] {
        let mut lab = Lab::new();
        lab.client.send(&request("ACL GENPASS"));
        lab.turn();
        lab.driver.user_turn = UserTurns::new(time).enter(&None, None);
        assert!(lab.driver.user_turn.begin(&Context::from_waker(&lab.waker), false));
        lab.driver.user_turn.end(Duration::from_nanos(1));
        lab.run();
        assert!(lab.client.has_heard(heard));
    }
}

#[test]
fn a_turn_in_which_a_session_ends_to_act_for_a_user_is_one_of_that_user() {
    let tasks = LocalSet::new();
    let _guard = tasks.enter();
    let users = [OPEN, "user alice on nopass +@all\n"].concat();
    let mut lab = Lab::of(Rig::new(&users), UserTurns::new(Duration::MAX));
    lab.client.send(&request("AUTH alice any"));
    lab.run();
    let turns = UserTurns::new(Duration::from_nanos(1));
    let alice = || turns.enter(&UserName::new(b"alice"), None);
    lab.driver.user_turn = alice();
    lab.client.send(&request("RESET"));
    lab.turn();
    assert_eq!(lab.driver.account.holder(), &Holder::User(UserName::new(b"default").unwrap()));
    assert!(!alice().begin(&Context::from_waker(&lab.waker), false), "she has had her time");
}

#[test]
fn who_waits_for_the_turns_of_its_user_waits_on_when_a_time_is_up_and_ends_at_once_where_it_is_told_to() {
    let tasks = LocalSet::new();
    let _guard = tasks.enter();
    let mut lab = Lab::with_turns(UserTurns::new(Duration::from_nanos(1)));
    lab.client.send(&request("GET key:1"));
    lab.driver.handle.note_deadline(Some(Instant::now()));
    lab.run();
    assert!(lab.redis.has_heard(b""), "it waits");
    lab.driver.handle.order(Order::Close(CloseReason::MemoryBudget));
    let ended = lab.driver.poll(&mut Context::from_waker(&lab.waker));
    assert!(matches!(ended, Poll::Ready(CloseReason::MemoryBudget)), "{ended:?}");
}

#[test]
fn who_waits_for_the_turns_of_its_user_takes_no_requests_and_looks_at_a_new_policy_when_it_is_asked_to() {
    // The share of the first turn is not renewed before others have had theirs, which never comes here.
    let tasks = LocalSet::new();
    let _guard = tasks.enter();
    let mut lab = Lab::with_turns(UserTurns::new(Duration::from_nanos(1)));
    lab.client.send(&request("GET key:1"));
    lab.run();
    assert!(lab.redis.has_heard(b""), "it waits");
    let Rig { policy, .. } = Rig::new("user default off\n");
    let generation = policy.generation + 1;
    lab.driver.services.policy = Rc::new(Policy { generation, ..policy });
    lab.turn();
    assert!(lab.redis.has_heard(b""), "it waits on, and others need not wait for it to look at that");
    lab.driver.handle.renew(generation);
    let ended = lab.driver.poll(&mut Context::from_waker(&lab.waker));
    assert!(matches!(ended, Poll::Ready(CloseReason::Revoked(_))), "{ended:?}");
    assert_eq!(lab.driver.generation, generation, "it is under that");
}

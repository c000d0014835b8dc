//! Lines on their way to a file or a stream, which may be slow, full or gone: a bounded queue, and a thread that writes
//! what is in it. Whoever has a line to say neither waits for that nor hears of its errors.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of lines that may wait. Those that are being written are up to as many again.
const ROOM: usize = 1 << 20;

/// As many are for lines that clients cannot cause as often as they like.
const RESERVE: usize = ROOM / 4;

/// Bytes of memory that are kept for the next lines.
const KEPT: usize = 64 << 10;

/// How long after an error nothing is tried.
const PAUSE: Duration = Duration::from_millis(100);

/// How long what was written may wait until the sink is told that there is nothing more for now.
const SETTLING: Duration = Duration::from_secs(1);

/// How long until a stream that takes nothing at the moment, and does not keep us waiting by itself, is asked again.
const NAP: Duration = Duration::from_millis(10);

/// Where lines go.
pub trait Sink: Send {
    /// As [`io::Write::write`]. What was written is out of our hands.
    ///
    /// # Errors
    /// Nothing of it was written.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Begins anew under the same name; false if that is not possible and everything stays as it was.
    fn reopen(&mut self) -> bool;

    /// A second has passed since something was written, or since the last call that asked for another.
    fn settle(&mut self) -> Settled {
        Settled::Done
    }
}

/// Whether a sink has something to do although nothing is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Not before the next write.
    Done,
    /// In a second again.
    Again,
}

/// The queue. Clones share it.
#[derive(Clone)]
pub struct Lines(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    /// There is something to do for the thread.
    news: Condvar,
    /// The thread has ended.
    ended: Condvar,
    /// Both are changed with the queue locked.
    is_full: AtomicBool,
    times_freed: AtomicU64,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<u8>,
    /// How many lines these are.
    waiting_lines: u64,
    /// As many have left the queue and are perhaps not written yet, or are lost and not told of.
    unwritten_lines: u64,
    /// Lines for which there was no room behind those that are waiting.
    lost: u64,
    /// The same since the start.
    lost_in_all: u64,
    reopen: bool,
    is_closing: bool,
    has_ended: bool,
}

impl Lines {
    /// A queue and its thread of this name, which writes to `sink`. `tell_lost` makes the line that says how many were lost.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start<S, L>(name: &str, sink: S, tell_lost: L) -> io::Result<Lines>
    where
        S: Sink + 'static,
        L: FnMut(u64) -> Vec<u8> + Send + 'static,
    {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            news: Condvar::new(),
            ended: Condvar::new(),
            is_full: AtomicBool::new(false),
            times_freed: AtomicU64::new(0),
        });
        let writer = Writer {
            shared: Arc::clone(&shared),
            sink,
            tell_lost,
            unwritten: Vec::new(),
            lost: 0,
            is_torn: false,
            settles: None,
        };
        thread::Builder::new().name(name.to_owned()).spawn(move || writer.run())?;
        Ok(Lines(shared))
    }

    /// Puts a line, with its end, behind the others. Where there is no room it is counted as lost.
    pub fn put(&self, line: &[u8]) {
        self.put_within(ROOM, line);
    }

    /// The same for a line of what clients can cause, for which there is less room: it takes none of what others have.
    pub fn put_of_clients(&self, line: &[u8]) {
        self.put_within(ROOM - RESERVE, line);
    }

    /// The same, but where there is no room the line is the caller's to keep: false then.
    #[must_use]
    pub fn offer_of_clients(&self, line: &[u8]) -> bool {
        self.queue_within(ROOM - RESERVE, line, &mut self.0.lock())
    }

    /// There is no room for lines of what clients can cause.
    pub fn is_full(&self) -> bool {
        self.0.is_full.load(Ordering::Acquire)
    }

    /// How often there was room again.
    pub fn times_freed(&self) -> u64 {
        self.0.times_freed.load(Ordering::Acquire)
    }

    fn put_within(&self, room: usize, line: &[u8]) {
        let mut queue = self.0.lock();
        if !self.queue_within(room, line, &mut queue) {
            queue.lost += 1;
            queue.lost_in_all += 1;
        }
    }

    fn queue_within(&self, room: usize, line: &[u8], queue: &mut Queue) -> bool {
        let length = queue.waiting.len() + line.len();
        if length > ROOM - RESERVE {
            self.0.is_full.store(true, Ordering::Release);
        }
        if length > room {
            return false;
        }
        if queue.waiting.is_empty() {
            self.0.news.notify_one();
        }
        queue.waiting.extend_from_slice(line);
        queue.waiting_lines += 1;
        true
    }

    /// How many lines were lost since the start.
    pub fn lost_in_all(&self) -> u64 {
        self.0.lock().lost_in_all
    }

    /// The sink is opened again, before anything more is written.
    pub fn reopen(&self) {
        self.0.lock().reopen = true;
        self.0.news.notify_one();
    }

    /// Waits until all lines are written, or nothing more can be, and for so long at most. Returns how many are perhaps not
    /// written, and will not be.
    #[must_use]
    pub fn close(&self, patience: Duration) -> u64 {
        let mut queue = self.0.lock();
        queue.is_closing = true;
        self.0.news.notify_one();
        let ended = self.0.ended.wait_timeout_while(queue, patience, |queue| !queue.has_ended);
        let (queue, _) = ended.unwrap_or_else(PoisonError::into_inner);
        queue.unwritten_lines + queue.waiting_lines + queue.lost
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while it is held.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").finish_non_exhaustive()
    }
}

/// The thread's side.
struct Writer<S, L> {
    shared: Arc<Shared>,
    sink: S,
    tell_lost: L,
    /// Whole lines that were taken from the queue.
    unwritten: Vec<u8>,
    /// As many found no room behind them.
    lost: u64,
    /// What is at the sink ends within a line.
    is_torn: bool,
    /// When the sink is told that there is nothing more for now.
    settles: Option<Instant>,
}

impl<S: Sink, L: FnMut(u64) -> Vec<u8>> Writer<S, L> {
    fn run(mut self) {
        while self.take() && self.write_all() && self.say_lost() {
            self.settles.get_or_insert_with(|| Instant::now() + SETTLING);
        }
        self.end();
    }

    /// Behind the lines for which there was room.
    fn say_lost(&mut self) -> bool {
        match std::mem::take(&mut self.lost) {
            0 => true,
            lost => {
                self.unwritten = (self.tell_lost)(lost);
                self.write_all()
            }
        }
    }

    /// Tries again until everything is written, or nothing more can be: false then.
    fn write_all(&mut self) -> bool {
        while let Err(_error) = self.write() {
            if !self.pause() {
                return false;
            }
        }
        true
    }

    /// Waits for lines and takes all there are. False where none will come any more.
    fn take(&mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        let has_news = |queue: &Queue| queue.reopen || queue.lost > 0 || !queue.waiting.is_empty();
        let is_idle = |queue: &mut Queue| !has_news(queue) && !queue.is_closing;
        let mut queue = loop {
            let Some(settles) = self.settles else {
                let idle = shared.news.wait_while(shared.lock(), is_idle);
                break idle.unwrap_or_else(PoisonError::into_inner);
            };
            let time = settles.saturating_duration_since(Instant::now());
            let idle = shared.news.wait_timeout_while(shared.lock(), time, is_idle);
            let (queue, _) = idle.unwrap_or_else(PoisonError::into_inner);
            if Instant::now() < settles {
                break queue;
            }
            drop(queue);
            self.settle();
        };
        if !has_news(&queue) {
            return false;
        }
        self.unwritten.shrink_to(KEPT);
        std::mem::swap(&mut queue.waiting, &mut self.unwritten);
        if shared.is_full.load(Ordering::Acquire) {
            // Whoever sees that there is room sees that it was freed.
            shared.times_freed.fetch_add(1, Ordering::Release);
            shared.is_full.store(false, Ordering::Release);
        }
        let lost = std::mem::take(&mut queue.lost);
        queue.unwritten_lines = std::mem::take(&mut queue.waiting_lines) + lost;
        self.lost = lost;
        self.reopen_if_asked(queue);
        true
    }

    fn reopen_if_asked(&mut self, mut queue: MutexGuard<'_, Queue>) {
        let is_asked = std::mem::take(&mut queue.reopen);
        // What there is to say of it goes into the queue.
        drop(queue);
        if is_asked && self.sink.reopen() {
            self.is_torn = false;
        }
    }

    /// Writes everything. After an error the lines are left that are not written in whole.
    fn write(&mut self) -> io::Result<()> {
        let mut written = 0;
        let result = loop {
            let rest = &self.unwritten[written..];
            let next = if self.is_torn { b"\n" } else { rest };
            if next.is_empty() {
                break Ok(());
            }
            match self.sink.write(next) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(_) if self.is_torn => self.is_torn = false,
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && self.nap() => {}
                Err(error) => break Err(error),
            }
        };
        let whole = self.unwritten[..written].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.is_torn |= whole < written;
        self.unwritten.drain(..whole);
        let unwritten = memchr::memchr_iter(b'\n', &self.unwritten).count() as u64;
        self.shared.lock().unwritten_lines = unwritten + self.lost;
        result
    }

    /// Waits for a stream that takes nothing at the moment. False if it is to be opened again instead.
    fn nap(&self) -> bool {
        let idle = self.shared.news.wait_timeout_while(self.shared.lock(), NAP, |queue| !queue.reopen);
        let (queue, _) = idle.unwrap_or_else(PoisonError::into_inner);
        !queue.reopen
    }

    /// Waits before the next try. False if there is to be none.
    fn pause(&mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        let idle = shared.news.wait_timeout_while(shared.lock(), PAUSE, |queue| !queue.reopen && !queue.is_closing);
        let (queue, _) = idle.unwrap_or_else(PoisonError::into_inner);
        let goes_on = queue.reopen || !queue.is_closing;
        self.reopen_if_asked(queue);
        goes_on
    }

    fn settle(&mut self) {
        let again = self.sink.settle();
        self.settles = (again == Settled::Again).then(|| Instant::now() + SETTLING);
    }

    fn end(self) {
        let Writer { shared, sink, .. } = self;
        // It may have something to do for that.
        drop(sink);
        shared.lock().has_ended = true;
        shared.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Takes what it is told to, then everything.
    #[derive(Default, Clone)]
    struct Script(Arc<(Mutex<Scene>, Condvar)>);

    #[derive(Default)]
    struct Scene {
        next: VecDeque<io::Result<usize>>,
        taken: Vec<u8>,
        /// Takes nothing, and keeps its writer waiting.
        is_stuck: bool,
        /// It does so at the moment, or has.
        has_kept_waiting: bool,
    }

    impl Script {
        fn of(next: impl IntoIterator<Item = io::Result<usize>>) -> Script {
            let script = Script::default();
            script.scene().next = next.into_iter().collect();
            script
        }

        fn stuck() -> Script {
            let script = Script::default();
            script.scene().is_stuck = true;
            script
        }

        fn scene(&self) -> MutexGuard<'_, Scene> {
            self.0.0.lock().unwrap()
        }

        fn free(&self) {
            self.scene().is_stuck = false;
            self.0.1.notify_all();
        }

        /// A queue whose thread has taken `line` and is stuck with it: whatever follows stays in the queue.
        fn start_stuck_with(&self, line: &[u8]) -> Lines {
            let lines = start(self);
            lines.put(line);
            while !self.scene().has_kept_waiting {
                thread::yield_now();
            }
            lines
        }

        fn wait_for(&self, text: &str) {
            while self.taken() != text {
                thread::yield_now();
            }
        }

        fn taken(&self) -> String {
            String::from_utf8(self.scene().taken.clone()).unwrap()
        }
    }

    impl Sink for Script {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut scene = self.scene();
            scene.has_kept_waiting |= scene.is_stuck;
            let mut scene = self.0.1.wait_while(scene, |scene| scene.is_stuck).unwrap();
            let count = scene.next.pop_front().unwrap_or(Ok(usize::MAX))?.min(bytes.len());
            scene.taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn reopen(&mut self) -> bool {
            let mut scene = self.scene();
            scene.taken.clear();
            scene.next.clear();
            true
        }
    }

    fn start(script: &Script) -> Lines {
        Lines::start("test", script.clone(), |lost| format!("lost {lost}\n").into_bytes()).unwrap()
    }

    fn full() -> io::Error {
        io::ErrorKind::StorageFull.into()
    }

    #[test]
    fn what_is_queued_is_written_before_the_end_in_order() {
        let script =
            Script::of([Ok(1), Err(io::ErrorKind::Interrupted.into()), Ok(2), Err(io::ErrorKind::WouldBlock.into())]);
        let lines = start(&script);
        (0..100).for_each(|number| lines.put(format!("{number}\n").as_bytes()));
        assert_eq!(lines.close(PATIENCE), 0);
        assert_eq!(script.taken(), (0..100).map(|number| format!("{number}\n")).collect::<String>());
    }

    #[test]
    fn a_torn_line_is_ended_and_written_again_and_nothing_is_lost_by_an_error() {
        let script = Script::of([Ok(8), Err(full()), Err(full())]);
        let lines = start(&script);
        lines.put(b"first\nsecond\n");
        script.wait_for("first\nse\nsecond\n");
        lines.put(b"third\n");
        assert_eq!(lines.close(PATIENCE), 0);
        assert_eq!(script.taken(), "first\nse\nsecond\nthird\n");
    }

    #[test]
    fn what_is_opened_again_begins_with_a_whole_line() {
        let script = Script::of([Ok(8)].into_iter().chain((0..1000).map(|_| Err(full()))));
        let lines = start(&script);
        lines.put(b"first\nsecond\n");
        script.wait_for("first\nse");
        lines.reopen();
        assert_eq!(lines.close(PATIENCE), 0);
        assert_eq!(script.taken(), "second\n");
    }

    #[test]
    fn a_stream_that_takes_nothing_for_now_is_left_when_it_is_to_be_opened_again() {
        let busy = (0..1_000_000).map(|_| Err(io::ErrorKind::WouldBlock.into()));
        let script = Script::of([Ok(8)].into_iter().chain(busy));
        let lines = start(&script);
        lines.put(b"first\nsecond\n");
        script.wait_for("first\nse");
        lines.reopen();
        script.wait_for("second\n");
        assert_eq!(lines.close(PATIENCE), 0);
    }

    #[test]
    fn lines_without_room_are_counted_and_the_count_is_said_behind_those_that_had_it() {
        let script = Script::stuck();
        let lines = script.start_stuck_with(b"first\n");
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        let room = ROOM / line.len();
        (0..room + 7).for_each(|_| lines.put(&line));
        assert_eq!(lines.lost_in_all(), 7);
        script.free();
        assert_eq!(lines.close(PATIENCE), 0);
        let expected = [b"first\n", line.repeat(room).as_slice(), b"lost 7\n"].concat();
        assert!(script.taken().as_bytes() == expected);
    }

    #[test]
    fn however_many_lines_clients_cause_there_is_room_for_others() {
        let script = Script::stuck();
        let lines = start(&script);
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        (0..3 * (ROOM / line.len())).for_each(|_| lines.put_of_clients(&line));
        (0..RESERVE / line.len()).for_each(|_| lines.put(b"acl\n"));
        script.free();
        assert_eq!(lines.close(PATIENCE), 0);
        assert_eq!(script.taken().matches("acl\n").count(), RESERVE / line.len());
    }

    #[test]
    fn a_line_for_which_there_is_no_room_is_handed_back_until_there_is_room_again() {
        let script = Script::stuck();
        let lines = script.start_stuck_with(b"first\n");
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        assert!(!lines.is_full());
        let offered = (0..3 * (ROOM / line.len())).filter(|_| lines.offer_of_clients(&line)).count();
        assert!(lines.is_full() && lines.times_freed() == 0);
        script.free();
        while lines.is_full() {
            thread::yield_now();
        }
        assert_eq!(lines.times_freed(), 1);
        assert!(lines.offer_of_clients(b"last\n"));
        assert_eq!(lines.close(PATIENCE), 0);
        assert_eq!((script.taken().lines().count(), lines.lost_in_all()), (offered + 2, 0));
    }

    #[test]
    fn what_is_left_at_the_end_by_a_sink_that_is_stuck_or_broken_is_counted_and_nobody_waits_for_it() {
        for script in [Script::stuck(), Script::of((0..1000).map(|_| Err(full())))] {
            let lines = start(&script);
            (0..5).for_each(|_| lines.put(b"a\n"));
            assert_eq!(lines.close(Duration::from_millis(1)), 5);
        }
    }

    #[test]
    fn what_is_left_at_the_end_is_what_was_not_written_and_what_found_no_room() {
        let script = Script::of([Ok(3)].into_iter().chain((0..1000).map(|_| Err(full()))));
        let lines = start(&script);
        lines.put(b"a\n");
        script.wait_for("a\n");
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        let put = 2 * (ROOM / line.len()) + 7;
        (0..put).for_each(|_| lines.put(&line));
        assert!(lines.lost_in_all() > 0);
        assert_eq!(lines.close(PATIENCE), put as u64);
    }
}

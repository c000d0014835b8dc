//! Many connections on one thread, each of which asks again when it has its answer.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::fs::Timespec;

use crate::connection::{Connection, Server};
use crate::requests::{PING, Requests};
use crate::tally::Tally;

/// The time that is measured.
pub(crate) struct Window {
    pub(crate) begin: Instant,
    pub(crate) end: Instant,
}

pub(crate) struct Crowd {
    epoll: OwnedFd,
    members: Vec<Member>,
    buffer: Vec<u8>,
}

struct Member {
    connection: Connection,
    /// When what it waits for was sent, or when it connected.
    since: Instant,
    /// Replies to come.
    waiting: usize,
    waits_for_room: bool,
}

impl Crowd {
    pub(crate) fn connect(server: &Server, count: usize) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut crowd = Self { epoll, members: Vec::new(), buffer: vec![0; 256 << 10] };
        for number in 0..count {
            let member = crowd.newcomer(server, number)?;
            crowd.members.push(member);
        }
        Ok(crowd)
    }

    /// Requests in pipelines; the time until all replies to one are there counts for each.
    pub(crate) fn ask(&mut self, mut requests: Requests, pipeline: usize, window: &Window) -> io::Result<Tally> {
        for number in 0..self.members.len() {
            self.send(number, requests.pipeline(pipeline), pipeline)?;
        }
        self.run(window, |crowd, number, now, tally| {
            if let Some(tally) = tally {
                tally.add(now - crowd.members[number].since, pipeline);
            }
            crowd.send(number, requests.pipeline(pipeline), pipeline)
        })
    }

    /// Connections that come, send one PING and go.
    pub(crate) fn come_and_go(&mut self, server: &Server, window: &Window) -> io::Result<Tally> {
        for number in 0..self.members.len() {
            self.greet(number)?;
        }
        self.run(window, |crowd, number, now, tally| {
            let newcomer = crowd.newcomer(server, number)?;
            let member = std::mem::replace(&mut crowd.members[number], newcomer);
            if let Some(tally) = tally {
                tally.add(now - member.since, 1);
                tally.resumed += u64::from(member.connection.is_resumed());
            }
            // Closing the socket takes it out of the epoll.
            member.connection.close()?;
            crowd.greet(number)
        })
    }

    /// Calls `answered` whenever a member has all its replies, with a tally inside of the window.
    fn run(
        &mut self,
        window: &Window,
        mut answered: impl FnMut(&mut Self, usize, Instant, Option<&mut Tally>) -> io::Result<()>,
    ) -> io::Result<Tally> {
        let mut tally = Tally::default();
        let mut events = Vec::with_capacity(1024);
        let mut measuring = false;
        loop {
            self.wait(&mut events)?;
            let now = Instant::now();
            if !measuring && now >= window.begin {
                measuring = true;
                say("begin")?;
            }
            if now >= window.end {
                say("end")?;
                return Ok(tally);
            }
            for event in &events {
                let number = event.data.u64() as usize;
                if self.hear(number, event.flags)? {
                    answered(self, number, Instant::now(), measuring.then_some(&mut tally))?;
                }
            }
        }
    }

    fn wait(&self, events: &mut Vec<Event>) -> io::Result<()> {
        events.clear();
        let most = Timespec::try_from(Duration::from_millis(10)).map_err(io::Error::other)?;
        epoll::wait(&self.epoll, rustix::buffer::spare_capacity(events), Some(&most))?;
        Ok(())
    }

    /// Whether that was the last reply it waited for.
    fn hear(&mut self, number: usize, flags: EventFlags) -> io::Result<bool> {
        let member = &mut self.members[number];
        if flags.contains(EventFlags::OUT) {
            member.connection.flush()?;
        }
        let mut ended = 0;
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            ended = member.connection.receive(&mut self.buffer)?;
            member.waiting -= ended;
        }
        let all = ended > 0 && member.waiting == 0;
        self.watch_for_room(number)?;
        Ok(all)
    }

    fn greet(&mut self, number: usize) -> io::Result<()> {
        let connected = self.members[number].since;
        self.send(number, PING, 1)?;
        self.members[number].since = connected;
        Ok(())
    }

    fn send(&mut self, number: usize, requests: &[u8], count: usize) -> io::Result<()> {
        let member = &mut self.members[number];
        member.since = Instant::now();
        member.waiting = count;
        member.connection.send(requests)?;
        self.watch_for_room(number)
    }

    fn newcomer(&self, server: &Server, number: usize) -> io::Result<Member> {
        let since = Instant::now();
        let connection = server.connect()?;
        connection.set_nonblocking()?;
        epoll::add(&self.epoll, &connection, EventData::new_u64(number as u64), EventFlags::IN)?;
        Ok(Member { connection, since, waiting: 0, waits_for_room: false })
    }

    fn watch_for_room(&mut self, number: usize) -> io::Result<()> {
        let member = &mut self.members[number];
        let unsent = member.connection.has_unsent();
        if unsent == member.waits_for_room {
            return Ok(());
        }
        member.waits_for_room = unsent;
        let flags = if unsent { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
        epoll::modify(&self.epoll, &member.connection, EventData::new_u64(number as u64), flags)?;
        Ok(())
    }
}

/// Whoever waits for this line reads the counters of the servers now.
fn say(what: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{what}")?;
    out.flush()
}

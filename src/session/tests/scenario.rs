//! Sessions made of arbitrary bytes, and what must hold for each of them whatever happens.
//!
//! Every request that can tell its reply from others carries a number, which its reply repeats.

use std::time::Duration;

use super::redis::{Redis, requests};
use super::rig::{HOLD_BUFFER, REQUEST_BUFFER, Rig, request};
use crate::resp::ReplyFramer;
use crate::session::{LoginOutcome, Report, UpstreamFailure};

/// The users of all scenarios: none may touch a key but `a:…`, run FLUSHALL or read CONFIG.
const ACLS: [&str; 3] = [
    "user default on nopass ~a:* &* +@all\nuser alice on nopass ~a:* &* +@all\nuser bob on >secret ~a:* +@all\n",
    "user default on >secret ~a:* &* +@all\nuser alice on nopass ~a:* &* +@all\nuser bob on >secret ~a:1* +@read +auth\n",
    "user default on >secret ~a:* &* +@all\nuser alice on nopass ~a:2* resetchannels +@all -echo\n",
];

/// More than a session may hold: one request, the hold, both backlogs, and what one read adds to each.
const MOST_HELD: usize = REQUEST_BUFFER + HOLD_BUFFER + (4 << 20) + (512 << 10);

/// Bytes that decide; zeros once they are used up.
struct Source<'a>(&'a [u8]);

impl Source<'_> {
    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bytes of something arrive together.
    fn piece(&mut self) -> usize {
        match self.next() {
            few @ 1..128 => usize::from(few),
            more => 64 + usize::from(more) * 512,
        }
    }

    /// A request with this number.
    fn request(&mut self, number: usize) -> Vec<u8> {
        let line = match self.next() % 48 {
            0..6 => format!("ECHO <{number}>"),
            6..9 => format!("GET a:<{number}>"),
            9 => format!("SET a:<{number}> value GET"),
            10 => format!("GET b:<{number}>"),
            11 => format!("NOSUCH<{number}> x"),
            12 => "FLUSHALL".to_owned(),
            13 => "CONFIG SET maxmemory 1".to_owned(),
            14..17 => "MULTI".to_owned(),
            17..20 => "EXEC".to_owned(),
            20 => "DISCARD".to_owned(),
            21 => "ACL WHOAMI".to_owned(),
            22 => format!("EVAL script 1 a:<{number}>"),
            23 => "CLIENT REPLY OFF".to_owned(),
            24 => "CLIENT REPLY SKIP".to_owned(),
            25..28 => "CLIENT REPLY ON".to_owned(),
            28 => "SUBSCRIBE x y".to_owned(),
            29 => "PSUBSCRIBE z*".to_owned(),
            30 | 31 => "UNSUBSCRIBE".to_owned(),
            32 => "PUNSUBSCRIBE".to_owned(),
            33 => "PING".to_owned(),
            34 => "HELLO 3".to_owned(),
            35 => "HELLO 2 AUTH alice x".to_owned(),
            36 => "SELECT 2".to_owned(),
            37 => "WATCH a:1".to_owned(),
            38 => format!("LRANGE a:<{number}> 0 -1"),
            39 => return format!("echo \"<{number}>\"\r\n").into_bytes(),
            40 => return b"*0\r\n".to_vec(),
            41 => format!("SET a:1 {}", "v".repeat(70_000)),
            42 => format!("CONFIG SET x {}", "v".repeat(70_000)),
            43 => "MONITOR".to_owned(),
            44 => "QUIT".to_owned(),
            45 | 46 => "INFO".to_owned(),
            _ => "RESET".to_owned(),
        };
        request(&line)
    }
}

/// The same requests whole and one by one, and cut and answered in any pieces: both sides are sent the same. How often Redis
/// is made to refuse something may differ: as long as it has not answered DISCARD, there may be a transaction to abort.
pub(crate) fn check_pieces(data: &[u8]) {
    let mut source = Source(data);
    let pieces: Vec<usize> = (0..4).map(|_| source.piece()).collect();
    let mut said = Vec::new();
    while !source.is_empty() && said.len() < 64 {
        said.push(source.request(said.len()));
    }
    // Large values in small pieces take long and show nothing new.
    let least = if said.concat().len() > 32 << 10 { 2048 } else { 1 };
    let pieces: Vec<usize> = pieces.into_iter().map(|piece| piece.max(least)).collect();
    let whole = conversation(&said, &[usize::MAX]);
    let cut = conversation(&[said.concat()], &pieces);
    assert_eq!(cut.heard.escape_ascii().to_string(), whole.heard.escape_ascii().to_string());
    assert_eq!(without_refused(&cut.sent), without_refused(&whole.sent));
}

fn without_refused(sent: &[u8]) -> String {
    sent.escape_ascii().to_string().replace(&request("respgate:refused").escape_ascii().to_string(), "")
}

struct Transcript {
    heard: Vec<u8>,
    sent: Vec<u8>,
}

/// Sends each of `said` in pieces of these lengths, and lets Redis answer in such pieces too.
fn conversation(said: &[Vec<u8>], pieces: &[usize]) -> Transcript {
    let mut rig = Rig::new(ACLS[0]);
    rig.mirror_users();
    rig.mirrors = true;
    let mut talk = Talk::new(rig);
    let mut lengths = pieces.iter().cycle();
    for bytes in said {
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(lengths.next().map_or(rest.len(), |len| *len.min(&rest.len())));
            talk.rig.client(piece);
            rest = behind;
            talk.hear(*lengths.next().unwrap_or(&1));
            talk.check();
        }
        while talk.hear(*lengths.next().unwrap_or(&1)) {
            talk.check();
        }
    }
    talk.check();
    Transcript { heard: talk.heard, sent: talk.sent }
}

/// Everything that can happen to a session, in any order.
pub(crate) fn check_steps(data: &[u8]) {
    let mut source = Source(data);
    let acl = usize::from(source.next()) % ACLS.len();
    let mut rig = Rig::new(ACLS[acl]);
    rig.connects = source.next() % 2 == 0;
    rig.mirror_users();
    let mut talk = Talk::new(rig);
    let mut number = 0;
    while !source.is_empty() && talk.rig.closed.is_none() {
        let is_unauthenticated = talk.rig.core.principal().is_none();
        let sent_before = talk.sent.len();
        match source.next() % 24 {
            0..8 => {
                let said = source.request(number);
                number += 1;
                let cut = source.piece().min(said.len());
                talk.rig.client(&said[..cut]);
                talk.rig.client(&said[cut..]);
            }
            8..13 => drop(talk.hear(source.piece())),
            13 => {
                let raw: Vec<u8> = (0..source.next() % 32).map(|_| source.next()).collect();
                talk.rig.client(&raw);
            }
            14 => {
                let raw: Vec<u8> = (0..source.next() % 32).map(|_| source.next()).collect();
                talk.is_sane &= raw.is_empty();
                talk.rig.redis(&raw);
            }
            15 => talk.rig.client_reads(source.next() % 2 == 0),
            16 => talk.rig.redis_reads = source.next() % 2 == 0,
            17 if talk.rig.connecting => {
                let result = if source.next() % 4 == 0 { Err(UpstreamFailure::Unavailable) } else { Ok(()) };
                talk.rig.connected(result);
            }
            18 if talk.rig.verifying.is_some() => talk.rig.verified(match source.next() % 4 {
                0 => LoginOutcome::Rejected,
                1 => LoginOutcome::Busy,
                2 => LoginOutcome::Throttled,
                _ => LoginOutcome::Accepted(0),
            }),
            18 if talk.rig.mirroring.is_some() => talk.rig.mirrored(source.next() % 4 != 0),
            19 => talk.rig.reload(ACLS[usize::from(source.next()) % ACLS.len()]),
            20 => talk.rig.wait(Duration::from_secs(u64::from(source.next() % 8))),
            21 => talk.rig.client(&request("AUTH bob guess")),
            22 if source.next() % 8 == 0 => talk.rig.client_leaves(),
            23 if source.next() % 8 == 0 => talk.rig.redis_leaves(),
            _ => {}
        }
        talk.check();
        // Somebody may have logged in and out again in one step.
        let reports = talk.rig.core.take_reports();
        let logged_in = reports.iter().any(|(report, _)| matches!(report, Report::LoggedIn { .. }));
        if is_unauthenticated && !logged_in && talk.rig.core.principal().is_none() {
            assert_eq!(talk.sent.len(), sent_before, "nothing is forwarded for nobody");
        }
    }
}

/// A session and the Redis behind it.
struct Talk {
    rig: Rig,
    redis: Redis,
    connection: u32,
    /// What Redis answered and the session was not given yet.
    answers: Vec<u8>,
    heard: Vec<u8>,
    sent: Vec<u8>,
    order_heard: Order,
    order_sent: Order,
    framer: ReplyFramer,
    /// Redis said nothing but answers.
    is_sane: bool,
}

impl Talk {
    fn new(rig: Rig) -> Talk {
        Talk {
            rig,
            redis: Redis::default(),
            connection: 0,
            answers: Vec::new(),
            heard: Vec::new(),
            sent: Vec::new(),
            order_heard: Order::default(),
            order_sent: Order::default(),
            framer: ReplyFramer::new(),
            is_sane: true,
        }
    }

    /// Redis takes what it was sent, and the session so many bytes of its answers. False if there are none.
    fn hear(&mut self, most: usize) -> bool {
        self.carry();
        let piece: Vec<u8> = self.answers.drain(..most.min(self.answers.len())).collect();
        self.rig.redis(&piece);
        self.carry();
        !piece.is_empty() || !self.answers.is_empty()
    }

    fn carry(&mut self) {
        let (gone, now) = self.rig.conversations();
        self.sent.extend_from_slice(&gone);
        self.sent.extend_from_slice(&now);
        if self.connection != self.rig.connections {
            self.connection = self.rig.connections;
            self.redis = Redis::default();
            self.answers.clear();
        }
        self.answers.extend(self.redis.answer(&now));
        self.heard.extend(self.rig.heard_bytes());
    }

    /// What must hold at any time.
    fn check(&mut self) {
        self.carry();
        assert!(self.rig.held() <= MOST_HELD, "{} bytes are held", self.rig.held());
        self.check_sent();
        if self.is_sane {
            self.check_heard();
        }
    }

    /// Redis is sent whole requests in their order, none of which anybody here may make.
    fn check_sent(&mut self) {
        let (requests, rest) = requests(&self.sent[self.order_sent.known..]);
        for arguments in &requests {
            let name = arguments.first().map(|name| name.to_ascii_lowercase()).unwrap_or_default();
            let key = arguments.get(1).cloned().unwrap_or_default();
            match name.as_slice() {
                b"flushall" | b"config" | b"acl" | b"quit" | b"reset" => {
                    panic!("{} was forwarded", name.escape_ascii())
                }
                b"get" | b"set" | b"lrange" | b"watch" => assert!(key.starts_with(b"a:"), "{}", key.escape_ascii()),
                b"hello" => assert!(!arguments.iter().any(|argument| argument.eq_ignore_ascii_case(b"auth"))),
                _ => {}
            }
        }
        // Of a request that is not complete, only a large value may have gone on.
        assert!(rest.is_empty() || rest.len() > 20, "half a request: {}", rest.escape_ascii());
        let whole = self.sent.len() - rest.len();
        self.order_sent.go_on(&self.sent, whole);
    }

    /// The client is sent whole replies in the order of its requests.
    fn check_heard(&mut self) {
        let mut framed = self.order_heard.known;
        while framed < self.heard.len() {
            let step = self.framer.scan(&self.heard[framed..]).expect("the client is sent frames");
            if !step.complete {
                break;
            }
            framed += step.len;
        }
        self.order_heard.go_on(&self.heard, framed);
    }
}

/// The numbers in what was sent to a side, which rise.
#[derive(Default)]
struct Order {
    /// So many bytes are known to be in order.
    known: usize,
    last: Option<usize>,
}

impl Order {
    fn go_on(&mut self, bytes: &[u8], until: usize) {
        for text in bytes[self.known..until].split(|byte| *byte == b'<').skip(1) {
            let digits = text.split(|byte| *byte == b'>').next().unwrap_or_default();
            let Some(number) = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()) else {
                continue;
            };
            assert!(self.last < Some(number), "{number} comes after {:?}", self.last);
            self.last = Some(number);
        }
        self.known = until;
    }
}

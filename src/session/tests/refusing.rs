//! A Redis that refuses one command to the proxy's own user, and a client that may do less in one database than in another.

use super::redis::requests;
use super::rig::{Rig, request};

/// All keys of database 0, `pub:…` in each.
const ACL: &str = "user default on nopass ~* &* +@all db=0 (~pub:* +@all alldbs)\n";

/// The one that is refused.
const REFUSED: [&str; 6] = ["multi", "exec", "discard", "select", "get", "set"];

/// As much of Redis as decides what is executed where.
#[derive(Default)]
pub(crate) struct Redis {
    refused: &'static str,
    pub(crate) database: u32,
    /// What waits for EXEC, and whether that will abort.
    queue: Option<Vec<Vec<Vec<u8>>>>,
    is_aborted: bool,
    unread: Vec<u8>,
}

impl Redis {
    pub(crate) fn is_queueing(&self) -> bool {
        self.queue.is_some()
    }

    fn answer(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.unread.extend_from_slice(bytes);
        let sent = std::mem::take(&mut self.unread);
        let (requests, rest) = requests(&sent);
        self.unread = rest.to_vec();
        requests.into_iter().flat_map(|arguments| self.reply(arguments)).collect()
    }

    fn reply(&mut self, arguments: Vec<Vec<u8>>) -> Vec<u8> {
        let name = String::from_utf8_lossy(&arguments[0]).to_ascii_lowercase();
        let is_refused = name == self.refused || name.starts_with("respgate:");
        match (name.as_str(), self.queue.is_some()) {
            ("exec", _) if is_refused => {
                self.queue = None;
                b"-EXECABORT Transaction discarded because of: NOPERM\r\n".to_vec()
            }
            _ if is_refused => {
                self.is_aborted = true;
                b"-NOPERM this user has no permissions\r\n".to_vec()
            }
            ("multi", true) => b"-ERR MULTI calls can not be nested\r\n".to_vec(),
            ("multi", false) => {
                (self.queue, self.is_aborted) = (Some(Vec::new()), false);
                b"+OK\r\n".to_vec()
            }
            ("exec" | "discard", false) => format!("-ERR {} without MULTI\r\n", name.to_ascii_uppercase()).into_bytes(),
            ("discard", true) => {
                self.queue = None;
                b"+OK\r\n".to_vec()
            }
            ("exec", true) => {
                let queued = self.queue.take().unwrap_or_default();
                if self.is_aborted {
                    return b"-EXECABORT Transaction discarded because of previous errors.\r\n".to_vec();
                }
                let replies: Vec<Vec<u8>> = queued.iter().map(|arguments| self.execute(arguments)).collect();
                [format!("*{}\r\n", replies.len()).into_bytes(), replies.concat()].concat()
            }
            (_, true) => {
                self.queue.get_or_insert_default().push(arguments);
                b"+QUEUED\r\n".to_vec()
            }
            (_, false) => self.execute(&arguments),
        }
    }

    fn execute(&mut self, arguments: &[Vec<u8>]) -> Vec<u8> {
        let argument = String::from_utf8_lossy(&arguments[1]).into_owned();
        if arguments[0].eq_ignore_ascii_case(b"select") {
            match argument.parse() {
                Ok(database) if database < 16 => self.database = database,
                _ => return b"-ERR DB index is out of range\r\n".to_vec(),
            }
        } else {
            let may_be = argument.starts_with("pub:") || self.database == 0;
            assert!(may_be, "{argument} in database {} is nobody's to use", self.database);
        }
        b"+OK\r\n".to_vec()
    }
}

/// Any requests, and replies that come at any time: nothing is executed that the ACL does not permit. Returns both sides,
/// once nothing is on its way any more.
pub(crate) fn check_refusals(data: &[u8]) -> (Rig, Redis) {
    let (first, rest) = data.split_first().unwrap_or((&0, &[]));
    let mut rig = Rig::valkey(ACL);
    let mut redis = Redis { refused: REFUSED[usize::from(*first) % REFUSED.len()], ..Redis::default() };
    let mut answers = Vec::new();
    let large = format!("SET secret {}", "v".repeat(70_000));
    for byte in rest {
        let line = match byte % 16 {
            0 | 1 => "MULTI",
            2 | 3 => "EXEC",
            4 => "DISCARD",
            5 | 6 => "SELECT 5",
            7 => "SELECT 0",
            8 => "SELECT 99",
            9 | 10 => "GET secret",
            11 => "SET pub:a 1",
            12 => "FLUSHALL",
            13 => &large,
            _ => {
                // So much of what Redis has to say arrives.
                answers.extend(redis.answer(&rig.sent()));
                let some = answers.len().min(usize::from(byte / 16));
                rig.redis(answers.drain(..some).collect::<Vec<_>>());
                continue;
            }
        };
        rig.client(&request(line));
    }
    loop {
        let sent = rig.sent();
        if sent.is_empty() && answers.is_empty() {
            return (rig, redis);
        }
        answers.extend(redis.answer(&sent));
        rig.redis(std::mem::take(&mut answers));
    }
}

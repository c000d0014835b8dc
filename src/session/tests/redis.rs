//! A Redis that is just real enough: it answers every request with something that tells which one it was.

/// Whole requests at the front of what Redis was sent, by argument, and the bytes behind them. Fails on anything that is
/// not canonical multibulk.
pub(crate) fn requests(bytes: &[u8]) -> (Vec<Vec<Vec<u8>>>, &[u8]) {
    let (mut requests, mut rest) = (Vec::new(), bytes);
    while let Some((arguments, behind)) = request(rest) {
        requests.push(arguments);
        rest = behind;
    }
    (requests, rest)
}

fn request(bytes: &[u8]) -> Option<(Vec<Vec<u8>>, &[u8])> {
    let (count, mut rest) = number(b'*', bytes)?;
    let mut arguments = Vec::new();
    for _ in 0..count {
        let (len, body) = number(b'$', rest)?;
        let end = body.get(len..len + 2)?;
        assert_eq!(end, b"\r\n", "an argument ends with its length");
        arguments.push(body[..len].to_vec());
        rest = &body[len + 2..];
    }
    Some((arguments, rest))
}

fn number(kind: u8, bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    assert_eq!(*first, kind, "a request is canonical: {}", bytes[..bytes.len().min(80)].escape_ascii());
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let number = std::str::from_utf8(&rest[..end]).unwrap().parse().unwrap();
    Some((number, &rest[end + 2..]))
}

/// The state of one connection.
#[derive(Default)]
pub(crate) struct Redis {
    unread: Vec<u8>,
    resp3: bool,
    queue: Option<Vec<Vec<u8>>>,
    /// Something in the transaction was refused.
    dirty: bool,
    channels: Vec<Vec<u8>>,
    patterns: Vec<Vec<u8>>,
    /// It has let the session act for a user of its own.
    has_login: bool,
}

impl Redis {
    /// Takes what was sent and returns all replies to it.
    pub(crate) fn answer(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.unread.extend_from_slice(bytes);
        let sent = std::mem::take(&mut self.unread);
        let (requests, rest) = requests(&sent);
        self.unread = rest.to_vec();
        requests.iter().flat_map(|arguments| self.reply(arguments)).collect()
    }

    fn reply(&mut self, arguments: &[Vec<u8>]) -> Vec<u8> {
        let Some(name) = arguments.first().map(|name| name.to_ascii_lowercase()) else {
            return Vec::new();
        };
        self.confirmations(&name, arguments).unwrap_or_else(|| self.ordinary(&name, arguments))
    }

    fn ordinary(&mut self, name: &[u8], arguments: &[Vec<u8>]) -> Vec<u8> {
        let argument = |at: usize| arguments.get(at).cloned().unwrap_or_default();
        let subscribed = self.subscriptions() > 0;
        match (name, &mut self.queue) {
            (b"respgate:refused", queue) => {
                self.dirty = queue.is_some();
                return b"-ERR unknown command\r\n".to_vec();
            }
            (b"multi", None) => {
                self.queue = Some(Vec::new());
                self.dirty = false;
            }
            (b"multi", Some(_)) => return b"-ERR MULTI calls can not be nested\r\n".to_vec(),
            (b"watch", Some(_)) => return b"-ERR WATCH inside MULTI is not allowed\r\n".to_vec(),
            (b"exec", queue) if arguments.len() > 1 => {
                *queue = None;
                return b"-EXECABORT Transaction discarded because of: wrong number of arguments\r\n".to_vec();
            }
            (b"exec", None) => return b"-ERR EXEC without MULTI\r\n".to_vec(),
            (b"discard", None) => return b"-ERR DISCARD without MULTI\r\n".to_vec(),
            (b"discard", Some(_)) => self.queue = None,
            (b"exec", queue) if self.dirty => {
                *queue = None;
                return b"-EXECABORT Transaction discarded because of previous errors.\r\n".to_vec();
            }
            (b"exec", queue) => {
                let replies = queue.take().unwrap_or_default();
                return [format!("*{}\r\n", replies.len()).into_bytes(), replies.concat()].concat();
            }
            (b"eval", _) if !self.has_login => panic!("a script runs for nobody in particular"),
            (b"auth", Some(_)) => panic!("a login inside a transaction"),
            (_, Some(queue)) => {
                let reply = told(name, &argument(1));
                queue.push(reply);
                return b"+QUEUED\r\n".to_vec();
            }
            (b"auth", None) => {
                assert!(argument(1).starts_with(b"mirror:"), "a client's login was forwarded");
                self.has_login = true;
            }
            (b"hello", None) => {
                self.resp3 = argument(1) != b"2" && (self.resp3 || argument(1) == b"3");
                return if self.resp3 {
                    b"%1\r\n+proto\r\n:3\r\n".to_vec()
                } else {
                    b"*2\r\n+proto\r\n:2\r\n".to_vec()
                };
            }
            (b"ping", None) if !self.resp3 && subscribed => return b"*2\r\n$4\r\npong\r\n$0\r\n\r\n".to_vec(),
            (b"info", None) if self.resp3 => return b"=36\r\ntxt:# Stats\r\ntotal_error_replies:9\r\n\r\n".to_vec(),
            (_, None) => return told(name, &argument(1)),
        }
        b"+OK\r\n".to_vec()
    }

    fn subscriptions(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }

    fn confirmations(&mut self, name: &[u8], arguments: &[Vec<u8>]) -> Option<Vec<u8>> {
        let of_patterns = name.starts_with(b"p");
        let mut named = arguments[1..].to_vec();
        let set = if of_patterns { &mut self.patterns } else { &mut self.channels };
        let subscribing = match name {
            b"subscribe" | b"psubscribe" => true,
            b"unsubscribe" | b"punsubscribe" => {
                if named.is_empty() {
                    named.clone_from(set);
                }
                false
            }
            _ => return None,
        };
        if named.is_empty() {
            return Some(self.confirmation(name, None));
        }
        let mut confirmations = Vec::new();
        for channel in named {
            let set = if of_patterns { &mut self.patterns } else { &mut self.channels };
            set.retain(|other| *other != channel);
            if subscribing {
                set.push(channel.clone());
            }
            confirmations.extend(self.confirmation(name, Some(&channel)));
        }
        Some(confirmations)
    }

    fn confirmation(&self, name: &[u8], channel: Option<&[u8]>) -> Vec<u8> {
        let kind = if self.resp3 { b">3\r\n" } else { b"*3\r\n" };
        let channel = channel.map_or(b"$-1\r\n".to_vec(), bulk);
        [kind.as_slice(), &bulk(name), &channel, format!(":{}\r\n", self.subscriptions()).as_bytes()].concat()
    }
}

/// A reply that names its request.
fn told(name: &[u8], argument: &[u8]) -> Vec<u8> {
    match name {
        b"echo" | b"get" => bulk(argument),
        b"lrange" => [b"*2\r\n".to_vec(), bulk(argument), bulk(b"second")].concat(),
        b"incr" => b":1\r\n".to_vec(),
        b"ping" => b"+PONG\r\n".to_vec(),
        b"info" => bulk(b"# Errorstats\r\nerrorstat_ERR:count=9\r\n"),
        _ => b"+OK\r\n".to_vec(),
    }
}

fn bulk(bytes: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

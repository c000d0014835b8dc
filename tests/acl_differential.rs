//! Random rules and requests, judged by the engine and by ACL DRYRUN of a running server. A few always, and many with
//!
//!     cargo test --release --test acl_differential -- --ignored
//!
//! `RESPGATE_REDIS_SERVER` and `RESPGATE_VALKEY_SERVER` name the programs, `RESPGATE_ACL_SEED` and
//! `RESPGATE_ACL_DECISIONS` the first seed and how many decisions.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics has failed, and says what it saw")]

#[path = "acl_shared/mod.rs"]
mod shared;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use respgate::command::{ArgvBuf, CommandTable, Dialect, Scope, Unextractable};

use shared::{answer, stricter_class};

const FEW: u64 = 3_000;
const MANY: u64 = 100_000;

#[test]
fn a_few_random_decisions_agree_with_redis_70() {
    hold(Dialect::Redis70, &redis(), FEW);
}

#[test]
#[ignore = "takes long"]
fn random_decisions_agree_with_redis_70() {
    hold(Dialect::Redis70, &redis(), MANY);
}

#[test]
#[ignore = "needs a valkey-server 9.1, named by RESPGATE_VALKEY_SERVER"]
fn random_decisions_agree_with_valkey_91() {
    let program = std::env::var("RESPGATE_VALKEY_SERVER").unwrap_or_else(|_| "valkey-server".to_owned());
    hold(Dialect::Valkey91, &program, MANY);
}

#[test]
#[ignore = "takes long"]
fn requests_touch_no_keys_but_those_found_in_redis_70() {
    watch(Dialect::Redis70, &redis());
}

#[test]
#[ignore = "needs a valkey-server 9.1, named by RESPGATE_VALKEY_SERVER"]
fn requests_touch_no_keys_but_those_found_in_valkey_91() {
    let program = std::env::var("RESPGATE_VALKEY_SERVER").unwrap_or_else(|_| "valkey-server".to_owned());
    watch(Dialect::Valkey91, &program);
}

fn redis() -> String {
    std::env::var("RESPGATE_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned())
}

const REQUESTS_PER_USER: u64 = 40;

fn hold(dialect: Dialect, program: &str, decisions: u64) {
    let number = |name: &str, default: u64| std::env::var(name).ok().map_or(default, |text| text.parse().unwrap());
    let (seed, decisions) = (number("RESPGATE_ACL_SEED", 1), number("RESPGATE_ACL_DECISIONS", decisions));
    let mut server = Server::start(program);
    let table = CommandTable::builtin(dialect);
    let mut stricter: BTreeMap<&str, usize> = BTreeMap::new();
    let mut verdicts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut judged = 0;
    for seed in seed.. {
        if judged >= decisions {
            break;
        }
        let mut random = Random(seed);
        let rules = Rules { random: &mut random, table: &table }.user();
        let db = random.below(3) as u32;
        let requests: Vec<Vec<Vec<u8>>> =
            (0..REQUESTS_PER_USER).map(|_| Requests { random: &mut random, table: &table }.request()).collect();
        let (refused, replies) = server.ask(&rules, db, &requests);
        if let Some(error) = refused {
            let ours = answer(&table, &rules, None, db);
            *verdicts.entry("rule_error").or_default() += 1;
            if ours.verdict != "rule_error" || ours.message != error {
                wrong.push(format!("seed {seed}: {}\n  server: {error}\n  we: {}", shown(&rules), ours.message));
            }
            judged += 1;
            continue;
        }
        judged += REQUESTS_PER_USER;
        for (request, reply) in requests.iter().zip(replies) {
            let argv = ArgvBuf::from_iter(request);
            let ours = answer(&table, &rules, Some(&argv), db);
            let verdict = reply.verdict();
            *verdicts.entry(verdict).or_default() += 1;
            let class = ours.denial.and_then(|denial| match request.iter().any(|argument| argument.contains(&0)) {
                true => Some("nul"),
                false => stricter_class(&table, &argv.as_argv(), denial),
            });
            match (ours.verdict, verdict, class) {
                ("error", "error", _) if ours.message != reply.0 => {}
                (one, other, _) if one == other => continue,
                ("deny", "allow", Some(class)) => {
                    *stricter.entry(class).or_default() += 1;
                    continue;
                }
                _ => {}
            }
            wrong.push(format!(
                "seed {seed} db {db}: {} asks {}\n  server: {}\n  we: {} {}",
                shown(&rules),
                shown(request),
                reply.0,
                ours.verdict,
                ours.message
            ));
        }
    }
    println!("{}: {verdicts:?}, stricter {stricter:?}, {} wrong", dialect.name(), wrong.len());
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong[..wrong.len().min(10)].join("\n"));
}

/// Runs requests for real that a user may run who holds exactly the keys we found in them. The server's keyspace events
/// (changes, and misses of reads) tell which keys it touched. This asks nothing of the server's own key extraction.
fn watch(dialect: Dialect, program: &str) {
    let number = |name: &str, default: u64| std::env::var(name).ok().map_or(default, |text| text.parse().unwrap());
    let (seed, requests) = (number("RESPGATE_ACL_SEED", 1), number("RESPGATE_ACL_REQUESTS", 20_000));
    let mut server = Server::start(program);
    let table = CommandTable::builtin(dialect);
    let mut random = Random(seed);
    let (mut run, mut touched, mut wrong) = (0, 0, Vec::new());
    for _ in 0..requests {
        let request = Requests { random: &mut random, table: &table }.request();
        let argv = ArgvBuf::from_iter(&request);
        let argv = argv.as_argv();
        let Ok(spec) = table.resolve(&argv) else { continue };
        let is_data = (spec.is_write() || spec.is_readonly()) && !spec.is_admin();
        let is_elsewhere = ["migrate", "flushall", "flushdb", "swapdb", "function", "select"]
            .iter()
            .any(|n| spec.full_name().starts_with(n));
        if !is_data || is_elsewhere || !spec.arity_ok(argv.len()) {
            continue;
        }
        let mut keys: Vec<Vec<u8>> = Vec::new();
        let found = spec.try_keys::<Unextractable>(&argv, Scope::Whole, |key| {
            keys.push(argv.get(key.index).unwrap().to_vec());
            Ok(())
        });
        // SORT's BY and GET reach further; they are judged apart.
        let reads_more = spec.full_name().starts_with("sort")
            && request.iter().any(|word| [b"by".as_slice(), b"get"].iter().any(|w| word.eq_ignore_ascii_case(w)));
        if found.is_err() || reads_more {
            continue;
        }
        run += 1;
        for key in server.touched_by(&request) {
            touched += 1;
            if !keys.contains(&key) {
                wrong.push(format!("{} touched \"{}\"", shown(&request), key.escape_ascii()));
            }
        }
    }
    println!("{}: {run} requests touched {touched} keys, {} wrong", dialect.name(), wrong.len());
    assert!(touched > run / 4, "the events are seen");
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong[..wrong.len().min(10)].join("\n"));
}

fn shown(words: &[Vec<u8>]) -> String {
    words.iter().map(|word| format!("\"{}\"", word.escape_ascii())).collect::<Vec<_>>().join(" ")
}

/// xorshift64*: the same seed, the same rules and requests.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> usize {
        // Seeds that differ by one must not begin alike.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((x ^ (x >> 31)) % end).unwrap()
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < usize::try_from(percent).unwrap()
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len() as u64)]
    }

    fn casing(&mut self, text: &str) -> String {
        match self.below(4) {
            0 => text.to_ascii_uppercase(),
            1 => text
                .chars()
                .map(|c| if self.chance(50) { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
                .collect(),
            _ => text.to_owned(),
        }
    }

    fn of_alphabet(&mut self, alphabet: &[u8], most: u64) -> Vec<u8> {
        (0..self.below(most + 1)).map(|_| alphabet[self.below(alphabet.len() as u64)]).collect()
    }

    fn command(&mut self, table: &CommandTable) -> String {
        let nth = self.below(table.len() as u64);
        table.iter().nth(nth).unwrap().full_name().to_owned()
    }
}

struct Rules<'a> {
    random: &'a mut Random,
    table: &'a CommandTable,
}

impl Rules<'_> {
    fn user(&mut self) -> Vec<Vec<u8>> {
        let mut rules = self.some(8);
        if self.random.chance(40) {
            for _ in 0..=self.random.below(2) {
                let inside = self.some(6).join(&b' ');
                let at = self.random.below(rules.len() as u64 + 1);
                rules.insert(at, [b"(", inside.as_slice(), b")"].concat());
            }
        }
        if self.random.chance(10) {
            let word =
                ["on", "off", "nopass", "resetpass", ">pw", "<pw", "reset", "clearselectors", "sanitize-payload", ")"];
            rules.push(self.random.pick(&word).as_bytes().to_vec());
        }
        rules
    }

    fn some(&mut self, most: u64) -> Vec<Vec<u8>> {
        // Half of the users may do nearly everything, so that keys and channels get to decide.
        let mut rules = Vec::new();
        if self.random.chance(50) {
            rules.push(b"+@all".to_vec());
        }
        for _ in 0..=self.random.below(most) {
            rules.push(self.rule());
        }
        rules
    }

    fn rule(&mut self) -> Vec<u8> {
        let sign = if self.random.chance(65) { "+" } else { "-" };
        match self.random.below(100) {
            0..25 => {
                let categories: Vec<String> = self.table.categories().map(|(name, _)| name.to_owned()).collect();
                let nth = self.random.below(categories.len() as u64);
                self.random.casing(&format!("{sign}@{}", categories[nth])).into_bytes()
            }
            25..40 => {
                let name = self.random.command(self.table);
                self.random.casing(&format!("{sign}{name}")).into_bytes()
            }
            40..45 => {
                let name = self.random.command(self.table);
                let argument = self.random.pick(&["0", "get", "a", "HELP", "x|y", ""]);
                format!("+{name}|{argument}").into_bytes()
            }
            45..75 => {
                let prefix = self.random.pick(&["~", "~", "~", "%R~", "%W~", "%RW~", "%wr~"]);
                [prefix.as_bytes(), &self.pattern()].concat()
            }
            75..88 => [b"&".as_slice(), &self.pattern()].concat(),
            88..94 => {
                let words = ["allkeys", "resetkeys", "allchannels", "resetchannels", "allcommands", "nocommands"];
                let word = self.random.pick(&words);
                self.random.casing(word).into_bytes()
            }
            94..98 if self.table.dialect() == Dialect::Valkey91 => {
                let words = ["db=0", "db=1,2", "db=2", "alldbs", "resetdbs", "db=01", "db=+1"];
                self.random.pick(&words).as_bytes().to_vec()
            }
            98 => {
                let junk =
                    ["+nosuch", "-@nosuch", "%R", "%", "%RR~a", "!", "#abc", "db=x", "db=-1", "-get|x", "+config|"];
                self.random.pick(&junk).as_bytes().to_vec()
            }
            _ => b"~*".to_vec(),
        }
    }

    fn pattern(&mut self) -> Vec<u8> {
        match self.random.chance(50) {
            true => {
                let known: [&str; 10] = ["a*", "b*", "*", "app:*", "?", "[ab]*", "[^a]*", "*:1", "a", "f*o"];
                self.random.pick(&known).as_bytes().to_vec()
            }
            false => self.random.of_alphabet(b"aab**?[]^-\\:\xe9", 7),
        }
    }
}

struct Requests<'a> {
    random: &'a mut Random,
    table: &'a CommandTable,
}

impl Requests<'_> {
    fn request(&mut self) -> Vec<Vec<u8>> {
        let name = match self.random.below(10) {
            0..5 => self.random.command(self.table),
            5..9 => self.random.pick(&MOVING).to_owned(),
            _ => self
                .random
                .pick(&["publish", "subscribe", "psubscribe", "spublish", "ssubscribe", "get", "nosuch"])
                .to_owned(),
        };
        let arity = self.table.by_name(&name).map_or(2, |spec| spec.arity());
        let mut request: Vec<Vec<u8>> = name.split('|').map(|word| self.random.casing(word).into_bytes()).collect();
        let mut count = usize::try_from(arity.unsigned_abs()).unwrap();
        if arity < 0 || self.random.chance(3) {
            count += self.random.below(7);
        }
        while request.len() < count {
            let argument = self.argument();
            request.push(argument);
        }
        if self.random.chance(40) {
            self.shape(&name, &mut request);
        }
        request
    }

    /// Arguments that make sense, so that more than syntax errors are compared.
    fn shape(&mut self, name: &str, request: &mut Vec<Vec<u8>>) {
        let shape: &[&str] = match name {
            "eval" | "evalsha" | "fcall" | "eval_ro" | "evalsha_ro" | "fcall_ro" => &["s", "2", "k", "k", "k"],
            "zunionstore" | "zinterstore" | "zdiffstore" => &["k", "2", "k", "k", "WEIGHTS", "1", "2"],
            "zunion" | "zinter" | "zdiff" | "sintercard" | "zintercard" => &["2", "k", "k"],
            "lmpop" | "zmpop" => &["2", "k", "k", "LEFT"],
            "blmpop" | "bzmpop" => &["0", "2", "k", "k", "LEFT"],
            "sort" => &["k", "BY", "w", "LIMIT", "0", "1", "GET", "#", "STORE", "k"],
            "georadius" => &["k", "1", "1", "1", "m", "COUNT", "1", "STORE", "k"],
            "georadiusbymember" => &["k", "m", "1", "m", "STOREDIST", "k"],
            "xread" => &["COUNT", "1", "BLOCK", "0", "STREAMS", "k", "k", "0", "0"],
            "xreadgroup" => &["GROUP", "g", "c", "NOACK", "STREAMS", "k", "k", "0", "0"],
            "migrate" => &["h", "1", "", "0", "1", "COPY", "AUTH", "pw", "KEYS", "k", "k"],
            "bitfield" => &["k", "OVERFLOW", "SAT", "GET", "u8", "0", "SET", "u8", "0", "1"],
            "set" => &["k", "v", "EX", "10", "GET"],
            "copy" => &["k", "k", "DB", "1", "REPLACE"],
            "msetex" => &["2", "k", "v", "k", "v", "EX", "1"],
            "select" => &["1"],
            "swapdb" => &["0", "1"],
            "move" => &["k", "1"],
            _ => return,
        };
        request.truncate(1);
        let end = shape.len() - if self.random.chance(50) { self.random.below(shape.len() as u64) } else { 0 };
        for word in &shape[..end] {
            let word = match *word {
                "k" => self.key(),
                _ if self.random.chance(8) => self.argument(),
                word => self.random.casing(word).into_bytes(),
            };
            request.push(word);
        }
    }

    fn argument(&mut self) -> Vec<u8> {
        match self.random.below(20) {
            0..12 => self.key(),
            12..15 => self.random.pick(&["0", "1", "2", "3", "-1", "01", "+1", "10", "x"]).as_bytes().to_vec(),
            15..19 => {
                let word = self.random.pick(&WORDS);
                self.random.casing(word).into_bytes()
            }
            _ => self.random.of_alphabet(b"ab\0\r\n\xff ", 4),
        }
    }

    fn key(&mut self) -> Vec<u8> {
        match self.random.chance(60) {
            true => {
                let known = ["a", "b", "app:1", "app:users:1", "foo", "ab", "", "a*", "[ab]*", "*"];
                self.random.pick(&known).as_bytes().to_vec()
            }
            false => self.random.of_alphabet(b"aab*?[]^-\\:1\xe9", 6),
        }
    }
}

const MOVING: [&str; 36] = [
    "set",
    "bitfield",
    "sort",
    "sort_ro",
    "georadius",
    "georadiusbymember",
    "geosearchstore",
    "zrangestore",
    "xread",
    "xreadgroup",
    "zunionstore",
    "zinterstore",
    "zdiffstore",
    "zunion",
    "zintercard",
    "sintercard",
    "lmpop",
    "blmpop",
    "zmpop",
    "bzmpop",
    "eval",
    "evalsha_ro",
    "fcall",
    "fcall_ro",
    "migrate",
    "copy",
    "msetex",
    "mset",
    "bitop",
    "pfmerge",
    "pfcount",
    "object|encoding",
    "memory|usage",
    "select",
    "swapdb",
    "move",
];

const WORDS: [&str; 24] = [
    "get",
    "store",
    "storedist",
    "by",
    "streams",
    "count",
    "block",
    "group",
    "noack",
    "keys",
    "auth",
    "auth2",
    "db",
    "limit",
    "asc",
    "nx",
    "ex",
    "set",
    "incrby",
    "overflow",
    "replace",
    "copy",
    "weights",
    "left",
];

struct Server {
    _process: Process,
    stream: BufReader<UnixStream>,
    /// Subscribed to keyspace events.
    events: BufReader<UnixStream>,
    _folder: tempfile::TempDir,
}

/// A reply to DRYRUN: `+OK`, an error with its `-`, or the text of a denial.
struct Reply(String);

impl Reply {
    fn verdict(&self) -> &'static str {
        match self.0.as_str() {
            "OK" => "allow",
            error if error.starts_with("ERR ") => "error",
            _ => "deny",
        }
    }
}

impl Server {
    fn start(program: &str) -> Server {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("server.sock");
        let spawned = Command::new(program)
            .args(["--port", "0", "--save", "", "--unixsocket"])
            .arg(&socket)
            .arg("--dir")
            .arg(folder.path())
            .stdout(Stdio::null())
            .spawn();
        let process = Process(spawned.unwrap_or_else(|error| panic!("{program}: {error}")));
        for _ in 0..200 {
            if let Ok(stream) = UnixStream::connect(&socket) {
                let events = BufReader::new(UnixStream::connect(&socket).unwrap());
                return Server { _process: process, stream: BufReader::new(stream), events, _folder: folder };
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{program} did not answer");
    }

    /// The error of SETUSER, if it was refused, and the reply to each request.
    fn ask(&mut self, rules: &[Vec<u8>], db: u32, requests: &[Vec<Vec<u8>>]) -> (Option<String>, Vec<Reply>) {
        let word = |text: &str| text.as_bytes().to_vec();
        let mut bytes = Vec::new();
        encode(&mut bytes, &[word("SELECT"), db.to_string().into_bytes()]);
        encode(&mut bytes, &[word("ACL"), word("DELUSER"), word("difftest")]);
        encode(&mut bytes, &[&[word("ACL"), word("SETUSER"), word("difftest"), word("reset")], rules].concat());
        for request in requests {
            encode(&mut bytes, &[&[word("ACL"), word("DRYRUN"), word("difftest")], request.as_slice()].concat());
        }
        self.stream.get_mut().write_all(&bytes).unwrap();
        self.read();
        self.read();
        let set = self.read();
        let replies = requests.iter().map(|_| self.read()).collect();
        ((set.0 != "OK").then_some(set.0), replies)
    }

    /// The keys of which events told while `request` ran, in a transaction so that nothing blocks.
    fn touched_by(&mut self, request: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let words = |text: &str| text.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
        let mut bytes = Vec::new();
        encode(&mut bytes, &words("PSUBSCRIBE __keyspace@*__:* mark"));
        self.events.get_mut().write_all(&bytes).unwrap();
        for _ in 0..2 {
            while read_words(&mut self.events)[0] != b"psubscribe" {}
        }
        bytes.clear();
        let before =
            ["CONFIG SET notify-keyspace-events KAmn", "FLUSHALL", "RPUSH a 1 2", "ZADD b 1 x 2 y", "SET foo 1"];
        let stream = ["XADD ab 1-1 f v", "GEOADD app:1 1 1 m", "HSET app:users:1 f v", "PUBLISH mark begin", "MULTI"];
        before.iter().chain(&stream).for_each(|command| encode(&mut bytes, &words(command)));
        encode(&mut bytes, request);
        ["EXEC", "PUBLISH mark end"].iter().for_each(|command| encode(&mut bytes, &words(command)));
        self.stream.get_mut().write_all(&bytes).unwrap();
        for _ in 0..13 {
            read_words(&mut self.stream);
        }
        let mut keys = Vec::new();
        loop {
            let event = read_words(&mut self.events);
            let [_, _, channel, message] = event.as_slice() else { continue };
            match (channel.as_slice(), message.as_slice()) {
                (b"mark", b"begin") => keys.clear(),
                (b"mark", _) => return keys,
                _ => {
                    let at = channel.iter().position(|b| *b == b':').unwrap();
                    keys.push(channel[at + 1..].to_vec());
                }
            }
        }
    }

    fn read(&mut self) -> Reply {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).unwrap();
        line.truncate(line.len() - 2);
        let text = String::from_utf8_lossy(&line[1..]).into_owned();
        match line[0] {
            b'$' => {
                let mut bulk = vec![0; text.parse::<usize>().unwrap() + 2];
                self.stream.read_exact(&mut bulk).unwrap();
                bulk.truncate(bulk.len() - 2);
                Reply(String::from_utf8_lossy(&bulk).into_owned())
            }
            _ => Reply(text),
        }
    }
}

/// A reply, flattened to its strings.
fn read_words(from: &mut BufReader<UnixStream>) -> Vec<Vec<u8>> {
    let mut line = Vec::new();
    from.read_until(b'\n', &mut line).unwrap();
    line.truncate(line.len() - 2);
    let count = || String::from_utf8_lossy(&line[1..]).parse::<i64>().unwrap();
    match line[0] {
        b'$' if count() < 0 => Vec::new(),
        b'$' => {
            let mut bulk = vec![0; usize::try_from(count()).unwrap() + 2];
            from.read_exact(&mut bulk).unwrap();
            bulk.truncate(bulk.len() - 2);
            vec![bulk]
        }
        b'*' => (0..count()).flat_map(|_| read_words(from)).collect(),
        _ => vec![line[1..].to_vec()],
    }
}

/// A server that ends with its test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn encode(out: &mut Vec<u8>, words: &[Vec<u8>]) {
    out.extend(format!("*{}\r\n", words.len()).bytes());
    for word in words {
        out.extend(format!("${}\r\n", word.len()).bytes());
        out.extend_from_slice(word);
        out.extend(b"\r\n");
    }
}

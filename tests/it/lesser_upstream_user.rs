//! The proxy's own user at Redis may lack any right: whatever Redis refuses of what was forwarded, nobody gets more than
//! the ACL of respgate gives.

use crate::support::{RedisServer, RespClient, Respgate, Setup, request, upstream_of};

/// Of each of these the proxy's user is deprived in turn; of the first four, which decide most, in every other sequence.
const DEPRIVED: &str = "multi discard exec select watch unwatch reset hello auth ping asking client|tracking client|caching \
                        get set blpop";
const DECISIVE: usize = 4;

/// What a client says; in every other sequence only the first of it. `secret` and `secret:list` exist in each database and
/// may be touched in database 0 only, `pub:…` in any.
const SAID: &str = "MULTI;EXEC;DISCARD;SELECT 5;GET secret;SET secret stolen;GET pub:a;SET pub:a 1;MOVE pub:a 7;SELECT 0;\
                    SELECT 99;BLPOP secret:list 0.01;WATCH pub:w;UNWATCH;RESET;HELLO 3;AUTH x y;PING;ASKING;\
                    CLIENT TRACKING ON;CLIENT CACHING YES;FLUSHALL;ACL WHOAMI";
const FIRST: usize = 7;

/// Deterministic, so that a failure is found again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    /// One of these, every other time one of the `first`.
    fn pick<'a>(&mut self, from: Vec<&'a str>, first: usize) -> &'a str {
        let some = if self.roll(2) == 0 { first } else { from.len() };
        from[self.roll(some)]
    }
}

/// `RESPGATE_SEQUENCES` says how many, `RESPGATE_SEED` where to begin.
#[test]
fn no_sequence_of_commands_reaches_what_the_acl_refuses_whatever_redis_refuses_of_it() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (sequences, seed) = (number("RESPGATE_SEQUENCES", 300), number("RESPGATE_SEED", 1));
    let redis = RedisServer::start();
    let gate = with_databases(&redis).start();
    let mut direct = redis.direct();
    // Restored after each sequence, as the client sees them.
    for database in ["0", "5", "7"] {
        direct.text(&["SELECT", database]);
        direct.text(&["SET", "secret", &format!("treasure-{database}")]);
        direct.text(&["RPUSH", "secret:list", &format!("treasure-{database}")]);
    }
    for sequence in seed..seed + sequences {
        let mut dice = Dice(sequence);
        let deprived = dice.pick(DEPRIVED.split(' ').collect(), DECISIVE);
        direct.text(&["ACL", "SETUSER", "lesser", "on", ">pw-5f0e", "~*", "&*", "+@all", &format!("-{deprived}")]);
        let (said, heard) = converse(&mut gate.connect("alice"), &mut dice);
        let context = format!("sequence {sequence}, without {deprived}: {said:?}\n{heard}");
        for database in ["5", "7"] {
            assert!(!heard.contains(&format!("treasure-{database}")), "read in {database}; {context}");
            direct.text(&["SELECT", database]);
            let kept = [direct.text(&["GET", "secret"]), direct.text(&["LLEN", "secret:list"])];
            assert_eq!(
                kept,
                [format!("$10\r\ntreasure-{database}"), ":1".to_owned()],
                "written in {database}; {context}"
            );
        }
        direct.text(&["SELECT", "0"]);
        direct.text(&["SET", "secret", "treasure-0"]);
    }
}

/// Says a few things, in pieces of some requests each, and hears what comes of it until the end of the last.
fn converse(client: &mut RespClient, dice: &mut Dice) -> (Vec<&'static str>, String) {
    let few = if dice.roll(2) == 0 { FIRST } else { usize::MAX };
    let lines: Vec<&str> = SAID.split(';').take(few).collect();
    let said: Vec<&str> = (0..4 + dice.roll(8)).map(|_| lines[dice.roll(lines.len())]).collect();
    let mut heard = String::new();
    let mut unanswered = 0;
    for line in &said {
        client.send(&request(&line.split(' ').collect::<Vec<_>>()));
        unanswered += 1;
        if dice.roll(3) == 0 {
            for _ in 0..std::mem::take(&mut unanswered) {
                heard.push_str(&client.reply_text());
                heard.push('\n');
            }
        }
    }
    for _ in 0..unanswered {
        heard.push_str(&client.reply_text());
        heard.push('\n');
    }
    (said, heard)
}

/// Rights to databases are Valkey's, and are judged here alone: any Redis will do.
fn with_databases(redis: &RedisServer) -> Setup {
    let mut direct = redis.direct();
    direct.text(&["ACL", "SETUSER", "lesser", "on", ">pw-5f0e", "~*", "&*", "+@all"]);
    Respgate::setup(&upstream_of(redis))
        .file("upstream.pw", "pw-5f0e")
        .acl("user alice on ~* &* +@all db=0 (~pub:* +@all alldbs)\n")
        .setting("acl-dialect = \"valkey-9.1\"")
        .table("[upstream-auth]\nuser = \"lesser\"\npassword-file = \"upstream.pw\"")
        .table("[block]\ncommands = [\"FLUSHALL\", \"SWAPDB\", \"@scripting\"]")
}

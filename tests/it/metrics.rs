//! What is counted, as whoever scrapes it sees it.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{RedisServer, RespClient, Respgate, Setup, eventually, request, upstream_of};

const PYTHON: &str = "RESPGATE_TEST_PYTHON";

const ACL: &str = "user alice on +@all ~* &*\n";

/// Everything that events happen to.
struct Stage {
    /// It ends first: it would log the end of Redis.
    gate: Respgate,
    redis: RedisServer,
    clients: Vec<RespClient>,
}

impl Stage {
    fn start() -> Stage {
        let redis = RedisServer::start();
        let setup = setup(&redis);
        let audit = format!("audit-file = {:?}", setup.path("audit"));
        let gate = setup.setting(&audit).crl().expect_log("reload").expect_log("upstream").start().settled();
        Stage { redis, gate, clients: Vec::new() }
    }

    fn connect(&mut self) -> &mut RespClient {
        self.clients.push(self.gate.connect("alice"));
        self.clients.last_mut().unwrap()
    }

    fn say(&mut self, line: &str) {
        let client = self.clients.last_mut().unwrap();
        client.call(&line.split(' ').collect::<Vec<_>>());
    }

    /// What clients are refused in or after their handshake they may find out at any time.
    fn try_to_connect(&self, common_name: Option<&str>) {
        let identity = common_name.map(|name| self.gate.pki().client(name));
        let mut client = RespClient::tls(self.gate.address(), &self.gate.pki().ca_cert(), identity.as_ref());
        let _ = client.try_send(&request(&["PING"]));
        let _ = client.try_reply();
    }
}

fn setup(redis: &RedisServer) -> Setup {
    Respgate::setup(&upstream_of(redis)).acl(ACL)
}

/// An event, and the series that it moves.
type Move = (&'static str, fn(&mut Stage), &'static [&'static str]);

const MOVES: &[Move] = &[
    (
        "a client comes",
        |stage| _ = stage.connect().call(&["PING"]),
        &[
            "respgate_audit_sequence",
            "respgate_sessions{listener=\"127.0.0.1:",
            "respgate_connections_total{listener=\"127.0.0.1:",
            "respgate_handshakes_total{result=\"accepted\",reason=\"\",version=\"TLSv1.3\"}",
            "respgate_handshake_duration_seconds_count{resumed=\"false\"}",
            "respgate_logins_total{method=\"certificate\",result=\"accepted\"}",
            "respgate_requests_total{user=\"alice\",verdict=\"forwarded\"}",
            "respgate_reply_duration_seconds_count",
            "respgate_upstream_connect_duration_seconds_count",
            "respgate_bytes_total{direction=\"received\"}",
            "respgate_bytes_total{direction=\"sent\"}",
            "respgate_worker_busy_seconds_total",
            "process_cpu_seconds_total",
            "process_open_fds",
        ],
    ),
    (
        "a request is refused",
        |stage| stage.say("FLUSHALL"),
        &[
            "respgate_requests_total{user=\"alice\",verdict=\"refused\"}",
            "respgate_refused_total{user=\"alice\",reason=\"blocked\"}",
            "respgate_refused_commands_total{command=\"flushall\",reason=\"blocked\"}",
        ],
    ),
    (
        "the proxy answers",
        |stage| stage.say("ACL WHOAMI"),
        &["respgate_requests_total{user=\"alice\",verdict=\"answered\"}"],
    ),
    (
        "a password comes where the certificate says who it is",
        |stage| stage.say("AUTH bob secret"),
        &["respgate_logins_total{method=\"password\",result=\"refused\"}"],
    ),
    (
        "half of a request comes",
        |stage| stage.connect().send(&[b"*2\r\n$3\r\nGET\r\n$30000\r\n", [b'x'; 20_000].as_slice()].concat()),
        &["respgate_held_bytes"],
    ),
    (
        "a client leaves",
        |stage| drop(stage.clients.pop()),
        &["respgate_sessions{", "respgate_sessions_closed_total{reason=\"client-"],
    ),
    (
        "a client shows no certificate",
        |stage| stage.try_to_connect(None),
        &["respgate_handshakes_total{result=\"failed\",reason=\"no-certificate\",version=\"\"}"],
    ),
    (
        "a certificate is nobody's",
        |stage| stage.try_to_connect(Some("nobody")),
        &[
            "respgate_connections_refused_total{reason=\"no-such-user\"}",
            "respgate_logins_total{method=\"certificate\",result=\"refused\"}",
        ],
    ),
    (
        "users are others",
        |stage| stage.gate.write_acl(&format!("{ACL}user bob on\n")),
        &["respgate_generation", "respgate_config_last_reload_success_timestamp_seconds"],
    ),
    (
        "certificates and CRLs are renewed",
        |stage| {
            stage.gate.pki().renew_ca(Duration::from_secs(100 * 86_400));
            stage.gate.pki().write_short_lived_crl(Duration::from_secs(50 * 86_400));
        },
        &[
            "respgate_certificate_not_after_timestamp_seconds{kind=\"client-ca\",file=\"ca.crt\"}",
            "respgate_crl_next_update_timestamp_seconds{file=\"ca.crl\"}",
        ],
    ),
    (
        "a reload fails",
        |stage| {
            stage.gate.write_acl("user alice on +nosuch\n");
            stage.gate.signal(Signal::HUP);
        },
        &["respgate_config_last_reload_successful"],
    ),
    (
        "Redis is used",
        |stage| {
            let mut redis = stage.redis.direct();
            for line in ["CONFIG SET maxmemory 1gb", "SET a 1", "SET b 1 EX 1000", "GET a", "GET nosuch"] {
                redis.call(&line.split(' ').collect::<Vec<_>>());
            }
            redis.send(&request(&["BLPOP", "queue", "0"]));
            stage.connect().call(&["PING"]);
            // It is to wait on.
            std::mem::forget(redis);
        },
        &[
            "redis_connected_clients",
            "redis_blocked_clients",
            "redis_connections_received_total",
            "redis_commands_processed_total",
            "redis_memory_max_bytes",
            "redis_memory_used_bytes",
            "redis_keyspace_hits_total",
            "redis_keyspace_misses_total",
            "redis_net_input_bytes_total",
            "redis_net_output_bytes_total",
            "redis_db_keys{db=\"db0\"}",
            "redis_db_keys_expiring{db=\"db0\"}",
        ],
    ),
    (
        "Redis is gone",
        |stage| stage.redis.stop(),
        &["respgate_upstream_up", "respgate_upstream_lost_total", "redis_up"],
    ),
];

/// Families that stay as they are, or move as they like.
const OTHERS: &[&str] = &[
    "respgate_build_info",
    "respgate_held_bytes_limit",
    // Where they move is in the tests of the log, the audit log and shadow.
    "respgate_log_lost",
    "respgate_audit_lost",
    "respgate_would_refuse",
    "process_max_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_threads",
    "process_virtual_memory_bytes",
];

#[test]
fn every_family_moves_when_its_event_happens() {
    let mut stage = Stage::start();
    for (what, happen, moved) in MOVES {
        let before = stage.gate.metrics();
        happen(&mut stage);
        eventually(what, || {
            let after = stage.gate.metrics();
            let moves = |series: &&str| after.sum(series) != before.sum(series);
            moved.iter().all(moves).then_some(())
        });
    }
    let series = MOVES.iter().flat_map(|(_, _, moved)| *moved);
    let moved: BTreeSet<&str> = series.map(|series| series.split('{').next().unwrap()).collect();
    let metrics = stage.gate.metrics();
    let has_moved = |family: &str| {
        moved.iter().any(|name| name.strip_prefix(family).is_some_and(|rest| ["", "_total", "_count"].contains(&rest)))
    };
    let others: Vec<&str> = metrics.families().into_iter().filter(|family| !has_moved(family)).collect();
    let unmoved: Vec<&str> = others.into_iter().filter(|family| !OTHERS.contains(family)).collect();
    assert_eq!(unmoved, Vec::<&str>::new(), "no event moves these");
    assert_eq!(metrics.beginning("redis_"), [("redis_up", 0.0)], "nothing else is told of a Redis that is gone");
}

#[test]
fn the_parser_of_openmetrics_takes_the_text() {
    let Some(python) = std::env::var_os(PYTHON) else {
        return eprintln!(
            "SKIPPED: {PYTHON} names no Python with prometheus-client; ./test.sh installs one and sets it"
        );
    };
    let redis = RedisServer::start();
    let odd = "user a\\b{c} on +@all ~* &*\n";
    let gate = setup(&redis).acl_file(&format!("{ACL}{odd}")).start().settled();
    let mut client = gate.connect("alice");
    ["PING", "FLUSHALL", "NOSUCH"].iter().for_each(|name| drop(client.call(&[name])));
    gate.connect("a\\b{c}").call(&["PING"]);
    let metrics = eventually("the odd user to be counted", || {
        let metrics = gate.metrics();
        (metrics.sum("respgate_requests_total{user=\"a\\\\b{c}\",verdict=\"forwarded\"}") > 0.0).then_some(metrics)
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/openmetrics.py");
    let mut parser = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    parser.stdin.take().unwrap().write_all(metrics.text.as_bytes()).unwrap();
    let output = parser.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stderr), metrics.text);
    let counted = String::from_utf8(output.stdout).unwrap();
    assert_eq!(counted.trim(), format!("{} {}", metrics.families().len(), metrics.len()));
}

#[test]
fn made_up_users_and_commands_have_no_labels_of_their_own() {
    const USERS: usize = 300;
    const ATTEMPTS: usize = 40;
    let redis = RedisServer::start();
    let users: String = (0..USERS).map(|number| format!("user u{number} on nopass +@all ~* &*\n")).collect();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl_file(&users)
        .setting("tls-auth-clients = \"no\"")
        .setting("unsafe-nopass = \"yes\"")
        .without("tls-ca-cert-file")
        .expect_log("nopass")
        .start();
    let mut client = gate.connect_as(None);
    let commands = command_names(&mut redis.direct());
    let attempts = |number: usize| {
        let known = commands.iter().cycle().skip(number * 7).take(ATTEMPTS - 10).map(|name| request(&[name]));
        let unknown = (0..10).map(move |other| request(&[format!("MADE-UP-{number}-{other}")]));
        known.chain(unknown).collect::<Vec<_>>().concat()
    };
    for number in 0..USERS {
        client.send(&[attempts(number), request(&["AUTH", &format!("u{number}"), "x"])].concat());
        (0..=ATTEMPTS).for_each(|_| drop(client.reply()));
    }
    let metrics = gate.metrics();
    let users = metrics.labels("user");
    assert!(users.len() <= 202 && users.contains("other users") && users.contains("no user"), "{users:?}");
    let told = metrics.labels("command");
    let made_up: Vec<_> = told.iter().filter(|name| name.contains("MADE-UP") || name.contains("made-up")).collect();
    assert!(made_up.is_empty() && told.contains("unknown") && told.len() > 100, "{told:?}");
    assert!(metrics.len() <= 10_000, "{}", metrics.len());
    let refused = metrics.sum("respgate_refused_total{");
    assert_eq!(refused, metrics.sum("respgate_refused_commands_total{"), "each is counted by user and by command");
}

fn command_names(redis: &mut RespClient) -> Vec<String> {
    let listed = String::from_utf8(redis.call(&["COMMAND", "LIST"])).unwrap();
    let names = listed.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()));
    // The others end or change the connection, or have long replies.
    let harmless = |name: &&str| {
        !["quit", "reset", "psync", "sync", "monitor", "multi", "exec", "discard", "command"].contains(name)
    };
    names.filter(harmless).map(str::to_owned).collect()
}

/// What needs programs that `tests/prometheus/run.sh` unpacks.
mod prometheus {
    use std::collections::BTreeSet;
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::process::{Command, Stdio};

    use crate::support::{RedisServer, eventually};

    use super::setup;

    fn program(variable: &str) -> Command {
        Command::new(std::env::var_os(variable).expect("tests/prometheus/run.sh names it"))
    }

    #[test]
    #[ignore = "tests/prometheus/run.sh runs it"]
    fn promtool_finds_nothing_to_say_about_the_names() {
        let redis = RedisServer::start();
        let gate = setup(&redis).start().settled();
        gate.connect("alice").call(&["FLUSHALL"]);
        let text = gate.metrics().text;
        // In the older format, which it reads, a family of counters has the name of its series.
        let older = |line: &str| match line.strip_prefix("# ").and_then(|rest| rest.split_once(' ')) {
            Some((word @ ("HELP" | "TYPE"), rest)) => {
                let (name, rest) = rest.split_once(' ').unwrap();
                let is_counter = text.contains(&format!("# TYPE {name} counter\n"));
                format!("# {word} {name}{} {rest}\n", if is_counter { "_total" } else { "" })
            }
            _ => format!("{line}\n"),
        };
        let older: String = text.lines().filter(|line| *line != "# EOF").map(older).collect();
        let mut promtool = program("PROMTOOL");
        let promtool = promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut promtool = promtool.stderr(Stdio::piped()).spawn().unwrap();
        promtool.stdin.take().unwrap().write_all(older.as_bytes()).unwrap();
        let output = promtool.wait_with_output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        // The names of redis_exporter are what they are.
        let ours: Vec<&str> = said.lines().filter(|line| !line.starts_with("redis_")).collect();
        assert_eq!(ours, Vec::<&str>::new());
    }

    #[test]
    #[ignore = "tests/prometheus/run.sh runs it"]
    fn the_metrics_of_redis_are_those_of_redis_exporter() {
        let redis = RedisServer::start();
        let mut direct = redis.direct();
        direct.call(&["SET", "a", "1", "EX", "1000"]);
        let gate = setup(&redis).start().settled();
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let mut exporter = program("REDIS_EXPORTER");
        exporter.args(["-redis.addr", &format!("redis://{}", redis.address())]);
        exporter.args(["-web.listen-address", &free.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut exporter = exporter.spawn().unwrap();
        let theirs = eventually("redis_exporter to answer", || {
            let mut client = TcpStream::connect(free).ok()?;
            client.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").ok()?;
            let mut text = String::new();
            client.read_to_string(&mut text).ok()?;
            text.contains("redis_up 1").then_some(text)
        });
        exporter.kill().unwrap();
        exporter.wait().unwrap();
        let types = |text: &str| -> BTreeSet<String> {
            text.lines().filter_map(|line| Some(line.strip_prefix("# TYPE redis_")?.to_owned())).collect()
        };
        let as_exporter =
            |line: String| line.strip_suffix(" counter").map(|name| format!("{name}_total counter")).unwrap_or(line);
        let ours: BTreeSet<String> = types(&gate.metrics().text).into_iter().map(as_exporter).collect();
        assert!(ours.len() > 20, "{ours:?}");
        let theirs = types(&theirs);
        let others: Vec<_> = ours.difference(&theirs).collect();
        assert!(others.is_empty(), "{others:?}");
    }
}

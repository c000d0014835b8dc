//! Asking the running proxy: what its doors answer, and to whom.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::Output;

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::support::{
    Identity, PATIENCE, RedisServer, RespClient, Respgate, client_config, eventually, request, respgate_binary,
    upstream_of,
};

const ACL: &str = "user alice on +@all ~*\n";

/// An answer over HTTP.
struct Answer {
    status: u16,
    body: String,
}

/// Sends this head to the admin socket, and reads to the end.
fn exchange(gate: &Respgate, head: &[u8]) -> String {
    let mut stream = UnixStream::connect(gate.path("admin.sock")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // It may be refused before it is all sent.
    let _ = stream.write_all(head);
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

fn ask(gate: &Respgate, method: &str, path: &str) -> Answer {
    let answer = exchange(gate, format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Answer { status: head.split(' ').nth(1).unwrap().parse().unwrap(), body: body.to_owned() }
}

#[test]
fn livez_and_readyz_answer_as_kubernetes_does() {
    let mut redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis)).acl(ACL).expect_log("upstream").start().settled();
    let said = |path| {
        let Answer { status, body } = ask(&gate, "GET", path);
        (status, body)
    };
    assert_eq!(said("/livez"), (200, "ok\n".to_owned()));
    assert_eq!(said("/readyz"), (200, "ok\n".to_owned()));
    let good = "[+]workers ok\n[+]upstream ok\n[+]audit ok\n[+]shutdown ok\nreadyz check passed\n";
    assert_eq!(said("/readyz?verbose"), (200, good.to_owned()));
    redis.stop();
    eventually("Redis to be missed", || (said("/readyz").0 == 503).then_some(()));
    let bad = "[+]workers ok\n[-]upstream failed\n[+]audit ok\n[+]shutdown ok\nreadyz check failed\n";
    assert_eq!(said("/readyz"), (503, bad.to_owned()));
    assert_eq!(said("/livez?verbose"), (200, "[+]workers ok\nlivez check passed\n".to_owned()));
}

#[test]
fn what_cannot_be_asked_for_is_said() {
    let redis = RedisServer::start();
    let gate = Respgate::start(&redis, ACL);
    assert_eq!(ask(&gate, "GET", "/secrets").status, 404);
    let refused = exchange(&gate, b"POST /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    assert!(refused.starts_with("HTTP/1.1 405 ") && refused.contains("allow: GET"), "{refused}");
    assert!(exchange(&gate, b"health\n").starts_with("HTTP/1.1 400 "), "that is no HTTP");
}

#[test]
fn peers_that_send_too_much_or_nothing_do_not_hold_up_the_others() {
    let redis = RedisServer::start();
    let gate = Respgate::start(&redis, ACL).settled();
    let huge = format!("GET /status HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    assert!(exchange(&gate, huge.as_bytes()).starts_with("HTTP/1.1 431 "), "a head has its bound");
    let connect = || UnixStream::connect(gate.path("admin.sock")).unwrap();
    // As many as the door serves at once; each is given up after a while.
    let mut silent: Vec<_> = (0..16).map(|_| connect()).collect();
    silent.iter_mut().for_each(|stream| stream.write_all(b"GET /livez HTTP/1.1\r\n").unwrap());
    assert_eq!(ask(&gate, "GET", "/livez").status, 200);
    for mut stream in silent {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_ne!(stream.read_to_end(&mut Vec::new()).ok(), None, "it was closed");
    }
}

#[test]
fn where_nobody_answers_every_question_ends_with_69() {
    let redis = RedisServer::start();
    let mut gate = Respgate::start(&redis, ACL);
    let commands = [
        &["health"][..],
        &["health", "--ready"],
        &["status"],
        &["sessions"],
        &["kick", "--user", "nobody"],
        &["reload"],
    ];
    for command in commands {
        assert_ne!(gate.ask(command).status.code(), Some(69), "{command:?}");
    }
    gate.signal(rustix::process::Signal::TERM);
    gate.exit_status();
    for command in commands {
        assert_eq!(gate.ask(command).status.code(), Some(69), "{command:?}");
    }
    let elsewhere = respgate_binary().args(["health", "--admin-listen", "/nowhere"]).output().unwrap();
    assert_eq!(elsewhere.status.code(), Some(69));
}

const DOCUMENT: &str = include_str!("../../docs/operations.md");

/// The document that stands under this heading of the documentation.
fn documented(heading: &str) -> Value {
    let (_, section) = DOCUMENT.split_once(&format!("\n### {heading}\n")).unwrap();
    let (_, json) = section.split_once("```json\n").unwrap();
    serde_json::from_str(json.split_once("```").unwrap().0).unwrap()
}

/// Every path in a document, with what is there.
fn shape(value: &Value) -> BTreeSet<String> {
    fn walk(value: &Value, path: &str, shape: &mut BTreeSet<String>) {
        let kind = match value {
            Value::Object(fields) => {
                fields.iter().for_each(|(name, value)| walk(value, &format!("{path}/{name}"), shape));
                "object"
            }
            Value::Array(elements) => {
                elements.iter().for_each(|value| walk(value, &format!("{path}[]"), shape));
                "array"
            }
            Value::String(_) => "string",
            Value::Number(_) => "number",
            Value::Bool(_) => "boolean",
            Value::Null => "null",
        };
        shape.insert(format!("{path}: {kind}"));
    }
    let mut paths = BTreeSet::new();
    walk(value, "", &mut paths);
    paths
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_documents_are_as_documented() {
    let mut redis = RedisServer::stopped(&[]);
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl(ACL)
        .setting("reload-interval = \"1h\"")
        .env("RESPGATE_CRL_CHECK", "leaf")
        .setting("threads = 2")
        .expect_log("reload")
        .expect_log("crl-check")
        .expect_log("upstream")
        .start();
    gate.wait_for_log(&["upstream is not there"]);
    redis.restart();
    let gate = gate.settled();
    let mut alice = gate.connect("alice");
    assert!(alice.text(&["FLUSHALL"]).starts_with("-NOPERM "));
    assert!(alice.text(&["AUTH", "bob", "any"]).starts_with('-'));
    let mut stranger = gate.connect_as(Some(&gate.pki().client_of_a_stranger("alice")));
    // It is not let in, whenever it notices.
    let _ = stranger.try_send(&request(&["PING"]));
    assert!(stranger.try_reply().is_err());
    alice.send(&request(&["BLPOP", "q", "0"]));
    let sessions = || json(&gate.ask(&["sessions", "--json"]));
    let blocked = eventually("the session to be blocked", || {
        let sessions = sessions();
        (sessions["sessions"][0]["waits_in"] == "blocked").then_some(sessions)
    });
    assert_eq!(blocked["sessions"][0]["command"], "blpop");
    assert_eq!(shape(&blocked), shape(&documented("Sessions")));
    gate.write_acl("user alice on +@reed\n");
    gate.edit_config("threads = 2", "threads = 1");
    let reload = gate.ask(&["reload", "--json"]);
    assert_eq!(reload.status.code(), Some(78));
    assert_eq!(shape(&json(&reload)), shape(&documented("Reload")));
    assert_eq!(shape(&gate.status()), shape(&documented("Status")));
}

#[test]
fn reload_waits_for_the_end_says_what_is_wrong_and_exits_so() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl(ACL)
        .setting("reload-interval = \"1h\"")
        .setting("threads = 2")
        .expect_log("reload")
        .start()
        .settled();
    let mut alice = gate.connect("alice");
    gate.write_acl("user alice on +@all -get ~*\n");
    gate.edit_config("threads = 2", "threads = 1");
    let done = gate.ask(&["reload"]);
    assert_eq!((done.status.code(), text(&done.stdout)), (Some(0), "generation 3 is in force\n"));
    assert!(text(&done.stderr).contains("only a restart gives: threads"), "{done:?}");
    assert!(alice.text(&["GET", "a"]).starts_with("-NOPERM "), "it is in force when the command ends");
    assert!(gate.status()["reloads"].get("last_failure").is_none());
    gate.write_acl("user alice on +@reed ~*\n");
    let failed = gate.ask(&["reload"]);
    assert_eq!((failed.status.code(), text(&failed.stdout)), (Some(78), "generation 3 is in force\n"));
    assert!(text(&failed.stderr).contains("@reed") && text(&failed.stderr).contains("held up: users"), "{failed:?}");
    let said = gate.ask(&["status"]);
    assert!(text(&said.stdout).contains("not mended\n") && text(&said.stdout).contains("@reed"), "{said:?}");
    gate.write_acl(ACL);
    assert_eq!(gate.ask(&["reload"]).status.code(), Some(0));
    assert_eq!(gate.status()["reloads"]["last_failure"]["is_mended"], true);
    assert_eq!(alice.text(&["GET", "a"]), "$-1");
}

#[test]
fn a_thousand_sessions_are_listed_and_those_that_are_meant_are_ended() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl("user alice on +@all ~*\nuser bob on +@all ~*\nuser eve on +@all ~*\n")
        .setting("maxclients = 1100")
        .start()
        .settled();
    let connect = |identity: &Identity, count| -> Vec<RespClient> {
        let config = client_config(&gate.pki().ca_cert(), Some(identity));
        (0..count).map(|_| RespClient::tls_with(gate.address(), &config)).collect()
    };
    let [alice, bob, eve] = ["alice", "bob", "eve"].map(|name| gate.pki().client(name));
    let mut clients = connect(&alice, 500);
    let mut bobs = connect(&bob, 490);
    let mut eves = connect(&eve, 10);
    // A handshake is over when something has been answered. Redis hears of none of it.
    for client in [&mut clients, &mut bobs, &mut eves].into_iter().flatten() {
        client.send(&request(&["ACL", "WHOAMI"]));
    }
    for client in [&mut clients, &mut bobs, &mut eves].into_iter().flatten() {
        assert!(client.reply_text().starts_with('$'));
    }
    let list = json(&gate.ask(&["sessions", "--json"]));
    let sessions = list["sessions"].as_array().unwrap();
    assert_eq!((sessions.len(), &list["is_incomplete"]), (1000, &Value::Bool(false)));
    assert!(sessions.is_sorted_by_key(|session| session["number"].as_u64()));
    assert_eq!(gate.status()["connections"], 1000);
    let table = gate.ask(&["sessions", "--user", "bob"]);
    let lines: Vec<&str> = text(&table.stdout).lines().collect();
    assert_eq!(lines.len(), 491, "with headings");
    let column = lines[0].find("CERTIFICATE").unwrap();
    assert!(lines[1..].iter().all(|line| line[column..].starts_with("CN=bob")), "{}", lines[1]);
    assert_eq!(text(&gate.ask(&["kick", "--user", "bob"]).stdout), "490 sessions ended\n");
    for bob in &mut bobs {
        assert_eq!(bob.read_to_end().0, b"", "without a word");
    }
    let serial = sessions.iter().find(|session| session["user"] == "eve").unwrap()["certificate"]["serial"].as_str();
    let kicked = gate.ask(&["kick", "--json", "--serial", &serial.unwrap().to_uppercase()]);
    assert_eq!(json(&kicked), serde_json::json!({"kicked": 10}));
    let number = sessions[0]["number"].to_string();
    assert_eq!(text(&gate.ask(&["kick", &number]).stdout), "1 session ended\n");
    let again = gate.ask(&["kick", &number]);
    assert_eq!((again.status.code(), text(&again.stdout)), (Some(1), "0 sessions ended\n"));
    let left = || json(&gate.ask(&["sessions", "--json"]))["sessions"].as_array().unwrap().len();
    eventually("the others to stay", || (left() == 499).then_some(()));
    gate.wait_for_log(&["\"close\"", "\"kicked\"", "\"internal\""]);
}

#[test]
fn at_a_loopback_address_one_may_look_and_only_by_its_name() {
    let redis = RedisServer::start();
    let gate =
        Respgate::setup(&upstream_of(&redis)).acl(ACL).setting("admin-listen = \"127.0.0.1:0\"").start().settled();
    let address = port_of(&gate, "admin door is open");
    let ask = |method: &str, path: &str, host: &str| status_at(address, method, path, host);
    for path in ["/", "/livez", "/readyz", "/status", "/sessions"] {
        assert_eq!(ask("GET", path, "localhost"), 200, "{path}");
        assert_eq!(ask("GET", path, &address.to_string()), 200, "{path}");
        assert_eq!(ask("GET", path, "rebound.example"), 403, "{path}");
    }
    for path in ["/reload", "/kick?user=alice"] {
        assert_eq!(ask("POST", path, "localhost"), 403, "{path}");
    }
    let reload = respgate_binary().args(["reload", "--admin-listen", &address.to_string()]).output().unwrap();
    assert_eq!(reload.status.code(), Some(77), "{reload:?}");
    let health = respgate_binary().args(["health", "--admin-listen", &address.to_string()]).output().unwrap();
    assert_eq!(text(&health.stdout), "serving\n");
}

#[test]
fn the_metrics_door_is_for_whom_it_is_said_and_for_what_everybody_may_know() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl(ACL)
        .setting("metrics-listen = \"0.0.0.0:0\"")
        .setting("metrics-allow = [\"127.0.0.2\", \"127.0.0.1\"]")
        .start()
        .settled();
    let address = SocketAddr::from(([127, 0, 0, 1], port_of(&gate, "metrics door is open").port()));
    for path in ["/livez", "/readyz"] {
        assert_eq!(status_at(address, "GET", path, "10.1.2.3"), 200, "{path}");
    }
    for path in ["/", "/status", "/sessions", "/reload", "/kick"] {
        assert_eq!(status_at(address, "GET", path, "localhost"), 404, "{path}");
        assert_eq!(status_at(address, "POST", path, "localhost"), 404, "{path}");
    }
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 3], 0)).into()).unwrap();
    socket.connect(&address.into()).unwrap();
    let mut refused = TcpStream::from(socket);
    let _ = refused.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_ne!(refused.read(&mut [0; 1]).ok(), Some(1), "closed without a word");
    gate.wait_for_log(&["\"connection\"", "\"refused\"", "not-allowed", "127.0.0.3"]);
}

#[test]
fn silent_connections_keep_nobody_from_the_metrics_door() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis)).acl(ACL).setting("metrics-listen = \"127.0.0.1:0\"").start();
    let address = port_of(&gate, "metrics door is open");
    // If each were served until it is given up, that would take a minute.
    let _silent: Vec<_> = (0..500).map(|_| TcpStream::connect(address).unwrap()).collect();
    assert_eq!(status_at(address, "GET", "/livez", "localhost"), 200);
}

#[test]
fn the_metrics_door_goes_to_the_next_process_when_this_one_ends() {
    let redis = RedisServer::start();
    let setup = |address: &str| {
        let setup = Respgate::setup(&upstream_of(&redis)).acl(ACL);
        setup.setting(&format!("metrics-listen = \"{address}\"")).expect_log("another process has the address")
    };
    let mut gate = setup("127.0.0.1:0").start();
    let address = port_of(&gate, "metrics door is open");
    let next = setup(&address.to_string()).start();
    next.wait_for_log(&["another process has the address"]);
    gate.signal(rustix::process::Signal::TERM);
    gate.exit_status();
    assert_eq!(port_of(&next, "metrics door is open"), address);
    assert_eq!(status_at(address, "GET", "/livez", "localhost"), 200);
}

/// Where a door is, as the log says.
fn port_of(gate: &Respgate, words: &str) -> SocketAddr {
    let line: Value = serde_json::from_str(&gate.wait_for_log(&[words])).unwrap();
    line["address"].as_str().unwrap().parse().unwrap()
}

fn status_at(address: SocketAddr, method: &str, path: &str, host: &str) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// The head and the body of the page at the admin socket.
fn page(gate: &Respgate) -> (String, String) {
    let answer = exchange(gate, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[test]
fn the_page_stands_alone_and_nobody_keeps_or_frames_it() {
    let redis = RedisServer::start();
    let gate = Respgate::start(&redis, ACL).settled();
    let (head, body) = page(&gate);
    for header in [
        "content-type: text/html; charset=utf-8",
        "content-security-policy: default-src 'none'; style-src 'sha256-",
        "; frame-ancestors 'none'",
        "cache-control: no-store",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
    ] {
        assert!(head.contains(header), "{header} in {head}");
    }
    assert!(!head.contains("unsafe") && !head.contains("access-control"), "{head}");
    assert!(body.starts_with("<!DOCTYPE html><html lang=\"en\"") && body.contains("<h1>serving</h1>"), "{body}");
    assert_eq!(body.matches("<script").count(), 1, "{body}");
    for element in ["<link", "src=", "url(", "<iframe", "<form"] {
        // The icon is in the page itself.
        assert_eq!(body.matches(element).count(), usize::from(element == "<link"), "{element} in {body}");
    }
}

#[test]
fn what_was_refused_is_on_the_page_and_in_the_document_and_whatever_a_client_calls_itself_is_text() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl("user alice on +@all ~*\nuser <b>on on nopass +@all\n")
        .setting("tls-auth-clients = \"optional\"")
        .setting("unsafe-nopass = true")
        .expect_log("nopass")
        .start()
        .settled();
    let mut alice = gate.connect("alice");
    (0..3).for_each(|_| assert!(alice.text(&["FLUSHALL"]).starts_with("-NOPERM")));
    let mut bold = gate.connect_as(None);
    assert_eq!(bold.text(&["AUTH", "<b>on", "any"]), "+OK");
    assert!(bold.text(&["CONFIG", "GET", "a"]).starts_with("-NOPERM"));
    let mut stranger = gate.connect_as(None);
    assert!(stranger.text(&["AUTH", "<script>\u{202e}'\"&", "any"]).starts_with("-WRONGPASS"));
    let config = gate.path("respgate.toml").display().to_string();
    let explain = |rest: &str| format!("respgate acl explain --config={config} --user={rest}");
    let status = gate.status();
    let refusals = status["refusals"].as_array().unwrap();
    let fields = |number: usize| {
        ["event", "user", "login_user", "command", "reason", "explain"]
            .map(|field| refusals[number].get(field).map_or("", |value| value.as_str().unwrap()))
    };
    assert_eq!(fields(0), ["login.refused", "", "<script>\u{202e}'\"&", "", "no-such-user", ""]);
    let asked = explain("'<b>on' -- config get KEY");
    assert_eq!(fields(1), ["request.refused", "<b>on", "", "config|get", "blocked", &asked]);
    let asked = explain("alice -- flushall");
    assert_eq!(fields(2), ["request.refused", "alice", "", "flushall", "blocked", &asked]);
    assert_eq!((refusals.len(), &refusals[2]["count"]), (3, &Value::from(3)));
    let (_, body) = page(&gate);
    for text in ["&lt;script&gt;\\u{202e}'&quot;&amp;", "<bdi>&lt;b&gt;on</bdi>", "--user='&lt;b&gt;on'", "flushall"] {
        assert!(body.contains(text), "{text} in {body}");
    }
    assert!(!body.contains("<b>on") && !body.contains("<script>\\u") && !body.contains('\u{202e}'), "{body}");
    assert!(!exchange(&gate, b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n").contains('\u{202e}'));
    let users = status["users"].as_array().unwrap();
    let user = |name: &str| users.iter().find(|user| user["name"] == name).unwrap();
    let counts = |name| ["sessions", "requests", "refused"].map(|field| user(name)[field].as_u64().unwrap());
    assert_eq!((counts("alice"), counts("<b>on"), counts("no user")), ([1, 3, 3], [1, 1, 1], [1, 2, 0]));
    assert!(user("alice").get("last_login").is_some() && user("no user").get("last_login").is_none());
}

#[test]
fn who_is_refused_in_a_thousand_ways_makes_the_page_no_larger_and_hides_nobody() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis)).acl("user alice on +@all ~*\nuser eve on\n").start().settled();
    assert!(gate.connect("alice").text(&["FLUSHALL"]).starts_with("-NOPERM"));
    let mut eve = gate.connect("eve");
    let listed = redis.direct().text(&["COMMAND", "LIST"]);
    let is_name = |line: &&str| line.chars().all(|c| c.is_ascii_lowercase()) && !["", "quit", "reset"].contains(line);
    for name in listed.lines().filter(is_name) {
        // Some of them take as many arguments.
        eve.send(&request(&[name, "a"]));
        eve.send(&request(&[name, "a", "b", "c"]));
    }
    eventually("there to be as many as are kept", || {
        let status = gate.status();
        let refusals = status["refusals"].as_array().unwrap();
        assert!(refusals.len() <= 100);
        (refusals.len() == 100).then(|| assert_eq!(refusals[99]["user"], "alice"))
    });
}

#[test]
fn a_browser_has_nothing_done_not_even_where_ssh_brings_it_to_the_socket() {
    let redis = RedisServer::start();
    let gate = Respgate::start(&redis, ACL).settled();
    for head in [
        "Host: rebound.example",
        "Host: localhost\r\nOrigin: http://localhost",
        "Host: localhost\r\nSec-Fetch-Site: none",
    ] {
        for path in ["/reload", "/kick?user=alice"] {
            let answer = exchange(&gate, format!("POST {path} HTTP/1.1\r\n{head}\r\n\r\n").as_bytes());
            assert!(answer.starts_with("HTTP/1.1 403 "), "{head}: {answer}");
        }
    }
    let answer = exchange(&gate, b"GET /status HTTP/1.1\r\nHost: rebound.example\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert_eq!(ask(&gate, "POST", "/reload").status, 200);
}

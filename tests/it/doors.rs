//! Asking the running proxy: what its doors answer, and to whom.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::support::{PATIENCE, RedisServer, Respgate, eventually, respgate_binary, upstream_of};

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
    let good = "[+]workers ok\n[+]upstream ok\n[+]shutdown ok\nreadyz check passed\n";
    assert_eq!(said("/readyz?verbose"), (200, good.to_owned()));
    redis.stop();
    eventually("Redis to be missed", || (said("/readyz").0 == 503).then_some(()));
    let bad = "[+]workers ok\n[-]upstream failed\n[+]shutdown ok\nreadyz check failed\n";
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
    let commands = [&["health"][..], &["health", "--ready"], &["status"]];
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

//! What the audit log is told of requests that are permitted, and of the keys of any.

use super::rig::{OPEN, Rig, request};
use crate::policy::{AuditRules, KeyNames};
use crate::session::Report;

/// A session of whose requests these are recorded.
fn rig(commands: &[&str], key_names: KeyNames) -> Rig {
    let mut rig = Rig::new(OPEN);
    let commands: Vec<String> = commands.iter().map(|command| (*command).to_owned()).collect();
    rig.policy.audit = AuditRules::build(&commands, key_names, &rig.policy.table).0;
    rig
}

/// Command, number of keys and of requests of each report.
fn reported(rig: &mut Rig) -> Vec<(String, Option<usize>, u64)> {
    let told = |(report, count)| match report {
        Report::Permitted { command, keys, .. } => (command, keys.count, count),
        Report::Refused { command, keys, .. } => (format!("refused {command}"), keys.count, count),
        other => panic!("{other:?}"),
    };
    rig.core.take_reports().into_iter().map(told).collect()
}

fn expected(rows: &[(&str, Option<usize>, u64)]) -> Vec<(String, Option<usize>, u64)> {
    rows.iter().map(|(command, keys, count)| ((*command).to_owned(), *keys, *count)).collect()
}

#[test]
fn permitted_requests_are_reported_where_they_are_forwarded_answered_and_queued() {
    let mut rig = rig(&["keys", "acl", "mget"], KeyNames::No);
    let lines = ["KEYS *", "GET a", "KEYS *", "ACL WHOAMI", "MULTI", "MGET a b c", "EXEC", "PING"];
    rig.client(&lines.map(request).concat());
    rig.redis("*0\r\n$-1\r\n*0\r\n+OK\r\n+QUEUED\r\n*1\r\n*3\r\n$-1\r\n$-1\r\n$-1\r\n+PONG\r\n");
    let rows = [("keys", Some(0), 2), ("acl|whoami", Some(0), 1), ("mget", Some(3), 1)];
    assert_eq!(reported(&mut rig), expected(&rows));
}

#[test]
fn a_large_request_is_reported_once_it_is_whole() {
    let mut rig = rig(&["set"], KeyNames::Yes);
    let large = request(&format!("SET a {}", "v".repeat(200_000)));
    rig.client(&large[..150_000]);
    assert_eq!(reported(&mut rig), []);
    rig.client(&large[150_000..]);
    let reports = rig.core.take_reports();
    let [(Report::Permitted { keys, .. }, 1)] = reports.as_slice() else { panic!("{reports:?}") };
    assert_eq!((keys.count, &*keys.names[0]), (Some(1), &b"a"[..]));
}

#[test]
fn what_is_refused_has_its_keys_and_no_value() {
    let mut rig = rig(&[], KeyNames::Yes);
    rig.block(&["set"]);
    rig.say("SET a secret");
    let reports = rig.core.take_reports();
    let [(Report::Refused { keys, .. }, 1)] = reports.as_slice() else { panic!("{reports:?}") };
    assert_eq!((keys.count, &*keys.names), (Some(1), &[b"a"[..].into()][..]));
}

#[test]
fn without_an_audit_log_nothing_is_reported_of_what_is_permitted() {
    let mut rig = Rig::new(OPEN);
    rig.client(&["KEYS *", "ACL WHOAMI"].map(request).concat());
    assert_eq!(reported(&mut rig), []);
    rig.say("FLUSHALL");
    assert_eq!(reported(&mut rig), expected(&[("refused flushall", None, 1)]));
}

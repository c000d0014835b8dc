//! What is counted of a session: what became of requests, whose they were, and how long replies take.

use std::time::Duration;

use super::rig::{CLOSED, OPEN, Rig, request};
use crate::session::{Report, Traffic};

const MOMENT: Duration = Duration::from_millis(7);

#[test]
fn requests_are_counted_by_what_became_of_them() {
    let mut rig = Rig::new(OPEN);
    let pipeline = ["GET a", "GET b", "ACL WHOAMI", "FLUSHALL", "NOSUCH"].map(request);
    rig.client(&pipeline.concat());
    rig.redis("$-1\r\n$-1\r\n");
    let traffic = rig.core.traffic();
    assert_eq!(traffic, Traffic { forwarded: 2, answered: 1, refused: 2, refused_later: 0 });
    assert_eq!((traffic.requests(), traffic.all_refused()), (5, 2));
}

#[test]
fn what_was_done_before_a_login_in_the_same_pipeline_is_counted_to_whoever_did_it() {
    let mut rig = Rig::new(CLOSED);
    rig.client(&["GET a", "AUTH alice x", "GET b", "DEBUG SLEEP 0"].map(request).concat());
    let refused = rig.core.take_reports().into_iter().filter_map(|(report, _)| match report {
        Report::Refused { command, user, .. } => Some((command, user.map(|user| user.to_string()))),
        _ => None,
    });
    let expected = [("get", None), ("get", Some("alice")), ("debug", Some("alice"))];
    let expected = expected.map(|(command, user)| (command.to_owned(), user.map(str::to_owned)));
    assert_eq!(refused.collect::<Vec<_>>(), expected);
    let former = rig.core.take_former_users();
    assert_eq!(former, [(None, Traffic { answered: 1, refused: 1, ..Traffic::default() })]);
    assert_eq!(rig.core.traffic().since(&former[0].1), Traffic { refused: 2, ..Traffic::default() });
    rig.say("RESET");
    let former = rig.core.take_former_users();
    assert_eq!(former[0].0.as_ref().map(ToString::to_string).as_deref(), Some("alice"));
}

#[test]
fn one_reply_at_a_time_is_measured_from_its_request_to_its_end() {
    let mut rig = Rig::new(OPEN);
    rig.say("GET a");
    rig.wait(MOMENT);
    rig.say("GET b");
    rig.redis("$1\r\n");
    assert_eq!(rig.core.take_reply_duration(), None, "it has not come as a whole");
    rig.wait(MOMENT);
    rig.redis("v\r\n");
    assert_eq!(rig.core.take_reply_duration(), Some(2 * MOMENT));
    rig.wait(MOMENT);
    rig.redis("$-1\r\n");
    assert_eq!(rig.core.take_reply_duration(), None, "the first was still under way when it was asked for");
    rig.say("GET c");
    rig.redis("$-1\r\n");
    assert_eq!(rig.core.take_reply_duration(), Some(Duration::ZERO));
}

#[test]
fn what_may_wait_for_long_is_not_measured() {
    let confirmation = "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n";
    for (line, reply) in [("BLPOP q 0", "*-1\r\n"), ("WAIT 1 0", ":0\r\n"), ("SUBSCRIBE a", confirmation)] {
        let mut rig = Rig::new(OPEN);
        rig.say(line);
        rig.wait(MOMENT);
        rig.redis(reply);
        assert_eq!(rig.core.take_reply_duration(), None, "{line}");
    }
    let mut rig = Rig::new(OPEN);
    rig.say("SUBSCRIBE a");
    rig.redis(confirmation);
    rig.say("PING");
    rig.redis("*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    assert_eq!(rig.core.take_reply_duration(), None, "Redis speaks unasked by now");
}

#[test]
fn a_reply_that_never_comes_because_of_reset_is_forgotten() {
    let mut rig = Rig::new(OPEN);
    rig.say("GET a");
    rig.redis("$-1\r\n");
    rig.core.take_reply_duration();
    rig.say("RESET");
    rig.wait(MOMENT);
    rig.say("GET b");
    rig.redis("$-1\r\n");
    assert_eq!(rig.core.take_reply_duration(), Some(Duration::ZERO));
}

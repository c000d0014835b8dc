//! CLIENT TRACKING with REDIRECT: to sessions of the same user only.

use std::sync::Arc;

use super::rig::Rig;
use crate::session::{ClientIds, LoginOutcome};

const USERS: &str =
    "user default on >secret ~* &* +@all\nuser alice on nopass ~* &* +@all\nuser bob on >pw ~* &* +@all\n";
const NO_SUCH_CLIENT: &str = "-ERR The client ID you want redirect to does not exist\r\n";
const ONE_CLIENT: &str = "-ERR A client can only redirect to a single other client\r\n";

#[test]
fn a_session_may_redirect_to_one_of_the_same_user_that_has_asked_for_its_id() {
    let client_ids = Arc::default();
    let (mut target, mut tracker) = (alice(&client_ids), alice(&client_ids));
    assert_eq!(track(&mut tracker, "ON REDIRECT 7"), NO_SUCH_CLIENT, "nobody has asked for that id");
    target.say("CLIENT ID");
    target.redis(":");
    assert_eq!((track(&mut tracker, "ON REDIRECT 7").as_str(), target.heard().as_str()), (NO_SUCH_CLIENT, ""));
    target.redis("7\r\n");
    assert_eq!(target.heard(), ":7\r\n");
    assert_eq!(track(&mut tracker, "ON REDIRECT 7"), "");
    assert_eq!(tracker.forwarded(), "CLIENT TRACKING ON REDIRECT 7");
    tracker.redis("+OK\r\n");
    assert_eq!(tracker.heard(), "+OK\r\n");
    drop(target);
    assert_eq!(track(&mut tracker, "ON REDIRECT 7"), NO_SUCH_CLIENT, "it is gone");
}

#[test]
fn the_reply_to_hello_tells_the_id_too() {
    let client_ids = Arc::default();
    let (mut target, mut tracker) = (alice(&client_ids), alice(&client_ids));
    target.say("HELLO 3");
    target.redis("%2\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:7\r\n");
    assert!(target.heard().starts_with("%2\r\n"));
    assert_eq!(track(&mut tracker, "ON REDIRECT 7"), "");
}

#[test]
fn wherever_redis_reads_a_redirection_it_is_judged() {
    let client_ids = Arc::default();
    let mut tracker = alice(&client_ids);
    for rest in ["ON BCAST PREFIX redirect redirect 7", "ON noloop ReDirect 7", "ON REDIRECT 0", "OFF REDIRECT -1"] {
        assert_eq!(track(&mut tracker, rest), NO_SUCH_CLIENT, "{rest}");
    }
    for rest in ["ON", "ON BCAST PREFIX redirect PREFIX 7", "ON REDIRECT", "ON REDIRECT seven", "OFF"] {
        assert_eq!(track(&mut tracker, rest), "", "{rest}");
        assert_eq!(tracker.forwarded(), format!("CLIENT TRACKING {rest}"));
        tracker.redis("+OK\r\n");
        assert_eq!(tracker.heard(), "+OK\r\n");
    }
}

#[test]
fn one_target_is_looked_up_however_often_a_request_names_one() {
    let client_ids = Arc::default();
    let (mut first, mut second, mut tracker) = (alice(&client_ids), alice(&client_ids), alice(&client_ids));
    for (target, id) in [(&mut first, 7), (&mut second, 8)] {
        target.say("CLIENT ID");
        target.redis(format!(":{id}\r\n"));
    }
    for (targets, answer) in [
        ("REDIRECT 7 ".repeat(1000), ONE_CLIENT),
        ("REDIRECT 7 REDIRECT 8 ".repeat(500), ONE_CLIENT),
        ("REDIRECT 9 ".repeat(1000), NO_SUCH_CLIENT),
    ] {
        let before = client_ids.asked();
        assert_eq!(track(&mut tracker, &format!("ON {targets}NOLOOP")), answer);
        assert_eq!(client_ids.asked() - before, 1);
    }
    assert_eq!(tracker.forwarded(), "");
}

#[test]
fn an_id_belongs_to_whoever_its_session_acts_for() {
    let client_ids = Arc::default();
    let (mut target, mut tracker) = (alice(&client_ids), alice(&client_ids));
    target.say("CLIENT ID");
    target.redis(":7\r\n");
    assert_eq!(track(&mut tracker, "ON REDIRECT 7"), "");
    tracker.redis("+OK\r\n");
    tracker.heard();
    target.say("AUTH bob pw");
    target.verified(LoginOutcome::Accepted(0));
    assert_eq!(target.heard(), ":7\r\n+OK\r\n");
    assert_eq!(track(&mut tracker, "ON REDIRECT 7"), NO_SUCH_CLIENT);
    target.say("AUTH alice any");
    assert_eq!(track(&mut tracker, "ON REDIRECT 7"), "");
}

#[test]
fn after_reset_the_id_is_that_of_nobody() {
    let client_ids = Arc::default();
    let (mut target, mut tracker) = (alice(&client_ids), alice(&client_ids));
    target.say("CLIENT ID");
    target.redis(":7\r\n");
    target.say("RESET");
    assert_eq!(track(&mut tracker, "ON REDIRECT 7"), NO_SUCH_CLIENT);
}

fn alice(client_ids: &Arc<ClientIds>) -> Rig {
    let mut rig = Rig::among(client_ids, USERS);
    rig.say("AUTH alice any");
    assert_eq!(rig.heard(), "+OK\r\n");
    rig
}

/// What the client hears at once.
fn track(rig: &mut Rig, rest: &str) -> String {
    rig.say(&format!("CLIENT TRACKING {rest}"));
    rig.heard()
}

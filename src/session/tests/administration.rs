//! Edits of users, and what they end.

use super::rig::{OPEN, Rig, request};
use crate::acl::{AclLogContext, AclLogReason, AclLogRecord};
use crate::command::{Dialect, looks};
use crate::policy::{Blocklist, UserRefusal};
use crate::session::{Administration, CloseReason, LoginOutcome};

/// The same rights, but not those of MONITOR, BLPOP and CLIENT TRACKING, and one channel.
const LESS: &str = "user default on nopass ~* &news +@all -monitor -blpop -client|tracking\n";

const GONE: CloseReason = CloseReason::Revoked(UserRefusal::UserOff);

fn waiting() -> Rig {
    let mut rig = Rig::new(OPEN);
    rig.administers = false;
    rig
}

#[test]
fn nothing_behind_an_edit_is_looked_at_until_it_is_done() {
    let mut rig = waiting();
    rig.client(&[request("ACL SETUSER bob on >pw"), request("GET a")].concat());
    assert_eq!((rig.forwarded(), rig.heard()), (String::new(), String::new()));
    let Some(Administration::SetUser { name, rules }) = &rig.administering else { panic!("an edit is asked for") };
    assert_eq!((name.as_slice(), rules.as_slice()), (&b"bob"[..], &[b"on".to_vec(), b">pw".to_vec()][..]));
    rig.administered(Some("user default on nopass ~b +@all\n"));
    let heard = rig.heard();
    assert!(heard.starts_with("+OK\r\n-NOPERM "), "judged by what the edit made: {heard}");
    assert_eq!(rig.forwarded(), "");
}

#[test]
fn the_answer_to_an_edit_waits_for_earlier_replies() {
    let mut rig = waiting();
    rig.client(&[request("GET a"), request("ACL SAVE")].concat());
    rig.administered(None);
    assert_eq!(rig.heard(), "");
    rig.redis("$1\r\nx\r\n");
    assert_eq!(rig.heard(), "$1\r\nx\r\n+OK\r\n");
}

#[test]
fn a_session_outlives_its_own_edit_but_not_the_next_of_somebody_else() {
    let mut rig = waiting();
    rig.say("ACL SETUSER default off");
    rig.administered(Some("user default off nopass ~* &* +@all\n"));
    assert_eq!((rig.heard().as_str(), rig.closed), ("+OK\r\n", None));
    assert_eq!(rig.forwarded(), "");
    rig.say("GET a");
    assert_eq!(rig.forwarded(), "GET a");
    rig.reload("user default off nopass ~* &* +@all\nuser eve on\n");
    assert_eq!(rig.closed, Some(GONE));
}

#[test]
fn a_session_outlives_each_edit_of_its_own_as_long_as_nobody_else_edits() {
    const OFF: &str = "user default off nopass ~* &* +@all\n";
    let mut rig = waiting();
    for edit in ["ACL SETUSER default off", "ACL SETUSER bob on", "ACL SETUSER bob off"] {
        rig.say(edit);
        rig.its_turn(None);
        assert!(rig.administering.is_some(), "{edit}");
        rig.administered(Some(OFF));
        assert_eq!((rig.heard().as_str(), rig.closed), ("+OK\r\n", None), "{edit}");
    }
    rig.say("ACL SETUSER bob on");
    rig.its_turn(Some(OFF));
    assert!(rig.administering.is_none());
    assert_eq!(rig.closed, Some(GONE));
}

#[test]
fn an_edit_whose_turn_comes_is_asked_for_again_word_for_word_while_nothing_behind_it_is_looked_at() {
    let edits = ["ACL SETUSER bob on >pw", "ACL DELUSER bob eve", "ACL LOAD", "ACL SAVE"];
    for edit in edits {
        let mut rig = waiting();
        rig.client(&[request(edit), request("GET a")].concat());
        rig.its_turn(Some("user default on nopass ~* &* +@all\nuser eve on\n"));
        let again =
            rig.administering.as_ref().map(|again| again.request().as_argv().iter().collect::<Vec<_>>().join(&b' '));
        assert_eq!(again.as_deref(), Some(edit.as_bytes()));
        assert_eq!((rig.forwarded(), rig.heard(), rig.closed), (String::new(), String::new(), None));
    }
}

#[test]
fn an_edit_is_not_asked_for_again_where_the_right_to_it_has_gone_meanwhile() {
    for (acl, closed) in [
        ("user default on nopass ~* &* +@all -acl|setuser\n", None),
        ("user default off nopass ~* &* +@all\n", Some(GONE)),
        ("user default on >pw ~* &* +@all\n", Some(CloseReason::Revoked(UserRefusal::PasswordRemoved))),
    ] {
        let mut rig = waiting();
        rig.client(&[request("ACL SETUSER default on nopass +@all"), request("ACL WHOAMI")].concat());
        rig.its_turn(Some(acl));
        assert!(rig.administering.is_none(), "{acl}");
        assert_eq!(rig.closed, closed, "{acl}");
        if closed.is_none() {
            let heard = rig.heard();
            assert!(heard.starts_with("-NOPERM ") && heard.ends_with("default\r\n"), "{heard}");
        }
    }
}

#[test]
fn an_edit_of_somebody_for_whom_less_is_blocked_by_now_is_not_asked_for_again() {
    let mut rig = waiting();
    rig.say("ACL SETUSER bob on");
    rig.policy.blocklist =
        Blocklist::build(&["FLUSHALL".to_owned()], &["bob".to_owned()], &[], &rig.policy.table).expect("a command");
    rig.its_turn(Some(OPEN));
    assert!(rig.administering.is_none());
    assert!(rig.heard().starts_with("-NOPERM respgate: only an exempt user"));
}

#[test]
fn each_request_is_counted_once_whatever_becomes_of_it() {
    let mut rig = Rig::new(OPEN);
    rig.administers = false;
    rig.policy.blocklist =
        Blocklist::build(&["FLUSHALL".to_owned()], &["bob".to_owned()], &[], &rig.policy.table).expect("a command");
    let counted = |rig: &Rig| (rig.core.traffic().requests(), rig.core.traffic().all_refused());
    rig.client(&["GET a", "ACL WHOAMI", "FLUSHALL", "ACL SETUSER bob on"].map(request).concat());
    assert_eq!(counted(&rig), (4, 2));
    rig.redis("$-1\r\n");
    rig.say("ACL SETUSER eve on");
    rig.its_turn(Some("user default on nopass ~* &* +@all -acl|setuser\n"));
    assert!(rig.administering.is_none());
    assert_eq!(counted(&rig), (5, 3), "it is refused when its turn has come");
}

#[test]
fn what_others_changed_before_its_own_edit_ends_the_session_after_its_answer() {
    let mut rig = waiting();
    rig.say("ACL SETUSER eve on");
    rig.its_turn(None);
    rig.reload("user default off\n");
    assert_eq!(rig.closed, None, "it is told first");
    rig.administered(Some("user default off\nuser eve on\n"));
    assert_eq!((rig.heard().as_str(), rig.closed), ("+OK\r\n", Some(GONE)));
}

#[test]
fn what_others_changed_meanwhile_ends_the_session_after_its_answer() {
    let mut rig = waiting();
    rig.say("ACL SAVE");
    rig.its_turn(None);
    rig.reload("user default off\n");
    assert_eq!(rig.closed, None, "it is told first");
    rig.administered(None);
    assert_eq!((rig.heard().as_str(), rig.closed), ("+OK\r\n", Some(GONE)));
}

#[test]
fn what_others_changed_ends_a_session_whose_edit_waits_for_its_turn_at_once() {
    let mut rig = waiting();
    rig.say("ACL SETUSER eve on");
    rig.reload("user default off\n");
    assert_eq!(rig.closed, Some(GONE));
}

#[test]
fn what_is_asked_of_the_outside_is_not_asked_for_in_a_transaction() {
    for edit in ["ACL SETUSER bob on", "ACL DELUSER bob", "ACL LOAD", "ACL SAVE", "ACL LOG RESET", "ACL GENPASS"] {
        let mut rig = waiting();
        rig.say("MULTI");
        rig.redis("+OK\r\n");
        assert_eq!((rig.forwarded().as_str(), rig.heard().as_str()), ("MULTI", "+OK\r\n"));
        rig.client(&[request(edit), request("ACL WHOAMI"), request("EXEC")].concat());
        assert!(rig.administering.is_none(), "{edit}");
        assert_eq!(rig.forwarded(), "respgate:refused\nEXEC");
        rig.redis("-ERR unknown command\r\n-EXECABORT Transaction discarded\r\n");
        let refused = "-ERR Command not allowed inside a transaction\r\n";
        assert_eq!(rig.heard(), [refused, refused, "-EXECABORT Transaction discarded\r\n"].concat());
    }
}

#[test]
fn a_subscription_is_judged_from_when_it_is_asked_for_until_it_is_given_up() {
    let confirmed = "*3\r\n$9\r\nsubscribe\r\n$3\r\nold\r\n:1\r\n";
    let cancelled = "*3\r\n$11\r\nunsubscribe\r\n$3\r\nold\r\n:0\r\n";
    let mut rig = Rig::new(OPEN);
    rig.say("SUBSCRIBE old");
    rig.reload(LESS);
    assert_eq!(rig.closed, Some(CloseReason::OngoingRightLost), "not confirmed yet");

    let mut rig = Rig::new(OPEN);
    rig.say("SUBSCRIBE old");
    rig.redis(confirmed);
    rig.reload(LESS);
    assert_eq!(rig.closed, Some(CloseReason::OngoingRightLost));

    let mut rig = Rig::new(OPEN);
    rig.say("SUBSCRIBE old");
    rig.redis(confirmed);
    rig.say("UNSUBSCRIBE");
    rig.redis(cancelled);
    rig.say("SUBSCRIBE news");
    rig.reload(LESS);
    assert_eq!(rig.closed, None);
}

/// Subscribed to so many names of 1,000 bytes, as Redis has confirmed.
fn subscribed(acl: &str, count: usize) -> Rig {
    let mut rig = Rig::new(acl);
    for number in 0..count {
        let name = format!("{number:01000}");
        rig.say(&format!("SUBSCRIBE {name}"));
        rig.redis(format!("*3\r\n$9\r\nsubscribe\r\n$1000\r\n{name}\r\n:{}\r\n", number + 1));
    }
    rig
}

#[test]
fn subscriptions_are_not_judged_again_where_the_rights_of_the_user_are_kept() {
    let mut rig = subscribed(OPEN, 10);
    looks::take();
    rig.reload(&format!("{OPEN}user other on nopass\n"));
    rig.reload(OPEN);
    assert_eq!((rig.closed, looks::take()), (None, 0));
    rig.reload("user default on nopass ~* &0* +@all\n");
    assert_eq!(rig.closed, None);
    assert!(looks::take() >= 10_000);
}

#[test]
fn subscriptions_of_another_user_are_judged_again_although_the_rights_of_the_present_one_are_kept() {
    let acl = "user default on nopass ~* &* +@all\nuser alice on >pw ~* &news +@all\n";
    let mut rig = Rig::new(acl);
    rig.say("HELLO 3");
    rig.redis("%0\r\n");
    rig.say("SUBSCRIBE old");
    rig.redis(">3\r\n$9\r\nsubscribe\r\n$3\r\nold\r\n:1\r\n");
    rig.say("AUTH alice pw");
    rig.verified(LoginOutcome::Accepted(0));
    assert_eq!(rig.closed, None);
    rig.reload(&format!("{acl}user other on nopass\n"));
    assert_eq!(rig.closed, Some(CloseReason::OngoingRightLost));
}

/// Ids of two tables are not the same commands.
#[test]
fn subscriptions_are_judged_again_where_the_rights_are_kept_by_number_under_another_table() {
    let acl = "user default on nopass -@all +subscribe +ping &*\n";
    let narrowed = "user default on nopass +@all -subscribe -psubscribe -ssubscribe &*\n";
    for later in [Dialect::Redis72, Dialect::Valkey91] {
        let mut rig = Rig::new(acl);
        rig.say("SUBSCRIBE news");
        rig.redis("*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n");
        rig.reload_under(later, narrowed);
        assert_eq!(rig.closed, Some(CloseReason::OngoingRightLost), "{later:?}");
    }
}

#[test]
fn subscriptions_that_take_too_long_to_judge_again_are_ended() {
    let patterns: String = (0..60).map(|number| format!(" &*{number}:x")).collect();
    let acl = |more: &str| format!("user default on nopass ~* +@all resetchannels{patterns}{more} &0*\n");
    let mut rig = subscribed(&acl(" &y"), 100);
    rig.reload(&acl(""));
    assert_eq!(rig.closed, Some(CloseReason::OngoingRightLost));
}

#[test]
fn names_of_subscriptions_count_as_held_memory() {
    let held = |name: &str| {
        let mut rig = Rig::new(OPEN);
        rig.say(&format!("SUBSCRIBE {name}"));
        rig.redis(format!("*3\r\n$9\r\nsubscribe\r\n${}\r\n{name}\r\n:1\r\n", name.len()));
        rig.core.memory()
    };
    assert_eq!(held("fourfour") - held("four"), 4);
}

#[test]
fn monitor_tracking_and_an_outstanding_blocking_command_are_judged_again() {
    let begun: [&[&str]; 3] = [&["MONITOR"], &["CLIENT TRACKING ON BCAST"], &["GET a", "BLPOP q 0"]];
    for requests in begun {
        let mut rig = Rig::new(OPEN);
        rig.client(&requests.iter().flat_map(|line| request(line)).collect::<Vec<u8>>());
        rig.reload(LESS);
        assert_eq!(rig.closed, Some(CloseReason::OngoingRightLost), "{requests:?}");
    }
    let mut rig = Rig::new(OPEN);
    rig.client(&[request("CLIENT TRACKING ON BCAST"), request("CLIENT TRACKING OFF"), request("BLPOP q 0")].concat());
    rig.redis("+OK\r\n+OK\r\n*2\r\n$1\r\nq\r\n$1\r\nx\r\n");
    rig.reload(LESS);
    assert_eq!(rig.closed, None, "nothing of it is left");
}

#[test]
fn what_comes_behind_a_blocking_command_is_judged_when_that_is_over() {
    // Redis reads keywords up to a NUL.
    for blocking in ["BRPOP q 0", "WAIT 1 0", "XREAD BLOCK 0 STREAMS s $", "XREAD block\0x 0 STREAMS s $"] {
        let mut rig = Rig::new(OPEN);
        rig.client(&[blocking, "DEL a", "GET a"].map(request).concat());
        assert_eq!(rig.forwarded(), blocking);
        rig.reload("user default on nopass ~* &* +@all -del\n");
        rig.redis("*-1\r\n");
        assert_eq!(rig.forwarded(), "GET a", "{blocking}");
        assert!(rig.heard().starts_with("*-1\r\n-NOPERM "), "{blocking}");
    }
}

#[test]
fn tracking_goes_on_where_redis_may_refuse_to_end_it_or_never_does() {
    for requests in [&["CLIENT TRACKING OFF NOSUCH"][..], &["MULTI", "CLIENT TRACKING OFF", "DISCARD"]] {
        let mut rig = Rig::new(OPEN);
        rig.say("CLIENT TRACKING ON BCAST");
        rig.client(&requests.iter().flat_map(|line| request(line)).collect::<Vec<u8>>());
        rig.reload(LESS);
        assert_eq!(rig.closed, Some(CloseReason::OngoingRightLost), "{requests:?}");
    }
}

#[test]
fn refusals_of_a_pipeline_are_kept_for_the_log_in_order_and_counted() {
    let mut rig = Rig::new("user default on nopass ~a &* +@all -del\n");
    rig.client(&[request("GET b"), request("GET b"), request("DEL a"), request("NOSUCH"), request("GET a")].concat());
    let refusal = |reason, object: &[u8]| AclLogRecord::new(reason, AclLogContext::Toplevel, object, b"default");
    let expected =
        [AclLogRecord { count: 2, ..refusal(AclLogReason::Key, b"b") }, refusal(AclLogReason::Command, b"del")];
    assert_eq!(rig.core.take_acl_log(), expected);
    assert!(rig.core.take_acl_log().is_empty());
}

#[test]
fn tracking_ends_with_a_key_rule_and_nothing_else_does() {
    const FEWER_KEYS: &str = "user default on nopass ~shop:* &* +@all\n";
    for (line, expected) in [
        ("CLIENT TRACKING ON", Some(CloseReason::OngoingRightLost)),
        ("CLIENT TRACKING OFF", None),
        ("SUBSCRIBE news", None),
        ("GET a", None),
    ] {
        let mut rig = Rig::new(OPEN);
        rig.say(line);
        rig.reload(FEWER_KEYS);
        assert_eq!(rig.closed, expected, "{line}");
    }
    let mut rig = Rig::new(FEWER_KEYS);
    rig.say("CLIENT TRACKING ON");
    rig.reload(OPEN);
    assert_eq!(rig.closed, None, "more keys take nothing away");
}

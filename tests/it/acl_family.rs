//! The ACL command family: users edited while their sessions live.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;

use crate::support::{RedisServer, Respgate, eventually, request, upstream_of};

const USERS: &str = "user admin on +@all ~* &*\nuser bob on +@all -@admin ~* &*\n";

#[test]
fn an_edit_governs_the_next_request_of_another_live_session() {
    let (_redis, gate) = start(USERS);
    let (mut admin, mut bob) = (gate.connect("admin"), gate.connect("bob"));
    assert_eq!(bob.text(&["SET", "a", "1"]), "+OK");
    assert_eq!(admin.text(&["ACL", "SETUSER", "bob", "-set"]), "+OK");
    assert!(bob.text(&["SET", "a", "2"]).starts_with("-NOPERM "));
    assert_eq!(bob.text(&["GET", "a"]), "$1\r\n1");
}

#[test]
fn an_edit_governs_what_stands_behind_it_in_the_same_pipeline() {
    let (_redis, gate) = start(USERS);
    let mut admin = gate.connect("admin");
    let mut bytes = request(&["SET", "a", "1"]);
    bytes.extend(request(&["ACL", "SETUSER", "admin", "-get"]));
    bytes.extend(request(&["GET", "a"]));
    admin.send(&bytes);
    assert_eq!([admin.reply_text(), admin.reply_text()], ["+OK", "+OK"]);
    assert!(admin.reply_text().starts_with("-NOPERM "));
}

#[test]
fn a_new_user_can_enter_at_once() {
    let (_redis, gate) = start(USERS);
    let mut admin = gate.connect("admin");
    assert_eq!(admin.text(&["ACL", "SETUSER", "eve", "on", "+get", "~e*"]), "+OK");
    assert_eq!(gate.connect("eve").text(&["GET", "e"]), "$-1");
}

#[test]
fn a_wrong_rule_changes_nothing() {
    let (_redis, gate) = start(USERS);
    let mut admin = gate.connect("admin");
    let refused = admin.text(&["ACL", "SETUSER", "bob", "-get", "+nosuchcommand"]);
    assert_eq!(refused, "-ERR Error in ACL SETUSER modifier '+nosuchcommand': Unknown command or category name in ACL");
    assert_eq!(gate.connect("bob").text(&["GET", "a"]), "$-1");
}

#[test]
fn a_user_that_is_deleted_or_switched_off_loses_its_sessions() {
    let (_redis, gate) = start(&format!("{USERS}user eve on +@all ~*\n"));
    let (mut admin, mut bob, mut eve) = (gate.connect("admin"), gate.connect("bob"), gate.connect("eve"));
    assert_eq!([bob.text(&["PING"]), eve.text(&["PING"])], ["+PONG", "+PONG"]);
    assert_eq!(admin.text(&["ACL", "DELUSER", "bob", "nobody"]), ":1");
    assert_eq!(admin.text(&["ACL", "SETUSER", "eve", "off"]), "+OK");
    bob.expect_closed();
    eve.expect_closed();
    gate.wait_for_log(&["\"close\"", "bob", "revoked-no-such-user"]);
    gate.wait_for_log(&["\"close\"", "eve", "revoked-user-off"]);
}

#[test]
fn an_edit_that_waits_for_its_turn_is_not_done_once_its_author_has_lost_the_right_to_it() {
    for (taken_away, left) in [
        (&["ACL", "DELUSER", "eve"][..], "$-1"),
        (&["ACL", "SETUSER", "eve", "off"], "off"),
        (&["ACL", "SETUSER", "eve", "-acl|setuser"], "-acl|setuser"),
    ] {
        let (_redis, gate) = start("user admin on +@all ~* &*\nuser eve on +@all ~*\n");
        let mut admin = gate.connect("admin");
        let mut eves: Vec<_> = (0..20).map(|_| gate.connect("eve")).collect();
        for eve in &mut eves {
            assert_eq!(eve.text(&["PING"]), "+PONG");
        }
        for eve in &mut eves {
            eve.send(&request(&["ACL", "SETUSER", "eve", "on", "+@all", "~*"]).repeat(20));
        }
        assert!(!admin.text(taken_away).starts_with('-'));
        // Its turn comes after that of all that waited before.
        assert_eq!(admin.text(&["ACL", "SETUSER", "admin", "on"]), "+OK");
        let eve = admin.text(&["ACL", "GETUSER", "eve"]);
        assert!(eve.contains(left), "{taken_away:?}: {eve}");
    }
}

#[test]
fn the_edits_of_many_who_edit_at_once_are_all_done() {
    let (_redis, gate) = start("user admin on +@all ~* &*\n");
    let mut admins: Vec<_> = (0..8).map(|_| gate.connect("admin")).collect();
    for (session, admin) in admins.iter_mut().enumerate() {
        for number in 0..10 {
            admin.send(&request(&["ACL", "SETUSER", &format!("user-{session}-{number}"), "on"]));
        }
    }
    for admin in &mut admins {
        for _ in 0..10 {
            assert_eq!(admin.reply_text(), "+OK");
        }
    }
    assert!(admins[0].text(&["ACL", "USERS"]).starts_with("*82\r\n"));
}

#[test]
fn whoever_deletes_its_own_user_hears_so_and_is_closed() {
    let (_redis, gate) = start(USERS);
    let mut admin = gate.connect("admin");
    assert_eq!(admin.text(&["ACL", "DELUSER", "admin"]), ":1");
    admin.expect_closed();
}

#[test]
fn a_session_ends_with_the_password_that_let_it_in_and_with_no_other() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl_file("user admin on >root +@all ~*\nuser app on >old >new +@all -@admin ~*\n")
        .table("[block]\ncommands = []")
        .expect_log("[block]")
        .start();
    let enter = |user: &str, password: &str| {
        let mut client = gate.connect("anybody");
        assert_eq!(client.text(&["AUTH", user, password]), "+OK");
        client
    };
    let (mut admin, mut old, mut new) = (enter("admin", "root"), enter("app", "old"), enter("app", "new"));
    assert_eq!(admin.text(&["ACL", "SETUSER", "app", "<old"]), "+OK");
    old.expect_closed();
    assert_eq!(new.text(&["PING"]), "+PONG");
    gate.wait_for_log(&["\"close\"", "revoked-password-removed"]);
    // Who changes its own password goes on.
    assert_eq!(admin.text(&["ACL", "SETUSER", "admin", ">next", "<root"]), "+OK");
    assert_eq!(admin.text(&["ACL", "WHOAMI"]), "$5\r\nadmin");
    assert!(gate.connect("anybody").text(&["AUTH", "admin", "root"]).starts_with("-WRONGPASS "));
}

#[test]
fn a_subscription_ends_when_its_channel_is_lost_and_only_then() {
    let (_redis, gate) = start("user admin on +@all ~* &*\nuser bob on +@pubsub &news &jobs:* &old\n");
    let mut admin = gate.connect("admin");
    let (mut kept, mut lost, mut left) = (gate.connect("bob"), gate.connect("bob"), gate.connect("bob"));
    assert!(kept.text(&["SUBSCRIBE", "jobs:1"]).ends_with(":1"));
    assert!(lost.text(&["SUBSCRIBE", "news"]).ends_with(":1"));
    assert!(lost.text(&["PSUBSCRIBE", "jobs:*"]).ends_with(":2"));
    assert!(left.text(&["SUBSCRIBE", "old"]).ends_with(":1"));
    assert!(left.text(&["SUBSCRIBE", "news"]).ends_with(":2"));
    assert!(left.text(&["UNSUBSCRIBE", "old"]).ends_with(":1"));
    assert_eq!(admin.text(&["ACL", "SETUSER", "bob", "resetchannels", "&news", "&jobs:1"]), "+OK");
    lost.expect_closed();
    gate.wait_for_log(&["\"close\"", "ongoing-right-lost"]);
    assert_eq!(admin.text(&["PUBLISH", "jobs:1", "x"]), ":1");
    assert!(kept.reply_text().ends_with("x"));
    assert_eq!(admin.text(&["PUBLISH", "news", "y"]), ":1", "what was unsubscribed from is no longer asked about");
    assert!(left.reply_text().ends_with("y"));
}

#[test]
fn a_blocked_command_and_monitor_end_when_the_right_is_lost() {
    let (redis, gate) = start(USERS);
    let mut admin = gate.connect("admin");
    assert_eq!(admin.text(&["ACL", "SETUSER", "bob", "+monitor"]), "+OK");
    let (mut blocked, mut watcher) = (gate.connect("bob"), gate.connect("bob"));
    blocked.send(&request(&["BLPOP", "queue", "0"]));
    assert_eq!(watcher.text(&["MONITOR"]), "+OK");
    eventually("BLPOP to block", || {
        let clients = redis.direct().text(&["INFO", "clients"]);
        clients.contains("blocked_clients:1").then_some(())
    });
    assert_eq!(admin.text(&["ACL", "SETUSER", "bob", "-blpop"]), "+OK");
    blocked.expect_closed();
    assert_eq!(redis.direct().text(&["RPUSH", "queue", "job"]), ":1", "nobody takes it");
    assert_eq!(admin.text(&["ACL", "SETUSER", "bob", "-monitor"]), "+OK");
    let _ = watcher.read_to_end();
    gate.wait_for_log(&["\"close\"", "ongoing-right-lost"]);
}

#[test]
fn an_edit_survives_the_reload_of_another_file() {
    let (_redis, gate) = start(USERS);
    let mut admin = gate.connect("admin");
    assert_eq!(admin.text(&["ACL", "SETUSER", "bob", "-set"]), "+OK");
    // Until the upstream is heard, a generation may be built for that reason.
    gate.wait_for_log(&["new generation", "upstream"]);
    gate.pki().renew_server();
    gate.wait_for_log(&["new generation", "files changed"]);
    assert!(gate.connect("bob").text(&["SET", "a", "1"]).starts_with("-NOPERM "));
    assert!(admin.text(&["ACL", "DRYRUN", "bob", "SET", "a", "1"]).contains("no permissions"));
}

#[test]
fn whoever_loads_a_file_that_takes_its_password_or_switches_it_off_hears_so_and_is_closed() {
    let acl = |bob: &str| format!("user admin {bob}\nuser bob {bob} +@all\n");
    let redis = RedisServer::start();
    for (loaded, reason) in
        [("on >new", Some("revoked-password-removed")), ("off >old", Some("revoked-user-off")), ("on >new >old", None)]
    {
        let gate = Respgate::setup(&upstream_of(&redis))
            .setting("tls-auth-clients = \"optional\"")
            .setting("reload-interval = \"1h\"")
            .table("[block]\ncommands = [\"FLUSHALL\"]")
            .acl(&acl("on >old"))
            .start();
        let mut bob = gate.connect_as(None);
        assert_eq!(bob.text(&["AUTH", "bob", "old"]), "+OK");
        gate.write_acl(&acl(loaded));
        assert_eq!(bob.text(&["ACL", "LOAD"]), "+OK", "{loaded}");
        let Some(reason) = reason else {
            assert_eq!(bob.text(&["PING"]), "+PONG");
            continue;
        };
        bob.expect_closed();
        gate.wait_for_log(&["\"close\"", "bob", reason]);
    }
}

#[test]
fn a_file_that_changes_under_unsaved_edits_is_reported_and_not_read() {
    let (_redis, gate) = start(USERS);
    let mut admin = gate.connect("admin");
    assert_eq!(admin.text(&["ACL", "SETUSER", "bob", "-set"]), "+OK");
    gate.write_acl(&format!("{USERS}user eve on\n"));
    gate.wait_for_log(&["ERROR", "refused", "users.acl"]);
    assert_eq!(admin.text(&["ACL", "USERS"]), "*3\r\n$5\r\nadmin\r\n$3\r\nbob\r\n$7\r\ndefault");
    assert_eq!(admin.text(&["ACL", "LOAD"]), "+OK");
    assert_eq!(admin.text(&["ACL", "GETUSER", "nobody"]), "$-1");
    assert!(admin.text(&["ACL", "USERS"]).contains("eve"));
    assert_eq!(gate.connect("bob").text(&["SET", "a", "1"]), "+OK", "the edit is given up");
    // Nothing is unsaved now: what changes is read again.
    gate.write_acl(USERS);
    eventually("the file to be read", || (!admin.text(&["ACL", "USERS"]).contains("eve")).then_some(()));
}

#[test]
fn a_file_that_was_held_up_when_users_were_edited_is_reported_then_and_with_every_new_generation() {
    let (_redis, gate) = start(USERS);
    let gate = gate.settled();
    let mut admin = gate.connect("admin");
    gate.edit_config("[block]", "[user.bob]\nreauth = \"yes\"\n[block]");
    gate.wait_for_log(&["new generation", "files changed"]);
    gate.write_acl("user admin on +@all ~* &*\nuser eve on\n");
    gate.wait_for_log(&["ERROR", "kept the old one"]);
    let reports = || gate.log_text().lines().filter(|line| line.contains("users were edited since")).count();
    assert_eq!(admin.text(&["ACL", "SETUSER", "carol", "on"]), "+OK");
    eventually("a report", || (reports() == 1).then_some(()));
    gate.edit_config("[user.bob]\nreauth = \"yes\"\n", "");
    eventually("another report", || (reports() == 2).then_some(()));
    assert!(admin.text(&["ACL", "USERS"]).contains("bob"));
    assert_eq!(admin.text(&["ACL", "LOAD"]), "+OK");
    gate.pki().renew_server();
    let built = |line: &&str| line.contains("new generation") && line.contains("files changed");
    eventually("another generation", || (gate.log_text().lines().filter(built).count() == 3).then_some(()));
    assert_eq!(reports(), 2, "what is in force is not reported");
}

#[test]
fn a_configuration_that_fits_only_users_that_are_not_saved_is_warned_of() {
    let (_redis, gate) = start(USERS);
    let gate = gate.settled();
    let mut admin = gate.connect("admin");
    assert_eq!(admin.text(&["ACL", "SETUSER", "eve", "on"]), "+OK");
    gate.edit_config("[block]", "[user.eve]\nreauth = \"yes\"\n[block]");
    gate.wait_for_log(&["WARN", "users.acl", "ACL SAVE, or the next start fails"]);
    assert_eq!(admin.text(&["ACL", "SAVE"]), "+OK");
    gate.edit_config("reauth = \"yes\"", "reauth = \"no\"");
    let done = || gate.log_text().matches("files changed").count();
    eventually("another generation", || (done() == 2).then_some(()));
    assert_eq!(gate.log_text().matches("the next start fails").count(), 1);
}

#[test]
fn a_signal_gives_unsaved_edits_up() {
    let (_redis, gate) = start(USERS);
    let mut admin = gate.connect("admin");
    assert_eq!(admin.text(&["ACL", "SETUSER", "eve", "on"]), "+OK");
    gate.signal(Signal::HUP);
    gate.wait_for_log(&["WARN", "not saved"]);
    eventually("eve to be gone", || (admin.text(&["ACL", "GETUSER", "eve"]) == "$-1").then_some(()));
}

#[test]
fn saved_users_are_in_a_whole_file_of_the_same_mode_and_read_back() {
    let (_redis, gate) = start(USERS);
    fs::set_permissions(gate.path("users.acl"), fs::Permissions::from_mode(0o640)).unwrap();
    let mut admin = gate.connect("admin");
    assert_eq!(admin.text(&["ACL", "SETUSER", "eve", "on", ">secret", "%R~a*", "+get", "(+set ~b)"]), "+OK");
    let before = admin.text(&["ACL", "LIST"]);
    let inode = inode(&gate);
    assert_eq!(admin.text(&["ACL", "SAVE"]), "+OK");
    assert_ne!(self::inode(&gate), inode, "a new file took the place of the old one");
    let mode = fs::metadata(gate.path("users.acl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    assert!(!fs::read_to_string(gate.path("users.acl")).unwrap().contains("secret"));
    assert_eq!(admin.text(&["ACL", "LOAD"]), "+OK");
    assert_eq!(admin.text(&["ACL", "LIST"]), before);
}

#[test]
fn under_strict_permissions_a_file_that_others_could_read_is_read_once_its_mode_is_right() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl("user admin on +@all ~*\n")
        .table("[block]\ncommands = [\"FLUSHALL\"]")
        .setting("strict-permissions = true")
        .expect_log("reload")
        .start()
        .settled();
    let mut admin = gate.connect("admin");
    let set_mode = |mode| fs::set_permissions(gate.path("users.acl"), fs::Permissions::from_mode(mode)).unwrap();
    set_mode(0o644);
    gate.write_acl("user admin on +@all ~*\nuser eve on >pw +get\n");
    gate.wait_for_log(&["can be read by others", "users.acl"]);
    assert!(!admin.text(&["ACL", "USERS"]).contains("eve"));
    set_mode(0o600);
    eventually("the file to be read", || admin.text(&["ACL", "USERS"]).contains("eve").then_some(()));
}

#[test]
fn what_is_saved_in_a_file_that_others_can_read_is_no_change_of_it() {
    let (_redis, gate) = start(USERS);
    let gate = gate.settled();
    let mut admin = gate.connect("admin");
    fs::set_permissions(gate.path("users.acl"), fs::Permissions::from_mode(0o644)).unwrap();
    gate.wait_for_log(&["new generation", "files changed"]);
    assert_eq!(admin.text(&["ACL", "SETUSER", "eve", "on"]), "+OK");
    assert_eq!(admin.text(&["ACL", "SAVE"]), "+OK");
    assert_eq!(admin.text(&["ACL", "SETUSER", "carol", "on"]), "+OK");
    gate.pki().renew_server();
    eventually("another generation", || (gate.log_text().matches("\"new generation\"").count() == 3).then_some(()));
    assert!(!gate.log_text().contains("refused"), "{}", gate.log_text());
}

#[test]
fn a_file_that_cannot_be_saved_is_an_error_and_stays_as_it_is() {
    let (_redis, gate) = start(USERS);
    let mut admin = gate.connect("admin");
    fs::remove_file(gate.path("users.acl")).unwrap();
    gate.wait_for_log(&["users.acl", "cannot read"]);
    assert!(admin.text(&["ACL", "SAVE"]).starts_with("-ERR There was an error trying to save the ACLs."));
    assert!(!gate.path("users.acl").exists());
}

#[test]
fn a_wrong_file_is_not_loaded_and_its_lines_are_named() {
    let (_redis, gate) = start(USERS);
    // Until the upstream is heard, an unknown category may be one of its modules'.
    let gate = gate.settled();
    let mut admin = gate.connect("admin");
    // Unsaved edits keep the poll from reading the file first.
    assert_eq!(admin.text(&["ACL", "SETUSER", "eve", "on"]), "+OK");
    gate.write_acl("user admin on +@all ~*\nuser bob on +@nosuchcategory\nusr x\n");
    let refused = admin.text(&["ACL", "LOAD"]);
    assert!(refused.starts_with("-ERR ") && refused.contains("users.acl:2: '+@nosuchcategory': "), "{refused}");
    assert!(refused.contains("users.acl:3: "), "{refused}");
    assert!(
        refused.ends_with("WARNING: ACL errors detected, no change to the previously active ACL rules was performed")
    );
    assert!(admin.text(&["ACL", "USERS"]).contains("eve"));
}

#[test]
fn a_user_for_whom_less_is_blocked_is_changed_by_an_exempt_one_alone() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl("user root on +@all ~*\nuser admin on +@all ~*\nuser spare off\nuser jobs off\n")
        .table("[block]\ncommands = [\"FLUSHALL\", \"@scripting\"]\nexempt-users = [\"root\", \"spare\"]\nscripting-users = [\"jobs\"]")
        .table("[[certificate]]\ncn = \"root\"\nuser = \"root\"")
        .start();
    let (mut root, mut admin) = (gate.connect("root"), gate.connect("admin"));
    for edit in [
        &["ACL", "SETUSER", "root", ">mine"][..],
        &["ACL", "SETUSER", "spare", "on"],
        &["ACL", "SETUSER", "jobs", "on", "+@all"],
        &["ACL", "DELUSER", "root"],
    ] {
        assert!(admin.text(edit).starts_with("-NOPERM respgate: only an exempt user"), "{edit:?}");
    }
    gate.wait_for_log(&["refusal", "admin", "acl|setuser", "blocked"]);
    assert_eq!(root.text(&["ACL", "SETUSER", "spare", "on", "+@all"]), "+OK");
    assert_eq!(root.text(&["ACL", "SETUSER", "jobs", "on", "+@all"]), "+OK");
    assert_eq!(admin.text(&["ACL", "SETUSER", "bob", "on"]), "+OK");
}

#[test]
fn a_user_that_the_configuration_names_is_not_deleted_and_the_key_that_names_it_is_told() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl("user admin on +@all ~*\nuser ops on +@all ~*\nuser bob on +@all ~*\n")
        .table("[block]\ncommands = [\"FLUSHALL\", \"@scripting\"]\nexempt-users = [\"admin\"]\nscripting-users = [\"ops\"]")
        .table("[user.ops]\ncertificate = \"required\"\n[[certificate]]\ncn = \"bob\"\nuser = \"bob\"")
        .table("[[certificate]]\ncn = \"admin\"\nuser = \"admin\"")
        .expect_log("the file has changed")
        .start()
        .settled();
    let mut admin = gate.connect("admin");
    let way_out = ": take it out there first, or switch the user off";
    assert_eq!(
        admin.text(&["ACL", "DELUSER", "nobody", "ops"]),
        format!("-ERR user 'ops' is named by [block] scripting-users and [user.ops]{way_out}")
    );
    let refused = format!("-ERR user 'bob' is named by [[certificate]] user{way_out}");
    assert_eq!(admin.text(&["ACL", "DELUSER", "bob"]), refused);
    assert_eq!(admin.text(&["ACL", "SETUSER", "bob", "off"]), "+OK", "a user that is off is there");
    gate.write_acl("user admin on +@all ~*\nuser bob off\n");
    let refused = admin.text(&["ACL", "LOAD"]);
    assert!(refused.starts_with("-ERR ") && refused.contains("[user.ops]: there is no user 'ops'"), "{refused}");
    assert!(admin.text(&["ACL", "USERS"]).contains("ops"));
    gate.wait_for_log(&["ERROR", "refused", "users.acl"]);
}

#[test]
fn nopass_is_refused_to_an_edit_as_it_is_to_a_file() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl(&format!("{USERS}user eve off nopass\n"))
        .setting("tls-auth-clients = \"optional\"")
        .table("[block]\ncommands = [\"FLUSHALL\"]\n[user.bob]\ncertificate = \"required\"")
        .expect_log("reload")
        .expect_log("nopass")
        .start()
        .settled();
    let mut admin = gate.connect("admin");
    let edits = [&["ACL", "SETUSER", "eve", "on"][..], &["ACL", "SETUSER", "carol", "on", "nopass"]];
    for edit in edits {
        let refused = admin.text(edit);
        let reason =
            format!("-ERR user '{}' is nopass, and 127.0.0.1:0 lets in clients without a certificate", edit[2]);
        assert!(refused.starts_with(&reason), "{refused}");
    }
    assert_eq!(admin.text(&["ACL", "SETUSER", "bob", "nopass"]), "+OK", "AUTH as bob takes a certificate");
    gate.edit_config("\"required\"", "\"optional\"");
    gate.wait_for_log(&["ERROR", "user 'bob' is nopass", "tls-auth-clients"]);
    gate.edit_config("upstream =", "unsafe-nopass = true\nupstream =");
    gate.wait_for_log(&["WARN", "user 'bob' is nopass", "as unsafe-nopass has it"]);
    assert_eq!(admin.text(edits[1]), "+OK");
    gate.wait_for_log(&["WARN", "user 'carol' is nopass"]);
    assert_eq!(gate.connect_as(None).text(&["AUTH", "carol", "whatever"]), "+OK");
}

#[test]
fn a_configuration_that_waits_for_a_user_is_taken_with_the_edit_that_makes_it() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl(USERS)
        .table("[block]\ncommands = [\"@scripting\", \"ACL LOAD\"]")
        .expect_log("reload")
        .start()
        .settled();
    let mut admin = gate.connect("admin");
    gate.edit_config("\"ACL LOAD\"]", "\"ACL LOAD\", \"GET\"]\nscripting-users = [\"eve\"]");
    gate.wait_for_log(&["respgate.toml:", "[block] scripting-users: there is no user 'eve'"]);
    assert_eq!(admin.text(&["GET", "a"]), "$-1");
    assert_eq!(admin.text(&["ACL", "SETUSER", "carol", "on"]), "+OK");
    assert_eq!(admin.text(&["ACL", "SETUSER", "eve", "on"]), "+OK");
    eventually("the configuration to be taken", || admin.text(&["GET", "a"]).starts_with("-NOPERM ").then_some(()));
    assert_eq!(gate.in_force().1, 1, "what still cannot be taken is not tried again");
}

#[test]
fn the_blocklist_says_nothing_in_a_dry_run() {
    let (_redis, gate) = start(USERS);
    let mut admin = gate.connect("admin");
    assert_eq!(admin.text(&["ACL", "SETUSER", "eve", "on", "+flushall"]), "+OK");
    assert_eq!(admin.text(&["ACL", "DRYRUN", "eve", "FLUSHALL"]), "+OK");
    assert!(gate.connect("eve").text(&["FLUSHALL"]).starts_with("-NOPERM "));
}

#[test]
fn in_a_transaction_the_acl_commands_are_refused_and_change_nothing() {
    let (_redis, gate) = start(USERS);
    let mut admin = gate.connect("admin");
    for request in [&["ACL", "SETUSER", "bob", "off"][..], &["ACL", "DELUSER", "bob"], &["ACL", "WHOAMI"]] {
        assert_eq!(admin.text(&["MULTI"]), "+OK");
        assert_eq!(admin.text(request), "-ERR Command not allowed inside a transaction");
        assert!(admin.text(&["EXEC"]).starts_with("-EXECABORT "));
    }
    assert_eq!(gate.connect("bob").text(&["PING"]), "+PONG");
}

#[test]
fn whoever_switches_a_user_off_hears_of_it_while_redis_is_stuck() {
    let (redis, gate) = start(USERS);
    let mut admin = gate.connect("admin");
    assert_eq!(admin.text(&["SET", "k", "1"]), "+OK");
    redis.pause();
    for user in ["bob", "eve"] {
        assert_eq!(admin.text(&["ACL", "SETUSER", user, "off"]), "+OK");
    }
    redis.resume();
    assert_eq!(admin.text(&["GET", "k"]), "$1\r\n1");
}

#[test]
fn refusals_are_logged_grouped_and_forgotten() {
    let (_redis, gate) = start("user admin on +@all ~* &*\nuser bob on +@all -@admin ~a* &news\n");
    let (mut admin, mut bob) = (gate.connect("admin"), gate.connect("bob"));
    for refused in
        [&["ACL", "LIST"][..], &["GET", "b"], &["GET", "b"], &["PUBLISH", "x", "y"], &["MULTI"], &["GET", "b"]]
    {
        bob.text(refused);
    }
    assert!(bob.text(&["AUTH", "admin", "guess"]).starts_with("-ERR Command not allowed"), "not looked at");
    assert_eq!(bob.text(&["DISCARD"]), "+OK");
    assert!(bob.text(&["AUTH", "admin", "guess"]).starts_with("-WRONGPASS"));
    let log = admin.text(&["ACL", "LOG"]);
    let entries: Vec<&str> = log.split("$5\r\ncount\r\n").skip(1).collect();
    let expected = [
        (":1", "auth", "toplevel", "AUTH", "admin"),
        (":1", "key", "multi", "b", "bob"),
        (":1", "channel", "toplevel", "x", "bob"),
        (":2", "key", "toplevel", "b", "bob"),
        (":1", "command", "toplevel", "acl|list", "bob"),
    ];
    assert_eq!(entries.len(), expected.len(), "{log}");
    for (entry, (count, reason, context, object, user)) in entries.iter().zip(expected) {
        let words: Vec<&str> = entry.split("\r\n").collect();
        assert_eq!([words[0], words[4], words[8], words[12], words[16]], [count, reason, context, object, user]);
        assert!(entry.contains("addr=127.0.0.1:"), "{entry}");
    }
    assert!(admin.text(&["ACL", "LOG", "2"]).starts_with("*2\r\n"));
    assert_eq!(admin.text(&["ACL", "LOG", "RESET"]), "+OK");
    assert_eq!(admin.text(&["ACL", "LOG"]), "*0");
}

#[test]
fn what_the_blocklist_refuses_is_told_apart_in_acl_log_from_what_the_acl_does() {
    let (_redis, gate) = start("user admin on +@all ~* &*\nuser bob on +@all -get ~*\n");
    let mut bob = gate.connect("bob");
    for refused in [&["FLUSHALL"][..], &["GET", "a"]] {
        assert!(bob.text(refused).starts_with("-NOPERM "));
    }
    let log = gate.connect("admin").text(&["ACL", "LOG"]);
    for object in ["flushall (blocked by respgate)", "get"] {
        assert!(log.contains(&format!("${}\r\n{object}\r\n", object.len())), "{object}: {log}");
    }
}

#[test]
fn commands_lost_since_multi_are_logged_at_exec() {
    let (_redis, gate) = start(USERS);
    let (mut admin, mut bob) = (gate.connect("admin"), gate.connect("bob"));
    assert_eq!([bob.text(&["MULTI"]), bob.text(&["INCR", "a"])], ["+OK", "+QUEUED"]);
    assert_eq!(admin.text(&["ACL", "SETUSER", "bob", "-incr"]), "+OK");
    assert!(bob.text(&["EXEC"]).starts_with("-EXECABORT "));
    let log = admin.text(&["ACL", "LOG"]);
    assert!(log.contains("$7\r\ncommand\r\n") && log.contains("$5\r\nmulti\r\n") && log.contains("$4\r\nincr\r\n"));
}

/// Byte for byte, but for what differs on purpose.
#[test]
fn replies_are_those_of_redis_in_both_protocols() {
    let (redis, gate) = start("user default off\nuser admin on nopass sanitize-payload ~* &* +@all\n");
    let (mut theirs, mut ours) = (redis.direct(), gate.connect("admin"));
    assert_eq!(theirs.text(&["ACL", "SETUSER", "admin", "on", "nopass", "allkeys", "allchannels", "+@all"]), "+OK");
    assert_eq!(theirs.text(&["AUTH", "admin", "x"]), "+OK");
    let requests: &[&str] = &[
        "ACL SETUSER bob on >pw ~a* %R~b* &c* +get (+set ~x* &y)",
        "ACL GETUSER bob",
        "ACL GETUSER nobody",
        "ACL GETUSER",
        "ACL WHOAMI",
        "ACL USERS",
        "ACL CAT",
        "ACL CAT nosuch",
        "ACL CAT a b",
        "ACL DRYRUN nobody get a",
        "ACL DRYRUN bob nosuch a",
        "ACL DRYRUN bob get",
        "ACL DRYRUN bob get zz",
        "ACL DRYRUN bob set a b",
        "ACL DRYRUN bob get a",
        "ACL DRYRUN bob del a",
        "ACL GENPASS 0",
        "ACL GENPASS x",
        "ACL GENPASS 4097",
        "ACL GENPASS 1 2",
        "ACL LOG x",
        "ACL LOG 1 2",
        "ACL LOG -1",
        "ACL LOG reset",
        "ACL LOG",
        "ACL SETUSER",
        "ACL SETUSER bob foo",
        "ACL SETUSER bob (+get",
        "ACL SETUSER bob <nosuch",
        "ACL DELUSER default",
        "ACL DELUSER nobody bob",
        "ACL HELP x",
        "ACL NOSUCH",
        "ACL",
    ];
    for protocol in ["2", "3"] {
        assert_eq!(ours.call(&["HELLO", protocol])[0], theirs.call(&["HELLO", protocol])[0]);
        for line in requests {
            let request: Vec<&str> = line.split(' ').collect();
            assert_eq!(ours.text(&request), theirs.text(&request), "{line}");
        }
    }
}

fn start(acl: &str) -> (RedisServer, Respgate) {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl(acl)
        .table("[block]\ncommands = [\"FLUSHALL\"]")
        .expect_log("reload")
        .expect_log("cannot save")
        .expect_log("had changed")
        .start();
    (redis, gate)
}

fn inode(gate: &Respgate) -> u64 {
    use std::os::unix::fs::MetadataExt;

    fs::metadata(gate.path("users.acl")).unwrap().ino()
}

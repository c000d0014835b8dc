//! Rules that not every server knows: kept while it is not known which one is there, and never granting anything by that.

use std::fs;
use std::process::Output;

use crate::support::{FakeRedis, RedisServer, Respgate, Setup, eventually, respgate_binary, upstream_of};

const VALKEY: &str = "redis_version:7.2.4\r\nvalkey_version:9.1.0";
const REDIS: &str = "redis_version:7.0.15";
const ADMIN: &str = "user admin on +@all ~* &*\n";

/// As clients and people give them: none of these is known to Redis 7.0.
const RULES: [&str; 9] = [
    "on",
    "~a",
    "db=0,1",
    "+@read",
    "+client|setinfo",
    "-client|no-touch",
    "-@search",
    "+ft.search",
    "(%R~b +get -ft.info db=2)",
];

#[test]
fn what_was_accepted_live_and_saved_starts_whatever_is_there_and_comes_to_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("redis.sock");
    let module = ["get", "ft.search", "ft.info"];
    let valkey = FakeRedis::start(&socket, VALKEY, &module);
    let setup = |acl: &str| open(Respgate::setup(&format!("unix:{}", socket.display())).acl(acl));
    let live = setup(ADMIN).start().settled();
    let mut admin = live.connect("admin");
    for rule in RULES.iter().filter(|rule| **rule != "-@search") {
        assert_eq!(admin.text(&["ACL", "SETUSER", "bob", *rule]), "+OK", "{rule}");
    }
    assert_eq!(admin.text(&["ACL", "SAVE"]), "+OK");
    let saved = fs::read_to_string(live.path("users.acl")).unwrap();
    let listed = admin.text(&["ACL", "LIST"]);
    drop((live, valkey));

    let alone = setup(&saved).expect_log("only Redis can tell").expect_log("upstream is not there").start();
    alone.wait_for_log(&["upstream is not there"]);
    let valkey = FakeRedis::start(&socket, VALKEY, &module);
    let alone = alone.settled();
    assert_eq!(alone.connect("admin").text(&["ACL", "LIST"]), listed);
    drop((alone, valkey));
}

#[test]
fn a_start_keeps_what_it_does_not_know_and_says_so_again_when_redis_does_not_know_it_either() {
    let redis = RedisServer::start();
    let acl = format!(
        "{ADMIN}user bob on ~* +@all -@search\nuser carol on ~* +get +client|setinfo\nuser eve {}\n",
        RULES.join(" ")
    );
    let gate =
        open(Respgate::setup(&upstream_of(&redis)).acl(&acl)).expect_log("users.acl").expect_log("knows no such rule");
    let gate = gate.start();
    gate.wait_for_log(&["users.acl:2", "-@search", "only Redis can tell"]);
    gate.wait_for_log(&["users.acl:3", "+client|setinfo", "only Redis can tell", "is not granted"]);
    gate.wait_for_log(&["users.acl:4", "db=0,1", "only Redis can tell"]);
    gate.wait_for_log(&["user carol", "+client|setinfo", "knows no such rule"]);
    let gate = gate.settled();
    assert_eq!(gate.connect("bob").text(&["SET", "a", "1"]), "+OK");
    let mut carol = gate.connect("carol");
    assert_eq!(carol.text(&["GET", "a"]), "$1\r\n1");
    assert!(carol.text(&["SET", "a", "1"]).starts_with("-NOPERM "));
    assert!(gate.connect("eve").text(&["GET", "a"]).starts_with("-NOPERM "), "its databases are not limited here");
    let listed = gate.connect("admin").text(&["ACL", "LIST"]);
    for rule in ["db=0,1", "+client|setinfo", "-client|no-touch", "-@search", "+ft.search", "db=2"] {
        assert!(listed.contains(rule), "{rule} in {listed}");
    }
}

#[test]
fn a_blocked_command_that_only_redis_knows_takes_a_start_that_asks_it() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("redis.sock");
    let upstream = format!("unix:{}", socket.display());
    let setup =
        || Respgate::setup(&upstream).acl(ADMIN).table("[block]\ncommands = [\"VNEWER\"]").expect_log("refused");
    let _newer = FakeRedis::start(&socket, REDIS, &["get", "vnewer"]);
    let run = respgate_binary()
        .args(["run", "--listen", "127.0.0.1:0", "--config"])
        .arg(setup().write_config())
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(78));
    let told = String::from_utf8(run.stderr).unwrap();
    let wanted = "[block] `vnewer` is no command, subcommand (CLIENT|KILL) or category (@scripting) that is known here: \
                  if it is the upstream's, `require-upstream` asks that first";
    assert!(told.contains(wanted), "{told}");
    let gate = setup().arg("--require-upstream").start().settled();
    assert!(gate.connect("admin").text(&["VNEWER", "k"]).starts_with("-NOPERM "));
    assert!(!gate.log_text().contains("[block]"));
}

#[test]
fn a_reload_refuses_what_redis_does_not_know_and_keeps_what_is_in_force() {
    let redis = RedisServer::start();
    let gate = open(Respgate::setup(&upstream_of(&redis)).acl(ADMIN)).expect_log("reload").start().settled();
    let mut admin = gate.connect("admin");
    for rule in ["+client|setinfo", "+gett", "-@nosuch", "db=0", "+json.get"] {
        gate.write_acl(&format!("user admin on +@read ~* &*\nuser bob {rule}\n"));
        gate.wait_for_log(&["users.acl:2", rule, "failed"]);
        assert_eq!(admin.text(&["SET", "a", "1"]), "+OK", "{rule}");
        assert!(admin.text(&["ACL", "LOAD"]).contains(rule), "{rule}");
    }
}

#[test]
fn what_the_redis_of_now_refuses_is_taken_when_one_comes_that_knows_it() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("redis.sock");
    let old = FakeRedis::start(&socket, REDIS, &["get"]);
    let gate = open(Respgate::setup(&format!("unix:{}", socket.display())).acl(ADMIN))
        .expect_log("reload")
        .expect_log("upstream is not there")
        .start()
        .settled();
    gate.write_acl(&format!("{ADMIN}user bob on db=1 +client|setinfo\n"));
    gate.wait_for_log(&["users.acl:2", "failed"]);
    drop(old);
    let _new = FakeRedis::start(&socket, VALKEY, &["get"]);
    let mut admin = gate.connect("admin");
    eventually("bob to be there", || admin.text(&["ACL", "LIST"]).contains("user bob").then_some(()));
}

#[test]
fn check_warns_of_what_only_redis_can_tell_and_fails_when_it_has_told() {
    let redis = RedisServer::start();
    let acl = format!("{ADMIN}user bob on ~* +client|setinfo -@nosuch db=0\n");
    let setup = || Respgate::setup(&upstream_of(&redis)).acl(&acl);
    let words = ["+client|setinfo", "-@nosuch", "db=0"];
    let (code, said) = check(&setup(), &[]);
    assert_eq!(code, Some(0), "{said}");
    let warned = |word: &str| said.lines().any(|line| line.starts_with("warning: ") && line.contains(word));
    assert!(words.into_iter().all(warned), "{said}");
    assert!(said.contains("users.acl:2"), "{said}");
    let (code, said) = check(&setup(), &["--require-upstream"]);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.lines().any(|line| line.starts_with("error: ") && line.contains("users.acl:2")), "{said}");
    let (code, said) = check(&setup().setting("acl-dialect = \"redis-7.0\""), &[]);
    assert_eq!(code, Some(78), "rules are those of the dialect: {said}");
    assert!(said.contains("db=0"), "{said}");
}

#[test]
fn what_is_blocked_or_renamed_of_a_module_or_a_newer_server_is_no_obstacle_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("redis.sock");
    let setup = || {
        Respgate::setup(&format!("unix:{}", socket.display()))
            .acl(ADMIN)
            .table("[block]\ncommands = [\"FT.DROP\", \"FLUSHALL\"]\n[rename]\nCOMMANDLOG = \"\"")
    };
    let (code, said) = check(&setup(), &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("ft.drop") && said.contains("COMMANDLOG"), "{said}");
    let gate = setup().expect_log("[block]").expect_log("[rename]").expect_log("upstream is not there").start();
    let valkey = FakeRedis::start(&socket, VALKEY, &["get", "ft.drop"]);
    let gate = gate.settled();
    let mut admin = gate.connect("admin");
    assert!(admin.text(&["FT.DROP", "a"]).starts_with("-NOPERM "));
    assert!(admin.text(&["COMMANDLOG", "LEN"]).starts_with("-ERR unknown command"));
    drop((gate, valkey));

    let redis = RedisServer::start();
    let mistaken = Respgate::setup(&upstream_of(&redis)).acl(ADMIN).crl().table("[block]\ncommands = [\"FT.DROP\"]");
    let (code, said) = check(&mistaken, &["--require-upstream"]);
    assert_eq!(code, Some(78), "{said}");
    let gate = mistaken.expect_log("[block]").start().settled();
    assert_eq!(gate.connect("admin").text(&["PING"]), "+PONG");
    gate.pki().write_crl(&[7]);
    gate.wait_for_log(&["reload", "done", "files changed"]);
}

#[test]
fn what_modules_do_in_the_name_of_the_proxys_own_user_is_refused_by_default() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("redis.sock");
    let known = ["get", "graph.PASSWORD", "graph.QUERY", "tfcall", "rg.pyexecute"];
    let _redis = FakeRedis::start(&socket, REDIS, &known);
    let gate = Respgate::setup(&format!("unix:{}", socket.display())).acl(ADMIN).start().settled();
    let mut admin = gate.connect("admin");
    for refused in [&["GRAPH.PASSWORD", "ADD", "x"][..], &["Graph.Password", "remove", "x"], &["TFCALL", "l.f", "0"]] {
        assert!(admin.text(refused).starts_with("-NOPERM "), "{refused:?}");
    }
    assert!(admin.text(&["RG.PYEXECUTE", "x"]).starts_with("-NOPERM "));
    assert_eq!(admin.text(&["GRAPH.QUERY", "g", "RETURN 1"]), "+OK", "data commands are the ACL's business");
    assert!(!gate.log_text().contains("[block]"), "what is not there is not missed");
}

#[test]
fn what_feeds_the_parsers_of_modules_is_refused_by_default() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("redis.sock");
    let refused =
        ["GRAPH.BULK", "GRAPH.EFFECT", "GRAPH.RESTORE", "GRAPH.DEBUG", "_FT.DEBUG", "BF.LOADCHUNK", "CF.LOADCHUNK"];
    let _redis = FakeRedis::start(&socket, REDIS, &refused);
    let gate = Respgate::setup(&format!("unix:{}", socket.display())).acl(ADMIN).start().settled();
    let mut admin = gate.connect("admin");
    for name in refused {
        assert!(admin.text(&[name, "key", "x"]).starts_with("-NOPERM "), "{name}");
    }
}

/// Users may be edited, certificates name them.
fn open(setup: Setup) -> Setup {
    setup.table("[block]\ncommands = [\"FLUSHALL\"]")
}

/// The exit code, and all that is said.
fn check(setup: &Setup, more: &[&str]) -> (Option<i32>, String) {
    let mut command = respgate_binary();
    command.args(["check", "--listen", "127.0.0.1:0", "--config"]).arg(setup.write_config());
    let Output { status, stdout, stderr } = command.args(more).output().unwrap();
    (status.code(), [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat())
}

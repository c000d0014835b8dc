//! What respgate makes of a redis.conf is what Redis makes of it, and follows what an operator changes in it.

use std::fs;

use crate::support::{RedisServer, Respgate, Setup, eventually, folder, respgate_binary, upstream_of};

/// Every way to write a name, and to spread lines over files. DIR is the folder of the upstream's files.
const FILES: &[(&str, &str)] = &[
    (
        "redis.conf",
        r#"
# rename-command GET "commented out"
rename-command CONFIG plain
  Rename-Command	DEBUG   "in-quotes"
"\x72ename-command" 'KEYS' "\x65ls\x65"
rename-command "\x53AVE" mi"xed"
rename-command BGSAVE 'it\'s'
rename-command SWAPDB "qu\"ote\\\q\x4"
rename-command ECHO '\x41"'
rename-command MONITOR ""
rename-command LOLWUT link
rename-command link chained
include DIR/parts/*.conf
dir DIR/parts
include ./relative
include nothing-here-*
"#,
    ),
    ("parts/a.conf", "rename-command DBSIZE spl"),
    ("parts/b.conf", "it\nrename-command TIME now\n"),
    ("parts/.c.conf", "rename-command GET hidden\n"),
    ("parts/relative", "rename-command SHUTDOWN halt\r\n"),
];

#[test]
fn redis_confirms_every_name_that_is_read_from_its_own_redis_conf() {
    let dir = folder();
    fs::create_dir(dir.path().join("parts")).unwrap();
    for (name, text) in FILES {
        fs::write(dir.path().join(name), text.replace("DIR", dir.path().to_str().unwrap())).unwrap();
    }
    let file = dir.path().join("redis.conf");
    let redis = RedisServer::start_with(&["--include", file.to_str().unwrap()]);
    let setup =
        Respgate::setup(&upstream_of(&redis)).acl("user alice on +@all ~*\n").setting("require-upstream = true");
    let output = respgate_binary()
        .args(["check", "--listen", "127.0.0.1:0", "--config"])
        .arg(setup.setting(&format!("redis-conf = {file:?}")).write_config())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let renamed = "renamed at Redis: bgsave config dbsize debug echo keys lolwut monitor save shutdown swapdb time\n";
    assert!(said.contains(renamed), "{said}");
}

#[test]
fn what_changes_in_a_redis_conf_or_in_what_it_includes_takes_effect_by_itself() {
    let renames = [["CONFIG", "hidden"], ["DBSIZE", "size"], ["FLUSHALL", ""]];
    let arguments: Vec<&str> = renames.iter().flat_map(|[old, new]| ["--rename-command", old, new]).collect();
    let redis = RedisServer::start_with(&arguments);
    let setup = Respgate::setup(&upstream_of(&redis)).file("included.conf", "# nothing yet\n");
    let (file, included) = (setup.path("redis.conf"), setup.path("included.conf"));
    let include = format!("rename-command FLUSHALL ''\ninclude {}\n", included.display());
    let gate = declaring(setup.file("redis.conf", &include)).start().settled();
    let mut client = gate.connect("ops");
    assert!(client.text(&["CONFIG", "GET", "maxmemory"]).starts_with("-ERR unknown command"));
    fs::write(&included, "rename-command CONFIG hidden\n").unwrap();
    eventually("the included file to be read again", || {
        client.text(&["CONFIG", "GET", "maxmemory"]).starts_with("*2").then_some(())
    });
    fs::write(&file, include + "rename-command DBSIZE size\n").unwrap();
    eventually("the file itself to be read again", || client.text(&["DBSIZE"]).starts_with(':').then_some(()));
}

#[test]
fn a_redis_conf_that_cannot_be_read_any_more_changes_nothing_and_is_an_error() {
    let redis = RedisServer::start_with(&["--rename-command", "CONFIG", "hidden"]);
    let setup = Respgate::setup(&upstream_of(&redis)).file("redis.conf", "rename-command CONFIG hidden\n");
    let file = setup.path("redis.conf");
    let gate = declaring(setup).expect_log("\"reload\"").start().settled();
    fs::write(&file, "include /nonexistent/renames.conf\n").unwrap();
    gate.wait_for_log(&["reload", "failed", "redis.conf:1", "/nonexistent/renames.conf"]);
    assert!(gate.connect("ops").text(&["CONFIG", "GET", "maxmemory"]).starts_with("*2"));
}

/// What commands are called is in `redis.conf`, and `ops` may do everything.
fn declaring(setup: Setup) -> Setup {
    let redis_conf = setup.path("redis.conf");
    setup
        .acl("user ops on +@all ~* &*\n")
        .table("[[certificate]]\ncn = \"ops\"\nuser = \"ops\"")
        .table("[block]\nexempt-users = [\"ops\"]")
        .setting(&format!("redis-conf = {redis_conf:?}"))
        // Until everything is declared.
        .expect_log("upstream has renamed")
}

//! What respgate makes of a redis.conf is what Redis makes of it.

use std::fs;

use crate::support::{RedisServer, Respgate, respgate_binary, upstream_of};

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
    let dir = tempfile::tempdir().unwrap();
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

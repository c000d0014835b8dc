use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use clap::Parser;

use super::*;
use crate::acl::Effort;
use crate::cli::ConfigurationArgs;
use crate::command::ArgvBuf;
use crate::config::Config;
use crate::files::Files;
use crate::generation::{self, Kept, UpstreamKnowledge};
use crate::policy::{Policy, Requester, SessionMode, Verdict};

#[derive(Debug, Parser)]
struct Preset {
    #[command(flatten)]
    arguments: AclPresetArgs,
}

#[derive(Debug, Parser)]
struct Configuration {
    #[command(flatten)]
    configuration: ConfigurationArgs,
}

fn parse(line: &[&str]) -> Result<AclPresetArgs, String> {
    let parsed = Preset::try_parse_from([&["preset"], line].concat());
    parsed.map(|preset| preset.arguments).map_err(|error| error.to_string())
}

#[test]
fn a_name_that_is_nearly_one_suggests_that_one() {
    let error = parse(&["celry", "--user", "shop"]).unwrap_err();
    assert!(error.contains("a similar value exists: 'celery'"), "{error}");
}

#[test]
fn a_preset_is_somebodys_and_somebody_has_one() {
    assert!(parse(&["celery"]).unwrap_err().contains("--user <USER>"));
    assert!(parse(&["--user", "shop"]).unwrap_err().contains("NAME"));
    assert!(parse(&["--prefix", "shop:"]).is_err());
    assert!(parse(&[]).unwrap().name.is_none());
}

#[test]
fn the_list_has_each_preset_on_a_line() {
    let list = list();
    assert_eq!(list.lines().count(), 1 + PRESETS.len());
    for (name, prefix) in [("celery", "USER:"), ("rq", "-"), ("bullmq", "bull"), ("readonly", "none")] {
        let line = list.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap();
        assert_eq!(line.split_whitespace().nth(1), Some(prefix), "{line}");
    }
}

#[test]
fn presets_allow_what_is_needed_and_nothing_beside_it() {
    for (preset, allowed, refused) in [
        (
            &["celery", "--prefix", "app:"][..],
            &["BRPOP app:celery 1", "EVALSHA x 1 app:a", "PSUBSCRIBE app:/0.celeryev/worker.*", "SUBSCRIBE app:x"][..],
            &["BRPOP celery 1", "PSUBSCRIBE app:b*", "SCRIPT FLUSH", "KEYS *", "INFO", "FLUSHDB", "CONFIG GET dir"][..],
        ),
        (
            &["rq"],
            &["BLMOVE rq:queue:a rq:queue:b LEFT RIGHT 0", "INFO", "SCRIPT LOAD x", "CLIENT SETNAME a"],
            &["GET a", "CLIENT KILL ID 1", "CLIENT LIST", "PUBLISH a b"],
        ),
        (
            &["sidekiq"],
            &["HMSET a.example:31:0123456789ab info x", "BRPOP queue:default 2"],
            &["GET bank:31:x", "SET queue:a x"],
        ),
        (
            &["bullmq", "--prefix", "q"],
            &["BZPOPMIN q:a:marker 5", "EVALSHA x 1 q:a:wait"],
            &["EVALSHA x 1 bull:a", "CLIENT LIST"],
        ),
        (&["arq"], &["ZADD arq:queue 1 a"], &["EVALSHA x 1 arq:queue"]),
        (&["channels"], &["BZPOPMIN asgi:specific.a 5", "PUBLISH asgi__group__a b"], &["PUBLISH a b"]),
        (
            &["socket.io"],
            &["PSUBSCRIBE socket.io#/#*", "PUBLISH socket.io-response#/# x"],
            &["PSUBSCRIBE socket.io*", "GET a"],
        ),
        (&["django-cache"], &["SET shop:1:a b EX 1", "MGET shop:1:a shop:1:b"], &["SET a b", "FLUSHDB", "KEYS shop:*"]),
        (&["redis-py-lock"], &["SET lock:a x NX PX 1", "EVALSHA x 1 lock:a"], &["SET a x NX PX 1"]),
        (
            &["app"],
            &["HSET shop:a b c", "SUBSCRIBE shop:a", "INFO", "MULTI"],
            &["HSET a b c", "EVAL x 0", "KEYS *", "ROLE"],
        ),
        (&["cache"], &["SETEX shop:a 1 b", "INCRBY shop:a 2"], &["SET a b", "FLUSHDB", "SCAN 0", "HSET shop:a b c"]),
        (&["session", "--prefix", "session:"], &["SET session:a b EX 1", "DEL session:a"], &["GET sess:a", "KEYS *"]),
        (
            &["readonly"],
            &["GET a", "HGETALL a", "INFO", "SCAN 0"],
            &["SET a b", "GETDEL a", "KEYS *", "SORT a STORE b", "PUBLISH a b"],
        ),
        (&["readonly", "--prefix", "a:"], &["GET a:1"], &["GET b:1"]),
        (
            &["exporter"],
            &["INFO all", "LATENCY LATEST", "SLOWLOG LEN"],
            &["SLOWLOG GET 1", "CONFIG GET *", "GET a", "CLIENT LIST"],
        ),
        (
            &["replica"],
            &["PSYNC ? -1", "SYNC", "REPLCONF listening-port 6379"],
            &["PSYNC 0123 1 FAILOVER", "GET a", "SET a b", "FLUSHALL", "CONFIG GET dir"],
        ),
        (
            &["sentinel"],
            &["SLAVEOF NO ONE", "CONFIG REWRITE", "PUBLISH __sentinel__:hello x"],
            &["CONFIG SET dir /", "GET a", "FLUSHALL", "PUBLISH a b"],
        ),
        (&["admin"], &["FLUSHALL", "CONFIG GET dir", "ACL LIST", "EVAL x 0"], &["SCRIPT DEBUG YES"]),
    ] {
        let policy = pasted(&parse(&[preset, &["--user", "shop"]].concat()).unwrap());
        for (requests, expected) in [(allowed, true), (refused, false)] {
            for request in requests {
                assert_eq!(is_allowed(&policy, request), expected, "{preset:?}: {request}");
            }
        }
    }
}

// --- helpers

/// What decides where nothing is configured but what is printed.
fn pasted(arguments: &AclPresetArgs) -> Arc<Policy> {
    let (preset, user) = (arguments.name.unwrap(), arguments.user.as_deref().unwrap());
    let acl = text(preset, user, &preset.grant(user, arguments.prefix.as_deref()).unwrap());
    let settings = acl.lines().filter_map(|line| line.strip_prefix(SETTING)).collect::<Vec<_>>().join("\n");
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("respgate.toml");
    write_private(&dir.path().join("users.acl"), &acl);
    write_private(&config, &format!("aclfile = \"users.acl\"\n{settings}\n"));
    let files = Files::default();
    let line = Configuration::try_parse_from(["run".into(), "--config".into(), config.into_os_string()]).unwrap();
    let config = line.configuration.load_rules(&files).unwrap();
    // Who may come in, and where, is another question.
    let config = Config { listeners: Vec::new(), certificates: Vec::new(), ..config };
    let built = generation::build(&config, &files, UpstreamKnowledge::NotAsked, Kept::default());
    built.unwrap_or_else(|errors| panic!("{errors:?}")).generation.policy
}

fn is_allowed(policy: &Policy, request: &str) -> bool {
    let argv: ArgvBuf = request.split(' ').collect();
    let requester = Requester {
        user: policy.acl.user(b"shop").map(|user| &**user),
        mode: SessionMode::default(),
        database: Some(0),
        effort: &Effort::default(),
    };
    !matches!(policy.decide(requester, &argv.as_argv()), Verdict::Deny(_))
}

fn write_private(path: &Path, content: &str) {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(content.as_bytes()).unwrap();
}

//! The whole way from texts to a configuration, or to the exact words of its refusal.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use clap::{Args, Command, FromArgMatches};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use tempfile::TempDir;

use super::error::SourceFile;
use super::raw::{
    BlockSection, CertificateSection, ListenerSection, Settings, TunnelSection, UpstreamAuthSection, UserSection,
    flag_names,
};
use super::*;
use crate::identity::{FieldName, UserFrom};
use crate::keepalive::Keepalive;
use crate::permissions::Permissions;
use crate::policy::{KeyNames, Unmapped};
use crate::tls::{AuthClients, ClientTlsSettings, CrlCheck, CrlExpired, Protocols, TlsSettings};

const MINIMAL: &str = r#"
listen = "127.0.0.1:6380"
upstream = "unix:/run/redis/redis.sock"
tls-cert-file = "server.crt"
tls-key-file = "server.key"
tls-ca-cert-file = "ca.crt"
aclfile = "users.acl"
"#;

fn memory() -> Memory {
    Memory { bytes: 4 << 30, source: "/sys/fs/cgroup/memory.max".into() }
}

fn host() -> Host {
    let runtime_directory = "/run/user/1000".into();
    Host { memory: memory(), cores: 2, runtime_directory, every_address: [0; 4].into() }
}

fn tcp(address: &str) -> ListenAddress {
    ListenAddress::Tcp(address.parse().unwrap())
}

fn flags(arguments: &[&str]) -> Flags {
    let command = Flags::augment_args(Command::new("test")).no_binary_name(true);
    Flags::from_arg_matches(&command.try_get_matches_from(arguments).unwrap()).unwrap()
}

fn load_all(text: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Result<Loaded, ConfigErrors> {
    let source =
        SourceFile { path: "/etc/respgate.toml".into(), text: text.to_owned(), permissions: Permissions::default() };
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect();
    let sources = Sources {
        file: None,
        variables: &variables,
        flags: &flags(arguments),
        host: &host(),
        files: &Files::default(),
    };
    load_text(Purpose::Serving, Some(&source), &sources)
}

fn load(text: &str) -> Config {
    load_all(text, &[], &[]).unwrap_or_else(|errors| panic!("{errors}")).config
}

fn refusal(text: &str) -> String {
    load_all(text, &[], &[]).unwrap_err().to_string()
}

/// The refusal of a sound file with one more line, its own line number (8) included.
fn refusal_with(line: &str) -> String {
    refusal(&format!("{MINIMAL}{line}\n"))
}

fn warnings(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let loaded = load_all(text, variables, &[]).unwrap_or_else(|errors| panic!("{errors}"));
    loaded.warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn each_fault_is_told_with_its_place_and_a_hint() {
    let cases = [
        (
            "tls-cert-fil = \"x\"",
            "/etc/respgate.toml:8:1: unknown key `tls-cert-fil`; did you mean `tls-cert-file`?\n\
             \x20 8 | tls-cert-fil = …\n    | ^^^^^^^^^^^^\n",
        ),
        (
            "tls-clr-file = \"x\"",
            "/etc/respgate.toml:8:1: unknown key `tls-clr-file`; did you mean `tls-crl-file`?\n\
             \x20 8 | tls-clr-file = …\n    | ^^^^^^^^^^^^\n",
        ),
        (
            "[certificate]\ncn = \"x\"\nusr = \"y\"",
            "/etc/respgate.toml:8:1: `[certificate]` has to be `[[certificate]]`: there may be several\n\
             \x20 8 | [certificate]\n    | ^^^^^^^^^^^^^\n\
             /etc/respgate.toml:10:1: unknown key `usr`; did you mean `user`?\n\
             \x20 10 | usr = …\n     | ^^^\n",
        ),
        (
            "[[user]]\nname = \"shop\"",
            "/etc/respgate.toml:8:1: `[[user]]` has to be `[user.NAME]`, with a user's name\n\
             \x20 8 | [[user]]\n    | ^^^^^^^^\n",
        ),
        (
            "[user]\ncertificate = \"required\"",
            "/etc/respgate.toml:9:1: this is in no section `[user.NAME]`, which is that of a user\n\
             \x20 9 | certificate = …\n    | ^^^^^^^^^^^\n",
        ),
        (
            "[[block]]\ncommands = [\"flushall\"]",
            "/etc/respgate.toml:8:1: `[[block]]` has to be `[block]`: there is only one\n\
             \x20 8 | [[block]]\n    | ^^^^^^^^^\n",
        ),
        (
            "[block]\ncommands = [\"flushall\"]\ntimeout = 5",
            "/etc/respgate.toml:10:1: unknown key `timeout`; it belongs to the top of the file, above the first [section]\n\
             \x20 10 | timeout = …\n     | ^^^^^^^\n",
        ),
        (
            "[blocklist]\ncommands = [\"flushall\"]",
            "/etc/respgate.toml:8:2: unknown key `blocklist`; did you mean `[block]`?\n\
             \x20 8 | [blocklist]\n    |  ^^^^^^^^^\n",
        ),
        (
            "[users.shop]\nauth = \"any\"",
            "/etc/respgate.toml:8:2: unknown key `users`; did you mean `[user.NAME]`?\n\
             \x20 8 | [users.shop]\n    |  ^^^^^\n",
        ),
        ("bind = \"x\"", "/etc/respgate.toml:8:1: unknown key `bind`\n  8 | bind = …\n    | ^^^^\n"),
        (
            "maxclients = \"many\"",
            "/etc/respgate.toml:8:14: \"many\" is no whole number\n\
             \x20 8 | maxclients = \"many\"\n    |              ^^^^^^\n",
        ),
        (
            "unmapped = \"allow\"",
            "/etc/respgate.toml:8:12: \"allow\" is none of \"refuse\", \"password\"\n\
             \x20 8 | unmapped = \"allow\"\n    |            ^^^^^^^\n",
        ),
        (
            "timeout = 1.5",
            "/etc/respgate.toml:8:11: a fraction where a string, an integer or a boolean is expected\n\
             \x20 8 | timeout = …\n    |           ^\n",
        ),
        (
            "log-file = \"${NOWHERE}/log\"",
            "/etc/respgate.toml:8:12: the environment variable NOWHERE is not set and has no default\n\
             \x20 8 | log-file = …\n    |            ^\n",
        ),
        (
            "allow = [\"10.0.0.0/8\", \"10.0.0.1/8\"]",
            "/etc/respgate.toml:8:24: \"10.0.0.1/8\" has bits beyond its prefix: did you mean 10.0.0.0/8?\n\
             \x20 8 | allow = [\"10.0.0.0/8\", \"10.0.0.1/8\"]\n    |                        ^^^^^^^^^^^^\n",
        ),
        (
            "tls-protocols = \"TLSv1.1\"",
            "/etc/respgate.toml:8:17: \"TLSv1.1\" is none of \"TLSv1.2\", \"TLSv1.3\"\n\
             \x20 8 | tls-protocols = \"TLSv1.1\"\n    |                 ^^^^^^^^^\n\
             /etc/respgate.toml:8:17: no TLS version is left\n\
             \x20 8 | tls-protocols = \"TLSv1.1\"\n    |                 ^^^^^^^^^\n",
        ),
        (
            "request-buffer = \"2gb\"",
            "/etc/respgate.toml:8:18: more than `memory-budget`, which is 1073741824 bytes\n\
             \x20 8 | request-buffer = \"2gb\"\n    |                  ^^^^^\n",
        ),
        (
            "[[certificate]]\ncn = \"x\"",
            "/etc/respgate.toml:8:1: this [[certificate]] has no `user`\n\
             \x20 8 | [[certificate]]\n    | ^^^^^^^^^^^^^^^\n",
        ),
        (
            "[[certificate]]\nuser = \"x\"",
            "/etc/respgate.toml:8:1: this [[certificate]] matches nothing: name a field, such as uri, dns or cn\n\
             \x20 8 | [[certificate]]\n    | ^^^^^^^^^^^^^^^\n",
        ),
        (
            "[user.ops]\ncertificat = \"required\"",
            "/etc/respgate.toml:9:1: unknown key `certificat`; did you mean `certificate`?\n\
             \x20 9 | certificat = …\n    | ^^^^^^^^^^\n",
        ),
        (
            "[block]\ncommands = [\"FLUSH ALL NOW\"]",
            "/etc/respgate.toml:9:13: \"FLUSH ALL NOW\" is no command, no \"container|subcommand\" and no @category\n\
             \x20 9 | commands = [\"FLUSH ALL NOW\"]\n    |             ^^^^^^^^^^^^^^^\n",
        ),
        (
            "[rename]\nCONFIG = \"s3cret name\"",
            "/etc/respgate.toml:9:1: the new name of CONFIG has blanks or bytes beyond ASCII\n\
             \x20 9 | CONFIG = …\n    | ^^^^^^\n",
        ),
        (
            "requirepass = \"hunter2\"",
            "/etc/respgate.toml:8:15: a password of `default` and `aclfile` exclude each other: \
             put it in the ACL file\n\
             \x20 8 | requirepass = …\n    |               ^\n",
        ),
        (
            "[[listener]]\nlisten = \"127.0.0.1:1\"",
            "/etc/respgate.toml:2:10: `listen` and [[listener]] exclude each other: put the address in a section\n\
             \x20 2 | listen = \"127.0.0.1:6380\"\n    |          ^^^^^^^^^^^^^^^^\n",
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(refusal_with(line), expected, "{line}");
    }
}

#[test]
fn an_empty_list_that_would_widen_what_it_restricts_is_refused() {
    for (line, place) in [
        ("allow = []", ":8:9: "),
        ("tls-protocols = []", ":8:17: "),
        ("[[listener]]\nallow = []", ":9:9: "),
        ("[[certificate]]\nuser = \"ops\"\ncn = []\nou = \"apps\"", ":10:6: "),
        ("[user.ops]\nallow-from = []", ":9:14: "),
    ] {
        let told = refusal_with(line);
        assert!(told.contains(place) && told.contains("the list is empty"), "{line}: {told}");
    }
    // Nobody is denied, no balancer is trusted, nobody is exempt: that is what these say.
    load(&format!("{MINIMAL}deny = []\nproxy-protocol-from = []\ntls-crl-file = []\n[block]\nexempt-users = []\n"));
}

#[test]
fn a_syntax_error_is_told_with_its_place() {
    let expected = "/etc/respgate.toml:1:12: what is no number has to stand in quotes; write upstream = \"…\"\n\
                    \x20 1 | upstream = …\n    |            ^\n";
    assert_eq!(refusal("upstream = redis\n"), expected);
}

#[test]
fn a_value_without_quotes_is_told_to_be_put_in_them_once() {
    for value in
        ["127.0.0.1:6380", "[::1]:6380", "localhost:6380", ":6380", "/run/redis.sock", "10.0.0.0/8", "5s", "10.0.0.1"]
    {
        assert_eq!(
            refusal_with(&format!("listen = {value}")),
            "/etc/respgate.toml:8:10: what is no number has to stand in quotes; write listen = \"…\"\n\
             \x20 8 | listen = …\n    |          ^\n",
            "{value}"
        );
    }
    for line in ["listen = 012", "listen = \"127.0.0.1:1", "q0Zx9vKJm3RtY2uW8bL5nA==", "listen = [\"a\""] {
        assert!(!refusal_with(line).contains("to stand in quotes"), "{line}");
    }
}

#[test]
fn one_listener_that_is_written_as_the_only_one_is_read_all_the_same() {
    let told = refusal(&MINIMAL.replace("listen = \"127", "[listener]\nlisten = \"127"));
    assert!(told.starts_with("/etc/respgate.toml:2:1: `[listener]` has to be `[[listener]]`"), "{told}");
    let misplaced = "unknown key `upstream`; it belongs to the top of the file, above the first [section]";
    assert!(told.contains(misplaced) && !told.contains("`listen` is missing"), "{told}");
}

#[test]
fn an_upstream_that_is_a_path_is_told_to_say_unix() {
    let upstream = MINIMAL.replace("unix:/run", "/run");
    assert!(refusal(&upstream).contains("\"/run/redis/redis.sock\" is a path: write \"unix:/run/redis/redis.sock\""));
}

#[test]
fn a_port_alone_is_every_address_of_the_machine() {
    for listen in ["\":6380\"", "\"6380\"", "6380"] {
        let text = MINIMAL.replace("\"127.0.0.1:6380\"", listen);
        assert_eq!(load(&text).listeners[0].address, tcp("0.0.0.0:6380"), "{listen}");
    }
}

#[test]
fn all_errors_are_told_at_once_in_the_order_of_the_file() {
    let text = "lisen = \"x\"\nupstream = \"nowhere\"\nthreads = 0\n\
                [block]\ncomands = []\n[user.ops]\nauth = 7\nreauth = \"maybe\"\n";
    let told = refusal(text);
    let places: Vec<&str> = told.lines().filter(|line| line.starts_with("/etc")).collect();
    assert_eq!(
        places,
        [
            "/etc/respgate.toml:1:1: unknown key `lisen`; did you mean `listen`?",
            "/etc/respgate.toml:2:12: \"nowhere\" is no address: write IP:PORT such as \"127.0.0.1:6379\" or \"[::1]:6379\", \
             host names are not resolved",
            "/etc/respgate.toml:3:11: \"0\" is not within 1 and 1024",
            "/etc/respgate.toml:5:1: unknown key `comands`; did you mean `commands`?",
            "/etc/respgate.toml:7:8: \"7\" is none of \"certificate\", \"any\"",
            "/etc/respgate.toml:8:10: \"maybe\" is neither \"yes\" nor \"no\"",
        ]
    );
}

#[test]
fn several_faults_of_form_are_told_at_once() {
    let told =
        refusal("a = 1\nlisten = [1]\n[[certificate]]\nb = 2\n[[certificate]]\nuser = []\n[upstream-auth]\nc = 3\n");
    for place in [":1:1: ", ":2:10: ", ":4:1: ", ":6:8: ", ":8:1: "] {
        assert!(told.contains(place), "{place} in {told}");
    }
}

#[test]
fn an_unset_variable_is_told_once() {
    let told = refusal(&MINIMAL.replace("unix:/run/redis/redis.sock", "${UPSTREAM}"));
    assert_eq!(told.lines().filter(|line| line.starts_with("/etc")).count(), 1, "{told}");
    assert!(told.contains("UPSTREAM is not set"), "{told}");
}

#[test]
fn what_is_missing_is_told_without_a_place() {
    let expected = "`listen` is missing: say where to listen, such as listen = \"0.0.0.0:6380\"\n\
                    `upstream` is missing: say where Redis is, such as upstream = \"127.0.0.1:6379\"\n";
    assert_eq!(refusal("threads = 1"), expected);
}

#[test]
fn a_listener_without_certificates_is_refused_unless_plaintext_was_asked_for() {
    let text = "listen = \"127.0.0.1:1\"\nupstream = \"127.0.0.1:2\"\n";
    let told = refusal(text);
    for key in ["`tls-cert-file` is missing", "`tls-key-file` is missing"] {
        assert!(told.contains(key), "{told}");
    }
    assert_eq!(load(&format!("{text}tls = \"no\"")).listeners[0].tls, None);
}

#[test]
fn plaintext_beyond_loopback_is_warned_about() {
    let text = "listen = \"0.0.0.0:1\"\nupstream = \"127.0.0.1:2\"\ntls = \"no\"\naclfile = \"a\"";
    assert_eq!(
        warnings(text, &[]),
        ["/etc/respgate.toml:1:10: passwords and data cross the network in plaintext here\n  \
          1 | listen = \"0.0.0.0:1\"\n    |          ^^^^^^^^^^^"]
    );
}

#[test]
fn an_upstream_beyond_loopback_takes_the_unsafe_flag() {
    let text = MINIMAL.replace("unix:/run/redis/redis.sock", "10.0.0.1:6379");
    assert!(refusal(&text).contains("10.0.0.1:6379 is neither loopback nor a unix socket"));
    let loaded = load_all(&text, &[], &["--unsafe-upstream"]).unwrap();
    assert!(loaded.config.upstream.unsafe_upstream);
    assert!(loaded.warnings[0].to_string().contains("beyond loopback"));
    for loopback in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "localhost:1"] {
        load(&MINIMAL.replace("unix:/run/redis/redis.sock", loopback));
    }
}

#[test]
fn flags_override_the_environment_which_overrides_the_file() {
    let text = format!("{MINIMAL}threads = 3\nmaxclients = 3\ntimeout = 3\n");
    let variables = [("RESPGATE_THREADS", "2"), ("RESPGATE_MAXCLIENTS", "2")];
    let config = load_all(&text, &variables, &["--threads", "1"]).unwrap().config;
    assert_eq!((config.threads, config.limits.maxclients), (1, Some(2)));
    assert_eq!(config.limits.idle_timeout, Some(Duration::from_secs(3)));
}

#[test]
fn what_the_file_says_and_a_flag_or_variable_says_otherwise_is_warned_about() {
    let section = "[[listener]]\nlisten = \"127.0.0.1:1\"\ntls-auth-clients = \"yes\"\n";
    let text = MINIMAL.replace("listen = \"127.0.0.1:6380\"\n", "");
    let text = format!("{text}maxclients = 3\nlog-format = \"json\"\ndeny = \"192.0.2.0/24\"\n{section}");
    let variables = [("RESPGATE_TLS_AUTH_CLIENTS", "no"), ("RESPGATE_LOG_FORMAT", "json"), ("RESPGATE_DENY", "::/0")];
    let warnings = load_all(&text, &variables, &["--maxclients", "2"]).unwrap().warnings;
    let told: Vec<String> = warnings.iter().map(|warning| warning.message.clone()).collect();
    for line in [
        "`maxclients` is not in force here: --maxclients stands above the file",
        "`tls-auth-clients` is not in force here: RESPGATE_TLS_AUTH_CLIENTS stands above the file",
    ] {
        assert!(told.iter().any(|told| told == line), "{told:?}");
    }
    assert_eq!(told.iter().filter(|told| told.contains("not in force")).count(), 2, "{told:?}");
}

#[test]
fn flags_and_variables_stand_above_every_section_too() {
    let section = "listen = \"127.0.0.1:1\"\ntls-auth-clients = \"optional\"\nallow = \"192.0.2.0/24\"\n";
    let text = MINIMAL.replace("listen = \"127.0.0.1:6380\"\n", "allow = \"0.0.0.0/0\"\n");
    let text = format!("{text}[[listener]]\n{section}[[listener]]\nlisten = \"127.0.0.1:2\"\n");
    let load = |variables: &[(&str, &str)], arguments: &[&str]| {
        let listeners = load_all(&text, variables, arguments).unwrap().config.listeners;
        listeners.into_iter().map(|listener| (listener.tls.unwrap().auth_clients, listener.allow)).collect::<Vec<_>>()
    };
    let net = |text: &str| vec![text.parse().unwrap()];
    let own = [(AuthClients::Optional, net("192.0.2.0/24")), (AuthClients::Yes, net("0.0.0.0/0"))];
    assert_eq!(load(&[], &[]), own);
    let everywhere = |clients| [(clients, net("127.0.0.0/8")), (clients, net("127.0.0.0/8"))];
    let flags = ["--tls-auth-clients", "yes", "--allow", "127.0.0.0/8"];
    assert_eq!(load(&[], &flags), everywhere(AuthClients::Yes));
    let variables = [("RESPGATE_TLS_AUTH_CLIENTS", "no"), ("RESPGATE_ALLOW", "127.0.0.0/8")];
    assert_eq!(load(&variables, &[]), everywhere(AuthClients::No));
    assert_eq!(load(&variables, &flags), everywhere(AuthClients::Yes));
}

#[test]
fn errors_name_the_flag_or_variable() {
    let errors = load_all(MINIMAL, &[("RESPGATE_THREADS", "x")], &["--timeout", "y", "--maxclients="]).unwrap_err();
    let told = errors.to_string();
    for line in [
        "RESPGATE_THREADS: \"x\" is no whole number\n",
        "--timeout: \"y\" is no time",
        "--maxclients: \"\" is no whole",
    ] {
        assert!(told.contains(line), "{line} in {told}");
    }
}

#[test]
fn lists_may_be_repeated_or_separated_by_commas() {
    let arguments = ["--tls-crl-file", "a,b", "--tls-crl-file", "c", "--allow", "10.0.0.0/8,127.0.0.1"];
    let listener = load_all(MINIMAL, &[], &arguments).unwrap().config.listeners.remove(0);
    let crls: Vec<String> = listener.tls.unwrap().crl_files.iter().map(|path| path.display().to_string()).collect();
    assert_eq!(crls, ["a", "b", "c"]);
    assert_eq!(listener.allow.len(), 2);
}

#[test]
fn paths_of_the_file_start_at_its_directory_and_those_of_flags_do_not() {
    let config = load_all(MINIMAL, &[], &["--tls-key-file", "other.key"]).unwrap().config;
    let tls = config.listeners[0].tls.clone().unwrap();
    assert_eq!(tls.cert_file, PathBuf::from("/etc/server.crt"));
    assert_eq!(tls.key_file, PathBuf::from("other.key"));
}

#[test]
fn one_run_needs_no_file() {
    let arguments = "--listen 0.0.0.0:6380 --upstream unix:/run/redis/redis.sock --tls-cert-file server.crt \
                     --tls-key-file server.key --tls-ca-cert-file ca.crt --aclfile users.acl --threads 1 \
                     --tls-auth-clients-user CN";
    let arguments: Vec<&str> = arguments.split_ascii_whitespace().collect();
    let variables = Variables::new();
    let sources = Sources {
        file: None,
        variables: &variables,
        flags: &flags(&arguments),
        host: &host(),
        files: &Files::default(),
    };
    let config = super::load(&sources).unwrap().config;
    assert_eq!(config.tls_auth_clients_user, UserFrom::Cn);
    assert_eq!(config.unmapped, Unmapped::Refuse);
    assert_eq!(config.acl, AclSource::File("users.acl".into()));
}

#[test]
fn the_password_variable_alone_is_enough_for_the_simple_case() {
    let text = MINIMAL.replace("aclfile = \"users.acl\"", "");
    let config = load_all(&text, &[("REDIS_PASSWORD", "hunter2")], &[]).unwrap().config;
    assert_eq!(config.acl, AclSource::Password(Redacted::new(b"hunter2".to_vec())));
    let told = load_all(&text, &[("REDIS_PASSWORD", "")], &[]).unwrap_err().to_string();
    assert_eq!(told, "REDIS_PASSWORD: the password is empty\n");
}

#[test]
fn an_acl_file_stands_above_the_password_variable() {
    assert_eq!(
        warnings(MINIMAL, &[("REDIS_PASSWORD", "hunter2")]),
        ["REDIS_PASSWORD: not used, because there is an ACL file"]
    );
    assert_eq!(load(MINIMAL).acl, AclSource::File("/etc/users.acl".into()));
}

#[test]
fn a_password_that_nobody_could_log_in_with_is_an_error() {
    let loaded = |length: usize| {
        let long = "x".repeat(length);
        let written = |line: &str| MINIMAL.replace("aclfile = \"users.acl\"", line);
        [
            load_all(&written(""), &[("REDIS_PASSWORD", &long)], &[]).map(|_| ()),
            load_all(&written(&format!("requirepass = \"{long}\"")), &[], &[]).map(|_| ()),
        ]
    };
    assert!(loaded(16_384).iter().all(Result::is_ok));
    for (refused, at) in loaded(16_385).into_iter().zip(["REDIS_PASSWORD: ", "/etc/respgate.toml:"]) {
        let told = refused.unwrap_err().to_string();
        assert!(told.starts_with(at) && told.contains("the password is longer than 16384 bytes"), "{told}");
        assert!(!told.contains("xxx"), "it is not shown");
    }
}

#[test]
fn a_password_that_is_written_stands_above_the_password_variable_with_a_warning() {
    let text = MINIMAL.replace("aclfile = \"users.acl\"", "requirepass = \"a\"");
    assert_eq!(
        warnings(&text, &[("REDIS_PASSWORD", "hunter2")]),
        ["REDIS_PASSWORD: not used, because there is a requirepass"]
    );
}

#[test]
fn certificate_rules_that_no_listener_can_meet_are_warned_about() {
    let text = format!("{MINIMAL}tls-auth-clients = \"no\"\ntls-auth-clients-user = \"CN\"\n");
    assert!(warnings(&text, &[])[0].starts_with("certificates name users, but no listener asks"));
    assert!(warnings(&text.replace("\"no\"", "\"optional\""), &[]).is_empty());
}

#[test]
fn what_is_said_of_tls_beside_what_switches_it_off_is_an_error() {
    for (lines, key) in [
        ("tls = \"no\"\ntls-auth-clients = \"yes\"", "`tls-auth-clients` and tls = \"no\""),
        ("tls = \"no\"\ntls-crl-file = \"nowhere\"", "`tls-crl-file` and tls = \"no\""),
        ("tls = \"no\"\ntls-protocols = \"TLSv1.3\"", "`tls-protocols` and tls = \"no\""),
        ("tls-auth-clients = \"no\"\ntls-crl-file = \"a\"", "`tls-crl-file` and tls-auth-clients = \"no\""),
        ("tls-auth-clients = \"no\"\ncrl-check = \"leaf\"", "`crl-check` and tls-auth-clients = \"no\""),
    ] {
        let wanted = format!("{key} exclude each other");
        assert!(refusal_with(lines).contains(&wanted), "{lines}: {}", refusal_with(lines));
        let text = MINIMAL.replace("listen = \"127.0.0.1:6380\"\n", "");
        let told = refusal(&format!("{text}[[listener]]\nlisten = \"127.0.0.1:1\"\n{lines}\n"));
        assert!(told.contains(&wanted), "in a section: {told}");
    }
    load(&format!("{MINIMAL}tls = \"no\"\ntls-auth-clients = \"no\"\n"));
}

#[test]
fn what_is_said_of_tls_elsewhere_is_warned_about_unless_it_is_for_other_listeners() {
    let text = MINIMAL.replace("listen = \"127.0.0.1:6380\"\n", "tls-protocols = \"TLSv1.3\"\n");
    let plain = format!("{text}[[listener]]\nlisten = \"127.0.0.1:1\"\ntls = \"no\"\n");
    let changes_nothing =
        |told: &[String]| told.iter().any(|told| told.contains("` changes nothing here, because of tls"));
    assert!(changes_nothing(&warnings(&plain, &[])));
    let others = format!("{plain}[[listener]]\nlisten = \"127.0.0.1:2\"\n");
    assert!(warnings(&others, &[]).is_empty());
    assert!(changes_nothing(&warnings(&others, &[("RESPGATE_TLS_AUTH_CLIENTS", "yes")])));
}

#[test]
fn words_about_revocation_lists_without_one_are_warned_about() {
    for key in ["crl-check = \"chain\"", "crl-expired = \"refuse\""] {
        let told = warnings(&format!("{MINIMAL}{key}\n"), &[]);
        assert!(told.len() == 1 && told[0].contains("` changes nothing without tls-crl-file"), "{told:?}");
        assert!(warnings(&format!("{MINIMAL}{key}\ntls-crl-file = \"a\"\n"), &[]).is_empty());
    }
}

#[test]
fn what_is_allowed_and_denied_is_warned_about() {
    let told = warnings(&format!("{MINIMAL}allow = [\"10.0.0.0/8\", \"127.0.0.1\"]\ndeny = \"127.0.0.0/8\"\n"), &[]);
    assert!(told.len() == 1 && told[0].contains("127.0.0.1/32 is not allowed, since deny has 127.0.0.0/8"), "{told:?}");
}

#[test]
fn balancers_among_those_whose_address_counts_are_warned_about() {
    let is_told = |lines: &str| {
        let told = warnings(&format!("{MINIMAL}{lines}\n"), &[]);
        told.iter().any(|told| told.contains("can announce any address"))
    };
    assert!(is_told("proxy-protocol-from = \"0.0.0.0/0\""));
    assert!(is_told("proxy-protocol-from = \"10.0.0.0/8\"\nallow = \"10.1.0.0/16\""));
    assert!(is_told("proxy-protocol-from = \"10.0.0.0/8\"\n[user.ops]\nallow-from = \"10.1.0.0/16\""));
    assert!(!is_told("proxy-protocol-from = \"10.0.0.0/8\"\nallow = \"192.0.2.0/24\""));
    assert!(!is_told("proxy-protocol-from = \"10.0.0.1\"\nallow = \"10.0.0.1\""));
}

#[test]
fn what_is_said_of_certificates_that_name_nobody_is_warned_about() {
    for (line, effect) in [
        ("certificate = \"required\"", "nobody can be this user"),
        ("auth = \"certificate\"", "nobody can be this user"),
        ("reauth = true", "this changes nothing"),
    ] {
        let with = |top: &str| warnings(&format!("{MINIMAL}{top}\n[user.ops]\n{line}\n"), &[]);
        assert!(with("")[0].contains(&format!("{effect}: no certificate names a user")), "{line}");
        let no = with("tls-auth-clients-user = \"CN\"\ntls-auth-clients = \"no\"");
        assert!(no.iter().any(|told| told.contains(&format!("{effect}: no listener asks"))), "{line} {no:?}");
        assert!(with("tls-auth-clients-user = \"CN\"").is_empty(), "{line}");
    }
}

#[test]
fn an_empty_blocklist_is_warned_about() {
    assert_eq!(
        warnings(&format!("{MINIMAL}[block]\ncommands = []\n"), &[]),
        ["[block] commands is empty: nothing is blocked"]
    );
}

#[test]
fn the_word_default_stands_for_the_default_list_in_the_order_of_what_is_written() {
    let commands = |list: &str| load(&format!("{MINIMAL}[block]\ncommands = {list}\n")).block.commands;
    let default: Vec<String> = DEFAULT_BLOCKLIST.iter().map(|entry| entry.name.to_owned()).collect();
    assert_eq!(commands("\"default\""), default);
    let more = |words: &[&str]| [default.clone(), words.iter().map(|word| (*word).to_owned()).collect()].concat();
    assert_eq!(commands("[\"default\", \"-CONFIG GET\", \"+KEYS\"]"), more(&["-config|get", "keys"]));
    assert_eq!(commands("[\"-@scripting\"]"), ["-@scripting"]);
}

#[test]
fn without_users_there_is_a_warning() {
    let text = MINIMAL.replace("aclfile = \"users.acl\"", "");
    assert_eq!(load(&text).acl, AclSource::None);
    assert!(warnings(&text, &[])[0].starts_with("no users: "));
}

/// A folder in which nobody else can replace a file, whatever the umask is.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    folder
}

/// A file that nobody else can change or read, whatever the umask is.
fn write(path: &Path, content: &str) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A secret file with `content` and `mode`, and what the configuration makes of it.
fn with_secret_file(content: &str, mode: u32, more: &str) -> Result<Loaded, ConfigErrors> {
    let directory = folder();
    let path = directory.path().join("secret");
    write(&path, content);
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    let text = MINIMAL.replace("aclfile = \"users.acl\"", more);
    load_all(&text, &[("REDIS_PASSWORD_FILE", path.to_str().unwrap())], &[])
}

#[test]
fn secret_files_lose_one_trailing_newline() {
    for (content, password) in [("a b\n", "a b"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a", "a")] {
        let config = with_secret_file(content, 0o600, "").unwrap().config;
        assert_eq!(config.acl, AclSource::Password(Redacted::new(password.into())), "{content:?}");
    }
    assert!(with_secret_file("\n", 0o600, "").unwrap_err().to_string().ends_with("the password is empty\n"));
}

#[test]
fn a_password_that_is_a_variable_nobody_filled_in_is_an_error() {
    let wanted = "the password is a variable, ${…}, that nobody has filled in\n";
    assert!(with_secret_file("${REDIS_PASSWORD}\n", 0o600, "").unwrap_err().to_string().ends_with(wanted));
    let text = MINIMAL.replace("aclfile = \"users.acl\"", "");
    let told = load_all(&text, &[("REDIS_PASSWORD", "${REDIS_PASSWORD}")], &[]).unwrap_err().to_string();
    assert_eq!(told, format!("REDIS_PASSWORD: {wanted}"));
    let meant = MINIMAL.replace("aclfile = \"users.acl\"", "requirepass = \"$${A}\"");
    assert_eq!(load(&meant).acl, AclSource::Password(Redacted::new(b"${A}".to_vec())));
}

#[test]
fn a_secret_file_that_others_read_is_a_warning_or_an_error() {
    let warnings = with_secret_file("x", 0o644, "").unwrap().warnings;
    assert!(warnings[0].to_string().contains("can be read by others (mode 0644): chmod o-r "), "{warnings:?}");
    for mode in [0o600, 0o640] {
        assert!(with_secret_file("x", mode, "strict-permissions = true").unwrap().warnings.is_empty(), "{mode:o}");
    }
    let errors = with_secret_file("x", 0o604, "strict-permissions = true").unwrap_err();
    assert!(errors.to_string().contains("mode 0604") && errors.is_permission(), "{errors}");
}

#[test]
fn a_secret_file_that_others_can_change_is_an_error_of_permissions() {
    let errors = with_secret_file("x", 0o602, "").unwrap_err();
    assert!(errors.is_permission());
    assert!(errors.to_string().contains(" can be changed by others (mode 0602): chmod go-w "), "{errors}");
}

#[test]
fn a_password_in_a_configuration_file_that_others_read_is_a_warning_or_an_error() {
    let directory = folder();
    let path = directory.path().join("respgate.toml");
    let load = |text: &str, mode| {
        write(&path, &MINIMAL.replace("aclfile = \"users.acl\"", text));
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let variables = [("P".to_owned(), "hunter2".into())].into();
        let sources = Sources {
            file: Some(path.clone()),
            variables: &variables,
            flags: &flags(&[]),
            host: &host(),
            files: &Files::default(),
        };
        super::load(&sources)
    };
    for (text, mode, is_told) in [
        ("requirepass = \"hunter2\"", 0o644, true),
        ("requirepass = \"hunter2\"", 0o600, false),
        ("requirepass = \"${P}\"", 0o644, false),
        ("requirepass = \"${P:-}\"", 0o644, false),
        ("requirepass = \"${P:-hunter2}\"", 0o644, true),
        ("aclfile = \"x\"\n[upstream-auth]\npassword = \"hunter2\"", 0o644, true),
        ("aclfile = \"x\"\n[upstream-auth]\npassword = \"$${P}\"", 0o644, true),
    ] {
        let warnings = load(text, mode).unwrap().warnings;
        let told = warnings.iter().any(|warning| warning.to_string().contains(" can be read by others (mode 0644): "));
        assert_eq!(told, is_told, "{text}: {warnings:?}");
        assert!(warnings.iter().all(|warning| !warning.to_string().contains("hunter2")), "{warnings:?}");
    }
    let errors = load("requirepass = \"hunter2\"\nstrict-permissions = true", 0o644).unwrap_err();
    assert!(errors.is_permission() && !errors.to_string().contains("hunter2"), "{errors}");
}

#[test]
fn a_file_that_sets_nothing_is_refused_although_flags_say_all_there_is_to_say() {
    let directory = folder();
    let variables = Variables::new();
    let path = directory.path().join("respgate.toml");
    for text in ["", "\n", "# threads = 1\n", "[block]\n[user.bob]\n"] {
        write(&path, text);
        let (file, files) = (Some(path.clone()), Files::default());
        let flags = flags(&["--listen", "127.0.0.1:6380", "--upstream", "127.0.0.1:6379"]);
        let sources = Sources { file, variables: &variables, flags: &flags, host: &host(), files: &files };
        let told = super::load(&sources).unwrap_err().to_string();
        assert!(told.contains("respgate.toml: it sets nothing"), "{told}");
    }
}

#[test]
fn a_secret_file_that_is_not_there_is_told_with_its_path() {
    let told = refusal_with("[upstream-auth]\npassword-file = \"gone\"");
    assert_eq!(
        told,
        "/etc/respgate.toml:9:17: cannot read /etc/gone: No such file or directory (os error 2)\n\
         \x20 9 | password-file = \"gone\"\n    |                 ^^^^^^\n"
    );
}

#[test]
fn an_upstream_user_needs_a_password() {
    let told = refusal_with("[upstream-auth]\nuser = \"respgate\"");
    assert!(told.starts_with("/etc/respgate.toml:9:8: a user for the upstream and no password"), "{told}");
}

#[test]
fn the_upstream_login_may_come_from_flags() {
    let directory = folder();
    let path = directory.path().join("secret");
    write(&path, "from the flag\n");
    let text = format!("{MINIMAL}[upstream-auth]\nuser = \"a\"\npassword = \"from the file\"\n");
    let arguments = ["--upstream-user", "b", "--upstream-password-file", path.to_str().unwrap()];
    let upstream = load_all(&text, &[], &arguments).unwrap().config.upstream;
    assert_eq!(upstream.user.as_deref(), Some("b"));
    assert_eq!(upstream.password.unwrap().expose(), b"from the flag");
}

#[test]
fn a_password_file_from_a_flag_stands_above_the_password_of_the_file() {
    let directory = folder();
    let path = directory.path().join("secret");
    write(&path, "from the flag\n");
    let text = MINIMAL.replace("aclfile = \"users.acl\"", "requirepass = \"from the file\"");
    let config = load_all(&text, &[], &["--requirepass-file", path.to_str().unwrap()]).unwrap().config;
    assert_eq!(config.acl, AclSource::Password(Redacted::new(b"from the flag".to_vec())));
}

#[test]
fn a_secret_is_given_once() {
    let told = refusal_with("[upstream-auth]\npassword = \"hunter2\"\npassword-file = \"x\"");
    assert!(told.contains("`password` is given directly and as a file: keep one"), "{told}");
}

/// Every way to get a secret into a message that was thought of.
#[test]
fn no_error_and_no_debug_output_holds_a_secret() {
    let faulty = [
        "pasword = \"hunter2\"",
        "requirepas = \"hunter2\"",
        "requirepass = \"hunter2\"",
        "requirepass = [\"hunter2\"]",
        "requirepass = \"hunter2",
        "requirepass = hunter2",
        "requirepass = \"${hunter2\"",
        "requirepass = \"abc${hunter2 !}def\"",
        "requirepass = \"${MY-PASS:-hunter2}\"",
        "requirepass = '''\nhunter2\n''' x",
        "upstream-auth = { password = \"hunter2\", user = \"\" }",
        "upstream-auth = { pasword = \"hunter2\" }",
        "[upstream-auth]\npassword = \"hunter2\"\npassword-file = \"x\"",
        "[upstream-auth]\npasswords = \"hunter2\"",
        "[upstream-auth]\npassword = { hunter2 = 1 }\n",
        "[rename]\nCONFIG = \"hunter2 \"",
        "[rename]\nCONFIG = \"hunter2\"\nDEBUG = \"hunter2\"",
    ];
    for line in faulty {
        let errors = load_all(&format!("{MINIMAL}{line}\n"), &[], &[]).unwrap_err();
        let told = format!("{errors}{errors:?}");
        let mistaken_for_a_name = line.contains("${hunter2\"") || line.contains("{ hunter2");
        assert!(!told.contains("hunter2") || mistaken_for_a_name, "{line}: {told}");
    }
    let text =
        format!("{MINIMAL}[upstream-auth]\nuser = \"u\"\npassword = \"hunter2\"\n[rename]\nCONFIG = \"hunter2\"");
    let text = text.replace("aclfile = \"users.acl\"", "requirepass = \"${P}\"");
    let loaded = load_all(&text, &[("P", "hunter2")], &[]).unwrap();
    assert_eq!(loaded.config.acl, AclSource::Password(Redacted::new(b"hunter2".to_vec())));
    assert!(!format!("{loaded:?}").contains("hunter2"));
}

#[test]
fn defaults_are_these() {
    let config = load(MINIMAL);
    let expected = Config {
        listeners: vec![Listener {
            address: tcp("127.0.0.1:6380"),
            tls: Some(TlsSettings {
                cert_file: "/etc/server.crt".into(),
                key_file: "/etc/server.key".into(),
                ca_cert_file: Some("/etc/ca.crt".into()),
                crl_files: Vec::new(),
                auth_clients: AuthClients::Yes,
                protocols: Protocols { tls12: true, tls13: true },
                crl_check: CrlCheck::Chain,
                crl_expired: CrlExpired::Refuse,
                strict_permissions: false,
            }),
            allow: Vec::new(),
            deny: Vec::new(),
            proxy_protocol_from: Vec::new(),
        }],
        tunnels: Vec::new(),
        upstream: UpstreamSettings {
            address: UpstreamAddress::Unix("/run/redis/redis.sock".into()),
            user: None,
            password: None,
            unsafe_upstream: false,
            connect_timeout: Duration::from_secs(5),
            timeout: Some(Duration::from_secs(300)),
            mirror_users: true,
        },
        acl: AclSource::File("/etc/users.acl".into()),
        acl_dialect: None,
        certificates: Vec::new(),
        tls_auth_clients_user: UserFrom::Off,
        unmapped: Unmapped::Password,
        ignore_stray_auth: false,
        block: Block {
            commands: DEFAULT_BLOCKLIST.iter().map(|entry| entry.name.to_owned()).collect(),
            exempt_users: Vec::new(),
            scripting_users: Vec::new(),
        },
        renames: Vec::new(),
        users: Default::default(),
        unsafe_nopass: false,
        named_users: Vec::new(),
        limits: Limits {
            maxclients: None,
            max_connections_per_address: None,
            max_handshakes: 256,
            handshake_timeout: Duration::from_secs(5),
            auth_timeout: Duration::from_secs(10),
            idle_timeout: None,
            request_timeout: Some(Duration::from_secs(60)),
            tcp_keepalive: Some(Keepalive::after(Duration::from_secs(300))),
            half_close_timeout: Duration::from_secs(5),
            shutdown_delay: Duration::ZERO,
            shutdown_timeout: Duration::from_secs(25),
            max_args: 1_048_576,
            max_bulk: 512 << 20,
            max_inline: 64 << 10,
            request_buffer: 64 << 20,
            hold_buffer: 16 << 20,
            memory_budget: 1 << 30,
            memory: Some(memory()),
        },
        reload_interval: Duration::from_millis(200),
        threads: 2,
        strict_permissions: false,
        log: LogSettings { format: LogFormat::Text, level: LogLevel::Info, file: None },
        audit: AuditSettings {
            target: None,
            on_full: AuditOnFull::Drop,
            commands: vec!["@admin".to_owned(), "@dangerous".to_owned()],
            keys: KeyNames::No,
        },
        learn_file: None,
        admin_listen: Some(AdminAddress::Unix("/run/user/1000/respgate.sock".into())),
        admin_socket_group: None,
        metrics: None,
        require_upstream: false,
        file: None,
        sources: Vec::new(),
    };
    assert_eq!(config, expected);
}

#[test]
fn every_file_that_is_read_is_watched_and_what_half_of_could_be_a_whole_has_to_settle() {
    let directory = folder();
    let path = |name: &str| directory.path().join(name);
    write(&path("secret"), "pw");
    write(&path("redis.conf"), &format!("include {}\n", path("renames.conf").display()));
    write(&path("renames.conf"), "rename-command KEYS other\n");
    let more = "redis-conf = \"redis.conf\"\ntls-crl-file = \"ca.crl\"\n[upstream-auth]\npassword-file = \"secret\"\n";
    write(&path("respgate.toml"), &format!("{MINIMAL}{more}"));
    let (variables, file) = (Variables::new(), Some(path("respgate.toml")));
    let sources = Sources { file, variables: &variables, flags: &flags(&[]), host: &host(), files: &Files::default() };
    let watched = super::load(&sources).unwrap().config.watched_files();
    let of_kind = |kind| watched.iter().filter(move |(_, known)| *known == kind).map(|(path, _)| path.clone());
    let all = |kind| of_kind(kind).collect::<Vec<_>>();
    assert_eq!(all(FileKind::RevocationLists), ["ca.crl"].map(path));
    assert_eq!(all(FileKind::Authorities), ["ca.crt"].map(path));
    assert_eq!(all(FileKind::Certificate), ["server.crt", "server.key"].map(path));
    assert_eq!(all(FileKind::Configuration), ["redis.conf", "renames.conf", "respgate.toml", "secret"].map(path));
    assert_eq!(all(FileKind::Users), ["users.acl"].map(path));
    assert!(
        watched.iter().all(|(path, kind)| kind.has_to_settle() != path.to_string_lossy().contains(".cr")
            || path.ends_with("server.key"))
    );
}

#[test]
fn default_buffers_give_way_to_a_small_budget() {
    let limits = load(&format!("{MINIMAL}memory-budget = \"8mb\"")).limits;
    assert_eq!((limits.request_buffer, limits.hold_buffer), (8 << 20, 8 << 20));
}

#[test]
fn the_long_sample_is_understood() {
    let directory = folder();
    let secret = directory.path().join("redis_password");
    write(&secret, "upstream secret\n");
    let text = format!(
        r#"
listen = "0.0.0.0:6380"
upstream = "unix:/run/redis/redis.sock"       # or 127.0.0.1:6379
tls-cert-file = "server.crt"
tls-key-file = "server.key"
tls-ca-cert-file = "clients-ca.crt"
tls-crl-file = "clients.crl"
aclfile = "users.acl"

[upstream-auth]
user = "respgate"
password-file = "{}"

[block]
commands = ["FLUSHALL", "FLUSHDB", "CONFIG", "CLIENT KILL", "acl|setuser", "@scripting"]
exempt-users = ["ops"]
scripting-users = []

[user.ops]
certificate = "required"
allow-from = ["10.116.0.0/16"]

[rename]
CONFIG = "b840fc02d524045429941cc15f59e41cb7be6c52"
FLUSHALL = ""

[[certificate]]
uri = "spiffe://prod/ns/shop/sa/*"
user = "shop"
[[certificate]]
cn = "*"
user = "%{{cn}}"
"#,
        secret.display()
    );
    let config = load(&text);
    assert_eq!(config.upstream.user.as_deref(), Some("respgate"));
    assert_eq!(config.upstream.password.unwrap().expose(), b"upstream secret");
    assert_eq!(config.block.commands, ["flushall", "flushdb", "config", "client|kill", "acl|setuser", "@scripting"]);
    assert_eq!(config.block.exempt_users, ["ops"]);
    assert!(config.users["ops"].certificate_required && !config.users["ops"].certificate_only);
    assert_eq!(config.users["ops"].allow_from, ["10.116.0.0/16".parse().unwrap()]);
    assert_eq!(config.renames[0].original, "CONFIG");
    assert_eq!(config.renames[0].name.as_ref().unwrap().expose(), b"b840fc02d524045429941cc15f59e41cb7be6c52");
    assert_eq!(config.renames[1], Rename { original: "FLUSHALL".to_owned(), name: None });
    let shop = (FieldName::Uri, vec!["spiffe://prod/ns/shop/sa/*".to_owned()]);
    assert_eq!(config.certificates[0].spec.fields, [shop]);
    assert_eq!(config.certificates[0].location, "/etc/respgate.toml:27");
    assert_eq!(config.certificates[1].spec.user, "%{cn}");
    assert_eq!(config.unmapped, Unmapped::Refuse);
}

#[test]
fn stray_passwords_are_ignored_only_where_none_could_be_meant() {
    let with = |top: &str, user: &str| {
        format!("{MINIMAL}{top}\n[user.app]\n{user}\n[[certificate]]\ncn = \"a\"\nuser = \"app\"")
    };
    let ignore = "stray-auth = \"ignore\"";
    let config = load(&with("", ignore));
    assert_eq!((config.ignore_stray_auth, config.users["app"].ignore_stray_auth), (false, Some(true)));
    let config = load(&with(ignore, "reauth = true\nstray-auth = \"refuse\""));
    assert_eq!((config.ignore_stray_auth, config.users["app"].ignore_stray_auth), (true, Some(false)));
    load(&with(ignore, "auth = \"certificate\"\nreauth = false"));
    let told = refusal(&with("", "reauth = true\nstray-auth = \"ignore\""));
    assert!(told.contains("11:14: `ignore` and reauth = \"yes\" exclude each other"), "{told}");
    let told = refusal(&with(ignore, "reauth = true"));
    assert!(told.contains("10:10: `reauth` and stray-auth = \"ignore\", which holds for all users,"), "{told}");
    let told = refusal(&with("stray-auth = \"yes\"", ""));
    assert!(told.contains("\"yes\" is none of \"refuse\", \"ignore\""), "{told}");
}

#[test]
fn ignoring_stray_passwords_where_no_certificate_names_a_user_is_warned_about() {
    for text in ["stray-auth = \"ignore\"", "[user.app]\nstray-auth = \"ignore\""] {
        let told = warnings(&format!("{MINIMAL}{text}"), &[]);
        assert!(told.iter().any(|told| told.contains("stray-auth = \"ignore\" changes nothing")), "{told:?}");
    }
    let text = "stray-auth = \"ignore\"\ntls-auth-clients-user = \"CN\"";
    assert_eq!(warnings(&format!("{MINIMAL}{text}"), &[]), [""; 0]);
}

#[test]
fn several_listeners_share_what_stands_outside() {
    let text = format!(
        "{}[[listener]]\nlisten = \"127.0.0.1:1\"\n\
         [[listener]]\nlisten = \"127.0.0.1:2\"\ntls-auth-clients = \"optional\"\n",
        MINIMAL.replace("listen = \"127.0.0.1:6380\"\n", "")
    );
    let listeners = load(&text).listeners;
    let tls: Vec<TlsSettings> = listeners.into_iter().map(|listener| listener.tls.unwrap()).collect();
    assert_eq!(tls[0].cert_file, tls[1].cert_file);
    assert_eq!((tls[0].auth_clients, tls[1].auth_clients), (AuthClients::Yes, AuthClients::Optional));
    assert!(refusal(&text.replace("127.0.0.1:2", "127.0.0.1:1")).contains("127.0.0.1:1 is listened on twice"));
}

#[test]
fn renames_come_from_redis_conf_and_may_not_contradict_it() {
    let directory = folder();
    let path = directory.path().join("redis.conf");
    write(&path, "requirepass ${REDIS_PASSWORD}\nrename-command FLUSHALL \"\"\nrename-command CONFIG hidden\n");
    let arguments = ["--redis-conf", path.to_str().unwrap()];
    let config = load_all(MINIMAL, &[], &arguments).unwrap().config;
    let originals: Vec<&str> = config.renames.iter().map(|rename| rename.original.as_str()).collect();
    assert_eq!(originals, ["CONFIG", "FLUSHALL"]);
    let text = format!("{MINIMAL}[rename]\nconfig = \"other\"\n");
    let told = load_all(&text, &[], &arguments).unwrap_err().to_string();
    assert!(told.contains("CONFIG is renamed twice, to different names"), "{told}");
    write(&path, "\nrename-command CONFIG\n");
    let told = load_all(MINIMAL, &[], &arguments).unwrap_err().to_string();
    assert_eq!(told, format!("{}:2:1: rename-command takes a command and its new name\n", path.display()));
}

/// A redis.conf and files beside it; in their texts DIR is the directory they are in.
struct RedisConf(tempfile::TempDir);

impl RedisConf {
    fn new(files: &[(&str, &str)]) -> RedisConf {
        let directory = folder();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::set_permissions(path.parent().unwrap(), fs::Permissions::from_mode(0o700)).unwrap();
            write(&path, &text.replace("DIR", directory.path().to_str().unwrap()));
        }
        RedisConf(directory)
    }

    fn load(&self) -> Result<Loaded, ConfigErrors> {
        load_all(MINIMAL, &[], &["--redis-conf", self.0.path().join("redis.conf").to_str().unwrap()])
    }

    /// `COMMAND name`, and the files that are read for it.
    fn read(&self) -> (Vec<String>, Vec<String>) {
        let config = self.load().unwrap_or_else(|errors| panic!("{errors}")).config;
        let name =
            |rename: &Rename| rename.name.as_ref().map(|name| String::from_utf8(name.expose().to_vec()).unwrap());
        let renames = config.renames.iter();
        let renames = renames.map(|rename| format!("{} {}", rename.original, name(rename).unwrap_or_default()));
        let files = config.sources.iter().map(|path| self.relative(&path.display().to_string()));
        (renames.collect(), files.collect())
    }

    fn refusal(&self) -> String {
        self.relative(&self.load().unwrap_err().to_string())
    }

    fn relative(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.0.path().display()), "")
    }
}

#[test]
fn what_a_redis_conf_includes_is_read_in_its_place() {
    let conf = RedisConf::new(&[
        ("redis.conf", "rename-command CONFIG first\ninclude DIR/conf.d/*.conf\ndir DIR\ninclude sub/last.conf\n"),
        ("conf.d/b.conf", "ded\nrename-command DEBUG second\n"),
        ("conf.d/a.conf", "rename-command MODULE loa"),
        ("conf.d/.hidden.conf", "rename-command KEYS x\n"),
        ("conf.d/other.txt", "rename-command KEYS x\n"),
        ("conf.d/sub.conf/x", ""),
        ("sub/last.conf", "dir sub\ninclude deep?.conf\ninclude none*\nRENAME-command first \"\\x65nd\"\n"),
        ("sub/deep1.conf", "rename-command FLUSHALL ''\n"),
    ]);
    let (renames, files) = conf.read();
    assert_eq!(renames, ["CONFIG end", "DEBUG second", "FLUSHALL ", "MODULE loaded"]);
    assert_eq!(files, ["conf.d/a.conf", "conf.d/b.conf", "redis.conf", "sub/deep1.conf", "sub/last.conf"]);
}

#[test]
fn what_is_wrong_with_an_included_file_is_told_with_its_own_place() {
    for (files, expected) in [
        (&[("redis.conf", "\ninclude DIR/none\n")][..], "redis.conf:2:1: cannot read none: No such file or directory"),
        (&[("redis.conf", "include none\n")], "redis.conf:1:1: include none: a relative path starts in the directory"),
        (&[("redis.conf", "dir data\ninclude none\n")], "redis.conf:2:1: include none: a relative path starts in"),
        (&[("redis.conf", "include DIR/[ab].conf\n")], "redis.conf:1:1: include [ab].conf: of patterns, only * and ?"),
        (&[("redis.conf", "include DIR/redis.conf\n")], "redis.conf:1:1: include redis.conf: it includes itself"),
        (
            &[("redis.conf", "include DIR/a\n"), ("a", "include DIR/b\n"), ("b", "#\ninclude DIR/./redis.*\n")],
            "b:2:1: include redis.conf: it includes itself",
        ),
        (
            &[("redis.conf", "include DIR/a\n"), ("a", "-----BEGIN PRIVATE KEY-----\nMIIsecret\n")],
            "a: this is PEM, a certificate or a key, and no redis.conf",
        ),
        (&[("redis.conf", "include DIR/a\n"), ("a", "secret: 5\n")], "a:1:1: no directive of Redis begins this line"),
        (&[("redis.conf", "include DIR/a\n"), ("a", "\nrename-command A 'secret\n")], "a:2:1: unbalanced quotes"),
        (
            &[("redis.conf", "rename-command A secret\ninclude DIR/a\n"), ("a", "rename-command a secret\n")],
            "a:1:1: A is renamed before: Redis does not know it by this name any more",
        ),
        (
            &[("redis.conf", "include DIR/a\nrename-command A 'sec ret'\n"), ("a", "")],
            "redis.conf:2:1: the new name of A has blanks or bytes beyond ASCII",
        ),
    ] {
        let told = RedisConf::new(files).refusal();
        assert!(told.contains(expected), "{expected}\nin\n{told}");
        assert!(!told.contains("sec"), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn a_file_that_others_can_change_is_refused_where_it_is_included() {
    let conf = RedisConf::new(&[("redis.conf", "\ninclude DIR/a\n"), ("a", "")]);
    fs::set_permissions(conf.0.path().join("a"), fs::Permissions::from_mode(0o666)).unwrap();
    assert!(conf.load().unwrap_err().is_permission());
    assert_eq!(conf.refusal(), "redis.conf:2:1: a can be changed by others (mode 0666): chmod go-w a\n");
}

#[test]
fn includes_that_never_end_are_refused() {
    let names: Vec<String> = (0..12).map(|number| format!("file-{number}")).collect();
    let texts: Vec<String> = (1..=12).map(|next| format!("include DIR/file-{next}\n").repeat(2)).collect();
    let mut files: Vec<(&str, &str)> =
        names.iter().zip(&texts).map(|(name, text)| (name.as_str(), text.as_str())).collect();
    files.push(("file-12", ""));
    files.push(("redis.conf", "include DIR/file-0\n"));
    let told = RedisConf::new(&files).refusal();
    assert!(told.contains("more than 256 files are included"), "{told}");
}

#[test]
fn a_redis_conf_without_renames_is_warned_about() {
    let conf = RedisConf::new(&[("redis.conf", "bind 127.0.0.1\n")]);
    let warnings = conf.load().unwrap().warnings;
    assert!(warnings[0].to_string().contains("no rename-command is in it"), "{warnings:?}");
}

#[test]
fn a_key_given_in_the_place_of_another_file_is_called_one_and_not_shown() {
    let directory = folder();
    let path = directory.path().join("server.key");
    write(&path, "-----BEGIN PRIVATE KEY-----\nMIIsecret\nsecret=\n-----END PRIVATE KEY-----\n");
    let given = path.to_str().unwrap();
    let without_users = MINIMAL.replace("aclfile = \"users.acl\"\n", "");
    let sources = Sources {
        file: Some(path.clone()),
        variables: &Variables::new(),
        flags: &flags(&[]),
        host: &host(),
        files: &Files::default(),
    };
    for told in [
        load_all(MINIMAL, &[], &["--redis-conf", given]).unwrap_err().to_string(),
        load_all(&without_users, &[], &["--requirepass-file", given]).unwrap_err().to_string(),
        load_all(MINIMAL, &[], &["--upstream-password-file", given]).unwrap_err().to_string(),
        super::load(&sources).unwrap_err().to_string(),
    ] {
        assert!(told.contains("server.key: this is PEM, a certificate or a key, and no "), "{told}");
        assert!(!told.contains("secret"), "{told}");
    }
}

#[test]
fn a_bound_that_another_one_keeps_from_ever_being_reached_is_warned_about() {
    let told = |lines: &str| warnings(&format!("{MINIMAL}{lines}"), &[]);
    let per_address = "max-connections-per-address = 100\n";
    assert!(told(per_address).is_empty());
    assert!(told(&format!("maxclients = 101\n{per_address}")).is_empty());
    let expected = "/etc/respgate.toml:9:31: bounds nothing: `maxclients` is 100";
    assert!(told(&format!("maxclients = 100\n{per_address}"))[0].starts_with(expected));
    let expected = "/etc/respgate.toml:8:31: bounds nothing: `maxclients` is 10000";
    assert!(told("max-connections-per-address = 10000")[0].starts_with(expected));
}

#[test]
fn misspelt_variables_are_warned_about_and_those_of_kubernetes_are_not() {
    let variables = [
        ("RESPGATE_TLS_CRL_FILES", "x"),
        ("RESPGATE_SERVICE_HOST", "10.0.0.1"),
        ("RESPGATE_PORT_6380_TCP", "tcp://10.0.0.1:6380"),
        ("RESPGATE_CONFIG", "/etc/respgate.toml"),
    ];
    let expected = ["RESPGATE_TLS_CRL_FILES: no such setting, ignored; did you mean RESPGATE_TLS_CRL_FILE?"];
    assert_eq!(warnings(MINIMAL, &variables), expected);
}

#[test]
fn the_admin_door_is_found_without_the_secrets_of_the_rest() {
    let directory = folder();
    let path = directory.path().join("respgate.toml");
    write(&path, "admin-listen = \"admin.sock\"\nrequirepass-file = \"gone\"\n");
    let found = admin_door(Some(path.clone()), &Variables::new(), &host()).unwrap();
    assert_eq!(found, Some(AdminAddress::Unix(directory.path().join("admin.sock"))));
    let variables = [("RESPGATE_ADMIN_LISTEN".to_owned(), "off".into())].into();
    assert_eq!(admin_door(Some(path), &variables, &host()).unwrap(), None);
}

#[test]
fn the_admin_door_is_a_path_or_a_loopback_address() {
    let door = |text: &str| load_all(MINIMAL, &[], &["--admin-listen", text]).map(|loaded| loaded.config.admin_listen);
    let address = |text: &str| Ok(Some(AdminAddress::Tcp(text.parse().unwrap())));
    assert_eq!(door("127.0.0.1:9121"), address("127.0.0.1:9121"));
    assert_eq!(door("localhost:9121"), address("127.0.0.1:9121"));
    assert_eq!(door("[::1]:9121"), address("[::1]:9121"));
    assert_eq!(door("/run/a:1"), Ok(Some(AdminAddress::Unix("/run/a:1".into()))));
    for wrong in ["0.0.0.0:9121", ":9121", "proxy:9121", "127.0.0.1:"] {
        assert!(door(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_group_of_the_admin_socket_is_known_by_name_or_number() {
    let group = |text: &str| {
        load_all(MINIMAL, &[], &["--admin-socket-group", text]).map(|loaded| loaded.config.admin_socket_group)
    };
    assert_eq!(group("root"), Ok(Some(0)));
    assert_eq!(group("65532"), Ok(Some(65532)));
    assert!(group("no-such-group").is_err());
    let told = "`admin-socket-group` changes nothing: there is no admin socket";
    let loaded = load_all(MINIMAL, &[], &["--admin-listen", "off", "--admin-socket-group", "0"]).unwrap();
    assert!(loaded.warnings.iter().any(|warning| warning.to_string().contains(told)), "{:?}", loaded.warnings);
}

#[test]
fn metrics_are_for_others_only_where_it_says_for_whom() {
    let load = |arguments: &[&str]| load_all(MINIMAL, &[], arguments);
    let door = |arguments: &[&str]| load(arguments).unwrap().config.metrics.unwrap();
    let local = door(&["--metrics-listen", "127.0.0.1:9121"]);
    assert_eq!(local, MetricsDoor { address: ([127, 0, 0, 1], 9121).into(), allow: Vec::new() });
    let wide = door(&["--metrics-listen", ":9121", "--metrics-allow", "10.0.0.0/8,127.0.0.1"]);
    assert_eq!((wide.address, wide.allow.len()), (([0, 0, 0, 0], 9121).into(), 2));
    let refused = load(&["--metrics-listen", ":9121"]).unwrap_err().to_string();
    assert!(refused.contains("metrics-allow"), "{refused}");
    let twice = load(&["--metrics-listen", "127.0.0.1:6380"]).unwrap_err().to_string();
    assert!(twice.contains("listened on twice"), "{twice}");
    let idle = load(&["--metrics-allow", "10.0.0.0/8"]).unwrap();
    assert!(idle.warnings.iter().any(|warning| warning.to_string().contains("without metrics-listen")));
}

#[test]
fn the_revocation_lists_of_listeners_that_ask_for_certificates_are_found_without_the_rest() {
    let directory = folder();
    let path = directory.path().join("respgate.toml");
    let found = |text: &str, variables: &[(&str, &str)]| {
        fs::write(&path, text).unwrap();
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect();
        let (file, lists) = revocation_lists(Some(path.clone()), &variables, &host()).unwrap().unwrap();
        assert_eq!(file, path);
        let name = |file: &PathBuf| file.strip_prefix(directory.path()).unwrap_or(file).display().to_string();
        let in_words = |lists: &RevocationLists| {
            format!("{} {}", lists.listen, lists.files.iter().map(name).collect::<Vec<_>>().join(","))
        };
        lists.iter().map(in_words).collect::<Vec<_>>()
    };
    assert_eq!(found("listen = \"a\"\nrequirepass-file = \"gone\"\n", &[]), ["a "]);
    assert_eq!(found("listen = \"a\"\ntls-crl-file = \"x\"\n", &[]), ["a x"]);
    assert_eq!(found("listen = \"a\"\n", &[("RESPGATE_TLS_CRL_FILE", "/x,/y")]), ["a /x,/y"]);
    assert_eq!(found("tls-crl-file = \"x\"\ntls-auth-clients = \"no\"\n", &[]), [""; 0]);
    let sections = "tls-crl-file = [\"x\", \"y\"]\n[[listener]]\nlisten = \"a\"\n[[listener]]\nlisten = \"b\"\n\
                    tls-crl-file = []\n[[listener]]\nlisten = \"c\"\ntls = \"no\"\n";
    assert_eq!(found(sections, &[]), ["a x,y", "b "]);
    assert_eq!(revocation_lists(None, &Variables::new(), &host()).unwrap(), None);
    fs::write(&path, "tls-crl = \"x\"\n").unwrap();
    assert!(revocation_lists(Some(path), &Variables::new(), &host()).is_err());
}

#[test]
fn a_file_that_may_not_be_read_is_no_fault_of_the_configuration() {
    let denied = ConfigError { permission: true, ..ConfigError::new(Place::Whole, "x") };
    let wrong = ConfigError::new(Place::Whole, "y");
    assert!(ConfigErrors(vec![denied.clone()]).is_permission());
    assert!(!ConfigErrors(vec![denied, wrong]).is_permission());
}

#[test]
fn a_file_that_is_not_there_is_an_error() {
    let variables = Variables::new();
    let sources = Sources {
        file: Some("/gone.toml".into()),
        variables: &variables,
        flags: &flags(&[]),
        host: &host(),
        files: &Files::default(),
    };
    let told = super::load(&sources).unwrap_err().to_string();
    assert_eq!(told, "/gone.toml: cannot read it: No such file or directory (os error 2)\n");
}

#[test]
fn every_key_is_documented() {
    let document = include_str!("../../docs/configuration.md");
    let tables = [
        ("", keys::<Settings>()),
        ("### `[[listener]]`", keys::<ListenerSection>()),
        ("### `[[tunnel]]`", keys::<TunnelSection>()),
        ("### `[upstream-auth]`", keys::<UpstreamAuthSection>()),
        ("### `[[certificate]]`", keys::<CertificateSection>()),
        ("### `[block]`", keys::<BlockSection>()),
        ("### `[user.NAME]`", keys::<UserSection>()),
    ];
    for (heading, keys) in tables {
        let section = document.split_once(heading).unwrap_or_else(|| panic!("{heading}")).1;
        for key in keys {
            let forms = [format!("`{key}`"), format!("`--{key}`"), format!("[{key}")];
            assert!(forms.iter().any(|form| section.contains(form)), "{heading} {key}");
        }
    }
}

#[test]
fn every_flag_is_documented_and_nothing_else_is() {
    let document = include_str!("../../docs/configuration.md");
    let documented: BTreeSet<&str> =
        document.lines().filter_map(|line| line.strip_prefix("| `--")?.split('`').next()).collect();
    let flags = flag_names();
    assert_eq!(documented, flags.iter().map(String::as_str).collect());
}

/// Where both have a value, and the document nothing else.
#[test]
fn help_tells_the_defaults_that_are_documented() {
    let document = include_str!("../../docs/configuration.md");
    let command = Settings::augment_args(Command::new("respgate"));
    let help = |flag: &str| {
        let argument = command.get_arguments().find(|argument| argument.get_long() == Some(flag));
        let argument = argument.unwrap_or_else(|| panic!("no flag {flag}"));
        let help = argument.get_long_help().or(argument.get_help());
        help.unwrap_or_else(|| panic!("no help for {flag}")).to_string()
    };
    let mut compared = 0;
    for line in document.lines().filter(|line| line.starts_with("| `--")) {
        let cells: Vec<_> = line.trim_matches(['|', ' ']).split(" | ").collect();
        let [flag, _, default, _] = cells[..] else { continue };
        let Some(default) = default.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) else { continue };
        if default.contains('`') {
            continue;
        }
        let told = help(flag.trim_matches(['`', '-']));
        let Some((_, told)) = told.split_once("[default: ") else { continue };
        assert_eq!(told.replace('"', ""), format!("{default}]"), "{flag}");
        compared += 1;
    }
    assert!(compared > 15, "{compared}");
}

/// The keys a section takes, as serde is told them.
fn keys<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    struct Keys<'a>(&'a mut &'static [&'static str]);
    impl<'de> Deserializer<'de> for Keys<'_> {
        type Error = de::value::Error;

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Self::Error> {
            *self.0 = fields;
            Err(de::Error::custom("the keys are all that was asked for"))
        }

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
            Err(de::Error::custom("not a struct"))
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
            newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }
    let mut fields: &'static [&'static str] = &[];
    assert!(T::deserialize(Keys(&mut fields)).is_err());
    assert!(!fields.is_empty());
    fields
}

#[test]
fn what_takes_a_restart_is_named_and_the_rest_is_taken() {
    let running = load(MINIMAL);
    for (more, names) in [
        ("threads = 3\nadmin-listen = \"off\"\n", &["threads", "admin-listen"][..]),
        ("deny = [\"192.0.2.0/24\"]\ntls-crl-file = \"ca.crl\"\ntls-auth-clients = \"optional\"\n", &[]),
        ("timeout = 7\nlog-level = \"debug\"\nmaxclients = 3\nreload-interval = \"1s\"\n", &[]),
        ("acl-dialect = \"valkey-9.1\"\nstrict-permissions = true\n", &[]),
        ("[upstream-auth]\nuser = \"gate\"\npassword = \"x\"\n", &[]),
        ("unmapped = \"refuse\"\n[block]\ncommands = [\"get\"]\n[user.ops]\nreauth = \"yes\"\n", &[]),
    ] {
        let written = load(&format!("{MINIMAL}{more}"));
        let (reloaded, restart) = running.reloaded(&written);
        assert_eq!((&restart.settings[..], restart.moves), (names, false), "{more}");
        assert_eq!(reloaded == written, names.is_empty(), "{more}");
        assert_eq!((&reloaded.block, &reloaded.users), (&written.block, &written.users));
    }
}

#[test]
fn listeners_and_upstream_stay_where_they_are_until_a_restart_with_what_is_written_for_them() {
    let listeners = |addresses: &[&str]| {
        let section = |address| format!("[[listener]]\nlisten = \"127.0.0.1:{address}\"\n");
        let sections: String = addresses.iter().map(section).collect();
        MINIMAL.replace("listen = \"127.0.0.1:6380\"\n", "deny = \"192.0.2.1\"\n") + &sections
    };
    let running = load(&listeners(&["1", "2"]).replace("192.0.2.1", "192.0.2.9"));
    for (addresses, moves) in [(&["2", "1"][..], false), (&["2"], true), (&["1", "3"], true), (&["1", "2", "3"], true)]
    {
        let written = load(&listeners(addresses));
        let (reloaded, restart) = running.reloaded(&written);
        assert_eq!((restart.moves, restart.settings == ["listen"]), (moves, moves), "{addresses:?}");
        let addresses_now: Vec<_> = reloaded.listeners.iter().map(|listener| listener.address.to_string()).collect();
        assert_eq!(addresses_now, ["127.0.0.1:1", "127.0.0.1:2"]);
        let is_written = |listener: &Listener| listener.deny == written.listeners[0].deny;
        let written_for: Vec<_> = reloaded.listeners.iter().map(is_written).collect();
        assert_eq!(written_for, ["1", "2"].map(|port| addresses.contains(&port)), "{addresses:?}");
    }
    let written = load(&MINIMAL.replace("redis.sock", "other.sock"));
    let (reloaded, restart) = load(MINIMAL).reloaded(&written);
    assert_eq!((&restart.settings[..], restart.moves), (&["upstream"][..], true));
    assert_eq!(reloaded.upstream, load(MINIMAL).upstream);
    let login = "mirror-users = \"no\"\nupstream-timeout = 7\n[upstream-auth]\nuser = \"gate\"\npassword = \"x\"\n";
    let written = load(&(MINIMAL.replace("redis.sock", "other.sock") + login));
    let (reloaded, restart) = load(MINIMAL).reloaded(&written);
    let (running, timeout) = (load(MINIMAL).upstream, written.upstream.timeout);
    assert_eq!(restart.settings, ["upstream", "upstream-user", "upstream-password-file", "mirror-users"]);
    assert_eq!(reloaded.upstream, UpstreamSettings { timeout, ..running });
}

#[test]
fn what_takes_a_restart_is_documented_and_nothing_else_is_said_to() {
    let rows = include_str!("../../docs/configuration.md").lines().filter(|line| line.ends_with("| restart |"));
    let mut documented: Vec<&str> = rows.filter_map(|line| line.strip_prefix("| `--")?.split('`').next()).collect();
    documented.sort_unstable();
    let everything = MINIMAL.replace("redis.sock", "other.sock").replace("6380", "1")
        + "threads = 3\nadmin-listen = \"/tmp/other.sock\"\nadmin-socket-group = \"0\"\n"
        + "learn-file = \"/tmp/learnt\"\naudit-file = \"/tmp/audit\"\naudit-on-full = \"block\"\nmetrics-listen = \"0.0.0.0:0\"\nmetrics-allow = \"192.0.2.0/24\"\n";
    let (_, Restart { mut settings, .. }) = load(MINIMAL).reloaded(&load(&everything));
    settings.sort_unstable();
    assert_eq!(settings, documented);
}

#[test]
fn whom_one_place_denies_no_other_lets_in() {
    let sections = MINIMAL.replace("listen = \"127.0.0.1:6380\"\n", "deny = \"192.0.2.1\"\n")
        + "[[listener]]\nlisten = \"127.0.0.1:1\"\ndeny = \"192.0.2.2\"\n";
    let loaded = load_all(&sections, &[("RESPGATE_DENY", "192.0.2.3")], &["--deny", "192.0.2.4"]).unwrap();
    let mut denied: Vec<_> = loaded.config.listeners[0].deny.iter().map(|network| network.addr().to_string()).collect();
    denied.sort();
    denied.dedup();
    assert_eq!(denied, ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"]);
}

#[test]
fn the_audit_log_has_a_place_of_its_own_and_what_does_nothing_without_one_is_warned_of() {
    for (audit, log) in [("/a", "/a"), ("-", "/dev/stdout"), ("-", "/proc/self/fd/1")] {
        let text = format!("{MINIMAL}audit-file = {audit:?}\nlog-file = {log:?}\n");
        assert!(refusal(&text).contains("is `log-file`, too"), "{audit} {log}");
    }
    let audit = load(&format!("{MINIMAL}audit-file = \"-\"\nlog-file = \"/a\"\naudit-commands = []\n")).audit;
    assert_eq!((audit.target, audit.commands), (Some(AuditTarget::StandardOutput), Vec::new()));
    let warnings = |lines: &str| {
        let warnings = load_all(&format!("{MINIMAL}{lines}"), &[], &[]).unwrap().warnings;
        warnings.iter().map(ToString::to_string).collect::<String>()
    };
    for line in ["audit-commands = \"keys\"\n", "audit-keys = \"yes\"\n", "audit-on-full = \"block\"\n"] {
        assert!(warnings(line).contains("does nothing without `audit-file`"), "{line}");
    }
    assert!(warnings("audit-file = \"/a\"\naudit-on-full = \"block\"\n").contains("stops Redis for everybody"));
    assert_eq!(warnings("audit-file = \"/a\"\naudit-on-full = \"drop\"\n"), "");
    assert!(
        refusal(&format!("{MINIMAL}audit-file = \"/a\"\naudit-commands = \"-keys\"\n")).contains("added or taken away")
    );
}

#[test]
fn a_certificate_rule_that_never_decides_is_warned_of() {
    let rule = |fields: &str, user: &str| format!("[[certificate]]\n{fields}\nuser = \"{user}\"\n");
    let is_warned_of = |first: &str, second: &str| {
        let text = format!("{MINIMAL}{}{}", rule(first, "a"), rule(second, "b"));
        let warnings = load_all(&text, &[], &[]).unwrap().warnings;
        warnings.iter().any(|warning| warning.to_string().contains("never decides"))
    };
    for (first, second) in [
        ("cn = \"x\"", "cn = \"x\""),
        ("cn = \"*\"", "cn = \"x\"\nou = \"y\""),
        ("ou = [\"x\", \"y\"]", "ou = \"x\"\ncn = \"z\""),
    ] {
        assert!(is_warned_of(first, second), "{first} {second}");
    }
    for (first, second) in [
        ("cn = \"x\"", "cn = \"y\""),
        ("cn = \"*\"", "ou = \"y\""),
        ("cn = \"*\"", "cn = \"x\"\ncn-with-san = true"),
        ("uri = \"*\"", "uri = \"urn:x/y\""),
        ("o = \"x\"\ncn = \"*\"", "o = \"x\"\nou = \"y\""),
    ] {
        assert!(!is_warned_of(first, second), "{first} {second}");
    }
}

/// All that a tunnel needs, on lines 1 to 6.
const TUNNEL: &str = r#"[[tunnel]]
listen = "unix:run/redis.sock"
connect = ["redis.example:6380", "[::1]:6381"]
tls-ca-cert-file = "ca.crt"
tls-cert-file = "shop.crt"
tls-key-file = "shop.key"
"#;

#[test]
fn a_tunnel_alone_needs_neither_a_listener_nor_redis_nor_users() {
    let Loaded { config, warnings } = load_all(TUNNEL, &[], &[]).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!((config.listeners.len(), warnings.len()), (0, 0), "{warnings:?}");
    let endpoint =
        |host: &str, port| Endpoint { host: host.to_owned(), port, name: crate::tls::ServerName::parse(host).unwrap() };
    let expected = Tunnel {
        listen: TunnelAddress::Unix("/etc/run/redis.sock".into()),
        listen_group: None,
        connect: vec![endpoint("redis.example", 6380), endpoint("::1", 6381)],
        connect_timeout: Duration::from_secs(5),
        maxclients: 1000,
        idle_timeout: None,
        tls: ClientTlsSettings {
            ca_cert_file: "/etc/ca.crt".into(),
            shown: Some(("/etc/shop.crt".into(), "/etc/shop.key".into())),
            crl_files: Vec::new(),
            server_pins: Vec::new(),
            protocols: Protocols { tls12: true, tls13: true },
            strict_permissions: false,
        },
    };
    assert_eq!(config.tunnels, [expected]);
    let watched: Vec<_> = config.watched_files().into_iter().collect();
    let files = ["/etc/ca.crt", "/etc/shop.crt", "/etc/shop.key"];
    assert_eq!(watched, files.map(|file| (file.into(), FileKind::Certificate)));
}

#[test]
fn what_is_said_for_listeners_does_nothing_beside_a_tunnel_alone() {
    let text = format!(
        "upstream = \"127.0.0.1:6379\"\naclfile = \"users.acl\"\ntls-cert-file = \"server.crt\"\nmaxclients = 7\n{TUNNEL}"
    );
    let told = warnings(&text, &[]).join("\n");
    for key in ["upstream", "aclfile", "tls-cert-file", "maxclients"] {
        assert!(told.contains(&format!("`{key}` does nothing: there is a tunnel and no listener")), "{told}");
    }
    assert_eq!(warnings(&format!("{MINIMAL}{TUNNEL}"), &[]), [""; 0], "beside a listener");
}

#[test]
fn what_is_wrong_with_a_tunnel_is_told_with_its_place() {
    let cases = [
        ("listen = \"unix:run/redis.sock\"", "", "this [[tunnel]]: `listen` is missing"),
        ("unix:run/redis.sock", "run/redis.sock", "write \"unix:run/redis.sock\" for a unix socket"),
        ("unix:run/redis.sock", "0.0.0.0:6379", "unsafe-listen accepts that"),
        ("[\"redis.example:6380\", \"[::1]:6381\"]", "\"redis.example\"", "is no server: write HOST:PORT"),
        ("[\"redis.example:6380\", \"[::1]:6381\"]", "\"::1:6381\"", "is no server: write HOST:PORT"),
        ("[\"redis.example:6380\", \"[::1]:6381\"]", "\"redis.example:0\"", "is no server: write HOST:PORT"),
        ("connect = [\"redis.example:6380\", \"[::1]:6381\"]", "", "this [[tunnel]]: `connect` is missing"),
        ("tls-ca-cert-file = \"ca.crt\"", "", "this [[tunnel]]: `tls-ca-cert-file` is missing"),
        ("tls-key-file = \"shop.key\"", "", "it takes `tls-key-file` as well"),
        ("tls-cert-file = \"shop.crt\"", "", "it takes `tls-cert-file` as well"),
        ("tls-cert-file", "server-name = \"a b\"\ntls-cert-file", "is neither a DNS name nor an address"),
        ("tls-cert-file", "maxclients = 0\ntls-cert-file", "0"),
        ("tls-cert-file", "server-spki-sha256 = \"12\"\ntls-cert-file", "is no SHA-256"),
        ("[[tunnel]]", "[tunnel]", "`[tunnel]` has to be `[[tunnel]]`: there may be several"),
        ("[[tunnel]]", "[[tunnels]]", "did you mean `[[tunnel]]`?"),
    ];
    for (from, to, words) in cases {
        let text = TUNNEL.replace(from, to);
        assert_ne!(text, TUNNEL, "{from}");
        let told = refusal(&text);
        assert!(told.contains(words) && told.starts_with("/etc/respgate.toml:"), "{told}");
    }
    let twice = refusal(&format!("{TUNNEL}{TUNNEL}"));
    assert!(twice.contains("unix:/etc/run/redis.sock is listened on twice"), "{twice}");
}

#[test]
fn a_port_lends_the_certificate_and_that_is_said() {
    let on = |listen: &str| TUNNEL.replace("unix:run/redis.sock", listen);
    let told = warnings(&on("127.0.0.1:6379"), &[]).join("\n");
    assert!(told.contains("lends the certificate to every process of this host"), "{told}");
    let told = warnings(&(on("192.0.2.1:6379") + "unsafe-listen = \"yes\"\n"), &[]).join("\n");
    assert!(told.contains("lends the certificate to whoever reaches it"), "{told}");
    let told = warnings(&(on("127.0.0.1:6379") + "listen-group = \"0\"\n"), &[]).join("\n");
    assert!(told.contains("`listen-group` changes nothing"), "{told}");
}

#[test]
fn a_reload_takes_all_of_a_tunnel_but_where_it_listens() {
    let running = load(TUNNEL);
    let (config, restart) = running.reloaded(&load(&TUNNEL.replace("redis.example", "other.example")));
    assert_eq!((config.tunnels[0].connect[0].host.as_str(), restart.is_needed()), ("other.example", false));
    for elsewhere in [TUNNEL.replace("redis.sock", "other.sock"), format!("{TUNNEL}listen-group = \"1\"\n")] {
        let (config, restart) = running.reloaded(&load(&elsewhere));
        assert_eq!((&config.tunnels, restart.settings), (&running.tunnels, vec!["tunnel"]));
    }
}

fn tunnel_of(variables: &[(&str, &str)], arguments: &[&str]) -> Result<Loaded, ConfigErrors> {
    let command = TunnelFlags::augment_args(Command::new("test")).no_binary_name(true);
    let flags = TunnelFlags::from_arg_matches(&command.try_get_matches_from(arguments).unwrap()).unwrap();
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect();
    load_tunnel(&flags, &variables, &host(), &Files::default())
}

#[test]
fn the_flags_of_a_tunnel_stand_above_variables_and_say_something_of_the_process_too() {
    let arguments = [
        "--listen",
        "unix:/run/a.sock",
        "--tls-ca-cert-file=ca.crt",
        "--maxclients=7",
        "--timeout=90s",
        "--log-level=debug",
    ];
    let variables = [("RESPGATE_CONNECT", "a.example:1,b.example:2"), ("RESPGATE_LISTEN", "unix:/run/b.sock")];
    let Loaded { config, warnings } = tunnel_of(&variables, &arguments).unwrap();
    let [tunnel] = &config.tunnels[..] else { panic!("{config:?}") };
    assert_eq!((tunnel.listen.to_string(), tunnel.connect.len()), ("unix:/run/a.sock".to_owned(), 2));
    assert_eq!((tunnel.maxclients, tunnel.idle_timeout), (7, Some(Duration::from_secs(90))));
    assert_eq!((config.limits.maxclients, config.log.level, warnings.len()), (None, LogLevel::Debug, 0));
}

#[test]
fn what_is_for_a_gate_is_no_setting_of_a_tunnel() {
    let all = ["--listen=unix:/run/a.sock", "--connect=a.example:1", "--tls-ca-cert-file=ca.crt"];
    let told = tunnel_of(&[("RESPGATE_UPSTREAM", "127.0.0.1:6379")], &all).unwrap().warnings;
    assert_eq!(
        told.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["RESPGATE_UPSTREAM: no such setting, ignored"]
    );
    let lacking = tunnel_of(&[], &all[..1]).unwrap_err().to_string();
    assert!(lacking.contains("`connect` is missing") && lacking.contains("`tls-ca-cert-file` is missing"), "{lacking}");
}

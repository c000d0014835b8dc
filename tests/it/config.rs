//! Bad configuration: what is said, with which exit code, and that nothing half-starts.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use rustix::process::geteuid;

use crate::support::{Pki, RedisServer, Respgate, Setup, folder, respgate_binary, upstream_of};

const ACL: &str = "user alice on +@read ~*\n";
const CONFIGURATION: i32 = 78;
const PERMISSION: i32 = 77;
const USAGE: i32 = 2;

#[test]
fn a_good_configuration_passes_check() {
    let output = check(&nowhere().acl(ACL));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let said = text(&output);
    let ok = "ok: would serve 1 user at 127.0.0.1:0, in front of unix:/nonexistent/redis.sock";
    assert!(said.lines().any(|line| line == ok), "{said}");
    let bad = check(&nowhere().acl(ACL).setting("tls-crl-file = \"no-such.crl\""));
    assert!(!text(&bad).contains("ok: "), "{}", text(&bad));
}

#[test]
fn an_unknown_key_is_named_with_its_file_its_line_and_the_nearest_key() {
    let setup = nowhere().acl(ACL).setting("tls-cert-fiel = \"server.crt\"");
    let config = fs::read_to_string(setup.write_config()).unwrap();
    let line = config.lines().position(|line| line.starts_with("tls-cert-fiel")).unwrap() + 1;
    refuses(&setup, CONFIGURATION, &[&format!("respgate.toml:{line}"), "tls-cert-fiel", "tls-cert-file"]);
}

#[test]
fn a_value_of_the_wrong_type_is_named_with_its_file_and_line() {
    let setup = nowhere().acl(ACL).setting("max-handshakes = \"many\"");
    let config = fs::read_to_string(setup.write_config()).unwrap();
    let line = config.lines().position(|line| line.starts_with("max-handshakes")).unwrap() + 1;
    refuses(&setup, CONFIGURATION, &[&format!("respgate.toml:{line}"), "max-handshakes"]);
}

#[test]
fn a_file_that_is_no_toml_is_named_with_its_line() {
    let setup = nowhere().acl(ACL).setting("this is not toml");
    refuses(&setup, CONFIGURATION, &["respgate.toml:"]);
}

#[test]
fn every_error_is_reported_at_once() {
    let setup = nowhere().acl("user alice nopas ~*\n").setting("tls-crl-file = \"no-such.crl\"");
    refuses(&setup, CONFIGURATION, &["nopas", "no-such.crl"]);
}

#[test]
fn an_acl_line_with_an_error_is_named_with_its_file_and_line() {
    let setup = nowhere().acl("# users\nuser alice on +@read ~*\nuser bob nopas ~*\n");
    refuses(&setup, CONFIGURATION, &["users.acl:3", "nopas"]);
}

#[test]
fn a_user_defined_twice_is_named_with_its_line() {
    let setup = nowhere().acl("user alice on +@read ~*\nuser alice on +@write ~*\n");
    refuses(&setup, CONFIGURATION, &["users.acl:2", "alice"]);
}

#[test]
fn a_variable_and_an_empty_password_in_the_acl_file_are_named_with_their_lines() {
    let setup = nowhere().acl("user alice on >${REDIS_PASSWORD} ~*\nuser bob on > ~*\n");
    refuses(
        &setup,
        CONFIGURATION,
        &["users.acl:1: '>…': Variables like ${NAME}", "users.acl:2: '>…': The password is"],
    );
}

#[test]
fn every_name_of_nobody_is_told_with_its_line_and_the_nearest_user() {
    let setup = nowhere()
        .acl("user ops off\nuser shop on +@read ~*\n")
        .table("[block]\nexempt-users = [\"opps\",\n  \"ops\"]\nscripting-users = [\"Shopp\"]")
        .table("[user.opss]\ncertificate = \"required\"\n[user.ops]\ncertificate = \"required\"")
        .table("[[certificate]]\ncn = \"x\"\nuser = \"s_hop\"\n[[certificate]]\ncn = \"y\"\nuser = \"%{cn}\"")
        .table("[[certificate]]\ncn = \"z\"\nuser = \"somebody\"");
    let config = fs::read_to_string(setup.write_config()).unwrap();
    let told = |line: &str, what: &str| {
        let number = config.lines().position(|known| known.contains(line)).unwrap() + 1;
        format!("respgate.toml:{number}: {what}\n")
    };
    let expected = [
        told("exempt-users", "[block] exempt-users: there is no user 'opps'; did you mean 'ops'?"),
        told("scripting-users", "[block] scripting-users: there is no user 'Shopp'; did you mean 'shop'?"),
        told("s_hop", "[[certificate]] user: there is no user 's_hop'; did you mean 'shop'?"),
        told(
            "somebody",
            "[[certificate]] user: there is no user 'somebody'; the ACL file has to have it, if only as: \
             user somebody off",
        ),
        told("opss", "[user.opss]: there is no user 'opss'; did you mean 'ops'?"),
    ];
    refuses(&setup, CONFIGURATION, &expected.each_ref().map(String::as_str));
    assert_eq!(text(&check(&setup)).matches("there is no user").count(), expected.len());
}

#[test]
fn without_an_acl_file_default_is_the_only_user() {
    let named = |name: &str| {
        nowhere()
            .file("password", "secret\n")
            .setting("requirepass-file = \"password\"")
            .table(&format!("[user.{name}]\nallow-from = \"127.0.0.1\""))
    };
    let told = "[user.ops]: there is no user 'ops'; without aclfile the only one is 'default'";
    refuses(&named("ops"), CONFIGURATION, &[told]);
    assert_eq!(check(&named("default")).status.code(), Some(0));
}

#[test]
fn nopass_is_refused_where_somebody_gets_in_without_a_certificate() {
    let plaintext = |address: &str| format!("tls = \"no\"\nlisten = \"{address}\"");
    let tls = |clients: &str| format!("listen = \"127.0.0.1:0\"\ntls-auth-clients = \"{clients}\"");
    let optional = "127.0.0.1:0 lets in clients without a certificate (tls-auth-clients = \"optional\")";
    let balancer = "\nproxy-protocol-from = \"127.0.0.1\"";
    const OPEN: &str = "user bob on nopass +@all\n";
    for (settings, acl, tables, refusal) in [
        (tls("optional"), OPEN, "", Some(optional)),
        (tls("no"), OPEN, "", Some("(tls-auth-clients = \"no\")")),
        (tls("yes"), OPEN, "", None),
        (tls("optional"), "user bob off nopass\n", "", None),
        (tls("optional"), OPEN, "[user.bob]\ncertificate = \"required\"", None),
        (tls("optional"), OPEN, "[user.bob]\nauth = \"certificate\"", None),
        (tls("optional"), OPEN, "[user.bob]\nreauth = true", Some(optional)),
        (plaintext("127.0.0.1:0"), OPEN, "", None),
        (plaintext("[::ffff:127.0.0.1]:0"), OPEN, "", None),
        (plaintext("192.0.2.1:0"), OPEN, "", Some("192.0.2.1:0 lets in plaintext clients from beyond loopback")),
        (plaintext("127.0.0.1:0") + balancer, OPEN, "", Some("plaintext clients from behind a balancer")),
    ] {
        let setup = nowhere().acl_file(acl).setting(&settings).table(tables);
        let run = |more: &[&str]| {
            respgate_binary().arg("check").args(more).arg("--config").arg(setup.write_config()).output().unwrap()
        };
        let output = run(&[]);
        let said = text(&output);
        match refusal {
            Some(words) => {
                assert_eq!(output.status.code(), Some(CONFIGURATION), "{settings}: {said}");
                assert!(said.contains("error: user 'bob' is nopass, and ") && said.contains(words), "{said}");
                let insisted = text(&run(&["--unsafe-nopass"]));
                assert!(insisted.contains("warning: user 'bob' is nopass, and "), "{insisted}");
                assert!(insisted.contains("as unsafe-nopass has it\n"), "{insisted}");
            }
            None => assert_eq!(output.status.code(), Some(0), "{settings}: {said}"),
        }
    }
    refuses(&nowhere().acl_file(OPEN).setting("tls-auth-clients = \"optional\""), CONFIGURATION, &[optional]);
}

#[test]
fn nopass_is_refused_where_the_session_of_another_may_become_that_user() {
    const ACL: &str = "user alice on +get ~a*\nuser bob on nopass +@all ~*\n";
    const REAUTH: &str = "[user.alice]\nreauth = true";
    let words = "user 'bob' is nopass, and [user.alice] reauth = \"yes\": whoever is 'alice' can be 'bob'";
    let setup = |acl: &str, table: &str| nowhere().acl_file(acl).table(table);
    refuses(&setup(ACL, REAUTH), CONFIGURATION, &[words]);
    for (acl, table) in [
        (ACL, "[user.alice]\nreauth = false"),
        (ACL, "[user.bob]\nreauth = true"),
        (ACL, &format!("{REAUTH}\n[user.bob]\ncertificate = \"required\"")),
        (&ACL.replace("nopass", ">a-password"), REAUTH),
        (&ACL.replace("alice on", "alice off"), REAUTH),
    ] {
        let output = check(&setup(acl, table));
        assert_eq!(output.status.code(), Some(0), "{acl} {table}: {}", text(&output));
    }
    let insisted = text(&check(&setup(ACL, REAUTH).setting("unsafe-nopass = true")));
    assert!(insisted.contains(&format!("warning: {words}")), "{insisted}");
}

#[test]
fn scripts_that_no_rule_of_ours_binds_are_warned_about() {
    const OFF: &str = "mirror-users = \"no\"";
    let beyond = |whose: &str| format!("warning: without mirror-users, scripts of {whose} run inside Redis");
    let everybody = beyond("everybody whose ACL allows them");
    let nobody_else = "warning: [block] scripting-users keeps nobody else from scripts".to_owned();
    for (setting, block, expected) in [
        (OFF, "commands = [\"flushall\"]", vec![&everybody]),
        (OFF, "commands = [\"eval\", \"evalsha\"]", vec![&everybody]),
        (OFF, "exempt-users = [\"alice\"]", vec![&beyond("'alice'")]),
        (OFF, "scripting-users = [\"alice\"]", vec![&beyond("'alice'")]),
        (OFF, "commands = [\"@scripting\"]", vec![]),
        (OFF, "", vec![]),
        ("", "commands = [\"flushall\"]", vec![]),
        ("", "exempt-users = [\"alice\"]\nscripting-users = [\"alice\"]", vec![]),
        ("", "commands = [\"flushall\"]\nscripting-users = [\"alice\"]", vec![&nobody_else]),
    ] {
        let said = text(&check(&nowhere().acl(ACL).setting(setting).table(&format!("[block]\n{block}"))));
        let told: Vec<_> = [&everybody, &beyond("'alice'"), &nobody_else]
            .into_iter()
            .filter(|words| said.contains(words.as_str()))
            .cloned()
            .collect();
        assert_eq!(told.iter().collect::<Vec<_>>(), expected, "{setting} {block}: {said}");
    }
}

#[test]
fn an_acl_file_that_names_no_user_is_an_error_and_says_how_to_mean_it() {
    for acl in ["", "\n", "# user alice on +@read ~*\n"] {
        refuses(&nowhere().acl(acl), CONFIGURATION, &["users.acl: names no user", "user default off"]);
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("users.acl");
    fs::write(&file, "# nobody\n").unwrap();
    let output = respgate_binary().args(["acl", "check"]).arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(CONFIGURATION));
    assert!(text(&output).contains("users.acl: names no user"), "{}", text(&output));
    let output = check(&nowhere().acl("user default off\n"));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

#[test]
fn a_missing_acl_file_is_named() {
    let setup = nowhere().setting("aclfile = \"/nonexistent/users.acl\"");
    refuses(&setup, CONFIGURATION, &["/nonexistent/users.acl"]);
}

#[test]
fn a_key_file_that_is_no_key_is_named() {
    let setup = nowhere().acl(ACL);
    fs::write(&setup.pki().server().key, "not a key\n").unwrap();
    refuses(&setup, CONFIGURATION, &["server.key"]);
}

#[test]
fn a_key_that_does_not_belong_to_the_certificate_is_named() {
    let setup = nowhere().acl(ACL);
    let other = setup.pki().client("somebody");
    fs::copy(&other.key, &setup.pki().server().key).unwrap();
    refuses(&setup, CONFIGURATION, &["server.key"]);
}

#[test]
fn an_encrypted_key_is_called_encrypted_with_a_command_that_decrypts_it() {
    let setup = nowhere().acl(ACL);
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
    fs::write(&setup.pki().server().key, encrypted).unwrap();
    refuses(&setup, CONFIGURATION, &["server.key", "encrypted", "openssl"]);
}

#[test]
fn a_missing_certificate_file_is_named() {
    let setup = nowhere().acl(ACL);
    fs::remove_file(&setup.pki().server().cert).unwrap();
    refuses(&setup, CONFIGURATION, &["server.crt"]);
}

#[test]
fn a_key_that_may_not_be_read_is_a_permission_error() {
    let setup = nowhere().acl(ACL);
    let key = setup.pki().server().key;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o000)).unwrap();
    let config = setup.write_config();
    let mut command = respgate_binary();
    command.args(["check", "--listen", "127.0.0.1:0", "--config"]).arg(&config);
    if geteuid().is_root() {
        // Root reads everything: be the user nobody instead, who must be able to come this far.
        fs::set_permissions(config.parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&config, fs::Permissions::from_mode(0o644)).unwrap();
        command.uid(65534).gid(65534);
    }
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => return eprintln!("SKIPPED: the user nobody cannot run the binary: {error}"),
    };
    assert_eq!(output.status.code(), Some(PERMISSION), "{}", text(&output));
    let words = format!(
        "server.key: cannot be read: Permission denied (os error 13): it belongs to user {}",
        geteuid().as_raw()
    );
    assert!(text(&output).contains(&words), "{}", text(&output));
}

#[test]
fn every_file_that_others_can_change_is_a_permission_error_with_the_command_that_mends_it() {
    let setup = || {
        let setup = nowhere().acl_file("user default off\n").file("redis.conf", "\n").file("password", "secret\n");
        setup.setting("redis-conf = \"redis.conf\"").table("[upstream-auth]\npassword-file = \"password\"")
    };
    let chmod = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for file in ["respgate.toml", "users.acl", "redis.conf", "password"] {
        let setup = setup();
        setup.write_config();
        let path = setup.path(file);
        let link = setup.path("link");
        fs::rename(&path, &link).unwrap();
        symlink(&link, &path).unwrap();
        chmod(&path, 0o666);
        for command in ["check", "run"] {
            let mut respgate = respgate_binary();
            let output =
                respgate.args([command, "--listen", "127.0.0.1:0", "--config"]).arg(setup.path("respgate.toml"));
            let output = output.output().unwrap();
            let said = text(&output);
            assert_eq!(output.status.code(), Some(PERMISSION), "{file}: {said}");
            let told = format!("{0} can be changed by others (mode 0666): chmod go-w {0}", path.display());
            assert!(said.contains(&told), "{said}");
        }
    }
    let setup = setup();
    chmod(&setup.path(""), 0o777);
    let said = text(&check(&setup));
    for file in ["respgate.toml", "redis.conf", "password"] {
        let path = setup.path(file);
        assert!(said.contains(&format!("{} can be replaced by others (mode 0777 of ", path.display())), "{said}");
    }
    if geteuid().is_root() {
        chmod(&setup.path(""), 0o755);
        chmod(&setup.path("users.acl"), 0o664);
        assert_eq!(check(&setup).status.code(), Some(0), "root's group is root");
        std::os::unix::fs::chown(setup.path("users.acl"), None, Some(4711)).unwrap();
        let said = text(&check(&setup));
        assert!(said.contains("users.acl can be changed by group 4711 (mode 0664): chmod g-w "), "{said}");
    }
}

#[test]
fn files_of_another_user_are_warned_about() {
    if !geteuid().is_root() {
        return eprintln!("SKIPPED: only root can give files away");
    }
    let setup = nowhere().acl(ACL).file("password", "secret\n").table("[upstream-auth]\npassword-file = \"password\"");
    setup.write_config();
    for file in ["users.acl", "password", "respgate.toml"] {
        let path = setup.path(file);
        std::os::unix::fs::chown(&path, Some(4711), None).unwrap();
        let mut respgate = respgate_binary();
        let said = respgate.args(["check", "--listen", "127.0.0.1:0", "--config"]).arg(setup.path("respgate.toml"));
        let said = text(&said.output().unwrap());
        assert!(said.contains(&format!("{} belongs to user 4711, who can change it", path.display())), "{said}");
    }
}

#[test]
fn passwords_in_an_acl_file_that_others_read_are_a_warning_or_an_error() {
    let clear = nowhere().acl("# >\nuser alice on >secret ~*\n");
    let hashed = nowhere().acl("# user alice >\nuser alice on +@read ~*\n");
    for setup in [&clear, &hashed] {
        fs::set_permissions(setup.path("users.acl"), fs::Permissions::from_mode(0o644)).unwrap();
    }
    let warning = "users.acl can be read by others (mode 0644): chmod o-r ";
    let (clear_said, hashed_said) = (check(&clear), check(&hashed));
    assert_eq!(clear_said.status.code(), Some(0));
    assert!(text(&clear_said).contains(warning), "{}", text(&clear_said));
    assert!(!text(&hashed_said).contains(warning), "{}", text(&hashed_said));
    refuses(&clear.setting("strict-permissions = true"), PERMISSION, &[warning]);
}

#[test]
fn an_upstream_that_is_not_loopback_needs_the_unsafe_flag() {
    let setup = Respgate::setup("192.0.2.1:6379").acl(ACL);
    refuses(&setup, CONFIGURATION, &["192.0.2.1:6379", "unsafe-upstream"]);
    let config = setup.write_config();
    let output = respgate_binary()
        .args(["check", "--listen", "127.0.0.1:0", "--unsafe-upstream", "--config"])
        .arg(config)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

#[test]
fn an_unset_variable_in_a_value_is_named() {
    let setup = nowhere().acl(ACL).setting("tls-crl-file = \"${RESPGATE_TEST_UNSET}/clients.crl\"");
    refuses(&setup, CONFIGURATION, &["RESPGATE_TEST_UNSET"]);
}

#[test]
fn an_unknown_flag_is_a_usage_error() {
    let output = respgate_binary().args(["run", "--no-such-flag"]).output().unwrap();
    assert_eq!(output.status.code(), Some(USAGE), "{}", text(&output));
}

#[test]
fn a_missing_configuration_file_is_named() {
    let output = respgate_binary().args(["check", "--config", "/nonexistent/respgate.toml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(CONFIGURATION), "{}", text(&output));
    assert!(text(&output).contains("/nonexistent/respgate.toml"));
}

#[test]
fn a_port_in_use_is_named_and_nothing_serves() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let config = nowhere_config();
    let output = respgate_binary().args(["run", "--listen", &address, "--config"]).arg(&config.1).output().unwrap();
    assert_eq!(output.status.code(), Some(75));
    assert!(text(&output).contains(&address), "{}", text(&output));
}

#[test]
fn acl_check_judges_the_file_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("users.acl");
    fs::write(&file, "user alice on +@read ~*\n").unwrap();
    let output = respgate_binary().args(["acl", "check"]).arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    fs::write(&file, "user alice on +@read ~*\nuser bob nopas\n").unwrap();
    let output = respgate_binary().args(["acl", "check"]).arg(&file).output().unwrap();
    assert_ne!(output.status.code(), Some(0));
    assert!(text(&output).contains("users.acl:2"), "{}", text(&output));
}

#[test]
fn check_warns_where_the_hashes_of_users_make_every_refused_login_dear() {
    let hash = |memory: &str| super::auth::hash_password("a", &["--memory", memory, "--iterations", "1"]);
    for (memories, is_dear) in [(&["1024", "2048"][..], false), (&["1024", "1024", "1024", "1024", "1024"], true)] {
        let hashes: Vec<_> = memories.iter().map(|memory| hash(memory)).collect();
        let output = check(&nowhere().acl(&format!("user app on {} +@read ~*\n", hashes.join(" "))));
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        let warning = "warning: every refused login computes 5 of m=1024,t=1,p=1 password hashes";
        assert_eq!(text(&output).contains(warning), is_dear, "{}", text(&output));
    }
}

// --- helpers

/// In front of a Redis that does not exist: `check` must not need one.
fn nowhere() -> Setup {
    Respgate::setup("unix:/nonexistent/redis.sock")
}

fn nowhere_config() -> (Setup, std::path::PathBuf) {
    let setup = nowhere().acl(ACL);
    let config = setup.write_config();
    (setup, config)
}

#[test]
fn check_asks_the_upstream_where_it_is_required() {
    let absent = nowhere().acl(ACL).setting("require-upstream = true");
    assert_eq!(check(&absent).status.code(), Some(69), "{}", text(&check(&absent)));
    let redis = RedisServer::start_with(&["--rename-command", "CONFIG", "elsewhere"]);
    let setup =
        |rename: &str| Respgate::setup(&upstream_of(&redis)).acl(ACL).setting("require-upstream = true").table(rename);
    let right = check(&setup("[rename]\nCONFIG = \"elsewhere\""));
    assert_eq!(right.status.code(), Some(0), "{}", text(&right));
    for wrong in ["[rename]\nCONFIG = \"nowhere\"", "[rename]"] {
        let output = check(&setup(wrong));
        assert_eq!(output.status.code(), Some(1), "{wrong}: {}", text(&output));
        assert!(text(&output).contains("CONFIG"), "{}", text(&output));
    }
}

#[test]
fn an_upstream_that_lets_nobody_in_is_named_with_what_to_do_about_it() {
    let required =
        |upstream: &str| text(&check(&Respgate::setup(upstream).acl(ACL).setting("require-upstream = \"yes\"")));
    let redis = RedisServer::start_with(&["--requirepass", "secret"]);
    let said = required(&upstream_of(&redis));
    let socket = redis.socket().display().to_string();
    assert!(said.contains(&format!("error: the upstream unix:{socket} does not answer: the upstream refused: NOAUTH")));
    assert!(said.contains("([upstream-auth] says how the proxy logs in there)"), "{said}");
    assert!(required("unix:/nonexistent/redis.sock").contains("unix:/nonexistent/redis.sock does not answer: "));

    let pki = folder();
    let server = Pki::create(pki.path()).server();
    let tls = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let (cert, key) = (server.cert.display().to_string(), server.key.display().to_string());
    let tls_alone = ["--tls-port", &tls, "--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-auth-clients", "no"];
    let _redis = RedisServer::start_with(&[&tls_alone[..], &["--tls-ca-cert-file", &cert]].concat());
    let said = required(&format!("127.0.0.1:{tls}"));
    assert!(said.contains(&format!("error: the upstream 127.0.0.1:{tls} does not answer: ")), "{said}");
    assert!(said.contains("as where it takes TLS alone: the proxy speaks plaintext to it"), "{said}");
}

#[test]
fn check_warns_where_redis_does_not_let_it_see_renames_and_none_is_declared() {
    let redis = RedisServer::start_with(&["--rename-command", "COMMAND", ""]);
    for (rename, is_warned) in [("[rename]", true), ("[rename]\nCOMMAND = \"\"", false)] {
        let setup = Respgate::setup(&upstream_of(&redis)).acl(ACL).setting("require-upstream = true").table(rename);
        let output = check(&setup);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        assert_eq!(text(&output).contains("go unnoticed"), is_warned, "{}", text(&output));
    }
}

#[test]
fn check_says_in_words_why_a_certificate_of_a_client_would_be_refused() {
    let setup = nowhere().acl("user alice on +@read ~*\nuser off off\n").crl();
    setup.pki().write_crl(&[66]);
    let pki = setup.pki();
    let soon = Duration::from_secs(3 * 86_400 + 3600);
    for (identity, code, words) in [
        (pki.client("alice"), 0, &["trusted, user alice"][..]),
        (pki.short_lived_client("alice", soon), 0, &["trusted, user alice", "expires in 3 days"]),
        (pki.version_1_client("alice"), 1, &["(old-version)", "plain `openssl x509 -req` makes", "-extfile"]),
        (pki.openssl_self_signed("alice"), 1, &["(ca-as-leaf)", "`openssl req -x509` makes by default", "CA:FALSE"]),
        (pki.server_only_client("alice"), 1, &["(wrong-purpose)", "extendedKeyUsage=clientAuth"]),
        (pki.expired_client("alice"), 1, &["(expired)", "it has expired"]),
        (pki.client_of_a_stranger("alice"), 1, &["(unknown-issuer)"]),
        (pki.numbered_client("mallory", 66), 1, &["(revoked)"]),
        (pki.client("off"), 1, &["trusted, but nobody (user-off)"]),
        (pki.client("nobody"), 1, &["trusted, but nobody (no-such-user)"]),
    ] {
        let mut command = respgate_binary();
        command.args(["check", "--listen", "127.0.0.1:0", "--config"]).arg(setup.write_config());
        let output = command.arg("--client-cert").arg(&identity.cert).output().unwrap();
        let said = text(&output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{words:?} in {said}");
    }
    let output = respgate_binary()
        .args(["check", "--listen", "127.0.0.1:0", "--client-cert", "/nonexistent/alice.crt", "--config"])
        .arg(setup.write_config())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("--client-cert /nonexistent/alice.crt: cannot be read"), "{}", text(&output));
}

/// What openssl makes, with the defaults that people meet.
#[test]
fn check_says_in_words_what_is_wrong_with_files_of_the_server() {
    let openssl = |setup: &Setup, line: &str| {
        let line = line.replace("DIR", setup.path("").to_str().unwrap());
        let output = Command::new("sh").args(["-ec", &line]).output().unwrap();
        assert!(output.status.success(), "{line}: {}", text(&output));
    };
    const CA_KEY: &str = "-CA DIR/ca-as-client.crt -CAkey DIR/ca-as-client.key -set_serial 5 -days 30 -in DIR/csr";
    const REQUEST: &str = "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost \
                           -keyout DIR/server.key -out DIR/csr";
    let issue = |extensions: &str| {
        format!(
            "{REQUEST}; printf '{extensions}' >DIR/extensions; openssl x509 -req {CA_KEY} -extfile DIR/extensions -out DIR/server.crt"
        )
    };
    let cases = [
        (
            format!("{REQUEST}; openssl x509 -req {CA_KEY} -out DIR/server.crt"),
            78,
            &["X.509 version 1", "-extfile"][..],
        ),
        (issue("extendedKeyUsage=clientAuth"), 0, &["does not allow serverAuth", "extendedKeyUsage=serverAuth"]),
        (issue("basicConstraints=CA:TRUE"), 0, &["it is a CA certificate (CA:TRUE)", "CA:FALSE"]),
        (
            "openssl pkey -in DIR/server.key -aes256 -passout pass:x -out DIR/new; mv DIR/new DIR/server.key"
                .to_owned(),
            78,
            &["the private key is encrypted", "openssl pkey -in"],
        ),
        (
            "openssl ec -in DIR/server.key -aes256 -passout pass:x -out DIR/new; mv DIR/new DIR/server.key".to_owned(),
            78,
            &["the private key is encrypted", "openssl pkey -in"],
        ),
        (
            "openssl genpkey -algorithm ec -pkeyopt ec_paramgen_curve:P-256 -out DIR/server.key".to_owned(),
            78,
            &["tls-key-file", "the key does not belong to the certificate"],
        ),
    ];
    for (line, code, words) in cases {
        let setup = nowhere().acl(ACL);
        setup.pki().ca_as_client();
        openssl(&setup, &format!("{line}; chmod 600 DIR/server.key"));
        let output = check(&setup);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(code), "{line}: {said}");
        assert!(words.iter().all(|word| said.contains(word)), "{words:?} in {said}");
    }
}

fn check(setup: &Setup) -> Output {
    run_with(setup, "check")
}

/// `check` and `run` both refuse, with this exit code and all of these words; `run` never listens.
fn refuses(setup: &Setup, code: i32, words: &[&str]) {
    for command in ["check", "run"] {
        let output = run_with(setup, command);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(code), "{command}: {said}");
        for word in words {
            assert!(said.contains(word), "{command} does not mention {word:?}:\n{said}");
        }
        assert!(!said.contains("listening"), "{command}: {said}");
    }
}

fn run_with(setup: &Setup, command: &str) -> Output {
    respgate_binary().args([command, "--listen", "127.0.0.1:0", "--config"]).arg(setup.write_config()).output().unwrap()
}

/// Everything the program said, on both streams.
fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

//! `respgate init`: all of the folder or nothing of it, and a Redis that goes through both steps.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use tempfile::TempDir;

use crate::support::{Identity, RespClient, eventually, folder, respgate_binary};

const CANNOT_CREATE: i32 = 73;
const PERMISSION: i32 = 77;
const CONFIGURATION: i32 = 78;
const USAGE: i32 = 2;

#[test]
fn what_would_be_a_command_of_its_own_in_the_printed_lines_is_refused() {
    let dir = folder();
    let line = dir.path().join("a\ntouch owned #");
    for arguments in [
        &["init", line.to_str().unwrap(), "--client", "shop=app"][..],
        &[
            "init",
            dir.path().join("gate").to_str().unwrap(),
            "--client",
            "shop=app",
            "--redis-unit",
            "redis; touch owned",
        ],
        &[
            "init",
            dir.path().join("gate").to_str().unwrap(),
            "--client",
            "shop=app",
            "--image",
            "x\n    privileged: true",
        ],
    ] {
        let output = respgate_binary().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn a_folder_that_is_not_empty_is_refused_before_anything_is_written() {
    let dir = folder();
    let gate = dir.path().join("gate");
    fs::create_dir(&gate).unwrap();
    fs::write(gate.join("mine"), "x").unwrap();
    fs::write(dir.path().join("file"), "x").unwrap();
    let before = listing(dir.path());
    for taken in ["gate", "file", ".", "no/such/gate"] {
        let output = init(&dir, &[taken, "--client", "shop=app"]);
        assert_eq!(output.status.code(), Some(CANNOT_CREATE), "{taken}: {}", text(&output));
        assert_eq!(listing(dir.path()), before, "{taken}");
    }
}

#[test]
fn what_is_wrong_is_said_and_nothing_is_left() {
    let dir = folder();
    fs::write(dir.path().join("redis.conf"), "user web on >a -nosuch|a|b\n").unwrap();
    fs::write(dir.path().join("open.conf"), "include /no/such/file\nrename-command A\n").unwrap();
    let before = listing(dir.path());
    let redis_conf = ["gate", "--client", "shop=app", "--redis-conf"];
    for (arguments, code, words) in [
        (vec!["gate", "--client", "shop"], CONFIGURATION, "--client shop=PRESET"),
        (vec!["gate", "--client", "shop=nosuch"], USAGE, "there is no preset"),
        (vec!["gate"], USAGE, "--client"),
        (vec!["gate", "--client", "a/b=app"], CONFIGURATION, "cannot be a file's name"),
        (vec!["gate", "--client", "shop=app", "--server-name", "a b"], CONFIGURATION, "is neither a DNS name"),
        (vec!["gate", "--client", "shop=app", "--allow", "10.0.0.1/8"], USAGE, "did you mean 10.0.0.0/8"),
        ([&redis_conf[..], &["redis.conf"]].concat(), CONFIGURATION, "redis.conf:1: "),
        ([&redis_conf[..], &["open.conf"]].concat(), CONFIGURATION, "open.conf:2:"),
    ] {
        let output = init(&dir, &arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output));
        assert!(text(&output).contains(words), "{arguments:?}: {}", text(&output));
        assert_eq!(listing(dir.path()), before, "{arguments:?}");
    }
}

#[test]
fn what_others_could_change_is_not_left_there() {
    let dir = folder();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let output = init(&dir, &["gate", "--client", "shop=app"]);
    assert_eq!(output.status.code(), Some(PERMISSION), "{}", text(&output));
    assert_eq!(listing(dir.path()), BTreeMap::new());
}

#[test]
fn keys_and_passwords_are_for_their_owner_whatever_the_umask_and_an_empty_folder_gives_way() {
    let dir = folder();
    fs::create_dir(dir.path().join("gate")).unwrap();
    let binary = respgate_binary();
    let line = format!("umask 000; {} init gate --client shop=app", binary.get_program().display());
    let output = Command::new("sh").args(["-ec", &line]).current_dir(&dir).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let files = listing(&dir.path().join("gate"));
    let mode = |name: &str| files.get(Path::new(name)).unwrap() & 0o777;
    for secret in ["etc/server.key", "etc/redis-password", "redis/redis.conf", "pki/ca.key", "clients/shop/shop.key"] {
        assert_eq!(mode(secret), 0o600, "{secret}");
    }
    for folder in ["etc", "redis", "pki", "clients", "clients/shop"] {
        assert_eq!(mode(folder), 0o700, "{folder}");
    }
    let gate = fs::metadata(dir.path().join("gate")).unwrap();
    assert_eq!(gate.permissions().mode() & 0o777, 0o700);
}

#[test]
fn check_has_nothing_against_what_is_made_for_any_place() {
    for platform in ["bare", "systemd", "compose"] {
        let dir = folder();
        fs::write(dir.path().join("redis.conf"), "requirepass old\nuser web on >a ~web:* +get\n").unwrap();
        let presets = ["--client", "shop=celery:shop_", "--client", "ops=admin", "--client", "web"];
        let redis = ["--redis-conf", "redis.conf", "--for", platform, "--allow", "10.0.0.0/8,127.0.0.1"];
        let output = init(&dir, &[&["gate"][..], &presets, &redis].concat());
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{}", text(&output));
        // Where it is to be written is a folder of the unit.
        let config = dir.path().join("gate/etc/respgate.toml");
        let settings = fs::read_to_string(&config).unwrap().replace("/var/log/respgate", dir.path().to_str().unwrap());
        fs::write(&config, settings).unwrap();
        let shop = dir.path().join("gate/clients/shop/shop.crt");
        let mut check = respgate_binary();
        let check = check.args(["check", "--config"]).arg(&config).arg("--client-cert").arg(shop).output().unwrap();
        assert!(check.status.success() && check.stderr.is_empty(), "{}", text(&check));
        assert!(text(&check).contains("trusted, user shop"), "{}", text(&check));
    }
}

#[test]
fn a_new_redis_lets_in_who_has_a_url_and_refuses_flushall() {
    let mut stage = Stage::new("");
    stage.init(&["--client", "shop=app"]);
    stage.start_redis(&stage.gate().join("redis/redis.conf"));
    stage.start_gate();
    assert_eq!(stage.by_url("shop", &["SET", "shop:cart:1", "2 apples"]), "OK");
    assert_eq!(stage.by_url("shop", &["GET", "shop:cart:1"]), "2 apples");
    assert!(stage.by_url("shop", &["GET", "bank:1"]).starts_with("NOPERM "));
    assert!(stage.by_url("shop", &["FLUSHALL"]).contains("blocked by respgate"));
    assert!(stage.directly(&["PING"]).starts_with("NOAUTH "), "nobody else is let in");
}

/// As it is, in the folder that a client gets.
#[test]
fn redis_py_takes_the_url() {
    let Some(python) = std::env::var_os("RESPGATE_TEST_PYTHON") else {
        return eprintln!("SKIPPED: RESPGATE_TEST_PYTHON names no Python with redis-py; ./test.sh sets it");
    };
    let mut stage = Stage::new("");
    stage.init(&["--client", "shop=app"]);
    stage.start_redis(&stage.gate().join("redis/redis.conf"));
    stage.start_gate();
    let code = "import redis; print(redis.from_url(open('url.txt').read().strip()).set('shop:x', 1))";
    let output = Command::new(python).args(["-c", code]).current_dir(stage.gate().join("clients/shop")).output();
    assert_eq!(text(&output.unwrap()).trim(), "True");
}

#[test]
fn what_is_revoked_is_revoked_at_once_where_it_runs_from_its_folder() {
    let mut stage = Stage::new("");
    stage.init(&["--client", "shop=app"]);
    stage.start_redis(&stage.gate().join("redis/redis.conf"));
    stage.start_gate();
    assert_eq!(stage.by_url("shop", &["PING"]), "PONG");
    let output =
        respgate_binary().args(["cert", "revoke", "shop", "--dir"]).arg(stage.gate().join("pki")).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    eventually("it is let in no more", || (stage.by_url("shop", &["PING"]) != "PONG").then_some(()));
}

/// With a password in redis.conf that clients go on sending, and a user that has a line of its own there.
#[test]
fn old_clients_go_on_after_the_first_step_and_none_after_the_second() {
    let mut stage = Stage::new(
        "requirepass old\nuser web on >geheim ~web:* +@read +@connection\nuser default on >old ~* &* +@all\n",
    );
    goes_through_both_steps(&mut stage);
}

#[test]
fn so_it_is_with_an_acl_file() {
    let mut stage = Stage::new("");
    let acl = stage.path("users.acl");
    fs::write(&acl, "user default on >old ~* &* +@all\nuser web on >geheim ~web:* +@read +@connection\n").unwrap();
    stage.add_to_redis_conf(&format!("aclfile {}\n", acl.display()));
    goes_through_both_steps(&mut stage);
}

fn goes_through_both_steps(stage: &mut Stage) {
    let conf = stage.path("redis.conf");
    stage.start_redis(&conf);
    stage.init(&["--client", "shop=app", "--client", "web", "--redis-conf", conf.to_str().unwrap()]);
    assert_eq!(stage.old(&["-a", "old", "SET", "shop:x", "1"]), "OK", "nothing has happened yet");

    stage.paste(1);
    stage.start_redis(&conf);
    stage.start_gate();
    assert_eq!(stage.old(&["-a", "old", "GET", "shop:x"]), "1", "the data is there");
    assert!(!stage.old(&["--user", "web", "--pass", "geheim", "GET", "web:x"]).contains("ERR"));
    assert_eq!(stage.by_url("shop", &["GET", "shop:x"]), "1");
    assert!(stage.by_url("web", &["SET", "web:x", "1"]).starts_with("NOPERM "), "as at Redis");
    let mut sends_a_password = stage.connect("shop");
    assert_eq!(sends_a_password.text(&["AUTH", "old"]), "+OK");

    stage.paste(5);
    stage.start_redis(&conf);
    assert!(stage.old(&["-a", "old", "PING"]).contains("Connection refused"));
    eventually("Redis is back", || (stage.by_url("shop", &["GET", "shop:x"]) == "1").then_some(()));
    assert!(stage.directly(&["PING"]).starts_with("NOAUTH "));
    for (user, password) in [("default", "old"), ("web", "geheim")] {
        let said = stage.directly(&["--user", user, "--pass", password, "PING"]);
        // Users of redis.conf stay there, behind a socket that its group alone may open.
        assert!(said != "PONG" || user == "web", "{user}: {said}");
    }
}

// --- helpers

/// A Redis, and what init has made for it.
struct Stage {
    dir: TempDir,
    port: u16,
    redis: Option<Child>,
    gate: Option<Child>,
    address: SocketAddr,
    printed: String,
}

impl Stage {
    /// A redis.conf with these lines and a port.
    fn new(more: &str) -> Stage {
        let dir = folder();
        let port = own_port();
        let place = dir.path().display();
        let conf = format!("bind 127.0.0.1\nport {port}\ndir {place}\nlogfile {place}/redis.log\n{more}");
        fs::write(dir.path().join("redis.conf"), conf).unwrap();
        Stage {
            dir,
            port,
            redis: None,
            gate: None,
            address: ([127, 0, 0, 1], own_port()).into(),
            printed: String::new(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn gate(&self) -> PathBuf {
        self.path("gate")
    }

    fn add_to_redis_conf(&self, lines: &str) {
        let conf = self.path("redis.conf");
        fs::write(&conf, fs::read_to_string(&conf).unwrap() + lines).unwrap();
    }

    fn init(&mut self, arguments: &[&str]) {
        let listen = self.address.to_string();
        let given = ["gate", "--server-name", "localhost", "--listen", &listen];
        let output = init(&self.dir, &[&given[..], arguments].concat());
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{}", text(&output));
        self.printed = String::from_utf8(output.stdout).unwrap();
    }

    /// Pastes what was printed for a step, but for the start of Redis, whose process is one of the test.
    fn paste(&mut self, step: usize) {
        let begin = format!("# {step}. ");
        let lines = self.printed.lines().map(str::trim).skip_while(|line| !line.starts_with(&begin)).skip(1);
        let next = format!("# {}. ", step + 1);
        let lines: Vec<&str> =
            lines.take_while(|line| !line.starts_with(&next)).filter(|line| !line.starts_with('#')).collect();
        assert!(lines.len() >= 3, "{}", self.printed);
        for line in lines.into_iter().filter(|line| !line.starts_with("redis-server ")) {
            let output = Command::new("sh").args(["-c", line]).output().unwrap();
            // Redis closes the connection of who stops it.
            assert!(output.status.success() || line.starts_with("redis-cli "), "{line}: {}", text(&output));
        }
        let mut redis = self.redis.take().unwrap();
        eventually("Redis ends", || redis.try_wait().unwrap());
    }

    fn start_redis(&mut self, conf: &Path) {
        let redis = Command::new("redis-server").arg(conf).stdout(Stdio::null()).spawn().unwrap();
        self.redis = Some(redis);
        let is_up = || {
            [self.old(&["PING"]), self.directly(&["PING"])]
                .iter()
                .any(|said| said == "PONG" || said.starts_with("NOAUTH"))
        };
        eventually("Redis answers", || is_up().then_some(()));
    }

    fn start_gate(&mut self) {
        let log = fs::File::create(self.path("log")).unwrap();
        let mut respgate = respgate_binary();
        respgate.args(["run", "--metrics-listen", "127.0.0.1:0", "--log-format", "json"]);
        respgate.arg("--config").arg(self.gate().join("etc/respgate.toml")).stdout(Stdio::null()).stderr(log);
        self.gate = Some(respgate.spawn().unwrap());
        eventually("respgate listens", || TcpStream::connect(self.address).ok());
    }

    /// redis-cli as an application that has the folder of a client, with the URL in it.
    fn by_url(&self, client: &str, words: &[&str]) -> String {
        let folder = self.gate().join("clients").join(client);
        let url = fs::read_to_string(folder.join("url.txt")).unwrap();
        let (address, files) = url.trim_end().split_once('?').unwrap();
        let files: BTreeMap<&str, &str> = files.split('&').filter_map(|word| word.split_once('=')).collect();
        let mut redis_cli = Command::new("redis-cli");
        redis_cli.current_dir(folder).args(["-u", address, "--cacert", files["ssl_ca_certs"]]);
        redis_cli.args(["--cert", files["ssl_certfile"], "--key", files["ssl_keyfile"]]).args(words);
        text(&redis_cli.output().unwrap()).trim().to_owned()
    }

    fn connect(&self, client: &str) -> RespClient {
        let folder = self.gate().join("clients").join(client);
        let file = |extension: &str| folder.join(format!("{client}.{extension}"));
        let identity = Identity { cert: file("crt"), key: file("key") };
        RespClient::tls(self.address, &folder.join("ca.crt"), Some(&identity))
    }

    /// redis-cli at the port of Redis.
    fn old(&self, words: &[&str]) -> String {
        redis_cli(&["-p", &self.port.to_string()], words)
    }

    /// redis-cli at the socket of Redis.
    fn directly(&self, words: &[&str]) -> String {
        let sockets = [self.path("redis.sock"), self.gate().join("redis/redis.sock")];
        let socket = sockets.iter().find(|socket| socket.exists()).unwrap_or(&sockets[0]);
        redis_cli(&["-s", socket.to_str().unwrap()], words)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for mut child in self.redis.take().into_iter().chain(self.gate.take()) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Below those that the system hands out, so that nobody has got it meanwhile.
fn own_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(21_000);
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn redis_cli(place: &[&str], words: &[&str]) -> String {
    let output = Command::new("redis-cli").args(place).arg("--no-auth-warning").args(words).output().unwrap();
    text(&output).trim().to_owned()
}

fn init(dir: &TempDir, arguments: &[&str]) -> Output {
    respgate_binary().arg("init").args(arguments).current_dir(dir).output().unwrap()
}

/// Everything below a folder, with its mode.
fn listing(folder: &Path) -> BTreeMap<PathBuf, u32> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            found.insert(path.strip_prefix(folder).unwrap().to_owned(), metadata.permissions().mode());
            folders.extend(metadata.is_dir().then_some(path));
        }
    }
    found
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

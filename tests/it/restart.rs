//! A restart behind a socket that somebody else holds: nobody is turned away, and one process may end while another serves.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{PATIENCE, RedisServer, RespClient, Respgate, Setup, eventually, respgate_binary, upstream_of};

const ACL: &str = "user alice on +@all ~* &*\n";

/// What the inherited socket is called.
const NAME: &str = "clients";

#[test]
fn who_connects_between_two_processes_is_served_by_the_second() {
    let stage = Stage::new("systemd:clients");
    stage.start("first").stop();
    let mut client = stage.connect();
    let second = stage.start("second");
    assert_eq!(client.text(&["PING"]), "+PONG");
    second.stop();
}

#[test]
fn an_inherited_socket_is_claimed_by_its_address_as_well() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let stage = Stage::on(socket.try_clone().unwrap(), &socket.local_addr().unwrap().to_string());
    let gate = stage.start("first");
    assert_eq!(stage.connect().text(&["PING"]), "+PONG");
    gate.stop();
}

#[test]
fn inherited_sockets_and_listeners_that_do_not_fit_are_an_error() {
    let stage = Stage::new("systemd:others");
    assert_eq!(stage.refusal(), "no socket named others is inherited");
    let stage = Stage::new("127.0.0.1:0");
    let address = stage.socket.local_addr().unwrap();
    assert_eq!(stage.refusal(), format!("no listener claims the inherited socket clients at {address}"));
}

#[test]
fn a_second_process_takes_over_from_the_first_and_a_broken_one_does_not() {
    let stage = Stage::new("systemd:clients");
    let first = stage.start("first");
    let broken = stage.setup.path("broken.toml");
    fs::write(&broken, "no-such-setting = 1\n").unwrap();
    assert_eq!(stage.spawn("broken", &broken).exit_code(), Some(78));
    let mut client = stage.connect();
    assert_eq!(client.text(&["PING"]), "+PONG");
    let second = stage.start("second");
    first.stop();
    client.expect_closed();
    assert_eq!(stage.connect().text(&["PING"]), "+PONG");
    second.stop();
}

#[test]
fn the_users_that_scripts_of_one_process_run_as_outlive_the_end_of_another() {
    let stage = Stage::new("systemd:clients");
    let (first, second) = (stage.start("first"), stage.start("second"));
    let mirrors = || {
        let users = stage.redis.direct().text(&["ACL", "USERS"]);
        users.lines().filter(|line| line.starts_with("respgate:")).count()
    };
    eventually("both to have run a script", || {
        assert_eq!(stage.connect_as("bob").text(&["EVAL", "return 1", "0"]), ":1");
        (mirrors() == 2).then_some(())
    });
    first.stop();
    assert_eq!(mirrors(), 1);
    second.stop();
    assert_eq!(mirrors(), 0);
}

#[test]
fn redis_py_notices_no_restart() {
    let Some(python) = std::env::var_os("RESPGATE_TEST_PYTHON") else {
        return eprintln!(
            "SKIPPED: RESPGATE_TEST_PYTHON names no Python with redis-py; ./test.sh installs one and sets it"
        );
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/systemd/restart.py");
    for mode in ["--in-turn", "--overlap"] {
        let stage = Stage::new("systemd:clients");
        let pki = stage.setup.pki();
        let alice = pki.client("alice");
        let files =
            [("--config", stage.config.clone()), ("--ca", pki.ca_cert()), ("--cert", alice.cert), ("--key", alice.key)];
        let output = Command::new(&python)
            .arg(&script)
            .args(["--respgate", env!("CARGO_BIN_EXE_respgate"), mode])
            .args(["--blocked", "5", "--idle", "10", "--subscribers", "5", "--load", "2"])
            .args(files.iter().flat_map(|(flag, file)| [Path::new(flag), file]))
            .output()
            .unwrap();
        let told = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{mode}: {}", String::from_utf8_lossy(&told));
    }
}

#[test]
fn the_service_manager_is_told_of_start_reload_and_end_and_that_nothing_is_stuck() {
    let redis = RedisServer::start();
    let setup = Respgate::setup(&upstream_of(&redis)).acl(ACL);
    let path = setup.path("notify.sock");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut gate = setup.env("NOTIFY_SOCKET", path.to_str().unwrap()).env("WATCHDOG_USEC", "30000000").start();
    let wait_for = |expected: &str| loop {
        let mut message = [0; 256];
        let len = manager.recv(&mut message).expect(expected);
        let message = String::from_utf8_lossy(&message[..len]).into_owned();
        if message.starts_with(expected) {
            return message;
        }
    };
    wait_for("READY=1\n");
    wait_for("STATUS=serving\n");
    wait_for("WATCHDOG=1\n");
    gate.signal(Signal::HUP);
    let reloading = wait_for("RELOADING=1\n");
    assert!(reloading.contains("\nMONOTONIC_USEC="), "{reloading}");
    wait_for("READY=1\n");
    gate.signal(Signal::TERM);
    wait_for("STOPPING=1\n");
    wait_for("STATUS=draining\n");
    assert_eq!(gate.exit_status().code(), Some(0));
}

/// A Redis, a socket, and what it takes to run several respgates on it.
struct Stage {
    redis: RedisServer,
    setup: Setup,
    config: PathBuf,
    socket: TcpListener,
}

impl Stage {
    fn new(listen: &str) -> Stage {
        Stage::on(TcpListener::bind("127.0.0.1:0").unwrap(), listen)
    }

    fn on(socket: TcpListener, listen: &str) -> Stage {
        let redis = RedisServer::start();
        let setup = Respgate::setup(&upstream_of(&redis))
            .acl(&format!("{ACL}user bob on +@all ~b:*\n"))
            .setting(&format!("listen = {listen:?}"))
            .setting("admin-listen = \"off\"")
            .table("[block]\ncommands = [\"FLUSHALL\"]\n");
        let config = setup.write_config();
        Stage { redis, setup, config, socket }
    }

    fn connect(&self) -> RespClient {
        self.connect_as("alice")
    }

    fn connect_as(&self, user: &str) -> RespClient {
        let (pki, address) = (self.setup.pki(), self.socket.local_addr().unwrap());
        RespClient::tls(address, &pki.ca_cert(), Some(&pki.client(user)))
    }

    /// Starts one that listens.
    fn start(&self, name: &str) -> Process {
        let mut process = self.spawn(name, &self.config);
        eventually("respgate to listen", || {
            assert!(process.child.try_wait().unwrap().is_none(), "{}", process.log());
            process.log().contains("listening").then_some(())
        });
        process
    }

    /// What one says that does not start for its configuration.
    fn refusal(&self) -> String {
        let mut process = self.spawn("refused", &self.config);
        assert_eq!(process.exit_code(), Some(78));
        let log = process.log();
        let error = log.strip_prefix("error: ").and_then(|error| error.split_once(": ")).expect(&log);
        error.0.to_owned()
    }

    /// The socket is descriptor 3 of it, as a service manager hands it on.
    fn spawn(&self, name: &str, config: &Path) -> Process {
        let program = respgate_binary();
        let log = self.setup.path(&format!("{name}.log"));
        let child = Command::new("sh")
            .env_clear()
            .env("LISTEN_FDS", "1")
            .env("LISTEN_FDNAMES", NAME)
            .args(["-c", "exec 3<&0 </dev/null && export LISTEN_PID=$$ && exec \"$@\"", "sh"])
            .arg(program.get_program())
            .args(["run", "--config"])
            .arg(config)
            .stdin(Stdio::from(OwnedFd::from(self.socket.try_clone().unwrap())))
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Process { child, log }
    }
}

/// A running one.
struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    fn exit_code(&mut self) -> Option<i32> {
        eventually("respgate to end", || self.child.try_wait().unwrap()).code()
    }

    /// Ends it, in good order and without complaint.
    fn stop(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        assert_eq!(self.exit_code(), Some(0), "{}", self.log());
        let log = self.log();
        assert!(!log.contains(" WARN ") && !log.contains(" ERROR "), "{log}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

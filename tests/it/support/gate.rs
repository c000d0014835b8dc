//! The real binary, started for one test and watched through its log.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::{Identity, Pki, RedisServer, RespClient, eventually, folder};

/// The program under test with a clean environment, for commands other than a running proxy.
pub(crate) fn respgate_binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_respgate"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).stdin(Stdio::null());
    command
}

/// The same under a limit of open files.
pub(crate) fn respgate_binary_with_open_files(limit: u32) -> Command {
    let program = respgate_binary();
    let mut shell = Command::new("sh");
    shell.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).stdin(Stdio::null());
    shell.args(["-c", "ulimit -n \"$1\" && shift && exec \"$@\"", "sh", &limit.to_string()]).arg(program.get_program());
    shell
}

/// A respgate that listens on a port of its own. By default the CN of a client's certificate names its user.
pub(crate) struct Respgate {
    folder: Folder,
    child: Option<Child>,
    address: SocketAddr,
    announced: Vec<String>,
}

/// How one respgate is to run, and the folder its files are in.
#[must_use]
pub(crate) struct Setup {
    folder: Folder,
    settings: Vec<String>,
    tables: String,
    environment: Vec<(String, String)>,
    args: Vec<String>,
    listen: Option<String>,
    open_files: Option<u32>,
    announced: Vec<String>,
}

struct Folder {
    dir: TempDir,
    pki: Pki,
}

impl Respgate {
    /// In front of this Redis, over its unix socket, with this ACL file.
    pub(crate) fn start(redis: &RedisServer, acl: &str) -> Respgate {
        Respgate::setup(&upstream_of(redis)).acl(acl).start()
    }

    /// Prepares one: certificates are made, nothing else is configured but the way to `upstream`.
    pub(crate) fn setup(upstream: &str) -> Setup {
        let dir = folder();
        let pki = Pki::create(dir.path());
        let folder = Folder { dir, pki };
        let server = folder.pki.server();
        let settings = vec![
            format!("upstream = {upstream:?}"),
            format!("tls-cert-file = {:?}", server.cert),
            format!("tls-key-file = {:?}", server.key),
            format!("tls-ca-cert-file = {:?}", folder.pki.ca_cert()),
            format!("admin-listen = {:?}", folder.path("admin.sock")),
            // Few enough for any limit of open files, so that none is warned about.
            "maxclients = 100".to_owned(),
            // Passwords are verified at low priority: on a busy machine that takes its time.
            "auth-timeout = \"60s\"".to_owned(),
        ];
        Setup {
            folder,
            settings,
            tables: String::new(),
            environment: Vec::new(),
            args: Vec::new(),
            listen: Some("127.0.0.1:0".to_owned()),
            open_files: None,
            announced: Vec::new(),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn pki(&self) -> &Pki {
        &self.folder.pki
    }

    /// A connection that presents a good certificate with this common name.
    pub(crate) fn connect(&self, common_name: &str) -> RespClient {
        self.connect_as(Some(&self.pki().client(common_name)))
    }

    /// So many clients, each with an answer before the next comes: on a slow machine their handshakes would outlast their time.
    pub(crate) fn greeted(&self, common_name: &str, count: u64) -> Vec<RespClient> {
        let greeted = |_| {
            let mut client = self.connect(common_name);
            assert_eq!(client.text(&["PING"]), "+PONG");
            client
        };
        (0..count).map(greeted).collect()
    }

    /// A connection that presents this certificate, or none.
    pub(crate) fn connect_as(&self, identity: Option<&Identity>) -> RespClient {
        RespClient::tls(self.address, &self.pki().ca_cert(), identity)
    }

    /// redis-cli, over TLS to this respgate, with this certificate or with none.
    pub(crate) fn redis_cli(&self, identity: Option<&Identity>) -> Command {
        let mut redis_cli = Command::new("redis-cli");
        redis_cli.args(["-h", "127.0.0.1", "-p", &self.address.port().to_string(), "--tls", "--cacert"]);
        redis_cli.arg(self.pki().ca_cert());
        if let Some(Identity { cert, key }) = identity {
            redis_cli.arg("--cert").arg(cert).arg("--key").arg(key);
        }
        redis_cli
    }

    /// A file in its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    /// Replaces the ACL file; the running proxy learns of it by SIGHUP.
    pub(crate) fn write_acl(&self, acl: &str) {
        fs::write(self.folder.path("users.acl"), acl).unwrap();
    }

    /// Waits until it knows its Redis: from now on only what a test changes makes a new generation.
    pub(crate) fn settled(self) -> Respgate {
        self.wait_for_log(&["reload", "done", "upstream"]);
        self
    }

    /// Changes the configuration file; the running proxy finds that by itself.
    pub(crate) fn edit_config(&self, from: &str, to: &str) {
        let path = self.folder.path("respgate.toml");
        let before = fs::read_to_string(&path).unwrap();
        assert!(before.contains(from), "{before}");
        fs::write(path, before.replace(from, to)).unwrap();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("still running").id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("still running");
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    /// Waits for the end of the process.
    pub(crate) fn exit_status(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("still running");
        eventually("respgate to end", || child.try_wait().unwrap())
    }

    /// Runs `respgate health` against this one.
    pub(crate) fn health(&self) -> Output {
        self.ask(&["health"])
    }

    /// Whether clients are served, as `respgate health --ready` says.
    pub(crate) fn is_ready(&self) -> bool {
        self.ask(&["health", "--ready"]).status.success()
    }

    /// Runs a command that speaks to this one.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Output {
        respgate_binary().args(arguments).arg("--config").arg(self.path("respgate.toml")).output().unwrap()
    }

    /// What `respgate status --json` prints.
    pub(crate) fn status(&self) -> Value {
        let output = self.ask(&["status", "--json"]);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }

    /// The number of the generation in force, and how many reloads have failed.
    pub(crate) fn in_force(&self) -> (u64, u64) {
        let status = self.status();
        let number = |pointer| status.pointer(pointer).and_then(Value::as_u64).unwrap();
        (number("/generation/number"), number("/reloads/failed"))
    }

    pub(crate) fn log_text(&self) -> String {
        fs::read_to_string(self.folder.path("log")).unwrap()
    }

    /// Waits for a log line that contains all of these words.
    pub(crate) fn wait_for_log(&self, words: &[&str]) -> String {
        eventually(&format!("a log line with {words:?} in\n{}", self.log_text()), || {
            let log = self.log_text();
            let line = log.lines().find(|line| words.iter().all(|word| line.contains(word)))?;
            Some(line.to_owned())
        })
    }

    /// How many events the log lines tell of that contain all of these words.
    pub(crate) fn counted(&self, words: &[&str]) -> u64 {
        let log = self.log_text();
        let lines = log.lines().filter(|line| words.iter().all(|word| line.contains(word)));
        lines.map(|line| serde_json::from_str::<Value>(line).unwrap()["count"].as_u64().unwrap()).sum()
    }

    fn unannounced(&self) -> Vec<String> {
        let log = self.log_text();
        let bad = log.lines().filter(|line| !self.announced.iter().any(|word| line.contains(word)));
        bad.filter(|line| is_complaint(line)).map(str::to_owned).collect()
    }
}

impl Setup {
    /// Writes the ACL file, and lets the certificate's CN name the user.
    pub(crate) fn acl(self, acl: &str) -> Setup {
        self.acl_file(acl).setting("tls-auth-clients-user = \"CN\"")
    }

    /// Writes the ACL file only: certificates name nobody.
    pub(crate) fn acl_file(self, acl: &str) -> Setup {
        let file = self.folder.path("users.acl");
        write_private(&file, acl);
        self.setting(&format!("aclfile = {file:?}"))
    }

    /// Revocation is checked, with an empty list to begin with.
    pub(crate) fn crl(self) -> Setup {
        self.folder.pki.write_crl(&[]);
        let line = format!("tls-crl-file = {:?}", self.folder.pki.crl_file());
        self.setting(&line)
    }

    /// No line with this key at the top level of the configuration.
    pub(crate) fn without(mut self, key: &str) -> Setup {
        self.settings.retain(|known| known.split('=').next().map(str::trim) != Some(key));
        self
    }

    /// One line at the top level of the configuration, in place of an earlier one with its key.
    pub(crate) fn setting(mut self, line: &str) -> Setup {
        let key = line.split('=').next();
        self.settings.retain(|known| known.split('=').next() != key);
        self.settings.push(line.to_owned());
        self
    }

    /// Leaves a key to its default.
    pub(crate) fn default_of(mut self, key: &str) -> Setup {
        self.settings.retain(|known| known.split(' ').next() != Some(key));
        self
    }

    /// Sections say where to listen.
    pub(crate) fn listeners(mut self, sections: &str) -> Setup {
        self.listen = None;
        self.table(sections)
    }

    /// A table of the configuration, header and lines.
    pub(crate) fn table(mut self, text: &str) -> Setup {
        self.tables.push_str(text);
        self.tables.push('\n');
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Setup {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// One more argument. A setting that it gives is not in the file as well.
    pub(crate) fn arg(mut self, arg: &str) -> Setup {
        if let Some((key, _)) = arg.strip_prefix("--").and_then(|arg| arg.split_once('=')) {
            self.settings.retain(|setting| !setting.starts_with(&format!("{key} = ")));
        }
        self.args.push(arg.to_owned());
        self
    }

    /// Listens on IPv6 and IPv4 alike, on a port the system picks. Clients of the test come over IPv4.
    pub(crate) fn dual_stack(mut self) -> Setup {
        self.listen = Some("[::]:0".to_owned());
        self
    }

    /// Starts it under this limit of open files (RLIMIT_NOFILE).
    pub(crate) fn open_files(mut self, limit: u32) -> Setup {
        self.open_files = Some(limit);
        self
    }

    /// Announces that WARN or ERROR lines with this word may be logged.
    pub(crate) fn expect_log(mut self, word: &str) -> Setup {
        self.announced.push(word.to_owned());
        self
    }

    /// A file next to the configuration, readable by its owner only.
    pub(crate) fn file(self, name: &str, content: &str) -> Setup {
        write_private(&self.folder.path(name), content);
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    pub(crate) fn pki(&self) -> &Pki {
        &self.folder.pki
    }

    /// Writes `respgate.toml` and names it.
    pub(crate) fn write_config(&self) -> PathBuf {
        let path = self.folder.path("respgate.toml");
        write_private(&path, &format!("{}\n{}", self.settings.join("\n"), self.tables));
        path
    }

    /// Starts the proxy and waits until it listens.
    pub(crate) fn start(self) -> Respgate {
        let log = File::create(self.folder.path("log")).unwrap();
        let mut gate = self.spawn(log);
        gate.address = gate.wait_until_listening();
        if gate.address.ip().is_unspecified() {
            gate.address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        gate
    }

    /// Starts the proxy with a pipe for its log, and reads that up to where it listens.
    pub(crate) fn start_with_pipe(self) -> (Respgate, BufReader<PipeReader>, PipeWriter) {
        fs::write(self.folder.path("log"), "").unwrap();
        let (reader, writer) = io::pipe().unwrap();
        let mut gate = self.spawn(writer.try_clone().unwrap());
        let mut log = BufReader::new(reader);
        let mut line = String::new();
        gate.address = loop {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "respgate ended instead of listening");
            if let Some(address) = listening_address(&line) {
                break address;
            }
        };
        (gate, log, writer)
    }

    fn spawn(self, log: impl Into<Stdio>) -> Respgate {
        let config = self.write_config();
        let program = match self.open_files {
            None => respgate_binary(),
            Some(limit) => respgate_binary_with_open_files(limit),
        };
        let child = { program }
            .args(["run", "--log-format", "json", "--config"])
            .arg(config)
            .args(self.listen.iter().flat_map(|address| ["--listen", address]))
            .args(&self.args)
            .envs(self.environment)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        Respgate { folder: self.folder, child: Some(child), address: unknown, announced: self.announced }
    }
}

impl Respgate {
    fn wait_until_listening(&mut self) -> SocketAddr {
        eventually("respgate to listen", || {
            let log = self.log_text();
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                self.child = None;
                panic!("respgate ended instead of listening ({status}):\n{log}");
            }
            log.lines().find_map(listening_address)
        })
    }
}

impl Drop for Respgate {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("respgate's log:\n{}", self.log_text());
            return;
        }
        let complaints = self.unannounced();
        assert!(complaints.is_empty(), "respgate logged what no test expected:\n{}", complaints.join("\n"));
    }
}

impl Folder {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// Passwords may stand in it.
fn write_private(path: &Path, content: &str) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// How the configuration names this Redis.
pub(crate) fn upstream_of(redis: &RedisServer) -> String {
    format!("unix:{}", redis.socket().display())
}

/// The address in a `listening` line of the JSON log.
pub(crate) fn listening_address(line: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields").unwrap_or(&line);
    if fields.get("message")?.as_str()? != "listening" {
        return None;
    }
    fields.get("address")?.as_str()?.parse().ok()
}

/// A WARN or ERROR line, or a line that is no log line at all, such as the text of a panic.
pub(super) fn is_complaint(line: &str) -> bool {
    match serde_json::from_str::<Value>(line) {
        Ok(line) => matches!(line.get("level").and_then(Value::as_str), Some("WARN" | "ERROR") | None),
        Err(_) => true,
    }
}
